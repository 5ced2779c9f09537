// SPDX-License-Identifier: LGPL-2.1-or-later
// A fake of OpenAI's server and of those that speak its language with an accent of their own. What it is asked is checked:
// what the real server refuses is refused, in the words and form of that server. What it answers depends on what it is asked.
// usage: node openai.mjs [--dialect NAME] [--key KEY] [--port PORT] [--tls] [--inference-path PATH] [--limit BYTES] [--loading N]
//   dialects: openai gpt4o whispercpp speaches kokoro ollama llamacpp localai vllm groq plain large
//   --inference-path: of whisper.cpp; --limit: of an upload; --loading: how many requests find the model not loaded yet
import { parseArgs } from 'node:util';
import { faultsOf } from './schema.mjs';
import { digestOf, exampleOf, heardIn, makeMp3, makePng, makeWav, Refusal, serve, wantedText } from './lib.mjs';

const { values: options } = parseArgs({ options: {
  dialect: { type: 'string', default: 'openai' },
  key: { type: 'string', default: '' },
  port: { type: 'string', default: '0' },
  tls: { type: 'boolean', default: false },
  'inference-path': { type: 'string', default: '/inference' },
  limit: { type: 'string', default: '26214400' },
  loading: { type: 'string', default: '0' },
} });
const dialect = options.dialect;
const limit = dialect === 'large' ? Infinity : Number(options.limit);
const isFastApi = ['speaches', 'kokoro', 'vllm'].includes(dialect);
let loading = Number(options.loading);

// Which of OpenAI's endpoints there are; of the others' own ones those that are asked for.
const everything = ['audio/transcriptions', 'audio/speech', 'chat/completions', 'images/generations', 'models'];
const served = {
  whispercpp: [],
  speaches: ['audio/transcriptions', 'audio/speech', 'models'],
  kokoro: ['audio/speech', 'models'],
  ollama: ['audio/transcriptions', 'chat/completions', 'models'],
  llamacpp: ['chat/completions', 'models'],
  vllm: ['audio/transcriptions', 'chat/completions', 'models'],
  groq: ['audio/transcriptions', 'audio/speech', 'chat/completions', 'models'],
}[dialect] ?? everything;

function refuse(status, message, code = null, param = null) {
  throw new Refusal(status, message, { code, param });
}

// What FastAPI finds wrong with a request before the server sees it.
function misfit(message, code, param) {
  refuse(isFastApi && dialect !== 'vllm' ? 422 : 400, message, code, param);
}

// Each server has its own form of an error.
function fail({ status, message, code, param }) {
  const details = [{ type: code ?? 'value_error', loc: ['body', param], msg: message, input: null }];

  switch (dialect) {
    case 'whispercpp':
      return { status, body: { error: message } };
    case 'speaches':
      return { status, body: { detail: status === 422 && param ? details : message } };
    case 'kokoro':
      return { status, body: { detail: status === 422 ? details : { error: code ?? 'validation_error', message, type: 'invalid_request_error' } } };
    case 'llamacpp':
      return { status, body: { error: { code: status, message, type: code ?? 'invalid_request_error' } } };
    case 'localai':
      return { status, body: { error: { code: status, message, type: '' } } };
    case 'vllm':
      return { status, body: { object: 'error', message, type: 'BadRequestError', param: null, code: status } };
    case 'ollama':
      return { status, body: { error: { message, type: status < 500 ? 'invalid_request_error' : 'api_error', param: null, code: null } } };
    case 'groq':
      return { status, body: { error: { message, type: 'invalid_request_error', ...(code ? { code } : {}), ...(param ? { param } : {}) } } };
    default:
      return { status, headers: { 'x-request-id': 'req_fake' }, body: { error: { message, type: status === 413 ? 'server_error' : 'invalid_request_error', param: param ?? null, code: code ?? null } } };
  }
}

// Nor do they agree on what is not there.
function nowhere({ method, path }) {
  const text = body => ({ status: 404, type: 'text/plain', body });

  if (dialect === 'whispercpp')
    return text(`File Not Found (${path})`);
  if (dialect === 'ollama')
    return text('404 page not found');
  if (isFastApi)
    return { status: 404, body: { detail: 'Not Found' } };
  return fail({ status: 404, message: dialect === 'llamacpp' ? 'File Not Found' : `Invalid URL (${method} ${path})`, code: dialect === 'llamacpp' ? 'not_found_error' : null });
}

function only(object, allowed) {
  for (const name of Object.keys(object))
    if (['openai', 'gpt4o', 'groq'].includes(dialect) && !allowed.includes(name))
      refuse(400, dialect === 'groq' ? `property '${name}' is unsupported` : `Unknown parameter: '${name}'.`, dialect === 'groq' ? null : 'unknown_parameter', name);
}

function need(object, name, type) {
  if (object?.[name] === undefined)
    misfit(isFastApi ? 'Field required' : `Missing required parameter: '${name}'.`, isFastApi ? 'missing' : 'missing_required_parameter', name);
  if (type && typeof object[name] !== type)
    misfit(`Invalid type for '${name}': expected ${type}.`, 'invalid_type', name);
}

// A model that nobody has: what a mistake in the settings looks like.
function needModel(model) {
  const absent = {
    speaches: `Model '${model}' is not installed locally. You can download the model using \`POST /v1/models\``,
    kokoro: `Unsupported model: ${model}`,
    ollama: `model "${model}" not found, try pulling it first`,
    vllm: `The model \`${model}\` does not exist.`,
  }[dialect] ?? `The model \`${model}\` does not exist or you do not have access to it.`;
  const known = { speaches: /^(whisper-1|tts-1|tts-1-hd|.+\/.+)$/, kokoro: /^(tts-1|tts-1-hd|kokoro|gpt-4o-mini-tts)$/ }[dialect] ?? /^(?!absent)/;

  if (!['llamacpp', 'whispercpp'].includes(dialect) && !known.test(model))
    refuse(dialect === 'kokoro' ? 400 : 404, absent, dialect === 'kokoro' ? 'invalid_model' : 'model_not_found', dialect === 'kokoro' ? null : 'model');
}

// ── Transcriptions ──────────────────────────────────────────────────────────

// whisper.cpp has tokens where others have words: what begins with no blank goes on with the word before it.
function tokensOf(words) {
  return [...words.flatMap(({ word, start, end }) => {
    const middle = Math.ceil(word.length / 2), half = (start + end) / 2;

    return word.length < 5 ? [{ word: ` ${word}`, start, end }] : [{ word: ` ${word.slice(0, middle)}`, start, end: half }, { word: word.slice(middle), start: half, end }];
  }), { word: '.', start: words.at(-1).end, end: words.at(-1).end }].map(token => ({ ...token, t_dtw: -1, probability: 0.8 }));
}

function transcription(data, seconds, { granularities, language }) {
  const words = dialect === 'whispercpp' && !language ? ['mistaken', 'for', 'English', 'it', 'has', 'been'] : heardIn(data);
  const step = seconds / words.length;
  const times = words.map((word, i) => ({ word, start: i * step, end: (i + 1) * step }));
  const text = `${words.join(' ')}.`;
  const segment = { id: 0, start: 0, end: seconds, text: ` ${text}`, tokens: [1] };
  const quality = { temperature: 0, avg_logprob: -0.2, no_speech_prob: 0.01 };

  switch (dialect) {
    case 'whispercpp':
      return { task: 'transcribe', language: 'english', duration: seconds, text: ` ${text}\n`, segments: [{ ...segment, words: tokensOf(times), ...quality }],
        detected_language: 'english', detected_language_probability: 0.9, language_probabilities: { en: 0.9 } };
    case 'localai': // it counts nanoseconds, and knows neither language nor words
      return { segments: [{ ...segment, end: Math.round(1e9 * seconds) }], text };
    default:
      return { task: 'transcribe', language: language ?? (dialect === 'speaches' ? 'en' : 'english'), duration: seconds, text, segments: [{ ...segment, seek: 0, ...quality, compression_ratio: 1.1 }],
        ...(granularities.includes('word') ? { words: times.map(one => (dialect === 'speaches' ? { ...one, word: ` ${one.word}`, probability: 0.8 } : one)) } : {}),
        ...(dialect === 'speaches' ? {} : { usage: { type: 'duration', seconds: Math.ceil(seconds) } }) };
  }
}

function checkSound(file) {
  if (!file?.data)
    misfit(dialect === 'whispercpp' ? "no 'file' field in the request" : isFastApi ? 'Field required' : 'file is missing', isFastApi ? 'missing' : null, 'file');
  if (!/\.(flac|mp3|mp4|mpeg|mpga|m4a|ogg|wav|webm)$/.test(file.fileName) && !isFastApi && dialect !== 'whispercpp')
    refuse(400, 'Unrecognized file format.', null, 'file');
  if (file.data.length > limit)
    refuse(413, dialect === 'groq' ? 'Request Entity Too Large' : `Maximum content size limit (${limit}) exceeded (${file.data.length} bytes read)`, dialect === 'groq' ? 'request_too_large' : null);
  if (file.data.toString('latin1', 0, 4) !== 'RIFF')
    refuse(400, dialect === 'whispercpp' ? 'failed to read audio data' : 'Invalid file format.', null, 'file');
}

function checkFormat(format, seconds) {
  if (dialect === 'gpt4o' && format !== 'json' && format !== 'text')
    refuse(400, `response_format '${format}' is not compatible with model 'gpt-4o-transcribe'. Use 'json' or 'text' instead.`, 'unsupported_value', 'response_format');
  if (dialect === 'gpt4o' && seconds > 1400)
    refuse(400, `audio duration ${seconds} seconds is longer than 1400 seconds which is the maximum for this model`, 'invalid_value');
  if (dialect === 'vllm' && format !== 'json' && format !== 'text')
    refuse(400, 'Currently only support response_format `text` or `json`');
  if (dialect === 'vllm' && seconds > 30)
    refuse(400, 'Maximum clip duration (30s) exceeded.');
  if (!['json', 'text', 'verbose_json', 'srt', 'vtt'].includes(format))
    refuse(dialect === 'localai' ? 500 : isFastApi ? 422 : 400, dialect === 'localai' ? 'invalid response_format' : `Invalid value: '${format}'.`, null, 'response_format');
}

function transcribe({ form }) {
  const known = ['file', 'model', 'language', 'prompt', 'response_format', 'temperature', 'timestamp_granularities[]', 'include[]', 'stream', 'chunking_strategy'];
  const file = form?.file?.[0], format = form?.response_format?.[0] ?? 'json', granularities = form?.['timestamp_granularities[]'] ?? [];

  only(form ?? {}, known);
  checkSound(file);
  if (!form.model && dialect !== 'whispercpp')
    misfit(isFastApi ? 'Field required' : 'you must provide a model parameter', isFastApi ? 'missing' : null, 'model');
  needModel(form.model?.[0]);
  const seconds = (file.data.length - 44) / file.data.readUInt32LE(28);

  if (/diarize/.test(form.model?.[0] ?? '')) {
    if (!['json', 'text', 'diarized_json'].includes(format) || form.prompt || granularities.length || (seconds > 30 && !form.chunking_strategy))
      refuse(400, 'chunking_strategy is required for this model; prompt and timestamp_granularities are not supported', 'invalid_value', 'chunking_strategy');
    const text = heardIn(file.data), half = Math.ceil(text.length / 2);
    const segments = [text.slice(0, half), text.slice(half)].filter(one => one.length).map((one, i) => ({ type: 'transcript.text.segment', id: `seg_${i}`,
      start: i * seconds / 2, end: (i + 1) * seconds / 2, text: ` ${one.join(' ')}`, speaker: 'AB'[i] }));
    return { body: { task: 'transcribe', duration: seconds, text: text.join(' '), segments, usage: { type: 'tokens', input_tokens: 10, output_tokens: 7, total_tokens: 17 } } };
  }
  checkFormat(format, seconds);
  if (['openai', 'gpt4o'].includes(dialect) && granularities.length && format !== 'verbose_json')
    refuse(400, "timestamp_granularities needs response_format 'verbose_json'", null, 'timestamp_granularities');
  if (dialect === 'speaches' && !['segment', 'word', 'word,segment', 'segment,word', ''].includes(granularities.join()))
    return { status: 500, type: 'text/plain', body: 'Internal Server Error' };
  if (['openai', 'gpt4o', 'groq'].includes(dialect) && form.language && !/^[a-z]{2,3}$/.test(form.language[0]))
    refuse(400, `Invalid language '${form.language[0]}'. Language parameter must be specified in ISO-639-1 format.`, 'invalid_language_format', 'language');
  const language = form.language?.[0];
  const whole = transcription(file.data, seconds, { granularities, language: dialect !== 'whispercpp' && language === 'auto' ? undefined : language });

  if (format === 'text')
    return { type: dialect === 'whispercpp' ? 'text/html; charset=utf-8' : 'text/plain', body: whole.text };
  if (dialect === 'ollama')
    return { body: { text: whole.text } };
  return { body: format === 'verbose_json' || dialect === 'localai' ? whole
    : { text: whole.text, ...(['openai', 'gpt4o'].includes(dialect) ? { usage: { type: 'tokens', input_tokens: 10, output_tokens: 7, total_tokens: 17 } } : {}) } };
}

// ── Speech ──────────────────────────────────────────────────────────────────

const openaiVoices = ['alloy', 'ash', 'ballad', 'coral', 'echo', 'fable', 'onyx', 'nova', 'sage', 'shimmer', 'verse', 'marin', 'cedar'];
const voices = {
  openai: openaiVoices,
  gpt4o: openaiVoices,
  kokoro: ['alloy', 'ash', 'coral', 'echo', 'fable', 'onyx', 'nova', 'sage', 'shimmer', 'af_heart', 'af_bella', 'bm_george'],
  groq: ['Fritz-PlayAI', 'Celeste-PlayAI'],
  plain: ['amy', 'joe'],
}[dialect];

function checkSpeech(json) {
  need(json, 'model', 'string');
  need(json, 'input', 'string');
  if (!['kokoro', 'plain', 'localai'].includes(dialect))
    need(json, 'voice', 'string');
  needModel(json.model);
  if (['openai', 'gpt4o'].includes(dialect) && [...json.input].length > 4096)
    refuse(400, 'string too long', 'string_above_max_length', 'input');
  if (json.speed !== undefined && !(json.speed >= 0.25 && json.speed <= 4))
    refuse(dialect === 'speaches' ? 422 : 400, 'speed must be between 0.25 and 4.0', null, dialect === 'speaches' ? null : 'speed');
  if (voices && json.voice !== undefined && !voices.includes(json.voice))
    refuse(400, ['kokoro', 'plain'].includes(dialect) ? `Voice '${json.voice}' not found. Available voices: ${voices.join(', ')}` : `Invalid value: '${json.voice}'. Supported values are: ${voices.join(', ')}.`,
      null, ['kokoro', 'plain'].includes(dialect) ? null : 'voice');
  if (['plain', 'groq'].includes(dialect) && (json.response_format ?? 'mp3') !== 'wav')
    refuse(400, 'response_format must be one of [wav]', null, 'response_format');
}

function speak({ json }) {
  only(json, ['model', 'input', 'voice', 'instructions', 'response_format', 'speed', 'stream_format']);
  checkSpeech(json);
  const seconds = json.input.length / 15 / (json.speed ?? 1), pitch = 200 + parseInt(digestOf(json.input, json.voice ?? ''), 16) % 300;

  switch (json.response_format ?? 'mp3') {
    case 'wav': // what is streamed begins before its length is known
      return { chunked: true, type: 'audio/wav', body: makeWav(seconds, { pitch, unknownLength: ['openai', 'speaches'].includes(dialect) || (dialect === 'kokoro' && json.stream !== false) }) };
    case 'mp3':
      return { chunked: true, type: 'audio/mpeg', body: makeMp3(seconds) };
    default:
      return refuse(400, `the fake does not make ${json.response_format}`, null, 'format');
  }
}

// ── Chat ────────────────────────────────────────────────────────────────────

function checkPart(part) {
  const url = part.image_url?.url ?? part.image_url;

  if (!['text', 'image_url'].includes(part.type))
    refuse(400, `Invalid part ${part.type}`, null, 'messages');
  if (part.type === 'text' && typeof part.text !== 'string')
    refuse(400, 'a part of text has none', null, 'messages');
  if (part.type === 'image_url' && !/^data:image\/(png|jpeg|jpg|webp);base64,[A-Za-z0-9+/]+=*$/.test(url) && (dialect === 'ollama' || !/^https:/.test(url)))
    refuse(400, 'invalid image input', null, 'messages');
}

function checkMessages(messages) {
  if (!Array.isArray(messages) || !messages.length)
    refuse(400, "Invalid 'messages': empty array.", 'empty_array', 'messages');
  for (const { role, content } of messages) {
    if (!['system', 'user', 'assistant', 'tool', ...(['openai', 'gpt4o'].includes(dialect) ? ['developer'] : [])].includes(role))
      refuse(400, `Invalid role ${role}`, null, 'messages');
    for (const part of Array.isArray(content) ? content : [])
      checkPart(part);
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

function checkResponseFormat({ response_format: format, messages }) {
  const type = format?.type;

  if (type && !['json_schema', 'json_object', 'text'].includes(type))
    refuse(400, 'Invalid response_format', null, 'response_format');
  if (type === 'json_schema') {
    if (['llamacpp', 'plain', 'vllm', 'groq'].includes(dialect))
      refuse(400, { llamacpp: 'Either "json_schema" or "grammar" can be specified, but not both', groq: 'This model does not support response format `json_schema`.' }[dialect] ?? 'json_schema is not supported by response_format',
        null, dialect === 'plain' ? 'response_format' : null);
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(format.json_schema?.name ?? ''))
      refuse(400, 'Invalid name', null, 'response_format.json_schema.name');
    if (format.json_schema.strict && ['openai', 'gpt4o'].includes(dialect))
      checkStrict(format.json_schema.schema);
  }
  if (type === 'json_object' && dialect === 'plain')
    refuse(400, 'response_format json_object is not supported', null, 'response_format');
  if (type === 'json_object' && ['openai', 'gpt4o', 'groq'].includes(dialect) && !/json/i.test(JSON.stringify(messages)))
    refuse(400, "'messages' must contain the word 'json' in some form", null, 'messages');
}

function translationOf(messages) {
  const question = JSON.parse(messages.findLast(one => one.role === 'user' && /^\{/.test(one.content)).content);

  return { source: question.source ?? 'en', translations: question.texts.map(({ id, text }) => ({ id, text: text && `${question.target}:${text}` })) };
}

// What a model says is about what it was asked: other words and pictures, another answer.
function jsonOf({ messages, response_format: format }) {
  const told = messages.find(one => one.role === 'system' && /JSON schema:\n/.test(one.content));
  const schema = format?.json_schema?.schema ?? (told && JSON.parse(told.content.split('JSON schema:\n')[1]));

  if (/^You translate\./.test(messages.find(one => one.role === 'system' && /translate/.test(one.content))?.content ?? ''))
    return translationOf(messages);
  return schema && exampleOf(schema, wantedText(messages));
}

// Models that think aloud leave it in their answer, or put JSON into a fence, with or without words before it.
function reply(json, plan) {
  const value = plan?.content === undefined ? jsonOf(json) : undefined;

  if (!value)
    return plan?.content ?? `You said: ${JSON.stringify(json.messages.at(-1).content).slice(0, 80)}`;
  switch (dialect) {
    case 'plain':
    case 'llamacpp':
      return `<think>Let me see: {"a": 1}.</think>\n\`\`\`json\n${JSON.stringify(value)}\n\`\`\``;
    case 'vllm':
      return `Here is the JSON:\n\n\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\`\n\nIs there anything else?`;
    default:
      return JSON.stringify(value);
  }
}

function checkChat(json) {
  only(json, ['model', 'messages', 'max_completion_tokens', 'max_tokens', 'temperature', 'top_p', 'n', 'seed', 'stop', 'stream', 'response_format', 'store']);
  need(json, 'model', 'string');
  needModel(json.model);
  checkMessages(json.messages);
  if (['openai', 'gpt4o'].includes(dialect) && json.max_tokens !== undefined)
    refuse(400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", 'unsupported_parameter', 'max_tokens');
  if (dialect === 'plain' && json.max_completion_tokens !== undefined)
    refuse(400, 'unknown field max_completion_tokens', null, 'max_completion_tokens');
  if (dialect === 'gpt4o' && json.temperature !== undefined && json.temperature !== 1)
    refuse(400, "Unsupported value: 'temperature' does not support this value.", 'unsupported_value', 'temperature');
  checkResponseFormat(json);
}

function chat({ json }, plan) {
  checkChat(json);
  const message = { role: 'assistant', content: reply(json, plan) };
  const body = { id: 'chatcmpl-fake', object: 'chat.completion', created: 1, model: `${json.model}-fake`, choices: [{ index: 0, finish_reason: plan?.finish ?? 'stop', message, logprobs: null }] };

  if (plan?.fault === 'refusal') {
    message.content = null;
    message.refusal = 'I cannot help with that.';
  } else if (!['llamacpp', 'ollama'].includes(dialect)) {
    message.refusal = null;
  }
  if (plan?.fault === 'empty')
    message.content = null;
  if (dialect === 'vllm')
    message.reasoning_content = 'Let me see.';
  // Ollama takes no heed of the new name: without the old one an answer may be as long as it likes.
  if (dialect !== 'plain')
    body.usage = { prompt_tokens: Math.ceil(JSON.stringify(json.messages).length / 4), completion_tokens: dialect === 'ollama' && !json.max_tokens ? 100000 : 20, total_tokens: 0, prompt_tokens_details: { cached_tokens: 0 } };
  return { body };
}

// ── Pictures ────────────────────────────────────────────────────────────────

function checkPicture(json) {
  const gpt = json.model?.startsWith('gpt-image'), longest = gpt ? 32000 : { 'dall-e-3': 4000, 'dall-e-2': 1000 }[json.model] ?? Infinity;

  need(json, 'prompt', 'string');
  if (json.model !== undefined)
    needModel(json.model);
  if ([...json.prompt].length > longest)
    refuse(400, `Invalid 'prompt': string too long. Expected a string with maximum length ${longest}.`, 'string_above_max_length', 'prompt');
  if (gpt && json.response_format !== undefined)
    refuse(400, "Unknown parameter: 'response_format'.", 'unknown_parameter', 'response_format');
  if ((json.model === 'dall-e-3' || dialect === 'plain') && (json.n ?? 1) !== 1)
    refuse(400, `Invalid value: 'n' must be 1 for this model.`, 'invalid_value', 'n');
  if (json.style !== undefined && json.model !== 'dall-e-3' && ['openai', 'gpt4o'].includes(dialect))
    refuse(400, "Unknown parameter: 'style'.", 'unknown_parameter', 'style');
  if (json.model === 'gpt-image-1' && !['1024x1024', '1536x1024', '1024x1536', 'auto', undefined].includes(json.size))
    refuse(400, `Invalid value: '${json.size}'.`, 'invalid_value', 'size');
  if (gpt && json.quality && !['low', 'medium', 'high', 'auto'].includes(json.quality))
    refuse(400, `Invalid value: '${json.quality}'.`, 'invalid_value', 'quality');
}

function image({ json, base }) {
  only(json, ['model', 'prompt', 'n', 'size', 'quality', 'style', 'background', 'output_format', 'output_compression', 'moderation', 'response_format', 'user']);
  checkPicture(json);
  const [width, height] = (/^\d+x\d+$/.test(json.size) ? json.size : '512x512').split('x').map(Number);
  const grey = i => (parseInt(digestOf(json.prompt), 16) + 40 * i) % 256;
  const data = Array.from({ length: json.n ?? 1 }, (_, i) => dialect === 'localai'
    ? { url: `${base}/__picture?${width}x${height}x${grey(i)}` }
    : { b64_json: makePng(width, height, grey(i)).toString('base64'), revised_prompt: json.prompt });

  return { body: { created: 1, data, ...(json.model?.startsWith('gpt-image') ? { usage: { input_tokens: 10, output_tokens: 1000, total_tokens: 1010 } } : {}) } };
}

// ── Addresses ───────────────────────────────────────────────────────────────

function authorise({ headers }) {
  if (options.key && headers.authorization !== `Bearer ${options.key}`)
    refuse(401, `Incorrect API key provided: ${(headers.authorization ?? '').slice(7, 15)}***. You can find your API key at the account page.`, 'invalid_api_key');
  if (headers.authorization !== undefined && !/^Bearer \S+$/.test(headers.authorization))
    refuse(401, 'empty bearer', 'invalid_api_key');
}

// So many requests in a window; when the next one begins is told as a time since 1970, to the second.
const window = { size: 3, left: 3, ends: 0 };

function rate() {
  if (Date.now() >= window.ends)
    Object.assign(window, { left: window.size, ends: 1000 * (Math.floor(Date.now() / 1000) + 1) });
  if (window.left === 0)
    refuse(429, 'Rate limit reached for model', 'rate_limit_exceeded');
  window.left--;
  return { 'x-ratelimit-limit-requests': window.size, 'x-ratelimit-remaining-requests': window.left, 'x-ratelimit-reset-requests': window.ends / 1000 };
}

const roads = Object.fromEntries(Object.entries({
  'audio/transcriptions': ['POST', transcribe],
  'audio/speech': ['POST', speak],
  'chat/completions': ['POST', chat],
  'images/generations': ['POST', image],
  models: ['GET', () => ({ body: { object: 'list', data: [{ id: 'fake-1', object: 'model', created: 1, owned_by: 'fake' }] } })],
}).filter(([name]) => served.includes(name)).map(([name, [method, road]]) => [`${method} /v1/${name}`, road]));

if (dialect === 'whispercpp')
  roads[`POST ${options['inference-path']}`] = transcribe;

let base;
const { port } = await serve({ port: Number(options.port), tls: options.tls, fail, handle: (asked, plan) => {
  const road = roads[`${asked.method} ${asked.path}`];

  if (asked.path === '/__picture') {
    const [width, height, grey] = asked.query.split('x').map(Number);

    if (asked.headers.authorization)
      refuse(400, 'the key was sent to another address');
    return { type: 'image/png', body: makePng(width, height, grey) };
  }
  if (!road)
    return nowhere(asked);
  if (!['whispercpp', 'ollama'].includes(dialect))
    authorise(asked);
  if (loading > 0 && loading--)
    refuse(503, 'Loading model', 'unavailable_error');
  if (dialect === 'openai' || dialect === 'gpt4o') {
    const [fault] = faultsOf(asked.path, asked);

    if (fault)
      refuse(400, `does not fit the published schema: ${fault}`, 'schema');
  }
  const headers = dialect === 'groq' && asked.method === 'POST' ? rate() : {}, answer = road({ ...asked, base }, plan);

  return { ...answer, headers: { ...answer.headers, ...headers } };
} });

base = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
console.log(`listening ${base}/v1`);
