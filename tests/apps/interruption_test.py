#!/usr/bin/env python3
"""Signals: what was finished is whole, and the exit status says what happened.

    interruption_test.py PATH_TO_FURROW [unittest arguments]
"""
import os
import time

from program import *  # noqa: F403: run_furrow, photo, refused and the rest


class Interruption(Program):
    def test_signals_leave_whole_files_and_their_exit_status(self):
        for i in range(400):
            self.photo(f"in/{i:03}.png", 64, 64)
        for number, status in ((2, 130), (15, 143)):
            process = subprocess.Popen([FURROW, "segment", "--crop", "none", "-o", "out", "in"], cwd=self.folder, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            process.stdout.readline()  # the first photo is done
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
            self.assertEqual(process.returncode, status, err)
            done = {p.name.split(".")[0] for p in (self.folder / "out").glob("*.json")}
            self.assertLess(len(done), 400)
            for name in done:
                for kind in ("mask", "overlay"):
                    data = (self.folder / f"out/{name}.{kind}.png").read_bytes()
                    self.assertEqual(data[-8:-4], b"IEND")
            self.assertEqual([p.name for p in (self.folder / "out").iterdir() if ".tmp" in p.name], [])

    def test_a_signal_ends_the_wait_for_standard_input(self):
        for number, status in ((2, 130), (15, 143)):
            process = subprocess.Popen([FURROW, "segment", "-", "--crop", "none", "--size", "32", "-o", "out"], cwd=self.folder,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.kill)
            process.stdin.write(png(8, 8)[:20]), process.stdin.flush()
            time.sleep(0.5)
            process.send_signal(number)
            self.assertEqual(process.wait(timeout=5), status)
            for pipe in (process.stdin, process.stdout, process.stderr):
                pipe.close()

    def test_a_signal_ends_the_work_inside_a_large_photo(self):
        rows = (b"\0" + bytes(3 * 3000)) * 3000
        header = struct.pack(">IIBBBBB", 3000, 3000, 8, 2, 0, 0, 0)
        (self.folder / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
        process = subprocess.Popen([FURROW, "segment", "--crop", "none", "--tile", "--size", "128", "--device", "ref", "-o", "out", "big.png"],
                                   cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(2)  # well inside: on `ref` the whole photo takes minutes
        process.send_signal(15)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 143, err)
        self.assertEqual(list((self.folder / "out").iterdir()), [])

    def test_a_signal_while_the_only_photo_is_computed_leaves_nothing(self):
        self.photo("one.png", 96, 96)
        process = subprocess.Popen([FURROW, "segment", "--crop", "none", "--size", "384", "--device", "ref", "-o", "out", "one.png"],
                                   cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while not (self.folder / "out").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)  # signals are caught by then, and the photo is next
        time.sleep(0.3)  # the network takes seconds on `ref`
        process.send_signal(2)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual(out, b"")
        self.assertEqual(list((self.folder / "out").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
