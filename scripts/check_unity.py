#!/usr/bin/env python3
"""Checks that the sources of each library compile as one (FURROW_UNITY, as scripts/run.sh builds the program).

    scripts/check_unity.py [--build DIR]        DIR: default build/unity

Checked is what scripts/run.sh builds: neither device cuda nor cpu-emulated, whose files the sanitizer builds unite.
Nothing but syntax is checked, which takes a quarter of the time of that build: what can fail is a name that two
anonymous namespaces of a library share. Exit status 1 and the compiler's words where one does.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def check(entry):
    command = re.sub(r" -o \S+", "", entry["command"]) + " -fsyntax-only -Werror"
    done = subprocess.run(command, shell=True, cwd=entry["directory"], capture_output=True, text=True,
                          env={**os.environ, "CCACHE_DISABLE": "1"})
    return done.returncode, done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/unity")
    build = parser.parse_args().build
    subprocess.run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DFURROW_UNITY=ON",
                    "-DFURROW_BUILD_TESTS=OFF", "-DFURROW_EMULATOR=OFF", "-DFURROW_CUDA=OFF"],
                   check=True, stdout=subprocess.DEVNULL)
    table = build / "generated/segment/cascade_table.cc"   # numbers alone; a build would make it
    if not table.exists():
        table.touch()
    entries = json.loads((build / "compile_commands.json").read_text())
    united = [entry for entry in entries if "/Unity/" in entry["file"]]
    if not united:
        sys.exit(f"check_unity: {build} has no united sources")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(check, united))
    for code, words in results:
        if code:
            print(words, file=sys.stderr)
    failed = sum(code != 0 for code, _ in results)
    print(f"{len(united)} united sources, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
