#include "nn/freeze.h"

#include <algorithm>
#include <set>

namespace furrow {
namespace {

bool below(const std::string& key, const std::string& prefix) {
  return key.starts_with(prefix) && (key.size() == prefix.size() || prefix.ends_with('.') || key[prefix.size()] == '.');
}

[[noreturn]] void refuse(const std::vector<Module::Keyed>& parameters, const std::string& prefix) {
  std::set<std::string> tops;
  for (const Module::Keyed& k : parameters) tops.insert(k.key.substr(0, k.key.find('.')));
  std::string known;
  for (const std::string& top : tops) known += (known.empty() ? "" : ", ") + top;
  throw Error(ErrorCode::configuration, "nothing to freeze under \"" + printable(prefix) + "\"")
      .hint("the network has " + known);
}

}  // namespace

void freeze(Module& module, std::span<const std::string> prefixes, FrozenStatistics statistics) {
  const std::vector<Module::Keyed> parameters = module.parameters();
  std::vector<Parameter*> matching;
  for (const std::string& prefix : prefixes) {
    const size_t before = matching.size();
    for (const Module::Keyed& k : parameters)
      if (below(k.key, prefix)) matching.push_back(k.parameter);
    if (matching.size() == before) refuse(parameters, prefix);
  }
  const auto remains = [&](const Module::Keyed& k) {
    return k.parameter->trainable && std::ranges::find(matching, k.parameter) == matching.end();
  };
  if (std::ranges::none_of(parameters, remains))
    throw Error(ErrorCode::configuration, "everything is frozen: nothing would be trained");
  for (Parameter* p : matching) {
    if (!p->trainable && statistics == FrozenStatistics::fixed) p->frozen = true;
    p->trainable = false;
  }
}

}  // namespace furrow
