// SPDX-License-Identifier: LGPL-2.1-or-later
// What the fakes of model servers share: a server on a free port, forms, a plan of faults, a log of what was asked.
// POST /__faults takes a list of faults, the first for the next request; GET /__log answers what was asked since the start.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import zlib from 'node:zlib';

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

export class Refusal extends Error {
  constructor(status, message, details = {}) {
    super(message);
    this.status = status;
    Object.assign(this, details);
  }
}

// ── Requests ────────────────────────────────────────────────────────────────

async function readBody(request, plan) {
  const chunks = [];

  for await (const chunk of request) {
    chunks.push(chunk);
    if (plan?.fault === 'slow-upload')
      await sleep(plan.delay ?? 20);
  }
  return Buffer.concat(chunks);
}

// What is there is found out before what is in the body.
function jsonOrNothing(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

// RFC 7578: {name: [value or {fileName, type, data}]}
export function parseForm(body, contentType) {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType ?? '')?.[1];
  const fields = {};

  if (!boundary)
    throw new Refusal(400, 'the form has no boundary');
  const mark = Buffer.from(`--${boundary}`);
  let position = body.indexOf(mark);

  // The line end behind the last boundary may be missing.
  if (position !== 0 || !body.subarray(-mark.length - 4).toString('latin1').trimEnd().endsWith(`--${boundary}--`))
    throw new Refusal(400, 'the form is not whole');
  for (;;) {
    const start = position + mark.length + 2;
    const end = body.indexOf(`\r\n--${boundary}`, start);

    if (end < 0)
      break;
    const part = body.subarray(start, end);
    const head = part.subarray(0, part.indexOf('\r\n\r\n')).toString();
    const data = part.subarray(part.indexOf('\r\n\r\n') + 4);
    const name = /[; ]name="([^"]*)"/.exec(head)?.[1];
    const fileName = /filename="([^"]*)"/.exec(head)?.[1];

    (fields[name] ??= []).push(fileName === undefined ? data.toString()
      : { fileName, type: /content-type: *(\S+)/i.exec(head)?.[1], data });
    position = end + 2;
  }
  return fields;
}

// ── Answers that depend on what was asked ───────────────────────────────────

/** Eight hexadecimal digits. */
export function digestOf(...parts) {
  const digest = createHash('sha256');

  for (const part of parts)
    digest.update(part).update('\0');
  return digest.digest('hex').slice(0, 8);
}

const nouns = ['river', 'stone', 'garden', 'window', 'mountain', 'letter', 'market', 'winter', 'bridge', 'lantern', 'orchard', 'harbour', 'meadow', 'violin', 'candle', 'shepherd'];

/** The words of a speech: other samples, other words. */
export function heardIn(sound) {
  const digest = parseInt(digestOf(sound), 16);

  return ['never', 'a', 'planted', nouns[digest % 16], 'is', nouns[(digest >> 4) & 15]];
}

/** What is said about a conversation: what its users wrote and showed decides, but for the marks around data, which are random. */
export function wantedText(messages) {
  const asked = JSON.stringify(messages.filter(one => one.role === 'user').map(one => one.content));

  return `a text of ${digestOf(asked.replaceAll(/<\/?data id=\\"[0-9a-f]{16}\\">/g, ''))}`;
}

// ── Media ───────────────────────────────────────────────────────────────────

export function makeWav(seconds, { rate = 8000, pitch = 300, unknownLength = false } = {}) {
  const samples = Math.max(1, Math.round(seconds * rate));
  const wav = Buffer.alloc(44 + 2 * samples);

  wav.write('RIFF', 0);
  wav.writeUInt32LE(unknownLength ? 0xffffffff : 36 + 2 * samples, 4);
  wav.write('WAVEfmt ', 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(2 * rate, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36);
  wav.writeUInt32LE(unknownLength ? 0xffffffff : 2 * samples, 40);
  for (let i = 0; i < samples; i++)
    wav.writeInt16LE(Math.round(8000 * Math.sin(2 * Math.PI * pitch * i / rate)), 44 + 2 * i);
  return wav;
}

// Frames of MPEG-1 layer III, 128 kbit/s, 44.1 kHz, silent.
export function makeMp3(seconds) {
  const frame = Buffer.alloc(417);

  frame.writeUInt32BE(0xfffb9000, 0);
  return Buffer.concat(Array(Math.ceil(seconds * 44100 / 1152)).fill(frame));
}

function crc32(buffer) {
  let crc = ~0;

  for (const byte of buffer) {
    crc ^= byte;
    for (let k = 0; k < 8; k++)
      crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function pngChunk(type, data) {
  const chunk = Buffer.alloc(12 + data.length);

  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, 'latin1');
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

export function makePng(width, height, grey = 128) {
  const header = Buffer.alloc(13), rows = Buffer.alloc((width + 1) * height, grey);

  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  for (let y = 0; y < height; y++)
    rows[y * (width + 1)] = 0; // no filter
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), pngChunk('IHDR', header),
    pngChunk('IDAT', zlib.deflateSync(rows)), pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

// ── JSON schemas: values that fit ───────────────────────────────────────────

// What begins also ends, after it has begun; texts are @text.
export function exampleOf(schema, text = 'a text', name = '') {
  if (schema.const !== undefined)
    return schema.const;
  if (schema.enum)
    return schema.enum[0];
  switch (Array.isArray(schema.type) ? schema.type[0] : schema.type) {
    case 'object':
      return Object.fromEntries((schema.required ?? Object.keys(schema.properties ?? {})).map(name =>
        [name, exampleOf(schema.properties?.[name] ?? {}, text, name)]));
    case 'array':
      return Array.from({ length: schema.minItems ?? 1 }, () => exampleOf(schema.items ?? { type: 'string' }, text));
    case 'number':
    case 'integer':
      return Math.min((schema.minimum ?? 0) + (/^end/.test(name) ? 1 : 0), schema.maximum ?? Infinity);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      if (name === 'language')
        return 'en';
      return text.padEnd(schema.minLength ?? 0, '.').slice(0, schema.maxLength);
  }
}

// ── Faults ──────────────────────────────────────────────────────────────────

const big = () => Buffer.alloc(1 << 20, 0x20);

// What a fault does in place of, or to, an answer. TRUE: nothing else is to be sent.
async function misbehave(plan, request, response) {
  const socket = request.socket;

  switch (plan.fault) {
    case 'status':
      response.writeHead(plan.status, { 'content-type': 'application/json', ...plan.headers });
      response.end(typeof plan.body === 'string' ? plan.body : JSON.stringify(plan.body ?? { error: { message: `status ${plan.status}`, type: 'server_error', param: null, code: null } }));
      return true;
    case 'reset':
      socket.resetAndDestroy();
      return true;
    case 'close':
      socket.end();
      return true;
    case 'silent':
      return true;
    case 'html':
      response.writeHead(200, { 'content-type': 'text/html' });
      response.end('<!doctype html><title>Welcome</title>');
      return true;
    case 'invalid-json':
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"text": "no end');
      return true;
    case 'drip':
      response.writeHead(200, { 'content-type': 'application/json' });
      for (let i = 0; i < 1000 && !socket.destroyed; i++) {
        response.write(' ');
        await sleep(50);
      }
      return true;
    case 'huge':
      response.writeHead(200, { 'content-type': 'application/json' });
      for (let i = 0; i < 1024 && !socket.destroyed; i++)
        while (!response.write(big()) && response.writableNeedDrain && !socket.destroyed)
          await sleep(1);
      response.end();
      return true;
    case 'huge-length':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1 << 30 });
      response.write('{');
      return true;
    case 'redirect':
      response.writeHead(307, { location: plan.location });
      response.end();
      return true;
    case 'delay':
      await sleep(plan.delay);
      return false;
    default:
      return false;
  }
}

// A chunked body that ends in its middle, or one that is shorter than its length says.
function sendCut(plan, response, answer) {
  const body = Buffer.isBuffer(answer.body) ? answer.body : Buffer.from(JSON.stringify(answer.body));
  const half = body.subarray(0, Math.floor(body.length / 2));
  const headers = { 'content-type': answer.type ?? 'application/json' };

  if (plan.fault === 'short')
    headers['content-length'] = body.length;
  response.writeHead(200, headers);
  response.write(half, () => response.socket.end());
}

function send(response, answer) {
  const body = answer.body === undefined ? Buffer.alloc(0)
    : Buffer.isBuffer(answer.body) || typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);

  response.writeHead(answer.status ?? 200, { 'content-type': answer.type ?? 'application/json', ...answer.headers });
  if (answer.chunked) {
    response.write(body);
    response.end();
  } else {
    response.end(body);
  }
}

// ── The server ──────────────────────────────────────────────────────────────

const pem = name => fs.readFileSync(new URL(name, import.meta.url));

/* handle (asked) answers {status?, type?, headers?, body}, or throws a Refusal that fail (refusal) turns into an answer. */
export async function serve({ handle, fail, port = 0, tls = false }) {
  const faults = [], log = [];
  const credentials = tls ? { key: pem('private-key.pem'), cert: pem('certificate.pem') } : {};
  const server = (tls ? https : http).createServer({ requestTimeout: 0, ...credentials }, async (request, response) => {
    response.on('error', () => {});
    request.on('error', () => {});
    try {
      await answer(request, response);
    } catch (error) {
      if (!response.headersSent && !request.socket.destroyed)
        send(response, { status: 500, body: { error: { message: String(error) } } });
    }
  });

  async function answer(request, response) {
    const url = new URL(request.url, 'http://fake');

    if (url.pathname === '/__log')
      return send(response, { body: log });
    if (url.pathname === '/__faults') {
      faults.length = 0;
      faults.push(...JSON.parse(await readBody(request)));
      log.length = 0;
      return send(response, { body: {} });
    }
    const plan = faults.find(one => !one.path || url.pathname.endsWith(one.path));

    if (plan && !plan.always && --plan.times > 0 === false)
      faults.splice(faults.indexOf(plan), 1);
    const asked = { method: request.method, path: url.pathname, query: url.search.slice(1), headers: request.headers };

    log.push(asked);
    if (plan?.early && await misbehave(plan, request, response))
      return;
    asked.body = await readBody(request, plan);
    asked.length = asked.body.length;
    asked.connection = request.socket.remotePort;
    if (/^multipart\//.test(request.headers['content-type'] ?? ''))
      asked.form = parseForm(asked.body, request.headers['content-type']);
    else if (/json/.test(request.headers['content-type'] ?? ''))
      asked.json = jsonOrNothing(asked.body);
    const made = { ...asked };

    asked.body = undefined;
    if (asked.form)
      asked.form = Object.fromEntries(Object.entries(asked.form).map(([name, values]) =>
        [name, values.map(value => value.data ? { ...value, data: undefined, length: value.data.length } : value)]));
    if (plan && await misbehave(plan, request, response))
      return;
    let result;

    try {
      result = await handle(made, plan);
    } catch (error) {
      if (!(error instanceof Refusal))
        throw error;
      asked.refused = error.message;
      return send(response, fail(error));
    }
    if (plan?.fault === 'truncate' || plan?.fault === 'short')
      sendCut(plan, response, result);
    else if (plan?.fault === 'wrong-type')
      send(response, { ...result, type: 'text/plain' });
    else
      send(response, { ...result, headers: { ...result.headers, ...plan?.headers } });
  }

  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve));
  server.keepAliveTimeout = 10000;
  return { server, port: server.address().port, faults, log };
}
