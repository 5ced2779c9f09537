// SPDX-License-Identifier: LGPL-2.1-or-later
// TRANSCRIPTION, TRANSLATION, VOICEOVER, AI_ANALYSIS, CONTENT_GENERATION and IMAGE_GENERATION in every shape of data that
// backends send, by real jobs, without any key: two films that say and show different things, and one that says nothing. With
// `--shared` the shapes are those of ../shared/jobs/jobs.json.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { assertMembers, ffmpeg, ffprobe, fillShape, listFiles, main, makeFilm, need, openQueue, readCues, startDaemon, startRedis,
  temporaryFolder, test } from './lib.mjs';

const own = {
  TRANSCRIPTION: {
    data: { videoId: 'v1', audioUrl: '$AUDIO', outputDir: '$OUT', language: 'en', options: { format: 'json', includeTimestamps: true,
      includeConfidence: true, speakerDiarization: false, customVocabulary: [] } },
    also: [
      { videoId: 'v1', videoUrl: '$FILM' },
      { audioPath: '$AUDIO', id: 'v1' },
      { mediaId: 'v1', userId: 'u1', audioUrl: '$AUDIO', language: 'en', format: 'srt' },
    ],
    returns: { text: '', language: '', model: '', confidence: 0, hasTimestamps: true, timestamps: [{ start: 0, end: 0, text: '', words: [] }],
      hasSpeakers: false, speakers: [], wordCount: 0, files: { srt: '', vtt: '', json: '' } },
  },
  TRANSLATION: {
    data: { videoId: 'v1', originalText: 'La casa es grande y el perro duerme.', sourceLanguage: 'es', targetLanguage: 'pt', formality: 'NEUTRAL',
      context: '' },
    also: [{ videoId: 'v1', subtitlePath: '$OUT/v1.vtt', subtitleFormat: 'vtt', sourceLanguage: 'es', targetLanguages: ['pt', 'it'] }],
    returns: { originalText: '', translatedText: '', sourceLanguage: '', targetLanguage: '', model: '', confidence: 0, formality: '', wordCount: 0,
      characterCount: 0 },
  },
  VOICEOVER: {
    data: { videoId: 'v1', outputDir: '$OUT', text: 'This is a short test of the voice.', voice: '', language: 'en', format: 'mp3', speed: 1.0, pitch: 0,
      quality: 'medium' },
    also: [
      { projectId: 'p', sceneId: 's', narrationScript: 'This is a short test.', voiceId: '', provider: '' },
      { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', cues: [{ start: 2, end: 5, text: 'First line.' }, { start: 9, end: 13, text: 'Second line.' }],
        mix: { duckDb: -14, keepBackground: true, targetLufs: -16 } },
    ],
    returns: { audioUrl: '', filePath: '', duration: 0, format: '', size: 0, voice: '', cues: [], mixedPath: '' },
  },
  AI_ANALYSIS: {
    data: { videoId: 'v1', videoUrl: '$FILM', analysisTypes: ['summary', 'topics', 'chapters', 'moments', 'scene-detection', 'audio-analysis'],
      customPrompt: '', language: 'en' },
    also: [{ videoId: 'v1', videoUrl: '$FILM', analysisType: 'content-analysis' }],
    returns: { result: {}, confidence: 0, metadata: { model: '', provider: '', engine: '', degraded: false, processingTime: 0, timestamp: '',
      tokensUsed: 0 } },
  },
  CONTENT_GENERATION: {
    data: { videoId: 'v1', prompt: 'A film about a blue moon', options: { type: 'TITLE', tone: 'friendly', language: 'en', length: 'short',
      platform: 'YOUTUBE' }, brandProfile: { voice: 'warm', keywords: ['moon'], hashtags: ['#moon'] } },
    also: [{ prompt: '…', type: 'HASHTAGS', platform: 'INSTAGRAM' }],
    returns: { type: '', text: '', language: '', tone: '', length: '', wordCount: 0, characterCount: 0, metadata: {} },
  },
  IMAGE_GENERATION: {
    data: { prompt: 'a title card saying Blue Moon', outputDir: '$OUT', options: { count: 1, width: 640, height: 360, quality: 'medium', style: '',
      seed: 1 } },
    returns: { images: [{ id: '', filePath: '', url: '', filename: '', width: 640, height: 360, format: '', size: 0, metadata: { prompt: '',
      provider: '', engine: '', degraded: false } }] },
  },
};
const shapes = process.argv.includes('--shared') ? JSON.parse(fs.readFileSync(path.join(process.env.DERUSH_SHARED, 'jobs/jobs.json'), 'utf8')) : own;

const folder = temporaryFolder('types');
const at = (...names) => path.join(folder, ...names);
/** What the films say, one sentence every six seconds: three chapters of two. */
const spoken = {
  museum: ['The museum shows old paintings.', 'The paintings came from Italy.', 'The garden is full of roses.', 'The roses need a lot of water.',
    'The kitchen makes hot soup.', 'The soup is made of beans.'],
  river: ['The river was high after the rain.', 'The rain filled the river.', 'Two boats were lost in the storm.', 'The storm broke the boats.',
    'The people repaired the bridge.', 'The bridge is made of stone.'],
};
const pictures = { museum: 'testsrc2=s=320x180:r=12', river: 'gradients=s=320x180:r=12:c0=navy:c1=teal:x0=0:y0=0:x1=320:y1=180:n=2:speed=0.02' };
const names = ['museum', 'river', 'silent'];
const films = Object.fromEntries(names.map(name => [name, at(`${name}.mp4`)]));
const seconds = 36;
let jobs;

const run = async (type, data) => jobs.finished(await jobs.add(type, data, { attempts: 1 }));
const words = text => text.toLowerCase().replace(/[^\p{L}\p{N}\s]+/gu, '').split(/\s+/).filter(Boolean);
const common = { success: true, jobType: '', processingTime: 0, outputs: [{ role: '', path: '', size: 0, sha256: '' }], warnings: [''], versions: { derush: '' } };

/** Those of the type, with a film in place of $FILM and $AUDIO. */
function fill(type, name) {
  const { data, also = [] } = shapes[type];

  return [data, ...also].map((shape, i) => fillShape(shape, films[name], at('out', `${type}-${name}-${i}`)));
}

/** What every return value has, and who answered: nobody, where there was nothing to ask for. */
function assertReturned(type, result, { provider = 'local', engine, degraded = false }) {
  const said = type === 'IMAGE_GENERATION' ? result.images[0].metadata : result.metadata;

  assertMembers(result, common, type);
  assertMembers(result, shapes[type].returns, type);
  assert.deepEqual([result.success, result.jobType], [true, type]);
  for (const output of result.outputs) assert.equal(fs.statSync(output.path).size, output.size);
  assert.ok(JSON.stringify(result).length <= 16384, 'it is small enough for Redis');
  assertMembers(said, { model: '', provider: '', engine: '', degraded, processingTime: 0, timestamp: '', tokensUsed: 0 }, `${type}.metadata`);
  for (const where of [said, ...('engine' in result ? [result] : [])]) {
    assert.equal(where.provider, provider);
    assert.match(where.engine, engine);
    assert.equal(where.degraded, degraded);
  }
  if (degraded) assert.match(said.reason, /No model is configured/);
  else assert.ok(!('reason' in said));
}

const nobody = { provider: '', engine: /^$/ };

async function rejects(type, data, pattern) {
  await assert.rejects(run(type, data), error => {
    assert.match(error.message, pattern);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

/** The mean level of a part of the sound, in dB. */
async function levelOf(file, start, end) {
  const { stderr } = await need('ffmpeg', ['-hide_banner', '-nostdin', '-i', file, '-map', '0:a', '-af', `atrim=${start}:${end},volumedetect`, '-f', 'null', '-']);

  return Number(/mean_volume: (-?[\d.]+) dB/.exec(stderr)[1]);
}

function pixelsOf(file, ...args) {
  return execFileSync('ffmpeg', ['-v', 'error', '-nostdin', ...args, '-i', file, '-frames:v', '1', '-vf', 'scale=64:36', '-pix_fmt', 'rgb24', '-f', 'rawvideo', '-']);
}

/** How much two pictures differ, in steps of 255. */
function distance(one, two) {
  return one.reduce((sum, value, i) => sum + Math.abs(value - two[i]), 0) / one.length;
}

async function makeFilms() {
  await Promise.all(Object.entries(spoken).map(async ([name, sentences]) => {
    const cues = sentences.map((text, i) => ({ start: 0.5 + 6 * i, end: 5.5 + 6 * i, text }));
    const { filePath } = await run('VOICEOVER', { videoId: name, outputDir: at('voices'), cues, voice: 'rms', language: 'en', format: 'wav' });

    await ffmpeg('-f', 'lavfi', '-i', pictures[name], '-i', filePath, '-af', 'apad', '-t', String(seconds), '-c:v', 'libx264', '-preset', 'ultrafast',
      '-pix_fmt', 'yuv420p', '-c:a', 'aac', films[name]);
  }));
  await makeFilm(films.silent, { seconds: 14, audio: null, video: 'smptebars=s=320x180:r=12' });
}

/** The transcriptions of the films by name: what follows is made of them. */
async function transcription() {
  const heard = {};

  await test('TRANSCRIPTION hears in two films what each says, in every shape, and in a silent one nothing', async () => {
    for (const name of names) {
      const results = await Promise.all(fill('TRANSCRIPTION', name).map(data => run('TRANSCRIPTION', data)));

      [heard[name]] = results;
      for (const [i, result] of results.entries()) {
        assertReturned('TRANSCRIPTION', result, name === 'silent' ? nobody : { engine: /^pocketsphinx-en-us$/ });
        assert.equal(result.videoId, 'v1');
        assert.equal(result.text, heard[name].text, 'each shape says the same');
        assert.deepEqual([result.format, result.filePath], i < 3 ? ['json', result.files.json] : ['srt', result.files.srt]);
        assert.deepEqual([result.wordCount, result.language, result.hasSpeakers], name === 'silent' ? [0, i % 3 === 0 ? 'en' : '', false] :
          [words(result.text).length, 'en', false]);
      }
    }
    for (const [name, sentences] of Object.entries(spoken)) {
      const said = words(sentences.join(' ')), found = new Set(words(heard[name].text)), cues = readCues(heard[name].files.vtt);

      assert.ok(said.filter(word => !found.has(word)).length <= 0.2 * said.length, heard[name].text);
      assert.equal(cues.length, sentences.length, JSON.stringify(cues));
      for (const [i, { start }] of cues.entries()) assert.ok(Math.abs(start - 0.5 - 6 * i) < 0.3, `cue ${i} begins at ${start} s`);
      assert.ok(heard[name].confidence > 0.4 && heard[name].hasTimestamps);
      assert.deepEqual(heard[name].warnings, []);
    }
    assert.ok(heard.museum.text.includes('paintings') && !heard.river.text.includes('paintings'));
    assert.ok(heard.river.text.includes('bridge') && !heard.museum.text.includes('bridge'));
    assert.deepEqual([heard.silent.text, heard.silent.timestamps, heard.silent.cues, heard.silent.hasTimestamps, heard.silent.files.srt], ['', [], [], false, '']);
    assert.match(heard.silent.warnings.join(), /no sound/);
  });
  return heard;
}

async function translation(heard) {
  await test('TRANSLATION says in other languages what two films say, from a text, subtitles, a transcript and the film, and nothing of a silent one', async () => {
    const { data: text, also: [file] } = shapes.TRANSLATION;
    const known = { museum: [/museo/, /jardín/, /sopa/], river: [/río/, /tormenta/, /puente/] };
    const found = {};

    for (const name of ['museum', 'river']) {
      const { files: { vtt }, cues, text: originalText } = heard[name];
      const [plain, subtitles, transcript, film] = found[name] = await Promise.all([
        { ...text, originalText, sourceLanguage: 'en', targetLanguage: 'es' },
        { ...file, subtitlePath: vtt, sourceLanguage: 'en', targetLanguages: ['es', 'pt'], outputDir: at('out', `subtitles-${name}`) },
        { videoId: 'v1', videoUrl: films[name], transcription: heard[name], targetLanguage: 'es', outputDir: at('out', `transcript-${name}`) },
        { videoId: 'v1', videoUrl: films[name], sourceLanguage: 'en', targetLanguage: 'es', outputDir: at('out', `film-${name}`) },
      ].map(data => run('TRANSLATION', data)));

      for (const result of found[name]) {
        assertReturned('TRANSLATION', result, { engine: result === subtitles ? /^apertium-eng-spa, apertium-eng-spa\+es-pt$/ : /^apertium-eng-spa$/ });
        assert.deepEqual([result.videoId, result.sourceLanguage, result.targetLanguage, result.warnings], ['v1', 'en', 'es', []]);
        for (const pattern of known[name]) assert.match(result.translatedText, pattern);
        assert.equal(result.wordCount, words(result.translatedText).length);
      }
      assert.deepEqual([plain.originalText, plain.translations[0].file], [originalText, '']);
      assert.deepEqual(subtitles.translations.map(one => [one.targetLanguage, one.model, path.basename(one.file)]),
        [['es', 'apertium-eng-spa', 'v1.es.vtt'], ['pt', 'apertium-eng-spa+es-pt', 'v1.pt.vtt']]);
      for (const { file: made } of [...subtitles.translations, ...transcript.translations, ...film.translations]) {
        const translated = readCues(made);

        assert.deepEqual(translated.map(({ start, end }) => [start, end]), readCues(vtt).map(({ start, end }) => [start, end]), made);
        assert.equal(new Set(translated.map(({ payload }) => payload)).size, cues.length);
        assert.doesNotMatch(fs.readFileSync(made, 'utf8'), /Language: en/);
      }
    }
    for (const i of found.museum.keys()) assert.notEqual(found.museum[i].translatedText, found.river[i].translatedText);
    for (const data of [{ transcription: heard.silent }, { cues: heard.silent.cues }, { videoUrl: films.silent }]) {
      const result = await run('TRANSLATION', { videoId: 'v1', ...data, targetLanguage: 'es' });

      assertReturned('TRANSLATION', result, nobody);
      assert.deepEqual([result.translatedText, result.wordCount, result.targetLanguage], ['', 0, 'es']);
      assert.match(result.warnings.join(), /nothing to translate/);
    }
    await rejects('TRANSLATION', { ...text, originalText: heard.silent.text }, /\/originalText is missing: give/);
    await rejects('TRANSLATION', { ...file, subtitlePath: heard.silent.files.vtt }, /\/originalText is missing: give/);
  });
  await test('TRANSLATION of a sentence and of a file of subtitles is what it has to be, and the rest of the file stays', async () => {
    const [sentence, file] = fill('TRANSLATION', 'museum');

    fs.mkdirSync(path.dirname(file.subtitlePath), { recursive: true });
    fs.writeFileSync(file.subtitlePath, 'WEBVTT\n\nNOTE mine\n\n00:01.000 --> 00:02.500 align:start\n<i>La casa es grande</i>\n\n00:03.000 --> 00:04.000\n- ¿Quién es {name}?\n- El perro duerme.\n');
    const [text, subtitles] = await Promise.all([sentence, file].map(data => run('TRANSLATION', data)));

    assertReturned('TRANSLATION', text, { engine: /^apertium-es-pt$/ });
    assertReturned('TRANSLATION', subtitles, { engine: /^apertium-es-pt, apertium-spa-ita$/ });
    assert.deepEqual([text.translatedText, text.originalText, text.wordCount, text.characterCount, text.targetLanguage, text.sourceLanguage],
      ['A casa é grande e o cão dorme.', 'La casa es grande y el perro duerme.', 8, 30, 'pt', 'es']);
    assert.deepEqual(subtitles.translations.map(one => [one.targetLanguage, path.basename(one.file)]), [['pt', 'v1.pt.vtt'], ['it', 'v1.it.vtt']]);
    assert.match(fs.readFileSync(subtitles.translations[1].file, 'utf8'),
      /^WEBVTT\n\nNOTE mine\n\n00:01\.000 --> 00:02\.500 align:start\n<i>[^<]+<\/i>\n\n00:03\.000 --> 00:04\.000\n- .*\{name\}.*\n- .+\n$/);
  });
  await test('TRANSLATION into a language that nobody has takes nothing from the others', async () => {
    const transcript = at('v2.json');
    fs.writeFileSync(transcript, JSON.stringify({ text: 'La casa es grande', language: 'es', segments: [],
      cues: [{ start: 1, end: 2.5, text: 'La casa\nes grande' }, { start: 3, end: 4, text: 'El perro duerme' }] }));
    const result = await run('TRANSLATION', { videoId: 'v2', subtitlePath: transcript, format: 'ass', formality: 'FORMAL',
      targetLanguages: ['ja', 'Portuguese', 'it'], outputDir: at('out', 'partly') });
    const { packets } = await ffprobe(at('out/partly/v2.pt.ass'), '-show_packets');

    assertReturned('TRANSLATION', result, { engine: /^apertium-es-pt, apertium-spa-ita$/ });
    assert.deepEqual(result.translations.map(({ targetLanguage: code, cues }) => [code, cues]), [['pt', 2], ['it', 2]]);
    assert.deepEqual(result.failedLanguages.map(one => one.targetLanguage), ['ja']);
    assert.match(result.failedLanguages[0].error, /ja/);
    assert.equal(result.targetLanguage, 'pt');
    assert.match(result.warnings.join(), /no translation into ja/);
    assert.match(result.warnings.join(), /formality is ignored/);
    assert.deepEqual(packets.map(({ pts_time: time, duration_time: length }) => [Number(time), Number(length)]), [[1, 1.5], [3, 1]]);
  });
  await test('TRANSLATION of subtitles that are sent as a text returns such a text', async () => {
    const originalText = '1\n00:00:01,000 --> 00:00:02,500\n<i>La casa es grande</i>\n';
    const result = await run('TRANSLATION', { originalText, sourceLanguage: 'es', targetLanguage: 'pt' });

    assert.equal(result.translatedText, '1\n00:00:01,000 --> 00:00:02,500\n<i>A casa é grande</i>\n');
    assert.equal(result.originalText, originalText);
  });
  await test('TRANSLATION of a few words whose language nobody names says what it took them for', async () => {
    const few = await run('TRANSLATION', { text: 'Buenos días a todos', targetLanguage: 'pt' });
    const many = await run('TRANSLATION', { text: 'El museo abre a las nueve de la mañana y cierra a las seis de la tarde.', targetLanguage: 'pt' });

    assert.equal(few.sourceLanguage, 'es');
    assert.match(few.translatedText, /^Bo(m dia|ns dias) a todos$/);
    assert.match(few.warnings.join(), /taken for one in the language es/);
    assert.deepEqual([many.sourceLanguage, many.warnings], ['es', []]);
    await rejects('TRANSLATION', { originalText: 'Good morning', sourceLanguage: 'en', targetLanguage: 'ja' }, /ja/);
  });
}

async function voiceover() {
  await test('VOICEOVER speaks what each film is given, is heard in two films beside what they say, and in a silent one', async () => {
    const mixes = {}, voices = {}, speaks = { engine: /^flite-slt$/ };

    for (const [name, line] of [['museum', spoken.museum[0]], ['river', spoken.river[0]], ['silent', null]]) {
      const [text, scene, cues] = fill('VOICEOVER', name);
      const [one, two, mix] = await Promise.all([run('VOICEOVER', { ...text, text: line ?? text.text }), run('VOICEOVER', { ...scene, narrationScript: line ?? scene.narrationScript }),
        run('VOICEOVER', cues)]);

      for (const result of [one, two, mix]) {
        assertReturned('VOICEOVER', result, speaks);
        assert.deepEqual([result.format, result.voice, result.audioUrl, result.warnings], ['mp3', 'flite-slt', result.filePath, []]);
        assert.equal((await ffprobe(result.filePath)).streams[0].codec_name, 'mp3');
        assert.equal(result.size, fs.statSync(result.filePath).size);
      }
      assert.deepEqual([one.mixedPath, two.mixedPath, two.projectId], ['', '', 'p']);
      assert.match(two.filePath, /-s-voiceover\.mp3$/);
      assert.deepEqual(mix.cues.map(({ start, end, text: say, speed }) => ({ start, end, text: say, speed })), cues.cues.map(cue => ({ ...cue, speed: 1 })));
      assert.ok(Math.abs(mix.loudness + 16) < 1, `${mix.loudness} LUFS`);
      mixes[name] = mix.mixedPath;
      voices[name] = fs.readFileSync(one.filePath).toString('base64');
    }
    assert.equal(new Set(Object.values(voices)).size, 3, 'each is another voice');
    for (const name of names) {
      const [film, mix] = await Promise.all([films[name], mixes[name]].map(file => ffprobe(file)));
      const frames = ({ streams }) => streams.find(({ codec_type: type }) => type === 'video').nb_frames;

      assert.equal(frames(mix), frames(film), 'no picture is lost');
      assert.ok(Math.abs(mix.format.duration - film.format.duration) < 0.1, `${mix.format.duration} s`);
      assert.ok(await levelOf(mixes[name], 9.2, 9.8) > -35, 'the second line is heard');
      if (name === 'silent') continue;
      assert.ok(await levelOf(films[name], 9.2, 9.8) < -60, 'where the film says nothing');
      assert.ok(await levelOf(mixes[name], 30.7, 31.7) > -35, 'what the film says is heard');
    }
    assert.ok(await levelOf(mixes.silent, 5.5, 8.5) < -70, 'there is nothing else in a silent film');
    const again = await run('TRANSCRIPTION', { videoId: 'again', videoUrl: mixes.silent });

    assert.ok(['first', 'second', 'line'].filter(word => words(again.text).includes(word)).length >= 2, again.text);
    await rejects('VOICEOVER', { ...fill('VOICEOVER', 'silent')[0], text: '' }, /\/text is missing/);
  });
}

async function analysis() {
  await test('AI_ANALYSIS tells two films apart by what they say and show, and a silent one by what it shows', async () => {
    const found = {};

    for (const name of names) {
      const results = await Promise.all(fill('AI_ANALYSIS', name).map(data => run('AI_ANALYSIS', data)));

      for (const result of results) {
        assertReturned('AI_ANALYSIS', result, { engine: /^local-extractive$/, degraded: true });
        assert.deepEqual([result.videoId, result.type, result.confidence > 0 && result.confidence < 1], ['v1', 'content-analysis', true]);
        assert.ok(fs.statSync(result.analysisPath).size > 0);
        for (const { start, end, title, reason } of result.result.moments) assert.ok(start >= 0 && start < end && end <= seconds + 0.1 && title && reason);
        for (const { metadata: { signals }, confidence } of result.highlights)
          assert.ok(Math.abs(Object.values(signals).reduce((all, { value, weight }) => all + value * weight, 0) - confidence) < 1e-6, 'a score is the sum of its signals');
      }
      assert.deepEqual(Object.keys(results[0].result).sort(), ['audio', 'chapters', 'confidence', 'language', 'moments', 'shotCount', 'shots', 'summary', 'topics'],
        'what was asked for, and no more');
      assert.deepEqual(Object.keys(results[1].result).sort(), ['chapters', 'confidence', 'language', 'moments', 'objects', 'people', 'scenes', 'sentiment', 'summary',
        'tags', 'topics']);
      found[name] = { ...results[0].result, ...results[1].result, warnings: results[0].warnings };
    }
    const { museum, river, silent } = found;
    assert.match(museum.summary, /painting|garden|soup/i);
    assert.match(river.summary, /river|boat|bridge/i);
    for (const member of ['summary', 'topics', 'tags', 'chapters', 'moments', 'scenes']) assert.notDeepEqual(museum[member], river[member], member);
    for (const film of [museum, river]) {
      assert.equal(film.chapters.length, 3, JSON.stringify(film.chapters));
      assert.equal(film.chapters[0].start, 0);
      assert.ok(film.moments.length > 0 && film.audio.speech > 0.1 && film.shotCount >= 1);
      assert.deepEqual(film.warnings, []);
    }
    assert.ok(!museum.tags.some(tag => river.tags.includes(tag)), JSON.stringify([museum.tags, river.tags]));
    assert.match(silent.summary, /^14 seconds in 1 shot without speech, .*black/);
    assert.deepEqual([silent.topics, silent.tags, silent.chapters, silent.audio, silent.sentiment.label], [[], [], [], null, 'unknown']);
    assert.ok(silent.scenes.length > 0);
    assert.match(silent.warnings.join(), /no sound/);
  });
  await test('AI_ANALYSIS of what is only measured asks no model', async () => {
    const result = await run('AI_ANALYSIS', { videoId: 'v1', videoUrl: films.museum, analysisType: 'scene-detection' });

    assertReturned('AI_ANALYSIS', result, { provider: 'derush', engine: /^measurements$/ });
    assert.equal(result.result.shots.length, result.result.shotCount);
  });
}

async function content(heard) {
  const written = { engine: /^local-extractive$/, degraded: true };

  await test('CONTENT_GENERATION writes another title, description and hashtags for each of two films, and for a silent one what is seen', async () => {
    const found = {};

    for (const name of names) {
      const [{ prompt, ...title }, { prompt: other, ...hashtags }] = fill('CONTENT_GENERATION', name);

      found[name] = await Promise.all([{ ...title, videoUrl: films[name] }, { videoUrl: films[name], type: 'DESCRIPTION', platform: 'YOUTUBE' },
        { ...hashtags, videoUrl: films[name] }, { type: 'DESCRIPTION', transcript: heard[name], ...(name === 'silent' ? { prompt } : {}) }]
        .map(data => run('CONTENT_GENERATION', data)));
      for (const result of found[name]) {
        assertReturned('CONTENT_GENERATION', result, written);
        assert.equal(result.characterCount, [...result.text].length);
        assert.equal(result.wordCount > 0, true, result.text);
      }
      assert.deepEqual(found[name].map(({ type }) => type), ['TITLE', 'DESCRIPTION', 'HASHTAGS', 'DESCRIPTION']);
      assert.ok(found[name][0].characterCount <= 100);
      assert.equal(found[name][2].text, found[name][2].hashtags.join(' '));
    }
    for (const i of [0, 1, 2, 3]) {
      assert.equal(new Set(names.map(name => found[name][i].text)).size, 3, `${names.map(name => found[name][i].text)}`);
      if (i === 0) continue;
      assert.match(found.museum[i].text, /museum|painting|garden|roses|soup/i);
      assert.match(found.river[i].text, /river|boat|storm|bridge/i);
    }
    for (const i of [0, 1]) assert.match(found.silent[i].text, /14 seconds in 1 shot/);
    assert.match(found.silent[2].warnings.join(), /Nothing was found that makes a hashtag/);
  });
  await test('CONTENT_GENERATION writes about a wish, and says what it could not do', async () => {
    const [title, bare] = await Promise.all(fill('CONTENT_GENERATION', 'museum').map(data => run('CONTENT_GENERATION', data)));
    const tags = await run('CONTENT_GENERATION', { prompt: 'A walk along the river at night', type: 'HASHTAGS', platform: 'INSTAGRAM' });
    const other = await run('CONTENT_GENERATION', { prompt: 'A walk along the river at night', type: 'TITLE', language: 'zu' });

    for (const result of [title, bare, tags, other]) assertReturned('CONTENT_GENERATION', result, written);
    assert.deepEqual([title.type, title.language, title.tone, title.length, tags.warnings], ['TITLE', 'en', 'friendly', 'short', []]);
    assert.match(title.warnings.join(), /does not follow: tone, brandProfile.voice/);
    assert.match(title.text, /moon/i);
    assert.equal(bare.text, '#Instagram');
    assert.match(bare.warnings.join(), /Nothing was found that makes a hashtag/);
    assert.equal(new Set(tags.hashtags.map(tag => tag.toLowerCase())).size, tags.hashtags.length);
    for (const tag of tags.hashtags) assert.match(tag, /^#[\p{L}\p{N}_]+$/u);
    assert.equal(other.language, 'en');
    assert.match(other.warnings.join(), /in the language en, not in zu/);
    await rejects('CONTENT_GENERATION', { type: 'TITLE', transcript: '' }, /\/prompt is missing/);
  });
}

async function images() {
  await test('IMAGE_GENERATION makes another picture for each wish, and a cover of frames of each film, the silent one as well', async () => {
    const wishes = [], covers = {};

    for (const data of [shapes.IMAGE_GENERATION.data, { ...shapes.IMAGE_GENERATION.data, prompt: 'a title card saying Red Sun' },
      ...names.map(name => ({ videoId: name, videoUrl: films[name], ...shapes.IMAGE_GENERATION.data }))]) {
      const result = await run('IMAGE_GENERATION', { ...data, outputDir: at('out', `image-${data.videoId ?? wishes.length}`) });
      const [image] = result.images, { streams: [picture] } = await ffprobe(image.filePath);

      assertReturned('IMAGE_GENERATION', result, { engine: /^local-composer$/, degraded: true });
      assertMembers(image.metadata, { style: '', quality: '', seed: 0, revisedPrompt: '' }, 'metadata');
      assert.deepEqual([picture.codec_name, picture.width, picture.height, image.width, image.height, image.format], ['png', 640, 360, 640, 360, 'png']);
      assert.deepEqual([image.size, image.filename, image.metadata.prompt], [fs.statSync(image.filePath).size, path.basename(image.filePath), data.prompt]);
      assert.deepEqual(listFiles(path.dirname(image.filePath)), [image.filename]);
      if (data.videoId) covers[data.videoId] = { time: image.metadata.time, pixels: pixelsOf(image.filePath) };
      else wishes.push(pixelsOf(image.filePath));
    }
    const all = [...wishes, ...names.map(name => covers[name].pixels)];
    for (const [i, one] of all.entries())
      for (const other of all.slice(0, i)) assert.ok(distance(one, other) > 3, 'each is another picture');
    for (const name of names) {
      const frame = pixelsOf(films[name], '-ss', String(covers[name].time)), own = distance(covers[name].pixels, frame);

      for (const other of names.filter(one => one !== name))
        assert.ok(own < distance(covers[other].pixels, frame), `the cover of ${name} has a frame of it: ${own}, ${distance(covers[other].pixels, frame)}`);
    }
  });
}

async function workflow(video) {
  await test('a workflow runs all six types on a film, each with what the one before returned', async () => {
    const step = (id, jobType, jobData, ...dependencies) => ({ id, jobType, jobData, dependencies });
    const job = await video.add('WORKFLOW_EXECUTION', { executionId: 'six', input: { videoId: 'v1', videoUrl: films.river, outputDir: at('out', 'six') },
      workflowDefinition: { id: 'six', name: 'Six', retryPolicy: { maxRetries: 0, retryDelay: 10 }, steps: [
        step('transcription', 'TRANSCRIPTION', { language: 'en' }),
        step('translation', 'TRANSLATION', { transcript: '${steps.transcription.cues}', sourceLanguage: 'en', targetLanguage: 'es' }, 'transcription'),
        step('voice', 'VOICEOVER', { text: '${steps.content.text}', language: 'en' }, 'content'),
        step('analysis', 'AI_ANALYSIS', { analysisTypes: ['summary', 'tags'] }, 'transcription'),
        step('content', 'CONTENT_GENERATION', { type: 'TITLE', prompt: '${steps.analysis.result.summary}' }, 'analysis'),
        step('image', 'IMAGE_GENERATION', { title: '${steps.content.text}', options: { width: 320, height: 180 } }, 'content'),
      ] } });
    const value = await video.finished(job);
    const returned = async id => (await jobs.queue.getJob(`six-${id}`)).returnvalue;
    const [transcript, translated, voice, analysed, title, image] = await Promise.all(['transcription', 'translation', 'voice', 'analysis', 'content', 'image'].map(returned));

    assert.equal(value.status, 'COMPLETED', JSON.stringify(value.steps));
    assert.ok(value.steps.every(({ status }) => status === 'COMPLETED'));
    assertReturned('TRANSCRIPTION', transcript, { engine: /^pocketsphinx-en-us$/ });
    assertReturned('TRANSLATION', translated, { engine: /^apertium-eng-spa$/ });
    assertReturned('VOICEOVER', voice, { engine: /^flite-slt$/ });
    assertReturned('AI_ANALYSIS', analysed, { engine: /^local-extractive$/, degraded: true });
    assertReturned('CONTENT_GENERATION', title, { engine: /^local-extractive$/, degraded: true });
    assertReturned('IMAGE_GENERATION', image, { engine: /^local-composer$/, degraded: true });
    assert.match(translated.translatedText, /puente/);
    assert.match(title.text, /river|boat|storm|bridge|rain/i);
    assert.ok(voice.mixedPath && image.images[0].filePath);
  });
}

await main(async () => {
  const redis = await startRedis();
  const daemon = await startDaemon(redis, { queues: ['video-processing', 'ai-processing'], roots: [folder] });
  const video = await openQueue(redis);

  jobs = await openQueue(redis, 'ai-processing');
  await makeFilms();
  const heard = await transcription();
  await translation(heard);
  await voiceover();
  await analysis();
  await content(heard);
  await images();
  await workflow(video);
  await Promise.all([jobs.close(), video.close()]);
  const { status } = await daemon.stop();
  await redis.stop();
  assert.equal(status, 0, `derushd ended with ${status}`);
});
