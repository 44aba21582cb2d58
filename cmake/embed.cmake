# cmake -DPAGE=src/report/page -DCHART=chart.min.js -DOUT=parts.c -P embed.cmake: files as arrays of C (src/report/parts.h).

set(source "/* Made by cmake/embed.cmake from src/report/page and Chart.js. */\n#include \"report/parts.h\"\n")

function(add_part name)
  set(hex "")
  foreach(file ${ARGN})
    if(NOT EXISTS ${file})
      message(FATAL_ERROR "${file}: not found")
    endif()
    file(READ ${file} one HEX)
    string(APPEND hex "${one}")
  endforeach()
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND source "\nstatic const unsigned char ${name}_bytes[] = {\n${hex}};\n"
                       "const lgt_page_part lgt_page_${name} = {${name}_bytes, sizeof ${name}_bytes};\n")
  set(source "${source}" PARENT_SCOPE)
endfunction()

file(GLOB scripts ${PAGE}/*.js)
list(SORT scripts)
add_part(frame ${PAGE}/page.html)
add_part(style ${PAGE}/style.css)
add_part(chart ${CHART})
add_part(script ${scripts})
file(WRITE ${OUT} "${source}")
