// SPDX-License-Identifier: LGPL-2.1-or-later
// What the system tests share: a private redis-server, derushd, folders that go away, films made on the spot, TAP.
// Everything that is started or made here is gone when the process ends, whatever the reason.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Queue, QueueEvents } from 'bullmq';
import { Redis } from 'ioredis';

export const sourceDirectory = process.env.DERUSH_SOURCE_DIR ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const sampleFilm = path.join(sourceDirectory, 'data/samples/sintel_trailer-720p.mp4');
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

// ── Leaving nothing behind ──────────────────────────────────────────────────

const children = new Set();
const folders = new Set();

function sweep() {
  const pids = [...children].flatMap(child => [child.pid, ...descendants(child.pid).map(({ pid }) => pid)]);

  for (const pid of pids) {
    try { process.kill(pid, 'SIGKILL'); } catch {}
  }
  for (const folder of folders) {
    if (process.env.DERUSH_KEEP) {
      process.stderr.write(`kept: ${folder}\n`);
      continue;
    }
    try {
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    } catch (error) {
      process.stderr.write(`${folder} could not be removed: ${error.message}\n`);
    }
  }
  children.clear();
  folders.clear();
}
let interrupted = status => process.exit(status);
process.on('exit', sweep);
for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]])
  process.on(signal, () => interrupted(128 + number));

/** Replaces what SIGINT, SIGTERM and SIGHUP do; @handler gets the exit status that they stand for. */
export function onInterrupt(handler) {
  interrupted = handler;
}

/** DERUSH_KEEP=1: the folders of a run stay, for looking at them. */
export function temporaryFolder(name = 'test') {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), `derush-${name}-`)));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder) {
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  folders.delete(folder);
}

// ── Processes ───────────────────────────────────────────────────────────────

/**
 * A process whose output is collected; `ended` resolves to {status, signal, stdout, stderr}. @detached: in a process group of
 * its own, which Ctrl-C on a terminal does not reach. @tracked: killed at the latest when this process ends; else it has to
 * see by itself that its standard input has ended.
 */
export function start(command, args = [], { environment = {}, cwd, input, stdio, detached = false, tracked = true } = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...environment }, cwd, detached,
    stdio: stdio ?? [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };

  if (tracked) children.add(child);
  for (const name of ['stdout', 'stderr']) {
    child[name]?.setEncoding('utf8');
    child[name]?.on('data', text => { output[name] += text; });
  }
  if (input !== undefined) {
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  }
  child.output = output;
  child.ended = new Promise((resolve, reject) => {
    child.once('error', error => { children.delete(child); reject(error); });
    child.once('close', (status, signal) => { children.delete(child); resolve({ status, signal, ...output }); });
  });
  child.ended.catch(() => {});
  return child;
}

export function run(command, args, options) {
  return start(command, args, options).ended;
}

/** Like run(), but a failure is an error with the end of what the command said. */
export async function need(command, args, options) {
  const result = await run(command, args, options);

  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${result.signal ?? result.status}:\n${result.stderr.slice(-2000)}`);
  return result;
}

export function isAlive(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '')[0] !== 'Z';
  } catch {
    return false;
  }
}

/** The processes below @pid, as {pid, name}. */
export function descendants(pid) {
  const parents = new Map();

  for (const entry of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${entry}/stat`, 'utf8');
      const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(stat);
      const [state, parent] = rest.split(' ');
      if (state !== 'Z') parents.set(Number(entry), { name, parent: Number(parent) });
    } catch {}
  }
  const found = [];
  const under = new Set([pid]);
  for (let before = -1; before !== found.length;) {
    before = found.length;
    for (const [child, { name, parent }] of parents) {
      if (!under.has(parent) || under.has(child)) continue;
      under.add(child);
      found.push({ pid: child, name });
    }
  }
  return found;
}

/** Polls until @check answers something truthy, and returns that. */
export async function until(check, what, timeout = 30000) {
  const end = Date.now() + timeout;

  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${timeout / 1000} s in vain for ${what}`);
    await sleep(50);
  }
}

// ── Redis ───────────────────────────────────────────────────────────────────

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/**
 * A redis-server of its own on a free port of 127.0.0.1, with a password, nothing on disk that outlives it.
 * {port, password, connection (for bullmq and ioredis), environment (for derushd and derush), client(), stop(), restart()}
 */
export async function startRedis({ password = Math.random().toString(36).slice(2), args = [], detached } = {}) {
  const folder = temporaryFolder('redis');
  const server = { folder, password, clients: [] };
  const launch = () => {
    server.process = start('redis-server', ['--port', String(server.port), '--bind', '127.0.0.1', '--requirepass', password,
      '--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--dir', folder, '--maxmemory-policy', 'noeviction', ...args], { detached });
    return waitForRedis(server);
  };

  for (let attempt = 1; ; attempt++) {
    server.port = await freePort();
    try {
      await launch();
      break;
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
  server.connection = { host: '127.0.0.1', port: server.port, password, maxRetriesPerRequest: null };
  server.environment = { REDIS_HOST: '127.0.0.1', REDIS_PORT: String(server.port), REDIS_PASSWORD: password };
  server.client = () => {
    const client = new Redis(server.connection);
    client.on('error', () => {});
    server.clients.push(client);
    return client;
  };
  server.shutDown = async (signal = 'SIGTERM') => {
    server.process.kill(signal);
    await server.process.ended;
  };
  server.restart = async () => { await server.shutDown(); await launch(); };
  server.launch = launch;
  server.stop = async () => {
    for (const client of server.clients) client.disconnect();
    await server.shutDown();
    removeFolder(folder);
  };
  return server;
}

async function waitForRedis(server) {
  for (const end = Date.now() + 10000; ;) {
    const client = new Redis({ host: '127.0.0.1', port: server.port, password: server.password, lazyConnect: true,
      retryStrategy: null, maxRetriesPerRequest: 0 });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.ping();
      return;
    } catch (error) {
      if (server.process.exitCode !== null || Date.now() > end)
        throw new Error(`redis-server did not start: ${error.message}\n${server.process.output.stdout.slice(-500)}`);
      await sleep(20);
    } finally {
      client.disconnect();
    }
  }
}

// ── derushd ─────────────────────────────────────────────────────────────────

/** Folders and settings of a derushd that touches nothing outside @folder but what is in @roots. */
export function daemonEnvironment(folder, roots = []) {
  const configuration = path.join(folder, 'derush.conf');

  fs.mkdirSync(folder, { recursive: true });
  if (!fs.existsSync(configuration)) fs.writeFileSync(configuration, '[derush]\n');
  return {
    DERUSH_CONFIG: configuration,
    DERUSH_STATE_DIR: path.join(folder, 'state'),
    DERUSH_CACHE: path.join(folder, 'cache'),
    DERUSH_SCRATCH: path.join(folder, 'scratch'),
    DERUSH_OUTPUT_DIR: path.join(folder, 'outputs'),
    DERUSH_ALLOWED_ROOTS: [folder, path.dirname(sampleFilm), ...roots].join(':'),
    DERUSH_HTTP_ADDRESS: 'off',
    DATABASE_URL: '',
  };
}

/**
 * derushd from PATH, started and serving. It adds to the process: {folder, log() (its JSON lines so far), mediaWorkers(),
 * stop() (SIGTERM, waits, answers {status, signal, …})}.
 */
export async function startDaemon(redis, { environment = {}, roots = [], queues = ['video-processing'], folder, wait = true,
  command = 'derushd', args = [], detached } = {}) {
  folder ??= temporaryFolder('daemon');
  const daemon = start(command, args, { detached, environment: { ...daemonEnvironment(folder, roots),
    DERUSH_QUEUES: queues.join(','), ...redis.environment, ...environment } });

  daemon.folder = folder;
  daemon.log = () => daemon.output.stderr.split('\n').flatMap(line => {
    try { return [JSON.parse(line)]; } catch { return []; }
  });
  daemon.mediaWorkers = () => descendants(daemon.pid).filter(child => 'derush-media-worker'.startsWith(child.name));
  daemon.stop = async (signal = 'SIGTERM') => {
    daemon.kill(signal);
    return daemon.ended;
  };
  if (wait) {
    const names = queues.map(queue => `${environment.BULLMQ_PREFIX ?? 'bull'}:${Buffer.from(queue).toString('base64')}`);
    const client = redis.client();
    try {
      await until(async () => {
        if (daemon.exitCode !== null || daemon.signalCode !== null)
          throw new Error(`derushd ended with ${daemon.signalCode ?? daemon.exitCode}:\n${daemon.output.stderr.slice(-2000)}`);
        const blocked = String(await client.client('LIST')).split('\n').filter(line => / cmd=bzpopmin /.test(line))
          .map(line => / name=(\S*)/.exec(line)?.[1] ?? '');
        return names.every(name => blocked.some(other => other === name || other.startsWith(`${name}:w:`)));
      }, 'derushd to serve its queues');
    } finally {
      client.disconnect();
    }
  }
  return daemon;
}

/** A queue and its events; `finished(job)` resolves to the return value or rejects with the failedReason. */
export async function openQueue(redis, name = 'video-processing', prefix = 'bull') {
  const queue = new Queue(name, { connection: redis.connection, prefix });
  // From the first event on: what happens before the first read would otherwise be missed.
  const events = new QueueEvents(name, { connection: redis.connection, prefix, lastEventId: '0-0' });

  for (const side of [queue, events]) side.on('error', () => {});
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
  return {
    queue, events,
    add: (type, data, options) => queue.add(type, data, options),
    finished: (job, timeout = 120000) => job.waitUntilFinished(events, timeout),
    close: () => Promise.all([queue.close(), events.close()]),
  };
}

// ── Media ───────────────────────────────────────────────────────────────────

export async function ffprobe(file, ...args) {
  const { stdout } = await need('ffprobe', ['-v', 'error', '-show_format', '-show_streams', '-of', 'json', ...args, file]);

  return JSON.parse(stdout);
}

export function ffmpeg(...args) {
  return need('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args]);
}

/** A test picture with a tone: H.264 and AAC in MP4. @video, @audio: sources of lavfi; null leaves the stream out. */
export async function makeFilm(file, { seconds = 4, size = '320x180', rate = 25, audio = `sine=f=440:r=48000`, video, options = [] } = {}) {
  const args = [];

  if (video !== null) args.push('-f', 'lavfi', '-i', video ?? `testsrc2=s=${size}:r=${rate}`);
  if (audio !== null) args.push('-f', 'lavfi', '-i', audio);
  args.push('-t', String(seconds));
  if (video !== null) args.push('-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p');
  if (audio !== null) args.push('-c:a', 'aac');
  await ffmpeg(...args, ...options, file);
  return file;
}

/**
 * @seconds of the sample film from @begin on. @copy: without encoding it again, so that it begins with frames that an edit list
 * hides, as cuts made by ffmpeg do.
 */
export async function cutSample(file, seconds, begin = 0, { copy = false } = {}) {
  await ffmpeg('-ss', String(begin), '-i', sampleFilm, '-t', String(seconds),
    ...(copy ? ['-c', 'copy'] : ['-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '20', '-pix_fmt', 'yuv420p', '-c:a', 'aac']),
    '-movflags', '+faststart', file);
  return file;
}

/** The share of the pixels of the first picture of @file that are not nearly black. */
export function litShare(file) {
  const pixels = execFileSync('ffmpeg', ['-v', 'error', '-nostdin', '-i', file, '-frames:v', '1', '-vf', 'scale=160:90',
    '-pix_fmt', 'gray', '-f', 'rawvideo', '-'], { maxBuffer: 1 << 20 });

  return pixels.reduce((sum, value) => sum + (value > 40 ? 1 : 0), 0) / pixels.length;
}

/** Whether the index of an MP4 stands before its media. */
export function isFastStart(file) {
  const descriptor = fs.openSync(file, 'r');
  const header = Buffer.alloc(16);
  const { size } = fs.fstatSync(descriptor);

  try {
    for (let offset = 0; offset < size;) {
      fs.readSync(descriptor, header, 0, 16, offset);
      const type = header.toString('latin1', 4, 8);
      if (type === 'moov') return true;
      if (type === 'mdat') return false;
      const length = header.readUInt32BE(0);
      if (length === 0) return false;
      offset += length === 1 ? Number(header.readBigUInt64BE(8)) : length;
    }
    return false;
  } finally {
    fs.closeSync(descriptor);
  }
}

/** Every file below @folder, relative to it, sorted. */
export function listFiles(folder) {
  if (!fs.existsSync(folder)) return [];
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap(entry => entry.isDirectory()
    ? listFiles(path.join(folder, entry.name)).map(name => `${entry.name}/${name}`) : [entry.name]).sort();
}

/** What jobs have left in @scratch; a slot keeps its folder and a lock while it lives. */
export function workingFiles(scratch) {
  return fs.existsSync(scratch) ? fs.readdirSync(scratch).flatMap(slot => !slot.startsWith('slot-') ? [slot] :
    fs.readdirSync(path.join(scratch, slot)).filter(name => name.startsWith('job')).map(name => path.join(slot, name))) : [];
}

/** The cues of a WebVTT file: [{start, end, payload}], seconds. */
export function readCues(file) {
  const seconds = text => text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);

  return fs.readFileSync(file, 'utf8').split(/\r?\n\r?\n/).flatMap(block => {
    const found = /^(?:[^\n]*\n)?([\d:.]+) --> ([\d:.]+)[^\n]*\n([\s\S]*)$/.exec(block.trim().replaceAll('\r', ''));
    return found ? [{ start: seconds(found[1]), end: seconds(found[2]), payload: found[3].trim() }] : [];
  });
}

// ── Shapes of jobs ──────────────────────────────────────────────────────────

/** The data of a job with paths instead of $FILM, $AUDIO and $OUT. */
export function fillShape(value, film, output) {
  const inside = text => JSON.stringify(text).slice(1, -1);

  return JSON.parse(JSON.stringify(value).replace(/\$FILM|\$AUDIO/g, () => inside(film)).replaceAll('$OUT', () => inside(output)));
}

const kind = value => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);

/** Every member of @expected stands in @actual, of the same kind; the first element of an array speaks for all. */
export function assertMembers(actual, expected, where) {
  assert.equal(kind(actual), kind(expected), `${where} is ${kind(actual)}, not ${kind(expected)}`);
  if (kind(expected) === 'object') {
    for (const [name, value] of Object.entries(expected)) {
      assert.ok(Object.hasOwn(actual, name), `${where}.${name} is missing`);
      assertMembers(actual[name], value, `${where}.${name}`);
    }
  } else if (kind(expected) === 'array' && expected.length > 0) {
    for (const [i, element] of actual.entries()) assertMembers(element, expected[0], `${where}[${i}]`);
  }
}

// ── TAP ─────────────────────────────────────────────────────────────────────

let planned = 0;
let failures = 0;

export function diagnose(text) {
  process.stdout.write(String(text).split('\n').map(line => `# ${line}\n`).join(''));
}

/** Runs @body now; a test that has not ended after @timeout ms fails. */
export async function test(name, body, { timeout = 180000 } = {}) {
  const number = ++planned;
  let timer;

  try {
    await Promise.race([body(), new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not ended after ${timeout / 1000} s`)), timeout);
    })]);
    process.stdout.write(`ok ${number} - ${name}\n`);
  } catch (error) {
    failures++;
    process.stdout.write(`not ok ${number} - ${name}\n`);
    diagnose(error?.stack ?? error);
  } finally {
    clearTimeout(timer);
  }
}

export function hasFailed() {
  return failures > 0;
}

/** The end of a test program: the plan, and the exit status. */
export function finish() {
  process.stdout.write(`1..${planned}\n`, () => process.exit(failures > 0 ? 1 : 0));
}

/** For a test program's `main`: nothing that it throws may look like success. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    failures++;
    process.stdout.write(`Bail out! ${String(error?.message ?? error).split('\n')[0]}\n`);
    diagnose(error?.stack ?? error);
  }
  finish();
}
