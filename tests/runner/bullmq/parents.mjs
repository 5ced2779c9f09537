// SPDX-License-Identifier: LGPL-2.1-or-later
// Parents in the worker of runner/bullmq and their children, seen and run by the real npm package.
import assert from 'node:assert/strict';
import { FlowProducer, Worker } from 'bullmq';
import { main, openQueue, sleep, start, startRedis, test, until } from '../../system/lib.mjs';

const [program] = process.argv.slice(2);
const fast = { WORKER_LOCK_DURATION: '1000', WORKER_STALLED_INTERVAL: '400' };

main(async () => {
  const redis = await startRedis();
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
    const of = await openQueue(redis, parents), below = await openQueue(redis, children);
    const ours = worker(parents, environment);
    const others = [];
    const child = (jobId, data, options = {}) => ({ queue: children, data, options: { jobId, ...options } });
    const node = processor => { const made = new Worker(children, processor, { connection: redis.connection }); others.push(made); return made; };
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
    const flow = new FlowProducer({ connection: redis.connection });
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

  client.disconnect();
  await redis.stop();
});
