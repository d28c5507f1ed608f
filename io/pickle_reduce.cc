#include <algorithm>
#include <string>

#include "io/pickle_machine.h"

namespace furrow::io {

std::string_view Pickle::text(const PickleValue& value) const {
  return {reinterpret_cast<const char*>(bytes_.data()) + value.index, static_cast<size_t>(value.number)};
}

std::span<const PickleValue> Pickle::items(const PickleValue& value) const { return nodes_.at(value.index).items; }

void PickleMachine::global(std::string_view module, std::string_view name, const char* opcode) {
  const AllowedGlobal& allowed = allowed_global(module, name, opcode, at_);
  if (allowed.meaning == PickleGlobal::inert) return push({.kind = PickleKind::inert});
  push({.kind = PickleKind::global,
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
      if (!args.empty()) wrong();
      return make(PickleKind::ordered_dict);
    case PickleGlobal::counter:
      if (args.size() > 1 || (args.size() == 1 && !is_dict(args[0]))) wrong();
      return args.empty() ? make(PickleKind::dict) : args[0];
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
    case PickleGlobal::rebuild_tensor: return rebuild_tensor(args);
    case PickleGlobal::rebuild_parameter:
      if (args.size() != 3 || kind(0) != PickleKind::tensor || kind(1) != PickleKind::boolean || !is_dict(args[2]))
        wrong();
      return args[0];
    case PickleGlobal::parameter:
      if (args.empty() || args.size() > 2 || kind(0) != PickleKind::tensor) wrong();
      return args[0];
    case PickleGlobal::storage:
    case PickleGlobal::inert: break;
  }
  refuse("a name that is not to be applied");
}

// _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)
PickleValue PickleMachine::rebuild_tensor(std::span<const PickleValue> args) {
  const auto all_integers = [&](const PickleValue& value) {
    return is(value, PickleKind::tuple) &&
           std::ranges::all_of(pickle_.items(value), [&](const PickleValue& v) { return is(v, PickleKind::integer); });
  };
  if (args.size() != 6) refuse("_rebuild_tensor_v2 with " + std::to_string(args.size()) + " arguments");
  if (!is(args[0], PickleKind::storage)) refuse("_rebuild_tensor_v2: the first argument is no storage");
  if (!is(args[1], PickleKind::integer)) refuse("_rebuild_tensor_v2: the offset is no whole number of 64 bits");
  if (!all_integers(args[2]) || !all_integers(args[3]))
    refuse("_rebuild_tensor_v2: size or stride is no tuple of whole numbers");
  if (!is(args[4], PickleKind::boolean) || !is_dict(args[5]) || !pickle_.items(args[5]).empty())
    refuse("_rebuild_tensor_v2: wrong arguments behind the stride");
  count_object();
  const PickleValue value{
      .kind = PickleKind::tensor, .index = static_cast<uint32_t>(pickle_.tensors_.size()), .number = 0};
  pickle_.tensors_.push_back({args[0].index, args[1], args[2], args[3], at_});
  return value;
}

// The state that BUILD adds: `_metadata` of a state_dict, not needed; of a NumPy type (version, byte order, ...).
void PickleMachine::build() {
  const PickleValue state = pop(), target = top();
  if (is(target, PickleKind::ordered_dict) && is_dict(state)) return;
  if (is(target, PickleKind::numpy_dtype) && is(state, PickleKind::tuple)) {
    const auto items = pickle_.items(state);
    if (items.size() >= 2 && is(items[1], PickleKind::text)) return add(target, items.subspan(1, 1));
  }
  refuse("a state for a value that has none");
}

// ('storage', TYPE, key, location, elements)
void PickleMachine::persistent_storage() {
  const PickleValue id = pop();
  if (!is(id, PickleKind::tuple)) refuse("the persistent id is no tuple");
  const auto items = pickle_.items(id);
  if (items.size() != 5) refuse("a persistent id of " + std::to_string(items.size()) + " parts, not 5");
  if (!is(items[0], PickleKind::text) || pickle_.text(items[0]) != "storage")
    refuse("a persistent id that is no storage");
  if (!is(items[1], PickleKind::global) || static_cast<PickleGlobal>(items[1].number) != PickleGlobal::storage)
    refuse("a persistent id without a storage class");
  if (!is(items[2], PickleKind::text) || !is(items[3], PickleKind::text))
    refuse("storage key and location are no text");
  if (!is(items[4], PickleKind::integer) || items[4].number < 0)
    refuse("the number of elements of a storage is no size");
  count_object();
  const PickleValue value{
      .kind = PickleKind::storage, .index = static_cast<uint32_t>(pickle_.storages_.size()), .number = 0};
  pickle_.storages_.push_back({static_cast<DType>(items[1].index), items[2], items[4].number, at_});
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
