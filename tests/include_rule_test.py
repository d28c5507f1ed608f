#!/usr/bin/env python3
"""Reads every #include of the tree and checks that it points down the layers (and that heavy or private headers stay put).
Tables of what reads files are keyed by pointers or have the hash that no file can know (kernels/secret_hash.h).

    kernels <- io, nn <- segment <- apps          tests, bench, fuzz, examples may include everything below apps
    kernels <- losses, parallel;  io <- data;  nn, losses, data, segment, parallel <- train <- apps
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAY_INCLUDE = {
    "kernels": {"kernels"},
    "io": {"kernels", "io"},
    "nn": {"kernels", "nn"},
    "segment": {"kernels", "io", "nn", "segment"},
    "losses": {"kernels", "losses"},
    "data": {"kernels", "io", "data"},
    "parallel": {"kernels", "parallel"},
    "train": {"kernels", "io", "nn", "losses", "data", "segment", "parallel", "train"},
    "apps": {"kernels", "io", "nn", "losses", "data", "segment", "parallel", "train", "apps"},
    "examples": {"segment", "io"},
}
# header (prefix) -> the only folders or files that may include it
RESTRICTED = {
    "mpi.h": ["parallel/mpi_plugin.c"],
    "stb/": ["tests/"],
    "CLI/": ["apps/"],
    "yaml-cpp/": ["io/"],
    "zlib.h": ["io/", "tests/", "fuzz/"],
    "immintrin.h": ["kernels/cpu/", "io/sha256.cc", "bench/peak.cc"],
    "cuda": ["kernels/cuda/"],
    "cudnn": ["kernels/cuda/"],
    "cublas": ["kernels/cuda/"],
}
HASHED = re.compile(r"\bunordered_(?:map|set)<[^;({]*>")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def violations(path: pathlib.Path) -> list[str]:
    relative = path.relative_to(ROOT).as_posix()
    folder = relative.split("/")[0]
    found = []
    for kind, target in INCLUDE.findall(path.read_text(errors="replace")):
        layer = target.split("/")[0]
        if kind == '"' and folder in MAY_INCLUDE and layer in MAY_INCLUDE and layer not in MAY_INCLUDE[folder]:
            found.append(f"{relative}: {folder}/ may not include {target}")
        if kind == '"' and folder == "kernels" and relative.count("/") == 2 and target.count("/") == 2:
            own, other = relative.split("/")[1], target.split("/")[1]
            if own != other and {own, other} != {"cuda", "emu"}:  # the emulator and the words that it implements
                found.append(f"{relative}: kernels/{own} may not include kernels/{other}")
        for prefix, allowed in RESTRICTED.items():
            if target.startswith(prefix) and not any(relative.startswith(a) for a in allowed):
                found.append(f"{relative}: {target} belongs to {', '.join(allowed)}")
        if "nlohmann" in target and path.suffix == ".h":
            found.append(f"{relative}: {target} is too heavy for a header")
    for table in HASHED.findall(path.read_text(errors="replace")) if folder in {"io", "nn", "data", "train"} else []:
        if "SecretHash" not in table and "*" not in table.split(",")[0]:
            found.append(f"{relative}: {table} can be flooded by a file; SecretHash")
    return found


def main() -> int:
    files = [p for folder in [*MAY_INCLUDE, "tests", "bench", "fuzz"]
             for p in sorted((ROOT / folder).rglob("*")) if p.suffix in {".h", ".c", ".cc", ".cu", ".cuh"}]
    if len(files) < 20:
        print(f"only {len(files)} source files found: is the tree complete?")
        return 1
    bad = [line for path in files for line in violations(path)]
    print("\n".join(bad) or f"{len(files)} files: every include points down")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
