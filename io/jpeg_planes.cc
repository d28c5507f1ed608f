#include "io/jpeg_planes.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace furrow::io {

void JpegPlanes::FreeBytes::operator()(int16_t* p) const { std::free(p); }

JpegPlanes::JpegPlanes(const JpegFrame& frame, uint8_t fill) : progressive_(frame.progressive), fill_(fill) {
  const auto share = [](uint32_t side, int part, int whole) { return (int64_t{side} * part + whole - 1) / whole; };
  for (const JpegComponent& c : frame.components) {
    JpegPlane plane;
    plane.width = share(frame.width, c.h, frame.h_max);
    plane.height = share(frame.height, c.v, frame.v_max);
    plane.stride = int64_t{8} * c.blocks_wide;
    Component component;
    component.blocks_wide = c.blocks_wide;
    component.blocks_high = c.blocks_high;
    const size_t blocks = size_t{c.blocks_wide} * c.blocks_high;
    if (progressive_) {
      component.coefficients.reset(static_cast<int16_t*>(std::calloc(blocks, 64 * sizeof(int16_t))));
      if (component.coefficients == nullptr) throw std::bad_alloc();
    } else {
      plane.samples.assign(64 * blocks, fill_);
    }
    planes_.push_back(std::move(plane));
    components_.push_back(std::move(component));
  }
}

void JpegPlanes::set_quantisation(size_t component, const JpegQuantisation& table) {
  Component& c = components_[component];
  if (!c.has_steps) c.steps = table;
  c.has_steps = true;
}

int16_t* JpegPlanes::open(size_t component, uint32_t x, uint32_t y) {
  const Component& c = components_[component];
  if (progressive_ && inside(c, x, y)) return &c.coefficients[64 * (size_t{y} * c.blocks_wide + x)];
  std::memset(block_, 0, sizeof block_);
  return block_;
}

void JpegPlanes::close(size_t component, uint32_t x, uint32_t y) {
  if (!progressive_ && inside(components_[component], x, y)) transform(component, x, y, block_);
}

void JpegPlanes::transform(size_t component, uint32_t x, uint32_t y, const int16_t* coefficients) {
  JpegPlane& plane = planes_[component];
  uint8_t* out = plane.samples.data() + 8 * (int64_t{y} * plane.stride + x);
  inverse_dct(coefficients, components_[component].steps, out, plane.stride);
}

std::vector<JpegPlane> JpegPlanes::finish() {
  for (size_t i = 0; progressive_ && i < components_.size(); ++i) {
    Component& c = components_[i];
    const size_t blocks = size_t{c.blocks_wide} * c.blocks_high;
    planes_[i].samples.assign(64 * blocks, fill_);
    const int16_t* coefficients = c.coefficients.get();
    for (uint32_t y = 0; y < c.blocks_high; ++y)
      for (uint32_t x = 0; x < c.blocks_wide; ++x, coefficients += 64) transform(i, x, y, coefficients);
    c.coefficients.reset();
  }
  return std::move(planes_);
}

}  // namespace furrow::io
