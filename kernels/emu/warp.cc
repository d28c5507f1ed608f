// Operations of a warp: lanes wait for each other, and the last one to come computes for all.
//
// What a lane must get right: it is in its own mask; every lane of the mask comes to the same operation, at the same
// line, with the same mask (other lanes may be elsewhere, in operations of their own); none of them has left; a shuffle
// reads only from lanes of the mask. A block whose size is not a multiple of 32 has a last warp with lanes missing,
// which count as gone. For TSan only __syncwarp orders memory, as CUDA's documentation has it.
#include "kernels/emu/block.h"

namespace furrow::emu {
namespace {

Warp& my_warp(Block& b) { return b.warps[b.thread->warp()]; }

uint32_t lane_bit(unsigned lane) { return 1u << lane; }

void complete_ballot(Warp& w, uint32_t mask) {
  uint64_t votes = 0;
  for (unsigned i = 0; i < kWarp; ++i)
    if (mask & lane_bit(i) && w.value[i] != 0) votes |= lane_bit(i);
  for (unsigned i = 0; i < kWarp; ++i)
    if (mask & lane_bit(i)) w.result[i] = votes;
}

// The lane that `lane` reads from, by CUDA's rules: segments of `width` lanes; outside its segment a lane reads itself,
// but exclusive_or may also reach an earlier segment.
int source_lane(Shuffle how, int lane, int argument, int width) {
  const int first = lane & ~(width - 1), end = first + width;
  int source = lane;
  switch (how) {
    case Shuffle::index: return first + (argument & (width - 1));
    case Shuffle::up: source = lane - (argument & 31); return source < first ? lane : source;
    case Shuffle::down: source = lane + (argument & 31); break;
    case Shuffle::exclusive_or: source = lane ^ (argument & 31); break;
  }
  return source >= end ? lane : source;
}

void complete_shuffle(Block& b, Warp& w, const WarpOperation& op) {
  for (unsigned i = 0; i < kWarp; ++i) {
    if (!(op.mask & lane_bit(i))) continue;
    const int source = source_lane(static_cast<Shuffle>(op.variant), static_cast<int>(i), w.argument[i], w.width[i]);
    if (!(op.mask & lane_bit(static_cast<unsigned>(source)))) {
      report(b, nullptr, op.site, "shuffle: lane %u reads lane %d, which is not in the mask %08x", i, source, op.mask);
      return;
    }
    w.result[i] = w.value[source];
  }
}

void complete(Block& b, Warp& w, WarpOperation& op) {
  ++b.counters.warp_operations;
  switch (op.kind) {
    case WarpKind::sync: break;
    case WarpKind::ballot: complete_ballot(w, op.mask); break;
    case WarpKind::shuffle: complete_shuffle(b, w, op); break;
    case WarpKind::ldmatrix: complete_ldmatrix(b, w, op.variant & 7, (op.variant & 8) != 0); break;
    case WarpKind::mma: complete_mma(b, w, static_cast<MmaType>(op.variant)); break;
  }
}

}  // namespace

// Joins the operation that waits for this lane, or begins one.
WarpOperation& meet(Block& b, uint32_t mask, WarpKind kind, int variant, Site site) {
  Warp& w = my_warp(b);
  const unsigned lane = b.thread->lane();
  if (!(mask & lane_bit(lane))) fail(b, site, "%s: lane %u is not in its own mask %08x", name(kind), lane, mask);
  if (mask & ~w.members)
    fail(b, site, "%s: the mask %08x names lanes %08x, which the block of %u threads does not have", name(kind), mask,
         mask & ~w.members, b.threads_n);
  if (mask & w.exited)
    fail(b, site, "%s: the mask %08x names lanes %08x, which have left the kernel", name(kind), mask, mask & w.exited);
  WarpOperation *free = nullptr, *joined = nullptr;
  for (WarpOperation* op = w.operations; op < w.operations + w.places; ++op) {
    if (op->arrived == 0) {
      if (free == nullptr) free = op;
    } else if (op->kind == kind && op->variant == variant && op->mask == mask && same(op->site, site)) {
      joined = op;
    } else if (op->mask & lane_bit(lane) && op->arrived & mask) {   // they wait for this lane, and it would for them
      fail(b, site,
           "divergent warp operation: lanes %08x wait in %s at %s:%u with mask %08x, lane %u came to %s with mask %08x",
           op->arrived, name(op->kind), file_name(op->site), op->site.line, op->mask, lane, name(kind), mask);
    }
  }
  if (joined != nullptr) return *joined;
  if (free == nullptr) free = &w.operations[w.places++];
  free->kind = kind;
  free->variant = static_cast<uint8_t>(variant);
  free->mask = mask;
  free->site = site;
  ++free->uses;
  return *free;
}

void arrive_in_warp(Block& b, WarpOperation& op) {
  Thread& t = *b.thread;
  t.state = State::in_warp;
  t.site = op.site;
  op.arrived |= lane_bit(t.lane());
  if (op.arrived == op.mask) {
    complete(b, my_warp(b), op);
    op.arrived = 0;
    uint16_t released[kWarp];
    unsigned n = 0;
    for (unsigned i = 0; i < kWarp; ++i)
      if (op.mask & lane_bit(i)) {
        const unsigned number = t.warp() * kWarp + i;
        b.threads[number].state = State::ready;
        released[n++] = static_cast<uint16_t>(number);
      }
    enqueue(b, released, n);
  }
  wait_turn(b);
}

void leave_warp(Block& b, const Thread& t) {
  const Warp& w = b.warps[t.warp()];
  for (unsigned i = 0; i < w.places && !b.failed; ++i) {
    const WarpOperation& op = w.operations[i];
    if (op.arrived != 0 && op.mask & lane_bit(t.lane()))
      report(b, &t, op.site, "%s: lane %u has left the kernel, but lanes %08x wait for it (mask %08x)", name(op.kind),
             t.lane(), op.arrived, op.mask);
  }
}

void sync_warp(uint32_t mask, Site site) {
  Block& b = inside("__syncwarp");
  WarpOperation& op = meet(b, mask, WarpKind::sync, 0, site);
  char& tag = op.tags[op.uses % 2];
  release(tag);
  arrive_in_warp(b, op);
  acquire(tag);
}

uint64_t shuffle(uint32_t mask, uint64_t value, Shuffle how, int argument, int width, Site site) {
  Block& b = inside("__shfl_sync");
  if (width < 1 || width > 32 || (width & (width - 1)) != 0)
    fail(b, site, "shuffle: the width %d is not a power of two up to 32", width);
  WarpOperation& op = meet(b, mask, WarpKind::shuffle, static_cast<int>(how), site);
  Warp& w = my_warp(b);
  const unsigned lane = b.thread->lane();
  w.value[lane] = value;
  w.argument[lane] = argument;
  w.width[lane] = width;
  arrive_in_warp(b, op);
  return w.result[lane];
}

uint32_t ballot(uint32_t mask, int predicate, Site site) {
  Block& b = inside("__ballot_sync");
  WarpOperation& op = meet(b, mask, WarpKind::ballot, 0, site);
  Warp& w = my_warp(b);
  const unsigned lane = b.thread->lane();
  w.value[lane] = predicate != 0;
  arrive_in_warp(b, op);
  return static_cast<uint32_t>(w.result[lane]);
}

}  // namespace furrow::emu
