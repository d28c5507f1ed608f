#include "io/png_rows.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/error.h"

namespace furrow::io {
namespace {

// The bytes of all IDAT chunks as one inflated stream.
class Inflater {
 public:
  explicit Inflater(const PngFile& file) : file_(file), buffer_(kBuffer) {
    if (inflateInit(&stream_) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Copies exactly `count` inflated bytes; `where` says what for.
  template <class Where>
  void read(uint8_t* to, size_t count, const Where& where) {
    while (count > 0) {
      if (begin_ == end_ && !refill()) throw error("the picture data end " + where());
      const size_t step = std::min(count, end_ - begin_);
      std::memcpy(to, buffer_.data() + begin_, step);
      begin_ += step;
      to += step;
      count -= step;
    }
  }

  // After the last row: the stream must end here too, and so must the chunks.
  void finish() {
    if (begin_ != end_ || refill()) throw error("the compressed data hold more than the picture needs");
    if (stream_.avail_in != 0 || feed()) throw error("bytes follow the end of the compressed data");
  }

 private:
  static constexpr size_t kBuffer = size_t{128} << 10;

  // Inflates the next buffer; false at the end of the stream.
  bool refill() {
    begin_ = end_ = 0;
    while (end_ == 0 && !ended_) {
      if (stream_.avail_in == 0 && !feed()) throw error("the compressed data are cut");
      stream_.next_out = buffer_.data();
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      end_ = buffer_.size() - stream_.avail_out;
      if (result == Z_STREAM_END) {
        ended_ = true;
      } else if (result == Z_NEED_DICT) {
        throw error("the compressed data need a preset dictionary, which PNG forbids");
      } else if (result == Z_MEM_ERROR) {
        throw std::bad_alloc();
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        const std::string words = stream_.msg == nullptr ? "broken" : stream_.msg;
        const bool check = words == "incorrect data check";
        throw error(check ? "Adler-32 of the picture data does not match" : "the compressed data are broken: " + words,
                    check ? ErrorCode::checksum : ErrorCode::malformed);
      }
    }
    return end_ != 0;
  }

  bool feed() {
    while (next_ < file_.data.size()) {
      const auto chunk = file_.data[next_++];
      if (chunk.empty()) continue;
      // A chunk is shorter than 2^31 bytes, so uInt holds its length.
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(chunk.data()));
      stream_.avail_in = static_cast<uInt>(chunk.size());
      return true;
    }
    return false;
  }

  // Offsets count from the first IDAT chunk, whose data begin 8 bytes in; the bytes between chunks are in the span.
  Error error(std::string reason, ErrorCode code = ErrorCode::malformed) const {
    const std::byte* start = file_.data.front().data();
    const auto* at = reinterpret_cast<const std::byte*>(stream_.next_in);
    const uint64_t offset = file_.data_offset + 8 + (at == nullptr ? 0 : static_cast<uint64_t>(at - start));
    return Error(code, std::move(reason)).at(offset).in("IDAT");
  }

  const PngFile& file_;
  z_stream stream_{};
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0, end_ = 0, next_ = 0;
  bool ended_ = false;
};

int paeth(int a, int b, int c) {
  const int p = a + b - c;
  const int pa = std::abs(p - a), pb = std::abs(p - b), pc = std::abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

// Undoes `filter` in place. `step`: bytes from a sample to the same sample of the pixel before, at least 1.
void unfilter(int filter, uint8_t* row, const uint8_t* above, size_t bytes, size_t step) {
  const auto add = [&](size_t i, int value) { row[i] = static_cast<uint8_t>(row[i] + value); };
  const size_t first = std::min(step, bytes);  // pixels with nothing to their left
  switch (filter) {
    case 1:
      for (size_t i = step; i < bytes; ++i) add(i, row[i - step]);
      return;
    case 2:
      for (size_t i = 0; i < bytes; ++i) add(i, above[i]);
      return;
    case 3:
      for (size_t i = 0; i < first; ++i) add(i, above[i] >> 1);
      for (size_t i = step; i < bytes; ++i) add(i, (row[i - step] + above[i]) >> 1);
      return;
    case 4:
      for (size_t i = 0; i < first; ++i) add(i, above[i]);
      for (size_t i = step; i < bytes; ++i) add(i, paeth(row[i - step], above[i], above[i - step]));
      return;
    default: return;
  }
}

void check_indices(const PngFile& file, const PngRow& row) {
  const size_t colours = file.palette.size();
  const int depth = file.header.depth;
  if (colours == size_t{1} << depth) return;
  uint8_t largest = 0;
  for (uint32_t x = 0; x < row.pass.width; ++x) largest = std::max(largest, packed_sample(row.packed.data(), x, depth));
  if (largest >= colours) {
    throw Error(ErrorCode::malformed, "a pixel of row " + std::to_string(row.y) + " is a colour beyond the palette")
        .at(file.data_offset)
        .in("IDAT")
        .limit(colours - 1, largest);
  }
}

}  // namespace

void read_png_rows(const PngFile& file, const PngRowSink& sink) {
  const PngHeader& header = file.header;
  const bool pixels_wanted = sink || header.colour == 3;
  const size_t step = std::max<size_t>(1, static_cast<size_t>(header.samples() * header.depth) / 8);
  const size_t longest = header.row_bytes(header.width);
  std::vector<uint8_t> row(longest), above(longest);
  Inflater stream(file);
  for (const PngPass& pass : png_passes(header)) {
    if (pass.width == 0) continue;
    const size_t bytes = header.row_bytes(pass.width);
    std::fill(above.begin(), above.end(), uint8_t{0});
    for (uint32_t j = 0; j < pass.height; ++j) {
      const uint32_t y = pass.y0 + j * pass.dy;
      const auto where = [&] { return "in row " + std::to_string(y) + " of " + std::to_string(header.height); };
      uint8_t filter = 0;
      stream.read(&filter, 1, where);
      if (filter > 4) {
        throw Error(ErrorCode::malformed, "row " + std::to_string(y) + " has filter " + std::to_string(filter))
            .at(file.data_offset)
            .in("IDAT")
            .limit(4, filter);
      }
      stream.read(row.data(), bytes, where);
      if (!pixels_wanted) continue;
      unfilter(filter, row.data(), above.data(), bytes, step);
      const PngRow done{pass, y, {row.data(), bytes}};
      if (header.colour == 3) check_indices(file, done);
      if (sink) sink(done);
      row.swap(above);
    }
  }
  stream.finish();
}

}  // namespace furrow::io
