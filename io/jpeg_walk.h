// The strict walk over a JPEG file: markers, tables and scans checked before anything is decoded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "io/limits.h"

namespace furrow::io {

struct JpegComponent {
  int id = 0, h = 1, v = 1, table = 0;        // sampling factors 1..4; quantisation table 0..3
  uint32_t blocks_wide = 0, blocks_high = 0;  // 8x8 blocks that hold its samples, as a scan of it alone codes them
};

// The SOF segment.
struct JpegFrame {
  uint32_t width = 0, height = 0;
  bool progressive = false;
  std::vector<JpegComponent> components;
  int h_max = 1, v_max = 1;
  uint32_t mcus_wide = 0, mcus_high = 0;  // minimum coded units of an interleaved scan
};

// A Huffman table of a DHT segment, canonical: code lengths and symbols in order of the codes.
struct JpegHuffman {
  bool defined = false;
  std::array<uint8_t, 17> counts{};  // codes of each length 1..16
  std::vector<uint8_t> symbols;
};

class JpegPlanes;  // io/jpeg_planes.h

// A SOS segment with the tables in force.
struct JpegScan {
  std::vector<int> components;            // indices into JpegFrame::components
  std::vector<int> dc_tables, ac_tables;  // 0..3, per component of the scan
  int first = 0, last = 63;               // spectral selection
  int high = 0, low = 0;                  // successive approximation: bit position before and in this scan
  uint32_t restart_interval = 0;          // MCUs between restart markers; 0: none
  uint64_t offset = 0;                    // of the SOS marker
};

struct JpegFile {
  JpegFrame frame;
  bool jfif = false;         // there is a JFIF segment in front of the first scan
  int adobe_transform = -1;  // APP14: 0 none, 1 YCbCr, 2 YCCK; -1 where there is no such segment
  int scans = 0;
  bool complete = false;                           // every coefficient has been brought to its last bit
  uint64_t frame_offset = 0;                       // of the SOF marker
  uint64_t end = 0;                                // just behind EOI
  uint64_t trailing_bytes = 0;                     // after it
  std::optional<std::span<const std::byte>> exif;  // TIFF block of the first Exif APP1
};

// Walks `bytes`, which begin with SOI, to EOI. Every segment must lie within the file; there is one frame header, of a
// kind that is read here, within `limits`; tables exist before a scan uses them and no Huffman table is over-full;
// every scan's coded data decode to exactly its blocks, with restart markers where they belong (io/jpeg_entropy.h);
// every component is coded; progressive scans build on one another. So a file that is cut anywhere is refused, and the
// decoder behind never sees a code, a table or a coefficient number that the standard does not allow. Throws malformed,
// unsupported (12 bit, arithmetic, lossless, hierarchical, JPEG-LS, DNL, component counts), limit. Source: ITU-T T.81,
// annexes B, C, F and G; the Adobe segment: T.872, 6.5.3.
// `planes`, made for the frame that an earlier walk over the same bytes has found: receives every block.
JpegFile walk_jpeg(std::span<const std::byte> bytes, const Limits& limits, JpegPlanes* planes = nullptr);

}  // namespace furrow::io
