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

  await queue.close();
  await cluster.stop();
  await redis.stop?.();
});
