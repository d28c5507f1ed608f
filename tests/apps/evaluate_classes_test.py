#!/usr/bin/env python3
"""`furrow evaluate --mask-classes`: several classes against counts made here, and what has no meaning for them.

    evaluate_classes_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import unittest

from evaluation import H, W, Evaluation
from program import gray


class Classes(Evaluation):
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
        for more in (["--sweep"], ["--threshold", "0.4"], ["--tolerance", "1"], ["--write-threshold", "w.safetensors"], ["--by", "age"],
                     ["--shard", "1/2"], ["--tta", "flip"], ["--at", "photo"], ["--labels", "l"], ["--mask-values", "3"]):
            with self.subTest(more=more):
                self.refused(self.run_furrow(*words, *more), 2, more[0], "--mask-classes")
        for text in ("0", "0:0", "0:0,255:2", "0:0,300:1", "0:0,0:1", "a:0,1:1"):
            with self.subTest(text=text):
                self.refused(self.run_furrow(*words[:-1], text), 2, "--mask-classes")
        self.refused(self.run_furrow("evaluate", "photos", "masks", "--size", "32", "--mask-classes", "0:0,255:1", "-o", "no"), 2, "the model 1")
        self.assertFalse((self.folder / "no").exists())

    def test_two_of_a_model_are_its_wrinkles(self):
        """Of two classes the larger output is the one whose probability is over one half: both ways count the same pixels."""
        result = self.run_furrow("train", "--images", "photos", "--masks", "masks", "-o", "run", "--device", "cpu", *(
            word for setting in ("size=32", "model.base=2", "model.classes=2", "batch_size=2", "epochs=2", "preflight=false", "threads=1",
                                 "masks.kind=classes", "masks.classes={0: 0, 255: 1}", "loss.form=ce", "learning_rate=1e-2")
            for word in ("--set", setting)))
        self.assertEqual(result.returncode, 0, result.stderr)
        for words, out in (["--threshold", "0.5"], "one"), (["--mask-classes", "0:0,255:1"], "two"):
            self.evaluate("--weights", "run/model.safetensors", *words, out=out)
        one, two = self.results("one"), self.results("two")
        self.assertEqual(two["classes"][1]["counts"], one["counts"])
        self.assertEqual(two["classes"][1]["iou"], one["pooled"]["iou"]["value"])
        self.assertEqual(sum(map(sum, two["confusion"])), 5 * 32 * 32)


if __name__ == "__main__":
    unittest.main()
