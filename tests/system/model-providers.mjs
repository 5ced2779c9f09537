// SPDX-License-Identifier: LGPL-2.1-or-later
// Jobs that need models, with providers that have keys: what they pay, wait for and fall back on, in real BullMQ jobs. That each
// type of job is answered by each kind of server: model-dialects.mjs.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { querySqlite, startPostgres } from './databases.mjs';
import { assertNoKey, key, leaks, startFake } from './fakes.mjs';
import { daemonEnvironment, freePort, main, makeFilm, need, openQueue, startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const folder = temporaryFolder('models');
const providerOf = value => value.provider ?? value.metadata?.provider;
const degradedOf = value => value.degraded ?? value.metadata?.degraded;

await main(async () => {
  const redis = await startRedis();
  const cluster = await startPostgres();
  const openai = await startFake('openai.mjs');
  const huggingface = await startFake('huggingface.mjs');
  const servers = {
    openai: { fake: openai, environment: { OPENAI_API_KEY: key, OPENAI_BASE_URL: openai.baseUrl } },
    huggingface: { fake: huggingface, environment: { HUGGINGFACE_API_KEY: key, HUGGINGFACE_BASE_URL: huggingface.baseUrl } },
  };

  for (const [name, { fake, environment }] of Object.entries(servers)) {
    const address = `127.0.0.1:${await freePort()}`;
    const daemon = await startDaemon(redis, { queues: [`ai-${name}`], roots: [folder],
      environment: { ...environment, DERUSH_LOG_LEVEL: 'debug', DERUSH_HTTP_ADDRESS: address, DATABASE_URL: name === 'huggingface' ? cluster.url : '' } });
    daemon.address = address;
    const bench = await openQueue(redis, `ai-${name}`);

    await test(`a job that ${name} refuses the key for says so, without the key`, async () => {
      await fake.plan([{ fault: 'status', status: 401, always: true, body: { error: { message: `Incorrect API key provided: ${key}, which is ${key.slice(0, 14)}***cdef` } } }]);
      await assert.rejects(bench.finished(await bench.add('TRANSLATION', { text: 'Good night', sourceLanguage: 'en', targetLanguage: 'fr' }, { attempts: 1 })), error => {
        assert.match(error.message, new RegExp(`${name} refuses the key`));
        assert.ok(!leaks(error.message));
        return true;
      });
      // The row is written after Redis was told.
      const rows = await until(async () => {
        const dump = name === 'huggingface' ? (await need('pg_dump', ['--inserts', '-d', cluster.url])).stdout
          : JSON.stringify(await querySqlite(path.join(daemon.folder, 'state'), 'SELECT * FROM jobs'));

        return dump.includes(`${name} refuses the key`) && dump;
      }, 'the row of the job');

      assert.ok(!leaks(rows), 'rows');
      await assertNoKey(redis, daemon, folder);
      await fake.plan([]);
    });
    await daemon.stop();
    await bench.close();
  }

  await test('a bug report and the list of settings have no key', async () => {
    const own = path.join(folder, 'report'), log = path.join(own, 'derushd.log');
    const environment = { ...daemonEnvironment(own), ...servers.openai.environment, ...servers.huggingface.environment };
    const say = async (...args) => Object.values(await need('derush', args, { environment })).join();

    fs.writeFileSync(log, `{"level":"error","message":"wrote ${key} once"}\n`);
    for (const text of [await say('config'), await say('config', '--json'), await say('report', '--text', '--log', log)])
      assert.ok(!leaks(text), text);
    assert.match(await say('report', '--text', '--log', log), /wrote \[redacted\] once/);
    fs.rmSync(own, { recursive: true });
  });
  await test('a crash of the daemon leaves nothing of its memory', async () => {
    const here = path.join(folder, 'crash');

    fs.mkdirSync(here);
    const daemon = await startDaemon(redis, { queues: ['ai-crash'], environment: servers.openai.environment, folder: here,
      command: 'sh', args: ['-c', 'ulimit -c unlimited; cd "$0" && exec derushd', here] });

    assert.match(fs.readFileSync(`/proc/${daemon.pid}/limits`, 'utf8'), /Max core file size +0 +0 /);
    daemon.kill('SIGSEGV');
    await daemon.ended;
    assert.deepEqual(fs.readdirSync(here).filter(name => name.startsWith('core')), []);
  });
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

    assert.match(value.result.summary, /^a text of /);
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
  await cluster.stop();
  await redis.stop();
});
