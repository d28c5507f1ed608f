#include "kernels/cuda/staged.h"

#include <limits>

namespace furrow::gpu {
namespace {

// Launch functions take int extents and address elements with 64 bits.
int extent(int64_t value) {
  require(value >= 0 && value <= std::numeric_limits<int>::max(), "an extent beyond what kernels take");
  return static_cast<int>(value);
}

Image image_of(const Shape& s, void* data) {
  return {data, DType::f32, extent(s.n), extent(s.h), extent(s.w), extent(s.c), extent(s.c)};
}

}  // namespace

void* Staged::device_copy(void* host, size_t bytes, bool read) {
  if (backend_.on_device(host)) return host;
  void* device = backend_.staged_.take(bytes);
  if (read && bytes > 0 && !backend_.upload(device, host, bytes)) waits_ = true;
  return device;
}

ConstImage Staged::in(const Tensor& t) {
  if (t.empty()) return {};
  return image_of(t.shape(), const_cast<void*>(in_bytes(t.values<float>().data(), t.bytes())));
}

Image Staged::out(Tensor& t, bool read) {
  void* host = t.values<float>().data();
  void* device = device_copy(host, t.bytes(), read);
  if (device != host) back_.push_back({host, device, t.bytes()});
  return image_of(t.shape(), device);
}

const void* Staged::in_bytes(const void* host, size_t bytes) {
  return device_copy(const_cast<void*>(host), bytes, true);  // written only where the caller asked for it
}

void* Staged::inout_bytes(void* host, size_t bytes) {
  void* device = device_copy(host, bytes, true);
  if (device != host) back_.push_back({host, device, bytes});
  return device;
}

void* Staged::scratch(size_t bytes) { return backend_.borrow(CudaBackend::Slot::scratch, bytes); }

void Staged::done() {
  for (const Back& b : back_) backend_.runtime_->download(backend_.stream_, b.host, b.device, b.bytes);
  if (waits_ || !back_.empty()) backend_.finish();
  backend_.end_staging();
}

}  // namespace furrow::gpu
