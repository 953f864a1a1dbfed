# Optional libraries disable what needs them, with one line each; libyaml, json-c and threads are the product itself.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(YAML REQUIRED yaml-0.1)
pkg_check_modules(JSONC REQUIRED json-c)
find_library(MBS_YAML_STATIC NAMES libyaml.a HINTS ${YAML_LIBRARY_DIRS})
find_library(MBS_JSONC_STATIC NAMES libjson-c.a HINTS ${JSONC_LIBRARY_DIRS})

pkg_check_modules(HTSLIB IMPORTED_TARGET htslib)
if(NOT HTSLIB_FOUND)
  message(STATUS "plugins fasta, bam, bed, bedgraph: not built, htslib is missing (Debian: libhts-dev)")
endif()
find_package(ZLIB)
if(NOT ZLIB_FOUND)
  message(STATUS "plugin bigwig: not built, zlib is missing (Debian: zlib1g-dev)")
endif()
set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 COMPONENTS C)
if(NOT HDF5_FOUND)
  message(STATUS "plugin hdf5: not built, HDF5 is missing (Debian: libhdf5-dev)")
endif()

# The CUDA backend (kernels/cuda) is a later step; until then the toolkit is only looked for, so that the presets can be
# relied upon to fail where it is missing.
if(MBS_CUDA STREQUAL "ON")
  find_package(CUDAToolkit REQUIRED)
  message(STATUS "CUDA toolkit ${CUDAToolkit_VERSION}: found; this version has no CUDA kernels yet, the CPU levels are built")
endif()

# The tests read our outputs with Debian's python3-h5py, which only the system's Python sees.
if(NOT Python3_EXECUTABLE AND EXISTS /usr/bin/python3)
  set(Python3_EXECUTABLE /usr/bin/python3 CACHE FILEPATH "Python of the tests")
endif()

if(MBS_TESTS AND NOT MBS_PLAIN_TESTS)
  find_library(MBS_CRITERION NAMES criterion)
  if(NOT MBS_CRITERION)
    message(FATAL_ERROR "the tests need Criterion (Debian: libcriterion-dev); -DMBS_TESTS=OFF builds without them")
  endif()
endif()
