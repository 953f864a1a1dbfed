#!/usr/bin/env python3
"""Models that take whole records: masked scores, both strands, windows, files instead of memory, company, stops; and
folders that contradict themselves."""
from support import *


class Whole(Scratch):
    def setUp(self):
        super().setUp()
        self.bases = heldout_bases(3000)
        self.folder("ps")
        self.folder("ph", rcps=False)
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases, vocab: caduceus}\n"
                             "model: {path: ps, task: score, mode: unmasked}\n"
                             "writer: [{plugin: table, path: out.tsv}, {plugin: hdf5, path: out.h5}]\n")

    def folder(self, name, extra=None, **more):
        caduceus_folder(self.path(name), extra, **more)

    def bytes_of(self, *more, env=None):
        args = [a for m in more for a in ("--set", m)]
        r = self.ok("run", "p.yaml", "--force", *args, env=env)
        return digest(self.path("out.tsv")), digest(self.path("out.h5")), r.stderr.decode()

    def same(self, want, *more, env=None):
        got = self.bytes_of(*more, env=env)
        self.assertEqual(got[:2], want[:2], more)

    def values(self, *more):
        """logprob of all tokens; needs no library: a table of logits would not show them."""
        import h5py
        self.bytes_of(*more)
        with h5py.File(self.path("out.h5"), "r") as f:
            return [float(v) for v in f["score/logprob"][:]]

    def test_a_mode_has_to_be_said(self):
        self.write("in.fa", ">a\nACGT\n")
        text = self.fails(78, "run", "p.yaml", "--set", "model.mode=null", says=("mode: masked", "mode: unmasked"))
        self.assertIn("mask_every", text)
        self.fails(78, "run", "p.yaml", "--set", "model.chunk=100", says="takes whole records")
        self.fails(78, "run", "p.yaml", "--set", "model.task=generate", "--set", "model.mode=null",
                   says="takes whole records")
        self.fails(78, "run", "p.yaml", "--set", "model.strand=both", says="reads both strands")
        for key in ("mode: masked", "window: 5", "max_memory: 1G", "strand: both"):
            name, value = key.split(": ")
            self.fails(78, "run", "p.yaml", "-m", MODEL, "--set", "model.mode=null", "--set", f"model.{name}={value}",
                       says=name)

    def test_nothing_that_is_no_result_shows(self):
        """Memory, files, threads, company and the reader's blocks."""
        self.write("in.fa", fasta(mixed_records(self.bases)))
        for more in (("model.path=ps",), ("model.path=ph", "model.strand=both"), ("model.path=ph", "model.strand='-'"),
                     ("model.path=ph", "model.mode=masked", "model.mask_every=5"),
                     ("model.path=ps", "model.window=70", "model.halo=30"),
                     ("model.path=ps", "model.task=embed", "model.pool=mean", "model.mode=null"),
                     ("model.path=ph", "codec.iupac=skip"),
                     ("model.path=ps", "model.task=logits", "model.mode=null", "codec.iupac=skip")):
            want = self.bytes_of(*more)
            self.same(want, *more, "model.max_memory=1k")
            self.ok("run", "p.yaml", "--force", "--threads", "1", *[a for m in more for a in ("--set", m)])
            self.assertEqual(digest(self.path("out.h5")), want[1], more)
        # One by one, through a pipe that holds each record back.
        alone = []
        for name, seq in mixed_records(self.bases):
            self.write("one.fa", fasta([(name, seq)]))
            self.ok("run", "p.yaml", "--force", "--set", "reader.path=one.fa")
            with open(self.path("out.tsv")) as f:
                alone += [line.split("\t")[1:] for line in f.read().splitlines()[1:]]
        self.bytes_of("model.path=ps")
        with open(self.path("out.tsv")) as f:
            self.assertEqual([line.split("\t")[1:] for line in f.read().splitlines()[1:]], alone)

    def test_masked_is_what_it_says(self):
        """Every token alone in a pass equals as many passes as tokens; two strands are the mean of two logits."""
        self.write("in.fa", ">a\n" + self.bases[:40] + "\n")
        alone = self.values("model.mode=masked")
        self.assertEqual(self.values("model.mode=masked", "model.mask_every=40"), alone)
        self.assertEqual(self.values("model.mode=masked", "model.mask_every=1000"), alone)
        every = self.values("model.mode=masked", "model.mask_every=7")
        self.assertNotEqual(every, alone)
        self.assertNotEqual(self.values("model.mode=unmasked"), alone)
        self.assertTrue(all(v < 0 for v in alone + every))

    def test_strands_of_ph(self):
        """The other strand of a record is the record of the other strand, turned; both are symmetric."""
        turned = self.bases[:500][::-1].translate(str.maketrans("ACGT", "TGCA"))
        self.write("in.fa", ">a\n" + self.bases[:500] + "\n")
        minus = self.values("model.path=ph", "model.strand='-'")
        both = self.values("model.path=ph", "model.strand=both")
        self.write("in.fa", ">a\n" + turned + "\n")
        plus = self.values("model.path=ph")
        self.assertLess(max(abs(a - b) for a, b in zip(minus, plus[::-1])), 1e-5)
        self.assertLess(max(abs(a - b) for a, b in zip(both, self.values("model.path=ph", "model.strand=both")[::-1])),
                        1e-5)

    def test_windows_measure_their_halo(self):
        self.write("in.fa", ">a\n" + self.bases + "\n")
        whole = self.values("model.path=ps")
        errors = []
        for halo in (0, 20, 200):
            text = self.bytes_of("model.path=ps", "model.window=100", f"model.halo={halo}")[2]
            self.assertRegex(text, rf"halo of {halo} tokens: .* differ by at most")
            cut = self.values("model.path=ps", "model.window=100", f"model.halo={halo}")
            errors.append(max(abs(a - b) for a, b in zip(whole, cut)))
        self.assertGreater(errors[0], errors[1])
        self.assertGreater(errors[1], errors[2])
        self.assertEqual(self.values("model.path=ps", "model.window=100", "model.halo=3000"), whole)

    def test_every_task_measures_its_halo(self):
        """What is printed is what the values that were measured differ by."""
        self.write("in.fa", ">a\n" + self.bases[:90] + "\n")
        said = r"halo of 2 tokens: against twice as many, values differ by at most ([0-9.e+-]+)"
        for mode in (("model.mode=masked",), ("model.mode=masked", "model.mask_every=1"), ("model.mode=unmasked",)):
            more = ("model.path=ps", "model.window=30", *mode)
            told = float(re.search(said, self.bytes_of(*more, "model.halo=2")[2])[1])
            near, far = (self.values(*more, f"model.halo={h}") for h in (2, 4))
            most = max(abs(a - b) for a, b in zip(near[:30], far[:30]))
            self.assertTrue(0 < told <= most * 1.01 or told == most == 0, (mode, told, most))
        head = {"score.weight": ([2, 8], [0.1 * i for i in range(16)])}
        self.folder("cls", extra=head, architectures=["CaduceusForSequenceClassification"], num_labels=2)
        for more in (("model.path=cls", "model.task=classify"), ("model.path=ph", "model.task=embed", "model.pool=mean")):
            text = self.ok("run", "p.yaml", "--force", *[a for m in (*more, "model.mode=null", "model.window=30", "model.halo=2",
                           "writer={plugin: table, path: out.tsv}") for a in ("--set", m)]).stderr.decode()
            self.assertGreater(float(re.search(said, text)[1]), 0)

    def test_stopped_in_a_record_and_resumed(self):
        self.write("in.fa", fasta([("a", self.bases[:1200]), ("b", self.bases[:300])]))
        args = ("model.path=ph", "model.mode=masked", "model.mask_every=300")
        want = self.bytes_of(*args)
        for name in ("out.tsv", "out.h5"):
            os.unlink(self.path(name))
        sets = [a for m in args for a in ("--set", m)]
        stopped = 0
        for _ in range(5):
            p = self.start("run", "p.yaml", "--resume", *sets, env={"MAMBASEQ_JOURNAL_EVERY": "0.02"})
            time.sleep(0.1)
            p.send_signal(signal.SIGTERM)
            p.communicate(timeout=60)
            stopped += p.returncode == 75
            if p.returncode == 0:
                break
        self.ok("run", "p.yaml", "--resume", *sets)
        self.assertEqual((digest(self.path("out.tsv")), digest(self.path("out.h5"))), want[:2], f"{stopped} stops")

    def test_a_tokenizer_that_ends_a_record(self):
        """CaduceusTokenizer puts [SEP] behind it: fed, masked never, not written; a class gets to know it."""
        import h5py
        import numpy as np
        s = self.bases
        records = [("a", s[:90]), ("none", ""), ("b", "acgNNR" + s[100:130]), ("c", "T")]
        self.write("in.fa", fasta(records))
        ids = ["ACGTN".find(c.upper()) + 7 if c.upper() in "ACGTN" else 6 for _, seq in records for c in seq]
        at = np.cumsum([0] + [len(seq) for _, seq in records])
        for k in range(len(records)):
            own = ids[at[k]:at[k + 1]]
            np.save(self.path(f"r{k}.npy"), np.array(own + [1] if own else [], np.int32))
        files = json.dumps([self.path(f"r{k}.npy") for k in range(len(records))])
        read = ["--set", f"reader={{plugin: tokens, path: {files}}}", "--set", "codec=null"]
        head = {"score.weight": ([2, 8], [0.1 * i for i in range(16)])}
        self.folder("sep", head, architectures=["CaduceusForSequenceClassification"])
        self.folder("sepl")
        for name in ("sep", "sepl"):
            self.write(f"{name}/tokenizer_config.json", '{"tokenizer_class": "CaduceusTokenizer"}')

        def rows(dataset, task, *more):
            self.ok("run", "p.yaml", "--force", "-q", "--set", f"model={{path: {task}}}", "--set",
                    "writer={plugin: hdf5, path: o.h5}", *more)
            with h5py.File(self.path("o.h5")) as f:
                return f[dataset][:]
        auto = ["--set", "codec={plugin: bases}"]
        keep = np.array([k < len(records[r][1]) for r in (0, 2, 3) for k in range(len(records[r][1]) + 1)])
        for dataset, task in (("logits", "sepl, task: logits"), ("embedding", "sepl, task: embed"),
                              ("logits", "sepl, task: logits, window: 16, halo: 9")):
            want = rows(dataset, task, *read)[keep]
            self.assertTrue(np.array_equal(rows(dataset, task, *auto), want), task)
            self.assertFalse(np.array_equal(rows(dataset, task, *auto, "--set", "codec.special_tokens=none"), want), task)
        scored = np.array([c in "ACGT" for _, seq in records for c in seq.upper()])
        for mode in ("unmasked", "masked", "masked, mask_every: 5"):
            want = rows("score/logprob", f"sepl, task: score, mode: {mode}", *read)[keep] if "every" not in mode else None
            got = rows("score/logprob", f"sepl, task: score, mode: {mode}", *auto)
            self.assertTrue(np.array_equal(np.isnan(got), ~scored))
            self.assertTrue(want is None or np.array_equal(got[scored], want[scored]) or mode == "masked", mode)
            if mode == "masked":
                self.assertLess(np.abs(got[scored] - want[scored]).max(), 1e-5)
        self.assertTrue(np.array_equal(rows("class/prob", "sep, task: classify", *auto),
                                       rows("class/prob", "sep, task: classify", *read), equal_nan=True))
        self.assertFalse(np.array_equal(rows("class/prob", "sep, task: classify", *auto, "--set",
                                             "codec.special_tokens=none"), rows("class/prob", "sep, task: classify", *auto),
                                        equal_nan=True))

    def test_classifier(self):
        head = {"score.weight": ([2, 8], [0.1 * i for i in range(16)])}
        self.folder("cls", extra=head, architectures=["CaduceusForSequenceClassification"], num_labels=2)
        self.write("in.fa", fasta([("a", self.bases[:300]), ("t", self.bases[:300][::-1].translate(
            str.maketrans("ACGT", "TGCA"))), ("b", self.bases[300:340])]))
        self.ok("run", "p.yaml", "--set", "model.path=cls", "--set", "model.task=classify", "--set", "model.mode=null")
        rows = self.rows()
        self.assertEqual(len(rows), 3)
        prob = [[float(v) for k, v in r.items() if k in ("p0", "p1")] for r in rows]
        self.assertTrue(all(len(p) > 0 for p in prob), rows)
        self.assertNotEqual(prob[0], prob[2])
        for a, b in zip(prob[0], prob[1]):  # the strand says nothing
            self.assertAlmostEqual(a, b, places=4)

    def test_folders_that_contradict_themselves(self):
        self.write("in.fa", ">a\nACGT\n")
        run = ("run", "p.yaml", "--set", "model.path=bad")
        shutil.copytree(self.path("ps"), self.path("bad"))
        for more, says in (
                ({"complement_map": dict(COMPLEMENT, **{"7": 9})}, "'complement_map' is no involution"),
                ({"complement_map": dict(COMPLEMENT, **{"99": 9})}, "'complement_map' has an entry '99'"),
                ({"complement_map": None}, "no 'complement_map'"),
                ({"bidirectional_strategy": "concat"}, "accepted: add, ew_multiply"),
                ({"d_model": 9}, "embedding.weight is [16, 8], not [16, 9]"),
                ({"n_layer": 3}, "layers.2"),
                ({"bidirectional_weight_tie": False}, "mamba_rev.in_proj.weight"),
                ({"rms_norm": False}, "layer norm in two streams")):
            with open(os.path.join(self.path("bad"), "config.json"), "w") as f:
                json.dump(caduceus_config(**more), f)
            self.fails(65, *run, says=says)

    def test_a_complement_that_is_not_that_of_the_letters(self):
        """Ids of the folder's tokenizer beside complement_map, by every command that reads a folder."""
        swapped = {str(i): {7: 8, 8: 7, 9: 10, 10: 9}.get(i, i) for i in range(16)}
        self.write("in.fa", fasta([("a", heldout_bases(200))]))
        self.write("r.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\nmodel: {path: bad}\ncodec: {plugin: bases}\n"
                   "train: {loss: masked, window: 32, batch_tokens: 64, steps: 1}\noutput: {path: o}\n")
        letters = ["[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", "A", "C", "G", "T", "N"]
        commands = ((("inspect", "bad"), 65), (("convert", "bad", "-o", "o"), 65), (("train", "r.yaml"), 78),
                    (("run", "p.yaml", "--set", "model.path=bad"), 78))
        for name, text, where in (("tokenizer_config.json", '{"tokenizer_class": "CaduceusTokenizer"}', "CaduceusTokenizer"),
                                  ("vocab.txt", "\n".join(letters), "vocab.txt"),
                                  ("vocab.json", json.dumps({t: i for i, t in enumerate(letters)}), "vocab.json")):
            caduceus_folder(self.path("bad"), complement_map=swapped)
            # The folder's tensors hold maps as well, which count in a run: leave them out of this.
            header, data = read_safetensors(self.path("bad/model.safetensors"))
            header = {k: e for k, e in header.items() if not k.endswith("complement_map")}
            at, blob = 0, b""
            for e in header.values():
                a, b = e["data_offsets"]
                blob += data[a:b]
                e["data_offsets"] = [at, at + b - a]
                at += b - a
            write_safetensors(self.path("bad/model.safetensors"), header, blob)
            self.write("bad/" + name, text)
            for args, code in commands:
                says = ["complement_map"] + ([f"A, id 7, to 8, but T has id 10 in the vocabulary of {where}"] if code == 65 else [])
                self.fails(code, *args, says=says)
            with open(self.path("bad/config.json"), "w") as f:
                json.dump(caduceus_config(), f)
            self.ok("inspect", "bad")
            self.ok("train", "r.yaml", "-q")
            shutil.rmtree(self.path("o"))
            shutil.rmtree(self.path("bad"))


if __name__ == "__main__":
    main()
