/* The messages between the authority and the workers, and the backend: their tables, for both ends and both
 * directions.
 *
 * A packet is the version, the type, and the fields of the type's record. A worker may be in an attacker's
 * hands, so nothing is taken that the tables do not describe, and there is one way to write a message:
 *
 *   record    (number value)... 0; the numbers ascend, a field that is absent is left out
 *   bytes     length, bytes                    list   count, values
 *   integer   8 bytes, two's complement        map    count, (name value)...; a name is bytes, names ascend
 *   flag      nothing: the number says true    fact   its type, and bytes, 8 bytes or nothing
 *   choice    1 byte, its place from 1
 *
 * Lengths and counts are 4 bytes, all numbers big-endian. A value has no type of its own but in a fact, since
 * its field's number has it; a record has no length, since its last byte ends it: a reader needs no more. */
#ifndef LEST_WIRE_MESSAGE_H
#define LEST_WIRE_MESSAGE_H

#include "wire/shape.h"

enum {
    WIRE_VERSION = 1,
    WIRE_SIZE_MAX = 200000, /* of a packet; the kernel's own limit for one is 212,960 */
    WIRE_CSR_MAX = 65536,
    WIRE_CMC_MAX = 131072,
    WIRE_REG_INFO_MAX = 4096, /* of the control regInfo in it */
    WIRE_SECRET_MAX = 1024,
    WIRE_PRIVATE_KEY_MAX = 32768, /* of a private key, also in an envelope */
    WIRE_TOKEN_MAX = 8192,
    WIRE_JWKS_MAX = 131072,  /* a JWK Set, as it was fetched */
    WIRE_IDENTITY_MAX = 255, /* bytes of a name in a handshake */
    WIRE_GRANT_MAX = 512,
    WIRE_OCSP_REQUEST_MAX = 4096,
    WIRE_OCSP_RESPONSE_MAX = 65536,
    WIRE_REVOKED_MAX = 256, /* serial numbers of one `revoked` */
    WIRE_CERTIFICATE_MAX = 32768,
    WIRE_CHAIN_MAX = 24, /* the longest path that is verified (PKI_PATH_DEPTH_MAX), and some besides */
    WIRE_DOCUMENT_MAX = 16777216, /* bytes of a sealed file beside a packet */
    WIRE_TALLY_MAX = 1000,        /* so many of a history are counted */
    WIRE_RATE_MAX = 1000000,      /* requests within a rate */
    WIRE_RATE_S_MAX = 31 * 86400
};

/** A type of message: its code in a packet is its place in the table, from 1. What is about a request has an
 *  id as its first field. */
struct wire_message {
    const char *name;
    struct wire_shape record;
};

/** begin    worker to authority: who asks for what; a principal handle comes back
 *  ask      worker to authority: a policy's question about the request of a handle, which stays good
 *  finish   worker to authority: the policy's verdict for a handle; a certificate may come back
 *  shadow   worker to authority: what another policy says of a request that is over; nothing comes of it
 *  listens  worker to authority: a policy of a label has hooks for what happened
 *  heard    worker to authority: what became of an `event`, by its number
 *  seek     worker to authority: the secret of the identity that a client has named in its handshake
 *  proven   worker to authority: that handshake has succeeded
 *  check    worker to authority: an OCSP request
 *  checked  authority to worker: the response to the `check` of the same number
 *  revoked  authority to worker: certificates were revoked; what a worker keeps of them is over
 *  answer   authority to worker
 *  order    authority to backend: what a CA elsewhere is asked
 *  outcome  backend to authority: what came of an `order`, by its number; its `hello` comes first of all
 *  recall   authority to backend: it ends, and takes back the orders of which a CA was sent nothing yet
 *  renew    authority to backend: a key is missing that an issuer of tokens may have by now
 *  keys     backend to authority: those that an issuer of tokens has at its address, or why there are none
 *  told     authority to worker: the answer to `ask` of the same number
 *  found    authority to worker: the answer to `seek` of the same number
 *  event    authority to worker: what happened, for a hook
 *  document authority to worker: what anybody may fetch at a path; the sealed file that comes with it has its
 *           bytes, and takes the place of one before
 *  hello    authority to worker, first of all: it serves. A connection to one that is only being started, or
 *           is never going to be, waits in the socket's queue and looks the same until then. Worker to
 *           authority: it has said of all its policies what they listen to. */
extern const struct wire_message wire_messages[];
extern const size_t wire_message_count;

/** The type of this name, or NULL. */
const struct wire_message *wire_message_find(const char *name);

#endif
