#include "tests/config/cases.h"

namespace furrow::testing {
namespace {

std::string repeated(const std::string& piece, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += piece;
  return out;
}

// Nine aliases a level, twelve levels: 9^12 values once expanded.
std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 12; ++level) {
    const std::string here = std::to_string(level), below = "*a" + std::to_string(level - 1);
    text += "a" + here + ": &a" + here + " [" + below + repeated(", " + below, 8) + "]\n";
  }
  return text;
}

std::string block_maps(int depth) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  return text;
}

std::string many_keys(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "k" + std::to_string(i) + ": 1\n";
  return text;
}

}  // namespace

std::vector<ConfigCase> document_cases() {
  std::vector<ConfigCase> out;
  out.push_back(
      {356, "AliasBomb", alias_bomb(), 1, {"anchors (&a0) are not read", "aliases (*name) are not read", "more"}});
  out.push_back({357, "SelfAlias", "epochs: 1\nx: &x [*x]\n", 2, {"anchors (&x) are not read"}});
  out.push_back(
      {358, "UndefinedAlias", "epochs: 1\nx: *nowhere\n", 2, {"x", "an alias (*name) of an undefined anchor"}});
  out.push_back(
      {359, "MergeKey", "base: &b {epochs: 1}\n<<: *b\n", 1, {"anchors (&b)", "2:1: <<: merge keys are not read"}});
  out.push_back({360,
                 "TenThousandNestedLists",
                 "a: " + repeated("[", 10'000) + repeated("]", 10'000),
                 1,
                 {"nested too deeply; limit 16"},
                 "config.yaml",
                 1});
  out.push_back({360,
                 "MillionNestedLists",
                 repeated("[", 1'000'000),
                 1,
                 {"more than 20000 of the characters"},
                 "config.yaml",
                 1});
  out.push_back({360,
                 "HalfAMillionListItems",
                 "a: [" + repeated("b,", 500'000),
                 1,
                 {"more than 20000 of the characters"},
                 "config.yaml",
                 1});
  out.push_back({361, "TwoThousandBlockMaps", block_maps(400), 17, {"nested too deeply; limit 16"}, "config.yaml", 1});
  out.push_back({361, "WideBlockMaps", block_maps(1'400), 17, {"nested too deeply; limit 16"}, "config.yaml", 1});
  out.push_back({362,
                 "TwentyThousandDashes",
                 "a:\n" + repeated("- ", 20'000) + "1\n",
                 2,
                 {"nested too deeply; limit 16"},
                 "config.yaml",
                 1});
  out.push_back({362,
                 "HalfAMillionDashes",
                 "a:\n" + repeated("- ", 500'000),
                 2,
                 {"nested too deeply; limit 16"},
                 "config.yaml",
                 1});
  out.push_back({363,
                 "PythonObject",
                 "epochs: 1\nseed: !!python/object/apply:os.system [\"touch pwned\"]\n",
                 2,
                 {"seed", "tags (!!python/object/apply"}});
  out.push_back({363, "LocalTag", "seed: !secret 3", 1, {"seed", "tags (!secret) are not read"}});
  out.push_back({363, "StandardTag", "seed: !!int 3", 1, {"tags (!!int) are not read"}});
  out.push_back({363, "NonSpecificTag", "mask_dir: ! x", 1, {"tags (!) are not read"}});
  out.push_back({364,
                 "TabIndent",
                 "loss:\n\tgamma: 1\n\talpha_positive: 1\n",
                 2,
                 {"a tab in the indentation; use spaces", "3:1: a tab"},
                 "config.yaml",
                 2});
  out.push_back(
      {364, "TabAfterSpaces", "loss:\n  \tgamma: 1\n", 2, {":2:3", "a tab in the indentation"}, "config.yaml", 1});
  out.push_back(
      {365, "ListDocument", "# list\n- 1\n- 2\n", 2, {"the file holds a list, not settings"}, "config.yaml", 1});
  out.push_back({366, "ScalarDocument", "hello\n", 1, {"the file holds one value, not settings"}, "config.yaml", 1});
  out.push_back({367, "EmptyDocument", "", 1, {"the file holds no settings"}, "config.yaml", 1});
  out.push_back({367, "EmptyMap", "{}", 1, {"the file holds no settings"}, "config.yaml", 1});
  out.push_back({368, "CommentsOnly", "# nothing\n\n# here\n", 1, {"the file holds no settings"}, "config.yaml", 1});
  out.push_back(
      {369, "TwoDocuments", "epochs: 1\n---\nepochs: 2\n", 2, {"a second document begins"}, "config.yaml", 1});
  out.push_back({370,
                 "UnclosedDoubleQuote",
                 "epochs: 1\nmask_dir: \"abc\nimage_dir: x\n",
                 2,
                 {"a quote that is never closed"},
                 "config.yaml",
                 1});
  out.push_back(
      {370, "UnclosedSingleQuote", "mask_dir: 'it''s\n", 1, {"a quote that is never closed"}, "config.yaml", 1});
  out.push_back({371, "UnclosedBrace", "loss: {gamma: 1\n", 2, {"end of map flow not found"}, "config.yaml", 1});
  out.push_back(
      {371, "UnclosedBracket", "model:\n  freeze: [a, b\n", 3, {"end of sequence flow not found"}, "config.yaml", 1});
  out.push_back({372, "BadUtf8", "epochs: 1\nmask_dir: a\xC3(\n", 2, {":2:12", "not valid UTF-8"}, "config.yaml", 1});
  out.push_back({372, "OverlongUtf8", "mask_dir: \xC0\xAF\n", 1, {"not valid UTF-8"}, "config.yaml", 1});
  out.push_back({373,
                 "Utf16LittleEndian",
                 std::string("\xFF\xFE"
                             "a\0:\0 \0"
                             "1\0",
                             10),
                 1,
                 {"the text is UTF-16; save it as UTF-8"},
                 "config.yaml",
                 1});
  out.push_back({373,
                 "Utf16BigEndian",
                 std::string("\xFE\xFF\0a\0:\0 \0"
                             "1",
                             10),
                 1,
                 {"UTF-16"},
                 "config.yaml",
                 1});
  out.push_back({373,
                 "Utf16WithoutMark",
                 std::string("a\0:\0 \0"
                             "1\0",
                             8),
                 1,
                 {"a zero byte"},
                 "config.yaml",
                 1});
  out.push_back({374,
                 "Nul",
                 std::string("epochs: 1\nseed: \0"
                             "2\n",
                             19),
                 2,
                 {":2:7", "a zero byte"},
                 "config.yaml",
                 1});
  out.push_back(
      {375, "Binary", "PK\x03\x04\x14\x08", 1, {"control character \\x03: is this a text file?"}, "config.yaml", 1});
  out.push_back({375, "Escape", "mask_dir: \x1B[31m\n", 1, {"control character \\x1b"}, "config.yaml", 1});
  out.push_back({376,
                 "MegabyteValue",
                 "mask_dir: " + std::string(1'000'000, 'x') + "\n",
                 1,
                 {"mask_dir", "text of 1000000 bytes; limit 4096"},
                 "config.yaml",
                 1});
  out.push_back({376,
                 "OverOneMebibyte",
                 "mask_dir: " + std::string(1'100'000, 'x') + "\n",
                 1,
                 {"too large for settings; limit 1048576 bytes, found 1100011"},
                 "config.yaml",
                 1});
  out.push_back({376, "LongKey", std::string(500, 'k') + ": 1\n", 1, {"a key of 500 bytes; limit 128"}});
  out.push_back({377, "FiftyThousandKeys", many_keys(50'000), 1, {"unknown key", "and 981 more"}});
  out.push_back({377,
                 "FiftyThousandKeysInAList",
                 "a: [" + repeated("{b: 1}, ", 4'000) + "1]",
                 1,
                 {"too many keys and list items; limit 1000"}});
  out.push_back(
      {392, "Directive", "%YAML 1.2\n---\nepochs: 1\n", 1, {"directives (%) are not read"}, "config.yaml", 1});
  out.push_back({392,
                 "TagDirective",
                 "%TAG ! tag:x,2000:\n---\nepochs: 1\n",
                 1,
                 {"directives (%) are not read"},
                 "config.yaml",
                 1});
  out.push_back({393, "ListAsKey", "? [a]\n: 1\n", 1, {"a list or a map as a key"}, "config.yaml", 1});
  out.push_back({393, "KeyWithBracket", "a[0]: 1\n", 1, {"'a[0]' is no key"}});
  out.push_back({393, "NullKey", "epochs: 1\n: 2\n", 2, {"an empty key"}});
  out.push_back({394,
                 "NoSpaceAfterColon",
                 "epochs:1\nbatch_size:2\n",
                 1,
                 {"the file holds one value, not settings"},
                 "config.yaml",
                 1});
  out.push_back({394, "TwoColons", "epochs: 1: 2\n", 1, {"epochs", "illegal map value"}, "config.yaml", 1});
  out.push_back(
      {394, "ValueForAGroup", "loss: L5\n", 1, {"loss", "a group of settings is expected"}, "config.yaml", 1});
  out.push_back({395,
                 "AllTogether",
                 "epochs: -1\nbatchsize: 3\nloss:\n  gamma: .nan\npatience: 1.5\nimage_dir: 12\namp: maybe\nsize: "
                 "\"512\"\nmodel: 3\n"
                 "patience: 2\n",
                 1,
                 {"epochs: '-1' is out of range", "9 problems in all",
                  "config.yaml:2:12: batchsize: unknown key; did you mean batch_size?", "config.yaml:4:10: loss.gamma",
                  "config.yaml:5:11: patience: '1.5'", "config.yaml:6:12: image_dir", "config.yaml:7:6: amp",
                  "config.yaml:8:7: size", "config.yaml:9:8: model: a group",
                  "config.yaml:10:1: patience: given twice, on lines 5 and 10"},
                 "config.yaml",
                 9});
  return out;
}

std::vector<ConfigCase> json_cases() {
  const std::string file = "config.json";
  std::vector<ConfigCase> out;
  const auto add = [&](int number, std::string name, std::string text, uint32_t line, std::vector<std::string> says,
                       size_t problems = 1) {
    out.push_back({number, std::move(name), std::move(text), line, std::move(says), file, problems});
  };
  add(378, "TrailingComma", "{\n\"epochs\": 1,\n}", 3, {"not valid JSON: unexpected '}'"});
  add(378, "TrailingCommaInList", "{\"optimiser\": [1, ]}", 1, {"not valid JSON: unexpected ']'"});
  add(379, "Nan", "{\n\"epochs\": NaN}", 2, {"not valid JSON"});
  add(379, "Infinity", "{\"epochs\": Infinity}", 1, {"not valid JSON"});
  add(380, "TooLarge", "{\"epochs\": 1,\n \"learning_rate\": 1e999}", 2,
      {":2:19", "'1e999' is beyond the range of a 64-bit float"});
  add(381, "TwoToThe70", "{\"epochs\":\n1180591620717411303424}", 2,
      {"epochs", "'1180591620717411303424' is out of range"});
  add(382, "LineComment", "{\n// more\n\"epochs\": 1}", 2, {"not valid JSON", "JSON has no comments"});
  add(382, "HashComment", "{\"epochs\": 1 # more\n}", 1, {"JSON has no comments"});
  add(383, "LoneSurrogate", "{\"mask_dir\": \"\\ud800\"}", 1, {"not valid JSON", "surrogate"});
  add(384, "TrailingText", "{\"epochs\": 1}\n{\"epochs\": 2}", 2, {"not valid JSON", "expected end of input"});
  add(385, "Cut", "{\"epochs\": 1,\n\"batch_si", 2, {"not valid JSON"});
  add(385, "CutAfterValue", "{\"epochs\": 1", 1, {"not valid JSON", "unexpected end of input"});
  add(386, "SingleQuotes", "{'epochs': 1}", 1, {"JSON strings take double quotes"});
  add(387, "LeadingZeros", "{\"epochs\": 010}", 1, {"not valid JSON", "leading zeros"}, 2);
  add(388, "ControlCharacter", "{\"mask_dir\": \"a\x01\"}", 1, {"control character \\x01"});
  add(388, "NewlineInString", "{\"mask_dir\": \"a\nb\"}", 1, {"not valid JSON", "control character"});
  add(389, "HundredThousandBrackets", "{\"a\": " + repeated("[", 100'000), 1, {"nested too deeply; limit 16"});
  add(390, "Duplicate", "{\"epochs\": 1,\n\"seed\": 1,\n\"epochs\": 2}", 3,
      {"epochs", "given twice, on lines 1 and 3"});
  add(391, "Misspelt", "{\"epochs\": 1,\n \"optimiser\": {\n  \"beta3\": 0.5}}", 3,
      {":3:12", "optimiser.beta3", "did you mean optimiser.beta1?"});
  add(391, "NumberInQuotes", "{\"seed\": \"12\"}", 1, {"seed", "remove the quotes"});
  add(391, "BoolForNumber", "{\"seed\": true}", 1, {"seed", "the truth value"});
  add(391, "NotAnObject", "[1, 2]", 1, {"the file holds a list, not settings"});
  add(391, "Empty", " \n", 1, {"the file holds no settings"});
  return out;
}

}  // namespace furrow::testing
