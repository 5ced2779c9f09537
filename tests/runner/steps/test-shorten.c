/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "steps/run-private.h"

#include <string.h>

static JsonObject *
value_of_thumbnails (guint n)
{
  g_autoptr (GString) text = g_string_new ("{\"success\":true,\"rejected\":[1,2,3],\"thumbnails\":[");

  for (guint i = 0; i < n; i++)
    g_string_append_printf (
        text,
        "%s{\"filePath\":\"/srv/films/out/v1/v1-thumbnail-%03u.jpg\",\"time\":%u.5,\"position\":0.5,"
        "\"width\":640,\"height\":360,\"fileSize\":50000,\"format\":\"jpg\",\"score\":0.5,"
        "\"reasons\":[\"sharp\"]}",
        i ? "," : "", i, i);
  g_string_append (text, "],\"outputs\":[");
  for (guint i = 0; i < n; i++)
    g_string_append_printf (
        text,
        "{\"role\":\"thumbnail\",\"path\":\"/srv/films/out/v1/v1-thumbnail-%03u.jpg\",\"size\":50000,"
        "\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"},",
        i);
  g_string_append (
      text, "{\"role\":\"vtt\",\"path\":\"/srv/films/out/v1/v1-storyboard.vtt\",\"size\":5,\"sha256\":\"e3\"}]}");
  return derush_json_parse_object (text->str, -1, NULL);
}

static gsize
length_of (JsonObject *value)
{
  g_autofree char *text = derush_json_object_to_string (value);

  return strlen (text);
}

static guint
items_of (JsonObject *value, const char *name)
{
  return json_array_get_length (json_object_get_array_member (value, name));
}

static void
test_short (void)
{
  g_autoptr (JsonObject) value = value_of_thumbnails (5);
  JsonObject *same = value;

  g_assert_false (derush_return_value_shorten (&value));
  g_assert_true (value == same);
}

/* What people asked for stays whole for as long as anything else can go. */
static void
test_details_go_first (void)
{
  g_autoptr (JsonObject) checksums = value_of_thumbnails (52), outputs = value_of_thumbnails (70);

  g_assert_cmpuint (length_of (checksums), >, 16384);
  g_assert_true (derush_return_value_shorten (&checksums));
  g_assert_cmpuint (length_of (checksums), <=, 16384);
  g_assert_cmpuint (items_of (checksums, "thumbnails"), ==, 52);
  g_assert_cmpuint (items_of (checksums, "outputs"), ==, 53);
  g_assert_true (derush_return_value_shorten (&outputs));
  g_assert_cmpuint (length_of (outputs), <=, 16384);
  g_assert_cmpuint (items_of (outputs, "thumbnails"), ==, 70);
  g_assert_cmpuint (items_of (outputs, "outputs"), ==, 1);
}

static void
test_lists_go_last (void)
{
  g_autoptr (JsonObject) value = value_of_thumbnails (1000);

  g_assert_true (derush_return_value_shorten (&value));
  g_assert_cmpuint (length_of (value), <=, 16384);
  g_assert_cmpuint (items_of (value, "thumbnails"), >, 20);
  g_assert_true (json_object_get_boolean_member (value, "success"));
}

static void
test_long_texts_lose_their_end (void)
{
  g_autoptr (JsonObject) value = json_object_new ();
  g_autoptr (GString) text = g_string_new (NULL);
  const char *kept;

  for (guint i = 0; i < 20000; i++)
    g_string_append (text, "élan ");
  json_object_set_string_member (value, "jobType", "TRANSCRIPTION");
  json_object_set_string_member (value, "text", text->str);
  g_assert_true (derush_return_value_shorten (&value));
  g_assert_cmpuint (length_of (value), <=, 16384);
  kept = json_object_get_string_member (value, "text");
  g_assert_cmpuint (strlen (kept), >, 4096);
  g_assert_true (g_utf8_validate (kept, -1, NULL));
  g_assert_true (g_str_has_suffix (kept, "…"));
  g_assert_true (strncmp (kept, text->str, strlen (kept) - strlen ("…")) == 0);
  g_assert_cmpstr (json_object_get_string_member (value, "jobType"), ==, "TRANSCRIPTION");
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/steps/shorten/what-is-short-stays-as-it-is", test_short);
  g_test_add_func ("/steps/shorten/details-go-before-anything-that-was-asked-for", test_details_go_first);
  g_test_add_func ("/steps/shorten/long-lists-lose-their-end", test_lists_go_last);
  g_test_add_func ("/steps/shorten/long-texts-lose-their-end", test_long_texts_lose_their_end);
  return g_test_run ();
}
