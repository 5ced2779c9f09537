// SPDX-License-Identifier: LGPL-2.1-or-later
// What `derush export` writes, as the programs that it is for take it: GStreamer Editing Services render the project and
// list the crop among their effects.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { daemonEnvironment, ffmpeg, ffprobe, listFiles, main, run, sampleFilm, temporaryFolder, test } from './lib.mjs';

const folder = temporaryFolder('export');
const environment = { ...daemonEnvironment(path.join(folder, 'settings')), LC_ALL: 'C.UTF-8' };
const derush = (...args) => run('derush', ['export', ...args], { environment });
const film = path.join(folder, 'My 100% "best" & été #1.mp4');
const encoding = 'video/quicktime,variant=iso:video/x-h264:audio/mpeg,mpegversion=4';
const seconds = time => time.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);

async function edit(args, output) {
  const { status, stderr } = await run('ges-launch-1.0', [...args, '-o', `file://${output}`, '--format', encoding], { environment });
  assert.equal(status, 0, stderr);
  return ffprobe(output);
}

async function formats() {
  fs.copyFileSync(sampleFilm, film);
  const analysis = JSON.parse((await run('derush', ['analysis', film, '--json'], { environment })).stdout);
  const found = (await run('derush', ['run', 'HIGHLIGHT_DETECTION', film, '-p', 'maxHighlights=2', '--json'], { environment })).stdout;
  const highlights = JSON.parse(found.trim().split('\n').at(-1)).returnvalue.highlights.sort((a, b) => a.startTime - b.startTime);

  await test('the analysis says what an editor has to know of the streams', () => {
    assert.deepEqual(analysis.video, { width: 1280, height: 720, fpsNumerator: 24, fpsDenominator: 1 });
    assert.deepEqual(analysis.audio, { rate: 48000, channels: 2 });
  });
  await test('a project of editing services plays the highlights, frame for frame', async () => {
    const project = path.join(folder, 'p.xges');
    const { status, stderr } = await derush(film, '--to', 'xges', '-o', project, '-p', 'maxHighlights=2');
    assert.equal(status, 0, stderr);
    const made = await edit(['--load', project], path.join(folder, 'made.mp4'));
    const video = made.streams.find(stream => stream.codec_type === 'video');
    const frames = highlights.map(h => Math.round(h.endTime * 24) - Math.round(h.startTime * 24)).reduce((a, b) => a + b);
    assert.equal(Number(video.nb_frames), frames);
    assert.deepEqual([video.width, video.height, video.r_frame_rate], [1280, 720, '24/1']);
    assert.ok(made.streams.some(stream => stream.codec_type === 'audio'));
  });
  await test('a decision list has an event for each highlight, with a mark at each shot in it', async () => {
    const { status, stdout } = await derush(film, '--to', 'edl', '-p', 'maxHighlights=2');
    assert.equal(status, 0);
    const events = stdout.match(/^\d{3} .*$/gm);
    assert.equal(events.length, highlights.length);
    const inside = analysis.shots.filter(s => highlights.some(h => s.start >= h.startTime - 0.001 && s.start < h.endTime - 0.02));
    assert.equal((stdout.match(/^\* LOC: /gm) ?? []).length, inside.length);
  });
  await test('chapters of the shots are all of them, at their times', async () => {
    const { status, stdout } = await derush(film, '--to', 'vtt', '--what', 'shots');
    assert.equal(status, 0);
    const cues = [...stdout.matchAll(/^(\S+) --> (\S+)$/gm)].map(([, start, end]) => [seconds(start), seconds(end)]);
    assert.equal(cues.length, analysis.shots.length);
    analysis.shots.forEach((shot, i) => {
      assert.ok(Math.abs(cues[i][0] - shot.start) < 0.0015 && Math.abs(cues[i][1] - shot.end) < 0.0015);
    });
  });
  await test('a timeline names the film so that it is found', async () => {
    const { stdout } = await derush(film, '--to', 'otio', '--what', 'highlights');
    const { tracks } = JSON.parse(stdout);
    assert.deepEqual(tracks.children.map(track => track.kind), ['Video', 'Audio']);
    const [clip] = tracks.children[0].children;
    assert.equal(decodeURIComponent(new URL(clip.media_reference.target_url).pathname), film);
    assert.deepEqual(clip.markers, []);
  });
}

async function failures() {
  const silent = path.join(folder, 'silent.mp4');
  await ffmpeg('-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=30000/1001', '-t', '3', '-pix_fmt', 'yuv420p', silent);
  const link = path.join(folder, 'link.mp4');
  fs.symlinkSync(silent, link);
  const before = listFiles(folder).length;
  const bytes = fs.readFileSync(silent);
  const cases = [
    [[film], 2, /--to/],
    [[film, '--to', 'fcpxml'], 2, /“fcpxml”.*xges/],
    [[film, '--to', 'edl', '--what', 'faces'], 2, /“faces”/],
    [['--to', 'edl'], 2, /FILE/],
    [[silent, '--to', 'edl', '-o', silent], 2, /silent\.mp4” is the film itself/],
    [[pathToFileURL(silent).href, '--to', 'edl', '-o', link], 2, /link\.mp4” is the film itself/],
    [[path.join(folder, 'none.mp4'), '--to', 'edl'], 1, /none\.mp4/],
    [[film, '--to', 'edl', '-o', path.join(folder, 'none', 'x.edl')], 1, /none\/x\.edl/],
  ];

  for (const [args, expected, message] of cases)
    await test(`derush export ${args.map(a => path.basename(a)).join(' ')} ends with ${expected} and says why`, async () => {
      const { status, stdout, stderr } = await derush(...args);
      assert.equal(status, expected);
      assert.equal(stdout, '');
      assert.match(stderr, message);
      assert.equal(listFiles(folder).length, before);
    });
  await test('no export was written over its film', () => assert.ok(bytes.equals(fs.readFileSync(silent))));
  await test('a film named by its URL is found by its path', async () => {
    const { status, stdout, stderr } = await derush(pathToFileURL(silent).href, '--to', 'otio');
    assert.equal(status, 0, stderr);
    const timeline = JSON.parse(stdout);
    assert.equal(timeline.name, 'silent.mp4');
    assert.equal(timeline.tracks.children[0].children[0].media_reference.target_url, pathToFileURL(silent).href);
  });
  await test('an existing file is replaced', async () => {
    const output = path.join(folder, 'old.vtt');
    fs.writeFileSync(output, 'old');
    assert.equal((await derush(silent, '--to', 'vtt', '-o', output)).status, 0);
    assert.match(fs.readFileSync(output, 'utf8'), /^WEBVTT\n/);
  });
  await test('a film without sound, in which nothing stands out, has its shots as clips and drop-frame timecodes', async () => {
    const { status, stdout, stderr } = await derush(silent, '--to', 'edl');
    assert.equal(status, 0, stderr);
    assert.match(stdout, /FCM: DROP FRAME/);
    assert.match(stdout, /^001 +SILENT +V +C +00:00:00;00/m);
  });
}

async function effects() {
  await test('the crop is an effect of editing services, and what is square remains so', async () => {
    const [source, output] = ['square.mp4', 'effect.mp4'].map(name => path.join(folder, name));
    await ffmpeg('-f', 'lavfi', '-i', 'color=gray:size=640x360:rate=25,drawbox=x=260:y=120:w=120:h=120:color=white:t=fill',
      '-t', '2', '-pix_fmt', 'yuv420p', source);
    const made = await edit(['--track-types=video', '--video-caps', 'video/x-raw,width=202,height=360,framerate=25/1',
      '+clip', `file://${source}`, 'duration=1.0', 'set-width', '202', 'set-height', '360', 'set-posx', '0', 'set-posy', '0',
      '+effect', 'shortcrop'], output);
    const video = made.streams.find(stream => stream.codec_type === 'video');
    assert.deepEqual([video.width, video.height, Number(video.nb_frames)], [202, 360, 25]);
    const raw = path.join(folder, 'effect.gray');
    await ffmpeg('-i', output, '-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'gray', raw);
    const white = [...fs.readFileSync(raw)].flatMap((luma, i) => luma > 190 ? [i] : []);
    const sides = [i => i % 202, i => Math.floor(i / 202)].map(place => new Set(white.map(place)).size);
    for (const side of sides) assert.ok(Math.abs(side - 120) <= 4, `${sides.join('×')}`);
  });
  await test('a voice is mixed over a clip of editing services, which makes room for it', async () => {
    const [program, voice, output] = ['program.mp4', 'voice.wav', 'mixed.mp4'].map(name => path.join(folder, name));
    await ffmpeg('-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=25', '-f', 'lavfi', '-i', 'sine=frequency=300', '-t', '6',
      '-pix_fmt', 'yuv420p', '-ar', '48000', '-ac', '2', program);
    await ffmpeg('-f', 'lavfi', '-i', 'sine=frequency=3000:duration=2', '-ar', '44100', voice);
    const input = 'audioconvert ! audioresample ! audio/x-raw,rate=48000 ! mix';
    await edit(['+clip', `file://${program}`, 'inpoint=1.0', 'duration=4.0', '+effect',
      `audio ${input}.program_0 voiceovermix name=mix filesrc location=${voice} ! wavparse ! ${input}.voice_0`], output);
    const level = async (start, frequency) => {
      const { stderr } = await run('ffmpeg', ['-nostdin', '-ss', `${start}`, '-t', '0.5', '-i', output, '-vn', '-af',
        `bandpass=f=${frequency}:width_type=h:w=100,volumedetect`, '-f', 'null', '-']);
      return Number(stderr.match(/mean_volume: (\S+) dB/)[1]);
    };
    const depth = await level(3.2, 300) - await level(0.8, 300);
    assert.ok(Math.abs(depth - 14) < 1, `${depth} dB`);
    assert.ok(await level(0.8, 3000) - await level(3.2, 3000) > 40);
  });
}

await main(async () => {
  await formats();
  await failures();
  await effects();
});
