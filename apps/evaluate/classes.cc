#include "apps/evaluate/classes.h"

#include <algorithm>
#include <cmath>

#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "apps/embedded_model.h"
#include "apps/evaluate/predict.h"
#include "apps/evaluate/results.h"
#include "apps/evaluate/setup.h"
#include "apps/evaluate/text.h"
#include "io/atomic_file.h"
#include "io/resize.h"
#include "kernels/device.h"
#include "nn/plan.h"
#include "segment/preprocess.h"
#include "segment/region.h"

namespace furrow::apps {
namespace {

struct ClassMaps {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> predicted, truth;
};

// The classes of a photo by a network: argmax over the channels of its output.
class ClassModel {
 public:
  ClassModel(std::shared_ptr<const Model> model, const EvaluateJob& job)
      : model_(std::move(model)), pool_(job.compute.threads), side_(job.size.value_or(model_->info().size)) {
    if (side_ < 32 || side_ > 4096)
      throw Error(ErrorCode::usage, "size " + std::to_string(side_) + " is outside 32..4096");
    const ChosenDevice chosen = choose_device(job.compute.device);
    backend_ = make_backend(chosen.device, &pool_,
                            {.precision = precision_on(chosen.device, parse_precision(job.compute.precision))});
    plan_ = std::make_unique<Plan>(model_->network(), *backend_, Shape{1, side_, side_, 3});
    input_ = Tensor(Shape{1, side_, side_, 3}, backend_->dtype());
  }
  std::string device() const { return backend_->name(); }
  int64_t side() const { return side_; }

  ClassMaps run(const io::Image& photo, const io::Image& truth) {
    normalise(io::resize(photo, side_, side_, filter_of(model_->info().resize)), model_->info(), false, input_);
    const Tensor logits = plan_->run(input_).to(DType::f64);
    ClassMaps out{side_, side_, std::vector<uint8_t>(static_cast<size_t>(side_ * side_)), {}};
    out.truth.resize(out.predicted.size());
    const auto classes = static_cast<size_t>(logits.shape().c);
    const Grid grid{whole_photo(photo.width, photo.height), side_, side_};
    for (int64_t j = 0; j < side_; ++j)
      for (int64_t i = 0; i < side_; ++i) {
        const auto at = static_cast<size_t>(j * side_ + i);
        const auto z = logits.values<double>().subspan(at * classes, classes);
        if (std::ranges::any_of(z, [](double v) { return std::isnan(v); }))
          throw Error(ErrorCode::malformed, "the network's output is not a number somewhere")
              .hint("its weights may be broken: furrow model show");
        out.predicted[at] = static_cast<uint8_t>(std::ranges::max_element(z) - z.begin());
        out.truth[at] = truth.row(grid.photo_y(j))[grid.photo_x(i)];
      }
    return out;
  }

 private:
  std::shared_ptr<const Model> model_;
  ThreadPool pool_;
  int64_t side_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Plan> plan_;
  Tensor input_;
};

void check_size(const io::Image& map, const io::Image& photo, const char* what) {
  if (map.width != photo.width || map.height != photo.height)
    throw Error(ErrorCode::malformed, std::string("the ") + what + " is " + std::to_string(map.width) + "x" +
                                          std::to_string(map.height) + ", the photo is " + std::to_string(photo.width) +
                                          "x" + std::to_string(photo.height));
}

io::Image class_map(const std::string& path, const io::Image& photo, const EvaluateJob& job,
                    const data::MaskTable& table, const char* what) {
  io::Image map = data::read_mask(path, job.mask_rule, job.limits);
  with_file(path, [&] {
    check_size(map, photo, what);
    data::to_target(map, table);
  });
  return map;
}

ClassMaps compare(const EvaluateJob& job, const data::MaskTable& table, const data::PairFiles& pair,
                  ClassModel* model) {
  const io::Image photo = io::read_picture(pair.image, io::Background::drop, job.limits).image;
  io::Image truth = class_map(pair.mask, photo, job, table, "mask");
  if (model != nullptr) return with_file(pair.image, [&] { return model->run(photo, truth); });
  io::Image predicted = class_map(job.predictions + "/" + pair.id + ".png", photo, job, table, "prediction");
  return {photo.width, photo.height, std::move(predicted.pixels), std::move(truth.pixels)};
}

void count_classes(const ClassMaps& maps, const std::string& id, ClassesResult& result) {
  ConfusionMatrix own(result.matrix.classes());
  own.add(maps.predicted, maps.truth, {});
  result.matrix.add(own);
  result.pictures.push_back(
      {shown_name(id), maps.width, maps.height, class_iou(own), mean_iou(own), pixel_accuracy(own)});
}

// Means over pictures with their intervals.
void average(const EvaluateJob& job, ClassesResult& result) {
  const auto means = [&](std::span<const uint32_t> drawn, std::span<std::optional<double>> out) {
    double iou = 0, accuracy = 0;
    for (const uint32_t i : drawn) {
      iou += *result.pictures[i].mean_iou;  // a picture has pixels, so both are defined
      accuracy += *result.pictures[i].accuracy;
    }
    out[0] = iou / static_cast<double>(drawn.size());
    out[1] = accuracy / static_cast<double>(drawn.size());
  };
  std::vector<uint32_t> all(result.pictures.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint32_t>(i);
  std::vector<std::optional<double>> values(2);
  means(all, values);
  result.mean_iou = values[0];
  result.mean_accuracy = values[1];
  ThreadPool pool(job.compute.threads);
  const auto intervals = bootstrap(all.size(), 2, means, {.resamples = job.resamples, .seed = job.seed}, &pool);
  result.mean_iou_interval = intervals[0];
  result.mean_accuracy_interval = intervals[1];
}

ClassesResult new_result(const EvaluateJob& job, int classes, const Model* model, const ClassModel* runner,
                         size_t pairs) {
  ClassesResult result(classes);
  result.values.resize(static_cast<size_t>(classes));
  for (const auto& [value, number] : job.mask_rule.classes) {
    std::string& text = result.values[number];
    text += (text.empty() ? "" : ",") + std::to_string(value);
  }
  auto& s = result.settings;
  if (model != nullptr) {
    s.emplace_back("source", "model " + model->info().name + " on " + runner->device());
    s.emplace_back("model sha256", model->info().sha256);
    s.emplace_back("model licence", model->info().licence);
    const std::string side = std::to_string(runner->side());
    s.emplace_back("compared on", side + "x" + side + " model pixels");
  } else {
    s.emplace_back("source", "predictions from files");
    s.emplace_back("compared on", "the photos' pixels");
  }
  s.emplace_back("pairs", std::to_string(pairs));
  s.emplace_back("resamples", std::to_string(job.resamples));
  s.emplace_back("seed", std::to_string(job.seed));
  return result;
}

}  // namespace

int run_evaluate_classes(const EvaluateJob& job, const cli::Common& common) {
  refuse_overwriting(job);
  const ResultFolder folder(job.out);
  const data::MaskTable table(job.mask_rule);
  const std::vector<data::PairFiles> pairs = pairs_of(job, common);
  std::shared_ptr<const Model> model;
  std::optional<ClassModel> runner;
  if (job.predictions.empty()) {
    model = std::make_shared<const Model>(load_model(job.weights, job.limits));
    if (model->classes() != table.classes())
      throw Error(ErrorCode::usage, "--mask-classes has " + std::to_string(table.classes()) + " classes, the model " +
                                        std::to_string(model->classes()));
    runner.emplace(model, job);
  }
  ClassesResult result = new_result(job, table.classes(), model.get(), runner ? &*runner : nullptr, pairs.size());
  cli::Progress progress(static_cast<int64_t>(pairs.size()), "pictures", !common.quiet && !common.json);
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (cli::interrupted() != 0) {
      cli::note(common, "interrupted; nothing was written");
      return cli::interrupted();
    }
    try {
      count_classes(compare(job, table, pairs[i], runner ? &*runner : nullptr), pairs[i].id, result);
    } catch (const DeviceLost&) {
      throw;  // no other picture would fare better
    } catch (const Error& error) {
      result.failures.emplace_back(shown_name(pairs[i].id), error.line());
    } catch (const std::bad_alloc&) {
      result.failures.emplace_back(shown_name(pairs[i].id),
                                   Error(ErrorCode::limit, "out of memory").file(pairs[i].image).line());
    }
    progress.update(static_cast<int64_t>(i + 1), static_cast<int64_t>(result.failures.size()));
  }
  progress.clear();
  std::vector<std::string> lines;
  for (const auto& [id, line] : result.failures) lines.push_back(line);
  const std::string failed = std::to_string(lines.size()) + " of " + std::to_string(pairs.size()) + " pictures failed";
  if (result.pictures.empty())
    throw Error(ErrorCode::malformed, pairs.empty() ? "no picture to compare" : failed).details(lines);
  average(job, result);
  const auto write = [&](const char* name, const std::string& text) {
    io::write_file_atomically(job.out + "/" + name, std::as_bytes(std::span(text)));
  };
  write("classes.csv", classes_csv(result));
  write("confusion.csv", confusion_csv(result));
  write("per_image.csv", class_pictures_csv(result));
  write("report.html", classes_report_html(result));
  write("evaluate.json", classes_json(result, 1));
  const Error failure = Error(ErrorCode::malformed, failed + " and are left out").details(lines);
  if (common.json) {
    std::string object = classes_json(result, -1);
    if (!lines.empty()) object.replace(object.rfind('}'), 1, "," + cli::error_json(failure).substr(1));
    cli::print(object);
    return lines.empty() ? 0 : static_cast<int>(failure.code());
  }
  cli::print(classes_text(result));
  cli::note(common, "written: " + job.out + "/evaluate.json  classes.csv  confusion.csv  per_image.csv  report.html");
  if (!lines.empty()) throw failure;
  return 0;
}

}  // namespace furrow::apps
