#!/usr/bin/env python3
"""`furrow prepare align`: the pixels of tests/data/align (make_align_golden.py), both layouts of landmarks, damaged folders, going on.

    prepare_align_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import shutil

from program import *  # noqa: F403: run_furrow, read_png, refused and the rest

DATA = ROOT / "tests" / "data" / "align"
PHOTOS, EXPECTED, FFHQ, PLAIN = (DATA / name for name in ("in-the-wild-images", "expected", "ffhq.json", "plain.json"))
NAMES = ("00000/00000", "00000/00001", "00000/00002", "00000/00003", "01000/01003")   # thousands stay
AT_64 = ("--size", "64", "--transform-size", "256")


def with_orientation(data: bytes, orientation: int) -> bytes:
    """A PNG with an eXIf chunk in front of its pixels."""
    exif = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)
    return data[:33] + chunk(b"eXIf", exif) + data[33:]


class Align(Program):
    def align(self, *words, status=0, landmarks=FFHQ):
        result = self.run_furrow("prepare", "align", *words, "--landmarks", landmarks, *AT_64, "--json")
        self.assertEqual(result.returncode, status, result.stderr)
        return json.loads(result.stdout.splitlines()[0])

    def same(self, path, expected):
        self.assertEqual(png_size(self.folder / path), (64, 64))
        self.assertTrue(read_png(self.folder / path) == read_png(EXPECTED / expected), f"{path} differs from {expected}")

    def test_recipes_and_layouts(self):
        for i, landmarks in enumerate((FFHQ, PLAIN)):
            report = self.align(PHOTOS, "-o", f"out{i}", landmarks=landmarks)
            self.assertEqual((report["done"], report["command"], report["settings"]), (5, "align", "ffhq 64 of 256, padding on"))
            for name in NAMES:
                self.same(f"out{i}/{name}.png", f"ffhq/{name[6:]}.png")
        self.align(PHOTOS, "-o", "aging", "--recipe", "ffhq-aging")
        self.same("aging/00000/00002.png", "ffhq-aging/00002.png")
        self.align(PHOTOS, "-o", "bare", "--padding", "off")
        self.same("bare/00000/00001.png", "ffhq-bare/00001.png")

    def test_size_alone(self):
        self.assertEqual(self.run_furrow("prepare", "align", PHOTOS / "00000/00000.png", "--landmarks", PLAIN, "-o", "out", "--size", "128").returncode, 0)
        self.assertEqual(png_size(self.folder / "out/00000.png"), (128, 128))

    def test_going_on(self):
        self.align(PHOTOS, "-o", "out")
        (self.folder / "out/00000/00001.png").unlink()
        report = self.align(PHOTOS, "-o", "out")
        self.assertEqual((report["done"], report["finished_before"]), (1, 4))
        self.same("out/00000/00001.png", "ffhq/00001.png")
        for words in ([*AT_64, "--recipe", "ffhq-aging"], [*AT_64, "--padding", "off"], ["--size", "32", *AT_64[2:]], [*AT_64[:2], "--transform-size", "300"]):
            self.refused(self.run_furrow("prepare", "align", PHOTOS, "-o", "out", "--landmarks", FFHQ, *words), 2, "prepare.json", "--force")
        (self.folder / "out/00000/00002.png").write_bytes(png(9, 9))
        self.align(PHOTOS, "-o", "out", status=4)
        self.assertEqual(png_size(self.folder / "out/00000/00002.png"), (9, 9))
        self.align(PHOTOS, "-o", "out", "--force")
        self.same("out/00000/00002.png", "ffhq/00002.png")

    def test_damage_is_listed_and_the_rest_done(self):
        shutil.copytree(PHOTOS, self.folder / "photos")
        faces = json.loads(PLAIN.read_text())
        whole = (PHOTOS / "00000/00002.png").read_bytes()
        for name, data in (("cut", whole[:3000]), ("text", b"no picture"), ("away", whole), ("point", whole), ("alone", whole), ("turned", with_orientation(whole, 6)), ("x/two", whole), ("y/two", whole)):
            path = self.folder / f"photos/{name}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        for name in ("cut", "text", "turned", "two"):
            faces[name] = faces["00002"]
        faces["away"], faces["point"] = [[x + 5000, y] for x, y in faces["00002"]], [[7, 7]] * 68
        (self.folder / "faces.json").write_text(json.dumps(faces))
        report = self.align("photos", "-o", "out", landmarks="faces.json", status=4)
        self.assertEqual((report["done"], [pathlib.Path(p).name for p in report["without"]]), (5, ["alone.png"]))
        reasons = {pathlib.Path(e["file"]).name: (e["exit"], e["reason"]) for e in report["failed"]}
        for name, exit_status, part in (("cut", 4, ""), ("text", 5, "not PNG or JPEG"), ("away", 4, "outside the photo"), ("point", 4, "make no face"), ("turned", 5, "EXIF"), ("two", 4, "several photos have this file name")):
            self.assertEqual(reasons[f"{name}.png"][0], exit_status, name)
            self.assertIn(part, reasons[f"{name}.png"][1])
        self.assertEqual(len(report["failed"]), 7)
        for name in NAMES:
            self.same(f"out/{name}.png", f"ffhq/{name[6:]}.png")
        self.assertEqual({p.suffix for p in (self.folder / "out").rglob("*") if p.is_file()}, {".png", ".json"})

    def test_landmarks_of_ffhq_are_of_stored_pixels(self):
        for orientation in (1, 3, 5, 6, 8):
            folder = self.folder / f"photos{orientation}"
            folder.mkdir()
            (folder / "00002.png").write_bytes(with_orientation((PHOTOS / "00000/00002.png").read_bytes(), orientation))
            self.align(folder, "-o", f"out{orientation}")
            self.same(f"out{orientation}/00002.png", "ffhq/00002.png")

    def test_bad_landmarks_and_words(self):
        (self.folder / "bad.json").write_text('{"00002": [[1, 2], [3]]}')
        words = ("prepare", "align", PHOTOS, "-o", "out", "--landmarks")
        self.refused(self.run_furrow(*words, "bad.json"), 4, "bad.json", "in 00002", "two numbers")
        (self.folder / "bad.json").write_text(FFHQ.read_text()[:-40])
        self.refused(self.run_furrow(*words, "bad.json"), 4, "bad.json", "at byte", "not JSON")
        self.refused(self.run_furrow(*words, "nowhere.json"), 7, "nowhere.json")
        self.assertFalse((self.folder / "out").exists())
        (self.folder / "other.json").write_text(json.dumps({"other": json.loads(PLAIN.read_text())["00002"]}))
        self.refused(self.run_furrow(*words, "other.json"), 2, "without landmarks", stdout_empty=False)
        for bad in (["--recipe", "best"], ["--padding", "yes"], ["--size", "8"], ["--size", "0"], ["--size", "5000", "--transform-size", "8192"], ["--transform-size", "1000"], ["--transform-size", "20000"]):
            self.refused(self.run_furrow(*words, FFHQ, *bad), 2, bad[0])
        self.refused(self.run_furrow("prepare", "align", PHOTOS, "-o", "out"), 2, "--landmarks")
        self.refused(self.run_furrow("prepare", "align", PHOTOS / "00000/00001.png", "-o", "limit", "--landmarks", FFHQ, *AT_64, "--limit", "picture_pixels=15000"), 6, "padded photo; limit 15000")


if __name__ == "__main__":
    unittest.main()
