#!/usr/bin/env python3
"""Checkpoints as they are downloaded: pytorch_model.bin, shards, the Hugging Face cache, and convert."""
import importlib.util

from support import *


def torch_maker():
    """The functions of tests/fuzz/make_torch.py, which put pickles together by hand."""
    path = os.path.join(SOURCE, "tests", "fuzz", "make_torch.py")
    spec = importlib.util.spec_from_file_location("make_torch", path)
    module = importlib.util.module_from_spec(spec)
    argv, sys.argv = sys.argv, [path, tempfile.mkdtemp()]
    try:
        spec.loader.exec_module(module)
    finally:
        shutil.rmtree(sys.argv[1])
        sys.argv = argv
    return module


def tensors_of(path):
    """[(name, dtype, shape, bytes)] of a safetensors file."""
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8:8 + n])
    head.pop("__metadata__", None)
    return [(k, v["dtype"], v["shape"], data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]])
            for k, v in head.items()]


KINDS = {"F32": ("FloatStorage", 4), "F16": ("HalfStorage", 2), "BF16": ("BFloat16Storage", 2)}


def torch_file(torch, tensors, tie=None):
    """The bytes of a pytorch_model.bin; `tie` adds lm_head.weight on the storage of that tensor."""
    pairs, members = [], []
    for i, (name, dtype, shape, data) in enumerate(tensors):
        kind, size = KINDS[dtype]
        stride = [1] * len(shape)
        for k in range(len(shape) - 2, -1, -1):
            stride[k] = stride[k + 1] * shape[k + 1]
        view = torch.tensor(torch.storage(kind, str(i), len(data) // size), 0, shape, stride)
        pairs.append((name, view))
        if name == tie:
            pairs.append(("lm_head.weight", view))
        members.append((f"data/{i}", data))
    return torch.archive(torch.state(*pairs), members)


class Checkpoints(Scratch):
    def setUp(self):
        super().setUp()
        self.torch = torch_maker()
        self.tensors = tensors_of(os.path.join(MODEL, "model.safetensors"))

    def folder(self, name):
        os.makedirs(self.path(name))
        for f in ("config.json", "vocab.txt"):
            shutil.copy(os.path.join(MODEL, f), self.path(name))
        return self.path(name)

    def scores(self, model, **kw):
        r = self.ok("run", "share:pipelines/genomics/score.yaml", "-q", "-m", model, "-i",
                    os.path.join(SOURCE, "share", "data", "ecoli-prompt.fa"), "--set",
                    "writer={plugin: table, path: '-'}", **kw)
        return r.stdout

    def test_bin_and_its_shards_give_the_same_numbers(self):
        want = self.scores(MODEL)
        table = next(t[0] for t in self.tensors if "embedding" in t[0])
        one = self.folder("one")
        self.write("one/pytorch_model.bin", torch_file(self.torch, self.tensors, tie=table))
        self.assertEqual(self.scores(one), want)
        many = self.folder("many")
        half = len(self.tensors) // 2
        index = {"weight_map": {}}
        for k, part in enumerate((self.tensors[:half], self.tensors[half:])):
            name = f"pytorch_model-0000{k + 1}-of-00002.bin"
            self.write(f"many/{name}", torch_file(self.torch, part))
            index["weight_map"].update({t[0]: name for t in part})
        self.write("many/pytorch_model.bin.index.json", json.dumps(index))
        self.assertEqual(self.scores(many), want)
        os.remove(self.path("many/pytorch_model-00002-of-00002.bin"))
        self.fails(66, "inspect", many, says="download the folder again")

    def test_convert_gives_the_same_model_once(self):
        table = next(t[0] for t in self.tensors if "embedding" in t[0])
        one = self.folder("one")
        self.write("one/pytorch_model.bin", torch_file(self.torch, self.tensors, tie=table))
        self.write("one/tokenizer.json", "{}")
        r = self.ok("convert", one, "-o", self.path("a"))
        self.assertIn("written once", r.stderr.decode())
        self.assertEqual(sorted(os.listdir(self.path("a"))),
                         ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"])
        self.assertEqual({t[0]: t[1:] for t in tensors_of(self.path("a/model.safetensors"))},
                         {t[0]: t[1:] for t in self.tensors})
        self.ok("convert", MODEL, "-o", self.path("b"))
        self.assertEqual(digest(self.path("a/model.safetensors")), digest(self.path("b/model.safetensors")))
        self.fails(73, "convert", one, "-o", self.path("a"), says="exists already")
        self.ok("convert", one, "-o", self.path("a"), "--force", "--dtype", "f16")
        self.assertEqual({t[1] for t in tensors_of(self.path("a/model.safetensors")) if len(t[2]) == 2} - {"F32"},
                         {"F16"})
        self.fails(64, "convert", one, "-o", one, "--force", says="is the folder that is read")

    def test_halves_are_rounded_to_even(self):
        """Against struct's own 'e', which rounds so; bf16 by its definition."""
        values = [random.Random(1).uniform(-4, 4) * 10.0**random.Random(i).randint(-9, 3) for i in range(64)]
        values += [0.0, -0.0, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 2.0**-24, 2.0**-25, 3 * 2.0**-25, 65519.0, 2.0**-14]
        name, _, shape, data = next(t for t in self.tensors if len(t[2]) == 2 and "in_proj" in t[0])
        data = struct.pack(f"<{len(values)}f", *values) + data[4 * len(values):]
        values = struct.unpack(f"<{len(values)}f", data[:4 * len(values)])
        one = self.folder("one")
        self.write("one/pytorch_model.bin", torch_file(
            self.torch, [(name, "F32", shape, data) if t[0] == name else t for t in self.tensors]))
        self.ok("convert", one, "-o", self.path("h"), "--dtype", "f16")
        got = next(t for t in tensors_of(self.path("h/model.safetensors")) if t[0] == name)
        self.assertEqual(got[1], "F16")
        self.assertEqual(got[3][:2 * len(values)], struct.pack(f"<{len(values)}e", *values))
        self.ok("convert", one, "-o", self.path("b"), "--dtype", "bf16")
        got = next(t for t in tensors_of(self.path("b/model.safetensors")) if t[0] == name)
        for v, g in zip(values, struct.unpack(f"<{len(values)}H", got[3][:2 * len(values)])):
            bits = struct.unpack("<I", struct.pack("<f", v))[0]
            self.assertEqual(g, (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
        data = struct.pack("<f", 1e6) + data[4:]
        self.write("one/pytorch_model.bin", torch_file(
            self.torch, [(name, "F32", shape, data) if t[0] == name else t for t in self.tensors]))
        self.fails(65, "convert", one, "-o", self.path("x"), "--dtype", "f16", says="F16 cannot hold")
        self.assertFalse(os.path.exists(self.path("x")))

    def test_the_type_that_the_config_names_is_that_of_the_weights(self):
        one = self.folder("one")
        shutil.copy(os.path.join(MODEL, "model.safetensors"), one)
        with open(os.path.join(MODEL, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        config.update({"note": {"dtype": "int8"}, "dtype": "bfloat16", "torch_dtype": "float16"})
        self.write("one/config.json", json.dumps(config))
        for dtype, name in (("f32", "float32"), ("bf16", "bfloat16")):
            self.ok("convert", one, "-o", self.path(dtype), "--dtype", dtype)
            with open(self.path(f"{dtype}/config.json"), encoding="utf-8") as f:
                self.assertEqual(json.load(f), dict(config, dtype=name, torch_dtype=name))

    def test_a_pickle_that_would_run_something_runs_nothing(self):
        one = self.folder("one")
        shutil.copy(os.path.join(SOURCE, "tests", "fuzz", "corpus", "torch", "bad-system"),
                    self.path("one/pytorch_model.bin"))
        for args in (("inspect", one), ("convert", one, "-o", self.path("x"))):
            self.fails(65, *args, says="asks for 'os.system'")
        self.assertEqual(os.listdir(self.dir), ["one"])

    def test_hf_finds_the_cache_and_downloads_nothing(self):
        repo = "hub/models--org--na-me"
        os.makedirs(self.path(f"{repo}/blobs"))
        os.makedirs(self.path(f"{repo}/refs"))
        os.makedirs(self.path(f"{repo}/snapshots/0a1b"))
        self.write(f"{repo}/refs/main", "0a1b")
        for f in ("config.json", "vocab.txt", "model.safetensors"):
            shutil.copy(os.path.join(MODEL, f), self.path(f"{repo}/blobs/sum-{f}"))
            os.symlink(f"../../blobs/sum-{f}", self.path(f"{repo}/snapshots/0a1b/{f}"))
        here = dict(os.environ, HF_HOME=self.dir)
        here.pop("HF_HUB_CACHE", None)
        want = self.scores(MODEL)
        self.assertEqual(self.scores("hf:org/na-me", env=here), want)
        self.assertEqual(self.scores("hf:org/na-me@0a1b", env=here), want)
        self.assertEqual(self.scores("hf:org/na-me", env=dict(here, HF_HUB_CACHE=self.path("hub"), HF_HOME="/x")), want)
        says = "huggingface-cli download org/other"
        self.fails(66, "inspect", "hf:org/other", says=says, env=here)
        self.fails(66, "convert", "hf:org/other", "-o", self.path("x"), says=says, env=here)
        self.fails(66, "run", "share:pipelines/genomics/score.yaml", "-m", "hf:org/other", "-o", self.path("x.h5"),
                   says=says, env=here)
        self.fails(66, "inspect", "hf:../../etc", says="not a name on the Hugging Face hub", env=here)


if __name__ == "__main__":
    unittest.main()
