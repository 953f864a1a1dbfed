#!/usr/bin/env python3
"""Makes share/data/chirps.wav: 2.5 s at 16 kHz, mono, 16 bits: a low tone, a chirp, silence, noise, the chirp again, louder.

usage: chirps.py OUT.wav

Only additions and multiplications of doubles and integers, so that every machine makes the same bytes.
"""
import struct
import sys

RATE = 16000


def sine(turns):
    """The sine of so many turns, by its series."""
    x = (turns - int(turns)) * 6.283185307179586
    x = x - 6.283185307179586 if x > 3.141592653589793 else x
    term = total = x
    for k in range(1, 14):
        term = -term * x * x / ((2 * k) * (2 * k + 1))
        total += term
    return total


def fade(i, n):
    """0 to 1 and back within 10 ms of the ends."""
    return min(1.0, i / 160, (n - 1 - i) / 160)


def tone(n, hz, amplitude):
    return [amplitude * fade(i, n) * sine(i * hz / RATE) for i in range(n)]


def chirp(n, low, high, amplitude):
    turns = 0.0
    out = []
    for i in range(n):
        out.append(amplitude * fade(i, n) * sine(turns))
        turns += (low + (high - low) * i / n) / RATE
    return out


def noise(n, amplitude):
    state = 1
    out = []
    for i in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        out.append(amplitude * fade(i, n) * ((state >> 40) / 8388608 - 1))
    return out


def main():
    samples = tone(8000, 220, 0.4) + chirp(8000, 300, 3000, 0.5) + [0.0] * 8000 + noise(8000, 0.25) + \
        chirp(8000, 3000, 300, 0.8)
    data = b"".join(struct.pack("<h", int(s * 32767 + (0.5 if s >= 0 else -0.5))) for s in samples)
    with open(sys.argv[1], "wb") as f:
        f.write(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " +
                struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + b"data" + struct.pack("<I", len(data)) + data)


main()
