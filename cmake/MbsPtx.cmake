# What runs the PTX that nvcc makes of kernel files on the emulator of tests/simt; used where MBK_PTX is true.

# mbs_ptx_kernels(name ARCH 80 SOURCES ... [DEFINITIONS ...]): a library of the translated PTX of kernel files, which a
# program or module with the emulator loads where MBK_SIMT_PTX names it.
function(mbs_ptx_kernels name)
  cmake_parse_arguments(A "" "ARCH" "SOURCES;DEFINITIONS" ${ARGN})
  set(ptx "${PROJECT_SOURCE_DIR}/tests/simt/ptx")
  set(translator "${ptx}/ptx2c.py" "${ptx}/ptxops.py" "${ptx}/ptxparse.py")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${name}")
  file(MAKE_DIRECTORY "${folder}")
  set(ids)
  set(made)
  foreach(source ${A_SOURCES})
    get_filename_component(id "${source}" NAME_WE)
    add_custom_command(OUTPUT "${folder}/${id}.ptx"
      COMMAND "${CUDAToolkit_NVCC_EXECUTABLE}" -std=c++17 -O3 -lineinfo -Werror all-warnings -arch=compute_${A_ARCH}
        ${A_DEFINITIONS} "-I${PROJECT_SOURCE_DIR}/kernels" "-I${PROJECT_SOURCE_DIR}/kernels/include"
        "-I${PROJECT_SOURCE_DIR}/core/include" "-I${PROJECT_SOURCE_DIR}/tests" -ccbin "${CMAKE_CXX_COMPILER}"
        -MD -MF "${folder}/${id}.d" -ptx "${source}" -o "${folder}/${id}.ptx"
      DEPENDS "${source}" DEPFILE "${folder}/${id}.d" COMMENT "PTX of ${id} for compute_${A_ARCH}" VERBATIM)
    add_custom_command(OUTPUT "${folder}/${id}.c"
      COMMAND "${Python3_EXECUTABLE}" "${ptx}/ptx2c.py" "${folder}/${id}.ptx" -o "${folder}/${id}.c"
      DEPENDS "${folder}/${id}.ptx" ${translator} COMMENT "Translating PTX of ${id} for compute_${A_ARCH}" VERBATIM)
    list(APPEND ids "${id}")
    list(APPEND made "${folder}/${id}.c")
  endforeach()
  add_custom_command(OUTPUT "${folder}/modules.c"
    COMMAND "${Python3_EXECUTABLE}" "${ptx}/ptx2c.py" --table ${ids} -o "${folder}/modules.c"
    DEPENDS ${translator} VERBATIM)
  add_library(${name} MODULE ${made} "${folder}/modules.c" "${ptx}/run.c" "${ptx}/profile.c")
  set_target_properties(${name} PROPERTIES PREFIX "" C_STANDARD 11 C_EXTENSIONS ON
    LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/ptx")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_compile_options(${name} PRIVATE -fno-strict-aliasing -ffp-contract=off -fno-math-errno ${MBK_PTX_FLAGS})
  # Large functions with thousands of variables: what -O1 saves when they run does not pay for what it costs here.
  set_source_files_properties(${made} PROPERTIES COMPILE_OPTIONS "-w;-O0;-g0")
  target_link_libraries(${name} PRIVATE m)
endfunction()

# mbs_ptx_test(program ARCH 80 [LABELS ...] [ENVIRONMENT ...]): the same test program, which runs translated PTX.
function(mbs_ptx_test program)
  cmake_parse_arguments(A "" "ARCH;NAME" "LABELS;ENVIRONMENT" ${ARGN})
  if(NOT A_NAME)
    set(A_NAME ${program}_ptx${A_ARCH})
  endif()
  add_test(NAME ${A_NAME} COMMAND ${program})
  set_tests_properties(${A_NAME} PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77 LABELS "${A_LABELS}"
    ENVIRONMENT "MBK_SIMT_PTX=$<TARGET_FILE:mbk_ptx${A_ARCH}>;${A_ENVIRONMENT}")
endfunction()
