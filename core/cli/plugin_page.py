#!/usr/bin/env python3
"""The man page of the plugins and of the stage model with their options, made of what `mambaseq plugin show` knows of each.

usage: plugin_page.py MAMBASEQ PAGE [--check]

Writes PAGE (share/man/man7/mambaseq-plugins.7). A plugin that this build lacks keeps the section it has there. With
--check it writes nothing and fails where a section is not what would be written, or an option says nothing or has no
example.
"""
import json
import os
import re
import subprocess
import sys

TYPES = {"bool": "true or false", "int": "whole number", "float": "number", "string": "text", "path": "file",
         "enum": "word", "size": "whole number", "duration": "time", "list": "list",
         "paths": "file, list of files, or glob"}
KINDS = ["stage", "reader", "codec", "writer"]
HEAD = r""".\" Printed from the tables of the plugins: change them there and build the target docs.
.TH "MAMBASEQ\-PLUGINS" 7 "" "mambaseq" "Plugins"
.SH NAME
mambaseq\-plugins \- what reads, encodes and writes in a pipeline, and every option of it
.SH DESCRIPTION
The plugins that come with mambaseq, and the stage model. An option is a key of its stage in the pipeline:
.PP
.nf
    reader: {plugin: fasta, path: genome.fa.gz, flank: 4096}
.fi
.PP
.B mambaseq plugin show ID
prints the same of a plugin that is installed here, your own included,
.B mambaseq plugin show train
has the tables of a recipe for training, and
.B mambaseq plugin list
says which there are.
"""
TAIL = r""".SH SEE ALSO
.BR mambaseq (1),
.BR mambaseq\-plugin (1),
.BR mambaseq\-run (1)
"""


def ask(program, *words):
    # Only the plugins of this program: none of the user's own folders.
    env = {k: v for k, v in os.environ.items() if k not in ("MAMBASEQ_PLUGIN_PATH", "HOME", "XDG_DATA_HOME")}
    run = subprocess.run([program, "plugin", *words, "--json"], capture_output=True, text=True, env=env, check=True)
    return json.loads(run.stdout)["plugins"]


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\\&" + text if text[:1] in "." else text


def sentence(text):
    if re.match(r"[a-z]([a-z]| )", text):
        text = text[0].upper() + text[1:]
    return roff(text) + ".\n"


def number(value):
    return f"{value:g}" if value != int(value) or value >= 1e15 else f"{int(value)}"


def takes(p):
    words = " or ".join(", ".join(p.get("words") or []).rsplit(", ", 1))
    text = words if p["type"] == "enum" else TYPES[p["type"]]
    if "min" in p:
        text += f" {number(p['min'])}" + (f"..{number(p['max'])}" if p["max"] < 9.2e18 else " or more")
    text += f" {p['unit']}" if p["unit"] else ""
    text += f", or {words}" if words and p["type"] != "enum" else ""
    if p["required"]:
        return text + " (required)"
    return text + (f" (default: {p['default']})" if p["default"] is not None else "")


def heading(d):
    return f".SH {d['kind'].upper()} {roff(d['id']).upper()}" if "id" in d else ".SH STAGE MODEL"


def section(d):
    out = heading(d) + "\n" + sentence(d.get("summary", "what a model is asked for, and how"))
    for name, key in (("Takes", "accepts"), ("Gives", "produces"), ("Suffixes", "suffixes")):
        if d.get(key):
            out += f".br\n{name} {roff('anything' if d[key] == '*' else d[key])}\n"
    for p in d["params"]:
        out += f".TP\n.BR {p['key']} \" \\- {roff(takes(p))}\"\n" + sentence(p["help"])
        if p["example"] is not None:
            out += f".br\n{roff('e.g. ' + p['key'] + ': ' + p['example'])}\n"
    return out


def sections_of(page):
    """{heading: text} of the plugins' sections of a page."""
    try:
        with open(page) as f:
            text = f.read()
    except FileNotFoundError:
        return {}
    parts = re.split(r"(?m)^(?=\.SH )", text)
    return {p.split("\n", 1)[0]: p for p in parts if re.match(r"\.SH (STAGE|READER|CODEC|WRITER) ", p)}


def order(heading):
    _, kind, name = heading.split(" ", 2)
    return KINDS.index(kind.lower()), name


def main():
    program, page = sys.argv[1:3]
    problems, made = [], {}
    stages = [ask(program, "show", "model")[0]]
    stages += [ask(program, "show", known["id"], known["kind"])[0] for known in ask(program, "list")]
    for d in stages:
        made[heading(d)] = section(d)
        for p in d["params"]:
            who = f"{heading(d)[4:].lower()}: '{p['key']}'"
            problems += [f"{who} has no help"] if not p["help"] else []
            problems += [f"{who} has no example: end its help with ', e.g. VALUE'"] if p["example"] is None else []
    kept = sections_of(page)
    if "--check" in sys.argv:
        problems += [f"{h[4:]} of {page} is not what its table makes: build the target docs"
                     for h in made if kept.get(h) != made[h]]
        print("\n".join(problems + [f"{len(made)} tables, {len(problems)} problems"]))
        return 1 if problems or not made else 0
    kept.update(made)
    os.makedirs(os.path.dirname(page), exist_ok=True)
    with open(page, "w") as f:
        f.write(HEAD + "".join(kept[h] for h in sorted(kept, key=order)) + TAIL)
    return 0


sys.exit(main())
