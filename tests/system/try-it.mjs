// SPDX-License-Identifier: LGPL-2.1-or-later
// What `./dev try` runs, as a new user would: it ends with a table of files that are there, and leaves nothing else behind,
// neither after success nor after a failure or Ctrl-C.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { cutSample, descendants, isAlive, listFiles, main, sourceDirectory, start, temporaryFolder, test, until } from './lib.mjs';

const script = path.join(sourceDirectory, 'tests/system/try.mjs');
const folder = temporaryFolder('try-it');

// A private TMPDIR shows everything that is left.
function attempt(args) {
  const temporary = fs.mkdtempSync(path.join(folder, 'tmp-'));

  return { temporary, child: start(process.execPath, [script, ...args], { environment: { TMPDIR: temporary } }) };
}

await main(async () => {
  const film = await cutSample(path.join(folder, `it's a film.mp4`), 5, 14);
  const long = await cutSample(path.join(folder, 'long.mp4'), 30, 10);

  await test('it ends with a line for each file, and only the files are left', async () => {
    const { temporary, child } = attempt([film]);
    await until(() => descendants(child.pid).some(({ name }) => name === 'derushd'), 'derushd');
    const processes = descendants(child.pid);
    const { status, stdout, stderr } = await child.ended;
    const files = stdout.split('\n').map(line => /^(\S+) +[\d.]+ \w+ +(\/.*)$/.exec(line)).filter(Boolean);
    const roles = files.map(([, role]) => role);
    const [output, ...others] = fs.readdirSync(temporary);

    assert.equal(status, 0, stderr);
    for (const [, , file] of files) assert.ok(fs.statSync(file).size > 0, file);
    for (const role of ['video', 'thumbnail', 'storyboard', 'short', 'transcript', 'subtitles']) assert.ok(roles.includes(role), `${role} among ${roles}`);
    assert.deepEqual(others, [], 'only the folder with the files is left');
    assert.deepEqual(listFiles(path.join(temporary, output)).length, files.length);
    assert.match(stdout, /The best of it|No highlights/);
    assert.deepEqual(processes.filter(({ pid }) => isAlive(pid)), [], 'no process is left');
    assert.doesNotMatch(stdout, /^Skipped/m);
    assert.match(stdout, /^What is said \(en, pocketsphinx-en-us\):\n {2}\S+/m);
    assert.match(stdout, /^ {2}00:00:\d\d,\d{3} --> 00:00:\d\d,\d{3}$/m);
    for (const step of ['transcode', 'thumbnails', 'highlights', 'shorts', 'transcribe']) assert.match(stderr, new RegExp(`${step} 100 %`));
  });
  await test('--output names the folder', async () => {
    const output = path.join(folder, 'mine');
    const { temporary, child } = attempt([film, '--output', output]);
    assert.equal((await child.ended).status, 0);
    assert.ok(listFiles(output).length >= 3);
    assert.deepEqual(fs.readdirSync(temporary), []);
  });
  await test('a film that is none fails with the reason and leaves nothing', async () => {
    const broken = path.join(folder, 'broken.mp4');
    fs.writeFileSync(broken, 'no film');
    const { temporary, child } = attempt([broken]);
    const { status, stderr } = await child.ended;
    assert.equal(status, 1);
    assert.match(stderr, /broken\.mp4/);
    assert.deepEqual(fs.readdirSync(temporary), []);
  });
  await test('a film that is not there fails before anything is started', async () => {
    const { temporary, child } = attempt(['/nonexistent.mp4']);
    const { status, stderr } = await child.ended;
    assert.equal(status, 1);
    assert.match(stderr, /\/nonexistent\.mp4/);
    assert.deepEqual(fs.readdirSync(temporary), []);
  });
  await test('a wrong option shows the usage', async () => {
    const { child } = attempt(['--nonsense']);
    const { status, stderr } = await child.ended;
    assert.equal(status, 2);
    assert.match(stderr, /usage: /);
  });
  await test('an interrupt in mid-encode leaves no process and no folder', async () => {
    const { temporary, child } = attempt([long]);
    await until(() => /transcode/.test(child.output.stderr) && /\d+ %/.test(child.output.stderr), 'the encoding');
    const processes = descendants(child.pid);
    child.kill('SIGINT');
    assert.equal((await child.ended).status, 130);
    assert.deepEqual(processes.filter(({ pid }) => isAlive(pid)), []);
    assert.deepEqual(fs.readdirSync(temporary), []);
  });
});
