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

void* Staged::device_copy(const Tensor& t, bool read) {
  void* host = const_cast<float*>(t.values<float>().data());  // written only where the caller asked for out()
  if (backend_.on_device(host)) return host;
  memory_.push_back(allocate_shared(backend_.runtime_, t.bytes()));
  if (read) backend_.runtime_->upload(backend_.stream_, memory_.back().get(), host, t.bytes());
  return memory_.back().get();
}

ConstImage Staged::in(const Tensor& t) {
  if (t.empty()) return {};
  return image_of(t.shape(), device_copy(t, true));
}

Image Staged::out(Tensor& t, bool read) {
  void* device = device_copy(t, read);
  void* host = t.values<float>().data();
  if (device != host) back_.push_back({host, device, t.bytes()});
  return image_of(t.shape(), device);
}

void* Staged::scratch(size_t bytes) { return backend_.borrow(CudaBackend::Slot::scratch, bytes); }

void Staged::done() {
  for (const Back& b : back_) backend_.runtime_->download(backend_.stream_, b.host, b.device, b.bytes);
  if (!memory_.empty()) backend_.finish();
}

}  // namespace furrow::gpu
