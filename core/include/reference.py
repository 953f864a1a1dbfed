#!/usr/bin/env python3
"""The reference pages of the plugin interface, made of the comments of the public headers.

usage: reference.py SOURCE_DIR [--check]

Writes share/doc/reference/NAME.md for each header of core/include/mambaseq that an author of plugins includes, and
README.md with where to look. With --check it writes nothing and fails where a page is not what would be written.
"""
import os
import re
import sys

HEADERS = ["plugin.h", "reader.h", "codec.h", "writer.h", "host.h", "params.h", "block.h", "status.h", "ext/checkpoint.h",
           "ext/edits.h", "ext/inspect.h", "ext/live.h", "ext/tokenizer.h"]
WHAT = {"plugin.h": "the entry of a library, descriptors, `MBS_PLUGIN_DEFINE`", "reader.h": "states and calls of a reader",
        "codec.h": "states and calls of a codec, vocabularies", "writer.h": "states and calls of a writer",
        "host.h": "what a plugin may ask of the host", "params.h": "tables of parameters",
        "block.h": "what travels: header, record, block, side channels", "status.h": "what a call answers",
        "ext/checkpoint.h": "a place to continue from",
        "ext/edits.h": "changes of a sequence that a reader knows of", "ext/inspect.h": "what a file holds",
        "ext/live.h": "an input that the user ends", "ext/tokenizer.h": "a codec's ids as tokenizer files"}


def plain(comment):
    """The text of a comment without its marks; what is indented stays so."""
    lines = comment.strip()[2:-2].split("\n")
    lines = [re.sub(r"^ ?\* ?", "", line, count=1) if i else line.lstrip("* ") for i, line in enumerate(lines)]
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def table(text):
    """Tables drawn with blanks, and examples, as code; paragraphs as they are."""
    out = []
    for part in re.split(r"\n\n+", text):
        deep = [line.startswith("  ") for line in part.split("\n")]
        out.append(f"```text\n{part}\n```" if all(deep) else part)
    return "\n\n".join(out)


def page(name, text):
    guard = text.index("#ifndef MAMBASEQ_")
    head = plain(text[text.index("/*"):text.index("*/") + 2])
    title, _, about = head.partition(" - ")
    first, _, rest = about.partition("\n\n")
    out = [f"# {title}", first[:1].upper() + first[1:].replace("\n", " ")]
    if rest:
        out.append(table(rest))
    body = re.sub(r"^#ifndef MAMBASEQ_\w+\n#define MAMBASEQ_\w+\n", "", text[guard:])
    body = re.sub(r"\n#endif\n*$", "", body).strip("\n")
    body = re.sub(r"^#include [^\n]*\n", "", body, flags=re.M)
    out.append("```c\n" + re.sub(r"[ ]+\\\n", " \\\\\n", body).strip("\n") + "\n```")
    names = sorted(set(re.findall(r"\b(mbs_\w+|MBS_[A-Z]\w+)\b", body)), key=lambda n: (n.lower(), n))
    own = [n for n in names if re.search(rf"(\}} |typedef [^;{{]*\b|#define ){n}\b", body)]
    if own:
        out.append("Names: " + ", ".join(f"`{n}`" for n in own) + ".")
    note = f"Made from `mambaseq/{name}` by `ninja docs`."
    return "\n\n".join(out + [note]) + "\n"


def pages(source):
    made = {}
    for name in HEADERS:
        with open(os.path.join(source, "core/include/mambaseq", name), encoding="utf-8") as f:
            made[name.replace("/", "-").replace(".h", ".md")] = page(name, f.read())
    rows = "".join(f"| [{n}]({n.replace('/', '-').replace('.h', '.md')}) | {WHAT[n]} |\n" for n in HEADERS)
    made["README.md"] = ("# The plugin interface\n\nOne page for each header of `include/mambaseq`; how to begin: "
                         f"[plugins.md](../plugins.md).\n\n| header | what is in it |\n|---|---|\n{rows}")
    return made


def main():
    source = sys.argv[1]
    folder = os.path.join(source, "share/doc/reference")
    made = pages(source)
    stale = []
    if "--check" not in sys.argv:
        os.makedirs(folder, exist_ok=True)
    for name in sorted(set(made) | set(os.listdir(folder))):
        path = os.path.join(folder, name)
        there = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                there = f.read()
        if there == made.get(name):
            continue
        if "--check" in sys.argv:
            stale.append(name)
        elif name not in made:
            os.remove(path)
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(made[name])
    if stale:
        print(f"share/doc/reference is not what the headers say, run `ninja docs`: {', '.join(stale)}")
    return 1 if stale else 0


sys.exit(main())
