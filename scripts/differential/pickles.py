"""Mutations of pickles, opcode by opcode: numbers, texts and names are changed or spelled otherwise, opcodes dropped,
repeated, moved."""
import pickle
import pickletools
import struct

NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 24, 255, 256, 65535, 65536, -1, -2, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 40,
           2 ** 62, 2 ** 63 - 1, 2 ** 63, -2 ** 31, -2 ** 63]
TEXTS = [b"", b"0", b"1", b"2", b"storage", b"cpu", b"cuda:0", b"module", b"weight", b"model", b"state_dict", b"\xff",
         b"a\0b", b"../x", "\u3057".encode(), b"\xed\xa0\x80", b"x" * 300]
STORAGES = ["FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage", "LongStorage", "IntStorage",
            "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage", "ComplexFloatStorage"]
NAMES = [("torch", s) for s in STORAGES] + [
    ("collections", "OrderedDict"), ("collections", "Counter"), ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_parameter"), ("torch.nn.parameter", "Parameter"), ("torch", "Size"),
    ("torch", "device"), ("torch", "float32"), ("torch", "uint16"), ("torch", "FloatTensor"),
    ("torch.storage", "UntypedStorage"), ("builtins", "set"), ("_codecs", "encode")]
INTEGERS = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4"}
STRINGS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING"}


def operations(data):
    """[(name, argument, bytes)], up to STOP."""
    found = [(code.name, argument, at) for code, argument, at in pickletools.genops(data)]
    ends = [at for _, _, at in found[1:]] + [found[-1][2] + 1]
    return [(name, argument, data[at:end]) for (name, argument, at), end in zip(found, ends)]


def integer(value, rng):
    """One of the spellings of `value`."""
    ways = []
    if 0 <= value < 2 ** 8:
        ways.append(b"K" + struct.pack("<B", value))
    if 0 <= value < 2 ** 16:
        ways.append(b"M" + struct.pack("<H", value))
    if -2 ** 31 <= value < 2 ** 31:
        ways.append(b"J" + struct.pack("<i", value))
    digits = pickle.encode_long(value)
    ways.append(b"\x8a" + bytes([len(digits)]) + digits)
    if digits and len(digits) < 8:
        ways.append(b"\x8a" + bytes([len(digits) + 1]) + digits + (b"\xff" if value < 0 else b"\0"))
    return rng.choice(ways)


def text(value, rng):
    ways = [b"X" + struct.pack("<I", len(value)) + value] * 4 + [b"\x8d" + struct.pack("<Q", len(value)) + value]
    if len(value) < 256:
        ways += [b"\x8c" + bytes([len(value)]) + value, b"U" + bytes([len(value)]) + value]
    return rng.choice(ways)


def spoiled(data, rng):
    """1 to 3 bytes changed, dropped or added."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(out) + 1)
        what = rng.random()
        if what < 0.6 and at < len(out):
            out[at] = rng.choice([rng.randrange(256), out[at] ^ (1 << rng.randrange(8))])
        elif what < 0.8:
            del out[at:at + rng.randint(1, 4)]
        else:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 4)))
    return bytes(out)


def respell_numbers(ops, rng):
    return [integer(arg, rng) if name in INTEGERS and rng.random() < 0.5 else raw for name, arg, raw in ops]


def respell_texts(ops, rng):
    return [text(arg.encode("utf-8", "surrogatepass"), rng) if name in STRINGS and rng.random() < 0.5 else raw
            for name, arg, raw in ops]


def one_of(ops, rng, kinds):
    places = [i for i, (name, _, _) in enumerate(ops) if name in kinds]
    return rng.choice(places) if places else None


def change_number(ops, rng):
    out, at = [raw for _, _, raw in ops], one_of(ops, rng, INTEGERS)
    if at is not None:
        old = ops[at][1]
        others = [o for n, o, _ in ops if n in INTEGERS]
        out[at] = integer(rng.choice(NUMBERS + [old + 1, old - 1, old * 2, old // 2] * 4 + others), rng)
    return out


def change_text(ops, rng):
    out, at = [raw for _, _, raw in ops], one_of(ops, rng, STRINGS)
    if at is not None:
        old = ops[at][1].encode("utf-8", "surrogatepass")
        others = [o.encode("utf-8", "surrogatepass") for n, o, _ in ops if n in STRINGS]
        out[at] = text(rng.choice(TEXTS + [old + b"x", old[:-1], b"module." + old] * 4 + others * 2), rng)
    return out


def change_name(ops, rng):
    out, at = [raw for _, _, raw in ops], one_of(ops, rng, {"GLOBAL"})
    if at is not None:
        pool = [n for n in NAMES if n[1] in STORAGES] if "Storage" in ops[at][1] and rng.random() < 0.8 else NAMES
        out[at] = "c{}\n{}\n".format(*rng.choice(pool)).encode()
    return out


def drop(ops, rng):
    out = [raw for _, _, raw in ops]
    del out[rng.randrange(len(out))]
    return out


def repeat(ops, rng):
    out, at = [raw for _, _, raw in ops], rng.randrange(len(ops))
    out.insert(at, out[at])
    return out


def exchange(ops, rng):
    out, at = [raw for _, _, raw in ops], rng.randrange(len(ops) - 1)
    other = at + 1 if rng.random() < 0.5 else rng.randrange(len(ops))
    out[at], out[other] = out[other], out[at]
    return out


def copy(ops, rng):
    """A run of opcodes again, elsewhere."""
    out = [raw for _, _, raw in ops]
    begin = rng.randrange(len(out))
    run = out[begin:begin + rng.randint(1, 12)]
    at = rng.randrange(1, len(out))
    out[at:at] = run
    return out


def insert(ops, rng):
    out = [raw for _, _, raw in ops]
    out.insert(rng.randrange(1, len(out)), rng.choice(
        [b"N", b"\x88", b"\x89", b")", b"}", b"]", b"(", b"0", b"2", b"Q", b"R", b"b", b"t", b"u", b"s", b"a", b"e",
         b"\x81", b"\x85", b"\x86", b"\x87", b"\x94", b"h\0", b"h\1", b"q\0", b"r\0\1\0\0", b"j\0\0\0\0", b"K\1",
         b"U\1x"]))
    return out


def no_memo(ops, rng):
    """Without the PUTs that nothing gets, as pickletools.optimize leaves it."""
    used = {arg for name, arg, _ in ops if "GET" in name}
    return [raw for name, arg, raw in ops if "PUT" not in name or arg in used]


def protocol(ops, rng):
    out = [raw for _, _, raw in ops]
    out[0] = b"\x80" + bytes([rng.choice([0, 1, 2, 3, 4, 5, 255])])
    return out


def bytewise(ops, rng):
    return [spoiled(b"".join(raw for _, _, raw in ops), rng)]


HARMLESS = [respell_numbers, respell_texts, no_memo]
MUTATIONS = [change_number] * 5 + [change_text] * 3 + [change_name] * 3 + [
    drop, repeat, exchange, copy, insert, protocol, bytewise] + HARMLESS * 2


def reframed(data):
    """The pickle with the lengths of its frames set right: one frame behind PROTO."""
    ops = operations(data)
    if not any(name == "FRAME" for name, _, _ in ops):
        return data
    body = b"".join(raw for name, _, raw in ops[1:] if name != "FRAME")
    return ops[0][2] + b"\x95" + struct.pack("<Q", len(body)) + body


def mutated(data, rng):
    """`data`, a pickle, after 1 to 3 mutations; what is no pickle any more in the midst of them stays as it is."""
    pool = HARMLESS if rng.random() < 0.15 else MUTATIONS
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3])):
        try:
            ops = operations(data)
        except Exception:  # pickletools names a dozen kinds
            return data
        data = b"".join(rng.choice(pool)(ops, rng)) if len(ops) > 1 else data
    try:
        return reframed(data) if rng.random() < 0.9 else data
    except Exception:
        return data
