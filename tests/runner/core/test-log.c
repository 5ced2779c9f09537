/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/log-private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* ── What is debugged ── */

static void
test_patterns_choose_by_name (void)
{
  static const struct {
    const char *patterns, *file;
    gboolean matches;
  } cases[] = {
      {"derush:bullmq", "../runner/bullmq/keeper.c", TRUE},
      {"derush:bullmq", "../runner/steps/process.c", FALSE},
      {"derush:steps:process", "/src/derush/runner/steps/process.c", TRUE},
      {"derush:steps:proc", "../runner/steps/process.c", FALSE},
      {"derush:steps:proc*", "../runner/steps/process.c", TRUE},
      {"derush:*", "runner/steps/process.c", TRUE},
      {"*", "../runner/core/log.c", TRUE},
      {"express:*,derush:steps bull:*", "../runner/steps/process.c", TRUE},
      {"derush:*,-derush:steps", "../runner/steps/process.c", FALSE},
      {"-derush:steps,derush:*", "../runner/bullmq/keeper.c", TRUE},
      {"derush", "../runner/bullmq/keeper.c", TRUE},
      {"", "../runner/bullmq/keeper.c", FALSE},
      {"1", "../runner/bullmq/keeper.c", FALSE},
      {"true", "../runner/bullmq/keeper.c", FALSE},
      {"-*", "../runner/bullmq/keeper.c", FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    if (log_patterns_match (cases[i].patterns, cases[i].file) != cases[i].matches)
      g_error ("“%s” and %s", cases[i].patterns, cases[i].file);
}

/* What is written to stderr while @body runs. */
static char *
capture (void (*body) (void))
{
  g_autofree char *path = NULL;
  char *text = NULL;
  int fd = g_file_open_tmp ("derush-log-XXXXXX", &path, NULL), before = dup (STDERR_FILENO);

  dup2 (fd, STDERR_FILENO);
  body ();
  dup2 (before, STDERR_FILENO);
  close (before);
  close (fd);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_unlink (path);
  return text;
}

static void
say_debug (void)
{
  derush_log_at ("../runner/bullmq/keeper.c", DERUSH_LOG_DEBUG, NULL, "from bullmq");
  derush_log_at ("../runner/steps/process.c", DERUSH_LOG_DEBUG, NULL, "from steps");
  derush_log_at ("../runner/steps/process.c", DERUSH_LOG_INFO, NULL, "information");
}

static void
test_debug_lines_are_written_where_a_pattern_wants_them (void)
{
  g_autofree char *none = NULL, *some = NULL, *shared = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (JsonObject) line = NULL;

  derush_log_set_level (DERUSH_LOG_INFO);
  g_unsetenv ("DEBUG");
  derush_log_set_debug ("");
  none = capture (say_debug);
  g_assert_null (strstr (none, "from"));
  g_assert_nonnull (strstr (none, "information"));
  g_assert_null (strstr (none, "namespace"));
  derush_log_set_debug ("derush:bullmq");
  some = capture (say_debug);
  lines = g_strsplit (some, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, 3);
  line = derush_json_parse_object (lines[0], -1, NULL);
  g_assert_cmpstr (derush_json_get_string (line, "message", NULL), ==, "from bullmq");
  g_assert_cmpstr (derush_json_get_string (line, "level", NULL), ==, "debug");
  g_assert_cmpstr (derush_json_get_string (line, "namespace", NULL), ==, "derush:bullmq:keeper");
  g_setenv ("DEBUG", "express:*,derush:steps*", TRUE);
  derush_log_set_debug ("");
  shared = capture (say_debug);
  g_assert_null (strstr (shared, "from bullmq"));
  g_assert_nonnull (strstr (shared, "from steps"));
  g_unsetenv ("DEBUG");
  derush_log_set_debug ("");
}

/* ── Secrets ── */

static void
say_secrets (void)
{
  JsonObject *fields = json_object_new (), *result = json_object_new ();

  json_object_set_string_member (result, "url", "host/?key=a%22b%20c%2F1");
  json_object_set_string_member (fields, "jobId", "a\"b c/1");
  json_object_set_object_member (fields, "result", result);
  derush_log (DERUSH_LOG_INFO, fields, "with a\"b c/1 and longer-one and longer");
}

static void
test_secrets_are_hidden_in_every_form (void)
{
  g_autofree char *text = NULL;
  g_autoptr (JsonObject) line = NULL;

  derush_log_add_secret ("a\"b c/1");
  derush_log_add_secret ("longer");
  derush_log_add_secret ("longer-one");
  text = capture (say_secrets);
  line = derush_json_parse_object (text, -1, NULL);
  g_assert_nonnull (line);
  g_assert_cmpstr (derush_json_get_string (line, "message", NULL), ==, "with [redacted] and [redacted] and [redacted]");
  g_assert_cmpstr (derush_json_get_string (line, "jobId", NULL), ==, "[redacted]");
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (line, "result"), "url", NULL), ==,
                   "host/?key=[redacted]");
}

static void
test_a_password_of_an_address_is_hidden_as_it_is_and_as_it_is_written (void)
{
  g_autofree char *redacted = NULL;

  derush_log_add_secret ("postgresql://me:p%40ss%2Fword@host/db");
  redacted = derush_log_redact ("p@ss/word, p%40ss%2Fword");
  g_assert_cmpstr (redacted, ==, "[redacted], [redacted]");
}

/* ── The journal ── */

static void
test_the_journal_is_known_by_device_and_inode (void)
{
  g_autofree char *path = NULL, *right = NULL, *wrong = NULL;
  int fd = g_file_open_tmp ("derush-journal-XXXXXX", &path, NULL);
  struct stat status;

  g_assert_cmpint (fstat (fd, &status), ==, 0);
  right = g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)status.st_dev, (guint64)status.st_ino);
  wrong =
      g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64)status.st_dev, (guint64)status.st_ino + 1);
  g_assert_true (journal_is_stream (fd, right));
  g_assert_false (journal_is_stream (fd, wrong));
  g_assert_false (journal_is_stream (fd, "nonsense"));
  g_assert_false (journal_is_stream (fd, NULL));
  close (fd);
  g_unlink (path);
}

static void
test_an_entry_of_the_journal_has_a_field_for_each_member (void)
{
  g_autofree char *folder = g_dir_make_tmp ("derush-journal-XXXXXX", NULL),
                  *path = g_build_filename (folder, "socket", NULL);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  g_autoptr (JsonObject) line = derush_json_parse_object (
      "{\"level\":\"warn\",\"message\":\"one\\ntwo\",\"timestamp\":\"x\",\"jobId\":\"7\",\"processingTime\":12,"
      "\"result\":{\"success\":true},\"workflowId\":\"w\"}",
      -1, NULL);
  static const char *const fields[] = {"PRIORITY=4\n",
                                       "DERUSH_JOB_ID=7\n",
                                       "DERUSH_PROCESSING_TIME=12\n",
                                       "DERUSH_RESULT={\"success\":true}\n",
                                       "DERUSH_WORKFLOW_ID=w\n",
                                       "SYSLOG_IDENTIFIER="};
  static const char message[] = "MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\n";
  int server = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), client;
  char buffer[4096];
  gssize length;

  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  g_assert_cmpint (journal_connect (path), ==, -1);
  g_assert_cmpint (bind (server, (struct sockaddr *)&address, sizeof address), ==, 0);
  client = journal_connect (path);
  g_assert_cmpint (client, >=, 0);
  g_assert_true (journal_send (client, line));
  length = recv (server, buffer, sizeof buffer - 1, MSG_DONTWAIT);
  g_assert_cmpint (length, >, (gssize)sizeof message);
  buffer[length] = '\0';
  g_assert_cmpmem (buffer, sizeof message - 1, message, sizeof message - 1);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    if (!strstr (buffer + sizeof message - 1, fields[i]))
      g_error ("%s is missing in %s", fields[i], buffer + sizeof message - 1);
  close (client);
  close (server);
  /* Nobody there any more: the caller writes the line to stderr. */
  g_unlink (path);
  client = journal_connect (path);
  g_assert_cmpint (client, ==, -1);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/core/log/patterns-choose-by-name", test_patterns_choose_by_name);
  g_test_add_func ("/core/log/debug-lines-are-written-where-a-pattern-wants-them",
                   test_debug_lines_are_written_where_a_pattern_wants_them);
  g_test_add_func ("/core/log/secrets-are-hidden-in-every-form", test_secrets_are_hidden_in_every_form);
  g_test_add_func ("/core/log/a-password-of-an-address-is-hidden-as-it-is-and-as-it-is-written",
                   test_a_password_of_an_address_is_hidden_as_it_is_and_as_it_is_written);
  g_test_add_func ("/core/log/the-journal-is-known-by-device-and-inode", test_the_journal_is_known_by_device_and_inode);
  g_test_add_func ("/core/log/an-entry-of-the-journal-has-a-field-for-each-member",
                   test_an_entry_of_the_journal_has_a_field_for_each_member);
  return g_test_run ();
}
