#!/usr/bin/env python3
"""`furrow model get` and `verify` against a local server that misbehaves. Needs curl and Python's standard library.

    fetch_test.py PATH_TO_FURROW [unittest arguments]
"""
import hashlib
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

FURROW = sys.argv.pop(1)
BODY = bytes(i * 37 % 251 for i in range(300_000))


class Handler(http.server.BaseHTTPRequestHandler):
    """The path says how to behave."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        kind = self.path.strip("/")
        body, status, headers = BODY, 200, {}
        offset = 0
        if "Range" in self.headers:
            offset = int(self.headers["Range"].split("=")[1].split("-")[0])
        if kind == "missing":
            status, body = 404, b"gone"
        elif kind == "page":
            body = b"<!DOCTYPE html><html>quota exceeded</html>"
        elif kind == "wrong":
            body = BODY[:-1] + b"\0"
        elif kind == "long":
            body = BODY + b"more"
        elif kind == "loop":
            status, headers, body = 302, {"Location": "/loop"}, b""
        elif kind == "to-file":
            status, headers, body = 302, {"Location": "file:///etc/passwd"}, b""
        elif kind == "good" and offset:
            status, headers, body = 206, {"Content-Range": f"bytes {offset}-{len(BODY) - 1}/{len(BODY)}"}, BODY[offset:]
            self.server.resumed = True
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if kind != "short" else len(BODY)))
        self.end_headers()
        self.wfile.write(body[:1000] if kind == "short" else body)


@unittest.skipIf(shutil.which("curl") is None, "curl is not installed")
class Fetch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        cls.server.resumed = False
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name)

    def entry(self, kind, **more):
        base = f"http://127.0.0.1:{self.server.server_address[1]}/"
        return {"name": kind, "direct": True, "file": "w.bin", "what": "test", "origin": base + kind, "size": len(BODY),
                "sha256": hashlib.sha256(BODY).hexdigest(), "licence": "none", "citation": "none", **more}

    def get(self, kind, *words, **more):
        (self.folder / "m.json").write_text(json.dumps({"schema": "furrow.weights/1", "files": [self.entry(kind, **more)]}))
        return subprocess.run([FURROW, "-q", "model", "get", kind, "--manifest", "m.json", "-o", "w", *words], cwd=self.folder,
                              capture_output=True, timeout=60)

    def assert_nothing_kept(self):
        self.assertEqual([p.name for p in (self.folder / "w").iterdir() if p.name not in ("w.bin.part", "w.bin.part.head")], [])

    def test_good_file_arrives_checked(self):
        result = self.get("good")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.folder / "w/w.bin").read_bytes(), BODY)
        self.assertEqual([p.name for p in (self.folder / "w").iterdir()], ["w.bin"])
        verify = subprocess.run([FURROW, "model", "verify", "good", "w/w.bin", "--manifest", "m.json"], cwd=self.folder, capture_output=True)
        self.assertEqual(verify.returncode, 0, verify.stderr)
        self.assertIn(b"is the published file", verify.stdout)

    def test_resumes_a_part_file(self):
        (self.folder / "w").mkdir()
        (self.folder / "w/w.bin.part").write_bytes(BODY[:100_000])
        result = self.get("good")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(self.server.resumed)
        self.assertEqual((self.folder / "w/w.bin").read_bytes(), BODY)

    def test_wrong_bytes_are_removed_and_the_old_file_kept(self):
        for kind, status in (("wrong", 9), ("page", 7), ("long", 7), ("short", 7), ("missing", 7), ("loop", 7), ("to-file", 7)):
            with self.subTest(kind):
                shutil.rmtree(self.folder / "w", ignore_errors=True)
                result = self.get(kind)
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(b"--from FILE", result.stderr)
                self.assert_nothing_kept()
        (self.folder / "w/w.bin").write_bytes(b"old")
        self.assertEqual(self.get("wrong").returncode, 9)
        self.assertEqual((self.folder / "w/w.bin").read_bytes(), b"old")

    def test_offline_says_where_to_put_the_file(self):
        result = self.get("good", origin="http://127.0.0.1:9/good")
        self.assertEqual(result.returncode, 7)
        self.assertIn(b"cannot connect", result.stderr)

    def test_plain_http_elsewhere_is_refused(self):
        result = self.get("good", origin="http://192.0.2.1/good")
        self.assertEqual(result.returncode, 7, result.stderr)

    def test_no_hash_no_download_unless_one_is_given(self):
        self.assertEqual(self.get("good", sha256=None).returncode, 2)
        self.assertEqual(self.get("good", "--sha256", hashlib.sha256(BODY).hexdigest(), sha256=None).returncode, 0)

    def test_a_demanded_hash_is_whole_and_agrees_with_the_manifest(self):
        whole = hashlib.sha256(BODY).hexdigest()
        (self.folder / "mine").write_bytes(BODY)
        self.assertEqual(self.get("good", "--from", "mine", "--sha256", whole.upper(), sha256=None).returncode, 0)
        for wrong in (whole[:1], whole[:63] + "x", whole + "0"):
            self.assertEqual(self.get("good", "--from", "mine", "--sha256", wrong, sha256=None).returncode, 2, wrong)
        self.assertEqual(self.get("good", "--from", "mine", "--sha256", "0" * 64).returncode, 2)

    def test_from_a_local_file(self):
        (self.folder / "mine").write_bytes(BODY)
        self.assertEqual(self.get("good", "--from", "mine").returncode, 0)
        (self.folder / "mine").write_bytes(BODY[:-1] + b"x")
        self.assertEqual(self.get("good", "--from", "mine").returncode, 9)

    def test_a_local_file_without_a_known_hash_is_not_taken_for_the_published_one(self):
        (self.folder / "mine").write_bytes(BODY)
        result = self.get("good", "--from", "mine", sha256=None, size=None)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(f"add --sha256 {hashlib.sha256(BODY).hexdigest()}".encode(), result.stderr)
        self.assertFalse((self.folder / "w").exists())


if __name__ == "__main__":
    unittest.main()
