# Settings (YAML, JSON) and tables (CSV).
set(FURROW_IO_CONFIG
  closest.cc config.cc config_builder.cc config_json.cc config_problems.cc config_schema.cc config_text.cc
  config_values.cc config_yaml.cc)
set(FURROW_IO_CONFIG_LOOPS csv.cc)
