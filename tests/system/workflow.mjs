// SPDX-License-Identifier: LGPL-2.1-or-later
// `derush workflow`: whole workflows on real film, failures, skipped steps, bad definitions, and being interrupted.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { daemonEnvironment, cutSample, descendants, ffprobe, isAlive, listFiles, main, makeFilm, run, start, temporaryFolder, test,
  until } from './lib.mjs';

const folder = temporaryFolder('workflow');
const environment = { ...daemonEnvironment(path.join(folder, 'settings')), LC_ALL: 'C.UTF-8' };
const derush = args => run('derush', ['workflow', ...args], { environment });
const lines = text => text.trimEnd().split('\n').map(line => JSON.parse(line));
const statuses = steps => Object.fromEntries(steps.map(({ id, status }) => [id, status]));

function define(name, steps, more = {}) {
  const file = path.join(folder, `${name}.json`);
  fs.writeFileSync(file, JSON.stringify({ id: name, steps, retryPolicy: { maxRetries: 1, retryDelay: 10 }, ...more }));
  return file;
}

const selfTest = (id, jobData, more = {}) => ({ id, jobType: 'SELF_TEST', jobData: { durationMs: 0, ...jobData }, ...more });

async function whole(film, still) {
  await test('video_transformation_basic makes the film, the thumbnails and the storyboard', async () => {
    const output = path.join(folder, 'basic');
    const { status, stdout, stderr } = await derush(['run', 'video_transformation_basic', film, '-o', output, '--json']);
    const events = lines(stdout);
    const progress = events.filter(({ event }) => event === 'progress');
    const { event, returnvalue } = events.at(-1);

    assert.equal(status, 0, stderr + stdout);
    assert.equal(event, 'result');
    assert.equal(returnvalue.status, 'COMPLETED');
    assert.ok(returnvalue.executionId.length > 0 && returnvalue.duration > 0);
    assert.deepEqual(returnvalue.steps.map(({ id, jobType, attempts, error }) => [id, jobType, attempts, error]),
      [['process', 'VIDEO_PROCESSING', 1, null], ['thumbnails', 'THUMBNAIL_GENERATION', 1, null]]);
    assert.deepEqual(returnvalue.outputs.map(output => path.basename(output.path)).sort(), listFiles(output).sort());
    for (const [role, count] of [['video', 1], ['thumbnail', 5], ['storyboard', 1], ['vtt', 1]])
      assert.equal(returnvalue.outputs.filter(output => output.role === role).length, count, role);
    const video = returnvalue.outputs.find(({ role }) => role === 'video');
    const { streams } = await ffprobe(video.path);
    assert.equal(streams.find(stream => stream.codec_type === 'video').height, 720);
    for (const [i, line] of progress.entries()) {
      assert.ok(line.progress >= (progress[i - 1]?.progress ?? 0) && line.progress <= 1);
      assert.equal(line.totalSteps, 2);
      assert.ok(line.estimatedTimeRemaining >= 0);
    }
    assert.deepEqual([...new Set(progress.map(({ step }) => step))], ['process', 'thumbnails']);
    assert.equal(progress.at(-1).progress, 1);
  });
  for (const [what, source] of [['a trailer', film], ['a film in which nothing happens', still]]) {
    await test(`video_transformation_advanced does its five steps with ${what}`, async () => {
      const output = path.join(folder, path.basename(source, '.mp4'));
      const { status, stdout, stderr } = await derush(['run', 'video_transformation_advanced', source, '-o', output, '--json']);
      const { returnvalue } = lines(stdout).at(-1);
      const shorts = returnvalue?.steps.find(({ id }) => id === 'shorts').returnvalue.shorts;

      assert.equal(status, 0, stderr + stdout);
      assert.deepEqual(statuses(returnvalue.steps),
        { process: 'COMPLETED', thumbnails: 'COMPLETED', highlights: 'COMPLETED', shorts: 'COMPLETED', transcription: 'COMPLETED' });
      assert.ok(shorts.length >= 1);
      for (const { filePath } of shorts) {
        const { width, height } = (await ffprobe(filePath)).streams.find(stream => stream.codec_type === 'video');
        assert.deepEqual([width, height], [1080, 1920]);
      }
    });
  }
  await test('what a step returns feeds the next, and jobs of one type do not share a folder', async () => {
    const output = path.join(folder, 'look');
    const { status, stdout, stderr } = await derush(['run', 'thumbnails_and_highlights', film, '-o', output, '--json']);
    const { returnvalue } = lines(stdout).at(-1);
    const of = name => returnvalue.steps.find(({ id }) => id === name).returnvalue;

    assert.equal(status, 0, stderr + stdout);
    assert.equal(of('preview').thumbnails.length, 1);
    assert.ok(Math.abs(of('preview').thumbnails[0].time - of('highlights').highlights[0].startTime) < 0.1);
    assert.equal(path.dirname(of('preview').thumbnails[0].filePath), path.join(output, 'preview'));
    assert.equal(of('thumbnails').analysisPath, of('highlights').analysisPath);
  });
}

async function failures(film) {
  await test('a step that may fail is tried again, then those that need it are skipped and the rest goes on', async () => {
    const file = define('skips', [
      selfTest('broken', { do: 'fail' }, { onFailure: 'skip' }),
      selfTest('needs', { do: '${steps.broken.done}' }, { dependencies: ['broken'] }),
      selfTest('after', { do: 'ok' }, { dependencies: ['broken'] }),
      selfTest('unasked', { do: 'ok' }),
    ]);
    const { status, stdout, stderr } = await derush(['run', file, film, '-o', path.join(folder, 'skips'), '--json', '--skip', 'unasked']);
    const events = lines(stdout);
    const { returnvalue } = events.at(-1);

    assert.equal(status, 0, stderr + stdout);
    assert.equal(returnvalue.status, 'COMPLETED');
    assert.deepEqual(statuses(returnvalue.steps), { broken: 'FAILED', needs: 'SKIPPED', after: 'COMPLETED', unasked: 'SKIPPED' });
    assert.equal(returnvalue.steps[0].attempts, 2);
    assert.match(returnvalue.steps[0].error, /self-test/);
    assert.match(returnvalue.steps[1].error, /“broken”/);
    assert.ok(events.some(({ event, message }) => event === 'warning' && /“broken”.*tried again/.test(message)));
  });
  await test('what -p sets is what ${input.…} means, and what nobody sets is named', async () => {
    const file = define('input', [selfTest('a', { do: '${input.way.out}' })]);
    const output = path.join(folder, 'input');

    assert.equal((await derush(['run', file, film, '-o', output, '-p', 'way.out=ok'])).status, 0);
    const { status, stderr } = await derush(['run', file, film, '-o', output]);
    assert.equal(status, 1);
    assert.match(stderr, /\/steps\/0\/jobData\/do.*input\.way\.out/);
  });
  await test('a step that must not fail ends the workflow: what runs is cancelled, what waits is skipped', async () => {
    const output = path.join(folder, 'fails');
    const file = define('fails', [
      selfTest('long', { do: 'ok', durationMs: 600000 }),
      { id: 'broken', jobType: 'THUMBNAIL_GENERATION', jobData: { thumbnailRequest: { count: -1 } } },
      selfTest('later', { do: 'ok' }, { dependencies: ['long'] }),
    ]);
    const { status, stdout } = await derush(['run', file, film, '-o', output, '--json']);
    const last = lines(stdout).at(-1);

    assert.equal(status, 1);
    assert.deepEqual([last.event, last.class, last.step], ['error', 'bad-input', 'broken']);
    assert.match(last.message, /thumbnailRequest\/count/);
    assert.deepEqual(statuses(last.steps), { long: 'CANCELLED', broken: 'FAILED', later: 'SKIPPED' });
    assert.equal(fs.existsSync(output), false);
  });
  await test('a film that is not there fails the first step and leaves nothing', async () => {
    const output = path.join(folder, 'nothing');
    const { status, stderr } = await derush(['run', 'video_transformation_basic', '/nonexistent.mp4', '-o', output]);

    assert.equal(status, 1);
    assert.match(stderr, /process.*\/nonexistent\.mp4/);
    assert.equal(fs.existsSync(output), false);
  });
  await test('an interrupted workflow stops its steps and leaves no process', async () => {
    const file = define('interrupted', [selfTest('one', { do: 'ok', durationMs: 600000 }), selfTest('two', { do: 'ok', durationMs: 600000 })]);
    const child = start('derush', ['workflow', 'run', file, film, '-o', path.join(folder, 'interrupted'), '--json'], { environment });
    await until(() => /"one","progress":0\.00[1-9]|"two","progress":0\.00[1-9]/.test(child.output.stdout) ||
      descendants(child.pid).length >= 2, 'the steps');
    const workers = descendants(child.pid);
    child.kill('SIGINT');
    const { status, stdout } = await child.ended;
    const last = lines(stdout).at(-1);

    assert.equal(status, 1);
    assert.deepEqual([last.event, last.class], ['error', 'cancelled']);
    assert.deepEqual(statuses(last.steps), { one: 'CANCELLED', two: 'CANCELLED' });
    assert.deepEqual(workers.filter(({ pid }) => isAlive(pid)), []);
    assert.deepEqual(listFiles(environment.DERUSH_SCRATCH), []);
  });
}

async function usage(film) {
  const definition = { id: 'w', jobType: 'SELF_TEST' };
  const bad = define('cycle', [{ ...definition, id: 'a', dependencies: ['b'] }, { ...definition, id: 'b', dependencies: ['a'] }]);
  const large = path.join(folder, 'large.json');
  const deep = path.join(folder, 'deep.json');
  fs.writeFileSync(large, ' '.repeat(10 << 20));
  fs.writeFileSync(deep, '['.repeat(1000));
  const cases = [
    [[], 2, /run, list, show or cancel/],
    [['walk'], 2, /“workflow walk”/],
    [['run'], 2, /NAME or FILE/],
    [['run', 'video_transformation_basic'], 2, /NAME or FILE/],
    [['run', 'video_transformation_basic', film, '--skip', 'nobody'], 2, /“nobody”/],
    [['run', 'video_transformation_basique', film], 1, /video_transformation_basic/],
    [['show', bad], 1, /\/steps .*a → b → a/],
    [['run', bad, film], 1, /\/steps .*a → b → a/],
    [['run', large, film], 1, /too long/],
    [['run', deep, film], 1, /deep/],
    [['run', folder, film], 1, /not a file/],
    [['list', 'x'], 2, /no arguments/],
  ];

  for (const [args, expected, message] of cases) {
    await test(`derush workflow ${args.map(word => path.basename(word)).join(' ')} ends with ${expected} and says why`, async () => {
      const { status, stdout, stderr } = await derush(args);
      assert.equal(status, expected, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, message);
    });
  }
  await test('list and show tell what can be run', async () => {
    const { workflows } = JSON.parse((await derush(['list', '--json'])).stdout);
    const shown = JSON.parse((await derush(['show', 'video_transformation_advanced', '--json'])).stdout);

    assert.ok(workflows.some(({ id, steps }) => id === 'video_transformation_advanced' && steps === 5));
    assert.equal(shown.steps.length, 5);
    assert.match((await derush(['show', 'video_transformation_advanced'])).stdout, /shorts.*SHORT_CREATION.*highlights/);
    for (const command of [[], ['run'], ['list'], ['show']])
      assert.match((await derush([...command, '--help'])).stdout, /^Usage:/);
  });
}

await main(async () => {
  const film = await cutSample(path.join(folder, 'film.mp4'), 5, 14);
  const still = await makeFilm(path.join(folder, 'still.mp4'), { seconds: 4, video: 'color=c=gray:s=320x180:r=25', audio: null });

  await usage(film);
  await whole(film, still);
  await failures(film);
});
