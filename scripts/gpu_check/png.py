"""Reads the grey pictures that `furrow segment` writes (8 or 16 bits, not interlaced), with the standard library alone."""
import struct
import zlib


def read_grey(path):
    """(width, height, values): rows from the top, 0..255 or 0..65535."""
    data = open(path, "rb").read()
    at, compressed = 8, b""
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at:at + 4]), data[at + 4:at + 8]
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            compressed += body
        at += 12 + length
    if colour != 0 or depth not in (8, 16) or interlaced:
        raise ValueError(f"{path}: not a grey picture of 8 or 16 bits")
    raw, size = zlib.decompress(compressed), depth // 8
    stride = width * size
    above, values = bytearray(stride), []
    for y in range(height):
        line = unfilter(raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)]), above, size)
        values += line if size == 1 else struct.unpack(f">{width}H", line)
        above = line
    return width, height, values


def unfilter(how, line, above, size):
    """Undoes the prediction of one row (PNG specification, 9.2)."""
    for i in range(len(line)):
        left = line[i - size] if i >= size else 0
        corner = above[i - size] if i >= size else 0
        if how == 1:
            line[i] = (line[i] + left) & 255
        elif how == 2:
            line[i] = (line[i] + above[i]) & 255
        elif how == 3:
            line[i] = (line[i] + (left + above[i]) // 2) & 255
        elif how == 4:
            p = left + above[i] - corner
            nearest = min((abs(p - left), 0, left), (abs(p - above[i]), 1, above[i]), (abs(p - corner), 2, corner))
            line[i] = (line[i] + nearest[2]) & 255
    return line
