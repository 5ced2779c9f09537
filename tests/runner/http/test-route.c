/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "http/http-private.h"

static void
first (HttpRequest *request)
{
}

static const HttpRoute routes[] = {
    {"POST", "/api/jobs", first},
    {"GET", "/api/jobs/statistics", first},
    {"GET", "/api/jobs/:id", first},
    {"POST", "/api/jobs/:id/cancel", first},
    {NULL},
};

static void
test_routes (void)
{
  static const struct {
    const char *method, *path;
    HttpRouteResult result;
    int route;
    const char *argument;
  } cases[] = {
      {"POST", "/api/jobs", HTTP_ROUTE_FOUND, 0, NULL},
      {"GET", "/api/jobs", HTTP_ROUTE_OTHER_METHOD, -1, NULL},
      {"GET", "/api/jobs/statistics", HTTP_ROUTE_FOUND, 1, NULL},
      {"HEAD", "/api/jobs/statistics", HTTP_ROUTE_FOUND, 1, NULL},
      {"GET", "/api/jobs/7", HTTP_ROUTE_FOUND, 2, "7"},
      {"GET", "/api/jobs/a%20b", HTTP_ROUTE_FOUND, 2, "a b"},
      {"GET", "/api/jobs/a%2Fb", HTTP_ROUTE_FOUND, 2, "a/b"},
      {"GET", "/api/jobs/%00", HTTP_ROUTE_UNKNOWN, -1, NULL},
      {"GET", "/api/jobs/%FF", HTTP_ROUTE_UNKNOWN, -1, NULL},
      {"GET", "/api/jobs/", HTTP_ROUTE_UNKNOWN, -1, NULL},
      {"POST", "/api/jobs/7/cancel", HTTP_ROUTE_FOUND, 3, "7"},
      {"POST", "/api/jobs/7/cancel/", HTTP_ROUTE_UNKNOWN, -1, NULL},
      {"POST", "/api//jobs", HTTP_ROUTE_UNKNOWN, -1, NULL},
      {"DELETE", "/api/jobs/7", HTTP_ROUTE_OTHER_METHOD, -1, NULL},
      {"GET", "", HTTP_ROUTE_UNKNOWN, -1, NULL},
      {"GET", "/api/jobs/7/../8", HTTP_ROUTE_UNKNOWN, -1, NULL},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (GStrv) arguments = NULL;
    g_autofree char *allowed = NULL;
    const HttpRoute *route = NULL;

    g_test_message ("%s %s", cases[i].method, cases[i].path);
    g_assert_cmpint (http_route_find (routes, cases[i].method, cases[i].path, &route, &arguments, &allowed), ==,
                     cases[i].result);
    g_assert_true (route == (cases[i].route < 0 ? NULL : &routes[cases[i].route]));
    g_assert_cmpstr (arguments ? arguments[0] : NULL, ==, cases[i].argument);
    g_assert_true ((allowed != NULL) == (cases[i].result == HTTP_ROUTE_OTHER_METHOD));
  }
}

static void
test_tokens (void)
{
  g_assert_true (http_token_matches ("sesame", "Bearer sesame"));
  g_assert_true (http_token_matches ("sesame", "bearer sesame"));
  g_assert_false (http_token_matches ("sesame", "Bearer sesam"));
  g_assert_false (http_token_matches ("sesame", "Bearer sesamee"));
  g_assert_false (http_token_matches ("sesame", "Bearer "));
  g_assert_false (http_token_matches ("sesame", "Basic sesame"));
  g_assert_false (http_token_matches ("sesame", ""));
  g_assert_false (http_token_matches ("sesame", NULL));
}

static void
test_addresses (void)
{
  static const struct {
    const char *text, *host;
    guint16 port;
    gboolean valid, off;
  } cases[] = {
      {"127.0.0.1:8787", "127.0.0.1", 8787, TRUE, FALSE},
      {"localhost:80", "127.0.0.1", 80, TRUE, FALSE},
      {"[::1]:0", "::1", 0, TRUE, FALSE},
      {"off", NULL, 0, TRUE, TRUE},
      {"OFF", NULL, 0, TRUE, TRUE},
      {"", NULL, 0, FALSE, FALSE},
      {"8787", NULL, 0, FALSE, FALSE},
      {"127.0.0.1:", NULL, 0, FALSE, FALSE},
      {"127.0.0.1:65536", NULL, 0, FALSE, FALSE},
      {"127.0.0.1:-1", NULL, 0, FALSE, FALSE},
      {"example.com:80", NULL, 0, FALSE, FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *host = NULL;
    g_autoptr (GError) error = NULL;
    guint16 port = 0;
    gboolean off;

    g_test_message ("%s", cases[i].text);
    g_assert_cmpint (http_address_parse (cases[i].text, &host, &port, &off, &error), ==, cases[i].valid);
    g_assert_cmpstr (host, ==, cases[i].host);
    g_assert_cmpint (port, ==, cases[i].port);
    g_assert_cmpint (off, ==, cases[i].off);
    g_assert_true ((error == NULL) == cases[i].valid);
  }
}

static void
test_ids (void)
{
  static const char *const good[] = {"1", "mine", "a b", "repeat:x:1"}, *const bad[] = {"",       "meta",   "wait",
                                                                                        "7:lock", "7:logs", "a\nb"};
  g_autofree char *text = g_strnfill (256, 'x');

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (http_is_id (good[i]));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (http_is_id (bad[i]));
  g_assert_false (http_is_id (text));
}

static void
test_positions (void)
{
  static const struct {
    const char *text;
    guint n_queues;
    gboolean good;
  } cases[] = {
      {"1700000000000-0", 1, TRUE},
      {"5-1,0-0", 2, TRUE},
      {"5-1", 2, FALSE},
      {"5-1,", 2, FALSE},
      {"5-1,6-2", 1, FALSE},
      {"", 1, FALSE},
      {"5", 1, FALSE},
      {"5-x", 1, FALSE},
      {"-5-1", 1, FALSE},
      {"5-1\r\nX: y", 1, FALSE},
      {"+5-1", 1, FALSE},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (GStrv) ids = http_events_parse_position (cases[i].text, cases[i].n_queues);

    if ((ids != NULL) != cases[i].good)
      g_error ("“%s” is %s", cases[i].text, ids ? "a position" : "none");
  }
  g_assert_cmpint (http_events_compare ("9-0", "10-0"), <, 0);
  g_assert_cmpint (http_events_compare ("10-2", "10-10"), <, 0);
  g_assert_cmpint (http_events_compare ("10-2", "10-2"), ==, 0);
  g_assert_cmpint (http_events_compare ("11-0", "10-9"), >, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/http/a-request-finds-its-route-or-none", test_routes);
  g_test_add_func ("/http/only-the-whole-token-opens", test_tokens);
  g_test_add_func ("/http/an-address-is-read-or-refused", test_addresses);
  g_test_add_func ("/http/other-keys-of-a-queue-are-no-jobs", test_ids);
  g_test_add_func ("/http/events/what-a-client-has-heard-is-read-strictly", test_positions);
  return g_test_run ();
}
