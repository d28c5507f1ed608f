#!/usr/bin/env python3
"""differential_fuzz.py --tool PATH/read_checkpoints [--cases N] [--seed S] [--keep DIR] [--markdown]

Mutates valid checkpoints (scripts/differential/), has PyTorch's loader and Furrow read each, and compares. Where both
read a file, every name, type, shape and byte must be the same. Where one of them refuses it, the reason must be on the
lists below, which say why the two may differ. PyTorch reads with weights_only=True, and what that refuses, once more
with Python's own machine and Furrow's list of names; safetensors files are read by the `safetensors` package. The same
seed gives the same files. Exit status 1 where a disagreement is on no list (the file is kept in DIR), 77 without
PyTorch.
"""
import argparse
import collections
import importlib.util
import json
import pathlib
import pickle
import random
import re
import select
import subprocess
import sys
import tempfile

from differential import containers, pickles, seeds
from differential.allowed import LOOSER, STRICTER

HERE = pathlib.Path(__file__).resolve().parent
LISTED_FOR = "2.15"   # of PyTorch: what others refuse and how they say it differs, and fails nothing
BATCH, PATIENCE = 50, 120  # files asked about at once; seconds that one of them may take

class Reader:
    """A program that is asked for files by name and answers each with a line of JSON."""

    def __init__(self, command):
        self.command = command
        self.process = None

    def ask(self, paths):
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL, bufsize=0, cwd=HERE)
        try:
            self.process.stdin.write("".join(f"{path}\n" for path in paths).encode())
        except BrokenPipeError:
            pass

    def answers(self, paths):
        """For each path a dictionary; {"died": ...} where the program ended or did not answer."""
        out, buffer = [], getattr(self, "rest", b"")
        for number, path in enumerate(paths):
            while b"\n" not in buffer:
                ready = select.select([self.process.stdout], [], [], PATIENCE)[0]
                piece = self.process.stdout.read(1 << 16) if ready else b""
                if not piece:
                    self.process.kill()
                    out.append({"died": f"status {self.process.wait()}" if ready else f"no answer in {PATIENCE} s"})
                    self.process, self.rest = None, b""
                    if number + 1 < len(paths):
                        self.ask(paths[number + 1:])
                        out += self.answers(paths[number + 1:])
                    return out
                buffer += piece
            line, buffer = buffer.split(b"\n", 1)
            out.append(json.loads(line))
        self.rest = buffer
        return out


def made(seed, number, pool):
    """Case `number`: its container and its bytes; none for one of a container without seeds."""
    rng = random.Random(f"{seed}.{number}")
    kind = rng.choice(["zip"] * 5 + ["stream"] * 3 + ["tar"] + ["safetensors"] * 2)
    if not pool[kind]:
        return kind, None
    base = rng.choice(pool[kind])
    data = {"zip": containers.mutate_zip, "stream": containers.mutate_stream, "tar": containers.mutate_tar,
            "safetensors": containers.mutate_safetensors}[kind](base, rng)
    return kind, pickles.spoiled(data, rng) if rng.random() < 0.1 else data


def has_stream(data):
    """Whether the zip can be had as a stream: without names that scripts/differential/containers.py does not know."""
    try:
        return bool(containers.stream_of_zip(data))
    except (pickle.UnpicklingError, KeyError, TypeError):
        return False


def seed_pool(seed):
    rng = random.Random(seed)
    zips = [seeds.zip_seed(rng) for _ in range(180)] + [seeds.repacked_seed(rng) for _ in range(20)]
    zips += [data for data in seeds.committed("") if data[:2] == b"PK"]
    package = importlib.util.find_spec("safetensors") is not None
    return {"zip": zips, "stream": [data for data in zips if has_stream(data)], "tar": seeds.committed("tar_"),
            "safetensors": [seeds.safetensors_seed(rng) for _ in range(100)] if package else []}


def kind_of(reason, kinds):
    """The first of `kinds` that the reason is of; None where it is on no list."""
    return next((kind for kind, patterns in kinds for pattern in patterns if re.search(pattern, reason)), None)


def verdict(furrow, torch):
    """(outcome, reason, its kind, whether all that is as it should be)."""
    if "died" in furrow:
        return "Furrow died", furrow["died"], None, False
    reads = "tensors" in furrow
    if "died" in torch:
        return "PyTorch died", torch["died"], None, not reads
    if reads and "tensors" in torch:
        order = sorted if torch.get("sort") else list
        same = (order(furrow["tensors"]) == order(torch["tensors"]) and
                all(furrow[key] == torch[key] for key in ("under", "stripped")))
        return ("both read it, the same" if same else "both read it, NOT THE SAME"), "", None, same
    if not reads and "tensors" not in torch:
        return "neither reads it", "", None, True
    if reads:
        reason = torch.get("restricted") or torch.get("error") or "loads, but: " + torch["other"]
        kind = kind_of(reason, LOOSER)
        return "Furrow alone reads it", reason, kind, kind is not None
    reason = f"{furrow['error']}: {furrow['entry']}: {furrow['reason']}"
    kind = kind_of(reason, STRICTER)
    return "PyTorch alone reads it", reason, kind, kind is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", required=True)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/soak.md")
    options = parser.parse_args()
    try:
        import numpy  # noqa: F401
        import torch
    except ImportError as missing:
        print(f"skipped: {missing}")
        return 77

    pool = seed_pool(options.seed)
    readers = [Reader([pathlib.Path(options.tool).resolve()]), Reader([sys.executable, "-m", "differential.loaders"])]
    counts, sorts, bad, failed, safe = collections.Counter(), collections.Counter(), 0, 0, 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None) as folder:
        for first in range(options.first, options.first + options.cases, BATCH):
            cases = []
            for number in range(first, min(first + BATCH, options.first + options.cases)):
                kind, data = made(options.seed, number, pool)
                if data is None:
                    counts[kind, "left out: no package safetensors"] += 1
                    continue
                path = pathlib.Path(folder) / f"{number % BATCH}{'.safetensors' if kind == 'safetensors' else '.pth'}"
                path.write_bytes(data)
                cases.append((number, kind, path))
            paths = [path for _, _, path in cases]
            for reader in readers:
                reader.ask(paths)
            for (number, kind, path), furrow, other in zip(cases, *(reader.answers(paths) for reader in readers)):
                outcome, reason, sort, good = verdict(furrow, other)
                counts[kind, outcome] += 1
                safe += outcome.startswith("both") and other.get("safe", False)
                if reason:
                    sorts[outcome, sort or "on no list"] += 1
                if not good:
                    bad += 1
                    failed += outcome.startswith(("both", "Furrow died")) or torch.__version__.startswith(LISTED_FOR)
                    print(f"case {number} ({kind}): {outcome}: {reason}\n  Furrow {json.dumps(furrow)[:600]}\n"
                          f"  PyTorch {json.dumps(other)[:600]}")
                    if options.keep:
                        options.keep.mkdir(parents=True, exist_ok=True)
                        (options.keep / f"{options.seed}_{number}{path.suffix}").write_bytes(path.read_bytes())
            for path in paths:
                path.unlink()
    bar = "| " if options.markdown else ""
    for (kind, outcome), count in sorted(counts.items()):
        print(f"{bar}{kind:11} | {outcome:26} | {count:6} {bar}".rstrip())
    for (outcome, sort), count in sorted(sorts.items(), key=lambda row: (row[0][0], -row[1])):
        print(f"{bar}{outcome:22} | {sort} | {count} {bar}".rstrip())
    print(f"{options.cases} cases; of those read by both {safe} through weights_only=True; "
          f"{bad} disagreements on no list")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
