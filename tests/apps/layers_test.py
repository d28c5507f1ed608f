"""`furrow model audit` without --backward: the layers of plan and tape, dumps, comparisons, devices, traces, drawings.

    layers_test.py PATH_TO_FURROW [unittest arguments]
"""
import array
import json
import pathlib
import re
import struct
import sys
import unittest
import xml.etree.ElementTree

import program

WEIGHTS = program.ROOT / "tests" / "data" / "audit" / "weights.pth"  # the classic network, base 2


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


class Layers(program.Program):
    def audit(self, *words, **more):
        return self.run_furrow("model", "audit", WEIGHTS, *words, "--size", "32", "--rounds", "1", **more)

    def report(self, *words, status=0):
        result = self.audit(*words, "--json")
        self.assertEqual(result.returncode, status, result.stdout.decode() + result.stderr.decode())
        return json.loads(result.stdout)

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

    def test_plan_tape_and_segment_end_in_the_same_mask(self):
        photo = self.photo()
        for words in ((), (photo, "--crop", "none")):
            for device in ("cpu", "ref"):
                plan, tape = (self.report(*words, "--device", device, "--layers", layers) for layers in ("plan", "all"))
                self.assertEqual(plan["mask"], tape["mask"])
                self.assertGreater(len(tape["steps"]), len(plan["steps"]))
                self.assertLessEqual(set(self.names(plan)), set(self.names(tape)))
                self.assertEqual(plan["totals"]["parameters"], tape["totals"]["parameters"])
        self.assertIn("the unfused tape", self.audit("--layers", "all").stdout.decode())
        result = self.run_furrow("segment", "--crop", "none", "--size", "32", "--weights", WEIGHTS, "--save", "json", "-o", "out", photo)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        found = json.loads((self.folder / "out" / "a.json").read_text())
        self.assertEqual(found["percent_of_frame"], round(100 * plan["mask"]["marked"] / plan["mask"]["pixels"], 2))

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
        self.refused(self.audit("--compare", "d"), 11, "the first is outc.conv", stdout_empty=False)

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
        self.refused(self.audit("--compare", "nowhere"), 7, "nowhere")
        (self.folder / "empty").mkdir()
        self.refused(self.audit("--compare", "empty"), 5, "empty", "outc.conv.npy")
        self.refused(self.audit("nothing.png"), 7, "nothing.png")
        self.refused(self.audit(self.photo()), 10, "a.png", "--crop none")
        self.refused(self.audit("--backward", "d.pth", "--dump", "d"), 2, "--backward")


if __name__ == "__main__":
    unittest.main()
