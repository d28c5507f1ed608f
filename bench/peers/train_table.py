#!/usr/bin/env python3
"""The table and the JSON file of scripts/bench_train.sh, from the files its runs left.

    train_table.py FOLDER JSON

FOLDER holds own.KIND.ROUND.json of Google Benchmark and torch.KIND.*.json of torch_train.py, KIND `step`, `loss` or
`memory` (PyTorch with the allocator's defaults, for its peak), NAME.failed of settings that did not work, and `load`.
Ratios are PyTorch's / Furrow's, so above 1 Furrow is faster; of memory Furrow's / PyTorch's.
"""
import datetime
import glob
import json
import os
import platform
import statistics
import sys


def spread(values):
    known = [v for v in values if v is not None]
    if not known:
        return None
    return {"median": statistics.median(known), "least": min(known), "most": max(known), "runs": len(known)}


def rows(folder, kind):
    found = {}
    for path in sorted(glob.glob(f"{folder}/own.{kind}.*.json")):
        for row in json.load(open(path, encoding="utf-8"))["benchmarks"]:
            found.setdefault("furrow " + row["label"], []).append(
                (row["real_time"], row.get("cpu_ms"), row.get("peak_MiB"), row.get("activations_MiB")))
    for path in sorted(glob.glob(f"{folder}/torch.{kind}.*.json")):
        row = json.load(open(path, encoding="utf-8"))
        found.setdefault(row["peer"], []).append((row["median_wall_ms"], row["median_cpu_ms"], row["peak_MiB"], None))
    names = ("wall_ms", "cpu_ms", "peak_MiB", "activations_MiB")
    return {name: dict(zip(names, map(spread, zip(*runs)))) for name, runs in found.items()}


def lower_peaks(table, memory):
    """Of a setting's peaks the lower: it is the allocator's choice, not the framework's."""
    for name, row in table.items():
        other = memory.get(name)
        if other and other["peak_MiB"]["median"] < row["peak_MiB"]["median"]:
            row["peak_MiB"] = other["peak_MiB"]


def cell(value, digits):
    if value is None:
        return ""
    text = f"{value['median']:.{digits}f}"
    return text if value["runs"] == 1 else f"{text} ({value['least']:.{digits}f} to {value['most']:.{digits}f})"


def ratio(a, b):
    return f"{a['median'] / b['median']:.2f}" if a and b else ""


def print_table(title, table, digits):
    own = next(row for name, row in table.items() if name.startswith("furrow"))
    print(f"| {title} | wall ms | CPU ms | peak MiB | wall / furrow | CPU / furrow | furrow's peak / peak |")
    print("|---|---|---|---|---|---|---|")
    for name, row in sorted(table.items(), key=lambda item: (item[1]["cpu_ms"] or item[1]["wall_ms"])["median"]):
        peaks = (row["peak_MiB"], own["peak_MiB"])
        print(f"| {name} | {cell(row['wall_ms'], digits)} | {cell(row['cpu_ms'], digits)} | {cell(peaks[0], 0)} | "
              f"{ratio(row['wall_ms'], own['wall_ms'])} | {ratio(row['cpu_ms'], own['cpu_ms'])} | {ratio(peaks[1], peaks[0])} |")
    print()


def best(table):
    """Each ratio to the best PyTorch setting, and which that is."""
    own = next(row for name, row in table.items() if name.startswith("furrow"))
    told = {}
    for what in ("wall_ms", "cpu_ms", "peak_MiB"):
        peers = {n: r for n, r in table.items() if not n.startswith("furrow") and r[what]}
        if not peers or not own[what]:
            continue
        name = min(peers, key=lambda n: peers[n][what]["median"])
        a, b = peers[name][what]["median"], own[what]["median"]
        told[what] = {"best": name, "ratio": b / a if what == "peak_MiB" else a / b}
    return told


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main():
    folder, out = sys.argv[1:3]
    with open(f"{folder}/load", encoding="utf-8") as file:
        loads = [float(line) for line in file]
    told = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"), "processor": processor(),
            "processors": os.cpu_count(), "load_at_start_of_rounds": loads, "did_not_work": {}}
    print(f"load average at the start of the rounds: {min(loads)} to {max(loads)}\n")
    for kind, title, digits in (("step", "training step", 0), ("loss", "Dice + Focal, value and gradient", 2)):
        table = rows(folder, kind)
        if not table:
            continue
        if kind == "step":
            lower_peaks(table, rows(folder, "memory"))
        print_table(title, table, digits)
        told[kind] = {"rows": table, "against_the_best": best(table)}
        for what, of in told[kind]["against_the_best"].items():
            print(f"{what}: {of['ratio']:.2f} against the best, {of['best']}")
        print()
    for path in sorted(glob.glob(f"{folder}/*.failed")):
        with open(path, encoding="utf-8", errors="replace") as file:
            reason = file.read().strip()[:300]
        told["did_not_work"][os.path.basename(path)[:-len(".failed")]] = reason
        print(f"did not work: {os.path.basename(path)[:-len('.failed')]}: {reason}")
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    with open(out, "w", encoding="utf-8") as file:
        json.dump(told, file, indent=1)
        file.write("\n")
    print(f"written: {out}")


if __name__ == "__main__":
    main()
