#!/usr/bin/env python3
"""special_tokens: what a model's own tokenizer puts around a record is fed and never written."""
from support import *

try:
    import h5py
    import numpy as np
except ImportError:
    h5py = None

IDS = {"A": 7, "C": 8, "G": 9, "T": 10, "N": 11}
TOKENIZER = os.path.join(SOURCE, "tests", "data", "text", "tokenizer.json")


@unittest.skipUnless(h5py, "no h5py")
class Special(Scratch):
    """The same as ids with those tokens among them, less their rows."""

    def setUp(self):
        super().setUp()
        s = heldout_bases(900)
        self.records = [("a", s[:300]), ("none", ""), ("one", "G"), ("b", s[300:350] + "NNR" + s[350:700]), ("c", "ACGTT")]
        self.write("in.fa", fasta(self.records))

    def folder(self, name, tokenizer):
        self.ok("model", "init", "tiny", "-o", name, "--set", "vocab=16", "--seed", "3")
        self.write(f"{name}/tokenizer_config.json", json.dumps(tokenizer))

    def ids(self, before, after):
        for i, (_, seq) in enumerate(self.records):
            ids = [IDS.get(c, 6) for c in seq]
            np.save(self.path(f"r{i}.npy"), np.array(before + ids + after if ids else [], np.int32))
        return [self.path(f"r{i}.npy") for i in range(len(self.records))]

    def rows(self, model, task, dataset, *more, reader=None, h5="o.h5"):
        source = (["--set", f"reader={{plugin: tokens, path: {json.dumps(reader)}}}", "--set", "codec=null"] if reader else
                  ["-i", "in.fa"])
        self.ok("run", "share:pipelines/genomics/score.yaml", "-q", "--force", *source, "--set",
                f"model={{path: {model}, task: {task}}}", "--set", f"writer={{plugin: hdf5, path: {h5}}}", *more)
        with h5py.File(self.path(h5)) as f:
            at = f["records/offset"][:] if task != "classify" else None
            all_rows = f[dataset][:]
            return [all_rows[a:b] for a, b in zip(at, at[1:])] if at is not None and len(at) else list(all_rows)

    def check(self, model, before, after):
        files = self.ids(before, after)
        for task, dataset in (("score", "score/logprob"), ("logits", "logits"), ("embed", "embedding")):
            want = self.rows(model, task, dataset, reader=files)
            for more in ((), ("--chunk", "1"), ("--chunk", "97"), ("--threads", "1")):
                got = self.rows(model, task, dataset, *more)
                for (name, seq), g, w in zip(self.records, got, want):
                    self.assertEqual(len(g), len(seq))
                    w = w[len(before):len(before) + len(seq)].copy()
                    if task == "score":
                        w[[c not in "ACGT" for c in seq]] = np.nan
                        self.assertEqual(bool(len(g) and np.isnan(g[0])), bool(seq) and not before, name)
                    self.assertTrue(np.array_equal(g, w, equal_nan=True), (task, name, more))
            bare = self.rows(model, task, dataset, "--set", "codec.special_tokens=none")
            same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(bare, want)) if not before else None
            self.assertFalse(same and before)

    def test_tokens_in_front_and_behind(self):
        self.folder("m", {"tokenizer_class": "CharacterTokenizer"})
        self.check("m", [0], [1])

    def test_a_token_behind(self):
        self.folder("m", {"tokenizer_class": "HyenaDNATokenizer"})
        self.check("m", [], [1])

    def test_the_mean_is_of_the_records_own_symbols(self):
        self.folder("m", {"tokenizer_class": "CharacterTokenizer"})
        rows = self.rows("m", "embed", "embedding", reader=self.ids([0], [1]))
        got = self.rows("m", "embed, pool: mean", "embedding")
        for (name, seq), g, r in zip(self.records, got, rows):
            own = r[1:-1][[c in "ACGT" for c in seq]] if seq else r
            if len(own):
                self.assertTrue(np.allclose(g[0], own.mean(axis=0), atol=1e-6), name)
            else:
                self.assertTrue(np.isnan(g).all())

    def test_a_prompt_has_what_is_in_front_alone(self):
        """Each letter is the likeliest behind [CLS], the prompt and the letters before it; no [SEP] ends the prompt."""
        self.folder("m", {"tokenizer_class": "CharacterTokenizer"})
        for prompt in ("ACGTACCA", ""):
            self.write("p.fa", f">a\n{prompt}\n")
            self.ok("run", "share:pipelines/genomics/generate.yaml", "-q", "--force", "-i", "p.fa", "--set",
                    "model={path: m, task: generate, max_new_tokens: 30, top_k: 1}", "--set",
                    "writer={plugin: hdf5, path: o.h5}")
            with h5py.File(self.path("o.h5")) as f:
                new = f["generated/token"][:].tolist()
            np.save(self.path("p.npy"), np.array([0] + [IDS[c] for c in prompt] + new, np.int32))
            rows = self.rows("m", "logits", "logits", reader=self.path("p.npy"))[0]
            self.assertEqual([7 + int(np.argmax(r[7:11])) for r in rows[len(prompt):-1]], new)

    def test_edits_and_fills_stand_behind_what_is_in_front(self):
        """Tasks mutate, variant and impute at the first letter and elsewhere: sums of what task score gives."""
        self.folder("m", {"tokenizer_class": "CharacterTokenizer"})
        s = "ACGTTGA"
        self.records = [(f"{p}{x}", s[:p] + x + s[p + 1:]) for p in (0, 3) for x in "ACGT"]
        self.write("in.fa", fasta(self.records))
        likely = {name: float(lp.sum()) for (name, _), lp in zip(self.records, self.rows("m", "score", "score/logprob"))}
        self.write("s.fa", fasta([("s", s)]))
        self.write("v.vcf", "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" +
                   "".join(f"s\t{p + 1}\t.\t{s[p]}\t{','.join(x for x in 'ACGT' if x != s[p])}\t.\t.\t.\n" for p in (0, 3)))
        base = ["run", "share:pipelines/genomics/score.yaml", "-q", "--force", "--set", "writer={plugin: table, path: out.tsv}"]
        self.ok(*base, "-i", "s.fa", "--set", "model={path: m, task: mutate, window: 9}")
        for p in (0, 3):
            for x in "ACGT":
                self.assertAlmostEqual(float(Scratch.rows(self)[p][x]), likely[f"{p}{x}"] - likely[f"{p}{s[p]}"], delta=1e-4)
        self.ok(*base, "--set", "reader={plugin: vcf, path: v.vcf, reference: s.fa}", "--set",
                "model={path: m, task: variant, window: 9, strand: '+'}")
        got = [float(r["llr"]) for r in Scratch.rows(self)]
        want = [likely[f"{p}{x}"] - likely[f"{p}{s[p]}"] for p in (0, 3) for x in "ACGT" if x != s[p]]
        self.assertTrue(np.allclose(got, want, atol=1e-4), (got, want))
        for p in (0, 3):
            self.write("n.fa", fasta([("n", s[:p] + "N" + s[p + 1:])]))
            self.ok("run", "share:pipelines/genomics/impute.yaml", "-q", "--force", "-i", "n.fa", "-m", "m", "-o", "full.fa",
                    "--set", "writer.vcf.path=full.vcf", "--set", "model.window=9")
            best = max("ACGT", key=lambda x: likely[f"{p}{x}"])
            self.assertEqual(self.read("full.fa").split()[1], s[:p] + best + s[p + 1:])

    def test_where_they_are_told(self):
        """tokenizer.json, switches, and tokens that are not there."""
        self.folder("m", {"add_bos_token": True, "bos_token": {"content": "[BOS]"}, "add_eos_token": True,
                          "eos_token": "[SEP]"})
        self.check("m", [2], [1])
        self.write("m/tokenizer_config.json", '{"tokenizer_class": "PreTrainedTokenizerFast"}')
        vocab = {t: i for i, t in enumerate("[CLS] [SEP] [BOS] [MASK] [PAD] [RESERVED] [UNK] A C G T N".split())}
        two = {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"SpecialToken": {"id": "pair", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [0], "tokens": ["[CLS]"]},
                               "[SEP]": {"id": "[SEP]", "ids": [1], "tokens": ["[SEP]"]},
                               "pair": {"id": "pair", "ids": [2, 5], "tokens": ["[BOS]", "[RESERVED]"]}}}
        for post, before, after in ((two, [0, 2, 5], [1]),
                                    ({"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]}, [0], [1]),
                                    ({"type": "Sequence", "processors": [{"type": "ByteLevel"}, two]}, [0, 2, 5], [1])):
            self.write("m/tokenizer.json", json.dumps({"model": {"type": "WordLevel", "vocab": vocab},
                                                       "post_processor": post}))
            self.check("m", before, after)
        os.remove(self.path("m/tokenizer.json"))
        run = ["run", "share:pipelines/genomics/score.yaml", "-m", "m", "-i", "in.fa", "--set",
               "writer={plugin: table, path: '-'}"]
        for config, says in (({"add_bos_token": True, "bos_token": "<s>"}, "<s>"),
                             ({"add_eos_token": True}, "eos_token"),
                             ({"tokenizer_class": "LlamaTokenizer", "bos_token": "<x>"}, "<x>")):
            self.write("m/tokenizer_config.json", json.dumps(config))
            self.fails(78, *run, says=says)
            self.ok(*run, "--set", "codec.special_tokens=none")

    def test_codec_bpe(self):
        with open(TOKENIZER, encoding="utf-8") as f:
            good = json.load(f)
        ids = [good["added_tokens"][0]["id"], 5]
        post = {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"x": {"id": "x", "ids": ids, "tokens": ["a", "b"]}}}
        self.write("t.json", json.dumps(dict(good, post_processor=post)))
        size = max(list(good["model"]["vocab"].values()) + [t["id"] for t in good["added_tokens"]]) + 1
        self.ok("model", "init", "tiny", "-o", "m", "--set", f"vocab={size}")
        text = "Some words, and \N{GRINNING FACE} more."
        self.write("in.txt", text)
        base = ["run", "share:pipelines/text/tokens.yaml", "-q", "--force", "--set", "writer={plugin: hdf5, path: o.h5}"]
        codec = ["-i", "in.txt", "--set", f"codec={{plugin: bpe, vocab: {self.path('t.json')}}}"]
        self.ok(*base, *codec)
        with h5py.File(self.path("o.h5")) as f:
            own = f["tokens"][:]
        np.save(self.path("ids.npy"), np.concatenate([ids, own]).astype(np.int32))
        model = ["--set", "model={path: m, task: score}"]
        self.ok(*base, *codec, *model)
        with h5py.File(self.path("o.h5")) as f:
            got = f["score/logprob"][:]
        self.ok(*base, *model, "--set", "reader={plugin: tokens, path: ids.npy}", "--set", "codec=null")
        with h5py.File(self.path("o.h5")) as f:
            self.assertTrue(np.array_equal(got, f["score/logprob"][:][len(ids):]))


@unittest.skipUnless(h5py, "no h5py")
class Kmer(Scratch):
    """Codec kmer against the plain way in Python."""

    def encode(self, seq, k, stride, table, unk):
        rows, at = [], 0
        for i in range(0, len(seq) - k + 1, stride):
            word = seq[i:i + k].upper().replace("U", "T")
            rows.append((table.get(word, unk) if set(word) <= set("ACGT") else unk, at, i + k))
            at = i + k
        return rows

    def test_ids_places_and_back(self):
        s = heldout_bases(700)
        records = [("a", s[:301]), ("short", "ACG"), ("none", ""), ("b", s[301:420] + "NNRn" + s[420:500].lower()), ("c", s[500:506])]
        fa = self.write("in.fa", fasta(records))
        order = "ATCG"
        own = {"TTT": 3, "ACG": 4, "aca": 5, "CGT": 6, "GGG": 7, "AAA": 8}
        words = ["[PAD]", "[UNK]", "x", "TTT", "ACG", "aca", "CGT", "GGG", "AAA"]
        self.write("v.txt", "\n".join(words))
        for k, stride, vocab in ((6, 1, "generated"), (6, 6, "generated"), (3, 2, "generated"), (1, 1, "generated"),
                                 (3, 1, "v.txt"), (3, 3, "v.txt")):
            table = {w.upper(): i for w, i in own.items()} if vocab == "v.txt" else {
                "".join(order[i >> 2 * p & 3] for p in range(k - 1, -1, -1)): 5 + i for i in range(4 ** k)}
            codec = f"codec={{plugin: kmer, k: {k}, stride: {stride}, vocab: {vocab}}}"
            base = ["run", "share:pipelines/text/tokens.yaml", "-q", "--force", "--set", f"reader={{plugin: fasta, path: {fa}}}",
                    "--set", codec]
            self.ok(*base, "--set", "writer={plugin: hdf5, path: t.h5}")
            with h5py.File(self.path("t.h5")) as f:
                at = f["records/offset"][:]
                ids, places = f["tokens"][:].tolist(), f["interval"][:].tolist()
            for (name, seq), a, b in zip(records, at, at[1:]):
                want = self.encode(seq, k, stride, table, 1)
                got = [(i, x, y) for i, (x, y) in zip(ids[a:b], places[a:b])]
                self.assertEqual(got, want, (k, stride, name))

    def test_a_model_scores_them_whatever_the_chunk(self):
        fa = self.write("in.fa", fasta([("a", heldout_bases(300)), ("b", "ACGTNNACGTACGT")]))
        self.ok("model", "init", "tiny", "-o", "m", "--set", "vocab=80")
        self.write("m/tokenizer_config.json", '{"tokenizer_class": "DNATokenizer"}')
        run = ["run", "share:pipelines/genomics/score.yaml", "-q", "--force", "-m", "m", "-i", fa, "--set",
               "codec={plugin: kmer, k: 3}"]
        got = []
        for chunk in ("65536", "1", "50"):
            self.ok(*run, "--chunk", chunk, "--set", "writer=[{plugin: hdf5, path: o.h5}, {plugin: table, path: o.tsv}]")
            got.append((digest(self.path("o.h5")), digest(self.path("o.tsv"))))
        self.assertEqual(len(set(got)), 1)
        with h5py.File(self.path("o.h5")) as f:
            lp = f["score/logprob"][:]
        self.assertEqual(np.isnan(lp[:298]).sum(), 0, "[CLS] predicts the first")
        self.assertEqual(np.isnan(lp[298:]).tolist(), [False] * 2 + [True] * 4 + [False] * 6)

    def test_what_is_generated_goes_on_with_the_prompt(self):
        self.ok("model", "init", "tiny", "-o", "m", "--set", "vocab=72")
        for k, stride in ((3, 1), (3, 3), (2, 1)):
            fa = self.write("p.fa", fasta([("a", "ACGTACGTT"[:9])]))
            self.ok("run", "share:pipelines/genomics/generate.yaml", "-q", "--force", "-i", fa, "--set",
                    "model={path: m, task: generate, max_new_tokens: 20, seed: 2}", "--set",
                    f"codec={{plugin: kmer, k: {k}, stride: {stride}}}", "--set", "writer={plugin: hdf5, path: o.h5}")
            with h5py.File(self.path("o.h5")) as f:
                self.assertEqual(len(f["generated/sequence"][:]), 20 * stride, (k, stride))

    def test_what_is_refused(self):
        fa = self.write("in.fa", ">a\nACGTNAC\n")
        base = ["run", "share:pipelines/text/tokens.yaml", "-q", "--set", f"reader={{plugin: fasta, path: {fa}}}"]
        self.write("v.txt", "ACG\nCGT\n")
        for more, code, says in (("k: 2, stride: 3", 78, "a token has 2 letters"), ("k: 11", 78, "k"),
                                 ("k: 3, iupac: error", 65, "position 5"), ("vocab: v.txt", 65, "no [UNK]"),
                                 ("vocab: v.txt, k: 4", 65, "has no token of 4 letters"), ("vocab: none.txt", 66, "cannot be opened")):
            self.fails(code, *base, "--set", f"codec={{plugin: kmer, {more}}}", says=says)

    def test_files_of_a_vocabulary_of_other_spellings(self):
        """What the normalizer of tokenizer.json leaves of a sequence is in its vocabulary, by the id that the codec gives;
        a codec in a process of its own gives the same files."""
        self.write("in.fa", fasta([("a", "AUGaugCCCTTTNNNTTAugu" * 3)]))
        self.write("v.txt", "[PAD]\n[UNK]\nAUG\nATG\nccc\nTTT\nuuu\nx\n")
        self.write("s.yaml", "d_model: 8\nn_layer: 1\nvocab: 8\n")
        self.write("t.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: kmer, k: 3, stride: 3, vocab: v.txt}\n"
                   "model: {init: s.yaml}\ntrain: {loss: causal, window: 4, batch_tokens: 8, steps: 1, split: {held_out: 0}}\n")
        self.ok("train", "t.yaml", "-q", "-o", "m")
        self.ok("train", "t.yaml", "-q", "-o", "apart", "--set", "codec.isolate=true")
        names = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
        self.assertEqual([digest(self.path(f"m/{n}")) for n in names], [digest(self.path(f"apart/{n}")) for n in names])
        with open(self.path("m/tokenizer.json")) as f:
            vocab = json.load(f)["model"]["vocab"]
        self.assertEqual(vocab, {"[PAD]": 0, "[UNK]": 1, "ATG": 2, "AUG": 3, "CCC": 4, "TTT": 5, "uuu": 6, "x": 7})

    def test_files_of_letters(self):
        """A shape without `vocab: dna`: the codec's own letters go into the folder, whatever they are."""
        self.write("in.fa", fasta([("a", "ACGUTNRacgtunr" * 6)]))
        self.write("s.yaml", "d_model: 8\nn_layer: 1\nvocab: 16\n")
        self.write("v.txt", "[UNK]\nT\ng\nA\nC\nU\nA\nlong\n")
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\nmodel: {path: m, task: score}\nwriter: {plugin: hdf5, path: o.h5}\n")
        for vocab, tokens in (("auto", 12), ("songlab", 7), ("v.txt", 8)):
            recipe = ("mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: bases, vocab: %s}\nmodel: {init: s.yaml}\n"
                      "train: {loss: causal, window: 4, batch_tokens: 8, steps: 1, split: {held_out: 0}}\n" % vocab)
            self.write("t.yaml", recipe)
            self.ok("train", "t.yaml", "-q", "-o", "m", "--force")
            with open(self.path("m/tokenizer.json")) as f:
                doc = json.load(f)
            self.assertEqual(sorted(doc["model"]["vocab"].values()), list(range(tokens)), vocab)
            self.assertNotIn("preprocessor_config.json", os.listdir(self.path("m")))
            scores = []
            for more in ((), ("--set", f"codec={{plugin: bases, vocab: {vocab}}}")):
                self.ok("run", "p.yaml", "-q", "--force", *more)
                with h5py.File(self.path("o.h5")) as f:
                    scores.append(f["score/logprob"][:])
            self.assertTrue(np.array_equal(*scores, equal_nan=True), vocab)
        self.assertEqual(doc["model"]["vocab"], {"[UNK]": 0, "T": 1, "g": 2, "A": 3, "C": 4, "U": 5, "[id 6]": 6, "long": 7})
        replaced = {n["pattern"]["String"]: n["content"] for n in doc["normalizer"]["normalizers"]}
        self.assertEqual(replaced, {"G": "g", "U": "T", "a": "A", "c": "C", "t": "T", "u": "T"})

    def test_a_model_keeps_its_stretches(self):
        """k and stride are those that a model was trained with; no others run, nor another codec."""
        self.write("in.fa", fasta([("a", "ACGTTGCATGCCAGTA" * 6)]))
        self.write("s.yaml", "d_model: 8\nn_layer: 1\nvocab: 69\n")
        self.write("t.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\ncodec: {plugin: kmer, k: 3, stride: 2}\n"
                   "model: {init: s.yaml}\ntrain: {loss: causal, window: 4, batch_tokens: 8, steps: 1, split: {held_out: 0}}\n")
        self.ok("train", "t.yaml", "-q", "-o", "m")
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\nmodel: {path: m, task: score}\n"
                   "writer: {plugin: table, path: '-'}\n")
        want = self.ok("run", "p.yaml", "-q").stdout
        self.assertIn(b"\t47\t46\t", want)  # (96 - 3) / 2 + 1 tokens, less the first
        for codec in ("{plugin: kmer}", "{plugin: kmer, stride: 2}", "{plugin: kmer, k: 3, iupac: error}"):
            self.assertEqual(self.ok("run", "p.yaml", "-q", "--set", f"codec={codec}").stdout, want, codec)
        for codec, says in (("{plugin: kmer, stride: 1}", "'stride' is 1, and the model was trained with 2"),
                            ("{plugin: kmer, k: 2}", "'k' is 2, and the model was trained with 3"),
                            ("{plugin: bases}", "the model was trained with codec 'kmer'")):
            self.fails(78, "run", "p.yaml", "-q", "--set", f"codec={codec}", says=(says, "preprocessor_config.json"))
        self.write("in.txt", "words\n")
        self.fails(78, "run", "p.yaml", "-q", "--set", "reader={plugin: text, path: in.txt}",
                   says=("trained on bases/u8 with codec 'kmer'", "gives text/u8"))
        # A training that goes on from it takes them over.
        self.ok("train", "t.yaml", "-q", "-o", "on", "--set", "model={path: m}", "--set", "codec={plugin: kmer}")
        with open(self.path("on/preprocessor_config.json")) as f:
            self.assertEqual(json.load(f), {"mambaseq_codec": "kmer", "mambaseq_codec_params": {"k": 3, "stride": 2}})
        self.fails(78, "train", "t.yaml", "-q", "-o", "no", "--set", "model={path: m}", "--set", "codec.stride=3", says="trained with 2")


if __name__ == "__main__":
    main()
