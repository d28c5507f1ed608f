#!/usr/bin/env python3
"""The pre-flight of `furrow train` says how much memory the run will take, to a tenth; and what it says of several
processes on one machine. `furrow model show --json` keeps to what reading a file may take.

    memory_test.py PATH_TO_FURROW [unittest arguments]

scripts/training_memory.py measures more configurations.
"""
import json
import os
import shutil
import subprocess
import sys

if len(sys.argv) > 1 and os.path.exists(sys.argv[1]):
    sys.argv[1] = os.path.abspath(sys.argv[1])

from program import *  # noqa: E402, F403
import training_memory  # noqa: E402

MPIRUN = shutil.which("mpirun")
NO_MPI = "" if MPIRUN and (pathlib.Path(FURROW).parent / "furrow-mpi.so").exists() else "no mpirun, or no furrow-mpi.so"
# As root in a container, with more processes than processors, and over nothing but this machine's memory.
LAUNCH = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader"]

# Each is most in another phase: activations of a batch; a validation's plan of whole pictures where training sees
# crops; a checkpoint with its average where nothing is validated; what decodes photos much larger than the network's
# pictures; and what the others have not: another optimiser, another way up, micro-batches, one thread.
RUNS = {
    "a step": {"size": 128, "batch_size": 4},
    "a validation": {"size": 256, "crop": 64, "model.base": 8, "model.upsampling": "bilinear", "optimiser.name": "sgd", "threads": 1},
    "a checkpoint": {"model.base": 32, "batch_size": 1, "val_percent": 0, "average_decay": 0.99, "epochs": 1},
    "micro-batches": {"size": 128, "batch_size": 1, "accumulate": 3, "model.base": 8, "optimiser.name": "sgd",
                      "optimiser.momentum": 0},
    # One thread decodes: of several it depends on chance how many do so while memory is fullest.
    "large photos": {"photos": 1000, "batch_size": 1, "model.base": 8, "threads": 1},
}
# The issue's. Not more: the program's pages that a run reads last, what the allocator keeps of small blocks, and huge
# pages at the ends of blocks come to some MiB, and these runs have only 50 to 250.
MOST_OFF = 0.10


class Memory(Program):
    def test_the_preflight_foretells_the_peak(self):
        for name, settings in RUNS.items():
            with self.subTest(name):
                found = training_memory.run(FURROW, self.folder, settings)
                self.assertGreater(found["peak"], 0)
                ratio = found["foretold"] / found["peak"]
                print(f"{name}: foretold {found['foretold'] / 2**20:.1f} MiB, taken {found['peak'] / 2**20:.1f}, "
                      f"ratio {ratio:.3f}, {found['seconds']:.1f} s of processor time", flush=True)
                self.assertLessEqual(abs(ratio - 1), MOST_OFF, found["said"])

    def shown(self, name):
        """What `model show --json` says of a file, and the most memory it held."""
        with open(self.folder / "shown.json", "wb") as out:
            process = subprocess.Popen([FURROW, "model", "show", name, "--json"], cwd=self.folder, stdout=out)
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        return (self.folder / "shown.json").read_bytes(), used.ru_maxrss * 1024

    def test_a_model_of_long_names_is_shown_in_the_memory_that_reading_may_take(self):
        entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
        metadata = ",".join(f'"{i:05}{"m" * 50}":"v\\u0001"' for i in range(10_000))
        names = [f"{i:04}" + "\x7f" * 60_000 for i in range(240)]
        for name, header in (("small", f'{{"w":{entry}}}'),
                             ("large", "{" + ",".join(f'"{n}":{entry}' for n in names) + "}"),
                             ("metadata", f'{{"__metadata__":{{{metadata}}},"w":{entry}}}')):
            (self.folder / f"{name}.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode())
        _, least = self.shown("small.safetensors")
        text, most = self.shown("large.safetensors")
        self.assertEqual([t["name"] for t in json.loads(text)["tensors"]], [n.replace("\x7f", "\\x7f") for n in names])
        size = (self.folder / "large.safetensors").stat().st_size
        self.assertLessEqual(most - least, 4 * size + (64 << 20))
        text, _ = self.shown("metadata.safetensors")
        self.assertEqual(len(json.loads(text)["metadata"]), 10_000)
        self.assertEqual(text, json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

    def words(self, *more):
        training_memory.make_pictures(self.folder, 64)
        return ["train", "--images", "images", "--masks", "masks", "--device", "cpu", "--set", "size=64", "--set",
                "model.base=4", "--set", "batch_size=2", "--set", "threads=1", "--set", "epochs=1", *more]

    def check(self, launch, *more):
        """What --check says of memory, and what the process held of it when it looked."""
        result = self.run_furrow(*self.words("--check", "--json", *more), env={**os.environ, **launch})
        self.assertEqual(result.returncode, 0, result.stderr)
        found = json.loads(result.stdout)["memory_bytes"]
        return found, found["process"] + found["parameters"] + found["scratch"] + found["data"] + found["activations"]

    def test_processes_of_one_machine_count_together(self):
        # needed = total - held + others * (follower - held), and all but `held` is printed; it must come out alike.
        launch = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "6"}
        held = []
        for others, env, more in ((0, {}, ()), (2, {**launch, "OMPI_COMM_WORLD_LOCAL_SIZE": "3"}, ()), (5, launch, ()),
                                  (0, launch, ("--parallel", "none"))):
            found, follower = self.check(env, *more)
            held.append((found["total"] + others * follower - found["needed"]) / (1 + others))
            self.assertGreater(held[-1], found["process"])
            self.assertLess(held[-1], found["total"])
        # Pages of the program and its libraries that happened to be read: not a tenth of the follower's 30 MiB.
        self.assertLess(max(held) - min(held), 3 << 20, held)

    @unittest.skipIf(NO_MPI, NO_MPI)
    def test_the_processes_ask_each_other_where_they_are(self):
        # The launcher's own words are taken away but for those that say that there are several.
        tool = self.folder / "unsaid"
        tool.write_text(f'#!/bin/sh\nunset OMPI_COMM_WORLD_LOCAL_SIZE\nexec {FURROW} "$@"\n')
        tool.chmod(0o755)
        result = subprocess.run([MPIRUN, *LAUNCH, "-n", "3", str(tool), *self.words("-o", "run")], cwd=self.folder,
                                capture_output=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"; with 2 more processes on this machine ", result.stderr)


if __name__ == "__main__":
    unittest.main()
