#!/usr/bin/env python3
"""`--shard I/N` and `--merge` of segment and evaluate: equal to one process, restarted after a kill, complained about.

    shards_test.py PATH_TO_FURROW [unittest arguments]
"""
import json
import os
import signal
import sys
import time

if len(sys.argv) > 1 and os.path.exists(sys.argv[1]):
    sys.argv[1] = os.path.abspath(sys.argv[1])  # the tests run it in folders of their own

from program import *  # noqa: E402, F403


class Shards(Program):
    def put(self, name, data):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def ok(self, *words, status=0, **more):
        result = self.run_furrow(*words, **more)
        self.assertEqual(result.returncode, status, result.stderr.decode())
        return result


class Segment(Shards):
    QUICK = ("segment", "photos", "--crop", "none", "--size", "32")

    def setUp(self):
        super().setUp()
        for n in range(7):
            self.put(f"photos/{n % 2}/{n}.png", png(40 + n, 30))

    @staticmethod
    def lines(text: bytes) -> list:
        """Results without what is measured anew in each run, and without the folder that they were written to."""
        out = [json.loads(line) for line in text.replace(b"one/", b"out/").replace(b"parts/", b"out/").splitlines()]
        for result in out:
            result.pop("timings_ms", None)
        return out

    def test_merged_shards_report_what_one_process_does(self):
        self.put("photos/0/bad.png", b"no picture")
        one = self.ok(*self.QUICK, "-o", "one", "--json", status=4)
        for i in (3, 1, 2):
            # The photo that is none, 0/bad.png, is the fifth of the list: of the second shard.
            self.ok(*self.QUICK, "-o", "parts", "--shard", f"{i}/3", status=4 if i == 2 else 0)
        merged = self.ok("segment", "--merge", "-o", "parts", "--json", status=4)
        self.assertEqual(self.lines(one.stdout), self.lines(merged.stdout))
        for path in sorted((self.folder / "one").rglob("*.png")):
            self.assertEqual(path.read_bytes(), (self.folder / "parts" / path.relative_to(self.folder / "one")).read_bytes())
        # Merging changes nothing: again, byte for byte.
        self.assertEqual(merged.stdout, self.ok("segment", "--merge", "-o", "parts", "--json", status=4).stdout)
        text = self.run_furrow("segment", "--merge", "-o", "parts")
        self.assertEqual(text.stdout, b"7 done, 1 failed\n")

    def test_a_missing_shard_is_named_and_a_killed_one_goes_on(self):
        self.ok(*self.QUICK, "-o", "parts", "--shard", "1/2")
        self.ok(*self.QUICK, "-o", "parts", "--shard", "2/2")
        self.refused(self.run_furrow("segment", "--merge", "-o", "nowhere"), 7, "nowhere")
        (self.folder / "parts/segment-shard-2-of-2.json").unlink()
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "1 of 2 shards are missing", "--shard 2/2 -o parts")
        # What a kill leaves: some photos with all their files, one without its JSON, no file of the shard.
        done = sorted((self.folder / "parts").rglob("3.json"))
        self.assertEqual(len(done), 1)
        before = {path: path.stat().st_mtime_ns for path in (self.folder / "parts").rglob("*.mask.png")}
        done[0].unlink()
        again = self.ok(*self.QUICK, "-o", "parts", "--shard", "2/2")
        self.assertIn(b"finished before", again.stderr)
        changed = [path.name for path, time_ in before.items() if path.stat().st_mtime_ns != time_]
        self.assertEqual(changed, ["3.mask.png"])
        self.assertEqual(self.ok("segment", "--merge", "-o", "parts").stdout, b"7 done\n")

    def test_shards_of_other_photos_or_damaged_ones_are_refused(self):
        self.ok(*self.QUICK, "-o", "parts", "--shard", "1/2")
        self.put("photos/new.png", png(40, 30))
        self.ok(*self.QUICK, "-o", "parts", "--shard", "2/2")
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "not those of the first shard")
        self.ok(*self.QUICK, "-o", "parts", "--shard", "1/2")
        path = self.folder / "parts/segment-shard-1-of-2.json"
        text = path.read_text()
        for bad in (text[:-9], text.replace('"place":0', '"place":99'), text.replace('"place":0', '"place":1'), "[]",
                    text.replace('"json":"', '"json":"../'), text.replace('"faceless":false', '"faceless":0'),
                    text.replace('"save":', '"safe":')):
            self.assertNotEqual(bad, text)
            path.write_text(bad)
            self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 4, "segment-shard")

    def test_files_over_the_limit_are_refused_unread(self):
        self.ok(*self.QUICK, "-o", "parts", "--shard", "1/1", "--force")      # no shard: it is the whole
        for i in (1, 2):
            self.ok(*self.QUICK, "-o", "parts", "--shard", f"{i}/2")
        path = self.folder / "parts/segment-shard-2-of-2.json"
        text = path.read_bytes()
        os.truncate(path, 1 << 35)      # a hole: 32 GiB that take no room
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts", timeout=20), 6, path.name, "limit 67108864, found 34359738368")
        path.write_bytes(b'{"schema":' + b"[" * 100000)
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 6, path.name, "inside each other; limit 8")
        path.write_bytes(text.replace(b'"shard":2', b'"shard":2,"shard":2'))
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 4, path.name, "twice")
        path.write_bytes(text)
        result = next((self.folder / "parts").rglob("3.json"))
        line = result.read_bytes()
        os.truncate(result, 1 << 35)
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts", timeout=20), 6, "3.json", "limit 16777216")
        # For the shard it is no result of its own, and nothing to overwrite.
        again = self.run_furrow(*self.QUICK, "-o", "parts", "--shard", "2/2", timeout=20)
        self.assertEqual((again.returncode, b"exists already" in again.stderr), (4, True), again.stderr)
        result.write_bytes(line)
        self.ok(*self.QUICK, "-o", "parts", "--shard", "2/2")
        self.assertEqual(self.ok("segment", "--merge", "-o", "parts").stdout, b"7 done\n")

    def test_shards_of_other_options_are_refused(self):
        self.ok(*self.QUICK, "-o", "parts", "--shard", "1/2", "--save", "mask", "--threshold", "0.2")
        self.ok(*self.QUICK, "-o", "parts", "--shard", "2/2", "--save", "mask", "--threshold", "0.8")
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "options", "threshold 0.8", "threshold 0.2")
        self.ok(*self.QUICK, "-o", "parts", "--shard", "2/2", "--save", "mask", "--threshold", "0.2", "--force")
        self.assertEqual(self.ok("segment", "--merge", "-o", "parts").stdout, b"7 done\n")
        result = self.ok("segment", "--merge", "-o", "parts", "--json", status=2)
        self.assertIn("kept no JSON", json.loads(result.stdout)["error"]["reason"])

    def test_every_option_that_changes_results_tells_shards_apart(self):
        for name, value in (("labels", 1), ("labels2", 10)):
            for n in range(7):
                self.put(f"{name}/{n % 2}/{n}.png", gray(40 + n, 30, lambda x, y: value))
        self.ok(*self.QUICK, "-o", "parts", "--shard", "1/2")
        for words in (["--device", "ref"], ["--precision", "fp32"], ["--kernels", "own"], ["--memory", "low"], ["--tune", "none.json"], ["--labels", "labels"]):
            self.ok(*self.QUICK, "-o", "parts", "--shard", "2/2", *words)
            self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "options", words[0][2:] + " " + words[1])
        self.ok(*self.QUICK, "-o", "parts", "--shard", "1/2", "--labels", "labels2")
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "labels labels, not labels labels2")
        self.ok(*self.QUICK, "-o", "parts", "--shard", "1/2", "--labels", "labels")
        self.assertEqual(self.ok("segment", "--merge", "-o", "parts").stdout, b"7 done\n")

    def test_results_that_were_replaced_after_their_shard_are_not_merged(self):
        for i in (1, 2):
            self.ok(*self.QUICK, "-o", "parts", "--shard", f"{i}/2")
        files = {path: path.read_bytes() for path in (self.folder / "parts").glob("segment-shard-*")}
        mine = self.folder / "parts/segment-shard-1-of-3.json"
        mine.write_bytes(b"not of this program")
        self.assertNotIn(b"removed", self.ok(*self.QUICK, "-o", "parts", "--save", "prob,json").stderr)    # the same results
        mine.unlink()
        result = self.folder / "parts/0/0.json"
        text = result.read_text()
        result.write_text(text.replace('"tta":"none"', '"tta":"flip"'))
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "0/0.json", "its settings are not those of its shard",
                     "tta flip, not tta none", "run its shard again")
        result.write_text(text)
        mine.write_bytes(b"not of this program")
        result = self.ok(*self.QUICK, "-o", "parts", "--threshold", "0.2")
        self.assertIn(b"2 files of finished shards removed from parts: this run replaces results of theirs", result.stderr)
        self.assertEqual([path.name for path in (self.folder / "parts").glob("segment-shard-*")], [mine.name])
        mine.unlink()
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "holds no finished shard")
        for path, data in files.items():
            path.write_bytes(data)
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "its settings are not those of its shard")

    def test_names_that_are_no_shards_count_for_nothing(self):
        for name in ("0-of-0", "1-of-0", "3-of-2", "01-of-2"):
            self.put(f"parts/segment-shard-{name}.json", b"")
        self.refused(self.run_furrow("segment", "--merge", "-o", "parts"), 2, "holds no finished shard")
        self.put("parts/segment-shard-1-of-999999.json", b"")
        merged = self.run_furrow("segment", "--merge", "-o", "parts", "--json")
        self.assertEqual(merged.returncode, 2)
        error = json.loads(merged.stdout)["error"]
        self.assertIn("999998 of 999999 shards are missing", error["reason"])
        self.assertLessEqual(len(error["details"]), 100)

    def test_more_shards_than_photos(self):
        for i in range(1, 10):
            self.ok(*self.QUICK, "-o", "parts", "--shard", f"{i}/9")
        self.assertEqual(self.ok("segment", "--merge", "-o", "parts").stdout, b"7 done\n")

    def test_a_launcher_divides_the_work(self):
        for rank in range(3):
            for names in ({"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": "3"},
                          {"SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": "3"})[rank % 2:rank % 2 + 1]:
                result = self.ok(*self.QUICK, "-o", "parts", env={**os.environ, **names})
                self.assertIn(f"shard {rank + 1}/3, as launched by".encode(), result.stderr)
        self.assertEqual(self.ok("segment", "--merge", "-o", "parts").stdout, b"7 done\n")
        # A batch script is one process, whatever the job's number of tasks.
        self.ok(*self.QUICK, "-o", "whole", env={**os.environ, "SLURM_PROCID": "0", "SLURM_NTASKS": "3"})
        self.assertEqual(len(list((self.folder / "whole").rglob("*.mask.png"))), 7)

    def test_words(self):
        for words in (("--shard", "0/2"), ("--shard", "3/2"), ("--shard", "x"), ("--shard", "1/")):
            self.refused(self.run_furrow(*self.QUICK, "-o", "parts", *words), 2, "--shard")
        self.refused(self.run_furrow("segment", "photos", "--merge", "-o", "parts"), 2, "--merge")
        self.refused(self.run_furrow("segment"), 2, "PHOTO")


class Evaluate(Shards):
    PAIRS = 40

    def setUp(self):
        super().setUp()
        for n in range(self.PAIRS):
            self.put(f"photos/{n:03}.png", png(64, 64, lambda x, y: (x * (n + 3) + y * 5) % 256))
            self.put(f"masks/{n:03}.png", gray(64, 64, lambda x, y: 255 if (x + 2 * y + n) % 9 < 2 else 0))

    def words(self, out, *more):
        return ("evaluate", "photos", "masks", "--size", "96", "--bootstrap", "50", "--overlays", "2", "--threads", "1",
                "--device", "cpu", "-o", out, *more)

    def test_a_folder_of_shards_is_the_whole_and_an_interrupted_one_goes_on(self):
        self.ok(*self.words("one"))
        self.ok(*self.words("parts", "--shard", "1/2"))
        self.refused(self.run_furrow("evaluate", "--merge", "parts", "-o", "sum"), 2, "shard 2/2, not begun", "--shard 2/2 -o parts")
        part = self.folder / "parts/shard-2-of-2.part.json"
        for attempt in range(8):  # until the signal comes between the first picture and the last
            process = subprocess.Popen([FURROW, *self.words("parts", "--shard", "2/2")], cwd=self.folder,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(0.1 * 1.4 ** attempt)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
            self.assertIn(process.returncode, (143, -signal.SIGTERM), err)
            if part.exists() and json.loads(part.read_text())["rows"]:
                break
            part.unlink(missing_ok=True)
        counted = len(json.loads(part.read_text())["rows"])
        self.assertLess(counted, self.PAIRS // 2)
        self.refused(self.run_furrow("evaluate", "--merge", "parts", "-o", "sum"), 2, "shard 2/2, unfinished")
        # Another evaluation does not go on with it; a damaged one is no start either.
        other = self.ok(*self.words("other", "--shard", "2/2"))
        result = self.ok(*self.words("parts", "--shard", "2/2"))
        self.assertIn(f"goes on after {counted} of".encode(), result.stderr)
        self.assertEqual((self.folder / "other/shard-2-of-2.json").read_bytes(), (self.folder / "parts/shard-2-of-2.json").read_bytes())
        self.assertNotIn(b"goes on", other.stderr)
        self.assertFalse(part.exists())
        again = self.ok(*self.words("parts", "--shard", "2/2"))
        self.assertIn(b"finished before", again.stderr)
        self.refused(self.run_furrow(*self.words("parts", "--shard", "2/2", "--threshold", "0.4")), 2, "exists already")
        self.ok("evaluate", "--merge", "parts", "-o", "sum")
        for name in ("evaluate.json", "per_image.csv", "groups.csv", "report.html"):
            self.assertEqual((self.folder / "one" / name).read_bytes(), (self.folder / "sum" / name).read_bytes(), name)

    def test_sizes_of_the_network_are_not_mixed(self):
        for shard, size in (("1/2", "32"), ("2/2", "64")):
            words = [size if word == "96" else word for word in self.words("parts", "--at", "photo", "--shard", shard)]
            self.ok(*words)
        self.refused(self.run_furrow("evaluate", "--merge", "parts", "-o", "sum"), 2, "compared on", "64x64 model pixels")

    def test_a_part_of_something_else_counts_for_nothing(self):
        self.ok(*self.words("parts", "--shard", "2/2"))
        finished = self.folder / "parts/shard-2-of-2.json"
        whole = finished.read_bytes()
        for bad in (b"{", whole.replace(b'"threshold":0.', b'"threshold":0.00', 1)):
            (self.folder / "parts/shard-2-of-2.part.json").write_bytes(bad)
            finished.unlink(missing_ok=True)
            self.assertNotIn(b"goes on", self.ok(*self.words("parts", "--shard", "2/2")).stderr)
            self.assertEqual(finished.read_bytes(), whole)

    def test_a_launcher_divides_the_work(self):
        env = {**os.environ, "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}
        self.assertIn(b"shard 2/4, as launched by Open MPI", self.ok(*self.words("parts"), env=env).stderr)
        self.assertTrue((self.folder / "parts/shard-2-of-4.json").exists())
        words = ("evaluate", "photos", "masks", "--predictions", "masks", "--mask-classes", "0:0,255:1", "-o", "classes")
        self.assertIn(b"shard 2/4, as launched by Open MPI", self.ok(*words, env=env).stderr)
        self.assertTrue((self.folder / "classes/shard-2-of-4.json").exists())

    def test_changed_files_are_counted_again(self):
        """A finished shard, and a part of one, count for the bytes that they were counted from, not for their names."""
        def truth(n, shift=0):
            return gray(12, 9, lambda x, y: 255 if (x + 2 * y + n + shift) % 5 < 2 else 0)
        for n in range(6):
            for folder, data in (("p", png(12, 9)), ("m", truth(n)), ("f", truth(n, 1)), ("l", gray(12, 9, lambda x, y: 1 if x > 3 else 17))):
                self.put(f"{folder}/{n}.png", data)
        self.put("a.csv", b"id,kind\n0,x\n1,y\n2,x\n3,y\n4,x\n")
        for kind in ([], ["--mask-classes", "0:0,255:1"]):
            out = f"parts{len(kind)}"
            words = ("evaluate", "p", "m", "--predictions", "f", "--labels", "l", "--attributes", "a.csv", "--by", "kind", "--bootstrap", "10", *kind)
            run = lambda i, where=out: self.ok(*words, "-o", where, "--shard", f"{i}/2")
            run(1), run(2)
            path = self.folder / out / "shard-1-of-2.json"
            for i, change in enumerate((lambda: self.put("m/2.png", truth(2, 3)), lambda: self.put("f/0.png", truth(0, 4)), lambda: self.put("p/4.png", png(12, 9, lambda x, y: x)),
                                        lambda: self.put("l/0.png", gray(12, 9, lambda x, y: 1 if x > 5 else 17)),
                                        lambda: self.put("a.csv", (self.folder / "a.csv").read_bytes().replace(b"0,x", b"0,y")))):
                before = path.read_bytes()
                (self.folder / "m/2.png").touch()      # another time stamp is no other file
                self.assertIn(b"finished before", run(1).stderr)
                change()
                # What a killed process of the earlier contents left is no start for this one.
                (self.folder / out / "shard-1-of-2.part.json").write_bytes(before)
                self.assertIn(b"finished before", run(2).stderr)     # nothing of its own changed
                result = run(1)
                self.assertIn(b"has changed, so it is counted again", result.stderr)
                self.assertNotIn(b"goes on", result.stderr)
                self.assertNotEqual(path.read_bytes(), before)
                fresh = f"fresh{i}{len(kind)}"
                run(1, fresh), run(2, fresh)
                self.assertEqual(path.read_bytes(), (self.folder / fresh / path.name).read_bytes())
            self.ok(*words, "-o", f"one{len(kind)}")
            self.ok("evaluate", "--merge", out, "-o", f"sum{len(kind)}")
            for file in sorted((self.folder / f"one{len(kind)}").iterdir()):
                self.assertEqual(file.read_bytes(), (self.folder / f"sum{len(kind)}" / file.name).read_bytes(), file.name)
            # What changed only after the last shard is as it was for the next kind.
            for n in range(6):
                self.put(f"m/{n}.png", truth(n)), self.put(f"f/{n}.png", truth(n, 1)), self.put(f"p/{n}.png", png(12, 9))
                self.put(f"l/{n}.png", gray(12, 9, lambda x, y: 1 if x > 3 else 17))
            self.put("a.csv", b"id,kind\n0,x\n1,y\n2,x\n3,y\n4,x\n")

    def test_shards_over_the_limit_are_refused_unread(self):
        self.put("parts/shard-1-of-1.json", b"")
        os.truncate(self.folder / "parts/shard-1-of-1.json", 1 << 35)      # a hole: 32 GiB that take no room
        self.refused(self.run_furrow("evaluate", "--merge", "parts", "-o", "sum", timeout=20), 6, "shard-1-of-1.json", "limit 268435456")
        self.put("parts/shard-1-of-1.json", b'{"schema":' + b"[" * 100000)
        self.refused(self.run_furrow("evaluate", "--merge", "parts", "-o", "sum"), 6, "shard-1-of-1.json", "inside each other; limit 8")
        self.assertFalse((self.folder / "sum").exists())

    def test_a_finished_shard_says_again_what_failed(self):
        self.put("photos/004.png", b"no picture")
        first = self.ok(*self.words("parts", "--shard", "1/2", "--json"), status=4)
        again = self.ok(*self.words("parts", "--shard", "1/2", "--json"), status=4)
        self.assertEqual(first.stdout, again.stdout)
        self.assertEqual(json.loads(first.stdout)["error"]["exit"], 4)


if __name__ == "__main__":
    unittest.main()
