// SPDX-License-Identifier: LGPL-2.1-or-later
// What derushd does when something goes wrong around it: a worker killed, a lock lost, Redis gone, a signal, bad data.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { cutSample, descendants, ffprobe, isAlive, listFiles, main, openQueue, run, sleep, startDaemon, startRedis,
  temporaryFolder, test, until } from './lib.mjs';

const folder = temporaryFolder('faults');
const film = path.join(folder, 'film.mp4');
const short = path.join(folder, 'short.mp4');

/** Nothing but the slots' own empty folders is left in the scratch of a daemon that runs. */
function assertNoJobFolders(daemon) {
  const left = listFiles(path.join(daemon.folder, 'scratch')).filter(name => !/^slot-\w+\/(lock|home\/.*)$/.test(name));

  assert.deepEqual(left, []);
}

function outputFolder(name) {
  const out = path.join(folder, name);

  fs.mkdirSync(out);
  return out;
}

async function whenProgressing(queue, job, above = 10) {
  await until(async () => Number((await queue.queue.getJob(job.id)).progress) > above, `progress of job ${job.id}`);
}

const encode = out => ({ videoId: 'v1', videoUrl: film, outputDir: out, quality: 'high', resolution: '720p' });

main(async () => {
  const redis = await startRedis();
  const queue = await openQueue(redis);

  await cutSample(film, 20);
  await cutSample(short, 10);

  await test('a media worker killed in mid-encode fails only that attempt, and the next job completes', async () => {
    const daemon = await startDaemon(redis, { roots: [folder] });
    const out = outputFolder('killed');

    const first = await queue.add('VIDEO_PROCESSING', encode(out));
    await whenProgressing(queue, first);
    const [worker] = daemon.mediaWorkers();
    process.kill(worker.pid, 'SIGKILL');
    await assert.rejects(queue.finished(first), /^Error: step “transcode” of .*film\.mp4: .*killed by signal 9 \(Killed\)$/);
    assert.deepEqual(listFiles(out), []);
    assertNoJobFolders(daemon);

    const second = await queue.add('VIDEO_PROCESSING', encode(out), { attempts: 2, backoff: 50 });
    await whenProgressing(queue, second);
    process.kill(daemon.mediaWorkers()[0].pid, 'SIGSEGV');
    const value = await queue.finished(second);
    const job = await queue.queue.getJob(second.id);
    assert.equal(job.attemptsMade, 2);
    assert.equal(job.stacktrace.length, 1);
    assert.match(job.stacktrace[0], /killed by signal 11/);
    assert.equal(Number((await ffprobe(value.outputPath)).format.duration) > 19, true);
    assert.equal(listFiles(out).length, 1);
    assertNoJobFolders(daemon);
    assert.equal((await daemon.stop()).status, 0);
    assert.deepEqual(listFiles(path.join(daemon.folder, 'scratch')), []);
  });

  await test('the media worker sees no secret', async () => {
    const daemon = await startDaemon(redis, { environment: { OPENAI_API_KEY: 'sk-hidden-openai', HUGGINGFACE_API_KEY: 'hf-hidden',
      AWS_SECRET_ACCESS_KEY: 'hidden-aws' } });
    const job = await queue.add('SELF_TEST', { do: 'ok', durationMs: 2000 });

    await whenProgressing(queue, job);
    const [worker] = daemon.mediaWorkers();
    const environment = fs.readFileSync(`/proc/${worker.pid}/environ`, 'utf8');
    assert.doesNotMatch(environment, /hidden|REDIS|DATABASE|API_KEY|SECRET/);
    assert.equal(environment.includes(redis.password), false);
    assert.match(environment, /(^|\0)HOME=[^\0]*\/scratch\//);
    for (const descriptor of fs.readdirSync(`/proc/${worker.pid}/fd`)) {
      let target = '';
      try { target = fs.readlinkSync(`/proc/${worker.pid}/fd/${descriptor}`); } catch {}
      assert.doesNotMatch(target, /sqlite|\/lock$/);
    }
    await queue.finished(job);
    assert.equal((await daemon.stop()).status, 0);
    assert.equal(daemon.output.stderr.includes('hidden'), false);
    assert.equal(daemon.output.stderr.includes(redis.password), false);
  });

  await test('as many jobs run at once as the setting says', async () => {
    const daemon = await startDaemon(redis, { environment: { WORKER_VIDEO_PROCESSING_CONCURRENCY: '2' } });
    const jobs = [];

    for (let i = 0; i < 4; i++) jobs.push(await queue.add('SELF_TEST', { do: 'ok', durationMs: 1000 }));
    await Promise.all(jobs.map(job => queue.finished(job)));
    const times = await Promise.all(jobs.map(job => queue.queue.getJob(job.id)));
    const atOnce = times.map(one => times.filter(other => other.processedOn <= one.processedOn &&
      other.finishedOn > one.processedOn).length);
    assert.equal(Math.max(...atOnce), 2);
    assert.equal(daemon.mediaWorkers().length, 2);
    assert.equal((await daemon.stop()).status, 0);
  });

  await test('SIGTERM lets the running job end, fetches nothing more, and leaves no process', async () => {
    const daemon = await startDaemon(redis, { roots: [folder], environment: { WORKER_VIDEO_PROCESSING_CONCURRENCY: '1' } });
    const out = outputFolder('sigterm');
    const running = await queue.add('VIDEO_PROCESSING', encode(out));
    const waiting = await queue.add('SELF_TEST', { do: 'ok', durationMs: 0 });

    await whenProgressing(queue, running);
    const below = descendants(daemon.pid);
    assert.equal((await daemon.stop()).status, 0);
    assert.equal((await queue.queue.getJob(running.id)).returnvalue.success, true);
    assert.equal(await (await queue.queue.getJob(waiting.id)).getState(), 'waiting');
    assert.deepEqual(below.filter(child => isAlive(child.pid)), []);
    assert.deepEqual(listFiles(path.join(daemon.folder, 'scratch')), []);
    await queue.queue.drain();
  });

  for (const [what, environment, signals] of [
    ['after DERUSH_SHUTDOWN_TIMEOUT', { DERUSH_SHUTDOWN_TIMEOUT: '1' }, 1],
    ['at a second signal', {}, 2],
  ])
    await test(`${what} the running job is given back`, async () => {
      const daemon = await startDaemon(redis, { environment });
      const job = await queue.add('SELF_TEST', { do: 'ok', durationMs: 600000 });

      await until(() => daemon.mediaWorkers().length > 0, 'a media worker');
      await until(async () => (await queue.queue.getJobLogs(job.id)).count > 0, 'the step');
      const below = descendants(daemon.pid);
      for (let i = 0; i < signals; i++) {
        daemon.kill('SIGTERM');
        await sleep(200);
      }
      assert.equal((await daemon.ended).status, 0);
      assert.equal(await (await queue.queue.getJob(job.id)).getState(), 'waiting');
      assert.equal((await queue.queue.getJob(job.id)).attemptsMade, 0);
      assert.deepEqual(below.filter(child => isAlive(child.pid)), []);
      assert.deepEqual(listFiles(path.join(daemon.folder, 'scratch')), []);
      await queue.queue.drain();
    });

  await test('a killed daemon takes its media workers with it, and the next one sweeps what it left', async () => {
    const first = await startDaemon(redis, { environment: { WORKER_LOCK_DURATION: '1000', WORKER_STALLED_INTERVAL: '500' } });
    const job = await queue.add('SELF_TEST', { do: 'ok', durationMs: 3000 });

    await whenProgressing(queue, job);
    const below = descendants(first.pid);
    assert.equal(below.length, 1);
    first.kill('SIGKILL');
    await first.ended;
    await until(() => !below.some(child => isAlive(child.pid)), 'the media worker to die');
    assert.notDeepEqual(fs.readdirSync(path.join(first.folder, 'scratch')), []);
    const second = await startDaemon(redis, { folder: first.folder,
      environment: { WORKER_LOCK_DURATION: '1000', WORKER_STALLED_INTERVAL: '500' } });
    await queue.finished(job);
    assert.equal(fs.readdirSync(path.join(first.folder, 'scratch')).length, 1);
    assert.equal((await second.stop()).status, 0);
    assert.deepEqual(fs.readdirSync(path.join(first.folder, 'scratch')), []);
  });

  const rows = async job => (await queue.queue.getJobLogs(job.id)).logs;
  const begun = async job => (await rows(job)).flatMap(row => /step (\S+),/.exec(row)?.[1] ?? []);
  const kept = daemon => fs.readdirSync(path.join(daemon.folder, 'scratch')).filter(name => name.startsWith('job-'))
    .map(name => path.join(daemon.folder, 'scratch', name));
  // The last step is short: from the moment on at which the one before it is safe.
  const whenTranscoded = async daemon => {
    for (;;) {
      try {
        if (fs.readFileSync(path.join(kept(daemon)[0], 'checkpoint.json'), 'utf8').includes('"name":"transcode"')) return;
      } catch {}
      await sleep(1);
    }
  };
  const killWorker = daemon => process.kill(daemon.mediaWorkers()[0].pid, 'SIGKILL');
  const made = folder => path.join(folder, 'files', listFiles(path.join(folder, 'files'))[0]);
  const quick = out => ({ videoId: 'v1', videoUrl: short, outputDir: out, quality: 'low', resolution: '720p' });
  const inTurn = ['probe', 'transcode', 'check'];

  await test('a worker killed in the last step costs that step only; a changed source costs all; the end removes what was kept', async () => {
    const daemon = await startDaemon(redis, { roots: [folder] });
    const client = redis.client();
    const out = outputFolder('resumed');

    const job = await queue.add('VIDEO_PROCESSING', quick(out), { attempts: 2, backoff: 1000 });
    await whenTranscoded(daemon);
    killWorker(daemon);
    await until(async () => await job.getState() === 'delayed', 'the second attempt');
    const { ino, mtimeMs } = fs.statSync(made(kept(daemon)[0]));
    const value = await queue.finished(job);
    assert.deepEqual(await begun(job), [...inTurn, 'check']);
    assert.deepEqual(value.resumedSteps, ['probe', 'transcode']);
    assert.match((await rows(job)).join('\n'), /taken from an earlier attempt: probe, transcode/);
    assert.ok(daemon.log().some(line => /^Resumed: .*probe, transcode/.test(line.message) && line.jobId === job.id && line.attempt === 2));
    assert.deepEqual([fs.statSync(value.outputPath).ino, fs.statSync(value.outputPath).mtimeMs], [ino, mtimeMs], 'the very file of the first attempt');
    assert.ok(Number((await ffprobe(value.outputPath)).format.duration) > 9);
    assert.equal(await client.hget(`bull:video-processing:${job.id}`, 'progress'), '100');
    assertNoJobFolders(daemon);

    const changed = await queue.add('VIDEO_PROCESSING', quick(out), { attempts: 2, backoff: 1000 });
    await whenTranscoded(daemon);
    killWorker(daemon);
    await until(async () => await changed.getState() === 'delayed', 'the second attempt');
    fs.appendFileSync(short, Buffer.from([0, 0, 0, 8, 0x66, 0x72, 0x65, 0x65]));
    assert.equal((await queue.finished(changed)).resumedSteps, undefined);
    assert.deepEqual(await begun(changed), [...inTurn, ...inTurn]);
    assertNoJobFolders(daemon);

    const last = await queue.add('VIDEO_PROCESSING', quick(out));
    await whenTranscoded(daemon);
    killWorker(daemon);
    await assert.rejects(queue.finished(last), /killed by signal 9/);
    assertNoJobFolders(daemon);
    assert.equal((await daemon.stop()).status, 0);
    assert.deepEqual(fs.readdirSync(path.join(daemon.folder, 'scratch')), []);
  });

  await test('after a daemon was killed in the last step another one goes on there, and sweeps what never comes back', async () => {
    const environment = { WORKER_LOCK_DURATION: '1000', WORKER_STALLED_INTERVAL: '500' };
    const first = await startDaemon(redis, { roots: [folder], environment });
    const job = await queue.add('VIDEO_PROCESSING', quick(outputFolder('another')));

    await whenTranscoded(first);
    first.kill('SIGKILL');
    await first.ended;
    const { ino } = fs.statSync(made(kept(first)[0]));
    const old = path.join(first.folder, 'scratch', `job-${'0'.repeat(64)}`);
    fs.mkdirSync(path.join(old, 'files'), { recursive: true });
    fs.writeFileSync(path.join(old, 'files', 'film.mp4'), 'a film');
    fs.writeFileSync(path.join(old, 'lock'), '');
    fs.utimesSync(path.join(old, 'lock'), 1e9, 1e9);
    const second = await startDaemon(redis, { roots: [folder], folder: first.folder, environment });
    const value = await queue.finished(job);
    const steps = await begun(job);
    assert.deepEqual(steps.slice(0, 2), ['probe', 'transcode']);
    assert.deepEqual([...new Set(steps.slice(2))], ['check'], 'no more of what was done');
    assert.deepEqual(value.resumedSteps, ['probe', 'transcode']);
    assert.equal(fs.statSync(value.outputPath).ino, ino);
    await until(() => !fs.existsSync(old), 'the sweep');
    assert.equal((await second.stop()).status, 0);
    assert.deepEqual(fs.readdirSync(path.join(first.folder, 'scratch')), []);
  });

  await test('a job whose lock is lost is stopped, and nothing of it is published or written', async () => {
    const daemon = await startDaemon(redis, { roots: [folder],
      environment: { WORKER_LOCK_DURATION: '1000', WORKER_STALLED_INTERVAL: '60000' } });
    const out = outputFolder('lost');
    const job = await queue.add('VIDEO_PROCESSING', encode(out));
    const client = redis.client();

    await whenProgressing(queue, job);
    await client.set(`bull:video-processing:${job.id}:lock`, 'somebody else', 'PX', 600000);
    await until(() => daemon.log().some(line => /lock was lost/.test(line.message)), 'the job to be stopped');
    assert.deepEqual(listFiles(out), []);
    assertNoJobFolders(daemon);
    assert.equal(await (await queue.queue.getJob(job.id)).getState(), 'active');
    assert.equal((await queue.queue.getJob(job.id)).failedReason, undefined);
    const next = await queue.add('SELF_TEST', { do: 'ok', durationMs: 300 });
    await queue.finished(next);
    assert.equal((await daemon.stop()).status, 0);
    await client.del(`bull:video-processing:${job.id}:lock`);
    await queue.queue.obliterate({ force: true });
  });

  await test('bad data fails at once and for good, in one line that says all of what is wrong', async () => {
    const daemon = await startDaemon(redis, { roots: [folder] });
    const client = redis.client();
    const cases = [
      ['NONSENSE', {}, /“NONSENSE” is no job type/],
      ['VIDEO_PROCESSING', { videoUrl: film, quality: 7, resolution: 'huge' }, /\/quality .*\/resolution /],
      ['VIDEO_PROCESSING', {}, /\/videoUrl is missing/],
      ['VIDEO_PROCESSING', { videoUrl: '/etc/passwd' }, /outside of the allowed folders/],
      ['VIDEO_PROCESSING', { videoUrl: film, outputDir: '/etc' }, /outside of the allowed folders/],
      ['VIDEO_PROCESSING', { videoUrl: `${folder}/none.mp4` }, /There is no file/],
      ['WORKFLOW_STEP', { videoUrl: film }, /not available in this version/],
    ];

    for (const [type, data, reason] of cases) {
      const job = await queue.add(type, data, { attempts: 5, backoff: 10 });
      await assert.rejects(queue.finished(job), reason);
      const failed = await queue.queue.getJob(job.id);
      assert.equal(failed.attemptsMade, 1);
      assert.doesNotMatch(failed.failedReason, /\n/);
    }
    await queue.queue.pause();
    const broken = await queue.add('VIDEO_PROCESSING', {});
    await client.hset(`bull:video-processing:${broken.id}`, 'data', '{"videoUrl": [');
    await queue.queue.resume();
    await until(async () => await client.hget(`bull:video-processing:${broken.id}`, 'failedReason'), 'the broken job to fail');
    assert.match(await client.hget(`bull:video-processing:${broken.id}`, 'failedReason'), /^The job's data cannot be used: /);
    await queue.finished(await queue.add('SELF_TEST', { do: 'ok', durationMs: 0 }));
    assert.deepEqual(listFiles(path.join(daemon.folder, 'outputs')), []);
    assert.equal((await daemon.stop()).status, 0);
  });

  await test('a media worker that cannot start is named, job by job, without spinning', async () => {
    const daemon = await startDaemon(redis, { environment: { DERUSH_MEDIA_WORKER: '/bin/false' } });

    await assert.rejects(queue.finished(await queue.add('SELF_TEST', { do: 'ok', durationMs: 100 })), /does not start: .*status 1/);
    assert.equal(daemon.log().filter(line => /does not start/.test(line.message) && line.level === 'warn').length, 3);
    await queue.finished(await queue.add('SELF_TEST', { do: 'ok', durationMs: 0 }));
    assert.equal((await daemon.stop()).status, 0);
  });

  await test('without Redis it waits, works when Redis is there, and can end without it', async () => {
    const other = await startRedis();

    await other.shutDown();
    const daemon = await startDaemon(other, { wait: false });
    await sleep(1500);
    assert.equal(daemon.exitCode, null);
    await other.launch();
    const its = await openQueue(other);
    await its.finished(await its.add('SELF_TEST', { do: 'ok', durationMs: 100 }));
    await its.close();
    await other.shutDown();
    assert.equal((await daemon.stop()).status, 0);
  });

  await test('options and settings: --version, --help, and one line with status 2 for what is wrong', async () => {
    const settings = { DERUSH_CONFIG: path.join(folder, 'empty.conf'), DERUSH_STATE_DIR: folder, DERUSH_SCRATCH: path.join(folder, 'scratch'),
      DERUSH_CACHE: path.join(folder, 'cache') };

    const uncontained = path.join(process.env.DERUSH_BUILD_DIR, 'tests/runner/steps/test-step-worker');

    fs.writeFileSync(settings.DERUSH_CONFIG, '');
    const version = await run('derushd', ['--version'], { environment: settings });
    assert.equal(version.status, 0);
    assert.match(version.stdout, /^derushd \d+\.\d+\.\d+\n$/);
    assert.match((await run('derushd', ['--help'], { environment: settings })).stdout, /DERUSH_QUEUES/);
    for (const [environment, args, reason] of [
      [{ REDIS_PORT: 'many' }, [], /REDIS_PORT/],
      [{ DERUSH_QUEUES: 'a,a' }, [], /twice/],
      [{ DERUSH_LOG_LEVEL: 'loud' }, [], /DERUSH_LOG_LEVEL/],
      [{ DERUSH_SANDBOX: 'perhaps' }, [], /DERUSH_SANDBOX is “perhaps”.*auto required off/],
      [{ DERUSH_SANDBOX: 'required', DERUSH_MEDIA_WORKER: uncontained }, [], /DERUSH_SANDBOX=required.*no-new-privileges.*seccomp.*landlock.*limits/],
      [{}, ['--nonsense'], /nonsense/],
      [{}, ['nonsense'], /nonsense/],
    ]) {
      const result = await run('derushd', args, { environment: { ...settings, ...environment } });
      assert.equal(result.status, 2);
      assert.match(result.stderr, reason);
      assert.equal(result.stderr.trim().split('\n').length, 1);
    }
  });

  await queue.close();
  await redis.stop();
});
