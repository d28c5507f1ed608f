// Augmentation: random changes of an example that keep it true, the same for the same key on any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/augment_colour.h"
#include "data/augment_warp.h"
#include "data/sample.h"

namespace furrow::data {

// Numbers are drawn evenly from [low, high).
struct DrawRange {
  double low = 0, high = 0;
};

enum class AugmentOp { flip, affine, rotate, elastic, crop, clahe, jitter, blur, noise };

// One step of a recipe: what is drawn, each time it fires. Only the fields of its operation count.
struct AugmentStep {
  AugmentOp op = AugmentOp::flip;
  double p = 0.5;               // it fires with this probability
  DrawRange scale = {1, 1};     // affine: of each axis; crop: share of the area
  DrawRange shift;              // affine: share of width and of height, cut to whole pixels
  DrawRange angle;              // affine, rotate: degrees
  DrawRange ratio = {1, 1};     // crop: width / height, evenly in its logarithm
  double alpha = 0, sigma = 1;  // elastic
  DrawRange clip = {1, 2};      // clahe
  DrawRange brightness = {1, 1}, contrast = {1, 1}, saturation = {1, 1}, hue;  // jitter
  int smallest = 3, largest = 3;                                               // blur: odd sizes, both included
  DrawRange deviation;  // noise: grey levels; its square is drawn evenly
};

// The training lists of the original wrinkle project, by its commits (docs of the recipes: data/augment_recipes.cc).
// as_pinned: with the meaning the pinned albumentations 1.4.22 gives them, mistakes included. intended: with the
// meaning their authors had in mind.
enum class AugmentFlavour { intended, as_pinned };

struct AugmentRecipe {
  std::string name;
  AugmentFlavour flavour = AugmentFlavour::intended;
  std::vector<AugmentStep> steps;  // at most 255; in this order
};

// Names: "none", "seed-" and the commit ("seed-258931e"), "seed-head", "best-run", and "furrow-mini", our own.
// ErrorCode::configuration, with all names in the hint, for others.
AugmentRecipe augment_recipe(std::string_view name, AugmentFlavour flavour);
std::vector<std::string> augment_recipe_names();

// What one step draws for pictures of one size.
struct AugmentDraw {
  AugmentOp op = AugmentOp::flip;
  size_t step = 0;              // its number in the recipe; fields of noise are drawn under it
  AffineParameters affine;      // affine, rotate
  double alpha = 0, sigma = 1;  // elastic
  CropBox crop;
  double clip = 1;
  ColourJitter jitter;
  int size = 3;          // blur
  double deviation = 0;  // noise
};

// The steps that fire for `key`, in order, with their parameters. Numbers come from Philox (kernels/random.h) under
// key.seed and stream key.stream(); step s uses the indices from 64 s on, its fields those from (s + 1) 2^40 on, so a
// step's numbers do not depend on what other steps draw. width, height >= 1.
std::vector<AugmentDraw> draw_augmentation(const AugmentRecipe& recipe, const DrawKey& key, int64_t width,
                                           int64_t height);

// One line of what augment() does: "flip; affine scale 1.052 0.931, shift 31 26 px, rotate 4.20; noise 5.31", or
// "unchanged".
std::string describe(const AugmentRecipe& recipe, const DrawKey& key, int64_t width, int64_t height);

// Changes the example. Flip, affine, rotate, elastic and crop change image and texture (linear) and target (nearest)
// alike; the others the image alone. Sizes stay. Preconditions (ErrorCode::internal): an RGB image, a target of one
// channel as large, a texture of one channel as large or none, sides up to 32766.
void augment(Sample& sample, const AugmentRecipe& recipe, const DrawKey& key);

}  // namespace furrow::data
