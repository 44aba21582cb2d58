# Warnings, sanitizers and the flags of the kernels that are compiled once per instruction set.

function(logitude_sanitize target)
  if(LOGITUDE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${LOGITUDE_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${LOGITUDE_SANITIZE})
  endif()
endfunction()

# No one reads errno after a mathematical function, and without it sqrtf vectorises.
function(logitude_compile_options target)
  target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
                                           -Wmissing-prototypes -Wvla -fvisibility=hidden -fno-math-errno)
  if(LOGITUDE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  logitude_sanitize(${target})
endfunction()

# src/kernel/kernels_<isa>.c is one template compiled for <isa>. Contraction is on there alone: a kernel wants fused
# multiply-adds, everything else wants the same bits whatever the processor. -O3 in every build type: the kernels are
# written to be vectorised. With sanitizers -O1: their checks in unrolled loops take the compiler minutes otherwise.
function(logitude_isa_flags)
  set(level -O3)
  if(LOGITUDE_SANITIZE)
    set(level -O1)
  endif()
  set(flags_generic "")
  set(flags_avx2 -mavx2 -mfma)
  set(flags_avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512)
  set(flags_avx512bf16 ${flags_avx512} -mavx512bf16)
  set(flags_amx ${flags_avx512bf16} -mamx-tile -mamx-bf16 -mamx-int8 -mavx512vbmi)
  foreach(source ${ARGN})
    if(source MATCHES "kernels_([a-z0-9]+)(_emulated)?\\.c$")
      set(isa ${CMAKE_MATCH_1})
      if(isa STREQUAL "generic" OR CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${level};-ffp-contract=fast;${flags_${isa}}")
      else()
        set_source_files_properties(${source} PROPERTIES HEADER_FILE_ONLY ON)
      endif()
    endif()
  endforeach()
endfunction()
