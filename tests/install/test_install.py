#!/usr/bin/env python3
"""Installs the build, moves it elsewhere and uses it from there, as a user and as an author of plugins."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

import doctext

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("MBS_BUILD_DIR", os.path.join(SOURCE, "build"))
CMAKE = os.environ.get("MBS_CMAKE", "cmake")
CC = os.environ.get("MBS_CC", "cc")
SANITIZED = os.environ.get("MBS_SANITIZED", "") not in ("", "OFF")
FASTA = ">one first\nACGTACGGTCATTGACCATGA\n>two\nGGGGCCCCNNACGT\n"
# What may be linked into a plugin, never into the program.
FOREIGN = ("libhts", "libhdf5", "libyaml", "libjson", "libz", "libcurl", "libcuda")


def call(*args, **kw):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=240, **kw)


def files_below(folder):
    for here, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(here, name)


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="mbs-install-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        first = os.path.join(cls.dir, "first")
        old = os.umask(0o002)
        r = call(CMAKE, "--install", BUILD, "--prefix", first)
        os.umask(old)
        if r.returncode != 0:
            raise AssertionError(r.stdout + r.stderr)
        cls.prefix = os.path.join(cls.dir, "a place", "elsewhere")
        os.mkdir(os.path.dirname(cls.prefix))
        os.rename(first, cls.prefix)
        # A compiler's -I in a command line does not survive a blank; the program does, and sees through the link.
        plain = os.path.join(cls.dir, "plain")
        os.symlink(cls.prefix, plain)
        cls.binary = os.path.join(cls.prefix, "bin", "mambaseq")
        cls.share = os.path.join(cls.prefix, "share", "mambaseq")
        cls.home = os.path.join(cls.dir, "home")
        os.mkdir(cls.home)
        cls.env = {k: v for k, v in os.environ.items() if not k.startswith(("MAMBASEQ_", "CMAKE_", "PKG_CONFIG"))}
        cls.env.update(HOME=cls.home, PATH=os.path.join(plain, "bin") + ":" + os.environ.get("PATH", "/usr/bin:/bin"))

    def setUp(self):
        self.here = tempfile.mkdtemp(prefix="here-", dir=self.dir)

    def path(self, name):
        return os.path.join(self.here, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def ok(self, *args, **kw):
        kw.setdefault("cwd", self.here)
        kw.setdefault("env", self.env)
        r = call(*args, **kw)
        self.assertEqual(r.returncode, 0, f"{args}\n{r.stdout}{r.stderr}")
        return r.stdout

    def plugins(self):
        found = [p for p in files_below(self.prefix) if p.endswith(".so") and "/mambaseq/plugins-" in p and "/mbsp_" in p]
        self.assertTrue(found)
        return found

    # --- as a user ---

    def test_version_and_plugins_are_those_of_the_new_place(self):
        text = self.ok(self.binary, "version")
        self.assertIn(self.share, text)
        self.assertNotIn(BUILD, text)
        listed = self.ok(self.binary, "plugin", "list")
        for so in self.plugins():
            self.assertIn(f" {os.path.basename(so)[len('mbsp_'):-len('.so')]} ", listed)
        self.assertNotIn("cannot be used", listed)
        backend = [p for p in files_below(self.prefix) if p.endswith("/mambaseq-cuda.so")]  # where the build has one
        self.assertIn(f"cuda backend  {backend[0] if backend else 'not installed'}", text)

    def test_a_pipeline_of_share_checks_and_scores_as_the_build_does(self):
        if not any(p.endswith("mbsp_fasta.so") for p in self.plugins()):
            self.skipTest("built without htslib")
        self.write("my.fa", FASTA)
        pipeline = "share:pipelines/genomics/score.yaml"
        args = [pipeline, "-q", "-i", "my.fa", "--set", "writer={plugin: table, path: got.tsv}"]
        self.ok(self.binary, "check", *args[:1], "--set", "writer={plugin: table, path: got.tsv}")
        self.ok(self.binary, "run", *args)
        with open(self.path("got.tsv")) as f:
            got = f.read()
        lines = [line.split("\t") for line in got.splitlines()]
        self.assertEqual([line[:6] for line in lines[1:]],
                         [["my.fa", "one", "0", "21", "21", "20"], ["my.fa", "two", "0", "14", "14", "11"]])
        self.ok(os.path.join(BUILD, "bin", "mambaseq"), "run", *args, "--force")
        with open(self.path("got.tsv")) as f:
            self.assertEqual(f.read(), got)

    def test_every_pipeline_of_share_checks(self):
        folder = os.path.join(self.share, "pipelines")
        pipelines = [p for p in files_below(folder) if p.endswith(".yaml")]
        self.assertTrue(pipelines)
        if len(self.plugins()) < 4:
            self.skipTest("built without htslib or HDF5")
        for p in pipelines:
            self.ok(self.binary, "check", "share:pipelines/" + os.path.relpath(p, folder))

    def test_the_warnings_of_a_loose_umask_do_not_come(self):
        loose = [p for p in files_below(self.prefix) if not os.path.islink(p) and os.stat(p).st_mode & 0o022]
        loose += [d for d, _, _ in os.walk(self.prefix) if d != self.prefix and os.stat(d).st_mode & 0o022]
        self.assertEqual(loose, [])

    def test_share_holds_what_is_promised_and_nothing_of_the_build(self):
        names = {os.path.relpath(p, self.prefix) for p in files_below(self.prefix)}
        for folder in ("pipelines", "configs", "share/models", "share/data", "share/doc", "share/examples"):
            for p in files_below(os.path.join(SOURCE, folder)):
                if os.path.basename(p) not in ("CMakeLists.txt", "make.sh", "windows.py"):
                    top = os.path.dirname(os.path.join(SOURCE, folder))
                    self.assertIn("share/mambaseq/" + os.path.relpath(p, top), names)
        for wanted in ("LICENSES.md", "LICENSE", "doc/plugins.md", "pipelines/genomics/score.yaml"):
            self.assertIn("share/mambaseq/" + wanted, names)
        for part in ("man1", "man7"):
            for page in os.listdir(os.path.join(SOURCE, "share", "man", part)):
                self.assertIn(f"share/man/{part}/{page}", names)
        self.assertIn("share/bash-completion/completions/mambaseq", names)
        self.assertIn("share/zsh/site-functions/_mambaseq", names)
        for name in names:
            base = os.path.basename(name)
            foreign = base.startswith((".", "test_")) or base.endswith(".sh") or base == "CMakeLists.txt"
            self.assertFalse(foreign and "/examples/" not in name, name)
            if base.endswith(".py"):  # programs for users; what makes our own data stays behind
                self.assertRegex(name, r"^share/mambaseq/(examples|python|data)/")
            self.assertTrue(not base.endswith(".cmake") or "/cmake/mambaseq/" in name, name)

    # --- what the files are ---

    def test_the_program_needs_the_c_library_only(self):
        self.assertNotRegex(self.ok("readelf", "-d", self.binary), r"RPATH|RUNPATH")
        needs = self.ok("ldd", self.binary)
        for name in FOREIGN:
            self.assertNotIn(name, needs)

    def test_plugins_export_their_entry_and_do_not_know_the_build(self):
        for so in self.plugins():
            self.assertNotIn(BUILD, self.ok("readelf", "-d", so), so)
            if not SANITIZED:
                symbols = [line.split()[-1] for line in self.ok("nm", "-D", "--defined-only", so).splitlines()]
                self.assertEqual(symbols, ["mbs_plugin_entry"], so)

    def test_every_public_header_compiles_alone(self):
        include = os.path.join(self.prefix, "include")
        headers = sorted(os.path.relpath(p, include) for p in files_below(include))
        self.assertIn("mambaseq/plugin.h", headers)
        self.assertIn("mambaseq/version.h", headers)
        ways = [[CC, "-x", "c", f"-std={std}"] for std in ("c99", "c11", "gnu17")]
        if shutil.which("g++"):
            ways += [["g++", "-x", "c++", f"-std={std}"] for std in ("c++11", "c++20")]
        for header in headers:
            source = self.write("alone.c", f'#include "{header}"\ntypedef int not_empty;\n')
            for way in ways:
                self.ok(*way, "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", include, source)

    def test_the_tarball_works_where_it_is_unpacked(self):
        cpack = os.path.join(os.path.dirname(CMAKE), "cpack")
        self.ok(cpack, "-G", "TGZ", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", self.path("out"))
        made = [f for f in os.listdir(self.path("out")) if f.endswith(".tar.gz")]
        self.assertEqual(len(made), 1)
        with tarfile.open(self.path(os.path.join("out", made[0]))) as tar:
            tar.extractall(self.here)
        top = [d for d in os.listdir(self.here) if d.startswith("mambaseq-") and os.path.isdir(self.path(d))]
        self.assertEqual(len(top), 1)
        binary = os.path.join(self.here, top[0], "bin", "mambaseq")
        self.assertIn(top[0], self.ok(binary, "version"))
        self.assertEqual(self.ok(binary, "plugin", "list"), self.ok(self.binary, "plugin", "list"))
        unpacked = {os.path.relpath(p, self.path(top[0])) for p in files_below(self.path(top[0]))}
        installed = {os.path.relpath(p, self.prefix) for p in files_below(self.prefix)}
        self.assertEqual(unpacked, installed)

    # --- as an author of plugins: share/doc/plugins.md, word for word ---

    def page(self):
        with open(os.path.join(self.share, "doc", "plugins.md")) as f:
            text = f.read()
        for language, name in (("c", r"/\* (\w+\.c) - "), ("yaml", r"run: mambaseq run (\w+\.yaml) ")):
            for body in doctext.blocks(text, language):
                self.write(re.search(name, body).group(1), body)
        (body,) = doctext.blocks(text, "cmake")
        self.write("CMakeLists.txt", body)
        return text

    def test_the_page_for_authors_does_what_it_says(self):
        steps = doctext.commands(self.page())
        results = doctext.run(steps, self.here, self.env)
        self.assertEqual(len(results), len(steps))
        for (command, expected), (status, printed) in zip(steps, results):
            refused = any(line.startswith("mambaseq: error: ") for line in expected)
            self.assertEqual(status != 0, refused, f"$ {command}\n{printed}")
            told = f"$ {command}\n{printed}\nexpected:\n" + "\n".join(expected)
            self.assertTrue(doctext.matches(expected, printed), told)
        self.ok("nm", "-D", "--defined-only", "mbsp_tabseq.so")
        for so in ("mbsp_tabseq.so", "build/mbsp_tabseq.so", "mbsp_dna4.so"):
            symbols = self.ok("nm", "-D", "--defined-only", so).split()
            self.assertEqual(symbols[2::3], ["mbs_plugin_entry"])

    def lines_of(self, name):
        try:
            with open(self.path(name)) as f:
                return len(f.readlines())
        except FileNotFoundError:
            return 0

    def journals(self):
        try:
            return [os.stat(self.path(f)).st_mtime_ns for f in sorted(os.listdir(self.here)) if ".mbs-journal" in f]
        except FileNotFoundError:  # replaced between the two looks
            return []

    def wait(self, process, until):
        while process.poll() is None and not until():
            time.sleep(0.005)

    def build_reader(self, *flags):
        self.ok(CC, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", *flags, "-Wl,-z,defs", "-I",
                os.path.join(self.prefix, "include"), "tabseq.c", "-o", "mbsp_tabseq.so")

    def test_the_reader_of_the_page_gives_the_same_for_any_block_size(self):
        self.page()
        self.build_reader()
        self.write("x.tsv", "a\tACGTACGTAC\nb\t\nc\tG\nlast\t" + "ACGGT" * 40)  # no newline at the end
        self.write("to.yaml", "mambaseq: 1\nreader: {plugin: ./mbsp_tabseq.so, path: x.tsv}\ncodec: {plugin: bases}\n"
                   "model: {path: share:models/ecoli-ref, task: score}\nwriter: {plugin: table, path: \"-\"}\n")
        whole = self.ok(self.binary, "run", "to.yaml", "-q")
        lengths = [line.split("\t")[1:5:3] for line in whole.splitlines()[1:]]
        self.assertEqual(lengths, [["a", "10"], ["b", "0"], ["c", "1"], ["last", "200"]])
        for chunk in ("1", "5", "10", "64"):
            self.assertEqual(self.ok(self.binary, "run", "to.yaml", "-q", "--chunk", chunk), whole)

    def test_the_change_of_the_page_makes_the_reader_continue(self):
        (change,) = doctext.blocks(self.page(), "diff")
        self.write("change.diff", change)
        if not shutil.which("git"):
            self.skipTest("git is missing")
        self.ok("git", "apply", "--unidiff-zero", "change.diff")
        self.build_reader()
        self.write("to.yaml", "mambaseq: 1\nreader: {plugin: ./mbsp_tabseq.so, path: x.tsv}\ncodec: {plugin: bases}\n"
                   "model: {path: share:models/ecoli-ref, task: score}\nwriter: {plugin: table, path: got.tsv}\n")
        slow = dict(self.env, MAMBASEQ_CPU="ref", MAMBASEQ_JOURNAL_EVERY="0.02")
        text = "a\t" + "ACGGTTCA" * 20 + "\nlong\t" + "ACGTTGCAAC" * (100 if SANITIZED else 600) + "\nlast\tACGT\n"
        self.write("x.tsv", text)
        args = [self.binary, "run", "to.yaml", "-q", "--chunk", "100"]
        p = subprocess.Popen(args, cwd=self.here, env=slow, stderr=subprocess.PIPE, text=True)
        self.wait(p, lambda: self.lines_of(".got.tsv.mbs-part") >= 2)  # the header, and the first record is behind us
        p.send_signal(signal.SIGSTOP)  # where readers stand is remembered once a second: let it pass without work
        time.sleep(1.2)
        p.send_signal(signal.SIGCONT)
        for _ in range(3):
            seen = self.journals()
            self.wait(p, lambda: self.journals() != seen)
        p.send_signal(signal.SIGTERM)
        said = p.communicate()[1]
        self.assertEqual(p.returncode, 75, said)
        # Reading from the beginning would now fail; the reader must go on from where it stood.
        before = os.stat(self.path("x.tsv"))
        self.write("x.tsv", text.replace("a\t", "a ", 1))
        os.utime(self.path("x.tsv"), ns=(before.st_atime_ns, before.st_mtime_ns))
        self.ok(*args, "--resume", env=slow)
        with open(self.path("got.tsv")) as f:
            got = f.read()
        self.write("x.tsv", text)
        self.ok(*args, "--force", env=slow)
        with open(self.path("got.tsv")) as f:
            self.assertEqual(f.read(), got)


if __name__ == "__main__":
    if not os.path.exists(os.path.join(BUILD, "bin", "mambaseq")):
        sys.exit(f"no program in {BUILD}")
    unittest.main(verbosity=1)
