/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "jobs-test.h"
#include "jobs/jobs-private.h"

#include <math.h>
#include <string.h>

typedef struct {
  const char *path;
  const char *name, *data;
  const char *type;
  const char *steps; /* names, in order */
  const char *step;  /* the one whose parameters are compared */
  const char *parameters;
  guint warnings;
} Shape;

static const Shape shapes[] = {
    {"video/the-main-shape", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/film.mp4','userId':'u1','outputDir':'/out','outputFormat':'mp4','quality':'medium',"
     "'resolution':'720p'}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'height':720,'quality':'medium','format':'mp4','name':'v1-720p.mp4'}"},
    {"video/lines-may-enlarge-when-asked", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/film.mp4','resolution':'720p','enlarge':true}", "VIDEO_PROCESSING",
     "probe transcode check", "transcode",
     "{'height':720,'enlarge':true,'quality':'medium','format':'mp4','name':'v1-720p.mp4'}"},
    {"video/is-analysed-on-the-way-when-asked", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/film.mp4','analyse':true}", "VIDEO_PROCESSING", "probe transcode check analyse",
     "transcode", "{'quality':'medium','format':'mp4','name':'v1-medium.mp4','analyse':true}"},
    {"video/a-part-of-it-is-not-analysed", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/film.mp4','analyse':true,'endTime':3}", "VIDEO_PROCESSING",
     "probe transcode check", "transcode", "{'quality':'medium','format':'mp4','name':'v1-3s.mp4','end':3.0}"},
    {"video/the-shape-with-an-input-path", "",
     "{'type':'VIDEO_PROCESSING','videoId':'v1','userId':'u1','inputPath':'/f/film.mp4','outputFormat':'mp4',"
     "'quality':'high'}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'quality':'high','format':'mp4','name':'v1-high.mp4'}"},
    {"video/the-shape-with-options", "process-video",
     "{'mediaId':'v1','userId':'u1','inputUrl':'file:///f/film.mp4','outputType':'reel','options':{'duration':15,"
     "'format':'mp4','quality':'medium','aspectRatio':'9:16','addSubtitles':false,'addMusic':false},'priority':2}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'end':15.0,'aspectRatio':'9:16','height':1920,'quality':'medium','format':'mp4','name':'v1-reel-15s.mp4'}"},
    {"video/a-reel-is-upright-unless-asked", "VIDEO_PROCESSING",
     "{'videoId':'v1','inputUrl':'/f/a.mp4','outputType':'reel','options':{}}", "VIDEO_PROCESSING",
     "probe transcode check", "transcode",
     "{'aspectRatio':'9:16','height':1920,'quality':'medium','format':'mp4','name':'v1-reel.mp4'}"},
    {"video/an-ad-keeps-its-shape", "VIDEO_PROCESSING", "{'videoId':'v1','inputUrl':'/f/a.mp4','outputType':'ad'}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'height':1080,'quality':'medium','format':'mp4','name':'v1-ad.mp4'}"},
    {"video/a-square-ad-is-1080-lines", "VIDEO_PROCESSING",
     "{'videoId':'v1','inputUrl':'/f/a.mp4','outputType':'ad','options':{'aspectRatio':'1:1'}}", "VIDEO_PROCESSING",
     "probe transcode check", "transcode",
     "{'aspectRatio':'1:1','height':1080,'quality':'medium','format':'mp4','name':'v1-ad.mp4'}"},
    {"video/a-size-in-both-directions", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','resolution':'1280X720','quality':'LOW','outputFormat':'MP4'}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'width':1280,'height':720,'quality':'low','format':'mp4','name':'v1-1280x720-low.mp4'}"},
    {"video/a-number-counts-lines", "VIDEO_PROCESSING", "{'videoUrl':'/f/my film.mp4','resolution':480}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'height':480,'quality':'medium','format':'mp4','name':'my-film-480p.mp4'}"},
    {"video/original-bounds-nothing", "VIDEO_PROCESSING", "{'id':7,'videoUrl':'/f/a.mp4','resolution':'original'}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'quality':'medium','format':'mp4','name':'7-medium.mp4'}"},
    {"video/4k-in-capitals", "VIDEO_PROCESSING", "{'id':'x','videoUrl':'/f/a.mp4','resolution':'4K'}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'height':2160,'quality':'medium','format':'mp4','name':'x-2160p.mp4'}"},
    {"video/start-and-end", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','startTime':2.5,'endTime':7,'resolution':'360p'}", "VIDEO_PROCESSING",
     "probe transcode check", "transcode",
     "{'start':2.5,'end':7.0,'height':360,'quality':'medium','format':'mp4','name':'v1-360p-2.5s-7s.mp4'}"},
    {"video/null-and-empty-are-absent", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','resolution':null,'quality':'','outputDir':'','userId':null,'options':null,"
     "'nonsense':null}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'quality':'medium','format':'mp4','name':'v1-medium.mp4'}"},
    {"video/an-id-that-is-no-file-name", "VIDEO_PROCESSING",
     "{'videoId':'../../etc/passwd','videoUrl':'/f/a.mp4','resolution':'720p'}", "VIDEO_PROCESSING",
     "probe transcode check", "transcode",
     "{'height':720,'quality':'medium','format':'mp4','name':'etc-passwd-3754d6cb-720p.mp4'}"},
    {"video/music-that-is-not-asked-for-is-said", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','options':{'addMusic':false,'musicUrl':'https://m.example/a.mp3'}}",
     "VIDEO_PROCESSING", "probe transcode check", "transcode",
     "{'quality':'medium','format':'mp4','name':'v1-medium.mp4'}", 1},
    {"video/unknown-members-are-said", "VIDEO_PROCESSING",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','colour':'red','options':{'shape':1}}", "VIDEO_PROCESSING",
     "probe transcode check", "transcode", "{'quality':'medium','format':'mp4','name':'v1-medium.mp4'}", 2},
    {"thumbnails/the-main-shape", "THUMBNAIL_GENERATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','outputDir':'/out','thumbnailRequest':{'count':5,'width':640,"
     "'format':'jpg','quality':85,'mode':'best','storyboard':true}}",
     "THUMBNAIL_GENERATION", "probe analyse thumbnails storyboard", "thumbnails",
     "{'count':5,'mode':'best','width':640,'fit':'contain','format':'jpg','quality':85,'name':'v1-thumbnail'}"},
    {"thumbnails/nothing-asked-is-the-main-shape", "generate-thumbnails",
     "{'videoId':'v1','inputPath':'/f/a.mp4','userId':'u1'}", "THUMBNAIL_GENERATION",
     "probe analyse thumbnails storyboard", "thumbnails",
     "{'count':5,'mode':'best','width':640,'enlarge':false,'fit':'contain','format':'jpg','quality':85,'name':'v1-thumbnail'}"},
    {"thumbnails/given-positions", "THUMBNAIL_GENERATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','outputDir':'/out','thumbnailRequest':{'positions':[0.1,0.5,42.5],"
     "'height':360,'format':'webp'}}",
     "THUMBNAIL_GENERATION", "probe thumbnails", "thumbnails",
     "{'positions':[0.1,0.5,42.5],'count':3,'mode':'positions','height':360,'fit':'contain','format':'webp',"
     "'quality':85,'name':'v1-thumbnail'}"},
    {"thumbnails/members-of-the-backends-route", "THUMBNAIL_GENERATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','position':0,'width':320,'height':180,'quality':'high','format':'JPEG',"
     "'isPrimary':true,'style':'','isEnhanced':false}",
     "THUMBNAIL_GENERATION", "probe thumbnails", "thumbnails",
     "{'positions':[0.0],'count':1,'mode':'positions','width':320,'height':180,'fit':'contain','format':'jpg',"
     "'quality':85,'name':'v1-thumbnail'}"},
    {"thumbnails/uniform-needs-no-analysis", "THUMBNAIL_GENERATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','mode':'uniform','storyboard':false,'count':3}", "THUMBNAIL_GENERATION",
     "probe thumbnails", "thumbnails",
     "{'count':3,'mode':'uniform','width':640,'enlarge':false,'fit':'contain','format':'jpg','quality':85,'name':'v1-thumbnail'}"},
    {"thumbnails/the-layout-of-a-storyboard", "THUMBNAIL_GENERATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','thumbnailRequest':{'storyboard':{'columns':4,'tileWidth':200}}}",
     "THUMBNAIL_GENERATION", "probe analyse thumbnails storyboard", "storyboard",
     "{'columns':4,'rows':10,'tileWidth':200,'name':'v1-storyboard'}"},
    {"thumbnails/a-count-beside-positions-is-said", "THUMBNAIL_GENERATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','positions':[1,2],'count':9}", "THUMBNAIL_GENERATION", "probe thumbnails",
     "thumbnails",
     "{'positions':[1.0,2.0],'count':2,'mode':'positions','width':640,'enlarge':false,'fit':'contain','format':'jpg','quality':85,"
     "'name':'v1-thumbnail'}",
     1},
    {"highlights/the-main-shape", "HIGHLIGHT_DETECTION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','outputDir':'/out','highlightRequest':{'maxHighlights':5,'minDuration':3,"
     "'maxDuration':60,'sensitivity':'medium','detectionTypes':['MOTION','AUDIO','SCENE_CHANGE']}}",
     "HIGHLIGHT_DETECTION", "probe analyse highlights", "highlights",
     "{'maxHighlights':5,'sensitivity':'medium','detectionTypes':['MOTION','AUDIO','SCENE_CHANGE'],'minDuration':3.0,"
     "'maxDuration':60.0}"},
    {"highlights/members-beside-each-other", "HIGHLIGHT_DETECTION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','videoDurationSecs':231,'maxHighlights':5}", "HIGHLIGHT_DETECTION",
     "probe analyse highlights", "highlights",
     "{'maxHighlights':5,'sensitivity':'medium','detectionTypes':['MOTION','AUDIO','SCENE_CHANGE'],'minDuration':3.0,"
     "'maxDuration':60.0}"},
    {"highlights/what-is-not-measured-is-said", "HIGHLIGHT_DETECTION",
     "{'videoUrl':'/f/a.mp4','detectionTypes':['EMOTION','motion','FACE','EMOTION'],'sensitivity':'HIGH'}",
     "HIGHLIGHT_DETECTION", "probe analyse highlights", "highlights",
     "{'maxHighlights':5,'sensitivity':'high','detectionTypes':['MOTION'],'minDuration':3.0,'maxDuration':60.0}", 2},
    {"highlights/one-type-stands-for-a-list", "HIGHLIGHT_DETECTION",
     "{'videoUrl':'/f/a.mp4','highlightRequest':{'detectionType':'AUDIO','minDuration':90}}", "HIGHLIGHT_DETECTION",
     "probe analyse highlights", "highlights",
     "{'maxHighlights':5,'sensitivity':'medium','detectionTypes':['AUDIO'],'minDuration':90.0,'maxDuration':90.0}"},
    {"shorts/the-main-shape", "SHORT_CREATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','outputDir':'/out','shortRequest':{'startTime':30,'endTime':45,"
     "'platform':'TIKTOK','aspectRatio':'9:16','quality':'medium','title':'','addSubtitles':false}}",
     "SHORT_CREATION", "probe shorts check", "shorts",
     "{'parts':[{'start':30.0,'end':45.0}],'platform':'TIKTOK','aspectRatio':'9:16','quality':'medium','format':'mp4',"
     "'name':'v1-short'}"},
    {"shorts/the-best-of-the-film", "SHORT_CREATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','shortRequest':{'count':4,'platform':'YOUTUBE_SHORTS'}}", "SHORT_CREATION",
     "probe analyse highlights shorts check", "highlights",
     "{'maxHighlights':4,'sensitivity':'high','detectionTypes':['MOTION','AUDIO','SCENE_CHANGE'],'minDuration':3.0,"
     "'maxDuration':30.0,'platform':'YOUTUBE_SHORTS'}"},
    {"shorts/nothing-asked-is-three-of-half-a-minute", "create-short", "{'videoId':'v1','videoUrl':'/f/a.mp4'}",
     "SHORT_CREATION", "probe analyse highlights shorts check", "highlights",
     "{'maxHighlights':3,'sensitivity':'high','detectionTypes':['MOTION','AUDIO','SCENE_CHANGE'],'minDuration':3.0,"
     "'maxDuration':30.0}"},
    {"shorts/given-highlights", "SHORT_CREATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','outputDir':'/out','shortRequest':{'duration':20,'highlights':[{'id':'h1',"
     "'rank':1,'startTime':60,'endTime':80}],'platform':'INSTAGRAM_REELS'}}",
     "SHORT_CREATION", "probe shorts check", "shorts",
     "{'parts':[{'start':60.0,'end':80.0,'id':'h1'}],'maxDuration':20.0,'platform':'INSTAGRAM_REELS',"
     "'quality':'medium','format':'mp4','name':'v1-short'}"},
    {"shorts/highlights-that-were-not-found-are-the-best-of-the-film", "SHORT_CREATION",
     "{'videoUrl':'/f/a.mp4','shortRequest':{'highlights':[]}}", "SHORT_CREATION",
     "probe analyse highlights shorts check", "highlights",
     "{'maxHighlights':3,'sensitivity':'high','detectionTypes':['MOTION','AUDIO','SCENE_CHANGE'],'minDuration':3.0,"
     "'maxDuration':30.0}",
     1},
    {"shorts/count-takes-the-first-highlights", "SHORT_CREATION",
     "{'videoUrl':'/f/a.mp4','count':1,'highlights':[{'startTime':1,'endTime':2},{'startTime':'no'}]}",
     "SHORT_CREATION", "probe shorts check", "shorts",
     "{'parts':[{'start':1.0,'end':2.0}],'quality':'medium','format':'mp4','name':'a-short'}"},
    {"shorts/a-start-and-a-duration", "SHORT_CREATION",
     "{'videoUrl':'/f/a.mp4','startTime':5,'duration':7.5,'width':720,'platform':'x'}", "SHORT_CREATION",
     "probe shorts check", "shorts",
     "{'parts':[{'start':5.0,'end':12.5}],'maxDuration':7.5,'platform':'TWITTER','width':720,'quality':'medium',"
     "'format':'mp4','name':'a-short'}"},
    {"shorts/highlights-that-overlap-are-said", "SHORT_CREATION",
     "{'videoUrl':'/f/a.mp4','highlights':[{'startTime':1,'endTime':3},{'startTime':2,'endTime':4}]}", "SHORT_CREATION",
     "probe shorts check", "check", "{'step':'shorts','list':'shorts'}", 1},
    {"clips/the-main-shape", "HIGHLIGHT_CLIP_CREATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','outputDir':'/out','highlights':[{'id':'h1','startTime':10,'endTime':16},"
     "{'id':'h2','startTime':60,'endTime':65}],'padding':0,'merge':true,'format':'mp4'}",
     "HIGHLIGHT_CLIP_CREATION", "probe clips check", "clips",
     "{'parts':[{'start':10.0,'end':16.0,'id':'h1'},{'start':60.0,'end':65.0,'id':'h2'}],'padding':0.0,'merge':true,"
     "'quality':'medium','format':'mp4','name':'v1'}"},
    {"clips/numbers-are-ids-as-well", "HIGHLIGHT_CLIP_CREATION",
     "{'videoUrl':'/f/a.mp4','highlights':[{'id':7,'startTime':1,'endTime':2},{'id':'','highlightId':'h2','startTime':3,"
     "'endTime':4},{'id':null,'startTime':5,'endTime':6}]}",
     "HIGHLIGHT_CLIP_CREATION", "probe clips check", "clips",
     "{'parts':[{'start':1.0,'end':2.0,'id':'7'},{'start':3.0,'end':4.0,'id':'h2'},{'start':5.0,'end':6.0}],"
     "'padding':0.0,'merge':false,'quality':'medium','format':'mp4','name':'a'}"},
    {"self-test/in-a-worker", "SELF_TEST", "{'do':'ok','durationMs':2500}", "SELF_TEST", "self-test", "self-test",
     "{'do':'ok','durationMs':2500}"},
    {"self-test/in-the-daemon", "SELF_TEST", "{'do':'fail','durationMs':0,'i':5}", "SELF_TEST", "self-test",
     "self-test", "{'do':'fail','durationMs':0}"},
    {"analysis", "ANALYSIS", "{'videoUrl':'/f/a.mp4'}", "ANALYSIS", "probe analyse shots", "shots", "{}"},
};

static void
test_shape (gconstpointer data)
{
  const Shape *shape = data;
  g_autoptr (DerushPlan) plan = plan_from (shape->name, shape->data);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *joined = NULL;
  double weights = 0;

  for (guint i = 0; i < plan->steps->len; i++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, i);

    g_ptr_array_add (names, step->name);
    g_assert_cmpfloat (step->weight, >, 0);
    weights += step->weight;
  }
  g_ptr_array_add (names, NULL);
  joined = g_strjoinv (" ", (char **)names->pdata);
  g_assert_cmpstr (plan->job_type, ==, shape->type);
  g_assert_cmpstr (joined, ==, shape->steps);
  g_assert_cmpfloat_with_epsilon (weights, 1.0, 1e-9);
  assert_same_json (parameters_of (plan, shape->step), shape->parameters);
  g_assert_cmpuint (plan->warnings->len, ==, shape->warnings);
}

static void
test_envelope (void)
{
  g_autoptr (DerushPlan) plan =
      plan_from ("VIDEO_PROCESSING",
                 "{'mediaId':12,'key':'https://s.example/a.mp4?X=1','userId':99,'projectId':'p','workflowId':'w',"
                 "'outputDir':'file:///out%20put','timeoutMs':1500,'priority':'HIGH','metadata':{'a':[1,null]}}");

  g_assert_cmpstr (plan->video_id, ==, "12");
  g_assert_cmpstr (plan->user_id, ==, "99");
  g_assert_cmpstr (plan->project_id, ==, "p");
  g_assert_cmpstr (plan->workflow_id, ==, "w");
  g_assert_cmpstr (plan->source, ==, "https://s.example/a.mp4?X=1");
  g_assert_cmpstr (plan->output_dir, ==, "/out put");
  g_assert_cmpint (plan->timeout, ==, 2);
  g_assert_true (JSON_NODE_HOLDS_OBJECT (plan->metadata));
  g_assert_cmpuint (plan->warnings->len, ==, 0);
  g_assert_false (plan->needs_analysis);
}

static void
test_analysis_is_offered (void)
{
  g_autoptr (DerushPlan) best = plan_from ("THUMBNAIL_GENERATION", "{'videoUrl':'/a'}");
  g_autoptr (DerushPlan) uniform = plan_from ("THUMBNAIL_GENERATION", "{'videoUrl':'/a','mode':'uniform'}");
  g_autoptr (DerushPlan) highlights = plan_from ("HIGHLIGHT_DETECTION", "{'videoUrl':'/a'}");

  g_assert_true (best->needs_analysis);
  g_assert_false (uniform->needs_analysis);
  g_assert_true (highlights->needs_analysis);
}

static void
test_aliases_that_disagree (void)
{
  g_autoptr (DerushPlan) same =
      plan_from ("VIDEO_PROCESSING", "{'videoUrl':'/a','inputPath':'/a','id':'1','videoId':1}");
  g_autoptr (DerushPlan) other = plan_from ("VIDEO_PROCESSING", "{'videoUrl':'/a','inputPath':'/b'}");

  g_assert_cmpuint (same->warnings->len, ==, 0);
  g_assert_cmpuint (other->warnings->len, ==, 1);
  g_assert_cmpstr (other->source, ==, "/a");
  g_assert_nonnull (strstr (g_ptr_array_index (other->warnings, 0), "/inputPath"));
}

static void
test_strict (void)
{
  g_autoptr (JsonObject) data = data_from ("{'videoUrl':'/a','colour':1,'options':{'a/b~c':2}}");
  g_autoptr (GError) error = NULL;

  g_assert_null (derush_plan_new ("VIDEO_PROCESSING", data, DERUSH_PLAN_STRICT, &error));
  g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_nonnull (strstr (error->message, "/colour is not"));
  g_assert_nonnull (strstr (error->message, "/options/a~1b~0c is not"));
}

static void
test_names_of_types (void)
{
  static const struct {
    const char *name, *data, *type;
  } cases[] = {
      {"VIDEO_PROCESSING", NULL, "VIDEO_PROCESSING"},
      {"video-processing", NULL, "VIDEO_PROCESSING"},
      {"videoProcessing", NULL, "VIDEO_PROCESSING"},
      {"process-video", NULL, "VIDEO_PROCESSING"},
      {"generate-captions", NULL, "TRANSCRIPTION"},
      {"highlight_detection", NULL, "HIGHLIGHT_DETECTION"},
      {"__default__", "{'type':'thumbnail-generation'}", "THUMBNAIL_GENERATION"},
      {NULL, "{'jobType':'SELF_TEST'}", "SELF_TEST"},
      {"VIDEO_PROCESSING", "{'type':'SELF_TEST'}", "VIDEO_PROCESSING"},
      {"CONTENT_GENERATION", "{'type':'HASHTAGS'}", "CONTENT_GENERATION"},
      {"work", "{'type':5}", NULL},
      {"", NULL, NULL},
      {"publish-content", NULL, NULL},
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (JsonObject) data = cases[i].data ? data_from (cases[i].data) : NULL;
    g_autofree char *type = derush_job_type_from_name (cases[i].name, data);

    g_assert_cmpstr (type, ==, cases[i].type);
  }
  g_assert_cmpuint (g_strv_length ((char **)derush_job_types ()), ==, 14);
  for (guint i = 0; derush_job_types ()[i]; i++)
    g_assert_nonnull (derush_job_type_get_queue (derush_job_types ()[i]));
  g_assert_cmpstr (derush_job_type_get_queue ("TRANSCRIPTION"), ==, "ai-processing");
  g_assert_cmpstr (derush_job_type_get_queue ("SHORT_CREATION"), ==, "video-processing");
  g_assert_null (derush_job_type_get_queue ("NONE"));
}

static void
test_types_without_a_plan (void)
{
  static const char *const planned[] = {"VIDEO_PROCESSING",
                                        "THUMBNAIL_GENERATION",
                                        "HIGHLIGHT_DETECTION",
                                        "SHORT_CREATION",
                                        "HIGHLIGHT_CLIP_CREATION",
                                        "WORKFLOW_EXECUTION",
                                        "SELF_TEST",
                                        "AI_ANALYSIS",
                                        "CONTENT_GENERATION",
                                        "IMAGE_GENERATION",
                                        "TRANSLATION",
                                        "TRANSCRIPTION",
                                        "VOICEOVER",
                                        NULL};

  for (guint i = 0; derush_job_types ()[i]; i++) {
    const char *type = derush_job_types ()[i];
    g_autoptr (GError) error = NULL;

    if (g_strv_contains (planned, type))
      continue;
    g_assert_null (derush_plan_new (type, NULL, DERUSH_PLAN_NONE, &error));
    g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_UNSUPPORTED);
    g_assert_true (g_str_has_prefix (error->message, type));
  }
}

/* The ids that one job returns are what a later one takes, whatever the first one was asked for. */
static void
test_ids_of_highlights (void)
{
  g_autoptr (DerushPlan) found = plan_from ("HIGHLIGHT_DETECTION", "{'videoUrl':'/a.mp4','videoId':'v1'}");
  g_autoptr (DerushPlan) other = plan_from ("HIGHLIGHT_DETECTION", "{'videoUrl':'/a.mp4','videoId':'v2'}");
  g_autofree char *id = highlight_id (found, 25.8754, 33.4), *foreign = highlight_id (other, 1, 2);
  g_autofree char *data = g_strdup_printf (
      "{'videoUrl':'/b.mp4','videoId':'v1','highlightIds':['%s','%s','h1','h0-1-2','-','%s0']}", id, foreign, id);
  g_autofree char *none =
      g_strdup_printf ("{\"videoUrl\":\"/b.mp4\",\"videoId\":\"v1\",\"highlightIds\":[\"%s\"]}", foreign);
  g_autoptr (DerushPlan) plan = plan_from ("HIGHLIGHT_CLIP_CREATION", data);
  g_autoptr (JsonObject) hopeless = derush_json_parse_object (none, -1, NULL);
  g_autoptr (GError) error = NULL;
  JsonArray *parts = derush_json_get_array (parameters_of (plan, "clips"), "parts");

  g_assert_cmpuint (json_array_get_length (parts), ==, 6);
  g_assert_cmpfloat (derush_json_get_number (json_array_get_object_element (parts, 0), "start", 0), ==, 25.875);
  g_assert_cmpfloat (derush_json_get_number (json_array_get_object_element (parts, 0), "end", 0), ==, 33.4);
  for (guint i = 1; i < 6; i++)
    g_assert_true (json_object_has_member (json_array_get_object_element (parts, i), "error"));
  g_assert_null (derush_plan_new ("HIGHLIGHT_CLIP_CREATION", hopeless, DERUSH_PLAN_NONE, &error));
  g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
  g_assert_nonnull (strstr (error->message, "/highlightIds"));
}

static void
test_names_never_meet (void)
{
  g_autoptr (DerushPlan) slash = plan_from ("VIDEO_PROCESSING", "{'videoUrl':'/a','videoId':'a/b'}");
  g_autoptr (DerushPlan) dash = plan_from ("VIDEO_PROCESSING", "{'videoUrl':'/a','videoId':'a-b'}");
  const char *one = derush_json_get_string (parameters_of (slash, "transcode"), "name", NULL);
  const char *two = derush_json_get_string (parameters_of (dash, "transcode"), "name", NULL);

  g_assert_cmpstr (one, !=, two);
  g_assert_null (strchr (one, '/'));
}

static void
test_manual (void)
{
  const JobType *const types[] = {
      &video_processing,        &thumbnail_generation, &highlight_detection, &short_creation,
      &highlight_clip_creation, &workflow_execution,   &self_test,           &ai_analysis,
      &content_generation,      &image_generation,     &translation};
  g_autofree char *path = g_build_filename (g_getenv ("DERUSH_SOURCE_DIR"), "runner", "jobs", "JOBS.md", NULL);
  g_autofree char *page = NULL;

  g_assert_true (g_file_get_contents (path, &page, NULL, NULL));
  for (const Field *field = envelope_fields; field->name; field++) {
    g_autofree char *word = g_strdup_printf ("`%s`", field->name);

    if (!strstr (page, word))
      g_error ("%s is not in JOBS.md", word);
  }
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autofree char *title = g_strdup_printf ("## %s\n", types[i]->name);
    char *section = strstr (page, title);

    g_assert_nonnull (section);
    for (const Field *field = types[i]->fields; field->name; field++) {
      g_autofree char *word = g_strdup_printf ("`%s`", field->name);

      if (!strstr (section, word))
        g_error ("%s of %s is not in JOBS.md", word, types[i]->name);
    }
    for (guint c = 0; types[i]->containers && types[i]->containers[c]; c++)
      g_assert_nonnull (strstr (section, types[i]->containers[c]));
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    g_autofree char *path = g_strdup_printf ("/jobs/plans/%s", shapes[i].path);

    g_test_add_data_func (path, &shapes[i], test_shape);
  }
  g_test_add_func ("/jobs/plans/every-alias-of-the-envelope-is-read", test_envelope);
  g_test_add_func ("/jobs/plans/the-stored-analysis-is-offered-where-it-is-used", test_analysis_is_offered);
  g_test_add_func ("/jobs/plans/ids-of-highlights-are-known-again", test_ids_of_highlights);
  g_test_add_func ("/jobs/plans/aliases-that-disagree-are-said", test_aliases_that_disagree);
  g_test_add_func ("/jobs/plans/strict-reading-refuses-unknown-members", test_strict);
  g_test_add_func ("/jobs/plans/types-are-known-under-the-names-backends-use", test_names_of_types);
  g_test_add_func ("/jobs/plans/types-of-later-versions-are-refused-by-name", test_types_without_a_plan);
  g_test_add_func ("/jobs/plans/two-ids-never-share-a-file-name", test_names_never_meet);
  g_test_add_func ("/jobs/plans/the-manual-names-every-member", test_manual);
  return g_test_run ();
}
