// Ceilings of this device, measured in this run: what the floors of all rows are computed from.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "bench/gpu/session.h"

namespace furrow::bench {
namespace {

Check none() { return {"nothing to check", 0, 0}; }

double copy_rate(Session& s) {
  // 8 GiB read and written together; less where the GPU has little memory.
  const size_t quarter = s.runtime().memory().free / 4 >> 20 << 20;
  const size_t bytes = s.tiny() ? size_t{1} << 20 : std::clamp(quarter, size_t{1} << 20, size_t{4} << 30);
  std::vector<float> pattern(1 << 16);
  for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<float>(i);
  const DeviceBytes from(s.runtime(), bytes), to(s.runtime(), bytes);
  const size_t part = pattern.size() * sizeof(float);
  s.runtime().zero(s.stream(), from.data(), bytes);
  s.runtime().upload(s.stream(), from.as<std::byte>() + (bytes - part), pattern.data(), part);
  const Subject copy{[&] { s.runtime().copy(s.stream(), to.data(), from.data(), bytes); },
                     [&] { s.runtime().synchronize(s.stream()); }};
  const Timing t = s.time({copy}, 20)[0];
  std::vector<float> last(pattern.size());
  s.runtime().download(s.stream(), last.data(), to.as<std::byte>() + (bytes - part), part);
  s.runtime().synchronize(s.stream());
  const double rate = 2e-6 * static_cast<double>(bytes) / t.ms;
  s.report.ceilings.push_back({"copy", "GB/s", rate, "device to device copy, read plus written",
                               {"bytes at the end differ", last == pattern ? 0.0 : 1.0, 0}});
  return rate;
}

void add_read_rate(Session& s) {
  // 4 MiB fit into the second-level caches of sm_80 and 90 (40 and 50 MB) and are 16 times a first-level one of 256
  // KiB. A small GPU's, of 2 or 3 MiB, would show the rate of its memory instead.
  gpu::ReadArgs args{
      .words = s.tiny() ? 1 << 12 : 1 << 18, .blocks = s.tiny() ? 2 : 4096, .rounds = s.tiny() ? 2 : 1};
  std::vector<uint32_t> words(static_cast<size_t>(args.words) * 4),
      sums(static_cast<size_t>(args.blocks) * gpu::kPeakThreads, ~0u);
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(i) * 2654435761u;
  const DeviceBytes from(s.runtime(), words.data(), words.size() * sizeof(uint32_t)),
      out(s.runtime(), sums.data(), sums.size() * sizeof(uint32_t));
  args.from = from.data(), args.out = out.as<uint32_t>();
  const Timing t = s.time({s.launches([&] { s.tables().peak->read(s.stream(), args); })}, 20)[0];
  out.download(sums.data());
  const auto sum = [](auto begin, auto end) { return std::accumulate(begin, end, uint32_t{0}); };
  const uint32_t want = sum(words.begin(), words.end()) * static_cast<uint32_t>(args.rounds);
  double wrong = 0;
  for (auto block = sums.begin(); block != sums.end(); block += gpu::kPeakThreads)
    wrong += sum(block, block + gpu::kPeakThreads) == want ? 0 : 1;
  s.report.ceilings.push_back({"second-level cache", "GB/s", gpu::read_bytes(args) / t.ms * 1e-6,
                               std::to_string(args.words >> 6) + " KiB, read whole by every block",
                               {"blocks with another sum", wrong, 0}});
}

double loop_rate(Session& s, gpu::PeakLoop loop, const char* name, const char* how) {
  gpu::PeakArgs args{.loop = loop, .blocks = s.tiny() ? 2 : 4096, .rounds = s.tiny() ? 16 : 4096};
  std::vector<float> results(static_cast<size_t>(args.blocks) * gpu::kPeakThreads, NAN);
  const DeviceBytes out(s.runtime(), results.data(), results.size() * sizeof(float));
  args.out = out.as<float>();
  const Timing t = s.time({s.launches([&] { s.tables().peak->loop(s.stream(), args); })}, 20)[0];
  out.download(results.data());
  double wrong = 0;
  for (const float r : results) wrong += r == static_cast<float>(peak_result(args)) ? 0 : 1;
  const double rate = peak_flops(args) / t.ms * 1e-9;
  s.report.ceilings.push_back({name, "TFLOP/s", rate, how, {"threads with another sum", wrong, 0}});
  return rate;
}

}  // namespace

void add_ceilings(Session& s) {
  const double copy = copy_rate(s);
  double peaks[4];
  peaks[static_cast<size_t>(Precision::fp32)] =
      loop_rate(s, gpu::PeakLoop::f32, "multiply fp32", "own loop of fmaf on registers");
  peaks[static_cast<size_t>(Precision::tf32)] =
      loop_rate(s, gpu::PeakLoop::tf32, "multiply tf32", "own loop of mma.sync m16n8k8 on registers");
  peaks[static_cast<size_t>(Precision::bf16)] =
      loop_rate(s, gpu::PeakLoop::bf16, "multiply bf16", "own loop of mma.sync m16n8k16 on registers");
  peaks[static_cast<size_t>(Precision::fp16)] =
      loop_rate(s, gpu::PeakLoop::f16, "multiply fp16", "own loop of mma.sync m16n8k16 on registers");
  s.set_ceilings(copy, peaks);
  add_read_rate(s);

  const auto finish = [&] { s.runtime().synchronize(s.stream()); };
  const auto nothing = [&] { s.tables().peak->nothing(s.stream()); };
  const double waited = s.time({{nothing, finish}}, 0)[0].ms;
  s.report.ceilings.push_back(
      {"launch and wait", "us", waited * 1e3, "an empty kernel, launched and waited for", none()});
  const double queued = s.time({{nothing, finish}}, 5)[0].ms;
  s.report.ceilings.push_back({"launch", "us", queued * 1e3, "an empty kernel among many in a stream", none()});
  constexpr int kNodes = 64;
  const std::shared_ptr<gpu::Recording> nodes = s.runtime().record(s.stream(), [&] {
    for (int i = 0; i < kNodes; ++i) nothing();
  });
  if (nodes == nullptr) return s.report.not_run.push_back("graph node: this device does not record");
  const double gap = s.time({{[&] { nodes->replay(s.stream()); }, finish, kNodes}}, 5)[0].ms;
  s.report.ceilings.push_back({"graph node", "us", gap * 1e3, "an empty kernel among 64 in a replayed graph", none()});
}

}  // namespace furrow::bench
