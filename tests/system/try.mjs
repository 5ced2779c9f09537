// SPDX-License-Identifier: LGPL-2.1-or-later
// What `./dev try [VIDEO] [--output DIR]` runs: a producer as a Node backend would write it, with a Redis and a derushd of
// its own, that has one workflow done: the film smaller, thumbnails, highlights, shorts and a transcription. Shows a bar for
// each step and ends with a table of the files made. Leaves nothing running, whatever happens.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { listFiles, onInterrupt, openQueue, removeFolder, sampleFilm, sleep, sourceDirectory, startDaemon, startRedis, temporaryFolder } from './lib.mjs';

const workflow = JSON.parse(fs.readFileSync(path.join(sourceDirectory, 'pipelines/workflows/video_transformation_advanced.json'), 'utf8'));
const steps = new Map();   // "JOB STEP" → {job, step, fraction, state}
const terminal = process.stderr.isTTY && process.env.TERM !== 'dumb';
let drawn = 0, lastDrawn = 0;

function bar(fraction, width = 32) {
  const full = Math.round(fraction * width);

  return '█'.repeat(full) + '░'.repeat(width - full);
}

function draw(force) {
  if (!terminal || (!force && Date.now() - lastDrawn < 80)) return;
  const order = [...new Set([...steps.values()].map(({ job }) => job))];
  const rows = [...steps.values()].sort((a, b) => order.indexOf(a.job) - order.indexOf(b.job)).slice(-(Math.max(2, process.stderr.rows || 24) - 1));
  const narrow = (process.stderr.columns || 80) < 80;
  const lines = rows.map(({ job, step, fraction, state }) =>
    `\x1b[2K${job.padEnd(21)} ${step.padEnd(11)} ${narrow ? '' : `${bar(fraction)} `}${String(Math.round(fraction * 100)).padStart(3)} % ${state}`);

  process.stderr.write((drawn ? `\x1b[${drawn}A` : '') + lines.join('\n') + '\n');
  drawn = lines.length;
  lastDrawn = Date.now();
}

function show(job, step, fraction, state = '') {
  const key = `${job} ${step}`;
  const row = steps.get(key) ?? { job, step, fraction: -1, state: '', quarter: 0 };
  const quarter = Math.floor(fraction * 4);

  if (!steps.has(key)) {
    for (const other of steps.values())
      if (other.job === job && other.fraction < 1) { other.fraction = 1; report(other); }
    steps.set(key, row);
  }
  row.fraction = Math.max(row.fraction, Math.min(1, fraction));
  row.state = state;
  if (quarter > row.quarter) {
    row.quarter = quarter;
    report(row);
  }
  draw();
}

function report({ job, step, fraction }) {
  if (!terminal) process.stderr.write(`${job} ${step} ${Math.round(fraction * 100)} %\n`);
}

function end(job, state) {
  const rows = [...steps.values()].filter(row => row.job === job);
  const last = rows.at(-1);

  if (last) {
    if (state !== '') {
      last.state = state;
      if (!terminal) process.stderr.write(`${job} ${last.step} ${state}\n`);
    } else if (last.fraction < 1) {
      last.fraction = 1;
      report(last);
    }
  }
  draw(true);
}

// A job's progress is a number of percent; its log says which step began and which part of the job it is.
const begun = new Map();   // type → {step, from, to}

async function onProgress(queue, jobId, type, percent) {
  const { logs } = await queue.getJobLogs(jobId, -20, -1);

  for (const row of logs) {
    const found = /step (\S+), (\d+) to (\d+) %/.exec(row);
    if (!found) continue;
    const [, step, from, to] = found;
    if (!steps.has(`${type} ${step}`)) show(type, step, 0);
    begun.set(type, { step, from: Number(from), to: Number(to) });
  }
  const { step, from, to } = begun.get(type) ?? { step: 'job', from: 0, to: 100 };
  show(type, step, to > from ? (percent - from) / (to - from) : 1);
}

function humanSize(bytes) {
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (bytes < 1000 || unit === 'GB') return `${unit === 'B' ? bytes : bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10);

  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, '0')}.${tenths % 10}`;
}

// What is said, and the beginning of the subtitles that were made of it.
function printTranscript({ text, language, engine, warnings, files }) {
  if (!text) {
    console.log(`\nNothing is said: ${warnings.join('; ')}`);
    return;
  }
  const blocks = fs.readFileSync(files.srt, 'utf8').trim().split('\n\n');

  console.log(`\nWhat is said (${language}, ${engine}):`);
  console.log((text.match(/.{1,100}(?: |$)/g) ?? [text]).map(line => `  ${line.trim()}`).join('\n'));
  console.log(`\n${files.srt}:`);
  console.log(blocks.slice(0, 3).join('\n\n').replace(/^(?=.)/gm, '  ') + (blocks.length > 3 ? '\n\n  …' : ''));
}

function printResults(results) {
  const highlights = results.HIGHLIGHT_DETECTION?.highlights;

  if (Object.keys(results).length === 0) return;
  console.log(`\n${'role'.padEnd(12)} ${'size'.padStart(10)}  path`);
  for (const { outputs } of Object.values(results))
    for (const { role, size, path: file } of outputs ?? [])
      console.log(`${role.padEnd(12)} ${humanSize(size).padStart(10)}  ${file}`);
  if (results.TRANSCRIPTION) printTranscript(results.TRANSCRIPTION);
  if (!highlights) return;
  console.log(highlights.length > 0 ? '\nThe best of it:' : '\nNo highlights found.');
  for (const { startTime, endTime, type, confidence, description } of highlights)
    console.log(`  ${clock(startTime)} – ${clock(endTime)}  ${type} ${confidence.toFixed(2)}  ${description}`);
}

function usage(message) {
  process.stderr.write(`${message}\nusage: ./dev try [VIDEO] [--output DIR]\n`);
  process.exit(2);
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true,
      options: { output: { type: 'string', short: 'o' } } });
    if (positionals.length > 1) usage('one VIDEO, please');
    return { film: path.resolve(positionals[0] ?? sampleFilm), output: values.output };
  } catch (error) {
    return usage(error.message);
  }
}

const executionId = 'try';
const { film, output: wanted } = readArguments();
const started = { redis: null, daemon: null, queue: null, models: null };
let output, madeOutput = false, ending = null;

// The order matters: the daemon says goodbye to a Redis that is still there.
function stopAll() {
  ending ??= (async () => {
    await started.queue?.close().catch(() => {});
    await started.models?.close().catch(() => {});
    if (started.daemon) {
      const stopped = started.daemon.stop('SIGTERM');
      await Promise.race([stopped, sleep(10000)]);
      removeFolder(started.daemon.folder);
    }
    await started.redis?.stop();
    if (madeOutput && listFiles(output).length === 0) fs.rmSync(output, { recursive: true, force: true });
  })();
  return ending;
}

onInterrupt(async status => {
  if (drawn) process.stderr.write('\n');
  process.stderr.write('stopping\n');
  await stopAll().catch(() => {});
  process.exit(status);
});

async function main() {
  try {
    fs.accessSync(film, fs.constants.R_OK);
  } catch {
    throw new Error(`cannot read ${film}`);
  }
  if (wanted) {
    output = path.resolve(wanted);
    madeOutput = !fs.existsSync(output);
    fs.mkdirSync(output, { recursive: true });
  } else {
    output = fs.mkdtempSync(path.join(os.tmpdir(), 'derush-try-'));
    madeOutput = true;
  }
  started.redis = await startRedis({ detached: true });
  started.daemon = await startDaemon(started.redis, { folder: temporaryFolder('try-daemon'), roots: [path.dirname(film), output],
    queues: ['video-processing', 'ai-processing'], detached: true, environment: { DERUSH_SHUTDOWN_TIMEOUT: '1' } });
  started.queue = await openQueue(started.redis);
  started.models = await openQueue(started.redis, 'ai-processing');

  // Each step of a workflow is a job of its own, called after the workflow's and the step.
  const types = new Map(workflow.steps.map(({ id, jobType }) => [`${executionId}-${id}`, jobType]));

  for (const { queue, events } of [started.queue, started.models]) {
    events.on('progress', ({ jobId, data }) => {
      if (types.has(jobId)) onProgress(queue, jobId, types.get(jobId), data).catch(() => {});
    });
    events.on('completed', ({ jobId }) => {
      const type = types.get(jobId);
      if (type) onProgress(queue, jobId, type, 100).catch(() => {}).then(() => end(type, ''));
    });
    events.on('failed', ({ jobId }) => {
      if (types.has(jobId)) end(types.get(jobId), 'failed');
    });
  }
  started.daemon.ended.then(({ status, signal, stderr }) => {
    if (!ending) {
      process.stderr.write(`derushd ended with ${signal ?? status}\n${stderr.slice(-2000)}\n`);
      onDaemonLost();
    }
  });
  let onDaemonLost;
  const lost = new Promise((_, reject) => { onDaemonLost = () => reject(new Error('derushd is gone')); });
  lost.catch(() => {});

  process.stderr.write(`${film}\n`);
  const job = await started.queue.add('WORKFLOW_EXECUTION', { templateId: workflow.id, executionId,
    input: { videoId: path.parse(film).name, videoUrl: film, outputDir: output } });
  let value, failure;
  try {
    value = await Promise.race([started.queue.finished(job, 24 * 3600 * 1000), lost]);
  } catch (error) {
    failure = error.message;
  }

  const results = {};
  for (const [jobId, type] of types) {
    const { queue } = type === 'TRANSCRIPTION' ? started.models : started.queue;
    const step = failure === 'derushd is gone' ? null : await queue.getJob(jobId);
    if (!step?.returnvalue) continue;
    await onProgress(queue, jobId, type, 100).catch(() => {});
    end(type, '');
    results[type] = step.returnvalue;
  }
  const skipped = (value?.steps ?? []).filter(({ status }) => status !== 'COMPLETED');
  for (const { jobType } of skipped) show(jobType, '', 0, 'skipped, see below');
  draw(true);
  printResults(results);
  for (const { jobType, error } of skipped) console.log(`\nSkipped ${jobType}: ${error}`);
  if (failure) process.stderr.write(`\n${failure}\n`);
  return failure ? 1 : 0;
}

let status = 1;
try {
  status = await main();
} catch (error) {
  process.stderr.write(`dev try: ${error.message}\n`);
}
await stopAll().catch(() => {});
process.exit(status);
