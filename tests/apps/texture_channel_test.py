#!/usr/bin/env python3
"""Networks of photo and texture map, from training to masks: `train`, then `evaluate` and `segment` with what it exported.

    texture_channel_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import unittest

from program import Program, gray, png

SIDE = 64
RATES = ("iou", "f1", "precision", "recall", "accuracy")
NAMES = [f"{n:05}" for n in range(9)]


class TextureChannel(Program):
    def setUp(self):
        super().setUp()
        for folder in ("photos", "masks", "labels"):
            (self.folder / folder).mkdir()
        for n, name in enumerate(NAMES):
            line = lambda x, y: 6 <= x < 58 and 0 <= y - (10 + 5 * n + x // 16) < 2
            self.put(f"photos/{name}.png", png(SIDE, SIDE, lambda x, y: 70 if line(x, y) else 140 + (x * 5 + y * 11 + n) % 50))
            self.put(f"masks/{name}.png", gray(SIDE, SIDE, lambda x, y: 255 if line(x, y) else 0))
            self.put(f"labels/{name}.png", gray(SIDE, SIDE, lambda x, y: 1 if y > 8 + n else 10 if x > 40 else 17))

    def put(self, name, data):
        (self.folder / name).write_bytes(data)

    def train(self, run, *settings):
        common = ("size=32", "model.base=4", "batch_size=2", "epochs=9", "preflight=false", "threads=1", "learning_rate=1e-2", "val_percent=0.34",
                  "texture.source=closest", "texture.sigma=20")      # few epochs: a network that still errs shows what it is given
        result = self.run_furrow("train", "--images", "photos", "--masks", "masks", "-o", run, "--device", "cpu",
                                 *(word for setting in (*common, *settings) for word in ("--set", setting)))
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads((self.folder / run / "run.json").read_text())
        self.assertIn("unet base 4, 4 -> ", report["network"]["architecture"])
        (self.folder / f"{run}.ids").write_text("\n".join(report["split"]["validation"]) + "\n")
        lines = [json.loads(line) for line in (self.folder / run / "metrics.jsonl").read_text().splitlines() if '"validation"' in line]
        best = [line for line in lines if line["epoch"] == report["best"]["epoch"]][0]
        self.assertGreater(best["iou"], 0.05)       # a network that marks something: 0 = 0 would prove nothing
        return best, report["split"]["validation"]

    def evaluate(self, out, *words):
        result = self.run_furrow("evaluate", "photos", "masks", "-o", out, "--bootstrap", "0", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads((self.folder / out / "evaluate.json").read_text()), result.stderr.decode()

    def same_numbers(self, report, best, pictures):
        self.assertEqual(report["pictures"], pictures)
        for rate in RATES:
            self.assertEqual(report["pooled"][rate]["value"], best[rate], rate)

    def test_evaluate_gives_what_validation_gave_and_segment_the_masks(self):
        best, validation = self.train("run")
        model = ["--weights", "run/model.safetensors"]
        show = json.loads(self.run_furrow("model", "show", "run/model.safetensors", "--json").stdout)
        self.assertEqual((show["metadata"]["furrow.texture"], show["preprocessing"]["texture"]), ("closest 20", "closest 20"))
        report, said = self.evaluate("numbers", *model, "--ids", "run.ids")
        self.same_numbers(report, best, len(validation))
        self.assertEqual(report["settings"]["texture maps"], "closest 20")
        self.assertNotIn("texture", said)
        # On the photos' own pixels the marks of `furrow segment` are those that were counted.
        result = self.run_furrow("segment", "photos", "-o", "marks", "--crop", "none", "--save", "mask,json", *model)
        self.assertEqual(result.returncode, 0, result.stderr)
        computed, _ = self.evaluate("computed", *model, "--at", "photo")
        read, _ = self.evaluate("read", "--predictions", "marks")
        for rate in RATES:
            self.assertEqual(computed["pooled"][rate], read["pooled"][rate], rate)

    def test_masked_maps_want_labels(self):
        best, validation = self.train("run", "texture.dir=labels")
        model = ["--weights", "run/model.safetensors", "--ids", "run.ids"]
        show = json.loads(self.run_furrow("model", "show", "run/model.safetensors", "--json").stdout)
        self.assertEqual(show["metadata"]["furrow.texture"], "closest 20 masked")
        # Every label counts, as validation counts every pixel; the maps are still 0 outside skin and nose.
        report, said = self.evaluate("numbers", *model, "--labels", "labels", "--keep", "1,10,17")
        self.same_numbers(report, best, len(validation))
        self.assertNotIn("no labels", said)
        _, said = self.evaluate("bare", *model)
        self.assertEqual(said.count("texture maps that are 0 outside skin and nose, and no labels were given"), 1, said)
        result = self.run_furrow("segment", f"photos/{NAMES[0]}.png", "-o", "marks", "--crop", "none", "--weights", "run/model.safetensors")
        self.assertEqual(result.stderr.decode().count("no labels were given"), 1, result.stderr)

    def test_several_classes_see_the_map_too(self):
        best, validation = self.train("run", "model.classes=2", "masks.kind=classes", "masks.classes={0: 0, 255: 1}", "loss.form=ce")
        report, _ = self.evaluate("numbers", "--weights", "run/model.safetensors", "--ids", "run.ids", "--mask-classes", "0:0,255:1")
        self.assertEqual((report["pictures"], report["classes"][1]["iou"], report["accuracy"]), (len(validation), best["iou"], best["accuracy"]))

    def test_a_pth_says_nothing_and_convert_writes_it_down(self):
        best, validation = self.train("run")
        numbers = lambda out, weights: self.evaluate(out, "--weights", weights, "--ids", "run.ids", "--size", "32")
        note = "do not say how their texture maps were made"
        guess, said = numbers("guess", "run/model.pth")
        self.assertEqual(said.count(note), 1, said)
        self.assertEqual(guess["settings"]["texture maps"], "closest 5 masked (not said by the weights)")
        result = self.run_furrow("segment", f"photos/{NAMES[0]}.png", "-o", "marks", "--crop", "none", "--size", "32", "--weights", "run/model.pth")
        self.assertEqual((result.returncode, result.stderr.decode().count(note)), (0, 1), result.stderr)
        self.assertIn(note, json.loads((self.folder / f"marks/{NAMES[0]}.json").read_text())["notes"][0])
        result = self.run_furrow("model", "convert", "run/model.pth", "w.safetensors", "--texture", "closest 20", "--size", "32")
        self.assertEqual(result.returncode, 0, result.stderr)
        told, said = numbers("told", "w.safetensors")
        self.assertNotIn(note, said)
        self.same_numbers(told, best, len(validation))
        self.assertNotEqual(told["pooled"]["iou"], guess["pooled"]["iou"])

        convert = lambda *words: self.run_furrow("model", "convert", *words)
        self.refused(convert("run/model.pth", "x.safetensors", "--texture", "nearest 5"), 2, "nearest", "closest")
        self.refused(convert("run/model.pth", "x.safetensors", "--texture", "closest"), 2, "number")
        self.refused(convert("default", "x.safetensors", "--texture", "closest 5"), 7)
        self.assertEqual(convert("run/model.safetensors", "kept.safetensors").returncode, 0)
        self.assertEqual(numbers("kept", "kept.safetensors")[0]["pooled"], told["pooled"])

    def test_other_networks_are_refused(self):
        result = self.run_furrow("train", "--images", "photos", "--masks", "masks", "-o", "three", "--device", "cpu", *(
            word for setting in ("size=32", "model.base=2", "batch_size=2", "epochs=1", "preflight=false", "threads=1") for word in ("--set", setting)))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.refused(self.run_furrow("model", "convert", "three/model.safetensors", "x.safetensors", "--texture", "closest 5"), 2, "3 -> 1", "--texture")
        self.assertNotIn("furrow.texture", json.loads(self.run_furrow("model", "show", "three/model.safetensors", "--json").stdout)["metadata"])


if __name__ == "__main__":
    unittest.main()
