#!/usr/bin/env python3
"""Windows of two genomes as a labelled table: what share/data/coli-human.tsv.gz is made with.

  windows.py OUT.tsv.gz N LENGTH SEED CLASS=GENOME.fa.gz ...

N windows of LENGTH letters from each genome, drawn with SEED, none with a letter but A, C, G, T, no two that overlap."""
import gzip
import random
import sys


def letters(path):
    with gzip.open(path, "rt") as f:
        return "".join(line.strip() for line in f if not line.startswith(">")).upper()


def windows(text, n, length, rng):
    """Starts of n windows, in order."""
    taken = set()
    while len(taken) < n:
        k = rng.randrange(len(text) // length)
        if set(text[k * length:(k + 1) * length]) <= set("ACGT"):
            taken.add(k * length)
    return sorted(taken)


def main(out, n, length, seed, *genomes):
    rng = random.Random(int(seed))
    length = int(length)
    rows = []
    for genome in genomes:
        label, path = genome.split("=", 1)
        text = letters(path)
        rows += [(f"{label}_{at}", label, text[at:at + length]) for at in windows(text, int(n), length, rng)]
    rng.shuffle(rows)
    with open(out, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="", compresslevel=9) as f:
        f.write(b"name\tlabel\tsequence\n")
        for row in rows:
            f.write(("\t".join(row) + "\n").encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
