"""Takes checkpoints apart, mutates the parts and puts them together again: zip, legacy stream, tar, safetensors."""
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib

from differential import pickles

WIDTHS = {"Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2}


# Zip.

def zip_parts(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def zip_bytes(parts, rng):
    """Written in one of many ways that mean the same, now and then in one that does not."""
    deflate, align, descriptors, no_crc, zip64 = (rng.random() < p for p in (0.3, 0.6, 0.4, 0.1, 0.3))
    out, directory = b"", b""
    for name, content in parts:
        name, at = name.encode(), len(out)
        method = 8 if deflate and rng.random() < 0.7 else 0
        packer = zlib.compressobj(rng.choice([1, 9]), zlib.DEFLATED, -15)
        stored = packer.compress(content) + packer.flush() if method else content
        crc = 0 if no_crc else zlib.crc32(content)
        if rng.random() < 0.003:
            crc ^= 1 << rng.randrange(32)
        flags = 8 if descriptors else 0
        early = (0, 0, 0) if descriptors and rng.random() < 0.5 else (crc, len(stored), len(content))
        extra = b""
        if align and not method:
            room = -(at + 30 + len(name) + 4) % 64
            extra = b"FB" + struct.pack("<H", room) + b"Z" * room
        out += struct.pack("<IHHHHHIIIHH", 0x04034b50, 20, flags, method, 0, 0, *early, len(name), len(extra))
        out += name + extra + stored
        if descriptors:
            wide = rng.random() < 0.2
            out += struct.pack("<IIQQ" if wide else "<IIII", 0x08074b50, crc, len(stored), len(content))
        attributes = 0x10 if rng.random() < 0.002 else rng.choice([0, 0, 0x20, 0x81a40000])
        if name.endswith(b"/") and rng.random() < 0.9:
            attributes = 0x41ed0010
        directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 20, 20, flags, method, 0, 0, crc, len(stored),
                                 len(content), len(name), 0, 0, 0, 0, attributes, at) + name
    at, count = len(out), len(parts)
    out += directory
    if zip64:
        end64 = len(out)
        out += struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, count, count, len(directory), at)
        out += struct.pack("<IIQI", 0x07064b50, 0, end64, 1)
    comment = b"made" if rng.random() < 0.05 else b""
    return out + struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, count, count, len(directory), at, len(comment)) + comment


def change_records(parts, rng):
    """One thing about the records: their order, lengths, names, bytes or number."""
    parts = list(parts)
    at = rng.randrange(len(parts))
    name, content = parts[at]
    what = rng.random()
    if what < 0.3:
        rng.shuffle(parts)
    elif what < 0.45:
        parts[at] = name, content[:-rng.randint(1, 8)] if rng.random() < 0.5 else content + bytes(rng.randint(1, 8))
    elif what < 0.55:
        parts[at] = rng.choice([name + "x", name.upper(), name.replace("data/", "data/0"), "other/" + name]), content
    elif what < 0.65:
        del parts[at]
    elif what < 0.75:
        parts.insert(rng.randrange(len(parts) + 1), (name if rng.random() < 0.3 else name + "2", content))
    elif what < 0.9:
        parts[at] = name, pickles.spoiled(content, rng)
    else:
        root = parts[0][0].split("/")[0]
        parts.append((root + "/" + rng.choice(["version", "byteorder", ".format_version", ".storage_alignment", "x"]),
                      rng.choice([b"3\n", b"little", b"big", b"1", b"2", b"64", b"11", b"", b"x"])))
    return parts or [(name, content)]


def mutate_zip(data, rng):
    parts = zip_parts(data)
    if rng.random() < 0.75:
        parts = [(n, pickles.mutated(c, rng) if n.endswith("/data.pkl") else c) for n, c in parts]
    if rng.random() < 0.3:
        parts = change_records(parts, rng)
    return zip_bytes(parts, rng)


# Legacy stream.

class Ids(pickle.Unpickler):
    """Notes the storages that an object names."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.storages = {}

    def find_class(self, module, name):
        if module == "collections" and name == "OrderedDict":
            return super().find_class(module, name)
        return type(name, (dict,), {"__new__": lambda cls, *args: dict.__new__(cls), "__init__": lambda *args: None})

    def persistent_load(self, pid):
        self.storages[pid[2]] = WIDTHS.get(pid[1].__name__.removesuffix("Storage"), 1), pid[4]
        return pid[2]


def stream_of_zip(data):
    """The checkpoint in a zip as the legacy stream that PyTorch would have written."""
    parts = {name.split("/", 1)[1]: content for name, content in zip_parts(data)}
    ids = Ids(parts["data.pkl"])
    ids.load()
    out, ops = [], pickles.operations(parts["data.pkl"])
    for i, (name, _, raw) in enumerate(ops):
        following = [n for n, _, _ in ops[i + 1:i + 3]]
        names_storage = name == "TUPLE" and ("BINPERSID" in following[:1] or
                                             following[1:] == ["BINPERSID"] and "PUT" in following[0])
        out.append(b"N" + raw if names_storage else raw)
    keys = sorted(ids.storages)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    heads = [pickle.dumps(v, 2) for v in (0x1950a86a20f9469cfc6c, 1001, system)]
    records = [(ids.storages[key][1], parts["data/" + key]) for key in keys]
    return heads + [b"".join(out), pickle.dumps(keys, 2)], records


def stream_bytes(heads, records):
    return b"".join(heads) + b"".join(struct.pack("<q", count) + content for count, content in records)


def mutate_stream(data, rng):
    heads, records = stream_of_zip(data)
    what = rng.random()
    if what < 0.8:
        at = rng.choice([3] * 8 + [0, 1, 2, 4, 4])
        heads[at] = pickles.mutated(heads[at], rng)
    elif what < 0.95 and records:
        at = rng.randrange(len(records))
        count, content = records[at]
        kind = rng.random()
        if kind < 0.3:
            records[at] = count + rng.choice([-1, 1, 2 ** 40]), content
        elif kind < 0.6:
            records[at] = count, pickles.spoiled(content, rng)
        elif kind < 0.8:
            del records[at]
        else:
            rng.shuffle(records)
    return stream_bytes(heads, records) + (b"x" * rng.randint(1, 9) if rng.random() < 0.02 else b"")


# Tar of 2017.

def mutate_tar(data, rng):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        parts = {info.name: tar.extractfile(info).read() for info in tar}
    name = rng.choice(["pickle"] * 4 + ["tensors"] * 4 + ["storages"] * 3 + ["sys_info"])
    if name in ("pickle", "sys_info"):
        parts[name] = pickles.mutated(parts[name], rng)
    elif rng.random() < 0.5:
        parts[name] = pickles.spoiled(parts[name], rng)
    else:  # a number among the pickles
        content = bytearray(parts[name])
        at = rng.randrange(max(1, len(content) - 8))
        content[at:at + 8] = struct.pack("<q", rng.choice([n for n in pickles.NUMBERS if -2 ** 63 <= n < 2 ** 63]))
        parts[name] = bytes(content)
    names = list(parts)
    if rng.random() < 0.2:
        rng.shuffle(names)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=rng.choice([tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(parts[name]), rng.choice([0, 1483719550.98166])
            tar.addfile(info, io.BytesIO(parts[name]))
    return out.getvalue()


# Safetensors.

def mutate_safetensors(data, rng):
    length = struct.unpack_from("<Q", data)[0]
    header, body = json.loads(data[8:8 + length]), data[8 + length:]
    names = [name for name in header if name != "__metadata__"]
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        name = rng.choice(names)
        entry, what = header[name], rng.random()
        if what < 0.2:
            entry["dtype"] = rng.choice(["F32", "F64", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "U16",
                                         "U32", "U64", "F8_E4M3", "C64", "f32", "", 3, None])
        elif what < 0.5:
            shape = entry["shape"]
            at = rng.randrange(len(shape) + 1)
            shape[at:at + rng.randint(0, 1)] = [rng.choice(pickles.NUMBERS + [1, 1, 2, 3, 1.0, "2", None, True])]
        elif what < 0.8:
            at = rng.randrange(2)
            entry["data_offsets"][at] = rng.choice([entry["data_offsets"][at] + rng.choice([-4, -1, 1, 4, 8]),
                                                    rng.choice(pickles.NUMBERS)])
        elif what < 0.9:
            header["__metadata__"] = rng.choice([{}, {"a": "b"}, {"a": 1}, None, [], {"furrow.x": "\u3057"}])
        else:
            entry[rng.choice(["x", "strides", "dtype2"])] = 1
    entries = [(json.dumps(key), json.dumps(value)) for key, value in header.items()]
    if rng.random() < 0.3:
        rng.shuffle(entries)
    if rng.random() < 0.05:
        entries.append(rng.choice(entries))
    colon, comma = rng.choice([(":", ","), (": ", ", "), (" :\n", "\t,")])
    text = ("{" + comma.join(key + colon + value for key, value in entries) + "}").encode()
    if rng.random() < 0.1:
        text = pickles.spoiled(text, rng)
    text += b" " * rng.choice([0, 0, -len(text) % 8, 3])
    size = len(text) + (rng.choice([-1, 1, 8, 2 ** 40]) if rng.random() < 0.03 else 0)
    if rng.random() < 0.1:
        body = pickles.spoiled(body, rng)
    return struct.pack("<Q", size) + text + body
