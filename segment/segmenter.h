// Segmenter: a photo in, its wrinkles out. Faces first: the networks know FFHQ-like crops, so every face is cut out,
// segmented at the model's size, and its result mapped back; nothing is reported outside the crops.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/image.h"
#include "io/picture.h"
#include "segment/crop.h"
#include "segment/face_regions.h"
#include "segment/faces.h"
#include "segment/measure.h"
#include "segment/model.h"
#include "segment/quality.h"

namespace furrow {

enum class CropMode : uint8_t {
  face,  // cut the square around each face (segment/crop.h)
  none,  // the photo is a crop already: the whole frame is squashed to size x size, as the seed's demo does
  // The picture is a texture map in FFHQ-UV's layout (ffhq_uv_points()), square: as none, and its regions are measured.
  // Another shape: ErrorCode::malformed.
  ffhq_uv,
};
enum class FaceChoice : uint8_t { largest, all };
enum class ProbabilityDepth : uint8_t { none, gray8, gray16 };

struct SegmentOptions {
  std::optional<double> threshold;  // (0,1); default the model's
  std::optional<int64_t> size;      // 32..4096, side of the square the network runs on; default the model's
  CropMode crop = CropMode::face;
  FaceChoice faces = FaceChoice::largest;
  bool flip = false;                            // average the probabilities of the crop and of its mirror image
  bool tile = false;                            // windows instead of squashing: segment/tile.h
  std::optional<std::vector<int>> kept_labels;  // used where labels are given; default the model's
  ProbabilityDepth probability = ProbabilityDepth::gray8;
  bool measures = true;        // count, lengths and widths
  std::function<bool()> stop;  // asked around every run of the network; true ends run() with Stopped
};

// Where and how the network is computed.
struct ComputeOptions {
  std::string device = "auto";           // kernels/device.h: auto, cpu, cuda[:N], cpu-emulated, ref
  int threads = 0;                       // workers; 0: all usable processors
  // fp32, tf32, bf16, fp16, int8; default int8 on a cpu with VNNI for a quantised model (docs/int8.md), else the
  // device's (docs/accuracy.md).
  std::optional<std::string> precision;
  // Of device cuda: own, vendor (cuDNN and cuBLASLt), auto (own, unless `furrow model tune` measured otherwise).
  std::string kernels = "auto";
  std::string memory = "normal";  // of device cpu: normal, low (MemoryClass)
  std::string tuning;  // its file, for auto; empty: default_tuning_file() where that exists
};

// What run() throws where SegmentOptions::stop asked it to.
struct Stopped {};

// One face, or the whole frame under CropMode::none. Rectangles are in pixels of the photo.
//
// Model pixels: the size x size grid the network ran on. A model pixel belongs to the photo where its centre, mapped
// through the crop, lies inside the frame; it is kept where labels are given and the label under its centre is one of
// the kept. It is marked where its probability exceeds the threshold and it is kept. With tiles the grid is the scaled
// picture (or crop) instead.
struct FaceResult {
  std::optional<Face> face;            // empty under CropMode::none
  std::optional<FaceQuality> quality;  // likewise
  Crop crop;                 // may reach outside the photo
  // 100 * marked / model pixels of the photo.
  double percent_of_crop = 0;
  // CropMode::none: round(100 * marked / size^2, 2), the seed's number. Otherwise percent_of_crop times the part of
  // the frame's area that the crop covers, unrounded.
  double percent_of_frame = 0;
  // Where labels are given: 100 * mask pixels / pixels of the photo inside the crop with a kept label (NaN if there
  // are none).
  std::optional<double> percent_of_region;
  // Where labels are given and show both eyes, nose, mouth and chin (else a note says what is missing), and of texture
  // maps: kFaceRegions.
  std::vector<FaceRegionResult> regions;
  std::optional<MaskMeasures> measures;         // of the mask inside the crop, in pixels of the photo
  std::optional<double> length_per_face_width;  // measures->length / face->w
  std::optional<double> width_per_face_width;   // measures->mean_width / face->w
};

// Milliseconds of each step, summed over faces and windows. `plan` is spent once per size, by the first photo that
// needs it: folding and packing weights, placing memory.
struct SegmentTimings {
  double find_faces = 0, parse = 0, crop = 0, resize = 0, plan = 0, network = 0, map_back = 0, measure = 0, total = 0;
};

struct SegmentResult {
  enum class Status : uint8_t { ok, no_face };
  Status status = Status::ok;
  int64_t width = 0, height = 0;  // of the photo
  std::vector<FaceResult> faces;  // largest first; empty with no_face
  // Of all faces together: with one face its own number, else the sum (overlapping crops count twice).
  double percent_of_frame = 0;
  io::Image mask;                       // gray 0 | 255, photo's size; all 0 with no_face. Where crops overlap: either
  io::Image probability;                // gray8: round(255 p); 0 outside the crops. Where crops overlap: the larger
  std::vector<uint16_t> probability16;  // gray16: round(65535 p), row-major
  double threshold = 0;                 // as used
  int64_t size = 0;                     // as used
  std::vector<std::string> notes;       // warnings in words: "the model wants masked photos, no labels were given"
  SegmentTimings timings;
};

// Keeps one planned network per size; not for use by two threads at once (give each its own, sharing the Model).
class Segmenter {
 public:
  // In fp16 a network whose output is not finite is run again in bf16, whose range is that of float32; the result's
  // notes say so. Errors: those of choose_device() and make_backend(); ErrorCode::usage for an option out of range;
  // ErrorCode::unsupported for a model that parses faces.
  // `parser`, a model that parses faces, gives every photo without labels of its own those of its crops.
  explicit Segmenter(std::shared_ptr<const Model> model, const ComputeOptions& compute = {},
                     SegmentOptions options = {}, std::shared_ptr<const Model> parser = nullptr);
  ~Segmenter();
  Segmenter(Segmenter&&) noexcept;
  Segmenter& operator=(Segmenter&&) noexcept;

  // labels: face-parsing classes of the photo, of the photo's size, or 512x512 for a square photo (then resized by
  // Pillow's NEAREST); anything else is ErrorCode::malformed naming both sizes. They limit what
  // is marked, and what a model sees that was trained on masked photos or masked texture maps. Equal input, options and
  // device give equal bytes whatever the thread count.
  SegmentResult run(const io::Picture& photo, const io::LabelMap* labels = nullptr);
  SegmentResult run(const io::Image& photo, const io::LabelMap* labels = nullptr);

  const SegmentOptions& options() const;
  void set_options(SegmentOptions options);
  const Model& model() const;
  std::string device() const;                // "cpu (avx512)", "cpu (avx512) int8", "cuda (NVIDIA H200, sm_90, fp16)"
  const std::string& device_reason() const;  // why `auto` chose it
  bool runs_cuda_kernels() const;            // on a GPU or emulated; else natively on the CPU

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace furrow
