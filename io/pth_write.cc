#include "io/pth_write.h"

#include <bit>
#include <unordered_set>

#include "io/atomic_file.h"
#include "io/utf8.h"
#include "io/zip_write.h"
#include "kernels/error.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

const std::string kRoot = "archive/";

const char* storage_class(DType type) {
  switch (type) {
    case DType::f32: return "FloatStorage";
    case DType::f64: return "DoubleStorage";
    case DType::f16: return "HalfStorage";
    case DType::bf16: return "BFloat16Storage";
    case DType::i64: return "LongStorage";
    case DType::i32: return "IntStorage";
    case DType::i16: return "ShortStorage";
    case DType::i8: return "CharStorage";
    case DType::u8: return "ByteStorage";
    case DType::boolean: return "BoolStorage";
    case DType::u16:
    case DType::u32: break;
  }
  throw Error(ErrorCode::unsupported, "PyTorch's classic storages have no " + std::string(name(type)))
      .hint("write safetensors instead");
}

// Appends the opcodes of protocol 2; see io/pickle_machine.h for the reader of the same.
class PickleWriter {
 public:
  PickleWriter() : out_("\x80\x02") {}
  std::string finish() { return out_ + '.'; }

  void op(char code) { out_ += code; }
  void global(const std::string& module, const std::string& name) { out_ += 'c' + module + '\n' + name + '\n'; }
  void text(const std::string& value) {
    require(is_utf8(value), "write_pth: text is UTF-8");
    out_ += 'X';
    little(value.size(), 4);
    out_ += value;
  }
  void integer(int64_t value) {
    if (value >= 0 && value < 256) {
      out_ += 'K';
      little(static_cast<uint64_t>(value), 1);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
      out_ += 'J';
      little(static_cast<uint64_t>(value), 4);
    } else {
      out_ += "\x8a\x08";
      little(static_cast<uint64_t>(value), 8);
    }
  }
  void real(double value) {
    out_ += 'G';
    little(__builtin_bswap64(std::bit_cast<uint64_t>(value)), 8);  // the one big-endian number of the format
  }
  void ordered_dict() {
    global("collections", "OrderedDict");
    out_ += ")R";
  }
  void tuple(const std::vector<int64_t>& values) {
    op('(');
    for (const int64_t value : values) integer(value);
    op('t');
  }

 private:
  void little(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out_ += static_cast<char>(value >> (8 * i));
  }
  std::string out_;
};

void write_tensor(PickleWriter& out, const NamedTensor& tensor, size_t record) {
  std::vector<int64_t> strides(tensor.dims.size());
  int64_t stride = 1;
  for (size_t i = strides.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(tensor.dims[i], 1);
  }
  out.text(tensor.name);
  out.global("torch._utils", "_rebuild_tensor_v2");
  out.op('(');
  out.op('(');
  out.text("storage");
  out.global("torch", storage_class(tensor.dtype));
  out.text(std::to_string(record));
  out.text("cpu");
  out.integer(tensor.elements());
  out.op('t');
  out.op('Q');
  out.integer(0);
  out.tuple(tensor.dims);
  out.tuple(strides);
  out.op('\x89');  // requires_grad: False
  out.ordered_dict();
  out.op('t');
  out.op('R');
}

std::string make_pickle(const NamedTensors& tensors, const PthOptions& options) {
  PickleWriter out;
  const bool nested = !options.nest_under.empty();
  if (nested) {
    out.op('}');
    out.op('(');
    for (const auto& [key, value] : options.extra) {
      out.text(key);
      if (const auto* integer = std::get_if<int64_t>(&value))
        out.integer(*integer);
      else if (const auto* real = std::get_if<double>(&value))
        out.real(*real);
      else
        out.text(std::get<std::string>(value));
    }
    out.text(options.nest_under);
  }
  out.ordered_dict();
  out.op('(');
  for (size_t i = 0; i < tensors.size(); ++i) write_tensor(out, tensors[i], i);
  out.op('u');
  if (nested) out.op('u');
  return out.finish();
}

void check(const NamedTensors& tensors, const PthOptions& options) {
  require(!options.nest_under.empty() || options.extra.empty(), "write_pth: extra entries need nest_under");
  std::unordered_set<std::string, SecretHash> names;
  for (const NamedTensor& tensor : tensors) {
    require(names.insert(tensor.name).second, "write_pth: names are unique");
    require(tensor.bytes.size() == static_cast<size_t>(tensor.elements()) * size_of(tensor.dtype),
            "write_pth: byte count equals shape");
  }
  std::unordered_set<std::string, SecretHash> keys = {options.nest_under};
  for (const auto& [key, value] : options.extra) require(keys.insert(key).second, "write_pth: keys are unique");
}

}  // namespace

void write_pth(const std::string& path, const NamedTensors& tensors, const PthOptions& options) {
  check(tensors, options);
  const std::string pickle = make_pickle(tensors, options);
  AtomicFile file(path);
  ZipWriter zip(file);
  const auto text = [](const std::string& s) { return std::as_bytes(std::span(s.data(), s.size())); };
  zip.add(kRoot + "data.pkl", text(pickle));
  zip.add(kRoot + "byteorder", text("little"));
  for (size_t i = 0; i < tensors.size(); ++i) zip.add(kRoot + "data/" + std::to_string(i), tensors[i].bytes);
  zip.add(kRoot + "version", text("3\n"));
  zip.finish();
  file.commit();
}

}  // namespace furrow::io
