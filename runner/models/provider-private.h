/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is behind derush_models_call(): providers, and one call of one of them. */

#pragma once

#include "models/models.h"
#include "models/transport-private.h"

G_BEGIN_DECLS

typedef struct _ModelProvider ModelProvider;
typedef struct _ModelClient ModelClient;
typedef struct _ModelLimits ModelLimits;
typedef struct _ModelCache ModelCache;

/**
 * ModelFault:
 * @status: the HTTP status; 0: there was no answer
 * @code: (nullable): the server's own code or type of error
 * @parameter: (nullable): the member that the server does not like
 * @message: (nullable): what the server says, without secrets
 * @estimated_time: after which it will be ready, in s; 0: it did not say
 * @loading: its model is not in memory yet
 *
 * What a server said when it refused.
 */
typedef struct {
  guint status;
  char *code;
  char *parameter;
  char *message;
  double estimated_time;
  gboolean loading;
} ModelFault;

/* What the server at an address cannot do; found out once, then remembered. */
typedef enum {
  MODEL_QUIRK_NO_VERBOSE = 1 << 0,     /* transcriptions without times */
  MODEL_QUIRK_NO_GRANULARITY = 1 << 1, /* no times of words on request */
  MODEL_QUIRK_INFERENCE_PATH = 1 << 2, /* whisper.cpp: /inference */
  MODEL_QUIRK_MAX_TOKENS = 1 << 3,     /* the older name of max_completion_tokens */
  MODEL_QUIRK_NO_TEMPERATURE = 1 << 4,
  MODEL_QUIRK_NO_SEED = 1 << 5,
  MODEL_QUIRK_NO_SCHEMA = 1 << 6,       /* json_object instead of json_schema */
  MODEL_QUIRK_NO_JSON = 1 << 7,         /* neither */
  MODEL_QUIRK_NO_QUALITY = 1 << 9,      /* images: quality, style, output_format, response_format */
  MODEL_QUIRK_NO_SIZE = 1 << 10,        /* images: only their own sizes */
  MODEL_QUIRK_NO_FORMAT = 1 << 11,      /* speech: only wav */
  MODEL_QUIRK_NO_PROMPT = 1 << 12,      /* transcriptions: no prompt */
  MODEL_QUIRK_NO_STRICT = 1 << 13,      /* schemas, but not strictly */
  MODEL_QUIRK_NO_TRANSLATION = 1 << 14, /* Hugging Face: no translation model, chat instead */
  MODEL_QUIRK_AUTO_LANGUAGE = 1 << 15,  /* transcriptions: English, unless it is told to find out */
  MODEL_QUIRK_SHORT_CLIPS = 1 << 16,    /* transcriptions: of half a minute at most */
  MODEL_QUIRK_NO_VOICE = 1 << 17,       /* speech: none of OpenAI's voices, but one that needs no name */
  MODEL_QUIRK_SINGLE_IMAGE = 1 << 18,   /* images: one at a time */
} ModelQuirk;

/**
 * ModelCall:
 * @client: sends
 * @provider: is asked
 * @task: what for
 * @model: which model
 * @request: what is asked, as derush_models_call() has it
 * @context: the caller's
 * @cancellable: the caller's
 * @deadline: when the call has to have ended, in monotonic µs
 * @fault: what the last answer that was no success said
 * @attempts: how many requests were sent
 * @paid: how many of them were answered
 * @lost: how many were sent whole and not answered, or not to the end: they may have been paid for
 * @request_id: (nullable): of the last answer
 * @tokens: what the request is estimated to take
 * @cache: (nullable): keeps pictures of which more are to come
 * @key: (nullable): what the answer is kept under
 * @hopeless: the answer would be the same again
 * @dislikes: (nullable): which part of the request @fault is about, that another request can do without; 0: none. Such a
 *   request is not sent again as it is
 *
 * One task for one provider.
 */
typedef struct _ModelCall ModelCall;
struct _ModelCall {
  ModelClient *client;
  ModelProvider *provider;
  const char *task;
  char *model;
  JsonObject *request;
  const DerushModelsContext *context;
  GCancellable *cancellable;
  gint64 deadline;
  ModelFault fault;
  guint attempts;
  guint paid;
  guint lost;
  char *request_id;
  guint64 tokens;
  ModelCache *cache;
  const char *key;
  gboolean hopeless;
  ModelQuirk (*dislikes) (ModelCall *call);
};

typedef JsonObject *(*ModelTask) (ModelCall *call, GError **error);

/* What can be asked; their names are those of derush_models_call(). */
typedef enum {
  MODEL_TASK_TRANSCRIBE,
  MODEL_TASK_SPEAK,
  MODEL_TASK_TRANSLATE,
  MODEL_TASK_CHAT,
  MODEL_TASK_IMAGE,
  MODEL_N_TASKS,
} ModelTaskId;

int model_task_find (const char *task);
extern const char *const model_task_names[MODEL_N_TASKS];

struct _ModelProvider {
  char *name;
  char *base_url;
  char *chat_url; /* (nullable): where chat is, if it is elsewhere */
  char *key;      /* or NULL */
  char *bill_to;
  char *voice; /* (nullable): that speaks when a job names none */
  gboolean local;
  const ModelTask *tasks; /* by ModelTaskId; NULL: it cannot */
  char *models[MODEL_N_TASKS];
  int quirks; /* of ModelQuirk; atomic */
  ModelLimits *limits;
  GError *broken; /* (nullable): why it must not be used */
};

extern const ModelTask model_openai_tasks[MODEL_N_TASKS];
extern const ModelTask model_huggingface_tasks[MODEL_N_TASKS];

/* openai.c and its sisters */
JsonObject *model_openai_transcribe (ModelCall *call, GError **error);
JsonObject *model_openai_speak (ModelCall *call, GError **error);
JsonObject *model_openai_translate (ModelCall *call, GError **error);
JsonObject *model_openai_chat (ModelCall *call, GError **error);
JsonObject *model_openai_image (ModelCall *call, GError **error);

gboolean model_provider_has_quirk (ModelProvider *provider, ModelQuirk quirk);
void model_provider_add_quirk (ModelProvider *provider, ModelQuirk quirk);
void model_provider_remove_quirk (ModelProvider *provider, ModelQuirk quirk);
ModelProvider *model_provider_new (DerushConfig *config, const char *name);
void model_provider_free (ModelProvider *provider);

/**
 * ModelComplete:
 *
 * Whether the body of a success is all there: a body that was cut looks whole to libsoup. %FALSE with an error of class
 * model if it is not.
 */
typedef gboolean (*ModelComplete) (ModelCall *call, ModelResponse *response, GError **error);

ModelLimits *model_limits_new (void);
void model_limits_free (ModelLimits *limits);
void model_limits_forget (ModelLimits *limits);

/* record.c: answers that are kept, and given again without asking anybody */
typedef struct _ModelRecorder ModelRecorder;
ModelRecorder *model_recorder_new (DerushConfig *config, GError **error);
void model_recorder_free (ModelRecorder *recorder);
gboolean model_recorder_replays (ModelRecorder *recorder);
gboolean model_recorder_is_used (ModelRecorder *recorder);
ModelResponse *model_recorder_send (ModelRecorder *recorder, ModelTransport *transport, ModelRequest *request,
                                    GCancellable *cancellable, GError **error);

ModelClient *model_client_new (DerushConfig *config, GError **error);
void model_client_free (ModelClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ModelClient, model_client_free)
ModelResponse *model_client_send (ModelCall *call, ModelRequest *request, ModelComplete complete, GError **error);
JsonObject *model_client_send_for_json (ModelCall *call, ModelRequest *request, GError **error);
gboolean model_client_replays (ModelClient *client);
guint32 model_client_seed (ModelClient *client);
ModelResponse *model_client_ask_once (ModelCall *call, ModelRequest *request, guint patience, GError **error);
ModelResponse *model_client_fetch (ModelCall *call, const char *url, gsize limit, GError **error);
gboolean model_client_is_https_or_loopback (const char *url);
gboolean model_client_is_same_server (const char *url, const char *base_url);

const char *model_provider_key_setting (const ModelProvider *provider);
void model_fault_clear (ModelFault *fault);
void model_fault_read (ModelFault *fault, ModelResponse *response);
GError *model_fault_to_error (ModelCall *call);
guint model_fault_hidden (ModelResponse *response);
gboolean model_fault_is_final (const ModelFault *fault);
gboolean model_fault_names (const ModelFault *fault, const char *word);

/* redact.c: what a stranger wrote, for people */
void model_redact_add_key (const char *key);
char *model_redact (const char *text);
char *model_redact_masked (const char *text);

/* media.c: what files are by their bytes, and whether they are whole */
const char *model_sniff_picture (GBytes *bytes, int *width, int *height, gboolean *whole);
const char *model_sniff_audio (GBytes *bytes, double *duration, gboolean *whole);
void model_digest_file (GChecksum *digest, const char *path);
GBytes *model_mend_wav (GBytes *bytes);
GBytes *model_wav_new (const gint16 *samples, gsize n_samples, double rate);
double model_wav_duration (const char *path);
goffset model_file_size (const char *path);
const char *model_response_describe (ModelResponse *response);

gboolean model_call_keep_picture (ModelCall *call, GBytes *bytes, JsonArray *images, GError **error);
gboolean model_call_keep_pictures (ModelCall *call, JsonArray *data, JsonArray *images, GError **error);
gboolean model_call_take_kept_pictures (ModelCall *call, JsonArray *images);
void model_call_keep_pictures_made (ModelCall *call, JsonArray *images, guint first);
char *model_chat_strip (const char *content);
const char *model_call_chat_url (ModelCall *call);

/* schema.c */
gboolean model_schema_check (JsonObject *schema, JsonNode *value, GError **error);
gboolean model_schema_is_strict (JsonObject *schema);
JsonObject *model_schema_for_strict (JsonObject *schema);

/* A file below the folder of data that is installed with us. */
char *model_data_read (const char *name, GError **error);

/* languages.c */
const char *model_language_code (const char *name);

void model_call_debug (ModelCall *call, const char *format, ...) G_GNUC_PRINTF (2, 3);
JsonObject *model_call_keep_sound (ModelCall *call, ModelResponse *response, GError **error);
void model_call_take_account (ModelCall *call, JsonObject *result, JsonObject *answer);
void model_call_take_account_of_headers (ModelCall *call, JsonObject *result, ModelResponse *response);
char *model_call_output_path (ModelCall *call, const char *name, GError **error);

G_END_DECLS
