# Installation: headers, both libraries, those of MPI that were built, the program, the CMake package and the pkg-config file.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/include/logitude DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        PATTERN mpi.h EXCLUDE)
foreach(library logitude_mpi logitude_mpich)
  if(TARGET ${library})
    install(TARGETS ${library})
    install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/include/logitude/mpi.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/logitude)
  endif()
endforeach()
install(TARGETS logitude_shared EXPORT logitude-shared)
install(TARGETS logitude_static EXPORT logitude-static)
if(LOGITUDE_BUILD_CLI)
  install(TARGETS logitude_cli)
  if(NOT CMAKE_CROSSCOMPILING)
    install(DIRECTORY ${PROJECT_BINARY_DIR}/share/man/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
    foreach(folder bash-completion zsh fish)
      install(DIRECTORY ${PROJECT_BINARY_DIR}/share/${folder} DESTINATION ${CMAKE_INSTALL_DATAROOTDIR})
    endforeach()
  endif()
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/logitude)
install(EXPORT logitude-shared NAMESPACE logitude:: DESTINATION ${package_dir})
install(EXPORT logitude-static NAMESPACE logitude:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_SOURCE_DIR}/cmake/logitude-config.cmake.in
                              ${CMAKE_CURRENT_BINARY_DIR}/logitude-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/logitude-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/logitude-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/logitude-config-version.cmake
              ${CMAKE_CURRENT_SOURCE_DIR}/cmake/FindLogitudeDependencies.cmake DESTINATION ${package_dir})
# Relative to the file itself, so that `cmake --install --prefix` and moved trees work.
file(RELATIVE_PATH LOGITUDE_PC_TO_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(${CMAKE_CURRENT_SOURCE_DIR}/cmake/logitude.pc.in ${CMAKE_CURRENT_BINARY_DIR}/logitude.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/logitude.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
