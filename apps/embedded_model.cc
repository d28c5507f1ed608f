#include "apps/embedded_model.h"

#if FURROW_HAS_EMBEDDED_MODEL
// .incbin keeps a model of megabytes out of the compiler; FURROW_EMBEDDED_MODEL is its path, set by
// apps/CMakeLists.txt.
asm(".pushsection .rodata\n"
    ".balign 64\n"
    "furrow_embedded_model_begin:\n"
    ".incbin \"" FURROW_EMBEDDED_MODEL
    "\"\n"
    "furrow_embedded_model_end:\n"
    ".byte 0\n"
    ".popsection\n");
extern "C" const std::byte furrow_embedded_model_begin[];
extern "C" const std::byte furrow_embedded_model_end[];
#endif

namespace furrow::apps {

std::span<const std::byte> embedded_bytes() {
#if FURROW_HAS_EMBEDDED_MODEL
  return {furrow_embedded_model_begin, furrow_embedded_model_end};
#else
  return {};
#endif
}

bool has_embedded_model() { return !embedded_bytes().empty(); }

Model load_model(const std::string& path, const io::Limits& limits) {
  if (!path.empty() && path != "default") return Model::load(path, limits);
  if (!has_embedded_model())
    throw Error(ErrorCode::usage, "this program was built without a model").hint("name one with --weights FILE");
  return Model::load(embedded_bytes(), nullptr, "built-in model", limits);
}

Model load_wrinkle_model(const std::string& path, const io::Limits& limits) {
  Model model = load_model(path, limits);
  with_file(path, [&] { model.require_wrinkles(); });
  return model;
}

}  // namespace furrow::apps
