#!/usr/bin/env python3
"""From folders of recordings to a classifier and what it says, as a user would run it."""
import math
import wave

from support import *

CLASSES = ["hiss", "high", "low"]
SMALL = ["--set", "model.init=share:configs/model/audio-3x48.yaml", "--set", "train.window=64", "--set", "train.batch_tokens=1024", "--set", "train.split.held_out=0.2",
         "--set", "codec={plugin: frames, width: 64, hop: 64}", "--set", "train.schedule.warmup=5", "-q"]


def tone(kind, rng, rate=8000, seconds=0.25):
    f = {"high": 1500, "low": 300}.get(kind, 0) * rng.uniform(0.95, 1.05)
    loud, phase = rng.uniform(0.1, 0.5), rng.uniform(0, 6)
    n = int(seconds * rate * rng.uniform(0.7, 1.3))
    return [loud * (rng.uniform(-1, 1) if kind == "hiss" else math.sin(phase + 2 * math.pi * f * i / rate))
            + rng.gauss(0, 0.003) for i in range(n)]


def write_wav(path, samples, rate=8000):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wave.open(path, "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes(b"".join(struct.pack("<h", max(-32768, min(32767, int(v * 32767)))) for v in samples))


class Sound(Scratch):
    def setUp(self):
        super().setUp()
        rng = random.Random(3)
        for kind in CLASSES:
            for i in range(16):
                write_wav(self.path(f"clips/{kind}/{i}.wav"), tone(kind, rng))
            for i in range(4):
                write_wav(self.path(f"fresh/{kind}/{i}.wav"), tone(kind, rng))

    def train(self, out, *more, steps=60, **kw):
        clips = [] if "-i" in more else ["-i", "clips"]
        return self.ok("train", "share:configs/train/audio-classify.yaml", *clips, "-o", out, *SMALL, "--set",
                       f"train.steps={steps}", *more, **kw)

    def classify(self, *more):
        text = self.ok("run", "share:pipelines/audio/classify.yaml", "-q", *more).stdout.decode()
        lines = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
        return [dict(zip(lines[0], row)) for row in lines[1:]]

    def test_daily_job(self):
        r = self.train("m", timeout=300)
        table = r.stdout.decode().splitlines()
        self.assertEqual(table[0].split("\t"), ["truth"] + sorted(CLASSES, key=str))
        with open(self.path("m/preprocessor_config.json")) as f:
            front = json.load(f)
        self.assertEqual(front["sampling_rate"], 8000)
        self.assertEqual(front["mambaseq_codec"], "frames")
        self.assertEqual(front["mambaseq_codec_params"], {"width": 64, "hop": 64, "gain": 1})
        self.assertEqual(front["mambaseq_channels"], "mix")
        # fresh clips, the pipeline as it is shipped, the codec from the model's folder
        rows = self.classify("-i", "fresh", "-m", "m")
        self.assertEqual(len(rows), 12)
        self.assertTrue(all(row["truth"] in row["source"] for row in rows))
        right = sum(row["label"] == row["truth"] for row in rows)
        self.assertGreaterEqual(right, 11, rows)
        # recordings of another rate become the model's
        rng = random.Random(5)
        write_wav(self.path("other/low.wav"), tone("low", rng, 16000), 16000)
        row = self.classify("-i", "other/low.wav", "-m", "m")[0]
        self.assertEqual(row["label"], "low")
        self.chunks()
        self.long_recording()
        self.shipped_pages()
        self.contradictions()
        self.bad_inputs()

    def chunks(self):
        """The same bytes for any chunk and number of threads."""
        seen = set()
        args = ["run", "share:pipelines/audio/classify.yaml", "-q", "-i", "fresh", "-m", "m", "--force"]
        for chunk, threads in ((1, 1), (7, 2), (4096, 1), (65536, 2)):
            cut = ["--chunk", str(chunk), "-@", str(threads)]
            text = self.ok(*args, *cut).stdout
            self.ok(*args, *cut, "--set", "model={path: m, task: embed, pool: none}", "--set",
                    "writer={plugin: table, path: e.tsv}", "--chunk", str(chunk))
            seen.add((hashlib.sha256(text).hexdigest(), digest(self.path("e.tsv"))))
        self.assertEqual(len(seen), 1)

    def long_recording(self):
        """A row for each piece, whatever the chunk; the state goes on, so a stop between two of them cannot be seen."""
        rng = random.Random(9)
        parts = ["low", "hiss", "high", "low"]
        samples = []
        for kind in parts:
            samples += (tone(kind, rng) * 4)[:8000]
        write_wav(self.path("long/day.wav"), samples + samples[:500])
        args = ["-i", "long", "-m", "m", "--set", "model.every=500ms"]
        rows = self.classify(*args)
        self.assertEqual(len(rows), 9)
        self.assertEqual(float(rows[0]["start"]), 0)
        self.assertEqual(float(rows[-1]["end"]), 4.0625)
        for a, b in zip(rows, rows[1:]):
            self.assertEqual(a["end"], b["start"])
            self.assertLess(float(b["start"]) % 0.5, 0.008)  # at the first frame that reaches it
        for chunk, threads in ((1, 1), (7, 2), (4096, 2)):
            self.assertEqual(self.classify(*args, "--chunk", str(chunk), "-@", str(threads)), rows)
        # the second half of each second is one sound alone: the model says which
        self.assertGreaterEqual(sum(rows[2 * i + 1]["label"] == kind for i, kind in enumerate(parts)), 3, rows)
        self.fails(78, "run", "share:pipelines/audio/classify.yaml", *args, "--set", "model.every=10us", says="every")
        self.fails(78, "run", "share:pipelines/audio/classify.yaml", *args, "--set", "model.task=embed",
                   says="'every' belongs to task classify")

    def shipped_pages(self):
        """What `train` made runs in label.yaml and embed.yaml as they are."""
        label = ["run", "share:pipelines/audio/label.yaml", "-q", "-m", "m", "--force"]
        self.ok(*label, "-i", "long/day.wav", "-o", "day.txt")
        with open(self.path("day.txt")) as f:
            track = [line.rstrip("\n").split("\t") for line in f]
        self.assertTrue(all(len(row) == 3 and float(row[0]) < float(row[1]) and row[2] in CLASSES for row in track), track)
        with open(self.path("day.probabilities.tsv")) as f:
            rows = f.read().splitlines()
        self.assertEqual(len(rows), 1 + 9)
        # the same from a pipe of a length that nobody knows
        piped = self.ok(*label, "-i", "-", "-o", "piped.txt", stdin=self.unknown_length("long/day.wav"))
        self.assertNotIn(b"error", piped.stderr)
        self.assertEqual(digest(self.path("piped.txt")), digest(self.path("day.txt")))
        import h5py
        self.ok("run", "share:pipelines/audio/embed.yaml", "-q", "-i", "fresh", "-m", "m", "-o", "e.h5")
        with h5py.File(self.path("e.h5")) as f:
            self.assertEqual(f["embedding"].shape, (12, 48))
        write_wav(self.path("two.wav"), [0.1, -0.1])
        r = self.ok("run", "share:pipelines/audio/classify.yaml", "-i", "two.wav", "-m", "m")
        self.assertIn("has 2 samples, fewer than the 64 that a row looks at", r.stderr.decode())
        self.fails(65, "eval", "share:pipelines/audio/classify.yaml", "-i", "two.wav", "-m", "m", says="a folder for each class")

    def unknown_length(self, name):
        with open(self.path(name), "rb") as f:
            data = f.read()
        return data[:40] + struct.pack("<I", 0xffffffff) + data[44:]

    def contradictions(self):
        run = ["run", "share:pipelines/audio/classify.yaml", "-i", "fresh", "-m", "m"]
        self.fails(78, *run, "--set", "reader.rate=16000", says=("'rate' is 16000", "trained with 8000"))
        self.fails(78, *run, "--set", "reader.channels=left", says=("'channels' is left", "trained with mix"))
        self.fails(78, *run, "--set", "codec={plugin: frames, hop: 32}", says=("'hop' is 32", "trained with 64"))
        self.fails(78, *run, "--set", "codec={plugin: frames, hop: 64}", "--set", "model.task=score", says="task score")
        self.ok(*run, "-q", "--set", "codec={plugin: frames, hop: 64}", "--set", "reader.rate=8000")  # the same said twice
        shipped = ["run", "share:pipelines/audio/classify.yaml", "-i", "fresh", "--set"]  # what has no default is not in a folder
        self.fails(78, *shipped, "codec={plugin: logmel, high: 3000}", says=("'high' is 3000", "trained without it"))
        self.ok(*shipped, "codec={plugin: logmel, bands: 40}", "-q")
        self.fails(78, "run", "share:pipelines/genomics/score.yaml", "-m", "m", "-o", "x.h5",
                   says=("trained on pcm/f32 with codec 'frames'", "gives bases/u8: take another model"))
        self.fails(78, "train", "share:configs/train/audio-classify.yaml", "-i", "clips", "-o", "n", *SMALL, "--set",
                   "codec.width=32", says=("frames of 32 numbers", "the model takes 64"))

    def bad_inputs(self):
        def float_wav(name, values):
            data = struct.pack(f"<{len(values)}f", *values)
            self.write(name, b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " +
                       struct.pack("<IHHIIHH", 16, 3, 1, 8000, 32000, 4, 32) + b"data" + struct.pack("<I", len(data)) + data)
        run = ["run", "share:pipelines/audio/classify.yaml", "-q", "-m", "m"]
        float_wav("nan.wav", [0.1] * 70 + [math.nan] + [0.1] * 70)
        self.fails(65, *run, "-i", "nan.wav")
        write_wav(self.path("none.wav"), [])
        self.run_(*run, "-i", "none.wav")  # no samples: words or a row without numbers, and no crash
        self.assertIn(self.run_(*run, "-i", "none.wav").returncode, (0, 65))
        with open(self.path("m/preprocessor_config.json")) as f:
            text = f.read()
        self.write("m/preprocessor_config.json", text.replace('"frames"', '"nothing"'))
        self.fails(69, *run, "-i", "fresh", says="nothing")
        self.write("m/preprocessor_config.json", text.replace('"hop"', '"hopp"'))
        self.fails(78, *run, "-i", "fresh", says="'hopp' is not a parameter of this version")
        self.write("m/preprocessor_config.json", "{")
        self.fails(78, *run, "-i", "fresh", says="preprocessor_config.json")
        self.write("m/preprocessor_config.json", text)

    def test_label_tracks_and_speakers(self):
        """Labels of Audacity as input: pieces of a long recording, held out by file or by who it is of."""
        rng = random.Random(4)
        for who in ("ann", "bob", "cid", "dee"):
            samples, track, at = [], "\ufeff", 0.0
            for i in range(9):
                kind = CLASSES[i % 3]
                part = (tone(kind, rng) * 2)[:2400]
                samples += [0] * 800 + part
                track += f"{at + 0.1:.4f}\t{at + 0.1 + len(part) / 8000:.4f}\t{kind}\r\n" + ("\\\t1\t2\n" if i == 3 else "")
                at += 0.1 + len(part) / 8000
            write_wav(self.path(f"day/{who}_1.wav"), samples)
            self.write(f"day/{who}_1.txt", track + "1.0\t1.0\tpoint\n")
        how = ["-i", "day", "--set", "reader.label=track", "--set", "train.split.by=speaker", "--set",
               "reader.speaker=/([a-z]+)_1[.]wav$"]
        r = self.train("m", *how, steps=40)
        rows = [line.split("\t") for line in r.stdout.decode().splitlines()]
        self.assertEqual(rows[0], ["truth"] + sorted(CLASSES))
        self.assertEqual([sum(map(int, row[1:])) for row in rows[1:]], [3, 3, 3])  # one speaker, whole
        bad = ["train", "share:configs/train/audio-classify.yaml", "-o", "x", *SMALL, "--set", "train.steps=9"]
        self.fails(65, *bad, "-i", "clips", "--set", "train.split.by=speaker", says=("no speaker of it is known", "reader.speaker"))
        self.fails(78, *bad, "-i", "clips", "--set", "train.split.by=speakr", says="speakr")
        self.fails(66, *bad, "-i", "clips", "--set", "reader.label=track", says="there is no")
        self.fails(78, *bad, "-i", "day", "--set", "reader.label=track", "--set", "reader.start=1", says="the labels say where")
        self.write("day/ann_1.txt", "0.1\t0.2\n")
        self.fails(65, *bad, *how[:4], says="ann_1.txt:1: no start, end and label")
        self.write("day/ann_1.txt", "0.1\t99\tlow\n99.5\t100\tlow\n")
        self.fails(65, *bad, *how[:4], says="nothing is left")
        self.write("list.tsv", "path\tlabel\tstart\tduration\tspeaker\n" + "".join(
            f"day/{who}_1.wav\t{kind}\t{0.1 + 0.4 * i}\t0.3\t{who}\n" for who in ("bob", "cid", "dee")
            for i, kind in enumerate(CLASSES)))
        text = self.ok("run", "share:pipelines/audio/classify.yaml", "-q", "-m", "m", "-i", "list.tsv").stdout.decode()
        self.assertEqual([line.split("\t")[-1] for line in text.splitlines()[1:]], CLASSES * 3)

    @unittest.skipUnless(shutil.which("fluidsynth") and os.path.exists("/usr/share/sounds/sf2/TimGM6mb.sf2"), "no fluidsynth")
    def test_piano_is_the_same_each_time(self):
        for name in ("one", "two"):
            subprocess.run([sys.executable, os.path.join(SOURCE, "share", "data", "piano.py"), name, "--minutes", "0.5", "--rate", "8000"],
                           cwd=self.dir, check=True, stdout=subprocess.DEVNULL)
        for part in ("train/0000.wav", "train/0000.tsv", "test/0000.wav"):
            self.assertEqual(digest(self.path("one/" + part)), digest(self.path("two/" + part)))
        self.assertNotEqual(digest(self.path("one/train/0000.wav")), digest(self.path("one/test/0000.wav")))
        r = self.ok("run", "share:pipelines/audio/codec-roundtrip.yaml", "-i", "one/train", "-o", "back.wav", "--set", "reader.rate=8000")
        self.assertIn("1 record, 240,000 samples", r.stderr.decode())
        with wave.open(self.path("one/train/0000.wav")) as w:
            self.assertGreater(max(struct.unpack("<240000h", w.readframes(240000))), 2000)

    def test_labels_do_not_show_how_sound_was_cut(self):
        """Resampled, mel energies, the shipped model, events and probabilities: the same bytes for every chunk and thread count."""
        seen = set()
        for chunk in ("1", "7", "4096", "1000000"):
            for threads in ("1", "2"):
                self.ok("run", "share:pipelines/audio/label.yaml", "-q", "--force", "-o", "l.txt", "--chunk", chunk, "-@", threads)
                seen.add((digest(self.path("l.txt")), digest(self.path("l.probabilities.tsv"))))
        self.assertEqual(len(seen), 1)

    @unittest.skipIf(SANITIZED, "a sanitizer keeps what was freed")
    def test_memory_does_not_grow_with_a_recording(self):
        """Ten minutes of sound out of a pipe, labelled by streaming state, take no more than twenty seconds of it."""
        rng = random.Random(8)
        second = struct.pack("<8000h", *(rng.randrange(-9000, 9000) for _ in range(8000)))
        most = []
        for seconds in (20, 600):
            p = self.start_reading("run", "share:pipelines/audio/label.yaml", "-q", "-i", "-", "-o", f"{seconds}.txt", "--set",
                                   "reader.format=s16le", "--set", "reader.input_rate=8000", "--set",
                                   f"writer.table.path={seconds}.tsv")
            for _ in range(seconds):
                p.stdin.write(second)
            p.stdin.close()
            _, status, used = os.wait4(p.pid, 0)
            self.assertEqual(status, 0)
            p.returncode = 0
            most.append(used.ru_maxrss)
            with open(self.path(f"{seconds}.tsv")) as f:
                self.assertEqual(len(f.readlines()), 1 + 2 * seconds)
        self.assertLess(most[1], most[0] * 1.05, most)

    def start_reading(self, *args):
        env = {k: v for k, v in os.environ.items() if not k.startswith("MAMBASEQ_")}
        env["MAMBASEQ_DEVICE"] = "cpu"
        return subprocess.Popen([BINARY, *args], cwd=self.dir, env=env, stdin=subprocess.PIPE)

    def test_resumed_training_ends_with_the_same_bytes(self):
        whole = ["--set", "train.steps=40", "--set", "train.checkpoint.every=5"]
        self.train("a", *whole)
        p = self.start("train", "share:configs/train/audio-classify.yaml", "-i", "clips", "-o", "b", *SMALL, *whole)
        end = time.monotonic() + 60
        while p.poll() is None and time.monotonic() < end and not any("b" in n and n.startswith(".") for n in os.listdir(self.dir)):
            time.sleep(0.01)
        p.terminate()
        p.communicate()
        self.assertIn(p.returncode, (0, 75))
        self.train("b", *whole, "--resume")
        self.assertEqual(digest(self.path("a/model.safetensors")), digest(self.path("b/model.safetensors")))


if __name__ == "__main__":
    unittest.main()
