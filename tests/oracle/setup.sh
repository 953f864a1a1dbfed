#!/bin/sh
# Makes the Python environment of the oracle tests:   tests/oracle/setup.sh VENV
# It sees Debian's python3-torch, python3-h5py and python3-numpy, and gets transformers 4.44 on top of them.
set -e
python=/usr/bin/python3
$python -c 'import torch, h5py, numpy' || {
    echo "setup.sh: Debian's packages python3-torch, python3-h5py and python3-numpy are needed" >&2
    exit 69
}
$python -m venv --system-site-packages "$1"
"$1/bin/pip" install -q 'transformers==4.44.2' 'numpy<2' || {
    echo "setup.sh: the Python packages cannot be had here" >&2
    exit 69
}
