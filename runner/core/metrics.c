/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "core/metrics-private.h"

#include <math.h>
#include <string.h>

/* Labels come from jobs' data as well, which nobody can trust: one metric never grows beyond this. */
#define MAX_SERIES 256
#define MAX_LABELS 6
#define MAX_VALUE_LENGTH 128
#define OVERFLOW_VALUE "other"
#define SEPARATOR '\x1f'

typedef enum {
  TYPE_COUNTER,
  TYPE_GAUGE,
  TYPE_HISTOGRAM,
} Type;

static const char *const type_names[] = {"counter", "gauge", "histogram"};

typedef struct {
  char *key; /* the labels' values, each followed by SEPARATOR */
  double value;
  double sum;
  guint64 count;
  guint64 buckets[]; /* of histograms: what fell into each, not cumulated */
} Series;

struct _DerushMetric {
  Type type;
  char *name;
  char *help;
  GStrv labels;
  guint n_labels;
  double *bounds;
  guint n_bounds;
  GHashTable *series; /* key → Series */
};

typedef struct {
  guint id;
  DerushMetricsFunc func;
  gpointer user_data;
} Collector;

static GMutex lock;         /* of all that follows */
static GHashTable *metrics; /* name → DerushMetric, which live as long as the process */
static GArray *collectors;  /* of Collector */
static guint last_collector;
static GRecMutex collector_lock; /* held while collectors run, so that a removed one is not running */

/* ── Registry ───────────────────────────────────────────────────────────── */

static gboolean
is_name (const char *name)
{
  if (!g_ascii_isalpha (name[0]) && name[0] != '_')
    return FALSE;
  for (const char *p = name; *p; p++)
    if (!g_ascii_isalnum (*p) && *p != '_')
      return FALSE;
  return TRUE;
}

static void
series_free (gpointer data)
{
  Series *series = data;

  g_free (series->key);
  g_free (series);
}

static Series *
add_series (DerushMetric *metric, const char *key)
{
  Series *series = g_malloc0 (sizeof (Series) + sizeof (guint64) * (metric->n_bounds + 1));

  series->key = g_strdup (key);
  g_hash_table_insert (metric->series, series->key, series);
  return series;
}

static DerushMetric *
take_metric (Type type, const char *name, const char *help, const double *bounds, guint n_bounds, va_list labels)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  DerushMetric *metric;
  const char *label;

  g_return_val_if_fail (is_name (name), NULL);
  while ((label = va_arg (labels, const char *)))
    g_strv_builder_add (builder, label);
  g_mutex_lock (&lock);
  if (!metrics)
    metrics = g_hash_table_new (g_str_hash, g_str_equal);
  metric = g_hash_table_lookup (metrics, name);
  if (!metric) {
    metric = g_new0 (DerushMetric, 1);
    metric->type = type;
    metric->name = g_strdup (name);
    metric->help = g_strdup (help);
    metric->labels = g_strv_builder_end (builder);
    metric->n_labels = MIN (g_strv_length (metric->labels), MAX_LABELS);
    metric->bounds = n_bounds > 0 ? g_memdup2 (bounds, n_bounds * sizeof (double)) : NULL;
    metric->n_bounds = n_bounds;
    metric->series = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, series_free);
    g_hash_table_insert (metrics, metric->name, metric);
    /* One without labels is there from the start, so that its first step is seen as a step. */
    if (metric->n_labels == 0)
      add_series (metric, "");
  }
  g_mutex_unlock (&lock);
  g_return_val_if_fail (metric->type == type, NULL);
  return metric;
}

/**
 * derush_metrics_counter:
 * @name: its name, which ends with `_total`
 * @help: what it counts, in one sentence
 * @...: the names of its labels, then %NULL
 *
 * Registers a counter, or finds the one of this name. Metrics live as long as the process; all functions on them may be
 * called in any thread.
 *
 * Returns: (transfer none): the counter
 */
DerushMetric *
derush_metrics_counter (const char *name, const char *help, ...)
{
  DerushMetric *metric;
  va_list labels;

  va_start (labels, help);
  metric = take_metric (TYPE_COUNTER, name, help, NULL, 0, labels);
  va_end (labels);
  return metric;
}

/**
 * derush_metrics_gauge:
 * @name: its name, which ends with its unit, if it has one
 * @help: what it shows, in one sentence
 * @...: the names of its labels, then %NULL
 *
 * Registers a value that goes up and down, or finds the one of this name.
 *
 * Returns: (transfer none): the gauge
 */
DerushMetric *
derush_metrics_gauge (const char *name, const char *help, ...)
{
  DerushMetric *metric;
  va_list labels;

  va_start (labels, help);
  metric = take_metric (TYPE_GAUGE, name, help, NULL, 0, labels);
  va_end (labels);
  return metric;
}

/**
 * derush_metrics_histogram:
 * @name: its name, which ends with its unit
 * @help: what it measures, in one sentence
 * @bounds: (array length=n_bounds): the upper bounds of its buckets, ascending; one for all the rest is added
 * @n_bounds: how many these are
 * @...: the names of its labels, then %NULL
 *
 * Registers a histogram, or finds the one of this name.
 *
 * Returns: (transfer none): the histogram
 */
DerushMetric *
derush_metrics_histogram (const char *name, const char *help, const double *bounds, guint n_bounds, ...)
{
  DerushMetric *metric;
  va_list labels;

  va_start (labels, n_bounds);
  metric = take_metric (TYPE_HISTOGRAM, name, help, bounds, n_bounds, labels);
  va_end (labels);
  return metric;
}

/* ── Values ─────────────────────────────────────────────────────────────── */

static char *
clean_value (const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);

  if (g_utf8_strlen (valid, -1) > MAX_VALUE_LENGTH)
    *g_utf8_offset_to_pointer (valid, MAX_VALUE_LENGTH) = '\0';
  g_strdelimit (valid, "\x1f", ' ');
  return g_steal_pointer (&valid);
}

static char *
make_key (DerushMetric *metric, va_list values)
{
  GString *key = g_string_new (NULL);
  gboolean ended = FALSE;

  for (guint i = 0; i < metric->n_labels; i++) {
    const char *value = ended ? NULL : va_arg (values, const char *);
    g_autofree char *clean = clean_value (value ? value : "");

    ended = !value;
    g_string_append (key, clean);
    g_string_append_c (key, SEPARATOR);
  }
  return g_string_free (key, FALSE);
}

static Series *
take_series (DerushMetric *metric, const char *key)
{
  Series *series = g_hash_table_lookup (metric->series, key);
  g_autoptr (GString) overflow = NULL;

  if (series)
    return series;
  if (g_hash_table_size (metric->series) < MAX_SERIES)
    return add_series (metric, key);
  overflow = g_string_new (NULL);
  for (guint i = 0; i < metric->n_labels; i++)
    g_string_append_printf (overflow, OVERFLOW_VALUE "%c", SEPARATOR);
  series = g_hash_table_lookup (metric->series, overflow->str);
  return series ? series : add_series (metric, overflow->str);
}

static void
observe (DerushMetric *metric, Series *series, double value)
{
  guint i = 0;

  while (i < metric->n_bounds && value > metric->bounds[i])
    i++;
  series->buckets[i]++;
  series->count++;
  series->sum += value;
}

/**
 * derush_metric_add:
 * @metric: a counter or a gauge
 * @amount: how much is added; of a counter it is not negative
 * @...: the values of its labels in their order, then %NULL; what is missing is empty
 *
 * Beyond 256 sets of labels of one metric new ones are counted together, with all labels `other`.
 */
void
derush_metric_add (DerushMetric *metric, double amount, ...)
{
  g_autofree char *key = NULL;
  va_list values;

  g_return_if_fail (metric->type != TYPE_HISTOGRAM && (metric->type != TYPE_COUNTER || amount >= 0));
  va_start (values, amount);
  key = make_key (metric, values);
  va_end (values);
  g_mutex_lock (&lock);
  take_series (metric, key)->value += amount;
  g_mutex_unlock (&lock);
}

/**
 * derush_metric_set:
 * @metric: a gauge, or a counter that follows one that somebody else keeps
 * @value: what it is now
 * @...: the values of its labels in their order, then %NULL
 */
void
derush_metric_set (DerushMetric *metric, double value, ...)
{
  g_autofree char *key = NULL;
  va_list values;

  g_return_if_fail (metric->type != TYPE_HISTOGRAM);
  va_start (values, value);
  key = make_key (metric, values);
  va_end (values);
  g_mutex_lock (&lock);
  take_series (metric, key)->value = value;
  g_mutex_unlock (&lock);
}

/**
 * derush_metric_observe:
 * @metric: a histogram
 * @value: what was measured
 * @...: the values of its labels in their order, then %NULL
 */
void
derush_metric_observe (DerushMetric *metric, double value, ...)
{
  g_autofree char *key = NULL;
  va_list values;

  g_return_if_fail (metric->type == TYPE_HISTOGRAM);
  va_start (values, value);
  key = make_key (metric, values);
  va_end (values);
  g_mutex_lock (&lock);
  observe (metric, take_series (metric, key), value);
  g_mutex_unlock (&lock);
}

/**
 * derush_metric_get:
 * @metric: a metric
 * @...: the values of its labels in their order, then %NULL
 *
 * Returns: its value, of a histogram the number of its observations; 0 where there was none
 */
double
derush_metric_get (DerushMetric *metric, ...)
{
  g_autofree char *key = NULL;
  double value = 0;
  Series *series;
  va_list values;

  va_start (values, metric);
  key = make_key (metric, values);
  va_end (values);
  g_mutex_lock (&lock);
  series = g_hash_table_lookup (metric->series, key);
  if (series)
    value = metric->type == TYPE_HISTOGRAM ? series->count : series->value;
  g_mutex_unlock (&lock);
  return value;
}

/**
 * derush_metric_forget:
 * @metric: a metric
 * @...: the values of its labels in their order, then %NULL
 *
 * Removes what it has of these labels, as when the thing that they name is gone.
 */
void
derush_metric_forget (DerushMetric *metric, ...)
{
  g_autofree char *key = NULL;
  va_list values;

  va_start (values, metric);
  key = make_key (metric, values);
  va_end (values);
  g_mutex_lock (&lock);
  g_hash_table_remove (metric->series, key);
  g_mutex_unlock (&lock);
}

/* ── Collectors ─────────────────────────────────────────────────────────── */

/**
 * derush_metrics_add_collector:
 * @func: sets metrics that are cheaper to measure when somebody reads them; it must not block
 * @user_data: for @func
 *
 * Returns: for derush_metrics_remove_collector()
 */
guint
derush_metrics_add_collector (DerushMetricsFunc func, gpointer user_data)
{
  Collector collector = {.func = func, .user_data = user_data};

  g_mutex_lock (&lock);
  if (!collectors)
    collectors = g_array_new (FALSE, FALSE, sizeof (Collector));
  collector.id = ++last_collector;
  g_array_append_val (collectors, collector);
  g_mutex_unlock (&lock);
  return collector.id;
}

/**
 * derush_metrics_remove_collector:
 * @id: what derush_metrics_add_collector() returned
 *
 * When it returns, the function is not running and will not be called again.
 */
void
derush_metrics_remove_collector (guint id)
{
  g_rec_mutex_lock (&collector_lock);
  g_mutex_lock (&lock);
  for (guint i = 0; collectors && i < collectors->len; i++)
    if (g_array_index (collectors, Collector, i).id == id) {
      g_array_remove_index (collectors, i);
      break;
    }
  g_mutex_unlock (&lock);
  g_rec_mutex_unlock (&collector_lock);
}

static void
collect (void)
{
  g_autoptr (GArray) all = NULL;

  g_rec_mutex_lock (&collector_lock);
  g_mutex_lock (&lock);
  all = collectors ? g_array_copy (collectors) : g_array_new (FALSE, FALSE, sizeof (Collector));
  g_mutex_unlock (&lock);
  for (guint i = 0; i < all->len; i++)
    g_array_index (all, Collector, i).func (g_array_index (all, Collector, i).user_data);
  derush_metrics_collect_processes ();
  g_rec_mutex_unlock (&collector_lock);
}

/* ── Text ───────────────────────────────────────────────────────────────── */

static void
append_escaped (GString *text, const char *value, gsize length, gboolean quotes)
{
  for (gsize i = 0; i < length; i++) {
    if (value[i] == '\\')
      g_string_append (text, "\\\\");
    else if (value[i] == '\n')
      g_string_append (text, "\\n");
    else if (value[i] == '"' && quotes)
      g_string_append (text, "\\\"");
    else
      g_string_append_c (text, value[i]);
  }
}

/* As short as it reads back unchanged. */
static void
append_number (GString *text, double value)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  if (isnan (value)) {
    g_string_append (text, "NaN");
  } else if (isinf (value)) {
    g_string_append (text, value > 0 ? "+Inf" : "-Inf");
  } else {
    g_ascii_formatd (buffer, sizeof buffer, "%.15g", value);
    if (g_ascii_strtod (buffer, NULL) != value)
      g_ascii_formatd (buffer, sizeof buffer, "%.17g", value);
    g_string_append (text, buffer);
  }
}

static void
append_labels (GString *text, DerushMetric *metric, const Series *series, const char *bound)
{
  const char *value = series->key;

  if (metric->n_labels == 0 && !bound)
    return;
  g_string_append_c (text, '{');
  for (guint i = 0; i < metric->n_labels; i++) {
    const char *end = strchr (value, SEPARATOR);

    g_string_append_printf (text, "%s%s=\"", i > 0 ? "," : "", metric->labels[i]);
    append_escaped (text, value, end - value, TRUE);
    g_string_append_c (text, '"');
    value = end + 1;
  }
  if (bound)
    g_string_append_printf (text, "%sle=\"%s\"", metric->n_labels > 0 ? "," : "", bound);
  g_string_append_c (text, '}');
}

static void
append_sample (GString *text, DerushMetric *metric, const Series *series, const char *suffix, const char *bound,
               double value)
{
  g_string_append (text, metric->name);
  g_string_append (text, suffix);
  append_labels (text, metric, series, bound);
  g_string_append_c (text, ' ');
  append_number (text, value);
  g_string_append_c (text, '\n');
}

static void
append_series (GString *text, DerushMetric *metric, const Series *series)
{
  guint64 below = 0;

  if (metric->type != TYPE_HISTOGRAM) {
    append_sample (text, metric, series, "", NULL, series->value);
    return;
  }
  for (guint i = 0; i <= metric->n_bounds; i++) {
    g_autoptr (GString) bound = g_string_new (NULL);

    below += series->buckets[i];
    append_number (bound, i < metric->n_bounds ? metric->bounds[i] : INFINITY);
    append_sample (text, metric, series, "_bucket", bound->str, below);
  }
  append_sample (text, metric, series, "_sum", NULL, series->sum);
  append_sample (text, metric, series, "_count", NULL, series->count);
}

static int
compare_text (gconstpointer a, gconstpointer b)
{
  return strcmp (a, b);
}

static void
append_metric (GString *text, DerushMetric *metric)
{
  g_autoptr (GList) keys = g_list_sort (g_hash_table_get_keys (metric->series), compare_text);

  if (!keys)
    return;
  g_string_append_printf (text, "# HELP %s ", metric->name);
  append_escaped (text, metric->help, strlen (metric->help), FALSE);
  g_string_append_printf (text, "\n# TYPE %s %s\n", metric->name, type_names[metric->type]);
  for (GList *l = keys; l; l = l->next)
    append_series (text, metric, g_hash_table_lookup (metric->series, l->data));
}

/**
 * derush_metrics_to_text:
 *
 * Returns: (transfer full): all metrics of the process in Prometheus' text format 0.0.4, whose media type is
 *   `text/plain; version=0.0.4; charset=utf-8`; sorted, so that two texts can be compared
 */
char *
derush_metrics_to_text (void)
{
  GString *text = g_string_new (NULL);
  g_autoptr (GList) names = NULL;

  collect ();
  g_mutex_lock (&lock);
  names = metrics ? g_list_sort (g_hash_table_get_keys (metrics), compare_text) : NULL;
  for (GList *l = names; l; l = l->next)
    append_metric (text, g_hash_table_lookup (metrics, l->data));
  g_mutex_unlock (&lock);
  return g_string_free (text, FALSE);
}
