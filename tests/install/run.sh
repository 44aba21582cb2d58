#!/bin/sh
# Installs the build into a fresh prefix and uses it from there, as C and as C++17, shared and static: find_package,
# pkg-config, the compiler alone. Then the source tree below another project. The prefix is moved first: nothing in it may
# know where it was installed.
#   run.sh installed|subdirectory BUILD_DIR SOURCE_DIR
set -eu

mode="$1" build="$2" source="$3"
example="$source/examples/00_loss_and_gradients.c" cxx="$source/tests/install/main.cpp"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Shows the log of what fails.
quietly() {
    "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
}

if [ "$mode" = subdirectory ]; then
    quietly cmake -S "$source/tests/install/subdirectory" -B "$work/consumer" -DCMAKE_BUILD_TYPE=Debug \
        -DLOGITUDE_SOURCE="$source" -DEXAMPLE="$example"
    quietly cmake --build "$work/consumer" --target consumer
    "$work/consumer/consumer"
    exit
fi

quietly cmake --install "$build" --prefix "$work/installed"
mv "$work/installed" "$work/prefix"
lib=$(dirname "$(find "$work/prefix" -name liblogitude.so | head -n 1)")

echo "find_package"
quietly cmake -S "$source/tests/install" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$work/prefix" -DEXAMPLE="$example"
quietly cmake --build "$work/consumer"
for program in c_logitude c_logitude_static cxx_logitude cxx_logitude_static; do "$work/consumer/$program"; done

# compile NAME FLAGS...: the C and the C++ program with these flags, and runs both
compile() {
    name=$1
    shift
    quietly cc -std=c11 "$example" "$@" -o "$work/$name-c"
    quietly c++ -std=c++17 "$cxx" "$@" -o "$work/$name-cxx"
    "$work/$name-c"
    "$work/$name-cxx"
}

echo "the compiler alone"
compile plain -I"$work/prefix/include" -L"$lib" -llogitude -Wl,-rpath,"$lib"

cat > "$work/mpi.c" << 'END'
#include <logitude/mpi.h>
int main(void) {
    lgt_mpi *mpi = NULL;
    lgt_comm comm;
    if (lgt_mpi_create(1, &mpi, &comm, NULL, NULL)) return 1;
    lgt_mpi_free(mpi);
    return comm.size != 1;
}
END
for name in logitude_mpi logitude_mpich; do
    [ -e "$build/lib$name.so" ] || { echo "skipped: $name was not built"; continue; }
    echo "$name"
    quietly cc -std=c11 "$work/mpi.c" -I"$work/prefix/include" -L"$lib" "-l$name" -Wl,-rpath,"$lib" -o "$work/$name"
    "$work/$name"
done

if command -v pkg-config > /dev/null; then
    export PKG_CONFIG_PATH="$lib/pkgconfig"
    echo "pkg-config, version $(pkg-config --modversion logitude)"
    # shellcheck disable=SC2046 # lists of flags
    compile shared $(pkg-config --cflags --libs logitude) -Wl,-rpath,"$lib"
    # shellcheck disable=SC2046
    compile static $(pkg-config --static --cflags --libs logitude | sed s/-llogitude/-l:liblogitude.a/)
    if readelf -d "$work/static-c" | grep liblogitude >&2; then exit 1; fi # the shared library beside it
    rm "$lib"/liblogitude.so* # the linker would prefer it
    # shellcheck disable=SC2046
    compile static-alone $(pkg-config --cflags --static --libs logitude)
else
    echo "skipped: no pkg-config here"
fi

version=$("$work/prefix/bin/logitude" --version)
echo "$version" | grep -q "^logitude [0-9]" || { echo "--version says: $version" >&2; exit 1; }
for file in man/man1/logitude-train.1 bash-completion/completions/logitude zsh/site-functions/_logitude \
    fish/vendor_completions.d/logitude.fish; do
    [ -s "$work/prefix/share/$file" ] || { echo "share/$file was not installed" >&2; exit 1; }
done
