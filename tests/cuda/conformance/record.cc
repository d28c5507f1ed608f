// Running, storing and replaying the conformance cases.
#include "tests/cuda/conformance/record.h"

#include <cstdio>
#include <cstring>

#include "kernels/error.h"

namespace furrow::gpu {

std::vector<uint32_t> run_case(Runtime& runtime, const ConformanceKernels& kernels, const ConformanceCase& c,
                               const std::vector<uint32_t>& in) {
  const int samples = static_cast<int>(in.size() / static_cast<size_t>(c.in_words));
  std::vector<uint32_t> out(static_cast<size_t>(c.out_words) * samples);
  struct Memory {
    Runtime& runtime;
    void* data;
    ~Memory() { runtime.release(data); }
  };
  const Memory device_in{runtime, runtime.allocate(in.size() * 4)},
      device_out{runtime, runtime.allocate(out.size() * 4)};
  runtime.upload({}, device_in.data, in.data(), in.size() * 4);
  kernels.run({}, c.word, static_cast<const uint32_t*>(device_in.data), static_cast<uint32_t*>(device_out.data),
              samples);
  runtime.download({}, out.data(), device_out.data, out.size() * 4);
  runtime.synchronize({});
  return out;
}

Answers run_cases(Runtime& runtime, const ConformanceKernels& kernels) {
  Answers answers{runtime.name(), {}};
  for (const ConformanceCase& c : conformance_cases()) {
    std::vector<uint32_t> in = inputs(c), out = run_case(runtime, kernels, c, in);
    answers.cases.push_back({c.name, c.in_words, c.out_words, c.samples, std::move(in), std::move(out)});
  }
  return answers;
}

namespace {

uint64_t fnv1a(const char* bytes, size_t count) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (size_t i = 0; i < count; ++i) hash = (hash ^ static_cast<unsigned char>(bytes[i])) * 0x100000001B3u;
  return hash;
}

class Writer {
 public:
  void number(uint64_t value, int bytes = 4) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> 8 * i & 255));
  }
  void text(const std::string& value) {
    number(value.size());
    out += value;
  }
  void words(const std::vector<uint32_t>& values) {
    for (const uint32_t value : values) number(value);
  }
  std::string out;
};

class Reader {
 public:
  explicit Reader(const std::string& bytes, size_t end) : bytes_(bytes), end_(end) {}
  uint64_t number(int bytes = 4) {
    need(static_cast<size_t>(bytes));
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes_[at_++])) << 8 * i;
    return value;
  }
  std::string text() {
    const size_t count = number();
    need(count);
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  std::vector<uint32_t> words(uint64_t count) {
    need(count > end_ ? end_ + 1 : count * 4);
    std::vector<uint32_t> values(count);
    for (uint32_t& value : values) value = static_cast<uint32_t>(number());
    return values;
  }
  bool at_end() const { return at_ == end_; }

 private:
  void need(size_t count) const {
    if (count > end_ - at_) throw Error(ErrorCode::malformed, "the conformance file is cut").at(at_);
  }
  const std::string& bytes_;
  size_t at_ = 0, end_;
};

}  // namespace

std::string serialise(const Answers& answers) {
  Writer writer;
  writer.out = "FCF1";
  writer.number(answers.cases.size());
  writer.text(answers.device);
  for (const Answer& a : answers.cases) {
    writer.text(a.name);
    writer.number(static_cast<uint64_t>(a.in_words));
    writer.number(static_cast<uint64_t>(a.out_words));
    writer.number(static_cast<uint64_t>(a.samples));
    writer.words(a.in);
    writer.words(a.out);
  }
  writer.number(fnv1a(writer.out.data(), writer.out.size()), 8);
  return std::move(writer.out);
}

Answers parse(const std::string& bytes) {
  if (bytes.size() < 20 || bytes.compare(0, 4, "FCF1") != 0)
    throw Error(ErrorCode::malformed, "not a conformance file");
  const size_t end = bytes.size() - 8;
  uint64_t stored = 0;
  for (size_t i = 0; i < 8; ++i) stored |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[end + i])) << 8 * i;
  if (stored != fnv1a(bytes.data(), end)) throw Error(ErrorCode::checksum, "the conformance file is damaged");
  Reader reader(bytes, end);
  reader.number();   // the four letters
  const uint64_t count = reader.number();
  Answers answers{reader.text(), {}};
  for (uint64_t i = 0; i < count; ++i) {
    Answer a;
    a.name = reader.text();
    a.in_words = static_cast<int>(reader.number());
    a.out_words = static_cast<int>(reader.number());
    a.samples = static_cast<int>(reader.number());
    if (a.in_words <= 0 || a.out_words <= 0 || a.samples <= 0 || a.in_words > 1 << 16 || a.out_words > 1 << 16 ||
        a.samples > 1 << 16)
      throw Error(ErrorCode::malformed, "a size in the conformance file is out of range");
    a.in = reader.words(static_cast<uint64_t>(a.in_words) * static_cast<uint64_t>(a.samples));
    a.out = reader.words(static_cast<uint64_t>(a.out_words) * static_cast<uint64_t>(a.samples));
    answers.cases.push_back(std::move(a));
  }
  if (!reader.at_end()) throw Error(ErrorCode::malformed, "the conformance file has bytes to spare");
  return answers;
}

bool replay(const Answers& stored, Runtime& emulator) {
  std::printf("emulator against %s\n%-32s %8s %10s %12s %12s\n", stored.device.c_str(), "case", "words", "different",
              "worst", "allowed");
  bool agree = true;
  for (const Answer& a : stored.cases) {
    const ConformanceCase* c = find_case(a.name);
    if (c == nullptr || c->in_words != a.in_words || c->out_words != a.out_words)
      throw Error(ErrorCode::malformed, "the conformance file holds a case this program does not know").in(a.name);
    const Difference d =
        compare(*c, a.in, run_case(emulator, emulated::conformance_kernels, *c, a.in), a.out, c->device);
    std::printf("%-32s %8lld %10lld %12.3g %12.3g%s%s\n", c->name, static_cast<long long>(d.words),
                static_cast<long long>(d.different), d.worst, c->device, d.different > 0 ? "  " : "", d.first.c_str());
    agree = agree && d.different == 0;
  }
  return agree;
}

}  // namespace furrow::gpu
