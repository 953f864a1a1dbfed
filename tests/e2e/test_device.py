"""The program on a CUDA device that is emulated (tests/simt): what it says where the device cannot be had or fails, and
that what fits only in smaller pieces has the same bytes."""
from support import BUILD, SANITIZED, Scratch, digest, fasta, heldout_bases, json, os, read_safetensors, struct, unittest

MODULE = os.path.join(BUILD, "tests", "emulated")


class Device(Scratch):
    def setUp(self):
        super().setUp()
        self.ok("model", "init", "share:configs/model/tiny.yaml", "-o", "m")
        self.fa = self.write("in.fa", fasta([("a", heldout_bases(3000))]))

    def env(self, **more):
        if SANITIZED:  # gcc 12's leak checker falls over the thread-local memory of loaded libraries
            more["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":intercept_tls_get_addr=0"
        return dict(more, MAMBASEQ_PLUGIN_PATH=MODULE + ":")

    def args(self, *more, device="cuda"):
        return ["run", "share:pipelines/genomics/score.yaml", "-m", "m", "-i", "in.fa", "-o", "out.h5", "--device", device, *more]

    def test_no_driver_no_device_no_such_device(self):
        self.fails(69, *self.args(), env=self.env(FAKE_DEVICES="-1"), says="CUDA cannot be used: no NVIDIA driver is installed;")
        old = "the NVIDIA driver is too old: it knows CUDA 11.8, and "
        self.fails(69, *self.args(), env=self.env(FAKE_DRIVER="11080"), says=old)
        auto = self.ok(*self.args(device="auto"), env=self.env(FAKE_DRIVER="11080", MAMBASEQ_DEVICE="auto")).stderr.decode()
        self.assertTrue(auto.startswith(f"mambaseq: computing on the CPU: {old}"), auto)
        os.remove(self.path("out.h5"))
        self.fails(69, *self.args(), env=self.env(FAKE_DEVICES="0"), says="no CUDA device can be seen here")
        self.fails(69, *self.args(device="cuda:2"), env=self.env(FAKE_DEVICES="2"), says="there is no cuda:2 here: this machine has 2")
        self.fails(69, *self.args(), env=self.env(MAMBASEQ_CUDA="fast"), says="MAMBASEQ_CUDA is 'fast', and all it can be is tf32")
        self.fails(69, "bench", "--device", "cuda", "--shape", "tiny", env=self.env(FAKE_DEVICES="-1"), says="no NVIDIA driver")
        for command in (["eval", "share:pipelines/genomics/score.yaml", "-m", "m", "-i", "in.fa"],
                        ["train", "share:configs/train/tiny.yaml", "-i", "in.fa", "-o", "t"]):
            self.fails(69, *command, "--device", "cuda", env=self.env(FAKE_DEVICES="0"), says="no CUDA device can be seen here")

    def test_auto_says_one_line_and_goes_on(self):
        env = self.env(FAKE_DEVICES="-1", MAMBASEQ_DEVICE="auto")
        lines = self.ok(*self.args("-q", device="auto"), env=env).stderr.decode().splitlines()
        self.assertEqual(lines, [])
        os.remove(self.path("out.h5"))
        lines = self.ok(*self.args(device="auto"), env=env).stderr.decode().splitlines()
        self.assertEqual(lines[0], "mambaseq: computing on the CPU: no NVIDIA driver is installed")
        self.assertEqual(len([line for line in lines if "CPU" in line]), 1)

    def test_int16_goes_to_the_cpu_by_auto(self):
        """Products of whole numbers are the CPU's: run and eval take it alike, and neither gives up."""
        for command in (self.args("--set", "model.dtype=int8", "--set", "model.math=int16", device="auto"),
                        ["eval", "share:pipelines/genomics/score.yaml", "-m", "m", "-i", "in.fa", "--dtype", "int8", "--math",
                         "f32,int16", "--device", "auto"]):
            said = self.ok(*command, env=self.env(MAMBASEQ_DEVICE="auto")).stderr.decode()
            self.assertIn("computing on the CPU: ", said)
            self.assertIn("cannot compute in int16", said)

    def test_errors_have_their_codes(self):
        memory = self.fails(71, *self.args(), env=self.env(FAKE_FAIL="cudaMalloc:9"), says="the device has not enough memory")
        self.assertRegex(memory, r"\d KiB asked, \d\.\d GiB of \d\.\d GiB free")
        self.fails(69, *self.args(), env=self.env(FAKE_FAIL="cudaStreamSynchronize:2", FAKE_FAIL_AS="700"), says="the device failed, ")
        self.fails(70, *self.args(), env=self.env(FAKE_FAIL="cudaMemcpyAsync:9", FAKE_FAIL_AS="1"), says="(CUDA error 1)")
        self.fails(71, *self.args(), env=self.env(FAKE_FAIL="cudaMallocHost:1"), says="no memory that the device can reach")

    def test_a_model_larger_than_the_device(self):
        text = self.fails(71, "run", "share:pipelines/genomics/score.yaml", "-i", "in.fa", "-o", "out.h5", "--device", "cuda",
                          env=self.env(FAKE_MEM="1500000"))
        self.assertRegex(text, r"the weights take \d+\.\d MiB as f32, and the device has \d\.\d of 1\.4 MiB free; nothing was written")
        text = self.fails(71, "train", "share:configs/train/tiny.yaml", "-i", "in.fa", "-o", "t", "--device", "cuda",
                          env=self.env(FAKE_MEM="1500000"), says="the device has not enough memory: ")
        self.assertIn("train.batch_tokens", text)
        self.assertFalse(os.path.exists(self.path("t")))
        self.fails(71, "bench", "--device", "cuda", "--shape", "tiny", "--seconds", "0", "--repeat", "1",
                   env=self.env(FAKE_MEM="1500000"), says="free; take a smaller --shape")

    def test_half_as_many_rows_have_the_same_bytes(self):
        self.ok(*self.args(), env=self.env())
        whole = digest(self.path("out.h5"))
        seen = 0
        for mib in range(12, 1, -1):
            os.remove(self.path("out.h5")) if os.path.exists(self.path("out.h5")) else None
            r = self.run_(*self.args(), env=self.env(FAKE_MEM=str(mib << 20)))
            words = r.stderr.decode()
            if r.returncode == 0:
                self.assertEqual(digest(self.path("out.h5")), whole, f"{mib} MiB")
                seen = max(seen, words.count("trying half as many"))
            else:
                self.assertEqual(r.returncode, 71, words)
                break
        self.assertGreater(seen, 0, "no limit made it take half")

    def test_what_cannot_be_recorded_runs_step_by_step(self):
        pipeline = self.write("g.yaml", "mambaseq: 1\ncodec: {plugin: bases}\nmodel: {path: m, task: generate, "
                              "max_new_tokens: 12, seed: 3}\nwriter: {plugin: table, path: '-'}\n")
        cpu = self.ok("run", pipeline, "--device", "cpu").stdout.decode().split("\t")[-3]
        recorded = self.ok("run", pipeline, "--device", "cuda", env=self.env()).stdout
        self.assertEqual(recorded.decode().split("\t")[-3], cpu)
        for call in ("cudaStreamBeginCapture:1", "cudaGraphInstantiate:1"):
            r = self.ok("run", pipeline, "--device", "cuda", env=self.env(FAKE_FAIL=call, FAKE_FAIL_AS="900"))
            self.assertEqual(r.stdout, recorded, call)

    def test_a_device_that_fails_under_way(self):
        """69, the work so far is kept, and --resume ends with the bytes of a run that was never disturbed."""
        args = ["run", "share:pipelines/genomics/score.yaml", "-m", "m", "-i", "in.fa", "--set", "writer.table.path=out.tsv",
                "--chunk", "256", "--device", "cuda", "-o"]
        self.ok(*args, "whole.h5", env=self.env())
        os.remove(self.path("out.tsv"))
        env = self.env(MAMBASEQ_JOURNAL_EVERY="0.0001", FAKE_FAIL="cudaStreamSynchronize:14", FAKE_FAIL_AS="719")
        r = self.run_(*args, "out.h5", env=env)
        words = r.stderr.decode()
        self.assertEqual(r.returncode, 69, words)
        self.assertIn("the device failed, ", words)
        self.assertIn("; the work so far was kept beside out.h5; once the device works again run the same command with --resume", words)
        self.fails(65, *args, "out.h5", "--resume", "--device", "cpu", says="it was 'cuda/sm_90/f32', now it is 'cpu/")
        self.ok(*args, "out.h5", "--resume", env=self.env())
        self.assertEqual(digest(self.path("out.h5")), digest(self.path("whole.h5")))

    def test_nothing_is_asked_for_while_it_runs(self):
        """As many allocations for a record four times as long; and as many bytes of the device."""
        made = []
        for times in (1, 4):
            self.write("in.fa", fasta([("a", heldout_bases(3000) * times)]))
            calls = self.path(f"calls{times}")
            self.ok(*self.args("--chunk", "256", "--force"), env=self.env(FAKE_CALLS=calls))
            with open(calls) as f:
                counts = dict(line.split() for line in f if not line.startswith("place"))
            made.append({k: v for k, v in counts.items() if k in ("cudaMalloc", "cudaMallocHost", "cudaStreamCreateWithFlags",
                                                                  "cudaEventCreateWithFlags", "cudaFree")})
        self.assertGreater(int(made[0]["cudaMalloc"]), 10)
        self.assertEqual(made[0], made[1])

    def test_training_has_the_same_bytes_in_any_schedule(self):
        def train(name, device, **env):
            self.ok("train", "share:configs/train/tiny.yaml", "-i", "in.fa", "-o", name, "--device", device, "--set", "train.steps=4",
                    "--set", "train.batch_tokens=512", "--set", "train.window=128", env=self.env(**env))
            return self.path(os.path.join(name, "model.safetensors"))

        first = train("a", "cuda", FAKE_STREAMS="eager")
        for seed in (5, 77):
            self.assertEqual(digest(train(f"b{seed}", "cuda", FAKE_STREAMS=str(seed))), digest(first))
        header, data = read_safetensors(first)
        _, want = read_safetensors(train("c", "cpu"))
        n = len(data) // 4
        pairs = zip(struct.unpack(f"<{n}f", data), struct.unpack(f"<{n}f", want))
        self.assertTrue(all(t["dtype"] == "F32" for k, t in header.items() if k != "__metadata__"))
        self.assertLess(max(abs(a - b) for a, b in pairs), 2e-3)  # AdamW's first steps are lr times a sign
        self.assertNotEqual(data, want)

    def test_bench_holds_kernels_against_the_device_s_own_copies(self):
        r = self.ok("bench", "--device", "cuda", "--shape", "tiny", "--seconds", "0", "--repeat", "1", "--work", "machine,conv",
                    "--json", env=self.env(FAKE_MEM=str(64 << 20)))
        b = json.loads(r.stdout)
        self.assertEqual(b["machine"]["device"], "emulated device, sm_90, 0.1 GiB")
        self.assertGreater(b["machine"]["device_copy_gbytes_per_s"], 0)
        conv = b["results"][0]
        self.assertEqual((conv["work"], conv["level"], conv["limit"]), ("conv", "sm_90", "copy"))
        self.assertAlmostEqual(conv["gbytes_per_s"] / b["machine"]["device_copy_gbytes_per_s"], conv["share"], delta=0.01 * conv["share"])

    def test_arithmetic_is_told(self):
        self.assertIn(b"\tcuda/sm_90/f32\t", self.ok(*self.args(), env=self.env()).stdout)
        os.remove(self.path("out.h5"))
        self.assertIn(b"\tcuda/sm_90+tf32/f32\t", self.ok(*self.args(), env=self.env(MAMBASEQ_CUDA="tf32")).stdout)


if __name__ == "__main__":
    unittest.main()
