/* What the fuzz targets share. A target defines LLVMFuzzerTestOneInput(); CMake builds it twice: with
 * libFuzzer in the preset `fuzz` (NAME_fuzz), and in every preset with replay.c (NAME_replay), which runs
 * the files of spec/fuzz/corpus/NAME. */
#ifndef LEST_SPEC_FUZZ_H
#define LEST_SPEC_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** End the process, which both ways of running take as a finding, unless the condition holds. */
#define FUZZ_CHECK(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/** A copy in memory of exactly this size, so that AddressSanitizer sees one byte too many. */
static inline uint8_t *fuzz_copy(const void *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    FUZZ_CHECK(copy);
    if (size)
        memcpy(copy, data, size);
    return copy;
}

#endif
