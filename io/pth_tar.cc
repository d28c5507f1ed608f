#include "io/pth_tar.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>

#include "io/cursor.h"
#include "io/non_finite.h"
#include "io/pickle.h"
#include "io/pickle_globals.h"
#include "io/pth_parts.h"
#include "io/pth_stream.h"
#include "io/tar.h"
#include "kernels/checked.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

constexpr int64_t kTarProtocol = 1000;
constexpr std::array<std::string_view, 4> kMembers = {"sys_info", "pickle", "tensors", "storages"};

// The four members, in the order of kMembers.
std::array<TarMember, 4> find_members(std::span<const std::byte> bytes, const Limits& limits) {
  const std::vector<TarMember> members = read_tar(bytes, limits);
  std::array<TarMember, 4> out;
  std::array<bool, 4> found{};
  std::string names;
  const TarMember* other = nullptr;
  for (const TarMember& member : members) {
    if (names.size() < 200) names += (names.empty() ? "" : ", ") + printable(member.name, 60);
    const auto place = static_cast<size_t>(std::ranges::find(kMembers, member.name) - kMembers.begin());
    if (place == kMembers.size()) {
      other = other == nullptr ? &member : other;
      continue;
    }
    if (found[place])
      throw Error(ErrorCode::malformed, "two members of this name").at(member.header_at).in(member.name);
    found[place] = true;
    out[place] = member;
  }
  for (size_t i = 0; i < kMembers.size(); ++i)
    if (!found[i])
      throw Error(ErrorCode::malformed, "a tar archive without " + std::string(kMembers[i]) +
                                            ", not a checkpoint of PyTorch 0.1; it holds: " + names)
          .at(0);
  if (other != nullptr)
    throw Error(ErrorCode::malformed, "a member that no checkpoint of PyTorch 0.1 has")
        .at(other->header_at)
        .in(other->name);
  return out;
}

// Reads forward through a member: pickles and numbers in turn.
class MemberReader {
 public:
  MemberReader(const TarMember& member, std::string_view name, std::shared_ptr<ReadBudget> budget)
      : member_(member), name_(name), limits_(budget->limits()), budget_(std::move(budget)) {}

  uint64_t file_at() const { return member_.at + at_; }
  std::string_view name() const { return name_; }
  uint64_t left() const { return member_.bytes.size() - at_; }

  Pickle pickle(const Limits& limits) {
    uint64_t length = 0;
    Pickle out = run_pickle_ahead(member_.bytes.subspan(static_cast<size_t>(at_)), limits,
                                  {.entry = name_, .at = file_at(), .ids = PickleIds::none, .budget = budget_}, length);
    at_ += length;
    return out;
  }
  Pickle pickle() { return pickle(small_pickle(limits_)); }
  std::span<const std::byte> take(uint64_t count) {
    return with_place(file_at(), name_, [&] {
      Cursor cursor(member_.bytes, at_, "a member of the archive", member_.at);
      const auto out = cursor.take(count);
      at_ = cursor.at();
      return out;
    });
  }
  template <class T>
  T number() {
    return Cursor(take(sizeof(T)), 0, "a number").number<T>();
  }
  // The count that the member begins with.
  uint64_t count() {
    const Pickle pickled = pickle();
    const PickleValue value = pickled.root();
    if (value.kind != PickleKind::integer || value.number < 0) refuse("does not begin with a count");
    const auto count = static_cast<uint64_t>(value.number);
    if (count > limits_.tensors)
      throw Error(ErrorCode::limit, "too many " + std::string(name_))
          .at(member_.at)
          .in(name_)
          .limit(limits_.tensors, count);
    return count;
  }
  void end() const {
    if (left() > 0) refuse(std::to_string(left()) + " bytes follow the end of what it holds");
  }
  [[noreturn]] void refuse(const std::string& why, ErrorCode code = ErrorCode::malformed) const {
    throw Error(code, why).at(file_at()).in(name_);
  }

 private:
  const TarMember& member_;
  const std::string_view name_;
  const Limits limits_;
  const std::shared_ptr<ReadBudget> budget_;
  uint64_t at_ = 0;
};

struct TarStorage {
  std::string key;  // of its record; of a view, the key of its storage
  DType dtype = DType::f32;
  uint64_t elements = 0;      // of the record
  uint64_t begin = 0, count;  // the part that is meant, in elements
  bool view = false;
};

struct TarTensor {
  PthClaim claim;
  uint64_t at = 0;
};

class TarCheckpoint {
 public:
  explicit TarCheckpoint(std::shared_ptr<ReadBudget> budget) : budget_(std::move(budget)), share_(budget_) {}

  void read_storages(const TarMember& member, PthRecords& records) {
    MemberReader in(member, kMembers[3], budget_);
    for (uint64_t left = in.count(); left > 0; --left) read_storage(in, records);
    const Pickle views = in.pickle(budget_->limits());
    if (views.root().kind != PickleKind::list) in.refuse("what follows the storages is no list of views");
    for (const PickleValue& view : views.items(views.root())) add_view(in, views, view);
    in.end();
  }

  void read_tensors(const TarMember& member) {
    MemberReader in(member, kMembers[2], budget_);
    for (uint64_t left = in.count(); left > 0; --left) {
      const uint64_t at = in.file_at();
      charge(in);
      const Pickle head = in.pickle();
      const auto parts = three_parts(in, head, PickleGlobal::tensor_type);
      if (parts[1].kind != PickleKind::integer) in.refuse("the storage of a tensor has no number");
      const auto storage = storages_.find(parts[1].number);
      if (storage == storages_.end())
        in.refuse("tensor " + std::to_string(parts[0].number) + " lies in storage " + std::to_string(parts[1].number) +
                  ", which the file does not hold");
      if (storage->second.dtype != static_cast<DType>(parts[2].index))
        in.refuse("tensor " + std::to_string(parts[0].number) + " is of another type than its storage");
      TarTensor tensor{claim_of_storage(storage->second), at};
      read_shape(in, tensor.claim);
      if (storages_.contains(parts[0].number) || !tensors_.emplace(parts[0].number, std::move(tensor)).second)
        in.refuse("the number " + std::to_string(parts[0].number) + " is given twice");
    }
    in.end();
  }

  PthClaim claim(const PickleTensor& tensor) const {
    const auto found = tensors_.find(tensor.id);
    if (found == tensors_.end())
      throw Error(ErrorCode::malformed,
                  "is number " + std::to_string(tensor.id) + ", which the file does not describe");
    return found->second.claim;
  }

 private:
  // (number, VALUE, TYPE) of the kind `type`.
  static std::span<const PickleValue> three_parts(const MemberReader& in, const Pickle& pickle, PickleGlobal type) {
    const PickleValue root = pickle.root();
    const auto items = root.kind == PickleKind::tuple ? pickle.items(root) : std::span<const PickleValue>();
    if (items.size() != 3 || items[0].kind != PickleKind::integer || items[2].kind != PickleKind::global ||
        static_cast<PickleGlobal>(items[2].number) != type)
      in.refuse("a description that is not three parts: number, place and type");
    return items;
  }

  void read_storage(MemberReader& in, PthRecords& records) {
    charge(in);
    const Pickle head = in.pickle();
    const auto parts = three_parts(in, head, PickleGlobal::storage);
    if (parts[1].kind != PickleKind::text) in.refuse("the location of a storage is no text");
    if (head.text(parts[1]) == "meta")
      in.refuse("storage " + std::to_string(parts[0].number) + " was on device meta, which has no data",
                ErrorCode::unsupported);
    TarStorage storage{.key = std::to_string(parts[0].number), .dtype = static_cast<DType>(parts[2].index), .count = 0};
    const uint64_t at = in.file_at();
    const auto elements = in.number<int64_t>();
    const uint64_t bytes = with_place(at, in.name(), [&] {
      storage.elements = storage.count = Checked::from_signed(elements).value();
      return (Checked(storage.elements) * size_of(storage.dtype)).value();
    });
    if (bytes > in.left())
      in.refuse("storage " + storage.key + " is said to have " + std::to_string(bytes) + " bytes, " +
                std::to_string(in.left()) + " are left");
    const auto stored = in.take(bytes);
    if (!with_place(in.file_at(), in.name(), [&] { return records.add(storage.key, stored); }))
      in.refuse("the number " + storage.key + " is given twice");
    storages_.emplace(parts[0].number, std::move(storage));
  }

  void add_view(const MemberReader& in, const Pickle& pickle, const PickleValue& view) {
    charge(in);
    const auto parts = view.kind == PickleKind::tuple ? pickle.items(view) : std::span<const PickleValue>();
    const auto whole = [](const PickleValue& v) { return v.kind == PickleKind::integer; };
    if (parts.size() != 4 || !std::ranges::all_of(parts, whole)) in.refuse("a view that is not four whole numbers");
    const auto root = storages_.find(parts[1].number);
    if (root == storages_.end() || root->second.view)
      in.refuse("a view of storage " + std::to_string(parts[1].number) + ", which the file does not hold");
    TarStorage out = root->second;
    out.view = true;
    with_place(in.file_at(), in.name(), [&] {
      out.begin = Checked::from_signed(parts[2].number).value(),
      out.count = Checked::from_signed(parts[3].number).value();
      if (Checked(out.begin) + out.count > Checked(out.elements))
        in.refuse("a view of " + std::to_string(out.count) + " elements from " + std::to_string(out.begin) +
                  ", beyond the storage of " + std::to_string(out.elements));
    });
    if (!storages_.emplace(parts[0].number, std::move(out)).second)
      in.refuse("the number " + std::to_string(parts[0].number) + " is given twice");
  }

  PthClaim claim_of_storage(const TarStorage& storage) const {
    PthClaim out;
    out.dtype = storage.dtype;
    out.key = storage.key;
    out.elements = storage.elements;
    out.width = size_of(storage.dtype);
    out.begin = (Checked(storage.begin) * out.width).value();
    out.end = (Checked(storage.begin + storage.count) * out.width).value();
    return out;
  }

  void read_shape(MemberReader& in, PthClaim& out) const {
    const uint64_t at = in.file_at();
    const auto rank = in.number<int32_t>();
    in.take(4);  // the writer copied 8 bytes of a number of 4
    if (rank < 0) in.refuse("a tensor of " + std::to_string(rank) + " axes");
    with_place(at, in.name(), [&] {
      if (static_cast<uint64_t>(rank) > budget_->limits().rank)
        throw Error(ErrorCode::limit, "a tensor has too many axes")
            .limit(budget_->limits().rank, static_cast<uint64_t>(rank));
      for (int32_t i = 0; i < rank; ++i) out.dims.push_back(in.number<int64_t>());
      for (int32_t i = 0; i < rank; ++i) out.strides.push_back(in.number<int64_t>());
      const auto offset = in.number<int64_t>();
      check_shape(out.dims, out.strides, offset, budget_->limits());
      out.offset = Checked::from_signed(offset).value();
    });
  }

  void charge(const MemberReader& in) {
    constexpr uint64_t kEntryBytes = 400;  // of either map, with its vectors and key
    with_place(in.file_at(), in.name(), [&] { share_.charge(kEntryBytes, "what the file describes"); });
  }

  const std::shared_ptr<ReadBudget> budget_;
  BudgetShare share_;
  // Nodes do not move: claims point to the keys.
  std::unordered_map<int64_t, TarStorage, SecretHash> storages_;
  std::unordered_map<int64_t, TarTensor, SecretHash> tensors_;
};

}  // namespace

Checkpoint read_pth_tar(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Limits& limits) {
  const auto [sys_info, object_member, tensors_member, storages_member] = find_members(bytes, limits);
  const auto budget = std::make_shared<ReadBudget>(bytes.size(), limits);
  check_sys_info(run_pickle(sys_info.bytes, small_pickle(limits), {kMembers[0], sys_info.at, PickleIds::none, budget}),
                 kTarProtocol, sys_info.at);
  const Pickle object =
      run_pickle(object_member.bytes, limits, {kMembers[1], object_member.at, PickleIds::tar, budget});
  TarCheckpoint content(budget);
  PthRecords records("storage ", budget);
  content.read_storages(storages_member, records);
  content.read_tensors(tensors_member);

  PthTensors tensors(records, std::move(owner), budget);
  Checkpoint out = assemble_pth(
      object, [&](const PickleTensor& tensor) { return content.claim(tensor); }, tensors, limits);
  out.container = "tar of 2017";
  note_non_finite(out.tensors, out.notes);
  return out;
}

}  // namespace furrow::io
