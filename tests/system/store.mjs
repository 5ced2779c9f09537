// SPDX-License-Identifier: LGPL-2.1-or-later
// Rows of jobs, whatever happens to PostgreSQL and to derushd: each is there exactly once in the end.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ask } from './api.mjs';
import { queryPostgres, startPostgres } from './databases.mjs';
import { daemonEnvironment, freePort, listFiles, main, makeFilm, need, openQueue, run, sourceDirectory, startDaemon, startRedis, temporaryFolder, test, until }
  from './lib.mjs';

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
    await until(() => daemon.log().some(({ message }) => /^6 rows were mended/.test(message)), 'mended rows');
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

  /** A daemon that also answers over HTTP, at its `base`; `derush(…)` is the command with its settings. */
  async function startServing(own = {}) {
    const port = await freePort();
    const address = { DERUSH_HTTP_ADDRESS: `127.0.0.1:${port}` };
    const daemon = await startDaemon(redis, { environment: { ...environment, ...address, ...own }, roots: [folder] });

    daemon.base = `http://127.0.0.1:${port}`;
    daemon.remove = where => ask(daemon.base, where, { method: 'DELETE' });
    daemon.derush = (...args) => run('derush', args, { environment: { ...daemonEnvironment(daemon.folder), ...address } });
    return daemon;
  }
  const makeThumbnails = async (videoId, userId) => {
    const out = path.join(folder, 'out', videoId);

    fs.mkdirSync(out, { recursive: true });
    const job = await queue.add('THUMBNAIL_GENERATION', { videoId, userId, videoUrl: film, outputDir: out, count: 2 });
    const value = await queue.finished(job);
    return { id: `video-processing:${job.id}`, job, value, files: value.outputs.map(output => output.path) };
  };
  const there = files => files.map(file => fs.existsSync(file));

  await test('a video or a user is removed with all that there is of it, and nothing else is', async () => {
    const daemon = await startServing();
    const [first, second, other] = [await makeThumbnails('gone1', 'ada'), await makeThumbnails('gone2', 'ada'), await makeThumbnails('stays', 'bob')];
    const analysis = first.value.analysisPath;
    const rows = where => queryPostgres(cluster, `select 1 from ${where}`).then(found => found.length);

    assert.ok(fs.existsSync(analysis));
    const changed = first.files[0];
    fs.appendFileSync(changed, 'mine');
    const dry = await daemon.remove('/api/videos/gone1?dryRun=true');
    assert.equal(dry.status, 200);
    assert.deepEqual(dry.data.files, first.files.slice(1));
    assert.deepEqual([dry.data.dryRun, dry.data.complete, dry.data.jobs, dry.data.rows, dry.data.redisJobs, dry.data.analyses], [true, true, 1, 1, 1, 1]);
    assert.deepEqual(there([...first.files, analysis]), first.files.map(() => true).concat(true));
    assert.equal(await rows(`jobs where "videoId" = 'gone1'`), 1);

    const waiting = await queue.add('THUMBNAIL_GENERATION', { videoId: 'gone1', videoUrl: film }, { delay: 3600000 });
    const refused = await daemon.remove('/api/videos/gone1');
    assert.equal(refused.status, 409);
    assert.match(refused.error, new RegExp(`video-processing:${waiting.id}`));
    assert.equal(await rows(`jobs where "videoId" = 'gone1'`), 1);
    await waiting.remove();

    const done = await daemon.remove('/api/videos/gone1');
    assert.equal(done.status, 200);
    assert.deepEqual(done.data.kept.map(kept => kept.path), [changed]);
    assert.deepEqual(there([...first.files, analysis, film]), [true, ...first.files.slice(1).map(() => false), false, true]);
    assert.equal(await rows(`jobs where "videoId" = 'gone1'`), 0);
    assert.equal(await rows(`thumbnails where "videoId" = 'gone1'`), 0);
    assert.equal(await queue.queue.getJob(first.job.id), undefined);
    assert.deepEqual(there([...second.files, ...other.files]), [...second.files, ...other.files].map(() => true));
    assert.ok(await queue.queue.getJob(other.job.id));

    const said = await daemon.derush('purge', '--user', 'ada', '--dry-run');
    assert.equal(said.status, 0, said.stderr);
    assert.match(said.stdout, new RegExp(`^would remove ${second.files[0]}$`, 'm'));
    assert.deepEqual(there(second.files), second.files.map(() => true));
    const purged = await daemon.derush('purge', '--user', 'ada', '--json');
    assert.equal(purged.status, 0, purged.stderr);
    assert.deepEqual(JSON.parse(purged.stdout).files, second.files);
    for (const args of [[], ['--user', 'a', '--video', 'b'], ['--video', ''], ['--video', 'a', 'b']])
      assert.equal((await daemon.derush('purge', ...args)).status, 2, args.join(' '));
    assert.deepEqual(there(second.files), second.files.map(() => false));
    assert.equal(await rows(`jobs where "userId" = 'ada'`), 0);
    assert.equal(await queue.queue.getJob(second.job.id), undefined);
    assert.deepEqual(there(other.files), other.files.map(() => true));
    assert.equal(await rows(`thumbnails where "videoId" = 'stays'`), other.value.thumbnails.length);
    const nothing = await daemon.remove('/api/videos/gone1');
    assert.deepEqual([nothing.status, nothing.data.jobs, nothing.data.files.length], [200, 0, 0]);
    await daemon.stop();
  });

  await test('files, analyses and rows beyond their quota or time go, but none that is in use or was changed', async () => {
    const daemon = await startServing();
    const [oldest, changed, used, newest] = [await makeThumbnails('q1'), await makeThumbnails('q2'), await makeThumbnails('q3'), await makeThumbnails('q4')];
    const age = async ({ id, files }, hours) => {
      await queryPostgres(cluster, `update jobs set "completedAt" = "completedAt" - interval '${hours} hours' where "id" = '${id}'`);
      for (const file of files) fs.utimesSync(file, new Date(), Date.now() / 1000 - hours * 3600);
    };
    const size = newest.value.outputs.reduce((sum, output) => sum + output.size, 0);
    const cache = path.join(daemon.folder, 'cache', 'analysis');
    const real = listFiles(cache).reduce((sum, name) => sum + fs.statSync(path.join(cache, name)).size, 0);
    const analyses = ['a', 'b', 'c'].map(letter => path.join(cache, `${letter.repeat(64)}.derush`));

    await daemon.stop();
    await age(oldest, 5);
    await age(changed, 4);
    await age(used, 3);
    fs.appendFileSync(changed.files[0], 'mine');
    await queryPostgres(cluster, `insert into jobs ("id", "type", "status", "input", "createdAt", "updatedAt") values ('another-queue:2', 'X', 'PROCESSING', '{"options":{"logo":"file://${used.files[0]}"}}', now(), now())`);
    for (const [i, file] of [...analyses, path.join(cache, 'notes.txt')].entries()) {
      fs.writeFileSync(file, Buffer.alloc(1000));
      fs.utimesSync(file, Date.now() / 1000 - [900, 3000, 600, 9000][i], Date.now() / 1000 - 9000);
    }
    const second = await startDaemon(redis, { folder: daemon.folder, environment: { ...environment, DERUSH_OUTPUT_QUOTA: String(size + 1), DERUSH_CACHE_QUOTA: String(real + 2500) }, roots: [folder] });
    await until(async () => (await queryPostgres(cluster, `select 1 from jobs where "output"->>'outputsRemoved' is not null`)).length >= 2, 'rows that say that their files are gone');
    await until(() => !fs.existsSync(used.files[1]), 'the sweep');
    assert.deepEqual(there(oldest.files), oldest.files.map(() => false));
    assert.deepEqual(there(changed.files), changed.files.map((_, i) => i === 0));
    assert.deepEqual(there(used.files), used.files.map((_, i) => i === 0));
    assert.deepEqual(there(newest.files), newest.files.map(() => true));
    assert.equal((await queryPostgres(cluster, `select 1 from thumbnails where "videoId" = 'q1'`)).length, 0);
    assert.equal((await queryPostgres(cluster, `select 1 from jobs where "videoId" = 'q1' and "status" = 'COMPLETED'`)).length, 1);
    assert.deepEqual(there([...analyses, path.join(cache, 'notes.txt'), film]), [true, false, true, true, true]);
    await second.stop();

    await queryPostgres(cluster, `update jobs set "completedAt" = "completedAt" - interval '3 days' where "id" = '${oldest.id}'`);
    await oldest.job.remove();
    await age(newest, 30);
    const third = await startDaemon(redis, { folder: daemon.folder, environment: { ...environment, DERUSH_RETENTION_ROWS_DAYS: '2', DERUSH_RETENTION_OUTPUTS_DAYS: '1' }, roots: [folder] });
    await until(async () => (await queryPostgres(cluster, `select 1 from jobs where "id" = '${oldest.id}'`)).length === 0, 'rows to go');
    await until(() => !newest.files.some(file => fs.existsSync(file)), 'old files to go');
    assert.equal((await queryPostgres(cluster, `select 1 from jobs where "id" = '${newest.id}' and "output" ? 'outputsRemoved'`)).length, 1);
    assert.equal((await queryPostgres(cluster, `select 1 from jobs where "id" = 'another-queue:2'`)).length, 1);
    await third.stop();
  });

  await test('tables that a backend has made with Prisma get the rows, those that it made for jobs are filled in', async () => {
    const backend = { url: cluster.url.replace('/postgres?', '/backend?') };
    const ask = statement => queryPostgres(backend, statement);

    await queryPostgres(cluster, 'create database backend');
    await need('psql', ['-d', backend.url, '-q', '-v', 'ON_ERROR_STOP=1', '-f', path.join(sourceDirectory, 'tests/runner/results/prisma.sql')]);
    await ask(`insert into jobs (id, type, input, "updatedAt", "userId") values ('clbackend1', 'THUMBNAIL_GENERATION', '{"from":"the backend"}', now(), 'u1')`);
    const own = { DATABASE_URL: `${backend.url}&schema=public` };
    const daemon = await startDaemon(redis, { environment: own, roots: [folder] });
    fs.mkdirSync(path.join(folder, 'out', 'backend'), { recursive: true });
    const data = { videoId: 'v1', userId: 'u1', videoUrl: film, outputDir: path.join(folder, 'out', 'backend'), count: 2 };
    const made = await queue.add('THUMBNAIL_GENERATION', data, { jobId: 'clbackend1' });
    const other = await queue.add('THUMBNAIL_GENERATION', data);

    for (const job of [made, other]) await queue.finished(job);
    await daemon.stop();
    const rows = () => ask(`select "id", "status", "userId", "videoId", "input"->>'from' from jobs order by 1`);
    const wanted = [['clbackend1', 'COMPLETED', 'u1', 'v1', 'the backend'], [`video-processing:${other.id}`, 'COMPLETED', 'u1', 'v1', '']];
    assert.deepEqual((await rows()).slice(0, 2), wanted);
    assert.equal((await ask(`select 1 from thumbnails where "videoId" = 'v1' and "quality" > 0`)).length, 4);

    await ask(`update jobs set "status" = 'PROCESSING', "output" = null where id = 'clbackend1'`);
    const again = await startDaemon(redis, { environment: own, roots: [folder], folder: daemon.folder });
    await until(async () => (await ask(`select 1 from jobs where id = 'clbackend1' and "status" = 'COMPLETED' and "output" ? 'thumbnails'`)).length === 1, 'the mended row');
    await again.stop();
    const serving = await startServing(own);
    const { status, data: said } = await serving.remove('/api/videos/v1');
    assert.deepEqual([status, said.jobs, said.redisJobs, said.files.filter(file => fs.existsSync(file)).length], [200, 2, 2, 0]);
    assert.ok(said.files.length >= 2);
    assert.deepEqual(listFiles(path.join(folder, 'out', 'backend')), []);
    assert.equal((await ask('select 1 from jobs')).length + (await ask('select 1 from thumbnails')).length, 0);
    assert.equal((await ask('select 1 from videos')).length, 1);
    await serving.stop();
  });

  await queue.close();
  await cluster.stop();
  await redis.stop?.();
});
