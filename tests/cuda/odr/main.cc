// Both compilers' tables in one program: two tables of two names, whether or not this machine has a GPU.
#include <cstdio>
#include <string_view>

#include "kernels/cuda/api.h"
#include "kernels/cuda/runtime.h"

int main() {
  using std::string_view;
  const bool emulated =
      furrow::emulated::api.name == string_view("emulated") && furrow::gpu::make_emulated_runtime()->emulated();
#if defined(FURROW_HAVE_CUDA)
  const bool device = furrow::cuda::api.name == string_view("cuda");
  std::puts("tables: emulated and cuda");
#else
  const bool device = true;
  std::puts("table: emulated (this build has no CUDA)");
#endif
  return emulated && device ? 0 : 1;
}
