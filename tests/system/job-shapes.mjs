// SPDX-License-Identifier: LGPL-2.1-or-later
// The job types of video in every shape of data that backends send, added by the real bullmq, done by derushd: what comes back
// has every member, and every file is what it says it is. With `--shared` the shapes of ../shared/jobs/jobs.json are walked,
// with Agent 327 as the film.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { assertMembers, cutSample, ffprobe, fillShape, isFastStart, listFiles, litShare, main, readCues, run, sampleFilm, startDaemon,
  startRedis, openQueue, temporaryFolder, test, workingFiles } from './lib.mjs';
import { queryPostgres, querySqlite, startPostgres } from './databases.mjs';

const types = ['VIDEO_PROCESSING', 'THUMBNAIL_GENERATION', 'HIGHLIGHT_DETECTION', 'SHORT_CREATION', 'HIGHLIGHT_CLIP_CREATION',
  'WORKFLOW_EXECUTION'];

const own = {
  VIDEO_PROCESSING: {
    data: { videoId: 'v1', videoUrl: '$FILM', userId: 'u1', outputDir: '$OUT', outputFormat: 'mp4', quality: 'medium', resolution: '720p' },
    also: [
      { type: 'VIDEO_PROCESSING', videoId: 'v1', userId: 'u1', inputPath: '$FILM', outputFormat: 'mp4', quality: 'high' },
      { mediaId: 'v1', userId: 'u1', inputUrl: 'file://$FILM', outputType: 'reel', options: { duration: 15, format: 'mp4',
        quality: 'medium', aspectRatio: '9:16', addSubtitles: false, addMusic: false }, priority: 2 },
    ],
    returns: { success: true, videoId: '', jobType: 'VIDEO_PROCESSING', processingTime: 0, outputPath: '', outputUrl: '', duration: 0,
      size: 0, format: '', width: 0, height: 0, fps: 0, bitrate: 0, codec: '', formats: [], outputs: [], warnings: [], versions: {} },
  },
  THUMBNAIL_GENERATION: {
    data: { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', thumbnailRequest: { count: 5, width: 640, format: 'jpg', quality: 85,
      mode: 'best', storyboard: true } },
    also: [
      { videoId: 'v1', inputPath: '$FILM', userId: 'u1' },
      { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', thumbnailRequest: { positions: [0.1, 0.5, 42.5], height: 360, format: 'webp' } },
    ],
    returns: { thumbnails: [{ filePath: '', time: 0, position: 0, width: 0, height: 0, fileSize: 0, format: '', score: 0, reasons: [] }],
      storyboard: { pages: [], vtt: '' } },
  },
  HIGHLIGHT_DETECTION: {
    data: { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', highlightRequest: { maxHighlights: 5, minDuration: 3, maxDuration: 60,
      sensitivity: 'medium', detectionTypes: ['MOTION', 'AUDIO', 'SCENE_CHANGE'] } },
    also: [{ videoId: 'v1', videoUrl: '$FILM', videoDurationSecs: 231, maxHighlights: 5 }],
    returns: { highlights: [{ id: '', rank: 1, startTime: 0, endTime: 0, duration: 0, type: '', confidence: 0, description: '', tags: [],
      metadata: { signals: {}, reasons: [] } }], analysisPath: '' },
  },
  SHORT_CREATION: {
    data: { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', shortRequest: { startTime: 12, endTime: 16, platform: 'TIKTOK',
      aspectRatio: '9:16', quality: 'medium', title: '', addSubtitles: false } },
    also: [
      { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', shortRequest: { count: 2, platform: 'YOUTUBE_SHORTS', quality: 'low' } },
      { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', shortRequest: { duration: 2, highlights: [{ startTime: 5, endTime: 9 }],
        platform: 'INSTAGRAM_REELS', aspectRatio: '1:1' } },
    ],
    returns: { shorts: [{ filePath: '', fileSize: 0, startTime: 0, endTime: 0, duration: 0, width: 0, height: 0, format: '', platform: '',
      hasSubtitles: false, hasMusic: false, cropPath: '' }] },
  },
  HIGHLIGHT_CLIP_CREATION: {
    data: { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', highlights: [{ id: 'h1', startTime: 10, endTime: 13 },
      { id: 'h2', startTime: 40, endTime: 42 }], padding: 0, merge: true, format: 'mp4' },
    also: [{ videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT', highlightIds: ['h1', 'h2'] }],
    returns: { clips: [{ highlightId: '', filePath: '', startTime: 0, endTime: 0, duration: 0, fileSize: 0 }],
      compilation: { filePath: '', duration: 0 } },
  },
  WORKFLOW_EXECUTION: {
    data: { templateId: 'video_transformation_basic', executionId: 'x1', userId: 'u1', input: { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT' } },
    also: [{ workflowDefinition: { id: 'mine', name: 'Mine', steps: [
      { id: 'process', jobType: 'VIDEO_PROCESSING', jobData: {}, dependencies: [], estimatedDuration: 300, maxRetries: 3 },
      { id: 'thumbs', jobType: 'THUMBNAIL_GENERATION', jobData: {}, dependencies: ['process'] }],
    retryPolicy: { maxRetries: 3, retryDelay: 5000, backoffMultiplier: 2 } },
    input: { videoId: 'v1', videoUrl: '$FILM', outputDir: '$OUT' } }],
    returns: { executionId: 'x1', status: 'COMPLETED', duration: 0,
      steps: [{ id: '', jobType: '', jobId: '', status: 'COMPLETED', attempts: 1, processingTime: 0 }] },
  },
};

function readShared() {
  const all = JSON.parse(fs.readFileSync(path.join(process.env.DERUSH_SHARED, 'jobs/jobs.json'), 'utf8'));

  // Of a step that may fail there is an error.
  for (const step of all.WORKFLOW_EXECUTION.returns.steps) delete step.error;
  return Object.fromEntries(types.map(type => [type, all[type]]));
}

async function assertDecodes(file) {
  const { status, stderr } = await run('ffmpeg', ['-v', 'error', '-nostdin', '-i', file, '-f', 'null', '-']);

  assert.equal(status, 0, `${file} does not decode: ${stderr}`);
  assert.equal(stderr, '', `${file} decodes with errors`);
}

function assertOutputs(result) {
  for (const output of result.outputs) {
    assert.ok(path.isAbsolute(output.path), `${output.path} is absolute`);
    assert.equal(fs.statSync(output.path).size, output.size, `size of ${output.path}`);
    assert.match(output.sha256, /^[0-9a-f]{64}$/);
    assert.ok(output.role, `role of ${output.path}`);
  }
}

// ── Each type's own truths ──────────────────────────────────────────────────

const near = (actual, expected, tolerance, what) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, not ${expected} ± ${tolerance}`);

async function checkVideo(result, data, film) {
  const probe = await ffprobe(result.outputPath);
  const video = probe.streams.find(stream => stream.codec_type === 'video');
  const audio = probe.streams.find(stream => stream.codec_type === 'audio');
  const expected = Math.min(film.duration, data.options?.duration ?? film.duration);
  const [width, height] = data.options?.aspectRatio === '9:16' ? [9, 16] : [film.width, film.height];

  assert.equal(video.codec_name, 'h264');
  assert.equal(audio.codec_name, 'aac');
  assert.equal(video.width % 2 + video.height % 2, 0, 'sizes are even');
  assert.deepEqual([result.width, result.height], [video.width, video.height]);
  near(video.width / video.height, width / height, 0.02, 'shape of the picture');
  if (data.resolution === '720p') assert.equal(video.height, Math.min(720, film.height));
  near(Number(probe.format.duration), expected, 0.5, 'duration of the file');
  near(result.duration, Number(probe.format.duration), 0.25, 'duration as returned');
  assert.equal(result.size, fs.statSync(result.outputPath).size);
  assert.equal(result.format, 'mp4');
  near(result.fps, film.fps, 0.05, 'frame rate');
  near(result.bitrate / Number(probe.format.bit_rate), 1, 0.1, 'bit rate as returned');
  assert.ok(isFastStart(result.outputPath), 'the index stands first');
  assert.equal(result.formats.length, 1);
  await assertDecodes(result.outputPath);
}

async function checkThumbnails(result, data, film) {
  const request = data.thumbnailRequest ?? {};
  const count = request.positions?.length ?? request.count;

  assert.ok(result.thumbnails.length > 0, 'there are thumbnails');
  if (count) assert.equal(result.thumbnails.length, count);
  assert.equal(new Set(result.thumbnails.map(({ filePath }) => filePath)).size, result.thumbnails.length, 'each has its own file');
  for (const [i, thumbnail] of result.thumbnails.entries()) {
    const { streams: [picture] } = await ffprobe(thumbnail.filePath);

    assert.deepEqual([picture.width, picture.height], [thumbnail.width, thumbnail.height]);
    assert.equal(picture.codec_name, { jpg: 'mjpeg', png: 'png', webp: 'webp' }[request.format ?? 'jpg']);
    if (request.width) assert.equal(picture.width, request.width);
    if (request.height) assert.equal(picture.height, request.height);
    near(picture.width / picture.height, film.width / film.height, 0.03, 'shape of the thumbnail');
    assert.equal(thumbnail.fileSize, fs.statSync(thumbnail.filePath).size);
    assert.ok(thumbnail.time >= 0 && thumbnail.time <= film.duration, `time ${thumbnail.time} is in the film`);
    near(thumbnail.position, thumbnail.time / film.duration, 0.02, 'position');
    if (request.positions) {
      const position = request.positions[i];
      near(thumbnail.time, position <= 1 ? position * film.duration : position, 1.5 / film.fps, 'time of a given position');
    } else {
      assert.ok(litShare(thumbnail.filePath) > 0.05, `${thumbnail.filePath} at ${thumbnail.time} s is black`);
    }
  }
  if (request.storyboard) await checkStoryboard(result.storyboard, film);
}

async function checkStoryboard({ pages, vtt }, film) {
  const cues = readCues(vtt);
  const sizes = new Map();

  assert.ok(pages.length > 0, 'there are pages');
  for (const page of pages) {
    const { streams: [picture] } = await ffprobe(page);
    sizes.set(path.basename(page), picture);
  }
  assert.match(fs.readFileSync(vtt, 'utf8'), /^WEBVTT\r?\n/);
  assert.ok(cues.length > 1, 'there are cues');
  assert.equal(cues[0].start, 0);
  near(cues.at(-1).end, film.duration, 0.5, 'end of the last cue');
  for (const [i, { start, end, payload }] of cues.entries()) {
    const [, name, x, y, width, height] = /^(.*)#xywh=(\d+),(\d+),(\d+),(\d+)$/.exec(payload) ?? [];
    const page = sizes.get(name);

    assert.ok(end > start, `cue ${i} lasts`);
    if (i > 0) assert.equal(start, cues[i - 1].end, `cue ${i} follows the one before`);
    assert.ok(page, `${payload} names a page`);
    assert.ok(Number(x) + Number(width) <= page.width && Number(y) + Number(height) <= page.height, `${payload} is on its page`);
  }
  assert.equal(new Set(cues.map(({ payload }) => payload)).size, cues.length, 'each cue has a tile of its own');
}

async function checkHighlights(result, data, film) {
  const request = data.highlightRequest ?? data;

  assert.ok(result.highlights.length > 0, 'there are highlights');
  assert.ok(result.highlights.length <= request.maxHighlights);
  for (const [i, highlight] of result.highlights.entries()) {
    const { startTime, endTime, duration, confidence, metadata: { signals } } = highlight;
    const sum = Object.values(signals).reduce((total, { value, weight }) => total + value * weight, 0);

    assert.equal(highlight.rank, i + 1);
    assert.ok(startTime >= 0 && endTime > startTime && endTime <= film.duration + 0.1, `${startTime}–${endTime} is in the film`);
    near(duration, endTime - startTime, 0.002, 'duration');
    near(confidence, sum, 1e-3, 'confidence is the weighted sum of the signals');
    assert.ok(confidence >= 0 && confidence <= 1);
    if (i > 0) assert.ok(confidence <= result.highlights[i - 1].confidence, 'the best comes first');
    assert.ok(duration >= (request.minDuration ?? 0) - 0.05 && duration <= (request.maxDuration ?? Infinity) + 0.05, `${duration} s is as asked`);
    assert.ok(highlight.description && highlight.metadata.reasons.length > 0, 'says why');
    for (const other of result.highlights.slice(0, i))
      assert.ok(startTime >= other.endTime || endTime <= other.startTime, 'no two overlap');
  }
  assert.equal(new Set(result.highlights.map(({ id }) => id)).size, result.highlights.length);
  assert.ok(fs.statSync(result.analysisPath).size > 0);
}

async function checkShorts(result, { shortRequest: request }, film) {
  const given = request.highlights ?? (request.startTime === undefined ? null : [request]);
  const [across, down] = (request.aspectRatio ?? '9:16').split(':').map(Number);

  assert.equal(result.shorts.length, given?.length ?? request.count);
  for (const [i, short] of result.shorts.entries()) {
    const { format, streams } = await ffprobe(short.filePath);
    const video = streams.find(stream => stream.codec_type === 'video');
    const { source, keyframes } = JSON.parse(fs.readFileSync(short.cropPath, 'utf8'));

    if (given) {
      near(short.startTime, given[i].startTime, 0.001, 'start');
      near(short.endTime, Math.min(given[i].endTime, given[i].startTime + (request.duration ?? 60)), 0.001, 'end');
    }
    near(short.duration, short.endTime - short.startTime, 0.1, 'duration');
    near(Number(format.duration), short.duration, 0.1, 'duration of the file');
    assert.deepEqual([video.width, video.height], [1080, 1080 * down / across]);
    assert.deepEqual([short.width, short.height], [video.width, video.height]);
    assert.equal(short.fileSize, fs.statSync(short.filePath).size);
    assert.equal(short.platform, request.platform);
    assert.ok(isFastStart(short.filePath), 'the index stands first');
    assert.deepEqual([source.width, source.height], [film.width, film.height]);
    near(keyframes[0].time, short.startTime, 0.1, 'first key frame');
    near(keyframes.at(-1).time, short.endTime, 0.1, 'last key frame');
    for (const { x, y, width, height } of keyframes)
      assert.ok(x >= 0 && y >= 0 && x + width <= source.width + 0.01 && y + height <= source.height + 0.01, 'the crop is in the picture');
    await assertDecodes(short.filePath);
  }
}

async function checkClips(result, { highlights, highlightIds, merge }, film) {
  assert.deepEqual(result.clips.map(({ highlightId }) => highlightId), highlightIds ?? highlights.map(({ id }) => id));
  for (const [i, clip] of result.clips.entries()) {
    const { format, streams } = await ffprobe(clip.filePath);
    const video = streams.find(stream => stream.codec_type === 'video');

    if (highlights) assert.deepEqual([clip.startTime, clip.endTime], [highlights[i].startTime, highlights[i].endTime]);
    near(Number(format.duration), clip.endTime - clip.startTime, 0.1, 'duration of the file');
    assert.deepEqual([video.width, video.height], [film.width, film.height]);
    assert.equal(clip.fileSize, fs.statSync(clip.filePath).size);
    await assertDecodes(clip.filePath);
  }
  assert.equal(result.compilation.filePath !== '', merge === true);
  if (!merge) return;
  const { format } = await ffprobe(result.compilation.filePath);
  const total = result.clips.reduce((sum, { startTime, endTime }) => sum + endTime - startTime, 0);

  near(Number(format.duration), total, 0.15, 'duration of the compilation');
  near(result.compilation.duration, total, 0.1, 'duration as returned');
  await assertDecodes(result.compilation.filePath);
}

async function checkWorkflow(result, data) {
  assert.equal(result.status, 'COMPLETED');
  if (data.executionId) assert.equal(result.executionId, data.executionId);
  for (const { id, jobId, status, error } of result.steps) {
    assert.equal(jobId, `${result.executionId}-${id}`);
    assert.deepEqual([status, error], ['COMPLETED', null], id);
  }
  for (const { role, path: file } of result.outputs)
    if (['video', 'short', 'clip'].includes(role)) await assertDecodes(file);
}

const check = { WORKFLOW_EXECUTION: checkWorkflow, HIGHLIGHT_CLIP_CREATION: checkClips, SHORT_CREATION: checkShorts, VIDEO_PROCESSING: checkVideo, THUMBNAIL_GENERATION: checkThumbnails, HIGHLIGHT_DETECTION: checkHighlights };

// ── Running ─────────────────────────────────────────────────────────────────

async function describe(file) {
  const { format, streams } = await ffprobe(file);
  const video = streams.find(stream => stream.codec_type === 'video');
  const [numerator, denominator] = video.avg_frame_rate.split('/').map(Number);

  return { file, duration: Number(format.duration), width: video.width, height: video.height, fps: numerator / denominator };
}

async function walk(bench, shapes, filmOf) {
  for (const type of types) {
    const { data: first, also, returns } = shapes[type];

    for (const [i, shape] of [first, ...also].entries()) {
      await test(`${type}: ${i === 0 ? 'the canonical shape' : `shape ${i + 1}`} comes back complete`, async () => {
        const film = filmOf(type, i);
        const output = path.join(bench.folder, `out-${type}-${i}`);
        const data = fillShape(shape, film.file, output);
        if (data.highlightIds) data.highlightIds = bench.ids;
        const progress = new Set();
        const { queue, events, finished } = bench.video;
        const listen = ({ jobId, data: value }) => progress.add(`${jobId} ${typeof value === 'number' ? value : value.progress}`);
        events.on('progress', listen);
        const job = await queue.add(data.type && i === 1 ? 'job' : type, data, { attempts: 1 });
        const result = await finished(job, 600000);
        events.off('progress', listen);

        assert.deepEqual(result, (await queue.getJob(job.id)).returnvalue);
        assertMembers(result, returns, 'returnvalue');
        assertMembers(result, { success: true, jobType: type, videoId: '', processingTime: 0, outputs: [], warnings: [], versions: {} }, 'returnvalue');
        assert.equal(result.success, true);
        assert.equal(result.jobType, type);
        assert.equal(result.videoId, 'v1');
        assert.ok(JSON.stringify(result).length <= 16384, 'the return value is small');
        assertOutputs(result);
        await check[type](result, data, film);
        if (type === 'HIGHLIGHT_DETECTION') bench.ids = result.highlights.slice(0, 2).map(({ id }) => id);
        const published = result.outputs.map(({ path: file }) => path.basename(file)).sort();
        if (data.outputDir) assert.deepEqual(listFiles(output), published, 'nothing else is in the folder');
        assert.deepEqual(workingFiles(path.join(bench.daemon.folder, 'scratch')), [], 'the working folder is gone');
        const distinct = [...progress].filter(value => value.startsWith(`${job.id} `)).length;
        if (type === 'VIDEO_PROCESSING' && film.duration / 60 > 0.8 && !data.options)
          assert.ok(distinct >= 10, `${distinct} distinct values of progress`);
      }, { timeout: 600000 });
    }
  }
}

async function openBench(name, environment = {}, roots = []) {
  const redis = await startRedis();
  const folder = temporaryFolder(name);
  const daemon = await startDaemon(redis, { folder: path.join(folder, 'daemon'), roots: [folder, ...roots], environment });

  return {
    redis, folder, daemon, video: await openQueue(redis),
    async close() {
      await this.video.close();
      const { status } = await daemon.stop();
      await redis.stop();
      assert.equal(status, 0, `derushd ended with ${status}:\n${daemon.output.stderr.slice(-2000)}`);
    },
  };
}

async function checkRows(query) {
  const rows = await query('SELECT "type", "status", "progress", "userId", "videoId" FROM jobs');
  const count = async table => Number((await query(`SELECT count(*) FROM ${table}`))[0][0]);

  for (const type of types) {
    const [, status, progress, , videoId] = rows.find(row => row[0] === type) ?? [];
    assert.equal(status, 'COMPLETED', `row of ${type}`);
    assert.equal(Number(progress), 100);
    assert.equal(videoId, 'v1');
  }
  assert.ok(rows.some(row => row[3] === 'u1'), 'userId is kept');
  assert.ok(rows.some(row => row[3] === null || row[3] === ''), 'a job without userId has its row');
  for (const table of ['video_formats', 'thumbnails', 'highlights'])
    assert.ok(await count(table) > 0, `${table} has rows`);
  const shorts = await query('SELECT "filePath", "startTime", "endTime", "width", "height", "fileSize", "videoId", "cropPath" FROM shorts');
  assert.ok(shorts.length > 0, 'shorts have rows');
  for (const [filePath, startTime, endTime, width, height, fileSize, videoId, cropPath] of shorts) {
    assert.ok(fs.existsSync(filePath) && fs.existsSync(cropPath) && Number(fileSize) === fs.statSync(filePath).size, filePath);
    assert.ok(Number(endTime) > Number(startTime) && Number(width) > 0 && Number(height) > 0);
    assert.equal(videoId, 'v1');
  }
}

async function shared() {
  const media = path.join(process.env.DERUSH_SHARED, 'media');
  const bench = await openBench('shared', {}, [media]);
  const film = await describe(path.join(media, 'agent327_480.mp4'));

  await walk(bench, readShared(), () => film);
  await bench.close();
}

async function alone() {
  const bench = await openBench('shapes');
  const whole = await describe(sampleFilm);
  const short = await describe(await cutSample(path.join(bench.folder, 'short.mp4'), 6, 20));
  const middle = await describe(await cutSample(path.join(bench.folder, 'middle.mp4'), 18, 20, { copy: true }));
  const films = { VIDEO_PROCESSING: [whole, short, middle], WORKFLOW_EXECUTION: [short, short] };

  await walk(bench, own, (type, i) => films[type]?.[i] ?? whole);
  await bench.close();
  await test('every job and what it made has its rows in SQLite', () =>
    checkRows(statement => querySqlite(path.join(bench.daemon.folder, 'state'), statement)));

  const cluster = await startPostgres();
  const second = await openBench('postgresql', { DATABASE_URL: cluster.url }, [bench.folder]);
  await test('the same jobs have their rows in PostgreSQL', async () => {
    for (const type of types) {
      const data = fillShape(own[type].data, short.file, path.join(second.folder, type));
      if (data.thumbnailRequest) data.thumbnailRequest.count = 1;
      if (data.highlights) data.highlights = [{ startTime: 1, endTime: 2 }];
      if (data.shortRequest) Object.assign(data.shortRequest, { startTime: 1, endTime: 2, height: 320 });
      await second.video.finished(await second.video.add(type, data, { attempts: 1 }));
    }
    await second.close();
    await checkRows(statement => queryPostgres(cluster, statement));
  });
  await cluster.stop();
}

await main(process.argv.includes('--shared') ? shared : alone);
