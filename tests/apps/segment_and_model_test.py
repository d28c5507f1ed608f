#!/usr/bin/env python3
"""The program as a user runs it: files in, files and numbers out. Needs Python's standard library only.

    segment_and_model_test.py PATH_TO_FURROW [unittest arguments]
"""
import json

from program import *  # noqa: F403: run_furrow, photo, refused and the rest


class SegmentAndModel(Program):
    def test_photo_to_mask_overlay_json_and_one_sentence(self):
        result = self.run_furrow("segment", PHOTO, "-o", "out", "--save", "mask,prob,overlay,json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(result.stdout.decode().splitlines()), 1)
        self.assertIn("wrinkle", result.stdout.decode())
        for name in ("mask", "prob", "overlay"):
            self.assertEqual(png_size(self.folder / f"out/astronaut.{name}.png"), (512, 512))
        data = json.loads((self.folder / "out/astronaut.json").read_text())
        self.assertEqual(data["schema"], "furrow.segment/1")
        self.assertEqual((data["status"], data["width"], data["height"], len(data["faces"])), ("ok", 512, 512, 1))
        self.assertIn("CC BY-NC-SA", data["model"]["licence"])
        face = data["faces"][0]
        self.assertGreater(face["percent_of_crop"], face["percent_of_frame"])
        self.assertGreater(face["wrinkles"]["count"], 0)
        # The crop of 136 pixels is 0.27 of what the network looks at.
        self.assertEqual((face["status"], face["quality"]["scale"]), ("too_small", 0.265625))
        self.assertTrue(result.stdout.decode().rstrip().endswith("; the face is too small: wrinkles will be missed"))
        self.assertEqual(sorted(p.name for p in (self.folder / "out").iterdir()),
                         ["astronaut.json", "astronaut.mask.png", "astronaut.overlay.png", "astronaut.prob.png"])

    def test_texture_maps_have_regions_without_labels(self):
        result = self.run_furrow("segment", PHOTO, "--crop", "ffhq-uv", "--size", "64", "-o", "out", "--save", "json")
        self.assertEqual(result.returncode, 0, result.stderr)
        data = json.loads((self.folder / "out/astronaut.json").read_text())
        face = data["faces"][0]
        self.assertEqual((data["settings"]["crop"], len(face["regions"]), face["regions"][0]["name"]), ("ffhq-uv", 11, "forehead"))
        self.assertNotIn("box", face)
        for region in face["regions"]:
            self.assertAlmostEqual(region["length_per_map_width"], region["length_px"] / 512, places=5)
            self.assertGreater(region["pixels"], 0)
        (self.folder / "wide.png").write_bytes(png(64, 48))
        self.refused(self.run_furrow("segment", "wide.png", "--crop", "ffhq-uv", "-o", "out"), 4, "wide.png", "is square; this picture is 64x48")

    def test_json_on_standard_output_is_one_line_per_photo(self):
        self.photo("a.png"), self.photo("b.png")
        result = self.run_furrow("--json", "segment", "--crop", "none", "--size", "32", "-o", "out", "a.png", "b.png")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([json.loads(line)["file"] for line in result.stdout.splitlines()], ["a.png", "b.png"])

    def test_standard_input(self):
        result = self.segment("-", stdin=png(33, 44))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(png_size(self.folder / "out/stdin.mask.png"), (33, 44))

    def test_folder_is_walked_and_a_second_run_skips_what_is_finished(self):
        self.photo("in/a.png"), self.photo("in/sub/b.png")
        self.assertEqual(self.segment("in").returncode, 0)
        self.assertTrue((self.folder / "out/sub/b.mask.png").exists())
        before = (self.folder / "out/a.json").stat().st_mtime_ns
        again = self.segment("in")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn(b"2 finished before", again.stderr)
        self.assertEqual((self.folder / "out/a.json").stat().st_mtime_ns, before)

    def test_a_second_run_finishes_what_a_killed_one_left(self):
        self.photo("in/a.png"), self.photo("in/b.png")
        self.assertEqual(self.segment("in").returncode, 0)
        (self.folder / "out/a.json").unlink()  # pictures are written first
        again = self.segment("in")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn(b"1 done, 1 finished before", again.stderr)
        self.assertTrue((self.folder / "out/a.json").exists())
        (self.folder / "out/a.json").unlink(), (self.folder / "out/a.mask.png").unlink()
        (self.folder / "precious").write_text("keep me")
        (self.folder / "out/a.mask.png").symlink_to("../precious")
        self.refused(self.segment("in"), 4, "exists already", stdout_empty=False)
        self.assertEqual((self.folder / "precious").read_text(), "keep me")

    def test_json_alone_proves_nothing_about_other_files(self):
        self.photo("in/a.png")
        self.assertEqual(self.segment("in", "--save", "json").returncode, 0)
        self.assertEqual(self.segment("in").returncode, 0)
        self.assertEqual(png_size(self.folder / "out/a.mask.png"), (40, 30))
        (self.folder / "out/a.json").write_text("{}\n")  # somebody else's
        self.refused(self.segment("in", "--save", "json"), 2, "exists already")
        self.assertEqual((self.folder / "out/a.json").read_text(), "{}\n")

    def test_a_folder_without_faces_is_finished_too(self):
        self.photo("in/a.png", 80, 80)
        self.assertEqual(self.run_furrow("segment", "in", "-o", "out").returncode, 10)
        again = self.run_furrow("segment", "in", "-o", "out")
        self.assertEqual((again.returncode, again.stdout), (10, b""), again.stderr)
        self.assertIn(b"1 finished before, 1 without a face", again.stderr)

    def test_results_of_another_run_are_no_photos(self):
        self.photo("x.png"), self.photo("y.mask.png")
        self.assertEqual(self.segment(".", "--save", "mask,prob,overlay,json").returncode, 0)
        result = self.run_furrow("segment", "--crop", "none", "--size", "32", "-o", "out2", ".")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(str(p.relative_to(self.folder / "out2")) for p in (self.folder / "out2").rglob("*.json")), ["x.json", "y.mask.json"])

    def test_equal_bytes_for_any_number_of_threads(self):
        outputs = []
        for threads in ("1", "2", "3"):
            result = self.run_furrow("segment", PHOTO, "-o", f"out{threads}", "--save", "mask,prob", "--threads", threads)
            self.assertEqual(result.returncode, 0, result.stderr)
            outputs.append([(self.folder / f"out{threads}/astronaut.{n}.png").read_bytes() for n in ("mask", "prob")])
        self.assertEqual(outputs[0], outputs[1])
        self.assertEqual(outputs[0], outputs[2])

    def test_no_face_is_a_status_with_its_own_exit_code(self):
        self.photo("a.png", 80, 80)
        result = self.run_furrow("segment", "a.png", "-o", "out")
        self.assertEqual(result.returncode, 10, result.stderr)
        self.assertEqual(result.stdout, b"a.png: no face found\n")
        self.assertEqual(json.loads((self.folder / "out/a.json").read_text())["status"], "no_face")
        self.assertEqual([p.name for p in (self.folder / "out").iterdir()], ["a.json"])

    def test_no_face_prints_its_result_and_an_error_as_json(self):
        self.photo("in/a.png", 80, 80), self.photo("in/b.png", 80, 80)
        for photos, reason in ((("in/a.png",), "no face found"), (("in/a.png", "in/b.png"), "no face found in any input")):
            result = self.run_furrow("segment", *photos, "-o", "out", "--force", "--json")
            self.assertEqual(result.returncode, 10, result.stderr)
            *photo_lines, error = [json.loads(line) for line in result.stdout.splitlines()]
            self.assertEqual([d["status"] for d in photo_lines], ["no_face"] * len(photos))
            self.assertEqual((error["error"]["code"], error["error"]["exit"], error["error"]["reason"]), ("no_face", 10, reason))

    def test_a_region_without_pixels_has_no_percentage(self):
        self.photo("a.png"), (self.folder / "labels.png").write_bytes(gray(40, 30, lambda x, y: 1))
        for keep, null in (("99", True), ("1", False)):
            result = self.segment("a.png", "--labels", "labels.png", "--keep", keep, "--force")
            self.assertEqual((result.returncode, b"no pixel with a kept label" in result.stdout), (0, null), result.stdout)
            face = json.loads((self.folder / "out/a.json").read_text())["faces"][0]
            self.assertEqual(face["percent_of_region"] is None, null)

    def test_only_photos_that_were_computed_make_a_rate(self):
        self.photo("in/a.png")
        for n in range(3):
            self.photo(f"in/bad{n}.png").write_bytes(b"no picture")
        first = self.segment("in")
        self.assertIn(b"furrow: 4/4 photos, ", first.stderr)
        self.assertIn(b" per second, 3 failed", first.stderr)
        again = self.segment("in")
        self.assertIn(b"furrow: 4/4 photos, 3 failed\n", again.stderr)
        self.assertNotIn(b"per second", again.stderr)

    def test_preview_and_help_and_version(self):
        result = self.run_furrow("segment", PHOTO, "-o", "out", "--preview")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(len(result.stdout.splitlines()), 20)
        for words in (["--help"], ["segment", "--help"], ["model", "--help"], ["model", "show", "--help"], ["--version"]):
            shown = self.run_furrow(*words)
            self.assertEqual((shown.returncode, shown.stderr), (0, b""), words)
            self.assertGreater(len(shown.stdout), 40)

    def test_model_show_lists_every_tensor_with_its_hash(self):
        result = self.run_furrow("model", "show", "default", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        data = json.loads(result.stdout)
        self.assertEqual(len(data["tensors"]), 118)
        self.assertEqual(data["tensors"][0]["name"], "inc.double_conv.0.weight")
        self.assertEqual(data["tensors"][0]["shape"], [16, 3, 3, 3])
        self.assertTrue(all(len(t["sha256_f32"]) == 64 for t in data["tensors"]))
        self.assertEqual(data["architecture"], "unet base 16, 3 -> 1, transposed")

    def test_model_verify_proves_or_says_that_it_cannot(self):
        native = ROOT / "weights" / "furrow-mini.safetensors"
        self.refused(self.run_furrow("model", "verify", "bisenet", native), 9, "not the published bisenet")
        self.refused(self.run_furrow("model", "verify", "seed-2025-02", native), 5, "states no hash")

    def test_model_convert_there_and_back_keeps_every_value(self):
        native = ROOT / "weights" / "furrow-mini.safetensors"
        self.assertEqual(self.run_furrow("model", "convert", native, "m.pth").returncode, 0)
        self.assertEqual(self.run_furrow("model", "convert", "m.pth", "m.safetensors", "--threshold", "0.25", "--licence", "mine").returncode, 0)
        first = json.loads(self.run_furrow("model", "show", native, "--json").stdout)
        last = json.loads(self.run_furrow("model", "show", "m.safetensors", "--json").stdout)
        self.assertEqual([(t["name"], t["sha256_f32"]) for t in first["tensors"]], [(t["name"], t["sha256_f32"]) for t in last["tensors"]])
        self.assertEqual((last["licence"], last["preprocessing"]["threshold"]), ("mine", 0.25))
        self.assertEqual(self.run_furrow("model", "convert", "m.pth", "nested.pth", "--nest", "model_state_dict").returncode, 0)
        nested = json.loads(self.run_furrow("model", "show", "nested.pth", "--json").stdout)
        self.assertEqual((nested["nested_under"], len(nested["tensors"])), ("model_state_dict", 118))
        self.assertEqual(self.run_furrow("model", "convert", "m.pth", "wide.safetensors", "--dtype", "f32").returncode, 0)
        wide = json.loads(self.run_furrow("model", "show", "wide.safetensors", "--json").stdout)
        self.assertEqual({t["dtype"] for t in wide["tensors"]}, {"F32", "I64"})
        self.assertEqual(self.run_furrow("model", "convert", "wide.safetensors", "narrow.safetensors", "--dtype", "f16").returncode, 0)
        narrow = json.loads(self.run_furrow("model", "show", "narrow.safetensors", "--json").stdout)
        self.assertEqual([t["sha256_f32"] for t in first["tensors"]], [t["sha256_f32"] for t in narrow["tensors"]])
        self.refused(self.run_furrow("model", "convert", native, "m.pth"), 2, "exists already")
        self.refused(self.run_furrow("model", "convert", native, "m.onnx"), 2, "m.onnx")
        self.refused(self.run_furrow("model", "convert", native, "x.safetensors", "--threshold", "7"), 2, "threshold")
        self.assertFalse((self.folder / "x.safetensors").exists())

    def test_model_convert_as_a_kind_of_checkpoint(self):
        native = ROOT / "weights" / "furrow-mini.safetensors"     # transposed, 3 -> 1
        self.assertEqual(self.run_furrow("model", "convert", native, "m.pth").returncode, 0)
        shown = lambda name: json.loads(self.run_furrow("model", "show", name, "--json").stdout)["preprocessing"]
        self.assertEqual(self.run_furrow("model", "convert", "m.pth", "a.safetensors", "--as", "seed-2025-02").returncode, 0)
        a = shown("a.safetensors")
        self.assertEqual((a["normalisation"], a["resize"], a["size"], a["output"], a["masked_input"]), ("imagenet", "pillow-lanczos", 512, "sigmoid", True))
        result = self.run_furrow("model", "convert", "m.pth", "b.safetensors", "--as", "seed-2025-02", "--output", "logits")
        self.assertEqual(result.returncode, 0, result.stderr)
        b = shown("b.safetensors")
        self.assertEqual((b["normalisation"], b["output"], b["masked_input"]), ("imagenet", "logits", True))    # --output overrules
        self.refused(self.run_furrow("model", "convert", "m.pth", "c.safetensors", "--as", "seed-2025-04"), 2, "that is a resnet50-unet")
        self.refused(self.run_furrow("model", "convert", "m.pth", "c.safetensors", "--as", "p1"), 2, "it takes seed-2025-02")
        self.refused(self.run_furrow("model", "convert", "m.pth", "c.pth", "--as", "labhai", "--force"), 2, "no place for metadata")
        first_stage = ROOT / "tests/data/unet/SYNTHETIC_unet_milesial_layout_base8_bilinear_in3_out1_zip.pth"
        for kind, what in (("seed-2025-02", "transposed unet 3 -> 1"), ("labhai", "bilinear unet 4 -> 2")):
            self.refused(self.run_furrow("model", "convert", first_stage, "c.safetensors", "--as", kind), 2, "that is a " + what)
        self.assertFalse((self.folder / "c.safetensors").exists())

    def test_model_convert_as_a_kind_leaves_nothing_of_what_a_native_file_said_of_its_preprocessing(self):
        def metadata(path, **changed):
            data = path.read_bytes()
            size = int.from_bytes(data[:8], "little")
            header = json.loads(data[8:8 + size])
            if changed:
                header["__metadata__"] |= {"furrow." + key: value for key, value in changed.items()}
                text = json.dumps(header).encode()
                text += b" " * (-len(text) % 8)
                (self.folder / "said.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size:])
            return header["__metadata__"]
        said = {"scale": "1", "normalisation": "none", "resize": "pillow-nearest 64", "kept_labels": "3", "input": "photo",
                "output": "logits", "threshold": "0.25", "name": "mine", "licence": "MIT", "citation": "me"}
        metadata(ROOT / "weights" / "furrow-mini.safetensors", **said)
        result = self.run_furrow("model", "convert", "said.safetensors", "out.safetensors", "--as", "seed-2025-02")
        self.assertEqual(result.returncode, 0, result.stderr)
        wanted = said | {"scale": "1/255", "normalisation": "imagenet", "resize": "pillow-lanczos 512", "kept_labels": "1,14,15",
                         "input": "masked", "output": "sigmoid", "threshold": "0.5"}
        now = metadata(self.folder / "out.safetensors")
        self.assertEqual({key: now["furrow." + key] for key in wanted}, wanted)

    def test_model_convert_of_a_network_with_four_inputs(self):
        source = ROOT / "tests/data/unet/SYNTHETIC_unet_milesial_layout_base8_transpose_in4_out2_zip.pth"
        self.assertEqual(self.run_furrow("model", "convert", source, "four.safetensors").returncode, 0)
        shown = json.loads(self.run_furrow("model", "show", "four.safetensors", "--json").stdout)
        self.assertEqual(shown["architecture"], "unet base 8, 4 -> 2, transposed")
        self.photo()
        result = self.segment("a.png", "--weights", "four.safetensors")     # photo and texture map: texture_channel_test.py
        self.assertEqual((result.returncode, result.stderr.decode().count("do not say how their texture maps were made")), (0, 1), result.stderr)
        told = self.run_furrow("model", "convert", source, "told.safetensors", "--texture", "authors 5 masked")
        self.assertEqual(told.returncode, 0, told.stderr)
        result = self.segment("a.png", "--weights", "told.safetensors", "--force")
        self.assertEqual((result.returncode, result.stderr.decode().count("0 outside skin and nose, and no labels were given")), (0, 1), result.stderr)
        self.assertIn("texture map   authors 5 masked", self.run_furrow("model", "show", "told.safetensors").stdout.decode())


if __name__ == "__main__":
    unittest.main()
