#include "kernels/cuda/vendor/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <vector>

#include "kernels/error.h"

namespace furrow::gpu {
namespace {

constexpr const char* kOwn = "--kernels own needs no such library";

struct Wanted {
  const char* title;               // for messages
  const char* variable;            // environment: an explicit path
  std::vector<std::string> names;  // in the order they are tried
  size_t lowest, beyond;           // versions, as the library writes them
  const char* without = kOwn;      // what to do where there is none
};

std::string dotted(size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

struct Opened {
  void* handle;
  std::string file;
};

Opened open(const Wanted& wanted) {
  std::vector<std::string> names = wanted.names;
  const char* given = std::getenv(wanted.variable);
  const bool named = given != nullptr && *given != '\0';
  if (named) names = {given};
  std::string tried;
  for (const std::string& name : names) {
    // Every reference resolved now, so that a half-installed library fails here; its names stay its own.
    if (void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) return {handle, name};
    const char* why = dlerror();
    tried += (tried.empty() ? "" : "; ") + printable(why == nullptr ? name : std::string(why), 200);
  }
  throw Error(ErrorCode::device, std::string(wanted.title) + " cannot be opened: " + tried)
      .hint((named ? std::string(wanted.variable) + " names that file; "
                   : std::string(wanted.variable) + " may name the file; ") +
            wanted.without);
}

// The functions of one opened library.
class Symbols {
 public:
  Symbols(const Wanted& wanted, Opened opened) : wanted_(wanted), opened_(std::move(opened)) {}
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;
  ~Symbols() { dlclose(opened_.handle); }  // the library itself stays: RTLD_NODELETE

  template <class Function>
  void find(Function*& function, const char* name) const {
    void* address = dlsym(opened_.handle, name);
    if (address == nullptr)
      throw Error(ErrorCode::device,
                  std::string(wanted_.title) + ": " + printable(opened_.file) + " has no function " + name)
          .hint(wanted_.without);
    function = reinterpret_cast<Function*>(address);
  }
  std::string checked_version(size_t version) const {
    if (version < wanted_.lowest || version >= wanted_.beyond)
      throw Error(ErrorCode::device, std::string(wanted_.title) + ": " + printable(opened_.file) + " is version " +
                                         dotted(version) + "; Furrow knows " + dotted(wanted_.lowest) +
                                         " up to, not with, " + dotted(wanted_.beyond))
          .hint(wanted_.without);
    return dotted(version);
  }
  const std::string& file() const { return opened_.file; }

 private:
  const Wanted& wanted_;
  Opened opened_;
};

}  // namespace

std::shared_ptr<const CudnnLibrary> open_cudnn() {
  static const Wanted kWanted{"cuDNN 9", "FURROW_CUDNN", {"libcudnn.so.9"}, 90000, 100000};
  const Symbols symbols(kWanted, open(kWanted));
  auto library = std::make_shared<CudnnLibrary>();
  cudnn::Api& api = library->api;
  symbols.find(api.version, "cudnnGetVersion");
  library->version = symbols.checked_version(api.version());
  library->file = symbols.file();
  symbols.find(api.error_string, "cudnnGetErrorString");
  symbols.find(api.last_error, "cudnnGetLastErrorString");
  symbols.find(api.create, "cudnnCreate");
  symbols.find(api.destroy, "cudnnDestroy");
  symbols.find(api.set_stream, "cudnnSetStream");
  symbols.find(api.create_descriptor, "cudnnBackendCreateDescriptor");
  symbols.find(api.destroy_descriptor, "cudnnBackendDestroyDescriptor");
  symbols.find(api.finalize, "cudnnBackendFinalize");
  symbols.find(api.set_attribute, "cudnnBackendSetAttribute");
  symbols.find(api.get_attribute, "cudnnBackendGetAttribute");
  symbols.find(api.execute, "cudnnBackendExecute");
  return library;
}

std::shared_ptr<const CublasLtLibrary> open_cublaslt() {
  static const Wanted kWanted{
      "cuBLASLt", "FURROW_CUBLASLT", {"libcublasLt.so.13", "libcublasLt.so.12"}, 120000, 140000};
  const Symbols symbols(kWanted, open(kWanted));
  auto library = std::make_shared<CublasLtLibrary>();
  cublaslt::Api& api = library->api;
  symbols.find(api.version, "cublasLtGetVersion");
  library->version = symbols.checked_version(api.version());
  library->file = symbols.file();
  symbols.find(api.status_name, "cublasLtGetStatusName");
  symbols.find(api.create, "cublasLtCreate");
  symbols.find(api.destroy, "cublasLtDestroy");
  symbols.find(api.desc_create, "cublasLtMatmulDescCreate");
  symbols.find(api.desc_destroy, "cublasLtMatmulDescDestroy");
  symbols.find(api.desc_set, "cublasLtMatmulDescSetAttribute");
  symbols.find(api.layout_create, "cublasLtMatrixLayoutCreate");
  symbols.find(api.layout_destroy, "cublasLtMatrixLayoutDestroy");
  symbols.find(api.layout_set, "cublasLtMatrixLayoutSetAttribute");
  symbols.find(api.preference_create, "cublasLtMatmulPreferenceCreate");
  symbols.find(api.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  symbols.find(api.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  symbols.find(api.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  symbols.find(api.config_get, "cublasLtMatmulAlgoConfigGetAttribute");
  symbols.find(api.matmul, "cublasLtMatmul");
  return library;
}

std::shared_ptr<const NcclLibrary> open_nccl() {
  static const Wanted kWanted{"NCCL 2", "FURROW_NCCL", {"libnccl.so.2"},
                              20900,    30000,         "--parallel mpi needs no such library"};
  const Symbols symbols(kWanted, open(kWanted));
  auto library = std::make_shared<NcclLibrary>();
  nccl::Api& api = library->api;
  symbols.find(api.version, "ncclGetVersion");
  int version = 0;
  if (api.version(&version) != 0) version = 0;
  library->version = symbols.checked_version(static_cast<size_t>(version));
  library->file = symbols.file();
  symbols.find(api.error_string, "ncclGetErrorString");
  symbols.find(api.unique_id, "ncclGetUniqueId");
  symbols.find(api.init_rank, "ncclCommInitRank");
  symbols.find(api.destroy, "ncclCommDestroy");
  symbols.find(api.abort, "ncclCommAbort");
  symbols.find(api.async_error, "ncclCommGetAsyncError");
  symbols.find(api.all_gather, "ncclAllGather");
  return library;
}

}  // namespace furrow::gpu
