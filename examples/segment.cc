// The library in twenty lines: segment MODEL.safetensors PHOTO MASK.png
#include <cstdio>
#include <memory>

#include "io/atomic_file.h"
#include "io/picture.h"
#include "io/png_write.h"
#include "segment/segmenter.h"

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: segment MODEL.safetensors PHOTO MASK.png\n"), 2;
  try {
    furrow::Segmenter segmenter(std::make_shared<furrow::Model>(furrow::Model::load(argv[1])));
    const furrow::SegmentResult result = segmenter.run(furrow::io::read_picture(argv[2]));
    if (result.status == furrow::SegmentResult::Status::no_face) return std::puts("no face found"), 10;
    furrow::io::write_file_atomically(argv[3], furrow::io::encode_png(result.mask));
    std::printf("wrinkles: %.2f %% of the face crop\n", result.faces[0].percent_of_crop);
  } catch (const furrow::Error& error) {
    return std::fprintf(stderr, "%s\n", error.line().c_str()), static_cast<int>(error.code());
  }
}
