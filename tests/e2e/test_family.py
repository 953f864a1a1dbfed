#!/usr/bin/env python3
"""Models of the mixers that papers compare, all in one: a recipe trains them, what comes of it is the same after a stop and
with any number of threads, and scores in any pieces; a device refuses them by name."""
from support import *

RECIPE = """mambaseq: 1
reader: {plugin: fasta, path: in.fa}
codec: {plugin: bases}
model: {init: shape.yaml}
train:
  window: 64
  batch_tokens: 256
  steps: 24
  seed: 3
  split: {held_out: 0.2}
  optimizer: {lr: 1e-2}
  eval: {every: 12, tokens: 256}
  checkpoint: {every: 4}
output: {path: out}
"""
MIXERS = ["s4d", "s4", "h3", "hyena", "lstm", "gru", "mamba1", "mamba2", "attention"]
SHAPE = "mixer: [%s]\nd_model: 8\nn_layer: %d\nd_state: 4\nhead_dim: 4\nl_max: 4096\nfilter_order: 8\nvocab: dna\n" % (", ".join(MIXERS), len(MIXERS))


class Family(Scratch):
    def setUp(self):
        super().setUp()
        bases = heldout_bases(6000)
        self.write("in.fa", fasta([("a", bases[:4000]), ("b", bases[4000:])]))
        self.write("shape.yaml", SHAPE)
        self.write("r.yaml", RECIPE)

    def weights(self, folder):
        return digest(os.path.join(self.path(folder), "model.safetensors"))

    def test_trained_stopped_resumed_and_scored(self):
        self.ok("train", "r.yaml", "-o", "whole", "-q")
        with open(self.path("whole/metrics.jsonl")) as f:
            losses = [m["loss"] for m in map(json.loads, f) if m.get("step") and "grad_norm" in m]
        self.assertEqual(len(losses), 24)
        self.assertLess(sum(losses[-5:]) / 5, losses[0] - 0.5)
        for _ in range(100):  # until a stop came in time
            p = self.start("train", "r.yaml", "--progress", "never")
            time.sleep(0.15)
            p.send_signal(signal.SIGTERM)
            p.communicate()
            if p.returncode != 0:
                break
            shutil.rmtree(self.path("out"))
        self.ok("train", "r.yaml", "--resume", "-q", "-@", "2")
        self.assertEqual(self.weights("out"), self.weights("whole"))
        self.score("in.fa", "s.h5", "s.tsv", "-m", "out")
        whole = open(self.path("s.tsv"), "rb").read()
        self.score("in.fa", "t.h5", "t.tsv", "-m", "out", "--chunk", "77")
        self.assertEqual(open(self.path("t.tsv"), "rb").read(), whole)
        said = self.ok("inspect", "out").stdout.decode()
        for name in MIXERS:
            self.assertIn(name, said)

    def test_shapes_of_the_shared_folder(self):
        for name in ["dna-s4d-4x128", "dna-s4-4x128", "dna-h3-4x128", "dna-hyena-4x128", "dna-lstm-4x128", "dna-gru-4x128"]:
            self.ok("model", "init", name, "-o", name, "-q", "--seed", "1")
            self.assertIn("4", self.ok("inspect", name).stdout.decode())


if __name__ == "__main__":
    main()
