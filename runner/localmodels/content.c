/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Titles, descriptions, posts …, put together from sentences and key phrases of what there is. */

#include "text-private.h"

#include <string.h>

#define MAX_TITLE 70
#define MAX_HOOK 120
/* Of a rank; a title that says little is worse than two phrases. */
#define GOOD 0.4
#define DEFAULT_HASHTAGS 5
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
make_hashtags (const LocalFacts *facts)
{
  JsonObject *limits = derush_json_get_object (facts->parameters, "limits");
  JsonObject *brand = derush_json_get_object (facts->parameters, "brandProfile");
  gint64 most = limits ? derush_json_get_int (limits, "hashtags", DEFAULT_HASHTAGS) : DEFAULT_HASHTAGS;
  GPtrArray *hashtags = g_ptr_array_new_with_free_func (g_free);

  if (brand) {
    add_hashtags_of (hashtags, derush_json_get_array (brand, "hashtags"));
    add_hashtags_of (hashtags, derush_json_get_array (brand, "keywords"));
  }
  for (guint i = 0; i < facts->phrases->len; i++)
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

static void
drop_full_stop (char *text)
{
  gsize length = strlen (text);

  if (length > 1 && text[length - 1] == '.' && text[length - 2] != '.')
    text[length - 1] = '\0';
}

static guint
best_sentence (const LocalFacts *facts)
{
  guint best = 0;

  for (guint i = 1; i < facts->text->sentences->len; i++)
    if (facts->ranks[i] > facts->ranks[best])
      best = i;
  return best;
}

/* What silent films have is said of them. */
static char *
summarise (const Writer *writer, guint n, guint characters, const char *summary)
{
  if (writer->facts->text->sentences->len == 0)
    return local_text_shorten (summary, characters);
  return local_summarise (writer->facts->text, writer->facts->ranks, MAX ((guint)(n * writer->length + 0.5), 1),
                          characters);
}

/* The best sentence that is short enough, if it is a good one; else the two best phrases; else the beginning of the best. */
static char *
write_title (const Writer *writer, const char *summary)
{
  const LocalFacts *facts = writer->facts;
  guint most = MIN (writer->characters, MAX_TITLE);
  g_autofree char *sentence = NULL;
  double rank = 0;

  for (guint i = 0; i < facts->text->sentences->len; i++) {
    g_autofree char *polished = local_text_polish (local_text_get_sentence (facts->text, i)->text);

    drop_full_stop (polished);
    if (facts->ranks[i] <= rank || letters (polished) > most)
      continue;
    rank = facts->ranks[i];
    g_free (sentence);
    sentence = g_steal_pointer (&polished);
  }
  if (sentence && rank >= GOOD)
    return g_steal_pointer (&sentence);
  if (facts->phrases->len > 1) {
    g_autofree char *first = local_text_polish (((LocalPhrase *)g_ptr_array_index (facts->phrases, 0))->text);
    g_autofree char *both = NULL;

    drop_full_stop (first);
    both = g_strdup_printf ("%s: %s", first, ((LocalPhrase *)g_ptr_array_index (facts->phrases, 1))->text);
    if (letters (both) <= most)
      return g_steal_pointer (&both);
  }
  if (facts->text->sentences->len > 0) {
    g_free (sentence);
    sentence = local_text_polish (local_text_get_sentence (facts->text, best_sentence (facts))->text);
  } else {
    sentence = g_strdup (summary);
  }
  drop_full_stop (sentence);
  return local_text_shorten (sentence, most);
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

static char *
write_post (const Writer *writer, guint sentences, const char *summary)
{
  GString *text = g_string_new (NULL);
  g_autofree char *said = summarise (writer, sentences, writer->characters, summary);
  g_autofree char *tags = NULL;

  add_block (text, said, writer->characters + 2);
  tags =
      join_hashtags (writer->hashtags,
                     writer->characters > letters (text->str) + 2 ? writer->characters - letters (text->str) - 2 : 0);
  add_block (text, tags, writer->characters);
  return g_string_free (text, FALSE);
}

static char *
write_description (const Writer *writer, const char *summary)
{
  GString *text = g_string_new (NULL);
  g_autofree char *said = summarise (writer, 3, writer->characters, summary), *chapters = list_chapters (writer->facts);
  g_autofree char *tags = NULL;

  add_block (text, said, writer->characters + 2);
  add_block (text, chapters, writer->characters);
  tags =
      join_hashtags (writer->hashtags,
                     writer->characters > letters (text->str) + 2 ? writer->characters - letters (text->str) - 2 : 0);
  add_block (text, tags, writer->characters);
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
    block = times ? g_strdup_printf ("[%s] %s\n%s", time, chapter->title, part)
                  : g_strdup_printf ("%s\n%s", chapter->title, part);
    add_block (text, block, writer->characters);
  }
  return g_string_free (text, FALSE);
}

/* Sentences in posts of the length that is allowed, each with its number. */
static JsonArray *
write_thread (const Writer *writer)
{
  const LocalFacts *facts = writer->facts;
  guint room = writer->characters > 8 ? writer->characters - 8 : writer->characters;
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
    g_autofree char *numbered =
        g_strdup_printf ("%u/%u %s", i + 1, MIN (posts->len, MAX_PARTS), (char *)g_ptr_array_index (posts, i));
    g_autofree char *fitting = local_text_shorten (numbered, writer->characters);

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
  const LocalFacts *facts = writer->facts;

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
  if (g_ascii_strcasecmp (writer->type, "HOOK") == 0 && facts->text->sentences->len > 0) {
    g_autofree char *polished = local_text_polish (local_text_get_sentence (facts->text, best_sentence (facts))->text);

    return local_text_shorten (polished, MIN (writer->characters, MAX_HOOK));
  }
  return write_post (writer, 2, summary);
}

/* Adds `text`, `parts`, `hashtags` and `title` to what is said. */
void
local_content_add (const LocalFacts *facts, JsonObject *said)
{
  JsonObject *limits = derush_json_get_object (facts->parameters, "limits");
  const char *length = derush_json_get_string (facts->parameters, "length", "medium");
  const char *summary = derush_json_get_string (said, "summary", "");
  gint64 characters = limits ? derush_json_get_int (limits, "characters", 0) : 0;
  g_autoptr (GPtrArray) hashtags = make_hashtags (facts);
  JsonArray *parts, *tags = json_array_new ();
  g_autofree char *text = NULL, *title = NULL;
  Writer writer = {
      .facts = facts,
      .type = derush_json_get_string (facts->parameters, "type", "POST"),
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
