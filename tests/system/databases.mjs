// SPDX-License-Identifier: LGPL-2.1-or-later
// The databases that system tests look into: SQLite files through Python, a private PostgreSQL cluster through psql.
import fs from 'node:fs';
import path from 'node:path';
import { freePort, listFiles, need, removeFolder, run, start, temporaryFolder, until } from './lib.mjs';

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

// PostgreSQL refuses to run as root: then everything of it runs as the user of Debian's package.
function asPostgres(program, args) {
  return process.getuid() === 0 ? ['setpriv', ['--reuid=postgres', '--regid=postgres', '--clear-groups', program, ...args]] : [program, args];
}

function programFolder() {
  const base = '/usr/lib/postgresql';
  const versions = fs.existsSync(base) ? fs.readdirSync(base).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions.map(version => path.join(base, version, 'bin')).find(folder => fs.existsSync(path.join(folder, 'initdb')));

  if (!found) throw new Error('PostgreSQL is not installed');
  return found;
}

/** A cluster of its own on a free port of 127.0.0.1, without durability: {url, psql arguments, stop()}. */
export async function startPostgres() {
  const programs = programFolder();
  const folder = temporaryFolder('postgresql');
  const data = path.join(folder, 'data');
  const port = await freePort();

  if (process.getuid() === 0) await need('chown', ['postgres', folder]);
  await need(...asPostgres(path.join(programs, 'initdb'), ['-D', data, '-U', 'derush', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync']), { cwd: '/' });
  const server = start(...asPostgres(path.join(programs, 'postgres'), ['-D', data, '-k', folder, '-p', String(port), '-h', '127.0.0.1',
    '-c', 'fsync=off', '-c', 'shared_buffers=8MB']), { cwd: '/' });
  const cluster = { port, programs, url: `postgresql://derush@127.0.0.1:${port}/derush`,
    async stop() {
      server.kill('SIGINT');
      await server.ended;
      removeFolder(folder);
    } };
  await until(async () => {
    if (server.exitCode !== null) throw new Error(`PostgreSQL ended: ${server.output.stderr.slice(-1000)}`);
    return (await run(path.join(programs, 'psql'), ['-h', '127.0.0.1', '-p', String(port), '-U', 'derush', '-d', 'postgres', '-qc', 'CREATE DATABASE derush'])).status === 0;
  }, 'PostgreSQL');
  return cluster;
}

/** The rows of @statement: arrays of texts; NULL is ''. */
export async function queryPostgres(cluster, statement) {
  const { stdout } = await need(path.join(cluster.programs, 'psql'), ['-h', '127.0.0.1', '-p', String(cluster.port), '-U', 'derush', '-d', 'derush',
    '-qAtX', '-F', '\x1f', '-c', statement]);

  return stdout.split('\n').filter(Boolean).map(line => line.split('\x1f'));
}
