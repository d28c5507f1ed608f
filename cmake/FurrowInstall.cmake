# Filled in with the install rules: libraries, public headers, package config.
