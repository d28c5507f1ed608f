// decode FILE OUT.ppm: writes the pixels that Furrow sees in a PNG or JPEG (upright, alpha dropped, of 16 bits the high
// byte) as a binary PPM, to be compared with what other decoders see. Errors on stderr; exit status as `furrow`'s.
#include <cstdio>
#include <exception>

#include "io/picture.h"
#include "kernels/error.h"

namespace {

int write_ppm(const char* path, const furrow::io::Image& image) {
  std::FILE* out = std::fopen(path, "wb");
  bool good = out != nullptr;
  good = good && std::fprintf(out, "P6\n%lld %lld\n255\n", static_cast<long long>(image.width),
                              static_cast<long long>(image.height)) > 0;
  good = good && std::fwrite(image.pixels.data(), 1, image.pixels.size(), out) == image.pixels.size();
  if (out != nullptr && std::fclose(out) != 0) good = false;
  if (!good) std::perror(path);
  return good ? 0 : static_cast<int>(furrow::ErrorCode::io);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: decode FILE OUT.ppm\n");
    return static_cast<int>(furrow::ErrorCode::usage);
  }
  try {
    const furrow::io::Picture picture = furrow::io::read_picture(argv[1]);
    for (const auto& note : picture.info.notes) std::fprintf(stderr, "note: %s: %s\n", argv[1], note.c_str());
    return write_ppm(argv[2], picture.image);
  } catch (const furrow::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error[internal]: %s\n", error.what());
    return static_cast<int>(furrow::ErrorCode::internal);
  }
}
