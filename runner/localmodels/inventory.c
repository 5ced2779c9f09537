/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* What the local engines are, as /v1/models says it: which are real models, and where the limits lie. */

#include "localmodels-private.h"

#include <glib/gi18n-lib.h>

static const struct {
  const char *id;
  const char *task;
  const char *languages;
  gboolean real;
  const char *limits;
} models[] = {
    {"pocketsphinx-en-us", "transcribe", "en", TRUE,
     N_ ("English only; about every third word of free speech is wrong; no punctuation")},
    {"flite", "speak", "en", TRUE, N_ ("English; a synthetic voice")},
    {"espeak-ng", "speak", "*", TRUE, N_ ("About a hundred languages; a robotic voice")},
    {"apertium", "translate", "*", TRUE, N_ ("By rules; only the language pairs that are installed")},
    {"local-extractive", "chat", "*", FALSE,
     N_ ("Heuristics that pick from what is said; no language model, and only for the structured tasks of Derush")},
    {"local-composer", "image", "*", FALSE, N_ ("Draws title cards; no image generation")},
};

/**
 * derush_local_list_models:
 *
 * Returns: (transfer full): what /v1/models lists
 */
JsonArray *
derush_local_list_models (void)
{
  JsonArray *list = json_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (models); i++) {
    JsonObject *model = json_object_new ();
    JsonArray *languages = json_array_new ();

    json_object_set_string_member (model, "id", models[i].id);
    json_object_set_string_member (model, "object", "model");
    json_object_set_int_member (model, "created", 0);
    json_object_set_string_member (model, "owned_by", "derush");
    json_object_set_string_member (model, "task", models[i].task);
    json_object_set_boolean_member (model, "real", models[i].real);
    json_array_add_string_element (languages, models[i].languages);
    json_object_set_array_member (model, "languages", languages);
    json_object_set_string_member (model, "limits", _ (models[i].limits));
    json_array_add_object_element (list, model);
  }
  return list;
}
