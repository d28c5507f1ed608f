// From TrainOptions to the pieces of a run: data, network, loss, optimiser, schedule. Each function reads the options
// that concern it and nothing else.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "data/pairs.h"
#include "data/split.h"
#include "io/limits.h"
#include "kernels/device.h"
#include "kernels/threads.h"
#include "nn/network.h"
#include "nn/schedule.h"
#include "nn/train_step.h"
#include "segment/model.h"
#include "train/options.h"

namespace furrow::train {

data::MaskRule mask_rule(const TrainOptions& options);

// What make_backend() is asked for. Errors: ErrorCode::usage or ErrorCode::unsupported for kernels or a precision that the
// device does not have.
BackendOptions backend_options(const TrainOptions& options, const Device& device);

// The pairs of the two folders and their split; a stored split keeps what is there of it, with a note.
struct Data {
  data::Pairing pairing;
  data::Split split;
  std::unique_ptr<data::Dataset> set;
  std::vector<int64_t> train, val;  // positions in `set`
  std::vector<std::string> notes;
};
// Errors: those of find_pairs() and of the split; ErrorCode::unsupported for a way of resizing that no path has.
Data open_data(const TrainOptions& options, const io::Limits& limits, ThreadPool* pool);

// For training and, with `validation`, for measuring: in order, every item once, not augmented unless asked for.
data::LoaderOptions loader_options(const TrainOptions& options, bool validation, int threads);
// ErrorCode::configuration for a recipe or parameter that is not there.
data::AugmentRecipe recipe_of(const TrainOptions& options);
// What is done to a sample after loading: training's random crop, then the recipe. Empty where nothing is.
data::Augment augmentation(const TrainOptions& options, bool validation);

Architecture architecture_of(const TrainOptions& options);
// Takes what options.freeze names out of training; kEncoder is all of Network::encoder(). Errors: those of freeze().
void freeze_parts(Network& network, const TrainOptions& options);
// Initialised by options.seed or from options.init_weights, then frozen as asked; `notes` says what a partial start
// left out. Errors: those of reading and loading a checkpoint.
std::unique_ptr<Network> make_network(const TrainOptions& options, DType type, const io::Limits& limits,
                                      std::vector<std::string>& notes);

// `background_per_wrinkle`: of the training masks; counts where options.measure_class_weight asks for it.
LossFunction make_loss(const TrainOptions& options, double background_per_wrinkle);
furrow::TrainOptions step_options(const TrainOptions& options, LossFunction loss);
std::unique_ptr<Schedule> make_schedule(const TrainOptions& options, int64_t steps_per_epoch);

// Side of the squares that training sees: the crop, or the whole.
int64_t training_side(const TrainOptions& options);

// How a photo must be prepared for the trained network, and what its output means.
ModelInfo model_info(const TrainOptions& options, const std::string& name);

}  // namespace furrow::train
