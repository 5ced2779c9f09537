/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "localmodels/localmodels.h"

#include <libsoup/soup.h>

G_BEGIN_DECLS

/* ── Errors, data files, other programs ─────────────────────────────────── */

void local_set_error (GError **error, DerushErrorClass error_class, const char *code, const char *parameter,
                      const char *format, ...) G_GNUC_PRINTF (5, 6);
char *local_data_path (const char *name, ...) G_GNUC_NULL_TERMINATED;
gboolean local_run (const char *const *arguments, GBytes *input, GBytes **output, char **said,
                    GCancellable *cancellable, GError **error);
int local_memory_file (GBytes *contents, GError **error);

/* ── Sound ──────────────────────────────────────────────────────────────── */

/* Mono samples. */
typedef struct {
  gint16 *samples;
  gsize n;
  int rate; /* per second */
} LocalSound;

void local_sound_clear (LocalSound *sound);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (LocalSound, local_sound_clear)

gboolean local_wav_parse (const guint8 *data, gsize length, LocalSound *sound, GError **error);
GBytes *local_wav_write (const LocalSound *sound);
void local_sound_resample (const LocalSound *sound, int rate, LocalSound *result);
gboolean local_sound_decode (GBytes *file, int rate, LocalSound *sound, GCancellable *cancellable, GError **error);
GBytes *local_sound_encode (const LocalSound *sound, const char *format, GCancellable *cancellable, GError **error);

/* In samples, @end exclusive. */
typedef struct {
  gsize start, end;
} LocalSpan;

GArray *local_find_speech (const LocalSound *sound);

/* In dB. */
typedef struct {
  double contrast; /* between the loud and the quiet */
  double treble;   /* of the loudest sounds above 4.5 kHz, against all that is loud; far below it in telephones */
} LocalQuality;

void local_measure_quality (const LocalSound *sound, GArray *spans, LocalQuality *quality);

/* What words of English make of speech. Scores are in the recogniser's own units. */
typedef struct {
  guint n_words;
  double confidence; /* mean */
  double cost;       /* of a frame of the words: how badly they fit the sound */
  double gap;        /* of a frame: how much better sounds fit that follow each other freely */
  LocalQuality quality;
} LocalSpoken;

gboolean local_spoken_is_suspect (const LocalSpoken *spoken);
gboolean local_spoken_is_foreign (const LocalSpoken *spoken);

/* ── Languages ──────────────────────────────────────────────────────────── */

char *local_language_normalise (const char *name);
char *local_language_identify (const char *text);
char *local_language_guess (const char *text);
char *local_language_guess_among (const char *text, GPtrArray *codes, gboolean *sure);
GHashTable *local_language_load_words (const char *folder, const char *code);
const char *local_language_get_english_name (const char *code);

/* ── Forms ──────────────────────────────────────────────────────────────── */

typedef struct {
  char *name;
  char *file_name; /* NULL: a plain value */
  char *type;
  GBytes *contents;
} LocalField;

GPtrArray *local_form_parse (GBytes *body, const char *content_type, GError **error);
const LocalField *local_form_find (GPtrArray *fields, const char *name);

G_END_DECLS
