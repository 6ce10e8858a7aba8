# Debian's Open MPI in ARM_SYSROOT.
set(place ${ARM_SYSROOT}/usr/lib/aarch64-linux-gnu)
add_library(MPI::MPI_C INTERFACE IMPORTED)
target_include_directories(MPI::MPI_C INTERFACE ${place}/openmpi/include)
target_link_libraries(MPI::MPI_C INTERFACE ${place}/openmpi/lib/libmpi.so)
set(MPI_FOUND TRUE)
