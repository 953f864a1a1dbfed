#!/usr/bin/env python3
"""Sound that is not what it says, disks that are full, runs that are stopped: the exit code, the words, and nothing under a final name."""
import array
import resource

from support import *

LABEL = "share:pipelines/audio/label.yaml"
NEW = "share:pipelines/audio/generate.yaml"
TRIP = "share:pipelines/audio/codec-roundtrip.yaml"


def wav(samples, rate=8000, channels=1, kind="h", told=None, behind=b""):
    data = array.array(kind, samples).tobytes()
    size = array.array(kind).itemsize
    n = len(data) if told is None else told
    return (b"RIFF" + struct.pack("<I", min(36 + n, 0xffffffff)) + b"WAVEfmt " +
            struct.pack("<IHHIIHH", 16, 3 if kind == "f" else 1, channels, rate, rate * channels * size, channels * size,
                        8 * size) + b"data" + struct.pack("<I", n) + data + behind)


def swapped(samples):
    a = array.array("h", samples)
    a.byteswap()
    return a.tobytes()


def aiff(samples):
    comm = struct.pack(">hIh", 1, len(samples), 16) + bytes.fromhex("400bfa00000000000000")  # 8000 Hz in 80 bits
    ssnd = struct.pack(">II", 0, 0) + swapped(samples)
    body = b"AIFFCOMM" + struct.pack(">I", len(comm)) + comm + b"SSND" + struct.pack(">I", len(ssnd)) + ssnd
    return b"FORM" + struct.pack(">I", len(body)) + body


def au(samples):
    return b".snd" + struct.pack(">IIIII", 24, 2 * len(samples), 3, 8000, 1) + swapped(samples)


def w64(samples):
    guid = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    data = array.array("h", samples).tobytes()
    body = (b"wave" + guid + b"fmt " + guid + struct.pack("<QHHIIHH", 40, 1, 1, 8000, 16000, 2, 16) + b"data" + guid +
            struct.pack("<Q", 24 + len(data)) + data)
    return b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 24 + len(body)) + body


def caf(samples):
    return (b"caff" + struct.pack(">HH", 1, 0) + b"desc" + struct.pack(">qd4sIIIII", 32, 8000, b"lpcm", 0, 2, 1, 1, 16) +
            b"data" + struct.pack(">qI", 4 + 2 * len(samples), 0) + swapped(samples))


def mp3(frames, tag=b""):
    """Silence of MPEG 1, layer 3, 128 kbit/s, 44.1 kHz, one channel; with a tag in a frame of its own before."""
    frame = lambda inside: (b"\xff\xfb\x90\xc4" + bytes(17) + inside).ljust(417, b"\0")
    said = frame(tag + struct.pack(">III", 3, frames, 417 * (frames + 1))) if tag else b""
    return said + frame(b"") * frames


SOUND = [round(9000 * math.sin(i / 5)) for i in range(4000)]


def renumbered(ogg, serial):
    """The pages of an OGG as those of another stream."""
    pages, at = bytearray(ogg), 0
    while at < len(pages):
        size = 27 + pages[at + 26] + sum(pages[at + 27:at + 27 + pages[at + 26]])
        pages[at + 14:at + 18] = struct.pack("<I", serial)
        pages[at + 22:at + 26] = bytes(4)
        crc = 0
        for byte in pages[at:at + size]:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04c11db7 if crc >> 31 else 0)) & 0xffffffff
        pages[at + 22:at + 26] = struct.pack("<I", crc)
        at += size
    return bytes(pages)


def tagged(sound):
    """An MP3 behind a tag of ID3, counted in the bytes that its first frame tells."""
    tag = b"ID3\x04\0\0\0\0\1\0" + bytes(128)
    n = len(sound).to_bytes(4, "big")
    return tag + sound.replace(n, (len(sound) + len(tag)).to_bytes(4, "big"), 1)


class Bad(Scratch):
    def label(self, *more):
        return ["run", LABEL, "-o", "o.txt", "--set", "writer.table.path=o.tsv", *more]

    def refused(self, data, says, *more, code=65):
        """From a file and from a pipe."""
        self.write("in.snd", data)
        for args, stdin in ((["-i", "in.snd"], None), (["-i", "-"], data)):
            self.fails(code, *self.label(*args, *more), stdin=stdin, says=says)

    def values(self, *more):
        self.ok("run", TRIP, "--force", "-i", "in.snd", "-q", "-o", "out.raw", "--set", "reader.rate=auto", "--set",
                "codec={plugin: pcm, bits: 16}", *more)
        with open(self.path("out.raw"), "rb") as f:
            return list(array.array("h", f.read()))

    def test_headers_that_promise_more(self):
        whole = wav(SOUND)
        self.refused(wav(SOUND, told=1 << 20), "truncated")
        for n in (12, 20, 30, 44, 45, 46, 4000, len(whole) - 1):
            self.refused(whole[:n], "truncated" if n >= 44 else "error")
        for make in (aiff, au, w64, caf):
            data = make(SOUND)
            self.write("in.snd", data)
            self.assertEqual(self.values(), SOUND, make.__name__)
            for n in (len(data) - 1, len(data) // 2):
                self.refused(data[:n], "truncated")

    def written(self, name, samples):
        """Samples as our writer packs them."""
        self.write("in.snd", wav(samples))
        self.ok("run", TRIP, "-q", "-i", "in.snd", "-o", name, "--set", "reader.rate=auto", "--set",
                "codec={plugin: pcm, bits: 16}")
        with open(self.path(name), "rb") as f:
            return f.read()

    def test_packed_sound_that_was_cut(self):
        rng = random.Random(2)
        ogg = self.written("whole.ogg", [rng.randrange(-9000, 9000) for _ in range(40000)])  # some pages of noise
        flac = self.written("whole.flac", SOUND)
        for name in ("whole.ogg", "whole.flac"):
            self.ok(*self.label("-i", name, "--force", "-q"))
            os.remove(self.path(name))
        for name in ("o.txt", "o.tsv"):
            os.remove(self.path(name))
        last = ogg.rfind(b"OggS")
        self.assertGreater(last, len(ogg) // 2)
        for n in (len(ogg) - 1, last + 100, last + 20, last, last - 1):  # within the last page, before it, before its end
            self.refused(ogg[:n], "truncated, or never ended by what wrote it: its last page")
        self.refused(ogg[:-1], "up to sample 40000,")
        self.refused(flac[:-1], "after 0 of 4000 frames")
        self.refused(flac[:len(flac) // 2], "truncated")
        untold = bytearray(flac)  # as it is when FLAC goes into a pipe: the length is 0 in the header
        untold[21:26] = bytes((untold[21] & 0xf0, 0, 0, 0, 0))
        self.write("in.snd", bytes(untold))
        self.assertEqual(self.values(), SOUND)
        self.refused(bytes(untold[:-1]), "damaged or truncated after 0 frames")

    def test_streams_one_behind_the_other(self):
        """Of a chained OGG the library reads the first stream alone."""
        rng = random.Random(3)
        first = self.written("a.ogg", [rng.randrange(-9000, 9000) for _ in range(40000)])
        second = renumbered(self.written("b.ogg", SOUND[::-1]), 7)
        self.write("in.snd", second)
        self.ok(*self.label("-i", "in.snd", "--force", "-q"))
        for name in ("o.txt", "o.tsv"):
            os.remove(self.path(name))
        self.refused(first + second, "OGG streams one behind the other")
        self.refused(first[:first.rfind(b"OggS")] + second, "OGG streams one behind the other")

    def test_mp3_that_was_cut(self):
        for tag in (b"Xing", b"Info"):
            self.refused(mp3(40, tag)[:-1], "truncated: 1 bytes")
            self.assertIn(len(mp3(40, tag)).to_bytes(4, "big"), mp3(40, tag))
            self.write("in.snd", tagged(mp3(40, tag)))  # bytes with those of its tag
            self.ok(*self.label("-i", "in.snd", "--force", "-q"))
            for name in ("o.txt", "o.tsv"):
                os.remove(self.path(name))
            self.refused(b"ID3\x04\0\0\0\0\1\0" + bytes(128) + mp3(40, tag)[:-4000], "truncated: 4000 bytes")
        for whole in (mp3(40, b"Info"), mp3(40), mp3(40)[:-417]):  # that without a tag says nothing
            self.write("in.snd", whole)
            self.ok(*self.label("-i", "in.snd", "--force", "-q"))

    def test_a_header_that_was_never_finished(self):
        """Who recorded it was killed: 0 bytes of samples, says the header, and there are some."""
        self.write("in.snd", wav(SOUND, told=0) + b"x")
        self.assertEqual(self.values(), SOUND)
        self.assertEqual(self.values("--set", "reader.start=100ms", "--set", "reader.duration=50ms"), SOUND[800:1200])
        self.assertEqual(self.values("--chunk", "7"), SOUND)
        for args, stdin in ((["in.snd"], None), (["-"], wav(SOUND, told=0) + b"x")):  # the cut sample: said of both
            self.assertIn("says 0 bytes of samples: read up to its end, without 1 bytes of a cut sample",
                          self.ok(*self.label("-i", *args), stdin=stdin).stderr.decode())
            os.remove(self.path("o.txt"))
            os.remove(self.path("o.tsv"))
        note = b"LIST" + struct.pack("<I", 12) + b"INFOICMT" + struct.pack("<I", 0)
        self.write("in.snd", wav([], behind=note))  # really empty
        self.fails(65, *self.label("-i", "in.snd"), says="holds no sample")

    def test_no_rate_no_channel_no_sample(self):
        self.refused(wav(SOUND, rate=0), "the header says 0 Hz and 1 channels")
        self.refused(wav(SOUND, channels=0), "the header says 8000 Hz and 0 channels")
        self.refused(wav([]), "sample")
        self.refused(b"", "error")

    def test_samples_that_are_no_numbers(self):
        for bad, says in ((math.nan, "sample 101 (at 0.012500 s) is not a number"), (math.inf, "is infinite"),
                          (-math.inf, "is infinite")):
            self.refused(wav([0.1] * 100 + [bad] + [0.1] * 900, kind="f"), says)
        self.refused(wav([3e38, -3e38] * 2000, kind="f"), "error")  # finite, and beyond any energy

    def test_odd_sound_that_is_sound(self):
        rng = random.Random(1)
        for data in (wav([rng.randrange(2) for _ in range(9000)]), wav([rng.choice((-32768, 32767)) for _ in range(9000)]),
                     wav([1e-42, -1e-42] * 2000, kind="f"), wav([0] * 9000),
                     wav([rng.randrange(-32768, 32768) for _ in range(8 * 19200)], rate=192000, channels=8)):
            self.write("in.snd", data)
            seen = set()
            for args, stdin in ((["-i", "in.snd"], None), (["-i", "-"], data)):
                self.ok(*self.label(*args, "--force"), stdin=stdin)
                rows = self.rows("o.tsv")
                sums = [sum(float(v) for k, v in row.items() if k.startswith("p.")) for row in rows]
                self.assertTrue(sums and all(abs(v - 1) < 1e-3 for v in sums), rows)
                seen.add(str([(row["start"], row["p.eight"], row["p.zero"]) for row in rows]))
            self.assertEqual(len(seen), 1)

    def test_standard_input_that_closes_within_a_sample(self):
        raw = array.array("h", SOUND).tobytes()[:-1]
        told = ["--set", "reader.format=s16le", "--set", "reader.input_rate=8000"]
        self.fails(65, *self.label("-i", "-", *told), stdin=raw, says=["middle of a sample", "after 3999 frames"])
        for size in 0xffffffff, 0x7ffff000:
            self.refused(wav(SOUND, told=size)[:-1], ["middle of a sample: 1 bytes of a frame of 2 after 3999 frames"])
        odd = wav([128] * 2403, channels=3, kind="B", told=0x7fffefff)
        for args, stdin in (["in.snd"], None), (["-"], odd + b"\0"):  # RIFF's byte behind an odd number, as sox writes it
            self.write("in.snd", odd + b"\0")
            self.ok(*self.label("-i", *args), stdin=stdin)
            os.remove(self.path("o.txt"))
            os.remove(self.path("o.tsv"))
        self.refused(odd[:-1], "middle of a sample: 2 bytes of a frame of 3 after 800 frames")
        open_end = au(SOUND)[:8] + b"\xff" * 4 + au(SOUND)[12:]
        self.refused(open_end[:-1], "middle of a sample: 1 bytes of a frame of 2 after 3999 frames")
        self.refused(wav(SOUND, told=0xffffffff, channels=2)[:-3], "middle of a sample: 1 bytes of a frame of 4 after 1999 frames")
        self.fails(65, *self.label("-i", "-", *told), stdin=b"", says="no sample")

    def test_what_libsndfile_does_not_know(self):
        self.write("a b.amr", b"#!AMR\n" + bytes(range(200)))
        self.fails(65, *self.label("-i", "a b.amr"), says="ffmpeg -v error -i 'a b.amr' -f wav - | mambaseq run PIPELINE -i -")
        self.fails(65, *self.label("-i", "-"), stdin=b"\0\0\0\x20ftypM4A " + bytes(400), says="ffmpeg -v error -i - -f wav -")

    def test_samples_beyond_what_can_be_squared(self):
        self.write("huge.wav", wav([1e30, -1e30, 3e38, 0.1] * 500, kind="f"))
        self.fails(65, *self.label("-i", "huge.wav"), says=["frame 0", "between -1 and 1"])
        self.fails(65, "run", TRIP, "-i", "huge.wav", "-o", "out.wav", says=["huge", "bring the recording to -1 to 1"])
        self.assertEqual(os.listdir(self.dir), ["huge.wav"])

    def test_full_disks(self):
        for form in ("wav", "raw", "flac", "ogg"):
            text = self.fails(74, "run", TRIP, "-o", "/dev/full", "--set", f"writer.format={form}", says="No space left")
            self.assertNotIn("bug", text)
        small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        for form in ("wav", "raw", "flac", "ogg"):
            self.fails(74, "run", TRIP, "-o", f"out.{form}", preexec_fn=small, says="File too large")
        self.fails(74, *self.label("--set", "model.every=10ms"), preexec_fn=small, says="File too large")
        self.ok("run", TRIP, "-o", "out.ogg")  # full at the last page, of which libsndfile says nothing
        room = os.path.getsize(self.path("out.ogg")) - 10
        os.remove(self.path("out.ogg"))
        last = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        self.fails(74, "run", TRIP, "-o", "out.ogg", preexec_fn=last, says="the disk of the output")
        with open("/dev/full", "wb") as full:
            for args in ((TRIP, "-o", "-"), (NEW, "--set", "writer={plugin: audio, path: '-'}", "--set", "model.duration=2s")):
                r = subprocess.run([BINARY, "run", *args], stdout=full, stderr=subprocess.PIPE, cwd=self.dir)
                self.assertEqual(r.returncode, 74, r.stderr)
                self.assertIn(b"No space left", r.stderr)
        self.assertEqual(os.listdir(self.dir), [])

    def stopped(self, name, *more):
        p = self.start("run", NEW, "--set", f"writer={{plugin: audio, path: {name}}}", "--set", "model.duration=1h", "--set",
                       "model.count=1", *more)
        for _ in range(6000):  # until something stands in a file
            try:
                if any(os.path.getsize(self.path(n)) > 1000 for n in os.listdir(self.dir)):
                    break
            except FileNotFoundError:
                pass
            time.sleep(0.01)
        p.send_signal(signal.SIGINT)
        err = p.communicate(timeout=120)[1].decode()
        self.assertEqual(p.returncode, -signal.SIGINT, err)

    def test_a_stop_while_it_makes_sound(self):
        for name in ("new.wav", "new.flac"):
            self.stopped(name, "--keep-partial")
            self.assertEqual(os.listdir(self.dir), [name])
            os.rename(self.path(name), self.path("in.snd"))
            self.assertGreater(len(self.values()), 400)
            for left in ("in.snd", "out.raw"):
                os.remove(self.path(left))
            self.stopped(name)
            self.assertNotIn(name, os.listdir(self.dir))
            for left in os.listdir(self.dir):
                self.assertTrue(left.startswith("."), left)
                os.remove(self.path(left))

    def test_classes_that_a_model_does_not_have(self):
        self.fails(78, "run", NEW, "--set", "model.class=[one, elefant]", says=["elefant", "its classes are: eight, five"])
        for key in ("threshold=[0.5, dog=0.7]", "ignore=[dog]"):
            self.fails(78, *self.label("--set", f"writer.labels.{key}"), says=["no class 'dog'", "its classes are eight, five"])
        os.makedirs(self.path("d/dog"))
        self.write("d/dog/a.wav", wav(SOUND))
        self.fails(65, "eval", "share:pipelines/audio/classify.yaml", "-i", "d", says=["'dog' is not a class", "eight, five"])
        r = self.ok("run", "share:pipelines/audio/classify.yaml", "-i", "d", "-q")
        self.assertIn(b"\tdog", r.stdout)


if __name__ == "__main__":
    unittest.main()
