// SPDX-License-Identifier: LGPL-2.1-or-later
// What a derushd costs and how fast it answers: idle, asked for its health with a Redis that works and one that hangs, with many
// clients at once, and scraped by Prometheus with many jobs known. Prints one JSON object.
// usage: node service.mjs [--clients 500] [--seconds 60] [--jobs 10000]
import fs from 'node:fs';
import http from 'node:http';
import { parseArgs } from 'node:util';
import { Queue } from 'bullmq';
import { freePort, sleep, startDaemon, startRedis, until } from '../system/lib.mjs';

const { values } = parseArgs({ options: { clients: { type: 'string', default: '500' }, seconds: { type: 'string', default: '60' },
  jobs: { type: 'string', default: '10000' } } });
const queues = ['video-processing', 'ai-processing'];
const redis = await startRedis({ args: ['--appendfsync', 'no', '--appendonly', 'no'] });
const port = await freePort();
const daemon = await startDaemon(redis, { queues, environment: { DERUSH_HTTP_ADDRESS: `127.0.0.1:${port}`, DERUSH_LOG_LEVEL: 'error' } });
const figures = {};

const status = name => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(fs.readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))[1]);
function cpuSeconds() {
  const fields = fs.readFileSync(`/proc/${daemon.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').map(Number);

  return (fields[11] + fields[12]) / 100;
}

const quantile = (list, share) => list.sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * share))];

function ask(pathname, agent) {
  const begin = process.hrtime.bigint();

  return new Promise((resolve, reject) => {
    http.get({ port, path: pathname, agent, timeout: 10000 }, response => {
      let length = 0;
      response.on('data', part => { length += part.length; });
      response.on('end', () => resolve({ status: response.statusCode, length, ms: Number(process.hrtime.bigint() - begin) / 1e6 }));
    }).on('error', reject).on('timeout', function () { this.destroy(new Error('no answer within 10 s')); });
  });
}

async function times(pathname, count) {
  const agent = new http.Agent({ keepAlive: true });
  const answers = [];

  for (let i = 0; i < count; i++) answers.push(await ask(pathname, agent));
  agent.destroy();
  return answers;
}

async function idle() {
  await sleep(15000);
  const before = cpuSeconds();
  await sleep(30000);
  figures.idle_cpu_percent = Number(((cpuSeconds() - before) / 30 * 100).toFixed(3));
  figures.idle_rss_mb = Number((status('VmRSS') / 1024).toFixed(1));
}

async function health() {
  const up = await times('/api/health/workers', 200);
  figures.health_ms_p99 = Number(quantile(up.map(({ ms }) => ms), 0.99).toFixed(2));
  if (up.some(answer => answer.status !== 200)) throw new Error('the health is not well');
}

/** Each client asks, one question after the other on a connection of its own. */
async function load() {
  const paths = ['/api/health/workers', '/api/jobs/queues/status', '/api/jobs/statistics', '/healthz'];
  const end = Date.now() + Number(values.seconds) * 1000;
  const latencies = [];
  let errors = 0;
  const before = cpuSeconds();

  await Promise.all(Array.from({ length: Number(values.clients) }, async (unused, i) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let k = i; Date.now() < end; k++) {
      try {
        const answer = await ask(paths[k % paths.length], agent);
        if (answer.status !== 200) errors++;
        latencies.push(answer.ms);
      } catch {
        errors++;
      }
    }
    agent.destroy();
  }));
  Object.assign(figures, { clients: Number(values.clients), load_s: Number(values.seconds), requests: latencies.length, errors,
    requests_per_s: Math.round(latencies.length / Number(values.seconds)), load_ms_p50: Math.round(quantile(latencies, 0.5)),
    load_ms_p99: Math.round(quantile(latencies, 0.99)), load_cpu_s: Number((cpuSeconds() - before).toFixed(1)), load_rss_mb: Number((status('VmHWM') / 1024).toFixed(1)) });
}

async function scrape() {
  const queue = new Queue(queues[0], { connection: redis.connection });
  const client = redis.client();
  const jobs = Number(values.jobs);

  for (let i = 0; i < jobs; i += 1000)
    await queue.addBulk(Array.from({ length: Math.min(1000, jobs - i) }, () => ({ name: 'SELF_TEST', data: { do: 'ok', durationMs: 0 } })));
  await until(async () => await client.zcard(`bull:${queues[0]}:completed`) >= jobs, 'the jobs', 120000);
  client.disconnect();
  await queue.close();
  const answers = await times('/metrics', 50);
  figures.scrape_jobs = jobs;
  figures.scrape_bytes = answers[0].length;
  figures.scrape_ms_p99 = Number(quantile(answers.map(({ ms }) => ms), 0.99).toFixed(2));
}

/** Redis stops answering, without closing a connection. */
async function hanging() {
  redis.process.kill('SIGSTOP');
  await sleep(3500);
  const answers = await times('/api/health/workers', 50);
  redis.process.kill('SIGCONT');
  figures.health_hanging_ms_p99 = Number(quantile(answers.map(({ ms }) => ms), 0.99).toFixed(2));
  if (answers.some(answer => answer.status !== 503)) throw new Error('the health does not see that Redis hangs');
}

for (const part of [idle, health, load, scrape, hanging]) {
  process.stderr.write(`  ${part.name}\n`);
  await part();
}
await daemon.stop();
await redis.stop();
console.log(JSON.stringify(figures));
process.exit(0);
