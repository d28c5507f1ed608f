"""The program is small: without symbols, and without the model compiled into it, it takes at most so many bytes.

usage: size_test.py STRIP PROGRAM MODEL LIMIT        MODEL: the file compiled in; without one, ''
"""
import pathlib
import subprocess
import sys
import tempfile

strip, program, model, limit = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
inside = pathlib.Path(model).read_bytes() if model else b""
with tempfile.TemporaryDirectory() as folder:
    stripped = pathlib.Path(folder) / "program"
    subprocess.run([strip, "-o", stripped, program], check=True)
    whole = stripped.read_bytes()
if inside not in whole:
    sys.exit(f"{program} does not hold {model}: this test would measure another thing")
code = len(whole) - len(inside)
print(f"{program.name}: {code:,} bytes of code and {len(inside):,} of the model; at most {limit:,} of code")
if code > limit:
    sys.exit(f"{program} has {code - limit:,} bytes of code too many: `nm --size-sort -C` names the largest functions; "
             "what runs once per file or photo belongs to SOURCES, not LOOPS, of its furrow_library()")
