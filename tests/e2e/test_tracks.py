#!/usr/bin/env python3
"""The writers `bigwig` and `bedgraph`: base for base what the HDF5 track holds, read back by other people's programs."""
import math

from support import *

try:
    import h5py
    import numpy
    import pyBigWig
except ImportError:
    pyBigWig = None

PIPELINE = f"""mambaseq: 1
reader: {{plugin: fasta, path: in.fa}}
codec:  {{plugin: bases}}
model:  {{path: small, task: score}}
writer:
  - {{plugin: hdf5, path: s.h5}}
  - {{plugin: bigwig, path: s.bw}}
  - {{plugin: bedgraph, path: s.bg.gz}}
"""


def gapped(n):
    """Bases of which every third is an N: every two that are scored are a run of their own."""
    return "".join(c if i % 3 else "N" for i, c in enumerate(heldout_bases(n)))


@unittest.skipUnless(pyBigWig, "python3-pybigwig or python3-h5py is missing")
class Tracks(Scratch):
    def setUp(self):
        super().setUp()
        self.use_small_model()
        self.write("track.yaml", PIPELINE)

    def track(self, *sets, more=(), force="--force"):
        args = [w for s in sets for w in ("--set", s)]
        return self.ok("run", "track.yaml", "-q", force, *args, *more)

    def values(self, h5="s.h5"):
        """(name, start, values) of all records."""
        with h5py.File(self.path(h5)) as f:
            offset, lp = f["records/offset"][:], f["score/logprob"][:]
            names, start = f["records/name"].asstr()[:], f["records/start"][:]
            return [(n, int(start[i]), lp[offset[i]:offset[i + 1]]) for i, n in enumerate(names)]

    def genome(self, contigs):
        """The HDF5 track laid on its contigs, absent: NaN."""
        out = {name: numpy.full(length, numpy.nan, "f4") for name, length in contigs}
        for name, start, v in self.values():
            out[name][start:start + len(v)] = v
        return out

    def check(self, contigs, scale=1.0):
        bw = pyBigWig.open(self.path("s.bw"))
        self.assertEqual(bw.chroms() or {}, dict(contigs))
        genome = self.genome(contigs)
        for name, length in contigs:
            if length == 0:
                continue
            want = genome[name] if scale == 1.0 else (genome[name].astype("f8") * scale).astype("f4")
            got = numpy.array(bw.values(name, 0, length, numpy=True), "f4")
            numpy.testing.assert_array_equal(got, want, name)
        text = subprocess.run(["bgzip", "-dc", "s.bg.gz"], cwd=self.dir, check=True, capture_output=True).stdout.decode()
        drawn = {name: numpy.full(length, numpy.nan, "f4") for name, length in contigs}
        for line in text.splitlines():
            name, start, end, v = line.split("\t")
            self.assertTrue(numpy.isnan(drawn[name][int(start):int(end)]).all(), line)
            drawn[name][int(start):int(end)] = numpy.float32(v)
        for name, _ in contigs:
            want = genome[name] if scale == 1.0 else (genome[name].astype("f8") * scale).astype("f4")
            numpy.testing.assert_array_equal(drawn[name], want, name)
        return bw

    def test_equals_the_hdf5_track_base_for_base(self):
        records = mixed_records(heldout_bases(4200))
        self.write("in.fa", fasta(records))
        self.track()
        bw = self.check([(n.split()[0], len(s)) for n, s in records])
        scored = numpy.concatenate([v for _, _, v in self.values()])
        scored = scored[~numpy.isnan(scored)]
        head = bw.header()
        self.assertEqual(head["nBasesCovered"], len(scored))
        self.assertLess(abs(head["sumData"] - scored.astype("f8").sum()), 1)
        # summaries of the levels against the values
        self.assertGreaterEqual(head["nLevels"], 2)
        for kind, exact in ("max", scored.max()), ("min", scored.min()):
            best = [bw.stats(n.split()[0], type=kind)[0] for n, s in records if s]
            best = [v for v in best if v is not None]
            self.assertEqual(numpy.float32(max(best) if kind == "max" else min(best)), exact)

    def test_in_bits(self):
        self.write("in.fa", fasta([("a", heldout_bases(300))]))
        self.track("writer.bigwig.unit=bits", "writer.bedgraph.unit=bits")
        self.check([("a", 300)], 1 / math.log(2))

    def test_many_contigs_and_many_runs_need_trees_of_several_rows(self):
        few = [(f"contig{(i * 7919) % 1000}", heldout_bases(60)[i % 30:i % 30 + 4]) for i in range(300)]
        self.write("in.fa", fasta(few + [("runs", gapped(900))]))
        self.track()
        bw = self.check([(n, len(s)) for n, s in few] + [("runs", 900)])
        want = self.genome([("runs", 900)] + [(n, len(s)) for n, s in few])["runs"]
        for at in range(0, 900, 97):  # through the index, from anywhere
            got = bw.values("runs", at, min(at + 5, 900))
            numpy.testing.assert_array_equal(numpy.array(got, "f4"), want[at:at + 5])

    @unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
    def test_regions_in_any_order_and_contigs_of_the_header(self):
        self.write("in.fa", fasta([("b", heldout_bases(900)), ("a", heldout_bases(500)), ("never", "ACGT" * 5)]))
        subprocess.run(["samtools", "faidx", "in.fa"], cwd=self.dir, check=True)
        self.track('reader.regions=["b:501-700", "a:1-100", "b:1-100", "a:101-150"]')
        bw = self.check([("b", 900), ("a", 500), ("never", 20)])
        self.assertEqual(bw.header()["nBasesCovered"], 448)  # all but the first of a contig
        r = subprocess.run(["tabix", "s.bg.gz", "b:501-510"], cwd=self.dir, check=True, capture_output=True)
        self.assertEqual(r.stdout.count(b"\n"), 10)
        for f in "s.h5", "s.bw", "s.bg.gz", "s.bg.gz.tbi":
            os.remove(self.path(f))
        self.fails(65, "run", "track.yaml", "-q", "--set", 'reader.regions=["b:1-100", "b:100-120"]',
                   says=["base 100 of 'b' has two values", "bedtools merge"])

    def test_windows_of_both_strands_lie_where_they_belong(self):
        s = heldout_bases(400)
        turned = s[::-1].translate(str.maketrans("ACGT", "TGCA"))
        self.write("g.fa", fasta([("a", s)]))
        self.write("w.bed", "a\t50\t90\tx\t0\t-\na\t200\t260\ty\t0\t+\n")
        sets = ["reader={plugin: bed, path: w.bed, reference: g.fa, flank: 30}"]
        self.track(*sets)
        rows = {name: v for name, _, v in self.values()}
        bw = pyBigWig.open(self.path("s.bw"))
        numpy.testing.assert_array_equal(numpy.array(bw.values("a", 50, 90), "f4"), rows["x"][::-1])
        numpy.testing.assert_array_equal(numpy.array(bw.values("a", 200, 260), "f4"), rows["y"])
        self.assertEqual(bw.chroms(), {"a": 400})
        # the window on the other strand is that of the genome turned round
        self.write("in.fa", fasta([("a", turned)]))
        subprocess.run(["samtools", "faidx", "in.fa"], cwd=self.dir, check=True)
        self.track('reader.regions=["a:311-350"]', "reader.flank=30")
        numpy.testing.assert_array_equal(self.values()[0][2], rows["x"])

    def test_the_same_bytes_for_any_chunk_thread_and_after_a_stop(self):
        self.write("in.fa", fasta([("a", heldout_bases(700)), ("b", "N" + gapped(300)), ("c", "")]))
        files = ("s.bw", "s.bg.gz", "s.bg.gz.tbi")
        seen = set()
        for chunk, threads in ("1", "1"), ("7", "2"), ("65536", "1"):
            self.track(more=("--chunk", chunk, "--threads", threads))
            seen.add(tuple(digest(self.path(f)) for f in files))
        self.assertEqual(len(seen), 1)
        self.write("in.fa", fasta([("x", heldout_bases(12000 if SANITIZED else 60000))]))
        self.track()
        want = [digest(self.path(f)) for f in files]
        for f in files + ("s.h5",):
            os.remove(self.path(f))
        p = self.start("run", "track.yaml", "-q", "--chunk", "256", env={"MAMBASEQ_JOURNAL_EVERY": "0.01"})
        self.assertGreater(self.stop_behind_a_journal(p), 0)
        self.ok("run", "track.yaml", "-q", "--resume")
        self.assertEqual([digest(self.path(f)) for f in files], want)

    def test_standard_output_is_the_text_of_the_file(self):
        self.write("in.fa", fasta(mixed_records(heldout_bases(4200))))
        self.track()
        text = subprocess.run(["bgzip", "-dc", "s.bg.gz"], cwd=self.dir, check=True, capture_output=True).stdout
        out = self.ok("run", "track.yaml", "-q", "--set", "writer={plugin: bedgraph, path: '-'}").stdout
        self.assertEqual(out, text)
        self.ok("run", "track.yaml", "-q", "--set", "writer={plugin: bedgraph, path: plain.bg}")
        with open(self.path("plain.bg"), "rb") as f:
            self.assertEqual(f.read(), text)

    def test_reads_and_standard_output_are_refused(self):
        self.write("in.fa", fasta([("a", heldout_bases(300))]))
        self.write("x.sam", "@SQ\tSN:c1\tLN:100\nr\t0\tc1\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
        if os.path.exists(os.path.join(BUILD, "lib", "mambaseq", "plugins-1", "mbsp_bam.so")):
            self.fails(65, "run", "track.yaml", "-q", "--set", "reader={plugin: bam, path: x.sam}",
                       says=["record 'r' is none of the 1 contigs", "reads have coordinates of their own"])
        self.fails(78, "run", "track.yaml", "-q", "--set", "writer={plugin: bigwig, path: '-'}",
                   says="cannot be written to standard output")

    def test_nothing_scored_is_an_empty_track(self):
        self.write("in.fa", fasta([("a", "NNNN"), ("b", "A")]))
        self.track()
        bw = self.check([("a", 4), ("b", 1)])
        self.assertEqual(bw.header()["nBasesCovered"], 0)

    def test_the_shipped_pipeline(self):
        self.write("in.fa", fasta([("a", heldout_bases(2000))]))
        r = self.ok("run", "share:pipelines/genomics/bigwig.yaml", "-q", "-i", "in.fa", "-o", "g.bw")
        self.assertIn(b"bits_per_base", r.stdout)
        self.assertEqual(pyBigWig.open(self.path("g.bw")).header()["nBasesCovered"], 1999)


class Memory(Scratch):
    @unittest.skipIf(SANITIZED, "a sanitizer's memory grows with what is written")
    def test_it_does_not_grow_with_a_contig_nor_with_its_gaps(self):
        self.ok("model", "init", "tiny", "-o", "tiny")
        self.write("m.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases}\n"
                   "model: {path: tiny, task: score}\nwriter: {plugin: bigwig, path: m.bw}\n")
        piece = "".join(random.Random(4).choices("ACGT", k=59))
        peaks = []
        for lines in (2000, 30000):  # a gap in every line: a run of values of its own, and a block
            self.write("in.fa", ">a\n" + ("N" + piece + "\n") * lines)
            peaks.append(self.peak("run", "m.yaml", "-q", "--force", "-@", "1"))
        self.assertLess(peaks[1], peaks[0] * 1.05 + 300, "KiB")


@unittest.skipUnless(pyBigWig, "python3-pybigwig or python3-h5py is missing")
class Acgt(Scratch):
    """Four tracks, of what is predicted in front of every base."""
    FILES = [f"p.{c}.bw" for c in "ACGT"]

    def setUp(self):
        super().setUp()
        self.write("p.yaml", f"""mambaseq: 1
reader: {{plugin: fasta, path: in.fa}}
codec:  {{plugin: bases}}
model:  {{path: {MODEL}, task: logits}}
writer: {{plugin: acgt, path: p.bw}}
""")
        self.records = mixed_records(heldout_bases(4200))
        self.write("in.fa", fasta(self.records))

    def letters(self, name, length):
        out = []
        for f in self.FILES:
            bw = pyBigWig.open(self.path(f))
            out.append(numpy.array(bw.values(name, 0, length, numpy=True), "f8") if length else numpy.zeros(0))
            bw.close()
        return numpy.array(out)

    def test_the_letter_that_stands_there_has_the_score(self):
        self.write("s.yaml", PIPELINE.replace("path: small", f"path: {MODEL}"))
        for policy in ("unk", "skip"):
            more = ["--set", f"codec.iupac={policy}", "--force"]
            self.ok("run", "s.yaml", *more)
            self.ok("run", "p.yaml", *more)
            bw = pyBigWig.open(self.path("s.bw"))
            for name, s in self.records:
                name = name.split()[0]
                if not s:
                    continue
                four = self.letters(name, len(s))
                score = numpy.array(bw.values(name, 0, len(s), numpy=True), "f8")
                for i, c in enumerate(s.upper()):
                    self.assertEqual(numpy.isnan(four[:, i]).all(), numpy.isnan(score[i]), (policy, name, i))
                    self.assertEqual(numpy.isnan(four[:, i]).any(), numpy.isnan(score[i]), (policy, name, i))
                    if not numpy.isnan(score[i]):
                        self.assertAlmostEqual(four["ACGT".index(c), i], score[i], delta=2e-6)
            bw.close()

    def test_probabilities_any_chunk_shards_and_a_turned_strand(self):
        self.ok("run", "p.yaml", "--set", "writer.value=probability", "--chunk", "7")
        want = {f: digest(self.path(f)) for f in self.FILES}
        self.assertEqual(sorted(f for f in os.listdir(self.dir) if f.endswith(".bw")), self.FILES)
        four = self.letters("last", 1300)
        self.assertTrue(numpy.isnan(four[:, 0]).all())
        self.assertTrue((four[:, 1:].sum(0) < 1 + 1e-6).all() and (four[:, 1:].sum(0) > 0.9).all())
        for i in (1, 2):
            self.ok("run", "p.yaml", "--set", "writer.value=probability", "--shard", f"{i}/2", "-o", f"s{i}.bw")
        self.ok("merge", "s1.A.bw", "s2.A.bw", "-o", "p.bw", "--force")
        self.assertEqual(want, {f: digest(self.path(f)) for f in self.FILES})
        bases = heldout_bases(500)
        self.write("in.fa", fasta([("x", bases)]))
        self.write("w.bed", "x\t100\t300\tw\t0\t-\n")
        self.write("turned.fa", fasta([("x", bases[100:300][::-1].translate(str.maketrans("ACGT", "TGCA")))]))
        self.ok("run", "p.yaml", "--force", "-i", "turned.fa")
        plain = self.letters("x", 200)
        self.ok("run", "p.yaml", "--force", "--set", "reader={plugin: bed, path: w.bed, reference: in.fa, flank: 0}")
        numpy.testing.assert_array_equal(self.letters("x", 500)[:, 100:300], plain[::-1, ::-1])

    def test_all_four_or_none(self):
        self.write("p.G.bw", "mine")
        self.fails(73, "run", "p.yaml", says="p.G.bw")
        self.assertEqual(open_text(self.path("p.G.bw")), "mine")
        os.unlink(self.path("p.G.bw"))
        self.write("bad.fa", ">a\nACGT\n>b\nAC!T\n")
        self.fails(65, "run", "p.yaml", "-i", "bad.fa")
        self.fails(78, "run", "p.yaml", "-o", "-", says="standard output")
        self.fails(78, "run", "p.yaml", "--set", "model.task=score", says="score/f32")


def open_text(path):
    with open(path) as f:
        return f.read()


if __name__ == "__main__":
    main()
