/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "binding-private.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <glib/gi18n-lib.h>

/*
 * gst_parse and gst_util_set_object_arg() ignore values that they cannot read, and g_object_set() clamps or warns: each
 * leaves the old value without an error. So a value is converted here by the type of the property, compared with the
 * range of the template and of the property, set, and read back.
 */

void
derush_parameter_free (DerushParameter *parameter)
{
  g_free (parameter->name);
  g_free (parameter->element);
  g_free (parameter->property);
  g_free (parameter->field);
  g_strfreev (parameter->choices);
  g_free (parameter->value);
  g_free (parameter);
}

gboolean
derush_parameter_type_from_string (const char *text, DerushParameterType *type)
{
  static const char *const names[] = {"boolean", "int", "double", "string", "enum", "fraction", "caps"};

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if (g_strcmp0 (text, names[i]) == 0) {
      *type = (DerushParameterType)i;
      return TRUE;
    }
  }
  return FALSE;
}

static gboolean
refuse (DerushParameter *parameter, const char *value, const char *why, GError **error)
{
  g_autofree char *shown = g_strescape (value, NULL);

  g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_BAD_INPUT,
               _ ("The value “%s” of the parameter “%s” cannot be used: %s"), shown, parameter->name, why);
  return FALSE;
}

static gboolean
refuse_range (DerushParameter *parameter, const char *value, GError **error)
{
  g_autofree char *why = g_strdup_printf (_ ("it must be from %g to %g"), parameter->minimum, parameter->maximum);

  return refuse (parameter, value, why, error);
}

static gboolean
has_control_characters (const char *value)
{
  if (!g_utf8_validate (value, -1, NULL))
    return TRUE;
  for (const char *p = value; *p; p++)
    if ((guchar)*p < 0x20 || *p == 0x7f)
      return TRUE;
  return FALSE;
}

static gboolean
check_fraction (const char *value, double *quotient)
{
  g_auto (GValue) fraction = G_VALUE_INIT;
  int denominator;

  g_value_init (&fraction, GST_TYPE_FRACTION);
  for (const char *p = value; *p; p++)
    if (!g_ascii_isdigit (*p) && *p != '/')
      return FALSE;
  if (!strchr (value, '/') || !gst_value_deserialize (&fraction, value))
    return FALSE;
  denominator = gst_value_get_fraction_denominator (&fraction);
  *quotient = (double)gst_value_get_fraction_numerator (&fraction) / (denominator ? denominator : 1);
  return denominator != 0;
}

gboolean
derush_parameter_set (DerushParameter *parameter, const char *value, GError **error)
{
  double number = NAN;

  if (strlen (value) > 4096)
    return refuse (parameter, "…", _ ("it is too long"), error);
  if (has_control_characters (value))
    return refuse (parameter, value, _ ("it holds control characters or is no UTF-8"), error);
  if (parameter->choices && !g_strv_contains ((const char *const *)parameter->choices, value)) {
    g_autofree char *choices = g_strjoinv (", ", parameter->choices);
    g_autofree char *why = g_strdup_printf (_ ("it must be one of %s"), choices);

    return refuse (parameter, value, why, error);
  }
  switch (parameter->type) {
  case DERUSH_PARAMETER_BOOLEAN:
    if (strcmp (value, "true") != 0 && strcmp (value, "false") != 0)
      return refuse (parameter, value, _ ("it must be true or false"), error);
    break;
  case DERUSH_PARAMETER_INT: {
    gint64 integer;

    if (!g_ascii_string_to_signed (value, 10, G_MININT64, G_MAXINT64, &integer, NULL))
      return refuse (parameter, value, _ ("it must be a whole number"), error);
    number = integer;
    break;
  }
  case DERUSH_PARAMETER_DOUBLE: {
    char *end;

    number = g_ascii_strtod (value, &end);
    if (end == value || *end != '\0' || !isfinite (number) || g_ascii_isspace (*value))
      return refuse (parameter, value, _ ("it must be a number"), error);
    break;
  }
  case DERUSH_PARAMETER_FRACTION:
    if (!check_fraction (value, &number))
      return refuse (parameter, value, _ ("it must be a fraction such as 9/16"), error);
    break;
  case DERUSH_PARAMETER_ENUM:
    for (const char *p = value; *p; p++)
      if (!g_ascii_isalnum (*p) && *p != '-' && *p != '_')
        return refuse (parameter, value, _ ("it must be a plain word"), error);
    break;
  case DERUSH_PARAMETER_CAPS: {
    g_autoptr (GstCaps) caps = gst_caps_from_string (value);

    if (!caps || gst_caps_is_any (caps) || gst_caps_is_empty (caps))
      return refuse (parameter, value, _ ("it must be caps"), error);
    break;
  }
  case DERUSH_PARAMETER_STRING:
    break;
  }
  if (parameter->has_range && (number < parameter->minimum || number > parameter->maximum))
    return refuse_range (parameter, value, error);
  g_free (parameter->value);
  parameter->value = g_strdup (value);
  return TRUE;
}

gboolean
derush_parameter_set_json (DerushParameter *parameter, JsonNode *value, GError **error)
{
  GType type = JSON_NODE_HOLDS_VALUE (value) ? json_node_get_value_type (value) : G_TYPE_NONE;
  gboolean wanted_number = parameter->type == DERUSH_PARAMETER_INT || parameter->type == DERUSH_PARAMETER_DOUBLE;
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  if (type == G_TYPE_STRING && !wanted_number && parameter->type != DERUSH_PARAMETER_BOOLEAN)
    return derush_parameter_set (parameter, json_node_get_string (value), error);
  if (type == G_TYPE_BOOLEAN && parameter->type == DERUSH_PARAMETER_BOOLEAN)
    return derush_parameter_set (parameter, json_node_get_boolean (value) ? "true" : "false", error);
  if (type == G_TYPE_INT64 && wanted_number) {
    g_snprintf (buffer, sizeof buffer, "%" G_GINT64_FORMAT, json_node_get_int (value));
    return derush_parameter_set (parameter, buffer, error);
  }
  if (type == G_TYPE_DOUBLE && wanted_number) {
    double number = json_node_get_double (value);

    if (parameter->type == DERUSH_PARAMETER_INT && number == floor (number) && fabs (number) < 1e15)
      g_snprintf (buffer, sizeof buffer, "%.0f", number);
    else
      g_ascii_dtostr (buffer, sizeof buffer, number);
    return derush_parameter_set (parameter, buffer, error);
  } else {
    g_autofree char *shown = derush_json_node_to_string (value);

    return refuse (parameter, shown, _ ("it has the wrong type"), error);
  }
}

/* Whether @value means @text to every letter: gst_value_deserialize() takes 99999999999 for a guint. */
static gboolean
integer_is_exact (const GValue *value, const char *text)
{
  g_auto (GValue) wide = G_VALUE_INIT;
  gint64 expected;

  if (!g_ascii_string_to_signed (text, 10, G_MININT64, G_MAXINT64, &expected, NULL))
    return FALSE;
  if (G_VALUE_HOLDS_UINT64 (value))
    return expected >= 0 && g_value_get_uint64 (value) == (guint64)expected;
  g_value_init (&wide, G_TYPE_INT64);
  return g_value_transform (value, &wide) && g_value_get_int64 (&wide) == expected;
}

static gboolean
text_to_value (DerushParameter *parameter, GType type, GParamSpec *pspec, GValue *value)
{
  const char *text = parameter->value;

  g_value_init (value, type);
  switch (parameter->type) {
  case DERUSH_PARAMETER_STRING:
    if (type != G_TYPE_STRING)
      return FALSE;
    g_value_set_string (value, text);
    return TRUE;
  case DERUSH_PARAMETER_DOUBLE:
    if (type == G_TYPE_DOUBLE)
      g_value_set_double (value, g_ascii_strtod (text, NULL));
    else if (type == G_TYPE_FLOAT)
      g_value_set_float (value, (float)g_ascii_strtod (text, NULL));
    else
      return FALSE;
    return TRUE;
  case DERUSH_PARAMETER_INT:
    if (type != G_TYPE_INT && type != G_TYPE_UINT && type != G_TYPE_INT64 && type != G_TYPE_UINT64 &&
        type != G_TYPE_LONG && type != G_TYPE_ULONG)
      return FALSE;
    return gst_value_deserialize (value, text) && integer_is_exact (value, text);
  case DERUSH_PARAMETER_BOOLEAN:
    if (type != G_TYPE_BOOLEAN)
      return FALSE;
    g_value_set_boolean (value, strcmp (text, "true") == 0);
    return TRUE;
  case DERUSH_PARAMETER_ENUM:
    return (g_type_is_a (type, G_TYPE_ENUM) || g_type_is_a (type, G_TYPE_FLAGS)) &&
           (pspec ? gst_value_deserialize_with_pspec (value, text, pspec) : gst_value_deserialize (value, text));
  case DERUSH_PARAMETER_FRACTION:
    return type == GST_TYPE_FRACTION && gst_value_deserialize (value, text);
  case DERUSH_PARAMETER_CAPS:
    return type == GST_TYPE_CAPS && gst_value_deserialize (value, text);
  }
  return FALSE;
}

static gboolean
same_value (GParamSpec *pspec, const GValue *a, const GValue *b)
{
  int order = gst_value_compare (a, b);

  return order == GST_VALUE_EQUAL || (order == GST_VALUE_UNORDERED && g_param_values_cmp (pspec, a, b) == 0);
}

static gboolean
set_and_read_back (DerushParameter *parameter, GstElement *element, GParamSpec *pspec, GValue *value, GError **error)
{
  g_auto (GValue) read = G_VALUE_INIT;
  g_auto (GValue) checked = G_VALUE_INIT;

  g_value_init (&checked, G_VALUE_TYPE (value));
  g_value_copy (value, &checked);
  if (g_param_value_validate (pspec, &checked) && !same_value (pspec, &checked, value))
    return refuse (parameter, parameter->value, _ ("it is out of the range of the element's property"), error);
  g_object_set_property (G_OBJECT (element), pspec->name, value);
  g_value_init (&read, pspec->value_type);
  g_object_get_property (G_OBJECT (element), pspec->name, &read);
  if (!same_value (pspec, &read, value))
    return refuse (parameter, parameter->value, _ ("the element did not take it"), error);
  return TRUE;
}

static gboolean
bind_caps_field (DerushParameter *parameter, GstElement *element, GParamSpec *pspec, GError **error)
{
  g_autoptr (GstCaps) caps = NULL;
  g_auto (GValue) field = G_VALUE_INIT;
  g_auto (GValue) value = G_VALUE_INIT;
  const GType types[] = {
      [DERUSH_PARAMETER_BOOLEAN] = G_TYPE_BOOLEAN, [DERUSH_PARAMETER_INT] = G_TYPE_INT,
      [DERUSH_PARAMETER_DOUBLE] = G_TYPE_DOUBLE,   [DERUSH_PARAMETER_STRING] = G_TYPE_STRING,
      [DERUSH_PARAMETER_ENUM] = G_TYPE_NONE,       [DERUSH_PARAMETER_FRACTION] = GST_TYPE_FRACTION,
      [DERUSH_PARAMETER_CAPS] = GST_TYPE_CAPS,
  };

  if (pspec->value_type != GST_TYPE_CAPS || parameter->type == DERUSH_PARAMETER_ENUM)
    return refuse (parameter, parameter->value, _ ("the template binds a field of something that is no caps"), error);
  if (!text_to_value (parameter, types[parameter->type], NULL, &field))
    return refuse (parameter, parameter->value, _ ("it has the wrong type"), error);
  g_object_get (element, pspec->name, &caps, NULL);
  if (!caps || gst_caps_is_any (caps))
    return refuse (parameter, parameter->value, _ ("the template's caps are missing"), error);
  caps = gst_caps_make_writable (g_steal_pointer (&caps));
  gst_caps_set_value (caps, parameter->field, &field);
  g_value_init (&value, GST_TYPE_CAPS);
  gst_value_set_caps (&value, caps);
  return set_and_read_back (parameter, element, pspec, &value, error);
}

gboolean
derush_parameter_bind (DerushParameter *parameter, GstElement *element, GError **error)
{
  GParamSpec *pspec = g_object_class_find_property (G_OBJECT_GET_CLASS (element), parameter->property);
  g_auto (GValue) value = G_VALUE_INIT;

  if (!pspec || !(pspec->flags & G_PARAM_WRITABLE) || !(pspec->flags & G_PARAM_READABLE) ||
      (pspec->flags & G_PARAM_CONSTRUCT_ONLY)) {
    g_set_error (error, DERUSH_MEDIA_ERROR, DERUSH_ERROR_INTERNAL,
                 _ ("The element “%s” has no property “%s” that can be set and read"), parameter->element,
                 parameter->property);
    return FALSE;
  }
  if (parameter->field)
    return bind_caps_field (parameter, element, pspec, error);
  if (!text_to_value (parameter, pspec->value_type, pspec, &value))
    return refuse (parameter, parameter->value, _ ("it does not fit the element's property"), error);
  return set_and_read_back (parameter, element, pspec, &value, error);
}
