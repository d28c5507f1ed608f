#!/usr/bin/env bash
# kernel_coverage.sh [BUILD_DIR]: how many lines of the CUDA kernels the tests of label `cuda` reach, on the emulator.
# Builds with clang's source coverage, whose counts are exact under optimisation too, runs the label, prints one table;
# exits 1 below 98 % in all, naming the lines that nothing reached. Needs clang, llvm-profdata and llvm-cov.
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${1:-$source_dir/build/kernel-coverage}
least=98
jobs=$(nproc)
cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 \
  -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ "-DCMAKE_CXX_FLAGS=-fprofile-instr-generate -fcoverage-mapping" \
  -DFURROW_BUILD_APPS=OFF -DFURROW_CUDA=OFF > /dev/null
quietly() {
  local log
  log=$(mktemp)
  "$@" > "$log" 2>&1 || { tail -n 40 "$log" >&2; echo "kernel_coverage.sh: '$*' failed" >&2; exit 1; }
  rm -f "$log"
}
export LLVM_PROFILE_FILE=$build_dir/profile-%8m.profraw   # one per program; processes of one program add up
quietly cmake --build "$build_dir" --target build_cuda_tests -j "$jobs"
rm -f "$build_dir"/profile-*.profraw                      # the build lists tests by running them
quietly ctest --test-dir "$build_dir" -L '^cuda$' -j "$jobs" --timeout 600 --no-tests=error
llvm-profdata merge -o "$build_dir/kernels.profdata" "$build_dir"/profile-*.profraw

cd "$source_dir"
kernels=$(find kernels/cuda -name '*.cu' | sort)
headers=$(grep -lE 'SIMT_DEVICE|SIMT_BOTH' $(find kernels/cuda -name '*.h') | grep -v '/simt' | sort)   # simt*.h: the words
objects=$(find "$build_dir/tests/cuda" -maxdepth 2 -type f -name 'cuda_*_test' -printf '-object %p ')
llvm-cov export -format=lcov $objects -instr-profile="$build_dir/kernels.profdata" \
  $(printf "$source_dir/%s " $kernels $headers) |
awk -v least=$least -v root="$source_dir/" -v wanted="$kernels $headers" '
  /^SF:/ { file = substr($0, 4); sub(root, "", file) }
  /^DA:/ { split(substr($0, 4), part, ","); ++lines[file]; if (part[2] + 0 > 0) ++reached[file]; else missed[file] = missed[file] " " part[1] }
  END {
    count = split(wanted, order, /[ \n]+/)
    printf "| file | lines | reached | lines not reached |\n|---|--:|--:|---|\n"
    for (i = 1; i <= count; ++i) {
      file = order[i]
      if (!(file in lines)) continue   # declarations and tables alone: nothing that runs
      printf "| %s | %d | %.1f %% |%s |\n", file, lines[file], 100 * reached[file] / lines[file], missed[file]
      all += lines[file]; all_reached += reached[file]
    }
    if (all < 2000) { printf "kernel_coverage.sh: only %d lines were measured\n", all > "/dev/stderr"; exit 1 }
    printf "| all | %d | %.2f %% | |\n", all, 100 * all_reached / all
    if (100 * all_reached < least * all) { printf "kernel_coverage.sh: less than %d %%\n", least > "/dev/stderr"; exit 1 }
  }'
