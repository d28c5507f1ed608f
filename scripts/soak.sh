#!/usr/bin/env bash
# What takes hours: fuzzing with a budget, a long folder, the largest picture, killed trainings, data sets under
# sanitizers, broken kernels.
# Prints a section of docs/soak.md: it goes above the older ones there and replaces none ("Beside PyTorch's loader" is
# of scripts/differential_fuzz.py).
#   scripts/soak.sh [--executions N] [--minutes N] [--targets "zip png_walk"] [--fuzz-only] [--work DIR] [--no-setup]
# --executions: of each fuzz target in the fast build (default 10^8); then a hundredth of them under AddressSanitizer
#   and UBSan, which begin with all that the fast build found. --minutes: the most per target (default 600).
# --targets: by default all of them, as many at once as there are processors. --fuzz-only: nothing but fuzzing.
# --work: keeps corpora and logs in DIR; a later call with the same DIR goes on where an earlier one stopped, and counts
#   what that one ran. A finding of an earlier call stays one until its file (TARGET-crash-..., -timeout-..., -oom-...)
#   is removed from DIR. Without --work, a folder is made, and kept only where something was found.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

executions=100000000 minutes=600 rest=yes work=""
setup=yes targets="zip pickle pth stream tar npy safetensors png_walk png_decode jpeg config csv landmarks"
arguments=$*
while [ $# -gt 0 ]; do
  case "$1" in
    --executions) executions=${2:?--executions needs a number}; shift 2 ;;
    --minutes) minutes=${2:?--minutes needs a number}; shift 2 ;;
    --targets) targets=${2:?--targets needs names}; shift 2 ;;
    --fuzz-only) rest=no; shift ;;
    --work) work=${2:?--work needs a folder}; shift 2 ;;
    --no-setup) setup=no; shift ;;
    -h|--help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "soak.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
done
[ "$setup" = no ] || scripts/setup.sh --for soak --yes
passing=no failed=0   # passing: whether $work goes with this call
if [ -n "$work" ]; then
  mkdir -p "$work"
  work=$(cd "$work" && pwd)
else
  work=$(mktemp -d)
  passing=yes
fi

# artifacts [TARGET]: what stopped a build of it, or of any. An input that was only slow is none.
artifacts() { find "$work" -maxdepth 1 -type f -name "${1:-*}-*-*" ! -name '*-slow-unit-*'; }

# shellcheck disable=SC2317   # the trap calls it
leave() {
  if [ "$failed" -ne 0 ] || [ -n "$(artifacts)" ]; then
    echo "soak.sh: what failed, and its logs, are in $work" >&2
  elif [ "$passing" = yes ]; then
    rm -rf "$work"
  fi
}
# kill and wait: the processes in the background do not hear of Ctrl-C, and would go on alone.
trap leave EXIT
trap 'kill $(jobs -p) 2>/dev/null || true; wait; exit 130' INT TERM

for preset in fuzz-fast fuzz; do
  cmake --preset "$preset" >/dev/null
  # shellcheck disable=SC2046,SC2086
  cmake --build --preset "$preset" --target $(printf 'fuzz_%s ' $targets) >/dev/null
done
[ "$rest" = no ] || { cmake --preset release >/dev/null && cmake --build --preset release --target furrow >/dev/null; }

echo "## Soak of $(date -u +%Y-%m-%d)"
echo
echo "$(git rev-parse --short HEAD), $(nproc) processors, \`scripts/soak.sh${arguments:+ }$arguments\`"
echo
echo "| what | amount | result |"
echo "|---|---|---|"

# name of the target -> folder of its corpus, where it is called otherwise
declare -A corpus=([png_walk]=png [png_decode]=png)
# name of the target -> bytes of its longest input in the fast build, where the reader takes its time: a settings file of
# 4 KiB takes ten times as long as one of 512 bytes, and says no more.
declare -A longest=([config]=512)
# fuzzed TARGET BUILD: executions so far, from its log.
fuzzed() {
  [ -f "$work/$1.$2.log" ] || { echo 0; return; }
  awk '/^stat::number_of_executed_units:/ { n += $2 } END { print n + 0 }' "$work/$1.$2.log"
}

# libfuzzer BUILD TARGET ARGUMENTS...: one process of it; its log is appended to. In the background, as a shell hears of
# a signal only while it waits. Without AddressSanitizer the limit of one allocation is that of the address space, and
# fresh memory holds no zeros.
libfuzzer() {
  local build=$1 target=$2
  shift 2
  (
    cd "$work"
    [ "$build" = fuzz ] || { ulimit -v 2097152; export MALLOC_PERTURB_=165; }
    # In seconds of wall clock: a refusal takes 1 s at most, but the sanitizers make it slower, and a busy machine
    # stretches it (5 s were once passed by an input that needs 0.02 s of processor time).
    exec "$root/build/$build/fuzz/fuzz_$target" -timeout=120 "$@"
  ) >>"$work/$target.$build.log" 2>&1 &
  wait $!
}

# fuzz_in BUILD TARGET RUNS SECONDS [OPTIONS...]: -rss_limit in MiB, with room for the sanitizers.
fuzz_in() {
  local build=$1 target=$2 runs=$3 seconds=$4
  shift 4
  libfuzzer "$build" "$target" -runs="$runs" -max_total_time="$seconds" -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$work/$target-" "$@" "$work/$target" "$root/fuzz/corpus/${corpus[$target]:-$target}"
}

# fuzz TARGET: leaves its logs, its corpus, what it found and its exit status in $work: that of the build that failed
# first. The fast build runs in slices, so that a call that is ended loses little.
fuzz() {
  local target=$1 status=0 code=0 slice=5000000 left seconds artifact found
  local most=$((minutes > 0 ? minutes * 60 : 1))   # 0 seconds are no limit for libFuzzer
  local end=$((SECONDS + most))
  trap 'kill $(jobs -p) 2>/dev/null || true; wait; exit 72' TERM
  rm -f "$work/$target.status"
  mkdir -p "$work/$target"
  while left=$((executions - $(fuzzed "$target" fuzz-fast))) seconds=$((end - SECONDS))
        [ "$left" -gt 0 ] && [ "$seconds" -gt 0 ]; do
    fuzz_in fuzz-fast "$target" $((left < slice ? left : slice)) "$seconds" -entropic=0 \
      -max_len="${longest[$target]:-0}" || status=$?
    [ "$status" -eq 0 ] || break
  done
  if [ "$status" -ne 72 ]; then   # libFuzzer's answer to SIGINT and SIGTERM
    left=$((executions / 100 - $(fuzzed "$target" fuzz)))
    [ "$left" -gt 0 ] || left=0   # all of the corpus is run in any case
    fuzz_in fuzz "$target" "$left" "$most" || code=$?
    [ "$status" -ne 0 ] || status=$code
    # What stopped a build, once more under the sanitizers, for their report.
    mapfile -t found < <(artifacts "$target")
    for artifact in "${found[@]}"; do libfuzzer fuzz "$target" "$artifact" || true; done
  fi
  echo "$status" >"$work/$target.status"
}
for target in $targets; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
  fuzz "$target" &
done
wait
for target in $targets; do
  status=$(cat "$work/$target.status" 2>/dev/null || echo none)
  if [ -n "$(artifacts "$target")" ]; then
    result="**FINDING**" failed=1
  else
    case "$status" in
      0) result="no finding" ;;
      72) result="no finding, interrupted" ;;
      *) result="**exit status $status**" failed=1 ;;
    esac
  fi
  edges=$(grep -oE 'cov: [0-9]+' "$work/$target.fuzz.log" | tail -n 1 || true)
  echo "| fuzz_$target | $(fuzzed "$target" fuzz-fast) executions in the fast build, $(fuzzed "$target" fuzz) under" \
    "AddressSanitizer and UBSan | $result, ${edges:-no coverage}, $(find "$work/$target" -type f | wc -l) files found |"
done
[ "$rest" = yes ] || exit $failed

# A folder of many photos with three bad ones: the bad ones at the end, everything else done.
many=${FURROW_SOAK_PHOTOS:-100000}
rm -rf "$work/in" "$work/out"   # of a call that was ended here
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

result=$(python3 scripts/soak_large_picture.py build/release/apps/furrow) || failed=1
echo "| \`segment --tile\` of 2^28 pixels | 1 picture | $result |"

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

# The real kernels, broken one line at a time: their tests must fail each time. And the exercises of docs/emulator.md.
cmake --build --preset release --target cuda_mma_conv_test cuda_conv_test cuda_metrics_test cuda_ladder_test >/dev/null
log=$work/mutations.log
if python3 tests/cuda/mutations/mutations.py build/release >"$log" 2>&1
then result="all killed"; else result="**$(grep -m 1 -E '^(SURVIVED|WRONG)' "$log" || tail -n 1 "$log")**"; failed=1; fi
echo "| mutations of CUDA kernels | $(grep -c '^killed' "$log" || true) | $result |"

exit $failed
