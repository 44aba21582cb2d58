# The libraries Logitude stands on, as one target: pthreadpool, jansson, zlib and libm.
# Used by the build and by the installed package's static target.

include(FindPackageHandleStandardArgs)
find_path(LOGITUDE_PTHREADPOOL_INCLUDE pthreadpool.h)
find_library(LOGITUDE_PTHREADPOOL pthreadpool)
find_path(LOGITUDE_JANSSON_INCLUDE jansson.h)
find_library(LOGITUDE_JANSSON jansson)
find_package(ZLIB)
find_package(Threads)
find_package_handle_standard_args(
  LogitudeDependencies
  REQUIRED_VARS LOGITUDE_PTHREADPOOL LOGITUDE_PTHREADPOOL_INCLUDE LOGITUDE_JANSSON LOGITUDE_JANSSON_INCLUDE ZLIB_FOUND Threads_FOUND
  REASON_FAILURE_MESSAGE
    "on Debian: apt-get install libpthreadpool-dev libjansson-dev zlib1g-dev (or run: make setup)")

if(LogitudeDependencies_FOUND AND NOT TARGET logitude_dependencies)
  add_library(logitude_json INTERFACE IMPORTED)
  target_include_directories(logitude_json INTERFACE ${LOGITUDE_JANSSON_INCLUDE})
  target_link_libraries(logitude_json INTERFACE ${LOGITUDE_JANSSON})
  add_library(logitude_dependencies INTERFACE IMPORTED)
  target_include_directories(logitude_dependencies INTERFACE ${LOGITUDE_PTHREADPOOL_INCLUDE})
  target_link_libraries(logitude_dependencies INTERFACE ${LOGITUDE_PTHREADPOOL} logitude_json ZLIB::ZLIB
                                                        Threads::Threads m)
endif()
