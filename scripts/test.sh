#!/usr/bin/env bash
# Installs packages, builds with warnings as errors and runs the tests, in build/test: minutes. With --all everything
# that must hold before a change lands, which is what continuous integration runs, in build/release and others: each
# source on its own, the kernels for all of the build's GPU architectures and their two builds compared, the sanitizer
# builds of kernels, io and losses, scripts/run.sh and the size of its program, and the install tree with a program built
# against it. (Sanitizer builds of the data sets: scripts/soak.sh.)
#   scripts/test.sh [--all] [--no-setup]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

setup=yes all=no
for argument in "$@"; do
  case "$argument" in
    --no-setup) setup=no ;;
    --all) all=yes ;;
    -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test.sh: unknown argument '$argument' (see --help)" >&2; exit 2 ;;
  esac
done

started=$SECONDS passed=0 skipped=0
stage() {  # stage NAME COMMAND...: runs it, prints how long it took; output only where it fails
  local name=$1 begin=$SECONDS log
  shift
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then
    printf 'ok    %4d s  %s\n' $((SECONDS - begin)) "$name"
  else
    printf 'FAIL  %4d s  %s\n' $((SECONDS - begin)) "$name"
    tail -n 60 "$log"
    exit 1
  fi
  # Skipped tests say why in their own output; here they are counted.
  passed=$((passed + $(sed -nE 's/^100% tests passed.* out of ([0-9]+)$/\1/p' "$log" | tail -n 1 | grep . || echo 0)))
  skipped=$((skipped + $(grep -cE '\(Skipped\)$' "$log" || true)))
  rm -f "$log"
}
jobs=$(nproc)
[ "$setup" = no ] || stage "packages" scripts/setup.sh --for test --yes

export CTEST_OUTPUT_ON_FAILURE=1
if [ "$all" = yes ]; then
  build=build/release options=(-DFURROW_UNITY=OFF)
else   # all tests but those of both builds in one (tests/cuda/odr), on half the compiling
  build=build/test options=(-DFURROW_UNITY=ON -DFURROW_COMPARE_OBJECTS=OFF -DCMAKE_CUDA_ARCHITECTURES=90)
fi
stage "release: configure" cmake --preset release -B "$build" -DFURROW_WERROR=ON -DFURROW_CUDA=AUTO -DFURROW_PCH=TESTS "${options[@]}"
stage "release: build" cmake --build "$build"
stage "release: tests" ctest --test-dir "$build" -j "$jobs" --timeout 300 --no-tests=error
# The release build has compiled the kernels with nvcc too, where there is one (FURROW_CUDA=AUTO).
if grep -q '^FURROW_NVCC:FILEPATH=.*nvcc$' "$build/CMakeCache.txt"; then
  stage "cuda: no spills, the intended instructions" scripts/check_archs.sh --build "$build"
else
  echo "skip          cuda: no nvcc on PATH or in /usr/local/cuda/bin; the kernels were tested on the emulator alone"
fi
if [ "$all" = yes ]; then
  # The kernels as C++, on the emulator: nvcc has no part in this. Whole networks on them run in the release build alone.
  stage "asan: configure" cmake --preset asan -DFURROW_WERROR=ON -DFURROW_BUILD_APPS=OFF -DFURROW_CUDA=OFF \
    -DFURROW_PCH=TESTS -DFURROW_UNITY=ON
  stage "asan: build" cmake --build --preset asan --target \
    build_kernels_tests build_cuda_tests build_containers_tests build_pictures_tests build_losses_tests
  # The release build has run the kernels in all eight schedules. Under sanitizers two: see docs/emulator.md.
  stage "asan: tests" env FURROW_TEST_SCHEDULES=two ctest --test-dir build/asan -j "$jobs" \
    -L '^(kernels|cuda|containers|pictures|losses)$' --timeout 600 --no-tests=error
  stage "tsan: configure" cmake --preset tsan -DFURROW_WERROR=ON -DFURROW_BUILD_APPS=OFF -DFURROW_CUDA=OFF \
    -DFURROW_PCH=TESTS -DFURROW_UNITY=ON
  stage "tsan: build" cmake --build --preset tsan --target build_kernels_tests build_cuda_tests
  # Races are looked for, not digits: these tests hold many numbers to float64 on one path that others take as well.
  digits='CloseToFloat64|IsCloseToRefOnRaggedShapes/portable|EqualsRefWhereSumsAreExact|EveryLogitAgainstEveryMask|MmaLongSums'
  digits+='|ShortSums.AreRoundedOnce|LongSumsOfOneSignKeepTheirDigits'
  stage "tsan: tests" env FURROW_TEST_SCHEDULES=two ctest --test-dir build/tsan -j "$jobs" -L '^(kernels|cuda)$' \
    --timeout 600 --no-tests=error -E "$digits"
  # Its libraries are one source each: a name that two anonymous namespaces of a library share fails here.
  rm -rf build/test-run   # what is configured stays so
  stage "scripts/run.sh: a mask" env CXXFLAGS=-Werror FURROW_CUDA=OFF FURROW_RUN_BUILD="$root/build/test-run" \
    scripts/run.sh --no-setup
  stage "at most 4 MB of program beside the model" \
    python3 tests/apps/size_test.py strip build/test-run/apps/furrow weights/furrow-mini-2.safetensors 4000000
  stage "install tree and a program built from it" scripts/check_install.sh "$build"
fi
echo "all stages passed in $((SECONDS - started)) s"
echo "$((passed - skipped)) passed, 0 failed, $skipped skipped"
