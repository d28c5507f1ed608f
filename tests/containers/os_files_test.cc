// Files as the system gives them: odd kinds, failures, changes under way, atomic writing; and SHA-256.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/mapped_file.h"
#include "io/sha256.h"
#include "tests/containers/builders.h"

namespace furrow::testing {
namespace {

namespace fs = std::filesystem;

class OsFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("furrow_os_files_test_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  std::string get(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  size_t files() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {})); }
  fs::path folder_;
};

template <class Body>
void expect_io_error(const std::string& says, Body&& body) {
  try {
    body();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(name(error.code()), "io") << error.line();
    EXPECT_NE(error.line().find(says), std::string::npos) << error.line();
  }
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST_F(OsFiles, OnlyRegularFilesAreMapped) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  expect_io_error("is a pipe", [&] { io::MappedFile::open(path("fifo")); });  // would wait for ever if it blocked
  expect_io_error("is a folder", [&] { io::MappedFile::open(folder_.string()); });
  expect_io_error("is a device", [&] { io::MappedFile::open("/dev/null"); });
  expect_io_error("No such file", [&] { io::MappedFile::open(path("none")); });
  expect_io_error("zero byte", [&] { io::MappedFile::open(std::string("a\0b", 3)); });
  if (::geteuid() != 0) {
    put("secret", "x");
    ::chmod(path("secret").c_str(), 0);
    expect_io_error("Permission denied", [&] { io::MappedFile::open(path("secret")); });
  }
}

TEST_F(OsFiles, EmptyFileIsMapped) {
  put("empty", "");
  EXPECT_TRUE(io::MappedFile::open(path("empty"))->bytes().empty());
}

TEST_F(OsFiles, No430_FileChangedWhileItIsRead) {
  put("file", "hello");
  const auto file = io::MappedFile::open(path("file"));
  EXPECT_EQ(file->bytes().size(), 5u);
  EXPECT_NO_THROW(file->check_unchanged());
  std::ofstream(path("file"), std::ios::app) << "more";
  expect_io_error("changed while it was read", [&] { file->check_unchanged(); });

  const auto longer = io::MappedFile::open(path("file"));
  fs::resize_file(path("file"), 3);
  expect_io_error("changed while it was read", [&] { longer->check_unchanged(); });

  // The same size, only another time of modification.
  const auto same = io::MappedFile::open(path("file"));
  fs::last_write_time(path("file"), fs::last_write_time(path("file")) + std::chrono::seconds(1));
  expect_io_error("changed while it was read", [&] { same->check_unchanged(); });
}

TEST_F(OsFiles, No430_ACopyOutlivesTheFileThatIsShortenedUnderIt) {
  put("photo", std::string(100'000, 'p'));
  const auto copy = io::MappedFile::open(path("photo"), io::MappedFile::Access::copy);
  fs::resize_file(path("photo"), 0);
  for (const std::byte b : copy->bytes()) ASSERT_EQ(b, std::byte{'p'});   // of a mapping this would be SIGBUS
  expect_io_error("changed while it was read", [&] { copy->check_unchanged(); });
}

TEST_F(OsFiles, ErrorsNameTheFile) {
  put("page.pth", "<html></html>");
  try {
    io::read_checkpoint(path("page.pth"));
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) { EXPECT_EQ(error.file_name(), path("page.pth")); }
}

// Case 208: the name promises that there is no pickle inside.
TEST_F(OsFiles, No208_ZipNamedSafetensors) {
  put("a.safetensors", pth_of(pickle::tensor()));
  try {
    io::read_checkpoint(path("a.safetensors"));
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(name(error.code()), "malformed");
    EXPECT_NE(error.line().find("rename it to .pth"), std::string::npos) << error.line();
  }
  put("a.pth", build_safetensors(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", six_floats()));
  EXPECT_EQ(io::read_checkpoint(path("a.pth")).container, "safetensors");
}

TEST_F(OsFiles, AtomicFileAppearsWholeOrNotAtAll) {
  put("target", "old");
  {
    io::AtomicFile file(path("target"));
    file.write("new");
    EXPECT_EQ(get("target"), "old");
  }
  EXPECT_EQ(get("target"), "old");
  EXPECT_EQ(files(), 1u);  // the temporary file is gone
  io::write_file_atomically(path("target"), bytes_of("new"));
  EXPECT_EQ(get("target"), "new");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OsFiles, AtomicFileKeepsTheUmask) {
  const mode_t old = ::umask(027);
  io::write_file_atomically(path("file"), bytes_of("x"));
  ::umask(old);
  struct stat info {};
  ASSERT_EQ(::stat(path("file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST_F(OsFiles, AtomicFileRefuses) {
  put("there", "old");
  expect_io_error("File exists", [&] { io::write_file_atomically(path("there"), bytes_of("new"), false); });
  io::AtomicFile late(path("late"), false);
  late.write("mine");
  put("late", "theirs");
  expect_io_error("File exists", [&] { late.commit(); });
  EXPECT_EQ(get("late"), "theirs");
  expect_io_error("not a regular file", [&] { io::write_file_atomically(folder_.string(), bytes_of("x")); });
  expect_io_error("not a regular file", [&] { io::write_file_atomically("/dev/null", bytes_of("x")); });
  expect_io_error("No such file", [&] { io::write_file_atomically(path("no/such/file"), bytes_of("x")); });
}

TEST_F(OsFiles, AtomicFileWritesNewFilesWithoutOverwrite) {
  io::write_file_atomically(path("fresh"), bytes_of("x"), false);
  EXPECT_EQ(get("fresh"), "x");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OsFiles, AtomicFileFollowsLinks) {
  put("target", "old");
  fs::create_symlink("target", path("link"));
  io::write_file_atomically(path("link"), bytes_of("new"));
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(get("target"), "new");
}

// A limit on the size of files stands in for a full disk.
TEST_F(OsFiles, AtomicFileLeavesNothingWhenWritingFails) {
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  expect_io_error("cannot write: File too large",
                  [&] { io::write_file_atomically(path("big"), bytes_of(std::string(10'000, 'x'))); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(files(), 0u);
}

// Digests from FIPS 180-4's examples, and lengths around the block size computed with Python's hashlib.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(io::sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(io::sha256_hex(bytes_of("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string sevens(119, '\x07');
  const auto of = [&](size_t size) { return io::sha256_hex(bytes_of(sevens).first(size)); };
  EXPECT_EQ(of(55), "943cc61860776ca8e78a365d988036ed2ade2ca4aca3236dd9501adc4fbbaa27");
  EXPECT_EQ(of(56), "849e6994b02d460680d1d4d9ed690aa35811c88056987e0b6cad0eb85cb7d98d");
  EXPECT_EQ(of(63), "4267755c91adbe48467358342d80bda027985cda840cea5aef936cdc0aa6138e");
  EXPECT_EQ(of(64), "6cfeeb3aa25d3f411dae5eec17d7369ca7153e72dcf54bcf4c3daec0f5b21fc7");
  EXPECT_EQ(of(65), "2fa7eeba09baebc8ecef6fcfd44a61d64619aefae0b51f724658aa6dc03e8424");
  EXPECT_EQ(of(119), "62f7b490eef6978ea4e047afde0cfd06b542157473c8911d06c787a4de76ef8e");
}

TEST(Sha256, PiecesAreTheWhole) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 37);
  for (const size_t step : {1u, 3u, 63u, 64u, 65u, 200u}) {
    io::Sha256 hash;
    for (size_t at = 0; at < text.size(); at += step)
      hash.update(bytes_of(text).subspan(at, std::min<size_t>(step, text.size() - at)));
    EXPECT_EQ(hash.hex(), io::sha256_hex(bytes_of(text))) << step;
  }
}

TEST(Sha256, TensorsHashAsFloat32) {
  // 100,000 doubles cross the block of the conversion.
  std::vector<double> wide(100'000);
  std::vector<float> narrow(wide.size());
  for (size_t i = 0; i < wide.size(); ++i) narrow[i] = static_cast<float>(wide[i] = static_cast<double>(i) / 3);
  const auto dims = std::vector<int64_t>{100, 1000};
  const NamedTensor a{"w", DType::f64, dims, std::as_bytes(std::span(wide)), nullptr};
  const NamedTensor b{"w", DType::f32, dims, std::as_bytes(std::span(narrow)), nullptr};
  EXPECT_EQ(io::sha256_f32(a), io::sha256_f32(b));
  EXPECT_EQ(io::sha256_f32(b), io::sha256_hex(std::as_bytes(std::span(narrow))));
}

}  // namespace
}  // namespace furrow::testing
