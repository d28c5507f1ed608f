#!/usr/bin/env python3
"""`furrow prepare fetch`: photos of FFHQ by number, zips unpacked; hostile metadata and hostile zips. Needs curl and
Python's standard library.

    prepare_fetch_files_test.py PATH_TO_FURROW [unittest arguments]
"""
import hashlib
import io
import json
import pathlib
import shutil
import stat
import unittest
import zipfile

from misbehaving_server import *  # noqa: F403: SHA, FetchCase, photo


class Photos(FetchCase):
    def setUp(self):
        super().setUp()
        self.metadata = {}
        for number in list(range(14)) + [1005, 69999]:
            self.add(number)
        self.write()

    def add(self, number, query="", **more):
        body = photo(number)
        image = {"file_url": self.base + f"photo/{number}{query}", "file_path": f"images1024x1024/{number // 1000:02d}000/{number:05d}.png",
                 "file_size": len(body), "file_md5": hashlib.md5(body).hexdigest(), "face_landmarks": [[1.5, 2.5]] * 68, **more}
        self.metadata[str(number)] = {"category": "training", "metadata": {"author": "A \"quoted\" }{ \\ name"}, "image": image}

    def write(self, text=None):
        (self.folder / "ffhq.json").write_text(json.dumps(self.metadata) if text is None else text)

    def photos(self, *words):
        self.manifest(self.entry("page", name="ffhq", direct=False, by_id=True, file="images1024x1024", size=None, sha256=None))
        return self.run_it("prepare", "fetch", "ffhq", "--manifest", "m.json", "-o", "d", "--metadata", "ffhq.json", "--tries", "1", *words)

    def there(self):
        return sorted(int(p.stem) for p in (self.folder / "d").rglob("*.png"))

    def test_by_list_range_file_folder_and_limit(self):
        (self.folder / "ids.txt").write_text("3\r\n1005\n")
        (self.folder / "masks").mkdir()
        for name in ("00002.png", "69999.png", "notes.txt"):
            (self.folder / "masks" / name).write_bytes(b"")
        for words, wanted in ((("--ids", "0,5,7-9"), [0, 5, 7, 8, 9]), (("--ids", "ids.txt"), [3, 1005]), (("--ids", "masks"), [2, 69999]), (("--limit", "3"), [0, 1, 2]),
                              (("--ids", "0-13", "--limit", "13", "--jobs", "3"), list(range(13)))):
            with self.subTest(words):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                result = self.photos(*words)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(self.there(), wanted)
                self.assertIn(f"{len(wanted)} photos fetched, 0 finished before", result.stdout)
                for number in wanted:
                    self.assertEqual((self.folder / f"d/images1024x1024/{number // 1000:02d}000/{number:05d}.png").read_bytes(), photo(number))
        asked = len(self.server.paths)
        self.assertIn("1 photo fetched, 13 finished before", self.photos("--ids", "0-13").stdout)
        self.assertEqual(len(self.server.paths), asked + 1)
        self.assertEqual(self.kept(), [f"{n:05d}.png" for n in range(14)])

    def test_one_that_fails_is_listed_and_the_others_come(self):
        self.add(4, query="?bad=1")
        self.write()
        result = self.photos("--ids", "3-6")
        self.assertEqual(result.returncode, 7, result.stderr)
        self.assertIn("1 of 4 files failed", result.stderr)
        self.assertIn("put it at d/images1024x1024/00000/00004.png", result.stderr)
        self.assertEqual(self.there(), [3, 5, 6])
        found = json.loads(self.photos("--ids", "3-6", "--json").stdout.splitlines()[0])
        self.assertEqual((len(found["files"]), len(found["failed"]), found["failed"][0]["code"]), (3, 1, "io"))

    def test_it_gives_up_where_nothing_comes(self):
        address = f"http://127.0.0.1:{self.closed_port()}/x"
        for number in range(60):
            self.add(number, file_url=address)
        self.write()
        result = self.photos("--ids", "0-59", "--jobs", "2")
        self.assertEqual(result.returncode, 7)
        self.assertRegex(result.stderr, r"1[67] of 60 files failed, 4[34] were not tried any more")

    def test_the_sum_of_sizes_counts(self):
        self.assertEqual(self.photos("--ids", "11", "--size", "1000").returncode, 6)
        self.assertEqual(self.photos("--ids", "11", "--size", "1001").returncode, 0)

    def test_a_photo_that_is_there_and_another_is_left_alone(self):
        self.assertEqual(self.photos("--ids", "11").returncode, 0)
        path = self.folder / "d/images1024x1024/00000/00011.png"
        path.write_bytes(b"mine")
        result = self.photos("--ids", "11")
        self.assertEqual((result.returncode, path.read_bytes()), (9, b"mine"))
        self.assertEqual(self.photos("--ids", "11", "--force").returncode, 0)
        self.assertEqual(path.read_bytes(), photo(11))

    def test_words_that_are_none(self):
        for words, status in (((), 2), (("--ids", "x"), 2), (("--ids", "5-3"), 2), (("--ids", "-1"), 2), (("--ids", "70000"), 2), (("--ids", "1,,2"), 2), (("--ids", "20"), 2),
                              (("--limit", "-1"), 2), (("--jobs", "0", "--ids", "1"), 2), (("--tries", "0", "--ids", "1"), 2), (("--ids", "1", "--from", "x"), 2),
                              (("--ids", "1", "--sha256", SHA), 2), (("--ids", "ffhq.json"), 4)):
            with self.subTest(words):
                result = self.photos(*words)
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertFalse((self.folder / "d").exists())
        for words in (("--ids", "1"), ("--limit", "1"), ("--metadata", "ffhq.json")):
            self.assertEqual(self.get("good", *words).returncode, 2, words)

    def test_hostile_metadata(self):
        whole = json.dumps(self.metadata)
        for text in ("", "[]", "{", whole[:1200], '{"1": [1]}', '{"1": {"image": 5}}', '{"1": {}}', '{"1": {"image": {}}}', '{"1": {"x": "' + "y" * 70_000 + '"}}',
                     '{"1" {}}', '{"' + "1" * 500 + '": {}}', "<html>"):
            with self.subTest(text[:40]):
                self.write(text)
                self.assertEqual(self.photos("--ids", "1").returncode, 4, text[:40])
        for more in ({"file_path": "../../1.png"}, {"file_path": "/etc/00001.png"}, {"file_path": "images1024x1024/00000/00002.png"}, {"file_size": -1}, {"file_size": 0}, {"file_size": "5"}, {"file_size": 1e9}, {"file_size": 10 ** 12},
                     {"file_md5": "xyz"}, {"file_md5": "0" * 31 + "/"}, {"file_url": 5}, {"file_url": "https://x/\n"}, {"file_url": ""}):
            with self.subTest(more):
                self.add(1, **more)
                self.write()
                result = self.photos("--ids", "1")
                self.assertEqual(result.returncode, 4, result.stderr)
        self.add(1, file_url="file:///etc/passwd")
        self.write()
        self.assertEqual(self.photos("--ids", "1").returncode, 7)
        self.add(1)
        self.write(json.dumps(self.metadata)[:-1] + ', "1": ' + json.dumps(self.metadata["1"]) + "}")
        self.assertEqual(self.photos("--limit", "70").returncode, 4)


class Unpacking(FetchCase):
    def zip_of(self, *entries, compression=zipfile.ZIP_DEFLATED):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", compression) as archive:
            for name, content in entries:
                archive.writestr(name, content)
        return data.getvalue()

    def unzip(self, data, *words, query=""):
        self.server.zips["a"] = data
        self.manifest(self.entry("zip/a" + query, file="it.zip", unpack="masks", size=None, sha256=None))
        return self.fetch("--tries", "1", *words)

    def files(self):
        return {str(p.relative_to(self.folder / "d")): p.read_bytes() for p in (self.folder / "d").rglob("*") if p.is_file() and not p.name.startswith("it.zip")}

    def test_files_with_and_without_a_folder_of_their_own(self):
        wanted = {"masks/00001.png": b"one" * 50, "masks/00000/00002.png": b""}
        for top in ("", "masks/"):
            for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
                with self.subTest(top):
                    shutil.rmtree(self.folder / "d", ignore_errors=True)
                    data = self.zip_of(*((top, "") for _ in range(bool(top))), (top + "00001.png", b"one" * 50), ("__MACOSX/x", "x"), (top + "00000/00002.png", b""), compression=compression)
                    result = self.unzip(data, "--unpack")
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertEqual(self.files(), wanted)
        again = self.unzip(data, "--unpack")
        self.assertIn("0 files unpacked, 2 finished before", again.stderr)
        (self.folder / "d/masks/00001.png").write_bytes(b"mine")
        self.assertEqual(self.unzip(data, "--unpack").returncode, 2)
        self.assertEqual((self.folder / "d/masks/00001.png").read_bytes(), b"mine")

    def test_without_the_word_it_stays_a_zip(self):
        self.assertEqual(self.unzip(self.zip_of(("a", "b"))).returncode, 0)
        self.assertEqual(self.files(), {})

    def test_names_that_leave_the_folder(self):
        for name in ("../x", "a/../../x", "/tmp/x", "a\\x", "c:/x", "a//x", "./x"):
            with self.subTest(name):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                result = self.unzip(self.zip_of(("ok", "b"), (name, "b")), "--unpack")
                self.assertEqual(result.returncode, 4, result.stderr)
                self.assertEqual(self.files(), {})
                self.assertFalse((self.folder / "x").exists())

    def test_a_link_becomes_a_plain_file(self):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            link = zipfile.ZipInfo("evil")
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc")
        self.assertEqual(self.unzip(data.getvalue(), "--unpack").returncode, 0)
        self.assertFalse((self.folder / "d/masks/evil").is_symlink())
        self.assertEqual(self.files(), {"masks/evil": b"/etc"})

    def test_a_password_a_bomb_and_damage(self):
        locked = bytearray(self.zip_of(("a", "b" * 20)))
        locked[6] |= 1
        locked[locked.rfind(b"PK\1\2") + 8] |= 1
        bomb = self.zip_of(("a", b"\0" * 50_000_000))
        damaged = bytearray(self.zip_of(("a", bytes(range(200))), compression=zipfile.ZIP_STORED))
        damaged[60] ^= 1
        for data, status, words in ((locked, 5, "encrypted"), (bomb, 6, "limit"), (damaged, 9, "CRC")):
            with self.subTest(words):
                shutil.rmtree(self.folder / "d", ignore_errors=True)
                result = self.unzip(bytes(data), "--unpack")
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(words, result.stderr)
                self.assertEqual(self.files(), {})

    def test_a_cut_zip_of_unknown_length_is_not_kept(self):
        result = self.unzip(self.zip_of(("a", "b" * 100)), query="?cut")
        self.assertEqual(result.returncode, 9, result.stderr)
        self.assertIn("cut or damaged; removed", result.stderr)
        self.assertEqual(self.files(), {})


if __name__ == "__main__":
    unittest.main()
