#!/usr/bin/env python3
"""The chunk law and the memory law, at the level of files: the same bytes for any chunk, thread count and cut."""
import random
import resource
import subprocess

from support import *


class ChunkLaw(Scratch):
    def setUp(self):
        super().setUp()
        if SANITIZED:  # which looks at the same calls; test_model_session has ecoli-ref there
            self.use_small_model()

    def test_same_bytes_for_any_chunk_and_threads(self):
        cuts = (("1", "1"), ("7", "2"), ("1000", "2"), ("1000", "1"), ("65536", "2"), ("1Mi", "1"))
        for level in levels()[-1:] if SANITIZED else levels():
            plain = level == "ref"  # plain C takes 15 times as long
            path = self.write("in.fa", fasta(few_records(heldout_bases(4200)) if plain else mixed_records(heldout_bases(4200))))
            seen = {}
            for chunk, threads in (cuts[0], cuts[1], cuts[5]) if plain else cuts:
                self.score(path, "out.h5", "out.tsv", "--chunk", chunk, "--threads", threads, env={"MAMBASEQ_CPU": level})
                seen[(chunk, threads)] = (digest(self.path("out.h5")), digest(self.path("out.tsv")))
            self.assertEqual(len(set(seen.values())), 1, f"{level}: {seen}")

    def test_form_of_the_input_does_not_matter(self):
        bases = heldout_bases(3000)
        plain = fasta([("x", bases)], 60)
        forms = {"a.fa": plain, "b.fa": fasta([("x", bases)], 71), "c.fa": plain.replace("\n", "\r\n"),
                 "d.fa.gz": gzip.compress(plain.encode())}
        table = set()
        for name, text in forms.items():
            self.score(self.write(name, text))
            row = self.rows()[0]
            table.add((row["length"], row["scored"], row["bits_per_base"], row["perplexity"]))
        self.assertEqual(len(table), 1, table)

    def test_a_region_with_all_its_flank_is_the_slice_of_the_whole(self):
        try:
            import h5py
        except ImportError:
            self.skipTest("python3-h5py is not installed")
        path = self.write("in.fa", fasta([("x", heldout_bases(3000))]))
        self.score(path, "whole.h5")
        self.score(path, "part.h5", "part.tsv", "--set", "reader.regions=x:1001-1500", "--set", "reader.flank=all")
        self.score(path, "near.h5", "near.tsv", "--set", "reader.regions=x:1001-1500", "--set", "reader.flank=0")
        with h5py.File(self.path("whole.h5")) as w, h5py.File(self.path("part.h5")) as p, h5py.File(self.path("near.h5")) as n:
            self.assertEqual(w["score/logprob"][1000:1500].tobytes(), p["score/logprob"][:].tobytes())
            self.assertEqual(int(p["records/start"][0]), 1000)
            self.assertEqual(int(p["records/length"][0]), 500)
            self.assertEqual(len(n["score/logprob"]), 500)
            self.assertTrue(n["score/logprob"][0] != n["score/logprob"][0], "without flank the first base has no context")
            self.assertFalse(p["score/logprob"][0] != p["score/logprob"][0], "with flank it has")

    def test_what_is_scored(self):
        path = self.write("in.fa", fasta(mixed_records(heldout_bases(4200))))
        for policy in ("unk", "skip"):
            self.score(path, "out.h5", "out.tsv", "--set", f"codec.iupac={policy}")
            rows = {r["name"]: r for r in self.rows()}
            self.assertEqual((rows["first"]["length"], rows["first"]["scored"]), ("1500", "1499"))
            self.assertEqual((rows["empty"]["length"], rows["empty"]["scored"]), ("0", "0"))
            self.assertEqual((rows["one"]["length"], rows["one"]["scored"]), ("1", "0"))
            self.assertEqual((rows["onlyN"]["length"], rows["onlyN"]["scored"]), ("4", "0"))
            self.assertEqual((rows["gaps"]["length"], rows["gaps"]["scored"]), ("674", str(674 - 74 - 1)))
        self.fails(65, *self.score_args(path), "--set", "codec.iupac=error", "--force", says="gaps")

    def test_bits_per_base_of_the_heldout_genome(self):
        if SANITIZED:
            self.skipTest("too slow under sanitizers")
        self.score(HELDOUT)
        bits = float(self.rows()[0]["bits_per_base"])
        self.assertLess(abs(bits - 1.85), 0.01, bits)


class ChunkLawMamba2(Scratch):
    """A block of 64 rows is open at nearly every cut: what is carried is more than a state."""

    def setUp(self):
        super().setUp()
        shape = ("mixer=mamba2", "d_model=32", "head_dim=16", "n_groups=2", "d_state=24")
        self.ok("model", "init", "tiny", "-o", self.path("m"), "--seed", "3", "-q", *[a for s in shape for a in ("--set", s)])
        self.model = ("-m", self.path("m"))

    def test_same_bytes_for_any_chunk_and_threads(self):
        path = self.write("in.fa", fasta(mixed_records(heldout_bases(4200))))
        for level in levels()[-1:] if SANITIZED else levels():
            seen = {}
            for chunk, threads in (("1", "1"), ("7", "2"), ("64", "1"), ("1000", "2"), ("1Mi", "1")):
                self.score(path, "out.h5", "out.tsv", "--chunk", chunk, "--threads", threads, *self.model,
                           env={"MAMBASEQ_CPU": level})
                seen[(chunk, threads)] = (digest(self.path("out.h5")), digest(self.path("out.tsv")))
            self.assertEqual(len(set(seen.values())), 1, f"{level}: {seen}")

    def wait_for_news(self, p, journal):
        """Until the run has ended or written its journal anew: a fast machine is done before any pause is over."""
        def written():
            return os.stat(journal).st_mtime_ns if os.path.exists(journal) else None
        before = written()
        end = time.monotonic() + 120
        while p.poll() is None and written() in (None, before) and time.monotonic() < end:
            time.sleep(0.001)

    def test_killed_and_resumed(self):
        bases = heldout_bases(4200 if SANITIZED else 60000)
        path = self.write("in.fa", fasta(mixed_records(bases[:4200]) + [("long", bases)]))
        self.score(path, "want.h5", "want.tsv", *self.model)
        killed = 0
        for _ in range(60):
            p = self.start(*self.score_args(path, "got.h5", "got.tsv"), *self.model, "--chunk", "50", "--resume",
                           env={"MAMBASEQ_JOURNAL_EVERY": "0.01"})
            self.wait_for_news(p, self.path(".got.h5.mbs-journal"))
            if killed < 5 and p.poll() is None:
                p.kill()
                killed += 1
            p.communicate()
            if p.returncode == 0:
                break
        self.assertEqual(p.returncode, 0)
        self.assertGreater(killed, 0)
        for kind in ("h5", "tsv"):
            self.assertEqual(digest(self.path(f"got.{kind}")), digest(self.path(f"want.{kind}")))


class MemoryLaw(Scratch):
    def peak(self, path, *more):
        """Peak resident memory of a run, in KiB."""
        p = self.start(*self.score_args(path), "--force", "-q", "--threads", "1", *more)
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        err = p.stderr.read().decode()
        p.stdout.close()
        p.stderr.close()
        self.assertEqual(p.returncode, 0, err)
        return usage.ru_maxrss

    def test_memory_does_not_grow_with_a_record(self):
        if SANITIZED:
            self.skipTest("sanitizers keep freed memory")
        bases = heldout_bases(200000)
        short = self.peak(self.write("short.fa", fasta([("x", bases[:20000])])), "--chunk", "4096")
        long = self.peak(self.write("long.fa", fasta([("x", bases)])), "--chunk", "4096")
        self.assertLess(long, 1.05 * short, f"{short} KiB, then {long} KiB for ten times the length")

    def test_memory_does_not_grow_with_the_number_of_records(self):
        if SANITIZED:
            self.skipTest("sanitizers keep freed memory")
        bases = heldout_bases(2000)
        few = "".join(f">r{i}\n{bases[i % 1900]}\n" for i in range(3000))
        many = "".join(f">r{i}\n{bases[i % 1900]}\n" for i in range(60000))
        a = self.peak(self.write("few.fa", few))
        b = self.peak(self.write("many.fa", many))
        self.assertLess(b, 1.10 * a, f"{a} KiB, then {b} KiB for twenty times the records")


if __name__ == "__main__":
    main()
