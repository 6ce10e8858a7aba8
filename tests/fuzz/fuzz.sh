#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: builds the fuzz targets with clang (preset "fuzz") and searches with
# each for so long, one after another. New inputs are kept in build-fuzz/found/TARGET, findings in
# build-fuzz/findings; mend what they show and put them into tests/fuzz/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?usage: fuzz.sh SECONDS [TARGET...]}
shift
command -v clang++ >/dev/null || { echo "fuzz.sh: clang++ is missing (Debian: clang)" >&2; exit 1; }
targets=("$@")
[ ${#targets[@]} -gt 0 ] || for folder in tests/fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
[ -f build-fuzz/build.ninja ] || cmake --preset fuzz >/dev/null
programs=("${targets[@]/#/fuzz_}")
cmake --build build-fuzz -j "${JOBS:-2}" --target "${programs[@]}"
mkdir -p build-fuzz/findings
failed=0
for target in "${targets[@]}"; do
  mkdir -p "build-fuzz/found/$target"
  options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384
    -print_final_stats=1 -artifact_prefix="build-fuzz/findings/$target-")
  [ -f "tests/fuzz/$target.dict" ] && options+=(-dict="tests/fuzz/$target.dict")
  log="build-fuzz/$target.log"
  if nice "build-fuzz/tests/fuzz/fuzz_$target" "${options[@]}" "build-fuzz/found/$target" \
    "tests/fuzz/corpus/$target" >"$log" 2>&1; then
    echo "$target: $(grep -a number_of_executed_units "$log" | tail -1), $(grep -a ' cov: ' "$log" | tail -1)"
  else
    echo "$target: a finding; see $log"
    grep -aE 'ERROR|SUMMARY|Test unit written' "$log" || tail -5 "$log"
    failed=1
  fi
done
exit $failed
