#!/bin/sh
# libhotspare.a: all layers as one object in which only hs_* can be linked to, so that none of our
# names can meet one of the program's.
#
#   archive.sh OUT OBJCOPY AR LIBRARY... -- COMPILER [FLAG...]
#
# The first library is taken whole, of the others what it needs.
set -eu
out=$1 objcopy=$2 ar=$3 whole=$4
shift 4
libraries=
while [ "$1" != -- ]; do
    libraries="$libraries $1"
    shift
done
shift
object=${out%.a}.o
# shellcheck disable=SC2086
"$@" -r -nostdlib -o "$object" -Wl,--whole-archive "$whole" -Wl,--no-whole-archive \
    -Wl,--start-group $libraries -Wl,--end-group
"$objcopy" --wildcard --keep-global-symbol 'hs_*' "$object"
rm -f "$out"
"$ar" rcs "$out" "$object"
rm -f "$object"
