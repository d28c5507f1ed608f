#!/usr/bin/env python3
"""Makes pairs of photo and wrinkle mask from photos that nobody annotated. Needs NumPy, Pillow and SciPy.

    scripts/draw_wrinkles.py PHOTOS OUT [--furrow PROGRAM] [--copies 8] [--size 512] [--seed 1]

PHOTOS is a folder of portraits, one upright face each. `furrow segment` finds the faces; the square that it would cut
for its network is resized to SIZE. In such a square eyes, nose and mouth lie at much the same place, so that the
places where faces fold (forehead, between the brows, beside and below the eyes, from nose to mouth, below the corners
of the mouth) are known within a few hundredths of its side. Of each face come COPIES pairs, in turn

* found: dark ridges of the photo itself that lie in such a place and run the way its folds run, and drawn strokes;
* drawn: the skin smoothed by a guided filter (He, Sun, Tang 2010), so that its own folds go, and drawn strokes alone.

Both are marked by strokes of about 4/500 of the side, as annotators draw them. Writes OUT/images/*.png, OUT/masks/*.png
(0 and 255) and OUT/pairs.json (what was drawn where). The same arguments give the same bytes with the same versions of
the packages. An existing OUT is refused.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image
from scipy import ndimage

ROOT = pathlib.Path(__file__).resolve().parent.parent
NO_FOLDS = ((.36, .465, .08, .04), (.64, .465, .08, .04), (.36, .41, .11, .025), (.64, .41, .11, .025),
            (.50, .765, .12, .045))           # eyes, brows, mouth: ellipses as below, whose dark lines are their own
SKIN_AT = ((.36, .60), (.64, .60), (.40, .56), (.60, .56), (.50, .36))   # cheeks and forehead, of the side
# Where folds are: ellipses (x, y, half width, half height) of the side, with the direction (degrees from the x axis,
# y down) that they run in and how far one may stray from it. The left half is mirrored to the right.
CENTRE = {"forehead": (.50, .31, .20, .085, 0, 25), "brows": (.50, .43, .045, .05, 90, 40)}
LEFT = {"eye corner": (.265, .48, .055, .07, 0, 60), "below the eye": (.36, .535, .085, .03, 5, 40),
        "nose to mouth": (.37, .68, .065, .10, 115, 30), "mouth corner": (.38, .81, .035, .06, 100, 30)}


def zones():
    for name, place in CENTRE.items():
        yield name, False, place
    for name, (x, y, w, h, angle, stray) in LEFT.items():
        yield name, False, (x, y, w, h, angle, stray)
        yield name, True, (1 - x, y, w, h, 180 - angle, stray)


def face_crops(furrow, photos, size):
    """(name, picture of size x size) of every photo in which a face is found; the crops are those of `segment`."""
    with tempfile.TemporaryDirectory() as out:
        said = subprocess.run([furrow, "segment", photos, "-o", out, "--save", "json"], capture_output=True, text=True)
        results = sorted(pathlib.Path(out).rglob("*.json"))
        if not results:
            sys.exit(f"draw_wrinkles: {photos}: no photo could be read: {said.stderr.strip()[-300:]}")
        for path in results:
            result = json.loads(path.read_text())
            if not result.get("faces"):
                print(f"draw_wrinkles: passed over, no face: {result['file']}")
                continue
            crop = result["faces"][0]["crop"]
            box = (crop["x"], crop["y"], crop["x"] + crop["width"], crop["y"] + crop["height"])
            photo = Image.open(result["file"]).convert("RGB").crop(box)
            yield path.stem, np.asarray(photo.resize((size, size), Image.LANCZOS), np.float32)


def ellipse(grid, place):
    x, y, w, h = place[:4]
    return ((grid[0] - x) / w) ** 2 + ((grid[1] - y) / h) ** 2 < 1


def skin(photo):
    """Where the colour, without its brightness, is that of cheeks and forehead."""
    size = photo.shape[0]
    red, green, blue = (ndimage.gaussian_filter(photo[..., c], size / 250) for c in range(3))
    hue = np.stack([np.log((red + 8) / (green + 8)), np.log((blue + 8) / (green + 8)), np.log(green + 8) / 4])
    half = size // 60
    seen = np.concatenate([hue[:, int(y * size) - half:int(y * size) + half, int(x * size) - half:int(x * size) + half]
                           .reshape(3, -1) for x, y in SKIN_AT], axis=1)
    middle = np.median(seen, axis=1)
    spread = 1.5 * np.median(abs(seen - middle[:, None]), axis=1) + .04
    return (((hue - middle[:, None, None]) / spread[:, None, None]) ** 2).sum(axis=0) < 12


def ridges(photo, grid):
    """Dark lines where and as faces fold: the largest curvature across, at three widths, thinned and joined."""
    size = photo.shape[0]
    grey = np.log(photo.mean(axis=2) + 16)
    strength, angle = np.zeros((size, size)), np.zeros((size, size))
    for sigma in (size / 350, size / 240, size / 170):
        xx = ndimage.gaussian_filter(grey, sigma, order=(0, 2))
        yy = ndimage.gaussian_filter(grey, sigma, order=(2, 0))
        xy = ndimage.gaussian_filter(grey, sigma, order=(1, 1))
        root = np.sqrt((xx - yy) ** 2 / 4 + xy ** 2)
        across, along = (xx + yy) / 2 + root, (xx + yy) / 2 - root
        here = sigma ** 1.5 * (across - abs(along)) * (350 / size) ** 1.5
        direction = np.degrees(.5 * np.arctan2(2 * xy, xx - yy)) + 90     # of the line, not across it
        angle = np.where(here > strength, direction, angle)
        strength = np.maximum(strength, here)
    allowed = np.zeros((size, size), bool)
    for _, _, place in zones():
        off = abs((angle - place[4] + 90) % 180 - 90)
        allowed |= ellipse(grid, place) & (off < place[5])
    for place in NO_FOLDS:
        allowed &= ~ellipse(grid, place)
    drawn_on = ndimage.binary_dilation(strength > .14, iterations=size // 60)   # frames of glasses, lashes, hair
    strength = np.where(allowed & ~drawn_on & ndimage.binary_erosion(skin(photo), iterations=2), strength, 0)
    # Only the crest: larger than both neighbours across the line.
    dx, dy = -np.sin(np.radians(angle)), np.cos(np.radians(angle))
    rows, columns = np.mgrid[0:size, 0:size].astype(float)
    beside = [ndimage.map_coordinates(strength, [rows + s * dy, columns + s * dx], order=1) for s in (-1, 1)]
    crest = (strength >= beside[0]) & (strength >= beside[1])
    weak, strong = crest & (strength > .012), crest & (strength > .03)
    parts, count = ndimage.label(ndimage.binary_dilation(weak), np.ones((3, 3)))
    if count == 0:
        return weak
    length = ndimage.sum(weak, parts, range(1, count + 1))
    seed = ndimage.sum(strong, parts, range(1, count + 1))
    kept = np.concatenate([[False], (length > size / 25) & (seed > size / 100)])
    return weak & kept[parts]


def smoothed(photo, grid):
    """The photo with the skin of the face flat: a guided filter, mixed in over an oval, and new grain."""
    out = np.empty_like(photo)
    radius = photo.shape[0] // 40
    for c in range(3):
        value = photo[..., c] / 255
        mean = ndimage.uniform_filter(value, 2 * radius + 1)
        spread = ndimage.uniform_filter(value * value, 2 * radius + 1) - mean * mean
        slope = spread / (spread + .01)
        out[..., c] = 255 * (ndimage.uniform_filter(slope, 2 * radius + 1) * value
                             + ndimage.uniform_filter(mean - slope * mean, 2 * radius + 1))
    share = np.clip(1.6 - 1.6 * (((grid[0] - .5) / .36) ** 2 + ((grid[1] - .55) / .45) ** 2), 0, 1)
    features = np.zeros(grid[0].shape, bool)
    for place in ((.36, .46, .08, .045), (.64, .46, .08, .045), (.5, .76, .13, .05), (.5, .63, .09, .03)):
        features |= ellipse(grid, place)
    share = share * (1 - ndimage.gaussian_filter(features.astype(float), photo.shape[0] / 120))
    return photo + (out - photo) * share[..., None]


def stroke(random, place, mirrored):
    """Points of one fold: a quadratic curve through a place of its zone, as long as such folds are."""
    x, y, w, h, angle, stray = place
    while True:
        at = random.uniform(-1, 1, 2)
        if (at ** 2).sum() < 1:
            break
    length = max(w, h) * random.uniform(.6, 1.7)
    turn = np.radians(angle + stray * .6 * random.normal())
    if stray >= 60:   # beside the eye lines run away from it like the ribs of a fan
        away = np.arctan2(y + at[1] * h - .465, x + at[0] * w - (.66 if mirrored else .34))
        turn, length = away + .15 * random.normal(), length * .7
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    bow = length * random.normal() * .12
    t = np.linspace(-1, 1, 160)[:, None]
    wobble = length * .015 * np.cumsum(random.normal(size=160)) / 8
    return np.array([x + at[0] * w * .7, y + at[1] * h * .7]) + along * t * length / 2 + \
        across * (bow * (1 - t ** 2) + wobble[:, None])


def draw(random, photo, label, points):
    """A groove: darker in the line, a little lighter on one side, fading to its ends."""
    size = photo.shape[0]
    line = points * size
    low = np.clip(np.floor(line.min(axis=0) - 14).astype(int), 0, size - 1)
    high = np.clip(np.ceil(line.max(axis=0) + 14).astype(int), 1, size)
    xs, ys = np.meshgrid(np.arange(low[0], high[0]) + .5, np.arange(low[1], high[1]) + .5)
    apart = np.stack([xs[..., None] - line[:, 0], ys[..., None] - line[:, 1]])
    squared = (apart ** 2).sum(axis=0)
    nearest = squared.argmin(axis=-1)
    distance = np.sqrt(np.take_along_axis(squared, nearest[..., None], -1)[..., 0])
    tangent = np.gradient(line, axis=0)[nearest]
    away = np.stack([xs, ys], -1) - line[nearest]
    side = np.sign(tangent[..., 0] * away[..., 1] - tangent[..., 1] * away[..., 0])
    width, depth = size / 512 * random.uniform(.7, 2.2), random.uniform(.06, .3)
    t = np.linspace(-1, 1, len(line))[nearest]
    fade = np.clip(1 - abs(t) ** 4, 0, 1)
    signed = distance * side
    change = -depth * np.exp(-distance ** 2 / (2 * width ** 2)) + \
        .4 * depth * np.exp(-(signed - 2 * width) ** 2 / (2 * (1.3 * width) ** 2))
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    tint = np.array([.8, 1, 1.05])          # shadows of skin are redder than skin
    photo[window] *= 1 + (change * fade)[..., None] * tint
    label[window] |= distance < size * 2 / 500


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--furrow", default=ROOT / "build/release/apps/furrow", type=pathlib.Path)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.out.exists():
        sys.exit(f"draw_wrinkles: {arguments.out} exists; give another folder or remove it")
    for part in ("images", "masks"):
        (arguments.out / part).mkdir(parents=True)

    axis = (np.arange(arguments.size) + .5) / arguments.size
    grid, places, told = np.meshgrid(axis, axis), list(zones()), []
    for number, (name, face) in enumerate(face_crops(arguments.furrow, arguments.photos, arguments.size)):
        crest, flat = ridges(face, grid), smoothed(face, grid)
        disc = np.hypot(*np.mgrid[-2:3, -2:3]) < arguments.size * 2 / 500 + .5
        for copy in range(arguments.copies):
            random = np.random.default_rng([arguments.seed, number, copy])
            found = copy % 2 == 0
            photo = (face if found else flat).copy()
            label = ndimage.binary_dilation(crest, disc) if found else np.zeros(crest.shape, bool)
            strokes = int(random.integers(0, 8) if found else random.integers(0, 24))
            drawn = []
            for _ in range(strokes):
                zone, mirrored, place = places[random.integers(len(places))]
                draw(random, photo, label, stroke(random, place, mirrored))
                drawn.append(zone)
            if not found:
                photo += random.normal(size=photo.shape[:2] + (1,)) * random.uniform(0, 4)
            stem = f"{name}-{copy}"
            Image.fromarray(photo.clip(0, 255).round().astype(np.uint8)).save(arguments.out / f"images/{stem}.png")
            Image.fromarray(label.astype(np.uint8) * 255).save(arguments.out / f"masks/{stem}.png")
            told.append({"pair": stem, "kind": "found" if found else "drawn", "strokes": drawn,
                         "share": float(label.mean())})
    (arguments.out / "pairs.json").write_text(json.dumps(told, indent=1) + "\n")
    print(f"draw_wrinkles: {len(told)} pairs in {arguments.out}, {np.mean([t['share'] for t in told]):.2%} marked")


if __name__ == "__main__":
    main()
