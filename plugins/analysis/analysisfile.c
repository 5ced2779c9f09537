/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "analysis/analysis.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The file is this header and three tables, everything little-endian and aligned to 8 bytes, in the layout of the
 * structures in memory. The checksum is of the tables and of the header with a checksum of 0.
 */
#define MAGIC "DERUSH\0A"

typedef struct {
  char magic[8];
  guint32 version;
  guint32 header_size;
  guint64 file_size;
  guint64 checksum;
  double duration;
  guint32 width;
  guint32 height;
  guint32 frame_size;
  guint32 n_frames;
  guint32 audio_size;
  guint32 n_audio;
  guint32 shot_size;
  guint32 n_shots;
} Header;

G_STATIC_ASSERT (sizeof (Header) == 72);
G_STATIC_ASSERT (sizeof (DerushFrameFeatures) % 8 == 0 && sizeof (DerushAudioBlock) % 8 == 0 &&
                 sizeof (DerushShot) % 8 == 0);

struct _DerushAnalysisFile {
  GMappedFile *mapping;
  DerushAnalysis analysis;
};

G_DEFINE_QUARK (derush - analysis - error - quark, derush_analysis_error)

/* FNV-1a over words of 8 bytes: against damage, not against forgery. */
static guint64
checksum_of (guint64 sum, const void *data, gsize size)
{
  const guint8 *bytes = data;

  for (gsize i = 0; i + 8 <= size; i += 8) {
    guint64 word;

    memcpy (&word, bytes + i, 8);
    sum = (sum ^ word) * G_GUINT64_CONSTANT (1099511628211);
    sum ^= sum >> 29;
  }
  return sum;
}

static guint64
checksum_of_file (const Header *header, const void *frames, const void *audio, const void *shots)
{
  Header blank = *header;
  guint64 sum = G_GUINT64_CONSTANT (14695981039346656037);

  blank.checksum = 0;
  sum = checksum_of (sum, &blank, sizeof (blank));
  sum = checksum_of (sum, frames, (gsize)header->n_frames * header->frame_size);
  sum = checksum_of (sum, audio, (gsize)header->n_audio * header->audio_size);
  return checksum_of (sum, shots, (gsize)header->n_shots * header->shot_size);
}

/* ── Writing ────────────────────────────────────────────────────────────── */

static gboolean
write_all (int fd, const void *data, gsize size, GError **error)
{
  const char *bytes = data;

  while (size > 0) {
    gssize n = write (fd, bytes, MIN (size, 1 << 20));

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      g_set_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_IO, _ ("Could not write the analysis: %s"),
                   n < 0 ? g_strerror (errno) : "0");
      return FALSE;
    }
    bytes += n;
    size -= n;
  }
  return TRUE;
}

/**
 * derush_analysis_write:
 * @analysis: what to write
 * @fd: where to, from its position on; stays open
 * @error: return location for a #DerushAnalysisError
 *
 * Returns: whether everything was written; if not, the file is not to be used
 */
gboolean
derush_analysis_write (const DerushAnalysis *analysis, int fd, GError **error)
{
  Header header = {
      .magic = MAGIC,
      .version = DERUSH_ANALYSIS_VERSION,
      .header_size = sizeof (Header),
      .duration = analysis->duration,
      .width = analysis->width,
      .height = analysis->height,
      .frame_size = sizeof (DerushFrameFeatures),
      .n_frames = analysis->n_frames,
      .audio_size = sizeof (DerushAudioBlock),
      .n_audio = analysis->n_audio,
      .shot_size = sizeof (DerushShot),
      .n_shots = analysis->n_shots,
  };
  gsize frames = (gsize)header.n_frames * header.frame_size, audio = (gsize)header.n_audio * header.audio_size,
        shots = (gsize)header.n_shots * header.shot_size;

  header.file_size = sizeof (header) + frames + audio + shots;
  header.checksum = checksum_of_file (&header, analysis->frames, analysis->audio, analysis->shots);
  return write_all (fd, &header, sizeof (header), error) && write_all (fd, analysis->frames, frames, error) &&
         write_all (fd, analysis->audio, audio, error) && write_all (fd, analysis->shots, shots, error);
}

/**
 * derush_analysis_save:
 * @analysis: what to write
 * @path: name of the file
 * @error: return location for a #DerushAnalysisError
 *
 * Writes beside @path under another name, and puts the whole file in place at the end.
 *
 * Returns: %FALSE if @path could not be written; what was there before is then still there
 */
gboolean
derush_analysis_save (const DerushAnalysis *analysis, const char *path, GError **error)
{
  g_autofree char *partial = g_strconcat (path, ".XXXXXX", NULL);
  int fd = g_mkstemp_full (partial, O_WRONLY | O_CLOEXEC, 0644);

  if (fd < 0) {
    g_set_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_IO, _ ("Could not create a file beside %s: %s"),
                 path, g_strerror (errno));
    return FALSE;
  }
  if (!derush_analysis_write (analysis, fd, error)) {
    close (fd);
    g_unlink (partial);
    return FALSE;
  }
  if (close (fd) < 0 || g_rename (partial, path) < 0) {
    g_set_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_IO, _ ("Could not write %s: %s"), path,
                 g_strerror (errno));
    g_unlink (partial);
    return FALSE;
  }
  return TRUE;
}

/* ── Reading ────────────────────────────────────────────────────────────── */

/* A hundred days: beyond that it is no film, and nobody should count its tenths of a second. */
#define LONGEST_FILM 8640000.0

static gboolean
time_is_sound (double time)
{
  return time >= 0 && time <= LONGEST_FILM;
}

/* Greater than anything that is measured, and small enough to be added up and multiplied. */
#define GREATEST_VALUE 1e9f

static gboolean
floats_are_sound (const float *values, guint count)
{
  for (guint i = 0; i < count; i++) {
    if (!(fabsf (values[i]) <= GREATEST_VALUE))
      return FALSE;
  }
  return TRUE;
}

static gboolean
frames_are_sound (const DerushFrameFeatures *frames, guint count)
{
  for (guint i = 0; i < count; i++) {
    if (!time_is_sound (frames[i].time) || (i > 0 && frames[i].time < frames[i - 1].time) ||
        !floats_are_sound (&frames[i].bar_x,
                           (offsetof (DerushFrameFeatures, luma_histogram) - offsetof (DerushFrameFeatures, bar_x)) /
                               sizeof (float)) ||
        !(frames[i].bar_x >= 0 && frames[i].bar_x < 0.5f && frames[i].bar_y >= 0 && frames[i].bar_y < 0.5f))
      return FALSE;
  }
  return TRUE;
}

static gboolean
audio_is_sound (const DerushAudioBlock *audio, guint count)
{
  for (guint i = 0; i < count; i++) {
    if (!time_is_sound (audio[i].time) || (i > 0 && audio[i].time < audio[i - 1].time) ||
        !floats_are_sound (&audio[i].loudness,
                           (sizeof (DerushAudioBlock) - offsetof (DerushAudioBlock, loudness)) / sizeof (float)))
      return FALSE;
  }
  return TRUE;
}

static gboolean
shots_are_sound (const DerushShot *shots, guint count, guint n_frames)
{
  for (guint i = 0; i < count; i++) {
    if (!time_is_sound (shots[i].start) || !time_is_sound (shots[i].end) || shots[i].end < shots[i].start ||
        (i > 0 && shots[i].start < shots[i - 1].start) || !time_is_sound (shots[i].transition_start) ||
        !time_is_sound (shots[i].transition_end) || !floats_are_sound (&shots[i].score, 1) ||
        shots[i].transition >= DERUSH_N_TRANSITIONS || shots[i].first_frame >= n_frames)
      return FALSE;
  }
  return TRUE;
}

/* Every size is checked before what it describes is touched. */
static gboolean
take_tables (DerushAnalysisFile *self, GError **error)
{
  const char *contents = g_mapped_file_get_contents (self->mapping);
  gsize size = g_mapped_file_get_length (self->mapping);
  DerushAnalysis *analysis = &self->analysis;
  Header header;
  guint64 frames, audio, shots;

  if (size < sizeof (header) || memcmp (contents, MAGIC, sizeof (header.magic)) != 0 ||
      G_BYTE_ORDER != G_LITTLE_ENDIAN) {
    g_set_error_literal (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS,
                         _ ("The file is no analysis file."));
    return FALSE;
  }
  memcpy (&header, contents, sizeof (header));
  if (header.version != DERUSH_ANALYSIS_VERSION) {
    g_set_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_VERSION,
                 _ ("The analysis file has version %u, this program reads version %u."), header.version,
                 DERUSH_ANALYSIS_VERSION);
    return FALSE;
  }
  frames = (guint64)header.n_frames * sizeof (DerushFrameFeatures);
  audio = (guint64)header.n_audio * sizeof (DerushAudioBlock);
  shots = (guint64)header.n_shots * sizeof (DerushShot);
  if (header.header_size != sizeof (header) || header.frame_size != sizeof (DerushFrameFeatures) ||
      header.audio_size != sizeof (DerushAudioBlock) || header.shot_size != sizeof (DerushShot) ||
      header.file_size != size || sizeof (header) + frames + audio + shots != size) {
    g_set_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS,
                 _ ("The analysis file is cut or damaged: %zu bytes."), size);
    return FALSE;
  }
  contents += sizeof (header);
  *analysis = (DerushAnalysis){
      .frames = (const DerushFrameFeatures *)contents,
      .n_frames = header.n_frames,
      .audio = (const DerushAudioBlock *)(contents + frames),
      .n_audio = header.n_audio,
      .shots = (const DerushShot *)(contents + frames + audio),
      .n_shots = header.n_shots,
      .duration = header.duration,
      .width = header.width,
      .height = header.height,
  };
  if (checksum_of_file (&header, analysis->frames, analysis->audio, analysis->shots) != header.checksum ||
      !time_is_sound (header.duration) || !frames_are_sound (analysis->frames, analysis->n_frames) ||
      !audio_is_sound (analysis->audio, analysis->n_audio) ||
      !shots_are_sound (analysis->shots, analysis->n_shots, analysis->n_frames)) {
    g_set_error_literal (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_NOT_ANALYSIS,
                         _ ("The analysis file is damaged: its contents do not fit its checksum."));
    return FALSE;
  }
  return TRUE;
}

static DerushAnalysisFile *
open_mapping (GMappedFile *mapping, GError **error, GError *reason)
{
  g_autoptr (DerushAnalysisFile) self = NULL;

  if (!mapping) {
    g_set_error (error, DERUSH_ANALYSIS_ERROR, DERUSH_ANALYSIS_ERROR_IO, _ ("Could not read the analysis file: %s"),
                 reason->message);
    g_error_free (reason);
    return NULL;
  }
  self = g_new0 (DerushAnalysisFile, 1);
  self->mapping = mapping;
  if (!take_tables (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * derush_analysis_file_open:
 * @path: name of an analysis file
 * @error: return location for a #DerushAnalysisError
 *
 * Opens and checks an analysis file. A file that is cut, damaged or of another kind gives an error.
 *
 * Returns: (transfer full) (nullable): the file
 */
DerushAnalysisFile *
derush_analysis_file_open (const char *path, GError **error)
{
  GError *reason = NULL;
  GMappedFile *mapping = g_mapped_file_new (path, FALSE, &reason);

  return open_mapping (mapping, error, reason);
}

/**
 * derush_analysis_file_open_fd:
 * @fd: an analysis file, open for reading; may be closed afterwards
 * @error: return location for a #DerushAnalysisError
 *
 * As derush_analysis_file_open(), for a worker that may open no paths.
 *
 * Returns: (transfer full) (nullable): the file
 */
DerushAnalysisFile *
derush_analysis_file_open_fd (int fd, GError **error)
{
  GError *reason = NULL;
  GMappedFile *mapping = g_mapped_file_new_from_fd (fd, FALSE, &reason);

  return open_mapping (mapping, error, reason);
}

/**
 * derush_analysis_file_get:
 * @file: a file
 *
 * Returns: (transfer none): its contents, valid as long as @file is
 */
const DerushAnalysis *
derush_analysis_file_get (DerushAnalysisFile *file)
{
  return &file->analysis;
}

/**
 * derush_analysis_file_free:
 * @file: (transfer full): a file
 */
void
derush_analysis_file_free (DerushAnalysisFile *file)
{
  g_mapped_file_unref (file->mapping);
  g_free (file);
}
