#!/usr/bin/env python3
"""Removes each guarded line of the kernels (MBK_KEEP of device.cuh) in turn and requires that it is missed.

mutations.py MANIFEST [--update] [--only NAME]

MANIFEST has a line for each test: kernel files (with commas), layer, command (with NAME=value before it, as env takes it).
Layers: `race`, a program under ThreadSanitizer, which must report a data race; `result`, a program that must fail by
itself, by a wrong number, a canary, or a check of the emulator. tests/simt/mutations.txt says for each name which layer
finds it, and which body of a program of `race`, SUITE::NAME, is worth asking first: where that one finds nothing, all are
asked. --update writes it anew. The names are read from the sources, so none can be forgotten.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = os.path.join(HERE, "..", "..", "kernels", "cuda")
TABLE = os.path.join(HERE, "mutations.txt")
LAYERS = ("race", "result")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def sources():
    """name -> the .cu files that have it, themselves or through a header of kernels/cuda."""
    texts = {f: read(os.path.join(KERNELS, f)) for f in sorted(os.listdir(KERNELS)) if f.endswith((".cu", ".cuh"))}
    texts.pop("device.cuh", None)

    def seen(f, done):
        done.add(f)
        for other in re.findall(r'#\s*include "cuda/([\w.]+)"', texts[f]):
            if other in texts and other not in done:
                seen(other, done)
        return done

    names = {}
    for f in texts:
        if f.endswith(".cu"):
            for part in seen(f, set()):
                for name in re.findall(r"MBK_KEEP\((\w+)\)", texts[part]):
                    names.setdefault(name, set()).add(f)
    return names


def manifest(path):
    tests = []
    for line in read(path).splitlines():
        files, layer, command = line.split(" ", 2)
        tests.append((set(files.split(",")), layer, command))
    return tests


def missed(test, name, body=None):
    """What finds the lack of `name`, and in which body; None: nothing does. "never met": the line is not run, which a program
    of several processes cannot say."""
    # What is guarded lies within blocks, so that one block at a time will do.
    env = dict(os.environ, MBK_SIMT_MUTATE=name, MBK_SIMT_SEATS="1", MBK_SIMT_RESIDENT="1",
               TSAN_OPTIONS="halt_on_error=1", ASAN_OPTIONS="detect_leaks=0")
    run = subprocess.run(["env", *test[2].split(), *([body] if body else [])], env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=300, check=False)
    text = run.stdout.decode(errors="replace")
    if run.returncode == 0:
        return "never met" if test[1] == "race" and "was never met" in text else None, None
    races = "ThreadSanitizer: data race" in text
    if test[1] == "race":
        met = re.findall(r"^(\w+::\w+)$", text, re.MULTILINE)
        return ("data race", met[-1] if met else None) if races else (None, None)
    return "failed", None


def find(name, files, tests, layers, body=None):
    """The first of `layers` that finds `name`, in which body where that is known, and why none does."""
    why = set()
    if body:
        for test in tests:
            if test[1] == layers[0] and test[0] & files and missed(test, name, body)[0] == "data race":
                return layers[0], body, ""
    for layer in layers:
        covering = [t for t in tests if t[1] == layer and t[0] & files]
        if not covering:
            why.add(f"no {layer} test covers {' '.join(sorted(files))}")
        for test in covering:
            found, where = missed(test, name)
            if found and found != "never met":
                return layer, where, ""
            why.add(f"{layer}: {found or 'nothing is found'} by {test[2].split('/')[-1]}")
    return None, None, "; ".join(sorted(why))


def table():
    if not os.path.exists(TABLE):
        return {}
    lines = (line.split() for line in read(TABLE).splitlines() if line and not line.startswith("#"))
    return {name: (layer, *body) for name, layer, *body in lines}


def main():
    update = "--update" in sys.argv
    only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else None
    names, tests, claims = sources(), manifest(sys.argv[1]), table()
    bad, found = [], {}
    for name in sorted(names):
        if only and name != only:
            found[name] = claims.get(name)
            continue
        if not update and name not in claims:
            bad.append(f"{name} has no line in tests/simt/mutations.txt (write it by --update)")
            continue
        claim = claims.get(name)
        layer, body, why = find(name, names[name], tests, *((LAYERS,) if update else ((claim[0],), *claim[1:])))
        found[name] = layer and (layer, *([body] if body else []))
        print(f"{name}: {'found by ' + layer if layer else 'NOT FOUND: ' + why}", flush=True)
        if not layer:
            bad.append(f"{name}: {why}")
    bad += [f"{name} is in tests/simt/mutations.txt and not in the sources" for name in sorted(set(claims) - set(names))
            if not update]
    if update:
        with open(TABLE, "w", encoding="utf-8") as f:
            f.write("# What each guarded line of kernels/cuda is missed by when it is removed (mutations.py --update).\n")
            f.writelines(f"{name} {' '.join(claim)}\n" for name, claim in sorted(found.items()) if claim)
    for line in bad:
        print("error: " + line)
    print(f"{len(names)} guarded lines, {len(bad)} errors")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
