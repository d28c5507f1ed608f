#include "tests/containers/builders_legacy.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

using namespace pickle;

std::string good_object() { return begin() + ordered({{"w", stream_tensor({2, 3}, {3, 1})}}) + "."; }
std::string good_stream() { return build_stream({.object = good_object()}); }

class StreamTable {
 public:
  void refuse(int number, const char* label, const std::string& bytes, const std::string& says,
              ErrorCode code = ErrorCode::malformed) {
    cases.push_back({number, label, bytes, code, says});
  }
  // The good stream with one part changed.
  template <class Change>
  void changed(int number, const char* label, const std::string& says, Change&& change,
               ErrorCode code = ErrorCode::malformed) {
    StreamShape shape{.object = good_object()};
    change(shape);
    refuse(number, label, build_stream(shape), says, code);
  }
  void accept(int number, const char* label, const std::string& bytes, const std::vector<ExpectedTensor>& tensors) {
    cases.push_back({.number = number, .name = label, .bytes = bytes, .accepted = true, .tensors = tensors});
  }
  std::vector<Case> cases;
};

void add_damage(StreamTable& t) {
  const std::string good = good_stream();
  const auto cut = [&](double part) { return good.substr(0, static_cast<size_t>(part * double(good.size()))); };
  t.refuse(131, "LegacyCut10", cut(0.1), "the file ends inside the pickle");
  t.refuse(132, "LegacyCut40", cut(0.4), "object pickle");
  t.refuse(133, "LegacyCut75", cut(0.75), "object pickle");
  t.refuse(134, "LegacyLastByteMissing", good_stream().substr(0, good_stream().size() - 1),
           "(storage 0): the file is cut: 24 bytes");
  t.refuse(134, "LegacyMagicOnly", stream_magic(), "(protocol version)");
  t.refuse(135, "LegacyWrongMagic", std::string("\x80\x02\x8a\x0am") + good_stream().substr(5), "a bare pickle");
  t.refuse(135, "LegacyMagicCut", good_stream().substr(0, 14), "a bare pickle");
  const std::string evil = begin() + call(global("os", "system"), {text("x")}) + ".";
  t.refuse(136, "BarePickle", evil, "a bare pickle");
  t.changed(136, "HostileVersion", "(protocol version): GLOBAL os.system", [&](StreamShape& s) { s.version = evil; });
  t.changed(136, "HostileSysInfo", "(sys info): GLOBAL os.system", [&](StreamShape& s) { s.sys_info = evil; });
  t.changed(136, "HostileObject", "(object pickle): GLOBAL os.system", [&](StreamShape& s) { s.object = evil; });
  t.changed(136, "HostileKeys", "(key list): GLOBAL os.system", [&](StreamShape& s) { s.keys = evil; });
  t.changed(
      137, "Protocol9999", "protocol 9999; 1001 is read", [](StreamShape& s) { s.version = pickled(9999); },
      ErrorCode::unsupported);
  t.changed(137, "ProtocolIsText", "is no number", [](StreamShape& s) { s.version = begin() + text("1001") + "."; });
  const auto info = [](const std::string& entries) { return begin() + entries + "."; };
  t.changed(
      138, "BigEndian", "big-endian",
      [&](StreamShape& s) {
        s.sys_info = info(dict({{"little_endian", "\x89"}}));
      },
      ErrorCode::unsupported);
  t.changed(138, "EndianIsText", "neither true nor false", [&](StreamShape& s) {
    s.sys_info = info(dict({{"little_endian", text("yes")}}));
  });
  t.changed(138, "SysInfoVersionText", "another protocol version", [&](StreamShape& s) {
    s.sys_info = info(dict({{"protocol_version", text("1001")}}));
  });
  t.changed(138, "SysInfoIsList", "is no dictionary", [&](StreamShape& s) { s.sys_info = info("]"); });
  t.changed(138, "SysInfoDisagrees", "another protocol version than 1001", [&](StreamShape& s) {
    s.sys_info = info(dict({{"protocol_version", integer(1000)}}));
  });
}

void add_stored(StreamTable& t) {
  const auto stored = [&](int number, const char* label, uint64_t elements, const std::string& says) {
    t.changed(number, label, says, [&](StreamShape& s) { s.storages = {little(elements, 8) + six_floats()}; });
  };
  stored(139, "NumelDiffers", 5, "(storage 0): the file holds 5 elements, the pickle claims 6");
  stored(140, "NumelNegative", ~uint64_t{0}, "holds -1 elements");
  stored(141, "NumelHuge", uint64_t{1} << 61, "holds 2305843009213693952 elements");
  const auto claims = [](int64_t elements) {
    return begin() +
           ordered({{"w", tensor(stream_storage("N", "0", elements), integer(0), integers({1}), integers({1}))}}) + ".";
  };
  t.changed(141, "BothHuge", "(storage 0): a size overflows 64 bits", [&](StreamShape& s) {
    s.object = claims(int64_t{1} << 62), s.storages = {little(uint64_t{1} << 62, 8) + six_floats()};
  });
  t.changed(141, "BothOverTheFile", "the file is cut: 4294967296 bytes belong here, 24 are left", [&](StreamShape& s) {
    s.object = claims(int64_t{1} << 30), s.storages = {little(uint64_t{1} << 30, 8) + six_floats()};
  });
  const auto keys = [](const std::vector<std::string>& names) {
    std::vector<std::string> items;
    for (const std::string& name : names) items.push_back(text(name));
    return begin() + list(items) + ".";
  };
  t.changed(142, "UnknownKey", "(storage 1): it is listed, but nothing", [&](StreamShape& s) { s.keys = keys({"1"}); });
  t.changed(142, "ListedTwice", "(storage 0): it is listed twice", [&](StreamShape& s) {
    s.keys = keys({"0", "0"}), s.storages.push_back(s.storages[0]);
  });
  t.refuse(143, "LegacyDeviceMeta",
           stream_of(tensor(tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("meta"),
                                   integer(6), "N"}) + "Q",
                            integer(0), integers({6}), integers({1}))),
           "(object pickle): BINPERSID: storage 0 was on device meta, which has no data", ErrorCode::unsupported);
  t.changed(143, "NeverStored", "storage 0 is used, but the file does not hold it",
            [&](StreamShape& s) { s.keys = begin() + "].", s.storages = {}; });
  t.changed(144, "KeysAreNumber", "(key list): the storage keys are no list",
            [](StreamShape& s) { s.keys = pickled(1); });
  t.changed(144, "KeyIsNumber", "(key list): a storage key that is no text",
            [](StreamShape& s) { s.keys = begin() + list({integer(0)}) + "."; });
  t.changed(144, "KeyUpwards", "no plain name", [](StreamShape& s) {
    s.object =
        begin() + ordered({{"w", tensor(stream_storage("N", "../0"), integer(0), integers({6}), integers({1}))}}) + ".";
  });
  t.changed(144, "BytesBehind", "5 bytes follow the last storage", [](StreamShape& s) { s.behind = "hello"; });
}

void add_stream_views(StreamTable& t) {
  const auto view = [](const std::string& key, int64_t begin, int64_t elements) {
    return tuple({text(key), integer(begin), integer(elements)});
  };
  const auto two = [](const std::string& a, const std::string& b) {
    return build_stream({.object = begin() + ordered({{"a", a}, {"b", b}}) + "."});
  };
  t.refuse(145, "ViewBeyond", stream_of(stream_tensor({2}, {1}, 0, view("v", 4, 3))),
           "a view of 3 elements from 4, beyond the storage of 6");
  t.refuse(145, "ViewWraps", stream_of(stream_tensor({2}, {1}, 0, view("v", INT64_MAX, INT64_MAX))),
           "beyond the storage");
  t.refuse(145, "ViewNegative", stream_of(stream_tensor({2}, {1}, 0, view("v", -1, 3))), "no key, place and size");
  t.refuse(145, "ViewIsNumber", stream_of(stream_tensor({2}, {1}, 0, integer(1))), "no key, place and size");
  t.refuse(145, "ViewOfTwo", stream_of(stream_tensor({2}, {1}, 0, tuple({text("v"), integer(0)}))),
           "no key, place and size");
  t.refuse(145, "ViewKeyNumber", stream_of(stream_tensor({2}, {1}, 0, integers({0, 0, 3}))), "no key, place and size");
  t.refuse(145, "ViewPlaceText", stream_of(stream_tensor({2}, {1}, 0, tuple({text("v"), text("0"), integer(3)}))),
           "no key, place and size");
  t.refuse(145, "ViewSizeText", stream_of(stream_tensor({2}, {1}, 0, tuple({text("v"), integer(0), text("3")}))),
           "no key, place and size");
  t.refuse(145, "ViewSizeNegative", stream_of(stream_tensor({2}, {1}, 0, view("v", 0, -3))), "no key, place and size");
  t.refuse(145, "ViewTwoSizes",
           two(stream_tensor({2}, {1}, 0, view("v", 1, 2)), stream_tensor({2}, {1}, 0, view("v", 1, 3))),
           "the view v is said to be 2 elements from 1 and 3 elements from 1");
  t.refuse(145, "ViewOfTwoStorages",
           two(stream_tensor({2}, {1}, 0, view("v", 1, 2)),
               tensor(stream_storage(view("v", 1, 2), "1"), integer(0), integers({2}), integers({1}))),
           "the view v is said to be");
  t.refuse(145, "OverTheView", stream_of(stream_tensor({3}, {1}, 0, view("v", 1, 2))),
           "tensor w: shape 3 at offset 0 reaches element 2 of a storage of 2");
  t.refuse(145, "ViewTwice",
           two(stream_tensor({2}, {1}, 0, view("v", 0, 3)), stream_tensor({2}, {1}, 0, view("v", 1, 3))),
           "the view v is said to be 3 elements from 0 and 3 elements from 1");
  t.refuse(145, "ViewOfItsName", stream_of(stream_tensor({2}, {1}, 0, view("0", 0, 3))), "names a storage and a view");
  t.refuse(145, "FiveParts", stream_of(tensor()), "a persistent id of 5 parts, not 6");
  t.refuse(145, "IdInSysInfo", build_stream({.object = good_object(), .sys_info = begin() + stream_storage() + "."}),
           "has no meaning here");
  t.accept(161, "LegacyView", stream_of(stream_tensor({3}, {1}, 1, view("v", 2, 4))), {{"w", {3}, {3, 4, 5}}});
  t.accept(161, "LegacyViewAndWhole", two(stream_tensor({2}, {1}, 0, view("v", 4, 2)), stream_tensor({2}, {3})),
           {{"a", {2}, {4, 5}}, {"b", {2}, {0, 3}}});
}

void add_limits(StreamTable& t) {
  const ExpectedTensor w{"w", {2, 3}, {0, 1, 2, 3, 4, 5}};
  const auto keyed = [](const std::string& view, const std::string& key) {
    return stream_of(tensor(stream_storage(view, key), integer(0), integers({6}), integers({1})));
  };
  const auto view = [](size_t length) { return tuple({text(std::string(length, 'v')), integer(0), integer(6)}); };
  t.refuse(144, "KeyLong", keyed("N", std::string(256, 'k')), "a storage key of 256 bytes, over 255");
  t.refuse(144, "ViewKeyLong", keyed(view(256), "0"), "a view key of 256 bytes, over 255");
  t.accept(161, "LegacyViewKey255", keyed(view(255), "0"), {{"w", {6}, w.values}});
  std::string objects, ids;
  for (int i = 0; i < 1'001; ++i) objects += ")0";
  t.changed(
      44, "VersionOfManyObjects", "(protocol version): the pickle has too many objects",
      [&](StreamShape& s) { s.version = begin() + objects + integer(1001) + "."; }, ErrorCode::limit);
  t.changed(
      44, "SysInfoOfManyObjects", "(sys info): the pickle has too many objects",
      [&](StreamShape& s) { s.sys_info = begin() + objects + "}."; }, ErrorCode::limit);
  t.changed(
      44, "KeysOfManyObjects", "(key list): the pickle has too many objects",
      [&](StreamShape& s) { s.keys = begin() + objects + list({text("0")}) + "."; }, ErrorCode::limit);
  // One id, used a million times, is one storage.
  for (int i = 0; i < 1'000'001; ++i) ids += "h\x05Q0";
  const std::string id = stream_storage();
  t.accept(161, "LegacyIdAgainAndAgain",
           stream_of(id.substr(0, id.size() - 1) + "q\x05" + "0" + ids + stream_tensor({2, 3}, {3, 1})), {w});
}

// A version that begins with bytes under which the first 512 of the file are a tar header, or nearly.
std::string stream_with_sum(int more, bool with_signs = false) {
  const auto version = [](const std::string& text) {
    return begin() + "B" + little(text.size(), 4) + text + "0" + integer(1001) + ".";
  };
  const size_t field = 148 - stream_magic().size() - 7;  // of the tar header, in the text
  std::string text(600, '\0');
  text.replace(field, 8, 8, ' ');
  const std::string header = (stream_magic() + version(text)).substr(0, 512);
  int sum = more;
  for (const char c : header) sum += with_signs ? static_cast<signed char>(c) : static_cast<unsigned char>(c);
  std::string digits(6, '0');
  for (size_t i = 6; i-- > 0; sum /= 8) digits[i] = static_cast<char>('0' + sum % 8);
  text.replace(field, 8, digits + std::string("\0 ", 2));
  return build_stream({.object = good_object(), .version = version(text)});
}

void add_two_readings(StreamTable& t) {
  const std::string says = "both a legacy stream and a tar";
  t.refuse(136, "StreamAndTar", stream_with_sum(0), says);
  t.refuse(136, "StreamAndTarSigned", stream_with_sum(0, true), says);  // as Python reads it too
  t.accept(152, "LegacyNearlyTar", stream_with_sum(1), {{"w", {2, 3}, {0, 1, 2, 3, 4, 5}}});
  t.changed(
      137, "PickleProtocol5", "a legacy stream of pickle protocol 5; 2, 3 and 4 are read",
      [](StreamShape& s) { s.magic = "\x80\x05\x95\x0d" + std::string(7, '\0') + stream_magic().substr(2); },
      ErrorCode::unsupported);
  t.refuse(135, "Protocol5WrongMagic", "\x80\x05\x95\x0d" + std::string(7, '\0') + "\x8a\x0am.", "a bare pickle");
}

void add_good(StreamTable& t) {
  const ExpectedTensor w{"w", {2, 3}, {0, 1, 2, 3, 4, 5}};
  t.accept(152, "LegacyPlain", good_stream(), {w});
  t.accept(
      161, "LegacySharedStorages",
      build_stream(
          {.object = begin() + ordered({{"a", stream_tensor({2}, {1}, 1)}, {"b", stream_tensor({3}, {1}, 3)}}) + "."}),
      {{"a", {2}, {1, 2}}, {"b", {3}, {3, 4, 5}}});
  t.accept(162, "LegacyTransposed", stream_of(stream_tensor({3, 2}, {1, 3})), {{"w", {3, 2}, {0, 3, 1, 4, 2, 5}}});
  t.accept(152, "LegacyProtocolFour",
           build_stream({.object = good_object(),
                         .magic = "\x80\x04\x95\x0d" + std::string(7, '\0') + stream_magic().substr(2)}),
           {w});
  t.accept(155, "LegacyParameter",
           stream_of(global("torch.nn.parameter", "Parameter") + tuple({stream_tensor({2, 3}, {3, 1})}) + "\x81" +
                     tuple({"\x88", "\x89", ordered({})}) + "b"),
           {w});
  t.accept(152, "LegacyFirstRebuild",
           stream_of(call(global("torch._utils", "_rebuild_tensor"),
                          {stream_storage(), integer(0), integers({2, 3}), integers({3, 1})})),
           {w});
  t.accept(152, "LegacyOddSysInfo",
           build_stream({.object = good_object(), .sys_info = begin() + "}(" + integer(1) + integer(2) + "u."}), {w});
  // Python 2: text without a type, dictionaries as lists of pairs.
  const std::string w2 = "U\x01w", pairs = list({list({w2, stream_tensor({2, 3}, {3, 1})})});
  t.accept(152, "LegacyPython2",
           build_stream({.object = begin() + call(global("collections", "OrderedDict"), {pairs}) +
                                   dict({{"_metadata", "}"}}) + "b.",
                         .keys = begin() + list({std::string("U\x01") + "0"}) + "."}),
           {w});
  t.accept(171, "LegacyCuda",
           stream_of(tensor(tuple({text("storage"), global("torch.cuda", "FloatStorage"), text("0"), text("cuda:0"),
                                   integer(6), "N"}) +
                                "Q",
                            integer(0), integers({2, 3}), integers({3, 1}))),
           {w});
}

void add_pickle(StreamTable& t) {
  const auto pairs = [](const std::string& value) {
    return build_stream({.object = begin() + call(global("collections", "OrderedDict"), {value}) + "."});
  };
  t.refuse(38, "PairsOfOne", pairs(list({list({text("w")})})), "no key and value");
  t.refuse(38, "PairsOfText", pairs(list({text("w")})), "no key and value");
  t.refuse(38, "PairsNoList", pairs(text("w")), "wrong arguments");
  // Refused before its pairs are copied: what the case measures is the memory.
  std::string again;
  for (int i = 0; i < 850'000; ++i) again += "h\x05";
  t.refuse(
      46, "PairsOfManyValues",
      build_stream({.object = begin() + tuple({integer(1), integer(1)}) + "q\x05" + "0" +
                              call(global("collections", "OrderedDict"), {"](" + again + "e(" + again + "e"}) + "."}),
      "too many values", ErrorCode::limit);
  t.refuse(38, "PairKeyIsList", pairs(list({list({"]", text("w")})})), "neither text nor a number");
  const std::string parameter = global("torch.nn.parameter", "Parameter");
  t.refuse(36, "LegacyEmptyParameter", stream_of(parameter + ")\x81"), "wrong arguments");
  t.refuse(36, "LegacyStateTooLong", stream_of(stream_tensor({2}, {1}) + tuple({"\x88", "\x88", "N", "N"}) + "b"),
           "a state for a value");
  t.refuse(36, "LegacyStateOfHooks",
           stream_of(stream_tensor({2}, {1}) + tuple({"\x88", "\x88", dict({{"a", "N"}})}) + "b"),
           "a state for a value");
  t.refuse(36, "LegacyStateNumber", stream_of(stream_tensor({2}, {1}) + tuple({integer(1), "\x88", "N"}) + "b"),
           "a state for a value");
  t.refuse(36, "LegacyStateList", stream_of(stream_tensor({2}, {1}) + "]b"), "a state for a value");
  t.refuse(36, "LegacyStateOfTuple", stream_of(")" + tuple({"\x88", "\x88", "N"}) + "b"), "a state for a value");
  t.refuse(36, "LegacyStateOfText", stream_of(stream_tensor({2}, {1}) + tuple({"\x88", text("x"), "N"}) + "b"),
           "a state for a value");
  t.refuse(
      18, "LegacyModule",
      build_stream({.object = begin() + tuple({text("module"), global("net", "UNet"), text("f"), text("s")}) + "Q."}),
      "save the state_dict instead", ErrorCode::unsupported);
}

}  // namespace

std::vector<Case> stream_cases() {
  StreamTable table;
  add_damage(table);
  add_stored(table);
  add_stream_views(table);
  add_limits(table);
  add_two_readings(table);
  add_good(table);
  add_pickle(table);
  return table.cases;
}

}  // namespace furrow::testing
