#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
std::vector<Case> foreign_cases() {
  std::vector<Case> out;
  const auto add = [&](int number, const char* label, const std::string& bytes, const std::string& says,
                       ErrorCode code = ErrorCode::malformed) {
    out.push_back({number, label, bytes, code, says});
  };
  add(146, "Empty", "", "an empty file");
  add(146, "OneByte", "P", "not a checkpoint");
  add(147, "WebPage", "\n <!DOCTYPE html>\n<html><body>Sign in</body></html>", "this is a web page, not a checkpoint");
  add(147, "WebPageWithMark", "\xef\xbb\xbf<HTML>", "this is a web page");
  add(148, "LfsPointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 124143413\n",
      "a Git LFS pointer to a file of 124143413 bytes");
  add(148, "LfsPointerCut", "version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer");
  add(149, "Text", "\xec\x83\x89\xec\x9b\xa0 A\n", "a text of 9 bytes");
  add(149, "LongText", std::string(4095, 'a') + "\xc3\xa9", "a text of 4097 bytes");
  add(149, "Zeros", std::string(1000, '\0'), "1000 zero bytes");
  std::string noise;
  for (uint32_t i = 1; i <= 1000; ++i) noise += static_cast<char>(i * 2654435761u >> 23);
  add(149, "Random", noise, "unknown data of 1000 bytes");
  add(149, "Gzip", "\x1f\x8b\x08" + noise, "a gzip file");
  add(149, "SevenZip", "7z\xbc\xaf\x27\x1c" + noise, "a 7-Zip archive");
  add(149, "Elf",
      "\x7f"
      "ELF" +
          noise,
      "a program");
  add(149, "Npy", "\x93NUMPY" + noise, "a NumPy array");
  add(149, "Png", "\x89PNG\r\n\x1a\n" + noise, "a PNG picture");
  add(149, "Npz", build_zip({{.name = "a.npy", .content = "x"}, {.name = "b.npy", .content = "y"}}),
      "a NumPy .npz archive", ErrorCode::unsupported);
  add(150, "EmptyZip", build_zip({}), "an empty zip");
  add(150, "OtherZip", build_zip({{.name = "readme.txt", .content = "x"}}), "it holds: readme.txt");
  return out;
}

}  // namespace furrow::testing
