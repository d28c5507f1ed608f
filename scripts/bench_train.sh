#!/bin/bash
# Times one training step of the classic U-Net (two pictures of 256x256, float32, 2 threads) here and in PyTorch, in
# turns on the same machine, and prints medians, spread and ratios of wall clock, processor time and peak memory.
#
#   scripts/bench_train.sh [ROUNDS [PYTHON...]]      default: 3 rounds, /usr/bin/python3
#
# Every PYTHON needs torch. Each runs with and without channels_last, and torch 2 compiled too. PyTorch is timed with
# MALLOC_* set so that it keeps the memory it has freed, which makes it faster; its peak memory is the lower of that run
# and one without. Furrow reserves a step's memory itself and runs without.
#
#   BASE=16      channels of the first level: 64 (default) or 16
#   SPIN=yes     PyTorch's waiting threads spin, its default: fair to its wall clock, and unfair in processor time.
#                Without it they sleep (OMP_WAIT_POLICY=PASSIVE)
#   BENCH=FILE   another furrow_bench
#   OUT=FILE     where the numbers go as JSON; default bench/results/train-baseBASE.json
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
shift $(($# > 0 ? 1 : 0))
[ $# -gt 0 ] || set -- /usr/bin/python3
bench=${BENCH:-build/release/bench/furrow_bench} base=${BASE:-64}
[ -x "$bench" ] || { echo "$bench: build it with -DFURROW_BUILD_BENCH=ON" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export PYTHONDONTWRITEBYTECODE=1
[ "${SPIN:-no}" = yes ] || export OMP_WAIT_POLICY=PASSIVE  # threads that spin would count as processor time
keep=(env MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_MMAP_THRESHOLD_=100000000000)
common=(bench/peers/torch_train.py --threads 2 --base "$base")

own() {  # ROW FILE
  "$bench" --benchmark_filter="$1" --benchmark_min_time=0.01 --benchmark_out="$2" \
    --benchmark_out_format=json > /dev/null 2>&1
}
peer() {  # NAME COMMAND...: a setting that does not work leaves its last line instead
  local name=$1
  shift
  "$@" --json "$out/$name.json" > /dev/null 2> "$out/log" || tail -n 1 "$out/log" > "$out/$name.failed"
}
for round in $(seq "$rounds"); do
  read -r load _ < /proc/loadavg
  echo "$load" >> "$out/load"
  echo "round $round of $rounds, load $load" >&2
  own "train/step unet base$base .*threads:2" "$out/own.step.$round.json"
  [ "$base" != 64 ] || own 'train/dice.focal base64.*threads:2' "$out/own.loss.$round.json"
  i=0
  for python in "$@"; do
    settings=("" --channels-last)
    [ "$("$python" -c 'import torch; print(torch.__version__.split(".")[0])')" = 1 ] ||
      settings+=(--compile "--compile --channels-last")
    for s in "${!settings[@]}"; do
      # shellcheck disable=SC2206
      flags=(${settings[$s]})
      [ -e "$out/torch.step.$i.$s.1.failed" ] && continue
      peer "torch.step.$i.$s.$round" "${keep[@]}" "$python" "${common[@]}" --steps 1 "${flags[@]}"
      [ "$round" != 1 ] || peer "torch.memory.$i.$s" "$python" "${common[@]}" --steps 1 "${flags[@]}"
    done
    [ "$base" != 64 ] || peer "torch.loss.$i.$round" "${keep[@]}" "$python" "${common[@]}" --steps 100 --loss
    i=$((i + 1))
  done
done
python3 bench/peers/train_table.py "$out" "${OUT:-bench/results/train-base$base.json}"
