/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:core
 * @title: core
 * @short_description: what every room of the runner may use
 *
 * Error classes, configuration, JSON logs, metrics, JSON helpers and files. Depends on GLib and json-glib only.
 */

#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* ── Errors ─────────────────────────────────────────────────────────────── */

/**
 * DerushErrorClass:
 * @DERUSH_ERROR_BAD_INPUT: the job's data or its media cannot be used; a retry cannot help
 * @DERUSH_ERROR_UNSUPPORTED: well-formed, but beyond what this version does; a retry cannot help
 * @DERUSH_ERROR_MISSING_PLUGIN: a GStreamer element or codec is not installed here; a retry cannot help
 * @DERUSH_ERROR_RESOURCE: disk, memory, network, Redis, a database, a crashed worker; a retry may help
 * @DERUSH_ERROR_MODEL: a remote or local model answered badly; a retry may help, unless the error itself is final
 * @DERUSH_ERROR_STALLED: no progress within the limit; a retry may help
 * @DERUSH_ERROR_CANCELLED: stopped on request; never retried
 * @DERUSH_ERROR_INTERNAL: a fault of Derush itself; a retry may help
 *
 * The codes of every error domain of Derush: each room has a domain of its own, and all share these codes, so that
 * one look at the code says whether a retry helps. Where that depends on more than the class, as with models, the error
 * says so: see derush_error_can_retry().
 */
typedef enum {
  DERUSH_ERROR_BAD_INPUT,
  DERUSH_ERROR_UNSUPPORTED,
  DERUSH_ERROR_MISSING_PLUGIN,
  DERUSH_ERROR_RESOURCE,
  DERUSH_ERROR_MODEL,
  DERUSH_ERROR_STALLED,
  DERUSH_ERROR_CANCELLED,
  DERUSH_ERROR_INTERNAL,
} DerushErrorClass;

#define DERUSH_CORE_ERROR (derush_core_error_quark ())
GQuark derush_core_error_quark (void);

const char *derush_error_class_to_string (DerushErrorClass error_class);
gboolean derush_error_class_from_string (const char *name, DerushErrorClass *error_class);
gboolean derush_error_class_can_retry (DerushErrorClass error_class);
void derush_error_domain_register (GQuark domain);
void derush_error_domain_register_extended (GQuark domain);
DerushErrorClass derush_error_get_class (const GError *error);
void derush_error_set_final (GError *error);
void derush_error_set_retry_at (GError *error, gint64 retry_at);
gboolean derush_error_can_retry (const GError *error);
gint64 derush_error_get_retry_at (const GError *error);

/* ── Configuration ──────────────────────────────────────────────────────── */

typedef struct _DerushConfig DerushConfig;

typedef void (*DerushConfigFunc) (const char *name, const char *value, const char *origin, gboolean secret,
                                  gpointer user_data);

DerushConfig *derush_config_load (GError **error);
DerushConfig *derush_config_ref (DerushConfig *config);
void derush_config_unref (DerushConfig *config);
const char *derush_config_get_string (DerushConfig *config, const char *name);
gboolean derush_config_is_default (DerushConfig *config, const char *name);
gint64 derush_config_get_int (DerushConfig *config, const char *name);
gboolean derush_config_get_boolean (DerushConfig *config, const char *name);
GStrv derush_config_get_paths (DerushConfig *config, const char *name);
void derush_config_foreach (DerushConfig *config, DerushConfigFunc func, gpointer user_data);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushConfig, derush_config_unref)

/* ── Logs ───────────────────────────────────────────────────────────────── */

typedef enum {
  DERUSH_LOG_ERROR,
  DERUSH_LOG_WARN,
  DERUSH_LOG_INFO,
  DERUSH_LOG_DEBUG,
} DerushLogLevel;

void derush_log_set_level (DerushLogLevel level);
void derush_log_add_secret (const char *secret);
char *derush_log_redact (const char *text);
void derush_log_set_debug (const char *patterns);
#define derush_log(level, fields, ...) derush_log_at (__FILE__, level, fields, __VA_ARGS__)
void derush_log_at (const char *file, DerushLogLevel level, JsonObject *fields, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

void derush_memory_keep_private (void);

/* ── Metrics ────────────────────────────────────────────────────────────── */

/**
 * DerushMetric:
 *
 * A counter, gauge or histogram of the process, with labels. Registering and changing one is cheap and may be done in any
 * thread; registering the same name again finds the same metric.
 */
typedef struct _DerushMetric DerushMetric;

typedef void (*DerushMetricsFunc) (gpointer user_data);

DerushMetric *derush_metrics_counter (const char *name, const char *help, ...) G_GNUC_NULL_TERMINATED;
DerushMetric *derush_metrics_gauge (const char *name, const char *help, ...) G_GNUC_NULL_TERMINATED;
DerushMetric *derush_metrics_histogram (const char *name, const char *help, const double *bounds, guint n_bounds,
                                        ...) G_GNUC_NULL_TERMINATED;
void derush_metric_add (DerushMetric *metric, double amount, ...) G_GNUC_NULL_TERMINATED;
void derush_metric_set (DerushMetric *metric, double value, ...) G_GNUC_NULL_TERMINATED;
void derush_metric_observe (DerushMetric *metric, double value, ...) G_GNUC_NULL_TERMINATED;
double derush_metric_get (DerushMetric *metric, ...) G_GNUC_NULL_TERMINATED;
void derush_metric_forget (DerushMetric *metric, ...) G_GNUC_NULL_TERMINATED;
guint derush_metrics_add_collector (DerushMetricsFunc func, gpointer user_data);
void derush_metrics_remove_collector (guint id);
void derush_metrics_watch_process (const char *worker, GPid pid);
void derush_metrics_unwatch_process (const char *worker);
char *derush_metrics_to_text (void);

/* ── JSON ───────────────────────────────────────────────────────────────── */

#define DERUSH_JSON_MAX_DEPTH 64

JsonNode *derush_json_parse (const char *text, gssize length, GError **error);
JsonObject *derush_json_parse_object (const char *text, gssize length, GError **error);
char *derush_json_object_to_string (JsonObject *object);
char *derush_json_node_to_string (JsonNode *node);
const char *derush_json_get_string (JsonObject *object, const char *name, const char *fallback);
double derush_json_get_number (JsonObject *object, const char *name, double fallback);
gint64 derush_json_get_int (JsonObject *object, const char *name, gint64 fallback);
gboolean derush_json_get_boolean (JsonObject *object, const char *name, gboolean fallback);
JsonObject *derush_json_get_object (JsonObject *object, const char *name);
JsonArray *derush_json_get_array (JsonObject *object, const char *name);

/* ── Files ──────────────────────────────────────────────────────────────── */

gint64 derush_disk_floor (DerushConfig *config, gint64 size);
gboolean derush_file_write_atomically (const char *path, const char *contents, gssize length, GError **error);
gboolean derush_write_all (int fd, const void *data, gsize length);
gboolean derush_file_publish (const char *source, const char *directory, const char *name, char **published,
                              GError **error);
gboolean derush_directory_remove (const char *path, GError **error);
char *derush_path_confine (const char *path, const char *const *roots, GError **error);
int derush_path_open (const char *resolved, int flags);
gint64 derush_time_now_ms (void);
char *derush_time_to_iso8601 (gint64 time_ms);
const char *derush_language_from_name (const char *name);

G_END_DECLS
