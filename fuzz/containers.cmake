# Checkpoint readers. tests/containers replays the same sources over the same corpora in every build.
furrow_fuzz(zip SOURCES fuzz_zip.cc LINKS furrow_io)
furrow_fuzz(pickle SOURCES fuzz_pickle.cc LINKS furrow_io)
furrow_fuzz(pth SOURCES fuzz_pth.cc ../tests/containers/builders.cc LINKS furrow_io furrow_zlib)
furrow_fuzz(stream SOURCES fuzz_stream.cc LINKS furrow_io)
furrow_fuzz(tar SOURCES fuzz_tar.cc LINKS furrow_io)
furrow_fuzz(safetensors SOURCES fuzz_safetensors.cc LINKS furrow_io)
furrow_fuzz(npy SOURCES fuzz_npy.cc LINKS furrow_io)
