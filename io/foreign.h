// Says what a file is that is no checkpoint of a kind that can be read.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/error.h"

namespace furrow::io {

// The refusal for `bytes`, in words that help: what it looks like and what to do. ErrorCode::malformed.
Error describe_foreign(std::span<const std::byte> bytes);

}  // namespace furrow::io
