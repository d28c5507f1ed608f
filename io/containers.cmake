# Checkpoint readers and writers.
set(FURROW_IO_CONTAINERS
  atomic_file.cc checkpoint.cc foreign.cc mapped_file.cc non_finite.cc pickle_globals.cc pickle_machine.cc
  pickle_reduce.cc pth.cc pth_select.cc pth_tensors.cc pth_write.cc safetensors.cc safetensors_header.cc
  safetensors_write.cc sha256.cc utf8.cc zip.cc zip_directory.cc zip_write.cc)
