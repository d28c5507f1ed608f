#!/usr/bin/env bash
# Installs a build into a scratch folder and builds examples/segment.cc against it, as a user of the library would.
#   scripts/check_install.sh BUILD_DIR
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1:?BUILD_DIR}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
for file in bin/furrow lib/cmake/furrow/furrow-config.cmake share/doc/furrow/THIRD_PARTY_NOTICES; do
  [ -e "$scratch/prefix/$file" ] || { echo "check_install: $file was not installed" >&2; exit 1; }
done
mkdir "$scratch/consumer"
cp "$root/examples/segment.cc" "$scratch/consumer/"
cat >"$scratch/consumer/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
find_package(furrow REQUIRED)
add_executable(segment segment.cc)
target_link_libraries(segment PRIVATE furrow::furrow)
CMAKE
cmake -S "$scratch/consumer" -B "$scratch/consumer/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$scratch/prefix" >/dev/null
cmake --build "$scratch/consumer/build"
# The consumer's mask equals the program's.
"$scratch/consumer/build/segment" "$root/weights/furrow-mini-2.safetensors" "$root/examples/astronaut.png" \
  "$scratch/mask.png"
"$scratch/prefix/bin/furrow" segment "$root/examples/astronaut.png" -o "$scratch/out" --save mask >/dev/null
cmp "$scratch/mask.png" "$scratch/out/astronaut.mask.png"
echo "check_install: the example built from the install tree gives the program's mask"
