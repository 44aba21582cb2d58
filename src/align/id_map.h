/* A fixed-capacity hash map from 64-bit ids to slots: open addressing, linear probing, deletion by shifting back. */
#ifndef LGT_ALIGN_ID_MAP_H
#define LGT_ALIGN_ID_MAP_H

#include <stdint.h>

#include "logitude/context.h"

typedef struct lgt_id_map {
    int64_t size, count; /* size: a power of two, at least twice the capacity */
    int64_t *ids;
    int64_t *slots; /* -1: empty */
} lgt_id_map;

lgt_status lgt_id_map_create(lgt_context *context, int64_t capacity, lgt_id_map *out, lgt_error *err);
void lgt_id_map_free(lgt_context *context, lgt_id_map *map);
void lgt_id_map_clear(lgt_id_map *map);

/* The slot of an id, or -1. */
int64_t lgt_id_map_find(const lgt_id_map *map, int64_t id);
/* Adds an id that is not there; at most `capacity` of them. */
void lgt_id_map_add(lgt_id_map *map, int64_t id, int64_t slot);
/* Takes out an id that is there. */
void lgt_id_map_remove(lgt_id_map *map, int64_t id);

#endif
