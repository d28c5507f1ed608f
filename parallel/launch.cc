#include "parallel/launch.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace furrow::parallel {
namespace {

std::optional<int> number(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view all(text);
  int value = 0;
  const auto [end, status] = std::from_chars(all.data(), all.data() + all.size(), value);
  if (status != std::errc() || end != all.data() + all.size()) return std::nullopt;
  return value;
}

struct Launcher {
  const char *by, *rank, *size, *local, *local_size;
};
constexpr Launcher kLaunchers[] = {
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"},
};

}  // namespace

std::optional<Launch> launched() {
  for (const Launcher& launcher : kLaunchers) {
    const auto rank = number(launcher.rank), size = number(launcher.size);
    if (!rank || !size || *size < 2 || *rank < 0 || *rank >= *size) continue;
    const int here = number(launcher.local_size).value_or(*size);
    return Launch{*rank, *size, number(launcher.local).value_or(*rank), launcher.by, std::clamp(here, 1, *size)};
  }
  return std::nullopt;
}

}  // namespace furrow::parallel
