#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <unordered_set>

#include "io/pth_parts.h"
#include "kernels/error.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

constexpr std::array<std::string_view, 3> kWrappers = {"model_state_dict", "state_dict", "model"};
constexpr std::array<std::string_view, 2> kPrefixes = {"module.", "_orig_mod."};
constexpr size_t kMaxMetadata = 64, kMaxMetadataText = 1024, kMaxKeysListed = 100, kMaxDroppedNamed = 20;
// Entries looked at for metadata in all: one dictionary may stand under a million keys.
constexpr size_t kMaxMetadataVisits = 10'000;
// "_orig_mod.module." and the like; deeper is no wrapper that exists.
constexpr int kMaxPrefixes = 4;

Error malformed(const Pickle& pickle, const std::string& reason) {
  return Error(ErrorCode::malformed, reason).in(pickle.entry());
}

// Calls `each(key, value)` for every entry of the dictionary.
template <class Each>
void for_entries(const Pickle& pickle, const PickleValue& dict, Each&& each) {
  const auto items = pickle.items(dict);
  for (size_t i = 0; i + 1 < items.size(); i += 2) each(items[i], items[i + 1]);
}

bool holds_tensors(const Pickle& pickle, const PickleValue& dict) {
  bool found = false;
  for_entries(pickle, dict, [&](const PickleValue&, const PickleValue& v) { found |= v.kind == PickleKind::tensor; });
  return found;
}

std::string key_text(const Pickle& pickle, const PickleValue& key) {
  if (key.kind == PickleKind::text) return printable(pickle.text(key), 60);
  std::string out;
  return scalar_text(pickle, key, out) ? out : "?";
}

// A text may be 64 MiB long and stand under a million keys, so its length comes before any copy of it.
bool is_long(const PickleValue& value) {
  return value.kind == PickleKind::text && value.number > static_cast<int64_t>(kMaxMetadataText);
}

[[noreturn]] void refuse_without_tensors(const Pickle& pickle, const PickleValue& root) {
  std::vector<std::string> keys;
  std::string line;
  for_entries(pickle, root, [&](const PickleValue& key, const PickleValue&) {
    if (keys.size() >= kMaxKeysListed) return;
    keys.push_back(key_text(pickle, key));
    if (line.size() < 200) line += (line.empty() ? "" : ", ") + keys.back();
  });
  throw malformed(pickle,
                  keys.empty() ? "an empty dictionary: no tensors" : "no named tensors in it; keys found: " + line)
      .details(std::move(keys))
      .hint("weights are looked for under model_state_dict, state_dict, model and at the top");
}

[[noreturn]] void refuse_root(const Pickle& pickle, const PickleValue& root) {
  if (root.kind == PickleKind::tensor)
    throw Error(ErrorCode::unsupported, "a single tensor without a name")
        .in(pickle.entry())
        .hint("save a dictionary of tensors");
  const char* what = root.kind == PickleKind::list || root.kind == PickleKind::tuple     ? "a list"
                     : root.kind == PickleKind::integer || root.kind == PickleKind::real ? "a number"
                                                                                         : "a plain value";
  throw malformed(pickle, std::string("holds ") + what + ", not a dictionary of tensors");
}

void check_unique_keys(const Pickle& pickle, const PickleValue& dict) {
  constexpr uint64_t kSeenBytes = 72;
  BudgetShare share(pickle.source().budget);
  share.charge(Checked(pickle.items(dict).size() / 2) * kSeenBytes, "the names");
  std::unordered_set<std::string_view, SecretHash> seen;
  for_entries(pickle, dict, [&](const PickleValue& key, const PickleValue&) {
    if (key.kind == PickleKind::text && !seen.insert(pickle.text(key)).second)
      throw malformed(pickle, "the key " + printable(pickle.text(key)) + " comes twice");
  });
}

void add_metadata(const Pickle& pickle, const std::string& prefix, const PickleValue& key, const PickleValue& value,
                  PthSelection& out) {
  std::string text;
  if (key.kind != PickleKind::text || is_long(key) || is_long(value)) return;
  if (out.metadata.size() < kMaxMetadata && scalar_text(pickle, value, text))
    out.metadata.emplace(prefix + std::string(pickle.text(key)), text);
}

// Plain values beside the weights, one level down as well ("all_metrics" -> "all_metrics.iou").
void collect_metadata(const Pickle& pickle, const PickleValue& root, PthSelection& out) {
  size_t visits = 0;
  for_entries(pickle, root, [&](const PickleValue& key, const PickleValue& value) {
    if (++visits > kMaxMetadataVisits) return;
    add_metadata(pickle, "", key, value, out);
    if (!is_dict(value) || key.kind != PickleKind::text || is_long(key) || pickle.text(key) == out.nested_under) return;
    const std::string prefix = std::string(pickle.text(key)) + ".";
    const auto items = pickle.items(value);
    for (size_t i = 0; i + 1 < items.size() && ++visits <= kMaxMetadataVisits; i += 2)
      add_metadata(pickle, prefix, items[i], items[i + 1], out);
  });
}

void strip_prefixes(PthSelection& out) {
  bool again = true;
  for (int round = 0; again && round < kMaxPrefixes; ++round) {
    again = false;
    for (const std::string_view prefix : kPrefixes) {
      const bool all = std::ranges::all_of(out.tensors, [&](const auto& entry) {
        return entry.first.starts_with(prefix) && entry.first.size() > prefix.size();
      });
      if (!all) continue;
      for (auto& [name, value] : out.tensors) name.erase(0, prefix.size());
      out.stripped_prefix += prefix;
      again = true;
    }
  }
}

void take_tensor(const Pickle& pickle, const PickleValue& key, const PickleValue& value, const Limits& limits,
                 PthSelection& out) {
  if (value.kind != PickleKind::tensor) {
    if (out.notes.size() < kMaxDroppedNamed)
      out.notes.push_back("dropped entry that is no tensor: " + key_text(pickle, key));
    return;
  }
  const uint64_t at = pickle.tensor(value).at;
  if (key.kind != PickleKind::text)
    throw malformed(pickle, "a tensor whose name is no text: " + key_text(pickle, key)).at(at);
  const std::string_view name = pickle.text(key);
  if (name.size() > limits.name_bytes)
    throw Error(ErrorCode::limit, "tensor name too long")
        .at(at)
        .in(pickle.entry())
        .limit(limits.name_bytes, name.size());
  if (name.find('\0') != name.npos)
    throw malformed(pickle, "a tensor name with a zero byte: " + printable(name)).at(at);
  out.tensors.emplace_back(name, value);
  if (out.tensors.size() > limits.tensors)
    throw Error(ErrorCode::limit, "too many tensors")
        .at(at)
        .in(pickle.entry())
        .limit(limits.tensors, out.tensors.size());
}

template <class T>
std::string number_text(T number) {
  std::array<char, 32> buffer;
  return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr};
}

template <class T>
bool bytes_text(std::string_view bytes, std::string& out) {
  if (bytes.size() != sizeof(T)) return false;
  T number;
  std::memcpy(&number, bytes.data(), sizeof number);
  out = number_text(number);
  return true;
}

// latin-1 text in UTF-8 back to the bytes it stands for; code points over 255 cannot occur in it.
bool latin1_bytes(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c > 0xC3) return false;
    out += c < 0x80 ? text[i] : static_cast<char>((c & 3) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3F));
  }
  return true;
}

bool numpy_text(const Pickle& pickle, const PickleValue& scalar, std::string& out) {
  const auto parts = pickle.items(scalar);
  const auto type = pickle.items(parts[0]);
  if (parts[1].number > 32) return false;  // 8 bytes at most, up to twice that as text; the bytes are copied next
  std::string bytes(pickle.text(parts[1]));
  if (parts[1].kind == PickleKind::encoded) {
    bytes.clear();
    if (!latin1_bytes(pickle.text(parts[1]), bytes)) return false;
  }
  if (type.size() != 2 || pickle.text(type[1]) == ">") return false;
  const std::string_view code = pickle.text(type[0]);
  return (code == "f8" && bytes_text<double>(bytes, out)) || (code == "f4" && bytes_text<float>(bytes, out)) ||
         (code == "i8" && bytes_text<int64_t>(bytes, out)) || (code == "i4" && bytes_text<int32_t>(bytes, out));
}

}  // namespace

bool scalar_text(const Pickle& pickle, const PickleValue& value, std::string& out) {
  switch (value.kind) {
    case PickleKind::boolean: out = value.number != 0 ? "true" : "false"; return true;
    case PickleKind::integer: out = number_text(value.number); return true;
    case PickleKind::real: out = number_text(value.real()); return true;
    case PickleKind::text: out = pickle.text(value); return true;
    case PickleKind::numpy_scalar: return numpy_text(pickle, value, out);
    default: return false;
  }
}

PthSelection select_tensors(const Pickle& pickle, const Limits& limits) {
  const PickleValue root = pickle.root();
  if (!is_dict(root)) refuse_root(pickle, root);
  check_unique_keys(pickle, root);
  PthSelection out;
  PickleValue weights = root;
  for (const std::string_view wrapper : kWrappers)
    for_entries(pickle, root, [&](const PickleValue& key, const PickleValue& value) {
      if (key.kind != PickleKind::text || pickle.text(key) != wrapper || !is_dict(value) ||
          !holds_tensors(pickle, value))
        return;
      if (out.nested_under.empty()) {
        out.nested_under = wrapper;
        weights = value;
      } else {
        out.notes.push_back("weights under " + std::string(wrapper) + " as well; those under " + out.nested_under +
                            " were read");
      }
    });
  if (!holds_tensors(pickle, weights)) refuse_without_tensors(pickle, root);
  if (!out.nested_under.empty()) check_unique_keys(pickle, weights);
  for_entries(pickle, weights,
              [&](const PickleValue& key, const PickleValue& value) { take_tensor(pickle, key, value, limits, out); });
  strip_prefixes(out);
  collect_metadata(pickle, root, out);
  return out;
}

}  // namespace furrow::io
