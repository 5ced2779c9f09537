/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-test.h"

#include <string.h>

static GPtrArray *
publish (DerushPlan *plan, JsonObject *results)
{
  GPtrArray *outputs = derush_plan_get_outputs (plan, results);

  for (guint i = 0; i < outputs->len; i++) {
    DerushOutput *output = g_ptr_array_index (outputs, i);

    output->path = g_strdup_printf ("/out/%s", output->file);
    output->size = 1000 + i;
    output->sha256 = g_strdup ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  }
  return outputs;
}

static JsonObject *
value_from (const char *type, const char *data, const char *results_text, const char *analysis_path)
{
  g_autoptr (DerushPlan) plan = plan_from (type, data);
  g_autoptr (JsonObject) results = data_from (results_text);
  g_autoptr (GPtrArray) outputs = publish (plan, results);
  g_autoptr (GPtrArray) warnings = g_ptr_array_new ();

  g_ptr_array_add (warnings, (char *)"said by the runner");
  return derush_plan_return_value (plan, results, outputs, warnings, analysis_path, 1234);
}

static void
assert_members (JsonObject *object, ...)
{
  const char *name;
  va_list names;

  va_start (names, object);
  while ((name = va_arg (names, const char *)))
    if (!json_object_has_member (object, name))
      g_error ("there is no %s", name);
  va_end (names);
}

static void
assert_common (JsonObject *value, const char *type)
{
  assert_members (value, "success", "jobType", "videoId", "processingTime", "outputs", "warnings", "versions", NULL);
  g_assert_true (json_object_get_boolean_member (value, "success"));
  g_assert_cmpstr (json_object_get_string_member (value, "jobType"), ==, type);
  g_assert_cmpint (json_object_get_int_member (value, "processingTime"), ==, 1234);
  g_assert_cmpstr (derush_json_get_string (derush_json_get_object (value, "versions"), "derush", NULL), ==,
                   PACKAGE_VERSION);
}

static void
test_video (void)
{
  g_autoptr (JsonObject) value = value_from (
      "VIDEO_PROCESSING",
      "{'mediaId':12,'videoUrl':'/f/a.mp4','userId':'u1','resolution':'720p','metadata':{'mine':true}}",
      "{'probe':{'warnings':['no sound']},'transcode':{'file':'12-720p.mp4','width':1280,'height':720,"
      "'duration':52.2083333,'fps':24,'bitrate':900000.4,'size':5000,'videoCodec':'H.264','audioCodec':'AAC',"
      "'format':'mp4','frames':1253},'check':{'ok':true}}",
      NULL);
  JsonArray *formats = json_object_get_array_member (value, "formats");
  JsonObject *row = json_array_get_object_element (formats, 0);

  assert_common (value, "VIDEO_PROCESSING");
  assert_members (value, "outputPath", "outputUrl", "duration", "size", "format", "width", "height", "fps", "bitrate",
                  "codec", "mediaId", "thumbnailUrl", NULL);
  assert_members (row, "format", "quality", "resolution", "fps", "bitrate", "filePath", "fileSize", "duration", "width",
                  "height", "isOptimized", NULL);
  g_assert_cmpint (json_object_get_int_member (value, "mediaId"), ==, 12);
  g_assert_cmpstr (json_object_get_string_member (value, "videoId"), ==, "12");
  g_assert_cmpstr (json_object_get_string_member (value, "userId"), ==, "u1");
  g_assert_cmpstr (json_object_get_string_member (value, "outputPath"), ==, "/out/12-720p.mp4");
  g_assert_cmpstr (json_object_get_string_member (value, "outputUrl"), ==, "file:///out/12-720p.mp4");
  g_assert_cmpfloat (json_object_get_double_member (value, "duration"), ==, 52.208);
  g_assert_cmpint (json_object_get_int_member (value, "size"), ==, 1000);
  g_assert_cmpint (json_object_get_int_member (value, "bitrate"), ==, 900000);
  g_assert_cmpstr (json_object_get_string_member (value, "codec"), ==, "H.264");
  g_assert_cmpstr (json_object_get_string_member (row, "resolution"), ==, "1280x720");
  g_assert_true (derush_json_get_boolean (derush_json_get_object (value, "metadata"), "mine", FALSE));
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "warnings")), ==, 2);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "outputs")), ==, 1);
}

static void
test_shorts (void)
{
  g_autoptr (JsonObject) value = value_from (
      "SHORT_CREATION",
      "{'videoId':'v1','videoUrl':'/f/a.mp4','startTime':3,'endTime':5,'platform':'TIKTOK','title':'Moon',"
      "'subtitles':[{'start':0,'end':3,'text':'before'},{'start':2.5,'end':3.5,'text':'into'},"
      "{'start':4,'end':9,'text':'out'},{'start':5,'end':6,'text':'behind'}]}",
      "{'shorts':{'shorts':[{'file':'v1-short-001.mp4','cropFile':'v1-short-001.crop.json','startTime':3,'endTime':5,"
      "'duration':2.0,'width':1080,'height':1920,'fps':24,'id':'h1'}]}}",
      NULL);
  JsonObject *row = json_array_get_object_element (json_object_get_array_member (value, "shorts"), 0);
  g_autoptr (JsonNode) subtitles =
      json_node_init_array (json_node_alloc (), json_object_get_array_member (row, "subtitles"));
  g_autofree char *said = derush_json_node_to_string (subtitles);

  g_assert_cmpstr (said, ==,
                   "[{\"start\":0.0,\"end\":0.5,\"text\":\"into\"},{\"start\":1.0,\"end\":2.0,\"text\":\"out\"}]");
  assert_common (value, "SHORT_CREATION");
  assert_members (row, "filePath", "fileSize", "startTime", "endTime", "duration", "width", "height", "format",
                  "platform", "hasSubtitles", "hasMusic", "cropPath", NULL);
  g_assert_cmpstr (json_object_get_string_member (row, "filePath"), ==, "/out/v1-short-001.mp4");
  g_assert_cmpstr (json_object_get_string_member (row, "cropPath"), ==, "/out/v1-short-001.crop.json");
  g_assert_cmpstr (json_object_get_string_member (row, "platform"), ==, "TIKTOK");
  g_assert_cmpstr (json_object_get_string_member (row, "title"), ==, "Moon");
  g_assert_cmpstr (json_object_get_string_member (row, "highlightId"), ==, "h1");
  g_assert_cmpint (json_object_get_int_member (row, "fileSize"), ==, 1000);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "outputs")), ==, 2);
}

static void
test_clips (void)
{
  g_autoptr (JsonObject) value = value_from (
      "HIGHLIGHT_CLIP_CREATION",
      "{'videoId':'v1','videoUrl':'/f/a.mp4','merge':true,'highlights':[{'id':'h1','startTime':3,'endTime':5},"
      "{'id':'h2','startTime':300,'endTime':500}]}",
      "{'clips':{'clips':[{'file':'v1-clip-001.mp4','id':'h1','startTime':3,'endTime':5,'duration':2.0},"
      "{'id':'h2','startTime':300,'endTime':500,'error':'beyond the end'}],"
      "'compilation':{'file':'v1-compilation.mp4','duration':2.0}}}",
      NULL);
  JsonArray *rows = json_object_get_array_member (value, "clips");
  JsonObject *good = json_array_get_object_element (rows, 0), *bad = json_array_get_object_element (rows, 1);
  JsonObject *compilation = json_object_get_object_member (value, "compilation");

  assert_common (value, "HIGHLIGHT_CLIP_CREATION");
  assert_members (good, "highlightId", "filePath", "startTime", "endTime", "duration", "fileSize", NULL);
  g_assert_cmpstr (json_object_get_string_member (good, "filePath"), ==, "/out/v1-clip-001.mp4");
  g_assert_false (json_object_has_member (good, "error"));
  g_assert_cmpstr (json_object_get_string_member (bad, "filePath"), ==, "");
  g_assert_cmpstr (json_object_get_string_member (bad, "error"), ==, "beyond the end");
  g_assert_cmpstr (json_object_get_string_member (compilation, "filePath"), ==, "/out/v1-compilation.mp4");
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "outputs")), ==, 2);
}

static void
test_sound_alone (void)
{
  g_autoptr (JsonObject) value =
      value_from ("VIDEO_PROCESSING", "{'videoUrl':'/f/a.mp3'}",
                  "{'transcode':{'file':'a.mp4','duration':3,'audioCodec':'AAC','videoCodec':null}}", NULL);

  g_assert_cmpstr (json_object_get_string_member (value, "codec"), ==, "AAC");
  g_assert_cmpint (json_object_get_int_member (value, "width"), ==, 0);
  g_assert_true (json_object_get_null_member (value, "videoId"));
}

static void
test_thumbnails (void)
{
  g_autoptr (JsonObject) value = value_from (
      "THUMBNAIL_GENERATION", "{'videoId':'v1','videoUrl':'/f/a.mp4','count':2}",
      "{'thumbnails':{'thumbnails':[{'file':'thumbnail-001.jpg','time':1.00049,'position':0.1,'width':640,'height':360,"
      "'score':0.8,'reasons':['sharp']},{'file':'thumbnail-002.jpg','time':5,'position':0.5,'width':640,'height':360}]},"
      "'storyboard':{'pages':['storyboard-001.jpg'],'vtt':'storyboard.vtt'}}",
      "/cache/a.derush");
  JsonArray *rows = json_object_get_array_member (value, "thumbnails"),
            *outputs = json_object_get_array_member (value, "outputs");
  JsonObject *row = json_array_get_object_element (rows, 0),
             *storyboard = json_object_get_object_member (value, "storyboard");

  assert_common (value, "THUMBNAIL_GENERATION");
  g_assert_cmpuint (json_array_get_length (rows), ==, 2);
  for (guint i = 0; i < 2; i++)
    assert_members (json_array_get_object_element (rows, i), "filePath", "time", "position", "width", "height",
                    "fileSize", "format", "score", "reasons", NULL);
  g_assert_cmpstr (json_object_get_string_member (row, "filePath"), ==, "/out/thumbnail-001.jpg");
  g_assert_cmpfloat (json_object_get_double_member (row, "time"), ==, 1.0);
  g_assert_cmpstr (json_array_get_string_element (json_object_get_array_member (storyboard, "pages"), 0), ==,
                   "/out/storyboard-001.jpg");
  g_assert_cmpstr (json_object_get_string_member (storyboard, "vtt"), ==, "/out/storyboard.vtt");
  g_assert_cmpuint (json_array_get_length (outputs), ==, 4);
  g_assert_cmpstr (json_object_get_string_member (json_array_get_object_element (outputs, 3), "role"), ==, "vtt");
}

static void
test_no_storyboard (void)
{
  g_autoptr (JsonObject) value = value_from ("THUMBNAIL_GENERATION", "{'videoUrl':'/f/a.mp4','position':0.5}",
                                             "{'thumbnails':{'thumbnails':[]}}", NULL);

  assert_same_json (json_object_get_object_member (value, "storyboard"), "{'pages':[],'vtt':''}");
}

static const char *const highlights_result =
    "{'highlights':{'highlights':[{'startTime':10,'endTime':14.5,'type':'AUDIO','confidence':0.7,'description':'loud',"
    "'tags':['loud'],'metadata':{'signals':{'MOTION':{'value':0.5,'weight':0.4}},'reasons':['loud']}},"
    "{'startTime':30,'endTime':36,'confidence':1e999}],'rejected':[{'startTime':1,'reason':'dark'}]}}";

static void
test_highlights (void)
{
  static const char *const data = "{'videoId':'v1','videoUrl':'/f/a.mp4'}";
  g_autoptr (JsonObject) value = value_from ("HIGHLIGHT_DETECTION", data, highlights_result, "/cache/a.derush");
  g_autoptr (JsonObject) again = value_from ("HIGHLIGHT_DETECTION", data, highlights_result, NULL);
  g_autoptr (JsonObject) other =
      value_from ("HIGHLIGHT_DETECTION", "{'videoId':'v2','videoUrl':'/f/a.mp4'}", highlights_result, NULL);
  JsonArray *rows = json_object_get_array_member (value, "highlights");
  const char *id = json_object_get_string_member (json_array_get_object_element (rows, 0), "id");

  assert_common (value, "HIGHLIGHT_DETECTION");
  for (guint i = 0; i < 2; i++) {
    JsonObject *row = json_array_get_object_element (rows, i);

    assert_members (row, "id", "rank", "startTime", "endTime", "duration", "type", "confidence", "description", "tags",
                    "metadata", NULL);
    assert_members (json_object_get_object_member (row, "metadata"), "signals", "reasons", NULL);
    g_assert_cmpint (json_object_get_int_member (row, "rank"), ==, i + 1);
  }
  g_assert_cmpfloat (json_object_get_double_member (json_array_get_object_element (rows, 0), "duration"), ==, 4.5);
  g_assert_cmpstr (json_object_get_string_member (value, "analysisPath"), ==, "/cache/a.derush");
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "rejected")), ==, 1);
  g_assert_cmpstr (id, ==,
                   json_object_get_string_member (
                       json_array_get_object_element (json_object_get_array_member (again, "highlights"), 0), "id"));
  g_assert_cmpstr (id, !=,
                   json_object_get_string_member (
                       json_array_get_object_element (json_object_get_array_member (other, "highlights"), 0), "id"));
  g_assert_cmpstr (id, !=, json_object_get_string_member (json_array_get_object_element (rows, 1), "id"));
}

static void
test_empty_list (void)
{
  g_autoptr (JsonObject) value =
      value_from ("HIGHLIGHT_DETECTION", "{'videoUrl':'/f/a.mp4'}", "{'highlights':{'highlights':[]}}", NULL);

  assert_common (value, "HIGHLIGHT_DETECTION");
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "highlights")), ==, 0);
}

static void
test_others (void)
{
  g_autoptr (JsonObject) done = value_from ("SELF_TEST", "{'do':'ok'}", "{'self-test':{'done':'ok'}}", NULL);
  g_autoptr (JsonObject) shots = value_from (
      "ANALYSIS", "{'videoUrl':'/f/a.mp4'}",
      "{'shots':{'duration':5,'frames':120,'shots':[{'start':0,'end':5,'firstFrame':0,'transition':'cut'}]}}",
      "/cache/a.derush");

  assert_common (done, "SELF_TEST");
  g_assert_cmpstr (json_object_get_string_member (done, "done"), ==, "ok");
  assert_common (shots, "ANALYSIS");
  assert_members (shots, "duration", "frames", "shots", NULL);
  g_assert_cmpint (json_object_get_int_member (shots, "frames"), ==, 120);
}

/* A worker is not trusted: whatever it answers, the value is JSON with the members that all types have. */
static void
test_nonsense (void)
{
  static const char *const results[] = {
      "{}",
      "{'transcode':5,'thumbnails':[],'highlights':'x','shots':null,'storyboard':1,'self-test':2}",
      "{'transcode':{'file':5,'width':'a','duration':1e999,'bitrate':1e300},'thumbnails':{'thumbnails':[1,null,{},'x']},"
      "'storyboard':{'pages':[1,{},null],'vtt':{}},'highlights':{'highlights':[5,{'startTime':'x','tags':5,'metadata':[]}"
      "],'rejected':{}},'shots':{'shots':5,'frames':'x','success':false,'warnings':[1,{}]}}",
  };
  static const char *const types[] = {"VIDEO_PROCESSING", "THUMBNAIL_GENERATION", "HIGHLIGHT_DETECTION", "ANALYSIS",
                                      "SELF_TEST"};

  for (guint r = 0; r < G_N_ELEMENTS (results); r++) {
    for (guint t = 0; t < G_N_ELEMENTS (types); t++) {
      g_autoptr (JsonObject) value = value_from (types[t], "{'videoUrl':'/f/a.mp4','do':'ok'}", results[r], NULL);
      g_autofree char *text = derush_json_object_to_string (value);
      g_autoptr (GError) error = NULL;
      g_autoptr (JsonObject) read = derush_json_parse_object (text, -1, &error);

      g_assert_no_error (error);
      assert_common (read, types[t]);
    }
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/jobs/returns/a-film-has-every-member", test_video);
  g_test_add_func ("/jobs/returns/clips-that-failed-stand-among-the-others", test_clips);
  g_test_add_func ("/jobs/returns/every-short-has-its-crop-path", test_shorts);
  g_test_add_func ("/jobs/returns/sound-alone-names-its-codec", test_sound_alone);
  g_test_add_func ("/jobs/returns/thumbnails-have-every-member", test_thumbnails);
  g_test_add_func ("/jobs/returns/without-a-storyboard-its-members-are-empty", test_no_storyboard);
  g_test_add_func ("/jobs/returns/highlights-have-every-member-and-stable-ids", test_highlights);
  g_test_add_func ("/jobs/returns/no-highlight-is-a-success", test_empty_list);
  g_test_add_func ("/jobs/returns/self-test-and-analysis", test_others);
  g_test_add_func ("/jobs/returns/nonsense-from-a-worker-is-still-json", test_nonsense);
  return g_test_run ();
}
