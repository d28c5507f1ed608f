#include "tests/pictures/stb_png.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "io/big_endian.h"
#include "io/png_rows.h"
#include "io/upright.h"
#include "kernels/checked.h"
#include "kernels/error.h"

namespace furrow::io {

// The memory of one decode: counted against a budget, and freed as a whole, also when stb_image is left by an
// exception.
struct StbPixels::Heap {
  uint64_t budget = 0, used = 0;
  uint8_t fill = 0;
  bool over_budget = false;
  std::map<void*, size_t> blocks;

  ~Heap() {
    for (const auto& block : blocks) std::free(block.first);
  }
  bool admit(size_t size) {
    if (size <= budget - used) return true;
    over_budget = true;
    return false;
  }
  void* allocate(size_t size) {
    if (!admit(size)) return nullptr;
    // calloc, where the fill is zero: untouched pages then cost nothing.
    void* p = fill == 0 ? std::calloc(std::max<size_t>(size, 1), 1) : std::malloc(std::max<size_t>(size, 1));
    if (p == nullptr) return nullptr;
    if (fill != 0) std::memset(p, fill, size);
    blocks[p] = size;
    used += size;
    return p;
  }
  void* reallocate(void* old, size_t size) {
    if (old == nullptr) return allocate(size);
    const size_t before = blocks.at(old);
    if (size > before && !admit(size - before)) return nullptr;
    void* p = std::realloc(old, std::max<size_t>(size, 1));
    if (p == nullptr) return nullptr;
    if (size > before) std::memset(static_cast<char*>(p) + before, fill, size - before);
    blocks.erase(old);
    blocks[p] = size;
    used += size;
    used -= before;
    return p;
  }
  void release(void* p) {
    const auto block = blocks.find(p);
    if (block == blocks.end()) return;  // nullptr
    used -= block->second;
    blocks.erase(block);
    std::free(p);
  }
};

StbPixels::StbPixels() = default;
StbPixels::~StbPixels() = default;
StbPixels::StbPixels(StbPixels&&) noexcept = default;
StbPixels& StbPixels::operator=(StbPixels&&) noexcept = default;

namespace {

thread_local StbPixels::Heap* current_heap = nullptr;

struct HeapScope {
  explicit HeapScope(StbPixels::Heap* heap) { current_heap = heap; }
  ~HeapScope() { current_heap = nullptr; }
  HeapScope(const HeapScope&) = delete;
  HeapScope& operator=(const HeapScope&) = delete;
};

[[noreturn]] void stb_assertion_failed() {
  throw Error(ErrorCode::malformed, "the decoder met a state that no valid picture leads to");
}

}  // namespace
}  // namespace furrow::io

#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 65535
#define STBI_ASSERT(condition) ((condition) ? void() : furrow::io::stb_assertion_failed())
#define STBI_MALLOC(size) furrow::io::current_heap->allocate(size)
#define STBI_REALLOC(old, size) furrow::io::current_heap->reallocate(old, size)
#define STBI_FREE(p) furrow::io::current_heap->release(p)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace furrow::io {
namespace {

constexpr uint64_t kSlack = uint64_t{1} << 20;  // tables, structures, alignment

// A PNG built from a walk, read piece by piece so that the compressed data are not copied.
class PngStream {
 public:
  PngStream(const PngFile& file, bool with_alpha) {
    const PngHeader& h = file.header;
    head_ = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    std::vector<uint8_t> ihdr(13);
    put_be32(ihdr.data(), h.width);
    put_be32(ihdr.data() + 4, h.height);
    ihdr[8] = static_cast<uint8_t>(h.depth);
    ihdr[9] = static_cast<uint8_t>(h.colour);
    ihdr[12] = h.interlaced ? 1 : 0;
    chunk("IHDR", ihdr);
    std::vector<uint8_t> data;
    for (const auto& colour : file.palette) data.insert(data.end(), colour.begin(), colour.end());
    if (!data.empty()) chunk("PLTE", data);
    data = file.palette_alpha;
    if (file.transparent_colour) {
      data.resize(2 * static_cast<size_t>(h.samples()));
      for (size_t i = 0; 2 * i < data.size(); ++i) put_be16(data.data() + 2 * i, (*file.transparent_colour)[i]);
    }
    if (with_alpha && !data.empty()) chunk("tRNS", data);
    start("IDAT", static_cast<uint32_t>(file.data_bytes));
    tail_.assign(4, 0);  // the walk has checked the CRCs, and stb_image does not look at them
    tail_.insert(tail_.end(), {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0, 0, 0, 0});
    pieces_.push_back({reinterpret_cast<const std::byte*>(head_.data()), head_.size()});
    pieces_.insert(pieces_.end(), file.data.begin(), file.data.end());
    pieces_.push_back({reinterpret_cast<const std::byte*>(tail_.data()), tail_.size()});
  }

  int read(char* to, int wanted) {
    int done = 0;
    while (done < wanted && piece_ < pieces_.size()) {
      const auto left = pieces_[piece_].subspan(offset_);
      const size_t step = std::min(left.size(), static_cast<size_t>(wanted - done));
      if (step > 0) std::memcpy(to + done, left.data(), step);
      done += static_cast<int>(step);
      offset_ += step;
      if (step == left.size()) {
        ++piece_;
        offset_ = 0;
      }
    }
    return done;
  }
  bool at_end() const { return piece_ == pieces_.size(); }

 private:
  void start(const char* type, uint32_t length) {
    head_.resize(head_.size() + 8);
    put_be32(&head_[head_.size() - 8], length);
    std::memcpy(&head_[head_.size() - 4], type, 4);
  }
  void chunk(const char* type, const std::vector<uint8_t>& data) {
    start(type, static_cast<uint32_t>(data.size()));
    head_.insert(head_.end(), data.begin(), data.end());
    head_.insert(head_.end(), 4, 0);  // CRC
  }
  std::vector<uint8_t> head_, tail_;
  std::vector<std::span<const std::byte>> pieces_;
  size_t piece_ = 0, offset_ = 0;
};

StbPixels finish(StbPixels result, stbi_uc* pixels, int width, int height, int channels) {
  if (pixels == nullptr) {
    if (result.heap->over_budget) {
      throw Error(ErrorCode::limit, "the decoder asks for more memory than the picture needs")
          .limit(result.heap->budget, result.heap->used);
    }
    const char* reason = stbi_failure_reason();
    throw Error(ErrorCode::malformed,
                std::string("the decoder refuses the picture: ") + (reason == nullptr ? "no reason given" : reason));
  }
  result.data = pixels;
  result.width = width;
  result.height = height;
  result.channels = channels;
  return result;
}

StbPixels prepare(uint64_t budget, uint8_t fill) {
  StbPixels result;
  result.heap = std::make_unique<StbPixels::Heap>();
  result.heap->budget = budget;
  result.heap->fill = fill;
  return result;
}

// Channels of the pixels that stb_image returns for a PNG.
uint64_t png_channels(const PngFile& file, bool with_alpha) {
  const PngHeader& h = file.header;
  const uint64_t colour = h.colour == 3 ? 3 : static_cast<uint64_t>(h.samples());
  return colour + (with_alpha && h.colour < 4 && file.has_alpha() ? 1 : 0);
}

}  // namespace

uint64_t stb_png_bytes(const PngFile& file, bool with_alpha) {
  const PngHeader& h = file.header;
  const Checked pixels = Checked(h.width) * h.height;
  const Checked wide = h.depth == 16 ? 2 : 1;
  const Checked filtered = Checked(png_filtered_bytes(h)) * (h.interlaced ? 2 : 1);  // grown by doubling there
  const Checked out = pixels * png_channels(file, with_alpha) * wide;
  const Checked raw = h.colour == 3 ? pixels : out;  // palette indices, before they become colours
  // Largest of: compressed + inflated; inflated + decoded (twice while de-interlacing); inflated + indices + colours;
  // inflated + 16-bit pixels. The reduction of 16 to 8 bits comes after the inflated data are gone.
  const Checked inflating = Checked(file.data_bytes) + filtered;
  const Checked decoding = filtered + raw * (h.interlaced ? 2 : 1);
  const Checked colouring = filtered + raw + out;
  const Checked reducing = out + pixels * png_channels(file, with_alpha);
  return (std::max({inflating, decoding, h.colour == 3 ? colouring : decoding, reducing}) + kSlack).value();
}

StbPixels stb_decode_png(const PngFile& file, bool with_alpha, uint8_t fill) {
  StbPixels result = prepare(stb_png_bytes(file, with_alpha), fill);
  const HeapScope scope(result.heap.get());
  PngStream stream(file, with_alpha);
  const stbi_io_callbacks callbacks = {
      [](void* user, char* data, int size) { return static_cast<PngStream*>(user)->read(data, size); },
      [](void*, int) { stb_assertion_failed(); },  // nothing in the rebuilt file is to be skipped
      [](void* user) { return static_cast<PngStream*>(user)->at_end() ? 1 : 0; }};
  int width = 0, height = 0, stored = 0;
  stbi_uc* pixels = stbi_load_from_callbacks(&callbacks, &stream, &width, &height, &stored, 0);
  return finish(std::move(result), pixels, width, height, static_cast<int>(png_channels(file, with_alpha)));
}

Image stb_png_pixels(const PngFile& file, Background background, int orientation, uint8_t fill) {
  const int64_t width = file.header.width, height = file.header.height;
  read_png_rows(file);  // everything is there and nothing else
  const StbPixels pixels = stb_decode_png(file, background != Background::drop && file.has_alpha(), fill);
  std::vector<uint8_t> rgb(static_cast<size_t>(3 * width));
  UprightImage upright(width, height, orientation);
  for (int64_t y = 0; y < height; ++y) {
    to_rgb(pixels.row(y), width, pixels.channels, background, rgb.data());
    upright.put(y, 0, 1, width, rgb.data());
  }
  return std::move(upright.image);
}

}  // namespace furrow::io
