# Debian's serial HDF5 in ARM_SYSROOT.
set(HDF5_C_INCLUDE_DIRS ${ARM_SYSROOT}/usr/include/hdf5/serial)
set(HDF5_C_LIBRARIES ${ARM_SYSROOT}/usr/lib/aarch64-linux-gnu/hdf5/serial/libhdf5.so)
set(HDF5_C_DEFINITIONS "")
file(STRINGS ${HDF5_C_INCLUDE_DIRS}/H5pubconf.h line REGEX "H5_VERSION ")
string(REGEX REPLACE ".*\"(.*)\".*" "\\1" HDF5_VERSION "${line}")
set(HDF5_FOUND TRUE)
