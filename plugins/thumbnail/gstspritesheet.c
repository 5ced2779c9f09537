/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-spritesheet
 * @title: spritesheet
 * @short_description: storyboard pages of a film, with WebVTT
 *
 * Takes a film's frames and gives pages: one small picture (tile) per #GstSpritesheet:interval, in rows from left to
 * right, as players show them above the seek bar. A page is pushed when it is full; the last one, cropped to its used
 * rows, at the end of the stream, always before EOS. Pages have square pixels and no frame rate; the timestamp of a
 * page is that of its first tile.
 *
 * A tile shows the first frame at or after its place in the grid `start + k × interval` (stream time). Where the film
 * has no frame within an interval, as when only key frames are decoded, that place gets no tile, and the tile before
 * stands for the longer time.
 *
 * With #GstSpritesheet:vtt-location a WebVTT file is written at the end of the stream: one cue per tile, without gaps,
 * from the start of the film to its duration; each names its page by #GstSpritesheet:url-template and its place on the
 * page by a media fragment, `storyboard-000.jpg#xywh=160,90,160,90`.
 *
 * Films of high dynamic range (PQ, HLG) are brought to standard dynamic range.
 *
 * The frames of a film that is turned by a tag should go through `videoflip video-direction=auto` first.
 *
 * ## Message
 *
 * With #GstSpritesheet:post-messages an element message `spritesheet` tells of each tile as soon as the time is known
 * that it stands for, which is when the next tile is made or at the end of the stream:
 *
 * * #GstClockTime `timestamp`: timestamp of the frame
 * * #GstClockTime `stream-time`: where the tile's time begins in the film
 * * #GstClockTime `running-time`: running time of the frame
 * * #GstClockTime `duration`: how long a time the tile stands for
 * * #GstClockTime `interval`: #GstSpritesheet:interval, or what was chosen for it
 * * #guint `index`: number of the tile, from 0
 * * #guint `page`: number of the page, from #GstSpritesheet:first-page
 * * #guint `x`, `y`, `width`, `height`: place of the tile on the page, in pixels
 * * #gchararray `url`: the page by #GstSpritesheet:url-template, with the media fragment
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 -m videotestsrc num-buffers=250 ! spritesheet columns=5 ! jpegenc ! multifilesink location=storyboard-%03d.jpg
 * ]|
 * Ten seconds of a test picture become one page of ten tiles, one per second.
 */

#include "config.h"

#include "gstspritesheet.h"
#include "sheet.h"
#include "tilescaler.h"

#include <gst/video/video.h>

#include <errno.h>
#include <glib/gi18n-lib.h>
#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_spritesheet_debug);
#define GST_CAT_DEFAULT gst_spritesheet_debug

#define DEFAULT_COLUMNS 10
#define DEFAULT_ROWS 10
#define DEFAULT_TILE_WIDTH 160
#define DEFAULT_TILE_HEIGHT 0
#define DEFAULT_INTERVAL 0
#define DEFAULT_VTT_LOCATION NULL
#define DEFAULT_URL_TEMPLATE "storyboard-%03u.jpg"
#define DEFAULT_FIRST_PAGE 0
#define DEFAULT_POST_MESSAGES TRUE

/* RGB first: image encoders make the right full-range picture of it by themselves, while they take YUV as it comes. */
#define PAGE_FORMATS "{ RGB, RGBx, BGRx, xRGB, xBGR, BGR, RGBA, BGRA, ARGB, ABGR, I420, YV12, NV12, Y42B, Y444 }"

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE (
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_VIDEO_CAPS_MAKE (GST_VIDEO_FORMATS_ALL)));

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS,
                             GST_STATIC_CAPS ("video/x-raw, format = " PAGE_FORMATS ", width = " GST_VIDEO_SIZE_RANGE
                                              ", height = " GST_VIDEO_SIZE_RANGE ", framerate = " GST_VIDEO_FPS_RANGE));

enum {
  PROP_0,
  PROP_COLUMNS,
  PROP_ROWS,
  PROP_TILE_WIDTH,
  PROP_TILE_HEIGHT,
  PROP_INTERVAL,
  PROP_VTT_LOCATION,
  PROP_URL_TEMPLATE,
  PROP_FIRST_PAGE,
  PROP_POST_MESSAGES,
};

typedef struct {
  guint columns, rows;
  guint tile_width, tile_height;
  GstClockTime interval;
  char *vtt_location;
  char *url_template;
  guint first_page;
  gboolean post_messages;
} Settings;

/* Touched by the streaming thread, or while no data flows. */
typedef struct {
  GstSegment segment;
  GstVideoInfo source_info;
  GstVideoInfo page_info; /* of a full page */
  gboolean negotiated;
  SheetGeometry geometry;
  TileScaler *scaler;
  GstClockTime interval;

  GstBuffer *page;
  guint page_tiles; /* on the page so far */
  guint page_number;
  GstClockTime page_pts, page_end; /* timestamps of the frames */

  GstClockTime origin; /* stream time where the grid begins */
  gint64 slot;         /* of the last tile, or -1 */
  GstClockTime end;    /* stream time where the last frame ends */

  GArray *cues; /* SheetCue; the end of the last one is open */
  GstClockTime cue_timestamp, cue_running_time;
} State;

struct _GstSpritesheet {
  GstElement parent;
  GstPad *sinkpad, *srcpad;
  Settings settings; /* under the object lock */
  State state;
};

G_DEFINE_TYPE (GstSpritesheet, gst_spritesheet, GST_TYPE_ELEMENT)
GST_ELEMENT_REGISTER_DEFINE (spritesheet, "spritesheet", GST_RANK_NONE, GST_TYPE_SPRITESHEET)

static Settings
get_settings (GstSpritesheet *self)
{
  Settings settings;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  settings.vtt_location = g_strdup (self->settings.vtt_location);
  settings.url_template = g_strdup (self->settings.url_template);
  GST_OBJECT_UNLOCK (self);
  return settings;
}

static void
settings_clear (Settings *settings)
{
  g_clear_pointer (&settings->vtt_location, g_free);
  g_clear_pointer (&settings->url_template, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Settings, settings_clear)

/* Forgets the tiles; what was negotiated stays. */
static void
state_forget_tiles (GstSpritesheet *self)
{
  State *state = &self->state;

  gst_clear_buffer (&state->page);
  state->page_tiles = 0;
  state->page_number = 0;
  state->origin = GST_CLOCK_TIME_NONE;
  state->interval = 0;
  state->slot = -1;
  state->end = 0;
  g_array_set_size (state->cues, 0);
}

static void
state_reset (GstSpritesheet *self)
{
  State *state = &self->state;

  state_forget_tiles (self);
  g_clear_pointer (&state->scaler, tile_scaler_free);
  state->negotiated = FALSE;
  gst_segment_init (&state->segment, GST_FORMAT_UNDEFINED);
}

/* ── Pages ──────────────────────────────────────────────────────────────── */

/* Sizes, format and converter for frames as @info says; a page that is begun goes out first if it has other sizes. */
static GstFlowReturn push_page (GstSpritesheet *self);

static gboolean
choose_page_caps (GstSpritesheet *self, const SheetGeometry *geometry, GstVideoInfo *page_info)
{
  g_autoptr (GstCaps) caps = gst_pad_get_allowed_caps (self->srcpad);
  g_autoptr (GstCaps) template = NULL;
  const GValue *formats;
  GstStructure *structure;

  if (caps == NULL)
    caps = gst_pad_get_pad_template_caps (self->srcpad);
  if (gst_caps_is_empty (caps))
    return FALSE;
  /* Encoders list YUV first; the order of our own template counts. */
  template = gst_pad_get_pad_template_caps (self->srcpad);
  formats = gst_structure_get_value (gst_caps_get_structure (template, 0), "format");
  for (guint i = 0; i < gst_value_list_get_size (formats); i++) {
    g_autoptr (GstCaps) wanted = gst_caps_new_empty_simple ("video/x-raw");
    g_autoptr (GstCaps) possible = NULL;

    gst_caps_set_value (wanted, "format", gst_value_list_get_value (formats, i));
    possible = gst_caps_intersect (wanted, caps);
    if (!gst_caps_is_empty (possible)) {
      gst_caps_replace (&caps, possible);
      break;
    }
  }
  caps = gst_caps_make_writable (gst_caps_truncate (g_steal_pointer (&caps)));
  structure = gst_caps_get_structure (caps, 0);
  gst_structure_set (structure, "width", G_TYPE_INT, (gint)(geometry->columns * geometry->tile_width), "height",
                     G_TYPE_INT, (gint)(geometry->rows * geometry->tile_height), "pixel-aspect-ratio",
                     GST_TYPE_FRACTION, 1, 1, "interlace-mode", G_TYPE_STRING, "progressive", NULL);
  gst_structure_fixate_field_nearest_fraction (structure, "framerate", 0, 1);
  caps = gst_caps_fixate (g_steal_pointer (&caps));
  return gst_video_info_from_caps (page_info, caps);
}

/* Of the film, at least @least. A demuxer may count it from timestamp 0 although the film starts later. */
static GstClockTime
query_duration (GstSpritesheet *self, GstClockTime least)
{
  const GstSegment *segment = &self->state.segment;
  GstClockTime offset = 0;
  gint64 duration;

  if (!gst_pad_peer_query_duration (self->sinkpad, GST_FORMAT_TIME, &duration) || duration <= 0)
    return GST_CLOCK_TIME_NONE;
  if (segment->format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID (segment->time) && segment->start > segment->time)
    offset = segment->start - segment->time;
  if ((GstClockTime)duration > offset && (GstClockTime)duration - offset + GST_SECOND / 10 >= least)
    duration -= (gint64)offset;
  return (GstClockTime)duration;
}

static gboolean
negotiate (GstSpritesheet *self, const GstVideoInfo *info)
{
  State *state = &self->state;
  g_auto (Settings) settings = get_settings (self);
  SheetGeometry geometry;
  GstVideoInfo page_info, tile_info;
  g_autoptr (GstCaps) caps = NULL;

  if (!sheet_geometry_init (&geometry, (guint)info->width, (guint)info->height, (guint)info->par_n, (guint)info->par_d,
                            settings.columns, settings.rows, settings.tile_width, settings.tile_height)) {
    GST_ELEMENT_ERROR (self, LIBRARY, SETTINGS,
                       (_ ("A storyboard page would be larger than %u pixels. Choose fewer columns or smaller tiles."),
                        SHEET_MAX_SIDE),
                       ("columns=%u tile-width=%u tile-height=%u, frames of %dx%d, pixel aspect ratio %d/%d",
                        settings.columns, settings.tile_width, settings.tile_height, info->width, info->height,
                        info->par_n, info->par_d));
    return FALSE;
  }
  if (state->negotiated && state->page != NULL && memcmp (&geometry, &state->geometry, sizeof geometry) != 0 &&
      push_page (self) != GST_FLOW_OK)
    return FALSE;
  if (!choose_page_caps (self, &geometry, &page_info))
    return FALSE;
  caps = gst_video_info_to_caps (&page_info);
  if (!gst_pad_push_event (self->srcpad, gst_event_new_caps (caps))) {
    GST_ERROR_OBJECT (self, "downstream refuses %" GST_PTR_FORMAT, caps);
    return FALSE;
  }

  tile_info = page_info;
  tile_info.width = (gint)geometry.width;
  tile_info.height = (gint)geometry.height;
  g_clear_pointer (&state->scaler, tile_scaler_free);
  state->scaler = tile_scaler_new (info, &tile_info);
  if (state->scaler == NULL) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("Frames of this kind cannot be put on a storyboard page.")),
                       ("from %s %dx%d to %s %dx%d", info->finfo->name, info->width, info->height,
                        tile_info.finfo->name, tile_info.width, tile_info.height));
    return FALSE;
  }

  state->geometry = geometry;
  state->source_info = *info;
  state->page_info = page_info;
  state->negotiated = TRUE;
  GST_DEBUG_OBJECT (self, "%u x %u tiles of %ux%u", geometry.columns, geometry.rows, geometry.tile_width,
                    geometry.tile_height);
  return TRUE;
}

static GstBuffer *
new_page (GstSpritesheet *self)
{
  GstVideoInfo *info = &self->state.page_info;
  GstBuffer *page = gst_buffer_new_allocate (NULL, info->size, NULL);
  GstVideoFrame frame;

  if (page == NULL || !gst_video_frame_map (&frame, info, page, GST_MAP_WRITE)) {
    gst_clear_buffer (&page);
    GST_ELEMENT_ERROR (self, RESOURCE, NO_SPACE_LEFT, (_ ("There is not enough memory for a storyboard page.")),
                       ("%" G_GSIZE_FORMAT " bytes", info->size));
    return NULL;
  }
  page_paint_black (&frame);
  gst_video_frame_unmap (&frame);
  return page;
}

static GstFlowReturn
push_page (GstSpritesheet *self)
{
  State *state = &self->state;
  g_autoptr (GstBuffer) page = g_steal_pointer (&state->page);
  guint rows = (state->page_tiles + state->geometry.columns - 1) / state->geometry.columns;

  if (page == NULL)
    return GST_FLOW_OK;
  if (rows < state->geometry.rows) {
    GstVideoInfo info;
    g_autoptr (GstBuffer) cropped = page_crop (&state->page_info, page, rows * state->geometry.tile_height, &info);
    g_autoptr (GstCaps) caps = NULL;

    if (cropped == NULL) {
      GST_ELEMENT_ERROR (self, RESOURCE, NO_SPACE_LEFT, (_ ("There is not enough memory for a storyboard page.")),
                         (NULL));
      return GST_FLOW_ERROR;
    }
    caps = gst_video_info_to_caps (&info);
    if (!gst_pad_push_event (self->srcpad, gst_event_new_caps (caps)))
      return GST_PAD_IS_FLUSHING (self->srcpad) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
    gst_buffer_replace (&page, cropped);
  }
  GST_BUFFER_PTS (page) = state->page_pts;
  GST_BUFFER_DURATION (page) = state->page_end > state->page_pts ? state->page_end - state->page_pts : 0;
  if (state->page_number == 0)
    GST_BUFFER_FLAG_SET (page, GST_BUFFER_FLAG_DISCONT);
  state->page_tiles = 0;
  state->page_number++;
  return gst_pad_push (self->srcpad, g_steal_pointer (&page));
}

/* ── Tiles ──────────────────────────────────────────────────────────────── */

/* The time of the last tile ends at @end. */
static void
close_cue (GstSpritesheet *self, GstClockTime end)
{
  State *state = &self->state;
  g_auto (Settings) settings = get_settings (self);
  g_autofree char *page_url = NULL;
  g_autofree char *url = NULL;
  SheetCue *cue;

  if (state->cues->len == 0)
    return;
  cue = &g_array_index (state->cues, SheetCue, state->cues->len - 1);
  cue->end = MAX (end, cue->start);
  if (!settings.post_messages)
    return;
  page_url = sheet_expand_url (settings.url_template, cue->page);
  url = g_strdup_printf ("%s#xywh=%u,%u,%u,%u", page_url, cue->x, cue->y, cue->width, cue->height);
  gst_element_post_message (
      GST_ELEMENT (self),
      gst_message_new_element (
          GST_OBJECT (self),
          gst_structure_new (
              "spritesheet", "timestamp", GST_TYPE_CLOCK_TIME, state->cue_timestamp, "stream-time", GST_TYPE_CLOCK_TIME,
              cue->start, "running-time", GST_TYPE_CLOCK_TIME, state->cue_running_time, "duration", GST_TYPE_CLOCK_TIME,
              cue->end - cue->start, "interval", GST_TYPE_CLOCK_TIME, state->interval, "index", G_TYPE_UINT,
              state->cues->len - 1, "page", G_TYPE_UINT, cue->page, "x", G_TYPE_UINT, cue->x, "y", G_TYPE_UINT, cue->y,
              "width", G_TYPE_UINT, cue->width, "height", G_TYPE_UINT, cue->height, "url", G_TYPE_STRING, url, NULL)));
}

static GstFlowReturn
draw_tile (GstSpritesheet *self, GstBuffer *buffer, guint x, guint y)
{
  State *state = &self->state;
  GstVideoFrame page, tile;
  gboolean ok;

  if (state->page == NULL) {
    state->page = new_page (self);
    if (state->page == NULL)
      return GST_FLOW_ERROR;
  }
  if (!gst_video_frame_map (&page, &state->page_info, state->page, GST_MAP_READWRITE)) {
    GST_ELEMENT_ERROR (self, STREAM, FAILED, (NULL), ("a page could not be mapped"));
    return GST_FLOW_ERROR;
  }
  page_get_part (&page, x + state->geometry.x, y + state->geometry.y, state->geometry.width, state->geometry.height,
                 &tile);
  ok = tile_scaler_draw (state->scaler, buffer, &tile);
  gst_video_frame_unmap (&page);
  if (!ok) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("A frame of the film could not be read.")), (NULL));
    return GST_FLOW_ERROR;
  }
  return GST_FLOW_OK;
}

static GstFlowReturn
add_tile (GstSpritesheet *self, GstBuffer *buffer, gint64 slot, GstClockTime pts, GstClockTime pts_end)
{
  State *state = &self->state;
  const SheetGeometry *geometry = &state->geometry;
  /* Whatever time passes before the first frame is the first tile's. */
  GstClockTime start = state->cues->len == 0 ? state->origin : state->origin + (GstClockTime)slot * state->interval;
  SheetCue cue = {start, start, 0, 0, 0, geometry->tile_width, geometry->tile_height};
  GstFlowReturn ret;

  close_cue (self, start);
  GST_OBJECT_LOCK (self);
  cue.page = self->settings.first_page + state->page_number;
  GST_OBJECT_UNLOCK (self);
  cue.x = state->page_tiles % geometry->columns * geometry->tile_width;
  cue.y = state->page_tiles / geometry->columns * geometry->tile_height;
  ret = draw_tile (self, buffer, cue.x, cue.y);
  if (ret != GST_FLOW_OK)
    return ret;
  if (state->page_tiles == 0)
    state->page_pts = pts;
  state->page_end = pts_end;
  state->page_tiles++;
  state->slot = slot;
  g_array_append_val (state->cues, cue);
  state->cue_timestamp = pts;
  state->cue_running_time = gst_segment_to_running_time (&state->segment, GST_FORMAT_TIME, pts);
  return state->page_tiles == geometry->columns * geometry->rows ? push_page (self) : GST_FLOW_OK;
}

static void
choose_interval (GstSpritesheet *self)
{
  State *state = &self->state;

  GST_OBJECT_LOCK (self);
  state->interval = self->settings.interval;
  GST_OBJECT_UNLOCK (self);
  if (state->interval == 0)
    state->interval = sheet_choose_interval (query_duration (self, 0), state->geometry.columns * state->geometry.rows);
  GST_DEBUG_OBJECT (self, "a tile every %" GST_TIME_FORMAT, GST_TIME_ARGS (state->interval));
}

static GstFlowReturn
gst_spritesheet_chain (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  GstSpritesheet *self = GST_SPRITESHEET (parent);
  State *state = &self->state;
  g_autoptr (GstBuffer) owned = buffer;
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  GstClockTime duration = GST_BUFFER_DURATION (buffer);
  GstClockTime time, clipped_start, clipped_stop;
  gint64 slot;

  if (!state->negotiated)
    return GST_FLOW_NOT_NEGOTIATED;
  if (state->segment.format != GST_FORMAT_TIME) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT, (_ ("The film's frames carry no time.")), ("segment is not in time"));
    return GST_FLOW_ERROR;
  }
  if (!GST_CLOCK_TIME_IS_VALID (pts))
    pts = state->slot < 0 ? state->segment.start : state->page_end;
  if (!GST_CLOCK_TIME_IS_VALID (duration))
    duration = state->source_info.fps_n > 0 ? gst_util_uint64_scale (GST_SECOND, (guint64)state->source_info.fps_d,
                                                                     (guint64)state->source_info.fps_n)
                                            : 0;
  if (!gst_segment_clip (&state->segment, GST_FORMAT_TIME, pts, pts + duration, &clipped_start, &clipped_stop))
    return GST_FLOW_OK;
  time = gst_segment_to_stream_time (&state->segment, GST_FORMAT_TIME, clipped_start);
  if (!GST_CLOCK_TIME_IS_VALID (time))
    return GST_FLOW_OK;
  if (state->interval == 0)
    choose_interval (self);
  if (!GST_CLOCK_TIME_IS_VALID (state->origin)) {
    GstClockTime start = gst_segment_to_stream_time (&state->segment, GST_FORMAT_TIME, state->segment.start);

    state->origin = GST_CLOCK_TIME_IS_VALID (start) ? MIN (start, time) : time;
    /* An edit list can begin with a few milliseconds of nothing: they are a part of the film. */
    if (state->origin < state->interval)
      state->origin = 0;
  }
  state->end = MAX (state->end, time + (clipped_stop - clipped_start));
  if (time < state->origin)
    return GST_FLOW_OK;
  slot = (gint64)((time - state->origin) / state->interval);
  if (slot <= state->slot)
    return GST_FLOW_OK;
  return add_tile (self, buffer, slot, clipped_start, clipped_stop);
}

/* ── End of the stream ──────────────────────────────────────────────────── */

/* Stream time where the last tile's time ends. */
static GstClockTime
find_end (GstSpritesheet *self)
{
  State *state = &self->state;
  GstClockTime end = state->end, duration;

  if (GST_CLOCK_TIME_IS_VALID (state->segment.stop)) {
    GstClockTime stop = gst_segment_to_stream_time (&state->segment, GST_FORMAT_TIME, state->segment.stop);

    return GST_CLOCK_TIME_IS_VALID (stop) ? MAX (end, stop) : end;
  }
  duration = query_duration (self, end);
  return GST_CLOCK_TIME_IS_VALID (duration) ? MAX (end, duration) : end;
}

/* Under another name first, so that no reader ever finds half a file. */
static gboolean
write_vtt (GstSpritesheet *self)
{
  State *state = &self->state;
  g_auto (Settings) settings = get_settings (self);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  if (settings.vtt_location == NULL || state->cues->len == 0)
    return TRUE;
  text = sheet_format_vtt ((SheetCue *)(void *)state->cues->data, state->cues->len, settings.url_template);
  if (!g_file_set_contents_full (settings.vtt_location, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0666, &error)) {
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE,
                       (_ ("The storyboard's WebVTT file \"%s\" could not be written."), settings.vtt_location),
                       ("%s", error->message));
    return FALSE;
  }
  return TRUE;
}

static gboolean
finish (GstSpritesheet *self)
{
  GstFlowReturn ret;

  close_cue (self, find_end (self));
  ret = push_page (self);
  return (ret == GST_FLOW_OK || ret == GST_FLOW_EOS) && write_vtt (self);
}

static gboolean
gst_spritesheet_sink_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  GstSpritesheet *self = GST_SPRITESHEET (parent);
  State *state = &self->state;

  switch (GST_EVENT_TYPE (event)) {
  case GST_EVENT_CAPS: {
    GstCaps *caps;
    GstVideoInfo info;
    gboolean ok;

    gst_event_parse_caps (event, &caps);
    ok = gst_video_info_from_caps (&info, caps) && negotiate (self, &info);
    gst_event_unref (event);
    return ok;
  }
  case GST_EVENT_SEGMENT:
    gst_event_copy_segment (event, &state->segment);
    break;
  case GST_EVENT_GAP:
    /* There is nothing to say about time between pages. */
    gst_event_unref (event);
    return TRUE;
  case GST_EVENT_FLUSH_STOP:
    state_forget_tiles (self);
    gst_segment_init (&state->segment, GST_FORMAT_UNDEFINED);
    if (state->negotiated) {
      /* A cropped page may have changed what downstream expects. */
      gboolean ok = gst_pad_event_default (pad, parent, event);
      g_autoptr (GstCaps) caps = gst_video_info_to_caps (&state->page_info);

      gst_pad_push_event (self->srcpad, gst_event_new_caps (caps));
      return ok;
    }
    break;
  case GST_EVENT_EOS:
    finish (self);
    break;
  default:
    break;
  }
  return gst_pad_event_default (pad, parent, event);
}

static gboolean
gst_spritesheet_sink_query (GstPad *pad, GstObject *parent, GstQuery *query)
{
  if (GST_QUERY_TYPE (query) == GST_QUERY_ALLOCATION) {
    /* Frames are read where they are, whatever their layout. */
    gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
    return TRUE;
  }
  return gst_pad_query_default (pad, parent, query);
}

static GstStateChangeReturn
gst_spritesheet_change_state (GstElement *element, GstStateChange transition)
{
  GstStateChangeReturn ret = GST_ELEMENT_CLASS (gst_spritesheet_parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    state_reset (GST_SPRITESHEET (element));
  return ret;
}

/* ── Object ─────────────────────────────────────────────────────────────── */

static void
gst_spritesheet_set_property (GObject *object, guint property_id, const GValue *value, GParamSpec *pspec)
{
  GstSpritesheet *self = GST_SPRITESHEET (object);

  GST_OBJECT_LOCK (self);
  switch (property_id) {
  case PROP_COLUMNS:
    self->settings.columns = g_value_get_uint (value);
    break;
  case PROP_ROWS:
    self->settings.rows = g_value_get_uint (value);
    break;
  case PROP_TILE_WIDTH:
    self->settings.tile_width = g_value_get_uint (value);
    break;
  case PROP_TILE_HEIGHT:
    self->settings.tile_height = g_value_get_uint (value);
    break;
  case PROP_INTERVAL:
    self->settings.interval = g_value_get_uint64 (value);
    break;
  case PROP_VTT_LOCATION:
    g_free (self->settings.vtt_location);
    self->settings.vtt_location = g_value_dup_string (value);
    break;
  case PROP_URL_TEMPLATE:
    if (sheet_url_template_is_valid (g_value_get_string (value))) {
      g_free (self->settings.url_template);
      self->settings.url_template = g_value_dup_string (value);
    } else {
      g_warning ("spritesheet: \"%s\" is no url-template: it needs exactly one %%u or %%0Nu",
                 g_value_get_string (value));
    }
    break;
  case PROP_FIRST_PAGE:
    self->settings.first_page = g_value_get_uint (value);
    break;
  case PROP_POST_MESSAGES:
    self->settings.post_messages = g_value_get_boolean (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_spritesheet_get_property (GObject *object, guint property_id, GValue *value, GParamSpec *pspec)
{
  GstSpritesheet *self = GST_SPRITESHEET (object);

  GST_OBJECT_LOCK (self);
  switch (property_id) {
  case PROP_COLUMNS:
    g_value_set_uint (value, self->settings.columns);
    break;
  case PROP_ROWS:
    g_value_set_uint (value, self->settings.rows);
    break;
  case PROP_TILE_WIDTH:
    g_value_set_uint (value, self->settings.tile_width);
    break;
  case PROP_TILE_HEIGHT:
    g_value_set_uint (value, self->settings.tile_height);
    break;
  case PROP_INTERVAL:
    g_value_set_uint64 (value, self->settings.interval);
    break;
  case PROP_VTT_LOCATION:
    g_value_set_string (value, self->settings.vtt_location);
    break;
  case PROP_URL_TEMPLATE:
    g_value_set_string (value, self->settings.url_template);
    break;
  case PROP_FIRST_PAGE:
    g_value_set_uint (value, self->settings.first_page);
    break;
  case PROP_POST_MESSAGES:
    g_value_set_boolean (value, self->settings.post_messages);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, property_id, pspec);
    break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_spritesheet_finalize (GObject *object)
{
  GstSpritesheet *self = GST_SPRITESHEET (object);

  state_reset (self);
  g_array_unref (self->state.cues);
  settings_clear (&self->settings);
  G_OBJECT_CLASS (gst_spritesheet_parent_class)->finalize (object);
}

static void
gst_spritesheet_class_init (GstSpritesheetClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  const GParamFlags ready = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
  const GParamFlags playing = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  GST_DEBUG_CATEGORY_INIT (gst_spritesheet_debug, "spritesheet", 0, "storyboard pages");

  object_class->set_property = gst_spritesheet_set_property;
  object_class->get_property = gst_spritesheet_get_property;
  object_class->finalize = gst_spritesheet_finalize;

  /**
   * GstSpritesheet:columns:
   *
   * Tiles in a row, 1 to 1000. A row must not be wider than 16383 pixels.
   */
  g_object_class_install_property (
      object_class, PROP_COLUMNS,
      g_param_spec_uint ("columns", _ ("Columns"), _ ("Tiles in a row of a page"), 1, 1000, DEFAULT_COLUMNS, ready));
  /**
   * GstSpritesheet:rows:
   *
   * Rows of a full page, 1 to 1000. Fewer are used where a page would be higher than 16383 pixels.
   */
  g_object_class_install_property (
      object_class, PROP_ROWS,
      g_param_spec_uint ("rows", _ ("Rows"),
                         _ ("Rows of a full page; fewer where it would be higher than 16383 pixels"), 1, 1000,
                         DEFAULT_ROWS, ready));
  /**
   * GstSpritesheet:tile-width:
   *
   * Width of a tile in pixels, 2 to 16382; rounded to an even number.
   */
  g_object_class_install_property (object_class, PROP_TILE_WIDTH,
                                   g_param_spec_uint ("tile-width", _ ("Tile width"),
                                                      _ ("Width of a tile (pixels, even)"), 2, SHEET_MAX_SIDE - 1,
                                                      DEFAULT_TILE_WIDTH, ready));
  /**
   * GstSpritesheet:tile-height:
   *
   * Height of a tile in pixels, 2 to 16382; 0 follows the film's display aspect ratio. With a height of another aspect
   * ratio the picture is fitted into the tile, with black at the sides or above and below.
   */
  g_object_class_install_property (
      object_class, PROP_TILE_HEIGHT,
      g_param_spec_uint ("tile-height", _ ("Tile height"),
                         _ ("Height of a tile (pixels, even); 0 follows the film's display aspect ratio"), 0,
                         SHEET_MAX_SIDE - 1, DEFAULT_TILE_HEIGHT, ready));
  /**
   * GstSpritesheet:interval:
   *
   * Time from one tile to the next in nanoseconds. 0 chooses 1, 2, 5 or 10 s when the first frame comes: the shortest
   * that keeps a film of the duration known by then within three pages, and 5 s when no duration is known.
   */
  g_object_class_install_property (
      object_class, PROP_INTERVAL,
      g_param_spec_uint64 ("interval", _ ("Interval"),
                           _ ("Time from one tile to the next (nanoseconds); 0 chooses by the film's duration"), 0,
                           G_MAXINT64, DEFAULT_INTERVAL, ready));
  /**
   * GstSpritesheet:vtt-location:
   *
   * Path of the WebVTT file, written at the end of the stream under another name and then renamed; %NULL writes none.
   */
  g_object_class_install_property (object_class, PROP_VTT_LOCATION,
                                   g_param_spec_string ("vtt-location", _ ("WebVTT location"),
                                                        _ ("Path of the WebVTT file to write at the end of the stream"),
                                                        DEFAULT_VTT_LOCATION, playing));
  /**
   * GstSpritesheet:url-template:
   *
   * How the WebVTT file and the messages name a page: a URL with one `%u` or `%0Nu` for the page's number.
   */
  g_object_class_install_property (object_class, PROP_URL_TEMPLATE,
                                   g_param_spec_string ("url-template", _ ("URL template"),
                                                        _ ("URL of a page, with one %u or %0Nu for its number"),
                                                        DEFAULT_URL_TEMPLATE, playing));
  /**
   * GstSpritesheet:first-page:
   *
   * Number of the first page; the same as `index` of a multifilesink that writes the pages.
   */
  g_object_class_install_property (object_class, PROP_FIRST_PAGE,
                                   g_param_spec_uint ("first-page", _ ("First page"), _ ("Number of the first page"), 0,
                                                      G_MAXINT32, DEFAULT_FIRST_PAGE, ready));
  /**
   * GstSpritesheet:post-messages:
   *
   * Whether to post a message for each tile.
   */
  g_object_class_install_property (object_class, PROP_POST_MESSAGES,
                                   g_param_spec_boolean ("post-messages", _ ("Post messages"),
                                                         _ ("Post a `spritesheet` message for each tile"),
                                                         DEFAULT_POST_MESSAGES, playing));

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Storyboard pages", "Filter/Converter/Video",
                                         "Puts small pictures of a film on pages, with WebVTT", "Derush");
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_spritesheet_change_state);
}

static void
gst_spritesheet_init (GstSpritesheet *self)
{
  self->settings.columns = DEFAULT_COLUMNS;
  self->settings.rows = DEFAULT_ROWS;
  self->settings.tile_width = DEFAULT_TILE_WIDTH;
  self->settings.tile_height = DEFAULT_TILE_HEIGHT;
  self->settings.interval = DEFAULT_INTERVAL;
  self->settings.vtt_location = g_strdup (DEFAULT_VTT_LOCATION);
  self->settings.url_template = g_strdup (DEFAULT_URL_TEMPLATE);
  self->settings.first_page = DEFAULT_FIRST_PAGE;
  self->settings.post_messages = DEFAULT_POST_MESSAGES;
  self->state.cues = g_array_new (FALSE, FALSE, sizeof (SheetCue));
  state_reset (self);

  self->sinkpad = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_spritesheet_chain));
  gst_pad_set_event_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_spritesheet_sink_event));
  gst_pad_set_query_function (self->sinkpad, GST_DEBUG_FUNCPTR (gst_spritesheet_sink_query));
  gst_element_add_pad (GST_ELEMENT (self), self->sinkpad);
  self->srcpad = gst_pad_new_from_static_template (&src_template, "src");
  gst_element_add_pad (GST_ELEMENT (self), self->srcpad);
}
