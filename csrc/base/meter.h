/* Meters: the numbers that a process of a server counts, and those that it shows as they are now. Each has a
 * table of its own, in memory that the supervisor made; copies of all tables are the board, which a process
 * may have been given to read. Elsewhere counting does nothing.
 *
 * A table may be another process's that was taken over: what is read from one is numbers that may say
 * anything, and no pointer, length or place. For one thread of a process only. */
#ifndef LEST_BASE_METER_H
#define LEST_BASE_METER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** X(name, text, is_gauge): what there is, by its name in Lua. A gauge is of the process that runs, and no
 *  more once that has ended; all others only grow. The comment says which of a row's four places are used for
 *  what (lua/lest/server/wire/meters.lua has the words for these). */
#define LEST_METERS(X)                                                                                       \
    X(REQUESTS, "requests", false)           /* label, status, operation, verdict */                         \
    X(DURATION, "duration", false)           /* operation, bucket */                                         \
    X(DURATION_US, "duration_us", false)     /* operation */                                                 \
    X(HANDSHAKES, "handshakes", false)       /* enum lest_meter_handshake, minor version of TLS 1 */         \
    X(ACCEPTED, "accepted", false)           /* connections */                                               \
    X(TURNED_AWAY, "turned_away", false)     /* connections: enum lest_meter_turned_away */                  \
    X(SHADOWS, "shadows", false)             /* label, result of a shadow */                                 \
    X(GIVEN_UP, "given_up", false)           /* events that no hook has heard of */                          \
    X(LINES_DROPPED, "lines_dropped", false) /* of the log */                                                \
    X(RESTARTS, "restarts", false)           /* section of the process; kept by the supervisor */            \
    X(CONNECTIONS, "connections", true)                                                                      \
    X(UNDER_WAY, "under_way", true)       /* requests that wait for their answer */                          \
    X(READY, "ready", true)               /* 1: the process serves */                                        \
    X(STOPPING, "stopping", true)         /* 1: the supervisor was told to stop */                           \
    X(STARTED_S, "started_s", true)       /* since 1970 */                                                   \
    X(CPU_US, "cpu_us", true)             /* that the process has used */                                    \
    X(MEMORY_BYTES, "memory_bytes", true) /* resident */                                                     \
    X(DESCRIPTORS, "descriptors", true)   /* open */                                                         \
    X(DESCRIPTORS_MAX, "descriptors_max", true)                                                              \
    X(LINK, "link", true)                 /* 1: a worker has an authority */                                 \
    X(LINK_WAITING, "link_waiting", true) /* a worker's questions to the authority */                        \
    X(HELD, "held", true)                 /* requests that the authority holds */                            \
    X(SCRYPT_RUNNING, "scrypt_running", true)                                                                \
    X(SCRYPT_WAITING, "scrypt_waiting", true)                                                                \
    X(DISK_WAITING, "disk_waiting", true) /* answers that wait for the ledger's disk */                      \
    X(LEDGER, "ledger", true)             /* its state */                                                    \
    X(LEDGER_BYTES, "ledger_bytes", true) /* 0: the file, 1: its WAL */                                      \
    X(CERTIFICATES, "certificates", true) /* the number of the newest row */                                 \
    X(OUTBOX, "outbox", true)             /* events that hooks are still to hear of */                       \
    X(OUTBOX_AGE_S, "outbox_age_s", true) /* how long the oldest of them waits */                            \
    X(BACKEND, "backend", true)           /* 1: the authority has a backend */                               \
    X(ORDERS, "orders", true)             /* certificates asked for at CAs elsewhere, by the CA's number */  \
    X(CA_UP, "ca_up", true)               /* 1: the CA elsewhere answers, by its number */                   \
    X(KEYS_AGE_S, "keys_age_s", true)     /* since a label's keys of tokens were seen at their address */    \
    X(TLS_ENDS_S, "tls_ends_s", true)     /* since 1970: the server's certificate, where it renews itself */ \
    X(RELOAD_OK, "reload_ok", true)       /* 0: the configuration could not be read again */                 \
    X(RELOADED_S, "reloaded_s", true)     /* since 1970: when one was taken last */

enum lest_meter_name {
#define X(name, text, is_gauge) LEST_METER_##name,
    LEST_METERS(X)
#undef X
        LEST_METER_COUNT
};

enum lest_meter_handshake {
    LEST_HANDSHAKE_OK,
    LEST_HANDSHAKE_FAILED,
    LEST_HANDSHAKE_LATE,
    LEST_HANDSHAKE_LEFT
};
enum lest_meter_turned_away {
    LEST_TURNED_AWAY_ADDRESS,
    LEST_TURNED_AWAY_DISPLACED,
    LEST_TURNED_AWAY_FAILED,
    LEST_TURNED_AWAY_PROXY
};

/** The most rows of a table; what has no room is counted as lost. */
enum { LEST_METER_ROWS = 2048 };

/** One table. A key is 0 until its row is used, and then stays. */
struct lest_meters {
    atomic_ullong lost;
    struct {
        atomic_ullong key, value;
    } rows[LEST_METER_ROWS];
};

/** A row as it was read. */
struct lest_meter_row {
    enum lest_meter_name name;
    unsigned place[4];
    uint64_t value;
};

/** The text of a name; whether it is a gauge's. */
const char *lest_meter_text(enum lest_meter_name name);
bool lest_meter_is_gauge(enum lest_meter_name name);

/** The key of a row. Of the places, 16 bits count, of the last one 8. */
uint64_t lest_meter_key(enum lest_meter_name name, unsigned a, unsigned b, unsigned c, unsigned d);

/** The table that this process counts in from now on; NULL for none, as at the start. */
void lest_meters_use(struct lest_meters *meters);
const struct lest_meters *lest_meters_get0(void);

/** Count n more; show a value. */
void lest_meter_add(uint64_t key, uint64_t n);
void lest_meter_set(uint64_t key, uint64_t value);

/** The value of a row in a table, 0 where there is none. */
uint64_t lest_meters_get(const struct lest_meters *meters, uint64_t key);

/** The next row from *at (0 at first) on whose name there is; false: there is none. */
bool lest_meters_next(const struct lest_meters *meters, size_t *at, struct lest_meter_row *out);

/** Copy a table that another process may be writing. */
void lest_meters_copy(struct lest_meters *to, const struct lest_meters *from);

/** The process of this table has ended: its gauges are 0. */
void lest_meters_end(struct lest_meters *meters);

/** The sections of the board: of supervisor, authority, monitor, control and backend, then of the workers. */
enum {
    LEST_BOARD_SUPERVISOR,
    LEST_BOARD_AUTHORITY,
    LEST_BOARD_MONITOR,
    LEST_BOARD_CONTROL,
    LEST_BOARD_BACKEND,
    LEST_BOARD_WORKER
};

/** The board that this process reads from now on: count tables, one a section. */
void lest_board_use(const struct lest_meters *sections, size_t count);

/** The table of a section; NULL: there is no such section, or no board. */
const struct lest_meters *lest_board_get0(size_t section);

#endif
