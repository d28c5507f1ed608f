#!/usr/bin/env python3
"""Several photos in one call on the CUDA kernels: two networks at work, photos in turn, results those of one call each.

    lanes_test.py PATH_TO_FURROW [PATH_TO_DEVICE_MEMORY_SHIM] [unittest arguments]
"""
import json

from program import *  # noqa: F403: run_furrow, photo, refused and the rest

SHIM = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1].endswith(".so") else ""
WORDS = ("--device", "cpu-emulated", "--threshold", "0.001", "--save", "mask,prob,json")
PICTURES = ("mask", "prob")
NAMES = ("a", "b", "c")   # the first network has two of them
PHOTOS = [f"{name}.png" for name in NAMES]


class Lanes(Program):
    """The emulated kernels of a program that has them; sizes at which a photo takes a second."""

    def setUp(self):
        super().setUp()
        if b"cpu-emulated: this build left" in self.run_furrow("--version").stdout:
            self.skipTest("this build left the emulator out")
        for i, name in enumerate(NAMES):
            (self.folder / f"{name}.png").write_bytes(png(50 + 20 * i, 70, lambda x, y: (x * (5 + 8 * i) + y * y) % 256))

    def emulated(self, out, *words, **more):
        return self.run_furrow("segment", "--crop", "none", "--size", "32", "-o", out, *words, *WORDS, timeout=280, **more)

    def with_memory(self, out, most, *photos):
        """The same on a device of `most` bytes (0: of all there are), and how many were taken at once."""
        if not os.path.exists(SHIM):
            self.skipTest("no device memory shim given")
        peak = self.folder / "peak"
        result = self.emulated(out, *photos, env={**os.environ, "LD_PRELOAD": SHIM, "DEVICE_BYTES": str(most), "DEVICE_PEAK": str(peak)})
        return result, int(peak.read_text())

    def results(self, folder, name):
        """What a photo's files say, but for how long it took."""
        data = json.loads((self.folder / folder / f"{name}.json").read_text())
        del data["timings_ms"]
        return data, [(self.folder / folder / f"{name}.{kind}.png").read_bytes() for kind in PICTURES]

    def test_photos_of_one_call_are_those_of_one_call_each(self):
        together = self.emulated("out", *PHOTOS)
        self.assertEqual(together.returncode, 0, together.stderr)
        self.assertEqual([line.split(b":")[0].decode() for line in together.stdout.splitlines()], PHOTOS)
        found = {name: self.results("out", name) for name in NAMES}
        for name in NAMES:
            alone = self.emulated("alone", f"{name}.png")
            self.assertEqual(alone.returncode, 0, alone.stderr)
            self.assertEqual(self.results("alone", name), found[name], name)
        self.assertEqual(len({pictures[0] for _, pictures in found.values()}), 3, "three photos, three masks")
        self.assertTrue(any(any(row) for row in read_png(self.folder / "out/b.mask.png")), "nothing was marked")

    def test_a_device_without_room_for_two_networks_has_one(self):
        alone, one = self.with_memory("alone", 0, PHOTOS[0])
        together, two = self.with_memory("out", 0, *PHOTOS)
        self.assertEqual((alone.returncode, together.returncode), (0, 0), alone.stderr + together.stderr)
        self.assertEqual(two, 2 * one, "two networks at work")
        self.assertNotIn(b"one at a time", together.stderr)

        for i, most in enumerate((one, one * 3 // 2, two - 1)):
            short, peak = self.with_memory(f"short{i}", most, *PHOTOS)
            self.assertEqual(short.returncode, 0, short.stderr)
            self.assertLessEqual(peak, most)
            self.assertIn(b"one at a time, as the device has no room for two: error[device]: out of memory", short.stderr)
            self.assertEqual(short.stdout, together.stdout)
            for name in NAMES:
                self.assertEqual(self.results(f"short{i}", name), self.results("out", name), (most, name))

        none, _ = self.with_memory("none", one - 1, *PHOTOS)   # nor for one: said of each photo
        self.assertEqual(none.returncode, 4, none.stderr)
        self.assertNotIn(b"one at a time", none.stderr)
        self.assertIn(b"3 of 3 inputs failed", none.stderr)
        for photo in PHOTOS:
            self.assertIn(f"error[device]: {photo}: out of memory for the emulated device".encode(), none.stderr)


if __name__ == "__main__":
    unittest.main()
