// furrow_gpu_bench --turns: one network, timed one repeat at a time when standard input says so, so that another
// program can take its turns in between (scripts/gpu_check/side_by_side.py).
//
//   prepare BATCH PRECISION FILE    builds it, warms up, writes the inputs' float32 values to FILE; answers "ready"
//   export WEIGHTS LOGITS           writes the network (safetensors) and what it answers to every input (float32);
//                                   answers "written"
//   run                             a repeat of at least 20 ms on the next of the inputs; answers the ms of one run
#include "bench/gpu/turns.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "bench/gpu/inputs.h"
#include "io/safetensors.h"
#include "kernels/error.h"
#include "nn/plan.h"

namespace furrow::bench {
namespace {

class Turns {
 public:
  Turns(const Session& session, int64_t batch, Precision precision)
      : session_(session),
        inputs_(structured_inputs({batch, side(), side(), 3}, session.tiny() ? 2 : kInputSets)),
        backend_(session.backend(precision)),
        plan_(*random_unet(base()), *backend_, inputs_[0].shape()) {
    plan_.run(inputs_[0]), plan_.run(inputs_[1]);   // runs, then records
    if (Recorded* recorded = backend_->last_recorded(); recorded != nullptr)
      subject_ = {[recorded] { recorded->replay(); }, [this] { backend_->finish(); }};
    else
      subject_ = {[this] { plan_.run(inputs_[next_]); }, [] {}};
    count_ = session_.warm_up(subject_, 20);
  }
  // What the inputs hold, one set after the other, NHWC.
  void write_inputs(const std::string& path) const { write(path, inputs_); }
  void write_answers(const std::string& weights, const std::string& logits) {
    io::write_safetensors(weights, random_unet(base())->state());
    std::vector<Tensor> answers;
    for (const Tensor& x : inputs_) {
      backend_->poison();
      answers.push_back(plan_.run(x).to(DType::f32));
    }
    write(logits, answers);
  }
  double run() {
    next_ = (next_ + 1) % inputs_.size();
    plan_.run(inputs_[next_]);   // the replays that follow read these pixels; a copy that is not timed on either side
    return Session::sample(subject_, count_);
  }

 private:
  static void write(const std::string& path, const std::vector<Tensor>& tensors) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    for (const Tensor& t : tensors)
      file.write(reinterpret_cast<const char*>(t.values<float>().data()), static_cast<std::streamsize>(t.bytes()));
    if (!file.flush()) throw Error(ErrorCode::io, "cannot write").file(path);
  }
  int64_t base() const { return session_.tiny() ? 4 : 64; }
  int64_t side() const { return session_.tiny() ? 32 : 512; }

  const Session& session_;
  std::vector<Tensor> inputs_;
  std::unique_ptr<BenchBackend> backend_;
  Plan plan_;
  Subject subject_;
  int count_ = 1;
  size_t next_ = 0;
};

}  // namespace

void take_turns(const Session& session) {
  std::unique_ptr<Turns> turns;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word, precision, path;
    int64_t batch = 0;
    words >> word;
    if (word == "prepare" && words >> batch >> precision >> path && batch > 0 && batch <= 64) {
      const std::optional<Precision> known = precision_of(precision);
      if (!known) throw Error(ErrorCode::usage, "--turns: no such precision: " + precision.substr(0, 20));
      turns.reset();   // the memory first
      turns = std::make_unique<Turns>(session, batch, *known);
      turns->write_inputs(path);
      std::printf("ready\n");
    } else if (std::string logits; word == "export" && words >> path >> logits && turns != nullptr) {
      turns->write_answers(path, logits);
      std::printf("written\n");
    } else if (word == "run" && turns != nullptr) {
      std::printf("%.9g\n", turns->run());
    } else {
      throw Error(ErrorCode::usage, "--turns: not understood: " + line.substr(0, 80));
    }
    std::fflush(stdout);
  }
}

}  // namespace furrow::bench
