#!/usr/bin/env python3
"""impute: a fill is the most likely one between its flanks, with its share; nothing else moves; no cut can be seen."""
from support import *

IMPUTE = "share:pipelines/genomics/impute.yaml"


class Impute(Scratch):
    def impute(self, text, *more, model=MODEL, codec="plugin: bases"):
        self.write("in.fa", text)
        args = [a for m in more for a in (("--set", m) if not m.startswith("--") else tuple(m.split()))]
        r = self.ok("run", IMPUTE, "--force", "-o", "out.fa", "--set", "reader.path=in.fa", "--set",
                    f"codec={{{codec}}}", "--set", f"model={{path: {model}, task: impute}}", *args)
        with open(self.path("out.vcf")) as f:
            records = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
        with open(self.path("out.fa")) as f:
            got = {}
            for line in f.read().splitlines():
                if line.startswith(">"):
                    name = line[1:]
                    got[name] = ""
                else:
                    got[name] += line
        return got, records, r.stderr.decode()

    def likelihood(self, sequences, start, end):
        """Sum of ln P over [start, end) of each."""
        self.write("s.fa", fasta([(str(i), s) for i, s in enumerate(sequences)]))
        r = self.ok("run", "share:pipelines/genomics/score.yaml", "-q", "-i", self.path("s.fa"), "--set",
                    "writer={plugin: bedgraph, path: '-'}")
        sums = [0.0] * len(sequences)
        for line in r.stdout.decode().splitlines():
            if not line.startswith(("#", "track")):
                name, a, b, value = line.split("\t")
                sums[int(name)] += sum(float(value) for i in range(int(a), int(b)) if start <= i < end)
        return sums

    def probabilities(self, record):
        return [float(x) for x in dict(e.split("=") for e in record[7].split(";"))["MSQ_P"].split(",")]

    def test_the_fills_are_called_after_the_output(self):
        self.write("in.fa", fasta([("a", heldout_bases(30) + "N" + heldout_bases(30))]))
        for name in ("first.fa", "deep/second.v2.fa", "third"):
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            self.ok("run", IMPUTE, "-q", "-i", "in.fa", "-o", name)
        for name in ("first.vcf", "deep/second.v2.vcf", "third.vcf"):
            with open(self.path(name)) as f:
                self.assertIn("MSQ_P=", f.read())

    def test_either_output_may_go_to_standard_output(self):
        args = ["run", IMPUTE, "-q"]
        self.ok(*args, "-o", "sub.fa")
        want = [digest(self.path(name)) for name in ("sub.fa", "sub.vcf")]
        piped = self.ok(*args, "-o", "-").stdout  # the VCF is called after the input then
        self.assertEqual([hashlib.sha256(piped).hexdigest(), digest(self.path("ecoli-gaps.vcf"))], want)
        piped = self.ok(*args, "-o", "f.fa", "--set", "writer.vcf.path='-'").stdout
        self.assertEqual([digest(self.path("f.fa")), hashlib.sha256(piped).hexdigest()], want)
        err = self.ok(*args, "-o", "{stme}.fa").stderr.decode()
        self.assertIn("did you mean '{stem}'?", err)
        self.assertTrue(os.path.exists(self.path("{stme}.fa")))
        shutil.copy(self.path("f.fa"), self.path("a{b}.fa"))  # braces of the input's own name are letters
        self.ok(*args, "-i", "a{b}.fa", "-o", "t-{stem}.fa")
        self.assertTrue(os.path.exists(self.path("t-a{b}.fa")))
        self.ok(*args, "-o", "s-{stem}.fa")
        self.assertEqual([digest(self.path(f"s-ecoli-gaps.{end}")) for end in ("fa", "vcf")], want)

    def test_what_follows_decides(self):
        s = heldout_bases(200)
        s = s[:80] + "N" + s[81:140] + "NN" + s[142:]
        window = 30
        got, records, _ = self.impute(fasta([("r", s)]), f"model.window={window}", "model.candidates=16")
        filled = got["r"]
        pairs = [(0, 80, 1, "ACGT"), (1, 140, 2, [a + b for a in "ACGT" for b in "ACGT"])]
        for k, at, n, ways in pairs:
            tried = [filled[:at] + w + s[at + n:] for w in ways]
            lp = self.likelihood(tried, at, at + n + window)
            most = max(lp)
            weight = [math.exp(x - most) for x in lp]
            best = lp.index(most)
            self.assertEqual(filled[at:at + n], ways[best])
            self.assertEqual(records[k][:5], ["r", str(at + 1), ".", "N" * n, ways[best]])
            for i, p in enumerate(self.probabilities(records[k])):
                want = sum(w for w, way in zip(weight, ways) if way[i] == ways[best][i]) / sum(weight)
                self.assertAlmostEqual(p, want, delta=1e-3)
            whole = weight[best] / sum(weight)
            self.assertAlmostEqual(float(records[k][5]), -10 * math.log10(1 - whole), delta=0.02)

    def test_nothing_else_moves(self):
        s = heldout_bases(300)
        s = "NN" + s[2:50] + s[50:60].lower() + "nN" + s[62:90] + "RYr" + s[93:120] + "N" * 12 + s[132:250] + "U" + s[251:] + "N"
        text = fasta([("a x", s), ("none", ""), ("n", "NNNN"), ("long", "N" * 11)])
        got, records, said = self.impute(text, "model.max_gap=10", "model.window=40")
        self.assertEqual(list(got), ["a x", "none", "n", "long"])
        out = got["a x"]
        self.assertEqual(len(out), len(s))
        for i, (was, now) in enumerate(zip(s, out)):
            if was in "nN" and not 120 <= i < 132:
                self.assertIn(now, "ACGT" if was == "N" else "acgt")
            else:
                self.assertEqual(was, now, i)
        self.assertNotIn("N", got["n"])
        self.assertEqual(got["long"], "N" * 11)
        self.assertIn("4 gaps filled with 9 tokens, 2 gaps longer than max_gap left as they are (23 tokens)", said)
        left = [r for r in records if r[4] == "."]
        self.assertEqual([(r[0], r[1], r[3], r[7]) for r in left],
                         [("a", "121", "N", "END=132;MSQ_WHY=long"), ("long", "1", "N", "END=11;MSQ_WHY=long")])

    def test_no_cut_can_be_seen(self):
        s = heldout_bases(400)
        for at in (3, 60, 61, 150, 220, 230, 399):
            s = s[:at] + "N" + s[at + 1:]
        s = s[:300] + "N" * 20 + s[320:]
        text = fasta([("a", s), ("b", s[100:])])
        for how in ("search: beam", "search: sample, seed: 5"):
            seen = set()
            for more in ([], ["--chunk 1"], ["--chunk 13", "--threads 1"], ["--chunk 37"]):
                self.impute(text, f"model={{path: {MODEL}, task: impute, max_gap: 15, window: 50, candidates: 4, {how}}}", *more)
                with open(self.path("out.vcf")) as f:
                    seen.add(f.read() + digest(self.path("out.fa")))
            self.assertEqual(len(seen), 1, how)

    def test_draws_follow_the_seed(self):
        s = heldout_bases(120)
        text = fasta([("a", s[:60] + "N" * 12 + s[72:])])
        made = [self.impute(text, f"model={{path: {MODEL}, task: impute, search: sample, candidates: 2, seed: {n}}}")[0]["a"]
                for n in (1, 1, 2, 3, 4)]
        self.assertEqual(made[0], made[1])
        self.assertGreater(len(set(made)), 2)

    def test_masks(self):
        s = heldout_bases(160 if SANITIZED else 200)
        s = s[:50] + "N" + s[51:100] + s[100:104].lower() + s[104:]
        got, records, _ = self.impute(fasta([("a", s)]), "model.fill=mask", codec="plugin: bases, soft_mask: mask")
        self.assertEqual(got["a"][:100] + got["a"][104:], s[:100] + s[104:])
        self.assertRegex(got["a"][100:104], "^[acgt]{4}$")
        self.assertEqual([r[:4] for r in records], [["a", "101", ".", s[100:104].upper()]])
        self.write("m.bed", "a\t10\t12\na\t150\t151\n")
        got, records, _ = self.impute(fasta([("a", s)]), "reader.mask=m.bed", "model.fill=both")
        self.assertEqual([r[1] for r in records], ["11", "51", "151"])
        self.assertNotIn("N", got["a"])
        for more, code, says in ((["model.fill=mask"], 78, "nothing says which letters are masked"),
                                 (["model.seed=1"], 78, "'seed' is for search: sample"),
                                 (["codec.spelling=false"], 78, "needs spelling"),
                                 (["model.fil=mask"], 78, "did you mean 'fill'"),
                                 (["model.task=score", "model.max_gap=3"], 78, "'max_gap' belongs to task impute")):
            self.fails(code, "run", IMPUTE, "-o", "x.fa", "--set", "writer.vcf.path=x.vcf",
                       *[a for m in more for a in ("--set", m)], says=[says])
        self.write("m.bed", "b\t10\t12\n")
        self.fails(65, "run", IMPUTE, "-o", "x.fa", "--set", "writer.vcf.path=x.vcf", "--set", "reader.mask=m.bed",
                   "--set", "model.fill=both", says=["no record is named 'b'"])
        self.assertFalse(os.path.exists(self.path("x.fa")))

    def test_a_masked_model_sees_both_sides(self):
        """And the token that its tokenizer puts behind a record, where the window goes beyond it."""
        caduceus_folder(self.path("ps"))
        self.write("ps/tokenizer_config.json", '{"tokenizer_class": "CaduceusTokenizer"}')
        self.write("w.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: w.fa}\ncodec: {plugin: bases, vocab: caduceus}\n"
                             "model: {path: ps, task: score, mode: masked}\nwriter: {plugin: bedgraph, path: '-'}\n")
        for at, special in ((30, "none"), (47, "none"), (48, "auto"), (59, "auto")):
            s = heldout_bases(60)
            s = s[:at] + "N" + s[at + 1:]
            got, records, _ = self.impute(fasta([("a", s)]), "model.window=12", model=self.path("ps"),
                                          codec="plugin: bases, vocab: caduceus")
            self.write("w.fa", fasta([(b, s[at - 12:at] + b + s[at + 1:at + 13]) for b in "ACGT"]))
            r = self.ok("run", "w.yaml", "-q", "--set", f"codec.special_tokens={special}")
            lp = {}
            for line in r.stdout.decode().splitlines():
                name, a, b, value = line.split("\t")
                if int(a) <= 12 < int(b):
                    lp[name] = float(value)
            best = max(lp, key=lp.get)
            self.assertEqual(got["a"], s[:at] + best + s[at + 1:])
            share = math.exp(lp[best]) / sum(math.exp(x) for x in lp.values())
            self.assertAlmostEqual(self.probabilities(records[0])[0], share, delta=1e-5)


if __name__ == "__main__":
    main()
