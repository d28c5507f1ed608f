#!/bin/bash
# Times one training step of the classic U-Net (base 64, two pictures of 256x256, float32, 2 threads) here and in PyTorch,
# in turns on the same machine, and prints medians, ratios and the load while it ran.
#
#   scripts/bench_train.sh [ROUNDS [PYTHON...]]      default: 3 rounds, /usr/bin/python3
#
# Every PYTHON needs torch; each is run with and without channels_last. Both sides keep the memory they have freed
# (MALLOC_*), or first touches would be timed. BENCH names another furrow_bench.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
shift $(($# > 0 ? 1 : 0))
[ $# -gt 0 ] || set -- /usr/bin/python3
bench=${BENCH:-build/release/bench/furrow_bench}
[ -x "$bench" ] || { echo "$bench: build it with -DFURROW_BUILD_BENCH=ON" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_MMAP_THRESHOLD_=100000000000 PYTHONDONTWRITEBYTECODE=1

own() {  # ROW FILE
  "$bench" --benchmark_filter="$1" --benchmark_min_time=0.01 --benchmark_out="$2" --benchmark_out_format=json > /dev/null 2>&1
}
for round in $(seq "$rounds"); do
  read -r load _ < /proc/loadavg
  echo "$load" >> "$out/load"
  own 'train/step unet base64.*threads:2' "$out/own.step.$round.json"
  own 'train/dice.focal base64.*threads:2' "$out/own.loss.$round.json"
  i=0
  for python in "$@"; do
    "$python" bench/peers/torch_train.py --threads 2 --steps 1 --json "$out/torch.step.$i.$round.json" > /dev/null
    "$python" bench/peers/torch_train.py --threads 2 --steps 1 --channels-last --json "$out/torch.step.$i.last.$round.json" > /dev/null
    "$python" bench/peers/torch_train.py --threads 2 --steps 100 --loss --json "$out/torch.loss.$i.$round.json" > /dev/null
    i=$((i + 1))
  done
done
python3 - "$out" <<'PYTHON'
import glob, json, statistics, sys
out = sys.argv[1]


def rows(kind):
    found = {}
    for path in glob.glob(f"{out}/own.{kind}.*.json"):
        row = json.load(open(path))["benchmarks"][0]
        found.setdefault("furrow " + row["label"], []).append((row["real_time"], row.get("cpu_ms"), row.get("peak_MiB")))
    for path in glob.glob(f"{out}/torch.{kind}.*.json"):
        row = json.load(open(path))
        found.setdefault(row["peer"], []).append((row["median_wall_ms"], row["median_cpu_ms"], row["peak_MiB"]))
    return {name: [statistics.median(v) if None not in v else None for v in zip(*all)] for name, all in found.items()}


def text(value, digits=0):
    return "" if value is None else f"{value:.{digits}f}"


loads = [float(line) for line in open(f"{out}/load")]
print(f"load average at the start of the rounds: {min(loads)} to {max(loads)}\n")
for kind, title, digits in (("step", "training step", 0), ("loss", "Dice + Focal, value and gradient", 2)):
    table = rows(kind)
    own = next(v for k, v in table.items() if k.startswith("furrow"))
    print(f"| {title} | wall ms | CPU ms | peak MiB | wall / furrow | CPU / furrow | furrow's peak / peak |")
    print("|---|---|---|---|---|---|---|")
    for name, (wall, cpu, peak) in sorted(table.items(), key=lambda item: item[1][0]):
        ratio = [wall / own[0], cpu / own[1] if cpu and own[1] else None, own[2] / peak if peak and own[2] else None]
        print(f"| {name} | {text(wall, digits)} | {text(cpu, digits)} | {text(peak)} | {text(ratio[0], 2)} | {text(ratio[1], 2)} | {text(ratio[2], 2)} |")
    print()
PYTHON
