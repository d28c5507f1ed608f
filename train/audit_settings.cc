#include "train/audit_settings.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <vector>

#include "io/closest.h"

namespace furrow::train {
namespace {

// Every value is asked for once; what nobody asked for is refused at the end.
class Values {
 public:
  explicit Values(const std::map<std::string, std::string>& values) : values_(values) {}

  std::string word(const std::string& key) {
    asked_.insert(key);
    const auto found = values_.find(key);
    if (found == values_.end())
      throw Error(ErrorCode::malformed, "the dump does not say it")
          .in(key)
          .hint("docs/audit.md lists the values that a dump holds");
    return found->second;
  }
  double number(const std::string& key, double least = 0, double most = std::numeric_limits<double>::max()) {
    const std::string text = word(key);
    double value = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (status != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
      throw Error(ErrorCode::malformed, "not a number: " + printable(text, 40)).in(key);
    if (value < least || value > most)
      throw Error(ErrorCode::malformed, "out of range: " + printable(text, 40)).in(key);
    return value;
  }
  void number_or_default(const std::string& key, double& value, double least = 0,
                         double most = std::numeric_limits<double>::max()) {
    asked_.insert(key);
    if (values_.contains(key)) value = number(key, least, most);
  }
  void whole_or_default(const std::string& key, int32_t& value) {
    double number = value;
    number_or_default(key, number, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
    if (number != std::floor(number))
      throw Error(ErrorCode::malformed, "not a whole number: " + printable(word(key), 40)).in(key);
    value = static_cast<int32_t>(number);
  }
  void flag_or_default(const std::string& key, bool& value) {
    asked_.insert(key);
    if (!values_.contains(key)) return;
    const std::string text = word(key);
    if (text != "true" && text != "false" && text != "0" && text != "1")
      throw Error(ErrorCode::malformed, "neither true nor false: " + printable(text, 40)).in(key);
    value = text == "true" || text == "1";
  }
  void refuse_others() const {
    std::vector<std::string> lines;
    const std::vector<std::string> known(asked_.begin(), asked_.end());
    for (const auto& [key, value] : values_) {
      if (asked_.contains(key) || !(key.starts_with("loss.") || key.starts_with("optimiser."))) continue;
      const auto near = io::closest_word(key, known);
      lines.push_back(printable(key) + (near.empty() ? "" : ": did you mean " + near + "?"));
    }
    if (!lines.empty())
      throw Error(ErrorCode::unsupported,
                  "values that change nothing here: " + std::to_string(lines.size()) + ", such as " + lines[0])
          .details(lines);
  }

 private:
  const std::map<std::string, std::string>& values_;
  std::set<std::string> asked_;
};

DiceFocal dice_focal(Values& values) {
  DiceFocal form;
  values.number_or_default("loss.dice_weight", form.dice_weight);
  values.number_or_default("loss.focal_weight", form.focal_weight);
  values.number_or_default("loss.alpha_positive", form.alpha_positive);
  values.number_or_default("loss.alpha_negative", form.alpha_negative);
  values.number_or_default("loss.gamma", form.gamma);
  values.number_or_default("loss.pos_weight", form.pos_weight);
  values.number_or_default("loss.dice_map_weight", form.dice_map_weight);
  values.number_or_default("loss.eps", form.eps);
  values.flag_or_default("loss.clamp", form.clamp);
  values.flag_or_default("loss.double_sigmoid", form.double_sigmoid);
  values.flag_or_default("loss.batch_broadcast", form.batch_broadcast);
  values.flag_or_default("loss.dice_over_batch", form.dice_over_batch);
  return form;
}

LossFunction loss(Values& values, bool& labels) {
  const std::string kind = values.word("loss.kind");
  if (kind == "dice_focal") return loss_of(dice_focal(values));
  if (kind == "squared_error") return squared_error_loss();
  if (kind != "cross_entropy")
    throw Error(ErrorCode::unsupported, "no loss is called " + printable(kind, 40))
        .in("loss.kind")
        .hint("dice_focal, squared_error or cross_entropy");
  labels = true;
  CrossEntropy form;
  values.whole_or_default("loss.ignore_index", form.ignore_index);
  return loss_of(form);
}

std::variant<AdamW, Sgd> optimiser(Values& values) {
  const std::string kind = values.word("optimiser.kind");
  constexpr double kBelowOne = 1 - 0x1p-53;
  if (kind == "adamw") {
    AdamW out;
    out.beta1 = values.number("optimiser.beta1", 0, kBelowOne);
    out.beta2 = values.number("optimiser.beta2", 0, kBelowOne);
    out.eps = values.number("optimiser.eps");
    return out;
  }
  if (kind != "sgd")
    throw Error(ErrorCode::unsupported, "no optimiser is called " + printable(kind, 40))
        .in("optimiser.kind")
        .hint("adamw or sgd");
  Sgd out;
  out.momentum = values.number("optimiser.momentum");
  values.flag_or_default("optimiser.nesterov", out.nesterov);
  return out;
}

}  // namespace

AuditSettings audit_settings(const std::map<std::string, std::string>& given) {
  Values values(given);
  AuditSettings out;
  out.options.loss = loss(values, out.labels);
  out.options.optimiser = optimiser(values);
  out.lr = values.number("optimiser.lr");
  out.options.weight_decay = values.number("optimiser.weight_decay");
  values.number_or_default("optimiser.max_norm", out.options.max_norm);
  if (given.contains("optimiser.max_norm") && out.options.max_norm == 0)  // TrainStep would clip nothing
    throw Error(ErrorCode::unsupported, "PyTorch's clip_grad_norm_() with 0 makes every gradient 0")
        .in("optimiser.max_norm")
        .hint("leave it out where gradients are not clipped");
  values.refuse_others();
  return out;
}

}  // namespace furrow::train
