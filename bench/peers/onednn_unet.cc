// The classic U-Net on oneDNN 2.x, float32, in turns (bench/cpu/serve.h); scripts/bench_cpu.sh compiles it where the
// library is.
//
//   onednn_unet --algorithm direct|winograd SETTING...     --weights: folded.bin of cpu_export.py
//
// Every layer takes the layout that oneDNN prefers. Winograd: where it has it, for 3x3; where not, direct.
#include <omp.h>

#include <dnnl.hpp>
#include <filesystem>
#include <unordered_map>

#include "bench/cpu/serve.h"

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
constexpr auto kF32 = memory::data_type::f32;

struct Layer {
  int32_t outputs, inputs, side;
  bool transposed;
  std::vector<float> weights, biases;
};

std::vector<Layer> read_layers(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Layer> layers;
  for (int32_t head[3]; file.read(reinterpret_cast<char*>(head), sizeof head);) {
    Layer l{head[0], head[1], std::abs(head[2]), head[2] < 0, {}, {}};
    if (l.outputs < 1 || l.inputs < 1 || l.side < 1 || l.side > 7 || l.outputs > 4096 || l.inputs > 4096)
      throw std::runtime_error(path + ": not folded weights");
    l.weights.resize(static_cast<size_t>(l.outputs) * l.inputs * l.side * l.side), l.biases.resize(l.outputs);
    file.read(reinterpret_cast<char*>(l.weights.data()), static_cast<std::streamsize>(l.weights.size() * 4));
    file.read(reinterpret_cast<char*>(l.biases.data()), static_cast<std::streamsize>(l.biases.size() * 4));
    if (!file) throw std::runtime_error(path + ": cut off");
    layers.push_back(std::move(l));
  }
  return layers;
}

class Net {
 public:
  explicit Net(dnnl::algorithm preferred) : preferred_(preferred) {}

  memory plain(const memory::dims& dims) { return memory({dims, kF32, Tag::nchw}, engine_); }
  memory convolution(memory x, const Layer& l, bool relu) {
    const memory::dims in = x.get_desc().dims(), out{in[0], l.outputs, in[2], in[3]};
    const memory::dim p = l.side / 2;
    const auto describe = [&](dnnl::algorithm algorithm) {
      const dnnl::convolution_forward::desc d(dnnl::prop_kind::forward_inference, algorithm, any(in),
                                              any({l.outputs, l.inputs, l.side, l.side}), any({l.outputs}, Tag::x),
                                              any(out), {1, 1}, {p, p}, {p, p});
      return dnnl::convolution_forward::primitive_desc(d, with_relu(relu), engine_);
    };
    auto pd = [&] {
      if (preferred_ == dnnl::algorithm::convolution_winograd && l.side == 3) {
        try {
          return describe(preferred_);
        } catch (const dnnl::error&) {  // it has none for this layer
        }
      }
      return describe(dnnl::algorithm::convolution_direct);
    }();
    memory y(pd.dst_desc(), engine_);
    steps_.push_back({dnnl::convolution_forward(pd),
                      {{DNNL_ARG_SRC, as(x, pd.src_desc())},
                       {DNNL_ARG_WEIGHTS, packed(l, pd.weights_desc())},
                       {DNNL_ARG_BIAS, biases(l)},
                       {DNNL_ARG_DST, y}}});
    return y;
  }
  memory doubled(memory x, const Layer& l) {
    const memory::dims in = x.get_desc().dims(), out{in[0], l.outputs, 2 * in[2], 2 * in[3]};
    const dnnl::deconvolution_forward::desc d(dnnl::prop_kind::forward_inference,
                                              dnnl::algorithm::deconvolution_direct, any(in),
                                              any({l.outputs, l.inputs, 2, 2}), any({l.outputs}, Tag::x), any(out),
                                              {2, 2}, {0, 0}, {0, 0});
    const dnnl::deconvolution_forward::primitive_desc pd(d, engine_);
    memory y(pd.dst_desc(), engine_);
    steps_.push_back({dnnl::deconvolution_forward(pd),
                      {{DNNL_ARG_SRC, as(x, pd.src_desc())},
                       {DNNL_ARG_WEIGHTS, packed(l, pd.weights_desc())},
                       {DNNL_ARG_BIAS, biases(l)},
                       {DNNL_ARG_DST, y}}});
    return y;
  }
  memory pooled(memory x) {
    const memory::dims in = x.get_desc().dims();
    const dnnl::pooling_forward::desc d(dnnl::prop_kind::forward_inference, dnnl::algorithm::pooling_max, x.get_desc(),
                                        any({in[0], in[1], in[2] / 2, in[3] / 2}), {2, 2}, {2, 2}, {0, 0}, {0, 0});
    const dnnl::pooling_forward::primitive_desc pd(d, engine_);
    memory y(pd.dst_desc(), engine_);
    steps_.push_back({dnnl::pooling_forward(pd), {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}}});
    return y;
  }
  memory joined(memory a, memory b) {
    const dnnl::concat::primitive_desc pd(1, {a.get_desc(), b.get_desc()}, engine_);
    memory y(pd.dst_desc(), engine_);
    steps_.push_back({dnnl::concat(pd),
                      {{DNNL_ARG_MULTIPLE_SRC, a}, {DNNL_ARG_MULTIPLE_SRC + 1, b}, {DNNL_ARG_DST, y}}});
    return y;
  }
  // `x` in that layout: itself, or a copy that every run makes.
  memory as(memory x, const memory::desc& wanted) {
    if (x.get_desc() == wanted) return x;
    memory y(wanted, engine_);
    steps_.push_back({dnnl::reorder(x, y), {{DNNL_ARG_FROM, x}, {DNNL_ARG_TO, y}}});
    return y;
  }
  void run() {
    for (const Step& s : steps_) s.primitive.execute(stream_, s.arguments);
    stream_.wait();
  }

 private:
  struct Step {
    dnnl::primitive primitive;
    std::unordered_map<int, memory> arguments;
  };
  static memory::desc any(const memory::dims& dims, Tag tag = Tag::any) { return {dims, kF32, tag}; }
  static dnnl::primitive_attr with_relu(bool relu) {
    dnnl::primitive_attr attributes;
    dnnl::post_ops after;
    if (relu) after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(after);
    return attributes;
  }
  memory packed(const Layer& l, const memory::desc& wanted) {
    memory plain({{l.outputs, l.inputs, l.side, l.side}, kF32, Tag::oihw}, engine_,
                 const_cast<float*>(l.weights.data()));
    memory y(wanted, engine_);
    dnnl::reorder(plain, y).execute(stream_, plain, y);
    stream_.wait();
    return y;
  }
  memory biases(const Layer& l) {
    memory y({{l.outputs}, kF32, Tag::x}, engine_);
    std::memcpy(y.get_data_handle(), l.biases.data(), l.biases.size() * 4);
    return y;
  }

  dnnl::algorithm preferred_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::vector<Step> steps_;
};

// Of the library, as it is mapped.
uintmax_t library_bytes() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (const size_t at = line.find('/'); at != std::string::npos && line.find("libdnnl") != std::string::npos)
      return std::filesystem::file_size(line.substr(at));
  return 0;
}

int run(const turns::Setting& setting) {
  if (setting.algorithm != "direct" && setting.algorithm != "winograd")
    throw std::invalid_argument("--algorithm direct or winograd");
  omp_set_num_threads(setting.threads);
  const bool winograd = setting.algorithm == "winograd";
  Net net(winograd ? dnnl::algorithm::convolution_winograd : dnnl::algorithm::convolution_direct);
  const int64_t n = setting.batch, side = setting.side, pixels = side * side;
  memory input = net.plain({n, 3, side, side});
  memory output = net.plain({n, 1, side, side});
  {
    const std::vector<Layer> layers = read_layers(setting.weights);
    if (layers.size() != 23) throw std::runtime_error("not the classic U-Net of 23 layers");
    size_t next = 0;
    const auto two = [&](memory x) {
      x = net.convolution(x, layers[next++], true);
      return net.convolution(x, layers[next++], true);
    };
    std::vector<memory> skips{two(input)};
    for (int level = 1; level < 5; ++level) skips.push_back(two(net.pooled(skips.back())));
    memory x = skips.back();
    for (int level = 3; level >= 0; --level) {
      x = net.doubled(x, layers[next++]);
      x = two(net.joined(skips[static_cast<size_t>(level)], x));
    }
    x = net.convolution(x, layers[next++], false);
    const memory y = net.as(x, output.get_desc());
    output = y;
  }
  std::vector<float> picture(static_cast<size_t>(n * pixels * 3));
  turns::read_floats(setting.input, picture.data(), picture.size());
  float* planes = static_cast<float*>(input.get_data_handle());
  for (int64_t b = 0; b < n; ++b)
    for (int64_t i = 0; i < pixels; ++i)
      for (int64_t c = 0; c < 3; ++c)
        planes[(b * 3 + c) * pixels + i] = picture[static_cast<size_t>((b * pixels + i) * 3 + c)];
  net.run();
  // One class: N C H W and N H W C are the same.
  turns::write_floats(setting.logits, static_cast<const float*>(output.get_data_handle()),
                      static_cast<size_t>(n * pixels));
  const dnnl_version_t* v = dnnl_version();
  const std::string version =
      std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  const std::string size = std::to_string(static_cast<double>(library_bytes()) / (1 << 20));
  return turns::serve(setting, R"("name": "oneDNN", "version": ")" + version + "\"", [&] { net.run(); },
                      R"(, "packages": ["libdnnl"], "disk_MiB": )" + size + R"(, "mapped_MiB": )" + size);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(turns::read_setting(argc, argv, 1));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "onednn_unet: %s\n", error.what());
    return 1;
  }
}
