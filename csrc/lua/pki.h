/* What the classes over pki share: names, SANs and other fields between Lua values and DER. */
#ifndef LEST_LUA_PKI_H
#define LEST_LUA_PKI_H

#include "lua/binding.h"
#include "pki/asn1/attr.h"
#include "pki/asn1/ext.h"
#include "pki/key/key.h"

/** Push a name (a table, class lest.name) for the DER of a Name, with the flaws that are tolerated. False:
 *  nothing is pushed, err is set. */
bool lestL_push_name(lua_State *L, struct pki_bytes der, unsigned tolerated, struct lest_error *err);

/** Append to out the DER of the name at idx: a lest.name or list of pairs, or a text. Something else raises.
 *  out is anchored by the caller. */
enum lest_status lestL_to_name(lua_State *L, int idx, struct lest_buf *out,
                               struct lest_error *err) LEST_MUST_USE;

/** Push the list of texts for the DER of GeneralNames; absent (data NULL) gives an empty list.
 *  which  LESTL_SAN_ALL fails where one cannot be used; the others are for certificates: those that can be,
 *         or those that cannot */
enum lestL_san { LESTL_SAN_ALL, LESTL_SAN_USABLE, LESTL_SAN_UNUSABLE };
bool lestL_push_san(lua_State *L, struct pki_bytes der, enum lestL_san which, struct lest_error *err);

/** Append to out the DER of GeneralNames for the list of texts at idx. */
enum lest_status lestL_to_san(lua_State *L, int idx, struct lest_buf *out,
                              struct lest_error *err) LEST_MUST_USE;

/** The open lest.key at idx, or raise. */
struct pki_key *lestL_check_key(lua_State *L, int idx);

/** Push a key as a lest.key, which takes it: *key is NULL then. */
void lestL_push_key(lua_State *L, struct pki_key **key);

/** What csr.build and issuer:issue read alike from an option table. Absent ones have data NULL; key_usage is
 * 0 where none is given. Borrowed from the table and from buffers left on the stack. */
struct lestL_plan {
    struct pki_bytes subject, san, eku, extensions;
    unsigned key_usage;
};

/** Read subject or subject_der, san or san_der, key_usage, eku, extensions from the table at idx. Wrong types
 * and both of a pair raise. */
enum lest_status lestL_to_plan(lua_State *L, int idx, struct lestL_plan *plan,
                               struct lest_error *err) LEST_MUST_USE;

/** Read key_usage and eku alone. */
enum lest_status lestL_to_usages(lua_State *L, int idx, struct lestL_plan *plan,
                                 struct lest_error *err) LEST_MUST_USE;

/** Read the field `attributes` of the table at idx, a list of {oid, values}, as a run of Attribute elements
 *  in a buffer left on the stack; data NULL where it is absent. Wrong types raise. */
enum lest_status lestL_to_attributes(lua_State *L, int idx, struct pki_bytes *attributes,
                                     struct lest_error *err) LEST_MUST_USE;

/** Read the field `extensions` of the table at idx, a list of {oid, critical, value}, as a run of Extension
 *  elements in a buffer left on the stack; data NULL where it is absent. Wrong types raise. */
enum lest_status lestL_to_extensions(lua_State *L, int idx, struct pki_bytes *extensions,
                                     struct lest_error *err) LEST_MUST_USE;

/** Push a userdata with the strings of the Lua list at idx, which keeps them alive. Something else raises;
 *  noun is what one of them is called there. */
struct pki_bytes *lestL_to_strings(lua_State *L, int idx, const char *noun, size_t *count);

/** A string field as bytes, data NULL where it is absent. The table keeps them alive. */
struct pki_bytes lestL_opt_bytes(lua_State *L, int idx, const char *key);

/** Push bytes as a string, as lower-case hex; nil where they are absent. */
void lestL_push_bytes(lua_State *L, struct pki_bytes bytes);
void lestL_push_hex(lua_State *L, struct pki_bytes bytes);

/** Push the text of a serial number. */
void lestL_push_serial(lua_State *L, struct pki_bytes contents);

/** Push { oid =, name =, critical =, value = } of one extension. */
void lestL_push_extension(lua_State *L, const struct pki_ext *ext);

/** Push the list of {oid, name, critical, value} for the contents of Extensions; absent gives {}. */
void lestL_push_extensions(lua_State *L, struct pki_bytes extensions);

/** Push the list of sentences for a set of enum pki_flaw. */
void lestL_push_flaws(lua_State *L, unsigned flaws);

/** The fields of a request's challenges, by kind; NULL at the end. */
extern const char *const lestL_challenge_fields[];

/** Push the list of DER elements in the contents of a SET; absent gives {}. */
void lestL_push_values(lua_State *L, struct pki_bytes values);

/** Push {oid, name, values} for an attribute; one without a set (data NULL) has no values. */
void lestL_push_attr(lua_State *L, const struct pki_attr *attr);

/** Push {type, security_bits, der} for a SubjectPublicKeyInfo, der in its one encoding
 *  (pki_public_canonical); for one whose kind and encoding are known already. */
void lestL_push_public_key(lua_State *L, struct pki_bytes spki);

/** Push the hash of a key's value (pki_public_hash), in hex; raises where it cannot be computed. */
void lestL_push_key_hash(lua_State *L, struct pki_bytes spki);
void lestL_push_described_key(lua_State *L, struct pki_bytes spki, const char *type, int security_bits);

/** Push the list of names of key usage bits (-1 and 0 give {}). */
void lestL_push_key_usage(lua_State *L, int bits);

/** Push the list of names of purposes (contents of ExtKeyUsageSyntax); absent gives {}. */
void lestL_push_eku(lua_State *L, struct pki_bytes eku);

#endif
