#include "train/run_log.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace furrow::train {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string number(double value, const char* form = "%.4g") {
  char text[32];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

}  // namespace

RunLog::RunLog(const RunFolder& folder, const TrainHooks& hooks, bool resume)
    : hooks_(hooks), metrics_(folder.metrics()), events_(folder.events(), now()) {
  if (resume) return;
  metrics_.cut_to(0);
  events_.restart(now());
}

void RunLog::cut_to(const LogSizes& sizes) {
  const bool metrics = metrics_.cut_to(sizes.metrics), events = events_.file().cut_to(sizes.events);
  if (!metrics || !events) note("the logs end before the checkpoint: some of their lines are lost");
}

LogSizes RunLog::sizes() {
  metrics_.sync();
  events_.file().sync();
  return {metrics_.bytes(), events_.file().bytes()};
}

void RunLog::note(const std::string& text) const {
  if (hooks_.note) hooks_.note(text);
}

void RunLog::say(const std::string& text) const {
  if (hooks_.log) hooks_.log(text);
}

void RunLog::line(const LogFields& fields) {
  metrics_.append(json_line(fields));
  const LogFile& bad = metrics_.lost() > 0 ? metrics_ : events_.file();
  if (bad.lost() > 0 && !lost_) note("lines of " + bad.path() + " are lost: " + bad.error());
  lost_ = bad.lost() > 0;
}

void RunLog::interval(const Position& position, const Interval& interval, float loss_scale, double waited) {
  const double n = static_cast<double>(std::max<int64_t>(1, interval.steps - interval.skipped));
  const double lr = interval.lr;
  const LossValue mean{
      .total = interval.loss.total / n, .dice = interval.loss.dice / n, .focal = interval.loss.focal / n};
  const double positives =
      interval.pixels == 0 ? 0 : static_cast<double>(interval.positives) / static_cast<double>(interval.pixels);
  line({{"kind", std::string("train")},
        {"step", position.step},
        {"epoch", position.epoch + 1},
        {"loss", mean.total},
        {"dice", mean.dice},
        {"focal", mean.focal},
        {"lr", lr},
        {"gradient_norm", interval.gradient_norm},
        {"positives", positives},
        {"skipped", interval.skipped},
        {"loss_scale", static_cast<double>(loss_scale)}});
  events_.scalars(now(), position.step,
                  {{"train/loss", mean.total},
                   {"train/dice_loss", mean.dice},
                   {"train/focal_loss", mean.focal},
                   {"train/pos_ratio", positives},
                   {"train/gradient_norm", interval.gradient_norm},
                   {"learning_rate", lr}});
  say("step " + std::to_string(position.step) + "  epoch " + std::to_string(position.epoch + 1) + "  loss " +
      number(mean.total) + "  lr " + number(lr, "%.3g") + "  gradient " + number(interval.gradient_norm, "%.3g") +
      "  data " + number(100 * waited, "%.1f") + " %");
}

void RunLog::validation(const Position& position, const Scores& s, double lr, bool best) {
  LogFields fields = {{"kind", std::string("validation")},
                      {"step", position.step},
                      {"epoch", position.epoch + 1},
                      {"loss", s.loss},
                      {"dice_loss", s.dice_loss},
                      {"focal_loss", s.focal_loss},
                      {"iou", s.iou},
                      {"f1", s.f1},
                      {"dice", s.dice},
                      {"precision", s.precision},
                      {"recall", s.recall},
                      {"accuracy", s.accuracy}};
  if (s.auc) fields.emplace_back("auc", *s.auc);
  fields.emplace_back("lr", lr);
  fields.emplace_back("best", int64_t{best});
  line(fields);
  events_.scalars(now(), position.step,
                  {{"val/total_loss", s.loss},
                   {"val/dice_loss", s.dice_loss},
                   {"val/focal_loss", s.focal_loss},
                   {"val/iou", s.iou},
                   {"val/f1", s.f1},
                   {"val/precision", s.precision},
                   {"val/recall", s.recall},
                   {"val/auc", s.auc.value_or(0)},
                   {"val/epoch", static_cast<double>(position.epoch + 1)}});
  say("epoch " + std::to_string(position.epoch + 1) + "  validation  loss " + number(s.loss) + "  iou " +
      number(s.iou) + "  f1 " + number(s.f1) + "  precision " + number(s.precision) + "  recall " + number(s.recall) +
      (best ? "  (best)" : ""));
}

void RunLog::warning(const std::optional<Warning>& warning) {
  if (!warning) return;
  line({{"kind", std::string("warning")},
        {"step", warning->step},
        {"name", std::string(name(warning->kind))},
        {"text", warning->text}});
  note("warning[" + std::string(name(warning->kind)) + "]: step " + std::to_string(warning->step) + ": " +
       warning->text);
}

void RunLog::picture(const Position& position, const std::string& tag, const io::Image& image,
                     std::span<const std::byte> png) {
  events_.image(now(), position.step, tag, image.width, image.height, image.channels, png);
}

}  // namespace furrow::train
