#!/bin/sh
# deb.sh BUILD: makes BUILD/bobbin_VERSION_ARCHITECTURE.deb of what `make install` has laid in BUILD/deb.
# The Makefile hands over VERSION, DATE, and in PROCESSOR what -march got. DEBFULLNAME and DEBEMAIL are the
# maintainer's.
set -e
umask 022
root=$1/deb
architecture=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-The Bobbin authors} <${DEBEMAIL:-bobbin@$(hostname)}>"
doc=$root/usr/share/doc/bobbin
mkdir -p "$root/DEBIAN" "$doc" "$root/usr/share/lintian/overrides"

strip --remove-section=.comment --remove-section=.note "$root"/usr/bin/*
strip --strip-debug "$root"/usr/lib/*/libbobbin.a
gzip -9nf "$root"/usr/share/man/man1/*.1

{
  echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
  printf '\nFiles: *\nCopyright: %s\nLicense: Expat\n' "$(sed -n 's/^Copyright (c) //p' LICENSE)"
  sed '1,4d; s/^$/./; s/^/ /' LICENSE
} > "$doc/copyright"
printf 'bobbin (%s) unstable; urgency=medium\n\n  * Version %s.\n\n -- %s  %s\n' \
  "$VERSION" "$VERSION" "$maintainer" "$(date -R -d "$DATE")" | gzip -9n > "$doc/changelog.gz"
# The libraries' OpenMP build lies in a folder of its own; any other one would be slower.
echo 'bobbin: custom-library-search-path' > "$root/usr/share/lintian/overrides/bobbin"

# What the programs need, as dpkg-shlibdeps finds it, which wants a file debian/control where it runs.
mkdir -p "$1/shlibs/debian"
printf 'Source: bobbin\n\nPackage: bobbin\nArchitecture: any\n' > "$1/shlibs/debian/control"
depends=$(cd "$1/shlibs" && dpkg-shlibdeps -O ../deb/usr/bin/*)
# Of OpenBLAS it is the build for OpenMP that they were linked with; dpkg-shlibdeps says any.
depends=$(echo "${depends#shlibs:Depends=}" | sed -E 's/libopenblas0( |,|$)/libopenblas0-openmp\1/')

cat > "$root/DEBIAN/control" << END
Package: bobbin
Version: $VERSION
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk "$root/usr" | cut -f 1)
Depends: $depends
Recommends: g++, nlohmann-json3-dev, zlib1g-dev, libopenblas-openmp-dev, libdnnl-dev, libjpeg-dev, libpng-dev, libwebp-dev, libtiff-dev
Suggests: graphviz
Section: science
Priority: optional
Description: small autograd framework in C++20, with image classifiers
 The programs bobbin-train, bobbin-evaluate, bobbin-classify and others train
 Vision Transformers, ResNets and other models on images, and tell what they
 see. The library, its headers, and its files for pkg-config and CMake are for
 programs of one's own.
 .
 Compiled with -march=$PROCESSOR: it runs only on processors that have all of
 its instructions.
END
(cd "$root" && find usr -type f | sort | xargs md5sum) > "$root/DEBIAN/md5sums"

package=$1/bobbin_${VERSION}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" > /dev/null
rm -r "$1/deb" "$1/shlibs"
echo "made $package, for processors as $PROCESSOR"
