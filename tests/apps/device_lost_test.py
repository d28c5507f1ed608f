#!/usr/bin/env python3
"""A device that is lost on the way ends the program with its cause; what was finished before is whole.

    device_lost_test.py PATH_TO_FURROW_LOSING PATH_TO_FURROW_GPU_BENCH_LOSING [unittest arguments]

Both are the programs with tests/apps/losing_runtime.cc in them.
"""
import json
import sys

BENCH = sys.argv.pop(2)

from evaluation import H, W, Evaluation
from program import *  # noqa: F403: run_furrow, photo, refused and the rest

HOW = ("--crop", "none", "--size", "32", "--device", "cpu-emulated")
CAUSE = "the GPU's work failed: unspecified launch failure; this process cannot use the GPU any more and must end"


class Lost(Program):
    def setUp(self):
        super().setUp()
        if b"cpu-emulated: this build left" in self.run_furrow("--version").stdout:
            self.skipTest("this build left the emulator out")

    def lose(self, at, *words, after="", once=""):
        more = {"LOSE_AT": at, "LOSE_AFTER": after, "LOSE_ONCE": once}
        return self.run_furrow(*words, timeout=280, env={**os.environ, **more})

    def ended(self, result, file):
        """By the one line of the cause, and nothing that counts photos."""
        self.refused(result, 8, f"error[device]: {file}: {CAUSE}", stdout_empty=False)
        for word in (b"failed\n", b"inputs failed", b" done", b"one at a time"):
            self.assertNotIn(word, result.stderr)

    def files(self, folder):
        root = self.folder / folder
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


class Segment(Lost):
    def setUp(self):
        super().setUp()
        for i, name in enumerate("abc"):
            (self.folder / "photos").mkdir(exist_ok=True)
            (self.folder / f"photos/{name}.png").write_bytes(png(50 + 20 * i, 70, lambda x, y: (x * (5 + 8 * i) + y * y) % 256))

    def run_segment(self, at, out, **more):
        return self.lose(at, "segment", "photos", "-o", out, "--save", "mask,prob,json", *HOW, **more)

    def results(self, out):
        """The files, and what the JSONs say but for how long it took."""
        found = self.files(out)
        for name in [name for name in found if name.endswith(".json")]:
            found[name] = json.loads(found[name])
            del found[name]["timings_ms"]
        return found

    def test_a_folder_ends_at_the_photo_that_lost_the_device(self):
        whole = self.run_segment("", "whole")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        result = self.run_segment("0:2", "out", after="1")   # c, in the first lane; b, in the second, was computed before
        self.ended(result, "photos/c.png")
        self.assertEqual([line.split(b":")[0] for line in result.stdout.splitlines()], [b"a.png", b"b.png"])
        want = self.results("whole")
        self.assertEqual(self.results("out"), {name: value for name, value in want.items() if not name.startswith("c.")})
        again = self.run_segment("", "out")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn(b"1 done, 2 finished before", again.stderr)
        self.assertEqual(self.results("out"), want)

    def test_the_second_network_of_the_device_is_not_given_up_for_it(self):
        """As it is where memory lacks, to try again with one."""
        self.ended(self.run_segment("1:1", "out", once="yes"), "photos/b.png")
        self.assertEqual([name for name in self.files("out") if not name.startswith("a.")], [])

    def test_a_shard_that_lost_the_device_is_not_finished(self):
        result = self.lose("1:1", "segment", "photos", "-o", "out", "--shard", "1/2", *HOW, after="0")   # a and c, a lane each
        self.ended(result, "photos/c.png")
        self.assertIn("a.json", self.files("out"))
        self.assertEqual([name for name in self.files("out") if "shard" in name], [])


class Evaluate(Evaluation, Lost):
    def test_binary(self):
        result = self.lose("0:3", "evaluate", "photos", "masks", "-o", "out", *HOW)
        self.ended(result, "photos/00002.png")
        self.assertEqual((result.stdout, self.files("out")), (b"", {}))

    def test_classes(self):
        for n in range(5):   # photos and masks of the size that a network is trained at
            self.put(f"pictures/{n}.png", png(32, 32, lambda x, y: (x * 3 + y * n) % 256))
            self.put(f"kinds/{n}.png", gray(32, 32, lambda x, y: 255 * ((x + y + n) % 5 == 0)))
        settings = ("size=32", "model.base=2", "model.classes=2", "batch_size=2", "epochs=1", "preflight=false", "threads=1",
                    "masks.kind=classes", "masks.classes={0: 0, 255: 1}", "loss.form=ce")
        trained = self.run_furrow("train", "--images", "pictures", "--masks", "kinds", "-o", "run", "--device", "cpu",
                                  *(word for setting in settings for word in ("--set", setting)))
        self.assertEqual(trained.returncode, 0, trained.stderr)
        words = ("evaluate", "photos", "masks", "--weights", "run/model.safetensors", "--mask-classes", "0:0,255:1", *HOW)
        self.assertEqual(self.lose("", *words, "-o", "whole").returncode, 0)
        result = self.lose("0:3", *words, "-o", "out")
        self.ended(result, "photos/00002.png")
        self.assertEqual((result.stdout, self.files("out")), (b"", {}))


class Train(Lost):
    def test_a_run_goes_on_from_its_last_checkpoint(self):
        """With the last bits of a run that never stopped."""
        for n in range(4):
            for folder in ("photos", "masks"):
                (self.folder / folder).mkdir(exist_ok=True)
            (self.folder / f"photos/{n}.png").write_bytes(png(32, 32, lambda x, y: (x * 3 + y * n) % 256))
            (self.folder / f"masks/{n}.png").write_bytes(gray(32, 32, lambda x, y: 255 * ((x + y + n) % 5 == 0)))
        settings = ("size=32", "model.base=1", "batch_size=2", "epochs=3", "preflight=false", "threads=1", "val_percent=0.25", "overlays=0")
        words = ("train", "--images", "photos", "--masks", "masks", "--device", "cpu-emulated",
                 *(word for setting in settings for word in ("--set", setting)))
        whole = self.lose("", *words, "-o", "whole/run")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        result = self.lose("0:20", *words, "-o", "out/run")   # in the second epoch
        self.refused(result, 8, f"error[device]: {CAUSE}")
        self.assertTrue((self.folder / "out/run/checkpoints/last.safetensors").exists())
        self.assertEqual([name for name in self.files("out/run") if ".tmp" in name or name == "model.safetensors"], [])
        again = self.lose("", "train", "--resume", "out/run")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn(b"epoch 2", again.stderr)
        for name in ("model.safetensors", "metrics.jsonl"):
            self.assertEqual(self.files("out/run")[name], self.files("whole/run")[name], name)


class Bench(Lost):
    """The benchmark lists what has no room on the GPU and goes on; it does not go on without a GPU."""
    HOW = ("--device", "cpu-emulated", "--sizes", "tiny")

    def run_bench(self, *words, **more):
        return subprocess.run([BENCH, *self.HOW, *words], cwd=self.folder, capture_output=True, timeout=100,
                              env={**os.environ, "LOSE_AT": "1:0"}, **more)

    def test_a_report(self):
        self.refused(self.run_bench("--json", "report.json"), 8, f"error[device]: {CAUSE}")
        self.assertNotIn("GPU's work", (self.folder / "report.json").read_text())   # as what has not been run

    def test_turns(self):
        for word in (b"prepare", b"train"):
            self.refused(self.run_bench("--turns", input=word + b" 1 fp16 inputs.bin\n"), 8, f"error[device]: {CAUSE}")


if __name__ == "__main__":
    unittest.main()
