#!/usr/bin/env bash
# arm.sh BUILD: builds lockstep for aarch64 beside the native build folder BUILD, runs the operation
# cases and short trainings of four networks under qemu, and compares with this processor's bits.
# Exit code 77: tools are missing, nothing was tested.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source_folder=$(cd "$here/../.." && pwd)
native=$(cd "${1:?usage: arm.sh BUILD}" && pwd)
cross=$native/arm
sysroot=${LOCKSTEP_ARM_SYSROOT:-$native/arm-sysroot}
seed=${LOCKSTEP_TEST_SEED:-$RANDOM$RANDOM}
echo "seed $seed (LOCKSTEP_TEST_SEED=$seed repeats it)"

missing=()
for tool in aarch64-linux-gnu-g++ qemu-aarch64-static apt-get dpkg; do
  command -v $tool >/dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "SKIPPED, nothing was tested: ${missing[*]} missing (Debian: g++-aarch64-linux-gnu, qemu-user-static)"
  exit 77
fi
"$here/sysroot.sh" "$sysroot" || {
  echo "SKIPPED, nothing was tested: the arm64 libraries could not be fetched"
  exit 77
}
cmake -S "$source_folder" -B "$cross" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$here/aarch64.cmake" \
  -DARM_SYSROOT="$sysroot" >/dev/null
cmake --build "$cross" --target case_hashes lockstep
cmake --build "$native" --target case_hashes lockstep

# A process of its own, without mpirun; the emulator cannot start Open MPI's helper programs.
export OMPI_MCA_ess_singleton_isolated=1 OMPI_MCA_btl=self OMPI_MCA_pml=ob1
arm() { qemu-aarch64-static -L "$sysroot" -E LD_LIBRARY_PATH="$sysroot/usr/lib/aarch64-linux-gnu/hdf5/serial:$sysroot/usr/lib/aarch64-linux-gnu/openmpi/lib" "$cross/$1" "${@:2}"; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

"$native/tests/arm/case_hashes" "$seed" >native.txt
arm tests/arm/case_hashes "$seed" >arm.txt
diff native.txt arm.txt || { echo "operation cases differ (inputs, outputs, name)"; exit 1; }
echo "$(wc -l <arm.txt) operation cases: equal"

"$native/launch/lockstep" prepare digits --test 0.1 -o digits.h5 >/dev/null
# resnet18: Winograd's transforms, batch norm with its sum and ReLU; efficientnet_b0: depthwise.
for network in mlp cnn resnet18 efficientnet_b0; do
  settings=(model.network=$network)
  case $network in
    mlp) settings+=("model.widths=[32]" model.dropout=0.2) ;;
    cnn) settings+=(model.batch_norm=true model.dropout=0.2) ;;
    resnet18) settings+=(model.stem=cifar) ;;
  esac
  # Two rows a shard, for the emulator's sake.
  case $network in resnet18 | efficientnet_b0) settings+=(training.steps=2 training.batch=8 "data.validation=") ;; esac
  "$native/launch/lockstep" train "$here/short.toml" "${settings[@]}" --out native-$network >/dev/null
  arm launch/lockstep train "$here/short.toml" "${settings[@]}" --out arm-$network >/dev/null
  for file in weights.safetensors metrics.jsonl $(cd native-$network && echo checkpoints/*.ckpt); do
    cmp native-$network/"$file" arm-$network/"$file"
  done
  grep -q '"isa": "neon"' arm-$network/run.json
  echo "$network: weights, metrics, checkpoints equal"
done
