// Whether this process was launched as one of several, read from what launchers leave in the environment.
#pragma once

#include <optional>
#include <string>

namespace furrow::parallel {

struct Launch {
  int rank = 0, size = 1;
  int local_rank = 0;  // among the processes of this machine; the rank where the launcher does not say
  std::string by;      // "Open MPI", "PMI", "Slurm"
  int local_size = 1;  // processes of this machine; all of them where the launcher does not say
};

// By OMPI_COMM_WORLD_RANK and _SIZE (Open MPI's mpirun), PMI_RANK and PMI_SIZE (MPICH's, and srun --mpi=pmi2),
// SLURM_PROCID and SLURM_STEP_NUM_TASKS (srun; inside a batch script, where only SLURM_NTASKS is set, a program is one
// process). Nothing where there is none of them, or one process, or where they are no numbers with 0 <= rank < size.
std::optional<Launch> launched();

}  // namespace furrow::parallel
