#!/usr/bin/env python3
"""The results page: what finished trainings reached, beside what counting reaches, as Markdown.

    python3 tests/bench/results.py build --genome ecoli-small=FOLDER,MG1655.fa.gz --task induction=FOLDER,LENGTH,... \\
        -o share/doc/results.md

Each model is a folder as `mambaseq train` leaves it, with recipe.yaml and metrics.jsonl. What it reaches is measured
here, by `mambaseq eval`, and not copied from the training:

    --genome NAME=FOLDER,INPUT       bits per base of what its recipe held out, on both strands, beside order-6 and mix
                                     that learnt from the same part as the model
    --task NAME=FOLDER[,KEY=VALUE]   a synthetic task: accuracy on fresh draws of the recipe's own reader, with
                                     parameters set otherwise for a row each, as length=65536 (+ joins several)

    --chromosome FILE                whole chromosomes, as chromosome.py recorded them; without another part it takes the
                                     place of that part in the page that is there:

    python3 tests/bench/results.py build --chromosome tests/bench/recorded/chromosome.json -o share/doc/results.md

Settings, steps, tokens and wall time come from the recipe and the metrics, of all parts where a training was resumed.
"""
import argparse
import json
import os
import platform
import re
import subprocess
import sys

BASELINES = "order-6,mix"


def fail(what):
    sys.exit(f"results.py: {what}")


def mambaseq(a, *arguments):
    done = subprocess.run([os.path.join(a.build, "bin/mambaseq"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(done.stderr.strip() or f"mambaseq {arguments[0]} ended with {done.returncode}")
    return done.stdout


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError as e:
        return fail(f"{path}: {e.strerror}: is it a folder that mambaseq train has finished?")


def setting(recipe, key):
    """The value of a key of recipe.yaml, as text. The file is mambaseq's own: one line for each key or group."""
    found = re.search(rf"(?:^|[{{ ,]){key}: (\[[^\]]*\]|[^,}}\n]+)", recipe, re.M)
    return found.group(1) if found else None


class Trained:
    """What a folder tells of its training."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.recipe = read(os.path.join(folder, "recipe.yaml"))
        lines = [json.loads(line) for line in read(os.path.join(folder, "metrics.jsonl")).splitlines()]
        steps = [m for m in lines if "eval" not in m]
        if not steps:
            fail(f"{folder}: metrics.jsonl has no steps")
        self.steps, self.tokens, self.seconds = steps[-1]["step"], steps[-1]["tokens"], lines[-1]["seconds"]
        self.arithmetic = next((m["arithmetic"] for m in reversed(lines) if "arithmetic" in m), "-")
        with open(os.path.join(folder, "model.safetensors"), "rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        sizes = [t["shape"] for n, t in header.items() if n != "__metadata__"]
        self.weights = 0
        for shape in sizes:
            n = 1
            for d in shape:
                n *= d
            self.weights += n
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            self.config = json.load(f)

    def shape(self):
        return f"{self.config['num_hidden_layers']} layers of {self.config['hidden_size']}"

    def training(self):
        minutes = self.seconds / 60
        return [self.name, self.shape(), f"{self.weights:,}", f"{self.steps:,}", f"{self.tokens:,}", self.arithmetic,
                f"{minutes:.1f}", f"{self.tokens / self.seconds:,.0f}" if self.seconds > 0 else "-"]


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(head))) + "|"]
    return "\n".join(out + ["| " + " | ".join(row) + " |" for row in rows])


def bits(value):
    return "-" if value is None else f"{value:.4f}"


def genome(a, model, path):
    """Rows of a model and of the baselines on what its recipe held out."""
    part = setting(model.recipe, "held_out")
    if not part or not 0 < float(part) < 1:
        fail(f"{model.folder}: its recipe holds out no share of its input")
    split = f"{1 - float(part):.6g}"
    command = ["eval", "share:pipelines/genomics/score.yaml", "-m", model.folder, "-i", path, "--dtype", "f32", "--math",
               "f32", "--split", split, "--strand", "both", "--baseline", BASELINES, "--json", "-q"]
    report = json.loads(mambaseq(a, *command))
    rows = []
    for r in report["results"]:
        name = f"**{model.name}**" if r["kind"] == "model" else r["dtype"]
        rows.append([name, bits(r["bits_plus"]), bits(r["bits_minus"]), bits(r["bits"]), f"{r['scored']:,}",
                     f"{r['weight_bytes'] / 2**20:.1f}"])
    shown = ["eval", "share:pipelines/genomics/score.yaml", "-m", model.name, "-i", os.path.basename(path), "--split", split,
             "--strand", "both", "--baseline", BASELINES, "--dtype", "f32", "--math", "f32"]
    return (f"`mambaseq {' '.join(shown)}`: the last {float(part) * 100:g} % of {os.path.basename(path)}, all learnt from the "
            f"first {float(split) * 100:g} %.\n\n" +
            table(["", "bits per base, +", "-", "both", "scored", "MiB"], rows))


def task(a, model, variants):
    """A row for each way that the task is set; the model has seen none of these draws."""
    reader = next((line for line in model.recipe.splitlines() if line.startswith("reader:")), None)
    if reader is None:
        fail(f"{model.folder}: its recipe has no reader on one line")
    rows = []
    for variant in variants or [""]:
        pairs = [f"seed={a.seed}", f"count={a.count}", *filter(None, variant.split("+"))]  # the last one counts
        sets = [x for pair in pairs for x in ("--set", "reader." + pair)]
        command = ["eval", "share:pipelines/synthetic/task.yaml", "-m", model.folder, "--set", "reader=" + reader[7:].strip(),
                   *sets, "--dtype", "f32", "--math", "f32", "--json", "-q"]
        r = json.loads(mambaseq(a, *command))["results"][0]
        if not r.get("targets"):
            fail(f"{model.name}: no targets in its input")
        rows.append([variant.replace("+", ", ") or "as trained", f"{100 * r['accuracy']:.2f} %", f"{r['targets']:,}",
                     f"{100 * r['exact_match']:.2f} %", f"{r['records']:,}"])
    return table(["task", "right", "targets", "whole sequences right", "sequences"], rows)


CHROMOSOMES = "## Whole chromosomes\n"


def chromosomes(path):
    """What chromosome.py recorded, as a part of the page."""
    told = json.loads(read(path))
    bigwig, variant = [], []
    for r in told["runs"]:
        where = "H100" if r["device"].startswith("cuda") and "H100" in told["machine"] else r["device"]
        where = f"CPU, {r['threads']} threads" if r["device"] == "cpu" else where
        if r["task"] == "bigwig":
            bigwig.append([where, r["genome"], f"{r['bases']:,}", f"{r['seconds']:,.1f}", f"{r['rate']:,}", f"{r['peak_kib']:,}"])
        else:
            variant.append([where, r["genome"], f"{r['variants']:,}", f"{r['window']:,}", f"{r['steps_stream']:,}",
                            f"{r['steps_edits']:,}", f"{r['seconds']:,.1f}", f"{r['peak_kib']:,}"])
    text = (f"{CHROMOSOMES}\nRecorded by `tests/bench/chromosome.py build --json FILE` on {told['machine']}: `{told['model']}`, f32, "
            "seconds of the\nwhole program, peak memory of the process. Memory does not grow with the sequence.\n\n"
            "`score.yaml` to a bigWig:\n\n" +
            table(["", "genome", "bases", "seconds", "bases/s", "KiB"], bigwig) + "\n")
    if variant:
        text += ("\n`variant.yaml`, strand +, of single-base variants (of a model of a bacterium on a human chromosome: these are times):"
                 "\n\n" + table(["", "genome", "variants", "window", "steps of the contig", "of the alleles", "seconds", "KiB"],
                                variant) + "\n")
    return text


def with_chromosomes(text, part):
    """The page with this part in the place of the one that it has, or at its end."""
    at = text.find(CHROMOSOMES)
    if at < 0:
        return text.rstrip("\n") + "\n\n" + part
    end = text.find("\n## ", at)
    return text[:at] + part + (text[end:] if end >= 0 else "")


def page(a):
    trained, parts = [], []
    for kind, entries, measure in (("genome", a.genome, genome), ("task", a.task, task)):
        for entry in entries:
            name, _, rest = entry.partition("=")
            folder, *more = rest.split(",")
            if not folder or (kind == "genome" and len(more) != 1):
                fail(f"--{kind}: '{entry}' is not what --help says")
            model = Trained(name, folder)
            trained.append(model)
            parts.append(f"## {name}\n\n{measure(a, model, more[0] if kind == 'genome' else more)}\n\n"
                         f"<details><summary>its recipe</summary>\n\n```yaml\n{model.recipe.rstrip()}\n```\n</details>\n")
    if not trained and a.chromosome and a.output:
        return with_chromosomes(read(a.output), chromosomes(a.chromosome))
    if not trained:
        fail("nothing to show: give --genome or --task, or --chromosome with the page")
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.machine())
    head = ["model", "shape", "weights", "steps", "tokens", "computed with", "minutes", "tokens/s"]
    text = ("# Results\n\nWhat models trained by this program reach. Written by `tests/bench/results.py`, which measures "
            "every figure with\n`mambaseq eval`; counting stands beside what is scored. A folder with its recipe "
            "trains again with\n`mambaseq train recipe.yaml -o FOLDER`. Tasks are asked of sequences that nobody has seen: "
            f"the draws of seed {a.seed}.\n\n"
            f"## Trainings\n\n{table(head, [m.training() for m in trained])}\n\nWall time with evaluations and checkpoints; "
            "of what was computed with cpu/..., on "
            f"{os.cpu_count()} CPUs ({cpu}).\n\n" + "\n".join(parts))
    return with_chromosomes(text, chromosomes(a.chromosome)) if a.chromosome else text


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", help="build folder with bin/mambaseq")
    p.add_argument("--genome", action="append", default=[], metavar="NAME=FOLDER,INPUT")
    p.add_argument("--task", action="append", default=[], metavar="NAME=FOLDER[,KEY=VALUE...]")
    p.add_argument("--chromosome", metavar="FILE")
    p.add_argument("--seed", type=int, default=987654321, help="of the draws that a task is tested with")
    p.add_argument("--count", type=int, default=1000, help="sequences that a task is tested with (1000)")
    p.add_argument("-o", "--output", help="file to write; without it, standard output")
    a = p.parse_args()
    text = page(a)
    if a.output:
        with open(a.output + ".part", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(a.output + ".part", a.output)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
