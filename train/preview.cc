// The training pictures that `furrow train --preview` shows; what a sheet looks like: data/preview.h.
#include "data/preview.h"

#include <algorithm>
#include <filesystem>

#include "io/atomic_file.h"
#include "io/png_write.h"
#include "train/overlays.h"
#include "train/setup.h"
#include "train/trainer.h"

namespace furrow::train {

int64_t write_preview(const TrainJob& job, const std::string& folder) {
  ThreadPool pool(static_cast<int>(job.options.threads));
  const Data data = open_data(job.options, job.limits, &pool);
  const data::AugmentRecipe recipe = recipe_of(job.options);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(ErrorCode::io, "cannot create the folder: " + error.message()).file(folder);
  const auto seed = static_cast<uint64_t>(job.options.seed);
  const std::vector<int64_t> order = data::epoch_order(static_cast<int64_t>(data.train.size()), seed, 0);
  const int64_t pictures = std::min(kPreviewed, static_cast<int64_t>(order.size()));
  // Class numbers and binary targets are marked where they are not 0; a weak target where it is more than half.
  const uint8_t threshold = mask_rule(job.options).kind == data::MaskKind::weak ? 128 : 1;
  const data::PreviewOptions options{.versions = 3,
                                     .columns = 4,
                                     .longest_side = std::clamp<int64_t>(job.options.size, 16, 512),
                                     .threshold = threshold,
                                     .crop = job.options.crop};
  std::vector<std::string> lines(static_cast<size_t>(pictures));
  parallel_for(&pool, pictures, [&](int64_t i, int) {
    const int64_t item = data.train[static_cast<size_t>(order[static_cast<size_t>(i)])];
    const data::Sample sample = data.set->load(item);
    const data::Preview sheet =
        preview_augmentation(sample, recipe, {.seed = seed, .epoch = 0, .item = static_cast<uint32_t>(item)}, options);
    const std::string name = overlay_name(1, i, sample.id);
    io::write_file_atomically(folder + "/" + name, io::encode_png(sheet.sheet));
    for (const std::string& line : sheet.lines) lines[static_cast<size_t>(i)] += name + ": " + line + "\n";
  });
  std::string text;
  for (const std::string& line : lines) text += line;
  io::write_file_atomically(folder + "/changes.txt", std::as_bytes(std::span(text)));
  return pictures;
}

}  // namespace furrow::train
