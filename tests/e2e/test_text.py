#!/usr/bin/env python3
"""Text in and out: readers, codecs, writers."""
from support import *


class Text(Scratch):
    def through(self, data, *more, split="file", **kw):
        path = self.write("in.txt", data)
        return self.ok("run", "share:pipelines/text/tokens.yaml", "-q", "-i", path, "--set", f"reader.split={split}",
                       *more, **kw).stdout

    def test_a_file_comes_out_as_it_went_in(self):
        back = ["--set", "codec=null", "--set", "writer={plugin: text, path: '-'}"]
        big = bytes(random.Random(2).randrange(256) for _ in range(300000)) + b"\n"
        for data in (b"one line\n", big, b"\n", b"a\n\nb\n"):
            self.assertEqual(self.through(data, *back), data)
            self.assertEqual(self.through(data, *back, "--set", "writer.separator=none"), data)
        self.assertEqual(self.through(b"no end", *back), b"no end\n")
        self.assertEqual(self.through(b"no end", *back, "--set", "writer.separator=blank"), b"no end\n\n")
        self.assertEqual(self.through(b"", *back), b"\n", "an empty file is an empty record")

    def test_lines(self):
        back = ["--set", "codec=null", "--set", "writer={plugin: text, path: '-'}"]
        for data, want in ((b"a\r\n\nbc\rd", b"a\n\nbc\rd\n"), (b"", b""), (b"x", b"x\n"), (b"x\n", b"x\n"),
                           (b"\r\n\r\n", b"\n\n"), (b"y" * 65535 + b"\r\nz", b"y" * 65535 + b"\nz\n")):
            self.assertEqual(self.through(data, *back, split="line"), want)
        rows = self.through(b"ab\n\ncde\n", split="line").decode().splitlines()[1:]
        self.assertEqual([r.split("\t")[1:] for r in rows],
                         [["line1", "0", "2", "2"], ["line2", "0", "0", "0"], ["line3", "0", "3", "3"]])

    def test_stdin_inline_and_both(self):
        args = ["run", "share:pipelines/text/tokens.yaml", "-q", "--set", "codec=null", "--set",
                "writer={plugin: text, path: '-'}"]
        self.assertEqual(self.ok(*args, "-i", "-", stdin=b"from a pipe").stdout, b"from a pipe\n")
        self.assertEqual(self.ok(*args, "--set", "reader={plugin: text, text: 'of the pipeline'}").stdout,
                         b"of the pipeline\n")
        self.fails(78, *args, "--set", "reader.text=x", says="both 'path' and 'text' are told")
        self.fails(78, *args, "--set", "reader={plugin: text}", says="nothing to read")
        self.fails(66, *args, "-i", "missing.txt", says="cannot be opened")

    def test_bytes_are_their_ids(self):
        tokens = ["--set", "writer={plugin: hdf5, path: t.h5}"]
        try:
            import h5py
        except ImportError:
            self.skipTest("no h5py")
        data = bytes(range(256))
        self.through(data, *tokens, "--set", "codec.offset=3")
        with h5py.File(self.path("t.h5")) as f:
            self.assertEqual(list(f["tokens"][:]), [b + 3 for b in data])
            self.assertEqual(f.attrs["codec"], "bytes")


if __name__ == "__main__":
    unittest.main()
