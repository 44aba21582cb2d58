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
#if defined(__x86_64__) && defined(__linux__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&              \
    !defined(__SANITIZE_THREAD__)
/* A function of plain loops, compiled again for wider vectors and chosen when the program is loaded. Products and sums
 * stay apart (ISO C contracts nothing), so that its results have the same bits. Elsewhere, and under sanitizers, which
 * are not there yet when the choice is made, it is compiled once. For static functions: of others gcc exports the
 * choice. */
#define LGT_WIDENED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LGT_WIDENED
#endif
#else
#error "the kernels need vector types: add this compiler's here"
#endif

#endif
