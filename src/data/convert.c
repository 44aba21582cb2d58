/* Elements of one type turned into another, exactly or (to F32 alone) to the nearest value. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/array.h"

enum { NUMBER_ROOM = 32 };

/* IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
static double half_to_double(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double magnitude = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
                       : exponent == 0 ? ldexp(fraction, -24)
                                       : ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}

static int is_integer_type(lgt_dtype dtype) {
    return dtype == LGT_U8 || dtype == LGT_I32 || dtype == LGT_I64;
}

static int64_t integer_at(const lgt_array *array, int64_t i) {
    if (array->dtype == LGT_U8) return ((const uint8_t *)array->data)[i];
    if (array->dtype == LGT_I32) return ((const int32_t *)array->data)[i];
    return ((const int64_t *)array->data)[i];
}

static double real_at(const lgt_array *array, int64_t i) {
    if (array->dtype == LGT_F32) return (double)((const float *)array->data)[i];
    if (array->dtype == LGT_F64) return ((const double *)array->data)[i];
    return half_to_double(((const uint16_t *)array->data)[i]);
}

static lgt_status fail_at(const lgt_array *array, int64_t i, const char *expected, lgt_error *err) {
    char room[LGT_PLACE_ROOM];
    const char *place = lgt_array_place(array, i, room);
    if (is_integer_type(array->dtype))
        return lgt_fail(err, LGT_ERR_DATA, "%s is %lld, expected %s", place, (long long)integer_at(array, i), expected);
    char value[NUMBER_ROOM];
    lgt_text_from_double(value, sizeof value, real_at(array, i));
    return lgt_fail(err, LGT_ERR_DATA, "%s is %s, expected %s", place, value, expected);
}

static lgt_status to_f32(const lgt_array *from, float *out, lgt_error *err) {
    int integers = is_integer_type(from->dtype);
    for (int64_t i = 0; i < from->count; i++) {
        double value = integers ? (double)integer_at(from, i) : real_at(from, i);
        out[i] = (float)value;
        if (isinf(out[i]) && !isinf(value)) return fail_at(from, i, "a number in the range of float32", err);
    }
    return LGT_OK;
}

/* 2^63 is the first double beyond int64_t. */
static int fits_int64(double value) {
    return value >= -0x1p63 && value < 0x1p63;
}

static lgt_status to_f64(const lgt_array *from, double *out, lgt_error *err) {
    int integers = is_integer_type(from->dtype);
    for (int64_t i = 0; i < from->count; i++) {
        out[i] = integers ? (double)integer_at(from, i) : real_at(from, i);
        if (integers && (!fits_int64(out[i]) || (int64_t)out[i] != integer_at(from, i)))
            return fail_at(from, i, "an integer that float64 holds exactly", err);
    }
    return LGT_OK;
}

static lgt_status to_i64(const lgt_array *from, int64_t *out, lgt_error *err) {
    int integers = is_integer_type(from->dtype);
    for (int64_t i = 0; i < from->count; i++) {
        double value = integers ? 0 : real_at(from, i);
        if (!fits_int64(value) || value != trunc(value)) return fail_at(from, i, "an integer", err);
        out[i] = integers ? integer_at(from, i) : (int64_t)value;
    }
    return LGT_OK;
}

lgt_status lgt_array_convert(lgt_context *context, lgt_array *array, lgt_dtype dtype, lgt_error *err) {
    void *data = NULL;
    if (array->dtype == dtype) return lgt_succeed(err);
    if (dtype != LGT_F32 && dtype != LGT_F64 && dtype != LGT_I64)
        return lgt_fail(err, LGT_ERR_UNSUPPORTED, "%s cannot become %s: only f32, f64 and i64 are converted to",
                        lgt_dtype_name(array->dtype), lgt_dtype_name(dtype));
    lgt_status status = lgt_alloc(context, array->count, lgt_dtype_size(dtype), &data, err);
    if (status) return status;
    if (dtype == LGT_F32) status = to_f32(array, data, err);
    if (dtype == LGT_F64) status = to_f64(array, data, err);
    if (dtype == LGT_I64) status = to_i64(array, data, err);
    if (status) {
        lgt_release(context, data);
        return status;
    }
    lgt_release(context, array->data);
    array->data = data;
    array->dtype = dtype;
    return lgt_succeed(err);
}
