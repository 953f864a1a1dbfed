"""What is printed from the table of commands: share/ holds what this build prints, and the completion scripts complete.

usage: docs.py PRINT_DOCS SOURCE_DIR
"""
import os
import shutil
import subprocess
import sys
import tempfile

failures = 0


def check(good, text):
    global failures
    if not good:
        failures += 1
        print("failed:", text)


def files_below(folder):
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = f.read()
    return found


def compare_generated(print_docs, share, scratch):
    os.makedirs(os.path.join(scratch, "man/man1"))
    os.makedirs(os.path.join(scratch, "completion"))
    subprocess.run([print_docs, scratch], check=True)
    for part in ("man/man1", "completion"):
        made = files_below(os.path.join(scratch, part))
        kept = files_below(os.path.join(share, part))
        check(made.keys() == kept.keys(), f"share/{part} holds {sorted(kept)}, the table makes {sorted(made)}")
        for name in made.keys() & kept.keys():
            check(made[name] == kept[name], f"share/{part}/{name} is not what the table makes: run 'ninja docs'")


def man_pages_format(share):
    groff = shutil.which("groff")
    if not groff:
        print("skipped: groff is not here")
        return
    for name in sorted(files_below(os.path.join(share, "man"))):
        run = subprocess.run([groff, "-man", "-ww", "-Tascii", os.path.join(share, "man", name)], capture_output=True)
        check(run.returncode == 0 and not run.stderr, f"groff says about {name}: {run.stderr.decode()}")


BASH = r"""
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_mambaseq
printf '%s\n' "${COMPREPLY[@]}"
"""


def bash_completes(share, scratch):
    bash = shutil.which("bash")
    if not bash:
        print("skipped: bash is not here")
        return
    os.makedirs(os.path.join(scratch, "files/folder"))
    for name in ("a file.yaml", "b.yml", "c.fa"):
        open(os.path.join(scratch, "files", name), "w").close()

    def offers(*words):
        run = subprocess.run([bash, "--norc", "-c", BASH, "bash", os.path.join(share, "completion/mambaseq.bash"),
                              "mambaseq", *words], capture_output=True, text=True, cwd=os.path.join(scratch, "files"))
        check(run.returncode == 0 and not run.stderr, f"bash says {run.stderr} after {words}")
        return set(run.stdout.split("\n")) - {""}

    cases = [
        (["r"], {"run"}),
        (["plugin", ""], {"list", "show", "check", "new", "--help"}),
        (["run", "--pro"], {"--progress"}),
        (["run", "--progress", "=", "al"], {"always"}),
        (["run", "--progress", "n"], {"never"}),
        (["run", ""], {"a file.yaml", "b.yml", "folder"}),
        (["run", "-i", ""], {"a file.yaml", "b.yml", "c.fa", "folder"}),
        (["run", "-m", ""], {"folder"}),
        (["plugin", "list", "--v"], {"--verbose"}),
        (["model", "init", "x", "--se"], {"--set", "--seed"}),
        (["check", "--dr"], set()),
    ]
    for words, expected in cases:
        got = offers(*words)
        check(got == expected, f"after 'mambaseq {' '.join(words)}' bash offers {sorted(got)}, not {sorted(expected)}")


def zsh_reads(share):
    zsh = shutil.which("zsh")
    if not zsh:
        print("skipped: zsh is not here")
        return
    run = subprocess.run([zsh, "-n", os.path.join(share, "completion/_mambaseq")], capture_output=True, text=True)
    check(run.returncode == 0 and not run.stderr, f"zsh says {run.stderr}")


def main():
    print_docs, source = sys.argv[1:3]
    share = os.path.join(source, "share")
    with tempfile.TemporaryDirectory() as scratch:
        compare_generated(os.path.abspath(print_docs), share, scratch)
        man_pages_format(share)
        bash_completes(share, scratch)
        zsh_reads(share)
    print(f"{failures} failures")
    return 1 if failures else 0


sys.exit(main())
