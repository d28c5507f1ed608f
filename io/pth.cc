#include "io/pth.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "io/non_finite.h"
#include "io/pickle.h"
#include "io/pth_parts.h"
#include "io/zip.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr int kNewestVersion = 10;  // of PyTorch's archive format
constexpr size_t kMaxRecord = 64;   // bytes of `version` and `byteorder`

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

void check_version(const ZipArchive& zip, const std::string& root) {
  const ZipEntry* entry = zip.find(root + "version");
  if (entry == nullptr) return;
  const std::string record = short_text(zip, *entry);
  std::string_view text = record;
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty() || text.find_first_not_of("0123456789") != text.npos)
    throw Error(ErrorCode::malformed, "the archive version is no number").at(entry->header_at).in(entry->name);
  // Without leading zeros a number of three digits is over the limit already, however long it is.
  text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
  if (text.size() > 2 || std::stoi("0" + std::string(text)) > kNewestVersion)
    throw Error(ErrorCode::unsupported,
                "archive version " + printable(text) + " is newer than " + std::to_string(kNewestVersion))
        .at(entry->header_at)
        .in(entry->name);
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
  check_version(zip, root);
  check_byte_order(zip, root);
  const ZipEntry& record = *zip.find(root + "data.pkl");
  if (record.size > limits.pickle_bytes)
    throw Error(ErrorCode::limit, "the pickle is too large")
        .at(record.header_at)
        .in(record.name)
        .limit(limits.pickle_bytes, record.size);
  const ZipData content = zip.read(record);
  const Pickle pickle = run_pickle(content.bytes, limits);
  PthSelection selection = select_tensors(pickle, limits);

  PthTensors tensors(zip, root, pickle, std::move(owner), bytes.size(), limits);
  std::vector<PthTensors::Plan> plans;
  for (const auto& [name, value] : selection.tensors) plans.push_back(tensors.check(name, value));
  Checkpoint out;
  for (PthTensors::Plan& plan : plans) out.tensors.push_back(tensors.build(std::move(plan)));
  out.container = "zip .pth";
  out.nested_under = std::move(selection.nested_under);
  out.stripped_prefix = std::move(selection.stripped_prefix);
  out.metadata = std::move(selection.metadata);
  out.notes = std::move(selection.notes);
  const auto unverified = std::ranges::count_if(zip.entries(), [](const ZipEntry& entry) { return !entry.verified; });
  if (unverified > 0) out.notes.push_back("CRC not stored: " + std::to_string(unverified) + " records unverified");
  note_non_finite(out.tensors, out.notes);
  return out;
}

}  // namespace furrow::io
