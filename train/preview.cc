// What the augmentation makes of the data, for a person to look at.
#include <algorithm>
#include <filesystem>

#include "io/atomic_file.h"
#include "io/png_write.h"
#include "segment/overlay.h"
#include "train/overlays.h"
#include "train/setup.h"
#include "train/trainer.h"

namespace furrow::train {
namespace {

io::Image marked(const data::Sample& sample) {
  io::Image mask = sample.target;
  for (uint8_t& value : mask.pixels) value = value != 0 ? 255 : 0;
  return overlay(sample.image, mask, {.fill = {0, 158, 115}, .outline = {0, 158, 115}});
}

io::Image side_by_side(const io::Image& a, const io::Image& b) {
  io::Image out(a.width + b.width, std::max(a.height, b.height), 3);
  for (int64_t y = 0; y < a.height; ++y) std::copy_n(a.row(y), a.width * 3, out.row(y));
  for (int64_t y = 0; y < b.height; ++y) std::copy_n(b.row(y), b.width * 3, out.row(y) + a.width * 3);
  return out;
}

}  // namespace

int64_t write_preview(const TrainJob& job, const std::string& folder) {
  ThreadPool pool(static_cast<int>(job.options.threads));
  const Data data = open_data(job.options, job.limits, &pool);
  const data::Augment augment = augmentation(job.options, false);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(ErrorCode::io, "cannot create the folder: " + error.message()).file(folder);
  const auto seed = static_cast<uint64_t>(job.options.seed);
  const std::vector<int64_t> order = data::epoch_order(static_cast<int64_t>(data.train.size()), seed, 0);
  const int64_t pictures = std::min(kPreviewed, static_cast<int64_t>(order.size()));
  parallel_for(&pool, pictures, [&](int64_t i, int) {
    const int64_t item = data.train[static_cast<size_t>(order[static_cast<size_t>(i)])];
    const data::Sample before = data.set->load(item);
    data::Sample after = before;
    if (augment) augment(after, {.seed = seed, .epoch = 0, .item = static_cast<uint32_t>(item)});
    const std::vector<std::byte> png = io::encode_png(side_by_side(marked(before), marked(after)));
    io::write_file_atomically(folder + "/" + overlay_name(1, i, before.id), png);
  });
  return pictures;
}

}  // namespace furrow::train
