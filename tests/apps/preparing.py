"""What the tests of `furrow prepare` share: drawn photos, label maps and masks (tests/data/prepare, make_prepare_golden.py),
what the original scripts make of them, and how a step is run.
"""
import json
import struct

from program import *  # noqa: F403: Program, ROOT, png_size, read_png and the rest

DATA = ROOT / "tests" / "data" / "prepare"
IMAGES, LABELS, MASKS, EXPECTED = (DATA / name for name in ("images", "labels", "masks", "expected"))
AT_64 = ("--sigma", "80")   # 5 pixels of a photo of 64, as the scripts have it whatever the size


def npy(width, height, value, kind="<i8", code="q") -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({height}, {width}), }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    data = struct.pack(f"<{width * height}{code}", *(value(x, y) for y in range(height) for x in range(width)))
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() + data


class PrepareCase(Program):
    def prepare(self, *words, status=0, **more):
        result = self.run_furrow("prepare", *words, **more)
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def report(self, *words, status=0):
        return json.loads(self.prepare(*words, "--json", status=status).stdout.splitlines()[0])

    def put(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def same_pictures(self, found, expected):
        names = {path.name: path for path in (self.folder / found).rglob("*.png")}
        self.assertEqual(sorted(names), sorted(path.name for path in expected.iterdir()))
        for path in expected.iterdir():
            self.assertEqual(png_size(names[path.name]), png_size(path))
            self.assertTrue(read_png(names[path.name]) == read_png(path), f"{path} differs")
