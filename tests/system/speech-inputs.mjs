// SPDX-License-Identifier: LGPL-2.1-or-later
// TRANSCRIPTION and VOICEOVER over the films and sounds that people really have: words in the centre of six channels, in two
// channels that extinguish each other, behind an offset, very quiet, in old and odd formats, in containers whose times begin
// anywhere; and what is no sound at all. Words, their times and the pictures are compared with what was put in.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ffmpeg, ffprobe, main, openQueue, removeFolder, run, startDaemon, startRedis, temporaryFolder, test } from './lib.mjs';

const folder = temporaryFolder('speech-inputs');
const at = name => path.join(folder, name);
const said = 'The museum opens at nine in the morning. Please do not touch the paintings.';
const start = 1.5; // of the voice in everything that is made here

function words(text) {
  return text.toLowerCase().replace(/[^\p{L}\p{N} ]+/gu, '').split(/\s+/).filter(Boolean);
}

const heardOf = text => words(said).filter(word => words(text).includes(word)).length / words(said).length;

await main(async () => {
  const redis = await startRedis();
  const daemon = await startDaemon(redis, { roots: [folder], queues: ['ai-processing'] });
  const models = await openQueue(redis, 'ai-processing');
  const job = async (type, data) => models.finished(await models.add(type, { outputDir: at('out'), ...data }));

  const spoken = await job('VOICEOVER', { videoId: 'voice', text: said, voice: 'rms', language: 'en', format: 'wav' });

  await ffmpeg('-i', spoken.filePath, '-af', `adelay=${start * 1000},apad=pad_dur=1,aresample=44100`, '-ac', '1', at('voice.wav'));
  await ffmpeg('-f', 'lavfi', '-i', 'testsrc2=s=160x120:r=25:d=8', '-i', at('voice.wav'), '-c:v', 'libx264', '-preset', 'veryfast', '-bf', '3',
    '-g', '50', '-c:a', 'aac', '-ar', '48000', '-t', '8', at('film.mp4'));

  const music = 'anoisesrc=c=pink:a=0.2:r=44100:d=8';
  const inputs = [
    ['inverted.m4a', ['-i', at('voice.wav'), '-af', 'pan=stereo|c0=c0|c1=-1*c0', '-b:a', '192k']],
    ['centre.mkv', ['-i', at('voice.wav'), '-f', 'lavfi', '-i', music, '-filter_complex',
      '[0]pan=5.1|FC=c0[v];[1]pan=5.1|FL=c0|FR=c0|BL=c0|BR=c0[m];[v][m]amix=2:normalize=0', '-c:a', 'ac3']],
    ['quiet.flac', ['-i', at('voice.wav'), '-af', 'volume=-28dB', '-sample_fmt', 's32']],
    ['offset.wav', ['-i', at('voice.wav'), '-af', 'aeval=val(0)*0.5+0.3']],
    ['adpcm.wav', ['-i', at('voice.wav'), '-ar', '22050', '-c:a', 'adpcm_ima_wav']],
    ['odd.wav', ['-i', at('voice.wav'), '-af', 'apad,atrim=end_sample=330001', '-c:a', 'pcm_s24le']],
    ['film.ts', ['-i', at('film.mp4'), '-c', 'copy', '-output_ts_offset', '95440']],
  ];

  await test('the words are found wherever and however they are in a sound, with the times of the film', async () => {
    await Promise.all(inputs.map(([name, options]) => ffmpeg(...options, at(name))));
    const results = await Promise.all(inputs.map(([name]) => job('TRANSCRIPTION', { videoId: name.replace('.', '-'), inputPath: at(name) })));

    for (const [index, [name]] of inputs.entries()) {
      const { text, timestamps, warnings } = results[index];
      assert.ok(heardOf(text) >= 0.7, `${name}: ${text}`);
      assert.ok(Math.abs(timestamps[0].start - start) < 0.2, `${name}: begins at ${timestamps[0].start}`);
      assert.deepEqual(warnings, [], name);
    }
  });

  await test('what is no sound fails at once and says why', async () => {
    fs.writeFileSync(at('empty.wav'), '');
    fs.writeFileSync(at('text.mp4'), said);
    fs.writeFileSync(at('half.mp4'), fs.readFileSync(at('film.mp4')).subarray(0, 20000));
    for (const [name, reason] of [['empty.wav', /is empty/], ['text.mp4', /no film/], ['half.mp4', /damaged or no film/]]) {
      const added = await models.add('TRANSCRIPTION', { inputPath: at(name), outputDir: at('out') }, { attempts: 3, backoff: 10 });
      await assert.rejects(models.finished(added), reason);
      assert.equal((await models.queue.getJob(added.id)).attemptsMade, 1);
    }
  });

  await test('a voice leaves the pictures of every film as they are and where they are', async () => {
    await ffmpeg('-ss', '0.7', '-i', at('film.mp4'), '-c', 'copy', at('cut.mp4'));
    await ffmpeg('-i', at('film.mp4'), '-c', 'copy', at('film.mkv'));
    const pictures = async file => {
      const { stdout } = await run('ffmpeg', ['-v', 'error', '-nostdin', '-i', file, '-map', '0:v', '-fps_mode', 'passthrough', '-f', 'framemd5', '-']);
      return stdout.split('\n').filter(line => line && !line.startsWith('#')).map(line => line.split(',').at(-1).trim());
    };

    for (const [name, copied, length] of [['film.mp4', true, 8], ['film.mkv', true, 8], ['film.ts', true, 8], ['cut.mp4', false, 7.3]]) {
      const result = await job('VOICEOVER', { videoId: `voiced-${name.replace('.', '-')}`, inputPath: at(name),
        text: '<p>Hello &amp; <b>welcome</b>.</p>', voice: 'RMS', format: 'wav', mix: { targetLufs: -16 } });
      const { format } = await ffprobe(result.mixedPath);

      assert.equal(result.pictureCopied, copied, name);
      assert.ok(Math.abs(Number(format.duration) - length) < 0.1, `${name}: ${format.duration} s`);
      assert.ok(Math.abs(result.loudness + 16) < 1 && result.truePeak <= -1, `${name}: ${result.loudness} LUFS, ${result.truePeak} dBTP`);
      if (copied) assert.deepEqual(await pictures(result.mixedPath), await pictures(at('film.mp4')), name);
      else assert.ok((await pictures(result.mixedPath)).length >= 180, name);
    }
  });

  await models.close();
  const { status } = await daemon.stop();
  await redis.stop();
  assert.equal(status, 0);
  removeFolder(folder);
});
