#!/usr/bin/env python3
"""Varied copies of recordings: what each knob does, the same bytes however they are cut, and that none of them is ever scored."""
import array
import wave

from support import *

PIPE = "mambaseq: 1\nreader: {plugin: audio, path: in}\nwriter: {plugin: table, path: out.jsonl}\n"
OFF = dict(speed=0, shift=0, band=0, snr=200, gain=0, channel=0)
RATE = 8000


def write_wav(path, samples, rate=RATE):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wave.open(path, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(array.array("h", samples).tobytes())


def tone(hz, n=4000, loud=8000):
    return [round(loud * math.sin(2 * math.pi * hz * i / RATE)) for i in range(n)]


def power(x):
    return sum(v * v for v in x) / len(x)


class Augment(Scratch):
    def setUp(self):
        super().setUp()
        self.write("p.yaml", PIPE)
        write_wav(self.path("in/a.wav"), tone(440))

    def copies(self, n, *more, **knobs):
        sets = [x for k, v in {**OFF, **knobs}.items() for x in ("--set", f"reader.augment_{k}={v}")]
        self.ok("run", "p.yaml", "--force", "-q", "--set", f"reader.augment={n}", *sets, *more)
        records = []
        with open(self.path("out.jsonl")) as f:
            for line in f:
                row = json.loads(line)
                if row["start"] == 0:
                    records.append([])
                records[-1] += row["values"]
        self.assertEqual(len(records), n + 1)
        return records

    def test_every_knob_by_its_numbers(self):
        plain = [v / 32768 for v in tone(440)]
        same = self.copies(2)
        self.assertTrue(max(abs(a - b) for a, b in zip(same[0], plain)) < 1e-7 and len(same[0]) == 4000)
        self.assertLess(max(abs(a - b) for a, b in zip(same[1][50:-50], plain[50:-50])), 1e-5)
        seen = set()
        for x in self.copies(8, gain=6)[1:]:
            db = 10 * math.log10(power(x) / power(plain))
            self.assertTrue(-6 <= db <= 6, db)
            seen.add(round(db, 3))
        self.assertEqual(len(seen), 8)
        for x in self.copies(6, snr=5)[1:]:
            db = 10 * math.log10(power(plain) / power([a - b for a, b in zip(x, plain)]))
            self.assertTrue(4 < db < 36, db)  # 5 to 35, as far as 4,000 samples say it
        lengths = [len(x) for x in self.copies(8, speed=0.2)[1:]]
        self.assertTrue(all(4000 / 1.2 - 1 <= n <= 4000 * 1.2 + 1 for n in lengths), lengths)
        self.assertTrue(min(lengths) < 3900 and max(lengths) > 4100, lengths)
        for x in self.copies(6, shift="100ms")[1:]:
            lead = len(x) - 4000
            self.assertTrue(0 <= lead <= 800)
            self.assertLess(power(x[:lead]) if lead else 0, 1e-18)
            self.assertAlmostEqual(power(x[lead:]), power(plain), delta=1e-4)
        # a telephone: nothing below 300 Hz comes through, 1 kHz does
        for hz, low, high in ((60, -99, -12), (1000, -1.5, 0.5)):
            write_wav(self.path("in/a.wav"), tone(hz))
            x = self.copies(1, channel=1)[1]
            db = 10 * math.log10(power(x[500:]) / power([v / 32768 for v in tone(hz)[500:]]))
            self.assertTrue(low < db < high, (hz, db))
        write_wav(self.path("in/a.wav"), tone(3900))
        self.assertTrue(all(power(x[500:]) < 0.25 * power([v / 32768 for v in tone(3900)]) for x in self.copies(3, band=1)[1:]))
        write_wav(self.path("in/a.wav"), tone(440, loud=32767))
        for x in self.copies(6, gain=20, snr=10)[1:]:
            self.assertLessEqual(max(abs(v) for v in x), 1)  # louder, and never clipped

    def test_no_cut_shows(self):
        write_wav(self.path("in/b.wav"), [v * 3 for v in tone(700, 900, 5000)])
        self.write("w.yaml", PIPE.replace("table, path: out.jsonl", "audio, path: out.wav, encoding: f32le"))
        run = ["run", "w.yaml", "--force", "-q", "--set", "reader.augment=2", "--set", "reader.rate=11025"]
        seen = set()
        for cut in (["1", "1"], ["7", "2"], ["4096", "1"], ["1000000", "2"]):
            self.ok(*run, "--chunk", cut[0], "-@", cut[1])
            seen.add(digest(self.path("out.wav")))
        self.assertEqual(len(seen), 1)
        self.ok(*run, "--set", "reader.augment_seed=2")
        self.assertNotIn(digest(self.path("out.wav")), seen)
        # a copy depends on its recording alone, not on what stands beside it
        rows = {}
        for names in (["a"], ["a", "b"]):
            self.ok("run", "p.yaml", "--force", "-q", "--set", "reader.augment=1", "--set",
                    "reader.path=[" + ", ".join(f"in/{n}.wav" for n in names) + "]")
            with open(self.path("out.jsonl")) as f:
                rows[len(names)] = [line.replace("in/", "") for line in f if '"name":"a"' in line.replace(" ", "")]
        self.assertGreater(len(rows[1]), 4000)
        self.assertTrue(rows[1] == rows[2])

    def test_copies_are_learnt_from_and_never_scored(self):
        rng = random.Random(2)
        for k, kind in enumerate(("low", "high")):
            for i in range(10):
                write_wav(self.path(f"d/{kind}/{i}.wav"), tone(rng.uniform(300, 400) * (1 + 4 * k), 2000))
        train = ["train", "share:configs/train/audio-classify.yaml", "-i", "d", "-q", "--set", "train.window=64", "--set",
                 "train.batch_tokens=640", "--set", "train.steps=4", "--set", "train.split.held_out=0.2", "--set",
                 "train.schedule.warmup=2"]
        counts = {}
        for n in (0, 2):
            r = self.ok(*train, "-o", f"m{n}", "--set", f"reader.augment={n}")
            rows = [line.split("\t") for line in r.stdout.decode().splitlines()]
            counts[n] = sum(int(v) for row in rows[1:] for v in row[1:])
        self.assertEqual(counts, {0: 4, 2: 4})
        self.ok(*train, "-o", "again", "--set", "reader.augment=2", "-@", "2")
        self.assertEqual(digest(self.path("m2/model.safetensors")), digest(self.path("again/model.safetensors")))
        with open(self.path("m2/recipe.yaml")) as f:
            self.assertIn("augment: 2", f.read())
        # the model hears as one without copies does: a pipeline does not vary
        self.ok("run", "share:pipelines/audio/classify.yaml", "-q", "-i", "d", "-m", "m2")
        self.fails(78, "train", "share:configs/train/audio-lm.yaml", "-i", "d", "-o", "x", "--set", "reader.augment=2",
                   says=["the loss is causal", "leave augment out"])

    def test_what_is_refused(self):
        self.fails(78, "run", "p.yaml", "--set", "reader.augment_snr=3", says=["augment_snr", "augment is 0"])
        self.fails(78, "run", "p.yaml", "--set", "reader.augment=2", "--set", "reader.augment_speed=3", says="0..1")
        self.fails(78, "run", "p.yaml", "--set", "reader.augment=2", "--set", "reader.augment_sneed=3", says="augment_sneed")
        with open(self.path("in/a.wav"), "rb") as f:
            sound = f.read()
        self.fails(78, "run", "p.yaml", "-i", "-", "--set", "reader.augment=2", stdin=sound, says="read several times")


if __name__ == "__main__":
    unittest.main()
