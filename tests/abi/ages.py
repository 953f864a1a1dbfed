"""Plugins of another age in the program of today.

usage: ages.py BUILD_DIR

old:     built with the headers of interface 1.0 (baseline-1): run and checked as any other.
younger: built with the headers of a later minor, whose structs have grown, and content with this host: likewise.
"""
import os
import re
import subprocess
import sys
import tempfile

SAMPLE = "one\tACGTNNacg\nempty\t\ntwo\tGG\n"
ROWS = "".join(f"one\t{i}\t{c}\n" for i, c in enumerate("ACGTNNacg")) + "two\t0\tG\ntwo\t1\tG\n"


def call(*args, **kw):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **kw)


def main():
    build = sys.argv[1]
    program = os.path.join(build, "bin", "mambaseq")
    failures = 0
    with tempfile.TemporaryDirectory(prefix="mbs-ages-") as here:
        sample = os.path.join(here, "sample.tsv")
        with open(sample, "w") as f:
            f.write(SAMPLE)
        for age in ("old", "younger"):
            so = {k: os.path.join(build, "tests", "abi", age, f"mbsp_old_{k}.so") for k in ("reader", "codec", "writer")}
            pipeline = os.path.join(here, f"{age}.yaml")
            with open(pipeline, "w") as f:
                f.write(f'mambaseq: 1\nreader: {{plugin: "{so["reader"]}", path: "{sample}"}}\n'
                        f'writer: {{plugin: "{so["writer"]}", path: "-"}}\n')
            r = call(program, "run", pipeline, "-q")
            if r.returncode != 0 or r.stdout != ROWS:
                failures += 1
                print(f"{age}: the run gave {r.returncode}\n{r.stdout}{r.stderr}")
            r = call(program, "run", pipeline, "-q", "--set", f'codec={{plugin: "{so["codec"]}"}}')
            ids = re.sub(r"\t(\w)$", lambda m: "\t" + str("ACGT".find(m.group(1).upper()) % 5), ROWS, flags=re.M)
            if r.returncode != 0 or r.stdout != ids:
                failures += 1
                print(f"{age}: the run with a codec gave {r.returncode}\n{r.stdout}{r.stderr}")
            for kind, path in so.items():
                r = call(program, "plugin", "check", path, "--sample", sample)
                found = re.search(r"(\d+) passed, (\d+) failed", r.stdout)
                if r.returncode != 0 or not found or int(found.group(1)) < 15:
                    failures += 1
                    print(f"{age} {kind}: plugin check gave {r.returncode}\n{r.stdout}{r.stderr}")
                else:
                    print(f"{age} {kind}: {found.group(0)}")
    return 1 if failures else 0


sys.exit(main())
