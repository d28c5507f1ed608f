#!/usr/bin/env python3
"""scripts/bench_cpu.sh with ours and fake peers at tiny sizes:  bench_cpu_test.py BUILD   Standard library only."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "bench_cpu"))
import case  # noqa: E402
import program  # noqa: E402
import samples  # noqa: E402
import settings  # noqa: E402
import svg  # noqa: E402
import table  # noqa: E402

BUILD = ""
FAKE = pathlib.Path(__file__).resolve().parent / "fake_peer.py"
TINY = ("--networks", "default model", "--sides", "32", "--batches", "1", "--threads", "1", "--precisions", "fp32", "--peers", "none")


def script(*words):
    return subprocess.run([ROOT / "scripts/bench_cpu.sh", "--no-build", "--build", BUILD, *map(str, words)], capture_output=True, text=True, check=False)


def text_of(path):
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def sample(wall, cpu, waited):
    return {"wall_s": wall, "cpu_s": cpu, "waited_s": waited}


class Guard(unittest.TestCase):
    def test_a_sample_is_clean_from_97_hundredths_on(self):
        self.assertTrue(samples.clean(sample(1, 0.97, 0.03)))
        self.assertFalse(samples.clean(sample(1, 0.969, 0.031)))
        self.assertTrue(samples.clean(sample(1, 0.5, 0.01)))    # it slept: nobody took anything from it
        self.assertFalse(samples.clean(sample(1, 0, 0)))

    def test_medians_are_of_clean_samples_alone(self):
        found = samples.summary([sample(1, 1, 0), sample(2, 2, 0), sample(3, 3, 0), sample(90, 1, 89)])
        self.assertEqual(found["ms"], {"median": 2000, "q1": 1500, "q3": 2500})
        self.assertEqual((found["clean"], found["turns"]), (3, 4))
        self.assertEqual(found["all_ms"]["median"], 2500)

    def test_without_a_clean_sample_there_is_no_time(self):
        found = samples.summary([sample(1, 0.5, 0.5)] * 3)
        self.assertIsNone(found["ms"])
        self.assertIsNone(samples.ratio(found["ms"], {"median": 1}))
        self.assertEqual(table.times(found), "no clean sample")

    def test_the_fastest_of_some_is_called_that(self):
        rows = [{"setting": "a", "ratio": 1.5}, {"setting": "b", "ratio": 2.0}, {"setting": "c", "ratio": None}]
        self.assertEqual(table.fastest(rows), "a (of 2 that have clean samples, of 3)")
        self.assertEqual((table.fastest(rows[:2]), table.fastest(rows[2:])), ("a", "none"))

    def test_infinities_do_not_reach_the_report(self):
        self.assertEqual(samples.rounded({"a": [1.23456789, float("inf"), float("nan"), 7]}), {"a": [1.2346, None, None, 7]})


class Processes(unittest.TestCase):
    def test_a_process_is_stopped_between_its_turns(self):
        with tempfile.TemporaryDirectory() as folder:
            busy = program.Program([sys.executable, "-c", "print('{}', flush=True)\nwhile True: pass"], None, f"{folder}/log")
            try:
                busy.answer(30)
                busy.pause()
                stat = pathlib.Path(f"/proc/{busy.process.pid}/stat")
                used = [stat.read_text().split()[13] for _ in range(2) if not time.sleep(0.1)]
                self.assertEqual(stat.read_text().split()[2], "T")
                self.assertEqual(used[0], used[1])
            finally:
                busy.stop()

    def test_run_once_tells_peak_memory_and_how_it_ended(self):
        with tempfile.TemporaryDirectory() as folder:
            found = program.run_once([sys.executable, "-c", "x = bytearray(200 << 20)"], None, f"{folder}/log", 60)
            self.assertGreater(found["peak_MiB"], 200)
            self.assertGreater(found["cpu_s"], 0)
            with self.assertRaisesRegex(program.Ended, "status 3: gone"):
                program.run_once([sys.executable, "-c", "import sys; print('gone', file=sys.stderr); sys.exit(3)"], None, f"{folder}/log", 60)
            with self.assertRaisesRegex(program.Ended, "signal 9"):
                program.run_once(["sleep", "60"], None, f"{folder}/log", 0.2)


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.json, cls.svg = f"{cls.folder.name}/new/report.json", f"{cls.folder.name}/picture.svg"
        fakes = [w for how in ("good", "differs", "misshapen", "dies", "stillborn", "busy", "mixed", "mute") for w in ("--add", f"fake {how}={sys.executable} {FAKE} {how}")]
        cls.done = script(*TINY, "--rounds", 2, "--out", cls.json, "--svg", cls.svg, *fakes)
        cls.told = json.loads(pathlib.Path(cls.json).read_text(encoding="utf-8")) if pathlib.Path(cls.json).exists() else {}
        cls.rows = {r["setting"]: r for r in cls.told.get("rows", [])}
        cls.missing = {n["setting"]: n["reason"] for n in cls.told.get("not_run", [])}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_it_ends_well_and_says_what_it_is(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr)
        self.assertTrue(self.told["ok"])
        self.assertEqual((self.told["schema"], self.told["kind"]), (1, "bench_cpu"))
        self.assertEqual(set(self.rows), {"Furrow", "fake good", "fake busy", "fake mixed"})

    def test_ours_is_measured(self):
        ours = self.rows["Furrow"]
        self.assertGreater(ours["all_ms"]["median"], 0)
        self.assertGreater(ours["peak_MiB"], 1)
        self.assertGreater(ours["flops"], 1e6)
        self.assertGreaterEqual(self.told["ceilings"]["flops_per_s"], 1e8)
        self.assertTrue(all(len(self.told[k]) > 0 for k in ("first", "checks", "versions")))

    def test_a_good_peer_has_its_times_and_agrees(self):
        good = self.rows["fake good"]
        self.assertAlmostEqual(good["ms"]["median"], 1001, 3)
        self.assertEqual((good["clean"], good["max_error"]), (good["turns"], 0))
        if good["ours_ms"]:   # a busy machine may leave ours no clean sample
            self.assertAlmostEqual(good["ratio"], 1001 / good["ours_ms"]["median"], delta=1e-3 * good["ratio"])
        self.assertLess(good["peak_MiB"], 1000)   # the one run that ended by itself took less
        self.assertEqual([p["disk_MiB"] for p in self.told["disk"]["peers"]], [7.0] * 3)

    def test_what_is_not_clean_does_not_count(self):
        self.assertEqual((self.rows["fake busy"]["ms"], self.rows["fake busy"]["ratio"], self.rows["fake busy"]["clean"]), (None, None, 0))
        self.assertEqual(self.rows["fake busy"]["turns"], 6)   # three times the rounds, and no more
        mixed = self.rows["fake mixed"]
        self.assertEqual((mixed["clean"], mixed["turns"]), (3, 6))
        self.assertAlmostEqual(mixed["ms"]["median"], 1001, 3)

    def test_each_that_failed_has_its_reason(self):
        self.assertEqual(set(self.missing), {"fake differs", "fake misshapen", "fake dies", "fake stillborn", "fake mute"})
        self.assertRegex(self.missing["fake differs"], "computes something else: a logit differs from ours by")
        self.assertRegex(self.missing["fake misshapen"], "not as many logits")
        self.assertRegex(self.missing["fake dies"], "in its turns: ended with status 1: out of luck")
        self.assertRegex(self.missing["fake stillborn"], "ended with status 1: no such model")
        self.assertRegex(self.missing["fake mute"], "in its turns: answered what is no JSON")
        for name, reason in self.missing.items():
            self.assertIn(f"{name}: {reason}", self.done.stdout)

    def test_the_tables_say_it(self):
        self.assertEqual(self.done.stdout.strip(), table.whole(self.told).strip())
        self.assertRegex(self.done.stdout, r"\| fake busy \| no clean sample \|  \|  \| [\d.]+ \| 0.0e\+00 \| 0 of 6 \| 2000 \|")
        self.assertIn("| fake good | 1001 (1001 to 1001) | 2000 |", self.done.stdout)
        self.assertRegex(self.done.stdout, r"furrow segment: the whole command on a photo, 1 thread \|")
        for block in self.done.stdout.split("\n\n"):   # every row of a table has its columns
            rows = [line for line in block.splitlines() if line.startswith("|")]
            self.assertLessEqual(len({line.count("|") for line in rows}), 1, block)

    def test_the_picture_is_drawn(self):
        text = pathlib.Path(self.svg).read_text(encoding="utf-8")
        self.assertEqual(text, svg.draw(self.told, table.cases(self.told)))
        drawn = xml.etree.ElementTree.fromstring(text)
        self.assertTrue(drawn.tag.endswith("svg"))
        self.assertNotRegex(text, r'="(nan|inf|-inf)"')

    def test_the_report_has_the_documented_fields(self):
        page = (ROOT / "bench/results/README.md").read_text(encoding="utf-8").split("bench_cpu.sh", 1)[1]
        known = set(re.findall(r"`(\w+)`", page))
        fields = set(self.told) | {k for name in ("rows", "first", "not_run", "checks") for r in self.told[name] for k in r} | set(self.told["machine"]) | set(self.told["guard"])
        fields |= set(self.told["disk"]) | {k for p in self.told["disk"]["peers"] for k in p} | set(self.told["ceilings"])
        self.assertEqual(fields - known, set())

    def test_readme_is_written_between_its_marks(self):
        text = table.with_part(f"a\n{table.BEGIN}old{table.END}\nb", table.readme_part(self.told))
        self.assertTrue(text.startswith(f"a\n{table.BEGIN}\n!["))
        self.assertTrue(text.endswith(f"{table.END}\nb"))
        self.assertNotIn("old", text)
        self.assertEqual(table.with_part(text, table.readme_part(self.told)), text)
        with self.assertRaisesRegex(ValueError, "has no"):
            table.with_part("no marks", "")


class Statuses(unittest.TestCase):
    def test_1_where_no_peer_agrees_with_ours(self):
        done = script(*TINY, "--rounds", 1, "--add", f"liar={sys.executable} {FAKE} differs")
        self.assertEqual(done.returncode, 1)
        self.assertIn("check failed: logits of default model, 32x32, batch 1, 1 thread: 0 settings agree with ours, 1 do not", done.stdout)

    def test_8_bits_are_held_to_float32(self):
        words = ["int8" if w == "fp32" else w for w in TINY]
        with tempfile.TemporaryDirectory() as folder:
            done = script(*words, "--rounds", 1, "--out", f"{folder}/report.json",
                          *(w for how in ("good", "differs") for w in ("--add", f"fake {how} int8={sys.executable} {FAKE} {how}")),
                          "--add", f"in float={sys.executable} {FAKE} good")
            told = json.loads(pathlib.Path(f"{folder}/report.json").read_text(encoding="utf-8"))
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {r["setting"]: r for r in told["rows"]}
        self.assertEqual({(name, r["precision"]) for name, r in rows.items()}, {("Furrow", "int8"), ("fake good int8", "int8")})
        moved = {name: r["rms_error"] / r["rms"] for name, r in rows.items()}
        self.assertEqual(moved["Furrow"], moved["fake good int8"])
        self.assertTrue(1e-4 < moved["Furrow"] < 0.05, moved)   # bytes, and the same network
        self.assertRegex(told["not_run"][0]["reason"], "computes something else: its logits differ from ours in float32 by")
        self.assertEqual(told["first"], [])
        self.assertIn("default model, 32², batch 1, 1 thread, int8", done.stdout)

    def test_1_where_ours_does_not_run(self):
        with tempfile.TemporaryDirectory() as folder:
            lab = case.Lab(f"{BUILD}/bench/cpu/furrow_cpu_turns", sys.executable, folder, lambda _: None)
            files = {"weights": "/nonexistent", "input": "/nonexistent", "logits": pathlib.Path(folder) / "y", "models": pathlib.Path(folder)}
            ours = settings.Setting("Furrow", "furrow", (lab.turns_program, "serve"))
            with self.assertRaisesRegex(program.Ended, "ended with status 1"):
                case.run_case(lab, settings.Case("default model", 32, 1, 1), [ours], files, 1)

    def test_1_where_it_is_interrupted_and_what_is_measured_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            words = [ROOT / "scripts/bench_cpu.sh", "--no-build", "--build", BUILD, *TINY, "--rounds", "1", "--out", f"{folder}/report.json"]
            running = subprocess.Popen([*words, "--add", f"fake hangs={sys.executable} {FAKE} hangs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       start_new_session=True, env={**os.environ, "TMPDIR": folder})
            end = time.monotonic() + 60
            while not list(pathlib.Path(folder).rglob("*.hangs")) and time.monotonic() < end:
                time.sleep(0.05)
            os.killpg(running.pid, signal.SIGTERM)
            out, _ = running.communicate(timeout=60)
            told = json.loads(pathlib.Path(f"{folder}/report.json").read_text(encoding="utf-8"))
            self.assertFalse(told["ok"])
            self.assertEqual([c["detail"] for c in told["checks"]], ["interrupted"])
            self.assertIn("not run: what comes after: everything: it was interrupted", out)
            self.assertNotEqual(running.returncode, 0)
            left = [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if str(folder) in text_of(p)]
            self.assertEqual(left, [])

    def test_what_is_not_installed_is_a_line_each(self):
        with tempfile.TemporaryDirectory() as folder:
            python = pathlib.Path(folder) / "python"
            python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n', encoding="utf-8")   # no packages
            python.chmod(0o755)
            done = script(*TINY[:-1], "torch,onnxruntime,openvino,ncnn", "--rounds", 1, "--python", python)
            self.assertEqual(done.returncode, 0, done.stderr)
            for peer, module in (("torch", "torch"), ("onnxruntime", "onnxruntime"), ("openvino", "openvino"), ("ncnn", "ncnn")):
                self.assertRegex(done.stdout, f"not run: everywhere: {peer}: Python has no .*{module}")

    def test_2_for_usage(self):
        for words in (["--peers", "caffe"], ["--rounds", "0"], ["--sides", "16"], ["--nonsense"], ["--precisions", "fp16"], ["--out"], ["--quick", "--svg", "x"], ["--add", "nameless"]):
            done = script(*words)
            self.assertEqual(done.returncode, 2, words)
            self.assertTrue(done.stderr, words)
        self.assertIn("Exit status", script("--help").stdout)


if __name__ == "__main__":
    BUILD = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
