#include "tests/containers/builders_legacy.h"

namespace furrow::testing {

using namespace pickle;

std::string stream_magic() { return {"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15}; }

namespace {

std::string or_default(const std::string& given, const std::string& usual) { return given.empty() ? usual : given; }

std::string sys_info_of(int64_t protocol) {
  return begin() + dict({{"protocol_version", integer(protocol)}, {"little_endian", "\x88"}, {"type_sizes", "}"}}) +
         ".";
}

}  // namespace

std::string build_stream(const StreamShape& shape) {
  std::string out = or_default(shape.magic, stream_magic()) + or_default(shape.version, pickled(1001)) +
                    or_default(shape.sys_info, sys_info_of(1001)) + shape.object +
                    or_default(shape.keys, begin() + list({text("0")}) + ".");
  for (const std::string& storage : shape.storages) out += storage;
  return out + shape.behind;
}

std::string stream_of(const std::string& value) {
  return build_stream({.object = begin() + ordered({{"w", value}}) + "."});
}

std::string stream_storage(const std::string& view, const std::string& key, int64_t elements, const std::string& type) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(elements), view}) + "Q";
}

std::string stream_tensor(const std::vector<int64_t>& size, const std::vector<int64_t>& stride, int64_t offset,
                          const std::string& view) {
  return tensor(stream_storage(view), integer(offset), integers(size), integers(stride));
}

std::string build_tar(const std::vector<TarFile>& files, const std::string& end) {
  std::string out;
  for (const TarFile& file : files) {
    std::string header(512, '\0');
    const auto put = [&](size_t at, const std::string& text) { header.replace(at, text.size(), text); };
    std::string octal(11, '0');
    for (size_t i = 11, rest = file.content.size(); i-- > 0; rest /= 8) octal[i] = static_cast<char>('0' + rest % 8);
    put(0, file.name);
    put(124, or_default(file.size, octal));
    put(148, std::string(8, ' '));
    header[156] = file.type;
    put(257, std::string("ustar\0"
                         "00",
                         8));
    put(345, file.prefix);
    unsigned sum = file.sum_right ? 0 : 1;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    std::string digits(6, '0');
    for (size_t i = 6; i-- > 0; sum /= 8) digits[i] = static_cast<char>('0' + sum % 8);
    put(148, digits + std::string("\0 ", 2));
    out += header + file.content + std::string((512 - file.content.size() % 512) % 512, file.fill);
  }
  return out + end;
}

std::string pickled(int64_t number) { return begin() + integer(number) + "."; }

std::string pickled_views(const std::vector<std::vector<int64_t>>& views) {
  std::vector<std::string> items;
  for (const auto& view : views) items.push_back(integers(view));
  return begin() + list(items) + ".";
}

std::string tar_tensor(int64_t number, int64_t storage, const std::vector<int64_t>& size,
                       const std::vector<int64_t>& stride, int64_t offset, const std::string& type) {
  std::string out = begin() + integer(number) + integer(storage) + global("torch", type) + "\x87.";
  out += little(size.size(), 4) + little(7, 4);  // the second number means nothing
  for (const int64_t n : size) out += little(static_cast<uint64_t>(n), 8);
  for (const int64_t n : stride) out += little(static_cast<uint64_t>(n), 8);
  return out + little(static_cast<uint64_t>(offset), 8);
}

std::string tar_storage(int64_t number, int64_t elements, const std::string& data, const std::string& type) {
  return begin() + integer(number) + text("cpu") + global("torch", type) + "\x87." +
         little(static_cast<uint64_t>(elements), 8) + data;
}

std::vector<TarFile> tar_files(const TarShape& shape) {
  return {{"sys_info", or_default(shape.sys_info, sys_info_of(1000))},
          {"pickle", or_default(shape.object, begin() + ordered({{"w", text("1") + "Q"}}) + ".")},
          {"tensors", or_default(shape.tensors, pickled(1) + tar_tensor(1, 2, {2, 3}, {3, 1}))},
          {"storages", or_default(shape.storages, pickled(1) + tar_storage(2, 6, six_floats()) + pickled_views({}))}};
}

}  // namespace furrow::testing
