#include "apps/segment_output.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "data/strict_json.h"
#include "io/atomic_file.h"
#include "io/png_write.h"
#include "io/resize.h"
#include "segment/overlay.h"
#include "segment/preview.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Numbers people read: six significant digits, and null for what is not finite.
Json number(double value) {
  if (!std::isfinite(value)) return nullptr;
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return Json::parse(text);
}

// `width`: of the face, or of the texture map, by which lengths are told as `per`.
Json region_json(const FaceRegionResult& region, const char* per, double width) {
  const MaskMeasures& m = region.measures;
  const double percent = 100.0 * static_cast<double>(m.mask_pixels) / static_cast<double>(region.pixels);
  Json out = {{"name", region.name},
              {"pixels", region.pixels},
              {"percent", number(percent)},
              {"count", m.count},
              {"length_px", number(m.length)},
              {per, number(m.length / width)},
              {"mean_width_px", number(m.mean_width)}};
  for (const Point& corner : region.outline) out["outline"].push_back({number(corner.x), number(corner.y)});
  return out;
}

Json face_json(const FaceResult& face) {
  Json out;
  if (face.face)
    out["box"] = {{"x", number(face.face->x)},
                  {"y", number(face.face->y)},
                  {"width", number(face.face->w)},
                  {"height", number(face.face->h)},
                  {"neighbours", face.face->neighbours}};
  if (face.quality) {
    out["status"] = name_of(face.quality->status());
    out["quality"] = {{"scale", number(face.quality->scale)},
                      {"brightness", number(face.quality->brightness)},
                      {"sharpness", number(face.quality->sharpness)}};
  }
  out["crop"] = {{"x", face.crop.x}, {"y", face.crop.y}, {"width", face.crop.side_w}, {"height", face.crop.side_h}};
  out["percent_of_frame"] = number(face.percent_of_frame);
  out["percent_of_crop"] = number(face.percent_of_crop);
  if (face.percent_of_region) out["percent_of_region"] = number(*face.percent_of_region);
  if (face.measures) {
    Json wrinkles = {{"count", face.measures->count},
                     {"length_px", number(face.measures->length)},
                     {"mean_width_px", number(face.measures->mean_width)}};
    if (face.length_per_face_width) wrinkles["length_per_face_width"] = number(*face.length_per_face_width);
    if (face.width_per_face_width) wrinkles["mean_width_per_face_width"] = number(*face.width_per_face_width);
    out["wrinkles"] = std::move(wrinkles);
  }
  for (const FaceRegionResult& region : face.regions)
    out["regions"].push_back(face.face ? region_json(region, "length_per_face_width", face.face->w)
                                       : region_json(region, "length_per_map_width", static_cast<double>(face.crop.side_w)));
  return out;
}

Json timings_json(const PhotoResult& photo) {
  const SegmentTimings& t = photo.result.timings;
  return {{"decode", number(photo.decode_milliseconds)},
          {"find_faces", number(t.find_faces)},
          {"parse", number(t.parse)},
          {"crop", number(t.crop)},
          {"resize", number(t.resize)},
          {"plan", number(t.plan)},
          {"network", number(t.network)},
          {"map_back", number(t.map_back)},
          {"measure", number(t.measure)}};
}

std::string percent(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", value);
  return text;
}

// As no-color.org and the terminals' own variables ask.
PreviewColour preview_colour() {
  const auto is_set = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != 0;
  };
  const std::string term = is_set("TERM") ? std::getenv("TERM") : "dumb",
                    depth = is_set("COLORTERM") ? std::getenv("COLORTERM") : "";
  if (is_set("NO_COLOR") || ((isatty(STDOUT_FILENO) == 0 || term == "dumb") && !is_set("CLICOLOR_FORCE")))
    return PreviewColour::none;
  return depth == "truecolor" || depth == "24bit" ? PreviewColour::truecolour : PreviewColour::indexed;
}

std::string file_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

// The overlay row by row, so that a huge photo never has a painted copy in memory.
std::vector<std::byte> encode_overlay(const PhotoResult& photo) {
  const io::Image& image = photo.picture.image;
  const io::Image& mask = photo.result.mask;
  std::vector<std::byte> bytes;
  io::PngWriter writer([&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); },
                       image.width, image.height, io::PngType::rgb8);
  OverlayStyle style;
  for (const FaceResult& face : photo.result.faces)
    if (face.face)
      style.boxes.push_back({face.crop.x, face.crop.y, face.crop.x + face.crop.side_w, face.crop.y + face.crop.side_h});
  std::vector<uint8_t> row(static_cast<size_t>(image.width) * 3);
  for (int64_t y = 0; y < image.height; ++y) {
    overlay_row({.width = image.width,
                 .height = image.height,
                 .y = y,
                 .channels = image.channels,
                 .photo = image.row(y),
                 .mask = mask.row(y),
                 .above = y > 0 ? mask.row(y - 1) : nullptr,
                 .below = y + 1 < image.height ? mask.row(y + 1) : nullptr},
                style, row.data());
    writer.row(row);
  }
  writer.finish();
  return bytes;
}

bool lies_there(const std::string& path) {
  std::error_code error;
  return !path.empty() && fs::is_regular_file(fs::symlink_status(path, error));
}

bool is_named(const Replaced& replaced, const std::string& path) {
  return std::ranges::find(replaced.named, path) != replaced.named.end();
}

void write_picture(const std::string& path, std::span<const std::byte> bytes, const Replaced& replaced) {
  if (replaced.compared && lies_there(path) && !is_named(replaced, path)) {
    std::error_code error;
    if (fs::file_size(path, error) == bytes.size() && !error) {
      const std::string text = data::read_text_within(path, bytes.size(), "bytes of a picture");
      if (std::ranges::equal(std::as_bytes(std::span(text)), bytes)) return;
    }
    throw Error(ErrorCode::usage, "exists already").file(path).hint("--force overwrites results");
  }
  io::write_file_atomically(path, bytes);
}

// Where it is a file: what a link names is written through it.
void remove_file(const std::string& path) {
  std::error_code error;
  if (!lies_there(path)) return;
  fs::remove(path, error);
  if (error) throw Error(ErrorCode::io, "cannot be removed: " + error.message()).file(path);
}

}  // namespace

std::vector<std::string> OutputPaths::all() const {
  std::vector<std::string> paths;
  for (const std::string* path : {&mask, &prob, &overlay, &json})
    if (!path->empty()) paths.push_back(*path);
  return paths;
}

OutputPaths possible_paths(const SegmentJob& job, const cli::Input& input) {
  const std::string base = job.out + "/" + input.base;
  return {base + ".mask.png", base + ".prob.png", base + ".overlay.png", base + ".json"};
}

OutputPaths output_paths(const SegmentJob& job, const cli::Input& input) {
  OutputPaths paths = possible_paths(job, input);
  if (!job.save_mask) paths.mask.clear();
  if (!job.save_prob) paths.prob.clear();
  if (!job.save_overlay) paths.overlay.clear();
  if (!job.save_json) paths.json.clear();
  return paths;
}

int probability_bits(const SegmentJob& job) {
  if (!job.save_prob) return 0;
  return job.options.probability == ProbabilityDepth::gray16 ? 16 : 8;
}

std::string result_json(const PhotoResult& photo, const OutputPaths& files) {
  const SegmentResult& result = photo.result;
  const bool ok = result.status == SegmentResult::Status::ok;
  Json out = {{"schema", cli::kResultSchema},
              {"file", printable(photo.input.path, 4096)},
              {"width", result.width},
              {"height", result.height},
              {"status", ok ? "ok" : "no_face"}};
  if (ok) out["percent_of_frame"] = number(result.percent_of_frame);
  out["faces"] = Json::array();
  for (const FaceResult& face : result.faces) out["faces"].push_back(face_json(face));
  out["threshold"] = number(result.threshold);
  out["size"] = result.size;
  out["model"] = {{"name", photo.model.name},       {"architecture", photo.model.architecture},
                  {"licence", photo.model.licence}, {"citation", photo.model.citation},
                  {"sha256", photo.model.sha256},   {"source_sha256", photo.model.source_sha256}};
  out["device"] = photo.device;
  out["timings_ms"] = timings_json(photo);
  out["notes"] = Json::array();
  for (const std::vector<std::string>* notes : {&photo.picture.info.notes, &photo.model.notes, &result.notes})
    for (const std::string& note : *notes) out["notes"].push_back(printable(note, 500));
  out["input"] = Json::parse(photo.origin.input);
  out["settings"] = Json::parse(photo.origin.settings);
  if (photo.prob_bits != 0) out["settings"]["prob_bits"] = photo.prob_bits;
  if (ok) {
    out["files"] = Json::object();
    const OutputPaths& kept = photo.kept;
    for (const auto& [key, path] : {std::pair{"mask", files.mask.empty() ? kept.mask : files.mask},
                                    {"prob", files.prob.empty() ? kept.prob : files.prob},
                                    {"overlay", files.overlay.empty() ? kept.overlay : files.overlay}})
      if (!path.empty()) out["files"][key] = printable(file_name(path), 4096);
  }
  return out.dump();
}

std::string read_result_json(const std::string& path) {
  return with_file(path, [&] {
    std::string text = data::read_text_within(path, kResultBytes, "bytes of a photo's result");
    text.resize(std::min(text.find('\n'), text.size()));
    if (!text.starts_with(std::string("{\"schema\":\"") + cli::kResultSchema + "\""))
      throw Error(ErrorCode::malformed, "no result of `furrow segment`");
    return text;
  });
}

std::string in_words(FaceStatus status) {
  std::string words = name_of(status);
  std::ranges::replace(words, '_', ' ');
  return words;
}

bool says_no_face(std::string_view json) {
  return json.find("\"status\":\"no_face\"") != std::string_view::npos;  // quotes inside a value are escaped
}

std::string result_sentence(const PhotoResult& photo) {
  const SegmentResult& result = photo.result;
  const std::string name = printable(photo.input.path == "-" ? "standard input" : file_name(photo.input.path));
  if (result.status == SegmentResult::Status::no_face) return name + ": no face found";
  int64_t count = 0;
  double length = 0;
  for (const FaceResult& face : result.faces)
    if (face.measures) {
      count += face.measures->count;
      length += face.measures->length;
    }
  std::string text = name + ": " + std::to_string(count) + (count == 1 ? " wrinkle, " : " wrinkles, ");
  const FaceResult& first = result.faces.front();
  if (first.percent_of_region)
    text += std::isnan(*first.percent_of_region) ? "no pixel with a kept label, "
                                                 : percent(*first.percent_of_region) + " of the labelled region, ";
  if (first.face) text += percent(first.percent_of_crop) + " of the face crop, ";
  text += percent(result.percent_of_frame) + " of the frame, " + std::to_string(std::llround(length)) +
          " px of centre line";
  if (result.faces.size() > 1)
    text += ", " + std::to_string(result.faces.size()) + " faces (first numbers: the largest)";
  const FaceStatus status = first.quality ? first.quality->status() : FaceStatus::ok;
  if (status != FaceStatus::ok) text += "; the face is " + in_words(status) + ": wrinkles will be missed";
  return text;
}

std::vector<std::string> write_outputs(const PhotoResult& photo, const OutputPaths& files, const Replaced& replaced,
                                       ThreadPool* pool) {
  const SegmentResult& result = photo.result;
  const bool faceless = result.status == SegmentResult::Status::no_face;
  if (!replaced.json_stays || (faceless && !replaced.named.empty())) remove_file(files.json);
  for (const std::string& path : replaced.stale) remove_file(path);
  std::vector<std::string> left, added;
  for (const std::string& path : {files.mask, files.prob, files.overlay})
    if (!lies_there(path))
      added.push_back(path);
    else if (faceless && is_named(replaced, path))
      remove_file(path);
    else if (faceless)
      left.push_back(path);
  std::vector<std::function<void()>> writers;
  const auto write = [&](const std::string& path, std::span<const std::byte> bytes) {
    write_picture(path, bytes, replaced);
  };
  if (!faceless) {
    if (!files.overlay.empty()) writers.emplace_back([&] { write(files.overlay, encode_overlay(photo)); });
    if (!files.mask.empty()) writers.emplace_back([&] { write(files.mask, io::encode_png(result.mask)); });
    if (!files.prob.empty())
      writers.emplace_back([&] {
        write(files.prob, result.probability16.empty()
                              ? io::encode_png(result.probability)
                              : io::encode_png_gray16(result.width, result.height, result.probability16));
      });
  }
  try {
    parallel_for(pool, static_cast<int64_t>(writers.size()),
                 [&](int64_t task, int) { writers[static_cast<size_t>(task)](); });
    // The JSON last: it names the other files, so it must not exist without them.
    if (!files.json.empty()) {
      const std::string text = result_json(photo, files) + "\n";
      io::write_file_atomically(files.json, std::as_bytes(std::span(text)));
    }
  } catch (...) {
    std::error_code error;
    if (replaced.json_stays)
      for (const std::string& path : added)
        if (lies_there(path)) fs::remove(path, error);
    throw;
  }
  return left;
}

std::string result_preview(const PhotoResult& photo) {
  constexpr int kColumns = 72;
  if (photo.result.faces.empty()) return {};
  const io::Image& image = photo.picture.image;
  const Crop& crop = photo.result.faces.front().crop;
  const double left = static_cast<double>(std::max<int64_t>(crop.x, 0)),
               top = static_cast<double>(std::max<int64_t>(crop.y, 0));
  const double right = static_cast<double>(std::min(crop.x + crop.side_w, image.width));
  const double bottom = static_cast<double>(std::min(crop.y + crop.side_h, image.height));
  const io::Box box{left, top, right, bottom};
  // No more rows than terminal_preview() shows, so that a photo one pixel wide costs no gigabytes.
  const auto rows = std::clamp<int64_t>(std::llround(kColumns * (bottom - top) / (right - left)), 2, 8 * kColumns);
  const io::Image small = io::resize(image, box, kColumns, rows, io::Filter::lanczos);
  io::Image marks = io::resize(photo.result.mask, box, kColumns, rows, io::Filter::bilinear);
  // A wrinkle is thinner than a character cell: a cell counts as marked from an eighth of coverage.
  for (uint8_t& coverage : marks.pixels) coverage = coverage >= 32 ? 255 : 0;
  return terminal_preview(overlay(small, marks, {.opacity = 0.8, .outlined = false}), kColumns, preview_colour());
}

}  // namespace furrow::apps
