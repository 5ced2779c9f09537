// SPDX-License-Identifier: LGPL-2.1-or-later
// The nginx configuration of the README, as it stands there, in front of a derushd: the API, live events that are not held
// back, and the limit of bodies.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { freePort, main, openQueue, run, sourceDirectory, start, startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const nginx = fs.existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx';
const example = /such as nginx:\n\n((?: {4}.*\n)+)/.exec(fs.readFileSync(path.join(sourceDirectory, 'README.md'), 'utf8'))[1];

function configuration(folder, port, backend) {
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`).join(' ');

  assert.ok(example.includes('http://127.0.0.1:8787'), example);
  return `daemon off; pid ${folder}/pid; error_log stderr;${process.getuid() === 0 ? ' user root;' : ''}
events {}
http {
  access_log off; ${folders}
  server {
    listen 127.0.0.1:${port};
    server_name video.example;
${example.replace('127.0.0.1:8787', `127.0.0.1:${backend}`)}
  }
}
`;
}

/** As a browser on another machine would ask: by the name of the site. */
function ask(port, pathname, { method = 'GET', body, headers = {}, token = 'sesame' } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path: pathname, method, headers: { host: 'video.example', connection: 'close',
      ...token && { authorization: `Bearer ${token}` }, ...body !== undefined && { 'content-type': 'application/json' }, ...headers } }, async response => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode, text, json: () => JSON.parse(text) });
    });
    request.on('error', reject);
    request.end(body);
  });
}

await main(async () => {
  const folder = temporaryFolder('proxy');
  const redis = await startRedis();
  const [port, backend] = [await freePort(), await freePort()];
  const daemon = await startDaemon(redis, { environment: { DERUSH_HTTP_ADDRESS: `127.0.0.1:${backend}`, DERUSH_HTTP_TOKEN: 'sesame' } });
  const queue = await openQueue(redis);
  const file = path.join(folder, 'nginx.conf');

  fs.writeFileSync(file, configuration(folder, port, backend));
  const checked = await run(nginx, ['-t', '-q', '-e', 'stderr', '-p', folder, '-c', file]);
  assert.equal(checked.status, 0, checked.stderr);
  const proxy = start(nginx, ['-e', 'stderr', '-p', folder, '-c', file]);
  await until(() => new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); resolve(true); }).on('error', () => resolve(false));
  }), 'nginx');

  await test('jobs are added and shown through the proxy, with the token only', async () => {
    const body = JSON.stringify({ type: 'SELF_TEST', data: { do: 'ok', durationMs: 0 } });
    const added = await ask(port, '/api/jobs', { method: 'POST', body });
    assert.equal(added.status, 200, added.text);
    const { id } = added.json().data;
    await until(async () => (await ask(port, `/api/jobs/${id}`)).json().data.state === 'completed', 'the job');
    assert.deepEqual((await ask(port, `/api/jobs/${id}`)).json().data.returnvalue, (await queue.queue.getJob(id)).returnvalue);
    assert.equal((await ask(port, '/api/health/workers')).json().data.healthy, true);
    for (const token of [undefined, 'wrong']) assert.equal((await ask(port, '/api/status', { token: token ?? null })).status, 401);
    assert.equal((await ask(port, '/api/jobs/..%2F..%2Fetc%2Fpasswd')).status, 404);
    // What is not of the API stays inside.
    assert.equal((await ask(port, '/metrics')).status, 404);
  });

  await test('live events arrive as they happen, not when the proxy has enough of them', async () => {
    const events = [];
    let closed = false, response;
    const open = headers => new Promise((resolve, reject) => http.get({ port, host: '127.0.0.1', path: '/api/events?events=active,completed',
      headers: { host: 'video.example', authorization: 'Bearer sesame', ...headers } }, resolve).on('error', reject));
    const read = answer => {
      let text = '';
      answer.setEncoding('utf8').on('error', () => {}).on('close', () => { closed = true; }).on('data', chunk => {
        text += chunk;
        for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
          const fields = Object.fromEntries(text.slice(0, end).split('\n').map(line => line.split(/: (.*)/)));
          if (fields.event) events.push({ id: fields.id, event: fields.event, data: JSON.parse(fields.data) });
        }
      });
    };

    response = await open({});
    assert.equal(response.headers['content-type'], 'text/event-stream');
    read(response);
    const job = await queue.add('SELF_TEST', { do: 'ok', durationMs: 1500 });
    await until(() => events.some(({ event, data }) => event === 'active' && data.id === job.id), 'the beginning', 10000);
    assert.equal(await job.getState(), 'active', 'the event came while the job ran');
    await until(() => events.some(({ event, data }) => event === 'completed' && data.id === job.id), 'the end', 10000);
    assert.equal(closed, false);
    const heard = events.at(-1).id;
    response.destroy();
    // Away for one job, and back.
    const missed = await queue.add('SELF_TEST', { do: 'ok', durationMs: 0 });
    await queue.finished(missed);
    events.length = 0;
    response = await open({ 'last-event-id': heard });
    read(response);
    await until(() => events.some(({ event, data }) => event === 'completed' && data.id === missed.id), 'what was missed', 10000);
    assert.ok(!events.some(({ data }) => data.id === job.id));
    response.destroy();
  });

  await test('a body as large as the limit passes, a larger one does not, and neither does a slow one harm', async () => {
    const padded = length => {
      const body = JSON.stringify({ type: 'SELF_TEST', data: { do: 'ok', durationMs: 0, metadata: { padding: '' } } });
      return body.replace('"padding":""', `"padding":"${'x'.repeat(length - body.length)}"`);
    };
    const limit = 2 * 1024 * 1024;

    const fits = await ask(port, '/api/jobs', { method: 'POST', body: padded(limit) });
    assert.equal(fits.status, 200, fits.text.slice(0, 300));
    assert.equal((await ask(port, '/api/jobs', { method: 'POST', body: padded(limit + 1) })).status, 413);
    assert.equal((await ask(port, '/api/jobs', { method: 'POST', body: padded(30 * 1024 * 1024) }).catch(error => ({ status: error.code }))).status, 413);
    assert.equal((await ask(port, '/api/status')).status, 200);
  });
  proxy.kill('SIGTERM');
  const { stderr } = await proxy.ended;
  await test('the proxy has nothing to complain of but what was asked in vain', async () => {
    assert.deepEqual(stderr.split('\n').filter(line => /\[(warn|error|crit|alert|emerg)\]/.test(line) && !/client intended to send too large body|open\(\) .*No such file/.test(line)), []);
  });
  await queue.close();
  await daemon.stop();
  await redis.stop();
});
