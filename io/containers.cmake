# Checkpoint readers and writers.
set(FURROW_IO_CONTAINERS
  atomic_file.cc mapped_file.cc sha256.cc)
