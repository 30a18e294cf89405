/* The processes that the supervisor starts: a Lua state whose main is that of the role. */
#ifndef LEST_HOST_ROLE_ROLE_H
#define LEST_HOST_ROLE_ROLE_H

/** lest --role config|authority|worker|monitor|control ...: runs require("lest.server.ROLE.role").main of
 *  launch, in a state whose lest.core has what the role needs, and ends the process with the integer it
 *  returns. launch holds
 *    role, generation, index     which one this is
 *    check                       load everything, then return 0 before serving
 *    user                        the account to process.drop() to; nil when not started as root
 *  and for the authority and the workers
 *    config                      the configuration (JSON text)
 *    files                       the texts that it names, by their paths (role/snapshot.h)
 *    workers                     how many there will be
 *    listen_fds                  workers: the listening sockets, non-blocking; empty in a check
 *  and for config: path, listen (addresses of the command line), output (a file for the result). */
int host_role_main(int argc, char **argv);

#endif
