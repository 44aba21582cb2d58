#!/bin/sh
# Debian packages in a fresh root: installs them there one after the other, uses each, purges them, and finds nothing left.
# The root is a minimal system of this release, made by debootstrap from the mirror that apt uses here. Needs root, and
# skips (77) without it, without debootstrap or without packages.
#   deb.sh FOLDER_OF_PACKAGES SOURCE_DIR
set -eu

folder="$1" source="$2"
skip() {
    echo "skipped: $1"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip "only root can make a fresh root"
command -v debootstrap > /dev/null || skip "no debootstrap here (on Debian: apt-get install debootstrap)"
ls "$folder"/liblogitude0_*.deb > /dev/null 2>&1 || skip "no packages in $folder (make deb)"
# shellcheck disable=SC2016 # apt's own variable
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

work=$(mktemp -d)
root=$work/root
trap 'rm -rf --one-file-system "$work"' EXIT

# Shows the log of what fails.
quietly() {
    "$@" > "$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }
}
inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
# package NAME: its file as the root has it
package() {
    (cd "$root" && ls debs/"$1"_*.deb) | sed 's,^,/,'
}
install_inside() {
    echo "install $*"
    quietly inside apt-get install -y --no-install-recommends "$@"
}
# npy FILE SHAPE BYTES: an array of unsigned bytes
npy() {
    printf "\223NUMPY\1\0\166\0%-117s\n$3" "{'descr': '|u1', 'fortran_order': False, 'shape': ($2), }" > "$root/tmp/$1.npy"
}
# Every path outside of what dpkg, apt and ldconfig keep for themselves.
paths() {
    (cd "$root" && find . -xdev \( -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache -o -path ./debs \) -prune -o -print | sort)
}

if command -v lintian > /dev/null; then # the one tag it may not raise wants a bug report that asks for the package
    echo "$(lintian --version) finds nothing"
    lintian --allow-root --display-info --fail-on error,warning,info --suppress-tags initial-upload-closes-no-bugs "$folder"/*.deb
fi

echo "a fresh root: $release"
quietly debootstrap --variant=minbase "$release" "$root" "$mirror"
mkdir "$root/debs"
cp "$folder"/*.deb "$root/debs"
cp "$source/examples/00_loss_and_gradients.c" "$root/tmp"

install_inside "$(package logitude)"
inside logitude --version
npy x '2, 2' '\1\0\0\1'
npy w '3, 2' '\1\0\0\1\1\1'
npy y '2,' '\0\1'
inside logitude grad --loss softmax --features /tmp/x.npy --weights /tmp/w.npy --labels /tmp/y.npy --out /tmp/g --json > "$work/grad"
grep -q '"loss": *0.86199' "$work/grad" || { cat "$work/grad" >&2; exit 1; } # log(2 e + 1) - 1
quietly inside logitude check --problems 5
for file in man/man1/logitude-train.1.gz bash-completion/completions/logitude zsh/vendor-completions/_logitude \
    fish/vendor_completions.d/logitude.fish; do
    [ -s "$root/usr/share/$file" ] || { echo "share/$file was not installed" >&2; exit 1; }
done

install_inside "$(package liblogitude0)" "$(package python3-logitude)"
inside python3 -c '
import logitude, numpy
from importlib.metadata import version
assert version("logitude") == logitude.__version__
x, w, y = numpy.eye(2), numpy.array([[1.0, 0], [0, 1], [1, 1]]), numpy.array([0, 1])
found = logitude.loss_and_gradients(x, w, y, loss="softmax")
p = numpy.exp(x @ w.T) / numpy.exp(x @ w.T).sum(1, keepdims=True)
assert abs(found.dw - (p - numpy.eye(3)[:2]).T @ x / 2).max() < 1e-15, found.dw
print("python: loss", found.loss, "from", logitude.__file__)'

install_inside "$(package liblogitude-dev)" gcc libc6-dev pkgconf
if command -v cmake > /dev/null; then # this machine's, which finds the package by its place in the root
    echo "find_package"
    quietly cmake -S "$source/tests/install" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$root/usr" \
        -DEXAMPLE="$(cd "$source" && pwd)/examples/00_loss_and_gradients.c"
    grep -q "logitude_DIR:PATH=$root/" "$work/consumer/CMakeCache.txt"
    quietly cmake --build "$work/consumer"
    for program in c_logitude c_logitude_static cxx_logitude cxx_logitude_static; do "$work/consumer/$program"; done
fi
for kind in "" --static; do
    inside sh -ec "cc -std=c11 /tmp/00_loss_and_gradients.c \$(pkg-config --cflags --libs $kind logitude) -o /tmp/consumer && /tmp/consumer"
    rm -f "$root"/usr/lib/*/liblogitude.so # the linker would prefer it
done

ours="python3-logitude logitude liblogitude-dev liblogitude0"
echo "purge, install, use, purge"
# shellcheck disable=SC2086 # a list of words
quietly inside dpkg --purge $ours
paths > "$work/before"
quietly inside sh -c 'dpkg --install /debs/*.deb && python3 -c "import logitude" && logitude info'
# shellcheck disable=SC2086
quietly inside dpkg --purge $ours
paths > "$work/after"
diff "$work/before" "$work/after"
left=$(grep -i logitude "$work/after" | grep -v '^\./tmp/' || :)
[ -z "$left" ] || { echo "left behind: $left" >&2; exit 1; }
if inside ldconfig -p | grep logitude; then exit 1; fi
echo "nothing is left"
