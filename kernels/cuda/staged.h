// Staged: the tensors of one eager operation as images in device memory.
#pragma once

#include <vector>

#include "kernels/cuda/cuda_backend.h"

namespace furrow::gpu {

// The values of an image of float32.
inline const float* floats(const ConstImage& image) { return static_cast<const float*>(image.data); }
inline float* floats(const Image& image) { return static_cast<float*>(image.data); }

// Values beside each other in one block of scratch memory, each on 16 bytes: first all are added, then the block is borrowed,
// once, for a second call of scratch() may move it.
class ScratchLayout {
 public:
  size_t add(size_t bytes) {   // where they begin
    const size_t at = bytes_;
    bytes_ += (bytes + 15) / 16 * 16;
    return at;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

// Tensors that lie in device memory are used where they are. Others are copied there first, and the written ones back when
// the operation is done: slow, correct, and never the case on the emulator. Ends with `done()`, which waits for the device
// where something is copied back, or where more was copied there than the back-end keeps pinned memory for. The copies lie
// in memory that the back-end keeps, and the next operation's take their place: there is one Staged at a time.
class Staged {
 public:
  explicit Staged(CudaBackend& backend) : backend_(backend) { backend.runtime_->use(); }
  Staged(const Staged&) = delete;
  Staged& operator=(const Staged&) = delete;

  // A tensor that is read (float32). An empty or null one gives an image without data.
  ConstImage in(const Tensor& t);
  ConstImage in(const Tensor* t) { return t == nullptr ? ConstImage{} : in(*t); }
  // One that is written; with `read` its old values count too (a gradient that is added to).
  Image out(Tensor& t, bool read = false);
  Image out(Tensor* t, bool read = false) { return t == nullptr ? Image{} : out(*t, read); }
  // The same of any bytes, in host memory or an arena: read, or read and written.
  const void* in_bytes(const void* host, size_t bytes);
  void* inout_bytes(void* host, size_t bytes);
  // Memory of this operation alone.
  void* scratch(size_t bytes);
  // Copies results back.
  void done();

 private:
  void* device_copy(void* host, size_t bytes, bool read);
  CudaBackend& backend_;
  struct Back { void* host; const void* device; size_t bytes; };
  std::vector<Back> back_;
  bool waits_ = false;   // a copy is read from the caller's own memory
};

}  // namespace furrow::gpu
