#!/usr/bin/env python3
"""Results that lie in the folder already: skipped where this run would compute the same, replaced where the photo is the
same and the settings are not, never lost to another photo of that name.

    earlier_results_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import os
import resource
import shutil

from program import *  # noqa: F403: run_furrow, photo, refused and the rest


class EarlierResults(Program):
    def put(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def document(self, name="out/a.json"):
        return json.loads((self.folder / name).read_text())

    def ok(self, *words, status=0, **more):
        result = self.run_furrow("segment", "-o", "out", *words, **more)
        self.assertEqual(result.returncode, status, result.stderr.decode())
        return result

    QUICK = ("in", "--crop", "none", "--size", "32")

    def test_another_photo_of_the_same_name_is_computed_or_refused_but_never_taken_for_finished(self):
        self.put("in/a.png", png(40, 30)), self.put("other/a.png", png(50, 30))
        self.ok(*self.QUICK)
        before = (self.folder / "out/a.json").read_bytes()
        self.refused(self.segment("other"), 2, "out/a.json", "exists already, of another photo", "in/a.png", "--force")
        self.put("other/b.png", png(50, 30))
        self.refused(self.segment("other"), 4, "1 done, 1 failed", "of another photo", stdout_empty=False)
        self.assertEqual((self.folder / "out/a.json").read_bytes(), before)
        self.assertEqual(png_size(self.folder / "out/a.mask.png"), (40, 30))
        self.assertEqual(self.segment("other", "--force").returncode, 0)
        self.assertEqual(png_size(self.folder / "out/a.mask.png"), (50, 30))

    def test_every_setting_that_changes_results_is_one(self):
        self.put("in/a.png", png(40, 30))
        self.put("labels/a.png", gray(40, 30, lambda x, y: 1)), self.put("labels2/a.png", gray(40, 30, lambda x, y: 10))
        self.ok(*self.QUICK)
        first = (self.folder / "out/a.json").read_text()
        for words in (["--threshold", "0.1"], ["--size", "64"], ["--crop", "face"], ["--faces", "all"], ["--tile"],
                      ["--tta", "flip"], ["--background", "black"], ["--labels", "labels"], ["--labels", "labels2"],
                      ["--labels", "labels", "--keep", "3"], ["--device", "ref"], ["--device", "cpu"],
                      ["--precision", "fp32"], ["--kernels", "own"], ["--memory", "low"], ["--tune", "none.json"],
                      ["--weights", ROOT / "weights/furrow-mini.safetensors"]):
            settings = {"--crop": "none", "--size": "32"}
            taken = [w for pair in settings.items() for w in pair if pair[0] not in words]
            status = 10 if "face" in words else 0
            result = self.ok("in", *taken, *words, status=status)
            self.assertIn(b"1 result of other settings", result.stderr, words)
            again = self.ok("in", *taken, *words, status=status)
            self.assertIn(b"0 done, 1 finished before", again.stderr, words)
            self.assertNotIn(b"replaced", again.stderr, words)
            self.assertEqual((self.folder / "out/a.mask.png").exists(), status == 0)    # of what it was before, nothing
        self.ok(*self.QUICK)     # and back: the first result, but for its times
        now, then = self.document(), json.loads(first)
        now.pop("timings_ms"), then.pop("timings_ms")
        self.assertEqual(now, then)

    def test_what_changes_no_result_is_none(self):
        self.put("in/a.png", png(40, 30))
        self.ok(*self.QUICK)
        os.symlink("in", self.folder / "linked")
        threshold = str(self.document()["threshold"])
        for words in (["--threads", "2"], ["--weights", "default"], ["--threshold", threshold], ["--save", "mask"],
                      ["--prob-bits", "16"], ["--limit", "picture_side=5000"]):
            self.assertIn(b"1 finished before", self.ok(*self.QUICK, *words).stderr, words)
        for folder in ("./in", "in/../in/", str(self.folder / "in"), "linked/"):
            self.assertIn(b"1 finished before", self.ok(folder, *self.QUICK[1:]).stderr, folder)

    def test_a_changed_photo_or_label_map_is_computed_again(self):
        photo, labels = self.put("in/a.png", png(40, 30)), self.put("labels/a.png", gray(40, 30, lambda x, y: 1))
        words = (*self.QUICK, "--labels", "labels")
        self.ok(*words)
        photo.write_bytes(png(44, 30)), labels.write_bytes(gray(44, 30, lambda x, y: 1))
        self.assertIn(b"1 result of other settings, or of a photo before it changed, replaced", self.ok(*words).stderr)
        self.assertEqual(png_size(self.folder / "out/a.mask.png"), (44, 30))
        labels.write_bytes(gray(44, 30, lambda x, y: x % 2))
        self.assertIn(b"replaced", self.ok(*words).stderr)
        os.utime(photo, ns=(0, 1))       # the same bytes, another time: who knows
        self.assertIn(b"replaced", self.ok(*words).stderr)
        self.assertEqual(self.document()["input"], {"path": os.path.relpath(photo.resolve(), (self.folder / "out").resolve()), "bytes": photo.stat().st_size,
                                                    "modified": "1970-01-01T00:00:00.000000001Z"})
        before = (self.folder / "out/a.json").read_bytes()
        photo.write_bytes(b"no picture any more")
        self.refused(self.run_furrow("segment", "-o", "out", *words), 5)
        self.assertEqual((self.folder / "out/a.json").read_bytes(), before)   # what cannot be computed replaces nothing

    def test_kinds_that_are_missing_are_computed_and_the_others_kept(self):
        self.put("in/a.png", png(40, 30))
        self.ok(*self.QUICK, "--save", "mask,json")
        result = self.ok(*self.QUICK, "--save", "prob,json")
        self.assertNotIn(b"replaced", result.stderr)
        self.assertEqual(self.document()["files"], {"mask": "a.mask.png", "prob": "a.prob.png"})
        for kinds in ("mask", "prob", "mask,prob,json", "json"):
            self.assertIn(b"1 finished before", self.ok(*self.QUICK, "--save", kinds).stderr, kinds)
        deep = self.ok(*self.QUICK, "--save", "prob,json", "--prob-bits", "16")
        self.assertIn(b"1 result of other settings", deep.stderr)
        self.assertIn(b"1 finished before", self.ok(*self.QUICK, "--save", "prob,json", "--prob-bits", "16").stderr)
        (self.folder / "out/a.mask.png").unlink()
        self.ok(*self.QUICK, "--save", "mask")       # what has a JSON keeps a true one
        self.assertTrue((self.folder / "out/a.mask.png").exists())
        self.assertEqual(set(self.document()["files"]), {"mask", "prob"})
        self.assertEqual(self.document()["settings"]["prob_bits"], 16)

    def test_a_replaced_result_leaves_none_of_its_pictures(self):
        self.put("in/a.png", png(40, 30))
        self.ok(*self.QUICK)
        self.ok(*self.QUICK, "--save", "json", "--threshold", "0.1")
        self.assertEqual(sorted(os.listdir(self.folder / "out")), ["a.json"])
        self.ok(*self.QUICK, "--save", "mask,overlay", "--threshold", "0.3")      # the JSON that is there becomes a true one
        self.assertEqual((self.document()["settings"]["threshold"], set(self.document()["files"])), (0.3, {"mask", "overlay"}))
        self.ok("in/a.png", *self.QUICK[1:], "--save", "overlay", "--threshold", "0.1", "--force")
        self.assertEqual(sorted(os.listdir(self.folder / "out")), ["a.json", "a.overlay.png"])
        (self.folder / "out/a.overlay.png").unlink()
        self.ok(*self.QUICK, "--save", "json", "--threshold", "0.1", "--force")
        self.put("out/a.mask.png", b"somebody's own")
        self.refused(self.segment("in", "--threshold", "0.2"), 2, "out/a.mask.png", "exists already")
        self.assertEqual((self.folder / "out/a.mask.png").read_bytes(), b"somebody's own")

    def test_a_run_that_fails_while_it_replaces_leaves_no_json_that_is_not_true(self):
        self.put("in/a.png", png(200, 300))
        self.ok(*self.QUICK)
        limit = 2000
        self.assertGreater((self.folder / "out/a.overlay.png").stat().st_size, limit)
        cut = self.run_furrow("segment", "-o", "out", *self.QUICK, "--threshold", "0.01", restore_signals=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        self.refused(cut, 7, "overlay")
        self.assertFalse((self.folder / "out/a.json").exists())
        again = self.ok(*self.QUICK)
        self.assertIn(b"pictures without their JSON, as an interrupted run leaves them, replaced: of 1 photo", again.stderr)
        self.assertEqual(again.stdout.count(b"\n"), 1)

    def test_results_of_other_numerics_are_computed_again(self):
        self.put("in/a.png", png(40, 30))
        self.ok(*self.QUICK)
        result = self.folder / "out/a.json"
        text = result.read_text()
        self.assertIn('"settings":{"numerics":1,', text)
        for other in (text.replace('"numerics":1', '"numerics":0'), text.replace('"numerics":1,', "")):
            result.write_text(other)
            self.assertIn(b"1 result of other settings", self.ok(*self.QUICK).stderr)
            self.assertEqual(self.document()["settings"]["numerics"], 1)

    def test_a_picture_that_no_json_names_stays_where_there_is_no_face(self):
        self.put("in/a.png", png(80, 80)), self.put("in/a.mask.png", b"drawn by hand")
        for words in ((), ("--force",)):
            result = self.run_furrow("segment", "in", "-o", "in", *words)
            self.assertEqual(result.returncode, 10, result.stderr)
            self.assertIn(b"in/a.mask.png is left as it is: the photo has no face", result.stderr)
            self.assertNotIn(b"replaced", result.stderr)
            self.assertEqual((self.folder / "in/a.mask.png").read_bytes(), b"drawn by hand")
            self.assertEqual(self.document("in/a.json")["status"], "no_face")
        # What an earlier result names goes with it.
        self.put("in2/a.png", png(80, 80))
        self.ok("in2", "--crop", "none", "--size", "32")
        result = self.ok("in2", status=10)
        self.assertNotIn(b"is left", result.stderr)
        self.assertEqual(sorted(os.listdir(self.folder / "out")), ["a.json"])

    def limited(self, limit):
        return {"restore_signals": False, "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))}

    def test_a_kind_that_cannot_be_added_costs_nothing_that_was_there(self):
        self.put("in/a.png", png(300, 400))
        self.ok(*self.QUICK, "--save", "json")
        before = (self.folder / "out/a.json").read_bytes()
        for photo, kinds in (("in", "mask,overlay,json"), ("in", "mask,overlay"), ("in/a.png", "mask,overlay")):
            cut = self.run_furrow("segment", "-o", "out", photo, *self.QUICK[1:], "--save", kinds, **self.limited(2000))
            self.refused(cut, 7, "overlay")
            self.assertEqual((self.folder / "out/a.json").read_bytes(), before)
            self.assertEqual(os.listdir(self.folder / "out"), ["a.json"])
        self.assertIn(b"1 finished before", self.ok(*self.QUICK, "--save", "json").stderr)
        self.ok(*self.QUICK)
        self.assertGreater((self.folder / "out/a.overlay.png").stat().st_size, 2000)
        self.assertEqual(set(self.document()["files"]), {"mask", "overlay"})

    def test_a_picture_that_a_killed_run_had_not_named_yet_is_named_and_another_one_kept(self):
        self.put("in/a.png", png(40, 30))
        self.ok(*self.QUICK, "--save", "json")
        before = (self.folder / "out/a.json").read_bytes()
        self.ok(*self.QUICK, "--save", "prob,json")
        self.put("out/a.json", before)
        self.ok(*self.QUICK, "--save", "prob,json")
        self.assertEqual(set(self.document()["files"]), {"prob"})
        own = bytearray((self.folder / "out/a.prob.png").read_bytes())
        own[-20] ^= 1
        self.put("out/a.json", before), self.put("out/a.prob.png", own)
        self.refused(self.segment("in", "--save", "prob"), 2, "out/a.prob.png", "exists already", "--force")
        self.assertEqual((self.folder / "out/a.prob.png").read_bytes(), own)
        self.assertEqual((self.folder / "out/a.json").read_bytes(), before)
        self.ok(*self.QUICK, "--save", "prob", "--force")
        self.assertEqual(set(self.document()["files"]), {"prob"})

    def test_beside_a_json_of_another_program_nothing_is_written(self):
        self.put("in/a.png", png(40, 30)), self.put("out/a.json", b"{}")
        for words in (("in",), ("in", "--save", "mask"), ("in/a.png", "--save", "mask")):
            self.refused(self.segment(*words), 2, "out/a.json", "exists already", "--force")
            self.assertEqual(os.listdir(self.folder / "out"), ["a.json"])
        self.assertEqual(self.segment("in", "--save", "mask", "--force").returncode, 0)
        self.assertEqual((self.folder / "out/a.json").read_bytes(), b"{}")

    def test_standard_input_twice_is_refused_without_naming_a_photo(self):
        self.assertEqual(self.segment("-", stdin=png(40, 30)).returncode, 0)
        again = self.segment("-", stdin=png(40, 30))
        self.refused(again, 2, "out/stdin.json", "exists already, of standard input", "--force")
        self.assertNotIn(b"another photo", again.stderr)

    def test_the_note_on_other_files_comes_too_where_the_only_photo_fails(self):
        self.put("in/a.png", b"no picture"), self.put("in/b.heic", b"x")
        self.refused(self.segment("in"), 5, "1 file of another type (heic 1) skipped")

    def test_without_json_nothing_tells_what_is_finished(self):
        self.put("in/a.png", png(40, 30))
        self.ok(*self.QUICK, "--save", "mask")
        self.refused(self.segment("in", "--save", "mask"), 2, "out/a.mask.png", "exists already")

    def test_results_that_say_nothing_of_their_settings_are_left_alone(self):
        self.put("in/a.png", png(40, 30))
        self.ok(*self.QUICK)
        whole = self.document()
        for change in ({"settings": None}, {"input": None}, {"input": {"path": 7}}, {"settings": []}, {"input": {}}):
            text = json.dumps({key: value for key, value in (whole | change).items() if value is not None}, separators=(",", ":"))
            (self.folder / "out/a.json").write_text(text + "\n")
            self.refused(self.segment("in"), 2, "out/a.json", "exists already", "--force")
            self.assertEqual((self.folder / "out/a.json").read_text(), text + "\n")
        self.ok(*self.QUICK, "--force")

    def test_a_photo_named_by_itself_is_refused_and_says_why(self):
        self.put("a.png", png(40, 30)), self.put("other/a.png", png(40, 30))
        words = ("--crop", "none", "--size", "32")
        self.ok("a.png", *words)
        self.refused(self.segment("a.png"), 2, "exists already")
        self.refused(self.segment("a.png", "--threshold", "0.1", "--save", "mask"), 2, "out/a.json", "with other settings")
        self.refused(self.segment("other/a.png", "--save", "prob"), 2, "out/a.json", "of another photo")
        self.ok("a.png", *words, "--save", "prob")     # one more picture of the same
        self.assertEqual(set(self.document()["files"]), {"mask", "overlay", "prob"})

    def test_a_finished_photo_without_a_face_counts_as_one_and_json_prints_what_is_stored(self):
        self.put("in/a.png", png(80, 80))
        first = self.ok("in", "--json", status=10)
        again = self.ok("in", "--json", status=10)
        self.assertEqual(first.stdout, again.stdout)
        shutil.copy(PHOTO, self.folder / "in/b.png")
        mixed = self.ok("in", "--json")
        lines = [json.loads(line) for line in mixed.stdout.splitlines()]
        self.assertEqual([(d["file"], d["status"]) for d in lines], [("in/a.png", "no_face"), ("in/b.png", "ok")])
        self.assertEqual(self.ok("in", "--json").stdout, mixed.stdout)
        self.assertIn(b"0 done, 2 finished before, 1 without a face", self.ok("in").stderr)


if __name__ == "__main__":
    unittest.main()
