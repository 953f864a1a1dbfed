#!/usr/bin/env python3
"""`plugin check` finds every animal of the zoo by the right test, and passes those that are well."""
import concurrent.futures
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from support import *  # noqa: E402, F403

ZOO = os.path.join(BUILD, "tests", "zoo")
LINES = "ACGTACGTNNACGT\nA\n\nGATTACA" + "GATTACA" * 50 + "\nTTTTT\n" + "ACGT" * 1500 + "\n"

# animal -> the test that must fail, and words that must be in what it says.
SICK = {
    "sick_reader_extension": ("ids.unknown", "for the id 'no.such.extension/1'"),
    "sick_reader_default": ("params.defaults", "is a million"),
    "sick_reader_early": ("params.defaults", "create opens a file"),
    "sick_reader_range": ("params.range", "'most: 1000000000' lies in its range and is refused without its name: "),
    "sick_reader_range_dies": ("params.range", "crashed in create, most: 1: signal 11"),
    "sick_reader_split": ("data.chunks", "blocks of 4096 rows: record 6 'line6' differs from row 4095 on"),
    "sick_reader_shared": ("data.interleaved", "beside another instance"),
    "sick_reader_cut": ("data.truncated", "crashed in read, cut off after byte "),
    "sick_reader_trusts": ("data.random", "crashed in read, "),
    "sick_reader_loops": ("data.random", "did not come to an end within 2 s in read, "),
    "sick_reader_no_test": ("fault.alloc", "crashed in create, request 1 of "),
    "sick_reader_other": ("fault.alloc", "request 1 of "),
    "sick_reader_drops": ("fault.alloc", "pieces are not given back"),
    "sick_reader_order": ("life.order", "create, open, close, destroy, without a record: "),
    "sick_reader_grows": ("life.many", "800 instances created and destroyed leave 800 pieces"),
    "sick_reader_grows_heap": ("life.many", "bytes of memory behind"),
    "sick_reader_grows_file": ("life.many", "80 files open"),
    "sick_reader_closes": ("life.cancel", "pieces of the host's memory"),
    "sick_reader_place": ("check.checkpoint", "saved after 1 blocks and restored: "),
    "sick_reader_mute": ("errors.message", "a file that is not there: "),
    "sick_reader_no_file": ("errors.message", "a file that is not there: is no error"),
    "sick_reader_prints": ("process.quiet", "look here"),
    "sick_reader_complains": ("process.quiet", "look here"),
    "sick_reader_folder": ("process.state", "the working folder was changed"),
    "sick_reader_environment": ("process.state", "the environment was changed"),
    "sick_reader_umask": ("process.state", "the umask was changed"),
    "sick_reader_signal": ("process.state", "a signal handler was changed"),
    "sick_reader_mask": ("process.state", "signals were blocked"),
    "sick_reader_rounding": ("process.state", "rounding"),
    "sick_reader_thread": ("process.threads", "threads still run after destroy"),
    "sick_reader_exits": ("data.whole", "ended the process in read, with exit code 3"),
    "sick_reader_aborts": ("data.whole", "crashed in read: signal 6"),
    "sick_reader_aborts_beside": ("data.whole", "crashed in read: signal 6"),
    "sick_reader_falls": ("data.whole", "crashed in read: signal 11"),
    "sick_reader_hangs": ("data.whole", "did not come to an end within 2 s in read"),
    "sick_reader_pointer": ("data.whole", None),
    "sick_reader_late": ("load.time", "ms to load, must be under 250"),
    "sick_reader_falls_loading": ("load.open", "crashed in loading the library: signal 11"),
    "sick_codec_extension": ("ids.unknown", "for the id"),
    "sick_codec_split": ("data.chunks", "blocks of 7 rows: record 1 'line1' differs from row 7 on"),
    "sick_codec_shared": ("data.interleaved", "beside another instance"),
    "sick_codec_other": ("fault.alloc", "answered status -74"),
    "sick_codec_closes": ("life.cancel", "pieces of the host's memory"),
    "sick_codec_place": ("check.checkpoint", "differs"),
    "sick_codec_mute": ("errors.message", "did not say why"),
    "sick_codec_trusts": ("data.random", "crashed in encode"),
    "sick_codec_beyond": ("data.whole", "its vocabulary has 10"),
    "sick_codec_back": ("data.roundtrip", "500 rows that decode wrote come back as 500 others"),
    "sick_writer_range": ("params.range", "lies in its range"),
    "sick_writer_split": ("data.chunks", "blocks of 4096 rows: out.lines differs from byte "),
    "sick_writer_shared": ("data.interleaved", "beside another instance"),
    "sick_writer_grows": ("life.many", "800 pieces"),
    "sick_writer_closes": ("life.cancel", "pieces of the host's memory"),
    "sick_writer_place": ("check.checkpoint", "differs"),
    "sick_writer_mute": ("errors.message", "did not say why"),
    "sick_writer_prints": ("process.quiet", "look here"),
    "sick_writer_final": ("writer.outputs", "made 'out.lines' itself"),
    "sick_writer_beside": ("writer.outputs", "left 'sick.index'"),
    "sick_writer_lazy": ("writer.outputs", "after close"),
    "sick_writer_full": ("writer.full", "and every call succeeded"),
    "sick_pair_back": ("data.roundtrip", "written and read again: record 1 'line1' differs from row 0 on"),
    "abi_major": ("abi.version", "the plugin speaks plugin interface 7."),
    "newer_host": ("abi.version", ".99, this program has "),
    "short_entry": ("abi.tables", "struct_size is too small"),
    "no_vt": ("abi.tables", "no function table"),
    "no_read": ("abi.tables", "a function is missing: read"),
    "bad_default": ("abi.tables", "flank is 'many'"),
    "twice": ("abi.tables", "it is there twice"),
    "offers_nothing": ("abi.tables", "offers nothing"),
    "no_symbol": ("abi.symbol", "does not export 'mbs_plugin_entry'"),
    "host_symbol": ("abi.undefined", "'mbs_alloc' (belongs to the host"),
    "undefined": ("load.open", "undefined symbol: zoo_function_of_the_next_release"),
    "missing_library": ("load.open", "libmbs-zoo-gone.so: cannot open shared object file"),
    "null_self": ("params.defaults", "gave no instance"),
    "wrong_header": ("data.whole", "of type 'pcm/f32'"),
    "no_header": ("data.whole", "no stream header"),
    "wrong_type": ("data.whole", "of type 'tokens/i32'"),
    "wrong_dtype": ("data.whole", "dtype 3"),
    "too_many": ("data.whole", "rows where at most"),
    "lies_length": ("data.whole", "length 17 after 10"),
    "no_end": ("data.whole", "before SEQ_END"),
    "double_start": ("data.chunks", "before SEQ_END"),
    "hole": ("data.whole", "starts at 1"),
    "no_record": ("data.whole", "without record"),
    "no_block": ("data.whole", "no block"),
    "bad_index": ("data.whole", "record number 6"),
    "end_with_block": ("data.whole", "there is none"),
    "silent": ("errors.message", "did not say why"),
    "odd_status": ("data.whole", "-5, which is no status"),
    "unknown_positive": ("data.whole", "9, which is no status"),
}
WELL = ["sick_reader_well", "sick_codec_well", "sick_writer_well", "sick_pair_well"]
# Under a sanitizer these die in its own way, or what they leave is not seen.
NOT_SANITIZED = {"sick_reader_grows_heap", "sick_reader_late", "sick_reader_pointer"}


class Check(Scratch):
    def setUp(self):
        super().setUp()
        self.write("x.lines", LINES)

    def check(self, library, *more):
        sample = self.path("x.lines")
        late = "2" if re.search("_(loops|hangs).so$", library) else "60"
        r = self.run_("plugin", "check", library, "--sample", sample, "--timeout", late, "--json", *more)
        self.assertNotIn(b"Traceback", r.stderr)
        return r.returncode, json.loads(r.stdout) if r.stdout else None, r.stderr.decode(errors="replace")

    def names(self):
        return {t["test"] for t in json.loads(self.ok("plugin", "check", "--list", "--json").stdout)["tests"]}

    def test_every_animal_is_found_by_the_right_test(self):
        animals = {k: v for k, v in SICK.items() if not (SANITIZED and k in NOT_SANITIZED)}

        def look(animal):
            return self.check(f"{ZOO}/mbsp_{animal}.so")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = dict(zip(animals, pool.map(look, animals)))
        for animal, (test, words) in animals.items():
            with self.subTest(animal):
                code, doc, text = results[animal]
                self.assertEqual(code, 69, text)
                failed = {r["test"]: r for r in doc["results"] if r["result"] == "failed"}
                self.assertIn(test, failed, {k: v["what"] for k, v in failed.items()})
                r = failed[test]
                if words and not SANITIZED:
                    self.assertIn(words, r["what"])
                self.assertTrue(r["meaning"] and r["hint"])
                self.assertRegex(r["again"], rf"^gdb --args \S+ plugin check \S+/mbsp_{animal}.so --sample \S+ --only "
                                             rf"{re.escape(test)} --in-process --seed 0$")
                self.assertEqual(len(doc["results"]), doc["passed"] + doc["failed"] + doc["not_checked"])
                self.assertEqual(doc["failed"], len(failed))

    def test_every_test_has_an_animal(self):
        self.assertEqual(self.names() - {t for t, _ in SICK.values()} - {"load.place", "abi.machine"}, set())

    def test_those_that_are_well_pass_everything(self):
        seen = set()
        for animal in WELL:
            with self.subTest(animal):
                code, doc, text = self.check(f"{ZOO}/mbsp_{animal}.so")
                self.assertEqual(code, 0, [(r["test"], r["what"]) for r in doc["results"] if r["result"] == "failed"])
                seen |= {r["test"] for r in doc["results"] if r["result"] == "passed"}
        self.assertEqual(self.names() - seen, set(), "these have never passed")

    def test_a_newer_minor_is_taken(self):
        _, doc, _ = self.check(f"{ZOO}/mbsp_newer_minor.so")
        result = {r["test"]: r["result"] for r in doc["results"]}
        for test in ("load.open", "abi.version", "abi.tables", "data.whole", "data.chunks"):
            self.assertEqual(result[test], "passed", test)

    def test_a_place_that_others_can_write(self):
        os.mkdir(self.path("open"))
        shutil.copy(f"{ZOO}/mbsp_sick_reader_well.so", self.path("open"))
        os.chmod(self.path("open"), 0o777)
        code, doc, _ = self.check("open/mbsp_sick_reader_well.so")
        failed = [r for r in doc["results"] if r["result"] == "failed"]
        self.assertEqual((code, [r["test"] for r in failed]), (69, ["load.place"]))
        self.assertIn("is writable by anybody", failed[0]["what"])
        self.assertTrue(all(r["result"] == "not checked" for r in doc["results"][1:]))

    def test_files_that_are_no_library_for_this_machine(self):
        with open(f"{ZOO}/mbsp_sick_reader_well.so", "rb") as f:
            good = f.read()
        other = bytearray(good)
        other[18:20] = struct.pack("<H", 183 if struct.unpack("<H", good[18:20])[0] != 183 else 62)
        for name, data, words in [("other.so", bytes(other), "is built for "), ("text.so", b"hello", "is not a shared"),
                                  ("cut.so", good[:10], "is not a shared library"), ("empty.so", b"", "is not a shared"),
                                  ("swapped.so", good[:5] + bytes([3 - good[5]]) + good[6:], "another byte order"),
                                  ("short.so", good[:40], "cut off in its header")]:
            with self.subTest(name):
                code, doc, _ = self.check(self.write(name, data))
                failed = {r["test"]: r["what"] for r in doc["results"] if r["result"] == "failed"}
                self.assertEqual((code, list(failed)), (69, ["abi.machine"]))
                self.assertIn(words, failed["abi.machine"])

    def test_a_damaged_table_of_symbols_is_an_error_and_no_crash(self):
        with open(f"{ZOO}/mbsp_sick_reader_well.so", "rb") as f:
            good = f.read()
        rng = random.Random(5)
        headers = struct.unpack("<Q", good[40:48])[0]
        for i in range(12):
            bad = bytearray(good)
            for _ in range(6):
                at = rng.randrange(headers, len(good)) if i % 2 else rng.choice([40, 58, 60, 62, 41])
                bad[at] = rng.randrange(256)
            code, doc, text = self.check(self.write("bad.so", bytes(bad)), "--only", "abi.symbol")
            self.assertIn(code, (0, 69), text)
            self.assertNotIn("crashed", doc["results"][0]["what"] or "")

    def test_a_reader_without_sample_is_not_checked(self):
        r = self.run_("plugin", "check", f"{ZOO}/mbsp_sick_reader_well.so", "--json")
        doc = json.loads(r.stdout)
        result = {t["test"]: t["result"] for t in doc["results"]}
        self.assertEqual(r.returncode, 0)
        for test in ("data.whole", "data.chunks", "data.truncated", "fault.alloc", "life.order", "check.checkpoint"):
            self.assertEqual(result[test], "not checked", test)
        self.assertGreaterEqual(doc["not_checked"], 9)

    def test_the_command_of_a_failure_runs_it_again(self):
        _, doc, _ = self.check(f"{ZOO}/mbsp_sick_codec_back.so")
        again = [r["again"] for r in doc["results"] if r["result"] == "failed"][0].split()
        self.assertEqual(again[:2], ["gdb", "--args"])
        r = subprocess.run(again[2:], capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, 69)
        self.assertIn("FAIL         data.roundtrip", r.stdout)
        self.assertIn("1 tests: 0 passed, 1 failed", r.stdout)

    def test_wrong_command_lines(self):
        good = f"{ZOO}/mbsp_sick_reader_well.so"
        self.fails(64, "plugin", "check", says="FILE is missing")
        self.fails(64, "plugin", "check", good, "--only", "data.chunk", says="did you mean 'data.chunks'?")
        self.fails(64, "plugin", "check", good, "--param", "mots=1", says="'mots' is not a parameter")
        self.fails(64, "plugin", "check", good, "--param", "most=0", says="'most' is 0, must be 1..1e9 letters")
        self.fails(64, "plugin", "check", good, "--only", "writer.full", says="nothing that 'writer.full' is for")
        self.fails(66, "plugin", "check", good, "--sample", "absent", says="the sample cannot be read")
        self.fails(69, "plugin", "check", "./absent.so", says="there is no such plugin file")
        self.fails(69, "plugin", "check", "absent", says="there is no plugin 'absent'")

    def test_nothing_is_left_behind(self):
        tmp = self.path("tmp")
        os.mkdir(tmp)
        self.run_("plugin", "check", f"{ZOO}/mbsp_sick_reader_falls.so", "--sample", self.path("x.lines"),
                  env={"TMPDIR": tmp})
        self.assertEqual(os.listdir(tmp), [])


if __name__ == "__main__":
    main()
