option(MBS_TESTS "Build the tests" ON)
option(MBS_WERROR "Warnings are errors" OFF)
option(MBS_PLAIN_TESTS "Build the tests as plain programs, without Criterion (needed under ThreadSanitizer)" OFF)
option(MBS_FUZZ "Build the fuzz targets with libFuzzer (clang)" OFF)
set(MBS_CUDA AUTO CACHE STRING "CUDA toolkit: ON (required), OFF (not looked for), AUTO")
set_property(CACHE MBS_CUDA PROPERTY STRINGS AUTO ON OFF)
set(MBS_SANITIZE "" CACHE STRING "Value of -fsanitize=, e.g. address,undefined")
set(MBS_COVERAGE OFF CACHE BOOL "Instrument for coverage")

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

# One tree for programs, plugins and share/, the same shape as an install, so that all of it is found from the executable.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(MBS_PLUGIN_DIR "${CMAKE_INSTALL_LIBDIR}/mambaseq/plugins-1")
set(MBS_BUILD_PLUGIN_DIR "${CMAKE_BINARY_DIR}/${MBS_PLUGIN_DIR}")
set(MBS_BUILD_SHARE_DIR "${CMAKE_BINARY_DIR}/share/mambaseq")
# Whatever the umask: a plugin folder that its group can write is warned about at every run.
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
  WORLD_READ WORLD_EXECUTE)

add_library(mbs_flags INTERFACE)
target_compile_definitions(mbs_flags INTERFACE _GNU_SOURCE)
target_compile_options(mbs_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wundef -Wvla -Wformat=2 -Wcast-qual -Wcast-align -Wpointer-arith -Wswitch-enum
  -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes -Wredundant-decls
  -fno-math-errno -ffp-contract=off -fstack-protector-strong)
# A forgotten include is a crash where a function returns a pointer.
target_compile_options(mbs_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror=implicit-function-declaration>)
# snprintf cuts texts on purpose; which cuts gcc sees depends on its optimiser.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(mbs_flags INTERFACE -Wno-format-truncation)
endif()
if(MBS_WERROR)
  target_compile_options(mbs_flags INTERFACE -Werror)
endif()
if(MBS_SANITIZE)
  target_compile_options(mbs_flags INTERFACE -fsanitize=${MBS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(mbs_flags INTERFACE -fsanitize=${MBS_SANITIZE})
elseif(CMAKE_BUILD_TYPE MATCHES "Rel")
  target_compile_definitions(mbs_flags INTERFACE _FORTIFY_SOURCE=2)
  target_link_options(mbs_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(MBS_FUZZ)
  target_compile_options(mbs_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(MBS_COVERAGE)
  target_compile_options(mbs_flags INTERFACE --coverage)
  target_link_options(mbs_flags INTERFACE --coverage)
endif()
