#!/usr/bin/env bash
# The shape of the tree: check.sh top | includes | lengths, from any folder.
#   top       only the agreed names stand at the top
#   includes  a file includes from its own top folder or from one to the left in `order`
#   lengths   no source file is over 450 lines
# Prints every offender; the exit status is 1 if there are any.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 2

order=(kernels io runtime models launch tests)  # left to right: who may be included by whom
max_lines=450
allowed="${order[*]} CMakeLists.txt CMakePresets.json README.md CHANGELOG.md LICENSE"
generated="build runs data"                     # what builds and runs leave; build-* too

sources() { find "${order[@]}" -type f \( -name '*.h' -o -name '*.cc' -o -name '*.c' -o -name '*.cu' "$@" \); }

check_top() {
  local name
  for name in *; do
    [[ $name == build-* || " $allowed $generated " == *" $name "* ]] && continue
    echo "$name: not one of the names at the top: $allowed"
  done
}

check_includes() {
  local own=-1 folder pattern
  for folder in "${order[@]}"; do
    own=$((own + 1))
    [ $((own + 1)) -lt ${#order[@]} ] || break
    pattern=$(IFS='|'; echo "${order[*]:own+1}")
    grep -rnE --include='*.h' --include='*.cc' --include='*.c' --include='*.cu' \
      "^[[:space:]]*#[[:space:]]*include[[:space:]]*[\"<]($pattern)/" "$folder" |
      sed "s|\$|   <- $folder/ may not include from there|"
  done
}

check_lengths() {
  local file lines
  while read -r file; do
    lines=$(wc -l <"$file")
    [ "$lines" -le $max_lines ] || echo "$file: $lines lines, more than $max_lines: cut it by theme"
  done < <(sources -o -name '*.py' -o -name '*.sh')
}

case "${1:-}" in
  top | includes | lengths) offenders=$("check_$1") ;;
  *) echo "usage: $0 top | includes | lengths" >&2; exit 2 ;;
esac
[ -z "$offenders" ] && exit 0
echo "$offenders"
exit 1
