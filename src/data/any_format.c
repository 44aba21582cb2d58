/* Files of any format, by their first bytes. */
#include "base/error.h"
#include "base/memory.h"
#include "data/array.h"

/* One array, as a tensor that has no name. */
static lgt_status read_array(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_error *err) {
    lgt_status status = LGT_NEW_ZERO(context, &out->tensors, 1, err);
    if (status) return status;
    out->n_tensors = 1;
    status = lgt_alloc_text(context, "", &out->tensors->name, err);
    return status ? status : lgt_array_from_input(context, input, &out->tensors->array, err);
}

static lgt_status read_any(lgt_context *context, lgt_input *input, lgt_tensors *out, lgt_tensors_format *format,
                           lgt_error *err) {
    switch (lgt_input_format(input)) {
    case LGT_FORMAT_SAFETENSORS:
        *format = LGT_TENSORS_SAFETENSORS;
        return lgt_tensors_from_input(context, input, out, err);
    case LGT_FORMAT_ZIP:
        *format = LGT_TENSORS_NPZ;
        return lgt_npz_from_input(context, input, out, err);
    case LGT_FORMAT_LIBLINEAR:
        *format = LGT_TENSORS_LIBLINEAR;
        return lgt_liblinear_from_input(context, input, out, err);
    case LGT_FORMAT_NPY:
    case LGT_FORMAT_IDX:
        *format = LGT_TENSORS_ARRAY;
        return read_array(context, input, out, err);
    default:
        *format = lgt_input_format(input) == LGT_FORMAT_LIBSVM ? LGT_TENSORS_LIBSVM : LGT_TENSORS_CSV;
        return lgt_fail(err, LGT_ERR_DATA, "%s: its first bytes are neither those of .npy nor of IDX",
                        lgt_input_path(input));
    }
}

lgt_status lgt_tensors_read_any(lgt_context *context, const char *path, lgt_tensors *out, lgt_tensors_format *format,
                                lgt_error *err) {
    lgt_input *input = NULL;
    *out = (lgt_tensors){.tensors = NULL};
    lgt_status status = lgt_input_open(context, path, &input, err);
    if (!status) status = read_any(context, input, out, format, err);
    lgt_input_close(input);
    if (status) lgt_tensors_free(context, out);
    return status ? status : lgt_succeed(err);
}
