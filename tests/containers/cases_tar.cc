#include "tests/containers/builders_legacy.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

using namespace pickle;
using TarFiles = std::vector<TarFile>;

class TarTable {
 public:
  void refuse(int number, const char* label, const std::string& bytes, const std::string& says,
              ErrorCode code = ErrorCode::malformed) {
    cases.push_back({number, std::string("Tar") + label, bytes, code, says});
  }
  // The good tar, its members changed.
  template <class Change>
  void files(int number, const char* label, const std::string& says, Change&& change,
             ErrorCode code = ErrorCode::malformed) {
    TarFiles members = tar_files();
    change(members);
    refuse(number, label, build_tar(members), says, code);
  }
  void shape(int number, const char* label, const TarShape& shape, const std::string& says,
             ErrorCode code = ErrorCode::malformed) {
    refuse(number, label, build_tar(tar_files(shape)), says, code);
  }
  void accept(int number, const char* label, const std::string& bytes, const std::vector<ExpectedTensor>& tensors) {
    cases.push_back(
        {.number = number, .name = std::string("Tar") + label, .bytes = bytes, .accepted = true, .tensors = tensors});
  }
  std::vector<Case> cases;
};

TarFile pax(const std::string& records) { return {"././@PaxHeader", records, 'x'}; }

void add_archive(TarTable& t) {
  const std::string good = build_tar(tar_files());
  t.refuse(149, "Cut", good.substr(0, 1300), "the tar archive is cut: 1300 of at least");
  t.refuse(149, "CutInHeader", good.substr(0, 1024 + 100), "is cut");
  t.refuse(149, "NoEnd", build_tar(tar_files(), ""), "is cut");
  t.refuse(149, "HalfAnEnd", build_tar(tar_files(), std::string(512, '\0')), "is cut");
  t.refuse(149, "BehindTheEnd", build_tar(tar_files(), std::string(1024, '\0') + std::string(512, 'x')),
           "bytes follow the end");
  t.refuse(149, "OddEnd", build_tar(tar_files(), std::string(1100, '\0')), "bytes follow the end");
  t.files(
      149, "WrongSum", "checksum of the header differ", [](TarFiles& f) { f[1].sum_right = false; },
      ErrorCode::checksum);
  t.files(149, "NoHeader", "no tar header", [](TarFiles& f) {
    f[0].content += std::string(512, '\0') + "not a header";
    f[0].size = "00000000164";
  });
  t.files(149, "SizeNoNumber", "is no octal number", [](TarFiles& f) { f[1].size = "9"; });
  t.files(149, "SizeWithTail", "is no octal number", [](TarFiles& f) { f[1].size = "12x"; });
  t.files(149, "SizeHuge", "is cut", [](TarFiles& f) { f[1].size = "777777777777"; });
  t.files(149, "Filled", "bytes between two members", [](TarFiles& f) { f[0].fill = 'x'; });
  t.files(
      149, "Link", "not a regular file", [](TarFiles& f) { f[1].type = '2'; }, ErrorCode::unsupported);
  t.files(
      149, "LongName", "not a regular file",
      [](TarFiles& f) {
        f.insert(f.begin(), {"././@LongLink", "pickle", 'L'});
      },
      ErrorCode::unsupported);
  t.files(149, "PaxPath", "gives path, which changes",
          [](TarFiles& f) { f.insert(f.begin(), pax("15 path=pickle\n")); });
  t.files(149, "PaxTwice", "two extended headers", [](TarFiles& f) { f.insert(f.begin(), 2, pax("11 mtime=1\n")); });
  t.files(149, "PaxSizeTwice", "gives the size twice",
          [](TarFiles& f) { f.insert(f.begin(), pax("9 size=1\n9 size=1\n")); });
  t.files(149, "PaxSizeText", "a size that is no number", [](TarFiles& f) { f.insert(f.begin(), pax("9 size=x\n")); });
  t.files(149, "PaxSizeEmpty", "a size that is no number", [](TarFiles& f) { f.insert(f.begin(), pax("8 size=\n")); });
  t.refuse(149, "PaxAtTheEnd", build_tar({pax("11 mtime=1\n")}, ""), "is cut");
  t.refuse(149, "CutInThePadding", build_tar({{"a", "x"}}, "").substr(0, 600), "is cut");
  TarFiles twice = tar_files();
  twice.insert(twice.begin(), pax("11 size=" + std::to_string(twice[0].content.size()) + "\n"));
  t.accept(152, "PaxSizeAgrees", build_tar(twice), {{"w", {2, 3}, {0, 1, 2, 3, 4, 5}}});
  TarFiles many(30, {.name = std::string(20, 'a'), .content = ""});
  t.refuse(149, "ManyOthers", build_tar(many), "it holds: aaaaaaaaaaaaaaaaaaaa, aaaa");
  t.files(149, "PaxSizeDisagrees", "two sizes of a member differ",
          [](TarFiles& f) { f.insert(f.begin(), pax("9 size=1\n")); });
  t.files(149, "PaxSizeOverflows", "overflows 64 bits",
          [](TarFiles& f) { f[0].size = "0", f.insert(f.begin(), pax("29 size=18446744073709551615\n")); });
  const std::string digits(24, '9');
  t.files(149, "PaxSizeOver64Bits", "byte 512 (tar header): a size overflows 64 bits",
          [&](TarFiles& f) { f.insert(f.begin(), pax("33 size=" + digits + "\n")); });
  t.files(149, "PaxLengthOver64Bits", "byte 512 (tar header): a size overflows 64 bits",
          [&](TarFiles& f) { f.insert(f.begin(), pax(digits + " mtime=1\n")); });
  for (const char* records : {"mtime", "99 mtime=1\n", "11 mtime=1x", "7 mtime\n", "1 mtime=1\n", "x mtime=1\n",
                              "11 mtime:1\n", " mtime=1\n"})
    t.files(149, "PaxNoList", "no list of records", [&](TarFiles& f) { f.insert(f.begin(), pax(records)); });
}

void add_members(TarTable& t) {
  t.refuse(149, "Foreign", build_tar({{"readme.txt", "x"}, {"src/main.c", "y"}}),
           "not a checkpoint of PyTorch 0.1; it holds: readme.txt, src/main.c");
  t.refuse(149, "Empty", std::string(257, '\0') + "ustar" + std::string(762, '\0'), "checksum", ErrorCode::checksum);
  t.files(149, "NoStorages", "without storages", [](TarFiles& f) { f.pop_back(); });
  t.files(149, "PickleTwice", "two members of this name", [](TarFiles& f) { f.push_back(f[1]); });
  t.files(149, "Another", "a member that no checkpoint", [](TarFiles& f) { f.push_back({"evil", "x"}); });
  t.files(149, "Prefix", "without pickle", [](TarFiles& f) { f[1].prefix = "sub"; });
}

void add_pickles(TarTable& t) {
  const std::string evil = begin() + call(global("os", "system"), {text("x")}) + ".";
  t.shape(136, "HostileSysInfo", {.sys_info = evil}, "(sys_info): GLOBAL os.system");
  t.shape(136, "HostilePickle", {.object = evil}, "(pickle): GLOBAL os.system");
  t.shape(136, "HostileTensors", {.tensors = evil}, "(tensors): GLOBAL os.system");
  t.shape(136, "HostileStorages", {.storages = evil}, "(storages): GLOBAL os.system");
  t.shape(137, "Protocol", {.sys_info = begin() + dict({{"protocol_version", integer(1001)}}) + "."},
          "another protocol version than 1000");
  t.shape(138, "BigEndian", {.sys_info = begin() + dict({{"little_endian", "\x89"}}) + "."}, "big-endian",
          ErrorCode::unsupported);
  const auto object = [](const std::string& value) { return begin() + ordered({{"w", value}}) + "."; };
  t.shape(145, "IdUnknown", {.object = object(text("9") + "Q")},
          "tensor w: is number 9, which the file does not describe");
  t.shape(145, "IdOfStorage", {.object = object(text("2") + "Q")}, "does not describe");
  t.shape(145, "IdIsNumber", {.object = object(integer(1) + "Q")}, "the persistent id is no text");
  for (const char* id : {"", "x", "1x", "99999999999999999999", "000000000000000000001"})
    t.shape(145, "IdNoNumber", {.object = object(text(id) + "Q")}, "no whole number of 64 bits");
  const std::string empty = global("torch.nn.parameter", "Parameter") + ")\x81", one = text("1") + "Q";
  t.shape(36, "ParameterEmpty", {.object = object(empty)}, "tensor w: is a Parameter that was never given its values");
  t.shape(36, "ParameterOfEmpty", {.object = object(empty + tuple({empty, "N", "N", "\x88", "\x89"}) + "b")},
          "a state for a value");
  const std::string inner = empty + "q\x05" + "0", state = tuple({one, "N", "N", "\x88", "\x89"}) + "b";
  t.shape(36, "ParameterInParameter",
          {.object = object(inner + call(global("torch.nn.parameter", "Parameter"), {"h\x05"}) + state)},
          "wrong arguments for this name");
  t.shape(36, "RebuiltFromEmpty",
          {.object = object(inner + call(global("torch._utils", "_rebuild_parameter"), {"h\x05", "\x88", ordered({})}) +
                            state)},
          "wrong arguments for this name");
  t.shape(36, "ParameterOfText", {.object = object(empty + tuple({text("1"), "N", "N", "\x88", "\x89"}) + "b")},
          "a state for a value");
  t.shape(36, "ParameterOfFour", {.object = object(empty + tuple({one, "N", "N", "\x88"}) + "b")},
          "a state for a value");
  t.shape(36, "ParameterWithGradient", {.object = object(empty + tuple({one, one, "N", "\x88", "\x89"}) + "b")},
          "a state for a value");
  t.shape(36, "ParameterVolatile", {.object = object(empty + tuple({one, "N", "N", "\x88", "N"}) + "b")},
          "a state for a value");
  t.shape(36, "ParameterWithHooks",
          {.object = object(empty + tuple({one, "N", dict({{"a", "N"}}), "\x88", "\x89"}) + "b")},
          "a state for a value");
  t.shape(36, "ParameterFlag", {.object = object(empty + tuple({one, "N", "N", "N", "\x89"}) + "b")},
          "a state for a value");
}

void add_small_pickles(TarTable& t) {
  std::string objects;
  for (int i = 0; i < 1'001; ++i) objects += ")0";
  const std::string says = ": the pickle has too many objects";
  t.shape(44, "SysInfoOfManyObjects", {.sys_info = begin() + objects + "}."}, "(sys_info)" + says, ErrorCode::limit);
  t.shape(44, "CountOfManyObjects", {.tensors = begin() + objects + integer(1) + "."}, "(tensors)" + says,
          ErrorCode::limit);
}

void add_tensors(TarTable& t) {
  const auto tensors = [&](int number, const char* label, const std::string& entries, const std::string& says,
                           ErrorCode code = ErrorCode::malformed) {
    t.shape(number, label, {.tensors = pickled(1) + entries}, says, code);
  };
  const std::string good = tar_tensor(1, 2, {2, 3}, {3, 1});
  tensors(61, "SizeBeyond", tar_tensor(1, 2, {7}, {1}), "tensor w: shape 7 at offset 0 reaches element 6");
  tensors(63, "OffsetBeyond", tar_tensor(1, 2, {6}, {1}, 1), "at offset 1 reaches element 6");
  tensors(65, "NegativeStride", tar_tensor(1, 2, {2}, {-1}), "(tensors): negative stride -1");
  tensors(66, "NegativeOffset", tar_tensor(1, 2, {2}, {1}, -1), "negative offset -1");
  tensors(67, "NegativeSize", tar_tensor(1, 2, {-2}, {1}), "negative size -2");
  tensors(69, "TwoTo33Squared", tar_tensor(1, 2, {int64_t{1} << 33, int64_t{1} << 33}, {0, 0}), "overflows 64 bits");
  tensors(73, "ExpandBomb", tar_tensor(1, 2, {int64_t{1} << 40}, {0}), "the tensors would fill", ErrorCode::limit);
  tensors(74, "Rank9", tar_tensor(1, 2, std::vector<int64_t>(9, 1), std::vector<int64_t>(9, 1)), "too many axes",
          ErrorCode::limit);
  const std::string head = good.substr(0, good.size() - 8 * 5 - 8);
  tensors(74, "RankNegative", head + little(0xFFFFFFFF, 4) + std::string(44, '\0'), "a tensor of -1 axes");
  tensors(142, "StorageUnknown", tar_tensor(1, 3, {2}, {1}), "lies in storage 3, which the file does not hold");
  tensors(142, "TypeDiffers", tar_tensor(1, 2, {2}, {1}, 0, "IntTensor"), "another type than its storage");
  tensors(142, "TypeIsStorage", tar_tensor(1, 2, {2}, {1}, 0, "FloatStorage"), "not three parts");
  tensors(142, "NumberOfStorage", tar_tensor(2, 2, {2}, {1}), "the number 2 is given twice");
  tensors(142, "NumberIsText", begin() + text("1") + integer(2) + global("torch", "FloatTensor") + "\x87.",
          "not three parts");
  tensors(142, "TypeIsText", begin() + integer(1) + integer(2) + text("x") + "\x87.", "not three parts");
  tensors(142, "HeadOfTwo", begin() + integer(1) + integer(2) + "\x86.", "not three parts");
  tensors(142, "HeadIsNumber", pickled(1), "not three parts");
  tensors(142, "StorageIsText", begin() + integer(1) + text("2") + global("torch", "FloatTensor") + "\x87.",
          "has no number");
  tensors(142, "TensorsCut", good.substr(0, good.size() - 1), "the file ends inside a member");
  tensors(142, "BytesBehindTensors", good + "x", "1 bytes follow the end");
  t.shape(142, "TensorTwice", {.tensors = pickled(2) + good + good}, "the number 1 is given twice");
  t.shape(142, "CountTooLow", {.tensors = pickled(0) + good}, "bytes follow the end");
  t.shape(142, "CountNegative", {.tensors = pickled(-1) + good}, "does not begin with a count");
  t.shape(142, "CountText", {.tensors = begin() + text("1") + "." + good}, "does not begin with a count");
  t.shape(142, "CountHuge", {.tensors = pickled(1'000'000'000) + good}, "too many tensors", ErrorCode::limit);
}

void add_tar_storages(TarTable& t) {
  const std::string good = tar_storage(2, 6, six_floats()), none = pickled_views({});
  const auto storages = [&](int number, const char* label, const std::string& entries, const std::string& says) {
    t.shape(number, label, {.storages = pickled(1) + entries}, says);
  };
  std::string meta = good;
  meta.replace(meta.find(text("cpu")), text("cpu").size(), text("meta"));
  t.shape(143, "DeviceMeta", {.storages = pickled(1) + meta + none}, "(storages): storage 2 was on device meta",
          ErrorCode::unsupported);
  storages(139, "NumelMore", tar_storage(2, 7, six_floats()) + none, "(storages)");
  storages(140, "NumelNegative", tar_storage(2, -1, six_floats()) + none, "negative size -1");
  storages(141, "Numel2To62", tar_storage(2, int64_t{1} << 62, six_floats()) + none, "(storages): a size overflows");
  storages(141, "Numel2To61", tar_storage(2, int64_t{1} << 61, six_floats()) + none, "bytes, ");
  storages(141, "OverTheMember", tar_storage(2, 1 << 20, six_floats()) + none, "is said to have 4194304 bytes");
  storages(142, "LocationIsNumber",
           begin() + integer(2) + integer(0) + global("torch", "FloatStorage") + "\x87." + little(6, 8) + six_floats() +
               none,
           "location of a storage is no text");
  storages(142, "NoViews", good, "the pickle does not begin with it");
  storages(142, "ViewsAreNumber", good + pickled(1), "no list of views");
  storages(142, "BytesBehindStorages", good + none + "xy", "2 bytes follow the end");
  storages(145, "ViewOfThree", good + pickled_views({{3, 2, 0}}), "not four whole numbers");
  storages(145, "ViewIsNumber", good + begin() + list({integer(3)}) + ".", "not four whole numbers");
  storages(145, "ViewOfText", good + begin() + list({tuple({integer(3), integer(2), text("0"), integer(1)})}) + ".",
           "not four whole numbers");
  storages(145, "ViewOfUnknown", good + pickled_views({{3, 9, 0, 1}}), "a view of storage 9");
  storages(145, "ViewOfView", good + pickled_views({{3, 2, 0, 1}, {4, 3, 0, 1}}), "a view of storage 3");
  storages(145, "ViewBeyond", good + pickled_views({{3, 2, 4, 3}}),
           "a view of 3 elements from 4, beyond the storage of 6");
  storages(145, "ViewNegative", good + pickled_views({{3, 2, -1, 3}}), "negative size -1");
  storages(145, "ViewWraps", good + pickled_views({{3, 2, INT64_MAX, INT64_MAX}}), "beyond the storage");
  storages(145, "ViewTwice", good + pickled_views({{3, 2, 0, 1}, {3, 2, 0, 1}}), "the number 3 is given twice");
  t.shape(142, "StorageTwice", {.storages = pickled(2) + good + good + none}, "the number 2 is given twice");
}

void add_good(TarTable& t) {
  const ExpectedTensor w{"w", {2, 3}, {0, 1, 2, 3, 4, 5}};
  t.accept(152, "Plain", build_tar(tar_files()), {w});
  t.accept(152, "Padded", build_tar(tar_files(), std::string(10'240, '\0')), {w});
  TarFiles files = tar_files();
  for (size_t i = 0; i < 8; i += 2)
    files.insert(files.begin() + static_cast<ptrdiff_t>(i), pax("20 mtime=1483719550\n12 uname=me\n"));
  t.accept(152, "PaxTimes", build_tar(files), {w});
  files = tar_files();
  const std::string size = std::to_string(files[3].content.size());
  files[3].size = "0";
  files.insert(files.begin() + 3, pax(std::to_string(7 + size.size() + 2) + " size=" + size + "\n"));
  t.accept(152, "PaxSize", build_tar(files), {w});
  std::string ids = text("1") + "q\x05" + "0";
  for (int i = 0; i < 1'000'001; ++i) ids += "h\x05Q0";
  t.accept(161, "IdAgainAndAgain",
           build_tar(tar_files({.object = begin() + ordered({{"w", ids + text("1") + "Q"}}) + "."})), {w});
  const std::string one = text("1") + "Q", empty = global("torch.nn.parameter", "Parameter") + ")\x81";
  const std::string shared =
      begin() + ordered({{"w", empty + "q\x05" + tuple({one, "N", "N", "\x88", "\x89"}) + "b"}, {"tied", "h\x05"}}) +
      ".";
  t.accept(155, "Parameters", build_tar(tar_files({.object = shared})), {w, {"tied", {2, 3}, w.values}});
  t.accept(
      161, "View",
      build_tar(tar_files({.tensors = pickled(1) + tar_tensor(1, 3, {2, 2}, {2, 1}),
                           .storages = pickled(1) + tar_storage(2, 6, six_floats()) + pickled_views({{3, 2, 1, 4}})})),
      {{"w", {2, 2}, {1, 2, 3, 4}}});
  t.accept(163, "Scalar", build_tar(tar_files({.tensors = pickled(1) + tar_tensor(1, 2, {}, {}, 4)})),
           {{"w", {}, {4}}});
}

}  // namespace

std::vector<Case> tar_cases() {
  TarTable table;
  add_archive(table);
  add_members(table);
  add_pickles(table);
  add_small_pickles(table);
  add_tensors(table);
  add_tar_storages(table);
  add_good(table);
  // Variants made in a loop need names of their own.
  for (size_t i = 0; i < table.cases.size(); ++i)
    if (table.cases[i].name == "TarPaxNoList" || table.cases[i].name == "TarIdNoNumber")
      table.cases[i].name += std::to_string(i);
  return table.cases;
}

}  // namespace furrow::testing
