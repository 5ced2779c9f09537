// SPDX-License-Identifier: LGPL-2.1-or-later
// What faults of models mean for jobs: those that cannot be mended fail at once, those that have a time wait until then without
// a place in the daemon and without spending an attempt, the rest is tried again as the job wants.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { key, startFake } from './fakes.mjs';
import { freePort, main, need, openQueue, run, startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const folder = temporaryFolder('faults');
const queueName = 'ai-faults';
const soon = { attempts: 3, backoff: 20 };
let text = 0;

const translation = () => ({ text: `Good day number ${++text}`, sourceLanguage: 'en', targetLanguage: 'fr' });
const status = (code, more = {}) => ({ fault: 'status', status: code, ...more });
const told = (code, message, type = code) => ({ body: { error: { message, type, param: null, code } } });

await main(async () => {
  const redis = await startRedis();
  const fake = await startFake('openai.mjs');
  const environment = { OPENAI_API_KEY: key, OPENAI_BASE_URL: fake.baseUrl, DERUSH_HTTP_ADDRESS: `127.0.0.1:${await freePort()}` };
  const serve = more => startDaemon(redis, { queues: [queueName], roots: [folder], environment: { ...environment, WORKER_AI_PROCESSING_CONCURRENCY: '1', WORKER_CONCURRENCY: '1', ...more } });
  const bench = await openQueue(redis, queueName);
  const again = job => fetch(`http://${environment.DERUSH_HTTP_ADDRESS}/api/jobs/${job.id}/retry`, { method: 'POST' });
  const state = async job => bench.queue.getJobState(job.id);
  const fresh = async job => bench.queue.getJob(job.id);
  const parked = async job => {
    await until(async () => await state(job) === 'delayed', 'the job to be delayed');
    return fresh(job);
  };
  let daemon = await serve({});

  for (const [what, fault, says] of [
    ['a key that is refused', status(401, told('invalid_api_key', `Incorrect API key provided: ${key.slice(0, 8)}***cdef`)), /refuses the key/],
    ['an account without credit', status(429, told('insufficient_quota', 'You exceeded your current quota')), /no credit left/],
    ['a bill that is not paid', status(402, told('payment_required', 'Payment required')), /no credit left/],
    ['a model that there is not', status(404, told('model_not_found', 'The model does not exist')), /does not know the model/],
    ['a request that is refused', status(400, told('content_policy_violation', 'Your request was rejected by our safety system')), /safety system/],
    ['a model that declines', { fault: 'refusal' }, /declined to answer/],
    ['an answer that is filtered', { finish: 'content_filter' }, /filter/],
  ])
    await test(`${what} fails the job for good at its first attempt`, async () => {
      await fake.plan([{ ...fault, always: true }]);
      const job = await bench.add('CONTENT_GENERATION', { prompt: `A film of drill number ${++text}`, options: { type: 'TITLE' } }, soon);

      await assert.rejects(bench.finished(job), says);
      const ended = await fresh(job);

      assert.equal(ended.attemptsMade, 1);
      assert.equal(await state(job), 'failed');
      assert.ok(!ended.failedReason.includes('cdef') && !JSON.stringify(ended.stacktrace).includes('cdef'), ended.failedReason);
      await daemon.stop();
      daemon = await serve({});
    });

  await test('a server in trouble is asked again as often as the job wants', async () => {
    await fake.plan([status(500, { always: true, headers: { 'x-should-retry': 'false' } })]);
    const job = await bench.add('TRANSLATION', translation(), soon);

    await assert.rejects(bench.finished(job), /500/);
    assert.equal((await fresh(job)).attemptsMade, 3);
  });

  await test('a server that wants to be left alone for long delays the job without spending an attempt', async () => {
    await fake.plan([status(429, { headers: { 'retry-after': '3600' } })]);
    const began = Date.now();
    const job = await bench.add('TRANSLATION', translation(), { attempts: 1 });
    const waiting = await parked(job);
    const { logs } = await bench.queue.getJobLogs(job.id);

    assert.equal(waiting.attemptsMade, 0);
    assert.ok(waiting.delay > 3590e3 && waiting.delay <= 3600e3 + 5000, `${waiting.delay} ms`);
    assert.match(logs.at(-1), /^delayed until 20\S+Z, not counted as an attempt: .*openai has had too many requests/);
    assert.ok(Date.parse(logs.at(-1).split(' ')[2].replace(/,$/, '')) > began + 3590e3, logs.at(-1));
    // Nobody else asks it meanwhile, and the only place of the queue is free.
    const other = await parked(await bench.add('TRANSLATION', translation(), { attempts: 1 }));

    assert.equal((await fake.asked()).length, 1);
    assert.equal(other.attemptsMade, 0);
    await assert.rejects(bench.finished(await bench.add('SELF_TEST', { do: 'fail', durationMs: 10 }, { attempts: 1 })));
    // Who releases it knows better than what the server said.
    const answer = await again(job);

    assert.equal(answer.status, 200, await answer.text());
    const value = await bench.finished(job);

    assert.equal(value.provider ?? value.metadata.provider, 'openai');
    assert.equal((await fresh(job)).attemptsMade, 1);
    const command = await need('derush', ['retry', other.id, '--queue', queueName], { environment: redis.environment });

    assert.equal(command.stdout, `Job ${other.id} waits to be run\n`);
    await bench.finished(other);
    const ended = JSON.parse((await need('derush', ['retry', other.id, '--queue', queueName, '--json'], { environment: redis.environment })).stdout);

    assert.deepEqual(ended, { queue: queueName, id: other.id, state: 'waiting' });
    await until(async () => await state(other) === 'completed', 'the job to be run again');
    const gone = await run('derush', ['retry', 'no-such-job', '--queue', queueName], { environment: redis.environment });

    assert.deepEqual([gone.status, gone.stderr], [1, `derush: there is no job no-such-job in ${queueName}\n`]);
  });

  await test('a job that is delayed survives the daemon, and runs when its time has come', async () => {
    await fake.plan([status(503, { headers: { 'retry-after': '121' } })]);
    const job = await bench.add('TRANSLATION', translation(), { attempts: 1 });

    await parked(job);
    assert.equal((await daemon.stop()).status, 0);
    assert.equal(await state(job), 'delayed');
    await (await fresh(job)).changeDelay(1500);
    daemon = await serve({});
    await bench.finished(job);
    assert.equal((await fresh(job)).attemptsMade, 1);
  });

  await test('a job that could ask nothing, as its server has failed too often, is delayed until that is asked again', async () => {
    await fake.plan([status(503, { always: true, headers: { 'retry-after-ms': '5' } })]);
    for (const job of [await bench.add('TRANSLATION', translation(), { attempts: 1 }), await bench.add('TRANSLATION', translation(), { attempts: 1 })])
      await assert.rejects(bench.finished(job), /503|left alone for a while/);
    const asked = (await fake.asked()).length;
    const job = await parked(await bench.add('TRANSLATION', translation(), { attempts: 1 }));

    assert.equal((await fake.asked()).length, asked);
    assert.equal(job.attemptsMade, 0);
    assert.ok(job.delay <= 30e3, `${job.delay} ms`);
    await fake.plan([]);
    await job.promote();
    await bench.finished(job);
  });

  await test('a job that is delayed can be cancelled', async () => {
    await fake.plan([status(429, { headers: { 'retry-after': '3600' } })]);
    const job = await bench.add('TRANSLATION', translation(), { attempts: 1 });

    await parked(job);
    await fetch(`http://${environment.DERUSH_HTTP_ADDRESS}/api/jobs/${job.id}/cancel`, { method: 'POST' });
    await assert.rejects(bench.finished(job), /cancelled/);
    await daemon.stop();
  });

  await test('a job that would have to wait for longer than it may fails', async () => {
    daemon = await serve({ DERUSH_MODEL_PARK: '600' });
    await fake.plan([status(429, { always: true, headers: { 'retry-after': '3600' } })]);
    const job = await bench.add('TRANSLATION', translation(), { attempts: 2, backoff: 20 });

    await assert.rejects(bench.finished(job), /left alone|no more requests/);
    assert.equal((await fresh(job)).attemptsMade, 2);
    await daemon.stop();
  });

  await test('the time that a job is delayed is counted over all its attempts', async () => {
    daemon = await serve({ DERUSH_MODEL_PARK: '200' });
    await fake.plan([status(429, { always: true, headers: { 'retry-after': '150' } })]);
    const job = await bench.add('TRANSLATION', translation(), { attempts: 1 });

    const client = redis.client(), hash = `bull:${queueName}:${job.id}`;

    await parked(job);
    const [times, since, late] = (await client.hget(hash, 'derushParked')).split(' ');

    assert.equal(times, '1');
    await client.hset(hash, 'derushParked', `1 ${since - 100e3} ${late}`);
    await (await fresh(job)).promote();
    await assert.rejects(bench.finished(job), /left alone/);
    assert.equal(await client.hget(hash, 'derushParked'), '');
    await daemon.stop();
  });

  await test('what the cap of a day has no room for is delayed until the next one', async () => {
    const prices = path.join(folder, 'prices.ini');

    fs.writeFileSync(prices, '[127.0.0.1/gpt-4o-mini*]\ninput=1\noutput=1\n');
    await fake.plan([]);
    daemon = await serve({ DERUSH_PRICES: prices, DERUSH_MODEL_COST_DAY: '1' });
    const spent = path.join(daemon.folder, 'state/models', `${new Date().toISOString().slice(0, 10)}.jsonl`);

    fs.mkdirSync(path.dirname(spent), { recursive: true });
    fs.writeFileSync(spent, `${JSON.stringify({ id: 'a', jobId: 'another', amount: 1 })}\n`);
    const job = await parked(await bench.add('TRANSLATION', translation(), { attempts: 1 }));

    assert.equal(new Date(Date.now() + job.delay + 1000).toISOString().slice(11, 15), '00:0');
    await daemon.stop();
  });

  await test('what the cap of a job has no room for fails for good', async () => {
    daemon = await serve({ DERUSH_PRICES: path.join(folder, 'prices.ini'), DERUSH_MODEL_COST_JOB: '0.0000001' });
    const job = await bench.add('TRANSLATION', translation(), soon);

    await assert.rejects(bench.finished(job), /DERUSH_MODEL_COST_JOB/);
    assert.equal((await fresh(job)).attemptsMade, 1);
    assert.equal((await fake.asked()).length, 0);
    await daemon.stop();
  });

  await bench.close();
  await redis.stop();
});
