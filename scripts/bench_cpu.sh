#!/bin/bash
# Times inference on the CPU here and in other runtimes, in turns on the same machine, with the same weights and the same
# pictures, in float32 and in 8 bits, and prints a table: wall clock of clean samples (docs/performance.md says which are), processor
# time, ratios, peak memory, the first result from process start, size on disk.
#
#   scripts/bench_cpu.sh [OPTIONS]                       everything: hours
#   scripts/bench_cpu.sh --quick                         U-Net base 64 and the default model, 512x512, batch 1, 3 rounds
#   scripts/bench_cpu.sh --write-readme bench/results/cpu.json   README's table and picture from a report
#
#   --peers LIST     of torch,onnxruntime,openvino,ncnn,onednn (default: all); none: ours alone. What is not installed is
#                    said in a line of the table and the report. oneDNN wants its headers (libdnnl-dev; DNNL_ROOT=FOLDER
#                    names a tree that holds include/ and lib/); the others are modules of PYTHON, and PyTorch exports
#                    the networks for them (onnx, onnxscript and pnnx do the writing)
#   --python PYTHON  that has them (default: python3)
#   --add NAME=COMMAND   one more program that keeps to the protocol of bench/cpu/serve.h; in 8 bits where NAME ends
#                    in int8, else in float32
#   --networks LIST  of "default model,U-Net base 64,ResNet50-U-Net,BiSeNet";  --sides LIST  512,1024;  --batches LIST  1,4
#   --precisions LIST  fp32,int8: in 8 bits are ours, PyTorch, ONNX Runtime and OpenVINO, scales from the one input
#   --threads LIST   1,2;  --rounds N  clean samples wanted of each (default 7, --quick 3); at most 3 N turns are taken
#   --photo FILE     that `furrow segment` is timed on (default examples/astronaut.png)
#   --out FILE       where the report goes as JSON (fields: bench/results/README.md; of everything default
#                    bench/results/cpu.json);  --svg FILE  and its picture
#   --build FOLDER   of our programs (default build/release), brought up to date first;  --no-build: as they are
#
# Exit status: 0; 1 where ours did not run or a check failed; 2 usage.
set -euo pipefail
usage() { sed -n '2,/^# Exit/s/^# \{0,1\}//p' "$0"; }
start=$PWD
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1
build=build/release make=yes peers=all part=no out='' svg='' words=()
absolute() { case "$1" in /*) echo "$1" ;; *) echo "$start/$1" ;; esac; }
while [ $# -gt 0 ]; do
  case "$1" in
    -h|--help) usage; exit 0 ;;
    --no-build) make=no; shift; continue ;;
    --quick) part=yes words+=("$1"); shift; continue ;;
    --write-readme|--build|--out|--svg|--peers|--python|--add|--networks|--sides|--batches|--threads|--precisions|--rounds|--photo) ;;
    *) echo "bench_cpu.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
  esac
  [ $# -gt 1 ] || { echo "bench_cpu.sh: $1 takes a value" >&2; exit 2; }
  case "$1" in
    --write-readme) exec python3 scripts/bench_cpu/table.py --write-readme "$(absolute "$2")" ;;
    --build) build=$(absolute "$2") ;;
    --out) out=$(absolute "$2"); words+=(--out "$out") ;;
    --svg) svg=$(absolute "$2") ;;
    --photo) words+=("$1" "$(absolute "$2")") ;;
    --python) case "$2" in */*) words+=("$1" "$(absolute "$2")") ;; *) words+=("$1" "$2") ;; esac ;;
    *) [ "$1" != --peers ] || peers=$2
       [ "$1" = --rounds ] || part=yes
       words+=("$1" "$2") ;;
  esac
  shift 2
done
[ "$part$out" != no ] || { out=$PWD/bench/results/cpu.json; words+=(--out "$out"); }
[ -z "$svg" ] || [ -n "$out" ] || { echo "bench_cpu.sh: --svg wants --out, whose picture it is" >&2; exit 2; }
if [ "$make" = yes ]; then
  [ -e "$build/CMakeCache.txt" ] || cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >&2
  cmake --build "$build" --target furrow furrow_cpu_turns >&2
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=${DNNL_ROOT:-/usr}
libraries=$(find "$root"/lib* -name 'libdnnl.so' -printf '%h\n' 2> /dev/null | head -n 1 || true)
onednn=$scratch/onednn
if [ "${peers/onednn/}" = "$peers" ] && [ "$peers" != all ]; then
  onednn=''
elif [ ! -e "$root/include/dnnl.hpp" ] || [ -z "$libraries" ]; then
  onednn="- its headers are not installed (libdnnl-dev)"
elif ! g++ -std=c++20 -O2 -fopenmp -I. -I"$root/include" bench/peers/onednn_unet.cc -o "$onednn" -L"$libraries" \
    -Wl,-rpath,"$libraries" -ldnnl 2> "$scratch/log"; then
  onednn="- its adapter does not compile: $(grep -m 1 error "$scratch/log" || true)"
fi
status=0
python3 scripts/bench_cpu/main.py --turns-program "$build/bench/cpu/furrow_cpu_turns" --furrow "$build/apps/furrow" \
  --onednn="$onednn" "${words[@]}" || status=$?
[ -z "$svg" ] || [ "$status" = 2 ] || python3 scripts/bench_cpu/table.py --svg "$out" "$svg"
exit "$status"
