# Checkpoint readers and writers.
set(FURROW_IO_CONTAINERS
  atomic_file.cc checkpoint.cc foreign.cc mapped_file.cc npy.cc npy_header.cc pickle_globals.cc pickle_machine.cc
  pickle_reduce.cc pth.cc pth_claims.cc pth_select.cc pth_stream.cc pth_tar.cc pth_write.cc safetensors.cc
  json_tokens.cc json_walk.cc safetensors_header.cc safetensors_write.cc tar.cc zip.cc zip_directory.cc zip_write.cc)
set(FURROW_IO_CONTAINERS_LOOPS crc32c.cc md5.cc non_finite.cc pth_tensors.cc sha256.cc utf8.cc)
