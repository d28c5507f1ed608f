#include "io/png_write.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "io/big_endian.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr size_t kChunk = size_t{64} << 10;  // compressed bytes per IDAT chunk
constexpr uint8_t kSignature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

struct Format {
  int depth, colour, samples;
};
Format format_of(PngType type) {
  switch (type) {
    case PngType::gray1: return {1, 0, 1};
    case PngType::gray8: return {8, 0, 1};
    case PngType::gray16: return {16, 0, 1};
    case PngType::rgb8: return {8, 2, 3};
    case PngType::palette8: return {8, 3, 1};
  }
  return {};
}

// The neighbour that comes closest to left + up - corner, in that order of preference (W3C PNG, 9.4).
inline uint8_t paeth_predictor(int left, int up, int corner) {
  const int from_left = std::abs(up - corner), from_up = std::abs(left - corner),
            from_corner = std::abs(left + up - 2 * corner);
  const int second = from_up <= from_corner ? up : corner;
  return static_cast<uint8_t>(from_left <= from_up && from_left <= from_corner ? left : second);
}

// Paeth's filter of a row into `out`. `row` and `above` have `step` zero bytes in front of them.
void filter_paeth(const uint8_t* row, const uint8_t* above, size_t bytes, size_t step, uint8_t* out) {
  for (size_t i = 0; i < bytes; ++i) {
    const ptrdiff_t left = static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(step);
    out[i] = static_cast<uint8_t>(row[i] - paeth_predictor(row[left], above[i], above[left]));
  }
}

}  // namespace

struct PngWriter::State {
  Sink sink;
  int64_t width, height, rows = 0;
  PngType type;
  size_t bytes = 0, step = 1;       // of a row; from a sample to the same one of the pixel before
  std::vector<uint8_t> row, above;  // with `step` zeros in front
  std::vector<uint8_t> filtered;    // filter byte and row
  std::vector<uint8_t> chunk;       // length, type, up to kChunk bytes, CRC
  z_stream stream{};
  bool open = false;

  ~State() {
    if (open) deflateEnd(&stream);
  }

  void emit(const uint8_t* data, size_t size) { sink({reinterpret_cast<const std::byte*>(data), size}); }

  void emit_chunk(const char* name, std::span<const uint8_t> data) {
    std::vector<uint8_t> all(data.size() + 12);
    put_be32(all.data(), static_cast<uint32_t>(data.size()));
    std::memcpy(&all[4], name, 4);
    std::copy(data.begin(), data.end(), all.begin() + 8);
    put_be32(&all[8 + data.size()], static_cast<uint32_t>(crc32_z(0, &all[4], data.size() + 4)));
    emit(all.data(), all.size());
  }

  void emit_data() {
    const size_t size = kChunk - stream.avail_out;
    if (size != 0) {
      put_be32(chunk.data(), static_cast<uint32_t>(size));
      std::memcpy(&chunk[4], "IDAT", 4);
      put_be32(&chunk[8 + size], static_cast<uint32_t>(crc32_z(0, &chunk[4], size + 4)));
      emit(chunk.data(), size + 12);
    }
    stream.next_out = &chunk[8];
    stream.avail_out = static_cast<uInt>(kChunk);
  }

  void compress(std::span<const uint8_t> data, int flush) {
    stream.next_in = const_cast<Bytef*>(data.data());
    stream.avail_in = static_cast<uInt>(data.size());  // a row: at most 2^31 * 3 + 1, checked by the constructor
    for (;;) {
      const int result = deflate(&stream, flush);
      require(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR, "PngWriter: deflate failed");
      if (stream.avail_out == 0) {
        emit_data();
        continue;
      }
      if (flush == Z_FINISH ? result == Z_STREAM_END : stream.avail_in == 0) return;
    }
  }

  bool photographic() const { return type == PngType::gray8 || type == PngType::rgb8 || type == PngType::gray16; }

  void start(const Palette& palette) {
    const Format format = format_of(type);
    emit(kSignature, sizeof kSignature);
    uint8_t header[13] = {};
    put_be32(header, static_cast<uint32_t>(width));
    put_be32(header + 4, static_cast<uint32_t>(height));
    header[8] = static_cast<uint8_t>(format.depth);
    header[9] = static_cast<uint8_t>(format.colour);
    emit_chunk("IHDR", header);
    if (type == PngType::palette8) emit_chunk("PLTE", {palette.front().data(), 3 * palette.size()});

    step = std::max<size_t>(1, static_cast<size_t>(format.samples * format.depth) / 8);
    bytes = (static_cast<size_t>(width) * static_cast<size_t>(format.samples * format.depth) + 7) / 8;
    require(bytes < (size_t{1} << 31), "PngWriter: a row is too long");
    row.assign(step + bytes, 0);
    above = row;
    filtered.assign(1 + bytes, 0);
    chunk.resize(kChunk + 12);
    // Filtered photos hold hardly any repeats but runs: Z_RLE is quickest and smallest of zlib's quick ways with them.
    const int level = photographic() ? 1 : 6, strategy = photographic() ? Z_RLE : Z_DEFAULT_STRATEGY;
    if (deflateInit2(&stream, level, Z_DEFLATED, 15, 9, strategy) != Z_OK) throw std::bad_alloc();
    open = true;
    stream.next_out = &chunk[8];
    stream.avail_out = static_cast<uInt>(kChunk);
  }

  uint8_t* samples() { return row.data() + step; }

  void take_row() {
    require(rows++ < height, "PngWriter: more rows than the height");
    if (photographic()) {
      filtered[0] = 4;
      filter_paeth(samples(), above.data() + step, bytes, step, &filtered[1]);
    } else {
      filtered[0] = 0;
      std::memcpy(&filtered[1], samples(), bytes);
    }
    compress(filtered, Z_NO_FLUSH);
    row.swap(above);
  }
};

PngWriter::PngWriter(Sink sink, int64_t width, int64_t height, PngType type, const Palette& palette)
    : state_(std::make_unique<State>()) {
  constexpr int64_t kLargest = 0x7fffffff;
  require(width >= 1 && height >= 1 && width <= kLargest && height <= kLargest, "PngWriter: size out of range");
  require((type == PngType::palette8) == !palette.empty() && palette.size() <= 256,
          "PngWriter: palette of 1..256 colours");
  state_->sink = std::move(sink);
  state_->width = width;
  state_->height = height;
  state_->type = type;
  state_->start(palette);
}

PngWriter::~PngWriter() = default;

void PngWriter::row(std::span<const uint8_t> samples) {
  const bool rgb = state_->type == PngType::rgb8;
  require(state_->type != PngType::gray16, "PngWriter::row: use row16");
  require(samples.size() == static_cast<size_t>(state_->width) * (rgb ? 3 : 1), "PngWriter::row: wrong length");
  uint8_t* to = state_->samples();
  if (state_->type == PngType::gray1) {
    std::memset(to, 0, state_->bytes);
    for (size_t x = 0; x < samples.size(); ++x) {
      if (samples[x] != 0) to[x >> 3] = static_cast<uint8_t>(to[x >> 3] | 0x80u >> (x & 7));
    }
  } else {
    std::memcpy(to, samples.data(), samples.size());
  }
  state_->take_row();
}

void PngWriter::row16(std::span<const uint16_t> samples) {
  require(state_->type == PngType::gray16, "PngWriter::row16: not a 16-bit picture");
  require(samples.size() == static_cast<size_t>(state_->width), "PngWriter::row16: wrong length");
  uint8_t* to = state_->samples();
  for (size_t x = 0; x < samples.size(); ++x) put_be16(to + 2 * x, samples[x]);
  state_->take_row();
}

void PngWriter::finish() {
  require(state_->open && state_->rows == state_->height, "PngWriter::finish: rows are missing");
  state_->compress({}, Z_FINISH);
  state_->emit_data();
  state_->emit_chunk("IEND", {});
  deflateEnd(&state_->stream);
  state_->open = false;
}

namespace {

// Collects what a writer sends.
PngWriter::Sink into(std::vector<std::byte>& file) {
  return [&file](std::span<const std::byte> bytes) { file.insert(file.end(), bytes.begin(), bytes.end()); };
}

std::vector<std::byte> encode_bytes(int64_t width, int64_t height, std::span<const uint8_t> samples, PngType type,
                                    const Palette& palette) {
  const size_t row = static_cast<size_t>(width) * (type == PngType::rgb8 ? 3 : 1);
  require(width >= 1 && height >= 1 && samples.size() == row * static_cast<size_t>(height),
          "encode_png: wrong number of samples");
  std::vector<std::byte> file;
  PngWriter writer(into(file), width, height, type, palette);
  for (int64_t y = 0; y < height; ++y) writer.row(samples.subspan(static_cast<size_t>(y) * row, row));
  writer.finish();
  return file;
}

}  // namespace

std::vector<std::byte> encode_png(const Image& image) {
  require(image.channels == 1 || image.channels == 3, "encode_png: 1 or 3 channels");
  return encode_bytes(image.width, image.height, image.pixels, image.channels == 3 ? PngType::rgb8 : PngType::gray8,
                      {});
}

std::vector<std::byte> encode_png_gray16(int64_t width, int64_t height, std::span<const uint16_t> samples) {
  require(width >= 1 && height >= 1 && samples.size() == static_cast<size_t>(width * height),
          "encode_png: wrong number of samples");
  std::vector<std::byte> file;
  PngWriter writer(into(file), width, height, PngType::gray16);
  for (int64_t y = 0; y < height; ++y)
    writer.row16(samples.subspan(static_cast<size_t>(y * width), static_cast<size_t>(width)));
  writer.finish();
  return file;
}

std::vector<std::byte> encode_png_gray1(int64_t width, int64_t height, std::span<const uint8_t> samples) {
  return encode_bytes(width, height, samples, PngType::gray1, {});
}

std::vector<std::byte> encode_png_palette(int64_t width, int64_t height, std::span<const uint8_t> labels,
                                          const Palette& palette) {
  require(std::all_of(labels.begin(), labels.end(), [&](uint8_t label) { return label < palette.size(); }),
          "encode_png_palette: a label beyond the palette");
  return encode_bytes(width, height, labels, PngType::palette8, palette);
}

}  // namespace furrow::io
