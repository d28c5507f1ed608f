// What this machine can do at most, measured: the floors that the benchmarks divide by.
#pragma once

#include <cstddef>

namespace furrow::bench {

// One burst of about `milliseconds` of fused multiply-adds on registers alone, on this thread, with the widest vectors
// the CPU has, or those of FURROW_ISA: floating-point operations per second of CPU time (2 per multiply-add, as
// everywhere). Without FMA (portable) they are separate multiplications and additions.
double fma_burst(double milliseconds);

// One burst of copying between two buffers of 64 MiB, on this thread: bytes read plus bytes written per second of CPU
// time, as memcpy does it.
double copy_burst();

// Seconds of CPU time of this thread, of the whole process, and of the wall clock.
double thread_seconds();
double process_seconds();
double wall_seconds();

}  // namespace furrow::bench
