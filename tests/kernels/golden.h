// Reads tests/data/ops or /losses: arrays that make_ops_golden.py or make_losses_golden.py computed with PyTorch.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace furrow {

class Golden {
 public:
  explicit Golden(const std::string& set = "ops") {
    const std::string path = std::string(FURROW_TEST_DATA) + "/" + set + "/" + set;
    std::ifstream index(path + ".txt"), values(path + ".f64", std::ios::binary);
    std::string name;
    Shape s;
    for (int64_t first; index >> name >> s.n >> s.h >> s.w >> s.c >> first;) {
      Tensor t(s, DType::f64);
      values.seekg(first * 8);
      values.read(reinterpret_cast<char*>(t.values<double>().data()), s.elements() * 8);
      EXPECT_TRUE(values.good()) << name;
      tensors_.emplace(name, t);
    }
  }

  // "conv2d" -> {"conv2d/k3", "conv2d/k3_two_sources", ...}
  std::set<std::string> cases(const std::string& op) const {
    std::set<std::string> found;
    for (const auto& [name, tensor] : tensors_)
      if (name.starts_with(op + "/")) found.insert(name.substr(0, name.rfind('/')));
    EXPECT_FALSE(found.empty()) << "no case of " << op;
    return found;
  }

  // Null where the case has no such array.
  const Tensor* find(const std::string& name) const {
    const auto it = tensors_.find(name);
    return it == tensors_.end() ? nullptr : &it->second;
  }
  const Tensor& get(const std::string& name) const {
    const Tensor* t = find(name);
    require(t != nullptr, "Golden: no such array");
    return *t;
  }
  // Number `i` of the case's options.
  double option(const std::string& one, size_t i) const { return get(one + "/options").values<double>()[i]; }
  int64_t whole_option(const std::string& one, size_t i) const { return static_cast<int64_t>(option(one, i)); }

 private:
  std::map<std::string, Tensor> tensors_;
};

}  // namespace furrow
