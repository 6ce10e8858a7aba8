# Sourced by quickstart and test: installs Debian packages that are missing, as root or through sudo.

# install_packages PACKAGE...
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "lockstep: these Debian packages are missing, and there is no apt-get to install them:" >&2
    echo "  ${missing[*]}" >&2
    return 1
  fi
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "lockstep: run this as root, or install sudo; these packages are missing: ${missing[*]}" >&2
      return 1
    }
    sudo=(sudo)
  fi
  echo "== installing: ${missing[*]}"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
}

# What the build needs; the README names each with its reason.
build_packages=(g++ cmake ninja-build ccache libopenmpi-dev openmpi-bin libhdf5-dev libfmt-dev
  libtomlplusplus-dev nlohmann-json3-dev libcli11-dev zlib1g-dev libdeflate-dev libpng-dev
  libjpeg62-turbo-dev)

# build PRESET CMAKE_ARGUMENT... : configures and builds; prints little unless something fails.
build() {
  local preset=$1 log
  shift
  log=$(mktemp)
  echo "== building (preset $preset; a first build takes some minutes)"
  if ! { cmake --preset "$preset" "$@" && cmake --build --preset "$preset"; } >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "lockstep: the build failed; the whole log is $log" >&2
    return 1
  fi
  rm -f "$log"
}

# mpirun refuses to run as root unless told twice, and kills ranks one second after a signal: too
# soon for a checkpoint.
run_ranks() {
  local count=$1
  shift
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    mpirun --oversubscribe --mca odls_base_sigkill_timeout 30 -np "$count" "$@"
}
