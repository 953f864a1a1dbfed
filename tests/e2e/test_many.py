#!/usr/bin/env python3
"""Short records go through the model side by side: the same bytes as one by one, wherever they are cut, stopped or
killed, and whoever rides along."""
from support import *

SLOW = {"MAMBASEQ_JOURNAL_EVERY": "0.01"}


def zoo(bases, n):
    """Records of all lengths from 0 to 300 with long ones between them, with N, soft masks and IUPAC letters."""
    rng = random.Random(11)
    records = []
    for i in range(n):
        length = i % 7 if i % 3 == 0 else rng.randrange(301)
        at = rng.randrange(len(bases) - 4000)
        if i % 29 == 28:
            length = 300 + 100 * (i % 31)
        s = bases[at:at + length]
        if i % 11 == 10:
            s = s[:length // 2] + "N" * 9 + s[length // 2:].lower() + "RYK"
        if i % 37 == 36:
            s = "N" * (i % 5)
        records.append((f"r{i} of {n}", s))
    return records


class Many(Scratch):
    def setUp(self):
        super().setUp()
        self.use_small_model()
        self.bases = heldout_bases(20000)
        self.input = self.write("in.fa", fasta(zoo(self.bases, 20 if SANITIZED else 100)))

    def bytes_of(self, *more, env=None):
        self.score(self.input, "out.h5", "out.tsv", *more, env=env)
        return digest(self.path("out.h5")), digest(self.path("out.tsv"))

    def test_same_bytes_as_one_by_one(self):
        for level in levels()[-1:]:
            for policy in ("unk", "skip"):
                args = ("--set", f"codec.iupac={policy}", "--set", "codec.soft_mask=mask")
                env = {"MAMBASEQ_CPU": level}
                # A chunk of one row cuts every record: nothing but those of one base or none rides together.
                want = self.bytes_of(*args, "--chunk", "1", "--threads", "1", env=env)
                for chunk, threads in (("65536", "1"), ("65536", "2"), ("100", "2")):
                    self.assertEqual(self.bytes_of(*args, "--chunk", chunk, "--threads", threads, env=env), want,
                                     (level, policy, chunk, threads))

    def test_same_bytes_with_every_weight_type(self):
        for dtype, math in (("int8", "f32"), ("bf16", "bf16"), ("int8", "bf16"), ("int8", "int16"), ("int8", "int8")):
            args = ("--set", f"model.dtype={dtype}", "--set", f"model.math={math}")
            want = self.bytes_of(*args, "--chunk", "1", "--threads", "1")
            self.assertEqual(self.bytes_of(*args, "--threads", "2"), want, (dtype, math))

    def test_a_record_does_not_know_its_neighbours(self):
        self.score(self.input)
        rows = {r["name"]: r for r in self.rows()}
        for i, (name, seq) in enumerate(zoo(self.bases, len(rows))):
            if i % 20 == 5 and not SANITIZED:
                self.score(self.write("one.fa", fasta([(name, seq)])), "one.h5", "one.tsv")
                one = self.rows("one.tsv")[0]
                self.assertEqual({k: one[k] for k in one if k != "source"},
                                 {k: v for k, v in rows[one["name"]].items() if k != "source"})

    def test_other_tasks(self):
        for task in ("{task: logits}", "{task: embed}", "{task: embed, pool: mean}", "{task: embed, pool: last, layer: 2}"):
            model = f"model={task[:-1]}, path: small" + "}"
            seen = set()
            for chunk, threads in (("65536", "2"), ("40", "1")):
                self.ok("run", "share:pipelines/genomics/score.yaml", "-i", self.input, "--set", model, "--set",
                        "writer={plugin: hdf5, path: out.h5}", "--set", "codec.iupac=skip", "--force", "--chunk", chunk,
                        "--threads", threads)
                seen.add(digest(self.path("out.h5")))
            self.assertEqual(len(seen), 1, task)

    def test_regions_with_flank(self):
        path = self.write("one.fa", fasta([("x", self.bases[:6000])]))
        regions = ", ".join(f"'x:{a}-{a + n}'" for a, n in ((1, 0), (2, 30), (500, 200), (501, 0), (3000, 90), (5999, 1)))
        seen = set()
        for chunk in ("1", "65536", "64"):
            self.score(path, "out.h5", "out.tsv", "--chunk", chunk, "--set", f"reader.regions=[{regions}]", "--set",
                       "reader.flank=40")
            seen.add((digest(self.path("out.h5")), digest(self.path("out.tsv"))))
        self.assertEqual(len(seen), 1)
        self.assertEqual([r["length"] for r in self.rows()], ["1", "31", "201", "1", "91", "2"])

    def test_killed_in_the_middle_of_many(self):
        self.scored_by = ()  # a run that is long enough to be met in its middle
        t0 = time.monotonic()
        want = self.bytes_of()
        whole = time.monotonic() - t0
        args = self.score_args(self.input, "got.h5", "got.tsv")
        rng = random.Random(5)
        killed = 0
        for attempt in range(200):
            chunk = rng.choice(["65536", "65536", "90", "7"])
            p = self.start(*args, "--resume", "--chunk", chunk, env=SLOW)
            try:
                p.wait(rng.uniform(0.1, 0.4) * whole if attempt < 12 else 120)
            except subprocess.TimeoutExpired:
                p.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
                killed += 1
            _, err = p.communicate()
            if p.returncode == 0:
                break
            self.assertIn(p.returncode, (-signal.SIGKILL, 75), err.decode())
        self.assertEqual(p.returncode, 0)
        self.assertGreater(killed, 0, "the kills came too late to mean anything")
        self.assertEqual((digest(self.path("got.h5")), digest(self.path("got.tsv"))), want)

    def test_stops_at_once(self):
        path = self.write("reads.fa", "".join(f">r{i}\n{self.bases[i:i + 150]}\n" for i in range(19000)))
        p = self.start(*self.score_args(path, "got.h5", "got.tsv"))
        time.sleep(1.5)
        t0 = time.monotonic()
        p.send_signal(signal.SIGTERM)
        _, err = p.communicate()
        self.assertEqual(p.returncode, 75, err.decode())
        self.assertLess(time.monotonic() - t0, 2.0 if not SANITIZED else 8.0)


if __name__ == "__main__":
    main()
