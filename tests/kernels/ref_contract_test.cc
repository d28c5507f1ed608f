// What `ref` promises beside its numbers: the same bits for any number of threads, and a refusal of every broken shape.
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "kernels/device.h"
#include "kernels/ref/ref_backend.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow {
namespace {

using cases::random_values;

// Every operation of the page once, on sizes that no thread count divides; all results in one list.
std::vector<Tensor> everything(RefBackend& ref) {
  std::vector<Tensor> out;
  const auto make = [&](Shape s) -> Tensor& { return out.emplace_back(s, DType::f64); };
  const Tensor x = random_values({2, 11, 7, 5}, 1), x1 = random_values({2, 11, 7, 3}, 2),
               b = random_values({1, 1, 1, 9}, 3);
  out.reserve(64);

  const ConvGeometry g{3, 3, 2, 1};
  const Tensor w = random_values({9, 3, 3, 8}, 4), dy = random_values({2, 6, 4, 9}, 5);
  ref.conv2d({.x0 = &x, .x1 = &x1, .w = &w, .b = &b, .geometry = g, .act = Activation::relu}, make({2, 6, 4, 9}));
  Tensor &dx0 = make(x.shape()), &dx1 = make(x1.shape());
  ref.conv2d_grad_input({.dy = &dy, .w = &w, .geometry = g}, &dx0, &dx1, Grad::overwrite);
  Tensor &dw = make(w.shape()), &db = make(b.shape());
  ref.conv2d_grad_weight({.x0 = &x, .x1 = &x1, .dy = &dy, .geometry = g}, dw, &db, Grad::overwrite);

  const Tensor up = random_values({9, 2, 2, 5}, 6), dup = random_values({2, 22, 14, 9}, 7);
  ref.upconv2x2(x, up, &b, make(dup.shape()));
  ref.upconv2x2_grad_input(dup, up, make(x.shape()), Grad::overwrite);
  Tensor &duw = make(up.shape()), &dub = make(b.shape());
  ref.upconv2x2_grad_weight(x, dup, duw, &dub, Grad::overwrite);

  const Tensor gamma = random_values({1, 1, 1, 5}, 8), beta = random_values({1, 1, 1, 5}, 9),
               dn = random_values(x.shape(), 10);
  Tensor &running_mean = make(gamma.shape()), &running_var = make(gamma.shape());
  Tensor &mean = make(gamma.shape()), &rstd = make(gamma.shape());
  ref.batch_norm_train(x, gamma, beta, {.running_mean = &running_mean, .running_var = &running_var}, make(x.shape()),
                       mean, rstd);
  ref.batch_norm(x, gamma, beta, {.mean = &running_mean, .var = &running_var}, make(x.shape()));
  Tensor &dgamma = make(gamma.shape()), &dbeta = make(gamma.shape());
  ref.batch_norm_grad(x, gamma, mean, rstd, false, dn, &make(x.shape()), &dgamma, &dbeta, Grad::overwrite);

  ref.relu(x, make(x.shape()));
  ref.relu_grad(x, dn, make(x.shape()), Grad::overwrite);
  ref.sigmoid(x, make(x.shape()));
  ref.sigmoid_grad(x, dn, make(x.shape()), Grad::overwrite);
  ref.add(x, dn, make(x.shape()));
  ref.dropout(x, {.p = 0.5, .seed = 1}, make(x.shape()), Grad::overwrite);

  const Tensor dpool = random_values({2, 5, 3, 5}, 11), dsample = random_values({2, 17, 13, 5}, 12);
  ref.max_pool2x2(x, make(dpool.shape()));
  ref.max_pool2x2_grad(x, dpool, make(x.shape()), Grad::overwrite);
  ref.upsample_bilinear(x, make(dsample.shape()));
  ref.upsample_bilinear_grad(dsample, make(x.shape()), Grad::overwrite);
  ref.pad(x, 2, -1, make({2, 15, 9, 5}), Grad::overwrite);
  return out;
}

TEST(RefContract, BitsDoNotDependOnTheNumberOfThreads) {
  RefBackend alone(nullptr);
  const std::vector<Tensor> expected = everything(alone);
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    RefBackend shared(&pool);
    const std::vector<Tensor> results = everything(shared);
    ASSERT_EQ(results.size(), expected.size());
    for (size_t i = 0; i < results.size(); ++i)
      EXPECT_TRUE(same_bits(results[i], expected[i])) << threads << " threads, result " << i;
  }
}

TEST(RefContract, ResultsOfAPictureDoNotDependOnItsPlaceInTheBatch) {
  RefBackend ref(nullptr);
  const Tensor one = random_values({1, 7, 5, 3}, 1), w = random_values({4, 3, 3, 3}, 2);
  Tensor three({3, 7, 5, 3}, DType::f64);
  for (size_t i = 0; i < three.values<double>().size(); ++i)
    three.values<double>()[i] = one.values<double>()[i % one.values<double>().size()];
  Tensor y1({1, 7, 5, 4}, DType::f64), y3({3, 7, 5, 4}, DType::f64);
  ref.conv2d({.x0 = &one, .w = &w}, y1);
  ref.conv2d({.x0 = &three, .w = &w}, y3);
  for (size_t i = 0; i < y3.values<double>().size(); ++i)
    ASSERT_EQ(y3.values<double>()[i], y1.values<double>()[i % y1.values<double>().size()]);
}

TEST(RefContract, NaNReachesExactlyTheOutputsThatSeeItAndSurvivesTheFusedReLU) {
  RefBackend ref(nullptr);
  const Tensor x = random_values({1, 6, 7, 2}, 1), w = random_values({3, 3, 3, 2}, 2);
  Tensor poisoned = x.to(DType::f64), clean({1, 6, 7, 3}, DType::f64), y({1, 6, 7, 3}, DType::f64);
  poisoned.values<double>()[(2 * 7 + 4) * 2 + 1] = NAN;  // row 2, column 4, second channel
  ref.conv2d({.x0 = &x, .w = &w, .act = Activation::relu}, clean);
  ref.conv2d({.x0 = &poisoned, .w = &w, .act = Activation::relu}, y);
  for (int64_t h = 0; h < 6; ++h)
    for (int64_t column = 0; column < 7; ++column)
      for (int64_t c = 0; c < 3; ++c) {
        const auto i = static_cast<size_t>((h * 7 + column) * 3 + c);
        const bool sees = std::abs(h - 2) <= 1 && std::abs(column - 4) <= 1;
        if (sees) {
          EXPECT_TRUE(std::isnan(y.values<double>()[i])) << i;
        } else {
          EXPECT_EQ(y.values<double>()[i], clean.values<double>()[i]) << i;
        }
      }
}

// Every call here breaks one precondition and must say so as ErrorCode::internal, before it writes anything.
TEST(RefContract, RefusesTensorsThatDoNotFit) {
  RefBackend ref(nullptr);
  const auto f64 = [](int64_t n, int64_t h, int64_t w, int64_t c) { return Tensor({n, h, w, c}, DType::f64); };
  const Tensor x = f64(1, 6, 6, 4), other = f64(1, 5, 6, 4), w = f64(8, 3, 3, 4), b = f64(1, 1, 1, 8),
               vec = f64(1, 1, 1, 4), up = f64(8, 2, 2, 4);
  const Tensor single({1, 6, 6, 4}, DType::f32), pixel = f64(1, 1, 1, 4);
  const ConvGeometry g, valid{3, 3, 1, 0}, k5{5, 5, 1, 2}, still{3, 3, 0, 1};
  Tensor y = f64(1, 6, 6, 8), like = f64(1, 6, 6, 4), vector = f64(1, 1, 1, 4), vector8 = f64(1, 1, 1, 8),
         y_single({1, 6, 6, 8}, DType::f32);
  Tensor dw = f64(8, 3, 3, 4), dw5 = f64(8, 3, 3, 5), half = f64(1, 3, 3, 4), small = f64(1, 5, 5, 4),
         none = f64(1, 0, 6, 4), pixel_y = f64(1, 1, 1, 4);

  const std::vector<std::pair<const char*, std::function<void()>>> calls = {
      {"conv2d without input", [&] { ref.conv2d({.w = &w, .geometry = g}, y); }},
      {"conv2d without weight", [&] { ref.conv2d({.x0 = &x, .geometry = g}, y); }},
      {"conv2d, second source of another size",
       [&] { ref.conv2d({.x0 = &x, .x1 = &other, .w = &w, .geometry = g}, y); }},
      {"conv2d, channels", [&] { ref.conv2d({.x0 = &x, .x1 = &x, .w = &w, .geometry = g}, y); }},
      {"conv2d, output size", [&] { ref.conv2d({.x0 = &x, .w = &w, .geometry = valid}, y); }},
      {"conv2d, kernel size", [&] { ref.conv2d({.x0 = &x, .w = &w, .geometry = k5}, y); }},
      {"conv2d, stride 0", [&] { ref.conv2d({.x0 = &x, .w = &w, .geometry = still}, y); }},
      {"conv2d, kernel past the input", [&] { ref.conv2d({.x0 = &pixel, .w = &w, .geometry = valid}, vector8); }},
      {"conv2d, bias", [&] { ref.conv2d({.x0 = &x, .w = &w, .b = &vec, .geometry = g}, y); }},
      {"conv2d, float32 input", [&] { ref.conv2d({.x0 = &single, .w = &w, .geometry = g}, y); }},
      {"conv2d, float32 output", [&] { ref.conv2d({.x0 = &x, .w = &w, .geometry = g}, y_single); }},
      {"conv2d_grad_input, nothing wanted",
       [&] { ref.conv2d_grad_input({.dy = &y, .w = &w, .geometry = g}, nullptr, nullptr, Grad::overwrite); }},
      {"conv2d_grad_input, channels",
       [&] { ref.conv2d_grad_input({.dy = &y, .w = &w, .geometry = g}, &like, &like, Grad::overwrite); }},
      {"conv2d_grad_input, size",
       [&] { ref.conv2d_grad_input({.dy = &y, .w = &w, .geometry = g}, &small, nullptr, Grad::overwrite); }},
      {"conv2d_grad_weight, channels",
       [&] { ref.conv2d_grad_weight({.x0 = &x, .dy = &y, .geometry = g}, dw5, nullptr, Grad::overwrite); }},
      {"conv2d_grad_weight, bias",
       [&] { ref.conv2d_grad_weight({.x0 = &x, .dy = &y, .geometry = g}, dw, &vector, Grad::overwrite); }},
      {"upconv2x2, weight", [&] { ref.upconv2x2(x, w, nullptr, y); }},
      {"upconv2x2, output", [&] { ref.upconv2x2(x, up, nullptr, y); }},
      {"upconv2x2_grad_input", [&] { ref.upconv2x2_grad_input(y, up, like, Grad::overwrite); }},
      {"upconv2x2_grad_weight", [&] { ref.upconv2x2_grad_weight(x, y, dw, nullptr, Grad::overwrite); }},
      {"batch_norm, gamma", [&] { ref.batch_norm(x, b, vec, {.mean = &vec, .var = &vec}, like); }},
      {"batch_norm, no statistics", [&] { ref.batch_norm(x, vec, vec, {}, like); }},
      {"batch_norm, output", [&] { ref.batch_norm(x, vec, vec, {.mean = &vec, .var = &vec}, y); }},
      {"batch_norm_train, one value", [&] { ref.batch_norm_train(pixel, vec, vec, {}, pixel_y, vector, vector); }},
      {"batch_norm_train, one statistic",
       [&] { ref.batch_norm_train(x, vec, vec, {.running_mean = &vector}, like, vector, vector); }},
      {"batch_norm_grad, dy",
       [&] { ref.batch_norm_grad(x, vec, vec, vec, false, y, &like, nullptr, nullptr, Grad::overwrite); }},
      {"batch_norm_grad, dgamma",
       [&] { ref.batch_norm_grad(x, vec, vec, vec, false, x, nullptr, &vector8, nullptr, Grad::overwrite); }},
      {"relu", [&] { ref.relu(x, y); }},
      {"relu_grad", [&] { ref.relu_grad(x, y, like, Grad::overwrite); }},
      {"sigmoid", [&] { ref.sigmoid(x, y); }},
      {"sigmoid_grad", [&] { ref.sigmoid_grad(x, x, y, Grad::overwrite); }},
      {"add", [&] { ref.add(x, other, like); }},
      {"max_pool2x2", [&] { ref.max_pool2x2(x, like); }},
      {"max_pool2x2_grad, dx", [&] { ref.max_pool2x2_grad(x, half, y, Grad::overwrite); }},
      {"upsample_bilinear, channels", [&] { ref.upsample_bilinear(x, y); }},
      {"upsample_bilinear, no rows", [&] { ref.upsample_bilinear(x, none); }},
      {"upsample_bilinear_grad", [&] { ref.upsample_bilinear_grad(x, y, Grad::overwrite); }},
      {"pad", [&] { ref.pad(x, 0, 0, y, Grad::overwrite); }},
  };
  for (const auto& [what, call] : calls) {
    try {
      call();
      ADD_FAILURE() << what << ": accepted";
    } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::internal) << what; }
  }
}

TEST(Device, RefIsThereAndUnknownNamesAreRefusedInWords) {
  const ChosenDevice chosen = choose_device("ref");
  EXPECT_EQ(chosen.device.kind, DeviceKind::ref);
  EXPECT_EQ(make_backend(chosen.device, nullptr)->name(), "ref");
  EXPECT_EQ(make_backend(chosen.device, nullptr)->dtype(), DType::f64);
  const auto code_of = [](std::string_view name) {
    try {
      choose_device(name);
    } catch (const Error& error) {
      EXPECT_LT(error.line().size(), 200u) << name;
      return error.code();
    }
    return ErrorCode::internal;
  };
  for (const char* name : {"", "gpu", "CPU", "cuda:", "cuda:x", "cuda:99999", "cpu:0", "ref\n"})
    EXPECT_EQ(code_of(name), ErrorCode::usage) << name;
  for (const char* name : {"cuda:998", "cuda:999"})  // no machine has so many, and a build without CUDA has none
    EXPECT_EQ(code_of(name), ErrorCode::device) << name;
  EXPECT_EQ(describe_devices().size(), 4u);
}

}  // namespace
}  // namespace furrow
