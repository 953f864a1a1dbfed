"""Runs the examples of share/doc/formats.md: read_docs.py FORMATS.md FOLDER, FOLDER with the files that they name.

Exit status 77 where h5py is not installed.
"""
import os
import re
import shutil
import subprocess
import sys

try:
    import h5py  # noqa: F401
    import numpy  # noqa: F401
except ImportError:
    sys.exit(77)

text = open(sys.argv[1], encoding="utf-8").read()
os.chdir(sys.argv[2])
blocks = re.findall(r"```(python|sh)\n(.*?)```", text, re.S)
assert sum(kind == "python" for kind, _ in blocks) >= 5
for kind, code in blocks:
    if kind == "python":
        exec(compile(code, "formats.md", "exec"), {})
        continue
    for line in code.splitlines():
        if shutil.which(line.split()[0]):
            done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
            assert done.returncode == 0 and done.stdout, (line, done)
