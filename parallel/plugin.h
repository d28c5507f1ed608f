/* What a plug-in that joins processes offers Furrow: one C function that returns a table. The program links no MPI; it
 * opens furrow-mpi.so when it was launched as one of several processes, and an MPI of another ABI needs a plug-in
 * compiled against it, nothing else.
 *
 * Every function but rank, size, library, error and abort_all is collective: each process calls it, in the same
 * order. They return 0, or another number after which error() has a text. Only one thread calls them. */
#ifndef FURROW_PARALLEL_PLUGIN_H
#define FURROW_PARALLEL_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FURROW_PARALLEL_VERSION 1

struct furrow_parallel {
  uint32_t version; /* FURROW_PARALLEL_VERSION; a table of another one is not read further */
  uint32_t bytes;   /* sizeof(struct furrow_parallel) */
  int (*start)(void);
  int (*rank)(void);
  int (*size)(void);
  const char* (*library)(void); /* one line: which MPI */
  const char* (*error)(void);   /* of the last failure */
  int (*barrier)(void);
  /* `data` of `root` replaces everyone's; at most 2^30 bytes. */
  int (*broadcast)(void* data, uint64_t bytes, int root);
  /* all = own of rank 0, own of rank 1, ...: `bytes` each, at most 2^30 in all. */
  int (*all_gather)(const void* own, void* all, uint64_t bytes);
  /* Block r of `own` goes to rank r; all = the blocks for this process, by sender: `bytes` each, at most 2^30 in all.
   */
  int (*all_to_all)(const void* own, void* all, uint64_t bytes);
  int (*finish)(void);
  void (*abort_all)(int status); /* ends every process; does not return */
};

/* The name under which it is looked up is FURROW_PARALLEL_SYMBOL. */
const struct furrow_parallel* furrow_parallel_table(void);
#define FURROW_PARALLEL_SYMBOL "furrow_parallel_table"

#ifdef __cplusplus
}
#endif
#endif
