#!/usr/bin/env python3
"""`furrow prepare fetch` against a local server that misbehaves in every way of the plan: pages, statuses, redirects, cut,
stalled, endless and changed bodies, answers to ranges, Google Drive's pages. Needs curl and Python's standard library.

    prepare_fetch_test.py PATH_TO_FURROW [unittest arguments]
"""
import gzip
import hashlib
import http.server
import io
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile

FURROW = sys.argv.pop(1)
BODY = bytes(i * 37 % 251 for i in range(300_000))
SHA = hashlib.sha256(BODY).hexdigest()
ID = "1vzbx847hq1hgKjMtMmxLz-_4t0QX"
PAGE = b"<!DOCTYPE html><html><head><title>%s</title></head><body>%s</body></html>"
FORM = (b'<form id="download-form" action="http://%s/download" method="get"><input type="submit" id="uc-download-link" '
        b'value="Download anyway"/><input type="hidden" name="id" value="%s"><input type="hidden" name="export" '
        b'value="download"><input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" '
        b'value="05f44d46-0e7b"></form>')


def photo(number: int) -> bytes:
    """Lengths around the blocks of MD5."""
    return bytes((i + number) % 256 for i in range((0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000)[number % 12] + 1))


class Handler(http.server.BaseHTTPRequestHandler):
    """The path's first part says how to behave; the server counts the requests of each path."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        if length != "none":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass
        if length is not None:
            self.close_connection = True

    def cut(self, body, sent, **headers):
        """Announces all of it, sends the beginning, and ends with a reset."""
        self.answer(200, body[:sent], length=len(body), **headers)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def rest(self, body, offset, total=None, start=None, **headers):
        start = offset if start is None else start
        self.answer(206, body[offset:], Content_Range=f"bytes {start}-{len(body) - 1}/{total or len(body)}", **headers)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        kind, *more = path.strip("/").split("/")
        with self.server.lock:
            self.server.asked[self.path] = asked = self.server.asked.get(self.path, 0) + 1
            self.server.paths.append(self.path)
        ranged = self.headers.get("Range")
        offset = int(ranged.split("=")[1].split("-")[0]) if ranged else 0
        if ranged:
            self.server.ranges.append((kind, offset, self.headers.get("If-Range")))
        getattr(self, "do_" + kind.replace("-", "_"))(query, more, asked, offset)

    def do_good(self, query, more, asked, offset):
        self.rest(BODY, offset) if offset else self.answer(200, BODY)

    def do_page(self, *_):
        self.answer(200, PAGE % (b"Hello", b"nothing"), Content_Type="application/octet-stream")

    def do_status(self, query, more, asked, offset):
        self.answer(int(more[0]), b"no")

    def do_later(self, query, more, asked, offset):
        self.answer(int(more[0]), b"no") if asked < 3 else self.answer(200, BODY)

    def do_loop(self, *_):
        self.answer(302, Location="/loop")

    def do_once(self, *_):
        self.answer(302, Location="/good")

    def do_to_file(self, *_):
        self.answer(302, Location="file:///etc/passwd")

    def do_to_http(self, *_):
        self.answer(302, Location=f"http://127.0.0.1:{self.server.server_address[1]}/good")

    def do_wrong(self, *_):
        self.answer(200, BODY[:-1] + b"\0")

    def do_short(self, *_):
        self.answer(200, BODY[:1000])

    def do_long(self, *_):
        self.answer(200, BODY + b"more")

    def do_longer_than_announced(self, *_):
        self.answer(200, BODY + b"more" * 100_000, length=len(BODY))

    def do_unannounced(self, *_):
        self.answer(200, BODY, length="none")

    def do_unannounced_cut(self, *_):
        self.answer(200, BODY[:1000], length="none")

    def do_endless(self, *_):
        self.answer(200, b"", length="none")
        try:
            for _ in range(2000):
                self.wfile.write(b"\1" * 100_000)
        except OSError:
            pass

    def do_empty(self, *_):
        self.answer(200)

    def do_gzip(self, *_):
        self.answer(200, gzip.compress(BODY), Content_Encoding="gzip")

    def do_reset(self, query, more, asked, offset):
        if offset:
            self.rest(BODY, offset, ETag='"one"')
        else:
            self.cut(BODY, len(BODY) * int(more[0]) // 100, ETag='"one"')

    def do_stall(self, *_):
        self.answer(200, BODY[:100], length=len(BODY))
        self.close_connection = False
        self.server.stop.wait(20)

    def do_drip(self, query, more, asked, offset):
        """Slowly, for kill -9: 50 kB, then 1 kB ten times a second. From a range on: at once."""
        if offset:
            self.rest(BODY, offset)
            return
        self.answer(200, BODY[:50_000], length=len(BODY))
        try:
            for at in range(50_000, len(BODY), 1000):
                if self.server.stop.wait(0.1):
                    return
                self.wfile.write(BODY[at:at + 1000])
        except OSError:
            pass

    def do_ignores_range(self, *_):
        self.answer(200, BODY)

    def do_wrong_range(self, query, more, asked, offset):
        self.rest(BODY, offset, start=offset + 7) if offset else self.answer(200, BODY)

    def do_garbage_range(self, query, more, asked, offset):
        self.answer(206, BODY[offset:], Content_Range="bytes you-wish") if offset else self.answer(200, BODY)

    def do_other_total(self, query, more, asked, offset):
        self.rest(BODY, offset, total=len(BODY) + 5) if offset else self.answer(200, BODY)

    def do_unsatisfiable(self, query, more, asked, offset):
        self.answer(416, b"", Content_Range=f"bytes */{len(BODY)}") if offset else self.answer(200, BODY)

    def do_changed(self, query, more, asked, offset):
        """First an old file, cut; then a new one of the same length, honest about it (ETag) or not (deaf)."""
        if asked == 1:
            self.cut(BODY[::-1], 100_000, ETag='"old"')
        elif offset and (more[0] == "deaf" or self.headers.get("If-Range") == '"new"'):
            self.rest(BODY, offset, ETag='"new"')
        else:
            self.answer(200, BODY, ETag='"new"')

    def do_zip(self, query, more, asked, offset):
        body = self.server.zips[more[0]]
        if query == "cut":
            self.answer(200, body[:-30], length="none")
        else:
            self.answer(200, body)

    # Google Drive
    def do_uc(self, query, more, asked, offset):
        how = re.search(r"how=([a-z-]+)", query)
        how = how.group(1) if how else "confirm"
        host = self.headers["Host"].encode()
        form = FORM % (host, ID.encode())
        body = {"confirm": PAGE % (b"Google Drive - Virus scan warning", form),
                "elsewhere": PAGE % (b"Virus scan warning", form.replace(host, b"127.0.0.1:9")),
                "other-id": PAGE % (b"Virus scan warning", form.replace(ID.encode(), b"another")),
                "hostile": PAGE % (b"Virus scan warning", form.replace(b'"05f44d46-0e7b"', b'"&amp; x=/../%0a"')),
                "quota": PAGE % (b"Google Drive - Quota exceeded", b"Too many users have viewed or downloaded this file"),
                "login": PAGE % (b"Sign in", b"You need access"),
                "small": BODY}[how]
        self.answer(200, body, Content_Type="application/octet-stream" if how == "small" else "text/html; charset=utf-8")

    def do_download(self, query, more, asked, offset):
        if query != f"id={ID}&export=download&confirm=t&uuid=05f44d46-0e7b":
            self.answer(400, query.encode())
        elif offset:
            self.rest(BODY, offset, Last_Modified="Tue, 20 Aug 2024 10:00:00 GMT")
        elif asked == 1:
            self.cut(BODY, 100_000, Last_Modified="Tue, 20 Aug 2024 10:00:00 GMT")
        else:
            self.answer(200, BODY)

    def do_photo(self, query, more, asked, offset):
        body = photo(int(more[0]))
        self.answer(200, body if "bad" not in query else body + b"x")


@unittest.skipIf(shutil.which("curl") is None, "curl is not installed, and nothing else downloads")
class Fetch(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.lock, self.server.stop = True, threading.Lock(), threading.Event()
        self.server.handle_error = lambda *_: None
        self.server.asked, self.server.paths, self.server.ranges, self.server.zips = {}, [], [], {}
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}/"
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.stop.set)

    def entry(self, kind, **more):
        return {"name": "it", "direct": True, "file": "it.bin", "what": "a test", "origin": self.base + kind, "size": len(BODY), "sha256": SHA,
                "licence": "CC-TEST", "citation": "Nobody, 2024", **more}

    def manifest(self, *entries, schema="furrow.data/1"):
        (self.folder / "m.json").write_text(json.dumps({"schema": schema, "files": list(entries)}))

    def run_it(self, *words, **how):
        return subprocess.run([FURROW, *words], cwd=self.folder, capture_output=True, timeout=60, text=True, **how)

    def fetch(self, *words, **how):
        return self.run_it("prepare", "fetch", "it", "--manifest", "m.json", "-o", "d", *words, **how)

    def get(self, kind, *words, schema="furrow.data/1", **more):
        self.manifest(self.entry(kind, **more), schema=schema)
        return self.fetch("--tries", "1", *words)

    def kept(self):
        return sorted(p.name for p in (self.folder / "d").rglob("*") if p.is_file()) if (self.folder / "d").exists() else []

    def assert_good(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.folder / "d/it.bin").read_bytes(), BODY)
        self.assertEqual([n for n in self.kept() if not n.endswith(".sha256")], ["it.bin"])

    def assert_refused(self, result, status, words, by_hand=True):
        """One line, that says what happened and how to do it by hand; nothing under the final name."""
        errors = [line for line in result.stderr.splitlines() if line.startswith("error[")]
        self.assertEqual((result.returncode, len(errors)), (status, 1), result.stderr)
        self.assertIn(words, errors[0])
        if by_hand:
            self.assertIn("--from FILE", errors[0])
        self.assertLessEqual(len(errors[0]), 500)
        self.assertEqual(result.stdout, "")
        self.assertNotIn("it.bin", self.kept())

    def part(self, data, head=None):
        (self.folder / "d").mkdir(exist_ok=True)
        (self.folder / "d/it.bin.part").write_bytes(data)
        if head is not None:
            (self.folder / "d/it.bin.part.head").write_text(head)


class Server(Fetch):
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

    def test_statuses(self):
        for status, words in ((404, "not there (HTTP 404)"), (410, "HTTP 410"), (403, "no login (HTTP 403)"), (401, "no login"), (429, "fewer requests (HTTP 429)"),
                              (500, "HTTP 500"), (503, "HTTP 503")):
            with self.subTest(status):
                self.assert_refused(self.get(f"status/{status}"), 7, words)
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
        self.assert_refused(self.get("good", origin="http://192.0.2.1/good"), 7, "not https")
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
        begin = time.monotonic()
        self.assert_refused(self.get("endless"), 7, "larger than it may be")
        self.assert_refused(self.get("endless", "--size", "1M", size=None), 6, "limit 1000000, found")
        self.assert_refused(self.get("endless", size=None, sha256=None, about=100_000), 6, "limit 200000, found")
        self.assertLess(time.monotonic() - begin, 20)

    def test_the_old_file_is_kept_where_the_new_one_is_wrong(self):
        (self.folder / "d").mkdir()
        (self.folder / "d/it.bin").write_bytes(b"old")
        for words, status in (((), 9), (("--force",), 9)):
            self.assertEqual(self.get("wrong", *words).returncode, status)
            self.assertEqual((self.folder / "d/it.bin").read_bytes(), b"old")
        self.assert_good(self.get("good", "--force"))

    def test_a_packed_body_nobody_asked_for(self):
        self.assert_refused(self.get("gzip", size=None), 7, "packed (gzip)")

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
        begin = time.monotonic()
        self.assert_refused(self.get("stall", "--stall", "2"), 7, "stalled")
        self.assertLess(time.monotonic() - begin, 15)

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

    def test_kill_9_in_the_middle(self):
        self.manifest(self.entry("drip"))
        command = [FURROW, "prepare", "fetch", "it", "--manifest", "m.json", "-o", "d", "--tries", "1"]
        first = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        part = self.folder / "d/it.bin.part"
        self.wait_until(lambda: part.exists() and part.stat().st_size >= 50_000)
        first.kill()
        first.wait()
        # Its curl is still at it: nobody else touches the part.
        second = self.fetch("--tries", "1")
        self.assert_refused(second, 7, "another download of this file is running", by_hand=False)
        os.killpg(first.pid, signal.SIGKILL)  # curl
        self.wait_until(lambda: not self.locked())
        self.assertEqual([n for n in self.kept() if n == "it.bin"], [])
        self.assert_good(self.fetch("--tries", "1"))
        self.assertGreaterEqual(self.server.ranges[-1][1], 50_000)

    def locked(self):
        import fcntl
        with open(self.folder / "d/it.bin.part.lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            except OSError:
                return True

    def wait_until(self, done):
        end = time.monotonic() + 20
        while not done():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def test_two_at_once_and_a_signal(self):
        self.manifest(self.entry("drip"))
        command = [FURROW, "prepare", "fetch", "it", "--manifest", "m.json", "-o", "d", "--tries", "1"]
        first = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        part = self.folder / "d/it.bin.part"
        self.wait_until(lambda: part.exists() and part.stat().st_size >= 50_000)
        self.assert_refused(self.fetch("--tries", "1"), 7, "another download of this file is running", by_hand=False)
        first.send_signal(signal.SIGTERM)
        _, errors = first.communicate(timeout=20)
        self.assertEqual(first.returncode, 143, errors)
        self.assertIn("run the same command again", errors)
        self.assertEqual(self.kept(), ["it.bin.part", "it.bin.part.head"])
        self.assert_good(self.fetch("--tries", "1"))

    def test_a_folder_that_cannot_be_written(self):
        self.manifest(self.entry("good"))
        (self.folder / "d").write_text("a file")
        result = self.fetch("--tries", "1")
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertIn("cannot create the folder", result.stderr)

    def test_offline_says_everything(self):
        result = self.get("good", origin="http://127.0.0.1:9/good")
        self.assert_refused(result, 7, "cannot connect")
        for words in ("fetch http://127.0.0.1:9/good", "300000 bytes", "sha256 " + SHA, "furrow prepare fetch it --from FILE -o d"):
            self.assertIn(words, result.stderr)
        self.assert_refused(self.get("good", origin="https://no-such-host.invalid/good"), 7, "does not resolve")

    @unittest.skipIf(shutil.which("openssl") is None, "openssl, which makes the certificate, is not installed")
    def test_a_certificate_nobody_trusts_and_a_redirect_out_of_tls(self):
        pem = self.folder / "tls.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out", self.folder / "cert.pem", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        pem.write_bytes(pem.read_bytes() + (self.folder / "cert.pem").read_bytes())
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads, server.lock, server.stop = True, threading.Lock(), self.server.stop
        server.asked, server.paths, server.ranges = {}, [], []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        address = f"https://127.0.0.1:{server.server_address[1]}/"
        self.assert_refused(self.get("good", origin=address + "good"), 7, "certificate is not trusted")
        self.manifest(self.entry("", origin=address + "to-http"))
        trusting = dict(os.environ, CURL_CA_BUNDLE=str(self.folder / "cert.pem"))
        self.assert_refused(self.fetch("--tries", "1", env=trusting), 7, "not https")
        self.assertEqual(server.asked, {"/to-http": 1})
        self.manifest(self.entry("", origin=address + "good"))
        self.assert_good(self.fetch("--tries", "1", env=trusting))

    def test_no_curl(self):
        self.manifest(self.entry("good"))
        result = self.fetch("--tries", "1", env={"PATH": str(self.folder)})
        self.assertEqual(result.returncode, 7)
        self.assertIn("install the package curl", result.stderr)

    def test_what_stands_in_curlrc_does_not_count(self):
        (self.folder / ".curlrc").write_text("output = stolen\nurl = http://127.0.0.1:9/\n")
        self.manifest(self.entry("good"))
        self.assert_good(self.fetch("--tries", "1", env=dict(os.environ, HOME=str(self.folder), CURL_HOME=str(self.folder))))
        self.assertFalse((self.folder / "stolen").exists())


class Hashes(Fetch):
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


class Drive(Fetch):
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
        self.assertEqual(self.get(self.uc("quota"), sha256=None, size=None).returncode, 7)
        self.assertEqual((self.folder / "d/it.bin.part").stat().st_size, have)
        self.server.ranges.clear()
        self.assert_good(self.get(self.uc(), sha256=None, size=None))
        self.assertEqual([r[:2] for r in self.server.ranges], [("uc", have), ("download", have)])

    def test_pages_that_are_no_file(self):
        for how, words in (("quota", "quota of this file is used up"), ("login", "no OAuth"), ("elsewhere", "a web page"), ("other-id", "a web page"), ("hostile", "a web page")):
            with self.subTest(how):
                self.server.paths.clear()
                self.assert_refused(self.get(self.uc(how), sha256=None, size=None), 7, words)
                self.assertEqual(self.kept(), [])
                self.assertEqual(len(self.server.paths), 1)


class Photos(Fetch):
    def setUp(self):
        super().setUp()
        self.metadata = {}
        for number in list(range(14)) + [1005, 69999]:
            self.add(number)
        self.write()

    def add(self, number, query="", **more):
        body = photo(number)
        image = {"file_url": self.base + f"photo/{number}{query}", "file_path": f"images1024x1024/{number // 1000:02d}000/{number:05d}.png",
                 "file_size": len(body), "file_md5": hashlib.md5(body).hexdigest(), "face_landmarks": [[1.5, 2.5]] * 68, **more}
        self.metadata[str(number)] = {"category": "training", "metadata": {"author": "A \"quoted\" }{ \\ name"}, "image": image}

    def write(self, text=None):
        (self.folder / "ffhq.json").write_text(json.dumps(self.metadata) if text is None else text)

    def photos(self, *words):
        self.manifest(self.entry("page", name="ffhq", direct=False, by_id=True, file="images1024x1024", size=None, sha256=None))
        return self.run_it("prepare", "fetch", "ffhq", "--manifest", "m.json", "-o", "d", "--metadata", "ffhq.json", "--tries", "1", *words)

    def there(self):
        return sorted(int(p.stem) for p in (self.folder / "d").rglob("*.png"))

    def test_by_list_range_file_folder_and_limit(self):
        (self.folder / "ids.txt").write_text("3\r\n1005\n")
        (self.folder / "masks").mkdir()
        for name in ("00002.png", "69999.png", "notes.txt"):
            (self.folder / "masks" / name).write_bytes(b"")
        for words, wanted in ((("--ids", "0,5,7-9"), [0, 5, 7, 8, 9]), (("--ids", "ids.txt"), [3, 1005]), (("--ids", "masks"), [2, 69999]), (("--limit", "3"), [0, 1, 2]),
                              (("--ids", "0-13", "--limit", "13", "--jobs", "3"), list(range(13)))):
            with self.subTest(words):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                result = self.photos(*words)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(self.there(), wanted)
                self.assertIn(f"{len(wanted)} photos fetched, 0 finished before", result.stdout)
                for number in wanted:
                    self.assertEqual((self.folder / f"d/images1024x1024/{number // 1000:02d}000/{number:05d}.png").read_bytes(), photo(number))
        asked = len(self.server.paths)
        self.assertIn("1 photo fetched, 13 finished before", self.photos("--ids", "0-13").stdout)
        self.assertEqual(len(self.server.paths), asked + 1)
        self.assertEqual(self.kept(), [f"{n:05d}.png" for n in range(14)])

    def test_one_that_fails_is_listed_and_the_others_come(self):
        self.add(4, query="?bad=1")
        self.write()
        result = self.photos("--ids", "3-6")
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertIn("1 of 4 files failed", result.stderr)
        self.assertIn("put it at d/images1024x1024/00000/00004.png", result.stderr)
        self.assertEqual(self.there(), [3, 5, 6])
        found = json.loads(self.photos("--ids", "3-6", "--json").stdout.splitlines()[0])
        self.assertEqual((len(found["files"]), len(found["failed"]), found["failed"][0]["code"]), (3, 1, "io"))

    def test_it_gives_up_where_nothing_comes(self):
        for number in range(60):
            self.add(number, file_url="http://127.0.0.1:9/x")
        self.write()
        result = self.photos("--ids", "0-59", "--jobs", "2")
        self.assertEqual(result.returncode, 7)
        self.assertRegex(result.stderr, r"1[67] of 60 files failed, 4[34] were not tried any more")

    def test_the_sum_of_sizes_counts(self):
        self.assertEqual(self.photos("--ids", "11", "--size", "1000").returncode, 6)
        self.assertEqual(self.photos("--ids", "11", "--size", "1001").returncode, 0)

    def test_a_photo_that_is_there_and_another_is_left_alone(self):
        self.assertEqual(self.photos("--ids", "11").returncode, 0)
        path = self.folder / "d/images1024x1024/00000/00011.png"
        path.write_bytes(b"mine")
        result = self.photos("--ids", "11")
        self.assertEqual((result.returncode, path.read_bytes()), (9, b"mine"))
        self.assertEqual(self.photos("--ids", "11", "--force").returncode, 0)
        self.assertEqual(path.read_bytes(), photo(11))

    def test_words_that_are_none(self):
        for words, status in (((), 2), (("--ids", "x"), 2), (("--ids", "5-3"), 2), (("--ids", "-1"), 2), (("--ids", "70000"), 2), (("--ids", "1,,2"), 2), (("--ids", "20"), 2),
                              (("--limit", "-1"), 2), (("--jobs", "0", "--ids", "1"), 2), (("--tries", "0", "--ids", "1"), 2), (("--ids", "1", "--from", "x"), 2),
                              (("--ids", "ffhq.json"), 4)):
            with self.subTest(words):
                result = self.photos(*words)
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertFalse((self.folder / "d").exists())

    def test_hostile_metadata(self):
        whole = json.dumps(self.metadata)
        for text in ("", "[]", "{", whole[:1200], '{"1": [1]}', '{"1": {"image": 5}}', '{"1": {}}', '{"1": {"image": {}}}', '{"1": {"x": "' + "y" * 70_000 + '"}}',
                     '{"1" {}}', '{"' + "1" * 500 + '": {}}', "<html>"):
            with self.subTest(text[:40]):
                self.write(text)
                self.assertEqual(self.photos("--ids", "1").returncode, 4, text[:40])
        for more in ({"file_path": "../../1.png"}, {"file_path": "/etc/00001.png"}, {"file_path": "images1024x1024/00000/00002.png"}, {"file_size": -1}, {"file_size": 1e9}, {"file_size": 10 ** 12},
                     {"file_md5": "xyz"}, {"file_md5": "0" * 31 + "/"}, {"file_url": 5}):
            with self.subTest(more):
                self.add(1, **more)
                self.write()
                result = self.photos("--ids", "1")
                self.assertEqual(result.returncode, 4, result.stderr)
        self.add(1, file_url="file:///etc/passwd")
        self.write()
        self.assertEqual(self.photos("--ids", "1").returncode, 7)
        self.add(1)
        self.write(json.dumps(self.metadata)[:-1] + ', "1": ' + json.dumps(self.metadata["1"]) + "}")
        self.assertEqual(self.photos("--limit", "70").returncode, 4)


class Unpacking(Fetch):
    def zip_of(self, *entries, compression=zipfile.ZIP_DEFLATED):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", compression) as archive:
            for name, content in entries:
                archive.writestr(name, content)
        return data.getvalue()

    def unzip(self, data, *words, query=""):
        self.server.zips["a"] = data
        self.manifest(self.entry("zip/a" + query, file="it.zip", unpack="masks", size=None, sha256=None))
        return self.fetch("--tries", "1", *words)

    def files(self):
        return {str(p.relative_to(self.folder / "d")): p.read_bytes() for p in (self.folder / "d").rglob("*") if p.is_file() and not p.name.startswith("it.zip")}

    def test_files_with_and_without_a_folder_of_their_own(self):
        wanted = {"masks/00001.png": b"one" * 50, "masks/00000/00002.png": b""}
        for top in ("", "masks/"):
            for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
                with self.subTest(top):
                    shutil.rmtree(self.folder / "d", ignore_errors=True)
                    data = self.zip_of(*((top, "") for _ in range(bool(top))), (top + "00001.png", b"one" * 50), ("__MACOSX/x", "x"), (top + "00000/00002.png", b""), compression=compression)
                    result = self.unzip(data, "--unpack")
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertEqual(self.files(), wanted)
        again = self.unzip(data, "--unpack")
        self.assertIn("0 files unpacked, 2 finished before", again.stderr)
        (self.folder / "d/masks/00001.png").write_bytes(b"mine")
        self.assertEqual(self.unzip(data, "--unpack").returncode, 2)
        self.assertEqual((self.folder / "d/masks/00001.png").read_bytes(), b"mine")

    def test_without_the_word_it_stays_a_zip(self):
        self.assertEqual(self.unzip(self.zip_of(("a", "b"))).returncode, 0)
        self.assertEqual(self.files(), {})

    def test_names_that_leave_the_folder(self):
        for name in ("../x", "a/../../x", "/tmp/x", "a\\x", "c:/x", "a//x", "./x"):
            with self.subTest(name):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                result = self.unzip(self.zip_of(("ok", "b"), (name, "b")), "--unpack")
                self.assertEqual(result.returncode, 4, result.stderr)
                self.assertEqual(self.files(), {})
                self.assertFalse((self.folder / "x").exists())

    def test_a_link_becomes_a_plain_file(self):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            link = zipfile.ZipInfo("evil")
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc")
        self.assertEqual(self.unzip(data.getvalue(), "--unpack").returncode, 0)
        self.assertFalse((self.folder / "d/masks/evil").is_symlink())
        self.assertEqual(self.files(), {"masks/evil": b"/etc"})

    def test_a_password_a_bomb_and_damage(self):
        locked = bytearray(self.zip_of(("a", "b" * 20)))
        locked[6] |= 1
        locked[locked.rfind(b"PK\1\2") + 8] |= 1
        bomb = self.zip_of(("a", b"\0" * 50_000_000))
        damaged = bytearray(self.zip_of(("a", bytes(range(200))), compression=zipfile.ZIP_STORED))
        damaged[60] ^= 1
        for data, status, words in ((locked, 5, "encrypted"), (bomb, 6, "limit"), (damaged, 9, "CRC")):
            with self.subTest(words):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                result = self.unzip(bytes(data), "--unpack")
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(words, result.stderr)
                self.assertEqual(self.files(), {})

    def test_a_cut_zip_of_unknown_length_is_not_kept(self):
        result = self.unzip(self.zip_of(("a", "b" * 100)), query="?cut")
        self.assertEqual(result.returncode, 9, result.stderr)
        self.assertIn("cut or damaged; removed", result.stderr)
        self.assertEqual(self.files(), {})


class List(Fetch):
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

    def test_help_says_that_nothing_logs_in(self):
        self.assertIn("No OAuth", self.run_it("prepare", "fetch", "--help").stdout)


if __name__ == "__main__":
    unittest.main()
