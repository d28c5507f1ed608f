// Inputs and comparison of the conformance cases.
#include "tests/cuda/conformance/cases.h"

#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>

namespace furrow::gpu {

const std::vector<ConformanceCase>& conformance_cases() {
  // sum, emulator: it adds K + 1 terms in fp32, each rounded by 2^-24 of a partial sum that is at most the magnitudes:
  // 17 or 9 times 2^-24. sum, GPU: tensor cores align the terms of each step of 8 or 16 to the largest and cut them off
  // below 2^-24 of it (Fasi et al., "Numerical behavior of NVIDIA tensor cores", 2021), so each term may lose 2^-23:
  // 17 times 2^-23, and the emulator's own error on top.
  // ulp, emulator: the C library's functions are within 1 ulp, the model is exact. ulp, GPU: CUDA C++ Programming
  // Guide, "Mathematical Functions": expf 2, logf 1, log1pf 1, powf 4 ulp, and the C library's 1 on top.
  constexpr double kEmulated16 = 17 * 0x1p-24, kDevice16 = 17 * 0x1p-23 + kEmulated16;
  constexpr double kEmulated8 = 9 * 0x1p-24, kDevice8 = 9 * 0x1p-23 + kEmulated8;
  static const std::vector<ConformanceCase> cases{
      {"mma_m16n8k16_f16", Word::mma_f16, 320, 128, 6, Agreement::sum, kEmulated16, kDevice16},
      {"mma_m16n8k16_bf16", Word::mma_bf16, 320, 128, 6, Agreement::sum, kEmulated16, kDevice16},
      {"mma_m16n8k8_tf32", Word::mma_tf32, 320, 128, 6, Agreement::sum, kEmulated8, kDevice8},
      {"mma_m16n8k32_s8", Word::mma_s8, 320, 128, 4, Agreement::bits, 0, 0},
      {"mma_m16n8k32_u8s8", Word::mma_u8s8, 320, 128, 4, Agreement::bits, 0, 0},
      {"ldmatrix_x4", Word::ldmatrix_x4, 160, 128, 2, Agreement::bits, 0, 0},
      {"ldmatrix_x4_trans", Word::ldmatrix_x4_trans, 160, 128, 2, Agreement::bits, 0, 0},
      {"ldmatrix_x2", Word::ldmatrix_x2, 160, 64, 2, Agreement::bits, 0, 0},
      {"cp_async_16", Word::cp_async_16, 320, 384, 2, Agreement::bits, 0, 0},
      {"cp_async_4", Word::cp_async_4, 128, 96, 2, Agreement::bits, 0, 0},
      {"shfl_sync", Word::shuffle_index, 64, kShuffles * 32, 2, Agreement::bits, 0, 0},
      {"shfl_up_sync", Word::shuffle_up, 64, kShuffles * 32, 1, Agreement::bits, 0, 0},
      {"shfl_down_sync", Word::shuffle_down, 64, kShuffles * 32, 1, Agreement::bits, 0, 0},
      {"shfl_xor_sync", Word::shuffle_xor, 64, kShuffles * 32, 1, Agreement::bits, 0, 0},
      {"shfl_of_64_bits_and_float", Word::shuffle_64, 64, 96, 2, Agreement::bits, 0, 0},
      {"ballot_sync_and_popc", Word::ballot, 32, 96, 4, Agreement::bits, 0, 0},
      {"syncthreads_count", Word::barrier_count, 96, 192, 4, Agreement::bits, 0, 0},
      {"to_tf32", Word::to_tf32, 128, 128, 8, Agreement::value, 0, 0},
      {"to_float_f16", Word::from_f16, 128, 128, 8, Agreement::value, 0, 0},
      {"to_float_bf16", Word::from_bf16, 128, 128, 8, Agreement::value, 0, 0},
      {"from_float_f16", Word::to_f16, 128, 128, 8, Agreement::value, 0, 0},
      {"from_float_bf16", Word::to_bf16, 128, 128, 8, Agreement::value, 0, 0},
      {"expf", Word::expf, 128, 128, 8, Agreement::ulp, 1, 3},
      {"logf", Word::logf, 128, 128, 8, Agreement::ulp, 1, 2},
      {"log1pf", Word::log1pf, 128, 128, 8, Agreement::ulp, 1, 2},
      {"powf", Word::powf, 256, 128, 8, Agreement::ulp, 1, 5},
      {"fmaf_sqrtf_fminf_fmaxf_floorf", Word::exact_math, 192, 384, 4, Agreement::value, 0, 0},
      {"atomics", Word::atomics, 64, 6, 4, Agreement::bits, 0, 0},
  };
  return cases;
}

const ConformanceCase* find_case(const std::string& name) {
  for (const ConformanceCase& c : conformance_cases())
    if (name == c.name) return &c;
  return nullptr;
}

namespace {

// splitmix64 (Steele, Lea, Flood 2014): the same numbers everywhere.
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  uint32_t word() { return static_cast<uint32_t>(next() >> 32); }
  // sign, an exponent in [low, high], any fraction: bits of a float
  uint32_t real(int low, int high) {
    const uint32_t exponent =
        static_cast<uint32_t>(low + 127) + static_cast<uint32_t>(next() >> 40) % static_cast<uint32_t>(high - low + 1);
    return (word() & 0x80000000u) | exponent << 23 | (word() & 0x7FFFFFu);
  }
};

constexpr uint32_t kSpecial[] = {0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF,
                                 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC12345, 0x7F812345, 0x3F800000,
                                 0xBF800000, 0x477FE000, 0x477FEFFF, 0x477FF000, 0x33000000, 0x33000001, 0x387FE000,
                                 0x38801000, 0x38803000, 0x3F801000, 0x3F802FFF, 0x7F7FF000, 0x3F808000, 0x3F818000};

// Operands of an mma as float bits, by the sample's kind. Of the type's own precision, so that packing rounds nothing.
uint32_t operand(Random& random, Word word, int kind) {
  const uint32_t keep = word == Word::mma_bf16 ? 0xFFFF0000u : 0xFFFFE000u;   // f16 and tf32 keep 10 bits of fraction
  switch (kind) {
    case 0: return random.real(-3, 3) & keep;
    case 1: return (word == Word::mma_f16 ? random.real(12, 15) : random.real(40, 55)) & keep;             // large
    case 2: {  // denormals of the type
      if (word == Word::mma_f16)
        return std::bit_cast<uint32_t>(static_cast<float>(random.word() % 1024) * 0x1p-24f) |
               (random.word() & 0x80000000u);
      return random.word() & 0x807FFFFFu & keep;
    }
    case 3: return random.word() % 4 == 0 ? random.real(0, 8) & keep : 0;  // sparse: positions show
    case 4:
      return random.word() % 64 == 0 ? (random.word() % 2 ? 0x7F800000u : 0x7FC00000u) : random.real(-2, 2) & keep;
    default: return random.real(-14, 8) & keep;
  }
}

uint32_t pack(Word word, uint32_t low, uint32_t high) {
  if (word == Word::mma_bf16) return (low >> 16) | (high & 0xFFFF0000u);
  const auto half = [](uint32_t bits) -> uint32_t {   // exact: the operand is a number of the type
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude >= 0x7F800000u) return sign | 0x7C00u | (magnitude > 0x7F800000u ? 0x200u : 0u);
    const double value = std::fabs(decode_float(bits));
    if (value < 0x1p-14) return sign | static_cast<uint32_t>(value * 0x1p24);
    return sign | ((magnitude >> 23) - 112) << 10 | (magnitude >> 13 & 0x3FFu);
  };
  return half(low) | half(high) << 16;
}

}  // namespace

std::vector<uint32_t> inputs(const ConformanceCase& c) {
  Random random{0xF0220u + static_cast<uint64_t>(c.word)};
  std::vector<uint32_t> in(static_cast<size_t>(c.in_words) * c.samples);
  for (int s = 0; s < c.samples; ++s)
    for (int i = 0; i < c.in_words; ++i) {
      uint32_t& word = in[static_cast<size_t>(s) * c.in_words + i];
      word = random.word();
      switch (c.word) {
        case Word::mma_f16: case Word::mma_bf16:
          if (i % 10 < 6) {
            const uint32_t low = operand(random, c.word, s), high = operand(random, c.word, s);
            word = pack(c.word, low, high);
          } else {
            word = s == 2 ? random.word() & 0x807FFFFFu : random.real(-6, 4);
          }
          break;
        case Word::mma_tf32:
          word = i % 10 < 6 ? operand(random, c.word, s) : s == 2 ? random.word() & 0x807FFFFFu : random.real(-6, 4);
          break;
        case Word::mma_s8: case Word::mma_u8s8:
          if (i % 10 >= 6) word = static_cast<uint32_t>(static_cast<int32_t>(word) >> 2);   // room for the products
          else if (s == 1) word = random.word() % 2 ? 0x80FF7F00u : 0xFF80007Fu;            // the ends of both ranges
          break;
        case Word::ldmatrix_x4: case Word::ldmatrix_x4_trans: case Word::ldmatrix_x2:
          if (i >= 128)
            word = s == 0 ? static_cast<uint32_t>(i - 128)
                          : (static_cast<uint32_t>(i - 128) * 11 + 5) % 32;  // a permutation
          break;
        case Word::cp_async_16: if (i >= 256) word &= 1; break;
        case Word::cp_async_4: if (i >= 64) word &= 1; break;
        case Word::shuffle_index: if (i >= 32 && s == 0) word = static_cast<uint32_t>(i * 7) % 32; break;
        case Word::from_f16:
          word = s == 0 ? static_cast<uint32_t>(i) : s == 1 ? 0x7BF0u + static_cast<uint32_t>(i) : word & 0xFFFFu;
          break;
        case Word::from_bf16:
          word = s == 0 ? static_cast<uint32_t>(i) : s == 1 ? 0x7F70u + static_cast<uint32_t>(i) : word & 0xFFFFu;
          break;
        case Word::to_tf32:
        case Word::to_bf16:
        case Word::expf:
        case Word::logf:
        case Word::log1pf:
        case Word::powf:
        case Word::to_f16:
        case Word::exact_math:
          if (i < static_cast<int>(std::size(kSpecial)) * 2 && s == 0)
            word = i % 2 ? random.real(-3, 3) : kSpecial[i / 2];
          else if (i < static_cast<int>(std::size(kSpecial)) && s == 1) word = kSpecial[i];
          else if (s == 2 && c.word == Word::to_f16) word = random.real(-26, -13);          // half's subnormals
          else if (s == 3) word = (random.word() & 0xFFFFF000u) + 0x1000u * (random.word() % 2);   // ties
          else if (s >= 4 || c.word == Word::exact_math) word = random.real(-10, 6);
          // What C's fmin makes of a signalling NaN is its own; CUDA knows none.
          if (c.word == Word::exact_math && (word & 0x7FFFFFFFu) > 0x7F800000u) word |= 0x00400000u;
          if (c.word == Word::logf && s >= 2) word &= 0x7FFFFFFFu;
          if (c.word == Word::powf && s >= 2 && i % 2 == 0) word &= 0x7FFFFFFFu;
          break;
        default: break;
      }
    }
  return in;
}

namespace {

bool is_nan(uint32_t bits) { return (bits & 0x7FFFFFFFu) > 0x7F800000u; }
// Floats as integers in their order, so that neighbours differ by one; both zeros are 0.
int64_t rank(uint32_t bits) {
  const int64_t magnitude = bits & 0x7FFFFFFFu;
  return bits & 0x80000000u ? -magnitude : magnitude;
}
bool halves(Word word) { return word == Word::to_f16 || word == Word::to_bf16; }

}  // namespace

Difference compare(const ConformanceCase& c, const std::vector<uint32_t>& in, const std::vector<uint32_t>& got,
                   const std::vector<uint32_t>& want, double allowed) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity(), kSmallest = 0x1p-126;
  Difference result;
  Modelled modelled;
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t at = i % static_cast<size_t>(c.out_words);
    if (c.agreement == Agreement::sum && at == 0) modelled = model(c, &in[i / c.out_words * c.in_words]);
    const uint32_t g = got[i], w = want[i];
    double off = 0;
    switch (c.agreement) {
      case Agreement::bits: off = g == w ? 0 : kInfinite; break;
      case Agreement::value: {
        const uint32_t infinity = c.word == Word::to_f16 ? 0x7C00u : 0x7F80u;
        const bool nans =
            halves(c.word) ? (g & 0x7FFFu) > infinity && (w & 0x7FFFu) > infinity : is_nan(g) && is_nan(w);
        // Which of +0 and -0 is the smaller is left open by C's fmin and fmax.
        const bool zeros = c.word == Word::exact_math && (at % 6 == 2 || at % 6 == 3) && ((g | w) & 0x7FFFFFFFu) == 0;
        off = g == w || nans || zeros ? 0 : kInfinite;
        break;
      }
      case Agreement::ulp:
        if (is_nan(g) || is_nan(w)) off = is_nan(g) && is_nan(w) ? 0 : kInfinite;
        else if (std::fabs(decode_float(g)) >= kSmallest || std::fabs(decode_float(w)) >= kSmallest)
          off = static_cast<double>(std::llabs(rank(g) - rank(w)));
        break;
      case Agreement::sum: {
        const double a = decode_float(g), b = decode_float(w);
        if (std::isnan(a) || std::isnan(b)) off = std::isnan(a) && std::isnan(b) ? 0 : kInfinite;
        else if (std::isinf(a) || std::isinf(b)) off = a == b ? 0 : kInfinite;
        else off = std::fmax(std::fabs(a - b) - kSmallest, 0) / std::fmax(modelled.magnitudes[at], kSmallest);
        break;
      }
    }
    ++result.words;
    result.worst = std::fmax(result.worst, off);
    if (off > allowed && result.different++ == 0) {
      char text[160];
      std::snprintf(text, sizeof text, "sample %zu, word %zu: got %08x, want %08x", i / c.out_words, at, g, w);
      result.first = text;
    }
  }
  return result;
}

}  // namespace furrow::gpu
