// furrow_gpu_bench --turns: one network, timed one repeat at a time when standard input says so, so that another
// program can take its turns in between (scripts/gpu_check/side_by_side.py).
//
//   prepare BATCH PRECISION FILE    builds it, warms up, writes the inputs' float32 values to FILE; answers "ready",
//                                   or what there was not enough memory for
//   train BATCH PRECISION FILE      the same for training steps; FILE: all inputs, then all targets
//   export WEIGHTS LOGITS           writes the network (safetensors) and what it answers to every input (float32);
//                                   answers "written"
//   run                             a repeat of at least 20 ms on the next of the inputs; answers the ms of one run
#include "bench/gpu/turns.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>

#include "bench/gpu/inputs.h"
#include "bench/gpu/training_run.h"
#include "io/safetensors.h"
#include "kernels/error.h"
#include "nn/plan.h"

namespace furrow::bench {
namespace {

void write(const std::string& path, const std::vector<Tensor>& tensors) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  for (const Tensor& t : tensors)
    file.write(reinterpret_cast<const char*>(t.values<float>().data()), static_cast<std::streamsize>(t.bytes()));
  if (!file.flush()) throw Error(ErrorCode::io, "cannot write").file(path);
}

int64_t base_of(const Session& session) { return session.tiny() ? 4 : 64; }
int64_t side_of(const Session& session) { return session.tiny() ? 32 : 512; }
int sets_of(const Session& session) { return session.tiny() ? 2 : kInputSets; }

// What takes turns.
class Turns {
 public:
  Turns() = default;
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;
  virtual ~Turns() = default;
  virtual double run() = 0;   // ms of one run, after a repeat on the next of the inputs
  virtual bool write_answers(const std::string& /*weights*/, const std::string& /*logits*/) { return false; }
};

class Inference : public Turns {
 public:
  Inference(const Session& session, int64_t batch, Precision precision, const std::string& path)
      : session_(session),
        inputs_(structured_inputs({batch, side_of(session), side_of(session), 3}, sets_of(session))),
        backend_(session.backend(precision)),
        plan_(*random_unet(base_of(session)), *backend_, inputs_[0].shape()) {
    write(path, inputs_);   // one set after the other, NHWC
    plan_.run(inputs_[0]), plan_.run(inputs_[1]);   // runs, then records
    if (Recorded* recorded = backend_->last_recorded(); recorded != nullptr)
      subject_ = {[recorded] { recorded->replay(); }, [this] { backend_->finish(); }};
    else
      subject_ = {[this] { plan_.run(inputs_[next_]); }, [] {}};
    count_ = session_.warm_up(subject_, 20);
  }
  bool write_answers(const std::string& weights, const std::string& logits) override {
    io::write_safetensors(weights, random_unet(base_of(session_))->state());
    std::vector<Tensor> answers;
    for (const Tensor& x : inputs_) {
      backend_->poison();
      answers.push_back(plan_.run(x).to(DType::f32));
    }
    write(logits, answers);
    return true;
  }
  double run() override {
    next_ = (next_ + 1) % inputs_.size();
    plan_.run(inputs_[next_]);   // the replays that follow read these pixels; a copy that is not timed on either side
    return session_.sample(subject_, count_).ms;
  }

 private:
  const Session& session_;
  std::vector<Tensor> inputs_;
  std::unique_ptr<BenchBackend> backend_;
  Plan plan_;
  Subject subject_;
  int count_ = 1;
  size_t next_ = 0;
};

// Steps follow one another, each on the next of the inputs, which lie on the device from the beginning.
class Training : public Turns {
 public:
  Training(const Session& session, int64_t batch, Precision precision, const std::string& path)
      : session_(session), backend_(session.backend(precision)) {
    const Shape shape{batch, side_of(session), side_of(session), 3};
    std::vector<MicroBatch> batches = training_batches(shape, sets_of(session));
    run_ = std::make_unique<TrainingRun>(*backend_, base_of(session), batches, loss_scale_of(precision));
    std::vector<Tensor> all;
    for (MicroBatch& b : batches) all.push_back(std::move(b.x));
    for (MicroBatch& b : batches) all.push_back(std::move(b.target));
    write(path, all);
    subject_ = {[this] { run_->step(); }, [this] { backend_->finish(); }};
    count_ = session.warm_up(subject_, 20);
  }
  double run() override { return session_.sample(subject_, count_).ms; }

 private:
  const Session& session_;
  std::unique_ptr<BenchBackend> backend_;
  std::unique_ptr<TrainingRun> run_;
  Subject subject_;
  int count_ = 1;
};

std::unique_ptr<Turns> make_turns(const Session& session, bool training, int64_t batch, Precision precision,
                                  const std::string& path) {
  if (training) return std::make_unique<Training>(session, batch, precision, path);
  return std::make_unique<Inference>(session, batch, precision, path);
}

}  // namespace

void take_turns(const Session& session) {
  std::unique_ptr<Turns> turns;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string word, precision, path;
    int64_t batch = 0;
    words >> word;
    if ((word == "prepare" || word == "train") && words >> batch >> precision >> path && batch > 0 && batch <= 64) {
      const std::optional<Precision> known = precision_of(precision);
      if (!known) throw Error(ErrorCode::usage, "--turns: no such precision: " + precision.substr(0, 20));
      turns.reset();   // the memory first
      std::string lacking;
      try {
        turns = make_turns(session, word == "train", batch, *known, path);
      } catch (const DeviceLost&) {
        throw;
      } catch (const Error& error) {
        if (error.code() != ErrorCode::device && error.code() != ErrorCode::limit) throw;
        lacking = error.reason();
      }
      std::printf("%s\n", lacking.empty() ? "ready" : lacking.c_str());
    } else if (std::string logits; word == "export" &&
               words >> path >> logits && turns != nullptr && turns->write_answers(path, logits)) {
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
