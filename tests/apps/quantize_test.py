"""`furrow model quantize`, and what the other verbs make of its file.

    quantize_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import unittest

import program

QUANTIZE = ["model", "quantize", "default", "--data", "photos", "--size", "128"]


class Quantize(program.Program):
    def setUp(self):
        super().setUp()
        (self.folder / "photos").mkdir()
        (self.folder / "photos" / "astronaut.png").write_bytes(program.PHOTO.read_bytes())

    def quantize(self, *words):
        result = self.run_furrow("--json", *QUANTIZE, "-o", "q.safetensors", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def masks(self, *words):
        result = self.run_furrow("segment", "photos/astronaut.png", "-o", "out", "--force", "--save", "mask,prob,json", "--size", "128",
                                 "--threshold", "0.05", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [(self.folder / f"out/astronaut.{name}.png").read_bytes() for name in ("mask", "prob")]

    def algorithms(self, *words):
        size = [] if "--size" in words else ["--size", "128"]
        result = self.run_furrow("--json", "model", "audit", *words, *size, "--rounds", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        return [step["algorithm"] for step in json.loads(result.stdout)["steps"]]

    def test_what_it_reports_is_what_runs(self):
        report = self.quantize("--iou", "0.5")
        self.assertEqual(report["photos"], 1)
        self.assertGreater(len(report["layers"]), 20)
        self.assertEqual({layer["precision"] for layer in report["layers"]}, {"int8"})
        for layer in report["layers"]:
            self.assertGreater(layer["logits_moved"], 0, layer)
            self.assertLess(layer["logits_moved"], 0.02, layer)
            self.assertGreater(layer["macs"], 0, layer)
        self.assertLess(report["logits_moved"], 0.03)
        in_bytes = [a for a in self.algorithms("q.safetensors", "--precision", "int8") if " int8 " in a]
        self.assertEqual(len(in_bytes), len(report["layers"]))
        for size in ("100", "136"):  # whose values are padded
            self.assertEqual(len([a for a in self.algorithms("q.safetensors", "--precision", "int8", "--size", size)
                                  if " int8 " in a]), len(in_bytes), size)
        # By default in 8 bits where VNNI makes them faster, and only there.
        by_default = [a for a in self.algorithms("q.safetensors") if " int8 " in a]
        self.assertEqual(len(by_default), len(in_bytes) if "vnni" in in_bytes[0] else 0)
        self.assertFalse([a for a in self.algorithms("q.safetensors", "--precision", "fp32") if "int8" in a])
        self.assertFalse([a for a in self.algorithms("q.safetensors", "--device", "ref") if "int8" in a])
        shown = self.run_furrow("model", "show", "q.safetensors").stdout.decode()
        self.assertIn("int8          on cpu; ", shown)

    def test_layers_go_back_to_float_until_masks_agree(self):
        result = self.run_furrow("model", "convert", str(program.ROOT / "weights/furrow-mini-2.safetensors"),
                                 "low.safetensors", "--threshold", "0.003")
        self.assertEqual(result.returncode, 0, result.stderr)
        result = self.run_furrow("--json", "model", "quantize", "low.safetensors", "--data", "photos", "--size", "128",
                                 "-o", "q.safetensors", "--iou", "0.99")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertGreater(report["marked"], 100)
        self.assertGreaterEqual(report["iou"], 0.99)
        kept = [layer for layer in report["layers"] if layer["precision"] == "fp32"]
        others = [layer for layer in report["layers"] if layer["precision"] == "int8"]
        self.assertTrue(kept and others)
        in_bytes = [a for a in self.algorithms("q.safetensors", "--precision", "int8") if " int8 " in a]
        self.assertEqual(len(in_bytes), len(others))

    def test_segment_takes_the_file_and_float32_stays_what_it_was(self):
        self.quantize("--iou", "0.5")
        default = self.masks()
        self.assertEqual(self.masks("--weights", "q.safetensors", "--precision", "fp32"), default)
        self.assertEqual(self.masks("--weights", "q.safetensors", "--memory", "low", "--precision", "fp32")[0], default[0])
        in_bytes = ["--weights", "q.safetensors", "--precision", "int8"]
        quantised = self.masks(*in_bytes)
        self.assertNotEqual(quantised[1], default[1])
        self.assertIn(" int8\"", (self.folder / "out/astronaut.json").read_text())
        for threads in ("1", "3"):
            self.assertEqual(self.masks(*in_bytes, "--threads", threads), quantised)
        near = [abs(a - b) for rows in zip(*(self.pixels(m) for m in (default[1], quantised[1]))) for a, b in zip(*rows)]
        self.assertLess(max(near), 40)

    def pixels(self, png):
        (self.folder / "x.png").write_bytes(png)
        return program.read_png(self.folder / "x.png")

    def test_the_same_bytes_for_any_number_of_threads_and_a_second_time(self):
        files = []
        for threads in ("1", "2"):
            self.quantize("--threads", threads, "--force")
            files.append((self.folder / "q.safetensors").read_bytes())
        self.assertEqual(files[0], files[1])
        result = self.run_furrow("--json", "model", "quantize", "q.safetensors", "--data", "photos", "--size", "128", "-o",
                                 "again.safetensors")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b'"furrow.int8"', (self.folder / "again.safetensors").read_bytes())

    def test_a_broken_network_is_not_hidden(self):
        self.quantize()
        data = (self.folder / "q.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        at = header["down1.maxpool_conv.1.double_conv.1.running_var"]
        width = 2 if at["dtype"] == "F16" else 4
        begin = 8 + size + at["data_offsets"][0]
        minus_one = {2: b"\x00\xbc", 4: b"\x00\x00\x80\xbf"}[width]
        (self.folder / "broken.safetensors").write_bytes(data[:begin] + minus_one + data[begin + width:])
        result = self.run_furrow("segment", "photos/astronaut.png", "-o", "out", "--weights", "broken.safetensors",
                                 "--precision", "int8")
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn(b"weights of the network are not finite", result.stderr)
        result = self.run_furrow("model", "quantize", "broken.safetensors", "--data", "photos", "-o", "b.safetensors")
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn(b"output is not finite", result.stderr)

    def test_a_file_of_another_network_is_refused(self):
        self.quantize()
        data = (self.folder / "q.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8:8 + size])
        header["__metadata__"]["furrow.int8"] = "nothing 0.1 3"
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (self.folder / "other.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size:])
        result = self.run_furrow("segment", "photos/astronaut.png", "-o", "out", "--weights", "other.safetensors",
                                 "--precision", "int8")
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn(b"not this network's", result.stderr)

    def test_audits_beside_another_device(self):
        self.quantize()
        def audit(*words):
            return self.run_furrow("--json", "model", "audit", "q.safetensors", "--size", "32", "--rounds", "1", *words)
        beside = json.loads(audit("--precision", "int8", "--against", "ref").stdout)
        self.assertTrue([s for s in beside["steps"] if " int8 " in s["algorithm"]])
        self.assertTrue(beside["device"].endswith(" int8"), beside["device"])
        for words in (("--precision", "fp32", "--against", "ref"), ("--precision", "fp32", "--against", "cpu-emulated")):
            beside = json.loads(audit(*words).stdout)
            self.assertFalse([s for s in beside["steps"] if " int8 " in s["algorithm"]], words)
        self.assertEqual(audit("--precision", "int8", "--layers", "all").returncode, 2)

    def test_shards_of_two_arithmetics_are_no_evaluation(self):
        self.quantize()
        for name in ("images", "masks"):
            (self.folder / name).mkdir()
        for name in ("a.png", "b.png"):
            (self.folder / "images" / name).write_bytes(program.PHOTO.read_bytes())
            (self.folder / "masks" / name).write_bytes(program.gray(512, 512, lambda x, y: 255 * (y == 100)))
        for shard, precision in (("1/2", "fp32"), ("2/2", "int8")):
            result = self.run_furrow("evaluate", "images", "masks", "-o", "s", "--weights", "q.safetensors", "--crop", "none",
                                     "--size", "64", "--precision", precision, "--shard", shard)
            self.assertEqual(result.returncode, 0, result.stderr)
        result = self.run_furrow("evaluate", "--merge", "s", "-o", "m")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(b" int8 in the other", result.stderr)

    def test_conversion_keeps_it(self):
        self.quantize()
        self.assertEqual(self.run_furrow("model", "convert", "q.safetensors", "c.safetensors").returncode, 0)
        self.assertIn(b'"furrow.int8"', (self.folder / "c.safetensors").read_bytes())

    def test_a_data_set_is_taken_whole(self):
        (self.folder / "set" / "images").mkdir(parents=True)
        (self.folder / "set" / "images" / "a.png").write_bytes(program.PHOTO.read_bytes())
        (self.folder / "set" / "images" / "b.png").write_bytes(program.png(64, 64))
        result = self.run_furrow("--json", "model", "quantize", "default", "--data", "set", "--size", "64", "-o", "q.safetensors")
        self.assertEqual((result.returncode, json.loads(result.stdout)["photos"]), (0, 2), result.stderr)
        result = self.run_furrow("--json", "model", "quantize", "default", "--data", "set", "--size", "64", "--crop", "face",
                                 "--photos", "2", "-o", "q.safetensors", "--force")
        self.assertEqual((result.returncode, json.loads(result.stdout)["photos"]), (0, 1), result.stderr)
        self.assertIn(b"b.png: no face found, left out", result.stderr)

    def test_refusals(self):
        def refused(code, text, *words):
            result = self.run_furrow(*words)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertIn(text, result.stderr.decode())
            self.assertFalse((self.folder / "q.safetensors").exists())

        to = ["-o", "q.safetensors"]
        refused(2, "--iou is outside (0, 1]", *QUANTIZE, *to, "--iou", "1.5")
        refused(2, "--photos is outside 1..1000", *QUANTIZE, *to, "--photos", "0")
        refused(2, "a quantised model is a native file", *QUANTIZE, "-o", "q.pth")
        refused(2, "--crop", *QUANTIZE, *to, "--crop", "hair")
        (self.folder / "faceless").mkdir()
        (self.folder / "faceless" / "a.png").write_bytes(program.png(80, 80))
        refused(10, "no photo of it shows a face", "model", "quantize", "default", "--data", "faceless", *to)
        (self.folder / "broken").mkdir()
        (self.folder / "broken" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        refused(4, "broken/a.png", "model", "quantize", "default", "--data", "broken", *to)
        refused(2, "does not say how its values become bytes", "segment", "photos/astronaut.png", "-o", "o", "--precision", "int8")
        refused(2, "only device cpu computes in it", "segment", "photos/astronaut.png", "-o", "o", "--precision", "int8",
                "--device", "ref")
        self.quantize()
        result = self.run_furrow(*QUANTIZE, *to)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"exists already", result.stderr)


if __name__ == "__main__":
    unittest.main()
