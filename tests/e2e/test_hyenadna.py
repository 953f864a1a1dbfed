#!/usr/bin/env python3
"""Folders of HyenaDNA as its port to transformers writes them: random ones against the model written down in NumPy, what
is trained of them, and what is refused."""
from support import *

try:
    import numpy as np
except ImportError:
    np = None

CONFIG = {"architectures": ["HyenaDNAForCausalLM"], "model_type": "hyenadna", "d_model": 12, "d_inner": 20, "n_layer": 2,
          "vocab_size": 12, "pad_vocab_size_multiple": 8, "max_seq_len": 300, "emb_dim": 5, "filter_order": 6,
          "hyena_order": 2, "short_filter_order": 3, "num_inner_mlps": 2, "activation_freq": 10, "train_freq": True,
          "use_bias": True, "layer_norm_epsilon": 1e-05, "pad_token_id": 4, "tie_word_embeddings": False,
          "embed_dropout": 0.1, "hyena_dropout": 0.0, "hyena_filter_dropout": 0.0, "initializer_range": 0.02}


def save(path, tensors):
    header, at = {}, 0
    for name, a in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in tensors.values():
            f.write(a.tobytes())


def load(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__", None)
    return {k: np.frombuffer(data[v["data_offsets"][0]:v["data_offsets"][1]], np.float32).reshape(v["shape"])
            for k, v in header.items()}


def positions(c):
    """The buffers of a fresh filter: features of each lag, lags, paces."""
    n, bands = c["max_seq_len"], (c["emb_dim"] - 1) // 2
    t = np.arange(n)[:, None] / (n - 1)
    angle = np.arange(n)[:, None] * 2 * np.pi / n * np.linspace(1e-4, bands - 1, bands)
    return (np.concatenate([t, np.cos(angle), -np.sin(angle)], 1), t,
            np.linspace(np.log(1e-2) / 1.5, np.log(1e-2) / 0.3, c["d_model"] * (c["hyena_order"] - 1)))


def draw(c, seed, stored=True, aliases=False, prefix="hyena.backbone."):
    r = np.random.RandomState(seed)
    d, w = c["d_model"], c["filter_order"]
    rows = -(-c["vocab_size"] // c["pad_vocab_size_multiple"]) * c["pad_vocab_size_multiple"]
    t = {prefix + "embeddings.word_embeddings.weight": r.randn(rows, d)}
    for i in range(c["n_layer"]):
        p = f"{prefix}layers.{i}."
        m, f = p + "mixer.", p + "mixer.filter_fn."
        for name, out, in_ in ((m + "in_proj", 3 * d, d), (m + "out_proj", d, d), (p + "mlp.fc1", c["d_inner"], d),
                               (p + "mlp.fc2", d, c["d_inner"]), (f + "implicit_filter.0", w, c["emb_dim"]),
                               (f + "implicit_filter.2", w, w), (f + "implicit_filter.4", w, w),
                               (f + "implicit_filter.6", d, w)):
            t[name + ".weight"] = r.randn(out, in_) / in_**0.5
            if not name.endswith("6"):
                t[name + ".bias"] = 0.3 * r.randn(out)
        t[m + "short_filter.weight"], t[m + "short_filter.bias"] = r.randn(3 * d, 1, 3), r.randn(3 * d)
        t[f + "bias"] = r.randn(d)
        freq = 3 + 0.3 * r.randn(1, w)
        for k in (1, 3, 5) if aliases else (1,):
            t[f + f"implicit_filter.{k}.freq"] = freq
        if stored:  # z can be trained, so it need not be what a fresh one is
            z, lags, paces = positions(c)
            t[f + "pos_emb.z"], t[f + "pos_emb.t"] = (z + 0.01 * r.randn(*z.shape))[None], lags[None]
            t[f + "modulation.deltas"] = paces[None, None]
        for k in ("norm1", "norm2"):
            t[p + k + ".weight"], t[p + k + ".bias"] = 1 + 0.1 * r.randn(d), 0.1 * r.randn(d)
    t[prefix + "ln_f.weight"], t[prefix + "ln_f.bias"] = 1 + 0.1 * r.randn(d), 0.1 * r.randn(d)
    t["lm_head.weight"] = r.randn(rows, d)
    return {k: np.ascontiguousarray(v, np.float32) for k, v in t.items()}


def norm(t, name, x):
    x = x - x.mean(1, keepdims=True)
    return x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-5) * t[name + ".weight"] + t[name + ".bias"]


def linear(t, name, x):
    y = x @ t[name + ".weight"].T
    return y + t[name + ".bias"] if name + ".bias" in t else y


def long_filter(c, t, f, shift=0.05):
    z, lags, paces = positions(c)
    z, lags, paces = (t.get(f + n, a).reshape(a.shape) for n, a in
                      (("pos_emb.z", z), ("pos_emb.t", lags), ("modulation.deltas", paces)))
    for k in (0, 2, 4):
        z = np.sin(t[f + "implicit_filter.1.freq"] * linear(t, f + f"implicit_filter.{k}", z))
    return linear(t, f + "implicit_filter.6", z) * (np.exp(-lags * np.abs(paces)) + shift)


def reference(c, tensors, ids, prefix="hyena.backbone.", shift=0.05):
    """Rows behind the last norm, and logits, in double."""
    o, t = c["hyena_order"], {k: v.astype(np.float64) for k, v in tensors.items()}
    d, n = c["d_model"], len(ids)
    x = t[prefix + "embeddings.word_embeddings.weight"][ids]
    for i in range(c["n_layer"]):
        p = f"{prefix}layers.{i}."
        m = p + "mixer."
        u = np.concatenate([np.zeros((2, (o + 1) * d)), linear(t, m + "in_proj", norm(t, p + "norm1", x))])
        w = t[m + "short_filter.weight"][:, 0]
        u = sum(u[k:k + n] * w[:, k] for k in range(3)) + t[m + "short_filter.bias"]
        y = u[:, o * d:]
        for j in range(o - 1):  # the filters in their order, the gates from the last to the first
            v = y * u[:, (o - 1 - j) * d:(o - j) * d]
            k = long_filter(c, t, m + "filter_fn.", shift)[:n, j::o - 1]
            y = np.stack([np.convolve(v[:, i], k[:, i])[:n] for i in range(d)], 1)
            y = y + v * t[m + "filter_fn.bias"][j::o - 1]
        x = x + linear(t, m + "out_proj", y * u[:, :d])
        h = linear(t, p + "mlp.fc1", norm(t, p + "norm2", x))
        x = x + linear(t, p + "mlp.fc2", 0.5 * h * (1 + np.tanh((2 / np.pi)**0.5 * (h + 0.044715 * h**3))))
    x = norm(t, prefix + "ln_f", x)
    return x, x @ t["lm_head.weight"].T


@unittest.skipUnless(np, "no numpy")
class HyenaDNA(Scratch):
    def folder(self, name, c, tensors):
        os.mkdir(self.path(name))
        self.write(name + "/config.json", json.dumps(c))
        save(self.path(name + "/model.safetensors"), tensors)
        return name

    def rows(self, model, task, *more):
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases, special_tokens: none}\n"
                   f"model: {{path: {model}, task: {task}}}\nwriter: {{plugin: npy, path: o.npy}}\n")
        self.ok("run", "p.yaml", "-q", "--force", *more)
        return np.load(self.path("o.npy"))

    def near(self, got, want, limit):
        self.assertEqual(got.shape, want.shape)
        self.assertLess(np.abs(got - want).max() / np.abs(want).max(), limit)

    def test_the_numbers_of_the_reference(self):
        bases = heldout_bases(260)
        ids = np.array(["ACGT".index(b) + 7 for b in bases])
        self.write("in.fa", fasta([("a", bases)]))
        odd = dict(CONFIG, d_model=7, d_inner=None, emb_dim=3, filter_order=9, max_seq_len=261, n_layer=3)
        odd["d_inner"] = 28
        kinds = (("plain", CONFIG, {}), ("bare", odd, {"stored": False}), ("thrice", CONFIG, {"aliases": True}),
                 ("short", odd, {"prefix": "backbone."}))
        for seed, (name, c, how) in enumerate(kinds):
            t = draw(c, seed, **how)
            if name == "bare":
                c = {k: v for k, v in c.items() if k not in ("d_inner", "use_bias", "short_filter_order")}
            self.folder(name, c, t)
            c = dict(c, d_inner=4 * c["d_model"]) if name == "bare" else c
            rows, logits = reference(c, t, ids, how.get("prefix", "hyena.backbone."))
            whole = self.rows(name, "logits")
            self.near(whole, logits[:, :whole.shape[1]], 1e-4)
            self.near(self.rows(name, "embed", "--set", "model.layer=final"), rows, 1e-4)
            self.assertTrue(np.array_equal(self.rows(name, "logits", "--chunk", "37", "-@", "2"), whole), name)
        said = self.ok("inspect", "plain").stdout.decode()
        for word in ("hyenadna", "hyena", "max", "separate", "gelu_tanh"):
            self.assertIn(word, said)

    def test_higher_orders(self):
        """Models of our own layout, whose operator the reference has for any order."""
        bases = heldout_bases(200)
        ids = np.array(["ACGT".index(b) + 7 for b in bases])
        self.write("in.fa", fasta([("a", bases)]))
        for order in (2, 3, 5):
            self.write("s.yaml", f"mixer: hyena\nd_model: 9\nn_layer: 2\nl_max: 200\nfilter_order: 6\nvocab: dna\n"
                       f"hyena_order: {order}\nnorm: layer\nmlp: gelu_tanh\ntie_embeddings: false\n")
            self.ok("model", "init", "s.yaml", "-o", f"o{order}", "-q", "--seed", "4")
            t = load(self.path(f"o{order}/model.safetensors"))
            for a, b in ((".norm.", ".norm1."), ("norm_f", "ln_f"), (".embedding.", ".embeddings.word_embeddings.")):
                t = {k.replace(a, b): v for k, v in t.items()}
            c = dict(CONFIG, d_model=9, max_seq_len=200, hyena_order=order)
            logits = self.rows(f"o{order}", "logits")
            self.near(logits, reference(c, t, ids, "backbone.", 0)[1][:, :logits.shape[1]], 1e-4)
            self.assertTrue(np.array_equal(self.rows(f"o{order}", "logits", "--chunk", "13"), logits))

    def test_trained_it_stays_such_a_folder(self):
        bases = heldout_bases(4000)
        self.write("in.fa", fasta([(str(i), bases[i:i + 80]) for i in range(0, 4000, 80)]))
        c = dict(CONFIG, max_seq_len=80)
        t = draw(c, 5, aliases=True)
        self.folder("m", c, t)
        self.write("r.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases, special_tokens: "
                   "none}\nmodel: {path: m}\ntrain: {window: 64, batch_tokens: 256, steps: 12, seed: 3, split: {held_out: "
                   "0.2}, optimizer: {lr: 5e-3}}\noutput: {path: out}\n")
        self.ok("train", "r.yaml", "-q")
        with open(self.path("out/metrics.jsonl")) as f:
            losses = [m["loss"] for m in map(json.loads, f) if m.get("step") and "grad_norm" in m]
        self.assertLess(losses[-1], losses[0] - 0.3)
        with open(self.path("out/config.json")) as f:
            written = json.load(f)
        for key in ("model_type", "d_model", "d_inner", "n_layer", "max_seq_len", "emb_dim", "filter_order",
                    "activation_freq", "tie_word_embeddings", "vocab_size"):
            self.assertEqual(written[key], c[key], key)
        got = load(self.path("out/model.safetensors"))
        self.assertEqual(set(got), {k for k in t if not re.search(r"filter\.[35]\.freq", k)})
        for k in got:
            self.assertEqual(np.array_equal(got[k], t[k]), bool(re.search(r"pos_emb|deltas", k)), k)
        self.write("in.fa", fasta([("a", heldout_bases(70))]))
        ids = np.array(["ACGT".index(b) + 7 for b in heldout_bases(70)])
        logits = self.rows("out", "logits")
        self.near(logits, reference(c, got, ids)[1][:, :logits.shape[1]], 1e-4)

    def test_refused(self):
        self.write("in.fa", fasta([("a", heldout_bases(400))]))
        score = ["run", "share:pipelines/genomics/score.yaml", "-q", "-i", "in.fa", "--set",
                 "writer={plugin: table, path: '-'}", "-m"]
        self.folder("m", CONFIG, draw(CONFIG, 1))
        self.fails(65, *score, "m", says=["400", "reach 300"])
        for key, value in (("hyena_order", 3), ("short_filter_order", 5), ("num_inner_mlps", 3), ("emb_dim", 4),
                           ("layer_norm_epsilon", 1e-6), ("train_freq", False), ("max_seq_len", 0), ("bidirectional", True)):
            self.write("m/config.json", json.dumps(dict(CONFIG, **{key: value})))
            self.fails(65, *score, "m", says=[key, "m/config.json"])
        self.write("s.yaml", "mixer: hyena\nd_model: 4096\nn_layer: 64\nl_max: 16777216\nvocab: dna\nfilter_order: 2\n")
        said = self.run_("bench", "--shape", "s.yaml", "--work", "prefill", "--length", "64")
        self.assertEqual(said.returncode, 71)
        self.assertRegex(said.stderr.decode(), "the long filters .* need [0-9]+ MiB, and this machine has [0-9]+ MiB")
        t = draw(CONFIG, 1, aliases=True)
        name = "hyena.backbone.layers.1.mixer.filter_fn.implicit_filter.5.freq"
        t[name] = t[name] + 1
        self.fails(65, *score, self.folder("n", CONFIG, t), says=[name, "differs"])
        os.remove(self.path("n/model.safetensors"))
        save(self.path("n/model.safetensors"), {k: v for k, v in t.items() if "layers.1.mlp.fc2.bias" not in k})
        self.fails(65, *score, "n", says=["layers.1.mlp.fc2.bias"])


if __name__ == "__main__":
    main()
