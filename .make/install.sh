#!/bin/sh
# install.sh DESTDIR PREFIX LIBRARY HEADERS...
# The headers keep their folders: with -IPREFIX/include/bobbin a program says #include "tensor/tensor.h".
# The Makefile hands over, in CXXFLAGS and LIBS, what a program that uses the library must be built with.
set -e

prefix=$2
root=$1$2
library=$3
shift 3

mkdir -p "$root/lib/pkgconfig"
for header; do
  mkdir -p "$root/include/bobbin/${header%/*}"
  install -m 644 "$header" "$root/include/bobbin/$header"
done
install -m 644 "$library" "$root/lib/libbobbin.a"

cat > "$root/lib/pkgconfig/bobbin.pc" << END
prefix=$prefix

Name: Bobbin
Description: A small autograd framework with a Vision Transformer, in C++20
Version: 0.1.0
Cflags: -I\${prefix}/include/bobbin $CXXFLAGS
Libs: -L\${prefix}/lib -lbobbin $CXXFLAGS $LIBS
END
echo "installed in $root: include/bobbin, lib/libbobbin.a, lib/pkgconfig/bobbin.pc"
