"""What the whole-program tests share: the binary, small inputs, models to break, comparisons of bytes."""
import functools
import gzip
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("MBS_BUILD_DIR", os.path.join(SOURCE, "build"))
BINARY = os.path.join(BUILD, "bin", "mambaseq")
MODEL = os.path.join(SOURCE, "share", "models", "ecoli-ref")
HELDOUT = os.path.join(SOURCE, "share", "data", "ecoli-heldout.fa.gz")
SANITIZED = os.environ.get("MBS_SANITIZED", "") not in ("", "OFF")


def levels():
    """The kernel levels that this machine runs, lowest first."""
    found = []
    for level in ("ref", "avx2", "avx512", "avx512vnni", "avx512bf16"):
        env = dict(os.environ, MAMBASEQ_CPU=level)
        r = subprocess.run([BINARY, "run", "share:pipelines/genomics/score.yaml", "-q", "-i", "/dev/stdin", "--set",
                            "writer={plugin: table, path: '-'}"], input=b">a\nACGT\n", capture_output=True, env=env)
        if r.returncode == 0:
            found.append(level)
    return found


@functools.lru_cache(maxsize=1)
def heldout_genome():
    with gzip.open(HELDOUT, "rt") as f:
        f.readline()
        return f.read().replace("\n", "")


def heldout_bases(n):
    """The first n bases of the shipped genome."""
    return heldout_genome()[:n]


def fasta(records, width=60):
    """Text of a FASTA from (name, sequence) pairs."""
    out = []
    for name, seq in records:
        out.append(f">{name}\n")
        out.extend(seq[i:i + width] + "\n" for i in range(0, len(seq), width))
    return "".join(out)


def mixed_records(bases):
    """Records with what real files have: soft masking, N, IUPAC codes, length 0, 1 and 2, several sizes."""
    s = bases
    return [("first some words", s[:1500]), ("empty", ""), ("one", "A"), ("two", "CG"),
            ("masked", s[1500:1900].lower() + s[1900:2300]),
            ("gaps", s[2300:2400] + "N" * 70 + s[2400:2650] + "RYKM" + s[2650:2900]), ("onlyN", "NNNN"),
            ("last", s[2900:4200])]


def few_records(bases):
    """The same kinds of records, short ones."""
    return [(name, s[:130] if name.startswith("last") else s[270:530] if name == "masked" else s[:330]) for name, s in
            mixed_records(bases)]


def cut_records(bases):
    """Short records under a sanitizer, which a kernel is no better looked at with more of."""
    return few_records(bases) if SANITIZED else mixed_records(bases)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Scratch(unittest.TestCase):
    """A test in a folder of its own."""
    scored_by = ()  # what `score` and `score_args` say of the model: nothing, so the pipeline's

    def use_small_model(self):
        """A causal model of the same letters at a tenth of the work, for what lies around a model: journals, cuts of
        records, processes. Returns its folder, which these tests may change."""
        small = self.path("small")
        self.ok("model", "init", "tiny", "-o", small, "--seed", "3", "-q", "--set", "d_model=32")
        self.scored_by = ("-m", small)
        return small

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="mbs-e2e-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def stop_behind_a_journal(self, p, before=0):
        """Ends a run by SIGTERM once it has written a journal after `before`: a fast machine is done before any pause is
        over. Returns what the journal's time is now, 0 where the run had come to its end."""
        def newest():
            found = 0
            for name in (f for f in os.listdir(self.dir) if ".mbs-journal" in f):
                try:
                    found = max(found, os.stat(self.path(name)).st_mtime_ns)
                except FileNotFoundError:
                    pass
            return found
        while p.poll() is None and newest() <= before:
            time.sleep(0.002)
        p.send_signal(signal.SIGTERM)
        _, err = p.communicate()
        self.assertIn(p.returncode, (0, 75), err.decode())
        return newest() if p.returncode else 0

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def write(self, name, text):
        mode = "wb" if isinstance(text, bytes) else "w"
        with open(self.path(name), mode) as f:
            f.write(text)
        return self.path(name)

    def run_(self, *args, stdin=None, env=None, timeout=480 if SANITIZED else 120, **kw):
        e = {k: v for k, v in os.environ.items() if not k.startswith("MAMBASEQ_")}
        e["MAMBASEQ_DEVICE"] = "cpu"  # the same words and bits with a device and without
        e.update(env or {})
        data = stdin.encode() if isinstance(stdin, str) else stdin
        return subprocess.run([BINARY, *args], cwd=self.dir, capture_output=True, input=data if data is not None else b"",
                              env=e, timeout=timeout, **kw)

    def peak(self, *args):
        """The most memory a run that succeeds had, in KiB."""
        p = self.start(*args)
        most = 0
        while p.poll() is None:  # what wait4 says counts this program too, from before the exec
            with open(f"/proc/{p.pid}/status") as f:
                most = max([most, *(int(line.split()[1]) for line in f if line.startswith("VmHWM"))])
            time.sleep(0.002)
        p.communicate()
        self.assertEqual(p.returncode, 0)
        return most

    def start(self, *args, env=None, **kw):
        e = {k: v for k, v in os.environ.items() if not k.startswith("MAMBASEQ_")}
        e["MAMBASEQ_DEVICE"] = "cpu"  # the same words and bits with a device and without
        e.update(env or {})
        return subprocess.Popen([BINARY, *args], cwd=self.dir, env=e, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **kw)

    def ok(self, *args, **kw):
        r = self.run_(*args, **kw)
        self.assertEqual(r.returncode, 0, r.stderr.decode(errors="replace"))
        return r

    def fails(self, code, *args, says=(), **kw):
        """Ends with `code`, the last line is the error line, holds `says`, and leaves nothing behind but what was there."""
        before = set(os.listdir(self.dir))
        r = self.run_(*args, **kw)
        text = r.stderr.decode(errors="replace")
        self.assertEqual(r.returncode, code, text)
        lines = text.splitlines()
        self.assertTrue(lines and lines[-1].startswith("mambaseq: error: "), text)
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, text)
        left = set(os.listdir(self.dir)) - before
        self.assertEqual(left, set(), f"left behind: {left}")
        return text

    def score(self, fasta_path, h5="out.h5", tsv="out.tsv", *more, **kw):
        return self.ok("run", "share:pipelines/genomics/score.yaml", "-i", fasta_path, "--set", f"writer.hdf5.path={h5}",
                       "--set", f"writer.table.path={tsv}", "--force", *self.scored_by, *more, **kw)

    def score_args(self, fasta_path, h5="out.h5", tsv="out.tsv"):
        return ["run", "share:pipelines/genomics/score.yaml", "-i", fasta_path, "--set", f"writer.hdf5.path={h5}",
                "--set", f"writer.table.path={tsv}", *self.scored_by]

    def rows(self, tsv="out.tsv"):
        with open(self.path(tsv)) as f:
            lines = f.read().splitlines()
        head = lines[0].lstrip("#").split("\t")
        return [dict(zip(head, line.split("\t"))) for line in lines[1:]]


def read_safetensors(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(n))
        data = f.read()
    return header, data


def write_safetensors(path, header, data):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


CADUCEUS_GOLDEN = os.path.join(SOURCE, "tests", "data", "reference", "caduceus_ps.safetensors")
COMPLEMENT = {str(i): {7: 10, 8: 9, 9: 8, 10: 7}.get(i, i) for i in range(16)}


def caduceus_config(**more):
    c = {"architectures": ["CaduceusForMaskedLM"], "model_type": "caduceus", "d_model": 8, "n_layer": 2,
         "vocab_size": 12, "ssm_cfg": {"d_state": 4, "d_conv": 4, "expand": 2, "dt_rank": "auto"}, "rms_norm": True,
         "residual_in_fp32": False, "fused_add_norm": True, "pad_vocab_size_multiple": 8, "norm_epsilon": 1e-5,
         "bidirectional": True, "bidirectional_strategy": "add", "bidirectional_weight_tie": True, "rcps": True,
         "complement_map": COMPLEMENT}
    c.update(more)
    return {k: v for k, v in c.items() if v is not None}


def caduceus_folder(folder, extra=None, **more):
    """The golden model as a folder; of the names of the Ph layout where rcps is off."""
    c = caduceus_config(**more)
    header, data = read_safetensors(CADUCEUS_GOLDEN)
    out, blob = {}, b""
    for key, e in header.items():
        if key.startswith("caduceus.") and (c["rcps"] or "complement" not in key):
            begin, end = e["data_offsets"]
            if not c["rcps"]:
                key = key.replace(".submodule", "").replace("word_embeddings.embedding", "word_embeddings")
            out[key] = {"dtype": e["dtype"], "shape": e["shape"], "data_offsets": [len(blob), len(blob) + end - begin]}
            blob += data[begin:end]
    os.makedirs(folder, exist_ok=True)
    for key, (shape, values) in (extra or {}).items():
        raw = struct.pack(f"<{len(values)}f", *values)
        out[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(blob), len(blob) + len(raw)]}
        blob += raw
    write_safetensors(os.path.join(folder, "model.safetensors"), out, blob)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(c, f)


def main():
    if not os.path.exists(BINARY):
        print(f"no binary at {BINARY}", file=sys.stderr)
        sys.exit(1)
    unittest.main(verbosity=1)
