#!/bin/sh
# Debian packages of the tree: make_deb.sh FOLDER. Builds in a copy of the tree, FOLDER/logitude-VERSION, so that nothing
# appears beside the sources; the packages lie in FOLDER. The version is the project's, the date that of the last commit.
set -eu

cd "$(dirname "$0")/.."
mkdir -p "${1:?usage: make_deb.sh FOLDER}"
folder=$(cd "$1" && pwd)
version=$(sed -n 's/^project(logitude VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
maintainer=$(sed -n 's/^Maintainer: //p' packaging/debian/control)
seconds=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || date +%s)}
tree=$folder/logitude-$version

rm -rf "$tree" "$folder"/*.deb
mkdir "$tree"
tar -c --exclude-vcs --exclude='./build*' --exclude=./runs --exclude=__pycache__ . | tar -x -C "$tree"
cp -R packaging/debian "$tree/debian"
cat > "$tree/debian/changelog" << END
logitude ($version-1) unstable; urgency=medium

  * Logitude $version; its changes stand in changelog.gz.

 -- $maintainer  $(date -R -u -d "@$seconds")
END

cd "$tree"
log=$folder/log
DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS-} noautodbgsym" dpkg-buildpackage -b -us -uc -j"${JOBS:-1}" > "$log" 2>&1 ||
    { tail -n 40 "$log" >&2; exit 1; }
cd "$folder"
rm -rf "$tree"
ls ./*.deb
