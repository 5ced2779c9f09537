// SPDX-License-Identifier: LGPL-2.1-or-later
// Jobs without work: derushd (SELF_TEST with durationMs 0) and BullMQ's own Worker take turns at the same queue of the same
// Redis. Jobs per second from the first 'active' to the last 'completed' by the times that Redis keeps; CPU seconds of the
// worker's process tree. Prints the pairs as one JSON array.
// usage: node noop.mjs [--jobs 10000] [--concurrency 1] [--rounds 3]
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { Queue } from 'bullmq';
import { sourceDirectory, start, startDaemon, startRedis, until } from '../system/lib.mjs';

const { values } = parseArgs({ options: { jobs: { type: 'string', default: '10000' }, concurrency: { type: 'string', default: '1' },
  rounds: { type: 'string', default: '3' } } });
const jobs = Number(values.jobs);
const name = 'video-processing';
const redis = await startRedis({ args: ['--appendfsync', 'no', '--appendonly', 'no'] });
const client = redis.client();

const peer = `
const { Worker } = await import('bullmq');
const worker = new Worker('${name}', async () => {}, { connection: ${JSON.stringify(redis.connection)}, concurrency: ${values.concurrency} });
worker.on('error', () => {});
process.on('SIGTERM', async () => { await worker.close(); process.exit(0); });
`;

// Ticks of 10 ms: user and system, its own and of the children it has waited for.
function cpuSeconds(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').map(Number);

  return (fields[11] + fields[12] + fields[13] + fields[14]) / 100;
}

const maxRss = pid => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

async function measure(side) {
  await client.flushall();
  const queue = new Queue(name, { connection: redis.connection });
  for (let i = 0; i < jobs; i += 1000)
    await queue.addBulk(Array.from({ length: Math.min(1000, jobs - i) }, () => ({ name: 'SELF_TEST', data: { do: 'ok', durationMs: 0 } })));
  const begin = Date.now();
  const worker = side === 'ours'
    ? await startDaemon(redis, { wait: false, environment: { WORKER_VIDEO_PROCESSING_CONCURRENCY: values.concurrency, DERUSH_LOG_LEVEL: 'error' } })
    : start(process.execPath, ['--input-type=module', '-e', peer], { cwd: sourceDirectory });
  await until(async () => {
    if (worker.exitCode !== null) throw new Error(`${side} ended: ${worker.output.stderr.slice(-1000)}`);
    return await client.zcard(`bull:${name}:completed`) >= jobs;
  }, `${jobs} jobs of ${side}`, 300000);
  const wall = (Date.now() - begin) / 1000;
  const figures = { cpu_s: cpuSeconds(worker.pid), wall_s: wall, max_rss_kb: maxRss(worker.pid) };
  const times = (await client.zrange(`bull:${name}:completed`, 0, -1)).map(id => client.hget(`bull:${name}:${id}`, 'processedOn'));
  const first = Math.min(...(await Promise.all(times)).map(Number));
  const last = Number((await client.zrevrange(`bull:${name}:completed`, 0, 0, 'WITHSCORES'))[1]);
  worker.kill('SIGTERM');
  await worker.ended;
  await queue.close();
  return { ...figures, jobs_per_s: Math.round(jobs / Math.max(0.001, (last - first) / 1000)) };
}

const pairs = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const pair = {};
  for (const side of round % 2 === 0 ? ['peer', 'ours'] : ['ours', 'peer']) pair[side] = await measure(side);
  pair.ratio = Number((pair.ours.cpu_s / Math.max(pair.peer.cpu_s, 0.01)).toFixed(3));
  process.stderr.write(`  pair ${round + 1}: ours ${pair.ours.jobs_per_s} jobs/s, peer ${pair.peer.jobs_per_s} jobs/s\n`);
  pairs.push(pair);
}
await redis.stop();
console.log(JSON.stringify(pairs));
process.exit(0);
