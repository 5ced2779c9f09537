// SPDX-License-Identifier: LGPL-2.1-or-later
// derush-models as its clients see it: by the official npm package `openai`, and by hand where that would hide something.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import OpenAI, { toFile } from 'openai';
import { descendants, isAlive, main, run, start, sourceDirectory, test, until } from './lib.mjs';

const program = process.env.DERUSH_LOCAL_MODELS ?? 'derush-models';
const token = `t-${Math.random().toString(36).slice(2)}`;
const spoken = 'The museum opens at nine in the morning. Children under twelve enter for free. Please do not touch the paintings.';
const rate = 16000;

async function startServer() {
  const server = start(program, [], { environment: { DERUSH_MODELS_TOKEN: token, LC_ALL: 'C.UTF-8' }, stdio: ['pipe', 'pipe', 'pipe'] });
  const line = await until(() => /^listening (\S+)\n/.exec(server.output.stdout), 'the address of derush-models');

  server.url = line[1];
  return server;
}

const words = text => text.toLowerCase().replace(/[^a-z0-9' ]/g, ' ').split(/\s+/).filter(Boolean);

function wordErrorRate(wanted, found) {
  const a = words(wanted), b = words(found);
  let row = [...b.keys(), b.length];

  a.forEach((word, i) => {
    const next = [i + 1];
    b.forEach((other, k) => next.push(Math.min(row[k + 1] + 1, next[k] + 1, row[k] + (word === other ? 0 : 1))));
    row = next;
  });
  return row[b.length] / a.length;
}

function wav(samples) {
  const header = Buffer.alloc(44);
  const data = Buffer.from(Int16Array.from(samples, sample => Math.max(-1, Math.min(1, sample)) * 32767).buffer);

  header.write('RIFF', 0);
  header.writeUInt32LE(36 + data.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}

const sound = (seconds, sample) => wav(Array.from({ length: seconds * rate }, (_, i) => sample(i / rate)));
const wavDuration = file => (file.length - 44) / 2 / rate;

function parseCues(text) {
  return [...text.matchAll(/(\d+):(\d+):(\d+)[.,](\d+) --> (\d+):(\d+):(\d+)[.,](\d+)\n(.*)/g)].map(found => {
    const [h, m, s, ms, h2, m2, s2, ms2] = found.slice(1, 9).map(Number);
    return { start: h * 3600 + m * 60 + s + ms / 1000, end: h2 * 3600 + m2 * 60 + s2 + ms2 / 1000, text: found[9] };
  });
}

async function refused(promise, status, code, pattern) {
  await assert.rejects(promise, error => {
    assert.equal(error.status, status, error.stack);
    assert.equal(error.code, code);
    if (pattern) assert.match(error.message, pattern);
    return true;
  });
}

async function access(server) {
  const plain = server.url.replace(/\/v1$/, '');

  await test('health needs no token, everything else does', async () => {
    const health = await (await fetch(`${plain}/health`)).json();
    assert.deepEqual(health, { status: 'ok', running: 0, waiting: 0 });
    for (const headers of [{}, { Authorization: 'Bearer no' }, { Authorization: token }]) {
      const answer = await fetch(`${server.url}/models`, { headers });
      assert.equal(answer.status, 401);
      assert.equal((await answer.json()).error.code, 'invalid_api_key');
    }
  });
  await test('without a token of its own it does not start', async () => {
    const { status, stderr } = await run(program, [], { environment: { DERUSH_MODELS_TOKEN: '' } });
    assert.equal(status, 2);
    assert.match(stderr, /DERUSH_MODELS_TOKEN/);
  });
  await test('paths and methods that are not there', async () => {
    const headers = { Authorization: `Bearer ${token}` };
    assert.equal((await fetch(`${server.url}/embeddings`, { headers, method: 'POST' })).status, 404);
    assert.equal((await fetch(`${server.url}/audio/speech`, { headers })).status, 405);
  });
}

async function speech(server, client) {
  let file;

  await test('models say which of them are real, and where their limits are', async () => {
    const { data } = await client.models.list();
    const real = Object.fromEntries(data.map(model => [model.id, model.real]));
    assert.deepEqual(real, { 'pocketsphinx-en-us': true, flite: true, 'espeak-ng': true, apertium: true, 'local-extractive': false, 'local-composer': false });
    assert.ok(data.every(model => model.limits.length > 10));
    assert.deepEqual(await client.models.retrieve('flite'), data.find(model => model.id === 'flite'));
  });
  await test('what flite says is understood again', async () => {
    const answer = await client.audio.speech.create({ model: 'tts-1', voice: 'rms', input: spoken, response_format: 'wav' });
    assert.equal(answer.headers.get('x-derush-engine'), 'flite-rms');
    file = Buffer.from(await answer.arrayBuffer());
    const { text } = await client.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(file, 'speech.wav') });
    assert.ok(wordErrorRate(spoken, text) <= 0.2, text);
  });
  await test('each format of a transcript says the same', async () => {
    file = Buffer.from(await (await client.audio.speech.create({ model: 'tts-1', voice: 'rms', input: 'Good morning. The sun is warm.', response_format: 'wav' })).arrayBuffer());
    const ask = async format => client.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(file, 'speech.wav'),
      response_format: format, timestamp_granularities: ['word', 'segment'] });
    const [json, text, srt, vtt, verbose] = await Promise.all(['json', 'text', 'srt', 'vtt', 'verbose_json'].map(ask));
    assert.equal(text.trim(), json.text);
    assert.equal(verbose.text, json.text);
    assert.equal(verbose.language.toLowerCase(), 'english');
    assert.ok(Math.abs(verbose.duration - wavDuration(file)) < 0.01);
    assert.match(vtt, /^WEBVTT\n\n/);
    for (const cues of [parseCues(srt), parseCues(vtt)]) {
      assert.equal(cues.length, verbose.segments.length);
      cues.forEach((cue, i) => {
        assert.ok(Math.abs(cue.start - verbose.segments[i].start) < 0.0011 && Math.abs(cue.end - verbose.segments[i].end) < 0.0011);
        assert.equal(cue.text, verbose.segments[i].text);
      });
    }
    const events = [];
    for await (const event of await client.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await toFile(file, 'speech.wav'), stream: true }))
      events.push(event);
    assert.equal(events.filter(({ type }) => type === 'transcript.text.delta').map(({ delta }) => delta).join(''), json.text);
    assert.equal(events.filter(({ type }) => type === 'transcript.text.delta').length, verbose.segments.length);
    assert.deepEqual([events.at(-1).type, events.at(-1).text], ['transcript.text.done', json.text]);
    assert.equal(verbose.words.map(({ word }) => word).join(' ').toLowerCase(), json.text.toLowerCase());
    verbose.words.reduce((before, { start: begin, end }) => {
      assert.ok(begin >= before - 0.011 && end >= begin && end <= verbose.duration);
      return end;
    }, 0);
  });
  await test('mp3 is the default, faster speech is shorter, and other formats are what they say', async () => {
    const speak = async options => Buffer.from(await (await client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'Good morning.', ...options })).arrayBuffer());
    const mp3 = await speak({});
    assert.ok(mp3.subarray(0, 3).toString() === 'ID3' || mp3[0] === 0xff);
    assert.equal((await speak({ response_format: 'flac' })).subarray(0, 4).toString(), 'fLaC');
    assert.equal((await speak({ response_format: 'opus' })).subarray(0, 4).toString(), 'OggS');
    assert.equal((await speak({ response_format: 'aac' })).readUInt16BE(0) & 0xfff6, 0xfff0);
    const [wave, pcm] = [await speak({ response_format: 'wav' }), await speak({ response_format: 'pcm' })];
    assert.ok(Math.abs(wavDuration(wave) - pcm.length / 2 / 24000) < 0.01, `${wavDuration(wave)} ${pcm.length}`);
    const events = await client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'Good morning.', response_format: 'wav', stream_format: 'sse' });
    assert.match(events.headers.get('content-type'), /^text\/event-stream/);
    const parts = (await events.text()).trim().split('\n\n').map(line => JSON.parse(line.replace(/^data: /, '')));
    assert.ok(Buffer.concat(parts.filter(({ type }) => type === 'speech.audio.delta').map(({ audio }) => Buffer.from(audio, 'base64'))).equals(wave));
    assert.equal(parts.at(-1).type, 'speech.audio.done');
    const fast = await speak({ response_format: 'wav', speed: 2 }), slow = await speak({ response_format: 'wav', speed: 0.5 });
    const ratio = wavDuration(slow) / wavDuration(fast);
    assert.ok(ratio > 2.5 && ratio < 5, String(ratio));
    const { text } = await client.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(mp3, 'speech.mp3') });
    assert.match(text, /good morning/i);
  });
  await test('other languages are spoken by espeak-ng, told or found out', async () => {
    for (const options of [{ language: 'fr' }, { }]) {
      const answer = await client.audio.speech.create({ model: 'tts-1', voice: 'nova', response_format: 'wav',
        input: 'Le musée ouvre à neuf heures du matin et ferme à six heures du soir.', ...options });
      assert.equal(answer.headers.get('x-derush-engine'), 'espeak-ng-fr');
      assert.equal(Buffer.from(await answer.arrayBuffer()).subarray(0, 4).toString(), 'RIFF');
    }
  });
  await test('silence, noise and tones are no words', async () => {
    const nothing = { silence: () => 0, noise: () => 0.4 * (2 * Math.random() - 1), tone: t => 0.5 * Math.sin(2 * Math.PI * 440 * t),
      bursts: t => (t % 1 < 0.4 ? 0.5 : 0.01) * (2 * Math.random() - 1), beeps: t => t % 1 < 0.3 ? 0.5 * Math.sin(2 * Math.PI * 1000 * t) : 0 };
    for (const [name, sample] of Object.entries(nothing)) {
      const answer = await client.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(sound(5, sample), `${name}.wav`), response_format: 'verbose_json' });
      assert.equal(answer.text, '', name);
      assert.deepEqual(answer.segments, [], name);
    }
  });
  await test('what cannot be transcribed or spoken is an error that says why', async () => {
    const transcribe = async (content, options = {}) => client.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(content, 'a.wav'), ...options });
    await refused(transcribe(file, { language: 'de' }), 400, 'unsupported_language', /English only/);
    await refused(transcribe(Buffer.from('no sound at all, but some text')), 400, 'unsupported_audio');
    await refused(transcribe(file.subarray(0, 20)), 400, 'invalid_audio');
    await refused(transcribe(file, { response_format: 'diarized_json' }), 400, 'unsupported_value');
    await refused(client.audio.speech.create({ model: 'tts-1', voice: 'nobody', input: 'a' }), 400, 'unsupported_value', /nobody/);
    await refused(client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'a'.repeat(4097) }), 400, 'string_above_max_length');
    await refused(client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: ' … ' }), 400, 'missing_required_parameter');
    await refused(client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'a', speed: 9 }), 400, 'invalid_value');
    await refused(client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'a', language: 'xx' }), 400, 'unsupported_language', /xx/);
  });
}

async function translation(server, client) {
  const translate = body => client.post('/translate', { body });

  await test('Spanish becomes Portuguese and Italian', async () => {
    const texts = ['El museo abre a las nueve de la mañana y cierra a las seis de la tarde.'];
    const portuguese = await translate({ texts, source: 'es', target: 'pt' });
    assert.deepEqual(portuguese.texts, ['O museu abre às nove da manhã e fecha às seis da tarde.']);
    assert.equal(portuguese.engine, 'apertium-es-pt');
    const italian = await translate({ texts, target: 'it' });
    assert.deepEqual(italian.texts, ['Il museo apre alle nove del mattino e chiude alle sei del pomeriggio.']);
    assert.equal(italian.source, 'es');
  });
  await test('texts keep their number, their lines, and what programs put into them', async () => {
    const texts = ['Hola {name},\n¡tienes <b>%d</b> mensajes!', '', '  ', '12:30', 'La casa blanca', 'Mira https://example.org/casa/blanca [ahora]'];
    const { texts: found } = await translate({ texts, source: 'es', target: 'pt', glossary: { 'casa blanca': 'Casa Branca' } });
    assert.equal(found.length, texts.length);
    assert.match(found[0], /^[^\n]*\{name\}[^\n]*\n[^\n]*<b>%d<\/b>[^\n]*$/);
    assert.deepEqual(found.slice(1, 4), texts.slice(1, 4));
    assert.equal(found[4], 'A Casa Branca');
    assert.match(found[5], /https:\/\/example\.org\/casa\/blanca \[agora\]/);
  });
  await test('a language in between is named', async () => {
    const answer = await translate({ texts: ['La maison est grande.'], source: 'fr', target: 'en' });
    assert.equal(answer.pivot, 'es');
    assert.match(answer.texts[0], /house/);
  });
  await test('a pair that is not there is an error with what to do', async () => {
    await refused(translate({ texts: ['hello'], source: 'en', target: 'ja' }), 400, 'unsupported_language', /remote provider/);
    await refused(translate({ texts: ['hallo'], source: 'af', target: 'nl' }), 400, 'unsupported_language', /apertium-afr-nld/);
    await refused(translate({ texts: ['a'], source: 'en', target: 'no language' }), 400, 'invalid_value');
    await refused(translate({ texts: 'a', source: 'en', target: 'es' }), 400, 'invalid_type');
  });
}

const films = {
  garden: ['Today we plant tomatoes in the garden.', 'Tomatoes need warm soil and light.', 'The soil of the garden is watered every morning.', 'Bees are wonderful friends.'],
  rocket: ['The rocket stands on the launch pad.', 'The engines burn oxygen.', 'Engineers check the valves of the engines.', 'A broken valve is a terrible problem.'],
};

function inputOf(sentences) {
  const segments = (sentences ?? []).map((text, i) => ({ start: i * 5, end: i * 5 + 4, text }));
  return { ...(sentences ? { transcript: { text: sentences.join(' '), language: 'en', segments } } : {}),
    signals: { duration: 30, shots: [{ start: 0, end: 12 }, { start: 12, end: 30 }], highlights: [] }, frames: [], parameters: { duration: 30 } };
}

async function texts(server, client) {
  const ask = async (name, input, options = {}) => {
    const schema = JSON.parse(fs.readFileSync(path.join(sourceDirectory, `data/models/schemas/${name}.json`), 'utf8'));
    return client.chat.completions.create({ ...options, model: 'local-extractive', response_format: { type: 'json_schema', json_schema: { name, strict: true, schema } },
      messages: [{ role: 'system', content: 'You analyse films.' }, { role: 'user', content: 'Analyse it.' }, { role: 'user', content: JSON.stringify(input) }] });
  };

  await test('two films and a silent one have different analyses, which cost nothing and say what made them', async () => {
    const answers = await Promise.all([films.garden, films.rocket, null].map(film => ask('video_analysis', inputOf(film))));
    const found = answers.map(answer => JSON.parse(answer.choices[0].message.content));
    assert.equal(new Set(found.map(({ summary }) => summary)).size, 3);
    assert.ok(found[0].tags.some(tag => tag.includes('soil')) && found[1].tags.some(tag => tag.includes('engine')));
    assert.deepEqual(found[2].tags, []);
    assert.equal(found[0].sentiment.label, 'positive');
    assert.equal(found[1].sentiment.label, 'negative');
    assert.equal(found[2].sentiment.label, 'unknown');
    assert.deepEqual(answers[0].usage, { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
    assert.equal(answers[0].model, 'local-extractive');
    assert.equal(answers[0].system_fingerprint, 'heuristic-v1');
  });
  await test('an answer in parts is the same answer', async () => {
    const whole = (await ask('video_analysis', inputOf(films.garden))).choices[0].message.content;
    const chunks = [];
    for await (const chunk of await ask('video_analysis', inputOf(films.garden), { stream: true, stream_options: { include_usage: true } }))
      chunks.push(chunk);
    assert.equal(chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join(''), whole);
    assert.deepEqual(chunks.at(-2).choices[0].finish_reason, 'stop');
    assert.deepEqual([chunks.at(-1).choices, chunks.at(-1).usage.total_tokens], [[], 0]);
    assert.ok(chunks.every(({ object, id }) => object === 'chat.completion.chunk' && id === chunks[0].id));
  });
  await test('texts keep to their limit', async () => {
    const input = inputOf(films.rocket);
    input.parameters = { type: 'POST', limits: { characters: 80, hashtags: 2 } };
    const post = JSON.parse((await ask('video_content', input)).choices[0].message.content);
    assert.ok(post.text.length > 10 && post.text.length <= 80, post.text);
    assert.ok(post.hashtags.length <= 2);
  });
  await test('anything else is refused: it is no language model', async () => {
    await refused(client.chat.completions.create({ model: 'local-extractive', messages: [{ role: 'user', content: 'Write a poem.' }] }), 400, 'unsupported_task', /no language model/);
  });
}

const pngSize = base64 => {
  const file = Buffer.from(base64, 'base64');
  assert.equal(file.subarray(1, 4).toString(), 'PNG');
  return [file.readUInt32BE(16), file.readUInt32BE(20)];
};

async function images(server, client) {
  await test('title cards have the size that was asked for, and say what they are', async () => {
    const { data } = await client.images.generate({ model: 'local-composer', prompt: 'A cover that says “North wind”', size: '640x360', n: 2 });
    assert.deepEqual(data.map(image => pngSize(image.b64_json)), [[640, 360], [640, 360]]);
    assert.notEqual(data[0].b64_json, data[1].b64_json);
    assert.match(data[0].revised_prompt, /title card: “North wind”.*nothing was generated/);
    const again = await client.images.generate({ model: 'local-composer', prompt: 'A cover that says “North wind”', size: '640x360', n: 2 });
    assert.deepEqual(again.data.map(image => image.b64_json), data.map(image => image.b64_json));
  });
  await test('what no font can draw is left out, and said', async () => {
    const some = await client.images.generate({ model: 'local-composer', prompt: 'x', title: 'North \u{F1234} wind', size: '320x180' });
    const none = await client.images.generate({ model: 'local-composer', prompt: 'x', title: '\u{F1234}', size: '320x180' });
    assert.match(some.data[0].revised_prompt, /“North wind”/);
    assert.match(none.data[0].revised_prompt, /without a title/);
    for (const { warning } of [some, none]) assert.match(warning, /fonts of this machine cannot draw/);
    assert.equal((await client.images.generate({ model: 'local-composer', prompt: 'x', title: 'North wind', size: '320x180' })).warning, undefined);
  });
  await test('a picture may lie below', async () => {
    const { data: [below] } = await client.images.generate({ model: 'local-composer', prompt: 'Blue', size: '320x180' });
    const { data: [over] } = await client.images.edit({ model: 'local-composer', prompt: 'A cover', size: '200x300',
      image: await toFile(Buffer.from(below.b64_json, 'base64'), 'below.png', { type: 'image/png' }) });
    assert.deepEqual(pngSize(over.b64_json), [200, 300]);
    assert.match(over.revised_prompt, /over the picture/);
    await refused(client.post('/images/generations', { body: { prompt: 'a', background_image: Buffer.from('not a picture at all').toString('base64') } }), 400, 'invalid_image');
    await refused(client.images.generate({ prompt: 'a', size: '9999x1' }), 400, 'invalid_value');
    await refused(client.images.generate({ prompt: 'a', n: 11 }), 400, 'invalid_value');
  });
}

async function faults(server, client) {
  const headers = { Authorization: `Bearer ${token}` };
  const long = sound(2, () => 0);
  const talk = Buffer.from(await (await client.audio.speech.create({ model: 'tts-1', voice: 'rms', input: spoken.repeat(12), response_format: 'wav' })).arrayBuffer());
  const transcribe = async options => client.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(talk, 'talk.wav') }, options);

  await test('a body over the limit is refused, with its length and without', async () => {
    const { port } = new URL(server.url);
    const answer = await new Promise((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1');
      let text = '';
      socket.setEncoding('utf8').on('data', data => { text += data; }).on('close', () => resolve(text)).on('error', reject);
      socket.write(`POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Length: 26214401\r\n\r\n`);
      setTimeout(() => socket.end(), 500);
    }).catch(error => error.message);
    const chunked = await fetch(`${server.url}/audio/transcriptions`, { method: 'POST', headers, duplex: 'half',
      body: new ReadableStream({ start(controller) { for (let i = 0; i < 27; i++) controller.enqueue(new Uint8Array(1 << 20)); controller.close(); } }) });
    assert.equal(chunked.status, 413);
    assert.equal((await chunked.json()).error.code, 'request_too_large');
    assert.match(answer, /^$|413/);
  });
  await test('errors are those of the package', async () => {
    const is = kind => error => error instanceof kind || assert.fail(`${error?.constructor.name}: ${error?.message}`);
    const stranger = new OpenAI({ baseURL: server.url, apiKey: 'another', maxRetries: 0 });
    const nobody = new OpenAI({ baseURL: 'http://127.0.0.1:9/v1', apiKey: token, maxRetries: 0 });

    await assert.rejects(stranger.models.list(), is(OpenAI.AuthenticationError));
    await assert.rejects(client.models.retrieve('gpt-4o'), is(OpenAI.NotFoundError));
    await assert.rejects(client.audio.translations.create({ model: 'whisper-1', file: await toFile(long, 'a.wav') }), is(OpenAI.NotFoundError));
    await assert.rejects(client.audio.speech.create({ model: 'tts-1', voice: 'nobody', input: 'a' }), is(OpenAI.BadRequestError));
    await assert.rejects(client.images.generate({ prompt: 'a', stream: true }), is(OpenAI.BadRequestError));
    await assert.rejects(nobody.models.list(), is(OpenAI.APIConnectionError));
    await assert.rejects(transcribe({ timeout: 100, maxRetries: 0 }), is(OpenAI.APIConnectionTimeoutError));
  });
  await test('broken requests are answered', async () => {
    const post = async (at, body, type) => {
      const answer = await fetch(server.url + at, { method: 'POST', headers: { ...headers, ...(type ? { 'Content-Type': type } : {}) }, body });
      return [answer.status, typeof (await answer.json()).error.message];
    };
    for (const at of ['/audio/speech', '/chat/completions', '/images/generations', '/translate'])
      for (const body of ['', '{', '[]', '{"a":', '\0\0', '['.repeat(2000)])
        assert.deepEqual(await post(at, body, 'application/json'), [400, 'string'], `${at} ${body.slice(0, 10)}`);
    for (const body of ['', '--x', '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF'])
      assert.deepEqual(await post('/audio/transcriptions', body, 'multipart/form-data; boundary=x'), [400, 'string']);
    assert.deepEqual(await post('/audio/transcriptions', long, 'audio/wav'), [400, 'string']);
  });
  await test('who hangs up ends his engine, and the token is in the environment of none', async () => {
    const controller = new AbortController();
    const answer = transcribe({ signal: controller.signal });
    answer.catch(() => {});
    const [engine] = await until(() => { const found = descendants(server.pid); return found.length && found; }, 'an engine');
    assert.ok(!fs.readFileSync(`/proc/${engine.pid}/environ`, 'utf8').includes(token));
    controller.abort();
    await assert.rejects(answer);
    await until(() => !isAlive(engine.pid), 'the end of the engine', 5000);
  });
  await test('who hangs up leaves nothing open', async () => {
    const descriptors = () => fs.readdirSync(`/proc/${server.pid}/fd`).length;
    const body = JSON.stringify({ model: 'tts-1', voice: 'alloy', input: 'Hello there. '.repeat(300), response_format: 'mp3' });
    const request = `POST /v1/audio/speech HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const before = descriptors();

    for (const part of [request, 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', request.slice(0, -100), request.slice(0, 50)])
      await Promise.all(Array.from({ length: 5 }, () => new Promise(resolve => {
        const socket = net.connect(new URL(server.url).port, '127.0.0.1', () => socket.write(part, () => setTimeout(() => socket.destroy(), 50)));
        socket.on('close', resolve).on('error', resolve);
      })));
    await until(() => descriptors() <= before, 'closed connections', 5000);
  });
  await test('who hangs up while he waits for an engine is forgotten', async () => {
    const controller = new AbortController();
    const answers = Array.from({ length: 2 * os.cpus().length + 2 }, () => transcribe({ signal: controller.signal }));
    const health = async () => (await fetch(server.url.replace(/v1$/, 'health'))).json();

    answers.forEach(answer => answer.catch(() => {}));
    await until(async () => (await health()).waiting >= 2, 'requests that wait');
    controller.abort();
    await Promise.allSettled(answers);
    await until(async () => { const { running, waiting } = await health(); return running + waiting === 0; }, 'an idle server', 5000);
    assert.deepEqual(descendants(server.pid), []);
  });
  await test('an engine that dies is an error of the server, which goes on', async () => {
    const answer = transcribe({ maxRetries: 0 });
    answer.catch(() => {});
    const [engine] = await until(() => { const found = descendants(server.pid); return found.length && found; }, 'an engine');
    process.kill(engine.pid, 'SIGKILL');
    await refused(answer, 500, 'engine_crashed');
    await assert.rejects(answer, error => error instanceof OpenAI.InternalServerError);
    assert.equal((await client.models.list()).data.length, 6);
  });
  await test('it ends with its standard input, and leaves no engine behind', async () => {
    transcribe({ maxRetries: 0 }).catch(() => {});
    const [engine] = await until(() => { const found = descendants(server.pid); return found.length && found; }, 'an engine');
    server.stdin.end();
    const { status, stderr } = await server.ended;
    assert.equal(status, 0);
    assert.equal(stderr, '');
    await until(() => !isAlive(engine.pid), 'the end of the engine', 5000);
  });
}

await main(async () => {
  const server = await startServer();
  const client = new OpenAI({ baseURL: server.url, apiKey: token, maxRetries: 0 });

  await access(server);
  await speech(server, client);
  await translation(server, client);
  await texts(server, client);
  await images(server, client);
  await faults(server, client);
});
