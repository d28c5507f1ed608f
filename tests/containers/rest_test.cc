// What the numbered cases leave of the readers: every limit, every kind of key, every shape of a character, and the
// checkpoints of a training run.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "io/checkpoint.h"
#include "io/crc32c.h"
#include "io/pickle.h"
#include "io/tar.h"
#include "io/utf8.h"
#include "tests/containers/builders_legacy.h"

namespace furrow::testing {
namespace {

using namespace pickle;
using namespace std::string_literals;

io::Checkpoint read(const std::string& bytes) { return io::read_checkpoint(std::as_bytes(std::span(bytes)), nullptr); }

template <class Read>
void expect_error(Read&& read, ErrorCode code, const std::string& says) {
  try {
    read();
    ADD_FAILURE() << "accepted: " << says;
  } catch (const Error& error) {
    EXPECT_EQ(name(error.code()), name(code)) << error.line();
    EXPECT_NE(error.line().find(says), std::string::npos) << error.line();
  }
}

// A pickle alone, without a file around it.
void expect_pickle(const std::string& body, const std::string& says, ErrorCode code = ErrorCode::malformed,
                   const io::Limits& limits = {}) {
  const std::string bytes = begin() + body;
  expect_error([&] { io::run_pickle(std::as_bytes(std::span(bytes)), limits); }, code, says);
}

TEST(Pickle, HoldsEachOfItsLimits) {
  const auto over = [](uint64_t io::Limits::*field, uint64_t limit, const std::string& body, const char* what) {
    io::Limits limits;
    limits.*field = limit;
    expect_pickle(body + ".", what, ErrorCode::limit, limits);
    limits.*field = limit + 1;
    const std::string bytes = begin() + body + ".";
    EXPECT_NO_THROW(io::run_pickle(std::as_bytes(std::span(bytes)), limits)) << what;
  };
  over(&io::Limits::pickle_memo, 2, "Nq\0"s + "q\1q\2", "memo entries; limit 2, found 3");
  over(&io::Limits::pickle_stack, 3, "(NNNt", "values on its stack");
  over(&io::Limits::pickle_stack, 2, "(((t0t0t", "marks");
  over(&io::Limits::pickle_values, 3, "](NNNNe", "values; limit 3, found 4");
  over(&io::Limits::pickle_objects, 2, ")0)0)", "objects; limit 2, found 3");
  over(&io::Limits::pickle_opcodes, 3, "N0N", "opcodes; limit 3, found 4");
  over(&io::Limits::pickle_depth, 2, "]]]aa", "levels of nesting; limit 2, found 3");
  over(&io::Limits::pickle_bytes, 3, "N", "the pickle is too large; limit 3, found 4");
}

TEST(Pickle, TakesKeysOfNoKindThatCanChange) {
  const std::string says = "a key that is neither text nor a number";
  for (const std::string& key :
       {std::string("]"), std::string("}"), global("collections", "OrderedDict") + ")R",
        global("builtins", "set") + ")R", global("torch", "Size"), storage(), tensor()}) {
    expect_pickle("}" + key + "Ns.", "SETITEM: " + says);
    expect_pickle("}(" + key + "Nu.", "SETITEMS: " + says);
  }
  const std::string bytes = begin() + "}(" + text("a") + "N" + integer(1) + "N" + real(0.5) + "N)NNN\x88Nu.";
  EXPECT_NO_THROW(io::run_pickle(std::as_bytes(std::span(bytes)), {}));
}

TEST(Pickle, RefusesWhatTakesMoreThanThereIs) {
  expect_pickle("N\x87.", "TUPLE3: the stack is empty");
  expect_pickle("N(N\x86.", "TUPLE2: the stack is empty");
  expect_pickle("\x85.", "TUPLE1: the stack is empty");
  expect_pickle("N(.", "STOP: the stack is empty");
  expect_pickle("(N.", "STOP: values are left on the stack");
  expect_pickle("NN.", "STOP: values are left on the stack");
  expect_pickle("NN\x93.", "STACK_GLOBAL: the name is no text");
  expect_pickle(text("torch") + "N\x93.", "STACK_GLOBAL: the name is no text");
  expect_pickle("N" + text("Size") + "\x93.", "STACK_GLOBAL: the name is no text");
}

TEST(Pickle, ReadsWholeNumbersOfAnyLength) {
  const auto number = [](const std::string& opcode) {
    const std::string bytes = begin() + opcode + ".";
    return io::run_pickle(std::as_bytes(std::span(bytes)), {}).root();
  };
  EXPECT_EQ(number("\x8a\0"s).number, 0);
  EXPECT_EQ(number("\x8a\1\xff").number, -1);
  EXPECT_EQ(number("\x8a\2\x00\x80"s).number, -32768);
  EXPECT_EQ(number("\x8a\2\xff\x00"s).number, 255);
  EXPECT_EQ(number("\x8a\x08" + std::string(7, '\0') + "\x80").number, INT64_MIN);
  EXPECT_EQ(number("\x8b\1\0\0\0\xfe"s).number, -2);
  EXPECT_EQ(number("\x8a\x09" + std::string(9, '\x7f')).kind, io::PickleKind::big_integer);
}

TEST(Pickle, NamesTheKindsOfTensorsThatItDoesNotRead) {
  const struct {
    const char *module, *name, *says;
  } rows[] = {{"torch.storage", "TypedStorage", "an untyped storage"},
              {"torch.storage", "_UntypedStorage", "an untyped storage"},
              {"torch._tensor", "_rebuild_from_type_v2", "a kind of tensor that is not read"},
              {"torch", "QInt8Storage", "a quantised tensor"},
              {"torch._utils", "_rebuild_qtensor", "a quantised tensor"},
              {"torch", "ComplexFloatStorage", "a complex tensor"},
              {"torch", "complex64", "a complex tensor"},
              {"torch", "float8_e4m3fn", "an element type that is not read"},
              {"torch._utils", "_rebuild_sparse_tensor", "a sparse tensor"},
              {"torch._tensor", "Tensor", "a class of the program that wrote the file"},
              {"torch", "Queue", "a class of the program that wrote the file"}};
  for (const auto& row : rows)
    expect_pickle(global(row.module, row.name) + ".", std::string(row.name) + ": " + row.says, ErrorCode::unsupported);
}

// Every character in every length, right and wrong, by the definition of UTF-8 (RFC 3629).
TEST(Utf8, AcceptsEachCharacterInOneSpellingAlone) {
  const auto spelled = [](uint32_t code, int bytes) {
    if (bytes == 1) return std::string(1, static_cast<char>(code));
    std::string out(static_cast<size_t>(bytes), '\0');
    for (int i = bytes - 1; i > 0; --i, code >>= 6) out[static_cast<size_t>(i)] = static_cast<char>(0x80 | (code & 63));
    out[0] = static_cast<char>((0xF00 >> bytes & 0xFF) | code);
    return out;
  };
  constexpr uint32_t kFirst[] = {0, 0, 0x80, 0x800, 0x10000}, kLast[] = {0, 0x7F, 0x7FF, 0xFFFF, 0x1FFFFF};
  for (int bytes = 1; bytes <= 4; ++bytes)
    for (uint32_t code = 0; code <= kLast[bytes]; code += code > 0x10000 && code % 0x1000 > 2 ? 61 : 1) {
      const std::string text = spelled(code, bytes);
      const bool right = code >= kFirst[bytes] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
      ASSERT_EQ(io::is_utf8(text), right) << std::hex << code << " in " << bytes;
      ASSERT_EQ(io::is_utf8("a" + text + "b"), right) << std::hex << code;
      for (size_t cut = 1; right && cut < text.size(); ++cut) {
        ASSERT_FALSE(io::is_utf8(text.substr(0, cut))) << std::hex << code;
        ASSERT_FALSE(io::is_utf8(text.substr(0, cut) + "a" + text.substr(cut + 1))) << std::hex << code;
      }
    }
  for (int first = 0x80; first < 0x100; ++first)
    if (first < 0xC2 || first > 0xF4) {
      EXPECT_FALSE(io::is_utf8(std::string(1, static_cast<char>(first)) + "\x80\x80\x80")) << first;
    }
}

TEST(Tar, TakesRegularFilesOfBothSpellings) {
  std::vector<TarFile> files = tar_files();
  for (TarFile& file : files) file.type = '\0';  // as before POSIX
  EXPECT_EQ(read(build_tar(files)).tensors.size(), 1u);
  files[1].type = '5';
  expect_error([&] { read(build_tar(files)); }, ErrorCode::unsupported, "a member of type 5, not a regular file");
}

// Whether another reader would see a tar: the sum of the header in each way that tars spell numbers.
TEST(Tar, FindsTheSumOfAHeaderInEverySpelling) {
  std::string header(512, '\0');
  header[0] = '\xe9';  // a byte that counts 233 or, in tars of signed characters, -23
  const auto with = [&](const std::string& field) {
    std::string out = header;
    return out.replace(148, 8, field + std::string(8 - field.size(), '\0'));
  };
  const unsigned sum = 233 + 8 * 32, signed_sum = sum - 256;
  char octal[8];
  std::snprintf(octal, sizeof octal, "%06o", sum);
  EXPECT_TRUE(io::has_tar_sum(with(octal)));
  std::snprintf(octal, sizeof octal, "%06o", signed_sum);
  EXPECT_TRUE(io::has_tar_sum(with(octal)));
  std::snprintf(octal, sizeof octal, "-%05o", signed_sum);
  EXPECT_FALSE(io::has_tar_sum(with(octal)));
  std::string binary(8, '\0');
  binary[0] = '\x80', binary[6] = static_cast<char>(sum >> 8), binary[7] = static_cast<char>(sum);
  EXPECT_TRUE(io::has_tar_sum(with(binary)));
  binary[7] = static_cast<char>(sum + 1);
  EXPECT_FALSE(io::has_tar_sum(with(binary)));
  EXPECT_FALSE(io::has_tar_sum(with("\xff" + std::string(7, '\xff'))));  // -1
  EXPECT_FALSE(io::has_tar_sum(std::string(511, '\0')));
}

// A checkpoint of `furrow train`: `parts` are prefixes of the one tensor, six floats each, that have a checksum.
std::string training_file(const std::vector<std::string>& parts, const std::string& broken = "",
                          const std::string& seal = R"("dtype":"U8","shape":[32])") {
  std::string entries = "\"seal\":{" + seal + ",\"data_offsets\":[0,32]}", data(32, 's'), sums;
  for (const std::string& part : parts) {
    const std::string name = part + ".w", begin = std::to_string(data.size()), values = six_floats();
    data += values;
    entries += ",\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[" + begin + "," +
               std::to_string(data.size()) + "]}";
    char sum[9];
    std::snprintf(sum, sizeof sum, "%08x", io::crc32c(std::as_bytes(std::span(values))) + (name == broken ? 1 : 0));
    if (name != broken + "w") sums += ",\"crc32c." + name + "\":\"" + sum + "\"";
  }
  return build_safetensors(R"({"__metadata__":{"epoch":"3","step":"70","rng":"x")" + sums + "}," + entries + "}", data);
}

TEST(TrainingCheckpoint, TheAverageComesBeforeTheModel) {
  const std::string file = training_file({"model", "average", "optimiser"});  // whose bytes the tensors are
  const io::Checkpoint both = read(file);
  EXPECT_EQ(both.nested_under, "average");
  ASSERT_EQ(both.tensors.size(), 1u);
  EXPECT_EQ(both.tensors[0].name, "w");
  EXPECT_EQ(both.tensors[0].to<double>(), (std::vector<double>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(both.metadata, (std::map<std::string, std::string>{{"epoch", "3"}, {"step", "70"}}));
  ASSERT_EQ(both.notes.size(), 1u);
  EXPECT_NE(both.notes[0].find("its average.* tensors are taken, 3 others left out"), std::string::npos);
  EXPECT_EQ(read(training_file({"optimiser", "model"})).nested_under, "model");
}

TEST(TrainingCheckpoint, ADamagedOrUnsignedTensorIsRefused) {
  const std::string differ = "(model.w): stored and computed checksum differ";
  expect_error([&] { read(training_file({"model"}, "model.w")); }, ErrorCode::checksum, differ);
  expect_error([&] { read(training_file({"model"}, "model.")); }, ErrorCode::checksum, differ);
  std::string flipped = training_file({"model"});
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  expect_error([&] { read(flipped); }, ErrorCode::checksum, differ);
  EXPECT_EQ(read(training_file({"model", "average"}, "model.w")).nested_under, "average");  // which is not damaged
}

TEST(TrainingCheckpoint, WithoutASealOrPartsItIsAnyOtherFile) {
  EXPECT_EQ(read(training_file({"optimiser"})).tensors.size(), 2u);
  for (const char* seal : {R"("dtype":"I8","shape":[32])", R"("dtype":"U8","shape":[4,8])"}) {
    const io::Checkpoint got = read(training_file({"model"}, "", seal));
    EXPECT_EQ(got.tensors.size(), 2u) << seal;
    EXPECT_EQ(got.nested_under, "") << seal;
  }
}

TEST(Safetensors, AHeaderThatIsATextIsRefusedAsOne) {
  expect_error([] { read(build_safetensors("\"x\"", "")); }, ErrorCode::malformed, "does not begin with {");
}

}  // namespace
}  // namespace furrow::testing
