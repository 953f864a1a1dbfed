"""Makes the headers of a later minor out of those of today: every struct that begins with its size gets fields at its
tail, and the minor is 7. With them a host, or a plugin, of another age is built for tests.

usage: grow.py INCLUDE_DIR TARGET_DIR
"""
import os
import re
import sys

TAIL = "    void *grown_first;\n    int64_t grown_second[3];\n"


def grow(text):
    """The header with its structs grown, and how many there were."""
    n = 0

    def one(match):
        nonlocal n
        if not re.search(r"\{\s*uint32_t struct_size;", match.group(0)):
            return match.group(0)
        n += 1
        return match.group(1) + TAIL + match.group(2)

    text = re.sub(r"(^(?:typedef )?struct \w+ \{\n.*?)(^\}[^\n]*;)", one, text, flags=re.M | re.S)
    return re.sub(r"#define MBS_ABI_MINOR \d+u", "#define MBS_ABI_MINOR 7u", text), n


def main():
    source, target = sys.argv[1:3]
    grown = 0
    for here, _, names in os.walk(os.path.join(source, "mambaseq")):
        for name in sorted(names):
            if not name.endswith(".h") or name == "mambaseq.h":
                continue
            path = os.path.join(here, name)
            with open(path, encoding="utf-8") as f:
                text, n = grow(f.read())
            grown += n
            to = os.path.join(target, os.path.relpath(path, source))
            os.makedirs(os.path.dirname(to), exist_ok=True)
            with open(to, "w", encoding="utf-8") as f:
                f.write(text)
    if grown < 14:
        sys.exit(f"only {grown} structs grew, the headers have at least 14")


if __name__ == "__main__":
    main()
