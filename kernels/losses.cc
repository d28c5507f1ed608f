// The named forms of the losses.
#include "kernels/losses.h"

#include "kernels/error.h"

namespace furrow {

DiceFocal dice_focal_form(std::string_view name, double weight) {
  const bool given = weight > 0;
  if (name == "L0")
    return {.dice_weight = 1,
            .focal_weight = 1,
            .alpha_positive = 1,
            .alpha_negative = 1,
            .gamma = 0,
            .dice_over_batch = true};
  if (name == "L1")
    return {.dice_weight = 0.7, .focal_weight = 0.3, .alpha_positive = 0.25, .alpha_negative = 0.25, .gamma = 2};
  if (name == "L2")
    return {.dice_weight = 0.7, .focal_weight = 0.3, .alpha_positive = 0.25, .alpha_negative = 0.75, .gamma = 2};
  if (name == "L3")
    return {.dice_weight = 0.7,
            .focal_weight = 0.3,
            .alpha_positive = 0.75,
            .alpha_negative = 0.25,
            .gamma = 2,
            .pos_weight = given ? weight : 1,
            .dice_map_weight = given ? weight : 2};
  if (name == "L4")
    return {.dice_weight = 0.5,
            .focal_weight = 0.5,
            .alpha_positive = 0.75,
            .alpha_negative = 0.25,
            .gamma = 2,
            .pos_weight = given ? weight : 5,
            .dice_map_weight = given ? weight : 5};
  if (name == "L5")
    return {
        .dice_weight = 1, .focal_weight = 1, .alpha_positive = 0.75, .alpha_negative = 0.25, .gamma = 2, .clamp = true};
  if (name == "L6")
    return {
        .dice_weight = 1, .focal_weight = 1, .alpha_positive = 0.9, .alpha_negative = 0.1, .gamma = 1, .clamp = true};
  throw Error(ErrorCode::configuration, "no loss is called " + printable(name)).hint("L0 to L6 are");
}

SoftDice soft_dice_form(std::string_view name) {
  if (name == "L0") return {.dice_weight = 1, .entropy_weight = 1, .classes_together = true};
  if (name == "L0_class_mean") return {.dice_weight = 1, .entropy_weight = 1};
  if (name == "soft_dice") return {.dice_weight = 1, .entropy_weight = 0};
  if (name == "foreground_dice") return {.dice_weight = 0.5, .entropy_weight = 0.5, .first_class = 1};
  throw Error(ErrorCode::configuration, "no loss of several classes is called " + printable(name))
      .hint("L0, L0_class_mean, soft_dice and foreground_dice are");
}

}  // namespace furrow
