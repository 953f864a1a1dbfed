#!/bin/sh
# A test in an environment that is made once:   run.sh BUILD_DIR SCRIPT [ARGUMENTS]   (77: the packages cannot be had)
here=$(cd "$(dirname "$0")" && pwd)
venv=$1/oracle-venv
export MBS_BUILD_DIR="$1"
(
    flock 9
    "$venv/bin/python" -c 'import transformers' 2>/dev/null || "$here/setup.sh" "$venv"
) 9>"$venv.lock" || { echo "skipped: the Python packages of the oracle tests cannot be had"; exit 77; }
script=$2
shift 2
exec "$venv/bin/python" "$here/$script" "$@"
