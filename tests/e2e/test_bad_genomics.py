#!/usr/bin/env python3
"""What is wrong with genomic files: exit code, a message with the file and the record or line, nothing under a final name;
and what is odd and right: contigs longer than 2^29, records of one base."""
from support import *

OFFLINE = {"REF_PATH": "/nonexistent", "REF_CACHE": ""}
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
CRAM_END = 38
VCF_HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LONG = 600_000_000  # longer than what .bai and .tbi can say, 2^29
OTHER = dict(zip("ACGT", "CGTA"))


def bgzip(text):
    return subprocess.run(["bgzip", "-c"], input=text.encode(), capture_output=True, check=True).stdout


class Inputs(Scratch):
    def setUp(self):
        super().setUp()
        self.bases = heldout_bases(3000)
        self.ok("model", "init", "tiny", "-o", "tiny")
        self.write("ref.fa", fasta([("chr1", self.bases), ("chr2", self.bases[500:1200]), ("chrM", self.bases[:90])]))

    def pipeline(self, reader, writer="{plugin: table, path: out.tsv}", model="{path: tiny, task: score}"):
        self.write("p.yaml", f"mambaseq: 1\nreader: {reader}\ncodec: {{plugin: bases}}\nmodel: {model}\nwriter: {writer}\n")

    def wrong(self, *says, code=65, more=()):
        """The run fails, says all of this, and leaves nothing behind."""
        return self.fails(code, "run", "p.yaml", "-q", *more, says=says, env=OFFLINE)

    def fine(self, *more):
        self.ok("run", "p.yaml", "-q", "--force", *more, env=OFFLINE)

    def sh(self, *args):
        return subprocess.run(args, cwd=self.dir, check=True, capture_output=True, env=dict(os.environ, **OFFLINE)).stdout

    def snv(self, contig, pos, ref=None, alt=None):
        ref = ref or self.bases[pos - 1]
        return f"{contig}\t{pos}\trs{pos}\t{ref}\t{alt or OTHER[ref]}\t.\t.\t.\n"

    def variants(self, text, out="out.vcf.gz", more=""):
        self.write("v.vcf", text)
        self.pipeline("{plugin: vcf, path: v.vcf, reference: ref.fa%s}" % more,
                      f"{{plugin: vcf, path: {out}, write_index: true}}", "{path: tiny, task: variant, window: 10}")


class Bad(Inputs):
    def test_damaged_tokenizer_files_of_the_model(self):
        """Cut files in a model's folder: refused where they decide, not passed over for another vocabulary."""
        for name in "tokenizer_config.json", "tokenizer.json", "vocab.json":
            for codec in "bases", "kmer":
                self.pipeline("{plugin: fasta, path: ref.fa}")
                self.write("tiny/" + name, '{"model": {"vocab":\n {"A": 7,')
                self.wrong(name + " of the model's folder, line 2: damaged: it ends before its JSON does",
                           more=("--set", f"codec={{plugin: {codec}}}"))
            if name == "tokenizer_config.json":  # which only says what stands around a record, and who made the vocabulary
                self.write("tiny/vocab.txt", "\n".join("abcdefgACGTN"))
                self.fine("--set", "codec.special_tokens=none")
                os.remove(self.path("out.tsv"))
                self.write("tiny/" + name, '{"model_max_length": Infinity, "a": [-Infinity, NaN]}')  # as Python writes it
                self.fine()
                os.remove(self.path("tiny/vocab.txt"))
                os.remove(self.path("out.tsv"))
            os.remove(self.path("tiny/" + name))

    # --- BED and FASTA, which need no other program -------------------------------------------------------------------

    def test_lines_of_a_bed(self):
        for reader, plural in (("{plugin: bed, path: w.bed, reference: ref.fa}", "window"),
                               ("{plugin: fasta, path: ref.fa, regions: w.bed}", "region")):
            self.pipeline(reader)
            for line, says in (("chr1\t-5\t10", "a negative position"), ("chr1\t5\t-10", "a negative position"),
                               ("chr1\t100\t50", "end 50 is not behind start 100"),
                               ("chr1\t50\t50", "end 50 is not behind start 50"),
                               ("chr1\t2990\t3001", "'chr1'"), ("chr1\t4000\t4100", "has 3000 bases"),
                               ("chr1\tx\t10", "not name, start and end"), ("chr1\t1.5\t10", "not name, start and end"),
                               ("chr1\t1e2\t1000", "not name, start and end"), ("chr1\t0x5\t10", "not name, start and end"),
                               ("chr1\t1,000\t2,000", "not name, start and end"), ("chr1\t5", "not name, start and end"),
                               ("chr1\t5\t99999999999999999999", "not name, start and end"),
                               ("nowhere\t5\t10", "is named 'nowhere'"), ("1\t5\t10", "'chr1' is there"),
                               ("MT\t5\t10", "'chrM' is there")):
                with self.subTest(reader=plural, line=line):
                    self.write("w.bed", f"chr1\t0\t10\n{line}\n")
                    self.wrong("w.bed:2", says)
            self.write("w.bed", "# none\n")
            self.wrong("w.bed", f"no {plural} in it")

    def test_a_bed_with_chr_and_a_genome_without(self):
        self.write("ref.fa", fasta([("1", self.bases), ("MT", self.bases[:90])]))
        self.pipeline("{plugin: bed, path: w.bed, reference: ref.fa}")
        for name, theirs in ("chr1", "1"), ("chrM", "MT"):
            self.write("w.bed", f"{name}\t0\t10\n")
            self.wrong("w.bed:1", f"no record of ref.fa is named '{name}'", f"'{theirs}' is there", "'chr'")
        self.pipeline("{plugin: fasta, path: ref.fa, regions: ['chr1:1-10']}")
        self.wrong("region 'chr1:1-10'", "'1' is there", "'chr'")

    def test_two_sequences_of_one_name(self):
        self.write("two.fa", fasta([("a", self.bases[:40]), ("b", self.bases[:9]), ("a", self.bases[40:90])]))
        for writer in "bigwig, path: o.bw", "bedgraph, path: o.bg.gz":
            self.pipeline("{plugin: fasta, path: two.fa}", f"{{plugin: {writer}}}")
            self.wrong("sequence 3 of the input, 'a', has the name of one before it", "rename one")
        with open(self.path("two.fa.fai"), "w") as f:  # and where the names are known from the start
            f.write("a\t40\t3\t60\t61\nb\t9\t47\t60\t61\na\t50\t60\t60\t61\n")
        self.wrong("sequence 3 of the input, 'a', has the name of one before it", "rename one")
        self.pipeline("{plugin: fasta, path: two.fa}")
        self.fine()  # a table has a line for each
        self.assertEqual([r["name"] for r in self.rows()], ["a", "b", "a"])

    def test_blanks_and_control_bytes_of_a_fasta(self):
        self.pipeline("{plugin: fasta, path: x.fa}")
        self.write("x.fa", b"> \tfirst of two\nAC GT\x0bAC\x0c\nGT\x02A\t\n>second\nACG\n")
        r = self.ok("run", "p.yaml", "--force")
        self.assertEqual([(x["name"], x["length"]) for x in self.rows()], [("first", "9"), ("second", "3")])
        self.assertIn("the control byte 0x0b in the sequence of 'first' is passed over", r.stderr.decode())
        os.remove(self.path("out.tsv"))
        for byte, word in ((b"\0", "a NUL byte"), (b"\x1b", "the control byte 0x1b"), (b"\x7f", "the control byte 0x7f")):
            self.write("x.fa", b">a\nACG\n>b\nAC" + byte + b"G\n")
            self.wrong("x.fa:4:3", word, "record 'b' (number 2)")

    def test_a_genome_whose_end_is_missing(self):
        with open(HELDOUT, "rb") as f:
            whole = f.read()
        self.assertEqual(whole[-28:], END)
        self.write("cut.fa.gz", whole[:-28])
        self.write("w.bed", "NC_000913-heldout\t0\t10\n")
        for reader in ("{plugin: fasta, path: cut.fa.gz}", "{plugin: bed, path: w.bed, reference: cut.fa.gz}"):
            self.pipeline(reader)
            self.wrong("cut.fa.gz", "end-of-file block of bgzip is missing")

    # --- variants -----------------------------------------------------------------------------------------------------

    def test_variants_that_are_none(self):
        contigs = "##contig=<ID=chr1,length=3000>\n"
        good = self.snv("chr1", 5)
        head = VCF_HEAD.replace("#CHROM", contigs + "#CHROM")
        for body, says in (
                (good + self.snv("chr1", 10, OTHER[self.bases[9]], "N"), ["chr1:10 (rs10): REF is", "ref.fa has"]),
                (good + self.snv("chr1", 3000, self.bases[2999] + "A", "A"), ["chr1:3000 (rs3000)", "lies outside of the contig's 3000"]),
                (self.snv("chr1", 20) + self.snv("chr1", 10), ["is not sorted: record 2, chr1:10 (rs10)", "bcftools sort"]),
                (good + self.snv("chr2", 1, self.bases[500], "N") + self.snv("chr1", 30),
                 ["is not sorted: record 3, chr1:30 (rs30)", "bcftools sort"]),
                (good + self.snv("1", 10), ["1:10 (rs10)", "ref.fa calls that contig 'chr1'", "--rename-chrs"]),
                (self.snv("MT", 10), ["MT:10 (rs10)", "ref.fa calls that contig 'chrM'"]),
                (self.snv("chr7", 10), ["chr7:10 (rs10)", "that contig is not in ref.fa"]),
                (good + good.replace("\t5\t", "\tx\t"), ["record 2 has a POS that is no number, 'x'", "chr1:5"]),
                (good + good.replace("\t5\t", "\t-5\t"), ["record 2 has a POS that is no number, '-5'"]),
                (good + good.replace("\t5\t", "\t\t"), ["record 2 has a POS that is no number, ''"])):
            for index in "true", "false":
                with self.subTest(body=body, index=index):
                    self.variants(head + body)
                    self.wrong("v.vcf", *says, more=("--set", f"writer.write_index={index}"))

    @unittest.skipUnless(shutil.which("bcftools"), "bcftools is missing")
    def test_variants_whose_end_is_missing(self):
        self.variants(VCF_HEAD.replace("#CHROM", "##contig=<ID=chr1>\n#CHROM") + self.snv("chr1", 5))
        self.sh("bcftools", "view", "-Oz", "-o", "v.vcf.gz", "v.vcf")
        self.sh("bcftools", "view", "-Ob", "-o", "v.bcf", "v.vcf")
        for name in "v.vcf.gz", "v.bcf":
            with open(self.path(name), "rb") as f:
                whole = f.read()
            self.write(name, whole[:-28])
            self.wrong(name, "end-of-file block is missing", "allow_truncated: true", more=("-i", name))
            self.fine("-i", name, "--set", "reader.allow_truncated=true")
            self.assertIn(b"MSQ_LLR=", self.sh("bcftools", "view", "-H", "out.vcf.gz"))
            os.remove(self.path("out.vcf.gz")), os.remove(self.path("out.vcf.gz.tbi"))

    def test_variants_behind_what_an_index_says(self):
        far = VCF_HEAD + self.snv("chr1", 5) + f"chr1\t{LONG}\t.\tA\tC\t.\t.\t.\n"
        self.variants(far, more=", ref_mismatch: mark")
        self.wrong(f"chr1:{LONG}", "a .tbi ends at base 536870912", "write_index: false")
        self.variants(far.replace("#CHROM", "##contig=<ID=chr1,length=3000>\n#CHROM"), "out.bcf", ", ref_mismatch: mark")
        self.wrong(f"chr1:{LONG}", "behind the end of its contig", "write_index: false")
        self.fine("--set", "writer.write_index=false")  # and nothing is lost without one

    # --- reads --------------------------------------------------------------------------------------------------------

    def reads(self, name="x", contig="chr1", more="", length=3000, at=None):
        """NAME.sam and NAME.bam: reads of 50 bases."""
        head = f"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:{contig}\tLN:{length}{more}\n@SQ\tSN:chr2\tLN:700\n"
        body = "".join(f"r{i}\t0\t{contig}\t{p}\t60\t50M\t*\t0\t0\t{self.bases[:50]}\t{'I' * 50}\n"
                       for i, p in enumerate(at or (1, 201, 401)))
        self.write(f"{name}.sam", head + body)
        self.sh("samtools", "view", "--no-PG", "-b", "-o", f"{name}.bam", f"{name}.sam")
        self.pipeline("{plugin: bam, path: %s.bam, isolate: false}" % name, "{plugin: bam, path: out.bam}")

    @unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
    def test_reads_of_another_genome(self):
        self.sh("samtools", "faidx", "ref.fa")
        against = ("--set", "reader.reference=ref.fa")
        self.reads(length=3001)
        self.wrong("'chr1' has 3001 bases in x.bam and 3000 in ref.fa", more=against)
        self.reads(contig="chr9")
        self.wrong("x.bam: read 'r0' lies on 'chr9', which ref.fa does not have", more=against)
        sum_ = hashlib.md5(self.bases.encode()).hexdigest()
        self.reads(more=f"\tM5:{sum_}")
        for form in "x.bam", "x.sam":
            self.fine(*against, "-i", form)
        for f in "out.bam", "out.bam.bai":
            os.remove(self.path(f))
        for other in "0" * 32, sum_[::-1].upper():
            self.reads(more=f"\tM5:{other}")
            for form in "x.bam", "x.sam":
                self.wrong(f"'chr1' of ref.fa is another sequence than that of {form}: MD5 {sum_}, and M5 {other}",
                           more=(*against, "-i", form))
        self.reads(more="\tM5:none")  # says nothing
        self.fine(*against)

    @unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
    def test_the_sum_of_a_genome_is_of_capital_letters_in_lines_of_any_width(self):
        s = self.bases[:1000].lower() + "NNRYn" + self.bases[1000:]
        self.write("soft.fa", fasta([("chr2", self.bases[500:1200]), ("chr1", s)], width=71))
        self.sh("bgzip", "-k", "soft.fa")
        self.sh("samtools", "faidx", "soft.fa.gz")
        self.reads(length=len(s), more="\tM5:" + hashlib.md5(s.upper().encode()).hexdigest())
        self.fine("--set", "reader.reference=soft.fa.gz")

    @unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
    def test_reads_with_chr_and_a_genome_without(self):
        self.write("ref.fa", fasta([("1", self.bases), ("2", self.bases[500:1200])]))
        self.sh("samtools", "faidx", "ref.fa")
        self.reads()
        self.wrong("x.bam calls 'chr1' what ref.fa calls '1'", "samtools reheader", more=("--set", "reader.reference=ref.fa"))
        self.write("some.fa", fasta([("1", self.bases), ("chr2", self.bases[500:1200])]))  # and where others are the same
        self.sh("samtools", "faidx", "some.fa")
        self.wrong("x.bam calls 'chr1' what some.fa calls '1'", more=("--set", "reader.reference=some.fa"))
        self.sh("samtools", "index", "x.bam")
        self.wrong("no contig of x.bam is named '1'", "'chr1' is there", more=("--set", "reader.regions=1:1-10"))

    @unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
    def test_reads_whose_end_is_missing(self):
        self.sh("samtools", "faidx", "ref.fa")
        self.reads()
        self.sh("samtools", "view", "-C", "-T", "ref.fa", "-o", "x.cram", "x.bam")
        for name, n in ("x.bam", len(END)), ("x.cram", CRAM_END):
            with open(self.path(name), "rb") as f:
                whole = f.read()
            self.write(name, whole[:-n])
            more = ("-i", name, "--set", "reader.reference=ref.fa")
            self.wrong(name, "end-of-file block is missing", "allow_truncated: true", more=more)
            self.fine(*more, "--set", "reader.allow_truncated=true")
            self.assertEqual(self.sh("samtools", "view", "-c", "out.bam"), b"3\n")
            os.remove(self.path("out.bam")), os.remove(self.path("out.bam.bai"))

    @unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
    def test_a_cram_whose_genome_is_missing_or_another(self):
        self.sh("samtools", "faidx", "ref.fa")
        self.reads()
        self.sh("samtools", "view", "-C", "-T", "ref.fa", "-o", "x.cram", "x.bam")
        self.write("other.fa", fasta([("chr1", self.bases[1:] + "A"), ("chr2", self.bases[500:1200])]))
        self.sh("samtools", "faidx", "other.fa")
        self.wrong("'chr1' of other.fa is another sequence than that of x.cram",
                   more=("-i", "x.cram", "--set", "reader.reference=other.fa"))
        os.rename(self.path("ref.fa"), self.path("moved.fa"))
        os.rename(self.path("ref.fa.fai"), self.path("moved.fa.fai"))
        for isolate in "true", "false":
            self.wrong("x.cram: the sequence of 'chr1' and other contigs is not on this machine", "reference: ref.fa", "REF_PATH",
                       more=("-i", "x.cram", "--set", f"reader.isolate={isolate}", "--set",
                             "writer={plugin: table, path: o.tsv}"))
        self.fine("-i", "x.cram", "--set", "reader.reference=moved.fa")

    @unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
    def test_reads_on_a_contig_longer_than_a_bai_says(self):
        at = (100, (1 << 29) - 10, LONG - 100)
        self.reads(contig="big", length=LONG, at=at)
        self.fine()
        self.assertEqual(sorted(f for f in os.listdir(self.dir) if f.startswith("out")), ["out.bam", "out.bam.csi"])
        self.assertEqual(self.sh("samtools", "view", "-c", "out.bam", f"big:{1 << 29}-"), b"2\n")
        os.rename(self.path("out.bam"), self.path("in.bam"))
        os.rename(self.path("out.bam.csi"), self.path("in.bam.csi"))
        self.fine("-i", "in.bam", "--set", f"reader.regions=big:{(1 << 29) + 1}-{LONG}")
        self.assertEqual(self.sh("samtools", "view", "-c", "out.bam"), b"2\n")
        os.remove(self.path("out.bam")), os.remove(self.path("out.bam.csi"))
        # an old index of a file whose reads all lie in front of its end
        self.reads(contig="big", length=LONG, at=at[:1])
        self.sh("samtools", "index", "-b", "x.bam")
        self.wrong(f"big:{LONG - 200}", "a .bai index ends at base 536870912", "samtools index -c x.bam",
                   more=("--set", f"reader.regions=big:{LONG - 200}-{LONG}"))
        # a header that says less than there is
        self.reads(contig="big", length=600, at=at)
        self.wrong("record 'r1' ends at base", "of 'big', and a .bai at 536870912", "write_index: no")

    @unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
    def test_reads_that_are_not_where_the_header_says(self):
        self.reads(at=(401, 1))
        self.wrong("record 'r1', chr1:1, is not where the sort order in the header says", "samtools sort")
        self.write("x.sam", self.read("x.sam") + "last\t0\tchr2\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
                   "again\t0\tchr1\t900\t60\t4M\t*\t0\t0\tACGT\tIIII\n")
        self.wrong("record 'r1', chr1:1", more=("-i", "x.sam"))

    # --- contigs longer than 2^29, most of which is a hole in the file -------------------------------------------------

    def test_tracks_of_a_contig_longer_than_a_tbi_says(self):
        tail = self.bases[:400]
        with open(self.path("big.fa"), "wb") as f:
            f.write(b">big\n" + self.bases[:100].encode())
            f.seek(5 + LONG - len(tail))
            f.write(tail.encode() + b"\n")
        self.write("big.fa.fai", f"big\t{LONG}\t5\t{LONG}\t{LONG + 1}\n")
        region = f"{{plugin: fasta, path: big.fa, regions: 'big:{LONG - 399}-{LONG}', flank: 0}}"
        self.write("p.yaml", f"mambaseq: 1\nreader: {region}\ncodec: {{plugin: bases}}\nmodel: {{path: tiny, task: score}}\n"
                   "writer:\n  - {plugin: bedgraph, path: o.bg.gz}\n  - {plugin: bigwig, path: o.bw}\n  - {plugin: bedgraph, path: o.bg}\n")
        self.fine()
        self.assertTrue(os.path.exists(self.path("o.bg.gz.csi")))
        lines = self.read("o.bg").splitlines()
        self.assertEqual(lines[-1].split("\t")[2], str(LONG))
        if shutil.which("tabix"):
            found = self.sh("tabix", "o.bg.gz", f"big:{LONG - 9}-{LONG}").decode().splitlines()
            self.assertEqual(found, lines[-10:])
        try:
            import pyBigWig
        except ImportError:
            return
        bw = pyBigWig.open(self.path("o.bw"))
        self.assertEqual(bw.header()["nBasesCovered"], 399)
        self.assertAlmostEqual(bw.values("big", LONG - 1, LONG)[0], float(lines[-1].split("\t")[3]), places=5)


class OneBase(Inputs):
    """A record of one base has nothing in front of it: it is kept, and has no score, by every task and writer."""

    def setUp(self):
        super().setUp()
        self.write("one.fa", ">one\nA\n")

    def many(self, task, *files, reader="{plugin: fasta, path: one.fa}", codec="{plugin: bases}", model="tiny"):
        writers = "".join("  - {plugin: %s, path: %s}\n" % (p, f) for p, f in files)
        self.write("p.yaml", f"mambaseq: 1\nreader: {reader}\ncodec: {codec}\nmodel: {{path: {model}, task: {task}}}\nwriter:\n{writers}")
        self.fine()
        for _, f in files:
            self.assertTrue(os.path.exists(self.path(f.split(",")[0])), f)

    def test_to_every_writer(self):
        for base in "A", "N":
            self.write("one.fa", f">one\n{base}\n")
            arrays = [("hdf5", "o.h5"), ("npy", "o.npy"), ("safetensors", "o.safetensors"), ("table", "out.tsv")]
            self.many("score", *arrays, ("table", "o.jsonl"), ("bigwig", "o.bw"), ("bedgraph", "o.bg.gz"), ("bedgraph", "o.bg"))
            self.assertEqual([(r["name"], r["length"], r["scored"], r["bits_per_base"]) for r in self.rows()],
                             [("one", "1", "0", "nan")])
            self.assertEqual(os.path.getsize(self.path("o.bg")), 0)
            self.many("embed", *arrays)
            self.many("embed, pool: mean", *arrays)
            self.many("logits", *arrays)
            self.ok("run", "p.yaml", "-q", "--force", "--set", "writer={plugin: acgt, path: p.bw}")
            self.many("mutate, window: 5", ("heatmap", "o.svg"), *arrays)
            self.assertTrue(all(self.rows()[0][k] in ("nan", ".") for k in "ACGT"), self.rows())
            self.many("impute, max_gap: 9, window: 5", ("fasta", "o.fa"), ("vcf", "o.vcf.gz, write_index: true"), ("text", "o.txt"))
            self.many("generate, max_new_tokens: 3, seed: 1", ("fasta", "o.fa"), ("text", "o.txt"))
        caduceus_folder(self.path("ph"), rcps=False)
        self.write("one.fa", ">one\nA\n")
        self.many("score, mode: masked", ("table", "out.tsv"), codec="{plugin: bases, vocab: caduceus}", model="ph")
        self.assertEqual(self.rows()[0]["scored"], "1")  # which needs nothing in front of it
        self.many("embed", ("hdf5", "o.h5"), codec="{plugin: bases, vocab: caduceus}", model="ph")

    def test_as_variant_window_read_and_archive(self):
        head = VCF_HEAD.replace("#CHROM", "##contig=<ID=one,length=1>\n#CHROM")
        for alt, why in ("C", "first"), ("AC", "first"), ("<DEL>", "symbolic"), ("*", "symbolic"):
            self.write("v.vcf", head + f"one\t1\t.\tA\t{alt}\t.\t.\t.\n")
            self.many("variant, window: 10", ("vcf", "o.vcf"), ("vcf", "o.vcf.gz, write_index: true"), ("vcf", "o.bcf, write_index: true"),
                      reader="{plugin: vcf, path: v.vcf, reference: one.fa}")
            body = [x for x in self.read("o.vcf").splitlines() if x[0] != "#"]
            self.assertEqual(body, [f"one\t1\t.\tA\t{alt}\t.\t.\tMSQ_LLR=.;MSQ_WHY={why}"])
        for strand in "+-":
            self.write("w.bed", f"one\t0\t1\tw\t0\t{strand}\n")
            for flank in "0", "all":
                reader = f"{{plugin: bed, path: w.bed, reference: one.fa, flank: {flank}}}"
                self.many("score", ("table", "out.tsv"), ("bigwig", "o.bw"), reader=reader)
                self.assertEqual([(r["name"], r["scored"]) for r in self.rows()], [("w", "0")])
                self.many("embed, pool: mean", ("hdf5", "o.h5"), reader=reader)
        self.write("x.sam", "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:one\tLN:1\nr\t16\tone\t1\t60\t1M\t*\t0\t0\tA\tI\n"
                   "q\t4\t*\t0\t0\t*\t*\t0\t0\t*\t*\n")
        self.many("score", ("bam", "o.sam, write_index: no"), ("bam", "o.bam"), reader="{plugin: bam, path: x.sam, isolate: false}")
        tags = [x.split("\t")[11:] for x in self.read("o.sam").splitlines() if x[0] != "@"]
        self.assertEqual(tags, [["ln:i:0"], ["ln:i:0"]])
        self.ok("run", "share:pipelines/genomics/compress.yaml", "-q", "-i", "one.fa", "-o", "one.mbz")
        back = self.ok("run", "share:pipelines/genomics/decompress.yaml", "-q", "-i", "one.mbz", "-o", "-").stdout
        self.assertEqual(back, b">one\nA\n")


if __name__ == "__main__":
    main()
