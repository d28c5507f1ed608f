// The table of the ladder's steps.
#include "kernels/cuda/ladder/ladder_launch.h"

namespace furrow::SIMT_NS {

const gpu::LadderKernels ladder_kernels{.naive = ladder_naive,
                                        .shared_tile = ladder_shared_tile,
                                        .register_tile = ladder_register_tile,
                                        .mma = ladder_mma,
                                        .pipelined_halo = ladder_pipelined_halo,
                                        .pipelined_halo_unswizzled = ladder_pipelined_halo_unswizzled};

}  // namespace furrow::SIMT_NS
