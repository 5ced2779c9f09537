/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "models/retry-private.h"
#include "models/store-private.h"

#include <string.h>
#include <glib/gstdio.h>

static JsonObject *
object_of (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonObject *object = derush_json_parse_object (text, -1, &error);

  g_assert_no_error (error);
  return object;
}

/* ── Schemas ────────────────────────────────────────────────────────────── */

static void
test_schema (void)
{
  static const struct {
    const char *schema, *value;
    const char *fault; /* (nullable): a part of it */
  } cases[] = {
      {"{\"type\":\"string\"}", "\"a\"", NULL},
      {"{\"type\":\"string\"}", "7", "/: is of type integer, must be string"},
      {"{\"type\":\"integer\"}", "7.0", NULL},
      {"{\"type\":\"integer\"}", "7.5", "number, must be integer"},
      {"{\"type\":\"number\"}", "7", NULL},
      {"{\"type\":[\"string\",\"null\"]}", "null", NULL},
      {"{\"type\":[\"string\",\"null\"]}", "true", "boolean"},
      {"{\"enum\":[\"a\",\"b\"]}", "\"b\"", NULL},
      {"{\"enum\":[\"a\",\"b\"]}", "\"c\"", "must be one of"},
      {"{\"const\":1}", "2", "must be 1"},
      {"{\"minimum\":0,\"maximum\":1}", "1", NULL},
      {"{\"minimum\":0,\"maximum\":1}", "1.01", "at most 1"},
      {"{\"minimum\":0}", "-1", "at least 0"},
      {"{\"exclusiveMinimum\":0}", "0", "greater than 0"},
      {"{\"exclusiveMaximum\":1}", "1", "less than 1"},
      {"{\"minLength\":2,\"maxLength\":3}", "\"é\"", "at least 2"},
      {"{\"minLength\":2,\"maxLength\":3}", "\"ééé\"", NULL},
      {"{\"maxLength\":3}", "\"éééé\"", "at most 3"},
      {"{\"pattern\":\"^[a-z]+$\"}", "\"abc\"", NULL},
      {"{\"pattern\":\"^[a-z]+$\"}", "\"a b\"", "pattern"},
      {"{\"type\":\"array\",\"items\":{\"type\":\"number\"}}", "[1,2,\"x\"]", "/2: is of type string"},
      {"{\"minItems\":1}", "[]", "at least 1"},
      {"{\"maxItems\":1}", "[1,2]", "at most 1"},
      {"{\"uniqueItems\":true}", "[1,2,1]", "twice"},
      {"{\"required\":[\"a\"]}", "{}", "has no “a”"},
      {"{\"properties\":{\"a\":{\"type\":\"string\"}},\"additionalProperties\":false}", "{\"b\":1}", "not allowed"},
      {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"b\":1}", NULL},
      {"{\"additionalProperties\":{\"type\":\"number\"}}", "{\"b\":\"x\"}", "/b: is of type"},
      {"{\"properties\":{\"a\":{\"items\":{\"required\":[\"b\"]}}}}", "{\"a\":[{\"b\":1},{}]}", "/a/1: has no"},
      {"{\"properties\":{\"a/b\":{\"type\":\"string\"}}}", "{\"a/b\":1}", "/a~1b: "},
      {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "null", NULL},
      {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "1", "must be string"},
      {"{}", "{\"whatever\":[1,null]}", NULL},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (JsonObject) schema = object_of (cases[i].schema);
    g_autoptr (JsonNode) value = derush_json_parse (cases[i].value, -1, NULL);
    g_autoptr (GError) error = NULL;
    gboolean fits = model_schema_check (schema, value, &error);

    g_test_message ("%s %s: %s", cases[i].schema, cases[i].value, error ? error->message : "fits");
    g_assert_true (fits == (cases[i].fault == NULL));
    if (cases[i].fault)
      g_assert_nonnull (strstr (error->message, cases[i].fault));
  }
}

static void
test_strict (void)
{
  g_autoptr (JsonObject) strict = object_of (
      "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"b\":"
      "{\"type\":\"string\"}},\"required\":[\"b\"],\"additionalProperties\":false}}},\"required\":[\"a\"],"
      "\"additionalProperties\":false}");
  g_autoptr (JsonObject) optional = object_of (
      "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[],\"additionalProperties\":false}");
  g_autoptr (JsonObject) inner = object_of (
      "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"object\"}},\"required\":[\"a\"],\"additionalProperties\":false}");

  g_assert_true (model_schema_is_strict (strict));
  g_assert_false (model_schema_is_strict (optional));
  g_assert_false (model_schema_is_strict (inner));
}

static void
test_for_strict (void)
{
  g_autoptr (JsonObject) schema = object_of (
      "{\"type\":\"object\",\"title\":\"x\",\"properties\":{\"title\":{\"type\":\"string\",\"maxLength\":9},\"a\":{\"type\":"
      "\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"string\",\"minLength\":1}}},\"required\":[\"title\",\"a\"]}");
  g_autoptr (JsonObject) strict = model_schema_for_strict (schema);
  g_autofree char *text = model_canonical_json (strict);

  g_assert_cmpstr (
      text, ==,
      "{\"properties\":{\"a\":{\"items\":{\"type\":\"string\"},\"type\":\"array\"},\"title\":{\"type\":\"string\"}},"
      "\"required\":[\"title\",\"a\"],\"type\":\"object\"}");
}

/* ── Retries ────────────────────────────────────────────────────────────── */

#define NOW G_GINT64_CONSTANT (1700000000000)

static void
test_durations (void)
{
  static const struct {
    const char *text;
    gint64 ms;
  } cases[] = {
      {"20ms", 20},
      {"1.2s", 1200},
      {"60s", 60000},
      {"6m0s", 360000},
      {"1h2m3.5s", 3723500},
      {"12", 12000},
      {"0.02", 20},
      {"1700000005", 5000},
      {"1600000000", 0},
      {"1700000005000", 5000},
      {"0", 0},
      {"1d", 86400000},
      {"500us", 1},
      {"", -1},
      {"soon", -1},
      {"-5", -1},
      {"5x", -1},
      {"s", -1},
      {"1s 2s", -1},
      {"1e400", -1},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("“%s”", cases[i].text);
    g_assert_cmpint (model_retry_parse_duration (cases[i].text, NOW), ==, cases[i].ms);
  }
}

static void
test_server_delay (void)
{
  static const struct {
    const char *headers[9];
    double estimated_time;
    gint64 ms;
  } cases[] = {
      {{"retry-after-ms", "30", "retry-after", "9"}, 0, 30},
      {{"retry-after", "9"}, 0, 9000},
      {{"retry-after", "Tue, 14 Nov 2023 22:13:30 GMT"}, 0, 10000},
      {{"retry-after", "Tue, 14 Nov 2023 22:00:00 GMT"}, 0, 0},
      {{"retry-after", "never"}, 0, -1},
      {{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "2s"}, 0, 2000},
      {{"x-ratelimit-remaining-requests", "4", "x-ratelimit-reset-requests", "2s"}, 0, -1},
      {{"x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-requests", "2s", "x-ratelimit-remaining-tokens", "0",
        "x-ratelimit-reset-tokens", "6m0s"},
       0,
       360000},
      {{"ratelimit-reset", "3"}, 0, 3000},
      {{NULL}, 20, 20000},
      {{NULL}, 0.1, 1000},
      {{NULL}, 1800, 60000},
      {{NULL}, 0, -1},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GHashTable) headers = g_hash_table_new (g_str_hash, g_str_equal);

    for (guint k = 0; cases[i].headers[k]; k += 2)
      g_hash_table_insert (headers, (char *)cases[i].headers[k], (char *)cases[i].headers[k + 1]);
    g_test_message ("case %u", i);
    g_assert_cmpint (model_retry_server_delay (headers, cases[i].estimated_time, NOW), ==, cases[i].ms);
  }
}

static void
test_statuses (void)
{
  static const struct {
    guint status;
    const char *code, *should_retry;
    gboolean again;
  } cases[] = {
      {400, NULL, NULL, FALSE},
      {401, NULL, NULL, FALSE},
      {402, NULL, NULL, FALSE},
      {403, NULL, NULL, FALSE},
      {404, NULL, NULL, FALSE},
      {413, NULL, NULL, FALSE},
      {422, NULL, NULL, FALSE},
      {408, NULL, NULL, TRUE},
      {409, NULL, NULL, TRUE},
      {425, NULL, NULL, TRUE},
      {429, NULL, NULL, TRUE},
      {429, "insufficient_quota", NULL, FALSE},
      {429, "insufficient_quota", "true", FALSE},
      {500, NULL, NULL, TRUE},
      {501, NULL, NULL, FALSE},
      {502, NULL, NULL, TRUE},
      {503, NULL, NULL, TRUE},
      {504, NULL, NULL, TRUE},
      {520, NULL, NULL, TRUE},
      {529, NULL, NULL, TRUE},
      {530, NULL, NULL, FALSE},
      {500, NULL, "false", FALSE},
      {400, NULL, "true", TRUE},
      {307, NULL, NULL, FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    ModelFault fault = {.status = cases[i].status, .code = (char *)cases[i].code};

    g_test_message ("%u %s", cases[i].status, cases[i].code ? cases[i].code : "");
    g_assert_true (model_retry_status (&fault, cases[i].should_retry) == cases[i].again);
  }
}

static void
test_transport (void)
{
  static const struct {
    int code;
    gboolean again;
  } cases[] = {
      {G_IO_ERROR_CONNECTION_CLOSED, TRUE},  {G_IO_ERROR_PARTIAL_INPUT, TRUE}, {G_IO_ERROR_CONNECTION_REFUSED, TRUE},
      {G_IO_ERROR_TIMED_OUT, TRUE},          {G_IO_ERROR_CANCELLED, FALSE},    {G_IO_ERROR_MESSAGE_TOO_LARGE, FALSE},
      {G_IO_ERROR_PERMISSION_DENIED, FALSE},
  };
  g_autoptr (GError) certificate = g_error_new_literal (G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE, "untrusted");
  g_autoptr (GError) handshake = g_error_new_literal (G_TLS_ERROR, G_TLS_ERROR_EOF, "closed");
  g_autoptr (GError) unknown = g_error_new_literal (G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "no name");
  g_autoptr (GError) busy = g_error_new_literal (G_RESOLVER_ERROR, G_RESOLVER_ERROR_TEMPORARY_FAILURE, "later");

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = g_error_new_literal (G_IO_ERROR, cases[i].code, "x");

    g_assert_true (model_retry_transport (error) == cases[i].again);
  }
  g_assert_false (model_retry_transport (certificate));
  g_assert_true (model_retry_transport (handshake));
  g_assert_false (model_retry_transport (unknown));
  g_assert_true (model_retry_transport (busy));
}

static void
test_own_delay (void)
{
  g_assert_cmpint (model_retry_own_delay (1, 1), ==, 1000);
  g_assert_cmpint (model_retry_own_delay (2, 1), ==, 2000);
  g_assert_cmpint (model_retry_own_delay (3, 0.5), ==, 2000);
  g_assert_cmpint (model_retry_own_delay (20, 1), ==, 30000);
  g_assert_cmpint (model_retry_own_delay (5, 0), ==, 0);
}

/* ── Limits ─────────────────────────────────────────────────────────────── */

static void
test_circuit (void)
{
  ModelLimits *limits = model_limits_new ();
  gint64 again, now = 1000;

  for (guint i = 0; i < 5; i++) {
    g_assert_true (model_limits_may_send (limits, "/a", now, &again));
    model_limits_failed (limits, "/a", now);
  }
  g_assert_false (model_limits_may_send (limits, "/a", now + 29999, &again));
  g_assert_cmpint (again, ==, now + 30000);
  g_assert_true (model_limits_may_send (limits, "/b", now, &again));
  now += 30000;
  /* One finds out. */
  g_assert_true (model_limits_may_send (limits, "/a", now, &again));
  g_assert_false (model_limits_may_send (limits, "/a", now, &again));
  model_limits_failed (limits, "/a", now);
  g_assert_false (model_limits_may_send (limits, "/a", now + 59999, &again));
  now += 60000;
  g_assert_true (model_limits_may_send (limits, "/a", now, &again));
  model_limits_gave_up (limits, "/a");
  g_assert_true (model_limits_may_send (limits, "/a", now, &again));
  g_assert_false (model_limits_may_send (limits, "/a", now, &again));
  /* A refusal is a sign of life as well. */
  model_limits_answered (limits, "/a");
  g_assert_true (model_limits_may_send (limits, "/a", now, &again));
  g_assert_true (model_limits_may_send (limits, "/a", now, &again));
  model_limits_succeeded (limits, "/a");
  g_assert_true (model_limits_may_send (limits, "/a", now, &again));
  g_assert_true (model_limits_may_send (limits, "/a", now, &again));
  model_limits_free (limits);
}

static void
test_budget (void)
{
  ModelLimits *limits = model_limits_new ();
  gint64 now = 1000;
  guint n = 0;

  while (model_limits_take_retry (limits, now) && n < 100)
    n++;
  g_assert_cmpuint (n, ==, 10);
  for (guint i = 0; i < 11; i++)
    model_limits_succeeded (limits, "/a");
  g_assert_true (model_limits_take_retry (limits, now));
  g_assert_false (model_limits_take_retry (limits, now));
  g_assert_true (model_limits_take_retry (limits, now + 31000));
  model_limits_free (limits);
}

static void
test_buckets (void)
{
  ModelLimits *limits = model_limits_new ();
  g_autoptr (GHashTable) headers = g_hash_table_new (g_str_hash, g_str_equal);

  g_assert_cmpint (model_limits_wait (limits, 1000000, NOW), ==, 0);
  g_hash_table_insert (headers, (char *)"x-ratelimit-remaining-requests", (char *)"2");
  g_hash_table_insert (headers, (char *)"x-ratelimit-reset-requests", (char *)"4s");
  g_hash_table_insert (headers, (char *)"x-ratelimit-remaining-tokens", (char *)"100");
  g_hash_table_insert (headers, (char *)"x-ratelimit-reset-tokens", (char *)"3s");
  model_limits_read_headers (limits, headers, NOW);
  g_assert_cmpint (model_limits_wait (limits, 60, NOW), ==, 0);
  g_assert_cmpint (model_limits_wait (limits, 60, NOW + 1000), ==, 2000);
  g_assert_cmpint (model_limits_wait (limits, 60, NOW + 3000), ==, 1000);
  g_assert_cmpint (model_limits_wait (limits, 60, NOW + 4000), ==, 0);
  model_limits_hold (limits, NOW + 9000);
  g_assert_cmpint (model_limits_wait (limits, 0, NOW + 5000), ==, 4000);
  g_assert_cmpint (model_limits_wait (limits, 0, NOW + 9000), ==, 0);
  model_limits_free (limits);
}

/* ── Faults ─────────────────────────────────────────────────────────────── */

static void
test_faults (void)
{
  static const struct {
    const char *body, *message, *code, *parameter;
  } cases[] = {
      {"{\"error\":{\"message\":\"no\",\"type\":\"t\",\"param\":\"p\",\"code\":\"c\"}}", "no", "c", "p"},
      {"{\"error\":{\"message\":\"no\",\"type\":\"t\",\"param\":null,\"code\":null}}", "no", "t", NULL},
      {"{\"error\":{\"code\":503,\"message\":\"Loading model\"}}", "Loading model", "503", NULL},
      {"{\"error\":\"a text\"}", "a text", NULL, NULL},
      {"{\"error\":[\"one\",\"two\"]}", "one; two", NULL, NULL},
      {"{\"detail\":\"a text\"}", "a text", NULL, NULL},
      {"{\"detail\":[{\"loc\":[\"body\",\"voice\"],\"msg\":\"field required\",\"type\":\"x\"}]}",
       "voice: field required", NULL, "voice"},
      {"{\"detail\":{\"error\":\"e\",\"message\":\"m\",\"type\":\"t\"}}", "m", "t", NULL},
      {"{\"object\":\"error\",\"message\":\"flat\",\"type\":\"BadRequestError\",\"code\":400}", "flat", "400", NULL},
      {"<html>\n\n<h1>502</h1>", "<html> <h1>502</h1>", NULL, NULL},
      {"", NULL, NULL, NULL},
      {"\xff\xfe", "��", NULL, NULL},
      {"{\"error\":{\"message\":\"Incorrect API key provided: sk-abcdef123456\"}}",
       "Incorrect API key provided: [redacted]", NULL, NULL},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    ModelResponse response = {.status = 400};
    ModelFault fault = {0};

    response.body = g_bytes_new_static (cases[i].body, strlen (cases[i].body));
    model_fault_read (&fault, &response);
    g_test_message ("case %u", i);
    g_assert_cmpstr (fault.message, ==, cases[i].message);
    g_assert_cmpstr (fault.code, ==, cases[i].code);
    g_assert_cmpstr (fault.parameter, ==, cases[i].parameter);
    model_fault_clear (&fault);
    g_bytes_unref (response.body);
  }
}

static void
test_redaction (void)
{
  static const struct {
    const char *text, *redacted;
  } cases[] = {
      {"Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"},
      {"the key sk-proj-abcdefgh is wrong", "the key [redacted] is wrong"},
      {"hf_abcdefghijkl", "[redacted]"},
      {"https://user:word@host/path", "https://[redacted]host/path"},
      {"https://host/a?x=1&api_key=secret&y=2", "https://host/a?[redacted]"},
      {"risk-free and half_done words stay", "risk-free and half_done words stay"},
      {"known: planted-secret-value", "known: [redacted]"},
      {"the token that begins with Zq8vT0pLmW is wrong", "the token that begins with [redacted] is wrong"},
      {"Zq8v is too little to tell, and wait...for it", "Zq8v is too little to tell, and wait...for it"},
  };
  static const struct {
    const char *text, *redacted;
  } masked[] = {
      {"Incorrect API key provided: Zq8vT0***************93kd.", "Incorrect API key provided: [redacted]"},
      {"no access for abcd…wxyz or abcd...wxyz", "no access for [redacted] or [redacted]"},
      {"sk-proj-********wxyz is wrong", "[redacted] is wrong"},
      {"at 10:30... or 2*3*4", "at 10:30... or 2*3*4"},
  };

  derush_log_add_secret ("planted-secret-value");
  model_redact_add_key ("Zq8vT0pLmWx4Yc2RnBd93kd");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *redacted = model_redact (cases[i].text);

    g_assert_cmpstr (redacted, ==, cases[i].redacted);
  }
  for (guint i = 0; i < G_N_ELEMENTS (masked); i++) {
    g_autofree char *redacted = model_redact_masked (masked[i].text);

    g_assert_cmpstr (redacted, ==, masked[i].redacted);
  }
}

/* ── Bytes ──────────────────────────────────────────────────────────────── */

static void
put_le32 (guint8 *p, guint32 value)
{
  p[0] = value;
  p[1] = value >> 8;
  p[2] = value >> 16;
  p[3] = value >> 24;
}

/* 8 kHz, 16 bits: @length bytes of sound, though the header says @said. */
static GBytes *
make_wav (guint32 length, guint32 said)
{
  guint8 *wav = g_malloc0 (44 + length);

  memcpy (wav, "RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data", 40);
  put_le32 (wav + 40, said);
  return g_bytes_new_take (wav, 44 + length);
}

static void
test_sound (void)
{
  static const struct {
    guint32 length, said;
    double duration;
    gboolean whole;
  } cases[] = {
      {16000, 16000, 1, TRUE}, {8000, 16000, 0.5, FALSE},     {16000, 0xffffffff, 1, TRUE},
      {16000, 0, 1, TRUE},     {15999, 0xffffffff, 1, FALSE},
  };
  static const guint8 frame[4] = {0xff, 0xfb, 0x90, 0x00};
  g_autofree guint8 *mp3 = g_malloc0 (10 * 417);
  g_autoptr (GBytes) all = NULL, cut = NULL, text = g_bytes_new_static ("{\"error\":1}", 11);
  double duration;
  gboolean whole;

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GBytes) wav = make_wav (cases[i].length, cases[i].said), mended = NULL;
    const guint8 *header;

    g_assert_cmpstr (model_sniff_audio (wav, &duration, &whole), ==, "wav");
    g_assert_cmpfloat_with_epsilon (duration, cases[i].duration, 0.001);
    g_assert_true (whole == cases[i].whole);
    mended = model_mend_wav (wav);
    g_assert_cmpuint (g_bytes_get_size (mended), ==, 44 + cases[i].length);
    header = g_bytes_get_data (mended, NULL);
    g_assert_cmpuint (header[40] | header[41] << 8 | header[42] << 16 | (guint32)header[43] << 24, ==,
                      cases[i].said == 16000 ? 16000 : cases[i].length);
  }
  for (guint i = 0; i < 10; i++)
    memcpy (mp3 + i * 417, frame, sizeof frame);
  all = g_bytes_new (mp3, 10 * 417);
  cut = g_bytes_new (mp3, 9 * 417 + 100);
  g_assert_cmpstr (model_sniff_audio (all, &duration, &whole), ==, "mp3");
  g_assert_cmpfloat_with_epsilon (duration, 10 * 1152 / 44100.0, 0.001);
  g_assert_true (whole);
  g_assert_cmpstr (model_sniff_audio (cut, &duration, &whole), ==, "mp3");
  g_assert_false (whole);
  g_assert_null (model_sniff_audio (text, &duration, &whole));
}

/* Whatever the bytes are, they are read within their bounds. */
static void
test_sniffing_rubbish (void)
{
  static const char *const heads[] = {"RIFF????WAVE",
                                      "OggS",
                                      "fLaC",
                                      "ID3",
                                      "\xff\xfb\x90",
                                      "\x89PNG\r\n\x1a\n",
                                      "\xff\xd8\xff",
                                      "RIFF????WEBPVP8X",
                                      "RIFF????WEBPVP8L",
                                      "RIFF????WEBPVP8 "};
  GRand *rand = g_rand_new_with_seed (7);

  for (guint i = 0; i < 20000; i++) {
    const char *head = heads[i % G_N_ELEMENTS (heads)];
    gsize length = g_rand_int_range (rand, 0, 120), start = MIN (strlen (head), length);
    guint8 *data = g_malloc (MAX (length, 1));
    g_autoptr (GBytes) bytes = NULL;
    double duration;
    int width, height;
    gboolean whole;

    for (gsize k = 0; k < length; k++)
      data[k] = k < start                       ? (guint8)head[k]
                : g_rand_int_range (rand, 0, 4) ? (guint8)(0xff * g_rand_int_range (rand, 0, 2))
                                                : (guint8)g_rand_int (rand);
    bytes = g_bytes_new_take (data, length);
    model_sniff_audio (bytes, &duration, &whole);
    model_sniff_picture (bytes, &width, &height, &whole);
  }
  g_rand_free (rand);
}

static void
test_form (void)
{
  g_autofree char *quoted = model_form_quote ("a\"b\r\nc");
  g_autofree char *path = NULL, *expected = NULL;
  g_autoptr (ModelRequest) request = model_request_new ("POST", "http://localhost/v1//", "/x");
  g_autoptr (GInputStream) form = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[1024] = "";
  goffset length;
  gsize got, total = 0;
  int fd = g_file_open_tmp ("derush-form-XXXXXX", &path, &error);

  g_assert_cmpstr (quoted, ==, "a%22b%0D%0Ac");
  g_assert_cmpstr (request->url, ==, "http://localhost/v1/x");
  g_assert_no_error (error);
  g_close (fd, NULL);
  g_assert_true (g_file_set_contents (path, "content", -1, NULL));
  model_request_add_file (request, "file", "speech.wav", "audio/wav", path);
  model_request_add_field (request, "model", "m");
  form = model_form_new (request->parts, "edge", &length, &error);
  g_assert_no_error (error);
  /* In small pieces: a read may end anywhere. */
  do {
    g_assert_true (g_input_stream_read_all (form, buffer + total, 7, &got, NULL, &error));
    total += got;
  } while (got == 7);
  g_assert_cmpuint (total, ==, length);
  g_assert_cmpstr (
      buffer, ==,
      "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"speech.wav\"\r\nContent-Type: "
      "audio/wav\r\n\r\ncontent\r\n--edge\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--edge--\r\n");
  g_unlink (path);
  g_clear_object (&form);
  form = model_form_new (request->parts, "edge", &length, &error);
  g_assert_error (error, DERUSH_MODELS_ERROR, DERUSH_ERROR_BAD_INPUT);
}

/* ── Texts ──────────────────────────────────────────────────────────────── */

static void
test_stripping (void)
{
  static const struct {
    const char *content, *left;
  } cases[] = {
      {" {\"a\":1} ", "{\"a\":1}"},
      {"```json\n{\"a\":1}\n```", "{\"a\":1}"},
      {"```\n{}\n```", "{}"},
      {"<think>{}</think>\n{\"a\":1}", "{\"a\":1}"},
      {"thinking aloud</think>{\"a\":1}", "{\"a\":1}"},
      {"``````", "``````"},
      {"no fence", "no fence"},
      {"", ""},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *left = model_chat_strip (cases[i].content);

    g_assert_cmpstr (left, ==, cases[i].left);
  }
}

static void
test_canonical_json (void)
{
  g_autoptr (JsonObject) one = object_of ("{\"b\":[{\"d\":1,\"c\":2}],\"a\":null}");
  g_autoptr (JsonObject) other = object_of ("{\"a\":null,\"b\":[{\"c\":2,\"d\":1}]}");
  g_autofree char *first = model_canonical_json (one), *second = model_canonical_json (other);

  g_assert_cmpstr (first, ==, second);
  g_assert_cmpstr (first, ==, "{\"a\":null,\"b\":[{\"c\":2,\"d\":1}]}");
}

static void
test_languages (void)
{
  g_assert_cmpstr (model_language_code ("English"), ==, "en");
  g_assert_cmpstr (model_language_code ("french"), ==, "fr");
  g_assert_cmpstr (model_language_code ("pt"), ==, "pt");
  g_assert_cmpstr (model_language_code ("EN-us"), ==, "en-us");
  g_assert_null (model_language_code (""));
  g_assert_null (model_language_code ("a text that is much too long to be the name of a language"));
}

/* Where keys may go. */
static void
test_addresses (void)
{
  static const struct {
    const char *url;
    gboolean safe;
  } cases[] = {
      {"https://api.openai.com/v1", TRUE},
      {"http://127.0.0.1:8080/v1", TRUE},
      {"http://[::1]:8080/v1", TRUE},
      {"http://localhost/v1", TRUE},
      {"http://192.168.1.7/v1", FALSE},
      {"http://localhost.example.org/v1", FALSE},
      {"http://127.0.0.1.nip.io/", FALSE},
      {"ftp://127.0.0.1/", FALSE},
      {"", FALSE},
      {"no address", FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("%s", cases[i].url);
    g_assert_true (model_client_is_https_or_loopback (cases[i].url) == cases[i].safe);
  }
}

static void
test_same_server (void)
{
  static const struct {
    const char *url, *base_url;
    gboolean same;
  } cases[] = {
      {"http://192.168.1.7:8080/generated/1.png", "http://192.168.1.7:8080/v1", TRUE},
      {"https://Models.example.org/1.png", "https://models.example.org:443/v1", TRUE},
      {"http://192.168.1.7:8081/1.png", "http://192.168.1.7:8080/v1", FALSE},
      {"http://192.168.1.8:8080/1.png", "http://192.168.1.7:8080/v1", FALSE},
      {"http://models.example.org/1.png", "https://models.example.org/v1", FALSE},
      {"http://192.168.1.7:8080@192.168.1.8/1.png", "http://192.168.1.7:8080/v1", FALSE},
      {"/1.png", "http://192.168.1.7:8080/v1", FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("%s", cases[i].url);
    g_assert_true (model_client_is_same_server (cases[i].url, cases[i].base_url) == cases[i].same);
  }
}

/* What an answer names is fetched from where everybody may fetch it, not from the network that we are in. */
static void
test_public_addresses (void)
{
  static const struct {
    const char *address;
    gboolean is_public;
  } cases[] = {
      {"8.8.8.8", TRUE},
      {"104.18.7.192", TRUE},
      {"2606:4700::6812:7c0", TRUE},
      {"0.0.0.0", FALSE},
      {"127.0.0.1", FALSE},
      {"127.9.9.9", FALSE},
      {"10.0.0.1", FALSE},
      {"172.16.0.1", FALSE},
      {"172.31.255.255", FALSE},
      {"172.32.0.1", TRUE},
      {"192.168.1.1", FALSE},
      {"169.254.169.254", FALSE},
      {"100.64.0.1", FALSE},
      {"100.128.0.1", TRUE},
      {"192.0.0.8", FALSE},
      {"198.18.0.1", FALSE},
      {"224.0.0.1", FALSE},
      {"255.255.255.255", FALSE},
      {"::", FALSE},
      {"::1", FALSE},
      {"::ffff:10.0.0.1", FALSE},
      {"::ffff:8.8.8.8", FALSE},
      {"fe80::1", FALSE},
      {"fd00::1", FALSE},
      {"ff02::1", FALSE},
      {"64:ff9b::a00:1", FALSE},
      {"2002:a00:1::", FALSE},
      {"2001:0:1::", FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GInetAddress) address = g_inet_address_new_from_string (cases[i].address);

    g_test_message ("%s", cases[i].address);
    g_assert_true (model_address_is_public (address) == cases[i].is_public);
  }
}

/* Nobody comes back early, and not all at once. */
static void
test_spread (void)
{
  g_assert_cmpint (model_retry_spread (0, 0.9), ==, 0);
  g_assert_cmpint (model_retry_spread (2000, 0), ==, 2000);
  g_assert_cmpint (model_retry_spread (2000, 0.5), ==, 2100);
  g_assert_cmpint (model_retry_spread (60000, 0.5), ==, 60500);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    void (*function) (void);
  } tests[] = {
      {"schema/values-that-do-not-fit-are-told-by-their-place", test_schema},
      {"schema/strict-is-asked-for-where-it-is-allowed", test_strict},
      {"schema/strict-mode-is-not-sent-what-it-refuses", test_for_strict},
      {"retry/durations-are-read-in-every-form", test_durations},
      {"retry/the-server-says-how-long", test_server_delay},
      {"retry/statuses-that-may-pass", test_statuses},
      {"retry/transport-errors-that-may-pass", test_transport},
      {"retry/own-delays-double-up-to-30-s", test_own_delay},
      {"retry/delays-of-the-server-are-spread", test_spread},
      {"limits/a-circuit-opens-after-five-failures-and-one-request-probes-it", test_circuit},
      {"limits/retries-have-a-budget", test_budget},
      {"limits/requests-wait-for-what-the-server-takes", test_buckets},
      {"faults/every-form-of-an-error-is-read", test_faults},
      {"faults/what-looks-like-a-key-is-not-shown", test_redaction},
      {"bytes/sound-that-is-cut-is-seen", test_sound},
      {"bytes/rubbish-is-read-within-its-bounds", test_sniffing_rubbish},
      {"bytes/forms-are-written-as-servers-read-them", test_form},
      {"texts/thoughts-and-fences-are-taken-off", test_stripping},
      {"texts/the-order-of-members-does-not-matter", test_canonical_json},
      {"texts/languages-have-codes", test_languages},
      {"addresses/keys-go-to-https-and-this-machine", test_addresses},
      {"addresses/what-an-answer-names-is-public", test_public_addresses},
      {"addresses/or-of-the-server-that-answers", test_same_server},
  };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree char *name = g_strconcat ("/models/", tests[i].name, NULL);

    g_test_add_func (name, tests[i].function);
  }
  return g_test_run ();
}
