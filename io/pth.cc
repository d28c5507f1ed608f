#include "io/pth.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "io/non_finite.h"
#include "io/pickle.h"
#include "io/pth_parts.h"
#include "io/zip.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr uint64_t kNewestVersion = 10;  // of PyTorch's archive format
constexpr uint64_t kNewestFormat = 1;    // of `.format_version`, PyTorch 2.6
constexpr size_t kMaxRecord = 64;        // bytes of `version`, `byteorder` and other short records

// Content of a short record; "" where it is longer than any valid one.
std::string short_text(const ZipArchive& zip, const ZipEntry& entry) {
  if (entry.size > kMaxRecord) return "";
  const ZipData data = zip.read(entry);
  return {reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size()};
}

[[noreturn]] void refuse_without_pickle(const ZipArchive& zip) {
  std::vector<std::string> names;
  std::string line;
  bool arrays = !zip.entries().empty();
  for (const ZipEntry& entry : zip.entries()) {
    arrays = arrays && entry.name.ends_with(".npy");
    if (names.size() < 100) names.push_back(printable(entry.name));
    if (line.size() < 200) line += (line.empty() ? "" : ", ") + printable(entry.name, 60);
  }
  if (arrays) throw Error(ErrorCode::unsupported, "a NumPy .npz archive, not a checkpoint; it holds: " + line);
  throw Error(ErrorCode::malformed, names.empty() ? "an empty zip, not a checkpoint"
                                                  : "a zip without ROOT/data.pkl, not a checkpoint; it holds: " + line)
      .details(std::move(names));
}

// "ROOT/", the one folder that holds everything.
std::string find_root(const ZipArchive& zip) {
  std::string root;
  for (const ZipEntry& entry : zip.entries()) {
    const size_t cut = entry.name.find('/');
    if (cut != entry.name.npos && entry.name.substr(cut) == "/data.pkl") root = entry.name.substr(0, cut + 1);
  }
  if (root.empty()) refuse_without_pickle(zip);
  for (const ZipEntry& entry : zip.entries())
    if (!entry.name.starts_with(root))
      throw Error(ErrorCode::malformed, "an entry outside the archive's folder " + printable(root))
          .at(entry.header_at)
          .in(entry.name);
  return root;
}

void refuse_torchscript(const ZipArchive& zip, const std::string& root) {
  for (const ZipEntry& entry : zip.entries())
    if (entry.name == root + "constants.pkl" || entry.name.starts_with(root + "code/"))
      throw Error(ErrorCode::unsupported, "a TorchScript archive: it holds a program, which is not run")
          .at(entry.header_at)
          .in(entry.name)
          .hint("save the state_dict instead: torch.save(model.state_dict(), FILE)");
}

// The number in a record (UINT64_MAX where it is larger); none where the archive has no such record.
std::optional<uint64_t> number_in(const ZipArchive& zip, const std::string& record, const char* what) {
  const ZipEntry* entry = zip.find(record);
  if (entry == nullptr) return std::nullopt;
  const std::string content = short_text(zip, *entry);
  std::string_view text = content;
  while (text.ends_with('\n')) text.remove_suffix(1);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool too_large = error == std::errc::result_out_of_range;
  if (end != text.data() + text.size() || text.empty() || (error != std::errc() && !too_large))
    throw Error(ErrorCode::malformed, std::string("the ") + what + " is no number")
        .at(entry->header_at)
        .in(entry->name);
  return too_large ? UINT64_MAX : number;
}

void check_newest(const ZipArchive& zip, const std::string& record, const char* what, uint64_t newest) {
  const auto number = number_in(zip, record, what);
  if (!number || *number <= newest) return;
  const ZipEntry& entry = *zip.find(record);
  throw Error(ErrorCode::unsupported, std::string(what) + " " + printable(short_text(zip, entry), 30) +
                                          " is newer than " + std::to_string(newest))
      .at(entry.header_at)
      .in(entry.name);
}

// A promise about where the records lie, which rewriting the zip breaks without harm; but it must be one.
void check_alignment(const ZipArchive& zip, const std::string& root) {
  const auto alignment = number_in(zip, root + ".storage_alignment", "storage alignment");
  if (alignment && !std::has_single_bit(*alignment))
    throw Error(ErrorCode::malformed, "storage alignment " + std::to_string(*alignment) + ", no power of two")
        .at(zip.find(root + ".storage_alignment")->header_at)
        .in(root + ".storage_alignment");
}

void check_byte_order(const ZipArchive& zip, const std::string& root) {
  const ZipEntry* entry = zip.find(root + "byteorder");
  if (entry == nullptr) return;
  const std::string text = short_text(zip, *entry);
  if (text == "little") return;
  const ErrorCode code = text == "big" ? ErrorCode::unsupported : ErrorCode::malformed;
  throw Error(code, "byte order \"" + printable(text) + "\"; only little is read").at(entry->header_at).in(entry->name);
}

}  // namespace

Checkpoint read_pth(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Limits& limits) {
  const ZipArchive zip(bytes, limits);
  const std::string root = find_root(zip);
  refuse_torchscript(zip, root);
  check_newest(zip, root + "version", "archive version", kNewestVersion);
  check_newest(zip, root + ".format_version", "format version", kNewestFormat);
  check_alignment(zip, root);
  check_byte_order(zip, root);
  const ZipEntry& record = *zip.find(root + "data.pkl");
  if (record.size > limits.pickle_bytes)
    throw Error(ErrorCode::limit, "the pickle is too large")
        .at(record.header_at)
        .in(record.name)
        .limit(limits.pickle_bytes, record.size);
  const auto budget = std::make_shared<ReadBudget>(bytes.size(), limits);
  BudgetShare inflated(budget);
  with_place(record.header_at, record.name,
             [&] { inflated.charge(record.deflated ? record.size : 0, "the pickle"); });
  const ZipData content = zip.read(record);
  const Pickle pickle = run_pickle(content.bytes, limits, {.budget = budget});
  const std::string data = root + "data/";
  PthRecords records(data, budget);
  for (const ZipEntry& entry : zip.entries())
    if (entry.name.starts_with(data) && entry.name != data)  // the folder itself may have an entry
      with_place(entry.header_at, entry.name,
                 [&] { records.add(entry.name.substr(data.size()), entry.stored, &entry); });
  check_storages(pickle, records);
  PthTensors tensors(records, std::move(owner), budget);
  Checkpoint out = assemble_pth(
      pickle, [&](const PickleTensor& tensor) { return claim_of(pickle, tensor, limits); }, tensors, limits);
  out.container = "zip .pth";
  const auto unverified = std::ranges::count_if(zip.entries(), [](const ZipEntry& entry) { return !entry.verified; });
  if (unverified > 0) out.notes.push_back("CRC not stored: " + std::to_string(unverified) + " records unverified");
  note_non_finite(out.tensors, out.notes);
  return out;
}

}  // namespace furrow::io
