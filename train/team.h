// Several processes that train one network: rank 0 leads, which means that it does everything a single process does and
// tells the others before each step; the others do the steps and nothing else. Private to train/.
#pragma once

#include <cstdint>

#include "parallel/communicator.h"
#include "train/session.h"

namespace furrow::train {

class Team {
 public:
  explicit Team(parallel::Communicator& all) : all_(all) {}

  // -- every process
  // Refuses, in every process, what would make them compute different things: ErrorCode::configuration naming the rank
  // whose configuration (but for threads and device), examples, back-end, version or way of exchange is not rank 0's.
  // The first thing that they do together: of the session it needs back-end and data. Returns how many of the processes
  // run on this one's machine, itself among them: those of one boot of one kernel, whatever containers and host names
  // they have.
  int64_t agree(const Session& session, const TrainJob& job);
  // Network, optimiser and position of rank 0.
  void share(Session& session);
  // What each process has to say after a step, summed; interrupted where one of them is.
  struct Said {
    bool interrupted = false;
    uint64_t positives = 0, pixels = 0;
  };
  Said after_step(const Said& own);
  // ErrorCode::internal where a process has other weights than rank 0: same sums, same bits, or something is wrong.
  void check(Session& session);

  // -- what rank 0 says, and the others hear
  enum class Order : int32_t { step, check, end };
  struct Command {
    Order order = Order::end;
    int32_t interrupted = 0;  // of end
    int64_t parts = 0;        // of step: micro-batches
    Position at;
    double lr = 0;
  };
  void tell(Command command) { all_.broadcast(command); }
  Command hear();

 private:
  parallel::Communicator& all_;
};

// train() in a process that does not lead.
TrainResult follow(const TrainJob& job);

}  // namespace furrow::train
