#!/usr/bin/env bash
# The other compiler: everything compiles without a warning under clang.
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake -S . -B build-clang -G Ninja -DCMAKE_C_COMPILER=clang-14 -DCMAKE_BUILD_TYPE=Release -DMBS_WERROR=ON >/dev/null
cmake --build build-clang
