"""The stages of scripts/gpu_check.sh, each within its own time and all within one; writes the report and prints it.

Standard library only. Programs are found below --programs as a build folder has them; tests run in the folder that holds
this tree (or a prepared copy of the parts that they read).
"""
import argparse
import concurrent.futures
import datetime
import glob
import json
import os
import pathlib
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import parity
import report as reports
import side_by_side
from machine import Sampler, imports_torch, smi

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Most seconds a stage may take, at full size, and what must be left for the stages after it.
LIMITS = {"environment": 10, "conformance": 40, "kernel tests": 120, "parity": 40, "cold start": 30, "benchmark": 240, "peers": 400}


DEVICE_ERROR = 8   # exit status of every program of furrow that does not get its device


class OutOfTime(Exception):
    """Also: no GPU to go on with."""


class Run:
    def __init__(self, options):
        self.options = options
        self.programs = pathlib.Path(options.programs).resolve()
        self.end = time.monotonic() + 60 * options.minutes - 3   # 3 s to write and print
        self.stage_end = self.end
        self.scratch = None
        self.unusable = ""   # why there is no GPU to go on with
        self.report = {"schema": reports.SCHEMA, "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
                       "commit": options.commit, "command": "scripts/gpu_check.sh " + shlex.join(shlex.split(options.command)),
                       "device": options.device, "sizes": options.sizes, "machine": {}, "versions": {"python": platform.python_version()},
                       "stages": [], "checks": [], "ceilings": [], "rows": [], "peers": [], "ratios": [], "not_run": [], "ok": False}

    @property
    def emulated(self):
        return self.options.device == "cpu-emulated"

    @property
    def tiny(self):
        return self.options.sizes == "tiny"

    def check(self, name, ok, detail):
        self.report["checks"].append({"name": name, "ok": bool(ok), "detail": detail})

    def left(self):
        return self.stage_end - time.monotonic()

    def call(self, command, most=None, **more):
        """A program's (status, output, seconds). Its process group ends with the time of the stage, or `most` seconds."""
        limit = self.left() if most is None else min(most, self.left())
        if limit <= 0.5:
            raise OutOfTime(f"no time left for {pathlib.Path(command[0]).name}")
        start = time.monotonic()
        environment = {**os.environ, **more.pop("env", {})}
        process = subprocess.Popen([str(c) for c in command], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True, **more)
        try:
            output, _ = process.communicate(timeout=limit)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            status = "timeout"
        return status, output.decode(errors="replace"), time.monotonic() - start

    def stage(self, name, body):
        start = time.monotonic()
        self.stage_end = min(self.end, start + LIMITS[name] * (2 if self.emulated else 1))
        checks_before, status, reason = len(self.report["checks"]), "passed", ""
        try:
            if self.unusable:
                raise OutOfTime(self.unusable)
            reason = body() or ""
            if reason.startswith("not run"):
                status, reason = "not run", reason[len("not run: "):]
        except OutOfTime as error:
            status, reason = "not run", str(error)
            self.report["not_run"].append(f"{name}: {error}")
            if name in ("conformance", "kernel tests", "parity"):   # without these, nothing says that results are right
                self.check(name, False, f"not finished: {error}")
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            status, reason = "failed", f"{type(error).__name__}: {error}"
            self.check(name, False, reason)
        if status == "passed" and not all(c["ok"] for c in self.report["checks"][checks_before:]):
            status = "failed"
        self.report["stages"].append({"name": name, "status": status, "seconds": round(time.monotonic() - start, 2), "reason": reason})

    # -- stages ------------------------------------------------------------------------------------------------------
    def environment(self):
        cpu = platform.processor() or platform.machine()
        if os.path.exists("/proc/cpuinfo"):
            found = re.search(r"model name\s*:\s*(.+)", open("/proc/cpuinfo").read())
            cpu = found.group(1) if found else cpu
        self.report["machine"] = {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "system": platform.platform(), "gpu": smi()}
        status, output, _ = self.call([self.programs / "apps/furrow", "--version"])
        self.report["versions"]["furrow"] = output.split("\n")[0].strip() if status == 0 else "?"
        self.check("program starts", status == 0, output.strip()[:200])

    def conformance(self):
        program = self.programs / "tests/cuda/conformance/furrow_conformance"
        stored = pathlib.Path(self.options.out).with_suffix(".conformance.bin") if not self.emulated else self.scratch / "conformance.bin"
        status, output, _ = self.call([program, "--device", self.options.device, "--write", stored])
        self.check("conformance: written", status == 0, output.strip()[-500:])
        if status == DEVICE_ERROR:
            self.unusable = output.strip()[-500:]
        if status == 0:
            status, output, _ = self.call([program, "--replay", stored])
            self.check("conformance: the emulator answers as the device did", status == 0, output.strip()[-500:])

    def kernel_tests(self):
        programs = sorted(glob.glob(str(self.programs / "tests/cuda/**/cuda_*_test"), recursive=True))
        # Those of vendor/ test the host's side alone, against libraries that their build folder holds.
        programs = [p for p in programs if os.path.isfile(p) and os.access(p, os.X_OK) and "vendor" not in pathlib.Path(p).parts]
        self.check("kernel tests: programs found", programs, f"{len(programs)} below {self.programs / 'tests/cuda'}")
        late = []

        def one(program):
            name = os.path.basename(program)
            results = self.scratch / f"{name}.json"
            try:
                status, output, seconds = self.call([program, f"--gtest_output=json:{results}", *self.tests_of(program)], most=180 if self.emulated else 60,
                                                    env=self.test_environment())
            except OutOfTime as error:
                late.append(name)
                return self.check(f"kernel tests: {name}", False, str(error))
            if status != 0:
                failed = re.findall(r"\[  FAILED  \] (\S+) \(", output)
                return self.check(f"kernel tests: {name}", False, f"status {status}; {' '.join(failed) or output.strip()[-300:]}")
            told = json.load(open(results)) if results.exists() else {}   # a program without GoogleTest has only its status
            tests = [t for suite in told.get("testsuites", []) for t in suite.get("testsuite", [])]
            skipped = sum(t.get("result") == "SKIPPED" for t in tests)
            self.check(f"kernel tests: {name}", True, f"{len(tests)} tests, {skipped} skipped, {seconds:.1f} s")
            for test in tests:
                if test["classname"] == "CudaTape":   # gradients of a whole network
                    self.check(f"gradient parity: {test['name']}", test.get("result") == "COMPLETED", "in " + name)

        # One after another on a GPU, whose tests would fight for it.
        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)) if self.emulated else 1) as pool:
            list(pool.map(one, programs))
        if late:
            self.report["not_run"] += [f"kernel tests: {name}: no time left" for name in late]

    def tests_of(self, program):
        """All tests on a GPU. On the emulator, where CTest runs each of them by itself, the first of each suite."""
        if not self.emulated:
            return []
        _, listed, _ = self.call([program, "--gtest_list_tests"], env=self.test_environment())
        first = re.findall(r"^(\S+\.)(?: +#.*)?\n  (\S+)", listed, re.MULTILINE)
        return ["--gtest_filter=" + ":".join(suite + test for suite, test in first)] if first else []   # none: a program without GoogleTest

    def test_environment(self):
        return {"FURROW_TEST_DEVICE": "", "FURROW_TEST_SCHEDULES": "one"} if self.emulated else {"FURROW_TEST_DEVICE": "cuda"}

    def segment(self, device, precision, out, size, threshold):
        command = [self.programs / "apps/furrow", "segment", ROOT / "examples/astronaut.png", "--device", device, "--size", size, "--crop", "none",
                   "--threshold", threshold, "--save", "prob,json", "--prob-bits", "16", "--force", "-o", self.scratch / out]
        status, output, seconds = self.call(command + (["--precision", precision] if precision else []))
        if status != 0:
            raise ValueError(f"segment --device {device} {precision or ''}: status {status}: {output.strip()[-300:]}")
        return self.scratch / out / "astronaut.prob.png", seconds

    def parity(self):
        # At 64 pixels the network sees little: a low threshold, so that there are marks to compare.
        size, threshold = (64, 0.001) if self.tiny else (512, 0.6)
        want, _ = self.segment("cpu", None, "cpu", size, threshold)
        for precision, logit_margin in parity.MARGINS.items():
            got, _ = self.segment(self.options.device, precision, precision, size, threshold)
            found = parity.compare(got, want, threshold, logit_margin)
            self.check(f"parity: segment in {precision} marks what the cpu marks", found.ok, found.text)

    def cold_start(self):
        size, seconds = 64 if self.tiny else 512, []
        for _ in range(2 if self.tiny else 7):   # quartiles take two
            seconds.append(self.segment(self.options.device, None, "cold", size, 0.6)[1])
        q1, median, q3 = statistics.quantiles(seconds, n=4, method="inclusive")
        self.report["rows"].append({"group": "cold start", "name": f"furrow segment {size}, process to picture on disk", "ms": 1e3 * median, "q1_ms": 1e3 * q1, "q3_ms": 1e3 * q3,
                                    "repeats": len(seconds), "timed": "wall", "tflops": None, "gbps": None, "floor_ms": None, "fraction_of_floor": None, "note": "fp16; the first run fills the disk cache"})

    def benchmark(self):
        out = self.scratch / "bench.json"
        with Sampler() as sampler:
            status, output, _ = self.call([self.programs / "bench/gpu/furrow_gpu_bench", "--device", self.options.device, "--sizes", self.options.sizes,
                                           "--seconds", f"{max(self.left() - 15, 5):.0f}", "--json", out])
        if sampler.samples:
            self.report["machine"]["gpu_during_benchmark"] = sampler.summary()
        if out.exists():
            told = json.load(open(out))
            self.report["device"] = told["device"]
            self.report["not_run"] += told["not_run"]
            for ceiling in told["ceilings"]:
                self.take_check(f"ceiling {ceiling['name']}", ceiling)
                if ceiling["value"] is not None:
                    self.report["ceilings"].append(ceiling)
            for named in told["checks"]:
                self.take_check(named["name"], named)
            for row in told["rows"]:
                self.take_check(f"{row['group']} {row['name']}", row)
                row.update(sampler.between(row["began"], row["ended"]))
            self.report["rows"] += told["rows"]
        self.check("benchmark: finished", status == 0, f"status {status}: {output.strip()[-300:]}")

    def take_check(self, name, item):
        c = item["check"]
        self.check(name, c["ok"], f"{c['what']}: {c['value']}, allowed {c['bound']}" + (f"; {c['note']}" if c["note"] else ""))

    def peers(self):
        if self.options.no_peers:
            self.report["not_run"].append("peers: --no-peers")
            return "not run: --no-peers"
        python = next((p for p in (os.environ.get("FURROW_PEER_PYTHON"), sys.executable, "python3", "/usr/bin/python3") if p and imports_torch(p)), None)
        if python is None:
            self.report["not_run"].append("peers: no Python with PyTorch found")
            return "not run: no Python with PyTorch found (FURROW_PEER_PYTHON names one)"
        self.side_by_side(python)
        out = self.scratch / "peers.json"
        status, output, _ = self.call([python, ROOT / "bench/peers/torch_gpu.py", "--device", "cpu" if self.emulated else "cuda", "--sizes", self.options.sizes,
                                       "--seconds", f"{max(self.left() - 10, 5):.0f}", "--json", out])
        if out.exists():
            told = json.load(open(out))
            self.report["versions"].update(told["versions"])
            self.report["peers"] += told["rows"]
            self.report["not_run"] += told["not_run"]
            self.report["ceilings"] += told["ceilings"]
        return "" if status == 0 else f"status {status}: {output.strip()[-300:]}"   # a peer that fails says nothing about furrow

    def side_by_side(self, python):
        """Ratios, in most of the time that is left, four minutes at most; their bars are of sm_90 and count as checks."""
        sizes = ["--sizes", self.options.sizes]
        ours = [self.programs / "bench/gpu/furrow_gpu_bench", "--device", self.options.device, *sizes, "--turns"]
        peer = [python, ROOT / "bench/peers/torch_turns.py", "--device", "cpu" if self.emulated else "cuda", *sizes]
        with Sampler() as sampler:
            ratios, checks, not_run = side_by_side.run(ours, peer, self.tiny, self.report["device"].endswith("sm_90"), self.scratch, time.monotonic() + min(240, 0.7 * self.left()))
        for ratio in ratios:
            ratio.update(sampler.between(ratio["began"], ratio["ended"]))
        self.report["ratios"] += ratios
        self.report["checks"] += checks
        self.report["not_run"] += not_run
        for r in ratios:
            if r["bar"] is not None:
                self.check(f"ratio {r['row']} to {r['peer']}", r["ok"], f"{r['ratio']['median']:.2f} ({r['ratio']['q1']:.2f} to {r['ratio']['q3']:.2f}), at least {r['bar']}")

    def run(self):
        with tempfile.TemporaryDirectory() as scratch:
            self.scratch = pathlib.Path(scratch)
            for name in reports.STAGES:
                self.stage(name, getattr(self, name.replace(" ", "_")))
        self.report["ok"] = reports.verdict(self.report)
        out = pathlib.Path(self.options.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(self.report, indent=1) + "\n")
        found = reports.problems(self.report)
        if found:
            print("\n".join(found), file=sys.stderr)
            return 3
        reports.print_table(self.report)
        print(f"written: {out}")
        return 0 if self.report["ok"] else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    parser.add_argument("--device", choices=("cuda", "cpu-emulated"), required=True)
    parser.add_argument("--sizes", choices=("tiny", "full"), required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--command", default="")
    parser.add_argument("--no-peers", action="store_true")
    return Run(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
