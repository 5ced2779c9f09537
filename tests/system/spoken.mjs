// SPDX-License-Identifier: LGPL-2.1-or-later
// People who speak English are transcribed without a language being named; those who speak another one are refused.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { main, test } from './lib.mjs';

const folder = path.join(process.env.DERUSH_SHARED ?? '../shared', 'media/speech');
const token = 'spoken';

await main(async () => {
  const server = spawn(process.env.DERUSH_LOCAL_MODELS ?? 'derush-models', [], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, DERUSH_MODELS_TOKEN: token } });
  const [, url] = (await new Promise(resolve => readline.createInterface(server.stdout).once('line', resolve))).split(' ');
  const transcribe = async (name, options = {}) => {
    const form = new FormData();

    form.set('file', new Blob([fs.readFileSync(path.join(folder, name))]), name);
    for (const [key, value] of Object.entries(options)) form.set(key, value);
    const answer = await fetch(`${url}/audio/transcriptions`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: form });
    return { status: answer.status, body: await answer.json() };
  };

  for (const name of fs.readdirSync(folder).filter(file => file.endsWith('.wav')).sort())
    await test(`${name} is ${name.startsWith('en_') ? 'English' : 'another language'}`, async () => {
      const { status, body } = await transcribe(name);

      assert.equal(status, name.startsWith('en_') ? 200 : 400, JSON.stringify(body));
      if (!name.startsWith('en_')) {
        assert.equal(body.error.code, 'unsupported_language');
        assert.equal((await transcribe(name, { language: 'en' })).status, 200);
      }
    });
  server.stdin.end();
  await new Promise(resolve => server.once('exit', resolve));
});
