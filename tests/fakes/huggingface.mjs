// SPDX-License-Identifier: LGPL-2.1-or-later
// A fake of Hugging Face's router: chat below /v1, the other tasks below /hf-inference/models. What it is asked is checked, and
// what it answers depends on it.
// usage: node huggingface.mjs [--key KEY] [--dialect plain|addresses|picky|gone] [--port PORT] [--loading N]
//   plain: files; addresses: where files are; picky: takes no parameters, answers samples; gone: the host that was given up
//   --loading: how many requests find the model not loaded yet
import { parseArgs } from 'node:util';
import { digestOf, exampleOf, heardIn, makeMp3, makePng, makeWav, Refusal, serve, wantedText } from './lib.mjs';

const { values: options } = parseArgs({ options: {
  dialect: { type: 'string', default: 'plain' },
  key: { type: 'string', default: '' },
  port: { type: 'string', default: '0' },
  loading: { type: 'string', default: '0' },
} });
let loading = Number(options.loading);

function refuse(status, message) {
  throw new Refusal(status, message);
}

function only(object, allowed) {
  for (const name of Object.keys(object ?? {}))
    if (!allowed.includes(name))
      refuse(400, `unknown: ${name}`);
}

let base;

// Errors of what is behind the router: a text, a list of them, or FastAPI's.
function fail({ status, message, details }) {
  const body = { plain: { error: message }, addresses: { error: [message], warnings: [] }, picky: { detail: message } }[options.dialect] ?? { error: message };

  return { status, headers: { 'x-request-id': 'fake' }, body: { ...body, ...details } };
}

// Numbers from -1 to 1, and how many of them a second has.
function samplesOf(seconds, pitch) {
  const rate = 8000;

  return [Array.from({ length: Math.round(seconds * rate) }, (_, i) => Math.round(2500 * Math.sin(2 * Math.PI * pitch * i / rate)) / 10000), rate];
}

const tasks = {
  whisper({ body, json, headers }) {
    const type = headers['content-type'], sound = /^audio\//.test(type) ? body : Buffer.from(json?.inputs ?? '', 'base64');

    if (sound.toString('latin1', 0, 4) !== 'RIFF')
      refuse(400, 'Malformed soundfile');
    const words = heardIn(sound), text = ` ${words.join(' ')}.`, middle = (sound.length - 44) / sound.readUInt32LE(28) / 2;

    if (/^audio\//.test(type))
      return { body: { text } };
    if (options.dialect === 'picky')
      refuse(400, 'parameters are not supported');
    only(json, ['inputs', 'parameters']);
    only(json.parameters, ['return_timestamps', 'generation_parameters']);
    return { body: { text, chunks: [{ text: ` ${words.slice(0, 3).join(' ')}`, timestamp: [0, middle] }, { text: ` ${words.slice(3).join(' ')}.`, timestamp: [middle, null] }] } };
  },
  Kokoro({ json, headers }) {
    if (options.dialect === 'picky' && json.text === undefined)
      refuse(422, 'text is missing');
    only(json, options.dialect === 'picky' ? ['text'] : ['inputs', 'parameters']);
    const text = json.inputs ?? json.text, seconds = text.length / 15, pitch = 200 + parseInt(digestOf(text), 16) % 300;
    const wanted = /audio\/(wav|mpeg)/.exec(headers.accept ?? '')?.[1];

    if (options.dialect === 'addresses')
      return { body: { audio: { url: `${base}/__sound?${seconds}x${pitch}` } } };
    if (options.dialect === 'picky')
      return { body: samplesOf(seconds, pitch) };
    return { type: `audio/${wanted ?? 'mpeg'}`, body: wanted === 'wav' ? makeWav(seconds, { pitch }) : makeMp3(seconds) };
  },
  nllb({ json }) {
    if (options.dialect === 'picky')
      refuse(404, 'Model facebook/nllb-200-distilled-600M is not supported by provider hf-inference');
    only(json, ['inputs', 'parameters']);
    if (!/^[a-z]{3}_[A-Z][a-z]{3}$/.test(json.parameters?.src_lang) || !/^[a-z]{3}_[A-Z][a-z]{3}$/.test(json.parameters?.tgt_lang))
      refuse(400, 'src_lang and tgt_lang are required');
    return { body: json.inputs.map(text => ({ translation_text: text && `${json.parameters.tgt_lang}:${text}` })) };
  },
  FLUX({ json }) {
    only(json, ['inputs', 'parameters']);
    only(json.parameters, ['negative_prompt', 'width', 'height', 'num_inference_steps', 'guidance_scale', 'seed']);
    const { width, height, seed } = json.parameters;
    const grey = (parseInt(digestOf(json.inputs), 16) + seed) % 256, picture = makePng(width, height, grey);

    return options.dialect === 'addresses' ? { body: { output: [`${base}/__picture?${width}x${height}x${grey}`] } }
      : options.dialect === 'picky' ? { body: { data: [{ b64_json: picture.toString('base64') }] } }
        : { type: 'image/png', body: picture };
  },
};

function chat({ json }) {
  const schema = json.response_format?.json_schema?.schema;
  const question = json.messages?.findLast(one => one.role === 'user')?.content;

  only(json, ['model', 'messages', 'max_completion_tokens', 'max_tokens', 'temperature', 'top_p', 'n', 'seed', 'stop', 'stream', 'response_format']);
  if (!/^[\w.-]+\/[\w.-]+(:[\w-]+)?$/.test(json.model))
    refuse(400, `The requested model '${json.model}' does not exist`);
  if (!Array.isArray(json.messages) || json.messages.some(({ role, content }) => !['system', 'user', 'assistant'].includes(role) || !content))
    refuse(422, 'messages');
  const texts = /^You translate\./.test(json.messages[0].content) ? JSON.parse(question) : null;
  const content = texts ? JSON.stringify({ source: 'en', translations: texts.texts.map(({ id, text }) => ({ id, text: text && `${texts.target}:${text}` })) })
    : schema ? JSON.stringify(exampleOf(schema, wantedText(json.messages))) : 'You said something.';

  return { body: { choices: [{ finish_reason: 'stop', message: { role: 'assistant', content } }], model: json.model, usage: { prompt_tokens: 10, completion_tokens: 5 } } };
}

function file({ headers, path, query }) {
  const [first, second, third] = query.split('x').map(Number);

  if (headers.authorization)
    refuse(400, 'the key was sent to another address');
  return path === '/__sound' ? { type: 'audio/wav', body: makeWav(first, { pitch: second }) } : { type: 'image/png', body: makePng(first, second, third) };
}

const { port } = await serve({ port: Number(options.port), fail, handle: asked => {
  const model = /^\/hf-inference\/models\/(.+)$/.exec(asked.path)?.[1];
  const task = model && Object.keys(tasks).find(name => model.includes(name));

  if (asked.path.startsWith('/__'))
    return file(asked);
  if (options.dialect === 'gone')
    refuse(410, 'https://api-inference.huggingface.co is no longer supported. Please use https://router.huggingface.co/hf-inference instead.');
  if (options.key && asked.headers.authorization !== `Bearer ${options.key}`)
    refuse(401, 'Invalid credentials in Authorization header');
  if (asked.path === '/v1/models')
    return { body: { object: 'list', data: [{ id: 'meta-llama/Llama-3.3-70B-Instruct' }] } };
  // The estimate is the same each time.
  if (loading > 0 && loading--)
    throw new Refusal(503, `Model ${model ?? asked.json.model} is currently loading`, { details: { estimated_time: 1 } });
  if (asked.path === '/v1/chat/completions')
    return chat(asked);
  if (task)
    return tasks[task](asked);
  return refuse(404, `Model ${model} is not served`);
} });

base = `http://127.0.0.1:${port}`;
console.log(`listening ${base}/v1`);
