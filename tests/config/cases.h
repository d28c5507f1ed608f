// The numbered cases of hostile and mistaken settings files and tables, with the answer each must get. The numbers are
// fixed names; groups of equal number are variants of one case.
#pragma once

#include <string>
#include <vector>

#include "kernels/error.h"

namespace furrow::testing {

struct ConfigCase {
  int number = 0;
  std::string name;  // CamelCase, for the test's name
  std::string text;
  uint32_t line = 1;              // where the (first) problem is
  std::vector<std::string> says;  // parts of the report, details included
  std::string file = "config.yaml";
  size_t problems = 0;  // how many are reported; 0: any number
};

std::vector<ConfigCase> value_cases();     // 331-355: what settings say
std::vector<ConfigCase> document_cases();  // 356-377, 392-395: what YAML files are
std::vector<ConfigCase> json_cases();      // 378-391

struct CsvCase {
  int number = 0;
  std::string name;
  std::string text;
  std::string place;  // "labels.csv:LINE:COLUMN"
  std::string says;
  ErrorCode code = ErrorCode::malformed;
};

std::vector<CsvCase> csv_cases();  // 396-410; 411 is a test of its own

}  // namespace furrow::testing
