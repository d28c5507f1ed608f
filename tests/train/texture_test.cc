// What a network of photo and texture map sees in training is, bit for bit, what it is shown afterwards.
#include <algorithm>
#include <optional>

#include "io/picture.h"
#include "io/safetensors.h"
#include "segment/model.h"
#include "segment/network_picture.h"
#include "segment/preprocess.h"
#include "tests/train/tiny_run.h"
#include "train/setup.h"

namespace furrow::testing {
namespace {

using train::TrainJob;

class TrainTexture : public TinyRun {
 protected:
  TrainJob textured(const std::string& run) const {
    TrainJob out = job(run);
    out.options.texture = train::Texture::closest;
    out.options.texture_sigma = 40;  // 1.25 of the 32 pixels
    out.options.size = 48;           // so that something is resized
    return out;
  }

  // A parser's labels beside every photo, of half its size: skin, hair, nose.
  void write_labels() const {
    std::filesystem::create_directories(path("labels"));
    for (int i = 0; i < 8; ++i) {
      io::Image labels(16, 16, 1);
      for (int64_t y = 0; y < 16; ++y)
        for (int64_t x = 0; x < 16; ++x) labels.row(y)[x] = x < 6 ? 1 : x < 11 + i % 3 ? 17 : 10;
      io::write_file_atomically(path("labels") + "/p" + std::to_string(i) + ".png", io::encode_png(labels));
    }
  }
};

TEST_F(TrainTexture, InputsAreThoseOfTheLoader) {
  write_labels();
  for (const bool labelled : {false, true})
    for (const train::Texture recipe : {train::Texture::closest, train::Texture::authors})
      for (const train::Normalise scaling :
           {train::Normalise::none, train::Normalise::imagenet, train::Normalise::half}) {
        TrainJob one = textured("run");
        one.options.texture = recipe;
        one.options.normalise = scaling;
        one.options.raw_scale = labelled;
        one.options.batch_size = 1;
        if (labelled) one.options.texture_dir = path("labels"), one.options.other_size = train::Policy::accept;
        const train::Data data = train::open_data(one.options, {}, nullptr);
        data::Loader loader(*data.set, data.val, train::loader_options(one.options, true, 0),
                            train::augmentation(one.options, true));
        const data::Batch batch = *loader.next();
        ASSERT_EQ(batch.image.shape(), (Shape{1, 48, 48, 4}));

        // The same photo by way of the model that such a run exports.
        const std::string file = path("model.safetensors");
        const ModelInfo info = train::model_info(one.options, "m");
        ASSERT_TRUE(info.texture.has_value());
        EXPECT_EQ(info.texture->masked, labelled);
        std::vector<std::string> notes;
        io::write_safetensors(file, train::make_network(one.options, DType::f32, {}, notes)->state(),
                              to_metadata(info));
        const Model model = Model::load(file);
        EXPECT_TRUE(model.info().notes.empty());
        const std::string& id = data.set->id(data.val[0]);
        const io::Image photo = io::read_picture(path("images") + "/" + id + ".png").image;
        std::optional<io::LabelMap> labels;
        if (labelled) {  // of the photo's size, since segmenting takes no other for a photo of 32 pixels
          const io::LabelMap half = io::read_labels(path("labels") + "/" + id + ".png");
          labels.emplace();
          labels->width = labels->height = 32;
          for (size_t i = 0; i < 32 * 32; ++i) labels->labels.push_back(half.labels[i / 64 * 16 + i % 32 / 2]);
        }
        const KeptPixels kept(nullptr, {}, 32, 32);
        const NetworkPicture picture(photo, {whole_photo(32, 32), 48, 48}, model, kept, labels ? &*labels : nullptr, 32,
                                     nullptr);
        io::Image rgb(48, 48, 3), map(0, 0, 1);
        picture.window(0, 0, rgb, map);
        Tensor input({1, 48, 48, 4});
        normalise(rgb, &map, model.info(), false, input);
        const std::span<const float> trained = batch.image.values<float>(), shown = input.values<float>();
        for (size_t i = 0; i < shown.size(); ++i) ASSERT_EQ(shown[i], trained[i]) << i;
        EXPECT_GT(*std::ranges::max_element(map.pixels), 20);
      }
}

// Maps in files were made by a recipe that nobody named.
TEST_F(TrainTexture, MapsFromFilesHaveNoRecipe) {
  TrainJob one = textured("run");
  one.options.texture = train::Texture::files;
  one.options.texture_dir = path("masks");
  EXPECT_FALSE(train::model_info(one.options, "m").texture.has_value());
  one.options.texture = train::Texture::none;
  EXPECT_FALSE(train::model_info(one.options, "m").texture.has_value());
  one = textured("run");
  one.options.texture_use = train::TextureUse::target;  // what is learnt, not a channel
  EXPECT_FALSE(train::model_info(one.options, "m").texture.has_value());
}

}  // namespace
}  // namespace furrow::testing
