#!/usr/bin/env python3
"""Both ways between mambaseq and transformers: what `model init` and `train` write loads there without a complaint and gives the same
logits, and what save_pretrained writes (tied, untied, with biases, 16-bit, sharded) gives the same logits here.

  transformers_mamba.py MAMBASEQ      exit code 77: a package is missing
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    import transformers
    from safetensors.torch import save_file
    from transformers import MambaConfig, MambaForCausalLM
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

MAMBASEQ = sys.argv[1]
LIMIT = 1e-5  # of the largest logit; both sides compute in float32
transformers.logging.set_verbosity_error()
torch.manual_seed(1)


def run(*args):
    done = subprocess.run([MAMBASEQ, *args], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"mambaseq {' '.join(args)}: {done.returncode}\n{done.stderr}")
    return done.stdout


def compare(what, folder, model):
    """Logits of `model` for two sequences, against mambaseq's for the same folder."""
    vocab = model.config.vocab_size
    ids = torch.randint(0, vocab, (2, 150))
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits.float().contiguous()
    file = os.path.join(folder, "expected.safetensors")
    save_file({"input_ids": ids, "logits": logits}, file)
    found = json.loads(run("inspect", folder, "--expect", file, "--json"))["expect"][0]
    print(f"{what}: {found['max_rel']:.2e} of the largest logit, {found['same_best']} of {found['rows']} best tokens")
    if not found["max_rel"] <= LIMIT or found["values"] != logits.numel():
        sys.exit(f"{what}: {found}")


def loads(what, folder):
    model, info = MambaForCausalLM.from_pretrained(folder, output_loading_info=True)
    complaints = {k: v for k, v in info.items() if v and not (k == "missing_keys" and v == ["lm_head.weight"])}
    if complaints:
        sys.exit(f"{folder}: transformers says {complaints}")
    compare(what, folder, model.float().eval())


def from_mambaseq(root, shape, *settings):
    folder = os.path.join(root, "-".join([shape, *settings]).replace("=", "_"))
    run("model", "init", shape, "-o", folder, "--seed", "5", *[a for s in settings for a in ("--set", s)])
    loads(f"model init {shape} {' '.join(settings)}", folder)


def from_training(root, name, *settings):
    folder = os.path.join(root, name)
    run("train", "share:configs/train/tiny.yaml", "-o", folder, "-q", "--set", "train.steps=10",
        *[a for s in settings for a in ("--set", s)])
    loads(f"train {' '.join(settings)}", folder)


def from_transformers(root, name, dtype=torch.float32, shard=None, **settings):
    folder = os.path.join(root, name)
    config = MambaConfig(hidden_size=48, num_hidden_layers=3, state_size=8, **{"vocab_size": 40, **settings})
    model = MambaForCausalLM(config)
    with torch.no_grad():  # not the initial zeros and ones
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    model = model.to(dtype)
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    if shard and not os.path.exists(os.path.join(folder, "model.safetensors.index.json")):
        sys.exit(f"{name}: was not sharded")
    # the rounded weights, computed with in float32
    compare(name, folder, MambaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval())


with tempfile.TemporaryDirectory() as tmp:
    from_mambaseq(tmp, "tiny")
    from_mambaseq(tmp, "dna-4x128")
    from_mambaseq(tmp, "tiny", "vocab=50", "tie_embeddings=false", "bias=true", "conv_bias=false", "d_conv=3", "dt_rank=5")
    from_mambaseq(tmp, "tiny", "expand=3", "d_model=24", "norm_eps=1e-3")
    from_training(tmp, "trained")
    from_training(tmp, "trained-bf16", "output.dtype=bf16")
    from_transformers(tmp, "tied")
    from_transformers(tmp, "untied", tie_word_embeddings=False)
    from_transformers(tmp, "biased", use_bias=True, use_conv_bias=False, conv_kernel=3, time_step_rank=5)
    from_transformers(tmp, "bf16", dtype=torch.bfloat16)
    from_transformers(tmp, "f16", dtype=torch.float16)
    from_transformers(tmp, "sharded", shard="20KB")
