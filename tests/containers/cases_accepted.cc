#include <cmath>
#include <limits>

#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

using namespace pickle;

const std::vector<double> kSix = {0, 1, 2, 3, 4, 5};
const ExpectedTensor kW{"w", {2, 3}, kSix};

std::string build(const std::string& value, const std::vector<std::string>& records = {six_floats()}) {
  return build_pth(begin() + value + ".", records);
}

class Table {
 public:
  void accept(int number, const char* label, const std::string& bytes,
              const std::vector<ExpectedTensor>& tensors = {kW}, const std::string& note = "") {
    cases.push_back(
        {.number = number, .name = label, .bytes = bytes, .says = note, .accepted = true, .tensors = tensors});
  }
  // {"w": a tensor of `type` whose record holds `record`}
  void typed(int number, const char* label, const std::string& type, const std::string& record,
             const std::vector<double>& values, const std::string& note = "") {
    const auto count = static_cast<int64_t>(values.size());
    accept(number, label,
           pth_of(tensor(storage(type, "0", count), integer(0), integers({count}), integers({1})), {record}),
           {{"w", {count}, values}}, note);
  }
  template <class Change>
  void zipped(int number, const char* label, Change&& change, const std::string& note = "") {
    auto files = pth_files(begin() + ordered({{"w", tensor()}}) + ".");
    ZipShape shape;
    change(files, shape);
    accept(number, label, build_zip(files, shape), {kW}, note);
  }
  std::vector<Case> cases;
};

void add_wrappers(Table& t) {
  const std::string weights = ordered({{"w", tensor()}});
  t.accept(151, "Plain", build(weights));
  t.accept(151, "PlainDict", build(dict({{"w", tensor()}})));
  t.accept(153, "ModulePrefix", build(ordered({{"module.w", tensor()}, {"module.b", tensor({2}, {1})}})),
           {kW, {"b", {2}, {0, 1}}});
  t.accept(153, "CompiledModulePrefix", build(ordered({{"_orig_mod.module.w", tensor()}})));
  t.accept(153, "NotEveryPrefix", build(ordered({{"module.w", tensor()}, {"b", tensor({2}, {1})}})),
           {{"module.w", {2, 3}, kSix}, {"b", {2}, {0, 1}}});
  t.accept(153, "NothingButPrefix", build(ordered({{"module.", tensor()}})), {{"module.", {2, 3}, kSix}});
  t.accept(154, "ModelStateDict", build(dict({{"epoch", integer(12)}, {"model_state_dict", weights}})));
  t.accept(154, "StateDict", build(dict({{"state_dict", weights}})));
  t.accept(154, "Model", build(dict({{"model", weights}})));
  t.accept(154, "Both", build(dict({{"state_dict", ordered({{"other", tensor()}})}, {"model_state_dict", weights}})),
           {kW}, "weights under state_dict as well");
  t.accept(154, "WrapperWithoutTensors", build(dict({{"model", dict({{"name", text("unet")}})}, {"w", tensor()}})),
           {kW}, "dropped");
  t.accept(155, "Parameters",
           build(ordered({{"w", call(global("torch._utils", "_rebuild_parameter"),
                                     {tensor(), "\x88", global("collections", "OrderedDict") + ")R"})}})));
  t.accept(155, "ParameterClass",
           build(ordered({{"w", global("torch.nn.parameter", "Parameter") + tuple({tensor(), "\x88"}) + "\x81"}})));
  t.accept(156, "MaskValues", build(ordered({{"w", tensor()}, {"mask_values", list({integer(0), integer(1)})}})), {kW},
           "mask_values");
  std::string many;
  for (int i = 0; i < 700; ++i) many += text("t" + std::to_string(i)) + tensor();
  std::vector<ExpectedTensor> expected;
  for (int i = 0; i < 700; ++i) expected.push_back({"t" + std::to_string(i), {2, 3}, kSix});
  t.accept(172, "Tensors700", build("}(" + many + "u"), expected);
  t.accept(173, "LongName", build(ordered({{std::string(5000, 'n'), tensor()}})),
           {{std::string(5000, 'n'), {2, 3}, kSix}});
  t.accept(174, "Metadata",
           build(weights + dict({{"_metadata", ordered({{"", dict({{"version", integer(1)}})}})}}) + "b"));
  t.accept(178, "UnicodeNames", build(ordered({{"\xe3\x81\x97\xe3\x82\x8f.w", tensor()}})),
           {{"\xe3\x81\x97\xe3\x82\x8f.w", {2, 3}, kSix}});
}

void add_types(Table& t) {
  constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
  t.typed(157, "Half", "HalfStorage", little(0x3C00, 2) + little(0xC000, 2) + little(0x3555, 2),
          {1, -2, 0.333251953125});
  t.typed(157, "BFloat16", "BFloat16Storage", little(0x3F80, 2) + little(0xC000, 2), {1, -2});
  t.typed(157, "Double", "DoubleStorage", little(0x3FF0000000000000, 8) + little(0xC004000000000000, 8), {1, -2.5});
  t.typed(158, "Long", "LongStorage", little(7, 8) + little(~uint64_t{0}, 8), {7, -1});
  t.typed(159, "Int", "IntStorage", little(7, 4) + little(~uint64_t{0}, 4), {7, -1});
  t.typed(159, "Short", "ShortStorage", little(7, 2) + little(~uint64_t{0}, 2), {7, -1});
  t.typed(159, "Char", "CharStorage", "\x07\xff", {7, -1});
  t.typed(159, "Byte", "ByteStorage", "\x07\xff", {7, 255});
  t.typed(159, "Bool", "BoolStorage", std::string("\0\1", 2), {0, 1});
  // As PyTorch reads it: a byte that is not 0 is true.
  t.typed(159, "BoolOfAnyByte", "BoolStorage", std::string("\0\1\2\x80\xff", 5), {0, 1, 1, 1, 1});
  // Types without a storage class of their own, as PyTorch 2 saves them.
  t.accept(159, "UInt16",
           pth_of(call(global("torch._utils", "_rebuild_tensor_v3"),
                       {tuple({text("storage"), global("torch.storage", "UntypedStorage"), text("0"), text("cpu"),
                               integer(6)}) +
                            "Q",
                        integer(1), integers({2}), integers({1}), "\x89", global("collections", "OrderedDict") + ")R",
                        global("torch", "uint16")}),
                  {little(0xFFFF00020001, 6)}),
           {{"w", {2}, {2, 65535}}});
  t.typed(165, "NotANumber", "FloatStorage", little(0x7FC00000, 4) + little(0x7F800000, 4), {kNan, kInf},
          "non-finite values in w");
  t.typed(165, "HalfInfinity", "HalfStorage", little(0xFC00, 2), {-kInf}, "non-finite values in w");
  t.typed(165, "BFloatInfinity", "BFloat16Storage", little(0xFF80, 2), {-kInf}, "non-finite values in w");
  t.typed(165, "DoubleInfinity", "DoubleStorage", little(0x7FF0000000000000, 8), {kInf}, "non-finite values in w");
}

void add_views(Table& t) {
  const auto view = [&](int number, const char* label, const std::vector<int64_t>& size,
                        const std::vector<int64_t>& stride, int64_t offset, const std::vector<double>& values) {
    t.accept(number, label, pth_of(tensor(size, stride, offset)), {{"w", size, values}});
  };
  t.accept(160, "SharedStorage",
           build(ordered({{"a", tensor({2}, {1}, 1)}, {"b", tensor({3}, {1}, 3)}, {"c", tensor({2}, {1}, 1)}})),
           {{"a", {2}, {1, 2}}, {"b", {3}, {3, 4, 5}}, {"c", {2}, {1, 2}}});
  view(162, "Transposed", {3, 2}, {1, 3}, 0, {0, 3, 1, 4, 2, 5});
  view(162, "Strided", {3}, {2}, 1, {1, 3, 5});
  view(162, "Expanded", {2, 2, 2}, {0, 0, 1}, 2, {2, 3, 2, 3, 2, 3, 2, 3});
  view(162, "ChannelsLast", {1, 2, 1, 3}, {6, 1, 6, 2}, 0, {0, 2, 4, 1, 3, 5});
  view(162, "UnitAxisStride", {2, 1, 3}, {3, 77, 1}, 0, kSix);
  view(163, "Scalar", {}, {}, 4, {4});
  view(164, "ZeroElements", {0, 3}, {3, 1}, 0, {});
  view(164, "ZeroInTheMiddle", {2, 0}, {0, 1}, 6, {});
  t.accept(164, "EmptyRecord",
           pth_of(tensor(storage("FloatStorage", "0", 0), integer(0), integers({0}), integers({1})), {""}),
           {{"w", {0}, {}}});
  t.accept(162, "TransposedBytes",
           pth_of(tensor(storage("ByteStorage"), integer(0), integers({3, 2}), integers({1, 3})),
                  {std::string("\0\1\2\3\4\5", 6)}),
           {{"w", {3, 2}, {0, 3, 1, 4, 2, 5}}});
  std::string shorts, longs;
  for (uint64_t i = 0; i < 6; ++i) shorts += little(i, 2), longs += little(i, 8);
  t.accept(162, "TransposedShorts",
           pth_of(tensor(storage("ShortStorage"), integer(0), integers({3, 2}), integers({1, 3})), {shorts}),
           {{"w", {3, 2}, {0, 3, 1, 4, 2, 5}}});
  t.accept(162, "TransposedLongs",
           pth_of(tensor(storage("LongStorage"), integer(0), integers({3, 2}), integers({1, 3})), {longs}),
           {{"w", {3, 2}, {0, 3, 1, 4, 2, 5}}});
}

void add_containers(Table& t) {
  t.zipped(166, "OtherRoot", [](auto& f, ZipShape&) {
    for (ZipFile& file : f) file.name.replace(0, 7, "my model (1)");
  });
  t.zipped(167, "FolderEntries",
           [](auto& f, ZipShape&) { f.insert(f.begin(), ZipFile{.name = "archive/", .content = ""}); });
  // As `zip -r` and Python's zipfile write folders, of a file that was unpacked.
  t.zipped(167, "MarkedFolders", [](auto& f, ZipShape&) {
    for (const char* name : {"archive/data/", "archive/"})
      f.insert(f.begin(), ZipFile{.name = name, .content = "", .attributes = 0x41ed0010});
  });
  t.zipped(167, "MarkedFoldersIn64", [](auto& f, ZipShape&) {
    for (const char* name : {"archive/data/", "archive/"})
      f.push_back({.name = name, .content = "", .attributes = 0x41ed0010, .zip64 = true});
  });
  t.zipped(167, "Zip64", [](auto& f, ZipShape& s) {
    s.zip64 = true;
    for (ZipFile& file : f) file.zip64 = true;
  });
  t.zipped(167, "Zip64EndOnly", [](auto&, ZipShape& s) { s.zip64 = true; });
  t.zipped(168, "Comment", [](auto&, ZipShape& s) { s.comment = "made by hand"; });
  for (const int bytes : {12, 16, 20, 24})
    t.zipped(169, ("Descriptor" + std::to_string(bytes)).c_str(), [&](auto& f, ZipShape&) {
      for (ZipFile& file : f) file.descriptor = bytes;
    });
  t.zipped(169, "DescriptorZip64", [](auto& f, ZipShape&) {
    for (ZipFile& file : f) file.descriptor = 24, file.local_extra = little(1, 2) + little(8, 2) + little(0, 8);
  });
  // As PyTorch writes an entry that begins behind 4 GiB: the local extra field holds its place alone.
  t.zipped(169, "LocalPlaceIn64",
           [](auto& f, ZipShape&) { f[0].local_extra = little(1, 2) + little(8, 2) + little(0, 8); });
  // And one of more than 4 GiB: sizes of 0 before the data, the true ones in the extra field.
  t.zipped(169, "LocalSizesIn64", [](auto& f, ZipShape&) {
    f[0].descriptor = 24;
    f[0].local_extra =
        little(1, 2) + little(24, 2) + little(f[0].content.size(), 8) + little(f[0].content.size(), 8) + little(0, 8);
  });
  // As Go writes it: the place in the extra field of the directory as well.
  t.zipped(167, "CentralPlaceTwice",
           [](auto& f, ZipShape&) { f[0].extra = little(1, 2) + little(8, 2) + little(0, 8); });
  t.zipped(167, "CentralDisk", [](auto& f, ZipShape&) { f[0].extra = little(1, 2) + little(4, 2) + little(0, 4); });
  t.zipped(169, "Padding", [](auto& f, ZipShape&) {
    for (ZipFile& file : f) file.local_extra = "FB" + little(5, 2) + "ZZZZZ";
  });
  t.zipped(169, "Deflated", [](auto& f, ZipShape&) {
    for (ZipFile& file : f) file.method = 8, file.stored = deflated(file.content);
  });
  t.zipped(
      170, "NoCrc",
      [](auto& f, ZipShape&) {
        for (ZipFile& file : f) file.crc = 0;
      },
      "CRC not stored: 3 records unverified");
  t.zipped(171, "NewRecords", [](auto& f, ZipShape&) {
    f.push_back({.name = "archive/byteorder", .content = "little"});
    f.push_back({.name = "archive/.format_version", .content = "1"});
    f.push_back({.name = "archive/.storage_alignment", .content = "64"});
    f.push_back({.name = "archive/.data/serialization_id", .content = "0123456789"});
  });
  t.zipped(171, "NoVersion", [](auto& f, ZipShape&) { f.pop_back(); });
  t.accept(171, "CudaLocation",
           pth_of(tensor(storage("FloatStorage", "0", 6, "cuda:7"), integer(0), integers({2, 3}), integers({3, 1}))));
}

// Every kind of inert value and every opcode that only they need.
void add_inert(Table& t) {
  const std::string f8 = call(global("numpy", "dtype"), {text("f8"), "\x89", "\x88"}) +
                         tuple({integer(3), text("<"), "N", "N", "N", integer(-1), integer(-1), integer(0)}) + "b";
  const std::string one =
      call(global("_codecs", "encode"), {text(std::string("\0\0\0\0\0\0\xc3\xb0?", 9)), text("latin1")});
  const std::string scalar = call(global("numpy.core.multiarray", "scalar"), {f8, one});
  const std::string state = dict({{"epoch", "M\x0c" + std::string(1, '\0')},
                                  {"best_val_iou", scalar},
                                  {"lr", real(0.5)},
                                  {"amp", "\x89"},
                                  {"device", call(global("torch", "device"), {text("cuda"), integer(0)})},
                                  {"dtype", global("torch", "float32")},
                                  {"size", call(global("torch", "Size"), {integers({1, 2})})},
                                  {"seed", "\x8a\x09" + little(~uint64_t{0}, 8) + std::string(1, '\0')},
                                  {"zero", std::string("\x8a\x00", 2)},
                                  {"one", std::string("\x8b\x01\x00\x00\x00\x01", 6)},
                                  {"counter", call(global("collections", "Counter"), {dict({{"a", integer(1)}})})},
                                  {"no counter", call(global("collections", "Counter"), {})},
                                  {"set", call(global("__builtin__", "set"), {list({integer(1)})})},
                                  {"bytes", call(global("builtins", "bytearray"), {text("a"), text("latin-1")})},
                                  {"short", "U\x02hi"},
                                  {"long", "T" + little(2, 4) + "hi"},
                                  {"raw", "B" + little(2, 4) + "\xff\xfe"},
                                  {"tuples", ")\x85K\x01K\x02\x86K\x01K\x02K\x03\x87\x87"},
                                  {"all_metrics", dict({{"iou", real(0.25)}})},
                                  {"state_dict", ordered({{"w", tensor()}})}});
  t.accept(175, "TrainingDictionary", build(state));
  t.accept(176, "RequiresGrad",
           pth_of(call(global("torch._utils", "_rebuild_tensor_v2"),
                       {storage(), integer(0), integers({2, 3}), integers({3, 1}), "\x88", "}"})));
  t.accept(177, "OptimizerBeside",
           build(dict({{"model_state_dict", ordered({{"w", tensor()}})},
                       {"optimizer_state_dict",
                        dict({{"state", "}(" + integer(0) + dict({{"step", tensor({}, {})}}) + "u"}})}})));
  // Protocol 4 as torch.save(pickle_protocol=4) writes it: frame, memoize, short strings, names from the stack.
  const auto shorts = [](const std::string& s) { return "\x8c" + little(s.size(), 1) + s + "\x94"; };
  const std::string odict = shorts("collections") + shorts("OrderedDict") + "\x93\x94)R\x94";
  const std::string four = odict + "(" + shorts("w") + shorts("torch._utils") + shorts("_rebuild_tensor_v2") +
                           "\x93\x94((" + shorts("storage") + shorts("torch") + shorts("FloatStorage") + "\x93\x94" +
                           shorts("0") + shorts("cpu") + "K\x06tQK" + std::string(1, '\0') +
                           "K\x02K\x03\x86K\x03K\x01\x86\x89h\x02)Rt\x94R\x94" + shorts("s") + "\x8f(K\x01\x90" +
                           shorts("b") + "C\x01\xff" + shorts("c") + "\x8e" + little(1, 8) + "\xfe" + shorts("d") +
                           "\x8d" + little(1, 8) + "yu.";
  t.accept(178, "ProtocolFour", build_pth(begin(4) + "\x95" + little(four.size(), 8) + four), {kW}, "dropped");
}

}  // namespace

std::vector<Case> accepted_cases() {
  Table table;
  add_wrappers(table);
  add_types(table);
  add_views(table);
  add_containers(table);
  add_inert(table);
  return table.cases;
}

}  // namespace furrow::testing
