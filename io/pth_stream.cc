#include "io/pth_stream.h"

#include <string>
#include <unordered_map>

#include "io/cursor.h"
#include "io/non_finite.h"
#include "io/pickle.h"
#include "io/pth_parts.h"
#include "kernels/checked.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagicNumber = "\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv;  // LONG1, STOP
constexpr std::string_view kMagicFrame = "\x95\x0d\0\0\0\0\0\0\0"sv;                           // from protocol 4: FRAME
constexpr int64_t kStreamProtocol = 1001;

// Bytes of the pickled magic number at the start; 0 where there is none.
uint64_t magic_length(std::string_view bytes) {
  if (bytes.size() < 2 || bytes[0] != '\x80' || bytes[1] < 2 || bytes[1] > 5) return 0;
  uint64_t at = 2;
  if (bytes.substr(at).starts_with(kMagicFrame)) at += kMagicFrame.size();
  return bytes.substr(at).starts_with(kMagicNumber) ? at + kMagicNumber.size() : 0;
}

class StreamReader {
 public:
  StreamReader(std::span<const std::byte> bytes, uint64_t at, const Limits& limits)
      : bytes_(bytes), limits_(limits), budget_(std::make_shared<ReadBudget>(bytes.size(), limits)), at_(at) {}

  uint64_t at() const { return at_; }
  const std::shared_ptr<ReadBudget>& budget() const { return budget_; }

  Pickle pickle(std::string_view entry, PickleIds ids = PickleIds::none) {
    uint64_t length = 0;
    Pickle out = run_pickle_ahead(bytes_.subspan(static_cast<size_t>(at_)),
                                  ids == PickleIds::none ? small_pickle(limits_) : limits_,
                                  {.entry = entry, .at = at_, .ids = ids, .budget = budget_}, length);
    at_ += length;
    return out;
  }

  // The storages in the order of `keys`, each under a claim of `object`.
  void storages(const Pickle& object, const Pickle& keys, PthRecords& records) {
    BudgetShare share(budget_);
    constexpr uint64_t kClaimBytes = 56;
    with_place(object.source().at, object.entry(),
               [&] { share.charge(Checked(object.storages().size()) * kClaimBytes, "the storages"); });
    std::unordered_map<std::string_view, const PickleStorage*, SecretHash> claims;
    for (const PickleStorage& claim : object.storages()) claims.emplace(object.text(claim.key), &claim);
    for (const PickleValue& value : keys.items(keys.root())) {
      const std::string_view key = keys.text(value);
      const std::string name = "storage " + printable(key, 60);
      const auto claim = claims.find(key);
      if (claim == claims.end()) refuse(name, "it is listed, but nothing in the object uses it");
      const auto stored = storage(name, *claim->second);
      if (!with_place(at_, name, [&] { return records.add(key, stored); })) refuse(name, "it is listed twice");
    }
    for (const PickleStorage& claim : object.storages())
      if (records.find(object.text(claim.key)) == nullptr)
        throw Error(ErrorCode::malformed,
                    "storage " + printable(object.text(claim.key), 60) + " is used, but the file does not hold it")
            .at(claim.at)
            .in(object.entry());
    if (at_ < bytes_.size())
      throw Error(ErrorCode::malformed, std::to_string(bytes_.size() - at_) + " bytes follow the last storage").at(at_);
  }

 private:
  [[noreturn]] void refuse(const std::string& name, const std::string& why) const {
    throw Error(ErrorCode::malformed, why).at(at_).in(name);
  }

  std::span<const std::byte> storage(const std::string& name, const PickleStorage& claim) {
    return with_place(at_, name, [&] {
      Cursor cursor(bytes_, at_, "the size of a storage");
      const auto elements = cursor.number<int64_t>();
      if (elements != claim.elements)
        refuse(name, "the file holds " + std::to_string(elements) + " elements, the pickle claims " +
                         std::to_string(claim.elements));
      const Checked size = Checked::from_signed(elements) * size_of(claim.dtype);
      if (size > Checked(cursor.left()))
        throw Error(ErrorCode::malformed, "the file is cut: " + std::to_string(size.value()) + " bytes belong here, " +
                                              std::to_string(cursor.left()) + " are left")
            .at(cursor.at())
            .in(name)
            .hint("download or copy it again");
      const auto data = cursor.take(size.value());
      at_ = cursor.at();
      return data;
    });
  }

  const std::span<const std::byte> bytes_;
  const Limits limits_;
  const std::shared_ptr<ReadBudget> budget_;
  uint64_t at_;
};

}  // namespace

bool is_pth_stream(std::string_view bytes) { return magic_length(bytes) > 0; }

void check_sys_info(const Pickle& pickle, int64_t protocol, uint64_t at) {
  const auto refuse = [&](ErrorCode code, const std::string& why, const char* hint = "") {
    throw Error(code, why).at(at).in(pickle.entry()).hint(hint);
  };
  if (!is_dict(pickle.root())) refuse(ErrorCode::malformed, "what the file says of its machine is no dictionary");
  const auto items = pickle.items(pickle.root());
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i].kind != PickleKind::text) continue;
    const std::string_view key = pickle.text(items[i]);
    const PickleValue& value = items[i + 1];
    if (key == "protocol_version" && (value.kind != PickleKind::integer || value.number != protocol))
      refuse(ErrorCode::malformed, "states another protocol version than " + std::to_string(protocol));
    if (key != "little_endian") continue;
    if (value.kind != PickleKind::boolean) refuse(ErrorCode::malformed, "little_endian is neither true nor false");
    if (value.number == 0)
      refuse(ErrorCode::unsupported, "written on a big-endian machine; only little-endian files are read",
             "load and save it again with PyTorch on another machine");
  }
}

Checkpoint read_pth_stream(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Limits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (bytes[1] == std::byte{5})
    throw Error(ErrorCode::unsupported, "a legacy stream of pickle protocol 5; 2, 3 and 4 are read")
        .at(1)
        .hint("save it again without pickle_protocol");
  StreamReader reader(bytes, magic_length(text), limits);
  const uint64_t version_at = reader.at();
  const Pickle version = reader.pickle("protocol version");
  if (version.root().kind != PickleKind::integer)
    throw Error(ErrorCode::malformed, "the protocol version is no number").at(version_at).in(version.entry());
  if (version.root().number != kStreamProtocol)
    throw Error(ErrorCode::unsupported, "a legacy stream of protocol " + std::to_string(version.root().number) + "; " +
                                            std::to_string(kStreamProtocol) + " is read")
        .at(version_at)
        .in(version.entry());
  const uint64_t info_at = reader.at();
  check_sys_info(reader.pickle("sys info"), kStreamProtocol, info_at);
  const Pickle object = reader.pickle("object pickle", PickleIds::stream);
  PthRecords records("storage ", reader.budget());
  check_storages(object, records);
  const uint64_t keys_at = reader.at();
  const Pickle keys = reader.pickle("key list");
  if (keys.root().kind != PickleKind::list)
    throw Error(ErrorCode::malformed, "the storage keys are no list").at(keys_at).in(keys.entry());
  for (const PickleValue& key : keys.items(keys.root()))
    if (key.kind != PickleKind::text)
      throw Error(ErrorCode::malformed, "a storage key that is no text").at(keys_at).in(keys.entry());
  reader.storages(object, keys, records);

  PthTensors tensors(records, std::move(owner), reader.budget());
  Checkpoint out = assemble_pth(
      object, [&](const PickleTensor& tensor) { return claim_of(object, tensor, limits); }, tensors, limits);
  out.container = "legacy stream";
  note_non_finite(out.tensors, out.notes);
  return out;
}

}  // namespace furrow::io
