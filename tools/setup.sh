#!/bin/sh
# Installs the Debian packages that a target needs and the machine lacks:
# setup.sh build|demo|demo-mpi|test|reference|site|deb|check-deb
set -eu

build="gcc cmake make libpthreadpool-dev libjansson-dev zlib1g-dev libjs-chart.js"
case "${1:-build}" in
    build) wanted="$build" ;;
    demo) wanted="$build dataset-fashion-mnist" ;;
    demo-mpi) wanted="$build dataset-fashion-mnist libopenmpi-dev openmpi-bin" ;;
    test) wanted="$build libcmocka-dev liblapacke-dev libopenmpi-dev openmpi-bin libmpich-dev mpich g++ python3 python3-numpy
        python3-torch python3-sklearn doxygen mkdocs" ;;
    reference) wanted="doxygen python3" ;;
    site) wanted="mkdocs python3" ;;
    deb) wanted="$build build-essential debhelper dh-python python3" ;;
    check-deb) wanted="debootstrap lintian" ;;
    *) echo "setup.sh: \"$1\" is none of build, demo, demo-mpi, test, reference, site, deb, check-deb" >&2; exit 2 ;;
esac

command -v dpkg-query > /dev/null || exit 0 # not Debian: CMake names what it misses
missing=""
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo > /dev/null || { echo "please install as root:  apt-get install$missing" >&2; exit 1; }
    as_root=sudo
fi
echo "installing:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of words
{ $as_root apt-get update && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends $missing; } > "$log" 2>&1 ||
    { cat "$log" >&2; exit 1; }
