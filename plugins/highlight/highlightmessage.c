/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "highlightmessage.h"

static GstClockTime
to_clock_time (double seconds)
{
  return (GstClockTime)(seconds * GST_SECOND + 0.5);
}

static GstStructure *
signals_structure (const DerushHighlight *h)
{
  GstStructure *structure = gst_structure_new_empty ("signals");

  for (guint i = 0; i < DERUSH_N_SIGNALS; i++) {
    g_autoptr (GstStructure) one = NULL;

    if (h->weights[i] <= 0)
      continue;
    one = gst_structure_new ("signal", "value", G_TYPE_DOUBLE, h->values[i], "weight", G_TYPE_DOUBLE, h->weights[i],
                             NULL);
    gst_structure_set (structure, derush_signal_to_string (i), GST_TYPE_STRUCTURE, one, NULL);
  }
  return structure;
}

static void
append_highlight (GValue *list, const DerushHighlight *h)
{
  g_autoptr (GstStructure) signals = signals_structure (h);
  g_autofree char *reasons = g_strjoinv ("; ", h->reasons);
  GValue value = G_VALUE_INIT;

  g_value_init (&value, GST_TYPE_STRUCTURE);
  g_value_take_boxed (&value, gst_structure_new ("highlight", "start", GST_TYPE_CLOCK_TIME, to_clock_time (h->start),
                                                 "end", GST_TYPE_CLOCK_TIME, to_clock_time (h->end), "score",
                                                 G_TYPE_DOUBLE, h->score, "type", G_TYPE_STRING, h->type, "signals",
                                                 GST_TYPE_STRUCTURE, signals, "reasons", G_TYPE_STRING, reasons, NULL));
  gst_value_list_append_and_take_value (list, &value);
}

/* The element message, without the stamps of the end. */
GstStructure *
highlight_message_structure (const DerushHighlights *highlights, double start, double end)
{
  GstStructure *structure = gst_structure_new (
      "highlightdetect", "stream-time", GST_TYPE_CLOCK_TIME, to_clock_time (start), "duration", GST_TYPE_CLOCK_TIME,
      to_clock_time (MAX (0, end - start)), "rejected", G_TYPE_UINT, highlights->rejected->len, NULL);
  GValue list = G_VALUE_INIT;

  g_value_init (&list, GST_TYPE_LIST);
  for (guint i = 0; i < highlights->chosen->len; i++)
    append_highlight (&list, g_ptr_array_index (highlights->chosen, i));
  gst_structure_take_value (structure, "highlights", &list);
  return structure;
}

static int
compare_starts (gconstpointer a, gconstpointer b)
{
  const DerushHighlight *p = *(DerushHighlight *const *)a, *q = *(DerushHighlight *const *)b;

  return p->start < q->start ? -1 : p->start > q->start;
}

/* The highlights as chapters, in the order of time; %NULL if there are none. */
GstToc *
highlight_message_toc (const DerushHighlights *highlights)
{
  g_autoptr (GPtrArray) sorted = g_ptr_array_copy (highlights->chosen, NULL, NULL);
  GstToc *toc;

  g_ptr_array_set_free_func (sorted, NULL);
  if (sorted->len == 0)
    return NULL;
  toc = gst_toc_new (GST_TOC_SCOPE_GLOBAL);
  g_ptr_array_sort (sorted, compare_starts);
  for (guint i = 0; i < sorted->len; i++) {
    const DerushHighlight *h = g_ptr_array_index (sorted, i);
    g_autofree char *uid = g_strdup_printf ("highlight-%u", i + 1);
    GstTocEntry *entry = gst_toc_entry_new (GST_TOC_ENTRY_TYPE_CHAPTER, uid);
    GstTagList *tags = gst_tag_list_new (GST_TAG_TITLE, h->reasons[0] ? h->reasons[0] : h->type, NULL);

    gst_toc_entry_set_start_stop_times (entry, to_clock_time (h->start), to_clock_time (h->end));
    gst_toc_entry_set_tags (entry, tags);
    gst_toc_append_entry (toc, entry);
  }
  return toc;
}
