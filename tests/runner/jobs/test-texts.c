/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* The jobs of text and pictures: TRANSLATION, AI_ANALYSIS, CONTENT_GENERATION, IMAGE_GENERATION. */

#include "jobs-test.h"
#include "jobs/jobs-private.h"

#include <string.h>

#define FILM "probe analyse highlights frames speech-audio transcribe "

static const struct {
  const char *path, *name, *data;
  const char *steps;
  const char *step, *parameters;
  const char *source;
  guint warnings;
} shapes[] = {
    {"translation/a-text", "TRANSLATION",
     "{'videoId':'v1','originalText':'La casa es grande y el perro duerme.','sourceLanguage':'es','targetLanguage':'pt',"
     "'formality':'NEUTRAL','context':''}",
     "translate", "translate",
     "{'text':'La casa es grande y el perro duerme.','sourceLanguage':'es','targetLanguages':['pt'],"
     "'formality':'NEUTRAL','name':'v1'}"},
    {"translation/a-file-of-subtitles", "TRANSLATION",
     "{'videoId':'v1','subtitlePath':'/out/v1.vtt','subtitleFormat':'vtt','sourceLanguage':'es',"
     "'targetLanguages':['pt','it']}",
     "translate", "translate",
     "{'subtitles':true,'format':'vtt','sourceLanguage':'es','targetLanguages':['pt','it'],'formality':'NEUTRAL',"
     "'name':'v1'}",
     "/out/v1.vtt"},
    {"translation/a-file-names-its-translations", "TRANSLATION",
     "{'subtitlePath':'/s/my talk.srt','targetLanguage':'fr'}", "translate", "translate",
     "{'subtitles':true,'targetLanguages':['fr'],'formality':'NEUTRAL','name':'my-talk'}", "/s/my talk.srt"},
    {"translation/cues", "translate",
     "{'cues':[{'start':1,'end':2.5,'text':'Hola.'},{'startTime':3,'endTime':4,'text':'Adiós {name}.'}],"
     "'targetLanguage':['pt_br','PT-br'],'options':{'formality':'formal','maxLineLength':37}}",
     "translate", "translate",
     "{'cues':[{'start':1.0,'end':2.5,'text':'Hola.'},{'start':3.0,'end':4.0,'text':'Adiós {name}.'}],'format':'vtt',"
     "'targetLanguages':['pt-BR'],'formality':'FORMAL','maxLineLength':37,'name':'film'}"},
    {"translation/languages-by-their-names", "TRANSLATION",
     "{'text':'a','sourceLanguage':'Spanish','targetLanguages':['Brazilian Portuguese','fre','zh_hans',' Português ',"
     "'eng-gb','Deutsch','pt']}",
     "translate", "translate",
     "{'text':'a','sourceLanguage':'es','targetLanguages':['pt-BR','fr','zh-Hans','pt','en-GB','de'],'formality':"
     "'NEUTRAL','name':'film'}"},
    {"translation/what-is-said-in-a-film", "TRANSLATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','sourceLanguage':'auto','targetLanguage':'es','format':'srt'}",
     "probe speech-audio transcribe translate", "translate",
     "{'film':true,'format':'srt','targetLanguages':['es'],'formality':'NEUTRAL','name':'v1'}", "/f/a.mp4"},
    {"translation/a-text-beside-a-film-reads-no-film", "TRANSLATION",
     "{'videoUrl':'/f/a.mp4','originalText':'Hi','targetLanguage':'es'}", "translate", "translate",
     "{'text':'Hi','targetLanguages':['es'],'formality':'NEUTRAL','name':'a'}"},
    {"translation/a-glossary-in-both-spellings", "TRANSLATION",
     "{'text':'Hi','targetLanguage':'es','glossary':[{'source':'Blue Moon','target':'Luna Azul'}]}", "translate",
     "translate",
     "{'text':'Hi','targetLanguages':['es'],'formality':'NEUTRAL','name':'film','glossary':{'Blue Moon':'Luna Azul'}}"},
    {"translation/what-a-transcription-returned", "TRANSLATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','transcription':{'text':'Hi. Bye.','language':'en','timestamps':["
     "{'start':1,'end':2,'text':'Hi.','words':[]},{'start':3,'end':4,'text':'Bye.'}]},'targetLanguage':'es'}",
     "translate", "translate",
     "{'cues':[{'start':1.0,'end':2.0,'text':'Hi.'},{'start':3.0,'end':4.0,'text':'Bye.'}],'format':'vtt',"
     "'sourceLanguage':'en','targetLanguages':['es'],'formality':'NEUTRAL','name':'v1'}"},
    {"translation/cues-of-a-transcript-rather-than-its-segments", "TRANSLATION",
     "{'transcript':{'text':'Hi. Bye.','language':'en','timestamps':[{'start':1,'end':4,'text':'Hi. Bye.'}],'cues':["
     "{'start':1,'end':2,'text':'Hi.','speaker':'A'},{'start':3,'end':4,'text':'Bye.'}]},'targetLanguage':'es'}",
     "translate", "translate",
     "{'cues':[{'start':1.0,'end':2.0,'text':'Hi.','speaker':'A'},{'start':3.0,'end':4.0,'text':'Bye.'}],'format':"
     "'vtt','sourceLanguage':'en','targetLanguages':['es'],'formality':'NEUTRAL','name':'film'}"},
    {"translation/a-transcript-without-times", "TRANSLATION",
     "{'transcript':{'text':'Hi.','language':'en','timestamps':[]},'sourceLanguage':'fr','targetLanguage':'es'}",
     "translate", "translate",
     "{'text':'Hi.','sourceLanguage':'fr','targetLanguages':['es'],'formality':'NEUTRAL','name':'film'}"},
    {"translation/the-transcript-of-a-silent-film", "TRANSLATION",
     "{'transcript':{'text':'','language':'','timestamps':[]},'targetLanguage':'es'}", "translate", "translate",
     "{'cues':[],'format':'vtt','targetLanguages':['es'],'formality':'NEUTRAL','name':'film'}"},
    {"translation/a-list-as-a-transcript", "TRANSLATION",
     "{'transcript':[{'start':1,'end':2,'text':'Hi.'}],'targetLanguage':'es'}", "translate", "translate",
     "{'cues':[{'start':1.0,'end':2.0,'text':'Hi.'}],'format':'vtt','targetLanguages':['es'],'formality':'NEUTRAL',"
     "'name':'film'}"},
    {"translation/two-materials-are-said", "TRANSLATION",
     "{'text':'Hi','cues':[{'start':1,'end':2,'text':'a'}],'targetLanguage':'es'}", "translate", "translate",
     "{'text':'Hi','targetLanguages':['es'],'formality':'NEUTRAL','name':'film'}", NULL, 1},
    {"analysis/the-main-shape", "AI_ANALYSIS",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','analysisTypes':['summary','topics','chapters','moments',"
     "'scene-detection','audio-analysis'],'customPrompt':'','language':'en'}",
     FILM "analyse-content", "analyse-content",
     "{'analysisTypes':['summary','topics','chapters','moments','scene-detection','audio-analysis'],'language':'en',"
     "'customPrompt':'','maxMoments':10}",
     "/f/a.mp4"},
    {"analysis/one-type-stands-for-all-of-the-content", "AI_ANALYSIS",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','analysisType':'content-analysis'}", FILM "analyse-content",
     "analyse-content",
     "{'analysisTypes':['summary','topics','tags','chapters','moments','sentiment','people','objects','scenes'],"
     "'customPrompt':'','maxMoments':10}",
     "/f/a.mp4"},
    {"analysis/frames-for-a-model-that-sees", "analyze-media", "{'videoUrl':'/f/a.mp4','maxFrames':3}",
     FILM "analyse-content", "frames", "{'count':3,'size':768}", "/f/a.mp4"},
    {"analysis/what-is-measured-needs-no-model", "AI_ANALYSIS",
     "{'videoUrl':'/f/a.mp4','analysisTypes':['scene-detection','audio-analysis']}", "probe analyse frames", "frames",
     "{'count':0,'analysisTypes':['scene-detection','audio-analysis']}", "/f/a.mp4"},
    {"analysis/a-question-needs-one", "AI_ANALYSIS",
     "{'videoUrl':'/f/a.mp4','options':{'analysisTypes':'scene-detection','customPrompt':'Is there a dog?',"
     "'model':'m'}}",
     FILM "analyse-content", "analyse-content",
     "{'analysisTypes':['scene-detection'],'customPrompt':'Is there a dog?','maxMoments':10,'model':'m'}", "/f/a.mp4"},
    {"content/the-main-shape", "CONTENT_GENERATION",
     "{'videoId':'v1','prompt':'A film about a blue moon','options':{'type':'TITLE','tone':'friendly','language':'en',"
     "'length':'short','platform':'YOUTUBE'},'brandProfile':{'voice':'warm','keywords':['moon'],'hashtags':['#moon']}}",
     "content", "content",
     "{'type':'TITLE','prompt':'A film about a blue moon','tone':'friendly','length':'short','language':'en',"
     "'platform':'YOUTUBE','brandProfile':{'voice':'warm','keywords':['moon'],'hashtags':['#moon']}}"},
    {"content/a-type-beside-the-prompt", "CONTENT_GENERATION",
     "{'prompt':'…','type':'hashtags','platform':'instagram'}", "content", "content",
     "{'type':'HASHTAGS','prompt':'…','tone':'','length':'medium','platform':'INSTAGRAM'}"},
    {"content/the-type-of-the-job-is-not-that-of-the-text", "",
     "{'type':'CONTENT_GENERATION','prompt':'x','options':{'type':'SHORT'}}", "content", "content",
     "{'type':'SHORT','prompt':'x','tone':'','length':'medium'}"},
    {"content/from-a-film", "CONTENT_GENERATION", "{'videoUrl':'/f/a.mp4','type':'DESCRIPTION'}", FILM "content",
     "content", "{'type':'DESCRIPTION','prompt':'','tone':'','length':'medium'}", "/f/a.mp4"},
    {"content/from-a-transcript-the-film-is-not-read", "generate-content",
     "{'videoUrl':'/f/a.mp4','transcript':{'text':'Hello moon.','language':'en','timestamps':[{'start':0,'end':1,"
     "'text':'Hello moon.','words':[]}]}}",
     "content", "content",
     "{'type':'POST','prompt':'','tone':'','length':'medium','transcript':{'text':'Hello moon.','segments':[{"
     "'start':0.0,'end':1.0,'text':'Hello moon.'}],'language':'en'}}"},
    {"image/the-main-shape", "IMAGE_GENERATION",
     "{'prompt':'a title card saying Blue Moon','outputDir':'/out','options':{'count':1,'width':640,'height':360,"
     "'quality':'medium','style':'','seed':1}}",
     "image pictures", "image",
     "{'prompt':'a title card saying Blue Moon','count':1,'width':640,'height':360,'quality':'medium','seed':1}"},
    {"image/a-size-in-one-word", "generate-image", "{'prompt':'x','n':2,'size':'1024x1792','quality':'hd'}",
     "image pictures", "image", "{'prompt':'x','count':2,'width':1024,'height':1792,'quality':'high'}"},
    {"image/its-files", "IMAGE_GENERATION", "{'videoId':'v1','prompt':'x','format':'JPEG','height':1080}",
     "image pictures", "pictures", "{'width':1920,'height':1080,'format':'jpg','name':'v1-image'}"},
    {"image/the-cover-of-a-film", "IMAGE_GENERATION",
     "{'videoId':'v1','videoUrl':'/f/a.mp4','title':'Blue Moon','options':{'width':720,'height':1280}}",
     "probe analyse frames image pictures", "frames", "{'count':1,'size':1280,'best':true}", "/f/a.mp4"},
    {"image/a-reference-is-what-it-is-made-over", "IMAGE_GENERATION", "{'prompt':'x','reference':'/p/a.png'}",
     "frames image pictures", "pictures", "{'width':1280,'height':720,'format':'png','name':'a-image'}", "/p/a.png"},
};

static void
test_shape (gconstpointer data)
{
  guint i = GPOINTER_TO_UINT (data);
  g_autoptr (DerushPlan) plan = plan_from (shapes[i].name, shapes[i].data);
  g_autoptr (GString) names = g_string_new (NULL);
  double weights = 0;

  for (guint s = 0; s < plan->steps->len; s++) {
    DerushPlanStep *step = g_ptr_array_index (plan->steps, s);

    g_string_append_printf (names, "%s%s", s > 0 ? " " : "", step->name);
    g_assert_cmpfloat (step->weight, >, 0);
    weights += step->weight;
  }
  g_assert_cmpstr (names->str, ==, shapes[i].steps);
  g_assert_cmpfloat_with_epsilon (weights, 1.0, 1e-9);
  g_assert_cmpstr (plan->source, ==, shapes[i].source);
  assert_same_json (parameters_of (plan, shapes[i].step), shapes[i].parameters);
  g_assert_cmpuint (plan->warnings->len, ==, shapes[i].warnings);
}

static void
test_faults (void)
{
  static const struct {
    const char *type, *data, *says;
  } faults[] = {
      {"TRANSLATION", "{'targetLanguage':'es'}", "/originalText is missing"},
      {"TRANSLATION", "{'text':'a'}", "/targetLanguage is missing"},
      {"TRANSLATION", "{'text':'a','targetLanguages':[]}", "/targetLanguages is an empty list"},
      {"TRANSLATION", "{'text':'a','targetLanguages':['es','not a language']}",
       "/targetLanguages/1 is “not a language”"},
      {"TRANSLATION", "{'text':'a','targetLanguage':7}", "/targetLanguage is 7"},
      {"TRANSLATION", "{'text':'a','targetLanguage':'es','sourceLanguage':'españ'}", "/sourceLanguage is “españ”"},
      {"TRANSLATION", "{'cues':[{'start':2,'end':1,'text':'a'}],'targetLanguage':'es'}", "/cues/0 must be an object"},
      {"TRANSLATION", "{'cues':[{'start':2,'text':'a'},7],'targetLanguage':'es'}", "/cues/1 must be an object"},
      {"TRANSLATION", "{'transcript':{'text':'a','segments':[{'start':2,'end':1,'text':'a'}]},'targetLanguage':'es'}",
       "/transcript/segments/0 must be an object"},
      {"TRANSLATION", "{'transcript':7,'targetLanguage':'es'}", "/transcript must be a text"},
      {"TRANSLATION", "{'subtitlePath':'v1.vtt','targetLanguage':'es'}", "/subtitlePath is “v1.vtt”"},
      {"TRANSLATION", "{'text':'a','targetLanguage':'es','glossary':{'a':7}}", "/glossary must be an object"},
      {"TRANSLATION", "{'text':'a','targetLanguage':'es','formality':'rude'}", "FORMAL, NEUTRAL, INFORMAL"},
      {"AI_ANALYSIS", "{'analysisType':'summary'}", "/videoUrl is missing"},
      {"AI_ANALYSIS", "{'videoUrl':'/a','analysisTypes':['summary','smell']}", "/analysisTypes/1 is the text “smell”"},
      {"CONTENT_GENERATION", "{'type':'TITLE'}", "/prompt is missing"},
      {"CONTENT_GENERATION", "{'prompt':'a','options':{'type':'OPERA'}}", "/options/type is the text “OPERA”"},
      {"CONTENT_GENERATION", "{'prompt':'a','brandProfile':'warm'}",
       "/brandProfile is the text “warm”, must be an object"},
      {"CONTENT_GENERATION", "{'prompt':'a','brandProfile':{'keywords':[1]}}", "/brandProfile/keywords must be a list"},
      {"CONTENT_GENERATION", "{'transcript':{'language':'en'}}", "/transcript must be a text"},
      {"VOICEOVER", "{'text':' ... '}", "/text has no words"},
      {"VOICEOVER", "{'cues':[{'start':0,'end':1,'text':'...'}]}", "/cues has no words"},
      {"VOICEOVER", "{'cues':[]}", "/cues has no words"},
      {"IMAGE_GENERATION", "{}", "/prompt is missing"},
      {"IMAGE_GENERATION", "{'prompt':'x','size':'huge'}", "/size is “huge”"},
      {"IMAGE_GENERATION", "{'prompt':'x','count':11}", "/count is 11"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autoptr (JsonObject) data = data_from (faults[i].data);
    g_autoptr (GError) error = NULL;

    g_assert_null (derush_plan_new (faults[i].type, data, DERUSH_PLAN_NONE, &error));
    g_assert_error (error, DERUSH_JOBS_ERROR, DERUSH_ERROR_BAD_INPUT);
    if (!strstr (error->message, faults[i].says))
      g_error ("%s: “%s” does not say “%s”", faults[i].data, error->message, faults[i].says);
  }
}

/* Subtitles have notes and dots that no voice can say: the other cues are spoken all the same. */
static void
test_cues_without_words (void)
{
  g_autoptr (DerushPlan) plan = plan_from ("VOICEOVER", "{'cues':[{'start':0,'end':1,'text':'One.'},"
                                                        "{'start':1,'end':2,'text':'♪ …'},"
                                                        "{'start':2,'end':3,'text':'二'}]}");
  JsonArray *cues = derush_json_get_array (parameters_of (plan, "speak"), "cues");

  g_assert_cmpuint (json_array_get_length (cues), ==, 2);
  g_assert_cmpstr (json_object_get_string_member (json_array_get_object_element (cues, 1), "text"), ==, "二");
}

/* Who is asked is a matter of settings: a job that wants another one is told. */
static void
test_wished_provider (void)
{
  g_autoptr (DerushPlan) wish = plan_from ("VOICEOVER", "{'text':'One.','provider':'elevenlabs'}");
  g_autoptr (DerushPlan) none = plan_from ("VOICEOVER", "{'text':'One.','provider':''}");

  g_assert_cmpuint (wish->warnings->len, ==, 1);
  g_assert_nonnull (strstr (wish->warnings->pdata[0], "/provider is ignored"));
  g_assert_cmpuint (none->warnings->len, ==, 0);
}

/* ── Return values ──────────────────────────────────────────────────────── */

static JsonObject *
value_from (const char *type, const char *data, const char *results_text)
{
  g_autoptr (DerushPlan) plan = plan_from (type, data);
  g_autoptr (JsonObject) results = data_from (results_text);
  g_autoptr (GPtrArray) outputs = derush_plan_get_outputs (plan, results);

  for (guint i = 0; i < outputs->len; i++) {
    DerushOutput *output = g_ptr_array_index (outputs, i);

    output->path = g_strdup_printf ("/out/%s", output->file);
    output->size = 1000 + i;
  }
  return derush_plan_return_value (plan, results, outputs, NULL, NULL, 1);
}

#define ENGINE                                                                                                         \
  "'provider':'local','engine':'apertium','degraded':true,'reason':'no key','cost':0,'cached':false,"                  \
  "'usage':{'inputTokens':10,'outputTokens':2},'timestamp':'2026-01-01T00:00:00.000Z','processingTime':7"

static void
assert_engine (JsonObject *metadata)
{
  g_assert_cmpstr (json_object_get_string_member (metadata, "provider"), ==, "local");
  g_assert_cmpstr (json_object_get_string_member (metadata, "engine"), ==, "apertium");
  g_assert_cmpstr (json_object_get_string_member (metadata, "model"), ==, "apertium");
  g_assert_true (json_object_get_boolean_member (metadata, "degraded"));
  g_assert_cmpint (json_object_get_int_member (metadata, "tokensUsed"), ==, 12);
  g_assert_cmpint (json_object_get_int_member (metadata, "processingTime"), ==, 7);
}

/* Steps of a workflow run at once and share a folder: what one of them refers to must not be the result of another. */
static void
test_names_of_results (void)
{
  static const struct {
    const char *type, *data, *name;
  } jobs[] = {
      {"TRANSCRIPTION", "{'videoUrl':'/a/film.mp4'}", "film-transcription-result.json"},
      {"AI_ANALYSIS", "{'videoUrl':'/a/film.mp4'}", "film-ai-analysis-result.json"},
      {"AI_ANALYSIS", "{'videoUrl':'/a/film.mp4','videoId':'v1'}", "v1-ai-analysis-result.json"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (jobs); i++) {
    g_autoptr (DerushPlan) plan = plan_from (jobs[i].type, jobs[i].data);
    g_autofree char *name = derush_plan_get_result_name (plan);

    g_assert_cmpstr (name, ==, jobs[i].name);
  }
}

static void
test_translation_returns (void)
{
  g_autoptr (JsonObject) value = value_from (
      "TRANSLATION",
      "{'videoId':'v1','subtitlePath':'/a/v1.vtt','targetLanguages':['pt','it'],'metadata':{'mine':1,'engine':'x'}}",
      "{'translate':{'sourceLanguage':'es','originalText':'Hola.','translations':[{'targetLanguage':'pt','text':'Olá "
      "mundo.','file':'v1.pt.vtt','cues':1,'confidence':1},{'targetLanguage':'it','text':'Ciao.','file':'v1.it.vtt',"
      "'cues':1,'confidence':0.5}]," ENGINE "}}");
  JsonArray *rows = json_object_get_array_member (value, "translations");
  JsonObject *second = json_array_get_object_element (rows, 1), *metadata = derush_json_get_object (value, "metadata");

  g_assert_cmpstr (json_object_get_string_member (value, "originalText"), ==, "Hola.");
  g_assert_cmpstr (json_object_get_string_member (value, "translatedText"), ==, "Olá mundo.");
  g_assert_cmpstr (json_object_get_string_member (value, "sourceLanguage"), ==, "es");
  g_assert_cmpstr (json_object_get_string_member (value, "targetLanguage"), ==, "pt");
  g_assert_cmpint (json_object_get_int_member (value, "wordCount"), ==, 2);
  g_assert_cmpint (json_object_get_int_member (value, "characterCount"), ==, 10);
  g_assert_cmpuint (json_array_get_length (rows), ==, 2);
  g_assert_cmpstr (json_object_get_string_member (second, "file"), ==, "/out/v1.it.vtt");
  g_assert_cmpfloat_with_epsilon (json_object_get_double_member (second, "confidence"), 0.5, 1e-9);
  assert_engine (metadata);
  g_assert_cmpint (json_object_get_int_member (metadata, "mine"), ==, 1);
}

static void
test_analysis_returns (void)
{
  g_autoptr (JsonObject) value = value_from (
      "AI_ANALYSIS", "{'videoId':'v1','videoUrl':'/f/a.mp4'}",
      "{'frames':{'signals':{'shots':[{'start':0,'end':2,'transition':'cut'}],'audio':{'loudness':-20}}},"
      "'analyse-content':{'result':{'summary':'A moon.','confidence':0.7},'highlights':[{'startTime':1,'endTime':4,"
      "'type':'ACTION','confidence':0.5,'description':'Rise','metadata':{'signals':{},'reasons':['it rises']}}]," ENGINE
      "}}");
  g_autoptr (JsonObject) measured =
      value_from ("AI_ANALYSIS", "{'videoUrl':'/f/a.mp4','analysisType':'scene-detection'}",
                  "{'frames':{'signals':{'shots':[{'start':0,'end':2,'transition':'cut'}]}}}");
  JsonObject *result = json_object_get_object_member (value, "result");
  JsonObject *highlight = json_array_get_object_element (json_object_get_array_member (value, "highlights"), 0);

  g_assert_cmpstr (json_object_get_string_member (result, "summary"), ==, "A moon.");
  g_assert_cmpint (json_object_get_int_member (result, "shotCount"), ==, 1);
  g_assert_cmpint (json_object_get_int_member (json_object_get_object_member (result, "audio"), "loudness"), ==, -20);
  g_assert_cmpfloat_with_epsilon (json_object_get_double_member (value, "confidence"), 0.7, 1e-9);
  g_assert_true (g_str_has_prefix (json_object_get_string_member (highlight, "id"), "h"));
  g_assert_cmpint (json_object_get_int_member (highlight, "duration"), ==, 3);
  assert_engine (json_object_get_object_member (value, "metadata"));
  result = json_object_get_object_member (measured, "result");
  g_assert_cmpint (json_object_get_int_member (result, "shotCount"), ==, 1);
  g_assert_false (json_object_has_member (result, "audio"));
  g_assert_cmpstr (derush_json_get_string (json_object_get_object_member (measured, "metadata"), "provider", NULL), ==,
                   "derush");
}

static void
test_content_returns (void)
{
  g_autoptr (JsonObject) value =
      value_from ("CONTENT_GENERATION", "{'prompt':'x','type':'TITLE','platform':'YOUTUBE'}",
                  "{'content':{'text':'月が青い Blue Moon','language':'en','hashtags':['#a']," ENGINE "}}");

  g_assert_cmpstr (json_object_get_string_member (value, "type"), ==, "TITLE");
  g_assert_cmpstr (json_object_get_string_member (value, "language"), ==, "en");
  g_assert_cmpint (json_object_get_int_member (value, "wordCount"), ==, 6);
  g_assert_cmpint (json_object_get_int_member (value, "characterCount"), ==, 14);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "hashtags")), ==, 1);
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (value, "parts")), ==, 0);
  assert_engine (json_object_get_object_member (value, "metadata"));
}

static void
test_image_returns (void)
{
  g_autoptr (JsonObject) value =
      value_from ("IMAGE_GENERATION", "{'prompt':'x','outputDir':'/out','seed':1}",
                  "{'image':{" ENGINE "},'pictures':{'images':[{'file':'derush-image-001.png','width':640,'height':360,"
                  "'format':'png','revisedPrompt':'y'}]}}");
  JsonObject *row = json_array_get_object_element (json_object_get_array_member (value, "images"), 0);
  JsonObject *metadata = json_object_get_object_member (row, "metadata");

  g_assert_cmpstr (json_object_get_string_member (row, "filePath"), ==, "/out/derush-image-001.png");
  g_assert_cmpstr (json_object_get_string_member (row, "url"), ==, "file:///out/derush-image-001.png");
  g_assert_cmpstr (json_object_get_string_member (row, "id"), ==, "derush-image-001");
  g_assert_cmpint (json_object_get_int_member (row, "width"), ==, 640);
  g_assert_cmpint (json_object_get_int_member (row, "size"), ==, 1000);
  assert_engine (metadata);
  g_assert_cmpstr (json_object_get_string_member (metadata, "prompt"), ==, "x");
  g_assert_cmpint (json_object_get_int_member (metadata, "seed"), ==, 1);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    g_autofree char *path = g_strconcat ("/jobs/texts/", shapes[i].path, NULL);

    g_test_add_data_func (path, GUINT_TO_POINTER (i), test_shape);
  }
  g_test_add_func ("/jobs/texts/faults-name-their-member", test_faults);
  g_test_add_func ("/jobs/texts/cues-without-words-are-not-spoken", test_cues_without_words);
  g_test_add_func ("/jobs/texts/whole-results-have-names-of-their-own", test_names_of_results);
  g_test_add_func ("/jobs/texts/a-provider-that-a-job-wishes-is-a-warning", test_wished_provider);
  g_test_add_func ("/jobs/texts/a-translation-returns-every-language", test_translation_returns);
  g_test_add_func ("/jobs/texts/an-analysis-says-who-made-it", test_analysis_returns);
  g_test_add_func ("/jobs/texts/words-and-characters-of-content-are-counted", test_content_returns);
  g_test_add_func ("/jobs/texts/pictures-have-paths-and-addresses", test_image_returns);
  return g_test_run ();
}
