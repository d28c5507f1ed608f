// Counts every operator new of a test program that links count_allocations.cc.
#pragma once

#include <cstdint>

namespace furrow::test {

int64_t allocations();  // since the program started

}  // namespace furrow::test
