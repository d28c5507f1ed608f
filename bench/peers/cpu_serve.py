"""A peer that is timed in turns, in Python: the protocol of bench/cpu/serve.h. An adapter calls serve() with a function
that builds its network and returns (run, result, told): run() once, the logits of the last run as N H W C float32, and
what to tell of itself. At the end a peer in Python also tells what it needs on disk."""
import argparse
import json
import os
import pathlib
import sys
import time


def setting(*flags):
    """The arguments of bench/cpu/serve.h, and `flags` of the adapter's own."""
    parser = argparse.ArgumentParser()
    for name in ("--weights", "--input", "--logits", "--network", "--models"):
        parser.add_argument(name)
    for name in ("--side", "--batch", "--threads"):
        parser.add_argument(name, type=int, required=True)
    for name in ("--once", *flags):
        parser.add_argument(name, action="store_true")
    return parser.parse_args()


def picture(options):
    """The input as NHWC, float32."""
    import numpy as np
    return np.fromfile(options.input, "<f4").reshape(options.batch, options.side, options.side, 3)


def planes(options):
    """The input as NCHW in memory."""
    return picture(options).transpose(0, 3, 1, 2).copy()


def usage():
    """(wall, CPU, waited) in seconds; waited None where the kernel does not tell."""
    waited, known = 0.0, False
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/schedstat", encoding="ascii") as file:
                waited, known = waited + int(file.read().split()[1]) * 1e-9, True
        except (OSError, IndexError):
            pass
    with open("/proc/stat", encoding="ascii") as file:
        waited += int(file.readline().split()[8]) / 100   # what the host took of the machine's processors
    return time.monotonic(), time.process_time(), waited if known else None


def peak_mebibytes():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def folder_bytes(folder):
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink() and f.suffix != ".pyc")


def on_disk():
    """Bytes of the packages that are loaded, whole, and of their files that are mapped: libraries."""
    packages = [pathlib.Path(p).resolve() for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    mapped = set()
    with open("/proc/self/maps", encoding="utf-8") as file:
        for line in file:
            words = line.split(None, 5)
            if len(words) == 6 and words[5].startswith("/"):
                mapped.add(pathlib.Path(words[5].strip()))
    files = {pathlib.Path(m.__file__).resolve() for m in list(sys.modules.values()) if getattr(m, "__file__", None)} | mapped
    tops, libraries = set(), set()
    for file in files:
        for folder in packages:
            if folder in file.parents and file.exists():
                tops.add(folder / file.relative_to(folder).parts[0])
                if file in mapped:
                    libraries.add(file)
    size = sum(folder_bytes(t) if t.is_dir() else t.stat().st_size for t in tops)
    return {"packages": sorted(t.name for t in tops), "disk_MiB": size / 2**20, "mapped_MiB": sum(f.stat().st_size for f in libraries) / 2**20}


def serve(options, build):
    run, result, told = build(options)
    run()
    result().astype("<f4").tofile(options.logits)
    if options.once:
        return
    print(json.dumps(told), flush=True)
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "end":
            peak = peak_mebibytes()
            print(json.dumps({"peak_MiB": peak, **on_disk()}), flush=True)
            return
        count = int(rest[0])
        before = usage()
        for _ in range(count):
            run()
        after = usage()
        wall, cpu = after[0] - before[0], after[1] - before[1]
        waited = options.threads * wall - cpu if after[2] is None else after[2] - before[2]
        print(json.dumps({"wall_s": wall, "cpu_s": cpu, "waited_s": max(0.0, waited)}), flush=True)
