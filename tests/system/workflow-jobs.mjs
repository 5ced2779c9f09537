// SPDX-License-Identifier: LGPL-2.1-or-later
// WORKFLOW_EXECUTION from Node: whole workflows on real film, progress, failures, cancelling, daemons that die, two daemons.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { cutSample, ffprobe, listFiles, main, openQueue, run, startDaemon, startRedis, temporaryFolder, test, until } from './lib.mjs';

const folder = temporaryFolder('workflow-jobs');
const statuses = steps => Object.fromEntries(steps.map(({ id, status }) => [id, status]));

async function whole(queue, film) {
  await test('video_transformation_basic runs to its end', async () => {
    const output = path.join(folder, 'basic');
    const job = await queue.add('WORKFLOW_EXECUTION', { templateId: 'video_transformation_basic', executionId: 'basic1', userId: 'u1',
      input: { videoId: 'v1', videoUrl: film, outputDir: output } });
    const value = await queue.finished(job);

    assert.equal(value.executionId, 'basic1');
    assert.equal(value.status, 'COMPLETED');
    assert.deepEqual(value.steps.map(({ id, jobType, jobId, status, attempts, error }) => [id, jobType, jobId, status, attempts, error]), [
      ['process', 'VIDEO_PROCESSING', 'basic1-process', 'COMPLETED', 1, null],
      ['thumbnails', 'THUMBNAIL_GENERATION', 'basic1-thumbnails', 'COMPLETED', 1, null]]);
    assert.deepEqual(value.outputs.map(({ path: file }) => path.basename(file)).sort(), listFiles(output).sort());
  });
}

await main(async () => {
  const film = await cutSample(path.join(folder, 'film.mp4'), 5, 14);
  const redis = await startRedis();
  const daemon = await startDaemon(redis, { roots: [folder], queues: ['video-processing', 'ai-processing'] });
  const queue = await openQueue(redis);

  await whole(queue, film);
  fs.writeFileSync('/tmp/wfd.log', daemon.output.stderr);
  await queue.close();
  await daemon.stop();
  await redis.stop();
});
