#include "apps/prepare/align.h"

#include "apps/cli/text.h"
#include "data/align.h"
#include "data/landmarks.h"
#include "data/pairs_header.h"
#include "io/picture.h"
#include "io/png_write.h"
#include "io/upright.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

// The pixels as they stand in the file: the way back from upright is another of EXIF's ways.
io::Image as_stored(io::Picture& photo) {
  const int orientation = photo.info.orientation;
  if (orientation == 1) return std::move(photo.image);
  const io::Image& image = photo.image;
  io::UprightImage back(image.width, image.height, orientation == 6 ? 8 : orientation == 8 ? 6 : orientation);
  for (int64_t y = 0; y < image.height; ++y) back.put(y, 0, 1, image.width, image.row(y));
  return std::move(back.image);
}

class AlignWork : public FileWork {
 public:
  explicit AlignWork(const PictureOptions& options) {
    align_.size = options.size, align_.transform = options.transform, align_.limits = options.folder.limits;
    align_.padding = cli::choose_word("--padding", options.padding, "on off") == 0;
    const bool aging = cli::choose_word("--recipe", options.recipe, "ffhq ffhq-aging") == 1;
    if (align_.size < 16) throw Error(ErrorCode::usage, "--size is outside 16..4096");
    if (align_.transform < align_.size || align_.transform > 16384)
      throw Error(ErrorCode::usage, "--transform-size is outside --size..16384");
    command = "align", without = "without landmarks", one_of_a_name = true;
    settings = options.recipe;
    settings.append(" ").append(std::to_string(align_.size)).append(" of ").append(std::to_string(align_.transform));
    settings.append(", padding ").append(options.padding);
    faces_ = data::read_landmarks(options.landmarks, aging ? data::kFfhqAgingMouth : data::kFfhqMouth);
  }
  bool wanted(const cli::Input& input) const override { return faces_.index.contains(stem_of(input.path)); }
  bool fits(const cli::Input&, const std::string& path) const override {
    const data::PictureHeader result = data::read_picture_header(path);
    return result.png && result.width == align_.size && result.height == align_.size;
  }
  std::vector<std::byte> make(const cli::Input& input) const override {
    const int face = faces_.index.at(stem_of(input.path));
    io::Picture photo = io::read_picture(input.path, io::Background::drop, align_.limits);
    if (photo.info.orientation != 1 && !faces_.ffhq)
      throw Error(ErrorCode::unsupported,
                  "EXIF turns this photo, and whether its landmarks were found before or after is not known")
          .hint("save it upright");
    return io::encode_png(data::align_face(as_stored(photo), faces_.squares[static_cast<size_t>(face) - 1], align_));
  }

 private:
  data::AlignOptions align_;
  data::FaceSquares faces_;
};

}  // namespace

int prepare_align(const PictureOptions& options, const cli::Common& common) {
  return run_folder(options.folder, AlignWork(options), common);
}

}  // namespace furrow::apps
