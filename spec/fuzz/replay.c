/* Runs files, and the files of folders, through a fuzz target without libFuzzer:
 *   NAME_replay PATH...
 * Prints how many there were; a finding ends the process by abort() or by a sanitizer. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static unsigned long replay(const char *path);

static unsigned long replay_folder(const char *path)
{
    unsigned long count = 0;
    struct dirent **entries;
    /* Sorted, so that the same file fails first everywhere. */
    int n = scandir(path, &entries, NULL, alphasort);
    FUZZ_CHECK(n >= 0);
    for (int i = 0; i < n; i++) {
        char file[4096];
        if (entries[i]->d_name[0] != '.' &&
            (size_t)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name) < sizeof file)
            count += replay(file);
        free(entries[i]);
    }
    free(entries);
    return count;
}

static unsigned long replay(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        perror(path);
        exit(2);
    }
    if (S_ISDIR(info.st_mode))
        return replay_folder(path);
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file);
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size ? size : 1);
    FUZZ_CHECK(data && fread(data, 1, size, file) == size);
    fclose(file);
    /* The last line before a crash says which input it was. */
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned long count = 0;
    if (LLVMFuzzerInitialize)
        LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    printf("%lu inputs\n", count);
    return count == 0;
}
