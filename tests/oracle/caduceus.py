#!/usr/bin/env python3
"""Models that read both ways, beside a plain float64 reference of their published description: logits of random folders at
several shapes, and the gradient of every tensor of a classifier, read from the moments behind the first step of training.

    python3 tests/oracle/caduceus.py BINARY      (torch, numpy and h5py; any version that has autograd)
"""
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

try:
    import h5py
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

LIMIT = 1e-4   # of logits; of gradients, sums of small numbers that cancel, three times that
COMP = [0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15]
FORMS = [dict(rcps=p, both=b, tied=t, fused=f, d=d, n=n, layers=k, conv=w)
         for p, b, t, f, d, n, k, w in ((1, "add", 1, 1, 6, 4, 2, 4), (1, "add", 0, 0, 9, 3, 3, 3), (1, "ew_multiply", 1, 1, 7, 5, 3, 4),
                                        (1, "ew_multiply", 0, 0, 8, 2, 1, 2), (0, "add", 1, 1, 10, 16, 2, 4),
                                        (0, "ew_multiply", 0, 1, 5, 3, 2, 3), (1, None, 0, 1, 6, 4, 3, 4))]


def config(f, classes):
    c = {"model_type": "caduceus", "d_model": f["d"], "n_layer": f["layers"], "vocab_size": 12, "rms_norm": True,
         "ssm_cfg": {"d_state": f["n"], "d_conv": f["conv"], "dt_rank": 2}, "fused_add_norm": bool(f["fused"]),
         "bidirectional": f["both"] is not None, "bidirectional_strategy": f["both"] or "add",
         "bidirectional_weight_tie": bool(f["tied"]), "rcps": bool(f["rcps"]), "residual_in_fp32": False,
         "complement_map": {str(i): v for i, v in enumerate(COMP)}}
    return dict(c, architectures=["CaduceusForSequenceClassification"], num_labels=2) if classes else c


def draw(f, classes, rng):
    d, n, inner = f["d"], f["n"], 2 * f["d"]
    inside, wrapped = ("submodule.", "" if f["fused"] else "submodule.") if f["rcps"] else ("", "")
    table = "caduceus.backbone.embeddings.word_embeddings." + ("embedding.weight" if f["rcps"] else "weight")
    t = {table: rng.normal(0, 1, (16, d))}
    for i in range(f["layers"]):
        at = f"caduceus.backbone.layers.{i}."
        t[at + f"norm.{wrapped}weight"] = 1 + rng.normal(0, 0.2, d)
        for side in ("fwd", "rev") if f["both"] else ("fwd",):
            p = at + f"mixer.{inside}mamba_{side}."
            if side == "fwd" or not f["tied"]:
                t[p + "in_proj.weight"] = rng.normal(0, 0.5, (2 * inner, d))
                t[p + "out_proj.weight"] = rng.normal(0, 0.4, (d, inner))
            t[p + "conv1d.weight"] = rng.normal(0, 0.5, (inner, 1, f["conv"]))
            t[p + "conv1d.bias"] = rng.normal(0, 0.3, inner)
            t[p + "x_proj.weight"] = rng.normal(0, 0.5, (2 + 2 * n, inner))
            t[p + "dt_proj.weight"] = rng.normal(0, 0.5, (inner, 2))
            t[p + "dt_proj.bias"] = rng.normal(-1, 0.5, inner)
            t[p + "A_log"] = rng.normal(0, 0.5, (inner, n))
            t[p + "D"] = 1 + rng.normal(0, 0.3, inner)
    t[f"caduceus.backbone.norm_f.{wrapped}weight"] = 1 + rng.normal(0, 0.2, d)
    if classes:
        t["score.weight"] = rng.normal(0, 0.7, (2, d))
    return {k: v.astype(np.float32) for k, v in t.items()}, table, inside, wrapped


def save(path, tensors):
    head, blob = {}, b""
    for k, v in tensors.items():
        raw = v.tobytes()
        head[k] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [len(blob), len(blob) + len(raw)]}
        blob += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + blob)


def load(path):
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    return {k: np.frombuffer(data[slice(*e["data_offsets"])], "<f4").reshape(e["shape"]) for k, e in head.items()
            if k != "__metadata__" and e["dtype"] == "F32"}


class Reference:
    """Two streams side by side as [a | b], every step as it is described and nothing shared with the program."""

    def __init__(self, f, tensors, table, inside, wrapped):
        self.f, self.inside, self.wrapped = f, inside, wrapped
        self.w = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in tensors.items()}
        self.table = self.w[table]

    def mamba(self, x, p, shared):
        n = self.f["n"]
        w = self.w
        length = x.shape[0]
        u, z = (x @ w[shared + "in_proj.weight"].T).chunk(2, -1)
        kernel = w[p + "conv1d.weight"]
        u = F.conv1d(u.T[None], kernel, w[p + "conv1d.bias"], padding=kernel.shape[-1] - 1, groups=kernel.shape[0])
        u = F.silu(u[0, :, :length].T)
        dt, b, c = (u @ w[p + "x_proj.weight"].T).split([2, n, n], -1)
        delta = F.softplus(dt @ w[p + "dt_proj.weight"].T + w[p + "dt_proj.bias"])
        a = -torch.exp(w[p + "A_log"])
        h = torch.zeros_like(a)
        y = []
        for t in range(length):
            h = torch.exp(delta[t][:, None] * a) * h + (delta[t] * u[t])[:, None] * b[t]
            y.append((h * c[t]).sum(-1) + w[p + "D"] * u[t])
        return (torch.stack(y) * F.silu(z)) @ w[shared + "out_proj.weight"].T

    def mix(self, x, i):
        p = f"caduceus.backbone.layers.{i}.mixer.{self.inside}mamba_"
        y = self.mamba(x, p + "fwd.", p + "fwd.")
        if not self.f["both"]:
            return y
        r = self.mamba(x.flip(0), p + "rev.", p + ("fwd." if self.f["tied"] else "rev.")).flip(0)
        return y + r if self.f["both"] == "add" else y * r

    def norm(self, x, name):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * self.w[name]

    def rows(self, ids):
        """(L, d), or with two streams (L, 2 d)."""
        d, layers = self.f["d"], self.f["layers"]
        def both(fn, x):
            return torch.cat([fn(x[:, :d]), fn(x[:, d:].flip(0, 1)).flip(0, 1)], -1) if self.f["rcps"] else fn(x)
        x = self.table[ids]
        if self.f["rcps"]:
            comp = torch.tensor(COMP)
            x = torch.cat([x, self.table[comp[ids.flip(0)]].flip(0, 1)], -1)
        for i in range(layers):
            if self.f["rcps"] and self.f["fused"]:
                x = torch.cat([x[:, d:], x[:, :d]], -1)
            y = both(lambda s: self.norm(s, f"caduceus.backbone.layers.{i}.norm.{self.wrapped}weight"), x)
            x = x + both(lambda s: self.mix(s, i), y)
        return both(lambda s: self.norm(s, f"caduceus.backbone.norm_f.{self.wrapped}weight"), x)

    def logits(self, ids):
        x, d = self.rows(ids), self.f["d"]
        out = x[:, :d] @ self.table.T
        return out + x[:, d:].flip(1) @ self.table[torch.tensor(COMP)].T if self.f["rcps"] else out

    def classes(self, ids):
        x, d = self.rows(ids), self.f["d"]
        pooled = x[:, :d].mean(0)
        if self.f["rcps"]:
            pooled = (pooled + x[:, d:].flip(0, 1).mean(0)) / 2
        return self.w["score.weight"] @ pooled


def run(binary, folder, *args):
    r = subprocess.run([binary, *args], cwd=folder, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return r


def off(got, want):
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-9))


def setup(folder, f, classes, rng):
    tensors, *names = draw(f, classes, rng)
    os.makedirs(os.path.join(folder, "m"))
    save(os.path.join(folder, "m", "model.safetensors"), tensors)
    with open(os.path.join(folder, "m", "config.json"), "w") as out:
        json.dump(config(f, classes), out)
    return Reference(f, tensors, *names)


def check_logits(binary, f, rng):
    with tempfile.TemporaryDirectory() as folder:
        ref = setup(folder, f, 0, rng)
        ids = torch.tensor(rng.integers(7, 12, 37))
        with open(os.path.join(folder, "x.fa"), "w") as out:
            out.write(">x\n" + "".join("ACGTN"[i - 7] for i in ids) + "\n")
        with open(os.path.join(folder, "p.yaml"), "w") as out:
            out.write("mambaseq: 1\nreader: {plugin: fasta, path: x.fa}\ncodec: {plugin: bases, vocab: caduceus}\nmodel: "
                      "{path: m, task: logits}\nwriter: {plugin: hdf5, path: x.h5}\n")
        run(binary, folder, "run", "p.yaml", "-q")
        with h5py.File(os.path.join(folder, "x.h5"), "r") as h:
            return off(h["logits"][:], ref.logits(ids).detach().numpy())


def check_gradients(binary, f, rng):
    """At a rate of 0 every step has the same records and the same gradient g; behind step k its moments are
    (1 - 0.9^k) g, whichever checkpoint the stop leaves."""
    with tempfile.TemporaryDirectory() as folder:
        ref = setup(folder, f, 1, rng)
        loss = 0
        with open(os.path.join(folder, "x.tsv"), "w") as out:
            out.write("sequence\tlabel\n")
            for k in range(8):
                ids = torch.tensor(rng.integers(7, 11, 16))
                out.write("".join("ACGT"[i - 7] for i in ids) + f"\tc{k % 2}\n")
                loss = loss + F.cross_entropy(ref.classes(ids)[None], torch.tensor([k % 2])) / 8
        loss.backward()
        with open(os.path.join(folder, "r.yaml"), "w") as out:
            out.write("mambaseq: 1\nreader: {plugin: tsv, path: x.tsv}\ncodec: {plugin: bases, vocab: caduceus}\nmodel: "
                      "{path: m, pool: mean}\ntrain:\n  loss: classify\n  classes: [c0, c1]\n  window: 16\n  batch_tokens: 128\n"
                      "  steps: 1000000\n  seed: 1\n  split: {held_out: 0}\n  optimizer: {lr: 0, clip: 0}\n  schedule: "
                      "{warmup: 0, min_lr: 0}\n  checkpoint: {every: 20}\noutput: {path: out}\n")
        p = subprocess.Popen([binary, "train", "r.yaml", "-q"], cwd=folder, stderr=subprocess.PIPE, text=True)
        work = os.path.join(folder, ".out.mbs-train")
        while p.poll() is None and not (os.path.isdir(work) and any(n.startswith("step-") for n in os.listdir(work))):
            time.sleep(0.02)
        p.terminate()
        err = p.communicate()[1]
        assert p.returncode in (75, -15), err
        step = max(int(n[5:]) for n in os.listdir(work) if n.startswith("step-"))
        moments = load(os.path.join(work, f"step-{step}", "optimizer.safetensors"))
        got = {k: moments["m." + k] / (1 - 0.9 ** step) for k in ref.w}
        return max((off(got[k], w.grad.numpy()), k) for k, w in ref.w.items())


def main():
    rng = np.random.default_rng(1)
    worst = 0.0
    for f in FORMS:
        logits = check_logits(sys.argv[1], f, rng)
        gradient, name = check_gradients(sys.argv[1], f, rng)
        print(f"{f}: logits within {logits:.2g}, gradients within {gradient:.2g} ({name})")
        worst = max(worst, logits, gradient / 3)
    assert worst < LIMIT, worst


main()
