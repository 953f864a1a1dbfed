#!/usr/bin/env python3
"""The shipped pipelines and the tasks, from any folder, as a user would run them."""
from support import *


class Pipelines(Scratch):
    def test_every_shipped_pipeline_runs(self):
        if SANITIZED:
            self.skipTest("too slow under sanitizers")
        folder = os.path.join(SOURCE, "pipelines")
        for root, _, files in os.walk(folder):
            for name in sorted(files):
                rel = os.path.relpath(os.path.join(root, name), SOURCE)
                with open(os.path.join(root, name)) as f:
                    head = f.read().split("mambaseq:")[0]
                self.assertIn("run:", head, f"{rel} does not say how it is run")
                self.ok("check", f"share:{rel}")
                self.ok("run", f"share:{rel}", "--force", timeout=300)

    def test_outputs_do_not_tell_where_the_program_lives(self):
        r = self.ok("run", "share:pipelines/genomics/generate.yaml", "-q")
        self.assertIn("share:data/ecoli-prompt.fa\t", r.stdout.decode())
        self.assertNotIn(BUILD, r.stdout.decode())

    def test_dry_run_and_check_open_nothing(self):
        r = self.ok("check", "share:pipelines/genomics/score.yaml", "-i", "missing.fa")
        self.assertIn("fasta", r.stdout.decode())
        r = self.ok("run", "share:pipelines/genomics/score.yaml", "--dry-run", "-i", "missing.fa")
        self.assertIn("score/f32", r.stdout.decode())
        self.assertEqual(os.listdir(self.dir), [])


class Generate(Scratch):
    def generate(self, *more, **kw):
        r = self.ok("run", "share:pipelines/genomics/generate.yaml", "-q", *more, **kw)
        lines = r.stdout.decode().splitlines()
        head = lines[0].lstrip("#").split("\t")
        return [dict(zip(head, line.split("\t"))) for line in lines[1:]]

    def test_seed_decides(self):
        prompt = self.write("p.fa", fasta([("p", heldout_bases(200)), ("q", "ACGTTT"), ("none", "")]))
        args = ["-i", prompt, "--set", "model.max_new_tokens=60"]
        a = self.generate(*args)
        b = self.generate(*args, "--chunk", "7", "--threads", "1")
        c = self.generate(*args, "--set", "model.seed=2")
        self.assertEqual(a, b)
        self.assertNotEqual([r["sequence"] for r in a], [r["sequence"] for r in c])
        self.assertEqual(len(a), 6)
        for row in a:
            self.assertEqual(len(row["sequence"]), 60)
            self.assertEqual(set(row["sequence"]) - set("ACGT"), set())
        self.assertNotEqual(a[0]["sequence"], a[1]["sequence"], "two samples of one prompt are two draws")
        self.assertEqual(a[0]["start"], "200", "it continues where the prompt ends")

    def test_greedy_top_k_and_stop(self):
        prompt = self.write("p.fa", fasta([("p", heldout_bases(200))]))
        args = ["--set", f"reader={{plugin: fasta, path: {prompt}}}", "--set", "model.max_new_tokens=40", "--set",
                "model.num_samples=1"]
        greedy = self.generate(*args, "--set", "model.temperature=0")
        top1 = self.generate(*args, "--set", "model.top_k=1")
        tiny_p = self.generate(*args, "--set", "model.top_p=0.000001")
        self.assertEqual(greedy, top1)
        self.assertEqual(greedy, tiny_p)
        text = greedy[0]["sequence"]
        stop = self.generate(*args, "--set", "model.temperature=0", "--set", f"model.stop=[{text[5]}]")
        self.assertEqual(stop[0]["sequence"], text[:text.index(text[5])])

    def test_without_a_reader(self):
        self.write("g.yaml", "mambaseq: 1\ncodec: {plugin: bases}\nmodel: {path: share:models/ecoli-ref, task: generate, "
                             "count: 3, max_new_tokens: 20}\nwriter: {plugin: table, path: '-'}\n")
        r = self.ok("run", "g.yaml", "-q")
        lines = r.stdout.decode().splitlines()
        self.assertEqual(len(lines), 4)


class Embed(Scratch):
    def test_pools_and_layers(self):
        try:
            import h5py
            import numpy as np
        except ImportError:
            self.skipTest("python3-h5py is not installed")
        path = self.write("in.fa", fasta([("a", heldout_bases(700)), ("b", "ACGTNNACGT"), ("none", "")]))
        args = ["run", "share:pipelines/genomics/embed.yaml", "-i", path, "-o"]
        self.ok(*args, "mean.h5")
        self.ok(*args, "last.h5", "--set", "model.pool=last")
        self.ok(*args, "none.h5", "--set", "model.pool=none")
        self.ok(*args, "zero.h5", "--set", "model.pool=none", "--set", "model.layer=0")
        with h5py.File(self.path("none.h5")) as n, h5py.File(self.path("mean.h5")) as m, h5py.File(self.path("last.h5")) as l, \
                h5py.File(self.path("zero.h5")) as z:
            rows = n["embedding"][:]
            self.assertEqual(rows.shape, (710, 128))
            self.assertEqual(m["embedding"].shape, (3, 128))
            self.assertTrue(np.allclose(m["embedding"][0], rows[:700].astype("f8").mean(0), atol=1e-6))
            letters = np.r_[700:704, 706:710]
            self.assertTrue(np.allclose(m["embedding"][1], rows[letters].astype("f8").mean(0), atol=1e-6))
            self.assertTrue(np.array_equal(l["embedding"][0], rows[699]))
            self.assertTrue(np.isnan(m["embedding"][2]).all())
            header, data = read_safetensors(os.path.join(MODEL, "model.safetensors"))
            begin, end = header["backbone.embeddings.weight"]["data_offsets"]
            table = np.frombuffer(data[begin:end], "<f4").reshape(-1, 128)
            ids = [{"A": 7, "C": 8, "G": 9, "T": 10}[c] for c in heldout_bases(700)]
            self.assertTrue(np.array_equal(z["embedding"][:700], table[ids]))
        self.fails(78, *args, "x.h5", "--set", "model.layer=5", says="layer")

    def test_logits_give_the_scores(self):
        try:
            import h5py
            import numpy as np
        except ImportError:
            self.skipTest("python3-h5py is not installed")
        path = self.write("in.fa", fasta([("a", heldout_bases(300))]))
        self.ok("run", "share:pipelines/genomics/score.yaml", "-i", path, "--set", "model.task=logits", "--set",
                "writer={plugin: hdf5, path: logits.h5}")
        self.score(path)
        with h5py.File(self.path("logits.h5")) as g, h5py.File(self.path("out.h5")) as s:
            x = g["logits"][:].astype("f8")
            self.assertEqual(x.shape, (300, 16))
            lse = np.log(np.exp(x - x.max(1, keepdims=True)).sum(1)) + x.max(1)
            ids = np.array([{"A": 7, "C": 8, "G": 9, "T": 10}[c] for c in heldout_bases(300)])
            want = x[np.arange(299), ids[1:]] - lse[:-1]
            self.assertLess(np.abs(want - s["score/logprob"][1:]).max(), 5e-6)
            self.assertEqual(s.attrs["task"], "score")

    def test_pooled_rows_do_not_depend_on_cuts(self):
        s = heldout_bases(400)
        path = self.write("in.fa", fasta([("n_first", "N" + s[:300]), ("n_last", s[:300] + "NNN"),
                                          ("n_in", s[:150] + "NN" + s[150:300]), ("plain", s[:300]), ("only_n", "NNN")]))
        for pool in ("last", "mean"):
            seen = set()
            for chunk in ("1", "7", "65536"):
                self.ok("run", "share:pipelines/genomics/embed.yaml", "-i", path, "--force", "--chunk", chunk, "--set",
                        f"model.pool={pool}", "--set", "writer={plugin: table, path: e.tsv}")
                seen.add(digest(self.path("e.tsv")))
            self.assertEqual(len(seen), 1, pool)
            rows = {r["name"]: r for r in self.rows("e.tsv")}
            self.assertNotEqual(rows["n_first"]["e0"], "nan")
            self.assertEqual(rows["only_n"]["e0"], "nan")
            if pool == "last":
                self.assertEqual(rows["n_last"]["e0"], rows["plain"]["e0"], "the last base is the last letter that counts")


class NoModel(Scratch):
    def test_chunk_is_what_the_reader_is_asked_for(self):
        self.write("in.fa", fasta([("a", heldout_bases(500)), ("b", "ACGT")]))
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases}\n"
                             "writer: {plugin: hdf5, path: o.h5}\n")
        seen = set()
        for chunk in ("1", "7", "4096"):
            self.ok("run", "p.yaml", "--force", "--chunk", chunk)
            seen.add(digest(self.path("o.h5")))
        self.assertEqual(len(seen), 1)
    def test_a_reader_alone(self):
        self.write("in.fa", fasta([("a", "ACGTNacgt"), ("b", "")]))
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\nwriter: [{plugin: table, path: '-'}, "
                             "{plugin: hdf5, path: o.h5}]\n")
        r = self.ok("run", "p.yaml", "-q")
        self.assertEqual(len(r.stdout.decode().splitlines()), 3)
        self.assertTrue(os.path.exists(self.path("o.h5")))


class Stem(Scratch):
    def test_one_output_for_each_input(self):
        self.write("a.fa", ">x\nACGTACGT\n")
        self.write("b.fa", ">y\nTTTTACGT\n")
        self.ok("run", "share:pipelines/genomics/score.yaml", "--set", "reader.path=['a.fa', 'b.fa']", "--set",
                "writer={plugin: table, path: '{stem}.tsv'}")
        self.assertEqual([r["name"] for r in self.rows("a.tsv")], ["x"])
        self.assertEqual([r["name"] for r in self.rows("b.tsv")], ["y"])

    def test_what_they_share_is_one_stream_with_one_header(self):
        self.write("a.fa", ">x\nACGTACGT\n")
        self.write("b.fa", ">y\nTTTTACGT\n")
        score = ["run", "share:pipelines/genomics/score.yaml", "-q", "--set", "writer.0.path={stem}.h5", "--set"]
        both = self.ok(*score, "reader.path=[a.fa, b.fa]").stdout.decode().splitlines()
        self.assertEqual([line.split("\t")[1] for line in both], ["name", "x", "y"])
        together = digest(self.path("b.h5"))
        self.ok(*score, "reader.path=b.fa", "--force")
        self.assertEqual(digest(self.path("b.h5")), together, "the file of an input does not know of the other")
        self.ok(*score, "reader.path=[a.fa, b.fa]", "--force", "--set", "writer.1.path=/dev/null")
        shutil.copy(os.path.join(SOURCE, "share/data/chirps.wav"), self.path("a.wav"))
        shutil.copy(self.path("a.wav"), self.path("b.wav"))
        label = ["run", "share:pipelines/audio/label.yaml", "-q", "--set", "reader.path=[a.wav, b.wav]"]
        both = self.ok(*label).stdout.decode().splitlines()
        self.assertEqual(sorted({line.split("\t")[0] for line in both[1:]}), ["a.wav", "b.wav"])
        self.assertTrue(both[0].startswith("source\tname\t"))
        # A file of all, and what cannot be a stream, is refused before anything is written.
        for writer, says in (("{plugin: table, path: all.tsv}", "all would write all.tsv; put {stem} into its path"),
                             ("{plugin: bedgraph, path: '-'}", "all would write a file to standard output; ")):
            self.fails(64, *score, "reader.path=[a.fa, b.fa]", "--force", "--set", "writer.1=" + writer, says=says)
        self.assertNotIn("all.tsv", os.listdir(self.path(".")))


if __name__ == "__main__":
    main()
