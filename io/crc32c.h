// CRC-32C (Castagnoli; RFC 3720, appendix B.4): of checkpoints and of event files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace furrow::io {

// Reflected polynomial 0x82F63B78, initial value and final exclusive-or of all ones: "123456789" gives 0xE3069283.
// `crc`: the value of what came before, so that a sum may be taken in pieces. Every change of up to 32 neighbouring
// bits changes it.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t crc = 0);

}  // namespace furrow::io
