/* A list of texts as one JSON text. */
#include "data/text_list.h"

#include <jansson.h>

#include "base/error.h"
#include "base/memory.h"

static lgt_status refused(lgt_error *err) {
    return lgt_fail(err, LGT_ERR_MEMORY, "out of memory: a list was refused");
}

static lgt_status fill(json_t *list, char *const *texts, int64_t count, lgt_error *err) {
    for (int64_t i = 0; i < count; i++) {
        json_t *text = json_string(texts[i]);
        if (!text) return lgt_fail(err, LGT_ERR_DATA, "text %lld of a list is not UTF-8", (long long)i);
        if (json_array_append_new(list, text)) return refused(err);
    }
    return LGT_OK;
}

static lgt_status dump(lgt_context *context, const json_t *list, char **out, lgt_error *err) {
    char *text = NULL;
    size_t size = json_dumpb(list, NULL, 0, 0);
    lgt_status status = LGT_NEW(context, &text, (int64_t)size + 1, err);
    if (status) return status;
    if (size == 0 || json_dumpb(list, text, size, 0) != size) {
        lgt_release(context, text);
        return refused(err);
    }
    text[size] = '\0';
    *out = text;
    return LGT_OK;
}

lgt_status lgt_text_list_format(lgt_context *context, char *const *texts, int64_t count, char **out, lgt_error *err) {
    json_t *list = json_array();
    lgt_status status = list ? fill(list, texts, count, err) : refused(err);
    if (!status) status = dump(context, list, out, err);
    json_decref(list);
    return status;
}

static lgt_status copy(lgt_context *context, const json_t *list, int64_t count, char **texts, lgt_error *err) {
    lgt_status status = LGT_OK;
    int64_t done = 0;
    while (done < count && !status) {
        const char *text = json_string_value(json_array_get(list, (size_t)done));
        status = text ? lgt_alloc_text(context, text, &texts[done], err)
                      : lgt_fail(err, LGT_ERR_DATA, "entry %lld of a list is no text", (long long)done);
        if (!status) done++;
    }
    while (status && done > 0) lgt_release(context, texts[--done]);
    return status;
}

lgt_status lgt_text_list_parse(lgt_context *context, const char *json, int64_t count, char **texts, lgt_error *err) {
    json_t *list = json_loads(json, 0, NULL);
    lgt_status status;
    if (!json_is_array(list) || json_array_size(list) != (size_t)count)
        status = lgt_fail(err, LGT_ERR_DATA, "\"%.60s\" is no JSON list of %lld texts", json, (long long)count);
    else
        status = copy(context, list, count, texts, err);
    json_decref(list);
    return status;
}
