// SPDX-License-Identifier: LGPL-2.1-or-later
// The log lines of derushd: the backend's fields, one correlation id from the job to the worker's own lines, debug patterns, no secrets.
import assert from 'node:assert/strict';
import { main, openQueue, startDaemon, startRedis, test, until } from './lib.mjs';

const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

await main(async () => {
  const redis = await startRedis({ password: 'pa"ss w/rd' });
  // GStreamer's own lines make a worker say something.
  const daemon = await startDaemon(redis, { environment: { DERUSH_DEBUG: 'derush:steps,-derush:steps:runner', GST_DEBUG: 'GST_STATES:4',
    OPENAI_API_KEY: 'sk-live-123456' } });
  const bench = await openQueue(redis);
  const ofJob = id => daemon.log().filter(line => line.jobId === id);

  await test('a job that completes has the fields of the backend in its last line', async () => {
    const job = await bench.add('SELF_TEST', { do: 'ok', durationMs: 200, workflowId: 'wf-1' }, { jobId: 'good' });
    await bench.finished(job);
    const last = await until(() => ofJob('good').find(line => line.processingTime !== undefined), 'the last line');

    assert.match(last.timestamp, iso);
    assert.deepEqual([last.level, last.jobId, last.jobType, last.queue, last.attempt, last.workflowId],
      ['info', 'good', 'SELF_TEST', 'video-processing', 1, 'wf-1']);
    assert.ok(Number.isInteger(last.processingTime) && last.processingTime >= 200);
    assert.equal(last.result.success, true);
    assert.match(last.message, /^Completed in/);
  });
  await test('the lines of the worker carry the job, its step, and the same correlation id', async () => {
    const lines = ofJob('good');
    const workers = lines.filter(line => line.workerPid !== undefined);

    assert.ok(workers.length > 0, 'the worker said something');
    for (const line of workers)
      assert.deepEqual([line.level, line.jobType, line.queue, line.attempt, line.workflowId, typeof line.step], ['debug', 'SELF_TEST', 'video-processing', 1, 'wf-1', 'string']);
    assert.deepEqual([...new Set(lines.map(line => line.correlationId))], ['wf-1']);
  });
  await test('the correlation id is that of the metadata, else the workflow, else the job itself', async () => {
    const own = await bench.add('SELF_TEST', { do: 'ok', durationMs: 50, workflowId: 'wf-2', metadata: { correlationId: 'req-77' } }, { jobId: 'own' });
    const alone = await bench.add('SELF_TEST', { do: 'ok', durationMs: 50 }, { jobId: 'alone' });

    await Promise.all([bench.finished(own), bench.finished(alone)]);
    await until(() => ofJob('own').length > 1 && ofJob('alone').length > 1, 'the lines');
    assert.deepEqual([...new Set(ofJob('own').map(line => line.correlationId))], ['req-77']);
    assert.deepEqual([...new Set(ofJob('alone').map(line => line.correlationId))], ['video-processing:alone']);
  });
  await test('a job that fails says its class, step and attempt', async () => {
    const job = await bench.add('SELF_TEST', { do: 'fail', durationMs: 50 }, { jobId: 'bad' });
    await assert.rejects(bench.finished(job));
    const last = await until(() => ofJob('bad').find(line => line.class), 'the last line');

    assert.equal(last.level, 'error');
    assert.equal(last.attempt, 1);
    assert.equal(typeof last.step, 'string');
    assert.ok(Number.isInteger(last.processingTime));
  });
  await test('debug lines come from where the patterns say, and from nowhere else', async () => {
    const names = new Set(daemon.log().filter(line => line.level === 'debug').map(line => line.namespace));

    assert.ok(names.has('derush:steps:process'), [...names].join());
    for (const name of names) assert.match(name, /^derush:steps:(?!runner)/);
  });
  await test('every line is one JSON object, and no secret is in any', async () => {
    await daemon.stop();
    const text = daemon.output.stderr;

    for (const line of text.trim().split('\n')) assert.equal(typeof JSON.parse(line).message, 'string');
    for (const secret of [redis.password, JSON.stringify(redis.password).slice(1, -1), encodeURIComponent(redis.password), 'sk-live-123456'])
      assert.ok(!text.includes(secret), secret);
  });
  await bench.close();
  await redis.stop();
});
