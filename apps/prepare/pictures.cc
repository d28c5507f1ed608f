#include "apps/prepare/pictures.h"

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <sstream>

#include "apps/cli/text.h"
#include "apps/prepare/labels.h"
#include "data/pairs_header.h"
#include "io/mapped_file.h"
#include "io/picture.h"
#include "io/png_write.h"
#include "io/resize.h"
#include "io/texture.h"
#include "kernels/error.h"
#include "segment/face_classes.h"

namespace furrow::apps {
namespace {

// What a photo is looked at for.
data::PictureHeader upright_header(const std::string& path) {
  const data::PictureHeader header = data::read_picture_header(path);
  if (header.orientation != 1)
    throw Error(ErrorCode::unsupported, cli::Text()
                                            << "EXIF turns this photo (orientation " << header.orientation
                                            << "), and whether its labels were made before or after is not known")
        .file(path)
        .hint("save the photo upright");
  return header;
}

class PictureWork : public FileWork {
 public:
  PictureWork(const PictureOptions& options, const char* name) : options_(options) {
    command = name;
    without = "without a label map";
    if (options.labels.empty()) return;
    labels_.emplace(options.labels, options.folder.limits);
    partners = options.labels;
    settings = "labels";
    for (const int label : kept_of(options.keep, options.order)) {
      settings += " " + std::to_string(label);
      kept_[label] = true;
    }
  }
  bool wanted(const cli::Input& input) const override { return !labels_ || labels_->has(input); }
  bool fits(const cli::Input& input, const std::string& path) const override {
    const data::PictureHeader photo = upright_header(input.path), result = data::read_picture_header(path);
    return result.png && result.width == side(photo.width) && result.height == side(photo.height);
  }
  std::vector<std::byte> make(const cli::Input& input) const override {
    io::Image image = read_upright(input.path, options_.folder.limits);
    if (options_.size > 0 && (image.width != options_.size || image.height != options_.size)) {
      if (image.width != image.height)
        throw Error(ErrorCode::unsupported,
                    cli::Text() << "--size is for square photos; this one is " << image.width << "x" << image.height);
      image = io::resize(image, options_.size, options_.size, io::Filter::bilinear);
    }
    std::optional<io::Image> labels;
    if (labels_) labels = labels_->of(input, image.width, image.height);
    return io::encode_png(picture(image, labels ? &*labels : nullptr));
  }

 protected:
  // `labels`: of each pixel; null where there are no label maps.
  virtual io::Image picture(io::Image& photo, const io::Image* labels) const = 0;
  // 255 where the label is kept, else 0.
  io::Image kept(const io::Image& labels) const { return io::kept_labels(labels, kept_); }
  int64_t side(int64_t photo) const { return options_.size > 0 ? options_.size : photo; }
  const PictureOptions& options_;
  std::optional<LabelFolder> labels_;
  bool kept_[256] = {};
};

class MaskWork : public PictureWork {
 public:
  explicit MaskWork(const PictureOptions& options) : PictureWork(options, "mask") {
    settings += options.size > 0 ? ", size " + std::to_string(options.size) : "";
  }

 private:
  io::Image picture(io::Image& photo, const io::Image* labels) const override {
    const io::Image keep = kept(*labels);
    for (size_t i = 0; i < keep.pixels.size(); ++i)
      if (keep.pixels[i] == 0) photo.pixels[3 * i] = photo.pixels[3 * i + 1] = photo.pixels[3 * i + 2] = 0;
    return std::move(photo);
  }
};

constexpr io::TextureRecipe kRecipes[] = {io::TextureRecipe::closest, io::TextureRecipe::closest,
                                          io::TextureRecipe::authors, io::TextureRecipe::authors_inverse};

class TextureWork : public PictureWork {
 public:
  explicit TextureWork(const PictureOptions& options)
      : PictureWork(options, "texture"),
        recipe_(kRecipes[cli::choose_word("--recipe", options.recipe, "best closest authors inverse")]) {
    if (!(options.sigma > 0 && options.sigma <= 100)) throw Error(ErrorCode::usage, "--sigma is outside (0, 100]");
    std::ostringstream text;
    text << (options.recipe == "best" ? "closest" : options.recipe) << ", sigma " << options.sigma << " at 1024";
    settings = text.str() + (settings.empty() ? "" : ", " + settings);
  }

 private:
  io::Image picture(io::Image& photo, const io::Image* labels) const override {
    std::optional<io::Image> keep;
    if (labels != nullptr) keep = kept(*labels);
    return io::texture_map(photo, {recipe_, io::texture_sigma(options_.sigma, std::max(photo.width, photo.height))},
                           keep ? &*keep : nullptr);
  }
  io::TextureRecipe recipe_;
};

class OverlayWork : public PictureWork {
 public:
  explicit OverlayWork(const PictureOptions& options)
      : PictureWork(options, "overlay"), number_(by_name(class_names("--class-order", options.order))) {
    settings = "colours, " + options.order;  // no label is left out
  }

 private:
  io::Image picture(io::Image& photo, const io::Image* labels) const override {
    for (size_t i = 0; i < labels->pixels.size(); ++i) {
      const uint8_t label = labels->pixels[i];
      if (label >= number_.size())
        throw Error(ErrorCode::malformed, cli::Text() << "its label map has label " << static_cast<int>(label)
                                                      << ", which has no colour")
            .hint("the classes are 0 to 18");
      for (size_t c = 0; c < 3 && label != 0; ++c)
        photo.pixels[3 * i + c] =
            static_cast<uint8_t>((photo.pixels[3 * i + c] + kFaceColours[number_[label]][c] + 1) / 2);
    }
    return std::move(photo);
  }
  std::array<uint8_t, 19> number_;
};

class CollectWork : public FileWork {
 public:
  explicit CollectWork(const PictureOptions& options)
      : masks_(files_by_stem(options.masks, {".png", ".jpg", ".jpeg"})) {
    command = "collect", settings = "copies", without = "without a mask";
    if (masks_.empty())
      throw Error(ErrorCode::usage, "no mask (.png, .jpg or .jpeg) in this folder").file(options.masks);
    std::error_code error;
    if (std::filesystem::equivalent(options.folder.inputs[0], options.masks, error))
      throw Error(ErrorCode::usage, "photos and masks are one folder").file(options.masks);
    partners = options.masks;
  }
  std::string result(const cli::Input& input) const override {
    return std::filesystem::path(input.path).filename().string();
  }
  bool wanted(const cli::Input& input) const override { return masks_.contains(stem_of(input.path)); }
  bool fits(const cli::Input& input, const std::string& path) const override {
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(input.path, error);
    if (error) throw Error(ErrorCode::io, "cannot read: " + error.message());
    return std::filesystem::file_size(path, error) == size && !error;
  }
  std::vector<std::byte> make(const cli::Input& input) const override {
    const auto file = io::MappedFile::open(input.path, io::MappedFile::Access::copy);
    data::picture_header(file->bytes());  // a copy of what is no picture helps nobody
    file->check_unchanged();
    return {file->bytes().begin(), file->bytes().end()};
  }
  std::map<std::string, std::vector<std::string>> more(const std::vector<cli::Input>& inputs) const override {
    std::set<std::string> photos;
    for (const cli::Input& input : inputs) photos.insert(stem_of(input.path));
    std::vector<std::string> orphans;
    for (const auto& [stem, paths] : masks_)
      if (!photos.contains(stem)) orphans.push_back(paths[0]);
    return {{"masks without a photo", orphans}};
  }

 private:
  FilesByStem masks_;
};

}  // namespace

io::Image read_upright(const std::string& path, const io::Limits& limits) {
  upright_header(path);
  io::Picture photo = io::read_picture(path, io::Background::drop, limits);
  if (photo.info.orientation != 1) throw Error(ErrorCode::unsupported, "EXIF turns this photo").hint("save it upright");
  return std::move(photo.image);
}

int prepare_mask(const PictureOptions& options, const cli::Common& common) {
  return run_folder(options.folder, MaskWork(options), common);
}
int prepare_texture(const PictureOptions& options, const cli::Common& common) {
  return run_folder(options.folder, TextureWork(options), common);
}
int prepare_overlay(const PictureOptions& options, const cli::Common& common) {
  return run_folder(options.folder, OverlayWork(options), common);
}
int prepare_collect(const PictureOptions& options, const cli::Common& common) {
  return run_folder(options.folder, CollectWork(options), common);
}

}  // namespace furrow::apps
