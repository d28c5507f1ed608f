#!/usr/bin/python3
"""Writes the small pictures of tests/data/pictures/ and golden.txt, the pixels that are in them.

Run with Debian 12's python3-pil (9.4.0), python3-opencv (4.6) and python3-numpy:
  /usr/bin/python3 tests/data/make_picture_golden.py
PNG files are written here sample by sample (every colour type, depth, filter and Adam7), so that their pixels are known
without a decoder; Pillow must agree wherever it reads the kind exactly. golden.txt has a line per PNG:
  file width height sha256 of RGB with alpha dropped, on black, on white
JPEG files are made with Pillow and OpenCV; NAME.jpg.png is what Pillow (libjpeg-turbo) sees in NAME.jpg, upright.
"""
import hashlib
import io
import os
import struct
import zlib

import cv2
import numpy as np
from PIL import Image, ImageOps

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, data):
    body = name + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def pack_row(row, depth):
    """Bytes of a row of samples."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = "".join(format(int(v), f"0{depth}b") for v in row)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def paeth(a, b, c):
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def filtered(rows, step):
    """Rows with filter 0, 1, 2, 3, 4, 0 ... in turn."""
    out, above = b"", None
    for index, row in enumerate(rows):
        above = above or bytes(len(row))
        kind = (index + 4) % 5
        out += bytes([kind])
        for i, value in enumerate(row):
            left = row[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            guess = [0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner)][kind]
            out += bytes([(value - guess) & 255])
        above = row
    return out


def png(samples, colour, depth, interlace=0, extra=b"", level=9, split=None, tail=b""):
    """samples: height x width x SAMPLES[colour]; extra: chunks between IHDR and IDAT."""
    height, width, _ = samples.shape
    step = max(1, SAMPLES[colour] * depth // 8)
    data = b""
    for x0, y0, dx, dy in ADAM7 if interlace else [(0, 0, 1, 1)]:
        part = samples[y0::dy, x0::dx]
        if part.size:
            data += filtered([pack_row(row.reshape(-1), depth) for row in part], step)
    packed = zlib.compress(data, level)
    size = split or len(packed)
    idat = b"".join(chunk(b"IDAT", packed[i : i + size]) for i in range(0, len(packed), size))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + extra + idat + chunk(b"IEND", b"") + tail


def to_rgba(samples, colour, depth, palette=None, alphas=None, key=None):
    """The definition: 8 bits per sample (16: the high byte; below 8: scaled), palette looked up, alpha or 255."""
    eight = samples >> 8 if depth == 16 else samples if depth == 8 or colour == 3 else samples * (255 // (2**depth - 1))
    height, width, _ = samples.shape
    rgba = np.full((height, width, 4), 255, np.uint8)
    if colour == 3:
        rgba[:, :, :3] = np.array(palette, np.uint8)[samples[:, :, 0]]
        table = np.array(([] if alphas is None else list(alphas)) + [255] * 256, np.uint8)
        rgba[:, :, 3] = table[samples[:, :, 0]]
        return rgba
    rgba[:, :, :3] = eight[:, :, :3] if colour in (2, 6) else eight[:, :, :1]
    if colour >= 4:
        rgba[:, :, 3] = eight[:, :, -1]
    elif key is not None:
        rgba[:, :, 3] = np.where((samples == np.array(key)).all(axis=2), 0, 255)
    return rgba


def on(rgba, level):
    """Composited by Pillow."""
    back = Image.new("RGB", rgba.shape[1::-1], (level,) * 3)
    back.paste(Image.fromarray(rgba[:, :, :3]), mask=Image.fromarray(rgba[:, :, 3]))
    return np.asarray(back)


class Goldens:
    def __init__(self):
        self.lines = []

    def add_png(self, name, data, rgba, pillow=True):
        with open(os.path.join(HERE, name), "wb") as out:
            out.write(data)
        if pillow:
            seen = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
            assert (np.asarray(seen.convert("RGBA")) == rgba).all(), name
        shas = [hashlib.sha256(np.ascontiguousarray(v).tobytes()).hexdigest() for v in (rgba[:, :, :3], on(rgba, 0), on(rgba, 255))]
        self.lines.append(f"{name} {rgba.shape[1]} {rgba.shape[0]} " + " ".join(shas))

    def add_jpeg(self, name, data):
        with open(os.path.join(HERE, name), "wb") as out:
            out.write(data)
        seen = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        seen.save(os.path.join(HERE, name + ".png"), optimize=True)


def exif(orientation, order="<"):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHII", 0x010E, 2, 4, 0x00414141)  # ImageDescription before it
    entries += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "IH", 8, 2) + entries + struct.pack(order + "I", 0)


def pngs(goldens):
    rng = np.random.RandomState(7)
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for depth in depths:
            samples = rng.randint(0, 2**depth, (11, 13, SAMPLES[colour])).astype(np.int64)
            palette = rng.randint(0, 256, (2**depth, 3)) if colour == 3 else None
            plte = chunk(b"PLTE", palette.astype(np.uint8).tobytes()) if colour == 3 else b""
            exact = not (colour == 0 and depth == 16)  # Pillow clips 16-bit gray
            rgba = to_rgba(samples, colour, depth, palette)
            for interlace in (0, 1):
                name = f"c{colour}d{depth}{'i' if interlace else ''}"
                goldens.add_png(name + ".png", png(samples, colour, depth, interlace, plte), rgba, exact)
            if colour in (0, 2):
                key = samples[5, 6]
                trns = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
                goldens.add_png(f"c{colour}d{depth}t.png", png(samples, colour, depth, 0, trns),
                                to_rgba(samples, colour, depth, key=key), depth == 8)
            if colour == 3:
                alphas = rng.randint(0, 256, max(1, 2**depth // 2))
                trns = chunk(b"tRNS", alphas.astype(np.uint8).tobytes())
                goldens.add_png(f"c3d{depth}t.png", png(samples, 3, depth, 0, plte + trns),
                                to_rgba(samples, 3, depth, palette, alphas))
    rgb = lambda w, h: rng.randint(0, 256, (h, w, 3)).astype(np.int64)
    for w, h in ((1, 1), (7, 1), (1, 7), (3, 2), (5, 5)):
        samples = rgb(w, h)
        for interlace in (0, 1):
            goldens.add_png(f"size{w}x{h}{'i' if interlace else ''}.png", png(samples, 2, 8, interlace), to_rgba(samples, 2, 8))
    line = (np.arange(65535, dtype=np.int64) % 251).reshape(1, 65535, 1)
    goldens.add_png("size65535x1.png", png(line, 0, 8), to_rgba(line, 0, 8))
    samples = rgb(8, 6)
    rgba = to_rgba(samples, 2, 8)
    goldens.add_png("split.png", png(samples, 2, 8, split=5), rgba)
    empty = png(samples, 2, 8).replace(chunk(b"IEND", b""), chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    goldens.add_png("empty_idat.png", empty, rgba)
    goldens.add_png("stored.png", png(samples, 2, 8, level=0), rgba)
    goldens.add_png("trailing.png", png(samples, 2, 8, tail=b"more bytes"), rgba)
    text = chunk(b"tEXt", b"Comment\0hello") + chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"zTXt", b"a\0\0x\x9c\x03\0\0\0\0\1")
    goldens.add_png("ancillary.png", png(samples, 2, 8, extra=text + chunk(b"PLTE", bytes(12))), rgba)
    actl = chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 6, 0, 0, 1, 10, 0, 0))
    goldens.add_png("apng.png", png(samples, 2, 8, extra=actl), rgba)
    for value in (1, 6):
        seen = rgba if value == 1 else np.rot90(rgba, -1)
        goldens.add_png(f"exif{value}.png", png(samples, 2, 8, extra=chunk(b"eXIf", exif(value))), seen)


def scene(width, height):
    """Smooth, coloured, with soft texture: like a photo, unlike noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    r = 128 + 90 * np.sin(x / 9) + 20 * np.cos(y / 5)
    g = 120 + 80 * np.cos((x + y) / 11)
    b = 60 + 1.5 * y + 40 * np.sin(x * y / 300)
    return Image.fromarray(np.clip(np.stack([r, g, b], 2), 0, 255).astype(np.uint8))


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def segments(data):
    """Splits a JPEG's header into (marker, whole segment); the last is SOS with everything behind it."""
    at, parts = 2, []
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if marker == 0xDA:
            return parts + [(marker, data[at:])]
        parts.append((marker, data[at : at + 2 + length]))
        at += 2 + length


def as_rgb(data):
    """The same coefficients, but said to be RGB: no JFIF, components called R, G, B."""
    out = b"\xff\xd8"
    for marker, part in segments(data):
        if marker == 0xE0:
            continue
        part = bytearray(part)
        for i, letter in enumerate(b"RGB"):
            if marker == 0xC0:
                part[10 + 3 * i] = letter
            if marker == 0xDA:
                part[5 + 2 * i] = letter
        out += bytes(part)
    return out


def jpegs(goldens):
    image = scene(45, 34)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        goldens.add_jpeg(f"s{name}.jpg", saved(image, quality=90, subsampling=subsampling))
        goldens.add_jpeg(f"s{name}p.jpg", saved(image, quality=90, subsampling=subsampling, progressive=True))
    for quality in (1, 10, 30, 50, 75, 95, 100):
        goldens.add_jpeg(f"q{quality}.jpg", saved(image, quality=quality, subsampling=0 if quality > 90 else 2))
    goldens.add_jpeg("gray.jpg", saved(image.convert("L"), quality=85))
    goldens.add_jpeg("grayp.jpg", saved(image.convert("L"), quality=85, progressive=True))
    goldens.add_jpeg("optimized.jpg", saved(image, quality=80, optimize=True))
    goldens.add_jpeg("trailing.jpg", saved(image, quality=80) + b"\0\0more bytes\xff\xd8")
    goldens.add_jpeg("rgb.jpg", as_rgb(saved(image, quality=92, subsampling=0)))
    for width, height in ((1, 1), (7, 1), (1, 9), (8, 8), (16, 16), (17, 33)):
        goldens.add_jpeg(f"size{width}x{height}.jpg", saved(scene(width, height), quality=90))
    for value in range(1, 9):
        goldens.add_jpeg(f"exif{value}.jpg", saved(image, quality=90, exif=b"Exif\0\0" + exif(value, "<>"[value % 2])))
    cmyk = saved(image.convert("CMYK"), quality=90)
    goldens.add_jpeg("cmyk.jpg", cmyk)
    bgr = np.asarray(image)[:, :, ::-1]
    for name, options in {"restart": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
                          "restart1p": [cv2.IMWRITE_JPEG_RST_INTERVAL, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]}.items():
        goldens.add_jpeg(name + ".jpg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88] + options)[1].tobytes())
    adobe = cmyk.index(b"Adobe")
    assert cmyk[adobe + 11] == 0
    ycck = bytearray(cmyk)
    ycck[adobe + 11] = 2
    goldens.add_jpeg("ycck.jpg", bytes(ycck))


def main():
    os.makedirs(HERE, exist_ok=True)
    goldens = Goldens()
    pngs(goldens)
    with open(os.path.join(HERE, "golden.txt"), "w") as out:
        out.write("\n".join(goldens.lines) + "\n")
    jpegs(goldens)


main()
