#!/bin/sh
# compile_kernel.sh OBJCOPY OBJECT COMPILER...: compiles a kernel file and keeps what tests want to see beside its
# object: in OBJECT.ptxas what ptxas -v says (scripts/check_archs.sh --build), instead of printing it; and where the
# compiler was asked for link-time optimisation, in OBJECT.lto the object as compiled (tests/cuda/odr), while OBJECT
# itself loses the sections of it, which GCC's linker would use without being asked.
objcopy=$1 object=$2
shift 2
"$@" 2>"$object.ptxas"
status=$?
grep -vE '^ptxas info|bytes stack frame' "$object.ptxas" >&2
[ $status -eq 0 ] || exit $status
case " $* " in
  *-ffat-lto-objects*)
    "$objcopy" --remove-section='.gnu.lto_*' --remove-section='.gnu.debuglto_*' --strip-symbol=__gnu_lto_v1 \
      "$object" "$object.part" && mv -f "$object" "$object.lto" && mv -f "$object.part" "$object" || {
      rm -f "$object" "$object.part"   # the build system must not take what is half done for an object
      exit 1
    } ;;
esac
