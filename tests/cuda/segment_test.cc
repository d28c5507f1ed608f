// `segment` end to end on the CUDA kernels: the default model's marks on the bundled portrait against the cpu's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "io/picture.h"
#include "io/resize.h"
#include "kernels/device.h"
#include "nn/plan.h"
#include "segment/preprocess.h"
#include "segment/segmenter.h"
#include "tests/cuda/device_under_test.h"
#include "tests/segment/mini_info.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

std::string device() { return gpu::testing_on_gpu() ? "cuda" : "cpu-emulated"; }

const io::Picture& portrait() {
  static const io::Picture photo = io::read_picture(FURROW_SOURCE_DIR "/examples/astronaut.png");
  return photo;
}
const std::shared_ptr<Model>& mini_model() {
  static const auto model = std::make_shared<Model>(Model::load(test::kMiniNative));
  return model;
}

// The face of the portrait. At sizes that the emulator can compute the model is far less sure than at its own 512: the
// threshold is where several hundred pixels are marked.
SegmentResult segment(const std::string& on, std::optional<std::string> precision, int64_t size) {
  SegmentOptions options;
  options.size = size;
  options.threshold = 0.001;
  options.probability = ProbabilityDepth::gray16;
  options.measures = false;
  Segmenter segmenter(mini_model(), {.device = on, .precision = std::move(precision)}, options);
  return segmenter.run(portrait());
}

Tensor logits(const std::string& on, int64_t size) {
  const std::unique_ptr<Backend> backend =
      make_backend(choose_device(on).device, nullptr, {.precision = Precision::fp32});
  const Shape shape{1, size, size, 3};
  Tensor input(shape, backend->dtype());
  normalise(io::resize(portrait().image, size, size, io::Filter::lanczos), mini_model()->info(), false, input);
  return Plan(mini_model()->network(), *backend, shape).run(input).to(DType::f64);
}

// So marks can differ only where a logit lies within 1e-3 of the threshold's.
TEST(CudaSegment, LogitsInFp32AreWithinAThousandthOfTheCpus) {
  const Tensor want = logits("cpu", 96), got = logits(device(), 96);
  double worst = 0;
  for (size_t i = 0; i < want.values<double>().size(); ++i) {
    const double error = std::abs(got.values<double>()[i] - want.values<double>()[i]);
    worst = std::isnan(worst) || error <= worst ? worst : error;   // NaN stays
  }
  EXPECT_LT(worst, 1e-3);
}

// The probability of a pixel tells its logit to about one unit of its 16 bits.
TEST(CudaSegment, InFp32MarksWhatTheCpuMarks) {
  const SegmentResult want = segment("cpu", "fp32", 96), got = segment(device(), "fp32", 96);
  ASSERT_EQ(got.mask.pixels.size(), want.mask.pixels.size());
  size_t marked = 0;
  for (size_t i = 0; i < want.mask.pixels.size(); ++i) {
    marked += want.mask.pixels[i] != 0;
    if (got.mask.pixels[i] != want.mask.pixels[i]) {
      EXPECT_LE(std::abs(want.probability16[i] - 65535 * want.threshold), 2) << "pixel " << i;
    }
  }
  EXPECT_GT(marked, 500u) << "nothing was compared";
}

// Intersection over union with the fp32 marks.
double overlap(const SegmentResult& a, const SegmentResult& b) {
  size_t both = 0, either = 0;
  for (size_t i = 0; i < a.mask.pixels.size(); ++i) {
    both += a.mask.pixels[i] != 0 && b.mask.pixels[i] != 0;
    either += a.mask.pixels[i] != 0 || b.mask.pixels[i] != 0;
  }
  return either > 0 ? static_cast<double>(both) / static_cast<double>(either) : 0;
}

TEST(CudaSegment, InFp16OverlapsTheFp32Marks) {
  const SegmentResult want = segment("cpu", {}, 128), got = segment(device(), {}, 128);
  EXPECT_TRUE(got.notes.empty());
  EXPECT_GE(overlap(got, want), 0.97);   // every mark of so low a threshold is an unsure one
}

// At the model's own size and threshold: two official portraits, faces of about one and three thousand marks.
TEST(CudaSegment, InFp16KeepsTheMarksOfPortraits) {
  const std::string folder = FURROW_SHARED "/data/portraits/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  SegmentOptions options;
  options.measures = false;
  const auto shipped =
      std::make_shared<const Model>(Model::load(FURROW_SOURCE_DIR "/weights/furrow-mini-2.safetensors"));
  Segmenter on_cpu(shipped, {"cpu"}, options), in_fp16(shipped, {device()}, options);
  size_t both = 0, either = 0;
  for (const char* name : {"biden.jpg", "congress/house_B001270_karen-bass.jpg"}) {
    const io::Picture photo = io::read_picture(folder + name);
    const SegmentResult want = on_cpu.run(photo), got = in_fp16.run(photo);
    EXPECT_TRUE(got.notes.empty());
    for (size_t i = 0; i < want.mask.pixels.size(); ++i) {
      both += want.mask.pixels[i] != 0 && got.mask.pixels[i] != 0;
      either += want.mask.pixels[i] != 0 || got.mask.pixels[i] != 0;
    }
  }
  EXPECT_GT(either, 3000u);
  EXPECT_GE(static_cast<double>(both) / static_cast<double>(either), 0.999);
}

// Weights beyond 65504 are infinite in fp16; bf16 has float32's range.
TEST(CudaSegment, OutputsBeyondFp16AreComputedAgainInBf16) {
  NamedTensors tensors = test::pass_through_tensors({});
  for (NamedTensor& t : tensors) {
    const float factor = t.name == "inc.double_conv.0.weight" ? 0x1p20f : t.name == "outc.conv.weight" ? 0x1p-20f : 1;
    std::vector<float> values = t.dtype == DType::f32 ? t.to<float>() : std::vector<float>();
    for (float& value : values) value *= factor;
    if (factor != 1) t = test::f32_tensor(t, values);
  }
  const test::TemporaryFile file("beyond_fp16.safetensors");
  ModelInfo info = test::PassThrough::plain_info();
  info.architecture.clear();
  io::write_safetensors(file.path(), tensors, to_metadata(info));
  const auto model = std::make_shared<const Model>(Model::load(file.path()));
  SegmentOptions options;
  options.crop = CropMode::none;
  const io::Image photo = test::pattern(64, 64);
  const SegmentResult want = Segmenter(model, {"cpu"}, options).run(photo),
                      got = Segmenter(model, {device()}, options).run(photo);
  ASSERT_EQ(got.notes.size(), 1u);
  EXPECT_NE(got.notes[0].find("bf16"), std::string::npos);
  EXPECT_GE(overlap(got, want), 0.99);   // bf16 keeps 8 bits of the red byte that decides
  EXPECT_GT(std::ranges::count(want.mask.pixels, 255), 500);
}

}  // namespace
}  // namespace furrow
