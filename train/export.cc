#include "train/export.h"

#include "io/pth_write.h"
#include "io/safetensors.h"
#include "train/run_state.h"

namespace furrow::train {

void export_model(const std::string& folder, const Snapshot& best, const ModelInfo& info, const std::string& metric) {
  NamedTensors tensors;
  for (const NamedTensor& tensor : exported_tensors(best)) tensors.push_back(stored_as(tensor, DType::f32));
  io::write_safetensors(folder + "/model.safetensors", tensors, to_metadata(info));
  io::PthOptions options{.nest_under = "model_state_dict", .extra = {}};
  options.extra.emplace_back("epoch", integer_value(best, "best.epoch"));
  if (const auto score = best.values.find("best.score"); score != best.values.end() && score->second != "none")
    options.extra.emplace_back("best_val_" + metric, real_value(best, "best.score"));
  io::write_pth(folder + "/model.pth", tensors, options);
}

}  // namespace furrow::train
