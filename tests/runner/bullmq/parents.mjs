// SPDX-License-Identifier: LGPL-2.1-or-later
// Parents in the worker of runner/bullmq and their children, seen and run by the real npm package.
import assert from 'node:assert/strict';
import { FlowProducer, Worker } from 'bullmq';
import { diagnose, main, openQueue, sleep, start, startRedis, test, until } from '../../system/lib.mjs';

const [program] = process.argv.slice(2);
const fast = { WORKER_LOCK_DURATION: '1000', WORKER_STALLED_INTERVAL: '400' };

main(async () => {
  const redis = await startRedis();
  const connection = { ...redis.connection, connectionName: 'node' };
  const client = redis.client();
  let number = 0;

  const worker = (queue, environment = {}) => start(program, [], { environment: { DERUSH_CONFIG: '', ...redis.environment, QUEUE_NAME: queue, ...environment } });
  const stop = async child => {
    child.kill('SIGTERM');
    const { status, stderr } = await child.ended;
    assert.equal(status, 0, `the worker ended with ${status}: ${stderr}`);
  };

  /** Runs @body with a queue of parents, on which our worker works, and one of children, on which nobody does yet. */
  const scenario = (name, body, environment) => test(name, async () => {
    const [parents, children] = [`p${++number}`, `c${number}`];
    const of = await openQueue({ connection }, parents), below = await openQueue({ connection }, children);
    const ours = worker(parents, environment);
    const others = [];
    const child = (jobId, data, options = {}) => ({ queue: children, data, options: { jobId, ...options } });
    const node = (processor, concurrency = 1) => {
      const made = new Worker(children, processor, { connection, concurrency });
      made.on('error', () => {});
      others.push(made);
      return made;
    };
    try {
      await body({ of, below, ours, parents, children, child, node, key: id => `bull:${children}:${id}` });
      assert.equal(await of.queue.getActiveCount(), 0, 'a parent is left active');
    } finally {
      await Promise.all(others.map(other => other.close()));
      if (ours.exitCode === null && ours.signalCode === null) await stop(ours);
      await of.close();
      await below.close();
    }
  }, { timeout: 60000 });
  const waiting = (of, job) => until(async () => await job.getState() === 'waiting-children', 'the parent to wait for its children');

  await scenario('a parent waits for children that Node runs, and gets their results', async ({ of, below, parents, child, node, key }) => {
    const job = await of.add('work', { do: 'parent', children: [child('a', { n: 1 }), child('b', { n: 2 }, { priority: 3 }), child('c', { n: 3 }, { delay: 200 })] });
    await waiting(of, job);
    assert.deepEqual((await job.getDependencies()).unprocessed.sort(), ['a', 'b', 'c'].map(key));
    const flow = new FlowProducer({ connection });
    const tree = await flow.getFlow({ queueName: parents, id: job.id });
    assert.deepEqual(tree.children.map(({ job: { id } }) => id).sort(), ['a', 'b', 'c']);
    await flow.close();
    const a = await below.queue.getJob('a');
    assert.deepEqual(a.parent, { id: job.id, queueKey: `bull:${parents}` });
    assert.equal(a.parentKey, `bull:${parents}:${job.id}`);
    node(async ({ data }) => ({ twice: 2 * data.n }));
    const result = await of.finished(job, 20000);
    assert.deepEqual(result.processed, { [key('a')]: { twice: 2 }, [key('b')]: { twice: 4 }, [key('c')]: { twice: 6 } });
    assert.deepEqual([result.unprocessed, result.ignored, result.failed, result.stage], [[], {}, [], 2]);
    const seen = await of.queue.getJob(job.id);
    assert.deepEqual(await seen.getChildrenValues(), result.processed);
    assert.equal(seen.data.stage, 2);
    assert.equal(seen.attemptsMade, 1);
  });

  await scenario('without children a parent goes on at once', async ({ of }) => {
    const result = await of.finished(await of.add('work', { do: 'parent', children: [] }), 20000);
    assert.deepEqual(result, { unprocessed: [], processed: {}, ignored: {}, failed: [], stage: 1 });
  });

  await scenario('a child that was completed before, on its own, gives its result', async ({ of, below, child, node, key }) => {
    node(async () => 'early');
    await below.finished(await below.add('work', {}, { jobId: 'a' }), 20000);
    const result = await of.finished(await of.add('work', { do: 'parent', children: [child('a', {})] }), 20000);
    assert.deepEqual([result.processed, result.stage], [{ [key('a')]: 'early' }, 1]);
  });

  await scenario('children that are added again run once, even when nothing of them was kept', async ({ of, below, child, node, key }) => {
    const started = [];
    const job = await of.add('work', { do: 'parent', times: 3, children: [child('a', {}, { removeOnComplete: true }), child('b', {}), child('c', {}, { removeOnFail: true, ignoreDependencyOnFailure: true })] });
    await waiting(of, job);
    node(async ({ id }) => { started.push(id); if (id === 'c') throw new Error('no film'); return id; });
    const result = await of.finished(job, 20000);
    assert.deepEqual([result.processed, result.ignored, result.stage], [{ [key('a')]: 'a', [key('b')]: 'b' }, { [key('c')]: 'no film' }, 2]);
    assert.deepEqual(started.sort(), ['a', 'b', 'c']);
    assert.equal(await below.queue.getJobCountByTypes('wait', 'delayed', 'prioritized', 'active'), 0);
  });

  for (const [option, check] of Object.entries({
    ignoreDependencyOnFailure: (result, key) => assert.deepEqual([result.ignored, Object.keys(result.processed), result.unprocessed], [{ [key('bad')]: 'no film' }, [key('good')], []]),
    continueParentOnFailure: (result, key) => assert.deepEqual(result.ignored, { [key('bad')]: 'no film' }),
    removeDependencyOnFailure: (result, key) => assert.deepEqual([result.ignored, Object.keys(result.processed), result.unprocessed], [{}, [key('good')], []]),
  }))
    await scenario(`after its attempts a failed child lets the parent go on: ${option}`, async ({ of, below, child, node, key }) => {
      const job = await of.add('work', { do: 'parent', children: [child('bad', {}, { attempts: 2, backoff: 10, [option]: true }), child('good', {})] });
      await waiting(of, job);
      node(async ({ id }) => { if (id === 'bad') throw new Error('no film'); return id; });
      // One that is told to go on at once may find the other one still to be done, and waits again.
      check(await of.finished(job, 20000), key);
      assert.equal((await below.queue.getJob('bad')).attemptsMade, 2);
    });

  await scenario('a failed child makes a parent that waits fail: failParentOnFailure', async ({ of, child, node, key }) => {
    const job = await of.add('work', { do: 'parent', children: [child('bad', {}, { failParentOnFailure: true })] }, { attempts: 3 });
    await waiting(of, job);
    node(async () => { throw new Error('no film'); });
    await assert.rejects(of.finished(job, 20000), new RegExp(`child ${key('bad')} failed`));
    assert.equal((await of.queue.getJob(job.id)).data.stage, 1);
  });

  await scenario('a parent whose child failed before it waits is told so, and no retry helps', async ({ of, child, node, ours }) => {
    node(async () => { throw new Error('no film'); });
    const job = await of.add('work', { do: 'parent', durationMs: 800, children: [child('bad', {}, { failParentOnFailure: true })] }, { attempts: 3 });
    await assert.rejects(of.finished(job, 20000), /at least one of its children failed/);
    assert.match(ours.output.stderr, new RegExp(`error 0 of ${job.id}:`));
    assert.equal((await of.queue.getJob(job.id)).attemptsMade, 1);
  });

  await scenario('a parent that waits has no place in its worker, which runs its child', async ({ of, parents }) => {
    const job = await of.add('work', { do: 'parent', children: [{ queue: parents, data: { do: 'ok' }, options: { jobId: 'inner' } }] });
    const result = await of.finished(job, 20000);
    assert.deepEqual(result.processed, { [`bull:${parents}:inner`]: { done: true } });
    const inner = await of.queue.getJob('inner');
    assert.ok(inner.processedOn >= job.timestamp);
  });

  await scenario('parents may have children that are parents', async ({ of, parents, child, node, key }) => {
    node(async ({ id }) => id);
    const inner = { queue: parents, data: { do: 'parent', children: [child('leaf', {})] }, options: { jobId: 'inner' } };
    const result = await of.finished(await of.add('work', { do: 'parent', children: [inner] }, { jobId: 'outer' }), 20000);
    assert.deepEqual(result.processed[`bull:${parents}:inner`].processed, { [key('leaf')]: 'leaf' });
  });

  await scenario('children that cannot be added are refused with the reason', async ({ of, below, child, parents, node }) => {
    const runner = node(async () => { throw new Error('no film'); });
    await assert.rejects(below.finished(await below.add('work', {}, { jobId: 'bad' }), 20000), /no film/);
    await runner.close();
    const other = await of.add('work', { do: 'parent', children: [child('theirs', {})] });
    await waiting(of, other);
    for (const [options, reason] of [
      [{ jobId: 'theirs' }, /the child of another job/],
      [{ jobId: 'bad' }, /it has failed already/],
      [{}, /needs the option jobId/],
      [{ jobId: '17' }, /whole number/],
      [{ jobId: 'a', deduplication: { id: 'x' } }, /deduplication/],
      [{ jobId: 'a', ignoreDependencyOnFailure: true, failParentOnFailure: true }, /Only one of the options/],
    ]) {
      const job = await of.add('work', { do: 'parent', children: [{ queue: below.queue.name, data: {}, options }] }, { attempts: 2 });
      await assert.rejects(of.finished(job, 20000), reason);
      assert.equal((await of.queue.getJob(job.id)).attemptsMade, 1);
    }
  });

  await scenario('a parent whose lock somebody else has writes nothing and lets go', async ({ of, parents, child, ours }) => {
    const job = await of.add('work', { do: 'parent', durationMs: 1500, children: [child('a', {})] });
    await until(() => ours.output.stderr.includes('child '), 'the child to be added');
    await client.set(`bull:${parents}:${job.id}:lock`, 'somebody else', 'PX', 60000);
    await until(() => ours.output.stderr.includes(`error 6 of ${job.id}:`), 'the parent to be let go');
    assert.equal(await job.getState(), 'active');
    assert.equal(await client.get(`bull:${parents}:${job.id}:lock`), 'somebody else');
    assert.deepEqual(await of.finished(await of.add('work', { do: 'ok' }), 20000), { done: true });
    await client.del(`bull:${parents}:active`);
  });

  await scenario('a parent whose hash is gone lets go', async ({ of, parents, child, ours }) => {
    const job = await of.add('work', { do: 'parent', durationMs: 1000, children: [child('a', {})] });
    await until(() => ours.output.stderr.includes('child '), 'the child to be added');
    await client.del(`bull:${parents}:${job.id}`);
    await until(() => ours.output.stderr.includes(`error 6 of ${job.id}:`), 'the parent to be let go');
    assert.deepEqual(await of.finished(await of.add('work', { do: 'ok' }), 20000), { done: true });
    await client.del(`bull:${parents}:active`, `bull:${parents}:${job.id}:lock`);
  });

  await scenario('a job that delays itself runs again when its time has come, at no attempt', async ({ of }) => {
    const job = await of.add('work', { do: 'delay', durationMs: 700 });
    await until(async () => await job.getState() === 'delayed', 'the job to be delayed');
    assert.deepEqual(await of.finished(await of.add('work', { do: 'ok' }), 20000), { done: true });
    assert.deepEqual(await of.finished(job, 20000), { done: true });
    const seen = await of.queue.getJob(job.id);
    assert.deepEqual([seen.attemptsMade, seen.attemptsStarted, seen.data.stage], [1, 2, 1]);
    assert.ok(seen.processedOn >= job.timestamp + 700, 'it ran early');
  });

  await scenario('SIGTERM leaves a parent that waits where it is, and the next worker goes on with it', async ({ of, parents, child, node, key, ours }) => {
    const job = await of.add('work', { do: 'parent', children: [child('a', {})] });
    await waiting(of, job);
    await stop(ours);
    assert.equal(await job.getState(), 'waiting-children');
    node(async () => 7);
    await until(async () => await job.getState() === 'waiting', 'the child to end');
    const next = worker(parents);
    assert.deepEqual((await of.finished(job, 20000)).processed, { [key('a')]: 7 });
    await stop(next);
  });

  await scenario('a parent whose worker was killed is resumed with its children', async ({ of, parents, child, node, key, ours }) => {
    const started = [];
    const job = await of.add('work', { do: 'parent', durationMs: 20000, children: [child('a', {}), child('b', {}, { removeOnComplete: true })] });
    await until(() => ours.output.stderr.match(/child /g)?.length === 2, 'the children to be added');
    ours.kill('SIGKILL');
    await ours.ended;
    node(async ({ id }) => { started.push(id); return id; });
    await until(() => started.length === 2, 'the children to run');
    await job.updateData({ ...(await of.queue.getJob(job.id)).data, durationMs: 0 });
    const next = worker(parents, fast);
    const result = await of.finished(job, 30000);
    assert.deepEqual([result.processed, result.stage], [{ [key('a')]: 'a', [key('b')]: 'b' }, 2]);
    assert.deepEqual(started.sort(), ['a', 'b']);
    await stop(next);
  }, fast);

  await scenario('a restart of Redis while a parent is busy costs nothing', async ({ of, child, node, key }) => {
    node(async ({ id }) => id);
    const job = await of.add('work', { do: 'parent', durationMs: 600, children: [child('a', {}), child('b', {}, { delay: 300 })] });
    await until(async () => await of.queue.getActiveCount() === 1, 'the parent to run');
    await redis.restart();
    const result = await of.finished(job, 30000);
    assert.deepEqual(result.processed, { [key('a')]: 'a', [key('b')]: 'b' });
  });

  await scenario('connections that break under load lose no parent and run no child twice', async ({ of, below, parents, child, node }) => {
    const started = [];
    node(async ({ id }) => { started.push(id); if (id.endsWith('bad')) throw new Error('no film'); return id; }, 4);
    const total = 200;
    const jobs = await of.queue.addBulk(Array.from({ length: total }, (_, i) => ({ name: 'work', data: { do: 'parent', children: [
      child(`${i}-a`, {}, { removeOnComplete: true }), child(`${i}-b`, {}), child(`${i}-bad`, {}, { ignoreDependencyOnFailure: true }),
    ] } })));
    let kills = 0;
    await client.client('SETNAME', 'node');
    for (let i = 0; i < 40 && await of.queue.getCompletedCount() < total; i++) {
      const list = String(await client.client('LIST')).split('\n').map(line => Object.fromEntries(line.split(' ').map(pair => pair.split('='))));
      for (const { id } of list.filter(({ id, name }) => id && (!name || name === `bull:${Buffer.from(parents).toString('base64')}`))) {
        await client.client('KILL', 'ID', id).catch(() => {});
        kills++;
      }
      await sleep(20);
    }
    await until(async () => await of.queue.getCompletedCount() === total, 'all parents to complete', 40000);
    for (const { id } of jobs) {
      const { returnvalue } = await of.queue.getJob(id);
      assert.deepEqual([Object.keys(returnvalue.processed).length, Object.keys(returnvalue.ignored).length, returnvalue.unprocessed], [2, 1, []]);
    }
    assert.equal(new Set(started).size, started.length, 'a child ran twice');
    assert.equal(started.length, 3 * total);
    diagnose(`${kills} connections were broken`);
  }, { WORKER_CONCURRENCY: '5' });

  client.disconnect();
  await redis.stop();
});
