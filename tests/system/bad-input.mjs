// SPDX-License-Identifier: LGPL-2.1-or-later
// Input that is wrong in every way we could think of, as a job of the daemon and by `derush run`: each ends in a right
// result or in one line that names the cause, leaves no file under a final name, and the next job runs.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { ffmpeg, ffprobe, listFiles, main, makeFilm, openQueue, run, startDaemon, startRedis, temporaryFolder, test, until, workingFiles } from './lib.mjs';

const folder = temporaryFolder('bad');
const films = path.join(folder, 'films');
const at = name => path.join(films, name);
const types = ['VIDEO_PROCESSING', 'THUMBNAIL_GENERATION', 'HIGHLIGHT_DETECTION'];

// ── The films ───────────────────────────────────────────────────────────────

function crc32(buffer) {
  let crc = ~0;

  for (const byte of buffer) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** A valid black PNG of any size: one bit for each pixel, so that only who decodes it pays. */
function blackPng(width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);

  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 0, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header),
    chunk('IDAT', zlib.deflateSync(Buffer.alloc((Math.ceil(width / 8) + 1) * height))), chunk('IEND', Buffer.alloc(0))]);
}

const playlist = `#EXTM3U
#EXT-X-TARGETDURATION:4
#EXTINF:4,
file:///etc/passwd
#EXT-X-ENDLIST
`;
const manifest = `<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT4S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">
 <Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="100000"><BaseURL>file:///etc/passwd</BaseURL></Representation></AdaptationSet></Period>
</MPD>
`;

async function makeFilms() {
  fs.mkdirSync(films);
  await makeFilm(at('good.mp4'), { seconds: 2 });
  await makeFilm(at('long.mp4'), { seconds: 40, size: '1280x720' });
  await makeFilm(at('video-only.mp4'), { seconds: 2, audio: null });
  await makeFilm(at('audio-only.mp4'), { seconds: 2, video: null });
  await makeFilm(at('index-first.mp4'), { seconds: 4, options: ['-movflags', '+faststart'] });
  fs.writeFileSync(at('empty.mp4'), '');
  fs.writeFileSync(at('random.mp4'), randomBytes(100000));
  fs.writeFileSync(at('text.mp4'), 'This is a letter.\n'.repeat(100));
  for (const [from, to] of [['good.mp4', 'cut-index-lost.mp4'], ['index-first.mp4', 'cut-half-the-media.mp4']]) {
    const whole = fs.readFileSync(at(from));
    fs.writeFileSync(at(to), whole.subarray(0, whole.length * 0.5));
  }
  fs.writeFileSync(at('huge.png'), blackPng(16000, 16000));
  fs.writeFileSync(at('playlist.mp4'), playlist);
  fs.writeFileSync(at('manifest.mp4'), manifest);
  fs.mkdirSync(at('folder.mp4'));
  fs.copyFileSync(at('good.mp4'), at(`it's "the" film! $(x) \`y\`; é %20 & #1.mp4`));
  fs.symlinkSync('/etc/hostname', at('leads-outside.mp4'));
}

// ── The cases ───────────────────────────────────────────────────────────────

const film = name => ({ videoUrl: at(name) });
const part = (startTime, endTime) => ({ startTime, endTime });
const parts = ['SHORT_CREATION', 'HIGHLIGHT_CLIP_CREATION'];

// [what, data without outputDir, the types it is tried with, what the reason must say, its class for `derush run`]
const refused = [
  ['a missing film', film('missing.mp4'), types, /missing\.mp4/, 'bad-input'],
  ['an empty film', film('empty.mp4'), types, /empty/, 'bad-input'],
  ['random bytes', film('random.mp4'), types, /random\.mp4/, 'bad-input'],
  ['a text named .mp4', film('text.mp4'), ['VIDEO_PROCESSING'], /text\.mp4/, 'bad-input'],
  ['a film cut before its index', film('cut-index-lost.mp4'), types, /cut-index-lost\.mp4/, 'bad-input'],
  ['a sound without pictures', film('audio-only.mp4'), ['THUMBNAIL_GENERATION', 'VIDEO_PROCESSING'], /audio-only\.mp4.*picture/i, 'bad-input'],
  ['an image of 16000 × 16000', film('huge.png'), types, /16000|pixels|picture, not a film/, 'bad-input'],
  ['a playlist named .mp4', film('playlist.mp4'), types, /playlist/i, 'bad-input'],
  ['a DASH manifest named .mp4', film('manifest.mp4'), types, /playlist|manifest/i, 'bad-input'],
  ['a folder', film('folder.mp4'), types, /folder|directory/i, 'bad-input'],
  ['no film named', {}, types, /videoUrl/, 'bad-input'],
  ['a film that is a number', { videoUrl: 5 }, ['VIDEO_PROCESSING'], /\/videoUrl/, 'bad-input'],
  ['a count that is a word', { ...film('good.mp4'), thumbnailRequest: { count: 'many' } }, ['THUMBNAIL_GENERATION'], /\/thumbnailRequest\/count/, 'bad-input'],
  ['an unknown quality', { ...film('good.mp4'), quality: 'best of all' }, ['VIDEO_PROCESSING'], /\/quality.*medium/, 'bad-input'],
  ['an unknown resolution', { ...film('good.mp4'), resolution: '1 ! fakesink' }, ['VIDEO_PROCESSING'], /\/resolution/, 'bad-input'],
  ['a start beyond the end', { ...film('good.mp4'), options: { startTime: 90 } }, ['VIDEO_PROCESSING'], /start/i, 'bad-input'],
  ['nothing but sound for the best short', film('audio-only.mp4'), ['SHORT_CREATION'], /audio-only\.mp4.*picture/i, 'bad-input'],
  ['nothing but sound for parts', { ...film('audio-only.mp4'), highlights: [part(0, 1)] }, parts, /audio-only\.mp4.*picture/i, 'bad-input'],
  ['parts beyond the end', { ...film('good.mp4'), highlights: [part(90, 95)] }, parts, /beyond the end/, 'bad-input'],
  ['a part that ends before it starts', { ...film('good.mp4'), highlights: [part(1, 0.5)] }, parts, /\/highlights\/0\/endTime/, 'bad-input'],
  ['a part of no length', { ...film('good.mp4'), highlights: [part(1, 1)] }, parts, /\/highlights\/0\/endTime/, 'bad-input'],
  ['a short of no length', { ...film('good.mp4'), startTime: 1, endTime: 1 }, ['SHORT_CREATION'], /\/endTime/, 'bad-input'],
  ['thousands of parts', { ...film('good.mp4'), highlights: Array.from({ length: 5000 }, () => part(0, 1)) }, parts, /5000.*at most (50|1000) /, 'bad-input'],
  ['an unknown platform', { ...film('good.mp4'), platform: 'MYSPACE' }, ['SHORT_CREATION'], /MYSPACE.*TIKTOK/, 'bad-input'],
];

// Only the daemon confines paths.
const outside = [
  ['a film outside the allowed folders', { videoUrl: '/etc/hostname' }, /\/etc\/hostname/],
  ['a film reached by ..', { videoUrl: `${films}/../../../../../../etc/hostname` }, /etc\/hostname/],
  ['a link that leads outside', film('leads-outside.mp4'), /leads-outside\.mp4|etc\/hostname/],
  ['an output folder outside', { ...film('good.mp4'), outputDir: '/etc/derush-test' }, /\/etc\/derush-test/],
  ['an output folder reached by ..', { ...film('good.mp4'), outputDir: `${films}/../../../../../../../etc/derush-test` }, /etc\/derush-test/],
];

const accepted = [
  ['a film without sound', film('video-only.mp4'), types, { VIDEO_PROCESSING: /audio|sound/i, HIGHLIGHT_DETECTION: /audio|sound/i }],
  ['overlapping parts', { ...film('good.mp4'), highlights: [part(0, 1.2), part(0.8, 1.6)] }, parts,
    { SHORT_CREATION: /overlap/, HIGHLIGHT_CLIP_CREATION: /overlap/ }],
  ['a part longer than its film', { ...film('good.mp4'), highlights: [part(0, 60)] }, parts,
    { SHORT_CREATION: /end of the film/, HIGHLIGHT_CLIP_CREATION: /end of the film/ }],
  ['a name with quotes and !', film(`it's "the" film! $(x) \`y\`; é %20 & #1.mp4`), types, {}],
];

// ── Through the daemon ──────────────────────────────────────────────────────

async function failure(bench, type, data, options = {}) {
  const job = await bench.queue.add(type, data, { attempts: 3, backoff: 50, ...options });

  await assert.rejects(bench.finished(job, 120000), 'the job fails');
  return bench.queue.queue.getJob(job.id);
}

async function nextJobRuns(bench) {
  const output = path.join(folder, 'next');
  const result = await bench.finished(await bench.add('VIDEO_PROCESSING', { ...film('good.mp4'), outputDir: output, quality: 'low' }));

  assert.deepEqual(listFiles(output), [path.basename(result.outputPath)], 'the next job makes its film');
  fs.rmSync(output, { recursive: true });
}

function assertOneLine(reason, pattern) {
  assert.match(reason, /^[^\n]+$/, `“${reason}” is one line`);
  assert.match(reason, pattern);
}

function assertNothingLeft(bench, output) {
  assert.deepEqual(listFiles(output), [], 'no file is left');
  assert.deepEqual(workingFiles(path.join(bench.daemon.folder, 'scratch')), [], 'no working file is left');
}

async function throughTheDaemon(bench) {
  let n = 0;

  for (const [what, data, tried, pattern] of [...refused, ...outside.map(([name, values, reason]) => [name, values, ['VIDEO_PROCESSING'], reason])]) {
    await test(`a job with ${what} fails in one line, once`, async () => {
      for (const type of tried) {
        const output = path.join(folder, `refused-${n++}`);
        const job = await failure(bench, type, { outputDir: output, ...data });

        assertOneLine(job.failedReason, pattern);
        assert.equal(job.attemptsMade, 1, `${type} is not tried again`);
        assert.equal(fs.existsSync(output), false, `${type} leaves no folder`);
        assertNothingLeft(bench, output);
      }
      assert.equal(fs.existsSync('/etc/derush-test'), false);
      await nextJobRuns(bench);
    });
  }
  await test('a job of an unknown type fails in one line that names it', async () => {
    const job = await failure(bench, 'VIDEO_PROZESSING', film('good.mp4'));

    assertOneLine(job.failedReason, /VIDEO_PROZESSING/);
    assert.equal(job.attemptsMade, 1);
    await nextJobRuns(bench);
  });
  await test('a job of a type that is not available yet says so', async () => {
    const job = await failure(bench, 'WORKFLOW_STEP', { audioUrl: at('audio-only.mp4') });

    assertOneLine(job.failedReason, /not available|unsupported/i);
    assert.equal(job.attemptsMade, 1);
  });
  for (const [what, data, tried, warnings] of accepted) {
    await test(`a job with ${what} ends in a right result`, async () => {
      for (const type of tried) {
        const output = path.join(folder, `accepted-${n++}`);
        const result = await bench.finished(await bench.add(type, { ...data, outputDir: output }));

        assert.equal(result.success, true);
        if (warnings[type]) assert.match(result.warnings.join('\n'), warnings[type], `${type} warns`);
        for (const { path: file } of result.outputs) assert.ok(fs.statSync(file).size > 0);
        if (result.outputPath) near(Number((await ffprobe(result.outputPath)).format.duration), 2, 0.3);
      }
    });
  }
  for (const [what, name, tried] of [['a film with half of its media', 'cut-half-the-media.mp4', types],
    ['the highlights of a sound', 'audio-only.mp4', ['HIGHLIGHT_DETECTION']]]) {
    await test(`a job with ${what} gives what is there with a warning, or fails in one line`, async () => {
      for (const type of tried) {
        const output = path.join(folder, `partly-${n++}`);
        const job = await bench.add(type, { ...film(name), outputDir: output });
        const ended = await bench.finished(job).then(result => ({ result }), error => ({ error }));

        if (ended.error) {
          assertOneLine(ended.error.message, new RegExp(name));
          assertNothingLeft(bench, output);
        } else {
          assert.ok(ended.result.warnings.length > 0, `${type} warns`);
          for (const { path: file } of ended.result.outputs) assert.ok(fs.statSync(file).size > 0);
        }
      }
      await nextJobRuns(bench);
    });
  }
}

function near(actual, expected, tolerance) {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected} ± ${tolerance}`);
}

async function killedWorker(bench) {
  await test('a media worker killed in mid-encode fails that attempt by the name of the signal, and the next job runs', async () => {
    const output = path.join(folder, 'killed');
    const job = await bench.add('VIDEO_PROCESSING', { ...film('long.mp4'), outputDir: output, quality: 'high' }, { attempts: 1 });
    const encoding = new Promise(resolve => {
      const listen = ({ jobId, data }) => {
        if (jobId !== job.id || (typeof data === 'number' ? data : data.progress) < 10) return;
        bench.queue.events.off('progress', listen);
        resolve();
      };
      bench.queue.events.on('progress', listen);
    });
    await encoding;
    const busy = bench.daemon.mediaWorkers();
    assert.ok(busy.length > 0, 'there is a media worker');
    for (const { pid } of busy) process.kill(pid, 'SIGKILL');
    await assert.rejects(bench.finished(job), error => {
      assertOneLine(error.message, /SIGKILL|signal 9|Killed/);
      return true;
    });
    assert.equal(fs.existsSync(output), false, 'nothing is left');
    assertNothingLeft(bench, output);
    await nextJobRuns(bench);
  });
  await test('a job whose worker is killed once is tried again and completes', async () => {
    const output = path.join(folder, 'killed-once');
    const job = await bench.add('VIDEO_PROCESSING', { ...film('long.mp4'), outputDir: output, quality: 'low', options: { duration: 10 } },
      { attempts: 2, backoff: 10 });
    await until(async () => (await bench.queue.queue.getJob(job.id)).progress !== 0 && bench.daemon.mediaWorkers().length > 0, 'the first attempt');
    for (const { pid } of bench.daemon.mediaWorkers()) process.kill(pid, 'SIGKILL');
    const result = await bench.finished(job);
    assert.equal((await bench.queue.queue.getJob(job.id)).attemptsMade, 2);
    assert.deepEqual(listFiles(output), [path.basename(result.outputPath)]);
  });
}

// ── A full disk ─────────────────────────────────────────────────────────────

// A small file system where mounting is allowed; else a limit on the size of files, which a writer meets in the same way.
async function fullDisk(redis) {
  const small = path.join(folder, 'small');
  fs.mkdirSync(small);
  const mounted = process.getuid() === 0 &&
    (await run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small])).status === 0;
  const environment = { DERUSH_MIN_FREE_SPACE: '0', ...(mounted ? { DERUSH_SCRATCH: path.join(small, 'scratch') } : {}) };
  const limited = mounted ? {} : { command: 'prlimit', args: ['--fsize=4000000', 'derushd'] };

  try {
    await test('a disk that is full in mid-encode fails the job in one line, and the next job runs', async () => {
      const daemon = await startDaemon(redis, { folder: path.join(folder, 'full-daemon'), roots: [folder], queues: ['full'], environment, ...limited });
      const queue = await openQueue(redis, 'full');
      const bench = { daemon, queue, add: queue.add, finished: queue.finished };
      const output = path.join(folder, 'full-output');
      const job = await failure(bench, 'VIDEO_PROCESSING', { ...film('noise.mp4'), outputDir: output, quality: 'high' }, { attempts: 1 });

      assertOneLine(job.failedReason, /space|File size limit/);
      assert.deepEqual(listFiles(output), []);
      await nextJobRuns(bench);
      await queue.close();
      await daemon.stop();
    });
  } finally {
    if (mounted) await run('umount', [small]);
  }
}

async function noRoom(redis) {
  await test('a disk without room for the job fails it in one line before it begins', async () => {
    const daemon = await startDaemon(redis, { folder: path.join(folder, 'no-room-daemon'), roots: [folder], queues: ['no-room'],
      environment: { DERUSH_MIN_FREE_SPACE: '1000000000000000' } });
    const queue = await openQueue(redis, 'no-room');
    const output = path.join(folder, 'no-room-output');
    const job = await failure({ daemon, queue, add: queue.add, finished: queue.finished }, 'VIDEO_PROCESSING',
      { ...film('good.mp4'), outputDir: output }, { attempts: 1 });

    assertOneLine(job.failedReason, /space/);
    assert.equal(fs.existsSync(output), false);
    await queue.close();
    await daemon.stop();
  });
}

// ── Through the command line ────────────────────────────────────────────────

async function throughTheCommand() {
  const environment = { DERUSH_CACHE: path.join(folder, 'cli-cache'), DERUSH_SCRATCH: path.join(folder, 'cli-scratch'),
    DERUSH_STATE_DIR: path.join(folder, 'cli-state'), DERUSH_ALLOWED_ROOTS: '/nowhere' };
  let n = 0;

  for (const [what, { videoUrl, ...rest }, tried, pattern, errorClass] of refused) {
    if (typeof videoUrl !== 'string') continue;
    await test(`derush run with ${what} ends in one error line`, async () => {
      for (const type of tried.slice(0, 1)) {
        const output = path.join(folder, `cli-${n++}`);
        const { status, stdout } = await run('derush', ['run', type, videoUrl, '-o', output, '--json', '--data', '-'],
          { environment, input: JSON.stringify(rest) });
        const last = JSON.parse(stdout.trimEnd().split('\n').at(-1));

        assert.equal(status, 1);
        assert.equal(last.event, 'error');
        assert.equal(last.class, errorClass);
        assertOneLine(`${last.input}: ${last.message}`, pattern);
        assert.equal(fs.existsSync(output), false, 'no folder is left');
        assert.deepEqual(listFiles(environment.DERUSH_SCRATCH), []);
      }
    });
  }
}

await main(async () => {
  const redis = await startRedis();

  await makeFilms();
  await ffmpeg('-f', 'lavfi', '-i', 'nullsrc=s=640x360:r=25,geq=random(1)*255:128:128', '-t', '4', '-c:v', 'libx264', '-preset', 'ultrafast',
    '-crf', '30', '-pix_fmt', 'yuv420p', at('noise.mp4'));
  const daemon = await startDaemon(redis, { folder: path.join(folder, 'daemon'), roots: [films, folder] });
  const queue = await openQueue(redis);
  const bench = { daemon, queue, add: queue.add, finished: queue.finished };

  await throughTheDaemon(bench);
  await killedWorker(bench);
  await test('derushd is still the same process, and ends well', async () => {
    await queue.close();
    assert.equal((await daemon.stop()).status, 0);
  });
  await noRoom(redis);
  await fullDisk(redis);
  await throughTheCommand();
  await redis.stop();
});
