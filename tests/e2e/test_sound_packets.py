#!/usr/bin/env python3
"""Codecs of telephones and calls: there and back in time, the bytes of another program, cuts, what is no packet."""
import array

from support import *

PLUGINS = os.path.join(BUILD, "lib", "mambaseq", "plugins-1")
SOUND = os.path.join(SOURCE, "share", "data", "chirps.wav")
TRIP = ["run", "share:pipelines/audio/codec-roundtrip.yaml", "-q", "--force"]


def built(name):
    return os.path.exists(os.path.join(PLUGINS, f"mbsp_{name}.so"))


class Packets(Scratch):
    def trip(self, codec, rate, *more):
        self.ok(*TRIP, "-o", "out.raw", "--set", f"codec={codec}", "--set", f"reader.rate={rate}", *more)
        with open(self.path("out.raw"), "rb") as f:
            return array.array("h", f.read())

    def plain(self, rate):
        return self.trip("{plugin: pcm, bits: 16}", rate)

    def laws(self, codec, rate, frame, least):
        want = self.plain(rate)
        seen = set()
        for cut in (["1", "1"], ["7", "2"], ["4096", "1"], ["1000000", "2"]):
            got = self.trip(codec, rate, "--chunk", cut[0], "-@", cut[1])
            seen.add(hashlib.sha256(got.tobytes()).hexdigest())
        self.assertEqual(len(seen), 1)
        self.assertTrue(len(want) <= len(got) <= len(want) + 2 * frame, (len(want), len(got)))
        # the low tone of the first half second, sample by sample where it was
        n = rate // 2
        noise = sum((a - b) ** 2 for a, b in zip(want[400:n], got[400:n])) / sum(v * v for v in want[400:n])
        self.assertLess(10 * math.log10(noise), -least)
        self.assertGreater(10 * math.log10(noise), -60)  # and it does something
        # recordings begin afresh
        self.ok(*TRIP, "-o", "two.raw", "--set", f"codec={codec}", "--set", f"reader.rate={rate}", "--set",
                f"reader.path=['{SOUND}', '{SOUND}']")
        with open(self.path("two.raw"), "rb") as f:
            self.assertTrue(f.read() == got.tobytes() * 2)
        # channels for themselves: two that are the same stay the same
        both = bytes(b for v in want[:n] for b in struct.pack("<hh", v, v))
        self.ok(*TRIP, "-i", "-", "-o", "both.raw", "--set", f"codec={codec}", "--set", "reader={plugin: audio, path: '-', channels: all, "
                f"format: s16le, input_rate: {rate}, input_channels: 2}}", stdin=both)
        with open(self.path("both.raw"), "rb") as f:
            two = array.array("h", f.read())
        self.assertTrue(two[::2] == two[1::2] and two[::2][:n - frame] == got[:n - frame])
        return got

    @unittest.skipUnless(built("gsm"), "no libgsm")
    def test_gsm(self):
        got = self.laws("{plugin: gsm}", 8000, 160, 8)
        if shutil.which("sox"):  # the same coder behind another program
            with open(self.path("plain.raw"), "wb") as f:
                f.write(self.plain(8000).tobytes())
            raw = ["-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1"]
            r = subprocess.run(["sox", *raw, "plain.raw", "-t", "gsm", "x.gsm"], cwd=self.dir, capture_output=True)
            if r.returncode == 0:
                subprocess.run(["sox", "-t", "gsm", "x.gsm", *raw, "back.raw"], cwd=self.dir, check=True)
                with open(self.path("back.raw"), "rb") as f:
                    back = array.array("h", f.read())
                n = min(len(back), len(got), 19840)
                self.assertTrue(back[:n] == got[:n])
        r = self.ok(*[a for a in TRIP if a != "-q"], "-o", "x.wav", "--set", "codec={plugin: gsm}")
        self.assertIn("made for 8000 Hz, and this has 16000 Hz", r.stderr.decode())

    @unittest.skipUnless(built("opus"), "no libopus")
    def test_opus(self):
        for rate in (8000, 48000):
            self.laws("{plugin: opus, bitrate: 24000}", rate, rate // 50, 8)
        def noise(bitrate):
            want, got = self.plain(16000), self.trip(f"{{plugin: opus, bitrate: {bitrate}}}", 16000)
            return sum((a - b) ** 2 for a, b in zip(want, got))
        self.assertLess(noise(64000), noise(8000))
        self.fails(78, *TRIP, "--set", "codec={plugin: opus}", "--set", "reader.rate=11025",
                   says="Opus knows 8000, 12000, 16000, 24000 and 48000 Hz")
        self.fails(78, *TRIP, "--set", "codec={plugin: opus, bitrate: 5}", says="bitrate")


if __name__ == "__main__":
    unittest.main()
