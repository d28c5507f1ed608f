// A U-Net whose every weight is known: it carries one channel, red unless told otherwise, through the first skip, so
// that its logit is gain * (red/255 - level), and every number of the pipeline can be recomputed by a few loops.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/image.h"
#include "io/safetensors.h"
#include "nn/network.h"
#include "segment/model.h"
#include "segment/segmenter.h"

namespace furrow::test {

struct PassThrough {
  float gain = 40, level = 100.5f / 255;
  int64_t in_channels = 3, classes = 1;
  int64_t channel = 0;  // that is read: 0 red .. 3 texture map
  int64_t tap = 1;      // column of the first 3x3 filter that is 1: 1 = the pixel itself, 0 = its left neighbour
  ModelInfo info = plain_info();

  static ModelInfo plain_info() {
    ModelInfo info;
    info.name = "pass-through";
    info.normalisation = Normalisation::none;
    info.size = 64;
    return info;
  }
};

// A file name of this process, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / ("furrow_" + std::to_string(::getpid()) + "_" + name)) {}
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

inline NamedTensor f32_tensor(const NamedTensor& like, const std::vector<float>& values) {
  auto held = std::make_shared<const std::vector<float>>(values);
  return {like.name, DType::f32, like.dims, std::as_bytes(std::span<const float>(*held)), held};
}

inline NamedTensors pass_through_tensors(const PassThrough& p) {
  const std::unique_ptr<Network> network = build({.base = 1, .in_channels = p.in_channels, .classes = p.classes});
  network->initialise(1);
  NamedTensors tensors = network->state();
  for (NamedTensor& t : tensors) {
    if (t.dtype != DType::f32) continue;
    std::vector<float> values(static_cast<size_t>(t.elements()), 0.0f);
    const bool norm = t.dims.size() == 1 && (t.name.ends_with(".weight") || t.name.ends_with("running_var"));
    if (norm) std::fill(values.begin(), values.end(), t.name.ends_with(".weight") ? 1.0f : 1.0f - 1e-5f);
    if (t.name == "inc.double_conv.0.weight") {
      values[static_cast<size_t>(9 * p.channel + 3 + p.tap)] = 1;  // [0][channel][1][tap]
    }
    if (t.name == "inc.double_conv.3.weight" || t.name == "up4.conv.double_conv.0.weight" ||
        t.name == "up4.conv.double_conv.3.weight") {
      values[4] = 1;  // [0][0][1][1]
    }
    if (t.name == "outc.conv.weight") values.back() = p.gain;  // of the last class
    if (t.name == "outc.conv.bias") values.back() = -p.gain * p.level;
    t = f32_tensor(t, values);
  }
  return tensors;
}

inline std::shared_ptr<const Model> pass_through(const PassThrough& p = {}) {
  const TemporaryFile file("pass_through.safetensors");
  ModelInfo info = p.info;
  info.architecture.clear();
  std::map<std::string, std::string> metadata = to_metadata(info);
  io::write_safetensors(file.path(), pass_through_tensors(p), metadata);
  return std::make_shared<const Model>(Model::load(file.path()));
}

// Smooth blobs and noise, the same everywhere: red matters, green and blue are filler.
inline io::Image pattern(int64_t w, int64_t h, uint32_t seed = 1) {
  io::Image image(w, h, 3);
  uint32_t state = seed;
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      state = state * 1664525u + 1013904223u;
      uint8_t* pixel = image.row(y) + 3 * x;
      const int64_t blob = ((x / 9) * 37 + (y / 7) * 53) % 200;
      pixel[0] = static_cast<uint8_t>(blob + (state >> 24) / 8);
      pixel[1] = static_cast<uint8_t>(x);
      pixel[2] = static_cast<uint8_t>(y);
    }
  }
  return image;
}

}  // namespace furrow::test
