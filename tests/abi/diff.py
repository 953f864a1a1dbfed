"""The plugin interface as libabigail sees it, against the one that was promised.

usage: diff.py COMPILER SOURCE_DIR BUILD_DIR      exit 77: abigail-tools are not installed

Any difference fails, without suppressions. Where only tails grew: raise MBS_ABI_MINOR and write the new picture with
MBS_UPDATE=1; CONTRIBUTING.md, "Change the plugin interface".
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import grow

BASELINE = "tests/abi/baseline-1/plugin.abi"


def run(*args):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)


def surface(compiler, source, include, folder, name):
    """The library that shows the interface of the headers in `include`."""
    so = os.path.join(folder, name)
    here = "-ffile-prefix-map=%s=." % os.path.abspath(source)  # wherever the clone lies
    r = run(compiler, "-shared", "-fPIC", "-g", "-gdwarf-4", "-O0", here, "-I", include,
            os.path.join(os.path.abspath(source), "tests/abi/surface.c"), "-o", so)
    if r.returncode != 0:
        sys.exit(r.stdout)
    return so


def picture(so, path):
    r = run("abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file", path, so)
    if r.returncode != 0:
        sys.exit(r.stdout)


def fields(path):
    """{(struct, field): offset in bytes} of the public structs in a picture."""
    found = {}
    for c in xml.parse(path).iter("class-decl"):
        if not c.get("name", "").startswith("mbs_"):
            continue
        for m in c.iter("data-member"):
            found[c.get("name"), m.find("var-decl").get("name")] = int(m.get("layout-offset-in-bits")) // 8
    return found


def layout(source):
    """The same as tests/abi/layout.c asserts it."""
    with open(os.path.join(source, "tests/abi/layout.c"), encoding="utf-8") as f:
        return {(s, m): int(n) for s, m, n in re.findall(r"^AT\((\w+), (\w+), (\d+)\);", f.read(), re.M)}


def main():
    compiler, source, build = sys.argv[1:4]
    if not shutil.which("abidw") or not shutil.which("abidiff"):
        print("skipped: abidw and abidiff are missing (package abigail-tools)")
        return 77
    baseline = os.path.join(source, BASELINE)
    with tempfile.TemporaryDirectory(prefix="mbs-abi-") as folder:
        so = surface(compiler, source, os.path.join(source, "core/include"), folder, "surface.so")
        if os.environ.get("MBS_UPDATE"):
            picture(so, baseline)
        r = run("abidiff", "--no-show-locs", baseline, so)
        if r.returncode != 0:
            print(f"{BASELINE} and the headers differ (abidiff: {r.returncode})\n{r.stdout}")
            print("a field that moved or changed breaks every plugin that was built: put it at the tail instead")
            return 1
        # The comparison must be able to fail: on grown tails, and on a field in the middle.
        sys.argv[1:] = [os.path.join(source, "core/include"), os.path.join(folder, "grown")]
        grow.main()
        if run("abidiff", baseline, surface(compiler, source, os.path.join(folder, "grown"), folder, "grown.so")).returncode == 0:
            return "abidiff does not see that structs grew"
        shutil.copytree(os.path.join(source, "core/include"), os.path.join(folder, "moved"))
        path = os.path.join(folder, "moved/mambaseq/block.h")
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("    const char *type; /* static */\n", "    int64_t moved;\n    const char *type; /* static */\n", 1))
        r = run("abidiff", baseline, surface(compiler, source, os.path.join(folder, "moved"), folder, "moved.so"))
        if r.returncode == 0 or "moved" not in r.stdout:
            return "abidiff does not see a field in the middle of mbs_block"
        asserted, there = layout(source), fields(baseline)
        if asserted != there:
            return f"layout.c and the picture differ in {sorted(set(asserted.items()) ^ set(there.items()))}"
    print(f"{len(there)} fields are where they were promised")
    return 0


sys.exit(main())
