/* SPDX-License-Identifier: LGPL-2.1-or-later */

/**
 * SECTION:element-voiceovermix
 * @title: voiceovermix
 * @short_description: mixes voices over a program that makes room for them
 *
 * Adds up what comes in on the pads `program_%u` (the sound of a film, music) and `voice_%u` (commentary, a dubbed voice).
 * While a voice speaks, the programs are lowered by #GstVoiceoverMix:duck-gain; the voices keep their volume. As the
 * voices are heard #GstVoiceoverMix:look-ahead before the programs are played, the programs are down when the first
 * syllable begins. They stay down for #GstVoiceoverMix:hold after the last sound, so that stops and short pauses do not
 * pump, and come back within #GstVoiceoverMix:release. Without a voice a program leaves as it came, sample for sample.
 *
 * A voice speaks while the root mean square over 10 ms of its loudest channel, without what is below 80 Hz, reaches
 * #GstVoiceoverMix:threshold. Gaps, muted pads and late or ended voices are silence.
 *
 * Timestamps are not delayed: what comes in at a running time leaves with it, and nothing is lost at the end. In a live
 * pipeline the look-ahead adds to the latency. The output begins with the earliest input; with
 * `start-time-selection=zero` it begins with silence at running time 0. It ends with the last program
 * (#GstVoiceoverMix:eos-on). A voice is placed by the `offset` of its pad, in nanoseconds.
 *
 * Formats and channels of the pads may differ: they are converted to those of the output, which by default are those of
 * the first program. Sample rates must be equal, so `audioconvert ! audioresample` belongs before every pad whose rate
 * is not known. Samples of `F32` may exceed ±1 after mixing, those of `S16` are limited to their range.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 voiceovermix name=mix ! audioconvert ! wavenc ! filesink location=mixed.wav filesrc location=video.mp4 ! decodebin3 ! audioconvert ! audioresample ! audio/x-raw,rate=48000 ! mix.program_0 audiotestsrc wave=ticks num-buffers=200 ! audio/x-raw,rate=48000 ! mix.voice_0
 * ]|
 * ## The voice three seconds later and a little louder
 * |[
 * gst-launch-1.0 voiceovermix name=mix duck-gain=-18 voice_0::offset=3000000000 voice_0::volume=1.2 ! audioconvert ! wavenc ! filesink location=mixed.wav audiotestsrc wave=pink-noise num-buffers=500 ! mix.program_0 audiotestsrc num-buffers=100 ! mix.voice_0
 * ]|
 * ## A voice over a clip of GStreamer Editing Services
 * ```
 * ges-launch-1.0 +clip film.mp4 +effect "audio audioconvert ! audioresample ! audio/x-raw,rate=48000 ! mix.program_0 voiceovermix name=mix filesrc location=voice.wav ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=48000 ! mix.voice_0"
 * ```
 * An effect has one input, and a mixer with two kinds of pads does not say which: name both, as here, with elements that
 * are linked from the beginning (not `decodebin`, which leaves what follows it as a second input). With the bare name of
 * an element that has more than one template for requested inputs GES 1.22 does not come back, so this one is no
 * `Effect` by class, and editors that offer effects by their class leave it out.
 */

#include "config.h"

#include "ducker.h"
#include "gstvoiceovermix.h"
#include "gstvoiceovermixpad.h"
#include "mixpads.h"
#include "sound.h"

#include <glib/gi18n-lib.h>
#include <math.h>
#include <string.h>

GST_DEBUG_CATEGORY_STATIC (gst_voiceover_mix_debug);
#define GST_CAT_DEFAULT gst_voiceover_mix_debug

#define DEFAULT_THRESHOLD (-40.0)
#define DEFAULT_DUCK_GAIN (-14.0)
#define DEFAULT_ATTACK 30
#define DEFAULT_HOLD 250
#define DEFAULT_RELEASE 450
#define DEFAULT_LOOK_AHEAD 50
#define DEFAULT_EOS_ON GST_VOICEOVER_MIX_EOS_ON_PROGRAM

typedef enum {
  GST_VOICEOVER_MIX_EOS_ON_PROGRAM,
  GST_VOICEOVER_MIX_EOS_ON_ALL,
} GstVoiceoverMixEosOn;

typedef struct {
  DuckerOptions ducking;
  guint look_ahead; /* in milliseconds */
  GstVoiceoverMixEosOn eos_on;
} Settings;

typedef struct {
  GstAudioInfo info;
  Ducker *ducker;
  gboolean started;
  Sound block;          /* what the base class is mixing */
  gboolean has_voice;   /* in the block */
  guint program_frames; /* of the block that programs have filled */
  guint64 program_end;  /* as a frame of the output, as the following */
  Sound line;           /* what waits until the voice after it is known */
  guint64 line_start;
} State;

struct _GstVoiceoverMix {
  GstAudioAggregator parent;

  Settings settings; /* object lock */
  State state;       /* streaming thread */
};

enum {
  PROP_0,
  PROP_THRESHOLD,
  PROP_DUCK_GAIN,
  PROP_ATTACK,
  PROP_HOLD,
  PROP_RELEASE,
  PROP_LOOK_AHEAD,
  PROP_EOS_ON,
};

#define INPUT_CAPS GST_AUDIO_CAPS_MAKE (GST_AUDIO_FORMATS_ALL) ",layout=(string)interleaved"
#define OUTPUT_CAPS                                                                                                    \
  GST_AUDIO_CAPS_MAKE ("{ " GST_AUDIO_NE (F32) ", " GST_AUDIO_NE (S16) " }") ",layout=(string)interleaved"

static GstStaticPadTemplate program_template =
    GST_STATIC_PAD_TEMPLATE ("program_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS (INPUT_CAPS));
static GstStaticPadTemplate voice_template =
    GST_STATIC_PAD_TEMPLATE ("voice_%u", GST_PAD_SINK, GST_PAD_REQUEST, GST_STATIC_CAPS (INPUT_CAPS));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE ("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (OUTPUT_CAPS));

static void gst_voiceover_mix_child_proxy_init (gpointer iface, gpointer data);

G_DEFINE_TYPE_WITH_CODE (GstVoiceoverMix, gst_voiceover_mix, GST_TYPE_AUDIO_AGGREGATOR,
                         G_IMPLEMENT_INTERFACE (GST_TYPE_CHILD_PROXY, gst_voiceover_mix_child_proxy_init))
GST_ELEMENT_REGISTER_DEFINE (voiceovermix, "voiceovermix", GST_RANK_NONE, GST_TYPE_VOICEOVER_MIX)

#define GST_TYPE_VOICEOVER_MIX_EOS_ON (gst_voiceover_mix_eos_on_get_type ())
static GType
gst_voiceover_mix_eos_on_get_type (void)
{
  static gsize type;
  static const GEnumValue values[] = {
      {GST_VOICEOVER_MIX_EOS_ON_PROGRAM, N_ ("When all programs have ended; with no program, as all"), "program"},
      {GST_VOICEOVER_MIX_EOS_ON_ALL, N_ ("When all programs and voices have ended"), "all"},
      {0, NULL, NULL},
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstVoiceoverMixEosOn", values));
  return type;
}

static Settings
get_settings (GstVoiceoverMix *self)
{
  Settings settings;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  GST_OBJECT_UNLOCK (self);
  return settings;
}

/* ── Output ─────────────────────────────────────────────────────────────── */

static GstClockTime
time_of_frame (GstVoiceoverMix *self, guint64 frame)
{
  GstClockTime start;

  GST_OBJECT_LOCK (self);
  start = GST_AGGREGATOR_PAD (GST_AGGREGATOR_SRC_PAD (self))->segment.start;
  GST_OBJECT_UNLOCK (self);
  return start + gst_util_uint64_scale (frame, GST_SECOND, GST_AUDIO_INFO_RATE (&self->state.info));
}

static void
mix_line (GstVoiceoverMix *self, gpointer out, guint frames)
{
  const State *state = &self->state;
  const float *program = state->line.program, *voice = state->line.voice;
  guint channels = GST_AUDIO_INFO_CHANNELS (&state->info);
  g_autofree float *gains = g_new (float, frames);
  Settings settings = get_settings (self);

  ducker_gains (state->ducker, &settings.ducking, gains, frames);
  for (guint i = 0; i < frames; i++) {
    for (guint c = 0; c < channels; c++) {
      guint k = i * channels + c;
      float sample = program[k] * gains[i] + voice[k];

      if (GST_AUDIO_INFO_FORMAT (&state->info) == GST_AUDIO_FORMAT_S16)
        ((gint16 *)out)[k] = (gint16)lrintf (CLAMP (sample * 32768, -32768.0f, 32767.0f));
      else
        ((float *)out)[k] = sample;
    }
  }
}

/* Pushes the first @frames of the line in @buffer, or in a new one if it does not fit. */
static GstFlowReturn
push_line (GstVoiceoverMix *self, GstBuffer *buffer, guint frames)
{
  State *state = &self->state;
  gsize size = (gsize)frames * GST_AUDIO_INFO_BPF (&state->info);
  GstMapInfo map;

  if (buffer && (gst_buffer_get_size (buffer) != size || !gst_buffer_is_writable (buffer)))
    g_clear_pointer (&buffer, gst_buffer_unref);
  if (!buffer)
    buffer = GST_AUDIO_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)
                 ->create_output_buffer (GST_AUDIO_AGGREGATOR (self), frames);
  if (!gst_buffer_map (buffer, &map, GST_MAP_WRITE)) {
    gst_buffer_unref (buffer);
    GST_ELEMENT_ERROR (self, RESOURCE, WRITE, (_ ("The mixed sound cannot be written: its memory is not accessible")),
                       (NULL));
    return GST_FLOW_ERROR;
  }
  mix_line (self, map.data, frames);
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_FLAG_UNSET (buffer, GST_BUFFER_FLAG_GAP);
  GST_BUFFER_PTS (buffer) = time_of_frame (self, state->line_start);
  GST_BUFFER_DURATION (buffer) = time_of_frame (self, state->line_start + frames) - GST_BUFFER_PTS (buffer);
  GST_BUFFER_OFFSET (buffer) = state->line_start;
  GST_BUFFER_OFFSET_END (buffer) = state->line_start + frames;
  sound_drop (&state->line, frames, GST_AUDIO_INFO_CHANNELS (&state->info));
  state->line_start += frames;
  return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->finish_buffer (GST_AGGREGATOR (self), buffer);
}

/* Pushes what waits, as if silence followed. */
static GstFlowReturn
drain (GstVoiceoverMix *self)
{
  if (self->state.line.frames == 0)
    return GST_FLOW_OK;
  return push_line (self, NULL, self->state.line.frames);
}

static void
new_ducker (GstVoiceoverMix *self)
{
  State *state = &self->state;
  Settings settings = get_settings (self);

  g_clear_pointer (&state->ducker, ducker_free);
  state->ducker = ducker_new (GST_AUDIO_INFO_RATE (&state->info), GST_AUDIO_INFO_CHANNELS (&state->info),
                              settings.look_ahead / 1000.0);
}

/* ── End of the program ─────────────────────────────────────────────────── */

static guint64
frame_of_running_time (GstVoiceoverMix *self, GstClockTime running_time)
{
  guint64 position, frame = 0;
  const GstSegment *segment = &GST_AGGREGATOR_PAD (GST_AGGREGATOR_SRC_PAD (self))->segment;

  GST_OBJECT_LOCK (self);
  position = gst_segment_position_from_running_time (segment, GST_FORMAT_TIME, running_time);
  if (GST_CLOCK_TIME_IS_VALID (position) && position > segment->start)
    frame =
        gst_util_uint64_scale_round (position - segment->start, GST_AUDIO_INFO_RATE (&self->state.info), GST_SECOND);
  GST_OBJECT_UNLOCK (self);
  return frame;
}

/* Whether the programs are over and decide the end, which then is at @end. */
static gboolean
has_ended (GstVoiceoverMix *self, guint64 *end)
{
  MixPrograms programs;

  if (get_settings (self).eos_on != GST_VOICEOVER_MIX_EOS_ON_PROGRAM || !self->state.ducker)
    return FALSE;
  programs = mix_pads_look_at_programs (GST_ELEMENT (self));
  if (programs.count == 0 || programs.running > 0)
    return FALSE;
  /* A film without sound does not silence its voice. */
  if (self->state.program_end == 0 && programs.gap_end == 0)
    return FALSE;
  *end = self->state.program_end;
  if (programs.gap_end > 0) {
    guint64 gap_end = frame_of_running_time (self, programs.gap_end);

    /* Timestamps are rounded, frames are counted. */
    if (gap_end > *end + 1)
      *end = gap_end;
  }
  return TRUE;
}

/* ── Mixing ─────────────────────────────────────────────────────────────── */

static GstBuffer *
gst_voiceover_mix_create_output_buffer (GstAudioAggregator *aagg, guint frames)
{
  GstVoiceoverMix *self = GST_VOICEOVER_MIX (aagg);
  State *state = &self->state;
  gsize samples = (gsize)frames * GST_AUDIO_INFO_CHANNELS (&state->info);

  sound_reserve (&state->block, samples);
  memset (state->block.program, 0, samples * sizeof (float));
  memset (state->block.voice, 0, samples * sizeof (float));
  state->block.frames = frames;
  state->has_voice = FALSE;
  state->program_frames = 0;
  return GST_AUDIO_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->create_output_buffer (aagg, frames);
}

static gboolean
gst_voiceover_mix_aggregate_one_buffer (GstAudioAggregator *aagg, GstAudioAggregatorPad *aagg_pad, GstBuffer *in,
                                        guint in_offset, GstBuffer *out, guint out_offset, guint frames)
{
  GstVoiceoverMix *self = GST_VOICEOVER_MIX (aagg);
  GstVoiceoverMixPad *pad = GST_VOICEOVER_MIX_PAD (aagg_pad);
  State *state = &self->state;
  gboolean voice = gst_voiceover_mix_pad_is_voice (pad);
  gsize bpf = GST_AUDIO_INFO_BPF (&state->info);
  GstMapInfo map;

  if (voice)
    state->has_voice = TRUE;
  else
    state->program_frames = MAX (state->program_frames, out_offset + frames);
  if (!gst_buffer_map (in, &map, GST_MAP_READ)) {
    GST_WARNING_OBJECT (pad, "a buffer cannot be read: it is taken as silence");
    return FALSE;
  }
  if (map.size >= (in_offset + frames) * bpf && out_offset + frames <= state->block.frames)
    gst_voiceover_mix_pad_add (pad, &state->info, map.data + in_offset * bpf,
                               (voice ? state->block.voice : state->block.program) +
                                   (gsize)out_offset * GST_AUDIO_INFO_CHANNELS (&state->info),
                               frames);
  gst_buffer_unmap (in, &map);
  return TRUE;
}

static GstFlowReturn
gst_voiceover_mix_finish_buffer (GstAggregator *agg, GstBuffer *buffer)
{
  GstVoiceoverMix *self = GST_VOICEOVER_MIX (agg);
  State *state = &self->state;
  Settings settings = get_settings (self);
  guint64 offset = GST_BUFFER_OFFSET (buffer), end;
  guint frames = MIN (state->block.frames, gst_buffer_get_size (buffer) / GST_AUDIO_INFO_BPF (&state->info));
  guint look_ahead = ducker_look_ahead (state->ducker);

  if (state->line.frames > 0 && offset != state->line_start + state->line.frames) {
    GstFlowReturn ret = drain (self);

    if (ret != GST_FLOW_OK) {
      gst_buffer_unref (buffer);
      return ret;
    }
  }
  if (state->line.frames == 0)
    state->line_start = offset;
  if (state->program_frames > 0)
    state->program_end = offset + state->program_frames;
  if (has_ended (self, &end))
    frames = end > offset ? MIN (frames, end - offset) : 0;
  sound_append (&state->line, &state->block, frames, GST_AUDIO_INFO_CHANNELS (&state->info));
  ducker_listen (state->ducker, &settings.ducking, state->has_voice ? state->block.voice : NULL, frames);
  if (state->line.frames <= look_ahead) {
    gst_buffer_unref (buffer);
    return GST_FLOW_OK;
  }
  return push_line (self, buffer, state->line.frames - look_ahead);
}

/*
 * With start-time-selection=first the base class starts with the buffer that arrives first, and drops what is earlier on
 * other pads.
 */
static void
choose_start (GstVoiceoverMix *self)
{
  GstSegment *segment = &GST_AGGREGATOR_PAD (GST_AGGREGATOR_SRC_PAD (self))->segment;
  GstAggregatorStartTimeSelection selection;
  GstClockTime start, position;

  g_object_get (self, "start-time-selection", &selection, NULL);
  if (selection != GST_AGGREGATOR_START_TIME_SELECTION_FIRST)
    return;
  start = mix_pads_find_start (GST_ELEMENT (self));
  if (!GST_CLOCK_TIME_IS_VALID (start))
    return;
  GST_OBJECT_LOCK (self);
  position = gst_segment_position_from_running_time (segment, GST_FORMAT_TIME, start);
  if (GST_CLOCK_TIME_IS_VALID (position))
    segment->position = position;
  GST_OBJECT_UNLOCK (self);
  GST_DEBUG_OBJECT (self, "starts at %" GST_TIME_FORMAT, GST_TIME_ARGS (start));
}

static void
sync_values (GstVoiceoverMix *self)
{
  const GstSegment *segment = &GST_AGGREGATOR_PAD (GST_AGGREGATOR_SRC_PAD (self))->segment;
  GstClockTime time;

  GST_OBJECT_LOCK (self);
  time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME, segment->position);
  GST_OBJECT_UNLOCK (self);
  if (GST_CLOCK_TIME_IS_VALID (time))
    gst_object_sync_values (GST_OBJECT (self), time);
}

static GstFlowReturn
end_here (GstVoiceoverMix *self)
{
  GstFlowReturn ret = drain (self);

  return ret == GST_FLOW_OK ? GST_FLOW_EOS : ret;
}

static GstFlowReturn
gst_voiceover_mix_aggregate (GstAggregator *agg, gboolean timeout)
{
  GstVoiceoverMix *self = GST_VOICEOVER_MIX (agg);
  GstFlowReturn ret;
  guint64 end;

  if (!self->state.started && !timeout)
    choose_start (self);
  self->state.started = TRUE;
  sync_values (self);
  ret = GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->aggregate (agg, timeout);
  if (ret == GST_FLOW_EOS)
    return end_here (self);
  if (ret == GST_FLOW_OK && has_ended (self, &end) && self->state.line_start + self->state.line.frames >= end)
    return end_here (self);
  return ret;
}

/* ── Negotiation and state ──────────────────────────────────────────────── */

/* What downstream leaves open is as in the first program. */
static GstCaps *
gst_voiceover_mix_fixate_src_caps (GstAggregator *agg, GstCaps *caps)
{
  GstAudioInfo info;
  GstStructure *structure;
  int channels;

  if (!mix_pads_find_leading_info (GST_ELEMENT (agg), &info))
    return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->fixate_src_caps (agg, caps);
  caps = gst_caps_make_writable (caps);
  structure = gst_caps_get_structure (caps, 0);
  gst_structure_fixate_field_string (structure, "format",
                                     GST_AUDIO_INFO_DEPTH (&info) <= 16 ? GST_AUDIO_NE (S16) : GST_AUDIO_NE (F32));
  gst_structure_fixate_field_nearest_int (structure, "rate", info.rate);
  gst_structure_fixate_field_nearest_int (structure, "channels", info.channels);
  if (gst_structure_get_int (structure, "channels", &channels) && channels > 2 &&
      !gst_structure_has_field (structure, "channel-mask")) {
    guint64 mask = gst_audio_channel_get_fallback_mask (channels);

    if (channels == info.channels && !gst_audio_channel_positions_to_mask (info.position, info.channels, FALSE, &mask))
      mask = 0;
    gst_structure_set (structure, "channel-mask", GST_TYPE_BITMASK, mask, NULL);
  }
  return gst_caps_fixate (caps);
}

static gboolean
gst_voiceover_mix_negotiated_src_caps (GstAggregator *agg, GstCaps *caps)
{
  GstVoiceoverMix *self = GST_VOICEOVER_MIX (agg);
  State *state = &self->state;
  GstAudioInfo info;

  if (!gst_audio_info_from_caps (&info, caps))
    return FALSE;
  if (!gst_audio_info_is_equal (&info, &state->info)) {
    drain (self);
    if (state->block.frames > 0 && GST_AUDIO_INFO_IS_VALID (&state->info))
      sound_convert (&state->block, &state->info, &info);
    state->info = info;
    new_ducker (self);
  }
  return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->negotiated_src_caps (agg, caps);
}

/* Forgets the sound, not the format. */
static void
start_again (GstVoiceoverMix *self)
{
  State *state = &self->state;

  sound_clear (&state->block);
  sound_clear (&state->line);
  state->started = FALSE;
  state->program_end = 0;
  mix_pads_reset (GST_ELEMENT (self));
  if (state->ducker)
    new_ducker (self);
}

static void
forget (GstVoiceoverMix *self)
{
  g_clear_pointer (&self->state.ducker, ducker_free);
  gst_audio_info_init (&self->state.info);
  start_again (self);
}

static gboolean
gst_voiceover_mix_start (GstAggregator *agg)
{
  forget (GST_VOICEOVER_MIX (agg));
  return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->start (agg);
}

static gboolean
gst_voiceover_mix_stop (GstAggregator *agg)
{
  forget (GST_VOICEOVER_MIX (agg));
  return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->stop (agg);
}

static GstFlowReturn
gst_voiceover_mix_flush (GstAggregator *agg)
{
  start_again (GST_VOICEOVER_MIX (agg));
  return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->flush (agg);
}

static GstBuffer *
gst_voiceover_mix_clip (GstAggregator *agg, GstAggregatorPad *pad, GstBuffer *buffer)
{
  buffer = GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->clip (agg, pad, buffer);
  if (buffer && GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP))
    gst_voiceover_mix_pad_note_gap (GST_VOICEOVER_MIX_PAD (pad), buffer);
  return buffer;
}

/* ── Events and queries ─────────────────────────────────────────────────── */

static gboolean
gst_voiceover_mix_sink_event (GstAggregator *agg, GstAggregatorPad *pad, GstEvent *event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_CAPS) {
    int rate = 0, other = mix_pads_find_rate (GST_ELEMENT (agg), GST_PAD (pad));
    GstCaps *caps;

    gst_event_parse_caps (event, &caps);
    gst_structure_get_int (gst_caps_get_structure (caps, 0), "rate", &rate);
    if (other != 0 && rate != other)
      GST_ELEMENT_ERROR (agg, STREAM, FORMAT,
                         (_ ("The sounds to be mixed have different sample rates: put audioresample before each")),
                         ("%s has %d Hz, another pad %d Hz", GST_PAD_NAME (pad), rate, other));
  }
  return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->sink_event (agg, pad, event);
}

/*
 * Another sample rate is accepted here, so that its caps arrive and are refused with an error that tells why. The caps
 * query says which rate it should be, for those who ask.
 */
static gboolean
gst_voiceover_mix_sink_query (GstAggregator *agg, GstAggregatorPad *pad, GstQuery *query)
{
  if (GST_QUERY_TYPE (query) == GST_QUERY_ACCEPT_CAPS) {
    g_autoptr (GstCaps) allowed = gst_pad_get_pad_template_caps (GST_PAD (pad));
    GstCaps *caps;

    gst_query_parse_accept_caps (query, &caps);
    gst_query_set_accept_caps_result (query, gst_caps_is_subset (caps, allowed));
    return TRUE;
  }
  return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->sink_query (agg, pad, query);
}

static gboolean
gst_voiceover_mix_src_query (GstAggregator *agg, GstQuery *query)
{
  GstVoiceoverMix *self = GST_VOICEOVER_MIX (agg);
  Settings settings = get_settings (self);
  GstFormat format;

  switch (GST_QUERY_TYPE (query)) {
  case GST_QUERY_LATENCY: {
    gboolean live;
    GstClockTime least, most, look_ahead = settings.look_ahead * GST_MSECOND;

    if (!GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->src_query (agg, query))
      return FALSE;
    gst_query_parse_latency (query, &live, &least, &most);
    gst_query_set_latency (query, live, least + look_ahead, GST_CLOCK_TIME_IS_VALID (most) ? most + look_ahead : most);
    return TRUE;
  }
  case GST_QUERY_DURATION: {
    GstClockTime duration;

    gst_query_parse_duration (query, &format, NULL);
    if (format != GST_FORMAT_TIME || settings.eos_on != GST_VOICEOVER_MIX_EOS_ON_PROGRAM ||
        !mix_pads_query_program_duration (GST_ELEMENT (self), &duration))
      break;
    if (GST_CLOCK_TIME_IS_VALID (duration))
      gst_query_set_duration (query, format, duration);
    return GST_CLOCK_TIME_IS_VALID (duration);
  }
  default:
    break;
  }
  return GST_AGGREGATOR_CLASS (gst_voiceover_mix_parent_class)->src_query (agg, query);
}

/* ── Pads ───────────────────────────────────────────────────────────────── */

static GstAggregatorPad *
gst_voiceover_mix_create_new_pad (GstAggregator *agg, GstPadTemplate *template, const char *name, const GstCaps *caps)
{
  gboolean voice = g_str_has_prefix (GST_PAD_TEMPLATE_NAME_TEMPLATE (template), "voice");
  g_autofree char *pad_name = NULL;

  if (GST_PAD_TEMPLATE_DIRECTION (template) != GST_PAD_SINK)
    return NULL;
  pad_name = mix_pads_choose_name (GST_ELEMENT (agg), voice ? "voice_" : "program_", name);
  if (!pad_name) {
    GST_WARNING_OBJECT (agg, "there is no pad %s of template %s", name, GST_PAD_TEMPLATE_NAME_TEMPLATE (template));
    return NULL;
  }
  return g_object_new (GST_TYPE_VOICEOVER_MIX_PAD, "name", pad_name, "direction", GST_PAD_SINK, "template", template,
                       NULL);
}

static GstPad *
gst_voiceover_mix_request_new_pad (GstElement *element, GstPadTemplate *template, const char *name, const GstCaps *caps)
{
  GstPad *pad = GST_ELEMENT_CLASS (gst_voiceover_mix_parent_class)->request_new_pad (element, template, name, caps);

  if (pad)
    gst_child_proxy_child_added (GST_CHILD_PROXY (element), G_OBJECT (pad), GST_OBJECT_NAME (pad));
  return pad;
}

static void
gst_voiceover_mix_release_pad (GstElement *element, GstPad *pad)
{
  gst_child_proxy_child_removed (GST_CHILD_PROXY (element), G_OBJECT (pad), GST_OBJECT_NAME (pad));
  GST_ELEMENT_CLASS (gst_voiceover_mix_parent_class)->release_pad (element, pad);
}

static GObject *
get_child_by_index (GstChildProxy *proxy, guint index)
{
  GObject *child;

  GST_OBJECT_LOCK (proxy);
  child = g_list_nth_data (GST_ELEMENT (proxy)->sinkpads, index);
  if (child)
    gst_object_ref (child);
  GST_OBJECT_UNLOCK (proxy);
  return child;
}

static guint
get_children_count (GstChildProxy *proxy)
{
  guint count;

  GST_OBJECT_LOCK (proxy);
  count = GST_ELEMENT (proxy)->numsinkpads;
  GST_OBJECT_UNLOCK (proxy);
  return count;
}

static void
gst_voiceover_mix_child_proxy_init (gpointer iface, gpointer data)
{
  GstChildProxyInterface *proxy = iface;

  proxy->get_child_by_index = get_child_by_index;
  proxy->get_children_count = get_children_count;
}

/* ── Properties ─────────────────────────────────────────────────────────── */

static void
gst_voiceover_mix_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  GstVoiceoverMix *self = GST_VOICEOVER_MIX (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
  case PROP_THRESHOLD:
    self->settings.ducking.threshold = g_value_get_double (value);
    break;
  case PROP_DUCK_GAIN:
    self->settings.ducking.duck_gain = g_value_get_double (value);
    break;
  case PROP_ATTACK:
    self->settings.ducking.attack = g_value_get_uint (value) / 1000.0;
    break;
  case PROP_HOLD:
    self->settings.ducking.hold = g_value_get_uint (value) / 1000.0;
    break;
  case PROP_RELEASE:
    self->settings.ducking.release = g_value_get_uint (value) / 1000.0;
    break;
  case PROP_LOOK_AHEAD:
    self->settings.look_ahead = g_value_get_uint (value);
    break;
  case PROP_EOS_ON:
    self->settings.eos_on = g_value_get_enum (value);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_voiceover_mix_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  Settings settings = get_settings (GST_VOICEOVER_MIX (object));

  switch (id) {
  case PROP_THRESHOLD:
    g_value_set_double (value, settings.ducking.threshold);
    break;
  case PROP_DUCK_GAIN:
    g_value_set_double (value, settings.ducking.duck_gain);
    break;
  case PROP_ATTACK:
    g_value_set_uint (value, (guint)(settings.ducking.attack * 1000 + 0.5));
    break;
  case PROP_HOLD:
    g_value_set_uint (value, (guint)(settings.ducking.hold * 1000 + 0.5));
    break;
  case PROP_RELEASE:
    g_value_set_uint (value, (guint)(settings.ducking.release * 1000 + 0.5));
    break;
  case PROP_LOOK_AHEAD:
    g_value_set_uint (value, settings.look_ahead);
    break;
  case PROP_EOS_ON:
    g_value_set_enum (value, settings.eos_on);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
install_properties (GObjectClass *object_class)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  /**
   * GstVoiceoverMix:threshold:
   *
   * The level from which on a voice speaks, in dBFS: the root mean square over 10 ms of its loudest channel, without what
   * is below 80 Hz. A noisy voice needs a higher one.
   */
  g_object_class_install_property (object_class, PROP_THRESHOLD,
                                   g_param_spec_double ("threshold", _ ("Threshold"),
                                                        _ ("Level from which on a voice speaks (dBFS, -90 to 0)"), -90,
                                                        0, DEFAULT_THRESHOLD, flags | GST_PARAM_CONTROLLABLE));
  /**
   * GstVoiceoverMix:duck-gain:
   *
   * Gain of the programs while a voice speaks, in dB; 0 ducks nothing. A change is followed at 300 dB a second.
   */
  g_object_class_install_property (object_class, PROP_DUCK_GAIN,
                                   g_param_spec_double ("duck-gain", _ ("Duck gain"),
                                                        _ ("Gain of the programs while a voice speaks (dB, -60 to 0)"),
                                                        -60, 0, DEFAULT_DUCK_GAIN, flags | GST_PARAM_CONTROLLABLE));
  /**
   * GstVoiceoverMix:attack:
   *
   * How long the programs take to get down, in milliseconds; less where #GstVoiceoverMix:look-ahead is shorter.
   */
  g_object_class_install_property (
      object_class, PROP_ATTACK,
      g_param_spec_uint ("attack", _ ("Attack"), _ ("How long the programs take to get down (milliseconds, 0 to 500)"),
                         0, 500, DEFAULT_ATTACK, flags));
  /**
   * GstVoiceoverMix:hold:
   *
   * How long the programs stay down after the last sound of a voice, in milliseconds.
   */
  g_object_class_install_property (
      object_class, PROP_HOLD,
      g_param_spec_uint ("hold", _ ("Hold"),
                         _ ("How long the programs stay down after the voice (milliseconds, 0 to 10000)"), 0, 10000,
                         DEFAULT_HOLD, flags));
  /**
   * GstVoiceoverMix:release:
   *
   * How long the programs take to come back, in milliseconds.
   */
  g_object_class_install_property (
      object_class, PROP_RELEASE,
      g_param_spec_uint ("release", _ ("Release"),
                         _ ("How long the programs take to come back (milliseconds, 0 to 10000)"), 0, 10000,
                         DEFAULT_RELEASE, flags));
  /**
   * GstVoiceoverMix:look-ahead:
   *
   * How long before the programs the voices are heard, in milliseconds. A voice is sure to be noticed 10 ms after it
   * begins, so 50 leave about 40 to get down in. With 0 the programs get down after the voice has begun.
   */
  g_object_class_install_property (
      object_class, PROP_LOOK_AHEAD,
      g_param_spec_uint ("look-ahead", _ ("Look-ahead"),
                         _ ("How long before the programs the voices are heard (milliseconds, 0 to 500)"), 0, 500,
                         DEFAULT_LOOK_AHEAD, G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY));
  /**
   * GstVoiceoverMix:eos-on:
   *
   * Whether the output ends with the last program or with the last of programs and voices.
   */
  g_object_class_install_property (object_class, PROP_EOS_ON,
                                   g_param_spec_enum ("eos-on", _ ("End of stream"), _ ("When the output ends"),
                                                      GST_TYPE_VOICEOVER_MIX_EOS_ON, DEFAULT_EOS_ON, flags));
}

static void
gst_voiceover_mix_class_init (GstVoiceoverMixClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstAggregatorClass *agg_class = GST_AGGREGATOR_CLASS (klass);
  GstAudioAggregatorClass *aagg_class = GST_AUDIO_AGGREGATOR_CLASS (klass);

  GST_DEBUG_CATEGORY_INIT (gst_voiceover_mix_debug, "voiceovermix", 0, "voice-over mixing");
  object_class->set_property = gst_voiceover_mix_set_property;
  object_class->get_property = gst_voiceover_mix_get_property;
  install_properties (object_class);

  gst_element_class_add_static_pad_template_with_gtype (element_class, &program_template, GST_TYPE_VOICEOVER_MIX_PAD);
  gst_element_class_add_static_pad_template_with_gtype (element_class, &voice_template, GST_TYPE_VOICEOVER_MIX_PAD);
  gst_element_class_add_static_pad_template_with_gtype (element_class, &src_template,
                                                        GST_TYPE_AUDIO_AGGREGATOR_CONVERT_PAD);
  gst_element_class_set_static_metadata (element_class, "Voice-over mixer", "Generic/Mixer/Audio",
                                         "Mixes voices over a program that makes room for them", "The Derush authors");
  gst_type_mark_as_plugin_api (GST_TYPE_VOICEOVER_MIX_EOS_ON, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_VOICEOVER_MIX_PAD, 0);

  element_class->request_new_pad = GST_DEBUG_FUNCPTR (gst_voiceover_mix_request_new_pad);
  element_class->release_pad = GST_DEBUG_FUNCPTR (gst_voiceover_mix_release_pad);
  agg_class->start = GST_DEBUG_FUNCPTR (gst_voiceover_mix_start);
  agg_class->stop = GST_DEBUG_FUNCPTR (gst_voiceover_mix_stop);
  agg_class->flush = GST_DEBUG_FUNCPTR (gst_voiceover_mix_flush);
  agg_class->clip = GST_DEBUG_FUNCPTR (gst_voiceover_mix_clip);
  agg_class->aggregate = GST_DEBUG_FUNCPTR (gst_voiceover_mix_aggregate);
  agg_class->finish_buffer = GST_DEBUG_FUNCPTR (gst_voiceover_mix_finish_buffer);
  agg_class->sink_event = GST_DEBUG_FUNCPTR (gst_voiceover_mix_sink_event);
  agg_class->sink_query = GST_DEBUG_FUNCPTR (gst_voiceover_mix_sink_query);
  agg_class->src_query = GST_DEBUG_FUNCPTR (gst_voiceover_mix_src_query);
  agg_class->create_new_pad = GST_DEBUG_FUNCPTR (gst_voiceover_mix_create_new_pad);
  agg_class->fixate_src_caps = GST_DEBUG_FUNCPTR (gst_voiceover_mix_fixate_src_caps);
  agg_class->negotiated_src_caps = GST_DEBUG_FUNCPTR (gst_voiceover_mix_negotiated_src_caps);
  aagg_class->create_output_buffer = GST_DEBUG_FUNCPTR (gst_voiceover_mix_create_output_buffer);
  aagg_class->aggregate_one_buffer = GST_DEBUG_FUNCPTR (gst_voiceover_mix_aggregate_one_buffer);
}

static void
gst_voiceover_mix_init (GstVoiceoverMix *self)
{
  self->settings = (Settings){
      {DEFAULT_THRESHOLD, DEFAULT_DUCK_GAIN, DEFAULT_ATTACK / 1000.0, DEFAULT_HOLD / 1000.0, DEFAULT_RELEASE / 1000.0},
      DEFAULT_LOOK_AHEAD,
      DEFAULT_EOS_ON};
  gst_audio_info_init (&self->state.info);
  g_object_set (self, "start-time-selection", GST_AGGREGATOR_START_TIME_SELECTION_FIRST, NULL);
}
