// `furrow prepare`: data sets from photos, label maps and masks. This file is the command line only.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli/words.h"
#include "apps/prepare/pictures.h"
#include "apps/verbs.h"

namespace furrow::apps {
namespace {

constexpr const char* kPrepareExamples =
    "Examples:\n"
    "  furrow prepare collect images1024x1024 manual_wrinkle_masks -o face_images      photos that have a mask\n"
    "  furrow prepare mask face_images face_parsed_labels -o masked_face_images        skin and nose of each, the rest black\n"
    "  furrow prepare texture images1024x1024 --labels labels -o weak_wrinkle_masks    texture maps: the weak labels\n"
    "A folder goes on where it stopped with the same command; files that fail are listed at the end (exit status 4).\n"
    "docs/prepare.md says what each step computes, and how it compares with the original scripts.";

constexpr const char* kKeepHelp = "Labels that are kept: names or numbers, e.g. 1,10 (default: skin,nose)";
constexpr const char* kOrderHelp = "Numbers of the names of --keep: bisenet (default: background 0, skin 1, nose 10 ...) or celebamask (skin 1, nose 2 ...)";

CLI::App* add_step(CLI::App& prepare, const char* name, const char* what) {
  CLI::App* step = prepare.add_subcommand(name, what);
  step->fallthrough();
  return step;
}

void add_folder(CLI::App& step, FolderOptions& options) {
  step.add_option("-o,--output", options.out, "Folder for the results")->required();
  step.add_option("--threads", options.threads, "Files worked on at once, up to 1024 (default, or 0: all usable processors)");
  step.add_flag("--force", options.force, "Overwrite results that exist; nothing counts as finished");
}

using PictureJob = int (*)(const PictureOptions&, const cli::Common&);

void run_pictures(CLI::App& step, Program& program, std::shared_ptr<PictureOptions> options, PictureJob job) {
  add_folder(step, options->folder);
  step.callback([&program, options, job] {
    program.run = [&program, options, job] {
      const int threads = options->folder.threads;
      if (threads < 0 || threads > kMostThreads)
        throw Error(ErrorCode::usage, "--threads " + std::to_string(threads) + " is outside 0.." + std::to_string(kMostThreads));
      if (options->size != 0 && (options->size < 16 || options->size > 4096)) throw Error(ErrorCode::usage, "--size is outside 16..4096");
      if (options->folder.out.empty()) throw Error(ErrorCode::usage, "-o takes a name, not an empty word");
      options->folder.limits = program.limits;
      return job(*options, program.common);
    };
  });
}

void add_pictures(CLI::App& prepare, Program& program) {
  auto mask = std::make_shared<PictureOptions>(), texture = std::make_shared<PictureOptions>(), collect = std::make_shared<PictureOptions>();
  const std::string photos = std::string("A folder of photos (") + cli::kPhotoSuffixes + "), a photo, or @LIST (a path per line)";
  CLI::App* step = add_step(prepare, "collect", "Copy the photos that have a mask of their name, byte for byte, into one folder");
  collect->folder.inputs.resize(1);
  step->add_option("PHOTOS", collect->folder.inputs[0], photos)->required();
  step->add_option("MASKS", collect->masks, "A folder of masks, folders within it too")->required();
  run_pictures(*step, program, collect, prepare_collect);

  step = add_step(prepare, "mask", "Keep some labels of each photo, skin and nose; everything else becomes 0");
  mask->folder.inputs.resize(1);
  step->add_option("PHOTOS", mask->folder.inputs[0], photos)->required();
  step->add_option("LABELS", mask->labels, "A folder of label maps: NAME.npy (whole numbers), NAME.png (palette indices or gray values)")->required();
  step->add_option("--keep", mask->keep, kKeepHelp);
  step->add_option("--class-order", mask->order, kOrderHelp);
  step->add_option("--size", mask->size, "Resize square photos to this side first, 16..4096, as Pillow's BILINEAR (default: as they are)");
  run_pictures(*step, program, mask, prepare_mask);

  step = add_step(prepare, "texture", "Texture maps, the weak labels of the two-stage recipe");
  texture->folder.inputs.resize(1);
  step->add_option("PHOTOS", texture->folder.inputs[0], photos)->required();
  step->add_option("--labels", texture->labels, "A folder of label maps, as `mask` takes them: the map is 0 outside the kept labels (default: none)");
  step->add_option("--keep", texture->keep, kKeepHelp);
  step->add_option("--class-order", texture->order, kOrderHelp);
  step->add_option("--recipe", texture->recipe, "best, or closest (default: nearest to the published maps), authors (their code), inverse (their later notebook)");
  step->add_option("--sigma", texture->sigma, "Of the blur, in pixels of a photo of 1024; goes with the photo's longer side (default: 5)");
  run_pictures(*step, program, texture, prepare_texture);
}

}  // namespace

void add_prepare(CLI::App& app, Program& program) {
  CLI::App* prepare = app.add_subcommand("prepare", "Make data sets: collect, mask, texture maps, splits, checks, statistics");
  prepare->fallthrough();
  prepare->require_subcommand(1);
  prepare->footer(kPrepareExamples);
  add_pictures(*prepare, program);
}

}  // namespace furrow::apps
