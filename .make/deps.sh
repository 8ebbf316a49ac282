#!/bin/sh
# deps.sh        installs what is missing, or says how; silent when nothing is
# deps.sh show   says what was found, and installs nothing
# shellcheck disable=SC2086

if [ "$1" = show ]; then
  . ./.make/found.sh
  need=$missing
else
  . ./.make/found.sh > /dev/null
  need=$missing$wanted
fi
need=${need# }
[ -z "$need" ] && exit 0

stop() { printf '%s\n' "$@" >&2; exit 1; }
# Where nothing can be installed: what a program can be without is said, and does not stop.
cannot() {
  [ -n "$missing" ] && stop "$@"
  printf '%s\n' "$@" >&2
  exit 0
}

# --- Systems without apt: say the command, and leave it to the user ---
if ! command -v apt-get > /dev/null; then
  if [ "$need" = dataset-fashion-mnist ]; then
    echo "The data set is missing: make data fetches it." >&2
    exit 0
  fi
  fedora='dnf install gcc-c++ openblas-devel onednn-devel zlib-devel libjpeg-turbo-devel libpng-devel libwebp-devel libtiff-devel stb-devel cli11-devel json-devel doctest-devel graphviz'
  arch='pacman -S --needed gcc openblas onednn pkgconf zlib libjpeg-turbo libpng libwebp libtiff stb cli11 nlohmann-json doctest graphviz'
  # shellcheck disable=SC2016
  brew='brew install gcc openblas onednn pkgconf jpeg-turbo libpng webp libtiff cli11 nlohmann-json doctest graphviz
    git clone --depth 1 https://github.com/nothings/stb "$(brew --prefix)/include/stb"
    export CPATH="$(brew --prefix)/include" PKG_CONFIG_PATH="$(brew --prefix openblas)/lib/pkgconfig"
    export CXX=g++-15    # or the version that brew installed: Apple'\''s own g++ is a clang without OpenMP'
  if command -v dnf > /dev/null; then cannot "Something is missing. Install it with:" "    $fedora"
  elif command -v pacman > /dev/null; then cannot "Something is missing. Install it with:" "    $arch"
  elif command -v brew > /dev/null; then cannot "Something is missing. Install it with:" "    $brew"
  else cannot "Something is missing. Install it with one of:" "  Fedora:" "    $fedora" "  Arch:" "    $arch" "  Homebrew:" "    $brew"
  fi
fi

# --- Debian, Ubuntu ---
command="apt-get install --no-install-recommends $need"
if [ "$1" = show ]; then
  stop "Missing: $need" "Install with: $command" "or let make run or make test do it."
fi
[ "$AUTO_DEPS" = 0 ] && cannot "Missing: $need" "AUTO_DEPS=0 forbids to install it; do so with: $command"

if [ "$(id -u)" = 0 ]; then sudo=''
elif command -v sudo > /dev/null; then sudo=sudo
else cannot "Missing: $need" "Install as root with: $command"
fi

echo "Installing with ${sudo:+$sudo }apt-get (AUTO_DEPS=0 forbids it): $need" >&2
log=$scratch/log
# One dead package source among many need not matter, so it is install that decides.
$sudo apt-get update > "$log" 2>&1
case " $need " in
  *" dataset-fashion-mnist "*)
    if ! apt-cache show dataset-fashion-mnist > /dev/null 2>&1; then
      echo "No package has the data set here: make data fetches it." >&2
      need=$(echo " $need curl " | sed 's/ dataset-fashion-mnist / /')  # make data needs curl
    fi ;;
esac
case " $need " in
  *" libdnnl-dev "*)  # not every architecture has it
    apt-cache show libdnnl-dev > /dev/null 2>&1 || need=$(echo " $need " | sed 's/ libdnnl-dev / /') ;;
esac
[ -n "${need# }" ] || exit 0
if ! $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 $need >> "$log" 2>&1; then
  cat "$log" >&2
  cannot "apt-get failed. When its trouble is mended, try again, or do it yourself: $command"
fi
