// The model compiled into the program (-DFURROW_EMBED=default|none|FILE; never into the library).
#pragma once

#include <memory>
#include <string>

#include "io/limits.h"
#include "segment/model.h"

namespace furrow::apps {

bool has_embedded_model();
// The bytes of the native file; empty where none is compiled in.
std::span<const std::byte> embedded_bytes();
// `path`, or the model compiled in where it is empty or "default". Throws ErrorCode::usage where there is none.
Model load_model(const std::string& path, const io::Limits& limits);
// The same, of a network that finds wrinkles: throws ErrorCode::unsupported for a face parser, naming the file.
Model load_wrinkle_model(const std::string& path, const io::Limits& limits);

}  // namespace furrow::apps
