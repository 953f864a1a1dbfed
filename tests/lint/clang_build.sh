#!/usr/bin/env bash
# The other compiler: everything in C compiles without a warning under clang. Without the kernels of the CUDA backend, which the
# C++ compiler would build once more as everywhere else, and without optimiser: warnings come from clang's front end.
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake -S . -B build-clang -G Ninja -DCMAKE_C_COMPILER=clang-14 -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG=-O0 -DMBS_WERROR=ON -DMBS_CUDA=OFF >/dev/null
cmake --build build-clang
