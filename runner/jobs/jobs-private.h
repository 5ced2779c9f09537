/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Inside of the room: tables of fields, the checker that reads data by them, and what each job type brings. */

#pragma once

#include "jobs/jobs.h"

G_BEGIN_DECLS

/* ── Checking data by tables ────────────────────────────────────────────── */

typedef enum {
  FIELD_ANY,     /* taken as it is; the type's own code looks at it */
  FIELD_NUMBER,  /* finite, from min to max */
  FIELD_INTEGER, /* whole, from min to max */
  FIELD_BOOLEAN,
  FIELD_TEXT,    /* at most max characters; empty is absent */
  FIELD_ID,      /* text, or a number that becomes text; empty is absent */
  FIELD_NAME,    /* letters, digits, _ and -, upper-cased; choices hold other spellings only; empty is absent */
  FIELD_CHOICE,  /* one of choices in any case; empty is absent */
  FIELD_CHOICES, /* a list of choices, or one of them alone */
  FIELD_NUMBERS, /* a list of numbers from min to max, or one number alone */
} FieldType;

/*
 * Field: a row of a table, which ends with a row without a name.
 *   name      the member in the data
 *   type      what it has to be
 *   to        the member it becomes in the values read; NULL: the same name. Rows with the same one are aliases: the
 *             first that the data has wins
 *   min, max  see the types; of FIELD_CHOICES and FIELD_NUMBERS, max_items bounds the list
 *   choices   words separated by spaces, as results have them; `jpeg=jpg` is another spelling of jpg, `!webm` is known
 *             but not made by this version
 */
typedef struct {
  const char *name;
  FieldType type;
  const char *to;
  double min, max;
  guint max_items;
  const char *choices;
} Field;

typedef struct {
  DerushPlanFlags flags;
  GPtrArray *faults;
  GPtrArray *warnings;
  gboolean bad_input;   /* a fault is more than something this version lacks */
  GHashTable *pointers; /* member of the values read → JSON pointer of where it was */
  guint more_faults, more_warnings;
} Checker;

void checker_init (Checker *checker, DerushPlanFlags flags);
void checker_clear (Checker *checker);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Checker, checker_clear)

void checker_fault (Checker *checker, const char *pointer, const char *format, ...) G_GNUC_PRINTF (3, 4);
void checker_unsupported (Checker *checker, const char *pointer, const char *format, ...) G_GNUC_PRINTF (3, 4);
void checker_warn (Checker *checker, const char *format, ...) G_GNUC_PRINTF (2, 3);
const char *checker_pointer (Checker *checker, const char *to);
gboolean checker_finish (Checker *checker, GError **error);

/* Reads those members of @object that @table has into @values; what @values has already stays. */
void checker_read (Checker *checker, JsonObject *object, const char *pointer, const Field *table, JsonObject *values);

/* A warning, or a fault if the checker is strict, for each member of @object that none of @tables (NULL-terminated) has. */
void checker_read_rest (Checker *checker, JsonObject *object, const char *pointer, const Field *const *tables);

const Field *field_find (const Field *table, const char *name);

/* Refuses subtitles, music and a watermark, which no type can add yet. */
void checker_refuse_wishes (Checker *checker, JsonObject *values);

/* `9:16`, from 1:5 to 5:1 */
gboolean aspect_parse (const char *text, gint64 *numerator, gint64 *denominator);

/* How many parts of a film one job may find, or make shorts of: a person wants to look at each. */
#define MAX_MOMENTS 50
/* How many clips: the film is read for many at a time, but each is a file of its own that is written, checked and named,
 * which takes at least a tenth of a second: so many in a few minutes. */
#define MAX_CLIPS 1000

/*
 * Reads a list of parts of a film, `{id, startTime, endTime}` with whatever else a highlight has, such as `highlights` of
 * HIGHLIGHT_DETECTION; at most @count items from its beginning, if @count is not 0. More than @most are a fault.
 *
 * Returns: (transfer full): of `{start, end, id}`; what is wrong is among the faults
 */
JsonArray *moments_read (Checker *checker, JsonNode *list, const char *pointer, guint count, guint most);

/* That a list is longer than one job may name. */
void moments_fault_length (Checker *checker, const char *pointer, guint length, guint most);

/* The id of a highlight: the same film and times have the same one in every run, so that a later job can name it. */
char *highlight_id (DerushPlan *plan, double start, double end);

/* Whether @id is one of the plan's film, and the times it stands for. */
gboolean highlight_id_parse (DerushPlan *plan, const char *id, double *start, double *end);

/* As HIGHLIGHT_DETECTION returns what a step has found. */
JsonObject *highlight_row (DerushPlan *plan, JsonObject *found, guint rank);

/* ── Texts, for the jobs of the models ──────────────────────────────────── */

/* The code of a language in its usual spelling. Returns: (transfer full) (nullable): NULL: none is said, or `auto` */
char *language_read (Checker *checker, JsonObject *values, const char *name);

/* One or a list of them, each once. */
JsonArray *languages_read (Checker *checker, JsonObject *values, const char *name, guint max);

/* A list of `{start, end, text}`; what is wrong is among the faults. */
JsonArray *cues_read (Checker *checker, JsonNode *list, const char *pointer);
JsonObject *transcript_read (Checker *checker, JsonObject *values, const char *name);

guint count_words (const char *text);
void set_counts (JsonObject *object, const char *text);

/* Who answered, with what, at what cost: from the result of a step of the model worker, or NULL. */
JsonObject *model_metadata (JsonObject *result);

/* Where the files of the job are to be sent; what is wrong is among the faults. */
void plan_read_uploads (DerushPlan *plan, JsonNode *list, Checker *checker);

/* A value for people: text in quotes, shortened, in one line. */
char *json_node_quote (JsonNode *node);
char *text_quote (const char *text);

/* ── Job types ──────────────────────────────────────────────────────────── */

typedef struct {
  JsonObject *results;
  GPtrArray *outputs; /* (element-type DerushOutput) */
  const char *analysis_path;
} Finished;

/*
 * JobType:
 *   name, queue  as backends know them
 *   aliases      other names of jobs, separated by spaces, in upper snake case
 *   fields       of the data or of one of @containers; NULL: this version has no plan for the type
 *   containers   members of the data that may hold the fields, the type's own first
 *   needs_source whether data has to name a film
 *   labels       whether members that no table has are just labels, without a warning
 *   own_ids      whether `workflowId` and `executionId` are the type's own
 *   plan         adds steps from checked values
 *   outputs      adds the files of the results
 *   returns      adds the type's own members of the return value
 */
typedef struct {
  const char *name;
  const char *queue;
  const char *aliases;
  const Field *fields;
  const char *const *containers;
  gboolean needs_source;
  gboolean labels;
  gboolean own_ids;
  void (*plan) (DerushPlan *plan, JsonObject *values, Checker *checker);
  void (*outputs) (DerushPlan *plan, JsonObject *results, GPtrArray *outputs);
  void (*returns) (DerushPlan *plan, const Finished *finished, JsonObject *value);
} JobType;

extern const Field envelope_fields[];
extern const JobType video_processing, thumbnail_generation, highlight_detection, short_creation,
    highlight_clip_creation, ai_analysis, content_generation, image_generation, transcription, translation, voiceover,
    workflow_execution, self_test, analysis;

const JobType *job_type_find (const char *name);

/* ── Plans ──────────────────────────────────────────────────────────────── */

/* Returns: (transfer none): the new step's parameters, to be filled */
JsonObject *plan_add_step (DerushPlan *plan, const char *name, DerushStepWorker worker, double weight);
DerushPlanStep *plan_find_step (DerushPlan *plan, const char *name);

/* Names @source as the one that the plan's steps read, instead of what the envelope says. */
void plan_set_source (DerushPlan *plan, const char *source, const char *pointer, Checker *checker);

/* The steps that bring what is said in the source. */
void plan_add_transcription (DerushPlan *plan, const char *language, double weight);

/* All that models are told of a film: measurements, highlights, frames and what is said. */
void plan_add_film (DerushPlan *plan, const char *language, gint64 n_frames, double weight);

/* What the names of the job's files begin with: from the video's id, else from the source's name. */
char *plan_base_name (DerushPlan *plan);
char *file_name_from_id (const char *id);
char *file_name_from_source (const char *source);

void outputs_add (GPtrArray *outputs, const char *file, const char *role);
const DerushOutput *finished_find_output (const Finished *finished, const char *file);
const char *finished_path (const Finished *finished, const char *file);

/* ── Numbers and copies that are safe to write as JSON ──────────────────── */

void set_seconds (JsonObject *object, const char *name, double seconds);
void set_number (JsonObject *object, const char *name, double number);
void set_whole (JsonObject *object, const char *name, double number);
const char *string_element (JsonArray *array, guint i);
JsonNode *json_copy_finite (JsonNode *node);
void copy_member (JsonObject *from, const char *name, JsonObject *to, const char *to_name);
void copy_members (JsonObject *from, JsonObject *to);

G_END_DECLS
