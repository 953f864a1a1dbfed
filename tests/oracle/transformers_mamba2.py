#!/usr/bin/env python3
"""Mamba-2 between mambaseq and transformers, both ways: what `model init` writes loads there without a complaint and gives
the same logits, and what save_pretrained writes gives the same here. With one group only, and no more tokens than one of
transformers' chunks: its torch path before 4.52 takes head h to use group h mod G, and 4.44 adds up the states of several
chunks along the wrong axis; its own decoding and everybody else contradict both. That path also raises the time step to
time_step_min where its CUDA path goes by time_step_limit, as we do: here it is told the limit.

  transformers_mamba2.py MAMBASEQ      exit code 77: a package is missing
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
    from transformers import Mamba2Config, Mamba2ForCausalLM
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


def compare(what, folder, model, length=200):
    """Logits of `model` for two sequences, against mambaseq's for the same folder."""
    ids = torch.randint(0, model.config.vocab_size, (2, length))
    for layer in model.backbone.layers:
        layer.mixer.time_step_min = model.config.time_step_limit[0]
    with torch.no_grad():
        logits = model(ids).logits.float().contiguous()
    file = os.path.join(folder, "expected.safetensors")
    save_file({"input_ids": ids, "logits": logits}, file)
    found = json.loads(run("inspect", folder, "--expect", file, "--json"))["expect"][0]
    print(f"{what}: {found['max_rel']:.2e} of the largest logit, {found['same_best']} of {found['rows']} best tokens")
    if not found["max_rel"] <= LIMIT or found["values"] != logits.numel():
        sys.exit(f"{what}: {found}")


def from_mambaseq(root, name, *settings):
    folder = os.path.join(root, name)
    settings = ("mixer=mamba2", *settings)
    run("model", "init", "tiny", "-o", folder, "--seed", "5", *[a for s in settings for a in ("--set", s)])
    model, info = Mamba2ForCausalLM.from_pretrained(folder, output_loading_info=True)
    complaints = {k: v for k, v in info.items() if v and not (k == "missing_keys" and v == ["lm_head.weight"])}
    if complaints:
        sys.exit(f"{folder}: transformers says {complaints}")
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.backbone.embeddings.weight
    compare(f"model init {' '.join(settings)}", folder, model.eval())


def from_transformers(root, name, dtype=torch.float32, **settings):
    folder = os.path.join(root, name)
    config = Mamba2Config(**{"hidden_size": 48, "num_hidden_layers": 3, "state_size": 16, "head_dim": 16, "num_heads": 6,
                             "n_groups": 1, "vocab_size": 40, **settings})
    model = Mamba2ForCausalLM(config)
    with torch.no_grad():  # not the initial zeros and ones
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    model.to(dtype).save_pretrained(folder)
    # the rounded weights, computed with in float32
    compare(name, folder, Mamba2ForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval())


with tempfile.TemporaryDirectory() as tmp:
    from_mambaseq(tmp, "small", "head_dim=8", "d_state=8", "tie_embeddings=false")
    from_mambaseq(tmp, "tied", "head_dim=32", "d_state=200", "vocab=50")
    from_mambaseq(tmp, "biased", "head_dim=8", "bias=true", "conv_bias=false", "tie_embeddings=false")
    from_mambaseq(tmp, "odd", "expand=3", "d_model=24", "head_dim=12", "norm_eps=1e-3", "tie_embeddings=false")
    from_transformers(tmp, "plain")
    from_transformers(tmp, "biases", use_bias=True, use_conv_bias=False)
    from_transformers(tmp, "wide state", state_size=256, layer_norm_epsilon=1e-3)
    from_transformers(tmp, "limited", time_step_limit=(0.01, float("inf")))
    from_transformers(tmp, "bf16", dtype=torch.bfloat16)
