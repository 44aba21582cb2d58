# The page of reports: its parts and Chart.js become arrays of a C file, so that the library needs no file at run time.

find_file(LOGITUDE_CHART_JS NAMES chart.min.js Chart.min.js
          PATHS /usr/share/javascript/chart.js /usr/local/share/javascript/chart.js NO_DEFAULT_PATH
          DOC "Chart.js 3, minified")
if(NOT EXISTS "${LOGITUDE_CHART_JS}")
  message(FATAL_ERROR "Chart.js 3 was not found at \"${LOGITUDE_CHART_JS}\"; reports are drawn with it. On Debian: apt-get "
                      "install libjs-chart.js (or run: make setup); elsewhere give -DLOGITUDE_CHART_JS=.../chart.min.js")
endif()

# Adds the generated source to `target`.
function(logitude_report_parts target)
  set(page ${PROJECT_SOURCE_DIR}/src/report/page)
  set(out ${PROJECT_BINARY_DIR}/generated/report_parts.c)
  file(GLOB scripts CONFIGURE_DEPENDS ${page}/*.js)
  set(embed ${PROJECT_SOURCE_DIR}/cmake/embed.cmake)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DPAGE=${page} -DCHART=${LOGITUDE_CHART_JS} -DOUT=${out} -P ${embed}
    DEPENDS ${embed} ${page}/page.html ${page}/style.css ${scripts} ${LOGITUDE_CHART_JS}
    COMMENT "Embedding the page of reports" VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
