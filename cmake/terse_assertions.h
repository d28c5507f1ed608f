// Included first in every source of a release build (FurrowCompiler.cmake). libstdc++ 12 and before name the function,
// file and line of each check of -D_GLIBCXX_ASSERTIONS, which makes 150 KB of sentences in the program. The checks
// stay, and a failed one still ends the program (SIGABRT); builds with a sanitizer, and those for debugging, keep the
// sentences.
#pragma once

#include <cstddef>  // brings the library's configuration

#if defined(__glibcxx_assert_impl) && defined(__glibcxx_constexpr_assert)
#undef __glibcxx_assert_impl
#define __glibcxx_assert_impl(condition)           \
  if (__builtin_expect(!bool(condition), false)) { \
    __glibcxx_constexpr_assert(false);             \
    __builtin_abort();                             \
  }
#endif
