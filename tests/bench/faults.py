# SPDX-License-Identifier: LGPL-2.1-or-later
"""What becomes of a job when the server of a model misbehaves: each fault against a fake of OpenAI's server, through `derush run`."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEY = 'sk-planted-0123456789abcdef'
# Enough of the key to know whose it is.
PART = KEY[:11]
# Who has not ended by then hangs, in s; calls have DEADLINE.
LONGEST, DEADLINE = 60, 5


def status(code, body=None, **headers):
    fault = {'fault': 'status', 'status': code, 'headers': {name.replace('_', '-'): value for name, value in headers.items()}}
    return {**fault, 'body': body} if body else fault


def said(code, message, kind):
    return {'error': {'message': message, 'type': kind, 'param': None, 'code': code}}


def always(fault):
    return {**fault, 'always': True}


COMPLETED, RETRY, LATER, FINAL = 'completed', 'tried again', 'delayed', 'fails for good'
TEXT, SPEECH, VOICE, IMAGE = 'CONTENT_GENERATION', 'TRANSCRIPTION', 'VOICEOVER', 'IMAGE_GENERATION'
# Name, what is asked for, what the server does, what has to come of it.
FAULTS = [
    ('429 without a delay, once', TEXT, status(429), COMPLETED),
    ('429 with a delay, once', TEXT, status(429, retry_after='1'), COMPLETED),
    ('429 with a delay of an hour', TEXT, status(429, retry_after='3600'), LATER),
    ('429 without an end', TEXT, always(status(429, retry_after_ms='20')), RETRY),
    ('503 without a delay, once', TEXT, status(503), COMPLETED),
    ('503 with a delay, once', TEXT, status(503, retry_after='1'), COMPLETED),
    ('503 with a delay of an hour', TEXT, status(503, retry_after='3600'), LATER),
    ('503 without an end', TEXT, always(status(503, retry_after_ms='20')), RETRY),
    ('the model is being loaded', TEXT, status(503, {'error': 'Model X is currently loading', 'estimated_time': 1}), COMPLETED),
    ('drip', TEXT, always({'fault': 'drip'}), RETRY),
    ('silence', TEXT, always({'fault': 'silent'}), RETRY),
    ('reset, once', TEXT, {'fault': 'reset'}, COMPLETED),
    ('reset during the upload, once', SPEECH, {'fault': 'reset', 'early': True}, COMPLETED),
    ('reset without an end', TEXT, always({'fault': 'reset'}), RETRY),
    ('truncated JSON, once', TEXT, {'fault': 'truncate'}, COMPLETED),
    ('truncated JSON without an end', TEXT, always({'fault': 'truncate'}), RETRY),
    # Of unknown length, as that of OpenAI: it is known by its duration alone.
    ('truncated sound, once', VOICE, {'fault': 'truncate'}, COMPLETED),
    ('truncated picture, once', IMAGE, {'fault': 'truncate'}, COMPLETED),
    ('shorter than its length, once', TEXT, {'fault': 'short'}, COMPLETED),
    ('wrong type of JSON', TEXT, {'fault': 'wrong-type'}, COMPLETED),
    ('wrong type of sound', VOICE, {'fault': 'wrong-type'}, COMPLETED),
    ('HTML', TEXT, always({'fault': 'html'}), RETRY),
    ('HTML in place of sound', VOICE, always({'fault': 'html'}), RETRY),
    ('redirection', TEXT, always({'fault': 'redirect', 'location': 'http://127.0.0.1:9/'}), FINAL),
    ('expired key, which is echoed', TEXT, always(status(401, said('invalid_api_key', 'Incorrect API key provided: %s' % KEY, 'auth'))), FINAL),
    ('expired key, echoed in part', TEXT, always(status(401, said('invalid_api_key', 'Incorrect API key provided: %s****cdef' % KEY[:14], 'auth'))), FINAL),
    ('key without the right', TEXT, always(status(403)), FINAL),
    ('quota', TEXT, always(status(429, said('insufficient_quota', 'You exceeded your current quota', 'insufficient_quota'))), FINAL),
    ('payment due', TEXT, always(status(402)), FINAL),
    ('unknown model', TEXT, always(status(404, said('model_not_found', 'The model does not exist', 'invalid_request_error'))), FINAL),
    ('huge body', TEXT, always({'fault': 'huge'}), RETRY),
    ('huge length', TEXT, always({'fault': 'huge-length'}), RETRY),
    ('slow upload', SPEECH, {'fault': 'slow-upload'}, COMPLETED),
    ('more than it takes', SPEECH, always(status(413)), FINAL),
    ('invalid JSON, once', TEXT, {'fault': 'invalid-json'}, COMPLETED),
    ('invalid JSON without an end', TEXT, always({'fault': 'invalid-json'}), RETRY),
    ('an answer of another form, once', TEXT, {'content': '{"nothing": 1}'}, COMPLETED),
    ('refusal', TEXT, {'fault': 'refusal'}, FINAL),
    ('filter', TEXT, {'finish': 'content_filter'}, FINAL),
    ('request against the rules', TEXT, always(status(400, said('content_policy_violation', 'rejected by our safety system', 'x'))), FINAL),
]


class Fake:
    def __init__(self):
        self.process = subprocess.Popen(['node', os.path.join(TOP, 'tests/fakes/openai.mjs'), '--key', KEY], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, path, body=None):
        request = urllib.request.Request(self.url.rsplit('/', 1)[0] + path, data=body and json.dumps(body).encode())
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.load(answer)


def run(fake, folder, kind, sound):
    environment = {name: value for name, value in os.environ.items()
                   if name == 'DERUSH_MODEL_WORKER' or (not name.startswith(('OPENAI_', 'HUGGINGFACE_', 'DERUSH_MODEL_')) and 'proxy' not in name.lower())}
    environment.update(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=fake.url, DERUSH_STATE_DIR=folder + '/state', DERUSH_CACHE=folder + '/cache',
                       DERUSH_SCRATCH=folder + '/scratch', DERUSH_MODEL_TIMEOUT=str(DEADLINE), DERUSH_MODEL_RECORD=folder + '/record',
                       DERUSH_LOG_LEVEL='debug', DERUSH_CONFIG=folder + '/derush.conf', LC_ALL='C.UTF-8')
    more = {TEXT: ['-', '-p', 'prompt=A film of a drill', '-p', 'options.type=TITLE'], SPEECH: [sound],
            VOICE: ['-', '-p', 'text=This is a sentence that is long enough to be measured.', '-p', 'language=en'],
            IMAGE: ['-', '-p', 'prompt=A drill']}[kind]
    return subprocess.run(['derush', 'run', kind, *more, '-o', folder + '/out', '--json'], env=environment, capture_output=True, timeout=LONGEST, check=False)


def is_in_files(folder):
    return any(PART.encode() in open(os.path.join(parent, name), 'rb').read() for parent, _, names in os.walk(folder) for name in names)


def judge(event):
    """What becomes of the job, and how it is told."""
    if event.get('event') == 'result':
        return COMPLETED, '-'
    job = FINAL if event.get('final') else LATER if event.get('retryAt', 0) > time.time() + 3000 else RETRY
    return job, '%s: %s' % (event.get('class', '?'), event.get('message', '?'))


def seconds_since(began):
    return round(time.monotonic() - began, 1)


def measure():
    """A row for each fault, and the names of those that end in another way than they have to, hang, or show the key."""
    rows, missed = [], []
    top = tempfile.mkdtemp(prefix='derush-faults-')
    sound = os.path.join(top, 'speech.wav')
    subprocess.run(['ffmpeg', '-loglevel', 'error', '-f', 'lavfi', '-i', 'sine=f=200:r=16000:d=6', '-ac', '1', sound], check=True)
    with Fake() as fake:
        for i, (name, kind, fault, wanted) in enumerate(FAULTS):
            folder = os.path.join(top, str(i))
            os.mkdir(folder)
            open(os.path.join(folder, 'derush.conf'), 'w', encoding='utf-8').close()
            fake.ask('/__faults', [fault])
            began = time.monotonic()
            try:
                done = run(fake, folder, kind, sound)
                lines = done.stdout.decode('utf-8', 'replace').splitlines()
                event = json.loads(lines[-1]) if lines else {}
                job, outcome = judge(event)
                shown = (done.stdout + done.stderr).decode('utf-8', 'replace')
            except subprocess.TimeoutExpired as error:
                job, outcome, shown = 'hangs', '-', str(error.stdout) + str(error.stderr)
            row = {'fault': name, 'job': job, 'outcome': outcome, 'requests': len(fake.ask('/__log')), 'seconds': seconds_since(began),
                   'key': PART in shown or is_in_files(folder)}
            rows.append(row)
            if row['key'] or job != wanted:
                missed.append(name)
    shutil.rmtree(top)
    return rows, missed
