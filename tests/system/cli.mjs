// SPDX-License-Identifier: LGPL-2.1-or-later
// The command `derush` as scripts and people use it: exit statuses, JSON lines, what is left behind, the queue commands.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { daemonEnvironment, cutSample, descendants, ffmpeg, ffprobe, isAlive, listFiles, main, makeFilm, openQueue, run, sampleFilm, start,
  startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const folder = temporaryFolder('cli');
const environment = { ...daemonEnvironment(path.join(folder, 'settings')), DERUSH_ALLOWED_ROOTS: '/nowhere', LC_ALL: 'C.UTF-8' };
const derush = (args, options = {}) => run('derush', args, { ...options, environment: { ...environment, ...options.environment } });
const lines = text => text.trimEnd().split('\n').map(line => JSON.parse(line));

async function usage() {
  const cases = [
    [[], 2, /command/],
    [['--nonsense'], 2, /--nonsense/],
    [['analysys'], 2, /“analysys”.*“analysis”/],
    [['quux'], 2, /“quux”/],
    [['run'], 2, /TYPE and INPUT/],
    [['run', 'SELF_TEST'], 2, /TYPE and INPUT/],
    [['run', 'SELF_TEST', '-', '-'], 2, /one TYPE and one INPUT/],
    [['run', 'SELF_TEST', '-', '--nonsense'], 2, /--nonsense/],
    [['run', 'SELF_TEST', '-', '-p', 'do'], 2, /NAME=VALUE/],
    [['run', 'SELF_TEST', '-', '--data', '/nonexistent.json'], 2, /\/nonexistent\.json/],
    [['run', 'SELF_TOAST', '-'], 2, /SELF_TOAST.*SELF_TEST/],
    [['add'], 2, /TYPE/],
    [['add', 'SELF_TEST', '--attempts', 'x'], 2, /x/],
    [['add', 'SELF_TEST', '--delay=-1'], 2, /--delay/],
    [['analysis'], 2, /FILE/],
    [['status', 'a', 'b'], 2, /ID/],
    [['config', 'x'], 2, /arguments/],
    [['analysis', '/nonexistent.mp4'], 1, /\/nonexistent\.mp4/],
  ];

  for (const [args, expected, message] of cases) {
    await test(`derush ${args.join(' ')} ends with ${expected} and says why`, async () => {
      const { status, stdout, stderr } = await derush(args);
      assert.equal(status, expected);
      assert.equal(stdout, '');
      assert.match(stderr, message);
      assert.match(stderr, /^derush: /);
    });
  }
  for (const command of [[], ['run'], ['add'], ['status'], ['analysis'], ['pipeline'], ['config'], ['doctor'], ['report']]) {
    await test(`derush ${[...command, '--help'].join(' ')} explains itself on standard output`, async () => {
      const { status, stdout, stderr } = await derush([...command, '--help']);
      assert.deepEqual([status, stderr], [0, '']);
      assert.match(stdout, /^Usage:/);
      assert.ok(stdout.includes(command[0] ?? 'COMMAND'));
    });
  }
  await test('derush --version prints the version and nothing else', async () => {
    const { status, stdout } = await derush(['--version']);
    assert.equal(status, 0);
    assert.match(stdout, /^derush \d+\.\d+\.\d+\n$/);
  });
  await test('a setting that is out of its range is named', async () => {
    const { status, stderr } = await derush(['config'], { environment: { REDIS_PORT: '70000' } });
    assert.equal(status, 1);
    assert.match(stderr, /REDIS_PORT.*70000/);
  });
  await test('derush config shows every origin and no secret', async () => {
    const own = { REDIS_PASSWORD: 'Tr0ub4dor', OPENAI_API_KEY: 'sk-123456', DATABASE_URL: 'postgresql://u:pw9@h/d', WORKER_METRICS_MAX: '7' };
    const table = await derush(['config'], { environment: own });
    const { stdout } = await derush(['config', '--json'], { environment: own });
    const settings = JSON.parse(stdout);

    assert.equal(table.status, 0);
    for (const secret of ['Tr0ub4dor', 'sk-123456', 'pw9'])
      assert.ok(!stdout.includes(secret) && !table.stdout.includes(secret), `${secret} is hidden`);
    assert.deepEqual(settings.WORKER_METRICS_MAX, { value: '7', origin: 'environment' });
    assert.equal(settings.REDIS_DB.origin, 'default');
  });
}

async function runs(film) {
  await test('derush run --json prints JSON lines that end with the result', async () => {
    const output = path.join(folder, 'deep/er/video');
    const { status, stdout, stderr } = await derush(['run', 'VIDEO_PROCESSING', path.relative(folder, film), '-o', output, '--json',
      '-p', 'quality=low', '-p', 'nonsense=1'], { cwd: folder });
    const events = lines(stdout);
    const progress = events.filter(({ event }) => event === 'progress');
    const { event, returnvalue } = events.at(-1);

    assert.equal(status, 0, stderr);
    assert.equal(event, 'result');
    assert.equal(events.filter(({ event: name }) => name === 'result').length, 1);
    assert.ok(progress.length >= 3);
    for (const [i, { step, progress: value }] of progress.entries()) {
      assert.ok(typeof step === 'string' && value >= (progress[i - 1]?.progress ?? 0) && value <= 1);
    }
    assert.ok(events.some(({ event: name, message }) => name === 'warning' && message.includes('nonsense')), 'an unknown member is warned of');
    assert.deepEqual(listFiles(output), [path.basename(returnvalue.outputPath)]);
    assert.equal((await ffprobe(returnvalue.outputPath)).streams[0].codec_name, 'h264');
  });
  await test('derush run without --json ends with the files made', async () => {
    const output = path.join(folder, 'thumbnails');
    const { status, stdout, stderr } = await derush(['run', 'thumbnail-generation', film, '-o', output, '-p', 'count=2', '-p', 'format=png']);

    assert.equal(status, 0, stderr);
    for (const name of listFiles(output)) assert.ok(stdout.includes(path.join(output, name)));
    assert.equal(listFiles(output).filter(name => name.endsWith('.png')).length, 2);
    assert.match(stderr, /thumbnails: 100 %/);
  });
  await test('nested and top-level names of -p mean the same', async () => {
    for (const [i, name] of ['positions', 'thumbnailRequest.positions'].entries()) {
      const output = path.join(folder, `positions-${i}`);
      const { status, stdout } = await derush(['run', 'THUMBNAIL_GENERATION', film, '-o', output, '--json', '-p', `${name}=[0.25,0.75]`]);
      assert.equal(status, 0);
      assert.equal(lines(stdout).at(-1).returnvalue.thumbnails.length, 2);
    }
  });
  await test('derush run takes a job\'s data from a file and from standard input', async () => {
    const data = JSON.stringify({ thumbnailRequest: { positions: [0.5], format: 'webp' } });
    const file = path.join(folder, 'data.json');
    fs.writeFileSync(file, data);
    for (const [i, source] of [file, '-'].entries()) {
      const output = path.join(folder, `data-${i}`);
      const { status } = await derush(['run', 'THUMBNAIL_GENERATION', film, '-o', output, '--json', '--data', source], { input: data });
      assert.equal(status, 0);
      assert.equal(listFiles(output).filter(name => name.endsWith('.webp')).length, 1);
    }
  });
  await test('types without media take a hyphen, and fail when told to', async () => {
    assert.equal((await derush(['run', 'self-test', '-', '-p', 'do=ok', '-p', 'durationMs=0'])).status, 0);
    const { status, stdout } = await derush(['run', 'SELF_TEST', '-', '-p', 'do=fail', '-p', 'durationMs=200', '--json']);
    const last = lines(stdout).at(-1);
    assert.equal(status, 1);
    assert.equal(last.event, 'error');
    assert.ok(last.message && !last.message.includes('\n'));
  });
  await test('a type that is not available yet is unsupported', async () => {
    const { status, stdout } = await derush(['run', 'WORKFLOW_STEP', film, '--json']);
    const last = lines(stdout).at(-1);
    assert.equal(status, 1);
    assert.deepEqual([last.event, last.class], ['error', 'unsupported']);
  });
  await test('data that is wrong fails with its pointer and makes no folder', async () => {
    const output = path.join(folder, 'wrong');
    const { status, stdout } = await derush(['run', 'THUMBNAIL_GENERATION', film, '-o', output, '-p', 'count=many', '--json']);
    const last = lines(stdout).at(-1);
    assert.equal(status, 1);
    assert.deepEqual([last.event, last.class], ['error', 'bad-input']);
    assert.match(last.message, /\/thumbnailRequest\/count/);
    assert.equal(fs.existsSync(output), false);
  });
  await test('a job that fails leaves the files of others in the folder alone', async () => {
    const output = path.join(folder, 'others');
    fs.mkdirSync(output);
    fs.writeFileSync(path.join(output, 'mine.txt'), 'mine');
    assert.equal((await derush(['run', 'VIDEO_PROCESSING', '/nonexistent.mp4', '-o', output])).status, 1);
    assert.deepEqual(listFiles(output), ['mine.txt']);
  });
}

async function interrupted(film) {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    await test(`${signal} in mid-encode leaves nothing and ends with 1, class cancelled`, async () => {
      const output = path.join(folder, `interrupted-${signal}`);
      const child = start('derush', ['run', 'VIDEO_PROCESSING', film, '-o', output, '--json', '-p', 'quality=high'], { environment });
      await until(() => /"step":"transcode","progress":0\.[1-9]/.test(child.output.stdout), 'the encoding');
      const workers = descendants(child.pid);
      assert.ok(workers.length > 0);
      child.kill(signal);
      const { status, stdout } = await child.ended;
      const last = lines(stdout).at(-1);

      assert.equal(status, 1);
      assert.deepEqual([last.event, last.class], ['error', 'cancelled']);
      assert.equal(fs.existsSync(output), false);
      assert.deepEqual(listFiles(environment.DERUSH_SCRATCH), []);
      assert.deepEqual(workers.filter(({ pid }) => isAlive(pid)), [], 'its processes are gone');
    });
  }
  await test('a reader that goes away ends the run', async () => {
    const output = path.join(folder, 'closed');
    const { stdout } = await run('bash', ['-c', 'derush run VIDEO_PROCESSING "$1" -o "$2" --json -p quality=high | head -n 3; echo "${PIPESTATUS[0]}"', '-', film, output],
      { environment });
    assert.equal(stdout.trimEnd().split('\n').at(-1), '1');
    assert.equal(fs.existsSync(output), false);
  });
}

async function analyses(film) {
  await test('derush analysis --json prints shots that cover the film, and the same again from the cache', async () => {
    const first = await derush(['analysis', film, '--json']);
    const again = await derush(['analysis', film, '--json']);
    const { duration, frames, shots } = JSON.parse(first.stdout);
    const probe = await ffprobe(film, '-count_frames', '-select_streams', 'v:0');

    assert.equal(first.status, 0, first.stderr);
    /* What a run cost is its own. */
    assert.deepEqual({ ...JSON.parse(again.stdout), cost: null }, { ...JSON.parse(first.stdout), cost: null });
    assert.equal(frames, Number(probe.streams[0].nb_read_frames));
    assert.ok(Math.abs(duration - Number(probe.format.duration)) < 0.2);
    assert.deepEqual([shots[0].start, shots[0].firstFrame], [0, 0]);
    for (const [i, { start: begin, end, firstFrame, transition }] of shots.entries()) {
      assert.ok(end > begin);
      assert.ok(['cut', 'fade-in', 'fade-out', 'dissolve', 'wipe'].includes(transition), transition);
      if (i > 0) assert.ok(begin >= shots[i - 1].start && firstFrame > shots[i - 1].firstFrame);
    }
  });
  await test('derush analysis prints every shot of a long film, and leaves no file but its measures', async () => {
    const folder = temporaryFolder('shots');
    const long = path.join(folder, 'long.mp4'), outputs = path.join(folder, 'outputs');
    await ffmpeg('-stream_loop', '9', '-i', sampleFilm, '-an', '-vf', 'scale=160:-2', '-c:v', 'libx264', '-preset', 'ultrafast', long);
    const { status, stdout, stderr } = await derush(['analysis', long, '--json'], { environment: { DERUSH_OUTPUT_DIR: outputs } });
    assert.equal(status, 0, stderr);
    const { duration, shots } = JSON.parse(stdout);

    assert.ok(shots.length > 200, `${shots.length}`);
    assert.ok(duration - shots.at(-1).end < 0.1);
    assert.equal(fs.existsSync(outputs), false);
  });
  await test('derush analysis without --json prints a table', async () => {
    const { status, stdout } = await derush(['analysis', film]);
    assert.equal(status, 0);
    assert.match(stdout, /shot/);
    assert.ok(stdout.trimEnd().split('\n').length >= 2);
  });
}

async function pipelines(film) {
  await test('derush pipeline lists the templates, and prints a line that gst-launch-1.0 runs', async () => {
    const list = await derush(['pipeline']);
    assert.equal(list.status, 0, list.stderr);
    assert.match(list.stdout, /^transcode-mp4\b/m);
    const { status, stdout, stderr } = await derush(['pipeline', 'transcode-mp4', `source=${film}`]);
    assert.equal(status, 0, stderr);
    assert.ok(stdout.includes(film));
    assert.ok(!stdout.trimEnd().includes('\n'));
    const launched = await run('sh', ['-c', `${stdout.startsWith('gst-launch') ? '' : 'gst-launch-1.0 -q '}${stdout}`], { cwd: temporaryFolder('pipeline') });
    assert.equal(launched.status, 0, launched.stderr);
  });
  await test('derush pipeline refuses what is no template', async () => {
    const { status, stderr } = await derush(['pipeline', 'nonsense']);
    assert.notEqual(status, 0);
    assert.match(stderr, /nonsense/);
  });
}

async function queues(film) {
  const redis = await startRedis();
  const own = { ...redis.environment };
  const { queue, close } = await openQueue(redis);

  await test('derush add puts a job into its queue and prints its id', async () => {
    const { status, stdout, stderr } = await derush(['add', 'video-processing', 'film.mp4', '-p', 'quality=low', '--attempts', '3', '--priority', '2'],
      { environment: own, cwd: folder });
    const job = await queue.getJob(stdout.trim());
    assert.equal(status, 0, stderr);
    assert.equal(job.name, 'VIDEO_PROCESSING');
    assert.equal(job.data.videoUrl, path.join(folder, 'film.mp4'));
    assert.equal(job.data.options.quality, 'low');
    assert.deepEqual([job.opts.attempts, job.opts.priority], [3, 2]);
    await job.remove();
  });
  await test('derush add refuses what the daemon would refuse', async () => {
    const { status, stderr } = await derush(['add', 'VIDEO_PROCESSING', film, '-p', 'quality=5'], { environment: own });
    assert.equal(status, 1);
    assert.match(stderr, /\/quality/);
    assert.equal(await queue.count(), 0);
  });
  await test('derush add --delay makes a delayed job, derush status counts it', async () => {
    const { stdout } = await derush(['add', 'SELF_TEST', '-p', 'do=ok', '-p', 'durationMs=0', '--queue', 'video-processing', '--delay', '3600000', '--json'], { environment: own });
    const { id } = JSON.parse(stdout);
    const { running, queues: counts } = JSON.parse((await derush(['status', '--json'], { environment: own })).stdout);
    assert.equal(running, false);
    assert.equal(counts['video-processing'].delayed, 1);
    assert.equal(counts['ai-processing'].waiting, 0);
    assert.match((await derush(['status'], { environment: own })).stdout, /^video-processing +0/m);
    await (await queue.getJob(id)).remove();
  });
  await test('derush status of a job that is not there fails', async () => {
    const { status, stderr } = await derush(['status', 'no-such-job'], { environment: own });
    assert.equal(status, 1);
    assert.match(stderr, /no-such-job/);
  });
  await test('derush add --wait ends as the job does, derush status shows it', async () => {
    const daemon = await startDaemon(redis, { folder: path.join(folder, 'daemon'), roots: [folder] });
    const output = path.join(folder, 'added');
    const added = await derush(['add', 'THUMBNAIL_GENERATION', film, '-o', output, '-p', 'positions=[0.5]', '--wait', '--json'], { environment: own });
    const job = JSON.parse(added.stdout);
    const failed = await derush(['add', 'SELF_TEST', '-p', 'do=fail', '-p', 'durationMs=0', '--wait'], { environment: own });

    assert.equal(added.status, 0, added.stderr);
    assert.equal(job.state, 'completed');
    assert.equal(job.returnvalue.thumbnails.length, 1);
    assert.equal(failed.status, 1);
    assert.equal(JSON.parse((await derush(['status', job.id, '--json'], { environment: own })).stdout).state, 'completed');
    assert.match((await derush(['status', job.id], { environment: own })).stdout, /completed/);
    await close();
    assert.equal((await daemon.stop()).status, 0);
  });
  await redis.stop();
  await test('a Redis that is not there is named', async () => {
    const { status, stderr } = await derush(['status'], { environment: own });
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`Redis.*127\\.0\\.0\\.1.*${redis.port}`));
  });
}

await main(async () => {
  const film = await cutSample(path.join(folder, 'film.mp4'), 4, 14);
  const long = await makeFilm(path.join(folder, 'long.mp4'), { seconds: 60, size: '1280x720' });

  assert.ok(fs.existsSync(sampleFilm));
  await usage();
  await runs(film);
  await interrupted(long);
  await analyses(film);
  await pipelines(film);
  await queues(film);
});
