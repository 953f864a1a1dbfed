#!/usr/bin/env python3
"""Runs a checkpoint in transformers and in mambaseq, and prints the largest error behind every layer.

    python3 compare.py FOLDER [--tokens 512] [--seed 0] [--binary mambaseq] [--limit 1e-4]

Needs torch, transformers (4.44 or later knows mamba and mamba2), h5py and numpy. The input is random ids: bytes where the
model has at least 256 of them, letters of DNA (codec bases) where it has fewer. An error is max|ours - theirs| / max|theirs|.
Exit code: 0 where the logits are within the limit, 1 where not, 69 where a module is missing.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
    import torch
    import transformers
except ImportError as missing:
    print(f"compare.py: error: {missing.name} is not installed for {sys.executable}; it needs torch, transformers, h5py and "
          "numpy: python3 -m pip install torch transformers h5py numpy", file=sys.stderr)
    sys.exit(69)


def mend(model, tokens):
    """Two faults in the slow path of Mamba-2 of transformers 4.44, which its fast path and the original have not: it keeps dt
    above time_step_min, which is meant for initial weights alone, and it adds up the states of chunks over the wrong
    dimension. With one chunk for everything the second does not show."""
    for module in model.modules():
        if type(module).__name__ == "Mamba2Mixer" and hasattr(module, "time_step_min"):
            module.time_step_min = float(model.config.time_step_limit[0])
            module.chunk_size = max(module.chunk_size, tokens)


def letters(folder):
    """Ids of A C G T: of vocab.txt, else of Caduceus."""
    path = os.path.join(folder, "vocab.txt")
    names = open(path).read().split("\n") if os.path.exists(path) else ["-"] * 7 + list("ACGT")
    return {c: names.index(c) for c in "ACGT"}


def make_input(folder, vocab, n, seed, out):
    """Ids, and the stages of a pipeline that give the same ones."""
    draw = np.random.RandomState(seed)
    if vocab >= 256:
        data = draw.randint(0, 256, n).astype(np.uint8)
        data.tofile(os.path.join(out, "in.bin"))
        return data.astype(np.int64), f"{{plugin: text, path: {out}/in.bin}}", "{plugin: bytes}"
    ids = letters(folder)
    text = "".join(draw.choice(list("ACGT"), n))
    with open(os.path.join(out, "in.fa"), "w") as f:
        f.write(f">random\n{text}\n")
    return np.array([ids[c] for c in text]), f"{{plugin: fasta, path: {out}/in.fa}}", "{plugin: bases}"


def ours(args, stages, task, out):
    """What a run writes to /logits or /embedding."""
    with open(os.path.join(out, "p.yaml"), "w") as f:
        f.write(f"mambaseq: 1\nreader: {stages[0]}\ncodec: {stages[1]}\n"
                f"model: {{path: {json.dumps(os.path.abspath(args.folder))}, dtype: f32, {task}}}\n"
                f"writer: {{plugin: hdf5, path: {out}/o.h5}}\n")
    r = subprocess.run([args.binary, "run", f"{out}/p.yaml", "-q", "--force", "--device", "cpu"], capture_output=True,
                       text=True)
    if r.returncode:
        sys.exit(f"mambaseq failed:\n{r.stderr}")
    with h5py.File(f"{out}/o.h5") as f:
        return f["logits" if "logits" in f else "embedding"][:]


def error(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("folder")
    p.add_argument("--tokens", type=int, default=512)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--binary", default="mambaseq")
    p.add_argument("--limit", type=float, default=1e-4)
    args = p.parse_args()
    model = transformers.AutoModelForCausalLM.from_pretrained(args.folder, torch_dtype=torch.float32).eval()
    mend(model, args.tokens)
    with tempfile.TemporaryDirectory() as out:
        ids, *stages = make_input(args.folder, model.config.vocab_size, args.tokens, args.seed, out)
        with torch.no_grad():
            theirs = model(torch.from_numpy(ids)[None], output_hidden_states=True, use_cache=False)
        hidden = [h[0].float().numpy() for h in theirs.hidden_states]
        print("layer\terror\tlargest")
        table = model.get_input_embeddings().weight.detach().numpy()[ids]
        print(f"0\t{error(ours(args, stages, 'task: embed, layer: 0', out), table):.2e}\t{np.abs(table).max():.3g}")
        for k in range(1, model.config.num_hidden_layers + 1):
            got = ours(args, stages, f"task: embed, layer: {k}", out)
            print(f"{k}\t{error(got, hidden[k - 1]):.2e}\t{np.abs(hidden[k - 1]).max():.3g}")
        got = ours(args, stages, "task: embed, layer: final", out)
        print(f"final\t{error(got, hidden[-1]):.2e}\t{np.abs(hidden[-1]).max():.3g}")
        want = theirs.logits[0].float().numpy()
        got = ours(args, stages, "task: logits", out)[:, :want.shape[1]]
        worst = error(got, want)
        same = int((got.argmax(1) == want.argmax(1)).sum())
        print(f"logits\t{worst:.2e}\t{np.abs(want).max():.3g}")
        print(f"# the most likely token is the same at {same} of {len(ids)} places")
    return 0 if worst <= args.limit else 1


if __name__ == "__main__":
    sys.exit(main())
