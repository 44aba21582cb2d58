/* Files: arrays (.npy, IDX), tables (CSV), tensors with metadata (safetensors), datasets, and whole-file writes.
 *
 * Readers are strict: whatever a format allows only by accident is refused. Every message starts with the path, and
 * with the line where there is one: "FILE:LINE: what was found, what was expected". Rows and columns of arrays are
 * counted from 0, as NumPy does; lines and columns of text from 1, as editors do. Formats are told by content, not by
 * suffix; gzip is unpacked wherever it is met. Pipes and sockets are read to their end before anything is made of them;
 * the path "/dev/stdin" is standard input itself, "/dev/stdout" standard output. Errors of readers: IO (the system
 * refused; a device or a folder), DATA (the content), MEMORY (a limit or an allocation), UNSUPPORTED (a valid file of a
 * kind this build does not read). After an error nothing is held: an `out` record is empty. docs/formats.md has every
 * rule and limit. */
#ifndef LOGITUDE_IO_H
#define LOGITUDE_IO_H

#include "context.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LGT_MAX_DIMS 8

/* An array in memory, C order, native byte order. data is owned through the context it was read with. */
typedef struct lgt_array {
    lgt_dtype dtype;
    int n_dims; /* 0: a scalar */
    int64_t shape[LGT_MAX_DIMS];
    int64_t count; /* product of shape */
    void *data;
} lgt_array;

/* Reads a .npy (f16, f32, f64, integers of 1 to 8 bytes, truth values; both orders, both byte orders) or IDX file.
 * Integers other than u8, i32 and i64 come as the smallest of i32 and i64 that has all their values, truth values as
 * i32. Errors: DATA also for an integer beyond i64. */
LGT_API lgt_status lgt_array_read(lgt_context *context, const char *path, lgt_array *out, lgt_error *err);

/* Replaces the elements by another type, exactly or not at all: F16/F32/F64/integers to F32 or F64 (rounding to F32 is
 * allowed), anything with integer values to I64. Errors: DATA naming the first element that has no such value, by row
 * and column and without a path; UNSUPPORTED for other types. The array is then as it was. */
LGT_API lgt_status lgt_array_convert(lgt_context *context, lgt_array *array, lgt_dtype dtype, lgt_error *err);

/* Frees the elements and empties the record; an empty record is allowed. */
LGT_API void lgt_array_free(lgt_context *context, lgt_array *array);

/* Writes a C-order .npy of any dtype, atomically (lgt_file_write). */
LGT_API lgt_status lgt_npy_write(lgt_context *context, const char *path, lgt_dtype dtype, int n_dims,
                                 const int64_t *shape, const void *data, lgt_error *err);

/* Replaces a file whole or not at all: temporary file beside it, fsync, rename, fsync of the folder. On an error the
 * old file stands and nothing new is left, but for the last step: the new file is in place when only the folder's fsync
 * fails. Links are followed, permissions kept; devices and pipes are written in place. Errors: IO, naming path and
 * operation. */
LGT_API lgt_status lgt_file_write(lgt_context *context, const char *path, const void *bytes, size_t length,
                                  lgt_error *err);

/* Makes a folder and its parents; one that exists is fine. */
LGT_API lgt_status lgt_folder_create(const char *path, lgt_error *err);

/* A file that grows line by line while work goes on (metrics.jsonl). Opening empties it. */
typedef struct lgt_log lgt_log;
LGT_API lgt_status lgt_log_open(lgt_context *context, const char *path, lgt_log **out, lgt_error *err);
/* Opens a log to go on with it, cut back to its first `length` bytes. Errors: IO, DATA (it is shorter), MEMORY. */
LGT_API lgt_status lgt_log_reopen(lgt_context *context, const char *path, int64_t length, lgt_log **out,
                                  lgt_error *err);
/* Appends text and a newline, and hands them to the system. */
LGT_API lgt_status lgt_log_line(lgt_log *log, const char *text, lgt_error *err);
/* Bytes of the log; lgt_log_sync makes them outlive the machine (fsync). */
LGT_API int64_t lgt_log_length(const lgt_log *log);
LGT_API lgt_status lgt_log_sync(lgt_log *log, lgt_error *err);
/* fsync and close; reports what they report. NULL is allowed. */
LGT_API lgt_status lgt_log_close(lgt_log *log, lgt_error *err);

/* --- Tensors with metadata: one safetensors file --- */

typedef struct lgt_tensor {
    char *name;
    lgt_array array;
} lgt_tensor;

typedef struct lgt_metadata {
    char *key, *value;
} lgt_metadata;

typedef struct lgt_tensors {
    lgt_tensor *tensors;
    int64_t n_tensors;
    lgt_metadata *metadata;
    int64_t n_metadata;
} lgt_tensors;

LGT_API lgt_status lgt_tensors_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err);
/* Writes what `tensors` holds, atomically; tensors in the given order without gaps, the first at a multiple of 64
 * bytes. Errors: USAGE (a name that is missing, twice, not UTF-8 or too long; a count that is not its shape's), IO,
 * MEMORY. */
LGT_API lgt_status lgt_tensors_write(lgt_context *context, const char *path, const lgt_tensors *tensors,
                                     lgt_error *err);
LGT_API void lgt_tensors_free(lgt_context *context, lgt_tensors *tensors);
/* NULL when there is none of that name. */
LGT_API const lgt_array *lgt_tensors_find(const lgt_tensors *tensors, const char *name);
LGT_API const char *lgt_tensors_metadata(const lgt_tensors *tensors, const char *key);

/* --- Formats of other programs, as tensors by name --- */

/* Reads every .npy member of a .npz archive, stored or deflated; names without the suffix. Sizes and checksums must
 * hold, and the archive's directory must tell the same. Errors: as of readers; UNSUPPORTED for encryption, other
 * methods, 4 GiB or more, and archives that were written to a pipe. */
LGT_API lgt_status lgt_npz_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err);
/* Writes the tensors as a .npz archive without compression, atomically; metadata have no place in it. Errors: those of
 * lgt_tensors_write; UNSUPPORTED for 4 GiB or more. */
LGT_API lgt_status lgt_npz_write(lgt_context *context, const char *path, const lgt_tensors *tensors, lgt_error *err);

/* Reads a model of liblinear (text): weight (C, D) F64, labels (C) I64, bias (C) F64 where the model has one (its
 * weight times the constant), metadata solver_type. A model of two classes with one vector becomes a weight of one row,
 * positive for the second label: liblinear's first, so labels are turned around. */
LGT_API lgt_status lgt_liblinear_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err);
/* Writes weight (C, D), or (1, D) of two labels, and bias, or NULL, both F32 or F64, and labels I64, atomically. What
 * is read back has the same values. Errors: USAGE (shapes, types, a solver_type of blanks or none), DATA (a number that
 * is not finite), IO, MEMORY. */
LGT_API lgt_status lgt_liblinear_write(lgt_context *context, const char *path, const char *solver_type,
                                       const lgt_array *weight, const lgt_array *bias, const lgt_array *labels,
                                       lgt_error *err);

/* Which of these formats a file has. */
typedef enum lgt_tensors_format {
    LGT_TENSORS_ARRAY = 0, /* .npy or IDX */
    LGT_TENSORS_SAFETENSORS = 1,
    LGT_TENSORS_NPZ = 2,
    LGT_TENSORS_LIBLINEAR = 3,
    LGT_TENSORS_LIBSVM = 4,
    LGT_TENSORS_CSV = 5 /* with labels in its last column */
} lgt_tensors_format;
/* Reads a file of any of them, told by its first bytes; one array becomes a tensor with the name "", a table `features`
 * (N, D) F32 and `labels` (N) I64, numbered as in a dataset; a column of labels alone has no `features`. */
LGT_API lgt_status lgt_tensors_read_any(lgt_context *context, const char *path, lgt_tensors *out,
                                        lgt_tensors_format *format, lgt_error *err);

/* --- Datasets --- */

typedef enum lgt_split { LGT_SPLIT_TRAIN = 0, LGT_SPLIT_TEST = 1 } lgt_split;

typedef struct lgt_dataset_options {
    size_t struct_size;
    const char *spec;          /* what to load, see lgt_dataset_load */
    lgt_split split;           /* which half of a dataset that has two; default LGT_SPLIT_TRAIN */
    const char *fashion_mnist; /* folder of Fashion-MNIST; default NULL: where Debian's package puts it */
    const char *label_column;  /* CSV: name or 1-based number of the label column; default NULL: the last one */
    int labels_required; /* default 1; 0: those in a file or label_column of their own are taken, others not read */
    int64_t least_dim;   /* LIBSVM: rows have so many features at least, zeros behind the last index; default 0 */
} lgt_dataset_options;

LGT_API void lgt_dataset_options_init(lgt_dataset_options *options);

/* A dataset in memory. 8-bit features become value / 255. */
typedef struct lgt_dataset {
    int64_t n_rows, dim;
    float *x;           /* (n_rows, dim) */
    int64_t *labels;    /* (n_rows) index into label_names; NULL: none */
    char **label_names; /* distinct labels, integers by value, else text by bytes */
    int64_t n_labels;
    int n_dims; /* shape of one sample, for example 28 x 28 */
    int64_t shape[LGT_MAX_DIMS];
    uint64_t fingerprint; /* hash of sizes, features, label names and labels as loaded: tells datasets apart, no more */
} lgt_dataset;

/* Loads  "fashion-mnist[:train|:test]" | FOLDER[:train|:test] | "FEATURES[,LABELS]"  where a folder holds MNIST-named
 * IDX files (train-images*, train-labels*, t10k-images*, t10k-labels*) or features.npy and labels.npy, FEATURES is
 * .npy, IDX, CSV, LIBSVM, or .npz or safetensors with arrays of the usual names (docs/formats.md), and LABELS .npy,
 * IDX, a one-column CSV, lines of LIBSVM or such an archive. A suffix overrides options->split. What exists under the
 * whole specification is taken as one path, else the last comma separates. The first axis of FEATURES counts samples,
 * the others are flattened. Errors: DATA also for a NaN or infinity (row and column), row counts that differ, no rows;
 * USAGE for a label column that is not there. */
LGT_API lgt_status lgt_dataset_load(lgt_context *context, const lgt_dataset_options *options, lgt_dataset **out,
                                    lgt_error *err);
LGT_API void lgt_dataset_free(lgt_context *context, lgt_dataset *dataset);

/* Renumbers labels to the order of `names`. Errors: DATA naming the first row whose label is not among them, USAGE for
 * a name given twice; the dataset is then as it was. */
LGT_API lgt_status lgt_dataset_relabel(lgt_context *context, lgt_dataset *dataset, char *const *names, int64_t n_names,
                                       lgt_error *err);

#ifdef __cplusplus
}
#endif

#endif
