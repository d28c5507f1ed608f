#include "apps/prepare/parse.h"

#include <filesystem>
#include <memory>
#include <mutex>

#include "apps/cli/text.h"
#include "apps/prepare/pictures.h"
#include "data/pairs_header.h"
#include "io/npy.h"
#include "io/png_write.h"
#include "kernels/error.h"
#include "segment/face_classes.h"
#include "segment/face_parser.h"

namespace furrow::apps {
namespace {

class ParseWork : public FileWork {
 public:
  ParseWork(const ParseOptions& options, std::shared_ptr<const Model> parser)
      : limits_(options.folder.limits),
        npy_(cli::choose_word("--format", options.format, "png npy") == 1),
        parser_(std::move(parser), options.compute) {
    command = "parse";
    settings = cli::Text() << (npy_ ? "npy" : "png") << ", parser " << parser_.model().info().sha256;
  }
  std::string result(const cli::Input& input) const override { return input.base + (npy_ ? ".npy" : ".png"); }
  bool fits(const cli::Input&, const std::string& path) const override {
    const int64_t side = parser_.model().info().size;
    if (npy_) {
      std::error_code error;
      return std::filesystem::file_size(path, error) == encode({side, side, {}}).size() && !error;
    }
    const data::PictureHeader map = data::read_picture_header(path);
    return map.png && map.width == side && map.height == side;
  }
  std::vector<std::byte> make(const cli::Input& input) const override {
    const io::Image photo = read_upright(input.path, limits_);
    if (photo.width != photo.height)
      throw Error(ErrorCode::unsupported, cli::Text() << "a face parser takes square photos of a face; this one is "
                                                      << photo.width << "x" << photo.height)
          .hint("cut the face out first, or let `furrow segment --parser` find it");
    const std::lock_guard lock(mutex_);  // the network has all threads to itself; others decode meanwhile
    return encode(parser_.parse(photo, whole_photo(photo.width, photo.height)));
  }

 private:
  std::vector<std::byte> encode(io::LabelMap map) const {
    map.labels.resize(static_cast<size_t>(map.width * map.height));
    if (!npy_)
      return io::encode_png_palette(map.width, map.height, map.labels, {kFaceColours.begin(), kFaceColours.end()});
    const int64_t dims[] = {map.height, map.width};
    return io::encode_npy(dims, map.labels);
  }

  io::Limits limits_;
  bool npy_;
  mutable std::mutex mutex_;
  mutable FaceParser parser_;
};

}  // namespace

int prepare_parse(const ParseOptions& options, const cli::Common& common) {
  const auto parser = std::make_shared<const Model>(Model::load(options.parser, options.folder.limits));
  for (const std::string& note : parser->info().notes) cli::note(common, note);
  return run_folder(options.folder, ParseWork(options, parser), common);
}

}  // namespace furrow::apps
