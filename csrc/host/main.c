/* The lest binary: a Lua 5.4 with lest.core built in, which hands the command line to lest.command. */
#include "host/interpreter.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    lua_State *L = host_interpreter_new();
    if (!L) {
        fputs("lest: out of memory\n", stderr);
        return 1;
    }
    int code = host_interpreter_main(L, "lest.command", argc, argv);
    lua_close(L);
    return code;
}
