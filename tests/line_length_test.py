#!/usr/bin/env python3
"""No line of C++, CUDA, CMake or shell is longer than the 120 columns of .clang-format, folder by folder.

NOT_YET is the one list of the folders that still have longer ones. Columns are characters, not bytes.
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLUMNS = 120
NOT_YET = {"apps", "kernels", "scripts", "train"}
SUFFIXES = {".c", ".cc", ".cmake", ".cu", ".h", ".sh"}
LEFT_OUT = {"build", "out"}   # what is built and written, where a checkout has it


def long_lines(text: str) -> list[tuple[int, int]]:
    """Number and length of every line that is too long."""
    lengths = ((number, len(line)) for number, line in enumerate(text.splitlines(), 1))
    return [(number, length) for number, length in lengths if length > COLUMNS]


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
    candidates = folder.rglob("*") if folder != ROOT else folder.glob("*")
    return sorted(f for f in candidates if f.is_file() and (f.suffix in SUFFIXES or f.name == "CMakeLists.txt"))


planted = "x" * COLUMNS + "\n" + "\u2192" * COLUMNS + "\n" + "x" * (COLUMNS + 1)
if long_lines(planted) != [(3, COLUMNS + 1)]:
    sys.exit("long_lines() does not count lines as it should")
bad, read, clean = [], 0, []
folders = [f for f in ROOT.iterdir() if f.is_dir() and f.name not in LEFT_OUT and not f.name.startswith(".")]
for folder in [ROOT, *sorted(folders)]:
    found = []
    for file in files_of(folder):
        read += 1
        found += [f"{file.relative_to(ROOT)}:{number}: {length} columns of at most {COLUMNS}"
                  for number, length in long_lines(file.read_text(encoding="utf-8"))]
    if folder.name not in NOT_YET:
        bad += found
    elif not found:
        clean.append(folder.name)
bad += [f"NOT_YET names {name}/, which is not there" for name in sorted(NOT_YET - {f.name for f in folders})]
if read < 100:
    sys.exit(f"only {read} files were read below {ROOT}: this test looks in the wrong place")
if bad:
    sys.exit("\n".join(bad))
print(f"{read} files; {len(NOT_YET)} folders are not yet held to {COLUMNS} columns: {', '.join(sorted(NOT_YET))}")
if clean:
    print(f"these could be: {', '.join(clean)}")
