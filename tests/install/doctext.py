"""Reads a page of share/doc as a test: its files, its commands, and what they print."""
import re
import subprocess

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def blocks(text, language):
    return [body for lang, body in FENCE.findall(text) if lang == language]


def commands(text):
    """(command, expected output) of every console block, in order."""
    out = []
    for body in blocks(text, "console"):
        for line in body.splitlines():
            if line.startswith("$ "):
                out.append((line[2:], []))
            else:
                out[-1][1].append(line)
    return out


def run(steps, cwd, env):
    """Runs the commands in one shell; gives (status, output) of each."""
    mark = "=== end of a command"
    script = "".join(f"{command}\necho '{mark}' $?\n" for command, _ in steps)
    r = subprocess.run(["sh"], input=script, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=240)
    found = re.findall(rf"(.*?)^{mark} (\d+)\n", r.stdout, re.M | re.S)
    return [(int(status), text) for text, status in found]


def matches(expected, printed):
    """Whether `printed` is the lines of `expected`, where a line of three dots stands for any lines."""
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in expected)
    return re.fullmatch(pattern, printed) is not None
