#include "io/npy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "io/atomic_file.h"
#include "io/cursor.h"
#include "io/file_format.h"
#include "io/mapped_file.h"
#include "io/npy_header.h"
#include "kernels/checked.h"
#include "kernels/half.h"
#include "kernels/tensor.h"

namespace furrow::io {
namespace {

constexpr std::string_view kNpyMagic = "\x93NUMPY";
constexpr uint64_t kBeforeHeader = 10;  // bytes, of version 1.0

// What these bytes are that are no .npy file.
Error describe_other(std::span<const std::byte> bytes) {
  if (bytes.empty()) return Error(ErrorCode::malformed, "an empty file, not a .npy file").at(0);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06"))
    return Error(ErrorCode::malformed, "a zip (.npz holds several arrays), not a .npy file")
        .at(0)
        .hint("numpy.save each array of numpy.load(FILE) under a name of its own");
  const std::string_view name = file_format(bytes).name;
  return Error(ErrorCode::malformed, (name.empty() ? "unknown data" : std::string(name)) + ", not a .npy file").at(0);
}

// Calls take(value) with each element in the order of the file.
template <class Word, class Convert, class Take>
void for_elements(std::span<const std::byte> data, bool swapped, Convert&& convert, Take&& take) {
  for (size_t at = 0; at < data.size(); at += sizeof(Word)) {
    std::array<std::byte, sizeof(Word)> bytes;
    std::memcpy(bytes.data(), data.data() + at, sizeof(Word));
    if (swapped) std::ranges::reverse(bytes);
    take(static_cast<float>(convert(std::bit_cast<Word>(bytes))));
  }
}

template <class Take>
void for_elements(const NpyHeader& header, std::span<const std::byte> data, Take&& take) {
  const auto as = [&]<class Word>(Word) {
    for_elements<Word>(data, header.big_endian, [](Word word) { return word; }, take);
  };
  switch (header.kind) {
    case NpyKind::boolean:  // as NumPy and PyTorch: whatever is not 0 is true
      return for_elements<uint8_t>(data, false, [](uint8_t byte) { return byte != 0 ? 1.0f : 0.0f; }, take);
    case NpyKind::whole:
      return header.width == 1   ? as(int8_t{})
             : header.width == 2 ? as(int16_t{})
             : header.width == 4 ? as(int32_t{})
                                 : as(int64_t{});
    case NpyKind::natural:
      return header.width == 1   ? as(uint8_t{})
             : header.width == 2 ? as(uint16_t{})
             : header.width == 4 ? as(uint32_t{})
                                 : as(uint64_t{});
    case NpyKind::real:
      if (header.width == 2) return for_elements<uint16_t>(data, header.big_endian, f16_to_f32, take);
      return header.width == 4 ? as(float{}) : as(double{});
  }
}

// Elements of column-major order to their places in row-major order.
class FortranPlaces {
 public:
  explicit FortranPlaces(std::span<const int64_t> dims) : dims_(dims), index_(dims.size(), 0), step_(dims.size(), 1) {
    for (size_t i = dims.size(); i-- > 1;) step_[i - 1] = step_[i] * static_cast<size_t>(dims[i]);
  }
  size_t next() {
    const size_t place = place_;
    for (size_t i = 0; i < dims_.size(); ++i) {
      place_ += step_[i];
      if (++index_[i] < dims_[i]) break;
      place_ -= step_[i] * static_cast<size_t>(dims_[i]);
      index_[i] = 0;
    }
    return place;
  }

 private:
  const std::span<const int64_t> dims_;
  std::vector<int64_t> index_;
  std::vector<size_t> step_;
  size_t place_ = 0;
};

// All before the values of a file of format 1.0, by rows.
std::string header_of(const char* type, std::span<const int64_t> dims, size_t values) {
  int64_t elements = 1;
  std::string header = std::string("{'descr': '") + type + "', 'fortran_order': False, 'shape': (";
  for (const int64_t d : dims) {
    elements *= d;
    header += std::to_string(d) + ", ";
  }
  require(dims.size() <= Limits{}.rank && elements == static_cast<int64_t>(values), "write_npy: the dims");
  header += "), }";
  constexpr size_t kAlignment = 64;
  header.resize((header.size() + 1 + kBeforeHeader + kAlignment - 1) / kAlignment * kAlignment - kBeforeHeader, ' ');
  header.back() = '\n';
  const auto size = static_cast<uint16_t>(header.size());
  return std::string(kNpyMagic) + std::string("\x01\x00", 2) + static_cast<char>(size & 255) +
         static_cast<char>(size >> 8) + header;
}

}  // namespace

void write_npy(const std::string& path, std::span<const int64_t> dims, std::span<const float> values) {
  AtomicFile file(path);
  file.write(header_of("<f4", dims, values.size()));
  file.write(std::as_bytes(values));
  file.commit();
}

std::vector<std::byte> encode_npy(std::span<const int64_t> dims, std::span<const uint8_t> values) {
  const std::string header = header_of("|u1", dims, values.size());
  const auto front = std::as_bytes(std::span(header.data(), header.size())), back = std::as_bytes(values);
  std::vector<std::byte> out(front.begin(), front.end());
  out.insert(out.end(), back.begin(), back.end());
  return out;
}

NpyArray parse_npy(std::span<const std::byte> bytes, const Limits& limits) {
  Cursor cursor(bytes, 0, "the .npy header");
  if (cursor.left() < kNpyMagic.size() || cursor.text(kNpyMagic.size()) != kNpyMagic) throw describe_other(bytes);
  const int major = cursor.u8(), minor = cursor.u8();
  if (major < 1 || major > 3 || minor != 0)
    throw Error(ErrorCode::unsupported,
                ".npy version " + std::to_string(major) + "." + std::to_string(minor) + "; 1.0, 2.0 and 3.0 are read")
        .at(kNpyMagic.size());
  const uint64_t size_at = cursor.at(), size = major == 1 ? cursor.u16() : cursor.u32(), at = cursor.at();
  if (size > cursor.left())
    throw Error(ErrorCode::malformed, "the .npy header is said to have " + std::to_string(size) + " bytes, " +
                                          std::to_string(cursor.left()) + " follow")
        .at(size_at)
        .in("header");
  if (size > limits.npy_header)
    throw Error(ErrorCode::limit, "the .npy header is too large")
        .at(size_at)
        .in("header")
        .limit(limits.npy_header, size);
  NpyHeader header = parse_npy_header(cursor.text(size), at, limits);
  Checked elements = 1, most = 1;  // `most` counts an empty axis as 1: no product of some of the axes wraps either
  const uint64_t expected = with_place(at, "header", [&] {
    for (const int64_t d : header.dims) {
      elements *= Checked::from_signed(d);
      most *= Checked::from_signed(std::max<int64_t>(d, 1));
    }
    (most * header.width).signed_value();
    return (elements * header.width).value();
  });
  if (expected != cursor.left())
    throw Error(ErrorCode::malformed, "the shape " + dims_to_string(header.dims) + " wants " +
                                          std::to_string(expected) + " bytes, " + std::to_string(cursor.left()) +
                                          " follow")
        .at(cursor.at());
  NpyArray out{std::move(header.dims), std::vector<float>(elements.size())};
  const auto data = cursor.take(expected);
  if (header.fortran) {
    FortranPlaces places(out.dims);
    for_elements(header, data, [&](float value) { out.values[places.next()] = value; });
  } else {
    float* to = out.values.data();
    for_elements(header, data, [&](float value) { *to++ = value; });
  }
  return out;
}

NpyArray read_npy(const std::string& path, const Limits& limits) {
  return with_file(path, [&] {
    const auto file = MappedFile::open(path);
    NpyArray array = parse_npy(file->bytes(), limits);
    file->check_unchanged();
    return array;
  });
}

}  // namespace furrow::io
