// Makes weights/furrow-mini.safetensors: import_mini SOURCE.pth OUT.safetensors. The same source gives the same bytes
// (tests/segment/mini_model_test.cc).
#include <cstdio>

#include "tests/segment/mini_info.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: import_mini SOURCE.pth OUT.safetensors\n");
    return 2;
  }
  try {
    furrow::Model model = furrow::Model::load(argv[1]);
    model.set_info(furrow::test::mini_info());
    furrow::save_native(argv[2], model, furrow::DType::f16);
  } catch (const furrow::Error& error) {
    std::fprintf(stderr, "%s\n", error.line().c_str());
    return static_cast<int>(error.code());
  }
  return 0;
}
