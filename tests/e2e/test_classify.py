#!/usr/bin/env python3
"""Classifiers, from labelled sequences to probabilities, as a user would run them."""
import atexit
import functools
import math

from support import *

NAMES = ["coli", "lambda phage", "other"]


D = 32  # numbers a row


@functools.lru_cache(maxsize=1)
def body():
    """A small model of letters, below the head."""
    folder = tempfile.mkdtemp(prefix="mbs-e2e-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([BINARY, "model", "init", "tiny", "-o", os.path.join(folder, "m"), "--seed", "3", "-q", "--set",
                    f"d_model={D}"], check=True)
    return os.path.join(folder, "m")


def classifier(folder, pool="mean", names=NAMES, edit=None):
    """A small model with a head of fixed numbers instead of its language head. Returns (weights, biases)."""
    header, data = read_safetensors(os.path.join(body(), "model.safetensors"))
    header.pop("__metadata__", None)
    rng = random.Random(7)
    n = len(names)
    w = [[rng.uniform(-1, 1) for _ in range(D)] for _ in range(n)]
    b = [rng.uniform(-1, 1) for _ in range(n)]
    for name, shape, values in [("score.weight", [n, D], sum(w, [])), ("score.bias", [n], b)]:
        packed = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    with open(os.path.join(body(), "config.json")) as f:
        config = json.load(f)
    config.update(architectures=["MambaForSequenceClassification"], num_labels=n, mambaseq_pool=pool,
                  id2label={str(i): x for i, x in enumerate(names)}, label2id={x: i for i, x in enumerate(names)})
    if edit:
        edit(config, header)
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), header, data)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
    shutil.copy(os.path.join(body(), "vocab.txt"), folder)
    return w, b


def softmax(w, b, row):
    out = [sum(x * y for x, y in zip(k, row)) + c for k, c in zip(w, b)]
    e = [math.exp(v - max(out)) for v in out]
    return [v / sum(e) for v in e]


def pieces(bases):
    """Records of many lengths: those that ride together, those that go alone, one of nothing."""
    out, at = [], 0
    long = (2300, 1100) if SANITIZED else (5000, 7000)
    for i, n in enumerate([150, 1, 30, 0, 900, 64, long[0], 17, 150, long[1], 2, 300]):
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
                p = [float(g[f"p.{name}"]) for name in NAMES]
                if g["name"] == "r3":
                    self.assertTrue(all(math.isnan(x) for x in p))
                    self.assertEqual(g["label"], ".")
                    continue
                want = softmax(w, b, [float(e[f"e{j}"]) for j in range(D)])
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
        self.assertNotEqual(got[0]["p.coli"], got[1]["p.coli"])
        self.assertFalse(math.isnan(float(got[2]["p.coli"])), "it is fed as [UNK], as in training")

    def test_the_way_cannot_be_seen(self):
        fa = self.write("x.fa", fasta(pieces(heldout_bases(16000)) + cut_records(heldout_bases(5000))))
        for pool in ("mean", "last"):
            classifier(self.path("m"), pool)
            want = self.ok(*self.args(fa)).stdout
            ways = [["--chunk", "1"], ["--chunk", "777", "-@", "1"], ["--chunk", "1000000", "-@", "2"]]
            for more in [["--chunk", "64"]] if SANITIZED else ways:
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
                told = float(row[f"p.{NAMES[k]}"])
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
                (f"score.weight is [{D}, 3], not [3, {D}]", lambda c, h: h["score.weight"].update(shape=[D, 3])),
        ]:
            classifier(self.path("m"), edit=edit)
            self.fails(65, *self.args(fa, "m", "o.tsv"), says=says)

    def test_labels_reach_the_outputs(self):
        classifier(self.path("m"))
        bases = heldout_bases(3000)
        for name, label in [("a", "coli"), ("b", "coli"), ("c", "lambda phage"), ("d", "2"), ("e", "cat")]:
            os.makedirs(self.path(f"d/{label}"), exist_ok=True)
            at = ord(name) * 20
            self.write(f"d/{label}/{name}.fa", fasta([(name, bases[at:at + 400])]))
        reader = ["--set", "reader={plugin: fasta, path: d, label: folder}"]
        r = self.ok("run", "c.yaml", *reader, "--set", "writer={plugin: table, path: '-'}", "--chunk", "100")
        lines = r.stdout.decode().splitlines()
        rows = {x[1]: x for x in (line.split("\t") for line in lines[1:])}
        self.assertEqual({k: v[-1] for k, v in rows.items()},
                         {"a": "coli", "b": "coli", "c": "lambda phage", "d": "2", "e": "cat"})
        truth = {"a": "coli", "b": "coli", "c": "lambda phage", "d": "other"}
        right = sum(rows[k][4] == v for k, v in truth.items())
        words = r.stderr.decode()
        self.assertIn(f"accuracy {right / 4:.4f} of 4 labelled records", words)
        self.assertIn("record 'e' has the label 'cat', which is not a class of the model (coli, lambda phage, other)", words)
        # eval is strict, and counts what run counts
        self.fails(65, "eval", "c.yaml", *reader, says="the label 'cat' is not a class of the model")
        shutil.rmtree(self.path("d/cat"))
        got = json.loads(self.ok("eval", "c.yaml", *reader, "--json").stdout)
        self.assertEqual(got["classes"], NAMES)
        for way in got["results"]:
            self.assertEqual((way["records"], way["labelled"]), (4, 4))
            self.assertEqual(sum(map(sum, way["confusion"])), 4)
            self.assertEqual(sum(way["confusion"][k][k] for k in range(3)), way["right"])
            self.assertEqual([sum(row) for row in way["confusion"]], [2, 1, 1])
        first = got["results"][0]
        self.assertEqual((first["dtype"], first["right"], first["accuracy"]), ("f32", right, right / 4))
        text = self.ok("eval", "c.yaml", *reader, "--dtype", "f32", "--math", "f32").stdout.decode()
        self.assertEqual(text.splitlines()[3:], ["truth\t" + "\t".join(NAMES)] + [
            "\t".join([NAMES[k]] + [str(v) for v in first["confusion"][k]]) for k in range(3)])
        self.fails(64, "eval", "c.yaml", *reader, "--limit", "100", says="--limit")
        self.fails(64, "eval", "c.yaml", *reader, "--strand", "both", says="--strand")
        self.write("x.fa", ">a\nACGT\n")
        self.fails(65, "eval", "c.yaml", says="no record has a label")
        try:
            import h5py
        except ImportError:
            return
        self.ok("run", "c.yaml", *reader, "-o", "l.h5")
        with h5py.File(self.path("l.h5")) as f:
            self.assertEqual(list(f["records/label"].asstr()[:]), ["2", "coli", "coli", "lambda phage"])

    def test_a_table_as_input(self):
        classifier(self.path("m"))
        bases = heldout_bases(900)
        self.write("t.csv", "seq,what,id\n" + "".join(f"{bases[i * 90:i * 90 + 90]},{NAMES[i % 2]},r{i}\n" for i in range(9)))
        reader = ["--set", "reader={plugin: tsv, path: t.csv, sequence: seq, label: what, name: id}"]
        rows = self.table("run", "c.yaml", *reader, "--set", "writer={plugin: table, path: '-'}")
        self.assertEqual([r["name"] for r in rows], [f"r{i}" for i in range(9)])
        self.assertEqual([r["truth"] for r in rows], [NAMES[i % 2] for i in range(9)])
        with open(self.path("t.csv"), encoding="utf-8") as f:
            text = f.read()
        with open(self.path("marked.csv"), "w", encoding="utf-8-sig") as f:  # as spreadsheets save it
            f.write(text)
        marked = [reader[0], reader[1].replace("t.csv", "marked.csv")]
        again = self.table("run", "c.yaml", *marked, "--set", "writer={plugin: table, path: '-'}")
        self.assertEqual([{**r, "source": "t.csv"} for r in again], rows)
        self.fails(65, "run", "c.yaml", "--set", "reader={plugin: tsv, path: t.csv, sequence: seq}",
                   says=["t.csv:1: there is no column 'label' among the 3", "the columns are seq, what, id"])


class Train(Scratch):
    """share:configs/train/dna-classify.yaml, and what becomes of its model."""

    def test_from_labels_to_classes(self):
        if SANITIZED:
            self.skipTest("too slow under sanitizers")
        r = self.ok("train", "share:configs/train/dna-classify.yaml", "-o", "m", "--set", "train.steps=60", timeout=300)
        table = [line.split("\t") for line in r.stdout.decode().splitlines()]
        self.assertEqual(table[0], ["truth", "coli", "human"])
        n = sum(int(v) for row in table[1:] for v in row[1:])
        right = int(table[1][1]) + int(table[2][2])
        self.assertEqual(n, 150)
        self.assertGreater(right / n, 0.8, "half are of each class")
        # The model runs as it is, and says of the whole table what training said of a part.
        got = json.loads(self.ok("eval", "share:pipelines/genomics/classify.yaml", "-m", "m", "--dtype", "f32", "--math",
                                 "f32", "--json").stdout)
        self.assertEqual(got["classes"], ["coli", "human"])
        self.assertEqual(got["results"][0]["labelled"], 600)
        self.assertGreater(got["results"][0]["accuracy"], 0.8)
        words = self.ok("inspect", "m").stdout.decode()
        self.assertIn("coli, human", words)

    def test_from_a_model_that_is_there(self):
        if SANITIZED:
            self.skipTest("too slow under sanitizers")
        before, data = read_safetensors(os.path.join(MODEL, "model.safetensors"))
        for how, moved in [("head", ("score.",)), ("last_1", ("score.", "backbone.norm_f.", "backbone.layers.3."))]:
            self.ok("train", "share:configs/train/dna-classify.yaml", "-o", how, "--set",
                    f"model={{path: share:models/ecoli-ref, train: {how}, pool: last}}", "--set", "train.steps=3", "--set",
                    "train.batch_tokens=2048", timeout=300)
            after, now = read_safetensors(self.path(f"{how}/model.safetensors"))
            self.assertEqual(after["score.weight"]["shape"], [2, 128])
            self.assertNotIn("lm_head.weight", after)
            for name, t in before.items():
                if name in ("__metadata__", "lm_head.weight"):
                    continue
                a = data[slice(*t["data_offsets"])]
                b = now[slice(*after[name]["data_offsets"])]
                self.assertEqual(a != b, name.startswith(moved), f"{how}: {name}")
            self.assertIn("pool          last", self.ok("inspect", how).stdout.decode())
        self.write("x.tsv", "sequence\tlabel\n" + "ACGTTGCA\tcoli\nAATTAACC\thuman\n" * 5)
        rows = self.ok("run", "share:pipelines/genomics/classify.yaml", "-m", "head", "-i", "x.tsv").stdout.decode()
        self.assertEqual(len(rows.splitlines()), 11)

    def test_labels_that_do_not_fit(self):
        self.write("t.tsv", "sequence\tlabel\n" + "ACGTACGTACGTACGT\ta\nACGTTTGTACGTACGT\tb\n" * 8 + "ACGTACGT\tc\n")
        args = ["train", "share:configs/train/dna-classify.yaml", "-o", "o", "--set", "reader.path=t.tsv", "--set",
                "train.steps=2", "--set", "train.window=8", "--set", "train.batch_tokens=64"]
        self.fails(65, *args, "--set", "train.classes=[a, b]", says="the label 'c' is none of the 2 classes")
        self.write("u.tsv", "sequence\tlabel\nACGTACGTACGT\ta\nACGTTTGTACGT\t\n")
        self.fails(65, *args, "--set", "reader.path=u.tsv", says="u.tsv:3: record 'row2' has an empty label")
        self.write("v.tsv", "sequence\tlabel\nACGTACGTACGT\ta\nACGTTTGTACGT\ta\n")
        self.fails(65, *args, "--set", "reader.path=v.tsv", says="all labels are the same")
        self.fails(65, *args, "--set", "reader={plugin: tsv, path: t.tsv, label: none}", says="a record without a label")


    def test_folders_whose_classes_have_no_names(self):
        """Then the labels of the input say them; and a language model's LABEL_0, LABEL_1 are no classes."""
        self.write("t.tsv", "sequence\tlabel\n" + "ACGTACGTACGTACGT\t10\nACGTTTGTACGTACGT\t9\nAAAAAAAAAAAAAAAA\t1a\n" * 8)
        args = ["train", "share:configs/train/dna-classify.yaml", "--set", "reader.path=t.tsv", "--set", "train.steps=2",
                "--set", "train.window=8", "--set", "train.batch_tokens=64"]
        classifier(self.path("nameless"), edit=lambda c, h: (c.pop("id2label"), c.pop("label2id")))
        shutil.copytree(MODEL, self.path("lm"))
        with open(self.path("lm/config.json")) as f:
            config = json.load(f)
        config["id2label"] = {"0": "LABEL_0", "1": "LABEL_1"}
        self.write("lm/config.json", json.dumps(config))
        for folder in ("nameless", "lm"):
            self.ok(*args, "-o", f"of_{folder}", "--set", f"model={{path: {folder}, train: head}}")
            with open(self.path(f"of_{folder}/config.json")) as f:
                names = json.load(f)["id2label"]
            self.assertEqual([names[str(i)] for i in range(3)], ["9", "10", "1a"], "numbers first, by their value")


class Stop(Scratch):
    def test_stopped_and_taken_up(self):
        """The counts of what was right survive, and the bytes are those of a run in one piece."""
        classifier(self.path("m"))
        length = 5000 if SANITIZED else 19000
        bases = heldout_bases(12 * length)
        for i in range(12):
            label = NAMES[i % 3]
            os.makedirs(self.path(f"d/{label}"), exist_ok=True)
            self.write(f"d/{label}/{i:02}.fa", fasta([(f"r{i}", bases[i * length:(i + 1) * length])]))
        self.write("s.yaml", PIPELINE.replace("path: x.fa", "path: d, label: folder"))
        args = ["run", "s.yaml", "-@", "1", "--set", "writer={plugin: table, path: t.tsv}"]
        r = self.ok(*args)
        words = [line for line in r.stderr.decode().splitlines() if "accuracy" in line][0].split("accuracy ")[1].split(",")[0]
        with open(self.path("t.tsv"), "rb") as f:
            want = f.read()
        os.remove(self.path("t.tsv"))
        stops, before = 0, 0
        while stops < 3:
            p = self.start(*args, "--resume", env={"MAMBASEQ_JOURNAL_EVERY": "0.01"})
            before = self.stop_behind_a_journal(p, before)
            if before == 0:
                break
            stops += 1
        self.assertGreater(stops, 0, "the stops came too late to mean anything")
        r = self.ok(*args, "--resume")
        with open(self.path("t.tsv"), "rb") as f:
            self.assertEqual(f.read(), want)
        if "already there" not in r.stderr.decode():
            self.assertIn(f"accuracy {words},", r.stderr.decode())


if __name__ == "__main__":
    main()
