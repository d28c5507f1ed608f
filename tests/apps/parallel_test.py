#!/usr/bin/env python3
"""`mpirun -n N furrow train`: two processes are one with twice the batch, a lost one ends all, a signal stops all.

    parallel_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import os
import shutil
import signal
import sys
import time

if len(sys.argv) > 1 and os.path.exists(sys.argv[1]):
    sys.argv[1] = os.path.abspath(sys.argv[1])  # the tests run it in folders of their own

from program import *  # noqa: E402, F403

MPIRUN = shutil.which("mpirun")
PLUGIN = pathlib.Path(FURROW).parent / "furrow-mpi.so"
NO_MPI = "" if MPIRUN and PLUGIN.exists() else \
    "no mpirun on the path" if not MPIRUN else "this build has no furrow-mpi.so (CMake found no MPI, or FURROW_MPI=OFF)"
# As root in a container, with more processes than processors, and over nothing but this machine's memory.
LAUNCH = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader"]


def values(path) -> dict:
    """The floating tensors of a checkpoint by name."""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    out = {}
    for name, entry in header.items():
        if name in ("__metadata__", "seal") or entry["dtype"] not in ("F32", "F64"):
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        form = {"F32": "f", "F64": "d"}[entry["dtype"]]
        out[name] = struct.unpack(f"<{(end - begin) // struct.calcsize(form)}{form}", data[begin:end])
    return out


def distance(a: dict, b: dict, prefix: str = "model.") -> float:
    """The largest difference between two checkpoints' tensors."""
    assert a.keys() == b.keys()
    return max(abs(x - y) for name in a if name.startswith(prefix) for x, y in zip(a[name], b[name]))


class Parallel(Program):
    PAIRS = 9

    def setUp(self):
        super().setUp()
        for i in range(self.PAIRS):
            line = lambda x, y: 2 <= x < 30 and y == 3 + 2 * i + x // 8
            for name, data in (("images", png(32, 32, lambda x, y: 230 if line(x, y) else (x * 5 + y * 11 + i * 37) % 200)),
                               ("masks", gray(32, 32, lambda x, y: 255 if line(x, y) else 0))):
                (self.folder / name).mkdir(exist_ok=True)
                (self.folder / name / f"{i}.png").write_bytes(data)

    def words(self, run, batch, *more, device="cpu", epochs=2):
        return ["train", "--images", "images", "--masks", "masks", "-o", run, "--set", "size=32", "--set", "model.base=4",
                "--set", f"batch_size={batch}", "--set", f"epochs={epochs}", "--set", "log_every=1", "--set", "preflight=false",
                "--set", "val_percent=0.2", "--set", "overlays=0", "--set", "threads=1", "--device", device, *more]

    def start(self, count, words, **more):
        return subprocess.Popen([MPIRUN, *LAUNCH, "-n", str(count), FURROW, *words], cwd=self.folder,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **more)

    def together(self, count, words, status=0, timeout=120):
        process = self.start(count, words)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        self.assertEqual(process.returncode, status, err.decode(errors="replace"))
        return out.decode(), err.decode(errors="replace")

    def alone(self, words):
        result = self.run_furrow(*words, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)

    def checkpoint(self, run):
        return values(self.folder / run / "checkpoints" / "last.safetensors")


@unittest.skipIf(NO_MPI, NO_MPI)
class Training(Parallel):
    # 8 examples are trained on: with batches of 3, an epoch's last batch has 2, so that one of three processes is absent.
    def test_several_processes_are_one_with_their_batch(self):
        # In float64 what remains is the order of sums, 1e-16 a term: 1e-10 leaves room for AdamW's division by the root
        # of a small square. In float32 SGD, whose steps are as exact as their gradients.
        self.alone(self.words("one3", 3, device="ref"))
        self.together(3, self.words("three", 1, device="ref"))
        self.assertLess(distance(self.checkpoint("one3"), self.checkpoint("three")), 1e-10)

        sgd = ["--set", "optimiser.name=sgd", "--set", "learning_rate=0.01", "--set", "model.dropout=0.2"]
        self.alone(self.words("one2", 2, *sgd))
        out, err = self.together(2, self.words("two", 1, *sgd))
        self.assertIn("2 processes", err)
        self.assertEqual(out.count("epochs"), 1, "one process prints")
        one, two = self.checkpoint("one2"), self.checkpoint("two")
        self.assertLess(distance(one, two), 1e-5)
        self.together(2, self.words("again", 1, *sgd))
        self.assertEqual(two, self.checkpoint("again"), "the same bits whoever is early")
        # That the test can fail: batches of another size end elsewhere.
        self.alone(self.words("other", 1, *sgd))
        self.assertGreater(distance(one, self.checkpoint("other")), 1e-4)
        lines = [[json.loads(line) for line in (self.folder / run / "metrics.jsonl").read_text().splitlines()]
                 for run in ("one2", "two")]
        self.assertEqual(len(lines[0]), len(lines[1]))
        for a, b in zip(*lines):
            self.assertEqual(a.keys(), b.keys())
            for key in a:
                if isinstance(a[key], float):
                    self.assertAlmostEqual(a[key], b[key], delta=1e-5 * max(1, abs(a[key])), msg=key)

    def test_cross_entropy_and_accumulation_too(self):
        more = ["--set", "loss.form=ce", "--set", "model.classes=2", "--set", "masks.kind=classes",
                "--set", "masks.classes={0: 0, 255: 1}", "--set", "accumulate=2"]
        self.alone(self.words("one", 2, *more, device="ref"))
        self.together(2, self.words("two", 1, *more, device="ref"))
        self.assertLess(distance(self.checkpoint("one"), self.checkpoint("two")), 1e-10)

    def test_a_signal_to_any_process_stops_all_and_the_run_goes_on(self):
        words = self.words("run", 1, epochs=3)
        self.together(2, self.words("whole", 1, epochs=3))
        process = self.start(2, words)
        other = self.process_of_rank(process, 1)
        self.wait_for_steps(process)
        os.kill(other, signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 143, err)
        self.assertIn(b"interrupted", out)
        self.assertNotEqual(values(self.folder / "run/checkpoints/last.safetensors"), self.checkpoint("whole"))
        refused = self.run_furrow("train", "--resume", "run")
        self.refused(refused, 2, "trained by 2 processes", "mpirun -n 2")
        self.together(2, ["train", "--resume", "run"])
        self.assertEqual(self.checkpoint("run"), self.checkpoint("whole"))

    def test_a_killed_process_ends_all(self):
        process = self.start(2, self.words("run", 1, epochs=1000))
        other = self.process_of_rank(process, 1)
        self.wait_for_steps(process)
        os.kill(other, signal.SIGKILL)
        begin = time.monotonic()
        process.communicate(timeout=30)
        self.assertNotEqual(process.returncode, 0)
        self.assertLess(time.monotonic() - begin, 20)

    def test_an_error_of_one_ends_all_with_its_line(self):
        # Only process 1 has another configuration: both see it, and process 0 says it.
        result = self.one_differs("--set seed=7", self.words("run", 1))
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn(b"error[configuration]: process 1 of 2 has another configuration", result.stderr)
        self.assertEqual(result.stderr.count(b"error["), 1, result.stderr)
        # Only process 1 fails.
        words = [w for w in self.words("run", 1) if w not in ("--images", "images")]
        result = self.one_differs("--images nowhere", [*words, "--set", "image_dir=images"])
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertIn(b"process 1 of 2: error[io]", result.stderr)

    def test_processes_agree_before_gpus_are_joined(self):
        # Otherwise one would wait for the others' half of joining, which they never begin.
        nccl = "--parallel nccl"
        for device in ("cpu", "cpu-emulated"):
            for all_have, one_has, what in ((nccl, "--set seed=7", "configuration"), ("", nccl, "way of exchange (--parallel)")):
                with self.subTest(device=device, one_has=one_has):
                    result = self.one_differs(one_has, self.words("run", 1, *all_have.split(), device=device))
                    self.assertEqual(result.returncode, 3, result.stderr)
                    self.assertIn(f"process 1 of 2 has another {what}".encode(), result.stderr)
            out, err = self.together(2, self.words("run", 1, "--parallel", "nccl", device=device), status=2)
            self.assertEqual(err.count("error["), 1, err)
            self.assertRegex(err, rf"error\[usage\]: --parallel nccl joins GPUs, and this is device {device}")

    def one_differs(self, more, words):
        """Two processes, of which process 1 is given `more` words, which count more than the same ones before."""
        tool = self.folder / "one_differs"
        tool.write_text(f'#!/bin/sh\n[ "$OMPI_COMM_WORLD_RANK" = 1 ] && set -- "$@" {more}\nexec {FURROW} "$@"\n')
        tool.chmod(0o755)
        return subprocess.run([MPIRUN, *LAUNCH, "-n", "2", str(tool), *words], cwd=self.folder, capture_output=True,
                              timeout=60)

    def test_a_loss_over_the_whole_batch_is_refused(self):
        for more in ((), ("--set", "model.classes=2"), ("--set", "loss.form=soft_dice", "--set", "model.classes=2")):
            with self.subTest(more):
                out, err = self.together(2, self.words("run", 1, "--set", "loss.form=L0", *more), status=5)
                self.assertIn("mixes the images of a batch", err)
                self.assertFalse((self.folder / "run").exists())

    def wait_for_steps(self, process):
        log = self.folder / "run" / "metrics.jsonl"
        for _ in range(3000):
            if log.exists() and log.stat().st_size > 0:
                return
            self.assertIsNone(process.poll(), "it ended before its first step")
            time.sleep(0.02)
        self.fail("no step in a minute")

    def process_of_rank(self, mpirun, rank):
        """Its id, once it is there: the child of mpirun whose environment says so."""
        for _ in range(1000):
            for task in pathlib.Path(f"/proc/{mpirun.pid}/task").glob("*/children"):
                for child in task.read_text().split():
                    try:
                        environment = pathlib.Path(f"/proc/{child}/environ").read_bytes()
                    except OSError:
                        continue
                    if f"OMPI_COMM_WORLD_RANK={rank}\0".encode() in environment:
                        return int(child)
            time.sleep(0.02)
        self.fail("mpirun has no such process")


class WithoutMpi(Parallel):
    def test_a_launch_without_the_plug_in_is_one_line(self):
        env = {**os.environ, "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "FURROW_MPI": "/nowhere.so"}
        self.refused(self.run_furrow(*self.words("run", 1), env=env), 8, "MPI plug-in", "/nowhere.so", "--parallel none")
        alone = self.run_furrow(*self.words("run", 4, "--parallel", "none", epochs=1), env=env)
        self.assertEqual(alone.returncode, 0, alone.stderr)

    def test_a_file_that_is_no_plug_in_is_refused(self):
        other = [path for path in ("/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6") if os.path.exists(path)]
        if not other:
            self.skipTest("no libm.so.6 where it is looked for")
        env = {**os.environ, "FURROW_MPI": other[0]}
        self.refused(self.run_furrow(*self.words("run", 1, "--parallel", "mpi"), env=env), 8, "no plug-in of Furrow")


if __name__ == "__main__":
    unittest.main()
