# mbs_library(name SOURCES ... [LIBS ...]): a static library of core/ or kernels/.
function(mbs_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PUBLIC
    "${PROJECT_SOURCE_DIR}/core" "${PROJECT_SOURCE_DIR}/core/include" "${PROJECT_BINARY_DIR}/include"
    "${PROJECT_SOURCE_DIR}/kernels/include")
  target_link_libraries(${name} PUBLIC ${A_LIBS} PRIVATE mbs_flags)
endfunction()

# mbs_plugin(name SOURCES ... [LIBS ...]): mbsp_<name>.so, which exports its entry and nothing else.
function(mbs_plugin name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(mbsp_${name} MODULE ${A_SOURCES})
  target_include_directories(mbsp_${name} PRIVATE "${PROJECT_SOURCE_DIR}/core/include" "${PROJECT_BINARY_DIR}/include")
  target_link_libraries(mbsp_${name} PRIVATE ${A_LIBS} mbs_flags)
  if(NOT MBS_SANITIZE)
    target_link_options(mbsp_${name} PRIVATE -Wl,-z,defs)
  endif()
  target_link_options(mbsp_${name} PRIVATE -Wl,--exclude-libs,ALL)
  # A library that lies outside of the system's folders (a cluster's module, say) is still found once installed.
  set_target_properties(mbsp_${name} PROPERTIES PREFIX "" SUFFIX ".so" LIBRARY_OUTPUT_DIRECTORY "${MBS_BUILD_PLUGIN_DIR}"
    INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS mbsp_${name} LIBRARY DESTINATION "${MBS_PLUGIN_DIR}")
  set_property(GLOBAL APPEND PROPERTY MBS_PLUGINS mbsp_${name})
endfunction()

# mbs_test(name SOURCES ... [LIBS ...] [LABELS ...] [TSAN]): a program of MBS_TEST bodies (tests/support/test.h), one CTest
# entry. With MBS_PLAIN_TESTS only those marked TSAN are built, on the small runner instead of Criterion.
function(mbs_test name)
  cmake_parse_arguments(A "TSAN" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(MBS_PLAIN_TESTS AND NOT A_TSAN)
    return()
  endif()
  add_executable(${name} ${A_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE
    MBS_SOURCE_DIR="${PROJECT_SOURCE_DIR}" MBS_BUILD_DIR="${PROJECT_BINARY_DIR}")
  if(MBS_PLAIN_TESTS)
    target_compile_definitions(${name} PRIVATE MBS_TEST_PLAIN)
    target_sources(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/support/runner.c")
  else()
    target_link_libraries(${name} PRIVATE ${MBS_CRITERION})
  endif()
  target_link_libraries(${name} PRIVATE ${A_LIBS} mbs_flags m)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT} SKIP_RETURN_CODE 77)
endfunction()
