/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "store-tests.h"

#include <string.h>

static UseEmptyStore use_empty_store;
static OpenDatabase open_database;

JsonObject *
parse (const char *text)
{
  g_autofree char *json = g_strdelimit (g_strdup (text), "'", '"');
  g_autoptr (GError) error = NULL;
  JsonObject *object = derush_json_parse_object (json, -1, &error);

  g_assert_no_error (error);
  return object;
}

DerushPlan *
plan_for (const char *type, const char *text)
{
  g_autoptr (JsonObject) data = parse (text);
  g_autoptr (GError) error = NULL;
  DerushPlan *plan = derush_plan_new (type, data, DERUSH_PLAN_NONE, &error);

  g_assert_no_error (error);
  return plan;
}

JsonObject *
video_value (const char *path)
{
  g_autofree char *text = g_strdup_printf (
      "{'success':true,'jobType':'VIDEO_PROCESSING','warnings':['no sound'],'formats':[{'format':'mp4',"
      "'quality':'medium','resolution':'1280x720','fps':23.976,'bitrate':900000,'filePath':'%s',"
      "'fileSize':5000000000,'duration':52.208,'width':1280,'height':720,'isOptimized':true}]}",
      path);

  return parse (text);
}

DerushStore *
open_store (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushConfig) config = derush_config_load (&error);
  DerushStore *store;

  g_assert_no_error (error);
  store = derush_store_open (config, &error);
  g_assert_no_error (error);
  g_assert_nonnull (store);
  return store;
}

void
close_store (DerushStore *store)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (derush_store_close (store, 60, &error));
  g_assert_no_error (error);
}

char *
look_up (const char *sql)
{
  Database *database = open_database ();
  Statement *statement = statement_new (sql);
  g_autoptr (GPtrArray) rows = NULL;
  g_autoptr (GError) error = NULL;
  char *text = NULL;
  Failure failure;

  database->class->connect (database, &failure, &error);
  g_assert_no_error (error);
  database->class->begin (database, &failure, &error);
  g_assert_no_error (error);
  database->class->execute (database, statement, &rows, &failure, &error);
  g_assert_no_error (error);
  if (rows->len > 0)
    text = g_strdup (g_ptr_array_index ((GPtrArray *)rows->pdata[0], 0));
  statement_free (statement);
  database->class->free (database);
  return text;
}

void
assert_count (const char *table_and_condition, gint64 expected)
{
  g_autofree char *sql = g_strdup_printf ("SELECT count(*) FROM %s", table_and_condition);
  g_autofree char *count = look_up (sql), *wanted = g_strdup_printf ("%" G_GINT64_FORMAT, expected);

  g_assert_cmpstr (count, ==, wanted);
}

static JsonObject *
get (DerushStore *store, const char *id)
{
  g_autoptr (GError) error = NULL;
  JsonObject *row = derush_store_get_job (store, id, &error);

  g_assert_no_error (error);
  return row;
}

#define assert_text(object, name, expected) g_assert_cmpstr (derush_json_get_string (object, name, NULL), ==, expected)
#define assert_int(object, name, expected) g_assert_cmpint (derush_json_get_int (object, name, -1), ==, expected)

static void
test_life_of_a_job (void)
{
  DerushStore *store = open_store ();
  g_autoptr (DerushPlan) plan =
      plan_for ("VIDEO_PROCESSING", "{'videoId':'v1','videoUrl':'/a.mp4','userId':'u1','workflowId':'w','priority':2,"
                                    "'metadata':{'mine':[1]}}");
  g_autoptr (JsonObject) value = video_value ("/out/v1.mp4"), started = NULL, running = NULL, done = NULL;

  derush_store_job_started (store, "q:1", "VIDEO_PROCESSING", plan, plan->data, 1, 3);
  started = get (store, "q:1");
  assert_text (started, "type", "VIDEO_PROCESSING");
  assert_text (started, "status", "PROCESSING");
  assert_text (started, "priority", "HIGH");
  assert_text (started, "userId", "u1");
  assert_text (started, "videoId", "v1");
  assert_text (started, "workflowId", "w");
  assert_int (started, "progress", 0);
  assert_int (started, "retryCount", 0);
  assert_int (started, "maxRetries", 2);
  assert_text (json_object_get_object_member (started, "input"), "videoUrl", "/a.mp4");
  g_assert_nonnull (derush_json_get_array (json_object_get_object_member (started, "metadata"), "mine"));
  g_assert_true (g_str_has_suffix (json_object_get_string_member (started, "startedAt"), "Z"));
  g_assert_cmpuint (strlen (json_object_get_string_member (started, "startedAt")), ==, 24);
  g_assert_true (json_object_get_null_member (started, "completedAt"));
  g_assert_true (json_object_get_null_member (started, "output"));
  derush_store_job_progress (store, "q:1", 42, "transcode");
  running = get (store, "q:1");
  assert_int (running, "progress", 42);
  assert_text (running, "stage", "transcode");
  derush_store_job_completed (store, "q:1", plan, value, 1234);
  done = get (store, "q:1");
  assert_text (done, "status", "COMPLETED");
  assert_text (done, "message", "no sound");
  assert_int (done, "progress", 100);
  assert_int (done, "duration", 1234);
  g_assert_false (json_object_get_null_member (done, "completedAt"));
  g_assert_true (json_object_get_null_member (done, "error"));
  g_assert_true (derush_json_get_boolean (json_object_get_object_member (done, "output"), "success", FALSE));
  derush_store_job_progress (store, "q:1", 43, "transcode");
  close_store (store);
  assert_count ("jobs WHERE \"progress\" = 100", 1);
}

static void
test_assets (void)
{
  DerushStore *store = open_store ();
  g_autoptr (DerushPlan) video = plan_for ("VIDEO_PROCESSING", "{'videoId':'v1','videoUrl':'/a.mp4'}");
  g_autoptr (DerushPlan) thumbnails =
      plan_for ("THUMBNAIL_GENERATION", "{'videoId':'v1','videoUrl':'/a.mp4','quality':77}");
  g_autoptr (DerushPlan) highlights = plan_for ("HIGHLIGHT_DETECTION", "{'videoId':'v1','videoUrl':'/a.mp4'}");
  g_autoptr (JsonObject) film = video_value ("/out/v1.mp4");
  g_autoptr (JsonObject) stills =
      parse ("{'thumbnails':[{'filePath':'/out/1.jpg','time':5.25,'position':0.1,'width':640,'height':360,'fileSize':9,"
             "'format':'jpg','score':0.5,'reasons':[]},{'filePath':'/out/2.jpg','time':9}]}");
  g_autoptr (JsonObject) fewer = parse ("{'thumbnails':[{'filePath':'/out/3.jpg','time':1}]}");
  g_autoptr (JsonObject) found =
      parse ("{'highlights':[{'id':'h1','rank':1,'startTime':10,'endTime':14.5,'duration':4.5,'type':'AUDIO',"
             "'confidence':0.75,'description':'loud','tags':['a\\\\b','{c,d}','NULL'],'metadata':{'signals':{}}},"
             "{'id':'h2','rank':2}]}");

  /* As it happens when a job is taken again after a crash: everything twice. */
  for (guint run = 0; run < 2; run++) {
    derush_store_job_started (store, "q:1", "VIDEO_PROCESSING", video, video->data, 1, 1);
    derush_store_job_completed (store, "q:1", video, film, 1);
    derush_store_job_started (store, "q:2", "THUMBNAIL_GENERATION", thumbnails, thumbnails->data, 1, 1);
    derush_store_job_completed (store, "q:2", thumbnails, stills, 1);
    derush_store_job_started (store, "q:3", "HIGHLIGHT_DETECTION", highlights, highlights->data, 1, 1);
    derush_store_job_completed (store, "q:3", highlights, found, 1);
  }
  derush_store_job_completed (store, "q:4", highlights, found, 1);
  close_store (store);
  assert_count ("jobs", 4);
  assert_count ("video_formats", 1);
  assert_count (
      "video_formats WHERE \"filePath\" = '/out/v1.mp4' AND \"fileSize\" = 5000000000 AND \"width\" = 1280 AND "
      "\"resolution\" = '1280x720' AND \"videoId\" = 'v1' AND \"jobId\" = 'q:1' AND \"isOptimized\"",
      1);
  assert_count ("thumbnails", 2);
  assert_count ("thumbnails WHERE \"time\" = 5.25 AND \"position\" > 0.09 AND \"quality\" = 77 AND \"isGenerated\" AND "
                "\"videoId\" = 'v1' AND \"jobId\" = 'q:2'",
                1);
  assert_count ("highlights", 2);
  assert_count (
      "highlights WHERE \"id\" = 'h1' AND \"endTime\" = 14.5 AND \"type\" = 'AUDIO' AND \"confidence\" = 0.75 "
      "AND \"jobId\" = 'q:4'",
      1);
  store = open_store ();
  derush_store_job_completed (store, "q:2", thumbnails, fewer, 1);
  close_store (store);
  assert_count ("thumbnails", 1);
  assert_count ("thumbnails WHERE \"filePath\" = '/out/3.jpg'", 1);
  assert_count ("video_formats", 1);
}

static void
test_retries (void)
{
  DerushStore *store = open_store ();
  g_autoptr (DerushPlan) plan = plan_for ("SELF_TEST", "{'do':'fail'}");
  g_autoptr (JsonObject) delayed = NULL, second = NULL, failed = NULL, other = NULL;

  derush_store_job_started (store, "q:1", "SELF_TEST", plan, plan->data, 1, 2);
  derush_store_job_failed (store, "q:1", "the worker crashed", TRUE, FALSE, 7);
  delayed = get (store, "q:1");
  assert_text (delayed, "status", "DELAYED");
  assert_text (delayed, "error", "the worker crashed");
  g_assert_true (json_object_get_null_member (delayed, "completedAt"));
  g_usleep (2000);
  derush_store_job_started (store, "q:1", "SELF_TEST", plan, plan->data, 2, 2);
  second = get (store, "q:1");
  assert_text (second, "status", "PROCESSING");
  assert_int (second, "retryCount", 1);
  assert_text (second, "createdAt", json_object_get_string_member (delayed, "createdAt"));
  g_assert_true (json_object_get_null_member (second, "error"));
  derush_store_job_failed (store, "q:1", "again", FALSE, FALSE, 7);
  failed = get (store, "q:1");
  assert_text (failed, "status", "FAILED");
  assert_text (failed, "error", "again");
  g_assert_false (json_object_get_null_member (failed, "completedAt"));
  g_usleep (2000);
  derush_store_job_started (store, "q:1", "SELF_TEST", plan, plan->data, 1, 2);
  other = get (store, "q:1");
  assert_int (other, "retryCount", 0);
  g_assert_cmpstr (json_object_get_string_member (other, "createdAt"), >,
                   json_object_get_string_member (failed, "createdAt"));
  derush_store_job_started (store, "q:2", "SELF_TEST", plan, plan->data, 1, 1);
  derush_store_job_failed (store, "q:2", "stopped", FALSE, TRUE, 7);
  close_store (store);
  assert_count ("jobs WHERE \"status\" = 'CANCELLED'", 1);
}

static void
test_without_plan_or_user (void)
{
  DerushStore *store = open_store ();
  g_autoptr (JsonObject) data = parse ("{'videoId':12,'userId':'nobody','count':'x'}"), row = NULL, bare = NULL;
  g_autoptr (DerushPlan) plan = plan_for ("HIGHLIGHT_DETECTION", "{'videoUrl':'/a.mp4'}");
  g_autoptr (JsonObject) found = parse ("{'highlights':[{'id':'h','startTime':1}]}");

  derush_store_job_started (store, "q:1", "THUMBNAIL_GENERATION", NULL, data, 1, 1);
  derush_store_job_failed (store, "q:1", "/count is the text", FALSE, FALSE, 0);
  derush_store_job_started (store, "q:2", NULL, NULL, NULL, 1, 0);
  derush_store_job_started (store, "q:3", NULL, plan, NULL, 1, 1);
  derush_store_job_completed (store, "q:3", plan, found, 5);
  row = get (store, "q:1");
  assert_text (row, "videoId", "12");
  assert_text (row, "userId", "nobody");
  assert_text (row, "status", "FAILED");
  bare = get (store, "q:2");
  assert_text (bare, "type", "UNKNOWN");
  g_assert_true (json_object_get_null_member (bare, "userId"));
  g_assert_null (get (store, "q:none"));
  close_store (store);
  assert_count ("highlights WHERE \"videoId\" IS NULL", 1);
}

static void
test_hostile_text (void)
{
  static const char *const texts[] = {"'; DROP TABLE jobs; --",
                                      "\"quoted\" \\ back\\slash",
                                      "$1 %s ?1 :a @b",
                                      "\360\237\216\254 film\n\ttab \342\200\256",
                                      "bad \377\376 bytes",
                                      "",
                                      "{}",
                                      "NULL"};
  DerushStore *store = open_store ();
  g_autofree char *megabyte = g_strnfill (1024 * 1024, '\\');
  g_autoptr (JsonObject) data = json_object_new (), row = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *id = g_strdup_printf ("q:%u%s", i, texts[i]), *valid = g_utf8_make_valid (texts[i], -1);
    g_autoptr (JsonObject) input = json_object_new (), value = json_object_new (), read = NULL;
    g_autoptr (DerushPlan) plan = NULL;
    g_autofree char *video = g_strdup_printf ("v%s", valid);

    json_object_set_string_member (input, "videoUrl", "/a");
    json_object_set_string_member (input, "videoId", video);
    plan = derush_plan_new ("HIGHLIGHT_DETECTION", input, DERUSH_PLAN_NONE, NULL);
    json_object_set_string_member (value, "text", texts[i]);
    json_object_set_array_member (value, "highlights", json_array_new ());
    json_array_add_object_element (json_object_get_array_member (value, "highlights"), json_object_new ());
    json_object_set_string_member (
        json_array_get_object_element (json_object_get_array_member (value, "highlights"), 0), "description", texts[i]);
    derush_store_job_started (store, id, "HIGHLIGHT_DETECTION", plan, plan->data, 1, 1);
    derush_store_job_progress (store, id, 5, texts[i]);
    derush_store_job_completed (store, id, plan, value, 1);
    derush_store_job_failed (store, id, texts[i], FALSE, FALSE, 1);
    read = get (store, id);
    g_assert_nonnull (read);
    assert_text (read, "error", valid);
    assert_text (read, "videoId", video);
    assert_text (json_object_get_object_member (read, "output"), "text", valid);
  }
  json_object_set_string_member (data, "text", megabyte);
  derush_store_job_started (store, "q:big", "SELF_TEST", NULL, data, 1, 1);
  row = get (store, "q:big");
  assert_text (json_object_get_object_member (row, "input"), "text", megabyte);
  close_store (store);
  assert_count ("jobs", G_N_ELEMENTS (texts) + 1);
  assert_count ("highlights", G_N_ELEMENTS (texts));
}

static void
test_progress_is_coalesced (void)
{
  DerushStore *store = open_store ();
  g_autoptr (DerushPlan) plan = plan_for ("SELF_TEST", "{'do':'ok'}");
  g_autoptr (JsonObject) row = NULL, other = NULL;

  derush_store_job_started (store, "q:1", "SELF_TEST", plan, plan->data, 1, 1);
  derush_store_job_started (store, "q:2", "SELF_TEST", plan, plan->data, 1, 1);
  for (int i = 0; i <= 20000; i++) {
    derush_store_job_progress (store, "q:1", i / 200, "one");
    derush_store_job_progress (store, "q:2", 1000, NULL);
  }
  row = get (store, "q:1");
  assert_int (row, "progress", 100);
  assert_text (row, "stage", "one");
  other = get (store, "q:2");
  assert_int (other, "progress", 100);
  g_assert_true (json_object_get_null_member (other, "stage"));
  close_store (store);
}

static void
test_opening_again (void)
{
  g_autoptr (DerushPlan) plan = plan_for ("SELF_TEST", "{'do':'ok'}");

  for (guint i = 0; i < 3; i++) {
    DerushStore *store = open_store ();
    g_autofree char *id = g_strdup_printf ("q:%u", i);

    derush_store_job_started (store, id, "SELF_TEST", plan, plan->data, 1, 1);
    close_store (store);
  }
  assert_count ("jobs", 3);
  assert_count ("derush_migrations", 4);
}

static gpointer
fill (gpointer data)
{
  DerushStore *store = open_store ();
  g_autoptr (DerushPlan) plan = plan_for ("VIDEO_PROCESSING", "{'videoId':'v','videoUrl':'/a.mp4'}");
  g_autoptr (JsonObject) value = video_value ("/out/v.mp4");

  for (guint i = 0; i < 100; i++) {
    g_autofree char *id = g_strdup_printf ("%s:%u", (char *)data, i);

    derush_store_job_started (store, id, "VIDEO_PROCESSING", plan, plan->data, 1, 1);
    derush_store_job_progress (store, id, 50, "transcode");
    derush_store_job_completed (store, id, plan, value, 1);
  }
  close_store (store);
  return NULL;
}

static void
test_two_stores_at_once (void)
{
  GThread *threads[] = {g_thread_new (NULL, fill, "a"), g_thread_new (NULL, fill, "b"), g_thread_new (NULL, fill, "c")};

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  assert_count ("jobs WHERE \"status\" = 'COMPLETED'", 300);
  assert_count ("video_formats", 300);
  assert_count ("derush_migrations", 4);
}

static void
test_executions (void)
{
  DerushStore *store = open_store ();
  g_autoptr (JsonObject) input = parse ("{'videoUrl':'/a.mp4'}"), output = parse ("{'success':true}");
  g_autoptr (JsonArray) steps = json_array_new ();
  g_autofree char *status = NULL, *duration = NULL, *begun = NULL;
  DerushStoreExecution row = {
      .id = "x'1", .workflow = "w", .job = "q:1", .status = "RUNNING", .input = input, .steps = steps, .started = 1000};

  derush_store_execution (store, &row);
  row.status = "COMPLETED";
  row.output = output;
  row.ended = 3500;
  derush_store_execution (store, &row);
  close_store (store);
  assert_count ("workflow_executions", 1);
  status = look_up ("SELECT \"status\" FROM workflow_executions WHERE \"jobId\" = 'q:1' AND \"workflowId\" = 'w'");
  duration = look_up ("SELECT \"duration\" FROM workflow_executions");
  begun = look_up ("SELECT \"startedAt\" FROM workflow_executions");
  g_assert_cmpstr (status, ==, "COMPLETED");
  g_assert_cmpfloat (g_ascii_strtod (duration, NULL), ==, 2.5);
  g_assert_nonnull (strstr (begun, "1970-01-01"));
}

static void
test_texts (void)
{
  DerushStore *store = open_store ();
  g_autoptr (JsonObject) heard = parse (
      "{'jobType':'TRANSCRIPTION','text':'one two','language':'en','model':'m','confidence':0.5,'hasTimestamps':true,"
      "'timestamps':[{'start':0}],'hasSpeakers':false,'speakers':[],'wordCount':2,'filePath':'/out/a.srt'}");
  g_autoptr (JsonObject) said =
      parse ("{'jobType':'TRANSLATION','originalText':'one','sourceLanguage':'en','model':'m','formality':'FORMAL',"
             "'context':'','translations':[{'translatedText':'un','targetLanguage':'fr','wordCount':1,"
             "'characterCount':2,'file':'/out/fr.srt'},{'translatedText':'uno','targetLanguage':'es'}]}");
  g_autoptr (JsonObject) less =
      parse ("{'jobType':'TRANSLATION','originalText':'one','translations':[{'translatedText':'eins',"
             "'targetLanguage':'de'}]}");
  g_autofree char *stamps = NULL;

  for (guint run = 0; run < 2; run++) {
    derush_store_job_completed (store, "q:1", NULL, heard, 1);
    derush_store_job_completed (store, "q:2", NULL, said, 1);
  }
  close_store (store);
  assert_count ("transcriptions", 1);
  assert_count ("transcriptions WHERE \"text\" = 'one two' AND \"language\" = 'en' AND \"wordCount\" = 2 AND "
                "\"hasTimestamps\" AND NOT \"hasSpeakers\" AND \"filePath\" = '/out/a.srt' AND \"jobId\" = 'q:1'",
                1);
  stamps = look_up ("SELECT \"timestamps\" FROM transcriptions");
  g_assert_nonnull (strstr (stamps, "start"));
  assert_count ("translations", 2);
  assert_count ("translations WHERE \"translatedText\" = 'un' AND \"targetLanguage\" = 'fr' AND \"originalText\" = "
                "'one' AND \"formality\" = 'FORMAL' AND \"model\" = 'm' AND \"context\" IS NULL",
                1);
  store = open_store ();
  derush_store_job_completed (store, "q:2", NULL, less, 1);
  close_store (store);
  assert_count ("translations", 1);
  assert_count ("translations WHERE \"targetLanguage\" = 'de'", 1);
}

static void
test_no_store (void)
{
  derush_store_job_started (NULL, "q:1", NULL, NULL, NULL, 1, 1);
  derush_store_job_progress (NULL, "q:1", 1, NULL);
  derush_store_job_completed (NULL, "q:1", NULL, NULL, 1);
  derush_store_job_failed (NULL, "q:1", NULL, FALSE, FALSE, 1);
  g_assert_true (derush_store_close (NULL, 0, NULL));
}

typedef struct {
  const char *name;
  void (*run) (void);
} Test;

static void
run_test (gconstpointer data)
{
  const Test *test = data;

  use_empty_store (test->name);
  test->run ();
}

void
store_tests_use (UseEmptyStore empty, OpenDatabase open)
{
  use_empty_store = empty;
  open_database = open;
}

void
store_tests_add (const char *prefix, UseEmptyStore empty, OpenDatabase open)
{
  static const Test tests[] = {
      {"a-job-is-followed-from-start-to-end", test_life_of_a_job},
      {"what-a-job-made-is-there-once-however-often-it-ran", test_assets},
      {"a-retry-is-the-same-job-and-a-cancelled-one-is-no-failure", test_retries},
      {"a-job-without-plan-or-user-has-its-row", test_without_plan_or_user},
      {"hostile-text-is-only-text", test_hostile_text},
      {"of-many-progresses-the-newest-is-there", test_progress_is_coalesced},
      {"opening-again-keeps-what-is-there", test_opening_again},
      {"two-stores-at-once-lose-nothing", test_two_stores_at_once},
      {"a-run-of-a-workflow-has-one-row", test_executions},
      {"what-was-heard-and-translated-has-its-rows", test_texts},
      {"without-a-store-nothing-happens", test_no_store},
  };

  store_tests_use (empty, open);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree char *path = g_strdup_printf ("%s/%s", prefix, tests[i].name);

    g_test_add_data_func (path, &tests[i], run_test);
  }
}
