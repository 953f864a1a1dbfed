# The installed tree has the shape of the build tree: bin/, share/mambaseq/, <libdir>/mambaseq/plugins-0/. All of it may be
# moved together: everything is found from the executable.
include(CMakePackageConfigHelpers)

if(TARGET mambaseq)
  install(TARGETS mambaseq RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
install(DIRECTORY core/include/mambaseq DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
install(FILES "${PROJECT_BINARY_DIR}/include/mambaseq/version.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/mambaseq")
foreach(dir pipelines configs share/models share/data share/doc)
  install(DIRECTORY "${dir}" DESTINATION share/mambaseq PATTERN CMakeLists.txt EXCLUDE PATTERN "make.sh" EXCLUDE)
endforeach()
install(FILES share/LICENSES.md LICENSE DESTINATION share/mambaseq)
install(DIRECTORY share/man/ DESTINATION share/man OPTIONAL)
install(FILES share/completion/mambaseq.bash DESTINATION share/bash-completion/completions RENAME mambaseq OPTIONAL)
install(FILES share/completion/_mambaseq DESTINATION share/zsh/site-functions OPTIONAL)

file(RELATIVE_PATH MBS_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/mambaseq-plugin.pc.in "${PROJECT_BINARY_DIR}/mambaseq-plugin.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/mambaseq-plugin.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
configure_package_config_file(cmake/mambaseqConfig.cmake.in "${PROJECT_BINARY_DIR}/mambaseqConfig.cmake"
  INSTALL_DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/mambaseq" PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/mambaseqConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/mambaseqConfig.cmake" "${PROJECT_BINARY_DIR}/mambaseqConfigVersion.cmake"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/mambaseq")

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_NAME mambaseq)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Selective state-space models on whole genomes and hours of sound")
set(CPACK_PACKAGE_FILE_NAME "mambaseq-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
include(CPack)
