# shellcheck shell=sh disable=SC2034,SC2086
# Looks for all that Bobbin needs, and prints a line for each. deps.sh reads it; it leaves the names of the
# Debian packages that would help in
#   $missing   what the programs cannot be built without
#   $wanted    what only the tests or the training need, what makes it faster, or what reads or draws more pictures
# The Makefile hands over CXX, BLAS_CFLAGS, BLAS_LIBS, ONEDNN_CFLAGS, ONEDNN_LIBS, PICTURE_CFLAGS, PICTURE_LIBS,
# WEBP_LIBS, TIFF_LIBS, MPI_CFLAGS, MPI_LIBS and NCCL_CFLAGS.

missing='' wanted=''
lack() { for package; do missing="$missing $package"; done; }
want() { for package; do wanted="$wanted $package"; done; }

CXX=${CXX:-g++}
case ${CXX##*/} in  # "clang++-15" comes in the packages clang-15 and libomp-15-dev
  clang++*) version=${CXX##*clang++}; compiler=clang$version openmp=libomp$version-dev ;;
  g++-*) compiler=${CXX##*/} openmp='' ;;
  *) compiler=g++ openmp='' ;;
esac

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

builds() {  # builds CODE FLAGS...: can a program of this code be made?
  echo "$1" > "$scratch/try.cpp"; shift
  $CXX -std=c++20 "$scratch/try.cpp" "$@" -o "$scratch/try" > /dev/null 2>&1
}
has_header() {  # quicker than to compile it
  echo "#if !__has_include(<$1>)
#error
#endif" | $CXX -std=c++20 -x c++ -E - > /dev/null 2>&1
}

look_for_libraries() {
  if builds '#include <omp.h>
  int main() { return omp_get_max_threads() == 0; }' -fopenmp; then
    echo "✓ OpenMP"
  else
    echo "✗ OpenMP          $CXX -fopenmp does not work"
    lack $openmp
  fi

  if builds '#include <cblas.h>
  #include <cstdio>
  int main() {
    std::printf("%.15s, %s kernels", openblas_get_config(), openblas_get_corename());
    return openblas_get_parallel() != OPENBLAS_OPENMP;
  }' $BLAS_CFLAGS $BLAS_LIBS; then
    if name=$("$scratch/try"); then
      echo "✓ BLAS            $name, OpenMP build"
    else
      echo "✗ BLAS            $name works, but is not the OpenMP build: its threads and ours will fight"
      want libopenblas-openmp-dev
    fi
  else
    echo "✗ BLAS            no OpenBLAS"
    lack libopenblas-openmp-dev
  fi

  if builds '#include <oneapi/dnnl/dnnl.hpp>
  #include <cstdio>
  int main() {
    const dnnl_version_t& v = *dnnl_version();
    return std::printf("%d.%d.%d", v.major, v.minor, v.patch) < 0;
  }' $ONEDNN_CFLAGS $ONEDNN_LIBS; then
    echo "✓ oneDNN          $("$scratch/try"): --precision bfloat16 is fast where the processor knows it"
  else
    echo "✗ oneDNN          --precision bfloat16 is no faster than float32"
    want libdnnl-dev
  fi

  if builds '#include <zlib.h>
  int main() { return !zlibVersion(); }' -lz; then echo "✓ zlib"; else echo "✗ zlib"; lack zlib1g-dev; fi

  if builds '#include <cstddef>
  #include <cstdio>
  #include <jpeglib.h>
  #include <png.h>
  int main() { jpeg_error_mgr error; return !jpeg_std_error(&error) || !png_access_version_number(); }' \
      $PICTURE_CFLAGS $PICTURE_LIBS; then
    echo "✓ pictures        JPEG and PNG"
  else
    echo "✗ pictures        no libjpeg or no libpng"
    lack libjpeg-dev libpng-dev
  fi
  if builds '#include <webp/demux.h>
  int main() { return !WebPGetDemuxVersion(); }' $PICTURE_CFLAGS $WEBP_LIBS; then
    echo "✓ WebP"
  else
    echo "✗ WebP            no libwebp: such pictures are not read"
    want libwebp-dev
  fi
  if builds '#include <tiffio.h>
  int main() { return !TIFFOpenOptionsAlloc(); }' $PICTURE_CFLAGS $TIFF_LIBS; then
    echo "✓ TIFF"
  else
    echo "✗ TIFF            no libtiff 4.5 or newer: such pictures are not read"
    has_header tiffio.h || want libtiff-dev
  fi
  if builds '#define OMPI_SKIP_MPICXX 1
  #include <mpi.h>
  #include <cstdio>
  #include <cstring>
  int main() {
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    const char ends[] = {44, 10, 0};  // a comma, a new line
    int length = 0;
    return MPI_Get_library_version(text, &length) || std::printf("%.*s", static_cast<int>(std::strcspn(text, ends)), text) < 0;
  }' $MPI_CFLAGS $MPI_LIBS && command -v mpirun > /dev/null; then
    echo "✓ MPI             $("$scratch/try"); make MPI=1 trains on several machines"
  else
    echo "✗ MPI             no libopenmpi-dev or no mpirun, which only make MPI=1 needs, for several machines"
  fi
  if has_header CLI/CLI.hpp; then echo "✓ CLI11"; else echo "✗ CLI11"; lack libcli11-dev; fi
  if has_header nlohmann/json.hpp; then echo "✓ nlohmann-json"; else echo "✗ nlohmann-json"; lack nlohmann-json3-dev; fi
  if has_header doctest/doctest.h; then
    echo "✓ doctest"
  else
    echo "✗ doctest         only the tests need it"
    want doctest-dev
  fi
  if has_header stb/stb_image_resize.h; then echo "✓ stb"; else echo "✗ stb             only the tests need it"; want libstb-dev; fi
}

if builds 'int main() {}'; then
  echo "✓ compiler        $($CXX --version | head -n 1)"
  look_for_libraries
else
  echo "✗ compiler        $CXX is missing, or does not know C++20; without it no library can be looked for"
  lack $compiler $openmp libopenblas-openmp-dev zlib1g-dev libjpeg-dev libpng-dev libcli11-dev nlohmann-json3-dev
  want doctest-dev libstb-dev libwebp-dev libtiff-dev libdnnl-dev
fi

data=''
for folder in datasets/FashionMNIST/raw /usr/share/datasets/fashion-mnist; do
  [ -z "$data" ] && [ -e $folder/t10k-labels-idx1-ubyte.gz ] && data=$folder  # the last that make data fetches
done
if [ "$data" ]; then
  echo "✓ data set        Fashion-MNIST in $data"
else
  echo "✗ data set        no Fashion-MNIST: make run installs it, or make data fetches it"
  want dataset-fashion-mnist
fi

if command -v dot > /dev/null; then
  echo "✓ Graphviz        train --graph draws pictures"
else
  echo "✗ Graphviz        no dot, with which train --graph draws: it writes the text for it instead"
  want graphviz
fi

if command -v pandoc > /dev/null; then
  echo "✓ pandoc          make book makes pages of the folders"
else
  echo "✗ pandoc          only make book needs it"
fi
if command -v doxygen > /dev/null; then
  echo "✓ doxygen         make docs makes pages of all public names"
else
  echo "✗ doxygen         only make docs needs it"
fi

if nvcc=$(PATH=$PATH:/usr/local/cuda/bin command -v nvcc); then
  echo "✓ CUDA            $nvcc; make CUDA=1 computes on a GPU"
  if echo '#include <nccl.h>' | $CXX -E -x c++ $NCCL_CFLAGS -I"${nvcc%/bin/nvcc}/include" - > /dev/null 2>&1; then
    echo "✓ NCCL            make CUDA=1 MPI=1 trains on several GPUs"
  else
    echo "✗ NCCL            no libnccl-dev, which only make CUDA=1 MPI=1 needs, for several GPUs"
  fi
else
  echo "✗ CUDA            no nvcc, which only make CUDA=1 needs"
fi
