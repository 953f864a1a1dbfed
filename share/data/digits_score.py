#!/usr/bin/python3
"""How often a model is right on the spoken digits of digits.py: held-out voices, another synthesiser and a person, together.

    share/data/digits_score.py MODEL DIR [MAMBASEQ]

Prints counts, because ten recordings make no percentage."""
import os
import subprocess
import sys

PARTS = [("voices", "espeak-ng, voices that are not in training"), ("flite", "flite, five voices"),
         ("human", "a person (Debian's asterisk prompts)")]


def right(program, model, folder):
    text = subprocess.run([program, "run", "share:pipelines/audio/classify.yaml", "-q", "-i", folder, "-m", model],
                          check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    label, truth = rows[0].index("label"), rows[0].index("truth")
    return sum(row[label] == row[truth] for row in rows[1:]), len(rows) - 1


def main(model, folder, program="mambaseq"):
    print("| recordings | right | of |\n|---|---|---|")
    for part, what in PARTS:
        path = os.path.join(folder, part)
        if os.path.isdir(path):
            print("| %s | %d | %d |" % ((what,) + right(program, model, path)))
        else:
            print("| %s | not made | |" % what)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
