/* CertificationRequestInfoTemplate (RFC 9908 3.4): a CSR that a server has written in part.
 *
 *     CertificationRequestInfoTemplate ::= SEQUENCE {
 *         version        INTEGER { v1(0) },
 *         subject        NameTemplate OPTIONAL,
 *         subjectPKInfo  [0] SubjectPublicKeyInfoTemplate OPTIONAL,
 *         attributes     [1] Attributes }
 *
 * An opening is what the client is to fill in: an RDN or an extension without a value, an alternative name
 * without one. */
#ifndef LEST_PKI_X509_TEMPLATE_H
#define LEST_PKI_X509_TEMPLATE_H

#include "pki/asn1/attr.h"
#include "pki/asn1/ext.h"
#include "pki/asn1/name.h"
#include "pki/asn1/san.h"
#include "pki/key/public.h"

enum { PKI_TEMPLATE_RSA_BITS_MAX = 16384, PKI_TEMPLATE_ATTRIBUTES_MAX = 64 };

/** What a template says, borrowed from its DER. Absent parts (data NULL, an empty text) demand nothing.
 *  subject     whole NameTemplate, not empty
 *  key         as everywhere ("ec:P-384"), or "ec" and "rsa": any curve, any size; the identifier of an
 *              algorithm that OpenSSL does not know
 *  extensions  contents of ExtensionTemplates, for pki_ext_next_template(): those of id-ExtensionReq or of
 *              id-aa-extensionReqTemplate
 *  attributes  contents of [1], for pki_attr_next() */
struct pki_template {
    struct pki_bytes subject;
    char key[PKI_KEY_TYPE_MAX];
    struct pki_bytes extensions;
    struct pki_bytes attributes;
};

/** Read a whole template, strictly: version 0; at most one id-ExtensionReq or id-aa-extensionReqTemplate, not
 *  both, with one value, in which no extension stands twice; the alternative names readable; a
 *  subjectPublicKey only of RSA, where it stands for a size. For id-aa-extensionReqTemplate, a bare
 *  ExtensionTemplate is taken as the list of it, as the words of RFC 9908 have it in place of its ASN.1.
 *  Errors: LEST_E_CSRATTRS_MALFORMED */
enum lest_status pki_template_read(struct pki_bytes der, struct pki_template *out,
                                   struct lest_error *err) LEST_MUST_USE;

/** Read the template among the elements of an opened list of CSR attributes; found is false where there is
 *  none. With one, nothing outside it counts but a signature algorithm and challengePassword, which it cannot
 *  ask for (RFC 9908 4). Errors: LEST_E_CSRATTRS_MALFORMED */
enum lest_status pki_template_find(struct pki_der in, struct pki_template *out, bool *found,
                                   struct lest_error *err) LEST_MUST_USE;

/** One part of a NameTemplate: whole is its SingleAttributeTemplate, value the whole element of its value,
 *  data NULL for an opening; plus: it belongs to the RDN of the one before it. */
struct pki_template_part {
    struct pki_bytes whole, type, value;
    bool plus;
};

/** Reads the parts of a NameTemplate, or of a Name, which is one without openings. */
struct pki_template_reader {
    struct pki_der rdns, rdn;
    size_t count;
};
bool pki_template_open_name(struct pki_template_reader *reader, struct pki_der_doc *doc,
                            struct pki_bytes der);
bool pki_template_next_part(struct pki_template_reader *reader, struct pki_template_part *part);

/** Append the Name that a NameTemplate becomes with the parts of the client's own Name in its openings, each
 *  in the first of its type; what the template states is kept byte for byte. A part of the client's that
 *  states what the template does is used up by that.
 *  Errors: LEST_E_CSRATTRS_UNMET (an opening that nothing fills, a part that has no place: the sentence names
 *  it), LEST_E_CSRATTRS_MALFORMED, LEST_E_NOMEM, LEST_E_TOO_LARGE */
enum lest_status pki_template_fill_name(struct pki_bytes subject, struct pki_bytes own, struct lest_buf *out,
                                        struct lest_error *err) LEST_MUST_USE;

/** The same of GeneralNames: all of the client's names of one kind go where the first opening of it is.
 *  own  data NULL for none */
enum lest_status pki_template_fill_san(struct pki_bytes san, struct pki_bytes own, struct lest_buf *out,
                                       struct lest_error *err) LEST_MUST_USE;

/** What a new template says. Absent parts demand nothing.
 *  subject     parts; value NULL is an opening
 *  extensions  a run of ExtensionTemplate elements
 *  is_partial  one of them has an opening
 *  attributes  a run of Attribute elements */
struct pki_template_plan {
    const struct pki_name_part *subject;
    size_t subject_count;
    const char *key;
    struct pki_bytes extensions;
    bool is_partial;
    struct pki_bytes attributes;
};

/** Append the attribute id-aa-certificationRequestInfoTemplate with a template, which is read again: what
 *  pki_template_read refuses is never written.
 *  Errors: LEST_E_CSRATTRS_MALFORMED, LEST_E_KEY_UNSUPPORTED, LEST_E_NAME_MALFORMED, LEST_E_NOMEM */
enum lest_status pki_template_put(struct lest_buf *out, const struct pki_template_plan *plan,
                                  struct lest_error *err) LEST_MUST_USE;

#endif
