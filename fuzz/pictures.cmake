# Pictures. Corpora: fuzz/corpus/png for png_walk and png_decode, fuzz/corpus/jpeg for jpeg; replayed in every build by
# tests/pictures/replay_test.cc. New seeds: FURROW_SEEDS=DIR pictures_test writes the hostile files of its tables to
# DIR; then fuzz_png_walk -merge=1 fuzz/corpus/png DIR (and so on).
furrow_fuzz(png_walk SOURCES fuzz_png_walk.cc png_mutator.cc LINKS furrow_io furrow_zlib)
furrow_fuzz(png_decode SOURCES fuzz_png_decode.cc png_mutator.cc ${PROJECT_SOURCE_DIR}/tests/pictures/stb_png.cc
  LINKS furrow_io furrow_zlib furrow_stb)
furrow_fuzz(jpeg SOURCES fuzz_jpeg.cc LINKS furrow_io)
