// texture_time WIDTH HEIGHT THREADS: one texture map of noise per line of standard input; prints wall-clock and CPU
// milliseconds of each. bench/peers/texture.py takes turns with it.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "io/texture.h"
#include "kernels/threads.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  furrow::io::Image photo(std::atoi(argv[1]), std::atoi(argv[2]), 3);
  uint32_t state = 1;
  for (uint8_t& value : photo.pixels) value = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  furrow::ThreadPool pool(std::atoi(argv[3]));
  while (std::getchar() == '\n') {
    const auto wall = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    const furrow::io::Image map = furrow::io::texture_map(photo, {}, nullptr, &pool);
    const double spent = 1000.0 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
    std::printf("%.3f %.3f %d\n",
                std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - wall).count(), spent,
                map.pixels[map.pixels.size() / 2]);
    std::fflush(stdout);
  }
}
