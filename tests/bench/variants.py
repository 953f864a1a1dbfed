#!/usr/bin/env python3
"""Variant scoring by state reuse beside scoring by windows, on one genome and one machine.

    python3 tests/bench/variants.py build [--genome FASTA[.gz]] [--variants 10000] [--window 1000] [--timed 200]
        [--wide 8192,131072] [--model FOLDER] [--threads N] [--check]

Draws single-base variants from a seed and times `mambaseq run` with task variant on strand + over all of them. Beside it,
`--timed` of them as people do it without a state: for each variant two windows of --wide bases, one with the reference
allele and one with the other, the variant in the middle, scored by the same program, model and threads with task score.
(Both strands double both sides.) Prints JSON: seconds, steps, seconds a variant by the clock and of all
threads (on a machine with others on it, look at those), and how many times as slow; with
--check it fails where 8,192 is not 8 times and 131,072 not 120 times as slow, which holds for the default sizes.
"""
import argparse
import gzip
import json
import os
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time

GENOME = "/usr/share/doc/ragout/examples/E.Coli/references/MG1655-K12.fasta.gz"
LEAST = {8192: 8.0, 131072: 120.0}


def fail(what):
    sys.exit(f"variants.py: {what}")


def read_genome(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt") as f:
        name = f.readline()[1:].split()[0]
        return name, "".join(line.strip() for line in f if line[0] != ">").upper()


def fold(s):
    return "\n".join(s[i:i + 60] for i in range(0, len(s), 60))


def draw(seq, n, seed):
    """n places that hold a base, sorted, each with another base."""
    rng = random.Random(seed)
    places = sorted(rng.sample([p for p in range(1000, len(seq) - 1000) if seq[p] in "ACGT"], n))
    return [(p, seq[p], rng.choice([x for x in "ACGT" if x != seq[p]])) for p in places]


def run(a, folder, *arguments):
    """Seconds of a run, seconds of its threads, and its last line."""
    def used():
        u = resource.getrusage(resource.RUSAGE_CHILDREN)
        return u.ru_utime + u.ru_stime
    t0, cpu0 = time.monotonic(), used()
    done = subprocess.run([os.path.join(os.path.abspath(a.build), "bin/mambaseq"), "run", *arguments, "--force", "--device",
                           "cpu", "--progress", "never", *(["--threads", str(a.threads)] if a.threads else [])],
                          cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(done.stderr.strip())
    return time.monotonic() - t0, used() - cpu0, done.stderr.strip().splitlines()[-1]


def write_genome(folder, name, seq):
    with open(os.path.join(folder, "ref.fa"), "w") as f:
        f.write(f">{name}\n{fold(seq)}\n")


def write_variants(folder, name, seq, variants):
    with open(os.path.join(folder, "v.vcf"), "w") as f:
        f.write(f"##fileformat=VCFv4.3\n##contig=<ID={name},length={len(seq)}>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        f.writelines(f"{name}\t{p + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n" for p, ref, alt in variants)


def by_state(a, folder, name, seq, variants):
    write_genome(folder, name, seq)
    write_variants(folder, name, seq, variants)
    with open(os.path.join(folder, "state.yaml"), "w") as f:
        f.write(f"""mambaseq: 1
reader: {{plugin: vcf, path: v.vcf, reference: ref.fa}}
codec: {{plugin: bases}}
model: {{path: {a.model}, task: variant, window: {a.window}, strand: '+'}}
writer: {{plugin: vcf, path: scored.vcf.gz}}
""")
    seconds, cpu, line = run(a, folder, "state.yaml")
    steps = [int(x.replace(",", "")) for x in re.findall(r"([\d,]+) steps", line)]
    return {"variants": len(variants), "window": a.window, "seconds": round(seconds, 2), "steps_stream": steps[0],
            "steps_edits": steps[1], "steps_per_variant": round(sum(steps) / len(variants), 1),
            "seconds_per_variant": seconds / len(variants), "cpu_per_variant": cpu / len(variants)}


def by_windows(a, folder, seq, variants, width):
    some = random.Random(a.seed + 1).sample(variants, min(a.timed, len(variants)))
    with open(os.path.join(folder, "windows.fa"), "w") as f:
        for i, (p, ref, alt) in enumerate(some):
            beg = max(0, min(p - width // 2, len(seq) - width))
            window = seq[beg:beg + width]
            f.write(f">{i}.ref\n{fold(window)}\n>{i}.alt\n{fold(window[:p - beg] + alt + window[p - beg + 1:])}\n")
    with open(os.path.join(folder, "windows.yaml"), "w") as f:
        f.write(f"""mambaseq: 1
reader: {{plugin: fasta, path: windows.fa}}
codec: {{plugin: bases}}
model: {{path: {a.model}, task: score}}
writer: {{plugin: table, path: windows.tsv}}
""")
    seconds, cpu, _ = run(a, folder, "windows.yaml")
    return {"width": width, "variants": len(some), "seconds": round(seconds, 2), "steps_per_variant": 2 * width,
            "seconds_per_variant": seconds / len(some), "cpu_per_variant": cpu / len(some)}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("build")
    p.add_argument("--genome", default=GENOME)
    p.add_argument("--bases", type=int, default=0, help="only so many of the genome, 0: all")
    p.add_argument("--variants", type=int, default=10000)
    p.add_argument("--window", type=int, default=1000)
    p.add_argument("--timed", type=int, default=200)
    p.add_argument("--wide", default="8192,131072")
    p.add_argument("--model", default="share:models/ecoli-ref")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--check", action="store_true")
    a = p.parse_args()
    if not os.path.exists(a.genome):
        print(f"skipped: {a.genome} is missing (Debian: ragout-examples)")
        return
    name, seq = read_genome(a.genome)
    seq = seq[:a.bases] if a.bases else seq
    variants = draw(seq, a.variants, a.seed)
    with tempfile.TemporaryDirectory(prefix="mbs-variants-") as folder:
        ours = by_state(a, folder, name, seq, variants)
        result = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "model": a.model,
                  "genome": os.path.basename(a.genome), "bases": len(seq), "state": ours, "windows": []}
        for width in [int(w) for w in a.wide.split(",") if w]:
            theirs = by_windows(a, folder, seq, variants, width)
            theirs["times_as_slow"] = round(theirs["seconds_per_variant"] / ours["seconds_per_variant"], 2)
            theirs["times_the_cpu"] = round(theirs["cpu_per_variant"] / ours["cpu_per_variant"], 2)
            theirs["times_the_steps"] = round(theirs["steps_per_variant"] / ours["steps_per_variant"], 2)
            result["windows"].append(theirs)
    print(json.dumps(result, indent=2))
    slow = [w for w in result["windows"] if a.check and w["times_as_slow"] < LEAST.get(w["width"], 0)]
    if slow:
        fail(f"two windows of {slow[0]['width']} are only {slow[0]['times_as_slow']} times as slow")


if __name__ == "__main__":
    main()
