#!/usr/bin/env python3
"""`furrow prepare fetch`: hashes, Google Drive's pages, the list. Needs curl and Python's standard library.

    prepare_fetch_data_test.py PATH_TO_FURROW [unittest arguments]
"""
import hashlib
import json
import shutil
import unittest

from misbehaving_server import *  # noqa: F403: BODY, SHA, ID, FetchCase


class Hashes(FetchCase):
    def test_data_without_a_hash_are_taken_and_their_hash_recorded(self):
        result = self.get("good", sha256=None, size=None)
        self.assert_good(result)
        self.assertIn("states no hash", result.stderr)
        self.assertIn(SHA, result.stderr)
        self.assertEqual((self.folder / "d/it.bin.sha256").read_text(), f"{SHA}  it.bin\n")
        self.assertEqual(self.get("good", sha256=None, size=None).returncode, 0)
        self.assertEqual(self.server.asked["/good"], 1)
        (self.folder / "d/it.bin").write_bytes(BODY[:-1] + b"x")
        self.assertEqual(self.get("good", sha256=None, size=None).returncode, 9)
        (self.folder / "d/it.bin.sha256").write_text("no hash")
        self.assertEqual(self.get("good", sha256=None, size=None).returncode, 4)
        (self.folder / "d/it.bin.sha256").unlink()
        self.assertEqual(self.get("good", sha256=None, size=None).returncode, 2)
        self.assertEqual(self.server.asked["/good"], 1)

    def test_a_hash_that_is_demanded(self):
        self.assert_good(self.get("good", "--sha256", SHA.upper(), sha256=None, size=None))
        result = self.get("good", "--sha256", "0" * 64, sha256=None, size=None, file="other.bin")
        self.assertEqual((result.returncode, self.kept()), (9, ["it.bin"]), result.stderr)
        self.assertEqual(self.get("good", "--sha256", "0" * 64).returncode, 2)
        self.assertEqual(self.get("good", "--sha256", "12", sha256=None).returncode, 2)

    def test_weights_without_a_hash_are_refused(self):
        result = self.get("good", schema="furrow.weights/1", sha256=None)
        self.assert_refused(result, 2, "states no hash")
        self.assert_good(self.get("good", schema="furrow.weights/1"))

    def test_md5(self):
        self.assert_good(self.get("good", sha256=None, md5=hashlib.md5(BODY).hexdigest()))
        self.assertEqual(self.kept(), ["it.bin"])
        shutil.rmtree(self.folder / "d")
        self.assert_refused(self.get("good", sha256=None, md5="0" * 32), 9, "md5 " + hashlib.md5(BODY).hexdigest() + " instead of")
        self.assertEqual(self.get("good", md5="12").returncode, 3)

    def test_from_a_file_that_is_here(self):
        (self.folder / "mine").write_bytes(BODY)
        (self.folder / "other").write_bytes(BODY[:-1] + b"x")
        self.assert_refused(self.get("good", "--from", "other"), 9, "not the published it", by_hand=False)
        self.assertEqual(self.kept(), [])
        self.assert_good(self.get("good", "--from", "mine"))
        self.assertEqual(self.get("good", "--from", "mine").returncode, 2)
        self.assertEqual(self.get("good", "--from", "mine", "--force", sha256=None).returncode, 0)
        self.assertEqual((self.folder / "d/it.bin.sha256").read_text()[:64], SHA)
        self.assertEqual(self.get("good", "--from", "mine", direct=False, file="by-hand.bin").returncode, 0)
        self.assertEqual(self.server.asked, {})


class Drive(FetchCase):
    def uc(self, how=""):
        return f"uc?export=download&id={ID}" + (f"&how={how}" if how else "")

    def test_a_small_file_comes_at_once(self):
        self.assert_good(self.get(self.uc("small"), sha256=None, size=None))

    def test_the_confirmation_page_is_answered_and_the_download_goes_on(self):
        self.manifest(self.entry(self.uc(), sha256=None, size=None))
        self.assert_good(self.fetch("--tries", "2"))
        self.assertEqual([p.split("?")[0] for p in self.server.paths], ["/uc", "/download", "/download"])
        self.assertTrue(0 < self.server.ranges[0][1] <= 100_000)
        self.assertEqual(self.server.ranges[0][2], "Tue, 20 Aug 2024 10:00:00 GMT")

    def test_an_earlier_part_survives_the_page(self):
        self.assert_refused(self.get(self.uc(), sha256=None, size=None), 7, "error[io]")
        have = (self.folder / "d/it.bin.part").stat().st_size
        self.assertGreater(have, 0)
        (self.folder / "mine").write_bytes(b"mine")
        (self.folder / "d/it.bin.part.page").symlink_to("../mine")
        self.assertEqual(self.get(self.uc("quota"), sha256=None, size=None).returncode, 7)
        self.assertEqual((self.folder / "mine").read_bytes(), b"mine")
        self.assertEqual((self.folder / "d/it.bin.part").stat().st_size, have)
        self.server.ranges.clear()
        self.assert_good(self.get(self.uc(), sha256=None, size=None))
        self.assertEqual([r[:2] for r in self.server.ranges], [("uc", have), ("download", have)])

    def test_a_page_that_was_cut_is_no_beginning_of_the_file(self):
        self.manifest(self.entry(self.uc("cut")))
        self.assert_good(self.fetch("--tries", "3"))

    def test_pages_that_are_no_file(self):
        for how, words in (("quota", "quota of this file is used up"), ("login", "no OAuth"), ("elsewhere", "a web page"), ("other-id", "a web page"), ("hostile", "a web page")):
            with self.subTest(how):
                self.server.paths.clear()
                self.assert_refused(self.get(self.uc(how), sha256=None, size=None), 7, words)
                self.assertEqual(self.kept(), [])
                self.assertEqual(len(self.server.paths), 1)


class List(FetchCase):
    def test_the_list_is_the_programs_own(self):
        result = self.run_it("prepare", "fetch")
        self.assertEqual(result.returncode, 0, result.stderr)
        for words in ("manual-masks", "1vzbx847hq1hgKjMtMmxLzmzLrYb4t0QX", "licence: CC BY-NC-SA 4.0", "cite: Moon et al.", "about 6940000000 bytes", "second-masks", "by hand from https", "password",
                      "267793842 bytes", "bisenet"):
            self.assertIn(words, result.stdout)
        self.assertEqual(self.run_it("prepare", "fetch", "manual-masks", "--list").stdout, result.stdout)
        names = {f["name"] for f in json.loads(self.run_it("prepare", "fetch", "--json").stdout)["files"]}
        self.assertLessEqual({"manual-masks", "weak-masks", "parsed-labels", "second-masks", "ffhq-metadata", "ffhq", "seed-2025-02"}, names)

    def test_a_page_for_people_and_a_wrong_name(self):
        result = self.run_it("prepare", "fetch", "second-masks")
        self.assertEqual(result.returncode, 5)
        self.assertIn("https://github.com/jun01pd2015/wrinkle_dataset", result.stderr)
        self.assertIn("--from FILE", result.stderr)
        result = self.run_it("prepare", "fetch", "manual-mask")
        self.assertEqual(result.returncode, 2)
        self.assertIn("did you mean manual-masks?", result.stderr)
        self.assertEqual(self.run_it("prepare", "fetch", "manual-masks", "weak-masks", "--sha256", SHA).returncode, 2)

    def test_a_list_that_is_none(self):
        for more in ({"file": "../x"}, {"file": ".x"}, {"file": ""}, {"file": "a\0b"}, {"file": "a\nb"}, {"unpack": "../x"}, {"size": 0}, {"size": 2 ** 63}, {"origin": "https://x/ y"},
                     {"origin": "https://x\0"}, {"licence": None}):
            with self.subTest(more):
                result = self.get("good", **more)
                self.assertEqual((result.returncode, self.kept()), (3, []), result.stderr)
                self.assertIn("files[0]", result.stderr)
        self.assertEqual(self.get("good", schema="furrow.other/1").returncode, 3)
        self.assertEqual(self.server.asked, {})

    def test_help_says_that_nothing_logs_in(self):
        self.assertIn("No OAuth", self.run_it("prepare", "fetch", "--help").stdout)


if __name__ == "__main__":
    unittest.main()
