// SPDX-License-Identifier: LGPL-2.1-or-later
// How many jobs a derushd runs at once: as many as the settings say, fewer while the machine has no room for them. What the
// machine says of itself is made up here, in a folder that stands in for /proc, but for disks.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, main, openQueue, run, sleep, startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const folder = temporaryFolder('admission');
const long = { do: 'ok', durationMs: 600000 };
const short = { do: 'ok', durationMs: 100 };

// They mostly wait, and have nothing in common but a Redis: all run at once, and are told in their order.
const tests = [];

function later(name, body) {
  const ended = body();

  ended.catch(() => {});
  tests.push({ name, ended });
}

function machine(name) {
  const proc = path.join(folder, name);
  const write = (file, text) => {
    fs.mkdirSync(path.dirname(path.join(proc, file)), { recursive: true });
    // At once, for the daemon may be reading.
    fs.writeFileSync(path.join(proc, `${file}.new`), text);
    fs.renameSync(path.join(proc, `${file}.new`), path.join(proc, file));
  };
  const stalled = (some, full) => `some avg10=${some}.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=${full}.00 avg60=0.00 avg300=0.00 total=1\n`;

  const self = {
    proc,
    memory: (available, total = 8192) => write('meminfo',
      `MemTotal: ${total * 1024} kB\nMemFree: 1024 kB\nMemAvailable: ${available * 1024} kB\n`),
    pressure: (what, some, full = 0) => write(`pressure/${what}`, stalled(some, full)),
  };
  self.memory(6144);
  for (const what of ['cpu', 'memory', 'io']) self.pressure(what, 0);
  return self;
}

async function serve(redis, name, environment, options = {}) {
  const port = await freePort();
  const daemon = await startDaemon(redis, { folder: path.join(folder, `${name}-daemon`), queues: [name],
    environment: { DERUSH_HTTP_ADDRESS: `127.0.0.1:${port}`, DERUSH_SHUTDOWN_TIMEOUT: '0', ...environment }, ...options });
  const queue = await openQueue(redis, name);
  const get = async where => (await fetch(`http://127.0.0.1:${port}${where}`)).text();

  return {
    daemon, ...queue,
    admission: async () => JSON.parse(await get('/api/status')).data.admission,
    health: async () => JSON.parse(await get('/api/health/workers')).data.details.admission,
    metric: async text => Number((await get('/metrics')).split('\n').find(line => line.startsWith(`${text} `))?.slice(text.length + 1)),
    active: () => queue.queue.getActiveCount(),
    warnings: reason => daemon.log().filter(line => line.level === 'warn' && line.reason === reason),
    end: async () => { await queue.close(); await daemon.stop(); },
  };
}

function memory(redis) {
  const fake = machine('little');

  later('no more jobs begin than memory is left for, and those that run go on', async () => {
    fake.memory(1100);
    const bench = await serve(redis, 'little', { DERUSH_PROC_PATH: fake.proc, WORKER_CONCURRENCY: '3' });
    const jobs = [];

    for (let i = 0; i < 3; i++) jobs.push(await bench.add('SELF_TEST', long));
    await until(() => jobs[0].isActive(), 'the first job');
    const { queues: { little }, memoryAvailable } = await bench.admission();
    assert.equal(memoryAvailable, 1100 * 1024 * 1024);
    assert.equal(little.maximum, 3);
    assert.equal(little.reason, 'memory');
    assert.equal(little.allowed, 1);
    // Another look later it is the same, and was told once.
    await sleep(2500);
    assert.equal(await bench.active(), 1);
    assert.equal(bench.warnings('memory').length, 1);
    assert.match(bench.warnings('memory')[0].message, /^The queue little has 1 jobs at once instead of 3: 1\.1\sGiB of memory are left, and a job is expected to take 512/);
    assert.equal(await bench.metric('derush_queue_concurrency{queue="little"}'), 1);
    assert.equal(await bench.metric('derush_queue_concurrency_maximum{queue="little"}'), 3);
    assert.equal(await bench.metric('derush_admission_lowered{queue="little",reason="memory"}'), 1);
    assert.equal(await bench.metric('derush_admission_memory_available_bytes'), 1100 * 1024 * 1024);
    fake.memory(6144);
    await until(async () => await bench.active() === 3, 'all jobs', 10000);
    fake.memory(10);
    await until(async () => (await bench.health()).queues.little.reason === 'memory', 'the next look', 10000);
    assert.equal(await bench.active(), 3, 'nothing is stopped');
    assert.equal(await bench.metric('derush_admission_lowered{queue="little",reason="memory"}'), 1);
    await bench.end();
  });
}

function settling(redis) {
  const fake = machine('settling');

  later('where memory is not plentiful, jobs begin two at a time; those that wait for it can be cancelled and given back', async () => {
    fake.memory(3000);
    const bench = await serve(redis, 'settling', { DERUSH_PROC_PATH: fake.proc, WORKER_CONCURRENCY: '4' });
    const jobs = [];
    const begun = async job => (await bench.queue.getJobLogs(job.id)).logs.map(row => Date.parse(/^(\S+) step /.exec(row)?.[1])).find(time => time);
    const held = async () => (await bench.admission()).held;

    for (let i = 0; i < 4; i++) jobs.push(await bench.add('SELF_TEST', long, { attempts: 1 }));
    await until(async () => await bench.active() === 4 && await held() === 2, 'two that have not begun', 10000);
    await until(async () => await begun(jobs[0]) && await begun(jobs[1]), 'the first two', 4000);
    // One that has not begun is cancelled; the other one begins when it is seen what the first two take.
    const { status } = await run('derush', ['cancel', jobs[2].id, '--queue', 'settling'], { environment: redis.environment });
    assert.equal(status, 0);
    await until(async () => await jobs[2].getState() === 'failed', 'the cancellation', 4000);
    assert.equal(await begun(jobs[2]), undefined);
    const last = await until(() => begun(jobs[3]), 'the last one', 12000);
    assert.ok(last - await begun(jobs[0]) > 4000, `${last - await begun(jobs[0])} ms`);
    // Short ones are not held for long.
    for (const job of [jobs[0], jobs[1], jobs[3]]) await run('derush', ['cancel', job.id, '--queue', 'settling'], { environment: redis.environment });
    const many = await Promise.all(Array.from({ length: 40 }, () => bench.add('SELF_TEST', { do: 'ok', durationMs: 20 })));
    await Promise.all(many.map(job => bench.finished(job, 20000)));
    // And what is held when the daemon ends waits for the next one.
    const after = [];
    for (let i = 0; i < 4; i++) after.push(await bench.add('SELF_TEST', long, { attempts: 1 }));
    await until(async () => await bench.active() === 4 && await held() > 0, 'jobs that have not begun', 10000);
    const ended = await bench.daemon.stop();
    assert.equal(ended.status, 0, ended.stderr.slice(-2000));
    assert.deepEqual(await bench.queue.getJobCounts('active', 'waiting', 'failed'), { active: 0, waiting: 4, failed: 4 });
    await bench.close();
  });
}

function pressure(redis) {
  const fake = machine('pressed');

  later('a machine that waits for memory gets fewer jobs, and as many as before when it does not', async () => {
    const bench = await serve(redis, 'pressed', { DERUSH_PROC_PATH: fake.proc, WORKER_CONCURRENCY: '2' });
    const first = await bench.add('SELF_TEST', long);

    await until(() => first.isActive(), 'the first job');
    fake.pressure('memory', 55, 2);
    await until(async () => (await bench.admission()).queues.pressed.reason === 'memory-pressure', 'the next look', 10000);
    const second = await bench.add('SELF_TEST', short);
    await sleep(1000);
    assert.equal(await second.getState(), 'waiting');
    assert.equal(await first.getState(), 'active');
    assert.equal(await bench.metric('derush_admission_pressure_ratio{resource="memory"}'), 0.55);
    assert.equal(bench.warnings('memory-pressure').length, 1);
    fake.pressure('memory', 1);
    await bench.finished(second, 20000);
    assert.equal(await first.getState(), 'active');
    await bench.end();
  });
}

function scaling(redis) {
  later('places follow the queue, from the least to the most', async () => {
    const bench = await serve(redis, 'growing', { DERUSH_QUEUES: 'growing=1-3', DERUSH_PROC_PATH: machine('growing').proc });
    const allowed = async () => (await bench.admission()).queues.growing.allowed;

    assert.equal(await allowed(), 1);
    for (let i = 0; i < 5; i++) await bench.add('SELF_TEST', long);
    await until(async () => await bench.active() === 3, 'three jobs at once', 20000);
    await sleep(2500);
    assert.equal(await bench.active(), 3);
    assert.equal(await allowed(), 3);
    await bench.end();
  });
}

// A small file system where mounting is allowed; else a floor that is higher than the disk, and lowered for it.
function disk(redis) {
  const small = path.join(folder, 'small');
  fs.mkdirSync(small);
  const mounted = process.getuid() === 0 && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', small]).status === 0;
  const home = path.join(folder, 'full-daemon');
  const settings = path.join(home, 'derush.conf');
  const floor = bytes => {
    fs.mkdirSync(home, { recursive: true });
    fs.writeFileSync(settings, `[derush]\nDERUSH_DISK_FLOOR=${bytes}\n`);
  };
  const fill = () => mounted ? fs.writeFileSync(path.join(small, 'filler'), Buffer.alloc(24 << 20)) : floor(1e18);

  later('a disk below its floor: jobs wait, none fails, and they run when there is room again', async () => {
    try {
      floor(mounted ? 16 << 20 : 0);
      const bench = await serve(redis, 'full', mounted ? { DERUSH_OUTPUT_DIR: small } : {}, { folder: home });
      const running = await bench.add('SELF_TEST', { do: 'ok', durationMs: 6000 });

      await until(() => running.isActive(), 'the job that runs');
      fill();
      if (!mounted) bench.daemon.kill('SIGHUP');
      await until(async () => (await bench.admission()).queues.full.reason === 'disk', 'the next look', 15000);
      const waiting = [await bench.add('SELF_TEST', short, { attempts: 1 }), await bench.add('SELF_TEST', short, { attempts: 1 })];
      await bench.finished(running);
      await sleep(1500);
      for (const job of waiting) assert.equal(await job.getState(), 'waiting');
      const { queues: { full }, disk } = await bench.health();
      assert.equal(full.allowed, 0);
      assert.ok(disk.free < disk.floor, JSON.stringify(disk));
      if (mounted) assert.deepEqual([disk.folder, disk.floor], [small, 16 << 20]);
      assert.equal(bench.warnings('disk').length, 1);
      assert.match(bench.warnings('disk')[0].message, /The queue full has 0 jobs at once instead of 1: .* are free for .* \(DERUSH_DISK_FLOOR\); make room$/);
      assert.equal(await bench.metric('derush_queue_concurrency{queue="full"}'), 0);
      if (mounted) fs.rmSync(path.join(small, 'filler'));
      else { floor(0); bench.daemon.kill('SIGHUP'); }
      for (const job of waiting) await bench.finished(job, 20000);
      assert.deepEqual(await bench.queue.getJobCounts('failed', 'active', 'waiting'), { failed: 0, active: 0, waiting: 0 });
      await until(() => bench.daemon.log().some(({ message }) => message === 'The queue full has 1 jobs at once again'), 'the log', 10000);
      await bench.end();
    } finally {
      if (mounted) await run('umount', [small]);
    }
  });
}

await main(async () => {
  const redis = await startRedis();

  for (const add of [memory, settling, pressure, scaling, disk]) add(redis);
  for (const { name, ended } of tests) await test(name, () => ended);
  await redis.stop();
});
