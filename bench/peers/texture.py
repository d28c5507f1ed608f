#!/usr/bin/env python3
"""The texture map beside SciPy and OpenCV, turn by turn in one run:  python3 bench/peers/texture.py build/bench/texture_time

Needs numpy, scipy and, for the third row, opencv-python-headless. All compute recipe `closest` of io/texture.h on
1024 x 1024 RGB, float32. Prints the fastest of 20 turns; CPU time is what to compare on a machine that others use too.
"""
import subprocess
import sys
import time

import numpy as np
from scipy import ndimage

SIDE, TURNS = 1024, 20


def finish(level, low):
    return np.rint((1 - np.minimum(level, low) / (1 + low)) * 255).astype(np.uint8)


def luma(rgb):
    return rgb[..., 0] * np.float32(0.2126) + rgb[..., 1] * np.float32(0.7152) + rgb[..., 2] * np.float32(0.0722)


def with_scipy(rgb):
    level = luma(rgb)
    return finish(level, ndimage.gaussian_filter(level, 5, radius=10, mode="mirror"))


def with_opencv(rgb):
    level = luma(rgb)
    return finish(level, cv2.GaussianBlur(level, (21, 21), 5, borderType=cv2.BORDER_REFLECT_101))


def timed(function, rgb):
    wall, cpu = time.perf_counter(), time.process_time()
    function(rgb)
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def main():
    rgb = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    peers = {"SciPy": with_scipy}
    if cv2:
        peers["OpenCV"] = with_opencv
    ours = {threads: subprocess.Popen([sys.argv[1], str(SIDE), str(SIDE), str(threads)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True) for threads in (1, 2)}
    best = {}

    def note(name, wall, cpu):
        old = best.get(name, (1e9, 1e9))
        best[name] = min(old[0], wall), min(old[1], cpu)

    for _ in range(TURNS):
        for name, function in peers.items():
            note(name, *timed(function, rgb))
        for threads, process in ours.items():
            process.stdin.write("\n")
            process.stdin.flush()
            note(f"furrow, {threads} thread{'s' * (threads > 1)}", *map(float, process.stdout.readline().split()[:2]))
    for process in ours.values():
        process.stdin.close()
    for name, (wall, cpu) in best.items():
        print(f"{name:18} {wall:8.2f} ms  {cpu:8.2f} ms CPU   SciPy's time / this: {best['SciPy'][0] / wall:5.1f}   CPU {best['SciPy'][1] / cpu:5.1f}")


try:
    import cv2
except ImportError:
    cv2 = None
main()
