// A training step must not allocate: counted on a back-end that computes nothing, so that what is seen is the tape's,
// the step's and the flat buffers'. And how much memory a step needs.
#include <gtest/gtest.h>

#include "nn/freeze.h"
#include "nn/train_step.h"
#include "tests/nn/count_allocations.h"

namespace furrow {
namespace {

// Writes every byte it is asked to write, and reads nothing.
class IdleBackend : public Backend {
 public:
  IdleBackend() : Backend(nullptr) {}
  std::string name() const override { return "idle"; }
  DType dtype() const override { return DType::f32; }
  void conv2d(const Conv2d&, Tensor& y) override { fill(y); }
  void conv2d_grad_input(const Conv2dGradInput&, Tensor* dx0, Tensor* dx1, Grad) override { fill(dx0), fill(dx1); }
  void conv2d_grad_weight(const Conv2dGradWeight&, Tensor& dw, Tensor* db, Grad) override { fill(dw), fill(db); }
  void upconv2x2(const Tensor&, const Tensor&, const Tensor*, Tensor& y) override { fill(y); }
  void upconv2x2_grad_input(const Tensor&, const Tensor&, Tensor& dx, Grad) override { fill(dx); }
  void upconv2x2_grad_weight(const Tensor&, const Tensor&, Tensor& dw, Tensor* db, Grad) override {
    fill(dw), fill(db);
  }
  void batch_norm(const Tensor&, const Tensor&, const Tensor&, const BatchNormStats&, Tensor& y) override { fill(y); }
  void batch_norm_train(const Tensor&, const Tensor&, const Tensor&, const BatchNormTrain&, Tensor& y, Tensor& mean,
                        Tensor& rstd) override {
    fill(y), fill(mean), fill(rstd);
  }
  void batch_norm_grad(const Tensor&, const Tensor&, const Tensor&, const Tensor&, bool, const Tensor&, Tensor* dx,
                       Tensor* dgamma, Tensor* dbeta, Grad) override {
    fill(dx), fill(dgamma), fill(dbeta);
  }
  void relu(const Tensor&, Tensor& y) override { fill(y); }
  void relu_grad(const Tensor&, const Tensor&, Tensor& dx, Grad) override { fill(dx); }
  void sigmoid(const Tensor&, Tensor& y) override { fill(y); }
  void sigmoid_grad(const Tensor&, const Tensor&, Tensor& dx, Grad) override { fill(dx); }
  void add(const Tensor&, const Tensor&, Tensor& y) override { fill(y); }
  void dropout(const Tensor&, const Dropout&, Tensor& y, Grad) override { fill(y); }
  void max_pool2x2(const Tensor&, Tensor& y) override { fill(y); }
  void max_pool2x2_grad(const Tensor&, const Tensor&, Tensor& dx, Grad) override { fill(dx); }
  void upsample_bilinear(const Tensor&, Tensor& y) override { fill(y); }
  void upsample_bilinear_grad(const Tensor&, Tensor& dx, Grad) override { fill(dx); }
  void pad(const Tensor&, int64_t, int64_t, Tensor& y, Grad) override { fill(y); }
  DiceFocalValue dice_focal(const DiceFocal&, const Tensor&, const Tensor&, Tensor* dz) override {
    fill(dz);
    return {};
  }
  void optim_prepare(const Tensor&, double, const LossScaling&, OptimState& state) override { ++state.step; }
  void adamw(const AdamW&, double, std::span<const OptimSegment>, const OptimState&, const Tensor&, Tensor& m,
             Tensor& v, Tensor& p) override {
    fill(m), fill(v), fill(p);
  }

 private:
  static void fill(Tensor& t) { std::ranges::fill(t.values<float>(), 1.0f); }
  static void fill(Tensor* t) {
    if (t != nullptr) fill(*t);
  }
};

TEST(TrainStep, AllocatesNothingFromTheThirdOn) {
  IdleBackend backend;
  for (const int which : {0, 1, 2}) {
    const auto network = build({.base = 4, .bilinear = which == 1, .dropout = 0.2});
    network->initialise(1);
    if (which == 2) freeze(*network, network->encoder(), FrozenStatistics::fixed);
    TrainStep train(*network, backend, {.loss = loss_of(DiceFocal{}), .max_norm = 1});
    const MicroBatch parts[] = {{Tensor({2, 45, 31, 3}), Tensor({2, 45, 31, 1})},
                                {Tensor({1, 45, 31, 3}), Tensor({1, 45, 31, 1})}};
    train.run(parts, 1e-3);  // on the heap, to see what is needed
    train.run(parts, 1e-3);  // lists of gaps reach their length
    const int64_t before = test::allocations();
    for (int step = 0; step < 3; ++step) train.run(parts, 1e-3);
    EXPECT_EQ(test::allocations(), before);
  }
}

// One tensor per convolution is kept for the gradients: its result, which the batch norm normalises again; the ReLU's
// is computed anew (Tape::forget). Then maxima and up-sampled halves; the last ReLU's; and two of the largest while
// backward works on them. By hand for base 16 at 128 x 128, batch 2, in units of 2 x 128 x 128 x 16 elements, of which
// a level at 1/k of the side has 1/k: 2 tensors a double_conv, on two sides at 1, 1/2, 1/4, 1/8 and once at 1/16: 7.62.
// Maxima: 1/4 + 1/8 + 1/16 + 1/32; halves: 1 + 1/2 + 1/4 + 1/8: 2.34 together. The last ReLU's 1, two gradients 2, the
// logits and theirs 0.12. In all 13.1, and the gaps that first fit leaves.
TEST(TrainStep, KeepsWhatGradientsNeedAndLittleElse) {
  IdleBackend backend;
  const auto network = build({.base = 16});
  network->initialise(1);
  TrainStep train(*network, backend, {.loss = loss_of(DiceFocal{})});
  const MicroBatch batch{Tensor({2, 128, 128, 3}), Tensor({2, 128, 128, 1})};
  train.run({&batch, 1}, 1e-3);
  const size_t unit = size_t{2} * 128 * 128 * 16 * sizeof(float);
  EXPECT_LE(train.memory_bytes(), unit * 14);
}

}  // namespace
}  // namespace furrow
