/* The lest binary: a Lua 5.4 with lest.core built in, which hands the command line to lest.tool.command.
 * As `lest --role NAME` it is one of the processes of a server instead. `lest --clock FILE ...` goes by an
 * injected clock. */
#include "host/console/edit.h"
#include "host/role/clock.h"
#include "host/role/interpreter.h"
#include "host/role/role.h"
#include "host/supervisor/supervisor.h"
#include "pki/key/secret.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    (void)pki_secret_own_memory();
    /* Started again by /proc/self/exe, it would be "exe" to ps and top; its arguments name the role. */
    prctl(PR_SET_NAME, "lest");
    if (argc > 2 && strcmp(argv[1], "--clock") == 0) {
        struct lest_error err;
        if (host_clock_follow(argv[2], &err)) {
            fprintf(stderr, "lest: --clock %s%s%s\n", err.message, *err.detail ? ": " : "", err.detail);
            return 2;
        }
        argv[2] = argv[0];
        argv += 2;
        argc -= 2;
    }
    if (argc > 2 && strcmp(argv[1], "--role") == 0)
        return strcmp(argv[2], "supervisor") == 0 ? host_supervisor_main(argc, argv)
                                                  : host_role_main(argc, argv);
    static const luaL_Reg console[] = { { "lest.edit", host_edit_open }, { NULL, NULL } };
    lua_State *L = host_interpreter_new(console, NULL);
    if (!L)
        return 1;
    int code = host_interpreter_main(L, "lest.tool.command", argc, argv);
    lua_close(L);
    return code;
}
