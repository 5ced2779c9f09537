// SPDX-License-Identifier: LGPL-2.1-or-later
// An operator's day: each command of `derush` and each path of the HTTP interface that orders a running derushd something, or
// tells how it is, held against what Node's bullmq, the kernel and the jobs say.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ask, post } from './api.mjs';
import { diagnose, isAlive, main, need, openQueue, run, sleep, start, startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const folder = temporaryFolder('operator');
const job = (durationMs, more = {}) => ['SELF_TEST', { do: 'ok', durationMs, ...more }];

/** derushd with HTTP at a port of its own: {base, derush(...), health(), worker(name)} on top of startDaemon(). */
async function startServed(redis, options = {}) {
  const daemon = await startDaemon(redis, { ...options, environment: { DERUSH_HTTP_ADDRESS: '127.0.0.1:0', ...options.environment } });
  const { port } = await until(() => daemon.log().find(line => line.port && /Serving HTTP/.test(line.message)), 'its port');

  daemon.base = `http://127.0.0.1:${port}`;
  daemon.derush = (...args) => run('derush', args, { environment: { ...redis.environment, DERUSH_HTTP_ADDRESS: `127.0.0.1:${port}`,
    DERUSH_QUEUES: (options.queues ?? ['video-processing']).join(','), LC_ALL: 'C.UTF-8', DERUSH_CONFIG: path.join(daemon.folder, 'derush.conf') } });
  daemon.said = async (...args) => JSON.parse((await daemon.derush(...args, '--json')).stdout);
  daemon.health = () => ask(daemon.base, '/api/health/workers');
  daemon.worker = async name => (await daemon.health()).data.workers[name];
  return daemon;
}

async function orders(redis) {
  const queue = await openQueue(redis);
  const daemon = await startServed(redis, { environment: { WORKER_VIDEO_PROCESSING_CONCURRENCY: '2' } });
  const [first, second] = ['video-processing-1', 'video-processing-2'];
  const pids = async () => [(await daemon.worker(first)).pid, (await daemon.worker(second)).pid];
  const isPaused = () => queue.queue.isPaused();

  await test('the statistics are those of the jobs that were done', async () => {
    const durations = [300, 600, 900, 300];
    const jobs = [];

    for (const ms of durations) jobs.push(await queue.add(...job(ms)));
    for (const each of jobs) await queue.finished(each);
    for (let i = 0; i < 2; i++) await assert.rejects(queue.finished(await queue.add(...job(0, { do: 'fail' }))));
    const took = (await Promise.all(jobs.map(each => queue.queue.getJob(each.id)))).map(each => each.finishedOn - each.processedOn);
    const { byType, byStatus, latency, failureRate, throughput } = (await ask(daemon.base, '/api/jobs/statistics')).data;
    assert.deepEqual(byType, { SELF_TEST: { completed: 4, failed: 2 } });
    await until(async () => (await ask(daemon.base, '/api/jobs/statistics')).data.byStatus.failed === 2, 'the counts of Redis', 5000);
    assert.ok(byStatus.waiting >= 0);
    assert.ok(Math.abs(failureRate - 2 / 6) < 1e-9, String(failureRate));
    assert.equal(throughput.lastHour, 4);
    // What the daemon measured is part of what Redis saw, and no shorter than what the jobs asked for.
    const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;
    assert.ok(latency.mean >= mean(durations) && latency.mean <= mean(took) + 5, `${latency.mean} of ${took}`);
    assert.ok(latency.p95 >= 900 && latency.p95 <= Math.max(...took) + 5, `${latency.p95} of ${took}`);
    assert.deepEqual((await daemon.said('stats')).byType, byType);
    const { status, stdout } = await daemon.derush('stats');
    assert.equal(status, 0);
    assert.match(stdout, /^SELF_TEST +4 +2 +0 +0 +0 +0 +0$/m);
    assert.match(stdout, /^jobs that failed: 33\.3 %$/m);
  });

  await test('a media worker that is killed is started again, and counted', async () => {
    const before = await pids();

    process.kill(before[0], 'SIGKILL');
    const worker = await until(async () => { const now = await daemon.worker(first); return now.pid && now.pid !== before[0] && now; }, 'another process');
    assert.deepEqual([worker.status, worker.restarts, worker.currentJob], ['idle', 1, undefined]);
    assert.ok(daemon.mediaWorkers().some(({ pid }) => pid === worker.pid), `${worker.pid} is a media worker`);
    assert.ok(new Date(worker.lastHeartbeat) <= new Date() && new Date(worker.lastHeartbeat) > Date.now() - 600000, worker.lastHeartbeat);
    const rss = Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${worker.pid}/status`, 'utf8'))[1]) * 1024;
    assert.ok(Math.abs(worker.memory - rss) < rss * 0.5, `${worker.memory} is about ${rss}`);
    assert.deepEqual([(await daemon.worker(second)).pid, (await daemon.worker(second)).restarts], [before[1], 0]);
    const busy = await queue.add(...job(600000), { attempts: 2, backoff: 100 });
    const name = await until(async () => Object.entries((await daemon.health()).data.workers).find(([, { currentJob, pid }]) => currentJob === busy.id && pid)?.[0], 'the job');
    const { pid, status, restarts } = await daemon.worker(name);
    assert.equal(status, 'active');
    process.kill(pid, 'SIGKILL');
    await until(async () => (await daemon.worker(name)).restarts === restarts + 1, 'its restart');
    assert.equal((await daemon.derush('cancel', busy.id)).status, 0);
  });

  await test('restart gives the named worker a new process, and no other', async () => {
    for (const order of [() => daemon.derush('restart', first), async () => ({ status: (await post(daemon.base, `/api/workers/${first}/restart`)).status - 200 })]) {
      const before = await pids();
      assert.equal((await order()).status, 0);
      await until(async () => { const [now] = await pids(); return now && now !== before[0]; }, 'another process');
      assert.equal((await pids())[1], before[1]);
      assert.ok(!isAlive(before[0]), 'the old one has gone');
    }
    const unknown = await daemon.derush('restart', 'video-processing-3');
    assert.deepEqual([unknown.status, unknown.stderr], [1, 'derush: There is no worker “video-processing-3”; there are: video-processing-1, video-processing-2\n']);
    assert.equal((await daemon.derush('restart')).status, 2);
  });

  await test('restart --now gives the running job back, without using an attempt', async () => {
    const given = await queue.add(...job(1500), { attempts: 1 });
    const name = await until(async () => Object.entries((await daemon.health()).data.workers).find(([, { currentJob, pid }]) => currentJob === given.id && pid)?.[0], 'the job');
    const before = (await daemon.worker(name)).pid;
    const later = await daemon.said('restart', name);

    assert.deepEqual(later, { worker: name, afterJob: true });
    assert.equal((await daemon.worker(name)).pid, before);
    assert.deepEqual(await daemon.said('restart', name, '--now'), { worker: name, afterJob: false });
    await queue.finished(given);
    const done = await queue.queue.getJob(given.id);
    assert.deepEqual([done.attemptsMade, done.attemptsStarted > 1], [1, true]);
    assert.ok(daemon.log().some(({ message, jobId }) => jobId === given.id && /given back|back/i.test(message)), 'the log says so');
  });

  await test('pause is that of bullmq: no job begins, whoever resumes', async () => {
    const steps = [['pause', () => daemon.derush('pause'), () => post(daemon.base, '/api/queues/video-processing/resume')],
      ['http', () => post(daemon.base, '/api/orchestrator/pause'), () => daemon.derush('resume', 'video-processing')],
      ['node', () => queue.queue.pause(), () => daemon.derush('resume')]];

    for (const [name, pause, resume] of steps) {
      await pause();
      assert.equal(await isPaused(), true, name);
      const waiting = await queue.add(...job(0));
      await sleep(300);
      assert.notEqual(await waiting.getState(), 'completed', name);
      assert.equal((await daemon.said('status')).queues['video-processing'].paused, true);
      assert.match((await daemon.derush('status')).stdout, /^video-processing .* paused$/m);
      await resume();
      assert.equal(await isPaused(), false, name);
      await queue.finished(waiting, 10000);
    }
    const none = await daemon.derush('pause', 'thumbnails');
    assert.deepEqual([none.status, none.stderr], [1, 'derush: This daemon does not serve the queue “thumbnails”, but video-processing\n']);
  });

  await test('pause --local keeps jobs from this daemon only', async () => {
    const other = await startDaemon(redis);

    assert.deepEqual(await daemon.said('pause', '--local'), { queues: ['video-processing'], paused: true, local: true });
    assert.equal(await isPaused(), false);
    for (let i = 0; i < 5; i++) await queue.finished(await queue.add(...job(20)), 15000);
    assert.equal((await daemon.said('stats')).byType.SELF_TEST.completed, 8);
    assert.equal((await other.stop()).status, 0);
    const waiting = await queue.add(...job(0));
    await sleep(300);
    assert.equal(await waiting.getState(), 'waiting');
    assert.equal((await daemon.said('status')).queues['video-processing'].pausedHere, true);
    await daemon.derush('resume', '--local');
    await queue.finished(waiting, 10000);
  });

  await test('a worker is stopped after its job, then at once, and started again', async () => {
    const running = await queue.add(...job(1000));
    const name = await until(async () => Object.entries((await daemon.health()).data.workers).find(([, { currentJob, pid }]) => currentJob === running.id && pid)?.[0], 'the job');
    const other = name === first ? second : first;

    assert.match((await daemon.derush('stop-after-job', name)).stdout, new RegExp(`^Worker ${name} is stopped after its job$`, 'm'));
    assert.deepEqual([(await daemon.worker(name)).status, (await daemon.worker(name)).stopping], ['active', true]);
    await queue.finished(running);
    await until(async () => { const { status, pid } = await daemon.worker(name); return status === 'stopped' && !pid; }, 'its end');
    const jobs = [await queue.add(...job(600000))];
    await until(async () => (await daemon.worker(other)).currentJob === jobs[0].id, 'the other one');
    jobs.push(await queue.add(...job(0)));
    await sleep(300);
    assert.equal(await jobs[1].getState(), 'waiting', 'nothing runs where a worker was stopped');
    assert.equal((await daemon.derush('stop', other)).status, 0);
    await until(async () => await jobs[0].getState() === 'waiting', 'the job to be given back');
    const { status, data } = await daemon.health();
    assert.deepEqual([status, data.status, data.problems], [200, 'degraded', ['All workers of the queue video-processing were stopped']]);
    assert.equal((await daemon.derush('start', name)).status, 0);
    await until(async () => (await daemon.worker(name)).currentJob === jobs[0].id, 'its next job');
    await daemon.derush('start', other);
    await queue.finished(jobs[1]);
    assert.equal((await daemon.derush('cancel', jobs[0].id)).status, 0);
  });

  await test('status --watch shows it again and again, until it is interrupted', async () => {
    const environment = { ...redis.environment, DERUSH_HTTP_ADDRESS: daemon.base.replace('http://', ''), DERUSH_QUEUES: 'video-processing', LC_ALL: 'C.UTF-8' };
    const watching = start('derush', ['status', '--watch'], { environment });

    await until(() => watching.output.stdout.split('\n').filter(line => /^video-processing-2 +idle +\d+ /.test(line)).length >= 2, 'the second look');
    assert.match(watching.output.stdout, /^derushd \S+ on \S+, process \d+, since /m);
    assert.ok(!watching.output.stdout.includes('\x1b'), 'no escape codes in a file');
    watching.kill('SIGINT');
    assert.equal((await watching.ended).status, 0);
  });

  await test('drain: the running job ends, the waiting one waits, and the daemon exits with 0', async () => {
    const running = await queue.add(...job(2000));
    const other = await queue.add(...job(2000));

    await until(async () => await queue.queue.getActiveCount() === 2, 'the running jobs');
    const drained = daemon.derush('drain', '--wait');
    await until(async () => (await ask(daemon.base, '/api/status')).data.draining, 'the drain');
    assert.equal((await ask(daemon.base, '/readyz')).status, 503);
    const waiting = await queue.add(...job(0));
    const { status, stdout } = await drained;
    assert.deepEqual([status, stdout], [0, 'The daemon has ended\n']);
    assert.deepEqual(await daemon.ended.then(({ status: code, signal }) => [code, signal]), [0, null]);
    assert.deepEqual([await running.getState(), await other.getState(), await waiting.getState()], ['completed', 'completed', 'waiting']);
    await waiting.remove();
    const gone = await daemon.derush('health');
    assert.equal(gone.status, 1);
    assert.match(gone.stderr, /^derush: no daemon answers at http:\/\/127\.0\.0\.1:\d+; start derushd/);
    assert.match((await daemon.derush('status')).stdout, /no daemon answers/);
    assert.equal((await daemon.said('status')).running, false);
  });
  await queue.close();
}

async function health(redis) {
  const queue = await openQueue(redis, 'health');
  const worker = path.join(folder, 'worker');

  await test('a queue whose workers do not start makes it unhealthy, until they do', async () => {
    fs.writeFileSync(worker, '#!/bin/sh\necho "a library is missing" >&2\nexit 127\n', { mode: 0o755 });
    const daemon = await startServed(redis, { queues: ['health'], environment: { DERUSH_MEDIA_WORKER: worker, WORKER_CONCURRENCY: '1' } });

    assert.equal((await daemon.derush('health')).status, 0);
    await assert.rejects(queue.finished(await queue.add(...job(10))));
    const { status, data, error } = await daemon.health();
    assert.deepEqual([status, data.healthy, data.status], [503, false, 'unhealthy']);
    assert.match(error, /^No worker of the queue health can be started: .*library is missing/s);
    assert.equal(data.problems[0], error);
    const failing = data.workers['health-1'];
    assert.ok(['failing', 'starting'].includes(failing.status) && failing.failedStarts >= 3 && failing.pid === undefined, JSON.stringify(failing));
    const shown = await daemon.derush('health');
    assert.equal(shown.status, 1);
    assert.match(shown.stdout, /^unhealthy.*\n- No worker of the queue health can be started/);
    fs.rmSync(worker);
    fs.symlinkSync(path.join(process.env.DERUSH_BUILD_DIR, 'runner/media/derush-media-worker'), worker);
    assert.equal((await daemon.derush('restart', 'health-1')).status, 0);
    await until(async () => (await daemon.worker('health-1')).pid, 'its start');
    assert.equal((await daemon.health()).status, 200);
    const mended = await daemon.worker('health-1');
    assert.deepEqual([mended.status, mended.failedStarts, mended.error], ['idle', 0, undefined]);
    await queue.finished(await queue.add(...job(10)));
    assert.equal((await daemon.stop()).status, 0);
  });

  await test('while a folder cannot be written health says so and jobs wait; they run when it can be', async () => {
    const locked = path.join(folder, 'locked');
    const isRoot = process.getuid() === 0;
    const unlock = () => isRoot ? need('mount', ['-o', 'remount,rw', locked]) : fs.chmodSync(locked, 0o755);
    fs.mkdirSync(locked);
    if (isRoot && (await run('mount', ['-t', 'tmpfs', '-o', 'ro,size=64m', 'tmpfs', locked])).status !== 0) {
      diagnose('not tried: root may write everywhere, and mount nothing');
      return;
    }
    if (!isRoot) fs.chmodSync(locked, 0o555);
    try {
      const daemon = await startServed(redis, { queues: ['health'], wait: false,
        environment: { DERUSH_SCRATCH: path.join(locked, 'scratch'), DERUSH_DISK_FLOOR: '1048576' } });
      const sick = await until(async () => { const answer = await daemon.health(); return answer.status === 503 && answer; }, 'the disk');

      assert.match(sick.error, /locked\/scratch cannot be written/);
      assert.equal(sick.data.details.disk.scratch.writable, false);
      assert.equal(sick.data.details.disk.outputs.writable, true);
      await until(async () => /^health .* held back: disk$/m.test((await daemon.derush('status')).stdout), 'the status to say why');
      const waiting = await queue.add(...job(10));
      await sleep(1500);
      assert.equal(await waiting.getState(), 'waiting');
      await unlock();
      await queue.finished(waiting);
      await until(async () => (await daemon.health()).status === 200, 'health');
      assert.equal((await daemon.stop()).status, 0);
    } finally {
      if (isRoot) await run('umount', ['-l', locked]);
    }
  });

  await test('a disk under its floor is unhealthy, a database that is away is not', async () => {
    const full = await startServed(redis, { queues: ['health'], wait: false, environment: { DERUSH_DISK_FLOOR: String(Number.MAX_SAFE_INTEGER) } });
    const { data, error } = await until(async () => { const answer = await full.health(); return answer.status === 503 && answer; }, 'the disk');

    assert.match(error, /outputs has only \d+ MiB free, less than DERUSH_DISK_FLOOR/);
    const { bavail, bsize } = fs.statfsSync(folder);
    assert.ok(Math.abs(data.details.disk.outputs.free - bavail * bsize) < 2 ** 30, `${data.details.disk.outputs.free} is about ${bavail * bsize}`);
    assert.equal(data.details.disk.outputs.belowFloor, true);
    assert.equal((await full.derush('health')).status, 1);
    await until(async () => /^health .* held back: disk$/m.test((await full.derush('status')).stdout), 'the status to say why');
    assert.equal((await full.stop()).status, 0);

    const away = await startServed(redis, { queues: ['health'], environment: { DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none' } });
    const id = await queue.add(...job(10));
    await queue.finished(id);
    const degraded = await until(async () => { const answer = await away.health(); return answer.data.status === 'degraded' && answer; }, 'the database');
    assert.equal(degraded.status, 200);
    assert.match(degraded.data.problems[0], /^The database cannot be written, so results wait for it: ./);
    const { connected, kind } = degraded.data.details.database;
    assert.deepEqual([connected, kind], [false, 'postgresql']);
    await until(async () => { const { waiting, spooled } = (await away.health()).data.details.database; return waiting + spooled > 0; }, 'rows that wait');
    const shown = await away.derush('health');
    assert.equal(shown.status, 0);
    assert.match(shown.stdout, /^degraded.*\n- The database cannot be written/);
    await away.stop();
  });
  await queue.close();
}

main(async () => {
  const redis = await startRedis();

  await orders(redis);
  await health(redis);
  await redis.stop();
});
