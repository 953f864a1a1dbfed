#!/usr/bin/env python3
"""What each kernel may use of a multiprocessor, held against a table (budget.tsv) that only MBS_UPDATE=1 moves.

    budget.py [--build FOLDER]      of the build of the backend: what ptxas said when it was made
    budget.py FILE.cu ...           of these files, compiled here: for who writes a kernel; no table

Registers, shared memory, stack and spills are ptxas's words for each architecture, threads and the widths of loads and
stores are the PTX's (compute_80 for sm_80 and sm_90, compute_100 for sm_100 and sm_120). Whatever the table says: no
spills, no stack, and the occupancy in RULES. Where nvcc is not the version that made the table, only those are held.
Exit: 0, 1 with one line for each number that moved, 77 where the backend is not built.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
KERNELS = os.path.join(ROOT, "kernels", "cuda")
TABLE = os.path.join(ROOT, "tests", "simt", "budget.tsv")
ARCHITECTURES = (80, 90, 100, 120)
# Of a multiprocessor: warps, blocks, registers, shared bytes; and shared bytes that each block costs by itself.
LIMITS = {80: (64, 32, 65536, 167936, 1024), 90: (64, 32, 65536, 233472, 1024), 100: (64, 32, 65536, 233472, 1024),
          120: (48, 24, 65536, 102400, 1024)}
# Shared bytes that a launch asks for beside what the kernel declares (scan_launch and scan_ends_and_carry of scan.cu, at
# N 16 and 128 channels; steps of rank 48, which is a model of width 768): ptxas does not know them.
LOW = 4 * 128 * 4 + 48 * (128 * 2 + 2 * 8 * 4)
DYNAMIC = {"mbk_scan_rows<float, 16, false, true, false>": 2 * 4 * (3 * 128 * 4 + 2 * 16 * 4),
           "mbk_scan_rows<bf16, 16, false, true, false>": 2 * 8 * (3 * 128 * 2 + 2 * 16 * 4),
           "mbk_scan_rows<bf16, 16, false, true, true>": 2 * 8 * (2 * 128 * 2 + 2 * 16 * 4) + LOW,
           "mbk_scan_ends<float, 16, false, true, false>": 2 * 8 * (2 * 128 * 4 + 16 * 4),
           "mbk_scan_ends<bf16, 16, false, true, false>": 2 * 8 * (2 * 128 * 2 + 16 * 4),
           "mbk_scan_ends<bf16, 16, false, true, true>": 2 * 8 * (128 * 2 + 16 * 4) + LOW}
# (kernel, architecture, least occupancy in percent)
RULES = [(re.compile(r"^mbk_scan_(rows|ends)<\w+, 16, false, true, \w+>"), 90, 50)]
COLUMNS = ("kernel", "sm", "threads", "registers", "shared", "blocks", "occupancy", "loads", "loads16", "stores",
           "stores16")
EXPLAIN = {"threads": "threads of a block (__launch_bounds__; 0: not said)", "registers": "registers of a thread",
           "shared": "shared memory, bytes: static, and DYNAMIC where it is known", "blocks": "blocks of a multiprocessor at once",
           "occupancy": "percent of the warps of a multiprocessor", "loads": "loads from global memory in PTX",
           "loads16": "of 16 bytes", "stores": "stores to global memory in PTX", "stores16": "of 16 bytes"}


def kernel_files():
    text = re.sub("#.*", "", read(os.path.join(KERNELS, "files.cmake")))
    return [os.path.join(KERNELS, n) for n in re.search(r"set\(mbk_cuda_kernels([^)]*)\)", text).group(1).split()]


def occupancy(sm, threads, registers, shared):
    """Blocks of a multiprocessor at once and the percent of its warps, as the CUDA occupancy calculator counts."""
    warps, blocks, all_registers, all_shared, reserved = LIMITS[sm]
    of_block = max(1, (threads + 31) // 32)
    of_warp = (registers * 32 + 255) // 256 * 256
    by_registers = all_registers // 4 // of_warp * 4 // ((of_block + 3) // 4 * 4) if registers else blocks
    by_shared = all_shared // ((shared + reserved + 127) // 128 * 128)
    n = min(blocks, warps // of_block, by_registers, by_shared)
    return n, 100 * n * of_block // warps


def readable(symbols):
    out = subprocess.run(["c++filt", "-p"], input="\n".join(symbols), capture_output=True, text=True, check=True).stdout
    return {s: re.sub(r"^void ", "", n).replace("__nv_bfloat16", "bf16") for s, n in zip(symbols, out.splitlines())}


def run(command, what):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{what}:\n{done.stderr.strip()}")
    return done.stdout + done.stderr


def compiled(options, path, sm):
    """PTX and ptxas's words of one file, made here."""
    base = os.path.join(options.work, f"{os.path.basename(path)[:-3]}.sm_{sm}")
    what = f"{os.path.relpath(path, ROOT)} for sm_{sm}"
    include = [f"-I{os.path.join(ROOT, d)}" for d in ("kernels", "kernels/include", "core/include")]
    run([options.nvcc, "-std=c++17", "-O3", *include, "-Werror", "all-warnings", f"-arch=compute_{sm}", "-ptx", path, "-o",
         base + ".ptx"], what)
    said = run([options.ptxas, f"-arch=sm_{sm}", "-v", base + ".ptx", "-o", base + ".cubin"], what)
    return read(base + ".ptx"), said


def built(options, path, sm):
    """The same of the build."""
    name = os.path.basename(path)
    arch = 80 if sm < 100 else 100
    ptx = os.path.join(options.build, "tests", "simt", "ptx", f"mbk_ptx{arch}", name[:-3] + ".ptx")
    log = os.path.join(options.build, "kernels", "cuda", name + ".o.log")
    if not os.path.exists(ptx) or not os.path.exists(log):
        print("budget: the CUDA backend and its tests are not built here: what kernels use of a device is not looked at")
        sys.exit(77)
    return read(ptx), read(log)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def accesses(body):
    """Loads and stores of global memory in a kernel's PTX: all and those of 16 bytes."""
    found = {"ld": [0, 0], "st": [0, 0]}
    for op, width, kind in re.findall(r"\b(ld|st)\.global(?:\.\w+)*?(?:\.v(\d))?\.([busf]\d+)\s", body):
        found[op][0] += 1
        found[op][1] += int(width or 1) * int(kind[1:]) >= 128
    return found["ld"] + found["st"]


def measure(options, path, sm):
    ptx, said = (compiled if options.files else built)(options, path, sm)
    rows, problems = [], []
    bodies = {name: (head, body) for name, head, body in
              re.findall(r"\.entry\s+([$\w]+)\s*\([^)]*\)([^{]*)\{(.*?)\n\}", ptx, re.S)}
    parts = re.split(rf"Compiling entry function '([^']+)' for 'sm_{sm}'", said)
    names = readable(parts[1::2]) if len(parts) > 1 else {}
    for symbol, text in zip(parts[1::2], parts[2::2]):
        text = text.split("Compiling entry function", 1)[0]
        registers = int(re.search(r"Used (\d+) registers", text).group(1))
        smem = re.search(r"(\d+) bytes smem", text)
        kernel = names[symbol].split("(")[0]
        shared = (int(smem.group(1)) if smem else 0) + DYNAMIC.get(kernel, 0)
        stack, stores, loads = map(int, re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill",
                                                  text).groups())
        head, body = bodies[symbol]
        bound = re.search(r"\.(?:maxntid|reqntid)\s+([\d, ]+)", head)
        threads = 1 if bound else 0
        for n in bound.group(1).split(",") if bound else []:
            threads *= int(n)
        blocks, percent = occupancy(sm, threads or 256, registers, shared)
        rows.append(dict(zip(COLUMNS, (names[symbol], sm, threads, registers, shared, blocks, percent,
                                       *accesses(body)))))
        if stack or stores or loads:
            problems.append(f"{names[symbol]} sm_{sm}: {stack} bytes of stack, {stores} of spill stores, {loads} of spill "
                            "loads; there may be none")
    return rows, problems


def rules(rows, whole):
    names = {r["kernel"].split("(")[0] for r in rows}
    problems = [f"no kernel is {name}: budget.py adds shared memory to nothing" for name in DYNAMIC
                if whole and name not in names]
    for pattern, sm, least in RULES:
        held = [r for r in rows if r["sm"] == sm and pattern.search(r["kernel"])]
        if whole and not held:
            problems.append(f"no kernel is like {pattern.pattern}: budget.py looks for the wrong name")
        problems += [f"{r['kernel']} sm_{sm}: occupancy {r['occupancy']} %, it must have {least} %" for r in held
                     if r["occupancy"] < least]
    return problems


def read_table(path):
    if not os.path.exists(path):
        return "", {}
    lines = read(path).splitlines()
    version = lines[0].partition("nvcc ")[2]
    rows = [dict(zip(COLUMNS, line.split("\t"))) for line in lines[2:]]
    return version, {(r["kernel"], int(r["sm"])): r for r in rows}


def write_table(path, version, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"# made by budget.py under MBS_UPDATE=1 from what ptxas says: nvcc {version}\n" + "\t".join(COLUMNS) + "\n")
        f.writelines("\t".join(str(r[c]) for c in COLUMNS) + "\n" for r in rows)


def compare(old, rows):
    moved, new = [], {(r["kernel"], r["sm"]): r for r in rows}
    for key, row in new.items():
        if key not in old:
            moved.append(f"{key[0]} sm_{key[1]}: not in the table")
            continue
        moved += [f"{key[0]} sm_{key[1]}: {column} {old[key][column]} -> {row[column]} ({EXPLAIN[column]})"
                  for column in COLUMNS[2:] if str(row[column]) != old[key][column]]
    return moved + [f"{key[0]} sm_{key[1]}: in the table, but no such kernel" for key in old if key not in new]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("files", nargs="*", help="kernel files to compile (default: the build's)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--nvcc", default=shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc")
    options = parser.parse_args()
    if not os.path.exists(options.nvcc):
        print("budget: no nvcc here: what kernels use of a device is not looked at")
        sys.exit(77)
    options.ptxas = os.path.join(os.path.dirname(os.path.realpath(options.nvcc)), "ptxas")
    options.version = re.search(r"release [\d.]+, V([\d.]+)", run([options.nvcc, "--version"], "nvcc")).group(1)
    files = [os.path.abspath(f) for f in options.files] or kernel_files()
    rows, problems = [], []
    with tempfile.TemporaryDirectory() as options.work:
        for path in files:
            for sm in ARCHITECTURES:
                try:
                    found, wrong = measure(options, path, sm)
                except RuntimeError as error:
                    found, wrong = [], [str(error)]
                rows += found
                problems += wrong
    rows.sort(key=lambda r: (r["kernel"], r["sm"]))
    problems += rules(rows, not options.files)
    version, old = read_table(TABLE)
    if options.files:
        print("\t".join(COLUMNS))
        for row in rows:
            print("\t".join(str(row[c]) for c in COLUMNS))
    elif os.environ.get("MBS_UPDATE") == "1":
        write_table(TABLE, options.version, rows)
    elif version != options.version and old:
        print(f"budget: the table was made by nvcc {version}, this is {options.version}: only spills, stack and occupancy "
              "are held")
    else:
        moved = compare(old, rows)
        problems += moved
        if moved:
            print("budget: a change that is meant: MBS_UPDATE=1 tests/simt/budget.py")
    for problem in problems:
        print(f"budget: {problem}")
    print(f"budget: {len({r['kernel'] for r in rows})} kernels, {len(files)} files, {len(problems)} findings")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
