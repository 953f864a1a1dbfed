# What compiles kernel files for the emulator of tests/simt; used where MBK_SIMT is true.

# mbs_simt_flags(target [SANITIZE value]): flags of a target of kernel files or of C++ tests. The sanitizers of the whole
# build, or those given.
function(mbs_simt_flags target)
  cmake_parse_arguments(A "" "SANITIZE" "" ${ARGN})
  if(NOT DEFINED A_SANITIZE)
    set(A_SANITIZE "${MBS_SANITIZE}")
  endif()
  set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
  target_compile_definitions(${target} PRIVATE MBK_SIMT _GNU_SOURCE)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}/kernels")
  # What the toolkit's headers pun and nvcc takes for granted; sums in the order and rounding of the source.
  target_compile_options(${target} PRIVATE -fno-strict-aliasing -ffp-contract=off -fno-math-errno
    $<$<CONFIG:Debug>:-O1>
    -Wall -Wextra -Wshadow -Wundef -Wvla -Wpointer-arith -Wno-unknown-pragmas $<$<BOOL:${MBS_WERROR}>:-Werror>)
  if(A_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${A_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${A_SANITIZE})
  endif()
  target_link_libraries(${target} PUBLIC mbs_simt_runtime)
endfunction()

# mbs_simt_kernels(name SOURCES ... [SANITIZE value]): a static library of kernel files, compiled by the host's compiler.
function(mbs_simt_kernels name)
  cmake_parse_arguments(A "" "SANITIZE" "SOURCES" ${ARGN})
  set_source_files_properties(${A_SOURCES} PROPERTIES LANGUAGE CXX)
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/kernels/include"
    "${PROJECT_SOURCE_DIR}/core/include" "${PROJECT_BINARY_DIR}/include")
  if(DEFINED A_SANITIZE)
    mbs_simt_flags(${name} SANITIZE "${A_SANITIZE}")
  else()
    mbs_simt_flags(${name})
  endif()
endfunction()
