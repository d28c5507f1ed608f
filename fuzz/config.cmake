# Settings and tables. tests/config replays the same sources over the same corpora in every build.
furrow_fuzz(config SOURCES fuzz_config.cc LINKS furrow_train furrow_io)
furrow_fuzz(csv SOURCES fuzz_csv.cc LINKS furrow_io)
furrow_fuzz(landmarks SOURCES fuzz_landmarks.cc LINKS furrow_data)   # replayed by tests/datasets
