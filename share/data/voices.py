#!/usr/bin/python3
"""Which language somebody speaks: lists of the recordings that Debian has for Asterisk, with speakers held out.

    share/data/voices.py DIR [--sounds FOLDER]        makes the lists; DIR must not exist
    share/data/voices.py DIR --score MODEL [--program MAMBASEQ]
                                                      counts what a model says of those that it has not heard

DIR/train.tsv   nine tenths of the recordings of one speaker for each language (en, es, fr, it, ru)
DIR/same.tsv    the tenth recording of each ten: the same speakers
DIR/others.tsv  other speakers of Spanish, French and Italian: nobody of train.tsv is among them
DIR/wav         those of others.tsv that are stored as GSM, decoded by sox

Columns path, label (the language) and speaker; 2,761 clips of train and same, some two hours at 8 kHz. Lists depend on what is installed
alone: Debian's asterisk-core-sounds-{en,es,fr,it,ru}-wav, asterisk-prompt-es-co, asterisk-prompt-fr-armelle,
asterisk-prompt-it-menardi-wav and sox. Nothing of them is part of this repository: they are CC-BY-SA 3.0, GPL-2 (es-co) and BSD (armelle),
and a model of them is a recipe. English and Spanish of train.tsv are the same person's, the other three languages have one person each:
same.tsv asks for the voice as much as for the language, others.tsv for the language.

    share/data/voices.py voices
    mambaseq train share:configs/train/audio-classify.yaml -i voices/train.tsv -o speaks --set train.window=400
    share/data/voices.py voices --score speaks
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import wave

CORE = "asterisk-core-sounds-%s-wav"
# language, speaker, package, folders; digits/es, dictate/fr and the like are links to what lies in es and fr
LEARNT = [("en", "allison", CORE % "en", ["en_US_f_Allison"]), ("es", "allison", CORE % "es", ["es_MX_f_Allison"]),
          ("fr", "june", CORE % "fr", ["fr_CA_f_June"]), ("it", "carlo", CORE % "it", ["it_IT_m_Carlo"]),
          ("ru", "ivrvoice", CORE % "ru", ["ru_RU_f_IvrvoiceRU"])]
OTHERS = [("es", "jimenez", "asterisk-prompt-es-co", ["es"]),
          ("fr", "armelle", "asterisk-prompt-fr-armelle", ["fr"]),
          ("it", "dalzot", "asterisk-prompt-it-menardi-wav", ["it_IT_f_Menardi"])]
SHORTEST = 0.3  # seconds
GSM_FRAME, GSM_SECONDS = 33, 0.02


def seconds(path):
    if path.endswith(".gsm"):
        return os.path.getsize(path) // GSM_FRAME * GSM_SECONDS
    with wave.open(path) as w:
        return w.getnframes() / w.getframerate()


def clips(folder):
    """The recordings below a folder, those of nothing but silence left out."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(root, name)
            if name.endswith((".wav", ".gsm")) and "silence" not in path and seconds(path) >= SHORTEST:
                yield path


def heard(path, speaker, sounds, temp, out):
    """A path that the reader takes: GSM has no header and is decoded, below temp, which will be out."""
    if not path.endswith(".gsm"):
        return path
    name = os.path.join("wav", speaker, os.path.relpath(path, sounds)[:-4] + ".wav")
    to = os.path.join(temp, name)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    subprocess.run(["sox", "-D", "-t", "gsm", "-r", "8000", "-c", "1", path, "-b", "16", "-e", "signed", to], check=True)
    return os.path.abspath(os.path.join(out, name))


def missing(sounds):
    """Packages that are not here; of a package that shares folders with others, its own one counts."""
    packages = [package for _, _, package, folders in LEARNT + OTHERS
                if not next(clips(os.path.join(sounds, folders[0])), None)]
    return packages + ([] if shutil.which("sox") else ["sox"])


def write(path, rows):
    with open(path, "w") as f:
        f.write("path\tlabel\tspeaker\n" + "".join("%s\t%s\t%s\n" % row for row in rows))


def make(out, sounds):
    lack = missing(sounds)
    if lack:
        sys.exit("voices.py: not installed here: apt-get install " + " ".join(lack))
    if os.path.exists(out):
        sys.exit("voices.py: %s is there already: name a folder that is not" % out)
    beside = os.path.dirname(os.path.abspath(out))  # complete or not at all
    os.makedirs(beside, exist_ok=True)
    rows = {"train": [], "same": [], "others": []}
    for language, speaker, _, folders in LEARNT:
        found = [c for folder in folders for c in clips(os.path.join(sounds, folder))]
        for i, path in enumerate(found):
            rows["same" if i % 10 == 9 else "train"].append((path, language, speaker))
    with tempfile.TemporaryDirectory(prefix=".voices-", dir=beside) as temp:
        here = os.path.join(temp, "all")
        os.makedirs(here)
        for language, speaker, _, folders in OTHERS:
            found = [c for folder in folders for c in clips(os.path.join(sounds, folder))]
            rows["others"] += [(heard(path, speaker, sounds, here, out), language, speaker) for path in found]
        for name in rows:
            write(os.path.join(here, name + ".tsv"), rows[name])
        os.rename(here, out)
    for name in rows:
        print("%s: %d clips of %d speakers, %d languages" % (os.path.join(out, name + ".tsv"), len(rows[name]),
                                                             len({r[2] for r in rows[name]}), len({r[1] for r in rows[name]})))


def score(model, folder, program):
    print("| recordings | language | right | of | taken for |\n|---|---|---:|---:|---|")
    for part, what in (("same", "speakers of the training"), ("others", "other speakers")):
        text = subprocess.run([program, "run", "share:pipelines/audio/classify.yaml", "-q", "-m", model,
                               "-i", os.path.join(folder, part + ".tsv")], check=True, stdout=subprocess.PIPE, text=True).stdout
        rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
        label, truth = rows[0].index("label"), rows[0].index("truth")
        said = [(row[truth], row[label]) for row in rows[1:]]
        for language in sorted({t for t, _ in said}):
            names = [s for t, s in said if t == language]
            count = ["%s %d" % (n, names.count(n)) for n in sorted(set(names), key=lambda n: (-names.count(n), n))]
            print("| %s | %s | %d | %d | %s |" % (what, language, names.count(language), len(names), ", ".join(count)))
        print("| %s | all | %d | %d | |" % (what, sum(t == s for t, s in said), len(said)))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("dir")
    p.add_argument("--sounds", default="/usr/share/asterisk/sounds")
    p.add_argument("--score", metavar="MODEL")
    p.add_argument("--program", default="mambaseq")
    a = p.parse_args()
    if a.score:
        score(a.score, a.dir, a.program)
    else:
        make(a.dir, os.path.abspath(a.sounds))


if __name__ == "__main__":
    main()
