/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "bullmq/worker-private.h"

#include <string.h>

#define MAX_YEARS 9 /* 29 February can be eight years away */

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, N_FIELDS };

typedef struct {
  int min, max;
  const char *names; /* of @min, @min + 1, …, three letters each */
} FieldRange;

static const FieldRange ranges[N_FIELDS] = {
    [SECOND] = {0, 59},
    [MINUTE] = {0, 59},
    [HOUR] = {0, 23},
    [DAY] = {1, 31},
    [MONTH] = {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    [WEEKDAY] = {0, 7, "sunmontuewedthufrisat"},
};

typedef struct {
  guint64 allowed[N_FIELDS];
  gboolean any[N_FIELDS];
  gboolean last_day;      /* L as the day */
  guint8 last_weekdays;   /* 5L: the last Friday */
  guint8 nth_weekdays[7]; /* 5#2: the second Friday; bit n - 1 */
} Pattern;

static gboolean
parse_number (const char **text, const FieldRange *range, int *value)
{
  const char *p = *text;

  if (g_ascii_isdigit (*p)) {
    *value = 0;
    while (g_ascii_isdigit (*p) && *value < 1000)
      *value = *value * 10 + (*p++ - '0');
  } else if (range->names && strlen (p) >= 3) {
    g_autofree char *name = g_ascii_strdown (p, 3);
    const char *found = strstr (range->names, name);

    if (!found || (found - range->names) % 3 != 0)
      return FALSE;
    *value = range->min + (found - range->names) / 3;
    p += 3;
  } else {
    return FALSE;
  }
  *text = p;
  return *value >= range->min && *value <= range->max;
}

static gboolean
parse_special (Pattern *pattern, int field, const char *item)
{
  const char *p = item;
  int weekday, n;

  if (field == DAY && (g_str_equal (item, "L") || g_str_equal (item, "l"))) {
    pattern->last_day = TRUE;
    return TRUE;
  }
  if (field != WEEKDAY || !parse_number (&p, &ranges[WEEKDAY], &weekday))
    return FALSE;
  weekday %= 7;
  if ((*p == 'L' || *p == 'l') && p[1] == '\0') {
    pattern->last_weekdays |= 1 << weekday;
    return TRUE;
  }
  if (*p != '#' || p[1] < '1' || p[1] > '5' || p[2] != '\0')
    return FALSE;
  n = p[1] - '1';
  pattern->nth_weekdays[weekday] |= 1 << n;
  return TRUE;
}

/* One of a field's comma-separated parts: *, a, a-b, any of them with /step. */
static gboolean
parse_item (Pattern *pattern, int field, const char *item)
{
  const FieldRange *range = &ranges[field];
  const char *p = item;
  int from = range->min, to = range->max, step = 1;
  gboolean single = FALSE;

  if (parse_special (pattern, field, item))
    return TRUE;
  if (*p == '*' || *p == '?') {
    p++;
    if (*p == '\0')
      pattern->any[field] = TRUE;
  } else {
    if (!parse_number (&p, range, &from))
      return FALSE;
    to = from;
    single = TRUE;
    if (*p == '-') {
      p++;
      if (!parse_number (&p, range, &to))
        return FALSE;
      single = FALSE;
    }
  }
  if (*p == '/') {
    p++;
    step = 0;
    while (g_ascii_isdigit (*p) && step < 1000)
      step = step * 10 + (*p++ - '0');
    if (step < 1)
      return FALSE;
    if (single)
      to = range->max;
  }
  if (*p != '\0' || from > to)
    return FALSE;
  for (int value = from; value <= to; value += step)
    pattern->allowed[field] |= G_GUINT64_CONSTANT (1) << (field == WEEKDAY ? value % 7 : value);
  return TRUE;
}

static gboolean
parse_field (Pattern *pattern, int field, const char *text)
{
  g_auto (GStrv) items = g_strsplit (text, ",", -1);

  for (guint i = 0; items[i]; i++)
    if (!parse_item (pattern, field, items[i]))
      return FALSE;
  return items[0] != NULL;
}

static const char *
expand_name (const char *text)
{
  static const char *const names[][2] = {
      {"@yearly", "0 0 0 1 1 *"},     {"@annually", "0 0 0 1 1 *"},   {"@monthly", "0 0 0 1 * *"},
      {"@weekly", "0 0 0 * * 0"},     {"@daily", "0 0 0 * * *"},      {"@midnight", "0 0 0 * * *"},
      {"@hourly", "0 0 * * * *"},     {"@minutely", "0 * * * * *"},   {"@secondly", "* * * * * *"},
      {"@weekdays", "0 0 0 * * 1-5"}, {"@weekends", "0 0 0 * * 0,6"},
  };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (text, names[i][0]))
      return names[i][1];
  return text;
}

/* Five fields from the minute on, or six with the second before them. */
static gboolean
parse_pattern (Pattern *pattern, const char *text)
{
  g_autofree char *stripped = g_strstrip (g_strdup (text));
  g_auto (GStrv) words = g_strsplit_set (expand_name (stripped), " \t", -1);
  const char *fields[N_FIELDS];
  guint n = 0;

  memset (pattern, 0, sizeof *pattern);
  for (guint i = 0; words[i]; i++) {
    if (words[i][0] == '\0')
      continue;
    if (n == N_FIELDS)
      return FALSE;
    fields[n++] = words[i];
  }
  if (n < N_FIELDS - 1)
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!parse_field (pattern, i + N_FIELDS - n, fields[i]))
      return FALSE;
  if (n < N_FIELDS)
    pattern->allowed[SECOND] = 1;
  return TRUE;
}

static gboolean
allows (const Pattern *pattern, int field, int value)
{
  return (pattern->allowed[field] >> value & 1) != 0;
}

static gboolean
allows_date (const Pattern *pattern, GDateTime *time)
{
  int day = g_date_time_get_day_of_month (time), weekday = g_date_time_get_day_of_week (time) % 7,
      last = g_date_get_days_in_month (g_date_time_get_month (time), g_date_time_get_year (time));
  gboolean by_day = allows (pattern, DAY, day) || (pattern->last_day && day == last);
  gboolean by_weekday = allows (pattern, WEEKDAY, weekday) ||
                        (pattern->last_weekdays >> weekday & 1 && day + 7 > last) ||
                        (pattern->nth_weekdays[weekday] >> (day - 1) / 7 & 1);

  /* As in Vixie cron: with both fields restricted, either of them is enough. */
  if (!pattern->any[DAY] && !pattern->any[WEEKDAY])
    return by_day || by_weekday;
  return by_day && by_weekday;
}

static gint64
start_of_day (GTimeZone *zone, GDateTime *time, gboolean of_next_month)
{
  g_autoptr (GDateTime) first = g_date_time_new (zone, g_date_time_get_year (time), g_date_time_get_month (time),
                                                 of_next_month ? 1 : g_date_time_get_day_of_month (time), 0, 0, 0);
  g_autoptr (GDateTime) next = of_next_month ? g_date_time_add_months (first, 1) : g_date_time_add_days (first, 1);

  return g_date_time_to_unix (next);
}

gint64
bullmq_cron_next (const char *text, const char *tz, gint64 after_ms)
{
  g_autoptr (GTimeZone) zone = tz ? g_time_zone_new_identifier (tz) : g_time_zone_new_local ();
  gint64 t = after_ms / 1000 + 1, end = t + MAX_YEARS * G_GINT64_CONSTANT (366) * 86400;
  Pattern pattern;

  if (!zone || !parse_pattern (&pattern, text))
    return -1;
  while (t < end) {
    g_autoptr (GDateTime) utc = g_date_time_new_from_unix_utc (t);
    g_autoptr (GDateTime) time = g_date_time_to_timezone (utc, zone);
    int second = g_date_time_get_second (time), minute = g_date_time_get_minute (time);

    if (!allows (&pattern, MONTH, g_date_time_get_month (time)))
      t = MAX (start_of_day (zone, time, TRUE), t + 1);
    else if (!allows_date (&pattern, time))
      t = MAX (start_of_day (zone, time, FALSE), t + 1);
    else if (!allows (&pattern, HOUR, g_date_time_get_hour (time)))
      t += 3600 - minute * 60 - second;
    else if (!allows (&pattern, MINUTE, minute))
      t += 60 - second;
    else if (!allows (&pattern, SECOND, second))
      t++;
    else
      return t * 1000;
  }
  return -1;
}
