#include "io/pickle_machine.h"

#include <algorithm>
#include <cstdio>

#include "io/utf8.h"
#include "kernels/checked.h"

namespace furrow::io {
namespace {

constexpr uint64_t kMaxSparseMemo = 65'536;
// What things take, the allocator's share and the spare room of growing arrays included.
constexpr uint64_t kNodeBytes = 56, kSparseMemoBytes = 64;
constexpr uint64_t kBlockBytes = 48;  // what malloc adds to an array and leaves unused between two, with some room
constexpr size_t kChargedAtOnce = 64;  // elements of a stack

PickleValue value_of(PickleKind kind, int64_t number = 0) { return {.kind = kind, .index = 0, .number = number}; }

}  // namespace

PickleMachine::PickleMachine(std::span<const std::byte> bytes, const Limits& limits, const PickleSource& source)
    : limits_(limits),
      source_(source),
      cursor_(bytes, 0, "the pickle", source.at),
      pickle_(bytes, source),
      scratch_(source.budget) {}

void PickleMachine::refuse(const std::string& reason) const {
  throw Error(ErrorCode::malformed, pickle_opcode_name(op_) + ": " + reason).at(source_.at + at_).in(source_.entry);
}

void PickleMachine::over(const char* what, uint64_t limit, uint64_t found) const {
  throw Error(ErrorCode::limit, std::string("the pickle has too many ") + what)
      .at(source_.at + at_)
      .in(source_.entry)
      .limit(limit, found);
}

void PickleMachine::charge(BudgetShare& share, uint64_t bytes) {
  with_place(source_.at + at_, source_.entry, [&] { share.charge(bytes, "the pickle"); });
}

template <class T>
void PickleMachine::charge_next(const std::vector<T>& values, size_t& charged) {
  if (values.size() < charged) return;
  charge(scratch_, kChargedAtOnce * 2 * sizeof(T));  // an array grows to twice its size
  charged += kChargedAtOnce;
}

void PickleMachine::push(PickleValue value) {
  if (stack_.size() + marks_.size() >= limits_.pickle_stack)
    over("values on its stack", limits_.pickle_stack, stack_.size() + 1);
  charge_next(stack_, charged_stack_);
  stack_.push_back(value);
}

const PickleValue& PickleMachine::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("the stack is empty");
  return stack_.back();
}

PickleValue PickleMachine::pop() {
  const PickleValue value = top();
  stack_.pop_back();
  return value;
}

std::span<const PickleValue> PickleMachine::since_mark() const {
  if (marks_.empty()) refuse("no MARK on the stack");
  return std::span(stack_).subspan(marks_.back());
}

void PickleMachine::drop_to_mark() {
  stack_.resize(marks_.back());
  marks_.pop_back();
}

void PickleMachine::put(uint32_t index, PickleValue value) {
  if (index < memo_.size()) {
    memo_[index] = value;
  } else if (index == memo_.size()) {
    if (memo_.size() >= limits_.pickle_memo) over("memo entries", limits_.pickle_memo, memo_.size() + 1);
    charge_next(memo_, charged_memo_);
    memo_.push_back(value);
  } else {
    if (sparse_memo_.insert_or_assign(index, value).second) charge(scratch_, kSparseMemoBytes);
    if (sparse_memo_.size() > kMaxSparseMemo) over("scattered memo entries", kMaxSparseMemo, sparse_memo_.size());
  }
}

PickleValue PickleMachine::get(uint32_t index) const {
  if (index < memo_.size()) return memo_[index];
  const auto it = sparse_memo_.find(index);
  if (it == sparse_memo_.end()) refuse("memo entry " + std::to_string(index) + " was never put");
  return it->second;
}

void PickleMachine::count_object(uint64_t bytes) {
  ReadBudget& file = pickle_.budget();
  if (++objects_ > limits_.pickle_objects) over("objects", limits_.pickle_objects, objects_);
  if (++file.objects > file.limits().pickle_objects) over("objects", file.limits().pickle_objects, file.objects);
  charge(pickle_.share_, bytes);
}

void PickleMachine::count_values(uint64_t count) {
  ReadBudget& file = pickle_.budget();
  file.values += count;
  if (file.values > file.limits().pickle_values) over("values", file.limits().pickle_values, file.values);
}

PickleValue PickleMachine::make(PickleKind kind, std::span<const PickleValue> items) {
  count_object(kNodeBytes);
  const PickleValue value{.kind = kind, .index = static_cast<uint32_t>(pickle_.nodes_.size()), .number = 0};
  pickle_.nodes_.emplace_back();
  add(value, items);
  return value;
}

void PickleMachine::add(const PickleValue& container, std::span<const PickleValue> items) {
  count_values(items.size());
  Pickle::Node& node = pickle_.nodes_[container.index];
  // An array that grows takes twice its size or what it needs; until it is moved, the old one is there as well.
  const size_t size = node.items.size() + items.size(), room = node.items.capacity();
  if (size > room) {
    BudgetShare moved(source_.budget);
    const size_t grown = std::max(2 * node.items.size(), size);
    charge(pickle_.share_, (grown - room) * sizeof(PickleValue) + kBlockBytes);
    charge(moved, room * sizeof(PickleValue));
    node.items.reserve(grown);
  }
  for (const PickleValue& item : items) {
    const bool nested = item.kind >= PickleKind::tuple && item.kind <= PickleKind::set;
    const uint32_t depth = nested ? pickle_.nodes_[item.index].depth + 1 : 1;
    node.depth = std::max(node.depth, depth);
    if (node.depth > limits_.pickle_depth) over("levels of nesting", limits_.pickle_depth, node.depth);
  }
  node.items.insert(node.items.end(), items.begin(), items.end());
}

void PickleMachine::push_text(PickleKind kind, uint64_t length) {
  const uint64_t begin = cursor_.at();
  const std::string_view text = cursor_.text(length);
  if (kind == PickleKind::text && !is_utf8(text)) refuse("text that is not UTF-8");
  push({.kind = kind, .index = Checked(begin).narrow<uint32_t>(), .number = Checked(length).signed_value()});
}

void PickleMachine::push_long(uint64_t length) {
  if (length > 16) refuse("a whole number of " + std::to_string(length) + " bytes");
  const auto bytes = cursor_.take(length);
  if (length > 8) return push(value_of(PickleKind::big_integer));
  // Two's complement, little-endian; the missing upper bytes repeat the sign.
  uint64_t number = length > 0 && (bytes.back() & std::byte{0x80}) != std::byte{0} ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) number = number << 8 | static_cast<uint64_t>(bytes[i]);
  push(value_of(PickleKind::integer, static_cast<int64_t>(number)));
}

void PickleMachine::push_tuple(size_t count) {
  if (stack_.size() - (marks_.empty() ? 0 : marks_.back()) < count) refuse("the stack is empty");
  const PickleValue tuple = make(PickleKind::tuple, std::span(stack_).last(count));
  stack_.resize(stack_.size() - count);
  push(tuple);
}

bool PickleMachine::scalar(uint8_t op) {
  switch (op) {
    case 'N': push(value_of(PickleKind::none)); return true;
    case 0x88: push(value_of(PickleKind::boolean, 1)); return true;
    case 0x89: push(value_of(PickleKind::boolean, 0)); return true;
    case 'J': push(value_of(PickleKind::integer, static_cast<int32_t>(cursor_.u32()))); return true;
    case 'K': push(value_of(PickleKind::integer, cursor_.u8())); return true;
    case 'M': push(value_of(PickleKind::integer, cursor_.u16())); return true;
    case 0x8a: push_long(cursor_.u8()); return true;
    case 0x8b: push_long(cursor_.u32()); return true;
    // The one big-endian number of the format.
    case 'G': push(value_of(PickleKind::real, static_cast<int64_t>(__builtin_bswap64(cursor_.u64())))); return true;
    default: return false;
  }
}

bool PickleMachine::text(uint8_t op) {
  switch (op) {
    case 'X': push_text(PickleKind::text, cursor_.u32()); return true;
    case 0x8c: push_text(PickleKind::text, cursor_.u8()); return true;
    case 0x8d: push_text(PickleKind::text, cursor_.u64()); return true;
    case 'U': push_text(PickleKind::text, cursor_.u8()); return true;
    case 'T': push_text(PickleKind::text, cursor_.u32()); return true;
    case 'B': push_text(PickleKind::bytes, cursor_.u32()); return true;
    case 'C': push_text(PickleKind::bytes, cursor_.u8()); return true;
    case 0x8e: push_text(PickleKind::bytes, cursor_.u64()); return true;
    default: return false;
  }
}

bool PickleMachine::container(uint8_t op) {
  switch (op) {
    case ')': push_tuple(0); return true;
    case 0x85: push_tuple(1); return true;
    case 0x86: push_tuple(2); return true;
    case 0x87: push_tuple(3); return true;
    case 't': {
      const PickleValue tuple = make(PickleKind::tuple, since_mark());
      drop_to_mark();
      push(tuple);
      return true;
    }
    case ']': push(make(PickleKind::list)); return true;
    case '}': push(make(PickleKind::dict)); return true;
    case 0x8f: push(make(PickleKind::set)); return true;
    default: return false;
  }
}

void PickleMachine::check_key(const PickleValue& key) const {
  switch (key.kind) {
    case PickleKind::list:
    case PickleKind::dict:
    case PickleKind::ordered_dict:
    case PickleKind::set:
    case PickleKind::global:
    case PickleKind::storage:
    case PickleKind::tensor: refuse("a key that is neither text nor a number");
    default: return;
  }
}

// APPEND and SETITEM take what one and two pops give; the others everything since the mark.
bool PickleMachine::insertion(uint8_t op) {
  const bool single = op == 'a' || op == 's', pairs = op == 's' || op == 'u';
  if (!single && !pairs && op != 'e' && op != 0x90) return false;
  if (single) {
    const size_t floor = marks_.empty() ? 0 : marks_.back(), count = pairs ? 2 : 1;
    if (stack_.size() - floor <= count) refuse("the stack is empty");
    marks_.push_back(stack_.size() - count);
  }
  const std::span<const PickleValue> items = since_mark();
  const size_t floor = marks_.size() > 1 ? marks_[marks_.size() - 2] : 0;
  if (marks_.back() <= floor) refuse("the stack is empty");
  const PickleValue target = stack_[marks_.back() - 1];
  const PickleKind wanted = op == 0x90 ? PickleKind::set : PickleKind::list;
  // Exactly these kinds: writing items into a tensor corrupted PyTorch's memory once (CVE-2026-24747).
  if (pairs ? !is_dict(target) : !is(target, wanted)) refuse("the target cannot hold items of this kind");
  if (pairs && items.size() % 2 != 0) refuse("a key without a value");
  for (size_t i = 0; pairs && i < items.size(); i += 2) check_key(items[i]);
  add(target, items);
  drop_to_mark();
  return true;
}

bool PickleMachine::memo(uint8_t op) {
  switch (op) {
    case 'q': put(cursor_.u8(), top()); return true;
    case 'r': put(cursor_.u32(), top()); return true;
    case 0x94:
      // Its index is the number of entries, which other readers count differently once there are gaps.
      if (!sparse_memo_.empty()) refuse("the memo has gaps");
      put(static_cast<uint32_t>(memo_.size()), top());
      return true;
    case 'h': push(get(cursor_.u8())); return true;
    case 'j': push(get(cursor_.u32())); return true;
    default: return false;
  }
}

bool PickleMachine::structure(uint8_t op) {
  switch (op) {
    case '(':
      if (stack_.size() + marks_.size() >= limits_.pickle_stack) over("marks", limits_.pickle_stack, marks_.size() + 1);
      charge_next(marks_, charged_marks_);
      marks_.push_back(stack_.size());
      return true;
    case '0': pop(); return true;
    case 0x95: {
      const uint64_t length = cursor_.u64();
      if (length > cursor_.left()) refuse("the frame is longer than the pickle");
      if (frame_end_ != kNoFrame) refuse("a frame inside another");
      frame_end_ = cursor_.at() + length;
      return true;
    }
    case 'c':
    case 0x93: {
      std::string_view names[2];
      if (op == 'c') {
        const std::string_view rest = Cursor(cursor_).text(std::min<uint64_t>(cursor_.left(), 1024));
        const size_t first = rest.find('\n'), second = first == rest.npos ? rest.npos : rest.find('\n', first + 1);
        if (second == rest.npos) refuse("the name does not end");
        names[0] = rest.substr(0, first), names[1] = rest.substr(first + 1, second - first - 1);
        cursor_.take(second + 1);
      } else {
        const PickleValue name = pop(), module = pop();
        if (!is(name, PickleKind::text) || !is(module, PickleKind::text)) refuse("the name is no text");
        names[0] = pickle_.text(module), names[1] = pickle_.text(name);
      }
      global(names[0], names[1], op == 'c' ? "GLOBAL" : "STACK_GLOBAL");
      return true;
    }
    case 'R':
    case 0x81: apply(); return true;
    case 'b': build(); return true;
    case 'Q': persistent(); return true;
    default: return false;
  }
}

Pickle PickleMachine::run() {
  if (cursor_.left() < 2 || cursor_.u8() != 0x80) refuse("the pickle does not begin with it");
  if (const uint8_t protocol = cursor_.u8(); protocol < 2 || protocol > 4)
    refuse("protocol " + std::to_string(protocol) + "; 2, 3 and 4 are read");
  ReadBudget& file = pickle_.budget();
  for (;;) {
    if (++file.opcodes > file.limits().pickle_opcodes) over("opcodes", file.limits().pickle_opcodes, file.opcodes);
    at_ = cursor_.at();
    if (at_ > limits_.pickle_bytes) over("bytes", limits_.pickle_bytes, at_);
    // Python reads a frame as a whole; an opcode across its end is one opcode to some readers and another to others.
    if (at_ > frame_end_) refuse("runs over the end of its frame");
    if (at_ == frame_end_) frame_end_ = kNoFrame;
    if (cursor_.left() == 0)
      throw Error(ErrorCode::malformed, "the pickle ends without STOP").at(source_.at + at_).in(source_.entry);
    op_ = cursor_.u8();
    if (op_ == '.') break;
    if (scalar(op_) || text(op_) || container(op_) || insertion(op_) || memo(op_) || structure(op_)) continue;
    refuse(pickle_opcode_name(op_).starts_with("0x") ? "no such opcode" : "an opcode that no checkpoint needs");
  }
  if (frame_end_ != kNoFrame && cursor_.at() != frame_end_) refuse("the frame goes on behind it");
  pickle_.root_ = pop();
  if (!stack_.empty() || !marks_.empty()) refuse("values are left on the stack");
  return std::move(pickle_);
}

Pickle run_pickle_ahead(std::span<const std::byte> bytes, const Limits& limits, const PickleSource& source,
                        uint64_t& length) {
  return with_place(source.at, source.entry, [&] {
    PickleSource with_budget = source;
    if (!source.budget) with_budget.budget = std::make_shared<ReadBudget>(bytes.size(), limits);
    PickleMachine machine(bytes, limits, with_budget);
    Pickle pickle = machine.run();
    length = machine.length();
    return pickle;
  });
}

Pickle run_pickle(std::span<const std::byte> bytes, const Limits& limits, const PickleSource& source) {
  if (bytes.size() > limits.pickle_bytes)
    throw Error(ErrorCode::limit, "the pickle is too large")
        .at(source.at)
        .in(source.entry)
        .limit(limits.pickle_bytes, bytes.size());
  uint64_t length = 0;
  Pickle pickle = run_pickle_ahead(bytes, limits, source, length);
  if (length < bytes.size())
    throw Error(ErrorCode::malformed,
                "STOP: " + std::to_string(bytes.size() - length) + " bytes follow the end of the pickle")
        .at(source.at + length - 1)
        .in(source.entry);
  return pickle;
}

}  // namespace furrow::io
