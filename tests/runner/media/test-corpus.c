/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "harness.h"

#include <string.h>
#include <glib/gstdio.h>

/*
 * Every odd and broken film of the shared media goes through every step that reads films, in a real worker. Whatever
 * comes out, the worker lives, answers in time and in words; what must work works, and what must fail fails.
 */

#define TIMEOUT 60
#define AT_ONCE 2

typedef enum { EITHER, MUST_WORK, MUST_FAIL } Expectation;

typedef struct {
  char *file;
  Expectation expectation;
} Film;

typedef struct {
  GPtrArray *films; /* of Film */
  gint next;
} Queue;

static void
film_free (Film *film)
{
  g_free (film->file);
  g_free (film);
}

static void
check_answer (const TestAnswer *answer, const Film *film, const char *step)
{
  if (answer->died || answer->hung)
    g_error ("%s: %s %s", film->file, step, answer->died ? "killed the worker" : "hung");
  if (answer->result)
    return;
  g_assert_cmpstr (answer->message, !=, "");
  g_assert_null (strchr (answer->message, '\n'));
  /* An input, however odd, is never an error of ours that would be tried again. */
  if (!g_str_equal (answer->error_class, "bad-input") && !g_str_equal (answer->error_class, "unsupported") &&
      !g_str_equal (answer->error_class, "missing-plugin"))
    g_error ("%s: %s ended as %s: %s", film->file, step, answer->error_class, answer->message);
}

static void
check_result (TestWorker *worker, const Film *film, JsonObject *made, const char *directory)
{
  g_autofree char *text = derush_json_object_to_string (made);
  g_autofree char *results = g_strdup_printf ("{\"transcode\":%s}", text);
  g_autoptr (TestAnswer) answer =
      test_worker_run (worker, "check", "{\"file\":\"out.mp4\"}", results, NULL, directory, 0, TIMEOUT);

  if (answer->died || answer->hung)
    g_error ("%s: check %s", film->file, answer->died ? "killed the worker" : "hung");
  if (film->expectation == MUST_WORK)
    g_assert_cmpstr (answer->message, ==, NULL);
}

static void
run_film (TestWorker *worker, const Film *film, const char *directory)
{
  g_autoptr (TestAnswer) probe = test_worker_run (worker, "probe", NULL, NULL, film->file, directory, 0, TIMEOUT);
  g_autofree char *text = NULL;
  g_autofree char *results = NULL;
  g_autoptr (TestAnswer) transcode = NULL;
  g_autoptr (TestAnswer) analysis = NULL;
  g_autoptr (TestAnswer) stills = NULL;
  gboolean picture;

  check_answer (probe, film, "probe");
  if (film->expectation == MUST_WORK && !probe->result)
    g_error ("%s: %s", film->file, probe->message);
  if (!probe->result)
    return;
  picture = derush_json_get_object (probe->result, "video") != NULL;
  text = derush_json_object_to_string (probe->result);
  results = g_strdup_printf ("{\"probe\":%s}", text);
  transcode = test_worker_run (worker, "transcode", "{\"name\":\"out.mp4\",\"height\":240}", results, film->file,
                               directory, 0, TIMEOUT);
  check_answer (transcode, film, "transcode");
  if (film->expectation == MUST_WORK && picture && !transcode->result)
    g_error ("%s: %s", film->file, transcode->message);
  if (film->expectation == MUST_FAIL)
    g_assert_null (transcode->result);
  if (transcode->result)
    check_result (worker, film, transcode->result, directory);
  analysis = test_worker_run (worker, "analyse", NULL, results, film->file, directory, 0, TIMEOUT);
  check_answer (analysis, film, "analyse");
  if (!picture)
    return;
  stills = test_worker_run (worker, "thumbnails",
                            "{\"mode\":\"positions\",\"positions\":[0.5],\"width\":160,\"format\":\"jpg\"}", results,
                            film->file, directory, 0, TIMEOUT);
  check_answer (stills, film, "thumbnails");
  if (film->expectation == MUST_WORK && !stills->result)
    g_error ("%s: %s", film->file, stills->message);
}

static gpointer
run_queue (gpointer data)
{
  Queue *queue = data;
  g_autoptr (TestWorker) worker = test_worker_new ();
  char *directory = test_directory_new ();

  for (;;) {
    guint index = (guint)g_atomic_int_add (&queue->next, 1);

    if (index >= queue->films->len)
      break;
    run_film (worker, g_ptr_array_index (queue->films, index), directory);
  }
  test_directory_free (directory);
  return NULL;
}

static void
run_all (GPtrArray *films)
{
  Queue queue = {films, 0};
  GThread *threads[AT_ONCE];

  g_assert_cmpuint (films->len, >, 0);
  for (guint i = 0; i < AT_ONCE; i++)
    threads[i] = g_thread_new ("films", run_queue, &queue);
  for (guint i = 0; i < AT_ONCE; i++)
    g_thread_join (threads[i]);
}

/* @list: lines of NAME\tEXPECTATION…; @judge: what the second column means. */
static GPtrArray *
read_list (const char *list, const char *folder, Expectation (*judge) (const char *word))
{
  g_autofree char *contents = NULL;
  g_auto (GStrv) lines = NULL;
  GPtrArray *films = g_ptr_array_new_with_free_func ((GDestroyNotify)film_free);

  g_assert_true (g_file_get_contents (list, &contents, NULL, NULL));
  lines = g_strsplit (contents, "\n", -1);
  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) columns = g_strsplit (lines[i], "\t", 3);
    g_autofree char *path = NULL;
    Film *film;

    if (!columns[0] || !columns[1])
      continue;
    path = g_build_filename (folder, columns[0], NULL);
    /* A generator that lacks an encoder leaves its film out. */
    if (!g_file_test (path, G_FILE_TEST_EXISTS))
      continue;
    film = g_new0 (Film, 1);
    film->file = g_steal_pointer (&path);
    film->expectation = judge (columns[1]);
    g_ptr_array_add (films, film);
  }
  return films;
}

static Expectation
judge_edge_case (const char *word)
{
  return g_str_equal (word, "error") ? MUST_FAIL : MUST_WORK;
}

/* The second column is what another program makes of the file: information, not truth. */
static Expectation
judge_corpus (const char *word)
{
  return EITHER;
}

static void
generated_edge_cases (void)
{
  g_autofree char *script = g_build_filename (g_getenv ("DERUSH_SHARED"), "media", "edgecases.sh", NULL);
  g_autofree char *quoted = g_shell_quote (script);
  char *directory = test_directory_new ();
  g_autofree char *said = test_shell (directory, "bash %s films", quoted);
  g_autofree char *folder = g_build_filename (directory, "films", NULL);
  g_autofree char *list = g_build_filename (folder, "edgecases.tsv", NULL);
  g_autoptr (GPtrArray) films = read_list (list, folder, judge_edge_case);

  run_all (films);
  test_directory_free (directory);
}

static void
broken_films_of_the_field (void)
{
  g_autofree char *folder = g_build_filename (g_getenv ("DERUSH_SHARED"), "media", "edge_corpus", NULL);
  g_autofree char *list = g_build_filename (g_getenv ("DERUSH_SHARED"), "media", "edge_corpus.tsv", NULL);
  g_autoptr (GPtrArray) films = read_list (list, folder, judge_corpus);

  run_all (films);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_nonnull (g_getenv ("DERUSH_SHARED"));
  g_test_add_func ("/media/corpus/generated-edge-cases", generated_edge_cases);
  g_test_add_func ("/media/corpus/broken-films-of-the-field", broken_films_of_the_field);
  return g_test_run ();
}
