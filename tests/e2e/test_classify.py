#!/usr/bin/env python3
"""Classifiers, from labelled sequences to probabilities, as a user would run them."""
import math

from support import *

NAMES = ["coli", "lambda phage", "other"]


def classifier(folder, pool="mean", names=NAMES, edit=None):
    """ecoli-ref with a head of fixed numbers instead of its language head. Returns (weights, biases)."""
    header, data = read_safetensors(os.path.join(MODEL, "model.safetensors"))
    header.pop("__metadata__", None)
    rng = random.Random(7)
    n = len(names)
    w = [[rng.uniform(-1, 1) for _ in range(128)] for _ in range(n)]
    b = [rng.uniform(-1, 1) for _ in range(n)]
    for name, shape, values in [("score.weight", [n, 128], sum(w, [])), ("score.bias", [n], b)]:
        packed = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    with open(os.path.join(MODEL, "config.json")) as f:
        config = json.load(f)
    config.update(architectures=["MambaForSequenceClassification"], num_labels=n, mambaseq_pool=pool,
                  id2label={str(i): x for i, x in enumerate(names)}, label2id={x: i for i, x in enumerate(names)})
    if edit:
        edit(config, header)
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), header, data)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
    shutil.copy(os.path.join(MODEL, "vocab.txt"), folder)
    return w, b


def softmax(w, b, row):
    out = [sum(x * y for x, y in zip(k, row)) + c for k, c in zip(w, b)]
    e = [math.exp(v - max(out)) for v in out]
    return [v / sum(e) for v in e]


def pieces(bases):
    """Records of many lengths: those that ride together, those that go alone, one of nothing."""
    out, at = [], 0
    for i, n in enumerate([150, 1, 30, 0, 900, 64, 5000, 17, 150, 7000, 2, 300]):
        out.append((f"r{i}", bases[at:at + n]))
        at += n
    return out


PIPELINE = """mambaseq: 1
reader: {plugin: fasta, path: x.fa}
codec: {plugin: bases}
model: {path: m, task: classify}
writer: {plugin: hdf5, path: x.h5}
"""


class Run(Scratch):
    def setUp(self):
        super().setUp()
        self.write("c.yaml", PIPELINE)

    def args(self, fa, model="m", tsv="-", *more):
        return ["run", "c.yaml", "-i", fa, "-m", model, "--set",
                f"writer={{plugin: table, path: '{tsv}'}}", *more]

    def table(self, *args, **kw):
        lines = self.ok(*args, **kw).stdout.decode().splitlines()
        head = lines[0].split("\t")
        return [dict(zip(head, line.split("\t"))) for line in lines[1:]]

    def test_probabilities_are_those_of_the_head(self):
        fa = self.write("x.fa", fasta(pieces(heldout_bases(16000))))
        for pool in ("mean", "last"):
            w, b = classifier(self.path("m"), pool)
            got = self.table(*self.args(fa))
            rows = self.table("run", "share:pipelines/genomics/embed.yaml", "-i", fa, "-m", "m", "--set",
                              f"model.pool={pool}", "--set", "writer={plugin: table, path: '-'}")
            self.assertEqual(len(got), 12)
            for g, e in zip(got, rows):
                self.assertEqual(list(g)[:4] + list(g)[-3:],
                                 ["source", "name", "start", "end", "arithmetic", "dtype", "truth"])
                p = [float(g[f"p{k}"]) for k in range(3)]
                if g["name"] == "r3":
                    self.assertTrue(all(math.isnan(x) for x in p))
                    self.assertEqual(g["label"], ".")
                    continue
                want = softmax(w, b, [float(e[f"e{j}"]) for j in range(128)])
                for x, y in zip(p, want):
                    self.assertAlmostEqual(x, y, delta=1e-6)
                self.assertAlmostEqual(sum(p), 1, delta=1e-6)
                self.assertEqual(g["label"], NAMES[want.index(max(want))])
                self.assertEqual(g["truth"], ".")

    def test_unknown_letters_are_part_of_the_record(self):
        classifier(self.path("m"))
        bases = heldout_bases(300)
        fa = self.write("x.fa", fasta([("a", bases), ("b", bases[:100] + "N" * 100 + bases[200:]), ("c", "NNNN")]))
        got = self.table(*self.args(fa))
        self.assertNotEqual(got[0]["p0"], got[1]["p0"])
        self.assertFalse(math.isnan(float(got[2]["p0"])), "it is fed as [UNK], as in training")

    def test_the_way_cannot_be_seen(self):
        fa = self.write("x.fa", fasta(pieces(heldout_bases(16000)) + mixed_records(heldout_bases(5000))))
        for pool in ("mean", "last"):
            classifier(self.path("m"), pool)
            want = self.ok(*self.args(fa)).stdout
            for more in (["--chunk", "1"], ["--chunk", "777", "-@", "1"], ["--chunk", "1000000", "-@", "2"]):
                self.assertEqual(self.ok(*self.args(fa, "m", "-", *more)).stdout, want, more)

    def test_hdf5(self):
        try:
            import h5py
        except ImportError:
            self.skipTest("h5py is not installed")
        classifier(self.path("m"))
        fa = self.write("x.fa", fasta(pieces(heldout_bases(16000))))
        self.ok("run", "c.yaml", "-i", fa, "-m", "m", "-o", "a.h5")
        self.ok("run", "c.yaml", "-i", fa, "-m", "m", "-o", "b.h5", "--chunk", "64")
        self.assertEqual(digest(self.path("a.h5")), digest(self.path("b.h5")))
        with h5py.File(self.path("a.h5")) as f:
            self.assertEqual(f["class/prob"].shape, (12, 3))
            self.assertEqual(list(f["class/label"].asstr()[:]), NAMES)
            self.assertEqual(f.attrs["labels"], "\t".join(NAMES))
            self.assertEqual((f.attrs["task"], f.attrs["pool"]), ("classify", "mean"))
            self.assertNotIn("label", f["records"])
            prob = f["class/prob"][:]
        for row, p in zip(self.table(*self.args(fa)), prob):
            for k in range(3):
                told = float(row[f"p{k}"])
                self.assertTrue(abs(told - p[k]) < 1e-7 or math.isnan(told) and math.isnan(p[k]), row["name"])

    def test_heads_that_are_not_there(self):
        fa = self.write("x.fa", ">a\nACGT\n")
        classifier(self.path("m"))
        for task in ("score", "logits", "generate"):
            self.fails(78, *self.args(fa, "m", "o.tsv", "--set", f"model={{path: m, task: {task}}}"),
                       says=f"task {task}: the model is a classifier and has no language head")
        self.fails(78, *self.args(fa, "share:models/ecoli-ref", "o.tsv"), says="no classification head (score.weight)")
        self.fails(78, *self.args(fa, "m", "o.tsv", "--set", "model.pool=mean"), says="'pool' belongs to task embed")

    def test_broken_folders(self):
        fa = self.write("x.fa", ">a\nACGT\n")
        for says, edit in [
                ("names 2 classes, and 'num_labels' says 3", lambda c, h: c["id2label"].pop("2")),
                ("classes 0 and 2 are both 'coli'", lambda c, h: c["id2label"].update({"2": "coli"})),
                ("do not agree about class 1", lambda c, h: c["label2id"].update({"lambda phage": 2})),
                ("'mambaseq_pool' is 'max'", lambda c, h: c.update(mambaseq_pool="max")),
                ("missing: score.weight", lambda c, h: h.update(wrong=h.pop("score.weight"))),
                ("score.weight is [128, 3], not [3, 128]", lambda c, h: h["score.weight"].update(shape=[128, 3])),
        ]:
            classifier(self.path("m"), edit=edit)
            self.fails(65, *self.args(fa, "m", "o.tsv"), says=says)


if __name__ == "__main__":
    main()
