/* The only home of compiler extensions. Each has a plain fallback or is needed everywhere. */
#ifndef LGT_BASE_COMPILER_H
#define LGT_BASE_COMPILER_H

#if defined(__GNUC__)
#define LGT_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define LGT_RESTRICT              restrict
/* Inlined whatever the size: a micro-kernel keeps its accumulators in registers only when its bounds are constants. */
#define LGT_INLINE static inline __attribute__((always_inline))
#else
#define LGT_PRINTF(text, first)
#define LGT_RESTRICT restrict
#define LGT_INLINE   static inline
#endif

#endif
