#!/usr/bin/env python3
"""`furrow prepare fetch` against a server that misbehaves: pages, statuses, redirects, cut, stalled, endless, changed and
packed bodies, ranges, full and read-only disks, links, no network. Needs curl and Python's standard library.

A full disk is a limit on the size of files (EFBIG for ENOSPC); a stall is given up after 1 s here, not 60.

    prepare_fetch_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import os
import resource
import shutil
import unittest

from misbehaving_server import *  # noqa: F403: BODY, SHA, FetchCase


class Server(FetchCase):
    def test_a_good_file_arrives_with_licence_and_citation_and_is_finished_then(self):
        result = self.get("good")
        self.assert_good(result)
        self.assertEqual(result.stdout, "d/it.bin\n")
        self.assertIn("licence CC-TEST; cite Nobody, 2024", result.stderr)
        again = self.get("good", "--json")
        self.assertEqual((again.returncode, self.server.asked), (0, {"/good": 1}))
        found = json.loads(again.stdout)
        self.assertEqual(found["files"], [{"name": "it", "file": "d/it.bin", "sha256": SHA, "checked": True, "finished_before": True,
                                           "licence": "CC-TEST", "citation": "Nobody, 2024"}])

    def test_one_redirect_and_a_body_without_length(self):
        self.assert_good(self.get("once"))
        shutil.rmtree(self.folder / "d")
        self.assert_good(self.get("unannounced"))

    def test_a_web_page_in_place_of_the_file(self):
        self.assert_refused(self.get("page"), 7, "a web page instead of the file")
        self.assertEqual(self.kept(), [])
        self.assert_refused(self.get("long-page", sha256=None, size=None), 7, "a web page instead of the file")
        self.assertEqual(self.kept(), [])

    def test_statuses(self):
        for status, words in ((404, "not there (HTTP 404)"), (410, "HTTP 410"), (403, "no login (HTTP 403)"), (401, "no login"), (429, "fewer requests (HTTP 429)"),
                              (500, "HTTP 500"), (503, "HTTP 503"), (203, "none of a file (HTTP 203)"), (300, "HTTP 300")):
            with self.subTest(status):
                self.assert_refused(self.get(f"status/{status}", sha256=None, size=None), 7, words)
                self.assertEqual(self.kept(), [])
        self.assert_refused(self.get("unasked-range"), 7, "HTTP 206")
        self.assertEqual(self.kept(), [])

    def test_what_may_pass_is_tried_again_and_what_will_not_is_not(self):
        self.manifest(self.entry("later/503"))
        self.assert_good(self.fetch("--tries", "3"))
        self.assertEqual(self.server.asked["/later/503"], 3)
        shutil.rmtree(self.folder / "d")
        self.manifest(self.entry("status/404"))
        self.assert_refused(self.fetch("--tries", "9"), 7, "HTTP 404")
        self.assertEqual(self.server.asked["/status/404"], 1)

    def test_redirects(self):
        self.assert_refused(self.get("loop"), 7, "too many redirects")
        self.assertEqual(self.server.asked["/loop"], 6)
        self.assert_refused(self.get("to-file"), 7, "not https")
        for host in ("192.0.2.1", "127.0.0.1:80@192.0.2.1", "127.0.0.1:@192.0.2.1"):
            self.assert_refused(self.get("good", origin=f"http://{host}/good"), 7, "not https")
        for address in ("file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd", "-o/x"):
            self.assertEqual(self.get("good", origin=address).returncode, 7, address)

    def test_damage_of_the_right_size_and_of_another(self):
        self.assert_refused(self.get("wrong"), 9, "removed")
        self.assertEqual(self.kept(), [])
        self.assert_refused(self.get("short"), 9, "1000 bytes instead of 300000; removed")
        self.assert_refused(self.get("long"), 7, "larger than it may be")
        self.assert_refused(self.get("unannounced-cut"), 9, "1000 bytes instead of 300000")
        self.assert_refused(self.get("empty"), 7, "an empty file")
        self.assertEqual(self.kept(), [])

    def test_bytes_behind_the_announced_length_are_not_taken(self):
        self.assert_good(self.get("longer-than-announced"))

    def test_an_endless_body_is_ended(self):
        self.assert_refused(self.get("endless"), 7, "larger than it may be")
        self.assertEqual(self.kept(), [])
        self.assert_refused(self.get("endless", "--size", "1M", size=None), 6, "limit 1000000, found")
        self.assert_refused(self.get("endless", size=None, sha256=None, about=100_000), 6, "limit 200000, found")
        self.wait_until(lambda: self.server.ended_by_the_other == 3)
        # Over before anybody looks.
        self.assert_refused(self.get("unannounced", "--size", "299999", size=None, sha256=None), 6, "limit 299999, found 300000")
        self.assert_refused(self.get("good", "--size", "299999", size=None, sha256=None), 6, "limit 299999, found 300000")
        self.assertEqual(self.kept(), [])
        self.assert_good(self.get("unannounced", "--size", "300k", size=None, sha256=None))

    def test_files_of_unknown_size_share_what_is_allowed(self):
        self.manifest(*(self.entry("unannounced", name=name, file=name, size=None, sha256=None) for name in ("one", "two")))
        words = ("prepare", "fetch", "one", "two", "--manifest", "m.json", "-o", "d", "--tries", "1", "--size")
        result = self.run_it(*words, "599k")
        self.assertEqual((result.returncode, self.kept()), (6, []), result.stderr)
        self.assertIn("2 of 2 files failed", result.stderr)
        self.assertEqual(self.run_it(*words, "600k").returncode, 0)

    def test_a_name_that_is_said_twice(self):
        self.manifest(self.entry("good"))
        result = self.fetch("it", "--tries", "1")
        self.assertEqual((result.returncode, result.stdout), (0, "d/it.bin\n"), result.stderr)
        self.assertEqual(self.server.asked, {"/good": 1})

    def test_the_old_file_is_kept_where_the_new_one_is_wrong(self):
        (self.folder / "d").mkdir()
        (self.folder / "d/it.bin").write_bytes(b"old")
        for words, status in (((), 9), (("--force",), 9)):
            self.assertEqual(self.get("wrong", *words).returncode, status)
            self.assertEqual((self.folder / "d/it.bin").read_bytes(), b"old")
        self.assert_good(self.get("good", "--force"))

    def test_a_packed_body_nobody_asked_for(self):
        self.assert_refused(self.get("gzip", size=None), 7, "packed (gzip)")

    def test_a_body_that_ends_early_goes_on_where_it_ended(self):
        self.assert_refused(self.get("ends-early"), 7, "ended early")
        self.assertEqual((self.folder / "d/it.bin.part").read_bytes(), BODY[:1000])
        self.assert_good(self.get("good"))
        self.assertEqual(self.server.ranges, [("good", 1000, None)])

    def test_resets_go_on_where_they_ended(self):
        for percent in (1, 50, 99):
            with self.subTest(percent):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                self.server.ranges.clear()
                self.manifest(self.entry(f"reset/{percent}"))
                self.assert_good(self.fetch("--tries", "2"))
                # A reset may overtake the last bytes.
                self.assertEqual(len(self.server.ranges), 1)
                self.assertTrue(0 < self.server.ranges[0][1] <= len(BODY) * percent // 100)
        shutil.rmtree(self.folder / "d")
        self.assert_refused(self.get("reset/50"), 7, "error[io]")
        self.assertEqual(self.kept(), ["it.bin.part", "it.bin.part.head"])

    def test_a_stall_is_given_up(self):
        self.assert_refused(self.get("stall", "--stall", "1"), 7, "stalled")   # 60 by itself: this would end it

    def test_no_resumption_by_the_server(self):
        for kind in ("ignores-range", "wrong-range", "garbage-range", "other-total"):
            with self.subTest(kind):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                self.part(BODY[:100_000])
                self.assert_good(self.get(kind))
                self.assertEqual(self.server.asked["/" + kind], 2)

    def test_a_part_that_is_whole_or_too_long(self):
        self.part(BODY)
        self.assert_good(self.get("good"))
        self.assertEqual(self.server.asked, {})
        os.remove(self.folder / "d/it.bin")
        self.part(BODY + b"x")
        self.assert_good(self.get("good"))
        self.assertEqual(self.server.ranges, [])
        os.remove(self.folder / "d/it.bin")
        self.part(BODY)
        self.assert_good(self.get("unsatisfiable", size=None))
        self.assertEqual(self.server.asked["/unsatisfiable"], 1)
        os.remove(self.folder / "d/it.bin")
        self.part(BODY + b"x")
        self.assert_good(self.get("unsatisfiable", size=None))

    def test_a_part_of_other_bytes_is_found_by_the_hash(self):
        self.part(b"\1" * 1000)
        self.assert_refused(self.get("good"), 9, "removed")
        self.assertEqual(self.kept(), [])

    def test_a_file_that_changed_in_between_starts_anew(self):
        for how in ("honest", "deaf"):
            with self.subTest(how):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                self.manifest(self.entry("changed/" + how, sha256=None, size=None))
                self.assert_good(self.fetch("--tries", "2"))
                self.assertEqual(self.server.ranges[-1][2], '"old"')

    def test_a_part_without_hash_and_without_its_header_is_not_gone_on_with(self):
        self.part(BODY[::-1][:1000])
        self.assert_good(self.get("good", sha256=None, size=None))
        self.assertEqual(self.server.ranges, [])

    def test_what_a_server_said_becomes_no_header_of_another_kind(self):
        self.part(BODY[:1000], head='HTTP/1.1 200 OK\r\nETag: "a\rX-Evil: 1"\r\nContent-Length: 300000\r\n\r\n')
        self.assert_good(self.get("good"))
        self.assertEqual(self.server.ranges, [("good", 1000, None)])

    def test_links_under_the_names_of_a_download_lead_nowhere(self):
        (self.folder / "mine").write_bytes(BODY[:1000])
        for name in ("part", "part.head", "part.again", "part.page", "part.lock"):
            with self.subTest(name):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                (self.folder / "d").mkdir()
                if name == "part.again":
                    self.part(BODY[:1000])
                (self.folder / f"d/it.bin.{name}").symlink_to("../mine")
                if name == "part.lock":
                    self.assert_refused(self.get("good"), 7, "cannot create", by_hand=False)
                else:
                    self.assertEqual(self.get("good").returncode, 0)
                    self.assertFalse((self.folder / "d/it.bin").is_symlink())
                    self.assertEqual((self.folder / "d/it.bin").read_bytes(), BODY)
                self.assertEqual((self.folder / "mine").read_bytes(), BODY[:1000])

    def test_a_full_disk(self):
        def small():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        self.manifest(self.entry("good"))
        # SIGXFSZ stays ignored, as Python has it: writing fails then, as on a full disk.
        self.assert_refused(self.fetch("--tries", "1", preexec_fn=small, restore_signals=False), 7, "disk full?")

    def test_more_than_the_disk_or_the_user_has_is_refused_before(self):
        for more, words, status in (({"size": 10 ** 17}, "the disk is too full", 7), ({"size": None, "sha256": None, "about": 10 ** 17}, "too full", 7)):
            result = self.get("good", **more)
            self.assert_refused(result, status, words, by_hand=False)
        self.assert_refused(self.get("good", "--size", "299k"), 6, "limit 299000, found 300000", by_hand=False)
        self.assertEqual(self.server.asked, {})
        self.assert_good(self.get("good", "--size", "300k"))
        for size in ("x", "5x", "-1", "0", "5kk", "9" * 30):
            self.assertEqual(self.get("good", "--size=" + size).returncode, 2, size)

    def test_a_folder_that_cannot_be_written(self):
        self.manifest(self.entry("good"))
        (self.folder / "d").write_text("a file")
        result = self.fetch("--tries", "1")
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertIn("cannot create the folder", result.stderr)

    def test_a_folder_that_is_read_only(self):
        self.manifest(self.entry("good"))
        (self.folder / "d").mkdir(0o555)
        self.folder.chmod(0o755)
        if os.geteuid() != 0:
            result = self.fetch("--tries", "1")
        else:   # whom nothing is read-only
            try:
                result = self.fetch("--tries", "1", user=65534, group=65534, extra_groups=())
            except PermissionError:
                self.skipTest("the program lies where only root may read")
        self.assert_refused(result, 7, "cannot create: Permission denied", by_hand=False)
        self.assertEqual(self.kept(), [])

    def test_offline_says_everything(self):
        address = f"http://127.0.0.1:{self.closed_port()}/good"
        result = self.get("good", origin=address)
        self.assert_refused(result, 7, "cannot connect")
        for words in ("fetch " + address, "300000 bytes", "sha256 " + SHA, "furrow prepare fetch it --from FILE -o d"):
            self.assertIn(words, result.stderr)
        self.assert_refused(self.get("good", origin="https://no-such-host.invalid/good"), 7, "does not resolve")

    def test_no_curl(self):
        self.manifest(self.entry("good"))
        result = self.fetch("--tries", "1", env={"PATH": str(self.folder)})
        self.assertEqual(result.returncode, 7)
        self.assertIn("install the package curl", result.stderr)

    def test_what_stands_in_curlrc_does_not_count(self):
        (self.folder / ".curlrc").write_text(f"output = stolen\nurl = {self.base}once\n")
        self.manifest(self.entry("good"))
        self.assert_good(self.fetch("--tries", "1", env=dict(os.environ, HOME=str(self.folder), CURL_HOME=str(self.folder))))
        self.assertFalse((self.folder / "stolen").exists())
        self.assertEqual(self.server.asked, {"/good": 1})


if __name__ == "__main__":
    unittest.main()
