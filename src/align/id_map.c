/* A fixed-capacity hash map from 64-bit ids to slots (linear probing: Knuth, TAOCP 6.4, algorithms L and R). */
#include "align/id_map.h"

#include "base/error.h"
#include "base/memory.h"

/* The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): ids are often consecutive. */
static int64_t home_of(const lgt_id_map *map, int64_t id) {
    uint64_t h = (uint64_t)id;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return (int64_t)((h ^ (h >> 31)) & (uint64_t)(map->size - 1));
}

static int64_t next(const lgt_id_map *map, int64_t place) {
    return (place + 1) & (map->size - 1);
}

lgt_status lgt_id_map_create(lgt_context *context, int64_t capacity, lgt_id_map *out, lgt_error *err) {
    *out = (lgt_id_map){.size = 4};
    if (capacity > INT64_MAX / 8)
        return lgt_fail(err, LGT_ERR_MEMORY, "a map of %lld ids overflows", (long long)capacity);
    while (out->size < 2 * capacity) out->size *= 2;
    lgt_status status = LGT_NEW(context, &out->ids, out->size, err);
    if (!status) status = LGT_NEW(context, &out->slots, out->size, err);
    if (!status) lgt_id_map_clear(out);
    return status;
}

void lgt_id_map_free(lgt_context *context, lgt_id_map *map) {
    lgt_release(context, map->slots);
    lgt_release(context, map->ids);
}

void lgt_id_map_clear(lgt_id_map *map) {
    map->count = 0;
    for (int64_t i = 0; i < map->size; i++) map->slots[i] = -1;
}

/* Where the id is, or the empty place where it would go. */
static int64_t place_of(const lgt_id_map *map, int64_t id) {
    int64_t place = home_of(map, id);
    while (map->slots[place] >= 0 && map->ids[place] != id) place = next(map, place);
    return place;
}

int64_t lgt_id_map_find(const lgt_id_map *map, int64_t id) {
    return map->slots[place_of(map, id)];
}

void lgt_id_map_add(lgt_id_map *map, int64_t id, int64_t slot) {
    int64_t place = place_of(map, id);
    map->ids[place] = id;
    map->slots[place] = slot;
    map->count++;
}

void lgt_id_map_remove(lgt_id_map *map, int64_t id) {
    int64_t hole = place_of(map, id);
    map->slots[hole] = -1;
    map->count--;
    for (int64_t at = next(map, hole); map->slots[at] >= 0; at = next(map, at)) {
        int64_t home = home_of(map, map->ids[at]);
        /* It may move into the hole unless its home lies behind the hole, cyclically. */
        int stays = hole < at ? hole < home && home <= at : hole < home || home <= at;
        if (stays) continue;
        map->ids[hole] = map->ids[at];
        map->slots[hole] = map->slots[at];
        map->slots[at] = -1;
        hole = at;
    }
}
