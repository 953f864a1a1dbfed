"""The example of every option of every plugin, and of a recipe, is a value that the option takes, and one that is not is
refused.

usage: plugin_options.py MAMBASEQ
"""
import json
import os
import subprocess
import sys
import tempfile


def ask(program, *words):
    run = subprocess.run([program, "plugin", *words, "--json"], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)["plugins"]


def said(program, folder, d, params):
    """What `check` says of a pipeline with this plugin, told all of `params`."""
    text = ", ".join([f"plugin: {d['id']}"] + [f"{key}: {value}" for key, value in params])
    stages = {"reader": "{plugin: text, text: x}", "codec": "{plugin: bytes}", "writer": "{plugin: table, path: out.tsv}"}
    stages[d["kind"]] = "{" + text + "}"
    return check(program, folder, stages)


def check(program, folder, stages):
    path = os.path.join(folder, "p.yaml")
    with open(path, "w") as f:
        f.write("mambaseq: 1\n" + "".join(f"{kind}: {stage}\n" for kind, stage in stages.items()))
    return subprocess.run([program, "check", path], capture_output=True, text=True, cwd=folder).stderr


TASKS = {"layer": "embed", "pool": "embed", "every": "classify", "mode": "score", "mask_every": "score", "fill": "impute",
         "max_gap": "impute", "search": "impute", "candidates": "impute"}
GENERATE = ("max_new_tokens duration class num_samples temperature top_k top_p seed stop guard guard_bits state save_state "
            "count").split()


def model_fails(program, folder, p):
    """Lines about the example of an option of the model stage, in a pipeline of a task that has it."""
    told = {"path": "share:models/ecoli-ref", "task": "generate" if p["key"] in GENERATE else TASKS.get(p["key"], "score")}
    told.update({"guard": "1s"} if p["key"] == "guard_bits" else {})
    told[p["key"]] = p["example"]
    mapping = "{" + ", ".join(f"{k}: {v}" for k, v in told.items()) + "}"
    if p["key"] == "name":  # of one of two
        mapping = f"[{mapping}, {{name: another, path: share:models/ecoli-small}}]"
    stages = {} if p["key"] == "count" else {"reader": "{plugin: fasta, path: x.fa}"}
    stages.update(codec="{plugin: bases}", model=mapping, writer="{plugin: table, path: out.tsv}")
    return [line for line in check(program, folder, stages).splitlines() if "p.yaml:" in line]


# What an option of a recipe needs beside it.
BESIDE = {"window": {"window_from": "[0, 0.6]"}, "window_from": {"window": "[512, 1024]"}, "start": {"order": "records"},
          "start_unknown": {"order": "records", "start": "class"}, "rows": {"truncate": "0"}, "mask_rate": {"loss": "masked"},
          "pool": {"loss": "classify"}, "classes": {"loss": "classify"}, "by": {"loss": "classify"}}


def recipe_fails(program, folder, table, p):
    """Lines about the example of an option of a recipe; "train.split" is a mapping inside of train."""
    train = {"steps": "10", **(BESIDE.get(p["key"], {}))}
    stages = {"reader": "{plugin: tsv, path: x.tsv}" if train.get("loss") == "classify" else "{plugin: fasta, path: x.fa}",
              "codec": "{plugin: bases}"}
    model = {"init": "share:configs/model/tiny.yaml"}
    output = {"path": "out"}
    if table == "model":
        model = {} if p["key"] == "path" else {"path": "share:models/ecoli-small"} if p["key"] == "train" else model
        model[p["key"]] = p["example"]
    elif table == "output":
        output[p["key"]] = p["example"]
    elif table == "train":
        train[p["key"]] = p["example"]
    else:
        train[table.split(".")[1]] = f"{{{p['key']}: {p['example']}}}"
    for name, told in ("model", model), ("train", train), ("output", output):
        stages[name] = "{" + ", ".join(f"{k}: {v}" for k, v in told.items()) + "}"
    return [line for line in check(program, folder, stages).splitlines() if "p.yaml:" in line]


def main():
    program, failures, told = os.path.abspath(sys.argv[1]), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for known in ask(program, "list"):
            d = ask(program, "show", known["id"], known["kind"])[0]
            params = [(p["key"], p["example"]) for p in d["params"] if p["example"] is not None]
            if not params:
                continue
            told += len(params)
            for line in said(program, folder, d, params).splitlines():
                # Stages that do not fit are none of this test's; what is wrong with an option names the plugin and it.
                if "p.yaml:" in line and any(f"'{key}'" in line for key, _ in params):
                    failures += 1
                    print("failed:", d["kind"], d["id"], line)
            line = said(program, folder, d, params + [("no_such_option", "1")])
            if "'no_such_option' is not a parameter" not in line:
                failures += 1
                print("failed:", d["kind"], d["id"], "takes an option that there is not:", line)
        for p in ask(program, "show", "model")[0]["params"]:
            told += 1
            for line in model_fails(program, folder, p):
                failures += 1
                print("failed: model", line)
        for table in ask(program, "show", "train"):
            for p in table["params"]:
                told += 1
                lines = recipe_fails(program, folder, table["id"], p) if p["example"] is not None else ["it has no example"]
                failures += len(lines)
                for line in lines:
                    print("failed: recipe", table["id"], p["key"], line)
    print(f"{told} options, {failures} failures")
    return 1 if failures or not told else 0


sys.exit(main())
