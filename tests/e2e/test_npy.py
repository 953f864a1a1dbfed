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

    def tensors(self, path):
        """Name -> array of a safetensors file, its header checked as the library does: no holes, no overlaps."""
        types = {"F32": np.float32, "I32": np.int32, "I64": np.int64, "U8": np.uint8}
        header, data = read_safetensors(path)
        meta, at, out = header.pop("__metadata__"), 0, {}
        for name, e in sorted(header.items(), key=lambda kv: kv[1]["data_offsets"]):
            a, b = e["data_offsets"]
            self.assertEqual(a, at)
            self.assertEqual(a % np.dtype(types[e["dtype"]]).itemsize, 0)
            out[name] = np.frombuffer(data[a:b], types[e["dtype"]]).reshape(e["shape"])
            at = b
        self.assertEqual(at, len(data))
        return meta, out

    def test_rows_as_a_tensor(self):
        """The rows of HDF5 and where records begin, whatever the chunk; ids there and back."""
        fa = self.write("x.fa", fasta([("a", heldout_bases(301)), ("none", ""), ("b", "ACGTA")]))
        for task, name, dataset in (("score", "logprob", "score/logprob"), ("logits", "logits", "logits"),
                                    ("embed, pool: mean", "embedding", "embedding")):
            run = ["run", "share:pipelines/genomics/score.yaml", "-q", "--force", "-i", fa, "--set",
                   f"model={{path: {MODEL}, task: {task}}}"]
            for out, chunk in (("e", "65536"), ("f", "7")):
                self.ok(*run, "--chunk", chunk, "--set",
                        f"writer=[{{plugin: safetensors, path: {out}.safetensors}}, {{plugin: hdf5, path: {out}.h5}}]")
            self.assertEqual(digest(self.path("e.safetensors")), digest(self.path("f.safetensors")))
            meta, got = self.tensors(self.path("e.safetensors"))
            self.assertEqual((meta["format"], meta["task"]), ("pt", task.split(",")[0]))
            with h5py.File(self.path("e.h5")) as f:
                want = f[dataset][:]
                self.assertTrue(np.array_equal(got[name].reshape(want.shape), want, equal_nan=True))
                self.assertEqual(got["offset"].tolist(), f["records/offset"][:].tolist())
        ids = np.random.RandomState(5).randint(-1, 900, (7, 33)).astype(np.int32)
        np.save(self.path("a.npy"), ids)
        base = ["run", "share:pipelines/text/tokens.yaml", "-q", "--force", "--set", "codec=null"]
        self.ok(*base, "--set", "reader={plugin: tokens, path: a.npy}", "--set",
                "writer={plugin: safetensors, path: t.safetensors}")
        self.assertEqual(self.tensors(self.path("t.safetensors"))[1]["tokens"].tolist(), ids.reshape(-1).tolist())
        self.ok(*base, "--set", "reader={plugin: tokens, path: t.safetensors, tensor: tokens}", "--set",
                "writer={plugin: npy, path: b.npy}")
        self.assertEqual(np.load(self.path("b.npy")).tolist(), ids.reshape(-1).tolist())
        self.fails(78, *base, "--set", "reader={plugin: tokens, path: a.npy}", "--set",
                   "writer={plugin: safetensors, path: u.safetensors, tensor: offset}", says="another tensor")
        self.fails(78, *base, "--set", "reader={plugin: tokens, path: a.npy}", "--set",
                   "writer={plugin: safetensors, path: '-'}", says="cannot go to standard output")

    def test_records_of_tensors(self):
        """What writer safetensors wrote comes back as the records that it was; several tensors by their names."""
        lengths = [5, 0, 70001, 3]
        draw = np.random.RandomState(8)
        names = []
        for i, n in enumerate(lengths):
            np.save(self.path(f"r{i}.npy"), draw.randint(0, 100, n).astype(np.int32))
            names.append(f"r{i}.npy")
        want = [np.load(self.path(n)).tolist() for n in names]
        base = ["run", "share:pipelines/text/tokens.yaml", "-q", "--force", "--set", "codec=null"]
        self.ok(*base, "--set", f"reader={{plugin: tokens, path: [{', '.join(names)}]}}", "--set",
                "writer={plugin: safetensors, path: all.safetensors}")

        def records(reader):
            self.ok(*base, "--set", f"reader={{plugin: tokens, {reader}}}", "--set", "writer={plugin: hdf5, path: b.h5}")
            with h5py.File(self.path("b.h5")) as f:
                at = f["records/offset"][:]
                return [n.decode() for n in f["records/name"][:]], [f["tokens"][a:b].tolist() for a, b in zip(at, at[1:])]

        self.assertEqual(records("path: all.safetensors, tensor: tokens"), ([f"row{i + 1}" for i in range(4)], want))
        whole = open(self.path("all.safetensors"), "rb").read()
        self.write("cut.safetensors", whole[:-8])
        self.fails(65, *base, "--set", "reader={plugin: tokens, path: cut.safetensors}", "--set",
                   "writer={plugin: npy, path: o.npy}", says="truncated")
        self.ok(*base, "--set", f"reader={{plugin: tokens, path: [{', '.join(names)}]}}", "--set",
                "writer={plugin: safetensors, path: named.safetensors, tensor: ids}")
        self.assertEqual(records("path: named.safetensors")[1], want)
        a, b = np.arange(6, dtype=np.int64).reshape(2, 3), np.array([7, 8], np.uint8)
        header = {"a b": {"dtype": "I64", "shape": [2, 3], "data_offsets": [0, 48]},
                  "c": {"dtype": "U8", "shape": [2], "data_offsets": [48, 50]},
                  "offset": {"dtype": "I64", "shape": [2], "data_offsets": [50, 66]}}
        write_safetensors(self.path("m.safetensors"), header, a.tobytes() + b.tobytes() + np.array([0, 9]).tobytes())
        self.assertEqual(records("path: m.safetensors, tensor: 'a b, c'"),
                         (["a b:1", "a b:2", "c:1"], [[0, 1, 2], [3, 4, 5], [7, 8]]))
        self.assertEqual(records("path: [m.safetensors, r3.npy], tensor: 'c, a b'")[1], [[7, 8], [0, 1, 2], [3, 4, 5], want[3]])
        self.fails(65, *base, "--set", "reader={plugin: tokens, path: m.safetensors, tensor: 'a b, x'}", "--set",
                   "writer={plugin: npy, path: o.npy}", says="'x': has no tensor of that name")
        self.fails(65, *base, "--set", "reader={plugin: tokens, path: m.safetensors, tensor: 'a b, c', vocab: 8}", "--set",
                   "writer={plugin: npy, path: o.npy}", says="record 'c:1', position 2: the id 8 is beyond 7")
        header["c,d"] = header.pop("a b")
        write_safetensors(self.path("k.safetensors"), header, a.tobytes() + b.tobytes() + np.array([0, 9]).tobytes())
        self.assertEqual(records("path: k.safetensors, tensor: 'c,c\\,d'"), (["c:1", "c,d:1", "c,d:2"], [[7, 8], [0, 1, 2], [3, 4, 5]]))
        self.fails(65, *base, "--set", "reader={plugin: tokens, path: k.safetensors, tensor: 'c,d'}", "--set",
                   "writer={plugin: npy, path: o.npy}", says=["'d': has no tensor of that name", "written as \\,"])
        self.fails(78, *base, "--set", "reader={plugin: tokens, path: m.safetensors, tensor: 'a b,, c'}", "--set",
                   "writer={plugin: npy, path: o.npy}", says="empty name")

    def test_tensors_that_are_none(self):
        base = ["run", "share:pipelines/text/tokens.yaml", "-q", "--set", "codec=null", "--set",
                "writer={plugin: table, path: '-'}"]
        one = {"dtype": "I64", "shape": [2, 3], "data_offsets": [0, 48]}
        data = np.arange(6, dtype=np.int64).tobytes()
        cases = (({"x": one, "y": dict(one, dtype="F64")}, data, "", None),
                 ({"x": one, "y": one}, data, "", "several tensors"), ({"x": one, "y": one}, data, ", tensor: y", None),
                 ({"x": one}, data, ", tensor: z", "'z': has no tensor of that name"),
                 ({"x": one}, data[:40], "", "goes beyond its end"),
                 ({"x": dict(one, shape=[2, 4])}, data, "", "has no tensor of whole numbers"),
                 ({"x": dict(one, shape=[2, 4])}, data, ", tensor: x", "not as long as its shape"),
                 ({"x": dict(one, shape=[2 ** 62, 2 ** 62])}, data, ", tensor: x", "not as long as its shape"),
                 ({"x": dict(one, shape=[1, 2, 3])}, data, ", tensor: x", "one or two dimensions"),
                 ({"x": dict(one, shape=[])}, data, ", tensor: x", "one or two dimensions"),
                 ({"x": dict(one, data_offsets=[-8, 40])}, data, ", tensor: x", "not as long as its shape"),
                 ({"x": dict(one, dtype="F32")}, data, ", tensor: x", "does not hold whole numbers"))
        for header, blob, more, says in cases:
            write_safetensors(self.path("x.safetensors"), header, blob)
            args = [*base, "--set", f"reader={{plugin: tokens, path: x.safetensors{more}}}"]
            if says:
                self.fails(65, *args, says=says)
            else:
                self.ok(*args)

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
                           ("c", "truncated"), ("h", "truncated"), ("x", "not a .npy or .safetensors file")):
            self.fails(65, *args, "--set", f"reader={{plugin: tokens, path: {self.path(name)}.npy}}", says=says)
        self.fails(65, *args, "--set", f"reader={{plugin: tokens, path: {self.path('g')}.npy, vocab: 50}}",
                   says="position 51: the id 50 is beyond 49")


if __name__ == "__main__":
    unittest.main()
