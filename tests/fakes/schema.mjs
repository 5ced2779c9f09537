// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a request fits what its provider has published. OpenAPI's schemas: JSON Schema with references by name.
import fs from 'node:fs';

const { requests, schemas } = JSON.parse(fs.readFileSync(new URL('openai-requests.json', import.meta.url)));

function typeOf(value) {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

function isType(value, type) {
  return type === 'integer' ? Number.isInteger(value) : typeOf(value) === type;
}

// What does not fit, as texts that begin with where it is. A @part of a schema knows some of the members, not all. The server
// refuses members that it does not know, wherever they are.
function check(schema, value, place, part = false) {
  if (schema.$ref)
    return check(schemas[schema.$ref], value, place, part);
  if (schema.nullable && value === null)
    return [];
  const faults = [];
  const types = [schema.type ?? []].flat();
  const choices = schema.anyOf ?? schema.oneOf;

  if (types.length && !types.some(type => isType(value, type)))
    return [`${place}: is ${typeOf(value)}, must be ${types.join(' or ')}`];
  if (schema.enum && !schema.enum.includes(value))
    faults.push(`${place}: is ${JSON.stringify(value)}, must be one of ${schema.enum.join(', ')}`);
  if (schema.const !== undefined && value !== schema.const)
    faults.push(`${place}: must be ${schema.const}`);
  if (typeof value === 'number' && (value < schema.minimum || value > schema.maximum))
    faults.push(`${place}: ${value} is out of range`);
  if (typeof value === 'string' && ([...value].length < schema.minLength || [...value].length > schema.maxLength))
    faults.push(`${place}: its length is out of range`);
  if (Array.isArray(value)) {
    if (value.length < schema.minItems || value.length > schema.maxItems)
      faults.push(`${place}: its number of items is out of range`);
    faults.push(...value.flatMap((item, i) => check(schema.items ?? {}, item, `${place}/${i}`)));
  } else if (typeOf(value) === 'object') {
    for (const name of schema.required ?? [])
      if (value[name] === undefined)
        faults.push(`${place}: has no ${name}`);
    const known = members(schema);

    for (const [name, member] of Object.entries(value))
      if (schema.properties?.[name])
        faults.push(...check(schema.properties[name], member, `${place}/${name}`));
      else if (!part && known.length && !known.includes(name))
        faults.push(`${place}/${name}: is unknown`);
  }
  for (const one of schema.allOf ?? [])
    faults.push(...check(one, value, place, true));
  if (choices) {
    const each = choices.map(choice => check(choice, value, place));

    // Of a choice that nothing fits, the one that fits best says why.
    if (!each.some(one => !one.length))
      faults.push(...each.sort((a, b) => a.length - b.length)[0]);
  }
  return faults;
}

// Every member that the schema knows, those of its parts as well.
function members(schema) {
  if (schema.$ref)
    return members(schemas[schema.$ref]);
  return [...Object.keys(schema.properties ?? {}), ...(schema.allOf ?? []).flatMap(members)];
}

// A form's fields as the schema sees them: lists are named with brackets, numbers are texts.
function membersOfForm(form, schema) {
  return Object.fromEntries(Object.entries(form).map(([name, values]) => {
    const bare = name.replace(/\[\]$/, ''), type = schema.properties[bare]?.type;
    const value = type === 'array' ? values : type === 'number' ? Number(values[0]) : type === 'boolean' ? values[0] === 'true' : values[0];

    return [bare, typeof value === 'object' && value.data ? 'a file' : value];
  }));
}

/** What is wrong with a request of this path; an empty list: nothing is, or nothing is published. */
export function faultsOf(path, { json, form }) {
  const name = requests[path];
  const value = json ?? (form && name && membersOfForm(form, schemas[name]));

  if (!name || !value)
    return [];
  return check(schemas[name], value, '');
}
