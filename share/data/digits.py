#!/usr/bin/python3
"""Spoken digits as WAV files, made here: the same bytes each time from the same versions of the synthesisers.

    share/data/digits.py DIR [--clips 3000] [--seed 1] [--throats 0.7] [--snr 10] [--plain]

DIR/train/zero ... nine    espeak-ng, 8 kHz, in made-up voices beside its own, with augmentation (--plain: without either):
                           noise, band, gain, offset, echo, pace
DIR/voices/zero ... nine   espeak-ng in voices that are not in train, as they come
DIR/flite/zero ... nine    flite: another synthesiser
DIR/human/zero ... nine    a person: Debian's asterisk-core-sounds-en-wav (CC-BY-SA 3.0, Allison Smith)

A part whose program or package is not there is left out with one line. Needs python3-numpy and espeak-ng; DIR must not exist.
Voices of espeak-ng differ in little: what is right on `voices` says less than what is right on `human`.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor

import numpy as np

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
RATE = 8000
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"]
VARIANTS = ["adam", "Alex", "Alicia", "Andrea", "Andy", "anika", "Annie", "antonio", "aunty", "belinda", "benjamin",
            "boris", "caleb", "david", "Denis", "Diogo", "ed", "edward", "f1", "f2", "f3", "f4", "f5", "Gene", "grandma",
            "grandpa", "gustave", "Henrique", "Hugo", "iven", "iven2", "Jacky", "john", "kaukovalta", "Lee", "linda",
            "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "Marco", "Mario", "max", "Michael", "michel",
            "miguel", "Mike", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph",
            "steph2", "travis", "victor", "zac"]
HELD = set(VARIANTS[4::6])  # variants that are never trained with
FLITE = ["awb", "kal", "kal16", "rms", "slt"]
ASTERISK = "/usr/share/asterisk/sounds/en_US_f_Allison/digits"


def read_wav(path):
    with wave.open(path, "rb") as w:
        assert w.getsampwidth() == 2, path
        x = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(np.float64) / 32768
        return x.reshape(-1, w.getnchannels()).mean(axis=1), w.getframerate()


def write_wav(path, x):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wave.open(path, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        w.writeframes(np.clip(np.rint(x * 32767), -32768, 32767).astype("<i2").tobytes())


def resample(x, ratio):
    """To `ratio` as many samples, by its spectrum; silence around it takes up what rings."""
    pad = np.zeros(256)
    x = np.concatenate([pad, x, pad])
    n = max(1, int(round(len(x) * ratio)))
    spectrum = np.fft.rfft(x)
    out = np.zeros(n // 2 + 1, complex)
    k = min(len(out), len(spectrum))
    out[:k] = spectrum[:k]
    if n < len(x):  # a soft edge below the new half rate
        edge = max(1, k // 16)
        out[k - edge:k] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(edge) / edge)
    y = np.fft.irfft(out, n) * (n / len(x))
    cut = int(256 * ratio)
    return y[cut:n - cut]


def trim(x):
    """Without the silence at both ends, by the loudest hundredth of a second."""
    step = RATE // 100
    n = max(1, len(x) // step)
    loud = np.array([np.sqrt(np.mean(x[i * step:(i + 1) * step] ** 2)) if len(x) > i * step else 0 for i in range(n)])
    there = np.nonzero(loud > 0.02 * loud.max())[0]
    return x[there[0] * step:(there[-1] + 1) * step] if len(there) else x


def level(x, rms):
    now = np.sqrt(np.mean(x ** 2)) if len(x) else 0
    return x * (rms / now) if now > 0 else x


def pause(x, before, after):
    return np.concatenate([np.zeros(int(before * RATE)), x, np.zeros(int(after * RATE))])


def band(x, low, high, rng):
    """A soft band and a tilt of up to 6 dB an octave, in the spectrum."""
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    gain = 1 / np.sqrt(1 + (low / np.maximum(f, 1)) ** 4) / np.sqrt(1 + (f / high) ** 8)
    gain *= np.maximum(f, 50) ** (rng.uniform(-6, 6) / 6.02)
    for _ in range(rng.integers(0, 3)):  # bumps of a room or a telephone
        centre, width, depth = rng.uniform(200, 3600), rng.uniform(80, 600), rng.uniform(-12, 12)
        gain *= 10 ** (depth / 20 * np.exp(-0.5 * ((f - centre) / width) ** 2))
    return np.fft.irfft(np.fft.rfft(x) * gain, len(x))


def echo(x, rng):
    n = int(rng.uniform(0.02, 0.2) * RATE)
    room = rng.standard_normal(n) * np.exp(-np.arange(n) / (n / 5)) * rng.uniform(0.02, 0.15)
    room[0] = 1
    size = len(x) + n
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(room, size), size)


def noise(n, rng):
    f = np.fft.rfftfreq(n, 1 / RATE)
    colour = np.maximum(f, 30) ** (-rng.uniform(0, 1.2))
    return level(np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * colour, n), 1)


def augment(x, rng):
    x = resample(x, rng.uniform(0.85, 1.18))  # a shorter or longer throat, and pace
    if rng.random() < 0.5:
        x = echo(x, rng)
    x = pause(x, rng.uniform(0.02, 0.3), rng.uniform(0.02, 0.3))
    if rng.random() < 0.8:
        x = band(x, rng.uniform(50, 350), rng.uniform(2600, 3900), rng)
    rms = 10 ** (rng.uniform(-32, -14) / 20)
    x = level(x, rms) + noise(len(x), rng) * rms * 10 ** (-rng.uniform(6, 45) / 20)
    return x


def speak(command, folder, name):
    path = os.path.join(folder, name)
    subprocess.run([a.replace("OUT", path) for a in command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    x, rate = read_wav(path)
    os.unlink(path)
    return trim(resample(x, RATE / rate) if rate != RATE else x)


def throat(rng):
    """A voice that nobody has: its resonances, how rough, how breathy. The text of a variant of espeak-ng."""
    lines = ["language variant", "name throat", "pitch %d %d" % (lambda p: (p, p + rng.integers(5, 60)))(rng.integers(65, 230))]
    size = rng.uniform(0.85, 1.2)  # of all of them together, then each for itself
    for n in range(9):
        lines.append("formant %d %d %d %d" % (n, 100 * size * rng.uniform(0.8, 1.25), rng.uniform(20, 130) if n > 2 else
                                              rng.uniform(60, 130), rng.uniform(60, 160)))
    if rng.random() < 0.4:
        lines += ["voicing %d" % rng.integers(20, 130), "consonants %d %d" % tuple(rng.integers(40, 150, 2))]
    if rng.random() < 0.3:
        lines += ["breath " + " ".join(str(v) for v in rng.integers(0, 60, 6))]
    if rng.random() < 0.3:
        lines += ["tone " + " ".join("%d %d" % (f, rng.integers(60, 256)) for f in (600, 1200, 2500, 5000))]
    if rng.random() < 0.2:
        lines.append("klatt %d" % rng.integers(1, 5))
    return "\n".join(lines + ["flutter %d" % rng.integers(0, 8), "roughness %d" % rng.integers(0, 5), ""])


def room_for_throats(temp):
    """A folder of data of espeak-ng that takes more variants: links to its own, and room beside them."""
    said = subprocess.run(["espeak-ng", "--version"], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    own = said.split("Data at:")[1].strip()
    data = os.path.join(temp, "espeak-ng-data")
    variants = os.path.join(data, "voices", "!v")
    os.makedirs(variants)
    for path, folder in ((own, data), (os.path.join(own, "voices"), os.path.join(data, "voices")),
                         (os.path.join(own, "voices", "!v"), variants)):
        for name in os.listdir(path):
            if not os.path.exists(os.path.join(folder, name)):
                os.symlink(os.path.join(path, name), os.path.join(folder, name))
    return variants


def hiss(path, x, snr):
    """White noise so many dB below a recording that is tested with; None: as it is."""
    if snr is None:
        return x
    rng = np.random.default_rng(list(path.encode()))
    return x + rng.standard_normal(len(x)) * np.sqrt(np.mean(x ** 2)) * 10 ** (-snr / 20)


def espeak_job(seed, part, i, variants, plain, throats, snr, out, temp):
    rng = np.random.default_rng([seed, {"train": 0, "voices": 1}[part], i])
    word = i % 10
    accent = ACCENTS[rng.integers(len(ACCENTS))]
    variant = variants[rng.integers(len(variants))]
    made_up = part == "train" and not plain and throats > 0 and rng.random() < throats
    if made_up:
        variant = "throat%d" % i
        made_up = os.path.join(temp, "espeak-ng-data", "voices", "!v", variant)
        with open(made_up, "w") as f:
            f.write(throat(rng))
    voice = accent + "+" + variant
    command = ["espeak-ng", "--path=" + temp, "-v", voice, "-p", str(rng.integers(20, 81)), "-s",
               str(rng.integers(110, 211)), "-w", "OUT", WORDS[word]]
    x = speak(command, temp, "%s-%d.wav" % (part, i))
    if made_up:
        os.unlink(made_up)  # espeak-ng looks at all there are, and not at more than some hundred
    x = pause(level(x, 0.08), 0.1, 0.1) if plain else augment(x, rng)
    path = os.path.join(part, WORDS[word], "%s_%05d.wav" % (voice, i))
    write_wav(os.path.join(out, path), x if part == "train" else hiss(path, x, snr))


def espeak(part, clips, variants, plain, a, temp):
    with ThreadPoolExecutor(max(1, min(4, len(os.sched_getaffinity(0))))) as pool:
        list(pool.map(lambda i: espeak_job(a.seed, part, i, variants, plain, a.throats, a.snr, a.dir, temp), range(clips)))


def flite(a, temp):
    if not shutil.which("flite"):
        print("digits.py: flite is not installed: no DIR/flite", file=sys.stderr)
        return
    for voice in FLITE:
        for word in WORDS:
            x = speak(["flite", "-voice", voice, "-t", word, "-o", "OUT"], temp, "flite.wav")
            path = os.path.join("flite", word, voice + ".wav")
            write_wav(os.path.join(a.dir, path), hiss(path, pause(level(x, 0.08), 0.1, 0.1), a.snr))


def human(a):
    if not os.path.exists(os.path.join(ASTERISK, "0.wav")):
        print("digits.py: asterisk-core-sounds-en-wav is not installed: no DIR/human", file=sys.stderr)
        return
    for k, word in enumerate(WORDS):
        x, rate = read_wav(os.path.join(ASTERISK, "%d.wav" % k))
        x = trim(resample(x, RATE / rate) if rate != RATE else x)
        path = os.path.join("human", word, "allison.wav")
        write_wav(os.path.join(a.dir, path), hiss(path, pause(level(x, 0.08), 0.1, 0.1), a.snr))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("dir")
    p.add_argument("--clips", type=int, default=3000, help="of train (3000); voices gets 400")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--snr", type=float, help="white noise so many dB below voices, flite and human; left out: none")
    p.add_argument("--plain", action="store_true", help="train as it is spoken, without augmentation")
    p.add_argument("--throats", type=float, default=0.7, help="share of train that made-up voices speak (0.7)")
    a = p.parse_args()
    if not shutil.which("espeak-ng"):
        sys.exit("digits.py: espeak-ng is not installed: apt-get install espeak-ng")
    os.makedirs(a.dir)
    with tempfile.TemporaryDirectory() as temp:
        room_for_throats(temp)
        espeak("train", a.clips, [v for v in VARIANTS if v not in HELD], a.plain, a, temp)
        espeak("voices", min(400, a.clips), sorted(HELD), True, a, temp)
        flite(a, temp)
    human(a)


if __name__ == "__main__":
    main()
