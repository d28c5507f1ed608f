#!/usr/bin/env python3
"""Breaks the real kernels one line at a time and expects their tests to fail.

  mutations.py BUILD     a release build with Ninja, its cuda_mma_conv_test, cuda_conv_test, cuda_metrics_test and
                         cuda_ladder_test built

A mutation is a text that occurs once in a source. The changed source is compiled with the build's own command and linked
before the library into the family's test; where a sanitizer is what sees the bug, source and emulator are compiled with
it. The three exercises of docs/emulator.md follow, held to what the page prints (exercises.py). Ends with 1 where a test
passes all the same, or the page says something else.
"""
import dataclasses
import pathlib
import sys
import tempfile

import exercises
import mutant

MMA = ("mma_conv_forward.cu", "cuda_mma_conv_test")
TILE = ("conv_tile.cu", "cuda_conv_test")
METRICS = ("metrics.cu", "cuda_metrics_test")
RACE = "WARNING: ThreadSanitizer: data race"


@dataclasses.dataclass
class Mutation:
    what: str
    where: tuple[str, str]   # source compiled, test
    file: str                # what is changed: the source, or a header of it
    old: str
    new: str
    kind: str = "plain"      # the build that must see it: plain, address, thread
    says: str = ""           # among what it prints


LOOP, EPILOGUE = "mma_conv_mainloop.h", "mma_conv_epilogue.h"
MASK = "inside = inside && y < p.h && x_at < p.w;"
STEP = "    __syncthreads();\n    load(step + 2);"
COPIED = "stage_weights(weights + static_cast<int64_t>(tap) * L::kW, L::kW, w);\n"
MUTATIONS = [
    Mutation("no barrier after the copies of a step", MMA, LOOP, STEP, "    load(step + 2);"),
    Mutation("two barriers, one for each half of a block", MMA, LOOP, STEP,
             "    if (threadIdx.x < 64) __syncthreads();\n    else\n      __syncthreads();\n    load(step + 2);",
             says="divergent barrier: "),
    Mutation("waits for one group too few", MMA, LOOP, "cp_async_wait<1>()", "cp_async_wait<2>()"),
    Mutation("no barrier before results take the buffers' place", MMA, LOOP, "  }\n  __syncthreads();\n}", "  }\n}"),
    Mutation("no barrier before staged results are stored", MMA, EPILOGUE,
             "  __syncwarp();\n  const int end = p.oc_tiles", "  const int end = p.oc_tiles"),
    Mutation("halo without its right edge", MMA, LOOP, MASK, MASK.replace("< p.w", "< p.w - 1")),
    Mutation("rows past the picture not masked", MMA, LOOP, MASK, MASK.replace("y < p.h && ", "")),
    Mutation("rows past the picture not masked", MMA, LOOP, MASK, MASK.replace("y < p.h && ", ""), "address",
             "is out of bounds"),
    Mutation("halves of K exchanged in one fragment", MMA, LOOP, "2 * k + (lane >> 4)", "2 * k + 1 - (lane >> 4)"),
    Mutation("pixels read without the swizzle", MMA, LOOP, "swizzled_vector<B::kRowBytes>(pixel, 2 * k + (lane >> 3 & 1))",
             "(2 * k + (lane >> 3 & 1)) * 16"),
    Mutation("results past the picture's right edge", TILE, "conv_tile.cu", "py < p.out_h && px < p.out_w;", "py < p.out_h;"),
    Mutation("no barrier before a tile is read", TILE, "conv_tile.cu", f"{COPIED}        __syncthreads();", COPIED),
    # Threads of the emulator change places at words of CUDA alone, so only ThreadSanitizer sees it.
    Mutation("+= for atomicAdd", METRICS, "metrics.cu", "atomicAdd(bins + key, static_cast<unsigned>(__popc(agreeing)));",
             "bins[key] += static_cast<unsigned>(__popc(agreeing));", "thread", RACE),
]


def main(build: pathlib.Path) -> int:
    wrong, sound = 0, set()
    with tempfile.TemporaryDirectory() as folder:
        builder = mutant.Builder(build, pathlib.Path(folder))
        for m in MUTATIONS:
            source, test = m.where
            if (m.kind, source) not in sound:   # without this, a test that always fails would kill every mutant
                whole = build / "tests/cuda" / test if m.kind == "plain" else builder.program(m.kind, source, test, m.file, [])
                status, text = mutant.run(whole, "--gtest_fail_fast")
                if status != 0:
                    sys.exit(f"{test} fails with {source} as it is, build {m.kind}:\n{text[-2000:]}")
                sound.add((m.kind, source))
            program = builder.program(m.kind, source, test, m.file, [(m.old, m.new)])
            status, text = mutant.run(program, "--gtest_fail_fast")
            # Without words of its own: a test that failed, or that never ended; not a program that could not start.
            killed = status != 0 and (m.says in text if m.says else
                                      status == mutant.ENDLESS or "[  FAILED  ]" in text or "terminate called" in text)
            wrong += not killed
            print(f"{'killed' if killed else 'SURVIVED'}: {m.what} ({m.file}, {test}, {m.kind})", flush=True)
        wrong += exercises.check(builder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
