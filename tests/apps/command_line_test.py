#!/usr/bin/env python3
"""The command line: odd words, hostile names, places that cannot be read or written.

Numbers in names (412 to 430) are fixed names of cases, kept so that a case is never lost.

    command_line_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import os
import resource
import socket
import threading
import time

from program import *  # noqa: F403: run_furrow, photo, refused and the rest


class CommandLine(Program):
    def test_usage_errors_say_what_was_meant(self):
        self.refused(self.run_furrow(), 2, "furrow --help")
        self.refused(self.run_furrow("segmnt", "a.png"), 2, "did you mean segment?")
        self.refused(self.run_furrow("segment", "a.png", "--treshold", "0.5"), 2, "did you mean --threshold?")
        self.refused(self.run_furrow("segment"), 2)
        self.refused(self.run_furrow("model", "show"), 2, "see furrow model show --help")
        self.photo()
        for words in (["--save", "masks"], ["--faces", "some"], ["--threshold", "2"], ["--threshold", "nan"], ["--size", "7"], ["--size", "0"],
                      ["--threshold", "-1"], ["--threshold", "0"], ["--threshold", "1"], ["--threads", "-3"], ["--threads", "1000000"], ["--keep", "1,x"],
                      ["--device", "gpu"], ["--kernels", "other"], ["--memory", "little"], ["--tta", "rot"], ["--limit", "picture_pixels"]):
            self.refused(self.segment("a.png", *words), 2)
        self.assertIn(b"between 0 and 1", self.run_furrow("segment", "--help").stdout)
        self.refused(self.segment("a.png", "--threshold", "1"), 2, "outside (0, 1)")
        self.refused(self.segment("a.png", "--keep", "1,10"), 2, "--keep", "no label map is given", "--labels MAP")
        self.assertIn(b"1 a bug in Furrow, 2 usage", self.run_furrow("--help").stdout)
        self.refused(self.segment("a.png", "--device", "cuda"), 8)
        for device in ("cpu", "ref", "cpu-emulated"):
            self.refused(self.segment("a.png", "--device", device, "--kernels", "vendor"), 2, "of --device cuda alone")
        self.refused(self.run_furrow("model", "tune"), 8, "no device cuda")
        self.refused(self.run_furrow("model", "tune", "--device", "cpu"), 2, "only cuda")
        self.assertFalse((self.folder / "out/a.mask.png").exists())

    def test_412_missing_file(self):
        self.refused(self.segment("missing.png"), 7, "missing.png", "o such file")
        self.photo("a.png"), self.photo("b.png")
        self.refused(self.segment("a.png", "missing.png", "b.png"), 4, "1 of 3 inputs failed", "missing.png", stdout_empty=False)
        self.assertTrue((self.folder / "out/b.mask.png").exists())

    def test_413_directory_as_file(self):
        self.photo()
        (self.folder / "d").mkdir()
        self.refused(self.segment("a.png", "--weights", "d"), 7, "d: ")
        self.refused(self.run_furrow("model", "show", "d"), 7)

    def test_414_fifo_device_and_socket_do_not_hang(self):
        os.mkfifo(self.folder / "fifo.png")
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(self.folder / "socket.png"))
        for name in ("fifo.png", "socket.png", "/dev/zero"):
            self.refused(self.segment(name, timeout=5), 7, os.path.basename(name))
            self.refused(self.run_furrow("model", "show", name, timeout=5), 7)

    def test_415_unreadable(self):
        self.photo().chmod(0)
        self.refused(self.segment("a.png", **self.without_privileges()), 7, "a.png", "ermission")

    def test_416_symlink_loop(self):
        (self.folder / "loop.png").symlink_to("loop.png")
        self.refused(self.segment("loop.png"), 7, "loop.png")

    def test_417_name_of_255_bytes(self):
        name = "n" * 251 + ".png"
        self.photo(name)
        # "NAME.overlay.png" is longer than a name may be: an error, and no photo's worth of half results
        self.refused(self.segment(name), 7)
        self.assertEqual(list((self.folder / "out").iterdir()), [])
        name = "n" * 200 + ".png"
        self.photo(name)
        self.assertEqual(self.segment(name).returncode, 0)

    def test_418_path_of_4096_bytes(self):
        self.refused(self.segment("/".join(["d" * 200] * 20) + "/a.png"), 7)
        self.refused(self.segment("x" * 5000), 7)

    def test_419_to_422_hostile_names(self):
        for name in (b"a\nb.png", b"\x1b[31mred.png", b"\xff\xfe.png", b"-leading.png"):
            (self.folder / os.fsdecode(name)).write_bytes(png(40, 30))
            result = self.segment("--force", "--", os.fsdecode(name))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertNotIn(b"\x1b", result.stdout + result.stderr)
            self.assertEqual(len(result.stdout.splitlines()), 1, result.stdout)
            bad = os.fsencode("bad") + name
            (self.folder / os.fsdecode(bad)).write_bytes(b"not a picture")
            self.refused(self.segment("--", os.fsdecode(bad)), 5)

    def test_423_input_is_output(self):
        self.photo("a.png"), self.photo("out/a.mask.png")
        self.refused(self.segment("a.png", "out/a.mask.png", "--force"), 4, "overwrite an input", stdout_empty=False)
        self.assertEqual((self.folder / "out/a.mask.png").read_bytes(), png(40, 30))
        self.refused(self.run_furrow("model", "convert", "--force", ROOT / "weights/furrow-mini.safetensors", ROOT / "weights/furrow-mini.safetensors"), 2)

    def test_424_output_exists(self):
        self.photo()
        self.assertEqual(self.segment("a.png").returncode, 0)
        before = (self.folder / "out/a.mask.png").stat().st_mtime_ns
        self.refused(self.segment("a.png"), 2, "--force")
        self.assertEqual((self.folder / "out/a.mask.png").stat().st_mtime_ns, before)
        self.assertEqual(self.segment("a.png", "--force").returncode, 0)
        self.assertNotEqual((self.folder / "out/a.mask.png").stat().st_mtime_ns, before)

    def into(self, folder, **more):
        return self.run_furrow("segment", "a.png", "--crop", "none", "--size", "32", "-o", folder, **more)

    def test_425_output_folder_missing_a_file_or_read_only(self):
        self.photo()
        self.assertEqual(self.into("new/deep").returncode, 0)
        (self.folder / "file").write_text("x")
        self.refused(self.into("file"), 7, "file")
        self.refused(self.into("/proc/nowhere"), 7)
        (self.folder / "locked").mkdir()
        (self.folder / "locked").chmod(0o555)
        more = self.without_privileges()
        for folder in ("locked", "locked/new"):
            self.refused(self.into(folder, **more), 7, "locked", "ermission")
        self.assertEqual(list((self.folder / "locked").iterdir()), [])

    def test_426_output_is_a_symlink_to_elsewhere(self):
        self.photo()
        (self.folder / "precious").write_text("keep me")
        (self.folder / "out").mkdir()
        (self.folder / "out/a.mask.png").symlink_to("../precious")
        self.refused(self.segment("a.png"), 2, "exists already")
        self.assertEqual((self.folder / "precious").read_text(), "keep me")

    def test_427_many_inputs_with_three_bad_ones(self):
        for i in range(60):
            self.photo(f"in/{i:03}.png", 8, 8)
        (self.folder / "in/007.png").write_bytes(b"")
        (self.folder / "in/020.png").write_bytes(png(8, 8)[:-20])
        (self.folder / "in/033.png").write_bytes(b"GIF89a")
        result = self.segment("in")
        self.refused(result, 4, "3 of 60 inputs failed", "007.png", "020.png", "033.png", stdout_empty=False)
        self.assertEqual(len(list((self.folder / "out").glob("*.mask.png"))), 57)

    def test_a_folder_reports_what_it_leaves_out_and_what_cannot_be_read(self):
        for name in ("a.png", "b.JPE", "c.jfif", "sub/d.png"):
            self.photo("in/" + name)
        for name in ("e.heic", "f.heic", "sub/g.webp"):
            (self.folder / "in" / name).write_bytes(b"x")
        result = self.segment("in")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr.decode().splitlines()[-1], "furrow: 3 files of other types (heic 2, webp 1) skipped")
        self.assertEqual(len(list((self.folder / "out").rglob("*.json"))), 4)
        self.assertEqual(self.segment("--quiet", "--force", "in").stderr, b"")
        self.assertNotIn(b"other types", self.segment("--force", "in/a.png", "in/b.JPE").stderr)
        (self.folder / "in/gone.png").symlink_to("nowhere.png"), (self.folder / "in/loop.png").symlink_to("loop.png")
        (self.folder / "in/gone.txt").symlink_to("nowhere.png"), os.mkfifo(self.folder / "in/pipe.jpg")
        self.refused(self.segment("in", timeout=20), 4, "3 of 7 inputs failed", "gone.png", "loop.png", "pipe.jpg", "4 files of other", stdout_empty=False)
        (self.folder / "none").mkdir()
        (self.folder / "none/a.heic").write_bytes(b"x")
        self.refused(self.segment("none"), 2, "no photo to work on, but 1 file of another type (heic 1)", ".jfif")

    def test_428_the_same_input_twice(self):
        self.photo()
        result = self.segment("a.png", "./a.png")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(result.stdout.splitlines()), 1)

    def test_429_checkpoint_of_another_architecture(self):
        self.photo()
        native = (ROOT / "weights/furrow-mini.safetensors").read_bytes()
        for old, new in ((b"inc.double_conv.0.weight", b"inc.double_conv.9.weight"), (b"outc.conv.bias", b"outc.conv.bios")):
            native = native.replace(old, new)
        (self.folder / "odd.safetensors").write_bytes(native)
        self.refused(self.segment("a.png", "--weights", "odd.safetensors"), 5, "odd.safetensors")

    def test_430_file_changed_while_it_is_read(self):
        """Another program rewrites photo and weights all the time, in place and without shortening them."""
        photo, weights = self.photo("a.png", 600, 400), self.folder / "w.safetensors"
        weights.write_bytes((ROOT / "weights/furrow-mini.safetensors").read_bytes())
        stop, rewrites = threading.Event(), [0]

        def rewrite():
            whole = {path: path.read_bytes() for path in (photo, weights)}
            while not stop.is_set():
                for path, data in whole.items():
                    middle = len(data) // 2
                    with open(path, "r+b") as file:
                        file.seek(middle), file.write(bytes(64)), file.flush()
                        file.seek(middle), file.write(data[middle:middle + 64])
                rewrites[0] += 1

        thread = threading.Thread(target=rewrite)
        thread.start()
        try:
            results = [self.segment("a.png", "--force", "--weights", "w.safetensors") for _ in range(12)]
        finally:
            stop.set()
            thread.join()
        self.assertGreater(rewrites[0], 12)
        for result in results:
            if result.returncode:  # 4: the photo, or the one input, failed; 9: a checksum; 7: "changed while it was read"
                self.assertIn(result.returncode, (4, 7, 9), result.stderr)
                self.refused(result, result.returncode)
        self.assertTrue(any(b"changed while it was read" in result.stderr for result in results), results)
        again = self.segment("a.png", "--force", "--weights", "w.safetensors")
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_help_that_does_not_arrive_is_an_error(self):
        for words in (["--help"], ["--version"], ["model", "get", "--help"]):
            with open("/dev/full", "wb") as full:
                self.assertEqual(subprocess.run([FURROW, *words], stdout=full, stderr=subprocess.PIPE, timeout=60).returncode, 7, words)

    def test_preview_of_a_photo_one_pixel_wide_is_cheap(self):
        self.photo("line.png", 1, 65535)
        result = self.segment("line.png", "--preview")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(result.stdout.splitlines()), 289)  # 4 x 72 rows and the sentence
        # Of all programs run so far: 72 columns of every row would be 2.3 GB.
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, 400_000)

    def test_a_closed_pipe_is_an_error_not_a_signal(self):
        self.photo()
        with open("/dev/full", "wb") as full:
            result = subprocess.run([FURROW, "segment", "--crop", "none", "--size", "32", "-o", "out", "a.png"], cwd=self.folder, stdout=full,
                                    stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(result.returncode, 7, result.stderr)

    def test_refusals_are_quick(self):
        (self.folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) +
                                               chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
        begin = time.monotonic()
        self.refused(self.segment("bomb.png"), 6, "bomb.png")
        self.assertLess(time.monotonic() - begin, 5)

    def test_a_limit_of_names_beyond_all_numbers_is_none(self):
        name = "n" * 2000
        header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        (self.folder / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
        words = ("model", "show", "m.safetensors", "--limit")
        usual = self.run_furrow(*words, "name_bytes=65536")
        for limit in ((2 ** 64 + 2) // 6, 2 ** 63):     # six times the first is 2
            result = self.run_furrow(*words, f"name_bytes={limit}")
            self.assertEqual((result.returncode, result.stdout, result.stderr), (usual.returncode, usual.stdout, usual.stderr))
        self.refused(self.run_furrow(*words, "name_bytes=100"), 6, "a name too long")


if __name__ == "__main__":
    unittest.main()
