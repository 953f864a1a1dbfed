#!/usr/bin/env python3
"""Ids from NumPy files."""
from support import *

try:
    import h5py
    import numpy as np
except ImportError:
    h5py = None


@unittest.skipUnless(h5py, "no h5py")
class Npy(Scratch):
    def ids(self, *arrays, more=(), **kw):
        names = []
        for i, a in enumerate(arrays):
            np.save(self.path(f"{i}.npy"), a)
            names.append(self.path(f"{i}.npy"))
        self.ok("run", "share:pipelines/text/tokens.yaml", "-q", "--force", "--set", "codec=null", "--set",
                f"reader={{plugin: tokens, path: {json.dumps(names)}}}", "--set", "writer={plugin: hdf5, path: t.h5}",
                *more, **kw)
        with h5py.File(self.path("t.h5")) as f:
            at = f["records/offset"][:]
            return [f["tokens"][a:b].tolist() for a, b in zip(at, at[1:])]

    def test_types_and_shapes(self):
        draw = np.random.RandomState(1)
        for t in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64):
            a = draw.randint(0, 100, (3, 70000)).astype(t)
            self.assertEqual(self.ids(a[0], a[1:]), a.tolist())
        self.assertEqual(self.ids(np.array([5, -1, -100, 7])), [[5, -1, -1, 7]])
        self.assertEqual(self.ids(np.zeros((2, 0), np.int32), np.array([1])), [[], [], [1]])

    def test_a_model_takes_them(self):
        """The same scores as through the codec that makes these ids."""
        fa = self.write("x.fa", fasta([("row1", heldout_bases(3000))]))
        ids = np.array(["ACGT".index(c) + 7 for c in heldout_bases(3000)])
        np.save(self.path("x.npy"), ids)
        score = ["run", "share:pipelines/genomics/score.yaml", "-q", "--set", "writer={plugin: table, path: '-'}"]
        want = self.ok(*score, "-i", fa).stdout.decode().splitlines()[1].split("\t")
        got = self.ok(*score, "--set", f"reader={{plugin: tokens, path: {self.path('x.npy')}}}", "--set",
                      "codec=null").stdout.decode().splitlines()[1].split("\t")
        self.assertEqual(got[1:8], want[1:8])

    def test_rows_as_an_array(self):
        """Ids there and back; vectors as HDF5 has them, whatever the chunk."""
        a = np.random.RandomState(2).randint(7, 11, (5, 3000))
        np.save(self.path("a.npy"), a)
        read = ["--set", f"reader={{plugin: tokens, path: {self.path('a.npy')}}}", "--set", "codec=null"]
        self.ok("run", "share:pipelines/text/tokens.yaml", "-q", *read, "--set", "writer={plugin: npy, path: b.npy}")
        back = np.load(self.path("b.npy"))
        self.assertEqual((back.dtype, back.shape), (np.int32, (15000,)))
        self.assertTrue(np.array_equal(back, a.reshape(-1)))
        embed = ["run", "share:pipelines/genomics/embed.yaml", "-q", "--force", *read]
        for name, chunk in (("e", "65536"), ("f", "7")):
            self.ok(*embed, "--chunk", chunk, "--set",
                    f"writer=[{{plugin: npy, path: {name}.npy}}, {{plugin: hdf5, path: {name}.h5}}]")
        self.assertEqual(digest(self.path("e.npy")), digest(self.path("f.npy")))
        with h5py.File(self.path("e.h5")) as f:
            got = np.load(self.path("e.npy"))
            self.assertEqual(got.dtype, np.float32)
            self.assertTrue(np.array_equal(got, f["embedding"][:]))
        self.fails(78, "run", "share:pipelines/text/tokens.yaml", "-q", *read, "--set", "writer={plugin: npy, path: '-'}",
                   says="cannot go to standard output")

    def test_what_is_refused(self):
        args = ["run", "share:pipelines/text/tokens.yaml", "-q", "--set", "codec=null"]
        np.save(self.path("f.npy"), np.zeros(3, np.float32))
        np.save(self.path("b.npy"), np.zeros(3, ">i4"))
        np.save(self.path("o.npy"), np.asfortranarray(np.zeros((3, 4), np.int32)))
        np.save(self.path("d.npy"), np.zeros((1, 1, 3), np.int32))
        np.save(self.path("l.npy"), np.array([2**40]))
        np.save(self.path("g.npy"), np.arange(100))
        with open(self.path("g.npy"), "rb") as f:
            data = f.read()
        self.write("c.npy", data[:-1])
        self.write("h.npy", data[:40])
        self.write("x.npy", "no numpy at all")
        header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (%d, 0), }\n" % 2**62
        for name in "yz":
            self.write(f"{name}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        both = f"[{self.path('y.npy')}, {self.path('z.npy')}]"
        self.fails(65, *args, "--set", f"reader={{plugin: tokens, path: {both}}}", says="a million records without an id")
        for name, says in (("f", "whole numbers"), ("b", "whole numbers"), ("o", "fortran_order: False"),
                           ("d", "one or two dimensions"), ("l", "the id 1099511627776 is beyond"),
                           ("c", "truncated"), ("h", "truncated"), ("x", "not a .npy file")):
            self.fails(65, *args, "--set", f"reader={{plugin: tokens, path: {self.path(name)}.npy}}", says=says)
        self.fails(65, *args, "--set", f"reader={{plugin: tokens, path: {self.path('g')}.npy, vocab: 50}}",
                   says="position 51: the id 50 is beyond 49")


if __name__ == "__main__":
    unittest.main()
