#include "data/masks.h"

#include <algorithm>
#include <string>

#include "io/picture.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

constexpr size_t kNamedValues = 8;  // strange values listed one by one

Error wrong_rule(std::string reason) { return Error(ErrorCode::configuration, "mask rule: " + std::move(reason)); }

// Gives `value` its target; a second one is a contradiction.
void assign(std::array<int16_t, 256>& table, uint8_t value, int target) {
  if (table[value] >= 0) throw wrong_rule("value " + std::to_string(value) + " is listed twice");
  table[value] = static_cast<int16_t>(target);
}

void assign_values(std::array<int16_t, 256>& table, const MaskRule& rule) {
  if (rule.wrinkle.empty()) throw wrong_rule("no value is wrinkle");
  for (const uint8_t value : rule.wrinkle) assign(table, value, 255);
  for (const uint8_t value : rule.background) assign(table, value, 0);
  if (rule.background.empty())
    for (int16_t& target : table) target = target < 0 ? 0 : target;
}

// Returns the number of classes.
int assign_classes(std::array<int16_t, 256>& table, const MaskRule& rule) {
  std::array<bool, 256> used{};
  int largest = 0;
  for (const auto& [value, number] : rule.classes) {
    if (number == 255) throw wrong_rule("class numbers end at 254");
    assign(table, value, number);
    used[number] = true;
    largest = std::max<int>(largest, number);
  }
  if (largest < 1) throw wrong_rule("a class map needs at least the classes 0 and 1");
  for (int number = 0; number <= largest; ++number) {
    if (!used[static_cast<size_t>(number)])
      throw wrong_rule("no value is class " + std::to_string(number) + ", though there is a class " +
                       std::to_string(largest));
  }
  return largest + 1;
}

}  // namespace

MaskTable::MaskTable(const MaskRule& rule) : rule_(rule) {
  if (rule.kind != MaskKind::values && !(rule.wrinkle.empty() && rule.background.empty()))
    throw wrong_rule("values are listed, but the kind of mask has no use for them");
  if (rule.kind != MaskKind::classes && !rule.classes.empty())
    throw wrong_rule("there is a class map, but the kind of mask has no use for it");
  target_.fill(-1);
  switch (rule.kind) {
    case MaskKind::binary:
    case MaskKind::unit:
      target_[0] = 0;
      target_[rule.kind == MaskKind::unit ? 1 : 255] = 255;
      break;
    case MaskKind::threshold:
      for (size_t v = 0; v < 256; ++v) target_[v] = v > 127 ? 255 : 0;
      break;
    case MaskKind::values: assign_values(target_, rule); break;
    case MaskKind::classes: classes_ = assign_classes(target_, rule); break;
    case MaskKind::weak:
      for (size_t v = 0; v < 256; ++v) target_[v] = static_cast<int16_t>(v);
      classes_ = 0;
      break;
  }
  if (rule.dilate && classes_ != 2) throw wrong_rule("only masks of two values can be dilated");
  if (rule.dilate && rule.kind == MaskKind::classes) throw wrong_rule("a class map is not dilated");
}

io::Image luma(const io::Image& rgb) {
  require(rgb.channels == 3, "luma: 3 channels");
  io::Image gray(rgb.width, rgb.height, 1);
  const uint8_t* from = rgb.pixels.data();
  for (uint8_t& value : gray.pixels) {
    value = static_cast<uint8_t>((19595u * from[0] + 38470u * from[1] + 7471u * from[2] + 0x8000u) >> 16);
    from += 3;
  }
  return gray;
}

io::Image read_mask(const std::string& path, const MaskRule& rule, const io::Limits& limits) {
  if (rule.luma) {
    const io::Picture picture = io::read_picture(path, io::Background::drop, limits);
    if (picture.info.orientation != 1)
      throw Error(ErrorCode::unsupported, "a mask that EXIF turns is ambiguous").file(path).hint("save it upright");
    return luma(picture.image);
  }
  io::LabelMap map = io::read_labels(path, limits);
  io::Image mask;
  mask.width = map.width;
  mask.height = map.height;
  mask.channels = 1;
  mask.pixels = std::move(map.labels);
  return mask;
}

ValueCounts count_values(const io::Image& mask) {
  ValueCounts counts{};
  for (const uint8_t value : mask.pixels) ++counts[value];
  return counts;
}

std::string strange_values(const ValueCounts& counts, const MaskTable& table) {
  std::string text;
  size_t kinds = 0;
  uint64_t others = 0;
  for (size_t v = 0; v < 256; ++v) {
    if (counts[v] == 0 || table.knows(static_cast<uint8_t>(v))) continue;
    if (++kinds > kNamedValues) {
      others += counts[v];
      continue;
    }
    text += kinds == 1 ? "value " : ", ";
    text += std::to_string(v) + " (" + std::to_string(counts[v]) + (kinds == 1 ? " pixels)" : ")");
  }
  if (kinds > kNamedValues)
    text += " and " + std::to_string(kinds - kNamedValues) + " more (" + std::to_string(others) + ")";
  return text;
}

void to_target(io::Image& mask, const MaskTable& table) {
  require(mask.channels == 1, "to_target: 1 channel");
  const std::string strange = strange_values(count_values(mask), table);
  if (!strange.empty()) {
    throw Error(ErrorCode::malformed, "the mask holds what its rule does not name: " + strange)
        .hint("choose another mask rule, or correct the mask");
  }
  for (uint8_t& value : mask.pixels) value = table.target(value);
}

void dilate3(io::Image& target) {
  require(target.channels == 1, "dilate3: 1 channel");
  io::Image across(target.width, target.height, 1);  // grown along rows alone
  for (int64_t y = 0; y < target.height; ++y) {
    const uint8_t* from = target.row(y);
    uint8_t* to = across.row(y);
    for (int64_t x = 0; x < target.width; ++x) {
      const bool set = from[x] || (x > 0 && from[x - 1]) || (x + 1 < target.width && from[x + 1]);
      to[x] = set ? 255 : 0;
    }
  }
  for (int64_t y = 0; y < target.height; ++y) {
    const uint8_t *above = across.row(std::max<int64_t>(y - 1, 0)), *here = across.row(y),
                  *below = across.row(std::min(y + 1, target.height - 1));
    uint8_t* to = target.row(y);
    for (int64_t x = 0; x < target.width; ++x) to[x] = above[x] | here[x] | below[x];
  }
}

}  // namespace furrow::data
