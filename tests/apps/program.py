"""What the tests of the program share: how it is run, photos to give it, and what a refusal must look like.

    SOME_test.py PATH_TO_FURROW [unittest arguments]
"""
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PHOTO = ROOT / "examples" / "astronaut.png"
FURROW = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build" / "release" / "apps" / "furrow")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, value=lambda x, y: (x * 7 + y * 3) % 256) -> bytes:
    rows = b"".join(b"\0" + bytes(value(x, y) for x in range(width) for _ in range(3)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def gray(width, height, value, depth=8) -> bytes:
    """A gray PNG whose pixels are value(x, y)."""
    code = ">H" if depth == 16 else ">B"
    rows = b"".join(b"\0" + b"".join(struct.pack(code, value(x, y)) for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_size(path) -> tuple:
    return struct.unpack(">II", pathlib.Path(path).read_bytes()[16:24])


def read_png(path) -> list:
    """Rows of a PNG, gray of 1, 8 or 16 bits or RGB of 8, as the numbers in them (1 bit: 0 and 1; RGB: three a pixel)."""
    data, at, body = pathlib.Path(path).read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", data[at + 8:at + 18])
        if kind == b"IDAT":
            body += data[at + 8:at + 8 + size]
        at += 12 + size
    assert (colour, depth) in ((0, 1), (0, 8), (0, 16), (2, 8)), (colour, depth)
    bits = depth * (3 if colour == 2 else 1)
    raw, stride, step = zlib.decompress(body), (width * bits + 7) // 8, max(bits // 8, 1)
    rows, above = [], bytearray(stride)
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            left, corner = (line[i - step], above[i - step]) if i >= step else (0, 0)
            nearest = min((left, above[i], corner), key=lambda p: abs(left + above[i] - corner - p))
            line[i] = (line[i] + (0, left, above[i], (left + above[i]) // 2, nearest)[kind]) % 256
        above = line
        if depth == 16:
            rows.append(list(struct.unpack(f">{width}H", line)))
        elif depth == 8:
            rows.append(list(line))
        else:
            rows.append([line[x // 8] >> (7 - x % 8) & 1 for x in range(width)])
    return rows


class Program(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)
        self.addCleanup(self._folder.cleanup)

    def run_furrow(self, *words, stdin=None, timeout=60, **more):
        return subprocess.run([FURROW, *map(os.fsencode, words)], cwd=self.folder, input=stdin, capture_output=True, timeout=timeout, **more)

    def segment(self, *words, **more):
        """Quick settings: a tiny network input and no face search."""
        return self.run_furrow("segment", "--crop", "none", "--size", "32", "-o", "out", *words, **more)

    def refused(self, result, status, *parts, stdout_empty=True):
        text = result.stderr.decode(errors="surrogateescape")
        lines = [line for line in text.splitlines() if not line.startswith(("furrow: ", "  "))]
        self.assertEqual(result.returncode, status, text)
        self.assertEqual(len(lines), 1, text)
        self.assertTrue(lines[0].startswith("error["), text)
        self.assertLessEqual(len(lines[0].encode()), 500)
        for part in parts:
            self.assertIn(part, text)
        if stdout_empty:
            self.assertEqual(result.stdout, b"")

    def photo(self, name="a.png", width=40, height=30):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(width, height))
        return path

    def without_privileges(self) -> dict:
        """Words for run_furrow that make the system's permissions count: root may do everything, so ask as nobody."""
        if os.geteuid() != 0:
            return {}
        os.chmod(self.folder, 0o777)
        try:
            if subprocess.run([FURROW, "--version"], capture_output=True, user=65534).returncode == 0:
                return {"user": 65534}
        except OSError:
            pass
        self.skipTest("the program lies where user 65534 cannot run it")
