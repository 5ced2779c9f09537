// SPDX-License-Identifier: LGPL-2.1-or-later
// Rows of jobs, whatever happens to PostgreSQL and to derushd: each is there exactly once in the end.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { queryPostgres, startPostgres } from './databases.mjs';
import { listFiles, main, makeFilm, openQueue, startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const folder = temporaryFolder('store');
const film = path.join(folder, 'film.mp4');

const spooled = daemon => listFiles(path.join(daemon.folder, 'state', 'spool')).filter(name => name.endsWith('.jsonl'))
  .map(name => fs.readFileSync(path.join(daemon.folder, 'state', 'spool', name), 'utf8')).join('');

/** Every job of @jobs has one row that says so, and @thumbnails rows in all of what they made. */
async function assertRows(cluster, jobs, thumbnails) {
  const rows = await queryPostgres(cluster, `select "id", "status" from jobs`);

  assert.deepEqual(rows.map(([id, status]) => `${id} ${status}`).sort(),
    jobs.map(({ job, status }) => `video-processing:${job.id} ${status}`).sort());
  assert.equal((await queryPostgres(cluster, 'select "filePath" from thumbnails')).length, thumbnails);
}

main(async () => {
  const redis = await startRedis();
  const queue = await openQueue(redis);
  const cluster = await startPostgres();
  const environment = { DATABASE_URL: cluster.url };
  const jobs = [];

  await makeFilm(film, { seconds: 2 });

  /** Adds some that complete at once, one that makes files, and one that fails. */
  async function addSome(n) {
    const added = [];

    for (let i = 0; i < n; i++)
      added.push({ job: await queue.add('SELF_TEST', { do: 'ok', durationMs: 20 }), status: 'COMPLETED' });
    added.push({ job: await queue.add('THUMBNAIL_GENERATION', { videoId: 'v', videoUrl: film, count: 2 }), status: 'COMPLETED' });
    added.push({ job: await queue.add('SELF_TEST', { do: 'fail', durationMs: 20 }), status: 'FAILED' });
    jobs.push(...added);
    return Promise.allSettled(added.map(({ job }) => queue.finished(job)));
  }

  await test('jobs end while PostgreSQL is away, and their rows are there when it is back', async () => {
    const daemon = await startDaemon(redis, { environment, roots: [folder] });

    await addSome(5);
    const during = addSome(20);
    await cluster.kill();
    await during;
    await until(() => spooled(daemon).includes(`video-processing:${jobs.at(-1).job.id}`), 'rows on disk');
    assert.equal(daemon.exitCode, null);
    await cluster.start();
    await addSome(3);
    await until(async () => (await queryPostgres(cluster, `select 1 from jobs where "status" in ('COMPLETED', 'FAILED')`)).length === jobs.length, 'all rows');
    await assertRows(cluster, jobs, 6);
    await until(() => spooled(daemon) === '', 'an empty spool');
    await daemon.stop();
  });

  await test('derushd killed with rows on disk writes them when it starts again', async () => {
    const daemon = await startDaemon(redis, { environment, roots: [folder] });

    await addSome(2);
    await cluster.kill();
    await addSome(10);
    await until(() => spooled(daemon).includes(`video-processing:${jobs.at(-1).job.id}`), 'rows on disk');
    await daemon.stop('SIGKILL');
    assert.match(spooled(daemon), /^\{.*\}\n$/s);
    /* As it is when the power fails in the middle of a line. */
    fs.appendFileSync(path.join(daemon.folder, 'state', 'spool', listFiles(path.join(daemon.folder, 'state', 'spool')).find(name => name.endsWith('.jsonl'))), '{"version":1,"tab');
    const again = await startDaemon(redis, { environment, roots: [folder], folder: daemon.folder });
    await cluster.start();
    await until(async () => (await queryPostgres(cluster, `select 1 from jobs where "status" in ('COMPLETED', 'FAILED')`)).length === jobs.length, 'all rows');
    await assertRows(cluster, jobs, 10);
    await until(() => spooled(again) === '', 'an empty spool');
    assert.ok(again.log().some(({ message }) => /changes of jobs have waited in the spool/.test(message)));
    await again.stop();
  });

  await test('rows that are wrong or missing are mended from Redis at the start, and others stay', async () => {
    const ids = jobs.map(({ job }) => `video-processing:${job.id}`);
    const thumbnails = jobs.find(({ job }) => job.name === 'THUMBNAIL_GENERATION').job.id;
    const failed = jobs.find(({ status }) => status === 'FAILED').job.id;
    const before = await queryPostgres(cluster, 'select * from thumbnails order by id');

    await queryPostgres(cluster, `update jobs set "status" = 'PROCESSING', "output" = null, "progress" = 40 where "id" in ('${ids[0]}', '${ids[1]}')`);
    await queryPostgres(cluster, `update jobs set "status" = 'DELAYED', "error" = null where "id" = 'video-processing:${failed}'`);
    await queryPostgres(cluster, `delete from jobs where "id" in ('video-processing:${thumbnails}', '${ids[2]}')`);
    await queryPostgres(cluster, `delete from thumbnails where "jobId" = 'video-processing:${thumbnails}'`);
    for (const id of ['video-processing:gone', 'another-queue:1', 'of-the-backend'])
      await queryPostgres(cluster, `insert into jobs ("id", "type", "status", "createdAt", "updatedAt") values ('${id}', 'VIDEO_PROCESSING', 'PROCESSING', now(), now())`);
    const kept = await queryPostgres(cluster, `select "updatedAt" from jobs where "id" = '${ids[4]}'`);
    const waiting = await queue.add('SELF_TEST', { do: 'ok', durationMs: 20 }, { delay: 3600000 });
    const quick = await queue.add('SELF_TEST', { do: 'ok', durationMs: 0 });
    await queryPostgres(cluster, `insert into jobs ("id", "type", "status", "createdAt", "updatedAt") values ('video-processing:${waiting.id}', 'SELF_TEST', 'DELAYED', now(), now())`);

    const daemon = await startDaemon(redis, { environment, roots: [folder] });
    await queue.finished(quick);
    await until(() => daemon.log().some(({ message }) => /^6 rows were mended/.test(message)), 'mended rows', 15000).catch(error => { throw new Error(error.message + daemon.log().map(({ message }) => message).join('; ')); });
    await until(async () => (await queryPostgres(cluster, `select 1 from jobs where "status" in ('PROCESSING', 'DELAYED')`)).length === 3, 'rows in the database');
    const status = Object.fromEntries(await queryPostgres(cluster, 'select "id", "status" from jobs'));
    assert.equal(status['video-processing:gone'], 'FAILED');
    assert.equal(status['another-queue:1'], 'PROCESSING');
    assert.equal(status['of-the-backend'], 'PROCESSING');
    assert.equal(status[`video-processing:${waiting.id}`], 'DELAYED');
    assert.equal(status[`video-processing:${quick.id}`], undefined);
    for (const { job, status: wanted } of jobs) assert.equal(status[`video-processing:${job.id}`], wanted, job.id);
    assert.deepEqual((await queryPostgres(cluster, 'select "filePath", "width", "videoId" from thumbnails order by id')).length, before.length);
    const [[output, ended, duration]] = await queryPostgres(cluster, `select "output"->>'success', extract(epoch from "completedAt") * 1000, "duration" from jobs where "id" = '${ids[0]}'`);
    const first = await queue.queue.getJob(jobs[0].job.id);
    assert.deepEqual([output, Number(ended), Number(duration)], ['true', first.finishedOn, first.finishedOn - first.processedOn]);
    assert.match((await queryPostgres(cluster, `select "error" from jobs where "id" = 'video-processing:${failed}'`))[0][0], /./);
    assert.deepEqual(await queryPostgres(cluster, `select "updatedAt" from jobs where "id" = '${ids[4]}'`), kept);
    await daemon.stop();
  });

  await queue.close();
  await cluster.stop();
  await redis.stop?.();
});
