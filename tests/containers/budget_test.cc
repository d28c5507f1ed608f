// Files made to take memory and time: whatever they repeat, reading or refusing one takes no more than four times its
// size and 64 MiB, and a second. All pickles of a file share its limits.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <random>
#include <set>

#include "io/checkpoint.h"
#include "io/non_finite.h"
#include "tests/containers/builders_legacy.h"
#include "tests/containers/contract.h"

namespace furrow::testing {
namespace {

using namespace pickle;

io::Checkpoint read(const std::string& bytes, const io::Limits& limits = {}) {
  return io::read_checkpoint(std::as_bytes(std::span(bytes)), nullptr, limits);
}

std::string repeat(const std::string& piece, size_t count) {
  std::string out;
  out.reserve(piece.size() * count);
  for (size_t i = 0; i < count; ++i) out += piece;
  return out;
}

// Texts of seven bytes, all different.
std::string number_text(size_t i) { return text(std::to_string(1'000'000 + i)); }

// What a pickle can hold many of. Each body pushes one value.
std::vector<std::pair<std::string, std::string>> bodies() {
  constexpr size_t kMany = 990'000;  // below the limits of objects and stack
  std::vector<std::pair<std::string, std::string>> out;
  const auto add = [&](const char* name, const std::string& body) { out.emplace_back(name, body); };
  add("empty tuples", "(" + repeat(")", kMany) + "t");
  add("small tuples", "(" + repeat("N\x85", kMany) + "t");
  add("dictionaries", "(" + repeat("}", kMany) + "t");
  add("lists of one", "(" + repeat("]Na", kMany) + "t");
  add("appended", "]" + repeat("Na", 1'900'000));
  // Each takes twice what it holds; the memo, of a byte for each entry, comes on top.
  add("lists that grow by one", "(" + repeat("](" + repeat("N", 100) + "eNa", 19'500) + "t" + repeat("\x94", kMany));
  add("lists in a list", "]" + repeat("]a", kMany));
  add("values dropped", repeat("N", kMany) + repeat("0", kMany - 1));
  add("marks", repeat("(", kMany) + repeat("t0", kMany - 1) + "t");
  add("texts", "(" + repeat(text("a"), kMany) + "t");
  add("pairs for a dictionary", global("collections", "OrderedDict") + "](" + repeat("NN\x86", 450'000) + "e\x85R");
  std::string memo = "N", sparse = "N", keys = "}(", counters = "}(";
  for (size_t i = 0; i < kMany; ++i) memo += "r" + little(i, 4);
  for (size_t i = 0; i < 65'000; ++i) sparse += "r" + little(3 * i + 10, 4);
  for (size_t i = 0; i < 450'000; ++i) keys += number_text(i) + "N";
  for (size_t i = 0; i < 1'000; ++i) counters += number_text(i) + "N";
  add("memo", memo);
  add("scattered memo", sparse);
  add("keys", keys + "u");
  // One dictionary of a thousand entries copied again and again.
  add("counters", counters + "uq\x01" + "(" +
                      repeat(global("collections", "Counter") + "h\x01\x85R", 900) + "t0");
  return out;
}

// The same body in pickles of each container: beside the weights, and where a number or a short list belongs.
std::vector<std::pair<std::string, std::string>> containers_of(const std::string& body) {
  const auto beside = [&](const std::string& weight) {
    return begin() + "}(" + text("junk") + body + text("w") + weight + "u.";
  };
  const std::string six = tensor(stream_storage(), integer(0), integers({6}), integers({1}));
  const std::string junk = begin() + body + "0";
  return {{"zip", build_pth(beside(tensor()))},
          {"stream",
           build_stream({.object = beside(six), .sys_info = junk + "}.", .keys = junk + list({text("0")}) + "."})},
          {"tar", build_tar(tar_files({.object = beside(text("1") + "Q")}))},
          {"tar, tensors", build_tar(tar_files({.tensors = junk + integer(1) + "." + tar_tensor(1, 2, {6}, {1})}))}};
}

TEST(Budget, WhateverAPickleRepeats) {
  int accepted = 0, refused = 0;
  for (const auto& [what, body] : bodies())
    for (const auto& [where, bytes] : containers_of(body)) {
      SCOPED_TRACE(what + " in " + where);
      (expect_within_budget(bytes) ? accepted : refused)++;
    }
  EXPECT_GE(accepted, 20);
  EXPECT_GE(refused, 20);
}

TEST(Budget, ADeflatedPickle) {
  std::string keys = "}(";
  for (size_t i = 0; i < 450'000; ++i) keys += number_text(i) + "N";
  std::vector<ZipFile> files = pth_files(begin() + "}(" + text("junk") + keys + "u" + text("w") + tensor() + "u.");
  files[0].stored = deflated(files[0].content), files[0].method = 8;
  EXPECT_TRUE(expect_within_budget(build_zip(files)));
}

// `count` storages of one element and a tensor of each, in a stream and in a tar.
std::pair<std::string, std::string> storages_and_tensors(size_t count) {
  std::string objects = begin() + "}(", keys = begin() + "](", zeros, tars, storages, state = begin() + "}(";
  for (size_t i = 0; i < count; ++i) {
    const std::string key = std::to_string(i);
    objects += text("t" + key) + tensor(stream_storage("N", key, 1), integer(0), integers({1}), integers({1}));
    keys += text(key);
    zeros += little(1, 8) + little(0, 4);
    const auto number = static_cast<int64_t>(i);
    tars += tar_tensor(2 * number, 2 * number + 1, {1}, {1});
    storages += tar_storage(2 * number + 1, 1, little(0, 4));
    state += text("t" + key) + text(std::to_string(2 * i)) + "Q";
  }
  const auto all = static_cast<int64_t>(count);
  return {build_stream({.object = objects + "u.", .keys = keys + "e.", .storages = {zeros}}),
          build_tar(tar_files({.object = state + "u.",
                               .tensors = pickled(all) + tars,
                               .storages = pickled(all) + storages + pickled_views({})}))};
}

// Storages and tensors take more than their bytes: names, claims, records. Those of a tar take the most.
TEST(Budget, ManyStoragesAndTensors) {
  const auto [stream, tar] = storages_and_tensors(40'000);
  EXPECT_TRUE(expect_within_budget(stream));
  EXPECT_TRUE(expect_within_budget(tar));
  EXPECT_FALSE(expect_within_budget(storages_and_tensors(60'000).second));
}

// `count` names for parts of one storage of `elements` floats that begin at `step` elements from each other.
std::string many_names(size_t count, size_t elements, size_t step, const std::string& data) {
  const auto all = static_cast<int64_t>(elements);
  std::string body = begin() + storage("FloatStorage", "0", all) + "q\x01" + "0}(";
  const std::string rebuild = global("torch._utils", "_rebuild_tensor_v2");
  const int64_t size = all - static_cast<int64_t>((count - 1) * step);
  for (size_t i = 0; i < count; ++i)
    body += number_text(i) + call(rebuild, {"h\x01", integer(static_cast<int64_t>(i * step)), integers({size}),
                                            integers({1}), "\x89", "}"});
  return build_pth(body + "u.", {data});
}

// Reading the values of 20,000 names of 16 MB each would take 20 seconds and more.
TEST(Budget, AStorageOfManyNamesIsReadOnce) {
  constexpr size_t kElements = 4'000'000, kNames = 20'000;
  std::string data(kElements * 4, '\0');
  for (const size_t step : {0, 1, 100}) EXPECT_TRUE(expect_within_budget(many_names(kNames, kElements, step, data)));
  data[data.size() - 1] = '\x7f', data[data.size() - 2] = '\x80';  // the last element is infinite
  const std::string last = many_names(kNames, kElements, 100, data);
  EXPECT_TRUE(expect_within_budget(last));
  EXPECT_EQ(read(last).notes, std::vector<std::string>{"non-finite values in 1019999"});
}

// 100,000 names of one tensor: the most that `limits.tensors` allows.
TEST(Budget, ATensorOfManyNames) {
  std::string body = begin() + tensor() + "q\x01" + "0}(";
  for (size_t i = 0; i < 100'000; ++i) body += number_text(i) + "h\x01";
  EXPECT_TRUE(expect_within_budget(build_pth(body + "u.")));
}

// The header is JSON of at most 16 MiB, whose keys take many times their bytes.
TEST(Budget, HeadersOfSafetensors) {
  const auto metadata = [](size_t count) {
    std::string json = R"({"__metadata__":{)";
    for (size_t i = 0; i < count; ++i) json += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":"")";
    return json + R"(},"w":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}})";
  };
  EXPECT_TRUE(expect_within_budget(build_safetensors(metadata(10'000), six_floats())));
  for (const size_t count : {10'001, 300'000, 1'200'000})
    for (const std::string& data : {six_floats(), std::string()})
      EXPECT_FALSE(expect_within_budget(build_safetensors(metadata(count), data)));
  for (const size_t count : {100'000, 100'001, 300'000}) {
    std::string json = "{";
    for (size_t i = 0; i < count; ++i)
      json += (i > 0 ? ",\"" : "\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    EXPECT_EQ(expect_within_budget(build_safetensors(json + "}", "")), count <= 100'000);
  }
}

// One token of a header as long as the header may be, right and wrong: the parser copies a wrong one many times.
TEST(Budget, LongTokensOfAHeader) {
  const std::string n(16'000'000, 'n'), digits(16'000'000, '1'), half(8 << 20, 'h');
  const std::string escapes = repeat("\\u0000", 2'600'000), shape = R"({"a":{"dtype":"F32","shape":[)";
  const std::string metadata = R"({"__metadata__":{"a":")", two = metadata + half + R"(","b":")" + half.substr(9'000);
  struct Row {
    std::string json;
    const char* says;
    ErrorCode code = ErrorCode::malformed;
  };
  const char *no_json = "the header is not valid JSON", *number = "a number too long; limit 1000, found 160000",
             *name = "a name too long; limit 393216, found 16000000", *text = "a text too long; limit 393216, found 16";
  const std::vector<Row> rows = {{"{\"" + n, no_json},
                                 {"{\"" + n + "\xff\":{}}", no_json},
                                 {"{\"" + n + "\\x\":{}}", no_json},
                                 {"{\"" + n + "\x01\":{}}", no_json},
                                 {"{\"" + n + "\\ud800\":{}}", no_json},
                                 {"{\"" + escapes, no_json},
                                 {"{\"a\"\"" + n + "\":{}}", no_json},
                                 {"{\"a\":{}\"" + n + "\":{}}", no_json},
                                 {metadata + n + "\xff\"}}", no_json},
                                 {shape + digits + "]}}", number, ErrorCode::limit},
                                 {shape + "-" + digits + "]}}", number, ErrorCode::limit},
                                 {shape + "1." + digits + "]}}", number, ErrorCode::limit},
                                 {shape + "1e" + digits + "]}}", number, ErrorCode::limit},
                                 {"{\"" + n + "\":{}}", name, ErrorCode::limit},
                                 {R"({"a":{")" + n + "\":0}}", name, ErrorCode::limit},
                                 {R"({"__metadata__":{")" + n + "\":\"\"}}", name, ErrorCode::limit},
                                 {shape + "\"" + n + "\"]}}", name, ErrorCode::limit},
                                 {R"({"a":{"dtype":")" + n + "\"}}", text, ErrorCode::limit},
                                 {metadata + n + "\"}}", "a text too long; limit 8388608", ErrorCode::limit},
                                 {two + "\"},\"b\":1}", "the header has the number 1"},
                                 {two + "\"}\"b\":1}", no_json}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.json.substr(0, 40));
    const Case test{.bytes = build_safetensors(row.json, ""), .code = row.code, .says = row.says};
    malloc_trim(0);
    expect_refused(test, [&] { read(test.bytes); });
  }
  const std::string end = R"("},"w":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}})";
  EXPECT_TRUE(expect_within_budget(build_safetensors(two + end, six_floats())));
}

// Against the plain rule, tensor by tensor, over overlapping parts of all kinds.
TEST(NonFinite, OverlappingTensorsGetTheAnswerOfEachAlone) {
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(64 + below(20'000), '\x11');
    for (size_t i = below(4); i > 0; --i) {
      const size_t at = below(bytes.size() - 8);
      for (size_t k = 0; k < 8; ++k) bytes[at + k] = '\xff';  // not a number in every type, at most places
    }
    NamedTensors tensors;
    const DType types[] = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i32};
    for (size_t i = 1 + below(12); i > 0; --i) {
      NamedTensor tensor{.name = std::to_string(i), .dtype = types[below(round % 2 == 0 ? 1 : 5)]};
      const size_t width = size_of(tensor.dtype), begin = below(bytes.size() / 2);
      const size_t count = below((bytes.size() - begin) / width + 1);
      tensor.bytes = std::as_bytes(std::span(bytes)).subspan(begin, count * width);
      tensors.push_back(tensor);
    }
    std::string names;
    size_t count = 0;
    for (const NamedTensor& tensor : tensors)
      if (io::has_non_finite(tensor) && ++count <= 5) names += (names.empty() ? "" : ", ") + tensor.name;
    if (count > 5) names += " and " + std::to_string(count - 5) + " more";
    std::vector<std::string> notes;
    io::note_non_finite(tensors, notes);
    EXPECT_EQ(notes, count == 0 ? std::vector<std::string>{} : std::vector{"non-finite values in " + names});
  }
}

// Each of several pickles is below a limit; together they are over it.
TEST(Budget, PicklesOfAFileShareTheLimits) {
  const auto stream = [](const std::string& body) {
    const std::string junk = begin() + body + "0";
    return build_stream({.object = begin() + ordered({{"w", stream_tensor({6}, {1})}}) + ".",
                         .sys_info = junk + "}.",
                         .keys = junk + list({text("0")}) + "."});
  };
  const auto tar = [](const std::string& body) {
    return build_tar(tar_files({.sys_info = begin() + body + "0}.",
                                .storages = begin() + body + "0" + integer(1) + "." + tar_storage(2, 6, six_floats()) +
                                            pickled_views({})}));
  };
  const std::string tuples = "(" + repeat(")", 100) + "t";
  struct Row {
    uint64_t io::Limits::*field;
    uint64_t once, twice;  // limits that one, that both pickles reach
    const char* says;
  };
  for (const Row& row : {Row{&io::Limits::pickle_objects, 190, 300, "too many objects"},
                         Row{&io::Limits::pickle_values, 190, 300, "too many values"},
                         Row{&io::Limits::pickle_opcodes, 200, 600, "too many opcodes"}}) {
    io::Limits limits;
    limits.*row.field = row.twice;
    EXPECT_EQ(read(stream(tuples), limits).tensors.size(), 1u);
    EXPECT_EQ(read(tar(tuples), limits).tensors.size(), 1u);
    limits.*row.field = row.once;
    EXPECT_EQ(read(stream(")"), limits).tensors.size(), 1u);
    expect_limit(stream(tuples), limits, std::string("(key list): the pickle has ") + row.says);
    expect_limit(tar(tuples), limits, std::string("(storages): the pickle has ") + row.says);
  }
}

// Whichever part of a file is the one too many.
TEST(Budget, EveryRefusalHasAPlace) {
  constexpr int64_t kMany = 30;
  std::string objects = begin() + "}(", zipped = objects, keys = begin() + "](", zeros, tars, storages, state = objects;
  std::vector<std::string> records;
  for (int64_t i = 0; i < kMany; ++i) {
    const std::string key = std::to_string(i), name = text("t" + key);
    objects += name + tensor(stream_storage("N", key, 1), integer(0), integers({1}), integers({1}));
    zipped += name + tensor(storage("FloatStorage", key, 1), integer(0), integers({1}), integers({1}));
    keys += text(key);
    zeros += little(1, 8) + little(0, 4);
    records.push_back(little(0, 4));
    tars += tar_tensor(2 * i, 2 * i + 1, {1}, {1});
    storages += tar_storage(2 * i + 1, 1, little(0, 4));
    state += name + text(std::to_string(2 * i)) + "Q";
  }
  for (const std::string& bytes :
       {build_pth(zipped + "u.", records),
        build_stream({.object = objects + "u.", .keys = keys + "e.", .storages = {zeros}}),
        build_tar(tar_files({.object = state + "u.",
                             .tensors = pickled(kMany) + tars,
                             .storages = pickled(kMany) + storages + pickled_views({})}))}) {
    io::Limits limits;
    limits.expand_factor = 0, limits.expand_slack = 0;
    std::set<std::string> entries;
    for (bool accepted = false; !accepted; limits.expand_slack += 200) {
      ASSERT_LT(limits.expand_slack, 200'000u);
      try {
        accepted = read(bytes, limits).tensors.size() == kMany;
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::limit && error.byte() && !error.entry().empty()) << error.line();
        entries.insert(error.entry());
      }
    }
    EXPECT_GE(entries.size(), 2u);
  }
}

// What a pickle took is given back with it: a tar may have any number of small ones.
TEST(Budget, PicklesThatAreGoneTakeNothing) {
  io::Limits limits;
  limits.expand_factor = 0, limits.expand_slack = 70'000;
  const std::string tuples = "(" + repeat(")", 500) + "t";  // some 50,000 bytes, with the stack
  std::string tensors = pickled(20);
  for (int64_t i = 0; i < 20; ++i) {
    std::string one = tar_tensor(i == 0 ? 1 : 10 + i, 2, {6}, {1});
    tensors += begin() + tuples + "0" + one.substr(2);
  }
  EXPECT_EQ(read(build_tar(tar_files({.tensors = tensors})), limits).tensors.size(), 1u);
  limits.expand_slack = 30'000;
  expect_limit(build_tar(tar_files({.tensors = tensors})), limits, "(tensors): the pickle would fill");
}

}  // namespace
}  // namespace furrow::testing
