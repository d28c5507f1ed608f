"""Where Furrow and PyTorch may differ about a file, and why: [(why, [regular expressions for the reason])].

docs/soak.md shows how often each was met. The first that fits counts.
"""

# Furrow reads it, PyTorch does not. Reasons are PyTorch's.
LOOSER = [
    ("an archive without the record `version`", [r'hasRecord\("version"\)']),
    ("uint16 and uint32 in a legacy stream", [r"UntypedStorage' has no attribute 'dtype'"]),
    ("whole numbers that require a gradient",
     [r"floating point and complex dtype can require", r"requires gradients must be"]),
    ("a serialization id that is no text", [r"^UnicodeDecodeError: 'utf-8' codec"]),
    ("a tensor or storage beside the weights that is wrong",
     [r"does not match expected size", r"failed locating file data/", r"Trying to resize storage",
      r"has wrong byte size", r"get_storage_from_record\(\)", r"invalid storage offset"]),
    ("a value beside the weights that cannot be built",
     [r"No module named '__builtin__'", r"initialization string is too small", r"^TypeError: data type",
      r"Expected one of cpu, cuda", r"Unpickling NPY_LIST_PICKLE", r"^ValueError: format number"]),
]

# PyTorch (or the safetensors package) reads it, Furrow does not. Reasons are "code: entry: reason", Furrow's.
STRICTER = [
    ("a limit", [r"^limit: "]),
    ("a checksum that does not fit", [r"^checksum: "]),
    ("the member `sys_info` of a tar, which PyTorch does not look at", [r"^\w+: sys_info: "]),
    ("memory that the file does not hold; PyTorch hands out what lay there, or does not need the number",
     [r"reaches element \d+ of a storage", r"negative (stride|size) ", r"is used, but the file does not hold it",
      r"an entry (marked|named) as a folder", r"a view of .*, beyond the storage"]),
    ("sizes whose product overflows beside an empty axis", [r"overflows 6[34] bits"]),
    ("two claims about one thing",
     [r"is claimed as", r"headers? disagree about", r"the pickle claims \d+$", r"comes twice",
      r"two entries of this name", r"the same key a second time", r"listed twice", r"states another protocol version",
      r"matching data descriptor", r"counts its entries twice", r"more than the \d+ entries", r"contradicts the header",
      r"inflates to ",
      r"does not reach to its (end record|locator)", r"zip64 locator points", r"plain end record disagree"]),
    ("bytes or values that belong to nothing",
     [r"bytes? follow", r"bytes between two members", r"left on the stack", r"belongs? to no entry", r"memo has gaps",
      r"extra field runs over", r"is no list of fields", r"no local header where the directory says"]),
    ("more than the format has",
     [r"has an unknown key", r"has null at key", r"_rebuild_tensor(_v\d)? with \d+ arguments",
      r"wrong arguments (behind the stride|for this name)", r"(format|archive) version is no number",
      r"storage alignment", r"format version .* is newer", r"little_endian is neither", r"marked with flags",
      r"the storage has (a type of its own|no type)", r"compressed with method", r"a zip split over several files",
      r"which changes what the archive holds", r"byte order .big.", r"size or stride is no tuple of whole numbers"]),
    ("opcodes and protocols that torch.save does not write",
     [r"PROTO: protocol", r"a legacy stream of pickle protocol", r"the pickle does not begin with it",
      r"an opcode that no checkpoint needs", r"no such opcode", r"a key without a value",
      r"the target cannot hold items", r"a name that is not to be applied", r"a key that is neither text nor a number",
      r"applied to a value, not to a name", r"a state for a value that has none", r"no MARK on the stack",
      r"the end of its frame", r"a frame inside another", r"the frame (is longer|goes on)", r"the stack is empty",
      r"BINPERSID: "]),
    ("text that is none: not UTF-8, zero bytes, control characters, names that lead nowhere",
     [r"text that is not UTF-8", r"with a zero byte", r"entry name (holds|has|is|begins)"]),
    ("another spelling of a container's first bytes", [r"a bare pickle", r"unknown data of", r"no tar header where"]),
    ("a class FloatStorage of another module than torch, which PyTorch takes for its own",
     [r"GLOBAL .*Storage: a class of the program"]),
    ("damage where PyTorch does not look",
     [r"the zip directory at the end of the file is missing", r"the compressed data is damaged",
      r"the file ends inside a local header"]),
]
