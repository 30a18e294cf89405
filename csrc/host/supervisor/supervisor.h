/* The process that starts, watches and replaces the others. It may be root, so it has no interpreter and
 * reads nothing from outside: what comes from its children is checked text of bounded size. */
#ifndef LEST_HOST_SUPERVISOR_SUPERVISOR_H
#define LEST_HOST_SUPERVISOR_SUPERVISOR_H

/** lest --role supervisor --config PATH [--listen ADDRESS:PORT]... [--check]
 *  Returns the exit code: 0 after SIGTERM or SIGINT, or after a check that went well; 2 for a configuration
 *  that cannot be, 1 for a first start that failed otherwise. */
int host_supervisor_main(int argc, char **argv);

#endif
