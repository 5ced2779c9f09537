// SPDX-License-Identifier: LGPL-2.1-or-later
// Every type of job that needs a model, by every kind of server: real BullMQ jobs, a derushd for each server, and fakes of the
// servers that refuse what these refuse. What a server cannot do is an error that says so, or is done by the local engines,
// as the settings have it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { assertNoKey, key, startFake } from './fakes.mjs';
import { ffprobe, main, makeFilm, openQueue, startDaemon, startRedis, temporaryFolder, test } from './lib.mjs';

const folder = temporaryFolder('dialects');
const films = ['one.mp4', 'two.mp4'].map(name => path.join(folder, name));
const long = path.join(folder, 'long.m4a');
const digest = file => createHash('sha256').update(fs.readFileSync(file)).digest('hex');
const texts = ['La casa es grande y el perro duerme.', 'El museo abre por la mañana.'];
const wishes = ['A film about a blue moon', 'A walk along the river at night'];

// Two jobs of each type, in the shapes that backends send, whose results have to differ; what a result has to have, and what of
// it is compared.
const types = {
  TRANSCRIPTION: {
    data: (i, outputDir) => [{ videoId: 'v1', audioUrl: films[0], outputDir, language: 'en',
      options: { format: 'json', includeTimestamps: true, includeConfidence: true, speakerDiarization: false, customVocabulary: [] } },
    { videoId: 'v2', videoUrl: films[1], outputDir }][i],
    check(value) {
      assert.match(value.text, /^never a planted [a-z]+ is [a-z]+\.$/);
      assert.equal(value.wordCount, 6);
      assert.ok(value.timestamps.length > 0);
      for (const { start, end } of value.timestamps) assert.ok(start >= 0 && end > start && end <= 6.1, `${start} to ${end} s`);
      assert.match(fs.readFileSync(value.files.srt, 'utf8'), /never a planted/);
      return value.text;
    },
  },
  TRANSLATION: {
    data: (i, outputDir) => ({ videoId: 'v1', originalText: texts[i], sourceLanguage: 'es', targetLanguage: 'pt', formality: 'NEUTRAL', context: '', outputDir }),
    check(value, i) {
      assert.ok(value.translatedText.endsWith(`:${texts[i]}`), value.translatedText);
      return value.translatedText;
    },
  },
  VOICEOVER: {
    data: (i, outputDir) => ({ videoId: 'v1', outputDir, text: ['This is a short test of the voice.', 'And this is another one, which is longer.'][i], voice: '', language: 'en', format: 'mp3',
      speed: 1, pitch: 0, quality: 'medium' }),
    check(value, i) {
      assert.ok(Math.abs(value.duration - [34, 41][i] / 15) < 0.3, `${value.duration} s`);
      assert.equal(value.format, 'mp3');
      return digest(value.filePath);
    },
  },
  AI_ANALYSIS: {
    data: (i, outputDir) => ({ videoId: `v${i}`, videoUrl: films[i], outputDir, customPrompt: '', language: 'en',
      ...(i ? { analysisType: 'content-analysis' } : { analysisTypes: ['summary', 'topics', 'chapters', 'moments', 'scene-detection', 'audio-analysis'] }) }),
    check(value) {
      assert.match(value.result.summary, /^a text of [0-9a-f]{8}$/);
      assert.ok(value.result.moments.every(({ start, end }) => start < end && end <= 6.1));
      return value.result.summary;
    },
  },
  CONTENT_GENERATION: {
    data: i => ({ videoId: 'v1', prompt: wishes[i], options: { type: 'TITLE', tone: 'friendly', language: 'en', length: 'short', platform: 'YOUTUBE' },
      brandProfile: { voice: 'warm', keywords: ['moon'], hashtags: ['#moon'] } }),
    check(value) {
      assert.match(value.text, /^a text of [0-9a-f]{8}$/);
      return value.text;
    },
  },
  IMAGE_GENERATION: {
    data: (i, outputDir) => ({ prompt: `a title card saying ${['Blue Moon', 'Red Sun'][i]}`, outputDir, options: { count: 2, width: 640, height: 360, quality: 'medium', style: '', seed: 1 } }),
    async check(value) {
      assert.equal(value.images.length, 2);
      for (const { filePath } of value.images) {
        const { streams: [picture] } = await ffprobe(filePath);

        assert.deepEqual([picture.width, picture.height], [640, 360]);
      }
      return digest(value.images[0].filePath);
    },
  },
};
const everything = Object.keys(types);
const withText = ['TRANSLATION', 'AI_ANALYSIS', 'CONTENT_GENERATION'];

// serves: what is answered, by @engine; degraded: what the local engines do in its place, of the task @local; fails: with which
// words; refuses: what the server may refuse, each of it once, as it is remembered. Nothing else may be refused.
const servers = {
  openai: { serves: everything, refuses: [] },
  gpt4o: { serves: everything, models: { TRANSCRIBE: 'gpt-4o-transcribe' }, refuses: [/response_format 'verbose_json'/] },
  whispercpp: { serves: ['TRANSCRIPTION'], local: 'SPEAK', degraded: 'VOICEOVER', fails: { CONTENT_GENERATION: /openai does not know .* this address.*File Not Found/ }, refuses: [] },
  'whispercpp --inference-path /v1/audio/transcriptions': { serves: ['TRANSCRIPTION'], fails: { VOICEOVER: /openai does not know/ }, refuses: [] },
  speaches: { serves: ['TRANSCRIPTION', 'VOICEOVER'], models: { SPEAK: 'tts-1' }, local: 'IMAGE', degraded: 'IMAGE_GENERATION', fails: { CONTENT_GENERATION: /openai does not know/ }, refuses: [] },
  kokoro: { serves: ['VOICEOVER'], models: { SPEAK: 'kokoro' }, local: 'TRANSLATE', degraded: 'TRANSLATION', fails: { TRANSCRIPTION: /openai does not know/ }, refuses: [] },
  ollama: { serves: ['TRANSCRIPTION', ...withText], models: { CHAT: 'qwen2.5' }, local: 'SPEAK', degraded: 'VOICEOVER', fails: { IMAGE_GENERATION: /openai does not know/ }, refuses: [] },
  'llamacpp --loading 1': { serves: withText, local: 'TRANSCRIBE', degraded: 'TRANSCRIPTION', fails: { VOICEOVER: /openai does not know/ }, refuses: [/Loading model/, /json_schema/] },
  localai: { serves: everything, models: { IMAGE: 'stablediffusion' }, refuses: [] },
  vllm: { serves: ['TRANSCRIPTION', ...withText], models: { CHAT: 'Qwen/Qwen2.5-VL-7B-Instruct' }, local: 'IMAGE', degraded: 'IMAGE_GENERATION', fails: { VOICEOVER: /openai does not know/ },
    refuses: [/response_format `text` or `json`/, /json_schema/, /Maximum clip duration/], long: true },
  groq: { serves: ['TRANSCRIPTION', 'VOICEOVER', ...withText], models: { CHAT: 'llama-3.3-70b' }, voice: 'Fritz-PlayAI', local: 'IMAGE', degraded: 'IMAGE_GENERATION', refuses: [/json_schema/] },
  plain: { serves: everything, models: { IMAGE: 'own' }, refuses: [/max_completion_tokens/, /json_schema/, /json_object/, /Voice 'alloy' not found/, /'n' must be 1/] },
  'huggingface --loading 1': { serves: everything, refuses: [/currently loading/] },
  'huggingface --dialect addresses': { serves: everything, refuses: [] },
  'huggingface --dialect picky': { serves: everything, refuses: [/parameters are not supported/, /text is missing/, /is not supported by provider/] },
  'huggingface --dialect gone': { serves: [], fails: { VOICEOVER: /no longer supported. Please use https:\/\/router/ }, refuses: [/no longer supported/] },
};

function settingsOf(provider, fake, { models = {}, local, voice = '' }) {
  const upper = provider.toUpperCase();

  return { [`${upper}_API_KEY`]: key, [`${upper}_BASE_URL`]: fake.baseUrl, DERUSH_LOG_LEVEL: 'debug', DERUSH_OPENAI_VOICE: voice,
    ...Object.fromEntries(Object.entries(models).map(([task, model]) => [`DERUSH_${upper}_MODEL_${task}`, model])),
    ...(local ? { [`DERUSH_MODEL_PROVIDERS_${local}`]: `${provider},local` } : {}) };
}

const answered = value => (value.images ? value.images[0].metadata : { provider: value.provider, engine: value.engine, degraded: value.degraded, ...value.metadata });

async function tryServer(redis, name, server) {
  const [first, ...options] = name.split(' '), provider = first === 'huggingface' ? first : 'openai';
  const fake = await startFake(`${provider}.mjs`, ...(first === provider ? [] : ['--dialect', first]), ...options);
  const queue = `ai-${name.replaceAll(/\W+/g, '-')}`, out = path.join(folder, queue);
  const daemon = await startDaemon(redis, { queues: [queue], roots: [folder], environment: settingsOf(provider, fake, server) });
  const bench = await openQueue(redis, queue);
  const run = async (type, data) => bench.finished(await bench.add(type, data, { attempts: 1 }));

  for (const type of server.serves)
    await test(`${type} by ${name}`, async () => {
      const values = [];

      for (const i of [0, 1]) {
        const value = await run(type, types[type].data(i, path.join(out, `${type}-${i}`)));
        const { provider: who, engine, degraded } = answered(value);

        assert.deepEqual([who, degraded], [provider, false]);
        assert.ok(engine && engine !== provider, engine);
        // An analysis whose words another one has heard is by this one, and says so.
        if (type === 'AI_ANALYSIS' && server.local === 'TRANSCRIBE')
          assert.ok(value.warnings.some(warning => /^local answers in place of/.test(warning)), JSON.stringify(value.warnings));
        values.push(await types[type].check(value, i));
      }
      assert.notEqual(values[0], values[1], 'what was asked makes no difference');
    });
  if (server.degraded)
    await test(`${server.degraded} in place of ${name}, by the local engines`, async () => {
      const value = await run(server.degraded, types[server.degraded].data(0, path.join(out, 'degraded')));
      const { provider: who, engine, degraded } = answered(value);

      assert.deepEqual([who, degraded], ['local', true]);
      assert.match(engine, /pocketsphinx|flite|espeak|apertium|local-/i);
      assert.ok(value.warnings.some(warning => warning.includes(provider)), JSON.stringify(value.warnings));
    });
  for (const [type, words] of Object.entries(server.fails ?? {}))
    await test(`${type} cannot be done by ${name}, which is said`, async () => {
      await assert.rejects(run(type, types[type].data(0, path.join(out, 'failed'))), words);
    });
  if (server.long)
    await test(`a long sound reaches ${name} in parts that it takes`, async () => {
      const value = await run('TRANSCRIPTION', { id: 'v3', audioPath: long, outputDir: path.join(out, 'long') });

      assert.match(value.text, /^never a planted .* planted [a-z]+ is [a-z]+\.$/);
    });
  await test(`${name} refuses nothing that it need not, and nothing twice`, async () => {
    const refused = (await fake.asked()).flatMap(asked => asked.refused ?? []);

    for (const said of refused)
      assert.ok(server.refuses.some(words => words.test(said)), said);
    for (const words of server.refuses)
      assert.equal(refused.filter(said => words.test(said)).length, 1, `${words} in ${JSON.stringify(refused)}`);
  });
  await test(`the key of ${name} is nowhere`, () => assertNoKey(redis, daemon, out));
  await daemon.stop();
  await bench.close();
  fake.kill();
}

// A request of each endpoint that is right, as a tester of the tester.
function rightRequests() {
  const form = new FormData();
  const wav = Buffer.alloc(64044);

  wav.write('RIFF', 0);
  wav.writeUInt32LE(32000, 28);
  form.append('file', new Blob([wav], { type: 'audio/wav' }), 'speech.wav');
  form.append('model', 'whisper-1');
  return {
    'audio/transcriptions': form,
    'audio/speech': { model: 'tts-1', input: 'Hello.', voice: 'alloy' },
    'chat/completions': { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello.' }] },
    'images/generations': { model: 'gpt-image-1', prompt: 'a moon' },
  };
}

await main(async () => {
  await Promise.all([makeFilm(films[0], { seconds: 5 }), makeFilm(films[1], { seconds: 6, audio: 'sine=f=550:r=48000', video: 'mandelbrot=s=320x180:r=12' }),
    makeFilm(long, { seconds: 50, video: null, audio: 'sine=f=300:r=48000' })]);
  const redis = await startRedis();

  await test('the fake of OpenAI refuses what the published description of its requests does not have', async () => {
    const fake = await startFake('openai.mjs');
    const ask = async (name, body) => {
      const isForm = body instanceof FormData;
      const response = await fetch(`${fake.baseUrl}/${name}`, { method: 'POST', body: isForm ? body : JSON.stringify(body),
        headers: { authorization: `Bearer ${key}`, ...(isForm ? {} : { 'content-type': 'application/json' }) } });

      return { status: response.status, code: response.status === 200 ? null : (await response.json()).error.code };
    };

    for (const [name, body] of Object.entries(rightRequests())) {
      assert.deepEqual(await ask(name, body), { status: 200, code: null }, name);
      if (body instanceof FormData) body.append('unheard_of', 'x');
      assert.deepEqual(await ask(name, body instanceof FormData ? body : { ...body, unheard_of: 1 }), { status: 400, code: 'schema' }, name);
    }
    assert.equal((await ask('audio/speech', { model: 'tts-1', input: 'Hello.', voice: 'alloy', speed: 'fast' })).code, 'schema');
    assert.equal((await ask('chat/completions', { model: 'gpt-4o-mini', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://x', detail: 'huge' } }] }] })).code, 'schema');
    assert.equal((await ask('chat/completions', { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello.', unheard_of: 1 }] })).code, 'schema');
    assert.equal((await ask('images/generations', { prompt: 'a moon', n: 11 })).code, 'schema');
    assert.equal((await fake.asked()).filter(asked => asked.refused).length, 8, 'and its log says so');
    fake.kill();
  });
  for (const [name, server] of Object.entries(servers))
    await tryServer(redis, name, server);
  await redis.stop();
});
