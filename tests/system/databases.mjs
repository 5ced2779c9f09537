// SPDX-License-Identifier: LGPL-2.1-or-later
// The databases that system tests look into: SQLite files through Python, a private PostgreSQL cluster through psql.
import fs from 'node:fs';
import path from 'node:path';
import { listFiles, need, sourceDirectory, start, until } from './lib.mjs';

const sqlite = `
import json, sqlite3, sys
print(json.dumps([list(row) for row in sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True).execute(sys.argv[2])]))
`;

/** The rows that @statement finds in the one SQLite file below @folder: arrays of values. */
export async function querySqlite(folder, statement) {
  const [name, ...others] = listFiles(folder).filter(file => {
    const head = Buffer.alloc(15);
    const descriptor = fs.openSync(path.join(folder, file), 'r');
    fs.readSync(descriptor, head, 0, 15, 0);
    fs.closeSync(descriptor);
    return head.toString('latin1') === 'SQLite format 3';
  });

  if (!name || others.length > 0) throw new Error(`not one SQLite file in ${folder}: ${listFiles(folder).join(', ')}`);
  return JSON.parse((await need('python3', ['-c', sqlite, path.join(folder, name), statement])).stdout);
}

/**
 * A cluster of its own: {url, kill(), start(), stop()}; kill() is a crash, after which start() starts it again. It lives as long as the standard input of its keeper is open, so it is gone when this
 * process is, however that ends.
 */
export async function startPostgres() {
  const keeper = start(path.join(sourceDirectory, 'tests/system/postgresql.sh'), ['with', 'sh', '-c', 'echo "$DERUSH_POSTGRESQL_URL"; exec cat'],
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true, tracked: false });
  const url = await until(() => {
    if (keeper.exitCode !== null) throw new Error(`PostgreSQL did not start: ${keeper.output.stderr.slice(-1000)}`);
    return /^(postgres\S+)\n/m.exec(keeper.output.stdout)?.[1];
  }, 'PostgreSQL');

  const control = command => need(path.join(sourceDirectory, 'tests/system/postgresql.sh'), [command, /host=(.*)$/.exec(url)[1]]);

  return {
    url,
    kill: () => control('kill'),
    start: () => control('start'),
    async stop() {
      keeper.stdin.end();
      await keeper.ended;
    },
  };
}

/** The rows of @statement: arrays of texts; NULL is ''. */
export async function queryPostgres({ url }, statement) {
  const { stdout } = await need('psql', ['-d', url, '-qAtX', '-F', '\x1f', '-c', statement]);

  return stdout.split('\n').filter(Boolean).map(line => line.split('\x1f'));
}
