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
  rebuild_tensor,
  rebuild_parameter,
  parameter,
  storage,  // the DType stands beside it
  size,
  device,
  inert,  // a torch.dtype: a value already, not to be applied
  numpy_scalar,
  numpy_dtype,
};

struct AllowedGlobal {
  std::string_view module, name;
  PickleGlobal meaning;
  DType dtype = DType::f32;  // of a storage
};

// The entry for `module`.`name`; throws for every other name. ErrorCode::malformed, or unsupported where the name shows
// that a model object or an unread kind of tensor was saved; the message names `opcode`, the name and the byte `at`.
const AllowedGlobal& allowed_global(std::string_view module, std::string_view name, const char* opcode, uint64_t at);

}  // namespace furrow::io
