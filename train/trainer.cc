#include "train/trainer.h"

#include <sstream>

#include "parallel/launch.h"
#include "train/run.h"
#include "train/run_folder.h"
#include "train/session.h"
#include "train/team.h"

namespace furrow::train {
namespace {

Preflight preflight_of(Session& session, const TrainJob& job, const Processes& processes) {
  Preflight out = preflight_counts(job.options, session.data, *session.network, *session.backend, processes,
                                   session.loader_threads, job.run);
  preflight_overfit(job.options, session.data, *session.network, *session.backend, session.loss, out);
  return out;
}

void note(const TrainJob& job, const std::string& text) {
  if (job.hooks.note) job.hooks.note(text);
}

void note(const TrainJob& job, const Preflight& check) {
  std::istringstream lines(check.text());
  for (std::string line; std::getline(lines, line);) note(job, line);
  for (const std::string& warning : check.warnings) note(job, "warning: " + warning);
}

void note(const TrainJob& job, const Session& session) {
  for (const std::string& text : session.notes) note(job, text);
  if (!session.own_note.empty()) note(job, session.own_note);
}

TrainResult start(const TrainJob& job) {
  refuse_existing_run(job.run);  // before the work of looking at the data; RunFolder asks again
  Session session(job, nullptr);
  note(job, session);
  const Processes processes{.all = session.processes(), .here = session.here};
  if (job.options.preflight) {
    const Preflight check = preflight_of(session, job, processes);
    note(job, check);
    check.require_ready();
    session.memory_foretold = check.memory.total();
  }
  if (job.together != nullptr) job.together->barrier();  // others must not take their memory while it is measured here
  session.make_step();
  RunFolder folder(job.run, RunFolder::Start::fresh);
  CheckpointStore store(folder.checkpoints());
  return Run(job, folder, store, session, nullptr).run(true);
}

TrainResult resume(const TrainJob& job) {
  RunFolder folder(job.run, RunFolder::Start::resume);
  CheckpointStore store(folder.checkpoints());
  CheckpointStore::Found found = store.newest(job.limits);
  for (const std::string& warning : found.warnings) note(job, warning);
  Session session(job, &found.snapshot);
  note(job, session);
  session.remember_memory(folder.file("run.json"));
  if (job.together != nullptr) job.together->barrier();
  session.make_step();
  Run run = with_file(found.path, [&] { return Run(job, folder, store, session, &found.snapshot); });
  found.snapshot = {};  // and with it the mapped file
  return run.run(false);
}

}  // namespace

TrainResult train(const TrainJob& job) {
  if (job.together != nullptr && job.together->rank() != 0) return follow(job);
  return job.resume ? resume(job) : start(job);
}

Preflight preflight(const TrainJob& job) {
  Session session(job, nullptr);
  Processes processes;  // what a launcher says, since nobody else is there to ask
  if (const auto launch = parallel::launched(); launch && job.launched)
    processes = {.all = launch->size, .here = launch->local_size};
  return preflight_of(session, job, processes);
}

std::string saved_config(const std::string& run, const io::Limits& limits) {
  const Snapshot snapshot = CheckpointStore(run + "/checkpoints").newest(limits).snapshot;
  const auto config = snapshot.values.find("config");
  if (config == snapshot.values.end())
    throw Error(ErrorCode::malformed, "the checkpoint holds no configuration").file(run);
  return config->second;
}

}  // namespace furrow::train
