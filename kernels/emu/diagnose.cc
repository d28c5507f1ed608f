// What went wrong, in words.
#include <cstdarg>
#include <cstdio>

#include "kernels/emu/block.h"

namespace furrow::emu {
namespace {

// Appends to b.failure, which is cut where it is full.
[[gnu::format(printf, 3, 0)]] void append(Block& b, size_t& used, const char* format, va_list arguments) {
  if (used + 1 >= sizeof b.failure) return;
  const int n = vsnprintf(b.failure + used, sizeof b.failure - used, format, arguments);
  if (n > 0)
    used = used + static_cast<size_t>(n) < sizeof b.failure ? used + static_cast<size_t>(n) : sizeof b.failure - 1;
}

[[gnu::format(printf, 3, 4)]] void append(Block& b, size_t& used, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  append(b, used, format, arguments);
  va_end(arguments);
}

// "kernel NAME: ... [block (x,y,z) thread (x,y,z)] at FILE:LINE"
[[gnu::format(printf, 4, 0)]] void compose(Block& b, const Thread* t, Site site, const char* format,
                                           va_list arguments) {
  if (b.failed) return;
  b.failed = true;
  if constexpr (kTsan) {
    // vsnprintf's accesses are then the host's, on a stack that the CUDA thread has done with.
    release(b.end_tags[b.set]);
    become(b.host_identity);
    acquire(b.end_tags[b.set]);
  }
  size_t used = 0;
  append(b, used, "kernel %s: ", b.launch.kernel);
  append(b, used, format, arguments);
  append(b, used, " [block (%u,%u,%u)", b.index.x, b.index.y, b.index.z);
  if (t != nullptr) append(b, used, " thread (%u,%u,%u)", t->index.x, t->index.y, t->index.z);
  append(b, used, "]");
  if (site.line != 0) append(b, used, " at %s:%u", file_name(site), site.line);
}

}  // namespace

bool same(const Site& a, const Site& b) {
  if (a.line != b.line) return false;
  const char *x = a.file, *y = b.file;
  if (x == y) return true;
  for (; *x != '\0' && *x == *y; ++x, ++y) {}   // TSan would see strcmp
  return *x == *y;
}

const char* file_name(const Site& site) {
  const char* start = site.file;
  for (const char* p = site.file; *p != '\0'; ++p)
    if (*p == '/') start = p + 1;
  return start;
}

const char* name(WarpKind kind) {
  switch (kind) {
    case WarpKind::sync: return "__syncwarp";
    case WarpKind::shuffle: return "shuffle";
    case WarpKind::ballot: return "__ballot_sync";
    case WarpKind::ldmatrix: return "ldmatrix";
    case WarpKind::mma: return "mma";
  }
  return "warp operation";
}

void report(Block& b, const Thread* t, Site site, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  compose(b, t, site, format, arguments);
  va_end(arguments);
}

void fail(Block& b, Site site, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  compose(b, b.thread, site, format, arguments);
  va_end(arguments);
  leave_failed(b);
}

// Nothing can run, and not all have left: who waits where.
void report_deadlock(Block& b) {
  unsigned in_warps = 0;
  const Thread* first = nullptr;
  for (unsigned i = 0; i < b.threads_n; ++i)
    if (b.threads[i].state == State::in_warp) {
      ++in_warps;
      if (first == nullptr) first = &b.threads[i];
    }
  if (first == nullptr) {
    report(b, nullptr, b.barrier_site, "deadlock: %u threads wait at a barrier, %u have left", b.at_barrier, b.exited);
    return;
  }
  const Warp& w = b.warps[first->warp()];
  const WarpOperation* op = w.operations;
  for (unsigned i = 0; i < w.places; ++i)
    if (w.operations[i].arrived >> first->lane() & 1) op = &w.operations[i];
  if (b.at_barrier > 0)
    report(
        b, nullptr, {},
        "deadlock: %u threads wait at the barrier %s:%u; %u threads wait in warp operations (warp %u in %s at %s:%u: "
        "mask %08x, arrived %08x, left %08x); %u have left",
        b.at_barrier, file_name(b.barrier_site), b.barrier_site.line, in_warps, first->warp(), name(op->kind),
        file_name(op->site), op->site.line, op->mask, op->arrived, w.exited, b.exited);
  else
    report(b, nullptr, {},
           "deadlock: %u threads wait in warp operations (warp %u in %s at %s:%u: mask %08x, arrived %08x, left %08x); "
           "%u have left",
           in_warps, first->warp(), name(op->kind), file_name(op->site), op->site.line, op->mask, op->arrived, w.exited,
           b.exited);
}

void dump() {
  const Block* b = running_block;
  if (b == nullptr) {
    std::fputs("no kernel runs on this thread\n", stderr);
    return;
  }
  std::fprintf(stderr, "kernel %s, block (%u,%u,%u), %u threads:\n", b->launch.kernel, b->index.x, b->index.y,
               b->index.z, b->threads_n);
  const auto alike = [&](const Thread& x, const Thread& y) { return x.state == y.state && same(x.site, y.site); };
  for (unsigned i = 0, end = 0; i < b->threads_n; i = end) {
    const Thread& t = b->threads[i];
    for (end = i + 1; end < b->threads_n && alike(t, b->threads[end]);) ++end;
    const Thread& last = b->threads[end - 1];
    std::fprintf(stderr, "  (%u,%u,%u)", t.index.x, t.index.y, t.index.z);
    if (end - i > 1) std::fprintf(stderr, " to (%u,%u,%u)", last.index.x, last.index.y, last.index.z);
    const char* what[] = {"not started",        "running", "can go on", "waits at the barrier",
                          "waits for its warp", "has left"};
    std::fprintf(stderr, ": %s", what[static_cast<int>(t.state)]);
    if (t.site.line != 0)
      std::fprintf(stderr, "%s %s:%u", t.state == State::running || t.state == State::exited ? ", last waited at" : ",",
                   file_name(t.site), t.site.line);
    std::fputc('\n', stderr);
  }
}

}  // namespace furrow::emu
