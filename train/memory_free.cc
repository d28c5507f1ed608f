// What the system says of memory: /proc, and the control groups of either version.
#include <algorithm>
#include <fstream>
#include <string>

#include "train/memory_estimate.h"

namespace furrow::train {
namespace {

// The number behind the word `key`, or, for "", that the file holds alone. UINT64_MAX where there is none ("max").
uint64_t number_in(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  uint64_t value = 0;
  if (key.empty()) return in >> value ? value : UINT64_MAX;
  for (std::string word; in >> word;)
    if (word == key && in >> value) return value;
  return UINT64_MAX;
}

uint64_t kib_in(const std::string& path, const std::string& key) {
  const uint64_t kib = number_in(path, key);
  return kib == UINT64_MAX ? kib : kib * 1024;
}

// Names of one version's files; `files`: pages of files that have not been used for a while.
struct Names {
  const char *most, *used, *files;
};
constexpr Names kVersion2 = {"/memory.max", "/memory.current", "inactive_file"};
constexpr Names kVersion1 = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};

uint64_t left_in(const std::string& group, const Names& names) {
  const uint64_t most = number_in(group + names.most, ""), used = number_in(group + names.used, "");
  if (most == UINT64_MAX || used == UINT64_MAX) return UINT64_MAX;
  // Pages of files that have not been used for a while are given up first: they are no obstacle.
  const uint64_t files = number_in(group + "/memory.stat", names.files);
  const uint64_t held = used - std::min(used, files == UINT64_MAX ? 0 : files);
  return most - std::min(most, held);
}

// The least that a group and those above it leave. `group`: "/" or "/a/b".
uint64_t left_above(const std::string& mount, std::string group, const Names& names) {
  uint64_t least = left_in(mount, names);
  while (group.size() > 1) {
    least = std::min(least, left_in(mount + group, names));
    group.resize(group.rfind('/'));
  }
  return least;
}

bool names_memory(const std::string& controllers) {
  return ("," + controllers + ",").find(",memory,") != std::string::npos;
}

}  // namespace

uint64_t resident_memory() {
  const uint64_t bytes = kib_in("/proc/self/status", "VmRSS:");
  return bytes == UINT64_MAX ? 0 : bytes;
}

uint64_t peak_memory() {
  const uint64_t bytes = kib_in("/proc/self/status", "VmHWM:");
  return bytes == UINT64_MAX ? 0 : bytes;
}

uint64_t available_memory(const std::string& root) {
  uint64_t least = kib_in(root + "/proc/meminfo", "MemAvailable:");
  const std::string mount = root + "/sys/fs/cgroup";
  // In a container the group's name may be that of the machine, and its files lie where the mount begins.
  least = std::min({least, left_in(mount, kVersion2), left_in(mount + "/memory", kVersion1)});
  std::ifstream groups(root + "/proc/self/cgroup");  // "0::/a/b", or "7:cpu,memory:/a/b"
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (!group.starts_with('/') || group.find("..") != std::string::npos) continue;
    if (controllers.empty()) least = std::min(least, left_above(mount, group, kVersion2));
    if (names_memory(controllers)) least = std::min(least, left_above(mount + "/memory", group, kVersion1));
  }
  return least;
}

}  // namespace furrow::train
