#!/usr/bin/env python3
"""The Snakemake example of share/doc/workflows, run as it stands."""
from support import *


class Workflows(Scratch):
    def test_snakemake(self):
        if not shutil.which("snakemake"):
            self.skipTest("snakemake is not installed")
        os.mkdir(self.path("genomes"))
        for i, name in enumerate("abc"):
            self.write(f"genomes/{name}.fa", fasta([(f"{name}1", heldout_bases(1200)[i * 300:i * 300 + 300])]))
        shutil.copy(os.path.join(SOURCE, "share", "doc", "workflows", "Snakefile"), self.dir)
        env = dict(os.environ, PATH=os.path.dirname(BINARY) + ":" + os.environ["PATH"], HOME=self.dir)
        env.pop("MAMBASEQ_CPU", None)
        r = subprocess.run(["snakemake", "-c", "2", "--nolock"], cwd=self.dir, env=env, capture_output=True, timeout=500)
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        rows = self.rows("scores.tsv")
        self.assertEqual(sorted(row["name"] for row in rows), ["a1", "b1", "c1"])
        self.assertEqual({row["scored"] for row in rows}, {"299"})
        self.score(self.path("genomes/b.fa"))
        self.assertEqual([row["bits_per_base"] for row in rows if row["name"] == "b1"],
                         [row["bits_per_base"] for row in self.rows()])
        self.assertTrue(os.path.exists(self.path("scores/b.h5")))


if __name__ == "__main__":
    main()
