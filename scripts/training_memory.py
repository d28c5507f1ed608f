#!/usr/bin/env python3
"""How much memory training takes, beside what the pre-flight foretells, over many configurations. A table on stdout.

    scripts/training_memory.py [PATH_TO_FURROW] [WORDS]     only configurations whose name has all of the words
"""
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "apps"))
import training_memory  # noqa: E402

SIZES = [(8, 64, 1), (8, 64, 4), (8, 128, 2), (8, 256, 1), (8, 256, 4), (16, 64, 2), (16, 128, 1), (16, 128, 4),
         (16, 256, 2), (32, 64, 1), (32, 64, 4), (32, 128, 2), (32, 256, 1), (64, 64, 1)]
VARIATIONS = {
    "bilinear": {"model.upsampling": "bilinear"},
    "sgd": {"optimiser.name": "sgd"},
    "sgd without momentum": {"optimiser.name": "sgd", "optimiser.momentum": 0},
    "average": {"average_decay": 0.99},
    "dropout": {"model.dropout": 0.2},
    "three micro-batches of 1": {"accumulate": 3, "batch_size": 1},
    "crop 64": {"crop": 64},
    "no validation": {"val_percent": 0},
    "no cache": {"cache_mib": 0},
    "one thread": {"threads": 1},
    "photos of 1000 x 1000": {"photos": 1000},
    "classes": {"loss.form": "ce", "model.classes": 2},
    "encoder frozen": {"model.freeze": "[inc, down1, down2, down3, down4]"},
}


def main() -> None:
    words = sys.argv[1:]
    furrow = ROOT / "build" / "release" / "apps" / "furrow"
    if words and pathlib.Path(words[0]).is_file():
        furrow = pathlib.Path(words.pop(0)).resolve()
    runs = {f"base {b}, {s} x {s}, batch {n}": {"model.base": b, "size": s, "batch_size": n} for b, s, n in SIZES}
    for size in (64, 128):
        for name, settings in VARIATIONS.items():
            if settings.get("crop", 0) < size:
                runs[f"base 16, {size} x {size}, batch 2, {name}"] = {"size": size, **settings}
    print("| configuration | foretold, MiB | taken, MiB | ratio |\n|---|---|---|---|")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in runs.items():
            if not all(word in name for word in words):
                continue
            found = training_memory.run(str(furrow), pathlib.Path(folder), settings)
            ratios.append(found["foretold"] / found["peak"])
            print(f"| {name} | {found['foretold'] / 2**20:.1f} | {found['peak'] / 2**20:.1f} | {ratios[-1]:.3f} |", flush=True)
    if ratios:
        print(f"\n{len(ratios)} runs, ratios {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
