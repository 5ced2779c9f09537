/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-test.h"

#include <string.h>

#define F "'videoUrl':'/f/a.mp4'"
#define BAD DERUSH_ERROR_BAD_INPUT
#define LACKS DERUSH_ERROR_UNSUPPORTED

/* What is wrong, and the fault that names it: the pointer, and a word of what is allowed. */
static const struct {
  const char *type, *data;
  DerushErrorClass error_class;
  const char *pointer, *said;
} cases[] = {
    {"SHORT_CREATION", "{" F ",'startTime':-1}", BAD, "/startTime", "from 0"},
    {"SHORT_CREATION", "{" F ",'startTime':5,'endTime':5}", BAD, "/endTime", "more than startTime"},
    {"SHORT_CREATION", "{" F ",'shortRequest':{'startTime':9,'endTime':5}}", BAD, "/shortRequest/endTime", "is 5"},
    {"SHORT_CREATION", "{" F ",'duration':0}", BAD, "/duration", "0.1"},
    {"SHORT_CREATION", "{" F ",'count':0}", BAD, "/count", "1"},
    {"SHORT_CREATION", "{" F ",'count':51}", BAD, "/count", "50"},
    {"SHORT_CREATION", "{" F ",'platform':'../x'}", BAD, "/platform", "letters"},
    {"SHORT_CREATION", "{" F ",'platform':5}", BAD, "/platform", "a name"},
    {"SHORT_CREATION", "{" F ",'aspectRatio':'9x16:'}", BAD, "/aspectRatio", "9:16"},
    {"SHORT_CREATION", "{" F ",'aspectRatio':'1:50'}", BAD, "/aspectRatio", "1:5"},
    {"SHORT_CREATION", "{" F ",'width':100000}", BAD, "/width", "4096"},
    {"SHORT_CREATION", "{" F ",'highlights':5}", BAD, "/highlights", "must be a list"},
    {"SHORT_CREATION", "{" F ",'highlights':[5]}", BAD, "/highlights/0", "an object"},
    {"SHORT_CREATION", "{" F ",'highlights':[{'startTime':1}]}", BAD, "/highlights/0/endTime", "missing"},
    {"SHORT_CREATION", "{" F ",'highlights':[{'startTime':'1','endTime':2}]}", BAD, "/highlights/0/startTime", "text"},
    {"SHORT_CREATION", "{" F ",'highlights':[{'startTime':1e999,'endTime':2}]}", BAD, "/highlights/0/startTime",
     "from 0"},
    {"SHORT_CREATION", "{" F ",'highlights':[{'startTime':2,'endTime':2}]}", BAD, "/highlights/0/endTime",
     "more than startTime"},
    {"SHORT_CREATION", "{" F ",'addSubtitles':true}", LACKS, "/addSubtitles", "subtitles"},
    {"SHORT_CREATION", "{" F ",'shortRequest':{'addMusic':true}}", LACKS, "/shortRequest/addMusic", "music"},
    {"SHORT_CREATION", "{" F ",'addWatermark':true}", LACKS, "/addWatermark", "watermark"},
    {"SHORT_CREATION", "{" F ",'format':'webm'}", LACKS, "/format", "mp4"},
    {"SHORT_CREATION", "{}", BAD, "/videoUrl", "missing"},
    {"HIGHLIGHT_CLIP_CREATION", "{" F "}", BAD, "/highlights", "missing"},
    {"HIGHLIGHT_CLIP_CREATION", "{" F ",'highlights':[{'startTime':3,'endTime':1}]}", BAD, "/highlights/0/endTime",
     "more than"},
    {"HIGHLIGHT_CLIP_CREATION", "{" F ",'highlightIds':'h1'}", BAD, "/highlightIds", "a list of ids"},
    {"HIGHLIGHT_CLIP_CREATION", "{" F ",'highlightIds':[]}", BAD, "/highlightIds", "empty"},
    {"HIGHLIGHT_CLIP_CREATION", "{" F ",'highlightIds':[5]}", BAD, "/highlightIds/0", "must be an id"},
    {"HIGHLIGHT_CLIP_CREATION", "{" F ",'highlightIds':['h1','h2']}", BAD, "/highlightIds", "no highlight"},
    {"HIGHLIGHT_CLIP_CREATION", "{" F ",'highlightIds':['h1'],'padding':-1}", BAD, "/padding", "from 0"},
    {"HIGHLIGHT_CLIP_CREATION", "{" F ",'highlights':[{'startTime':1,'endTime':2}],'merge':'yes'}", BAD, "/merge",
     "true or false"},
    {"VIDEO_PROCESSING", "{}", BAD, "/videoUrl", "missing"},
    {"VIDEO_PROCESSING", "{'videoUrl':null}", BAD, "/videoUrl", "missing"},
    {"VIDEO_PROCESSING", "{'videoUrl':''}", BAD, "/videoUrl", "missing"},
    {"VIDEO_PROCESSING", "{'videoUrl':5}", BAD, "/videoUrl", "is 5, must be a text"},
    {"VIDEO_PROCESSING", "{'videoUrl':['/f/a.mp4']}", BAD, "/videoUrl", "a list"},
    {"VIDEO_PROCESSING", "{'inputPath':{}}", BAD, "/inputPath", "an object"},
    {"VIDEO_PROCESSING", "{'inputPath':'a.mp4'}", BAD, "/inputPath", "absolute path"},
    {"VIDEO_PROCESSING", "{'inputPath':'../a.mp4'}", BAD, "/inputPath", "absolute path"},
    {"VIDEO_PROCESSING", "{'videoUrl':'ftp://h/a.mp4'}", BAD, "/videoUrl", "https:"},
    {"VIDEO_PROCESSING", "{'videoUrl':'concat:/a|/b'}", BAD, "/videoUrl", "https:"},
    {"VIDEO_PROCESSING", "{'videoUrl':'javascript:alert(1)'}", BAD, "/videoUrl", "https:"},
    {"VIDEO_PROCESSING", "{'videoUrl':'file:a.mp4'}", BAD, "/videoUrl", "file://"},
    {"VIDEO_PROCESSING", "{'videoUrl':'file://host/a.mp4'}", BAD, "/videoUrl", "file://"},
    {"VIDEO_PROCESSING", "{'videoUrl':'https://[bad/a.mp4'}", BAD, "/videoUrl", "address"},
    {"VIDEO_PROCESSING", "{'videoUrl':'s3://bucket/key'}", LACKS, "/videoUrl", "does not fetch"},
    {"VIDEO_PROCESSING", "{'videoUrl':'http:h/a.mp4'}", BAD, "/videoUrl", "https:"},
    {"VIDEO_PROCESSING", "{" F ",'videoId':{}}", BAD, "/videoId", "a text or a number"},
    {"VIDEO_PROCESSING", "{" F ",'videoId':1e999}", BAD, "/videoId", "a text or a number"},
    {"VIDEO_PROCESSING", "{" F ",'mediaId':true}", BAD, "/mediaId", "is true"},
    {"VIDEO_PROCESSING", "{" F ",'userId':[]}", BAD, "/userId", "a list"},
    {"VIDEO_PROCESSING", "{" F ",'outputDir':'out'}", BAD, "/outputDir", "absolute path"},
    {"VIDEO_PROCESSING", "{" F ",'outputDir':7}", BAD, "/outputDir", "text"},
    {"VIDEO_PROCESSING", "{" F ",'outputDir':'file://host/out'}", BAD, "/outputDir", "absolute path"},
    {"VIDEO_PROCESSING", "{" F ",'noProgressMs':999}", BAD, "/noProgressMs", "from 1000 to 86400000"},
    {"VIDEO_PROCESSING", "{" F ",'timeoutMs':0}", BAD, "/timeoutMs", "from 1 to 604800000"},
    {"VIDEO_PROCESSING", "{" F ",'timeoutMs':-1}", BAD, "/timeoutMs", "is -1"},
    {"VIDEO_PROCESSING", "{" F ",'timeoutMs':'1000'}", BAD, "/timeoutMs", "the text “1000”"},
    {"VIDEO_PROCESSING", "{" F ",'quality':'best'}", BAD, "/quality", "low, medium, high, ultra"},
    {"VIDEO_PROCESSING", "{" F ",'quality':85}", BAD, "/quality", "is 85"},
    {"VIDEO_PROCESSING", "{" F ",'quality':{'a':1}}", BAD, "/quality", "an object"},
    {"VIDEO_PROCESSING", "{" F ",'outputFormat':'exe'}", BAD, "/outputFormat", "must be mp4"},
    {"VIDEO_PROCESSING", "{" F ",'outputFormat':'AVI'}", LACKS, "/outputFormat", "it makes mp4"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'format':'hls'}}", LACKS, "/options/format", "it makes mp4"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':'huge'}", BAD, "/resolution", "“huge”"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':'0p'}", BAD, "/resolution", "16 to 8192"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':'720i'}", BAD, "/resolution", "720p"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':'1280x'}", BAD, "/resolution", "1280x720"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':'99999x99999'}", BAD, "/resolution", "8192"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':'-720p'}", BAD, "/resolution", "720p"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':720.5}", BAD, "/resolution", "720p"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':99999999999999999}", BAD, "/resolution", "8192"},
    {"VIDEO_PROCESSING", "{" F ",'resolution':'720p ! fakesink'}", BAD, "/resolution", "fakesink"},
    {"VIDEO_PROCESSING", "{" F ",'width':8}", BAD, "/width", "from 16 to 8192"},
    {"VIDEO_PROCESSING", "{" F ",'height':'720'}", BAD, "/height", "whole number"},
    {"VIDEO_PROCESSING", "{" F ",'startTime':-1}", BAD, "/startTime", "from 0"},
    {"VIDEO_PROCESSING", "{" F ",'startTime':'5'}", BAD, "/startTime", "the text “5”, must be a number"},
    {"VIDEO_PROCESSING", "{" F ",'startTime':1e999}", BAD, "/startTime", "must be a number"},
    {"VIDEO_PROCESSING", "{" F ",'startTime':5,'endTime':5}", BAD, "/endTime", "more than startTime"},
    {"VIDEO_PROCESSING", "{" F ",'endTime':0}", BAD, "/endTime", "more than startTime"},
    {"VIDEO_PROCESSING", "{" F ",'options':5}", BAD, "/options", "must be an object"},
    {"VIDEO_PROCESSING", "{" F ",'options':[]}", BAD, "/options", "must be an object"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'duration':0}}", BAD, "/options/duration", "from 0.04"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'duration':'15'}}", BAD, "/options/duration", "the text “15”"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'aspectRatio':'wide'}}", BAD, "/options/aspectRatio", "9:16"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'aspectRatio':'0:1'}}", BAD, "/options/aspectRatio", "9:16"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'aspectRatio':'100:1'}}", BAD, "/options/aspectRatio", "5:1"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'aspectRatio':1.77}}", BAD, "/options/aspectRatio", "text"},
    {"VIDEO_PROCESSING", "{" F ",'outputType':'poster'}", BAD, "/outputType", "reel"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'addSubtitles':true}}", LACKS, "/options/addSubtitles", "subtitles"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'addMusic':true}}", LACKS, "/options/addMusic", "music"},
    {"VIDEO_PROCESSING", "{" F ",'addWatermark':true}", LACKS, "/addWatermark", "watermark"},
    {"VIDEO_PROCESSING", "{" F ",'options':{'addMusic':'yes'}}", BAD, "/options/addMusic", "true or false"},
    {"THUMBNAIL_GENERATION", "{}", BAD, "/videoUrl", "missing"},
    {"THUMBNAIL_GENERATION", "{" F ",'thumbnailRequest':'5'}", BAD, "/thumbnailRequest", "must be an object"},
    {"THUMBNAIL_GENERATION", "{" F ",'thumbnailRequest':{'count':0}}", BAD, "/thumbnailRequest/count", "from 1 to 100"},
    {"THUMBNAIL_GENERATION", "{" F ",'thumbnailRequest':{'count':101}}", BAD, "/thumbnailRequest/count", "is 101"},
    {"THUMBNAIL_GENERATION", "{" F ",'thumbnailRequest':{'count':2.5}}", BAD, "/thumbnailRequest/count", "is 2.5"},
    {"THUMBNAIL_GENERATION", "{" F ",'thumbnailRequest':{'count':'5'}}", BAD, "/thumbnailRequest/count", "“5”"},
    {"THUMBNAIL_GENERATION", "{" F ",'thumbnailRequest':{'count':true}}", BAD, "/thumbnailRequest/count", "is true"},
    {"THUMBNAIL_GENERATION", "{" F ",'count':-3}", BAD, "/count", "is -3"},
    {"THUMBNAIL_GENERATION", "{" F ",'width':15}", BAD, "/width", "from 16"},
    {"THUMBNAIL_GENERATION", "{" F ",'height':100000}", BAD, "/height", "8192"},
    {"THUMBNAIL_GENERATION", "{" F ",'format':'bmp'}", BAD, "/format", "jpg, png, webp"},
    {"THUMBNAIL_GENERATION", "{" F ",'format':'avif'}", LACKS, "/format", "jpg, png, webp"},
    {"THUMBNAIL_GENERATION", "{" F ",'quality':0}", BAD, "/quality", "from 1 to 100"},
    {"THUMBNAIL_GENERATION", "{" F ",'quality':101}", BAD, "/quality", "from 1 to 100"},
    {"THUMBNAIL_GENERATION", "{" F ",'quality':'85'}", BAD, "/quality", "the text “85”"},
    {"THUMBNAIL_GENERATION", "{" F ",'quality':[85]}", BAD, "/quality", "a list"},
    {"THUMBNAIL_GENERATION", "{" F ",'mode':'worst'}", BAD, "/mode", "best, uniform, positions"},
    {"THUMBNAIL_GENERATION", "{" F ",'mode':'positions'}", BAD, "/mode", "no positions"},
    {"THUMBNAIL_GENERATION", "{" F ",'fit':'squeeze'}", BAD, "/fit", "contain"},
    {"THUMBNAIL_GENERATION", "{" F ",'positions':[0.5,-0.1]}", BAD, "/positions/1", "is -0.1"},
    {"THUMBNAIL_GENERATION", "{" F ",'positions':['0.5']}", BAD, "/positions/0", "the text “0.5”"},
    {"THUMBNAIL_GENERATION", "{" F ",'positions':[null]}", BAD, "/positions/0", "null"},
    {"THUMBNAIL_GENERATION", "{" F ",'positions':'0.5'}", BAD, "/positions", "a list of numbers"},
    {"THUMBNAIL_GENERATION", "{" F ",'positions':{}}", BAD, "/positions", "a list of numbers"},
    {"THUMBNAIL_GENERATION", "{" F ",'storyboard':'yes'}", BAD, "/storyboard", "true, false"},
    {"THUMBNAIL_GENERATION", "{" F ",'storyboard':{'columns':0}}", BAD, "/storyboard/columns", "from 1 to 20"},
    {"HIGHLIGHT_DETECTION", "{}", BAD, "/videoUrl", "missing"},
    {"HIGHLIGHT_DETECTION", "{" F ",'highlightRequest':1}", BAD, "/highlightRequest", "must be an object"},
    {"HIGHLIGHT_DETECTION", "{" F ",'maxHighlights':0}", BAD, "/maxHighlights", "from 1 to 100"},
    {"HIGHLIGHT_DETECTION", "{" F ",'highlightRequest':{'maxHighlights':'5'}}", BAD, "/highlightRequest/maxHighlights",
     "the text “5”"},
    {"HIGHLIGHT_DETECTION", "{" F ",'minDuration':0}", BAD, "/minDuration", "from 0.1"},
    {"HIGHLIGHT_DETECTION", "{" F ",'maxDuration':1e9}", BAD, "/maxDuration", "3600"},
    {"HIGHLIGHT_DETECTION", "{" F ",'minDuration':10,'maxDuration':5}", BAD, "/minDuration", "maxDuration, which is 5"},
    {"HIGHLIGHT_DETECTION", "{" F ",'sensitivity':'extreme'}", BAD, "/sensitivity", "low, medium, high"},
    {"HIGHLIGHT_DETECTION", "{" F ",'sensitivity':0.5}", BAD, "/sensitivity", "low, medium, high"},
    {"HIGHLIGHT_DETECTION", "{" F ",'detectionTypes':['SMELL']}", BAD, "/detectionTypes/0", "MOTION"},
    {"HIGHLIGHT_DETECTION", "{" F ",'detectionTypes':[5]}", BAD, "/detectionTypes/0", "MOTION"},
    {"HIGHLIGHT_DETECTION", "{" F ",'detectionTypes':5}", BAD, "/detectionTypes", "a list of texts"},
    {"HIGHLIGHT_DETECTION", "{" F ",'detectionTypes':['EMOTION','TEXT']}", LACKS, "/detectionTypes", "EMOTION, TEXT"},
    {"HIGHLIGHT_DETECTION", "{" F ",'detectionType':'FACE'}", LACKS, "/detectionType", "FACE"},
    {"SELF_TEST", "{}", BAD, "/do", "missing"},
    {"SELF_TEST", "{'durationMs':100}", BAD, "/do", "missing"},
    {"SELF_TEST", "{'do':'explode'}", BAD, "/do", "ok, fail"},
    {"SELF_TEST", "{'do':'ok','durationMs':-5}", BAD, "/durationMs", "from 0"},
    {"SELF_TEST", "{'do':'ok','durationMs':'5'}", BAD, "/durationMs", "the text “5”"},
    {"ANALYSIS", "{}", BAD, "/videoUrl", "missing"},
};

static void
test_faults (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (JsonObject) data = data_from (cases[i].data);
    g_autofree char *wanted = g_strdup_printf (": %s ", cases[i].pointer);
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushPlan) plan = derush_plan_new (cases[i].type, data, DERUSH_PLAN_NONE, &error);

    if (plan)
      g_error ("%s %s was accepted", cases[i].type, cases[i].data);
    if (error->code != (int)cases[i].error_class || !strstr (error->message, wanted) ||
        !strstr (error->message, cases[i].said))
      g_error ("%s: expected %s… %s, got class %d: %s", cases[i].data, wanted, cases[i].said, error->code,
               error->message);
    g_assert_cmpint (derush_error_get_class (error), ==, cases[i].error_class);
    g_assert_false (derush_error_class_can_retry (derush_error_get_class (error)));
    g_assert_null (strchr (error->message, '\n'));
  }
}

static void
test_all_at_once (void)
{
  g_autoptr (JsonObject) data =
      data_from ("{'videoUrl':'a','quality':'x','resolution':'y','options':{'addMusic':true}}");
  g_autoptr (GError) error = NULL;

  g_assert_null (derush_plan_new ("VIDEO_PROCESSING", data, DERUSH_PLAN_NONE, &error));
  g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_nonnull (strstr (error->message, "/videoUrl"));
  g_assert_nonnull (strstr (error->message, "/quality"));
  g_assert_nonnull (strstr (error->message, "/resolution"));
  g_assert_nonnull (strstr (error->message, "/options/addMusic"));
}

static void
test_a_wrong_source_is_one_fault (void)
{
  g_autoptr (JsonObject) data = data_from ("{'videoUrl':5}");
  g_autoptr (GError) error = NULL;

  g_assert_null (derush_plan_new ("VIDEO_PROCESSING", data, DERUSH_PLAN_NONE, &error));
  g_assert_null (strstr (error->message, "missing"));
}

static void
test_unknown_type (void)
{
  g_autoptr (JsonObject) data = data_from ("{'videoUrl':'/a'}");
  g_autoptr (GError) error = NULL;

  g_assert_null (derush_plan_new ("make\ncoffee", data, DERUSH_PLAN_NONE, &error));
  g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_nonnull (strstr (error->message, "“make coffee”"));
  g_assert_nonnull (strstr (error->message, "VIDEO_PROCESSING"));
  g_clear_error (&error);
  g_assert_null (derush_plan_new (NULL, NULL, DERUSH_PLAN_NONE, &error));
  g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
}

/* What a job says ends in logs, in Redis and on terminals. */
static void
test_messages_stay_short (void)
{
  g_autoptr (JsonObject) data = json_object_new ();
  g_autofree char *long_text = g_strnfill (2000000, 'x');
  g_autoptr (GError) error = NULL;
  g_autoptr (DerushPlan) plan = NULL;

  for (guint i = 0; i < 1000; i++) {
    g_autofree char *name = g_strdup_printf ("member\033[31m\n%u", i);

    json_object_set_string_member (data, name, long_text);
  }
  json_object_set_string_member (data, "quality", long_text);
  json_object_set_string_member (data, long_text, "x");
  g_assert_null (derush_plan_new ("VIDEO_PROCESSING", data, DERUSH_PLAN_STRICT, &error));
  g_assert_cmpuint (strlen (error->message), <, 4000);
  g_assert_null (strpbrk (error->message, "\n\033"));
  json_object_remove_member (data, "quality");
  json_object_set_string_member (data, "videoUrl", "/a");
  plan = derush_plan_new ("VIDEO_PROCESSING", data, DERUSH_PLAN_NONE, NULL);
  g_assert_cmpuint (plan->warnings->len, <, 20);
}

/* Any member of good data may be replaced by anything at all. */
static void
test_mutations (void)
{
  static const char *const good[] = {
      "{'videoId':'v1','videoUrl':'/f/a.mp4','userId':'u','outputDir':'/o','outputFormat':'mp4','quality':'medium',"
      "'resolution':'720p','startTime':1,'endTime':2,'outputType':'reel','timeoutMs':5,'metadata':{'a':1},'options':"
      "{'duration':15,'format':'mp4','quality':'medium','aspectRatio':'9:16','addSubtitles':false,'addMusic':false}}",
      "{'videoId':'v1','videoUrl':'/f/a.mp4','thumbnailRequest':{'count':5,'width':640,'format':'jpg','quality':85,"
      "'mode':'best','storyboard':{'rows':5},'positions':[0.1,5]},'position':3,'style':'x','isEnhanced':true}",
      "{'videoId':'v1','videoUrl':'/f/a.mp4','highlightRequest':{'maxHighlights':5,'minDuration':3,'maxDuration':60,"
      "'sensitivity':'medium','detectionTypes':['MOTION','FACE']},'detectionType':'AUDIO'}",
      "{'do':'ok','durationMs':5}",
  };
  static const char *const junk[] = {
      "null",
      "true",
      "false",
      "0",
      "-1",
      "1e308",
      "1e999",
      "-1e999",
      "0.1",
      "9223372036854775807",
      "-9223372036854775808",
      "''",
      "'x'",
      "'9:'",
      "'x1x1x1'",
      "'1x'",
      "'file:'",
      "'https:'",
      "'file://'",
      "'/'",
      "'/../..'",
      "'%%%%'",
      "'\\u0001'",
      "'\\ud83d\\ude00'",
      "[]",
      "[[]]",
      "[{}]",
      "[1,'a',null]",
      "{}",
      "{'':{}}",
      "{'a':{'b':[{}]}}",
      "'999999999999999999999999999p'",
      "'::'",
      "'1:1:1'",
      "' '",
      "'\\\\'",
      "'/a\\nb'",
  };
  static const char *const types[] = {"VIDEO_PROCESSING", "THUMBNAIL_GENERATION", "HIGHLIGHT_DETECTION", "SELF_TEST",
                                      "ANALYSIS"};

  for (guint n = 0; n < 5000; n++) {
    g_autoptr (JsonObject) sealed = data_from (good[g_test_rand_int_range (0, G_N_ELEMENTS (good))]);
    g_autofree char *text = derush_json_object_to_string (sealed);
    g_autoptr (JsonParser) parser = json_parser_new ();
    guint changes = g_test_rand_int_range (1, 5);
    g_autoptr (GError) error = NULL;
    g_autoptr (DerushPlan) plan = NULL;
    JsonObject *data;

    g_assert_true (json_parser_load_from_data (parser, text, -1, NULL));
    data = json_node_get_object (json_parser_get_root (parser));
    while (changes-- > 0) {
      const char *value = junk[g_test_rand_int_range (0, G_N_ELEMENTS (junk))];
      g_autofree char *member = g_strdelimit (g_strdup_printf ("{'x':%s}", value), "'", '"');
      g_autoptr (JsonObject) from = derush_json_parse_object (member, -1, NULL);
      JsonObject *into = data;
      g_autoptr (GList) names = json_object_get_members (data);
      const char *name = g_list_nth_data (names, g_test_rand_int_range (0, g_list_length (names)));

      g_assert_nonnull (from);
      if (derush_json_get_object (data, name) && g_test_rand_bit ()) {
        g_autoptr (GList) inner = NULL;

        into = json_object_get_object_member (data, name);
        inner = json_object_get_members (into);
        name = inner ? g_list_nth_data (inner, g_test_rand_int_range (0, g_list_length (inner))) : "new";
      }
      json_object_set_member (into, name, json_node_copy (json_object_get_member (from, "x")));
    }
    plan = derush_plan_new (types[g_test_rand_int_range (0, G_N_ELEMENTS (types))], data,
                            g_test_rand_bit () ? DERUSH_PLAN_STRICT : DERUSH_PLAN_NONE, &error);
    g_assert_true ((plan == NULL) == (error != NULL));
    if (plan) {
      g_autofree char *parameters = NULL;
      DerushPlanStep *step = g_ptr_array_index (plan->steps, plan->steps->len - 1);
      g_autoptr (JsonObject) results = json_object_new ();
      g_autoptr (JsonObject) value = derush_plan_return_value (plan, results, NULL, NULL, NULL, 1);
      g_autofree char *written = derush_json_object_to_string (value);
      g_autoptr (JsonObject) read = derush_json_parse_object (written, -1, &error);

      g_assert_no_error (error);
      g_assert_nonnull (read);
      parameters = derush_json_object_to_string (step->parameters);
      g_assert_null (strstr (parameters, "inf"));
    } else {
      g_assert_null (strchr (error->message, '\n'));
    }
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  G_STATIC_ASSERT (G_N_ELEMENTS (cases) >= 60);
  g_test_add_func ("/jobs/faults/each-has-its-pointer-and-what-is-allowed", test_faults);
  g_test_add_func ("/jobs/faults/all-are-named-at-once", test_all_at_once);
  g_test_add_func ("/jobs/faults/a-wrong-source-is-not-missing-as-well", test_a_wrong_source_is_one_fault);
  g_test_add_func ("/jobs/faults/an-unknown-type-is-answered-with-the-known-ones", test_unknown_type);
  g_test_add_func ("/jobs/faults/messages-stay-short-whatever-the-data", test_messages_stay_short);
  g_test_add_func ("/jobs/faults/changed-at-random-data-is-planned-or-refused", test_mutations);
  return g_test_run ();
}
