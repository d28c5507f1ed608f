"""`furrow model audit`: the committed dump, dumps with one thing wrong, and the scripts of docs/audit.md where PyTorch is.

    audit_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

import program

DATA = program.ROOT / "tests" / "data" / "audit"
sys.path.insert(0, str(DATA.parent))
import make_audit_dump  # noqa: E402


def python_with_torch():
    """A Python that has PyTorch: this one or the system's."""
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if python and subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
            return python
    return None


class Safetensors:
    """A dump whose arrays can be changed: furrow model convert makes a safetensors file of the committed one."""

    def __init__(self, path):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        self.header, self.body = json.loads(data[8:8 + size]), bytearray(data[8 + size:])

    def write(self, path):
        text = json.dumps(self.header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + self.body)

    def scale(self, name, factor):
        entry = self.header[name]
        assert entry["dtype"] == "F64"
        first, end = entry["data_offsets"]
        values = struct.unpack(f"<{(end - first) // 8}d", self.body[first:end])
        self.body[first:end] = struct.pack(f"<{len(values)}d", *(factor * v for v in values))


class Audit(program.Program):
    def audit(self, *words, dump=DATA / "dump.pth", **more):
        return self.run_furrow("model", "audit", str(DATA / "weights.pth"), "--backward", str(dump), *words, **more)

    def changed(self, change):
        """The committed dump as dump.safetensors, after change(file)."""
        self.assertEqual(self.run_furrow("model", "convert", str(DATA / "dump.pth"), "dump.safetensors", "--force").returncode, 0)
        file = Safetensors(self.folder / "dump.safetensors")
        file.header["__metadata__"] = {
            "loss.kind": "dice_focal", "loss.gamma": "1", "loss.eps": "1e-6", "loss.alpha_positive": "0.9", "loss.alpha_negative": "0.1",
            "optimiser.kind": "adamw", "optimiser.lr": "1e-3", "optimiser.beta1": "0.9", "optimiser.beta2": "0.999", "optimiser.eps": "1e-8",
            "optimiser.weight_decay": "1e-2"}
        change(file)
        file.write(self.folder / "dump.safetensors")
        return "dump.safetensors"

    def test_agrees_on_every_device_of_a_cpu(self):
        for device in ("ref", "cpu", "cpu-emulated"):
            result = self.audit("--device", device)
            text = result.stdout.decode()
            self.assertEqual(result.returncode, 0, text + result.stderr.decode())
            lines = text.splitlines()
            self.assertEqual(sum(line.endswith("  agrees") for line in lines), 310)
            self.assertIn("1     gradient   inc.double_conv.0.weight                                2x3x3x3 ", text)
            self.assertIn("agree", result.stderr.decode())

    def test_json_is_one_document(self):
        result = self.audit("--device", "ref", "--json")
        self.assertEqual(result.returncode, 0)
        report = json.loads(result.stdout)
        self.assertEqual(report["schema"], "furrow.audit/1")
        self.assertTrue(report["agrees"])
        self.assertEqual(len(report["arrays"]), 310)
        self.assertLess(max(row["max"] for row in report["arrays"] if row["part"] == "gradient"), 1e-11)

        result = self.audit("--json", dump=self.changed(lambda f: f.scale("gradient/up4.up.bias", 1.01)))
        self.assertEqual(result.returncode, 11)
        report = json.loads(result.stdout)
        self.assertEqual((report["agrees"], report["error"]["code"]), (False, "different"))
        self.assertEqual(report["arrays"][report["first"]]["name"], "up4.up.bias")

    def test_a_perturbed_gradient_is_named(self):
        result = self.audit("--device", "ref", dump=self.changed(lambda f: f.scale("gradient/down2.maxpool_conv.1.double_conv.0.weight", 1 + 1e-7)))
        self.refused(result, 11, "error[different]: dump.safetensors: 1 of 310 arrays depart, the first is step 1 gradient "
                     "down2.maxpool_conv.1.double_conv.0.weight", stdout_empty=False)

    def test_a_wrong_momentum_is_named_as_the_optimisers(self):
        result = self.audit("--device", "ref", dump=self.changed(lambda f: f.header["__metadata__"].update({"optimiser.beta1": "0.8"})))
        self.refused(result, 11, "the first is step 3 loss", "look at: the steps before it: the optimiser and its settings", stdout_empty=False)

    def test_missing_extra_and_misshapen_arrays_are_listed(self):
        def change(file):
            file.header["gradient/inc.double_conv.0.wait"] = file.header.pop("gradient/inc.double_conv.0.weight")
            file.header["step1/outc.conv.weight"]["shape"] = [2, 1, 1, 1]
        self.refused(self.audit(dump=self.changed(change)), 5, "  missing: gradient/inc.double_conv.0.weight 2x3x3x3",
                     "  unexpected: gradient/inc.double_conv.0.wait 2x3x3x3", "  misshapen: step1/outc.conv.weight is 2x1x1x1, expected 1x2x1x1")

    def test_a_truncated_file_is_named(self):
        data = (DATA / "dump.pth").read_bytes()
        (self.folder / "cut.pth").write_bytes(data[:len(data) // 2])
        self.refused(self.audit(dump="cut.pth"), 4, "error[malformed]: cut.pth: ")
        self.changed(lambda f: f.body.pop())
        self.refused(self.audit(dump="dump.safetensors"), 4, "error[malformed]: dump.safetensors: ")

    def test_what_is_no_dump_and_no_device_is_refused(self):
        self.refused(self.audit(dump=DATA / "weights.pth"), 4, "weights.pth", "loss.kind")
        self.refused(self.audit("--device", "tpu"), 2, "tpu")
        self.refused(self.audit("--threads", "-1"), 2, "--threads")
        self.refused(self.audit(dump="nothing.pth"), 7, "nothing.pth")

    def test_the_scripts_of_the_page(self):
        python = python_with_torch()
        if python is None:
            self.skipTest("no Python with PyTorch here; the committed dump was made by the same scripts")
        make_audit_dump.make(str(self.folder), python=python)
        for device, most in (("ref", 1e-11), ("cpu", 2e-4)):
            result = self.run_furrow("model", "audit", "weights.pth", "--backward", "dump.pth", "--device", device, "--json")
            report = json.loads(result.stdout)
            self.assertEqual(result.returncode, 0, report.get("error"))
            # Every step is kept: 62 gradients, ten losses, 118 entries of the state dictionary after each of ten steps.
            self.assertGreater(len(report["arrays"]), 1000)
            self.assertLess(max(row["max"] for row in report["arrays"] if row["part"] == "gradient"), most)

    def test_the_script_is_short(self):
        page = (program.ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
        block = page.split("```python\n")[1].split("```")[0]
        self.assertLessEqual(sum(bool(line.strip()) for line in block.splitlines()), 33)


if __name__ == "__main__":
    unittest.main()
