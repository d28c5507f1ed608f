// Room for bytes behind whose last one nothing may be read. A sanitizer sees the end of a heap block; the build without
// one (FURROW_GUARD_PAGES, preset fuzz-fast) ends them at a page that nobody may touch.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#ifdef FURROW_GUARD_PAGES
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace furrow::fuzz {

#ifdef FURROW_GUARD_PAGES

// At most kRooms at once; they are mapped once and used again, for a mapping takes longer than most inputs.
class ExactBytes {
 public:
  explicit ExactBytes(size_t size) : bytes_(room(used_++) + (kRoom - size), size) {
    if (size > kRoom) std::abort();
  }
  ~ExactBytes() { --used_; }
  ExactBytes(const ExactBytes&) = delete;
  ExactBytes& operator=(const ExactBytes&) = delete;
  std::span<std::byte> get() const { return bytes_; }

 private:
  static constexpr size_t kRoom = size_t{1} << 24, kRooms = 2;

  static std::byte* room(size_t number) {
    static std::byte* rooms[kRooms] = {};
    if (number >= kRooms) std::abort();
    if (rooms[number] == nullptr) {
      const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
      void* const mapped = mmap(nullptr, kRoom + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (mapped == MAP_FAILED) std::abort();
      rooms[number] = static_cast<std::byte*>(mapped);
      if (mprotect(rooms[number] + kRoom, page, PROT_NONE) != 0) std::abort();
    }
    return rooms[number];
  }
  static inline size_t used_ = 0;
  std::span<std::byte> bytes_;
};

#else

class ExactBytes {
 public:
  explicit ExactBytes(size_t size) : memory_(new std::byte[size]), bytes_(memory_.get(), size) {}
  std::span<std::byte> get() const { return bytes_; }

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::span<std::byte> bytes_;
};

#endif

}  // namespace furrow::fuzz
