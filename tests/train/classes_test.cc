// Losses over classes in a whole run, on masks of two values.
#include "tests/train/tiny_run.h"
#include "train/options.h"

namespace furrow::testing {
namespace {

class Classes : public TinyRun {};

TEST_F(Classes, EveryLossOverClassesLearnsFromBinaryMasks) {
  for (const std::string form : {"ce", "L0", "L0_class_mean", "soft_dice", "foreground_dice"}) {
    train::TrainJob one = job("run_" + form);
    train::TrainOptions chosen =
        train::parse_train_options("loss: {form: " + form + "}\nmodel: {classes: 2}", "config.yaml").options;
    one.options.loss = chosen.loss, one.options.loss_form = chosen.loss_form, one.options.classes = chosen.classes;
    one.options.epochs = 40;
    one.options.patience = 0;
    one.options.augment_recipe = "none";
    one.options.learning_rate = 1e-2;
    double first = 0, last = 0;
    one.hooks.progress = [&](const train::TrainProgress& progress) {
      last = progress.loss;
      if (first == 0) first = last;
    };
    const train::TrainResult result = train::train(one);
    EXPECT_EQ(result.steps, 120) << form;
    EXPECT_LT(last, 0.7 * first) << form;
    // A bright line on noise, of 2 % of the pixels: who looks at the line alone finds it in 120 steps.
    if (form.ends_with("_dice")) { EXPECT_GT(result.best_score, 0.5) << form; }
  }
}

}  // namespace
}  // namespace furrow::testing
