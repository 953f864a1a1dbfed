#!/usr/bin/env python3
"""Stopped, killed and resumed runs: the same bytes, the right exit code, nothing under a final name before its time."""
from support import *

# Journals so often that a kill finds one nearly anywhere.
SLOW = {"MAMBASEQ_JOURNAL_EVERY": "0.02"}


class Resume(Scratch):
    def setUp(self):
        super().setUp()
        self.small = self.use_small_model()
        n = 12000 if SANITIZED else 120000
        bases = heldout_bases(n)
        records = mixed_records(bases[:4200]) + [("long", bases), ("tail", bases[:500])]
        self.input = self.write("in.fa", fasta(records))
        self.kills = 3 if SANITIZED else 10
        t0 = time.monotonic()
        self.score(self.input, "want.h5", "want.tsv")
        self.whole = time.monotonic() - t0
        self.want = (digest(self.path("want.h5")), digest(self.path("want.tsv")))
        self.args = self.score_args(self.input, "got.h5", "got.tsv")

    def with_model(self, folder):
        """The same run with another model."""
        return [folder if a == self.small else a for a in self.args]

    def stop(self, p, sig, kind="journal"):
        """Once the run has written something of this kind beside its outputs; how it ended, after which time, and what it
        said. A fast machine is done before any pause is over, and a busy one has not begun."""
        end = time.monotonic() + 120
        while p.poll() is None and time.monotonic() < end and not any(f".mbs-{kind}" in f for f in os.listdir(self.dir)):
            time.sleep(0.001)
        t0 = time.monotonic()
        p.send_signal(sig)
        _, err = p.communicate()
        return p.returncode, time.monotonic() - t0, err.decode()

    def finals(self):
        return [f for f in ("got.h5", "got.tsv") if os.path.exists(self.path(f))]

    def clean(self):
        for f in os.listdir(self.dir):
            if "got" in f:
                os.unlink(self.path(f))

    def check_bytes(self):
        self.assertEqual((digest(self.path("got.h5")), digest(self.path("got.tsv"))), self.want)
        left = [f for f in os.listdir(self.dir) if ".mbs-" in f]
        self.assertEqual(left, [])

    def test_killed_at_random_points(self):
        rng = random.Random(7)
        killed = 0
        for round in range(4 * self.kills):
            if round >= self.kills and killed > self.kills // 2:  # a fast machine may be done before a kill
                break
            self.clean()
            for attempt in range(50):
                p = self.start(*self.args, "--resume", env=SLOW)
                try:
                    p.wait(rng.uniform(0.02, max(0.1, self.whole)))
                except subprocess.TimeoutExpired:
                    p.kill()
                p.communicate()
                if p.returncode == 0:
                    break
                self.assertEqual(p.returncode, -signal.SIGKILL)
                killed += 1
                self.assertIn(len(self.finals()), (0, 1, 2))
            self.assertEqual(p.returncode, 0)
            self.check_bytes()
        self.assertGreater(killed, self.kills // 2, "the kills came too late to mean anything")

    def stop_with(self, sig):
        return self.stop(self.start(*self.args, env=SLOW), sig)

    def test_sigterm_is_75_and_resumable(self):
        code, seconds, err = self.stop_with(signal.SIGTERM)
        self.assertEqual(code, 75, err)
        self.assertLess(seconds, 2.0 if not SANITIZED else 6.0)
        self.assertEqual(self.finals(), [])
        self.assertTrue(err.splitlines()[-1].startswith("mambaseq: error: "), err)
        self.assertIn("--resume", err.splitlines()[-1])
        self.ok(*self.args, "--resume")
        self.check_bytes()

    def test_sigint_journals_and_dies_of_the_signal(self):
        code, _, err = self.stop_with(signal.SIGINT)
        self.assertEqual(code, -signal.SIGINT, err)
        self.assertEqual(self.finals(), [])
        self.ok(*self.args, "--resume", "--chunk", "333", "--threads", "1")
        self.check_bytes()

    def test_a_journal_of_another_run_is_refused(self):
        code, _, err = self.stop_with(signal.SIGTERM)
        self.assertEqual(code, 75, err)
        kept = sorted(os.listdir(self.dir))
        r = self.run_(*self.args, "--resume", "--set", "codec.iupac=skip")
        self.assertEqual(r.returncode, 65, r.stderr.decode())
        self.assertIn("pipeline", r.stderr.decode())
        other = self.path("model")
        shutil.copytree(self.small, other)
        header, data = read_safetensors(os.path.join(other, "model.safetensors"))
        write_safetensors(os.path.join(other, "model.safetensors"), header, data[:-4] + struct.pack("<f", 0.5))
        r = self.run_(*self.with_model(other), "--resume")
        self.assertEqual(r.returncode, 65, r.stderr.decode())
        shutil.rmtree(other)
        with open(self.input, "a") as f:
            f.write(">more\nACGT\n")
        r = self.run_(*self.args, "--resume")
        self.assertEqual(r.returncode, 65, r.stderr.decode())
        self.assertIn("input", r.stderr.decode())
        self.assertEqual(sorted(os.listdir(self.dir)), kept, "a refused resume must not lose the journal")

    def test_a_damaged_journal_falls_back_or_is_refused(self):
        code, _, err = self.stop_with(signal.SIGTERM)
        self.assertEqual(code, 75, err)
        journal = self.path(".got.h5.mbs-journal")
        previous = self.path(".got.h5.mbs-journal-1")
        self.assertTrue(os.path.exists(journal), os.listdir(self.dir))
        with open(journal, "r+b") as f:
            data = bytearray(f.read())
            data[len(data) // 2] ^= 1
            f.seek(0)
            f.write(data)
        if os.path.exists(previous):
            self.ok(*self.args, "--resume")
            self.check_bytes()

    def test_resume_without_a_journal(self):
        self.ok(*self.args, "--resume")
        self.check_bytes()
        before = os.stat(self.path("got.h5")).st_mtime_ns
        r = self.ok(*self.args, "--resume")
        self.assertEqual(os.stat(self.path("got.h5")).st_mtime_ns, before)
        self.assertIn("already there, nothing to resume: got.h5 (not looked into, whatever made it: --force makes it again)", r.stderr.decode())
        self.assertNotIn("is newer than", r.stderr.decode())
        os.utime(self.path("in.fa"), ns=(before, before + 1))
        r = self.ok(*self.args, "--resume")
        self.assertIn("/in.fa is newer than got.h5: if it has changed, --force makes", r.stderr.decode())

    def test_a_changed_vocabulary_is_noticed(self):
        args = self.with_model(self.path("model"))
        model = shutil.copytree(self.small, self.path("model"))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            os.unlink(os.path.join(model, name))
        code, _, err = self.stop(self.start(*args, env=SLOW), signal.SIGTERM)
        self.assertEqual(code, 75, err)
        with open(os.path.join(model, "vocab.txt")) as f:
            words = f.read().split()
        self.write("model/vocab.txt", "".join({"[PAD]": "[BOS]", "[BOS]": "[PAD]"}.get(w, w) + "\n" for w in words))
        r = self.run_(*args, "--resume")
        self.assertEqual(r.returncode, 65, r.stderr.decode())
        self.assertIn("tokenizer", r.stderr.decode())

    def test_work_is_not_lost_in_silence(self):
        code, _, err = self.stop_with(signal.SIGTERM)
        self.assertEqual(code, 75, err)
        kept = sorted(os.listdir(self.dir))
        r = self.run_("run", "share:pipelines/genomics/score.yaml", "-i", self.input, "--set", "writer.hdf5.path=got.h5",
                      *self.scored_by, "--resume")
        self.assertEqual(r.returncode, 64, r.stderr.decode())
        self.assertIn("standard output", r.stderr.decode())
        self.assertEqual(sorted(os.listdir(self.dir)), kept)
        r = self.ok(*self.args)
        self.assertIn("stopped run", r.stderr.decode())
        self.check_bytes()

    def test_stdout_is_not_resumable_and_dry_run_says_so(self):
        r = self.ok("run", "share:pipelines/genomics/score.yaml", "-i", self.input, "--dry-run")
        self.assertIn("resumable: no", r.stdout.decode())
        r = self.ok(*self.args, "--dry-run")
        self.assertIn("resumable: yes", r.stdout.decode())
        self.assertEqual(self.finals(), [])
        p = self.start("run", "share:pipelines/genomics/score.yaml", "-i", self.input, "--set", "writer.hdf5.path=got.h5",
                       *self.scored_by, env=SLOW)
        code, _, err = self.stop(p, signal.SIGTERM, "part")
        self.assertEqual(code, -signal.SIGTERM, err)
        self.assertEqual([f for f in os.listdir(self.dir) if "got" in f], [])


class ResumeGenerate(Scratch):
    def test_a_killed_generation_continues_with_the_same_bytes(self):
        prompt = self.write("p.fa", fasta([("p", heldout_bases(300)), ("q", heldout_bases(90))]))
        self.use_small_model()
        n = 1200 if SANITIZED else 20000
        args = ["run", "share:pipelines/genomics/generate.yaml", *self.scored_by, "--set",
                f"reader={{plugin: fasta, path: {prompt}}}", "--set", f"model.max_new_tokens={n}", "--set"]
        t0 = time.monotonic()
        self.ok(*args, "writer={plugin: table, path: want.tsv}")
        whole = time.monotonic() - t0
        rng = random.Random(3)
        killed = 0
        for _ in range(4):
            for f in os.listdir(self.dir):
                if "got" in f:
                    os.unlink(self.path(f))
            for attempt in range(40):
                p = self.start(*args, "writer={plugin: table, path: got.tsv}", "--resume", env=SLOW)
                try:
                    p.wait(rng.uniform(0.02, max(0.1, whole)))
                except subprocess.TimeoutExpired:
                    p.kill()
                    killed += 1
                p.communicate()
                if p.returncode == 0:
                    break
            self.assertEqual(p.returncode, 0)
            self.assertEqual(digest(self.path("got.tsv")), digest(self.path("want.tsv")))
        self.assertGreater(killed, 0, "the kills came too late to mean anything")


if __name__ == "__main__":
    main()
