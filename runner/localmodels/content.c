/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Titles, descriptions, posts …, put together from sentences and key phrases of what there is. */

#include "text-private.h"

#include <string.h>

#define MAX_TITLE 70
#define MAX_HOOK 120
#define MAX_STORY 125
#define MAX_SHORT 100
/* What a single post of a thread may have anywhere, where the platform allows more. */
#define MAX_POST 500
/* The sentences that may say what the whole is about. */
#define OPENING 3
/* Under a text; a list of hashtags alone may be as long as the platform has it. */
#define TAGS_OF_TEXT 5
#define TAGS_OF_SHORT_TEXT 3
/* A question, and a number, make curious. */
#define QUESTION 0.3
#define NUMBER 0.1
/* Of a rank; a title that says little is worse than two phrases. */
#define GOOD 0.4
#define DEFAULT_HASHTAGS 8
#define MAX_PARTS 25

typedef struct {
  const LocalFacts *facts;
  const char *type;
  guint characters; /* at most */
  double length;    /* 0.5: short, 1: medium, 2: long */
  GPtrArray *hashtags;
} Writer;

/* ── Pieces ─────────────────────────────────────────────────────────────── */

static guint
letters (const char *text)
{
  return (guint)g_utf8_strlen (text, -1);
}

static void
add_hashtag (GPtrArray *hashtags, const char *phrase)
{
  g_autofree char *tag = local_make_hashtag (phrase), *folded = tag ? g_utf8_casefold (tag, -1) : NULL;

  if (!tag)
    return;
  for (guint i = 0; i < hashtags->len; i++) {
    g_autofree char *other = g_utf8_casefold (g_ptr_array_index (hashtags, i), -1);

    if (strcmp (other, folded) == 0)
      return;
  }
  g_ptr_array_add (hashtags, g_steal_pointer (&tag));
}

static void
add_hashtags_of (GPtrArray *hashtags, JsonArray *phrases)
{
  for (guint i = 0; phrases && i < json_array_get_length (phrases); i++) {
    JsonNode *node = json_array_get_element (phrases, i);

    if (json_node_get_value_type (node) == G_TYPE_STRING)
      add_hashtag (hashtags, json_node_get_string (node));
  }
}

/* Those of the brand first. */
static GPtrArray *
make_hashtags (const LocalFacts *facts, guint usual)
{
  JsonObject *limits = derush_json_get_object (facts->parameters, "limits");
  JsonObject *brand = derush_json_get_object (facts->parameters, "brandProfile");
  gint64 most = limits ? derush_json_get_int (limits, "hashtags", DEFAULT_HASHTAGS) : DEFAULT_HASHTAGS;
  GPtrArray *hashtags = g_ptr_array_new_with_free_func (g_free);
  guint n;

  if (brand) {
    add_hashtags_of (hashtags, derush_json_get_array (brand, "hashtags"));
    add_hashtags_of (hashtags, derush_json_get_array (brand, "keywords"));
  }
  n = local_count_good_phrases (facts->phrases, (guint)CLAMP (most, 0, 60));
  for (guint i = 0; i < n && hashtags->len < usual; i++)
    add_hashtag (hashtags, ((LocalPhrase *)g_ptr_array_index (facts->phrases, i))->text);
  if ((gint64)hashtags->len > most)
    g_ptr_array_set_size (hashtags, (int)CLAMP (most, 0, 60));
  return hashtags;
}

static char *
join_hashtags (GPtrArray *hashtags, guint characters)
{
  GString *joined = g_string_new (NULL);

  for (guint i = 0; i < hashtags->len; i++) {
    const char *tag = g_ptr_array_index (hashtags, i);

    if (letters (joined->str) + 1 + letters (tag) > characters)
      break;
    g_string_append_printf (joined, "%s%s", i > 0 ? " " : "", tag);
  }
  return g_string_free (joined, FALSE);
}

/* The one that says most, in so many characters; @curious: or asks; -1: none is so short */
static int
best_sentence (const LocalFacts *facts, guint characters, gboolean curious)
{
  double most = 0;
  int best = -1;

  for (guint i = 0; i < facts->text->sentences->len; i++) {
    const char *said = local_text_get_sentence (facts->text, i)->text;
    double rank = facts->ranks[i];

    if (curious && rank > 0)
      rank += (strpbrk (said, "?") || strstr (said, "？") ? QUESTION : 0) + (strpbrk (said, "0123456789") ? NUMBER : 0);
    if (rank <= most || letters (said) > characters)
      continue;
    most = rank;
    best = (int)i;
  }
  return best;
}

/* The best sentence, or what fits of the best one at all. */
static char *
write_sentence (const Writer *writer, guint characters, gboolean curious, const char *summary)
{
  const LocalFacts *facts = writer->facts;
  guint most = MIN (writer->characters, characters);
  int best = best_sentence (facts, most > 0 ? most - 1 : 0, curious);
  g_autofree char *polished = NULL;

  if (best < 0)
    best = best_sentence (facts, G_MAXUINT, curious);
  if (best < 0)
    return local_text_shorten (summary, most);
  polished = local_text_polish (local_text_get_sentence (facts->text, (guint)best)->text);
  return local_text_shorten (polished, most);
}

/* What silent films have is said of them. */
static char *
summarise (const Writer *writer, guint n, guint characters, const char *summary)
{
  const LocalFacts *facts = writer->facts;
  g_autofree double *ranks = NULL;

  if (facts->text->sentences->len == 0)
    return local_text_shorten (summary, characters);
  n = MAX ((guint)(n * writer->length + 0.5), 1);
  ranks = local_rank_by_parts (facts->text, facts->ranks, facts->chapters, n);
  return local_summarise (facts->text, ranks, n, characters);
}

/* What the film says that it is about; else the best sentence that is short enough, if it is a good one; else the two best
 * phrases; else the beginning of the best. A wish has its own. */
static char *
write_title (const Writer *writer, const char *summary)
{
  const LocalFacts *facts = writer->facts;
  guint most = MIN (writer->characters, MAX_TITLE);
  g_autofree char *announced = facts->wish ? NULL : local_announced_topic (facts->text, 0, OPENING, most);
  int best = best_sentence (facts, most, FALSE);

  if (announced)
    return g_steal_pointer (&announced);
  if (best >= 0 && facts->ranks[best] >= GOOD)
    return local_text_to_title (local_text_get_sentence (facts->text, (guint)best)->text, most);
  if (facts->phrases->len > 1) {
    g_autofree char *first = local_text_to_title (((LocalPhrase *)g_ptr_array_index (facts->phrases, 0))->text, most);
    g_autofree char *both =
        g_strdup_printf ("%s: %s", first, ((LocalPhrase *)g_ptr_array_index (facts->phrases, 1))->text);

    if (letters (both) <= most)
      return g_steal_pointer (&both);
  }
  best = best_sentence (facts, G_MAXUINT, FALSE);
  return local_text_to_title (best >= 0 ? local_text_get_sentence (facts->text, (guint)best)->text : summary, most);
}

static char *
format_time (double seconds)
{
  guint whole = (guint)seconds;

  return whole >= 3600 ? g_strdup_printf ("%u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60)
                       : g_strdup_printf ("%u:%02u", whole / 60, whole % 60);
}

/* A block that fits is added, with an empty line before it. */
static gboolean
add_block (GString *text, const char *block, guint characters)
{
  if (!*block || letters (text->str) + 2 + letters (block) > characters)
    return FALSE;
  g_string_append_printf (text, "%s%s", text->len > 0 ? "\n\n" : "", block);
  return TRUE;
}

static char *
list_chapters (const LocalFacts *facts)
{
  GString *list = g_string_new (NULL);

  for (guint i = 0; i < facts->chapters->len; i++) {
    LocalChapter *chapter = g_ptr_array_index (facts->chapters, i);
    g_autofree char *time = format_time (chapter->start);

    g_string_append_printf (list, "%s%s %s", i > 0 ? "\n" : "", time, chapter->title);
  }
  return g_string_free (list, FALSE);
}

/* ── Types ──────────────────────────────────────────────────────────────── */

/* As many hashtags as there is room for, below. */
static void
add_tags (const Writer *writer, GString *text)
{
  guint used = letters (text->str) + 2;
  g_autofree char *tags = join_hashtags (writer->hashtags, writer->characters > used ? writer->characters - used : 0);

  add_block (text, tags, writer->characters);
}

/* @head: (nullable): a line of its own before */
static char *
write_post (const Writer *writer, const char *head, const char *said)
{
  GString *text = g_string_new (NULL);

  if (head && !strstr (said, head))
    add_block (text, head, writer->characters + 2);
  if (!add_block (text, said, writer->characters + (text->len > 0 ? 0 : 2)) && text->len == 0) {
    g_autofree char *short_one = local_text_shorten (said, writer->characters);

    g_string_append (text, short_one);
  }
  add_tags (writer, text);
  return g_string_free (text, FALSE);
}

static char *
write_description (const Writer *writer, const char *summary)
{
  GString *text = g_string_new (NULL);
  g_autofree char *said = summarise (writer, 4, writer->characters, summary), *chapters = list_chapters (writer->facts);

  add_block (text, said, writer->characters + 2);
  add_block (text, chapters, writer->characters);
  add_tags (writer, text);
  return g_string_free (text, FALSE);
}

/* By chapters where there are some: their titles, and what they say. */
static char *
write_long (const Writer *writer, gboolean times, const char *summary)
{
  const LocalFacts *facts = writer->facts;
  GString *text = g_string_new (NULL);
  g_autofree char *title = write_title (writer, summary), *said = NULL;
  guint per_chapter = (guint)(3 * writer->length + 0.5);

  add_block (text, title, writer->characters);
  if (facts->chapters->len == 0) {
    said = summarise (writer, 8,
                      writer->characters > letters (text->str) + 2 ? writer->characters - letters (text->str) - 2 : 0,
                      summary);
    /* A wish of one sentence is its title already. */
    if (!g_str_has_prefix (said, title) || letters (said) > letters (title) + 1)
      add_block (text, said, writer->characters);
  }
  for (guint c = 0; c < facts->chapters->len; c++) {
    LocalChapter *chapter = g_ptr_array_index (facts->chapters, c);
    g_autofree double *ranks = g_memdup2 (facts->ranks, (facts->text->sentences->len + 1) * sizeof (double));
    g_autofree char *part = NULL, *time = format_time (chapter->start), *block = NULL;

    for (guint i = 0; i < facts->text->sentences->len; i++) {
      const LocalSentence *sentence = local_text_get_sentence (facts->text, i);
      double centre = (sentence->start + sentence->end) / 2;

      if (centre < chapter->start || centre >= chapter->end)
        ranks[i] = 0;
    }
    {
      g_autoptr (GArray) chosen = local_choose_sentences (facts->text, ranks, per_chapter, writer->characters);
      g_autoptr (GString) lines = g_string_new (NULL);

      for (guint i = 0; i < chosen->len; i++) {
        g_autofree char *polished =
            local_text_polish (local_text_get_sentence (facts->text, g_array_index (chosen, guint, i))->text);

        g_string_append_printf (lines, "%s%s", i > 0 ? " " : "", polished);
      }
      part = g_strdup (lines->str);
    }
    if (times)
      block = g_strdup_printf ("[%s] %s\n%s", time, chapter->title, part);
    else if (strcmp (chapter->title, title) == 0)
      block = g_strdup (part);
    else
      block = g_strdup_printf ("%s\n%s", chapter->title, part);
    add_block (text, block, writer->characters);
  }
  return g_string_free (text, FALSE);
}

/* Sentences in posts of the length that is allowed, each with its number. */
static JsonArray *
write_thread (const Writer *writer)
{
  const LocalFacts *facts = writer->facts;
  guint most = MIN (writer->characters, MAX_POST), room = most > 8 ? most - 8 : most;
  g_autoptr (GArray) chosen =
      local_choose_sentences (facts->text, facts->ranks, (guint)(10 * writer->length), G_MAXUINT / 2);
  g_autoptr (GPtrArray) posts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) post = g_string_new (NULL);
  JsonArray *parts = json_array_new ();

  for (guint i = 0; i < chosen->len; i++) {
    g_autofree char *polished =
        local_text_polish (local_text_get_sentence (facts->text, g_array_index (chosen, guint, i))->text);
    g_autofree char *fitting = local_text_shorten (polished, room);

    if (post->len > 0 && letters (post->str) + 1 + letters (fitting) > room) {
      g_ptr_array_add (posts, g_strdup (post->str));
      g_string_truncate (post, 0);
    }
    g_string_append_printf (post, "%s%s", post->len > 0 ? " " : "", fitting);
  }
  if (post->len > 0)
    g_ptr_array_add (posts, g_strdup (post->str));
  for (guint i = 0; i < MIN (posts->len, MAX_PARTS); i++) {
    const char *said = g_ptr_array_index (posts, i);
    g_autofree char *numbered =
        posts->len > 1 ? g_strdup_printf ("%u/%u %s", i + 1, MIN (posts->len, MAX_PARTS), said) : g_strdup (said);
    g_autofree char *fitting = local_text_shorten (numbered, most);

    json_array_add_string_element (parts, fitting);
  }
  return parts;
}

static char *
join_parts (JsonArray *parts)
{
  GString *joined = g_string_new (NULL);

  for (guint i = 0; i < json_array_get_length (parts); i++)
    g_string_append_printf (joined, "%s%s", i > 0 ? "\n\n" : "", json_array_get_string_element (parts, i));
  return g_string_free (joined, FALSE);
}

static char *
write_text (const Writer *writer, const char *summary, JsonArray *parts)
{
  g_autofree char *head = NULL, *said = NULL;

  if (g_ascii_strcasecmp (writer->type, "TITLE") == 0)
    return write_title (writer, summary);
  if (g_ascii_strcasecmp (writer->type, "HASHTAGS") == 0)
    return join_hashtags (writer->hashtags, writer->characters);
  if (g_ascii_strcasecmp (writer->type, "THREAD") == 0 && json_array_get_length (parts) > 0)
    return join_parts (parts);
  if (g_ascii_strcasecmp (writer->type, "DESCRIPTION") == 0)
    return write_description (writer, summary);
  if (g_ascii_strcasecmp (writer->type, "SCRIPT") == 0)
    return write_long (writer, TRUE, summary);
  if (g_ascii_strcasecmp (writer->type, "ARTICLE") == 0 || g_ascii_strcasecmp (writer->type, "NEWSLETTER") == 0)
    return write_long (writer, FALSE, summary);
  if (g_ascii_strcasecmp (writer->type, "HOOK") == 0)
    return write_sentence (writer, MAX_HOOK, TRUE, summary);
  if (g_ascii_strcasecmp (writer->type, "STORY") == 0)
    head = write_sentence (writer, MAX_STORY, TRUE, summary);
  else if (g_ascii_strcasecmp (writer->type, "SHORT") == 0)
    head = write_sentence (writer, MAX_SHORT, TRUE, summary);
  if (head)
    return write_post (writer, NULL, head);
  said = summarise (writer, g_ascii_strcasecmp (writer->type, "POST") == 0 ? 3 : 2, writer->characters, summary);
  if (g_ascii_strcasecmp (writer->type, "LIVE") == 0 || g_ascii_strcasecmp (writer->type, "REEL") == 0)
    head = write_title (writer, summary);
  return write_post (writer, head, said);
}

static guint
usual_tags (const char *type)
{
  static const char *const brief[] = {"STORY", "SHORT", "THREAD", "LIVE", NULL};

  if (g_ascii_strcasecmp (type, "HASHTAGS") == 0)
    return G_MAXUINT;
  for (guint i = 0; brief[i]; i++)
    if (g_ascii_strcasecmp (type, brief[i]) == 0)
      return TAGS_OF_SHORT_TEXT;
  return TAGS_OF_TEXT;
}

/* Adds `text`, `parts`, `hashtags` and `title` to what is said. */
void
local_content_add (const LocalFacts *facts, JsonObject *said)
{
  JsonObject *limits = derush_json_get_object (facts->parameters, "limits");
  const char *length = derush_json_get_string (facts->parameters, "length", "medium");
  const char *summary = derush_json_get_string (said, "summary", "");
  gint64 characters = limits ? derush_json_get_int (limits, "characters", 0) : 0;
  const char *type = derush_json_get_string (facts->parameters, "type", "POST");
  g_autoptr (GPtrArray) hashtags = make_hashtags (facts, usual_tags (type));
  JsonArray *parts, *tags = json_array_new ();
  g_autofree char *text = NULL, *title = NULL;
  Writer writer = {
      .facts = facts,
      .type = type,
      .hashtags = hashtags,
      .length = strcmp (length, "short") == 0  ? 0.5
                : strcmp (length, "long") == 0 ? 2
                                               : 1,
  };

  if (characters <= 0)
    characters = derush_json_get_int (facts->parameters, "maxLength", 5000);
  writer.characters = (guint)CLAMP (characters, 1, 100000);
  parts = g_ascii_strcasecmp (writer.type, "THREAD") == 0 ? write_thread (&writer) : json_array_new ();
  for (guint i = 0; i < hashtags->len; i++)
    json_array_add_string_element (tags, g_ptr_array_index (hashtags, i));
  text = write_text (&writer, summary, parts);
  title = write_title (&writer, summary);
  json_object_set_string_member (said, "text", text);
  json_object_set_string_member (said, "title", title);
  json_object_set_array_member (said, "parts", parts);
  json_object_set_array_member (said, "hashtags", tags);
}
