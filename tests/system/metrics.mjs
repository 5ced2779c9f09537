// SPDX-License-Identifier: LGPL-2.1-or-later
// The metrics of a derushd that has worked: right in number, clean for promtool, and data for every query of the dashboard in a
// real Prometheus that scraped it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { cutSample, freePort, main, openQueue, sleep, sourceDirectory, start, startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const at = name => path.join(sourceDirectory, name);

/** `name{labels}` → value. */
function parse(text) {
  return new Map(text.split('\n').filter(line => line && line[0] !== '#').map(line => {
    const space = line.lastIndexOf(' ');
    return [line.slice(0, space), Number(line.slice(space + 1))];
  }));
}

await main(async () => {
  const folder = temporaryFolder('metrics');
  const port = await freePort();
  const redis = await startRedis();
  const daemon = await startDaemon(redis, { folder, environment: { DERUSH_HTTP_ADDRESS: `127.0.0.1:${port}`, WORKER_LOCK_DURATION: '1000' } });
  const bench = await openQueue(redis);
  const scrape = async (where = '/metrics') => {
    const answer = await fetch(`http://127.0.0.1:${port}${where}`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
    return answer.text();
  };

  // A Prometheus from the start, so that it sees the counters rise.
  const web = await freePort();
  const configuration = path.join(folder, 'prometheus.yml');
  fs.writeFileSync(configuration, fs.readFileSync(at('data/prometheus/prometheus.yml'), 'utf8').replace('127.0.0.1:8787', `127.0.0.1:${port}`)
    .replace('scrape_interval: 10s', 'scrape_interval: 1s\n  evaluation_interval: 1s').replace('- derush.rules.yml', `- ${at('data/prometheus/derush.rules.yml')}`));
  const prometheus = start('prometheus', [`--config.file=${configuration}`, `--storage.tsdb.path=${path.join(folder, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${web}`, '--log.level=warn']);
  const ask = async (what, parameters = {}) => {
    const answer = await (await fetch(`http://127.0.0.1:${web}/api/v1/${what}?${new URLSearchParams(parameters)}`)).json();
    assert.equal(answer.status, 'success', JSON.stringify(answer));
    return answer.data;
  };
  const isReady = () => fetch(`http://127.0.0.1:${web}/-/ready`).then(answer => answer.ok, () => false);

  await until(isReady, 'Prometheus');
  await until(async () => {
    const { result } = await ask('query', { query: 'count_over_time(derush_analysis_cache_requests_total{result="hit"}[60s])' });
    return Number(result[0]?.value[1]) >= 2;
  }, 'Prometheus to have seen the counters begin');
  const film = await cutSample(path.join(folder, 'film.mp4'), 3);
  const thumbnails = { videoId: 'v', videoUrl: film, outputDir: path.join(folder, 'out'), thumbnailRequest: { count: 1 } };
  const finish = async (type, data, options) => {
    const job = await bench.add(type, data, options);
    return bench.finished(job).catch(() => {});
  };

  await Promise.all([finish('SELF_TEST', { do: 'ok', durationMs: 1500 }), finish('SELF_TEST', { do: 'fail', durationMs: 100 }), finish('THUMBNAIL_GENERATION', thumbnails)]);
  await finish('THUMBNAIL_GENERATION', { ...thumbnails, thumbnailRequest: { count: 2 } });
  await finish('THUMBNAIL_GENERATION', { videoUrl: film, thumbnailRequest: { count: 'many' } });
  await finish('quux', {});
  await finish('SELF_TEST', { do: 'ok', durationMs: 100 });
  await finish('SELF_TEST', { do: 'fail', durationMs: 50 }, { attempts: 2, backoff: 10 });
  await bench.queue.add('SELF_TEST', { do: 'ok' }, { delay: 3600000 });

  const jobs = (type, state) => `derush_jobs_total{queue="video-processing",type="${type}",state="${state}"}`;
  await test('jobs are counted by queue, type and how they ended', async () => {
    const metrics = await until(async () => {
      const all = parse(await scrape());
      return all.get('derush_queue_jobs{queue="video-processing",state="delayed"}') === 1 && all;
    }, 'the queue to be looked at');

    assert.equal(metrics.get(jobs('SELF_TEST', 'completed')), 2);
    assert.equal(metrics.get(jobs('SELF_TEST', 'failed')), 2);
    assert.equal(metrics.get(jobs('SELF_TEST', 'retried')), 1);
    assert.equal(metrics.get(jobs('THUMBNAIL_GENERATION', 'completed')), 2);
    assert.equal(metrics.get(jobs('THUMBNAIL_GENERATION', 'failed')), 1, 'bad data');
    assert.equal(metrics.get(jobs('unknown', 'failed')), 1, 'a type that is none');
    assert.equal(metrics.get('derush_job_failures_total{queue="video-processing",type="SELF_TEST",class="internal"}'), 3);
    assert.equal(metrics.get('derush_job_duration_seconds_count{queue="video-processing",type="SELF_TEST",state="completed"}'), 2);
    assert.ok(metrics.get('derush_job_duration_seconds_sum{queue="video-processing",type="SELF_TEST",state="completed"}') >= 1.6);
    assert.equal(metrics.get('derush_job_wait_seconds_count{queue="video-processing"}'), 8);
    assert.equal(metrics.get('derush_jobs_running{queue="video-processing",type="SELF_TEST"}'), 0);
    assert.equal(metrics.get('derush_queue_concurrency{queue="video-processing"}'), 2);
    assert.equal(metrics.get('derush_analysis_cache_requests_total{result="miss"}'), 1);
    assert.equal(metrics.get('derush_analysis_cache_requests_total{result="hit"}'), 1);
    assert.equal(metrics.get('derush_store_up'), 1);
    assert.equal(metrics.get('derush_locks_lost_total'), 0);
    assert.ok(metrics.get('derush_lock_renewal_seconds_count') >= 1, 'locks were renewed');
  });
  await test('what Redis says of the queue is what is shown', async () => {
    const counts = await bench.queue.getJobCounts();
    const metrics = parse(await scrape());

    for (const state of ['waiting', 'active', 'completed', 'failed', 'delayed'])
      assert.equal(metrics.get(`derush_queue_jobs{queue="video-processing",state="${state}"}`), counts[state], state);
  });
  await test('memory and processor time are those of the processes', async () => {
    const metrics = parse(await scrape());
    const resident = pid => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
    const near = (value, expected, what) => assert.ok(Math.abs(value / expected - 1) < 0.2, `${what}: ${value} and ${expected}`);
    const workers = daemon.mediaWorkers().map(({ pid }) => resident(pid)).sort((a, b) => a - b);
    const shown = [...metrics].filter(([name]) => name.startsWith('derush_worker_resident_memory_bytes{worker="video-processing-')).map(([, value]) => value).sort((a, b) => a - b);

    near(metrics.get('process_resident_memory_bytes'), resident(daemon.pid), 'daemon');
    assert.equal(shown.length, workers.length);
    shown.forEach((value, i) => near(value, workers[i], `worker ${i}`));
    const spent = [...metrics].filter(([name]) => name.startsWith('derush_worker_cpu_seconds_total')).reduce((sum, [, value]) => sum + value, 0);
    assert.ok(spent > 0.1 && spent < 120, `${spent} s`);
  });
  await test('promtool finds nothing wrong with the text, and /api/metrics is the same', async () => {
    const text = await scrape();
    assert.equal(execFileSync('promtool', ['check', 'metrics'], { input: text, stdio: ['pipe', 'pipe', 'pipe'] }).toString(), '');
    const names = body => [...parse(body).keys()].filter(name => !name.includes('http')).sort();
    assert.deepEqual(names(await scrape('/api/metrics')), names(text));
  });
  await test('each query of the dashboard and each rule returns data from a real Prometheus', async () => {
    const dashboard = JSON.parse(fs.readFileSync(at('data/grafana/derush.json'), 'utf8'));
    const empty = async () => {
      const without = [];
      for (const panel of dashboard.panels)
        for (const { expr } of panel.targets) {
          const query = expr.replaceAll('$__rate_interval', '60s').replaceAll('$queue', '.*');
          if ((await ask('query', { query })).result.length === 0) without.push(`${panel.title}: ${query}`);
        }
      return without;
    };
    let left;

    await until(async () => (left = await empty()).length === 0 || sleep(500).then(() => false), 'data', 15000).catch(() => {});
    assert.deepEqual(left, []);
    const { groups } = await ask('rules');
    const rules = groups.flatMap(group => group.rules);
    assert.equal(rules.length, 17);
    for (const rule of rules) assert.deepEqual([rule.name, rule.health], [rule.name, 'ok']);
    // A counter that comes into being between two scrapes has not risen yet; with one more job it has.
    await finish('SELF_TEST', { do: 'ok', durationMs: 100 });
    await until(async () => Number((await ask('query', { query: 'derush:jobs_completed:per_minute' })).result[0]?.value[1]) > 0,
      'the recorded throughput', 20000);
    assert.equal((await ask('query', { query: 'up{job="derush"}' })).result[0].value[1], '1');
  });
  prometheus.kill('SIGTERM');
  await prometheus.ended;
  await bench.close();
  await daemon.stop();
  await redis.stop();
});
