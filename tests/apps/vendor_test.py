#!/usr/bin/env python3
"""`--kernels vendor` from outside, on a device `cuda` that is the emulator's and libraries that are fakes.

    vendor_test.py PATH_TO_FURROW_PRETENDING PATH_TO_FAKE_CUDNN PATH_TO_FAKE_CUBLASLT [unittest arguments]

The program has tests/apps/pretended_gpu.cc in it; the fakes are those of tests/cuda/vendor.
"""
import json
import sys

FAKES = {"FURROW_CUDNN": sys.argv.pop(2), "FURROW_CUBLASLT": sys.argv.pop(2)}

from program import *  # noqa: E402, F403: run_furrow, photo, refused and the rest
from train_test import tensors  # noqa: E402


class Vendor(Program):
    def setUp(self):
        super().setUp()
        for n in range(4):
            for folder in ("photos", "masks"):
                (self.folder / folder).mkdir(exist_ok=True)
            (self.folder / f"photos/{n}.png").write_bytes(png(32, 32, lambda x, y: (x * 3 + y * n) % 256))
            (self.folder / f"masks/{n}.png").write_bytes(gray(32, 32, lambda x, y: 255 * ((x + y + n) % 5 == 0)))

    def run_with(self, *words, **libraries):
        return self.run_furrow(*words, timeout=280, env={**os.environ, **FAKES, **libraries})

    def train(self, run, kernels, *words, epochs=2, precision="mixed", **libraries):
        settings = ("size=16", "model.base=1", "batch_size=2", "preflight=false", "threads=1", "val_percent=0.5", "overlays=0",
                    "average_decay=0", f"epochs={epochs}")
        return self.run_with("train", "--images", "photos", "--masks", "masks", "-o", run, "--device", "cuda", "--precision", precision,
                             "--kernels", kernels, *(word for setting in settings for word in ("--set", setting)), *words, **libraries)

    def passed(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def model(self, run):
        return tensors(self.folder / run / "checkpoints/last.safetensors")

    def test_a_run_trains_by_the_libraries_and_resumes_bit_for_bit(self):
        self.passed(self.train("whole", "vendor"))
        self.passed(self.train("own", "own"))
        self.assertNotEqual(self.model("whole"), self.model("own"), "cuDNN rounds gradients of weights")
        self.passed(self.train("run", "vendor", epochs=1))
        self.passed(self.run_with("train", "--resume", "run", "--epochs", "2"))
        self.assertEqual(self.model("run"), self.model("whole"))
        self.assertIn("kernels: vendor", (self.folder / "run/config.yaml").read_text())

    def test_a_run_may_go_on_without_the_libraries(self):
        self.passed(self.train("run", "vendor", epochs=1))
        none = {"FURROW_CUDNN": "/nowhere/libcudnn.so"}
        self.refused(self.run_with("train", "--resume", "run", "--epochs", "2", **none), 8, "cuDNN 9 cannot be opened: ")
        self.passed(self.run_with("train", "--resume", "run", "--epochs", "2", "--kernels", "own", **none))
        self.assertIn("kernels: own", (self.folder / "run/config.yaml").read_text())

    def test_what_a_run_lacks_is_one_line_before_it_begins(self):
        for library, title in (("FURROW_CUDNN", "cuDNN 9"), ("FURROW_CUBLASLT", "cuBLASLt")):
            result = self.train("run", "vendor", **{library: "/nowhere/lib.so"})
            self.refused(result, 8, f"error[device]: {title} cannot be opened: /nowhere/lib.so", "--kernels own needs no such library")
        self.refused(self.train("run", "vendor", precision="float32"), 2, "--kernels vendor multiplies in fp16, and precision is float32")
        self.assertFalse((self.folder / "run").exists())

    def test_segment(self):
        words = ("segment", "photos/1.png", "--crop", "none", "--size", "32", "--device", "cuda", "--save", "json")
        devices = {}
        for kernels in ("vendor", "own", "auto"):
            self.passed(self.run_with(*words, "--kernels", kernels, "-o", kernels))
            devices[kernels] = json.loads((self.folder / kernels / "1.json").read_text())["device"]
        self.assertEqual(devices, {"vendor": "cuda (pretended; fp16; cudnn 9.19.0, cublaslt 13.0.2)", "own": "cuda (pretended; fp16)",
                                   "auto": "cuda (pretended; fp16)"})

    def test_auto_goes_by_the_times_of_this_machine(self):
        """`model tune` measures; where it found the libraries faster, and they are there, auto takes them."""
        self.passed(self.run_with("model", "tune", "--device", "cuda", "--size", "32", "--rounds", "1", "--tune", "tune.json"))
        file = self.folder / "tune.json"
        times = json.loads(file.read_text())
        machine, = times["machines"]
        self.assertTrue(machine.endswith("; pretended; emulator; cudnn 9.19.0; cublaslt 13.0.2; fp16"), machine)
        libraries, own = "cuda (pretended; fp16; cudnn 9.19.0, cublaslt 13.0.2)", "cuda (pretended; fp16)"

        def device(out, **libraries):
            self.passed(self.run_with("segment", "photos/1.png", "--crop", "none", "--size", "32", "--device", "cuda", "--save", "json",
                                      "--tune", "tune.json", "-o", out, **libraries))
            return json.loads((self.folder / out / "1.json").read_text())["device"]

        for step in times["machines"][machine].values():
            step["use"] = "vendor"
        file.write_text(json.dumps(times))
        self.assertEqual(device("faster"), libraries)
        self.assertEqual(device("gone", FURROW_CUDNN="/nowhere/libcudnn.so"), own)
        file.write_text(json.dumps({**times, "machines": {machine.replace("9.19.0", "9.18.0"): times["machines"][machine]}}))
        self.assertEqual(device("older"), own)


if __name__ == "__main__":
    unittest.main()
