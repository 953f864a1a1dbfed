# The installed tree has the shape of the build tree: bin/, share/mambaseq/, <libdir>/mambaseq/plugins-1/. All of it may be
# moved together: everything is found from the executable. Plugins and headers are installed where they are built.
include(CMakePackageConfigHelpers)

foreach(dir BINDIR LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
    message(FATAL_ERROR "CMAKE_INSTALL_${dir} must be relative: the installed tree is found from the executable")
  endif()
endforeach()
if(CMAKE_INSTALL_BINDIR MATCHES "/")
  message(FATAL_ERROR "CMAKE_INSTALL_BINDIR must be one folder below the prefix: share/ is found from there")
endif()

if(TARGET mambaseq)
  install(TARGETS mambaseq RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

# What share: names, and the licences. Recipes that make shipped files (make.sh, windows.py) stay in the sources.
foreach(dir pipelines configs share/models share/data share/doc share/template share/examples share/python)
  install(DIRECTORY "${dir}" DESTINATION share/mambaseq OPTIONAL
    PATTERN CMakeLists.txt EXCLUDE PATTERN "*.cmake" EXCLUDE PATTERN "make.sh" EXCLUDE PATTERN "windows.py" EXCLUDE PATTERN "__pycache__" EXCLUDE
    PATTERN ".*" EXCLUDE)
endforeach()
install(FILES share/LICENSES.md LICENSE share/plugin.map DESTINATION share/mambaseq)
install(DIRECTORY share/man/ DESTINATION share/man FILES_MATCHING PATTERN "*.[17]")
install(FILES share/completion/mambaseq.bash DESTINATION share/bash-completion/completions RENAME mambaseq)
install(FILES share/completion/_mambaseq DESTINATION share/zsh/site-functions)

# For authors of plugins: pkg-config and find_package(mambaseq). `plugin new` builds beside a program that is not installed, too.
set(MBS_PC_INCLUDEDIR "${PROJECT_SOURCE_DIR}/core/include")
set(MBS_PC_MORE " -I${PROJECT_BINARY_DIR}/include")
set(MBS_PC_MAP "${PROJECT_SOURCE_DIR}/share/plugin.map")
configure_file(cmake/mambaseq-plugin.pc.in "${PROJECT_BINARY_DIR}/share/pkgconfig/mambaseq-plugin.pc" @ONLY)
set(MBS_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
set(MBS_PC_MORE "")
set(MBS_PC_MAP "\${prefix}/share/mambaseq/plugin.map")
configure_file(cmake/mambaseq-plugin.pc.in "${PROJECT_BINARY_DIR}/mambaseq-plugin.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/mambaseq-plugin.pc" DESTINATION share/pkgconfig)
# For programs that embed the runtime (core/embed): where arch-dependent things are, and still found from the file itself.
file(RELATIVE_PATH MBS_PC_TO_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" MBS_PC_TO_PREFIX "${MBS_PC_TO_PREFIX}")
configure_file(cmake/mambaseq.pc.in "${PROJECT_BINARY_DIR}/mambaseq.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/mambaseq.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
set(MBS_SHARE_DIR share/mambaseq)
configure_package_config_file(cmake/mambaseqConfig.cmake.in "${PROJECT_BINARY_DIR}/mambaseqConfig.cmake"
  INSTALL_DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/mambaseq" PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR MBS_PLUGIN_DIR MBS_SHARE_DIR
  NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/mambaseqConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/mambaseqConfig.cmake" "${PROJECT_BINARY_DIR}/mambaseqConfigVersion.cmake"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/mambaseq")

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_NAME mambaseq)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Selective state-space models on whole genomes and hours of sound")
set(CPACK_PACKAGE_FILE_NAME "mambaseq-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
include(CPack)
