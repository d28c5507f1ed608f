// furrow_conformance: does the emulator answer as a GPU does?
//
//   furrow_conformance --device cuda --write H200.bin      on a machine with a GPU, once
//   furrow_conformance --replay H200.bin                   anywhere: the emulator against the stored answers
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "kernels/error.h"
#include "tests/cuda/conformance/record.h"

namespace {

using namespace furrow;
using namespace furrow::gpu;

int run(int argc, char** argv) {
  std::string device = "cpu-emulated", write, stored;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    std::string* const value = option == "--device"   ? &device
                               : option == "--write"  ? &write
                               : option == "--replay" ? &stored
                                                      : nullptr;
    if (value == nullptr || i + 1 >= argc)
      throw Error(ErrorCode::usage,
                  "usage: furrow_conformance [--device cuda|cpu-emulated] --write FILE | --replay FILE");
    *value = argv[++i];
  }
  if (write.empty() == stored.empty()) throw Error(ErrorCode::usage, "give one of --write FILE and --replay FILE");
  if (!stored.empty()) {
    std::ifstream file(stored, std::ios::binary);
    if (!file) throw Error(ErrorCode::io, "cannot open").file(stored);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const bool agree = with_file(stored, [&] { return replay(parse(bytes), *make_emulated_runtime()); });
    std::puts(agree ? "all cases agree" : "the emulator differs from the stored answers");
    return agree ? 0 : static_cast<int>(ErrorCode::different);
  }
  std::unique_ptr<Runtime> runtime;
  const ConformanceKernels* kernels = &emulated::conformance_kernels;
  if (device == "cpu-emulated") {
    runtime = make_emulated_runtime();
  } else if (device == "cuda") {
    runtime = make_cuda_runtime(0);
#if defined(FURROW_HAVE_CUDA)
    kernels = &cuda::conformance_kernels;
#endif
  } else {
    throw Error(ErrorCode::usage, "--device takes cuda or cpu-emulated");
  }
  const std::string bytes = serialise(run_cases(*runtime, *kernels));
  std::ofstream file(write, std::ios::binary | std::ios::trunc);
  if (!(file << bytes) || !file.flush()) throw Error(ErrorCode::io, "cannot write").file(write);
  std::printf("%s: %zu cases on %s, %zu bytes\n", write.c_str(), conformance_cases().size(), runtime->name().c_str(),
              bytes.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const furrow::Error& error) {
    std::fprintf(stderr, "%s\n", error.line().c_str());
    return static_cast<int>(error.code());
  }
}
