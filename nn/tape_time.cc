// What each operation of a tape takes.
#include "kernels/trace.h"
#include "nn/op.h"
#include "nn/tape.h"

namespace furrow {

void Tape::run(const OpDef& def, const OpCall& call) {
  if (milliseconds_ == nullptr) return def.run(call);
  const Stopwatch stopwatch;
  def.run(call);
  backend_->finish();
  milliseconds_->push_back(stopwatch.milliseconds());
}

}  // namespace furrow
