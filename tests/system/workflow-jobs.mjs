// SPDX-License-Identifier: LGPL-2.1-or-later
// WORKFLOW_EXECUTION from Node: whole workflows on real film, progress, failures, cancelling, daemons that die, two daemons.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { querySqlite } from './databases.mjs';
import { cutSample, daemonEnvironment, ffprobe, listFiles, main, openQueue, run, sleep, startDaemon, startRedis, temporaryFolder, test,
  until } from './lib.mjs';

const folder = temporaryFolder('workflow-jobs');
const queues = ['video-processing', 'ai-processing'];
const quick = { WORKER_LOCK_DURATION: '1000', WORKER_STALLED_INTERVAL: '500' };
const statuses = steps => Object.fromEntries(steps.map(({ id, status }) => [id, status]));
const selfTest = (id, jobData = {}, more = {}) => ({ id, jobType: 'SELF_TEST', jobData: { do: 'ok', durationMs: 0, ...jobData }, ...more });
const define = (steps, more = {}) => ({ id: 'mine', name: 'Mine', steps, retryPolicy: { maxRetries: 0, retryDelay: 10 }, ...more });
let redis, video, ai, environment;

const add = (data, options) => video.add('WORKFLOW_EXECUTION', data, options);
const derush = (...args) => run('derush', ['workflow', ...args], { environment });

async function failure(job) {
  return video.finished(job).then(value => assert.fail(`completed: ${JSON.stringify(value)}`), error => error.message);
}

async function states(job) {
  const { data } = await video.queue.getJob(job.id);

  return Object.fromEntries(Object.entries(data.workflowState.steps).map(([id, { status }]) => [id, status]));
}

async function whole(film) {
  await test('video_transformation_basic runs to its end, and says all the while how far it is', async () => {
    const output = path.join(folder, 'basic');
    const seen = [];
    video.events.on('progress', ({ jobId, data }) => { if (typeof data === 'object') seen.push({ jobId, ...data }); });
    const job = await add({ templateId: 'video_transformation_basic', executionId: 'basic1', userId: 'u1',
      input: { videoId: 'v1', videoUrl: film, outputDir: output } });
    const value = await video.finished(job);
    const progress = seen.filter(({ jobId }) => jobId === job.id);

    assert.equal(value.executionId, 'basic1');
    assert.equal(value.status, 'COMPLETED');
    assert.ok(value.duration > 0);
    assert.deepEqual(value.steps.map(({ id, jobType, jobId, status, attempts, error }) => [id, jobType, jobId, status, attempts, error]), [
      ['process', 'VIDEO_PROCESSING', 'basic1-process', 'COMPLETED', 1, null],
      ['thumbnails', 'THUMBNAIL_GENERATION', 'basic1-thumbnails', 'COMPLETED', 1, null]]);
    assert.ok(value.steps.every(({ processingTime }) => processingTime > 0));
    assert.deepEqual(value.outputs.map(({ path: file }) => path.basename(file)).sort(), listFiles(output).sort());
    assert.ok(progress.length >= 3);
    for (const [i, one] of progress.entries()) {
      assert.ok(one.progress >= (progress[i - 1]?.progress ?? 0) && one.progress <= 100, JSON.stringify(progress));
      assert.ok(one.currentStep >= 1 && one.totalSteps === 2 && one.estimatedTimeRemaining >= 0);
    }
    assert.equal(progress.at(-1).progress, 100);
    assert.equal((await video.queue.getJob(job.id)).attemptsMade, 1);
  });
  await test('video_transformation_advanced does all of its five steps without any key', async () => {
    const output = path.join(folder, 'advanced');
    const job = await add({ templateId: 'video_transformation_advanced', executionId: 'x1', input: { videoId: 'v1', videoUrl: film, outputDir: output } });
    const value = await video.finished(job);
    const shorts = value.outputs.filter(({ role }) => role === 'short');

    assert.deepEqual(statuses(value.steps),
      { process: 'COMPLETED', thumbnails: 'COMPLETED', highlights: 'COMPLETED', shorts: 'COMPLETED', transcription: 'COMPLETED' });
    assert.ok(value.steps.every(({ id, jobId }) => jobId === `x1-${id}`));
    const transcription = (await ai.queue.getJob('x1-transcription')).returnvalue;
    assert.deepEqual([transcription.provider, transcription.engine, transcription.degraded], ['local', 'pocketsphinx-en-us', false]);
    assert.ok(value.outputs.some(({ role, path: file }) => role === 'subtitles' && file.endsWith('.srt')));
    assert.ok(shorts.length >= 1);
    for (const { subtitles, startTime, endTime } of (await video.queue.getJob('x1-shorts')).returnvalue.shorts) {
      const within = transcription.cues.filter(({ start, end }) => end > startTime && start < endTime);
      assert.deepEqual(subtitles.map(({ text }) => text), within.map(({ text }) => text));
    }
    for (const { path: file } of shorts) {
      const { width, height } = (await ffprobe(file)).streams.find(stream => stream.codec_type === 'video');
      assert.deepEqual([width, height], [1080, 1920]);
    }
    assert.ok(JSON.stringify(value).length <= 16384);
    const children = await (await video.queue.getJob(job.id)).getDependencies();
    assert.equal(Object.keys(children.processed).length + Object.keys(children.ignored ?? {}).length, 5);
    const [thumbnails, highlights] = await Promise.all(['thumbnails', 'highlights'].map(id => video.queue.getJob(`x1-${id}`)));
    assert.ok(thumbnails.finishedOn <= highlights.processedOn || highlights.finishedOn <= thumbnails.processedOn,
      'what both measure is measured once');
  });
  await test('a definition of one\'s own, and a film named beside it', async () => {
    const output = path.join(folder, 'own');
    const job = await add({ videoId: 'v1', videoUrl: film, outputDir: output, height: 90, workflowDefinition: define([
      { id: 'process', jobType: 'VIDEO_PROCESSING', jobData: { resolution: '240p' }, dependencies: [], estimatedDuration: 300, maxRetries: 3 },
      { id: 'thumbs', jobType: 'THUMBNAIL_GENERATION', dependencies: ['process'],
        jobData: { videoUrl: '${steps.process.outputPath}', thumbnailRequest: { count: 1, height: '${input.height}', storyboard: false } } }]) });
    const value = await video.finished(job);

    assert.equal(value.executionId, job.id);
    assert.deepEqual(statuses(value.steps), { process: 'COMPLETED', thumbs: 'COMPLETED' });
    const [picture] = value.outputs.filter(({ role }) => role === 'thumbnail');
    assert.equal((await ffprobe(picture.path)).streams[0].height, 90);
  });
  await test('the rows of the whole, of its job and of its steps belong together', async () => {
    const rows = await until(async () => {
      const found = await querySqlite(environment.DERUSH_STATE_DIR, 'SELECT type, status FROM jobs WHERE "workflowId" = \'x1\' ORDER BY type');
      return found.some(row => row.join(' ') === 'WORKFLOW_EXECUTION COMPLETED') && found;
    }, 'the rows');

    assert.deepEqual(rows.map(row => row.join(' ')), ['HIGHLIGHT_DETECTION COMPLETED', 'SHORT_CREATION COMPLETED',
      'THUMBNAIL_GENERATION COMPLETED', 'TRANSCRIPTION COMPLETED', 'VIDEO_PROCESSING COMPLETED', 'WORKFLOW_EXECUTION COMPLETED']);
    const [[status, workflow, steps, error]] = await querySqlite(environment.DERUSH_STATE_DIR,
      'SELECT status, "workflowId", steps, error FROM workflow_executions WHERE id = \'x1\'');
    assert.deepEqual([status, workflow, error], ['COMPLETED', 'video_transformation_advanced', null]);
    assert.equal(JSON.parse(steps).length, 5);
  });
}

async function order() {
  await test('a step begins when its own dependencies have ended, whatever else runs, and the progress never falls', async () => {
    const seen = [];
    const listen = ({ data }) => { if (typeof data === 'object') seen.push(data.progress); };
    video.events.on('progress', listen);
    const job = await add({ executionId: 'order', workflowDefinition: define([
      selfTest('long', { durationMs: 2500 }), selfTest('first'), selfTest('second', {}, { dependencies: ['first'] }),
      selfTest('last', {}, { dependencies: ['second', 'long'] })]) });
    const value = await video.finished(job);
    const [long, second] = await Promise.all(['long', 'second'].map(id => video.queue.getJob(`order-${id}`)));

    assert.equal(value.status, 'COMPLETED');
    assert.ok(second.finishedOn < long.finishedOn);
    video.events.off('progress', listen);
    assert.ok(seen.length >= 4 && seen.every((one, i) => one >= (seen[i - 1] ?? 0)), String(seen));
  });
  await test('maxConcurrentSteps is kept', async () => {
    const job = await add({ executionId: 'narrow', workflowDefinition: define(['a', 'b', 'c'].map(id => selfTest(id, { durationMs: 150 })),
      { maxConcurrentSteps: 1 }) });
    await video.finished(job);
    const jobs = await Promise.all(['a', 'b', 'c'].map(id => video.queue.getJob(`narrow-${id}`)));

    for (const [i, { processedOn }] of jobs.entries())
      assert.ok(i === 0 || processedOn >= jobs[i - 1].finishedOn);
  });
}

async function failures() {
  await test('a step that may fail is tried again as the definition says, and those that need it are skipped', async () => {
    const job = await add({ executionId: 'skips', workflowDefinition: define([
      selfTest('broken', { do: 'fail' }, { onFailure: 'skip', maxRetries: 2 }),
      selfTest('needs', { do: '${steps.broken.done}' }, { dependencies: ['broken'] }),
      selfTest('after', {}, { dependencies: ['broken'] })], { retryPolicy: { retryDelay: 40, backoffMultiplier: 5 } }) });
    const value = await video.finished(job);
    const broken = await video.queue.getJob('skips-broken');

    assert.deepEqual(statuses(value.steps), { broken: 'FAILED', needs: 'SKIPPED', after: 'COMPLETED' });
    assert.equal(value.steps[0].attempts, 3);
    assert.match(value.steps[1].error, /“broken”/);
    assert.ok(broken.finishedOn - broken.timestamp >= 40 + 200);
  });
  await test('a step that must not fail ends the workflow for good: what runs is cancelled, what waits is skipped', async () => {
    const job = await add({ executionId: 'fails', workflowDefinition: define([
      selfTest('long', { durationMs: 600000 }), { id: 'broken', jobType: 'THUMBNAIL_GENERATION', jobData: { videoUrl: '/nonexistent.mp4' } },
      selfTest('later', {}, { dependencies: ['long'] })]) }, { attempts: 3, backoff: 10 });
    const reason = await failure(job);

    assert.match(reason, /^The workflow failed at step “broken”: .*\/nonexistent\.mp4/);
    assert.doesNotMatch(reason, /\n/);
    assert.deepEqual(await states(job), { long: 'CANCELLED', broken: 'FAILED', later: 'SKIPPED' });
    assert.equal((await video.queue.getJob(job.id)).attemptsMade, 1);
    assert.match((await video.queue.getJob('fails-long')).failedReason, /cancelled/);
  });
  await test('a failed workflow that is retried from outside begins with what has not completed', async () => {
    const gate = path.join(folder, 'gate.mp4');
    const job = await add({ executionId: 'again', workflowDefinition: define([selfTest('good'),
      { id: 'film', jobType: 'THUMBNAIL_GENERATION', jobData: { videoUrl: gate, outputDir: path.join(folder, 'again'),
        thumbnailRequest: { count: 1, storyboard: false } }, dependencies: ['good'] }]) });

    await failure(job);
    await cutSample(gate, 1, 14);
    await (await video.queue.getJob(job.id)).retry();
    await until(async () => await (await video.queue.getJob(job.id)).isCompleted(), 'the second try');
    const { steps } = (await video.queue.getJob(job.id)).returnvalue;
    assert.deepEqual(steps.map(({ jobId, status }) => [jobId, status]), [['again-good', 'COMPLETED'], ['again-film-2', 'COMPLETED']]);
  });
}

async function badInput(film) {
  const a = selfTest('a'), b = selfTest('b');
  const deep = depth => depth === 0 ? 1 : { a: deep(depth - 1) };
  const cases = [
    ['nothing', {}, /\/templateId is missing/],
    ['an unknown template', { templateId: 'nonesuch' }, /“nonesuch”.*video_transformation_basic/],
    ['a path as template', { templateId: '/etc/passwd' }, /\/templateId.*not a file/],
    ['a definition that is none', { workflowDefinition: 5 }, /\/workflowDefinition is 5, must be an object/],
    ['an input that is none', { templateId: 'video_transformation_basic', input: [] }, /\/input .*must be an object/],
    ['an unknown type', { workflowDefinition: define([{ ...a, jobType: 'DANCE' }]) }, /\/steps\/0\/jobType .*DANCE/],
    ['a cycle', { workflowDefinition: define([{ ...a, dependencies: ['b'] }, { ...b, dependencies: ['a'] }]) }, /a → b → a/],
    ['a missing dependency', { workflowDefinition: define([{ ...a, dependencies: ['c'] }]) }, /\/steps\/0\/dependencies\/0 .*"c"/],
    ['an unknown reference', { workflowDefinition: define([selfTest('a', { do: '${steps.c.done}' })]) }, /\/steps\/0\/jobData\/do .*steps\.c\.done/],
    ['an input that is not there', { workflowDefinition: define([selfTest('a', { do: '${input.way}' })]) }, /input\.way/],
    ['a workflow in a workflow', { workflowDefinition: define([{ ...a, jobType: 'WORKFLOW_EXECUTION' }]) }, /cannot be a step/],
    ['a definition of depth 1000', { workflowDefinition: define([selfTest('a', { x: deep(1000) })]) }, /deep/],
    ['a definition of 10 MB', { workflowDefinition: define([selfTest('a', { x: 'x'.repeat(10 << 20) })]) }, /too long/],
    ['a bad step', { workflowDefinition: define([{ id: 'a', jobType: 'VIDEO_PROCESSING', jobData: { videoUrl: film, quality: 'best' } }]) },
      /step “a”.*\/quality/],
  ];

  for (const [what, data, message] of cases) {
    await test(`${what} is refused and named, and tried no more`, async () => {
      const job = await add({ outputDir: path.join(folder, 'refused'), ...data }, { attempts: 3 });

      assert.match(await failure(job), message);
      assert.equal((await video.queue.getJob(job.id)).attemptsMade, 1);
      assert.deepEqual(listFiles(path.join(folder, 'refused')), []);
      await job.remove();
    });
  }
  await test('two workflows with one execution id: the second fails while the first runs, and may have the id later', async () => {
    const definition = define([selfTest('a', { durationMs: 1500 })]);
    const first = await add({ executionId: 'twin', workflowDefinition: definition });
    await until(async () => (await first.getState()) === 'waiting-children', 'the first to wait');
    const second = await add({ executionId: 'twin', workflowDefinition: definition });

    assert.match(await failure(second), new RegExp(`“twin”.*job ${first.id} .*another executionId`));
    assert.equal((await video.finished(first)).status, 'COMPLETED');
    const third = await add({ executionId: 'twin', workflowDefinition: define([selfTest('a')]) });
    assert.equal((await video.finished(third)).steps[0].status, 'COMPLETED');
    assert.ok((await video.queue.getJob('twin-a')).timestamp >= third.timestamp);
  });
}

async function cancelling() {
  await test('derush workflow cancel stops what runs, removes what waits, and the job fails at once and for good', async () => {
    const steps = ['a', 'b', 'c', 'd'].map(id => selfTest(id, { durationMs: 600000 }));
    const job = await add({ executionId: 'stop', workflowDefinition: define([...steps, selfTest('e', {}, { dependencies: ['a'] })]) },
      { attempts: 3 });
    await until(async () => (await video.queue.getJob('stop-b'))?.processedOn, 'the steps');
    const listed = JSON.parse((await derush('list', '--json')).stdout).executions.find(({ executionId }) => executionId === 'stop');
    assert.equal(listed.id, job.id);
    assert.match((await derush('list')).stdout, /Running:[^]*stop +mine/);
    assert.match((await derush('show', 'stop')).stdout, /a +RUNNING +stop-a/);
    const { status, stdout, stderr } = await derush('cancel', 'stop', '--json');

    assert.equal(status, 0, stderr);
    assert.equal(JSON.parse(stdout).state, 'failed');
    assert.match(await failure(job), /^The workflow was cancelled/);
    assert.equal((await video.queue.getJob(job.id)).attemptsMade, 1);
    assert.deepEqual(await states(job), { a: 'CANCELLED', b: 'CANCELLED', c: 'CANCELLED', d: 'CANCELLED', e: 'CANCELLED' });
    const left = await Promise.all(['a', 'b', 'c', 'd'].map(async id => (await video.queue.getJob(`stop-${id}`))?.getState()));
    assert.ok(left.every(state => state === undefined || state === 'failed'), String(left));
    const rest = await redis.client().keys('bull:derush:cancel:*');
    assert.deepEqual(rest, []);
  });
  await test('cancelling what is not there, or over, says so', async () => {
    for (const [name, message] of [['nobody', /no execution “nobody”/], ['twin', /no execution|ended already/]]) {
      const { status, stderr } = await derush('cancel', name);
      assert.equal(status, 1);
      assert.match(stderr, message);
    }
  });
}

/* Other daemons than the first, on queues of their own. */
async function daemons() {
  const settings = { ...quick, WORKER_VIDEO_PROCESSING_CONCURRENCY: '1' };

  await test('a daemon that is killed in the middle goes on where it was, and does nothing twice', async () => {
    const own = await openQueue(redis, 'crash');
    const options = { roots: [folder], queues: ['crash'], environment: settings, folder: path.join(folder, 'crash') };
    const first = await startDaemon(redis, options);
    const job = await own.add('WORKFLOW_EXECUTION', { executionId: 'crash', workflowDefinition: define([selfTest('one', { durationMs: 100 }),
      selfTest('two', { durationMs: 2000 }, { dependencies: ['one'] }), selfTest('three', {}, { dependencies: ['two'] })]) });
    await until(async () => (await own.queue.getJob('crash-two'))?.processedOn, 'the second step');
    first.kill('SIGKILL');
    await first.ended;
    const second = await startDaemon(redis, options);
    const value = await own.finished(job);
    const [one, two] = await Promise.all(['one', 'two'].map(id => own.queue.getJob(`crash-${id}`)));

    assert.deepEqual(statuses(value.steps), { one: 'COMPLETED', two: 'COMPLETED', three: 'COMPLETED' });
    assert.equal(one.attemptsStarted, 1);
    assert.equal(two.attemptsStarted, 2);
    await second.stop();
    await own.close();
  });
  await test('a daemon with one place runs a workflow, also steps of a queue that nobody serves', async () => {
    const own = await openQueue(redis, 'lonely');
    const only = await startDaemon(redis, { roots: [folder], queues: ['lonely=1'], environment: settings, wait: false });
    const job = await own.add('WORKFLOW_EXECUTION', { executionId: 'lonely', workflowDefinition: define([selfTest('a', { durationMs: 100 }),
      { id: 'said', jobType: 'TRANSCRIPTION', jobData: { videoUrl: '/a.mp4' }, onFailure: 'skip' },
      selfTest('b', { durationMs: 100 }, { dependencies: ['a', 'said'] })]) });
    const value = await own.finished(job);

    assert.deepEqual(statuses(value.steps), { a: 'COMPLETED', said: 'FAILED', b: 'COMPLETED' });
    assert.match(value.steps[1].error, /a\.mp4/);
    const stuck = await own.add('WORKFLOW_EXECUTION', { workflowDefinition: define(['x', 'y'].map(id => selfTest(id, { durationMs: 600000 }))) });
    await until(async () => (await own.queue.getJob(`lonely-${stuck.id}-x`))?.processedOn, 'the step');
    // The workflow waits behind its own step for the only place.
    assert.equal((await derush('cancel', `lonely-${stuck.id}`)).status, 0);
    assert.match((await own.queue.getJob(stuck.id)).failedReason, /cancelled/);
    await only.stop();
    await own.close();
  });
  await test('two daemons share the steps of one workflow', async () => {
    const own = await openQueue(redis, 'shared');
    const pair = await Promise.all([1, 2].map(i => startDaemon(redis, { roots: [folder], queues: ['shared'],
      environment: { ...settings, WORKER_CONCURRENCY: '1', DERUSH_LOG_LEVEL: 'debug' }, folder: path.join(folder, `pair${i}`) })));
    const job = await own.add('WORKFLOW_EXECUTION', { executionId: 'pair', workflowDefinition: define([
      ...['a', 'b', 'c', 'd'].map(id => selfTest(id, { durationMs: 400 })), selfTest('end', {}, { dependencies: ['a', 'b', 'c', 'd'] })]) });
    const value = await own.finished(job);
    const ran = pair.map(daemon => daemon.log().filter(({ jobId, message }) => /^pair-/.test(jobId) && /^Completed/.test(message)).length);

    assert.ok(value.steps.every(({ status, attempts }) => status === 'COMPLETED' && attempts === 1));
    assert.ok(ran.every(count => count >= 1) && ran[0] + ran[1] === 4, String(ran));
    await Promise.all(pair.map(daemon => daemon.stop()));
    await own.close();
  });
}

await main(async () => {
  const film = await cutSample(path.join(folder, 'film.mp4'), 5, 14);
  redis = await startRedis();
  const daemonFolder = path.join(folder, 'daemon');
  environment = { ...daemonEnvironment(daemonFolder), ...redis.environment, LC_ALL: 'C.UTF-8' };
  const daemon = await startDaemon(redis, { roots: [folder], queues, folder: daemonFolder, environment: quick });
  video = await openQueue(redis);
  ai = await openQueue(redis, 'ai-processing');

  if (process.env.DEBUG_LOG) process.on('exit', () => fs.writeFileSync(process.env.DEBUG_LOG, daemon.output.stderr));
  await whole(film);
  await order();
  await failures();
  await badInput(film);
  await cancelling();
  await daemon.stop();
  await daemons();
  await Promise.all([video.close(), ai.close()]);
  await redis.stop();
});
