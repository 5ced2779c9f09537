// SPDX-License-Identifier: LGPL-2.1-or-later
// What an operator does to a derushd that runs: jobs are cancelled, wherever they are; settings change; systemd is told.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { cutSample, listFiles, main, openQueue, run, start, startDaemon, startRedis, temporaryFolder, test, until, workingFiles } from './lib.mjs';

const folder = temporaryFolder('orchestrator');
const film = path.join(folder, 'film.mp4');

function outputFolder(name) {
  const out = path.join(folder, name);

  fs.mkdirSync(out);
  return out;
}

const encode = out => ({ videoId: 'v1', videoUrl: film, outputDir: out, quality: 'high', resolution: '720p' });
const long = { do: 'ok', durationMs: 600000 };

async function whenProgressing(queue, job, above = 5) {
  await until(async () => Number((await queue.queue.getJob(job.id)).progress) > above, `progress of job ${job.id}`);
}

// What runner/jobs/JOBS.md tells producers to do.
async function cancel(redis, queue, job) {
  await redis.set(`bull:derush:cancel:${queue.name}:${job.id}`, 1, 'EX', 604800);
  await redis.xadd('bull:derush:control', 'MAXLEN', '~', 1000, '*', 'message', JSON.stringify({ command: 'cancel', queue: queue.name, id: job.id }));
}

async function cancelling(redis) {
  const queue = await openQueue(redis);
  const derush = (...args) => run('derush', args, { environment: redis.environment });
  const keys = () => redis.client().keys('bull:derush:cancel:*');
  const cancelled = async job => {
    const now = await queue.queue.getJob(job.id);
    assert.equal(await now.getState(), 'failed');
    assert.match(now.failedReason, /The job was cancelled$/);
    assert.deepEqual(await keys(), []);
    return now;
  };
  const daemon = await startDaemon(redis, { roots: [folder], environment: { WORKER_VIDEO_PROCESSING_CONCURRENCY: '1' } });

  await test('a job that is being run is stopped by three lines of Node: soon, without a file, without another attempt', async () => {
    const out = outputFolder('active');
    const job = await queue.add('VIDEO_PROCESSING', encode(out), { attempts: 3, backoff: 50 });

    await whenProgressing(queue, job);
    await cancel(redis.client(), queue.queue, job);
    await assert.rejects(queue.finished(job, 10000), /step “transcode” of .*film\.mp4: The job was cancelled$/);
    assert.equal((await cancelled(job)).attemptsMade, 1);
    assert.deepEqual(listFiles(out), []);
    assert.deepEqual(workingFiles(path.join(daemon.folder, 'scratch')), []);
    const line = daemon.log().find(({ jobId, class: name }) => jobId === job.id && name);
    assert.equal(line.class, 'cancelled');
    await queue.finished(await queue.add('SELF_TEST', { do: 'ok', durationMs: 100 }));
  });

  await test('jobs that wait, have a priority or a delay fail at once, though every place is taken', async () => {
    const running = await queue.add('SELF_TEST', long);

    await until(() => running.isActive(), 'the running job');
    for (const options of [{}, { priority: 5 }, { delay: 3600000 }, { lifo: true, attempts: 5 }]) {
      const job = await queue.add('SELF_TEST', long, options);
      const { status, stdout } = await derush('cancel', job.id, '--json');
      assert.equal(status, 0);
      assert.deepEqual(JSON.parse(stdout), { queue: 'video-processing', id: job.id, state: 'failed' });
      assert.equal((await cancelled(job)).attemptsMade, 1);
    }
    assert.equal(await running.getState(), 'active');
    const { status, stdout } = await derush('cancel', running.id, '--queue', 'video-processing');
    assert.deepEqual([status, stdout], [0, `Job ${running.id} was cancelled\n`]);
    await cancelled(running);
    assert.deepEqual(await queue.queue.getJobCounts('active', 'waiting', 'prioritized', 'delayed'),
      { active: 0, waiting: 0, prioritized: 0, delayed: 0 });
    assert.deepEqual(await redis.client().keys('bull:video-processing:*:lock'), []);
  });

  await test('a job that waits for its next attempt leaves nothing of the attempts before', async () => {
    const out = outputFolder('retried');
    const job = await queue.add('VIDEO_PROCESSING', encode(out), { attempts: 2, backoff: 3600000 });
    const scratch = path.join(daemon.folder, 'scratch');

    await whenProgressing(queue, job);
    process.kill(daemon.mediaWorkers()[0].pid, 'SIGKILL');
    await until(async () => await job.getState() === 'delayed', 'the delay');
    assert.notDeepEqual(workingFiles(scratch), []);
    assert.equal((await derush('cancel', job.id)).status, 0);
    await cancelled(job);
    await until(() => workingFiles(scratch).length === 0, 'its folder to go');
  });

  await test('cancelling what is over, or was never there, says so and does nothing', async () => {
    const job = await queue.add('SELF_TEST', { do: 'ok', durationMs: 0 });

    await queue.finished(job);
    const over = await derush('cancel', job.id);
    assert.deepEqual([over.status, over.stderr], [1, `derush: job ${job.id} has ended already: completed\n`]);
    const gone = await derush('cancel', 'no-such-job', '--queue', 'video-processing');
    assert.deepEqual([gone.status, gone.stderr], [1, 'derush: there is no job no-such-job in video-processing\n']);
    assert.equal((await derush('cancel')).status, 2);
    // Nor does a message that comes too late wait for a job of the same id.
    await cancel(redis.client(), queue.queue, job);
    await until(async () => (await keys()).length === 0, 'the wish to be forgotten');
    assert.equal(await job.getState(), 'completed');
  });

  await test('a job that takes longer than its timeoutMs has stalled', async () => {
    const job = await queue.add('SELF_TEST', { ...long, timeoutMs: 1000 });

    await assert.rejects(queue.finished(job), /longer than it may/);
  });
  assert.equal((await daemon.stop()).status, 0);

  await test('a job that was cancelled while no daemon ran never begins, and the next one does', async () => {
    const job = await queue.add('SELF_TEST', long);
    const { status, stdout } = await derush('cancel', job.id);

    assert.deepEqual([status, stdout], [0, `Job ${job.id} will be cancelled as soon as a daemon takes it\n`]);
    const later = await startDaemon(redis);
    await assert.rejects(queue.finished(job, 10000), /cancelled/);
    await cancelled(job);
    await queue.finished(await queue.add('SELF_TEST', { do: 'ok', durationMs: 100 }));
    assert.equal((await later.stop()).status, 0);
  });
  await queue.close();
}

async function reloading(redis) {
  const queue = await openQueue(redis);
  const home = temporaryFolder('reload');
  const settings = path.join(home, 'derush.conf');
  const write = (...lines) => fs.writeFileSync(settings, ['[derush]', ...lines, ''].join('\n'));

  write('WORKER_VIDEO_PROCESSING_CONCURRENCY=1');
  const daemon = await startDaemon(redis, { folder: home });
  const said = (text, n = 1) => until(() => daemon.log().filter(({ message }) => message.includes(text)).length >= n, text);
  const hang = () => queue.add('SELF_TEST', long);

  await test('SIGHUP reads the settings again: more jobs at once, other limits, and those that run go on', async () => {
    const jobs = [await hang(), await hang()];

    await until(() => jobs[0].isActive(), 'the first job');
    write('WORKER_VIDEO_PROCESSING_CONCURRENCY=2', 'DERUSH_JOB_TIMEOUT=1');
    daemon.kill('SIGHUP');
    await said('The settings were read again');
    await until(() => jobs[1].isActive(), 'the second job');
    await assert.rejects(queue.finished(jobs[1]), /longer than it may/);
    assert.equal(await jobs[0].getState(), 'active');
    write('WORKER_VIDEO_PROCESSING_CONCURRENCY=1');
    daemon.kill('SIGHUP');
    await said('The settings were read again', 2);
    const waiting = await hang();
    await queue.add('SELF_TEST', { do: 'ok', durationMs: 0 });
    await cancel(redis.client(), queue.queue, waiting);
    await assert.rejects(queue.finished(waiting), /cancelled/);
    assert.equal(await queue.queue.getWaitingCount(), 1, 'nothing is fetched beyond the new number');
    await cancel(redis.client(), queue.queue, jobs[0]);
    await assert.rejects(queue.finished(jobs[0]), /cancelled/);
    await until(async () => await queue.queue.getWaitingCount() === 0, 'the last one');
  });

  await test('settings that are wrong, or need a restart, are named, and nothing changes', async () => {
    write('WORKER_VIDEO_PROCESSING_CONCURRENCY=many');
    daemon.kill('SIGHUP');
    await said('The settings stay as they were: WORKER_VIDEO_PROCESSING_CONCURRENCY is “many”');
    write('BULLMQ_PREFIX=other');
    daemon.kill('SIGHUP');
    await said('The settings stay as they were: BULLMQ_PREFIX has changed');
    await queue.finished(await queue.add('SELF_TEST', { do: 'ok', durationMs: 100 }));
    assert.equal((await daemon.stop()).status, 0);
  });
  await queue.close();
}

async function telling(redis) {
  await test('systemd hears that the daemon is ready, lives, reads its settings and ends', async () => {
    const socket = path.join(folder, 'notify');
    const listener = start('perl', ['-MIO::Socket::UNIX', '-e',
      '$| = 1; $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die; print "bound\n"; ' +
      'while (defined $s->recv($m, 4096)) { $m =~ s/\n/|/g; print "$m\n" }', socket]);
    const heard = () => listener.output.stdout.split('\n');

    await until(() => heard().includes('bound'), 'the socket');
    const daemon = await startDaemon(redis, { environment: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '200000', WATCHDOG_PID: '' } });
    await until(() => heard().filter(line => line === 'WATCHDOG=1').length > 2, 'the watchdog to be fed');
    assert.equal(heard()[1], 'READY=1');
    assert.ok(heard().includes('STATUS=1 queues, 0 running jobs'));
    daemon.kill('SIGHUP');
    await until(() => heard().filter(line => line === 'READY=1').length === 2, 'the end of the reload');
    assert.match(heard()[heard().lastIndexOf('READY=1') - 1], /^RELOADING=1\|MONOTONIC_USEC=\d+$/);
    assert.equal((await daemon.stop()).status, 0);
    await until(() => heard().some(line => line.startsWith('STOPPING=1')), 'the end');
    listener.kill();
  });
}

main(async () => {
  const redis = await startRedis();

  await cutSample(film, 20);
  await cancelling(redis);
  await reloading(redis);
  await telling(redis);
  await redis.stop();
});
