/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "daemon-private.h"

#include <string.h>
#include <unistd.h>

static DerushConfig *
load (const char *queues)
{
  g_autoptr (GError) error = NULL;
  DerushConfig *config;

  g_setenv ("DERUSH_QUEUES", queues, TRUE);
  config = derush_config_load (&error);
  g_assert_no_error (error);
  return config;
}

static void
test_queues (void)
{
  static const struct {
    const char *text, *expected;
  } cases[] = {
      {"video-processing,ai-processing", "video-processing=2 ai-processing=3"},
      {"anything", "anything=7"},
      {" a , b=4 ,, video-processing=1 ", "a=7 b=4 video-processing=1"},
      {"a=b=3", "a=b=3"},
      {"a=1-4,b=3-3", "a=1-4 b=3"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DerushConfig) config = load (cases[i].text);
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) settings = derush_queue_settings_new (config, &error);
    g_autoptr (GString) all = g_string_new (NULL);

    g_assert_no_error (error);
    for (guint k = 0; k < settings->len; k++) {
      DerushQueueSetting *setting = settings->pdata[k];

      g_string_append_printf (all, "%s%s=", k > 0 ? " " : "", setting->name);
      if (setting->minimum != setting->concurrency)
        g_string_append_printf (all, "%u-", setting->minimum);
      g_string_append_printf (all, "%u", setting->concurrency);
    }
    g_assert_cmpstr (all->str, ==, cases[i].expected);
  }
}

static void
test_bad_queues (void)
{
  static const struct {
    const char *text, *part;
  } cases[] = {
      {",", "no queue to serve"}, {"a,a", "twice"},
      {"a=0", "from 1 to 64"},    {"a=many", "from 1 to 64"},
      {"a=65", "from 1 to 64"},   {"=3", "no queue's name"},
      {"a:b", "no queue's name"}, {"a=4-1", "the least and the most"},
      {"a=1-65", "from 1 to 64"}, {"a=1-2-3", "from 1 to 64"},
      {"a=-3", "from 1 to 64"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DerushConfig) config = load (cases[i].text);
    g_autoptr (GError) error = NULL;

    g_assert_null (derush_queue_settings_new (config, &error));
    g_assert_error (error, DERUSH_DAEMON_ERROR, DERUSH_ERROR_BAD_INPUT);
    if (!strstr (error->message, cases[i].part))
      g_error ("“%s” does not mention “%s”", error->message, cases[i].part);
  }
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
  g_setenv ("WORKER_CONCURRENCY", "7", TRUE);
  g_setenv ("WORKER_VIDEO_PROCESSING_CONCURRENCY", "2", TRUE);
  g_setenv ("WORKER_AI_PROCESSING_CONCURRENCY", "3", TRUE);
  g_test_add_func ("/daemon/settings/queues-have-names-and-numbers", test_queues);
  g_test_add_func ("/daemon/settings/bad-queues-are-named", test_bad_queues);
  status = g_test_run ();
  unlink (settings);
  return status;
}
