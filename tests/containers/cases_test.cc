// Every numbered case: refused in one line with the right code and words, quickly and in little memory; or accepted
// with exactly the right values.
#include "tests/containers/cases.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "io/checkpoint.h"
#include "tests/containers/contract.h"

namespace furrow::testing {
namespace {

io::Checkpoint read(const std::string& bytes) {
  return io::read_checkpoint(std::as_bytes(std::span(bytes)), std::make_shared<int>(0));
}

void expect_tensors(const Case& test, const io::Checkpoint& got) {
  ASSERT_EQ(got.tensors.size(), test.tensors.size());
  for (size_t i = 0; i < got.tensors.size(); ++i) {
    const NamedTensor& tensor = got.tensors[i];
    EXPECT_EQ(tensor.name, test.tensors[i].name);
    EXPECT_EQ(tensor.dims, test.tensors[i].dims);
    const std::vector<double> values = tensor.to<double>(), &wanted = test.tensors[i].values;
    ASSERT_EQ(values.size(), wanted.size());
    for (size_t k = 0; k < values.size(); ++k)
      EXPECT_TRUE(values[k] == wanted[k] || (std::isnan(values[k]) && std::isnan(wanted[k]))) << k << ": " << values[k];
  }
}

void expect_note(const Case& test, const io::Checkpoint& got) {
  if (test.says.empty()) {
    EXPECT_TRUE(got.notes.empty()) << got.notes[0];
    return;
  }
  bool found = false;
  for (const std::string& note : got.notes) found |= note.find(test.says) != std::string::npos;
  EXPECT_TRUE(found) << test.says;
}

class CheckpointCase : public ::testing::TestWithParam<Case> {};

TEST_P(CheckpointCase, GetsItsAnswer) {
  const Case& test = GetParam();
  if (test.accepted) {
    const io::Checkpoint got = read(test.bytes);
    expect_tensors(test, got);
    return expect_note(test, got);
  }
  expect_refused(test, [&] { read(test.bytes); });
}

INSTANTIATE_TEST_SUITE_P(Plan, CheckpointCase, ::testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace furrow::testing
