#!/usr/bin/env bash
# All linters. Baseline: no finding; each suppression stands in .clang-tidy or the table of house.py, with its reason.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 tests/lint/house.py
shellcheck bootstrap.sh .ci/run tests/lint/*.sh
git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run -Werror
git ls-files 'core/*.c' 'kernels/*.c' 'plugins/*.c' |
    xargs -P "$(nproc)" -n 4 clang-tidy-14 -p build-clang --quiet 2>/dev/null
