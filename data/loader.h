// Loader: batches for training, made ahead of time by threads of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/sample.h"
#include "kernels/tensor.h"

namespace furrow::data {

// What is done to a scaled pixel x; the same numbers as in segment/model.h, so that training and inference agree.
enum class Scaling : uint8_t {
  none,      // x
  imagenet,  // (x - mean) / std, mean .485 .456 .406, std .229 .224 .225; a texture map stays x
  half,      // 2x - 1
};

struct LoaderOptions {
  int64_t batch = 8;
  bool shuffle = true;     // a new order each epoch: epoch_order()
  bool drop_last = false;  // whether an incomplete last batch is left out
  uint64_t seed = 0;       // of the order and of every DrawKey
  Scaling scaling = Scaling::imagenet;
  bool raw_scale = false;  // x is the pixel itself instead of pixel / 255
  int threads = 2;         // 0: next() loads in place
  int64_t prefetch = 4;    // batches made ahead, at least 1
  // Of the `parts` loaders of as many processes this is number `part`: all cut the epoch into batches of batch * parts
  // items and each loads its share of each, of an incomplete last one as evenly as it goes.
  int64_t part = 0, parts = 1;
};

// Changes a sample in place. All pictures of a sample keep one common size. Called from several threads at once.
using Augment = std::function<void(Sample&, const DrawKey&)>;

struct Batch {
  uint32_t epoch = 0;
  int64_t index = 0;    // within the epoch
  bool absent = false;  // an incomplete batch had nothing left for this part; it holds an item of it all the same
  std::vector<int64_t> items;  // positions in the data set
  Tensor image;                // {B, H, W, 3} float32; {B, H, W, 4} with texture maps
  Tensor target;               // {B, H, W, 1}: float32, target / 255; class numbers as int32 with MaskKind::classes
};

// Where a loader stands: the batch that next() gives next. Epochs and batches count from 0.
struct LoaderPosition {
  uint32_t epoch = 0;
  int64_t batch = 0;
  friend bool operator==(const LoaderPosition&, const LoaderPosition&) = default;
};

// A permutation of 0..n-1, function of (seed, epoch) alone: Fisher-Yates from the front, entry i changes places with
// entry i + floor(u * (n - i) / 2^32), u word 0 of Philox with key `seed` at counter {i, 0, 2^32-1, epoch}. No item has
// that stream (DrawKey). n < 2^32.
std::vector<int64_t> epoch_order(int64_t n, uint64_t seed, uint32_t epoch);

// Batches of the items at `positions` of a data set, epoch after epoch without end. Which bytes a batch holds is a
// function of data set, positions, options and its place; not of the number of threads. Its threads are its own, not
// those of ThreadPool: they work while that pool computes.
class Loader {
 public:
  // `dataset` must outlive the loader. `augment` may be empty. ErrorCode::configuration where an epoch would hold no
  // batch; ErrorCode::internal for other broken options; ErrorCode::io where no thread can be started.
  Loader(const Dataset& dataset, std::vector<int64_t> positions, const LoaderOptions& options, Augment augment = {},
         LoaderPosition start = {});
  // Stops at once; a sample that is being loaded is finished first.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // The next batch; nothing at the end of each epoch (the call after that begins the next one). What loading an item
  // threw is thrown here, when its batch's turn comes, of the lowest place in the batch; so is every later call.
  // Samples of different sizes in one batch, or changed to different sizes: ErrorCode::malformed, with their ids. One
  // thread at a time.
  std::optional<Batch> next();

  int64_t batches_per_epoch() const;
  // Where the next call of next() continues; give it to a new loader to go on there.
  LoaderPosition position() const;
  // Seconds that next() has spent waiting for batches (with 0 threads: loading), and batches it gave.
  double seconds_waited() const;
  int64_t batches_given() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace furrow::data
