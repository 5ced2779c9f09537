/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Values of template parameters: from JSON to a property, by type, never silently altered. */

#pragma once

#include "media-private.h"

G_BEGIN_DECLS

typedef enum {
  DERUSH_PARAMETER_BOOLEAN,
  DERUSH_PARAMETER_INT, /* every integer type of GObject */
  DERUSH_PARAMETER_DOUBLE,
  DERUSH_PARAMETER_STRING,
  DERUSH_PARAMETER_ENUM,
  DERUSH_PARAMETER_FRACTION,
  DERUSH_PARAMETER_CAPS,
} DerushParameterType;

/**
 * DerushParameter:
 * @name: as the worker and `derush pipeline` call it
 * @type: how its text is read
 * @element: the element it is bound to
 * @property: of the element
 * @field: (nullable): of the caps that are @property's value
 * @has_range: whether @minimum and @maximum hold
 * @value: (nullable): what will be bound, as text that gst_value_deserialize() reads
 */
typedef struct {
  char *name;
  DerushParameterType type;
  char *element;
  char *property;
  char *field;
  gboolean has_range;
  double minimum;
  double maximum;
  GStrv choices;
  char *value;
} DerushParameter;

void derush_parameter_free (DerushParameter *parameter);

gboolean derush_parameter_type_from_string (const char *text, DerushParameterType *type);

/* Checks @value against the parameter's type and range and keeps it. */
gboolean derush_parameter_set (DerushParameter *parameter, const char *value, GError **error);
gboolean derush_parameter_set_json (DerushParameter *parameter, JsonNode *value, GError **error);

/* Sets the property and reads it back. */
gboolean derush_parameter_bind (DerushParameter *parameter, GstElement *element, GError **error);

G_END_DECLS
