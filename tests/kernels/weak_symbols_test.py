"""The per-instruction-set objects must share no code with the rest of the program.

A template or inline function compiled in several objects is a weak symbol, of which the linker keeps any one. If that
one was compiled with AVX flags, the program dies on a CPU without them. So these objects may define no weak symbol.

usage: weak_symbols_test.py NM COUNT OBJECT...      COUNT: how many objects there must be
"""
import subprocess
import sys

nm, count, objects = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
if len(objects) != count:
    sys.exit(f"{len(objects)} object files given, not {count}: {objects}")
bad = []
for path in objects:
    listing = subprocess.run([nm, "--demangle", path], check=True, capture_output=True, text=True).stdout
    symbols = [line.split(maxsplit=2) for line in listing.splitlines() if not line.startswith(" ")]
    if not any(fields[2].endswith(("Rows", "Bytes")) for fields in symbols):
        sys.exit(f"{path}: has no table of kernels; is this the right object?")
    # W, V: weak and defined; u: unique across the program. (Undefined weak references are indented and left out.)
    # DW.ref.* is a pointer that sanitizers have the compiler add, the same in every object: data, no code.
    bad += [f"{path}: {fields[2]}" for fields in symbols if fields[1] in "WVu" and not fields[2].startswith("DW.ref.")]
if bad:
    sys.exit("weak symbols in per-instruction-set objects:\n" + "\n".join(bad))
print(f"{len(objects)} objects, no weak symbol")
