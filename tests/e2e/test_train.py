#!/usr/bin/env python3
"""Training as a user does it: a recipe to a model that runs, the same bytes after any end and with any number of threads,
and what is said where a recipe, its input or its checkpoints are wrong. MBS_TRAIN_KILLS: how often a training is killed."""
import resource

from support import *

KILLS = int(os.environ.get("MBS_TRAIN_KILLS", "0"))
RECIPE = """mambaseq: 1
reader: {plugin: fasta, path: in.fa}
codec: {plugin: bases}
model: {init: shape.yaml}
train:
  window: [32, 64]
  window_from: [0, 0.5]
  batch_tokens: 256
  steps: 30
  seed: 3
  reverse_complement: 0.5
  unknown: 0.25
  split: {held_out: 0.2}
  optimizer: {lr: 1e-2}
  eval: {every: 10, tokens: 256}
  checkpoint: {every: 4}
output: {path: out}
"""
SHAPE = "d_model: 8\nn_layer: 2\nd_state: 4\nvocab: dna\n"


class Train(Scratch):
    def setUp(self):
        super().setUp()
        bases = heldout_bases(6000)
        self.write("in.fa", fasta([("a", bases[:2500]), ("gaps", bases[2500:2600] + "N" * 40 + bases[2600:3000]),
                                   ("b", bases[3000:])]))
        self.write("shape.yaml", SHAPE)
        self.write("r.yaml", RECIPE)

    def train(self, *more, **kw):
        return self.ok("train", "r.yaml", *more, **kw)

    def test_tasks_without_the_id_that_a_record_begins_with(self):
        self.write("shape.yaml", SHAPE.replace("vocab: dna", "vocab: 16"))
        self.train("--set", "train.order=records", "--set", "train.start=record", "--set", "train.steps=2", "--set",
                   "train.split.held_out=0.5", "--set", "train.window=64", "--set", "train.window_from=null")
        self.ok("run", "share:pipelines/genomics/score.yaml", "-m", "out", "-i", "in.fa", "--set", "writer={plugin: table, path: '-'}")
        for task in ("variant", "mutate", "impute", "compress"):
            self.fails(78, "run", f"share:pipelines/genomics/{task}.yaml", "-m", "out",
                       says=(f"task {task}: the model expects an id", "mambaseq_start", "train.start: none"))

    def weights(self, folder):
        return digest(os.path.join(self.path(folder), "model.safetensors"))

    def tensor(self, folder, name):
        header, data = read_safetensors(os.path.join(self.path(folder), "model.safetensors"))
        begin, end = header[name]["data_offsets"]
        return data[begin:end]

    def hidden(self):
        return [f for f in os.listdir(self.dir) if f.startswith(".")]

    def test_a_recipe_becomes_a_model_that_runs(self):
        r = self.train()
        self.assertRegex(r.stderr.decode().splitlines()[-1],
                         r"30 steps, 7680 tokens in .* s; held out: \d\.\d{4} bits per base \(\+ .*, - .*\); wrote out")
        self.assertEqual(sorted(os.listdir(self.path("out"))),
                         ["config.json", "metrics.jsonl", "model.safetensors", "recipe.yaml", "tokenizer.json",
                          "tokenizer_config.json", "training.html", "vocab.txt"])
        self.assertEqual(self.hidden(), [])
        with open(self.path("out/metrics.jsonl")) as f:
            losses = [m["loss"] for m in map(json.loads, f) if m.get("step") and "grad_norm" in m]
        self.assertEqual(len(losses), 30)
        self.assertLess(sum(losses[-5:]) / 5, losses[0] - 0.5)
        # What was held out is the last fifth of the tokens: eval scores the same with the same bits on the + strand.
        bits = float(r.stderr.decode().split("(+ ")[1].split(",")[0])
        found = json.loads(self.ok("eval", "share:pipelines/genomics/score.yaml", "-i", "in.fa", "-m", "out", "--dtype",
                                   "f32", "--math", "f32", "--split", "0.8", "--json").stdout)
        self.assertAlmostEqual(found["results"][0]["bits"], bits, delta=2e-4)
        self.score("in.fa", "s.h5", "s.tsv", "-m", "out")
        self.assertEqual([r["name"] for r in self.rows("s.tsv")], ["a", "gaps", "b"])
        # The recipe that lies beside the model makes it again.
        self.ok("train", "out/recipe.yaml", "-o", "again", "-q")
        self.assertEqual(self.weights("again"), self.weights("out"))

    def test_any_number_of_threads(self):
        self.train("-@", "1", "-q")
        self.train("-@", "2", "-o", "two", "-q")
        self.assertEqual(self.weights("two"), self.weights("out"))
        self.train("-o", "other", "-q", "--set", "train.seed=4")
        self.assertNotEqual(self.weights("other"), self.weights("out"))

    def test_stopped_and_resumed(self):
        self.train("-o", "whole", "-q")
        p = self.start("train", "r.yaml", "--set", "train.steps=30", "--progress", "never")
        time.sleep(0.05)
        p.send_signal(signal.SIGTERM)
        err = p.communicate()[1].decode()
        if p.returncode != 0:  # it may have been done before
            self.assertIn(p.returncode, (75, -signal.SIGTERM), err)
            self.assertFalse(os.path.exists(self.path("out")))
            self.train("--resume", "-q")
        self.assertEqual(self.weights("out"), self.weights("whole"))
        self.assertEqual(self.hidden(), [])
        self.assertIn("complete already", self.train("--resume").stderr.decode())

    def test_two_into_one_folder(self):
        """The second is refused while the first still reads its input; what it leaves is nothing."""
        os.mkfifo(self.path("fifo"))
        first = self.start("train", "share:configs/train/tiny.yaml", "-i", "fifo", "-o", "m")
        lock = self.path(".m.mbs-train/lock")
        while not os.path.exists(lock) or not os.path.getsize(lock):
            self.assertIsNone(first.poll())
            time.sleep(0.01)
        self.fails(73, "train", "share:configs/train/tiny.yaml", "-o", "m", says=f"m: another run is writing it: pid {first.pid} ")
        self.write("fifo", "this is no FASTA\n")
        first.communicate(timeout=60)
        self.assertEqual(first.returncode, 65)
        self.assertEqual([n for n in os.listdir(self.path(".")) if n.startswith((".", "m"))], [])

    def test_killed_at_random_points(self):
        self.train("-o", "whole", "-q")
        t0 = time.monotonic()
        self.train("-o", "timed", "-q")
        whole = time.monotonic() - t0
        rng = random.Random(11)
        killed = 0
        for round in range(40):
            if round >= (KILLS or 2) and killed > 0:  # a fast machine may be done before the first kill
                break
            for _ in range(60):
                p = self.start("train", "r.yaml", "--resume", "-q")
                try:
                    p.wait(rng.uniform(0.01, whole))
                except subprocess.TimeoutExpired:
                    p.kill()
                    killed += 1
                p.communicate()
                if p.returncode == 0:
                    break
            self.assertEqual(self.weights("out"), self.weights("whole"))
            shutil.rmtree(self.path("out"))
        self.assertGreater(killed, 0)

    def leave_checkpoints(self):
        """A training that lost its way after step 12, with checkpoints at 8 and 12."""
        self.train("-q", "-o", "whole")
        work = self.path(".out.mbs-train")
        for _ in range(200):
            p = self.start("train", "r.yaml", "-q", "--resume")
            while p.poll() is None and not (os.path.isdir(work) and
                                            len([d for d in os.listdir(work) if re.match(r"step-\d+$", d)]) == 2):
                time.sleep(0.001)
            p.kill()
            p.communicate()
            if p.returncode != 0 and os.path.isdir(work):
                steps = sorted((d for d in os.listdir(work) if re.match(r"step-\d+$", d)), key=lambda d: int(d[5:]))
                if len(steps) == 2:
                    return work, steps
            shutil.rmtree(self.path("out"), ignore_errors=True)
        self.fail("never caught it with two checkpoints")

    def test_checkpoints_that_do_not_fit(self):
        work, steps = self.leave_checkpoints()
        text = self.fails(73, "train", "r.yaml", says="--resume")
        for change, name in (("train.optimizer.lr=1e-3", "train.optimizer.lr"), ("train.seed=9", "train.seed"),
                             ("model.math=bf16", "arithmetic")):
            text = self.fails(65, "train", "r.yaml", "--resume", "--set", change)
            self.assertIn(name, text)
            self.assertIn("differs", text)
            self.assertIn("stays as it is", text)
        # Of a build that sums in another order: what went on from it would have bits of neither.
        path = os.path.join(work, steps[-1], "state")
        with open(path, "rb") as f:
            state = f.read()[:-64]
        other = re.sub(rb"(order of the sums of gradients: )\d", rb"\g<1>0", state)
        self.assertNotEqual(other, state)
        for content, says in ((other, "'order of the sums of gradients' differs: it was '0'"), (state, None)):
            with open(path, "wb") as f:
                f.write(content + hashlib.sha256(content).hexdigest().encode())
            if says:
                self.fails(65, "train", "r.yaml", "--resume", says=says)
        # Another input under the same name.
        with open(self.path("in.fa")) as f:
            was = f.read()
        self.write("in.fa", was.replace("A", "C", 1))
        self.fails(65, "train", "r.yaml", "--resume", says="'tokens of the input' differs")
        self.write("in.fa", was)
        # The newest is damaged: the one before is taken, and the bytes are still those.
        newest = os.path.join(work, steps[-1], "optimizer.safetensors")
        with open(newest, "r+b") as f:
            f.seek(-9, 2)
            f.write(b"\xff")
        said = self.train("--resume").stderr.decode()
        self.assertIn("damaged", said)
        self.assertEqual(self.weights("out"), self.weights("whole"))

    def test_no_room_for_a_checkpoint(self):
        work, steps = self.leave_checkpoints()

        def small():
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

        p = subprocess.run([BINARY, "train", "r.yaml", "--resume", "-q"], cwd=self.dir, stderr=subprocess.PIPE,
                           stdin=subprocess.DEVNULL, preexec_fn=small, restore_signals=False, check=False)
        said = p.stderr.decode()
        self.assertEqual(p.returncode, 74, said)
        self.assertRegex(said.splitlines()[-1], rf"checkpoint of step \d+: .* is kept: .*{steps[-1]}; .*--resume")
        self.assertIn(steps[-1], os.listdir(work))
        self.train("--resume", "-q")
        self.assertEqual(self.weights("out"), self.weights("whole"))

    def test_no_room_for_the_first_checkpoint(self):
        def small():
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

        p = subprocess.run([BINARY, "train", "r.yaml", "-q"], cwd=self.dir, stderr=subprocess.PIPE,
                           stdin=subprocess.DEVNULL, preexec_fn=small, restore_signals=False, check=False)
        said = p.stderr.decode()
        self.assertEqual(p.returncode, 74, said)
        self.assertRegex(said.splitlines()[-1], r"checkpoint of step \d+: .*; nothing is kept: no checkpoint was complete; .*--resume")
        self.assertFalse([name for name in os.listdir(self.dir) if name.startswith(".out")])
        self.train("--resume", "-q")
        self.assertTrue(os.path.isfile(os.path.join(self.path("out"), "config.json")))

    def test_a_label_that_is_no_class(self):
        rows = [f"r{i}\t{'fox' if i == 7 else 'ab'[i % 2]}\t{'ACGT' * 20}\n" for i in range(40)]
        self.write("t.tsv", "name\tlabel\tsequence\n" + "".join(rows))
        self.fails(65, "train", "share:configs/train/dna-classify.yaml", "-i", "t.tsv", "-o", "c", "--set",
                   "train.classes=[a, b]",
                   says=("r7: the label 'fox' is none of the 2 classes", "train.classes"))
        self.assertFalse(os.path.exists(self.path("c")))

    def test_fine_tuning(self):
        self.train("-q")
        more = ["--set", "model.init=null", "-m", "out", "--set", "train.steps=5"]
        self.train("-o", "more", "-q", *more)
        self.train("-o", "head", "-q", *more, "--set", "model.train=last_1")
        for name in ("more", "head"):
            self.assertNotEqual(self.weights(name), self.weights("out"))
            with open(self.path("out/config.json")) as a, open(self.path(f"{name}/config.json")) as b:
                self.assertEqual(json.load(a), json.load(b))
        key = "backbone.layers.0.mixer.in_proj.weight"
        self.assertEqual(self.tensor("out", key), self.tensor("head", key), "a layer that was to stay has changed")
        self.assertNotEqual(self.tensor("out", key), self.tensor("more", key))

    def test_nothing_to_learn_from(self):
        self.fails(65, "train", "r.yaml", "--set", "train.window=4096", "--set", "train.window_from=null", "--set",
                   "train.batch_tokens=4096", says="window")
        self.write("all.bed", "a\t0\t99999\ngaps\t0\t99999\nb\t0\t99999\n")
        self.fails(65, "train", "r.yaml", "--set", "train.split={held_out_bed: all.bed}", says="train.split")
        self.write("n.fa", ">a\n" + "N" * 4000 + "\n")
        self.fails(65, "train", "r.yaml", "-i", "n.fa", says="nothing of the held-out part can be scored")
        self.fails(65, "train", "r.yaml", "-i", "n.fa", "--set", "train.loss=masked", says="nothing of the held-out part can be scored")
        self.assertEqual(self.hidden(), [])
        self.fails(78, "train", "r.yaml", "--set", "train.loss=masked", "--set", "train.mask_rate=0", "--set",
                   "train.optimizer.eps=0", says=["'mask_rate' is 0", "'eps' is 0"])
        self.write("none.fa", ">a\n>b\n")
        self.fails(65, "train", "r.yaml", "-i", "none.fa")

    def test_what_is_held_out_may_begin_with_a_gap(self):
        """eval.tokens counts from the first letter that can be scored, as chromosomes may begin with millions of N."""
        bases = heldout_bases(2200)
        self.write("gap.fa", fasta([("a", bases[:2000] + "N" * 400 + bases[2000:])]))
        for loss in ("causal", "masked"):
            self.train("-q", "--force", "-i", "gap.fa", "--set", f"train.loss={loss}", "--set", "train.eval.tokens=100")
            evals = [m for m in map(json.loads, self.read("out/metrics.jsonl").splitlines()) if m.get("eval") == "during"]
            self.assertEqual([m["step"] for m in evals], [10, 20], loss)
            self.assertTrue(all(m["loss"] > 0 for m in evals))
            if loss == "causal":  # 100 places on each strand, of which the last of the N and what stands first are not asked for
                self.assertEqual([m["tokens"] for m in evals], [99 + 98] * 2)

    def test_patience_is_part_of_the_recipe_beside_the_model(self):
        how = ["--set", "train.eval={every: 3, patience: 1, tokens: 500}", "--set", "train.optimizer={lr: 0.3, clip: 0}"]
        self.train("-q", *how)
        self.assertIn("every: 3", self.read("out/recipe.yaml"))
        self.ok("train", "out/recipe.yaml", "-o", "again", "-q")
        self.assertEqual(self.weights("again"), self.weights("out"))

    def test_regions_to_train_in_leave_the_rest_to_score(self):
        self.write("in.bed", "a\t0\t2000\n")
        r = self.train("--set", "train.split={train_bed: in.bed}", "--set", "train.eval={every: 10}")
        self.assertIn("held out: ", r.stderr.decode())
        self.assertNotIn("held_out", self.read("out/recipe.yaml").replace("train_bed", ""))
        self.fails(78, "train", "r.yaml", "--force", "--set", "train.rows=100", says="multiple of 64")

    def test_a_rate_that_is_too_large(self):
        r = self.run_("train", "r.yaml", "--set", "train.optimizer={lr: 100, clip: 0}")
        text = r.stderr.decode()
        self.assertEqual(r.returncode, 65, text)
        self.assertRegex(text.splitlines()[-1], r"step \d+: .*not finite.*lower optimizer.lr")
        self.assertFalse(os.path.exists(self.path("out")))


if __name__ == "__main__":
    main()
