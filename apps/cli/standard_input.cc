#include "apps/cli/standard_input.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/error.h"

namespace furrow::cli {

std::vector<std::byte> read_standard_input() {
  constexpr size_t kMost = size_t{1} << 30, kStep = size_t{1} << 20;
  std::vector<std::byte> bytes;
  while (true) {
    const size_t have = bytes.size();
    if (have > kMost) throw Error(ErrorCode::limit, "more bytes than a picture may have").limit(kMost, have).file("standard input");
    bytes.resize(have + kStep);
    const ssize_t got = read(STDIN_FILENO, bytes.data() + have, kStep);
    if (got < 0 && errno != EINTR)
      throw Error(ErrorCode::io, std::string("cannot read: ") + std::strerror(errno)).file("standard input");
    bytes.resize(have + static_cast<size_t>(got > 0 ? got : 0));
    if (got == 0) return bytes;
  }
}

}  // namespace furrow::cli
