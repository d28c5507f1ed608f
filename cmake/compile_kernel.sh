#!/bin/sh
# record_ptxas.sh OBJECT COMPILER...: compiles, and keeps what ptxas -v says beside the object (scripts/check_archs.sh
# --build reads it) instead of printing it.
object=$1
shift
"$@" 2>"$object.ptxas"
status=$?
grep -vE '^ptxas info|bytes stack frame' "$object.ptxas" >&2
exit $status
