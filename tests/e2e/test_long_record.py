#!/usr/bin/env python3
"""One record of 250 million bases: its track and its variants in the memory of a hundredth of it. MBS_LONG_BASES takes fewer."""
from support import *

BASES = int(os.environ.get("MBS_LONG_BASES", "250000000"))
LINE = 100
PIECE = 1 << 14  # lines that are made at once


class LongRecord(Scratch):
    def genome(self, name, n):
        """A FASTA of n bases with an index; every thousandth line is N."""
        draw = random.Random(1)
        lines = ["".join(draw.choices("ACGT", k=LINE)) for _ in range(PIECE)]
        lines[999::1000] = ["N" * LINE] * len(lines[999::1000])
        text = "\n".join(lines) + "\n"
        rows = n // LINE
        self.gaps = sum(len(range(999, min(PIECE, rows - at), 1000)) for at in range(0, rows, PIECE))
        behind = next(i for i in range(1, rows) if lines[(rows - i) % PIECE][0] != "N")
        self.site = n - behind * LINE + 40, lines[(rows - behind) % PIECE][40]  # near the end
        with open(self.path(name), "w") as f:
            f.write(">long\n")
            for left in range(n // LINE, 0, -PIECE):
                f.write(text[:left * (LINE + 1)])
        self.write(name + ".fai", f"long\t{n}\t6\t{LINE}\t{LINE + 1}\n")

    def test_a_track(self):
        self.write("tiny.yaml", "mixer: mamba1\nd_model: 8\nn_layer: 1\nd_state: 4\nvocab: dna\n")
        self.ok("model", "init", "tiny.yaml", "-o", "tiny", "-q")
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: x.fa}\ncodec: {plugin: bases}\n"
                   "model: {path: tiny, task: score}\nwriter:\n  - {plugin: bigwig, path: o.bw}\n  - {plugin: table, path: out.tsv}\n")
        self.write("v.yaml", "mambaseq: 1\nreader: {plugin: vcf, path: v.vcf, reference: x.fa}\ncodec: {plugin: bases}\n"
                   "model: {path: tiny, task: variant, window: 50}\nwriter: {plugin: vcf, path: o.vcf.gz, write_index: true}\n")
        peaks = {}
        for n in BASES // 100 // LINE * LINE, BASES // LINE * LINE:
            self.genome("x.fa", n)
            for name in "p.yaml", "v.yaml":
                at, ref = self.site
                self.write("v.vcf", f"##fileformat=VCFv4.2\n##contig=<ID=long,length={n}>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
                           f"long\t{at + 1}\t.\t{ref}\t{'CGTA'['ACGT'.index(ref)]}\t.\t.\t.\n")
                began = time.monotonic()
                peaks.setdefault(name, []).append(self.peak("run", name, "-q", "--force", "-@", "2"))
                print(f"{name}: {n} bases, {peaks[name][-1]} KiB, {time.monotonic() - began:.1f} s", file=sys.stderr)
            row = self.rows()[0]
            self.assertEqual(int(row["length"]), n)
            # what follows a gap is scored, the first base is not
            self.assertEqual(int(row["scored"]), n - self.gaps * LINE - 1)
            with gzip.open(self.path("o.vcf.gz"), "rt") as f:
                self.assertIn("MSQ_LLR=", f.read().splitlines()[-1])
            self.assertGreater(os.path.getsize(self.path("o.bw")), n)
        for name, (near, far) in peaks.items():
            self.assertLess(far, near * 1.05 + 2048, f"{name}: KiB")


if __name__ == "__main__":
    main()
