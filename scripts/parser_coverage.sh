#!/bin/sh
# parser_coverage.sh [BUILD_DIR]: how many lines of each parser the committed fuzz corpora reach, and how many branches
# of each reader of containers and pictures their tests take.
# Builds the replay tests with clang's source coverage, runs each folder of fuzz/corpus through its own, prints one
# table; then the same for all tests of tests/containers and tests/pictures. A folder that no test replays is an error,
# and so is a reader with less than 95 % of its branches taken. Needs clang, llvm-cov and python3.
set -eu
source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${1:-$source_dir/build/parser-coverage}
cmake -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang \
  -DCMAKE_CXX_COMPILER=clang++ "-DCMAKE_CXX_FLAGS=-O0 -fprofile-instr-generate -fcoverage-mapping" \
  -DFURROW_CUDA=OFF > /dev/null
rm -f "$build_dir"/*.profraw
programs=""
for corpus in "$source_dir"/fuzz/corpus/*; do
  name=$(basename "$corpus")
  case $name in
    png)  program=tests/pictures/pictures_test filter='ReplayCorpus.Png*' ;;
    jpeg) program=tests/pictures/pictures_test filter='ReplayCorpus.Jpeg*' ;;
    config|csv) program=tests/config/config_replay_${name}_test filter='FuzzReplay.*' ;;
    landmarks) program=tests/datasets/datasets_replay_landmarks_test filter='FuzzReplay.*' ;;
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
no_parsers='/(png_write|quad|resize|mapped_file|sha256)[.]'
llvm-profdata merge -o "$build_dir/all.profdata" "$build_dir"/*.profraw
set -- $programs
first=$1
shift
llvm-cov report "$first" $(printf -- '-object %s ' "$@") -instr-profile="$build_dir/all.profdata" \
  -ignore-filename-regex="/(tests|fuzz|kernels)/|/usr/|$no_parsers"

# Branches, by all tests of the readers. What its own folder or a Python test covers besides does not count.
rm -f "$build_dir"/*.profraw
ninja -C "$build_dir" build_containers_tests build_pictures_tests > "$build_dir/tests.log" 2>&1 || {
  tail -20 "$build_dir/tests.log" >&2
  exit 1
}
programs=""
for program in "$build_dir"/tests/containers/containers_*_test "$build_dir"/tests/pictures/*_test; do
  LLVM_PROFILE_FILE=$build_dir/$(basename "$program").profraw "$program" > "$build_dir/tests.log" 2>&1 || {
    grep -A 5 'Failure$' "$build_dir/tests.log" | head -20 >&2
    echo "parser_coverage.sh: $(basename "$program") failed" >&2
    exit 1
  }
  programs="$programs -object $program"
done
llvm-profdata merge -o "$build_dir/tests.profdata" "$build_dir"/*.profraw
echo
echo "branches of each reader that tests/containers and tests/pictures take"
# shellcheck disable=SC2086
llvm-cov export -summary-only -instr-profile="$build_dir/tests.profdata" ${programs# -object } \
  > "$build_dir/tests.json"
python3 - "$build_dir/tests.json" <<'PYTHON'
import json, re, sys
LEAST = 95  # percent
# Of io/, what reads nothing that a stranger wrote, only bytes as such, or settings (tests/config).
NO_READER = re.compile(r"(atomic_file|closest|config.*|crc32c|csv|html|image|mapped_file|quad|resize.*|sha256|texture|.*write)[.]")
low = []
for file in sorted(json.load(open(sys.argv[1]))["data"][0]["files"], key=lambda file: file["filename"]):
    name = re.search(r"/io/([^/]+)$", file["filename"])
    branches = file["summary"]["branches"]
    if not name or NO_READER.match(name[1]) or branches["count"] == 0:
        continue
    percent = 100 * branches["covered"] / branches["count"]
    low += [name[1]] if percent < LEAST else []
    print(f"{name[1]:24} {branches['covered']:4} of {branches['count']:4}  {percent:6.2f} %")
if low:
    sys.exit(f"parser_coverage.sh: under {LEAST} % of branches: {', '.join(low)}")
PYTHON
