#!/usr/bin/python3
"""Piano music that nobody wrote, as WAV files: notes from a seed, played by fluidsynth; the same bytes from the same versions.

    share/data/piano.py DIR [--minutes 30] [--seed 1] [--rate 16000] [--font FILE.sf2]

DIR/train/N.wav, DIR/test/N.wav (a tenth, of other seeds)   pieces of half a minute
DIR/train/N.tsv ...                                          the notes: start and end in seconds, pitch, loudness

Needs fluidsynth and a sound font (Debian: fluidsynth timgm6mb-soundfont); DIR must not exist. What the font's licence says holds for
the sound: TimGM6mb is GPL-2, and models of it are recipes, not files that come along; FluidR3_GM (Debian: fluid-soundfont-gm) is MIT. A
model of samples:

    share/data/piano.py piano
    mambaseq train share:configs/train/audio-lm.yaml -i piano/train -o pianist --set reader.rate=16000 \\
        --set train.order=random --set train.start=none --set train.start_unknown=null
    mambaseq eval share:pipelines/audio/anomaly.yaml -m pianist -i piano/test --split 0.5 --baseline lpc32
"""
import argparse
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

FONTS = ["/usr/share/sounds/sf2/TimGM6mb.sf2", "/usr/share/sounds/sf2/default-GM.sf2", "/usr/share/sounds/sf2/FluidR3_GM.sf2"]
SECONDS = 30
TICKS = 480  # of half a second
SCALES = [(0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9)]


def notes(rng):
    """(start, end, pitch, loudness) in seconds: a melody and chords of one key, at a pace of its own."""
    key, scale = rng.randrange(12), rng.choice(SCALES)
    beat = rng.uniform(0.25, 0.6)
    tones = [p for p in range(36, 90) if (p - key) % 12 in scale]
    at, step, made = 0.1, len(tones) // 2, []
    while at < SECONDS - 1.5:
        length = beat * rng.choice((0.5, 0.5, 1, 1, 2))
        step = min(max(step + rng.choice((-3, -2, -1, -1, 0, 1, 1, 2, 3)), 8), len(tones) - 1)
        if rng.random() < 0.9:
            made.append((at, at + length * rng.uniform(0.7, 1.2), tones[step], rng.randint(45, 110)))
        if rng.random() < 0.35:
            low = rng.randrange(0, 10)
            for k in (0, 2, 4):
                made.append((at, at + beat * rng.uniform(1.5, 3), tones[low + k], rng.randint(35, 80)))
        at += length
    return sorted(made)


def number(v):
    """A length of MIDI: seven bits a byte, the highest first."""
    out = [v & 127]
    while v > 127:
        v >>= 7
        out.append(v & 127 | 128)
    return bytes(reversed(out))


def midi(made):
    events = []
    for start, end, pitch, loud in made:
        events += [(round(start * 2 * TICKS), 1, bytes((0x90, pitch, loud))), (round(end * 2 * TICKS), 0, bytes((0x80, pitch, 0)))]
    track, last = b"\x00\xff\x51\x03" + (500000).to_bytes(3, "big"), 0
    for at, _, event in sorted(events):
        track += number(at - last) + event
        last = at
    track += number(max(0, round(SECONDS * 2 * TICKS) - last)) + b"\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(track)) + track


def play(made, font, rate, path, temp):
    song, raw = os.path.join(temp, "song.mid"), os.path.join(temp, "song.raw")
    with open(song, "wb") as f:
        f.write(midi(made))
    subprocess.run(["fluidsynth", "-ni", "-q", "-g", "2", "-R", "0", "-C", "0", "-r", str(rate), "-O", "s16", "-E", "little", "-T", "raw",
                    "-F", raw, font, song], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(raw, "rb") as f:
        both = f.read()
    both = both[:4 * SECONDS * rate].ljust(4 * SECONDS * rate, b"\0")
    left = b"".join(both[i:i + 2] for i in range(0, len(both), 4))  # one channel
    with open(path + ".wav", "wb") as f:
        f.write(b"RIFF" + struct.pack("<I", 36 + len(left)) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16) +
                b"data" + struct.pack("<I", len(left)) + left)
    with open(path + ".tsv", "w") as f:
        f.write("start\tend\tpitch\tloudness\n" + "".join("%.4f\t%.4f\t%d\t%d\n" % n for n in made))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("dir")
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--rate", type=int, default=16000)
    p.add_argument("--font", default=next((f for f in FONTS if os.path.exists(f)), None))
    a = p.parse_args()
    if not shutil.which("fluidsynth") or not a.font or not os.path.exists(a.font):
        sys.exit("piano.py: fluidsynth or a sound font is missing: apt-get install fluidsynth timgm6mb-soundfont, or --font FILE.sf2")
    if a.minutes <= 0 or not 8000 <= a.rate <= 96000:
        sys.exit("piano.py: --minutes is above 0, and fluidsynth takes rates of 8000 to 96000")
    n = max(1, round(a.minutes * 60 / SECONDS))
    if os.path.exists(a.dir):
        sys.exit("piano.py: %s is there already: name a folder that is not" % a.dir)
    beside = os.path.dirname(os.path.abspath(a.dir))  # complete or not at all
    os.makedirs(beside, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".piano-", dir=beside) as temp:
        for part, count in (("train", n), ("test", max(1, n // 10))):
            os.makedirs(os.path.join(temp, "all", part))
            for i in range(count):
                rng = random.Random("%d %s %d" % (a.seed, part, i))
                play(notes(rng), a.font, a.rate, os.path.join(temp, "all", part, "%04d" % i), temp)
        os.rename(os.path.join(temp, "all"), a.dir)
    print("%d pieces to learn from, %d to test with: %s" % (n, max(1, n // 10), a.dir))


if __name__ == "__main__":
    main()
