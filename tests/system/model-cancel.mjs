// SPDX-License-Identifier: LGPL-2.1-or-later
// Jobs that are cancelled while a model is waited for: they end at once, and the same worker does the next one.
import assert from 'node:assert/strict';
import path from 'node:path';
import { descendants, freePort, main, openQueue, sourceDirectory, start, startDaemon, startRedis, test, until } from './lib.mjs';

const key = 'sk-planted-0123456789abcdef';
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

// Where a call hangs. What is left of the rate is known from the answer to the first one.
const hangs = {
  'for an answer that does not begin': { faults: [{ fault: 'silent' }] },
  'for an answer that does not end': { faults: [{ fault: 'drip' }] },
  'for another attempt': { faults: [{ fault: 'status', status: 503, headers: { 'retry-after': '60' } }] },
  'for the rate that is allowed': { faults: [{ headers: { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '100s' } }], first: true },
};

await main(async () => {
  const redis = await startRedis();
  const fake = start('node', [path.join(sourceDirectory, 'tests/fakes/openai.mjs'), '--key', key]);
  const baseUrl = await until(() => /^listening (\S+)/m.exec(fake.output.stdout)?.[1], 'the fake to listen');
  const plan = faults => fetch(new URL('/__faults', baseUrl), { method: 'POST', body: JSON.stringify(faults), headers: { 'content-type': 'application/json' } });
  const asked = async () => (await (await fetch(new URL('/__log', baseUrl))).json()).length;
  const port = await freePort();
  const serve = environment => startDaemon(redis, { queues: ['ai-processing'],
    environment: { DERUSH_HTTP_ADDRESS: `127.0.0.1:${port}`, WORKER_AI_PROCESSING_CONCURRENCY: '1', DERUSH_MODEL_CACHE_SIZE: '0', ...environment } });
  const workers = daemon => descendants(daemon.pid).filter(({ name }) => name.startsWith('derush-model-w')).map(({ pid }) => pid);
  const bench = await openQueue(redis, 'ai-processing');
  const translate = text => bench.add('TRANSLATION', { text, sourceLanguage: 'en', targetLanguage: 'fr' }, { attempts: 1 });

  async function cancel(job) {
    const ended = assert.rejects(bench.finished(job, 20000), /cancel/i);
    const before = performance.now();

    assert.equal((await fetch(`http://127.0.0.1:${port}/api/jobs/${job.id}/cancel`, { method: 'POST' })).status, 200);
    await ended;
    console.log(`# ${(performance.now() - before).toFixed(0)} ms from the order to the event that tells of its end`);
  }

  let daemon = await serve({ OPENAI_API_KEY: key, OPENAI_BASE_URL: baseUrl });

  for (const [what, { faults, first }] of Object.entries(hangs))
    await test(`a job that waits ${what} is cancelled`, async () => {
      await plan(faults);
      if (first)
        await bench.finished(await translate('The first.'));
      const job = await translate('Good day.');

      await until(async () => await job.getState() === 'active' && (first || await asked() === 1), 'the job to wait');
      await sleep(300);
      const before = workers(daemon);

      assert.equal(await asked(), 1);
      await cancel(job);
      assert.deepEqual(workers(daemon), before);
      if (first)
        return;
      await plan([]);
      await bench.finished(await translate('Good night.'));
      assert.deepEqual(workers(daemon), before);
    });
  await daemon.stop();
  await test('a job that the engines of this machine work for is cancelled, and its engine with it', async () => {
    const engines = () => descendants(daemon.pid).filter(({ name }) => name === 'derush-models').length - 1;

    daemon = await serve({});
    const long = Array.from({ length: 400 }, (_, i) => `This is sentence number ${i}, which takes a while to say.`).join(' ');
    const job = await bench.add('VOICEOVER', { text: long, language: 'en' }, { attempts: 1 });

    await until(() => engines() > 0, 'an engine');
    await cancel(job);
    await until(() => engines() === 0, 'the end of the engine', 2000);
    await bench.finished(await bench.add('VOICEOVER', { text: 'Good night.', language: 'en' }, { attempts: 1 }));
  });
  await test('a job whose server of engines is killed is tried again with another one', async () => {
    const servers = () => descendants(daemon.pid).filter(({ name }) => name === 'derush-models').map(({ pid }) => pid);
    const long = Array.from({ length: 50 }, (_, i) => `Here is sentence number ${i}, which takes a while.`).join(' ');
    const job = await bench.add('VOICEOVER', { text: long, language: 'en' }, { attempts: 2, backoff: 50 });
    const before = await until(() => servers().length > 1 && servers(), 'an engine');

    process.kill(before[0], 'SIGKILL');
    await bench.finished(job, 60000);
    assert.ok(servers().every(pid => !before.includes(pid)));
    await daemon.stop();
  });
  fake.kill();
  await bench.close();
  await redis.stop();
});
