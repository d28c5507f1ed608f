// What the inner loops of an instruction set are written with. Nothing but macros: see conv_rows.h for why.
#pragma once

#define FURROW_INLINE __attribute__((always_inline)) inline
#if defined(__clang__)
#define FURROW_UNROLL _Pragma("clang loop unroll(full)")
#define FURROW_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define FURROW_UNROLL _Pragma("GCC unroll 32")
#define FURROW_NO_UNROLL _Pragma("GCC unroll 1")
#endif
