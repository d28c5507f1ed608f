// `furrow train`: folders of photos and masks in, a trained network out. This file is the command line only.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/train_job.h"
#include "apps/verbs.h"
#include "train/options.h"

namespace furrow::apps {
namespace {

constexpr const char* kTrainExamples =
    "Examples:\n"
    "  furrow train --images photos --masks masks -o run       train with the defaults\n"
    "  furrow train --config config.yaml -o run                with a configuration file (--help-config: its keys)\n"
    "  furrow train --config config.yaml --check               look at the data, memory, disk; nothing is written\n"
    "  furrow train --config config.yaml --preview seen        pictures as the network will see them\n"
    "  furrow train --resume run                               go on after an interruption, bit for bit\n"
    "  mpirun -n 2 furrow train --config config.yaml -o run    two processes, one run (docs/parallel.md)\n"
    "  furrow segment photo.jpg --weights run/model.safetensors";

// VALUE as YAML text, whatever it holds: a path is no number, and a colon no map.
std::string quoted(const std::string& value) {
  std::string out = "'";
  for (const char c : value) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

struct TrainTyped {
  TrainWords train;
  std::string images, masks, device, threads, precision, kernels, epochs;
  bool help_config = false;
};

}  // namespace

void add_train(CLI::App& app, Program& program) {
  auto words = std::make_shared<TrainTyped>();
  CLI::App* verb = app.add_subcommand("train", "Train a network on photos and masks");
  verb->fallthrough();
  verb->footer(kTrainExamples);
  verb->add_option("--config", words->train.config, "Configuration file, YAML or JSON (default: the defaults)");
  verb->add_option("--set", words->train.overrides, "Change a key: KEY=VALUE, may be repeated")
      ->allow_extra_args(false);
  verb->add_option("--images", words->images, "Folder of photos (key image_dir)");
  verb->add_option("--masks", words->masks, "Folder of masks (key mask_dir)");
  verb->add_option("-o,--output", words->train.out, "Folder of the run (default: the next free one in key run_dir)");
  verb->add_option("--resume", words->train.resume, "Go on with the run in this folder");
  verb->add_option("--epochs", words->epochs, "Passes over the training set (key epochs)");
  verb->add_option("--device", words->device, "auto (default), cpu, cuda, cuda:N, cpu-emulated (slow), ref (slow)");
  verb->add_option("--threads", words->threads, "Worker threads (default, or 0: all usable processors)");
  verb->add_option("--precision", words->precision, "float32 (default) or mixed");
  verb->add_option("--kernels", words->kernels,
                   "Of --device cuda with --precision mixed: own (default), or vendor: convolutions by cuDNN");
  verb->add_option("--parallel", words->train.parallel,
                   "auto (default): with the other processes of an mpirun or srun; mpi: in any case; nccl: gradients "
                   "by NCCL; none: alone")
      ->check(CLI::IsMember({"auto", "mpi", "nccl", "none"}));
  verb->add_option("--preview", words->train.preview, "Write augmented training pictures to this folder and stop");
  verb->add_flag("--check", words->train.check, "Pre-flight only: data, memory, disk, one picture; then stop");
  verb->add_flag("--help-config", words->help_config, "Print every key of the configuration and stop");
  verb->callback([&program, words] {
    program.run = [&program, words] {
      if (words->help_config) {
        cli::print(train::train_options_help());
        return 0;
      }
      TrainWords job = words->train;
      const auto set = [&](const char* key, const std::string& value, bool text) {
        if (!value.empty()) job.overrides.push_back(std::string(key) + "=" + (text ? quoted(value) : value));
      };
      set("image_dir", words->images, true);
      set("mask_dir", words->masks, true);
      set("device", words->device, true);
      set("threads", words->threads, false);
      set("precision", words->precision, true);
      set("kernels", words->kernels, true);
      set("epochs", words->epochs, false);
      return run_train(job, program.limits, program.common);
    };
  });
}

}  // namespace furrow::apps
