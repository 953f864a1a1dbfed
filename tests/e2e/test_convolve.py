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

    def shape(self, name, keys, states="d_state: 16", layers=1):
        self.write("s.yaml", f"d_model: 33\nn_layer: {layers}\nvocab: dna\n{states}\n{keys}\n")
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
        """Long filters under --max-memory: the same bytes, and what does not fit is refused with what it takes."""
        records = [("a", heldout_bases(250)), ("b", heldout_bases(3)), ("c", heldout_bases(100))]
        run = ("run", "p.yaml", "-q", "--force", "--max-memory")
        for keys, states, says in (("mixer: hyena\nl_max: 40000\nfilter_order: 4", "", "66.8 MiB"),
                                   ("mixer: s4d\nconvolve: 40000", "d_state: 16", "71.8 MiB")):
            self.write("in.fa", fasta(records))
            self.shape("h", keys, states=states)
            want = self.rows("h")
            for memory in ("1M", "400k", "320000"):
                self.assertTrue(np.array_equal(self.rows("h", "--max-memory", memory), want), memory)
            self.write("in.fa", fasta([("a", heldout_bases(257))]))
            self.fails(71, *run, "320000", says=["257 positions or more take 0.", "MiB", "makes room for 256"])
            self.fails(71, *run, "10k", says=["take 0.", "MiB for a record of 256 positions",
                                              f"all that the model can take needs {says}"])
        self.fails(78, *run, "lots", says="--max-memory")
        self.fails(78, "run", "p.yaml", "-q", "--force", "-m", MODEL, "--max-memory", "1G", says="leave 'max_memory' out")

    def test_another_limit_is_no_other_run(self):
        """Stopped under one --max-memory, continued under another: the bytes of a run without a limit."""
        size = 5000 if SANITIZED else 39000
        self.shape("h", "mixer: [hyena, s4d]\nl_max: 40000\nconvolve: 40000\nfilter_order: 4", layers=2)
        self.write("in.fa", fasta([(f"r{i}", heldout_bases(size)) for i in range(3)]))
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases}\nmodel: {path: h, "
                   "task: score, chunk: 512}\nwriter: {plugin: bedgraph, path: o.bg}\n")
        t0 = time.monotonic()
        self.ok("run", "p.yaml", "-q", "-o", "whole.bg")
        whole = time.monotonic() - t0
        for share in (0.7, 0.4, 0.2, 0.1):  # a machine that was busy before may be too fast now, or at the very end
            p = self.start("run", "p.yaml", "-q", "--force", "--max-memory", "150M")
            time.sleep(max(0.1, share * whole))
            p.send_signal(signal.SIGTERM)
            err = p.communicate()[1].decode()
            if p.returncode == 75:
                break
        self.assertEqual(p.returncode, 75, err)
        self.ok("run", "p.yaml", "-q", "--resume", "--max-memory", "1G")
        self.assertEqual(digest(self.path("o.bg")), digest(self.path("whole.bg")))

    def test_a_training_refuses_what_its_layers_do_not_reach_before_the_first_step(self):
        self.write("in.fa", fasta([("a", heldout_bases(600)), ("long", heldout_bases(120))]))
        self.write("s.yaml", "mixer: hyena\nd_model: 8\nn_layer: 1\nl_max: 100\nfilter_order: 4\nvocab: dna\n")
        self.write("r.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\nmodel: {init: s.yaml}\n"
                   "train: {loss: causal, window: 64, batch_tokens: 384, steps: 2, split: {held_out: 0.1}}\noutput: {path: m}\n")
        self.ok("train", "r.yaml", "-q")  # the last 72 letters of the second record
        for more, says in (("train.split.held_out=0.15", ("held-out record 'long', which is scored whole", "reach 100")),
                           ("train.window=128", ("training record 'a'", "reach 100")),
                           ("train.window=[128, 64] train.window_from=[0, 0.5]", ("training record 'a'", "reach 100")),
                           ("train.order=stream", ("training record 'a', which is read whole", "reach 100"))):
            sets = [word for part in more.replace(" train.", "\0train.").split("\0") for word in ("--set", part)]
            text = self.fails(65, "train", "r.yaml", "-o", "no", *sets, says=says)
            self.assertNotIn("step", text.replace("steps", ""))
            self.assertFalse(os.path.exists(self.path("no")))


if __name__ == "__main__":
    main()
