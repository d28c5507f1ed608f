#!/usr/bin/env bash
# From a fresh clone to a wrinkle mask: installs packages (asks first), builds the program, segments a photo.
#   scripts/run.sh [--yes] [--no-setup] [PHOTO]        without PHOTO: the bundled examples/astronaut.png
# To be quick, this build leaves out the emulator of the CUDA kernels (device cpu-emulated) and device cuda;
# FURROW_CUDA=AUTO scripts/run.sh has both, where nvcc is found, and takes some minutes more. FURROW_RUN_BUILD names
# another build folder than build/run.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

yes=() setup=yes photo=
for argument in "$@"; do
  case "$argument" in
    --yes|-y) yes=(--yes) ;;
    --no-setup) setup=no ;;
    -h|--help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "run.sh: unknown option '$argument' (see --help)" >&2; exit 2 ;;
    *) [ -z "$photo" ] || { echo "run.sh: one photo, not '$photo' and '$argument' (furrow segment takes many)" >&2; exit 2; }
       photo=$argument ;;
  esac
done
photo=${photo:-$root/examples/astronaut.png}
[ -e "$photo" ] || { echo "run.sh: no such file: $photo" >&2; exit 7; }

build=${FURROW_RUN_BUILD:-$root/build/run}
[ "$setup" = no ] || "$root/scripts/setup.sh" --for run "${yes[@]}"   # a newer tree may need more than the one that was built first
if [ ! -f "$build/build.ninja" ]; then
  emulator=OFF
  [ "${FURROW_CUDA:-OFF}" = OFF ] || emulator=ON
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFURROW_BUILD_TESTS=OFF -DFURROW_UNITY=ON \
    -DFURROW_EMULATOR=$emulator -DFURROW_CUDA="${FURROW_CUDA:-OFF}" >/dev/null
  echo "run: building the program (one to four minutes on two processors) ..."
fi
cmake --build "$build" --target furrow furrow_notices >"$build/build.log" 2>&1 || { tail -n 20 "$build/build.log" >&2; exit 1; }

out=$root/out
"$build/apps/furrow" segment "$photo" -o "$out" --preview --force
