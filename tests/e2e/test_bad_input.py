#!/usr/bin/env python3
"""Bad input: a clear last line, the right exit code, no partial file under a final name, never a crash."""
from support import *


class BadInput(Scratch):
    def score_fails(self, code, path, *more, says=(), **kw):
        return self.fails(code, *self.score_args(path), *more, says=says, **kw)

    def test_missing_unreadable_and_empty(self):
        self.score_fails(66, "missing.fa", says=["missing.fa", "No such file"])
        self.write("empty.fa", "")
        self.score_fails(65, "empty.fa", says=["empty.fa", "empty"])
        os.mkdir(self.path("folder.fa"))
        self.score_fails(66, "folder.fa", says="folder.fa")
        if os.geteuid() != 0:
            os.chmod(self.write("secret.fa", ">a\nA\n"), 0)
            self.score_fails(66, "secret.fa", says="Permission")

    def test_truncated_gzip_and_bgzip(self):
        text = fasta([("x", heldout_bases(20000))]).encode()
        packed = gzip.compress(text)
        self.write("cut.fa.gz", packed[:len(packed) // 2])
        self.score_fails(65, "cut.fa.gz", says="cut.fa.gz")
        with open(HELDOUT, "rb") as f:
            bgzip = f.read()
        self.write("mid.fa.gz", bgzip[:30000])
        self.score_fails(65, "mid.fa.gz", says="mid.fa.gz")
        self.write("noeof.fa.gz", bgzip[:-28])
        self.score_fails(65, "noeof.fa.gz", says="noeof.fa.gz")

    def test_bytes_that_are_no_letters(self):
        self.write("nul.fa", b">a\nACGT\0ACGT\n")
        self.score_fails(65, "nul.fa", says="nul.fa")
        self.write("esc.fa", b">a\nACGT\x1b[2JACGT\n")
        text = self.score_fails(65, "esc.fa", says="esc.fa")
        self.assertNotIn("\x1b", text)
        self.write("digit.fa", b">a\nACG7T\n")
        self.score_fails(65, "digit.fa", says=["a", "7"])
        self.write("noise.fa", bytes(random.Random(1).randrange(256) for _ in range(4000)))
        self.score_fails(65, "noise.fa", says="noise.fa")

    def test_regions(self):
        self.write("in.fa", fasta([("chr1", heldout_bases(500)), ("chr2", "ACGT")]))
        self.score_fails(65, "in.fa", "--set", "reader.regions=chr3:1-10", says="chr3")
        self.score_fails(65, "in.fa", "--set", "reader.regions=chr1:600-700", says="chr1")
        text = self.fails(78, *self.score_args("in.fa"), "--set", "reader.regions=[chr1:1,000-2,000]")
        self.assertIn("chr1:1,000-2,000", text)

    def test_outputs_that_cannot_be(self):
        self.write("in.fa", ">a\nACGT\n")
        self.fails(73, *self.score_args("in.fa", "no/such/folder/x.h5", "x.tsv"), says="no/such/folder")
        self.fails(73, *self.score_args("in.fa", "/proc/x.h5", "x.tsv"), says="/proc")
        self.write("there.h5", "precious")
        self.fails(73, *self.score_args("in.fa", "there.h5", "x.tsv"), says=["there.h5", "--force"])
        with open(self.path("there.h5")) as f:
            self.assertEqual(f.read(), "precious")
        self.fails(78, *self.score_args("in.fa", "same.out", "same.out"), says="same.out")

    def test_outputs_below_a_file_and_links_to_themselves(self):
        self.write("in.fa", ">a\nACGT\n")
        text = self.fails(73, *self.score_args("in.fa", "in.fa/x.h5", "x.tsv"), says=["in.fa' is a file", "another folder"])
        self.assertNotIn("mkdir", text)
        self.fails(73, "convert", MODEL, "-o", "in.fa/model", says=["in.fa' is a file", "another folder"])
        os.symlink("loop", self.path("loop"))
        self.fails(73, *self.score_args("in.fa", "loop", "x.tsv"), "--force", says=["loop", "back to itself"])
        self.assertEqual(sorted(os.listdir(self.dir)), ["in.fa", "loop"])

    def test_carriage_returns_alone(self):
        self.write("mac.fa", b">a\rACGT\r>b\rACGT\r")
        self.score_fails(65, "mac.fa", says=["mac.fa:1:3", "carriage return", "tr '"])
        self.write("within.fa", b">a\nAC\rGT\n")
        self.score_fails(65, "within.fa", says=["within.fa:2:3", "tr '"])

    def to_pipe(self, path):
        return self.start("run", "share:pipelines/genomics/bigwig.yaml", "-q", "-i", "in.fa", "--set",
                          f"writer={{plugin: bedgraph, path: {path}}}")

    def test_a_pipe_with_a_name_waits_for_its_reader(self):
        self.write("in.fa", fasta([("a", heldout_bases(300))]))
        os.mkfifo(self.path("pipe"))
        for sign, code in ((signal.SIGTERM, (75, -signal.SIGTERM)), (signal.SIGINT, (-signal.SIGINT,))):
            p = self.to_pipe("pipe")
            with self.assertRaises(subprocess.TimeoutExpired):
                p.communicate(timeout=1)
            p.send_signal(sign)
            p.communicate(timeout=20)
            self.assertIn(p.returncode, code)
        p = self.to_pipe("pipe")
        with self.assertRaises(subprocess.TimeoutExpired):
            p.communicate(timeout=1)
        with open(self.path("pipe")) as f:
            lines = f.read().splitlines()
        p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0)
        self.assertEqual(sum(line.startswith("a\t") for line in lines), 299)

    def test_a_pipe_whose_reader_leaves_does_not_hold_it_up(self):
        self.write("in.fa", fasta([("a", heldout_bases(6000))]))
        os.mkfifo(self.path("pipe"))
        p = self.to_pipe("pipe")
        with open(self.path("pipe")) as f:
            self.assertTrue(f.readline())
        err = p.communicate(timeout=60)[1]
        self.assertIn(p.returncode, (74, -signal.SIGPIPE), err)

    def test_output_is_input(self):
        self.write("in.fa", fasta([("a", heldout_bases(200))]))
        before = digest(self.path("in.fa"))
        os.symlink("in.fa", self.path("soft.fa"))
        os.link(self.path("in.fa"), self.path("hard.fa"))
        for name in ("in.fa", "soft.fa", "hard.fa"):
            self.fails(64, *self.score_args("in.fa", name, "x.tsv"), "--force", says="input")
            self.fails(64, *self.score_args(name, "in.fa", "x.tsv"), "--force", says="input")
        self.assertEqual(digest(self.path("in.fa")), before)

    def test_full_disk(self):
        self.write("in.fa", fasta([("a", heldout_bases(3000))]))
        self.fails(74, *self.score_args("in.fa", "out.h5", "/dev/full"), says="No space left")
        r = self.run_("run", "share:pipelines/genomics/score.yaml", "-i", "in.fa", "--set", "writer={plugin: table, path: '-'}",
                      "-q")
        self.assertEqual(r.returncode, 0)
        with open("/dev/full", "wb") as full:
            p = subprocess.run([BINARY, "run", "share:pipelines/genomics/score.yaml", "-i", "in.fa", "--set",
                                "writer={plugin: table, path: '-'}"], cwd=self.dir, stdout=full, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL)
        self.assertEqual(p.returncode, 74, p.stderr.decode())
        self.assertIn("No space left", p.stderr.decode())

    def test_file_size_limit(self):
        self.write("in.fa", fasta([("a", heldout_bases(60000 if not SANITIZED else 12000))]))
        limit = 100000 if not SANITIZED else 20000
        p = subprocess.run(["sh", "-c", f"ulimit -f {limit // 512}; exec \"$@\"", "sh", BINARY, *self.score_args("in.fa"), "-q"],
                           cwd=self.dir, capture_output=True)
        self.assertEqual(p.returncode, 74, p.stderr.decode())
        self.assertEqual(os.listdir(self.dir), ["in.fa"])

    def test_two_runs_on_one_output(self):
        self.use_small_model()
        self.write("in.fa", fasta([("a", heldout_bases(20000))]))
        slow = {"MAMBASEQ_CPU": "ref"}
        p = self.start(*self.score_args("in.fa"), env=slow)
        while p.poll() is None and not any(".mbs-" in f for f in os.listdir(self.dir)):
            time.sleep(0.005)
        r = self.run_(*self.score_args("in.fa"), env=slow)
        p.communicate()
        self.assertEqual(p.returncode, 0)
        if r.returncode == 73:
            self.assertTrue("another run" in r.stderr.decode() or "exists" in r.stderr.decode(), r.stderr.decode())
        else:
            self.fail(f"the second run ended with {r.returncode}: {r.stderr.decode()}")
        self.assertEqual(sorted(os.listdir(self.dir)), ["in.fa", "out.h5", "out.tsv", "small"])

    def test_a_reader_that_goes_away_ends_it_quietly(self):
        self.use_small_model()
        self.write("in.fa", fasta([(f"r{i}", heldout_bases(40)) for i in range(4000 if not SANITIZED else 500)]))
        p = subprocess.run(["sh", "-c", '"$@" -q | head -1', "sh", BINARY, "run", "share:pipelines/genomics/score.yaml", "-i",
                            "in.fa", *self.scored_by, "--set", "writer={plugin: table, path: '-'}"], cwd=self.dir, capture_output=True)
        self.assertEqual(p.stderr.decode(), "")
        self.assertEqual(len(p.stdout.decode().splitlines()), 1)

    def test_nothing_hidden_is_left_by_a_reader_that_goes_away(self):
        self.use_small_model()
        self.write("in.fa", fasta([(f"r{i}", heldout_bases(40)) for i in range(4000 if not SANITIZED else 500)]))
        args = ["run", "share:pipelines/genomics/score.yaml", "-i", "in.fa", "-o", "s.h5", "-q", *self.scored_by]
        read_end, write_end = os.pipe()
        os.close(read_end)
        p = subprocess.run([BINARY, *args], cwd=self.dir, stdout=write_end, stderr=subprocess.PIPE)
        os.close(write_end)
        self.assertEqual((p.returncode, p.stderr), (-signal.SIGPIPE, b""))
        self.assertEqual(sorted(os.listdir(self.dir)), ["in.fa", "small"])
        # ignored by the one who starts it, it is a failed write
        p = subprocess.run(["sh", "-c", "trap '' PIPE; { sleep 0.1; \"$@\"; echo $? >&3; } 3>code | :", "sh", BINARY, *args],
                           cwd=self.dir, capture_output=True)
        self.assertIn(b"cannot write to standard output", p.stderr)
        with open(self.path("code")) as f:
            self.assertEqual(f.read(), "74\n")
        self.assertEqual(sorted(os.listdir(self.dir)), ["code", "in.fa", "small"])

    def test_stdin(self):
        r = self.ok("run", "share:pipelines/genomics/score.yaml", "-i", "-", "-q", "--set",
                    "writer={plugin: table, path: '-'}", stdin=fasta([("a", "ACGT")]))
        self.assertEqual(len(r.stdout.decode().splitlines()), 2)
        self.fails(65, "run", "share:pipelines/genomics/score.yaml", "-i", "-", "--set", "writer={plugin: table, path: t.tsv}",
                   stdin="")


class BadModel(Scratch):
    def setUp(self):
        super().setUp()
        self.input = self.write("in.fa", ">a\nACGTACGT\n")
        self.model = self.path("model")
        shutil.copytree(MODEL, self.model)
        for f in os.listdir(self.model):
            os.chmod(os.path.join(self.model, f), 0o644)
        self.weights = os.path.join(self.model, "model.safetensors")
        self.header, self.data = read_safetensors(self.weights)

    def refused(self, says=(), code=65):
        text = self.fails(code, *self.score_args(self.input), "-m", self.model, says=says)
        return text.splitlines()[-1]

    def test_missing_extra_and_misshapen_in_one_message(self):
        h = dict(self.header)
        gone = "backbone.layers.2.mixer.D"
        h["backbone.layers.2.mixer.E"] = h.pop(gone)
        h["backbone.layers.1.mixer.A_log"] = dict(h["backbone.layers.1.mixer.A_log"], shape=[16, 256])
        write_safetensors(self.weights, h, self.data)
        self.refused([gone, "backbone.layers.2.mixer.E", "backbone.layers.1.mixer.A_log"])

    def test_truncated(self):
        with open(self.weights, "rb") as f:
            raw = f.read()
        for size in (0, 7, 8, 100, len(raw) // 2, len(raw) - 1):
            self.write(os.path.join("model", "model.safetensors"), raw[:size])
            self.refused("model.safetensors")

    def test_overflowing_shape(self):
        h = dict(self.header)
        h["backbone.layers.0.mixer.D"] = dict(h["backbone.layers.0.mixer.D"], shape=[4194305, 4194305, 211106198978564])
        write_safetensors(self.weights, h, self.data)
        self.refused("backbone.layers.0.mixer.D")

    def test_nan_weights(self):
        begin = self.header["backbone.norm_f.weight"]["data_offsets"][0]
        data = bytearray(self.data)
        data[begin + 8:begin + 12] = struct.pack("<f", float("nan"))
        write_safetensors(self.weights, self.header, bytes(data))
        self.refused(["backbone.norm_f.weight", "2"])

    def test_weights_that_overflow(self):
        """Finite weights whose sums are not: what is not a number is no unscored letter, whichever way records go."""
        name = "backbone.layers.0.mixer.out_proj.weight"
        begin, end = self.header[name]["data_offsets"]
        data = bytearray(self.data)
        data[begin:end] = struct.pack("<f", 3e38) * ((end - begin) // 4)
        write_safetensors(self.weights, self.header, bytes(data))
        says = ["prediction of token", "is not a number", "take another checkpoint"]
        self.refused(says)
        for bases in ("ACGT" * 30, "AC"):
            many = self.write("many.fa", fasta([(f"r{i}", bases) for i in range(40)]))
            self.fails(65, *self.score_args(many), "-m", self.model, says=says)

    def test_not_a_model(self):
        os.unlink(os.path.join(self.model, "config.json"))
        self.refused("config.json", code=66)
        shutil.rmtree(self.model)
        self.refused("model", code=66)

    def test_weights_that_are_a_pipe_are_not_waited_for(self):
        os.unlink(self.weights)
        os.mkfifo(self.weights)
        p = self.start("inspect", "model")
        try:
            err = p.communicate(timeout=60)[1]
        finally:
            p.kill()
        self.assertEqual(p.returncode, 66, err)
        self.assertIn(b"not a regular file", err)

    def test_config_that_is_no_config(self):
        for text in ("", "{", "[]", '{"model_type": "bert"}', '{"model_type": "mamba", "hidden_size": -1}',
                     '{"model_type": "mamba", "hidden_size": 1e300}', "{" * 100000):
            self.write(os.path.join("model", "config.json"), text)
            self.refused("config.json")


class BadPipeline(Scratch):
    def test_every_error_in_one_run(self):
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, pth: a.fa}\ncodec: {plugin: bases, vocab: [1]}\n"
                             "model: {path: m, task: scroe}\nwriter: {plugin: hdf5, path: o.h5, compression: lzma}\nextra: 1\n")
        text = self.fails(78, "run", "p.yaml")
        for word in ("p.yaml:2:", "did you mean 'path'", "scroe", "score", "lzma", "extra"):
            self.assertIn(word, text)
        r = self.run_("check", "p.yaml")
        self.assertEqual(r.returncode, 78)

    def test_bombs(self):
        self.write("deep.yaml", "[" * 160000)
        t0 = time.monotonic()
        self.fails(78, "run", "deep.yaml")
        self.assertLess(time.monotonic() - t0, 2.0)
        self.write("alias.yaml", "a: &a [x]\nb: [*a, *a]\n")
        self.fails(78, "run", "alias.yaml", says="alias.yaml:1")
        self.write("nul.yaml", b"mambaseq: 1\n\0\n")
        self.fails(78, "run", "nul.yaml")
        self.fails(66, "run", "missing.yaml", says="missing.yaml")

    def test_plugins(self):
        self.write("in.fa", ">a\nACGT\n")
        self.fails(69, "run", "share:pipelines/genomics/score.yaml", "--set", "reader={plugin: fasto, path: in.fa}",
                   says=["fasto", "fasta"])
        self.write("text.so", "not a library")
        self.fails(69, "run", "share:pipelines/genomics/score.yaml", "--set", "reader={plugin: ./text.so, path: in.fa}",
                   says="text.so")


if __name__ == "__main__":
    main()
