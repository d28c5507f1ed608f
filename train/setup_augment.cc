// Which random changes a run makes, crops among them.
#include <algorithm>
#include <array>

#include "data/augment.h"
#include "data/crop.h"
#include "train/setup.h"

namespace furrow::train {
namespace {

// Parallel to data::AugmentOp.
constexpr std::array<std::string_view, 9> kOps = {"flip",  "affine", "rotate", "elastic", "crop",
                                                  "clahe", "jitter", "blur",   "noise"};

// "noise.p" -> the probability of every such step.
void change(data::AugmentRecipe& recipe, const std::string& key, double value) {
  const size_t dot = key.find('.');
  const std::string op = key.substr(0, dot), field = dot == key.npos ? "" : key.substr(dot + 1);
  const auto known = std::ranges::find(kOps, op);
  if (known == kOps.end() || field != "p")
    throw Error(ErrorCode::configuration, "augment.parameters has no \"" + printable(key) + "\"")
        .hint("OP.p, OP one of flip, affine, rotate, elastic, crop, clahe, jitter, blur, noise");
  if (!(value >= 0 && value <= 1))
    throw Error(ErrorCode::configuration, "augment.parameters." + printable(key) + " is no probability");
  bool found = false;
  for (data::AugmentStep& step : recipe.steps)
    if (static_cast<std::ptrdiff_t>(step.op) == known - kOps.begin()) {
      step.p = value;
      found = true;
    }
  if (!found)
    throw Error(ErrorCode::configuration,
                "augment.parameters." + printable(key) + ": the recipe " + recipe.name + " has no such step");
}

}  // namespace

data::AugmentRecipe recipe_of(const TrainOptions& o) {
  // "original": what `augmentation: True` of the original program's config.yaml means, its last list.
  data::AugmentRecipe recipe =
      data::augment_recipe(o.augment_recipe == "original" ? "seed-head" : o.augment_recipe,
                           o.augment_as_pinned ? data::AugmentFlavour::as_pinned : data::AugmentFlavour::intended);
  for (const auto& [key, value] : o.augment_parameters) change(recipe, key, value);
  return recipe;
}

data::Augment augmentation(const TrainOptions& o, bool validation) {
  data::AugmentRecipe recipe = recipe_of(o);
  if (validation && !o.augment_validation) recipe.steps.clear();
  const int64_t crop = validation ? 0 : o.crop;
  if (crop == 0 && recipe.steps.empty()) return {};
  // Cut first: what is cut away later would be computed for nothing.
  return [recipe, crop](data::Sample& sample, const data::DrawKey& key) {
    if (crop != 0) data::crop_at_random(sample, crop, key);
    if (!recipe.steps.empty()) data::augment(sample, recipe, key);
  };
}

}  // namespace furrow::train
