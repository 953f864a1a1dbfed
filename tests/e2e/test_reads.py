#!/usr/bin/env python3
"""The reader `bam` beside samtools: how many records, which letters, and no word to the network."""
import http.server
import threading

from support import *

PIPELINE = """mambaseq: 1
reader: {plugin: bam, path: x.bam}
writer: {plugin: table, path: "-"}
"""
HTSLIB = "/usr/share/htslib-test"  # of Debian's package
OFFLINE = {"REF_PATH": "/nonexistent"}


@unittest.skipUnless(shutil.which("samtools"), "samtools is missing")
class Reads(Scratch):
    def setUp(self):
        super().setUp()
        self.write("reads.yaml", PIPELINE)

    def read(self, path, *sets, env=None, **kw):
        more = [w for s in sets for w in ("--set", s)]
        return self.run_("run", "reads.yaml", "-q", "-i", path, *more, env=dict(OFFLINE, **(env or {})), **kw)

    def samtools(self, *args):
        return subprocess.run(["samtools", *args], capture_output=True, env=dict(os.environ, **OFFLINE), timeout=60,
                              cwd=self.dir)

    def counted(self, path, flags, *sets):
        """Records that we deliver and that samtools counts."""
        r = self.read(path, "reader.isolate=false", *sets)
        self.assertEqual(r.returncode, 0, f"{path}: {r.stderr.decode()}")
        s = self.samtools("view", "-c", *flags, path)
        return r.stdout.count(b"\n") - 1, int(s.stdout)

    def test_filters_and_regions_count_as_those_of_samtools(self):
        path = os.path.join(HTSLIB, "test", "range.bam")
        if not os.path.exists(path):
            self.skipTest("Debian's htslib-test is missing")
        for flags, sets in [
                (["-F", "0"], ["reader.exclude_flags=0"]),
                (["-F", "0x10"], ["reader.exclude_flags=REVERSE"]),
                (["-f", "0x10", "-F", "0x900"], ["reader.require_flags=16"]),
                (["-q", "30", "-F", "0x900"], ["reader.min_mapq=30"]),
                (["-e", "length(seq) >= 50 && [NM] <= 1", "-F", "0x900"],
                 ["reader.expr=length(seq) >= 50 && [NM] <= 1"])]:
            ours, theirs = self.counted(path, flags, *sets)
            self.assertEqual(ours, theirs, sets)
            self.assertGreater(ours, 0, sets)
        regions = ["CHROMOSOME_I:1-3000", "CHROMOSOME_I:2500-", "CHROMOSOME_IV", "CHROMOSOME_V:100-900"]
        r = self.read(path, "reader.regions=" + json.dumps(regions))
        s = self.samtools("view", "-c", "-M", "-F", "0x900", path, *regions)
        self.assertEqual(r.stdout.count(b"\n") - 1, int(s.stdout), r.stderr)

    def test_any_filter_counts_as_that_of_samtools(self):
        """Reads with every flag, on two contigs and on none; filters drawn at random, alone and with regions."""
        rng = random.Random(11)
        s = heldout_bases(3000)
        placed, nowhere = [], []
        for i in range(240):
            flag = rng.choice((0, 16, 99, 147, 83, 163, 73, 133)) | rng.choice((0, 0, 0, 0x100, 0x800, 0x400, 0x200, 0x900))
            contig, pos = rng.randrange(2), rng.randrange(1, 1800)
            at = f"c{contig + 1}\t{pos}" if i % 9 else "*\t0"
            flag |= 0 if i % 9 else 4
            n = rng.randint(1, 60)
            seq = "*\t*" if i % 31 == 5 else f"{s[pos:pos + n]}\t{'I' * n}"
            line = (f"r{i}\t{flag}\t{at}\t{rng.randrange(256) if i % 9 else 0}\t{f'{n}M' if i % 9 else '*'}\t*\t0\t0\t{seq}"
                    f"\tNM:i:{rng.randrange(6)}\n")
            (placed if i % 9 else nowhere).append((contig, pos, line))
        head = "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:c1\tLN:2000\n@SQ\tSN:c2\tLN:2000\n"
        self.write("a.sam", head + "".join(x[2] for x in sorted(placed) + nowhere))
        self.write("ref.fa", fasta([("c1", s[:2000]), ("c2", s[:2000])]))
        self.write("w.bed", "c2\t100\t400\nc1\t50\t51\nc2\t300\t900\n")
        for args in (["faidx", "ref.fa"], ["view", "-b", "-o", "a.bam", "a.sam"], ["index", "a.bam"],
                     ["view", "-h", "-O", "sam.gz", "-o", "a.sam.gz", "a.sam"], ["index", "-c", "a.sam.gz"],
                     ["view", "-C", "-T", "ref.fa", "-o", "a.cram", "a.sam"], ["index", "a.cram"]):
            self.assertEqual(self.samtools(*args).returncode, 0, args)
        self.assertEqual(self.counted("a.bam", ["-F", "0"], "reader.exclude_flags=0"), (240, 240))
        ours, theirs = self.counted("a.bam", ["-F", "0x900"])  # what nobody has to ask for
        self.assertEqual(ours, theirs)
        self.assertLess(ours, 200)
        seen = set()
        for k in range(12 if SANITIZED else 30):
            name = rng.choice(("a.bam", "a.cram", "a.sam.gz"))
            require, exclude, mapq = rng.choice((0, 0, 1, 2, 16, 67)), rng.choice((0x900, 0, 0x904, 0x400, 16)), rng.choice((0, 0, 30, 200))
            flags = ["-f", str(require), "-F", str(exclude), "-q", str(mapq)]
            sets = [f"reader.require_flags={require}", f"reader.exclude_flags={hex(exclude)}", f"reader.min_mapq={mapq}",
                    "reader.reference=ref.fa"]
            if rng.random() < 0.4:
                expr = rng.choice(("[NM] <= 2", "length(seq) > 30 || flag.dup", "rname == \"c2\" && pos < 900", "mapq % 2 == 0 && !flag.reverse"))
                flags, sets = flags + ["-e", expr], sets + [f"reader.expr={json.dumps(expr)}"]
            where = []
            if rng.random() < 0.6:
                where = rng.choice((["c1"], ["c2:300-700"], ["c1:1-100", "c1:50-300", "c2:1500"], ["*"], ["c2:1990-2000", "*"], "w.bed"))
                sets.append("reader.regions=" + ("w.bed" if where == "w.bed" else json.dumps(where)))
                flags += ["-M"] + (["-L", "w.bed"] if where == "w.bed" else [])
            r = self.read(name, "reader.isolate=false", *sets)
            self.assertEqual(r.returncode, 0, f"{sets}: {r.stderr.decode()}")
            s = self.samtools("view", "-c", *flags, name, *(where if where != "w.bed" else []))
            self.assertEqual(r.stdout.count(b"\n") - 1, int(s.stdout), f"{name} {sets}: {s.stderr.decode()}")
            seen.add(int(s.stdout))
        self.assertGreater(len(seen), 5)

    def test_letters_are_those_of_samtools(self):
        path = os.path.join(HTSLIB, "test", "range.bam")
        if not os.path.exists(path):
            self.skipTest("Debian's htslib-test is missing")
        import h5py
        text = self.samtools("view", "-F", "0x900", path).stdout.decode().splitlines()
        stored = "".join(line.split("\t")[9] for line in text)
        text = self.samtools("fasta", "-F", "0x900", path).stdout.decode().splitlines()
        turned = "".join(line for line in text if not line.startswith(">"))
        for orientation, expected in ("stored", stored), ("sequenced", turned):
            r = self.read(path, f"reader.orientation={orientation}", "writer={plugin: hdf5, path: out.h5}")
            self.assertEqual(r.returncode, 0, r.stderr)
            with h5py.File(self.path("out.h5")) as f:
                self.assertEqual(f["bases"][:].tobytes().decode(), expected)
            os.remove(self.path("out.h5"))

    def test_the_same_for_any_chunk_in_a_worker_and_from_standard_input(self):
        path = os.path.join(HTSLIB, "test", "range.bam")
        if not os.path.exists(path):
            self.skipTest("Debian's htslib-test is missing")
        expected = self.read(path).stdout.replace(path.encode(), b"-")
        self.assertEqual(self.read(path, "reader.isolate=false").stdout.replace(path.encode(), b"-"), expected)
        with open(path, "rb") as f:
            data = f.read()
        self.assertEqual(self.read("-", stdin=data).stdout, expected)
        r = self.read("-", stdin=data[:-28])
        self.assertEqual(r.returncode, 65)
        self.assertIn(b"end-of-file block is missing", r.stderr)

    def make_cram(self):
        self.write("ref.fa", fasta([("c1", heldout_bases(3000))]))
        s = heldout_bases(3000)
        self.write("x.sam", "@SQ\tSN:c1\tLN:3000\n" + "".join(
            f"r{i}\t0\tc1\t{i * 100 + 1}\t60\t100M\t*\t0\t0\t{s[i * 100:][:100]}\t{'I' * 100}\n" for i in range(20)))
        self.assertEqual(self.samtools("faidx", "ref.fa").returncode, 0)
        self.assertEqual(self.samtools("view", "-C", "-T", "ref.fa", "-o", "x.cram", "x.sam").returncode, 0)

    def test_a_cram_asks_the_network_only_where_that_is_allowed(self):
        self.make_cram()
        asked = []

        class Server(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_error(404)

            def log_message(self, *args):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}"
        subprocess.run(["samtools", "view", "-H", "x.cram"], cwd=self.dir, check=True, capture_output=True)
        r = self.read("x.cram", "reader.reference=ref.fa")
        self.assertEqual((r.returncode, r.stdout.count(b"\n")), (0, 21), r.stderr)
        header = f"@SQ\tSN:c1\tLN:3000\tM5:{'0' * 32}\tUR:{url}/ref.fa\n"
        self.write("h.sam", header)
        r = self.samtools("reheader", "h.sam", "x.cram")
        self.write("far.cram", r.stdout)
        nowhere = {"REF_PATH": f"{url}/%s", "REF_CACHE": self.path("cache/%s"), "no_proxy": "*"}
        r = self.read("far.cram", env=nowhere)
        self.assertEqual(r.returncode, 65, r.stderr)
        self.assertIn(b"the sequence of 'c1' is not on this machine", r.stderr)
        self.assertIn(b"allow_network", r.stderr)
        self.assertEqual(asked, [])
        r = self.read("far.cram", env={"REF_PATH": f"/nowhere/%s:{self.dir}"})
        self.assertEqual(r.returncode, 65, r.stderr)
        self.assertIn(b"the sequence of 'c1' is not on this machine", r.stderr)
        r = self.read("far.cram", "reader.allow_network=true", env=nowhere)
        self.assertEqual(r.returncode, 65, r.stderr)
        self.assertNotEqual(asked, [], "the test's server was not found: what does it show?")
        r = self.read(f"{url}/x.bam", env=nowhere)
        self.assertEqual(r.returncode, 66, r.stderr)

    def test_a_cram_finds_its_sequences_by_checksum_in_a_folder(self):
        self.make_cram()
        sha = hashlib.md5(heldout_bases(3000).upper().encode()).hexdigest()
        os.makedirs(self.path(f"cache/{sha[:2]}"))
        self.write(f"cache/{sha[:2]}/{sha[2:]}", heldout_bases(3000))
        os.remove(self.path("ref.fa"))
        cache = self.path("cache/%2s/%s")
        for env in {"REF_PATH": "http://localhost:1/%s", "REF_CACHE": cache}, {"REF_PATH": cache}:
            r = self.read("x.cram", env=env)
            self.assertEqual((r.returncode, r.stdout.count(b"\n")), (0, 21), r.stderr)

    def test_a_checksum_that_is_none(self):
        self.make_cram()
        header = self.samtools("view", "-H", "x.cram").stdout.decode()
        line = [x for x in header.splitlines() if x.startswith("@SQ")][0]
        fields = [f for f in line.split("\t") if not f.startswith("M5:")]
        self.write("h.sam", header.replace(line, "\t".join(fields + ["M5:" + "a" * 9000])))
        with open(self.path("odd.cram"), "wb") as f:
            f.write(self.samtools("reheader", "h.sam", "x.cram").stdout)
        os.remove(self.path("ref.fa"))
        for cache in ("", self.path("cache/%2s/%s")):
            r = self.read("odd.cram", env={"REF_CACHE": cache, "REF_PATH": ""})
            self.assertNotIn(r.returncode, (0, 69, 70), r.stderr)
            self.assertNotIn(b"smash", r.stderr)

    def score_reads(self, path, out, *sets, **kw):
        more = [w for s in sets for w in ("--set", s)]
        return self.ok("run", "share:pipelines/genomics/bam-score.yaml", "-q", "--force", "-i", path, "-o", out, *more,
                       **kw)

    def tagged(self, path):
        """(fields without our tags, lp, ln) of every record."""
        out = []
        for line in self.samtools("view", path).stdout.decode().splitlines():
            fields = line.split("\t")
            ours = {f[:2]: f.split(":")[2] for f in fields[11:] if f[:5] in ("lp:f:", "ln:i:")}
            out.append(([f for f in fields if f[:5] not in ("lp:f:", "ln:i:")], ours.get("lp"), ours.get("ln")))
        return out

    def test_reads_come_back_with_their_scores(self):
        path = os.path.join(HTSLIB, "test", "range.bam")
        if not os.path.exists(path):
            self.skipTest("Debian's htslib-test is missing")
        self.score_reads(path, "out.bam")
        self.assertEqual(self.samtools("quickcheck", "out.bam").returncode, 0)
        before = [line.split("\t") for line in self.samtools("view", "-F", "0x900", path).stdout.decode().splitlines()]
        after = self.tagged("out.bam")
        self.assertEqual([f for f, _, _ in after], before)
        r = self.run_("run", "share:pipelines/genomics/bam-score.yaml", "-q", "-i", path, "--set",
                      "writer={plugin: table, path: '-'}")
        rows = [line.split("\t") for line in r.stdout.decode().splitlines()[1:]]
        self.assertEqual([ln for _, _, ln in after], [row[5] for row in rows])
        for (_, lp, _), row in zip(after, rows):
            self.assertAlmostEqual(-float(lp) / 0.6931471805599453, float(row[6]), places=4)
        # header: ours behind the last of theirs, nothing else changed
        theirs = self.samtools("view", "-H", "--no-PG", path).stdout.decode().splitlines()
        ours = self.samtools("view", "-H", "--no-PG", "out.bam").stdout.decode().splitlines()
        self.assertEqual(ours[:-1], theirs)
        self.assertTrue(ours[-1].startswith("@PG\tID:mambaseq\tPN:mambaseq\tPP:scramble\tVN:"), ours[-1])
        self.assertIn("model_sha256=", ours[-1])
        # the index that was made on the way finds what one made afterwards finds
        region = "CHROMOSOME_I:1-3000"
        found = self.samtools("view", "-c", "out.bam", region).stdout
        self.assertEqual(self.samtools("index", "-o", "fresh.bai", "out.bam").returncode, 0)
        os.replace(self.path("fresh.bai"), self.path("out.bam.bai"))
        self.assertEqual(self.samtools("view", "-c", "out.bam", region).stdout, found)
        self.assertGreater(int(found), 0)

    def few_reads(self, n=12):
        text = self.samtools("view", "-h", os.path.join(SOURCE, "share", "data", "ecoli-reads.bam")).stdout.decode().splitlines(True)
        head = [x for x in text if x[0] == "@"]
        return self.write("few.sam", "".join(head + text[len(head):len(head) + n]))

    def tags(self, bam):
        for line in self.samtools("view", bam).stdout.decode().splitlines():
            yield {f[:2]: f[5:] for f in line.split("\t")[11:]}

    def test_two_models_in_one_run_are_two_runs(self):
        path = self.few_reads()
        pair = ["run", "share:pipelines/genomics/bam-species.yaml", "-q", "-i", path, "--force", "-o", "both.bam"]
        self.ok(*pair, "--chunk", "7", "--threads", "2")
        small = digest(self.path("both.bam"))
        self.ok(*pair, "--threads", "1")
        self.assertEqual(digest(self.path("both.bam")), small)
        alone = []
        for tag, model in ("lp", "ecoli-ref"), ("lq", "ecoli-small"):
            self.ok("run", "share:pipelines/genomics/bam-score.yaml", "-q", "-i", path, "-o", tag + ".bam", "-m", "share:models/" + model,
                    "--set", "writer.score_tag=" + tag)
            alone.append([(t[tag], t["ln"]) for t in self.tags(tag + ".bam")])
        both = list(self.tags("both.bam"))
        self.assertEqual([[(t[k], t["ln"]) for t in both] for k in ("lp", "lq")], alone)
        for t in both:
            self.assertAlmostEqual(float(t["lo"]), (float(t["lp"]) - float(t["lq"])) * int(t["ln"]), delta=2e-3)
        likelier = self.samtools("view", "-c", "-e", "[lo] > 1", "both.bam").stdout
        self.assertEqual(int(likelier), sum(float(t["lo"]) > 1 for t in both))
        header = self.samtools("view", "-H", "--no-PG", "both.bam").stdout.decode()
        ours = [x for x in header.splitlines() if "PN:mambaseq" in x][-1]
        self.assertRegex(ours, "lp:f .* under model first, lq:f under model second, lo:f .* under first less that under second, in nats")
        self.assertEqual(len(set(re.search("model_sha256=(.{64}), (.{64})", ours).groups())), 2)
        self.ok(*pair, "--set", "model.second.path=share:models/ecoli-ref", "--set", "writer.second_tag=xb", "--set", "writer.odds_tag=xo")
        self.assertTrue(all(t["xb"] == t["lp"] and float(t["xo"]) == 0 for t in self.tags("both.bam")))
        for tag in "lp", "ln", "xo":
            self.fails(78, *pair, "--set", "writer.second_tag=" + tag, "--set", "writer.odds_tag=xo", says=tag)
        self.fails(78, *pair, "--set", "model={path: share:models/ecoli-ref, task: score}", "--set", "writer.odds_tag=xo", says="two models")

    def test_the_same_bytes_for_any_chunk_and_thread(self):
        path = os.path.join(HTSLIB, "test", "range.bam")
        if not os.path.exists(path):
            self.skipTest("Debian's htslib-test is missing")
        seen = set()
        for chunk, threads in ("7", "2"), ("65536", "1"):
            self.ok("run", "share:pipelines/genomics/bam-score.yaml", "-q", "--force", "-i", path, "-o", "o.bam",
                    "--chunk", chunk, "--threads", threads)
            seen.add((digest(self.path("o.bam")), digest(self.path("o.bam.bai"))))
        self.assertEqual(len(seen), 1)

    def test_scores_of_every_kind_of_record(self):
        head = "@HD\tVN:1.6\tSO:unsorted\n@SQ\tSN:c1\tLN:600000000\n@PG\tID:a\tPN:a\n@PG\tID:b\tPN:b\n"
        reads = ("none\t4\t*\t0\t0\t*\t*\t0\t0\t*\t*\n"
                 "one\t0\tc1\t9\t60\t1M\t*\t0\t0\tA\tI\tlp:Z:old\tln:i:7\n"
                 "two\t16\tc1\t5\t60\t2M\t*\t0\t0\tAC\tII\n")
        self.write("x.sam", head + reads)
        self.score_reads("x.sam", "-", "writer.unit=bits")
        self.score_reads("x.sam", "y.sam")
        self.assertFalse(os.path.exists(self.path("y.sam.bai")))
        rows = self.tagged("y.sam")
        self.assertEqual([(f[0], lp is not None, ln) for f, lp, ln in rows],
                         [("none", False, "0"), ("one", False, "0"), ("two", True, "1")])
        with open(self.path("y.sam")) as f:
            text = f.read()
        self.assertIn("\tPN:mambaseq\tPP:b\t", text)
        self.write("s.sam", head.replace("unsorted", "coordinate") + reads.split("\n", 1)[1].split("two")[0])
        self.score_reads("s.sam", "z.bam")
        self.assertTrue(os.path.exists(self.path("z.bam.csi")))  # too long for a .bai
        self.write("bad.sam", head.replace("unsorted", "coordinate") + reads)
        run = ["run", "share:pipelines/genomics/bam-score.yaml", "-q", "-o", "w.bam", "-i"]
        self.fails(65, *run, "bad.sam", says=["sort order", "write_index: no"])
        self.fails(78, *run, "x.sam", "--set", "writer.write_index=yes", says="not sorted by coordinate")
        self.fails(78, *run, "x.sam", "--set", "writer.score_tag=NM", says="meaning of its own")
        self.fails(78, *run, "x.sam", "--set", "reader.isolate=true", says="isolate: false")
        self.write("x.fa", ">a\nACGT\n")
        self.fails(78, *run, "x.fa", "--set", "reader={plugin: fasta, path: x.fa}",
                   says="not read from an alignment file")
        self.write("h.sam", head)
        self.score_reads("h.sam", "empty.bam")
        self.assertEqual(self.samtools("view", "-c", "empty.bam").stdout, b"0\n")


if __name__ == "__main__":
    main()
