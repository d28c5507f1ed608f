// The names a pickle may mention. The list is closed: a name is compared, never looked up.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/tensor.h"

namespace furrow::io {

enum class PickleGlobal : uint8_t {
  ordered_dict,
  counter,
  set,
  byte_array,
  codecs_encode,
  rebuild_tensor_v1,
  rebuild_tensor,
  rebuild_tensor_v3,
  rebuild_parameter,
  parameter,
  storage,  // the DType stands beside it
  untyped_storage,
  tensor_type,   // "torch.FloatTensor", as the tar of 2017 names types; the DType stands beside it
  element_type,  // a torch.dtype: a value already, not to be applied
  size,
  device,
  numpy_scalar,
  numpy_dtype,
};

struct AllowedGlobal {
  std::string_view module, name;
  PickleGlobal meaning;
  DType dtype = DType::f32;  // of a storage, a tensor type, an element type
};

// The entry for `module`.`name`; throws for every other name. ErrorCode::malformed, or unsupported where the name shows
// that a model object or an unread kind of tensor was saved; the message names `opcode`, the name, the byte `at` and
// the `entry` that holds the pickle.
const AllowedGlobal& allowed_global(std::string_view module, std::string_view name, const char* opcode, uint64_t at,
                                    std::string_view entry);

}  // namespace furrow::io
