/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "binding-private.h"

#include <string.h>
#include <glib/gi18n-lib.h>
#include <gst/pbutils/missing-plugins.h>

/*
 * A template is NAME.gst, the text that gst-launch-1.0 takes (lines that begin with # are comments, chains of elements
 * are paragraphs), and NAME.ini, its contract:
 *
 *   [template]       name, version, description
 *   [input source]   element, property: where the film goes
 *   [output]         element, property, mime
 *   [param NAME]     bind=ELEMENT.PROPERTY or ELEMENT.PROPERTY:FIELD for a field of caps; type (boolean, int, double,
 *                    string, enum, fraction, caps), min, max, values, default, description
 *   [branch NAME]    elements: whole chains that are left out when the film has no stream of that kind
 *   [clip]           holds: the elements whose sink pads hold the buffers while the film is sought
 *
 * No value ever becomes part of the text that is parsed: values are set on the parsed elements.
 */

struct _DerushTemplate {
  char *name;
  char *description;
  GKeyFile *contract;
  GPtrArray *chains;     /* of GStrv: the words of one chain */
  GPtrArray *parameters; /* of DerushParameter, in the order of the contract */
  DerushParameter *input;
  DerushParameter *output;
};

static GStrv
search_path (void)
{
  const char *override = g_getenv ("DERUSH_PIPELINES_DIR");
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree char *installed = g_build_filename (DERUSH_PKGDATADIR, "pipelines", NULL);

  if (override && *override) {
    g_auto (GStrv) directories = g_strsplit (override, ":", -1);

    g_strv_builder_addv (builder, (const char **)directories);
  }
  g_strv_builder_add (builder, installed);
  return g_strv_builder_end (builder);
}

char *
derush_pipelines_find (const char *file)
{
  g_auto (GStrv) directories = search_path ();

  for (guint i = 0; directories[i]; i++) {
    g_autofree char *path = g_build_filename (directories[i], file, NULL);

    if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
      return g_steal_pointer (&path);
  }
  return NULL;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *
derush_template_list (void)
{
  g_auto (GStrv) directories = search_path ();
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; directories[i]; i++) {
    g_autoptr (GDir) directory = g_dir_open (directories[i], 0, NULL);
    const char *file;

    while (directory && (file = g_dir_read_name (directory))) {
      g_autofree char *name = NULL;

      if (!g_str_has_suffix (file, ".gst"))
        continue;
      name = g_strndup (file, strlen (file) - strlen (".gst"));
      if (!g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL))
        g_ptr_array_add (names, g_steal_pointer (&name));
    }
  }
  g_ptr_array_sort (names, compare_names);
  return g_steal_pointer (&names);
}

static gboolean
broken (const char *name, const char *what, GError **error)
{
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL, _ ("The pipeline template “%s” is broken: %s"), name,
               what);
  return FALSE;
}

static const char *
name_of_segment (char **words, guint length)
{
  for (guint i = 0; i < length; i++)
    if (g_str_has_prefix (words[i], "name="))
      return words[i] + strlen ("name=");
  return NULL;
}

/* The length of the element that begins at @words: up to the next `!`. */
static guint
segment_length (char **words)
{
  guint length = 0;

  while (words[length] && strcmp (words[length], "!") != 0)
    length++;
  return length;
}

static gboolean
chain_has_element (GStrv chain, const char *name)
{
  for (guint i = 0; chain[i]; i++)
    if (g_str_has_prefix (chain[i], "name=") && strcmp (chain[i] + strlen ("name="), name) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
template_has_element (DerushTemplate *self, const char *name)
{
  for (guint i = 0; i < self->chains->len; i++)
    if (chain_has_element (g_ptr_array_index (self->chains, i), name))
      return TRUE;
  return FALSE;
}

static void
add_chain (DerushTemplate *self, GString *text)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_auto (GStrv) pieces = g_strsplit_set (text->str, " \t\n", -1);
  gboolean any = FALSE;

  for (guint i = 0; pieces[i]; i++) {
    if (*pieces[i] == '\0')
      continue;
    g_strv_builder_add (builder, pieces[i]);
    any = TRUE;
  }
  if (any)
    g_ptr_array_add (self->chains, g_strv_builder_end (builder));
  g_string_truncate (text, 0);
}

static gboolean
read_text (DerushTemplate *self, const char *path, GError **error)
{
  g_autofree char *contents = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (GString) chain = g_string_new (NULL);

  if (!g_file_get_contents (path, &contents, NULL, error))
    return FALSE;
  if (strpbrk (contents, "\"'\\$`"))
    return broken (self->name, _ ("quotes, backslashes, $ and ` may not stand in it"), error);
  lines = g_strsplit (contents, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    g_strstrip (lines[i]);
    if (*lines[i] == '#')
      continue;
    if (*lines[i] == '\0')
      add_chain (self, chain);
    else
      g_string_append_printf (chain, " %s", lines[i]);
  }
  add_chain (self, chain);
  return self->chains->len > 0 || broken (self->name, _ ("it is empty"), error);
}

static DerushParameter *
parameter_new (const char *name, const char *element, const char *property)
{
  DerushParameter *parameter = g_new0 (DerushParameter, 1);

  parameter->name = g_strdup (name);
  parameter->type = DERUSH_PARAMETER_STRING;
  parameter->element = g_strdup (element);
  parameter->property = g_strdup (property);
  return parameter;
}

static gboolean
read_parameter (DerushTemplate *self, const char *group, GError **error)
{
  g_autofree char *bind = g_key_file_get_string (self->contract, group, "bind", NULL);
  g_autofree char *type = g_key_file_get_string (self->contract, group, "type", NULL);
  g_autofree char *fallback = g_key_file_get_string (self->contract, group, "default", NULL);
  const char *dot = bind ? strchr (bind, '.') : NULL;
  g_autofree char *element = dot ? g_strndup (bind, dot - bind) : NULL;
  g_auto (GStrv) property = dot ? g_strsplit (dot + 1, ":", 2) : NULL;
  DerushParameter *parameter;

  if (!property || !property[0])
    return broken (self->name, group, error);
  parameter = parameter_new (group + strlen ("param "), element, property[0]);
  g_ptr_array_add (self->parameters, parameter);
  parameter->field = g_strdup (property[1]);
  parameter->choices = g_key_file_get_string_list (self->contract, group, "values", NULL, NULL);
  parameter->minimum = -G_MAXDOUBLE;
  parameter->maximum = G_MAXDOUBLE;
  if (g_key_file_has_key (self->contract, group, "min", NULL)) {
    parameter->minimum = g_key_file_get_double (self->contract, group, "min", NULL);
    parameter->has_range = TRUE;
  }
  if (g_key_file_has_key (self->contract, group, "max", NULL)) {
    parameter->maximum = g_key_file_get_double (self->contract, group, "max", NULL);
    parameter->has_range = TRUE;
  }
  if (!derush_parameter_type_from_string (type, &parameter->type) || !template_has_element (self, element))
    return broken (self->name, group, error);
  return !fallback || derush_parameter_set (parameter, fallback, error);
}

static gboolean
read_place (DerushTemplate *self, const char *group, DerushParameter **place, GError **error)
{
  g_autofree char *element = g_key_file_get_string (self->contract, group, "element", NULL);
  g_autofree char *property = g_key_file_get_string (self->contract, group, "property", NULL);

  if (!element || !property || !template_has_element (self, element))
    return broken (self->name, group, error);
  *place = parameter_new (group, element, property);
  return TRUE;
}

/* A chain is dropped as a whole, so all its named elements must belong to the branch. */
static gboolean
check_branch (DerushTemplate *self, const char *group, GError **error)
{
  g_auto (GStrv) elements = g_key_file_get_string_list (self->contract, group, "elements", NULL, NULL);

  if (!elements)
    return broken (self->name, group, error);
  for (guint i = 0; elements[i]; i++)
    if (!template_has_element (self, elements[i]))
      return broken (self->name, elements[i], error);
  for (guint i = 0; i < self->chains->len; i++) {
    GStrv chain = g_ptr_array_index (self->chains, i);
    guint named = 0, listed = 0;

    for (guint j = 0; chain[j]; j++) {
      if (!g_str_has_prefix (chain[j], "name="))
        continue;
      named++;
      if (g_strv_contains ((const char *const *)elements, chain[j] + strlen ("name=")))
        listed++;
    }
    if (listed > 0 && listed != named)
      return broken (self->name, group, error);
  }
  return TRUE;
}

static gboolean
read_contract (DerushTemplate *self, const char *path, GError **error)
{
  g_auto (GStrv) groups = NULL;

  if (!g_key_file_load_from_file (self->contract, path, G_KEY_FILE_NONE, error))
    return FALSE;
  self->description = g_key_file_get_locale_string (self->contract, "template", "description", NULL, NULL);
  groups = g_key_file_get_groups (self->contract, NULL);
  for (guint i = 0; groups[i]; i++) {
    gboolean fine = TRUE;

    if (g_str_has_prefix (groups[i], "param "))
      fine = read_parameter (self, groups[i], error);
    else if (strcmp (groups[i], "input source") == 0)
      fine = read_place (self, groups[i], &self->input, error);
    else if (strcmp (groups[i], "output") == 0)
      fine = read_place (self, groups[i], &self->output, error);
    else if (g_str_has_prefix (groups[i], "branch "))
      fine = check_branch (self, groups[i], error);
    if (!fine)
      return FALSE;
  }
  return TRUE;
}

DerushTemplate *
derush_template_load (const char *name, GError **error)
{
  g_autoptr (DerushTemplate) self = g_new0 (DerushTemplate, 1);
  g_autofree char *text_file = g_strconcat (name, ".gst", NULL);
  g_autofree char *contract_file = g_strconcat (name, ".ini", NULL);
  g_autofree char *text_path = NULL;
  g_autofree char *contract_path = NULL;

  self->name = g_strdup (name);
  self->contract = g_key_file_new ();
  self->chains = g_ptr_array_new_with_free_func ((GDestroyNotify)g_strfreev);
  self->parameters = g_ptr_array_new_with_free_func ((GDestroyNotify)derush_parameter_free);
  if (!strchr (name, '/') && *name != '.') {
    text_path = derush_pipelines_find (text_file);
    contract_path = derush_pipelines_find (contract_file);
  }
  if (!text_path || !contract_path) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT, _ ("There is no pipeline template “%s”"), name);
    return NULL;
  }
  if (!read_text (self, text_path, error) || !read_contract (self, contract_path, error)) {
    g_prefix_error (error, "%s: ", name);
    return NULL;
  }
  return g_steal_pointer (&self);
}

void
derush_template_free (DerushTemplate *self)
{
  g_free (self->name);
  g_free (self->description);
  g_key_file_unref (self->contract);
  g_ptr_array_unref (self->chains);
  g_ptr_array_unref (self->parameters);
  g_clear_pointer (&self->input, derush_parameter_free);
  g_clear_pointer (&self->output, derush_parameter_free);
  g_free (self);
}

const char *
derush_template_get_name (DerushTemplate *self)
{
  return self->name;
}

const char *
derush_template_get_description (DerushTemplate *self)
{
  return self->description;
}

const char *
derush_template_get_input_element (DerushTemplate *self)
{
  return self->input ? self->input->element : NULL;
}

const char *
derush_template_get_output_element (DerushTemplate *self)
{
  return self->output ? self->output->element : NULL;
}

GStrv
derush_template_get_holds (DerushTemplate *self)
{
  return g_key_file_get_string_list (self->contract, "clip", "holds", NULL, NULL);
}

static DerushParameter *
find_parameter (DerushTemplate *self, const char *name, GError **error)
{
  for (guint i = 0; i < self->parameters->len; i++) {
    DerushParameter *parameter = g_ptr_array_index (self->parameters, i);

    if (strcmp (parameter->name, name) == 0)
      return parameter;
  }
  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The pipeline template “%s” has no parameter “%s”"), self->name, name);
  return NULL;
}

gboolean
derush_template_has_parameter (DerushTemplate *self, const char *name)
{
  return find_parameter (self, name, NULL) != NULL;
}

gboolean
derush_template_set_string (DerushTemplate *self, const char *name, const char *value, GError **error)
{
  DerushParameter *parameter = find_parameter (self, name, error);

  return parameter && derush_parameter_set (parameter, value, error);
}

gboolean
derush_template_set (DerushTemplate *self, const char *name, JsonNode *value, GError **error)
{
  DerushParameter *parameter = find_parameter (self, name, error);

  return parameter && derush_parameter_set_json (parameter, value, error);
}

gboolean
derush_template_set_int (DerushTemplate *self, const char *name, gint64 value, GError **error)
{
  char text[32];

  g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, value);
  return derush_template_set_string (self, name, text, error);
}

gboolean
derush_template_set_double (DerushTemplate *self, const char *name, double value, GError **error)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  return derush_template_set_string (self, name, g_ascii_dtostr (text, sizeof text, value), error);
}

static gboolean
set_place (DerushTemplate *self, DerushParameter *place, const char *path, GError **error)
{
  if (!place)
    return broken (self->name, _ ("it has no such place for a file"), error);
  return derush_parameter_set (place, path, error);
}

gboolean
derush_template_set_input (DerushTemplate *self, const char *path, GError **error)
{
  return set_place (self, self->input, path, error);
}

gboolean
derush_template_set_output (DerushTemplate *self, const char *path, GError **error)
{
  return set_place (self, self->output, path, error);
}

void
derush_template_drop_branch (DerushTemplate *self, const char *branch)
{
  g_autofree char *group = g_strconcat ("branch ", branch, NULL);
  g_auto (GStrv) elements = g_key_file_get_string_list (self->contract, group, "elements", NULL, NULL);

  for (guint i = 0; elements && elements[i]; i++) {
    for (guint j = self->chains->len; j-- > 0;)
      if (chain_has_element (g_ptr_array_index (self->chains, j), elements[i]))
        g_ptr_array_remove_index (self->chains, j);
    for (guint j = self->parameters->len; j-- > 0;) {
      DerushParameter *parameter = g_ptr_array_index (self->parameters, j);

      if (strcmp (parameter->element, elements[i]) == 0)
        g_ptr_array_remove_index (self->parameters, j);
    }
  }
}

static GError *
missing_elements_error (GstParseContext *context, const char *name)
{
  g_auto (GStrv) missing = gst_parse_context_get_missing_elements (context);
  g_autofree char *list = missing ? g_strjoinv (", ", missing) : NULL;

  if (!list)
    return NULL;
  return g_error_new (DERUSH_MEDIA_ERROR, DERUSH_ERROR_MISSING_PLUGIN,
                      _ ("The pipeline “%s” needs GStreamer elements that are not installed: %s; "
                         "install gstreamer1.0-plugins-base, -good, -bad, -ugly and gstreamer1.0-libav"),
                      name, list);
}

static gboolean
bind_one (DerushTemplate *self, GstElement *pipeline, DerushParameter *parameter, GError **error)
{
  g_autoptr (GstElement) element = NULL;

  if (!parameter || !parameter->value)
    return TRUE;
  element = gst_bin_get_by_name (GST_BIN (pipeline), parameter->element);
  if (!element)
    return broken (self->name, parameter->element, error);
  return derush_parameter_bind (parameter, element, error);
}

GstElement *
derush_template_build (DerushTemplate *self, GError **error)
{
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstParseContext) context = gst_parse_context_new ();
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GError) parse_error = NULL;

  for (guint i = 0; i < self->chains->len; i++) {
    g_autofree char *chain = g_strjoinv (" ", g_ptr_array_index (self->chains, i));

    g_string_append_printf (text, "%s\n", chain);
  }
  pipeline = gst_parse_launch_full (text->str, context, GST_PARSE_FLAG_FATAL_ERRORS, &parse_error);
  if (pipeline)
    gst_object_ref_sink (pipeline);
  if (parse_error) {
    GError *missing = missing_elements_error (context, self->name);

    if (missing)
      g_propagate_error (error, missing);
    else
      broken (self->name, parse_error->message, error);
    return NULL;
  }
  if (!GST_IS_PIPELINE (pipeline)) {
    broken (self->name, _ ("it is a single element"), error);
    return NULL;
  }
  for (guint i = 0; i < self->parameters->len; i++)
    if (!bind_one (self, pipeline, g_ptr_array_index (self->parameters, i), error))
      return NULL;
  if (!bind_one (self, pipeline, self->input, error) || !bind_one (self, pipeline, self->output, error))
    return NULL;
  return g_steal_pointer (&pipeline);
}

/* ── Printing ───────────────────────────────────────────────────────────── */

static void
append_word (GString *line, const char *word)
{
  static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%";
  g_autofree char *quoted = g_shell_quote (word);

  if (line->len > 0)
    g_string_append_c (line, ' ');
  g_string_append (line, word[strspn (word, safe)] == '\0' ? word : quoted);
}

/* gst-launch-1.0 joins its arguments and parses the text: blanks are kept within quotes, and \ and " are escaped. */
static char *
property_word (const char *property, const char *value)
{
  GString *word = g_string_new (NULL);

  g_string_append_printf (word, "%s=", property);
  if (*value && !strpbrk (value, " \\\"'!(){};#")) {
    g_string_append (word, value);
    return g_string_free (word, FALSE);
  }
  g_string_append_c (word, '"');
  for (const char *p = value; *p; p++) {
    if (*p == '"' || *p == '\\')
      g_string_append_c (word, '\\');
    g_string_append_c (word, *p);
  }
  g_string_append_c (word, '"');
  return g_string_free (word, FALSE);
}

static char *
caps_without_blanks (GstElement *element, const char *property)
{
  g_autoptr (GstCaps) caps = NULL;
  g_autofree char *text = NULL;
  GString *joined;

  g_object_get (element, property, &caps, NULL);
  text = gst_caps_to_string (caps);
  joined = g_string_new (text);
  g_string_replace (joined, ", ", ",", 0);
  g_string_replace (joined, "(string)", "", 0);
  g_string_replace (joined, "(int)", "", 0);
  g_string_replace (joined, "(fraction)", "", 0);
  return g_string_free (joined, FALSE);
}

static gboolean
is_bound (DerushParameter *parameter, const char *element)
{
  return parameter && parameter->value && strcmp (parameter->element, element) == 0;
}

static void
print_segment (DerushTemplate *self, GstElement *pipeline, char **words, guint length, GString *line)
{
  const char *name = name_of_segment (words, length);
  g_autoptr (GstElement) element = name ? gst_bin_get_by_name (GST_BIN (pipeline), name) : NULL;
  g_autoptr (GHashTable) values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (GList) keys = NULL;

  for (guint i = 0; name && i < self->parameters->len + 2; i++) {
    DerushParameter *parameter = i < self->parameters->len    ? g_ptr_array_index (self->parameters, i)
                                 : i == self->parameters->len ? self->input
                                                              : self->output;

    if (is_bound (parameter, name))
      g_hash_table_replace (values, g_strdup (parameter->property),
                            parameter->field ? caps_without_blanks (element, parameter->property)
                                             : g_strdup (parameter->value));
  }
  for (guint i = 0; i < length; i++) {
    const char *equals = strchr (words[i], '=');
    g_autofree char *property = equals ? g_strndup (words[i], equals - words[i]) : NULL;

    if (!property || i == 0 || !g_hash_table_contains (values, property))
      append_word (line, words[i]);
  }
  keys = g_list_sort (g_hash_table_get_keys (values), (GCompareFunc)strcmp);
  for (GList *key = keys; key; key = key->next) {
    g_autofree char *word = property_word (key->data, g_hash_table_lookup (values, key->data));

    append_word (line, word);
  }
}

char *
derush_template_print (DerushTemplate *self, GError **error)
{
  g_autoptr (GstElement) pipeline = derush_template_build (self, error);
  g_autoptr (GString) line = g_string_new (NULL);

  if (!pipeline)
    return NULL;
  g_string_append (line, "gst-launch-1.0");
  for (guint i = 0; i < self->chains->len; i++) {
    char **words = g_ptr_array_index (self->chains, i);

    while (*words) {
      guint length = segment_length (words);

      print_segment (self, pipeline, words, length, line);
      words += length;
      if (*words) {
        append_word (line, "!");
        words++;
      }
    }
  }
  return g_string_free (g_steal_pointer (&line), FALSE);
}
