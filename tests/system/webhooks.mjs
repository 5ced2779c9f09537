// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages to webhooks, received by a server in Node that verifies them by itself, is away, refuses, or is one that nobody may
// ask derushd to reach.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { daemonEnvironment, freePort, listFiles, main, openQueue, run, sleep, sourceDirectory, startDaemon, startRedis, temporaryFolder, test, until }
  from './lib.mjs';

const secret = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;
const ok = { do: 'ok', durationMs: 0 };

// The example of docs/http.md, as it stands there.
const page = fs.readFileSync(path.join(sourceDirectory, 'docs/http.md'), 'utf8');
const example = /```js\n(import crypto[\s\S]*?)```/.exec(page)[1].replace(/^import .*$/m, '').replace('export ', '');
const verify = new Function('crypto', `${example}; return verify;`)(crypto);

/** A server that answers what @answer says: a status, or [status, headers]. */
async function receive(port, answer = () => 200) {
  const messages = [];
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const message = { headers: request.headers, url: request.url, method: request.method, body, json: JSON.parse(body), at: Date.now() };
    messages.push(message);
    const [status, headers] = [answer(message, messages.length)].flat();
    response.writeHead(status, headers).end('thanks');
  });
  await new Promise(resolve => server.listen(port, '127.0.0.1', resolve));
  return { messages, port: server.address().port, of: id => messages.filter(({ json }) => json.data.id === id),
    close: () => new Promise(resolve => { server.closeAllConnections(); server.close(resolve); }) };
}

await main(async () => {
  const redis = await startRedis();
  const queue = await openQueue(redis);
  const port = await freePort();
  const folder = temporaryFolder('webhooks');
  const environment = { DERUSH_WEBHOOK_URL: `http://127.0.0.1:${port}/hook?key=k3y`, DERUSH_WEBHOOK_SECRET: secret, DERUSH_WEBHOOK_RETRY_DELAY: '300' };
  const waiting = () => listFiles(path.join(folder, 'state/webhooks')).filter(name => name.endsWith('.json'));
  const serve = (more = {}) => startDaemon(redis, { folder, environment: { ...environment, ...more } });
  let daemon = await serve();

  await test('the end of a job is told once, signed, with what bullmq has', async () => {
    const server = await receive(port);
    const done = await queue.add('SELF_TEST', ok), failed = await queue.add('SELF_TEST', { do: 'fail', durationMs: 0 }, { attempts: 2, backoff: 10 });
    const bad = await queue.add('VIDEO_PROCESSING', { metadata: { order: 7 } });

    for (const job of [done, failed, bad]) await until(() => server.of(job.id).length, `the message about job ${job.id}`, 10000);
    await sleep(700);
    assert.equal(server.messages.length, 3);
    for (const { headers, url, method, body, json } of server.messages) {
      assert.deepEqual([method, url, headers['content-type']], ['POST', '/hook?key=k3y', 'application/json']);
      assert.equal(verify(body, headers, secret), true);
      assert.equal(verify(body.replace('"', "'"), headers, secret), false);
      assert.equal(verify(body, headers, `whsec_${Buffer.from('another').toString('base64')}`), false);
      assert.equal(verify(body, { ...headers, 'webhook-timestamp': String(headers['webhook-timestamp'] - 600) }, secret), false);
      assert.equal(json.id, headers['webhook-id']);
      assert.ok(Math.abs(Date.parse(json.timestamp) - Date.now()) < 60000);
    }
    const [first] = server.of(done.id), [second] = server.of(failed.id), [third] = server.of(bad.id);
    const stored = await queue.queue.getJob(failed.id);
    assert.equal(first.json.type, 'job.completed');
    assert.deepEqual(first.json.data.returnvalue, (await queue.queue.getJob(done.id)).returnvalue);
    assert.deepEqual([first.json.data.queue, first.json.data.type, first.json.data.state], ['video-processing', 'SELF_TEST', 'completed']);
    assert.equal(second.json.type, 'job.failed');
    assert.deepEqual([second.json.data.failedReason, second.json.data.attemptsMade], [stored.failedReason, 2]);
    assert.deepEqual([third.json.type, third.json.data.class], ['job.failed', 'bad-input']);
    assert.equal(new Set(server.messages.map(({ json }) => json.id)).size, 3);
    await until(() => waiting().length === 0, 'an empty folder', 5000);
    await server.close();
  });

  await test('a server that fails twice gets the same message a third time', async () => {
    const server = await receive(port, (_, n) => n <= 2 ? 500 : 204);
    const job = await queue.add('SELF_TEST', ok);

    await until(() => server.of(job.id).length === 3, 'three attempts', 15000);
    await sleep(1500);
    const told = server.of(job.id);
    assert.equal(told.length, 3);
    assert.equal(new Set(told.map(({ headers }) => headers['webhook-id'])).size, 1);
    assert.equal(new Set(told.map(({ body }) => body)).size, 1);
    assert.deepEqual(told.map(({ headers }) => headers['webhook-attempt']), ['1', '2', '3']);
    for (const { body, headers } of told) assert.equal(verify(body, headers, secret), true);
    assert.deepEqual(waiting(), []);
    assert.equal(daemon.log().filter(({ level, message }) => level === 'warn' && /^job\.completed msg_\S+ will be told again later: .*HTTP status 500$/.test(message)).length, 1);
    await server.close();
  });

  await test('what nobody took is told by the derushd that is started next', async () => {
    const job = await queue.add('SELF_TEST', ok);

    await until(() => daemon.log().some(({ message }) => /will be told again later: http:\/\/127\.0\.0\.1:\d+\/hook could not be reached/.test(message)), 'the first attempt', 10000);
    assert.equal(waiting().length, 1);
    assert.deepEqual(await daemon.stop().then(({ status }) => status), 0);
    assert.equal(waiting().length, 1);
    const server = await receive(port);
    daemon = await serve();
    await until(() => server.of(job.id).length, 'the message', 15000);
    const [{ body, headers }] = server.of(job.id);
    assert.equal(verify(body, headers, secret), true);
    assert.ok(Number(headers['webhook-attempt']) >= 2);
    // And after one that was killed.
    await server.close();
    const other = await queue.add('SELF_TEST', ok);
    await until(() => waiting().length === 1, 'the message on disk', 10000);
    daemon.kill('SIGKILL');
    await daemon.ended;
    const again = await receive(port);
    daemon = await serve();
    await until(() => again.of(other.id).length, 'the message', 15000);
    await until(() => waiting().length === 0, 'an empty folder', 5000);
    assert.ok(!daemon.output.stderr.includes('k3y') && !daemon.output.stderr.includes(secret));
    await again.close();
  });

  await test('a workflow is told when it ends, and so are its steps', async () => {
    const server = await receive(port);
    const step = (id, dependencies = []) => ({ id, jobType: 'SELF_TEST', jobData: ok, dependencies, estimatedDuration: 1, maxRetries: 0 });
    const definition = { id: 'two', name: 'Two', steps: [step('a'), step('b', ['a'])], retryPolicy: { maxRetries: 0, retryDelay: 10 } };
    const job = await queue.add('WORKFLOW_EXECUTION', { workflowDefinition: definition, userId: 'u1' });

    await until(() => server.of(job.id).length, 'the message', 15000);
    const [{ json }] = server.of(job.id);
    assert.deepEqual([json.type, json.data.state, json.data.userId], ['workflow.completed', 'completed', 'u1']);
    assert.deepEqual(json.data.returnvalue, (await queue.queue.getJob(job.id)).returnvalue);
    assert.deepEqual(server.messages.filter(({ json: { data } }) => data.parent?.id === job.id).map(({ json: { type, data } }) => [type, data.parent.step]),
      [['job.completed', 'a'], ['job.completed', 'b']]);
    await server.close();
  });

  await test('a job names an address of its own; one of the private network is refused, and not asked', async () => {
    await daemon.stop();
    const server = await receive(0);
    const url = `http://127.0.0.1:${server.port}/mine`;
    daemon = await serve({ DERUSH_WEBHOOK_URL: '' });
    const refused = await queue.add('SELF_TEST', { ...ok, webhookUrl: url });
    await until(() => daemon.log().some(({ level, message }) => level === 'error' && /is not told any more: .*127\.0\.0\.1/.test(message)), 'the refusal', 10000);
    assert.equal(await refused.getState(), 'completed');
    assert.deepEqual(server.messages, []);
    assert.deepEqual(waiting(), []);
    const wrong = await queue.add('SELF_TEST', { ...ok, webhookUrl: 'file:///etc/passwd' });
    await assert.rejects(queue.finished(wrong), /\/webhookUrl must be a valid https: address/);
    await daemon.stop();
    daemon = await serve({ DERUSH_WEBHOOK_URL: '', DERUSH_ALLOWED_HOSTS: '127.0.0.0/8' });
    const job = await queue.add('SELF_TEST', { ...ok, webhookUrl: url });
    await queue.add('SELF_TEST', ok);
    await until(() => server.of(job.id).length, 'the message', 10000);
    await sleep(500);
    assert.equal(server.messages.length, 1);
    assert.equal(server.messages[0].url, '/mine');
    await server.close();
  });

  await test('a server that wants no more gets no more; only wanted events are told', async () => {
    await daemon.stop();
    const server = await receive(port, () => 410);
    daemon = await serve({ DERUSH_WEBHOOK_EVENTS: 'job.failed' });
    await queue.add('SELF_TEST', ok);
    const job = await queue.add('SELF_TEST', { do: 'fail', durationMs: 0 });
    await until(() => daemon.log().some(({ message }) => /job\.failed .* is not told any more: .*HTTP status 410/.test(message)), 'the end', 10000);
    await sleep(1000);
    assert.deepEqual(server.messages.map(({ json }) => json.data.id), [job.id]);
    assert.deepEqual(waiting(), []);
    await server.close();
  });

  await test('wrong settings are refused at the start', async () => {
    for (const [more, message] of [[{ DERUSH_WEBHOOK_URL: 'http://127.0.0.1:1/' }, /needs DERUSH_WEBHOOK_SECRET/],
      [{ DERUSH_WEBHOOK_URL: 'nonsense', DERUSH_WEBHOOK_SECRET: 's' }, /DERUSH_WEBHOOK_URL is no http/],
      [{ DERUSH_WEBHOOK_EVENTS: 'job.done' }, /“job\.done”/]]) {
      const { status, stderr } = await run('derushd', [], { environment: { ...daemonEnvironment(temporaryFolder()), ...redis.environment, LC_ALL: 'C.UTF-8', ...more } });
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
    }
  });
  await daemon.stop();
  await queue.close();
  await redis.stop();
});
