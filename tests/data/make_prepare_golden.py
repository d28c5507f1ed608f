#!/usr/bin/env python3
"""Makes tests/data/prepare: a small tree like FFHQ's with drawn faces, label maps and masks, and what the original scripts
make of it. Those scripts are written out again below from their description; where they call a library, so does this.

    make_prepare_golden.py            writes tests/data/prepare anew

Wants NumPy, SciPy, OpenCV and Pillow. Nothing here is anybody's photo: faces are ellipses and lines.
"""
import hashlib
import json
import pathlib
import shutil

import cv2
import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

FOLDER = pathlib.Path(__file__).resolve().parent / "prepare"
SIDE = 64                                    # of a photo; 1024 in the data set
NAMES = ["00000", "00007", "00042", "01003", "01010"]
MASKED = ["00007", "00042", "01003", "02999"]  # of 02999 there is a mask and no photo
LABELLED = {"00000": "<i8", "00007": "<i4", "00042": "|u1", "01003": ">i2"}  # and how numpy.save stores them; 00007 by columns
BISENET = ("background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip neck neck_l cloth hair hat").split()
CELEBAMASK = ("background skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r neck_l neck cloth").split()


def face(n: int):
    """Photo 64 x 64 RGB and its labels 32 x 32 in BiSeNet's order."""
    rng = np.random.default_rng(n)
    big, scale = 4 * SIDE, 4 * SIDE / 64
    dx, dy = rng.integers(-3, 4, 2)
    label = Image.new("L", (big, big), 17)
    draw = ImageDraw.Draw(label)

    def ellipse(x, y, w, h, name):
        x, y = x + dx, y + dy
        draw.ellipse([scale * (x - w), scale * (y - h), scale * (x + w), scale * (y + h)], fill=BISENET.index(name))
    ellipse(32, 64, 12, 14, "neck")
    ellipse(32, 33, 17, 23, "skin")
    for side, (brow, eye) in ((-1, ("l_brow", "l_eye")), (1, ("r_brow", "r_eye"))):
        ellipse(32 + side * 7, 24, 5, 1.5, brow)
        ellipse(32 + side * 7, 28, 3.5, 2, eye)
    ellipse(32, 35, 3, 6, "nose")
    ellipse(32, 46, 7, 2.5, "mouth")
    colours = {"hair": (60, 42, 30), "neck": (190, 140, 115), "skin": (214, 168, 140), "l_brow": (80, 55, 40), "r_brow": (80, 55, 40),
               "l_eye": (235, 235, 230), "r_eye": (235, 235, 230), "nose": (224, 176, 150), "mouth": (170, 80, 80)}
    table = np.zeros((19, 3), np.uint8)
    for name, colour in colours.items():
        table[BISENET.index(name)] = np.clip(np.array(colour) + rng.integers(-12, 13), 0, 255)
    ids = np.asarray(label)
    photo = Image.fromarray(table[ids])
    lines = ImageDraw.Draw(photo)
    for k in range(2 + n % 3):               # wrinkles of the forehead
        y = scale * (14 + 3 * k + dy)
        lines.arc([scale * (20 + dx), y, scale * (44 + dx), y + 16], 200, 340, fill=(150, 105, 85), width=3)
    small = np.asarray(photo.resize((SIDE, SIDE), Image.BOX)).astype(int)
    shade = np.linspace(8, -8, SIDE, dtype=int)[None, :, None]
    small = np.clip((small + shade + rng.integers(-1, 2, (SIDE, SIDE, 1))) // 4 * 4, 0, 255).astype(np.uint8)
    return small, np.asarray(label.resize((SIDE // 2, SIDE // 2), Image.NEAREST)).astype(np.int64)


def wrinkle_mask(n: int):
    mask = Image.new("L", (SIDE, SIDE), 0)
    for k in range(n % 3):                   # none in some: the rules for empty masks
        ImageDraw.Draw(mask).arc([20, 14 + 3 * k, 44, 22 + 3 * k], 200, 340, fill=255)
    return np.asarray(mask)


def png_parsing(images: pathlib.Path, masks: pathlib.Path) -> dict:
    """png_parsing.py IMAGES MASKS OUT: walks the images, copies each whose name is in the folder of masks. Its copies: name, SHA-256."""
    wanted = {path.name for path in masks.iterdir()}
    found = [path for path in sorted(images.rglob("*")) if path.is_file() and path.name in wanted]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def face_masking(labels: pathlib.Path, images: pathlib.Path, out: pathlib.Path, kept=(1, 10)):
    """face_masking.py LABELS IMAGES OUT: labels twice as large by scipy, then zero outside the kept ones. No labels: passed over."""
    out.mkdir(parents=True)
    for path in sorted(images.rglob("*.png")):
        npy = labels / (path.stem + ".npy")
        if not npy.exists():
            continue
        picture = cv2.imread(str(path))
        large = ndimage.zoom(np.load(npy), 2, order=0)
        picture[~np.isin(large, kept)] = 0
        cv2.imwrite(str(out / path.name), picture)


def texture(images: pathlib.Path, labels: pathlib.Path, out: pathlib.Path, recipe: str):
    """gen_texture.py without its resize: 21 x 21 Gaussian of sigma 5, mirrored at the border; `best` in float64. Masked after."""
    out.mkdir(parents=True)
    taps = cv2.getGaussianKernel(21, 5)
    for path in sorted(images.rglob("*.png")):
        npy = labels / (path.stem + ".npy")
        if not npy.exists():
            continue
        bgr = cv2.imread(str(path))
        if recipe == "best":
            level = bgr[..., ::-1].astype(np.float64) @ [0.2126, 0.7152, 0.0722]
            low = cv2.filter2D(level, -1, taps @ taps.T, borderType=cv2.BORDER_REFLECT_101)
            made = np.round((1 - np.minimum(level, low) / (1 + low)) * 255).astype(np.uint8)
        else:
            level = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
            low = cv2.filter2D(level, -1, (taps @ taps.T).astype(np.float32), borderType=cv2.BORDER_REFLECT_101)
            v = np.minimum(level * 255 / (low + 1), 255).astype(np.uint8)
            made = (np.uint8(1) - v) if recipe == "authors" else 255 - v
        made[~np.isin(ndimage.zoom(np.load(npy), 2, order=0), (1, 10))] = 0
        cv2.imwrite(str(out / path.name), made)


def class_imbalance(masks: pathlib.Path) -> dict:
    """The numbers of dataset_metrics.analyze_class_imbalance: wrinkle is mask > 127, over all pixels of all masks."""
    pictures = [np.asarray(Image.open(path)) > 127 for path in sorted(masks.iterdir())]
    wrinkle, pixels = int(sum(p.sum() for p in pictures)), int(sum(p.size for p in pictures))
    return {"masks": len(pictures), "pixels": pixels, "wrinkle": wrinkle, "background": pixels - wrinkle,
            "empty": sum(not p.any() for p in pictures)}


def near(images: pathlib.Path) -> list:
    """Pairs of photos whose difference hashes differ in at most 16 bits and whose 16 x 16 pictures correlate by 0.96."""
    prints = []
    for path in sorted(images.rglob("*.png"), key=lambda p: p.stem):
        gray = Image.open(path).convert("L")
        rows = np.asarray(gray.resize((9, 8), Image.LANCZOS)).astype(int)
        prints.append((path.stem, (rows[:, 1:] > rows[:, :-1]).ravel(), np.asarray(gray.resize((16, 16), Image.LANCZOS)).astype(float).ravel()))
    found = []
    for i, (a, bits_a, small_a) in enumerate(prints):
        for b, bits_b, small_b in prints[i + 1:]:
            bits, r = int((bits_a != bits_b).sum()), float(np.corrcoef(small_a, small_b)[0, 1])
            if bits <= 16 and r >= 0.96:
                found.append({"a": a, "b": b, "bits": bits, "correlation": r})
    return found


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name in ("labels", "labels_celebamask", "masks"):
        (FOLDER / name).mkdir(parents=True)
    palette = [int(v) for v in np.random.default_rng(1).permutation(256)[:57]]
    for name in NAMES:
        photo, labels = face(int(name))
        thousand = FOLDER / "images" / (name[:2] + "000")
        thousand.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(thousand / f"{name}.png", optimize=True)
        if name in LABELLED:
            np.save(FOLDER / "labels" / f"{name}.npy", np.array(labels, LABELLED[name], order="F" if name == "00007" else "C"))
            order = np.array([CELEBAMASK.index(word) for word in BISENET], np.uint8)
            picture = Image.fromarray(order[labels], "P")
            picture.putpalette(palette)
            picture.save(FOLDER / "labels_celebamask" / f"{name}.png")
    for name in MASKED:
        Image.fromarray(wrinkle_mask(int(name))).save(FOLDER / "masks" / f"{name}.png", optimize=True)
    expected = FOLDER / "expected"
    face_masking(FOLDER / "labels", FOLDER / "images", expected / "masked")
    for recipe in ("authors", "inverse", "best"):
        texture(FOLDER / "images", FOLDER / "labels", expected / f"texture_{recipe}", recipe)
    (expected / "png_parsing.json").write_text(json.dumps(png_parsing(FOLDER / "images", FOLDER / "masks"), indent=1) + "\n")
    (expected / "class_imbalance.json").write_text(json.dumps(class_imbalance(FOLDER / "masks")) + "\n")
    (expected / "near.json").write_text(json.dumps(near(FOLDER / "images"), indent=1) + "\n")
    with open(FOLDER / "attributes.csv", "w") as table:
        table.write("image_number,age,gender\n")
        for row in ("0,0,female", "7,34,male", "42,61.5,female", "1003,67,male", "1010,39,male"):
            table.write(row + "\n")


if __name__ == "__main__":
    main()
