#include "kernels/cpu/isa.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "kernels/error.h"

namespace furrow::cpu {

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::portable: return "portable";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  return "?";
}

// The compiler's query reads cpuid and also whether the operating system saves the wide registers (xgetbv).
std::vector<Isa> supported_isas() {
  std::vector<Isa> isas{Isa::portable};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isas.push_back(Isa::avx2);
  if (__builtin_cpu_supports("avx512f")) isas.push_back(Isa::avx512);
#endif
  return isas;
}

Isa choose_isa(std::string_view forced) {
  const std::vector<Isa> isas = supported_isas();
  if (forced.empty()) return isas.back();
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (name(isa) != forced) continue;
    if (std::ranges::find(isas, isa) != isas.end()) return isa;
    throw Error(ErrorCode::device, "this CPU has no " + std::string(forced))
        .hint("FURROW_ISA may be up to " + std::string(name(isas.back())) + " here");
  }
  throw Error(ErrorCode::usage, "FURROW_ISA is '" + printable(forced) + "'").hint("portable, avx2 or avx512");
}

Isa choose_isa() {
  const char* forced = std::getenv("FURROW_ISA");
  return choose_isa(forced == nullptr ? "" : forced);
}

const RowKernels& row_kernels(Isa isa) {
  switch (choose_isa(name(isa))) {
#if defined(__x86_64__)
    case Isa::avx512: return kAvx512Rows;
    case Isa::avx2: return kAvx2Rows;
#endif
    default: return kPortableRows;
  }
}

const TileKernels& tile_kernels(Isa isa) {
  switch (choose_isa(name(isa))) {
#if defined(__x86_64__)
    case Isa::avx512: return kAvx512Tiles;
    case Isa::avx2: return kAvx2Tiles;
#endif
    default: return kPortableTiles;
  }
}

const LossKernels& loss_kernels(Isa isa) {
  switch (choose_isa(name(isa))) {
#if defined(__x86_64__)
    case Isa::avx512: return kAvx512Losses;
    case Isa::avx2: return kAvx2Losses;
#endif
    default: return kPortableLosses;
  }
}

const ByteKernels& byte_kernels(Isa isa) {
  switch (choose_isa(name(isa))) {
#if defined(__x86_64__)
    case Isa::avx512: return __builtin_cpu_supports("avx512vnni") ? kAvx512VnniBytes : kAvx2Bytes;
    case Isa::avx2: return kAvx2Bytes;
#endif
    default: return kPortableBytes;
  }
}

bool bytes_are_fast() { return byte_kernels(choose_isa()).weight_bytes == 1; }

}  // namespace furrow::cpu
