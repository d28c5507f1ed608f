// `furrow prepare preview`.
#include "data/preview.h"

#include <algorithm>
#include <filesystem>

#include "apps/cli/signals.h"
#include "apps/cli/text.h"
#include "apps/cli/words.h"
#include "apps/prepare/datasets.h"
#include "apps/prepare/folder_job.h"
#include "data/dataset.h"
#include "data/pairs.h"
#include "io/atomic_file.h"
#include "io/png_write.h"

namespace furrow::apps {

int prepare_preview(const PreviewWords& words, const cli::Common& common) {
  check_range("--count", words.count, 1, 1000);
  check_range("--versions", words.versions, 1, 99);
  check_range("--side", words.side, 16, 4096);
  check_range("--seed", words.seed, 0, INT32_MAX);
  check_range("--patch", words.crop, 0, 65535);
  const data::AugmentRecipe recipe =
      data::augment_recipe(words.recipe, cli::choose_word("--flavour", words.flavour, "intended as-pinned") == 0
                                             ? data::AugmentFlavour::intended
                                             : data::AugmentFlavour::as_pinned);
  const data::MaskRule rule = mask_rule_of(words.mask_kind);
  const data::Dataset set(data::find_pairs({.images = words.images,
                                            .masks = words.masks,
                                            .rule = rule,
                                            .photo_without_mask = data::Policy::accept,
                                            .mask_without_photo = data::Policy::accept,
                                            .unread_file = data::Policy::accept,
                                            .limits = words.limits})
                              .pairs,
                          {.path = data::ResizePath::none, .rule = rule, .limits = words.limits});
  std::error_code error;
  std::filesystem::create_directories(words.out, error);
  if (error) throw Error(ErrorCode::io, "cannot create the folder for results: " + error.message()).file(words.out);
  const data::PreviewOptions options{.versions = words.versions,
                                     .longest_side = words.side,
                                     .threshold = static_cast<uint8_t>(rule.kind == data::MaskKind::weak ? 128 : 1),
                                     .crop = words.crop};
  const int64_t count = std::min<int64_t>(words.count, set.size());
  std::string changes;
  for (int64_t i = 0; i < count && cli::interrupted() == 0; ++i) {
    const std::string path = words.out + "/" + set.id(i) + ".png";
    refuse_existing(path, words.force);
    const data::Sample sample = set.load(i);
    if (words.crop > std::min(sample.image.width, sample.image.height))
      throw Error(ErrorCode::usage, "--patch is larger than the photo").file(sample.id);
    const data::Preview sheet = data::preview_augmentation(
        sample, recipe, {.seed = static_cast<uint64_t>(words.seed), .epoch = 0, .item = static_cast<uint32_t>(i)},
        options);
    io::write_file_atomically(path, io::encode_png(sheet.sheet), words.force);
    for (const std::string& line : sheet.lines) changes += printable(sample.id) + ": " + line + "\n";
  }
  if (const int status = cli::interrupted(); status != 0) return status;
  io::write_file_atomically(words.out + "/changes.txt", std::as_bytes(std::span(changes.data(), changes.size())),
                            words.force);
  if (common.json) {
    cli::JsonObject out;
    out.text("schema", "furrow.prepare.preview/1").text("output", words.out).text("recipe", recipe.name);
    cli::print(out.number("sheets", count).str() + "\n");
  } else {
    cli::print((cli::Text() << count_text(count, "sheet") << " and changes.txt written to " << printable(words.out, 400)
                            << "\n")
                   .str());
  }
  return 0;
}

}  // namespace furrow::apps
