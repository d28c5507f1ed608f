// Runs the network of a checkpoint on numbers from a file, for scripts/parity.py:
//   network_logits CHECKPOINT INPUT HEIGHT WIDTH OUTPUT [DEVICE [PRECISION | MEMORY]]
// INPUT and OUTPUT: raw little-endian float64, H W C, one picture. PRECISION: fp32, ...; MEMORY: normal, low. Prints
// the architecture, the device, the steps and how many of them each algorithm computes.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "io/checkpoint.h"
#include "kernels/device.h"
#include "nn/plan.h"
#include "nn/recognise.h"

namespace furrow {
namespace {

int run(int argc, char** argv) {
  const std::string device = argc > 6 ? argv[6] : "cpu";
  const io::Checkpoint file = io::read_checkpoint(argv[1]);
  const auto network = build(recognise(file.tensors));
  const Shape shape{1, std::stoll(argv[3]), std::stoll(argv[4]), network->architecture().in_channels};
  std::ifstream in(argv[2], std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  Tensor x(shape, DType::f64);
  if (bytes.size() != x.bytes())
    throw Error(ErrorCode::malformed, "not " + to_string(shape) + " float64").file(argv[2]);
  std::memcpy(x.values<double>().data(), bytes.data(), bytes.size());

  ThreadPool pool;
  BackendOptions options;
  if (argc > 7) {
    options.precision = precision_of(argv[7]);
    const auto memory = memory_class_of(argv[7]);
    if (!options.precision && !memory) throw Error(ErrorCode::usage, "neither a precision nor a memory class");
    if (memory) options.memory = *memory;
  }
  const auto backend = make_backend(choose_device(device).device, &pool, options);
  network->load(file.tensors, DType::f32);  // as the program does
  Plan plan(*network, *backend, shape);
  const Tensor logits = plan.run(x.to(backend->dtype())).to(DType::f64);
  std::ofstream out(argv[5], std::ios::binary);
  out.write(reinterpret_cast<const char*>(logits.values<double>().data()),
            static_cast<std::streamsize>(logits.bytes()));
  if (!out.flush()) throw Error(ErrorCode::io, "cannot be written").file(argv[5]);
  std::map<std::string, int> algorithms;  // by their first word: winograd, direct, ...
  for (const Plan::StepInfo& step : plan.steps()) ++algorithms[step.algorithm.substr(0, step.algorithm.find(' '))];
  std::printf("%s on %s, %zu steps", network->architecture().text().c_str(), backend->name().c_str(),
              plan.steps().size());
  for (const auto& [algorithm, count] : algorithms) std::printf(", %d %s", count, algorithm.c_str());
  std::printf("\n");
  return 0;
}

}  // namespace
}  // namespace furrow

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: network_logits CHECKPOINT INPUT HEIGHT WIDTH OUTPUT [DEVICE [PRECISION | MEMORY]]\n");
    return 2;
  }
  try {
    return furrow::run(argc, argv);
  } catch (const furrow::Error& error) {
    std::fprintf(stderr, "%s\n", error.line().c_str());
    return static_cast<int>(error.code());
  }
}
