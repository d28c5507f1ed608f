// Plans that take pixels on a device apart: the copies to and from it are part of the recording.
#include <algorithm>

#include "kernels/cuda/cuda_backend.h"
#include "nn/plan.h"
#include "tests/cuda/separate_runtime.h"
#include "tests/nn/support.h"

namespace furrow::gpu {
namespace {

// 40 classes: too many for a fused head, so the last step reorders what the device computed.
TEST(SeparatePixels, CrossWithinTheRecording) {
  for (const Precision precision : {Precision::fp32, Precision::fp16}) {
    for (const int64_t classes : {1, 40}) {
      SCOPED_TRACE(std::string(name(precision)) + " " + std::to_string(classes));
      const Shape shape{1, 16, 32, 3};
      const auto network = random_network({.base = 4, .classes = classes}, 5, DType::f32);
      auto owned = std::make_unique<SeparateRuntime>();
      SeparateRuntime& runtime = *owned;
      CudaBackend backend(std::move(owned), separate_kernels(), precision);
      PlanOptions options;
      options.pixel_values = random_tensor({1, 1, 3, 256}, 3, -2, 2).to(DType::f32);
      Plan plan(*network, backend, shape, options), of_values(*network, backend, shape);

      for (size_t run = 0; run < 4; ++run) {
        Tensor x(shape, DType::f32);
        for (size_t i = 0; i < plan.pixels().size(); ++i) {
          const auto byte = static_cast<uint8_t>(i * (7 + run) + i / 97);
          plan.pixels()[i] = byte;
          x.values<float>()[i] = options.pixel_values.values<float>()[i % 3 * 256 + byte];
        }
        const Tensor want = of_values.run(x).to(DType::f64);
        const int crossings = runtime.crossings, replays = runtime.replays;
        const Tensor got = plan.run_pixels().to(DType::f64);
        EXPECT_TRUE(std::ranges::equal(got.values<double>(), want.values<double>())) << "run " << run;
        if (run == 0) continue;
        EXPECT_EQ(runtime.replays, replays + 1) << "run " << run;
        EXPECT_EQ(runtime.crossings, crossings) << "a copy that is not in the recording, run " << run;
      }
      EXPECT_EQ(runtime.recordings, 2) << "one of each plan";

      // The same plan of values, which are copied before its other recording.
      const Tensor x = random_tensor(shape, 9).to(DType::f32), want = of_values.run(x).to(DType::f64);
      for (int run = 0; run < 3; ++run) EXPECT_EQ(relative_error(plan.run(x), want), 0) << "run " << run;
      EXPECT_EQ(runtime.recordings, 3);
    }
  }
  EXPECT_EQ(SeparateRuntime::alive(), 0);
}

}  // namespace
}  // namespace furrow::gpu
