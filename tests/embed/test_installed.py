#!/usr/bin/env python3
"""libmambaseq as it is installed, moved elsewhere: what it exports and needs, pkg-config, find_package, both examples
against what `mambaseq run` says of the same sequence, and the page for those who embed it, word for word."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(SOURCE, "tests", "install"))
import doctext  # noqa: E402

BUILD = os.environ.get("MBS_BUILD_DIR", os.path.join(SOURCE, "build"))
CMAKE = os.environ.get("MBS_CMAKE", "cmake")
CC = os.environ.get("MBS_CC", "cc")
SANITIZED = os.environ.get("MBS_SANITIZED", "") not in ("", "OFF")
SEQUENCE = "ACGTTGCAAGGCTTACCGATTACGATCGGCATCGACTTGCAAAGCTTTGCGATCGACCGGATTAACGCTGGCAATTGGCACC"
# What a library must never do to the program that it is in.
NOT_ITS_BUSINESS = {"exit", "_exit", "quick_exit", "signal", "sigaction", "stdout", "puts", "putchar", "printf",
                    "__printf_chk", "setlocale", "fork", "system", "atexit"}  # dlopen: for a device that was asked for


class Embedded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="mbs-embed-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        first = os.path.join(cls.dir, "first")
        r = subprocess.run([CMAKE, "--install", BUILD, "--prefix", first], capture_output=True, text=True, timeout=120)
        if r.returncode != 0:
            raise AssertionError(r.stdout + r.stderr)
        cls.prefix = os.path.join(cls.dir, "elsewhere")
        os.rename(first, cls.prefix)
        cls.binary = os.path.join(cls.prefix, "bin", "mambaseq")
        cls.examples = os.path.join(cls.prefix, "share", "mambaseq", "examples")
        cls.model = os.path.join(cls.prefix, "share", "mambaseq", "models", "ecoli-ref")
        found = [os.path.join(d, f) for d, _, files in os.walk(cls.prefix) for f in files if f == "libmambaseq.so"]
        assert len(found) == 1, found
        cls.lib = found[0]
        cls.env = {k: v for k, v in os.environ.items() if not k.startswith(("MAMBASEQ_", "CMAKE_", "PKG_CONFIG"))}
        cls.env["PATH"] = os.path.join(cls.prefix, "bin") + ":" + os.environ.get("PATH", "/usr/bin:/bin")
        cls.env["PKG_CONFIG_PATH"] = os.path.join(os.path.dirname(cls.lib), "pkgconfig")
        cls.env["CC"] = CC

    def setUp(self):
        self.here = tempfile.mkdtemp(prefix="here-", dir=self.dir)

    def run_(self, *args, **kw):
        kw.setdefault("env", self.env)
        return subprocess.run(args, capture_output=True, text=True, timeout=120, cwd=self.here, **kw)

    def ok(self, *args, **kw):
        r = self.run_(*args, **kw)
        self.assertEqual(r.returncode, 0, f"{args}\n{r.stdout}{r.stderr}")
        return r.stdout

    def write(self, name, text):
        path = os.path.join(self.here, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    # --- what the file is ---

    def promised(self):
        with open(os.path.join(self.prefix, "include", "mambaseq", "mambaseq.h"), encoding="ascii") as f:
            header = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
        found = set(re.findall(r"^MBS_LM_API [^;]*?\b(mbs_lm_\w+)\(", header, re.M))
        self.assertGreater(len(found), 15)
        return found

    def test_it_exports_the_functions_of_the_header_and_nothing_else(self):
        promised = self.promised()
        shown = [line.split() for line in self.ok("nm", "-D", "--defined-only", self.lib).splitlines()]
        exported = {words[-1].split("@")[0] for words in shown if words[1] != "A"}
        if SANITIZED:  # the sanitizer adds its own
            exported = {name for name in exported if name.startswith("mb")}
        self.assertEqual(exported, promised)
        self.assertEqual({words[-1].split("@@")[1] for words in shown if words[-1].startswith("mbs_")}, {"MAMBASEQ_0"})

    def test_it_leaves_the_process_alone(self):
        if SANITIZED:
            self.skipTest("the sanitizer's own needs")
        wanted = {line.split()[-1].split("@")[0] for line in self.ok("nm", "-D", "--undefined-only", self.lib).splitlines()}
        self.assertIn("malloc", wanted)
        self.assertEqual(wanted & NOT_ITS_BUSINESS, set())

    def test_the_archive_does_the_same_and_meets_no_name_of_the_program(self):
        archive = os.path.join(os.path.dirname(self.lib), "libmambaseq.a")
        if not os.path.exists(archive):
            self.skipTest("built without the archive: a sanitizer, or no static json-c")
        shown = {line.split()[-1] for line in self.ok("nm", "-g", "--defined-only", archive).splitlines() if " T " in line}
        self.assertEqual(shown, self.promised())
        self.assertNotRegex(self.ok("nm", "-u", archive), r"\b(mbs_|mbk_|json_|lh_)")
        # A program with names of its own that the inside of the library has too.
        self.write("names.c", "int mbs_model_open(void);\nint mbs_model_open(void) { return 1; }\n"
                   "int json_object_get(void);\nint json_object_get(void) { return 2; }\n")
        self.ok(CC, os.path.join(self.examples, "embed.c"), "names.c", "-I", os.path.join(self.prefix, "include"), archive,
                "-lm", "-pthread", "-o", "whole")
        self.assertNotIn("libmambaseq", self.ok("readelf", "-d", os.path.join(self.here, "whole")))
        self.assertEqual(self.ok(os.path.join(self.here, "whole"), self.model, SEQUENCE),
                         self.ok(self.build_example(), self.model, SEQUENCE))

    def test_it_needs_the_c_library_only_and_may_be_moved(self):
        said = self.ok("readelf", "-d", self.lib)
        self.assertIn("Library soname: [libmambaseq.so.0]", said)
        self.assertNotRegex(said, r"RPATH|RUNPATH")
        needs = re.findall(r"NEEDED.*\[(.*?)\]", said)
        if not SANITIZED:
            self.assertEqual([n for n in needs if not re.match(r"lib[cm]\.so|ld-linux|libpthread", n)], [])
        names = [f for f in os.listdir(os.path.dirname(self.lib)) if f.startswith("libmambaseq.so")]
        self.assertEqual(len(names), 3, names)
        with open(self.lib, "rb") as f:
            if not SANITIZED and b".debug_info" not in f.read():
                f.seek(0)
                self.assertNotIn(BUILD.encode(), f.read())

    # --- the examples ---

    def build_example(self):
        flags = self.ok("pkg-config", "--cflags", "--libs", "mambaseq").split()
        libdir = self.ok("pkg-config", "--variable=libdir", "mambaseq").strip()
        self.assertEqual(os.path.realpath(libdir), os.path.dirname(self.lib))
        self.ok(CC, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", os.path.join(self.examples, "embed.c"), "-o",
                "embed", *flags, "-lm", f"-Wl,-rpath,{libdir}", *self.sanitize())
        return os.path.join(self.here, "embed")

    def sanitize(self):
        return ["-fsanitize=" + os.environ["MBS_SANITIZED"]] if SANITIZED else []

    def pipeline(self, sequence, model, *more):
        """The table's row of a run over one sequence."""
        self.write("x.fa", f">x\n{sequence}\n")
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: x.fa}\ncodec: {plugin: bases}\n"
                   f"model: {{path: share:models/ecoli-ref, {model}}}\nwriter: {{plugin: table, path: '-'}}\n")
        head, row = self.ok(self.binary, "run", "p.yaml", "-q", *more).splitlines()
        return dict(zip(head.split("\t"), row.split("\t")))

    def check_against_the_program(self, printed):
        lines = dict(line.split(None, 1) for line in printed.splitlines())
        self.assertEqual(set(lines), {"model", "score", "variant", "generated"})
        self.assertEqual(lines["model"], "mamba, 4 layers of 128, 468608 parameters")
        scored = self.pipeline(SEQUENCE, "task: score")
        self.assertEqual(lines["score"], scored["bits_per_base"] + " bits per base")
        drawn = self.pipeline(SEQUENCE, "task: generate, max_new_tokens: 60, temperature: 0.9, seed: 7")
        self.assertEqual(lines["generated"], drawn["sequence"])
        # The fork is what a run over the changed sequence says.
        place, ref, alt, change = re.fullmatch(r"(\d+)([ACGT])>([ACGT]) changes the log-likelihood by (\S+)",
                                               lines["variant"]).groups()
        at = int(place) - 1
        self.assertEqual((at, SEQUENCE[at]), (len(SEQUENCE) // 2, ref))
        changed = self.pipeline(SEQUENCE[:at] + alt + SEQUENCE[at + 1:], "task: score")
        nats = [-float(row["bits_per_base"]) * int(row["scored"]) * 0.6931471805599453 for row in (changed, scored)]
        self.assertAlmostEqual(float(change), nats[0] - nats[1], delta=1e-3)  # bits are printed to 1e-6
        self.assertGreater(abs(float(change)), 0.01)

    def test_the_example_in_c_says_what_the_program_says(self):
        example = self.build_example()
        self.check_against_the_program(self.ok(example, self.model, SEQUENCE))
        r = self.run_(example, os.path.join(self.here, "nowhere"), SEQUENCE)
        self.assertEqual(r.returncode, 66)
        self.assertIn("nowhere: no such folder; name a model folder", r.stderr)

    def test_the_example_in_python_says_what_the_program_says(self):
        if SANITIZED:
            self.skipTest("Python is not built with the sanitizer")
        example = [sys.executable, os.path.join(self.examples, "embed.py")]
        self.check_against_the_program(self.ok(*example, self.model, SEQUENCE))
        r = self.run_(*example, os.path.join(self.here, "nowhere"), SEQUENCE)
        self.assertEqual(r.returncode, 1)
        self.assertIn("nowhere: no such folder; name a model folder", r.stderr)

    def test_weight_types_are_those_of_the_program(self):
        if SANITIZED:
            self.skipTest("Python is not built with the sanitizer")
        code = ("import embed, math, sys\nm = embed.Model(sys.argv[1], dtype=sys.argv[3].encode(), math=sys.argv[4].encode())\n"
                "lp = m.stream().feed(['ACGT'.index(c) + 7 for c in sys.argv[2]])\n"
                "print(f'{-embed.total(lp) / math.log(2) / (len(lp) - 1):.6f}')\n")
        env = dict(self.env, PYTHONPATH=self.examples, PYTHONDONTWRITEBYTECODE="1")
        seen = set()
        for dtype, math in (("f32", "f32"), ("int8", "f32"), ("bf16", "bf16")):
            said = self.ok(sys.executable, "-c", code, self.model, SEQUENCE, dtype, math, env=env).strip()
            row = self.pipeline(SEQUENCE, f"task: score, dtype: {dtype}, math: {math}")
            self.assertEqual(said, row["bits_per_base"])
            seen.add(said)
        self.assertEqual(len(seen), 3)

    def test_a_program_with_a_decimal_comma_reads_the_same_numbers(self):
        if SANITIZED:
            self.skipTest("Python is not built with the sanitizer")
        if not shutil.which("localedef") or self.run_("localedef", "-i", "de_DE", "-f", "UTF-8",
                                                      "./de_DE.UTF-8").returncode > 1:
            self.skipTest("no localedef, or no source of a locale with a decimal comma")
        code = ("import locale, embed, sys\nlocale.setlocale(locale.LC_ALL, 'de_DE.UTF-8')\n"
                "assert locale.localeconv()['decimal_point'] == ','\nembed.main(*sys.argv[1:])\n")
        env = dict(self.env, PYTHONPATH=self.examples, PYTHONDONTWRITEBYTECODE="1", LOCPATH=self.here)
        self.check_against_the_program(self.ok(sys.executable, "-c", code, self.model, SEQUENCE, env=env))

    # --- as others find it ---

    def test_find_package_gives_a_target(self):
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.13)\nproject(mine C)\n"
                   "find_package(mambaseq 0.1 REQUIRED)\nadd_executable(mine mine.c)\n"
                   "target_link_libraries(mine PRIVATE mambaseq::mambaseq)\n")
        self.write("mine.c", "#include <mambaseq/mambaseq.h>\n#include <mambaseq/version.h>\n#include <stdio.h>\n"
                   "int main(void) { puts(mbs_lm_version()); return MBS_VERSION[0] != mbs_lm_version()[0]; }\n")
        flags = " ".join(self.sanitize())
        self.ok(CMAKE, "-S", ".", "-B", "b", f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_C_FLAGS={flags}",
                f"-DCMAKE_C_COMPILER={CC}")
        self.ok(CMAKE, "--build", "b")
        self.assertIn(self.ok(os.path.join(self.here, "b", "mine")).strip(), self.ok(self.binary, "version"))

    def test_a_program_in_cpp_compiles(self):
        if not shutil.which("g++"):
            self.skipTest("no g++")
        self.write("mine.cpp", "#include <mambaseq/mambaseq.h>\nint main() {\n    mbs_lm_error err = MBS_LM_ERROR_INIT;\n"
                   "    mbs_lm_options o = MBS_LM_OPTIONS_INIT;\n    mbs_lm_out out = MBS_LM_OUT_INIT;\n"
                   "    mbs_lm_sampling how = MBS_LM_SAMPLING_INIT;\n    mbs_lm *lm = nullptr;\n"
                   "    return mbs_lm_open(\"nowhere\", &o, &lm, &err) == MBS_ERR_NOINPUT && !lm && out.layer == -1 &&\n"
                   "                   how.temperature == 1.0 ? 0 : 1;\n}\n")
        flags = self.ok("pkg-config", "--cflags", "--libs", "mambaseq").split()
        for std in ("c++11", "c++20"):
            self.ok("g++", f"-std={std}", "-pedantic", "-Wall", "-Wextra", "-Werror", "mine.cpp", "-o", std, *flags,
                    f"-Wl,-rpath,{os.path.dirname(self.lib)}", *self.sanitize())
            if not SANITIZED:
                self.ok(os.path.join(self.here, std))

    def test_the_sha256_is_that_of_the_files(self):
        if SANITIZED:
            self.skipTest("Python is not built with the sanitizer")
        sum_ = hashlib.sha256()
        for name in ("config.json", "model.safetensors"):
            with open(os.path.join(self.model, name), "rb") as f:
                sum_.update(f.read())
        code = ("import ctypes, embed, sys\nm = embed.Model(sys.argv[1])\nout = ctypes.create_string_buffer(65)\n"
                "embed.call('sha256', m.handle, out)\nprint(out.value.decode())\n")
        env = dict(self.env, PYTHONPATH=self.examples, PYTHONDONTWRITEBYTECODE="1")
        self.assertEqual(self.ok(sys.executable, "-c", code, self.model, env=env).strip(), sum_.hexdigest())

    def test_the_page_does_what_it_says(self):
        if SANITIZED:
            self.skipTest("Python is not built with the sanitizer")
        with open(os.path.join(self.prefix, "share", "mambaseq", "doc", "embedding.md"), encoding="ascii") as f:
            text = f.read()
        for name, body in zip(("scan.c",), doctext.blocks(text, "c"), strict=True):
            self.write(name, body)
        steps = doctext.commands(text)
        self.assertGreater(len(steps), 4)
        results = doctext.run(steps, self.here, self.env)
        self.assertEqual(len(results), len(steps))
        for (command, expected), (status, printed) in zip(steps, results):
            told = f"$ {command}\n{printed}\nexpected:\n" + "\n".join(expected)
            self.assertEqual(status, 0, told)
            self.assertTrue(doctext.matches(expected, printed), told)


if __name__ == "__main__":
    if not os.path.exists(os.path.join(BUILD, "bin", "mambaseq")):
        sys.exit(f"no program in {BUILD}")
    unittest.main(verbosity=1)
