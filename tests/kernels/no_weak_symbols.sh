#!/bin/sh
# The vector kernels are compiled once an instruction set. A weak symbol in one of these objects
# could replace its namesake of an older processor when the program is linked.
# usage: no_weak_symbols.sh OBJECT...
set -eu
if [ $# -eq 0 ]; then
  echo "no object files were given: were the vector kernels built?" >&2
  exit 1
fi
status=0
for object in "$@"; do
  weak=$(nm --demangle "$object" | grep -E ' [VvWwu] ' || true)
  if [ -n "$weak" ]; then
    echo "$object emits weak symbols:" >&2
    echo "$weak" >&2
    status=1
  fi
done
exit $status
