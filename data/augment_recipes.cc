// The augmentation lists of the original wrinkle project, commit by commit, and Furrow's own. Resizing and
// normalisation belong to the loader: here everything happens on bytes at the network's size, also where a commit
// resized last (7ca68ad, 12fc2b1) or displaced after normalising (7c1564d, whose border was the mean colour instead of
// black).
#include <cmath>

#include "data/augment.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

AugmentStep flip() { return {.op = AugmentOp::flip, .p = 0.5}; }

// Affine(scale .9-1.1, translate_percent .05-.1, rotate +-15). The pinned library shifts to the right and down only, by
// at least 5 %; a shift of up to 10 % to any side is what a reader of the list expects.
AugmentStep affine(AugmentFlavour flavour) {
  const bool pinned = flavour == AugmentFlavour::as_pinned;
  return {.op = AugmentOp::affine,
          .p = 0.5,
          .scale = {0.9, 1.1},
          .shift = pinned ? DrawRange{0.05, 0.1} : DrawRange{-0.1, 0.1},
          .angle = {-15, 15}};
}
AugmentStep rotate() { return {.op = AugmentOp::rotate, .p = 0.5, .angle = {-15, 15}}; }
AugmentStep elastic(double alpha, double sigma, double p) {
  return {.op = AugmentOp::elastic, .p = p, .alpha = alpha, .sigma = sigma};
}
AugmentStep clahe() { return {.op = AugmentOp::clahe, .p = 0.5, .clip = {1, 2}}; }

// ColorJitter(brightness .2, contrast .2): the pinned library's defaults for what is not named are saturation +-20 %
// and any hue, green faces included; the list names neither.
AugmentStep jitter(AugmentFlavour flavour) {
  AugmentStep step{.op = AugmentOp::jitter, .p = 0.5, .brightness = {0.8, 1.2}, .contrast = {0.8, 1.2}};
  if (flavour == AugmentFlavour::as_pinned) {
    step.saturation = {0.8, 1.2};
    step.hue = {-0.5, 0.5};
  }
  return step;
}
AugmentStep blur(int smallest, int largest, double p) {
  return {.op = AugmentOp::blur, .p = p, .smallest = smallest, .largest = largest};
}

// GaussNoise(var_limit): variances in grey levels. The pinned library takes any limits beyond 1 for "10 to 50" and
// those for variances of a picture of 0..1 times 255: deviations of 50.5 to 112.9 grey levels.
AugmentStep noise(AugmentFlavour flavour, double least, double most, double p) {
  AugmentStep step{.op = AugmentOp::noise, .p = p};
  const bool pinned = flavour == AugmentFlavour::as_pinned;
  step.deviation = pinned ? DrawRange{50.49752469181039, 112.91589790636214}  // 255 sqrt(10/255), 255 sqrt(50/255)
                          : DrawRange{std::sqrt(least), std::sqrt(most)};
  return step;
}

struct Named {
  const char* name;
  std::vector<AugmentStep> (*steps)(AugmentFlavour);
};

std::vector<AugmentStep> nothing(AugmentFlavour) { return {}; }
std::vector<AugmentStep> seed_7ca68ad(AugmentFlavour f) {
  return {flip(), affine(f), clahe(), jitter(f), blur(3, 5, 0.5), noise(f, 10, 50, 0.5)};
}
std::vector<AugmentStep> seed_12fc2b1(AugmentFlavour f) {
  return {flip(), affine(f), elastic(30, 6, 0.4), clahe(), jitter(f), blur(3, 5, 0.5), noise(f, 10, 50, 0.5)};
}
std::vector<AugmentStep> seed_258931e(AugmentFlavour f) {
  return {flip(), affine(f), elastic(30, 6, 0.4), clahe(), jitter(f), blur(5, 5, 1), noise(f, 50, 100, 0.5)};
}
std::vector<AugmentStep> seed_1861cad(AugmentFlavour f) {
  return {flip(), affine(f), elastic(30, 6, 0.4), clahe(), jitter(f), blur(3, 7, 0.3), noise(f, 10, 50, 0.3)};
}
// Where in the list the crop stood is not known; among the geometric steps, last.
std::vector<AugmentStep> seed_c75390e(AugmentFlavour f) {
  const AugmentStep crop{.op = AugmentOp::crop, .p = 0.3, .scale = {0.9, 1}, .ratio = {0.9, 1.1}};
  return {flip(), affine(f), elastic(30, 6, 0.2), crop, clahe(), jitter(f), blur(3, 7, 0.3), noise(f, 10, 50, 0.3)};
}
std::vector<AugmentStep> seed_cf6ac3d(AugmentFlavour f) {
  return {flip(), affine(f), clahe(), blur(3, 7, 0.3), noise(f, 10, 50, 0.3)};
}
std::vector<AugmentStep> seed_7c1564d(AugmentFlavour f) {
  return {rotate(), flip(), affine(f), clahe(), blur(3, 7, 0.3), noise(f, 10, 50, 0.3), elastic(10, 5, 0.3)};
}
std::vector<AugmentStep> seed_4868424(AugmentFlavour f) {
  return {rotate(), flip(), affine(f), clahe(), blur(3, 7, 0.3), noise(f, 10, 50, 0.3)};
}

// Furrow's own, of its default model (weights/): any turn and size a portrait's crop may have, colours of other lamps
// and cameras, one picture in five without colour, so that hue alone is no wrinkle.
std::vector<AugmentStep> furrow_mini(AugmentFlavour) {
  const AugmentStep turn{.op = AugmentOp::affine, .p = 1, .scale = {0.8, 1.3}, .angle = {-15, 15}};
  const AugmentStep light{.op = AugmentOp::jitter,
                          .p = 1,
                          .brightness = {0.8, 1.2},
                          .contrast = {0.8, 1.2},
                          .saturation = {0.8, 1.2},
                          .hue = {-0.02, 0.02}};
  const AugmentStep grey{.op = AugmentOp::jitter, .p = 0.2, .saturation = {0, 0}};
  const AugmentStep grain{.op = AugmentOp::noise, .p = 0.5, .deviation = {0, 8}};
  return {flip(), turn, light, grey, grain};
}

constexpr Named kRecipes[] = {
    {"none", nothing},
    {"seed-7ca68ad", seed_7ca68ad},
    {"seed-12fc2b1", seed_12fc2b1},
    {"seed-de4752b", seed_12fc2b1},
    {"seed-258931e", seed_258931e},
    {"seed-1861cad", seed_1861cad},
    {"seed-b5824ba", seed_1861cad},
    {"seed-c75390e", seed_c75390e},
    {"seed-cf6ac3d", seed_cf6ac3d},
    {"seed-0bf9901", seed_cf6ac3d},
    {"seed-9bc42fb", seed_cf6ac3d},
    {"best-run", seed_cf6ac3d},
    {"seed-7c1564d", seed_7c1564d},
    {"seed-4868424", seed_4868424},
    {"seed-head", seed_4868424},
    {"furrow-mini", furrow_mini},
};

}  // namespace

std::vector<std::string> augment_recipe_names() {
  std::vector<std::string> names;
  for (const Named& recipe : kRecipes) names.emplace_back(recipe.name);
  return names;
}

AugmentRecipe augment_recipe(std::string_view name, AugmentFlavour flavour) {
  for (const Named& recipe : kRecipes) {
    if (recipe.name == name) return {std::string(name), flavour, recipe.steps(flavour)};
  }
  std::string known;
  for (const Named& recipe : kRecipes) known += (known.empty() ? "" : ", ") + std::string(recipe.name);
  throw Error(ErrorCode::configuration, "no augmentation is called \"" + printable(name, 40) + "\"")
      .hint("one of " + known);
}

}  // namespace furrow::data
