// Which entries of a dictionary become tensors and which become metadata, and how much of them is looked at.
#include <gtest/gtest.h>

#include "io/checkpoint.h"
#include "tests/containers/builders.h"

namespace furrow::testing {
namespace {

using namespace pickle;

io::Checkpoint read(const std::string& value, const io::Limits& limits = {}) {
  const std::string bytes = build_pth(begin() + value + ".");
  return io::read_checkpoint(std::as_bytes(std::span(bytes)), nullptr, limits);
}

std::string refusal(const std::string& value, const io::Limits& limits = {}) {
  try {
    read(value, limits);
  } catch (const Error& error) { return error.line(); }
  return "accepted";
}

// A dictionary of one tensor and, before it, `entries` as key, value, key, value ...
std::string beside(const std::string& entries) { return "}(" + entries + text("w") + tensor() + "u"; }

std::string numpy(const std::string& code, const std::string& order, const std::string& data) {
  const std::string state = order.empty() ? "" : tuple({integer(3), text(order)}) + "b";
  return call(global("numpy.core.multiarray", "scalar"),
              {call(global("numpy", "dtype"), {text(code)}) + state, "C" + little(data.size(), 1) + data});
}

std::string latin(const std::string& utf8) {
  return call(global("numpy.core.multiarray", "scalar"),
              {call(global("numpy", "dtype"), {text("f4")}) + tuple({integer(3), text("<")}) + "b",
               call(global("_codecs", "encode"), {text(utf8), text("latin-1")})});
}

TEST(Select, PlainValuesBecomeMetadata) {
  const auto value_of = [](const std::string& value) -> std::string {
    const auto metadata = read(beside(text("k") + value)).metadata;
    const auto it = metadata.find("k");
    return it == metadata.end() ? "none" : it->second;
  };
  EXPECT_EQ(value_of("\x88"), "true");
  EXPECT_EQ(value_of("\x89"), "false");
  EXPECT_EQ(value_of(real(0.1)), "0.1");
  EXPECT_EQ(value_of(numpy("f8", "<", little(0x3FD0000000000000, 8))), "0.25");
  EXPECT_EQ(value_of(numpy("f4", "<", little(0x3E800000, 4))), "0.25");
  EXPECT_EQ(value_of(numpy("i8", "<", little(~uint64_t{0}, 8))), "-1");
  EXPECT_EQ(value_of(numpy("i4", "<", little(7, 4))), "7");
  EXPECT_EQ(value_of(numpy("i2", "<", little(7, 2))), "none");
  EXPECT_EQ(value_of(numpy("f8", "<", little(7, 4))), "none");
  EXPECT_EQ(value_of(numpy("f4", "<", little(7, 8))), "none");
  EXPECT_EQ(value_of(numpy("i8", "<", little(7, 4))), "none");
  EXPECT_EQ(value_of(numpy("i4", "<", little(7, 8))), "none");
  EXPECT_EQ(value_of(numpy("f4", ">", little(7, 4))), "none");
  EXPECT_EQ(value_of(numpy("f4", "", little(7, 4))), "none");
  EXPECT_EQ(value_of(latin(std::string("\0\0\xc2\x80>", 5))), "0.25");
  EXPECT_EQ(value_of(latin("\xe2\x82\xac")), "none");
  EXPECT_EQ(value_of(text(std::string(1024, 'x'))), std::string(1024, 'x'));
  EXPECT_EQ(value_of(text(std::string(1025, 'x'))), "none");
  EXPECT_EQ(value_of("N"), "none");
}

TEST(Select, MetadataHasAnEnd) {
  std::string many, long_key = text(std::string(1025, 'k')) + integer(1);
  for (int i = 0; i < 100; ++i) many += text("k" + std::to_string(i)) + integer(i);
  const io::Checkpoint got = read(beside(integer(1) + integer(2) + long_key + many));
  EXPECT_EQ(got.metadata.size(), 64u);
  EXPECT_EQ(got.metadata.at("k63"), "63");
  // Dropped entries are named in notes, the first 20.
  EXPECT_EQ(got.notes.size(), 20u);
  EXPECT_EQ(got.notes.at(0), "dropped entry that is no tensor: 1");
  // Dictionaries under no plain name are not looked into.
  const std::string inner = dict({{"a", integer(1)}});
  EXPECT_TRUE(read(beside(integer(1) + inner + text(std::string(1025, 'k')) + inner)).metadata.empty());
  EXPECT_EQ(read(beside(text("m") + inner)).metadata, (std::map<std::string, std::string>{{"m.a", "1"}}));
}

// One dictionary under many keys is looked at 10,000 times at most.
TEST(Select, SharedDictionariesCostLittle) {
  std::string entries = text("k") + "}(" + integer(0) + "N" + integer(1) + "N" + "uq\x01", more;
  for (int i = 0; i < 6000; ++i) more += text("d" + std::to_string(i)) + "h\x01";
  EXPECT_TRUE(read(beside(entries + more)).metadata.empty());
  entries = text("k") + "}(";
  for (int i = 0; i < 10'050; ++i) entries += integer(i) + "N";
  EXPECT_TRUE(read(beside(entries + "u" + text("last") + integer(1))).metadata.empty());
}

TEST(Select, PrefixesComeOffFourTimes) {
  const io::Checkpoint got =
      read(ordered({{"module.module.module.module.module.module.module.module.module.w", tensor()}}));
  EXPECT_TRUE(got.stripped_prefix.starts_with("module.module.module.module."));
  EXPECT_TRUE(got.tensors.at(0).name.ends_with(".w"));
}

TEST(Select, WhatIsNoDictionaryOfTensors) {
  EXPECT_NE(refusal(tuple({integer(1)})).find("holds a list"), std::string::npos);
  EXPECT_NE(refusal(real(1)).find("holds a number"), std::string::npos);
  EXPECT_NE(refusal("N").find("holds a plain value"), std::string::npos);
  EXPECT_NE(refusal(dict({{"model_state_dict", "N"}, {"state_dict", dict({{"a", "N"}})}})).find("no named tensors"),
            std::string::npos);
  std::string many;
  for (int i = 0; i < 150; ++i) many += text("key number " + std::to_string(i)) + "N";
  const std::string line = refusal("}(" + many + "u");
  EXPECT_NE(line.find("key number 0, key number 1"), std::string::npos) << line;
  EXPECT_LE(line.size(), 500u);
  io::Limits limits;
  limits.pickle_bytes = 10;
  EXPECT_NE(refusal(ordered({{"w", tensor()}}), limits).find("the pickle is too large; limit 10"), std::string::npos);
}

}  // namespace
}  // namespace furrow::testing
