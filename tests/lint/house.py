#!/usr/bin/env python3
"""Keeps the house in order: which part may include which, sizes, mutable globals, words that do not belong here.

Run from anywhere: tests/lint/house.py [root]. Prints one line a finding and exits 1 when there is one.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", ".."))

# folder -> what its files may include besides themselves and the system. "public" is core/include/mambaseq.
MAY_INCLUDE = {
    "core/base": {"public"},
    "core/opt": {"public", "core/base"},
    "core/plug": {"public", "core/base", "core/opt"},
    "core/pipe": {"public", "core/base", "core/opt", "core/plug"},
    "core/stream": {"public", "core/base", "core/plug"},
    "core/model": {"public", "core/base", "kernels/include"},
    "core/train": {"public", "core/base", "core/model", "kernels/include"},
    "core/baseline": {"public", "core/base", "core/opt"},
    "core/embed": {"public", "core/base", "core/model", "kernels/include"},
    "core/bench": {"public", "core/base", "core/model", "core/train", "kernels/include"},
    "core/run": {"public", "core/base", "core/opt", "core/plug", "core/pipe", "core/stream", "core/model",
                 "core/train", "core/baseline", "kernels/include"},
    "core/cli": {"public", "core/base", "core/opt", "core/plug", "core/pipe", "core/stream", "core/model", "core/run",
                 "core/train", "core/bench", "core/baseline", "kernels/include"},
    "kernels": {"public", "kernels/include"},
    "plugins": {"public"},
}
# Third-party headers and the only places that may name them.
LIBRARY_HOMES = {
    r"htslib/": ("plugins/genomics/",),
    r"hdf5\.h|H5": ("plugins/io/hdf5/",),
    r"sndfile|soxr": ("plugins/audio/",),
    r"yaml\.h": ("core/pipe/",),
    r"json-c/|json\.h$": ("core/base/json", "plugins/text/bpe/"),
    r"cuda|cublas": ("kernels/cuda/",),
    r"bigWig": ("plugins/",),
}
MAX_FILE_LINES = 700
MAX_FUNCTION_LINES = 120
# Files that hold state for the whole process, each with its reason.
GLOBALS_ALLOWED = {
    "core/base/log.c": "the level and the terminal are the process's",
    "core/base/stop.c": "signal handlers have no argument",
    "core/base/mem.c": "the allocation counter of the tests",
    "core/base/progress.c": "the line on the terminal is the process's",
    "core/plug/block.c": "which blocks are alive: they cross between plugins and threads, like the memory they lie in",
    "core/plug/fault.c": "signal handlers have no argument",
    "core/plug/where.c": "the calls that a signal handler and the watcher look at are the process's",
    "core/plug/group.c": "a library that is not thread-safe is one for the process",
    "core/plug/check/child.c": "a test's own process ends itself",
    "core/plug/check/load.c": "a process that only loads ends itself",
    "core/plug/slab.c": "the allocator of blocks, which cross between plugins and threads",
}
FORBIDDEN = [
    (re.compile(r"""(^|[\s"'(=`])/(home|root|work|Users)/\w"""), "a path of some machine"),
    (re.compile(r"\b(strcpy|strcat|sprintf|gets|system|popen|alloca)\s*\("), "an unsafe or forbidden call"),
]
# What the emulator of tests/simt cannot run, or what hides from its checks (kernels/cuda/device.cuh).
KERNEL_FORBIDDEN = [
    (re.compile(r"<<<"), "a launch that is not MBK_LAUNCH"),
    (re.compile(r"\b__shared__\b"), "shared memory that is not MBK_SHARED or MBK_DYN_SHARED"),
    (re.compile(r"\b__activemask\b|\bcooperative_groups\b|\bcub::"), "name masks; no cooperative groups, no CUB"),
    (re.compile(r"\bstatic\b.*\b__global__\b|\b__global__\b.*\bstatic\b"), "a static kernel has no name to be found by"),
]
EXIT_CALL = re.compile(r"(?<![\w.])(exit|abort|_exit)\s*\(")
STDOUT_USE = re.compile(r"\bstdout\b|(?<![\w.])printf\s*\(")

findings = []


def finding(path, line, text):
    findings.append(f"{path}:{line}: {text}")


def tracked(*patterns):
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", *patterns], check=True,
                         capture_output=True, text=True).stdout
    return [p for p in out.splitlines() if os.path.isfile(os.path.join(ROOT, p))]


def part_of(path):
    for part in sorted(MAY_INCLUDE, key=len, reverse=True):
        if path.startswith(part + "/"):
            return part
    return None


def target_part(name, path):
    """The part that an #include "name" in `path` points to, or None where it is of the same folder."""
    if name.startswith("mambaseq/"):
        return "public"
    if name.startswith("mbk/"):
        return "kernels/include"
    if name == "simt/simt.h" and path == "kernels/cuda/device.cuh":
        return None
    here = os.path.dirname(path)
    if os.path.exists(os.path.join(ROOT, here, name)):
        return part_of(os.path.normpath(os.path.join(here, name)))
    if os.path.exists(os.path.join(ROOT, "core", name)):
        return part_of("core/" + name)
    if os.path.exists(os.path.join(ROOT, "kernels", name)):
        return "kernels"
    if os.path.exists(os.path.join(ROOT, "plugins", name)):
        return "plugins"
    return "?"


def check_includes(path, lines):
    part = part_of(path)
    for n, line in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not m:
            continue
        name = m.group(2)
        for pattern, homes in LIBRARY_HOMES.items():
            if re.match(pattern, name) and not path.startswith(homes) and not path.startswith("tests/"):
                finding(path, n, f"<{name}> may only be included below {' '.join(homes)}")
        if m.group(1) == "<" or part is None:
            continue
        if path.startswith("core/include/"):
            if not name.startswith("mambaseq/"):
                finding(path, n, f'a public header may not include "{name}"')
            continue
        to = target_part(name, path)
        if to == "?":
            finding(path, n, f'"{name}" is not found from the include roots')
        elif to not in (part, None) and to not in MAY_INCLUDE[part] and not (part == "kernels" and to == "kernels"):
            finding(path, n, f'{part} may not include {to} ("{name}")')


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def check_functions(path, code):
    start = None
    depth = 0
    for n, line in enumerate(code.splitlines(), 1):
        if depth == 0 and re.match(r"[A-Za-z_].*\)\s*\{\s*$|\{\s*$", line):
            start = n
        opens, closes = line.count("{"), line.count("}")
        depth += opens - closes
        if depth == 0 and closes and start:
            if n - start > MAX_FUNCTION_LINES and not re.search(r"[=]\s*\{", code.splitlines()[start - 1]):
                finding(path, start, f"a function of {n - start} lines (more than {MAX_FUNCTION_LINES})")
            start = None


def check_globals(path, code):
    if path in GLOBALS_ALLOWED or path.startswith(("core/cli/", "tests/")):
        return
    depth = 0
    for n, line in enumerate(code.splitlines(), 1):
        if depth == 0 and re.match(r"static\s+(?!const\b|inline\b)[^()]*(=|;)\s*", line) and "const " not in line \
                and "(" not in line.split("=")[0]:
            finding(path, n, f"a mutable global: {line.strip()[:60]}")
        depth += line.count("{") - line.count("}")


def check_source(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    lines = text.splitlines()
    if path.startswith(("core/", "kernels/", "plugins/")):
        check_includes(path, lines)
    if len(lines) > MAX_FILE_LINES:
        finding(path, 1, f"{len(lines)} lines (more than {MAX_FILE_LINES})")
    for n, line in enumerate(lines, 1):
        if "\t" in line:
            finding(path, n, "a tab")
        if line != line.rstrip():
            finding(path, n, "blanks at the end of the line")
        if len(line) > 120:
            finding(path, n, f"{len(line)} columns (more than 120)")
        if not line.isascii():
            finding(path, n, "a character that is not ASCII")
    if not path.endswith((".c", ".cu")):
        return
    code = strip_comments(text)
    if path.startswith("kernels/cuda/"):
        for n, line in enumerate(code.splitlines(), 1):
            for pattern, why in KERNEL_FORBIDDEN:
                if pattern.search(line):
                    finding(path, n, why)
    check_functions(path, re.sub(r"'(\\.|[^'\\])'|\"(\\.|[^\"\\\n])*\"", '""', code))
    if path.startswith(("core/", "kernels/", "plugins/")):
        check_globals(path, code)
        for n, line in enumerate(re.sub(r'"(\\.|[^"\\])*"', '""', code).splitlines(), 1):
            if not path.startswith("core/cli/") and path not in GLOBALS_ALLOWED:
                if EXIT_CALL.search(line):
                    finding(path, n, "ends the process outside core/cli")
                if STDOUT_USE.search(line):
                    finding(path, n, "writes to stdout outside core/cli")


def check_words(path):
    try:
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            lines = f.read().splitlines()
    except UnicodeDecodeError:
        return
    if path == "tests/lint/house.py":
        return
    for n, line in enumerate(lines, 1):
        for pattern, why in FORBIDDEN:
            if pattern.search(line) and not (why.startswith("an unsafe") and not path.endswith((".c", ".h"))):
                finding(path, n, why)


def check_licences():
    """share/LICENSES.md names every shipped file that is not our own text."""
    table = open(os.path.join(ROOT, "share", "LICENSES.md"), encoding="utf-8").read()
    for path in tracked("share", "tests/data"):
        if path.endswith((".md", "CMakeLists.txt", ".sh")) or path.startswith(("share/man/", "share/completion/", "share/template/", "share/examples/", "share/python/")):
            continue
        folder = os.path.dirname(path) + "/"
        if f"`{path}`" not in table and f"`{folder}`" not in table and f"`{folder}*`" not in table:
            finding(path, 1, "is not listed in share/LICENSES.md")
    for name in re.findall(r"`((?:share|tests)/[^`*]+)`", table):
        if not os.path.exists(os.path.join(ROOT, name)):
            finding("share/LICENSES.md", 1, f"lists {name}, which is not there")


def check_plugins():
    """A shipped plugin has a page, a line in README.md's table, and is driven by `plugin check`."""
    def text(*path):
        return open(os.path.join(ROOT, *path), encoding="utf-8").read()

    readme, checks = text("README.md"), text("tests", "core", "plug", "check", "CMakeLists.txt")
    for path in tracked("plugins"):
        if not path.endswith("/CMakeLists.txt"):
            continue
        for name in re.findall(r"mbs_plugin\((\w+)", text(path)):
            if not os.path.exists(os.path.join(ROOT, os.path.dirname(path), "README.md")):
                finding(path, 1, f"plugin '{name}' has no README.md beside it")
            if f"`{name}`" not in readme:
                finding(path, 1, f"plugin '{name}' is not in the table of README.md")
            if f"plugin_check({name}" not in checks:
                finding(path, 1, f"plugin '{name}' has no plugin_check in tests/core/plug/check/CMakeLists.txt")


for source in tracked("*.c", "*.h", "*.cu", "*.cuh"):
    check_source(source)
for anything in tracked():
    check_words(anything)
check_licences()
check_plugins()
print("\n".join(findings) if findings else "the house is in order")
sys.exit(1 if findings else 0)
