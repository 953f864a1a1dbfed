#!/usr/bin/env python3
"""Linear state spaces as recurrences and as convolutions: the same numbers either way, whatever the start and the rule;
each form with the same bytes in any pieces."""
from support import *

try:
    import numpy as np
except ImportError:
    np = None

STARTS = ["legs", "lin", "inv", "real"]


@unittest.skipUnless(np, "no numpy")
class Convolve(Scratch):
    def rows(self, model, *more):
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases}\nmodel: {path: "
                   f"{model}, task: logits}}\nwriter: {{plugin: npy, path: o.npy}}\n")
        self.ok("run", "p.yaml", "-q", "--force", *more)
        return np.load(self.path("o.npy"))

    def shape(self, name, keys, states="d_state: 16"):
        self.write("s.yaml", f"d_model: 33\nn_layer: 1\nvocab: dna\n{states}\n{keys}\n")
        self.ok("model", "init", "s.yaml", "-o", name, "-q", "--force", "--seed", "6")

    def test_both_forms_agree(self):
        self.write("in.fa", fasta([("a", heldout_bases(1500)), ("b", heldout_bases(40)), ("c", "")]))
        kinds = [f"mixer: s4d\ninit: {i}\nrule: {r}" for i in STARTS for r in ("zoh", "bilinear")] + ["mixer: s4"]
        for keys in kinds:
            self.shape("r", keys)
            self.shape("c", keys + "\nconvolve: 1500")
            for f in ("model.safetensors",):
                self.assertEqual(digest(self.path("r/" + f)), digest(self.path("c/" + f)))
            a, b = self.rows("r"), self.rows("c")
            self.assertEqual(a.shape, b.shape)
            self.assertLess(np.abs(a - b).max() / np.abs(a).max(), 5e-6, keys)
            self.assertFalse(np.array_equal(a, b), "one of the forms was not taken")
            self.assertTrue(np.array_equal(self.rows("c", "--chunk", "77", "-@", "2"), b), keys)
        self.assertIn("convolve", self.ok("inspect", "c").stdout.decode())

    def test_no_longer_than_said(self):
        self.write("in.fa", fasta([("a", heldout_bases(301))]))
        self.shape("c", "mixer: s4d\nconvolve: 300")
        self.fails(65, "run", "share:pipelines/genomics/score.yaml", "-q", "-m", "c", "-i", "in.fa", "--set",
                   "writer={plugin: table, path: '-'}", says=["301", "reach 300"])
        self.write("s.yaml", "mixer: s4\nconvolve: 1\n")
        r = self.run_("model", "init", "s.yaml", "-o", "x", "-q")
        self.assertEqual(r.returncode, 78)
        self.assertIn("convolve", r.stderr.decode())

    def test_room_for_the_records_that_there_are(self):
        """Hyena under --max-memory: the same bytes, and what does not fit is refused with what it takes."""
        self.shape("h", "mixer: hyena\nl_max: 40000\nfilter_order: 4", states="")
        self.write("in.fa", fasta([("a", heldout_bases(250)), ("b", heldout_bases(3)), ("c", heldout_bases(100))]))
        want = self.rows("h")
        for memory in ("1M", "200k", "300000"):
            self.assertTrue(np.array_equal(self.rows("h", "--max-memory", memory), want), memory)
        run = ("run", "p.yaml", "-q", "--force", "--max-memory")
        self.fails(71, *run, "110k", says=["positions or more takes 0.", "MiB", "makes room for 128"])
        self.fails(71, *run, "10k", says=["take 0.0", "MiB for a record of 128 positions", "all that the model can take needs"])
        self.fails(78, *run, "lots", says="--max-memory")
        self.fails(78, "run", "p.yaml", "-q", "--force", "-m", MODEL, "--max-memory", "1G", says="leave 'max_memory' out")


if __name__ == "__main__":
    main()
