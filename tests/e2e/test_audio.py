#!/usr/bin/env python3
"""Recordings: files, folders, manifests, streams; the chunk law through the resampler; what is wrong with them."""
import array
import hashlib
import math


from support import *

SOUND = os.path.join(SOURCE, "share", "data", "chirps.wav")
PIPE = "mambaseq: 1\nreader: {plugin: audio, path: in.wav}\nwriter: {plugin: table, path: out.jsonl}\n"


def wav(samples, rate=16000, channels=1, kind="h", told=None):
    """A WAV file of 16-bit (kind h) or float (f) samples; `told`: what the header says of its size instead."""
    data = array.array(kind, samples).tobytes()
    n = len(data) if told is None else told
    size = array.array(kind).itemsize
    return (b"RIFF" + struct.pack("<I", min(36 + n, 0xffffffff)) + b"WAVEfmt " +
            struct.pack("<IHHIIHH", 16, 3 if kind == "f" else 1, channels, rate, rate * channels * size, channels * size,
                        8 * size) + b"data" + struct.pack("<I", n) + data)


def f32(values):
    """As the numbers of a table are meant: the nearest float."""
    return list(array.array("f", values))


def tone(n, rate, hz=440, amplitude=12000):
    return [round(amplitude * math.sin(2 * math.pi * hz * i / rate)) for i in range(n)]


class Audio(Scratch):
    def setUp(self):
        super().setUp()
        self.write("p.yaml", PIPE)

    def values(self, *more, **kw):
        """name -> list of rows, of what the reader gives."""
        self.ok("run", "p.yaml", "--force", *more, **kw)
        out = {}
        with open(self.path("out.jsonl")) as f:
            for line in f:
                row = json.loads(line)
                out.setdefault(row["name"], []).append(f32(row["values"]))
        return out

    def one(self, *more, **kw):
        return [v[0] for v in list(self.values(*more, **kw).values())[0]]

    def test_numbers(self):
        self.write("in.wav", wav([0, 16384, -32768, 32767]))
        self.assertEqual(self.one(), [0, 0.5, -1, 32767 / 32768])
        stereo = [1000, 3000, -2000, 2000, 32767, -32768]
        self.write("in.wav", wav(stereo, channels=2))
        left, right = stereo[::2], stereo[1::2]
        self.assertEqual(self.one("--set", "reader.channels=left"), [v / 32768 for v in left])
        self.assertEqual(self.one("--set", "reader.channels=2"), [v / 32768 for v in right])
        self.assertEqual(self.one(), f32([(a + b) / 65536 for a, b in zip(left, right)]))
        both = self.values("--set", "reader.channels=each")
        self.assertEqual({k: [v[0] * 32768 for v in rows] for k, rows in both.items()}, {"in:1": left, "in:2": right})
        rows = self.values("--set", "reader.channels=all")["in"]
        self.assertEqual([v * 32768 for row in rows for v in row], stereo)
        self.fails(65, "run", "p.yaml", "--set", "reader.channels=3", "--force", says="no channel 3, it has 2")

    def test_layouts_of_raw_samples(self):
        for name, data in [("s16le", struct.pack("<3h", 0, 8192, -32768)), ("s16be", struct.pack(">3h", 0, 8192, -32768)),
                           ("u8", bytes([128, 160, 0])), ("s8", struct.pack("3b", 0, 32, -128)),
                           ("s24le", b"\0\0\0" + b"\0\0\x20" + b"\0\0\x80"), ("s32be", struct.pack(">3i", 0, 1 << 29, -1 << 31)),
                           ("f32le", struct.pack("<3f", 0, 0.25, -1)), ("f64be", struct.pack(">3d", 0, 0.25, -1))]:
            args = ["--set", f"reader.format={name}", "--set", "reader.input_rate=8000"]
            self.write("in.wav", data)
            self.assertEqual(self.one(*args), [0, 0.25, -1], name)
            self.assertEqual(self.one(*args, "-i", "-", stdin=data), [0, 0.25, -1], name)
        self.fails(65, "run", "p.yaml", "-i", "-", "--force", *args, stdin=data[:-3],
                   says=["middle of a sample", "5 bytes of a frame of 8", "after 2 frames"])
        self.fails(65, "run", "p.yaml", "-i", "-", "--force", *args, stdin=b"", says="no sample")
        self.fails(78, "run", "p.yaml", "-i", "-", "--force", "--set", "reader.format=s16le", stdin=data, says="input_rate")
        self.fails(78, "run", "p.yaml", "--force", "--set", "reader.input_rate=8000", says="format is auto")

    def test_chunk_law_through_the_resampler(self):
        shutil.copyfile(SOUND, self.path("in.wav"))
        with open(SOUND, "rb") as f:
            sound = f.read()
        for rate in ("11025", "44100", "auto"):
            seen = set()
            for chunk, threads in (("65536", "1"), ("4096", "2"), ("7", "1")):
                self.ok("run", "p.yaml", "--force", "--set", f"reader.rate={rate}", "--chunk", chunk, "--threads", threads)
                with open(self.path("out.jsonl"), "rb") as f:
                    seen.add(hashlib.sha256(f.read()).digest())
            self.assertEqual(len(seen), 1, rate)
            want = self.one("--set", f"reader.rate={rate}")
            self.assertEqual(self.one("--set", f"reader.rate={rate}", "--chunk", "1", "--set", "reader.duration=0.05"),
                             self.one("--set", f"reader.rate={rate}", "--set", "reader.duration=0.05"))
            self.assertEqual(self.one("--set", f"reader.rate={rate}", "-i", "-", stdin=sound), want)
        self.assertEqual(len(self.one("--set", "reader.rate=8000")), 20000)

    def test_resampling_keeps_a_tone(self):
        self.write("in.wav", wav(tone(44100, 44100), rate=44100))
        r = self.ok("run", "p.yaml", "--force", "--set", "reader.rate=16000")
        self.assertEqual(r.stderr.decode().count("44100 Hz, resampled to 16000 Hz"), 1)
        got = self.one("--set", "reader.rate=16000")
        self.assertEqual(len(got), 16000)
        worst = max(abs(got[i] - 12000 / 32768 * math.sin(2 * math.pi * 440 * i / 16000)) for i in range(1000, 15000))
        self.assertLess(worst, 1e-4)

    def test_pieces(self):
        samples = list(range(-8000, 8000))
        self.write("in.wav", wav(samples, rate=8000))
        self.assertEqual([v * 32768 for v in self.one("--set", "reader.start=500ms", "--set", "reader.duration=0.001")],
                         samples[4000:4008])
        with open(self.path("out.jsonl")) as f:
            self.assertEqual(json.loads(f.readline())["start"], 0.5)
        self.assertEqual(len(self.one("--set", "reader.start=1.5", "--set", "reader.duration=9")), 4000)
        self.fails(65, "run", "p.yaml", "--force", "--set", "reader.start=2", says="nothing is left of 2.000 s")

    def test_folders_and_manifests(self):
        for i, name in enumerate(["cat/b.wav", "cat/a.wav", "dog/c.wav", "dog/notes.txt"]):
            os.makedirs(os.path.dirname(self.path("d/" + name)), exist_ok=True)
            self.write("d/" + name, wav([i + 1] * 800, rate=8000))
        self.write("p.yaml", PIPE.replace("table", "hdf5").replace("out.jsonl", "out.h5"))
        self.write("q.yaml", PIPE)
        r = self.ok("run", "q.yaml", "-i", "d")
        with open(self.path("out.jsonl")) as f:
            rows = [json.loads(line) for line in f]
        self.assertEqual([(r["name"], round(r["values"][0] * 32768)) for r in rows[::800]], [("a", 2), ("b", 1), ("c", 3)])
        self.ok("run", "q.yaml", "-i", "d/*/*.wav", "--force")
        self.write("m.tsv", "path\tstart\tlabel\tduration\nd/cat/b.wav\t0.05\tmiau\t0.01\nd/dog/c.wav\t.\twuff\t\n")
        got = None
        self.ok("run", "q.yaml", "-i", "m.tsv", "--force")
        with open(self.path("out.jsonl")) as f:
            got = [json.loads(line) for line in f]
        self.assertEqual([(g["name"], g["start"]) for g in (got[0], got[80])], [("b", 0.05), ("c", 0)])
        self.assertEqual(len(got), 880)
        with open(self.path("m.tsv")) as f:
            self.write("excel.tsv", "\ufeff" + f.read().replace("\n", "\r\n"))  # as spreadsheets write it
        self.ok("run", "q.yaml", "-i", "excel.tsv", "--force")
        with open(self.path("out.jsonl")) as f:
            self.assertEqual([json.loads(line) for line in f], got)
        for text, says in [("file\nx.wav\n", "no column 'path'"), ("path\tstart\nd/cat/b.wav\tsoon\n", "m.tsv:2: start"),
                           ("path\tlabel\nd/cat/b.wav\n", "1, the first line 2"), ("path\n", "without a recording"),
                           ("path\tstart\nd/cat/b.wav\t1e300\n", "m.tsv:2: start is too late: '1e300'"),
                           ("path\tduration\nd/cat/b.wav\t2e9\n", "m.tsv:2: duration is too long: '2e9'"),
                           ("path\tlabel\nd/cat/b.wav\t\n", "empty label")]:
            self.write("m.tsv", text)
            self.fails(65, "run", "q.yaml", "-i", "m.tsv", "--force", says=says)
        self.write("m.tsv", "path\nd/none.wav\n")
        self.fails(66, "run", "q.yaml", "-i", "m.tsv", "--force", says="d/none.wav")
        self.write("d/cat/b.wav", wav([1] * 10, rate=16000))
        self.fails(65, "run", "q.yaml", "-i", "d", "--force", says=["8000 Hz", "16000 Hz", "rate: 8000"])
        self.write("d/loose.wav", wav([1] * 10))
        self.fails(65, "run", "q.yaml", "-i", "d", "--force", says="sounds and folders with sounds")

    def test_a_pipe_cannot_be_taken_up_again(self):
        os.mkfifo(self.path("f.wav"))
        os.mkdir(self.path("d"))
        self.write("d/a.wav", wav([1] * 10))
        self.write("q.yaml", PIPE)
        for path, says in (("f.wav", "resumable: no, an input is a device or a pipe"), ("d", "resumable: yes")):
            self.assertIn(says, self.ok("run", "q.yaml", "-i", path, "--dry-run").stdout.decode())

    def test_bad_headers(self):
        whole = wav(tone(8000, 8000), rate=8000)
        cases = [(whole[:9000], "7044 bytes of samples are missing"), (wav([]), "no sample"), (b"", "empty"),
                 (wav([1] * 100, rate=0), "rate"), (b"hello world, I am no sound", "ffmpeg -v error -i"),
                 (wav([0.5, float("nan")], kind="f"), "sample 2 (at 0.000063 s) is not a number"),
                 (wav([0.5, float("-inf")], kind="f"), "is infinite")]
        for data, says in cases:
            self.write("in.wav", data)
            if says == "rate":  # libsndfile says it in words of its own
                self.fails(65, "run", "p.yaml", "--force")
            else:
                self.fails(65, "run", "p.yaml", "--force", says=says)
        self.assertEqual(self.one("--set", "reader.nonfinite=zero"), [0.5, 0])
        self.fails(65, "run", "p.yaml", "-i", "-", "--force", stdin=whole[:9000], says="truncated: it ends after 4478 of 8000")
        self.fails(65, "run", "p.yaml", "-i", "-", "--force", stdin=wav([1] * 9, rate=0), says="0 Hz")
        self.fails(65, "run", "p.yaml", "-i", "-", "--force", stdin=whole[:30], says="damaged WAV header")
        self.fails(65, "run", "p.yaml", "-i", "-", "--force", stdin=b"#!AMR\n" * 40, says="ffmpeg -v error")
        for told in (0, 0x7ffff000, 0xffffffff):
            got = self.one("-i", "-", stdin=wav([1, 2, 3], told=told))
            self.assertEqual([v * 32768 for v in got], [1, 2, 3])
            self.write("in.wav", wav([1, 2, 3], told=told or 0xffffffff))
            self.assertEqual([v * 32768 for v in self.one()], [1, 2, 3])
        self.write("in.wav", wav(list(range(8 * 192)), rate=192000, channels=8))
        self.assertEqual(len(self.one("--set", "reader.rate=16000")), 16)

    def test_an_interrupt_ends_an_input_without_end(self):
        args = ["run", "p.yaml", "-i", "-", "--set", "reader.format=s16le", "--set", "reader.input_rate=8000",
                "--set", "reader.latency=20ms", "--set", "writer.path='-'", "--set", "writer.format=jsonl"]
        env = {k: v for k, v in os.environ.items() if not k.startswith("MAMBASEQ_")}
        p = subprocess.Popen([BINARY, *args], cwd=self.dir, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, bufsize=0)
        p.stdin.write(struct.pack("<4hb", 1, 2, 3, 4, 5))
        p.stdin.flush()
        p.stdin.write(struct.pack("<b2h", 0, 6, 7))
        p.stdin.flush()
        first = p.stdout.readline()  # comes while the input is open
        self.assertEqual(f32(json.loads(first)["values"]), [1 / 32768])
        time.sleep(0.3)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0, err)
        self.assertEqual([f32(json.loads(line)["values"])[0] * 32768 for line in (first + out).splitlines()],
                         [1, 2, 3, 4, 5, 6, 7])

    def test_an_interrupt_before_the_first_sample(self):
        """Of a pipe that nobody has opened for writing, and of one where nothing or half a header came."""
        os.mkfifo(self.path("fifo"))
        head = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data\xff\xff\xff\xff"
        env = {k: v for k, v in os.environ.items() if not k.startswith("MAMBASEQ_")}
        for path, sent in ("fifo", b""), ("-", b""), ("-", head[:30]), ("-", head):
            p = subprocess.Popen([BINARY, "run", "p.yaml", "-i", path, "-o", "o.tsv"], cwd=self.dir, env=env,
                                 stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
            p.stdin.write(sent)
            time.sleep(0.5)
            p.send_signal(signal.SIGINT)
            p.wait(timeout=60)
            err = p.stderr.read().decode()
            p.stdin.close()
            p.stderr.close()
            self.assertEqual(p.returncode, 65, err)
            self.assertIn("interrupted before its first sample", err)
            self.assertFalse(os.path.exists(self.path("o.tsv")))
        p = self.start("run", "p.yaml", "-i", "fifo", "-o", "o.tsv")  # whose writer comes later
        time.sleep(0.3)
        with open(SOUND, "rb") as sound, open(self.path("fifo"), "wb") as fifo:
            shutil.copyfileobj(sound, fifo)
        self.assertEqual(p.wait(timeout=60), 0, p.communicate())
        self.ok("run", "p.yaml", "-i", SOUND, "-o", "want.tsv")
        got, want = ([list(r.values())[2:] for r in self.rows(name)] for name in ("o.tsv", "want.tsv"))
        self.assertTrue(got == want and len(got) == 40000, (got[:2], want[:2]))

    def test_a_microphone(self):
        """Reader alsa on ALSA's plugin that takes a file for a device: the samples, a first interrupt, a device that is not there."""
        conf = "/usr/share/alsa/alsa.conf"
        if not os.path.exists(os.path.join(BUILD, "lib/mambaseq/plugins-1/mbsp_alsa.so")) or not os.path.exists(conf):
            self.skipTest("built without ALSA")
        data = struct.pack("<4000h", *tone(4000, 16000))
        self.write("in.raw", data)
        self.write("asoundrc", 'pcm.song { type file slave.pcm null file "/dev/null" infile "%s" format raw }\n' % self.path("in.raw"))
        env = {"ALSA_CONFIG_PATH": conf + ":" + self.path("asoundrc")}
        self.write("l.yaml", "mambaseq: 1\nreader: {plugin: alsa, path: song, duration: 125ms}\n"
                             "writer: {plugin: audio, path: '-', format: raw}\n")
        for chunk in ("1", "7", "65536"):
            self.assertEqual(self.ok("run", "l.yaml", "-q", "--chunk", chunk, env=env).stdout, data[:4000])
        self.fails(66, "run", "l.yaml", "-i", "nothing", env=env, says=("'nothing': cannot be opened", "arecord -L"))
        self.fails(78, "run", "l.yaml", "--set", "reader.duration=0", env=env, says="must lie between")
        p = self.start("run", "l.yaml", "--set", "reader={plugin: alsa, path: 'null'}", env=env)
        p.stdout.read(4000)  # the pipe holds it up from here on
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 0, err)
        self.assertGreater(len(out), 0)

    def test_there_and_back_and_what_is_written(self):
        shutil.copyfile(SOUND, self.path("in.wav"))
        with open(SOUND, "rb") as f:
            sound = f.read()
        self.write("c.yaml", "mambaseq: 1\nreader: {plugin: audio, path: in.wav}\ncodec: {plugin: pcm, bits: 16}\n"
                             "writer: {plugin: audio, path: out.wav}\n")
        made = set()
        for chunk in ("65536", "4096", "7"):
            self.ok("run", "c.yaml", "--chunk", chunk, "--force")
            with open(self.path("out.wav"), "rb") as f:
                made.add(f.read())
        self.assertEqual(len(made), 1)
        data = made.pop()
        self.assertIn(sound[44:], data)
        self.assertEqual(struct.unpack("<I", data[4:8])[0], len(data) - 8)
        self.assertIn(b"ICMT", data)
        self.ok("run", "p.yaml", "-i", "out.wav", "--force")
        piped = self.ok("run", "c.yaml", "-i", "-", "-o", "-", "-q", stdin=sound).stdout
        self.assertEqual((piped[:4], piped[4:8], piped[-len(sound) + 44:]), (b"RIFF", b"\xff" * 4, sound[44:]))
        for name in ("x.flac", "x.ogg", "x.raw", "y.wav"):
            seen = set()
            for chunk in ("65536", "7"):
                self.ok("run", "c.yaml", "-o", name, "--force", "--chunk", chunk, "--set", "writer.gain=0.5")
                with open(self.path(name), "rb") as f:
                    seen.add(f.read())
            self.assertEqual(len(seen), 1, name)
        want = [v / 2 for v in self.one()]
        for name, most in (("x.flac", 1 / 32768), ("x.ogg", 0.2), ("y.wav", 1 / 32768)):
            got = self.one("-i", name)
            self.assertEqual(len(got), 40000)
            self.assertLess(max(abs(a - b) for a, b in zip(got, want)), most, name)
        with open(self.path("x.flac"), "rb") as f:
            flac = f.read()
        self.assertEqual(self.one("-i", "-", stdin=flac), self.one("-i", "x.flac"))  # spooled

    @unittest.skipUnless(os.path.exists(os.path.join(BUILD, "lib", "mambaseq", "plugins-1", "mbsp_logmel.so")), "no kissfft")
    def test_logmel_against_its_formula(self):
        n, rate, width, bands = 700, 8000, 200, 10
        sound = [v / 32768 for v in tone(n, rate, 1000)]
        self.write("in.wav", wav(tone(n, rate, 1000), rate=rate))
        self.write("p.yaml", PIPE.replace("writer:", f"codec: {{plugin: logmel, bands: {bands}}}\nwriter:"))
        seen = [self.values("--chunk", chunk)["in"] for chunk in ("65536", "7", "1")]
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(seen[0], seen[2])
        self.assertEqual(len(seen[0]), 9)  # the last of them ends behind the sound
        top = 2595 * math.log10(1 + rate / 2 / 700)
        edge = [700 * (10 ** (top * b / (bands + 1) / 2595) - 1) for b in range(bands + 2)]
        for row in (0, 4, 8):
            end = (row + 1) * 80
            x = [(sound[end - width + i] if 0 <= end - width + i < n else 0) *
                 (0.5 - 0.5 * math.cos(2 * math.pi * i / width)) for i in range(width)]
            power = []
            for k in range(129):
                turn = [2 * math.pi * k * i / 256 for i in range(width)]
                power.append(sum(v * math.cos(t) for v, t in zip(x, turn)) ** 2 +
                             sum(v * math.sin(t) for v, t in zip(x, turn)) ** 2)
            for b in range(bands):
                energy = sum(p * max(0, min((k * rate / 256 - edge[b]) / (edge[b + 1] - edge[b]),
                                            (edge[b + 2] - k * rate / 256) / (edge[b + 2] - edge[b + 1])))
                             for k, p in enumerate(power))
                self.assertAlmostEqual(seen[0][row][b], math.log(1e-6 + energy), delta=2e-3)

    def test_the_shipped_pipeline(self):
        self.ok("run", "share:pipelines/audio/codec-roundtrip.yaml")
        got = self.one("-i", "heard.wav")
        want = self.one("-i", SOUND)
        noise = sum((a - b) ** 2 for a, b in zip(got, want)) / sum(v * v for v in want)
        self.assertLess(10 * math.log10(noise), -30)  # 256 levels of mu-law: some 38 dB below the sound

    def test_writer_refuses_and_counts(self):
        self.write("in.wav", wav([30000, -30000, 100]))
        self.write("c.yaml", PIPE.replace("table", "audio").replace("out.jsonl", "out.wav"))
        r = self.ok("run", "c.yaml", "--set", "writer.gain=2")
        self.assertIn("2 samples were clipped", r.stderr.decode())
        self.assertEqual([v * 32768 for v in self.one("-i", "out.wav")], [32767, -32768, 200])
        for sets, says in [("writer.encoding=f32be", "wav does not hold f32be"), ("writer.quality=0.5", "for ogg"),
                           ("writer.rate=8000", "rate is 8000 Hz, and what comes has 16000 Hz")]:
            self.fails(78, "run", "c.yaml", "--force", "--set", sets, says=says)
        for name in ("one.mp3", "one.m4a", "two.words.v2"):  # never another format under a name that promises one
            self.fails(78, "run", "c.yaml", "-o", name, says=("is no format that is written", "ffmpeg -i -"))
            self.assertFalse(os.path.exists(self.path(name)))
        self.ok("run", "c.yaml", "-o", "odd.v2", "--set", "writer.format=wav")
        self.write("seq.wav", ">chr1\nACGTACGT\n")
        self.fails(65, "run", "c.yaml", "-i", "seq.wav", "--force", says=("begins like FASTA", "share:pipelines/genomics"))
        r = self.run_("run", "c.yaml", "-i", "-", "--force", stdin=b"\1\2\3" * 999)
        self.assertIn("raw samples have no header: --set reader.format=s16le", r.stderr.decode())
        self.fails(78, "run", "c.yaml", "-o", "-", "--set", "writer.format=flac", says="needs a file")
        # rates that a format does not hold are not left to what its library says of them
        for rate, name, says in [(200010, "new.ogg", "OGG"), (655360, "new.flac", "FLAC"), (65537, "new.flac", "FLAC")]:
            self.write("fast.wav", wav([1, 2, 3], rate=rate))
            self.fails(78, "run", "c.yaml", "-i", "fast.wav", "-o", name, says=f"{says} holds no 1 channels at {rate} Hz")
            self.assertFalse(os.path.exists(self.path(name)))
        for encoding in ("u8", "s24le", "s32le", "f32le", "f64le", "mulaw", "alaw"):
            self.ok("run", "c.yaml", "--force", "--set", f"writer.encoding={encoding}")
            got = self.one("-i", "out.wav")
            self.assertLess(max(abs(a - b / 32768) for a, b in zip(got, [30000, -30000, 100])), 0.02, encoding)
        a = self.ok("run", "c.yaml", "-o", "-", "-q", "--set", "writer.dither=tpdf").stdout
        b = self.ok("run", "c.yaml", "-o", "-", "-q", "--set", "writer.dither=tpdf", "--chunk", "1").stdout
        self.assertEqual(a, b)
        self.fails(78, "run", "c.yaml", "--force", "--set", "writer.dither=tpdf", "--set", "writer.encoding=f32le",
                   says="no steps")

    def test_scales(self):
        self.write("c.yaml", "mambaseq: 1\nreader: {plugin: audio, path: in.wav}\n"
                             "codec: {plugin: mulaw, variant: torchaudio, scale: peak}\nwriter: {plugin: audio, path: out.wav}\n")
        self.write("in.wav", wav([0, 8000, -4000, 2000]))
        self.ok("run", "c.yaml")
        got = self.one("-i", "out.wav")
        self.assertEqual(got[1], 32767 / 32768)
        self.assertAlmostEqual(got[2], -0.5, delta=0.02)
        self.ok("run", "c.yaml", "--force", "--set", "codec.scale=minmax", "--chunk", "1")
        got = self.one("-i", "out.wav")
        self.assertEqual((got[1], got[2]), (32767 / 32768, -1))
        self.assertAlmostEqual(got[0], -1 / 3, delta=0.02)
        for scale in ("peak", "minmax"):
            self.fails(78, "run", "c.yaml", "--force", "-i", "-", "--set", f"codec.scale={scale}", stdin=wav([1]),
                       says=["standard input can be read once", "scale: fixed"])
        self.ok("run", "c.yaml", "--force", "-i", "-", "--set", "codec={plugin: mulaw, scale: fixed, gain: 2}", stdin=wav([1, 2]))

    def test_lpc32_knows_the_cells_of_every_codec(self):
        self.write("c.yaml", f"mambaseq: 1\nreader: {{plugin: audio, path: '{SOUND}'}}\ncodec: {{plugin: mulaw}}\n"
                             "writer: {plugin: table, path: '-'}\n")
        for codec in [f"{{plugin: mulaw, variant: {v}}}" for v in ("sashimi", "torchaudio", "g711")] + ["{plugin: pcm}"]:
            r = self.ok("eval", "c.yaml", "-q", "--json", "--baseline", "lpc32", "--split", "0.5", "--set", f"codec={codec}")
            bits = json.loads(r.stdout)["results"][0]["bits"]
            self.assertTrue(2 < bits < 3.7, f"{codec}: {bits}")  # mu-law taken for even steps: 5.2 and more

    def test_a_full_disk_leaves_nothing(self):
        self.write("in.wav", wav(tone(60000, 16000)))
        self.write("c.yaml", PIPE.replace("table", "audio").replace("out.jsonl", "out.wav"))
        for name in ("out.wav", "out.flac", "out.ogg"):
            before = set(os.listdir(self.dir))
            r = subprocess.run(["sh", "-c", f"ulimit -f 8; exec {BINARY} run c.yaml -o {name}"], cwd=self.dir,
                               capture_output=True, timeout=60)
            self.assertIn(r.returncode, (74, 73), r.stderr)
            self.assertEqual(set(os.listdir(self.dir)), before)


if __name__ == "__main__":
    main()
