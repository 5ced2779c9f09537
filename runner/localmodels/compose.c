/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

/* Title cards: words set by Pango over a picture that is given, or over colours that the prompt alone decides. */

#include "localmodels-private.h"
#include "text-private.h"

#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>
#include <pango/pangocairo.h>

#define MIN_SIZE 16
#define MAX_SIZE 4096
#define MAX_IMAGES 10
#define MAX_PROMPT 32000
#define MAX_TITLE 120
#define MAX_LINES 5
/* The bars above and below a film of another shape; compression leaves them not quite black. */
#define BLACK 24
/* A picture so much taller than wide is shown by apps that lay their buttons over its lower end. */
#define TALL 1.4
#define UNDER_BUTTONS 0.18
/* Of the room: letters that are smaller only because of one long word are made larger, and the word is broken. */
#define SMALL 0.055
#define LARGE 0.4
#define FONT "Sans Bold"

/* ── Chance that comes out the same each time ───────────────────────────── */

typedef struct {
  guint64 state;
} Dice;

static Dice
dice_new (const char *prompt, const char *style, gint64 seed, guint index)
{
  g_autofree char *all = g_strdup_printf ("%s\n%s\n%" G_GINT64_FORMAT "\n%u", prompt, style, seed, index);
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, all, -1);
  Dice dice = {0};

  digest[16] = '\0';
  dice.state = g_ascii_strtoull (digest, NULL, 16) | 1;
  return dice;
}

/* From 0 to 1; xorshift64*. */
static double throw (Dice * dice)
{
  dice->state ^= dice->state >> 12;
  dice->state ^= dice->state << 25;
  dice->state ^= dice->state >> 27;
  return (double)(dice->state * 0x2545f4914f6cdd1dULL >> 11) / (double)(1ULL << 53);
}

static void
hsv_to_rgb (double hue, double saturation, double value, double rgb[3])
{
  for (guint i = 0; i < 3; i++) {
    double k = fmod ((double[]){5, 3, 1}[i] + hue * 6, 6);

    rgb[i] = value - value * saturation * CLAMP (MIN (k, 4 - k), 0, 1);
  }
}

/* ── Backgrounds ────────────────────────────────────────────────────────── */

static void
paint_colours (cairo_t *cr, int width, int height, Dice *dice)
{
  double hue = throw (dice), spread = 0.08 + 0.2 * throw (dice), angle = 2 * G_PI * throw (dice), rgb[3];
  double radius = hypot (width, height) / 2, x = width / 2.0, y = height / 2.0;
  cairo_pattern_t *gradient = cairo_pattern_create_linear (x - radius * cos (angle), y - radius * sin (angle),
                                                           x + radius * cos (angle), y + radius * sin (angle));

  hsv_to_rgb (hue, 0.75, 0.32, rgb);
  cairo_pattern_add_color_stop_rgb (gradient, 0, rgb[0], rgb[1], rgb[2]);
  hsv_to_rgb (fmod (hue + spread, 1), 0.65, 0.62, rgb);
  cairo_pattern_add_color_stop_rgb (gradient, 1, rgb[0], rgb[1], rgb[2]);
  cairo_set_source (cr, gradient);
  cairo_paint (cr);
  cairo_pattern_destroy (gradient);
  for (guint i = 0; i < 6; i++) {
    double cx = width * throw (dice), cy = height * throw (dice), r = radius * (0.25 + 0.5 * throw (dice));
    cairo_pattern_t *spot = cairo_pattern_create_radial (cx, cy, 0, cx, cy, r);

    hsv_to_rgb (fmod (hue + spread * (2 * throw (dice) - 0.5) + 1, 1), 0.6, 0.85, rgb);
    cairo_pattern_add_color_stop_rgba (spot, 0, rgb[0], rgb[1], rgb[2], 0.35);
    cairo_pattern_add_color_stop_rgba (spot, 1, rgb[0], rgb[1], rgb[2], 0);
    cairo_set_source (cr, spot);
    cairo_paint (cr);
    cairo_pattern_destroy (spot);
  }
}

static const char *
sniff_picture (GBytes *picture)
{
  gsize length;
  const guint8 *data = g_bytes_get_data (picture, &length);

  if (length > 12 && memcmp (data, "\x89PNG\r\n\x1a\n", 8) == 0)
    return "png_pipe";
  if (length > 12 && data[0] == 0xff && data[1] == 0xd8)
    return "jpeg_pipe";
  if (length > 12 && memcmp (data, "RIFF", 4) == 0 && memcmp (data + 8, "WEBP", 4) == 0)
    return "webp_pipe";
  return NULL;
}

/* NULL: an error. Scaled to cover the size, and cropped; in Cairo's order of bytes. */
static GBytes *
read_picture (GBytes *picture, int width, int height, GCancellable *cancellable, GError **error)
{
  const char *format = sniff_picture (picture);
  g_autofree char *filter =
      g_strdup_printf ("scale=%d:%d:force_original_aspect_ratio=increase:flags=bicubic,crop=%d:%d,format=bgra", width,
                       height, width, height);
  const char *const arguments[] = {"ffmpeg", "-nostdin", "-v",        "error", "-f",  format ? format : "",
                                   "-i",     "pipe:0",   "-frames:v", "1",     "-vf", filter,
                                   "-f",     "rawvideo", "pipe:1",    NULL};
  g_autoptr (GBytes) pixels = NULL;
  g_autoptr (GError) local = NULL;

  if (!format) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_image", "image",
                     _ ("The picture must be PNG, JPEG or WebP"));
    return NULL;
  }
  if (!local_run (arguments, picture, &pixels, NULL, cancellable, &local)) {
    if (derush_error_get_class (local) == DERUSH_ERROR_MODEL)
      local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_image", "image",
                       _ ("The picture could not be decoded: %s"), local->message);
    else
      g_propagate_error (error, g_steal_pointer (&local));
    return NULL;
  }
  if (g_bytes_get_size (pixels) != (gsize)width * height * 4) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_image", "image",
                     _ ("The picture could not be decoded: %s"), "–");
    return NULL;
  }
  return g_steal_pointer (&pixels);
}

/* Whether a row (@step 4 bytes) or a column (a row's) is as black as the bars of a film of another shape. */
static gboolean
is_bar (const guint8 *line, int n, gsize step)
{
  for (int i = 0; i < n; i++)
    for (guint c = 0; c < 3; c++)
      if (line[(gsize)i * step + c] > BLACK)
        return FALSE;
  return TRUE;
}

/* How much of the picture, on each side alike, is bars; 0 where a part of the picture may as well be dark. */
static int
measure_bars (const guint8 *pixels, int width, int height, gboolean above)
{
  gsize row = (gsize)width * 4;
  int lines = above ? height : width, across = above ? width : height, first = 0, last = 0;
  gsize line = above ? row : 4, step = above ? 4 : row;

  while (first < lines / 4 && is_bar (pixels + (gsize)first * line, across, step))
    first++;
  while (last < lines / 4 && is_bar (pixels + (gsize)(lines - 1 - last) * line, across, step))
    last++;
  if (first == 0 || last == 0 || first >= lines / 4 || last >= lines / 4 || ABS (first - last) > 2 + lines / 50)
    return 0;
  /* The line beside a bar is half of it. */
  return MAX (first, last) + 1;
}

static void
paint_pixels (cairo_t *cr, GBytes *pixels, int width, int height)
{
  cairo_surface_t *picture = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  int stride = cairo_image_surface_get_stride (picture);
  guint8 *to = cairo_image_surface_get_data (picture);
  const guint8 *from = g_bytes_get_data (pixels, NULL);
  int above = measure_bars (from, width, height, TRUE), beside = measure_bars (from, width, height, FALSE);
  double scale = MAX ((double)width / (width - 2 * beside), (double)height / (height - 2 * above));

  cairo_surface_flush (picture);
  for (int y = 0; y < height; y++)
    memcpy (to + (gsize)y * stride, from + (gsize)y * width * 4, (gsize)width * 4);
  cairo_surface_mark_dirty (picture);
  cairo_save (cr);
  cairo_translate (cr, width / 2.0, height / 2.0);
  cairo_scale (cr, scale, scale);
  cairo_set_source_surface (cr, picture, -width / 2.0, -height / 2.0);
  cairo_pattern_set_filter (cairo_get_source (cr), CAIRO_FILTER_GOOD);
  cairo_paint (cr);
  cairo_restore (cr);
  cairo_surface_destroy (picture);
}

/* ── The title ──────────────────────────────────────────────────────────── */

/* What the prompt has in quotes, else what it is about. */
static char *
find_title (JsonObject *request, const char *prompt)
{
  const char *title = derush_json_get_string (request, "title", "");
  g_autoptr (GRegex) quotes = g_regex_new ("[\"“«]\\s*([^\"“”«»]{2,120}?)\\s*[\"”»]", 0, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree char *topic = NULL, *polished = NULL;

  if (*title)
    return local_text_shorten (title, MAX_TITLE);
  if (g_regex_match (quotes, prompt, 0, &match))
    return g_match_info_fetch (match, 1);
  topic = local_find_topic (prompt);
  polished = local_text_polish (topic);
  if (g_str_has_suffix (polished, "."))
    polished[strlen (polished) - 1] = '\0';
  return local_text_shorten (polished, MAX_TITLE);
}

/* @title without what no font of this machine can draw, such as boxes with numbers would stand for. */
static char *
keep_drawable (const char *title)
{
  PangoContext *context = pango_font_map_create_context (pango_cairo_font_map_get_default ());
  PangoFontDescription *description = pango_font_description_from_string (FONT);
  PangoFontset *fonts = pango_font_map_load_fontset (pango_cairo_font_map_get_default (), context, description,
                                                     pango_language_get_default ());
  g_autoptr (GRegex) blanks = g_regex_new ("\\s+", 0, 0, NULL);
  g_autoptr (GString) kept = g_string_new (NULL);
  gboolean drawn = TRUE;

  for (const char *at = title; *at; at = g_utf8_next_char (at)) {
    gunichar letter = g_utf8_get_char (at);
    PangoFont *font;

    /* What changes the letter before goes with it. */
    if (g_unichar_iszerowidth (letter) || g_unichar_ismark (letter) || (letter >= 0x1f3fb && letter <= 0x1f3ff)) {
      if (drawn)
        g_string_append_unichar (kept, letter);
      continue;
    }
    font = g_unichar_isspace (letter) ? NULL : pango_fontset_get_font (fonts, letter);
    drawn = !font || pango_font_has_char (font, letter);
    if (drawn)
      g_string_append_unichar (kept, letter);
    g_clear_object (&font);
  }
  g_object_unref (fonts);
  pango_font_description_free (description);
  g_object_unref (context);
  return g_strstrip (g_regex_replace_literal (blanks, kept->str, -1, 0, " ", 0, NULL));
}

/* Whether more than blanks is missing. */
static gboolean
lacks_letters (const char *asked, const char *title)
{
  gsize n[2] = {0};

  for (guint i = 0; i < 2; i++)
    for (const char *at = i == 0 ? asked : title; *at; at = g_utf8_next_char (at))
      n[i] += !g_unichar_isspace (g_utf8_get_char (at));
  return n[0] != n[1];
}

/* The largest size at which the words fit. */
static int
fit_size (PangoLayout *layout, PangoFontDescription *font, int width, int height)
{
  int low = 6, high = MAX ((int)(height * LARGE), 8);

  while (low + 1 < high) {
    int middle = (low + high) / 2, w, h;

    pango_font_description_set_absolute_size (font, middle * PANGO_SCALE);
    pango_layout_set_font_description (layout, font);
    pango_layout_get_pixel_size (layout, &w, &h);
    if (h <= height && w <= width && pango_layout_get_line_count (layout) <= MAX_LINES)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static PangoLayout *
lay_out (cairo_t *cr, const char *title, int width, int height, PangoAlignment alignment)
{
  PangoLayout *layout = pango_cairo_create_layout (cr);
  PangoFontDescription *font = pango_font_description_from_string (FONT);
  int size;

  pango_layout_set_text (layout, title, -1);
  pango_layout_set_width (layout, width * PANGO_SCALE);
  pango_layout_set_wrap (layout, PANGO_WRAP_WORD);
  pango_layout_set_alignment (layout, alignment);
  size = fit_size (layout, font, width, height);
  if (size < SMALL * MIN (2 * height, 2 * width)) {
    int broken;

    pango_layout_set_wrap (layout, PANGO_WRAP_WORD_CHAR);
    broken = fit_size (layout, font, width, height);
    /* Not larger than needed: the smallest break of the word that can be read well. */
    size = MAX (size, MIN (broken, (int)(2 * SMALL * MIN (2 * height, 2 * width))));
  }
  pango_font_description_set_absolute_size (font, size * PANGO_SCALE);
  pango_layout_set_font_description (layout, font);
  pango_font_description_free (font);
  return layout;
}

/* Under the words, so that they can be read over anything. */
static void
darken (cairo_t *cr, int width, int height, double top, double bottom, gboolean over_picture)
{
  cairo_pattern_t *shade = cairo_pattern_create_linear (0, top - 0.25 * height, 0, bottom + 0.25 * height);
  double strength = over_picture ? 0.65 : 0.25;

  cairo_pattern_add_color_stop_rgba (shade, 0, 0, 0, 0, 0);
  cairo_pattern_add_color_stop_rgba (shade, 0.35, 0, 0, 0, strength);
  cairo_pattern_add_color_stop_rgba (shade, 0.65, 0, 0, 0, strength);
  cairo_pattern_add_color_stop_rgba (shade, 1, 0, 0, 0, bottom > 0.8 * height ? strength : 0);
  cairo_set_source (cr, shade);
  cairo_paint (cr);
  cairo_pattern_destroy (shade);
}

static void
draw_title (cairo_t *cr, const char *title, int width, int height, gboolean over_picture, guint index, Dice *dice)
{
  int margin = MAX (MIN (width, height) / 14, 1), w, h;
  /* Over a picture below, where faces are not; over colours in the middle; other images of the same request elsewhere. */
  guint place = over_picture ? index % 2 : (index + 1) % 3;
  PangoAlignment alignment = place == 1 ? PANGO_ALIGN_CENTER : PANGO_ALIGN_LEFT;
  int room = (int)(height * (over_picture ? 0.36 : 0.55));
  int below = height > TALL * width ? (int)(UNDER_BUTTONS * height) : margin;
  gboolean leftwards;
  PangoLayout *layout = lay_out (cr, title, MAX (width - 2 * margin, 1), MAX (room, 1), alignment);
  double y, offset = MAX (MIN (width, height) / 300.0, 0.5), rgb[3];

  leftwards =
      pango_layout_line_get_resolved_direction (pango_layout_get_line_readonly (layout, 0)) == PANGO_DIRECTION_RTL;
  pango_layout_get_pixel_size (layout, &w, &h);
  y = !over_picture && place == 1 ? (height - h) / 2.0 : !over_picture && place == 2 ? margin : height - h - below;
  darken (cr, width, height, y, y + h, over_picture);
  cairo_set_source_rgba (cr, 0, 0, 0, 0.6);
  cairo_move_to (cr, margin + offset, y + offset);
  pango_cairo_show_layout (cr, layout);
  cairo_set_source_rgb (cr, 1, 1, 1);
  cairo_move_to (cr, margin, y);
  pango_cairo_show_layout (cr, layout);
  /* A stroke of colour beside the words ties them to the picture. */
  hsv_to_rgb (throw (dice), 0.7, 0.95, rgb);
  cairo_set_source_rgb (cr, rgb[0], rgb[1], rgb[2]);
  if (alignment == PANGO_ALIGN_LEFT)
    cairo_rectangle (cr, leftwards ? width - margin * 0.59 : margin * 0.45, y, MAX (margin * 0.14, 1), h);
  else
    cairo_rectangle (cr, width * 0.42, y + h + margin * 0.2, width * 0.16, MAX (margin * 0.1, 1));
  cairo_fill (cr);
  g_object_unref (layout);
}

/* ── The file ───────────────────────────────────────────────────────────── */

static cairo_status_t
append_bytes (void *closure, const unsigned char *data, unsigned int length)
{
  g_byte_array_append (closure, data, length);
  return CAIRO_STATUS_SUCCESS;
}

static GBytes *
encode_picture (cairo_surface_t *surface, const char *format, GCancellable *cancellable, GError **error)
{
  GByteArray *array = g_byte_array_new ();
  g_autoptr (GBytes) png = NULL;
  const char *const jpeg[] = {"ffmpeg", "-nostdin", "-v",       "error", "-f", "png_pipe", "-i",    "pipe:0", "-c:v",
                              "mjpeg",  "-pix_fmt", "yuvj444p", "-q:v",  "2",  "-f",       "mjpeg", "pipe:1", NULL};
  const char *const webp[] = {"ffmpeg", "-nostdin", "-v",       "error", "-f", "png_pipe", "-i",     "pipe:0",
                              "-c:v",   "libwebp",  "-quality", "90",    "-f", "webp",     "pipe:1", NULL};
  GBytes *output = NULL;

  cairo_surface_write_to_png_stream (surface, append_bytes, array);
  png = g_byte_array_free_to_bytes (array);
  if (strcmp (format, "png") == 0)
    return g_steal_pointer (&png);
  return local_run (strcmp (format, "webp") == 0 ? webp : jpeg, png, &output, NULL, cancellable, error) ? output : NULL;
}

static gboolean
parse_size (const char *size, int *width, int *height)
{
  g_auto (GStrv) parts = g_strsplit (size, "x", 2);
  gint64 w, h;

  if (strcmp (size, "auto") == 0) {
    *width = 1024;
    *height = 1024;
    return TRUE;
  }
  if (g_strv_length (parts) != 2 || !g_ascii_string_to_signed (parts[0], 10, MIN_SIZE, MAX_SIZE, &w, NULL) ||
      !g_ascii_string_to_signed (parts[1], 10, MIN_SIZE, MAX_SIZE, &h, NULL))
    return FALSE;
  *width = (int)w;
  *height = (int)h;
  return TRUE;
}

/* Forms have numbers as text. */
static gint64
read_number (JsonObject *request, const char *name, gint64 fallback)
{
  JsonNode *node = json_object_get_member (request, name);
  gint64 number = fallback;

  if (!node || !JSON_NODE_HOLDS_VALUE (node))
    return fallback;
  if (json_node_get_value_type (node) == G_TYPE_STRING)
    return g_ascii_string_to_signed (json_node_get_string (node), 10, 0, G_MAXINT64, &number, NULL) ? number : -1;
  return derush_json_get_int (request, name, fallback);
}

/* The picture of the request; NULL without an error: none. */
static GBytes *
find_background (JsonObject *request, GBytes *input, GError **error)
{
  const char *text = derush_json_get_string (request, "background_image", "");
  gsize length = 0;
  guchar *data;

  if (input)
    return g_bytes_ref (input);
  if (!*text)
    return NULL;
  if (g_str_has_prefix (text, "data:") && strchr (text, ','))
    text = strchr (text, ',') + 1;
  data = g_base64_decode (text, &length);
  if (length == 0) {
    g_free (data);
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_image", "background_image",
                     _ ("“background_image” is no picture in base64"));
    return NULL;
  }
  return g_bytes_new_take (data, length);
}

static char *
compose_one (JsonObject *request, const char *prompt, const char *title, GBytes *pixels, int width, int height,
             guint index, const char *format, GCancellable *cancellable, GError **error)
{
  Dice dice = dice_new (prompt, derush_json_get_string (request, "style", ""), read_number (request, "seed", 0), index);
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24, width, height);
  cairo_t *cr = cairo_create (surface);
  g_autoptr (GBytes) file = NULL;

  if (pixels)
    paint_pixels (cr, pixels, width, height);
  else
    paint_colours (cr, width, height, &dice);
  if (*title)
    draw_title (cr, title, width, height, pixels != NULL, index, &dice);
  cairo_destroy (cr);
  file = encode_picture (surface, format, cancellable, error);
  cairo_surface_destroy (surface);
  return file ? g_base64_encode (g_bytes_get_data (file, NULL), g_bytes_get_size (file)) : NULL;
}

/**
 * derush_local_compose:
 * @request: of /v1/images/generations: `prompt`, `n`, `size`, `output_format` (png, jpeg, webp), and `title`, `style`, `seed`,
 *     `background_image` (base64) besides
 * @input: (nullable): a picture to draw over
 *
 * Returns: (nullable): `data[{b64_json,revised_prompt}]`; `revised_prompt` says what was drawn
 */
JsonObject *
derush_local_compose (JsonObject *request, GBytes *input, GBytes **output, GCancellable *cancellable, GError **error)
{
  const char *prompt = derush_json_get_string (request, "prompt", "");
  const char *format = derush_json_get_string (request, "output_format", "png");
  const char *size = derush_json_get_string (request, "size", "1024x1024");
  gint64 n = read_number (request, "n", 1);
  g_autofree char *asked = NULL, *title = NULL, *said = NULL;
  g_autoptr (GBytes) background = NULL, pixels = NULL;
  g_autoptr (GError) local = NULL;
  g_autoptr (JsonArray) data = json_array_new ();
  JsonObject *result;
  int width, height;

  if (strcmp (format, "jpg") == 0)
    format = "jpeg";
  if (!*prompt && !*derush_json_get_string (request, "title", "")) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "missing_required_parameter", "prompt", _ ("“prompt” is missing"));
  } else if (g_utf8_strlen (prompt, -1) > MAX_PROMPT) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "string_above_max_length", "prompt",
                     _ ("“prompt” is longer than %d characters"), MAX_PROMPT);
  } else if (n < 1 || n > MAX_IMAGES) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_value", "n", _ ("“n” must be from 1 to %d"), MAX_IMAGES);
  } else if (!parse_size (size, &width, &height)) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "invalid_value", "size",
                     _ ("“size” must be auto, or width and height from %d to %d such as 1280x720"), MIN_SIZE, MAX_SIZE);
  } else if (strcmp (format, "png") != 0 && strcmp (format, "jpeg") != 0 && strcmp (format, "webp") != 0) {
    local_set_error (error, DERUSH_ERROR_BAD_INPUT, "unsupported_value", "output_format",
                     _ ("“output_format” may be png, jpeg or webp"));
  } else {
    background = find_background (request, input, &local);
    if (background)
      pixels = read_picture (background, width, height, cancellable, &local);
    if (!local) {
      asked = find_title (request, prompt);
      title = keep_drawable (asked);
      said = !*title ? g_strdup (pixels ? _ ("The picture that was given, without a title; nothing was generated")
                                        : _ ("A gradient, without a title; nothing was generated"))
                     : g_strdup_printf (
                           pixels ? _ ("A title card: “%s” over the picture that was given; nothing was generated")
                                  : _ ("A title card: “%s” over a gradient; nothing was generated"),
                           title);
      for (guint i = 0; i < n; i++) {
        g_autofree char *base64 =
            compose_one (request, prompt, title, pixels, width, height, i, format, cancellable, error);
        JsonObject *image;

        if (!base64)
          return NULL;
        image = json_object_new ();
        json_object_set_string_member (image, "b64_json", base64);
        json_object_set_string_member (image, "revised_prompt", said);
        json_array_add_object_element (data, image);
      }
      result = json_object_new ();
      json_object_set_array_member (result, "data", g_steal_pointer (&data));
      json_object_set_string_member (result, "output_format", format);
      json_object_set_string_member (result, "model", "local-composer");
      json_object_set_string_member (result, "kind", "composited");
      if (lacks_letters (asked, title)) {
        g_autofree char *warning = g_strdup_printf (
            _ ("The fonts of this machine cannot draw all of the title “%s”; install some that can, such as fonts-noto-cjk "
               "or fonts-noto-color-emoji"),
            asked);

        json_object_set_string_member (result, "warning", warning);
      }
      return result;
    }
    g_propagate_error (error, g_steal_pointer (&local));
  }
  return NULL;
}
