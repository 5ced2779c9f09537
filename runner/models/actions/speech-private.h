/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Speech as plain data: where a long one is cut, the words of its parts, subtitles, and WAV files. */

#pragma once

#include "core/core.h"
#include "subtitles/subtitles.h"

G_BEGIN_DECLS

/* ── What the media worker says of a sound ──────────────────────────────── */

typedef struct {
  double start, end;
} DerushSpan;

/**
 * DerushSpeech:
 * @duration: in seconds
 * @interval: seconds to a level
 * @levels: (element-type gint8): in dBFS
 * @silences: (element-type DerushSpan): in order
 */
typedef struct {
  double duration;
  double interval;
  GArray *levels;
  GArray *silences;
} DerushSpeech;

/* @data: the contents of `speech.json`; NULL if it is something else. */
DerushSpeech *derush_speech_new (JsonObject *data);
void derush_speech_free (DerushSpeech *speech);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushSpeech, derush_speech_free)

/* How much of @start to @end is silence, 0 to 1. */
double derush_speech_silence (const DerushSpeech *speech, double start, double end);

/**
 * DerushPart:
 * @start: in seconds
 * @end: in seconds
 * @overlap: how far the part before reaches into this one, in seconds; 0: the cut is in a silence
 */
typedef struct {
  double start, end;
  double overlap;
} DerushPart;

/* (element-type DerushPart): none is longer than @longest; long silences are in none. */
GArray *derush_speech_cut (const DerushSpeech *speech, double longest);
/* The same of a part that was too long. */
GArray *derush_speech_cut_part (const DerushSpeech *speech, const DerushPart *part, double longest);

/* ── Words ──────────────────────────────────────────────────────────────── */

/**
 * DerushWord:
 * @start: in seconds
 * @end: in seconds
 * @text: with its punctuation
 * @confidence: 0 to 1; negative: unknown
 * @speaker: (nullable): who says it
 * @first: whether it begins a segment
 * @estimated: whether its times were made from those of its segment
 */
typedef struct {
  double start, end;
  char *text;
  double confidence;
  char *speaker;
  gboolean first;
  gboolean estimated;
} DerushWord;

GPtrArray *derush_words_new (void);
DerushWord *derush_word_new (double start, double end, const char *text);

/* (element-type DerushWord): of an answer to `transcribe` whose times begin at @part's start. */
GPtrArray *derush_words_read (JsonObject *answer, const DerushSpeech *speech, const DerushPart *part);

/* Appends @next (transfer full), whose first @overlap seconds from @start on @words may have as well. */
void derush_words_join (GPtrArray *words, GPtrArray *next, double start, double overlap);

/* Removes what nobody said: words in silence and phrases that go round in circles. Returns: how many */
guint derush_words_filter (GPtrArray *words, const DerushSpeech *speech);

/* Whether @text may be followed by @next without a blank, as in Chinese. */
gboolean derush_text_needs_blank (const char *text, const char *next);

char *derush_words_to_text (GPtrArray *words);
double derush_words_get_confidence (GPtrArray *words);

/* `[{start, end, text, speaker?, confidence?, words[]}]`. Returns: (transfer full) */
JsonArray *derush_words_to_segments (GPtrArray *words, gboolean with_words);

/* ── Subtitles ──────────────────────────────────────────────────────────── */

/**
 * DerushCueLayout:
 * @line_length: characters in a line
 * @lines: in a cue
 * @speed: characters that can be read in a second
 * @longest: a cue, in seconds
 * @shortest: a cue, where there is room, in seconds
 * @pause: between words, that ends a cue, in seconds
 * @gap: between cues, in seconds
 */
typedef struct {
  guint line_length;
  guint lines;
  double speed;
  double longest;
  double shortest;
  double pause;
  double gap;
} DerushCueLayout;

extern const DerushCueLayout derush_cue_layout_default;

/* Plain texts, with the speakers of the words. */
DerushSubtitles *derush_cues_new (GPtrArray *words, const DerushCueLayout *layout);

/* ── Sounds ─────────────────────────────────────────────────────────────── */

/**
 * DerushVoice:
 * @rate: samples a second
 * @samples: (element-type gint16): one channel
 */
typedef struct {
  guint rate;
  GArray *samples;
} DerushVoice;

void derush_voice_free (DerushVoice *voice);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DerushVoice, derush_voice_free)

DerushVoice *derush_voice_new (guint rate);

/* A WAV file of 16 bit, whose channels become one. */
DerushVoice *derush_voice_read (const char *path, GError **error);
gboolean derush_voice_write (const DerushVoice *voice, const char *path, GError **error);
double derush_voice_get_duration (const DerushVoice *voice);

/* Without the marks that voices would read out; empty where there is nothing else. */
char *derush_text_to_spoken (const char *text);

/* The quiet before and behind what is said goes, but for @margin seconds. */
void derush_voice_trim (DerushVoice *voice, double margin);
void derush_voice_add (DerushVoice *voice, const DerushVoice *more);

/* Silence up to @time. */
void derush_voice_pad (DerushVoice *voice, double time);

/* Copies @start to @end of one file of 16 bit and one channel into another. */
gboolean derush_wav_copy (const char *from, const char *to, double start, double end, GError **error);

/* (element-type utf8): parts of at most @longest characters, at the ends of sentences where that is possible. */
GPtrArray *derush_text_split (const char *text, gsize longest);

G_END_DECLS
