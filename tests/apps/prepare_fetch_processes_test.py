#!/usr/bin/env python3
"""`furrow prepare fetch` killed, twice at once, stopped by a signal; TLS. Needs curl and Python's standard library, and
openssl for the certificates.

    prepare_fetch_processes_test.py PATH_TO_FURROW [unittest arguments]
"""
import fcntl
import os
import shutil
import signal
import ssl
import subprocess
import unittest

from misbehaving_server import *  # noqa: F403: BODY, FURROW, FetchCase


class Processes(FetchCase):
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
        with open(self.folder / "d/it.bin.part.lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
            except OSError:
                return True

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


class Tls(FetchCase):
    def setUp(self):
        super().setUp()
        if shutil.which("openssl") is None:
            self.skipTest("openssl, which makes the certificates, is not installed")

    def secure_server(self, *dates):
        """With a certificate of its own for 127.0.0.1, which lies in cert.pem then."""
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n"
            "x509_extensions=e\nunique_subject=no\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=IP:127.0.0.1\n")
        (self.folder / "index.txt").write_text("")
        make = {"cwd": self.folder, "check": True, "capture_output": True}
        subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "it.csr",
                        "-subj", "/CN=127.0.0.1"], **make)
        subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-notext", "-config", "ca.cnf", "-keyfile", "key.pem", "-in", "it.csr",
                        "-out", "cert.pem", *dates], **make)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        server = self.serve(context)
        return server, f"https://127.0.0.1:{server.server_address[1]}/"

    def trusting(self, origin):
        self.manifest(self.entry("", origin=origin))
        return self.fetch("--tries", "1", env=dict(os.environ, CURL_CA_BUNDLE=str(self.folder / "cert.pem")))

    def test_a_certificate_nobody_trusts_and_a_redirect_out_of_tls(self):
        server, address = self.secure_server("-days", "2")
        self.assert_refused(self.get("good", origin=address + "good"), 7, "certificate is not trusted")
        self.assert_refused(self.trusting(address + "to-http"), 7, "not https")
        self.assertEqual(server.asked, {"/to-http": 1})
        self.assert_good(self.trusting(address + "good"))

    def test_a_clock_that_does_not_fit_the_certificate(self):
        for dates in (("20200101000000Z", "20200102000000Z"), ("20980101000000Z", "20990101000000Z")):
            server, address = self.secure_server("-startdate", dates[0], "-enddate", dates[1])
            self.assert_refused(self.trusting(address + "good"), 7, "is this machine's clock right?")
            self.assertEqual(server.asked, {})


if __name__ == "__main__":
    unittest.main()
