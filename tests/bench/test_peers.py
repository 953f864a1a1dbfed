#!/usr/bin/env python3
"""peers.py without its peers: it measures mambaseq, and says of each peer that it is missing and why.

usage: test_peers.py BUILD_DIR
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import peers  # noqa: E402


def without_peers(build, temporary):
    done = subprocess.run([sys.executable, os.path.join(HERE, "peers.py"), build, "--shape", "tiny", "--kinds", "f32,bf16",
                           "--rounds", "2", "--length", "32", "--threads", "1", "--seconds", "0.02", "--json",
                           "--llama-lib", "nowhere", "--torch-python", "/bin/false"], capture_output=True, text=True,
                          env={**os.environ, "TMPDIR": temporary}, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = {(r["kind"], r["who"]): r for r in json.loads(done.stdout)["results"]}
    assert set(rows) == {("f32", "mambaseq"), ("f32", "llama.cpp f32"), ("f32", "torch seq"), ("f32", "torch chunked"),
                         ("bf16", "mambaseq"), ("bf16", "llama.cpp bf16")}, rows
    for (kind, who), r in rows.items():
        if who == "mambaseq":
            assert r["prefill"] > 0 and r["decode"] > 0 and r["prefill_low"] <= r["prefill"] <= r["prefill_high"], r
        else:
            assert "prefill" not in r and ("nowhere" if "llama" in who else "/bin/false") in r["missing"], r
    assert os.listdir(temporary) == [], os.listdir(temporary)


def mamba2(build, temporary):
    """A Mamba-2 shape: what its states cost, and a GGUF file whose list says what is in it."""
    shape = os.path.join(temporary, "m2.yaml")
    with open(shape, "w", encoding="utf-8") as f:
        f.write("mixer: mamba2\nd_model: 32\nn_layer: 2\nd_state: 32\nhead_dim: 16\nvocab: 24\n")
    done = subprocess.run([sys.executable, os.path.join(HERE, "peers.py"), build, "--shape", shape, "--kinds", "f32",
                           "--rounds", "1", "--length", "32", "--threads", "1", "--seconds", "0.02", "--json",
                           "--llama-lib", "nowhere"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    mine, few, llama = json.loads(done.stdout)["results"]
    assert few["who"] == "mambaseq N 16" and few["prefill_states_cost"] == few["prefill"] / mine["prefill"], few
    assert "nowhere" in llama["missing"], llama
    try:
        import numpy as np
    except ImportError:
        return
    folder, path = os.path.join(temporary, "m2"), os.path.join(temporary, "m2.gguf")
    peers.make_model(argparse.Namespace(build=build), shape, folder)
    config, tensors = peers.read_folder(folder)
    peers.write_gguf(path, folder, "f32")
    with open(path, "rb") as f:
        raw = f.read()
    for key, value in (("embedding_length", 32), ("ssm.inner_size", 64), ("ssm.state_size", 32), ("ssm.time_step_rank", 4),
                       ("ssm.group_count", 1)):
        assert peers.text("mamba2." + key) + struct.pack("<II", 4, value) in raw, key
    listed = {name: values for name, values, _ in peers.gguf_tensors(config, tensors, "f32", 320)}
    a = listed["blk.1.ssm_a"]
    assert a.shape == (4, 1) and np.array_equal(a[:, 0], -np.exp(tensors["backbone.layers.1.mixer.A_log"])), a
    assert listed["blk.0.ssm_norm.weight"].shape == (1, 64) and listed["blk.0.ssm_in.weight"].shape == (196, 32)
    assert len(listed) == 2 + 2 * 9 and listed["blk.1.ssm_out.weight"].tobytes() in raw


def training_without_peer(build, temporary):
    done = subprocess.run([sys.executable, os.path.join(HERE, "peers.py"), build, "--shape", "dna-4x128", "--train", temporary,
                           "--rounds", "1", "--threads", "1", "--steps", "1", "--kinds", "f32", "--json",
                           "--torch-python", "/bin/false"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    mine, theirs = json.loads(done.stdout)["results"]
    assert mine["train"] > 0 and mine["peak_mib"] > 1 and "train_ratio" not in mine, mine
    assert "/bin/false" in theirs["missing"] and "train" not in theirs, theirs
    rows = peers.train_rows(argparse.Namespace(threads=2, length=1024), "s", {
        ("train f32", "mambaseq"): {"rates": [30, 10, 20], "version": "a", "peak": 1 << 20},
        ("train f32", "torch + C scan"): {"rates": [5, 8, 90], "version": "b", "peak": 1 << 20}})
    assert rows[0]["train"] == 20 and rows[0]["train_ratio"] == 2.5 and rows[1]["train"] == 8, rows


def numbers():
    try:
        import numpy as np
    except ImportError:
        print("no numpy: how weights are written was not checked")
        return
    x = np.array([1.0, 1.00390625, 1.01171875, -0.3], np.float32)  # both halves go to the even neighbour
    assert np.frombuffer(peers.encode(x, "bf16"), np.uint16).tolist() == [0x3F80, 0x3F80, 0x3F82, 0xBE9A]
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 64)).astype(np.float32)
    x[1, :32] = 0
    blocks = np.frombuffer(peers.encode(x, "q8_0"), np.uint8).reshape(-1, 34)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    back = (scale * blocks[:, 2:].copy().view(np.int8)).reshape(3, 64)
    assert np.abs(back - x).max() < 0.51 * scale.max() and (back[1, :32] == 0).all()
    assert sorted(peers.byte_letters()) == sorted(set(peers.byte_letters())) and len(peers.byte_letters()) == 256


def main():
    with tempfile.TemporaryDirectory() as temporary:
        without_peers(sys.argv[1], temporary)
        mamba2(sys.argv[1], temporary)
        training_without_peer(sys.argv[1], temporary)
    numbers()
    print("4 passed, 0 failed")
    return 0


sys.exit(main())
