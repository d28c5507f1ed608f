"""The program starts on a machine without CUDA: it names no library of CUDA's, nor any beyond the compiler's own.

usage: needed_test.py READELF PROGRAM...
"""
import re
import subprocess
import sys

# The C library's parts (libdl, librt, libpthread were of their own before glibc 2.34) and the compiler's.
ALLOWED = {"libstdc++.so.6", "libgcc_s.so.1", "libm.so.6", "libc.so.6"}
OF_LIBC = re.compile(r"(ld-linux.*|libdl|librt|libpthread)\.so\.[0-9]+")

readelf, programs = sys.argv[1], sys.argv[2:]
if not programs:
    sys.exit("no program given")
bad = []
for program in programs:
    dynamic = subprocess.run([readelf, "--dynamic", "--wide", program], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)
    if "libc.so.6" not in needed:
        sys.exit(f"{program}: not a dynamic program, or readelf was misread:\n{dynamic}")
    bad += [f"{program} needs {name}" for name in needed if name not in ALLOWED and not OF_LIBC.fullmatch(name)]
if bad:
    sys.exit("\n".join(bad))
print(f"{len(programs)} programs need only {', '.join(sorted(ALLOWED))}")
