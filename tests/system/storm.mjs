// SPDX-License-Identifier: LGPL-2.1-or-later
// Jobs over three daemons that are killed at random, while PostgreSQL is away for a time. Who checks asks files, rows and Redis,
// never a log of ours: each job was done exactly once, and nothing is left of what was killed.
// usage: node storm.mjs [--jobs 60] [--daemons 3] [--kill-every 1200] [--outage 6]      ms, s
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { queryPostgres, startPostgres } from './databases.mjs';
import { diagnose, listFiles, main, makeFilm, openQueue, sleep, startDaemon, startRedis, temporaryFolder, test, until, workingFiles }
  from './lib.mjs';

const { values } = parseArgs({ options: { jobs: { type: 'string', default: '60' }, daemons: { type: 'string', default: '3' },
  'kill-every': { type: 'string', default: '1200' }, outage: { type: 'string', default: '6' } } });
const count = Number(values.jobs);
const folder = temporaryFolder('storm');
const film = path.join(folder, 'film.mp4');
const outputs = path.join(folder, 'outputs');
const scratch = path.join(folder, 'scratch');
const figures = { jobs: count, daemons: Number(values.daemons), kills: 0, outage_s: Number(values.outage) };

/** A daemon that comes back whenever it is killed: with a state of its own, as one machine's daemons need, the rest shared. */
async function keep(redis, database, number) {
  const own = path.join(folder, `daemon-${number}`);
  const environment = { DATABASE_URL: database.url, DERUSH_OUTPUT_DIR: outputs, DERUSH_SCRATCH: scratch, WORKER_LOCK_DURATION: '4000', WORKER_STALLED_INTERVAL: '3000',
    WORKER_MAX_STALLED_COUNT: '20', DERUSH_LOG_LEVEL: 'error' };
  const start = (wait = false) => startDaemon(redis, { folder: own, roots: [folder], environment, wait });
  const kept = { daemon: await start(), start };

  kept.kill = async () => {
    kept.daemon.kill('SIGKILL');
    await kept.daemon.ended;
    kept.daemon = await start();
  };
  return kept;
}

async function storm(kept, database, ended) {
  const outage = (async () => {
    await sleep(3000);
    await database.kill();
    await sleep(figures.outage_s * 1000);
    await database.start();
  })();

  while (!await ended()) {
    await sleep(Number(values['kill-every']) * (0.5 + Math.random()));
    await kept[Math.floor(Math.random() * kept.length)].kill();
    figures.kills++;
  }
  await outage;
}

/** The end of a JPEG: a file that was cut has none. */
const isWhole = file => fs.readFileSync(file).subarray(-2).equals(Buffer.from([0xff, 0xd9]));

await main(async () => {
  await makeFilm(film, { seconds: 1 });
  const redis = await startRedis();
  const database = await startPostgres();
  const jobs = await openQueue(redis);
  const kept = [];

  for (let number = 0; number < figures.daemons; number++) kept.push(await keep(redis, database, number));
  try {
    const completed = new Map();

    jobs.events.on('completed', ({ jobId }) => completed.set(jobId, (completed.get(jobId) ?? 0) + 1));
    await jobs.queue.addBulk(Array.from({ length: count }, (unused, i) => ({ name: 'THUMBNAIL_GENERATION',
      data: { videoId: `video-${i}`, videoUrl: film, count: 1, mode: 'positions', positions: [0.5], storyboard: false },
      opts: { attempts: 1, jobId: `job-${i}` } })));
    const begin = Date.now();

    await test(`${count} jobs end though daemons are killed and PostgreSQL goes away`, async () => {
      await storm(kept, database, async () => {
        const counts = await jobs.queue.getJobCounts('completed', 'failed');
        return counts.completed + counts.failed >= count;
      });
      await until(async () => (await jobs.queue.getJobCounts('completed')).completed === count, 'all jobs to be completed', 60000);
      figures.seconds = Math.round((Date.now() - begin) / 1000);
      assert.ok(figures.kills > 0);
    }, { timeout: 1800000 });

    await test('Redis has each job completed, once, and no lock or other job is left', async () => {
      assert.deepEqual(await jobs.queue.getJobCounts(), { active: 0, completed: count, delayed: 0, failed: 0, prioritized: 0,
        waiting: 0, 'waiting-children': 0 });
      await until(() => completed.size === count, 'all events');
      assert.deepEqual([...completed].filter(([, times]) => times !== 1), []);
      const client = redis.client();
      assert.deepEqual(await client.keys('bull:*:lock'), []);
      client.disconnect();
    });

    await test('each job has its one file, whole, where the return value says', async () => {
      for (const job of await jobs.queue.getJobs(['completed'], 0, count)) {
        const [{ filePath }] = job.returnvalue.thumbnails;
        assert.deepEqual(listFiles(path.dirname(filePath)), [path.basename(filePath)], job.id);
        assert.equal(path.basename(path.dirname(filePath)), job.data.videoId);
        assert.ok(isWhole(filePath), filePath);
      }
      assert.equal(fs.readdirSync(outputs).length, count);
    });

    await test('PostgreSQL has each job completed, once, though it was away', async () => {
      const rows = await until(async () => {
        const found = await queryPostgres(database, 'SELECT "videoId", status, count(*) FROM jobs GROUP BY 1, 2');
        return found.length === count && found.every(([, status]) => status === 'COMPLETED') && found;
      }, 'the rows', 30000).catch(async () => queryPostgres(database, 'SELECT status, count(*) FROM jobs GROUP BY 1'));
      assert.equal(rows.length, count, JSON.stringify(rows));
      assert.deepEqual(rows.filter(([, , times]) => times !== '1'), []);
      const thumbnails = await queryPostgres(database, 'SELECT count(*), count(DISTINCT "filePath") FROM thumbnails');
      assert.deepEqual(thumbnails, [[String(count), String(count)]]);
    });

    await test('the daemons end in order, and the next one that starts removes what the killed ones have left', async () => {
      for (const { daemon } of kept) assert.equal((await daemon.stop()).status, 0, daemon.output.stderr.slice(-500));
      const last = await kept[0].start(true);
      await until(() => workingFiles(scratch).length === 0, 'nothing to be left in the scratch');
      assert.equal((await last.stop()).status, 0);
    });
    diagnose(JSON.stringify(figures));
  } finally {
    for (const { daemon } of kept) daemon.kill('SIGKILL');
    await jobs.close();
    await database.stop();
    await redis.stop();
  }
});
