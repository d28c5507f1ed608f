// Checkpoints: what is saved is what is read, and no damage goes unseen.
#include "train/checkpoint.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "io/checkpoint.h"
#include "io/crc32c.h"
#include "io/safetensors.h"
#include "tests/train/temporary_folder.h"

namespace furrow::testing {
namespace {

using train::CheckpointStore;
using train::Snapshot;

template <class T>
NamedTensor tensor(const std::string& name, DType type, std::vector<T> values) {
  auto held = std::make_shared<const std::vector<T>>(std::move(values));
  return {name, type, {static_cast<int64_t>(held->size())}, std::as_bytes(std::span(*held)), held};
}

Snapshot small(float first = 1.5f) {
  Snapshot out;
  out.tensors = {tensor<float>("model.w", DType::f32, {first, -2, 1e-40f}),
                 tensor<double>("adam.m.w", DType::f64, {0.1, 3}), tensor<int64_t>("model.count", DType::i64, {7}),
                 tensor<uint8_t>("bits", DType::u8, {1, 2, 3})};
  out.values = {{"step", "12"}, {"lr", train::exact_text(0.1 + 0.2)}, {"config", "epochs: 3\n\"quoted\"\n"}};
  return out;
}

void expect_same(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(a.values, b.values);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].name, b.tensors[i].name);
    EXPECT_EQ(a.tensors[i].dims, b.tensors[i].dims);
    ASSERT_EQ(a.tensors[i].bytes.size(), b.tensors[i].bytes.size());
    EXPECT_EQ(std::memcmp(a.tensors[i].bytes.data(), b.tensors[i].bytes.data(), a.tensors[i].bytes.size()), 0);
  }
}

Snapshot read(const std::string& bytes) {
  const auto held = std::make_shared<const std::string>(bytes);
  return train::read_snapshot(std::as_bytes(std::span(*held)), held);
}

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) { return error.code(); }
  return ErrorCode{0};
}

TEST(Crc32c, GivesTheValuesOfTheStandard) {  // RFC 3720, B.4
  const auto of = [](const std::string& text) { return io::crc32c(std::as_bytes(std::span(text))); };
  EXPECT_EQ(of("123456789"), 0xE3069283u);
  EXPECT_EQ(of(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(of(std::string(32, '\xff')), 0x62A8AB43u);
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  EXPECT_EQ(of(rising), 0x46DD794Eu);
  EXPECT_EQ(io::crc32c(std::as_bytes(std::span(rising).subspan(13)), of(rising.substr(0, 13))), 0x46DD794Eu);
}

class Checkpoints : public TemporaryFolder {};

TEST_F(Checkpoints, ComeBackAsTheyWere) {
  train::write_snapshot(path("a"), small());
  const Snapshot back = train::read_snapshot(path("a"));
  expect_same(back, small());
  EXPECT_EQ(train::integer_value(back, "step"), 12);
  EXPECT_EQ(train::real_value(back, "lr"), 0.1 + 0.2);
  EXPECT_EQ(code_of([&] { train::integer_value(back, "lr"); }), ErrorCode::malformed);
  EXPECT_EQ(code_of([&] { train::integer_value(back, "absent"); }), ErrorCode::malformed);
  train::write_snapshot(path("b"), small());
  EXPECT_EQ(contents(path("a")), contents(path("b")));
}

TEST_F(Checkpoints, AreSafetensorsForEveryoneElse) {
  train::write_snapshot(path("a"), small());
  const std::string bytes = contents(path("a"));
  const io::Checkpoint file = io::read_safetensors(std::as_bytes(std::span(bytes)), nullptr);
  EXPECT_EQ(file.container, "safetensors");
  EXPECT_EQ(file.metadata.at("step"), "12");
  EXPECT_EQ(file.tensors.size(), small().tensors.size() + 1);  // the seal
}

TEST_F(Checkpoints, EveryFlippedBitIsFound) {
  train::write_snapshot(path("a"), small());
  std::string bytes = contents(path("a"));
  ASSERT_NO_THROW(read(bytes));
  for (size_t i = 0; i < bytes.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      ASSERT_EQ(code_of([&] { read(bytes); }), ErrorCode::checksum) << "byte " << i << ", bit " << bit;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
    }
}

TEST_F(Checkpoints, EveryCutIsRefused) {
  train::write_snapshot(path("a"), small());
  const std::string bytes = contents(path("a"));
  for (size_t length = 0; length < bytes.size(); ++length)
    ASSERT_EQ(code_of([&] { read(bytes.substr(0, length)); }), ErrorCode::checksum) << length;
  EXPECT_NE(code_of([&] { read(bytes + "x"); }), ErrorCode{0});
  EXPECT_NE(code_of([&] { read(bytes.substr(0, bytes.size() - 60) + bytes.substr(bytes.size() - 52)); }), ErrorCode{0});
}

TEST_F(Checkpoints, SplicedOnesAreRefused) {
  train::write_snapshot(path("a"), small(1.5f));
  train::write_snapshot(path("b"), small(2.5f));
  const std::string a = contents(path("a")), b = contents(path("b"));
  ASSERT_EQ(a.size(), b.size());
  size_t refused = 0;
  for (size_t cut = 1; cut < a.size(); ++cut) {
    const std::string spliced = a.substr(0, cut) + b.substr(cut);
    if (spliced == a || spliced == b) continue;
    ++refused;
    ASSERT_EQ(code_of([&] { read(spliced); }), ErrorCode::checksum) << cut;
  }
  EXPECT_GT(refused, 100u);
}

TEST_F(Checkpoints, DamageIsNamedWithItsPlace) {
  train::write_snapshot(path("a"), small());
  std::string bytes = contents(path("a"));
  float wanted = 1.5f;
  std::string pattern(4, '\0');
  std::memcpy(pattern.data(), &wanted, 4);
  const size_t at = bytes.rfind(pattern);
  bytes[at + 1] ^= 1;
  write(path("a"), bytes);
  try {
    train::read_snapshot(path("a"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.entry(), "model.w");
    EXPECT_EQ(error.byte(), at);
    EXPECT_EQ(error.file_name(), path("a"));
  }
}

TEST_F(Checkpoints, NothingThatIsNotFiniteReplacesSomethingThatIs) {
  train::write_snapshot(path("a"), small());
  const std::string before = contents(path("a"));
  Snapshot bad = small();
  bad.tensors[1] = tensor<double>("adam.m.w", DType::f64, {1, std::nan("")});
  try {
    train::write_snapshot(path("a"), bad);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.entry(), "adam.m.w");
    EXPECT_NE(error.reason().find("element 1"), std::string::npos);
  }
  EXPECT_EQ(contents(path("a")), before);
}

TEST_F(Checkpoints, TheStoreKeepsTheOneBeforeAndTheBest) {
  CheckpointStore store(folder_.string());
  store.save(small(1));
  EXPECT_FALSE(std::filesystem::exists(store.previous_path()));
  store.mark_best(small(1));
  store.save(small(2));
  store.save(small(3));
  expect_same(train::read_snapshot(store.last_path()), small(3));
  expect_same(train::read_snapshot(store.previous_path()), small(2));
  expect_same(train::read_snapshot(store.best_path()), small(1));
  store.mark_best(small(3));
  expect_same(train::read_snapshot(store.best_path()), small(3));
  store.mark_best(small(3));  // twice: the same file already
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) files += entry.is_regular_file() ? 1 : 0;
  EXPECT_EQ(files, 3u);
}

TEST_F(Checkpoints, ADamagedOneIsPassedOverWithAWarningAndNeverKept) {
  {
    CheckpointStore store(folder_.string());
    store.save(small(1));
    store.save(small(2));
  }
  std::string bytes = contents(path("last.safetensors"));
  bytes[bytes.size() / 2] ^= 4;
  write(path("last.safetensors"), bytes);
  CheckpointStore store(folder_.string());
  const CheckpointStore::Found found = store.newest();
  expect_same(found.snapshot, small(1));
  EXPECT_EQ(found.path, store.previous_path());
  ASSERT_EQ(found.warnings.size(), 2u);
  EXPECT_NE(found.warnings[0].find("last.safetensors"), std::string::npos);
  store.save(small(4));  // the damaged one does not become `previous`
  expect_same(train::read_snapshot(store.previous_path()), small(1));
  expect_same(train::read_snapshot(store.last_path()), small(4));
}

TEST_F(Checkpoints, WithoutAWholeOneTheReasonIsThatOfTheNewest) {
  CheckpointStore store(folder_.string());
  EXPECT_EQ(code_of([&] { store.newest(); }), ErrorCode::io);
  write(path("last.safetensors"), "cut");
  EXPECT_EQ(code_of([&] { store.newest(); }), ErrorCode::checksum);
  store.save(small(1));
  std::filesystem::rename(path("last.safetensors"), path("previous.safetensors"));
  EXPECT_EQ(CheckpointStore(folder_.string()).newest().path, store.previous_path());
}

}  // namespace
}  // namespace furrow::testing
