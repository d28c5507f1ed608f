#include "train/options.h"

#include <algorithm>

#include "train/options_schema.h"
#include "train/options_seed.h"

namespace furrow::train {
namespace {

// Adds an override. A new loss.form stands for a whole set of parameters, so it drops those chosen before: otherwise
// they would undo it, and a resolved configuration, which lists them all, could not be run with another form.
void merge_override(io::ConfigSource& into, io::ConfigSource from) {
  for (const io::ConfigEntry& entry : from.entries)
    if (entry.path == "loss.form")
      std::erase_if(into.entries, [](const io::ConfigEntry& old) {
        return io::below(old.path, "loss") || old.path == "loss_function" || io::below(old.path, "loss_function");
      });
  io::merge_config(into, std::move(from));
}

LoadedOptions resolve(io::ConfigSource source, const std::vector<std::string>& overrides, const io::Limits& limits) {
  for (const std::string& assignment : overrides) merge_override(source, io::parse_override(assignment, limits));
  LoadedOptions out;
  translate_seed_keys(source, out.notes);
  const size_t before = source.problems.size();
  train_schema(out.options).apply(source.entries, source.problems, seed_keys());
  // L0 stands for one loss of two shapes: over a channel of its own, and over classes.
  if (out.options.loss_form == "L0" && out.options.classes > 1) out.options.loss = LossKind::soft_dice;
  // Fields whose values were refused hold their defaults, with which nothing can be said about the whole.
  if (source.problems.size() == before) check_together(out.options, source.entries, source.problems);
  source.problems.raise();
  return out;
}

}  // namespace

SoftDice TrainOptions::soft_dice() const {
  SoftDice form = soft_dice_form(loss_form);
  form.entropy = cross_entropy();
  return form;
}

CrossEntropy TrainOptions::cross_entropy() const {
  return {.ignore_index = static_cast<int32_t>(ignore_index),
          .class_weights = std::vector<float>(class_weights.begin(), class_weights.end())};
}

LoadedOptions load_train_options(const std::string& path, const std::vector<std::string>& overrides,
                                 const io::Limits& limits) {
  return resolve(path.empty() ? io::ConfigSource() : io::read_config(path, limits), overrides, limits);
}

LoadedOptions parse_train_options(std::string_view text, std::string_view name,
                                  const std::vector<std::string>& overrides, const io::Limits& limits) {
  const auto format = name.ends_with(".json") ? io::ConfigFormat::json : io::ConfigFormat::yaml;
  return resolve(io::parse_config(text, name, format, limits), overrides, limits);
}

std::string to_yaml(const TrainOptions& options) {
  TrainOptions copy = options;  // the table binds to variables; writing only reads them
  return train_schema(copy).yaml();
}

std::string train_options_help() {
  TrainOptions defaults;
  return train_schema(defaults).help();
}

}  // namespace furrow::train
