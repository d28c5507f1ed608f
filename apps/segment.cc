// `furrow segment`: photos in, wrinkle masks, overlays and numbers out. This file is the command line only.
#include <CLI/CLI.hpp>
#include <memory>
#include <sstream>

#include "apps/cli/inputs.h"
#include "apps/cli/words.h"
#include "apps/segment_job.h"
#include "apps/verbs.h"

namespace furrow::apps {
namespace {

constexpr const char* kSegmentExamples =
    "Examples:\n"
    "  furrow segment photo.jpg -o out                    mask, overlay and JSON of the largest face\n"
    "  furrow segment photos/ -o out --faces all          a folder; the same command again goes on where it stopped\n"
    "  furrow segment photos/ -o out --shard 2/4          the second of four parts; --merge -o out adds them up\n"
    "  furrow segment crop.png -o out --crop none         a photo that is a face crop already\n"
    "  furrow segment photo.jpg -o out --save mask,prob,overlay,json --threshold 0.4 --json";

// The words as typed; checked and turned into a SegmentJob when the verb runs.
struct SegmentWords {
  SegmentJob job;
  std::string save = "mask,overlay,json", faces = "largest", crop = "face", tta = "none", background = "drop", prob = "8", keep, shard;
  int threads = 0;
};

void parse_save(const std::string& list, SegmentJob& job) {
  job.save_mask = job.save_prob = job.save_overlay = job.save_json = false;
  std::stringstream words(list);
  for (std::string word; std::getline(words, word, ',');)
    *choose<bool*>("--save", word, {{"mask", &job.save_mask}, {"prob", &job.save_prob}, {"overlay", &job.save_overlay}, {"json", &job.save_json}}) = true;
  if (!job.save_mask && !job.save_prob && !job.save_overlay && !job.save_json)
    throw Error(ErrorCode::usage, "--save names nothing to save").hint("it takes mask, prob, overlay, json, separated by commas");
}

SegmentJob to_job(SegmentWords words, const io::Limits& limits, const cli::Common& common) {
  SegmentJob job = std::move(words.job);
  if (job.inputs.empty() && !job.merge)
    throw Error(ErrorCode::usage, "PHOTO is required").hint("a photo, a folder, @LIST, or - for standard input");
  if (job.merge && !(job.inputs.empty() && words.shard.empty()))
    throw Error(ErrorCode::usage, "--merge takes the folder of the results alone").hint("furrow segment --merge -o OUT");
  if (!job.merge) job.shard = shard_of(words.shard, common);
  for (const std::string& input : job.inputs)
    if (input.empty()) throw Error(ErrorCode::usage, "an empty name is no photo");
  if (job.out.empty() || job.labels.empty()) throw Error(ErrorCode::usage, "-o and --labels take a name, not an empty word");
  job.limits = limits;
  SegmentOptions& options = job.options;
  parse_save(words.save, job);
  options.faces = choose<FaceChoice>("--faces", words.faces, {{"largest", FaceChoice::largest}, {"all", FaceChoice::all}});
  options.crop = choose<CropMode>("--crop", words.crop, {{"face", CropMode::face}, {"none", CropMode::none}, {"ffhq-uv", CropMode::ffhq_uv}});
  options.flip = choose<bool>("--tta", words.tta, {{"none", false}, {"flip", true}});
  job.background = choose<io::Background>("--background", words.background,
      {{"drop", io::Background::drop}, {"black", io::Background::black}, {"white", io::Background::white}});
  options.probability = choose<ProbabilityDepth>("--prob-bits", words.prob, {{"8", ProbabilityDepth::gray8}, {"16", ProbabilityDepth::gray16}});
  if (!job.save_prob) options.probability = ProbabilityDepth::none;
  check_range("--threads", words.threads, 0, kMostThreads);
  job.compute.threads = words.threads;
  if (!words.keep.empty()) options.kept_labels = parse_labels(words.keep);
  if (!job.parser.empty() && job.labels == "none") job.labels = "auto";
  if (!job.parser.empty() != (job.labels == "auto"))
    throw Error(ErrorCode::usage, job.labels == "auto" ? "--labels auto needs --parser" : "--parser gives labels, and so does --labels").hint("--parser FILE: the weights of a face parser (furrow model get face-parser)");
  if (options.kept_labels && job.labels == "none")
    throw Error(ErrorCode::usage, "--keep chooses among the labels of --labels, and no label map is given").hint("add --labels MAP, or a folder of them, or --parser FILE");
  return job;
}

}  // namespace

void add_segment(CLI::App& app, Program& program) {
  auto words = std::make_shared<SegmentWords>();
  CLI::App* verb = app.add_subcommand("segment", "Find the wrinkles of photos: masks, overlays, numbers");
  verb->fallthrough();
  verb->footer(kSegmentExamples);
  verb->add_option("PHOTO", words->job.inputs, std::string("PNG or JPEG files, folders (of which every ") + cli::kPhotoSuffixes + "), @LIST (a path per line), or - for standard input");
  verb->add_option("-o,--output", words->job.out, "Folder for the results (default: out)");
  verb->add_option("--weights", words->job.weights, "A .safetensors or .pth file (default: the model in the program)");
  verb->add_option("--threshold", words->job.options.threshold, "Probability above which a pixel is a wrinkle, between 0 and 1 (default: the model's)");
  verb->add_option("--save", words->save, "What to write: mask,prob,overlay,json (default: mask,overlay,json)");
  verb->add_option("--prob-bits", words->prob, "Depth of the probability picture: 8 (default) or 16");
  verb->add_option("--faces", words->faces, "largest (default) or all");
  verb->add_option("--crop", words->crop, "face (default): find faces and cut them out; none: the photo is a crop already; ffhq-uv: it is a texture map in FFHQ-UV's layout");
  verb->add_option("--labels", words->job.labels, "Face-parsing label map of the photo (PNG), or a folder of them by name, auto (of --parser), or none");
  verb->add_option("--parser", words->job.parser, "Weights of a face parser: finds the labels itself");
  verb->add_option("--keep", words->keep, "Labels in which marks count, by name or number, e.g. skin,nose or 1,10 (default: the model's)");
  verb->add_option("--size", words->job.options.size, "Side in pixels the network runs on, 32..4096 (default: the model's)");
  verb->add_flag("--tile", words->job.options.tile, "Windows with overlap instead of one resized square: pictures of any size");
  verb->add_option("--tta", words->tta, "flip: average with the mirrored photo");
  verb->add_option("--background", words->background, "What transparency becomes: drop (default), black, white");
  verb->add_option("--threads", words->threads, "Worker threads, up to 1024 (default, or 0: all usable processors)");
  verb->add_option("--device", words->job.compute.device, "auto (default), cpu, cuda, cuda:N, cpu-emulated (slow), ref (slow)");
  verb->add_option("--precision", words->job.compute.precision, "fp16 (default), bf16, tf32, fp32 of --device cuda and cpu-emulated; int8 (default of a quantised model where the CPU has VNNI), fp32 of cpu");
  verb->add_option("--kernels", words->job.compute.kernels, "Of --device cuda: auto (default: own, unless `furrow model tune` says otherwise), own, vendor");
  verb->add_option("--memory", words->job.compute.memory, "Of --device cpu: normal (default), low (half the speed, a fraction of the memory: docs/performance.md)");
  verb->add_option("--tune", words->job.compute.tuning, "The file of `furrow model tune` (default: in the cache folder, where there is one)");
  verb->add_flag("--preview", words->job.preview, "Show a small picture of the result in the terminal");
  verb->add_option("--shard", words->shard, "I/N: every N-th photo, from the I-th on (default: rank and size of mpirun, srun)");
  verb->add_flag("--merge", words->job.merge, "Report what all shards in the folder -o did, as one process would have");
  verb->add_flag("--force", words->job.force, "Overwrite results that exist, also of other photos; nothing counts as finished");
  verb->callback([&program, words] {
    program.run = [&program, words] { return run_segment(to_job(*words, program.limits, program.common), program.common); };
  });
}

}  // namespace furrow::apps
