// SPDX-License-Identifier: LGPL-2.1-or-later
// Fakes of model servers for jobs: started, planned with, asked what they were asked; and where a key must not be.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { descendants, listFiles, sourceDirectory, start, until } from './lib.mjs';

export const key = 'sk-planted-0123456789abcdef';

/** A program of tests/fakes. It adds to the process: {baseUrl, plan(faults), asked() (the log of requests)} */
export async function startFake(program, ...args) {
  const fake = start('node', [path.join(sourceDirectory, 'tests/fakes', program), '--key', key, ...args]);

  fake.baseUrl = await until(() => /^listening (\S+)/m.exec(fake.output.stdout)?.[1], 'the fake to listen');
  fake.plan = faults => fetch(new URL('/__faults', fake.baseUrl), { method: 'POST', body: JSON.stringify(faults), headers: { 'content-type': 'application/json' } });
  fake.asked = async () => (await fetch(new URL('/__log', fake.baseUrl))).json();
  return fake;
}

const readers = {
  hash: (client, name) => client.hgetall(name),
  stream: (client, name) => client.xrange(name, '-', '+'),
  string: (client, name) => client.get(name),
  list: (client, name) => client.lrange(name, 0, -1),
  set: (client, name) => client.smembers(name),
  zset: (client, name) => client.zrange(name, 0, -1),
};

/** Whether there is more of the key in @text than nobody could tell from another one. */
export const leaks = text => text.includes(key.slice(0, 11));

const addresses = ['/healthz', '/metrics', '/api/health/workers', '/api/status', '/api/jobs', '/api/jobs/statistics', '/api/workflows/active'];

/**
 * Nothing that anybody can read has the key: logs, rows, files, Redis, command lines, other workers' environments, answers of
 * the daemon's HTTP server if it was started with DERUSH_HTTP_ADDRESS @address; and a crash leaves no core file with it.
 */
export async function assertNoKey(redis, daemon, ...folders) {
  const client = redis.client();
  const names = await client.keys('*');

  for (const name of names)
    assert.ok(!leaks(JSON.stringify(await readers[await client.type(name)]?.(client, name) ?? null)), `Redis: ${name}`);
  client.disconnect();
  assert.ok(!leaks(daemon.output.stderr) && !leaks(daemon.output.stdout), 'logs');
  for (const place of [daemon.folder, ...folders])
    for (const file of listFiles(place))
      assert.ok(!leaks(fs.readFileSync(path.resolve(place, file), 'latin1')), file);
  if (daemon.address)
    for (const address of [...addresses, ...names.flatMap(name => /^bull:[^:]+:(\d+)$/.exec(name)?.[1] ?? []).flatMap(id => [`/api/jobs/${id}`, `/api/jobs/${id}/logs`])])
      assert.ok(!leaks(await (await fetch(`http://${daemon.address}${address}`)).text()), address);
  for (const { pid, name } of [{ pid: daemon.pid, name: 'derushd' }, ...descendants(daemon.pid)]) {
    const has = file => fs.readFileSync(`/proc/${pid}/${file}`, 'latin1');

    assert.ok(!leaks(has('cmdline')), name);
    if ('derush-media-worker'.startsWith(name) || name === 'derush-models')
      assert.ok(!leaks(has('environ')), name);
    if (name.startsWith('derush'))
      assert.match(has('limits'), /Max core file size +0 +0 /, name);
    // The memory of a process that may not be dumped belongs to root, so other programs of its user cannot read it.
    if (process.getuid() !== 0 && (name === 'derushd' || 'derush-model-worker'.startsWith(name)))
      assert.equal(fs.statSync(`/proc/${pid}/environ`).uid, 0, name);
  }
}
