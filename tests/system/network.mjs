// SPDX-License-Identifier: LGPL-2.1-or-later
// Films that come over HTTP and files that go there: real jobs of bullmq, an object store that keeps what it is sent, checks
// its MD5 as they do, and fails in the ways that they fail.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { ffprobe, listFiles, main, makeFilm, openQueue, run, startDaemon, startRedis, temporaryFolder, test, workingFiles }
  from './lib.mjs';

const folder = temporaryFolder('network');
const film = path.join(folder, 'film.mp4');
const secret = 'X-Amz-Signature=0123456789abcdef';

// ── The object store ────────────────────────────────────────────────────────

const stored = new Map(); // path → {body, headers}
const asked = [];         // {method, path, range, status}
const faults = new Map(); // path → statuses that the next requests to it get; 0: the connection is cut
let port;

function answer(request, response, status, headers = {}, body = '') {
  asked.push({ method: request.method, path: request.url.split('?')[0], range: request.headers.range, status });
  response.writeHead(status, headers).end(body);
}

function give(request, response) {
  const whole = fs.readFileSync(film);
  const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const headers = { ETag: '"film"', 'Content-Length': whole.length - from, 'Content-MD5': createHash('md5').update(whole).digest('base64') };

  if (request.url.startsWith('/cut') && !from) {
    asked.push({ method: 'GET', path: '/cut', status: 200 });
    response.writeHead(200, headers).write(whole.subarray(0, whole.length / 2), () => response.destroy());
    return;
  }
  answer(request, response, from ? 206 : 200,
    from ? { ...headers, 'Content-Range': `bytes ${from}-${whole.length - 1}/${whole.length}` } : headers, whole.subarray(from));
}

function take(request, response) {
  const parts = [];

  request.on('data', part => parts.push(part)).on('end', () => {
    const body = Buffer.concat(parts);
    const fault = faults.get(request.url.split('?')[0])?.shift();
    if (fault === 0) return request.socket.destroy();
    if (fault) return answer(request, response, fault, {}, `<Error>${secret}</Error>`);
    if (createHash('md5').update(body).digest('base64') !== request.headers['content-md5'] || Number(request.headers['content-length']) !== body.length)
      return answer(request, response, 400);
    stored.set(request.url, { body, headers: request.headers });
    return answer(request, response, 200, { ETag: '"x"' });
  });
}

const server = http.createServer((request, response) => request.method === 'PUT' ? take(request, response) : give(request, response));
const at = (name, host = '127.0.0.1') => `http://${host}:${port}/${name}?${secret}`;

// ── Tests ───────────────────────────────────────────────────────────────────

const everything = daemon => daemon.output.stdout + daemon.output.stderr;

async function tests(redis, daemon, jobs) {
  const process = async (data, options) => {
    const job = await jobs.add('VIDEO_PROCESSING', { quality: 'low', resolution: '120p', ...data }, options);
    return { job, value: await jobs.finished(job) };
  };
  const fail = async (data, pattern, attempts = 1) => {
    const job = await jobs.add('VIDEO_PROCESSING', { quality: 'low', resolution: '120p', ...data }, { attempts, backoff: 10 });
    await assert.rejects(jobs.finished(job), pattern);
    return job.id;
  };

  await test('a film that is named by a presigned address is fetched and processed', async () => {
    const { value } = await process({ videoId: 'plain', videoUrl: at('film.mp4') });

    assert.equal(value.height, 120);
    assert.ok(Math.abs(value.duration - 3) < 0.1);
    assert.ok(fs.existsSync(value.outputPath));
  });

  await test('a connection that is cut in the middle is gone on with where it was', async () => {
    const { value } = await process({ videoId: 'cut', videoUrl: at('cut') });
    const half = Math.floor(fs.statSync(film).size / 2);

    assert.ok(Math.abs(value.duration - 3) < 0.1);
    assert.deepEqual(asked.filter(one => one.path === '/cut').map(one => one.status), [200, 206]);
    assert.equal(asked.find(one => one.status === 206).range, `bytes=${half}-`);
  });

  await test('files are sent to the addresses that the job gives for them, whole and with their types', async () => {
    const { value } = await process({ videoId: 'sent', videoUrl: at('film.mp4'),
      uploads: [{ role: 'video', url: at('out/{file}'), headers: { 'x-ms-blob-type': 'BlockBlob' } }] });
    const name = path.basename(value.outputPath);
    const object = stored.get(`/out/${name}?${secret}`);

    assert.ok(object, [...stored.keys()].join());
    assert.ok(object.body.equals(fs.readFileSync(value.outputPath)));
    assert.equal(object.headers['content-type'], 'video/mp4');
    assert.equal(object.headers['x-ms-blob-type'], 'BlockBlob');
    assert.equal(value.outputUrl, `http://127.0.0.1:${port}/out/${name}`);
    assert.equal(value.outputs[0].url, value.outputUrl);
    const copy = path.join(folder, 'copy.mp4');
    fs.writeFileSync(copy, object.body);
    assert.equal((await ffprobe(copy)).streams.find(stream => stream.codec_type === 'video').height, 120);
  });

  await test('thumbnails go to one address each, in their order; what has none is named', async () => {
    const job = await jobs.add('THUMBNAIL_GENERATION', { videoId: 'thumbs', videoUrl: film, count: 3, mode: 'uniform', storyboard: false,
      uploads: [at('t1'), at('t2')] });
    const value = await jobs.finished(job);

    assert.equal(value.thumbnails.length, 3);
    for (const [i, name] of ['t1', 't2'].entries())
      assert.ok(stored.get(`/${name}?${secret}`).body.equals(fs.readFileSync(value.thumbnails[i].filePath)));
    assert.ok(value.warnings.some(warning => warning.includes(path.basename(value.thumbnails[2].filePath))), value.warnings.join());
  });

  await test('a store that is overloaded, and one that cuts the connection, are tried again', async () => {
    faults.set('/busy', [503, 0, 500]);
    const { value, job } = await process({ videoId: 'busy', videoUrl: film, uploads: [at('busy')] }, { attempts: 1 });

    assert.ok(stored.get(`/busy?${secret}`).body.equals(fs.readFileSync(value.outputPath)));
    assert.equal((await jobs.queue.getJob(job.id)).attemptsMade, 1);
  });

  await test('a refused upload fails the job for good, names the file and leaves none behind', async () => {
    faults.set('/refused', Array(9).fill(403));
    const target = path.join(folder, 'refused');
    const id = await fail({ videoId: 'refused', videoUrl: film, outputDir: target, uploads: [at('refused')] }, /upload.*refused-120p-low\.mp4.*403/s, 3);

    assert.equal((await jobs.queue.getJob(id)).attemptsMade, 1);
    assert.deepEqual(listFiles(target), []);
    assert.ok(!stored.has(`/refused?${secret}`));
  });

  await test('a store that stays away costs an attempt, and the next one does not process the film again', async () => {
    faults.set('/later', Array(5).fill(503));
    const { value, job } = await process({ videoId: 'later', videoUrl: film, uploads: [at('later')] }, { attempts: 2, backoff: 10 });

    assert.equal((await jobs.queue.getJob(job.id)).attemptsMade, 2);
    assert.ok(value.resumedSteps.includes('transcode'), JSON.stringify(value.resumedSteps));
    assert.ok(stored.get(`/later?${secret}`).body.equals(fs.readFileSync(value.outputPath)));
  });

  await test('private addresses are neither asked nor sent to, by number, by name or in disguise', async () => {
    const before = asked.length;

    for (const host of ['127.0.0.2', 'localhost.localdomain', '[::1]', '0x7f000002', '169.254.169.254', '10.0.0.1']) {
      await fail({ videoUrl: `https://${host}:${port}/film.mp4` }, /download/);
      await fail({ videoUrl: film, uploads: [`https://${host}:${port}/x`] }, /upload/);
    }
    assert.equal(asked.length, before);
  });

  await test('nothing that is secret in an address is in a log, in Redis besides the data, or in a message', async () => {
    assert.ok(!everything(daemon).includes('0123456789abcdef'));
    for (const job of await jobs.queue.getJobs(['completed', 'failed'])) {
      assert.ok(!JSON.stringify([job.returnvalue, job.failedReason, job.stacktrace, job.progress]).includes('0123456789abcdef'), job.id);
      assert.ok(!(await jobs.queue.getJobLogs(job.id)).logs.join().includes('0123456789abcdef'), job.id);
    }
    const rows = fs.readdirSync(path.join(daemon.folder), { recursive: true }).filter(name => /\.(db|sqlite)(-wal)?$/.test(name));
    assert.ok(rows.length > 0);
    for (const name of rows) assert.ok(!fs.readFileSync(path.join(daemon.folder, name)).includes('0123456789abcdef'), name);
  });

  await test('derush run fetches and sends as well', async () => {
    const { status, stdout, stderr } = await run('derush', ['run', 'VIDEO_PROCESSING', at('film.mp4'), '-o', path.join(folder, 'cli'),
      '-p', 'quality=low', '-p', 'resolution=120p', '-p', `uploads=["${at('cli/{file}')}"]`, '--json'],
      { environment: { DERUSH_ALLOWED_HOSTS: '127.0.0.1', XDG_CACHE_HOME: path.join(folder, 'cache'), DERUSH_SCRATCH: path.join(folder, 'cli-scratch') } });

    assert.equal(status, 0, stderr + stdout);
    const { returnvalue } = JSON.parse(stdout.trim().split('\n').at(-1));
    assert.ok([...stored.keys()].some(name => name.startsWith('/cli/')));
    assert.ok(returnvalue.outputUrl.startsWith(`http://127.0.0.1:${port}/cli/`));
  });

  await test('no job has left a working file', () => {
    assert.deepEqual(workingFiles(path.join(daemon.folder, 'scratch')), []);
  });
}

await main(async () => {
  await makeFilm(film, { seconds: 3 });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  port = server.address().port;
  const redis = await startRedis();
  const daemon = await startDaemon(redis, { roots: [folder], environment: { DERUSH_ALLOWED_HOSTS: '127.0.0.1' } });
  const jobs = await openQueue(redis);

  try {
    await tests(redis, daemon, jobs);
  } finally {
    await jobs.close();
    await daemon.stop();
    await redis.stop();
    server.closeAllConnections();
    server.close();
  }
});
