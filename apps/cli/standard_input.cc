#include "apps/cli/standard_input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "apps/cli/signals.h"
#include "kernels/error.h"

namespace furrow::cli {

namespace {

// Waits for bytes, or the end. A signal may reach another thread, so the wait is cut into short ones.
void wait_for_input() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  while (poll(&input, 1, 100) == 0)
    if (interrupted() != 0) throw Error(ErrorCode::io, "interrupted").file("standard input");
}

}  // namespace

std::vector<std::byte> read_standard_input() {
  constexpr size_t kMost = size_t{1} << 30, kStep = size_t{1} << 20;
  std::vector<std::byte> bytes;
  while (true) {
    const size_t have = bytes.size();
    if (have > kMost) throw Error(ErrorCode::limit, "more bytes than a picture may have").limit(kMost, have).file("standard input");
    wait_for_input();
    bytes.resize(have + kStep);
    const ssize_t got = read(STDIN_FILENO, bytes.data() + have, kStep);
    if (got < 0 && errno != EINTR)
      throw Error(ErrorCode::io, std::string("cannot read: ") + std::strerror(errno)).file("standard input");
    bytes.resize(have + static_cast<size_t>(got > 0 ? got : 0));
    if (got == 0) return bytes;
  }
}

}  // namespace furrow::cli
