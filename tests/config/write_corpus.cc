// Writes the seeds of fuzz/corpus/config and fuzz/corpus/csv: the numbered cases, those of moderate size.
//   write_config_corpus DIR
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/config/cases.h"
#include "train/options.h"

using namespace furrow::testing;

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: write_config_corpus DIR\n"), 2;
  const std::filesystem::path folder = argv[1];
  constexpr size_t kMost = 4'000;
  const auto write = [&](const char* target, int number, const std::string& name, const std::string& bytes) {
    if (bytes.size() > kMost) return;
    std::filesystem::create_directories(folder / target);
    std::ofstream(folder / target / (std::to_string(number) + "_" + name), std::ios::binary) << bytes;
  };
  for (const auto& cases : {value_cases(), document_cases(), json_cases()})
    for (const ConfigCase& test : cases)
      write("config", test.number, test.name, (test.file.ends_with("json") ? "j" : "v") + test.text);
  write("config", 0, "Resolved", "v" + furrow::train::to_yaml({}));
  for (const CsvCase& test : csv_cases()) write("csv", test.number, test.name, test.text);
  write("csv", 0, "Accepted", "id,age,file\r\n1,\"2\"\"\r\n\",a/b\r\n2,,c");
}
