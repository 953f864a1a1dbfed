#!/usr/bin/env python3
"""Counts what the kernels ask of a device, by running their PTX, and holds it against what was promised.

    counted.py SHAPES LIBRARY [--page FILE] [--nvcc VERSION] [--work FOLDER]

SHAPES is the program ptx_shapes, LIBRARY the translated PTX that it runs. --page: the table between the markers of
share/doc/cuda.md must be what was counted; MBS_UPDATE=1 writes it. Exit: 0, or 1 with one line for each finding.
"""
import argparse
import os
import re
import subprocess
import sys

# One H100: bytes, f32 operations, exponentials and instructions of single threads a second. From data sheets: paper.
BANDWIDTH, FLOPS, EX2, ISSUE = 3.35e12, 67e12, 4.18e12, 132 * 4 * 32 * 1.98e9
TOKENS, CHANNELS = 1 << 20, 1536
MULTIPROCESSORS = 132
BEGIN, END = "<!-- counted.py: begin -->", "<!-- counted.py: end -->"
STATES = 16
# What the reference's kernels move for the same, bytes a token and channel (D = d_inner): read in their sources.
REFERENCE = {"conv_bf16": "4", "scan_bf16_fast": "8 + 64 from L2", "scan_bf16_default": "8 + 64 from L2",
             "scan_bf16_slow": "8 + 64 from L2", "ssd": "bf16, N 128, P 64, Q 256: 14.7"}


def read_profile(text):
    """kernel -> counts, over the processes of a run."""
    found = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if fields[0] != "kernel":
            continue
        numbers = dict(f.split("=", 1) for f in fields[2:])
        counts = found.setdefault(fields[1], {})
        for key, value in numbers.items():
            if value.isdigit():
                counts[key] = counts.get(key, 0) + int(value)
            else:
                counts[key] = value
    return {name: c for name, c in found.items() if c["launches"]}


def readable(symbols):
    out = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    names = {}
    for symbol, name in zip(symbols, out.splitlines()):
        name = re.sub(r"^void ", "", name)
        depth = 0
        for at, char in enumerate(name):
            depth += (char == "<") - (char == ">")
            if char == "(" and not depth:
                name = name[:at]
                break
        names[symbol] = name.replace("__nv_bfloat16", "bf16")
    return names


class Shape:
    def __init__(self, name, rows, cols, what):
        self.name, self.rows, self.cols, self.what = name, int(rows), int(cols), what
        self.kernels, self.corrected = {}, None

    def each(self, key, kernels=None):
        return sum(c[key] for name, c in self.kernels.items() if kernels is None or name in kernels) / (self.rows * self.cols)

    def bytes(self, kernels=None):
        return self.each("read", kernels) + self.each("written", kernels)

    def run(self, options):
        path = os.path.join(options.work, self.name + ".profile")
        if os.path.exists(path):
            os.remove(path)
        env = dict(os.environ, MBK_SIMT_PTX=options.library, MBK_PTX_PROFILE=path, MBK_SIMT_SCHEDULE="fifo")
        done = subprocess.run([options.shapes, self.name], env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"counted: {self.name}: {done.stderr.strip() or done.returncode}")
        match = re.search(r"corrected (\d+) (\d+)", done.stdout)
        if match:
            self.corrected = int(match.group(1)) / max(int(match.group(2)), 1)
        with open(path, encoding="utf-8") as f:
            found = read_profile(f.read())
        names = readable(list(found))
        self.kernels = {names[s]: c for s, c in found.items()}


def paper(shape, kernels=None):
    """Milliseconds for TOKENS x CHANNELS and what bounds them, from the counts alone."""
    scale = TOKENS * CHANNELS * 1e3
    bounds = {"memory": shape.bytes(kernels) / BANDWIDTH, "ex2": shape.each("ex2", kernels) / EX2,
              "f32": shape.each("flops", kernels) / FLOPS, "issue": shape.each("instructions", kernels) / ISSUE}
    name = max(bounds, key=bounds.get)
    return bounds[name] * scale, name


def table(shapes, nvcc):
    rows = {name: shapes[name].rows for name in ("embed", "conv_bf16", "attention")}
    out = [f"Counted on {rows['embed']} rows (conv_bf16 and scan_bf16: {rows['conv_bf16']}; attention: {rows['attention']}, "
           f"and a row costs as many times more as there are more) of {shapes['embed'].cols} columns (log probabilities, hits "
           f"and loss: {shapes['logprob'].cols}; draw: one row of {shapes['draw'].cols}), a token and channel each; PTX for compute_80 by nvcc {nvcc}.",
           "",
           "| operation | kernel | bytes read | written | asked / needed | shared, asked / needed | instructions | "
           "f32 operations | ex2 | paper, ms | bound by | reference, bytes |", "|---" * 12 + "|"]
    for shape in shapes.values():
        for name, c in shape.kernels.items():
            only = {name}
            moved, ideal = c["read_moved"] + c["written_moved"], c["read_ideal"] + c["written_ideal"]
            shared = f"{c['wavefronts'] / c['wavefronts_ideal']:.2f}" if c["wavefronts_ideal"] else ""
            time, bound = paper(shape, only)
            out.append(f"| {shape.name} ({shape.what}) | `{name}` | {shape.each('read', only):.2f} | "
                       f"{shape.each('written', only):.2f} | {moved / max(ideal, 1):.2f} | {shared} | "
                       f"{shape.each('instructions', only):.1f} | {shape.each('flops', only):.1f} | "
                       f"{shape.each('ex2', only):.2f} | {time:.2f} | {bound} | {REFERENCE.get(shape.name, '')} |")
    out.append("")
    for name in ("fast", "default", "slow"):
        s = shapes[f"scan_bf16_{name}"]
        layer = s.bytes() + shapes["conv_bf16"].bytes()
        out.append(f"- steps `{name}`: looked back for {100 * s.corrected:.0f} % of rows and channels; convolution and scan "
                   f"move {layer:.2f} bytes x d_inner a token, {s.each('ex2'):.1f} exponentials a token and channel")
    return "\n".join(out)


def grid(options):
    done = subprocess.run([options.shapes, "grid"], capture_output=True, text=True, check=True).stdout
    launches = [line.split("\t")[1:] for line in done.splitlines() if line.startswith("launch")]
    names, most = readable([n for n, _ in launches]), {}
    for name, blocks in launches:
        most[names[name]] = max(most.get(names[name], 0), int(blocks))
    return most


def promises(shapes, most):
    """(what was promised, whether it holds)."""
    conv = shapes["conv_bf16"].bytes()
    fast, slow = shapes["scan_bf16_fast"], shapes["scan_bf16_slow"]
    rows_only = {k for k in fast.kernels if "scan_rows" in k}
    passes = {k for k in slow.kernels if "scan_rows" in k or "scan_ends" in k}  # the carry has one for a segment
    found = []

    def hold(text, value, limit, least=False):
        found.append((f"{text}: {value:.2f}, promised {'>=' if least else '<='} {limit:.2f}",
                      value >= limit if least else value <= limit))

    hold("bytes x d_inner a token, bf16, nothing looked back for", conv + fast.bytes(), 12)
    hold("bytes x d_inner a token, bf16, all looked back for", conv + slow.bytes(), 20)
    hold("exponentials a channel and token in the recurrence, beside softplus and the gate",
         fast.each("ex2", rows_only) - 2, STATES)
    hold("exponentials a channel and token, all looked back for, beside 2 softplus and the gate",
         slow.each("ex2", passes) - 3, 2 * STATES)
    for name, blocks in most.items():
        if "carry" not in name and "state" not in name:
            hold(f"blocks for each of {MULTIPROCESSORS} multiprocessors, d_inner 256, batch 1, 1 M rows, {name}",
                 blocks / MULTIPROCESSORS, 8, True)
    return found


def check_page(options, text):
    with open(options.page, encoding="utf-8") as f:
        page = f.read()
    other = re.search(r"by nvcc ([\d.]+)\.\n", page)
    if other and other.group(1) != options.nvcc and os.environ.get("MBS_UPDATE") != "1":
        print(f"counted: the page was made by nvcc {other.group(1)}, this is {options.nvcc}: it is not looked at")
        return []
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{text}\n{END}{after}"
    if wanted == page:
        return []
    if os.environ.get("MBS_UPDATE") == "1":
        with open(options.page, "w", encoding="utf-8") as f:
            f.write(wanted)
        return []
    old = page.splitlines()
    return [f"{os.path.basename(options.page)} is not what was counted (MBS_UPDATE=1 writes it): {line}"
            for line in text.splitlines() if line and line not in old]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("shapes")
    parser.add_argument("library")
    parser.add_argument("--page")
    parser.add_argument("--nvcc", default="?", help="the version of nvcc that made the PTX")
    parser.add_argument("--work", default=".")
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    listed = subprocess.run([options.shapes], capture_output=True, text=True, check=True).stdout
    shapes = {}
    for line in listed.splitlines():
        shape = Shape(*line.split("\t"))
        shape.run(options)
        shapes[shape.name] = shape
    text = table(shapes, options.nvcc)
    print(text)
    problems = []
    for promise, holds in promises(shapes, grid(options)):
        print(f"{'holds' if holds else 'BROKEN'}: {promise}")
        if not holds:
            problems.append(promise)
    if options.page:
        problems += check_page(options, text)
    for problem in problems:
        print(f"counted: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
