// The table reader: rows of as many fields as there are columns, whatever the pieces the bytes come in, or an Error.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "fuzz/small_limits.h"
#include "io/csv.h"

namespace {

// All rows as one text; pieces of `piece` bytes, but a first one that holds what is looked at as a whole.
std::string read(const uint8_t* data, size_t size, size_t piece, const furrow::io::CsvRules& rules) {
  size_t at = 0;
  furrow::io::CsvReader reader(
      [&](char* to, size_t room) {
        const size_t count = std::min({room, at == 0 ? size_t{64} : piece, size - at});
        std::memcpy(to, data + at, count);
        at += count;
        return count;
      },
      "t.csv", rules, furrow::fuzz::small_limits());
  std::string all;
  while (reader.next()) {
    for (size_t i = 0; i < reader.columns().size(); ++i) all.append(reader[i]).push_back('\x01');
    all.push_back('\n');
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string answers[2];
  for (const size_t piece : {size_t{1}, size_t{1000}}) {
    std::string& answer = answers[piece == 1];
    try {
      answer = read(data, size, piece, {});
      read(data, size, piece, {.required = {"age"}, .key = "id", .paths = {"file"}});
    } catch (const furrow::Error& error) {
      furrow::fuzz::check(error);
      answer += error.line();
    }
  }
  furrow::require(answers[0] == answers[1], "the pieces do not matter");
  return 0;
}
