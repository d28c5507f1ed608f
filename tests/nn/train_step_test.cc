// The memory of a step and TrainStep's rules, on `ref`, and on `cpu` where bits count. What its numbers are held
// against: training_golden_test.cc.
#include "nn/train_step.h"

#include <gtest/gtest.h>

#include <optional>

#include "nn/freeze.h"
#include "tests/nn/small_batch.h"

namespace furrow {
namespace {

// The gradients of a tape with a step's memory are those of a tape without, bit for bit, at every step; and the values
// before: memory that comes undefined, is used again and overwritten in place, and ReLUs that are forgotten and
// computed again, change nothing.
void expect_those_of_a_tape_alone(Backend& backend, const Architecture& a, std::optional<FrozenStatistics> frozen) {
  const DType type = backend.dtype();
  const auto network = random_network(a, 1, type);
  if (frozen) freeze(*network, std::vector<std::string>{"inc", "down1"}, *frozen);
  auto batch = a.resnet() || a.parser() ? batch_of(2, 7, 35, 32) : batch_of(2, 7);
  batch[0] = {batch[0].x.to(type), batch[0].target.to(type)};
  TrainStep train(*network, backend, {.loss = loss_of(DiceFocal{}), .seed = 3});
  for (uint64_t step = 0; step < 3; ++step) {
    const auto copy = build(a);
    copy->load(network->state(), type);
    if (frozen) freeze(*copy, std::vector<std::string>{"inc", "down1"}, *frozen);
    Tape tape(backend, Mode::training);
    tape.set_draws({.seed = 3, .step = step});
    const Var z = copy->forward(tape, tape.input(batch[0].x));
    Tensor dz(z.shape(), type);
    const double loss = backend.dice_focal({}, z.value(), batch[0].target, &dz).total;
    tape.backward(z, dz);
    const StepResult result = train.run(batch, 1e-3);
    EXPECT_EQ(result.loss.total, loss);
    const auto parameters = copy->parameters();
    size_t compared = 0;
    for (const FlatParameters::Entry& entry : train.parameters().entries()) {
      const auto twin = std::ranges::find(parameters, entry.key, &Module::Keyed::key);
      const Tensor window = FlatParameters::window(train.parameters().gradients(), entry);
      const Tensor& alone = tape.grad(*twin->parameter);
      if (alone.empty())  // of a head that forward() does not compute
        EXPECT_TRUE(same(window, Tensor(window.shape(), type))) << entry.key;
      else
        EXPECT_TRUE(same(window, alone)) << entry.key << " step " << step;
      ++compared;
    }
    EXPECT_GT(compared, 30u);
    const NamedTensors one = network->state(), other = copy->state();  // running statistics moved once
    for (size_t i = 0; i < one.size(); ++i) {
      if (one[i].name.find("running") == std::string::npos) continue;
      EXPECT_TRUE(std::ranges::equal(one[i].bytes, other[i].bytes)) << one[i].name;
    }
  }
}

TEST(TrainStep, GradientsAreThoseOfATapeAlone) {
  ThreadPool pool(2);
  const auto ref = ref_backend(&pool), cpu = make_backend({DeviceKind::cpu, 0}, &pool);
  struct Case {
    double dropout;
    std::optional<FrozenStatistics> frozen;
  };
  for (Backend* backend : {ref.get(), cpu.get()})
    for (const bool bilinear : {false, true})
      for (const Case& c :
           {Case{0, {}}, Case{0.2, {}}, Case{0.2, FrozenStatistics::fixed}, Case{0.2, FrozenStatistics::moving}})
        expect_those_of_a_tape_alone(*backend, {.base = 2, .bilinear = bilinear, .dropout = c.dropout}, c.frozen);
}

TEST(TrainStep, GradientsOfEveryFamilyAreThoseOfATapeAlone) {
  ThreadPool pool(2);
  const auto ref = ref_backend(&pool), cpu = make_backend({DeviceKind::cpu, 0}, &pool);
  for (Backend* backend : {ref.get(), cpu.get()}) {
    expect_those_of_a_tape_alone(*backend, {.family = "attention-unet", .base = 2, .dropout = 0.2}, {});
    expect_those_of_a_tape_alone(*backend, {.family = "attention-unet", .base = 2}, FrozenStatistics::moving);
    expect_those_of_a_tape_alone(*backend, {.family = "resnet50-unet", .base = 2, .bilinear = true}, {});
    expect_those_of_a_tape_alone(*backend, {.family = "resnet50-attention-unet", .base = 2, .dropout = 0.2}, {});
    expect_those_of_a_tape_alone(*backend, {.family = "bisenet", .base = 2}, {});
  }
}

TEST(TrainStep, GradientsAreThoseOfATapeAloneOnTheCudaKernels) {
  const auto backend = make_backend({DeviceKind::cpu_emulated, 0}, nullptr, {.precision = Precision::fp32});
  expect_those_of_a_tape_alone(*backend, {.base = 1}, {});
  expect_those_of_a_tape_alone(*backend, {.base = 1, .bilinear = true, .dropout = 0.2}, FrozenStatistics::fixed);
}

// A batch in parts is the batch, where nothing looks across images: with the statistics of batch norms frozen.
TEST(TrainStep, MicroBatchesAddUpToTheBatch) {
  auto backend = ref_backend();
  const auto batch = batch_of(3, 9);
  const auto part = [&](int64_t first, int64_t images) {
    const auto cut = [&](const Tensor& t) {
      Tensor out({images, t.shape().h, t.shape().w, t.shape().c}, DType::f64);
      const auto per_image = static_cast<size_t>(t.shape().elements() / t.shape().n);
      std::ranges::copy(t.values<double>().subspan(static_cast<size_t>(first) * per_image, out.values<double>().size()),
                        out.values<double>().begin());
      return out;
    };
    return MicroBatch{cut(batch[0].x), cut(batch[0].target)};
  };
  const auto gradient = [&](std::span<const MicroBatch> parts, int64_t first_image, LossValue* loss) {
    const auto network = random_network({.base = 2, .dropout = 0.2}, 1);
    for (const Module::Keyed& k : network->parameters()) k.parameter->frozen = !k.parameter->trainable;
    TrainStep train(*network, *backend, {.loss = loss_of(DiceFocal{}), .seed = 4});
    *loss = train.accumulate(parts, first_image);
    const Tensor deepest = FlatParameters::window(train.parameters().gradients(), train.parameters().entries()[0]);
    EXPECT_GT(dot(deepest, deepest), 0) << "nothing comes through: dead ReLUs";
    return train.parameters().gradients();
  };
  LossValue whole_loss, parts_loss;
  const Tensor whole = gradient(batch, 0, &whole_loss);
  const std::vector<MicroBatch> parts{part(0, 2), part(2, 1)};
  EXPECT_LT(relative_error(gradient(parts, 0, &parts_loss), whole), 1e-13);  // the same sums in another order
  EXPECT_NEAR(parts_loss.total, whole_loss.total, 1e-14);
  EXPECT_GT(relative_error(gradient(parts, 1, &parts_loss), whole), 1e-3) << "other images, other dropouts";
}

TEST(TrainStep, AStepWithABadGradientChangesNoParameter) {
  const auto network = random_network(kSmall, 1);
  auto backend = ref_backend();
  TrainStep train(*network, *backend, {.loss = loss_of(DiceFocal{}), .max_norm = 1});
  train.run(batch_of(2, 5), 1e-2);
  const Tensor before = train.parameters().values().to(DType::f64), moment = train.moment(0).to(DType::f64);
  auto bad = batch_of(2, 6);
  bad[0].target.values<double>()[40] = NAN;
  const StepResult result = train.run(bad, 1e-2);
  EXPECT_TRUE(result.skipped);
  EXPECT_EQ(result.bad.key, "inc.double_conv.0.weight");
  EXPECT_EQ(result.bad.of, 27);
  EXPECT_GT(result.bad.elements, 0);
  EXPECT_TRUE(same(train.parameters().values(), before));
  EXPECT_TRUE(same(train.moment(0), moment));
  EXPECT_EQ(train.state().step, 1);
  EXPECT_EQ(train.state().skipped, 1);
  EXPECT_FALSE(train.run(batch_of(2, 7), 1e-2).skipped);
}

TEST(TrainStep, NamesTheFirstBadTensorInOrder) {
  const auto network = random_network(kSmall, 1);
  auto backend = ref_backend();
  FlatParameters flat(*network, *backend);
  EXPECT_EQ(first_non_finite(flat).key, "");
  const auto spoil = [&](const std::string& key, double value) {
    const auto entry = std::ranges::find(flat.entries(), key, &FlatParameters::Entry::key);
    flat.gradients().values<double>()[static_cast<size_t>(entry->first + entry->count - 1)] = value;
  };
  spoil("outc.conv.bias", -INFINITY);
  EXPECT_EQ(first_non_finite(flat).key, "outc.conv.bias");
  spoil("up1.up.weight", NAN);
  EXPECT_EQ(first_non_finite(flat).key, "up1.up.weight");
  EXPECT_EQ(first_non_finite(flat).began, "outc.conv.bias");
  EXPECT_EQ(first_non_finite(flat).elements, 1);
}

TEST(TrainStep, ClipsTheNormAndStopsWhereTheRateIsZero) {
  const auto network = random_network(kSmall, 1);
  auto backend = ref_backend();
  TrainStep train(*network, *backend, {.loss = loss_of(DiceFocal{}), .optimiser = Sgd{}, .max_norm = 1e-3});
  EXPECT_TRUE(train.moment(0).empty());
  const Tensor before = train.parameters().values().to(DType::f64);
  StepResult result = train.run(batch_of(2, 5), 0);
  EXPECT_TRUE(same(train.parameters().values(), before));
  EXPECT_GT(result.gradient_norm, 1e-3);
  train.run(batch_of(2, 5), 1);
  double moved = 0;
  for (size_t i = 0; i < before.values<double>().size(); ++i)
    moved += std::pow(train.parameters().values().values<double>()[i] - before.values<double>()[i], 2);
  EXPECT_NEAR(std::sqrt(moved), 1e-3, 1e-8);  // max_norm / (norm + 1e-6)
}

// The loss scale is in the gradient buffer, and neither in the norm nor in the update.
TEST(TrainStep, TheLossScaleCancels) {
  auto backend = ref_backend();
  const auto after = [&](float scale, double* norm) {
    const auto network = random_network(kSmall, 1);
    TrainStep train(*network, *backend, {.loss = loss_of(DiceFocal{}), .max_norm = 0.5});
    train.state().loss_scale = scale;
    *norm = train.run(batch_of(2, 5), 1e-2).gradient_norm;
    return train.parameters().values().to(DType::f64);
  };
  double norm = 0, scaled_norm = 0;
  const Tensor plain = after(1, &norm);
  EXPECT_LT(relative_error(after(1024, &scaled_norm), plain), 1e-15);
  EXPECT_EQ(scaled_norm, norm);  // a power of two
}

TEST(TrainStep, OtherLossesToo) {
  auto backend = ref_backend();
  const auto first_and_last = [&](const LossFunction& loss, int64_t classes, const Tensor& target) {
    const auto network = random_network({.base = 2, .classes = classes}, 1);
    TrainStep train(*network, *backend, {.loss = loss});
    const std::vector<MicroBatch> batch{{random_tensor({2, 19, 22, 3}, 5), target}};
    const double first = train.run(batch, 1e-2).loss.total;
    double last = first;
    for (int step = 0; step < 10; ++step) last = train.run(batch, 1e-2).loss.total;
    return std::pair(first, last);
  };
  Tensor labels({2, 19, 22, 1}, DType::i32);
  for (size_t i = 0; i < labels.values<int32_t>().size(); ++i)
    labels.values<int32_t>()[i] = static_cast<int32_t>(i / 7 % 3);
  const auto [ce_first, ce_last] = first_and_last(loss_of(CrossEntropy{}), 3, labels);
  EXPECT_LT(ce_last, 0.95 * ce_first);
  const auto [se_first, se_last] = first_and_last(squared_error_loss(), 1, random_tensor({2, 19, 22, 1}, 8, 0, 1));
  EXPECT_LT(se_last, 0.95 * se_first);
}

TEST(TrainStep, ThreadsChangeNoBit) {
  const auto after = [](int threads) {
    ThreadPool pool(threads);
    auto backend = ref_backend(&pool);
    const auto network = random_network({.base = 1, .dropout = 0.2}, 1);
    TrainStep train(*network, *backend, {.loss = loss_of(DiceFocal{}), .max_norm = 1});
    for (int step = 0; step < 2; ++step) train.run(batch_of(2, 5), 1e-2);
    return train.parameters().values().to(DType::f64);
  };
  const Tensor alone = after(1);
  EXPECT_TRUE(same(after(3), alone));
}

// Dropout: nothing at inference, another mask every step, none where p is 0; plans and keys do not know it.
TEST(Dropout, IsOfTrainingAlone) {
  auto backend = ref_backend();
  const auto with = random_network({.base = 2, .dropout = 0.2}, 1), without = random_network({.base = 2}, 1);
  ASSERT_EQ(with->parameters().size(), without->parameters().size());
  for (size_t i = 0; i < with->parameters().size(); ++i)
    EXPECT_EQ(with->parameters()[i].key, without->parameters()[i].key);
  const Tensor x = random_tensor({2, 19, 22, 3}, 2);
  const auto forward = [&](const Network& network, Mode mode, uint64_t step) {
    Tape tape(*backend, mode);
    tape.set_draws({.seed = 1, .step = step});
    const Tensor y = network.forward(tape, tape.input(x)).value();
    const auto dropouts = std::ranges::count(tape.nodes(), OpKind::dropout, &Node::op);
    EXPECT_EQ(dropouts, mode == Mode::training && &network == with.get() ? 9 : 0);
    return y;
  };
  EXPECT_TRUE(same(forward(*with, Mode::inference, 0), forward(*without, Mode::inference, 0)));
  const Tensor once = forward(*with, Mode::training, 0);
  EXPECT_TRUE(same(forward(*with, Mode::training, 0), once));
  EXPECT_FALSE(same(forward(*with, Mode::training, 1), once));
  EXPECT_FALSE(same(forward(*without, Mode::training, 0), once));
  EXPECT_EQ(with->architecture().text(), without->architecture().text());
  EXPECT_THROW(build({.dropout = 1}), Error);
  EXPECT_THROW(build({.dropout = NAN}), Error);
}

TEST(StepMemory, PlacesByFirstFitAndRemembersTheMost) {
  const auto network = random_network(kSmall, 1);
  auto backend = ref_backend();
  FlatParameters flat(*network, *backend);
  StepMemory memory(*backend, flat);
  const Shape kilobyte{1, 1, 1, 128};
  for (int step = 0; step < 3; ++step) {
    memory.reset();
    Tensor a = memory.take(kilobyte, DType::f64), b = memory.take(kilobyte, DType::f64),
           c = memory.take(kilobyte, DType::f64);
    const double* at_b = b.values<double>().data();
    memory.give_back(b);
    EXPECT_TRUE(b.empty());
    memory.give_back(b);  // nothing
    Tensor foreign(kilobyte, DType::f64), half = memory.take({1, 1, 1, 64}, DType::f64);
    memory.give_back(foreign);
    EXPECT_TRUE(foreign.empty());
    if (step > 0) { EXPECT_EQ(half.values<double>().data(), at_b) << "the first gap that is large enough"; }
    memory.give_back(a);
    memory.give_back(half);  // joins what was a's and b's
    Tensor two = memory.take({1, 1, 1, 256}, DType::f64);
    EXPECT_EQ(memory.peak_bytes(), 3u * 1024);
    for (double& value : two.values<double>()) value = 1;
    for (double& value : c.values<double>()) value = 2;
    EXPECT_EQ(two.values<double>()[255], 1);
  }
}

}  // namespace
}  // namespace furrow
