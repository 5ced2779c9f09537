// SPDX-License-Identifier: LGPL-2.1-or-later
// A fake of OpenAI's server and of those that speak its language with an accent of their own. What it is asked is checked:
// an unknown member or field, a wrong type or a missing one is refused as the real server does.
// usage: node openai.mjs [--dialect openai|whispercpp|speaches|kokoro|ollama|llamacpp|localai|vllm|gpt4o|plain|large] [--key KEY] [--port PORT] [--tls]
import { parseArgs } from 'node:util';
import { faultsOf } from './schema.mjs';
import { exampleOf, makeMp3, makePng, makeWav, Refusal, serve } from './lib.mjs';

const { values: options } = parseArgs({ options: {
  dialect: { type: 'string', default: 'openai' },
  key: { type: 'string', default: '' },
  port: { type: 'string', default: '0' },
  tls: { type: 'boolean', default: false },
} });
const dialect = options.dialect;
const picky = ['openai', 'gpt4o', 'speaches', 'kokoro'].includes(dialect);

function refuse(status, message, code = null, param = null) {
  throw new Refusal(status, message, { code, param });
}

// Each server has its own form of an error.
function fail({ status, message, code, param }) {
  switch (dialect) {
    case 'whispercpp':
      return { status, body: { error: message } };
    case 'speaches':
      return { status, body: status === 422 ? { detail: [{ loc: ['body', param], msg: message, type: 'value_error' }] } : { detail: message } };
    case 'kokoro':
      return { status, body: { detail: { error: code ?? 'validation_error', message, type: 'invalid_request_error' } } };
    case 'llamacpp':
    case 'localai':
      return { status, body: { error: { code: status, message, type: 'invalid_request_error' } } };
    case 'vllm':
      return { status, body: { object: 'error', message, type: 'BadRequestError', code: status } };
    default:
      return { status, headers: { 'x-request-id': 'req_fake' }, body: { error: { message, type: 'invalid_request_error', param: param ?? null, code: code ?? null } } };
  }
}

function only(object, allowed) {
  for (const name of Object.keys(object))
    if (picky && !allowed.includes(name))
      refuse(400, `Unknown parameter: '${name}'.`, 'unknown_parameter', name);
}

function need(object, name, type) {
  if (object?.[name] === undefined)
    refuse(400, `Missing required parameter: '${name}'.`, 'missing_required_parameter', name);
  if (type && typeof object[name] !== type)
    refuse(400, `Invalid type for '${name}': expected ${type}.`, 'invalid_type', name);
}

// ── Transcriptions ──────────────────────────────────────────────────────────

const words = ['never', 'a', 'planted', 'word', 'is', 'lost'];

function transcription(seconds, { granularities, language }) {
  const step = seconds / words.length;
  const scale = dialect === 'localai' ? 1e9 : 1;
  const times = words.map((word, i) => ({ word, start: scale * i * step, end: scale * (i + 1) * step }));
  const segment = { id: 0, seek: 0, start: 0, end: scale * seconds, text: ` ${words.join(' ')}.`, tokens: [1], temperature: 0, avg_logprob: -0.2, compression_ratio: 1.1, no_speech_prob: 0.01 };
  const whole = { task: 'transcribe', language: language ?? 'english', duration: seconds, text: `${words.join(' ')}.`, segments: [segment], usage: { type: 'duration', seconds: Math.ceil(seconds) } };

  if (dialect === 'whispercpp')
    segment.words = times;
  else if (granularities.includes('word'))
    whole.words = times;
  if (dialect === 'localai') {
    delete whole.language;
    delete whole.duration;
  }
  return whole;
}

function transcribe({ form }) {
  const known = ['file', 'model', 'language', 'prompt', 'response_format', 'temperature', 'timestamp_granularities[]', 'include[]', 'stream', 'chunking_strategy'];
  const file = form?.file?.[0], format = form?.response_format?.[0] ?? 'json', granularities = form?.['timestamp_granularities[]'] ?? [];

  only(form ?? {}, known);
  if (!file?.data)
    refuse(400, 'file is missing', null, 'file');
  if (!form.model && dialect !== 'whispercpp')
    refuse(400, 'you must provide a model parameter', null, 'model');
  if (!/\.(flac|mp3|mp4|mpeg|mpga|m4a|ogg|wav|webm)$/.test(file.fileName))
    refuse(400, "Unrecognized file format.", null, 'file');
  if (file.data.length > 26214400 && dialect !== 'large')
    refuse(413, `Maximum content size limit (26214400) exceeded (${file.data.length} bytes read)`);
  const seconds = (file.data.length - 44) / file.data.readUInt32LE(28);

  if (dialect === 'whispercpp' && !form.language)
    refuse(400, 'the language was taken for English');
  if (dialect === 'gpt4o' && format !== 'json' && format !== 'text')
    refuse(400, `response_format '${format}' is not compatible with model 'gpt-4o-transcribe'. Use 'json' or 'text' instead.`, 'unsupported_value', 'response_format');
  if (granularities.length && format !== 'verbose_json')
    refuse(400, 'timestamp_granularities needs response_format verbose_json', null, 'timestamp_granularities');
  if (dialect === 'speaches' && granularities.length > 1)
    return { status: 500, type: 'text/plain', body: 'Internal Server Error' };
  const whole = transcription(seconds, { granularities, language: form.language?.[0] === 'auto' ? undefined : form.language?.[0] });

  return { body: format === 'verbose_json' ? whole : { text: whole.text, usage: { type: 'tokens', input_tokens: 10, output_tokens: 7, total_tokens: 17 } } };
}

// ── Speech ──────────────────────────────────────────────────────────────────

const voices = ['alloy', 'ash', 'ballad', 'coral', 'echo', 'fable', 'onyx', 'nova', 'sage', 'shimmer', 'verse', 'marin', 'cedar'];

function speak({ json }) {
  only(json, ['model', 'input', 'voice', 'instructions', 'response_format', 'speed', 'stream_format', ...(dialect === 'kokoro' ? ['stream', 'lang_code'] : [])]);
  need(json, 'model', 'string');
  need(json, 'input', 'string');
  need(json, 'voice');
  if (json.input.length > 4096)
    refuse(400, 'string too long', 'string_above_max_length', 'input');
  if (json.speed !== undefined && (json.speed < 0.25 || json.speed > 4))
    refuse(dialect === 'speaches' ? 422 : 400, 'out of range', null, 'speed');
  if (dialect === 'openai' && !voices.includes(json.voice))
    refuse(400, `Unknown voice ${json.voice}`, null, 'voice');
  if (dialect === 'plain' && (json.response_format ?? 'mp3') !== 'wav')
    refuse(400, "response_format must be wav", null, 'response_format');
  const seconds = json.input.length / 15 / (json.speed ?? 1);

  switch (json.response_format ?? 'mp3') {
    case 'wav':
      return { chunked: true, type: 'audio/wav', body: makeWav(seconds, { unknownLength: dialect === 'openai' }) };
    case 'mp3':
      return { chunked: true, type: 'audio/mpeg', body: makeMp3(seconds) };
    default:
      return refuse(400, `the fake does not make ${json.response_format}`, null, 'format');
  }
}

// ── Chat ────────────────────────────────────────────────────────────────────

function checkMessages(messages) {
  if (!Array.isArray(messages) || !messages.length)
    refuse(400, "Invalid 'messages': empty array.", 'empty_array', 'messages');
  for (const { role, content } of messages) {
    if (!['system', 'developer', 'user', 'assistant', 'tool'].includes(role))
      refuse(400, `Invalid role ${role}`, null, 'messages');
    for (const part of Array.isArray(content) ? content : []) {
      if (part.type === 'image_url' && !/^data:image\/(png|jpeg|webp);base64,[A-Za-z0-9+/]+=*$/.test(part.image_url.url))
        refuse(400, 'invalid image', null, 'messages');
      if (!['text', 'image_url'].includes(part.type))
        refuse(400, `Invalid part ${part.type}`, null, 'messages');
    }
  }
}

function checkStrict(schema) {
  for (const word of ['minLength', 'maxLength', 'uniqueItems', 'default'])
    if (schema[word] !== undefined)
      refuse(400, `Invalid schema for response_format: '${word}' is not permitted.`, null, 'response_format');
  if (schema.type === 'object' && (schema.additionalProperties !== false || Object.keys(schema.properties ?? {}).some(name => !schema.required?.includes(name))))
    refuse(400, "Invalid schema for response_format: 'additionalProperties' is required to be supplied and to be false.", null, 'response_format');
  for (const inner of [...Object.values(schema.properties ?? {}), ...(schema.items ? [schema.items] : [])])
    checkStrict(inner);
}

function translationOf(messages) {
  const question = JSON.parse(messages.findLast(one => one.role === 'user' && /^\{/.test(one.content)).content);

  return { source: question.source ?? 'en', translations: question.texts.map(text => text && `${question.target}:${text}`) };
}

function reply({ messages, response_format: format }, plan) {
  const schema = format?.json_schema?.schema;

  if (plan?.content !== undefined)
    return plan.content;
  if (/^You translate\./.test(messages.find(one => one.role === 'system' && /translate/.test(one.content))?.content ?? ''))
    return JSON.stringify(translationOf(messages));
  if (schema)
    return JSON.stringify(exampleOf(schema));
  const told = messages.find(one => one.role === 'system' && /JSON schema:\n/.test(one.content));

  if (told)
    return `<think>Let me see.</think>\n\`\`\`json\n${JSON.stringify(exampleOf(JSON.parse(told.content.split('JSON schema:\n')[1])))}\n\`\`\``;
  return `You said: ${JSON.stringify(messages.at(-1).content).slice(0, 80)}`;
}

function chat({ json }, plan) {
  const format = json.response_format?.type;

  only(json, ['model', 'messages', 'max_completion_tokens', 'max_tokens', 'temperature', 'top_p', 'n', 'seed', 'stop', 'stream', 'response_format', 'store']);
  need(json, 'model', 'string');
  checkMessages(json.messages);
  if (dialect === 'openai' && json.max_tokens !== undefined)
    refuse(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", 'unsupported_parameter', 'max_tokens');
  if (['ollama', 'plain'].includes(dialect) && json.max_completion_tokens !== undefined)
    refuse(400, 'unknown field max_completion_tokens', null, 'max_completion_tokens');
  if (dialect === 'gpt4o' && json.temperature !== undefined && json.temperature !== 1)
    refuse(400, "Unsupported value: 'temperature' does not support this value.", 'unsupported_value', 'temperature');
  if (format && !['json_schema', 'json_object', 'text'].includes(format))
    refuse(400, 'Invalid response_format', null, 'response_format');
  if (format === 'json_schema') {
    if (['llamacpp', 'plain', 'vllm'].includes(dialect))
      refuse(400, dialect === 'llamacpp' ? 'Either "json_schema" or "grammar" can be specified, but not both' : 'json_schema is not supported by response_format', null, 'response_format');
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(json.response_format.json_schema?.name ?? ''))
      refuse(400, 'Invalid name', null, 'response_format.json_schema.name');
    if (json.response_format.json_schema.strict)
      checkStrict(json.response_format.json_schema.schema);
  }
  if (format === 'json_object' && dialect === 'plain')
    refuse(400, 'response_format json_object is not supported', null, 'response_format');
  if (format === 'json_object' && !/json/i.test(JSON.stringify(json.messages)))
    refuse(400, "'messages' must contain the word 'json' in some form", null, 'messages');
  const message = { role: 'assistant', content: reply(json, plan) };
  const body = { id: 'chatcmpl-fake', object: 'chat.completion', created: 1, model: `${json.model}-fake`, choices: [{ index: 0, finish_reason: plan?.finish ?? 'stop', message, logprobs: null }] };

  if (plan?.fault === 'refusal') {
    message.content = null;
    message.refusal = 'I cannot help with that.';
  } else if (!['llamacpp', 'ollama'].includes(dialect)) {
    message.refusal = null;
  }
  if (dialect !== 'plain')
    body.usage = { prompt_tokens: Math.ceil(JSON.stringify(json.messages).length / 4), completion_tokens: 20, total_tokens: 0, prompt_tokens_details: { cached_tokens: 0 } };
  return { body };
}

// ── Pictures ────────────────────────────────────────────────────────────────

function image({ json, base }) {
  const gpt = json.model?.startsWith('gpt-image');

  only(json, ['model', 'prompt', 'n', 'size', 'quality', 'style', 'background', 'output_format', 'output_compression', 'moderation', 'response_format', 'user']);
  need(json, 'prompt', 'string');
  if (gpt && json.response_format !== undefined)
    refuse(400, "Unknown parameter: 'response_format'.", 'unknown_parameter', 'response_format');
  if (json.model === 'dall-e-3' && (json.n ?? 1) !== 1)
    refuse(400, 'dall-e-3 makes one picture', null, 'n');
  if (json.model === 'gpt-image-1' && !['1024x1024', '1536x1024', '1024x1536', 'auto', undefined].includes(json.size))
    refuse(400, `Invalid value: '${json.size}'.`, 'invalid_value', 'size');
  if (gpt && json.quality && !['low', 'medium', 'high', 'auto'].includes(json.quality))
    refuse(400, `Invalid value: '${json.quality}'.`, 'invalid_value', 'quality');
  const [width, height] = (/^\d+x\d+$/.test(json.size) ? json.size : '512x512').split('x').map(Number);
  const data = Array.from({ length: dialect === 'plain' ? 1 : json.n ?? 1 }, (_, i) => dialect === 'localai'
    ? { url: `${base}/__picture?${width}x${height}x${i}` }
    : { b64_json: makePng(width, height, 40 * i).toString('base64'), revised_prompt: json.prompt });

  return { body: { created: 1, data, ...(gpt ? { usage: { input_tokens: 10, output_tokens: 1000, total_tokens: 1010 } } : {}) } };
}

// ── Addresses ───────────────────────────────────────────────────────────────

function authorise({ headers }) {
  if (options.key && headers.authorization !== `Bearer ${options.key}`)
    refuse(401, `Incorrect API key provided: ${(headers.authorization ?? '').slice(7, 15)}***. You can find your API key at the account page.`, 'invalid_api_key');
  if (headers.authorization !== undefined && !/^Bearer \S+$/.test(headers.authorization))
    refuse(401, 'empty bearer', 'invalid_api_key');
}

const roads = {
  'POST /v1/audio/transcriptions': transcribe,
  'POST /v1/audio/speech': speak,
  'POST /v1/chat/completions': chat,
  'POST /v1/images/generations': image,
  'GET /v1/models': () => ({ body: { object: 'list', data: [{ id: 'fake-1', object: 'model', created: 1, owned_by: 'fake' }] } }),
};

if (dialect === 'whispercpp') {
  for (const road of Object.keys(roads))
    delete roads[road];
  roads['POST /inference'] = transcribe;
}

let base;
const { port } = await serve({ port: Number(options.port), tls: options.tls, fail, handle: (asked, plan) => {
  const road = roads[`${asked.method} ${asked.path}`];

  if (asked.path === '/__picture') {
    const [width, height, i] = asked.query.split('x').map(Number);

    if (asked.headers.authorization)
      refuse(400, 'the key was sent to another address');
    return { type: 'image/png', body: makePng(width, height, 40 * i) };
  }
  if (!road)
    return { status: 404, type: 'text/plain', body: 'File Not Found' };
  authorise(asked);
  if (dialect === 'openai' || dialect === 'gpt4o') {
    const [fault] = faultsOf(asked.path, asked);

    if (fault)
      refuse(400, `does not fit the published schema: ${fault}`, 'schema');
  }
  return road({ ...asked, base }, plan);
} });

base = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
console.log(`listening ${base}/v1`);
