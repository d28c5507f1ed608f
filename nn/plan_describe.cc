// A plan as a table.
#include <algorithm>

#include "nn/plan.h"

namespace furrow {
namespace {

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text + "  ";
}

std::string mib(size_t bytes) {
  const size_t tenths = (bytes * 10 + (size_t{1} << 19)) >> 20;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

}  // namespace

std::string Plan::describe() const {
  const char* const titles[] = {"step", "modules", "op", "problem", "algorithm", "bytes", "flops", "offset"};
  std::vector<std::vector<std::string>> rows = {{std::begin(titles), std::end(titles)}};
  uint64_t total_bytes = 0, total_flops = 0;
  for (size_t i = 0; i < infos_.size(); ++i) {
    const StepInfo& s = infos_[i];
    rows.push_back({std::to_string(i), s.where, s.op, s.problem, s.algorithm, std::to_string(s.bytes),
                    std::to_string(s.flops), std::to_string(s.offset)});
    total_bytes += s.bytes;
    total_flops += s.flops;
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[c].size());
      line += padded(row[c], width);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out + std::to_string(infos_.size()) + " steps, " + std::to_string(total_flops) + " flops, " +
         std::to_string(total_bytes) + " bytes; activations " + mib(activation_bytes_) + ", workspace " +
         mib(workspace_bytes_) + ", packed weights " + mib(weights_->bytes()) + "\n";
}

}  // namespace furrow
