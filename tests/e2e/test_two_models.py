#!/usr/bin/env python3
"""Two models in one run: every number is that of a run of its own, for any chunk, thread, cut and shard; and what cannot be
held against each other is refused with the difference named."""
from support import *

HEAD = "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases}\n"
REF = "share:models/ecoli-ref"
SMALL = "share:models/ecoli-small"
OFTEN = {"MAMBASEQ_JOURNAL_EVERY": "0.01"}


class TwoModels(Scratch):
    def setUp(self):
        super().setUp()
        self.write("in.fa", fasta(cut_records(heldout_bases(4200))))
        self.pipeline(f"[{{name: one, path: {REF}, task: score}}, {{name: two, path: {SMALL}}}]")

    def pipeline(self, model, name="p.yaml"):
        self.write(name, HEAD + f"model: {model}\nwriter:\n  - {{plugin: hdf5, path: x.h5}}\n  - {{plugin: table, path: x.tsv}}\n")

    def to(self, prefix, name="p.yaml"):
        return ["run", name, "-q", "--set", f"writer.0.path={prefix}.h5", "--set", f"writer.1.path={prefix}.tsv"]

    def digests(self, prefix):
        return digest(self.path(prefix + ".h5")), digest(self.path(prefix + ".tsv"))

    def test_the_numbers_of_two_runs(self):
        alone = []
        for k, path in ("a", REF), ("b", SMALL):
            self.pipeline(f"{{path: {path}, task: score}}", k + ".yaml")
            self.ok(*self.to(k, k + ".yaml"))
            alone.append(self.rows(k + ".tsv"))
        self.ok(*self.to("both"))
        both = self.rows("both.tsv")
        self.assertEqual([r["name"] for r in both], [r["name"] for r in alone[0]])
        for r, a, b in zip(both, *alone):
            for key in "bits_per_base", "perplexity":
                self.assertEqual((r["one." + key], r["two." + key]), (a[key], b[key]))
            if int(r["scored"]):
                self.assertAlmostEqual(float(r["log_odds"]), (float(b["bits_per_base"]) - float(a["bits_per_base"])) *
                                       int(r["scored"]) * math.log(2), delta=2e-6 * int(r["scored"]) + 1e-5)
            else:
                self.assertEqual(r["log_odds"], a["bits_per_base"])  # what a number is that there is none of
        try:
            import h5py
        except ImportError:
            return
        with h5py.File(self.path("both.h5")) as f, h5py.File(self.path("a.h5")) as a, h5py.File(self.path("b.h5")) as b:
            for k, other in enumerate((a, b)):
                self.assertEqual(f["score/logprob"][:, k].tobytes(), other["score/logprob"][:].tobytes())
            self.assertEqual([x.decode() for x in f["score/model"][:]], ["one", "two"])
            for x, r in zip(f["score/log_odds"][:], both):
                self.assertEqual(f"{x:.6f}" if x == x else r["log_odds"], r["log_odds"])

    def test_chunk_threads_cut_and_shards(self):
        self.ok(*self.to("want"), "--threads", "1")
        want = self.digests("want")
        self.ok(*self.to("got"), "--chunk", "7", "--threads", "2")
        self.assertEqual(self.digests("got"), want)
        args = [*self.to("cut"), "--chunk", "64"]
        p = self.start(*args, env=OFTEN)
        while p.poll() is None and not os.path.exists(self.path(".cut.h5.mbs-journal")):
            time.sleep(0.001)
        p.kill()
        p.communicate()
        self.ok(*args, "--resume")
        self.assertEqual(self.digests("cut"), want)
        for i in "1", "2":
            self.ok(*self.to("s" + i), "--shard", i + "/2")
        self.ok("merge", "s1.h5", "s2.h5", "-o", "whole.h5", "--set", "writer.1.path=whole.tsv")
        self.assertEqual(self.digests("whole"), want)

    def test_what_is_refused(self):
        one = f"name: one, path: {REF}, task: score"
        for model, *says in (
                (f"[{{{one}}}, {{nme: two, path: {SMALL}}}]", "did you mean 'name'?"),
                (f"[{{{one}}}, {{name: two, pth: {SMALL}}}]", "did you mean 'path'?"),
                (f"[{{{one}}}, {{name: two, path: {SMALL}, dtyp: f32}}]", "did you mean 'dtype'?"),
                (f"[{{{one}}}, {{path: {SMALL}}}]", "'name' is missing"),
                (f"[{{{one}}}, {{name: one, path: {SMALL}}}]", "both models are called 'one'"),
                (f"[{{{one}}}, {{name: 'a, b', path: {SMALL}}}]", "'a, b'"),
                (f"[{{{one}}}, {{name: two, path: {SMALL}, chunk: 7}}]", "'chunk' holds for both"),
                (f"[{{{one}}}, {{name: two, path: {SMALL}, task: embed}}]", "'task' holds for both"),
                (f"[{{name: one, path: {REF}, task: embed}}, {{name: two, path: {SMALL}}}]", "the task is embed"),
                (f"[{{{one}}}]", "a list of 1"), ("[]", "a list of 0"),
                (f"[{{{one}}}, 7]", "must be a mapping"),
                (f"{{{one}}}", "'name' is for two models"),
                (f"[{{{one}}}, {{name: two, path: {SMALL}, window: 500}}]", "leave 'window' out"),
                (f"[{{{one}}}, {{name: two, path: {SMALL}, max_memory: 1G}}]", "leave 'max_memory' out"),
                (f"[{{{one}}}, {{name: two, path: share:models/ecoli-masked}}]", "it reads both ways")):
            self.pipeline(model, "bad.yaml")
            with self.subTest(model=model):
                self.fails(78, *self.to("no", "bad.yaml"), says=says)
        self.fails(78, *self.to("no"), "--set", "model.tow.path=x", says="did you mean 'two'?")
        self.fails(78, "eval", "p.yaml", says="here are two")
        self.fails(78, *self.to("no"), "--set", "writer.0={plugin: bigwig, path: x.bw}", says="scores/f32")

    def test_other_tokens_are_refused(self):
        other = shutil.copytree(os.path.join(SOURCE, "share/models/ecoli-small"), self.path("other"))
        with open(os.path.join(other, "vocab.txt")) as f:
            tokens = f.read().split("\n")
        for change, says in ((lambda t: [{"[UNUSED]": "N"}.get(x, x) for x in t], "token 11 is '[UNUSED]' to the first model, and 'N' to the second"),
                             (lambda t: t[:11], "the first model has 12 tokens, and the second 11")):
            with open(os.path.join(other, "vocab.txt"), "w") as f:
                f.write("\n".join(change(tokens)))
            self.fails(78, *self.to("no"), "--set", "model.two.path=other", says=[says, "'one' and 'two'"])
        self.fails(66, *self.to("no"), "--set", "model.two.path=nowhere", says="nowhere")

    def test_folders_of_other_codecs(self):
        """What their folders ask for is compared before anything opens, in either order."""
        says = {"plain": None, "bases": ("bases", ""), "k3": ("kmer", '"k": 3'), "k4": ("kmer", '"k": 4'),
                "apart": ("kmer", '"k": 3, "stride": 3')}
        for name, told in says.items():
            shutil.copytree(os.path.join(SOURCE, "share/models/ecoli-small"), self.path(name))
            if told:
                self.write(name + "/preprocessor_config.json",
                           f'{{"mambaseq_codec": "{told[0]}", "mambaseq_codec_params": {{{told[1]}}}}}')
        head = "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\n"
        rest = "writer: {plugin: table, path: x.tsv}\n"
        for first, second, differ in (("bases", "k3", ["codec 'kmer' (k3/", "takes 'bases' (p.yaml:4:21, bases/"]),
                                      ("k3", "bases", ["codec 'bases' (bases/", "takes 'kmer' (p.yaml:4:21, k3/"]),
                                      ("plain", "k3", ["codec 'kmer' (k3/", "takes 'bases' (p.yaml:4:21, whose folder"]),
                                      ("k3", "plain", ["its folder names no codec", "takes 'kmer' (p.yaml:4:21, k3/", "{plugin: kmer}"]),
                                      ("k3", "k4", ["'k' 4 (k4/", "takes 3 (p.yaml:4:21, k3/"]),
                                      ("k3", "apart", ["'stride' 3 (apart/", "takes 1 (p.yaml:4:21, k3/"]),
                                      ("apart", "k3", ["'stride' 1 (k3/", "takes 3 (p.yaml:4:21, apart/"])):
            self.write("p.yaml", head + f"model:\n  - {{name: a, path: {first}, task: score}}\n"
                                        f"  - {{name: b, path: {second}}}\n" + rest)
            with self.subTest(first=first, second=second):
                self.fails(78, "check", "p.yaml", says=["p.yaml:5:21: error", *differ])
        self.fails(78, "check", "p.yaml", "--set", "codec={plugin: kmer, k: 4}", says="delete it here")
        self.fails(78, "check", "p.yaml", "--set", "model=[]", says="a list of 0")
        self.ok("check", "p.yaml", "--set", "model.b.path=apart")
        self.ok("check", "p.yaml", "--set", "model.b.path=plain", "--set", "codec={plugin: kmer, k: 3, stride: 3}")
        self.ok("check", "p.yaml", "--set", "model.a.path=bases", "--set", "model.b.path=plain")


if __name__ == "__main__":
    unittest.main()
