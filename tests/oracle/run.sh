#!/bin/sh
# The oracle tests in an environment that is made once:   run.sh BUILD_DIR   (77: the Python packages cannot be had)
here=$(cd "$(dirname "$0")" && pwd)
venv=$1/oracle-venv
export MBS_BUILD_DIR="$1"
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import transformers' 2>/dev/null; then
    "$here/setup.sh" "$venv" || { echo "skipped: the Python packages of the oracle tests cannot be had"; exit 77; }
fi
exec "$venv/bin/python" "$here/test_oracle.py"
