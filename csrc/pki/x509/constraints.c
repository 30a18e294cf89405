#include "pki/x509/constraints.h"

#include <openssl/x509v3.h>

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* "*.example.com" and "a.example.com": one label stands for the asterisk. */
static bool covers(const ASN1_STRING *wildcard, const ASN1_STRING *name)
{
    const char *pattern = (const char *)ASN1_STRING_get0_data(wildcard);
    const char *base = (const char *)ASN1_STRING_get0_data(name);
    size_t pattern_len = (size_t)ASN1_STRING_length(wildcard), base_len = (size_t)ASN1_STRING_length(name);
    const char *dot = base_len ? memchr(base, '.', base_len) : NULL;
    if (pattern_len < 3 || memcmp(pattern, "*.", 2) != 0 || !dot)
        return false;
    size_t rest_len = base_len - (size_t)(dot - base);
    return rest_len == pattern_len - 1 && strncasecmp(dot, pattern + 1, rest_len) == 0;
}

static bool covers_excluded(const GENERAL_NAMES *names, const STACK_OF(GENERAL_SUBTREE) * excluded)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        for (int j = 0; name->type == GEN_DNS && j < sk_GENERAL_SUBTREE_num(excluded); j++) {
            const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(excluded, j)->base;
            if (base->type == GEN_DNS && covers(name->d.dNSName, base->d.dNSName))
                return true;
        }
    }
    return false;
}

/* Of the certificates below a CA; self-issued ones that are not the leaf are exempt (RFC 5280 6.1.3 (b)). */
static int breach_of(STACK_OF(X509) * chain, int ca, const NAME_CONSTRAINTS *constraints)
{
    for (int depth = ca - 1; depth >= 0; depth--) {
        X509 *cert = sk_X509_value(chain, depth);
        if (depth > 0 && X509_get_extension_flags(cert) & EXFLAG_SI)
            continue;
        GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
        bool breach = names && covers_excluded(names, constraints->excludedSubtrees);
        GENERAL_NAMES_free(names);
        if (breach)
            return depth;
    }
    return -1;
}

int pki_constraints_breach(STACK_OF(X509) * chain)
{
    int breach = -1;
    for (int ca = 1; breach < 0 && ca < sk_X509_num(chain); ca++) {
        NAME_CONSTRAINTS *constraints =
            X509_get_ext_d2i(sk_X509_value(chain, ca), NID_name_constraints, NULL, NULL);
        if (constraints && constraints->excludedSubtrees)
            breach = breach_of(chain, ca, constraints);
        NAME_CONSTRAINTS_free(constraints);
    }
    return breach;
}
