/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>

typedef struct {
  char *folder;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autofree char *made = g_dir_make_tmp ("derush-core-XXXXXX", NULL);

  fixture->folder = realpath (made, NULL);
  /* The machine's own settings must not reach the tests. */
  g_unsetenv ("DERUSH_CONFIG");
  g_unsetenv ("REDIS_PORT");
  g_unsetenv ("REDIS_PASSWORD");
  g_unsetenv ("DERUSH_OUTPUT_DIR");
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_assert_true (derush_directory_remove (fixture->folder, NULL));
  free (fixture->folder);
}

static char *
in_folder (Fixture *fixture, const char *name)
{
  return g_build_filename (fixture->folder, name, NULL);
}

static char *
contents_of (const char *path)
{
  char *contents = NULL;

  g_file_get_contents (path, &contents, NULL, NULL);
  return contents;
}

static guint
count_entries (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint count = 0;

  while (g_dir_read_name (dir))
    count++;
  return count;
}

/* ── Errors ── */

static void
test_error_classes (void)
{
  static const struct {
    DerushErrorClass error_class;
    const char *name;
    gboolean retry;
  } cases[] = {
      {DERUSH_ERROR_BAD_INPUT, "bad-input", FALSE},
      {DERUSH_ERROR_UNSUPPORTED, "unsupported", FALSE},
      {DERUSH_ERROR_MISSING_PLUGIN, "missing-plugin", FALSE},
      {DERUSH_ERROR_RESOURCE, "resource", TRUE},
      {DERUSH_ERROR_MODEL, "model", TRUE},
      {DERUSH_ERROR_STALLED, "stalled", TRUE},
      {DERUSH_ERROR_CANCELLED, "cancelled", FALSE},
      {DERUSH_ERROR_INTERNAL, "internal", TRUE},
  };
  DerushErrorClass parsed;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_assert_cmpstr (derush_error_class_to_string (cases[i].error_class), ==, cases[i].name);
    g_assert_true (derush_error_class_from_string (cases[i].name, &parsed));
    g_assert_cmpint (parsed, ==, cases[i].error_class);
    g_assert_cmpint (derush_error_class_can_retry (cases[i].error_class), ==, cases[i].retry);
  }
  g_assert_false (derush_error_class_from_string ("nonsense", &parsed));
  g_assert_false (derush_error_class_from_string (NULL, &parsed));
}

static void
test_errors_of_other_domains (void)
{
  g_autoptr (GError) cancelled = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CANCELLED, "");
  g_autoptr (GError) full = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_NO_SPACE, "");
  g_autoptr (GError) missing = g_error_new_literal (G_FILE_ERROR, G_FILE_ERROR_NOENT, "");
  g_autoptr (GError) ours = g_error_new_literal (DERUSH_CORE_ERROR, DERUSH_ERROR_STALLED, "");
  g_autoptr (GError) unknown = g_error_new_literal (g_quark_from_static_string ("elsewhere"), 3, "");

  g_assert_cmpint (derush_error_get_class (cancelled), ==, DERUSH_ERROR_CANCELLED);
  g_assert_cmpint (derush_error_get_class (full), ==, DERUSH_ERROR_RESOURCE);
  g_assert_cmpint (derush_error_get_class (missing), ==, DERUSH_ERROR_BAD_INPUT);
  g_assert_cmpint (derush_error_get_class (ours), ==, DERUSH_ERROR_STALLED);
  g_assert_cmpint (derush_error_get_class (unknown), ==, DERUSH_ERROR_INTERNAL);
}

/* What an error says of another attempt goes with its copies, and is never taken from one that cannot say it. */
static void
test_errors_say_more_than_their_class (void)
{
  GQuark domain = g_quark_from_static_string ("derush-test-error-quark");
  g_autoptr (GError) final = NULL, later = NULL, copy = NULL, moved = NULL;
  g_autoptr (GError) plain = g_error_new_literal (DERUSH_CORE_ERROR, DERUSH_ERROR_MODEL, "");
  g_autoptr (GError) input = NULL;

  derush_error_domain_register_extended (domain);
  final = g_error_new_literal (domain, DERUSH_ERROR_MODEL, "refused");
  later = g_error_new_literal (domain, DERUSH_ERROR_RESOURCE, "busy");
  input = g_error_new_literal (domain, DERUSH_ERROR_BAD_INPUT, "empty");
  g_assert_true (derush_error_can_retry (final) && derush_error_can_retry (later) && derush_error_can_retry (plain));
  g_assert_false (derush_error_can_retry (input));
  g_assert_cmpint (derush_error_get_retry_at (later), ==, 0);
  derush_error_set_final (final);
  derush_error_set_retry_at (later, 1764000000123);
  derush_error_set_final (plain);
  derush_error_set_retry_at (plain, 5);
  derush_error_set_final (NULL);
  copy = g_error_copy (final);
  g_propagate_prefixed_error (&moved, g_steal_pointer (&later), "so it is: ");
  g_assert_false (derush_error_can_retry (copy));
  g_assert_cmpint (derush_error_get_class (copy), ==, DERUSH_ERROR_MODEL);
  g_assert_cmpint (derush_error_get_retry_at (moved), ==, 1764000000123);
  g_assert_true (derush_error_can_retry (moved) && derush_error_can_retry (plain));
  g_assert_cmpint (derush_error_get_retry_at (plain), ==, 0);
}

/* ── Configuration ── */

static void
test_environment_wins_over_the_file (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = in_folder (fixture, "derush.conf");
  g_autoptr (DerushConfig) config = NULL;

  g_assert_true (g_file_set_contents (path, "[derush]\nREDIS_PORT=7001\nREDIS_HOST=elsewhere\n", -1, NULL));
  g_setenv ("DERUSH_CONFIG", path, TRUE);
  g_setenv ("REDIS_PORT", "7002", TRUE);
  g_unsetenv ("REDIS_HOST");
  config = derush_config_load (NULL);
  g_assert_nonnull (config);
  g_assert_cmpint (derush_config_get_int (config, "REDIS_PORT"), ==, 7002);
  g_assert_cmpstr (derush_config_get_string (config, "REDIS_HOST"), ==, "elsewhere");
  g_assert_cmpstr (derush_config_get_string (config, "BULLMQ_PREFIX"), ==, "bull");
}

static void
test_a_wrong_value_is_named (Fixture *fixture, gconstpointer data)
{
  static const char *const wrong[] = {"70000", "0", "-1", "12x", "6379 ", "9999999999999999999999"};

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GError) error = NULL;

    g_setenv ("REDIS_PORT", wrong[i], TRUE);
    g_assert_null (derush_config_load (&error));
    g_assert_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT);
    g_assert_nonnull (strstr (error->message, "REDIS_PORT"));
    g_assert_nonnull (strstr (error->message, wrong[i]));
    g_assert_nonnull (strstr (error->message, "65535"));
  }
  g_unsetenv ("REDIS_PORT");
}

static void
test_an_unknown_setting_in_the_file_is_refused (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = in_folder (fixture, "derush.conf");
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, "[derush]\nREDIS_PROT=7001\n", -1, NULL));
  g_setenv ("DERUSH_CONFIG", path, TRUE);
  g_assert_null (derush_config_load (&error));
  g_assert_nonnull (strstr (error->message, "REDIS_PROT"));
  g_unsetenv ("DERUSH_CONFIG");
}

static void
test_an_empty_variable_is_an_unset_one (Fixture *fixture, gconstpointer data)
{
  g_autoptr (DerushConfig) config = NULL;

  g_setenv ("REDIS_PORT", "", TRUE);
  config = derush_config_load (NULL);
  g_assert_nonnull (config);
  g_assert_cmpint (derush_config_get_int (config, "REDIS_PORT"), ==, 6379);
}

/* ── Logs ── */

static void
test_secrets_are_redacted_by_value (Fixture *fixture, gconstpointer data)
{
  g_autofree char *whole = NULL, *password = NULL;
  g_autoptr (DerushConfig) config = NULL;

  g_setenv ("DATABASE_URL", "postgresql://u:hunter2secret@db/video", TRUE);
  g_setenv ("REDIS_PASSWORD", "redis-pass-word", TRUE);
  config = derush_config_load (NULL);
  g_assert_nonnull (config);
  whole = derush_log_redact ("connect postgresql://u:hunter2secret@db/video failed");
  g_assert_null (strstr (whole, "hunter2secret"));
  password = derush_log_redact ("password hunter2secret or redis-pass-word");
  g_assert_null (strstr (password, "hunter2secret"));
  g_assert_null (strstr (password, "redis-pass-word"));
  g_assert_nonnull (strstr (password, " or "));
  g_unsetenv ("DATABASE_URL");
}

static void
test_a_log_line_is_one_json_object (Fixture *fixture, gconstpointer data)
{
  if (g_test_subprocess ()) {
    JsonObject *fields = json_object_new ();

    json_object_set_string_member (fields, "jobId", "a\nb");
    derush_log (DERUSH_LOG_INFO, fields, "line one\nline two %d", 7);
    derush_log (DERUSH_LOG_DEBUG, NULL, "not written at this level");
    return;
  }
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("*{\"level\":\"info\",\"message\":\"line one\\nline two 7\",\"timestamp\":\"20*Z\","
                             "\"jobId\":\"a\\nb\"}\n*");
  g_test_trap_assert_stderr_unmatched ("*not written*");
}

/* ── JSON ── */

static void
test_deep_json_is_refused (void)
{
  g_autoptr (GString) deep = g_string_new (NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 200000; i++)
    g_string_append_c (deep, '[');
  g_assert_null (derush_json_parse (deep->str, deep->len, &error));
  g_assert_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_nonnull (strstr (error->message, "64"));
}

static void
test_json_mended (void)
{
  static const struct {
    const char *text, *read;
  } cases[] = {
      {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
      {"\"cut \\ud83d\"", "\"cut \xef\xbf\xbd\""},
      {"\"\\ude00 begins\"", "\"\xef\xbf\xbd begins\""},
      {"\"\\ud83d\\ud83d\\ude00\"", "\"\xef\xbf\xbd\xf0\x9f\x98\x80\""},
      {"\"\\\\ud83d\"", "\"\\\\ud83d\""},
      {"[9223372036854775807]", "[9223372036854775807]"},
      {"[-9223372036854775807]", "[-9223372036854775807]"},
      {"[100000000000000000000]", "[1e+20]"},
      {"[-100000000000000000000,1]", "[-1e+20,1]"},
      {"[1234567890123456789012.5]", "[1.2345678901234568e+21]"},
      {"\"100000000000000000000\"", "\"100000000000000000000\""},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) node = derush_json_parse (cases[i].text, -1, &error);
    g_autofree char *text = node ? derush_json_node_to_string (node) : NULL;

    g_assert_no_error (error);
    g_assert_true (g_utf8_validate (text, -1, NULL));
    g_assert_cmpstr (text, ==, cases[i].read);
  }
}

static void
test_texts_that_c_would_cut_short_are_refused (void)
{
  static const char *const refused[] = {"[\"/films/a.mp4\\u0000x\"]", "{\"a\\u0000b\":1}", "\"\\\\\\u0000\""};
  g_autoptr (JsonNode) node = derush_json_parse ("[\"\\\\u0000\", \"\\\"\", \"u0000\"]", -1, NULL);

  g_assert_nonnull (node); /* a backslash, and not the character */
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (derush_json_parse (refused[i], -1, &error));
    g_assert_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT);
  }
}

static void
test_brackets_in_strings_do_not_count_as_depth (void)
{
  g_autoptr (GString) text = g_string_new ("[\"\\\"");
  g_autoptr (JsonNode) node = NULL;

  for (guint i = 0; i < 1000; i++)
    g_string_append_c (text, '{');
  g_string_append (text, "\"]");
  node = derush_json_parse (text->str, text->len, NULL);
  g_assert_nonnull (node);
}

/* 1e+308.0, which json-glib's generator writes, is no JSON. */
static void
test_what_is_written_reads_back (void)
{
  static const double numbers[] = {0, -0.5, 1, 0.1, 52.208, 1e15, 1e16, 1e20, 1e308, -1e-10, 5e-324, 1.0 / 3};
  g_autoptr (JsonObject) object = json_object_new (), back = NULL, empty = NULL;
  g_autofree char *text = NULL;
  JsonArray *array = json_array_new ();
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    json_array_add_double_element (array, numbers[i]);
  json_array_add_double_element (array, INFINITY);
  json_array_add_double_element (array, NAN);
  json_object_set_array_member (object, "numbers", array);
  json_object_set_string_member (object, "quote\"\\\n", "a\tb\001\177\xc3\xa9");
  json_object_set_int_member (object, "int", G_MININT64);
  json_object_set_object_member (object, "empty", json_object_new ());
  text = derush_json_object_to_string (object);
  g_assert_null (strpbrk (text, "\n\t\001"));
  g_assert_nonnull (strstr (text, "52.208,"));
  back = derush_json_parse_object (text, -1, &error);
  g_assert_no_error (error);
  array = json_object_get_array_member (back, "numbers");
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    g_assert_true (json_array_get_double_element (array, i) == numbers[i]);
  g_assert_true (json_array_get_null_element (array, G_N_ELEMENTS (numbers)));
  g_assert_true (json_array_get_null_element (array, G_N_ELEMENTS (numbers) + 1));
  g_assert_cmpstr (derush_json_get_string (back, "quote\"\\\n", NULL), ==, "a\tb\001\177\xc3\xa9");
  g_assert_cmpint (derush_json_get_int (back, "int", 0), ==, G_MININT64);
  g_assert_cmpuint (json_object_get_size (derush_json_get_object (back, "empty")), ==, 0);
}

static void
test_bad_json_is_refused (void)
{
  static const char *const bad[] = {"", "{", "{\"a\":}", "\"\xff\xfe\"", "[1,2", "nonsense"};

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (JsonNode) node = derush_json_parse (bad[i], -1, &error);

    g_assert_null (node);
    g_assert_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT);
  }
}

static void
test_getters_return_the_fallback_for_another_type (void)
{
  g_autoptr (JsonObject) object =
      derush_json_parse_object ("{\"s\":\"x\",\"i\":7,\"d\":2.5,\"b\":true,\"n\":null,\"a\":[1],\"o\":{}}", -1, NULL);

  g_assert_cmpstr (derush_json_get_string (object, "s", "f"), ==, "x");
  g_assert_cmpstr (derush_json_get_string (object, "i", "f"), ==, "f");
  g_assert_cmpstr (derush_json_get_string (object, "n", "f"), ==, "f");
  g_assert_cmpint (derush_json_get_int (object, "i", 1), ==, 7);
  g_assert_cmpint (derush_json_get_int (object, "d", 1), ==, 2);
  g_assert_cmpint (derush_json_get_int (object, "s", 1), ==, 1);
  g_assert_cmpfloat (derush_json_get_number (object, "i", 1), ==, 7.0);
  g_assert_true (isnan (derush_json_get_number (object, "missing", NAN)));
  g_assert_true (derush_json_get_boolean (object, "b", FALSE));
  g_assert_false (derush_json_get_boolean (object, "i", FALSE));
  g_assert_nonnull (derush_json_get_array (object, "a"));
  g_assert_null (derush_json_get_array (object, "o"));
  g_assert_nonnull (derush_json_get_object (object, "o"));
  g_assert_null (derush_json_get_object (NULL, "o"));
}

/* ── Files ── */

static void
test_a_write_that_fails_leaves_the_old_file (Fixture *fixture, gconstpointer data)
{
  g_autofree char *folder = in_folder (fixture, "there"), *path = g_build_filename (folder, "file", NULL);
  g_autofree char *missing = in_folder (fixture, "missing/file"), *after = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  g_assert_true (derush_file_write_atomically (path, "old", -1, NULL));
  g_assert_true (derush_file_write_atomically (path, "new", -1, NULL));
  after = contents_of (path);
  g_assert_cmpstr (after, ==, "new");
  g_assert_cmpuint (count_entries (folder), ==, 1);
  g_assert_false (derush_file_write_atomically (missing, "x", -1, &error));
  g_assert_nonnull (strstr (error->message, missing));
}

static void
test_a_file_is_published_whole (Fixture *fixture, gconstpointer data)
{
  g_autofree char *source = in_folder (fixture, "source.part"), *out = in_folder (fixture, "out"), *published = NULL;
  g_autofree char *after = NULL;

  g_assert_cmpint (g_mkdir (out, 0700), ==, 0);
  g_assert_true (g_file_set_contents (source, "film", -1, NULL));
  g_assert_true (derush_file_publish (source, out, "a 'b\" $x.mp4", &published, NULL));
  after = contents_of (published);
  g_assert_cmpstr (after, ==, "film");
  g_assert_false (g_file_test (source, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (count_entries (out), ==, 1);
}

static void
test_a_file_is_published_across_file_systems (Fixture *fixture, gconstpointer data)
{
  g_autofree char *source = g_strdup ("/dev/shm/derush-core-XXXXXX"), *published = NULL, *after = NULL;
  int fd = g_mkstemp (source);

  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, "film", 4), ==, 4);
  close (fd);
  g_assert_true (derush_file_publish (source, fixture->folder, "a.mp4", &published, NULL));
  after = contents_of (published);
  g_assert_cmpstr (after, ==, "film");
  g_assert_false (g_file_test (source, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (count_entries (fixture->folder), ==, 1);
}

static void
test_removing_a_folder_does_not_follow_links (Fixture *fixture, gconstpointer data)
{
  g_autofree char *keep = in_folder (fixture, "keep"), *kept = g_build_filename (keep, "film", NULL);
  g_autofree char *gone = in_folder (fixture, "gone"), *link = g_build_filename (gone, "link", NULL);

  g_assert_cmpint (g_mkdir (keep, 0700), ==, 0);
  g_assert_cmpint (g_mkdir (gone, 0700), ==, 0);
  g_assert_true (g_file_set_contents (kept, "film", -1, NULL));
  g_assert_cmpint (symlink (keep, link), ==, 0);
  g_assert_true (derush_directory_remove (gone, NULL));
  g_assert_true (derush_directory_remove (gone, NULL));
  g_assert_false (g_file_test (gone, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (kept, G_FILE_TEST_EXISTS));
}

static void
test_paths_are_confined_after_resolving_links (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *path;
    const char *resolved; /* NULL: refused */
  } cases[] = {
      {"in/film", "in/film"},
      {"in/new/deep/file", "in/new/deep/file"},
      {"in/../in/film", "in/film"},
      {"in/./film", "in/film"},
      {"in", "in"},
      {"in/link-in/film", "in/film"},
      {"out/film", NULL},
      {"in/../out/film", NULL},
      {"in/link-out/film", NULL},
      {"in/link-out/new", NULL},
      {"in/dangling", NULL},
      {"in/dangling/x", NULL},
      {"inside/film", NULL},
  };
  g_autofree char *in = in_folder (fixture, "in"), *out = in_folder (fixture, "out"),
                  *inside = in_folder (fixture, "inside");
  g_autofree char *film = in_folder (fixture, "in/film"), *other = in_folder (fixture, "out/film");
  g_autofree char *link_in = in_folder (fixture, "in/link-in"), *link_out = in_folder (fixture, "in/link-out");
  g_autofree char *dangling = in_folder (fixture, "in/dangling"), *nowhere = in_folder (fixture, "out/later");
  const char *roots[] = {in, NULL};

  g_assert_cmpint (g_mkdir (in, 0700) | g_mkdir (out, 0700) | g_mkdir (inside, 0700), ==, 0);
  g_assert_true (g_file_set_contents (film, "x", -1, NULL) && g_file_set_contents (other, "x", -1, NULL));
  g_assert_cmpint (symlink (in, link_in) | symlink (out, link_out) | symlink (nowhere, dangling), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_strconcat (fixture->folder, "/", cases[i].path, NULL);
    g_autofree char *expected = cases[i].resolved ? in_folder (fixture, cases[i].resolved) : NULL;
    g_autoptr (GError) error = NULL;
    g_autofree char *confined = derush_path_confine (path, roots, &error);

    g_test_message ("%s", cases[i].path);
    g_assert_cmpstr (confined, ==, expected);
    g_assert_cmpint (confined == NULL, ==, error != NULL);
  }
}

static void
test_relative_paths_are_refused (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (derush_path_confine ("films/a.mp4", NULL, &error));
  g_assert_error (error, DERUSH_CORE_ERROR, DERUSH_ERROR_BAD_INPUT);
}

static void
test_times_look_like_those_of_node (void)
{
  g_autofree char *text = derush_time_to_iso8601 (G_GINT64_CONSTANT (1795478961574));

  g_assert_cmpstr (text, ==, "2026-11-24T00:09:21.574Z");
}

#define ADD(path, function) g_test_add (path, Fixture, NULL, set_up, function, tear_down)

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/core/errors/each-class-says-whether-a-retry-helps", test_error_classes);
  g_test_add_func ("/core/errors/those-of-other-domains-have-a-class", test_errors_of_other_domains);
  g_test_add_func ("/core/errors/what-they-say-of-another-attempt-goes-with-them",
                   test_errors_say_more_than_their_class);
  ADD ("/core/config/the-environment-wins-over-the-file", test_environment_wins_over_the_file);
  ADD ("/core/config/a-wrong-value-is-named-with-what-is-allowed", test_a_wrong_value_is_named);
  ADD ("/core/config/an-unknown-setting-in-the-file-is-refused", test_an_unknown_setting_in_the_file_is_refused);
  ADD ("/core/config/an-empty-variable-is-an-unset-one", test_an_empty_variable_is_an_unset_one);
  ADD ("/core/log/secrets-are-redacted-by-value", test_secrets_are_redacted_by_value);
  ADD ("/core/log/a-line-is-one-json-object", test_a_log_line_is_one_json_object);
  g_test_add_func ("/core/json/half-characters-and-large-numbers-become-ones-that-can-be-kept", test_json_mended);
  g_test_add_func ("/core/json/deep-json-is-refused", test_deep_json_is_refused);
  g_test_add_func ("/core/json/texts-that-c-would-cut-short-are-refused",
                   test_texts_that_c_would_cut_short_are_refused);
  g_test_add_func ("/core/json/brackets-in-strings-do-not-count-as-depth",
                   test_brackets_in_strings_do_not_count_as_depth);
  g_test_add_func ("/core/json/what-is-written-reads-back", test_what_is_written_reads_back);
  g_test_add_func ("/core/json/bad-json-is-refused", test_bad_json_is_refused);
  g_test_add_func ("/core/json/getters-return-the-fallback-for-another-type",
                   test_getters_return_the_fallback_for_another_type);
  ADD ("/core/files/a-write-that-fails-leaves-the-old-file", test_a_write_that_fails_leaves_the_old_file);
  ADD ("/core/files/a-file-is-published-whole", test_a_file_is_published_whole);
  ADD ("/core/files/a-file-is-published-across-file-systems", test_a_file_is_published_across_file_systems);
  ADD ("/core/files/removing-a-folder-does-not-follow-links", test_removing_a_folder_does_not_follow_links);
  ADD ("/core/files/paths-are-confined-after-resolving-links", test_paths_are_confined_after_resolving_links);
  g_test_add_func ("/core/files/relative-paths-are-refused", test_relative_paths_are_refused);
  g_test_add_func ("/core/time/times-look-like-those-of-node", test_times_look_like_those_of_node);
  return g_test_run ();
}
