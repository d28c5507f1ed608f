// Plan: a network ready to run at one input size. Built from the shape-only tape: batch norm folded, ReLU, pooling and
// head fused, concats and paddings gone (nn/graph.h), weights packed by the back-end, every buffer placed in one arena.
// After that, run() allocates nothing and touches no module.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "kernels/arena.h"
#include "kernels/backend.h"
#include "kernels/trace.h"
#include "nn/network.h"
#include "nn/quantisation.h"

namespace furrow {

struct PlanSize;

// Packed weights of one network on one back-end, shared by its plans: a second size or batch neither folds nor packs
// again. Two steps share an entry where module, operation and algorithm agree, so Packed may depend on nothing else of
// the step but what the plans' Quantisation says: plans that share weights have the same. Must not outlive a change of
// the network's values. Thread-safe.
class PackedWeights {
 public:
  std::shared_ptr<const Packed> get(const std::string& key, const std::function<std::unique_ptr<Packed>()>& prepare);
  size_t bytes() const;     // of all entries
  size_t prepared() const;  // how many times anything was packed

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Packed>> entries_;
};

struct PlanOptions {
  std::shared_ptr<PackedWeights> weights;   // null: of this plan alone
  bool fuse_pool = true, fuse_head = true;  // off: for comparison
  Quantisation quantisation = {};           // what is computed in 8 bits, where the back-end has_bytes()
  // {1,1,C,256} of the back-end's type: the value of channel c of the input that stands for each byte, for a plan that
  // takes pixels. Empty: it takes none.
  Tensor pixel_values = {};
};

class Plan {
 public:
  // `input` {N,H,W,in_channels}. The back-end must outlive the plan; the network need not (its weights are packed).
  // Throws ErrorCode::unsupported for a size or operation that cannot be planned, ErrorCode::limit for want of
  // host memory, ErrorCode::device for want of a device's.
  Plan(const Network& network, Backend& backend, const Shape& input, PlanOptions options = {});
  Plan(Plan&&) = default;

  // Dense NHWC input of the planned shape and the back-end's element type -> logits {N,H,W,classes}, dense, both in
  // host memory. The result is a window onto the plan's memory, valid until the next run. One caller at a time. Logits
  // that the network ends by resizing are resized in the host's memory, which the first run takes for them. With
  // `trace`, one record per step (and on a device a wait after each); without, a device that can records the steps, and
  // the copy of the logits to the host, once and replays them.
  Tensor run(const Tensor& input, Trace* trace = nullptr);

  // Where the next run_pixels() finds its input: bytes {N,H,W,C}, dense, C the input's channels; what was written there
  // stays. Empty for a plan that takes no pixels.
  std::span<uint8_t> pixels() const;
  // As run() of PlanOptions::pixel_values of the bytes in pixels(). The recording begins with their copy to the device:
  // a replay is all that happens between the bytes and the logits.
  Tensor run_pixels(Trace* trace = nullptr);

  // Logits {N,h,w,classes} in the host's memory, and the height and width to resize them to (bilinear, align_corners)
  // for those of run().
  struct SmallLogits {
    Tensor logits;
    int64_t height = 0, width = 0;
  };
  // As run() and run_pixels() without their last resize: of a network that ends with one (a face parser, whose logits
  // are an eighth of the picture), for whoever wants labels and not logits. Of another, run()'s logits and their size.
  SmallLogits run_small(const Tensor& input, Trace* trace = nullptr);
  SmallLogits run_small_pixels(Trace* trace = nullptr);

  // A value that a step wrote, dense NHWC in the host's memory, of the back-end's element type.
  struct Written {
    const std::string& name;
    const Tensor& value;
  };
  // Called after step `step`, which took `milliseconds`; what it wrote is valid during the call.
  using Watch = std::function<void(size_t step, double milliseconds, const std::vector<Written>& written)>;
  // As run(), step by step, with every value brought to the host.
  Tensor run_watched(const Tensor& input, const Watch& watch);

  // One row of the plan.
  struct StepInfo {
    std::string where;  // the modules it covers: "inc.double_conv.3+4+5 down1.maxpool_conv.0"
    std::string op, problem, algorithm;
    uint64_t bytes = 0, flops = 0;
    size_t offset = 0;                // of what it writes (the first of several) in the arena
    uint64_t parameters = 0;          // of the modules, as in the checkpoint
    std::vector<std::string> writes;  // what each value that it writes is called (layer_names()), in order
    std::string quantised_name = {};  // what a Quantisation calls the first value, where that is not its name
    bool in_bytes = false;            // computed from bytes
    // What a Quantisation calls a value that it writes: the same for every size of the input, so without the padding
    // that was merged into it; and of the picture kPixels.
    const std::string& quantised_as(size_t value) const {
      return value == 0 && !quantised_name.empty() ? quantised_name : writes.at(value);
    }
  };
  const std::vector<StepInfo>& steps() const { return infos_; }
  // The plan as a table, one line per step, and a line of totals.
  std::string describe() const;

  const Shape& input_shape() const { return input_; }
  const Shape& output_shape() const { return result_; }  // of run()'s logits
  size_t peak_bytes() const { return arena_.capacity(); }  // activations and workspace
  size_t activation_bytes() const { return activation_bytes_; }
  size_t activation_bound() const { return activation_bound_; }  // no placement could need less than this
  size_t workspace_bytes() const { return workspace_bytes_; }    // the largest step's; all share it
  const PackedWeights& weights() const { return *weights_; }

 private:
  enum class Action : uint8_t { place, run, unplace };
  struct PlannedStep {
    Action action = Action::run;
    Step step;
    std::shared_ptr<const Packed> packed;
    StepBuffers buffers;  // place fills y; unplace reads x[0]
  };
  struct Builder;
  friend PlanSize plan_size(const Network&, Backend&, const Shape&, const PlanOptions&);
  Plan(Backend& backend, const Shape& input) : backend_(&backend), input_(input) {}
  void compute(size_t step);
  void compute_all(bool of_pixels);
  void run_from(const Tensor* input, Trace* trace);  // null: pixels()
  Tensor small();
  Tensor result();

  Backend* backend_;
  Shape input_;
  std::shared_ptr<PackedWeights> weights_;
  Arena arena_;
  Tensor output_;       // in the arena
  Tensor host_output_;  // its copy, where the arena is not in the host's memory
  Arena pixels_;        // of the host
  Arena pixel_table_;   // what pixel_values_ lies in, on a device
  Tensor pixel_values_;
  std::byte* pixels_workspace_ = nullptr;
  Tensor cut_;          // the part of it that is wanted, in the host's memory; empty: all of it
  Shape result_;        // of what run() returns
  Tensor resized_;      // where that is resized; empty before the first run, and where nothing is
  enum class Recording : uint8_t { before_first_run, to_try, tried };
  struct Replay {
    Recording state = Recording::before_first_run;  // not at the first run, in which back-ends set things up
    std::unique_ptr<Recorded> recorded;             // what happens on the device; null where it cannot record
  };
  Replay from_values_, from_pixels_;
  std::vector<PlannedStep> steps_;
  std::vector<StepInfo> infos_;  // parallel to steps_
  size_t activation_bytes_ = 0, activation_bound_ = 0, workspace_bytes_ = 0;
};

// What a plan will take, from shapes alone. `arena`: activations and workspace. `packed`: the weights, as
// Backend::packed_bytes() counts them. `packing`: the most while they are packed, one
// convolution after the other, each in float64 beside them while batch norm is folded in; the arena comes after that.
struct PlanSize {
  size_t arena = 0, packed = 0, packing = 0;
};
// Errors: those of Plan, but for want of memory.
PlanSize plan_size(const Network& network, Backend& backend, const Shape& input, const PlanOptions& options = {});

}  // namespace furrow
