// `furrow evaluate`: predictions beside masks drawn by people, in numbers. This file is the command line only.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <sstream>

#include "apps/cli/words.h"
#include "apps/evaluate/groups.h"
#include "apps/evaluate/job.h"
#include "apps/shard.h"
#include "apps/verbs.h"
#include "losses/metrics_tolerance.h"

namespace furrow::apps {
namespace {

constexpr const char* kEvaluateExamples =
    "Examples:\n"
    "  furrow evaluate photos masks -o out                       face crops and masks of 0 and 255, paired by name\n"
    "  furrow evaluate photos masks --mask-values 3 --weights w.pth --sweep\n"
    "  furrow evaluate photos masks --mask-classes 0:0,1:1,3:2 --weights w.pth    several classes\n"
    "  furrow evaluate photos masks --predictions out --bootstrap 0   masks or probabilities that something else made\n"
    "  furrow evaluate photos masks --attributes ffhq/json --by age --by pose --by blur.value:q5\n"
    "  furrow evaluate photos masks --shard 1/2 -o parts; furrow evaluate photos masks --shard 2/2 -o parts\n"
    "  furrow evaluate --merge parts -o out\n"
    "Every number: docs/metrics.md.";

constexpr int kMostResamples = 1'000'000, kMostOverlays = 50;

// The words as typed; checked and turned into an EvaluateJob when the verb runs.
struct EvaluateWords {
  EvaluateJob job;
  std::string crop = "none", at = "model", tta = "none", mask_values = "binary", mask_classes, tolerance = "1,2,3",
              keep, merge, shard;
  bool luma = false;
  int threads = 0;
};

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> words;
  std::stringstream stream(list);
  for (std::string word; std::getline(stream, word, ',');) words.push_back(word);
  return words;
}

std::vector<int> whole_numbers(const std::string& option, const std::string& list, int most, const char* hint) {
  std::vector<int> numbers;
  for (const std::string& word : split(list)) {
    if (word.empty() || word.size() > 6 || word.find_first_not_of("0123456789") != std::string::npos ||
        std::stoi(word) > most)
      throw Error(ErrorCode::usage,
                  option + " " + printable(list) + ": not a list of numbers up to " + std::to_string(most))
          .hint(hint);
    numbers.push_back(std::stoi(word));
  }
  return numbers;
}

// "0:0,3:1": value in the masks to class number.
data::MaskRule class_rule(const EvaluateWords& words) {
  data::MaskRule rule;
  rule.kind = data::MaskKind::classes;
  rule.luma = words.luma;
  constexpr const char* kHint = "VALUE:CLASS, classes counted from 0, e.g. --mask-classes 0:0,1:1,3:2";
  const auto byte = [&](const std::string& word, int most) {
    const auto numbers = whole_numbers("--mask-classes", word, most, kHint);
    if (numbers.size() != 1)
      throw Error(ErrorCode::usage, "--mask-classes " + printable(words.mask_classes) + ": not a map").hint(kHint);
    return static_cast<uint8_t>(numbers[0]);
  };
  for (const std::string& entry : split(words.mask_classes)) {
    const size_t colon = entry.find(':');
    if (colon == std::string::npos)
      throw Error(ErrorCode::usage, "--mask-classes " + printable(words.mask_classes) + ": not a map").hint(kHint);
    rule.classes.emplace_back(byte(entry.substr(0, colon), 255), byte(entry.substr(colon + 1), 254));
  }
  std::ranges::sort(rule.classes);  // the same map in another order is the same evaluation
  try {
    data::MaskTable check(rule);
  } catch (const Error& error) {
    throw Error(ErrorCode::usage, "--mask-classes " + printable(words.mask_classes) + ": " + error.reason());
  }
  return rule;
}

data::MaskRule mask_rule(const EvaluateWords& words) {
  if (!words.mask_classes.empty()) return class_rule(words);
  data::MaskRule rule;
  const std::string& text = words.mask_values;
  if (!text.empty() && text.find_first_not_of("0123456789,") == std::string::npos) {
    rule.kind = data::MaskKind::values;
    for (const int value : whole_numbers("--mask-values", text, 255, "e.g. --mask-values 3"))
      rule.wrinkle.push_back(static_cast<uint8_t>(value));
  } else {
    rule.kind = choose<data::MaskKind>("--mask-values", text,
                                       {{"binary", data::MaskKind::binary},
                                        {"unit", data::MaskKind::unit},
                                        {"threshold", data::MaskKind::threshold},
                                        {"a list of values", data::MaskKind::values}});
  }
  rule.luma = words.luma;
  try {
    data::MaskTable check(rule);
  } catch (const Error& error) {
    throw Error(ErrorCode::usage, "--mask-values " + printable(text) + ": " + error.reason());
  }
  return rule;
}

// What contradicts itself, before anything is opened.
void check_job(const EvaluateJob& job) {
  const auto refuse = [](const std::string& reason, const std::string& hint) {
    throw Error(ErrorCode::usage, reason).hint(hint);
  };
  if (job.out.empty()) refuse("-o takes a name, not an empty word", "e.g. -o out");
  if (job.merge.empty() && (job.images.empty() || job.masks.empty()))
    refuse("two folders are wanted: photos and masks", "or shards: --merge FILES");
  if (!job.write_threshold.empty() && !job.write_threshold.ends_with(".safetensors"))
    refuse("--write-threshold " + printable(job.write_threshold) + ": a native model file is written",
           "end its name in .safetensors");
  if (!job.write_threshold.empty() && job.shards > 1)
    refuse("one shard chooses no threshold", "give --write-threshold to --merge");
  if (!job.by.empty() && job.attributes.empty())
    refuse("--by wants a table: --attributes FILE", "a CSV or JSON file, or a folder of JSON files");
  if (!job.attributes.empty() && job.by.empty())
    refuse("--attributes without a field to divide by", "e.g. --by age --by pose");
  if (job.threshold && !(*job.threshold > 0 && *job.threshold < 1))
    refuse("threshold " + std::to_string(*job.threshold) + " is outside (0, 1)", "");
}

// Options that would change nothing are refused rather than passed over.
void exclude(CLI::App& verb) {
  CLI::Option* merge = verb.get_option("--merge");
  CLI::Option* predictions = verb.get_option("--predictions");
  for (const char* name :
       {"--weights", "--write-threshold", "--at", "--crop", "--size", "--tta", "--device", "--precision"})
    predictions->excludes(verb.get_option(name));
  // What asks for one class and a threshold; for --at, apps/evaluate/classes.h says why.
  CLI::Option* classes = verb.get_option("--mask-classes");
  for (const char* name :
       {"--mask-values", "--threshold", "--at", "--tolerance", "--sweep", "--write-threshold", "--overlays"})
    classes->excludes(verb.get_option(name));
  const std::vector<std::string> of_sums = {"output",  "weights", "write-threshold", "sweep",
                                            "threads", "force",   "merge",           "help"};
  for (CLI::Option* option : verb.get_options())
    if (option->get_lnames().empty() || std::ranges::find(of_sums, option->get_lnames().front()) == of_sums.end())
      merge->excludes(option);
}

EvaluateJob to_job(EvaluateWords words, const io::Limits& limits, const cli::Common& common) {
  EvaluateJob job = std::move(words.job);
  job.limits = limits;
  job.crop = choose<CropMode>("--crop", words.crop, {{"face", CropMode::face}, {"none", CropMode::none}});
  job.at = choose<CompareAt>("--at", words.at, {{"model", CompareAt::model}, {"photo", CompareAt::photo}});
  job.flip = choose<bool>("--tta", words.tta, {{"none", false}, {"flip", true}});
  job.radii = whole_numbers("--tolerance", words.tolerance, kLargestRadius, "pixels, e.g. --tolerance 1,2,3");
  if (!words.keep.empty()) job.kept_labels = whole_numbers("--keep", words.keep, 255, "labels, e.g. --keep 1,10");
  job.merge = split(words.merge);
  job.mask_rule = mask_rule(words);
  if (job.merge.empty()) {
    const Shard shard = shard_of(words.shard, common);
    job.shard = shard.index, job.shards = shard.count;
  }
  check_range("--threads", words.threads, 0, kMostThreads);
  check_range("--bootstrap", job.resamples, 0, kMostResamples);
  check_range("--overlays", job.overlays, 0, kMostOverlays);
  for (size_t i = 0; i < job.radii.size(); ++i)
    if (std::find(job.radii.begin(), job.radii.begin() + static_cast<std::ptrdiff_t>(i), job.radii[i]) !=
        job.radii.begin() + static_cast<std::ptrdiff_t>(i))
      throw Error(ErrorCode::usage, "--tolerance " + printable(words.tolerance) + ": " + std::to_string(job.radii[i]) +
                                        " stands there twice");
  if (job.radii.size() > 16) throw Error(ErrorCode::usage, "--tolerance: more than 16 distances");
  job.compute.threads = words.threads;
  for (const std::string& by : job.by) parse_group(by);
  check_job(job);
  return job;
}

}  // namespace

void add_evaluate(CLI::App& app, Program& program) {
  auto words = std::make_shared<EvaluateWords>();
  EvaluateJob& job = words->job;
  CLI::App* verb =
      app.add_subcommand("evaluate", "Compare a model's wrinkles with masks: IoU, F1, AUROC and more, with intervals");
  verb->fallthrough();
  verb->footer(kEvaluateExamples);
  verb->add_option("IMAGES", job.images, "Folder of photos");
  verb->add_option("MASKS", job.masks, "Folder of masks, paired with the photos by name");
  verb->add_option("-o,--output", job.out, "Folder for the results (default: evaluation)");
  verb->add_option("--weights", job.weights, "A .safetensors or .pth file (default: the model in the program)");
  verb->add_option("--predictions", job.predictions,
                   "Folder of NAME.png, NAME.prob.png or NAME.mask.png to compare in place of a model");
  verb->add_option("--mask-values", words->mask_values,
                   "binary (default: 0 and 255), unit (0 and 1), threshold (> 127), or the values that are wrinkle: 3");
  verb->add_option("--mask-classes", words->mask_classes,
                   "Several classes: VALUE:CLASS,... of the masks; numbers per class, means, confusion; no threshold");
  verb->add_flag("--mask-luma", words->luma, "Take colour and JPEG masks too, by their luma");
  verb->add_option("--ids", job.ids, "File of names, one per line: only these are compared");
  verb->add_flag("--skip-unpaired", job.skip_unpaired,
                 "Leave out photos without a mask and masks without a photo, instead of refusing");
  verb->add_flag("--stem-first-dot", job.first_dot,
                 "Names pair up to their first dot, as the seed has it (default: without the extension)");
  verb->add_option("--threshold", job.threshold,
                   "Probability above which a pixel is a wrinkle, between 0 and 1 (default: the model's, or 0.5)");
  verb->add_option("--at", words->at, "Compare on the model's pixels (model, default) or the photo's own (photo)");
  verb->add_option("--crop", words->crop, "none (default): the photos are face crops; face: find the largest face");
  verb->add_option("--size", job.size, "Side in pixels the network runs on, 32..4096 (default: the model's)");
  verb->add_option("--tta", words->tta, "flip: average with the mirrored photo");
  verb->add_option("--labels", job.labels, "Folder of face-parsing label maps NAME.png: compare inside the face only");
  verb->add_option("--keep", words->keep, "Labels that are inside, e.g. 1,10 (default: the model's)");
  verb->add_option("--tolerance", words->tolerance,
                   "Distances in pixels that count as hit in the tolerant numbers (default: 1,2,3)");
  verb->add_option("--by", job.by, "FIELD, FIELD:20,40 or FIELD:q4: numbers for each group; may be repeated")
      ->allow_extra_args(false);
  verb->add_option("--attributes", job.attributes,
                   "Where the fields are: a CSV or JSON file, or the json folder of FFHQ-features");
  verb->add_option("--bootstrap", job.resamples,
                   "Resamples of the pictures for the 95 % intervals (default: 2000; 0: none)");
  verb->add_option("--seed", job.seed, "Of the resamples (default: 0)");
  verb->add_flag("--sweep", job.sweep, "Print the numbers at every threshold from 0.01 to 0.99");
  verb->add_option("--write-threshold", job.write_threshold,
                   "Write the model with the best threshold to this .safetensors file");
  verb->add_option("--overlays", job.overlays, "Worst and best pictures in the report, each (default: 6)");
  verb->add_option(
      "--shard", words->shard,
      "I/N: every N-th pair, from the I-th on; writes a file for --merge (default: rank and size of mpirun, srun)");
  verb->add_option("--merge", words->merge,
                   "Folder with all shards, or their files, separated by commas: byte for byte what one run gives");
  verb->add_option("--threads", words->threads, "Worker threads, up to 1024 (default, or 0: all usable processors)");
  verb->add_option("--device", job.compute.device,
                   "auto (default), cpu, cuda, cuda:N, cpu-emulated (slow), ref (slow)");
  verb->add_option("--precision", job.compute.precision,
                   "fp16 (default), bf16, tf32, fp32 of --device cuda and cpu-emulated; int8 and fp32 of cpu, as segment takes them");
  verb->add_flag("--force", job.force, "Overwrite results that exist");
  exclude(*verb);
  verb->callback([&program, words] {
    program.run = [&program, words] {
      return run_evaluate(to_job(*words, program.limits, program.common), program.common);
    };
  });
}

}  // namespace furrow::apps
