// SPDX-License-Identifier: LGPL-2.1-or-later
// The worker of runner/bullmq, in a small program, against the real npm package and a private redis-server.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { FlowProducer } from 'bullmq';
import { diagnose, main, openQueue, sleep, sourceDirectory, start, startRedis, test, until } from '../../system/lib.mjs';

const require = createRequire(import.meta.url);
const [program, manifest] = process.argv.slice(2);
const fast = { WORKER_LOCK_DURATION: '1000', WORKER_STALLED_INTERVAL: '400' };

main(async () => {
  const redis = await startRedis();
  const client = redis.client();
  let queueNumber = 0;

  const worker = (queue, environment = {}) => start(program, [], { environment: { DERUSH_CONFIG: '', ...redis.environment, QUEUE_NAME: queue, ...environment } });
  const stop = async child => { child.kill('SIGTERM'); return child.ended; };

  /** Runs @body with an empty queue and a worker (null: none) of its own; after it, nothing must be left active. */
  const scenario = (name, environment, body) => test(name, async () => {
    const name = `q${++queueNumber}`;
    const side = await openQueue(redis, name);
    const child = environment && worker(name, environment);
    try {
      await body(side, child, name);
      assert.equal(await side.queue.getActiveCount(), 0, 'a job is left active');
    } finally {
      if (child && child.exitCode === null && child.signalCode === null) {
        const { status } = await stop(child);
        assert.equal(status, 0, `the worker ended with ${status}: ${child.output.stderr}`);
      }
      await side.close();
    }
  }, { timeout: 60000 });
  const finished = (side, job) => side.finished(job, 30000);
  const reload = (side, job) => side.queue.getJob(job.id);

  await test('the embedded scripts are those that Node sends', async () => {
    const { version, scripts } = JSON.parse(fs.readFileSync(manifest, 'utf8'));
    const wanted = JSON.parse(fs.readFileSync(path.join(sourceDirectory, 'package.json'), 'utf8')).dependencies.bullmq;
    assert.equal(version, wanted);
    assert.ok(scripts.length > 10);
    for (const { name, keys, sha1 } of scripts) {
      const { content } = require(path.join(sourceDirectory, `node_modules/bullmq/dist/cjs/scripts/${name}-${keys}.js`))[name];
      assert.equal(sha1, createHash('sha1').update(content).digest('hex'), name);
    }
    assert.match(scripts.find(script => script.name === 'moveToActive').sha1, /^d96ca626/);
  });

  await scenario('a job completes with its return value, progress and log', {}, async side => {
    const job = await side.add('work', { do: 'progress' });
    assert.deepEqual(await finished(side, job), { done: true });
    const seen = await reload(side, job);
    assert.equal(seen.progress, 100);
    assert.deepEqual((await side.queue.getJobLogs(job.id)).logs, ['a row']);
    assert.equal(seen.attemptsMade, 1);
  });

  await scenario('the worker is found by its name among the clients', { WORKER_NAME: 'camera' }, async side => {
    await finished(side, await side.add('work', { do: 'ok' }));
    const workers = await until(async () => { const found = await side.queue.getWorkers(); return found.length && found; }, 'the worker');
    assert.match(workers[0].rawname, /:w:camera$/);
  });

  await scenario('a failing job is tried again with backoff until its attempts are used up', {}, async side => {
    const job = await side.add('work', { do: 'fail' }, { attempts: 3, backoff: { type: 'exponential', delay: 20 } });
    await assert.rejects(finished(side, job), /asked to fail/);
    const seen = await reload(side, job);
    assert.equal(seen.attemptsMade, 3);
    assert.equal(seen.stacktrace.length, 3);
    assert.match(seen.stacktrace[0], /^Error: asked to fail\n/);
  });

  await scenario('a failing job without backoff is tried again at once', {}, async side => {
    const job = await side.add('work', { do: 'fail' }, { attempts: 2, stackTraceLimit: 1 });
    await assert.rejects(finished(side, job), /asked to fail/);
    assert.equal((await reload(side, job)).attemptsMade, 2);
    assert.equal((await reload(side, job)).stacktrace.length, 1);
  });

  await scenario('a failure that no retry can help ends the job at once', {}, async side => {
    const job = await side.add('work', { do: 'nonsense' }, { attempts: 5 });
    await assert.rejects(finished(side, job), /unusable data/);
    assert.equal((await reload(side, job)).attemptsMade, 1);
  });

  await scenario('priorities, order and delays are kept', null, async (side, _, name) => {
    const order = [];
    side.events.on('active', ({ jobId }) => order.push(jobId));
    await side.add('work', { do: 'ok' }, { jobId: 'five', priority: 5 });
    await side.add('work', { do: 'ok' }, { jobId: 'one', priority: 1 });
    await side.add('work', { do: 'ok' }, { jobId: 'first' });
    await side.add('work', { do: 'ok' }, { jobId: 'jumper', lifo: true });
    const late = await side.add('work', { do: 'ok' }, { jobId: 'late', delay: 700 });
    const child = worker(name);
    await finished(side, late);
    await stop(child);
    await until(() => order.length === 5, 'five active events');
    assert.deepEqual(order, ['jumper', 'first', 'one', 'five', 'late']);
    const { processedOn, timestamp } = await side.queue.getJob('late');
    assert.ok(processedOn >= timestamp + 700, 'the delayed job ran early');
  });

  await scenario('a paused queue is left alone until it is resumed', {}, async side => {
    await side.queue.pause();
    const job = await side.add('work', { do: 'ok' });
    await sleep(300);
    assert.equal(await side.queue.getCompletedCount(), 0);
    await side.queue.resume();
    await finished(side, job);
  });

  await scenario('a parent runs after its children, and fails with one that must not fail', {}, async (side, _, name) => {
    const flow = new FlowProducer({ connection: redis.connection });
    const child = (id, what, opts = {}) => ({ name: 'work', queueName: name, data: { do: what }, opts: { jobId: id, ...opts } });
    await flow.add({ name: 'work', queueName: name, data: { do: 'ok' }, opts: { jobId: 'good' }, children: [child('g1', 'ok'), child('g2', 'ok')] });
    await flow.add({ name: 'work', queueName: name, data: { do: 'ok' }, opts: { jobId: 'bad' }, children: [child('b1', 'fail', { failParentOnFailure: true })] });
    await finished(side, await side.queue.getJob('good'));
    assert.equal(Object.keys(await (await side.queue.getJob('good')).getChildrenValues()).length, 2);
    await assert.rejects(finished(side, await side.queue.getJob('bad')), /child .*b1 failed/);
    await flow.close();
  });

  await scenario('job schedulers go on, by interval and by cron pattern', {}, async side => {
    await side.queue.upsertJobScheduler('tick', { every: 300, limit: 2 }, { name: 'tick', data: { do: 'ok' } });
    await side.queue.upsertJobScheduler('cron', { pattern: '* * * * * *', tz: 'Europe/Paris', limit: 2 }, { name: 'cron', data: { do: 'ok' } });
    const done = await until(async () => { const jobs = await side.queue.getCompleted(); return jobs.length >= 4 && jobs; }, 'four runs');
    const times = done.filter(job => job.name === 'cron').map(job => Number(job.id.split(':').pop()));
    assert.equal(times.length, 2);
    assert.equal(Math.abs(times[0] - times[1]) % 1000, 0);
    assert.equal(done.filter(job => job.name === 'tick').length, 2);
  });

  await scenario('a job whose worker was killed stalls and is run by another', null, async (side, _, name) => {
    const first = worker(name, fast);
    const job = await side.add('work', { do: 'slow', durationMs: 1500 });
    await until(async () => await side.queue.getActiveCount() === 1, 'the job to run');
    first.kill('SIGKILL');
    await first.ended;
    const second = worker(name, fast);
    assert.deepEqual(await finished(side, job), { done: true });
    assert.equal((await reload(side, job)).stalledCounter, 1);
    await stop(second);
  });

  await scenario('a lock is renewed while its job runs, beside another worker that looks for stalled jobs', fast, async (side, _, name) => {
    const other = worker(name, fast);
    const job = await side.add('work', { do: 'slow', durationMs: 2500 });
    assert.deepEqual(await finished(side, job), { done: true });
    assert.equal((await reload(side, job)).attemptsStarted, 1);
    await stop(other);
  });

  await scenario('a lost lock cancels the job, nothing of it is written, and the next one runs', fast, async (side, child, name) => {
    const job = await side.add('work', { do: 'slow', durationMs: 20000 });
    await until(async () => await side.queue.getActiveCount() === 1, 'the job to run');
    await client.set(`bull:${name}:${job.id}:lock`, 'somebody else', 'PX', 60000);
    await until(() => child.output.stderr.includes(`cancelled ${job.id}`), 'the job to be cancelled');
    await finished(side, await side.add('work', { do: 'ok' }));
    assert.equal(await job.getState(), 'active');
    assert.equal(await client.get(`bull:${name}:${job.id}:lock`), 'somebody else');
    await client.del(`bull:${name}:${job.id}:lock`);
    await until(async () => await side.queue.getActiveCount() === 1 && (await reload(side, job)).stalledCounter === 1, 'the job to run again');
    child.kill('SIGKILL');
    await child.ended;
    await client.del(`bull:${name}:active`);
  });

  await scenario('a job removed under the worker is cancelled', fast, async (side, child, name) => {
    const job = await side.add('work', { do: 'slow', durationMs: 20000 });
    await until(async () => await side.queue.getActiveCount() === 1, 'the job to run');
    await client.del(`bull:${name}:${job.id}`, `bull:${name}:${job.id}:lock`, `bull:${name}:active`);
    await until(() => child.output.stderr.includes(`cancelled ${job.id}`), 'the job to be cancelled');
    await finished(side, await side.add('work', { do: 'ok' }));
  });

  await scenario('SIGTERM finishes the running job and leaves the next one', {}, async (side, child) => {
    const running = await side.add('work', { do: 'slow', durationMs: 800 });
    const next = await side.add('work', { do: 'ok' });
    await until(async () => await side.queue.getActiveCount() === 1, 'the job to run');
    const { status } = await stop(child);
    assert.equal(status, 0);
    assert.equal(await running.getState(), 'completed');
    assert.equal(await next.getState(), 'waiting');
  });

  await scenario('a job that is given back runs again and costs no attempt', {}, async side => {
    const job = await side.add('work', { do: 'giveback', durationMs: 30 });
    const seen = await until(async () => { const now = await reload(side, job); return now.attemptsStarted >= 2 && now; }, 'a second start');
    assert.equal(seen.attemptsMade, 0);
    await job.updateData({ do: 'ok' });
    await finished(side, job);
  });

  await scenario('a restart of Redis in the middle of a job costs nothing', {}, async side => {
    const job = await side.add('work', { do: 'slow', durationMs: 1500 });
    await until(async () => await side.queue.getActiveCount() === 1, 'the job to run');
    await redis.restart();
    assert.deepEqual(await finished(side, job), { done: true });
    assert.deepEqual(await finished(side, await side.add('work', { do: 'ok' })), { done: true });
    assert.equal((await reload(side, job)).attemptsStarted, 1);
  });

  await scenario('a job that ends while Redis is away is stored when it is back', {}, async side => {
    const job = await side.add('work', { do: 'slow', durationMs: 600 });
    await until(async () => await side.queue.getActiveCount() === 1, 'the job to run');
    await redis.shutDown();
    await sleep(900);
    await redis.launch();
    assert.deepEqual(await finished(side, job), { done: true });
  });

  await scenario('scripts that the server forgot are loaded again', {}, async side => {
    await finished(side, await side.add('work', { do: 'ok' }));
    await client.script('FLUSH');
    await finished(side, await side.add('work', { do: 'ok' }));
    await client.script('FLUSH');
    await assert.rejects(finished(side, await side.add('work', { do: 'fail' })), /asked to fail/);
  });

  await scenario('connections that break under load lose no job and run none twice', { WORKER_CONCURRENCY: '5' }, async (side, child) => {
    await side.queue.addBulk(Array.from({ length: 1500 }, () => ({ name: 'work', data: { do: 'ok' } })));
    for (let i = 0; i < 12; i++) {
      const list = String(await client.client('LIST')).split('\n').map(line => Object.fromEntries(line.split(' ').map(pair => pair.split('='))));
      const pids = list.filter(entry => /^evalsha$/.test(entry.cmd) || entry.cmd === 'bzpopmin').filter(entry => entry.resp);
      for (const entry of pids) await client.client('KILL', 'ID', entry.id).catch(() => {});
      await sleep(30);
      await side.queue.addBulk(Array.from({ length: 100 }, () => ({ name: 'work', data: { do: 'ok' } })));
    }
    await until(async () => await side.queue.getCompletedCount() === 2700, 'all jobs to complete', 25000);
    const started = (await side.queue.getCompleted(0, -1)).map(job => job.attemptsStarted);
    assert.ok(started.every(times => times === 1), 'a job was started twice');
    diagnose(`${child.output.stderr.match(/fetched when the connection broke/g)?.length ?? 0} jobs were found by their locks`);
  });

  await scenario('names, ids and data of any bytes pass through', {}, async side => {
    const hostile = ['! fakesink', '"quoted" \'single\' \\', 'line\nbreak\r\n$3\r\nfoo\r\n', 'Ünïcödé 🎬', '{"do":"ok"}', 'nul\0inside', ' ', 'x'.repeat(5000), '../../etc/passwd', '%s%n%d'];
    for (const [i, text] of hostile.entries()) {
      const job = await side.queue.add(text, { do: 'ok', text }, { jobId: `${text}#${i}`.replaceAll(':', '') });
      // C texts end at U+0000: data with one is refused, a name or an id with one is not.
      if (text.includes('\0'))
        await assert.rejects(finished(side, job), /unusable data/);
      else
        assert.deepEqual(await finished(side, job), { done: true }, JSON.stringify(text));
    }
    for (const data of ['text', 7, null, [1, [2]], { do: 7 }])
      await assert.rejects(finished(side, await side.queue.add('work', data)), /unusable data/);
  });

  await scenario('a job whose hash is gone fails with a clear reason, and the next one runs', null, async (side, _, name) => {
    const gone = await side.add('work', { do: 'ok' });
    const next = await side.add('work', { do: 'ok' });
    await client.del(`bull:${name}:${gone.id}`);
    const child = worker(name);
    await finished(side, next);
    assert.match((await reload(side, gone)).failedReason, /evicted/);
    await stop(child);
  });

  await scenario('a rate limit is obeyed, of the queue and of the worker', { WORKER_LIMITER_MAX: '2', WORKER_LIMITER_DURATION: '300' }, async side => {
    const jobs = await Promise.all(Array.from({ length: 5 }, () => side.add('work', { do: 'ok' })));
    for (const job of jobs) await finished(side, job);
    await side.queue.setGlobalRateLimit(1, 200);
    for (let i = 0; i < 3; i++) await finished(side, await side.add('work', { do: 'ok' }));
  });

  await scenario('a worker that starts before its server waits for it', null, async (side, _, name) => {
    const job = await side.add('work', { do: 'ok' });
    await redis.shutDown();
    const child = worker(name);
    await until(() => child.output.stderr.includes('No connection to Redis'), 'the warning');
    await redis.launch();
    assert.deepEqual(await finished(side, job), { done: true });
    await stop(child);
    assert.equal(child.output.stderr.match(/No connection to Redis/g).length, 1);
  });

  await scenario('a wrong password is said, and never shown', null, async (side, _, name) => {
    const child = worker(name, { REDIS_PASSWORD: 'not-the-password' });
    await until(() => child.output.stderr.includes('No connection to Redis'), 'the warning');
    child.kill('SIGTERM');
    const { status, stderr } = await child.ended;
    assert.equal(status, 0);
    assert.ok(/WRONGPASS|invalid/i.test(stderr), stderr);
    assert.ok(!stderr.includes('not-the-password'));
  });

  client.disconnect();
  await redis.stop();
});
