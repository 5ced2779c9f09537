# SPDX-License-Identifier: LGPL-2.1-or-later
"""How well the local engines understand, speak and translate: word error rates through derush-models, as its clients have them."""

import array
import io
import json
import math
import os
import random
import re
import subprocess
import urllib.error
import urllib.request
import uuid
import wave

RATE = 16000
# Sentences of this repository, read to the recogniser by flite.
PASSAGES = {
    'museum': 'The museum opens at nine in the morning and closes at six in the evening. Children under twelve enter for free, but they '
              'must be with an adult. Please do not touch the paintings. On the second floor there is a small cafe where you can buy '
              'coffee and bread. We hope that you enjoy your visit today.',
    'weather': 'It will rain in the north this afternoon. The wind comes from the west and will be strong near the coast. Tomorrow the sky '
               'will be clear in most parts of the country. At night it can be very cold in the mountains. Take a warm coat with you.',
    'garden': 'In spring we plant the seeds in the house. When the days get longer the young plants can stand outside. They need water every '
              'day and a lot of light. In the autumn we pick the apples and make juice. The children like that part of the year.',
}
TRANSLATIONS = [
    ('es', 'pt', 'El museo abre a las nueve de la mañana y cierra a las seis de la tarde.', 'O museu abre às nove da manhã e fecha às seis da tarde.'),
    ('es', 'it', 'El museo abre a las nueve de la mañana y cierra a las seis de la tarde.',
     'Il museo apre alle nove del mattino e chiude alle sei del pomeriggio.'),
]


# Two talks of three subjects each, which begin with the sentences of these numbers.
TALKS = {
    'coffee': ([0, 6, 11],
               'Welcome to this lecture about the history of coffee. Coffee was first grown in Ethiopia more than a thousand years ago. '
               'Monks in a nearby monastery made a drink from the coffee berries. From Ethiopia coffee travelled to Yemen. '
               'By the sixteenth century coffee houses had opened in Cairo. People met in coffee houses to play chess. '
               'Now let us move on to the brewing of coffee. Water that is too hot makes the cup bitter. Water that is too cold leaves the cup sour. '
               'The grind size changes how fast the water runs through the filter. A coarse grind needs four minutes in a French press. '
               'The last topic is the effect of caffeine on sleep. Caffeine blocks a molecule that makes the brain feel tired. '
               'Half of the caffeine is still in your blood five hours later. Older people break down caffeine more slowly. '
               'If your sleep is bad, try a week without caffeine.'),
    'bicycle': ([0, 5, 10],
                'This film is about the bicycle chain. A dry chain wears out the sprockets. Clean the chain with a rag before you oil it. '
                'Oil the chain every two hundred kilometres. A stretched chain must be replaced. '
                'Next we look at the brakes. The brake pads are worn when the grooves have gone. Grease on a brake disc makes the brakes squeal. '
                'Brake pads for discs are replaced in pairs. Bleed hydraulic brakes once every year. '
                'Finally we talk about lights. The front light must not dazzle other riders. A hub dynamo feeds both lights without batteries. '
                'The rear light is red and stays on when you stop. Reflectors help when a light fails.'),
}


class Server:
    """derush-models for as long as this object is open."""

    def __enter__(self):
        self.token = uuid.uuid4().hex
        self.process = subprocess.Popen([os.environ.get('DERUSH_LOCAL_MODELS', 'derush-models')], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, 'DERUSH_MODELS_TOKEN': self.token, 'LC_ALL': 'C.UTF-8'})
        line = self.process.stdout.readline().split()
        if len(line) != 2 or line[0] != 'listening':
            raise RuntimeError('derush-models did not start')
        self.url = line[1]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def post(self, path, body, kind='application/json'):
        request = urllib.request.Request(self.url + path, data=body if isinstance(body, bytes) else json.dumps(body).encode(),
                                         headers={'Authorization': 'Bearer ' + self.token, 'Content-Type': kind})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=3600) as answer:
            return answer.read()

    def speak(self, text, voice):
        return read_wav(self.post('/audio/speech', {'input': text, 'voice': voice, 'response_format': 'wav'}))

    def analyse(self, sentences):
        """Half a second for each word, and a pause."""
        segments, time = [], 0
        for sentence in sentences:
            length = 0.5 * len(sentence.split())
            segments.append({'start': time, 'end': time + length, 'text': sentence})
            time += length + 0.4
        given = {'transcript': {'segments': segments, 'text': ' '.join(sentences), 'language': 'en'}, 'parameters': {'duration': time, 'type': 'HASHTAGS'}}
        text, words_of = {'type': 'string'}, {'type': 'array', 'items': {'type': 'string'}}
        chapter = {'type': 'object', 'required': ['start', 'title'], 'properties': {'start': {'type': 'number'}, 'title': text}}
        schema = {'type': 'object', 'required': ['summary', 'tags', 'hashtags', 'chapters'],
                  'properties': {'summary': text, 'tags': words_of, 'hashtags': words_of, 'chapters': {'type': 'array', 'items': chapter}}}
        answer = json.loads(self.post('/chat/completions', {
            'model': 'local-extractive', 'messages': [{'role': 'user', 'content': json.dumps(given)}],
            'response_format': {'type': 'json_schema', 'json_schema': {'name': 'video_analysis', 'schema': schema}}}))
        return json.loads(answer['choices'][0]['message']['content']), [segment['start'] for segment in segments]

    def transcribe(self, sound):
        file = sound if isinstance(sound, bytes) else write_wav(sound)
        edge = uuid.uuid4().hex
        body = b''.join([('--%s\r\nContent-Disposition: form-data; name="response_format"\r\n\r\nverbose_json\r\n' % edge).encode(),
                         ('--%s\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' % edge).encode(), file,
                         ('\r\n--%s--\r\n' % edge).encode()])
        return json.loads(self.post('/audio/transcriptions', body, 'multipart/form-data; boundary=' + edge))


def read_wav(file):
    with wave.open(io.BytesIO(file)) as source:
        if source.getframerate() != RATE or source.getnchannels() != 1:
            raise RuntimeError('expected %d Hz mono' % RATE)
        return array.array('h', source.readframes(source.getnframes()))


def write_wav(samples):
    file = io.BytesIO()
    with wave.open(file, 'wb') as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes(array.array('h', samples).tobytes())
    return file.getvalue()


def words(text):
    return re.sub(r"[^a-z0-9' ]", ' ', text.lower().replace('’', "'")).split()


def error_rate(wanted, found):
    """The fewest words to be put in, left out or exchanged, over the words that were wanted."""
    wanted, found = words(wanted), words(found)
    row = list(range(len(found) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for k, other in enumerate(found, 1):
            before, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, before + (word != other))
    return row[-1] / max(len(wanted), 1)


def cut_at_silences(samples, seconds):
    """Pieces of about that length, cut in the middle of the longest pause that is near."""
    step = RATE // 50
    loud = [max(map(abs, samples[i:i + step]), default=0) > 300 for i in range(0, len(samples), step)]
    pieces, begin = [], 0
    while (len(loud) - begin) / 50 > seconds * 1.5:
        best, longest, run = None, 0, 0
        for i in range(begin + int(seconds * 25), min(begin + int(seconds * 75), len(loud))):
            run = 0 if loud[i] else run + 1
            if run > longest:
                longest, best = run, i - run // 2
        if best is None:
            break
        pieces.append(samples[begin * step:best * step])
        begin = best
    return pieces + [samples[begin * step:]]


def speech_files(english=True):
    shared = os.environ.get('DERUSH_SHARED') or os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../shared')
    media = os.path.join(shared, 'media')
    try:
        with open(os.path.join(media, 'manifest.json'), encoding='utf-8') as file:
            entries = json.load(file)
    except OSError:
        return []
    entries = entries if isinstance(entries, list) else entries.get('files', [])
    spoken = [(os.path.join(media, entry['file']), entry['annotations']['transcript']) for entry in entries
              if 'transcript' in (entry.get('annotations') or {})]
    return [(path, truth['text']) for path, truth in spoken if (truth.get('lang') == 'en') == english and path.endswith('.wav')]


def refusal(server, file):
    """The code of the error, or None: English, as far as can be told."""
    try:
        server.transcribe(file)
    except urllib.error.HTTPError as error:
        return json.load(error)['error']['code']
    return None


def silences():
    chance = random.Random(1)
    seconds = range(8 * RATE)
    return {
        'silence': [0 for _ in seconds],
        'noise': [int(9000 * (2 * chance.random() - 1)) for _ in seconds],
        'bursts of noise': [int((15000 if i % RATE < 6000 else 150) * (2 * chance.random() - 1)) for i in seconds],
        'tone': [int(15000 * math.sin(2 * math.pi * 440 * i / RATE)) for i in seconds],
        'beeps': [int(15000 * math.sin(2 * math.pi * 1000 * i / RATE)) if i % RATE < 5000 else 0 for i in seconds],
        'hum': [int(9000 * math.sin(2 * math.pi * 50 * i / RATE) + 3000 * math.sin(2 * math.pi * 150 * i / RATE)) for i in seconds],
    }


def measure_texts(server, missed):
    """What the heuristics for texts tell apart, and how far from a change of subject their chapters begin."""
    chance, made, off, kept = random.Random(1), {}, 0, []
    for name, (changes, text) in TALKS.items():
        sentences = re.split(r'(?<=[.]) ', text)
        made[name], starts = server.analyse(sentences)
        chapters = [chapter['start'] for chapter in made[name]['chapters']]
        off = max([off] + [min((abs(starts[change] - chapter) for chapter in chapters), default=999) for change in changes])
        for _ in range(5):
            other, _ = server.analyse(chance.sample(sentences, len(sentences)))
            kept += ['%s of %s' % (member, name) for member in other if other[member] == made[name][member]]
    one, two = made.values()
    shared = [member for member in one if one[member] == two[member]] + [tag for tag in one['tags'] if tag in two['tags']]
    if shared or kept or off > 3:
        missed.append('texts')
    return {'what two talks share (nothing)': shared, 'what shuffling leaves as it is (nothing)': kept,
            'chapters, farthest from a change of subject in s (<= 3)': round(off, 2)}


def rounded(values):
    return {name: round(value, 3) for name, value in values.items()}


def mean(values):
    return sum(values) / len(values)


def measure():
    """The figures by their names; `missed` lists those that are beyond their bound."""
    figures, missed = {}, []
    with Server() as server:
        flite, whole = {}, array.array('h')
        for (name, text), voice in zip(PASSAGES.items(), ('rms', 'awb', 'kal16')):
            sound = server.speak(text, voice)
            whole.extend(sound)
            whole.extend([0] * RATE)
            flite['%s, %s' % (voice, name)] = error_rate(text, server.transcribe(sound)['text'])
        figures['flite WER'] = rounded(flite)
        figures['flite WER, worst (<= 0.20)'] = round(max(flite.values()), 3)
        if max(flite.values()) > 0.20:
            missed.append('flite')
        people = {}
        for path, text in speech_files():
            with open(path, 'rb') as file:
                try:
                    people[os.path.basename(path)] = error_rate(text, server.transcribe(file.read())['text'])
                except urllib.error.HTTPError:
                    people[os.path.basename(path)] = 1.0  # taken for another language
        if people:
            figures['people WER'] = rounded(people)
            figures['people WER, mean (<= 0.40)'] = round(mean(people.values()), 3)
            if mean(people.values()) > 0.40:
                missed.append('people')
        strangers = {}
        for path, _ in speech_files(english=False):
            with open(path, 'rb') as file:
                strangers[os.path.basename(path)] = refusal(server, file.read())
        if strangers:
            figures['other languages, of %d refused' % len(strangers)] = sum(map(bool, strangers.values()))
            if not any(strangers.values()):
                missed.append('other languages')
        heard = {name: server.transcribe(sound)['text'] for name, sound in silences().items()}
        figures['words in silence, noise, tones (none)'] = {name: len(words(text)) for name, text in heard.items()}
        if any(heard.values()):
            missed.append('silence')
        at_once = server.transcribe(whole)['text']
        pieces = cut_at_silences(whole, 10)
        in_pieces = ' '.join(server.transcribe(piece)['text'] for piece in pieces)
        apart = error_rate(at_once, in_pieces)
        figures['whole against %d pieces (<= 0.05)' % len(pieces)] = round(apart, 3)
        if apart > 0.05:
            missed.append('pieces')
        exact = {}
        for source, target, text, wanted in TRANSLATIONS:
            found = json.loads(server.post('/translate', {'texts': [text], 'source': source, 'target': target}))['texts'][0]
            exact['%s to %s' % (source, target)] = found == wanted
        figures['translations that are exact'] = exact
        if not all(exact.values()):
            missed.append('translations')
        figures.update(measure_texts(server, missed))
        try:
            server.post('/translate', {'texts': ['hello'], 'source': 'en', 'target': 'ja'})
            missed.append('unsupported pair')
        except urllib.error.HTTPError as error:
            figures['an unsupported pair'] = json.load(error)['error']['code']
    return figures, missed
