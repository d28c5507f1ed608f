// Which file is the plug-in, and what is said where there is none.
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "parallel/communicator.h"
#include "parallel/plugin.h"

namespace furrow::parallel {
namespace {

std::vector<std::string> candidates() {
  if (const char* given = std::getenv("FURROW_MPI"); given != nullptr && *given != '\0') return {given};
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  return {(program / "furrow-mpi.so").string(), (program / FURROW_PLUGIN_FOLDER / "furrow-mpi.so").string()};
}

const furrow_parallel& open_table() {
  std::string tried;
  for (const std::string& file : candidates()) {
    // Global names: an MPI opens plug-ins of its own, some of which expect to find it so. Never closed.
    void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    if (handle == nullptr) {
      const char* why = dlerror();
      tried += (tried.empty() ? "" : "; ") + printable(why == nullptr ? file : std::string(why), 200);
      continue;
    }
    using Table = const furrow_parallel* (*)();
    const auto table = reinterpret_cast<Table>(dlsym(handle, FURROW_PARALLEL_SYMBOL));
    if (table == nullptr || table() == nullptr)
      throw Error(ErrorCode::device, std::string("no plug-in of Furrow: it has no ") + FURROW_PARALLEL_SYMBOL)
          .file(file);
    return *table();
  }
  throw Error(ErrorCode::device, "the MPI plug-in cannot be opened: " + tried)
      .hint(
          "it is built where CMake finds an MPI; FURROW_MPI may name the file; --parallel none trains in one process");
}

}  // namespace

std::unique_ptr<Communicator> open_mpi(int expected) {
  auto all = std::make_unique<Communicator>(open_table());
  if (expected != 0 && all->size() != expected)
    throw Error(ErrorCode::device, std::to_string(expected) + " processes were launched, but " + all->library() +
                                       " knows of " + std::to_string(all->size()))
        .hint("launch with the mpirun of the MPI that furrow-mpi.so was built with (srun: see its --mpi)");
  return all;
}

}  // namespace furrow::parallel
