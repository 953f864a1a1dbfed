"""Runs command lines and compares what they print and how they end.

usage: run_cases.py BUILD_DIR SOURCE_DIR FILE.t [TITLE]

A file holds cases. Each runs in an empty folder of its own, with only the build's bin/ in front of PATH, an empty HOME, a
German locale and no MAMBASEQ_ variable; $BUILD, $SOURCE and $PYTHON are set:

  == title
  @ name             a file to make ("@ name +x": executable)
  | a line of it
  $ command          for sh; several follow each other in the same folder
  > line             what it prints on standard output, in order; nothing means nothing
  ! line             what it prints on standard error
  = 64               how it ends, 0 unless told; a signal is minus its number
  # a remark

In a line after `>` or `!`:  ~ in front makes it a pattern in which * stands for anything;  ... alone stands for any lines;
{build}, {source}, {here} and {version} stand for those.
"""
import fnmatch
import os
import re
import subprocess
import sys
import tempfile


class Step:
    def __init__(self, line, number):
        self.command = line
        self.number = number
        self.out = []
        self.err = []
        self.code = 0


class Case:
    def __init__(self, title):
        self.title = title
        self.files = []
        self.steps = []


def read_cases(path):
    cases = []
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f.read().split("\n"), 1):
            mark, rest = line[:2], line[2:]
            if mark == "==":
                cases.append(Case(rest.strip()))
            elif mark == "@ ":
                cases[-1].files.append([rest, []])
            elif mark.rstrip() == "|":
                cases[-1].files[-1][1].append(rest)
            elif mark == "$ ":
                cases[-1].steps.append(Step(rest, number))
            elif mark.rstrip() == ">":
                cases[-1].steps[-1].out.append(rest)
            elif mark.rstrip() == "!":
                cases[-1].steps[-1].err.append(rest)
            elif mark == "= ":
                cases[-1].steps[-1].code = int(rest)
            elif line and line[0] != "#":
                raise SystemExit(f"{path}:{number}: not understood: {line}")
    return cases


def line_matches(expected, got):
    if expected.startswith("~"):
        pattern = re.sub(r"[\[\]?]", lambda m: "[" + m.group(0) + "]", expected[1:])
        return fnmatch.fnmatchcase(got, pattern)
    return expected == got


def lines_match(expected, got):
    """Whether the lines are those expected; '...' takes as few lines as possible, with a way back."""
    if not expected:
        return not got
    if expected[0] == "...":
        return any(lines_match(expected[1:], got[i:]) for i in range(len(got) + 1))
    return bool(got) and line_matches(expected[0], got[0]) and lines_match(expected[1:], got[1:])


def environment(build, source, here):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAMBASEQ_", "MBS_")) and k != "LANGUAGE"}
    env["PATH"] = os.path.join(build, "bin") + ":" + env.get("PATH", "/usr/bin:/bin")
    env["HOME"] = here
    env["LC_ALL"] = "de_DE.UTF-8"
    env["MAMBASEQ_DEVICE"] = "cpu"  # the same words and bits with a device and without
    env["SOURCE"] = source
    env["BUILD"] = build
    env["PYTHON"] = sys.executable
    return env


def run_step(step, env, words):
    run = subprocess.run(["sh", "-c", step.command], cwd=env["HOME"], env=env, capture_output=True, timeout=60)
    found = []
    for name, expected, raw in (("output", step.out, run.stdout), ("error", step.err, run.stderr)):
        text = raw.decode("utf-8", "backslashreplace")
        got = text.split("\n")
        if got and got[-1] == "":
            got.pop()
        elif text:
            got[-1] += " (no line end)"
        wanted = expected
        for key, value in words.items():
            wanted = [line.replace("{" + key + "}", value) for line in wanted]
        if not lines_match(wanted, got):
            found.append(f"  standard {name}, expected:")
            found += ["    " + line for line in wanted] + ["  got:"] + ["    " + line for line in got]
    if run.returncode != step.code:
        found.append(f"  ended with {run.returncode}, expected {step.code}")
        found.append("  " + run.stderr.decode("utf-8", "backslashreplace")[-500:])
    return found


def run_case(case, build, source, version):
    with tempfile.TemporaryDirectory(prefix="mbs-cli-") as here:
        here = os.path.realpath(here)
        words = {"build": build, "source": source, "here": here, "version": version}
        for name, lines in case.files:
            executable = name.endswith(" +x")
            path = os.path.join(here, name[:-3] if executable else name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write("".join(line + "\n" for line in lines))
            if executable:
                os.chmod(path, 0o755)
        env = environment(build, source, here)
        for step in case.steps:
            found = run_step(step, env, words)
            if found:
                return [f"line {step.number}: $ {step.command}"] + found
    return []


def main():
    build, source, path = sys.argv[1:4]
    only = sys.argv[4] if len(sys.argv) > 4 else None
    with open(os.path.join(build, "include/mambaseq/version.h"), encoding="utf-8") as f:
        version = re.search(r'MBS_VERSION "([^"]+)"', f.read()).group(1)
    failed = 0
    cases = [c for c in read_cases(path) if only is None or only in c.title]
    for case in cases:
        found = run_case(case, os.path.realpath(build), os.path.realpath(source), version)
        failed += bool(found)
        print(("failed: " if found else "passed: ") + case.title)
        for line in found:
            print("  " + line)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed or not cases else 0


sys.exit(main())
