#!/usr/bin/env python3
"""Makes a plugin of one kind with the installed program, in both languages, and does what its README says.

usage: test_template.py reader|codec|writer
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("MBS_BUILD_DIR", os.path.join(SOURCE, "build"))
CMAKE = os.environ.get("MBS_CMAKE", "cmake")
MOST_LINES = 120
STRICT = "-O2 -Wall -Wextra -Wconversion -pedantic -Werror"


def run(*args, **kw):
    r = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, **kw)
    if r.returncode != 0:
        sys.exit(f"{args}: {r.returncode}\n{r.stdout}")
    return r.stdout


def lines_of_code(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("//"))


def check_checked(said, how):
    """`plugin check` ran, and no test of it failed."""
    found = re.search(r"(\d+) passed, (\d+) failed", said)
    if not found or int(found.group(1)) < 15 or int(found.group(2)) != 0:
        sys.exit(f"{how}: the plugin was not checked, or it failed:\n{said}")


def try_one(kind, lang, folder, env):
    name = f"try_{kind}_{'cxx' if lang == 'c++' else 'c'}"
    run("mambaseq", "plugin", "new", name, "--kind", kind, "--lang", lang, cwd=folder, env=env)
    here = os.path.join(folder, name)
    source = os.path.join(here, f"{name}.{'cc' if lang == 'c++' else 'c'}")
    with open(source) as f:
        n = lines_of_code(f.read())
    if n > MOST_LINES:
        sys.exit(f"{source}: {n} lines of code, at most {MOST_LINES}")
    strict = f"CXXFLAGS=-std=c++11 {STRICT}" if lang == "c++" else f"CFLAGS=-std=c99 {STRICT}"
    check_checked(run("make", "test", strict, cwd=here, env=env), "make test")
    with open(os.path.join(here, "expected.tsv")) as f:
        expected = f.read()
    if run("mambaseq", "run", "pipeline.yaml", "-q", cwd=here, env=env) != expected:
        sys.exit(f"{name}: the pipeline does not print what expected.tsv holds")
    symbols = run("nm", "-D", "--defined-only", f"mbsp_{name}.so", cwd=here).split()
    if symbols[2::3] != ["mbs_plugin_entry"]:
        sys.exit(f"{name} exports {symbols[2::3]}")
    run(CMAKE, "-S", ".", "-B", "build", cwd=here, env=env)
    run(CMAKE, "--build", "build", cwd=here, env=env)
    check_checked(run("ctest", "--test-dir", "build", "-V", cwd=here, env=env), "ctest")
    # The test of a template must be able to fail.
    with open(os.path.join(here, "expected.tsv"), "a") as f:
        f.write("one line more\n")
    if subprocess.run(["make", "test"], cwd=here, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        sys.exit(f"{name}: its test passed on another output")
    run("make", "install", cwd=here, env=env)
    if f"{kind:<6}  {name}" not in run("mambaseq", "plugin", "list", env=env):
        sys.exit(f"{name} is not listed after make install")
    print(f"{name}: {n} lines of code, built by make and by CMake, checked, run, installed")


def main():
    kind = sys.argv[1]
    folder = os.path.realpath(tempfile.mkdtemp(prefix="mbs-template-"))
    try:
        prefix = os.path.join(folder, "prefix")
        home = os.path.join(folder, "home")
        os.mkdir(home)
        run(CMAKE, "--install", BUILD, "--prefix", prefix)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAMBASEQ", "CMAKE_", "PKG_CONFIG", "CFLAGS", "CXXFLAGS"))}
        env.update(HOME=home, PATH=os.path.join(prefix, "bin") + ":" + os.environ.get("PATH", "/usr/bin:/bin"))
        for lang in ("c", "c++"):
            if lang == "c++" and not shutil.which("g++"):
                print("no C++ compiler: the C++ template is not tried")
                continue
            try_one(kind, lang, folder, env)
        built = {**env, "PATH": os.path.join(BUILD, "bin") + ":" + os.environ.get("PATH", "/usr/bin:/bin")}
        run("mambaseq", "plugin", "new", "built", "--kind", kind, cwd=folder, env=built)
        check_checked(run("make", "-C", "built", "test", cwd=folder, env=built), "make test beside a program that is not installed")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
