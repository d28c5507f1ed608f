#include "io/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_set>

#include "io/json_tokens.h"
#include "io/json_walk.h"
#include "kernels/error.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

constexpr uint64_t kMaxMetadataKeys = 10'000;                                // keys
constexpr size_t kMaxHeaderNumber = 1000, kMaxHeaderText = size_t{8} << 20;  // bytes of JSON
constexpr const char* kNotJson = "the header is not valid JSON";

// Receives nlohmann's events. The accepted grammar is three levels deep and closed, so a small state says what may
// come; anything else is refused at once, before it is stored.
class HeaderReader : public JsonEvents {
 public:
  HeaderReader(uint64_t at, const Limits& limits) : at_(at), limits_(limits) {}
  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("a truth value"); }
  bool number_integer(int64_t value) override { refuse("the negative number " + std::to_string(value)); }
  bool number_float(double, const std::string& text) override { refuse("the number " + printable(text, 40)); }

  bool number_unsigned(uint64_t value) override {
    if (state_ != State::numbers) refuse("the number " + std::to_string(value));
    if (value > static_cast<uint64_t>(INT64_MAX)) refuse("the number " + std::to_string(value));
    std::vector<uint64_t>& target = field_ == "shape" ? header_.entries.back().shape : header_.entries.back().offsets;
    // Two offsets always; longer shapes are refused once the rank is known to be over its limit.
    if (target.size() > limits_.rank + 1) refuse("more numbers than " + std::to_string(limits_.rank));
    target.push_back(value);
    return true;
  }

  bool string(std::string& value) override {
    if (state_ == State::metadata) {
      if (header_.metadata.size() >= kMaxMetadataKeys)
        throw Error(ErrorCode::limit, "too many metadata keys")
            .at(at_)
            .in("header")
            .limit(kMaxMetadataKeys, kMaxMetadataKeys + 1);
      header_.metadata.emplace(field_, std::move(value));
      return true;
    }
    if (state_ != State::tensor || field_ != "dtype") refuse("the text \"" + printable(value, 40) + "\"");
    header_.entries.back().dtype = std::move(value);
    header_.entries.back().has_dtype = true;
    return true;
  }

  bool start_object() override {
    if (state_ == State::before) {
      state_ = State::top;
    } else if (state_ == State::top && field_ == "__metadata__") {
      state_ = State::metadata;
    } else if (state_ == State::top) {
      if (header_.entries.size() >= limits_.tensors)
        throw Error(ErrorCode::limit, "too many tensors")
            .at(at_)
            .in("header")
            .limit(limits_.tensors, limits_.tensors + 1);
      state_ = State::tensor;
      header_.entries.emplace_back().name = field_;
      fields_.clear();
    } else {
      refuse("an object");
    }
    return true;
  }

  bool end_object() override {
    state_ = state_ == State::top ? State::after : State::top;
    return true;
  }

  bool start_array() override {
    if (state_ != State::tensor || (field_ != "shape" && field_ != "data_offsets")) refuse("a list");
    state_ = State::numbers;
    (field_ == "shape" ? header_.entries.back().has_shape : header_.entries.back().has_offsets) = true;
    return true;
  }

  bool end_array() override {
    state_ = State::tensor;
    return true;
  }

  bool key(std::string& value) override {
    field_ = std::move(value);
    const bool top = state_ == State::top;
    const bool known =
        state_ == State::metadata ? header_.metadata.contains(field_) : !(top ? names_ : fields_).insert(field_).second;
    if (known) refuse("the same key a second time");
    if (top && field_.size() > limits_.name_bytes)
      throw Error(ErrorCode::limit, "tensor name too long")
          .at(at_)
          .in("header")
          .limit(limits_.name_bytes, field_.size());
    if (top && field_.find('\0') != field_.npos) refuse("a zero byte in the name");
    if (state_ == State::tensor && field_ != "dtype" && field_ != "shape" && field_ != "data_offsets")
      refuse("an unknown key");
    return true;
  }

  bool parse_error(size_t position, const std::string&, bool out_of_range, const std::string&) override {
    // The library's words repeat raw input.
    throw Error(ErrorCode::malformed, out_of_range ? "the header has a number out of range" : kNotJson)
        .at(at_ + position)
        .in("header");
  }

 private:
  enum class State { before, top, metadata, tensor, numbers, after };

  [[noreturn]] void refuse(const std::string& what) const {
    std::string place = "the header";
    if (state_ == State::tensor || state_ == State::numbers) place = "tensor " + printable(header_.entries.back().name);
    const std::string where = field_.empty() ? "" : " at key \"" + printable(field_, 60) + "\"";
    throw Error(ErrorCode::malformed, place + " has " + what + where + ", which does not belong there")
        .at(at_)
        .in("header");
  }

  const uint64_t at_;
  const Limits limits_;
  State state_ = State::before;
  SafetensorsHeader header_;
  std::string field_;
  std::unordered_set<std::string, SecretHash> names_, fields_;
};

// What the parser would copy too often, or only to be refused later: a name may be all escapes of six bytes.
void check_tokens(std::string_view json, uint64_t at, const Limits& limits) {
  const uint64_t escaped = 6 * std::min(limits.name_bytes, std::numeric_limits<uint64_t>::max() / 6);
  const size_t name = std::max<size_t>(escaped, 1024);  // never less than the keys of the format
  const auto bad = find_bad_token(
      json,
      {.number = kMaxHeaderNumber, .key = name, .text = name, .long_key = "__metadata__", .long_text = kMaxHeaderText});
  if (!bad) return;
  const auto refuse = [&](ErrorCode code, const char* why) { return Error(code, why).at(at + bad->at).in("header"); };
  if (bad->kind == BadToken::Kind::not_json) throw refuse(ErrorCode::malformed, kNotJson);
  const char* why = bad->kind == BadToken::Kind::number ? "a number too long"
                    : bad->kind == BadToken::Kind::key  ? "a name too long"
                                                        : "a text too long";
  throw refuse(ErrorCode::limit, why).limit(bad->limit, bad->bytes);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t at, const Limits& limits) {
  check_tokens(json, at, limits);
  HeaderReader reader(at, limits);
  walk_json(json, reader);
  return reader.take();
}

}  // namespace furrow::io
