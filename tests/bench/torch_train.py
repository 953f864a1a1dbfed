#!/usr/bin/env python3
"""Training with PyTorch on a hand-written C scan, timed: what peers.py calls its training peer.

    /usr/bin/python3 tests/bench/train_peer.py FOLDER [--d 128] [--layers 4] [--steps 12] [--workers 2]

FOLDER holds the peer's train.py and model.py; nothing of it is copied here. Its own worker() runs unchanged, one process a
CPU, on random bases. It calls wait() of a barrier once a step: the barrier given to it takes the time and ends the run.
Its scan.c needs AVX-512, or SCAN_BUILD a folder with a libscan.so; without AVX-512 TRAIN_BLAS names its BLAS (Zen).
Prints a line of JSON: tokens a second of the whole steps behind the first two, CPU seconds a token, the peak of one process.
"""
import argparse
import json
import os
import resource
import sys
import tempfile
import time

WARM = 2  # steps that are not counted


class Clock:
    """A barrier that ends its process after so many steps."""

    def __init__(self, barrier, times, rank, steps):
        self.barrier, self.times, self.rank, self.steps, self.done = barrier, times, rank, steps, 0

    def wait(self):
        self.barrier.wait()
        self.times[self.rank, self.done, 0] = time.time()
        self.times[self.rank, self.done, 1] = time.process_time()
        self.done += 1
        if self.done == self.steps:
            self.times[self.rank, 0, 2] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            sys.stdout.flush()
            os._exit(0)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--d", type=int, default=128)
    p.add_argument("--layers", type=int, default=4)
    p.add_argument("--steps", type=int, default=12)
    p.add_argument("--workers", type=int, default=2)
    a = p.parse_args()
    os.environ.setdefault("SCAN_BUILD", tempfile.mkdtemp(prefix="mbs-peer-"))
    sys.path.insert(0, os.path.abspath(a.folder))
    import train  # sets the number of threads before it imports torch
    import numpy as np
    import torch
    train.M.kernels()
    ids = np.random.default_rng(1).integers(7, 11, 4 << 20).astype(np.uint8)
    n = sum(v.numel() for v in train.M.init(a.d, a.layers, 1).values())
    shared = torch.zeros(2, a.workers, n + 1).share_memory_()
    clock = torch.zeros(2).share_memory_()
    times = torch.zeros(a.workers, a.steps + WARM, 3, dtype=torch.float64).share_memory_()
    ctx = train.mp.get_context("fork")
    barrier = ctx.Barrier(a.workers)
    sys.stdout.flush()
    quiet = os.dup(1)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as out:
        # An hour to go, so that the window stays the first one, 1024.
        started = [ctx.Process(target=train.worker, args=(r, a.workers, ids, out, 3600.0, 0.0, None, shared, clock,
                                                          Clock(barrier, times, r, a.steps + WARM), a.d, a.layers))
                   for r in range(a.workers)]
        for s in started:
            s.start()
        for s in started:
            s.join()
    os.dup2(quiet, 1)
    if any(s.exitcode for s in started):
        sys.exit("a worker of the peer failed")
    first, last = times[:, WARM - 1], times[:, a.steps + WARM - 1]
    tokens = a.steps * train.TOK
    print(json.dumps({"tokens_per_s": tokens / float(last[0, 0] - first[0, 0]), "parameters": n, "steps": a.steps,
                      "step_tokens": train.TOK, "cpu_us_per_token": 1e6 * float((last[:, 1] - first[:, 1]).sum()) / tokens,
                      "peak_bytes": int(times[:, 0, 2].max()), "processes": a.workers,
                      "version": torch.__version__}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
