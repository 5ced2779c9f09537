// SPDX-License-Identifier: LGPL-2.1-or-later
// Jobs that need models, with providers that have keys: real BullMQ jobs, derushd, and fakes of the providers' servers.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { daemonEnvironment, listFiles, main, makeFilm, need, openQueue, sourceDirectory, start, startDaemon, startRedis, temporaryFolder, test, until, descendants } from './lib.mjs';

const key = 'sk-planted-0123456789abcdef';

async function startFake(program, ...args) {
  const fake = start('node', [path.join(sourceDirectory, 'tests/fakes', program), '--key', key, ...args]);

  fake.baseUrl = await until(() => /^listening (\S+)/m.exec(fake.output.stdout)?.[1], 'the fake to listen');
  fake.plan = faults => fetch(new URL('/__faults', fake.baseUrl), { method: 'POST', body: JSON.stringify(faults), headers: { 'content-type': 'application/json' } });
  fake.asked = async () => (await fetch(new URL('/__log', fake.baseUrl))).json();
  return fake;
}

const folder = temporaryFolder('models');
const film = path.join(folder, 'film.mp4');

function jobs(outputDir) {
  return {
    TRANSCRIPTION: [{ videoUrl: film, outputDir }, value => assert.match(value.text, /planted/)],
    TRANSLATION: [{ text: 'Good day', sourceLanguage: 'en', targetLanguage: 'fr', outputDir }, value => assert.match(value.translatedText, /Good day/)],
    CONTENT_GENERATION: [{ prompt: 'A film of a drill', options: { type: 'TITLE' }, outputDir }, value => assert.ok(value.text)],
    AI_ANALYSIS: [{ videoUrl: film, outputDir }, value => assert.equal(value.result.summary, 'a text')],
    VOICEOVER: [{ text: 'This is a short test of the voice.', language: 'en', format: 'mp3', outputDir }, value => {
      assert.ok(value.duration > 1 && value.duration < 5, `${value.duration} s`);
      assert.ok(fs.statSync(value.filePath).size > 1000);
    }],
    IMAGE_GENERATION: [{ prompt: 'A drill', options: { numberOfImages: 2 }, outputDir }, value => {
      for (const image of value.images) assert.ok(fs.statSync(image.filePath).size > 100);
    }],
  };
}

const providerOf = value => value.provider ?? value.metadata?.provider;
const degradedOf = value => value.degraded ?? value.metadata?.degraded;

// Nothing that anybody can read has the key: logs, rows, files, Redis, command lines, other workers' environments.
async function assertNoKey(redis, daemon, bench) {
  const client = redis.client();
  const names = await client.keys('*');

  for (const name of names) {
    const type = await client.type(name);
    const content = type === 'hash' ? await client.hgetall(name) : type === 'stream' ? await client.xrange(name, '-', '+') : type === 'string' ? await client.get(name) : null;

    assert.ok(!JSON.stringify(content).includes(key), `Redis: ${name}`);
  }
  client.disconnect();
  assert.ok(!daemon.output.stderr.includes(key) && !daemon.output.stdout.includes(key), 'logs');
  for (const place of [daemon.folder, folder])
    for (const file of listFiles(place))
      assert.ok(!fs.readFileSync(path.resolve(place, file)).includes(key), file);
  for (const { pid, name } of [{ pid: daemon.pid, name: 'derushd' }, ...descendants(daemon.pid)]) {
    assert.ok(!fs.readFileSync(`/proc/${pid}/cmdline`).includes(key), name);
    if ('derush-media-worker'.startsWith(name))
      assert.ok(!fs.readFileSync(`/proc/${pid}/environ`).includes(key), name);
    if (name.startsWith('derush-model'))
      assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'), /Max core file size +0 +0 /);
  }
}

await main(async () => {
  await makeFilm(film, { seconds: 5 });
  const redis = await startRedis();
  const openai = await startFake('openai.mjs');
  const huggingface = await startFake('huggingface.mjs');
  const servers = {
    openai: { fake: openai, environment: { OPENAI_API_KEY: key, OPENAI_BASE_URL: openai.baseUrl } },
    huggingface: { fake: huggingface, environment: { HUGGINGFACE_API_KEY: key, HUGGINGFACE_BASE_URL: huggingface.baseUrl } },
  };

  for (const [name, { fake, environment }] of Object.entries(servers)) {
    const daemon = await startDaemon(redis, { queues: [`ai-${name}`], roots: [folder], environment: { ...environment, DERUSH_LOG_LEVEL: 'debug' } });
    const bench = await openQueue(redis, `ai-${name}`);

    for (const [type, [data, check]] of Object.entries(jobs(path.join(folder, name))))
      await test(`${type} is answered by ${name}`, async () => {
        const value = await bench.finished(await bench.add(type, data, { attempts: 1 }));

        check(value);
        assert.equal(providerOf(value), name);
        assert.equal(degradedOf(value), false);
        assert.ok((await fake.asked()).every(asked => !asked.refused), JSON.stringify((await fake.asked()).filter(asked => asked.refused)));
      });
    await test(`the key of ${name} is in no log, row, file, value or command line`, () => assertNoKey(redis, daemon, bench));
    await test(`a job that ${name} refuses the key for says so, without the key`, async () => {
      await fake.plan([{ fault: 'status', status: 401, always: true, body: { error: { message: `Incorrect API key provided: ${key}` } } }]);
      await assert.rejects(bench.finished(await bench.add('TRANSLATION', { text: 'Good night', sourceLanguage: 'en', targetLanguage: 'fr' }, { attempts: 1 })), error => {
        assert.match(error.message, new RegExp(`${name} refuses the key`));
        assert.ok(!error.message.includes(key));
        return true;
      });
      await assertNoKey(redis, daemon, bench);
      await fake.plan([]);
    });
    await daemon.stop();
    await bench.close();
  }

  await test('derush models shows who answers, and no key', async () => {
    const environment = { ...daemonEnvironment(path.join(folder, 'command')), ...servers.openai.environment, ...servers.huggingface.environment };
    const json = JSON.parse((await need('derush', ['models', '--json'], { environment })).stdout);
    const text = (await need('derush', ['models'], { environment })).stdout;

    assert.deepEqual(json.providers.map(({ provider, answers }) => [provider, answers]), [['openai', true], ['huggingface', true]]);
    assert.deepEqual(json.providers[0].tasks, ['transcribe', 'speak', 'translate', 'chat', 'image']);
    assert.equal(json.providers[0].available[0].id, 'fake-1');
    assert.match(text, /^openai +http:\/\/127\.0\.0\.1/m);
    assert.ok(!JSON.stringify(json).includes(key) && !text.includes(key));
  });
  await test('a job that is tried again, and one that asks the same, pay for nothing twice', async () => {
    const daemon = await startDaemon(redis, { queues: ['ai-again'], roots: [folder], environment: servers.openai.environment });
    const bench = await openQueue(redis, 'ai-again');
    const other = path.join(folder, 'other.mp4');
    const count = async end => (await openai.asked()).filter(asked => asked.path.endsWith(end)).length;

    await makeFilm(other, { seconds: 4, audio: 'sine=f=550:r=48000' });
    await openai.plan([{ path: '/chat/completions', fault: 'status', status: 500, headers: { 'x-should-retry': 'false' } }]);
    const job = await bench.add('AI_ANALYSIS', { videoUrl: other }, { attempts: 2, backoff: 50 });
    const value = await bench.finished(job);

    assert.equal(value.result.summary, 'a text');
    assert.equal(await count('/audio/transcriptions'), 1);
    assert.equal(await count('/chat/completions'), 2);
    const again = await bench.finished(await bench.add('TRANSCRIPTION', { videoUrl: other, outputDir: path.join(folder, 'again') }, { attempts: 1 }));

    assert.match(again.text, /planted/);
    assert.equal(await count('/audio/transcriptions'), 1);
    await daemon.stop();
    await bench.close();
  });
  await test('a model that thinks for longer than a job may make no progress is waited for', async () => {
    const daemon = await startDaemon(redis, { queues: ['ai-slow'], roots: [folder], environment: { ...servers.openai.environment, DERUSH_STALL_TIMEOUT: '1' } });
    const bench = await openQueue(redis, 'ai-slow');

    await openai.plan([{ fault: 'delay', delay: 2500 }]);
    const value = await bench.finished(await bench.add('TRANSLATION', { text: 'Good evening', sourceLanguage: 'en', targetLanguage: 'fr' }, { attempts: 1 }));

    assert.equal(providerOf(value), 'openai');
    await daemon.stop();
    await bench.close();
  });
  await test('the engines of this machine answer in place of a provider that cannot, and the job says so', async () => {
    const daemon = await startDaemon(redis, { queues: ['ai-fallback'], roots: [folder], environment: { ...servers.openai.environment, DERUSH_MODEL_PROVIDERS: 'openai,local' } });
    const bench = await openQueue(redis, 'ai-fallback');

    await openai.plan([{ fault: 'status', status: 401, always: true }]);
    const value = await bench.finished(await bench.add('TRANSLATION', { text: 'El museo abre por la mañana.', sourceLanguage: 'es', targetLanguage: 'pt' }, { attempts: 1 }));

    assert.equal(providerOf(value), 'local');
    assert.equal(degradedOf(value), true);
    assert.ok(value.warnings.some(warning => /openai/.test(warning)), JSON.stringify(value.warnings));
    await openai.plan([]);
    await daemon.stop();
    await bench.close();
  });
  await redis.stop();
});
