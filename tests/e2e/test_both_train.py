#!/usr/bin/env python3
"""Training of models that read both ways: from a shape and from a folder, masked letters and classes, the same bytes after
any end and with any number of threads, and folders that are laid out as those that were published."""
from support import *

RECIPE = """mambaseq: 1
reader: {plugin: fasta, path: in.fa}
codec: {plugin: bases, vocab: caduceus}
model: {path: ps}
train:
  loss: masked
  window: 48
  batch_tokens: 192
  rows: 128
  steps: 8
  seed: 3
  split: {held_out: 0.2}
  optimizer: {lr: 1e-2}
  eval: {every: 4, tokens: 256}
  checkpoint: {every: 3}
output: {path: out}
"""
PS = "d_model: 10\nn_layer: 3\nd_state: 3\ndt_rank: 3\nvocab: dna\nbidirectional: add\nrcps: true\n"
PH = "d_model: 10\nn_layer: 2\nvocab: dna\nbidirectional: multiply\nbidirectional_weight_tie: false\ntie_embeddings: false\n"


def tensors(folder):
    header, data = read_safetensors(os.path.join(folder, "model.safetensors"))
    return {k: (e["dtype"], e["shape"], data[slice(*e["data_offsets"])]) for k, e in header.items() if k != "__metadata__"}


class BothTrain(Scratch):
    def setUp(self):
        super().setUp()
        bases = heldout_bases(2400)
        self.write("in.fa", fasta([("a", bases[:1500]), ("gaps", bases[1500:1600] + "N" * 20 + bases[1600:])]))
        self.write("ps.yaml", PS)
        self.write("ph.yaml", PH)
        self.write("r.yaml", RECIPE)
        caduceus_folder(self.path("ps"))

    def train(self, *sets, more=(), **kw):
        return self.ok("train", "r.yaml", "-q", "--force", *more, *[a for s in sets for a in ("--set", s)], **kw)

    def logits(self, folder, seq, *sets):
        import h5py
        self.write("x.fa", ">x\n" + seq + "\n")
        self.write("l.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: x.fa}\ncodec: {plugin: bases, vocab: caduceus}\n"
                             f"model: {{path: {folder}, task: logits, dtype: f32, math: f32}}\n"
                             "writer: {plugin: hdf5, path: x.h5}\n")
        self.ok("run", "l.yaml", "--force", *[a for s in sets for a in ("--set", s)])
        with h5py.File(self.path("x.h5"), "r") as f:
            return [[float(v) for v in row] for row in f["logits"]]

    def test_a_folder_is_fine_tuned_in_its_own_layout(self):
        before = tensors(self.path("ps"))
        for part, moved in [("all", ""), ("last_1", ("layers.1.", "norm_f."))]:
            self.train(f"model.train={part}")
            after = tensors(self.path("out"))
            maps = {k: v for k, v in after.items() if k.endswith("complement_map")}
            self.assertEqual({k: v[:2] for k, v in after.items() if k not in maps},
                             {k: v[:2] for k, v in before.items() if not k.endswith("complement_map")})
            self.assertEqual(set(maps), {"caduceus.backbone.embeddings.word_embeddings.complement_map",
                                         "lm_head.complement_map"})
            for dtype, shape, raw in maps.values():
                self.assertEqual((dtype, shape, struct.unpack("<16q", raw)[6:12]), ("I64", [16], (6, 10, 9, 8, 7, 11)))
            for name, t in before.items():
                if name not in maps:
                    changed = not moved or any(m in name for m in moved)
                    self.assertEqual(after[name] != t, changed, f"{part}: {name}")
        with open(self.path("out/config.json")) as f:
            self.assertEqual(json.load(f), caduceus_config())
        # Both strands are still read alike.
        seq = heldout_bases(60)
        turned = seq[::-1].translate(str.maketrans("ACGT", "TGCA"))
        plus, minus = self.logits("out", seq), self.logits("out", turned)
        most = max(abs(v) for row in plus for v in row)
        comp = {7: 10, 8: 9, 9: 8, 10: 7}
        for i, row in enumerate(plus):
            for v, x in enumerate(row):
                self.assertAlmostEqual(x, minus[len(seq) - 1 - i][comp.get(v, v)], delta=1e-5 * most)

    def test_a_head_of_its_own_is_trained_alone(self):
        self.train("model={init: ph.yaml}", "output.path=own")
        before = tensors(self.path("own"))
        self.train("model={path: own, train: head}")
        after = tensors(self.path("out"))
        self.assertEqual([n for n in before if before[n] != after[n]], ["lm_head.weight"])
        text = self.fails(78, "train", "r.yaml", "--force", "--set", "model.train=head", says="is its embedding")
        self.assertIn("last_K", text)

    def test_a_shape_becomes_a_model_that_runs(self):
        for shape, strand in [("ps", "+"), ("ph", "both")]:
            r = self.ok("train", "r.yaml", "--force", "--set", f"model={{init: {shape}.yaml}}", "--set", "train.steps=60")
            self.assertRegex(r.stderr.decode(), r"60 steps.*held out: \d\.\d{4} bits per base, .* % right")
            with open(self.path("out/metrics.jsonl")) as f:
                losses = [m["loss"] for m in map(json.loads, f) if "grad_norm" in m]
            self.assertLess(sum(losses[-10:]) / 10, losses[0] - 0.4)
            names = set(tensors(self.path("out")))
            tied = "caduceus.backbone.layers.0.mixer.submodule.mamba_rev.in_proj.weight"
            self.assertNotIn(tied, names)
            self.assertEqual("lm_head.weight" in names, shape == "ph")
            self.assertEqual("caduceus.backbone.layers.1.mixer.mamba_rev.out_proj.weight" in names, shape == "ph")
            with open(self.path("out/config.json")) as f:
                c = json.load(f)
            self.assertEqual((c["model_type"], c["architectures"], c["rcps"], c["bidirectional_strategy"]),
                             ("caduceus", ["CaduceusForMaskedLM"], shape == "ps", "add" if shape == "ps" else "ew_multiply"))
            # Arguments of the original's Mamba, which is called with them.
            self.assertEqual(c["ssm_cfg"], {"d_state": 3 if shape == "ps" else 16, "d_conv": 4, "expand": 2,
                                            "dt_rank": 3 if shape == "ps" else 1, "bias": False, "conv_bias": True})
            self.write("s.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases}\n"
                                 f"model: {{path: out, task: score, mode: masked, mask_every: 7, strand: {strand!r}}}\n"
                                 "writer: {plugin: table, path: s.tsv}\n")
            drop = [] if shape == "ph" else ["--set", "model.strand=null"]
            self.ok("run", "s.yaml", "--force", *drop)
            self.assertEqual([row["name"] for row in self.rows("s.tsv")], ["a", "gaps"])
            # What model init makes is what training begins with.
            self.ok("model", "init", f"{shape}.yaml", "-o", "i", "--seed", "3", "--force")
            made = tensors(self.path("i"))
            self.assertEqual({k: v[:2] for k, v in made.items()}, {k: v[:2] for k, v in tensors(self.path("out")).items()})

    def test_threads_ends_and_the_length_of_a_pass(self):
        for model in ("{path: ps}", "{init: ph.yaml}"):
            self.train(f"model={model}", "output.path=one", more=("-@", "1"))
            want = digest(self.path("one/model.safetensors"))
            self.train(f"model={model}", more=("-@", "2"))
            self.assertEqual(digest(self.path("out/model.safetensors")), want)
            shutil.rmtree(self.path("out"))
            args = ("train", "r.yaml", "--set", f"model={model}", "-q")
            for _ in range(40):
                p = self.start(*args, "--resume")
                time.sleep(0.05)
                p.send_signal(signal.SIGTERM)
                if p.wait() == 0:
                    break
                p.communicate()
            else:
                self.ok(*args, "--resume")
            p.communicate()
            self.assertEqual(digest(self.path("out/model.safetensors")), want)
            shutil.rmtree(self.path("out"))

    def test_labels_become_classes(self):
        bases = heldout_bases(2000)
        rows = [(bases[i * 30:i * 30 + 30], "coli") for i in range(40)] + [("AT" * 14 + "A" * (i % 5 + 1), "poly") for i in range(40)]
        self.write("l.tsv", "sequence\tlabel\n" + "".join(f"{s}\t{c}\n" for s, c in rows))
        for shape, part in [("{path: ps, train: all}", ""), ("{path: ps, train: head}", ""), ("{init: ph.yaml}", ".")]:
            r = self.ok("train", "r.yaml", "--force", "--set", "reader={plugin: tsv, path: l.tsv}", "--set",
                        f"model={shape}", "--set", "train.loss=classify", "--set", "train.steps=12", "--set",
                        "train.mask_rate=null")
            self.assertIn("% right", r.stderr.decode())
            t = tensors(self.path("out"))
            self.assertEqual(t["score.weight"][:2], ("F32", [2, 10 if part else 8]))
            self.assertNotIn("score.bias", t)
            self.assertNotIn("lm_head.complement_map", t)
            with open(self.path("out/config.json")) as f:
                self.assertEqual(json.load(f)["architectures"], ["CaduceusForSequenceClassification"])
            out = self.ok("run", "share:pipelines/genomics/classify.yaml", "-m", "out", "-i", "l.tsv", "--set",
                          "codec.vocab=caduceus").stdout.decode()
            self.assertEqual(len(out.splitlines()), 81)

    def test_what_cannot_be(self):
        self.fails(78, "train", "r.yaml", "--set", "train.loss=causal", says=("loss causal", "loss: masked"))
        self.fails(78, "train", "r.yaml", "--set", "train.truncate=128", says="whole sequences")
        for line, words in [("mlp: gated", "mamba1 without mlp"), ("mixer: mamba2", "mamba1 without mlp"),
                            ("norm: layer", "no layer norm"), ("bidirectional: twice", "none|add|multiply"),
                            ("vocab: 12", "letters with a complement")]:
            key = line.split(":")[0]
            self.write("bad.yaml", "".join(k + "\n" for k in PS.splitlines() if not k.startswith(key)) + line + "\n")
            self.fails(78, "model", "init", "bad.yaml", "-o", "no", says=words)
        self.write("bad.yaml", "d_model: 8\nn_layer: 1\nvocab: dna\nfused_add_norm: false\n")
        self.fails(78, "model", "init", "bad.yaml", "-o", "no", says="means nothing without 'rcps'")
        self.write("bad.yaml", "d_model: 8\nn_layer: 1\nvocab: dna\nbidirectional_weight_tie: true\n")
        self.fails(78, "model", "init", "bad.yaml", "-o", "no", says="means nothing without 'bidirectional'")


if __name__ == "__main__":
    main()
