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


def measure(command, environment=None, cwd=None):
    """Runs a command to its end; only processes that it waits for are counted."""
    log = tempfile.TemporaryFile()
    begin = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd,
                             env={**os.environ, **(environment or {})})
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        log.seek(0)
        raise Failed('%s ended with %d: %s' % (' '.join(command), child.returncode, log.read().decode(errors='replace')[-1500:]))
    return {'cpu_s': round(usage.ru_utime + usage.ru_stime, 3), 'wall_s': round(wall, 3), 'max_rss_kb': usage.ru_maxrss}


def pairs(rounds, ours, peer):
    """Alternates `ours` and `peer`, the first of each pair in turn, and takes the median of the ratios of CPU seconds."""
    found = []
    for i in range(rounds):
        order = (('peer', peer), ('ours', ours)) if i % 2 == 0 else (('ours', ours), ('peer', peer))
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


BENCHES = {'analysis': bench_analysis, 'transcode': bench_transcode, 'noop': bench_noop, 'start': bench_start}


def print_table(results):
    print('%-9s %-52s %9s %9s %7s' % ('bench', 'what / against', 'ours CPU', 'peer CPU', 'ratio'))
    for result in results:
        for row in result['rows']:
            print('%-9s %-52s %7.3f s %7.3f s %7.2f' % (result['bench'], row['what'], row['ours_cpu_s'], row['peer_cpu_s'], row['ratio']))
            extra = '%.3f s and %.3f s on the clock' % (row['ours_wall_s'], row['peer_wall_s'])
            if 'throughput_ratio' in row:
                extra = '%d and %d jobs/s, ratio %.2f' % (row['ours_jobs_per_s'], row['peer_jobs_per_s'], row['throughput_ratio'])
            print('%-9s   against %s; %s' % ('', row['peer'], extra))


def main():
    parser = argparse.ArgumentParser(prog='./dev bench', description='Benchmarks; without NAME all of them.')
    parser.add_argument('name', nargs='*', metavar='NAME', help='one of: ' + ', '.join(BENCHES))
    parser.add_argument('--json', action='store_true', help='print one JSON object as the last line')
    parser.add_argument('--list', action='store_true', help='name the benchmarks')
    parser.add_argument('--film', default=SAMPLE, help='the film (default: the sample)')
    parser.add_argument('--rounds', type=int, default=3, help='pairs of each (default: 3)')
    parser.add_argument('--jobs', type=int, default=10000, help='jobs of noop (default: 10000)')
    options = parser.parse_args()
    options.film = os.path.abspath(options.film)
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
            results.append({'bench': name, 'film': os.path.basename(options.film), 'ratio': rows[0]['ratio'], 'rows': rows})
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
