#!/bin/sh
# Installs the build into a fresh prefix and uses it from there: find_package, and the compiler alone with pkg-config's flags.
#   run.sh BUILD_DIR SOURCE_DIR
set -eu

build="$1" source="$2"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" > "$work/install.log"

cmake -S "$source/tests/install" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DEXAMPLE="$source/examples/00_loss_and_gradients.c" > "$work/cmake.log"
cmake --build "$work/consumer" > "$work/build.log"
"$work/consumer/with_shared"
"$work/consumer/with_static"

lib=$(dirname "$(find "$work/prefix" -name liblogitude.so | head -n 1)")
flags="-I$work/prefix/include -L$lib -llogitude"
if command -v pkg-config > /dev/null; then
    flags=$(PKG_CONFIG_PATH="$lib/pkgconfig" pkg-config --cflags --libs logitude)
fi
# shellcheck disable=SC2086 # a list of flags
cc -std=c11 "$source/examples/00_loss_and_gradients.c" $flags -Wl,-rpath,"$lib" -o "$work/plain"
"$work/plain"

version=$("$work/prefix/bin/logitude" --version)
echo "$version" | grep -q "^logitude [0-9]" || { echo "--version says: $version" >&2; exit 1; }
