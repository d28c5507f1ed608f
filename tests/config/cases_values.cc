#include "tests/config/cases.h"

namespace furrow::testing {
namespace {

// The same bad value for a number, a count and a fraction.
void for_numbers(std::vector<ConfigCase>& out, int number, const std::string& name, const std::string& value,
                 const std::string& says) {
  for (const char* key : {"learning_rate", "batch_size", "val_percent"})
    out.push_back({number,
                   name + (key[0] == 'l'   ? "Number"
                           : key[0] == 'b' ? "Count"
                                           : "Fraction"),
                   "# first\n" + std::string(key) + ": " + value + "\n",
                   2,
                   {key, says},
                   "config.yaml",
                   1});
}

}  // namespace

std::vector<ConfigCase> value_cases() {
  std::vector<ConfigCase> out;
  for_numbers(out, 331, "Negative", "-1", "'-1' is out of range; allowed: ");
  out.push_back({332, "ZeroNumber", "learning_rate: 0", 1, {"learning_rate", "'0' is out of range; allowed: (0, 10]"}});
  out.push_back(
      {332, "ZeroCount", "a_b: 1\nbatch_size: 0", 1, {"batch_size", "'0' is out of range; allowed: [1, 65536]"}});
  out.push_back({332, "MinusZeroNumber", "learning_rate: -0.0", 1, {"out of range"}});
  for (const char* text : {".nan", "nan", "NaN", ".NaN"})
    for_numbers(out, 333, "Nan" + std::to_string(out.size()), text, "is not a finite number");
  for (const char* text : {".inf", "inf", "Infinity", "+.Inf"})
    for_numbers(out, 334, "Inf" + std::to_string(out.size()), text, "is not a finite number");
  for (const char* text : {"-.inf", "-inf"})
    for_numbers(out, 335, "MinusInf" + std::to_string(out.size()), text, "is not a finite number");
  out.push_back({336,
                 "TooLargeNumber",
                 "learning_rate: 1e400",
                 1,
                 {"learning_rate", "'1e400' is beyond the range of a 64-bit float"}});
  out.push_back({336, "TooSmallNumber", "learning_rate: 1e-400", 1, {"'1e-400' is beyond the range"}});
  out.push_back({336, "TooLargeCount", "batch_size: 1e400", 1, {"batch_size", "not a whole number"}});
  for (const char* text : {"true", "True", "no", "OFF"})
    for_numbers(out, 337, "Bool" + std::to_string(out.size()), text, "the truth value");
  for_numbers(out, 338, "String", "\"0.1\"", "the string \"0.1\" where");
  for_numbers(out, 338, "Word", "many", "'many' is not a number");
  for_numbers(out, 338, "SingleQuotes", "'8'", "remove the quotes");
  for_numbers(out, 339, "List", "[1, 2]", "a list where");
  for_numbers(out, 339, "Map", "{a: 1}", "a map where");
  for_numbers(out, 340, "Null", "null", "nothing (null) where");
  for_numbers(out, 340, "Tilde", "~", "nothing (null) where");
  for_numbers(out, 340, "Nothing", "", "nothing (null) where");
  for_numbers(out, 341, "TrailingLetters", "1e-4x", "is not a number: it goes on after '1e-4'");
  for_numbers(out, 341, "Percent", "20%", "it goes on after '20'");
  for_numbers(out, 341, "Underscore", "1_000", "it goes on after '1'");
  for_numbers(out, 341, "Hexadecimal", "0x10", "it goes on after '0'");
  for_numbers(out, 341, "Comma", "0,5", "it goes on after '0'");
  for_numbers(out, 341, "LeadingZeros", "010", "leading zeros");
  for_numbers(out, 341, "HalfAnExponent", "1e", "it goes on after '1'");
  for_numbers(out, 341, "JustASign", "-", "");
  out.push_back({342,
                 "FractionalCount",
                 "batch_size: 2.5",
                 1,
                 {"batch_size", "'2.5' is not a whole number; allowed: [1, 65536]"}});
  out.push_back({342, "CountWithPoint", "epochs: 8.0", 1, {"epochs", "not a whole number"}});
  out.push_back(
      {343, "CountBeyond63Bits", "epochs: 9223372036854775808", 1, {"epochs", "out of range; allowed: [1, 1000000]"}});
  out.push_back({343, "SeedBeyond63Bits", "seed: 18446744073709551616", 1, {"seed", "out of range"}});
  out.push_back({344,
                 "HugeBatch",
                 "batch_size: 1000000000",
                 1,
                 {"batch_size", "'1000000000' is out of range; allowed: [1, 65536]"}});
  out.push_back(
      {345, "FractionAboveOne", "val_percent: 20", 1, {"val_percent", "'20' is out of range; allowed: [0, 1)"}});
  out.push_back({346, "FractionBelowZero", "test_percent: -0.1", 1, {"test_percent", "out of range; allowed: [0, 1)"}});
  out.push_back({347,
                 "FractionsLeaveNothing",
                 "epochs: 1\nval_percent: 0.5\ntest_percent: 0.5\n",
                 2,
                 {"val_percent", "leave nothing to train on"},
                 "config.yaml",
                 1});
  out.push_back({348, "BoolTwo", "preflight: 2", 1, {"preflight", "'2' where true or false is expected"}});
  out.push_back({348, "BoolTwoOfTheSeed", "amp: 2", 1, {"amp", "'2' where true or false is expected"}});
  out.push_back({348, "BoolQuoted", "preflight: \"true\"", 1, {"preflight", "remove the quotes"}});
  out.push_back({349, "BoolMaybe", "amp: maybe", 1, {"amp", "'maybe' where true or false is expected"}});
  out.push_back({350, "EmptyPath", "image_dir: \"\"", 1, {"image_dir", "must not be empty"}});
  out.push_back(
      {350, "NullPath", "image_dir:\nmask_dir: m\n", 1, {"image_dir", "nothing (null) where text is expected"}});
  out.push_back(
      {351, "NumericPath", "mask_dir: 12", 1, {"mask_dir", "'12' where text is expected", "write it in quotes"}});
  out.push_back({351, "TrueAsPath", "mask_dir: true", 1, {"mask_dir", "'true' where text is expected"}});
  out.push_back({352, "NulInPath", "mask_dir: \"a\\0b\"", 1, {"mask_dir", "control character"}});
  out.push_back({352, "NewlineInPath", "mask_dir: \"a\\nb\"", 1, {"mask_dir", "control character"}});
  out.push_back(
      {353, "UnknownKey", "epochs: 3\n\nfrobnicate: 1\n", 3, {"frobnicate", "unknown key"}, "config.yaml", 1});
  out.push_back({353, "UnknownGroup", "frob:\n  a: 1\n  b: 2\n", 1, {"frob", "unknown key"}, "config.yaml", 1});
  out.push_back({354, "Misspelt", "batchsize: 4", 1, {"batchsize", "unknown key; did you mean batch_size?"}});
  out.push_back({354, "MisspeltInGroup", "loss:\n  gama: 2\n", 2, {"loss.gama", "did you mean loss.gamma?"}});
  out.push_back({354, "WithoutItsGroup", "nesterov: true", 1, {"nesterov", "did you mean optimiser.nesterov?"}});
  out.push_back(
      {354, "MisspeltChoice", "loss:\n  form: L9\n", 2, {"loss.form", "is none of L0, L1", "did you mean L0?"}});
  out.push_back({354, "MisspeltKeyOfTheSeed", "freeze_encodr: true", 1, {"did you mean freeze_encoder?"}});
  out.push_back({355,
                 "Duplicate",
                 "patience: 1\nepochs: 2\npatience: 3\n",
                 3,
                 {"patience", "given twice, on lines 1 and 3"},
                 "config.yaml",
                 1});
  out.push_back({355,
                 "DuplicateDotted",
                 "loss.gamma: 1\nloss:\n  gamma: 2\n",
                 3,
                 {"loss.gamma", "given twice, on lines 1 and 3"},
                 "config.yaml",
                 1});
  out.push_back({355,
                 "SameUnderTwoNames",
                 "amp: true\nprecision: float32\n",
                 2,
                 {"precision", "says the same as amp on line 1"},
                 "config.yaml",
                 1});
  return out;
}

}  // namespace furrow::testing
