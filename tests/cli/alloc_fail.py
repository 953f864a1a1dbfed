"""Every allocation of a command fails once: the command does all of its work, or says that memory is out and ends with 71.

usage: alloc_fail.py BUILD_DIR
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

COMMANDS = [
    ["--help"],
    ["version"],
    ["version", "--json"],
    ["check", "share:pipelines/genomics/score.yaml"],
    ["check", "--json", "share:pipelines/genomics/score.yaml", "--set", "model.chunk=0"],
    ["plugin", "list", "-v"],
    ["plugin", "list", "--json"],
    ["plugin", "show", "table"],
    ["plugin", "show", "model", "--json"],
    ["plugin", "show", "tabel"],
    ["inspect", "x.fa"],
    ["inspect", "share:models/ecoli-ref", "--json"],
    ["model", "init", "tiny", "-o", "fresh", "--force", "--set", "n_layer=1"],
    ["model", "init", "tinny", "-o", "fresh"],
]
# Every plugin is loaded by the same code: one command goes through all of them, the others are run in a tree with these.
WHOLE = ["plugin", "list", "--json"]
FEW = ("fasta", "bases", "table", "hdf5", "bed")
# After so many good runs in a row the failing allocation lies behind the last one of the command.
ENOUGH = 12


def run(program, arguments, fail_at=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAMBASEQ_", "MBS_"))}
    env["HOME"] = os.getcwd()
    if fail_at is not None:
        env["MBS_ALLOC_FAIL_AT"] = str(fail_at)
    done = subprocess.run([program, *arguments], env=env, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def try_command(program, arguments):
    """How many allocations failed, and what went wrong."""
    whole = run(program, arguments)
    wrong = []
    refused = 0
    good = 0
    at = 0
    while good < ENOUGH:
        at += 1
        found = run(program, arguments, at)
        # A message may lose its advice, but not its meaning.
        if found == whole or (whole[0] != 0 and found[0] == whole[0]):
            good += 1
        elif found[0] == 71 and b"memory" in found[2]:
            refused += 1
            good = 0
        else:
            wrong.append(f"allocation {at} fails: ends with {found[0]}, {len(found[1])} of {len(whole[1])} bytes, "
                         f"{found[2][-200:]!r}")
            good = 0
        if len(wrong) > 5:
            break
    return refused, wrong


def small_tree(build, folder):
    """The program with a few plugins: it looks for them, and for share, from where it lies."""
    for name in FEW:
        for file in glob.glob(os.path.join(build, "lib*", "**", f"mbsp_{name}.so"), recursive=True):
            target = os.path.join(folder, os.path.relpath(file, build))
            os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
            shutil.copy2(file, target)
    os.makedirs(os.path.join(folder, "bin"))
    os.makedirs(os.path.join(folder, "share"))
    os.symlink(os.path.join(build, "share", "mambaseq"), os.path.join(folder, "share", "mambaseq"))
    return shutil.copy2(os.path.join(build, "bin", "mambaseq"), os.path.join(folder, "bin"))


def main():
    build = os.path.realpath(sys.argv[1])
    program = os.path.join(build, "bin", "mambaseq")
    failures = 0
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as tree:
        os.chdir(here)
        with open("x.fa", "w", encoding="ascii") as f:
            f.write(">a\nACGTNACGT\n>b\nAC\n")
        small = small_tree(build, tree)
        for arguments in COMMANDS:
            refused, wrong = try_command(program if arguments == WHOLE else small, arguments)
            if refused == 0:
                wrong.append("no allocation failed: this test does not test")
            failures += bool(wrong)
            print(f"{'failed' if wrong else 'passed'}: mambaseq {' '.join(arguments)}: {refused} refused")
            for line in wrong:
                print("  " + line)
        left = sorted(name for name in os.listdir(".") if name not in ("x.fa", "fresh"))
        if left:
            failures += 1
            print(f"failed: left behind: {left}")
    print(f"{failures} failures")
    return 1 if failures else 0


sys.exit(main())
