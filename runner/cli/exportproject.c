/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/*
 * The formats that are whole projects: OpenTimelineIO (JSON, schemas Timeline.1, Stack.1, Track.1, Clip.1, Marker.2,
 * which every version of it reads) and the project files of GStreamer Editing Services (XML, format version 0.7).
 */

#include "cli/export-private.h"

#include <inttypes.h>
#include <math.h>

#define SECOND 1000000000.0

/* ── OpenTimelineIO ─────────────────────────────────────────────────────── */

static double
rate_of (const DerushExport *self)
{
  return self->rate_numerator > 0 ? (double)self->rate_numerator / self->rate_denominator : 25;
}

static JsonObject *
schema_new (const char *schema, const char *name)
{
  JsonObject *object = json_object_new ();

  json_object_set_string_member (object, "OTIO_SCHEMA", schema);
  if (name) {
    json_object_set_string_member (object, "name", name);
    json_object_set_object_member (object, "metadata", json_object_new ());
  }
  return object;
}

static JsonObject *
rational_time (const DerushExport *self, gint64 frames)
{
  JsonObject *time = schema_new ("RationalTime.1", NULL);

  json_object_set_double_member (time, "rate", rate_of (self));
  json_object_set_double_member (time, "value", frames);
  return time;
}

static JsonObject *
time_range (const DerushExport *self, gint64 first, gint64 end)
{
  JsonObject *range = schema_new ("TimeRange.1", NULL);

  json_object_set_object_member (range, "start_time", rational_time (self, first));
  json_object_set_object_member (range, "duration", rational_time (self, end - first));
  return range;
}

static JsonArray *
markers_within (const DerushExport *self, gint64 first, gint64 end)
{
  JsonArray *markers = json_array_new ();

  for (guint i = 0; i < self->markers->len; i++) {
    const DerushExportRange *marker = self->markers->pdata[i];
    gint64 at = derush_export_to_frame (self, marker->start);
    JsonObject *object;

    if (at < first || at >= end)
      continue;
    object = schema_new ("Marker.2", marker->name);
    json_object_set_string_member (object, "color", "GREEN");
    json_object_set_object_member (object, "marked_range", time_range (self, at, at));
    if (marker->comment)
      json_object_set_string_member (json_object_get_object_member (object, "metadata"), "comment", marker->comment);
    json_array_add_object_element (markers, object);
  }
  return markers;
}

static JsonObject *
otio_clip (const DerushExport *self, const DerushExportRange *range)
{
  gint64 first = derush_export_to_frame (self, range->start);
  gint64 end = MAX (first + 1, derush_export_to_frame (self, range->end));
  JsonObject *clip = schema_new ("Clip.1", range->name), *media = schema_new ("ExternalReference.1", "");

  json_object_set_string_member (media, "target_url", self->uri);
  json_object_set_object_member (media, "available_range",
                                 time_range (self, 0, derush_export_to_frame (self, self->duration)));
  json_object_set_object_member (clip, "media_reference", media);
  json_object_set_object_member (clip, "source_range", time_range (self, first, end));
  json_object_set_array_member (clip, "effects", json_array_new ());
  json_object_set_array_member (clip, "markers", markers_within (self, first, end));
  if (range->comment)
    json_object_set_string_member (json_object_get_object_member (clip, "metadata"), "comment", range->comment);
  return clip;
}

static JsonObject *
otio_track (const DerushExport *self, const char *kind)
{
  JsonObject *track = schema_new ("Track.1", kind);
  JsonArray *children = json_array_new ();

  for (guint i = 0; i < self->clips->len; i++)
    json_array_add_object_element (children, otio_clip (self, self->clips->pdata[i]));
  json_object_set_string_member (track, "kind", kind);
  json_object_set_null_member (track, "source_range");
  json_object_set_array_member (track, "effects", json_array_new ());
  json_object_set_array_member (track, "markers", json_array_new ());
  json_object_set_array_member (track, "children", children);
  return track;
}

char *
derush_export_to_otio (const DerushExport *self)
{
  g_autofree char *base = g_path_get_basename (self->path), *text = NULL;
  g_autoptr (JsonObject) timeline = schema_new ("Timeline.1", base);
  JsonObject *stack = schema_new ("Stack.1", "tracks");
  JsonArray *tracks = json_array_new ();

  if (self->width > 0)
    json_array_add_object_element (tracks, otio_track (self, "Video"));
  if (self->sample_rate > 0)
    json_array_add_object_element (tracks, otio_track (self, "Audio"));
  json_object_set_null_member (stack, "source_range");
  json_object_set_array_member (stack, "effects", json_array_new ());
  json_object_set_array_member (stack, "markers", json_array_new ());
  json_object_set_array_member (stack, "children", tracks);
  json_object_set_null_member (timeline, "global_start_time");
  json_object_set_object_member (timeline, "tracks", stack);
  text = derush_json_object_to_string (timeline);
  return g_strconcat (text, "\n", NULL);
}

/* ── GStreamer Editing Services ─────────────────────────────────────────── */

/* A string within a serialised GstStructure: quoted, everything but letters and figures of ASCII behind a backslash. */
static void
append_quoted (GString *text, const char *value)
{
  g_string_append_c (text, '"');
  for (const guchar *c = (const guchar *)value; *c; c++) {
    if (g_ascii_isalnum (*c))
      g_string_append_c (text, *c);
    else if (*c < 0x20 || *c >= 0x7f)
      g_string_append_printf (text, "\\%03o", *c);
    else
      g_string_append_printf (text, "\\%c", *c);
  }
  g_string_append_c (text, '"');
}

static gint64
to_nanoseconds (const DerushExport *self, gint64 frame)
{
  return llround (frame / rate_of (self) * SECOND);
}

/* (GESMarkerList)"…": positions in the timeline, one after the other. */
static char *
ges_markers (const DerushExport *self)
{
  g_autoptr (GString) list = g_string_new ("marker-list-flags, flags=(int)0");
  GString *member = g_string_new (NULL);
  gint64 timeline = 0;
  guint n = 0;

  for (guint i = 0; i < self->clips->len; i++) {
    const DerushExportRange *clip = self->clips->pdata[i];
    gint64 first = derush_export_to_frame (self, clip->start);
    gint64 end = MAX (first + 1, derush_export_to_frame (self, clip->end));

    for (guint k = 0; k < self->markers->len; k++) {
      const DerushExportRange *marker = self->markers->pdata[k];
      gint64 at = derush_export_to_frame (self, marker->start);

      if (at < first || at >= end)
        continue;
      g_string_append_printf (list, "; marker-times, position=(guint64)%" PRId64 "; metadatas, comment=(string)",
                              to_nanoseconds (self, timeline + at - first));
      append_quoted (list, marker->name);
      n++;
    }
    timeline += end - first;
  }
  if (n > 0) {
    g_string_append (member, ", markers=(GESMarkerList)");
    append_quoted (member, list->str);
  }
  return g_string_free (member, FALSE);
}

static void
append_track (GString *xml, const char *media, int type, int id, const char *restriction)
{
  g_autoptr (GString) properties =
      g_string_new ("properties, message-forward=(boolean)true, restriction-caps=(string)");
  g_autofree char *escaped = NULL;

  append_quoted (properties, restriction);
  g_string_append_c (properties, ';');
  escaped = g_markup_escape_text (properties->str, -1);
  g_string_append_printf (xml,
                          "      <track caps='%s/x-raw(ANY)' track-type='%d' track-id='%d' properties='%s' "
                          "metadatas='metadatas;'/>\n",
                          media, type, id, escaped);
}

static void
append_tracks (const DerushExport *self, GString *xml)
{
  int id = 0;

  if (self->sample_rate > 0) {
    g_autofree char *caps = g_strdup_printf (
        "audio/x-raw, format=(string)S32LE, channels=(int)%d, rate=(int)%d, layout=(string)interleaved",
        CLAMP (self->channels, 1, 2), self->sample_rate);

    append_track (xml, "audio", 2, id++, caps);
  }
  if (self->width > 0) {
    g_autofree char *caps =
        g_strdup_printf ("video/x-raw(ANY), framerate=(fraction)%d/%d, width=(int)%d, height=(int)%d",
                         self->rate_numerator > 0 ? self->rate_numerator : 25,
                         self->rate_numerator > 0 ? self->rate_denominator : 1, self->width, self->height);

    append_track (xml, "video", 4, id, caps);
  }
}

char *
derush_export_to_xges (const DerushExport *self)
{
  int types = (self->sample_rate > 0 ? 2 : 0) | (self->width > 0 ? 4 : 0);
  g_autofree char *uri = g_markup_escape_text (self->uri, -1), *markers = ges_markers (self);
  g_autofree char *escaped_markers = g_markup_escape_text (markers, -1);
  GString *xml = g_string_new (NULL);
  gint64 timeline = 0;

  g_string_append_printf (xml,
                          "<ges version='0.7'>\n"
                          "  <project properties='properties;' metadatas='metadatas, format-version=(string)0.7;'>\n"
                          "    <encoding-profiles>\n    </encoding-profiles>\n"
                          "    <ressources>\n"
                          "      <asset id='%s' extractable-type-name='GESUriClip' properties='properties, "
                          "supported-formats=(int)%d, duration=(guint64)%" PRId64 ";' metadatas='metadatas;'/>\n"
                          "    </ressources>\n"
                          "    <timeline properties='properties, auto-transition=(boolean)false;' "
                          "metadatas='metadatas%s;'>\n",
                          uri, types, (gint64)llround (self->duration * SECOND), escaped_markers);
  append_tracks (self, xml);
  g_string_append (xml, "      <layer priority='0' properties='properties, auto-transition=(boolean)false;' "
                        "metadatas='metadatas, volume=(float)1;'>\n");
  for (guint i = 0; i < self->clips->len; i++) {
    const DerushExportRange *clip = self->clips->pdata[i];
    gint64 first = derush_export_to_frame (self, clip->start);
    gint64 end = MAX (first + 1, derush_export_to_frame (self, clip->end));
    gint64 start = to_nanoseconds (self, timeline);
    g_autoptr (GString) metadatas = g_string_new ("metadatas");
    g_autofree char *escaped = NULL;

    /* Each begins where the one before ended, to the nanosecond: GES takes a gap for a gap. */
    timeline += end - first;
    g_string_append (metadatas, ", name=(string)");
    append_quoted (metadatas, clip->name);
    if (clip->comment) {
      g_string_append (metadatas, ", comment=(string)");
      append_quoted (metadatas, clip->comment);
    }
    g_string_append_c (metadatas, ';');
    escaped = g_markup_escape_text (metadatas->str, -1);
    g_string_append_printf (
        xml,
        "        <clip id='%u' asset-id='%s' type-name='GESUriClip' layer-priority='0' "
        "track-types='%d' start='%" PRId64 "' duration='%" PRId64 "' inpoint='%" PRId64 "' rate='0' "
        "properties='properties, name=(string)clip%u;' metadatas='%s'/>\n",
        i, uri, types, start, to_nanoseconds (self, timeline) - start, to_nanoseconds (self, first), i, escaped);
  }
  g_string_append (xml, "      </layer>\n"
                        "      <groups>\n      </groups>\n"
                        "    </timeline>\n"
                        "  </project>\n"
                        "</ges>\n");
  return g_string_free (xml, FALSE);
}
