// What launch functions take and tables of them hold, whichever compiler built them.
#pragma once

namespace furrow::gpu {

// A queue of work on one device: launches and copies given to it run in order. On the emulator everything has happened
// when the call returns, and `handle` is null.
struct Stream {
  void* handle = nullptr;
};

// What to tell who meets DeviceLost.
constexpr char kDeviceLostHint[] =
    "this process cannot use the GPU any more and must end; the error may come from earlier work (CUDA_LAUNCH_BLOCKING=1 shows which)";

}  // namespace furrow::gpu
