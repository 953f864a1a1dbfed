#!/usr/bin/python3
"""A manifest of the recordings of people that Debian has for Asterisk: who speaks, and in which language.

    share/data/voices.py [OUT.tsv]

Columns path, label, speaker: 2,761 clips, some two hours at 8 kHz, of five speakers in five languages (packages asterisk-core-sounds-en-wav,
-es-wav, -fr-wav, -it-wav, -ru-wav; CC-BY-SA 3.0, nothing of them is copied). Each language has one speaker, so what a model learns here is
the voice as much as the language (by their names English and Spanish have the same one): no figure of it is one of languages, and
no speaker can be held out. A recipe, not a model that comes along:

    share/data/voices.py voices.tsv
    mambaseq train share:configs/train/audio-classify.yaml -i voices.tsv -o voices --set train.window=400
"""
import os
import sys
import wave

SOUNDS = "/usr/share/asterisk/sounds"
FOLDERS = {"en": "en_US_f_Allison", "es": "es_MX_f_Allison", "fr": "fr_CA_f_June", "it": "it_IT_m_Carlo", "ru": "ru_RU_f_IvrvoiceRU"}


def folder_of(language):
    """Where the package put it: the name that we know, or the only one that begins with the language."""
    known = os.path.join(SOUNDS, FOLDERS[language])
    if os.path.isdir(known):
        return known
    here = sorted(n for n in (os.listdir(SOUNDS) if os.path.isdir(SOUNDS) else []) if n.startswith(language + "_"))
    return os.path.join(SOUNDS, here[0]) if here else None


def clips(folder):
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(root, name)
            if name.endswith(".wav") and "silence" not in root:
                with wave.open(path) as w:
                    if w.getnframes() >= 0.3 * w.getframerate():
                        yield path


def main(out):
    rows = []
    for language in sorted(FOLDERS):
        folder = folder_of(language)
        if not folder:
            print("voices.py: asterisk-core-sounds-%s-wav is not installed: left out" % language, file=sys.stderr)
            continue
        rows += ["%s\t%s\t%s\n" % (path, language, os.path.basename(folder)) for path in clips(folder)]
    if not rows:
        sys.exit("voices.py: nothing is installed: apt-get install asterisk-core-sounds-en-wav asterisk-core-sounds-es-wav ...")
    with open(out, "w") as f:
        f.write("path\tlabel\tspeaker\n" + "".join(rows))
    print("%d clips of %d speakers: %s" % (len(rows), len({r.split("\t")[2] for r in rows}), out))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    main(sys.argv[1] if len(sys.argv) == 2 else "voices.tsv")
