#!/usr/bin/env python3
"""Reads an event file (TensorFlow's records of protocol buffers) and prints one line per value. Written apart from
train/event_file.cc, bit by bit, so that the two agree only where both follow the format.

    read_events.py FILE
"""
import struct
import sys


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(data: bytes):
    at = 0
    while at < len(data):
        (length, sum_of_length) = struct.unpack_from("<QI", data, at)
        assert sum_of_length == masked(data[at:at + 8]), f"length at {at}"
        body = data[at + 12:at + 12 + length]
        assert len(body) == length, f"cut at {at}"
        (sum_of_body,) = struct.unpack_from("<I", data, at + 12 + length)
        assert sum_of_body == masked(body), f"data at {at}"
        yield body
        at += 16 + length


def varint(data: bytes, at: int):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data: bytes):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            (value,) = struct.unpack_from("<d", data, at)
            at += 8
        elif kind == 5:
            (value,) = struct.unpack_from("<f", data, at)
            at += 4
        else:
            assert kind == 2, f"wire type {kind}"
            length, at = varint(data, at)
            value = data[at:at + length]
            at += length
        yield number, value


def main() -> None:
    for record in records(open(sys.argv[1], "rb").read()):
        event = dict(fields(record))
        time, step = event[1], event.get(2, 0)
        if 3 in event:
            print(time, step, "version", event[3].decode())
        for number, value in fields(event.get(5, b"")):
            assert number == 1
            entry = dict(fields(value))
            tag = entry[1].decode()
            if 4 in entry:
                image = dict(fields(entry[4]))
                print(time, step, tag, f"image {image[2]}x{image[1]} of {image[3]} channels, {len(image[4])} bytes")
            else:
                print(time, step, tag, entry[2])


if __name__ == "__main__":
    main()
