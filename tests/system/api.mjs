// SPDX-License-Identifier: LGPL-2.1-or-later
// Asks the HTTP interface of derushd, and holds every answer against the description in data/openapi.json.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { sourceDirectory } from './lib.mjs';

export const description = JSON.parse(fs.readFileSync(path.join(sourceDirectory, 'data/openapi.json'), 'utf8'));
/** The operations that were asked: `GET /healthz`. */
export const seen = new Set();

// ── The description ─────────────────────────────────────────────────────────

const resolve = schema => schema.$ref
  ? resolve(schema.$ref.split('/').slice(1).reduce((object, name) => object[name], description)) : schema;

/** The part of JSON Schema that the description uses. */
function check(schema, value, where) {
  schema = resolve(schema);
  for (const part of schema.allOf ?? []) check(part, value, where);
  if (schema.enum) assert.ok(schema.enum.includes(value), `${where} is ${value}, not one of ${schema.enum}`);
  if (schema.type === 'object') {
    assert.ok(value && typeof value === 'object' && !Array.isArray(value), `${where} is an object`);
    for (const name of schema.required ?? []) assert.ok(name in value, `${where} has ${name}`);
    for (const [name, member] of Object.entries(value)) {
      if (schema.properties?.[name]) check(schema.properties[name], member, `${where}.${name}`);
      else if (schema.additionalProperties === false) assert.fail(`${where}.${name} is described`);
      else if (typeof schema.additionalProperties === 'object') check(schema.additionalProperties, member, `${where}.${name}`);
    }
  } else if (schema.type === 'array') {
    assert.ok(Array.isArray(value), `${where} is an array`);
    value.forEach((item, i) => check(schema.items ?? {}, item, `${where}[${i}]`));
  } else if (schema.type === 'integer') {
    assert.ok(Number.isInteger(value), `${where} is a whole number`);
  } else if (schema.type) {
    assert.equal(typeof value, schema.type, where);
  }
}

const patternOf = template => new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`);
const templates = Object.keys(description.paths).sort((a, b) => a.includes('{') - b.includes('{'));

function checkAnswer(method, url, status, type, body) {
  const template = templates.find(candidate => patternOf(candidate).test(url.pathname));
  const operation = description.paths[template]?.[method.toLowerCase()];
  const answer = operation?.responses?.[status];

  assert.ok(answer, `${method} ${url.pathname} with ${status} is described`);
  const content = Object.entries(resolve(answer).content ?? {}).find(([name]) => type.startsWith(name));
  assert.ok(content, `${type} of ${method} ${template} is described`);
  seen.add(`${method} ${template}`);
  if (typeof body === 'object') check(content[1].schema, body, `${method} ${template} ${status}`);
}

export async function ask(base, pathname, { method = 'GET', body, headers = {}, described = true } = {}) {
  const url = new URL(pathname, base);
  const response = await fetch(url, { method, headers: { ...body !== undefined && { 'content-type': 'application/json' }, ...headers },
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body) });
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  const value = type.startsWith('application/json') ? JSON.parse(text) : text;

  if (described) checkAnswer(method, url, response.status, type, value);
  return { status: response.status, body: value, data: value?.data, error: value?.error, headers: response.headers };
}
export const post = (base, pathname, body, options) => ask(base, pathname, { method: 'POST', body, ...options });
