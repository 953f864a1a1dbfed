# What compiles kernel files for the emulator of tests/simt; used where MBK_SIMT is true.

# mbs_simt_flags(target [SANITIZE value]): flags of a target of kernel files or of C++ tests. The sanitizers of the whole
# build, or those given.
function(mbs_simt_flags target)
  cmake_parse_arguments(A "" "SANITIZE" "" ${ARGN})
  if(NOT DEFINED A_SANITIZE AND NOT "SANITIZE" IN_LIST A_KEYWORDS_MISSING_VALUES)
    set(A_SANITIZE "${MBS_SANITIZE}")
  endif()
  set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
  target_compile_definitions(${target} PRIVATE MBK_SIMT _GNU_SOURCE)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}/kernels")
  # What the toolkit's headers pun and nvcc takes for granted; sums in the order and rounding of the source.
  target_compile_options(${target} PRIVATE -fno-strict-aliasing -ffp-contract=off -fno-math-errno
    # More takes thrice as long to compile, three times in all, and hardly runs faster: the fibers are what takes time.
    -O1
    # gcc does not see that two unrolled loops take the same entries of an array.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    -Wall -Wextra -Wundef -Wvla -Wpointer-arith -Wno-unknown-pragmas $<$<BOOL:${MBS_WERROR}>:-Werror>)
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
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${A_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/kernels/include"
    "${PROJECT_SOURCE_DIR}/core/include" "${PROJECT_BINARY_DIR}/include")
  if(DEFINED A_SANITIZE)
    mbs_simt_flags(${name} SANITIZE "${A_SANITIZE}")
  else()
    mbs_simt_flags(${name})
  endif()
endfunction()

# mbs_simt_test(name SOURCES ... KERNELS file.cu ... [LIBS ...] [LABELS ...]): a test that calls launchers of those kernel
# files on the emulator (tests/simt/direct.h), twice: as every test, and as <name>_race under ThreadSanitizer, with
# MBS_SIMT_RACE defined, which is for smaller shapes. The mutation tests (tests/simt/mutations.py) run both.
function(mbs_simt_test name)
  cmake_parse_arguments(A "" "" "SOURCES;KERNELS;LIBS;LABELS" ${ARGN})
  if(MBS_PLAIN_TESTS)
    return()
  endif()
  mbs_test(${name} SOURCES ${A_SOURCES} LIBS mbk_cuda_simt mbk_kit ${A_LIBS} LABELS simt ${A_LABELS})
  if(MBS_SANITIZE)
    return()
  endif()
  add_executable(${name}_race ${A_SOURCES} "${PROJECT_SOURCE_DIR}/tests/support/runner.c")
  set_target_properties(${name}_race PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_include_directories(${name}_race PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name}_race PRIVATE MBS_TEST_PLAIN MBS_SIMT_RACE)
  target_link_libraries(${name}_race PRIVATE mbk_cuda_simt_race mbk_kit ${A_LIBS} mbs_flags m)
  add_test(NAME ${name}_race COMMAND ${name}_race)
  set_tests_properties(${name}_race PROPERTIES LABELS "simt;race;${A_LABELS}" TIMEOUT 300
    ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1")
  mbs_simt_covers("${A_KERNELS}" result "$<TARGET_FILE:${name}>")
  mbs_simt_covers("${A_KERNELS}" race "$<TARGET_FILE:${name}_race>")
endfunction()

# mbs_simt_covers(files layer command): tells the mutation tests that `command`, with NAME=value before it as env takes
# it, runs these kernel files.
function(mbs_simt_covers files layer command)
  list(JOIN files "," joined)
  set_property(GLOBAL APPEND_STRING PROPERTY MBS_SIMT_COVERED "${joined} ${layer} ${command}\n")
endfunction()

# Called when all tests are known.
function(mbs_simt_mutations)
  get_property(covered GLOBAL PROPERTY MBS_SIMT_COVERED)
  find_package(Python3 COMPONENTS Interpreter)
  if(covered AND Python3_FOUND AND NOT MBS_SANITIZE)
    file(GENERATE OUTPUT "${CMAKE_BINARY_DIR}/tests/mutations.manifest" CONTENT "${covered}")
    add_test(NAME simt_mutations COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/tests/simt/mutations.py"
      "${CMAKE_BINARY_DIR}/tests/mutations.manifest")
    set_tests_properties(simt_mutations PROPERTIES LABELS simt TIMEOUT 1200 COST 50)
  endif()
endfunction()
