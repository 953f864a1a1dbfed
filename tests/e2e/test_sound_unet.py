#!/usr/bin/env python3
"""A U-net for sound, from spoken digits to clips: trained, looked at, streamed; and sound at another rate."""
import json
import shutil
import wave

from support import *
from test_sound import tone, write_wav

WORDS = ["one", "two", "seven"]
NEW = "share:pipelines/audio/generate.yaml"
ON = "share:pipelines/audio/continue.yaml"
RAW = ["--set", "writer={plugin: audio, path: '-', format: raw}", "-q"]


class UNet(Scratch):
    def speak(self):
        for i, word in enumerate(WORDS):
            for k in range(4):
                path = self.path(f"clips/{word}/{k}.wav")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if shutil.which("espeak-ng"):
                    subprocess.run(["espeak-ng", "-w", path, "-s", str(150 + 20 * k), word], check=True)
                else:
                    write_wav(path, tone(["hiss", "high", "low"][i], random.Random(9 * i + k)))

    def test_trained_and_heard(self):
        self.speak()
        self.write("shape.yaml", b"d_model: 16\nn_layer: 1\npool: [4, 2]\nmixer: [mamba1, s4d]\nd_state: 8\nvocab: 272\n")
        self.ok("train", "share:configs/train/audio-lm.yaml", "-i", "clips", "-o", "m", "-q", "--set", "train.steps=40",
                "--set", "model.init=shape.yaml", "--set", "train.window=1001", "--set", "train.batch_tokens=4004",
                "--set", "train.eval.tokens=2000", "--set", "train.split.held_out=0.2", "--set", "train.rows=512")
        with open(self.path("m/metrics.jsonl")) as f:
            loss = [r["loss"] for r in map(json.loads, f) if "loss" in r]
        self.assertGreater(len(loss), 20)
        self.assertLess(sum(loss[-5:]), 0.9 * sum(loss[:5]), loss)
        said = self.ok("inspect", "m").stdout.decode()
        self.assertIn("mamba1, pool 4 (mamba1, pool 2 (mamba1), mamba1), mamba1", said)
        heard = self.path("clips/two/1.wav")
        args = ["-m", "m", *RAW, "--set", "model.duration=30ms", "--set", "model.num_samples=3"]
        whole = self.ok("run", ON, "-i", heard, *args).stdout
        self.assertEqual(len(whole), 3 * 2 * 240)
        for chunk in ("1", "7", "300"):
            again = self.ok("run", ON, "-i", heard, *args, "--chunk", chunk).stdout
            self.assertTrue(again == whole, f"chunks of {chunk}")
        for more in ["--set", "model.num_samples=1"], ["--set", "model.num_samples=1", "--set", "model.guard=5ms"]:
            one = self.ok("run", ON, "-i", heard, *args, *more, "-@", "1").stdout
            for threads in ("2", "3"):  # the layers at lower rates on a thread of their own
                again = self.ok("run", ON, "-i", heard, *args, *more, "-@", threads).stdout
                self.assertTrue(len(again) == 2 * 240 and again == one, f"{threads} threads")
        v = json.loads(self.ok("bench", "-m", "m", "--work", "decode", "--seconds", "0", "--json").stdout)
        r = v["results"][0]
        self.assertLess(abs(r["rtf"] * r["tokens_per_s"] / 8000 - 1), 0.01)
        self.fails(78, "run", ON, "-i", heard, *args, "--set", "model.rate_scale=2", says="mixer 'pool'")

    def test_another_rate(self):
        """Scaled time steps: the reader gives the rate divided by it, and what is made has that rate."""
        scaled = ["--set", "model.rate_scale=2", "--set", "model.duration=20ms"]
        self.ok("run", NEW, "-q", "-o", "new.wav", "--set", "model.count=1", *scaled)
        with wave.open(self.path("new.wav"), "rb") as w:
            self.assertEqual((w.getframerate(), w.getnframes()), (4000, 80))
        write_wav(self.path("low.wav"), [0.1] * 400, rate=4000)
        said = self.ok("run", ON, "-i", "low.wav", "-o", "on.wav", *scaled).stderr.decode()
        self.assertNotIn("resampl", said)
        said = self.ok("run", ON, "-i", "low.wav", "-o", "plain.wav", "--set", "model.duration=20ms").stderr.decode()
        self.assertIn("resampl", said)
        self.fails(78, "run", ON, "-i", "low.wav", *RAW, *scaled, "--set", "reader.rate=8000", says="rate_scale")
        self.fails(78, "run", NEW, *RAW, "--set", "model.rate_scale=0", says="0.01..100")


if __name__ == "__main__":
    unittest.main()
