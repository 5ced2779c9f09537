/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <string.h>

/* ── Scripts ────────────────────────────────────────────────────────────── */

static void
test_scripts (void)
{
  g_assert_cmpstr (bullmq_script_version (), ==, "6.7.0");
  for (guint i = 0; i < BULLMQ_N_SCRIPTS; i++) {
    const BullmqScript *script = bullmq_script_get (i);
    g_autofree char *sha1 = g_compute_checksum_for_data (G_CHECKSUM_SHA1, (const guchar *)script->text, script->length);

    g_assert_cmpstr (sha1, ==, script->sha1);
  }
  g_assert_true (g_str_has_prefix (bullmq_script_get (BULLMQ_MOVE_TO_ACTIVE)->sha1, "d96ca626"));
  g_assert_cmpuint (bullmq_script_get (BULLMQ_MOVE_TO_ACTIVE)->n_keys, ==, 11);
  g_assert_cmpuint (bullmq_script_get (BULLMQ_MOVE_TO_FINISHED)->n_keys, ==, 14);
}

/* ── Commands ───────────────────────────────────────────────────────────── */

static void
test_command (void)
{
  static const char expected[] =
      "*6\r\n$3\r\nSET\r\n$8\r\nbull:q:a\r\n$8\r\nbull:q:b\r\n$9\r\nbull:q:x\0\r\n$2\r\n-7\r\n$2\r\n\0\n\r\n";
  g_autoptr (BullmqCommand) command = bullmq_command_new ("SET");
  const char *text;
  gsize length;

  bullmq_command_add_keys (command, "bull:q:", (const char *const[]){"a", "b", NULL});
  bullmq_command_add_key (command, "bull:q:", "x\0", 2);
  bullmq_command_add_int (command, -7);
  bullmq_command_add (command, "\0\n", 2);
  text = bullmq_command_format (command, &length);
  g_assert_cmpmem (text, length, expected, sizeof expected - 1);
}

static void
test_script_command (void)
{
  g_autoptr (BullmqCommand) command = bullmq_command_new_script (BULLMQ_UPDATE_PROGRESS);
  gsize length;
  const char *text = bullmq_command_format (command, &length);

  g_assert_true (g_str_has_prefix (text, "*3\r\n$7\r\nEVALSHA\r\n$40\r\n"));
  g_assert_true (g_str_has_suffix (text, "\r\n$1\r\n3\r\n"));
}

/* ── MessagePack ────────────────────────────────────────────────────────── */

static const struct {
  const char *json;
  const char *bytes; /* hexadecimal */
} packs[] = {
    {"null", "c0"},
    {"true", "c3"},
    {"false", "c2"},
    {"0", "00"},
    {"-1", "ff"},
    {"30000", "cd7530"},
    {"1795478961574", "cf000001a20ae2bda6"},
    {"0.5", "cb3fe0000000000000"},
    {"\"\"", "a0"},
    {"\"token\"", "a5746f6b656e"},
    {"\"0123456789012345678901234567890123456789\"",
     "d92830313233343536373839303132333435363738393031323334353637383930313233343536373839"},
    {"[]", "90"},
    {"{}", "80"},
    {"[1,[\"a\"]]", "920191a161"},
    {"{\"count\":-1}", "81a5636f756e74ff"},
};

static char *
hex (const BullmqPack *pack)
{
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < pack->buffer.size; i++)
    g_string_append_printf (text, "%02x", (guchar)pack->buffer.data[i]);
  return g_string_free (text, FALSE);
}

static void
test_pack (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (packs); i++) {
    g_autoptr (JsonNode) node = derush_json_parse (packs[i].json, -1, NULL);
    g_auto (BullmqPack) pack = {0};
    g_autofree char *bytes = NULL;

    bullmq_pack_init (&pack);
    bullmq_pack_node (&pack, node);
    bytes = hex (&pack);
    g_assert_cmpstr (bytes, ==, packs[i].bytes);
  }
}

static void
test_pack_bytes_of_any_kind (void)
{
  g_auto (BullmqPack) pack = {0};
  g_autofree char *bytes = NULL;

  bullmq_pack_init (&pack);
  bullmq_pack_string (&pack, "a\0\xff", 3);
  bullmq_pack_string (&pack, NULL, -1);
  bytes = hex (&pack);
  g_assert_cmpstr (bytes, ==, "a36100ffc0");
}

/* ── Options ────────────────────────────────────────────────────────────── */

static const struct {
  const char *options;
  guint failures;
  double random;
  gint64 delay;
} backoffs[] = {
    {"{}", 1, 0.5, 0},
    {"{\"backoff\":500}", 3, 0.5, 500},
    {"{\"backoff\":{\"type\":\"fixed\",\"delay\":250}}", 2, 0.5, 250},
    {"{\"backoff\":{\"type\":\"fixed\",\"delay\":0}}", 2, 0.5, 0},
    {"{\"backoff\":{\"type\":\"fixed\",\"delay\":-5}}", 2, 0.5, 0},
    {"{\"backoff\":{\"type\":\"exponential\",\"delay\":200}}", 1, 0.5, 200},
    {"{\"backoff\":{\"type\":\"exponential\",\"delay\":200}}", 2, 0.5, 400},
    {"{\"backoff\":{\"type\":\"exponential\",\"delay\":200}}", 5, 0.5, 3200},
    {"{\"backoff\":{\"type\":\"exponential\",\"delay\":1000}}", 5000, 0.5, G_GINT64_CONSTANT (9007199254740991)},
    {"{\"backoff\":{\"type\":\"fixed\",\"delay\":1000,\"jitter\":1}}", 1, 0.25, 250},
    {"{\"backoff\":{\"type\":\"fixed\",\"delay\":1000,\"jitter\":0.5}}", 1, 0.0, 500},
    {"{\"backoff\":{\"type\":\"exponential\",\"delay\":1000,\"jitter\":0.5}}", 2, 1.0, 2000},
    {"{\"backoff\":{\"type\":\"of the backend\",\"delay\":70}}", 4, 0.5, 70},
    {"{\"backoff\":{\"delay\":70}}", 4, 0.5, 70},
    {"{\"backoff\":\"soon\"}", 1, 0.5, 0},
    {"{\"backoff\":[1]}", 1, 0.5, 0},
    {"{\"backoff\":null}", 1, 0.5, 0},
};

static void
test_backoff (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (backoffs); i++) {
    g_autoptr (JsonObject) options = derush_json_parse_object (backoffs[i].options, -1, NULL);

    g_assert_cmpint (bullmq_options_backoff (options, backoffs[i].failures, backoffs[i].random), ==, backoffs[i].delay);
  }
}

static const struct {
  const char *options;
  const char *fallback; /* NULL: none */
  const char *kept;     /* as JSON */
} keeps[] = {
    {"{}", NULL, "{\"count\":-1}"},
    {"{}", "{\"age\":86400}", "{\"age\":86400}"},
    {"{\"removeOnFail\":true}", "{\"age\":86400}", "{\"count\":0}"},
    {"{\"removeOnFail\":false}", "{\"age\":86400}", "{\"count\":-1}"},
    {"{\"removeOnFail\":7}", NULL, "{\"count\":7}"},
    {"{\"removeOnFail\":{\"count\":3,\"age\":5}}", NULL, "{\"count\":3,\"age\":5}"},
    {"{\"removeOnFail\":null}", NULL, "{\"count\":-1}"},
};

static void
test_keep (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (keeps); i++) {
    g_autoptr (JsonObject) options = derush_json_parse_object (keeps[i].options, -1, NULL);
    g_autoptr (JsonObject) fallback = keeps[i].fallback ? derush_json_parse_object (keeps[i].fallback, -1, NULL) : NULL;
    g_autoptr (JsonNode) kept = derush_json_parse (keeps[i].kept, -1, NULL);
    g_auto (BullmqPack) pack = {0}, expected = {0};

    bullmq_pack_init (&pack);
    bullmq_pack_init (&expected);
    bullmq_options_pack_keep (&pack, options, "removeOnFail", fallback);
    bullmq_pack_node (&expected, kept);
    g_assert_cmpmem (pack.buffer.data, pack.buffer.size, expected.buffer.data, expected.buffer.size);
  }
}

static const struct {
  const char *before; /* NULL: none */
  const char *options;
  const char *stack;
  const char *after;
} traces[] = {
    {NULL, "{}", NULL, "[\"Error: why\"]"},
    {"[]", "{}", "at x", "[\"Error: why\\nat x\"]"},
    {"[\"a\"]", "{}", NULL, "[\"a\",\"Error: why\"]"},
    {"[\"a\",\"b\"]", "{\"stackTraceLimit\":2}", NULL, "[\"b\",\"Error: why\"]"},
    {"[\"a\",\"b\"]", "{\"stackTraceLimit\":1}", NULL, "[\"Error: why\"]"},
    {"[\"a\"]", "{\"stackTraceLimit\":0}", NULL, "[]"},
    {"not JSON", "{}", NULL, "[\"Error: why\"]"},
    {"{}", "{}", NULL, "[\"Error: why\"]"},
};

static void
test_trace (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (traces); i++) {
    g_autoptr (JsonObject) options = derush_json_parse_object (traces[i].options, -1, NULL);
    g_autofree char *after = bullmq_options_add_trace (traces[i].before, options, "why", traces[i].stack);

    g_assert_cmpstr (after, ==, traces[i].after);
  }
}

/* ── Cron ───────────────────────────────────────────────────────────────── */

static const struct {
  const char *pattern;
  const char *tz;
  const char *after; /* UTC */
  const char *next;  /* UTC; NULL: none */
} crons[] = {
    {"* * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"},
    {"* * * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"},
    {"*/15 * * * *", "UTC", "2026-01-01T00:16:01Z", "2026-01-01T00:30:00Z"},
    {"30 5,17 * * *", "UTC", "2026-01-01T05:30:00Z", "2026-01-01T17:30:00Z"},
    {"0 30 9 * * mon-fri", "UTC", "2026-01-02T10:00:00Z", "2026-01-05T09:30:00Z"},
    {"0 0 1 jan *", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
    {"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
    {"0 0 L * *", "UTC", "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"},
    {"0 0 * * 7", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"},
    {"0 0 * * 5L", "UTC", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z"},
    {"0 0 * * 1#2", "UTC", "2026-01-01T00:00:00Z", "2026-01-12T00:00:00Z"},
    {"0 0 13 * 5", "UTC", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z"},
    {"@daily", "UTC", "2026-01-01T12:00:00Z", "2026-01-02T00:00:00Z"},
    {"0 8 * * *", "Europe/Paris", "2026-01-01T00:00:00Z", "2026-01-01T07:00:00Z"},
    {"0 8 * * *", "Europe/Paris", "2026-07-01T00:00:00Z", "2026-07-01T06:00:00Z"},
    {"0 0 * * *", "Europe/Paris", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
    {"0 0 31 2 *", "UTC", "2026-01-01T00:00:00Z", NULL},
    {"60 * * * *", "UTC", "2026-01-01T00:00:00Z", NULL},
    {"*/0 * * * *", "UTC", "2026-01-01T00:00:00Z", NULL},
    {"5-1 * * * *", "UTC", "2026-01-01T00:00:00Z", NULL},
    {"* * * *", "UTC", "2026-01-01T00:00:00Z", NULL},
    {"* * * * * * *", "UTC", "2026-01-01T00:00:00Z", NULL},
    {"once a day", "UTC", "2026-01-01T00:00:00Z", NULL},
    {"", "UTC", "2026-01-01T00:00:00Z", NULL},
    {"* * * * *", "Middle/Earth", "2026-01-01T00:00:00Z", NULL},
};

static gint64
milliseconds (const char *text)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_iso8601 (text, NULL);

  return g_date_time_to_unix (time) * 1000;
}

static void
test_cron (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (crons); i++) {
    gint64 next = bullmq_cron_next (crons[i].pattern, crons[i].tz, milliseconds (crons[i].after));

    g_test_message ("%s", crons[i].pattern);
    g_assert_cmpint (next, ==, crons[i].next ? milliseconds (crons[i].next) : -1);
  }
}

/* ── The server ─────────────────────────────────────────────────────────── */

static void
test_server (void)
{
  BullmqServer server;

  bullmq_server_parse (&server, "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n"
                                "# Cluster\r\ncluster_enabled:0\r\n");
  g_assert_cmpuint (server.version, ==, 70015);
  g_assert_false (server.evicts || server.cluster || server.dragonfly);
  bullmq_server_clear (&server);
  bullmq_server_parse (&server, "# Server\r\nredis_version:6.2.1\r\ndragonfly_version:1\r\n"
                                "maxmemory_policy:allkeys-lru\r\ncluster_enabled:1\r\n");
  g_assert_cmpuint (server.version, ==, 60201);
  g_assert_true (server.evicts && server.cluster && server.dragonfly);
  bullmq_server_clear (&server);
  bullmq_server_parse (&server, "");
  g_assert_cmpuint (server.version, ==, 0);
  g_assert_false (server.evicts);
  bullmq_server_clear (&server);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bullmq/scripts/have-the-keys-and-sums-this-worker-knows", test_scripts);
  g_test_add_func ("/bullmq/command/carries-bytes-of-any-kind", test_command);
  g_test_add_func ("/bullmq/command/of-a-script-names-its-sum-and-keys", test_script_command);
  g_test_add_func ("/bullmq/pack/writes-what-redis-reads", test_pack);
  g_test_add_func ("/bullmq/pack/text-may-be-bytes-of-any-kind", test_pack_bytes_of_any_kind);
  g_test_add_func ("/bullmq/options/backoff", test_backoff);
  g_test_add_func ("/bullmq/options/what-is-kept-of-finished-jobs", test_keep);
  g_test_add_func ("/bullmq/options/stack-traces-add-up-to-their-limit", test_trace);
  g_test_add_func ("/bullmq/cron/next-time", test_cron);
  g_test_add_func ("/bullmq/server/reads-what-info-says", test_server);
  return g_test_run ();
}
