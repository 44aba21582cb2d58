/* The only home of compiler extensions: those of gcc and clang. */
#ifndef LGT_BASE_COMPILER_H
#define LGT_BASE_COMPILER_H

#if defined(__GNUC__)
#define LGT_PRINTF(text, first) __attribute__((format(printf, text, first)))
/* Inlined whatever the size: a micro-kernel keeps its accumulators in registers only when its bounds are constants. */
#define LGT_INLINE static inline __attribute__((always_inline))
/* A type of `bytes` bytes of `element`s: arithmetic on it is elementwise and becomes the widest instructions the file
 * is compiled for. Unaligned and aliasing whatever it points to, so that any array can be read through it. */
#define LGT_VECTOR(name, element, bytes)                                                                               \
    typedef element name __attribute__((vector_size(bytes), aligned(sizeof(element)), may_alias))
/* The elements i, j, k, l of two vectors of four, b's counted from 4 on: gcc 12 and clang know it by this name. */
#define LGT_PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#error "the kernels need vector types: add this compiler's here"
#endif

#endif
