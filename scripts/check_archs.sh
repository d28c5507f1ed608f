#!/usr/bin/env bash
# Compiles every kernel for several GPU architectures and reads what the assembler says: registers, shared
# memory, spills.
#   scripts/check_archs.sh [--archs "80 86 89 90 120"] [--jobs N] [--cache DIR] [--quiet | --markdown] [FILE.cu...]
#   scripts/check_archs.sh --build DIR [--quiet]     reads what a build with nvcc has left, for its own architectures
# Fails where a kernel spills registers to memory, or where a file uses a word of simt.h whose instruction is not in its
# PTX (a header's words, where all files are checked: not in that of any file that includes it). --quiet: no table, only
# failures and a summary; --markdown: the table of docs/kernel_archs.md, a row per file. Needs nvcc (PATH or
# /usr/local/cuda/bin) and python3, with --build python3 and zstd alone; no GPU.
#
# One architecture after another, one file at a time: what nvcc said of a file is kept in --cache (build/archs) under a
# sum of the file, the headers that it includes, the flags and nvcc's version, so a run that was stopped goes on where
# it was, and after a change only what it touches is compiled. --jobs: compilers at once (the machine's
# processors).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

archs="80 86 89 90 120" table=yes build= files=() jobs=$(nproc) cache=build/archs
while [ $# -gt 0 ]; do
  case "$1" in
    --archs) archs="${2:?--archs needs a list, such as \"80 90\"}"; shift 2 ;;
    --build) build="${2:?--build needs a build folder}"; shift 2 ;;
    --jobs) jobs="${2:?--jobs needs a number}"; shift 2 ;;
    --cache) cache="${2:?--cache needs a folder}"; shift 2 ;;
    --quiet) table=no; shift ;;
    --markdown) table=markdown; shift ;;
    -h|--help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "check_archs.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
    *) files+=("$1"); shift ;;
  esac
done
headers=no
if [ ${#files[@]} -eq 0 ]; then
  headers=yes
  mapfile -t files < <(sed -n '/^set(FURROW_KERNEL_SOURCES/,/)/p' kernels/CMakeLists.txt |
    grep -oE '[a-z0-9_/]+\.cu' | sed 's|^|kernels/cuda/|')
fi
nvcc=
if [ -z "$build" ]; then
  nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
  [ -x "$nvcc" ] || { echo "check_archs.sh: no nvcc on PATH or in /usr/local/cuda/bin" >&2; exit 5; }
fi
exec python3 scripts/check_archs.py --table "$table" --nvcc "$nvcc" --build "$build" --archs "$archs" \
  --jobs "$jobs" --cache "$cache" --headers "$headers" "${files[@]}"
