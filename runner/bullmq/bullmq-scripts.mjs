// SPDX-License-Identifier: LGPL-2.1-or-later
// Usage: bullmq-scripts.mjs BULLMQ_DIR VERSION OUTPUT_DIR SCRIPT…
//
// Writes the named Lua scripts of the npm package bullmq as C arrays (bullmq-scripts.h), with their texts exactly as
// Node sends them, so that their SHA1 sums and the server's script cache are shared; manifest.json says what was taken.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
const [source, version, output, ...names] = process.argv.slice(2);
const fail = message => { console.error(`bullmq-scripts: ${message}`); process.exit(1); };

let installed;
try {
  installed = JSON.parse(fs.readFileSync(path.join(source, 'package.json'), 'utf8'));
} catch {
  fail(`${source} is not the npm package bullmq; run npm ci, or configure with -Dbullmq_dir=FOLDER`);
}
if (installed.version !== version) fail(`${source} is bullmq ${installed.version}, but this worker speaks the protocol of ${version}`);

const folder = path.resolve(source, 'dist/cjs/scripts');
const files = fs.readdirSync(folder);
const scripts = names.map(name => {
  const file = files.find(candidate => new RegExp(`^${name}-\\d+\\.js$`).test(candidate));
  if (!file) fail(`bullmq ${version} has no script ${name}`);
  const script = require(path.join(folder, file))[name];
  if (!script?.content || script.keys !== Number(/-(\d+)\.js$/.exec(file)[1])) fail(`${file} is not a script with its number of keys`);
  if (/^--- @include/m.test(script.content)) fail(`${file} still has includes`);
  const bytes = Buffer.from(script.content, 'utf8');
  return { name, keys: script.keys, length: bytes.length, sha1: createHash('sha1').update(bytes).digest('hex'), bytes };
});

const array = script => {
  const rows = [];
  for (let i = 0; i < script.bytes.length; i += 32) rows.push([...script.bytes.subarray(i, i + 32)].join(','));
  return `static const unsigned char bullmq_lua_${script.name}[] = {\n${rows.join(',\n')}};\n`;
};
const row = s => `  {"${s.name}", ${s.keys}, "${s.sha1}", (const char *) bullmq_lua_${s.name}, ${s.length}},\n`;
fs.writeFileSync(path.join(output, 'bullmq-scripts.h'),
  `/* Made from the npm package bullmq ${version} (licence ${installed.license}); see manifest.json. */\n` +
  `#define BULLMQ_VERSION "${version}"\n\n${scripts.map(array).join('\n')}\n` +
  `static const BullmqScript bullmq_scripts[] = {\n${scripts.map(row).join('')}};\n`);
fs.writeFileSync(path.join(output, 'manifest.json'), JSON.stringify({
  package: 'bullmq', version, licence: installed.license,
  scripts: scripts.map(({ name, keys, length, sha1 }) => ({ name, keys, length, sha1 })),
}, null, 2) + '\n');
