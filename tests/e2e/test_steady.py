#!/usr/bin/env python3
"""What a run costs while it runs: nothing is allocated or opened for a chunk or a record, and with one thread nothing
waits. Counted by a preloaded library (tests/support/count_calls.c) at every read of the input."""
from support import *

COUNTER = os.path.join(BUILD, "tests", "libcount_calls.so")


@unittest.skipIf(SANITIZED, "a preloaded allocator and sanitizers do not go together")
class Steady(Scratch):
    def setUp(self):
        super().setUp()
        self.model = self.path("model")
        self.ok("model", "init", "dna-8x256", "-o", self.model, "--set", "n_layer=1", "--set", "d_model=16", "--set",
                "vocab=16", "-q")
        shutil.copy(os.path.join(MODEL, "vocab.txt"), self.model)
        bases = heldout_bases(200000)
        self.long = self.write("long.fa", fasta([("long", bases * 3)]))
        self.short = self.write("short.fa", "".join(f">r{i}\n{bases[i * 15:i * 15 + i * 73 % 200]}\n" for i in range(12000)))

    def growth(self, path, *more):
        """What is counted from half of the reads of the input on to the last: allocations, opens, locks, futex."""
        log = self.path("counts")
        self.ok("run", "share:pipelines/genomics/score.yaml", "-m", self.model, "-i", path, "--force", "-q", "--set",
                "writer=[{plugin: hdf5, path: out.h5}, {plugin: table, path: out.tsv}]", *more,
                env={"LD_PRELOAD": COUNTER, "MBS_COUNT_INPUT": path, "MBS_COUNT_OUTPUT": log,
                     "MAMBASEQ_JOURNAL_EVERY": "1000"})
        with open(log) as f:
            at = [[int(v) for v in line.split()] for line in f]
        os.unlink(log)
        self.assertGreater(len(at), 12, "the input was not read in pieces")
        return [b - a for a, b in zip(at[len(at) // 2], at[-1])]

    def check(self, path, pieces, *more):
        with self.subTest(more=more, path=os.path.basename(path)):
            allocations, opens, locks, futex = self.growth(path, *more)
            # Calls grow to their size while the first reads are made: a few blocks of each size, never one a chunk.
            self.assertLess(allocations, 24)
            self.assertEqual(opens, 0)
            if "1" in more:
                self.assertEqual(futex, 0)
            # Around a block's memory and a plugin's call, never for a row: nobody else wants them.
            self.assertLess(locks, 50 * pieces)

    def test_the_counter_counts(self):
        """A program that allocates and opens at every read is not taken for a quiet one."""
        loud = ("import os\nf = os.open('in', os.O_RDONLY)\nwhile os.read(f, 10):\n"
                "    x = bytearray(100000)\n    os.close(os.open('in', os.O_RDONLY))\n")
        self.write("in", "x" * 1000)
        env = dict(os.environ, LD_PRELOAD=COUNTER, MBS_COUNT_INPUT=self.path("in"), MBS_COUNT_OUTPUT=self.path("out"))
        subprocess.run([sys.executable, "-c", loud], env=env, cwd=self.dir, check=True)
        with open(self.path("out")) as f:
            at = [[int(v) for v in line.split()] for line in f]
        self.assertGreater(at[-1][0] - at[0][0], 50)
        self.assertGreater(at[-1][1] - at[0][1], 50)

    def test_nothing_for_a_chunk(self):
        for threads in ("1", "2"):
            self.check(self.long, 150, "--threads", threads, "--chunk", "4096")
        self.check(self.long, 150, "--threads", "1")
        self.check(self.long, 150, "--threads", "1", "--set", "codec.iupac=skip", "--set", "codec.soft_mask=mask")

    def test_nothing_for_a_record(self):
        for threads in ("1", "2"):
            self.check(self.short, 6000, "--threads", threads)
        self.check(self.short, 24000, "--threads", "1", "--chunk", "50")

    def test_nothing_for_the_other_tasks(self):
        for task in ("{task: logits}", "{task: embed}", "{task: embed, pool: mean}", "{task: embed, pool: last}"):
            for path in (self.long, self.short):
                self.check(path, 6000, "--threads", "1", "--set", f"model={task[:-1]}, path: {self.model}" + "}", "--set",
                           "writer={plugin: hdf5, path: out.h5}")


if __name__ == "__main__":
    main()
