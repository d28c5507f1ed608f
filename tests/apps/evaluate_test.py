#!/usr/bin/env python3
"""`furrow evaluate` from the command line: numbers against counts made here, shards against the whole, refusals.

    evaluate_test.py PATH_TO_FURROW [unittest arguments]
"""
import base64
import json
import random
import re
import struct
import unittest

from evaluation import H, W, Evaluation, score, truth
from program import PHOTO, gray, png


class Evaluate(Evaluation):
    @staticmethod
    def counts(n, threshold=0.5, inside=lambda x, y: True):
        tp = fp = fn = tn = 0
        for y in range(H):
            for x in range(W):
                if not inside(x, y):
                    continue
                predicted, target = score(n)(x, y) / 255 > threshold, truth(n)(x, y) > 0
                tp, fp, fn, tn = tp + (predicted and target), fp + (predicted and not target), fn + (target and not predicted), tn + (not predicted and not target)
        return tp, fp, fn, tn

    def test_predictions_from_files_give_the_counted_numbers(self):
        result = self.evaluate("--predictions", "found")
        self.assertIn(b"5 pictures", result.stdout)
        found = self.results()
        each = [self.counts(n) for n in range(5)]
        tp, fp, fn, tn = map(sum, zip(*each))
        self.assertEqual(found["counts"], {"tp": tp, "fp": fp, "fn": fn, "tn": tn})
        self.assertEqual(found["pooled"]["iou"]["value"], tp / (tp + fp + fn))
        self.assertEqual(found["pooled"]["f1"]["value"], 2 * tp / (2 * tp + fp + fn))
        self.assertEqual(found["pooled"]["specificity"]["value"], tn / (tn + fp))
        mean = sum(a / (a + b + c) for a, b, c, _ in each) / 5
        self.assertAlmostEqual(found["per_picture"]["iou"]["value"], mean, places=12)
        for measure in found["pooled"].values():
            self.assertLessEqual(measure["low"], measure["high"])
        # Eight-bit scores: the areas are exact, so here they are once more by their definitions.
        pixels = [(score(n)(x, y), truth(n)(x, y) > 0) for n in range(5) for x in range(W) for y in range(H)]
        good, bad = [s for s, t in pixels if t], [s for s, t in pixels if not t]
        right = sum((a > b) + (a == b) / 2 for a in good for b in bad) / (len(good) * len(bad))
        self.assertAlmostEqual(found["auroc"]["value"], right, places=12)
        self.assertEqual(found["auroc"]["at_least"], found["auroc"]["at_most"])
        ap, before = 0, 0
        for s in sorted({s for s, _ in pixels}, reverse=True):
            hit, all_ = sum(a >= s for a in good), sum(a >= s for a, _ in pixels)
            ap, before = ap + (hit - before) / len(good) * hit / all_, hit
        self.assertAlmostEqual(found["ap"]["value"], ap, places=12)
        # The sweep counts at each threshold.
        for entry in found["sweep"][::14]:
            tp, fp, fn, _ = map(sum, zip(*(self.counts(n, entry["threshold"]) for n in range(5))))
            self.assertEqual(entry["iou"], tp / (tp + fp + fn) if tp + fp + fn else 0)
        self.assertEqual(found["best"]["f1"], max(entry["f1"] for entry in found["sweep"]))

    def test_tables_and_page(self):
        self.evaluate("--predictions", "found", "--bootstrap", "50")
        rows = self.table("per_image.csv")
        self.assertEqual([row["id"] for row in rows], [f"{n:05}" for n in range(5)])
        self.assertEqual(tuple(int(rows[2][k]) for k in ("tp", "fp", "fn", "tn")), self.counts(2))
        self.assertEqual((rows[3]["iou"], rows[3]["auroc"], rows[3]["ap"]), ("0", "n/a", "n/a"))
        groups = self.table("groups.csv")
        self.assertEqual([(g["field"], g["bin"], g["pictures"]) for g in groups], [("all", "all", "5"), ("wrinkles in the mask", "some", "4"), ("wrinkles in the mask", "none", "1")])
        self.assertEqual(groups[2]["pooled_iou_low"], "n/a")
        page = (self.folder / "out/report.html").read_text()
        self.assertEqual(re.findall(r"(?:src|href)=\"(?!data:image/png;base64,)", page), [])
        self.assertNotIn("<script", page)
        pictures = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
        self.assertEqual(len(pictures), 8)   # four with wrinkles, among the worst and among the best
        for picture in pictures:
            data = base64.b64decode(picture, validate=True)
            self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
            self.assertEqual(struct.unpack(">II", data[16:24]), (W, H))
        self.assertNotIn("NaN", (self.folder / "out/evaluate.json").read_text())

    def test_empty_masks_and_perfect_masks(self):
        for n in range(5):
            self.put(f"none/{n:05}.png", gray(W, H, lambda x, y: 0))
        result = self.run_furrow("evaluate", "photos", "none", "--predictions", "none", "-o", "out", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        found = json.loads(result.stdout)
        self.assertEqual(found["per_picture"]["f1"]["value"], 1)      # both empty
        self.assertEqual(found["pooled"]["f1"]["value"], 0)           # 0/0 as torchmetrics has it
        self.assertIsNone(found["auroc"])
        self.assertIsNone(found["ap"])
        self.assertIsNone(found["per_picture"]["auroc"]["value"])
        self.assertEqual(found, self.results())
        self.evaluate("--predictions", "masks", out="perfect")
        found = self.results("perfect")
        for rate in ("iou", "f1", "precision", "recall"):
            self.assertEqual(found["per_picture"][rate]["value"], 1)
            self.assertEqual(found["pooled"][rate]["value"], 1)
        self.assertEqual((found["auroc"]["value"], found["ap"]["value"]), (1, 1))

    def test_sixteen_bit_predictions(self):
        for n in range(5):
            self.put(f"deep/{n:05}.prob.png", gray(W, H, lambda x, y, n=n: score(n)(x, y) * 257, depth=16))
        self.evaluate("--predictions", "deep")
        self.evaluate("--predictions", "found", out="eight")
        self.assertEqual((self.folder / "out/evaluate.json").read_text(), (self.folder / "eight/evaluate.json").read_text())

    def test_shards_add_up_to_the_same_bytes(self):
        table = "id,age\n" + "".join(f"{n},{20 + 9 * n}\n" for n in range(5))
        self.put("table.csv", table.encode())
        common = ("--predictions", "found", "--attributes", "table.csv", "--by", "age:q2", "--overlays", "2")
        self.evaluate(*common)
        for i in (2, 1, 3):
            self.evaluate(*common, "--shard", f"{i}/3", out="parts")
        files = ",".join(f"parts/shard-{i}-of-3.json" for i in (3, 1, 2))
        result = self.run_furrow("evaluate", "--merge", files, "-o", "sum")
        self.assertEqual(result.returncode, 0, result.stderr)
        for name in ("evaluate.json", "per_image.csv", "groups.csv", "report.html"):
            self.assertEqual((self.folder / "out" / name).read_bytes(), (self.folder / "sum" / name).read_bytes(), name)

    def test_shards_that_do_not_belong_together(self):
        for i in (1, 2):
            self.evaluate("--predictions", "found", "--shard", f"{i}/2", out="parts")
        self.evaluate("--predictions", "found", "--shard", "2/2", "--threshold", "0.4", out="other")
        def merge(*files):
            return self.run_furrow("evaluate", "--merge", ",".join(files), "-o", "sum")
        self.refused(merge("parts/shard-1-of-2.json", "other/shard-2-of-2.json"), 2, "threshold is 0.5 in one and 0.4 in the other")
        self.refused(merge("parts/shard-1-of-2.json"), 2, "1 of 2 shards: missing 2")
        self.refused(merge("parts/shard-1-of-2.json", "parts/shard-1-of-2.json"), 2, "shard 1/2 is named twice")
        text = (self.folder / "parts/shard-1-of-2.json").read_text()
        for damaged in (text[:-20], text.replace('"shard":1', '"shard":7'), text.replace('"counts":[', '"counts":[-1,'), text.replace('"bins":[', '"bins":[99999999,1,1,0.5,'),
                        text.replace('"png":"', '"png":"\\"><script>'), "[]", "{}"):
            self.put("bad.json", damaged.encode())
            self.refused(merge("bad.json", "parts/shard-2-of-2.json"), 4, "bad.json", "not JSON" if damaged == text[:-20] else "not a shard")
        self.put("bad.json", text.replace("evaluate-shard/1", "evaluate-shard/9").encode())
        self.refused(merge("bad.json"), 5, "bad.json")
        self.assertFalse((self.folder / "sum/evaluate.json").exists())

    def test_damaged_shards_end_cleanly(self):
        for i in (1, 2):
            self.evaluate("--predictions", "found", "--overlays", "1", "--shard", f"{i}/2", out="parts")
        whole = (self.folder / "parts/shard-1-of-2.json").read_bytes()
        values = (b"null", b"-1", b"1.5", b"[]", b"{}", b'"x"', b"1e999", b"4611686018427387904", b"99999999999999999999")
        numbers = list(re.finditer(rb"(?<=[:\[,])\d+(?=[,\]}])", whole))
        draw, seen = random.Random(1), set()
        for _ in range(60):
            at, end = draw.choice(numbers).span()
            start = draw.randrange(len(whole))
            damaged = draw.choice((whole[:at] + draw.choice(values) + whole[end:],
                                   whole[:start] + bytes([draw.randrange(256)]) + whole[start + 1:],
                                   whole[:start] + whole[start + draw.randrange(1, 40):]))
            self.put("bad.json", damaged)
            result = self.run_furrow("evaluate", "--merge", "bad.json,parts/shard-2-of-2.json", "-o", "sum", "--force", "-q")
            # 0: the damage left a shard that could be; 2: a shard of something else.
            self.assertIn(result.returncode, (0, 2, 4, 5), (damaged, result.stderr))
            seen.add(result.returncode)
        self.assertIn(4, seen)

    def test_a_model_runs_at_both_sizes_and_the_threshold_is_written(self):
        self.evaluate("--size", "32", "--write-threshold", "new.safetensors", "--threads", "1")
        found = self.results()
        self.assertEqual(sum(found["counts"].values()), 5 * 32 * 32)
        self.assertEqual(found["settings"]["compared on"], "32x32 model pixels")
        shown = json.loads(self.run_furrow("model", "show", "new.safetensors", "--json").stdout)
        self.assertEqual(shown["preprocessing"]["threshold"], found["best"]["threshold"])
        self.evaluate("--size", "32", "--threads", "2", out="two")
        self.assertEqual((self.folder / "out/evaluate.json").read_bytes(), (self.folder / "two/evaluate.json").read_bytes())
        self.evaluate("--size", "32", "--tta", "flip", out="flip")
        self.assertEqual(sum(self.results("flip")["counts"].values()), 5 * 32 * 32)
        self.assertNotEqual(self.results("flip")["auroc"], found["auroc"])
        # On the photo's pixels the counts are those of the masks that `furrow segment` writes.
        self.evaluate("--size", "32", "--at", "photo", out="photo")
        self.segment("photos", "--save", "mask")
        names = "".join(f"{n:05}\n" for n in range(5))
        self.put("names.txt", names.encode())
        self.evaluate("--predictions", "out", "--ids", "names.txt", out="again")
        self.assertEqual(self.results("photo")["counts"], self.results("again")["counts"])

    def test_the_face_is_found_and_cut_out(self):
        self.put("portrait/a.png", PHOTO.read_bytes())
        self.put("line/a.png", gray(512, 512, lambda x, y: 255 if 100 < x < 300 and y % 40 < 3 else 0))
        def run(*words):
            result = self.run_furrow("evaluate", "portrait", "line", "--size", "64", *words)
            self.assertEqual(result.returncode, 0, result.stderr)
        run("--crop", "face", "--at", "photo", "-o", "photo")
        self.run_furrow("segment", "portrait", "--size", "64", "--save", "mask,json", "-o", "marks")
        result = self.run_furrow("evaluate", "portrait", "line", "--predictions", "marks", "-o", "again")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.results("photo")["counts"], self.results("again")["counts"])
        run("--crop", "face", "-o", "model")
        counts = self.results("model")["counts"]
        crop = json.loads((self.folder / "marks/a.json").read_text())["faces"][0]["crop"]
        # Grid pixels whose centre lies on the photo, and the truth under them.
        def under(n):
            return crop["x"] + (2 * n + 1) * crop["width"] // 128, crop["y"] + (2 * n + 1) * crop["height"] // 128
        columns = [under(i)[0] for i in range(64) if 0 <= under(i)[0] < 512]
        rows = [under(j)[1] for j in range(64) if 0 <= under(j)[1] < 512]
        self.assertEqual(sum(counts.values()), len(columns) * len(rows))
        self.assertEqual(counts["tp"] + counts["fn"], sum(100 < x < 300 for x in columns) * sum(y % 40 < 3 for y in rows))
        self.put("blank/a.png", png(512, 512, lambda x, y: 128))
        result = self.run_furrow("evaluate", "blank", "line", "--crop", "face", "-o", "none")
        self.refused(result, 4, "1 of 1 pictures failed", "no face")

    def test_inside_the_face(self):
        inside = lambda x, y: x >= 10
        for n in range(5):
            self.put(f"labels/{n:05}.png", gray(W, H, lambda x, y: 1 if inside(x, y) else 17))
        self.evaluate("--predictions", "found", "--labels", "labels")
        tp, fp, fn, tn = map(sum, zip(*(self.counts(n, inside=inside) for n in range(5))))
        self.assertEqual(self.results()["counts"], {"tp": tp, "fp": fp, "fn": fn, "tn": tn})

    def test_groups_from_tables(self):
        def bins(*words, out):
            self.evaluate("--predictions", "found", "--bootstrap", "0", *words, out=out)
            return [(g["field"], g["bin"], g["pictures"]) for g in self.results(out)["groups"][2:]]
        self.put("aging.csv", b"image_number,age_group,head_yaw,glasses\n0,20-29,-25,None\n1,3-6,12,None\n2,20-29,3,Dark\n4,70-120,4,None\n")
        self.assertEqual(bins("--attributes", "aging.csv", "--by", "age", out="a"), [("age", "3-6", 1), ("age", "20-29", 2), ("age", "70-120", 1), ("age", "unknown", 1)])
        self.assertEqual(bins("--attributes", "aging.csv", "--by", "pose", "--by", "glasses", out="b"),
                         [("pose", "< 10", 2), ("pose", "10 to < 20", 1), ("pose", "20 to < 30", 1), ("pose", "unknown", 1), ("glasses", "Dark", 1), ("glasses", "None", 3), ("glasses", "unknown", 1)])
        face = lambda age, yaw: [{"faceId": "x", "faceRectangle": {"top": 1, "left": 1, "width": 9, "height": 9}, "faceAttributes": {"age": age, "headPose": {"yaw": yaw}, "occlusion": {"eyeOccluded": age > 40}}}]
        for n in range(5):
            self.put(f"json/{n:05}.json", json.dumps(face(8.0 + 13 * n, -11.5 * n) if n != 2 else []).encode())
        self.assertEqual(bins("--attributes", "json", "--by", "age", "--by", "occlusion", out="c"),
                         [("age", "< 10", 1), ("age", "20 to < 30", 1), ("age", "40 to < 50", 1), ("age", "60 to < 70", 1), ("age", "unknown", 1),
                          ("occlusion", "0", 2), ("occlusion", "1", 2), ("occlusion", "unknown", 1)])
        self.put("own.json", json.dumps([{"file": f"photos/{n:05}.png", "light": {"level": n / 2}} for n in range(5)]).encode())
        self.assertEqual(bins("--attributes", "own.json", "--by", "light.level:1,1.5", out="d"), [("light.level", "< 1", 2), ("light.level", "1 to < 1.5", 1), ("light.level", ">= 1.5", 2)])
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "--attributes", "aging.csv", "--by", "head_jaw", "-o", "e"), 2, "head_jaw", "head_yaw")
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "--attributes", "aging.csv", "--by", "age_group:q3", "-o", "e"), 2, "no numbers")

    def test_mask_values(self):
        for n in range(5):
            self.put(f"numbers/{n:05}.png", gray(W, H, lambda x, y, n=n: 3 if truth(n)(x, y) else 2))
        result = self.run_furrow("evaluate", "photos", "numbers", "--predictions", "found", "-o", "out")
        self.refused(result, 4, "5 of 5 pictures failed", "value 2")
        result = self.run_furrow("evaluate", "photos", "numbers", "--predictions", "found", "--mask-values", "3", "-o", "three")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.evaluate("--predictions", "found")
        self.assertEqual(self.results("three")["counts"], self.results()["counts"])

    def test_what_does_not_fit_is_named(self):
        self.put("masks/00009.png", gray(W, H, truth(0)))
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "out"), 4, "00009")
        self.evaluate("--predictions", "found", "--skip-unpaired")
        (self.folder / "masks/00009.png").unlink()
        self.put("names.txt", b"00001\n00077\n")
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "--ids", "names.txt", "-o", "a"), 4, "names.txt", "00077")
        self.put("masks/00002.png", gray(W + 1, H, truth(2)))
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "b"), 4, "00002", f"{W + 1}x{H}")
        self.put("masks/00002.png", gray(W, H, truth(2)))
        self.put("found/00002.png", gray(W, H + 1, score(2)))
        (self.folder / "found/00004.png").unlink()
        result = self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "c")
        self.refused(result, 4, "2 of 5 pictures failed", f"{W}x{H + 1}", "no prediction", stdout_empty=False)
        self.assertEqual([failure["id"] for failure in self.results("c")["failed"]], ["00002", "00004"])
        self.assertEqual(self.results("c")["pictures"], 3)
        (self.folder / "empty").mkdir()
        self.refused(self.run_furrow("evaluate", "photos", "empty", "-o", "d"), 4, "empty")

    def test_usage(self):
        for words, parts in [
            ((), ("two folders",)),
            (("photos",), ("two folders",)),
            (("photos", "masks", "--threshold", "1.5"), ("outside (0, 1)",)),
            (("photos", "masks", "--tolerance", "1,x"), ("--tolerance 1,x",)),
            (("photos", "masks", "--tolerance", "65"), ("up to 64",)),
            (("photos", "masks", "--tolerance", "1,2,01"), ("--tolerance 1,2,01: 1 stands there twice",)),
            (("photos", "masks", "--mask-values", "3,3"), ("listed twice",)),
            (("photos", "masks", "--mask-values", "300"), ("up to 255",)),
            (("photos", "masks", "--mask-values", "red"), ("unknown", "binary")),
            (("photos", "masks", "--shard", "3/2"), ("--shard 3/2",)),
            (("photos", "masks", "--shard", "2"), ("--shard 2",)),
            (("photos", "masks", "--by", "age"), ("--attributes",)),
            (("photos", "masks", "--attributes", "x.csv", "--by", "age:9,3"), ("increase",)),
            (("photos", "masks", "--predictions", "found", "--weights", "w.pth"), ("--predictions",)),
            (("photos", "masks", "--write-threshold", "w.pth"), (".safetensors",)),
            (("photos", "masks", "--bootstrap", "-1"), ("--bootstrap",)),
            (("photos", "masks", "--merge", "a.json"), ("--merge",)),
            (("--merge", "a.json", "--threshold", "0.3"), ("--threshold", "--merge")),
            (("photos", "masks", "--predictions", "found", "--at", "photo"), ("--predictions", "--at")),
            (("photos", "masks", "--at", "moon"), ("model, photo",)),
            (("photos", "masks", "--treshold", "0.5"), ("--threshold",)),
        ]:
            with self.subTest(words=words):
                self.refused(self.run_furrow("evaluate", *words), 2, *parts)
        self.evaluate("--predictions", "found")
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "out"), 2, "exists already", "--force")
        self.evaluate("--predictions", "found", "--force")
        self.assertIn(b"--write-threshold", self.run_furrow("evaluate", "--help").stdout)

    def test_json_with_failed_pictures_is_one_document(self):
        self.put("found/00002.png", gray(W, H + 1, score(2)))
        for words, schema in ((), "furrow.evaluate/1"), (("--shard", "1/1"), "furrow.evaluate/1"), (("--shard", "1/2"), "furrow.evaluate-shard/1"):
            result = self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "out", "--json", "--force", *words)
            self.assertEqual(result.returncode, 4)
            found = json.loads(result.stdout)     # fails where a second document follows
            self.assertEqual(found["schema"], schema)
            self.assertEqual((found["error"]["code"], found["error"]["exit"]), ("malformed", 4))
            self.assertIn("00002.png", found["error"]["details"][0])

    def test_an_early_end_leaves_no_folder(self):
        self.put("masks/00009.png", gray(W, H, truth(0)))
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "deep/er/out"), 4, "00009")
        self.assertFalse((self.folder / "deep").exists())
        (self.folder / "mine").mkdir()
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "mine/out"), 4, "00009")
        self.assertEqual(list((self.folder / "mine").iterdir()), [])
        (self.folder / "masks/00009.png").unlink()
        self.evaluate("--predictions", "found", out="deep/out")
        self.assertTrue((self.folder / "deep/out/report.html").exists())

    def test_long_names_stay_apart(self):
        names = ["n" * 230 + "1", "n" * 230 + "2", "a\\x01", "a\x01"]
        for i, name in enumerate(names):
            for folder, data in (("many", png(W, H)), ("manymasks", gray(W, H, truth(i)))):
                self.put(f"{folder}/{name}.png", data)
        result = self.run_furrow("evaluate", "many", "manymasks", "--predictions", "manymasks", "-o", "out")
        self.assertEqual(result.returncode, 0, result.stderr)
        found = {row["id"] for row in self.table("per_image.csv")}
        self.assertEqual(found, {names[0], names[1], "a\\x5cx01", "a\\x01"})

    def test_hostile_names_stay_text(self):
        name = "<script>alert(1)</script>&,\"x"
        name = name.replace("/", "_")
        self.put(f"odd/{name}.png", png(W, H))
        self.put(f"oddmasks/{name}.png", gray(W, H, truth(0)))
        result = self.run_furrow("evaluate", "odd", "oddmasks", "--predictions", "oddmasks", "-o", "out")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("<script", (self.folder / "out/report.html").read_text())
        self.assertEqual(self.table("per_image.csv")[0]["id"], name)


if __name__ == "__main__":
    unittest.main()
