// Which instruction set the back-end runs: the best this CPU has, or the one FURROW_ISA asks for.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/cpu/byte_kernels.h"
#include "kernels/cpu/loss_kernels.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/tile_kernels.h"

namespace furrow::cpu {

enum class Isa : uint8_t { portable, avx2, avx512 };

std::string_view name(Isa isa);

// The paths this CPU (and its operating system) can run, slowest first; `portable` is always there.
std::vector<Isa> supported_isas();

// The fastest supported path, or the one `forced` names ("portable", "avx2", "avx512"; empty: none forced). Throws
// ErrorCode::usage for another name and ErrorCode::device for a path this CPU lacks.
Isa choose_isa(std::string_view forced);
// choose_isa of the environment variable FURROW_ISA.
Isa choose_isa();

// The inner loops of a path; throws ErrorCode::device where the CPU lacks it.
const RowKernels& row_kernels(Isa isa);
const TileKernels& tile_kernels(Isa isa);
const LossKernels& loss_kernels(Isa isa);
// Of avx512 those with VNNI where the CPU has that, else those of avx2.
const ByteKernels& byte_kernels(Isa isa);
// Whether choose_isa() has byte_kernels() that are faster than float32: those with VNNI.
bool bytes_are_fast();

}  // namespace furrow::cpu
