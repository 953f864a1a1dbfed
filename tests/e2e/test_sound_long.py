#!/usr/bin/env python3
"""Sound of more than 4 GiB: written as RF64, read again. Takes 5 GB of disk."""
from support import *

FRAMES = 540_000_000  # of 8 bytes


class Long(Scratch):
    def test_beyond_32_bits(self):
        with open(self.path("in.raw"), "wb") as f:  # a hole of one level, and something at both ends
            f.write(bytes([192, 64]))
            f.seek(FRAMES - 2)
            f.write(bytes([160, 96]))
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: audio, path: in.raw, format: u8, input_rate: 48000}\n"
                             "writer: {plugin: audio, path: out.wav, encoding: f64le}\n")
        self.ok("run", "p.yaml", timeout=1200)
        size = os.path.getsize(self.path("out.wav"))
        with open(self.path("out.wav"), "rb") as f:
            head = f.read(96)
        self.assertEqual(head[:4] + head[8:16], b"RF64WAVEds64")
        self.assertEqual(struct.unpack("<QQQ", head[20:44]), (size - 8, 8 * FRAMES, FRAMES))
        self.write("q.yaml", "mambaseq: 1\nreader: {plugin: audio, path: out.wav}\nwriter: {plugin: audio, path: '-', format: raw, "
                             "encoding: u8}\n")
        r = self.ok("run", "q.yaml", "-q", "--set", f"reader.start={(FRAMES - 480) / 48000}", timeout=600)
        self.assertEqual(r.stdout, bytes(478) + bytes([160, 96]))
        os.truncate(self.path("out.wav"), size - 9000)
        self.fails(65, "run", "q.yaml", says="truncated")


if __name__ == "__main__":
    unittest.main()
