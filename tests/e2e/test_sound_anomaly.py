#!/usr/bin/env python3
"""What surprises a model of sound, as a track and as events."""
from support import *

PAGE = "share:pipelines/audio/anomaly.yaml"
SOUND = os.path.join(SOURCE, "share", "data", "chirps.wav")


class Anomaly(Scratch):
    def track(self, *more, **kw):
        text = self.ok("run", PAGE, "-q", "--force", *more, **kw).stdout.decode()
        lines = [line.split("\t") for line in text.splitlines()]
        return [dict(zip(lines[0], row)) for row in lines[1:]]

    def test_the_track_is_the_score_in_pieces(self):
        rows = self.track()
        self.assertEqual([(float(r["start"]), float(r["end"])) for r in rows], [(i / 4, (i + 1) / 4) for i in range(10)])
        whole = self.ok("run", PAGE, "-q", "--set", "writer={plugin: table, path: '-'}").stdout.decode().splitlines()[1].split("\t")
        self.assertEqual(int(whole[5]), sum(int(r["scored"]) for r in rows))
        mean = sum(float(r["bits_per_sample"]) * int(r["scored"]) for r in rows) / int(whole[5])
        self.assertAlmostEqual(float(whole[6]), mean, 5)
        with open(self.path("chirps.anomalies.txt")) as f:
            track = [line.split() for line in f]
        # events by hand: pieces of 6 bits and more, over gaps of one piece, on while not below 5.9
        want, on = [], False
        for r in rows:
            bits, start, end = (float(r[k]) for k in ("bits_per_sample", "start", "end"))
            on = bits >= (5.9 if on else 6)
            if on and want and start - want[-1][1] <= 0.25:
                want[-1][1] = end
            elif on:
                want.append([start, end])
        self.assertTrue(0 < len(want) < len(rows))
        self.assertEqual([[float(a), float(b)] for a, b, _ in track], want)
        self.assertEqual({w for _, _, w in track}, {"surprise"})
        # silence is told apart from noise: a piece in the middle of each
        self.assertLess(float(rows[4]["bits_per_sample"]), 1)
        self.assertGreater(float(rows[7]["bits_per_sample"]), 6)

    def test_no_cut_shows(self):
        sets = ["--set", "writer.table.every=130ms", "--set", "writer.labels.path=x.jsonl", "--set", "writer.labels.every=90ms"]
        sets += ["--set", "reader.duration=650ms"] if SANITIZED else []
        with open(SOUND, "rb") as f:
            sound = f.read()
        seen = set()
        for cut in (["--chunk", "1"], ["--chunk", "7", "-@", "2"], ["--chunk", "4096"], ["-i", "-"], ["--chunk", "1000000", "-@", "2"]):
            rows = self.track(*sets, *cut, stdin=sound)
            self.assertEqual(len(rows), 5 if SANITIZED else 20)
            with open(self.path("x.jsonl")) as f:
                events = [json.loads(line) for line in f]
            seen.add(str([[r[k] for k in ("start", "end", "length", "bits_per_sample")] for r in rows] +
                         [[e[k] for k in ("start", "end", "score", "peak")] for e in events]))
        self.assertEqual(len(seen), 1)
        # a resumed run gives the same bytes
        files = ["--set", "writer.table.path=t.tsv", *sets]
        self.ok("run", PAGE, "-q", "--force", *files)
        want = digest(self.path("t.tsv")), digest(self.path("x.jsonl"))
        p = self.start("run", PAGE, "-q", "--force", *files, "--chunk", "16", env={"MAMBASEQ_JOURNAL_EVERY": "0"})
        while p.poll() is None and not any("journal" in n or n.startswith(".") for n in os.listdir(self.dir)):
            time.sleep(0.005)
        p.send_signal(signal.SIGTERM)
        p.communicate()
        if p.returncode != 0:
            self.ok("run", PAGE, "-q", *files, "--chunk", "16", "--resume")
        self.assertEqual((digest(self.path("t.tsv")), digest(self.path("x.jsonl"))), want)

    def test_several_recordings_and_what_is_refused(self):
        shutil.copyfile(SOUND, self.path("a.wav"))
        shutil.copyfile(SOUND, self.path("b.wav"))
        rows = self.track("-i", "*.wav", "--set", "reader.duration=300ms", "--set", "writer.labels.path=x.tsv")
        self.assertEqual([(r["name"], r["start"]) for r in rows],
                         [("a", "0.000000"), ("a", "0.250000"), ("b", "0.000000"), ("b", "0.250000")])
        self.assertEqual(rows[1]["length"], "400")
        self.fails(78, "run", PAGE, "--set", "writer.table.every=10us", says="less than one sample")
        self.fails(78, "run", PAGE, "--set", "writer.labels.threshold=[lots]", says="'lots' is no number of bits")
        self.fails(78, "run", PAGE, "--set", "writer.labels.threshold=[dog=3]", says="no class 'dog'")
        self.fails(78, "run", PAGE, "--set", "writer.table.evry=1s", says="evry")
        self.fails(78, "run", "share:pipelines/audio/label.yaml", "--set", "writer.labels.every=1s", says="task score")
        self.fails(78, "run", "share:pipelines/audio/classify.yaml", "--set", "writer.table.every=1s", says="task score")
        self.fails(78, "run", "share:pipelines/genomics/score.yaml", "--set", "writer={plugin: table, path: '-', every: 1s}",
                   says="no rate")


if __name__ == "__main__":
    unittest.main()
