/* The version of the interface, and the mark of exported symbols. */
#ifndef LOGITUDE_VERSION_H
#define LOGITUDE_VERSION_H

#define LGT_VERSION_MAJOR  0
#define LGT_VERSION_MINOR  1
#define LGT_VERSION_PATCH  0
#define LGT_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define LGT_API __attribute__((visibility("default")))
#else
#define LGT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that runs, for comparison with LGT_VERSION_STRING of the headers. */
LGT_API const char *lgt_version(void);

#ifdef __cplusplus
}
#endif

#endif
