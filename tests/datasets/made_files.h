// Folders of made pictures for the tests of data/.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "io/image.h"
#include "io/png_write.h"
#include "io/sha256.h"
#include "noise.h"

namespace furrow::data::test {

// A folder that is removed again.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "furrow_data_XXXXXX").string();
    if (!mkdtemp(name.data())) ADD_FAILURE() << "no temporary folder";
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }
  // Makes the folders on the way.
  void write(const std::string& name, std::span<const std::byte> bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream file(path(name), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) ADD_FAILURE() << "cannot write " << name;
  }
  void write(const std::string& name, const std::string& text) const { write(name, std::as_bytes(std::span(text))); }
  void write(const std::string& name, const io::Image& image) const { write(name, io::encode_png(image)); }

 private:
  std::string path_;
};

// As photo() and sparse() of make_datasets_golden.py.
inline io::Image photo(int64_t width, int64_t height, uint64_t seed) {
  io::Image image(width, height, 3);
  image.pixels = noise(image.pixels.size(), seed);
  return image;
}
inline io::Image sparse(int64_t width, int64_t height, uint64_t seed) {
  io::Image image(width, height, 1);
  image.pixels = noise(image.pixels.size(), 2 * seed);
  for (uint8_t& value : image.pixels) value = value < 8 ? 255 : 0;
  return image;
}
inline io::Image gray(int64_t width, int64_t height, std::vector<uint8_t> pixels) {
  io::Image image(width, height, 1);
  image.pixels = std::move(pixels);
  return image;
}

template <class T>
std::string digest(const std::vector<T>& values) {
  return io::sha256_hex(std::as_bytes(std::span(values))).substr(0, 16);
}

// The lines of golden.txt whose first word is `kind`, without it.
inline std::vector<std::string> golden(const std::string& kind) {
  std::ifstream file(FURROW_TEST_DATA "/datasets/golden.txt");
  std::vector<std::string> found;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(kind + " ")) found.push_back(line.substr(kind.size() + 1));
  EXPECT_FALSE(found.empty()) << kind;
  return found;
}

}  // namespace furrow::data::test
