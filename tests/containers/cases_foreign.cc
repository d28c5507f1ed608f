#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

// A ustar header block for a file of `size` bytes, and its content.
std::string tar_member(const std::string& name, size_t size) {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  std::string octal(11, '0');
  for (size_t i = 11, rest = size; i-- > 0; rest /= 8) octal[i] = static_cast<char>('0' + rest % 8);
  block.replace(124, 11, octal);
  block.replace(257, 5, "ustar");
  return block + std::string((size + 511) / 512 * 512, 'x');
}

// A stream as torch.save wrote it before 1.6, or writes it with _use_new_zipfile_serialization=False: pickles of the
// magic number, the protocol 1001, the machine and the object, then the list of storage keys, and for each key the
// number of elements and the little-endian data. A persistent id has a sixth part, None or a view's place.
std::string legacy_stream(const std::vector<std::pair<std::string, std::string>>& tensors) {
  using namespace pickle;
  const std::string magic("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  return magic + begin() + integer(1001) + "." + begin() +
         dict({{"protocol_version", integer(1001)}, {"little_endian", "\x88"}, {"type_sizes", "}"}}) + "." + begin() +
         ordered(tensors) + "." + begin() + list({text("0")}) + "." + little(6, 8) + six_floats();
}

std::string legacy_tensor(const std::vector<int64_t>& size, int64_t offset) {
  using namespace pickle;
  const std::string storage =
      tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), integer(6), "N"}) + "Q";
  const std::vector<int64_t> stride = size.size() == 2 ? std::vector<int64_t>{size[1], 1} : std::vector<int64_t>{1};
  return tensor(storage, integer(offset), integers(size), integers(stride));
}

}  // namespace

std::vector<Case> foreign_cases() {
  std::vector<Case> out;
  const auto add = [&](int number, const char* label, const std::string& bytes, const std::string& says,
                       ErrorCode code = ErrorCode::malformed) {
    out.push_back({number, label, bytes, code, says});
  };
  const std::string legacy("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.", 21);
  add(131, "LegacyStream", legacy, "legacy (pre-1.6) torch stream", ErrorCode::unsupported);
  // Good files, refused by name as long as no reader of legacy streams exists.
  const std::string by_name = "legacy (pre-1.6) torch stream";
  add(152, "LegacyPlain", legacy_stream({{"w", legacy_tensor({2, 3}, 0)}}), by_name, ErrorCode::unsupported);
  add(161, "LegacySharedStorages", legacy_stream({{"a", legacy_tensor({2}, 1)}, {"b", legacy_tensor({3}, 3)}}),
      by_name, ErrorCode::unsupported);
  add(136, "BarePickle",
      "\x80\x02"
      "cos\nsystem\n.",
      "a bare pickle");
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
  add(149, "Tar", tar_member("sys_info", 100) + tar_member("pickle", 700) + std::string(1024, '\0'), "a tar archive",
      ErrorCode::unsupported);
  add(149, "TarCut", tar_member("sys_info", 100) + tar_member("storages", 70'000).substr(0, 5000), "it is cut");
  add(149, "Npz", build_zip({{.name = "a.npy", .content = "x"}, {.name = "b.npy", .content = "y"}}),
      "a NumPy .npz archive", ErrorCode::unsupported);
  add(150, "EmptyZip", build_zip({}), "an empty zip");
  add(150, "OtherZip", build_zip({{.name = "readme.txt", .content = "x"}}), "it holds: readme.txt");
  return out;
}

}  // namespace furrow::testing
