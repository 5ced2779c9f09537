/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

#include "core/core.h"

G_BEGIN_DECLS

#define LOCAL_NO_STEM G_MAXUINT

typedef struct {
  char *surface;   /* as it stands in the text */
  gsize offset;    /* in its sentence, in bytes */
  guint stem;      /* index of the stem; LOCAL_NO_STEM: one of the small words of the language, or hardly heard */
  gboolean common; /* frequent in any text: by itself it names no subject */
} LocalWord;

typedef struct {
  char *text;
  double start, end; /* s */
  double confidence; /* 0 to 1: how well it was heard; 1 where nobody says */
  gboolean formula;  /* a greeting, thanks and the like */
  gboolean turning;  /* says that something else begins */
  guint first, n;    /* of its words */
} LocalSentence;

/* A text in sentences and words, with what the measures below need. */
typedef struct {
  char *language;
  double duration;        /* s; 0: unknown */
  gboolean timed;         /* whether the sentences have times of their own */
  gboolean unclear;       /* so much was hardly heard that nothing of it was kept */
  GArray *sentences;      /* of LocalSentence */
  GArray *words;          /* of LocalWord */
  GPtrArray *stems;       /* index to stem */
  GArray *sentences_with; /* guint: in how many sentences a stem is */
  GArray *count_of;       /* guint: how often a stem is there */
  GHashTable *index_of;   /* stem to index + 1 */
} LocalText;

LocalText *local_text_new (const char *text, JsonArray *segments, const char *language, double duration);
void local_text_free (LocalText *text);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (LocalText, local_text_free)
const LocalSentence *local_text_get_sentence (const LocalText *text, guint index);
const LocalWord *local_text_get_word (const LocalText *text, guint index);
double local_text_weight (const LocalText *text, guint stem);
double local_text_similarity (const LocalText *text, guint a_first, guint a_n, guint b_first, guint b_n);
GStrv local_split_sentences (const char *text);
char *local_text_polish (const char *sentence);
char *local_text_to_title (const char *phrase, guint characters);
gboolean local_language_is_unspaced (const char *code);
char *local_text_shorten (const char *text, guint characters);

/* ── Which sentences say most (summary.c) ───────────────────────────────── */

double *local_rank_sentences (const LocalText *text, const LocalText *wish);
GArray *local_choose_sentences (const LocalText *text, const double *ranks, guint n, guint characters);
char *local_summarise (const LocalText *text, const double *ranks, guint n, guint characters);
double *local_rank_by_parts (const LocalText *text, const double *ranks, GPtrArray *chapters, guint n);
char *local_answer (const LocalText *text, const LocalText *question);

/* ── What a sentence says it is about (topics.c) ────────────────────────── */

void local_mark_sentences (LocalText *text);
char *local_announced_topic (const LocalText *text, guint first, guint n, guint characters);

/* ── Words and phrases (keywords.c) ─────────────────────────────────────── */

typedef struct {
  char *text;
  double score;
  guint count;
} LocalPhrase;

GPtrArray *local_find_phrases (const LocalText *text, guint first_sentence, guint n_sentences);
guint local_count_good_phrases (GPtrArray *phrases, guint most);
GPtrArray *local_find_people (const LocalText *text);
char *local_make_hashtag (const char *phrase);

/* ── Parts (chapters.c) ─────────────────────────────────────────────────── */

typedef struct {
  double start, end; /* s */
  char *title;
  gboolean announced; /* the title is what is said */
} LocalChapter;

GPtrArray *local_find_chapters (const LocalText *text, const double *cuts, guint n_cuts);

/* ── What is worth showing, and how it sounds (moments.c) ───────────────── */

typedef struct {
  double start, end; /* s */
  double score;      /* 0 to 1 */
  char *title;
  char *reason;
} LocalMoment;

GPtrArray *local_find_moments (const LocalText *text, const double *ranks, JsonArray *highlights, guint most_spoken,
                               guint most);

typedef struct {
  double score;    /* -1 to 1 */
  guint found;     /* words of the list */
  gboolean listed; /* whether the language has a list */
  double positive, negative;
} LocalSentiment;

void local_measure_sentiment (const LocalText *text, LocalSentiment *sentiment);

/* ── What is known of a film, and texts made of it (facts.c, content.c) ──── */

typedef struct {
  JsonObject *parameters, *signals;
  JsonArray *frames;
  LocalText *text;
  LocalText *wish; /* NULL: none */
  double duration; /* s */
  double *ranks;
  GPtrArray *phrases, *chapters, *moments;
} LocalFacts;

char *local_find_topic (const char *prompt);
JsonObject *local_facts_gather (JsonObject *input, GCancellable *cancellable);
void local_content_add (const LocalFacts *facts, JsonObject *said);
JsonNode *local_schema_project (JsonNode *facts, JsonObject *schema, GError **error);

/* ── Fixed words (phrases.ini) ──────────────────────────────────────────── */

char *local_phrase (const char *language, const char *name);
char *local_phrase_of_number (const char *language, const char *name, guint n);

G_END_DECLS
