#!/usr/bin/env python3
"""Whole chromosomes: does a large one take more memory, or longer for a base, than a small one?

    python3 tests/bench/chromosome.py build [--small FASTA[.gz]] [--large FASTA[.gz]] [--variants 10000] [--window 1000]
        [--device cpu] [--threads N] [--model FOLDER] [--bases N] [--json FILE]

Scores E. coli MG1655 (Debian's ragout-examples) and human chromosome 20 (Debian's vt-examples) to a bigWig each, and
--variants single-base variants of the large one with task variant, strand +. Of every run: seconds of the whole program,
bases a second as it says itself, peak memory of the process. Prints JSON, with --json also to FILE, to which it adds the
runs of a further call with another --device; results.py makes a part of its page of such a file. --bases takes so many of
each, for a trial. On 16 cores the two genomes take five minutes, the variants five more.
"""
import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time

from variants import GENOME, read_genome, write_genome, write_variants

LARGE = "/usr/share/doc/vt/examples/ref/20.fa.gz"


def fail(what):
    sys.exit(f"chromosome.py: {what}")


def draw(seq, n, seed):
    """n places that hold a base, sorted, each with another base."""
    rng = random.Random(seed)
    places = set()
    for _ in range(100 * n):
        p = rng.randrange(len(seq))
        if len(places) < n and seq[p] in "ACGT":
            places.add(p)
    return [(p, seq[p], rng.choice([x for x in "ACGT" if x != seq[p]])) for p in sorted(places)]


def run(a, folder, *arguments):
    """Seconds, most KiB that it held, and its last line."""
    command = [os.path.join(os.path.abspath(a.build), "bin/mambaseq"), "run", *arguments, "--force", "--device", a.device,
               "--progress", "never", *(["--threads", str(a.threads)] if a.threads else [])]
    t0, most = time.monotonic(), 0
    with open(os.path.join(folder, "stderr"), "w+", encoding="utf-8") as said:
        p = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)
        while p.poll() is None:  # what wait4 says counts this program too, from before the exec
            with open(f"/proc/{p.pid}/status", encoding="utf-8") as f:
                most = max([most, *(int(line.split()[1]) for line in f if line.startswith("VmHWM"))])
            time.sleep(0.01)
        seconds = time.monotonic() - t0
        said.seek(0)
        text = said.read().strip()
    if p.returncode != 0:
        fail(text)
    return {"device": a.device, "threads": a.threads or os.cpu_count(), "seconds": round(seconds, 1), "peak_kib": most}, \
        text.splitlines()[-1]


def number(pattern, line):
    found = re.search(pattern, line)
    return int(found.group(1).replace(",", "")) if found else None


def of_genome(a, folder, label, path, runs, variants):
    name, seq = read_genome(path)
    seq = seq[:a.bases] if a.bases else seq
    write_genome(folder, name, seq)
    about = {"genome": label, "file": os.path.basename(path), "bases": len(seq),
             "unknown": len(seq) - sum(seq.count(x) for x in "ACGT")}
    told, line = run(a, folder, "share:pipelines/genomics/score.yaml", "-i", "ref.fa", "-m", a.model, "--set",
                     "writer={plugin: bigwig, path: x.bw}")
    rate = number(r"([\d]+) bases/s", line) or round(len(seq) / max(told["seconds"], 0.1))  # a short run names none
    runs.append({"task": "bigwig", **about, **told, "rate": rate})
    if not variants:
        return
    drawn = draw(seq, variants, a.seed)
    write_variants(folder, name, seq, drawn)
    told, line = run(a, folder, "share:pipelines/genomics/variant.yaml", "-i", "v.vcf", "-m", a.model, "--set",
                     "reader.reference=ref.fa", "--set", f"model.window={a.window}", "--set", "model.strand=+", "--set",
                     "writer={plugin: vcf, path: scored.vcf.gz}")
    runs.append({"task": "variant", **about, **told, "variants": len(drawn), "window": a.window,
                 "steps_stream": number(r"([\d,]+) steps? for the stream", line),
                 "steps_edits": number(r"([\d,]+) steps? for edits", line)})


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--small", default=GENOME)
    p.add_argument("--large", default=LARGE)
    p.add_argument("--bases", type=int, default=0)
    p.add_argument("--variants", type=int, default=10000)
    p.add_argument("--window", type=int, default=1000)
    p.add_argument("--model", default="share:models/ecoli-ref")
    p.add_argument("--device", default="cpu")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--json", metavar="FILE")
    a = p.parse_args()
    runs = []
    for path in (a.small, a.large):
        if not os.path.exists(path):
            print(f"skipped: {path} is missing (Debian: ragout-examples, vt-examples)")
            return
    with tempfile.TemporaryDirectory(prefix="mbs-chromosome-") as folder:
        of_genome(a, folder, "MG1655", a.small, runs, 0)
        of_genome(a, folder, "chr20", a.large, runs, a.variants)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.machine())
    result = {"machine": f"{os.cpu_count()} cores of {cpu}", "model": os.path.basename(a.model), "runs": runs}
    if a.json and os.path.exists(a.json):
        with open(a.json, encoding="utf-8") as f:
            before = json.load(f)
        result["runs"] = [r for r in before["runs"] if r["device"] != a.device] + runs
    text = json.dumps(result, indent=2)
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            f.write(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
