# SPDX-License-Identifier: LGPL-2.1-or-later
"""Benchmarks against a peer: pairs that alternate in one run, CPU seconds (user and system) of the whole process tree, and the
median of the ratios of neighbours. Ratios inside one run hold on a shared machine; seconds of different runs do not."""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
SAMPLE = os.path.join(SOURCE, 'data/samples/sintel_trailer-720p.mp4')


class Failed(Exception):
    pass


def measure(command, environment=None, cwd=None, output=None):
    """Runs a command to its end; only processes that it waits for are counted. `output`: a file for its stdout."""
    log = tempfile.TemporaryFile()
    begin = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output or log, stderr=log, cwd=cwd,
                             env={**os.environ, **(environment or {})})
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        log.seek(0)
        raise Failed('%s ended with %d: %s' % (' '.join(command), child.returncode, log.read().decode(errors='replace')[-1500:]))
    return {'cpu_s': round(usage.ru_utime + usage.ru_stime, 3), 'wall_s': round(wall, 3), 'max_rss_kb': usage.ru_maxrss}


def pairs(rounds, ours, peer, ours_first=False):
    """Alternates `ours` and `peer`, the first of each pair in turn, and takes the median of the ratios of CPU seconds."""
    found = []
    for i in range(rounds):
        order = (('peer', peer), ('ours', ours)) if (i % 2 == 0) != ours_first else (('ours', ours), ('peer', peer))
        found.append({name: function() for name, function in order})
        found[-1]['ratio'] = round(found[-1]['ours']['cpu_s'] / max(found[-1]['peer']['cpu_s'], 0.001), 3)
        print('  pair %d of %d: ours %.3f s, peer %.3f s, ratio %.2f' % (
            i + 1, rounds, found[-1]['ours']['cpu_s'], found[-1]['peer']['cpu_s'], found[-1]['ratio']), file=sys.stderr)
    return found


def summary(what, against, found):
    median = lambda side, key: round(statistics.median(pair[side][key] for pair in found), 3)
    return {'what': what, 'peer': against, 'ratio': round(statistics.median(pair['ratio'] for pair in found), 3),
            'ours_cpu_s': median('ours', 'cpu_s'), 'peer_cpu_s': median('peer', 'cpu_s'),
            'ours_wall_s': median('ours', 'wall_s'), 'peer_wall_s': median('peer', 'wall_s'),
            'ours_max_rss_kb': median('ours', 'max_rss_kb'), 'peer_max_rss_kb': median('peer', 'max_rss_kb'), 'pairs': found}


def probe(film):
    answer = subprocess.run(['ffprobe', '-v', 'error', '-show_format', '-show_streams', '-of', 'json', film],
                            check=True, capture_output=True)
    described = json.loads(answer.stdout)
    video = next((s for s in described['streams'] if s['codec_type'] == 'video'), None)
    audio = next((s for s in described['streams'] if s['codec_type'] == 'audio'), None)
    return described['format'], video, audio


def decode_chain(film):
    """Bare decode: an explicit chain, one thread for each decoder, audio and video to fakesink."""
    form, video, audio = probe(film)
    demuxer = {'mov': 'qtdemux', 'matroska': 'matroskademux', 'mpegts': 'tsdemux'}.get(form['format_name'].split(',')[0])
    decoders = {'h264': 'h264parse ! avdec_h264 max-threads=1', 'hevc': 'h265parse ! avdec_h265 max-threads=1',
                'vp9': 'vp9parse ! avdec_vp9 max-threads=1', 'vp8': 'avdec_vp8 max-threads=1', 'aac': 'aacparse ! avdec_aac',
                'opus': 'opusdec', 'mp3': 'mpegaudioparse ! avdec_mp3', 'vorbis': 'vorbisdec'}
    if not demuxer or not video or any(s and s['codec_name'] not in decoders for s in (video, audio)):
        raise Failed('no chain is known for the streams of %s; take an MP4 with H.264 and AAC' % film)
    text = 'filesrc name=source ! %s name=d d. ! queue ! %s ! fakesink sync=false' % (demuxer, decoders[video['codec_name']])
    if audio:
        text += ' d. ! queue ! %s ! fakesink sync=false' % decoders[audio['codec_name']]
    words = text.split()
    return ['gst-launch-1.0', '-q'] + words[:2] + ['location=%s' % film] + words[2:]


class Folders:
    """Private folders for what derush keeps, emptied before each run."""

    def __init__(self, base):
        self.base = base
        self.count = 0

    def fresh(self):
        self.count += 1
        folder = os.path.join(self.base, str(self.count))
        os.makedirs(folder)
        settings = os.path.join(folder, 'derush.conf')
        with open(settings, 'w') as file:
            file.write('[derush]\n')
        return folder, {'DERUSH_CACHE': os.path.join(folder, 'cache'), 'DERUSH_SCRATCH': os.path.join(folder, 'scratch'),
                        'DERUSH_STATE_DIR': os.path.join(folder, 'state'), 'DERUSH_CONFIG': settings}


def bench_analysis(options, folders):
    """The analysis of a film against the bare decode of the same file"""
    def ours():
        _, environment = folders.fresh()
        return measure(['derush', 'analysis', options.film, '--json'], environment)

    chain = decode_chain(options.film)
    found = pairs(options.rounds, ours, lambda: measure(chain))
    return [summary('derush analysis (processes, probe, decode, measuring)', 'explicit chain, one thread a decoder', found)]


def bench_transcode(options, folders):
    """A transcode to 720 lines against ffmpeg with the same settings"""
    _, video, audio = probe(options.film)
    sizes = {}
    lines = min(720, video['height'])

    def keep(side, path):
        form, made, _ = probe(path)
        sizes[side] = {'bytes': int(form['size']), 'frames': int(made.get('nb_frames', 0)), 'duration': float(form['duration']),
                       'width': made['width'], 'height': made['height']}

    def job():
        folder, environment = folders.fresh()
        output = os.path.join(folder, 'output')
        figures = measure(['derush', 'run', 'VIDEO_PROCESSING', options.film, '-o', output, '-p', 'quality=medium',
                           '-p', 'resolution=720p'], environment)
        keep('ours', os.path.join(output, os.listdir(output)[0]))
        return figures

    def pipeline():
        folder, environment = folders.fresh()
        output = os.path.join(folder, 'out.mp4')
        printed = subprocess.run(['derush', 'pipeline', 'transcode-mp4', 'source=' + options.film, 'output=' + output,
                                  'height=%d' % lines], check=True, capture_output=True, text=True).stdout
        return measure(['sh', '-c', 'exec ' + printed], environment)

    def ffmpeg():
        folder, _ = folders.fresh()
        output = os.path.join(folder, 'peer.mp4')
        figures = measure(['ffmpeg', '-v', 'error', '-nostdin', '-y', '-i', options.film, '-vf', 'scale=-2:%d,format=yuv420p' % lines,
                           '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23'] +
                          (['-c:a', 'aac', '-b:a', '128k'] if audio else []) + ['-movflags', '+faststart', output])
        keep('peer', output)
        return figures

    whole = summary('derush run VIDEO_PROCESSING (probe, transcode, check)', 'ffmpeg, same settings, not checked',
                    pairs(options.rounds, job, ffmpeg))
    whole['files'] = dict(sizes)
    alone = summary('its pipeline alone', 'ffmpeg, same settings', pairs(options.rounds, pipeline, ffmpeg))
    return [whole, alone]


WORKFLOW = 'video_transformation_advanced'
LOOKING = ('probe', 'highlights', 'thumbnails', 'storyboard')


class Workflow:
    """Our workflow, and the same files by one ffmpeg command for each."""

    def __init__(self, film, folders):
        self.film = film
        self.folders = folders
        self.form, self.video, self.audio = probe(film)
        self.duration = float(self.form['duration'])
        numerator, _, denominator = self.video['avg_frame_rate'].partition('/')
        self.frames = int(self.video.get('nb_frames', 0)) or round(self.duration * int(numerator) / int(denominator or 1))
        self.ours = []  # the steps of each run, by name
        self.peer = []
        self.files = {}

    def keep(self, side, name, path):
        form, made, sound = probe(path)
        self.files.setdefault(name, {})[side] = {
            'bytes': int(form.get('size', 0)), 'width': made['width'], 'height': made['height'], 'frames': int(made.get('nb_frames', 1)),
            'duration': round(float(form.get('duration', 0)), 3), 'sound': sound['codec_name'] if sound else None}

    def run(self, skipped):
        folder, environment = self.folders.fresh()
        with open(os.path.join(folder, 'lines'), 'w+') as lines:
            figures = measure(['derush', 'workflow', 'run', WORKFLOW, self.film, '-o', os.path.join(folder, 'out'), '--json'] +
                              [word for step in skipped for word in ('--skip', step)], environment, output=lines)
            lines.seek(0)
            answer = json.loads(lines.read().splitlines()[-1])['returnvalue']
        return figures, {step['id']: step.get('returnvalue') or {} for step in answer['steps']}, folder

    def run_whole(self):
        figures, steps, folder = self.run(['transcription'])
        self.ours.append({'%s: %s' % (step, part): cost for step, value in steps.items() for part, cost in value.get('cost', {}).items()})
        self.shorts = [(short['startTime'], short['endTime'] - short['startTime']) for short in steps['shorts']['shorts']]
        self.keep('ours', 'transcode', steps['process']['outputPath'])
        for i, short in enumerate(steps['shorts']['shorts']):
            self.keep('ours', 'short%d' % (i + 1), short['filePath'])
        for i, still in enumerate(steps['thumbnails']['thumbnails']):
            self.keep('ours', 'thumbnail%d' % (i + 1), still['filePath'])
        shutil.rmtree(folder)
        return figures

    def run_looking(self):
        figures, _, folder = self.run(['process', 'shorts', 'transcription'])
        shutil.rmtree(folder)
        return figures

    def commands(self):
        """What a person types; sizes, settings, and the parts of the film that became shorts are ours."""
        start = ['ffmpeg', '-v', 'error', '-nostdin', '-y']
        both = ['-map', '0:v:0'] + (['-map', '0:a:0'] if self.audio else [])
        encode = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-pix_fmt', 'yuv420p'] + \
            (['-c:a', 'aac', '-b:a', '128k'] if self.audio else []) + ['-movflags', '+faststart']
        loudness = ['-af', 'ebur128=metadata=1,astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=RMS_level+Peak_level,'
                    'ametadata=mode=print:file=loudness.log'] if self.audio else []
        batch = max(2, min(100, self.frames // 5))
        crop = "crop='min(iw,ih*9/16)':'min(ih,iw*16/9)',scale=1080:1920,setsar=1,format=yuv420p"
        found = {
            'probe': ['ffprobe', '-v', 'error', '-show_format', '-show_streams', '-of', 'json', self.film],
            'transcode': start + ['-i', self.film] + both + ['-vf', 'scale=-2:720,format=yuv420p'] + encode + ['transcode.mp4'],
            'highlights': start + ['-i', self.film] + both + ['-vf', "select='gt(scene,0.3)',metadata=mode=print:file=scenes.log"] +
            loudness + ['-f', 'null', '-'],
            'thumbnails': start + ['-i', self.film, '-map', '0:v:0', '-vf', "thumbnail=%d,select='not(mod(n,%d))',scale=640:-2" % (
                batch, max(1, self.frames // batch // 5)), '-vsync', 'vfr', '-frames:v', '5', '-q:v', '3', 'thumbnail%d.jpg'],
            'storyboard': start + ['-i', self.film, '-map', '0:v:0', '-vf', 'fps=100/%s,scale=160:-2,tile=10x10' % self.form['duration'],
                                   '-frames:v', '1', '-q:v', '3', 'storyboard.jpg'],
        }
        for i, (begin, length) in enumerate(getattr(self, 'shorts', [])):
            name = 'short%d' % (i + 1)
            found[name] = start + ['-ss', '%.3f' % begin, '-i', self.film, '-t', '%.3f' % length] + both + ['-vf', crop] + encode + \
                [name + '.mp4']
        return found

    def run_peer(self, names=None):
        folder, _ = self.folders.fresh()
        steps = {name: measure(command, cwd=folder) for name, command in self.commands().items() if not names or name in names}
        if not names:
            self.peer.append(steps)
        for file in sorted(os.listdir(folder)):
            name, extension = os.path.splitext(file)
            if extension in ('.mp4', '.jpg') and not names and name != 'storyboard':
                self.keep('peer', name, os.path.join(folder, file))
        shutil.rmtree(folder)
        return {key: round(join(step[key] for step in steps.values()), 3) for key, join in
                (('cpu_s', sum), ('wall_s', sum), ('max_rss_kb', max))}

    def describe(self):
        """For each step the CPU seconds of both sides (the lowest of the runs), and how many pictures ours decoded."""
        ours = {name: {'cpu_s': round(min(run[name]['cpuTime'] for run in self.ours), 3),
                       'decoded_frames': self.ours[-1][name]['decodedFrames'],
                       'decoded_over_source': round(self.ours[-1][name]['decodedFrames'] / max(self.frames, 1), 3)}
                for name in self.ours[-1]}
        peer = {name: {'cpu_s': min(run[name]['cpu_s'] for run in self.peer)} for name in self.peer[-1]}
        return {'source_frames': self.frames, 'ours_steps': ours, 'peer_steps': peer, 'files': self.files}


def print_workflow(row, to):
    for name, step in row['ours_steps'].items():
        print('  ours %-24s %8.3f s  %6d frames decoded, %.3f of the film' % (
            name, step['cpu_s'], step['decoded_frames'], step['decoded_over_source']), file=to)
    print('  ours %-24s %33.3f of the film' % ('all steps', sum(s['decoded_over_source'] for s in row['ours_steps'].values())), file=to)
    for name, step in row['peer_steps'].items():
        print('  peer %-24s %8.3f s' % (name, step['cpu_s']), file=to)
    for name, sides in row['files'].items():
        print('  %-12s %s' % (name, '; '.join('%s %dx%d, %d frames, %.3f s, %d bytes' % (
            side, f['width'], f['height'], f['frames'], f['duration'], f['bytes']) for side, f in sides.items())), file=to)


def bench_workflow(options, folders):
    """The advanced workflow without transcription against one ffmpeg command for each of its files"""
    workflow = Workflow(options.film, folders)
    whole = summary('derush workflow run %s --skip transcription' % WORKFLOW, 'one ffmpeg command a file, same shorts and settings',
                    pairs(options.rounds, workflow.run_whole, workflow.run_peer, ours_first=True))
    whole.update(workflow.describe())
    looking = summary('its thumbnails, storyboard and highlights alone', 'ffmpeg: ' + ', '.join(LOOKING),
                      pairs(max(options.rounds, 3), workflow.run_looking, lambda: workflow.run_peer(LOOKING)))
    whole['looking_ratio'] = looking['ratio']
    print_workflow(whole, sys.stderr)
    return [whole, looking]


def bench_noop(options, folders):
    """Jobs without work against BullMQ's own worker"""
    rows = []
    for concurrency in (1, 50):
        answer = subprocess.run(['node', os.path.join(HERE, 'noop.mjs'), '--jobs', str(options.jobs), '--concurrency', str(concurrency),
                                 '--rounds', str(options.rounds)], stdout=subprocess.PIPE, text=True)
        if answer.returncode != 0:
            raise Failed('noop.mjs ended with %d' % answer.returncode)
        found = json.loads(answer.stdout)
        row = summary('%d jobs without work, %d at once' % (options.jobs, concurrency), "BullMQ's Worker", found)
        row['ours_jobs_per_s'] = round(statistics.median(pair['ours']['jobs_per_s'] for pair in found))
        row['peer_jobs_per_s'] = round(statistics.median(pair['peer']['jobs_per_s'] for pair in found))
        row['throughput_ratio'] = round(statistics.median(pair['ours']['jobs_per_s'] / pair['peer']['jobs_per_s'] for pair in found), 3)
        rows.append(row)
    return rows


def worker_ready(folders):
    """A media worker until it says that it is ready, then until it has ended."""
    folder, environment = folders.fresh()
    ours, theirs = socket.socketpair()
    begin = time.monotonic()
    worker = os.environ.get('DERUSH_MEDIA_WORKER', 'derush-media-worker')
    script = 'import os, sys; os.dup2(int(sys.argv[1]), 3); os.execvp(sys.argv[2], sys.argv[2:3])'
    child = subprocess.Popen([sys.executable, '-S', '-E', '-c', script, str(theirs.fileno()), worker], pass_fds=[theirs.fileno()],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env={**os.environ, **environment})
    theirs.close()
    line = ours.makefile('r').readline()
    ready = time.monotonic() - begin
    if '"ready"' not in line:
        raise Failed('the media worker said %r' % line)
    ours.close()
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return {'cpu_s': round(usage.ru_utime + usage.ru_stime, 3), 'wall_s': round(ready, 3), 'max_rss_kb': usage.ru_maxrss}


def bench_start(options, folders):
    """How long processes take to start"""
    def version(program):
        return lambda: measure([program, '--version'])

    def self_test():
        _, environment = folders.fresh()
        return measure(['derush', 'run', 'SELF_TEST', '-', '-p', 'do=ok', '-p', 'durationMs=1'], environment)

    rounds = max(options.rounds, 5)
    worker_ready(folders)
    return [summary('derush --version', 'ffprobe -version', pairs(rounds, version('derush'), lambda: measure(['ffprobe', '-version']))),
            summary('media worker ready', 'gst-launch-1.0 --version',
                    pairs(rounds, lambda: worker_ready(folders), version('gst-launch-1.0'))),
            summary('derush run SELF_TEST, 1 ms of pictures', 'gst-launch-1.0 videotestsrc, one picture',
                    pairs(rounds, self_test, lambda: measure(['gst-launch-1.0', '-q', 'videotestsrc', 'num-buffers=1', '!', 'fakesink'])))]


def bench_thumbnailer(options, folders):
    """A file manager's picture of a film against ffmpegthumbnailer, which takes the frame at 10 % whatever it shows"""
    picture = lambda: os.path.join(folders.fresh()[0], 'picture.png')
    rounds = max(options.rounds, 5)
    found = pairs(rounds, lambda: measure(['derush-thumbnailer', '-s', '256', options.film, picture()]),
                  lambda: measure(['ffmpegthumbnailer', '-s', '256', '-i', options.film, '-o', picture()]))
    return [summary('derush-thumbnailer -s 256', 'ffmpegthumbnailer -s 256', found)]


def node_figures(script, *arguments):
    answer = subprocess.run(['node', script, *arguments], stdout=subprocess.PIPE, text=True)
    if answer.returncode != 0:
        sys.stderr.write(answer.stdout)
        raise Failed('%s ended with %d' % (os.path.basename(script), answer.returncode))
    found = [line.lstrip('# ') for line in answer.stdout.splitlines() if line.lstrip('# ').startswith('{')]
    return json.loads(found[-1])


def bench_service(options, folders):
    """A derushd that idles, is asked by 500 clients for 60 s, and is scraped with 10,000 jobs known"""
    return [{'what': 'derushd', 'figures': node_figures(os.path.join(HERE, 'service.mjs'), '--jobs', str(options.jobs))}]


def bench_storm(options, folders):
    """1,000 jobs over three daemons that are killed at random, with PostgreSQL away for 60 s"""
    storm = os.path.join(HERE, '../system/storm.mjs')
    return [{'what': 'three daemons', 'figures': node_figures(storm, '--jobs', '1000', '--kill-every', '1500', '--outage', '60')}]


def bench_accuracy(options, folders):
    """Word error rates of the local engines, on flite's speech and on that of DERUSH_SHARED; what is no speech; translations; faults of servers"""
    import accuracy
    import faults

    figures, missed = accuracy.measure()
    figures['missed'] = missed
    rows, wrong = faults.measure()
    told = {row['fault']: '%s; %d requests, %.1f s; %s' % (row['job'], row['requests'], row['seconds'], row['outcome']) for row in rows}
    told.update({'show the key': [row['fault'] for row in rows if row['key']], 'missed': wrong})
    return [{'what': 'derush-models', 'figures': figures}, {'what': 'faults', 'figures': told, 'rows': rows}]


BENCHES = {'analysis': bench_analysis, 'transcode': bench_transcode, 'workflow': bench_workflow, 'noop': bench_noop, 'start': bench_start,
           'thumbnailer': bench_thumbnailer, 'service': bench_service, 'storm': bench_storm, 'accuracy': bench_accuracy}


def print_table(results):
    print('%-9s %-52s %9s %9s %7s' % ('bench', 'what / against', 'ours CPU', 'peer CPU', 'ratio'))
    for result in results:
        for row in result['rows']:
            for name, value in row.get('figures', {}).items():
                print('%-9s %-52s %s' % (result['bench'], name, value))
            if 'figures' in row:
                continue
            print('%-9s %-52s %7.3f s %7.3f s %7.2f' % (result['bench'], row['what'], row['ours_cpu_s'], row['peer_cpu_s'], row['ratio']))
            extra = '%.3f s and %.3f s on the clock' % (row['ours_wall_s'], row['peer_wall_s'])
            if 'throughput_ratio' in row:
                extra = '%d and %d jobs/s, ratio %.2f' % (row['ours_jobs_per_s'], row['peer_jobs_per_s'], row['throughput_ratio'])
            print('%-9s   against %s; %s' % ('', row['peer'], extra))


def main():
    parser = argparse.ArgumentParser(prog='./dev bench', description='Benchmarks; without NAME all of them.')
    parser.add_argument('name', nargs='*', metavar='NAME', help='one of: ' + ', '.join(BENCHES) + '; or a film')
    parser.add_argument('--json', action='store_true', help='print one JSON object as the last line')
    parser.add_argument('--list', action='store_true', help='name the benchmarks')
    parser.add_argument('--film', default=SAMPLE, help='the film (default: the sample)')
    parser.add_argument('--rounds', type=int, default=3, help='pairs of each (default: 3)')
    parser.add_argument('--jobs', type=int, default=10000, help='jobs of noop (default: 10000)')
    options = parser.parse_args()
    films = [name for name in options.name if name not in BENCHES and os.path.isfile(name)]
    options.name = [name for name in options.name if name not in films]
    options.film = os.path.abspath(films[-1] if films else options.film)
    if options.list:
        for name, function in BENCHES.items():
            print('%-10s %s' % (name, function.__doc__))
        return 0
    unknown = [name for name in options.name if name not in BENCHES]
    if unknown:
        parser.error('there is no bench %s; there are %s' % (', '.join(unknown), ', '.join(BENCHES)))
    base = tempfile.mkdtemp(prefix='derush-bench-')
    results = []
    try:
        for name in options.name or BENCHES:
            print('%s: %s' % (name, BENCHES[name].__doc__), file=sys.stderr)
            rows = BENCHES[name](options, Folders(os.path.join(base, name)))
            results.append({'bench': name, 'film': os.path.basename(options.film), 'ratio': rows[0].get('ratio'), 'rows': rows})
    except Failed as error:
        print('bench: %s' % error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if options.json:
        print(json.dumps(results[0] if len(results) == 1 else {'benches': results}))
    else:
        print_table(results)
    return 0


if __name__ == '__main__':
    sys.exit(main())
