#!/bin/sh
# install.sh DESTDIR PREFIX LIBRARY HEADERS...
# Lays bobbin.h in PREFIX/include, and the headers that it reaches in PREFIX/include/bobbin, in their folders. There they
# name one another <bobbin/nn/layers.h>, so that a program may have an nn/layers.h of its own.
# The programs of BIN that TOOLS names become bobbin-train ..., as PREFIX/bin has a convert and may have a train of others;
# each with its page for man and its completion in bash. pkg-config and CMake find the library.
# The Makefile hands over, in CXXFLAGS and LIBS, what a program that uses the library must be built with.
set -e
umask 022  # others may read what is installed

case $2 in
  /*) prefix=$2 ;;
  *) prefix=$PWD/$2 ;;
esac
root=$1$prefix
lib=${LIBDIR:-lib}
library=$3
shift 3

# Its characters that are pkg-config's or the shell's own, behind a backslash.
escaped=$(printf %s "$prefix" | sed 's/[^A-Za-z0-9_.,:=@%+/-]/\\&/g')

mkdir -p "$root/include/bobbin" "$root/$lib/pkgconfig"
for header; do
  case $header in
    apps/include/bobbin.h) to=$root/include/bobbin.h ;;
    *) to=$root/include/bobbin/$header ;;
  esac
  mkdir -p "${to%/*}"
  sed 's|^#include "\(.*\)"|#include <bobbin/\1>|' "$header" > "$to"
  chmod 644 "$to"
done
install -m 644 "$library" "$root/$lib/libbobbin.a"

names=''
mkdir -p "$root/bin" "$root/share/man/man1" "$root/share/bash-completion/completions"
for tool in $TOOLS; do
  names="$names bobbin-$tool"
  install -m 755 "$BIN/$tool" "$root/bin/bobbin-$tool"
  install -m 644 "$BIN/man/bobbin-$tool.1" "$root/share/man/man1/"
  ln -sf bobbin "$root/share/bash-completion/completions/bobbin-$tool"
done
sed "s|^complete .*|complete -o default -F _bobbin$names|; s|source apps/completion.bash|bash-completion loads it|" \
  apps/completion.bash > "$root/share/bash-completion/completions/bobbin"

cat > "$root/$lib/pkgconfig/bobbin.pc" << END
prefix=$escaped

Name: Bobbin
Description: A small autograd framework with a Vision Transformer, in C++20
Version: $VERSION
Cflags: -I\${prefix}/include $CXXFLAGS
Libs: -L\${prefix}/$lib -lbobbin $CXXFLAGS $LIBS
END

# find_package(Bobbin), target_link_libraries(mine Bobbin::bobbin): the same, wherever the folder is moved to.
mkdir -p "$root/$lib/cmake/Bobbin"
# The way from there back to PREFIX.
up=$(echo "$lib" | sed 's|[^/][^/]*|..|g')
list() { echo "$*" | sed 's/  *$//; s/  */;/g'; }
# shellcheck disable=SC2086
cat > "$root/$lib/cmake/Bobbin/BobbinConfig.cmake" << END
get_filename_component(_bobbin "\${CMAKE_CURRENT_LIST_DIR}" REALPATH)  # where /lib is /usr/lib
get_filename_component(_bobbin "\${_bobbin}/../../$up" ABSOLUTE)
if(NOT TARGET Bobbin::bobbin)
  add_library(Bobbin::bobbin STATIC IMPORTED)
  set_target_properties(Bobbin::bobbin PROPERTIES
    IMPORTED_LOCATION "\${_bobbin}/$lib/libbobbin.a"
    INTERFACE_INCLUDE_DIRECTORIES "\${_bobbin}/include"
    INTERFACE_COMPILE_OPTIONS "\$<\$<COMPILE_LANGUAGE:CXX>:$(list $CXXFLAGS)>"
    INTERFACE_LINK_LIBRARIES "$(list $CXXFLAGS $LIBS)")
endif()
unset(_bobbin)
END
# Before 1.0 each minor version may differ from the one before.
cat > "$root/$lib/cmake/Bobbin/BobbinConfigVersion.cmake" << END
set(PACKAGE_VERSION $VERSION)
if("\${PACKAGE_FIND_VERSION_MAJOR}.\${PACKAGE_FIND_VERSION_MINOR}" VERSION_EQUAL ${VERSION%.*} AND
   NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
END
echo "installed in $root: include/bobbin.h, include/bobbin, $lib/libbobbin.a, $lib/pkgconfig/bobbin.pc," \
  "$lib/cmake/Bobbin, bin/bobbin-*, share/man/man1, share/bash-completion"
