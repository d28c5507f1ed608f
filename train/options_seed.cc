#include "train/options_seed.h"

#include <algorithm>
#include <optional>

#include "io/config_values.h"
#include "train/options.h"

namespace furrow::train {
namespace {

using io::ConfigEntry;
using io::ConfigKind;

class Translator {
 public:
  Translator(io::ConfigSource& source, std::vector<std::string>& notes) : source_(source), notes_(notes) {}

  void run() {
    flag("amp", [&](const ConfigEntry& at, bool on) { put(at, "precision", on ? "mixed" : "float32"); });
    flag("augmentation", [&](const ConfigEntry& at, bool on) { put(at, "augment.recipe", on ? "original" : "none"); });
    flag("freeze_encoder", [&](const ConfigEntry& at, bool on) {
      put_list(at, "model.freeze", on ? std::vector<std::string>{kEncoder} : std::vector<std::string>{});
    });
    dilation("dilate_mask");
    dilation("dilate_masks");
    flag("pretrained", [&](const ConfigEntry&, bool on) {
      if (on)
        note(
            "pretrained does nothing: model.init starts from a checkpoint, or a resnet50 network from torchvision's "
            "ResNet50");
    });
    flag("use_attention", [&](const ConfigEntry&, bool on) {
      if (on) note("use_attention does nothing: model.network chooses attention-unet or resnet50-attention-unet");
    });
    if (const ConfigEntry* entry = find("drop_out")) {
      ConfigEntry renamed = *entry;
      renamed.path = "model.dropout";
      put(std::move(renamed));
      note("drop_out is obeyed as model.dropout; the original program did not use it");
    }
    loss();
    if (drop_all([](const ConfigEntry& entry) { return entry.path.starts_with("wandb_"); }))
      note(
          "wandb_* keys do nothing: nothing leaves this machine; the run's event file can be imported with `wandb "
          "sync`");
    settle();
  }

 private:
  struct Made {
    ConfigEntry entry;
    size_t order;  // of the entry it was made from
  };

  const ConfigEntry* find(std::string_view path) const {
    const auto at = std::find_if(source_.entries.begin(), source_.entries.end(),
                                 [&](const ConfigEntry& entry) { return entry.path == path; });
    return at == source_.entries.end() ? nullptr : &*at;
  }
  size_t order(const io::ConfigPlace& place) const {
    const auto at = std::find_if(source_.entries.begin(), source_.entries.end(), [&](const ConfigEntry& entry) {
      return entry.place.source == place.source && entry.place.line == place.line && entry.place.column == place.column;
    });
    return static_cast<size_t>(at - source_.entries.begin());
  }
  template <class Which>
  bool drop_all(const Which& which) {
    return std::erase_if(source_.entries, which) > 0;
  }

  void note(std::string text) { notes_.push_back(std::move(text)); }

  // `made` takes the place of its original, under Furrow's name.
  void put(ConfigEntry made) {
    const size_t from = order(made.place);
    made_.push_back({std::move(made), from});
  }
  void put(const ConfigEntry& at, std::string path, std::string text) {
    ConfigEntry made = at;
    made.path = std::move(path);
    made.kind = ConfigKind::plain;
    made.text = std::move(text);
    put(std::move(made));
  }
  void put_list(const ConfigEntry& at, const std::string& path, const std::vector<std::string>& items) {
    ConfigEntry list = at;
    list.path = path;
    list.kind = ConfigKind::list;
    put(list);
    for (size_t i = 0; i < items.size(); ++i) {
      ConfigEntry item = at;
      item.path = path + "[" + std::to_string(i) + "]";
      item.kind = ConfigKind::quoted;
      item.text = items[i];
      put(std::move(item));
    }
  }

  template <class Then>
  void flag(std::string_view key, const Then& then) {
    const ConfigEntry* entry = find(key);
    if (!entry) return;
    handled_.emplace_back(key);
    if (const auto on = io::config_flag(*entry, source_.problems)) then(*entry, *on);
  }

  void dilation(std::string_view key) {
    flag(key, [&](const ConfigEntry& at, bool on) {
      put(at, "masks.dilate", on ? "true" : "false");
      if (on)
        note(std::string(key) +
             " is obeyed as masks.dilate; the original program trained on undilated masks in spite of it");
    });
  }

  void loss() {
    const ConfigEntry* group = find("loss_function");
    const bool named_here = group && group->kind != ConfigKind::map && group->kind != ConfigKind::list;
    const ConfigEntry* name = named_here ? group : find("loss_function.name");
    const ConfigEntry *alpha = find("loss_function.alpha"), *gamma = find("loss_function.gamma"),
                      *focal_alpha = find("loss_function.focal_alpha"), *weights = find("use_class_weights");
    const bool whole = name || group;
    bool combined = true;
    if (name) {
      const auto which = io::config_choice(*name, {"CombinedLoss", "BCEWithLogitsLoss"}, source_.problems);
      combined = which.value_or(0) == 0;
    }
    if (whole) put(name ? *name : *group, "loss.form", !combined ? "bce" : weights ? "L3" : "L1");
    if (combined && whole)
      note(std::string("CombinedLoss is taken as loss.form ") +
           (weights ? "L3: focal_alpha for wrinkle pixels, 1 - focal_alpha for others"
                    : "L1: focal_alpha for all pixels"));
    if (combined && alpha)
      if (const auto a = io::config_number(*alpha, {.low = 0, .high = 1}, source_.problems)) {
        put(*alpha, "loss.dice_weight", io::config_yaml(*a));
        put(*alpha, "loss.focal_weight", io::config_yaml(1 - *a));
      }
    if (combined && gamma) {
      ConfigEntry renamed = *gamma;
      renamed.path = "loss.gamma";
      put(std::move(renamed));
    }
    if (combined && focal_alpha)
      if (const auto a = io::config_number(*focal_alpha, {.low = 0, .high = 1}, source_.problems)) {
        put(*focal_alpha, "loss.alpha_positive", io::config_yaml(*a));
        put(*focal_alpha, "loss.alpha_negative", io::config_yaml(weights ? 1 - *a : *a));
      }
    if (!combined && (alpha || gamma || focal_alpha))
      note("loss_function: BCEWithLogitsLoss has no alpha, gamma or focal_alpha");
    flag("use_class_weights", [&](const ConfigEntry& at, bool on) {
      // The published loss without a CombinedLoss beside it never saw the weights.
      put(at, "loss.class_weight", on && (whole || alpha || focal_alpha) ? "measured" : "none");
      if (on && !(whole || alpha || focal_alpha))
        note("use_class_weights does nothing without loss_function, as in the original program");
    });
    for (const char* key : {"loss_function", "loss_function.name", "loss_function.alpha", "loss_function.gamma",
                            "loss_function.focal_alpha", "drop_out"})
      if (find(key)) handled_.emplace_back(key);
  }

  // Puts what was made among the entries. Where Furrow's own key is there too, the later source counts; in one source
  // they contradict each other.
  void settle() {
    std::vector<ConfigEntry> kept;
    std::vector<std::string> dropped;  // paths whose translation lost
    for (size_t i = 0; i < source_.entries.size(); ++i) {
      const ConfigEntry& entry = source_.entries[i];
      if (std::find(handled_.begin(), handled_.end(), entry.path) != handled_.end()) continue;
      const auto same =
          std::find_if(made_.begin(), made_.end(), [&](const Made& made) { return made.entry.path == entry.path; });
      if (same != made_.end()) {
        if (same->entry.place.source == entry.place.source && entry.place.line != 0) {
          source_.problems.add(
              entry.place, entry.key,
              "says the same as " + same->entry.key + " on line " + std::to_string(same->entry.place.line),
              "keep one of them");
        } else if (same->order > i) {
          continue;
        }
        dropped.push_back(entry.path);
      }
      kept.push_back(entry);
    }
    for (Made& made : made_) {
      const bool lost = std::any_of(dropped.begin(), dropped.end(), [&](const std::string& path) {
        return made.entry.path == path || io::below(made.entry.path, path);
      });
      if (!lost) kept.push_back(std::move(made.entry));
    }
    source_.entries = std::move(kept);
  }

  io::ConfigSource& source_;
  std::vector<std::string>& notes_;
  std::vector<Made> made_;
  std::vector<std::string> handled_;  // original keys that are no entries any more
};

}  // namespace

void translate_seed_keys(io::ConfigSource& source, std::vector<std::string>& notes) { Translator(source, notes).run(); }

std::vector<std::string> seed_keys() {
  return {"amp",
          "augmentation",
          "freeze_encoder",
          "dilate_mask",
          "dilate_masks",
          "pretrained",
          "use_attention",
          "drop_out",
          "use_class_weights",
          "loss_function.name",
          "loss_function.alpha",
          "loss_function.gamma",
          "loss_function.focal_alpha",
          "wandb_project",
          "wandb_entity"};
}

}  // namespace furrow::train
