/* furrow-mpi.so: the table of parallel/plugin.h by MPI (3.0 or later). */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parallel/plugin.h"

static char failure[MPI_MAX_ERROR_STRING + 64];
static int own_rank = 0, all_size = 1;

static int checked(int code, const char* what) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (code == MPI_SUCCESS) return 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) length = 0;
  snprintf(failure, sizeof failure, "%s: %.*s", what, length, text);
  return 1;
}

static int start(void) {
  int begun = 0, given = MPI_THREAD_SINGLE, code = MPI_Initialized(&begun);
  if (code == MPI_SUCCESS && !begun) code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
  if (checked(code, "MPI_Init_thread")) return 1;
  /* A failure becomes a line of ours and not the end of the process in the middle of a write. */
  if (checked(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler")) return 1;
  return checked(MPI_Comm_rank(MPI_COMM_WORLD, &own_rank), "MPI_Comm_rank") ||
         checked(MPI_Comm_size(MPI_COMM_WORLD, &all_size), "MPI_Comm_size");
}

static int rank(void) { return own_rank; }
static int size(void) { return all_size; }

static const char* library(void) {
  static char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) return "an MPI";
  text[strcspn(text, "\n")] = '\0';
  return text;
}

static const char* error(void) { return failure; }
static int barrier(void) { return checked(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

static int broadcast(void* data, uint64_t bytes, int root) {
  return checked(MPI_Bcast(data, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD), "MPI_Bcast");
}

static int all_gather(const void* own, void* all, uint64_t bytes) {
  return checked(MPI_Allgather(own, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD), "MPI_Allgather");
}

static int all_to_all(const void* own, void* all, uint64_t bytes) {
  return checked(MPI_Alltoall(own, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, MPI_COMM_WORLD), "MPI_Alltoall");
}

static int finish(void) { return checked(MPI_Finalize(), "MPI_Finalize"); }

static void abort_all(int status) {
  MPI_Abort(MPI_COMM_WORLD, status);
  _Exit(status);
}

const struct furrow_parallel* furrow_parallel_table(void) {
  static const struct furrow_parallel table = {FURROW_PARALLEL_VERSION,
                                               sizeof(struct furrow_parallel),
                                               start,
                                               rank,
                                               size,
                                               library,
                                               error,
                                               barrier,
                                               broadcast,
                                               all_gather,
                                               all_to_all,
                                               finish,
                                               abort_all};
  return &table;
}
