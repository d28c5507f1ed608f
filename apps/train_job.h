// `furrow train` once its words are understood.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "io/limits.h"

namespace furrow::apps {

struct TrainWords {
  std::string config;                  // file, or ""
  std::vector<std::string> overrides;  // "KEY=VALUE"
  std::string out;                     // the run's folder, or "" for the next free one in run_dir
  std::string resume;                  // a run's folder, or ""
  std::string preview;                 // folder for augmented examples, or ""
  bool check = false;                  // pre-flight only
  std::string parallel = "auto";       // or "mpi", "none"
};

// Trains, goes on, checks or previews; returns the exit status.
int run_train(const TrainWords& words, const io::Limits& limits, const cli::Common& common);

}  // namespace furrow::apps
