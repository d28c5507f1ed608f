// furrow_cpu_turns: Furrow's side of scripts/bench_cpu.sh.
//
//   serve SETTING...             the network of a weight file, timed in turns (bench/cpu/serve.h), in 8 bits where the
//                                file says how; a face parser to its label map
//   quantise SETTING... FILE     the weight file as FILE, which says how: all layers that can be, scales from the input
//   weights ARCHITECTURE FILE    a network of seeded random values, safetensors
//   input FILE SIDE BATCH        pictures with structure, float32, N H W C
//   compare LOGITS LOGITS        {"max_error", "rms_error", "rms"}: of the difference; of the first
//   peaks                        {"flops_per_s", "bytes_per_s"}: of one core, medians of bursts
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/cpu/serve.h"
#include "bench/gpu/inputs.h"
#include "bench/peak.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/label_map.h"
#include "nn/plan.h"
#include "nn/recognise.h"
#include "segment/calibrate.h"
#include "segment/compute.h"
#include "segment/model.h"

namespace furrow::bench {
namespace {

int serve(const turns::Setting& setting) {
  ThreadPool pool(setting.threads);
  cpu::CpuBackend backend(&pool);
  std::string architecture;
  bool parser = false;
  std::unique_ptr<Plan> plan;
  {
    const io::Checkpoint file = io::read_checkpoint(setting.weights);
    const std::unique_ptr<Network> network = build(recognise(file.tensors));
    network->load(file.tensors, DType::f32);  // as the program does
    architecture = network->architecture().text(), parser = network->architecture().parser();
    const Shape shape{setting.batch, setting.side, setting.side, network->architecture().in_channels};
    PlanOptions options;
    options.quantisation = from_metadata(file.metadata).quantisation;
    plan = std::make_unique<Plan>(*network, backend, shape, options);
    check_bytes(*plan, options.quantisation);
  }
  Tensor input(plan->input_shape());
  turns::read_floats(setting.input, input.values<float>().data(), input.values<float>().size());
  const auto logits = plan->run(input).values<float>();
  turns::write_floats(setting.logits, logits.data(), logits.size());
  double flops = 0, bytes = 0;
  for (const Plan::StepInfo& step : plan->steps())
    flops += static_cast<double>(step.flops), bytes += static_cast<double>(step.bytes);
  char told[512];
  std::snprintf(told, sizeof told,
                "\"name\": \"Furrow\", \"version\": \"%s\", \"network\": \"%s\", \"flops\": %.17g, \"bytes\": %.17g",
                backend.name().c_str(), architecture.c_str(), flops, bytes);
  if (!parser) return turns::serve(setting, told, [&] { plan->run(input); });
  std::vector<uint8_t> labels(static_cast<size_t>(setting.batch * setting.side * setting.side));
  return turns::serve(setting, told, [&] {
    const Plan::SmallLogits small = plan->run_small(input);
    cpu::upsample_argmax(&pool, small.logits, small.height, small.width, labels);
  });
}

int quantise(const turns::Setting& setting, const std::string& out) {
  ThreadPool pool(setting.threads);
  cpu::CpuBackend backend(&pool);
  const io::Checkpoint file = io::read_checkpoint(setting.weights);
  const std::unique_ptr<Network> network = build(recognise(file.tensors));
  network->load(file.tensors, DType::f32);
  Plan plan(*network, backend, {setting.batch, setting.side, setting.side, network->architecture().in_channels});
  Tensor input(plan.input_shape());
  turns::read_floats(setting.input, input.values<float>().data(), input.values<float>().size());
  Calibration calibration;
  plan.run_watched(input, [&](size_t step, double, const std::vector<Plan::Written>& written) {
    for (size_t i = 0; i < written.size(); ++i)
      calibration.add(plan.steps()[step].quantised_as(i), written[i].value.values<float>());
  });
  ModelInfo info = from_metadata(file.metadata);
  info.architecture = network->architecture().text();
  info.quantisation = calibration.best();
  io::write_safetensors(out, file.tensors, to_metadata(info));
  return 0;
}

int write_input(const std::string& path, int64_t side, int64_t batch) {
  if (side < 1 || side > 8192 || batch < 1 || batch > 64) throw std::invalid_argument("side or batch out of range");
  const auto values = structured_inputs({batch, side, side, 3}, 1);
  turns::write_floats(path, values[0].values<float>().data(), values[0].values<float>().size());
  return 0;
}

int compare(const std::string& wanted, const std::string& got) {
  const uintmax_t bytes = std::filesystem::file_size(wanted);
  if (bytes == 0 || bytes != std::filesystem::file_size(got))
    throw std::runtime_error(got + ": not as many logits as " + wanted);
  std::vector<float> a(bytes / sizeof(float)), b(a.size());
  turns::read_floats(wanted, a.data(), a.size());
  turns::read_floats(got, b.data(), b.size());
  double most = 0, errors = 0, squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    most = std::isfinite(error) ? std::max(most, error) : 1e300;
    errors += std::isfinite(error) ? error * error : 1e300;
    squares += static_cast<double>(a[i]) * static_cast<double>(a[i]);
  }
  const auto root = [&](double sum) { return sum < 1e300 ? std::sqrt(sum / static_cast<double>(a.size())) : 1e300; };
  std::printf("{\"max_error\": %.6g, \"rms_error\": %.6g, \"rms\": %.6g}\n", most, root(errors), root(squares));
  return 0;
}

int peaks() {
  std::vector<double> flops, bytes;
  for (int i = 0; i < 15; ++i) flops.push_back(fma_burst(5)), bytes.push_back(copy_burst());
  std::sort(flops.begin(), flops.end()), std::sort(bytes.begin(), bytes.end());
  std::printf("{\"flops_per_s\": %.6g, \"bytes_per_s\": %.6g}\n", flops[7], bytes[7]);
  return 0;
}

int run(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "serve") return serve(turns::read_setting(argc, argv, 2));
  if (verb == "quantise" && argc > 3) return quantise(turns::read_setting(argc - 1, argv, 2), argv[argc - 1]);
  if (verb == "weights" && argc == 4) {
    io::write_safetensors(argv[3], random_network(Architecture::parse(argv[2]))->state());
    return 0;
  }
  if (verb == "input" && argc == 5) return write_input(argv[2], std::atoll(argv[3]), std::atoll(argv[4]));
  if (verb == "compare" && argc == 4) return compare(argv[2], argv[3]);
  if (verb == "peaks" && argc == 2) return peaks();
  throw std::invalid_argument("serve, quantise, weights, input, compare or peaks: see the head of bench/cpu/main.cc");
}

}  // namespace
}  // namespace furrow::bench

int main(int argc, char** argv) {
  try {
    return furrow::bench::run(argc, argv);
  } catch (const furrow::Error& error) {
    std::fprintf(stderr, "furrow_cpu_turns: %s\n", error.line().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "furrow_cpu_turns: %s\n", error.what());
    return dynamic_cast<const std::invalid_argument*>(&error) != nullptr ? 2 : 1;
  }
  return 1;
}
