// `furrow model audit` without --backward: the layers of the plan that `segment` runs, or of its unfused tape.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "io/limits.h"
#include "segment/audit.h"
#include "segment/segmenter.h"

namespace furrow::apps {

struct LayersOptions {
  std::string model;  // a weight file, or "default"
  std::string photo;  // empty: synthetic_picture()
  std::string crop = "face";
  std::string layers = "plan";  // or "all": the unfused tape
  ComputeOptions compute;
  std::optional<int64_t> size;  // default: the model's
  bool tile = false;            // one window of segment --tile: network_view()
  std::string labels = "none";  // a label map of the photo
  std::string keep;             // SegmentOptions::kept_labels in words; empty: the model's
  int rounds = 3;
  std::string dump, compare;  // folders of .npy files
  std::string against;        // another device
  std::optional<double> tolerance;
  std::string trace, svg;  // files that are written
};

// One value beside another's: a is this run's, b the folder's or the other device's.
struct ComparedValue {
  std::string name;
  double largest = 0;  // max|a-b| / max|b|; infinite where an element is finite on one side alone, or shapes differ
  bool departs = false;
  std::string shapes = {};  // both, in words, where they differ
};

// What was found; the input of every way to print it.
struct LayersReport {
  LayersOptions options;
  ModelInfo info;
  std::string device;
  NetworkView view;  // its crop is of the photo; of the synthetic picture all of it
  LayerAudit audit;
  std::optional<LayerAudit> in_fp16;  // where `audit` is what was computed again in bf16: what had been before
  std::vector<std::string> notes;     // warnings in words, segment's among them
  std::vector<uint8_t> mask;          // model_mask() as segment counts it; of a face parser model_labels()
  bool parser = false;                // of faces
  int64_t of_photo = 0;               // of its pixels, those that lie in the photo
  std::string beside;                 // what it was compared with, empty: nothing
  std::optional<LayerAudit> other;    // of the device --against
  double allowed = 0;                 // of ComparedValue::largest
  std::vector<ComparedValue> compared;
  std::optional<size_t> first;  // of `compared`, the first that departs

  const ComparedValue* comparison(const std::string& name) const;
  uint64_t marked() const;
  std::optional<Error> departure() const;
};

// Prints a table, one row per step, or with --json one object "furrow.layers/1"; writes the files that were asked for.
// Returns 0; where something was compared and departs, throws ErrorCode::different that names the first value (with
// --json the error stands in the object, and its status is returned). Errors: those of the readers, of Segmenter and of
// audit_layers(); ErrorCode::usage; ErrorCode::no_face for a photo without one under crop "face";
// ErrorCode::unsupported for a folder to compare with that holds none of the values.
int audit_layers(const LayersOptions& options, const io::Limits& limits, const cli::Common& common);

// The ways to print a report (apps/model_layers_output.cc).
std::string layers_table(const LayersReport& report);
std::string layers_json(const LayersReport& report);
std::string layers_trace(const LayersReport& report);  // Chrome's trace event format, "X" events in microseconds
std::string layers_svg(const LayersReport& report);    // two bars per step: its share of time and of bytes

}  // namespace furrow::apps
