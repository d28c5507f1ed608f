// A run that takes a second: eight pictures of 32 x 32 with a bright line each, and a network of two channels.
#pragma once

#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "io/atomic_file.h"
#include "io/png_write.h"
#include "kernels/random.h"
#include "tests/train/temporary_folder.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace furrow::testing {

class TinyRun : public TemporaryFolder {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    std::filesystem::create_directories(path("images"));
    std::filesystem::create_directories(path("masks"));
    for (int i = 0; i < 8; ++i) write_pair(i);
  }

  void write_pair(int i) const {
    const Philox random(7);
    io::Image image(32, 32, 3), mask(32, 32, 1);
    for (size_t k = 0; k < image.pixels.size(); ++k)
      image.pixels[k] = static_cast<uint8_t>(60 + 60 * random.uniform(static_cast<uint64_t>(i), k));
    for (int64_t x = 4; x < 28; ++x) {
      const int64_t y = 6 + 2 * i + x / 8;
      mask.row(y)[x] = 255;
      for (int c = 0; c < 3; ++c) image.row(y)[3 * x + c] = 230;
    }
    const std::string name = "/p" + std::to_string(i) + ".png";
    io::write_file_atomically(path("images") + name, io::encode_png(image));
    io::write_file_atomically(path("masks") + name, io::encode_png(mask));
  }

  train::TrainJob job(const std::string& run) const {
    train::TrainJob out;
    train::TrainOptions& o = out.options;
    o.image_dir = path("images");
    o.mask_dir = path("masks");
    o.val_percent = 0.25;
    o.size = 32;
    o.base = 2;
    o.epochs = 3;
    o.batch_size = 2;
    o.learning_rate = 1e-3;
    o.log_every = 2;
    o.device = "cpu";
    o.threads = 1;
    o.augment_recipe = "best-run";
    o.overlays = 1;
    o.preflight = false;
    out.run = path(run);
    return out;
  }

  // The tensors of a checkpoint as bytes by name.
  static std::map<std::string, std::string> tensors(const std::string& file) {
    std::map<std::string, std::string> out;
    for (const NamedTensor& tensor : train::read_snapshot(file).tensors)
      out[tensor.name] = {reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()};
    return out;
  }
  std::string last(const std::string& run) const { return path(run + "/checkpoints/last.safetensors"); }
};

}  // namespace furrow::testing
