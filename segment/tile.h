// Tiles: a picture of any size run through square windows that overlap and blend, by bands of rows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "io/image.h"

namespace furrow {

// Where windows start along one side of `length` pixels: the first at 0, the last ending at `length`, evenly spread,
// neighbours overlapping by at least a quarter of `window`. One window at 0 where length <= window.
std::vector<int64_t> window_starts(int64_t length, int64_t window);

// Weight of each pixel of a window along one axis: a raised cosine, sin^2(pi (i + 1/2) / window), never zero. The
// weight of a pixel is the product of both axes; sums are divided by the sum of weights, so equal inputs blend to
// themselves.
std::vector<double> window_weights(int64_t window);

// Computes the probability plane of one window: `rgb` is window x window x 3, `plane` window x window.
using WindowFunction = std::function<void(const io::Image& rgb, std::span<float> plane)>;
// Takes the finished rows in order, each `width` probabilities.
using RowSink = std::function<void(int64_t y, std::span<const float> row)>;
// Fills `rgb` (window x window x 3) with the pixels whose upper left corner is (x, y) of the tiled picture.
using WindowSource = std::function<void(int64_t x, int64_t y, io::Image& rgb)>;

// Runs the windows of a width x height picture row of windows by row of windows and hands finished rows to `sink`.
// Memory: a band of `window` rows of float sums, whatever the height. With one window its plane is passed on unchanged.
// Source of the blend: overlap-tile strategy of Ronneberger et al. 2015 with window weights.
void run_tiled(int64_t width, int64_t height, int64_t window, const WindowSource& source, const WindowFunction& compute,
               const RowSink& sink);

}  // namespace furrow
