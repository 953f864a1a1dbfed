#!/usr/bin/env python3
"""Broken plugins through the whole program: the plugin is named, the exit code is right, no file is left."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from support import *  # noqa: E402, F403

ZOO = os.path.join(BUILD, "tests", "zoo")


class Zoo(Scratch):
    def pipeline(self, animal, writer="{plugin: pair_writer, path: out.txt}"):
        writer = writer.replace("pair_writer", os.path.join(ZOO, "mbsp_pair_writer.so"))
        return self.write("z.yaml", f"mambaseq: 1\nreader: {{plugin: {ZOO}/mbsp_{animal}.so}}\nwriter: {writer}\n")

    def test_a_library_that_cannot_be_used_is_refused_before_anything_opens(self):
        for animal, says in {
                "abi_major": ["plugin interface 7.1, this program 1.1", "build the plugin with the headers"],
                "newer_host": ["needs plugin interface 1.99, this program has 1.1", "install a newer mambaseq"],
                "no_symbol": ["not a mambaseq plugin", "mbs_plugin_entry"],
                "undefined": ["undefined symbol: zoo_function_of_the_next_release"],
                "missing_library": ["libmbs-zoo-gone.so: cannot open shared object file"],
                "no_vt": ["no function table"],
                "no_read": ["a function is missing: read"],
                "offers_nothing": ["offers nothing"],
                "bad_default": ["flank is 'many'"]}.items():
            with self.subTest(animal):
                self.pipeline(animal)
                for command in ("check", "run"):
                    text = self.fails(69, command, "z.yaml", says=says + [f"mbsp_{animal}.so", "z.yaml:2:"])
                    self.assertNotIn("Traceback", text)

    def test_a_library_that_misbehaves_ends_the_run_with_its_name(self):
        for animal, code, says in [
                ("null_self", 70, "gave no instance"), ("wrong_header", 70, "of type 'pcm/f32'"),
                ("no_header", 70, "no stream header"), ("wrong_type", 70, "of type 'tokens/i32'"),
                ("wrong_dtype", 70, "dtype 3"), ("too_many", 70, "rows where at most"),
                ("lies_length", 70, "length 17 after 10"), ("no_end", 70, "before SEQ_END"),
                ("hole", 70, "starts at 1"), ("no_record", 70, "without record"), ("no_block", 70, "no block"),
                ("bad_index", 70, "record number 6"), ("end_with_block", 70, "there is none"),
                ("silent", 74, "did not say why"), ("odd_status", 70, "-5, which is no status"),
                ("unknown_positive", 70, "9, which is no status")]:
            with self.subTest(animal):
                self.pipeline(animal, "{plugin: table, path: out.tsv}")
                text = self.fails(code, "run", "z.yaml", says=[says])
                self.assertIn(f"mambaseq: error: reader '{animal}': plugin '{animal}' 1.0.0", text.splitlines()[-1])

    def test_its_own_words_come_last_with_what_to_do(self):
        self.pipeline("says_why", "{plugin: table, path: out.tsv}")
        last = self.fails(65, "run", "z.yaml").splitlines()[-1]
        self.assertTrue(last.startswith("mambaseq: error: reader 'says_why': parameter 'path': record 2 of 'x.fa' "
                                        "is not a sequence; "), last)
        self.assertTrue(last.endswith("; run 'zoo index x.fa' first"), last)

    def test_origin_and_contigs_pass_from_reader_to_writer(self):
        self.pipeline("pair_reader")
        self.ok("run", "z.yaml", "--set", "reader.records=1000", "--set", "reader.length=3")
        with open(self.path("out.txt"), encoding="utf-8") as f:
            lines = f.read().splitlines()
        self.assertEqual(lines[:3], ["contig\tchr1\t248956422", "contig\tchr2_random\t17",
                                     "contig\tHLA*01:01\t9223372036854775807"])
        self.assertEqual(lines[3:-1], [f"record\tread{i}\t3" for i in range(1000)])
        self.assertEqual(lines[-1], "end\t1000")

    def test_a_record_without_origin_is_noticed(self):
        self.pipeline("good")
        self.fails(65, "run", "z.yaml", says="0 contigs arrived")

    def test_a_name_that_is_nearly_one(self):
        self.write("z.yaml", "mambaseq: 1\nreader: {plugin: gxod}\nwriter: {plugin: table, path: o.tsv}\n")
        env = {"MAMBASEQ_PLUGIN_PATH": ZOO + ":"}
        self.fails(69, "check", "z.yaml", env=env, says=["reader 'gxod'", ZOO, "did you mean 'good'?"])


if __name__ == "__main__":
    main()
