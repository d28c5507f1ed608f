#!/usr/bin/python3
"""Writes tests/data/pictures/jpegs.bin, many small JPEG files in one, and jpegs.txt, the pixels that are in them.

  /usr/bin/python3 tests/data/make_jpeg_golden.py [--shared DIR]

Run with Debian 12's python3-pil (9.4.0, on libjpeg-turbo 2.1.5), python3-opencv (4.6) and python3-numpy. A line of
jpegs.txt per file: name, its first byte and length in jpegs.bin, width, height, SHA-256 of the RGB pixels that Pillow
sees. cv2.imread must see the same (it is not asked for CMYK). Files come from Pillow's encoder, from OpenCV's (restart
intervals), and, for what those do not write, from Coded below, block by block with coefficients drawn at random: such
pictures are noise, so that every rounding and every edge shows. With --shared, shared_jpegs.txt gets the same for each
JPEG file under DIR/data (path, width, height, SHA-256); without it that file stays as it is.
"""
import argparse
import glob
import hashlib
import io
import os
import struct

import cv2
import numpy as np
from PIL import Image, ImageOps

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
PHOTO = Image.open(os.path.join(HERE, "../../../examples/astronaut.png")).convert("RGB")
ZIGZAG = [8 * (s - x if s % 2 == 0 else x) + (x if s % 2 == 0 else s - x)
          for s in range(15) for x in range(max(0, s - 7), min(s, 7) + 1)]
AC_SYMBOLS = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 16)]


def segment(marker, data):
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


class Bits:
    """Coded data: bits, most significant first, 0xFF followed by 0, the last byte filled up with ones."""

    def __init__(self):
        self.text = []

    def put(self, value, count):
        if count:
            self.text.append(format(value, f"0{count}b"))

    def bytes(self):
        text = "".join(self.text)
        text += "1" * (-len(text) % 8)
        return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8)).replace(b"\xff", b"\xff\0")


class Coded:
    """A sequential JPEG with any sampling factors, made of random coefficients.

    Every DC code has 4 bits and every AC code 8, in the order of their symbols. `loudness` scales the coefficients,
    `steps` is the largest quantisation step.
    """

    def __init__(self, seed, width, height, factors, loudness=1.0, steps=60, ids=None, interleaved=True, restart=0,
                 jfif=True, adobe=None):
        self.rng = np.random.RandomState(seed)
        self.factors, self.loudness, self.restart = factors, loudness, restart
        self.h_max, self.v_max = max(h for h, v in factors), max(v for h, v in factors)
        self.size = width, height
        ids = ids or range(1, len(factors) + 1)
        out = b"\xff\xd8"
        if jfif:
            out += segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
        if adobe is not None:
            out += segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([adobe]))
        self.tables = [self.rng.randint(1, steps + 1, 64) for _ in range(2)]
        for i, table in enumerate(self.tables):
            wide = table.max() > 255
            out += segment(0xDB, bytes([wide << 4 | i]) + table.astype(">u2" if wide else np.uint8).tobytes())
        frame = struct.pack(">BHHB", 8, height, width, len(factors))
        for i, (h, v) in enumerate(factors):
            frame += bytes([ids[i], h << 4 | v, min(i, 1)])
        out += segment(0xC1, frame)
        counts = lambda length, count: bytes(count if i == length else 0 for i in range(1, 17))
        out += segment(0xC4, b"\x00" + counts(4, 12) + bytes(range(12)))
        out += segment(0xC4, b"\x10" + counts(8, len(AC_SYMBOLS)) + bytes(AC_SYMBOLS))
        if restart:
            out += segment(0xDD, struct.pack(">H", restart))
        scans = [range(len(factors))] if interleaved else [[i] for i in range(len(factors))]
        for scan in scans:
            names = b"".join(bytes([ids[i], 0]) for i in scan)
            out += segment(0xDA, bytes([len(scan)]) + names + bytes([0, 63, 0])) + self.scan(list(scan))
        self.data = out + b"\xff\xd9"

    def scan(self, components):
        width, height = self.size
        blocks = lambda side, part, whole: -(-(-(-side * part // whole)) // 8)
        if len(components) == 1:
            h, v = self.factors[components[0]]
            units = blocks(width, h, self.h_max) * blocks(height, v, self.v_max)
        else:
            units = blocks(width, 1, self.h_max) * blocks(height, 1, self.v_max)
        out, bits, predicted = b"", Bits(), {}
        for unit in range(units):
            if self.restart and unit and unit % self.restart == 0:
                out += bits.bytes() + bytes([0xFF, 0xD0 + (unit // self.restart - 1) % 8])
                bits, predicted = Bits(), {}
            for i in components:
                h, v = self.factors[i]
                for _ in range(1 if len(components) == 1 else h * v):
                    predicted[i] = self.block(bits, predicted.get(i, 0), self.tables[min(i, 1)])
        return out + bits.bytes()

    def block(self, bits, predicted, steps):
        """One block: half of them with few coefficients; the rows' order of T.81, figure A.6. Returns its DC."""
        spread = self.loudness * 300 / steps[0]
        dc = int(np.clip(self.rng.normal(0, spread), -1020, 1020))
        self.number(bits, dc - predicted, lambda size: bits.put(size, 4))
        count = self.rng.choice([0, 0, 2, 10, 63])
        run = 0
        for k in range(1, 64):
            value = 0
            if k <= count and self.rng.rand() < 0.6:
                value = int(np.clip(self.rng.normal(0, self.loudness * 250 / (3 + k) / steps[k] + 0.5), -1020, 1020))
            if value == 0:
                run += 1
                continue
            while run > 15:
                bits.put(AC_SYMBOLS.index(0xF0), 8)
                run -= 16
            self.number(bits, value, lambda size: bits.put(AC_SYMBOLS.index(run << 4 | size), 8))
            run = 0
        if run:
            bits.put(AC_SYMBOLS.index(0x00), 8)
        return dc

    @staticmethod
    def number(bits, value, put_size):
        size = abs(value).bit_length()
        put_size(size)
        bits.put(value if value >= 0 else value + (1 << size) - 1, size)


def pillow(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def opencv(image, *options):
    return cv2.imencode(".jpg", np.asarray(image)[:, :, ::-1], list(options))[1].tobytes()


def encoded():
    """name -> file, from the encoders: samplings, sizes, qualities, progressive, tables, restart intervals."""
    rng = np.random.RandomState(1)
    files = {}
    sizes = [(n, n) for n in range(1, 18)] + [(n, 18 - n) for n in range(1, 18, 2)] + [(31, 33), (33, 31)]
    for i, (width, height) in enumerate(sizes):
        photo = PHOTO.crop((170, 60, 170 + width, 60 + height))
        noise = Image.fromarray(rng.randint(0, 256, (height, width, 3)).astype(np.uint8))
        for name, options in {"444": {"subsampling": 0}, "422": {"subsampling": 1}, "420": {"subsampling": 2}}.items():
            image = noise if i % 2 else photo
            files[f"{name}_{width}x{height}"] = pillow(image, quality=75 + i % 20, progressive=i % 3 == 0, **options)
        if i % 4 == 0:
            files[f"gray_{width}x{height}"] = pillow(photo.convert("L"), quality=80, progressive=i % 8 == 0)
    photo = PHOTO.crop((170, 60, 170 + 61, 60 + 45))
    for quality in (1, 5, 20, 50, 80, 95, 100):
        for name, subsampling in {"444": 0, "422": 1, "420": 2}.items():
            files[f"{name}_q{quality}"] = pillow(photo, quality=quality, subsampling=subsampling)
        files[f"420_q{quality}p"] = pillow(photo, quality=quality, subsampling=2, progressive=True)
    files["optimized"] = pillow(photo, quality=85, optimize=True)
    for interval in (1, 3):
        restart = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_RST_INTERVAL, interval]
        files[f"restart{interval}"] = opencv(photo, *restart)
        files[f"restart{interval}p"] = opencv(photo, *restart, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    return files


def coded():
    """name -> file, by Coded: the rest."""
    files = {}
    samplings = {
        "440": [(1, 2), (1, 1), (1, 1)], "411": [(4, 1), (1, 1), (1, 1)], "410": [(4, 2), (1, 1), (1, 1)],
        "420c": [(2, 2), (1, 1), (1, 1)], "422c": [(2, 1), (1, 1), (1, 1)], "444c": [(1, 1), (1, 1), (1, 1)],
        "luma_small": [(1, 1), (2, 2), (1, 2)], "mixed": [(2, 2), (2, 1), (1, 2)], "thirds": [(3, 1), (1, 1), (3, 1)],
        "tall": [(1, 4), (1, 2), (1, 1)], "gray22": [(2, 2)], "all22": [(2, 2), (2, 2), (1, 1)],
        "wide2": [(4, 1), (2, 1), (2, 1)],
    }
    sizes = [(1, 1), (2, 3), (3, 2), (4, 5), (5, 4), (8, 8), (9, 16), (16, 9), (17, 17), (31, 33), (33, 31)]
    for i, (name, factors) in enumerate(samplings.items()):
        for k, (width, height) in enumerate(sizes):
            files[f"{name}_{width}x{height}"] = Coded(100 * i + k, width, height, factors).data
    four = [(2, 2), (1, 1), (1, 1), (2, 2)]
    plain, half = samplings["444c"], samplings["420c"]
    files["separate"] = Coded(1, 37, 29, half, interleaved=False).data
    files["separate_restart"] = Coded(2, 37, 29, half, interleaved=False, restart=2).data
    files["restart2"] = Coded(3, 37, 29, half, restart=2).data
    files["steps16"] = Coded(4, 37, 29, half, steps=1000).data
    files["loud"] = Coded(5, 61, 45, half, loudness=8).data
    files["loud_steps16"] = Coded(6, 61, 45, plain, loudness=20, steps=400).data
    files["adobe0"] = Coded(7, 37, 29, plain, jfif=False, adobe=0).data
    files["adobe0_half"] = Coded(8, 37, 29, half, jfif=False, adobe=0).data
    files["adobe1"] = Coded(9, 37, 29, plain, jfif=False, adobe=1).data
    files["jfif_adobe0"] = Coded(10, 37, 29, plain, adobe=0).data
    files["named_rgb"] = Coded(11, 37, 29, plain, jfif=False, ids=b"RGB").data
    files["jfif_named_rgb"] = Coded(12, 37, 29, plain, ids=b"RGB").data
    files["named_012"] = Coded(13, 37, 29, plain, jfif=False, ids=[0, 1, 2]).data
    files["cmyk"] = Coded(14, 37, 29, plain + [(1, 1)], jfif=False, adobe=0).data
    files["ycck"] = Coded(15, 37, 29, four, jfif=False, adobe=2).data
    return files


def seen(data, name):
    picture = Image.open(io.BytesIO(data))
    pixels = np.ascontiguousarray(ImageOps.exif_transpose(picture).convert("RGB"))
    if picture.mode != "CMYK":
        other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert (other[:, :, ::-1] == pixels).all(), name
    height, width, _ = pixels.shape
    return f"{width} {height} {hashlib.sha256(pixels.tobytes()).hexdigest()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared")
    shared = parser.parse_args().shared
    lines, together = [], b""
    for name, data in {**encoded(), **coded()}.items():
        lines.append(f"{name} {len(together)} {len(data)} {seen(data, name)}\n")
        together += data
    with open(os.path.join(HERE, "jpegs.bin"), "wb") as out:
        out.write(together)
    with open(os.path.join(HERE, "jpegs.txt"), "w") as out:
        out.writelines(lines)
    if shared:
        paths = sorted(p for p in glob.glob(os.path.join(shared, "data/**/*.jp*g"), recursive=True))
        with open(os.path.join(HERE, "shared_jpegs.txt"), "w") as out:
            for path in paths:
                with open(path, "rb") as file:
                    out.write(f"{os.path.relpath(path, shared)} {seen(file.read(), path)}\n")


main()
