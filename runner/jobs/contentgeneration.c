/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* CONTENT_GENERATION: titles, descriptions, posts …, from a wish, a transcript or a film. What platforms take is data of
 * the model worker; here they are names only. */

#include "jobs-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>

#define MAX_PROMPT 20000
#define MAX_WORDS 50
#define MAX_WORD 100

static const Field fields[] = {
    {"prompt", FIELD_TEXT, .max = MAX_PROMPT},
    {"topic", FIELD_TEXT, "prompt", .max = MAX_PROMPT},
    {"type", FIELD_ANY, "contentType"},
    {"contentType", FIELD_ANY},
    {"platform", FIELD_NAME, .choices = "X=TWITTER"},
    {"tone", FIELD_TEXT, .max = 200},
    {"language", FIELD_TEXT, .max = 40},
    {"sourceLanguage", FIELD_TEXT, .max = 40},
    {"length", FIELD_CHOICE, .choices = "short medium long"},
    {"maxLength", FIELD_INTEGER, .min = 1, .max = 100000},
    {"brandProfile", FIELD_ANY},
    {"transcript", FIELD_ANY},
    {"transcription", FIELD_ANY, "transcript"},
    {"seed", FIELD_INTEGER, .min = 0, .max = 2147483647},
    {"model", FIELD_TEXT, .max = 200},
    {NULL},
};

static const Field type_field[] = {
    {"contentType", FIELD_CHOICE,
     .choices = "POST CAPTION SCRIPT ARTICLE NEWSLETTER HOOK HASHTAGS DESCRIPTION TITLE THREAD STORY REEL SHORT LIVE "
                "HASHTAG=HASHTAGS"},
    {NULL},
};

static const Field brand_fields[] = {
    {"voice", FIELD_TEXT, .max = 1000},
    {"tone", FIELD_TEXT, .max = 200},
    {"targetAudience", FIELD_TEXT, .max = 1000},
    {"audience", FIELD_TEXT, "targetAudience", .max = 1000},
    {"name", FIELD_TEXT, .max = 200},
    {"keywords", FIELD_ANY},
    {"hashtags", FIELD_ANY},
    {NULL},
};

static const char *const containers[] = {"options", "contentRequest", NULL};

static const char *
read_type (JsonObject *values, Checker *checker)
{
  g_autoptr (JsonObject) read = json_object_new ();
  JsonNode *node = json_object_get_member (values, "contentType");
  g_autofree char *word = NULL;
  const char *pointer = checker_pointer (checker, "contentType"), *slash = strrchr (pointer, '/');
  g_autofree char *place = slash ? g_strndup (pointer, slash - pointer) : g_strdup ("");
  Field field[] = {type_field[0], {NULL}};
  g_autoptr (JsonObject) object = json_object_new ();

  if (!node)
    return "POST";
  /* The fault has the member's own name. */
  field[0].name = slash ? slash + 1 : "type";
  field[0].to = "read";
  json_object_set_member (object, field[0].name, json_node_copy (node));
  checker_read (checker, object, place, field, read);
  copy_member (read, "read", values, "contentType");
  return json_object_has_member (read, "read") ? derush_json_get_string (values, "contentType", "POST") : "POST";
}

/* Words that a text may have; one alone is a list of one. */
static JsonArray *
read_words (JsonObject *values, const char *name, const char *pointer, Checker *checker)
{
  JsonNode *node = json_object_get_member (values, name);
  JsonArray *items = node && JSON_NODE_HOLDS_ARRAY (node) ? json_node_get_array (node) : NULL,
            *words = json_array_new ();
  const char *alone = derush_json_get_string (values, name, NULL);
  gboolean good = !node || items || alone;

  if (alone && *alone)
    json_array_add_string_element (words, alone);
  for (guint i = 0; items && i < json_array_get_length (items); i++) {
    const char *word = string_element (items, i);

    good &= word && *word && g_utf8_strlen (word, -1) <= MAX_WORD;
    if (word)
      json_array_add_string_element (words, word);
  }
  if (!good || json_array_get_length (words) > MAX_WORDS)
    checker_fault (checker, pointer, _ ("must be a list of at most %d texts, each of 1 to %d characters"), MAX_WORDS,
                   MAX_WORD);
  return words;
}

static void
read_brand (JsonObject *values, JsonObject *parameters, Checker *checker)
{
  static const Field *const tables[] = {brand_fields, NULL};
  JsonNode *node = json_object_get_member (values, "brandProfile");
  const char *pointer = checker_pointer (checker, "brandProfile");
  g_autofree char *keywords = g_strconcat (pointer, "/keywords", NULL),
                  *hashtags = g_strconcat (pointer, "/hashtags", NULL);
  JsonObject *brand;

  if (!node)
    return;
  if (!JSON_NODE_HOLDS_OBJECT (node)) {
    g_autofree char *value = json_node_quote (node);

    checker_fault (checker, pointer, _ ("is %s, must be an object"), value);
    return;
  }
  brand = json_object_new ();
  checker_read (checker, json_node_get_object (node), pointer, brand_fields, brand);
  checker_read_rest (checker, json_node_get_object (node), pointer, tables);
  json_object_set_array_member (brand, "keywords", read_words (brand, "keywords", keywords, checker));
  json_object_set_array_member (brand, "hashtags", read_words (brand, "hashtags", hashtags, checker));
  json_object_set_object_member (parameters, "brandProfile", brand);
}

static void
plan_content_generation (DerushPlan *plan, JsonObject *values, Checker *checker)
{
  g_autofree char *language = language_read (checker, values, "language"),
                  *spoken = language_read (checker, values, "sourceLanguage");
  g_autoptr (JsonObject) parameters = json_object_new ();
  JsonObject *transcript = transcript_read (checker, values, "transcript");
  gboolean has_transcript = transcript != NULL;

  if (transcript)
    json_object_set_object_member (parameters, "transcript", transcript);
  if (!json_object_has_member (values, "prompt") && !has_transcript && !plan->source && checker->faults->len == 0)
    checker_fault (checker, "/prompt",
                   _ ("is missing: give a prompt, a transcript or a film (videoUrl) to write about"));
  json_object_set_string_member (parameters, "type", read_type (values, checker));
  json_object_set_string_member (parameters, "prompt", derush_json_get_string (values, "prompt", ""));
  json_object_set_string_member (parameters, "tone", derush_json_get_string (values, "tone", ""));
  json_object_set_string_member (parameters, "length", derush_json_get_string (values, "length", "medium"));
  if (language)
    json_object_set_string_member (parameters, "language", language);
  copy_member (values, "platform", parameters, NULL);
  copy_member (values, "maxLength", parameters, NULL);
  copy_member (values, "seed", parameters, NULL);
  copy_member (values, "model", parameters, NULL);
  read_brand (values, parameters, checker);
  /* What is said is known already. */
  if (has_transcript)
    g_clear_pointer (&plan->source, g_free);
  if (plan->source)
    plan_add_film (plan, spoken, 0, 0.8);
  copy_members (parameters, plan_add_step (plan, "content", DERUSH_STEP_MODEL, plan->source ? 0.2 : 1));
}

static void
content_returns (DerushPlan *plan, const Finished *finished, JsonObject *value)
{
  JsonObject *parameters = plan_find_step (plan, "content")->parameters;
  JsonObject *result = derush_json_get_object (finished->results, "content");
  const char *text = derush_json_get_string (result, "text", "");
  static const char *const lists[] = {"parts", "hashtags"};

  json_object_set_string_member (value, "type", derush_json_get_string (parameters, "type", "POST"));
  json_object_set_string_member (value, "text", text);
  json_object_set_string_member (
      value, "language",
      derush_json_get_string (result, "language", derush_json_get_string (parameters, "language", "")));
  json_object_set_string_member (value, "tone", derush_json_get_string (parameters, "tone", ""));
  json_object_set_string_member (value, "length", derush_json_get_string (parameters, "length", "medium"));
  if (json_object_has_member (parameters, "platform"))
    copy_member (parameters, "platform", value, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++) {
    if (derush_json_get_array (result, lists[i]))
      copy_member (result, lists[i], value, NULL);
    else
      json_object_set_array_member (value, lists[i], json_array_new ());
  }
  set_counts (value, text);
  json_object_set_object_member (value, "metadata", model_metadata (result));
}

const JobType content_generation = {
    .name = "CONTENT_GENERATION",
    .queue = "ai-processing",
    .aliases = "GENERATE_CONTENT",
    .fields = fields,
    .containers = containers,
    .plan = plan_content_generation,
    .returns = content_returns,
};
