#include <algorithm>
#include <charconv>
#include <string>

#include "io/pickle_machine.h"

namespace furrow::io {
namespace {

// What is read anew wherever a pickle repeats a value has a length that the value's bytes need not pay for again.
constexpr size_t kMaxDigits = 20, kMaxAxes = 64, kMaxKey = 255;
// What one takes, its place among the known ids included.
constexpr uint64_t kTensorBytes = sizeof(PickleTensor) + 48, kStorageBytes = sizeof(PickleStorage) + 48;

}  // namespace

std::string_view Pickle::text(const PickleValue& value) const {
  return {reinterpret_cast<const char*>(bytes_.data()) + value.index, static_cast<size_t>(value.number)};
}

std::span<const PickleValue> Pickle::items(const PickleValue& value) const { return nodes_.at(value.index).items; }

void PickleMachine::global(std::string_view module, std::string_view name, const char* opcode) {
  const AllowedGlobal& allowed = allowed_global(module, name, opcode, source_.at + at_, source_.entry);
  push({.kind = allowed.meaning == PickleGlobal::element_type ? PickleKind::element_type : PickleKind::global,
        .index = static_cast<uint32_t>(allowed.dtype),
        .number = static_cast<int64_t>(allowed.meaning)});
}

// REDUCE and NEWOBJ: a name applied to a tuple of arguments.
void PickleMachine::apply() {
  const PickleValue args = pop(), callee = pop();
  if (!is(callee, PickleKind::global)) refuse("applied to a value, not to a name");
  if (!is(args, PickleKind::tuple)) refuse("the arguments are no tuple");
  push(call(static_cast<PickleGlobal>(callee.number), pickle_.items(args)));
}

PickleValue PickleMachine::call(PickleGlobal callee, std::span<const PickleValue> args) {
  const auto kind = [&](size_t i) { return i < args.size() ? args[i].kind : PickleKind::global; };
  const auto wrong = [&]() { refuse("wrong arguments for this name"); };
  switch (callee) {
    case PickleGlobal::ordered_dict:
      // Python 2 hands over the entries as a list of [key, value].
      if (args.size() > 1 || (args.size() == 1 && kind(0) != PickleKind::list)) wrong();
      return args.empty() ? make(PickleKind::ordered_dict) : ordered_pairs(args[0]);
    case PickleGlobal::counter:
      if (args.size() > 1 || (args.size() == 1 && !is_dict(args[0]))) wrong();
      return args.empty() ? make(PickleKind::dict) : make(PickleKind::dict, pickle_.items(args[0]));
    case PickleGlobal::set:
      if (args.size() > 1 || (args.size() == 1 && kind(0) != PickleKind::list)) wrong();
      return make(PickleKind::set);
    case PickleGlobal::codecs_encode: {
      if (args.size() != 2 || kind(0) != PickleKind::text || kind(1) != PickleKind::text) wrong();
      if (const std::string_view codec = pickle_.text(args[1]); codec != "latin1" && codec != "latin-1") wrong();
      PickleValue encoded = args[0];
      encoded.kind = PickleKind::encoded;
      return encoded;
    }
    case PickleGlobal::byte_array:
      if (args.size() > 2) wrong();
      return {.kind = PickleKind::inert};
    case PickleGlobal::device:
      if (args.empty() || args.size() > 2 || kind(0) != PickleKind::text) wrong();
      return {.kind = PickleKind::inert};
    case PickleGlobal::size:
      if (args.size() != 1 || kind(0) != PickleKind::tuple) wrong();
      return args[0];
    case PickleGlobal::numpy_dtype:
      if (args.empty() || args.size() > 3 || kind(0) != PickleKind::text) wrong();
      return make(PickleKind::numpy_dtype, {args[0]});
    case PickleGlobal::numpy_scalar:
      if (args.size() != 2 || kind(0) != PickleKind::numpy_dtype) wrong();
      if (kind(1) != PickleKind::encoded && kind(1) != PickleKind::bytes) wrong();
      return make(PickleKind::numpy_scalar, {args[0], args[1]});
    case PickleGlobal::rebuild_tensor_v1:
    case PickleGlobal::rebuild_tensor:
    case PickleGlobal::rebuild_tensor_v3: return rebuild_tensor(args, callee);
    case PickleGlobal::rebuild_parameter:
      if (args.size() != 3 || kind(0) != PickleKind::tensor || kind(1) != PickleKind::boolean || !is_dict(args[2]))
        wrong();
      if (pickle_.tensor(args[0]).empty) wrong();  // BUILD on one would fill the other
      return args[0];
    case PickleGlobal::parameter:
      // As in the tar of 2017: BUILD brings the tensor.
      if (args.empty() && source_.ids == PickleIds::tar) return add_tensor({.empty = true});
      if (args.empty() || args.size() > 2 || kind(0) != PickleKind::tensor) wrong();
      if (pickle_.tensor(args[0]).empty) wrong();
      return args[0];
    case PickleGlobal::storage:
    case PickleGlobal::untyped_storage:
    case PickleGlobal::tensor_type:
    case PickleGlobal::element_type: break;
  }
  refuse("a name that is not to be applied");
}

PickleValue PickleMachine::ordered_pairs(const PickleValue& list) {
  const uint64_t count = 2 * uint64_t{pickle_.items(list).size()}, most = limits_.pickle_values;
  if (pickle_.budget().values + count > most) over("values", most, pickle_.budget().values + count);
  BudgetShare here(source_.budget);
  charge(here, count * sizeof(PickleValue));
  std::vector<PickleValue> entries;
  entries.reserve(static_cast<size_t>(count));
  for (const PickleValue& pair : pickle_.items(list)) {
    const bool both = (is(pair, PickleKind::list) || is(pair, PickleKind::tuple)) && pickle_.items(pair).size() == 2;
    if (!both) refuse("OrderedDict: an entry that is no key and value");
    check_key(pickle_.items(pair)[0]);
    entries.insert(entries.end(), pickle_.items(pair).begin(), pickle_.items(pair).end());
  }
  return make(PickleKind::ordered_dict, entries);
}

PickleValue PickleMachine::add_tensor(const PickleTensor& tensor) {
  count_object(kTensorBytes);
  const PickleValue value{
      .kind = PickleKind::tensor, .index = static_cast<uint32_t>(pickle_.tensors_.size()), .number = 0};
  pickle_.tensors_.push_back(tensor);
  pickle_.tensors_.back().at = source_.at + at_;
  return value;
}

// _rebuild_tensor(storage, offset, size, stride); v2 adds requires_grad, hooks; v3, for an untyped storage, the dtype.
PickleValue PickleMachine::rebuild_tensor(std::span<const PickleValue> args, PickleGlobal version) {
  const auto all_integers = [&](const PickleValue& value) {
    return is(value, PickleKind::tuple) &&
           std::ranges::all_of(pickle_.items(value), [&](const PickleValue& v) { return is(v, PickleKind::integer); });
  };
  const bool first = version == PickleGlobal::rebuild_tensor_v1, third = version == PickleGlobal::rebuild_tensor_v3;
  const std::string name = first ? "_rebuild_tensor" : third ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2";
  if (args.size() != (first ? 4 : third ? 7 : 6)) refuse(name + " with " + std::to_string(args.size()) + " arguments");
  if (!is(args[0], PickleKind::storage)) refuse(name + ": the first argument is no storage");
  const PickleStorage& storage = pickle_.storages_[args[0].index];
  if (storage.untyped != third)
    refuse(name + (third ? ": the storage has a type of its own" : ": the storage has no type"));
  if (!is(args[1], PickleKind::integer)) refuse(name + ": the offset is no whole number of 64 bits");
  for (const PickleValue& shape : {args[2], args[3]})
    if (is(shape, PickleKind::tuple) && pickle_.items(shape).size() > kMaxAxes)
      throw Error(ErrorCode::limit, pickle_opcode_name(op_) + ": " + name + " with a shape of " +
                                        std::to_string(pickle_.items(shape).size()) + " axes")
          .at(source_.at + at_)
          .in(source_.entry)
          .limit(kMaxAxes, pickle_.items(shape).size());
  if (!all_integers(args[2]) || !all_integers(args[3])) refuse(name + ": size or stride is no tuple of whole numbers");
  if (!first && (!is(args[4], PickleKind::boolean) || !is_dict(args[5]) || !pickle_.items(args[5]).empty()))
    refuse(name + ": wrong arguments behind the stride");
  if (third && !is(args[6], PickleKind::element_type)) refuse(name + ": the element type is none");
  return add_tensor({.storage = args[0].index,
                     .offset = args[1],
                     .size = args[2],
                     .stride = args[3],
                     .dtype = third ? static_cast<DType>(args[6].index) : storage.dtype});
}

// The state of a Parameter as PyTorch 0.1 to 0.3 saved it: (tensor, gradient, hooks, requires_grad, volatile) for one
// made without arguments, (requires_grad, volatile, hooks) for one that has its tensor.
bool PickleMachine::build_parameter(const PickleValue& target, const PickleValue& state) {
  if (source_.ids == PickleIds::zip || !is(target, PickleKind::tensor) || !is(state, PickleKind::tuple)) return false;
  const auto items = pickle_.items(state);
  const auto no_hooks = [&](const PickleValue& value) {
    return is(value, PickleKind::none) || (is_dict(value) && pickle_.items(value).empty());
  };
  const auto flag = [&](size_t i) { return is(items[i], PickleKind::boolean); };
  PickleTensor& tensor = pickle_.tensors_[target.index];
  if (!tensor.empty) return items.size() == 3 && flag(0) && flag(1) && no_hooks(items[2]);
  if (items.size() != 5 || !is(items[0], PickleKind::tensor) || !is(items[1], PickleKind::none)) return false;
  if (!no_hooks(items[2]) || !flag(3) || !flag(4) || pickle_.tensors_[items[0].index].empty) return false;
  tensor = pickle_.tensors_[items[0].index];
  return true;
}

// The state that BUILD adds: `_metadata` of a state_dict, not needed; of a NumPy type (version, byte order, ...).
void PickleMachine::build() {
  const PickleValue state = pop(), target = top();
  if (is(target, PickleKind::ordered_dict) && is_dict(state)) return;
  if (is(target, PickleKind::numpy_dtype) && is(state, PickleKind::tuple)) {
    const auto items = pickle_.items(state);
    if (items.size() >= 2 && is(items[1], PickleKind::text)) return add(target, items.subspan(1, 1));
  }
  if (!build_parameter(target, state)) refuse("a state for a value that has none");
}

void PickleMachine::persistent() {
  const PickleValue id = pop();
  if (source_.ids == PickleIds::none) refuse("a persistent id, which has no meaning here");
  if (source_.ids == PickleIds::tar) return persistent_tensor(id);
  persistent_storage(id);
}

void PickleMachine::persistent_tensor(const PickleValue& id) {
  if (!is(id, PickleKind::text)) refuse("the persistent id is no text");
  const std::string_view text = pickle_.text(id);
  int64_t number = 0;
  const auto whole = [&] {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
  };
  if (text.size() > kMaxDigits || !whole())
    refuse("the persistent id " + printable(text, 40) + " is no whole number of 64 bits");
  // One number is one tensor, as in PyTorch, however often it is named.
  const auto known = known_ids_.find(number);
  if (known != known_ids_.end()) return push({.kind = PickleKind::tensor, .index = known->second, .number = 0});
  const PickleValue tensor = add_tensor({.id = number});
  known_ids_.emplace(number, tensor.index);
  push(tensor);
}

void PickleMachine::persistent_storage(const PickleValue& id) {
  const size_t parts = source_.ids == PickleIds::stream ? 6 : 5;
  if (!is(id, PickleKind::tuple)) refuse("the persistent id is no tuple");
  // A tuple does not change: the same one is the same storage.
  if (const auto known = known_ids_.find(id.index); known != known_ids_.end())
    return push({.kind = PickleKind::storage, .index = known->second, .number = 0});
  const auto check_length = [&](const char* what, const PickleValue& key) {
    if (const size_t length = pickle_.text(key).size(); length > kMaxKey)
      refuse(std::string(what) + " of " + std::to_string(length) + " bytes, over " + std::to_string(kMaxKey));
  };
  const auto items = pickle_.items(id);
  if (items.size() != parts)
    refuse("a persistent id of " + std::to_string(items.size()) + " parts, not " + std::to_string(parts));
  if (!is(items[0], PickleKind::text) || pickle_.text(items[0]) != "storage")
    refuse("a persistent id that is no storage");
  const auto type = static_cast<PickleGlobal>(items[1].number);
  if (!is(items[1], PickleKind::global) || (type != PickleGlobal::storage && type != PickleGlobal::untyped_storage))
    refuse("a persistent id without a storage class");
  if (!is(items[2], PickleKind::text) || !is(items[3], PickleKind::text))
    refuse("storage key and location are no text");
  check_length("a storage key", items[2]);
  if (!is(items[4], PickleKind::integer) || items[4].number < 0)
    refuse("the number of elements of a storage is no size");
  // PyTorch gives an empty shell for these.
  if (pickle_.text(items[3]) == "meta")
    throw Error(ErrorCode::unsupported, pickle_opcode_name(op_) + ": storage " + printable(pickle_.text(items[2]), 40) +
                                            " was on device meta, which has no data")
        .at(source_.at + at_)
        .in(source_.entry)
        .hint("save a model whose weights were loaded");
  const bool untyped = type == PickleGlobal::untyped_storage;
  PickleStorage storage{.dtype = untyped ? DType::u8 : static_cast<DType>(items[1].index),
                        .key = items[2],
                        .elements = items[4].number,
                        .untyped = untyped,
                        .view_elements = items[4].number,
                        .at = source_.at + at_};
  if (parts == 6 && !is(items[5], PickleKind::none)) {
    const auto view = is(items[5], PickleKind::tuple) ? pickle_.items(items[5]) : std::span<const PickleValue>();
    const bool whole = view.size() == 3 && is(view[0], PickleKind::text) && is(view[1], PickleKind::integer) &&
                       is(view[2], PickleKind::integer) && view[1].number >= 0 && view[2].number >= 0;
    if (!whole) refuse("the view of a storage is no key, place and size");
    check_length("a view key", view[0]);
    storage.view_key = view[0], storage.view_begin = view[1].number, storage.view_elements = view[2].number;
  }
  count_object(kStorageBytes);
  const PickleValue value{
      .kind = PickleKind::storage, .index = static_cast<uint32_t>(pickle_.storages_.size()), .number = 0};
  pickle_.storages_.push_back(storage);
  known_ids_.emplace(id.index, value.index);
  push(value);
}

namespace {

struct NamedOpcode {
  uint8_t op;
  const char* name;
};
// clang-format off
constexpr NamedOpcode kOpcodes[] = {
    {'(', "MARK"}, {'.', "STOP"}, {'0', "POP"}, {'1', "POP_MARK"}, {'2', "DUP"}, {'F', "FLOAT"}, {'I', "INT"},
    {'J', "BININT"}, {'K', "BININT1"}, {'L', "LONG"}, {'M', "BININT2"}, {'N', "NONE"}, {'P', "PERSID"},
    {'Q', "BINPERSID"}, {'R', "REDUCE"}, {'S', "STRING"}, {'T', "BINSTRING"}, {'U', "SHORT_BINSTRING"},
    {'V', "UNICODE"}, {'X', "BINUNICODE"}, {'a', "APPEND"}, {'b', "BUILD"}, {'c', "GLOBAL"}, {'d', "DICT"},
    {'}', "EMPTY_DICT"}, {'e', "APPENDS"}, {'g', "GET"}, {'h', "BINGET"}, {'i', "INST"}, {'j', "LONG_BINGET"},
    {'l', "LIST"}, {']', "EMPTY_LIST"}, {'o', "OBJ"}, {'p', "PUT"}, {'q', "BINPUT"}, {'r', "LONG_BINPUT"},
    {'s', "SETITEM"}, {'t', "TUPLE"}, {')', "EMPTY_TUPLE"}, {'u', "SETITEMS"}, {'G', "BINFLOAT"}, {0x80, "PROTO"},
    {0x81, "NEWOBJ"}, {0x82, "EXT1"}, {0x83, "EXT2"}, {0x84, "EXT4"}, {0x85, "TUPLE1"}, {0x86, "TUPLE2"},
    {0x87, "TUPLE3"}, {0x88, "NEWTRUE"}, {0x89, "NEWFALSE"}, {0x8a, "LONG1"}, {0x8b, "LONG4"}, {'B', "BINBYTES"},
    {'C', "SHORT_BINBYTES"}, {0x8c, "SHORT_BINUNICODE"}, {0x8d, "BINUNICODE8"}, {0x8e, "BINBYTES8"},
    {0x8f, "EMPTY_SET"}, {0x90, "ADDITEMS"}, {0x91, "FROZENSET"}, {0x92, "NEWOBJ_EX"}, {0x93, "STACK_GLOBAL"},
    {0x94, "MEMOIZE"}, {0x95, "FRAME"}, {0x96, "BYTEARRAY8"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"},
};
// clang-format on

}  // namespace

std::string pickle_opcode_name(uint8_t op) {
  for (const NamedOpcode& opcode : kOpcodes)
    if (opcode.op == op) return opcode.name;
  static constexpr char kDigits[] = "0123456789abcdef";
  return {'0', 'x', kDigits[op >> 4], kDigits[op & 15]};
}

}  // namespace furrow::io
