#!/usr/bin/env python3
"""Trains the default model's recipe on folds, measures it beside its moving average, and trains one model on all.

    scripts/train_default.py IMAGES MASKS WORK [--recipe furrow-mini-2] [--furrow PROGRAM] [--folds 0,1,2,3,4] [--all]
                             [--set KEY=VALUE ...]

Per fold k, WORK/foldk is a run of examples/configs/RECIPE.yaml on the other folds; a run that was interrupted goes
on. Its last checkpoint holds two candidates: the weights as the recipe ends (`recipe`), and their moving average
(`average`). Both are measured by `furrow evaluate` on the fold's own pictures, at the recipe's threshold, and counts
are added over folds. --all also trains WORK/all on every picture. Prints a table and writes WORK/folds.json. A fold
takes 14 minutes on two processors with AVX-512, 48 on two with AVX2.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIGS = ROOT / "examples/configs"
STEPS = 1600
PARTS = {"recipe": "model", "average": "average"}   # of a checkpoint


def train(furrow, config, run, words):
    """A run that is finished stays, one that was interrupted goes on, and any other begins."""
    words, said = [str(word) for word in words], run.with_suffix(".json")
    if said.exists() and json.loads(said.read_text()) != words:
        sys.exit(f"train_default: {run} was begun with other settings (see {said})")
    if finished(run):
        return
    run.parent.mkdir(parents=True, exist_ok=True)
    said.write_text(json.dumps(words))
    begun = any((run / "checkpoints" / name).exists() for name in ("last.safetensors", "previous.safetensors"))
    command = ["--resume", run] if begun else ["--config", config, "-o", run, *words]
    status = subprocess.run([furrow, "train", *command], cwd=ROOT).returncode
    if not finished(run):
        sys.exit(f"train_default: {run} ended with status {status}; run this again to go on")


def finished(run):
    if not (run / "model.safetensors").exists():
        return False
    progress = json.loads((run / "run.json").read_text())["progress"]
    return progress["epochs"] == progress["of"]


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    return header.pop("__metadata__", {}), header, data[8 + length:]


def write_candidate(run, part, path):
    """The tensors `part`.* of the last checkpoint, with the metadata of model.safetensors: how pictures enter."""
    metadata, model, _ = read_safetensors(run / "model.safetensors")
    _, header, data = read_safetensors(run / "checkpoints/last.safetensors")
    out, body = {"__metadata__": metadata}, b""
    for name in model:
        entry = header[f"{part}.{name}"]
        begin, end = entry["data_offsets"]
        offsets = [len(body), len(body) + end - begin]
        out[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": offsets}
        body += data[begin:end]
    text = json.dumps(out).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def evaluate(furrow, arguments, run, part):
    weights, out = run / f"{part}.safetensors", run / f"evaluation-{part}"
    write_candidate(run, PARTS[part], weights)
    ids = run / "validation.txt"
    ids.write_text("\n".join(json.loads((run / "run.json").read_text())["split"]["validation"]) + "\n")
    subprocess.run([furrow, "evaluate", arguments.images, arguments.masks, "--mask-values", "3", "--ids", ids,
                    "--weights", weights, "-o", out, "--bootstrap", "0", "--overlays", "0", "--sweep", "--force"],
                   check=True, stdout=subprocess.DEVNULL)
    return json.loads((out / "evaluate.json").read_text())


def pooled(counts):
    true, wrong, missed = (sum(c[key] for c in counts) for key in ("tp", "fp", "fn"))
    return {"IoU": true / max(1, true + wrong + missed), "F1": 2 * true / max(1, 2 * true + wrong + missed),
            "precision": true / max(1, true + wrong), "recall": true / max(1, true + missed)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("images", "masks", "work"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--furrow", default=ROOT / "build/release/apps/furrow", type=pathlib.Path)
    parser.add_argument("--recipe", default="furrow-mini-2", choices=["furrow-mini", "furrow-mini-2"])
    parser.add_argument("--folds", default="0,1,2,3,4")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    for name in ("images", "masks", "work", "furrow"):     # the configurations name files from the root of the tree
        setattr(arguments, name, getattr(arguments, name).resolve())
    config, data = CONFIGS / f"{arguments.recipe}.yaml", ["--images", arguments.images, "--masks", arguments.masks]
    changed = [word for change in arguments.set for word in ("--set", change)]

    arguments.work.mkdir(parents=True, exist_ok=True)
    counts, rows = {part: [] for part in PARTS}, []
    for fold in (int(word) for word in arguments.folds.split(",") if word):
        run = arguments.work / f"fold{fold}"
        words = {"split.rule": "folds", "split.fold": fold, "epochs": STEPS // 10}
        train(arguments.furrow, config, run, data + [w for k, v in words.items() for w in ("--set", f"{k}={v}")] + changed)
        for part in counts:
            result = evaluate(arguments.furrow, arguments, run, part)
            counts[part].append(result["counts"])
            rows.append({"fold": fold, "weights": part, **pooled(counts[part][-1:]), "AUROC": result["auroc"],
                         "best": result["best"]})
    rows += [{"fold": "all of these", "weights": part, **pooled(counts[part])} for part in counts if counts[part]]
    (arguments.work / "folds.json").write_text(json.dumps({"rows": rows, "counts": counts}, indent=1) + "\n")
    print("| fold | weights | IoU | F1 | precision | recall |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['fold']} | {row['weights']} | " +
              " | ".join(f"{row[key]:.4f}" for key in ("IoU", "F1", "precision", "recall")) + " |")
    if arguments.all:
        train(arguments.furrow, config, arguments.work / "all", data + changed)


if __name__ == "__main__":
    main()
