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

/** Nothing that anybody can read has the key: logs, rows, files, Redis, command lines, other workers' environments. */
export async function assertNoKey(redis, daemon, ...folders) {
  const client = redis.client();
  const names = await client.keys('*');

  for (const name of names) {
    const type = await client.type(name);
    const content = type === 'hash' ? await client.hgetall(name) : type === 'stream' ? await client.xrange(name, '-', '+') : type === 'string' ? await client.get(name) : null;

    assert.ok(!JSON.stringify(content).includes(key), `Redis: ${name}`);
  }
  client.disconnect();
  assert.ok(!daemon.output.stderr.includes(key) && !daemon.output.stdout.includes(key), 'logs');
  for (const place of [daemon.folder, ...folders])
    for (const file of listFiles(place))
      assert.ok(!fs.readFileSync(path.resolve(place, file)).includes(key), file);
  for (const { pid, name } of [{ pid: daemon.pid, name: 'derushd' }, ...descendants(daemon.pid)]) {
    assert.ok(!fs.readFileSync(`/proc/${pid}/cmdline`).includes(key), name);
    if ('derush-media-worker'.startsWith(name))
      assert.ok(!fs.readFileSync(`/proc/${pid}/environ`).includes(key), name);
    if (name.startsWith('derush-model'))
      assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'), /Max core file size +0 +0 /);
  }
}
