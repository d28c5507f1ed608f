#!/usr/bin/env python3
"""What the program makes of a face parser's weights: shown, converted and audited as what they are, and refused where
wrinkles are asked for. The file is made here from weights/bisenet_keys.txt at a 32nd of the width.

    parser_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import unittest

from parser_weights import parser_file
from program import *  # noqa: F403: run_furrow, photo, refused and the rest


class Parser(Program):
    def setUp(self):
        super().setUp()
        self.weights = parser_file(self.folder / "parser.safetensors")

    def ok(self, *words):
        result = self.run_furrow(*words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.decode()

    def test_show_names_its_classes_and_no_threshold(self):
        text = self.ok("model", "show", self.weights)
        self.assertIn("architecture  bisenet base 2, 3 -> 19\n", text)
        self.assertIn("input         RGB photo, pillow-bilinear 512, scale 1/255, normalisation imagenet\n", text)
        self.assertIn("output        19 classes, the one of the largest logit: background, skin, l_brow,", text)
        self.assertNotIn("wrinkle", text)
        said = json.loads(self.ok("model", "show", self.weights, "--json"))["preprocessing"]
        self.assertEqual((said["classes"][1], said["classes"][10], len(said["classes"])), ("skin", "nose", 19))
        self.assertFalse({"threshold", "kept_labels", "masked_input"} & set(said))

    def test_segment_finds_its_labels_with_it(self):
        words = ("segment", PHOTO, "-o", "out", "--parser", self.weights, "--keep", "skin,nose,hair,12", "--json", "--threads", "1")
        first = json.loads(self.ok(*words))
        self.assertIn("percent_of_region", first["faces"][0])
        self.assertGreater(first["timings_ms"]["parse"], 0)
        self.assertEqual((len(first["settings"]["labels"]["parser"]), first["settings"]["keep"]), (64, [1, 10, 17, 12]))
        again = self.run_furrow(*words, "--save", "mask,json")
        self.assertEqual(again.returncode, 2, again.stderr)    # a photo named by itself, with results of the same settings
        self.ok(*words, "--force")
        self.refused(self.run_furrow("segment", PHOTO, "-o", "out2", "--labels", "auto"), 2, "--labels auto needs --parser")
        self.refused(self.run_furrow("segment", PHOTO, "-o", "out2", "--labels", "x.png", "--parser", self.weights), 2, "so does --labels")
        self.refused(self.run_furrow("segment", PHOTO, "-o", "out2", "--parser", ROOT / "weights/furrow-mini-2.safetensors"), 5, "parses no faces")
        self.refused(self.run_furrow("segment", PHOTO, "-o", "out2", "--keep", "skin,beard"), 2, "skin,beard", "--keep skin,nose")

    def test_convert_there_and_back_keeps_every_value(self):
        tensors = lambda name: json.loads(self.ok("model", "show", name, "--json"))["tensors"]
        self.ok("model", "convert", self.weights, "p.pth")
        self.ok("model", "convert", "p.pth", "p.safetensors")
        self.assertEqual(tensors("p.safetensors"), tensors(self.weights))
        self.assertEqual(len(tensors("p.pth")), 191)
        metadata = json.loads(self.ok("model", "show", "p.safetensors", "--json"))["metadata"]
        self.assertEqual((metadata["furrow.architecture"], metadata["furrow.resize"]), ("bisenet base 2, 3 -> 19", "pillow-bilinear 512"))
        self.assertNotIn("furrow.threshold", metadata)
        self.refused(self.run_furrow("model", "convert", "p.pth", "q.safetensors", "--threshold", "0.3"), 2, "a face parser has none")

    def test_a_file_that_is_not_whole_is_listed(self):
        parser_file(self.folder / "half.safetensors", leave_out=("ffm.conv1.weight", "cp.arm32.bn_atten.bias"))
        result = self.run_furrow("model", "convert", "half.safetensors", "half2.safetensors")
        self.refused(result, 5, "2 missing, 0 unexpected, 0 misshapen")

    def test_audit_follows_every_layer_and_counts_labels(self):
        report = json.loads(self.ok("model", "audit", self.weights, "--size", "64", "--rounds", "1", "--against", "ref", "--json"))
        self.assertTrue(report["beside"]["agrees"])
        self.assertNotIn("mask", report)
        self.assertEqual((report["parsed"]["pixels"], sum(report["parsed"]["labels"].values())), (64 * 64, 64 * 64))
        ops = [step["op"] for step in report["steps"]]
        self.assertEqual((ops[-1], ops.count("channel_gate+add"), ops.count("upsample_nearest")), ("conv2d+relu+head", 3, 3))
        self.assertEqual(report["steps"][-1]["outputs"][-1]["shape"], [1, 19, 8, 8])
        tape = json.loads(self.ok("model", "audit", self.weights, "--size", "64", "--rounds", "1", "--layers", "all", "--json"))
        self.assertEqual(tape["parsed"]["labels"], report["parsed"]["labels"])
        text = self.ok("model", "audit", self.weights, PHOTO, "--crop", "none", "--size", "64", "--rounds", "1")
        self.assertRegex(text.splitlines()[-1], r"^labels: \w+ \d+(, \w+ \d+)* of 4096 pixels, crc32c [0-9a-f]{8}$")
        self.refused(self.run_furrow("model", "audit", self.weights, PHOTO, "--keep", "1"), 2, "no use for them")

    def test_wrinkles_are_refused_in_one_line(self):
        for words in (("segment", "--weights", self.weights, "-o", "out", PHOTO),
                      ("model", "quantize", self.weights, "--data", ROOT / "examples", "-o", "q.safetensors")):
            self.refused(self.run_furrow(*words), 5, "a face parser (bisenet base 2, 3 -> 19)")
        self.photo("data/images/a.png")
        (self.folder / "data/masks").mkdir()
        (self.folder / "data/masks/a.png").write_bytes(gray(40, 30, lambda x, y: 255 * (x == y)))
        self.refused(self.run_furrow("evaluate", "data/images", "data/masks", "--weights", self.weights, "-o", "out"), 5, "a face parser")


if __name__ == "__main__":
    unittest.main()
