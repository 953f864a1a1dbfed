#!/bin/sh
# headers.sh COMPILER SOURCE_DIR GENERATED_INCLUDE_DIR: each public header on its own and twice, and a whole plugin, under
# every standard, without a warning.
set -eu
cc=$1
src=$2
gen=$3
case $cc in
*++*) lang=c++ standards="c++11 c++14 c++17 c++20" ;;
*) lang=c standards="c99 c11 c17 c2x" ;;
esac
set -- -x "$lang" -fsyntax-only -pedantic -Wall -Wextra -Werror -Wconversion -Wundef -I"$src/core/include" -I"$gen"
tried=0
headers=$(cd "$src/core/include" && find mambaseq -name '*.h' | LC_ALL=C sort)
for std in $standards; do
    for header in $headers mambaseq/version.h; do
        printf '#include "%s"\n#include "%s"\ntypedef int not_empty;\n' "$header" "$header" |
            "$cc" -std="$std" "$@" - || { echo "$header does not stand alone as $std"; exit 1; }
        tried=$((tried + 1))
    done
    "$cc" -std="$std" "$@" "$src/tests/abi/author.c" || { echo "a plugin does not compile as $std"; exit 1; }
    "$cc" -std="$std" "$@" -DMBS_PLUGIN_STATIC "$src/tests/abi/author.c" || { echo "a built-in: $std"; exit 1; }
done
test "$tried" -ge 40
echo "$tried headers compiled with $cc"
