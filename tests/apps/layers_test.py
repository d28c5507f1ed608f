"""`furrow model audit` without --backward: the layers of plan and tape, dumps, comparisons, devices, traces, drawings.

    layers_test.py PATH_TO_FURROW [unittest arguments]
"""
import array
import json
import math
import pathlib
import random
import re
import struct
import sys
import unittest
import xml.etree.ElementTree
import zlib

import program

WEIGHTS = program.ROOT / "tests" / "data" / "audit" / "weights.pth"  # the classic network, base 2
# Every family by the list of its keys at base 64, and what `model show` calls it at base 2.
FAMILIES = {"unet_keys": "unet base 2, 3 -> 1, transposed",
            "unet_keys_bilinear": "unet base 2, 3 -> 1, bilinear",
            "labhai": "unet base 2, 4 -> 2, bilinear",
            "attention_unet_keys": "attention-unet base 2, 3 -> 1, transposed",
            "resnet50_unet_keys": "resnet50-unet base 2, 3 -> 1, transposed",
            "resnet50_attention_unet_keys": "resnet50-attention-unet base 2, 3 -> 1, transposed"}


def read_npy(path):
    """Dimensions and float32 values of what numpy.save would have written as version 1.0."""
    data = pathlib.Path(path).read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    size = struct.unpack("<H", data[8:10])[0]
    assert (10 + size) % 64 == 0
    header = re.fullmatch(r"\{'descr': '<f4', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n", data[10:10 + size].decode())
    values = array.array("f", data[10 + size:])
    return [int(d) for d in header[1].split(",") if d.strip()], values


def write_npy(path, dims, values, kind="<f4", order="False", version=b"\x01\x00"):
    header = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({''.join(f'{d}, ' for d in dims)}), }}\n".encode()
    pathlib.Path(path).write_bytes(b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + array.array("f", values).tobytes())


def family(name):
    """(key, dimensions) of a network at base 2: that of base 64 with every count of channels divided by 32."""
    keys = "unet_keys_bilinear" if name == "labhai" else name
    for line in (program.ROOT / "weights" / f"{keys}.txt").read_text().splitlines():
        key, shape = line.split()
        dims = [] if shape == "scalar" else [int(d) // 32 if int(d) >= 32 else int(d) for d in shape.split("x")]
        if name == "labhai" and key == "inc.double_conv.0.weight":
            dims[1] = 4
        if name == "labhai" and key.startswith("outc."):
            dims[0] = 2
        yield key, dims


def write_weights(path, tensors, change=lambda key, value: value):
    """A safetensors file of the tensors (key, dimensions): random, of the sizes that keep a network's values near 1."""
    header, body, dice = {}, b"", random.Random(1)
    for key, dims in tensors:
        count = math.prod(dims)
        if not dims:
            values, kind = struct.pack("<q", 0), "I64"
        elif len(dims) == 4:
            most = math.sqrt(6 / (dims[1] * dims[2] * dims[3]))
            values, kind = [dice.uniform(-most, most) for _ in range(count)], "F32"
        elif key.endswith((".weight", "running_var")):
            values, kind = [dice.uniform(0.5, 1.5) for _ in range(count)], "F32"
        else:
            values, kind = [dice.uniform(-0.4, 0.4) for _ in range(count)], "F32"
        if kind == "F32":
            values = array.array("f", [change(key, v) for v in values]).tobytes()
        header[key] = {"dtype": kind, "shape": dims, "data_offsets": [len(body), len(body) + len(values)]}
        body += values
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def crc32c(data):
    """As the reports have it: polynomial 0x82F63B78, reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return f"{crc ^ 0xFFFFFFFF:08x}"


class Layers(program.Program):
    def audit(self, *words, weights=WEIGHTS, **more):
        return self.run_furrow("model", "audit", weights, *words, "--size", "32", "--rounds", "1", **more)

    def report(self, *words, status=0, weights=WEIGHTS):
        result = self.audit(*words, "--json", weights=weights)
        self.assertEqual(result.returncode, status, result.stdout.decode() + result.stderr.decode())
        return json.loads(result.stdout)

    def weights(self, name, *words):
        """A file of that network at base 2, about half of whose marks are set: its bias puts 0 into the widest gap of the middle logits."""
        file, tensors = self.folder / f"{name}.safetensors", list(family(name))
        self.report(*words, "--device", "ref", "--dump", "m", weights=write_weights(file, tensors))
        dims, z = read_npy(self.folder / "m" / "outc.conv.npy")
        half = len(z) // 2
        deciding = sorted(z if dims[1] == 1 else [b - a for a, b in zip(z[:half], z[half:])])
        part = deciding[len(deciding) // 4:-len(deciding) // 4]
        low, high = max(zip(part, part[1:]), key=lambda pair: pair[1] - pair[0])
        places = []

        def centred(key, value):
            if key == "outc.conv.bias":
                places.append(key)
            return value - (low + high) / 2 if len(places) == dims[1] and key == "outc.conv.bias" else value
        return write_weights(file, tensors, centred)

    def names(self, report):
        return [value["name"] for step in report["steps"] for value in step["outputs"]]

    def test_table_and_json_have_a_row_per_fused_step(self):
        for device in ("cpu", "ref"):
            report = self.report("--device", device)
            self.assertEqual((report["schema"], report["layers"], report["photo"]), ("furrow.layers/1", "plan", None))
            self.assertEqual(len(report["steps"]), 1 + 18 + 4)
            step = report["steps"][2]
            self.assertEqual((step["modules"], step["op"]), ("inc.double_conv.3+4+5 down1.maxpool_conv.0", "conv2d+relu+pool"))
            self.assertEqual((step["parameters"], step["macs"]), (2 * 2 * 9 + 2 * 2, 32 * 32 * 2 * 2 * 9 + 16 * 16 * 2 * 3 // 2))
            self.assertEqual([(o["name"], o["shape"]) for o in step["outputs"]],
                             [("inc.double_conv.5", [1, 2, 32, 32]), ("down1.maxpool_conv.0", [1, 2, 16, 16])])
            self.assertEqual(step["outputs"][0]["max"], step["outputs"][1]["max"])
            self.assertGreater(step["bytes"], 0)
            self.assertTrue(step["algorithm"])
            self.assertAlmostEqual(sum(s["share"] for s in report["steps"]), 1)
            self.assertEqual(report["totals"]["macs"], sum(s["macs"] for s in report["steps"]))
        text = self.audit("--device", "ref").stdout.decode()
        self.assertIn("the plan that segment runs", text)
        self.assertIn(step["outputs"][0]["crc32c"], text)
        self.assertEqual(sum(line.startswith(tuple("0123456789")) for line in text.splitlines()), len(report["steps"]))

    def test_memory_decides_how_convolutions_are_computed(self):
        ways = {}
        for memory in ("normal", "low"):
            result = self.run_furrow("model", "audit", program.ROOT / "weights" / "furrow-mini-2.safetensors", "--size", "96",
                                     "--rounds", "1", "--json", "--memory", memory)
            self.assertEqual(result.returncode, 0, result.stderr.decode())
            ways[memory] = [step["algorithm"].split()[0] for step in json.loads(result.stdout)["steps"] if " k3s1p1" in step["problem"]]
        self.assertIn("winograd", ways["normal"])
        self.assertEqual(set(ways["low"]), {"direct"})
        self.assertIn("normal, low", self.audit("--memory", "little").stderr.decode())

    def test_plan_tape_and_segment_end_in_the_same_mask(self):
        photo = self.photo()
        for words in ((), (photo, "--crop", "none")):
            for device in (("cpu",), ("ref",), ("cpu-emulated", "--precision", "fp32")):
                plan, tape = (self.report(*words, "--device", *device, "--layers", layers) for layers in ("plan", "all"))
                self.assertEqual(plan["mask"], tape["mask"])
                self.assertEqual(tape["notes"], plan["notes"])
                self.assertGreater(len(tape["steps"]), len(plan["steps"]))
                self.assertLessEqual(set(self.names(plan)), set(self.names(tape)))
                self.assertEqual(plan["totals"]["parameters"], tape["totals"]["parameters"])
        self.assertIn("the unfused tape", self.audit("--layers", "all").stdout.decode())
        result = self.run_furrow("segment", "--crop", "none", "--size", "32", "--weights", WEIGHTS, "--save", "json", "-o", "out", photo)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        found = json.loads((self.folder / "out" / "a.json").read_text())
        self.assertEqual(found["percent_of_frame"], round(100 * plan["mask"]["marked"] / plan["mask"]["pixels"], 2))

    def test_the_tape_says_where_it_rounds_otherwise(self):
        for precision in ("fp16", "bf16", "tf32"):
            words = ("--device", "cpu-emulated", "--precision", precision)
            note = f"--layers all: in {precision} the tape rounds where the plan does not"
            self.assertIn(note, self.audit(*words, "--layers", "all").stderr.decode())
            self.assertNotIn("--layers all", self.audit(*words).stderr.decode())

    def test_the_last_rows_are_what_segment_computes(self):
        """Logits and mask of the audit are those of `segment`, on every device and where fp16 overflows."""
        photo = self.photo("square.png", 32, 32)
        # Beyond 65504 behind the first convolution, back in range before the last: finite in bf16 alone.
        factors = {"inc.double_conv.1.weight": 2.0 ** 18, "inc.double_conv.1.bias": 2.0 ** 18, "inc.double_conv.3.weight": 2.0 ** -18}
        tensors = list(family("unet_keys"))
        plain = write_weights(self.folder / "plain.safetensors", tensors)
        beyond = write_weights(self.folder / "beyond.safetensors", tensors, lambda key, v: v * factors.get(key, 1))
        for weights, device, again in ((plain, "cpu", False), (plain, "ref", False), (plain, "cpu-emulated", False), (beyond, "cpu", False),
                                       (beyond, "cpu-emulated", True)):
            with self.subTest(weights=weights.name, device=device):
                report = self.report(photo, "--crop", "none", "--device", device, "--dump", "d", weights=weights)
                result = self.segment("--weights", weights, "--device", device, "--save", "mask,prob,json", "--prob-bits", "16", "--force", photo)
                self.assertEqual(result.returncode, 0, result.stderr.decode())
                found = json.loads((self.folder / "out" / "square.json").read_text())
                mask = [int(v > 0) for row in program.read_png(self.folder / "out" / "square.mask.png") for v in row]
                self.assertEqual(crc32c(bytes(mask)), report["mask"]["crc32c"])
                self.assertEqual(sum(mask), report["mask"]["marked"])
                self.assertTrue(0 < sum(mask) < len(mask))
                dims, logits = read_npy(self.folder / "d" / "outc.conv.npy")
                self.assertEqual(dims, [1, 1, 32, 32])
                self.assertEqual(crc32c(logits.tobytes()), report["steps"][-1]["outputs"][-1]["crc32c"])
                of_segment = [v for row in program.read_png(self.folder / "out" / "square.prob.png") for v in row]
                for z, p in zip(logits, of_segment):
                    # Rounded to 16 bits on both sides, of a float32 sigmoid there and a double here.
                    self.assertLessEqual(abs(p - 65535 / (1 + math.exp(-z))), 0.51)
                self.assertEqual([n for n in report["notes"] if "bf16" in n], [n for n in found["notes"] if "bf16" in n])
                self.assertEqual("in_fp16" in report, again)
                self.assertEqual(any("bf16" in n for n in report["notes"]), again)
                self.assertEqual("bf16" in report["device"], again)
                if again:
                    before = [v for step in report["in_fp16"] for v in step["outputs"] if v["not_finite"]]
                    self.assertIn(f"the first value that is not finite in fp16 is {before[0]['name']}, ", " ".join(report["notes"]))
                    self.assertEqual(before[0]["name"], "inc.double_conv.2")
                    self.assertEqual(sum(v["not_finite"] for step in report["steps"] for v in step["outputs"]), 0)
                    self.assertIn("computed again in bf16", self.audit(weights=weights, *("--device", device)).stderr.decode())

    def test_tiles_and_labels_are_segments(self):
        photo = self.folder / "wide.png"
        photo.write_bytes(program.png(100, 70, lambda x, y: (x * x * 7 + y * 13) % 256))
        tile = self.report(photo, "--crop", "none", "--tile", "--dump", "d")
        self.assertEqual(tile["window"], {"number": 7, "of": 12, "x": 45, "y": 19, "w": 100, "h": 70})
        text = self.audit(photo, "--crop", "none", "--tile").stdout.decode()
        self.assertIn("100x70 pixels at (0, 0), as 100x70, of it window 7 of 12, 32x32 at (45, 19)", text)
        # Its input is those pixels, normalised: one number per colour as this photo is gray.
        _, values = read_npy(self.folder / "d" / "input.npy")
        pixels = [((45 + i) ** 2 * 7 + (19 + j) * 13) % 256 for j in range(32) for i in range(32)]
        for v, pixel in zip(values, pixels):
            self.assertAlmostEqual(v, (pixel / 255 - 0.485) / 0.229, 5)
        # The plan is that of the square: one for all windows.
        square = self.report(photo, "--crop", "none")
        self.assertEqual([(s["modules"], s["problem"], s["algorithm"]) for s in tile["steps"]],
                         [(s["modules"], s["problem"], s["algorithm"]) for s in square["steps"]])

        (self.folder / "labels.png").write_bytes(program.gray(100, 70, lambda x, y: 1 if x < 30 else 7))
        weights = self.weights("unet_keys", photo, "--crop", "none")
        square = self.report(photo, "--crop", "none", weights=weights)
        kept = self.report(photo, "--crop", "none", "--labels", "labels.png", weights=weights)
        self.assertEqual(kept["steps"][-1]["outputs"], square["steps"][-1]["outputs"])
        self.assertTrue(0 < kept["mask"]["marked"] < square["mask"]["marked"])
        result = self.segment("--weights", weights, "--labels", "labels.png", "--save", "json", photo)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        found = json.loads((self.folder / "out" / "wide.json").read_text())
        self.assertEqual(found["percent_of_frame"], round(100 * kept["mask"]["marked"] / 1024, 2))
        everything = self.report(photo, "--crop", "none", "--labels", "labels.png", "--keep", "1,7", weights=weights)
        self.assertEqual(everything["mask"]["crc32c"], square["mask"]["crc32c"])

    def test_a_face_at_the_border_counts_what_lies_in_the_photo(self):
        rows = program.read_png(program.PHOTO)[70:]
        photo = self.folder / "face.png"
        header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
        photo.write_bytes(b"\x89PNG\r\n\x1a\n" + program.chunk(b"IHDR", header)
                          + program.chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))) + program.chunk(b"IEND", b""))
        weights = self.weights("unet_keys", photo)
        report = self.report(photo, weights=weights)
        self.assertLess(report["crop"]["y"], 0)
        self.assertEqual(self.run_furrow("segment", "--size", "32", "--weights", weights, "--save", "json", "-o", "out", photo).returncode, 0)
        face = json.loads((self.folder / "out" / "face.json").read_text())["faces"][0]
        self.assertLess(report["mask"]["of_photo"], report["mask"]["pixels"])
        self.assertAlmostEqual(face["percent_of_crop"], 100 * report["mask"]["marked"] / report["mask"]["of_photo"], 3)  # six digits are printed

    def test_every_network_on_every_device(self):
        for name, architecture in FAMILIES.items():
            with self.subTest(network=architecture):
                weights = self.weights(name)
                for device, against in (("ref", None), ("cpu", "ref"), ("cpu-emulated", "cpu")):
                    words = ["--device", device] + (["--against", against] if against else [])
                    words += ["--precision", "fp32"] if device == "cpu-emulated" else []
                    plan = self.report(*words, weights=weights)
                    tape = self.report(*words, "--layers", "all", weights=weights)
                    self.assertEqual(plan["architecture"], architecture)
                    self.assertIn(device, plan["device"])
                    for report in (plan, tape):
                        self.assertEqual(sum(o["not_finite"] for s in report["steps"] for o in s["outputs"]), 0)
                        if against:
                            beside = report["beside"]
                            self.assertEqual((beside["agrees"], beside["compared"]), (True, len(self.names(report))), beside["first"])
                            self.assertGreater(max(o["difference"] for s in report["steps"] for o in s["outputs"]), 0)
                    self.assertEqual(plan["mask"], tape["mask"])
                    self.assertTrue(0 < plan["mask"]["marked"] < plan["mask"]["pixels"])
                    self.assertEqual(plan["totals"]["parameters"], tape["totals"]["parameters"])
                    made = {n for n in self.names(plan) if not n.endswith(".small")}
                    self.assertLessEqual(made, set(self.names(tape)))

    def test_dumps_are_compared_and_the_first_that_departs_is_named(self):
        report = self.report("--dump", "d")
        self.assertEqual({p.stem for p in (self.folder / "d").iterdir()}, set(self.names(report)))
        dims, values = read_npy(self.folder / "d" / "inc.double_conv.5.npy")
        expected = report["steps"][2]["outputs"][0]
        self.assertEqual(dims, expected["shape"])
        self.assertEqual((min(values), max(values)), (expected["min"], expected["max"]))

        for words in ((), ("--layers", "all"), ("--device", "ref")):
            beside = self.report("--compare", "d", *words)["beside"]
            self.assertEqual((beside["agrees"], beside["first"], beside["compared"]), (True, None, len(self.names(report))))
        file = self.folder / "d" / "down2.maxpool_conv.1.double_conv.2.npy"
        dims, values = read_npy(file)
        at = max(range(len(values)), key=lambda i: abs(values[i]))
        values[at] *= 1.01
        write_npy(file, dims, values)
        self.refused(self.audit("--compare", "d"), 11, "error[different]: ", "1 of 27 layers depart from d, the first is down2.maxpool_conv.1.double_conv.2 (max 9.9",
                     stdout_empty=False)
        again = self.report("--compare", "d", status=11)
        self.assertEqual((again["beside"]["first"], again["error"]["code"]), ("down2.maxpool_conv.1.double_conv.2", "different"))
        self.assertTrue(self.report("--compare", "d", "--tolerance", "0.02")["beside"]["agrees"])

    def test_elements_that_are_not_finite_on_both_sides_are_equal(self):
        broken = {}

        def change(key, value):
            broken[key] = broken.get(key, 0) + 1
            return {"inc.double_conv.0.weight": math.nan, "outc.conv.bias": math.inf}.get(key, value) if broken[key] == 1 else value
        weights = write_weights(self.folder / "nan.safetensors", family("unet_keys"), change)
        report = self.report("--dump", "d", weights=weights)
        self.assertGreater(report["steps"][1]["outputs"][0]["not_finite"], 0)
        beside = self.report("--compare", "d", weights=weights)["beside"]
        self.assertEqual((beside["agrees"], beside["compared"]), (True, len(self.names(report))))
        name = report["steps"][1]["outputs"][0]["name"]
        dims, values = read_npy(self.folder / "d" / f"{name}.npy")
        at = next(i for i, v in enumerate(values) if math.isnan(v))
        for other in (0.0, math.inf):
            values[at] = other
            write_npy(self.folder / "d" / f"{name}.npy", dims, values)
            self.refused(self.audit("--compare", "d", weights=weights), 11, f"the first is {name} (max inf", "what comes before it agrees", stdout_empty=False)

    def test_a_dump_of_another_size_is_named(self):
        self.report("--dump", "d")
        result = self.run_furrow("model", "audit", WEIGHTS, "--size", "64", "--rounds", "1", "--compare", "d")
        self.refused(result, 11, "the first is input (1x3x64x64 here, 1x3x32x32 there); the dump is of another --size or network", stdout_empty=False)
        self.assertNotIn(b"agrees", result.stderr)
        # The input itself departs: nothing comes before it.
        dims, values = read_npy(self.folder / "d" / "input.npy")
        write_npy(self.folder / "d" / "input.npy", dims, [v + 1 for v in values])
        result = self.audit("--compare", "d")
        self.refused(result, 11, "the first is input (max ", stdout_empty=False)
        self.assertNotIn(b"agrees", result.stderr)

    def test_a_broken_array_is_named(self):
        self.report("--dump", "d")
        file = self.folder / "d" / "outc.conv.npy"
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        self.refused(self.audit("--compare", "d"), 4, "error[malformed]: d/outc.conv.npy: at byte 128", "4096 bytes, 4095 follow")
        dims, values = [1, 1, 32, 32], [0.0] * 1024
        for more, status in (({"kind": "<c8"}, 5), ({"kind": "|O"}, 5), ({"version": b"\x04\x00"}, 5), ({"version": b"\x02\x00"}, 4), ({"kind": "<f4', 'x': '"}, 4)):
            write_npy(file, dims, values, **more)
            self.refused(self.audit("--compare", "d"), status, "d/outc.conv.npy")
        write_npy(file, [2 ** 62, 2 ** 62], [])
        self.refused(self.audit("--compare", "d"), 4, "d/outc.conv.npy")
        write_npy(file, [1, 1, 32, 16], [0.0] * 512)
        self.refused(self.audit("--compare", "d"), 11, "the first is outc.conv (1x1x32x32 here, 1x1x32x16 there); what comes before it agrees", stdout_empty=False)

    def test_two_devices_layer_by_layer(self):
        report = self.report("--against", "ref")
        beside = report["beside"]
        self.assertEqual((beside["name"], beside["agrees"]), ("ref", True))
        self.assertEqual(beside["compared"], len(self.names(report)))
        self.assertEqual(len(beside["steps"]), len(report["steps"]))
        self.assertGreater(max(o["difference"] for s in report["steps"] for o in s["outputs"]), 0)
        self.refused(self.audit("--against", "ref", "--tolerance", "0"), 11, "depart from ref", stdout_empty=False)

    def test_trace_and_drawing(self):
        report = self.report("--trace", "t.json", "--svg", "s.svg", "--against", "ref")
        events = json.loads((self.folder / "t.json").read_text())["traceEvents"]
        steps = [e for e in events if e["ph"] == "X"]
        self.assertEqual([e["name"] for e in steps if e["tid"] == 1], [s["modules"] for s in report["steps"]])
        self.assertEqual(len([e for e in steps if e["tid"] == 2]), len(report["steps"]))
        for before, after in zip(steps, steps[1:]):
            if before["tid"] == after["tid"]:
                self.assertAlmostEqual(before["ts"] + before["dur"], after["ts"], 3)
        root = xml.etree.ElementTree.parse(self.folder / "s.svg").getroot()
        self.assertEqual(len(root.findall("{*}g")), len(report["steps"]))

    def test_what_makes_no_sense_is_refused(self):
        self.refused(self.audit("--layers", "some"), 2, "--layers some", "plan, all")
        self.refused(self.run_furrow("model", "audit", WEIGHTS, "--rounds", "0"), 2, "--rounds 0 is outside 1..1000")
        self.refused(self.run_furrow("model", "audit", WEIGHTS, "--size", "31"), 2, "--size 31 is outside 32..4096")
        self.refused(self.audit("--threads", "-1"), 2, "--threads")
        self.refused(self.audit("--device", "tpu"), 2, "tpu")
        self.refused(self.audit("--compare", "d", "--against", "ref"), 2, "one at a time")
        self.refused(self.audit("--tile"), 2, "--tile takes a PHOTO")
        self.refused(self.audit("--labels", "l.png"), 2, "--labels takes a PHOTO")
        self.refused(self.audit("--precision", "fp16"), 2, "fp16")
        (self.folder / "l.png").write_bytes(program.gray(4, 4, lambda x, y: 1))
        self.refused(self.audit(self.photo(), "--crop", "none", "--labels", "l.png"), 4, "a.png", "label map is 4x4")
        self.refused(self.audit(self.photo(), "--keep", "x"), 2, "--keep x")
        self.refused(self.audit("--compare", "nowhere"), 7, "nowhere")
        (self.folder / "empty").mkdir()
        self.refused(self.audit("--compare", "empty"), 5, "empty", "outc.conv.npy")
        self.refused(self.audit("nothing.png"), 7, "nothing.png")
        self.refused(self.audit(self.photo()), 10, "a.png", "--crop none")
        self.refused(self.audit("--backward", "d.pth", "--dump", "d"), 2, "--backward")


if __name__ == "__main__":
    unittest.main()
