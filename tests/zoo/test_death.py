#!/usr/bin/env python3
"""Plugins that die, in each stage, call and way: the last line names plugin, call and record, the exit code is 69, no
file is half written, and what was journalled can be continued once the plugin is mended."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from support import *  # noqa: E402, F403

MORTAL = os.path.join(BUILD, "tests", "zoo", "mbsp_mortal.so")
# What a user reads on the last line; the reader's third record is behind 'rec1'.
THIRD = {"reader": "on record 3, behind record 2 'rec1'", "codec": "on record 3 'rec2' from 0",
         "writer": "on record 3 'rec2' from 0"}
CALL = {"reader": "read", "codec": "encode", "writer": "write"}


class Death(Scratch):
    ISOLATED = False

    def sets(self, *values):
        return [w for v in values for w in ("--set", v)]

    def pipeline(self, writer=f"{{plugin: {MORTAL}, path: out.txt}}"):
        isolate = ", isolate: true" if self.ISOLATED else ""
        return self.write("z.yaml", f"mambaseq: 1\nreader: {{plugin: {MORTAL}{isolate}}}\n"
                          f"codec: {{plugin: {MORTAL}{isolate}}}\nwriter: {writer}\n")

    def stages(self):
        return ["reader", "codec", "writer"]

    def dies(self, stage, how, *more, says=(), call=None, code=69, env=None):
        call = call or CALL[stage]
        text = self.fails(code, "run", "z.yaml", *self.sets(f"{stage}.how={how}", f"{stage}.record=2",
                                                            f"{stage}.call={call}", *more), says=says, env=env)
        last = text.splitlines()[-1]
        self.assertTrue(last.startswith(f"mambaseq: error: {stage} 'mortal': plugin 'mortal' 1.0.0"), last)
        return last


@unittest.skipIf(SANITIZED, "the sanitizer owns the signals")
class Crash(Death):
    def test_the_line_names_plugin_call_signal_and_record(self):
        self.pipeline()
        for stage in self.stages():
            for how, says in [("segv", "crashed in {} (SIGSEGV"), ("bus", "crashed in {} (SIGBUS"),
                              ("fpe", "crashed in {} (SIGFPE"), ("ill", "crashed in {} (SIGILL"),
                              ("abort", "aborted in {} (SIGABRT"), ("stack", "crashed in {} (SIGSEGV")]:
                with self.subTest(f"{stage} {how}"):
                    last = self.dies(stage, how, says=[says.format(CALL[stage]), THIRD[stage]])
                    self.assertIn("; nothing was written to out.txt; this is a mistake in the plugin", last)

    def test_a_thread_of_the_plugin_is_told_by_where_it_ran(self):
        self.pipeline()
        for stage in self.stages():
            for how, says in [("thread_segv", "crashed on a thread of its own in {} (SIGSEGV"),
                              ("thread_abort", "aborted on a thread of its own in {} (SIGABRT")]:
                with self.subTest(f"{stage} {how}"):
                    says = says.replace(" on a thread of its own", "") if self.ISOLATED else says
                    self.dies(stage, how, says=[says.format(CALL[stage]), THIRD[stage]])

    def test_every_call_is_guarded(self):
        self.pipeline()
        for stage, calls in [("reader", ["create", "open", "close"]), ("codec", ["create", "open", "close"]),
                             ("writer", ["create", "open", "drain", "close"])]:
            for call in calls if stage in self.stages() else []:
                with self.subTest(f"{stage} {call}"):
                    place = "before the first record" if call in ("create", "open") else "behind record 4 'rec3'"
                    self.dies(stage, "segv", call=call, says=[f"crashed in {call} (SIGSEGV", place])

    def test_pointers_into_nowhere(self):
        self.pipeline()
        self.dies("reader", "far_header", says=["in open (SIGSEGV"])
        self.dies("reader", "bad_record", says=["in read (SIGSEGV", THIRD["reader"]])

    def test_finished_outputs_stay(self):
        for name in "abc":
            self.write(name + ".fa", ">x\nACGT\n")
        self.pipeline(f"{{plugin: {MORTAL}, path: '{{stem}}.txt'}}")
        # The second job finds the first one's output and dies.
        r = self.run_("run", "z.yaml", *self.sets("reader.path=[a.fa, b.fa, c.fa]", "reader.how=segv",
                                                  "reader.record=2", "reader.unless=a.fa"))
        self.assertEqual(r.returncode, 69, r.stderr)
        self.assertIn(b"nothing was written to b.txt", r.stderr)
        self.assertEqual(sorted(f for f in os.listdir(self.dir) if "txt" in f), ["a.txt"])
        with open(self.path("a.txt")) as f:
            self.assertEqual(len(f.read()), 40)

    def journalled(self, stage, how, says):
        """Dies behind a journal, is mended, goes on: the bytes of a run that nothing happened to."""
        table = "{plugin: table, path: out.tsv}"
        isolate = ", isolate: true" if self.ISOLATED else ""
        self.write("t.yaml", f"mambaseq: 1\nreader: {{plugin: {MORTAL}, records: 400, mended: ok{isolate}}}\n"
                   f"codec: {{plugin: {MORTAL}, mended: ok{isolate}}}\nwriter: {table}\n")
        often = {"MAMBASEQ_JOURNAL_EVERY": "0.0001"}
        args = ["run", "t.yaml", *self.sets(f"{stage}.how={how}", f"{stage}.record=300", f"{stage}.call={CALL[stage]}")]
        r = self.run_(*args, env=often)
        self.assertEqual(r.returncode, 69, r.stderr)
        last = r.stderr.decode().splitlines()[-1]
        for word in says + ["; the work so far was kept beside out.tsv; once the plugin is mended run the same command "
                            "with --resume to continue"]:
            self.assertIn(word, last)
        self.assertNotIn("out.tsv", os.listdir(self.dir))
        self.assertIn(".out.tsv.mbs-journal", os.listdir(self.dir))
        self.write("ok", "")
        r = self.ok(*args, "--resume", env=often)
        self.assertNotIn(b"nothing to resume", r.stderr)
        resumed = digest(self.path("out.tsv"))
        os.unlink(self.path("out.tsv"))
        self.ok(*args)
        self.assertEqual(resumed, digest(self.path("out.tsv")))
        self.assertEqual([f for f in os.listdir(self.dir) if "mbs-" in f], [])

    def test_a_journalled_run_goes_on_after_the_plugin_is_mended(self):
        self.journalled("reader", "segv", ["reader 'mortal': plugin 'mortal' 1.0.0 crashed in read (SIGSEGV",
                                           "on record 301, behind record 300 'rec299'"])

    def test_also_where_the_codec_died(self):
        self.journalled("codec", "abort", ["codec 'mortal'", "aborted in encode (SIGABRT",
                                           "on record 301 'rec300' from 0"])


@unittest.skipIf(SANITIZED, "the sanitizer owns the signals")
class InProcess(Crash):
    def test_a_core_dump_is_left_on_request(self):
        self.pipeline()
        r = self.run_("run", "z.yaml", *self.sets("reader.how=segv"), env={"MAMBASEQ_CORE": "1"})
        self.assertEqual(r.returncode, -signal.SIGSEGV)
        self.assertIn(b"crashed in read (SIGSEGV", r.stderr)
        self.assertNotIn("out.txt", os.listdir(self.dir))

    def test_a_library_that_dies_while_it_is_loaded(self):
        path = os.path.join(BUILD, "tests", "zoo", "deadly", "mbsp_dies_loading.so")
        self.write("z.yaml", f"mambaseq: 1\nreader: {{plugin: {path}}}\nwriter: {{plugin: table, path: o.tsv}}\n")
        for command in ("check", "run"):
            self.fails(69, command, "z.yaml", says=f"{path}: this plugin crashed while it was loaded (SIGSEGV at address 0x0)")

    def test_a_signal_from_outside_keeps_its_meaning(self):
        self.pipeline()
        p = self.start("run", "z.yaml", *self.sets("reader.how=hang"))
        time.sleep(0.3)
        p.send_signal(signal.SIGSEGV)
        _, text = p.communicate(timeout=20)
        self.assertEqual(p.returncode, -signal.SIGSEGV)
        self.assertNotIn(b"crashed", text)


@unittest.skipIf(SANITIZED, "the sanitizer owns the signals")
class Isolated(Crash):
    """The same deaths in a worker process: the same words, the same files."""
    ISOLATED = True

    def stages(self):
        return ["reader", "codec"]

    def test_a_worker_that_is_killed_or_leaves(self):
        self.pipeline()
        for stage in self.stages():
            self.dies(stage, "kill", says=["was killed in " + CALL[stage] + " (SIGKILL)", THIRD[stage]])
            self.dies(stage, "exit", says=["ended the process in " + CALL[stage], THIRD[stage]])


class Rubbish(Death):
    def test_what_is_no_block_is_not_followed(self):
        self.pipeline()
        self.dies("reader", "bad_block", says=["read gave a block that the host did not make", THIRD["reader"]])
        self.dies("reader", "unref", says=["read gave block_unref something that is no block", THIRD["reader"]])
        self.dies("codec", "unref", says=["encode gave block_unref something that is no block", THIRD["codec"]])

    def test_a_block_whose_data_was_moved(self):
        self.pipeline()
        self.dies("reader", "moved_data", code=70, says=["with its data or side channels moved", "'rec2'"])

    def test_a_leak_is_named_and_the_output_is_whole(self):
        self.pipeline()
        r = self.ok("run", "z.yaml", *self.sets("codec.how=leak", "codec.call=encode"))
        self.assertIn(b"codec 'mortal': plugin 'mortal' 1.0.0 leaks: 1 pieces of memory and 0 blocks", r.stderr)
        self.assertEqual(os.path.getsize(self.path("out.txt")), 40)

    def test_a_call_that_does_not_come_back_is_named(self):
        self.pipeline()
        p = self.start("run", "z.yaml", *self.sets("reader.how=hang", "reader.record=2"), env={"MAMBASEQ_WATCH": "0.2"})
        time.sleep(1.5)
        p.send_signal(signal.SIGTERM)
        _, text = p.communicate(timeout=20)
        self.assertIn(b"reader 'mortal': plugin 'mortal' 1.0.0 has been in read for ", text)
        self.assertIn(b" s, on record 3, behind record 2 'rec1'", text)
        self.assertNotIn("out.txt", os.listdir(self.dir))


    def test_a_call_that_hears_no_signal_is_left_behind(self):
        if self.ISOLATED:
            self.skipTest("a worker is killed, tested below")
        self.pipeline()
        p = self.start("run", "z.yaml", *self.sets("reader.how=deaf", "reader.record=2"))
        time.sleep(1)
        t0 = time.monotonic()
        p.send_signal(signal.SIGTERM)
        _, text = p.communicate(timeout=30)
        self.assertLess(time.monotonic() - t0, 5 if not SANITIZED else 15)
        self.assertEqual(p.returncode, -signal.SIGTERM)
        self.assertIn(b"plugin 'mortal' 1.0.0 does not come back from read, on record 3, behind record 2 'rec1'", text)
        self.assertEqual(os.listdir(self.dir), ["z.yaml"])


class IsolatedRubbish(Rubbish):
    ISOLATED = True

    def test_a_deadline_ends_a_call_that_does_not_come_back(self):
        self.pipeline()
        for stage in ("reader", "codec"):
            t0 = time.monotonic()
            last = self.dies(stage, "deaf", f"{stage}.isolate_timeout=300ms",
                             says=[f"did not come back from {CALL[stage]} within 0.3 s and was killed", THIRD[stage]])
            self.assertIn("; raise isolate_timeout, or tell its author", last)
            self.assertLess(time.monotonic() - t0, 10)

    def test_a_stop_is_not_held_up_by_a_plugin_that_does_not_hear(self):
        self.pipeline()
        for how, sig in [("deaf", signal.SIGTERM), ("hang", signal.SIGTERM), ("hang", signal.SIGINT)]:
            with self.subTest(f"{how} {sig}"):
                p = self.start("run", "z.yaml", *self.sets(f"reader.how={how}", "reader.record=2"))
                time.sleep(0.4)
                t0 = time.monotonic()
                p.send_signal(sig)
                _, text = p.communicate(timeout=20)
                self.assertLess(time.monotonic() - t0, 2.5)
                self.assertEqual(p.returncode, -sig, text)
                self.assertNotIn("out.txt", os.listdir(self.dir))


if __name__ == "__main__":
    del Crash, Death
    main()
