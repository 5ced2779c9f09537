/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the actions of text and pictures share: prompts, what a film says, subtitles, and what answers cost together. */

#pragma once

#include "models/action-private.h"
#include "subtitles/subtitles.h"

G_BEGIN_DECLS

/* ── Prompts ────────────────────────────────────────────────────────────── */

/* A file of `DERUSH_MODELS_DIR`, else of the data that is installed, such as `prompts/video-analysis.txt`. */
char *derush_text_data_read (const char *name, GError **error);
JsonObject *derush_text_schema_read (const char *name, GError **error);

/* @text with each `{{name}}` replaced by its value: pairs of names and values, up to NULL. */
char *derush_text_fill (const char *text, ...) G_GNUC_NULL_TERMINATED;

/* @data between marks that it cannot hold itself, so that nothing in it is taken for instructions. */
char *derush_text_fence (const char *data);

/* Splits a prompt at its line `---` into the system message and the task. */
gboolean derush_text_prompt_read (const char *name, char **system, char **task, GError **error);

/* ── What is said ───────────────────────────────────────────────────────── */

/* `{text, language?, segments[{start,end,text}]}` of the step `transcribe`. Returns: (transfer full) (nullable) */
JsonObject *derush_text_transcript (DerushModelJob *job);

/* What of @transcript fits into @length bytes, from all of it. Returns: (transfer full): itself if it is short enough */
JsonObject *derush_text_transcript_shorten (JsonObject *transcript, gsize length);

/* ── Answers ────────────────────────────────────────────────────────────── */

/**
 * DerushTextTally:
 *
 * What several answers cost together, and who gave them, each once; @last_engine gave the last one. Zeroed before the
 * first.
 */
typedef struct {
  char *provider, *engine, *reason, *last_engine;
  gboolean degraded, cached, priced;
  guint n_answers;
  double cost;
  JsonObject *usage; /* NULL: nothing is said of it */
  gint64 started;    /* monotonic, in µs */
} DerushTextTally;

void derush_text_tally_add (DerushTextTally *tally, JsonObject *answer);

/* Writes provider, engine, degraded, reason, cached, cost, usage, timestamp and processingTime. */
void derush_text_tally_sign (const DerushTextTally *tally, JsonObject *result);
void derush_text_tally_clear (DerushTextTally *tally);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (DerushTextTally, derush_text_tally_clear)

/* Whether something is said in the film that no engine could write down. */
gboolean derush_text_is_unheard (DerushModelJob *job);

/* How models are asked; in tests, somebody else. */
typedef JsonObject *(*DerushTextAsk) (const char *task, JsonObject *request, gpointer user_data, GError **error);

/* ── Translation ────────────────────────────────────────────────────────── */

/**
 * DerushTranslation:
 * @source: (nullable): code of the language; set when it is found out
 * @target: code of the language
 * @formality: FORMAL, NEUTRAL, INFORMAL
 * @glossary: (nullable): terms and their translations
 * @context: (nullable): what helps
 * @tone: (nullable): how it is to sound
 * @model: (nullable): another than the configured one
 * @ask: whom to ask
 * @ask_data: for @ask
 * @progress: (nullable): is told how many texts are done
 * @tally: takes every answer
 * @doubtful: whether @source was found out from a text that says too little of its language
 * @n_texts: that had something to translate
 * @intact: of these, that kept everything at once
 * @kept: of these, that stayed as they were, because nobody could translate them
 */
typedef struct {
  char *source;
  const char *target, *formality;
  JsonObject *glossary;
  const char *context, *tone, *model;
  DerushTextAsk ask;
  gpointer ask_data;
  void (*progress) (guint done, guint all, gpointer user_data);
  DerushTextTally *tally;
  gboolean doubtful;
  guint n_texts, intact, kept;
} DerushTranslation;

/* (element-type utf8): as many, in the same order; placeholders and terms of the glossary are kept. */
GPtrArray *derush_translate_texts (DerushTranslation *translation, GPtrArray *texts, GError **error);

/* The texts of @subtitles, in place, with their number of lines where these stay below @length characters. */
gboolean derush_translate_subtitles (DerushTranslation *translation, DerushSubtitles *subtitles, guint length,
                                     GError **error);

/* ── Analysis and content ───────────────────────────────────────────────── */

/* What a model calls the best moments, with what was measured: (transfer full): as `highlights` are */
JsonArray *derush_moments_merge (JsonArray *moments, JsonArray *measured, double duration, guint max);

/* Whether an analysis makes sense for a film of @duration seconds (0: unknown). */
gboolean derush_analysis_check (JsonObject *analysis, double duration, JsonArray *types, GError **error);

/**
 * DerushTextLimits:
 * @characters: of a text, or of each part of a thread; 0: no limit
 * @hashtags: how many
 */
typedef struct {
  guint characters;
  guint hashtags;
} DerushTextLimits;

/* @platform: (nullable); one that is not known is bad-input. @max: 0: no other limit. */
gboolean derush_text_limits_load (DerushTextLimits *limits, const char *platform, const char *type, guint max,
                                  GError **error);

/* Cuts @text at a word so that it has @characters at most. */
char *derush_text_cut (const char *text, guint characters);

/* `Blue moon!` → `#Bluemoon`; each once whatever its case, at most @max. Returns: (transfer full) */
JsonArray *derush_text_hashtags (JsonArray *first, JsonArray *more, guint max);

/* Whether lines that begin with times are chapters as platforms take them; @duration 0: not known. */
gboolean derush_text_chapters_check (const char *text, double duration, GError **error);

/* ── Actions ────────────────────────────────────────────────────────────── */

/* derush_models_call() for @job: a DerushTextAsk. */
JsonObject *derush_text_ask (const char *task, JsonObject *request, gpointer job, GError **error);
void derush_text_warn (DerushModelJob *job, const char *format, ...) G_GNUC_PRINTF (2, 3);
void derush_text_check_language (DerushModelJob *job, const char *answered);
/* Warns of speech that was hardly understood. */
void derush_text_check_hearing (DerushModelJob *job);
/* Warns of a text that rules wrote in another language than what is said. */
void derush_text_check_translated (DerushModelJob *job, JsonObject *transcript, const char *answered);
/* Whether rules answered in the place of a model. */
gboolean derush_text_is_by_rules (const DerushTextTally *tally);

JsonObject *derush_action_translate (DerushModelJob *job, GError **error);
JsonObject *derush_action_analyse_content (DerushModelJob *job, GError **error);
JsonObject *derush_action_content (DerushModelJob *job, GError **error);
JsonObject *derush_action_image (DerushModelJob *job, GError **error);

G_END_DECLS
