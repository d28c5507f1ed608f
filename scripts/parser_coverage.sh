#!/bin/sh
# parser_coverage.sh [BUILD_DIR]: how many lines of each parser the committed fuzz corpora reach.
# Builds the replay tests with clang's source coverage, runs them, prints one table. Needs clang and llvm-cov.
set -eu
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${1:-$source_dir/build/parser-coverage}
cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang \
  -DCMAKE_CXX_COMPILER=clang++ "-DCMAKE_CXX_FLAGS=-O0 -fprofile-instr-generate -fcoverage-mapping" > /dev/null
programs=""
for test in "$source_dir"/tests/*/replay_test.cc; do
  area=$(basename "$(dirname "$test")")
  for corpus in "$source_dir"/fuzz/corpus/*; do
    target=${area}_replay_$(basename "$corpus")_test
    ninja -C "$build_dir" -t query "$target" > /dev/null 2>&1 || continue
    ninja -C "$build_dir" "$target" > /dev/null
    LLVM_PROFILE_FILE=$build_dir/$target.profraw "$build_dir/tests/$area/$target" > /dev/null
    programs="$programs $build_dir/tests/$area/$target"
  done
done
llvm-profdata merge -o "$build_dir/all.profdata" "$build_dir"/*.profraw
set -- $programs
first=$1
shift
llvm-cov report "$first" $(printf -- '-object %s ' "$@") -instr-profile="$build_dir/all.profdata" \
  -ignore-filename-regex='/(tests|fuzz|kernels)/|/usr/'
