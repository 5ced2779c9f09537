// SPDX-License-Identifier: LGPL-2.1-or-later
// The HTTP interface of derushd with a real Redis: what it answers is compared with what bullmq says, and with the description
// in data/openapi.json; then what strangers and faults may do to it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { ask, description, post, seen } from './api.mjs';
import { freePort, main, need, openQueue, run, daemonEnvironment, sleep, startDaemon, startRedis, temporaryFolder, test, until }
  from './lib.mjs';

/** Bytes as they are; resolves to all that came back when the other side closes. */
function speak(port, text, { drip, timeout = 15000 } = {}) {
  return new Promise((resolveText, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let answer = '', timer;
    const over = setTimeout(() => { socket.destroy(); reject(new Error('the connection stayed open')); }, timeout);

    socket.setEncoding('latin1');
    socket.on('data', chunk => { answer += chunk; });
    socket.on('error', () => {});
    socket.on('close', () => { clearInterval(timer); clearTimeout(over); resolveText(answer); });
    socket.on('connect', () => {
      socket.write(text);
      if (drip) timer = setInterval(() => { if (!socket.destroyed) socket.write(drip); }, 200);
    });
  });
}

/** The events of /api/events: {events, next(check), close()}. */
async function listen(base, query = '', since = undefined) {
  const events = [];
  const request = http.get(new URL(`/api/events${query}`, base), { headers: { ...since && { 'last-event-id': since } } });
  const response = await new Promise((done, reject) => request.on('response', done).on('error', reject));
  let text = '';

  assert.equal(response.headers['content-type'], 'text/event-stream');
  response.setEncoding('utf8');
  response.on('error', () => {});
  response.on('data', chunk => {
    text += chunk;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const fields = Object.fromEntries(text.slice(0, end).split('\n').filter(line => /^\w+: /.test(line))
        .map(line => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]));
      if (fields.event) events.push({ id: fields.id, event: fields.event, data: JSON.parse(fields.data) });
    }
  });
  return { events, next: wanted => until(() => events.find(wanted), 'an event', 5000), close: () => request.destroy() };
}

main(async () => {
  const redis = await startRedis();
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const daemon = await startDaemon(redis, { environment: { DERUSH_HTTP_ADDRESS: `127.0.0.1:${port}`, DERUSH_HTTP_TIMEOUT: '2' } });
  const video = await openQueue(redis);
  const ended = async id => {
    await until(async () => ['completed', 'failed'].includes(await (await video.queue.getJob(id))?.getState()), `job ${id}`);
    return video.queue.getJob(id);
  };

  await test('a job that is posted is done, and shown as bullmq has it', async () => {
    const added = await post(base, '/api/jobs', { type: 'SELF_TEST', data: { do: 'ok', durationMs: 0 }, options: { priority: 3, attempts: 2 } });
    const job = await ended(added.data.id);

    assert.deepEqual([added.status, added.body.success, added.data.queue, added.data.type], [200, true, 'video-processing', 'SELF_TEST']);
    assert.deepEqual([job.name, job.data, job.opts.priority, job.opts.attempts], ['SELF_TEST', { do: 'ok', durationMs: 0 }, 3, 2]);
    const { data } = await ask(base, `/api/jobs/${added.data.id}`);
    assert.deepEqual([data.state, data.status, data.attemptsMade], ['completed', 'COMPLETED', 1]);
    assert.deepEqual(data.returnvalue, job.returnvalue);
    assert.equal(data.finishedOn, job.finishedOn);
  });

  await test('a job that failed says so, has its log, and is tried again', async () => {
    const { data: { id } } = await post(base, '/api/jobs', { type: 'SELF_TEST', data: { do: 'fail', durationMs: 0 }, options: { jobId: 'mine' } });
    const job = await ended(id);

    assert.equal(id, 'mine');
    await job.log('first');
    await job.log('seçond');
    const failed = await ask(base, `/api/jobs/${id}`);
    assert.deepEqual([failed.data.state, failed.data.status, failed.data.failedReason], ['failed', 'FAILED', job.failedReason]);
    const { logs } = await video.queue.getJobLogs(id);
    assert.deepEqual((await ask(base, `/api/jobs/${id}/logs`)).data, { logs, count: logs.length });
    assert.deepEqual((await ask(base, `/api/jobs/${id}/logs?start=${logs.length - 1}&limit=1`)).data.logs, ['seçond']);
    assert.equal((await ask(base, `/api/jobs/${id}/logs?limit=x`)).status, 400);
    const retried = await post(base, `/api/jobs/${id}/retry`);
    assert.deepEqual([retried.status, retried.data.id, retried.data.state], [200, id, 'waiting']);
    await until(async () => (await video.queue.getJob(id)).finishedOn > job.finishedOn, 'the second try');
    assert.equal((await video.queue.getJob(id)).attemptsMade, 1);
  });

  await test('a running job is cancelled; one that has ended is not', async () => {
    const { data: { id } } = await post(base, '/api/jobs', { type: 'SELF_TEST', data: { do: 'ok', durationMs: 60000 } });

    await until(async () => (await ask(base, `/api/jobs/${id}`)).data.status === 'PROCESSING', 'its start');
    const { workers } = (await ask(base, '/api/health/workers')).data;
    assert.deepEqual(Object.keys(workers).sort(), ['video-processing-1', 'video-processing-2']);
    const busy = await until(async () => Object.values((await ask(base, '/api/health/workers')).data.workers)
      .find(worker => worker.currentJob === id && worker.pid), 'the worker that runs it');
    assert.equal(busy.status, 'active');
    assert.ok(daemon.mediaWorkers().some(({ pid }) => pid === busy.pid), `${busy.pid} is a media worker`);
    const rss = Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${busy.pid}/status`, 'utf8'))[1]) * 1024;
    assert.ok(Math.abs(busy.memory - rss) < rss * 0.5, `${busy.memory} is about ${rss}`);
    const { containment } = (await ask(base, '/api/health/workers')).data.details;
    const kernel = fs.readFileSync(`/proc/${busy.pid}/status`, 'utf8');
    assert.equal(containment['no-new-privileges'].holds, /NoNewPrivs:\t1/.test(kernel));
    assert.equal(containment.seccomp.holds, /Seccomp:\t2/.test(kernel));
    for (const layer of ['landlock', 'capabilities', 'limits', 'cgroup']) assert.equal(typeof containment[layer].holds, 'boolean', layer);
    assert.equal((await ask(base, '/api/status')).data.queues['video-processing'].active, 1);
    assert.equal((await post(base, `/api/jobs/${id}/retry`)).status, 409);
    assert.equal((await post(base, `/api/jobs/${id}/cancel`)).data.state, 'cancelling');
    await ended(id);
    assert.equal((await ask(base, `/api/jobs/${id}`)).data.status, 'CANCELLED');
    assert.equal((await post(base, `/api/jobs/${id}/cancel`)).status, 409);
  });

  await test('the queues and the statistics have the numbers of bullmq', async () => {
    await video.add('SELF_TEST', { do: 'ok', durationMs: 0 }, { delay: 600000 });
    await sleep(1500);
    const counts = await video.queue.getJobCounts('waiting', 'active', 'completed', 'failed', 'delayed');
    const { data } = await ask(base, '/api/jobs/queues/status');

    assert.deepEqual(counts, { waiting: 0, active: 0, completed: 1, failed: 2, delayed: 1 });
    for (const [state, number] of Object.entries(counts)) assert.equal(data['video-processing'][state], number, state);
    assert.deepEqual([data['video-processing'].total, data['video-processing'].paused], [4, false]);
    await video.queue.pause();
    await until(async () => (await ask(base, '/api/jobs/queues/status')).data['video-processing'].paused, 'the pause', 3000);
    await video.queue.resume();
    const statistics = (await ask(base, '/api/jobs/statistics')).data;
    assert.deepEqual(statistics.byType, { SELF_TEST: { completed: 1, failed: 2, cancelled: 1 } });
    assert.deepEqual([statistics.byStatus.completed, statistics.byStatus.failed, statistics.byStatus.delayed], [1, 2, 1]);
    assert.equal(statistics.throughput.lastHour, 1);
    assert.ok(Math.abs(statistics.failureRate - 2 / 3) < 1e-9, String(statistics.failureRate));
    assert.match((await ask(base, '/metrics')).body, /^derush_jobs_total\{.*state="failed".*\} 2$/m);
    assert.match((await ask(base, '/api/metrics')).body, /^derush_http_requests_total\{route="\/api\/jobs",status="200"\} 3$/m);
    const { body: text } = await ask(base, '/metrics');
    assert.match(text, /^http_request_duration_seconds_count\{method="POST",route="\/api\/jobs",status="2xx"\} 3$/m);
    assert.match(text, /^http_request_duration_seconds_count\{method="POST",route="\/api\/jobs\/:id\/retry",status="4xx"\} 1$/m);
    assert.match(text, /^http_request_duration_seconds_bucket\{method="POST",route="\/api\/jobs",status="2xx",le="10"\} 3$/m);
    const spent = Number(/^http_request_duration_seconds_sum\{method="POST",route="\/api\/jobs",status="2xx"\} (\S+)$/m.exec(text)[1]);
    assert.ok(spent > 0 && spent < 10, `${spent} s`);
  });

  await test('whoever listens hears of jobs and queues as it happens', async () => {
    const stream = await listen(base);
    const { data: { id } } = await post(base, '/api/jobs', { type: 'SELF_TEST', data: { do: 'ok', durationMs: 0 } });
    const { data } = await stream.next(({ event, data: said }) => event === 'job' && said.id === id);

    assert.deepEqual([data.state, data.type, data.queue], ['completed', 'SELF_TEST', 'video-processing']);
    const queue = await stream.next(({ event, data: said }) => event === 'queue' && said.counts.completed === 2);
    assert.equal(queue.data.queue, 'video-processing');
    stream.close();
    seen.add('GET /api/events');
  });

  await test('what happens to jobs is told as bullmq tells it, to each what it wants to hear', async () => {
    const all = await listen(base), one = await listen(base, '?events=completed,failed&job=watched');
    const jobs = [{ do: 'ok', durationMs: 700 }, { do: 'fail', durationMs: 0 }];

    await post(base, '/api/jobs', { type: 'SELF_TEST', data: jobs[0], options: { jobId: 'watched' } });
    await post(base, '/api/jobs', { type: 'SELF_TEST', data: jobs[1], options: { jobId: 'other' } });
    await all.next(({ event, data }) => event === 'completed' && data.id === 'watched');
    await all.next(({ event, data }) => event === 'retries-exhausted' && data.id === 'other');
    const of = id => all.events.filter(({ id: position, data }) => position && data.id === id);
    const names = id => of(id).map(({ event }) => event).filter(name => name !== 'progress');
    assert.deepEqual(names('watched'), ['added', 'waiting', 'active', 'completed']);
    assert.deepEqual(names('other'), ['added', 'waiting', 'active', 'failed', 'retries-exhausted']);
    const progress = of('watched').filter(({ event }) => event === 'progress').map(({ data }) => data.progress);
    assert.ok(progress.length >= 1 && progress.at(-1) === 100, String(progress));
    const done = of('watched').at(-1).data, job = await video.queue.getJob('watched');
    assert.deepEqual([done.queue, done.returnvalue], ['video-processing', job.returnvalue]);
    assert.equal(of('other').find(({ event }) => event === 'failed').data.failedReason, (await video.queue.getJob('other')).failedReason);
    await one.next(({ event }) => event === 'completed');
    assert.deepEqual(one.events.map(({ event, data }) => [event, data.id]), [['completed', 'watched']]);
    for (const stream of [all, one]) stream.close();
  });

  await test('who was away gets what was missed, once and in order; who was away for too long is told so', async () => {
    const before = await listen(base, '?events=completed');
    const run = async id => {
      await post(base, '/api/jobs', { type: 'SELF_TEST', data: { do: 'ok', durationMs: 0 }, options: { jobId: id } });
      await ended(id);
    };

    await run('here');
    const { id: heard } = await before.next(({ data }) => data.id === 'here');
    before.close();
    for (let i = 0; i < 120; i++) await run(`away-${i}`);
    const after = await listen(base, '?events=completed', heard);
    await run('again');
    await after.next(({ data }) => data.id === 'again');
    assert.deepEqual(after.events.map(({ data }) => data.id), [...Array.from({ length: 120 }, (_, i) => `away-${i}`), 'again']);
    after.close();
    for (const since of ['5-0', '1-1,1-1', 'nonsense', '-']) {
      const late = await listen(base, '?queue=video-processing&events=none', since);
      await late.next(({ event }) => event === 'gap');
      assert.equal(late.events.length, 1, since);
      late.close();
    }
    const current = await listen(base, `?events=none&lastEventId=${after.events.at(-1).id}`);
    await sleep(300);
    assert.deepEqual(current.events, []);
    current.close();
  });

  await test('who does not read is left behind, and others hear all', async () => {
    const slow = net.connect(port, '127.0.0.1'), good = await listen(base, '?events=job');
    let over = false;

    slow.on('error', () => {}).on('close', () => { over = true; });
    slow.write('GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await new Promise(resolve => slow.once('data', resolve));
    slow.pause();
    // More than the buffers of the kernel and the daemon's own.
    const events = redis.client(), filler = JSON.stringify('x'.repeat(60000));
    for (let i = 0; i < 300; i++) await events.xadd('bull:video-processing:events', '*', 'event', 'progress', 'jobId', 'filler', 'data', filler);
    await until(async () => {
      if (!over) slow.resume();
      return over;
    }, 'the end of the connection', 10000);
    const { data: { id } } = await post(base, '/api/jobs', { type: 'SELF_TEST', data: { do: 'ok', durationMs: 0 } });
    await good.next(({ data }) => data.id === id);
    good.close();
    await events.del('bull:video-processing:events');
  });

  await test('bad data is refused with what is wrong, and nothing is added', async () => {
    const before = (await video.queue.getJobCountByTypes('completed', 'failed', 'waiting', 'active', 'delayed'));
    const cases = [
      [{}, 400, /type/], [{ type: 'NO_SUCH_TYPE', data: {} }, 400, /NO_SUCH_TYPE/], [{ type: 'VIDEO_PROCESSING', data: {} }, 400, /./],
      [{ type: 'SELF_TEST', data: 'text' }, 400, /data/], [{ type: 'SELF_TEST', data: { do: 'ok' }, queue: 'other' }, 400, /other/],
      [{ type: 'SELF_TEST', data: { do: 'ok' }, options: { jobId: 'meta' } }, 400, /meta/],
      [{ type: 'SELF_TEST', data: { do: 'ok' }, options: { priority: -1 } }, 400, /priority/],
      ['{"type":', 400, /JSON/], ['[1]', 400, /./], [`${'{"a":'.repeat(500)}1${'}'.repeat(500)}`, 400, /./],
    ];

    for (const [body, status, message] of cases) {
      const answer = await post(base, '/api/jobs', body);
      assert.deepEqual([answer.status, answer.body.success], [status, false], JSON.stringify(body).slice(0, 80));
      assert.match(answer.error, message);
    }
    assert.equal((await post(base, '/api/jobs', '{}', { headers: { 'content-type': 'text/plain' } })).status, 415);
    for (const id of ['none', 'meta', 'events', 'a:lock', '..%2F..%2Fetc%2Fpasswd', '%00'])
      assert.equal((await ask(base, `/api/jobs/${id}`)).status, 404, id);
    assert.equal((await ask(base, '/api/other', { described: false })).status, 404);
    const other = await ask(base, '/api/jobs', { method: 'DELETE', described: false });
    assert.deepEqual([other.status, other.headers.get('allow')], [405, 'POST']);
    assert.equal(await video.queue.getJobCountByTypes('completed', 'failed', 'waiting', 'active', 'delayed'), before);
  });

  await test('a workflow is run, shown, listed and cancelled', async () => {
    const step = (id, durationMs, dependencies = []) => ({ id, jobType: 'SELF_TEST', jobData: { do: 'ok', durationMs }, dependencies,
      estimatedDuration: 1, maxRetries: 0 });
    const definition = { id: 'two', name: 'Two', steps: [step('a', 0), step('b', 0, ['a'])], retryPolicy: { maxRetries: 0, retryDelay: 10 } };
    const started = await post(base, '/api/workflows/execute', { workflowDefinition: definition });
    const show = id => ask(base, `/api/workflows/${id}`);

    assert.deepEqual([started.status, started.body.success], [200, true]);
    await until(async () => (await show(started.data.executionId)).data.status === 'COMPLETED', 'its end');
    const { data } = await show(started.data.executionId);
    assert.deepEqual(data.steps.map(({ id, status }) => [id, status]), [['a', 'COMPLETED'], ['b', 'COMPLETED']]);
    assert.deepEqual([data.executionId, data.workflow], [started.data.executionId, 'two']);

    const long = { ...definition, id: 'long', steps: [step('a', 60000)] };
    const { data: { executionId } } = await post(base, '/api/workflows/execute', { workflowDefinition: long });
    await until(async () => (await show(executionId)).data.steps.some(({ status }) => status === 'RUNNING'), 'its step');
    assert.deepEqual((await ask(base, '/api/workflows/active')).data.map(item => item.executionId), [executionId]);
    assert.equal((await ask(base, '/api/workflows/statistics')).data.active, 1);
    assert.equal((await post(base, `/api/workflows/${executionId}/cancel`)).data.executionId, executionId);
    await until(async () => (await show(executionId)).data.status === 'CANCELLED', 'its cancellation');
    const statistics = (await ask(base, '/api/workflows/statistics')).data;
    assert.deepEqual([statistics.completed, statistics.cancelled], [1, 1]);
    assert.deepEqual((await ask(base, '/api/workflows/active')).data, []);
    assert.equal((await show('none')).status, 404);
    assert.equal((await post(base, `/api/workflows/${executionId}/cancel`)).status, 409);
    const templateIds = (await ask(base, '/api/workflows/templates')).data.map(({ id }) => id);
    assert.ok(['video_transformation_basic', 'video_transformation_advanced'].every(id => templateIds.includes(id)), String(templateIds));
  });

  await test('a wrong workflow is refused in the words of the backend', async () => {
    const circle = { id: 'c', name: 'C', steps: [{ id: 'a', jobType: 'SELF_TEST', jobData: {}, dependencies: ['a'] }] };

    for (const body of [{}, { workflowDefinition: {} }, { workflowDefinition: 'text' }, { workflowDefinition: circle }, { templateId: 'none' }, { templateId: '/etc/passwd' }]) {
      const answer = await post(base, '/api/workflows/execute', body);
      assert.deepEqual([answer.status, answer.body.success, answer.error], [400, false, 'Définition de workflow invalide'], JSON.stringify(body));
      assert.ok(answer.body.details.length > 5);
    }
  });

  await test('large, slow and foreign requests are turned away, and others go on', async () => {
    const large = await post(base, '/api/jobs', 'x'.repeat(30 * 1024 * 1024), { described: false });
    assert.deepEqual([large.status, large.body.success], [413, false]);
    const chunked = await speak(port, `POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n` +
      `100000\r\n${'x'.repeat(0x100000)}\r\n`.repeat(3) + '0\r\n\r\n');
    assert.match(chunked, /^HTTP\/1\.1 413 /);
    const headers = await speak(port, `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(60000)}\r\n\r\n`);
    assert.match(headers, /^HTTP\/1\.1 4/);
    await speak(port, `GET /healthz HTTP/1.1\r\nX-Endless: ${'x'.repeat(2 << 20)}`);
    const begun = Date.now();
    await Promise.all([speak(port, 'GET /healthz HTTP/1.1\r\nHost: x\r\n', { drip: 'X: y\r\n' }), speak(port, ''),
      speak(port, 'POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n', { drip: 'x' }),
      (async () => { while (Date.now() < begun + 1500) assert.equal((await ask(base, '/healthz')).status, 200); })()]);
    assert.match(await speak(port, 'nonsense\r\n\r\n'), /^(HTTP\/1\.[01] 400 |$)/);
    assert.equal((await ask(base, '/healthz', { headers: { origin: 'https://example.com' }, described: false })).status, 403);
    assert.match(await speak(port, 'GET /healthz HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 403 /);
    assert.equal((await ask(base, '/healthz')).status, 200);
  });

  await test('requests that are made to confuse end with an error, alone, and cost no memory', async () => {
    const line = 'POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n';
    const job = JSON.stringify({ type: 'SELF_TEST', data: { do: 'ok', durationMs: 0 }, options: { jobId: 'smuggled' } });
    const hidden = `POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${job.length}\r\n\r\n${job}`;
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))[1]) / 1024;
    const before = rss();
    const counts = await video.queue.getJobCountByTypes('completed', 'failed', 'waiting', 'active', 'delayed');

    await Promise.all([
      [`${line}Content-Length: 99999999999999999999\r\n\r\n`, /^(HTTP\/1\.1 4|$)/],
      [`${line}Content-Length: -1\r\n\r\n`, /^(HTTP\/1\.1 4|$)/],
      [`${line}Content-Length: 2, 2\r\n\r\n{}`, /^(HTTP\/1\.1 4|$)/],
      [`${line}Transfer-Encoding: chunked\r\n\r\nnonsense\r\n`, /^(HTTP\/1\.1 4|$)/],
      [`${line}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}`, /^(HTTP\/1\.1 4|$)/],
      [`${line}Transfer-Encoding: gzip\r\n\r\n`, /^(HTTP\/1\.1 [45]|$)/],
      [`GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${'X: y\r\n'.repeat(20000)}\r\n`, /^(HTTP\/1\.1 4|$)/],
      [`GET /${'a'.repeat(100000)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, /^(HTTP\/1\.1 4|$)/],
      ['GET /healthz HTTP/1.0\r\n\r\n', /^HTTP\/1\.[01] 200 /],
      ['GET /api/jobs/%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 404 /],
      ['GET http://example.com/api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 40[03] /],
      // Whichever length counts, the rest must not be taken as a request of its own.
      [`POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${hidden.length + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`, /^(HTTP\/1\.1 4|$)/],
    ].map(async ([text, expected]) => {
      const answer = await speak(port, text);
      assert.match(answer, expected, `${text.slice(0, 160)} → ${answer.slice(0, 200)}`);
      assert.equal((await ask(base, '/healthz')).status, 200);
    }));
    assert.equal(await video.queue.getJob('smuggled'), undefined);
    await Promise.all(Array.from({ length: 4 }, () => post(base, '/api/jobs', 'x'.repeat(30 * 1024 * 1024), { described: false }).catch(() => {})));
    assert.ok(rss() < before + 24, `${before} MiB before, ${rss()} MiB after`);
    assert.equal(await video.queue.getJobCountByTypes('completed', 'failed', 'waiting', 'active', 'delayed'), counts);
  });

  await test('a connection that is used goes on, one that is not is closed', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set();
    const get = () => new Promise((done, reject) => http.get({ port, host: '127.0.0.1', path: '/healthz', agent }, response => {
      ports.add(response.socket.localPort);
      response.resume().on('end', done);
    }).on('error', reject));
    const idle = speak(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');

    for (const begun = Date.now(); Date.now() < begun + 8000; await sleep(400)) await get();
    assert.equal(ports.size, 1);
    assert.match(await idle, /^HTTP\/1\.1 200 /);
    agent.destroy();
  });

  await test('while Redis hangs, health answers at once and says so', async () => {
    process.kill(redis.process.pid, 'SIGSTOP');
    try {
      const stuck = ask(base, '/api/jobs/mine', { described: false });
      await sleep(3200);
      for (const [pathname, status] of [['/api/health/workers', 503], ['/readyz', 503], ['/healthz', 200], ['/api/jobs/queues/status', 503],
        ['/api/jobs/mine', 503], ['/api/status', 200], ['/api/jobs/statistics', 200]]) {
        const answer = await Promise.race([ask(base, pathname), sleep(3000).then(() => ({ status: 'silent' }))]);
        assert.equal(answer.status, status, pathname);
      }
      const { body } = await ask(base, '/api/health/workers');
      assert.deepEqual([body.success, body.data.healthy, body.data.details.redis.connected], [false, false, false]);
      assert.ok(body.data.details.redis.lastAnswerMs > 2000);
      process.kill(redis.process.pid, 'SIGCONT');
      assert.ok([200, 503].includes((await stuck).status));
    } finally {
      process.kill(redis.process.pid, 'SIGCONT');
    }
    await until(async () => (await ask(base, '/api/health/workers')).status === 200, 'health');
  });

  await test('a port in use, a wrong address and an open door are refused at the start', async () => {
    for (const [environment, message] of [[{ DERUSH_HTTP_ADDRESS: `127.0.0.1:${port}` }, /DERUSH_HTTP_ADDRESS/],
      [{ DERUSH_HTTP_ADDRESS: 'here' }, /“here”/], [{ DERUSH_HTTP_ADDRESS: '127.0.0.1:99999' }, /99999/],
      [{ DERUSH_HTTP_ADDRESS: '0.0.0.0:0' }, /DERUSH_HTTP_TOKEN/]]) {
      const { status, stderr } = await run('derushd', [], { environment: { ...daemonEnvironment(temporaryFolder()), ...redis.environment, LC_ALL: 'C.UTF-8', ...environment } });
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
    }
  });

  await test('a second daemon of a machine does its jobs, without HTTP where nobody chose a port', async () => {
    const holder = net.createServer();
    const held = await new Promise(resolve => holder.once('error', () => resolve(false)).listen(8787, '127.0.0.1', () => resolve(true)));
    const second = await startDaemon(redis, { queues: ['second'], environment: { DERUSH_HTTP_ADDRESS: undefined } });
    try {
      await until(() => second.log().find(line => /8787 is in use/.test(line.message)), 'the warning');
    } finally {
      const { status, stderr } = await second.stop();
      assert.equal(status, 0, stderr);
      if (held) holder.close();
    }
  });

  await test('with a token nobody else gets in', async () => {
    const guarded = await startDaemon(redis, { queues: ['other'], environment: { DERUSH_HTTP_ADDRESS: '0.0.0.0:0', DERUSH_HTTP_TOKEN: 'sesame' } });
    const { port: own } = await until(() => guarded.log().find(line => line.port && /Serving HTTP/.test(line.message)), 'its port');
    const door = `http://127.0.0.1:${own}`;

    for (const authorization of [undefined, 'Bearer wrong', 'Bearer sesam', 'Bearer sesamee', 'Bearer ', 'Basic sesame', 'sesame']) {
      const answer = await ask(door, '/api/status', { headers: { ...authorization && { authorization } } });
      assert.deepEqual([answer.status, answer.body.success], [401, false], authorization);
    }
    assert.equal((await ask(door, '/api/status', { headers: { authorization: 'Bearer sesame' } })).status, 200);
    assert.equal((await ask(door, '/healthz')).status, 200);
    assert.equal((await ask(door, '/metrics')).status, 401);
    assert.equal((await ask(door, '/api/events')).status, 401);
    const { status, stderr } = await guarded.stop();
    assert.equal(status, 0);
    assert.ok(!stderr.includes('sesame'));
  });

  await test('orders are obeyed, and those for nobody are refused with the names that there are', async () => {
    const settings = { DERUSH_HTTP_ADDRESS: '127.0.0.1:0', WORKER_CONCURRENCY: '2' };
    const daemons = [await startDaemon(redis, { queues: ['orders'], environment: settings }), await startDaemon(redis, { queues: ['orders'], environment: settings })];
    const [one, two] = await Promise.all(daemons.map(async each => `http://127.0.0.1:${(await until(() => each.log()
      .find(line => line.port && /Serving HTTP/.test(line.message)), 'its port')).port}`));
    const order = async (pathname, body) => (await post(one, pathname, body)).data;
    const worker = async name => (await ask(one, '/api/status')).data.workers[name];

    assert.deepEqual(await order('/api/workers/orders-2/restart', { now: true }), { worker: 'orders-2', afterJob: false });
    await until(async () => (await worker('orders-2')).pid, 'its process');
    assert.deepEqual(await order('/api/workers/orders-2/stop'), { worker: 'orders-2', afterJob: false });
    await until(async () => !(await worker('orders-2')).pid, 'its end');
    assert.equal((await worker('orders-2')).status, 'stopped');
    assert.deepEqual(await order('/api/workers/orders-1/stop-after-job'), { worker: 'orders-1', afterJob: false });
    const degraded = await ask(one, '/api/health/workers');
    assert.deepEqual([degraded.status, degraded.data.status, degraded.data.problems], [200, 'degraded', ['All workers of the queue orders were stopped']]);
    assert.deepEqual(await order('/api/workers/orders-1/start'), { worker: 'orders-1', afterJob: false });
    await until(async () => (await worker('orders-1')).status === 'idle', 'its start');
    assert.equal((await ask(one, '/api/health/workers')).data.status, 'healthy');
    for (const [what, name, message] of [['workers/orders-3/restart', {}, /“orders-3”.*orders-1, orders-2/], ['workers/orders-01/stop', {}, /./], ['workers/orders/start', {}, /./],
      ['workers/..%2Forders-1/stop-after-job', {}, /./], ['queues/none/pause', {}, /“none”, but orders/], ['queues/orders-1/resume', {}, /./]]) {
      const { status, error } = await post(one, `/api/${what}`, name);
      assert.equal(status, 404, what);
      assert.match(error, message);
    }
    for (const what of ['workers/orders-1/restart', 'queues/orders/pause'])
      assert.equal((await post(one, `/api/${what}`, what.startsWith('w') ? { now: 1 } : { local: 'yes' })).status, 400);
    assert.deepEqual(await order('/api/queues/orders/pause', { local: true }), { queues: ['orders'], paused: true, local: true });
    assert.equal((await ask(one, '/api/status')).data.queues.orders.pausedHere, true);
    assert.equal((await ask(two, '/api/status')).data.queues.orders.pausedHere, false);
    assert.deepEqual(await order('/api/queues/orders/resume'), { queues: ['orders'], paused: false, local: false });
    assert.deepEqual(await order('/api/orchestrator/pause', {}), { queues: ['orders'], paused: true, local: false });
    assert.deepEqual(await order('/api/orchestrator/resume'), { queues: ['orders'], paused: false, local: false });
    assert.equal((await ask(one, '/api/status')).data.queues.orders.pausedHere, false);
    assert.deepEqual(await order('/api/orchestrator/reload'), { reloaded: true });
    fs.writeFileSync(`${daemons[0].folder}/derush.conf`, '[derush]\nBULLMQ_PREFIX=other\n');
    const { status, error } = await post(one, '/api/orchestrator/reload');
    assert.equal(status, 409);
    assert.match(error, /BULLMQ_PREFIX/);
    assert.deepEqual((await post(one, '/api/orchestrator/drain')).data, { draining: true, running: 0 });
    assert.deepEqual((await post(two, '/api/orchestrator/stop')).data, { draining: true, running: 0 });
    for (const each of daemons) assert.deepEqual((await each.ended).status, 0);
  });

  await test('of a video or a user that nobody knows there is nothing to remove', async () => {
    for (const what of ['videos', 'users']) {
      const { status, data } = await ask(base, `/api/${what}/nobody%2Fknows`, { method: 'DELETE' });

      assert.equal(status, 200);
      assert.deepEqual([data.dryRun, data.jobs, data.files, data.rows, data.redisJobs], [false, 0, [], 0, 0]);
      assert.equal((await ask(base, `/api/${what}/nobody?dryRun=true`, { method: 'DELETE' })).data.dryRun, true);
      assert.equal((await ask(base, `/api/${what}/nobody?dryRun=maybe`, { method: 'DELETE' })).status, 400);
      assert.equal((await post(base, `/api/${what}/nobody`, {}, { described: false })).status, 405);
    }
  });

  await test('the description is served, and everything in it was asked', async () => {
    assert.deepEqual((await ask(base, '/api/openapi.json')).body, description);
    const described = Object.entries(description.paths).flatMap(([template, methods]) => Object.keys(methods)
      .map(method => `${method.toUpperCase()} ${template}`));
    assert.deepEqual(described.filter(operation => !seen.has(operation)), []);
  });

  await test('derushd ends well while clients are there', async () => {
    const stream = await listen(base);
    const { status, signal } = await daemon.stop();

    assert.deepEqual([status, signal], [0, null]);
    stream.close();
  });
  await video.close();
  await redis.stop();
});
