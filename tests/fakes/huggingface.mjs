// SPDX-License-Identifier: LGPL-2.1-or-later
// A fake of Hugging Face's router: chat below /v1, the other tasks below /hf-inference/models. What it is asked is checked.
// usage: node huggingface.mjs [--key KEY] [--dialect plain|addresses|picky] [--port PORT]
import { parseArgs } from 'node:util';
import { exampleOf, makeMp3, makePng, makeWav, Refusal, serve } from './lib.mjs';

const { values: options } = parseArgs({ options: {
  dialect: { type: 'string', default: 'plain' },
  key: { type: 'string', default: '' },
  port: { type: 'string', default: '0' },
} });

function refuse(status, message) {
  throw new Refusal(status, message);
}

function only(object, allowed) {
  for (const name of Object.keys(object ?? {}))
    if (!allowed.includes(name))
      refuse(400, `unknown: ${name}`);
}

let base;

const tasks = {
  whisper({ body, json, headers }) {
    const type = headers['content-type'];

    if (/^audio\//.test(type)) {
      if (body.toString('latin1', 0, 4) !== 'RIFF')
        refuse(400, 'Malformed soundfile');
      return { body: { text: ' never a planted word is lost.' } };
    }
    if (options.dialect === 'picky')
      refuse(400, 'parameters are not supported');
    only(json, ['inputs', 'parameters']);
    only(json.parameters, ['return_timestamps', 'generation_parameters']);
    if (Buffer.from(json.inputs, 'base64').toString('latin1', 0, 4) !== 'RIFF')
      refuse(400, 'Malformed soundfile');
    return { body: { text: ' never a planted word is lost.', chunks: [{ text: ' never a planted', timestamp: [0, 2.5] }, { text: ' word is lost.', timestamp: [2.5, null] }] } };
  },
  Kokoro({ json, headers }) {
    if (options.dialect === 'picky' && json.text === undefined)
      refuse(422, 'text is missing');
    only(json, options.dialect === 'picky' ? ['text'] : ['inputs', 'parameters']);
    const seconds = (json.inputs ?? json.text).length / 15;
    const wanted = /audio\/(wav|mpeg)/.exec(headers.accept ?? '')?.[1];
    const sound = wanted === 'wav' ? makeWav(seconds) : makeMp3(seconds);

    return options.dialect === 'addresses' ? { body: { audio: { url: `${base}/__sound` } } } : { type: `audio/${wanted ?? 'mpeg'}`, body: sound };
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
    const picture = makePng(width, height, seed % 200);

    return options.dialect === 'addresses' ? { body: { output: [`${base}/__picture?${width}x${height}`] } }
      : options.dialect === 'picky' ? { body: { data: [{ b64_json: picture.toString('base64') }] } }
        : { type: 'image/png', body: picture };
  },
};

function chat({ json }) {
  const schema = json.response_format?.json_schema?.schema;
  const question = json.messages.findLast(one => one.role === 'user')?.content;
  const texts = /^You translate\./.test(json.messages[0].content) ? JSON.parse(question) : null;
  const content = texts ? JSON.stringify({ source: 'en', translations: texts.texts.map(text => `${texts.target}:${text}`) })
    : schema ? JSON.stringify(exampleOf(schema)) : 'You said something.';

  return { body: { choices: [{ finish_reason: 'stop', message: { role: 'assistant', content } }], model: json.model, usage: { prompt_tokens: 10, completion_tokens: 5 } } };
}

const { port } = await serve({ port: Number(options.port), fail: ({ status, message }) => ({ status, body: { error: message } }), handle: asked => {
  const model = /^\/hf-inference\/models\/(.+)$/.exec(asked.path)?.[1];
  const task = model && Object.keys(tasks).find(name => model.includes(name));

  if (asked.path.startsWith('/__')) {
    if (asked.headers.authorization)
      refuse(400, 'the key was sent to another address');
    return asked.path === '/__sound' ? { type: 'audio/wav', body: makeWav(4) } : { type: 'image/png', body: makePng(...asked.query.split('x').map(Number)) };
  }
  if (options.key && asked.headers.authorization !== `Bearer ${options.key}`)
    refuse(401, 'Invalid credentials in Authorization header');
  if (asked.path === '/v1/models')
    return { body: { object: 'list', data: [{ id: 'meta-llama/Llama-3.3-70B-Instruct' }] } };
  if (asked.path === '/v1/chat/completions')
    return chat(asked);
  if (task)
    return tasks[task](asked);
  return refuse(404, `Model ${model} is not served`);
} });

base = `http://127.0.0.1:${port}`;
console.log(`listening ${base}/v1`);
