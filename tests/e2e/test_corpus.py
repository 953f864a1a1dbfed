#!/usr/bin/env python3
"""Every SAM, BAM, CRAM, VCF, BCF, FASTA and FASTQ file of Debian's htslib-test and samtools-test, whatever its name ends in: taken or
refused as samtools and bcftools do, as many records as they and pysam count, nothing left behind of those that are refused."""
import collections

from support import *

try:
    import pysam
    pysam.set_verbosity(0)
except ImportError:
    pysam = None

FOLDERS = ["/usr/share/htslib-test", "/usr/share/samtools"]
ENDINGS = {"sam": "reads", "bam": "reads", "cram": "reads", "vcf": "variants", "bcf": "variants", "fa": "fasta", "fasta": "fasta",
           "fq": "fasta", "fastq": "fasta"}
WORDS = (("SAM ", "reads"), ("BAM ", "reads"), ("CRAM ", "reads"), ("VCF ", "variants"), ("BCF ", "variants"),
         ("FASTA sequence", "fasta"), ("FASTQ sequence", "fasta"))
OFFLINE = {"REF_PATH": "/nonexistent", "REF_CACHE": "/nonexistent/%s"}


def corpus():
    """(path, kind) of every file that htsfile or its name says is one of ours."""
    paths = [os.path.join(d, f) for folder in FOLDERS for d, _, files in os.walk(folder) for f in files]
    told = subprocess.run(["htsfile", *sorted(paths)], capture_output=True).stdout.decode(errors="replace")
    for line in told.splitlines():
        path, _, what = line.partition(":\t")
        kind = next((k for word, k in WORDS if what.startswith(word)), None)
        ending = re.sub(r"\.(b?gz)$", "", path).rpartition(".")[2]
        if kind or ending in ENDINGS:
            yield path, kind or ENDINGS[ending]


def counted(opened):
    """How many records pysam reads, None where it does not."""
    try:
        with opened() as f:
            return sum(1 for _ in f)
    except Exception:  # of many kinds
        return None


@unittest.skipUnless(all(map(shutil.which, ("samtools", "bcftools", "htsfile"))) and all(map(os.path.isdir, FOLDERS)),
                     "samtools, bcftools, htsfile or Debian's htslib-test and samtools-test are missing")
class Corpus(Scratch):
    def setUp(self):
        super().setUp()
        self.counts = collections.Counter()

    def ours(self, path, *more):
        """Exit code and lines of out.*; nothing else may be there afterwards, and nothing at all where it failed."""
        r = self.run_("run", "p.yaml", "-q", "-i", path, *more, env=OFFLINE, timeout=60 if not SANITIZED else 240)
        left = [f for f in os.listdir(self.dir) if f not in self.known]
        self.assertEqual(left, [self.out] if r.returncode == 0 else [], f"{path}: {r.stderr.decode(errors='replace')}")
        self.assertIn(r.returncode, (0, 65, 66), f"{path}: {r.stderr.decode(errors='replace')}")
        if r.returncode != 0:
            self.assertIn(os.path.basename(path), r.stderr.decode(errors="replace"))
            return r, None
        with open(self.path(self.out), "rb") as f:
            lines = f.read().splitlines()
        os.remove(self.path(self.out))
        return r, lines

    def pipeline(self, text, out):
        self.write("p.yaml", f"mambaseq: 1\n{text}\n")
        self.out = out
        self.known = set(os.listdir(self.dir))

    def theirs(self, *args, **kw):
        return subprocess.run(args, capture_output=True, env=dict(os.environ, **OFFLINE), timeout=60, **kw)

    def files(self, kind):
        found = [p for p, k in corpus() if k == kind]
        self.counts[f"{kind}: files"] = len(found)
        return found

    def agrees(self, path, n, program, reads):
        """As many records as another program says, where it reads the file."""
        if reads is not None:
            self.assertEqual(n, reads, f"{path}: {program}")
            self.counts[f"{program} counts as many"] += 1

    def tearDown(self):
        print(", ".join(f"{k} {v}" for k, v in self.counts.items()))

    def test_reads(self):
        self.pipeline("reader: {plugin: bam, path: x, isolate: false}\nwriter: {plugin: table, path: out.tsv}", "out.tsv")
        for path in self.files("reads"):
            s = self.theirs("samtools", "view", "-c", "-F", "0x900", path)
            r, lines = self.ours(path)
            if s.returncode == 0 and b"EOF marker is absent" in s.stderr:  # which is an error here, and can be allowed
                self.assertIn("end-of-file block is missing", r.stderr.decode())
                r, lines = self.ours(path, "--set", "reader.allow_truncated=true")
                self.counts["without an end"] += 1
            self.assertEqual(r.returncode == 0, s.returncode == 0, f"{path}: {r.stderr.decode()}")
            self.counts["taken" if r.returncode == 0 else "refused"] += 1
            if r.returncode == 0:
                self.agrees(path, len(lines) - 1, "samtools", int(s.stdout))
            if r.returncode == 0 and pysam and not SANITIZED:
                r, lines = self.ours(path, "--set", "reader.exclude_flags=0", "--set", "reader.allow_truncated=true")
                self.agrees(path, len(lines) - 1, "pysam", counted(lambda: pysam.AlignmentFile(path, check_sq=False, check_header=False)))
        self.assertGreater(self.counts["taken"], 300)

    def test_variants(self):
        self.ok("model", "init", "tiny", "-o", "tiny")
        self.write("ref.fa", ">none\nACGT\n")
        self.pipeline("reader: {plugin: vcf, path: x, reference: ref.fa, ref_mismatch: mark}\ncodec: {plugin: bases}\n"
                      "model: {path: tiny, task: variant, window: 1, strand: '+'}\nwriter: {plugin: vcf, path: out.vcf}", "out.vcf")
        for path in self.files("variants"):
            s = self.theirs("bcftools", "view", "-H", path)
            r, lines = self.ours(path)
            self.assertEqual(r.returncode == 0, s.returncode == 0, f"{path}: {r.stderr.decode()}")
            self.counts["taken" if r.returncode == 0 else "refused"] += 1
            if r.returncode == 0:
                lines = [x.split(b"\t")[:7] for x in lines if x[:1] != b"#"]
                self.assertEqual(lines, [x.split(b"\t")[:7] for x in s.stdout.splitlines()], path)
                self.agrees(path, len(lines), "bcftools", s.stdout.count(b"\n"))
                self.agrees(path, len(lines), "pysam", pysam and counted(lambda: pysam.VariantFile(path)))
        self.assertGreater(self.counts["taken"], 15)

    def test_sequences(self):
        self.pipeline("reader: {plugin: fasta, path: x}\nwriter: {plugin: table, path: out.tsv}", "out.tsv")
        for path in self.files("fasta"):
            copy = self.path("copy" + re.search(r"(\.b?gz)?$", path)[0])
            shutil.copyfile(path, copy)
            self.known |= {os.path.basename(copy)}
            r, lines = self.ours(copy)
            # faidx refuses uneven lines, which no index can hold: then what reads them all decides
            with open(copy, "rb") as f:
                first = f.read(1)
            s = self.theirs("samtools", "fqidx" if first == b"@" else "faidx", copy)
            v = self.theirs("samtools", "view", "-c", path)
            self.assertEqual(r.returncode == 0, s.returncode == 0 or v.returncode == 0, f"{path}: {r.stderr.decode()} {v.stderr}")
            self.counts["taken" if r.returncode == 0 else "refused"] += 1
            if r.returncode == 0:
                rows = [x.split(b"\t") for x in lines[1:]]
                self.agrees(path, len(rows), "samtools view", int(v.stdout) if v.returncode == 0 else None)
                self.agrees(path, len(rows), "pysam", pysam and counted(lambda: pysam.FastxFile(path)))
            if s.returncode == 0:
                with open(copy + ".fai", "rb") as f:
                    listed = [tuple(x.split(b"\t")[:2]) for x in f.read().splitlines()]
                first_of = {x[1]: x[3] for x in reversed(rows)}  # of one name only the first is indexed
                self.assertEqual(listed, list({name: (name, first_of[name]) for name in (x[1] for x in rows)}.values()), path)
                self.known |= set(os.listdir(self.dir))
                self.assertEqual(self.ours(copy)[1], lines, f"{path}, with its index")
                self.counts["faidx lists the same"] += 1
            for f in os.listdir(self.dir):
                if f.startswith("copy"):
                    os.remove(self.path(f))
        self.assertGreater(self.counts["taken"], 80)


if __name__ == "__main__":
    main()
