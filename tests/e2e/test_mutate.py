#!/usr/bin/env python3
"""mutate: every number is the difference of two streams, and no cut can be seen."""
from support import *

MUTATE = "share:pipelines/genomics/mutate.yaml"


class Mutate(Scratch):
    def mutate(self, text, window, out, *more):
        self.write("m.fa", text)
        r = self.ok("run", MUTATE, "-q", "--force", "--set", f"reader={{plugin: fasta, path: {self.path('m.fa')}}}", "--set",
                    f"model.window={window}", "--set", f"writer.hdf5.path={out}", *more)
        lines = r.stdout.decode().splitlines()
        return [[float(x) for x in line.split("\t")[4:8]] for line in lines[1:]]

    def logprobs(self, records):
        self.write("s.fa", fasta(records))
        r = self.ok("run", "share:pipelines/genomics/score.yaml", "-q", "-i", self.path("s.fa"), "--set",
                    "writer={plugin: bedgraph, path: '-'}")
        found = {}
        for line in r.stdout.decode().splitlines():
            if not line.startswith(("#", "track")):
                name, start, end, value = line.split("\t")
                for i in range(int(start), int(end)):
                    found[name, i] = float(value)
        return found

    def test_it_is_the_difference_of_two_streams(self):
        s = heldout_bases(120)
        s = s[:60] + "N" + s[61:]
        window = 20
        rows = self.mutate(fasta([("r", s)]), window, "a.h5")
        self.assertEqual(len(rows), 120)
        rng = random.Random(5)
        tried = [(p, k) for p in rng.sample(range(1, 120), 20) + [119] for k in range(4)]
        changed = [(f"{p}.{k}", s[:p] + "ACGT"[k] + s[p + 1:]) for p, k in tried if s[p] != "N"]
        found = self.logprobs([("r", s)] + changed)
        self.assertTrue(all(math.isnan(x) for x in rows[0] + rows[60]))
        for p, k in tried:
            if s[p] == "N":
                continue
            here = [i for i in range(p, min(p + window + 1, 120)) if s[i] != "N"]
            want = sum(found[f"{p}.{k}", i] - found["r", i] for i in here)
            self.assertAlmostEqual(rows[p][k], want, delta=2e-4, msg=f"{p} {k}")
            if s[p] == "ACGT"[k]:
                self.assertEqual(rows[p][k], 0)

    def test_no_cut_can_be_seen(self):
        text = fasta([("a", heldout_bases(90)), ("none", ""), ("b", "ACGTNNACGT")])
        made = {(str(self.mutate(text, 30, f"{i}.h5", *more)), digest(self.path(f"{i}.h5")))
                for i, more in enumerate(([], ["--chunk", "1"], ["--chunk", "13", "--threads", "1"]))}
        self.assertEqual(len(made), 1)

    def test_the_picture(self):
        import xml.dom.minidom
        self.write("m.fa", fasta([("a<&b", heldout_bases(25)), ("none", "")]))
        args = ["run", MUTATE, "-q", "--set", f"reader={{plugin: fasta, path: {self.path('m.fa')}, regions: 'a<&b:6-25'}}",
                "--set", "model.window=5"]
        r = self.ok(*args, "--set", "writer=[{plugin: heatmap, path: a.svg, wrap: 15}, {plugin: table, path: '-'}]")
        lines = [x.split("\t") for x in r.stdout.decode().splitlines()]
        self.assertEqual(lines[0][4:8], ["A", "C", "G", "T"])
        with open(self.path("a.svg")) as f:
            text = f.read()
        self.assertEqual(re.findall("(?:href|src|script|font-face)", text), [])
        picture = xml.dom.minidom.parseString(text)
        said = ["".join(t.data for t in e.childNodes) for e in picture.getElementsByTagName("text")]
        self.assertIn("a<&b:6-25", said)
        self.assertEqual([x for x in said if x in "ACGT"], list("ACGT") * 2)
        self.assertTrue({"6", "20", "21"} <= set(said))
        tips = {t.firstChild.data for t in picture.getElementsByTagName("title")}
        self.assertEqual(tips, {f"{row[3]} {b} {float(v):.4g}" for row in lines[1:] for b, v in zip("ACGT", row[4:8])})
        self.fails(78, *args, "--set", "writer={plugin: heatmap, path: b.svg, max_positions: 19}",
                   says=["more than 19 positions"])
        self.fails(78, *args, "--set", "writer={plugin: heatmap, path: b.svg, wrp: 19}", says=["did you mean 'wrap'"])
        self.assertFalse(os.path.exists(self.path("b.svg")))


if __name__ == "__main__":
    main()
