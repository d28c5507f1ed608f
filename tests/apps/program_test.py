#!/usr/bin/env python3
"""Runs the program as a user does: files in, files and exit status out. Needs Python's standard library only.

    program_test.py PATH_TO_FURROW [unittest arguments]

Numbers in names (412 to 430) are fixed names of cases, kept so that a case is never lost.
"""
import json
import os
import pathlib
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PHOTO = ROOT / "examples" / "astronaut.png"
FURROW = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build" / "release" / "apps" / "furrow")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, value=lambda x, y: (x * 7 + y * 3) % 256) -> bytes:
    rows = b"".join(b"\0" + bytes(value(x, y) for x in range(width) for _ in range(3)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_size(path) -> tuple:
    return struct.unpack(">II", pathlib.Path(path).read_bytes()[16:24])


class Program(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)
        self.addCleanup(self._folder.cleanup)

    def run_furrow(self, *words, stdin=None, timeout=60, **more):
        return subprocess.run([FURROW, *map(os.fsencode, words)], cwd=self.folder, input=stdin, capture_output=True, timeout=timeout, **more)

    def segment(self, *words, **more):
        """Quick settings: a tiny network input and no face search."""
        return self.run_furrow("segment", "--crop", "none", "--size", "32", "-o", "out", *words, **more)

    def refused(self, result, status, *parts, stdout_empty=True):
        text = result.stderr.decode(errors="surrogateescape")
        lines = [line for line in text.splitlines() if not line.startswith(("furrow: ", "  "))]
        self.assertEqual(result.returncode, status, text)
        self.assertEqual(len(lines), 1, text)
        self.assertTrue(lines[0].startswith("error["), text)
        self.assertLessEqual(len(lines[0].encode()), 500)
        for part in parts:
            self.assertIn(part, text)
        if stdout_empty:
            self.assertEqual(result.stdout, b"")

    def photo(self, name="a.png", width=40, height=30):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(width, height))
        return path

    def without_privileges(self) -> dict:
        """Words for run_furrow that make the system's permissions count: root may do everything, so ask as nobody."""
        if os.geteuid() != 0:
            return {}
        os.chmod(self.folder, 0o777)
        try:
            if subprocess.run([FURROW, "--version"], capture_output=True, user=65534).returncode == 0:
                return {"user": 65534}
        except OSError:
            pass
        self.skipTest("the program lies where user 65534 cannot run it")

    # -- what works -----------------------------------------------------------------------------------------------
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
        self.assertEqual(sorted(p.name for p in (self.folder / "out").iterdir()),
                         ["astronaut.json", "astronaut.mask.png", "astronaut.overlay.png", "astronaut.prob.png"])

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
        self.refused(self.segment("in"), 2, "out/a.json", "exists already")
        (self.folder / "out/a.json").write_text("{}\n")  # somebody else's
        self.refused(self.segment("in", "--save", "json"), 2, "exists already")
        self.assertEqual((self.folder / "out/a.json").read_text(), "{}\n")

    def test_a_folder_without_faces_is_finished_too(self):
        self.photo("in/a.png", 80, 80)
        self.assertEqual(self.run_furrow("segment", "in", "-o", "out").returncode, 10)
        again = self.run_furrow("segment", "in", "-o", "out")
        self.assertEqual((again.returncode, again.stdout), (0, b""), again.stderr)

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

    def test_model_convert_of_a_network_with_four_inputs(self):
        source = ROOT / "tests/data/unet/SYNTHETIC_unet_milesial_layout_base8_transpose_in4_out2_zip.pth"
        self.assertEqual(self.run_furrow("model", "convert", source, "four.safetensors").returncode, 0)
        shown = json.loads(self.run_furrow("model", "show", "four.safetensors", "--json").stdout)
        self.assertEqual(shown["architecture"], "unet base 8, 4 -> 2, transposed")
        self.photo()
        self.refused(self.segment("a.png", "--weights", "four.safetensors"), 5, "4 input channels")

    # -- the command line -----------------------------------------------------------------------------------------
    def test_usage_errors_say_what_was_meant(self):
        self.refused(self.run_furrow(), 2, "furrow --help")
        self.refused(self.run_furrow("segmnt", "a.png"), 2, "did you mean segment?")
        self.refused(self.run_furrow("segment", "a.png", "--treshold", "0.5"), 2, "did you mean --threshold?")
        self.refused(self.run_furrow("segment"), 2)
        self.refused(self.run_furrow("model", "show"), 2, "see furrow model show --help")
        self.photo()
        for words in (["--save", "masks"], ["--faces", "some"], ["--threshold", "2"], ["--threshold", "nan"], ["--size", "7"], ["--size", "0"],
                      ["--threshold", "-1"], ["--threads", "-3"], ["--threads", "1000000"], ["--keep", "1,x"],
                      ["--device", "gpu"], ["--tta", "rot"], ["--limit", "picture_pixels"]):
            self.refused(self.segment("a.png", *words), 2)
        self.refused(self.segment("a.png", "--device", "cuda"), 8)
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

    # -- performance that a user would call broken, not a benchmark ------------------------------------------------
    def test_refusals_are_quick(self):
        (self.folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) +
                                               chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
        begin = time.monotonic()
        self.refused(self.segment("bomb.png"), 6, "bomb.png")
        self.assertLess(time.monotonic() - begin, 5)


if __name__ == "__main__":
    unittest.main()
