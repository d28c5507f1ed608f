#include "apps/train_job.h"

#include <malloc.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "apps/version.h"
#include "parallel/communicator.h"
#include "parallel/launch.h"
#include "train/trainer.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// The progress line and the lines that it must make room for.
class Speaker {
 public:
  explicit Speaker(const cli::Common& common) : common_(common) {}

  train::TrainHooks hooks() {
    train::TrainHooks out;
    out.note = [this](const std::string& text) { say(text); };
    out.log = out.note;
    out.progress = [this](const train::TrainProgress& p) { show(p); };
    out.interrupted = [] { return cli::interrupted() != 0; };
    return out;
  }
  void end() { progress_.reset(); }

 private:
  void say(const std::string& text) {
    if (progress_) progress_->clear();
    cli::note(common_, text);
  }
  // Counts this session's steps, so that the rate and the time left are those of this machine today.
  void show(const train::TrainProgress& p) {
    if (!progress_) {
      first_ = p.step - 1;
      progress_ = std::make_unique<cli::Progress>(p.steps - first_, "steps", !common_.quiet);
    }
    progress_->update(p.step - first_, 0);
  }

  const cli::Common& common_;
  std::unique_ptr<cli::Progress> progress_;
  int64_t first_ = 0;
};

// The first of run-0001, run-0002 ... that is not there.
std::string free_run(const std::string& parent) {
  for (int n = 1; n < 10'000; ++n) {
    char name[16];
    std::snprintf(name, sizeof name, "run-%04d", n);
    const std::string path = parent + "/" + name;
    std::error_code error;
    if (!fs::exists(fs::symlink_status(path, error))) return path;
  }
  throw Error(ErrorCode::usage, "holds 9,999 runs already").file(parent).hint("-o RUN names the folder");
}

train::LoadedOptions load(const TrainWords& words, const io::Limits& limits) {
  if (words.resume.empty()) return train::load_train_options(words.config, words.overrides, limits);
  return train::parse_train_options(train::saved_config(words.resume, limits), words.resume + "/config.yaml",
                                    words.overrides, limits);
}

Json to_json(const train::Preflight& check) {
  Json out = {{"schema", "furrow.preflight/1"}, {"pairs", check.pairs}, {"train", check.train},
              {"validation", check.val},        {"test", check.test},   {"empty_masks", check.empty_masks}};
  out["prevalence"] = check.prevalence ? Json(*check.prevalence) : Json(nullptr);
  out["memory_bytes"] = {{"total", check.memory.total()},
                         {"process", check.memory.process},
                         {"parameters", check.memory.parameters},
                         {"scratch", check.memory.scratch},
                         {"data", check.memory.data},
                         {"activations", check.memory.activations},
                         {"validation", check.memory.validation},
                         {"checkpoint", check.memory.checkpoint},
                         {"trial", check.memory.trial},
                         {"needed", check.memory_needed()}};
  if (check.memory_free != UINT64_MAX) out["memory_bytes"]["free"] = check.memory_free;
  out["disk_bytes"] = {{"needed", check.disk_needed}, {"free", check.disk_free}};
  if (!check.overfit_id.empty())
    out["one_picture"] = {
        {"id", printable(check.overfit_id, 300)}, {"loss_before", check.loss_before}, {"loss_after", check.loss_after}};
  out["warnings"] = check.warnings;
  return out;
}

int check(const train::TrainJob& job, const cli::Common& common) {
  const train::Preflight found = train::preflight(job);
  if (common.json) {
    cli::print(to_json(found).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    cli::print(found.text());
    for (const std::string& warning : found.warnings) cli::note(common, "warning: " + warning);
  }
  found.require_ready();
  return 0;
}

std::string result_text(const train::TrainJob& job, const train::TrainResult& result, bool json) {
  const bool has_best = result.best_epoch > 0;
  if (json) {
    Json out = {{"schema", "furrow.train_result/1"}, {"run", printable(job.run, 1000)},
                {"epochs", result.epochs},           {"steps", result.steps},
                {"interrupted", result.interrupted}, {"stopped_early", result.stopped_early},
                {"best_epoch", result.best_epoch}};
    out["best_score"] = has_best ? Json(result.best_score) : Json(nullptr);
    return out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  char best[64] = "no validation";
  if (has_best)
    std::snprintf(best, sizeof best, "best epoch %lld, score %.4f", static_cast<long long>(result.best_epoch),
                  result.best_score);
  return printable(job.run, 400) + ": " + std::to_string(result.epochs) + " epochs, " + std::to_string(result.steps) +
         " steps, " + best + (result.interrupted ? ", interrupted: --resume goes on" : "") +
         (result.stopped_early ? ", stopped early" : "") + "\n";
}

// Whichever process had the signal, all stop for it: those that had none as if for SIGTERM.
int exit_status(const train::TrainResult& result) {
  if (!result.interrupted) return 0;
  return cli::interrupted() != 0 ? cli::interrupted() : 128 + SIGTERM;
}

// `together`: the processes that train, or null.
int run_alone_or_together(const TrainWords& words, const io::Limits& limits, const cli::Common& common,
                          parallel::Communicator* together) {
  if (!words.resume.empty() && (!words.config.empty() || !words.out.empty() || words.check || !words.preview.empty()))
    throw Error(ErrorCode::usage, "--resume takes everything from the run's folder")
        .hint("only --set, --device, --threads and the like go with it");
  const train::LoadedOptions loaded = load(words, limits);
  const bool leads = together == nullptr || together->rank() == 0;
  if (leads)
    for (const std::string& note : loaded.notes) cli::note(common, note);
  train::TrainJob job;
  job.together = together;
  job.nccl = words.parallel == "nccl";
  job.options = loaded.options;
  job.limits = limits;
  job.resume = !words.resume.empty();
  job.version = version_text().substr(0, version_text().find('\n'));
  if (!leads) {
    job.hooks.interrupted = [] { return cli::interrupted() != 0; };
    job.hooks.note = [&common](const std::string& text) { cli::note(common, text); };
    return exit_status(train::train(job));
  }
  if (!job.options.checkpoint_dir.empty() && !job.resume)
    cli::note(common, "checkpoint_dir is not used: checkpoints lie in the run's folder, under its lock");
  if (job.resume)
    job.run = words.resume;
  else
    job.run = words.out.empty() ? free_run(job.options.run_dir) : words.out;
  job.launched = words.parallel != "none";
  if (words.check) return check(job, common);
  if (!words.preview.empty()) {
    const int64_t pictures = train::write_preview(job, words.preview);
    cli::print(printable(words.preview, 400) + ": " + std::to_string(pictures) + " pictures\n");
    return 0;
  }
  Speaker speaker(common);
  job.hooks = speaker.hooks();
  const train::TrainResult result = train::train(job);
  speaker.end();
  cli::print(result_text(job, result, common.json));
  return exit_status(result);
}

// The processes that were launched with this one, or null where it is alone.
std::unique_ptr<parallel::Communicator> join(const TrainWords& words, const cli::Common& common) {
  const auto launch = parallel::launched();
  if (words.parallel == "none" || (words.parallel == "auto" && !launch)) return nullptr;
  auto together = parallel::open_mpi(launch ? launch->size : 0);
  if (together->rank() == 0)
    cli::note(common,
              std::to_string(together->size()) + " processes, each with batches of its own: " + together->library());
  if (together->size() > 1) return together;
  together->finish();
  return nullptr;
}

// Says why this process gives up, and ends the others, which would wait for it. Where all found the same, rank 0 says
// it: the others give it the time.
[[noreturn]] void give_up(parallel::Communicator& together, const Error& error, const cli::Common& common) {
  if (together.rank() != 0) {
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (cli::interrupted() != 0) std::_Exit(static_cast<int>(error.code()));  // the launcher ends this process
    }
    if (!common.json) std::fprintf(stderr, "process %d of %d: ", together.rank(), together.size());
  }
  together.abort_all(cli::report(error, common));
}

// Blocks of this size and more go back to the system when they are freed. Left alone, glibc raises the limit to the
// largest block that was ever freed, up to 32 MiB, and keeps the holes in its heap: memory that nobody uses, and that
// no one can foretell.
void return_freed_memory() {
#ifdef M_MMAP_THRESHOLD
  constexpr int kBytes = 128 << 10;  // where glibc begins
  mallopt(M_MMAP_THRESHOLD, kBytes);
#endif
}

}  // namespace

int run_train(const TrainWords& words, const io::Limits& limits, const cli::Common& common) {
  return_freed_memory();
  if (words.check || !words.preview.empty()) {  // work for one
    const auto launch = parallel::launched();
    return launch && launch->rank != 0 ? 0 : run_alone_or_together(words, limits, common, nullptr);
  }
  const auto together = join(words, common);
  if (!together) return run_alone_or_together(words, limits, common, nullptr);
  try {
    const int status = run_alone_or_together(words, limits, common, together.get());
    together->finish();
    return status;
  } catch (const Error& error) { give_up(*together, error, common); } catch (const std::bad_alloc&) {
    give_up(*together, Error(ErrorCode::limit, "out of memory").hint("a smaller batch_size or size"), common);
  } catch (const std::exception& error) {
    give_up(*together, Error(ErrorCode::internal, error.what()).hint("please report this as a bug"), common);
  }
}

}  // namespace furrow::apps
