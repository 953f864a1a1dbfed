#!/usr/bin/env python3
"""Whole genomes (label long): the chunk law and the memory law on all 4,639,675 bases of E. coli MG1655."""
from support import *

MG1655 = "/usr/share/doc/ragout/examples/E.Coli/references/MG1655-K12.fasta.gz"


def find_genome():
    r = subprocess.run(["dpkg", "-L", "ragout-examples"], capture_output=True, text=True)
    for line in r.stdout.splitlines():
        if line.endswith("MG1655-K12.fasta.gz"):
            return line
    return MG1655 if os.path.exists(MG1655) else None


class Genome(Scratch):
    def setUp(self):
        super().setUp()
        self.genome = find_genome()
        if not self.genome:
            self.skipTest("ragout-examples is not installed")

    def test_same_bytes_for_any_chunk_and_threads(self):
        seen = set()
        for chunk, threads in (("1000", "2"), ("65536", "2"), ("1048576", "2"), ("65536", "1")):
            t0 = time.monotonic()
            self.score(self.genome, "out.h5", "out.tsv", "--chunk", chunk, "--threads", threads, timeout=1800)
            row = self.rows()[0]
            print(f"chunk {chunk}, {threads} threads: {time.monotonic() - t0:.1f} s, {row['bits_per_base']} bits per base")
            seen.add((digest(self.path("out.h5")), digest(self.path("out.tsv"))))
        self.assertEqual(len(seen), 1)

    def test_memory_is_flat(self):
        with gzip.open(self.genome, "rt") as f:
            f.readline()
            half = f.read(510000)
        short = self.write("half.fa", ">half\n" + half)
        peaks = []
        for path in (short, self.genome):
            p = self.start(*self.score_args(path), "--force", "-q", "--chunk", "65536")
            _, status, usage = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
            p.stdout.close()
            p.stderr.close()
            self.assertEqual(p.returncode, 0)
            peaks.append(usage.ru_maxrss)
        print(f"peak memory: {peaks[0]} KiB for 0.5 Mb, {peaks[1]} KiB for 4.6 Mb")
        self.assertLess(peaks[1], 1.05 * peaks[0])


if __name__ == "__main__":
    main()
