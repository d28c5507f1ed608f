#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

using namespace pickle;

std::string id(const std::vector<std::string>& parts) {
  return pth_of(tensor(tuple(parts) + "Q", integer(0), integers({6}), integers({1})));
}

std::string with_key(const std::string& key) {
  return pth_of(tensor(storage("FloatStorage", key), integer(0), integers({6}), integers({1})));
}

void add_claims(std::vector<Case>& out) {
  const auto bad = [&](int number, const char* label, const std::string& bytes, const std::string& says) {
    out.push_back({number, label, bytes, ErrorCode::malformed, says});
  };
  const auto claims = [](int64_t elements) {
    return tensor(storage("FloatStorage", "0", elements), integer(0), integers({6}), integers({1}));
  };
  bad(59, "ClaimsMore", pth_of(claims(600)),
      "tensor w: claims 600 elements of 4 bytes; its record archive/data/0 has 24 bytes");
  bad(60, "ClaimsFewer", pth_of(claims(5)), "tensor w: claims 5");
  bad(61, "SizeBeyond", pth_of(tensor({7}, {1})), "tensor w: shape 7 at offset 0 reaches element 6 of a storage of 6");
  bad(62, "StrideBeyond", pth_of(tensor({2, 3}, {4, 1})), "reaches element 6");
  bad(63, "OffsetBeyond", pth_of(tensor({6}, {1}, 1)), "at offset 1 reaches element 6");
  bad(63, "EmptyBeyond", pth_of(tensor({0}, {1}, 7)), "at offset 7");
  bad(64, "OddRecord", pth_of(tensor(), {six_floats() + "x"}), "has 25 bytes");
  bad(65, "NegativeStride", pth_of(tensor({2, 3}, {-3, 1}, 3)), "negative stride -3");
  bad(66, "NegativeOffset", pth_of(tensor({2}, {1}, -1)), "negative offset -1");
  bad(67, "NegativeSize", pth_of(tensor({-2, 3}, {3, 1})), "negative size -2");
  bad(68, "NegativePair", pth_of(tensor({-2, -3}, {3, 1})), "negative size -2");
  constexpr int64_t k33 = int64_t{1} << 33, k32 = int64_t{1} << 32, k62 = int64_t{1} << 62;
  bad(69, "TwoTo33Squared", pth_of(tensor({k33, k33}, {0, 0})), "overflows 64 bits");
  bad(70, "ProductWrapsToZero", pth_of(tensor({k32, k32}, {0, 0})), "overflows 64 bits");
  bad(70, "ProductBesideZero", pth_of(tensor({0, k33, k33}, {0, 0, 0})), "overflows 64 bits");
  bad(71, "StrideOverflow", pth_of(tensor({5}, {k62})), "overflows 64 bits");
  bad(72, "OffsetMax", pth_of(tensor({2}, {1}, INT64_MAX)), "reaches element 9223372036854775808");
  bad(72, "Offset2To80",
      pth_of(tensor(storage(), "\x8a\x0b" + std::string(10, '\0') + "\x01", integers({2}), integers({1}))),
      "the offset is no whole number");
  out.push_back({73, "ExpandBomb", pth_of(tensor({int64_t{1} << 40}, {0})), ErrorCode::limit,
                 "tensor w: the tensors would fill"});
  out.push_back({74, "Rank10000", pth_of(tensor(std::vector<int64_t>(10'000, 1), std::vector<int64_t>(10'000, 1))),
                 ErrorCode::limit, "10000 axes"});
  bad(75, "LengthsDiffer", pth_of(tensor({2, 3}, {1})), "2 sizes and 1 strides");
  const auto sized = [](const std::string& size) {
    return pth_of(tensor(storage(), integer(0), tuple({size}), integers({1})));
  };
  bad(76, "SizeAsText", sized(text("6")), "no tuple of whole numbers");
  bad(77, "SizeAsFloat", sized(real(6)), "no tuple of whole numbers");
  bad(78, "SizeAsNone", sized("N"), "no tuple of whole numbers");
  bad(78, "SizeAsBool", sized("\x88"), "no tuple of whole numbers");
}

void add_storages(std::vector<Case>& out) {
  const auto bad = [&](int number, const char* label, const std::string& bytes, const std::string& says) {
    out.push_back({number, label, bytes, ErrorCode::malformed, says});
  };
  const std::string tag = text("storage"), type = global("torch", "FloatStorage"), key = text("0"), cpu = text("cpu");
  bad(79, "NegativeNumel", id({tag, type, key, cpu, integer(-4)}), "is no size");
  bad(80, "Numel2To62", id({tag, type, key, cpu, integer(int64_t{1} << 62)}), "overflows 64 bits");
  bad(80, "Numel2To61", id({tag, type, key, cpu, integer((int64_t{1} << 61) + 6)}), "claims 2305843009213693958");
  bad(81, "NumelAsText", id({tag, type, key, cpu, text("6")}), "is no size");
  bad(82, "UnknownStorageClass", id({tag, global("torch", "FooStorage"), key, cpu, integer(6)}),
      "unknown storage class");
  out.push_back({82, "DeviceMeta", pth_of(tensor(storage("FloatStorage", "0", 6, "meta"), integer(0), integers({6}),
                                                 integers({1}))),
                 ErrorCode::unsupported, "BINPERSID: storage 0 was on device meta, which has no data"});
  out.push_back({82, "MetaTensor", pth_of(call(global("torch._utils", "_rebuild_meta_tensor_no_storage"),
                                               {global("torch", "float32"), integers({6}), integers({1}), "\x89"})),
                 ErrorCode::unsupported, "a tensor on device meta, which has no data"});
  bad(82, "NoStorageClass", id({tag, global("torch", "device"), key, cpu, integer(6)}), "without a storage class");
  const std::string untyped = tuple({tag, global("torch.storage", "UntypedStorage"), key, cpu, integer(24)}) + "Q";
  const auto third = [](const std::vector<std::string>& storage_and_type) {
    return pth_of(call(global("torch._utils", "_rebuild_tensor_v3"),
                       {storage_and_type[0], integer(0), integers({2}), integers({1}), "\x89",
                        global("collections", "OrderedDict") + ")R", storage_and_type[1]}));
  };
  bad(82, "UntypedByV2", pth_of(tensor(untyped, integer(0), integers({6}), integers({1}))), "the storage has no type");
  bad(82, "TypedByV3", third({storage(), global("torch", "uint16")}), "the storage has a type of its own");
  bad(82, "TypeIsText", third({untyped, text("uint16")}), "the element type is none");
  bad(82, "TypeApplied", pth_of(call(global("torch", "float32"), {})), "applied to a value");
  bad(82, "FirstRebuildOfFive",
      pth_of(call(global("torch._utils", "_rebuild_tensor"),
                  {storage(), integer(0), integers({2}), integers({1}), "\x89"})),
      "_rebuild_tensor with 5 arguments");
  bad(83, "OtherTag", id({text("module"), type, key, cpu, integer(6)}), "no storage");
  bad(84, "OtherArity", id({tag, type, key, cpu}), "4 parts");
  bad(85, "NoTuple", pth_of(tensor(text("0") + "Q", integer(0), integers({6}), integers({1}))), "no tuple");
  bad(85, "KeyAsNumber", id({tag, type, integer(0), cpu, integer(6)}), "no text");
  bad(86, "KeyUpwards", with_key("../0"), "no plain name");
  bad(86, "KeyDots", with_key(".."), "no plain name");
  bad(86, "KeyEmpty", with_key(""), "no plain name");
  bad(86, "KeyAbsolute", with_key("/etc/passwd"), "no plain name");
  bad(86, "RecordMissing", with_key("17"), "its record archive/data/17 is missing");
  const auto two = [](const std::string& second) {
    return build_pth(begin() +
                     ordered({{"a", tensor()}, {"b", tensor(second, integer(0), integers({1}), integers({1}))}}) + ".");
  };
  bad(87, "TwoTypes", two(storage("IntStorage")), "claimed as 6 x F32 and as 6 x I32");
  bad(87, "TypedAndUntyped",
      pth_of(tuple({tensor(storage("ByteStorage", "0", 24), integer(0), integers({6}), integers({1})), untyped})),
      "claimed as 24 x U8 and as 24 x byte");
  bad(88, "TwoSizes", two(storage("FloatStorage", "0", 5)), "claimed as 6 x F32 and as 5 x F32");
  bad(89, "SecondPickle",
      build_pth(begin() + ordered({{"w", tensor()}}) + "." + begin() + global("os", "system") + "."),
      "bytes follow the end");
  bad(90, "HostileUnusedValue",
      build_pth(begin() +
                dict({{"model", ordered({{"w", tensor()}})}, {"z", call(global("os", "system"), {text("x")})}}) + "."),
      "GLOBAL os.system");
}

}  // namespace

std::vector<Case> tensor_cases() {
  std::vector<Case> out;
  add_claims(out);
  add_storages(out);
  return out;
}

}  // namespace furrow::testing
