// SPDX-License-Identifier: LGPL-2.1-or-later
// The rules for Prometheus and the dashboard for Grafana: well-formed, tested by promtool, and about metrics that the sources
// register, with the labels that these have.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { listFiles, main, need, run, sourceDirectory, test } from './lib.mjs';

const at = name => path.join(sourceDirectory, name);
const inside = new Set(['up', 'ALERTS']);

/** Name → labels of everything that derush_metrics_…() is asked for. */
function registered() {
  const metrics = new Map();

  for (const file of listFiles(at('runner')).filter(name => name.endsWith('.c') && !name.startsWith('core/metrics'))) {
    const text = fs.readFileSync(at(`runner/${file}`), 'utf8');
    for (const [, kind, name, rest] of text.matchAll(/derush_metrics_(counter|gauge|histogram) \(\s*"(\w+)",\s*([^;]*?NULL\))/g)) {
      const strings = [...rest.replace(/"\s*\n\s*"/g, '').matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(found => found[1]);
      const labels = strings.slice(1);
      for (const suffix of kind === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) metrics.set(name + suffix, new Set(labels));
    }
  }
  return metrics;
}

/** What @expression asks for: [name, labels of its braces]. */
function asked(expression) {
  const plain = expression.replace(/"[^"]*"/g, '""');
  const found = [];

  for (const [, name, , braces] of plain.matchAll(/([a-z_:][\w:]*)(\s*\{([^}]*)\})?/gi))
    if (/^(derush|process|video|http|up)/.test(name)) found.push([name, [...(braces ?? '').matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(label => label[1])]);
  return found;
}

await main(async () => {
  const metrics = registered();
  const dashboard = JSON.parse(fs.readFileSync(at('data/grafana/derush.json'), 'utf8'));
  const rules = fs.readFileSync(at('data/prometheus/derush.rules.yml'), 'utf8');
  const recorded = new Set([...rules.matchAll(/- record: (\S+)/g)].map(found => found[1]));
  const check = expression => {
    const names = asked(expression);
    assert.ok(names.length > 0, expression);
    for (const [name, labels] of names) {
      if (recorded.has(name) || inside.has(name)) continue;
      assert.ok(metrics.has(name), `${name} in “${expression}” is no metric`);
      for (const label of labels) assert.ok(metrics.get(name).has(label) || ['job', 'instance', 'le'].includes(label), `${name} has no label ${label}`);
    }
    const grouped = [...expression.matchAll(/\bby \(([^)]*)\)/g)].flatMap(found => found[1].split(/, */));
    for (const label of grouped)
      assert.ok(['le', 'instance'].includes(label) || names.some(([name]) => recorded.has(name) || metrics.get(name)?.has(label)), `nothing in “${expression}” has a label ${label}`);
  };

  await test('the sources register the metrics that are promised, with their labels', async () => {
    const promised = { derush_jobs_total: ['queue', 'type', 'state'], derush_job_duration_seconds_bucket: ['queue', 'type', 'state'], derush_job_wait_seconds_bucket: ['queue'],
      derush_queue_jobs: ['queue', 'state'], derush_jobs_running: ['queue', 'type'], derush_job_failures_total: ['queue', 'type', 'class'],
      derush_worker_cpu_seconds_total: ['worker'], derush_worker_resident_memory_bytes: ['worker'], derush_lock_renewal_seconds_bucket: [],
      derush_analysis_cache_requests_total: ['result'], derush_store_waiting_operations: [], process_resident_memory_bytes: [], video_export_jobs_total: ['status'],
      http_request_duration_seconds_bucket: ['method', 'route', 'status'], derush_admission_lowered: ['queue', 'reason'], derush_queue_concurrency_maximum: ['queue'] };
    for (const [name, labels] of Object.entries(promised)) assert.deepEqual([...metrics.get(name) ?? ['missing']], labels, name);
  });
  await test('each query of the dashboard is about metrics that are there', async () => {
    const targets = dashboard.panels.flatMap(panel => panel.targets);

    assert.ok(targets.length >= 19);
    for (const { expr } of targets) check(expr);
    assert.equal(new Set(dashboard.panels.map(panel => panel.id)).size, dashboard.panels.length);
  });
  await test('each rule is about metrics that are there', async () => {
    const expressions = [...rules.matchAll(/expr: (>-\n(?: {10}.*\n)+|.*\n)/g)].map(found => found[1].replace('>-', '').replace(/\s+/g, ' ').trim());

    assert.equal(expressions.length, [...rules.matchAll(/- (record|alert):/g)].length);
    expressions.forEach(check);
  });
  await test('promtool finds nothing wrong with the rules and the example configuration', async () => {
    for (const args of [['check', 'rules', at('data/prometheus/derush.rules.yml')], ['check', 'config', at('data/prometheus/prometheus.yml')]]) {
      const { status, stdout, stderr } = await run('promtool', args);
      assert.equal(status, 0, stdout + stderr);
    }
  });
  await test('each recording has its value; each alert fires when it should, and only then', async () => {
    await need('promtool', ['test', 'rules', at('tests/system/prometheus/derush.test.yml')]);
    const tested = fs.readFileSync(at('tests/system/prometheus/derush.test.yml'), 'utf8');
    for (const [, , name] of rules.matchAll(/- (record|alert): (\S+)/g)) assert.ok(tested.includes(name), `${name} is tested`);
  });
});
