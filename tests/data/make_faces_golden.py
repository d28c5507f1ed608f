#!/usr/bin/env python3
"""Writes tests/data/faces/golden.json: what OpenCV 4.6 answers, for the tests of the face finder.

  /usr/bin/python3 tests/data/make_faces_golden.py [--shared DIR]

Needs python3-opencv 4.6, python3-numpy, python3-pil (Debian 12). Pictures come from examples/astronaut.png and from
integer formulas that tests/faces/support.cc repeats. With --shared, boxes of the real photos in DIR are written too
(numbers only), and the CRC-32 of the gray pixels they were found in; without it those already in the file are kept.
"""
import argparse
import glob
import json
import os
import zlib

import cv2
import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "faces", "golden.json")
CASCADE = "/usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml"


def noise(count, seed):
    """count bytes that look random (multiply and shift of the index)."""
    h = (np.arange(count, dtype=np.uint64) + np.uint64(seed * 1000003)) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(15)
    h = h * np.uint64(2246822519) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(13)
    return (h >> np.uint64(16) & np.uint64(255)).astype(np.uint8)


def crc(array):
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def detect(gray, scale=1.1, neighbours=5, side=30):
    """[x, y, w, h, neighbours] of every face, sorted as Furrow sorts them."""
    cascade = cv2.CascadeClassifier(CASCADE)
    boxes, counts = cascade.detectMultiScale2(gray, scaleFactor=scale, minNeighbors=neighbours, minSize=(side, side))
    faces = [[int(v) for v in box] + [int(n)] for box, n in zip(boxes, np.array(counts).ravel())]
    return sorted(faces, key=lambda f: (-f[2] * f[3], f[1], f[0]))


def to_gray(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def made_pictures(astronaut):
    """name -> gray picture; the names are read by tests/faces/support.cc."""
    gray = to_gray(astronaut)
    made = {"whole": gray, "mirror": gray[:, ::-1], "upside_down": gray[::-1]}
    for step in (2, 3):
        made[f"every:{step}"] = gray[::step, ::step]
    crops = [(150, 40, 160, 128), (170, 50, 120, 121), (200, 90, 64, 63), (140, 30, 333, 222), (0, 0, 512, 171),
             (177, 66, 95, 95), (160, 50, 131, 131), (100, 0, 412, 301), (167, 52, 117, 119), (33, 5, 290, 207)]
    for x, y, w, h in crops:
        made[f"crop:{x},{y},{w},{h}"] = gray[y:y + h, x:x + w]
    made["tiles:2"] = np.tile(gray[::2, ::2], (2, 2))
    made["tiles:3"] = np.tile(gray[::3, ::3], (3, 3))
    made["grow:2"] = np.repeat(np.repeat(gray, 2, 0), 2, 1)
    for w, h in ((333, 257), (64, 48), (32, 32), (401, 99)):
        made[f"noise:{w},{h}"] = noise(w * h, w).reshape(h, w)
    speck = noise(512 * 512, 7).reshape(512, 512).astype(int)
    made["speckled"] = ((gray.astype(int) * 3 + speck) // 4).astype(np.uint8)
    return {k: np.ascontiguousarray(v) for k, v in made.items()}


def resize_cases():
    cases = []
    for w, h, tw, th in [(100, 80, 75, 60), (101, 79, 33, 17), (64, 64, 63, 63), (64, 64, 32, 32), (97, 53, 24, 24),
                         (512, 40, 385, 30), (300, 200, 187, 125), (48, 99, 48, 31), (24, 24, 24, 24),
                         (333, 31, 30, 29)]:
        picture = noise(w * h, w + h).reshape(h, w)
        small = cv2.resize(picture, (tw, th), interpolation=cv2.INTER_LINEAR_EXACT)
        cases.append({"from": [w, h], "to": [tw, th], "seed": w + h, "crc32": crc(small)})
    return cases


def group_cases():
    """Candidates around a few centres, as the cascade gives them, and what groupRectangles makes of them."""
    cases = []
    for case in range(12):
        random = np.random.RandomState(case)
        rects = []
        for _ in range(1 + case % 5):
            x, y, side = random.randint(0, 300), random.randint(0, 300), random.randint(30, 150)
            for _ in range(random.randint(1, 25)):
                s = int(side * random.uniform(0.8, 1.25))
                rects.append([int(x + random.randint(-9, 10)), int(y + random.randint(-9, 10)), s, s])
        random.shuffle(rects)
        for threshold in (2, 5):
            boxes, counts = cv2.groupRectangles([tuple(r) for r in rects], threshold, 0.2)
            groups = sorted([int(v) for v in b] + [int(n)] for b, n in zip(boxes, np.array(counts).ravel()))
            cases.append({"rects": rects, "threshold": threshold, "groups": groups})
    return cases


def shared_cases(directory):
    files = sorted(glob.glob(f"{directory}/data/portraits/*.[jp][pn]g") +
                   glob.glob(f"{directory}/data/portraits/congress/*.jpg") +
                   glob.glob(f"{directory}/data/wrinkle-pairs/dataset/train/*.png"))
    cases = []
    for path in files:
        gray = to_gray(np.array(Image.open(path).convert("RGB")))
        cases.append({"file": os.path.relpath(path, directory), "crc32": crc(gray), "faces": detect(gray)})
    return cases


def write(golden):
    """JSON with one case per line."""
    with open(OUT, "w") as out:
        out.write("{\n" + ",\n".join(
            f' "{key}": ' + ("[\n  " + ",\n  ".join(json.dumps(v) for v in value) + "\n ]" if isinstance(value, list)
                             else json.dumps(value)) for key, value in golden.items()) + "\n}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared")
    args = parser.parse_args()
    old = json.load(open(OUT)) if os.path.exists(OUT) else {}
    astronaut = np.array(Image.open(os.path.join(HERE, "../../examples/astronaut.png")).convert("RGB"))
    made = made_pictures(astronaut)
    colours = noise(3 * 50000, 1).reshape(100, 500, 3)
    golden = {
        "opencv": cv2.__version__,
        "gray_crc32": crc(to_gray(colours)),
        "resize": resize_cases(),
        "made": [{"picture": k, "size": [v.shape[1], v.shape[0]], "crc32": crc(v), "faces": detect(v)}
                 for k, v in made.items()],
        "options": [{"scale": s, "neighbours": n, "side": m, "faces": detect(made["whole"], s, n, m)}
                    for s, n, m in ((1.05, 3, 30), (1.3, 2, 24), (1.1, 1, 60), (1.2, 8, 20), (1.1, 5, 96))],
        "group": group_cases(),
        "shared": shared_cases(args.shared) if args.shared else old.get("shared", []),
    }
    write(golden)


if __name__ == "__main__":
    main()
