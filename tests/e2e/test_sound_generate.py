#!/usr/bin/env python3
"""Sound that a model makes: clips side by side, prompts, states, classes, the guard, an interrupt."""
import wave

from support import *

NEW = "share:pipelines/audio/generate.yaml"
ON = "share:pipelines/audio/continue.yaml"
RAW = "writer={plugin: audio, path: '-', format: raw}"
TABLE = "writer={plugin: table, path: '-'}"


def frames(path):
    with wave.open(path, "rb") as w:
        return w.getframerate(), w.readframes(w.getnframes())


def sets(**kw):
    kw.setdefault("temperature", 3)  # else a clip may begin with silence, whatever its seed
    return [x for k, v in kw.items() for x in ("--set", f"model.{k}={v}")]


class Generate(Scratch):
    def raw(self, pipeline, *more, **kw):
        return self.ok("run", pipeline, "--set", RAW, "-q", *more, *sets(**kw)).stdout

    def same(self, a, b):
        """Without a listing of what differs, which takes minutes of bytes."""
        self.assertTrue(a == b, f"{len(a)} and {len(b)} bytes")

    def rows(self, *more, **kw):
        text = self.ok("run", NEW, "--set", TABLE, "-q", *more, *sets(**kw)).stdout.decode()
        lines = [line.split("\t") for line in text.splitlines()]
        return [dict(zip(lines[0], row)) for row in lines[1:]]

    def test_lock_step_is_one_at_a_time(self):
        ms = 10 if SANITIZED else 40
        clip, n_bytes = dict(duration=f"{ms}ms"), 16 * ms
        many = self.raw(NEW, **clip, count=18)  # more than go at once
        self.assertEqual(len(many), 18 * n_bytes)
        for n in (1, 3):
            self.same(self.raw(NEW, **clip, count=n), many[:n * n_bytes])
        self.same(self.raw(NEW, "-@", "2", **clip, count=18), many)
        self.assertTrue(self.raw(NEW, **clip, count=1, seed=2) != many[:n_bytes])
        two = self.raw(ON, duration="40ms", num_samples=2)
        self.same(self.raw(ON, "--chunk", "7", duration="40ms", num_samples=1), two[:640])
        self.assertTrue(two[:640] != two[640:])

    def test_a_class_begins_a_clip(self):
        a, b = (self.raw(NEW, **{"class": c}, duration="40ms", count=1) for c in ("[seven]", "[two]"))
        self.assertTrue(a != b)
        # in turn
        self.same(self.raw(NEW, **{"class": "[seven, two]"}, duration="40ms", count=3)[:640], a)
        self.fails(78, "run", NEW, "--set", RAW, *sets(**{"class": "[elefant]"}), says=["elefant", "eight, five"])
        self.fails(78, "run", "share:pipelines/genomics/generate.yaml", *sets(**{"class": "[x]"}), "--set", TABLE,
                   says="without classes")

    def test_likelihood_is_that_of_score(self):
        self.ok("run", NEW, "-q", "--set", "writer={plugin: hdf5, path: g.h5}", *sets(duration="20ms", count=1))
        made = self.rows(duration="20ms", count=1)[0]
        self.assertEqual(int(made["length"]), 160)
        try:
            import h5py
        except ImportError:
            self.skipTest("no h5py")
        with h5py.File(self.path("g.h5")) as f:
            name = [k for k in f["generated"] if "logprob" in k]
            self.assertAlmostEqual(float(f["generated"][name[0]][:].astype("f8").sum()), float(made["logprob"]), 4)

    def test_a_prompt_is_saved_and_forked(self):
        whole = self.raw(ON, duration="40ms")
        self.raw(ON, "--force", duration="5ms", save_state="heard.state")
        none = ["--set", "reader=null", "--set", "codec.plugin=mulaw"]
        self.same(self.raw(ON, *none, duration="40ms", state="heard.state"), whole)
        with open(self.path("heard.state"), "rb") as f:
            self.write("bad.state", f.read()[:-9] + b"x" * 9)
        self.fails(65, "run", ON, "--set", RAW, *none, *sets(state="bad.state"), says="model.state")
        self.fails(78, "run", NEW, "--set", RAW, *sets(state="heard.state"), says="has begun already")
        self.fails(65, "run", NEW, "--set", RAW, *sets(save_state="two.state", duration="5ms"), says="one state")
        self.fails(64, "run", ON, "--set", RAW, *none, *sets(state="heard.state", save_state="heard.state"), "--force",
                   says="heard.state")

    def test_the_guard_draws_again(self):
        ms, again = (40, 3) if SANITIZED else (100, 9)
        one = dict(duration=f"{ms}ms", count=1, guard="20ms")
        free = self.raw(NEW, duration=f"{ms}ms", count=1)
        self.same(self.raw(NEW, **one, guard_bits="[0, 100]"), free)  # which nothing is too much for
        r = self.ok("run", NEW, "--set", RAW, *sets(**one, guard_bits="[0, 1e-9]"))  # nothing is good enough
        self.assertEqual(len(r.stdout), 16 * ms)
        self.assertTrue(r.stdout != free)
        self.assertRegex(r.stderr.decode(),
                         rf"guard: drawn again {8 * again} times \(stuck 0, noise {8 * again}\), taken as it is {again} times")
        two = dict(one, count=2)
        self.same(self.raw(NEW, **two, guard_bits="[0, 1e-9]")[:16 * ms], r.stdout)
        self.fails(78, "run", NEW, "--set", RAW, *sets(**one, guard_bits="[3, 2]"), says="guard_bits")
        self.fails(78, "run", NEW, "--set", RAW, *sets(guard_bits="[1, 2]"), says="belongs to 'guard'")
        self.fails(78, "run", "share:pipelines/genomics/generate.yaml", "--set", TABLE, *sets(guard="1s"), says="time")
        self.fails(78, "run", NEW, "--set", RAW, *sets(max_new_tokens=5), says="say the same thing")

    def interrupt(self, *more):
        p = self.start("run", NEW, "--set", "writer={plugin: audio, path: new.wav}", *more,
                       *sets(duration="1h", count=2))
        time.sleep(2.5 if SANITIZED else 0.8)
        p.send_signal(signal.SIGINT)
        err = p.communicate(timeout=60)[1].decode()
        self.assertEqual(p.returncode, -signal.SIGINT, err)
        return err

    def test_an_interrupt(self):
        err = self.interrupt("--keep-partial")
        self.assertIn("complete in new.wav", err)
        rate, made = frames(self.path("new.wav"))
        self.assertEqual(rate, 8000)
        self.assertEqual(os.listdir(self.dir), ["new.wav"])
        self.same(self.raw(NEW, duration="10ms", count=1), made[:160])
        os.remove(self.path("new.wav"))
        self.interrupt()
        self.assertNotIn("new.wav", os.listdir(self.dir))

    def test_resumed_bytes(self):
        want = ["--set", "writer={plugin: audio, path: new.wav}", *sets(duration="30ms" if SANITIZED else "60ms", count=3, guard="20ms")]
        p = self.start("run", NEW, *want, env={"MAMBASEQ_JOURNAL_EVERY": "0.01"})
        self.assertGreater(self.stop_behind_a_journal(p), 0)
        self.ok("run", NEW, *want, "--resume")
        made = frames(self.path("new.wav"))
        self.ok("run", NEW, *want, "--force")
        self.assertTrue(frames(self.path("new.wav")) == made)

    def test_training_by_class(self):
        rng = random.Random(1)
        for kind in ("low", "high"):
            os.makedirs(self.path(f"d/{kind}"))
            for i in range(4):
                with wave.open(self.path(f"d/{kind}/{i}.wav"), "wb") as w:
                    w.setnchannels(1)
                    w.setsampwidth(2)
                    w.setframerate(8000)
                    f = 0.1 if kind == "low" else 0.7
                    w.writeframes(b"".join(struct.pack("<h", int(8000 * math.sin(f * k + i) + rng.gauss(0, 50)))
                                           for k in range(300)))
        small = [x for s in ("train.window=256", "train.batch_tokens=1024", "train.steps=3", "train.split.held_out=0.25")
                 for x in ("--set", s)]
        train = ["train", "share:configs/train/audio-lm.yaml", "-i", "d", *small, "-q"]
        self.ok(*train, "-o", "m")
        with open(self.path("m/config.json")) as f:
            self.assertEqual(json.load(f)["mambaseq_start"], {"token": 256, "classes": ["high", "low"]})
        self.assertEqual(len(self.raw(NEW, "-m", "m", **{"class": "low"}, duration="10ms", count=1)), 160)
        self.ok(*train, "-o", "n", "--set", "model={path: m}", "--set", "train.start=auto")
        self.ok(*train, "-o", "alike", "--set", "train.start=record", "--set", "train.start_unknown=null")
        self.assertEqual(len(self.raw(NEW, "-m", "alike", **{"class": "null"}, duration="10ms", count=1)), 160)
        self.fails(78, *train, "-o", "o", "--set", "train.order=random", says="order stream or records")
        self.fails(78, *train, "-o", "o", "--set", "model={init: {d_model: 16, n_layer: 1, vocab: 256}}", says="vocab")


if __name__ == "__main__":
    unittest.main()
