// Networks whose weights are the formula of tests/data/reference_networks.py, and the picture they are shown.
#pragma once

#include <cstring>

#include "tests/kernels/cases.h"
#include "tests/nn/support.h"

namespace furrow {

// reference_networks.fill().
inline std::unique_ptr<Network> filled(const Architecture& architecture, DType type) {
  auto network = build(architecture);
  NamedTensors tensors;
  uint64_t k = 0;
  for (const Module::Keyed& keyed : network->parameters()) {
    const std::vector<int64_t>& dims = keyed.parameter->dims;
    const auto count = static_cast<size_t>(keyed.parameter->shape().elements());
    const bool counter = keyed.parameter->kind == ParameterKind::counter;
    auto values = std::make_shared<std::vector<float>>(count);
    for (size_t i = 0; i < count && !counter; ++i) {
      const double u = static_cast<double>(cases::mixed((k << 32) + i) >> 11) * 0x1p-53;
      const bool positive = keyed.key.ends_with("running_var") || keyed.key.ends_with(".weight");
      const double value = dims.size() == 4
                               ? (2 * u - 1) * std::sqrt(6.0 / static_cast<double>(dims[1] * dims[2] * dims[3]))
                               : (positive ? 0.5 + u : 0.4 * (2 * u - 1));
      (*values)[i] = static_cast<float>(value);
    }
    tensors.push_back({keyed.key, DType::f32, dims, std::as_bytes(std::span(*values)), values});
    ++k;
  }
  network->load(tensors, type);
  return network;
}

// A cut of the 101x77 picture, scaled to 0..1; a fourth channel is the mean of the three.
inline Tensor golden_picture(int64_t channels, size_t top = 20, size_t left = 30, int64_t height = 45,
                             int64_t width = 37) {
  const std::string bytes = read_text(FURROW_TEST_DATA "/unet/transposed.input.u8");
  Tensor x({1, height, width, channels}, DType::f64);
  if (bytes.size() != 77u * 101 * 3) {
    ADD_FAILURE() << "the picture has " << bytes.size() << " bytes";
    return x;
  }
  double* to = x.values<double>().data();
  for (size_t row = 0; row < static_cast<size_t>(height); ++row)
    for (size_t column = 0; column < static_cast<size_t>(width); ++column) {
      double sum = 0;
      for (size_t c = 0; c < 3; ++c)
        sum += * to++ = static_cast<uint8_t>(bytes[((top + row) * 101 + left + column) * 3 + c]) / 255.0;
      if (channels == 4) *to++ = sum / 3;
    }
  return x;
}

// The two crops of the training step, 33 wide and 35 high.
inline Tensor golden_crops(const Tensor& x) {
  const Shape& s = x.shape();
  Tensor out({2, 35, 33, s.c}, DType::f64);
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t y = 0; y < 35; ++y)
      std::ranges::copy(x.values<double>().subspan(static_cast<size_t>(((10 * n + y) * s.w + 4 * n) * s.c),
                                                   static_cast<size_t>(33 * s.c)),
                        out.values<double>().begin() + (n * 35 + y) * 33 * s.c);
  return out;
}

// As many float64 as `shape` has.
inline Tensor golden_doubles(const std::string& path, const Shape& shape) {
  Tensor t(shape, DType::f64);
  const std::string bytes = read_text(path);
  EXPECT_EQ(bytes.size(), t.bytes()) << path;
  if (bytes.size() == t.bytes()) std::memcpy(t.values<double>().data(), bytes.data(), bytes.size());
  return t;
}

// "key dims" of every parameter, as weights/*_keys.txt have them.
inline std::string key_list(const Module& m) {
  std::string out;
  for (const Module::Keyed& k : m.parameters()) out += k.key + " " + dims_to_string(k.parameter->dims) + "\n";
  return out;
}

}  // namespace furrow
