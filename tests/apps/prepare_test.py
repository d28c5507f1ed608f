#!/usr/bin/env python3
"""`furrow prepare collect`, `mask` and `texture`: every step beside what the original scripts make of the same files,
damaged folders, going on.

    prepare_test.py PATH_TO_FURROW [unittest arguments]
"""
import hashlib
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import time

from preparing import *  # noqa: F403: PrepareCase, the folders, npy and the rest


class Goldens(PrepareCase):
    def test_collect_is_png_parsing(self):
        report = self.report("collect", IMAGES, MASKS, "-o", "out")
        wanted = json.loads((EXPECTED / "png_parsing.json").read_text())
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.folder / "out").glob("*.png")}
        self.assertEqual(found, wanted)
        self.assertEqual((report["done"], report["failed"]), (3, []))
        self.assertEqual([pathlib.Path(p).name for p in report["without"]], ["00000.png", "01010.png"])
        self.assertEqual([pathlib.Path(p).name for p in report["masks without a photo"]], ["02999.png"])

    def test_mask_is_face_masking(self):
        result = self.prepare("mask", IMAGES, LABELS, "-o", "out")
        self.same_pictures("out", EXPECTED / "masked")
        self.assertEqual(result.stdout, b"4 files written to out, 1 without a label map\n")
        self.assertIn(b"01010.png", result.stderr)
        self.assertTrue((self.folder / "out/01000/01003.png").exists())   # thousands stay

    def test_masks_and_labels_within_the_folder_of_photos(self):
        shutil.copytree(IMAGES, self.folder / "photos"), shutil.copytree(MASKS, self.folder / "photos/masks")
        report = self.report("collect", "photos", "photos/masks", "-o", "photos/copies")
        self.assertEqual((report["done"], len(report["without"]), report["masks without a photo"]), (3, 2, ["photos/masks/02999.png"]))
        self.assertEqual(self.report("collect", "photos", "photos/masks", "-o", "photos/copies")["finished_before"], 3)
        self.refused(self.run_furrow("prepare", "collect", "photos", "photos", "-o", "out"), 2, "one folder")
        shutil.copytree(LABELS, self.folder / "side"), shutil.copy(IMAGES / "00000/00007.png", self.folder / "side/00007.png")
        report = self.report("mask", "side", "side", "-o", "out")     # 00007.png is no second label map of itself
        self.assertEqual((report["done"], report["failed"]), (1, []))
        shutil.copytree(DATA / "labels_celebamask", self.folder / "few/labels"), shutil.copy(IMAGES / "00000/00042.png", self.folder / "few/00042.png")
        self.assertEqual(self.report("mask", "few", "few/labels", "-o", "out2")["done"], 1)

    def test_mask_by_names_numbers_orders_and_palettes(self):
        for i, words in enumerate((["--keep", "1,10"], ["--keep", "nose,skin,1"])):
            self.prepare("mask", IMAGES, LABELS, "-o", f"out{i}", *words)
            self.same_pictures(f"out{i}", EXPECTED / "masked")
        self.prepare("mask", IMAGES, DATA / "labels_celebamask", "-o", "names", "--class-order", "celebamask")
        self.prepare("mask", IMAGES, DATA / "labels_celebamask", "-o", "numbers", "--keep", "1,2")
        self.same_pictures("names", EXPECTED / "masked")
        self.same_pictures("numbers", EXPECTED / "masked")
        self.prepare("mask", IMAGES, LABELS, "-o", "wrong", "--class-order", "celebamask")   # 2 is a brow there
        with self.assertRaises(AssertionError):
            self.same_pictures("wrong", EXPECTED / "masked")

    def test_texture_is_the_authors_and_the_others(self):
        for recipe in ("authors", "inverse", "best"):
            self.prepare("texture", IMAGES, "--labels", LABELS, "-o", recipe, "--recipe", recipe, *AT_64)
            self.same_pictures(recipe, EXPECTED / f"texture_{recipe}")
        self.prepare("texture", IMAGES, "--labels", LABELS, "-o", "default", *AT_64)
        self.same_pictures("default", EXPECTED / "texture_best")

    def test_texture_without_labels_takes_every_photo(self):
        report = self.report("texture", IMAGES, "-o", "out")
        self.assertEqual((report["done"], report["without"]), (5, []))
        self.assertEqual(report["settings"], "closest, sigma 5 at 1024")

    def test_mask_of_1024_by_npy_of_512(self):
        label = lambda x, y: (1, 10, 17, 0)[(x // 3 + y // 5) % 4]
        self.put("labels/a.npy", npy(512, 512, label))
        rows = b"".join(b"\0" + bytes((x * 7 + y * 3 + c * 50) % 251 + 1 for x in range(1024) for c in range(3)) for y in range(1024))
        self.put("photos/a.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1024, 1024, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))
        self.prepare("mask", "photos", "labels", "-o", "out")
        made = read_png(self.folder / "out/a.png")
        for y in range(0, 1024, 7):
            row = rows[y * 3073 + 1:(y + 1) * 3073]
            wanted = [row[i] if label(i // 3 // 2, y // 2) in (1, 10) else 0 for i in range(3072)]
            self.assertEqual(made[y], wanted, y)

    def test_size_resizes_first(self):
        report = self.report("mask", IMAGES, LABELS, "-o", "out", "--size", "32")
        self.assertEqual((report["done"], png_size(self.folder / "out/00000/00007.png")), (4, (32, 32)))
        self.assertEqual(self.report("mask", IMAGES, LABELS, "-o", "out", "--size", "32")["finished_before"], 4)
        self.put("wide/00007.png", png(40, 30))
        self.refused(self.run_furrow("prepare", "mask", "wide", LABELS, "-o", "out2", "--size", "32"), 4, "square", stdout_empty=False)


class GoingOn(PrepareCase):
    def test_finished_files_are_skipped(self):
        self.prepare("mask", IMAGES, LABELS, "-o", "out")
        one, two = self.folder / "out/00000/00007.png", self.folder / "out/00000/00042.png"
        one.unlink()
        before = two.stat().st_mtime_ns
        report = self.report("mask", IMAGES, LABELS, "-o", "out")
        self.assertEqual((report["done"], report["finished_before"]), (1, 3))
        self.assertEqual(two.stat().st_mtime_ns, before)
        self.same_pictures("out", EXPECTED / "masked")
        self.assertEqual(self.report("mask", IMAGES, LABELS, "-o", "out", "--force")["done"], 4)
        self.assertNotEqual(two.stat().st_mtime_ns, before)

    def test_results_that_are_not_ours_stay(self):
        path = self.put("out/00000/00007.png", png(64, 64))
        for _ in range(2):      # the second time neither
            self.refused(self.run_furrow("prepare", "mask", IMAGES, LABELS, "-o", "out"), 2, "out/00000/00007.png", "exists already", "--force")
            self.assertEqual(path.read_bytes(), png(64, 64))
        self.assertEqual([p.name for p in (self.folder / "out").rglob("*") if p.is_file()], ["00007.png"])
        self.prepare("mask", IMAGES, LABELS, "-o", "out", "--force")
        self.same_pictures("out", EXPECTED / "masked")
        path.write_bytes(png(10, 10))     # prepare.json is there now, but this is no result of a photo of 64
        self.refused(self.run_furrow("prepare", "mask", IMAGES, LABELS, "-o", "out"), 4, "with another size", stdout_empty=False)
        self.assertEqual(path.read_bytes(), png(10, 10))
        path.write_bytes(b"")
        self.refused(self.run_furrow("prepare", "mask", IMAGES, LABELS, "-o", "out"), 4, "00007.png", "is empty", stdout_empty=False)

    def test_other_settings_are_not_mixed(self):
        self.prepare("mask", IMAGES, LABELS, "-o", "out")
        self.refused(self.run_furrow("prepare", "mask", IMAGES, LABELS, "-o", "out", "--keep", "skin"), 2, "prepare.json", "--force")
        self.refused(self.run_furrow("prepare", "texture", IMAGES, "-o", "out"), 2, "prepare.json")
        self.same_pictures("out", EXPECTED / "masked")
        self.prepare("mask", IMAGES, LABELS, "-o", "out", "--keep", "skin", "--force")
        self.put("other/prepare.json", b"{}")
        self.refused(self.run_furrow("prepare", "mask", IMAGES, LABELS, "-o", "other"), 2, "did not write it")

    def test_one_photo_by_itself(self):
        photo = IMAGES / "00000/00007.png"
        self.prepare("mask", photo, LABELS, "-o", "out")
        self.refused(self.run_furrow("prepare", "mask", photo, LABELS, "-o", "out"), 2, "exists already", "--force")
        self.prepare("mask", photo, LABELS, "-o", "out", "--force")
        self.refused(self.run_furrow("prepare", "mask", "missing.png", LABELS, "-o", "out"), 2, "without a label map", stdout_empty=False)

    def test_collect_does_not_overwrite(self):
        self.prepare("collect", IMAGES, MASKS, "-o", "out")
        self.assertEqual(self.report("collect", IMAGES, MASKS, "-o", "out")["finished_before"], 3)
        self.put("out/00007.png", b"cut")
        self.refused(self.run_furrow("prepare", "collect", IMAGES, MASKS, "-o", "out"), 4, "00007.png", "exists already", stdout_empty=False)
        self.assertEqual((self.folder / "out/00007.png").read_bytes(), b"cut")

    def test_an_interrupted_run_goes_on(self):
        for n in range(60):
            self.put(f"photos/{n:05}.png", png(300, 300))
        job = subprocess.Popen([FURROW, "prepare", "texture", "photos", "-o", "out", "--threads", "1"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not list(self.folder.glob("out/*.png")) and job.poll() is None:
            time.sleep(0.002)
        job.send_signal(signal.SIGINT)
        _, said = job.communicate(timeout=30)
        self.assertEqual(job.returncode, 130, said)
        self.assertIn(b"run the same command again", said)
        made = len(list(self.folder.glob("out/*.png")))
        self.assertTrue(0 < made < 60, made)
        self.assertEqual([p.name for p in (self.folder / "out").iterdir() if p.suffix != ".png"], ["prepare.json"])
        report = self.report("texture", "photos", "-o", "out")
        self.assertEqual((report["done"], report["finished_before"]), (60 - made, made))


class Damage(PrepareCase):
    def test_every_kind_of_damage_in_one_report(self):
        shutil.copytree(IMAGES, self.folder / "photos")
        shutil.copytree(LABELS, self.folder / "labels")
        whole = (IMAGES / "00000/00042.png").read_bytes()
        self.put("photos/cut.png", whole[:len(whole) // 2])
        self.put("photos/empty.png", b"")
        self.put("photos/text.png", b"no picture")
        self.put("photos/small.png", png(48, 64))
        self.put("photos/odd.png", png(65, 65))
        for name in ("wide", "real", "large", "object", "three", "shape", "twice", "colour", "npz", "short"):
            self.put(f"photos/{name}.png", whole)
        (self.folder / "photos/link.png").symlink_to("nowhere.png")
        good = npy(32, 32, lambda x, y: 1)
        for name in ("cut", "empty", "text", "small", "odd", "twice", "link"):
            self.put(f"labels/{name}.npy", good)
        self.put("labels/wide.npy", npy(48, 32, lambda x, y: 1))
        self.put("labels/real.npy", npy(32, 32, lambda x, y: 1.5, "<f8", "d"))
        self.put("labels/large.npy", npy(32, 32, lambda x, y: 300 if (x, y) == (5, 3) else 1))
        self.put("labels/object.npy", good.replace(b"'<i8'", b"'|O' "))
        self.put("labels/three.npy", good.replace(b"(32, 32), }  ", b"(2, 512, 1),}"))
        self.put("labels/shape.npy", good.replace(b"(32, 32)", b"(32, 33)"))
        self.put("labels/twice.png", gray(32, 32, lambda x, y: 1))
        self.put("labels/colour.png", png(32, 32))
        self.put("labels/npz.npy", b"PK\3\4" + bytes(40))
        self.put("labels/short.npy", good[:-5])
        result = self.run_furrow("prepare", "mask", "photos", "labels", "-o", "out", "--json")
        self.assertEqual(result.returncode, 4, result.stderr)
        report, error = map(json.loads, result.stdout.splitlines())
        self.assertEqual((report["done"], len(report["without"])), (4, 1))
        self.same_pictures("out", EXPECTED / "masked")     # the good ones are done
        reasons = {pathlib.Path(e["file"]).name: e for e in report["failed"]}
        for name, code, part in (("cut.png", 4, ""), ("empty.png", 4, "empty"), ("text.png", 5, "not PNG or JPEG"), ("small.npy", 4, "the label map is 32x32, its photo 48x64"),
                                 ("odd.npy", 4, "the label map is 32x32, its photo 65x65"), ("wide.npy", 4, "48x32, its photo 64x64"), ("real.npy", 4, "1.5 is no label"),
                                 ("large.npy", 4, "300 is no label"), ("object.npy", 5, ""), ("three.npy", 4, "two axes"), ("shape.npy", 4, "wants"), ("twice.png", 4, "2 label maps"),
                                 ("colour.png", 5, "colour"), ("npz.npy", 4, "npz"), ("short.npy", 4, "wants"), ("link.png", 7, "")):
            self.assertEqual(reasons[name]["exit"], code, reasons[name])
            self.assertIn(part, reasons[name]["reason"] + reasons[name].get("hint", ""))
        self.assertEqual(reasons["large.npy"]["entry"], "row 3, column 5")
        self.assertEqual(len(reasons), 16)
        self.assertEqual((error["error"]["exit"], len(error["error"]["details"])), (4, 16))
        self.assertEqual({p.suffix for p in (self.folder / "out").rglob("*") if p.is_file()}, {".png", ".json"})   # nothing half-written
        self.refused(self.run_furrow("prepare", "mask", "photos", "labels", "-o", "out"), 4, "16 of 21 inputs failed", stdout_empty=False)

    def test_photos_that_exif_turns(self):
        whole = (IMAGES / "00000/00007.png").read_bytes()
        turned = chunk(b"eXIf", b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
        for name, at in (("before", 33), ("after", len(whole) - 12)):      # in front of the pixels and behind them
            photo = self.put(f"{name}/00007.png", whole[:at] + turned + whole[at:])
            self.refused(self.run_furrow("prepare", "mask", photo, LABELS, "-o", "out"), 5, "EXIF turns this photo")

    def test_limits(self):
        words = ("prepare", "mask", IMAGES / "00000/00007.png", LABELS, "-o", "out")
        self.refused(self.run_furrow(*words, "--limit", "picture_pixels=4000"), 6, "limit 4000, found 4096")
        self.put("photos/00007.png", (IMAGES / "00000/00007.png").read_bytes())
        self.put("labels/00007.npy", npy(400, 400, lambda x, y: 1))
        self.refused(self.run_furrow("prepare", "mask", "photos", "labels", "-o", "out", "--limit", "picture_pixels=5000"), 4, "error[limit]: labels/00007.npy", stdout_empty=False)
        with open("/dev/full", "wb") as full:
            result = subprocess.run([FURROW, "prepare", "mask", IMAGES, LABELS, "-o", "full"], cwd=self.folder, stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(result.returncode, 7, result.stderr)

    def test_a_disk_that_takes_no_more(self):
        def small_files():      # as a full disk: writing fails in the middle of a result
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        result = self.run_furrow("prepare", "mask", IMAGES, LABELS, "-o", "out", preexec_fn=small_files)
        self.refused(result, 4, "4 of 5 inputs failed", "error[io]", "too large", stdout_empty=False)
        self.assertEqual([p.name for p in (self.folder / "out").rglob("*") if p.is_file()], ["prepare.json"])
        self.assertEqual(self.report("mask", IMAGES, LABELS, "-o", "out")["done"], 4)

    def test_hostile_names(self):
        photo = (IMAGES / "00000/00007.png").read_bytes()
        for name in (b"a\nb.png", b"\x1b[31mred.png", b"\xff\xfe.png", b'"quoted\\.png'):
            (self.folder / "photos").mkdir(exist_ok=True)
            (self.folder / "photos" / os.fsdecode(name)).write_bytes(photo)
        result = self.prepare("mask", "photos", LABELS, "-o", "out", "--json", status=2)     # none has a label map
        self.assertNotIn(b"\x1b", result.stdout + result.stderr)
        self.assertEqual(len(json.loads(result.stdout.splitlines()[0])["without"]), 4)
        report = self.report("texture", "photos", "-o", "out2")
        self.assertEqual(report["done"], 4)
        self.report("check", "photos", MASKS, status=4)

    def test_names_that_clash(self):
        photo = (IMAGES / "00000/00007.png").read_bytes()
        self.put("photos/00007.png", photo), self.put("photos/00007.jpg", photo), self.put("photos/00042.png", photo)
        self.refused(self.run_furrow("prepare", "mask", "photos", LABELS, "-o", "out"), 4, "2 of 3 inputs failed", "the same result", stdout_empty=False)
        self.assertEqual([p.name for p in (self.folder / "out").glob("*.png")], ["00042.png"])
        self.put("two/a/00007.png", photo), self.put("two/b/00007.png", photo)
        self.refused(self.run_furrow("prepare", "collect", "two", MASKS, "-o", "copies"), 4, "2 of 2 inputs failed", "the same result", stdout_empty=False)

    def test_the_photos_are_never_overwritten(self):
        photo = self.put("photos/00007.png", (IMAGES / "00000/00007.png").read_bytes())
        for words in (("mask", "photos", LABELS), ("collect", "photos", MASKS), ("texture", "photos")):
            (self.folder / "photos/prepare.json").unlink(missing_ok=True)
            self.refused(self.run_furrow("prepare", *words, "-o", "photos", "--force"), 4, "overwrite an input", stdout_empty=False)
            self.assertEqual(photo.read_bytes(), (IMAGES / "00000/00007.png").read_bytes())

    def test_unreadable_and_unwritable(self):
        self.put("photos/00007.png", b"x").chmod(0)
        self.put("photos/00042.png", (IMAGES / "00000/00042.png").read_bytes())
        nobody = self.without_privileges()
        self.refused(self.run_furrow("prepare", "mask", "photos", LABELS, "-o", "out", **nobody), 4, "00007.png", "ermission", stdout_empty=False)
        self.assertTrue((self.folder / "out/00042.png").exists())
        (self.folder / "locked").mkdir(mode=0o555)
        self.refused(self.run_furrow("prepare", "mask", "photos", LABELS, "-o", "locked", **nobody), 7, "locked")
        self.put("file", b"x")
        self.refused(self.run_furrow("prepare", "mask", "photos", LABELS, "-o", "file"), 7, "file")

    def test_usage(self):
        self.refused(self.run_furrow("prepare"), 2)
        self.refused(self.run_furrow("prepare", "msk"), 2, "furrow prepare --help")
        for words in (["--keep", "skin,lips"], ["--keep", ""], ["--keep", "1,,2"], ["--keep", "256"], ["--class-order", "other"], ["--threads", "-1"], ["--size", "3"], ["-o", ""]):
            self.refused(self.run_furrow("prepare", "mask", IMAGES, LABELS, *(["-o", "out"] if "-o" not in words else []), *words), 2)
        self.refused(self.run_furrow("prepare", "texture", IMAGES, "-o", "out", "--recipe", "good"), 2, "authors")
        self.refused(self.run_furrow("prepare", "texture", IMAGES, "-o", "out", "--sigma", "0"), 2, "--sigma")
        self.refused(self.run_furrow("prepare", "mask", IMAGES, "nowhere", "-o", "out"), 7, "nowhere")
        (self.folder / "bare").mkdir()
        self.refused(self.run_furrow("prepare", "mask", "bare", LABELS, "-o", "out"), 2, "no photo")
        self.refused(self.run_furrow("prepare", "mask", IMAGES, "bare", "-o", "out"), 2, "no label map")
        self.refused(self.run_furrow("prepare", "collect", IMAGES, "bare", "-o", "out"), 2, "no mask")
        self.refused(self.run_furrow("prepare", "mask", "-", LABELS, "-o", "out", stdin=b""), 2, stdout_empty=False)
        self.put("photos/a.png", png(8, 8))
        self.refused(self.run_furrow("prepare", "mask", "photos", LABELS, "-o", "out"), 2, "without a label map", stdout_empty=False)


if __name__ == "__main__":
    unittest.main()
