#!/usr/bin/env python3
"""Text in and out: readers, codecs, writers."""
from support import *

TOKENIZER = os.path.join(SOURCE, "tests", "data", "text", "tokenizer.json")


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

    def encode(self, texts, *more):
        """Ids and places of each text, through codec bpe."""
        try:
            import h5py
        except ImportError:
            self.skipTest("no h5py")
        os.makedirs(self.path("t"), exist_ok=True)
        for i, t in enumerate(texts):
            self.write(f"t/{i:04}.txt", t if isinstance(t, bytes) else t.encode())
        self.ok("run", "share:pipelines/text/tokens.yaml", "-q", "--force", "--set",
                f"reader={{plugin: text, path: '{self.path('t')}/*.txt'}}", "--set",
                f"codec={{plugin: bpe, vocab: {TOKENIZER}}}", "--set", "writer={plugin: hdf5, path: t.h5}", *more)
        with h5py.File(self.path("t.h5")) as f:
            at = f["records/offset"][:]
            ids, places = f["tokens"][:].tolist(), f["interval"][:].tolist()
        return [(ids[a:b], places[a:b]) for a, b in zip(at, at[1:])]

    def test_bpe_gives_the_ids_of_the_tokenizers_library(self):
        with open(os.path.join(SOURCE, "tests", "data", "text", "ids.json"), encoding="utf-8") as f:
            cases = json.load(f)
        for case, (ids, places) in zip(cases, self.encode([c["text"] for c in cases])):
            self.assertEqual(ids, case["ids"], case["text"][:80])
            size = len(case["text"].encode())
            self.assertEqual(places[0][0] if ids else 0, 0)
            self.assertEqual(places[-1][1] if ids else size, size)
            for (a, b), (c, d) in zip(places, places[1:]):
                self.assertTrue(a <= c and a <= b <= d, f"{(a, b)} {(c, d)}")

    def test_what_bpe_does_not_read(self):
        args = ["run", "share:pipelines/text/tokens.yaml", "-q"]
        with open(TOKENIZER, encoding="utf-8") as f:
            good = json.load(f)
        for change, says in (({"normalizer": {"type": "Lowercase"}}, "'normalizer' is Lowercase"),
                             ({"pre_tokenizer": {"type": "Whitespace"}}, "'pre_tokenizer' is Whitespace"),
                             ({"model": dict(good["model"], type="WordPiece")}, "'model' is WordPiece"),
                             ({"model": dict(good["model"], merges=["q zz"])}, "the merge of 'q' and 'zz'"),
                             ({"model": dict(good["model"], vocab=dict(good["model"]["vocab"], zq=2**63 - 1))},
                              "the id of 'zq' is 9223372036854775807"),
                             ({"added_tokens": [{"id": -1, "content": "<x>"}]}, "the id of '<x>' is -1"),
                             ({"model": dict(good["model"], vocab={"a": 1})}, "the merge of|no token for the byte")):
            path = self.write("bad.json", json.dumps(dict(good, **change)))
            text = self.fails(65, *args, "--set", f"codec={{plugin: bpe, vocab: {path}}}")
            self.assertTrue(any(s in text for s in says.split("|")), text)
        around = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}]}
        path = self.write("bad.json", json.dumps(dict(good, post_processor=around)))
        self.fails(78, *args, "--set", f"codec={{plugin: bpe, vocab: {path}}}", says="special_tokens: none leaves it out")
        self.ok(*args, "--set", f"codec={{plugin: bpe, vocab: {path}, special_tokens: none}}")
        self.fails(66, *args, "--set", "codec={plugin: bpe}", says="no tokenizer.json")
        bad = self.write("latin.txt", b"caf\xe9")
        self.fails(65, *args, "-i", bad, "--set", f"codec={{plugin: bpe, vocab: {TOKENIZER}}}", says="byte 4: not UTF-8")

    def test_a_model_is_driven_by_text(self):
        """A folder with tokenizer.json: score and generate, whatever the chunk."""
        self.ok("model", "init", "tiny", "-o", self.path("m"), "-q", "--set", "vocab=640")
        shutil.copy(TOKENIZER, self.path("m/tokenizer.json"))
        args = ["run", "share:pipelines/text/tokens.yaml", "-q", "--set", "reader={plugin: text, text: 'how it is run'}",
                "--set", "codec={plugin: bpe}"]
        made = [self.ok(*args, "--set", "model={path: m, task: generate, max_new_tokens: 20, temperature: 0}", "--set",
                        "writer={plugin: text, path: '-'}", *more).stdout for more in ([], ["--chunk", "1"])]
        self.assertEqual(made[0], made[1])
        self.assertTrue(made[0])
        rows = self.ok(*args, "--set", "model={path: m, task: score}").stdout.decode().splitlines()
        self.assertIn("bits_per_token", rows[0])

    def test_a_fresh_model_keeps_the_tokenizer_that_it_was_trained_with(self):
        """What stands beside a named tokenizer.json is read with it, goes into the folder, and is what the folder runs by."""
        with open(TOKENIZER, encoding="utf-8") as f:
            plain = json.load(f)
        bos = plain["added_tokens"][0]["content"]
        config = {"tokenizer_class": "GPTNeoXTokenizerFast", "add_bos_token": True, "bos_token": bos, "eos_token": bos,
                  "unk_token": bos}
        os.makedirs(self.path("t"))
        self.write("t/tokenizer.json", json.dumps(plain))
        self.write("t/special_tokens_map.json", json.dumps({"bos_token": bos}))
        text = self.write("in.txt", "how it is run, and then some words more than that. " * 4)
        self.write("s.yaml", "d_model: 8\nn_layer: 1\nvocab: 640\n")
        recipe = ("mambaseq: 1\nreader: {plugin: text, path: in.txt}\ncodec: {plugin: bpe, vocab: t/tokenizer.json}\nmodel: {init: s.yaml}\n"
                  "train: {loss: causal, window: 8, batch_tokens: 8, steps: 1, split: {held_out: 0}}\noutput: {path: m}\n")
        self.write("r.yaml", recipe)
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: text, path: in.txt}\nmodel: {path: m, task: score}\nwriter: {plugin: table, path: '-'}\n")
        code = dict(config, auto_map={"AutoTokenizer": ["x.X", None]})
        for own, special, bare, same in ((None, "auto", True, True), (config, "auto", False, True), (config, "none", True, False),
                                         (code, "auto", False, False)):
            if own:
                self.write("t/tokenizer_config.json", json.dumps(own))
            more = ["--set", f"codec.special_tokens={special}"]
            self.ok("train", "r.yaml", "-q", "--force", *more)
            self.ok("train", "r.yaml", "-q", "--force", *more, "--set", "codec.isolate=true", "-o", "apart")
            names = [n for n in sorted(os.listdir(self.path("m"))) if "token" in n]
            self.assertEqual(names, ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"])
            self.assertEqual([digest(self.path(f"m/{n}")) for n in names], [digest(self.path(f"apart/{n}")) for n in names])
            with open(self.path("m/tokenizer.json")) as f:
                wrote = json.load(f)
            self.assertEqual(wrote == plain, same)
            self.assertEqual(dict(wrote, post_processor=None), dict(plain, post_processor=None))
            with open(self.path("m/tokenizer_config.json")) as f:
                wrote = json.load(f)
            self.assertEqual(wrote == own, same and own is not None)
            self.assertEqual(wrote["tokenizer_class"], own["tokenizer_class"] if same and own else "PreTrainedTokenizerFast")
            first, row = self.ok("run", "p.yaml", "-q").stdout.decode().splitlines()
            row = dict(zip(first.split("\t"), row.split("\t")))
            self.assertEqual(int(row["scored"]), int(row["length"]) - bare, "a first token with one in front of it is scored")
            self.assertEqual(self.ok("run", "p.yaml", "-q", "--set", "codec={plugin: bpe}").stdout.decode().splitlines()[1],
                             self.ok("run", "p.yaml", "-q").stdout.decode().splitlines()[1])
        self.fails(78, "run", "p.yaml", "-q", "--set", "codec={plugin: bytes}", says=("codec 'bpe'", "preprocessor_config.json"))
        for broken in ('{"add_bos_token": tru', "[]", ""):
            self.write("t/tokenizer_config.json", broken)
            self.fails(65, "train", "r.yaml", "-q", "-o", "no", says=("tokenizer_config.json beside t/tokenizer.json: not a JSON object",))
            self.assertFalse(os.path.exists(self.path("no")))
            self.write("m/tokenizer_config.json", broken)
            self.fails(65, "run", "p.yaml", "-q", says=("tokenizer_config.json of the model's folder: not a JSON object",))

    def test_a_model_of_bytes_keeps_their_offset(self):
        self.write("in.txt", "how it is run, and then some words more than that. " * 4)
        self.write("s.yaml", "d_model: 8\nn_layer: 1\nvocab: 259\n")
        self.write("r.yaml", "mambaseq: 1\nreader: {plugin: text, path: in.txt}\ncodec: {plugin: bytes, offset: 3}\nmodel: {init: s.yaml}\n"
                   "train: {loss: causal, window: 8, batch_tokens: 8, steps: 1, split: {held_out: 0}}\noutput: {path: m}\n")
        self.ok("train", "r.yaml", "-q")
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: text, path: in.txt}\nmodel: {path: m, task: score}\nwriter: {plugin: table, path: '-'}\n")
        want = self.ok("run", "p.yaml", "-q").stdout
        for codec in ("{plugin: bytes}", "{plugin: bytes, offset: 3}"):
            self.assertEqual(self.ok("run", "p.yaml", "-q", "--set", f"codec={codec}").stdout, want)
        self.fails(78, "run", "p.yaml", "-q", "--set", "codec={plugin: bytes, offset: 0}", says="'offset' is 0, and the model was trained with 3")


if __name__ == "__main__":
    unittest.main()
