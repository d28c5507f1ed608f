// cp.async. A copy is put down when it is issued and lands at once (eager) or when its group is waited for (lazy); both
// are what hardware may do. Until it lands, its destination is NaN. For TSan the ranges count as read and written by
// the issuing thread at both times, so that neither a reader before the wait nor one behind it without a barrier goes
// unseen.
#include "kernels/emu/block.h"

namespace furrow::emu {
namespace {

void land(Copy& c) {
  if (c.valid) record_read(c.from, c.bytes);
  record_write(c.to, c.bytes);
  if (c.landed) return;
  c.landed = true;
  const auto* from = static_cast<const volatile uint32_t*>(c.from);   // volatile: never a call of memcpy
  auto* to = static_cast<volatile uint32_t*>(c.to);
  for (int i = 0; i < c.bytes / 4; ++i) to[i] = c.valid ? from[i] : 0;
}

void hide(Copy& c) {
  if (c.valid) record_read(c.from, c.bytes);
  record_write(c.to, c.bytes);
  auto* to = static_cast<volatile uint32_t*>(c.to);
  for (int i = 0; i < c.bytes / 4; ++i) to[i] = ~0u;
}

uint32_t take_copy(Block& b, Site site) {
  if (b.free_copy != kNoCopy) {
    const uint32_t place = b.free_copy;
    b.free_copy = b.copies[place].next;
    return place;
  }
  if (b.copies_n == kMaxCopies) fail(b, site, "cp.async: more than %u copies are in flight in the block", kMaxCopies);
  return b.copies_n++;
}

}  // namespace

void cp_async(void* dst, const void* src, int bytes, bool valid, Site site) {
  Block& b = inside("cp_async");
  require_shared(b, dst, static_cast<size_t>(bytes), "cp.async", site);
  // The address counts even where nothing is read from it (simt_device.h).
  if (src == nullptr) fail(b, site, "cp.async: the source is null");
  if (reinterpret_cast<uintptr_t>(src) % static_cast<uintptr_t>(bytes) != 0)
    fail(b, site, "cp.async: the global address %p is not a multiple of %d", src, bytes);
  if (is_poisoned(src, static_cast<size_t>(bytes))) fail(b, site, "cp.async: the source %p is out of bounds", src);
  ++b.counters.async_copies;
  Thread& t = *b.thread;
  const uint32_t place = take_copy(b, site);
  Copy& copy = b.copies[place];
  copy.to = dst;
  copy.from = src;
  copy.group = t.open_group;
  copy.next = kNoCopy;
  copy.bytes = static_cast<uint8_t>(bytes);
  copy.valid = valid;
  copy.landed = false;
  if (t.first_copy == kNoCopy) t.first_copy = place;
  else b.copies[t.last_copy].next = place;
  t.last_copy = place;
  if (b.launch.options.landing == Landing::eager) land(copy);
  else hide(copy);
}

void cp_async_commit() { ++inside("cp_async_commit").thread->open_group; }

void cp_async_wait(int pending, Site) {
  Block& b = inside("cp_async_wait");
  Thread& t = *b.thread;
  // Groups are numbered in the order of commits; copies of the open group are not waited for.
  while (t.first_copy != kNoCopy) {
    const uint32_t place = t.first_copy;
    Copy& copy = b.copies[place];
    if (copy.group + static_cast<uint32_t>(pending) >= t.open_group) return;
    land(copy);   // where it landed at issue: only for TSan
    t.first_copy = copy.next;
    copy.next = b.free_copy;
    b.free_copy = place;
  }
}

void leave_copies(Block& b, const Thread& t) {
  unsigned n = 0;
  for (uint32_t place = t.first_copy; place != kNoCopy; place = b.copies[place].next) ++n;
  if (n > 0 && !b.failed)
    report(b, &t, {}, "the thread leaves the kernel with %u asynchronous copies not waited for", n);
}

}  // namespace furrow::emu
