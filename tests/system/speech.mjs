// SPDX-License-Identifier: LGPL-2.1-or-later
// TRANSCRIPTION and VOICEOVER by real jobs, without any key: what the local engines speak is heard again, two sounds say two
// things and a silent film says nothing, subtitles have the times of the film, and a voice makes room for itself in a film.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ffmpeg, ffprobe, listFiles, main, makeFilm, openQueue, readCues, removeFolder, run, startDaemon, startRedis, temporaryFolder,
  test } from './lib.mjs';

const folder = temporaryFolder('speech');
const at = name => path.join(folder, name);
const spoken = {
  garden: 'The children are playing in the garden. Their mother is reading a book under the tree. It is a warm day in summer.',
  money: 'The company lost a lot of money last year. The president said that he would sell the old building in the city.',
};

function words(text) {
  return text.toLowerCase().replace(/[^\p{L}\p{N} ]+/gu, '').split(/\s+/).filter(Boolean);
}

/** Wrong, missing and superfluous words, over those that were said. */
function wordErrorRate(said, heard) {
  const a = words(said), b = words(heard);
  let row = b.map((_, k) => k + 1);

  row.unshift(0);
  for (const [i, word] of a.entries()) {
    const next = [i + 1];
    for (const [k, other] of b.entries()) next.push(Math.min(next[k] + 1, row[k + 1] + 1, row[k] + (word === other ? 0 : 1)));
    row = next;
  }
  return row.at(-1) / a.length;
}

async function durationOf(file) {
  return Number((await ffprobe(file)).format.duration);
}

/** In dB, of what a narrow filter around @frequency leaves of @start to @end. */
async function levelOf(file, frequency, start, end) {
  const { stderr } = await run('ffmpeg', ['-hide_banner', '-nostdin', '-i', file, '-map', '0:a', '-af',
    `atrim=${start}:${end},bandpass=f=${frequency}:width_type=h:w=40,bandpass=f=${frequency}:width_type=h:w=40,volumedetect`, '-f', 'null', '-']);

  return Number(/mean_volume: (-?[\d.]+) dB/.exec(stderr)[1]);
}

await main(async () => {
  const redis = await startRedis();
  const daemon = await startDaemon(redis, { roots: [folder], queues: ['ai-processing'] });
  const models = await openQueue(redis, 'ai-processing');
  const job = async (type, data) => models.finished(await models.add(type, { outputDir: at('out'), ...data }));
  const failed = async (type, data) => {
    const added = await models.add(type, data, { attempts: 3, backoff: 10 });
    await assert.rejects(models.finished(added));
    return models.queue.getJob(added.id);
  };
  const local = ({ provider, degraded }) => assert.deepEqual([provider, degraded], ['local', false]);
  const voices = {};

  await test('a text is spoken, in every shape that backends send and in every format', async () => {
    const shapes = [
      ['garden', { videoId: 'garden', text: spoken.garden, voice: 'rms', language: 'en', format: 'wav', speed: 1.0, pitch: 0, quality: 'medium' }, 'pcm_s16le'],
      ['money', { projectId: 'p', sceneId: 's', narrationScript: spoken.money, voiceId: 'rms', provider: '', format: 'flac' }, 'flac'],
      ['mp3', { text: 'One two three.', voice: '', format: 'mp3' }, 'mp3'],
      ['opus', { voiceoverRequest: { text: 'One two three.', format: 'ogg', speed: 1.5 } }, 'opus'],
      ['m4a', { text: 'One two three.', format: 'm4a', speed: 0.5 }, 'aac'],
    ];

    for (const [name, data, codec] of shapes) {
      const result = await job('VOICEOVER', data);

      local(result);
      assert.match(result.engine, /^flite-/);
      assert.equal((await ffprobe(result.filePath)).streams[0].codec_name, codec);
      assert.ok(Math.abs(await durationOf(result.filePath) - result.duration) < 0.1);
      assert.equal(result.size, fs.statSync(result.filePath).size);
      voices[name] = result;
    }
    assert.ok(voices.m4a.duration > 1.8 * voices.opus.duration, 'speed is heard');
  });
  await ffmpeg('-f', 'lavfi', '-i', 'testsrc=s=160x90:r=25', '-i', voices.garden.filePath, '-itsoffset', '2', '-i', voices.garden.filePath,
    '-map', '0:v', '-map', '2:a', '-t', String(voices.garden.duration + 2), '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', at('garden.mp4'));
  fs.copyFileSync(voices.money.filePath, at('money.flac'));
  await makeFilm(at('silent.mp4'), { seconds: 2, audio: 'anullsrc=r=48000:cl=mono' });
  await makeFilm(at('mute.mp4'), { seconds: 2, audio: null, options: ['-an'] });

  const heard = {};
  await test('two sounds say two things, word by word', async () => {
    const shapes = [
      ['garden', { videoId: 'v1', videoUrl: at('garden.mp4') }],
      ['money', { videoId: 'v2', audioUrl: at('money.flac'), language: 'en', options: { format: 'json', includeTimestamps: true,
        includeConfidence: true, speakerDiarization: false, customVocabulary: [] } }],
    ];

    for (const [name, data] of shapes) {
      const result = heard[name] = await job('TRANSCRIPTION', data);

      local(result);
      assert.equal(result.engine, 'pocketsphinx-en-us');
      assert.equal(result.language, 'en');
      assert.equal(result.wordCount, words(result.text).length);
      assert.equal(result.hasTimestamps, true);
      assert.deepEqual([result.hasSpeakers, result.speakers], [false, []]);
      assert.deepEqual(result.warnings, []);
    }
    assert.ok(wordErrorRate(spoken.garden, heard.garden.text) <= 0.25, heard.garden.text);
    assert.ok(wordErrorRate(spoken.money, heard.money.text) <= 0.25, heard.money.text);
    assert.ok(wordErrorRate(heard.garden.text, heard.money.text) > 0.7);
  });
  await test('words have the times of the film, ascending, and so have the cues of every format', async () => {
    const { timestamps, files, duration } = heard.garden;
    const all = timestamps.flatMap(({ words: list }) => list);
    const data = JSON.parse(fs.readFileSync(files.json, 'utf8'));
    const cues = readCues(files.vtt);

    // The film's sound is the voice, two seconds later.
    const alone = (await job('TRANSCRIPTION', { videoId: 'alone', audioUrl: voices.garden.filePath })).timestamps.flatMap(({ words: list }) => list);
    const same = all.filter(({ word }, i) => [i - 1, i, i + 1].every(k => all[k]?.word === alone[k]?.word) && word);
    const late = same.map(one => [one, alone[all.indexOf(one)]]).filter(([one, other]) => Math.abs(one.start - other.start - 2) > 0.05 || Math.abs(one.end - other.end - 2) > 0.05);
    assert.ok(same.length >= 5, JSON.stringify([all, alone]));
    assert.deepEqual(late, []);
    for (const [i, { start, end, word, confidence }] of all.entries()) {
      assert.ok(word && start <= end && start >= (all[i - 1]?.start ?? 0) && end <= duration + 0.05);
      assert.ok(confidence >= 0 && confidence <= 1);
    }
    assert.equal(fs.readFileSync(files.txt, 'utf8').trim(), heard.garden.text);
    assert.equal(data.cues.length, cues.length);
    assert.equal(data.cues.map(({ text }) => text.replaceAll('\n', ' ')).join(' '), heard.garden.text);
    for (const file of [files.srt, files.vtt, files.ass]) {
      const { packets } = JSON.parse((await run('ffprobe', ['-v', 'error', '-show_packets', '-of', 'json', file])).stdout);

      assert.equal(packets.length, cues.length);
      for (const [i, { pts_time: time }] of packets.entries()) assert.ok(Math.abs(Number(time) - data.cues[i].start) <= 0.011, file);
    }
  });
  await test('films without sound and silent ones are a success with an empty text and a warning', async () => {
    for (const [name, warning] of [['mute.mp4', /no sound/], ['silent.mp4', /silent/]]) {
      const result = await job('TRANSCRIPTION', { videoId: name, videoUrl: at(name) });

      assert.deepEqual([result.success, result.text, result.timestamps, result.wordCount], [true, '', [], 0]);
      assert.match(result.warnings.join('\n'), warning);
      assert.deepEqual(Object.values(result.files), ['', '', '', '', '']);
    }
    assert.match((await failed('TRANSCRIPTION', { videoUrl: at('mute.mp4'), requireAudio: true })).failedReason, /no sound/);
  });
  await test('a language that no engine has is refused for good', async () => {
    const { failedReason, attemptsMade } = await failed('TRANSCRIPTION', { audioUrl: at('money.flac'), language: 'fr' });

    assert.match(failedReason, /fr\b|French|language/i);
    assert.doesNotMatch(failedReason, /\n/);
    assert.equal(attemptsMade, 1);
  });
  await test('speech of another language is refused for good when nobody named one, and analyses do without it', async () => {
    await run('espeak-ng', ['-v', 'pl', '-w', at('polish.wav'), 'Muzeum jest otwarte od dziewiątej rano do szóstej wieczorem. Dzieci poniżej '
      + 'dwunastego roku życia wchodzą za darmo, ale muszą być z dorosłym. Proszę nie dotykać obrazów.']);
    const { failedReason, attemptsMade, stacktrace } = await failed('TRANSCRIPTION', { audioUrl: at('polish.wav') });

    assert.match(failedReason, /not to be English/);
    assert.equal(attemptsMade, 1);
    assert.match(stacktrace.join('\n'), /unsupported-language: .*confidence 0\.\d+/);
    const named = await job('TRANSCRIPTION', { audioUrl: at('polish.wav'), language: 'en', videoId: 'named' });
    assert.ok(named.wordCount > 8 && named.language === 'en', named.text);
    await makeFilm(at('picture.mp4'), { seconds: 11, audio: null, options: ['-an'] });
    await ffmpeg('-i', at('picture.mp4'), '-i', at('polish.wav'), '-c:v', 'copy', '-c:a', 'aac', '-shortest', at('polish.mp4'));
    const analysis = await job('AI_ANALYSIS', { videoUrl: at('polish.mp4'), analysisTypes: ['summary'] });
    assert.equal(analysis.success, true);
    assert.match(analysis.warnings.join('\n'), /unsupported-language/);
    assert.doesNotMatch(analysis.result.summary, /without speech/);
  });
  await test('cues are spoken in their times, and mixed into a film that makes room and keeps its length and picture', async () => {
    await makeFilm(at('film.mp4'), { seconds: 16, audio: 'sine=f=3500:r=48000:sample_rate=48000' });
    const cues = [{ start: 2, end: 5, text: 'The dog is in the garden.' }, { start: 9, end: 10.4, text: 'My mother is reading a book under the old tree.' }];
    const result = await job('VOICEOVER', { videoId: 'v1', videoUrl: at('film.mp4'), voice: 'rms', cues, mix: { duckDb: -14, keepBackground: true, targetLufs: -16 } });
    const film = await ffprobe(at('film.mp4')), mixed = await ffprobe(result.mixedPath);
    const picture = ({ streams }) => streams.find(({ codec_type: type }) => type === 'video');

    local(result);
    assert.deepEqual(result.cues.map(({ start, end, text }) => ({ start, end, text })), cues);
    for (const [i, { spokenStart, drift }] of result.cues.entries()) assert.ok(Math.abs(spokenStart - cues[i].start) < 0.05 && drift < 0.05);
    assert.equal(result.cues[0].speed, 1);
    assert.ok(result.cues[1].speed > 1.1 && result.cues[1].speed <= 1.35);
    assert.ok(Math.abs(mixed.format.duration - film.format.duration) < 0.1);
    assert.equal(picture(mixed).nb_frames, picture(film).nb_frames);
    assert.equal(result.pictureCopied, true);
    assert.ok(Math.abs(result.loudness + 16) < 1, `${result.loudness} LUFS`);
    assert.ok(result.truePeak <= -0.9);
    const beside = await levelOf(result.mixedPath, 3500, 12.5, 15.5), under = await levelOf(result.mixedPath, 3500, 2.4, 3.2);
    assert.ok(Math.abs(beside - under - 14) < 2.5, `${beside} dB beside, ${under} dB under the voice`);
    // What the tone of the film leaves of the words is little; the voice alone has the same times.
    const again = await job('TRANSCRIPTION', { audioUrl: result.filePath, videoId: 'again' });
    const all = again.timestamps.flatMap(({ words: list }) => list), second = all.filter(({ start }) => start > 7);
    assert.ok(Math.abs(all[0].start - 2) < 0.3 && Math.abs(second[0].start - 9) < 0.3, JSON.stringify(all));
    assert.ok(words(again.text).includes('garden') && words(again.text).includes('book'), again.text);
  });
  await test('of a sound a sound is made, and without the background only the voice is heard', async () => {
    const result = await job('VOICEOVER', { videoId: 'alone', audioUrl: at('money.flac'), text: 'One two three.', voice: 'rms', format: 'mp3', mix: { keepBackground: false } });

    assert.match(result.mixedPath, /alone-voiceover-mix\.mp3$/);
    assert.equal((await ffprobe(result.mixedPath)).streams[0].codec_name, 'mp3');
    assert.ok(await durationOf(result.mixedPath) < 4);
  });
  await test('a voice that nobody has, and nothing to say, fail for good', async () => {
    const unknown = await failed('VOICEOVER', { text: 'Hello.', voice: 'nobody' });
    assert.match(unknown.failedReason, /nobody/);
    assert.equal(unknown.attemptsMade, 1);
    assert.match((await failed('VOICEOVER', { text: '' })).failedReason, /\/text is missing/);
    assert.match((await failed('VOICEOVER', { cues: [{ start: 3, end: 2, text: 'x' }] })).failedReason, /\/cues\/0/);
  });
  await models.close();
  const { status } = await daemon.stop();
  await redis.stop();
  assert.equal(status, 0);
  assert.ok(listFiles(at('out')).length > 0);
  removeFolder(folder);
});
