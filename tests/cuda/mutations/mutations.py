#!/usr/bin/env python3
"""Breaks the real kernels one line at a time and expects their tests to fail.

  mutations.py BUILD     a release build with Ninja, its cuda_mma_conv_test and cuda_conv_test built

Each mutation is a text that must occur once in a source. The changed source is compiled with the build's own command and
linked before the library into the family's test. Ends with 1 where a test passes all the same.
"""
import json, pathlib, shlex, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
LOOP, MMA, TILE = "mma_conv_mainloop.h", ("mma_conv_forward.cu", "cuda_mma_conv_test"), ("conv_tile.cu", "cuda_conv_test")
# what, (source compiled, test), file changed, text, what it becomes
MUTATIONS = [
    ("no barrier after the copies of a step", MMA, LOOP, "    __syncthreads();\n    load(step + 2);", "    load(step + 2);"),
    ("waits for one group too few", MMA, LOOP, "cp_async_wait<1>()", "cp_async_wait<2>()"),
    ("halo without its right edge", MMA, LOOP, "inside = inside && y < p.h && x_at < p.w;", "inside = inside && y < p.h && x_at < p.w - 1;"),
    ("halves of K exchanged in one fragment", MMA, LOOP, "2 * k + (lane >> 4)", "2 * k + 1 - (lane >> 4)"),
    ("results past the picture's right edge", TILE, "conv_tile.cu", "py < p.out_h && px < p.out_w;", "py < p.out_h;"),
    ("no barrier before a tile is read", TILE, "conv_tile.cu",
     "stage_weights(weights + static_cast<int64_t>(tap) * L::kW, L::kW, w);\n        __syncthreads();",
     "stage_weights(weights + static_cast<int64_t>(tap) * L::kW, L::kW, w);"),
]


def main(build):
    commands = {pathlib.Path(c["file"]).name: c["command"] for c in json.loads((build / "compile_commands.json").read_text())
                if "furrow_emulated" in c["command"]}
    survived = 0
    for what, (source, test), changed, before, after in MUTATIONS:
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "kernels/cuda", changed)
            copy.parent.mkdir(parents=True)
            text = (ROOT / "kernels/cuda" / changed).read_text()
            if text.count(before) != 1:
                sys.exit(f"{changed}: {text.count(before)} places for '{what}', not 1")
            copy.write_text(text.replace(before, after))
            words = shlex.split(commands[source])
            words[words.index("-o") + 1] = f"{folder}/mutant.o"
            if changed == source:
                words[-1] = str(copy)
            words.insert(next(i for i, w in enumerate(words) if w.startswith("-I")), f"-I{folder}")
            subprocess.run(words, cwd=build, check=True)
            link = subprocess.run(["ninja", "-t", "commands", "-s", f"tests/cuda/{test}"], cwd=build, check=True, capture_output=True, text=True).stdout
            link = link.replace("kernels/libfurrow_kernels.a", f"{folder}/mutant.o kernels/libfurrow_kernels.a", 1)
            link = link.replace(f"-o tests/cuda/{test}", f"-o {folder}/test", 1)
            link = link.split(" && ")[1]
            subprocess.run(link, cwd=build, check=True, shell=True)
            killed = subprocess.run([f"{folder}/test", "--gtest_fail_fast"], cwd=build, capture_output=True, timeout=300).returncode != 0
        survived += not killed
        print(f"{'killed' if killed else 'SURVIVED'}: {what} ({changed}, {test})", flush=True)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
