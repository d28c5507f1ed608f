// The samples of a JPEG's components: coefficients put in block by block, planes taken out.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "io/jpeg_idct.h"
#include "io/jpeg_walk.h"

namespace furrow::io {

// One component's samples at its own resolution.
struct JpegPlane {
  int64_t width = 0, height = 0;  // samples that belong to the picture (T.81, A.1.1)
  int64_t stride = 0;             // whole blocks
  std::vector<uint8_t> samples;
  const uint8_t* row(int64_t y) const { return samples.data() + y * stride; }
};

// Receives the blocks of a frame as a walk reads them. A sequential picture's block is complete when it is read and is
// transformed at once; of a progressive picture the coefficients are held until finish(), 128 bytes per block.
class JpegPlanes {
 public:
  // `fill`: the byte that fresh sample memory holds; no result may depend on it.
  explicit JpegPlanes(const JpegFrame& frame, uint8_t fill = 0);

  // The table in force at a scan of `component`; the first call counts, as each coefficient is scaled only once.
  void set_quantisation(size_t component, const JpegQuantisation& table);

  // The coefficients of the block in column x and row y of blocks: all zero, or what earlier scans have left there.
  // Blocks that fill up an interleaved scan's last units, outside the component, are taken and dropped.
  int16_t* open(size_t component, uint32_t x, uint32_t y);
  // The scan is through with the block opened last.
  void close(size_t component, uint32_t x, uint32_t y);

  // Behind the last scan; once.
  std::vector<JpegPlane> finish();

 private:
  struct FreeBytes {
    void operator()(int16_t* p) const;
  };
  struct Component {
    uint32_t blocks_wide = 0, blocks_high = 0;
    bool has_steps = false;
    JpegQuantisation steps{};
    std::unique_ptr<int16_t[], FreeBytes> coefficients;  // progressive only; from calloc
  };
  bool inside(const Component& c, uint32_t x, uint32_t y) const { return x < c.blocks_wide && y < c.blocks_high; }
  void transform(size_t component, uint32_t x, uint32_t y, const int16_t* coefficients);

  const bool progressive_;
  const uint8_t fill_;
  std::vector<Component> components_;
  std::vector<JpegPlane> planes_;
  alignas(16) int16_t block_[64];
};

}  // namespace furrow::io
