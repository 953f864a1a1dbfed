#!/usr/bin/env python3
"""--shard and merge: whatever a writer writes of one run, merged shards are the same bytes; and what cannot be merged
is refused with the difference named."""
from support import *

HEAD = "mambaseq: 1\n"
MODEL_AT = "small"  # what is cut and merged does not know the size of a model
SMALL = "share:models/ecoli-small"


class Shards(Scratch):
    def setUp(self):
        super().setUp()
        self.use_small_model()

    def pipeline(self, reader, model, writers, codec="{plugin: bases}"):
        """A pipeline of these stages; writers are (plugin and parameters, file)."""
        self.files = [f.split(",")[0] for _, f in writers]  # its other parameters may follow
        lines = "".join(f"  - {{plugin: {p}, path: {f}}}\n" for p, f in writers)
        self.write("p.yaml", HEAD + f"reader: {reader}\n" + (f"codec: {codec}\n" if codec else "") +
                   (f"model: {model}\n" if model else "") + "writer:\n" + lines)

    def to(self, prefix):
        """The arguments that have every writer write to PREFIX-FILE."""
        out = []
        for i, f in enumerate(self.files):
            key = f"writer.{i}.path" if len(self.files) > 1 else "writer.path"
            out += ["--set", f"{key}={prefix}-{f}"]
        return out

    def shard(self, i, n, prefix=None, *more):
        return self.ok("run", "p.yaml", "-q", "--shard", f"{i}/{n}", *self.to(prefix or f"s{i}"), *more)

    def merge(self, parts, *more):
        rest = self.to("merged")
        rest = ["-o", f"merged-{self.files[0]}"] + rest[2 * (1 if len(self.files) > 1 else len(self.files)):]
        return self.ok("merge", *parts, *rest, *more)

    def part(self, i):
        return f"s{i}-{self.files[0]}"

    def same(self, n, sides=()):
        """n shards, merged, are the bytes of one run, in side files too."""
        self.ok("run", "p.yaml", "-q", *self.to("whole"))
        for i in range(1, n + 1):
            self.shard(i, n)
        self.merge([self.part(i) for i in range(n, 0, -1)])
        for f in [*self.files, *sides]:
            with open(self.path(f"whole-{f}"), "rb") as a, open(self.path(f"merged-{f}"), "rb") as b:
                self.assertEqual(a.read(), b.read(), f)
        self.assertEqual(sorted(f[7:] for f in os.listdir(self.dir) if f.startswith("merged-")),
                         sorted(f[6:] for f in os.listdir(self.dir) if f.startswith("whole-")))
        self.assertFalse([f for f in os.listdir(self.dir) if f.startswith(".")])

    def records(self):
        self.write("in.fa", fasta(cut_records(heldout_bases(4200))))
        return "{plugin: fasta, path: in.fa}"

    def test_tracks_tables_and_hdf5_of_records(self):
        self.pipeline(self.records(), f"{{path: {MODEL_AT}, task: score}}",
                      [("hdf5", "x.h5"), ("table", "x.tsv"), ("table", "x.jsonl"), ("bigwig", "x.bw"),
                       ("bedgraph", "x.bg.gz")])
        self.same(3)  # a record of one letter and empty ones among them

    def test_more_shards_than_records(self):
        self.write("in.fa", fasta([("a", "ACGTACGT"), ("b", "GATTACA")]))
        self.pipeline("{plugin: fasta, path: in.fa}", f"{{path: {MODEL_AT}, task: score}}",
                      [("hdf5", "x.h5"), ("bigwig", "x.bw"), ("table", "x.tsv")])
        self.same(4)

    def test_rows_of_a_bed(self):
        self.pipeline("{plugin: bed, path: share:data/ecoli-windows.bed, reference: share:data/ecoli-heldout.fa.gz}",
                      f"{{path: {MODEL_AT}, task: embed, pool: mean}}", [("hdf5", "x.h5"), ("npy", "x.npy")])
        self.same(2)

    def test_reads_to_bam_with_its_index(self):
        self.pipeline("{plugin: bam, path: share:data/ecoli-reads.bam, isolate: false}",
                      f"{{path: {MODEL_AT}, task: score}}", [("bam", "x.bam"), ("table", "x.tsv")])
        self.same(3)

    def test_generated_records(self):
        self.pipeline(self.records(), f"{{path: {MODEL_AT}, task: generate, max_new_tokens: 9, num_samples: 2, seed: 3}}",
                      [("fasta", "x.fa"), ("hdf5", "x.h5"), ("table", "x.tsv")])
        self.same(3)

    def test_prompts_without_a_reader(self):
        self.files = ["x.tsv"]
        self.write("p.yaml", HEAD + f"codec: {{plugin: bases}}\nmodel: {{path: {MODEL_AT}, task: generate, count: 5, "
                   "max_new_tokens: 7}\nwriter: {plugin: table, path: x.tsv}\n")
        self.same(2)

    def test_classes(self):
        with gzip.open(os.path.join(SOURCE, "share/data/coli-human.tsv.gz"), "rt") as f:
            self.write("in.tsv", "".join(f.readlines()[:12]))
        self.pipeline("{plugin: tsv, path: in.tsv}", "{path: share:models/coli-human, task: classify}",
                      [("table", "x.tsv"), ("hdf5", "x.h5")])
        self.same(3)

    def test_without_a_model(self):
        self.pipeline(self.records(), None, [("fasta", "x.fa"), ("table", "x.tsv")], codec=None)
        self.same(3)

    def test_letters_and_what_is_written_of_them(self):
        self.pipeline(self.records(), None, [("text", "x.txt"), ("fasta", "x.fa")], codec=None)
        self.same(2)
        self.setUp()
        self.pipeline(self.records(), f"{{path: {SMALL}, task: generate, max_new_tokens: 5, seed: 3}}",
                      [("text", "x.txt"), ("safetensors", "x.safetensors")])
        self.same(3)

    def test_arrays(self):
        self.write("in.fa", fasta([("a", heldout_bases(300)), ("e", ""), ("one", "A"), ("b", heldout_bases(40) + "NN")]))
        for task in "score", "logits":
            self.pipeline("{plugin: fasta, path: in.fa}", f"{{path: {SMALL}, task: {task}}}",
                          [("npy", f"{task}.npy"), ("safetensors", f"{task}.safetensors"), ("hdf5", f"{task}.h5")])
            self.same(3)

    def test_four_tracks(self):
        self.write("in.fa", fasta([("a", heldout_bases(300)), ("e", ""), ("one", "A"), ("b", heldout_bases(40) + "NN")]))
        self.pipeline("{plugin: fasta, path: in.fa}", f"{{path: {SMALL}, task: logits}}", [("acgt", "x.bw")])
        self.files = ["x.A.bw"]  # and its three sisters, which are no paths of the pipeline
        sisters = [f"x.{c}.bw" for c in "CGT"]
        self.ok("run", "p.yaml", "-q", "-o", "whole-x.bw")
        for i in 1, 2:
            self.ok("run", "p.yaml", "-q", "--shard", f"{i}/2", "-o", f"s{i}-x.bw")
        self.ok("merge", self.part(1), self.part(2), "-o", "merged-x.bw")
        for f in self.files + sisters:
            self.assertEqual(digest(self.path(f"whole-{f}")), digest(self.path(f"merged-{f}")), f)

    def test_pictures_of_substitutions(self):
        s = heldout_bases(120)
        self.write("in.fa", fasta([("a", s[:40]), ("one", "A"), ("e", ""), ("b", s[40:70]), ("n", "NNN")]))
        self.pipeline("{plugin: fasta, path: in.fa}", f"{{path: {SMALL}, task: mutate, window: 5}}",
                      [("heatmap", "x.svg"), ("hdf5", "x.h5"), ("table", "x.tsv"), ("npy", "x.npy"),
                       ("safetensors", "x.safetensors")])
        self.same(3)

    def test_gaps_that_were_filled(self):
        s = heldout_bases(600)
        self.write("in.fa", fasta([("a", s[:100] + "N" + s[101:200]), ("one", "N"), ("e", ""),
                                   ("b", s[200:260].lower() + "NNNN" + s[260:300]), ("long", "N" * 80)]))
        self.pipeline("{plugin: fasta, path: in.fa}",
                      f"{{path: {SMALL}, task: impute, max_gap: 50, window: 9, search: sample, seed: 4}}",
                      [("fasta", "x.fa"), ("vcf", "x.vcf.gz, write_index: true"), ("text", "x.txt")])
        self.same(3, sides=["x.vcf.gz.tbi"])

    def test_a_model_that_reads_both_ways(self):
        caduceus_folder(self.path("ph"), rcps=False)
        self.pipeline(self.records(), "{path: ph, task: score, mode: masked, mask_every: 4}",
                      [("bigwig", "x.bw"), ("hdf5", "x.h5")], codec="{plugin: bases, vocab: caduceus}")
        self.same(3)

    def test_events_and_pages_of_sound(self):
        self.write("cut.yaml", HEAD + "reader: {plugin: audio, path: share:data/chirps.wav, start: 1s, duration: 0.7s}\n"
                   "writer: {plugin: audio, path: b.wav}\n")
        self.ok("run", "cut.yaml", "-q")
        self.pipeline("{plugin: audio, path: ['share:data/chirps.wav', b.wav]}",
                      "{path: share:models/digits, task: classify, every: 250ms}",
                      [("labels", "x.rttm"), ("labels", "x.jsonl"), ("labels", "x.selections.txt"), ("report", "x.html"),
                       ("table", "x.tsv")], codec=None)
        self.same(2)

    def test_an_output_for_each_input(self):
        for name in "ab":
            self.write(f"{name}.fa", fasta([(name, heldout_bases(40)), (name + "2", heldout_bases(90)[40:])]))
        self.pipeline("{plugin: fasta, path: [a.fa, b.fa]}", f"{{path: {SMALL}, task: score}}", [("table", "'{stem}.tsv'")])
        self.ok("run", "p.yaml", "-q", "-o", "whole-{stem}.tsv")
        for i in 1, 2:
            self.ok("run", "p.yaml", "-q", "--shard", f"{i}/2", "-o", f"s{i}-{{stem}}.tsv")
        for name in "ab":
            self.ok("merge", f"s1-{name}.tsv", f"s2-{name}.tsv", "-o", "merged-{stem}.tsv")
            self.assertEqual(digest(self.path(f"whole-{name}.tsv")), digest(self.path(f"merged-{name}.tsv")))
            self.ok("run", "p.yaml", "-q", "--shard", f"{'ab'.index(name) + 1}/2", "-o", f"all{name}.tsv")
        self.fails(64, "merge", "alla.tsv", "allb.tsv", "-o", "{stem}.tsv", says="a file for each of 2 inputs")

    def variants(self, strand):
        bases = heldout_bases(5000)
        contigs = [("a", bases[:700]), ("b", bases[700:1100]), ("c", bases[1100:1500])]
        self.write("ref.fa", fasta(contigs))
        lines = "##fileformat=VCFv4.2\n" + "".join(f"##contig=<ID={n},length={len(s)}>\n" for n, s in contigs)
        lines += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        for n, s in contigs:
            for p in (3, 40, 41, 200, 399):
                alts = "ACGT".replace(s[p], "")[:1 + p % 2]
                lines += f"{n}\t{p + 1}\t.\t{s[p]}\t{','.join(alts)}\t.\t.\t.\n"
            lines += f"{n}\t400\t.\t{s[399]}\t<DEL>\t.\t.\t.\n"
        self.write("v.vcf", lines)
        self.pipeline("{plugin: vcf, path: v.vcf, reference: ref.fa}",
                      f"{{path: {MODEL_AT}, task: variant, window: 30, strand: '{strand}'}}",
                      [("vcf", "x.vcf.gz, write_index: true"), ("vcf", "x.bcf, write_index: true"), ("table", "x.tsv")])

    def test_variants_by_contig(self):
        for strand in ("both", "+", "-"):
            with self.subTest(strand=strand):
                self.setUp()
                self.variants(strand)
                self.same(2, sides=["x.vcf.gz.tbi", "x.bcf.csi"])

    def test_sound(self):
        self.files = ["x.wav"]
        self.write("p.yaml", HEAD + "reader: {plugin: audio, path: share:data/chirps.wav, rate: 16000}\n"
                   "codec: {plugin: mulaw, variant: sashimi}\nwriter: {plugin: audio, path: x.wav}\n")
        self.same(2)

    # --- resumed ------------------------------------------------------------------------------------------------------

    def test_a_stopped_shard_goes_on(self):
        n = 8000 if SANITIZED else 36000
        bases = heldout_bases(6 * n)
        self.write("in.fa", fasta([(f"r{i}", bases[n * i:n * i + n - 40 * i]) for i in range(6)]))
        self.pipeline("{plugin: fasta, path: in.fa}", f"{{path: {MODEL_AT}, task: score, chunk: 512}}",
                      [("hdf5", "x.h5"), ("table", "x.tsv")])
        self.ok("run", "p.yaml", "-q", *self.to("whole"))
        self.shard(1, 2)
        args = ["run", "p.yaml", "-q", "--shard", "2/2", *self.to("s2")]
        stops, before = 0, 0
        while stops < 4:
            p = self.start(*args, *(["--resume"] if stops else []), env={"MAMBASEQ_JOURNAL_EVERY": "0.01"})
            before = self.stop_behind_a_journal(p, before)
            if before == 0:
                break
            stops += 1
        self.assertGreater(stops, 0, "the stops came too late to mean anything")
        if p.returncode != 0:
            p = self.run_(*args, "--resume")
        self.assertEqual(p.returncode, 0)
        self.merge([self.part(1), self.part(2)])
        for f in self.files:
            self.assertEqual(digest(self.path(f"whole-{f}")), digest(self.path(f"merged-{f}")), f)

    # --- what is wrong ------------------------------------------------------------------------------------------------

    def simple(self, n=2):
        self.write("in.fa", fasta([("a", "ACGTACGT"), ("b", "GATTACA"), ("c", "CCGT")]))
        self.pipeline("{plugin: fasta, path: in.fa}", f"{{path: {MODEL_AT}, task: score}}", [("table", "x.tsv")])
        for i in range(1, n + 1):
            self.shard(i, n)

    def test_words_that_are_no_shard(self):
        self.simple(0)
        for word, says in (("3/2", "there is no shard 3 of 2"), ("0/2", "i goes from 1 to n"), ("1/0", "n goes from 1"),
                           ("two", "not i/n, as in --shard 2/8"), ("1/2/3", "not i/n"), ("1", "not i/n"),
                           ("-1/2", "not i/n"), ("1/99999999999999999999", "not i/n"), ("", "is empty")):
            self.fails(64, "run", "p.yaml", "--shard", word, "-o", "y.tsv", says=says)

    def test_what_cannot_be_shared_out(self):
        self.simple(0)
        self.fails(64, "run", "p.yaml", "-i", "-", "--shard", "1/2", "-o", "y.tsv", says="an input is a pipe")
        self.fails(64, "run", "p.yaml", "--shard", "1/2", "-o", "-", says="no output is a file")
        self.fails(64, "run", "share:pipelines/genomics/generate.yaml", "--shard", "1/2", "-o", "y.txt", "--set",
                   "model.save_state=s.bin", says=["save_state keeps the state behind one prompt", "run it as it is"])
        self.fails(64, "run", "share:pipelines/genomics/compress.yaml", "-i", "in.fa", "--shard", "1/2", "-o", "y.mbz",
                   says="one stream")
        with open(self.path("p.yaml")) as f:
            self.fails(64, "run", "-", "--shard", "1/2", "-o", "y.tsv", stdin=f.read(),
                       says="the pipeline comes from standard input")

    def test_shards_that_are_missing_or_twice(self):
        self.simple(3)
        a, b, c = (self.part(i) for i in (1, 2, 3))
        self.fails(65, "merge", a, c, "-o", "m.tsv", says=["shard 2 of 3 is missing", "--shard 2/3"])
        self.fails(65, "merge", a, b, b, c, "-o", "m.tsv", says=["it is shard 2 of 3, and so is"])
        self.fails(66, "merge", a, b, "nothing.tsv", "-o", "m.tsv", says="nothing.tsv.shard is not there")
        self.fails(66, "merge", a, b, "p.yaml", "-o", "m.tsv", says="it is no shard of a run")
        self.fails(64, "merge", a, b, c, says="-o")
        self.fails(64, "merge", a, b, c, "-o", a, "--force", says="is the input and the output")
        self.fails(64, "merge", a, b, c, "-o", a + ".shard", "--force")
        self.ok("merge", a + ".shard", b, c, "-o", "m.tsv")
        self.fails(73, "merge", a, b, c, "-o", "m.tsv", says="--force")
        self.ok("merge", a, b, c, "-o", "m.tsv", "--force")
        self.assertIn(b"r", self.ok("merge", a, b, c, "-o", "-").stdout)

    def test_shards_of_other_runs(self):
        self.simple(2)
        one, two = self.part(1), self.part(2)
        self.shard(2, 2, "flank", "--set", "codec.iupac=skip")
        self.fails(78, "merge", one, "flank-x.tsv", "-o", "m.tsv", says=["the pipeline differs", "iupac: skip"])
        self.shard(3, 3, "third")
        self.fails(78, "merge", one, "third-x.tsv", "-o", "m.tsv", says=["it is shard 3 of 3", "shard 1 of 2"])
        self.shard(2, 2, "small", "-m", "share:models/ecoli-small")
        self.fails(78, "merge", one, "small-x.tsv", "-o", "m.tsv", says=["differs", "ecoli-small"])
        self.ok("run", "p.yaml", "--shard", "2/2", "-o", "ref.tsv", env={"MAMBASEQ_CPU": "ref"})
        self.fails(78, "merge", one, "ref.tsv", "-o", "m.tsv", says=["the arithmetic differs", "cpu/ref/f32"])
        self.fails(78, "merge", one, two, "-o", "m.tsv", "--set", "codec.iupac=skip", says="the pipeline differs")

    def test_an_input_that_has_changed(self):
        self.simple(2)
        parts = [self.part(1), self.part(2)]
        for text, says in (([("a", "ACGTACGT"), ("b", "GATTACC"), ("c", "CCGT")], "'b' had other tokens"),
                           ([("a", "ACGTACGT"), ("c", "GATTACA"), ("b", "CCGT")], "'c' stands where another one was"),
                           ([("a", "ACGTACGT"), ("b", "GATTACAA"), ("c", "CCGT")], "'b'"),
                           ([("a", "ACGTACGT"), ("b", "GATTACA")], "2 records, and had more"),
                           ([("a", "ACGTACGT"), ("b", "GATTACA"), ("c", "CCGT"), ("d", "A")], "'d' was not there")):
            self.write("in.fa", fasta(text))
            self.fails(65, "merge", *parts, "-o", "m.tsv", says=["the input is another", says])
        os.unlink(self.path("in.fa"))
        self.fails(66, "merge", *parts, "-o", "m.tsv", says="in.fa")

    def test_edits_that_have_changed(self):
        self.variants("both")
        for i in (1, 2):
            self.shard(i, 2)
        with open(self.path("v.vcf")) as f:
            text = f.read()
        rest = ["-o", "m.vcf.gz", "--set", "writer.1.path=m.bcf", "--set", "writer.2.path=m.tsv"]
        parts = [self.part(1), self.part(2)]
        self.write("v.vcf", text.replace("<DEL>", "<INS>", 1))
        self.fails(65, "merge", *parts, *rest, says="had other edits")
        self.write("v.vcf", "".join(text.splitlines(True)[:-1]))
        self.fails(65, "merge", *parts, *rest, says="had more edits")

    def test_damaged_shards(self):
        self.simple(2)
        path = self.path(self.part(2) + ".shard")
        with open(path, "rb") as f:
            good = f.read()
        rng = random.Random(5)
        cuts = [0, 7, 8, 12, len(good) // 2, len(good) - 1]
        for bad in [good[:k] for k in cuts] + [bytes(b ^ 1 << rng.randrange(8) if i == k else b for i, b in enumerate(good))
                                                for k in rng.sample(range(8, len(good)), 12)]:
            with open(path, "wb") as f:
                f.write(bad)
            r = self.run_("merge", self.part(1), self.part(2), "-o", "m.tsv")
            self.assertIn(r.returncode, (65, 66, 71, 78), r.stderr.decode())
            self.assertFalse(os.path.exists(self.path("m.tsv")))


if __name__ == "__main__":
    main()
