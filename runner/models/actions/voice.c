/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Voices as samples, and the WAV files that they come in and go out as. */

#include "models/actions/speech-private.h"
#include "models/models.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#define HEADER 44
#define LONGEST (G_GINT64_CONSTANT (1) << 30)
/* What is softer is the quiet around the words: about -50 dBFS. */
#define QUIET 100

static guint32
get32 (const guint8 *at)
{
  return at[0] | (guint32)at[1] << 8 | (guint32)at[2] << 16 | (guint32)at[3] << 24;
}

static guint16
get16 (const guint8 *at)
{
  return (guint16)(at[0] | at[1] << 8);
}

static void
put32 (guint8 *at, guint32 value)
{
  for (int i = 0; i < 4; i++)
    at[i] = (guint8)(value >> (8 * i));
}

DerushVoice *
derush_voice_new (guint rate)
{
  DerushVoice *voice = g_new0 (DerushVoice, 1);

  voice->rate = rate;
  voice->samples = g_array_new (FALSE, TRUE, sizeof (gint16));
  return voice;
}

void
derush_voice_free (DerushVoice *voice)
{
  g_array_unref (voice->samples);
  g_free (voice);
}

double
derush_voice_get_duration (const DerushVoice *voice)
{
  return (double)voice->samples->len / voice->rate;
}

typedef struct {
  guint16 channels, bits, coding;
  guint32 rate;
  gsize data, length; /* of the samples, in bytes */
} Wav;

/* Servers that stream do not know the length beforehand, and say 0 or the largest number. */
static gboolean
read_header (const guint8 *bytes, gsize size, Wav *wav)
{
  gsize at = 12;

  *wav = (Wav){0};
  if (size < 12 || memcmp (bytes, "RIFF", 4) != 0 || memcmp (bytes + 8, "WAVE", 4) != 0)
    return FALSE;
  while (at + 8 <= size) {
    gsize length = get32 (bytes + at + 4);

    if (memcmp (bytes + at, "data", 4) == 0) {
      wav->data = at + 8;
      wav->length = length == 0 || length > size - wav->data ? size - wav->data : length;
      break;
    }
    if (memcmp (bytes + at, "fmt ", 4) == 0 && length >= 16 && at + 24 <= size) {
      wav->coding = get16 (bytes + at + 8);
      wav->channels = get16 (bytes + at + 10);
      wav->rate = get32 (bytes + at + 12);
      wav->bits = get16 (bytes + at + 22);
    }
    at += 8 + length + (length & 1);
  }
  return wav->data > 0 && wav->bits == 16 && (wav->coding == 1 || wav->coding == 0xfffe) && wav->channels >= 1 &&
         wav->channels <= 8 && wav->rate >= 4000 && wav->rate <= 192000;
}

static gboolean
fail (GError **error, const char *path, const char *reason)
{
  g_autofree char *name = g_path_get_basename (path);

  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_MODEL, _ ("The voice that was answered (%s) is no sound: %s"),
               name, reason);
  return FALSE;
}

DerushVoice *
derush_voice_read (const char *path, GError **error)
{
  g_autofree char *contents = NULL;
  g_autoptr (GError) local = NULL;
  DerushVoice *voice;
  gsize size;
  Wav wav;

  if (!g_file_get_contents (path, &contents, &size, &local)) {
    fail (error, path, local->message);
    return NULL;
  }
  if (!read_header ((const guint8 *)contents, size, &wav)) {
    fail (error, path, _ ("it is no WAV file of 16 bit"));
    return NULL;
  }
  voice = derush_voice_new (wav.rate);
  for (gsize i = 0; i + 2 * (gsize)wav.channels <= wav.length; i += 2 * (gsize)wav.channels) {
    int sum = 0;
    gint16 sample;

    for (guint c = 0; c < wav.channels; c++)
      sum += (gint16)get16 ((const guint8 *)contents + wav.data + i + 2 * c);
    sample = (gint16)(sum / wav.channels);
    g_array_append_val (voice->samples, sample);
  }
  return voice;
}

static void
fill_header (guint8 *header, guint32 rate, guint32 bytes)
{
  static const guint8 pattern[HEADER] = "RIFF....WAVEfmt \x10\0\0\0\1\0\1\0........\2\0\x10\0data....";

  memcpy (header, pattern, HEADER);
  put32 (header + 4, bytes + HEADER - 8);
  put32 (header + 24, rate);
  put32 (header + 28, rate * 2);
  put32 (header + 40, bytes);
}

static gboolean
fail_to_write (GError **error, const char *path, int number)
{
  g_set_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_RESOURCE, _ ("The sound cannot be written to %s: %s"), path,
               g_strerror (number));
  return FALSE;
}

gboolean
derush_voice_write (const DerushVoice *voice, const char *path, GError **error)
{
  guint8 header[HEADER];
  FILE *file = g_fopen (path, "wbe");
  gboolean good;

  if (!file)
    return fail_to_write (error, path, errno);
  fill_header (header, voice->rate, voice->samples->len * 2);
  good = fwrite (header, 1, HEADER, file) == HEADER &&
         fwrite (voice->samples->data, 2, voice->samples->len, file) == voice->samples->len;
  if (fclose (file) != 0 || !good)
    return fail_to_write (error, path, errno);
  return TRUE;
}

gboolean
derush_wav_copy (const char *from, const char *to, double start, double end, GError **error)
{
  guint8 header[HEADER];
  FILE *source = g_fopen (from, "rbe"), *file = NULL;
  gsize left, n;
  char chunk[65536];
  gboolean good = FALSE;
  guint32 rate;

  if (source && fread (header, 1, HEADER, source) == HEADER) {
    rate = get32 (header + 24);
    left = (gsize)(MAX (0, end - start) * rate) * 2;
    good = fseek (source, HEADER + (long)(start * rate) * 2, SEEK_SET) == 0 && (file = g_fopen (to, "wbe")) != NULL;
    if (good) {
      fill_header (header, rate, (guint32)left);
      good = fwrite (header, 1, HEADER, file) == HEADER;
    }
    while (good && left > 0 && (n = fread (chunk, 1, MIN (left, sizeof chunk), source)) > 0) {
      good = fwrite (chunk, 1, n, file) == n;
      left -= n;
    }
  }
  if (!good)
    fail_to_write (error, to, errno ? errno : EIO);
  if (source)
    fclose (source);
  if (file && fclose (file) != 0 && good) {
    good = FALSE;
    fail_to_write (error, to, errno);
  }
  return good;
}

/* ── Editing ────────────────────────────────────────────────────────────── */

static gint16
sample_at (const DerushVoice *voice, guint i)
{
  return g_array_index (voice->samples, gint16, i);
}

void
derush_voice_trim (DerushVoice *voice, double margin)
{
  guint room = (guint)(margin * voice->rate), first = 0, end = voice->samples->len;

  while (first < end && ABS (sample_at (voice, first)) < QUIET)
    first++;
  while (end > first && ABS (sample_at (voice, end - 1)) < QUIET)
    end--;
  if (first == end)
    return;
  end = MIN (voice->samples->len, end + room);
  first = first > room ? first - room : 0;
  g_array_set_size (voice->samples, end);
  if (first > 0)
    g_array_remove_range (voice->samples, 0, first);
}

/* Of another rate where a second provider had to step in: straight lines between its samples will do for speech. */
void
derush_voice_add (DerushVoice *voice, const DerushVoice *more)
{
  double step = (double)more->rate / voice->rate;
  guint n = (guint)(more->samples->len / step);

  if (more->rate == voice->rate) {
    g_array_append_vals (voice->samples, more->samples->data, more->samples->len);
    return;
  }
  for (guint i = 0; i < n; i++) {
    double place = i * step;
    guint k = (guint)place;
    double a = sample_at (more, k), b = k + 1 < more->samples->len ? sample_at (more, k + 1) : a;
    gint16 sample = (gint16)lround (a + (b - a) * (place - k));

    g_array_append_val (voice->samples, sample);
  }
}

void
derush_voice_pad (DerushVoice *voice, double time)
{
  gint64 wanted = (gint64)llround (time * voice->rate);

  if (wanted > voice->samples->len && wanted < LONGEST)
    g_array_set_size (voice->samples, (guint)wanted);
}

/* ── Texts ──────────────────────────────────────────────────────────────── */

static gboolean
is_mark (gunichar c, const char *marks)
{
  return g_utf8_strchr (marks, -1, c) != NULL;
}

/* Where the next part of @text ends: behind a sentence, else a clause, else a word, else anywhere. */
static const char *
part_end (const char *text, gsize longest)
{
  const char *sentence = NULL, *clause = NULL, *word = NULL, *p = text;

  for (gsize n = 0; *p && n < longest; n++) {
    gunichar c = g_utf8_get_char (p);
    const char *next = g_utf8_next_char (p);
    gboolean before_blank = *next == '\0' || g_unichar_isspace (g_utf8_get_char (next));

    if (c == '\n' || is_mark (c, "。！？") || (is_mark (c, ".!?…") && before_blank))
      sentence = next;
    else if (is_mark (c, "、，；") || (is_mark (c, ",;:") && before_blank))
      clause = next;
    else if (g_unichar_isspace (c))
      word = next;
    p = next;
  }
  if (*p == '\0')
    return p;
  if (g_unichar_isspace (g_utf8_get_char (p)))
    word = p;
  return sentence ? sentence : clause ? clause : word ? word : p;
}

GPtrArray *
derush_text_split (const char *text, gsize longest)
{
  GPtrArray *parts = g_ptr_array_new_with_free_func (g_free);

  while (*text) {
    const char *end;
    g_autofree char *part = NULL;

    if (g_unichar_isspace (g_utf8_get_char (text))) {
      text = g_utf8_next_char (text);
      continue;
    }
    end = part_end (text, MAX (1, longest));
    part = g_strstrip (g_strndup (text, (gsize)(end - text)));

    if (*part)
      g_ptr_array_add (parts, g_steal_pointer (&part));
    text = end;
  }
  return parts;
}
