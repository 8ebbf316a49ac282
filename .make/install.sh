#!/bin/sh
# install.sh DESTDIR PREFIX LIBRARY HEADERS...
# Lays bobbin.h in PREFIX/include, and the headers that it reaches in PREFIX/include/bobbin, in their folders. There they
# name one another <bobbin/nn/layers.h>, so that a program may have an nn/layers.h of its own.
# The Makefile hands over, in CXXFLAGS and LIBS, what a program that uses the library must be built with.
set -e

case $2 in
  /*) prefix=$2 ;;
  *) prefix=$PWD/$2 ;;
esac
root=$1$prefix
library=$3
shift 3

# Its characters that are pkg-config's or the shell's own, behind a backslash.
escaped=$(printf %s "$prefix" | sed 's/[^A-Za-z0-9_.,:=@%+/-]/\\&/g')

mkdir -p "$root/include/bobbin" "$root/lib/pkgconfig"
for header; do
  case $header in
    apps/include/bobbin.h) to=$root/include/bobbin.h ;;
    *) to=$root/include/bobbin/$header ;;
  esac
  mkdir -p "${to%/*}"
  sed 's|^#include "\(.*\)"|#include <bobbin/\1>|' "$header" > "$to"
  chmod 644 "$to"
done
install -m 644 "$library" "$root/lib/libbobbin.a"

cat > "$root/lib/pkgconfig/bobbin.pc" << END
prefix=$escaped

Name: Bobbin
Description: A small autograd framework with a Vision Transformer, in C++20
Version: 0.1.0
Cflags: -I\${prefix}/include $CXXFLAGS
Libs: -L\${prefix}/lib -lbobbin $CXXFLAGS $LIBS
END
echo "installed in $root: include/bobbin.h, include/bobbin, lib/libbobbin.a, lib/pkgconfig/bobbin.pc"
