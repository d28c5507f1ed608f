// What the card of furrow_mini_base16.pth says, as ModelInfo: the import of the default model.
#pragma once

#include "segment/model.h"

namespace furrow::test {

inline constexpr const char* kMiniSource = FURROW_SHARED "/data/weights/furrow_mini_base16.pth";
inline constexpr const char* kMiniNative = FURROW_SOURCE_DIR "/weights/furrow-mini.safetensors";

inline ModelInfo mini_info() {
  ModelInfo info;
  info.name = "furrow-mini";
  info.normalisation = Normalisation::imagenet;
  info.resize = "pillow-lanczos";
  info.size = 512;
  info.kept_labels = {1, 10};
  info.masked_input = false;
  info.threshold = 0.6;
  info.output = Output::logits;
  info.licence = "CC BY-NC-SA 4.0 (research use only; trained on FFHQ-like photos)";
  info.citation =
      "Furrow mini model: classic U-Net (Ronneberger et al. 2015), base width 16, trained on 100 annotated face photos";
  return info;
}

}  // namespace furrow::test
