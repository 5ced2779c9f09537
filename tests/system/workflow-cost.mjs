// SPDX-License-Identifier: LGPL-2.1-or-later
// What the advanced workflow decodes, step by step, on the whole sample film, and whether all that it makes is what it says.
import assert from 'node:assert/strict';
import path from 'node:path';
import { daemonEnvironment, ffprobe, isFastStart, litShare, main, readCues, run, sampleFilm, temporaryFolder, test } from './lib.mjs';

const folder = temporaryFolder('workflow-cost');
const output = path.join(folder, 'out');
const environment = { ...daemonEnvironment(path.join(folder, 'settings')), LC_ALL: 'C.UTF-8' };

// Pictures decoded for each picture of the film. A step that is missing here must decode nothing.
const bounds = {
  'process transcode': [1, 'every picture once'],
  'process check': [0.1, 'key frames, and the groups that begin within the last 3 s'],
  'thumbnails analyse': [1, 'every picture once, for all that follows, and for the tiles of the storyboard'],
  'thumbnails thumbnails': [0.5, 'five pictures, each from the key frame before it'],
  'thumbnails storyboard': [0, 'the analysis has made it'],
  'highlights analyse': [0, 'it is there already'],
  'highlights highlights': [0, 'numbers only'],
  'shorts shorts': [0.55, 'three parts, each from the key frame before it'],
  'shorts check': [0.33, 'no more than the shorts have'],
};
const whole = [3.2, 'the film, its analysis, and what the parts need'];

async function streamsOf(file) {
  const { format, streams } = await ffprobe(file, '-count_packets');
  const of = type => streams.filter(({ codec_type: kind }) => kind === type);
  return { duration: Number(format.duration), count: streams.length, video: of('video')[0], audio: of('audio')[0] };
}

async function probeFilm(file, { width, height, seconds, sound = seconds, rate }) {
  const { duration, count, video, audio } = await streamsOf(file);
  const frame = 1 / rate;

  assert.equal(count, 2, file);
  assert.deepEqual([video.codec_name, video.pix_fmt, video.width, video.height, video.sample_aspect_ratio ?? '1:1'],
    ['h264', 'yuv420p', width, height, '1:1'], file);
  assert.deepEqual([audio.codec_name, audio.channels], ['aac', 2], file);
  assert.ok(Math.abs(duration - seconds) <= frame + 0.025, `${file} lasts ${duration} s, not ${seconds}`);
  assert.ok(Math.abs(Number(video.nb_read_packets) - seconds / frame) <= 1.001, `${file} has ${video.nb_read_packets} pictures`);
  assert.ok(Math.abs(Number(audio.duration) - sound) <= frame + 0.025, `${file} has ${audio.duration} s of sound`);
  assert.ok(isFastStart(file), file);
}

await main(async () => {
  const source = await streamsOf(sampleFilm);
  const frames = Number(source.video.nb_read_packets), rate = Number.parseInt(source.video.avg_frame_rate, 10);
  let steps;

  await test('the advanced workflow decodes no more of the film than each step needs', async () => {
    const { status, stdout, stderr } = await run('derush',
      ['workflow', 'run', 'video_transformation_advanced', sampleFilm, '-o', output, '--skip', 'transcription', '--json'], { environment });

    assert.equal(status, 0, stderr + stdout);
    steps = Object.fromEntries(JSON.parse(stdout.trimEnd().split('\n').at(-1)).returnvalue.steps
      .map(({ id, returnvalue }) => [id, returnvalue]));
    const faults = [];
    let all = 0;
    for (const [id, value] of Object.entries(steps)) {
      for (const [name, { decodedFrames, cpuTime }] of Object.entries(value?.cost ?? {})) {
        const [bound, reason] = bounds[`${id} ${name}`] ?? [0, 'looks at no picture'];
        const share = decodedFrames / frames;
        const line = `${`${id} ${name}`.padEnd(24)} ${share.toFixed(3)} of the film decoded, at most ${bound.toFixed(3)} (${reason}); ${cpuTime} s`;

        process.stdout.write(`# ${line}\n`);
        all += share;
        if (share > bound + 0.002) faults.push(line);
      }
    }
    process.stdout.write(`# ${'all'.padEnd(24)} ${all.toFixed(3)} of the film decoded, at most ${whole[0].toFixed(3)} (${whole[1]})\n`);
    assert.deepEqual(faults, []);
    assert.ok(all <= whole[0], `${all}`);
    // What counts nothing would pass every bound.
    assert.equal(steps.process.cost.transcode.decodedFrames, frames);
    assert.equal(steps.thumbnails.cost.analyse.decodedFrames, frames);
    assert.ok(steps.shorts.cost.shorts.decodedFrames > 0 && steps.process.cost.check.decodedFrames > 0);
  });
  await test('its film and its shorts have the size, length, streams and number of pictures that they say', async () => {
    await probeFilm(steps.process.outputPath, { width: 1280, height: 720, seconds: frames / rate, sound: Number(source.audio.duration), rate });
    assert.equal(steps.shorts.shorts.length, 3);
    for (const { filePath, startTime, endTime } of steps.shorts.shorts)
      await probeFilm(filePath, { width: 1080, height: 1920, seconds: endTime - startTime, rate });
  });
  await test('its thumbnails and its storyboard are pictures of the sizes that they say', async () => {
    const { thumbnails, storyboard } = steps.thumbnails;
    const cues = readCues(storyboard.vtt);

    assert.equal(thumbnails.length, 5);
    for (const { filePath, width, height } of thumbnails) {
      const { count, video } = await streamsOf(filePath);
      assert.deepEqual([count, video.codec_name, video.width, video.height], [1, 'mjpeg', width, height]);
      assert.deepEqual([width, height], [640, 360]);
      assert.ok(litShare(filePath) > 0.05, filePath);
    }
    assert.equal(storyboard.pages.length, 1);
    const { video } = await streamsOf(storyboard.pages[0]);
    assert.deepEqual([video.codec_name, video.width, video.height], ['mjpeg', 1600, 540]);
    assert.equal(cues.length, Math.ceil(frames / rate));
  });
});
