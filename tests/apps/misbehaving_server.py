"""A server of this machine that misbehaves in every way that a test of downloads asks for, and what such tests share.

The first part of a path says how: pages, statuses, redirects, cut, stalled, endless and changed bodies, answers to
ranges, Google Drive's pages.

    SOME_test.py PATH_TO_FURROW [unittest arguments]
"""
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

FURROW = sys.argv.pop(1)
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]   # curl would ask it for what is on this machine
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

    def do_long_page(self, *_):
        self.answer(200, PAGE % (b"Hello", b"nothing " * 200_000), Content_Type="text/html")

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

    def do_unasked_range(self, *_):
        self.rest(BODY, 0)

    def do_ends_early(self, *_):
        self.answer(200, BODY[:1000], length=len(BODY))

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
            for _ in range(1000):   # 10 MB in 10 s at most: somebody has to end it before
                self.wfile.write(b"\1" * 10_000)
                if self.server.stop.wait(0.01):
                    return
        except OSError:
            self.server.ended_by_the_other += 1

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
        self.server.stop.wait(90)

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
        if how == "cut" and asked == 1:
            self.answer(200, (PAGE % (b"Virus scan warning", form))[:90], length=900, Content_Type="text/html")
            return
        body = {"cut": PAGE % (b"Virus scan warning", form),
                "confirm": PAGE % (b"Google Drive - Virus scan warning", form),
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
class FetchCase(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name)
        self.server = self.serve()
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def serve(self, tls=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads, server.lock, server.stop = True, threading.Lock(), threading.Event()
        server.handle_error = lambda *_: None
        server.asked, server.paths, server.ranges, server.zips = {}, [], [], {}
        server.ended_by_the_other = 0
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        for cleanup in (server.server_close, server.shutdown, server.stop.set):   # the last one first
            self.addCleanup(cleanup)
        return server

    def wait_until(self, done):
        end = time.monotonic() + 20
        while not done():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def closed_port(self):
        """A port of this machine where nobody listens, and nobody will."""
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        return taken.getsockname()[1]

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
        errors = [line for line in result.stderr.splitlines() if not line.startswith("furrow: ")]
        self.assertEqual((result.returncode, len(errors)), (status, 1), result.stderr)
        self.assertTrue(errors[0].startswith("error["), result.stderr)
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
