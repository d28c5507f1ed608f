#!/usr/bin/env python3
"""scripts/gpu_check.sh on the emulator, start to end: the report it writes, and that wrong results fail it.

    gpu_check_test.py BUILD_FOLDER
"""
import copy
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts/gpu_check"))
sys.dont_write_bytecode = True
import report as reports  # noqa: E402
import side_by_side  # noqa: E402

BUILD = sys.argv.pop(1) if len(sys.argv) > 1 else str(ROOT / "build/release")


class GpuCheck(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.out = pathlib.Path(cls.folder.name) / "report.json"
        cls.done = subprocess.run([ROOT / "scripts/gpu_check.sh", "--device", "cpu-emulated", "--prebuilt", BUILD, "--no-peers", "--out", cls.out],
                                 capture_output=True, text=True, timeout=360)
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
        self.assertEqual({r["group"] for r in self.report["rows"]}, {"cold start", "network", "training", "layer", "loss", "optimiser", "picture", "ladder"})
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
        for family in ("resnet50-unet4", "attention-unet4", "resnet50-attention-unet4"):
            for precision, least in (("fp32", 2e-6), ("fp16", 2e-3)):
                told = re.search(r": (\S+), allowed (\S+); 1 sets, .*; rounding weights and input alone: (\S+)$", found[f"correctness {family} 39x33 b1 {precision}"])
                self.assertLess(0, float(told[1]))
                self.assertAlmostEqual(float(told[2]) / max(least, 2 * float(told[3])), 1, delta=0.05)
        self.assertEqual(len(found), 12 + 6)
        timed = {c["name"] for c in self.report["checks"] if c["name"].startswith("network resnet50-attention-unet4 32 b1 ")}
        self.assertEqual({name.split()[-1] for name in timed}, {"fp32", "fp16"})

    def test_training_is_held_against_float64(self):
        """20 steps of fp32 on the emulator, within what nearly equal trainings part by, and the first ones much closer."""
        found = {c["name"]: c["detail"] for c in self.report["checks"] if c["name"].startswith("training curve ")}
        self.assertEqual(list(found), ["training curve unet4 16 b4 fp32", "training curve unet4 16 b4 fp32, first steps"])
        whole, first = (re.match(r"loss of .* against float64, relative: (\S+), allowed (\S+?)(?:;|$)", detail) for detail in found.values())
        parted = re.search(r"20 steps, from (\S+) to (\S+); 4 courses of device cpu parted by (\S+)$", found["training curve unet4 16 b4 fp32"])
        self.assertAlmostEqual(float(whole[2]) / (4 * float(parted[3])), 1, delta=0.05)
        self.assertLess(float(parted[2]), 0.9 * float(parted[1]))
        self.assertEqual(float(first[2]), 1e-6)
        self.assertLess(0, float(first[1]))
        step = [c["detail"] for c in self.report["checks"] if c["name"] == "training unet4 16 b4 fp16 step"]
        self.assertEqual(len(step), 1)
        self.assertRegex(step[0], r"first step against fp32, share of what is allowed: 0\.\d+, allowed 1.*; loss off by \S+, allowed \S+; gradient's length by \S+, allowed \S+$")

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

    def test_ratios_may_be_there(self):
        spread = {"median": 1.0, "q1": 0.9, "q3": 1.1}
        ratio = {"row": "x", "peer": "y", "kind": "eager", "rounds": 3, "ours_ms": spread, "peer_ms": spread, "ratio": spread, "bar": None, "ok": True}
        before = {k: v for k, v in self.report.items() if k != "ratios"}   # as reports were before there were any
        self.assertEqual(self.report["ratios"], [])
        self.assertEqual([self.verdict_of(r) for r in (before, {**before, "ratios": [ratio]}, {**before, "ratios": [{**ratio, "ratio": 1.0}]})], [0, 0, 3])

    def test_unknown_words_are_refused(self):
        for words in (["--device", "tpu"], ["--out"], ["--fast"], ["--minutes", "x"], ["--build", "a", "--prebuilt", "b"]):
            refused = subprocess.run([ROOT / "scripts/gpu_check.sh", *words], capture_output=True, text=True)
            self.assertEqual(refused.returncode, 2, words)
            self.assertTrue(refused.stderr.startswith("gpu_check.sh: "), refused.stderr)


# A peer that takes turns with the program: what it was asked, and when, goes to a file.
PEER = """
import json, sys, time
for line in sys.stdin:
    open(sys.argv[1], "a").write(f"{time.monotonic()} {line}")
    if line.startswith(("prepare", "train")):
        path = line.split()[3]
        open(sys.argv[1], "a").write(f"0 bytes {len(open(path, 'rb').read())}\\n")
        print(json.dumps([{"kind": "eager", "name": "a"}, {"kind": "compile", "name": "b"}]), flush=True)
    elif line.startswith("errors"):
        sizes = [len(open(path, "rb").read()) for path in line.split()[2:]]
        open(sys.argv[1], "a").write(f"0 bytes {sizes[0]} {sizes[2]}\\n")
        print(json.dumps({"ours": 1.1, "torch": float(sys.argv[2])}), flush=True)
    elif len(sys.argv) > 2:
        sys.exit("it broke")
    else:
        print(1e6 if line == "run 0\\n" else 1e-6, flush=True)
"""


class SideBySide(unittest.TestCase):
    def programs(self, folder, *words):
        ours = side_by_side.Program("ours", [f"{BUILD}/bench/gpu/furrow_gpu_bench", "--turns"], folder / "ours.log")
        self.addCleanup(ours.stop)
        peer = side_by_side.Program("peer", [sys.executable, "-c", PEER, folder / "log", *words], folder / "peer.log")
        self.addCleanup(peer.stop)
        return ours, peer

    def run_beside(self, *words, has_bar=True, word="prepare"):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            ratios = side_by_side.compare(*self.programs(folder, *words), "row", 1, "fp32" if word == "train" else "fp16", "eager", folder / "in", 2, time.monotonic() + 60, has_bar, word)
            return ratios, (folder / "log").read_text().splitlines()

    def test_turns_alternate_and_bars_hold(self):
        ratios, log = self.run_beside()
        self.assertEqual([line.split()[1:3] for line in log], [["prepare", "1"], ["bytes", str(2 * 32 * 32 * 3 * 4)], *[["run", "0"], ["run", "1"]] * 2])
        self.assertEqual([(r["kind"], r["bar"], r["ok"], r["rounds"]) for r in ratios], [("eager", 1.9, True, 2), ("compile", 1.5, False, 2)])
        # Between the peer's last turn of one round and its first of the next lies ours.
        first, second = float(log[3].split()[0]), float(log[4].split()[0])
        self.assertGreater(second - first, 0.9e-3 * ratios[0]["ours_ms"]["q1"])
        self.assertAlmostEqual(ratios[0]["ratio"]["median"] / (1e6 / ratios[0]["ours_ms"]["median"]), 1, delta=0.5)
        self.assertEqual([r["bar"] for r in self.run_beside(has_bar=False)[0]], [None, None])

    def test_training_steps_take_turns(self):
        ratios, log = self.run_beside(word="train")
        self.assertEqual([line.split()[1:3] for line in log], [["train", "1"], ["bytes", str(2 * 32 * 32 * 4 * 4)], *[["run", "0"], ["run", "1"]] * 2])
        self.assertEqual([(r["bar"], r["ok"]) for r in ratios], [(None, True)] * 2)   # no bar yet

    def test_a_row_without_memory_is_left_out(self):
        lacking = "import sys\nfor line in sys.stdin: print('out of GPU memory: 9 MiB wanted', flush=True)"
        with tempfile.TemporaryDirectory() as folder:
            ours = side_by_side.Program("ours", [sys.executable, "-c", lacking], pathlib.Path(folder) / "ours.log")
            self.addCleanup(ours.stop)
            with self.assertRaisesRegex(side_by_side.NotHere, "^out of GPU memory: 9 MiB wanted$"):
                side_by_side.compare(ours, None, "row", 8, "bf16", "eager", "in", 2, time.monotonic() + 60, False, "train")

    def test_an_error_above_the_peers_is_wrong(self):
        for torchs, ok in ((1.0, True), (0.99, False), (math.nan, False)):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                check = side_by_side.precision(*self.programs(folder, str(torchs)), "bf16", "x", folder, time.monotonic() + 60)
                self.assertEqual(check["ok"], ok, check)
                self.assertEqual((folder / "log").read_text().splitlines()[-1], f"0 bytes {2 * 32 * 32 * 3 * 4} {2 * 32 * 32 * 4}")

    def test_a_peer_that_breaks_is_said_to(self):
        with self.assertRaisesRegex(side_by_side.Stopped, "peer ended: run: it broke"):
            self.run_beside("break")

    def test_words_that_are_none_are_refused(self):
        for words in ("prepare 1 fp7 x", "prepare 0 fp16 x", "train 65 fp16 x", "run", "fly"):
            done = subprocess.run([f"{BUILD}/bench/gpu/furrow_gpu_bench", "--turns"], input=words + "\n", capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn("--turns", done.stderr)


if __name__ == "__main__":
    unittest.main()
