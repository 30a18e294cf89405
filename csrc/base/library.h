/* Libraries that are loaded when they are needed, since most processes never need them. */
#ifndef LEST_BASE_LIBRARY_H
#define LEST_BASE_LIBRARY_H

#include "base/error.h"

/** Load a library for good, and find functions in it. It is looked for where the system has its libraries, so
 *  that a process without rights can do so, too; and lazily, as a program that is linked to it would have it:
 *  most of what libraries call in each other is never called.
 *  name       for the error: "libcurl"
 *  soname     the name of its file
 *  functions  their names, NULL after the last
 *  out        a struct of as many pointers to functions, in the same order; unchanged on failure
 *  Errors: LEST_E_INTERNAL */
enum lest_status lest_library_load(const char *name, const char *soname, const char *const functions[],
                                   void *out, struct lest_error *err) LEST_MUST_USE;

#endif
