#!/usr/bin/env python3
"""`isolate: true`: the bytes are those of a run without it, however it is cut, stopped and resumed, and the worker process
lives and dies with the run."""
from support import *  # noqa: F403

SLOW = {"MAMBASEQ_JOURNAL_EVERY": "0.02"}
if not SANITIZED:
    SLOW["MAMBASEQ_CPU"] = "ref"
BOTH = ["--set", "reader.isolate=true", "--set", "codec.isolate=true"]


def workers_of(pid):
    """Children of a process."""
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(w) for w in f.read().split()]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Isolate(Scratch):
    def setUp(self):
        super().setUp()
        self.use_small_model()
        self.bases = heldout_bases(15000)
        records = mixed_records(self.bases)
        self.write("in.fa", fasta(records))
        self.write("slow.fa", fasta([*records, ("long", self.bases)]))  # long enough to be met half way

    def same(self, *args, pipeline="share:pipelines/genomics/score.yaml", outs=("out.h5", "out.tsv"), **kw):
        """The run with and without isolation: the same bytes in all outputs."""
        sets = ["--set", "writer.hdf5.path=out.h5", "--set", "writer.table.path=out.tsv", *self.scored_by] if len(outs) == 2 else []
        self.ok("run", pipeline, *sets, *args, "--force", **kw)
        want = [digest(self.path(o)) for o in outs]
        self.ok("run", pipeline, *sets, *args, *BOTH, "--force", **kw)
        self.assertEqual([digest(self.path(o)) for o in outs], want)
        return want

    def test_bytes_do_not_tell_whether_a_stage_was_isolated(self):
        first = self.same("-i", "in.fa")
        for chunk in ("1", "7", "4096"):
            self.assertEqual(self.same("-i", "in.fa", "--chunk", chunk), first)

    def test_regions_and_masks_and_other_files(self):
        self.write("long.fa", fasta([("chr1", self.bases[:8000].replace("ACG", "acg")), ("chr2", self.bases[8000:])]))
        self.same("-i", "long.fa", "--set", "reader.regions=[chr1:5000-6000, chr2:1-10, chr1:1-3]", "--set",
                  "reader.flank=300")
        self.same("--set", "reader.path=[in.fa, long.fa]")
        with open(self.path("in.fa"), "rb") as f:
            self.write("in.fa.gz", gzip.compress(f.read()))
        self.same("-i", "in.fa.gz")
        s = self.bases
        self.write("in.fq", "".join(f"@r{i}\n{s[i:i + 60]}\n+\n{chr(33 + i) * 60}\n" for i in range(50)))
        self.same("-i", "in.fq")

    def test_many_short_records(self):
        self.write("many.fa", fasta([(f"r{i}", self.bases[i:i + i % 40]) for i in range(500 if SANITIZED else 3000)]))
        self.write("raw.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: many.fa}\n"
                   "codec: {plugin: bases, vocab: caduceus}\nwriter: {plugin: table, path: out.tsv}\n")
        self.same(pipeline="raw.yaml", outs=["out.tsv"])
        self.same("-i", "many.fa")

    def test_standard_input_is_the_workers_too(self):
        with open(self.path("in.fa"), "rb") as f:
            text = f.read()
        self.same("-i", "-", stdin=text)

    def test_generated_tokens_are_decoded_there(self):
        self.write("gen.yaml", f"mambaseq: 1\nreader: {{plugin: fasta, path: in.fa}}\ncodec: {{plugin: bases}}\n"
                   f"model: {{path: small, task: generate, max_new_tokens: 40, seed: 3}}\n"
                   "writer: {plugin: table, path: out.tsv}\n")
        self.same(pipeline="gen.yaml", outs=["out.tsv"])

    def test_messages_of_the_plugin_are_the_same(self):
        self.write("bad.fa", ">a\nACGT\n>b\nAC\x00GT\n")
        for args in [("-i", "bad.fa"), ("-i", "none.fa"), ("-i", "in.fa", "--set", "reader.regions=chr9"),
                     ("-i", "in.fa", "--set", "codec.vocab=nowhere.txt")]:
            with self.subTest(args):
                texts = []
                for more in ([], BOTH):
                    r = self.run_("run", "share:pipelines/genomics/score.yaml", "--set", "writer={plugin: table, path: o.tsv}",
                                  *args, *more)
                    texts.append((r.returncode, r.stderr))
                self.assertEqual(texts[0], texts[1])
                self.assertNotEqual(texts[0][0], 0)

    def test_the_plan_says_it_and_the_canonical_text_does_not(self):
        args = ["run", "share:pipelines/genomics/score.yaml", "-i", "in.fa", "--set", "writer.hdf5.path=out.h5", "--dry-run",
                "--set", "reader.isolate=true", "--set", "reader.isolate_timeout=2min"]
        self.assertIn(b"\n          in a worker process, 120 s for a call\n", self.ok(*args).stdout)
        self.fails(78, *args[:-4], "--set", "reader.isolate_timeout=5", says="only holds together with isolate: true")
        self.fails(78, *args[:-4], "--set", "writer.1.isolate=true", says="a writer runs in the program itself")
        self.fails(78, *args[:-4], "--set", "reader.isolat=true", says="did you mean 'isolate'?")

    def test_a_writer_that_needs_the_readers_own_records_is_refused(self):
        zoo = os.path.join(BUILD, "tests", "zoo")
        self.write("pair.yaml", f"mambaseq: 1\nreader: {{plugin: {zoo}/mbsp_pair_reader.so, isolate: true}}\n"
                   f"writer: {{plugin: {zoo}/mbsp_pair_writer.so, path: out.txt}}\n")
        self.fails(78, "run", "pair.yaml", says=["pair.yaml:3:", "cannot leave a worker process", "isolate: false"])

    def slow_run(self, *more):
        """A run that has written its journal, and its workers: two where `more` says so."""
        p = self.start(*self.score_args("slow.fa"), "--set", "model.chunk=64", *more, env=SLOW)
        end = time.monotonic() + 60
        while p.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
            if len(workers_of(p.pid)) == (2 if more else 0) and os.path.exists(self.path(".out.h5.mbs-journal")):
                return p, workers_of(p.pid)
        p.kill()
        self.fail(p.communicate()[1].decode())

    def finish(self, *more):
        """Resumes, and compares with a run that nothing happened to."""
        r = self.ok(*self.score_args("slow.fa"), "--resume", *more, env=SLOW)
        self.assertNotIn(b"nothing to resume", r.stderr)
        got = (digest(self.path("out.h5")), digest(self.path("out.tsv")))
        self.score("slow.fa", env=SLOW)
        self.assertEqual(got, (digest(self.path("out.h5")), digest(self.path("out.tsv"))))
        self.assertEqual([f for f in os.listdir(self.dir) if ".mbs-" in f], [])

    def test_stopped_and_resumed_with_and_without(self):
        for first, then in [(BOTH, BOTH), (BOTH, []), ([], BOTH)]:
            with self.subTest(f"{len(first)} {len(then)}"):
                for name in ("out.h5", "out.tsv"):
                    if os.path.exists(self.path(name)):
                        os.unlink(self.path(name))
                p, workers = self.slow_run(*first)
                p.send_signal(signal.SIGTERM)
                _, text = p.communicate(timeout=30)
                self.assertEqual(p.returncode, 75, text)
                self.assertEqual([w for w in workers if alive(w)], [])
                self.finish(*then)

    def test_a_killed_worker_ends_the_run_and_the_journal_goes_on(self):
        p, workers = self.slow_run(*BOTH)
        os.kill(workers[0], signal.SIGKILL)
        _, text = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 69, text)
        last = text.decode().splitlines()[-1]
        self.assertIn("was killed in ", last)
        self.assertIn("(SIGKILL), in its worker process, ", last)
        self.assertIn(" record ", last)
        self.assertIn("; the work so far was kept beside out.h5; ", last)
        self.assertFalse(alive(workers[1]))
        self.finish(*BOTH)

    def test_workers_do_not_outlive_a_killed_run(self):
        p, workers = self.slow_run(*BOTH)
        p.kill()
        p.communicate()
        for _ in range(100):
            if not any(alive(w) for w in workers):
                break
            time.sleep(0.02)
        self.assertEqual([w for w in workers if alive(w)], [])
        self.finish(*BOTH)

    def test_a_worker_has_nothing_of_the_run_but_its_channel(self):
        p, workers = self.slow_run(*BOTH)
        try:
            for w in workers:
                fds = {fd: os.readlink(f"/proc/{w}/fd/{fd}") for fd in os.listdir(f"/proc/{w}/fd")}
                self.assertEqual(fds["1"], "/dev/null")
                names = " ".join(fds.values())
                self.assertNotIn("mbs-part", names)
                self.assertNotIn("mbs-lock", names)
                with open(f"/proc/{w}/status") as f:
                    self.assertIn("NoNewPrivs:\t1", f.read())
        finally:
            p.kill()
            p.communicate()

    def test_the_hidden_mode_is_no_command(self):
        self.fails(64, "--isolated-worker")


if __name__ == "__main__":
    main()
