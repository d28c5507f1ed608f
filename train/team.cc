#include "train/team.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

#include "io/crc32c.h"
#include "io/sha256.h"

namespace furrow::train {
namespace {

std::span<std::byte> bytes_of(Tensor& t) {
  switch (t.dtype()) {
    case DType::f32: return std::as_writable_bytes(t.values<float>());
    case DType::f64: return std::as_writable_bytes(t.values<double>());
    case DType::i64: return std::as_writable_bytes(t.values<int64_t>());
    default: break;
  }
  require(false, "Team: a parameter of another type");
  return {};
}

// The first 48 bits of the text's SHA-256, which a double holds exactly.
double digest(std::string_view text) {
  io::Sha256 sum;
  sum.update(std::as_bytes(std::span(text)));
  return static_cast<double>(std::stoull(sum.hex().substr(0, 12), nullptr, 16));
}

// What all processes must have alike. Threads and device are each one's own; initial weights come from rank 0.
std::string alike(TrainOptions options) {
  options.threads = 0;
  options.device = "auto";
  options.init_weights.clear();
  return to_yaml(options);
}

std::string examples(const Data& data) {
  std::string out;
  for (const std::vector<int64_t>* part : {&data.train, &data.val}) {
    for (const int64_t item : *part) out += data.set->id(item) + '\0';
    out += '\0';
  }
  return out;
}

std::string this_machine() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string name;
  if (std::getline(file, name) && !name.empty()) return name;
  char host[256] = {};
  return ::gethostname(host, sizeof host - 1) == 0 ? host : "";
}

}  // namespace

int64_t Team::agree(const Session& session, const TrainJob& job) {
  constexpr std::array<const char*, 5> kWhat = {"version of the program", "configuration", "list of examples",
                                                "back-end or instruction set", "way of exchange (--parallel)"};
  const std::array<double, 5> own = {digest(job.version), digest(alike(session.options)),
                                     digest(examples(session.data)), digest(session.backend->name()),
                                     job.nccl ? 1.0 : 0.0};
  std::vector<double> every(own.size() * static_cast<size_t>(all_.size()));
  all_.gather(own, every);
  for (size_t i = own.size(); i < every.size(); ++i) {
    if (every[i] == every[i % own.size()]) continue;
    throw Error(ErrorCode::configuration, "process " + std::to_string(i / own.size()) + " of " +
                                              std::to_string(all_.size()) + " has another " + kWhat[i % own.size()] +
                                              " than process 0")
        .hint("all processes need the same files, options and program; FURROW_ISA fixes the instruction set");
  }
  const double machine = digest(this_machine());
  std::vector<double> machines(static_cast<size_t>(all_.size()));
  all_.gather(std::span(&machine, 1), machines);
  return std::ranges::count(machines, machine);
}

void Team::share(Session& session) {
  TrainStep& step = *session.step;
  step.parameters().publish();
  for (const Module::Keyed& keyed : session.network->parameters()) all_.broadcast(bytes_of(keyed.parameter->value));
  if (all_.rank() != 0) step.parameters().rebind();
  for (const int which : {0, 1}) {
    if (step.moment(which).empty()) continue;
    Tensor host = step.parameters().on_host(step.moment(which));
    all_.broadcast(bytes_of(host));
    if (!session.backend->in_host_memory()) session.backend->put(host, step.moment(which));
  }
  all_.broadcast(step.state());
  all_.broadcast(session.position);
}

Team::Said Team::after_step(const Said& own) {
  const std::array<double, 3> said = {own.interrupted ? 1.0 : 0.0, static_cast<double>(own.positives),
                                      static_cast<double>(own.pixels)};
  std::vector<double> every(said.size() * static_cast<size_t>(all_.size()));
  all_.gather(said, every);
  Said out;
  for (size_t at = 0; at < every.size(); at += said.size()) {
    out.interrupted |= every[at] != 0;
    out.positives += static_cast<uint64_t>(every[at + 1]);
    out.pixels += static_cast<uint64_t>(every[at + 2]);
  }
  return out;
}

void Team::check(Session& session) {
  session.step->parameters().publish();
  uint32_t sum = 0;
  for (const Module::Keyed& keyed : session.network->parameters())
    sum = io::crc32c(bytes_of(keyed.parameter->value), sum);
  const double own = sum;
  std::vector<double> every(static_cast<size_t>(all_.size()));
  all_.gather(std::span(&own, 1), every);
  for (size_t rank = 1; rank < every.size(); ++rank)
    if (every[rank] != every[0])
      throw Error(ErrorCode::internal, "the weights of process " + std::to_string(rank) + " are not those of process 0")
          .hint("processors of one kind give the same bits; the checkpoints are those of process 0");
}

Team::Command Team::hear() {
  Command command;
  all_.broadcast(command);
  return command;
}

TrainResult follow(const TrainJob& job) {
  TrainJob own = job;
  if (job.resume) own.options.init_weights.clear();  // rank 0 has the values
  Session session(own, nullptr);
  if (job.hooks.note && !session.own_note.empty()) job.hooks.note(session.own_note);
  Team team(*job.together);
  job.together->barrier();  // until process 0 has measured what memory is free
  session.make_step();
  team.share(session);
  data::Loader loader(*session.data.set, session.data.train, session.loader_options(), augmentation(own.options, false),
                      {static_cast<uint32_t>(session.position.epoch), session.position.batch});
  TrainResult result;
  Team::Command command;
  while ((command = team.hear()).order != Team::Order::end) {
    if (command.order == Team::Order::check) {
      team.check(session);
      continue;
    }
    std::vector<MicroBatch> parts;
    Team::Said said;
    while (static_cast<int64_t>(parts.size()) < command.parts) {
      std::optional<data::Batch> batch = loader.next();
      if (!batch) batch = loader.next();  // the next epoch
      require(batch->epoch == static_cast<uint32_t>(command.at.epoch) &&
                  batch->index == command.at.batch + static_cast<int64_t>(parts.size()),
              "follow: rank 0 is at another batch");
      parts.push_back(session.micro_batch(*batch, said.positives, said.pixels));
    }
    session.step->run(parts, command.lr);
    said.interrupted = job.hooks.interrupted && job.hooks.interrupted();
    result.interrupted = team.after_step(said).interrupted;
    result.steps = command.at.step + 1;
  }
  result.interrupted = result.interrupted || command.interrupted != 0;  // between two steps, rank 0 alone knows
  return result;
}

}  // namespace furrow::train
