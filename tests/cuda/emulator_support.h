// What the emulator's tests share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/emu/engine.h"

namespace furrow::emu {

// The reason of the KernelError that `launch` ends with; empty where it ends well.
template <class Launch> std::string error_of(Launch launch) {
  try {
    launch();
  } catch (const KernelError& error) {
    return error.reason();
  }
  return "";
}

inline ::testing::AssertionResult says(const std::string& reason, const std::string& part) {
  if (reason.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << part << "\" is not in \"" << reason << "\"";
}

// Puts the process's options back.
struct KeepOptions {
  Options before = options();
  ~KeepOptions() { options() = before; }
};

// Runs body() under every schedule and both landings.
template <class Body> void in_all_schedules(Body body) {
  const KeepOptions keep;
  for (const Order order : {Order::forward, Order::reverse, Order::random, Order::run_ahead})
    for (const Landing landing : {Landing::eager, Landing::lazy}) {
      SCOPED_TRACE("order " + std::to_string(static_cast<int>(order)) + ", landing " +
                   std::to_string(static_cast<int>(landing)));
      options().order = order;
      options().landing = landing;
      body();
      if (::testing::Test::HasFailure()) return;
    }
}

}  // namespace furrow::emu
