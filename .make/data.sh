#!/bin/sh
# Fetches Fashion-MNIST into the folder where torchvision keeps it too. A file gets its name only when it is whole
# and right, which is checked on its uncompressed content: packers may compress it differently.

folder=datasets/FashionMNIST/raw
unfinished=''
clean_up() { rm -f "$unfinished"; rmdir -p $folder 2> /dev/null; }  # the folders go only when they are empty
trap clean_up EXIT
trap 'exit 130' INT TERM

stop() { echo "make data: $*" >&2; exit 1; }
command -v curl > /dev/null || stop "curl is missing; install it with your package manager, e.g. apt-get install curl."
if command -v md5sum > /dev/null; then md5=md5sum; else md5='md5 -q'; fi

has() { [ "$(gzip -dc "$1" 2> /dev/null | $md5 | cut -c 1-32)" = "$2" ]; }  # has FILE MD5

get() {  # get NAME MD5
  file=$folder/$1
  if [ -f "$file" ] && has "$file" "$2"; then
    echo "$file is there already"
    return
  fi
  echo "fetching $1"
  mkdir -p $folder 2> /dev/null || stop "cannot write to $folder."
  unfinished=$file.part.$$
  why=$(curl -fsSL --connect-timeout 30 --speed-time 60 --speed-limit 1000 -o "$unfinished" "$FASHION_MNIST_URL/$1" 2>&1) ||
    stop "$1 could not be fetched from $FASHION_MNIST_URL ($why)."
  has "$unfinished" "$2" || stop "what $FASHION_MNIST_URL sent as $1 is not that file (its MD5 differs)."
  mv "$unfinished" "$file" || stop "cannot write $file."
  unfinished=''
}

get train-images-idx3-ubyte.gz f4a8712d7a061bf5bd6d2ca38dc4d50a
get train-labels-idx1-ubyte.gz 9018921c3c673c538a1fc5bad174d6f9
get t10k-images-idx3-ubyte.gz 8181f5470baa50b63fa0f6fddb340f0a
get t10k-labels-idx1-ubyte.gz 15d484375f8d13e6eb1aabb0c3f46965
