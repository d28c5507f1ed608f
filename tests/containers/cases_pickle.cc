#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

using namespace pickle;

std::string repeat(const std::string& piece, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += piece;
  return out;
}

// {"w": a good tensor, "x": value}: `value` stands under a key that nobody asks for.
std::string beside(const std::string& value) {
  return build_pth(begin() + ordered({{"w", tensor()}, {"x", value}}) + ".");
}
std::string raw(const std::string& body) { return build_pth(begin() + body); }

const ExpectedTensor kW{"w", {2, 3}, {0, 1, 2, 3, 4, 5}};

void add_names(std::vector<Case>& out) {
  const auto named = [&](int number, const char* label, const char* module, const char* name) {
    out.push_back({.number = number,
                   .name = label,
                   .bytes = pth_of(call(global(module, name), {text("echo")})),
                   .says = std::string("GLOBAL ") + module + "." + name});
  };
  named(1, "OsSystem", "os", "system");
  named(2, "PosixSystem", "posix", "system");
  named(3, "BuiltinsEval", "builtins", "eval");
  named(4, "BuiltinEval", "__builtin__", "eval");
  named(5, "Popen", "subprocess", "Popen");
  named(6, "Runpy", "runpy", "_run_code");
  named(7, "Getattr", "builtins", "getattr");
  named(8, "TorchLoad", "torch.serialization", "load");
  const std::string os = text("os") + text("system");
  out.push_back({9, "Inst", pth_of("(" + text("echo") + "ios\nsystem\n"), ErrorCode::malformed, "INST"});
  out.push_back({10, "Obj", pth_of("(" + global("os", "system") + "o"), ErrorCode::malformed, "GLOBAL os.system"});
  out.push_back({10, "ObjAlone", pth_of("(" + text("x") + "o"), ErrorCode::malformed, "OBJ"});
  out.push_back({11, "StackGlobal", pth_of(os + "\x93"), ErrorCode::malformed, "STACK_GLOBAL os.system"});
  out.push_back({12, "StackGlobalFromMemo",
                 pth_of(text("os") +
                        "q\x05"
                        "0" +
                        text("system") +
                        "q\x06"
                        "0h\x05h\x06\x93"),
                 ErrorCode::malformed, "STACK_GLOBAL os.system"});
  out.push_back(
      {12, "StackGlobalOfNumbers", pth_of(integer(1) + integer(2) + "\x93"), ErrorCode::malformed, "STACK_GLOBAL"});
  out.push_back({13, "DottedName", pth_of(text("collections") + text("OrderedDict.fromkeys") + "\x93"),
                 ErrorCode::malformed, "STACK_GLOBAL collections.OrderedDict.fromkeys"});
  out.push_back({14, "Ext1", pth_of("\x82\x01"), ErrorCode::malformed, "EXT1"});
  out.push_back({14, "Ext2", pth_of(std::string("\x83\x01\x00", 3)), ErrorCode::malformed, "EXT2"});
  out.push_back({14, "Ext4", pth_of(std::string("\x84\x01\x00\x00\x00", 5)), ErrorCode::malformed, "EXT4"});
  out.push_back(
      {15, "NewObj", pth_of(global("subprocess", "Popen") + ")\x81"), ErrorCode::malformed, "subprocess.Popen"});
  out.push_back(
      {16, "NewObjEx", pth_of(global("collections", "OrderedDict") + ")}\x92"), ErrorCode::malformed, "NEWOBJ_EX"});
  out.push_back({16, "NameWithoutEnd", pth_of("cos"), ErrorCode::malformed, "GLOBAL"});
}

void add_objects(std::vector<Case>& out) {
  const std::string save = "save the state_dict instead";
  const auto unread = [&](int number, const char* label, const std::string& value, const std::string& says) {
    out.push_back({number, label, pth_of(value), ErrorCode::unsupported, says});
  };
  unread(17, "NestedPickle", call(global("pickle", "loads"), {"C\x02\x80\x02"}), save);
  unread(18, "WholeModule", global("torch.nn.modules.linear", "Linear") + ")\x81", save);
  auto script = pth_files(begin() + ordered({{"w", tensor()}}) + ".");
  script.push_back({.name = "archive/constants.pkl", .content = "\x80\x02)."});
  out.push_back({19, "TorchScript", build_zip(script), ErrorCode::unsupported, save});
  script.back() = {.name = "archive/code/__torch__.py", .content = "x"};
  out.push_back({19, "TorchScriptCode", build_zip(script), ErrorCode::unsupported, save});
  unread(20, "OwnClass", global("__main__", "Net") + ")\x81", save);
  unread(21, "Quantised", global("torch._utils", "_rebuild_qtensor"), "quantised");
  unread(21, "QuantisedStorage", global("torch", "QInt8Storage"), "quantised");
  unread(22, "Sparse", global("torch._utils", "_rebuild_sparse_tensor"), "sparse");
  unread(23, "Complex", global("torch", "ComplexFloatStorage"), "complex");
  unread(23, "OtherTensor", global("torch._utils", "_rebuild_nested_tensor"), "a kind of tensor that is not read");
  unread(23, "Untyped", global("torch.storage", "_UntypedStorage"), "untyped");
  unread(23, "UInt64", global("torch", "uint64"), "an element type that is not read");
  unread(23, "Float8", global("torch", "float8_e4m3fn"), "an element type that is not read");
}

void add_machine(std::vector<Case>& out) {
  const auto bad = [&](int number, const char* label, const std::string& bytes, const std::string& says) {
    out.push_back({number, label, bytes, ErrorCode::malformed, says});
  };
  bad(24, "UnknownOpcode", raw("\xff."), "no such opcode");
  bad(25, "TextPersid", pth_of("P0\n"), "PERSID");
  bad(26, "Protocol255", build_pth("\x80\xff}."), "protocol 255");
  bad(26, "NoProtocol", build_pth("}."), "PROTO");
  bad(27, "CutInOpcode", raw("X\x05"), "ends inside the pickle");
  bad(28, "NoStop", raw(ordered({{"w", tensor()}})), "without STOP");
  bad(28, "LeftOnStack", raw("}}."), "left on the stack");
  bad(29, "Underflow", raw("R."), "the stack is empty");
  bad(30, "StopOnEmpty", raw("."), "the stack is empty");
  bad(31, "SetItemsWithoutMark", raw("}u."), "no MARK");
  bad(32, "OddItems", raw("}(K\x01u."), "a key without a value");
  bad(33, "SetItemOnList", raw("]" + text("a") + text("b") + "s."), "cannot hold items");
  bad(34, "SetItemsOnTensor", pth_of(tensor() + "(" + text("a") + text("b") + "u"), "cannot hold items");
  bad(34, "ListAsKey", raw("}]K\x01s."), "a key that is neither");
  bad(35, "AppendOnDict",
      raw("}K\x01"
          "a."),
      "cannot hold items");
  bad(36, "BuildOnTensor", pth_of(tensor() + "}b"), "a state for a value");
  bad(37, "ReduceOfTensor", pth_of(tensor() + ")R"), "applied to a value");
  bad(37, "ReduceWithoutTuple", pth_of(global("collections", "OrderedDict") + "]R"), "no tuple");
  const auto wrong = [&](const char* label, const char* module, const char* name,
                         const std::vector<std::string>& args) {
    bad(38, label, pth_of(call(global(module, name), args)), "REDUCE");
  };
  wrong("WrongArguments", "torch._utils", "_rebuild_tensor_v2", {integer(1)});
  wrong("NoStorage", "torch._utils", "_rebuild_tensor_v2", {integer(1), integer(0), ")", ")", "\x89", "}"});
  // Dropped from the stack: nobody asks for its shape, and it is refused all the same.
  const auto axes = [](size_t rank) { return integers(std::vector<int64_t>(rank, 1)); };
  const std::string w = tensor();
  out.push_back({74, "Shape65", pth_of(tensor(storage(), integer(0), axes(65), integers({1})) + "0" + w),
                 ErrorCode::limit, "REDUCE: _rebuild_tensor_v2 with a shape of 65 axes"});
  out.push_back({74, "Strides65", pth_of(tensor(storage(), integer(0), integers({1}), axes(65)) + "0" + w),
                 ErrorCode::limit, "REDUCE: _rebuild_tensor_v2 with a shape of 65 axes"});
  wrong("WrongTail", "torch._utils", "_rebuild_tensor_v2", {storage(), integer(0), ")", ")", "}", "}"});
  wrong("WrongParameter", "torch._utils", "_rebuild_parameter", {integer(1), "\x88", "}"});
  wrong("WrongParameterClass", "torch.nn.parameter", "Parameter", {integer(1)});
  wrong("OrderedDictOfOne", "collections", "OrderedDict", {integer(1)});
  wrong("CounterOfNumber", "collections", "Counter", {integer(1)});
  // Counter copies: what is added to the copy is not in the original.
  const std::string counter = call(global("collections", "Counter"), {"h\x05"}) + text("z") + tensor() + "s";
  out.push_back({.number = 38,
                 .name = "CounterIsACopy",
                 .bytes = raw(dict({{"model", dict({{"w", tensor()}}) + "q\x05"}, {"x", counter}}) + "."),
                 .accepted = true,
                 .tensors = {kW}});
  wrong("SetOfNumber", "builtins", "set", {integer(1)});
  const std::string hooked = dict({{"a", "N"}});
  wrong("WrongHooks", "torch._utils", "_rebuild_tensor_v2", {storage(), integer(0), ")", ")", "\x89", integer(0)});
  wrong("WithHooks", "torch._utils", "_rebuild_tensor_v2", {storage(), integer(0), ")", ")", "\x89", hooked});
  wrong("ParameterFlag", "torch._utils", "_rebuild_parameter", {tensor(), integer(1), "}"});
  wrong("ParameterHooks", "torch._utils", "_rebuild_parameter", {tensor(), "\x88", integer(1)});
  wrong("ParameterOfThree", "torch.nn.parameter", "Parameter", {tensor(), "\x88", "\x88"});
  wrong("ParameterOfNothing", "torch.nn.parameter", "Parameter", {});
  wrong("OrderedDictOfTwo", "collections", "OrderedDict", {"]", "]"});
  wrong("CounterOfTwo", "collections", "Counter", {"}", "}"});
  wrong("SetOfTwo", "builtins", "set", {"]", "]"});
  wrong("EncodeOfOne", "_codecs", "encode", {text("a")});
  wrong("EncodeToNumber", "_codecs", "encode", {text("a"), integer(1)});
  wrong("DeviceOfNothing", "torch", "device", {});
  wrong("DeviceOfThree", "torch", "device", {text("cpu"), integer(0), integer(0)});
  wrong("SizeOfTwo", "torch", "Size", {")", ")"});
  wrong("DtypeOfFour", "numpy", "dtype", {text("f8"), "\x89", "\x88", "\x88"});
  wrong("TensorTypeApplied", "torch", "FloatTensor", {});
  wrong("UntypedApplied", "torch.storage", "UntypedStorage", {});
  const std::string f8 = call(global("numpy", "dtype"), {text("f8")});
  bad(38, "ScalarOfText", pth_of(call(global("numpy.core.multiarray", "scalar"), {f8, text("x")})), "REDUCE");
  bad(36, "DtypeStateShort", pth_of(f8 + tuple({integer(3)}) + "b"), "a state for a value");
  bad(36, "DtypeStateNumber", pth_of(f8 + tuple({integer(3), integer(4)}) + "b"), "a state for a value");
  bad(36, "DtypeStateList", pth_of(f8 + "]b"), "a state for a value");
  wrong("EncodeOtherCodec", "_codecs", "encode", {text("a"), text("zlib")});
  wrong("EncodeNumber", "_codecs", "encode", {integer(1), text("latin1")});
  wrong("ByteArrayOfThree", "builtins", "bytearray", {"N", "N", "N"});
  wrong("DeviceOfNumber", "torch", "device", {integer(1)});
  wrong("SizeOfNumber", "torch", "Size", {integer(1)});
  wrong("NumpyDtypeOfNumber", "numpy", "dtype", {integer(1)});
  wrong("NumpyScalarOfNumber", "numpy.core.multiarray", "scalar", {integer(1), integer(1)});
  wrong("NumpyScalarOfObject", "numpy.core.multiarray", "scalar",
        {call(global("numpy", "dtype"), {text("O8")}), integer(1)});
  wrong("StorageCalled", "torch", "FloatStorage", {integer(1)});
  bad(39, "BingetNeverPut", pth_of("h\x07"), "memo entry 7");
  bad(40, "LongBingetNeverPut", pth_of("j" + little(70000, 4)), "memo entry 70000");
  out.push_back({.number = 41,
                 .name = "HugeMemoIndex",
                 .bytes = pth_of(tensor() + "r" + little(0xFFFFFFFF, 4) + "0j" + little(0xFFFFFFFF, 4)),
                 .accepted = true,
                 .tensors = {kW}});
  bad(41, "MemoizeAfterGap", pth_of("Nr" + little(9, 4) + "\x94"), "gaps");
  std::string scattered;
  for (uint64_t i = 0; i < 70'000; ++i) scattered += "r" + little(i * 2 + 100, 4);
  out.push_back({41, "ScatteredMemo", pth_of("N" + scattered), ErrorCode::limit, "memo"});
}

void add_bombs(std::vector<Case>& out) {
  const auto over = [&](int number, const char* label, const std::string& bytes, const std::string& says) {
    out.push_back({number, label, bytes, ErrorCode::limit, says});
  };
  const auto bad = [&](int number, const char* label, const std::string& bytes, const std::string& says) {
    out.push_back({number, label, bytes, ErrorCode::malformed, says});
  };
  over(42, "NestedLists", beside(std::string(300'000, ']') + std::string(299'999, 'a')), "nesting");
  over(43, "NestedTuples", beside(")" + std::string(300'000, '\x85')), "nesting");
  over(44, "MillionMarks", raw(std::string(1'000'001, '(')), "marks");
  over(44, "MillionNones", raw(std::string(1'000'001, 'N')), "stack");
  over(44, "MillionTuples", beside("(" + repeat(")0", 1'000'001) + "t"), "objects");
  out.push_back({.number = 45,
                 .name = "SelfContainingList",
                 .bytes = beside("]q\x01h\x01"
                                 "a"),
                 .says = "dropped",
                 .accepted = true,
                 .tensors = {kW}});
  out.push_back({.number = 46,
                 .name = "DoublingTuples",
                 .bytes = beside(")q\x01"
                                 "0" +
                                 repeat("h\x01h\x01\x86q\x01"
                                        "0",
                                        60) +
                                 "h\x01"),
                 .says = "dropped",
                 .accepted = true,
                 .tensors = {kW}});
  over(46, "ManyValues",
       beside("](" + std::string(999'990, 'N') + "e" + repeat("(" + std::string(999'980, 'N') + "e", 2)),
       "would fill");
  bad(47, "Long1Of2000Bits", pth_of("\x8a\xfa" + std::string(250, '\x7f')), "250 bytes");
  bad(48, "Long4MinusOne", pth_of("\x8b\xff\xff\xff\xff"), "4294967295 bytes");
  bad(49, "Text4GiB", pth_of("X\xff\xff\xff\xff"), "ends inside");
  bad(50, "Text2To63", pth_of("\x8d" + little(uint64_t{1} << 63, 8)), "ends inside");
  bad(51, "Frame2To62", pth_of("\x95" + little(uint64_t{1} << 62, 8)), "frame");
  const std::string body = dict({{"w", tensor()}}) + ".";
  const auto frame = [](size_t length) { return "\x95" + little(length, 8); };
  bad(51, "FrameCutsAnOpcode", raw(frame(5) + body), "BINUNICODE: runs over the end of its frame");
  bad(51, "FrameBehindStop", raw(frame(body.size() + 1) + body + "."), "STOP: the frame goes on behind it");
  bad(51, "FrameInFrame", raw(frame(body.size() + 9) + frame(body.size()) + body), "a frame inside another");
  bad(52, "ByteArray2To63", pth_of("\x96" + little(uint64_t{1} << 63, 8)), "BYTEARRAY8");
  bad(53, "BadUtf8", raw("}" + text("\xc3(") + tensor() + "s."), "UTF-8");
  bad(54, "NulInName", raw("}" + text(std::string("a\0b", 3)) + tensor() + "s."), "zero byte");
  bad(55, "DuplicateNames", raw(ordered({{"w", tensor()}, {"w", tensor()}}) + "."), "twice");
  bad(55, "DuplicateNested", raw(dict({{"model", ordered({{"w", tensor()}, {"w", tensor()}})}}) + "."), "twice");
  bad(56, "IntegerKey", raw("}K\x07" + tensor() + "s."), "no text: 7");
  bad(57, "TopLevelList", raw(list({tensor()}) + "."), "holds a list");
  bad(57, "TopLevelNumber", raw(integer(3) + "."), "holds a number");
  bad(57, "TopLevelNone", raw("N."), "holds a plain value");
  out.push_back({57, "TopLevelTensor", raw(tensor() + "."), ErrorCode::unsupported, "a single tensor"});
  bad(58, "EmptyDict", raw("}."), "an empty dictionary");
  bad(58, "OnlyOptimizer", raw(dict({{"epoch", integer(3)}, {"optimizer_state_dict", dict({{"state", "}"}})}}) + "."),
      "keys found: epoch, optimizer_state_dict");
}

}  // namespace

std::vector<Case> pickle_cases() {
  std::vector<Case> out;
  add_names(out);
  add_objects(out);
  add_machine(out);
  add_bombs(out);
  return out;
}

}  // namespace furrow::testing
