#!/bin/sh
# Builds and tries mambaseq from a fresh clone. This file is the one place that lists the Debian packages.
#
#   ./bootstrap.sh demo                      install what is missing, build, score the shipped genome
#   ./bootstrap.sh test                      install what is missing, build, run all tests
#   ./bootstrap.sh install [--prefix DIR]    build and install (no root needed for a folder of your own; default ~/.local)
#   ./bootstrap.sh deps [build|test|ci]      only install packages
#   ./bootstrap.sh list [build|test|ci]      only print them
#
# It can be run again at any time. Without apt-get it says what is missing and builds what can be built.
set -eu

# What the build needs. Without libhts-dev, libhdf5-dev, zlib1g-dev, libsndfile1-dev, libsoxr-dev, libkissfft-dev, libasound2-dev, libopus-dev or libgsm1-dev only their
# plugins are missing.
BUILD_PACKAGES="gcc libc6-dev make cmake ninja-build pkg-config libyaml-dev libjson-c-dev libhts-dev libhdf5-dev zlib1g-dev libsndfile1-dev libsoxr-dev libkissfft-dev libasound2-dev libopus-dev libgsm1-dev"
# What the tests need on top: the test framework, independent readers of our outputs, and real genomes.
TEST_PACKAGES="g++ git libcriterion-dev python3 python3-h5py python3-numpy python3-pybigwig python3-pysam samtools bcftools tabix htslib-test samtools-test ragout-examples bowtie2-examples"
# What only CI needs: a second compiler with sanitizers and fuzzers, the linters, what compares interfaces.
CI_PACKAGES="clang-14 libclang-rt-14-dev clang-tidy-14 clang-format-14 shellcheck abigail-tools"

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
build=$here/build

say() { printf '%s\n' "==> $*"; }
show() { printf '    $ %s\n' "$*"; "$@"; }

packages() {
    case ${1:-build} in
    build) echo "$BUILD_PACKAGES" ;;
    test) echo "$BUILD_PACKAGES $TEST_PACKAGES" ;;
    ci) echo "$BUILD_PACKAGES $TEST_PACKAGES $CI_PACKAGES" ;;
    *) echo "bootstrap.sh: '$1' is not build, test or ci" >&2; exit 64 ;;
    esac
}

missing_packages() {
    for p in $(packages "$1"); do
        dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        show env DEBIAN_FRONTEND=noninteractive "$@"
    else
        show sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

install_packages() {
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
        say "no apt-get here: please install what these Debian packages hold, as far as it is missing:"
        printf '    %s\n' "$(packages "$1")"
        return 0
    fi
    missing=$(missing_packages "$1")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
        say "not root and no sudo: please have these packages installed; building what can be built:"
        printf '    apt-get install %s\n' "$missing"
        return 0
    fi
    say "installing: $missing"
    as_root apt-get update -qq || say "the package lists could not be refreshed; trying with those that are here"
    # shellcheck disable=SC2086 # a list of words
    as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null || {
        echo "bootstrap.sh: error: apt-get could not install: $missing" >&2
        echo "bootstrap.sh: look at what it printed above; once the packages are there, run this again" >&2
        exit 69
    }
}

configure_and_build() {
    say "building in $build"
    generator=
    command -v ninja >/dev/null 2>&1 && generator="-G Ninja"
    [ -f "$build/CMakeCache.txt" ] && generator=
    # shellcheck disable=SC2086 # options
    show cmake -S "$here" -B "$build" $generator -DCMAKE_BUILD_TYPE=Release "$@"
    show cmake --build "$build" --parallel "$(nproc 2>/dev/null || echo 2)"
}

demo() {
    install_packages build
    configure_and_build -DMBS_TESTS=OFF
    say "bits per base of 239,675 bases of E. coli that the model has never seen"
    out=$here/demo
    mkdir -p "$out"
    show "$build/bin/mambaseq" run share:pipelines/genomics/score.yaml --force \
        --set "writer.hdf5.path=$out/scores.h5" --set "writer.table.path=$out/scores.tsv"
    echo
    cat "$out/scores.tsv"
    echo
    bits=$(awk 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "bits_per_base") c = i } NR == 2 { print $c }' "$out/scores.tsv")
    printf '    chance             2.0000 bits per base\n'
    printf '    best Markov table  1.9325   (one order, 6; both strands; over the last fifth of the genome)\n'
    printf '    this model         %.4f\n' "$bits"
    printf '    files              %s (one line a record), %s (every base)\n' "$out/scores.tsv" "$out/scores.h5"
    echo
    say "next, your own FASTA:"
    printf '    %s run share:pipelines/genomics/score.yaml -i YOUR.fa.gz -o scores.h5\n' "$build/bin/mambaseq"
}

run_tests() {
    install_packages test
    configure_and_build -DMBS_TESTS=ON
    say "running the tests"
    jobs=$(nproc 2>/dev/null || echo 2)
    show ctest --test-dir "$build" --output-on-failure --parallel "$jobs" -LE 'long|oracle|browser|gpu'
    say "next: ctest --test-dir $build -L long    (whole genomes)"
}

install_it() {
    prefix=$HOME/.local
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix) [ $# -ge 2 ] || { echo "bootstrap.sh: --prefix needs a folder" >&2; exit 64; }; prefix=$2; shift 2 ;;
        --prefix=*) prefix=${1#--prefix=}; shift ;;
        *) echo "bootstrap.sh: install takes --prefix DIR" >&2; exit 64 ;;
        esac
    done
    install_packages build
    configure_and_build -DMBS_TESTS=OFF "-DCMAKE_INSTALL_PREFIX=$prefix"
    show cmake --install "$build"
    say "next: $prefix/bin/mambaseq run share:pipelines/genomics/score.yaml -i YOUR.fa.gz -o scores.h5"
}

case ${1:-help} in
demo) demo ;;
test) run_tests ;;
install) shift; install_it "$@" ;;
deps) install_packages "${2:-build}" ;;
list) packages "${2:-build}" ;;
help | -h | --help) sed -n '2,10p' "$here/bootstrap.sh" | sed 's/^# \{0,1\}//' ;;
*) echo "bootstrap.sh: unknown command '$1'; one of demo, test, install, deps, list" >&2; exit 64 ;;
esac
