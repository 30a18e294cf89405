/* What it costs to start a program: runs each of several commands once a round, in turns.
 *
 *   start_bench ROUNDS WORD... [--- WORD...]...
 *
 * Prints a JSON array with an object for each command: medians of wall time and of CPU time (user and system)
 * in milliseconds, and the most memory it ever had resident, in KiB. What a command prints is thrown away;
 * one that fails ends the run. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS_MAX = 16, ROUNDS_MAX = 1000 };

struct command {
    char **words;
    double wall_ms[ROUNDS_MAX], cpu_ms[ROUNDS_MAX];
    long peak_kib;
};

static struct command commands[COMMANDS_MAX];

static void die(const char *why, const char *detail)
{
    fprintf(stderr, "start_bench: %s%s\n", why, detail);
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double ms_of(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static void become(char **words)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        _exit(126);
    execvp(words[0], words);
    _exit(127);
}

static void run(struct command *command, int round)
{
    struct rusage usage;
    int status = 0;
    double start = now_ms();
    pid_t pid = fork();
    if (pid == 0)
        become(command->words);
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
        die("there is no process for ", command->words[0]);
    command->wall_ms[round] = now_ms() - start;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        die("this has failed: ", command->words[0]);
    command->cpu_ms[round] = ms_of(usage.ru_utime) + ms_of(usage.ru_stime);
    if (usage.ru_maxrss > command->peak_kib)
        command->peak_kib = usage.ru_maxrss;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    int count = 0, rounds = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        die("usage: start_bench ROUNDS WORD... [--- WORD...]...", "");
    argv[1] = "---";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "---") != 0)
            continue;
        argv[i] = NULL;
        if (count == COMMANDS_MAX || i + 1 == argc)
            die("there are too many commands, or one has no words", "");
        commands[count++].words = &argv[i + 1];
    }
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++)
            run(&commands[i], round);
    for (int i = 0; i < count; i++)
        printf("%s{\"wall_ms\":%.2f,\"cpu_ms\":%.2f,\"peak_kib\":%ld}", i == 0 ? "[" : ",",
               median(commands[i].wall_ms, rounds), median(commands[i].cpu_ms, rounds), commands[i].peak_kib);
    puts("]");
    return 0;
}
