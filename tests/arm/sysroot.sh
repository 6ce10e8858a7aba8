#!/usr/bin/env bash
# sysroot.sh FOLDER: Debian's arm64 libraries that lockstep is built of, unpacked below FOLDER. apt
# looks at package lists of its own there: no root, no foreign architecture on this machine.
set -euo pipefail
mkdir -p "$1"
root=$(cd "$1" && pwd)
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
# Those of the build that are libraries, and the tests'.
source "$(dirname "$0")/../../launch/install_packages.sh"
libraries=(libstdc++-12-dev libgtest-dev libgmock-dev)
for package in "${build_packages[@]}"; do
  case $package in *-dev) libraries+=("$package") ;; esac
done
# What an earlier call unpacked is enough only if it was asked for the same.
wanted="$release ${libraries[*]}"
[ "$(cat "$root/complete" 2>/dev/null)" = "$wanted" ] && exit 0
rm -f "$root/complete"
mkdir -p "$root"/apt/{lists/partial,archives/partial,etc}
: >"$root/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $release main" \
  >"$root/apt/etc/sources.list"
options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
  -o Dir::State="$root/apt" -o Dir::State::status="$root/apt/status" -o Dir::State::lists="$root/apt/lists"
  -o Dir::Cache="$root/apt" -o Dir::Cache::archives="$root/apt/archives"
  -o Dir::Etc::sourcelist="$root/apt/etc/sources.list" -o Dir::Etc::sourceparts=- -o Debug::NoLocking=1)
apt-get "${options[@]}" update
apt-get "${options[@]}" install --yes --download-only --no-install-recommends "${libraries[@]}"
for package in "$root"/apt/archives/*.deb; do dpkg -x "$package" "$root"; done
# Links to absolute places mean places of the sysroot.
find "$root/usr" "$root/etc" -type l -lname '/*' -printf '%p\0%l\0' |
  while IFS= read -r -d '' link && IFS= read -r -d '' target; do
    if [ -e "$root$target" ] || [ -L "$root$target" ]; then ln -sfn "$root$target" "$link"; fi
  done
rm -rf "$root/apt"
echo "$wanted" >"$root/complete"
