#!/usr/bin/env bash
# kernel_coverage.sh [BUILD_DIR]: how many lines of the CUDA kernels their tests reach, on the emulator.
# Builds the test programs that launch kernels with clang's source coverage, whose counts are exact under optimisation
# too, runs them, prints the table of docs/kernel_coverage.md; exits 1 below 98 % in all. Needs clang, llvm-profdata and
# llvm-cov. JOBS: how many programs at once (the processors of the machine).
set -euo pipefail
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${1:-$source_dir/build/kernel-coverage}
build_dir=$(mkdir -p "$build_dir" && cd "$build_dir" && pwd)
least=98
jobs=${JOBS:-$(nproc)}
for tool in clang++ llvm-profdata llvm-cov; do
  command -v "$tool" > /dev/null || { echo "kernel_coverage.sh: no $tool on PATH" >&2; exit 5; }
done
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() { "$@" > "$log" 2>&1 || { tail -n 40 "$log" >&2; echo "kernel_coverage.sh: '$*' failed" >&2; exit 1; }; }

# The programs of label cuda whose subject is a kernel; the runtime, the vendors and the emulator have others.
programs=$(tr '\n' ' ' <"$source_dir/tests/cuda/CMakeLists.txt" |
  grep -oE 'furrow_test\(cuda_[a-z_]+_test [^()]*LABELS cuda( COST [0-9]+)?\)' | sed -E 's/^furrow_test\((cuda_[a-z_]+).*/\1/' |
  grep -v '^cuda_runtime_test$')
quietly cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  "-DCMAKE_CXX_FLAGS=-fprofile-instr-generate -fcoverage-mapping" \
  -DFURROW_BUILD_APPS=OFF -DFURROW_CUDA=OFF
quietly cmake --build "$build_dir" -j "$jobs" --target $programs
rm -f "$build_dir"/*.profraw   # the build lists tests by running them
run() { LLVM_PROFILE_FILE="$1/$2.profraw" "$1/tests/cuda/$2" --gtest_brief=1; }
export -f run
quietly xargs -P "$jobs" -I{} bash -c 'run "$@"' _ "$build_dir" {} <<< "$programs"
(cd "$build_dir" && llvm-profdata merge -o kernels.profdata $(printf '%s.profraw ' $programs))

cd "$source_dir"
kernels=$(find kernels/cuda -name '*.cu' | sort)
# Without simt*.h: the words.
headers=$(grep -lE 'SIMT_DEVICE|SIMT_BOTH' $(find kernels/cuda -name '*.h') | grep -v '/simt' | sort)
objects=$(printf -- "-object $build_dir/tests/cuda/%s " $programs)   # the first comes without the word
llvm-cov export -format=lcov ${objects#-object } -instr-profile="$build_dir/kernels.profdata" 2> "$log" |
awk -v least=$least -v root="$source_dir/" -v wanted="$(echo $kernels $headers)" '
  # A compiler cache may write BUILD_DIR/../..
  /^SF:/ { file = substr($0, 4); sub(/^.*\/\.\.\//, "", file); sub(root, "", file) }
  /^DA:/ {
    split(substr($0, 4), part, ","); ++lines[file]
    if (part[2] + 0 > 0) ++reached[file]; else missed[file] = missed[file] " " part[1]
  }
  function text(file, line, found, i) {   # of one line, without its indent
    for (i = 1; i <= line && (getline found < file) > 0; ++i) {}
    close(file)
    sub(/^ +/, "", found)
    return found
  }
  END {
    count = split(wanted, order, " ")
    printf "| file | lines | reached |\n|---|--:|--:|\n"
    for (i = 1; i <= count; ++i) {
      file = order[i]
      if (!(file in lines)) continue   # declarations and tables alone: nothing that runs
      printf "| %s | %d | %.1f %% |\n", file, lines[file], 100 * reached[file] / lines[file]
      all += lines[file]; all_reached += reached[file]
    }
    if (all < 2000) { printf "kernel_coverage.sh: only %d lines were measured\n", all > "/dev/stderr"; exit 1 }
    printf "| all | %d | %.2f %% |\n\nNot reached:\n\n", all, 100 * all_reached / all
    for (i = 1; i <= count; ++i) {
      many = split(missed[order[i]], line, " ")
      for (k = 1; k <= many; ++k) printf "- %s:%d: `%s`\n", order[i], line[k], text(order[i], line[k])
    }
    if (100 * all_reached < least * all) {
      printf "kernel_coverage.sh: less than %d %%\n", least > "/dev/stderr"
      exit 1
    }
  }'
