#!/usr/bin/env python3
"""`furrow train` from outside: a model out of two folders, signals, kill -9, every failing call of a save.

    train_test.py PATH_TO_FURROW PATH_TO_FAULT_SHIM [unittest arguments]
    train_test.py PATH_TO_FURROW PATH_TO_FAULT_SHIM --kill-points N     N random kills; prints one line (scripts/soak.sh)
"""
import hashlib
import json
import os
import random
import signal
import sys
import time

SHIM = os.path.abspath(sys.argv.pop(2)) if len(sys.argv) > 2 and sys.argv[2].endswith(".so") else ""
if len(sys.argv) > 1 and os.path.exists(sys.argv[1]):
    sys.argv[1] = os.path.abspath(sys.argv[1])  # the tests run it in folders of their own
if not os.path.exists(SHIM):
    SHIM = ""  # a build for sanitizers has none
KILL_POINTS = 5
if "--kill-points" in sys.argv:
    at = sys.argv.index("--kill-points")
    KILL_POINTS = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    sys.argv.append("Train.test_killed_runs_resume_bit_for_bit")

from program import *  # noqa: E402, F403: run_furrow, refused and the rest


def tensors(path) -> dict:
    """The sha256 of each tensor of a checkpoint, by name, but for the seal: that covers the configuration too."""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    for name in ("__metadata__", "seal"):
        header.pop(name, None)
    begin = 8 + length
    return {name: hashlib.sha256(data[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]]).hexdigest()
            for name, entry in header.items()}


def sha(path) -> str:
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Train(Program):
    TINY = ["--set", "size=32", "--set", "model.base=2", "--set", "batch_size=2", "--set", "epochs=3", "--set", "log_every=1",
            "--set", "preflight=false", "--set", "val_percent=0.25", "--set", "overlays=1", "--device", "cpu",
            "--set", "threads=1"]

    def setUp(self):
        super().setUp()
        for i in range(8):
            self.pair(i)

    def pair(self, i, size=32):
        line = lambda x, y: 4 <= x < size - 4 and y == 6 + 2 * i + x // 8
        for name, data in (("images", png(size, size, lambda x, y: 230 if line(x, y) else (x * 5 + y * 11 + i) % 100)),
                           ("masks", gray(size, size, lambda x, y: 255 if line(x, y) else 0))):
            (self.folder / name).mkdir(exist_ok=True)
            (self.folder / name / f"{i}.png").write_bytes(data)

    def train(self, run, *words, **more):
        return self.run_furrow("train", "--images", "images", "--masks", "masks", "-o", run, *self.TINY, *words, **more)

    def start(self, run, *words, env=None):
        return subprocess.Popen([FURROW, "train", "--images", "images", "--masks", "masks", "-o", run, *self.TINY, *words],
                                cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)

    def resume(self, run, *words, **more):
        return self.run_furrow("train", "--resume", run, *words, **more)

    def last(self, run):
        return self.folder / run / "checkpoints" / "last.safetensors"

    def assert_whole(self, run):
        """A complete checkpoint that goes on, and no temporary file once it has."""
        result = self.resume(run)
        self.assertEqual(result.returncode, 0, result.stderr)
        left = [p for p in (self.folder / run).rglob("*") if ".tmp" in p.name]
        self.assertEqual(left, [])
        return result

    def test_a_model_comes_out_that_segment_takes(self):
        result = self.train("run", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual((report["epochs"], report["steps"]), (3, 9))
        self.assertIn("step 9", result.stderr.decode())
        result = self.run_furrow("segment", "images/0.png", "--crop", "none", "-o", "out", "--weights", "run/model.safetensors")
        self.assertEqual(result.returncode, 0, result.stderr)
        result = self.run_furrow("model", "show", "run/model.pth", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("unet base 2", result.stdout.decode())
        html = (self.folder / "run/report.html").read_text()
        self.assertIn("<svg", html)
        self.assertIn("data:image/png;base64,", html)

    def test_kernels(self):
        """Those of the libraries are of a GPU; a run keeps its choice, which --resume may change."""
        for device, precision in (("cpu", "float32"), ("cpu-emulated", "mixed"), ("cpu-emulated", "float32")):
            words = [word for word in self.TINY if word not in ("--device", "cpu")]
            result = self.run_furrow("train", "--images", "images", "--masks", "masks", "-o", "run", *words, "--kernels", "vendor",
                                     "--device", device, "--precision", precision)
            self.refused(result, 2, "error[usage]: --kernels vendor is of --device cuda alone")
            self.assertFalse((self.folder / "run").exists())
        self.refused(self.train("run", "--kernels", "auto"), 3, "kernels", "own, vendor")
        self.assertEqual(self.train("run", "--kernels", "own").returncode, 0)
        self.assertIn("kernels: own", (self.folder / "run/config.yaml").read_text())
        before = sha(self.last("run"))
        self.refused(self.resume("run", "--kernels", "vendor"), 2, "--kernels vendor is of --device cuda alone")
        self.assertEqual(sha(self.last("run")), before)

    def test_the_pth_opens_in_pytorch(self):
        code = ("import torch, sys; d = torch.load(sys.argv[1], map_location='cpu'); "
                "print(sorted(k for k in d), len(d['model_state_dict']))")
        if subprocess.run(["/usr/bin/python3", "-c", "import torch"], capture_output=True).returncode != 0:
            self.skipTest("no PyTorch here")
        self.assertEqual(self.train("run").returncode, 0)
        result = subprocess.run(["/usr/bin/python3", "-c", code, str(self.folder / "run/model.pth")], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("['best_val_iou', 'epoch', 'model_state_dict'] 118", result.stdout)

    def test_the_original_configuration_trains(self):
        (self.folder / "config.yaml").write_text(
            "epochs: 1\nbatch_size: 2\nlearning_rate: 0.0001\nweight_decay: 0.00001\namp: False\npatience: 15\n"
            "gradient_clipping: 1.0\nval_percent: 0.25\ntest_percent: 0\naugmentation: True\ncheckpoint_dir: ./checkpoints/\n"
            "image_dir: images\nmask_dir: masks\nwandb_project: U-Net-Face\nwandb_entity: me\n")
        result = self.run_furrow("train", "--config", "config.yaml", "-o", "run", "--device", "cpu", "--set", "size=32",
                                 "--set", "model.base=2", "--set", "preflight=false")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr.count(b"wandb_* keys do nothing"), 1)
        self.assertFalse((self.folder / "checkpoints").exists())

    def test_a_resnet_trains_and_starts_from_a_classifier(self):
        more = ["--set", "model.network=resnet50-attention-unet", "--set", "size=64", "--set", "epochs=1"]
        self.assertEqual(self.train("run", *more).returncode, 0)
        shown = json.loads(self.run_furrow("model", "show", "run/model.safetensors", "--json").stdout)
        self.assertEqual((shown["architecture"], len(shown["tensors"])), ("resnet50-attention-unet base 2, 3 -> 1, transposed", 474))

        # What torchvision would have made of the encoder: other names, a classifier, no metadata.
        data = (self.folder / "run/model.safetensors").read_bytes()
        length = int.from_bytes(data[:8], "little")
        header, values = json.loads(data[8:8 + length]), data[8 + length:]
        names = {"input_layer.0.": "conv1.", "input_layer.1.": "bn1.", **{f"encoder{i}.": f"layer{i}." for i in range(1, 5)}}
        classifier, at = {}, 0
        body = b""
        for key, entry in header.items():
            ours = next((prefix for prefix in names if key.startswith(prefix)), None)
            if ours is None:
                continue
            begin, end = entry["data_offsets"]
            classifier[names[ours] + key[len(ours):]] = {**entry, "data_offsets": [at, at + end - begin]}
            body += values[begin:end]
            at += end - begin
        text = json.dumps(classifier).encode()
        text += b" " * (-len(text) % 8)
        (self.folder / "classifier.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
        self.refused(self.run_furrow("segment", PHOTO, "--weights", "classifier.safetensors"), 5, "it initialises an encoder")
        result = self.train("again", *more, "--set", "model.init=classifier.safetensors")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("the file is a ResNet50 classifier: the encoder starts from it", result.stderr.decode())
        self.refused(self.train("unet", "--set", "model.init=classifier.safetensors"), 5, "this is a unet base 2")

    def test_check_writes_nothing(self):
        result = self.train("run", "--check", "--json", "--set", "model.base=4", "--set", "learning_rate=0.001")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual((report["pairs"], report["train"], report["validation"]), (8, 6, 2))
        self.assertAlmostEqual(report["prevalence"], 24 / 1024)
        self.assertLess(report["one_picture"]["loss_after"], report["one_picture"]["loss_before"])
        self.assertFalse((self.folder / "run").exists())

    def test_the_two_stages_of_the_examples_run(self):
        """examples/configs as they are, but for size, length and folders: texture maps computed as target, then as channel."""
        names = ["00001", "00002", "00003", "00004", "01044", "06118"]      # the last two: the official lists' test and val
        for folder in ("faces", "lines", "labels"):
            (self.folder / folder).mkdir()
        for i, name in enumerate(names):
            line = lambda x, y: 8 <= x < 56 and y == 12 + 5 * i + x // 16
            (self.folder / f"faces/{name}.png").write_bytes(png(64, 64, lambda x, y: 60 if line(x, y) else 150 + (x * 5 + y * 11 + i) % 40))
            (self.folder / f"lines/{name}.png").write_bytes(gray(64, 64, lambda x, y: 255 if line(x, y) else 0))
            (self.folder / f"labels/{name}.png").write_bytes(gray(32, 32, lambda x, y: 1 if y > 4 else 0))
        configs = ROOT / "examples" / "configs"
        common = ["--set", "image_dir=faces", "--set", "size=32", "--set", "model.base=2", "--set", "epochs=2", "--set", "batch_size=2",
                  "--set", "accumulate=1", "--set", "preflight=false", "--set", "threads=1", "--set", "scheduler.warmup=1", "--device", "cpu"]
        stage1 = ["--set", "split.rule=seed-second", "--set", "val_percent=0.34", "--set", "augment.recipe=none"]       # six photos divide by no hash
        for run, more in (("stage1", []), ("skin", ["--set", "texture.dir=labels", "--set", "pairs.other_size=accept"]),
                          ("authors", ["--set", "texture.source=authors"])):
            result = self.run_furrow("train", "--config", str(configs / "stage1-texture.yaml"), "-o", run, *common, *stage1, "--set", "epochs=12", *more)
            self.assertEqual(result.returncode, 0, result.stderr)
        losses = {run: [json.loads(line)["loss"] for line in (self.folder / run / "metrics.jsonl").read_text().splitlines() if '"validation"' in line]
                  for run in ("stage1", "skin", "authors")}
        self.assertEqual(len({tuple(values) for values in losses.values()}), 3)     # three targets
        self.assertLess(losses["stage1"][-1], losses["stage1"][0])
        architecture = json.loads(self.run_furrow("model", "show", "stage1/model.safetensors", "--json").stdout)["architecture"]
        self.assertEqual(architecture, "unet base 2, 3 -> 1, transposed")

        result = self.run_furrow("train", "--config", str(configs / "stage2-wrinkles.yaml"), "-o", "stage2", *common, "--set", "mask_dir=lines")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("drawn anew: inc.double_conv.0.weight", result.stderr.decode())
        run = json.loads((self.folder / "stage2/run.json").read_text())
        self.assertEqual(run["network"]["architecture"], "unet base 2, 4 -> 1, transposed")
        self.assertEqual((run["split"]["validation"], run["split"]["test"]), (["06118"], ["01044"]))
        self.assertTrue((self.folder / "stage2/report.html").exists())

    def test_preview_shows_the_pictures(self):
        result = self.train("run", "--preview", "seen", "--set", "augment.recipe=best-run")
        self.assertEqual(result.returncode, 0, result.stderr)
        pictures = sorted((self.folder / "seen").glob("*.png"))
        self.assertEqual(len(pictures), 6)
        self.assertEqual(png_size(pictures[0]), (4 * 32 + 3 * 4, 32))     # the picture and three versions, white lines between
        changes = (self.folder / "seen/changes.txt").read_text().splitlines()
        self.assertEqual(len(changes), 18)
        self.assertEqual({line.split(":")[0] for line in changes}, {picture.name for picture in pictures})
        self.assertTrue(any("flip" in line for line in changes))
        self.assertFalse(any("crop 32x32" in line for line in changes))
        result = self.train("run", "--preview", "parts", "--set", "size=64", "--set", "crop=32")
        self.assertEqual(result.returncode, 0, result.stderr)
        changes = (self.folder / "parts/changes.txt").read_text().splitlines()
        self.assertTrue(changes and all(": crop 32x32 at " in line for line in changes), changes)
        self.assertFalse((self.folder / "run").exists())

    def test_mistakes_are_refused_before_anything_is_made(self):
        self.refused(self.train("run", "--set", "learning_rat=1"), 3, "learning_rate")
        self.refused(self.run_furrow("train", "--images", "nowhere", "--masks", "masks", "-o", "run"), 7, "nowhere")
        self.refused(self.train("run", "--set", "augment.recipe=no-such"), 3, "best-run")
        self.refused(self.resume("run"), 7)
        self.refused(self.run_furrow("train", "--resume", "run", "--config", "x.yaml"), 2)
        (self.folder / "masks/7.png").unlink()
        self.refused(self.train("run"), 4, "7")
        self.assertFalse((self.folder / "run").exists())

    def test_any_number_of_threads_gives_the_same_bits(self):
        weights = []
        for threads in ("1", "2", "3", "7"):
            self.assertEqual(self.train(f"run{threads}", "--set", f"threads={threads}", "--set", "augment.recipe=best-run").returncode, 0)
            weights.append(tensors(self.last(f"run{threads}")))
            self.assertEqual(sha(self.folder / f"run{threads}/metrics.jsonl"), sha(self.folder / "run1/metrics.jsonl"))
        for other in weights[1:]:
            self.assertEqual(other, weights[0])

    def test_a_signal_saves_and_resume_ends_as_the_whole_run(self):
        self.assertEqual(self.train("whole", "--set", "epochs=40").returncode, 0)
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            run = f"run{status}"
            process = self.start(run, "--set", "epochs=40")
            for line in process.stderr:
                if b"step 5 " in line:
                    break
            asked = time.monotonic()
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            self.assertLess(time.monotonic() - asked, 30)
            self.assertEqual(process.returncode, status, err)
            self.assert_whole(run)
            self.assertEqual(sha(self.last(run)), sha(self.last("whole")))
            self.assertEqual(sha(self.folder / run / "metrics.jsonl"), sha(self.folder / "whole/metrics.jsonl"))

    def test_killed_runs_resume_bit_for_bit(self):
        begin = time.monotonic()
        self.assertEqual(self.train("whole", "--set", "epochs=12").returncode, 0)
        whole, good = time.monotonic() - begin, 0
        dice = random.Random(1)
        for point in range(KILL_POINTS):
            run = f"run{point}"
            process = self.start(run, "--set", "epochs=12")
            time.sleep(whole * dice.random())
            process.kill()
            process.communicate()
            if not self.last(run).exists():  # before the first checkpoint: there is nothing to lose
                self.assertEqual(self.train(run, "--set", "epochs=12").returncode, 0)
            self.assert_whole(run)
            self.assertEqual(sha(self.last(run)), sha(self.last("whole")), f"point {point}")
            self.assertEqual(sha(self.folder / run / "metrics.jsonl"), sha(self.folder / "whole/metrics.jsonl"))
            good += 1
        if KILL_POINTS != 5:
            print(f"{good} of {KILL_POINTS} killed runs resumed bit for bit")

    def shimmed(self, run, call, n, mode, *words, count=None, repeat=False):
        env = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_CALL": call, "FAULT_N": str(n), "FAULT_MODE": mode,
               "FAULT_FROM": "1" if repeat else "", "FAULT_UNDER": str((self.folder / run).resolve()),
               "FAULT_COUNT": str(count or "")}
        return self.run_furrow("train", "--resume", run, "--set", "epochs=2", *words, env=env)

    def prepared(self):
        """A run of one epoch, to be gone on with by another one; and what that should come to."""
        self.assertEqual(self.train("base", "--set", "epochs=1").returncode, 0)
        subprocess.run(["cp", "-a", self.folder / "base", self.folder / "whole"], check=True)
        self.assertEqual(self.resume("whole", "--set", "epochs=2").returncode, 0)

    def calls(self, call):
        subprocess.run(["cp", "-a", self.folder / "base", self.folder / "counted"], check=True)
        count = self.folder / "count"
        self.assertEqual(self.shimmed("counted", call, 0, "EIO", count=count).returncode, 0)
        subprocess.run(["rm", "-rf", self.folder / "counted"], check=True)
        return int(count.read_text())

    def fail_each(self, call, modes, repeat=False):
        if not SHIM:
            self.skipTest("no fault shim given")
        self.prepared()
        total = self.calls(call)
        self.assertGreater(total, 3)
        for n in range(1, total + 1):
            mode = modes[n % len(modes)]
            subprocess.run(["cp", "-a", self.folder / "base", self.folder / "run"], check=True)
            result = self.shimmed("run", call, n, mode, repeat=repeat)
            text = f"{call} {n} {mode}: {result.returncode} {result.stderr.decode()[-600:]}"
            self.assertIn(result.returncode, (99,) if mode in ("before", "after") else (0, 7), text)
            if result.returncode == 7:
                self.assertIn("error[io]", result.stderr.decode(), text)
            # Whatever happened: the run goes on and ends as if nothing had.
            rest = self.resume("run", "--set", "epochs=2")
            self.assertEqual(rest.returncode, 0, text + rest.stderr.decode())
            self.assertEqual(tensors(self.last("run")), tensors(self.last("whole")), text)
            self.assertEqual([p.name for p in (self.folder / "run").rglob("*") if ".tmp" in p.name], [], text)
            subprocess.run(["rm", "-rf", self.folder / "run"], check=True)

    def test_every_call_that_fails_once_leaves_a_whole_checkpoint(self):
        self.fail_each("any", ["ENOSPC", "EIO", "EDQUOT"])

    def test_every_call_at_which_the_process_ends_leaves_a_whole_checkpoint(self):
        self.fail_each("any", ["before", "after"])

    def test_a_disk_that_stays_full_leaves_a_whole_checkpoint(self):
        self.fail_each("write", ["ENOSPC"], repeat=True)

    def test_a_failing_fsync_leaves_a_whole_checkpoint(self):
        self.fail_each("fsync", ["EIO"], repeat=True)

    def test_short_writes_and_interrupted_ones_are_no_failures(self):
        if not SHIM:
            self.skipTest("no fault shim given")
        self.prepared()
        for mode in ("short", "EINTR"):
            subprocess.run(["cp", "-a", self.folder / "base", self.folder / "run"], check=True)
            # EINTR fails once for every call that follows: each is tried again, and the next number passes.
            for n in (1, 4, 9):
                result = self.shimmed("run", "write", n, mode, repeat=mode == "short")
                self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(tensors(self.last("run")), tensors(self.last("whole")))
            subprocess.run(["rm", "-rf", self.folder / "run"], check=True)

    def test_a_read_only_folder_is_refused(self):
        self.assertEqual(self.train("run", "--set", "epochs=1").returncode, 0)
        words = self.without_privileges()
        before = sha(self.last("run"))
        for path in [self.folder / "run", *(self.folder / "run").rglob("*")]:
            os.chmod(path, 0o555 if path.is_dir() else 0o444)
        self.refused(self.resume("run", "--set", "epochs=2", **words), 7, "denied")
        self.assertEqual(sha(self.last("run")), before)

    def test_a_second_trainer_in_the_folder_is_refused(self):
        process = self.start("run", "--set", "epochs=100000")
        for line in process.stderr:
            if b"step 3 " in line:
                break
        self.refused(self.resume("run"), 7, "another trainer", str(process.pid))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 143)


if __name__ == "__main__":
    unittest.main()
