#!/usr/bin/env python3
"""compress and decompress: the same bytes back, the same container however it is made, and no wrong file ever."""
from support import *

COMPRESS = "share:pipelines/genomics/compress.yaml"
DECOMPRESS = "share:pipelines/genomics/decompress.yaml"
SMALL = os.path.join(SOURCE, "share", "models", "ecoli-small")


class Compress(Scratch):
    def there_and_back(self, data, name="x"):
        self.write(f"{name}.fa", data)
        self.ok("run", COMPRESS, "-q", "-i", self.path(f"{name}.fa"), "-o", self.path(f"{name}.mbz"))
        self.ok("run", DECOMPRESS, "-q", "-i", self.path(f"{name}.mbz"), "-o", self.path(f"{name}.back"))
        with open(self.path(f"{name}.back"), "rb") as f:
            self.assertEqual(f.read(), data if isinstance(data, bytes) else data.encode())
        return os.path.getsize(self.path(f"{name}.mbz"))

    def test_all_that_files_have_comes_back(self):
        s = heldout_bases(2500)
        files = [fasta(mixed_records(heldout_bases(4200)), 70),
                 ">crlf\r\nACGTNNNNRYKM\r\nacgtnnAC\r\n\r\n>no end\r\nACGU", "", "\n", "ACGT", ">only a name",
                 ";a comment ACGT\n>a\nACGT-*.\n" + "N" * 500 + "\n\n\n>b ACGTACGT\n" + s[:97] + "\n" + s[97:300],
                 ">rna\n" + "".join(random.Random(1).choice("acguACGU") for _ in range(500)) + "\n",
                 random.Random(2).randbytes(1000)]
        for i, data in enumerate(files):
            with self.subTest(i):
                self.there_and_back(data, f"f{i}")

    def test_what_is_no_sequence_is_said(self):
        for text, said in ("Die Katze sitzt auf dem Tisch.\n" * 40, True), ("Die Katze\n" * 9, False), (">n\n" + ("N" * 60 + "\n") * 100, False), (fasta([("a", heldout_bases(400))]), False):
            self.write("t", text)
            err = self.ok("run", COMPRESS, "-i", "t", "-o", "t.mbz", "--force").stderr.decode()
            self.assertEqual("bytes are letters that the model knows" in err and "take gzip or xz" in err, said, err)

    def test_it_is_small(self):
        s = heldout_bases(8000)
        size = self.there_and_back(fasta([("a genome", s)], 80))
        self.assertLess((size - 190) * 8 / len(s), 1.93, "bits per base, names and line ends included")
        size = self.there_and_back(fasta([("masked", s[:600].lower() + "N" * 50000 + s[600:1200])], 60), "n")
        self.assertLess(size, 190 + 1200 / 4 + 90, "runs of N and lower case are nearly free")

    def test_chunk_and_threads_cannot_be_seen(self):
        self.write("x.fa", fasta(mixed_records(heldout_bases(4200))))
        made = set()
        for i, more in enumerate((["--chunk", "1"], ["--chunk", "37", "--threads", "1"], ["--chunk", "100000"],
                                  ["-"])):
            with open(self.path("x.fa"), "rb") as f:
                text = f.read()
            self.ok("run", COMPRESS, "-q", "-i", more[0] if more == ["-"] else self.path("x.fa"), "-o",
                    self.path(f"{i}.mbz"), *(more if more != ["-"] else []), stdin=text)
            made.add(digest(self.path(f"{i}.mbz")))
        self.assertEqual(len(made), 1)
        for i, more in enumerate((["--chunk", "1"], ["--chunk", "777", "--threads", "1"])):
            self.ok("run", DECOMPRESS, "-q", "-i", self.path("0.mbz"), "-o", self.path(f"{i}.fa"), *more)
            self.assertEqual(digest(self.path(f"{i}.fa")), digest(self.path("x.fa")))

    def test_what_is_another_is_refused_by_name(self):
        self.write("x.fa", fasta([("a", heldout_bases(300))]))
        self.ok("run", COMPRESS, "-q", "-i", self.path("x.fa"), "-o", self.path("x.mbz"))
        run = ["run", DECOMPRESS, "-q", "-i", self.path("x.mbz"), "-o", self.path("x.back")]
        r = self.fails(65, *run, "-m", SMALL)
        self.assertRegex(r, r"made with the model [0-9a-f]{64}, and here it is [0-9a-f]{64}")
        r = self.fails(65, *run, "--set", "model.dtype=bf16")
        self.assertIn("made with the weights f32, and here it is bf16", r)
        if len(levels()) > 1:
            r = self.fails(65, *run, env={"MAMBASEQ_CPU": "ref"})
            self.assertRegex(r, r"made with the arithmetic cpu/avx\S+, and here it is cpu/ref/f32")
        r = self.fails(78, "run", COMPRESS, "-q", "-o", self.path("y.mbz"), "--set",
                       f"reader={{plugin: fasta, path: {HELDOUT}}}", "--set", "codec={plugin: bases}")
        self.assertIn("codec 'verbatim'", r)
        self.assertEqual(sorted(os.listdir(self.dir)), ["x.fa", "x.mbz"])

    def test_damage_is_found(self):
        self.write("x.fa", fasta([("a", heldout_bases(400))]))
        self.ok("run", COMPRESS, "-q", "-i", self.path("x.fa"), "-o", self.path("x.mbz"))
        with open(self.path("x.mbz"), "rb") as f:
            whole = f.read()
        rng = random.Random(3)
        cases = [whole[:n] for n in [0, 3, 11, 50] + rng.sample(range(60, len(whole)), 3) + [len(whole) - 1]]
        cases += [whole + b"x", b">a\nACGT\n"]
        for at in rng.sample(range(len(whole)), 10) + [len(whole) - 1]:
            cases.append(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1:])
        for data in cases:
            self.write("bad.mbz", data)
            self.fails(65, "run", DECOMPRESS, "-q", "-i", self.path("bad.mbz"), "-o", self.path("bad.fa"))


if __name__ == "__main__":
    main()
