/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "webhooks/webhooks-private.h"

#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>

/* The second one is the example of Standard Webhooks. */
static void
test_signatures (void)
{
  static const struct {
    const char *secret, *id, *body, *signature;
    gint64 timestamp;
  } cases[] = {
      {"a secret", "msg_1", "{\"a\":1}", "v1,G9yyY+PSokuQyf7/qeCtAdr51uGjmXNdKQPJD7IGMGA=", 1700000000},
      {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "{\"test\": 2432232314}",
       "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 1614265330},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *signature = webhooks_sign (cases[i].secret, cases[i].id, cases[i].timestamp, cases[i].body);

    g_assert_cmpstr (signature, ==, cases[i].signature);
  }
}

static void
test_pauses (void)
{
  static const struct {
    guint attempts;
    guint64 asked;
    double random;
    gint64 expected;
  } cases[] = {
      {1, 0, 0, 5000},         {2, 0, 0, 10000},    {4, 0, 0, 40000},
      {4, 0, 1, 50000},        {30, 0, 0, 3600000}, {1, 30, 0, 30000},
      {1, 999999, 0, 3600000}, {4, 10, 0, 40000},   {1, G_MAXUINT64, 0, 3600000},
      {4000, 0, 0, 3600000},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (webhooks_pause (5000, cases[i].attempts, cases[i].asked, cases[i].random), ==, cases[i].expected);
}

static void
test_events (void)
{
  g_auto (GStrv) events = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (webhooks_parse_events (" job.failed, workflow.completed", &events, &error));
  g_assert_true (g_strv_contains ((const char *const *)events, "job.failed"));
  g_assert_true (g_strv_contains ((const char *const *)events, "workflow.completed"));
  g_assert_false (webhooks_parse_events ("job.faild", &events, &error));
  g_assert_error (error, DERUSH_WEBHOOKS_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_nonnull (strstr (error->message, "job.faild"));
}

static WebhooksMessage *
make_message (const char *id)
{
  WebhooksMessage *message = g_new0 (WebhooksMessage, 1);

  message->id = g_strdup (id);
  message->event = g_strdup ("job.completed");
  message->url = g_strdup ("https://example.com/x?y=1");
  message->body = g_strdup ("{\"é\":\"\\n\"}");
  message->created = 1700000000123;
  message->due = 1700000005123;
  message->attempts = 3;
  return message;
}

static void
test_spool (void)
{
  g_autofree char *base = g_dir_make_tmp ("derush-XXXXXX", NULL), *folder = g_build_filename (base, "webhooks", NULL);
  g_autofree char *stale = g_build_filename (folder, "1-dead", NULL), *lock = g_build_filename (stale, "lock", NULL),
                  *half = g_build_filename (stale, "msg_c.json.AB12CD", NULL),
                  *damaged = g_build_filename (stale, "msg_d.json", NULL);
  g_autoptr (WebhooksMessage) a = make_message ("msg_a"), b = make_message ("msg_b"), read = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) none = NULL, adopted = NULL;
  WebhooksSpool *first = webhooks_spool_open (folder, &error), *second;

  g_assert_no_error (error);
  second = webhooks_spool_open (folder, &error);
  g_assert_no_error (error);
  g_assert_true (webhooks_spool_write (first, a, &error));
  g_assert_true (webhooks_spool_write (first, b, &error));
  read = webhooks_spool_read (first, "msg_a", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (read->id, ==, a->id);
  g_assert_cmpstr (read->event, ==, a->event);
  g_assert_cmpstr (read->url, ==, a->url);
  g_assert_cmpstr (read->body, ==, a->body);
  g_assert_cmpint (read->created, ==, a->created);
  g_assert_cmpint (read->due, ==, a->due);
  g_assert_cmpuint (read->attempts, ==, 3);
  /* The first one lives. */
  none = webhooks_spool_adopt (second);
  g_assert_cmpuint (none->len, ==, 0);
  webhooks_spool_remove (first, "msg_b");
  /* The first one ends; so did another one, while it wrote. */
  webhooks_spool_close (first);
  g_assert_cmpint (g_mkdir (stale, 0700), ==, 0);
  g_assert_true (g_file_set_contents (lock, "", 0, NULL));
  g_assert_true (g_file_set_contents (half, "{\"id\":", -1, NULL));
  g_assert_true (g_file_set_contents (damaged, "{\"id\":", -1, NULL));
  adopted = webhooks_spool_adopt (second);
  g_assert_cmpuint (adopted->len, ==, 1);
  g_assert_cmpstr (((WebhooksMessage *)adopted->pdata[0])->id, ==, "msg_a");
  g_assert_null (((WebhooksMessage *)adopted->pdata[0])->body);
  g_assert_false (g_file_test (stale, G_FILE_TEST_EXISTS));
  webhooks_spool_remove (second, "msg_a");
  webhooks_spool_close (second);
  /* Nothing is left. */
  g_assert_cmpint (g_rmdir (folder), ==, 0);
  g_rmdir (base);
}

static void
test_settings (void)
{
  static const struct {
    const char *url, *secret, *part;
  } cases[] = {
      {"https://example.com/", "", "DERUSH_WEBHOOK_SECRET"},
      {"example.com", "s", "no http"},
      {"file:///etc/passwd", "s", "no http"},
      {"http://", "s", "no http"},
  };
  g_autofree char *state = g_dir_make_tmp ("derush-XXXXXX", NULL);

  g_setenv ("DERUSH_STATE_DIR", state, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DerushConfig) config = NULL;
    g_autoptr (GError) error = NULL;

    g_setenv ("DERUSH_WEBHOOK_URL", cases[i].url, TRUE);
    g_setenv ("DERUSH_WEBHOOK_SECRET", cases[i].secret, TRUE);
    config = derush_config_load (NULL);
    g_assert_null (derush_webhooks_new (config, &error));
    g_assert_error (error, DERUSH_WEBHOOKS_ERROR, DERUSH_ERROR_BAD_INPUT);
    g_assert_nonnull (strstr (error->message, cases[i].part));
  }
  g_rmdir (state);
}

int
main (int argc, char **argv)
{
  g_autofree char *settings = NULL;
  int fd, status;

  g_test_init (&argc, &argv, NULL);
  fd = g_file_open_tmp ("derush-XXXXXX.conf", &settings, NULL);
  close (fd);
  g_setenv ("DERUSH_CONFIG", settings, TRUE);
  g_test_add_func ("/webhooks/messages-are-signed-as-standard-webhooks-has-it", test_signatures);
  g_test_add_func ("/webhooks/pauses-grow-and-end-and-a-server-can-ask-for-longer-ones", test_pauses);
  g_test_add_func ("/webhooks/events-that-there-are-not-are-refused", test_events);
  g_test_add_func ("/webhooks/what-a-process-leaves-is-taken-over-once", test_spool);
  g_test_add_func ("/webhooks/an-address-needs-a-secret-and-a-host", test_settings);
  status = g_test_run ();
  g_unlink (settings);
  return status;
}
