// Assembles PyTorch's two older containers byte by byte, the hostile ones included.
#pragma once

#include <string>
#include <vector>

#include "tests/containers/builders.h"

namespace furrow::testing {

// The pickled magic number of a legacy stream.
std::string stream_magic();

// A stream as torch.save wrote it before 1.6. Every part is a whole pickle but the storages, which are an int64 with
// the number of elements and the elements.
struct StreamShape {
  std::string object = {};
  std::string magic = {}, version = {}, sys_info = {}, keys = {};  // empty: as PyTorch has them
  std::vector<std::string> storages = {little(6, 8) + six_floats()};
  std::string behind = {};
};
std::string build_stream(const StreamShape& shape);
// A stream whose state dictionary is {"w": value}.
std::string stream_of(const std::string& value);

// The pickled value: storage "0" of six floats, or `view` of it (the sixth part of the persistent id).
std::string stream_storage(const std::string& view = "N", const std::string& key = "0", int64_t elements = 6,
                           const std::string& type = "FloatStorage");
std::string stream_tensor(const std::vector<int64_t>& size, const std::vector<int64_t>& stride, int64_t offset = 0,
                          const std::string& view = "N");

struct TarFile {
  std::string name, content;
  char type = '0';
  std::string size = {}, prefix = {};  // fields of the header; empty: right
  bool sum_right = true;
  char fill = '\0';  // behind the content
};
std::string build_tar(const std::vector<TarFile>& files, const std::string& end = std::string(1024, '\0'));

// The tar of 2017 with tensor 1 in storage 2, float32, "w" of shape 2x3, and what a case changes of it.
struct TarShape {
  std::string sys_info = {}, object = {}, tensors = {}, storages = {};  // empty: right
};
std::vector<TarFile> tar_files(const TarShape& shape = {});
// Entries of the members "tensors" and "storages".
std::string tar_tensor(int64_t number, int64_t storage, const std::vector<int64_t>& size,
                       const std::vector<int64_t>& stride, int64_t offset = 0, const std::string& type = "FloatTensor");
std::string tar_storage(int64_t number, int64_t elements, const std::string& data,
                        const std::string& type = "FloatStorage");
// A pickled number; a pickled list of views, each four numbers.
std::string pickled(int64_t number);
std::string pickled_views(const std::vector<std::vector<int64_t>>& views);

}  // namespace furrow::testing
