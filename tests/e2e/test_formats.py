#!/usr/bin/env python3
"""Weight types and math: what they cost, that they keep the chunk law, and that every output says which ran."""
import array

from support import *

WAYS = [("f32", "f32"), ("bf16", "f32"), ("int8", "f32"), ("bf16", "bf16"), ("int8", "bf16"), ("int8", "int16"),
        ("int8", "int8")]
# Bits per base away from f32/f32 on the stretch below: three times what was measured.
MOST_BITS = {("f32", "f32"): 0, ("bf16", "f32"): 5e-4, ("int8", "f32"): 1.5e-3, ("bf16", "bf16"): 5e-4,
             ("int8", "bf16"): 1.5e-3, ("int8", "int16"): 1.5e-3, ("int8", "int8"): 1.5e-3}


def way_args(dtype, math):
    return ["--set", f"model.dtype={dtype}", "--set", f"model.math={math}"]


def bf16_of(value_bytes):
    """The f32 numbers of `value_bytes` rounded to the nearest bf16, ties to even, as 16-bit integers."""
    bits = array.array("I", value_bytes)
    return array.array("H", ((b + 0x7FFF + (b >> 16 & 1)) >> 16 for b in bits))


class Formats(Scratch):
    def model_folder(self, name, header, data):
        folder = self.path(name)
        os.mkdir(folder)
        for f in ("config.json", "vocab.txt"):
            shutil.copyfile(os.path.join(MODEL, f), os.path.join(folder, f))
        write_safetensors(os.path.join(folder, "model.safetensors"), header, data)
        return folder

    def test_every_level_scores_alike_and_says_what_ran(self):
        for level in levels()[-1:] if SANITIZED else levels():
            path = self.write("in.fa", fasta([("x", heldout_bases(500 if SANITIZED or level == "ref" else 3000))]))
            bits = {}
            for dtype, math in WAYS:
                r = self.score(path, "out.h5", "out.tsv", *way_args(dtype, math), env={"MAMBASEQ_CPU": level})
                row = self.rows()[0]
                bits[dtype, math] = float(row["bits_per_base"])
                kernels = "avx512" if level == "avx512vnni" or (level == "avx512bf16" and math != "bf16") else level
                self.assertEqual((row["arithmetic"], row["dtype"]), (f"cpu/{kernels}/{math}", dtype))
                self.assertIn(f"cpu/{kernels}/{math}, {dtype} weights", r.stderr.decode())
                facts = json.loads(self.ok("inspect", "out.h5", "--json").stdout)
                self.assertEqual((facts["arithmetic"], facts["dtype"]), (f"cpu/{kernels}/{math}", dtype))
            for way in WAYS:
                off = abs(bits[way] - bits["f32", "f32"])
                self.assertLessEqual(off, MOST_BITS[way], f"{level}: {bits}")
                self.assertTrue(off > 0 or way == ("f32", "f32"), f"{level}: {way} changed nothing: {bits}")

    def test_chunk_law(self):
        cuts = (("1", "1"), ("7", "2"), ("1000", "2"), ("65536", "1"))
        for level in levels()[-1:] if SANITIZED else levels()[-2:]:
            plain = level == "ref"  # plain C takes 15 times as long
            path = self.write("in.fa", fasta(mixed_records(heldout_bases(1800 if SANITIZED or plain else 4200))))
            for dtype, math in WAYS[1:]:
                seen = set()
                for chunk, threads in cuts[1::2] if plain else cuts:
                    self.score(path, "out.h5", "out.tsv", "--chunk", chunk, "--threads", threads, *way_args(dtype, math),
                               env={"MAMBASEQ_CPU": level})
                    seen.add((digest(self.path("out.h5")), digest(self.path("out.tsv"))))
                self.assertEqual(len(seen), 1, f"{level} {dtype} {math}")

    def test_a_bf16_folder_under_auto_is_its_widened_twin(self):
        header, data = read_safetensors(os.path.join(MODEL, "model.safetensors"))
        header.pop("__metadata__", None)
        small, wide = {}, {}
        small_data, wide_data = b"", b""
        for name, t in header.items():
            begin, end = t["data_offsets"]
            h = bf16_of(data[begin:end])
            w = array.array("I", (v << 16 for v in h)).tobytes()
            small[name] = {"dtype": "BF16", "shape": t["shape"],
                           "data_offsets": [len(small_data), len(small_data) + 2 * len(h)]}
            wide[name] = {"dtype": "F32", "shape": t["shape"], "data_offsets": [len(wide_data), len(wide_data) + len(w)]}
            small_data += h.tobytes()
            wide_data += w
        folders = {"bf16": self.model_folder("small", small, small_data), "f32": self.model_folder("wide", wide, wide_data)}
        path = self.write("in.fa", fasta([("x", heldout_bases(700))]))
        got = {}
        for dtype, folder in folders.items():
            self.ok("run", "share:pipelines/genomics/score.yaml", "-i", path, "-m", folder, "--set", "model.task=logits",
                    "--set", "writer={plugin: table, path: out.jsonl}", "--force")
            with open(self.path("out.jsonl")) as f:
                rows = [json.loads(line) for line in f]
            self.assertEqual({r.pop("dtype") for r in rows}, {dtype})
            got[dtype] = rows
            facts = json.loads(self.ok("inspect", folder, "--json").stdout)
            self.assertEqual(facts["dtype_auto"], dtype)
        self.assertEqual(len(got["f32"]), 700)
        self.assertEqual(got["bf16"], got["f32"])

    def test_eval_measures_what_run_scores(self):
        path = self.write("in.fa", fasta(mixed_records(heldout_bases(4200))))
        r = json.loads(self.ok("eval", "share:pipelines/genomics/score.yaml", "-i", path, "--json", "--math",
                               "f32,bf16,int16,int8").stdout)
        ways = {(e["dtype"], e["math"]): e for e in r["results"]}
        self.assertEqual(list(ways), WAYS)
        self.assertEqual((ways["f32", "f32"]["difference"], ways["f32", "f32"]["logit_error"]), (0, 0))
        for way, e in ways.items():
            self.score(path, "out.h5", "out.tsv", *way_args(*way))
            rows = [x for x in self.rows() if x["bits_per_base"] != "nan"]
            scored = sum(int(x["scored"]) for x in rows)
            bits = sum(int(x["scored"]) * float(x["bits_per_base"]) for x in rows) / scored
            self.assertEqual((e["scored"], e["tokens"]), (scored, sum(int(x["length"]) for x in self.rows())))
            self.assertLess(abs(e["bits"] - bits), 2e-6)
            self.assertLess(abs(e["difference"] - (e["bits"] - ways["f32", "f32"]["bits"])), 1e-12)
            if way != ("f32", "f32"):
                self.assertGreater(e["logit_error"], 1e-4, "rounded weights cannot give the same logits")
                self.assertLess(e["logit_error"], 5e-2)
        self.assertLess(ways["bf16", "f32"]["weight_bytes"], 0.6 * ways["f32", "f32"]["weight_bytes"])
        self.assertLess(ways["int8", "f32"]["weight_bytes"], 0.6 * ways["bf16", "f32"]["weight_bytes"])
        facts = json.loads(self.ok("inspect", MODEL, "--json").stdout)
        for dtype in ("f32", "bf16", "int8"):
            self.assertEqual(facts[f"bytes_held_{dtype}"], ways[dtype, "f32"]["weight_bytes"])

    def test_eval_stops_at_its_limit_and_keeps_nothing(self):
        path = self.write("in.fa", fasta([("x", heldout_bases(5000)), ("y", "ACGT" * 100)]))
        for limit in ("1", "777", "5100") if SANITIZED else ("1", "777", "5000", "5100", "9999"):
            out = self.ok("eval", "share:pipelines/genomics/score.yaml", "-i", path, "--dtype", "int8", "--math", "f32",
                          "--limit", limit).stdout.decode().splitlines()
            row = dict(zip(out[0].split("\t"), out[1].split("\t")))
            self.assertEqual(row["tokens"], str(min(int(limit), 5400)))
        self.assertEqual(os.listdir(self.dir), ["in.fa"])

    def test_eval_memory_does_not_grow_with_a_record(self):
        if SANITIZED:
            self.skipTest("sanitizers keep freed memory")
        bases = heldout_bases(60000)
        peak = []
        for n in (6000, 60000):
            p = self.start("eval", "share:pipelines/genomics/score.yaml", "-i", self.write("in.fa", fasta([("x", bases[:n])])),
                           "--dtype", "f32,int8", "--math", "f32", "-q", "--threads", "1", "--set", "model.chunk=4096")
            _, status, usage = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(p.returncode, 0, p.stderr.read().decode())
            p.stdout.close()
            p.stderr.close()
            peak.append(usage.ru_maxrss)
        self.assertLess(peak[1], 1.05 * peak[0], f"{peak} KiB")

    def test_a_journal_of_another_way_is_refused(self):
        path = self.write("in.fa", fasta([("x", heldout_bases(4200 if SANITIZED else 60000))]))
        args = self.score_args(path, "got.h5", "got.tsv")
        t0 = time.monotonic()
        self.score(path, "want.h5", "want.tsv", *way_args("int8", "f32"))
        whole = time.monotonic() - t0
        p = self.start(*args, *way_args("int8", "f32"), env={"MAMBASEQ_JOURNAL_EVERY": "0.02"})
        time.sleep(max(0.15, 0.4 * whole))
        p.send_signal(signal.SIGTERM)
        _, err = p.communicate()
        self.assertEqual(p.returncode, 75, err.decode())
        kept = sorted(os.listdir(self.dir))
        for way, says in ((("bf16", "f32"), "was 'int8', now it is 'bf16'"), (("auto", "f32"), "was 'int8', now it is 'f32'"),
                          (("int8", "bf16"), "arithmetic differs: it was 'cpu/")):
            r = self.run_(*args, *way_args(*way), "--resume")
            self.assertEqual(r.returncode, 65, r.stderr.decode())
            self.assertIn(says, r.stderr.decode())
            self.assertEqual(sorted(os.listdir(self.dir)), kept)
        self.ok(*args, *way_args("int8", "f32"), "--resume")
        self.assertEqual((digest(self.path("got.h5")), digest(self.path("got.tsv"))),
                         (digest(self.path("want.h5")), digest(self.path("want.tsv"))))

    def test_what_cannot_be_held(self):
        header, data = read_safetensors(os.path.join(MODEL, "model.safetensors"))
        header.pop("__metadata__", None)
        name = next(n for n in header if n.endswith("layers.1.mixer.in_proj.weight"))
        cols = header[name]["shape"][1]
        at = header[name]["data_offsets"][0] + 5 * cols * 4
        path = self.write("in.fa", ">x\nACGTACGT\n")

        def with_row(folder, values):
            row = struct.pack(f"<{cols}f", *values)
            return self.model_folder(folder, header, data[:at] + row + data[at + 4 * cols:])

        zero = with_row("zero", [0.0] * cols)
        for dtype in ("int8", "bf16"):
            r = self.ok("eval", "share:pipelines/genomics/score.yaml", "-i", path, "-m", zero, "--dtype", dtype, "--json")
            for e in json.loads(r.stdout)["results"]:
                self.assertLess(e["logit_error"], 0.05)
        score = ["run", "share:pipelines/genomics/score.yaml", "-i", path, "--set", "writer={plugin: table, path: out.tsv}"]
        for folder, value in (("nan", float("nan")), ("inf", float("-inf"))):
            bad = with_row(folder, [1.0] * (cols - 1) + [value])
            for dtype in ("f32", "bf16", "int8"):
                self.fails(65, *score, "-m", bad, *way_args(dtype, "f32"), says=(name, "not finite"))
        large = with_row("large", [1.0] * (cols - 1) + [3.4e38])
        self.fails(65, *score, "-m", large, *way_args("bf16", "f32"), says=(name, "cannot be held as bf16", "f32"))
        for word in ("fp16", "int4", "q8_0", "INT8"):
            self.fails(78, *score, "--set", f"model.dtype={word}", says=("auto, f32, bf16 or int8", word))
        self.fails(78, *score, "--set", "model.math=f64", says="f32, bf16, int16 or int8")
        for dtype in ("auto", "f32", "bf16"):
            self.fails(78, *score, *way_args(dtype, "int16"), says=("int8 weights alone", "dtype int8"))


class Fasta(Scratch):
    """The writer `fasta`: what a reader gave comes back, and what a model generated can be read again."""

    def test_what_was_read_comes_back(self):
        records = [r for r in mixed_records(heldout_bases(5000)) if r[1]]
        path = self.write("in.fa", fasta(records))
        with open(path, "rb") as f:
            whole = f.read()
        self.write("copy.yaml", "mambaseq: 1\nreader: {plugin: fasta, path: in.fa}\nwriter: {plugin: fasta, path: out.fa}\n")
        for chunk in ("1", "61", "100000"):
            self.ok("run", "copy.yaml", "-q", "--force", "--chunk", chunk)
            with open(self.path("out.fa"), "rb") as f:
                self.assertEqual(f.read(), whole)
        r = self.ok("run", "copy.yaml", "-q", "-o", "-", "--set", "writer.width=0")
        self.assertEqual(r.stdout.decode(), "".join(f">{n}\n{s}\n" for n, s in records))
        self.fails(78, "run", "copy.yaml", "-o", "out.fa.gz", says=["not compressed", "bgzip"])

    def test_generated_letters(self):
        args = ["run", "share:pipelines/genomics/generate.yaml", "-q", "--set", "model.max_new_tokens=130", "--set",
                "model.num_samples=2", "--set", "writer={plugin: fasta, path: g.fa}"]
        self.ok(*args)
        with open(self.path("g.fa")) as f:
            lines = f.read().splitlines()
        self.assertEqual([len(x) for x in lines if x[0] != ">"], [60, 60, 10] * 2)
        self.assertEqual([i for i, x in enumerate(lines) if x[0] == ">"], [0, 4])


if __name__ == "__main__":
    main()
