#!/usr/bin/env python3
"""`furrow evaluate --mask-classes`: several classes against counts made here, and what has no meaning for them.

    evaluate_classes_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import unittest

from evaluation import H, W, Evaluation, truth
from program import PHOTO, gray, png


CODING = "10:0,20:1,30:2,40:3"


class Classes(Evaluation):
    def kind(self, n):
        return lambda x, y: 10 * (1 + (x + 3 * y + n) % 7 % 3)

    def guess(self, n):
        return lambda x, y: self.kind(n)(x, y) if (x * 7 + y * 5 + n) % 4 else 10 * (1 + (x + n) % 3)

    def put_kinds(self):
        for n in range(5):
            self.put(f"kinds/{n:05}.png", gray(W, H, self.kind(n)))
            self.put(f"guesses/{n:05}.png", gray(W, H, self.guess(n)))
        return ["evaluate", "photos", "kinds", "--predictions", "guesses", "--mask-classes", CODING]

    def pairs(self, numbers, inside=lambda n, x, y: True):
        """(truth, prediction) of the pixels of some pictures."""
        return [(self.kind(n)(x, y) // 10 - 1, self.guess(n)(x, y) // 10 - 1) for n in numbers for y in range(H) for x in range(W) if inside(n, x, y)]

    @staticmethod
    def ious(pairs):
        out = []
        for k in range(4):
            union = sum(k in pair for pair in pairs)
            out.append(sum(pair == (k, k) for pair in pairs) / union if union else None)
        return out

    def expect(self, found, pairs, each):
        """`found`: the whole or a group; `each`: the pairs of each of its pictures."""
        mean = lambda values: sum(values) / len(values)
        defined = lambda ious: [iou for iou in ious if iou is not None]
        if "confusion" in found:
            self.assertEqual(found["confusion"], [[pairs.count((t, p)) for p in range(4)] for t in range(4)])
            self.assertEqual([one["iou"] for one in found["classes"]], self.ious(pairs))
        else:
            self.assertEqual(found["iou"], self.ious(pairs))
        self.assertAlmostEqual(found["mean"]["iou"], mean(defined(self.ious(pairs))), places=14)
        self.assertEqual(found["accuracy"], mean([t == p for t, p in pairs]))
        self.assertAlmostEqual(found["per_picture"]["mean_iou"]["value"], mean([mean(defined(self.ious(some))) for some in each if some]), places=14)
        self.assertAlmostEqual(found["per_picture"]["accuracy"]["value"], mean([mean([t == p for t, p in some]) for some in each if some]), places=14)

    def test_inside_the_face(self):
        """Only pixels whose label is kept count; a picture without any is listed and adds nothing to the means."""
        words = self.put_kinds()
        inside = lambda n, x, y: n != 2 and x + n >= 6
        for n in range(5):
            self.put(f"labels/{n:05}.png", gray(W, H, lambda x, y: 10 if inside(n, x, y) and y % 2 else 1 if inside(n, x, y) else 17))
        self.assertEqual(self.run_furrow(*words, "--labels", "labels", "-o", "out").returncode, 0)
        self.expect(self.results(), self.pairs(range(5), inside), [self.pairs([n], inside) for n in range(5)])
        self.assertEqual(self.results()["settings"]["region"], "pixels with label 1,10")
        self.assertEqual([row["accuracy"] == "n/a" for row in self.table("per_image.csv")], [False, False, True, False, False])
        self.assertEqual(self.run_furrow(*words, "--labels", "labels", "--keep", "17", "-o", "hair").returncode, 0)
        outside = lambda n, x, y: not inside(n, x, y)
        self.expect(self.results("hair"), self.pairs(range(5), outside), [self.pairs([n], outside) for n in range(5)])
        (self.folder / "labels/00004.png").unlink()
        result = self.run_furrow(*words, "--labels", "labels", "-o", "less")
        self.assertEqual((result.returncode, self.results("less")["failed"][0]["id"]), (4, "00004"))

    def test_groups(self):
        words = self.put_kinds()
        self.put("table.csv", b"id,age,kind\n0,25,a\n1,8,b\n2,21,a\n4,70,b\n")
        result = self.run_furrow(*words, "--attributes", "table.csv", "--by", "age", "--by", "kind", "-o", "out")
        self.assertEqual(result.returncode, 0, result.stderr)
        groups = self.results()["groups"]
        members = {("age", "< 10"): [1], ("age", "20 to < 30"): [0, 2], ("age", ">= 70"): [4], ("age", "unknown"): [3],
                   ("kind", "a"): [0, 2], ("kind", "b"): [1, 4], ("kind", "unknown"): [3]}
        self.assertEqual([(g["field"], g["bin"]) for g in groups], list(members))
        for group, numbers in zip(groups, members.values()):
            self.assertEqual(group["pictures"], len(numbers))
            self.expect(group, self.pairs(numbers), [self.pairs([n]) for n in numbers])
        lines = self.table("groups.csv")
        self.assertEqual([line["bin"] for line in lines], ["all", *(group for _, group in members)])
        self.assertEqual(float(lines[2]["iou_1"]), self.ious(self.pairs([0, 2]))[1])
        self.assertEqual((lines[2]["iou_3"], lines[3]["per_picture_accuracy_low"]), ("n/a", "n/a"))
        self.assertEqual([line["kind"] for line in self.table("per_image.csv")], ["a", "b", "a", "n/a", "b"])
        self.assertIn("<h2>Groups</h2>", (self.folder / "out/report.html").read_text())
        self.assertIn(b"20 to < 30", result.stdout)
        self.refused(self.run_furrow(*words, "--attributes", "table.csv", "--by", "agee", "-o", "no"), 2, "agee", "age")

    def test_names_of_groups_are_not_cut(self):
        names = ["of a kind that has a long name, the first", "of a kind that has a long name, the second"]
        self.put("table.csv", ("id,kind\n" + "".join(f'{n},"{names[n % 2]}"\n' for n in range(5))).encode())
        result = self.run_furrow(*self.put_kinds(), "--attributes", "table.csv", "--by", "kind", "-o", "out", "--bootstrap", "0")
        for name in names:
            self.assertIn(f"  {name}".encode(), result.stdout)

    def test_shards_add_up_to_the_whole(self):
        words = self.put_kinds()
        self.put("table.csv", b"id,kind\n0,a\n1,b\n2,a\n4,b\n")
        self.put("guesses/00003.png", b"no picture")
        words += ["--attributes", "table.csv", "--by", "kind", "--bootstrap", "100"]
        whole = self.run_furrow(*words, "-o", "one", "--json")
        self.assertEqual(whole.returncode, 4)
        for i in (3, 1, 2):
            result = self.run_furrow(*words, "-o", "parts", "--shard", f"{i}/3", "--json")
            self.assertEqual((result.returncode, json.loads(result.stdout)["schema"]), (4 if i == 1 else 0, "furrow.evaluate-classes-shard/1"), result.stderr)
        merged = self.run_furrow("evaluate", "--merge", "parts", "-o", "sum", "--json")
        self.assertEqual((merged.returncode, merged.stdout), (4, whole.stdout))
        for path in sorted((self.folder / "one").iterdir()):
            self.assertEqual(path.read_bytes(), (self.folder / "sum" / path.name).read_bytes(), path.name)
        # What a killed process had counted is gone on from.
        finished = self.folder / "parts/shard-2-of-3.json"
        before = finished.read_bytes()
        part = json.loads(before)
        part["rows"] = part["rows"][:1]
        self.put("parts/shard-2-of-3.part.json", json.dumps(part).encode())
        finished.unlink()
        self.refused(self.run_furrow("evaluate", "--merge", "parts", "-o", "no"), 2, "shard 2/3, unfinished")
        again = self.run_furrow(*words, "-o", "parts", "--shard", "2/3")
        self.assertIn(b"goes on after 1 of 2 pictures", again.stderr)
        self.assertEqual(finished.read_bytes(), before)
        # The same map in another order is the same evaluation.
        other = [",".join(reversed(word.split(","))) if word == CODING else word for word in words]
        self.assertNotEqual(other, words)
        again = self.run_furrow(*other, "-o", "parts", "--shard", "2/3")
        self.assertIn(b"finished before", again.stderr)
        merge = lambda *files: self.run_furrow("evaluate", "--merge", ",".join(files), "-o", "no")
        parts = [f"parts/shard-{i}-of-3.json" for i in (1, 2, 3)]
        self.refused(merge(*parts[:2]), 2, "2 of 3 shards: missing 3")
        self.refused(merge(*parts, parts[0]), 2, "shard 1/3 is named twice")
        self.put("unfinished.json", json.dumps(part).encode())
        self.refused(merge(parts[0], "unfinished.json", parts[2]), 2, "the shards hold 4 of 5 pairs")
        self.assertEqual(self.run_furrow(*words, "-o", "other", "--shard", "2/3", "--seed", "9").returncode, 0)
        self.refused(merge(parts[0], "other/shard-2-of-3.json", parts[2]), 2, "seed is 0 in one and 9 in the other")
        self.refused(self.run_furrow("evaluate", "--merge", "parts", "-o", "no", "--sweep"), 2, "--sweep")
        self.refused(self.run_furrow("evaluate", "--merge", "parts", "-o", "no", "--weights", "w.pth"), 2, "--weights", "runs no model")
        # Shards of wrinkles and of several classes are of different kinds.
        self.assertEqual(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "lines", "--shard", "1/3").returncode, 0)
        self.refused(merge("lines/shard-1-of-3.json", *parts[1:]), 5, "another schema")
        self.refused(merge(parts[0], "lines/shard-1-of-3.json"), 5, "another schema")
        self.refused(self.run_furrow(*words, "-o", "lines", "--shard", "1/3"), 2, "exists already")
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--predictions", "found", "-o", "parts", "--shard", "1/3"), 2, "exists already")
        text = (self.folder / parts[1]).read_text()
        for bad in (text[:-9], text.replace('"counts":[[0,0,', '"counts":[[0,0,9'), text.replace('"counts":[[0', '"counts":[[4'), text.replace('"counts":[[0,0,', '"counts":[[0,0,-'), text.replace('"shard":2', '"shard":4'),
                    text.replace('"attributes":["b"]', '"attributes":[]'), text.replace('"size":[24,', '"size":[')):
            self.assertNotEqual(bad, text)
            self.put("bad.json", bad.encode())
            self.refused(merge(parts[0], "bad.json", parts[2]), 4, "bad.json")
        self.assertFalse((self.folder / "no").exists())

    def test_they_are_counted_and_named(self):
        """Masks of the values 10, 20, 30 and 40 (which no picture has) against predictions in the same coding."""
        truths = [lambda x, y, n=n: 10 * (1 + (x + 3 * y + n) % 7 % 3) for n in range(5)]
        found = [lambda x, y, n=n: truths[n](x, y) if (x * 7 + y * 5 + n) % 4 else 10 * (1 + (x + n) % 3) for n in range(5)]
        for n in range(5):
            self.put(f"kinds/{n:05}.png", gray(W, H, truths[n]))
            self.put(f"guesses/{n:05}.png", gray(W, H, found[n]))
        words = ["evaluate", "photos", "kinds", "--predictions", "guesses", "--mask-classes", "10:0,20:1,30:2,40:3"]
        result = self.run_furrow(*words, "-o", "out")
        self.assertEqual(result.returncode, 0, result.stderr)
        pairs = [(truths[n](x, y) // 10 - 1, found[n](x, y) // 10 - 1) for n in range(5) for y in range(H) for x in range(W)]
        matrix = [[pairs.count((t, p)) for p in range(4)] for t in range(4)]
        report = self.results()
        self.assertEqual((report["schema"], report["pictures"], report["confusion"]), ("furrow.evaluate-classes/1", 5, matrix))
        ious = []
        for k in range(3):
            tp, fp, fn = matrix[k][k], sum(matrix[t][k] for t in range(4)) - matrix[k][k], sum(matrix[k]) - matrix[k][k]
            one = report["classes"][k]
            self.assertEqual((one["class"], one["mask_values"]), (k, str(10 * (k + 1))))
            self.assertEqual(one["counts"], {"tp": tp, "fp": fp, "fn": fn, "tn": len(pairs) - tp - fp - fn})
            self.assertEqual((one["iou"], one["precision"], one["recall"]), (tp / (tp + fp + fn), tp / (tp + fp), tp / (tp + fn)))
            self.assertAlmostEqual(one["f1"], 2 * tp / (2 * tp + fp + fn), places=14)
            ious.append(one["iou"])
        self.assertEqual([report["classes"][3][key] for key in ("iou", "f1", "precision", "recall")], [None] * 4)   # nowhere
        self.assertAlmostEqual(report["mean"]["iou"], sum(ious) / 3, places=14)
        self.assertEqual(report["accuracy"], sum(t == p for t, p in pairs) / len(pairs))
        interval = report["per_picture"]["mean_iou"]
        self.assertTrue(interval["low"] <= interval["value"] <= interval["high"])
        self.assertEqual([int(row["tp"]) for row in self.table("classes.csv")[:3]], [matrix[k][k] for k in range(3)])
        self.assertEqual(self.table("classes.csv")[4]["class"], "mean")
        self.assertEqual([int(row["predicted 1"]) for row in self.table("confusion.csv")], [row[1] for row in matrix])
        self.assertEqual([row["iou_3"] for row in self.table("per_image.csv")], ["n/a"] * 5)
        self.assertIn("<h2>Confusion</h2>", (self.folder / "out/report.html").read_text())
        self.assertIn(b"accuracy of all pixels", result.stdout)

        self.refused(self.run_furrow(*words, "-o", "out"), 2, "exists already")
        self.put("guesses/00004.png", gray(W, H, lambda x, y: 50))
        (self.folder / "guesses/00003.png").unlink()
        result = self.run_furrow(*words, "-o", "part", "--json")
        self.assertEqual(result.returncode, 4)
        part = json.loads(result.stdout)
        self.assertEqual(([failure["id"] for failure in part["failed"]], part["error"]["exit"], part["pictures"]), (["00003", "00004"], 4, 3))
        self.assertIn("value 50", part["failed"][1]["error"])

    def test_they_refuse_what_needs_a_threshold(self):
        words = ["evaluate", "photos", "masks", "--mask-classes", "0:0,255:1"]
        for more in (["--sweep"], ["--threshold", "0.4"], ["--tolerance", "1"], ["--write-threshold", "w.safetensors"], ["--overlays", "3"],
                     ["--at", "photo"], ["--mask-values", "3"]):
            with self.subTest(more=more):
                self.refused(self.run_furrow(*words, *more), 2, more[0], "--mask-classes")
        for text in ("0", "0:0", "0:0,255:2", "0:0,300:1", "0:0,0:1", "a:0,1:1"):
            with self.subTest(text=text):
                self.refused(self.run_furrow(*words[:-1], text), 2, "--mask-classes")
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--size", "32", "--mask-classes", "0:0,255:1", "-o", "no"), 2, "the model 1")
        self.assertFalse((self.folder / "no").exists())

    def test_two_of_a_model_are_its_wrinkles(self):
        """Of two classes the larger output is the one whose probability is over one half: both ways count the same pixels."""
        for n in range(5):     # lines that can be seen, and take a few epochs to be
            self.put(f"photos/{n:05}.png", png(W, H, lambda x, y: 60 + truth(n)(x, y) // 3 + (x * 5 + y * 11 + n) % 60))
        result = self.run_furrow("train", "--images", "photos", "--masks", "masks", "-o", "run", "--device", "cpu", *(
            word for setting in ("size=32", "model.base=2", "model.classes=2", "batch_size=2", "epochs=30", "preflight=false", "threads=1",
                                 "masks.kind=classes", "masks.classes={0: 0, 255: 1}", "loss.form=ce", "learning_rate=1e-2")
            for word in ("--set", setting)))
        self.assertEqual(result.returncode, 0, result.stderr)
        for n in range(5):
            self.put(f"labels/{n:05}.png", gray(W, H, lambda x, y: 1 if x > 4 + n else 17))
        marked = []
        for i, more in enumerate(([], ["--labels", "labels"], ["--tta", "flip"], ["--size", "48"])):
            with self.subTest(more=more):
                for words, out in (["--threshold", "0.5"], f"one{i}"), (["--mask-classes", "0:0,255:1"], f"two{i}"):
                    self.evaluate("--weights", "run/model.safetensors", *words, *more, out=out)
                one, two = self.results(f"one{i}"), self.results(f"two{i}")
                self.assertEqual(two["classes"][1]["counts"], one["counts"])
                self.assertEqual(two["classes"][1]["iou"], one["pooled"]["iou"]["value"])
                self.assertEqual(sum(map(sum, two["confusion"])), sum(one["counts"].values()))
                marked.append(one["counts"])
        self.assertEqual(len({tuple(counts.values()) for counts in marked}), 4, marked)  # each option changes something
        # A face: its crop alone counts, and where there is none there is nothing to count.
        (self.folder / "portrait").mkdir()
        (self.folder / "portrait/a.png").write_bytes(PHOTO.read_bytes())
        self.put("line/a.png", gray(512, 512, lambda x, y: 255 if (x + y) % 40 < 3 else 0))
        crop = ["portrait", "line", "--weights", "run/model.safetensors", "--crop", "face"]
        for words, out in (["--threshold", "0.5"], "one"), (["--mask-classes", "0:0,255:1"], "two"):
            result = self.run_furrow("evaluate", *crop, *words, "-o", out)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.results("two")["classes"][1]["counts"], self.results("one")["counts"])
        self.assertEqual(self.results("two")["settings"]["crop"], "the largest face")
        result = self.run_furrow("evaluate", "photos", "masks", *crop[2:], "--mask-classes", "0:0,255:1", "-o", "none")
        self.refused(result, 4, "5 of 5 pictures failed", "no face")


if __name__ == "__main__":
    unittest.main()
