#!/usr/bin/env bash
# One bounded run that says whether the CUDA kernels are right on this machine's GPU, and how fast: conformance, all
# kernel tests, end-to-end and gradient parity, benchmarks, and the same beside PyTorch and TensorRT where they
# are installed.
#   scripts/gpu_check.sh [--device cuda|cpu-emulated] [--build FOLDER | --prebuilt FOLDER] [--out FILE.json]
#                        [--minutes 9] [--sizes tiny|full] [--no-peers]
#   scripts/gpu_check.sh --prepare FOLDER     packs the programs for a machine without compilers; there:
#                                             FOLDER/scripts/gpu_check.sh --out FILE.json
# --build builds into FOLDER first (default: build/gpu). Offline. Exit status: 0 all right, 1 wrong results, 2 usage.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
words="$*"

usage() { sed -n '2,9s/^# \{0,1\}//p' "$root/scripts/gpu_check.sh"; }
fail() { echo "gpu_check.sh: $1" >&2; exit "${2:-2}"; }
device=cuda build= prebuilt= out= minutes=9 sizes= prepare= peers=()
while [ $# -gt 0 ]; do
  case "$1" in
    --device|--build|--prebuilt|--out|--minutes|--sizes|--prepare) [ $# -ge 2 ] || fail "$1 needs a value"
      printf -v "${1#--}" %s "$2"; shift 2 ;;
    --no-peers) peers=(--no-peers); shift ;;
    -h|--help) usage; exit 0 ;;
    *) fail "unknown option '$1' (see --help)" ;;
  esac
done
case "$device" in
  cuda) sizes=${sizes:-full} ;;
  cpu-emulated) sizes=${sizes:-tiny} ;;
  *) fail "--device takes cuda or cpu-emulated" ;;
esac
[[ "$sizes" =~ ^(tiny|full)$ ]] || fail "--sizes takes tiny or full"
[[ "$minutes" =~ ^[0-9]+([.][0-9]+)?$ ]] || fail "--minutes takes a number"
[ -z "$build" ] || [ -z "$prebuilt" ] || fail "give one of --build and --prebuilt"

targets=(furrow furrow_gpu_bench furrow_conformance build_cuda_tests build_cuda_network_tests)
commit_of_tree() {
  git -C "$root" rev-parse --is-inside-work-tree >/dev/null 2>&1 || { echo unknown; return; }
  local changed=
  git -C "$root" diff --quiet HEAD -- || changed=+changes
  echo "$(git -C "$root" rev-parse --short=12 HEAD)$changed"
}
build_into() {  # FOLDER CMAKE-OPTIONS...
  local folder=$1; shift
  local log=$folder.log
  mkdir -p "$(dirname "$folder")"
  echo "gpu_check: building in $folder (log: $log)"
  { cmake -S "$root" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFURROW_UNITY=ON -DFURROW_PCH=TESTS "$@" &&
    cmake --build "$folder" --target "${targets[@]}"; } >"$log" 2>&1 ||
    { tail -n 25 "$log" >&2; fail "the build failed" 1; }
}

if [ -n "$prepare" ]; then
  mkdir -p "$prepare"
  folder=$(cd "$prepare" && pwd)
  built=${build:-$root/build/gpu-prebuilt}
  # Tests look for their files below the folder they run in; the C++ library comes along; the CUDA runtime is static
  # anyway.
  build_into "$built" -DFURROW_TEST_ROOT=. -DCMAKE_EXE_LINKER_FLAGS="-static-libstdc++ -static-libgcc" \
    $([ "$device" = cuda ] && echo -DFURROW_CUDA=ON)
  rm -rf "$folder/programs.tar.xz" "$folder/scripts" "$folder/bench" "$folder/examples" "$folder/docs" \
    "$folder/weights" "$folder/tests"
  staging=$(mktemp -d)
  trap 'rm -rf "$staging"' EXIT
  cd "$built"
  for program in apps/furrow bench/gpu/furrow_gpu_bench tests/cuda/conformance/furrow_conformance \
    $(find tests/cuda -path tests/cuda/vendor -prune -o -type f -executable -name 'cuda_*_test' -print | sort); do
    mkdir -p "$staging/$(dirname "$program")"
    strip -o "$staging/$program" "$program"
  done
  cd "$root"
  commit_of_tree >"$staging/COMMIT"
  # The programs hold the same kernels many times over: packed together they are little more than one.
  tar -C "$staging" -c . | xz -T1 --lzma2=preset=3,dict=192MiB >"$folder/programs.tar.xz"
  for item in scripts/gpu_check.sh scripts/gpu_check bench/peers examples/astronaut.png docs/ladder.md \
    weights/furrow-mini.safetensors tests/data/conformance; do
    [ -e "$item" ] || continue
    mkdir -p "$folder/$(dirname "$item")"
    cp -r "$item" "$folder/$item"
  done
  find "$folder" -name __pycache__ -prune -exec rm -rf {} +
  size=$(du -sm "$folder" | cut -f1)
  echo "gpu_check: $folder, $size MiB. On the machine with a GPU: $prepare/scripts/gpu_check.sh --out FILE.json"
  [ "$size" -le 64 ] || fail "more than 64 MiB" 1
  exit 0
fi

command -v python3 >/dev/null || fail "needs python3 (standard library only)" 5
out=${out:-$root/out/gpu_check.json}
[ -n "$build$prebuilt" ] || [ ! -e "$root/programs.tar.xz" ] || prebuilt=$root   # this is a prepared folder
if [ -z "$prebuilt" ]; then
  build=${build:-$root/build/gpu}
  build_into "$build" $([ "$device" = cuda ] && echo -DFURROW_CUDA=ON)
  prebuilt=$build
fi
[ -d "$prebuilt" ] || fail "no such folder: $prebuilt" 7
commit=$(commit_of_tree)
if [ -e "$prebuilt/programs.tar.xz" ]; then
  unpacked=$(mktemp -d)
  trap 'rm -rf "$unpacked"' EXIT
  python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1], "r:xz").extractall(sys.argv[2])' \
    "$prebuilt/programs.tar.xz" "$unpacked"
  prebuilt=$unpacked
  commit=$(cat "$unpacked/COMMIT")
fi
status=0
python3 "$root/scripts/gpu_check/stages.py" --programs "$prebuilt" --device "$device" --sizes "$sizes" --out "$out" \
  --minutes "$minutes" --commit "$commit" --command "$words" "${peers[@]}" || status=$?
exit $status
