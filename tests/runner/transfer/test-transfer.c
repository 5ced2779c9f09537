/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "transfer/transfer.h"

#include <string.h>
#include <glib/gstdio.h>
#include <sys/socket.h>

#define LENGTH (300 * 1024)

typedef struct {
  GSocketService *service;
  guint16 port;
  char *body; /* LENGTH bytes */
  char *folder, *path;
  int requests, ranges, authorized;
  DerushDownload download;
} Fixture;

static void
say (GOutputStream *out, const char *format, ...)
{
  va_list arguments;
  g_autofree char *text = NULL;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_output_stream_write_all (out, text, strlen (text), NULL, NULL, NULL);
}

static void
send_part (Fixture *fixture, GOutputStream *out, gsize from, gsize length)
{
  g_output_stream_write_all (out, fixture->body + from, length, NULL, NULL, NULL);
}

/* The whole, or the part that is asked for; at most @most bytes of it before the connection ends. */
static void
serve_film (Fixture *fixture, GOutputStream *out, gsize from, gsize most, const char *more)
{
  if (from > 0)
    say (out,
         "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %zu-%d/%d\r\nContent-Length: %zu\r\nETag: \"a\"\r\n\r\n",
         from, LENGTH - 1, LENGTH, LENGTH - from);
  else
    say (out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"a\"\r\n%s\r\n", LENGTH, more);
  send_part (fixture, out, from, MIN (most, LENGTH - from));
}

static gboolean
on_run (GThreadedSocketService *service, GSocketConnection *connection, GObject *source, gpointer user_data)
{
  Fixture *fixture = user_data;
  GOutputStream *out = g_io_stream_get_output_stream (G_IO_STREAM (connection));
  g_autoptr (GDataInputStream) in = g_data_input_stream_new (g_io_stream_get_input_stream (G_IO_STREAM (connection)));
  g_autofree char *first = NULL, *range = NULL;
  g_auto (GStrv) words = NULL;
  const char *path;
  gsize from = 0;
  int count = g_atomic_int_add (&fixture->requests, 1) + 1;

  g_data_input_stream_set_newline_type (in, G_DATA_STREAM_NEWLINE_TYPE_CR_LF);
  first = g_data_input_stream_read_line (in, NULL, NULL, NULL);
  for (;;) {
    g_autofree char *line = g_data_input_stream_read_line (in, NULL, NULL, NULL);

    if (!line || *line == '\0')
      break;
    if (g_ascii_strncasecmp (line, "Range: bytes=", 13) == 0)
      from = g_ascii_strtoull (line + 13, NULL, 10);
    if (g_ascii_strcasecmp (line, "Authorization: Basic bWU6c2VjcmV0") == 0)
      g_atomic_int_inc (&fixture->authorized);
  }
  words = g_strsplit (first ? first : "", " ", 3);
  path = words[0] && words[1] ? words[1] : "";
  if (from > 0)
    g_atomic_int_inc (&fixture->ranges);
  if (g_str_has_prefix (path, "/whole"))
    serve_film (fixture, out, 0, LENGTH, "");
  else if (strcmp (path, "/broken") == 0)
    serve_film (fixture, out, from, from > 0 ? LENGTH : LENGTH / 2, "");
  else if (strcmp (path, "/no-ranges") == 0)
    serve_film (fixture, out, 0, count == 1 ? LENGTH / 2 : LENGTH, "");
  else if (strcmp (path, "/short") == 0)
    say (out, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  else if (strcmp (path, "/endless") == 0)
    for (say (out, "HTTP/1.1 200 OK\r\n\r\n");
         g_output_stream_write_all (out, fixture->body, LENGTH, NULL, NULL, NULL);)
      ;
  else if (strcmp (path, "/drip") == 0)
    for (say (out, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
         g_output_stream_write_all (out, "x", 1, NULL, NULL, NULL);)
      g_usleep (20 * 1000);
  else if (strcmp (path, "/damaged") == 0)
    serve_film (fixture, out, 0, LENGTH, "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n");
  else if (strcmp (path, "/busy") == 0 && count == 1)
    say (out, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
  else if (strcmp (path, "/busy") == 0)
    serve_film (fixture, out, 0, LENGTH, "");
  else if (strcmp (path, "/forbidden") == 0)
    say (out, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
  else if (strcmp (path, "/to-metadata") == 0)
    say (out, "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n");
  else if (strcmp (path, "/to-loopback") == 0)
    say (out, "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.2/x\r\nContent-Length: 0\r\n\r\n");
  else if (strcmp (path, "/to-file") == 0)
    say (out, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
  else if (strcmp (path, "/to-whole") == 0)
    say (out, "HTTP/1.1 307 Go\r\nLocation: /whole?again\r\nContent-Length: 0\r\n\r\n");
  else if (strcmp (path, "/round") == 0)
    say (out, "HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n");
  g_io_stream_close (G_IO_STREAM (connection), NULL, NULL);
  return TRUE;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GInetAddress) loopback = g_inet_address_new_from_string ("127.0.0.1");
  g_autoptr (GSocketAddress) address = g_inet_socket_address_new (loopback, 0), effective = NULL;

  fixture->body = g_malloc (LENGTH);
  for (gsize i = 0; i < LENGTH; i++)
    fixture->body[i] = (i * 2654435761u) >> 13;
  fixture->service = g_threaded_socket_service_new (8);
  g_assert_true (g_socket_listener_add_address (G_SOCKET_LISTENER (fixture->service), address, G_SOCKET_TYPE_STREAM,
                                                G_SOCKET_PROTOCOL_TCP, NULL, &effective, NULL));
  fixture->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (effective));
  g_signal_connect (fixture->service, "run", G_CALLBACK (on_run), fixture);
  fixture->folder = g_dir_make_tmp ("derush-transfer-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->folder, "source", NULL);
  fixture->download.path = fixture->path;
  fixture->download.hosts = derush_allowed_hosts_new ("127.0.0.1", NULL);
  fixture->download.max_bytes = 10 * LENGTH;
  fixture->download.deadline = G_MAXINT64;
  fixture->download.stall = 20 * G_USEC_PER_SEC;
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_socket_service_stop (fixture->service);
  g_socket_listener_close (G_SOCKET_LISTENER (fixture->service));
  g_object_unref (fixture->service);
  derush_allowed_hosts_free (fixture->download.hosts);
  g_unlink (fixture->path);
  g_rmdir (fixture->folder);
  g_free (fixture->path);
  g_free (fixture->folder);
  g_free (fixture->body);
}

static gboolean
fetch (Fixture *fixture, const char *path, GCancellable *cancellable, GError **error)
{
  g_autofree char *url = g_strdup_printf ("http://me:secret@127.0.0.1:%u%s", fixture->port, path);
  gboolean done;

  fixture->download.url = url;
  done = derush_download_run (&fixture->download, cancellable, error);
  fixture->download.url = NULL;
  return done;
}

/* The listener accepts in the main context, so what blocks runs in a thread beside it. */
typedef struct {
  Fixture *fixture;
  const char *path;
  GCancellable *cancellable;
  GError *error;
  gboolean done;
  int ended;
} Call;

static gpointer
call_thread (gpointer data)
{
  Call *call = data;

  call->done = fetch (call->fixture, call->path, call->cancellable, &call->error);
  g_atomic_int_set (&call->ended, 1);
  g_main_context_wakeup (NULL);
  return NULL;
}

static gboolean
get (Fixture *fixture, const char *path, GCancellable *cancellable, GError **error)
{
  Call call = {fixture, path, cancellable};
  GThread *thread = g_thread_new ("call", call_thread, &call);

  while (!g_atomic_int_get (&call.ended))
    g_main_context_iteration (NULL, TRUE);
  g_thread_join (thread);
  if (call.error)
    g_propagate_error (error, call.error);
  return call.done;
}

static void
test_whole (Fixture *fixture, gconstpointer path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  gsize length;

  g_assert_true (get (fixture, path, NULL, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (fixture->path, &text, &length, NULL));
  g_assert_cmpmem (text, length, fixture->body, LENGTH);
  g_assert_true (fixture->download.complete);
  g_assert_cmpint (fixture->authorized, >=, 1);
  if (strcmp (path, "/broken") == 0)
    g_assert_cmpint (fixture->ranges, ==, 1);
}

static void
test_failures (Fixture *fixture, gconstpointer data)
{
  static const struct {
    const char *path;
    DerushErrorClass error_class;
    const char *part;
  } cases[] = {
      {"/forbidden", DERUSH_ERROR_BAD_INPUT, "403"},
      {"/to-metadata", DERUSH_ERROR_UNSUPPORTED, "169.254.169.254"},
      {"/to-loopback", DERUSH_ERROR_BAD_INPUT, "127.0.0.2"},
      {"/to-file", DERUSH_ERROR_BAD_INPUT, ""},
      {"/round", DERUSH_ERROR_BAD_INPUT, "redirects"},
      {"/endless", DERUSH_ERROR_BAD_INPUT, "too long"},
      {"/damaged", DERUSH_ERROR_RESOURCE, "checksum"},
      {"/short", DERUSH_ERROR_RESOURCE, "could not be fetched"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (get (fixture, cases[i].path, NULL, &error));
    g_test_message ("%s: %s", cases[i].path, error->message);
    g_assert_cmpint (derush_error_get_class (error), ==, cases[i].error_class);
    g_assert_nonnull (strstr (error->message, cases[i].part));
    g_assert_null (strstr (error->message, "secret"));
    g_assert_false (g_file_test (fixture->path, G_FILE_TEST_EXISTS));
  }
}

static void
test_deadline (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  fixture->download.deadline = g_get_monotonic_time () + G_USEC_PER_SEC / 2;
  g_assert_false (get (fixture, "/drip", NULL, &error));
  g_assert_cmpint (derush_error_get_class (error), ==, DERUSH_ERROR_STALLED);
}

static gpointer
cancel_soon (gpointer cancellable)
{
  g_usleep (200 * 1000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("cancel", cancel_soon, cancellable);

  g_assert_false (get (fixture, "/drip", cancellable, &error));
  g_thread_join (thread);
  g_assert_cmpint (derush_error_get_class (error), ==, DERUSH_ERROR_CANCELLED);
  g_assert_false (g_file_test (fixture->path, G_FILE_TEST_EXISTS));
}

static void
test_hosts_in_disguise (Fixture *fixture, gconstpointer data)
{
  static const char *const urls[] = {"https://127.0.0.2/", "https://2130706434/", "https://0177.0.0.2/",
                                     "https://0x7f.2/",    "https://[::1]/",      "https://[::ffff:127.0.0.2]/",
                                     "https://10.0.0.1/",  "https://[fd00::1]/",  "https://0/"};

  for (guint i = 0; i < G_N_ELEMENTS (urls); i++) {
    g_autoptr (GError) error = NULL;

    fixture->download.url = urls[i];
    g_assert_false (derush_download_run (&fixture->download, NULL, &error));
    g_test_message ("%s: %s", urls[i], error->message);
    g_assert_true (strstr (error->message, "private or reserved") || strstr (error->message, "cannot be found"));
  }
}

static void
test_addresses (void)
{
  static const struct {
    const char *address;
    gboolean public;
  } cases[] = {
      {"1.1.1.1", TRUE},
      {"93.184.216.34", TRUE},
      {"172.15.255.255", TRUE},
      {"172.32.0.0", TRUE},
      {"2606:4700::1111", TRUE},
      {"2a00:1450::1", TRUE},
      {"::ffff:1.1.1.1", TRUE},
      {"64:ff9b::101:101", TRUE},
      {"0.0.0.0", FALSE},
      {"10.255.0.1", FALSE},
      {"100.100.100.200", FALSE},
      {"127.8.8.8", FALSE},
      {"168.63.129.16", FALSE},
      {"169.254.169.254", FALSE},
      {"172.16.0.1", FALSE},
      {"172.31.255.255", FALSE},
      {"192.168.1.1", FALSE},
      {"198.19.0.1", FALSE},
      {"224.0.0.1", FALSE},
      {"255.255.255.255", FALSE},
      {"::", FALSE},
      {"::1", FALSE},
      {"fe80::1", FALSE},
      {"fc00::1", FALSE},
      {"fd00:ec2::254", FALSE},
      {"ff02::1", FALSE},
      {"::ffff:10.0.0.1", FALSE},
      {"64:ff9b::7f00:1", FALSE},
      {"2002:7f00:1::", FALSE},
      {"2001:0:1::1", FALSE},
      {"2001:db8::1", FALSE},
      {"::7f00:1", FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GInetAddress) address = g_inet_address_new_from_string (cases[i].address);

    g_test_message ("%s", cases[i].address);
    g_assert_cmpint (derush_transfer_may_reach (address), ==, cases[i].public);
  }
}

static void
test_allowed (void)
{
  g_autoptr (DerushAllowedHosts) hosts =
      derush_allowed_hosts_new ("10.1.0.0/16, Media.Local ,*.corp.example,::1", NULL);
  g_autoptr (GInetAddress) inside = g_inet_address_new_from_string ("::ffff:10.1.2.3"),
                           outside = g_inet_address_new_from_string ("10.2.0.1");
  g_autoptr (GError) error = NULL;

  g_assert_true (derush_allowed_hosts_has_name (hosts, "media.local"));
  g_assert_true (derush_allowed_hosts_has_name (hosts, "a.CORP.example"));
  g_assert_false (derush_allowed_hosts_has_name (hosts, "evilcorp.example"));
  g_assert_true (derush_allowed_hosts_has_address (hosts, inside));
  g_assert_false (derush_allowed_hosts_has_address (hosts, outside));
  g_assert_null (derush_allowed_hosts_new ("10.0.0.0/99", &error));
  g_assert_nonnull (strstr (error->message, "10.0.0.0/99"));
}

static void
test_describe (void)
{
  static const char *const cases[][2] = {
      {"https://u:p@h.example:8443/a/b.mp4?X-Amz-Signature=s#f", "https://h.example:8443/a/b.mp4"},
      {"https://h?s=@x", "https://h"},
      {"/films/a?b.mp4", "/films/a?b.mp4"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = derush_transfer_describe (cases[i][0]);

    g_assert_cmpstr (text, ==, cases[i][1]);
  }
}

static void
test_redacted (void)
{
  g_autofree char *text = derush_log_redact ("{\"videoUrl\":\"https://u:p@h.example/a.mp4?X-Sig=s\",\"b\":\"c?d\"}");

  g_assert_cmpstr (text, ==, "{\"videoUrl\":\"https://[redacted]@h.example/a.mp4?[redacted]\",\"b\":\"c?d\"}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/transfer/only-public-addresses-may-be-reached", test_addresses);
  g_test_add_func ("/transfer/hosts-and-networks-can-be-allowed", test_allowed);
  g_test_add_func ("/transfer/messages-call-a-source-without-its-secrets", test_describe);
  g_test_add_func ("/transfer/addresses-are-redacted-in-logs-and-rows", test_redacted);
  g_test_add ("/transfer/a-source-arrives-whole", Fixture, "/whole?x=1", set_up, test_whole, tear_down);
  g_test_add ("/transfer/a-redirect-is-followed", Fixture, "/to-whole", set_up, test_whole, tear_down);
  g_test_add ("/transfer/a-broken-one-is-resumed", Fixture, "/broken", set_up, test_whole, tear_down);
  g_test_add ("/transfer/without-ranges-it-starts-over", Fixture, "/no-ranges", set_up, test_whole, tear_down);
  g_test_add ("/transfer/a-busy-server-is-asked-again", Fixture, "/busy", set_up, test_whole, tear_down);
  g_test_add ("/transfer/each-failure-has-its-class-and-leaves-nothing", Fixture, NULL, set_up, test_failures,
              tear_down);
  g_test_add ("/transfer/a-drip-ends-at-the-deadline", Fixture, NULL, set_up, test_deadline, tear_down);
  g_test_add ("/transfer/it-can-be-cancelled", Fixture, NULL, set_up, test_cancel, tear_down);
  g_test_add ("/transfer/private-hosts-are-known-in-any-disguise", Fixture, NULL, set_up, test_hosts_in_disguise,
              tear_down);
  return g_test_run ();
}
