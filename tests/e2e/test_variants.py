#!/usr/bin/env python3
"""Task variant from a VCF to a VCF: likelihoods bit-equal to streaming the contig with the allele in it, every record
kept, and what is wrong with an input said."""
import array
import random
import resource

from support import *

PIPELINE = """mambaseq: 1
reader: {plugin: vcf, path: v.vcf, reference: ref.fa}
codec: {plugin: bases}
model: {path: small, task: variant, window: 100}
writer:
  - {plugin: vcf, path: out.vcf}
  - {plugin: table, path: out.tsv}
"""
OTHER = str.maketrans("ACGTN", "TGCAN")


def turned(s):
    return s[::-1].translate(OTHER)


def f32(x):
    return array.array("f", [x])[0]


def header(contigs, more=""):
    lines = "".join(f"##contig=<ID={n},length={len(s)}>\n" for n, s in contigs)
    return f"##fileformat=VCFv4.2\n{lines}{more}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def line(contig, pos, ref, alts, name="."):
    return f"{contig}\t{pos + 1}\t{name}\t{ref}\t{','.join(alts)}\t30\tPASS\t.\n"


def cases(contigs, n, seed):
    """Of every kind of variant some: (contig, 0-based position, REF, ALTs), sorted."""
    rng = random.Random(seed)
    out = []
    for name, s in contigs:
        for p in sorted(rng.sample(range(1, len(s) - 20), n)):
            if "N" in s[p:p + 12]:
                continue
            other = [x for x in "ACGT" if x != s[p]]
            some = "".join(rng.choice("ACGT") for _ in range(rng.randint(1, 9)))
            ref, alts = rng.choice([(s[p], rng.sample(other, rng.randint(1, 3))), (s[p], other[:1]),
                                    (s[p], [s[p] + some]), (s[p:p + rng.randint(2, 12)], [s[p]]),
                                    (s[p:p + 3], [rng.choice(other) + some]), (s[p:p + 2], ["*", s[p] + some, "<DEL>"])])
            out.append((name, p, ref, alts))
        out.append((name, len(s) - 1, s[-1], [turned(s[-1])]))
    return out


class Variants(Scratch):
    def setUp(self):
        super().setUp()
        self.use_small_model()
        bases = heldout_bases(60000)
        self.contigs = [("a", bases[:900] + "N" * 30 + bases[930:1500]), ("b", bases[50000:50300])]
        self.write("ref.fa", fasta(self.contigs))
        self.write("p.yaml", PIPELINE)

    def give(self, records, name="v.vcf", more=""):
        text = header(self.contigs, more) + "".join(line(*r, name=f"rs{i}") for i, r in enumerate(records))
        return self.write(name, text)

    def variants(self, *more):
        return self.ok("run", "p.yaml", "--force", *more)

    def table(self):
        with open(self.path("out.tsv")) as f:
            lines = f.read().splitlines()
        return [dict(zip(lines[0].split("\t"), x.split("\t"))) for x in lines[1:]]

    def score_all(self, sequences):
        """Log-probabilities of whole sequences, by name."""
        import h5py
        self.write("all.fa", fasta(list(sequences.items())))
        self.score("all.fa", "all.h5", "all.tsv", "-q")
        with h5py.File(self.path("all.h5")) as f:
            names = [x.decode() for x in f["records/name"][:]]
            offset = f["records/offset"][:]
            lp = f["score/logprob"][:]
            return {x: [float(v) for v in lp[offset[i]:offset[i + 1]]] for i, x in enumerate(names)}

    def likelihood(self, lp, pos, ref, alt, length, window, other, whole):
        """ln P(ALT) - ln P(REF) from the scores of both sequences, summed as the task sums."""
        shared = 0
        while shared < min(len(ref), len(alt)) and ref[shared] == alt[shared]:
            shared += 1
        follow = min(window, length - pos - len(ref))

        def add(scores, site):
            total = 0.0
            for v in scores[pos + shared:pos + site + follow]:
                total += 0.0 if v != v else v
            return total
        return add(lp[other], len(alt)) - add(lp[whole], len(ref))

    def test_bit_equal_to_streaming_the_contig_with_the_allele_in_it(self):
        try:
            import h5py  # noqa: F401
        except ImportError:
            self.skipTest("h5py is not installed")
        records = cases(self.contigs, 8 if SANITIZED else 26, 5)
        self.give(records)
        self.variants("-q")
        sequences = {}
        for name, s in self.contigs:
            sequences[f"{name}+"] = s
            sequences[f"{name}-"] = turned(s)
        todo = []
        for name, p, ref, alts in records:
            s = dict(self.contigs)[name]
            for alt in alts:
                key = f"v{len(todo)}"
                todo.append((name, p, ref, alt, key))
                if alt.isalpha():
                    sequences[key + "+"] = s[:p] + alt + s[p + len(ref):]
                    sequences[key + "-"] = turned(s[:p] + alt + s[p + len(ref):])
        lp = self.score_all(sequences)
        rows = self.table()
        self.assertEqual(len(rows), len(todo))
        checked = 0
        for row, (name, p, ref, alt, key) in zip(rows, todo):
            length = len(dict(self.contigs)[name])
            self.assertEqual([row[k] for k in ("name", "start", "ref", "alt")], [name, str(p), ref, alt])
            if not alt.isalpha():
                self.assertEqual((row["llr"], row["reason"]), (".", "symbolic"))
                continue
            if p == length - 1:  # the first base of strand -
                self.assertEqual((row["llr"], row["reason"]), (".", "first"))
                continue
            plus = self.likelihood(lp, p, ref, alt, length, 100, key + "+", name + "+")
            minus = self.likelihood(lp, length - p - len(ref), turned(ref), turned(alt), length, 100, key + "-",
                                    name + "-")
            self.assertEqual((f32(float(row["llr_plus"])), f32(float(row["llr_minus"])), f32(float(row["llr"]))),
                             (f32(plus), f32(minus), f32(0.5 * (plus + minus))), row)
            checked += 1
        self.assertGreaterEqual(checked, 10 if SANITIZED else 50)

    def test_pieces_threads_and_strands_say_the_same(self):
        self.give(cases(self.contigs, 12, 9))
        self.variants("-q", "--chunk", "7", "--threads", "1")
        first = digest(self.path("out.vcf")), digest(self.path("out.tsv"))
        both = self.table()
        self.variants("-q", "--chunk", "100000", "--threads", "2")
        self.assertEqual((digest(self.path("out.vcf")), digest(self.path("out.tsv"))), first)
        for strand, column in (("+", "llr_plus"), ("-", "llr_minus")):
            self.variants("-q", "--set", f"model.strand='{strand}'")
            alone = self.table()
            self.assertEqual([r["alt"] for r in alone], [r["alt"] for r in both])
            self.assertEqual([r[column] for r in alone], [r[column] for r in both])
            self.assertEqual([r["llr"] for r in alone], [r[column] for r in both])

    def test_steps_are_counted(self):
        s = dict(self.contigs)["a"]
        self.give([("a", 200, s[200], ["A" if s[200] != "A" else "C"])])
        text = self.variants().stderr.decode()
        # each strand: to the end of the window behind the only site, and 1 + 100 for the allele
        self.assertIn(f"{200 + 1 + 100 + 1500 - 200 + 100:,} steps for the stream and 202 steps for edits", text)

    @unittest.skipUnless(shutil.which("bcftools"), "bcftools is missing")
    def test_every_record_stays_in_every_type_of_file(self):
        records = cases(self.contigs, 15, 3)
        records.insert(2, (records[1][0], records[1][1], records[1][2], ["."]))
        self.give(records)
        self.ok("run", "p.yaml", "-q", "--set", "writer.0.path=plain.vcf")
        subprocess.run(["bcftools", "view", "-Ob", "-o", self.path("in.bcf"), self.path("v.vcf")], check=True)
        for name, index in (("o.vcf.gz", ".tbi"), ("o.bcf", ".csi")):
            self.ok("run", "p.yaml", "-q", "-i", "in.bcf", "--force", "--set", f"writer.0.path={name}", "--set",
                    "writer.0.write_index=true")
            def sites(path):
                r = subprocess.run(["bcftools", "query", "-f", "%CHROM %POS %ID %REF %ALT %MSQ_LLR %MSQ_WHY\\n",
                                    self.path(path)], capture_output=True, check=True)
                return r.stdout.decode().splitlines()
            self.assertEqual(sites(name), sites("plain.vcf"))
            self.assertEqual([x.split()[:5] for x in sites(name)],
                             [[c, str(p + 1), f"rs{i}", ref, ",".join(alts)]
                              for i, (c, p, ref, alts) in enumerate(records)])
            self.assertTrue(os.path.exists(self.path(name + index)))
            one = subprocess.run(["bcftools", "view", "-H", "-r", "b", self.path(name)], capture_output=True, check=True)
            self.assertEqual(one.stdout.count(b"\n"), sum(r[0] == "b" for r in records))
        with open(self.path("plain.vcf")) as f:
            text = f.read()
        self.assertIn("MSQ_WHY=no_alt", text)
        self.assertIn("over the site and the 100 following bases, mean of both strands", text)
        self.assertIn("##mambaseq_Command=mambaseq run mambaseq: 1", text)
        # annotated once more, the values are the new ones and stand there once
        self.ok("run", "p.yaml", "-q", "-i", "plain.vcf", "--force", "--set", "model.window=10", "--set", "model.strand='+'")
        with open(self.path("out.vcf")) as f:
            again = f.read()
        self.assertIn("the 10 following bases, strand + only", again)
        self.assertEqual(again.count("##INFO=<ID=MSQ_LLR,"), 1)
        self.assertEqual(sum(x.count("MSQ_LLR=") > 1 for x in again.splitlines()), 0)

    def test_undeclared_tags_and_contigs(self):
        s = self.contigs[0][1]
        alt = "A" if s[50] != "A" else "C"
        self.write("v.vcf", "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
                   f"a\t51\t.\t{s[50]}\t{alt}\t.\t.\tNEW=7\n" f"b\t2\t.\t{self.contigs[1][1][1]}\t.\t.\t.\tXX=1\n")
        self.variants("-q")
        with open(self.path("out.vcf")) as f:
            body = [x for x in f.read().splitlines() if x[0] != "#"]
        self.assertTrue(body[0].startswith(f"a\t51\t.\t{s[50]}\t{alt}\t.\t.\tNEW=7;MSQ_LLR="), body)
        self.assertTrue(body[1].startswith("b\t2\t") and "XX=1" in body[1], body)

    def test_bad_inputs(self):
        a = self.contigs[0][1]
        good = [("a", 10, a[10], ["ACGT"[("ACGT".index(a[10]) + 1) % 4]]), ("a", 40, a[40], ["<DEL>"])]
        wrong = "ACGT"[("ACGT".index(a[70]) + 1) % 4]
        self.give(good[::-1])
        self.fails(65, "run", "p.yaml", says=["is not sorted", "a:11 (rs1)", "bcftools sort"])
        self.give(good + [("a", 70, wrong, [a[70]])])
        self.fails(65, "run", "p.yaml", says=["a:71 (rs2)", f"REF is {wrong}", "ref_mismatch: mark"])
        self.variants("-q", "--set", "reader.ref_mismatch=mark")
        self.assertEqual([r["reason"] for r in self.table()], [".", "symbolic", "mismatch"])
        os.remove(self.path("out.vcf")), os.remove(self.path("out.tsv"))
        self.give(good + [("a", 1499, a[1499] + "AC", ["G"])])
        self.fails(65, "run", "p.yaml", says=["lies outside of the contig's 1500 bases"])
        self.write("v.vcf", header([]) + line("chra", 10, a[10], ["G"]))
        self.fails(65, "run", "p.yaml", says=["calls that contig 'a'", "--rename-chrs"])
        self.write("v.vcf", header([("a", a + "A")]) + line(*good[0]))
        self.fails(65, "run", "p.yaml", says=["has 1501 bases in the header", "1500"])
        self.write("v.vcf", header([]) + "a\t11\tnothing\n")
        self.fails(65, "run", "p.yaml", says=["record 1", "behind the header"])
        self.write("v.vcf", "chr1\t5\n")
        self.fails(65, "run", "p.yaml", says=["is no VCF or BCF file"])
        self.fails(66, "run", "p.yaml", "-i", "nowhere.vcf")
        self.give(good)
        with open(self.path("v.vcf")) as f:
            text = f.read()
        self.fails(78, "run", "p.yaml", "-i", "-", stdin=text, says=["read twice", "strand: '+'"])
        self.ok("run", "p.yaml", "-q", "-i", "-", "--set", "model.strand='+'", stdin=text)
        os.remove(self.path("out.vcf")), os.remove(self.path("out.tsv"))
        self.fails(78, "run", "p.yaml", "--set", "writer.0.path=x.zzz", says=["its name says no type"])
        self.fails(78, "run", "p.yaml", "--set", "reader={plugin: fasta, path: ref.fa}", "--set",
                   "writer={plugin: table, path: out.tsv}", says=["task variant needs a reader that tells edits"])
        self.fails(78, "run", "p.yaml", "--set", "model.task=score", "--set", "writer={plugin: table, path: out.tsv}",
                   says=["'window' is for models that take whole records and for tasks variant, mutate and impute"])

    @unittest.skipUnless(shutil.which("bgzip"), "bgzip is missing")
    def test_a_file_that_was_cut_off(self):
        self.give(cases(self.contigs, 12, 1))
        subprocess.run(["bgzip", "-k", self.path("v.vcf")], check=True)
        with open(self.path("v.vcf.gz"), "rb") as f:
            whole = f.read()
        self.write("cut.vcf.gz", whole[:-28])
        self.fails(65, "run", "p.yaml", "-i", "cut.vcf.gz", says=["end-of-file block is missing", "allow_truncated"])
        self.ok("run", "p.yaml", "-q", "-i", "cut.vcf.gz", "--set", "reader.allow_truncated=true")
        os.remove(self.path("out.vcf")), os.remove(self.path("out.tsv"))
        self.write("half.vcf.gz", whole[:len(whole) // 2])
        self.fails(65, "run", "p.yaml", "-i", "half.vcf.gz", "--set", "reader.allow_truncated=true",
                   says=["damaged"])
        with open(self.path("v.vcf")) as f:
            text = f.read().rstrip("\n")
        last = text.rindex("\n") + 1
        self.write("short.vcf", text[:last] + "\t".join(text[last:].split("\t")[:5])[:-1])
        self.fails(65, "run", "p.yaml", "-i", "short.vcf", says=["has 5 of the 8 columns", "cut off or damaged"])

    def test_no_records(self):
        self.give([])
        self.variants("-q")
        with open(self.path("out.vcf")) as f:
            text = f.read()
        self.assertIn("##INFO=<ID=MSQ_LLR,", text)
        self.assertTrue(text.splitlines()[-1].startswith("#CHROM"))

    def test_a_masked_model_compares_what_stands_at_the_site(self):
        caduceus_folder(self.path("ph"), rcps=False)
        self.write("ph/tokenizer_config.json", '{"tokenizer_class": "CaduceusTokenizer"}')  # [SEP] behind a contig
        s = heldout_bases(90)
        self.write("ref.fa", fasta([("c", s)]))
        window = 10
        other = {b: [x for x in "ACGT" if x != b] for b in "ACGT"}
        mnv = other[s[60]][0] + other[s[61]][0]
        variants = [(0, s[0], other[s[0]][:1]), (20, s[20], other[s[20]][:2] + ["<DEL>"]), (40, s[40], [s[40] + "GA"]),
                    (60, s[60:62], [mnv, s[60] + mnv[1]]), (89, s[89], other[s[89]])]
        self.write("v.vcf", header([("c", s)]) + "".join(line("c", *v) for v in variants))
        self.write("p.yaml", PIPELINE.replace("path: small", "path: ph").replace("window: 100", f"window: {window}")
                   .replace("plugin: bases", "plugin: bases, vocab: caduceus"))
        self.fails(78, "run", "p.yaml", "--chunk", "7", says=["'halo' and 'chunk' have no meaning"])
        self.ok("run", "p.yaml")
        with open(self.path("out.vcf")) as f:
            text = f.read()
        self.assertIn("at the site, its bases masked together, seen with 10 bases on both sides, mean of both strands", text)
        got = [x.split("\t") for x in text.splitlines() if not x.startswith("#")]
        self.assertEqual([x[1] for x in got], [str(v[0] + 1) for v in variants])
        info = [dict(e.split("=") for e in x[7].split(";")) for x in got]
        self.assertEqual([i.get("MSQ_WHY") for i in info], [None, ".,.,symbolic", "length", None, None])
        self.write("w.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: w.fa}\ncodec: {plugin: bases, vocab: caduceus}\n"
                             "model: {path: ph, task: score, mode: masked}\nwriter: {plugin: bedgraph, path: '-'}\n")
        for k in (0, 1, 4):
            at, ref, alts = variants[k]
            alts = [a for a in alts if a in "ACGT"]
            pieces = [s[max(0, at - window):at] + b + s[at + 1:at + 1 + window] for b in [ref] + alts]
            where = min(at, window)
            want = [0.0] * len(alts)
            for minus in (0, 1):
                seqs = [turned(x) if minus else x for x in pieces]
                here = len(seqs[0]) - 1 - where if minus else where
                self.write("w.fa", fasta([(str(i), x) for i, x in enumerate(seqs)]))
                lp = {}
                sees_the_end = at < window if minus else at + window >= len(s)
                special = "codec.special_tokens=" + ("auto" if sees_the_end else "none")
                for row in self.ok("run", "w.yaml", "-q", "--set", special).stdout.decode().splitlines():
                    name, a, b, value = row.split("\t")
                    if int(a) <= here < int(b):
                        lp[int(name)] = float(value)
                want = [w + 0.5 * (lp[i + 1] - lp[0]) for i, w in enumerate(want)]
            for w, g in zip(want, info[k]["MSQ_LLR"].split(",")):
                self.assertAlmostEqual(float(g), w, delta=2e-5)
        self.assertEqual(len(info[3]["MSQ_LLR"].split(",")), 2)

    def many(self, n, length=62000):
        """A tiny model, and n SNVs as far apart as a contig of so many bases lets them be."""
        s = "".join(random.Random(3).choices("ACGT", k=length))
        at = [1 + i * (length - 2) // n for i in range(n)]
        self.contigs = [("a", s)]
        self.write("ref.fa", fasta(self.contigs))
        self.give([("a", p, s[p], ["CGTA"["ACGT".index(s[p])]]) for p in at])
        if not os.path.exists(self.path("tiny")):
            self.ok("model", "init", "tiny", "-o", "tiny")
        self.write("p.yaml", PIPELINE.replace("path: small", "path: tiny").replace("window: 100", "window: 1"))

    @unittest.skipIf(SANITIZED, "a sanitizer's memory grows with what is written")
    def test_memory_does_not_grow_with_the_number_of_variants(self):
        peaks = []
        for n in (2000, 60000):
            self.many(n)
            peaks.append(self.peak("run", "p.yaml", "-q", "--force", "-@", "1"))
            self.assertEqual(len(self.table()), n)
        self.assertLess(peaks[1], peaks[0] + 4096, "KiB")  # 2 MiB of records are read ahead; 68 MiB would be all

    def test_no_room_for_what_waits_for_the_other_strand(self):
        self.many(2000)
        self.fails(73, "run", "p.yaml", env={"TMPDIR": self.path("no")}, says=["TMPDIR", "strand -"])
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))  # noqa: E731
        self.fails(74, "run", "p.yaml", preexec_fn=limit, says=["TMPDIR", "strand -"])

    def test_any_order_of_ends_and_records_without_a_place(self):
        """Long REFs end behind shorter ones that begin later; a strand - alone says what it says beside strand +."""
        s = dict(self.contigs)["b"]
        records = [("b", p, s[p:p + n], [s[p]] if n > 1 else ["CGTA"["ACGT".index(s[p])]])
                   for p in range(20, 60) for n in (1, 40 - p % 7, 3)]
        records += [("b", len(s) + 5, "A", ["C"]), ("b", len(s) + 9, "A", ["<DEL>"])]
        self.give([("b", -1, "N", ["<DUP>"])] + records)
        self.variants("-q", "--set", "reader.ref_mismatch=mark")
        both = self.table()
        self.assertEqual([r["reason"] for r in both], ["symbolic"] + ["."] * 120 + ["mismatch", "symbolic"])
        self.variants("-q", "--set", "reader.ref_mismatch=mark", "--set", "model.strand='-'", "--chunk", "9")
        self.assertEqual([r["llr_minus"] for r in self.table()], [r["llr_minus"] for r in both])
        turn = [("b", len(s) - p - len(ref), turned(ref), [turned(a) for a in alts]) for _, p, ref, alts in records[:-2]]
        order = sorted(range(len(turn)), key=lambda i: turn[i][1])
        self.contigs[1] = ("b", turned(s))
        self.write("ref.fa", fasta(self.contigs))
        self.give([turn[i] for i in order])
        self.variants("-q", "--set", "model.strand='+'")
        plus = [r["llr_plus"] for r in self.table()]
        self.assertEqual(plus, [[r["llr_minus"] for r in both[1:-2]][i] for i in order])

    def test_masked_means_a_masked_model(self):
        masked = ["run", "share:pipelines/genomics/variant-masked.yaml", "-o", "m.vcf", "--set", "writer.1.path=m.tsv"]
        self.fails(78, *masked, "-m", MODEL, says=("ecoli-ref: 'mode' is for masked models, and this one predicts the next token", "leave 'mode' out"))
        self.fails(78, *masked, "--set", "model.mode=unmasked", says="say mode: masked")
        self.fails(78, "run", "share:pipelines/genomics/mutate.yaml", "--set", "model.mode=masked", says="the task is mutate")

    def test_the_shipped_pipeline_for_masked_models(self):
        window = 40
        self.ok("run", "share:pipelines/genomics/variant-masked.yaml", "-o", "m.vcf", "--set", "writer.1.path=m.tsv",
                "--set", f"model.window={window}", "-q")
        with open(self.path("m.vcf")) as f:
            got = [x.split("\t") for x in f.read().splitlines() if not x.startswith("#")]
        self.assertEqual(len(got), 40)
        s = heldout_bases(60000)
        checked = 0
        for x in got:
            info = dict(e.split("=", 1) for e in x[7].split(";") if "=" in e)
            alts = x[4].split(",")
            self.assertEqual("length" in info.get("MSQ_WHY", ""), any(a.isalpha() and len(a) != len(x[3]) for a in alts), x)
            if len(x[3]) == 1 and x[4] in "ACGT" and int(x[1]) > window and checked < 2:
                # The letter at the site, hidden among the same others, with either letter there.
                at = int(x[1]) - 1
                pieces = [s[at - window:at] + b + s[at + 1:at + 1 + window] for b in (x[3], x[4])]
                self.write("w.fa", fasta([("r", pieces[0]), ("a", pieces[1])]))
                text = self.ok("run", "share:pipelines/genomics/masked.yaml", "-i", "w.fa", "-q", "--set", "reader={plugin: fasta, path: w.fa}",
                               "--set", "model.mask_every=1000", "--set", "writer={plugin: bedgraph, path: '-'}").stdout.decode()
                rows = [r.split("\t") for r in text.splitlines()]
                lp = {r[0]: float(r[3]) for r in rows if int(r[1]) <= window < int(r[2])}
                self.assertAlmostEqual(float(info["MSQ_LLR"]), lp["a"] - lp["r"], delta=2e-5)
                checked += 1
        self.assertEqual(checked, 2)

    def stopped(self, name, *more):
        """Of a run that is killed and stopped at random until it comes to its end: what it leaves is what a run in one
        go leaves. A contig is gone through again, so that each of them must be short."""
        def to(n):
            return ["--set", f"writer.0.path={n}{name}", "--set", f"writer.1.path={n}{name}.tsv", *more]
        self.ok("run", "p.yaml", "-q", *to("want"))
        rng = random.Random(len(name))
        journal = self.path(f".got{name}.mbs-journal")
        killed = 0
        for _ in range(3):
            before = os.stat(journal).st_mtime_ns if os.path.exists(journal) else 0
            p = self.start("run", "p.yaml", "-q", *to("got"), "--resume", env={"MAMBASEQ_JOURNAL_EVERY": "0.01"})
            while p.poll() is None:  # it is stopped somewhere behind a journal of its own
                try:
                    if os.stat(journal).st_mtime_ns != before:
                        break
                except FileNotFoundError:
                    pass
                time.sleep(0.002)
            try:
                p.wait(rng.uniform(0.0005, 0.01))
            except subprocess.TimeoutExpired:
                p.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
            _, err = p.communicate()
            if p.returncode == 0:
                break
            self.assertIn(p.returncode, (75, -signal.SIGKILL), err.decode())
            killed += 1
        if p.returncode != 0:
            self.ok("run", "p.yaml", "-q", *to("got"), "--resume")
        files = sorted(f[4:] for f in os.listdir(self.dir) if f.startswith("want" + name))
        self.assertEqual(files, sorted(f[3:] for f in os.listdir(self.dir) if f.startswith("got" + name)))
        for f in files:
            if f.endswith(".shard"):  # it says which files it stands beside
                continue
            with open(self.path("want" + f), "rb") as a, open(self.path("got" + f), "rb") as b:
                self.assertEqual(a.read(), b.read(), f)
        self.assertFalse([f for f in os.listdir(self.dir) if ".mbs-" in f])
        return killed

    def test_a_stopped_run_goes_on_to_the_same_bytes(self):
        bases = heldout_bases(60000)
        n = 90 if SANITIZED else 450
        self.contigs = [(f"k{i}", bases[500 * i:500 * i + n + i]) for i in range(8)]
        self.write("ref.fa", fasta(self.contigs))
        self.give(cases(self.contigs, 24 if SANITIZED else 48, 3))
        index = ["--set", "writer.0.write_index=true"]
        killed = self.stopped(".vcf") + self.stopped(".vcf.gz", "--set", "model.strand='-'", *index)
        killed += self.stopped(".bcf", "--chunk", "30", "--shard", "2/2", *index)
        self.assertGreater(killed, 0, "the kills came too late to mean anything")
        for f in "got.vcf.gz.tbi", "got.bcf.csi", "got.bcf.shard":
            self.assertTrue(os.path.exists(self.path(f)), f)
        r = self.ok("run", "p.yaml", "--dry-run", "--set", "writer.0.path=x.vcf.gz", *index)
        self.assertIn("resumable: yes", r.stdout.decode())


if __name__ == "__main__":
    main()
