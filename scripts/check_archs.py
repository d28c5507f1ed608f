"""The work of scripts/check_archs.sh, which checks its options and is the command to run."""
import argparse
import concurrent.futures
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import time

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
FLAGS = ["-std=c++20", "-I."]


def included_by(path, seen):
    """The project's files that nvcc sees with `path`: what it includes, at any depth."""
    for name in re.findall(r'#\s*include "([^"]+)"', path.read_text()):
        header = pathlib.Path(name)
        if header not in seen and header.exists() and header.name != "simt_host.h":   # the emulator's
            seen.add(header)
            included_by(header, seen)
    return seen


def kernel_headers_of(path):
    """Of those the kernels', but for the words' own definitions."""
    return {h for h in included_by(path, set()) if h.parent.parts[:2] == ("kernels", "cuda") and not h.name.startswith("simt")}


def words_of(path):
    return set(re.findall(r"\w+", re.sub(r"//.*", "", path.read_text()))) & INSTRUCTION.keys()


def sum_of(path, version):
    """Names what a compiler is given: equal sums, equal results, up to line numbers."""
    text = hashlib.sha256(f"{version} {FLAGS}".encode())
    for file in [path, *sorted(included_by(path, set()))]:
        code = re.sub(r"//.*|\s", "", file.read_text())   # comments and layout apart
        text.update(f"{file}\0{code}\0".encode())
    return text.hexdigest()[:24]


class Compiler:
    """nvcc to PTX, ptxas to machine code; results are kept."""

    def __init__(self, nvcc, cache):
        self.nvcc, self.cache = nvcc, pathlib.Path(cache)
        self.ptxas = pathlib.Path(nvcc).resolve().parent / "ptxas"
        self.version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[-2]
        self.cache.mkdir(parents=True, exist_ok=True)

    def __call__(self, file, arch, of_ptx):
        """What ptxas says of machine code for `arch` made from PTX for `of_ptx`; that PTX; whether anything was compiled."""
        path = pathlib.Path(file)
        before = sum_of(path, self.version)
        ptx, log = self.cache / f"{path.stem}.{before}.compute_{of_ptx}.ptx", self.cache / f"{path.stem}.{before}.{of_ptx}.sm_{arch}.log"
        compiled = False
        if not ptx.exists():
            compiled, part = True, ptx.with_suffix(".part")
            self.run([self.nvcc, *FLAGS, "--ptx", f"-arch=compute_{of_ptx}", "-o", part, file], file, arch)
            if sum_of(path, self.version) != before:
                raise RuntimeError(f"{file}, or a header of it, was changed while it was compiled")
            part.rename(ptx)
        if not log.exists():
            compiled = True
            said = self.run([self.ptxas, "-v", f"-arch=sm_{arch}", "-o", "/dev/null", ptx], file, arch)
            part = log.with_suffix(".part")
            part.write_text(said)
            part.rename(log)
        return log.read_text(), ptx.read_bytes(), compiled

    @staticmethod
    def run(command, file, arch):
        ran = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if ran.returncode != 0:
            raise RuntimeError(f"{file} does not compile for sm_{arch}:\n{ran.stdout}")
        return ran.stdout


def compiled(options):
    """(file, arch) -> log, code. Machine code of 86 and 89 is made from the PTX of 80, as the project's builds do."""
    results = {}
    compiler = Compiler(options.nvcc, options.cache)
    for arch in options.archs.split():
        begin, new = time.monotonic(), 0
        of_ptx = "80" if arch in ("86", "89") else arch
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            tasks = {pool.submit(compiler, file, arch, of_ptx): file for file in options.files}
            try:
                for task in concurrent.futures.as_completed(tasks):
                    log, code, compiled_now = task.result()
                    results[tasks[task], arch] = log, code
                    new += compiled_now
            except RuntimeError as failure:
                pool.shutdown(cancel_futures=True)
                sys.exit(f"check_archs.sh: {failure}")
        print(f"sm_{arch}: {new} of {len(options.files)} files compiled in {time.monotonic() - begin:.0f} s, the others known from before",
              file=sys.stderr, flush=True)
    return results


def ptx_of(path):
    """The PTX in an object of nvcc, which holds it, as it does machine code, in a frame of Zstandard (--compress-mode=size).
    What follows a frame is not one: the tool says so, and has written the frame by then."""
    data, found = path.read_bytes(), b""
    for frame in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), data):
        text = subprocess.run(["zstd", "-dcq"], input=data[frame.start():], capture_output=True).stdout
        if text.lstrip().startswith(b".version"):
            found += text
    return found


def left_by_build(options):
    """(file, "") -> log and code of a build folder, for all its architectures at once and with one PTX."""
    build, results = pathlib.Path(options.build), {}
    for file in options.files:
        name = file.removeprefix("kernels/cuda/")
        log = build / f"kernels/cuda/device/CMakeFiles/furrow_cuda_kernels.dir/__/{name}.o.ptxas"
        results[file, ""] = log.read_text(), ptx_of(log.with_suffix(""))
    return results


def demangled(names):
    shown = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.split("\n")
    return {name: re.sub(r"furrow::|cuda::|\(anonymous namespace\)::", "", text) for name, text in zip(names, shown)}


def rows_of(file, log):
    """A row per kernel and architecture."""
    rows = []
    for name, arch, said in ENTRY.findall(log):
        number = lambda pattern: sum(int(n) for n in re.findall(pattern, said))
        rows.append(dict(file=file.removeprefix("kernels/cuda/"), name=name, arch=arch, registers=number(r"Used (\d+) registers"),
                         shared=number(r"(\d+) bytes smem"), stack=number(r"(\d+) bytes stack frame"),
                         spills=number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")))
    return rows


def missing_words(results, with_headers):
    """Words of each source whose instruction is not in the PTX. A header may be used in part: somebody must use each."""
    missing_in = {}
    for (file, _), (_, code) in results.items():
        path = pathlib.Path(file)
        if not code:
            return [f"{file}: its object holds no PTX that can be read: an architecture without PTX, or another compression"]
        missing = {word for word, instruction in INSTRUCTION.items() if instruction.encode() not in code}
        missing_in[path] = missing_in.get(path, set()) | missing   # on every architecture
    if with_headers:
        for path, missing in list(missing_in.items()):
            for header in kernel_headers_of(path):
                missing_in[header] = missing_in.get(header, set(INSTRUCTION)) & missing
    return [f"{source}: uses {word}, but {INSTRUCTION[word]} is not in its PTX"
            for source, missing in missing_in.items() for word in sorted(words_of(source) & missing)]


def print_table(rows, names):
    print(f"{'file':24} {'kernel':64} {'sm':>4} {'registers':>9} {'shared':>7} {'stack':>6} {'spills':>6}")
    for r in rows:
        print(f"{r['file']:24} {names[r['name']][:64]:64} {r['arch']:>4} {r['registers']:9} {r['shared']:7} {r['stack']:6} {r['spills']:6}")


def print_markdown(rows):
    archs = sorted({r["arch"] for r in rows}, key=int)
    print("| file | kernels | " + " | ".join(f"registers, sm_{a}" for a in archs) + " | static shared, bytes | stack, bytes | spilled, bytes |")
    print("|---|--:|" + "--:|" * (len(archs) + 3))
    for file in dict.fromkeys(r["file"] for r in rows):
        of_file = [r for r in rows if r["file"] == file]
        most = lambda what, arch=None: max(r[what] for r in of_file if arch in (None, r["arch"]))
        print(f"| {file} | {len({r['name'] for r in of_file})} | " + " | ".join(str(most("registers", a)) for a in archs) +
              f" | {most('shared')} | {most('stack')} | {sum(r['spills'] for r in of_file)} |")


def main():
    parser = argparse.ArgumentParser(prog="check_archs.sh")
    for option in ("table", "nvcc", "build", "archs", "cache", "headers"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    if options.build and not shutil.which("zstd"):
        print("check_archs.sh: no zstd on PATH, which --build reads PTX with (Debian package zstd)", file=sys.stderr)
        sys.exit(5)
    results = left_by_build(options) if options.build else compiled(options)

    rows, failures = [], missing_words(results, options.headers == "yes")
    for file in options.files:
        of_file = [row for (name, _), (log, _) in results.items() if name == file for row in rows_of(file, log)]
        if "__global__" in pathlib.Path(file).read_text() and not of_file:
            failures.append(f"{file}: has __global__ functions, but none was compiled (a template without an instance?)")
        rows += of_file
    names = demangled([row["name"] for row in rows])
    failures += [f"{r['file']}: {names[r['name']]} spills {r['spills']} bytes on sm_{r['arch']}" for r in rows if r["spills"]]
    if options.table == "yes":
        print_table(rows, names)
    elif options.table == "markdown":
        print_markdown(rows)
    print("\n".join(failures), end="\n" if failures else "")
    archs = " ".join(sorted({r["arch"] for r in rows}, key=int))
    print(f"{len(options.files)} files, {len({(r['file'], r['name']) for r in rows})} kernels, sm {archs}: {len(failures)} failures",
          file=sys.stderr if options.table == "markdown" else sys.stdout)
    sys.exit(1 if failures or not rows else 0)


if __name__ == "__main__":
    main()
