/* An OpenSSL without MD5, as one in FIPS mode is: for LD_PRELOAD. */
#include <dlfcn.h>
#include <openssl/evp.h>

int EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size, const EVP_MD *type,
               ENGINE *impl)
{
    static int (*real)(const void *, size_t, unsigned char *, unsigned int *, const EVP_MD *, ENGINE *);
    if (type == EVP_md5())
        return 0;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "EVP_Digest");
    return real(data, count, md, size, type, impl);
}
