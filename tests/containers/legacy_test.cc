// The two older containers beyond the numbered cases: damage of PyTorch's own files, limits, where the values lie.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "io/checkpoint.h"
#include "tests/containers/builders_legacy.h"
#include "tests/containers/contract.h"

namespace furrow::testing {
namespace {

namespace fs = std::filesystem;

std::string file_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

io::Checkpoint read(const std::string& bytes, const io::Limits& limits = {}) {
  return io::read_checkpoint(std::as_bytes(std::span(bytes)), nullptr, limits);
}

std::string content_of(const io::Checkpoint& checkpoint) {
  std::string out;
  for (const NamedTensor& tensor : checkpoint.tensors) {
    out += tensor.name + '\0' + std::string(name(tensor.dtype)) + dims_to_string(tensor.dims) + '\0';
    out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  return out;
}

// The committed files of one container.
std::vector<std::string> fixtures(const std::string& prefix) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(FURROW_TEST_DATA "/checkpoints"))
    if (entry.path().filename().string().starts_with(prefix)) out.push_back(file_text(entry.path()));
  EXPECT_GE(out.size(), 3u) << prefix;
  return out;
}

TEST(Legacy, EveryTruncatedStreamIsRefused) {
  for (const std::string& good : fixtures("legacy_"))
    for (size_t size = 0; size < good.size(); ++size) {
      const std::string cut(good.data(), size);  // of its own size, so that a sanitizer sees a read past the end
      EXPECT_THROW(read(cut), Error) << size;
    }
}

// Tar archives end in zeros up to a multiple of 10 KiB; two blocks of them are enough.
TEST(Legacy, EveryTruncatedTarIsRefusedOrEqual) {
  for (const std::string& good : fixtures("tar_")) {
    const std::string content = content_of(read(good));
    const size_t end = good.find_last_not_of('\0') / 512 * 512 + 512;
    for (size_t size = 0; size < good.size(); ++size) {
      const std::string cut(good.data(), size);
      if (size >= end + 1024 && size % 512 == 0)
        EXPECT_EQ(content_of(read(cut)), content) << size;
      else
        EXPECT_THROW(read(cut), Error) << size;
    }
  }
}

// Neither container has a checksum of its values, so these and names may change; nothing worse may happen.
TEST(Legacy, FlippedBitsDoNoHarm) {
  const std::string folder = FURROW_TEST_DATA "/checkpoints/";
  for (const std::string& good :
       {file_text(folder + "legacy_plain.pth"), stream_of(stream_tensor({3, 2}, {1, 3})), build_tar(tar_files())})
    for (size_t byte = 0; byte < good.size(); ++byte)
      for (int bit = 0; bit < 8; ++bit) {
        std::string bad = good;
        bad[byte] = static_cast<char>(bad[byte] ^ (1 << bit));
        try {
          read(bad);
        } catch (const Error& error) {
          EXPECT_NE(error.code(), ErrorCode::internal) << error.line();
          EXPECT_TRUE(error.byte()) << error.line();
        }
      }
}

TEST(Legacy, LimitsHold) {
  const std::string stream = stream_of(stream_tensor({2, 3}, {3, 1})), tar = build_tar(tar_files());
  io::Limits limits;
  limits.pickle_bytes = 100;
  expect_limit(stream, limits, "(object pickle): the pickle has too many bytes; limit 100");
  limits.pickle_bytes = 60;
  expect_limit(tar, limits, "(sys_info): the pickle is too large; limit 60");
  limits = {};
  limits.zip_entries = 3;
  expect_limit(tar, limits, "too many members of a tar archive; limit 3, found 4");
  limits = {};
  limits.tensors = 0;
  expect_limit(stream, limits, "too many tensors");
  expect_limit(tar, limits, "too many storages");
  limits = {};
  limits.pickle_objects = 3;
  expect_limit(stream, limits, "too many objects");
  limits = {};
  limits.expand_factor = 0, limits.expand_slack = 100'000;  // the pickles take some of it
  expect_limit(stream_of(stream_tensor({100'000}, {0})), limits, "tensor w: the tensors would fill 40");
  expect_limit(build_tar(tar_files({.tensors = pickled(1) + tar_tensor(1, 2, {100'000}, {0})})), limits,
               "tensor w: the tensors would fill 40");
}

// Dense tensors are not copied, whatever their alignment; others are.
TEST(Legacy, DenseTensorsLieInTheFile) {
  const auto inside = [](const std::string& bytes) {
    const io::Checkpoint got = read(bytes);
    const auto* const at = reinterpret_cast<const char*>(got.tensors.at(0).bytes.data());
    return at >= bytes.data() && at < bytes.data() + bytes.size();
  };
  EXPECT_TRUE(inside(stream_of(stream_tensor({2, 3}, {3, 1}))));
  EXPECT_FALSE(inside(stream_of(stream_tensor({3, 2}, {1, 3}))));
  EXPECT_TRUE(inside(build_tar(tar_files())));
  EXPECT_EQ(read(stream_of(stream_tensor({2}, {1}))).container, "legacy stream");
  EXPECT_EQ(read(build_tar(tar_files())).container, "tar of 2017");
}

// A zip that begins where its own extension promises no pickle is refused; so are the older containers.
TEST(Legacy, NotUnderTheNameOfSafetensors) {
  const fs::path folder = fs::temp_directory_path() / ("furrow_legacy_test_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  for (const std::string& bytes : {stream_of(stream_tensor({2}, {1})), build_tar(tar_files())}) {
    const std::string path = (folder / "w.safetensors").string();
    std::ofstream(path, std::ios::binary) << bytes;
    try {
      io::read_checkpoint(path);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_NE(error.line().find("named .safetensors, but it"), std::string::npos) << error.line();
    }
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace furrow::testing
