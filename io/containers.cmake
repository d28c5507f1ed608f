set(FURROW_IO_CONTAINERS empty.cc)  # replaced by the checkpoint readers
