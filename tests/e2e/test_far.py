#!/usr/bin/env python3
"""Four million tokens in one record: every one scored, in memory that does not grow, the same bytes in other pieces."""
from support import *

FAR = 4_000_000
MIXERS = {"mamba1": "", "mamba2": "head_dim: 8\n"}


class Far(Scratch):
    def peak(self, model, fasta_path, out, *more):
        """KiB that the run had at most."""
        e = {k: v for k, v in os.environ.items() if not k.startswith("MAMBASEQ_")}
        p = subprocess.Popen([BINARY, "run", "share:pipelines/genomics/score.yaml", "-q", "--force", "-m", model, "-i",
                              fasta_path, "--device", "cpu", "--set", f"writer={{plugin: npy, path: {out}}}", *more],
                             cwd=self.dir, env=e, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = p.stderr.read()
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        p.stderr.close()
        self.assertEqual(p.returncode, 0, said.decode(errors="replace"))
        return used.ru_maxrss

    def scores(self, name):
        with open(self.path(name), "rb") as f:
            data = f.read()
        at = 10 + struct.unpack("<H", data[8:10])[0]
        return memoryview(data[at:]).cast("f")

    def test_four_million_tokens(self):
        draw = random.Random(1)
        bases = "".join(draw.choices("ACGT", k=FAR))
        self.write("far.fa", fasta([("far", bases)]))
        self.write("near.fa", fasta([("near", bases[:FAR // 20])]))
        for mixer, more in MIXERS.items():
            self.write("s.yaml", f"mixer: {mixer}\nd_model: 8\nn_layer: 2\nd_state: 8\n{more}vocab: dna\n")
            self.ok("model", "init", "s.yaml", "-o", mixer, "-q", "--force", "--seed", "2")
            near = self.peak(mixer, "near.fa", "n.npy")
            far = self.peak(mixer, "far.fa", "f.npy")
            print(f"{mixer}: {near} KiB for {FAR // 20} tokens, {far} KiB for {FAR}", file=sys.stderr)
            self.assertLess(far, near + 24 * 1024)
            self.peak(mixer, "far.fa", "g.npy", "--chunk", "4099", "-@", "1")
            self.assertEqual(digest(self.path("f.npy")), digest(self.path("g.npy")))
            whole, begun = self.scores("f.npy"), self.scores("n.npy")
            self.assertEqual(len(whole), FAR)
            self.assertEqual(whole[1:len(begun)], begun[1:])
            self.assertTrue(all(-50 < x < 0 for x in whole[1:]))


if __name__ == "__main__":
    main()
