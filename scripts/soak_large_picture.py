#!/usr/bin/env python3
"""Segments a picture of 2^28 pixels in windows and holds the program's memory to 4 GiB.

    scripts/soak_large_picture.py PROGRAM [SIDE]        SIDE: default 16384

Prints one cell of docs/soak.md's table; exit status 1 where the program failed or took more.
"""
import pathlib
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib

LIMIT = 4 << 30


def write_png(path, side):
    """Waves of skin tones, a row at a time: the picture itself would take 768 MiB."""
    def chunk(file, kind, data):
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))

    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        chunk(file, b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        packer = zlib.compressobj(1)
        wave = bytes(channel for x in range(256) for channel in (200 - abs(x - 128) // 4, 160 - abs(x - 128) // 4, 140))
        for y in range(side):
            shift = 3 * (y % 256)
            row = (wave[shift:] + wave[:shift]) * (side // 256)
            if data := packer.compress(b"\0" + row):
                chunk(file, b"IDAT", data)
        chunk(file, b"IDAT", packer.flush())
        chunk(file, b"IEND", b"")


def main():
    program, side = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 16384
    if side % 256 != 0:
        sys.exit("soak_large_picture.py: SIDE is a multiple of 256")
    with tempfile.TemporaryDirectory() as folder:
        photo = pathlib.Path(folder) / "large.png"
        write_png(photo, side)
        begin = time.monotonic()
        done = subprocess.run([program, "-q", "segment", "--crop", "none", "--tile", "--save", "mask,json", "-o",
                               pathlib.Path(folder) / "out", photo], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        seconds = time.monotonic() - begin
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        whole = (pathlib.Path(folder) / "out/large.mask.png").exists()
    good = done.returncode == 0 and whole and peak <= LIMIT
    text = f"exit {done.returncode}, {peak / (1 << 30):.2f} GiB at most, {seconds:.0f} s"
    print(text if good else f"**{text}** {done.stderr.decode(errors='replace').strip()}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
