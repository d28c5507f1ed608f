#!/usr/bin/env python3
"""`furrow prepare split`, `check`, `stats` and `preview`: what is known of a data set before anything is trained.

    prepare_sets_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import shutil

from preparing import *  # noqa: F403: PrepareCase, the folders and the rest


class Datasets(PrepareCase):
    def split(self, *words, status=0):
        result = self.prepare("split", *words, "-o", "split.json", "--force", status=status)
        return json.loads((self.folder / "split.json").read_text()) if status == 0 else result

    def test_split_is_the_original_permutation(self):
        self.put("names.txt", b"".join(b"%05d.png\n" % n for n in range(1000)))
        for words, train, val in (([], (542, 618, 816, 68, 94), (673, 842)), (["--draw", "2"], (618, 333, 116, 703, 716), (455, 478))):
            split = self.split("names.txt", *words)
            self.assertEqual((len(split["train"]), len(split["val"]), split["test"]), (800, 200, []))
            self.assertEqual(split["train"][:5], [f"{n:05}" for n in train])
            self.assertEqual(split["val"][:2], [f"{n:05}" for n in val])
        folded = self.split("names.txt", "--folds", "5", "--fold", "1", "--test", "0.1")
        self.assertEqual([len(folded[part]) for part in ("train", "val", "test")], [720, 180, 100])

    def test_split_by_hash_stays_and_official_is_known(self):
        self.put("names.txt", b"".join(b"%05d\n" % n for n in range(400)))
        self.put("more.txt", b"".join(b"%05d.png\r\n" % n for n in range(800)))
        few, more = self.split("names.txt", "--by-hash", "--val", "0.3"), self.split("more.txt", "--by-hash", "--val", "0.3")
        self.assertEqual(few["val"], [name for name in more["val"] if int(name) < 400])
        self.assertTrue(60 < len(few["val"]) < 180)
        self.put("official.txt", b"01044\n06118\n00000\n")
        split = self.split("official.txt", "--official")
        self.assertEqual((split["train"], split["val"], split["test"]), (["00000"], ["06118"], ["01044"]))

    def test_split_of_a_folder_is_what_train_reads(self):
        report = self.report("split", IMAGES, "-o", "split.json")
        self.assertEqual((report["train"], report["val"], report["test"]), (4, 1, 0))
        result = self.run_furrow("train", "--images", IMAGES, "--masks", MASKS, "--check", *(word for setting in (
            "split.rule=file", "split.file=split.json", "pairs.photo_without_mask=accept", "pairs.mask_without_photo=accept", "size=32", "model.base=4", "device=cpu") for word in ("--set", setting)))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"2 to train on, 1 for validation, 0 for testing", result.stdout + result.stderr)   # two of the photos have no mask

    def test_split_refuses(self):
        self.put("names.txt", b"a.png\nb.png\na.jpg\n")
        self.refused(self.run_furrow("prepare", "split", "names.txt", "-o", "s.json"), 4, "names that stand more than once: 1", "  a")
        self.put("names.txt", b"")
        self.refused(self.run_furrow("prepare", "split", "names.txt", "-o", "s.json"), 4, "no name")
        self.refused(self.run_furrow("prepare", "split", "nowhere", "-o", "s.json"), 7, "nowhere")
        self.refused(self.run_furrow("prepare", "split", IMAGES, "-o", "s.json", "--by-hash", "--official"), 2, "exclude")
        self.refused(self.run_furrow("prepare", "split", IMAGES, "-o", "s.json", "--val", "1.5"), 3, "val 1.5")
        self.put("s.json", b"mine")
        self.refused(self.run_furrow("prepare", "split", IMAGES, "-o", "s.json"), 2, "exists already")
        self.assertEqual((self.folder / "s.json").read_bytes(), b"mine")

    def test_check_finds_what_does_not_pair(self):
        result = self.run_furrow("prepare", "check", IMAGES, MASKS)
        self.refused(result, 4, "3 findings", "00000.png: photo without a mask", "02999.png: mask without a photo", stdout_empty=False)
        report = self.report("check", IMAGES, MASKS, "--accept", "photo,mask")
        self.assertEqual((report["pairs"], report["empty_masks"], report["photos_compared"], report["findings"]), (3, 1, 5, []))
        self.assertEqual(len(report["warnings"]), 4)

    def test_near_duplicates_are_those_of_the_formula(self):
        for bits, wanted in ((16, 16), (8, 8), (3, 3)):
            found = self.report("check", IMAGES, MASKS, "--accept", "photo,mask", "--near", str(bits))["near_duplicates"]
            golden = [pair for pair in json.loads((EXPECTED / "near.json").read_text()) if pair["bits"] <= wanted]
            self.assertEqual([(p["a"], p["b"], p["bits"]) for p in found], [(p["a"], p["b"], p["bits"]) for p in golden])
            for one, other in zip(found, golden):
                self.assertAlmostEqual(one["correlation"], other["correlation"], places=12)
        self.assertEqual(self.report("check", IMAGES, MASKS, "--accept", "photo,mask", "--near", "-1")["photos_compared"], 0)

    def test_the_same_picture_in_two_parts_is_a_finding(self):
        self.put("split.json", json.dumps({"rule": "by hand", "train": ["00000", "00042"], "val": ["00007", "01003"], "test": ["01010"]}).encode())
        words = ("check", IMAGES, MASKS, "--accept", "photo,mask", "--split", "split.json")
        self.refused(self.run_furrow("prepare", *words), 4, "1 finding", "00000 (train) and 00007 (val): near-duplicate photos, 4 of 64 bits", stdout_empty=False)
        self.put("split.json", json.dumps({"rule": "by hand", "train": ["00000", "00007"], "val": ["00042", "01003"], "test": ["77777"]}).encode())
        self.refused(self.run_furrow("prepare", *words), 4, "77777: no photo of this name", stdout_empty=False)
        self.put("split.json", json.dumps({"rule": "by hand", "train": ["00000", "00007"], "val": ["00042"], "test": []}).encode())
        report = self.report(*words)
        self.assertEqual(report["findings"], [])
        self.assertEqual(sum("in no part of the split" in line for line in report["warnings"]), 2)

    def test_check_decodes_every_photo_and_counts_mask_values(self):
        shutil.copytree(MASKS, self.folder / "masks"), shutil.copytree(IMAGES, self.folder / "images")
        (self.folder / "masks/02999.png").unlink()
        whole = (IMAGES / "01000/01010.png").read_bytes()
        self.put("images/01000/01010.png", whole[:len(whole) // 2])       # no mask: only comparing photos reads it
        self.put("masks/00042.png", gray(64, 64, lambda x, y: 3 if y == 9 else 0))
        self.put("masks/00007.png", gray(64, 32, lambda x, y: 0))
        for near in ("8", "-1"):
            result = self.run_furrow("prepare", "check", "images", "masks", "--accept", "photo,mask", "--near", near)
            self.refused(result, 4, "00042.png: the mask holds what its rule does not name: value 3 (64 pixels)", "the mask is 64x32, its photo 64x64",
                         *(["01010.png: at byte"] if near == "8" else []), stdout_empty=False)
        (self.folder / "masks/00007.png").unlink(), self.put("images/01000/01010.png", whole)
        self.assertEqual(self.report("check", "images", "masks", "--accept", "photo", "--mask-kind", "3,255")["pairs"], 2)
        for words in (["--mask-kind", "x"], ["--mask-kind", "3,x"], ["--accept", "all"], ["--near", "17"], ["--threads", "-1"]):
            self.refused(self.run_furrow("prepare", "check", "images", "masks", *words), 2)
        self.refused(self.run_furrow("prepare", "check", "images", "nowhere"), 7, "nowhere")

    def test_stats_are_analyze_class_imbalance(self):
        wanted = json.loads((EXPECTED / "class_imbalance.json").read_text())
        found = self.report("stats", MASKS, "--svg", "m.svg")["masks"]
        self.assertEqual({key: found[key] for key in wanted}, wanted)
        self.assertEqual(found["wrinkle_share"], wanted["wrinkle"] / wanted["pixels"])
        self.assertEqual(found["values"], {"0": {"pixels": wanted["background"], "masks": 4}, "255": {"pixels": wanted["wrinkle"], "masks": 3}})
        self.assertIn(f">{wanted['wrinkle']}</text>", (self.folder / "m.svg").read_text())
        self.refused(self.run_furrow("prepare", "stats", MASKS, "--svg", "m.svg"), 2, "exists already")
        text = self.prepare("stats", MASKS).stdout.decode()
        self.assertIn(f"background {wanted['background']} (99.44 %), wrinkle {wanted['wrinkle']} (0.5615 %)", text)
        labels = self.report("stats", DATA / "labels_celebamask", "--mask-kind", "2")["masks"]    # the nose
        self.assertEqual((labels["masks"], labels["empty"], labels["wrinkle"]), (4, 0, labels["values"]["2"]["pixels"]))
        self.assertIn(b"no value is wrinkle", self.prepare("stats", DATA / "labels_celebamask").stderr)

    def test_ages_by_gender(self):
        report = self.report("stats", IMAGES, "--attributes", DATA / "attributes.csv", "--svg", "a.svg")
        self.assertEqual(report["sizes"], {"64x64": 5})
        self.assertEqual({gender: {age: n for age, n in ages.items() if n} for gender, ages in report["age_by_gender"].items()},
                         {"female": {"0-9": 1, "60-69": 1}, "male": {"30-39": 2, "60-69": 1}})
        self.assertIn("Age by gender: 5 pictures", (self.folder / "a.svg").read_text())
        self.put("some.json", b'{"00007": {"age": 250, "gender": "<b>"}, "00042": {"age_group": "20-29"}}')
        report = self.report("stats", IMAGES, "--attributes", "some.json", "--svg", "b.svg")
        self.assertEqual((report["age_unknown"], report["age_by_gender"]["<b>"]["120+"], report["age_by_gender"]["unknown"]["20-29"]), (3, 1, 1))
        self.assertNotIn("<b>", (self.folder / "b.svg").read_text())
        self.put("none.csv", b"id,height\n00007,3\n")
        self.refused(self.run_furrow("prepare", "stats", IMAGES, "--attributes", "none.csv"), 2, "age")

    def test_stats_of_a_damaged_folder(self):
        shutil.copytree(MASKS, self.folder / "masks")
        self.put("masks/cut.png", (MASKS / "00007.png").read_bytes()[:60])
        self.put("masks/text.png", b"text")
        self.refused(self.run_furrow("prepare", "stats", "masks"), 4, "2 of 6 pictures failed", "cut.png", "text.png", stdout_empty=False)
        self.assertEqual(self.report("stats", "masks", status=4)["masks"]["masks"], 4)

    def test_preview(self):
        result = self.prepare("preview", IMAGES, MASKS, "-o", "out", "--count", "2", "--versions", "3", "--side", "32")
        self.assertEqual(result.stdout, b"2 sheets and changes.txt written to out\n")
        self.assertEqual(png_size(self.folder / "out/00007.png"), (4 * 32 + 3 * 4, 32))
        self.assertEqual(len((self.folder / "out/changes.txt").read_text().splitlines()), 6)
        first = (self.folder / "out/00042.png").read_bytes()
        self.refused(self.run_furrow("prepare", "preview", IMAGES, MASKS, "-o", "out"), 2, "00007.png", "exists already")
        self.prepare("preview", IMAGES, MASKS, "-o", "again", "--count", "2", "--versions", "3", "--side", "32")
        self.assertEqual((self.folder / "again/00042.png").read_bytes(), first)
        for words in (["--recipe", "other"], ["--flavour", "x"], ["--versions", "0"], ["--side", "3"], ["--patch", "100"]):
            self.refused(self.run_furrow("prepare", "preview", IMAGES, MASKS, "-o", "new", *words), 3 if "--recipe" in words else 2)


if __name__ == "__main__":
    unittest.main()
