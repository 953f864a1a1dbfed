"""The commands that the documents name are those of the program.

usage: command_list.py BUILD_DIR SOURCE_DIR

Every command of `mambaseq --help` has its place in a man page, and whatever stands behind the program's name in the
documents, in the pipelines' headers and in the man pages is a command.
"""
import glob
import os
import re
import subprocess
import sys

failures = 0


def check(good, text):
    global failures
    if not good:
        failures += 1
        print("failed:", text)


def commands(program):
    text = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    block = text.split("commands:\n", 1)[1].split("\n\n", 1)[0]
    found = set()
    for line in block.split("\n"):
        words = re.match(r"  ([a-z]+(?: [a-z]+)?)(?= |$)", line)
        if words:
            found.add(words.group(1))
    return found


def plain(path):
    with open(path, encoding="utf-8") as f:
        return f.read().replace("\\-", "-")


def main():
    build, source = sys.argv[1:3]
    known = commands(os.path.join(build, "bin/mambaseq"))
    check(len(known) >= 7, f"--help names only {sorted(known)}")
    groups = {c.split()[0] for c in known if " " in c}

    pages = glob.glob(os.path.join(source, "share/man/man1/*.1"))
    main_page = plain(os.path.join(source, "share/man/man1/mambaseq.1"))
    listed = set(re.findall(r"^\.TP\n\.B ([a-z]+(?: [a-z]+)?)$", main_page, re.M))
    check(listed == known, f"mambaseq(1) lists {sorted(listed)}, --help lists {sorted(known)}")

    texts = pages + glob.glob(os.path.join(source, "*.md")) + glob.glob(os.path.join(source, "share/**/*.md"), recursive=True)
    texts += glob.glob(os.path.join(source, "pipelines/**/*.yaml"), recursive=True)
    texts += glob.glob(os.path.join(source, "configs/**/*.yaml"), recursive=True)
    named = set()
    for path in texts:
        # A command line: the program's name at the start of a line, of code, or behind a path or a remark.
        for words in re.findall(r"(?:^(?:\.B )?|[`$/]|run: +|use: +)mambaseq ([a-z]+)(?: ([a-z]+))?\b", plain(path), re.M):
            command = " ".join(words) if words[0] in groups else words[0]
            named.add(command)
            check(command in known or (words[0] in groups and not words[1]), f"{path} names '{command}', no command of this program")
    check({"run", "check"} <= named, f"the documents name only {sorted(named)}")
    print(f"{len(known)} commands, {len(named)} of them in the documents, {failures} failures")
    return 1 if failures else 0


sys.exit(main())
