// write_checkpoint_corpus DIR: writes the cases as seeds for the fuzz targets,
// DIR/{zip,pickle,pth,stream,tar,safetensors,npy}/NAME.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "io/zip.h"
#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostBytes = 8192;  // the limits of the fuzz targets are reached with less

void put(const fs::path& folder, const std::string& name, const std::string& bytes) {
  if (bytes.size() > kMostBytes) return;
  fs::create_directories(folder);
  std::ofstream(folder / name, std::ios::binary) << bytes;
}

// The pickle inside a `.pth`, or "" where the container itself is what is wrong.
std::string pickle_in(const std::string& bytes) {
  try {
    const io::ZipArchive zip(std::as_bytes(std::span(bytes)), {});
    const io::ZipEntry* entry = zip.find("archive/data.pkl");
    if (entry == nullptr) return "";
    const io::ZipData data = zip.read(*entry);
    return {reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size()};
  } catch (const Error&) { return ""; }
}

// Seeds that reach the small limits of the targets (fuzz/small_limits.h).
void put_limits(const fs::path& root) {
  using namespace pickle;
  const auto seed = [&](const std::string& name, const std::string& body) {
    put(root / "pickle", name, begin() + body);
  };
  seed("limit_stack", std::string(300, 'N'));
  seed("limit_marks", std::string(300, '('));
  seed("limit_depth", std::string(60, ']') + std::string(59, 'a'));
  std::string memo = "N", objects = "(", values = "](", tensors = "}(", names = std::string(300, 'n');
  for (uint64_t i = 0; i < 300; ++i) memo += "r" + little(i, 4);
  for (int i = 0; i < 500; ++i) objects += ")0";
  for (int i = 0; i < 10; ++i) values += std::string(150, 'N') + "e(";
  for (int i = 0; i < 40; ++i) tensors += text("t" + std::to_string(i)) + tensor();
  seed("limit_memo", memo);
  seed("limit_objects", objects);
  seed("limit_values", values);
  seed("limit_opcodes", [] {
    std::string out;
    for (int i = 0; i < 4000; ++i) out += "N0";
    return out;
  }());
  put(root / "pth", "limit_tensors", begin() + tensors + "u.");
  put(root / "pth", "limit_name", begin() + ordered({{names, tensor()}}) + ".");
  put(root / "pickle", "limit_name", begin() + ordered({{names, tensor()}}) + ".");
  std::vector<ZipFile> files;
  for (int i = 0; i < 50; ++i) files.push_back({.name = "a/" + std::to_string(i), .content = ""});
  put(root / "zip", "limit_entries", build_zip(files));
  put(root / "zip", "limit_name", build_zip({{.name = "a/" + names, .content = ""}}));
  put(root / "safetensors", "limit_header", build_safetensors("{" + std::string(5000, ' ') + "}", ""));
  put(root / "safetensors", "limit_name", build_safetensors("{\"" + names + "\":{}}", ""));
  std::string many = "{";
  for (int i = 0; i < 40; ++i) many += "\"t" + std::to_string(i) + "\":{},";
  put(root / "safetensors", "limit_tensors", build_safetensors(many + "}", ""));
}

}  // namespace
}  // namespace furrow::testing

int main(int argc, char** argv) {
  using namespace furrow::testing;
  if (argc != 2) return std::fprintf(stderr, "usage: write_checkpoint_corpus DIR\n"), 2;
  const fs::path root = argv[1];
  for (const Case& one : stream_cases()) put(root / "stream", std::to_string(one.number) + "_" + one.name, one.bytes);
  for (const Case& one : tar_cases()) put(root / "tar", std::to_string(one.number) + "_" + one.name, one.bytes);
  for (const Case& one : npy_cases()) put(root / "npy", std::to_string(one.number) + "_" + one.name, one.bytes);
  for (const Case& one : all_cases()) {
    const std::string name = std::to_string(one.number) + "_" + one.name;
    if (one.bytes.starts_with("PK")) put(root / "zip", name, one.bytes);
    if (one.number < 179) put(root / "pth", name, one.bytes);
    if (one.number >= 179) put(root / "safetensors", name, one.bytes);
    const std::string pickle = pickle_in(one.bytes);
    if (pickle.empty()) continue;
    put(root / "pickle", name, pickle);
    put(root / "pth", name + "_pickle", pickle);
  }
  put_limits(root);
  return 0;
}
