// The verbs of the program: each adds its options to the command line and says what to run when it is chosen.
#pragma once

#include <functional>

#include "apps/cli/report.h"
#include "io/limits.h"

namespace CLI {
class App;
}

namespace furrow::apps {

// What the command line chose: `run` returns the exit status or throws furrow::Error.
struct Program {
  cli::Common common;
  io::Limits limits;
  std::function<int()> run;
};

void add_segment(CLI::App& app, Program& program);
void add_train(CLI::App& app, Program& program);
void add_evaluate(CLI::App& app, Program& program);
void add_prepare(CLI::App& app, Program& program);
void add_model(CLI::App& app, Program& program);

}  // namespace furrow::apps
