"""What the tests of `furrow evaluate` share: five photos, masks that are known and probabilities for them, results read back."""
import csv
import json

from program import Program, gray, png

W, H = 24, 16


def truth(n):
    """Mask n: lines; mask 3 is empty."""
    return lambda x, y: 255 if n != 3 and (x + 2 * y + n) % 9 < 2 else 0


def score(n):
    """Probability n, 0..255, roughly where the lines are; picture 3 has one false alarm."""
    if n == 3:
        return lambda x, y: 200 if (x, y) == (5, 5) else (x * 3 + y) % 90
    return lambda x, y: min(255, (truth(n)(x + (y % 5 == 0), y) // 2) + (x * 37 + y * 101 + n * 11) % 128)


class Evaluation(Program):
    def setUp(self):
        super().setUp()
        for n in range(5):
            self.put(f"photos/{n:05}.png", png(W, H))
            self.put(f"masks/{n:05}.png", gray(W, H, truth(n)))
            self.put(f"found/{n:05}.png", gray(W, H, score(n)))

    def put(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def evaluate(self, *words, status=0, out="out"):
        result = self.run_furrow("evaluate", "photos", "masks", "-o", out, *words)
        self.assertEqual(result.returncode, status, result.stderr.decode())
        return result

    def results(self, out="out"):
        return json.loads((self.folder / out / "evaluate.json").read_text())

    def table(self, name):
        return list(csv.DictReader((self.folder / "out" / name).read_text().splitlines()))
