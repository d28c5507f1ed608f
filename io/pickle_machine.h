// PickleMachine: the stack, the memo and the opcodes. Used by run_pickle alone.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/cursor.h"
#include "io/pickle.h"
#include "io/pickle_globals.h"
#include "kernels/secret_hash.h"

namespace furrow::io {

class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const Limits& limits, const PickleSource& source);
  Pickle run();                                     // up to STOP
  uint64_t length() const { return cursor_.at(); }  // of what was read

 private:
  // Groups of opcodes; each returns false where `op` is not one of its own. pickle_machine.cc
  bool scalar(uint8_t op);
  bool text(uint8_t op);
  bool container(uint8_t op);
  bool insertion(uint8_t op);
  bool memo(uint8_t op);
  bool structure(uint8_t op);

  // What REDUCE, NEWOBJ, BUILD and BINPERSID mean for the allowed names. pickle_reduce.cc
  void apply();
  void build();
  void persistent();
  void persistent_storage(const PickleValue& id);
  void persistent_tensor(const PickleValue& id);
  void global(std::string_view module, std::string_view name, const char* opcode);
  PickleValue call(PickleGlobal callee, std::span<const PickleValue> args);
  PickleValue rebuild_tensor(std::span<const PickleValue> args, PickleGlobal version);
  PickleValue add_tensor(const PickleTensor& tensor);
  bool build_parameter(const PickleValue& target, const PickleValue& state);
  PickleValue ordered_pairs(const PickleValue& list);

  void push(PickleValue value);
  PickleValue pop();
  const PickleValue& top() const;
  // The values pushed since the innermost mark, left where they are; drop_to_mark() takes them and the mark away.
  std::span<const PickleValue> since_mark() const;
  void drop_to_mark();
  void put(uint32_t index, PickleValue value);
  PickleValue get(uint32_t index) const;

  void push_text(PickleKind kind, uint64_t length);
  void push_long(uint64_t length);
  void push_tuple(size_t count);
  PickleValue make(PickleKind kind, std::span<const PickleValue> items = {});
  PickleValue make(PickleKind kind, std::initializer_list<PickleValue> items) {
    return make(kind, std::span(items.begin(), items.size()));
  }
  void add(const PickleValue& container, std::span<const PickleValue> items);
  void check_key(const PickleValue& key) const;
  bool is(const PickleValue& value, PickleKind kind) const { return value.kind == kind; }
  void count_object(uint64_t bytes);
  void count_values(uint64_t count);
  void charge(BudgetShare& share, uint64_t bytes);
  // Before `values` grows: charges what its next elements take, some at a time.
  template <class T>
  void charge_next(const std::vector<T>& values, size_t& charged);
  [[noreturn]] void refuse(const std::string& reason) const;
  [[noreturn]] void over(const char* what, uint64_t limit, uint64_t found) const;

  const Limits limits_;
  const PickleSource source_;
  Cursor cursor_;
  Pickle pickle_;
  uint64_t at_ = 0;  // of the opcode being executed
  uint8_t op_ = 0x80;
  uint64_t objects_ = 0;  // of this pickle; a small one may have fewer than its file
  BudgetShare scratch_;   // what ends with the machine
  size_t charged_stack_ = 0, charged_marks_ = 0, charged_memo_ = 0;  // elements
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  static constexpr uint64_t kNoFrame = UINT64_MAX;
  uint64_t frame_end_ = kNoFrame;
  // Picklers number the memo 0, 1, 2 ...; other indices go to the map, so a huge one costs nothing.
  std::vector<PickleValue> memo_;
  std::unordered_map<uint32_t, PickleValue, SecretHash> sparse_memo_;
  // The storage of a tuple (its index), or the tensor of a number: see PickleIds.
  std::unordered_map<int64_t, uint32_t, SecretHash> known_ids_;
};

// "GLOBAL", "EXT1"; "0x07" where no protocol has such an opcode.
std::string pickle_opcode_name(uint8_t op);

}  // namespace furrow::io
