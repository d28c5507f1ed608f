// Keys of the original program's config.yaml that are not Furrow's own, and what they become.
#pragma once

#include <string>
#include <vector>

#include "io/config.h"

namespace furrow::train {

// Rewrites `source` in place. Most keys of the original are fields of the table under the same name; the others here:
//
//   key                        becomes
//   amp                        precision: mixed | float32
//   augmentation               augment.recipe: original | none
//   drop_out                   model.dropout
//   dilate_masks               dilate_mask
//   loss_function.name         "CombinedLoss": see below; "BCEWithLogitsLoss": loss.form bce
//   loss_function.alpha        loss.dice_weight, and 1 - it loss.focal_weight
//   loss_function.gamma        loss.gamma
//   loss_function.focal_alpha  loss.alpha_positive; the same, or 1 - it, loss.alpha_negative
//   use_class_weights          loss.class_weight: measured | none
//   freeze_encoder             model.freeze: [encoder], or nothing
//   pretrained, use_attention  nothing: a note, where true
//   wandb_*                    nothing: one note for all of them
//
// CombinedLoss had three meanings under one name. The file tells them apart only by use_class_weights, which came with
// the last: without that key it is L1 (focal_alpha for both classes), with it L3 (focal_alpha and 1 - focal_alpha).
// Keys that both a seed key and Furrow's own key set in one source are a problem. `notes` gains a line for each key
// that does nothing, or that the original program read but did not obey.
void translate_seed_keys(io::ConfigSource& source, std::vector<std::string>& notes);

// The names above that are spelled like keys, for suggestions.
std::vector<std::string> seed_keys();

}  // namespace furrow::train
