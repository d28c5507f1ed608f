// furrow_gpu_bench: ceilings, layers, networks and the rest of the work on a GPU, each row with a check of its result.
//
//   furrow_gpu_bench --device cuda --sizes full --seconds 240 --json FILE
//   furrow_gpu_bench --device cuda --sizes full --turns            waits for words on standard input (turns.cc)
//
// scripts/gpu_check.sh runs it and prints the table; docs/gpu.md says what the numbers mean. On cpu-emulated the times
// are the emulator's and tell nothing about a GPU.
#include <cstdio>
#include <string>

#include "bench/gpu/session.h"
#include "bench/gpu/turns.h"
#include "kernels/error.h"

namespace {

using namespace furrow;
using namespace furrow::bench;

int run(int argc, char** argv) {
  std::string device = "cpu-emulated", sizes = "tiny", json, seconds = "300";
  bool turns = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--turns") {
      turns = true;
      continue;
    }
    std::string* const value = option == "--device"    ? &device
                               : option == "--sizes"   ? &sizes
                               : option == "--json"    ? &json
                               : option == "--seconds" ? &seconds
                                                       : nullptr;
    if (value == nullptr || i + 1 >= argc)
      throw Error(ErrorCode::usage,
                  "usage: furrow_gpu_bench [--device cuda|cpu-emulated] [--sizes tiny|full] [--seconds N] "
                  "(--json FILE | --turns)");
    *value = argv[++i];
  }
  if (turns) return take_turns(Session(device, sizes, 1e9)), 0;
  if (json.empty()) throw Error(ErrorCode::usage, "--json FILE is missing");
  Session session(device, sizes, std::stod(seconds));
  // The file is written after each section, so that a run which is cut short leaves what it has.
  for (const auto section :
       {add_ceilings, add_correctness, add_networks, add_training_steps, add_other_correctness, add_other_networks,
        add_layers, add_training, add_pictures, add_large_pictures, bench::add_ladder}) {
    section(session);
    session.report.write(json);
  }
  std::printf("%zu rows, %zu not run: %s\n", session.report.rows.size(), session.report.not_run.size(),
              session.report.ok() ? "all results right" : "wrong results");
  return session.report.ok() ? 0 : static_cast<int>(ErrorCode::different);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const furrow::Error& error) {
    std::fprintf(stderr, "%s\n", error.line().c_str());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {   // std::stod
    std::fprintf(stderr, "furrow_gpu_bench: %s\n", error.what());
    return static_cast<int>(furrow::ErrorCode::usage);
  }
}
