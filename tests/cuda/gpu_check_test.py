#!/usr/bin/env python3
"""scripts/gpu_check.sh on the emulator, start to end: the report it writes, and that wrong results fail it.

    gpu_check_test.py BUILD_FOLDER
"""
import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts/gpu_check"))
sys.dont_write_bytecode = True
import report as reports  # noqa: E402

BUILD = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build/release")


class GpuCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.out = pathlib.Path(cls.folder.name) / "report.json"
        cls.done = subprocess.run([ROOT / "scripts/gpu_check.sh", "--device", "cpu-emulated", "--prebuilt", BUILD, "--no-peers", "--out", cls.out],
                                 capture_output=True, text=True, timeout=280)
        cls.report = json.loads(cls.out.read_text()) if cls.out.exists() else None

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def verdict_of(self, report):
        """Exit status of the report step."""
        file = pathlib.Path(self.folder.name) / "changed.json"
        file.write_text(json.dumps(report))
        return subprocess.run([sys.executable, ROOT / "scripts/gpu_check/report.py", file], capture_output=True).returncode

    def test_passes_and_writes_a_report(self):
        self.assertIsNotNone(self.report, self.done.stdout + self.done.stderr)
        self.assertEqual(reports.problems(self.report), [])
        self.assertEqual([c for c in self.report["checks"] if not c["ok"]], [])
        self.assertEqual([s["name"] for s in self.report["stages"] if s["status"] != "passed"], ["peers"])
        self.assertEqual(self.done.returncode, 0, self.done.stdout[-2000:] + self.done.stderr)
        self.assertEqual(self.verdict_of(self.report), 0)

    def test_every_kernel_test_program_ran(self):
        wanted = set()
        for file in set((ROOT / "tests/cuda").rglob("CMakeLists.txt")) - {ROOT / "tests/cuda/vendor/CMakeLists.txt"}:   # fakes on the host
            wanted |= set(re.findall(r"furrow_test\((cuda_\w+)", file.read_text()))
        self.assertGreater(len(wanted), 10)
        ran = {c["name"].split(": ")[1] for c in self.report["checks"] if c["name"].startswith("kernel tests: cuda_")}
        self.assertEqual(wanted - ran, set())

    def test_every_kernel_test_program_is_built(self):
        """The check builds what it needs by labels: one that it does not know would be missing from every fresh build."""
        targets = re.search(r"^targets=\((.*)\)", (ROOT / "scripts/gpu_check.sh").read_text(), re.MULTILINE)[1].split()
        for file in set((ROOT / "tests/cuda").rglob("CMakeLists.txt")) - {ROOT / "tests/cuda/vendor/CMakeLists.txt"}:
            for label in re.findall(r"furrow_test\(cuda_[^)]*LABELS (\w+)", file.read_text()):
                self.assertIn(f"build_{label}_tests", targets)

    def test_all_groups_have_rows(self):
        self.assertEqual({r["group"] for r in self.report["rows"]}, {"cold start", "network", "layer", "loss", "optimiser", "picture", "ladder"})
        for precision in ("fp32", "tf32", "bf16", "fp16"):
            self.assertEqual(sum(r["group"] == "layer" and r["name"].endswith(precision) for r in self.report["rows"]), 22)
        self.assertTrue(any(c["name"].startswith("gradient parity") for c in self.report["checks"]))
        self.assertIn("second-level cache", {c["name"] for c in self.report["ceilings"]})
        self.assertTrue(any("peers" in reason for reason in self.report["not_run"]))

    def test_networks_are_held_against_float64(self):
        """Structured inputs, an odd size, batch 1 and 3, every precision; what the bound is and how it comes about is said."""
        found = {c["name"]: c["detail"] for c in self.report["checks"] if c["name"].startswith("correctness ")}
        for shape, sets in (("27x21 b1", 8), ("25x19 b3", 2)):
            for precision, least in (("fp32", 2e-6), ("tf32", 1e-3), ("bf16", 1e-2), ("fp16", 2e-3)):
                detail = found[f"correctness unet4 {shape} {precision}"]
                told = re.fullmatch(r"logits against float64, norm of the difference over the norm: (\S+), allowed (\S+); (\d) sets, \d+ of \d+ signs flipped, 0 not finite"
                                    r"(?:; rounding weights and input alone: (\S+))?", detail)
                self.assertIsNotNone(told, detail)
                self.assertEqual(int(told[3]), sets)
                self.assertLess(0, float(told[1]))
                if precision == "fp32":
                    self.assertEqual(float(told[2]), least)
                else:
                    self.assertAlmostEqual(float(told[2]) / max(least, 2 * float(told[4])), 1, delta=0.05)
        self.assertEqual(len(found), 12)

    def test_a_wrong_result_fails(self):
        for i in (0, len(self.report["checks"]) // 2, -1):
            wrong = copy.deepcopy(self.report)
            wrong["checks"][i]["ok"] = False
            self.assertEqual(self.verdict_of(wrong), 1)
        failed = copy.deepcopy(self.report)
        failed["stages"][2]["status"] = "failed"
        self.assertEqual(self.verdict_of(failed), 1)
        empty = copy.deepcopy(self.report)
        empty["checks"] = []
        self.assertEqual(self.verdict_of(empty), 1)

    def test_what_is_no_report_is_refused(self):
        for change in ({"schema": 99}, {"rows": [{"group": "layer"}]}, {"stages": []}, {"checks": [{"name": "x", "ok": "yes", "detail": ""}]}):
            self.assertEqual(self.verdict_of({**self.report, **change}), 3, change)

    def test_unknown_words_are_refused(self):
        for words in (["--device", "tpu"], ["--out"], ["--fast"], ["--minutes", "x"], ["--build", "a", "--prebuilt", "b"]):
            refused = subprocess.run([ROOT / "scripts/gpu_check.sh", *words], capture_output=True, text=True)
            self.assertEqual(refused.returncode, 2, words)
            self.assertTrue(refused.stderr.startswith("gpu_check.sh: "), refused.stderr)


if __name__ == "__main__":
    unittest.main()
