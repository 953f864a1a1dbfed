#!/usr/bin/env python3
"""The papers' tasks from the reader to eval: every record is made once more here, in Python, and what eval says of a
model is worked out once more from its logits."""
from math import exp, log, log2

from support import *

TASKS = {
    "selective-copying": dict(length=96, vocab=16, copy=16),
    "induction-heads": dict(length=61, vocab=16),
    "associative-recall": dict(length=22, vocab=10),
    "mqar": dict(length=64, vocab=64, pairs=4),
}
FILL, PLACE, DATA, KEYS, VALUES, SLOTS, QUERY = range(1, 8)
WORD = (1 << 64) - 1


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31


def step(key, counter):
    return mix(key + (counter + 1) * 0x9E3779B97F4A7C15 & WORD)


class Numbers:
    """Number `counter` of what is drawn for `what`, in one record."""

    def __init__(self, seed, kind, index):
        self.key = step(step(seed, kind), index)

    def below(self, what, counter, n):
        return step(step(self.key, what), counter) % n

    def part(self, what, counter):
        return (step(step(self.key, what), counter) >> 11) / 2**53

    def distinct(self, what, count, begin, end):
        found, counter = [], 0
        while len(found) < count:
            value = begin + self.below(what, counter, end - begin)
            counter += 1
            if value not in found:
                found.append(value)
        return found


def copying(r, length, vocab, copy):
    context = length - copy
    data = [1 + r.below(DATA, i, vocab - 2) for i in range(copy)]
    tokens, laid = [], 0
    for t in range(context):
        here = r.below(PLACE, t, context - t) < copy - laid
        tokens.append(data[laid] if here else 0)
        laid += here
    return tokens + [vocab - 1] * copy, [-1] * context + data


def induction(r, length, vocab):
    tokens = [r.below(FILL, t, vocab - 1) for t in range(length)]
    at = r.below(PLACE, 0, length - 2)
    tokens[at] = tokens[-1] = vocab - 1
    return tokens, [-1] * (length - 1) + [tokens[at + 1]]


def recall(r, length, vocab):
    n = (vocab - 2) // 2
    value = {k: n + r.below(VALUES, k, n) for k in range(n)}
    keys = [r.below(KEYS, i, n) for i in range((length - 2) // 2)]
    query, counter = r.below(QUERY, 0, n), 1
    while query not in keys:
        query, counter = r.below(QUERY, counter, n), counter + 1
    tokens = [t for k in keys for t in (k, value[k])] + [vocab - 1, query]
    return tokens, [-1] * (length - 1) + [value[query]]


def mqar(r, length, vocab, pairs):
    keys = r.distinct(KEYS, pairs, 1, vocab // 2)
    values = r.distinct(VALUES, pairs, vocab // 2, vocab)
    space = (length - 2 * pairs) // 2
    tokens = [t for pair in zip(keys, values) for t in pair] + [0] * (length - 2 * pairs)
    targets = [-1] * length
    counter, slots = 0, []
    for key, value in zip(keys, values):
        while True:  # rejection under the law of a real number
            u, v = r.part(SLOTS, counter), r.part(SLOTS, counter + 1)
            counter += 2
            g = int(min(max((1 + u * ((space + 1)**0.01 - 1))**100, 1), space))
            stretch = ((g + 1)**0.01 - g**0.01) / 0.01
            if v * (0.01 / (2**0.01 - 1)) * stretch < g**-0.99 and g - 1 not in slots:
                break
        slots.append(g - 1)
        tokens[2 * pairs + 2 * (g - 1)] = key
        targets[2 * pairs + 2 * (g - 1)] = value
    return tokens, targets


MAKE = dict(zip(TASKS, (copying, induction, recall, mqar)))


class Synthetic(Scratch):
    def setUp(self):
        super().setUp()
        try:
            import h5py
            self.h5 = h5py.File
        except ImportError:
            self.skipTest("python3-h5py is not installed")

    def read(self, task, **more):
        return json.dumps(dict(plugin="synthetic", task=task, **TASKS[task], **more))

    def test_records_are_those_of_another_program(self):
        for kind, task in enumerate(TASKS):
            self.write("p.yaml", f"mambaseq: 1\nreader: {self.read(task, seed=5, first=3, count=20)}\n"
                                 "writer: {plugin: hdf5, path: t.h5}\n")
            self.ok("run", "p.yaml", "-q", "--force")
            with self.h5(self.path("t.h5")) as f:
                got = f["tokens"][:].tolist()
                names = [n.decode() for n in f["records/name"][:]]
            want = [MAKE[task](Numbers(5, kind, i), **TASKS[task])[0] for i in range(3, 23)]
            self.assertEqual(got, [t for record in want for t in record], task)
            self.assertEqual(names, [f"{task}-{i}" for i in range(3, 23)])

    def test_eval_counts_what_the_logits_say(self):
        self.write("shape.yaml", "d_model: 16\nn_layer: 1\nd_state: 4\nvocab: 64\n")
        self.ok("model", "init", "shape.yaml", "-o", "model", "--seed", "3")
        for kind, task in enumerate(TASKS):
            self.write("p.yaml", f"mambaseq: 1\nreader: {self.read(task, count=40)}\n"
                                 "model: {path: model, task: logits}\nwriter: {plugin: hdf5, path: l.h5}\n")
            self.ok("run", "p.yaml", "-q", "--force")
            with self.h5(self.path("l.h5")) as f:
                logits = f["logits"][:].astype(float)
            asked = right = exact = 0
            bits = 0.0
            n = TASKS[task]["length"]
            for i in range(40):
                targets = MAKE[task](Numbers(1, kind, i), **TASKS[task])[1]
                met = []
                for row, want in zip(logits[n * i:n * (i + 1)], targets):
                    if want >= 0:
                        met.append(int(row.argmax()) == want)
                        bits -= row[want] / log(2) - log2(sum(exp(v) for v in row))
                asked, right, exact = asked + len(met), right + sum(met), exact + all(met)
            for chunk in ("65536", "7"):
                r = self.ok("eval", "p.yaml", "-q", "--json", "--dtype", "f32", "--math", "f32", "--set",
                            "model.task=score", "--set", f"model.chunk={chunk}")
                got = json.loads(r.stdout)["results"][0]
                self.assertEqual((got["targets"], got["right"], got["records"], got["exact"]), (asked, right, 40, exact))
                self.assertEqual((got["accuracy"], got["exact_match"]), (right / asked, exact / 40))
                self.assertAlmostEqual(got["bits_per_target"], bits / asked, places=5)
            if task == "selective-copying":
                self.assertGreater(right, 0)
        table = self.ok("eval", "p.yaml", "-q", "--dtype", "f32", "--math", "f32", "--set", "model.task=score").stdout
        names, values = (line.split("\t") for line in table.decode().splitlines())
        row = dict(zip(names, values))
        self.assertEqual((row["targets"], row["records"]), (str(asked), "40"))
        self.assertEqual(float(row["accuracy"]), round(right / asked, 6))

    def test_a_model_learns_the_targets(self):
        """Loss at the targets alone: a small model recalls pairs that it never saw, more of them than it learnt on."""
        self.write("shape.yaml", "d_model: 32\nn_layer: 2\nd_state: 8\nvocab: 8\n")
        self.write("t.yaml", """mambaseq: 1
reader: {plugin: synthetic, task: associative-recall, length: 10, vocab: 6, count: 11000}
model: {init: shape.yaml}
train:
  order: stream
  window: 10
  batch_tokens: 320
  steps: 300
  split: {held_out: 0.1}
  optimizer: {lr: 5e-3, weight_decay: 0}
  schedule: {warmup: 20}
  eval: {every: 0}
output: {path: model}
""")
        self.ok("train", "t.yaml", "-q", timeout=600)
        with open(self.path("model/metrics.jsonl")) as f:
            self.assertGreater(json.loads(f.readlines()[-1])["accuracy"], 0.99)
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: synthetic, task: associative-recall, length: 16, vocab: 6, "
                             "seed: 2}\nmodel: {path: model, task: score}\nwriter: {plugin: table, path: out.tsv}\n")
        got = json.loads(self.ok("eval", "p.yaml", "-q", "--json", "--dtype", "f32", "--math", "f32").stdout)
        self.assertEqual(got["results"][0]["targets"], 1000)
        self.assertGreater(got["results"][0]["exact_match"], 0.95)

    def test_recipes_are_sound(self):
        for task in TASKS:
            text = self.ok("train", f"share:configs/train/{task}.yaml", "--dry-run").stdout.decode()
            self.assertIn(f"task: {task}", text)
        self.ok("check", "share:pipelines/synthetic/task.yaml", "-q")

    def test_what_is_not_right(self):
        self.write("shape.yaml", "d_model: 16\nn_layer: 1\nd_state: 4\nvocab: 32\n")
        self.ok("model", "init", "shape.yaml", "-o", "model", "--seed", "3")
        self.write("p.yaml", f"mambaseq: 1\nreader: {self.read('mqar')}\nmodel: {{path: model, task: score}}\n"
                             "writer: {plugin: table, path: out.tsv}\n")
        for command in ("run", "eval"):
            self.fails(78, command, "p.yaml", says="it gives 64 tokens, but the model has only 32")
        self.fails(78, "run", "p.yaml", "--set", "reader.pairs=17", says="'pairs'")
        self.fails(78, "run", "p.yaml", "--set", "model={path: model, task: generate, max_new_tokens: 3}",
                   says="no installed one turns tokens/i32 into tokens and writes tokens back")
        self.fails(78, "eval", "p.yaml", "--set", "reader.vocab=32", "--baseline", "order-2",
                   says="a codec with a vocabulary")

    @unittest.skipIf(SANITIZED, "counts memory")
    def test_memory_does_not_grow_with_length(self):
        self.write("shape.yaml", "d_model: 16\nn_layer: 1\nd_state: 4\nvocab: 16\n")
        self.ok("model", "init", "shape.yaml", "-o", "model", "--seed", "3")
        self.write("p.yaml", "mambaseq: 1\nreader: {plugin: synthetic, task: induction-heads, count: 1}\n"
                             "model: {path: model, task: score}\nwriter: {plugin: table, path: out.tsv}\n")
        most = []
        for length in ("16Ki", "512Ki"):
            p = self.start("eval", "p.yaml", "-q", "--dtype", "f32", "--math", "f32", "--set", f"reader.length={length}")
            out = p.stdout.read()
            _, status, usage = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(p.returncode, 0, p.stderr.read())
            self.assertIn(b"\t1\t", out)
            most.append(usage.ru_maxrss)
            p.stdout.close()
            p.stderr.close()
        self.assertLess(most[1], most[0] + 2048, most)


if __name__ == "__main__":
    main()
