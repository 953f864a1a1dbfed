#!/usr/bin/env python3
"""The program on the CUDA backend: the numbers of the CPU, the same bytes for any chunk and any order in which a device
may run its streams, and a clear end where a call fails, memory is short or there is no device.

MBS_CUDA_DIR: the folder of the module, by default the emulated one of the build (tests/simt/backend), whose fakes are
told by FAKE_* (tests/simt/fake/fake.h). MBS_CUDA_ALL=1: every call fails once, not only some of them."""
from support import *

FOLDER = os.environ.get("MBS_CUDA_DIR", os.path.join(BUILD, "tests", "emulated"))
EMULATED = "MBS_CUDA_DIR" not in os.environ
ALL = os.environ.get("MBS_CUDA_ALL", "") == "1"
UNIT = 256 if EMULATED else 1024  # rows: chunks of multiples of it give the same bytes
SHAPES = {"mamba1": "d_model: 16\nn_layer: 2\nd_state: 4\nvocab: dna\n",
          "mamba2": "mixer: mamba2\nd_model: 16\nn_layer: 2\nd_state: 8\nhead_dim: 8\nvocab: dna\n"}
RECIPE = """mambaseq: 1
reader: {plugin: fasta, path: in.fa}
codec: {plugin: bases}
model: {init: shape.yaml}
train:
  window: 96
  batch_tokens: 384
  steps: 3
  seed: 3
  split: {held_out: 0.2}
  optimizer: {lr: 1e-3}
  eval: {every: 3, tokens: 256}
  checkpoint: {every: 2}
output: {path: out}
"""


class Cuda(Scratch):
    def setUp(self):
        super().setUp()
        self.write("in.fa", fasta([("a", heldout_bases(UNIT * 4 + 87)), ("empty", ""), ("short", "ACGTNNAC"),
                                   ("b", heldout_bases(3000)[-UNIT - 5:])]))
        self.write("long.fa", fasta([("long", heldout_bases(UNIT * 4 + 87))]))
        self.write("few.fa", fasta([("few", heldout_bases(UNIT + 50))]))
        for mixer, shape in SHAPES.items():
            self.write(f"{mixer}.yaml", shape)
            self.ok("model", "init", f"{mixer}.yaml", "-o", mixer, "--seed", "3", "-q")

    def env(self, **fakes):
        return dict({"MAMBASEQ_PLUGIN_PATH": FOLDER, "FAKE_LEAKS": "1"}, **{k: str(v) for k, v in fakes.items()})

    def task(self, task, model, out, *more, of="in.fa"):
        return ["run", f"share:pipelines/genomics/{task}.yaml", "-q", "-i", of, "-m", model, "--set",
                f"writer={{plugin: hdf5, path: {out}}}", "--force", *more]

    def data(self, name, key):
        import h5py
        with h5py.File(self.path(name)) as f:
            return f[key][:]

    def close(self, got, want, what, most=5e-6):
        import numpy as np
        self.assertEqual(got.shape, want.shape)
        self.assertTrue(np.array_equal(np.isnan(got), np.isnan(want)), what)
        off = np.nanmax(np.abs(got.astype("f8") - want)) / np.nanmax(np.abs(want))
        self.assertLessEqual(off, most, what)

    def test_tasks_give_the_numbers_of_the_cpu(self):
        for model in SHAPES:
            for task, key in (("score", "score/logprob"), ("embed", "embedding")):
                more = ["--set", "model.pool=none"] if task == "embed" else []
                self.ok(*self.task(task, model, "cpu.h5", *more), "--device", "cpu")
                self.ok(*self.task(task, model, "cuda.h5", *more), "--device", "cuda", env=self.env())
                self.close(self.data("cuda.h5", key), self.data("cpu.h5", key), f"{task} {model}")

    def test_weights_of_every_kind(self):
        for dtype in ("bf16", "int8"):
            args = ["--set", f"model.dtype={dtype}"]
            self.ok(*self.task("score", "mamba1", "cpu.h5", *args), "--device", "cpu")
            self.ok(*self.task("score", "mamba1", "cuda.h5", *args), "--device", "cuda", env=self.env())
            self.close(self.data("cuda.h5", "score/logprob"), self.data("cpu.h5", "score/logprob"), dtype)

    def test_bf16_math(self):
        """Rows between the operations of a layer are bf16: the numbers of the CPU to a hundredth, and the same bytes for
        any chunk and schedule."""
        args = ["--set", "model.math=bf16"]
        self.write("wide.yaml", "d_model: 48\nn_layer: 1\nd_state: 20\nvocab: dna\n")  # more states than one thread has
        self.ok("model", "init", "wide.yaml", "-o", "wide", "--seed", "3", "-q")
        for model in ("mamba1", "wide"):
            for task, key in (("score", "score/logprob"), ("embed", "embedding")):
                more = [*args, *(["--set", "model.pool=none"] if task == "embed" else [])]
                self.ok(*self.task(task, model, "cpu.h5", *more, of="few.fa"), "--device", "cpu")
                self.ok(*self.task(task, model, "cuda.h5", *more, of="few.fa"), "--device", "cuda", env=self.env())
                self.close(self.data("cuda.h5", key), self.data("cpu.h5", key), f"{task} {model}", 1e-2)
        want = None
        for chunk, seed in ((UNIT, 2), (4 * UNIT, 3))[:1 if SANITIZED else 2]:
            self.ok(*self.task("score", "mamba1", "got.h5", *args, of="long.fa"), "--device", "cuda", "--chunk", str(chunk),
                    env=self.env(FAKE_STREAMS=seed, MBK_SIMT_SCHEDULE=f"random:{seed}"))
            want = want or digest(self.path("got.h5"))
            self.assertEqual(digest(self.path("got.h5")), want, f"chunks of {chunk}")

    def test_generate(self):
        for model in SHAPES:
            text = []
            for device in ("cpu", "cuda"):
                r = self.ok("run", "share:pipelines/genomics/generate.yaml", "-q", "-m", model, "--device", device, "--set",
                            "model.temperature=0", "--set", "model.max_new_tokens=20", "--set", "model.num_samples=1",
                            env=self.env())
                text.append(r.stdout.decode().splitlines()[1].split("\t")[:5])
            self.assertEqual(text[0], text[1], model)

    def draws(self, device, model, *more, env=None, **settings):
        """What stands in each row of the table: name, letters, log-probability."""
        self.write("two.fa", fasta([("a", "ACGTTGCA" * 4), ("b", "GGGTAC")]))
        args = ["run", "share:pipelines/genomics/generate.yaml", "-q", "-m", model, "-i", "two.fa", "--device", device, *more,
                *[a for k, v in settings.items() for a in ("--set", f"model.{k}={v}")]]
        rows = [line.split("\t") for line in self.ok(*args, env=env or self.env()).stdout.decode().splitlines()]
        return [(r[1], r[5], r[8]) for r in rows]

    def test_a_device_draws_what_the_cpu_draws(self):
        """One stream, and several in lock step. Where no number is near a border, that is, as with these seeds."""
        for model, settings in (("mamba1", dict(temperature=0.8, num_samples=3, max_new_tokens=24)),
                                ("mamba2", dict(top_k=3, num_samples=1, max_new_tokens=66)),
                                ("mamba1", dict(top_p=0.6, top_k=20, num_samples=2, max_new_tokens=9))):
            got, want = (self.draws(device, model, **settings, seed=5) for device in ("cuda", "cpu"))
            self.assertEqual([r[:2] for r in got], [r[:2] for r in want], settings)
            self.assertEqual(len({r[1] for r in got}), len(got))
            for (*_, a), (*_, b) in zip(got[1:], want[1:]):
                self.assertAlmostEqual(float(a), float(b), delta=1e-4)
        want = self.draws("cuda", "mamba1", temperature=0.8, num_samples=2, max_new_tokens=7)
        got = self.draws("cuda", "mamba1", temperature=0.8, num_samples=1, max_new_tokens=7,
                         env=self.env(FAKE_STREAMS=3, MBK_SIMT_SCHEDULE="random:3"))
        self.assertEqual(got[1][1:], want[1][1:])  # to the last digit

    def test_a_guard_on_a_device(self):
        """What it goes back to is drawn again with other numbers, those of the CPU."""
        self.write("sound.yaml", "d_model: 8\nn_layer: 1\nd_state: 4\nvocab: 272\n")
        self.ok("model", "init", "sound.yaml", "-o", "sound", "--seed", "3", "-q")
        self.write("sound/preprocessor_config.json", '{"sampling_rate": 8000, "mambaseq_codec": "mulaw"}')
        made = []
        for device in ("cpu", "cuda"):
            r = self.ok("run", "share:pipelines/audio/generate.yaml", "-m", "sound", "--device", device, "--set",
                        "writer={plugin: audio, path: '-', format: raw}", *[a for s in (
                            "class=null", "count=1", "duration=6ms", "guard=2ms", "guard_bits=[0, 8.05]", "seed=2")
                            for a in ("--set", "model." + s)], env=self.env())
            made.append((r.stdout, r.stderr.decode().partition("guard: ")[2].partition(" times, ")[0]))
            self.assertEqual(len(r.stdout), 96)
        self.assertEqual(made[0], made[1])
        self.assertIn("noise", made[0][1])

    def test_a_generation_goes_on(self):
        """Stopped between two tokens that a device has drawn, and gone on with: the same bytes."""
        args = ["run", "share:pipelines/genomics/generate.yaml", "-q", "-m", "mamba1", "--device", "cuda", "--set",
                "writer={plugin: table, path: out.tsv}", "--set", f"model.max_new_tokens={50 if SANITIZED else 200}",
                "--set", "model.num_samples=2"]
        env = self.env(MAMBASEQ_JOURNAL_EVERY="0.01")
        p = self.start(*args, env=env)
        while p.poll() is None and not any(".mbs-" in f for f in os.listdir(self.dir)):
            time.sleep(0.01)
        p.send_signal(signal.SIGTERM)
        p.communicate()
        if p.returncode != 0:
            self.assertEqual(os.path.exists(self.path("out.tsv")), False)
            self.ok(*args, "--resume", env=env)
        got = digest(self.path("out.tsv"))
        self.ok(*args, "--force", env=env)
        self.assertEqual(digest(self.path("out.tsv")), got)

    def losses(self, folder):
        with open(self.path(f"{folder}/metrics.jsonl")) as f:
            return [(m["loss"], m["grad_norm"]) for m in map(json.loads, f) if "grad_norm" in m]

    def test_training(self):
        self.write("r.yaml", RECIPE)
        for model in SHAPES:
            shutil.copy(self.path(f"{model}.yaml"), self.path("shape.yaml"))
            self.ok("train", "r.yaml", "-q", "-o", f"cpu-{model}", "--device", "cpu")
            self.ok("train", "r.yaml", "-q", "-o", f"cuda-{model}", "--device", "cuda", env=self.env(FAKE_STREAMS=5))
            want = self.losses(f"cpu-{model}")
            got = self.losses(f"cuda-{model}")
            self.assertEqual(len(got), 3)
            for (loss, norm), (loss_want, norm_want) in zip(got, want):
                self.assertAlmostEqual(loss, loss_want, delta=5e-6 * loss_want)
                self.assertAlmostEqual(norm, norm_want, delta=5e-5 * norm_want)
            if SANITIZED and model != "mamba1":
                continue
            # Backward is reproducible bit for bit, whatever the schedule.
            self.ok("train", "r.yaml", "-q", "-o", "again", "--device", "cuda", "--force",
                    env=self.env(FAKE_STREAMS=1, MBK_SIMT_SCHEDULE="random:9"))
            self.assertEqual(digest(self.path("again/model.safetensors")),
                             digest(self.path(f"cuda-{model}/model.safetensors")))

    def test_chunks_and_schedules_give_the_same_bytes(self):
        """A record alone: short ones ride together, who with whom is the chunk's affair, and that may cost the last bit."""
        for model in SHAPES:
            args = self.task("score", model, "want.h5", of="long.fa")
            self.ok(*args, "--device", "cuda", env=self.env(FAKE_STREAMS="eager"))
            want = digest(self.path("want.h5"))
            args = self.task("score", model, "got.h5", of="long.fa")
            for chunk in (UNIT,) if SANITIZED else (UNIT, 2 * UNIT, 4 * UNIT):
                self.ok(*args, "--device", "cuda", "--chunk", str(chunk), env=self.env())
                self.assertEqual(digest(self.path("got.h5")), want, f"{model}, chunks of {chunk}")
            for seed in range(1, 2 if not EMULATED or SANITIZED else 11 if model == "mamba1" else 4):
                self.ok(*args, "--device", "cuda", env=self.env(FAKE_STREAMS=seed, MBK_SIMT_SCHEDULE=f"random:{seed}"))
                self.assertEqual(digest(self.path("got.h5")), want, f"{model}, seed {seed}")
            self.ok(*self.task("score", model, "want.h5"), "--device", "cuda", env=self.env())
            self.ok(*self.task("score", model, "got.h5"), "--device", "cuda", "--chunk", "1", env=self.env())
            self.close(self.data("got.h5", "score/logprob"), self.data("want.h5", "score/logprob"), f"{model}, riding")


@unittest.skipUnless(EMULATED, "a real device does not fail at will")
class Failures(Cuda):
    test_tasks_give_the_numbers_of_the_cpu = test_weights_of_every_kind = test_generate = None
    test_training = test_chunks_and_schedules_give_the_same_bytes = test_bf16_math = None
    test_a_device_draws_what_the_cpu_draws = test_a_guard_on_a_device = test_a_generation_goes_on = None

    def calls(self, *args):
        """How often each function of the runtime is called."""
        self.ok(*args, env=self.env(FAKE_CALLS=self.path("calls")))
        with open(self.path("calls")) as f:
            found = {name: int(n) for name, n in (line.split() for line in f)}
        os.unlink(self.path("calls"))
        return found

    def some(self, n, most):
        """Numbers of calls: all of them, or the first, the last and some between."""
        if ALL or n <= most:
            return range(1, n + 1)
        most = most // 3 if SANITIZED else most
        rng = random.Random(int(os.environ.get("MBS_TEST_SEED", "5")))
        return sorted({*range(1, most // 3), n - 1, n, *rng.sample(range(1, n), most // 2)})

    def each_call_fails(self, args, out, most):
        """Every end is a clean one: done with the right bytes, or a clear error and nothing under the final name."""
        calls = self.calls(*args)
        want = digest(self.path(out)) if os.path.isfile(self.path(out)) else None
        ends = {}
        for k in self.some(calls["any"], most):
            path = self.path(out)
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)
            r = self.run_(*args, env=self.env(FAKE_FAIL=f"any:{k}"))
            text = r.stderr.decode()
            self.assertIn(r.returncode, (0, 69, 71), f"call {k}: {text}")
            if r.returncode == 0:
                self.assertTrue(want is None or digest(path) == want, f"call {k}: other bytes")
            else:
                self.assertTrue(text.splitlines()[-1].startswith("mambaseq: error: "), text)
                self.assertFalse(os.path.exists(path), f"call {k}: {out} is there")
            ends[r.returncode] = ends.get(r.returncode, 0) + 1
            for left in os.listdir(self.dir):  # a journal or a checkpoint may be kept, to go on with
                if left.startswith("."):
                    p = self.path(left)
                    shutil.rmtree(p) if os.path.isdir(p) else os.unlink(p)
        print(f"  {calls['any']} calls, ends: {ends}")
        self.assertGreater(ends.get(69, 0), 0)
        if not SANITIZED:  # then the few calls that fail may all be others
            self.assertGreater(ends.get(71, 0), 0)

    def test_every_call_of_score_fails_once(self):
        self.each_call_fails([*self.task("score", "mamba1", "out.h5", of="few.fa"), "--device", "cuda"], "out.h5", 36)

    def test_every_call_of_generate_fails_once(self):
        """With the recording of a step, which may also do without."""
        self.each_call_fails(["run", "share:pipelines/genomics/generate.yaml", "-q", "-m", "mamba1", "-i", "few.fa",
                              "--device", "cuda", "--force", "--set", "model.max_new_tokens=6", "--set",
                              "model.num_samples=1", "--set", "writer={plugin: table, path: out.tsv}"], "out.tsv", 30)

    def test_every_call_of_a_training_fails_once(self):
        self.write("r.yaml", RECIPE.replace("steps: 3", "steps: 1"))
        shutil.copy(self.path("mamba1.yaml"), self.path("shape.yaml"))
        self.each_call_fails(["train", "r.yaml", "-q", "--device", "cuda"], "out", 30)

    def test_little_memory(self):
        """Chunks are halved until they fit, with the same bytes; then it says so."""
        small = ["--device", "cuda", "--chunk", str(4 * UNIT)]
        self.ok(*self.task("score", "mamba1", "want.h5"), *small, env=self.env())
        want = digest(self.path("want.h5"))
        ends = []
        halved = 0
        for kib in (16384, 4096, 2048, 1024, 512, 256, 128, 64, 16):
            r = self.run_(*[a for a in self.task("score", "mamba1", "got.h5") if a != "-q"], *small, "-v",
                          env=self.env(FAKE_MEM=kib << 10))
            ends.append(r.returncode)
            halved += r.returncode == 0 and b"trying half" in r.stderr
            if r.returncode == 0:
                self.assertEqual(digest(self.path("got.h5")), want, f"{kib} KiB")
                os.unlink(self.path("got.h5"))
            else:
                self.assertEqual(r.returncode, 71, r.stderr.decode())
                self.assertIn("memory", r.stderr.decode().splitlines()[-1])
        print(f"  ends with less and less memory: {ends}")
        self.assertEqual(ends[0], 0)
        self.assertGreater(halved, 0, "no run with smaller calls")
        self.assertEqual(ends[-1], 71)
        self.assertEqual(ends, sorted(ends), "less memory is not better")

    def test_more_states_than_a_scan_takes(self):
        for states, code in ((256, 0), (257, 69)):
            self.write("wide.yaml", f"d_model: 8\nn_layer: 1\nd_state: {states}\nvocab: dna\n")
            self.ok("model", "init", "wide.yaml", "-o", f"wide{states}", "--seed", "3", "-q")
            r = self.run_(*self.task("score", f"wide{states}", "out.h5", of="few.fa"), "--device", "cuda", env=self.env())
            self.assertEqual(r.returncode, code, r.stderr.decode())
        self.assertIn("device: 'cuda' cannot scan 257 states a channel", r.stderr.decode())
        self.assertIn("--device cpu", r.stderr.decode())
        # A device that nobody named gives way.
        args = [a for a in self.task("score", "wide257", "out.h5", of="few.fa") if a != "-q"]
        r = self.run_(*args, env=dict(self.env(), MAMBASEQ_DEVICE="auto"))
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        self.assertIn("computing on the CPU: device 'cuda' cannot scan 257 states", r.stderr.decode())

    @unittest.skipIf(SANITIZED, "finds waits, not memory, and in any build")
    def test_no_wait_can_be_left_out(self):
        """Each wait for an event. Of those for a whole stream most are there before memory is freed, or for errors: what
        they wait for has been waited for already."""
        # Wide enough for weights and rows that travel in several pieces.
        self.write("wide.yaml", "d_model: 64\nn_layer: 1\nd_state: 4\nvocab: dna\n")
        self.ok("model", "init", "wide.yaml", "-o", "wide", "--seed", "3", "-q")
        args = [*self.task("embed", "wide", "want.h5", of="few.fa"), "--device", "cuda"]
        self.ok(*args, env=self.env(FAKE_CALLS=self.path("calls")))
        want = self.data("want.h5", "embedding").tobytes()
        with open(self.path("calls")) as f:
            places = {int(l.split("-")[1]): l.split()[0].split("-")[2] for l in f if l.startswith("place-")}
        args = [*self.task("embed", "wide", "got.h5", of="few.fa"), "--device", "cuda"]
        missed = {}
        for place, call in places.items():
            caught = 0
            for seed in (1, 2, 3):
                if not caught:
                    r = self.run_(*args, env=self.env(FAKE_DROP=place, FAKE_STREAMS=seed))
                    caught += r.returncode != 0 or self.data("got.h5", "embedding").tobytes() != want
            if not caught:
                missed.setdefault(call, []).append(place)
        print(f"  {len(places)} places that wait, left out without a trace: {missed}")
        self.assertGreater(sum(call != "cudaStreamSynchronize" for call in places.values()), 4)
        self.assertEqual([call for call in missed if call != "cudaStreamSynchronize"], [])

    def test_without_a_device(self):
        for devices, word in ((-1, "driver"), (0, "device")):
            env = self.env(FAKE_DEVICES=devices, MAMBASEQ_DEVICE="auto")
            text = self.fails(69, *self.task("score", "mamba1", "x.h5"), "--device", "cuda", env=env, says=word)
            self.assertIn("--device cpu", text)
            r = self.ok(*[a for a in self.task("score", "mamba1", "auto.h5") if a != "-q"], "--device", "auto", env=env)
            lines = [l for l in r.stderr.decode().splitlines() if "computing on the CPU" in l]
            self.assertEqual(len(lines), 1, r.stderr.decode())
            os.unlink(self.path("auto.h5"))
        self.fails(69, *self.task("score", "mamba1", "x.h5"), "--device", "cuda:3", env=self.env(), says="cuda:3")


def device_or_skip():
    """A machine without a device says so in a line."""
    r = subprocess.run([BINARY, "run", "share:pipelines/genomics/score.yaml", "-q", "-i", "/dev/stdin", "--device", "cuda",
                        "--set", "writer={plugin: table, path: '-'}"], input=b">a\nACGT\n", capture_output=True,
                       env=dict(os.environ, MAMBASEQ_PLUGIN_PATH=FOLDER))
    if r.returncode == 69:
        print("skipped:", r.stderr.decode().splitlines()[-1])
        sys.exit(77)


if __name__ == "__main__":
    if not EMULATED:
        device_or_skip()
    main()
