/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/core.h"

#include <string.h>
#include <unistd.h>

/* ── A reader of the text format, as strict as Prometheus' own ── */

typedef struct {
  GHashTable *types;   /* family → type */
  GHashTable *samples; /* `name{labels}` as written → value as text */
} Parsed;

static void
parsed_free (Parsed *parsed)
{
  g_hash_table_unref (parsed->types);
  g_hash_table_unref (parsed->samples);
  g_free (parsed);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Parsed, parsed_free)

static const char *
skip_name (const char *p)
{
  g_assert_true (g_ascii_isalpha (*p) || *p == '_');
  while (g_ascii_isalnum (*p) || *p == '_')
    p++;
  return p;
}

static const char *
skip_labels (const char *p)
{
  if (*p != '{')
    return p;
  do {
    p = skip_name (p + 1);
    g_assert_true (g_str_has_prefix (p, "=\""));
    for (p += 2; *p != '"'; p++) {
      g_assert_cmpint (*p, !=, '\0');
      if (*p == '\\') {
        p++;
        g_assert_nonnull (strchr ("\\n\"", *p));
      }
    }
    p++;
  } while (*p == ',');
  g_assert_cmpint (*p, ==, '}');
  return p + 1;
}

static char *
family_of (const char *name, GHashTable *types)
{
  static const char *const suffixes[] = {"_bucket", "_sum", "_count"};

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    if (g_str_has_suffix (name, suffixes[i])) {
      g_autofree char *family = g_strndup (name, strlen (name) - strlen (suffixes[i]));

      if (g_strcmp0 (g_hash_table_lookup (types, family), "histogram") == 0)
        return g_steal_pointer (&family);
    }
  return g_strdup (name);
}

static Parsed *
parse (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  Parsed *parsed = g_new0 (Parsed, 1);
  g_autofree char *current = NULL;

  parsed->types = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  parsed->samples = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_assert_true (*text == '\0' || g_str_has_suffix (text, "\n"));
  g_assert_true (g_utf8_validate (text, -1, NULL));
  for (guint i = 0; lines[i] && lines[i + 1]; i++) {
    const char *line = lines[i], *name_end, *labels_end;
    char *end;

    if (g_str_has_prefix (line, "# TYPE ")) {
      g_auto (GStrv) words = g_strsplit (line, " ", -1);

      g_assert_cmpuint (g_strv_length (words), ==, 4);
      g_assert_true (g_hash_table_insert (parsed->types, g_strdup (words[2]), g_strdup (words[3])));
      g_free (current);
      current = g_strdup (words[2]);
      continue;
    }
    if (g_str_has_prefix (line, "# HELP "))
      continue;
    name_end = skip_name (line);
    labels_end = skip_labels (name_end);
    g_assert_cmpint (*labels_end, ==, ' ');
    g_ascii_strtod (labels_end + 1, &end);
    g_assert_cmpint (*end, ==, '\0');
    {
      g_autofree char *name = g_strndup (line, name_end - line);
      g_autofree char *family = family_of (name, parsed->types);

      /* All samples of one metric stand together, below its type. */
      g_assert_cmpstr (family, ==, current);
    }
    g_assert_true (
        g_hash_table_insert (parsed->samples, g_strndup (line, labels_end - line), g_strdup (labels_end + 1)));
  }
  return parsed;
}

static Parsed *
read_metrics (void)
{
  g_autofree char *text = derush_metrics_to_text ();

  return parse (text);
}

static const char *
sample (Parsed *parsed, const char *name)
{
  return g_hash_table_lookup (parsed->samples, name);
}

/* ── Tests ── */

static void
test_counters_and_gauges_are_written (void)
{
  DerushMetric *jobs = derush_metrics_counter ("test_jobs_total", "Jobs.", "queue", "state", NULL),
               *depth = derush_metrics_gauge ("test_depth", "Depth.", NULL);
  g_autoptr (Parsed) parsed = NULL;

  derush_metric_add (jobs, 1, "video", "completed", NULL);
  derush_metric_add (jobs, 2, "video", "completed", NULL);
  derush_metric_add (jobs, 1, "video", "failed", NULL);
  derush_metric_set (depth, 0.1, NULL);
  parsed = read_metrics ();
  g_assert_cmpstr (sample (parsed, "test_jobs_total{queue=\"video\",state=\"completed\"}"), ==, "3");
  g_assert_cmpstr (sample (parsed, "test_jobs_total{queue=\"video\",state=\"failed\"}"), ==, "1");
  g_assert_cmpstr (sample (parsed, "test_depth"), ==, "0.1");
  g_assert_cmpstr (g_hash_table_lookup (parsed->types, "test_jobs_total"), ==, "counter");
  g_assert_cmpstr (g_hash_table_lookup (parsed->types, "test_depth"), ==, "gauge");
  g_assert_cmpfloat (derush_metric_get (jobs, "video", "completed", NULL), ==, 3);
  g_assert_cmpfloat (derush_metric_get (jobs, "audio", "completed", NULL), ==, 0);
}

static void
test_the_same_name_is_the_same_metric (void)
{
  DerushMetric *one = derush_metrics_counter ("test_same_total", "Same.", "a", NULL);

  g_assert_true (derush_metrics_counter ("test_same_total", "Same.", "a", NULL) == one);
}

static void
test_histograms_cumulate (void)
{
  static const double bounds[] = {0.5, 1, 2.5};
  DerushMetric *histogram = derush_metrics_histogram ("test_duration_seconds", "Time.", bounds, 3, "type", NULL);
  static const double values[] = {0.25, 0.5, 0.75, 2.5, 100};
  g_autoptr (Parsed) parsed = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    derush_metric_observe (histogram, values[i], "A", NULL);
  parsed = read_metrics ();
  g_assert_cmpstr (sample (parsed, "test_duration_seconds_bucket{type=\"A\",le=\"0.5\"}"), ==, "2");
  g_assert_cmpstr (sample (parsed, "test_duration_seconds_bucket{type=\"A\",le=\"1\"}"), ==, "3");
  g_assert_cmpstr (sample (parsed, "test_duration_seconds_bucket{type=\"A\",le=\"2.5\"}"), ==, "4");
  g_assert_cmpstr (sample (parsed, "test_duration_seconds_bucket{type=\"A\",le=\"+Inf\"}"), ==, "5");
  g_assert_cmpstr (sample (parsed, "test_duration_seconds_count{type=\"A\"}"), ==, "5");
  g_assert_cmpstr (sample (parsed, "test_duration_seconds_sum{type=\"A\"}"), ==, "104");
  g_assert_cmpfloat (derush_metric_get (histogram, "A", NULL), ==, 5);
}

static void
test_odd_labels_are_escaped (void)
{
  DerushMetric *metric = derush_metrics_counter ("test_odd_total", "A \\ and\na new line.", "name", NULL);
  g_autofree char *text = NULL;
  g_autoptr (Parsed) parsed = NULL;

  derush_metric_add (metric, 1, "a\"b\\c\nd", NULL);
  derush_metric_add (metric, 1, "\xff", NULL);
  derush_metric_add (metric, 1, "one\x1ftwo", NULL);
  text = derush_metrics_to_text ();
  parsed = parse (text);
  g_assert_nonnull (strstr (text, "# HELP test_odd_total A \\\\ and\\na new line.\n"));
  g_assert_cmpstr (sample (parsed, "test_odd_total{name=\"a\\\"b\\\\c\\nd\"}"), ==, "1");
  g_assert_cmpstr (sample (parsed, "test_odd_total{name=\"\xef\xbf\xbd\"}"), ==, "1");
  g_assert_cmpstr (sample (parsed, "test_odd_total{name=\"one two\"}"), ==, "1");
}

static void
test_numbers_read_back_unchanged (void)
{
  static const struct {
    double value;
    const char *text;
  } cases[] = {
      {0, "0"},
      {1.0 / 3, "0.33333333333333331"},
      {9007199254740991.0, "9007199254740991"},
      {1e300, "1.0000000000000001e+300"},
      {-2.5, "-2.5"},
  };
  DerushMetric *gauge = derush_metrics_gauge ("test_number", "A number.", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Parsed) parsed = NULL;

    derush_metric_set (gauge, cases[i].value, NULL);
    parsed = read_metrics ();
    g_assert_cmpfloat (g_ascii_strtod (sample (parsed, "test_number"), NULL), ==, cases[i].value);
    if (i != 3)
      g_assert_cmpstr (sample (parsed, "test_number"), ==, cases[i].text);
  }
}

static void
test_sets_of_labels_are_bounded (void)
{
  DerushMetric *metric = derush_metrics_counter ("test_bounded_total", "Bounded.", "id", NULL);
  g_autofree char *long_id = g_strnfill (10000, 'x');
  g_autoptr (Parsed) parsed = NULL;
  GHashTableIter iter;
  gpointer name, value;
  double sum = 0;
  guint n = 0;

  derush_metric_add (metric, 1, long_id, NULL);
  for (guint i = 0; i < 4999; i++) {
    g_autofree char *id = g_strdup_printf ("job-%u", i);

    derush_metric_add (metric, 1, id, NULL);
  }
  parsed = read_metrics ();
  g_hash_table_iter_init (&iter, parsed->samples);
  while (g_hash_table_iter_next (&iter, &name, &value))
    if (g_str_has_prefix (name, "test_bounded_total{")) {
      g_assert_cmpuint (strlen (name), <, 256);
      sum += g_ascii_strtod (value, NULL);
      n++;
    }
  g_assert_cmpuint (n, <=, 257);
  g_assert_cmpfloat (sum, ==, 5000);
  g_assert_nonnull (sample (parsed, "test_bounded_total{id=\"other\"}"));
}

static void
test_what_is_forgotten_is_gone (void)
{
  DerushMetric *gauge = derush_metrics_gauge ("test_gone", "Gone.", "id", NULL);
  g_autofree char *text = NULL;

  derush_metric_set (gauge, 1, "a", NULL);
  derush_metric_forget (gauge, "a", NULL);
  text = derush_metrics_to_text ();
  g_assert_null (strstr (text, "test_gone"));
}

static void
count_call (gpointer user_data)
{
  derush_metric_add (derush_metrics_counter ("test_collected_total", "Collected.", NULL), 1, NULL);
}

static void
test_collectors_run_when_metrics_are_read (void)
{
  guint id = derush_metrics_add_collector (count_call, NULL);
  g_autoptr (Parsed) first = read_metrics ();
  g_autoptr (Parsed) second = read_metrics ();
  g_autoptr (Parsed) third = NULL;

  g_assert_cmpstr (sample (first, "test_collected_total"), ==, "1");
  g_assert_cmpstr (sample (second, "test_collected_total"), ==, "2");
  derush_metrics_remove_collector (id);
  third = read_metrics ();
  g_assert_cmpstr (sample (third, "test_collected_total"), ==, "2");
}

static gpointer
add_many (gpointer metric)
{
  for (guint i = 0; i < 20000; i++) {
    derush_metric_add (metric, 1, i % 2 ? "odd" : "even", NULL);
    if (i % 1000 == 0)
      g_free (derush_metrics_to_text ());
  }
  return NULL;
}

static void
test_threads_lose_nothing (void)
{
  DerushMetric *metric = derush_metrics_counter ("test_threads_total", "Threads.", "kind", NULL);
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("adder", add_many, metric);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpfloat (derush_metric_get (metric, "odd", NULL), ==, 40000);
  g_assert_cmpfloat (derush_metric_get (metric, "even", NULL), ==, 40000);
}

static void
test_the_process_is_described (void)
{
  static const char *const names[] = {
      "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds",
      "process_max_fds",           "process_virtual_memory_bytes"};
  g_autoptr (Parsed) parsed = read_metrics ();
  g_autofree char *statm = NULL;
  double resident, pages;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_nonnull (sample (parsed, names[i]));
  g_assert_true (g_file_get_contents ("/proc/self/statm", &statm, NULL, NULL));
  pages = g_ascii_strtod (strchr (statm, ' '), NULL);
  resident = g_ascii_strtod (sample (parsed, "process_resident_memory_bytes"), NULL);
  g_assert_cmpfloat_with_epsilon (resident / (pages * sysconf (_SC_PAGESIZE)), 1, 0.5);
  g_assert_cmpfloat (g_ascii_strtod (sample (parsed, "process_open_fds"), NULL), >=, 3);
  g_assert_cmpfloat_with_epsilon (g_ascii_strtod (sample (parsed, "process_start_time_seconds"), NULL),
                                  derush_time_now_ms () / 1000.0, 3600);
  g_assert_cmpstr (sample (parsed, "derush_build_info{version=\"" PACKAGE_VERSION "\"}"), ==, "1");
}

static void
test_a_worker_is_watched_until_it_is_given_up (void)
{
  g_autoptr (Parsed) running = NULL, replaced = NULL, gone = NULL;
  double before, after;

  derush_metrics_watch_process ("video-1", getpid ());
  running = read_metrics ();
  g_assert_cmpstr (sample (running, "derush_worker_up{worker=\"video-1\"}"), ==, "1");
  g_assert_cmpstr (sample (running, "derush_worker_starts_total{worker=\"video-1\"}"), ==, "1");
  g_assert_cmpfloat (g_ascii_strtod (sample (running, "derush_worker_resident_memory_bytes{worker=\"video-1\"}"), NULL),
                     >, 100000);
  before = g_ascii_strtod (sample (running, "derush_worker_cpu_seconds_total{worker=\"video-1\"}"), NULL);
  derush_metrics_watch_process ("video-1", 0);
  replaced = read_metrics ();
  /* What the one before has used still counts. */
  after = g_ascii_strtod (sample (replaced, "derush_worker_cpu_seconds_total{worker=\"video-1\"}"), NULL);
  g_assert_cmpfloat (after, >=, before);
  g_assert_cmpstr (sample (replaced, "derush_worker_up{worker=\"video-1\"}"), ==, "0");
  g_assert_cmpstr (sample (replaced, "derush_worker_resident_memory_bytes{worker=\"video-1\"}"), ==, "0");
  derush_metrics_unwatch_process ("video-1");
  gone = read_metrics ();
  g_assert_null (sample (gone, "derush_worker_up{worker=\"video-1\"}"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/core/metrics/counters-and-gauges-are-written", test_counters_and_gauges_are_written);
  g_test_add_func ("/core/metrics/the-same-name-is-the-same-metric", test_the_same_name_is_the_same_metric);
  g_test_add_func ("/core/metrics/histograms-cumulate", test_histograms_cumulate);
  g_test_add_func ("/core/metrics/odd-labels-are-escaped", test_odd_labels_are_escaped);
  g_test_add_func ("/core/metrics/numbers-read-back-unchanged", test_numbers_read_back_unchanged);
  g_test_add_func ("/core/metrics/sets-of-labels-are-bounded", test_sets_of_labels_are_bounded);
  g_test_add_func ("/core/metrics/what-is-forgotten-is-gone", test_what_is_forgotten_is_gone);
  g_test_add_func ("/core/metrics/collectors-run-when-metrics-are-read", test_collectors_run_when_metrics_are_read);
  g_test_add_func ("/core/metrics/threads-lose-nothing", test_threads_lose_nothing);
  g_test_add_func ("/core/metrics/the-process-is-described", test_the_process_is_described);
  g_test_add_func ("/core/metrics/a-worker-is-watched-until-it-is-given-up",
                   test_a_worker_is_watched_until_it_is_given_up);
  return g_test_run ();
}
