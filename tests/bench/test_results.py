#!/usr/bin/env python3
"""results.py on a training of a few seconds: the page's figures are those that the training itself came to.

usage: test_results.py BUILD_DIR
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory() as where:
        fasta, model, out = (os.path.join(where, n) for n in ("g.fa", "small", "results.md"))
        with open(fasta, "w", encoding="utf-8") as f:
            f.write(">g\n" + "".join("ACGT"[(i * i // 7 + i // 11) % 4] for i in range(6000)) + "\n")
        subprocess.run([os.path.join(build, "bin/mambaseq"), "train", "share:configs/train/tiny.yaml", "-i", fasta, "-o", model,
                        "--set", "train.steps=6", "--set", "train.split.held_out=0.25", "-q"], check=True)
        command = [sys.executable, os.path.join(HERE, "results.py"), build]
        subprocess.run([*command, "--genome", f"small={model},{fasta}", "-o", out], check=True)
        with open(out, encoding="utf-8") as f:
            page = f.read()
        with open(os.path.join(model, "metrics.jsonl"), encoding="utf-8") as f:
            last = json.loads(f.read().splitlines()[-1])
        row = re.search(r"\*\*small\*\* \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d,]+)", page).groups()
        assert abs(float(row[2]) - last["bits"]) < 2e-4, (row, last)
        assert abs(float(row[0]) - last["loss_plus"] / 0.6931471805599453) < 2e-4, (row, last)
        assert row[3] == "2,998", row  # a quarter of 6000, twice, but for the first of each
        assert "| order-6 |" in page and "| mix |" in page and "| 6 | 24,576 |" in page, page
        bad = subprocess.run([*command, "--genome", f"small={where},{fasta}", "-o", out], capture_output=True, text=True,
                             check=False)
        assert bad.returncode == 1 and "has finished?" in bad.stderr, bad
        with open(out, encoding="utf-8") as f:
            assert f.read() == page
        recorded = os.path.join(where, "chromosome.json")
        for _ in range(2):
            subprocess.run([sys.executable, os.path.join(HERE, "chromosome.py"), build, "--small", fasta, "--large", fasta,
                            "--bases", "3000", "--variants", "5", "--window", "20", "--threads", "1", "--json", recorded],
                           check=True, stdout=subprocess.DEVNULL)
        with open(recorded, encoding="utf-8") as f:
            runs = json.load(f)["runs"]
        assert [r["task"] for r in runs] == ["bigwig", "bigwig", "variant"], runs
        assert (runs[2]["steps_edits"], runs[2]["variants"]) == (105, 5) and runs[0]["peak_kib"] > 1000, runs
        for _ in range(2):  # in its own place the second time
            subprocess.run([*command, "--chromosome", recorded, "-o", out], check=True)
        with open(out, encoding="utf-8") as f:
            both = f.read()
        assert both.startswith(page.rstrip("\n")) and both.count("## Whole chromosomes") == 1 and "| 3,000 |" in both, both
    shipped = os.path.join(HERE, "..", "..", "share", "doc", "results.md")
    with open(shipped, encoding="utf-8") as f:
        page = f.read()
    with tempfile.TemporaryDirectory() as where:
        out = os.path.join(where, "results.md")
        shutil.copyfile(shipped, out)
        subprocess.run([*command, "--chromosome", os.path.join(HERE, "recorded", "chromosome.json"), "-o", out], check=True)
        with open(out, encoding="utf-8") as f:
            assert f.read() == page, "share/doc/results.md is not what results.py makes of the recorded runs"
    print("2 passed, 0 failed")
    return 0


sys.exit(main())
