#!/bin/sh
# Runs the backend's tests on this machine's device. The target device_kit lays it, the tests and the module into one
# folder that can be carried to a machine with a device and nothing else.  use: on_device.sh [folder of golden vectors]
here=$(cd "$(dirname "$0")" && pwd)
MBS_CUDA_MODULE=$here/mambaseq-cuda.so
MBS_VECTORS=${1:-$here/reference}
export MBS_CUDA_MODULE MBS_VECTORS
failed=0
for test in "$here"/cuda_*; do
    "$test" >"$test.log" 2>&1
    code=$?
    printf '%s: exit %d, %s\n' "$(basename "$test")" $code "$(tail -n 1 "$test.log")"
    case $code in
    0) ;;
    77)
        cat "$test.log"
        exit 77
        ;;
    *)
        failed=1
        tail -n 12 "$test.log"
        ;;
    esac
    rm -f "$test.log"
done
exit $failed
