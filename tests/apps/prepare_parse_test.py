#!/usr/bin/env python3
"""`furrow prepare parse`, `labels` and `overlay`: label maps of a face parser beside PyTorch's, what label maps hold, how two
sets of them agree, and their colours over the photos.

    prepare_parse_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import re
import struct
import zlib

from parser_weights import parser_file
from preparing import *  # noqa: F403: PrepareCase, the folders and the rest

CELEBAMASK, PARSED = DATA / "labels_celebamask", EXPECTED / "parsed"
SIDE, SEED = 96, 26   # of make_parse_golden.py
NAMES = ("background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip neck neck_l cloth hair "
         "hat").split()


def indices(path) -> list:
    """Rows of a palette PNG of 8 bits, as the numbers in it, and its palette."""
    data, at, body, palette = pathlib.Path(path).read_bytes(), 8, b"", b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        content = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", content[:10])
            assert (depth, colour) == (8, 3)
        palette += content if kind == b"PLTE" else b""
        body += content if kind == b"IDAT" else b""
        at += 12 + size
    raw = zlib.decompress(body)
    assert all(raw[y * (width + 1)] == 0 for y in range(height)), "a filtered row"
    return [list(raw[y * (width + 1) + 1:(y + 1) * (width + 1)]) for y in range(height)], palette


def array(path):
    """Rows of an .npy of bytes."""
    data = pathlib.Path(path).read_bytes()
    start = 10 + struct.unpack("<H", data[8:10])[0]
    head = data[10:start].decode()
    assert data[:8] == b"\x93NUMPY\1\0" and start % 64 == 0 and "'|u1'" in head and "'fortran_order': False" in head, head
    height, width = map(int, re.search(r"\((\d+), (\d+),? ?\)", head).groups())
    assert len(data) == start + width * height
    return [list(data[start + y * width:start + (y + 1) * width]) for y in range(height)]


class ParserCase(PrepareCase):
    def setUp(self):
        super().setUp()
        self.weights = parser_file(self.folder / "parser.safetensors", size=SIDE, seed=SEED)

    def parse(self, *words, status=0):
        return self.prepare("parse", IMAGES, "--parser", self.weights, *words, status=status)


class Parse(ParserCase):
    def test_label_maps_are_pytorchs(self):
        self.parse("-o", "maps", "--threads", "2")
        found = {path.name: path for path in (self.folder / "maps").rglob("*.png")}
        self.assertEqual(sorted(found), sorted(path.name for path in PARSED.iterdir()))
        palettes, unsure = set(), 0
        for expected in PARSED.iterdir():
            rows, palette = indices(found[expected.name])
            palettes.add(palette)
            for y, (got, want) in enumerate(zip(rows, read_png(expected), strict=True)):
                unsure += want.count(255)
                self.assertEqual([g for g, w in zip(got, want) if w != 255], [w for w in want if w != 255], (expected.name, y))
        self.assertLess(unsure, 0.01 * 5 * SIDE * SIDE)
        self.assertEqual(len(palettes), 1)
        palette = palettes.pop()
        self.assertEqual((len(palette), palette[3:6], palette[30:33]), (57, bytes((204, 0, 0)), bytes((76, 153, 0))))   # skin, nose

    def test_arrays_hold_the_same_labels(self):
        self.parse("-o", "maps")
        self.parse("-o", "arrays", "--format", "npy")
        for path in (self.folder / "arrays").rglob("*.npy"):
            self.assertEqual(array(path), indices(next((self.folder / "maps").rglob(path.stem + ".png")))[0])
        agreement = self.report("labels", "arrays", "--against", "maps")
        self.assertEqual((agreement["compared"], agreement["equal"], agreement["mean_iou"]), (5, 1, 1))

    def test_goes_on_and_overwrites_nothing(self):
        for form, suffix in (("png", ".png"), ("npy", ".npy")):
            self.parse("-o", form, "--format", form)
            one = next((self.folder / form).rglob("00007" + suffix))
            before = one.read_bytes()
            one.unlink()
            report = json.loads(self.parse("-o", form, "--format", form, "--json").stdout)
            self.assertEqual((report["done"], report["finished_before"]), (1, 4))
            self.assertEqual(one.read_bytes(), before)
            one.write_bytes(before[:-1] if form == "npy" else gray(SIDE, SIDE - 1, lambda x, y: 0))
            failed = json.loads(self.parse("-o", form, "--format", form, "--json", status=4).stdout.splitlines()[0])["failed"]
            self.assertIn("exists already, with another size", failed[0]["reason"])
        other = parser_file(self.folder / "other.safetensors", size=SIDE, seed=5)
        self.refused(self.run_furrow("prepare", "parse", IMAGES, "--parser", other, "-o", "png"), 2, "of other settings")

    def test_what_no_parser_takes_is_said(self):
        (self.folder / "photos").mkdir()
        (self.folder / "photos" / "wide.png").write_bytes(png(40, 30))
        (self.folder / "photos" / "broken.png").write_bytes(png(40, 40)[:-30])
        (self.folder / "photos" / "fine.png").write_bytes(png(40, 40))
        result = self.prepare("parse", "photos", "-o", "out", "--parser", self.weights, status=4)
        self.assertIn(b"this one is 40x30", result.stderr)
        self.assertIn(b"2 of 3 inputs failed", result.stderr)
        self.assertEqual([path.name for path in (self.folder / "out").rglob("*.png")], ["fine.png"])
        network = ROOT / "weights" / "furrow-mini-2.safetensors"
        self.refused(self.run_furrow("prepare", "parse", IMAGES, "-o", "x", "--parser", network), 5, "parses no faces")
        self.refused(self.run_furrow("prepare", "parse", IMAGES, "-o", "x", "--parser", "absent.pth"), 7, "absent.pth")
        self.refused(self.run_furrow("prepare", "parse", IMAGES, "-o", "x", "--parser", self.weights, "--format", "bmp"), 2, "png, npy")
        self.assertFalse((self.folder / "x").exists())


class Labels(PrepareCase):
    def test_shares_and_agreement_by_name(self):
        agreement = self.report("labels", LABELS, "--against", CELEBAMASK, "--against-order", "celebamask")
        self.assertEqual((agreement["maps"], agreement["compared"], agreement["equal"], agreement["mean_iou"]), (4, 4, 1, 1))
        self.assertEqual([one["name"] for one in agreement["classes"]], NAMES)
        backwards = self.report("labels", CELEBAMASK, "--class-order", "celebamask", "--against", LABELS)
        self.assertEqual(backwards["classes"], agreement["classes"])
        wrong = self.report("labels", LABELS, "--against", CELEBAMASK)
        self.assertLess(wrong["equal"], 0.9)

    def test_numbers_are_those_of_counting(self):
        ours, theirs = self.folder / "ours", self.folder / "theirs"
        ours.mkdir(), theirs.mkdir()
        draw = {name: ([[(x * 7 + y * k) % 5 for x in range(6)] for y in range(4)],
                       [[(x * 3 + y * k) % 6 for x in range(12)] for y in range(8)]) for k, name in enumerate(("a", "b"), 3)}
        for name, (small, large) in draw.items():
            (ours / f"{name}.png").write_bytes(gray(6, 4, lambda x, y: small[y][x]))
            (theirs / f"{name}.png").write_bytes(gray(12, 8, lambda x, y: large[y][x]))
        (ours / "alone.png").write_bytes(gray(2, 2, lambda x, y: 18))
        report = self.report("labels", "ours", "--against", "theirs")
        pairs = [(small[y // 2][x // 2], large[y][x]) for small, large in draw.values() for y in range(8) for x in range(12)]
        self.assertEqual((report["maps"], report["compared"], report["without"]), (3, 2, ["ours/alone.png"]))
        self.assertAlmostEqual(report["equal"], sum(a == b for a, b in pairs) / len(pairs), places=12)
        ious = []
        for label, one in enumerate(report["classes"]):
            both = sum(a == b == label for a, b in pairs)
            either = sum(label in pair for pair in pairs)
            pixels = sum(row.count(label) for small, _ in draw.values() for row in small) + (4 if label == 18 else 0)
            self.assertEqual(one["pixels"], pixels)
            self.assertAlmostEqual(one["share"], pixels / 52, places=12)
            if either:
                self.assertAlmostEqual(one["iou"], both / either, places=12)
                ious.append(both / either)
            else:
                self.assertIsNone(one["iou"])
        self.assertEqual(report["mean_over"], len(ious))
        self.assertAlmostEqual(report["mean_iou"], sum(ious) / len(ious), places=12)
        text = self.prepare("labels", "ours", "--against", "theirs").stdout.decode()
        self.assertIn(f"{100 * report['equal']:.4f} % of the pixels of 2 maps are equal", text)
        self.assertIn("1 map without a counterpart", text)

    def test_damage_is_listed(self):
        maps, other = self.folder / "maps", self.folder / "other"
        maps.mkdir(), other.mkdir()
        for name in ("size", "fine", "name", "broken"):
            (maps / f"{name}.png").write_bytes(gray(4, 4, lambda x, y: 19 if name == "name" and (x, y) == (2, 1) else 1))
            (other / f"{name}.png").write_bytes(gray(5 if name == "size" else 4, 4, lambda x, y: 1))
        (maps / "broken.png").write_bytes((maps / "broken.png").read_bytes()[:-14])
        result = self.prepare("labels", "maps", "--against", "other", status=4)
        said = result.stderr.decode()
        self.assertIn("3 of 4 label maps failed", said)
        self.assertIn("row 1, column 2: label 19 has no name", said)
        self.assertIn("other/size.png", said)
        self.assertIn("maps/broken.png", said)
        self.refused(self.run_furrow("prepare", "labels", LABELS, "--against", DATA / "nowhere"), 7, "nowhere")
        self.refused(self.run_furrow("prepare", "labels", "nowhere"), 7, "nowhere")
        self.refused(self.run_furrow("prepare", "labels", LABELS, "--against", other), 2, "no label map there")
        self.refused(self.run_furrow("prepare", "labels", LABELS, "--class-order", "ade20k"), 2, "bisenet, celebamask")


class Overlay(PrepareCase):
    def test_half_photo_and_half_colour(self):
        self.prepare("overlay", IMAGES, LABELS, "-o", "first")
        self.prepare("overlay", IMAGES, CELEBAMASK, "--class-order", "celebamask", "-o", "second")
        colours = {"background": None, "skin": (204, 0, 0), "nose": (76, 153, 0), "hair": (0, 0, 204), "neck": (255, 153, 51),
                   "mouth": (102, 204, 0), "l_brow": (0, 255, 255), "r_brow": (255, 204, 204), "l_eye": (51, 51, 255),
                   "r_eye": (204, 0, 204)}
        labels = array(LABELS / "00042.npy")
        photo = read_png(next(IMAGES.rglob("00042.png")))
        for folder in ("first", "second"):
            self.assertEqual(len(list((self.folder / folder).rglob("*.png"))), 4)   # of 01010 there are no labels
            found = read_png(next((self.folder / folder).rglob("00042.png")))
            seen = set()
            for y in range(64):
                for x in range(64):
                    name, before = NAMES[labels[y // 2][x // 2]], photo[y][3 * x:3 * x + 3]
                    seen.add(name)
                    colour = colours[name]
                    wanted = before if colour is None else [(a + b + 1) // 2 for a, b in zip(before, colour)]
                    self.assertEqual(found[y][3 * x:3 * x + 3], wanted, (folder, x, y, name))
            self.assertLessEqual({"skin", "nose", "hair", "neck"}, seen)


if __name__ == "__main__":
    unittest.main()
