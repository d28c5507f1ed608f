#!/usr/bin/env bash
# What takes hours: fuzzing with a budget, a long folder, killed trainings, data sets under sanitizers, broken kernels.
# Prints a table; commit it as docs/soak.md.
#   scripts/soak.sh [--minutes N] [--targets "zip png_walk"] [--no-setup]
# N: minutes of fuzzing per target (default 60), as many targets at once as there are processors; by default all.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

minutes=60 setup=yes targets="zip pickle pth stream tar safetensors npy png_walk png_decode jpeg"
while [ $# -gt 0 ]; do
  case "$1" in
    --minutes) minutes=${2:?--minutes needs a number}; shift 2 ;;
    --targets) targets=${2:?--targets needs names}; shift 2 ;;
    --no-setup) setup=no; shift ;;
    -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "soak.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done
[ "$setup" = no ] || scripts/setup.sh --for soak --yes
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --preset fuzz >/dev/null && cmake --build --preset fuzz >/dev/null
cmake --preset release >/dev/null && cmake --build --preset release --target furrow >/dev/null

echo "# Soak"
echo
echo "$(git rev-parse --short HEAD), $(date -u +%Y-%m-%d), $(nproc) processors, \`scripts/soak.sh --minutes $minutes\`"
echo
echo "| what | amount | result |"
echo "|---|---|---|"

# name of the target -> folder of its corpus
declare -A corpus=([zip]=zip [pickle]=pickle [pth]=pth [stream]=stream [tar]=tar [safetensors]=safetensors [npy]=npy
  [png_walk]=png [png_decode]=png [jpeg]=jpeg)
failed=0
fuzz() {  # fuzz TARGET: leaves its log and its exit status in $work
  mkdir -p "$work/$1"
  # -timeout in seconds of wall clock, -rss_limit in MiB: a refusal takes 1 s at most, but the sanitizers make it slower
  # and larger, and a busy machine stretches it (5 s were once passed by an input that needs 0.02 s of processor time).
  local status=0
  (cd "$work" && "$root/build/fuzz/fuzz/fuzz_$1" -max_total_time=$((minutes * 60)) -timeout=25 \
    -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$root/$1-" \
    "$work/$1" "$root/fuzz/corpus/${corpus[$1]}" >"$work/$1.log" 2>&1) || status=$?
  echo "$status" >"$work/$1.status"
}
for target in $targets; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
  fuzz "$target" &
done
wait
for target in $targets; do
  log=$work/$target.log
  if [ "$(cat "$work/$target.status")" -eq 0 ]; then result="no finding"; else result="**FINDING**"; failed=1; fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 || true)
  echo "| fuzz_$target | ${runs:-0} executions | $result, ${edges:-no coverage} |"
done

# A folder of many photos with three bad ones: the bad ones at the end, everything else done.
many=${FURROW_SOAK_PHOTOS:-100000}
python3 - "$work/in" "$many" <<'PYTHON'
import os, struct, sys, zlib
folder, many = sys.argv[1], int(sys.argv[2])
os.makedirs(folder)
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
photo = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) +
         chunk(b"IDAT", zlib.compress(b"\0" * 200)) + chunk(b"IEND", b""))
for i in range(many):
    with open(f"{folder}/{i:06}.png", "wb") as file:
        file.write(photo if i % (many // 3) != 7 else photo[:-30])
PYTHON
begin=$SECONDS status=0
build/release/apps/furrow -q segment --crop none --size 32 --save mask -o "$work/out" "$work/in" \
  >/dev/null 2>"$work/many.log" || status=$?
done_files=$(find "$work/out" -name '*.mask.png' | wc -l)
if [ "$status" -eq 4 ] && [ "$done_files" -eq $((many - 3)) ] && grep -q "3 of $many inputs failed" "$work/many.log"
then result="exit 4, 3 listed, the rest done"; else result="**exit $status, $done_files files**"; failed=1; fi
echo "| folder with 3 bad photos | $many photos, $((SECONDS - begin)) s | $result |"
rm -rf "$work/in" "$work/out"

# Training killed at random moments: what resumes must end with the bits of the run that was left alone.
kills=${FURROW_SOAK_KILLS:-200}
cmake --build --preset release --target furrow_fault_shim >/dev/null
log=$work/kills.log
if python3 tests/apps/train_test.py build/release/apps/furrow build/release/tests/train/libfurrow_fault_shim.so \
  --kill-points "$kills" >"$log" 2>&1
then result=$(grep 'resumed bit for bit' "$log"); else result="**$(tail -n 1 "$log")**"; failed=1; fi
echo "| training killed with SIGKILL | $kills moments | $result |"

# Readers and the loader's threads, which scripts/test.sh --all runs without sanitizers.
for sanitizer in asan tsan; do
  log=$work/$sanitizer.log
  cmake --preset "$sanitizer" -DFURROW_BUILD_APPS=OFF -DFURROW_CUDA=OFF -DFURROW_PCH=TESTS -DFURROW_UNITY=ON >/dev/null
  cmake --build --preset "$sanitizer" --target build_datasets_tests >/dev/null
  if ctest --test-dir "build/$sanitizer" -j "$(nproc)" -L '^datasets$' --timeout 600 --no-tests=error >"$log" 2>&1
  then result="no finding"; else result="**FINDING**"; failed=1; fi
  echo "| data sets, $sanitizer | $(sed -nE 's/^.*tests passed.* out of ([0-9]+)$/\1/p' "$log") tests | $result |"
done

# The real kernels, broken one line at a time: their tests must fail each time.
cmake --build --preset release --target cuda_mma_conv_test cuda_conv_test >/dev/null
log=$work/mutations.log
if python3 tests/cuda/mutations/mutations.py build/release >"$log" 2>&1
then result="all killed"; else result="**$(tail -n 1 "$log")**"; failed=1; fi
echo "| mutations of CUDA kernels | $(grep -c '^killed' "$log" || true) | $result |"

exit $failed
