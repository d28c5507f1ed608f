// `furrow prepare`: data sets from photos, label maps and masks. This file is the command line only.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/words.h"
#include "apps/prepare/align.h"
#include "apps/prepare/datasets.h"
#include "apps/prepare/fetch_options.h"
#include "apps/prepare/label_sets.h"
#include "apps/prepare/parse.h"
#include "apps/prepare/pictures.h"
#include "apps/verbs.h"

namespace furrow::apps {
namespace {

constexpr const char* kPrepareExamples =
    "Examples:\n"
    "  furrow prepare align in-the-wild-images --landmarks ffhq-dataset-v2.json -o images1024x1024\n"
    "  furrow prepare collect images1024x1024 manual_wrinkle_masks -o face_images      photos that have a mask\n"
    "  furrow prepare parse face_images -o labels --parser face-parser.safetensors     a label map of each\n"
    "  furrow prepare mask face_images face_parsed_labels -o masked_face_images        skin and nose of each, the rest "
    "black\n"
    "  furrow prepare texture images1024x1024 --labels labels -o weak_wrinkle_masks    texture maps: the weak labels\n"
    "  furrow prepare split masked_face_images -o split.json                           training, validation, test\n"
    "  furrow prepare check masked_face_images manual_wrinkle_masks --split split.json\n"
    "  furrow prepare stats manual_wrinkle_masks                                       class counts, share of wrinkle\n"
    "A folder goes on where it stopped with the same command; files that fail are listed at the end (exit status 4).\n"
    "docs/prepare.md says what each step computes, and how it compares with the original scripts.";

constexpr const char* kKeepHelp = "Labels that are kept: names or numbers, e.g. 1,10 (default: skin,nose)";
constexpr const char* kOrderHelp =
    "Numbers of the names of --keep: bisenet (default: background 0, skin 1, nose 10 ...) or celebamask (skin 1, nose "
    "2 ...)";

constexpr const char* kMapOrderHelp =
    "Whose numbers the maps hold: bisenet (default: background 0, skin 1, nose 10 ...) or celebamask (skin 1, nose 2 "
    "...)";

std::string photos_help() {
  return std::string("A folder of photos (") + cli::kPhotoSuffixes + "), a photo, or @LIST (a path per line)";
}

constexpr const char* kThreadsHelp = "Files worked on at once, up to 1024 (default, or 0: all usable processors)";
constexpr const char* kKindHelp =
    "What masks hold: binary (0, 255), threshold (wrinkle above 127), unit (0, 1), weak (0..255), or the values that "
    "are wrinkle, e.g. 3";

CLI::App* add_step(CLI::App& prepare, const char* name, const char* what) {
  CLI::App* step = prepare.add_subcommand(name, what);
  step->fallthrough();
  return step;
}

void add_folder(CLI::App& step, FolderOptions& options) {
  step.add_option("-o,--output", options.out, "Folder for the results")->required();
  step.add_option("--threads", options.threads, kThreadsHelp);
  step.add_flag("--force", options.force, "Overwrite results that exist; nothing counts as finished");
}

void take_folder(FolderOptions& options, const Program& program) {
  check_range("--threads", options.threads, 0, kMostThreads);
  if (options.out.empty()) throw Error(ErrorCode::usage, "-o takes a name, not an empty word");
  options.limits = program.limits;
}

using PictureJob = int (*)(const PictureOptions&, const cli::Common&);

void run_pictures(CLI::App& step, Program& program, std::shared_ptr<PictureOptions> options, PictureJob job) {
  add_folder(step, options->folder);
  step.callback([&program, options, job] {
    program.run = [&program, options, job] {
      take_folder(options->folder, program);
      if (options->size != 0) check_range("--size", options->size, 16, 4096);
      return job(*options, program.common);
    };
  });
}

void add_pictures(CLI::App& prepare, Program& program) {
  auto mask = std::make_shared<PictureOptions>(), texture = std::make_shared<PictureOptions>(),
       collect = std::make_shared<PictureOptions>(), overlay = std::make_shared<PictureOptions>();
  const std::string photos = photos_help();
  CLI::App* step =
      add_step(prepare, "collect", "Copy the photos that have a mask of their name, byte for byte, into one folder");
  collect->folder.inputs.resize(1);
  step->add_option("PHOTOS", collect->folder.inputs[0], photos)->required();
  step->add_option("MASKS", collect->masks, "A folder of masks, folders within it too")->required();
  run_pictures(*step, program, collect, prepare_collect);

  step = add_step(prepare, "mask", "Keep some labels of each photo, skin and nose; everything else becomes 0");
  mask->folder.inputs.resize(1);
  step->add_option("PHOTOS", mask->folder.inputs[0], photos)->required();
  step->add_option("LABELS", mask->labels,
                   "A folder of label maps: NAME.npy (whole numbers), NAME.png (palette indices or gray values)")
      ->required();
  step->add_option("--keep", mask->keep, kKeepHelp);
  step->add_option("--class-order", mask->order, kOrderHelp);
  step->add_option("--size", mask->size,
                   "Resize square photos to this side first, 16..4096, as Pillow's BILINEAR (default: as they are)");
  run_pictures(*step, program, mask, prepare_mask);

  step = add_step(prepare, "overlay", "Each photo under the colours of its labels, to look at");
  overlay->folder.inputs.resize(1);
  step->add_option("PHOTOS", overlay->folder.inputs[0], photos)->required();
  step->add_option("LABELS", overlay->labels, "A folder of label maps, as `mask` takes them")->required();
  step->add_option("--class-order", overlay->order, kMapOrderHelp);
  run_pictures(*step, program, overlay, prepare_overlay);

  step = add_step(prepare, "texture", "Texture maps, the weak labels of the two-stage recipe");
  texture->folder.inputs.resize(1);
  step->add_option("PHOTOS", texture->folder.inputs[0], photos)->required();
  step->add_option(
      "--labels", texture->labels,
      "A folder of label maps, as `mask` takes them: the map is 0 outside the kept labels (default: none)");
  step->add_option("--keep", texture->keep, kKeepHelp);
  step->add_option("--class-order", texture->order, kOrderHelp);
  step->add_option("--recipe", texture->recipe,
                   "best, or closest (default: nearest to the published maps), authors (their code), inverse (their "
                   "later notebook)");
  step->add_option("--sigma", texture->sigma,
                   "Of the blur, in pixels of a photo of 1024; goes with the photo's longer side (default: 5)");
  run_pictures(*step, program, texture, prepare_texture);
}

void add_align(CLI::App& prepare, Program& program) {
  auto options = std::make_shared<PictureOptions>();
  options->folder.inputs.resize(1);
  options->recipe = "ffhq", options->size = 1024;
  CLI::App* step = add_step(prepare, "align", "FFHQ's face crop of each photo, by 68 landmarks");
  step->add_option("PHOTOS", options->folder.inputs[0], photos_help())->required();
  step->add_option("--landmarks", options->landmarks,
                   "JSON: {\"NAME\": [[x, y] x 68], ...}, or FFHQ's ffhq-dataset-v2.json")
      ->required();
  step->add_option("--recipe", options->recipe, "ffhq (default), or ffhq-aging, which shows more of the head");
  step->add_option("--size", options->size, "Side of the results, 16..4096 (default: 1024)");
  step->add_option("--padding", options->padding,
                   "What lies outside the photo: on (default) is its mirror image, blurred and faded; off is black");
  step->add_option("--transform-size", options->transform,
                   "Side at which the face is sampled before LANCZOS makes --size of it, up to 16384 (default: 4096)");
  run_pictures(*step, program, options, prepare_align);
}

void add_parse(CLI::App& prepare, Program& program) {
  auto options = std::make_shared<ParseOptions>();
  CLI::App* step = add_step(prepare, "parse", "A label map of each photo, by a network that parses faces");
  options->folder.inputs.resize(1);
  step->add_option("PHOTOS", options->folder.inputs[0], photos_help() + ": square ones, of a face")->required();
  step->add_option("--parser", options->parser, "Weights of a face parser (furrow model get face-parser)")->required();
  step->add_option("--format", options->format, "png (default: palette indices) or npy (of uint8)");
  step->add_option("--device", options->compute.device, "auto (default), cpu, cuda, cuda:N, cpu-emulated, ref");
  step->add_option("--memory", options->compute.memory, "Of --device cpu: normal (default), low");
  add_folder(*step, options->folder);
  step->callback([&program, options] {
    program.run = [&program, options] {
      take_folder(options->folder, program);
      options->compute.threads = options->folder.threads;
      return prepare_parse(*options, program.common);
    };
  });
}

void add_labels(CLI::App& prepare, Program& program) {
  auto options = std::make_shared<LabelSetOptions>();
  CLI::App* step =
      add_step(prepare, "labels", "Share of each class in a folder of label maps; how far another folder agrees");
  step->add_option("MAPS", options->folder, "A folder of label maps: .npy, .png")->required();
  step->add_option("--class-order", options->order, kMapOrderHelp);
  step->add_option("--against", options->against, "A folder of other label maps, by the same names");
  step->add_option("--against-order", options->against_order, "As --class-order, of those");
  step->add_option("--threads", options->threads, kThreadsHelp);
  step->callback([&program, options] {
    program.run = [&program, options] {
      check_range("--threads", options->threads, 0, kMostThreads);
      options->limits = program.limits;
      return prepare_labels(*options, program.common);
    };
  });
}

void add_split(CLI::App& prepare, Program& program) {
  auto options = std::make_shared<SplitOptions>();
  CLI::App* step =
      add_step(prepare, "split", "Divide a data set into training, validation and test: the file that `train` reads");
  step->add_option("NAMES", options->names, "A folder of photos, or a text file of a name per line")->required();
  step->add_option("-o,--output", options->out, "The JSON file (keys split.rule: file, split.file of a training)")
      ->required();
  step->add_option("--seed", options->seed, "Of torch.randperm, as the original project splits (default: 42)");
  step->add_option("--draw", options->draw,
                   "Which permutation of that generator: 1 (default), 2 for the later commits");
  step->add_option("--val", options->val, "Share of validation (default: 0.2)");
  step->add_option("--test", options->test, "Share of test (default: 0)");
  step->add_flag("--official", options->official,
                 "The published lists of FFHQ-Wrinkle: 100 validation, 100 test, the rest training");
  step->add_flag("--by-hash", options->by_hash,
                 "By SHA-256 of each name: it stays in its part when others come and go");
  step->add_option("--folds", options->folds, "Cross-validation: number of folds");
  step->add_option("--fold", options->fold, "Which of them is validation, from 0 on");
  step->add_flag("--force", options->force, "Overwrite the file");
  step->callback(
      [&program, options] { program.run = [&program, options] { return prepare_split(*options, program.common); }; });
}

void add_check(CLI::App& prepare, Program& program) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* step = add_step(prepare, "check", "Pairing, sizes, mask values, and photos that are the same picture");
  step->add_option("PHOTOS", options->images, "A folder of photos")->required();
  step->add_option("MASKS", options->masks, "A folder of masks")->required();
  step->add_option("--textures", options->textures, "A folder of texture maps, one for each pair");
  step->add_option("--split", options->split,
                   "A split file: near-duplicates across its parts are errors, and so are names without a photo");
  step->add_option("--mask-kind", options->mask_kind, std::string(kKindHelp) + " (default: binary)");
  step->add_option("--accept", options->accept,
                   "Findings that become warnings: photo (without mask), mask (without photo), size, value, file (of "
                   "other types: passed over)");
  step->add_option("--near", options->near,
                   "Bits of 64 in which the hashes of near-duplicates differ at most, 0..16 (default: 8); -1: photos "
                   "are not compared");
  step->add_option("--threads", options->threads, kThreadsHelp);
  step->callback([&program, options] {
    program.run = [&program, options] {
      check_range("--threads", options->threads, 0, kMostThreads);
      check_range("--near", options->near, -1, 16);
      options->limits = program.limits;
      return prepare_check(*options, program.common);
    };
  });
}

void add_stats(CLI::App& prepare, Program& program) {
  auto options = std::make_shared<StatsOptions>();
  CLI::App* step = add_step(prepare, "stats", "Sizes, values and share of wrinkle of a folder; ages by gender");
  step->add_option("FOLDER", options->folder, "A folder of masks, label maps or photos")->required();
  step->add_option(
      "--attributes", options->attributes,
      "Ages and genders by name: a CSV or JSON table, or a folder of FFHQ-features, as `evaluate` reads them");
  step->add_option("--mask-kind", options->mask_kind,
                   std::string(kKindHelp) + " (default: threshold, as the original counts)");
  step->add_option("--svg", options->svg,
                   "Write a drawing to this file: ages where there are --attributes, else pixels of each value");
  step->add_flag("--force", options->force, "Overwrite the drawing");
  step->add_option("--threads", options->threads, kThreadsHelp);
  step->callback([&program, options] {
    program.run = [&program, options] {
      check_range("--threads", options->threads, 0, kMostThreads);
      options->limits = program.limits;
      return prepare_stats(*options, program.common);
    };
  });
}

void add_preview(CLI::App& prepare, Program& program) {
  auto options = std::make_shared<PreviewWords>();
  CLI::App* step = add_step(prepare, "preview", "Contact sheets of what augmentation makes of photos and masks");
  step->add_option("PHOTOS", options->images, "A folder of photos")->required();
  step->add_option("MASKS", options->masks, "A folder of masks")->required();
  step->add_option("-o,--output", options->out, "Folder for NAME.png and changes.txt")->required();
  step->add_option("--recipe", options->recipe,
                   "Name of a list of changes, as augment.recipe of `train` (default: best-run)");
  step->add_option("--flavour", options->flavour,
                   "intended (default), or as-pinned: with the mistakes of the pinned library");
  step->add_option("--mask-kind", options->mask_kind, std::string(kKindHelp) + " (default: binary)");
  step->add_option("--count", options->count, "How many pairs, the first by name (default: 8)");
  step->add_option("--versions", options->versions, "Changed versions of each, 1..99 (default: 11)");
  step->add_option("--side", options->side, "Longest side of a picture in the sheet, 16..4096 (default: 256)");
  step->add_option("--patch", options->crop,
                   "Cut out a square of this side first, as key crop of `train` (default: 0, none)");
  step->add_option("--seed", options->seed, "Of all that is drawn (default: 42)");
  step->add_flag("--force", options->force, "Overwrite sheets");
  step->callback([&program, options] {
    program.run = [&program, options] {
      options->limits = program.limits;
      return prepare_preview(*options, program.common);
    };
  });
}

}  // namespace

void add_prepare(CLI::App& app, Program& program) {
  CLI::App* prepare =
      app.add_subcommand("prepare", "Make data sets: face crops, collect, mask, texture maps, splits, checks, statistics");
  prepare->fallthrough();
  prepare->require_subcommand(1);
  prepare->footer(kPrepareExamples);
  add_align(*prepare, program);
  add_pictures(*prepare, program);
  add_parse(*prepare, program);
  add_labels(*prepare, program);
  add_split(*prepare, program);
  add_check(*prepare, program);
  add_stats(*prepare, program);
  add_preview(*prepare, program);
  add_fetch(*prepare, program);
}

}  // namespace furrow::apps
