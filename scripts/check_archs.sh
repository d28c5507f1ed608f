#!/usr/bin/env bash
# Compiles every kernel for several GPU architectures and reads what the assembler says: registers, shared memory, spills.
#   scripts/check_archs.sh [--archs "80 86 89 90 120"] [--quiet] [FILE.cu...]
#   scripts/check_archs.sh --build DIR [--quiet]     reads what a build with nvcc has left, for its own architectures
# Fails where a kernel spills registers to memory, or where a file uses a word of simt.h whose instruction is not in its
# PTX (a header's words, where all files are checked: not in that of any file that includes it). --quiet: no table, only
# failures and a summary. Needs nvcc (PATH or /usr/local/cuda/bin) and python3, no GPU.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

archs="80 86 89 90 120" table=yes build= files=()
while [ $# -gt 0 ]; do
  case "$1" in
    --archs) archs="${2:?--archs needs a list, such as \"80 90\"}"; shift 2 ;;
    --build) build="${2:?--build needs a build folder}"; shift 2 ;;
    --quiet) table=no; shift ;;
    -h|--help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "check_archs.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
    *) files+=("$1"); shift ;;
  esac
done
headers=no
if [ ${#files[@]} -eq 0 ]; then
  headers=yes
  mapfile -t files < <(sed -n '/^set(FURROW_KERNEL_SOURCES/,/)/p' kernels/CMakeLists.txt | grep -oE '[a-z0-9_/]+\.cu' | sed 's|^|kernels/cuda/|')
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ -n "$build" ]; then
  for file in "${files[@]}"; do
    name=${file#kernels/cuda/}
    cp "$build/kernels/cuda/device/CMakeFiles/furrow_cuda_kernels.dir/__/$name.o.ptxas" "$scratch/${file//\//_}.log"
    cp "$build/tests/cuda/odr/device/CMakeFiles/furrow_odr_device.dir/__/__/__/__/$file.o" "$scratch/${file//\//_}.fatbin"
  done
else
  nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
  [ -x "$nvcc" ] || { echo "check_archs.sh: no nvcc on PATH or in /usr/local/cuda/bin" >&2; exit 5; }
  targets=()
  for arch in $archs; do targets+=("-gencode=arch=compute_$arch,code=[compute_$arch,sm_$arch]"); done
  export nvcc scratch
  compile() {  # FILE FLAGS...: what ptxas says to a log; machine code and PTX, the PTX readable, to one file
    local file=$1 name=${1//\//_}
    shift
    "$nvcc" -std=c++20 -I. -Xptxas -v --fatbin --no-compress "$@" -o "$scratch/$name.fatbin" "$file" >"$scratch/$name.log" 2>&1 || {
      echo "check_archs: $file does not compile:" >&2
      cat "$scratch/$name.log" >&2
      exit 1
    }
  }
  export -f compile
  printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I{} bash -c 'compile "$@"' _ {} "${targets[@]}"
fi

python3 - "$scratch" "$table" "${build:+any}" "$archs" "$headers" "${files[@]}" <<'PYTHON'
import pathlib, re, subprocess, sys

scratch, table, files = pathlib.Path(sys.argv[1]), sys.argv[2] == "yes", sys.argv[6:]
archs = [] if sys.argv[3] else sys.argv[4].split()   # none: whatever the build was for, with one PTX
with_headers = sys.argv[5] == "yes"   # only all files together show whether a header's words are used
# A word of kernels/cuda/simt.h -> the instruction that it must have become.
INSTRUCTION = {
    "mma_m16n8k16_f16": "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
    "mma_m16n8k16_bf16": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    "mma_m16n8k8_tf32": "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
    "mma_m16n8k32_s8": "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32",
    "mma_m16n8k32_u8s8": "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32",
    "ldmatrix_x4": "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
    "ldmatrix_x2": "ldmatrix.sync.aligned.m8n8.x2.shared.b16",
    "ldmatrix_x4_trans": "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",
    "cp_async_16": "cp.async.cg.shared.global",
    "cp_async_4": "cp.async.ca.shared.global",
    "cp_async_commit": "cp.async.commit_group",
    "cp_async_wait": "cp.async.wait_group",
    "to_tf32": "cvt.rna.tf32.f32",
}
ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_(\w+)'(.*?)(?=Compiling entry function|\Z)", re.S)


def words_of(file):
    return set(re.findall(r"\w+", re.sub(r"//.*", "", file.read_text()))) & INSTRUCTION.keys()


def headers_of(file, seen):
    """The kernel headers that a file includes, at any depth, but for the words' own definitions."""
    for name in re.findall(r'#include "(kernels/cuda/[^"]+)"', file.read_text()):
        header = pathlib.Path(name)
        if header not in seen and not header.name.startswith("simt"):
            seen.add(header)
            headers_of(header, seen)
    return seen


def demangled(names):
    shown = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.split("\n")
    return {name: re.sub(r"furrow::|cuda::|\(anonymous namespace\)::", "", text) for name, text in zip(names, shown)}


rows, failures, missing_in = [], [], {}
for file in files:
    path, flat = pathlib.Path(file), file.replace("/", "_")
    log, code = (scratch / f"{flat}.log").read_text(), (scratch / f"{flat}.fatbin").read_bytes()
    for name, arch, said in ENTRY.findall(log):
        number = lambda pattern: sum(int(n) for n in re.findall(pattern, said))
        rows.append((path.name, name, arch, number(r"Used (\d+) registers"), number(r"(\d+) bytes smem"),
                     number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"), number(r"(\d+) bytes stack frame")))
    missing = {word for word, instruction in INSTRUCTION.items() if code.count(instruction.encode()) < max(len(archs), 1)}
    for source in [path, *(headers_of(path, set()) if with_headers else [])]:   # a header may be used in part: somebody must use each of its words
        missing_in[source] = missing_in.get(source, set(INSTRUCTION)) & missing
    if "__global__" in path.read_text() and not any(row[0] == path.name for row in rows):
        failures.append(f"{path.name}: has __global__ functions, but none was compiled (a template without an instance?)")

for source, missing in missing_in.items():
    for word in sorted(words_of(source) & missing):
        failures.append(f"{source}: uses {word}, but {INSTRUCTION[word]} is not in its PTX")

names = demangled([row[1] for row in rows])
if table:
    print(f"{'file':24} {'kernel':64} {'sm':>4} {'registers':>9} {'shared':>7} {'stack':>6} {'spills':>6}")
for file, name, arch, registers, shared, spills, stack in rows:
    if table:
        print(f"{file:24} {names[name][:64]:64} {arch:>4} {registers:9} {shared:7} {stack:6} {spills:6}")
    if spills:
        failures.append(f"{file}: {names[name]} spills {spills} bytes on sm_{arch}")
print("\n".join(failures), end="\n" if failures else "")
print(f"{len(files)} files, {len(set((r[0], r[1]) for r in rows))} kernels, sm {' '.join(sorted({r[2] for r in rows}, key=int))}: {len(failures)} failures")
sys.exit(1 if failures or not rows else 0)
PYTHON
