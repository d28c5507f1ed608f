#!/bin/sh
# parser_coverage.sh [BUILD_DIR]: how many lines of each parser the committed fuzz corpora reach.
# Builds the replay tests with clang's source coverage, runs each folder of fuzz/corpus through its own, prints one
# table. A folder that no test replays is an error. Needs clang and llvm-cov.
set -eu
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${1:-$source_dir/build/parser-coverage}
cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang \
  -DCMAKE_CXX_COMPILER=clang++ "-DCMAKE_CXX_FLAGS=-O0 -fprofile-instr-generate -fcoverage-mapping" > /dev/null
rm -f "$build_dir"/*.profraw
programs=""
for corpus in "$source_dir"/fuzz/corpus/*; do
  name=$(basename "$corpus")
  case $name in
    png)  program=tests/pictures/pictures_test filter='ReplayCorpus.Png*' ;;
    jpeg) program=tests/pictures/pictures_test filter='ReplayCorpus.Jpeg*' ;;
    *)    program=tests/containers/containers_replay_${name}_test filter='FuzzReplay.*' ;;
  esac
  target=$(basename "$program")
  if ! log=$(ninja -C "$build_dir" "$target" 2>&1); then
    echo "parser_coverage.sh: fuzz/corpus/$name: $target was not built" >&2
    echo "$log" | tail -20 >&2
    exit 1
  fi
  log=$(LLVM_PROFILE_FILE=$build_dir/$name.profraw "$build_dir/$program" --gtest_filter="$filter" 2>&1) || {
    echo "$log" | tail -20 >&2
    exit 1
  }
  tests=$(echo "$log" | sed -n 's/.*PASSED *\] \([0-9]*\) test.*/\1/p')
  if [ "${tests:-0}" -eq 0 ]; then
    echo "parser_coverage.sh: fuzz/corpus/$name was not replayed: $target has no test $filter" >&2
    exit 1
  fi
  echo "fuzz/corpus/$name: $(find "$corpus" -type f | wc -l) files, $tests replay tests of $target"
  case " $programs " in
    *" $build_dir/$program "*) ;;
    *) programs="$programs $build_dir/$program" ;;
  esac
done
# In the same library, but they read nothing that a stranger wrote, or only bytes as such.
no_parsers='/(png_write|resize|mapped_file|sha256)[.]'
llvm-profdata merge -o "$build_dir/all.profdata" "$build_dir"/*.profraw
set -- $programs
first=$1
shift
llvm-cov report "$first" $(printf -- '-object %s ' "$@") -instr-profile="$build_dir/all.profdata" \
  -ignore-filename-regex="/(tests|fuzz|kernels)/|/usr/|$no_parsers"
