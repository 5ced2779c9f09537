// SPDX-License-Identifier: LGPL-2.1-or-later
// `derush doctor` finds what is wrong with a machine and says what to do; `derush report` bundles it without secrets.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { startPostgres } from './databases.mjs';
import { daemonEnvironment, freePort, listFiles, main, need, run, sampleFilm, startRedis, temporaryFolder, test } from './lib.mjs';

const folder = temporaryFolder('doctor');
const secrets = { REDIS_PASSWORD: 'Tr0ub4dor', OPENAI_API_KEY: 'sk-live-123456' };

function environmentOf(name, own = {}) {
  return { ...daemonEnvironment(path.join(folder, name)), LC_ALL: 'C.UTF-8', ...own };
}

async function examine(environment) {
  const { status, stdout, stderr } = await run('derush', ['doctor', '--json'], { environment });
  const answer = JSON.parse(stdout);
  const of = (name, state) => answer.checks.filter(check => check.name === name && check.status === state);

  assert.equal(stderr, '');
  assert.equal(status, answer.checks.some(check => check.status === 'failure') ? 1 : 0);
  assert.equal(answer.healthy, status === 0);
  for (const check of answer.checks) {
    assert.ok(['ok', 'warning', 'failure'].includes(check.status));
    if (check.status === 'failure') assert.ok(check.remedy, `${check.message}: what to do?`);
  }
  return { status, checks: answer.checks, of, text: stdout };
}

async function healthy(redis) {
  await test('a machine that has everything is healthy, and nothing on it is changed', async () => {
    const environment = environmentOf('healthy', redis.environment);
    const before = listFiles(path.join(folder, 'healthy'));
    const { status, of } = await examine(environment);

    assert.equal(status, 0);
    for (const name of ['settings', 'roots', 'worker', 'plugins', 'formats', 'redis', 'database', 'spool', 'disk', 'containment'])
      assert.ok(of(name, 'ok').length + of(name, 'warning').length > 0, name);
    assert.match(of('plugins', 'ok')[0].message, /GStreamer 1\.\d+\.\d+: all \d\d+ elements/);
    assert.match(of('formats', 'ok')[0].message, /MP4.*H\.264.*AAC/);
    assert.match(of('redis', 'ok')[0].message, new RegExp(`Redis \\d+\\.\\d+\\.\\d+ at 127\\.0\\.0\\.1:${redis.port} answers`));
    assert.match(of('database', 'ok')[0].message, /derush\.sqlite: the tables will be made/);
    assert.deepEqual(listFiles(path.join(folder, 'healthy')).filter(name => !name.startsWith('scratch/')), before);
  });
  await test('people get a line for each check and one below it for what to do', async () => {
    const { status, stdout } = await run('derush', ['doctor'], { environment: environmentOf('people', { ...redis.environment, REDIS_PASSWORD: 'wrong' }) });

    assert.equal(status, 1);
    assert.match(stdout, /^ok +settings /m);
    assert.match(stdout, /^failure +redis .*\n +→ start it, or set REDIS_HOST/m);
    assert.match(stdout, /\n1 failure, \d+ warnings?\n$/);
  });
  await test('a Redis that throws jobs away when it is full is a warning', async () => {
    const client = redis.client();

    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const { of } = await examine(environmentOf('policy', redis.environment));
    await client.config('SET', 'maxmemory-policy', 'noeviction');
    assert.match(of('redis', 'warning')[0].message, /allkeys-lru/);
    assert.match(of('redis', 'warning')[0].remedy, /noeviction/);
  });
}

async function contained(redis) {
  await test('the layers that contain a worker are named, and those that are switched off are warnings', async () => {
    const held = await examine(environmentOf('contained', redis.environment));
    const off = await examine(environmentOf('contained', { ...redis.environment, DERUSH_SANDBOX: 'off' }));

    assert.match(held.of('containment', 'ok')[0].message, /no-new-privileges.*limits/);
    assert.equal(off.of('containment', 'ok').length, 0);
    assert.match(off.of('containment', 'warning').map(check => check.message).join(), /seccomp.*DERUSH_SANDBOX/);
  });
}

async function broken(redis) {
  const file = path.join(folder, 'a-file');
  const template = path.join(folder, 'templates');

  fs.writeFileSync(file, 'not SQLite');
  fs.mkdirSync(template);
  fs.writeFileSync(path.join(template, 'odd.gst'), '# Odd.\nfilesrc name=source ! nosuchelement\n  ! x264enc ! video/x-h264 ! other.\n');
  const cases = [
    ['no Redis', { REDIS_PORT: String(await freePort()) }, 'redis', /cannot be used: Connection refused/, /REDIS_HOST/],
    ['a wrong password', { REDIS_PASSWORD: 'Tr0ub4dor' }, 'redis', /WRONGPASS|invalid/, /REDIS_PASSWORD/],
    ['no password', { REDIS_PASSWORD: '' }, 'redis', /NOAUTH/, /REDIS_PASSWORD/],
    ['a file where a folder should be', { DERUSH_OUTPUT_DIR: path.join(file, 'x') }, 'disk', /a-file\/x cannot be written/, /DERUSH_OUTPUT_DIR/],
    ['too little space', { DERUSH_MIN_FREE_SPACE: '9000000000000000000' }, 'disk', /DERUSH_MIN_FREE_SPACE/, /make room/],
    ['less space than jobs need to begin', { DERUSH_DISK_FLOOR: '9000000000000000000' }, 'disk', /DERUSH_DISK_FLOOR: jobs wait/, /make room/],
    ['no PostgreSQL', { DATABASE_URL: 'postgresql://u:Tr0ub4dor@127.0.0.1:1/d' }, 'database', /cannot be reached/, /DATABASE_URL/],
    ['an address that is none', { DATABASE_URL: 'postgresql://u@h:notaport/d' }, 'database', /DATABASE_URL is not/, /DATABASE_URL/],
    ['no worker', { DERUSH_MEDIA_WORKER: '/nonexistent/worker' }, 'worker', /does not run.*nonexistent/, /install/],
    ['a worker that ends', { DERUSH_MEDIA_WORKER: '/bin/false' }, 'worker', /does not run/, /install/],
    ['no model worker', { DERUSH_MODEL_WORKER: '/nonexistent/model-worker' }, 'models', /cannot run: .*nonexistent/, /install/],
    ['no server of local models', { DERUSH_LOCAL_MODELS: '/nonexistent/models' }, 'models', /without a key.*nonexistent/, /install/],
    ['a pipeline with an unknown element', { DERUSH_PIPELINES_DIR: template }, 'plugins', /lack.*nosuchelement/, /install/],
    ['a machine without plugins', { GST_PLUGIN_SYSTEM_PATH: template, GST_REGISTRY: path.join(folder, 'registry') }, 'plugins', /x264enc/,
      /gstreamer1\.0-libav.*gstreamer1\.0-plugins-ugly/],
    ['a setting out of its range', { REDIS_PORT: '70000' }, 'settings', /REDIS_PORT.*70000/, /derushd/],
  ];

  for (const [name, own, check, message, remedy] of cases) {
    await test(`${name} is a failure with a remedy, and shows no secret`, async () => {
      const { status, of, checks, text } = await examine(environmentOf(name.replaceAll(' ', '-'), { ...redis.environment, OPENAI_API_KEY: 'sk-live-123456', ...own }));
      const found = of(check, 'failure').find(failure => message.test(failure.message));

      assert.equal(status, 1);
      assert.ok(found, JSON.stringify(checks));
      assert.match(found.remedy, remedy);
      for (const secret of [...Object.values(secrets), redis.password]) assert.ok(!text.includes(secret), secret);
    });
  }
  await test('a store that is no database, or of a newer version, is a failure', async () => {
    const environment = environmentOf('store', redis.environment);
    const state = environment.DERUSH_STATE_DIR;

    fs.mkdirSync(state);
    fs.writeFileSync(path.join(state, 'derush.sqlite'), 'not SQLite'.repeat(1000));
    assert.match((await examine(environment)).of('database', 'failure')[0].message, /cannot be read/);
    fs.rmSync(path.join(state, 'derush.sqlite'));
    await need('python3', ['-c', 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript("create table derush_migrations (version integer); insert into derush_migrations values (999)")',
      path.join(state, 'derush.sqlite')]);
    assert.match((await examine(environment)).of('database', 'failure')[0].message, /version 999/);
  });
  await test('PostgreSQL is looked at without making tables there', async () => {
    const cluster = await startPostgres();
    const environment = environmentOf('postgresql', { ...redis.environment, DATABASE_URL: cluster.url });

    try {
      assert.match((await examine(environment)).of('database', 'ok')[0].message, /^PostgreSQL \d+, postgres: the tables will be made/);
      const { stdout } = await need('psql', ['-d', cluster.url, '-qAtX', '-c', "select count(*) from pg_tables where schemaname in ('public', 'derush')"]);
      assert.equal(stdout, '0\n');
    } finally {
      await cluster.stop();
    }
  });
}

async function report(redis) {
  const environment = environmentOf('report', { ...redis.environment, ...secrets, REDIS_PASSWORD: redis.password,
    DATABASE_URL: 'postgresql://me:pw-of-database@127.0.0.1:1/d' });
  const log = path.join(folder, 'derushd.log');
  const leaks = { signature: 'c0ffee00c0ffee', bearer: 'abcdefgh.ijklmnop', address: 'pw-in-address', key: 'sk-abcdefghijkl' };

  fs.writeFileSync(log, `${Array.from({ length: 3000 }, (_, i) => JSON.stringify({ message: `line ${i}` })).join('\n')}\n` +
    `${JSON.stringify({ message: `https://me:${leaks.address}@host/film.mp4?X-Amz-Signature=${leaks.signature}&x=1`, authorization: `Bearer ${leaks.bearer}`,
      result: { apiKey: leaks.key }, text: `with ${redis.password} and ${secrets.OPENAI_API_KEY}` })}\n`);

  await test('derush report makes a private archive of five texts that holds no secret', async () => {
    const file = path.join(folder, 'report.tar.gz');
    const { status, stdout } = await run('derush', ['report', '-o', file, '--log', log, '--lines', '10'], { environment });

    assert.equal(status, 0);
    assert.equal(stdout, `${file}\n`);
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    const { stdout: names } = await need('tar', ['-tzf', file]);
    assert.deepEqual(names.trim().split('\n').map(name => path.basename(name)), ['versions.txt', 'settings.txt', 'doctor.txt', 'plugins.txt', 'log.txt']);
    const { stdout: text } = await need('tar', ['-xOzf', file]);
    for (const secret of [redis.password, secrets.OPENAI_API_KEY, 'pw-of-database', ...Object.values(leaks)])
      assert.ok(!text.includes(secret), secret);
    assert.match(text, /^derush \d+\.\d+\.\d+$/m);
    assert.match(text, /^OPENAI_API_KEY=\[redacted\] \(environment\)$/m);
    assert.match(text, /^HUGGINGFACE_API_KEY= \(default\)$/m);
    assert.match(text, /^ok +worker /m);
    assert.match(text, /^plugin x264 1\./m);
    assert.match(text, /film\.mp4\?\[redacted\]/);
    assert.ok(text.includes('"line 2999"') && text.includes('"line 2991"') && !text.includes('"line 2990"'));
  });
  await test('a report replaces no file, and says what is wrong with its arguments', async () => {
    const film = path.join(folder, 'film.mp4');

    fs.copyFileSync(sampleFilm, film);
    const before = fs.statSync(film).size;
    const { status, stderr } = await run('derush', ['report', '-o', film], { environment });
    assert.equal(status, 1);
    assert.match(stderr, /film\.mp4 cannot be written/);
    assert.equal(fs.statSync(film).size, before);
    assert.match((await run('derush', ['report', '--log', '/nonexistent/log'], { environment, cwd: folder })).stderr, /nonexistent/);
    assert.equal((await run('derush', ['report', '--lines', '0'], { environment })).status, 2);
    assert.ok(!listFiles(folder).some(name => name.startsWith('derush-report')));
  });
  await test('derush report --text prints the same and makes nothing', async () => {
    const { status, stdout } = await run('derush', ['report', '--text'], { environment, cwd: folder });

    assert.equal(status, 0);
    assert.match(stdout, /^── versions\.txt ──\nderush /);
    assert.ok(!stdout.includes(redis.password));
    assert.ok(!listFiles(folder).some(name => name.startsWith('derush-report')));
  });
}

await main(async () => {
  const redis = await startRedis();

  await healthy(redis);
  await contained(redis);
  await broken(redis);
  await report(redis);
  await redis.stop();
});
