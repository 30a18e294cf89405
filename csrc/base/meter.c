#include "base/meter.h"

/* PROBES  looked at for one key: a table that is full costs no more */
enum { PROBES = 32 };
_Static_assert((LEST_METER_ROWS & (LEST_METER_ROWS - 1)) == 0, "a power of two");

static const struct {
    const char *text;
    bool is_gauge;
} names[] = {
#define X(name, text, is_gauge) { text, is_gauge },
    LEST_METERS(X)
#undef X
};

static struct lest_meters *own;

static struct {
    const struct lest_meters *sections;
    size_t count;
} board;

const char *lest_meter_text(enum lest_meter_name name)
{
    return names[name].text;
}

bool lest_meter_is_gauge(enum lest_meter_name name)
{
    return names[name].is_gauge;
}

uint64_t lest_meter_key(enum lest_meter_name name, unsigned a, unsigned b, unsigned c, unsigned d)
{
    return ((uint64_t)name + 1) << 56 | (uint64_t)(a & 0xffff) << 40 | (uint64_t)(b & 0xffff) << 24 |
           (uint64_t)(c & 0xffff) << 8 | (d & 0xff);
}

/* False: what the key says is no name. */
static bool read_key(uint64_t key, struct lest_meter_row *out)
{
    uint64_t name = key >> 56;
    if (name == 0 || name > LEST_METER_COUNT)
        return false;
    out->name = (enum lest_meter_name)(name - 1);
    out->place[0] = (unsigned)(key >> 40) & 0xffff;
    out->place[1] = (unsigned)(key >> 24) & 0xffff;
    out->place[2] = (unsigned)(key >> 8) & 0xffff;
    out->place[3] = (unsigned)key & 0xff;
    return true;
}

static uint64_t load(const atomic_ullong *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void store(atomic_ullong *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

static size_t place_of(uint64_t key, size_t probe)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15) >> 32) + probe) & (LEST_METER_ROWS - 1);
}

/* The value of a key's row, which a new key takes; NULL: there is no room near its place. */
static atomic_ullong *find(uint64_t key)
{
    for (size_t i = 0; i < PROBES; i++) {
        size_t at = place_of(key, i);
        uint64_t there = load(&own->rows[at].key);
        if (!there)
            store(&own->rows[at].key, key);
        if (!there || there == key)
            return &own->rows[at].value;
    }
    store(&own->lost, load(&own->lost) + 1);
    return NULL;
}

void lest_meters_use(struct lest_meters *meters)
{
    own = meters;
}

const struct lest_meters *lest_meters_get0(void)
{
    return own;
}

void lest_meter_add(uint64_t key, uint64_t n)
{
    atomic_ullong *value = own ? find(key) : NULL;
    /* This process alone writes here, so that the sum needs no lock. */
    if (value)
        store(value, load(value) + n);
}

void lest_meter_set(uint64_t key, uint64_t value)
{
    atomic_ullong *place = own ? find(key) : NULL;
    if (place)
        store(place, value);
}

uint64_t lest_meters_get(const struct lest_meters *meters, uint64_t key)
{
    for (size_t i = 0; i < PROBES; i++) {
        size_t at = place_of(key, i);
        uint64_t there = load(&meters->rows[at].key);
        if (there == key)
            return load(&meters->rows[at].value);
        if (!there)
            break;
    }
    return 0;
}

bool lest_meters_next(const struct lest_meters *meters, size_t *at, struct lest_meter_row *out)
{
    while (*at < LEST_METER_ROWS) {
        size_t i = (*at)++;
        if (!read_key(load(&meters->rows[i].key), out))
            continue;
        out->value = load(&meters->rows[i].value);
        return true;
    }
    return false;
}

void lest_meters_copy(struct lest_meters *to, const struct lest_meters *from)
{
    store(&to->lost, load(&from->lost));
    for (size_t i = 0; i < LEST_METER_ROWS; i++) {
        store(&to->rows[i].value, load(&from->rows[i].value));
        store(&to->rows[i].key, load(&from->rows[i].key));
    }
}

void lest_meters_end(struct lest_meters *meters)
{
    struct lest_meter_row row;
    for (size_t i = 0; i < LEST_METER_ROWS; i++)
        if (read_key(load(&meters->rows[i].key), &row) && lest_meter_is_gauge(row.name))
            store(&meters->rows[i].value, 0);
}

void lest_board_use(const struct lest_meters *sections, size_t count)
{
    board.sections = sections;
    board.count = count;
}

const struct lest_meters *lest_board_get0(size_t section)
{
    return section < board.count ? &board.sections[section] : NULL;
}
