/* lest.edit: line editing with libedit, for the REPL; only the host binary has it.
 *
 * While a line is being typed the event loop turns, so that tasks go on. Ctrl-C gives up the line that is
 * typed, or the code that guard() runs: the signal's handler sets a hook that raises "interrupted" at the
 * next instruction, and writes to a pipe that ends the loop's wait. */
#include "host/console/edit.h"

#include "host/console/libedit.h"
#include "lua/binding.h"
#include "lua/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_MAX = 1000, LIST_MAX = 200, PROMPT_MAX = 32 };

struct edit {
    EditLine *line;
    History *history;
    struct net_loop *loop;
    struct event *typed;
    struct event *woken;
    struct lestL_callback complete;
    struct sigaction before;
    char prompt[PROMPT_MAX];
    mbstate_t shift;
    bool eof;
    bool reading;
};

/* What the signal's handler needs; one editor a process. */
static struct {
    struct edit *edit;
    lua_State *guarded;
    int wake[2];
    volatile sig_atomic_t interrupted;
} session;

static void raise_interrupted(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_pushliteral(L, "interrupted");
    lua_error(L);
}

/* As in lua.c: lua_sethook is safe in a signal's handler. */
static void on_signal(int number)
{
    int kept = errno;
    session.interrupted++;
    if (session.guarded)
        lua_sethook(session.guarded, raise_interrupted,
                    LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
    /* Code that stays inside a C function does not come to the hook. The third ^C ends the process. */
    if (session.guarded && session.interrupted >= 3) {
        signal(number, SIG_DFL);
        raise(number);
    }
    ssize_t written = write(session.wake[1], "", 1);
    (void)written;
    errno = kept;
}

static void on_woken(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct edit *edit = arg;
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
    event_base_loopbreak(net_loop_get0_base(edit->loop));
}

static void on_typed(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static bool is_readable(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };
    return poll(&one, 1, 0) > 0;
}

/* One character for libedit, with the loop turning until it is there; 0 ends the line. */
static int get_character(EditLine *line, wchar_t *out)
{
    struct edit *edit = NULL;
    host_libedit.el_get(line, EL_CLIENTDATA, &edit);
    for (;;) {
        char byte;
        while (!session.interrupted && !is_readable(STDIN_FILENO)) {
            event_add(edit->typed, NULL);
            net_loop_turn(edit->loop);
            event_del(edit->typed);
        }
        if (session.interrupted)
            return 0;
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            edit->eof = true;
            return 0;
        }
        size_t used = mbrtowc(out, &byte, 1, &edit->shift);
        if (used == (size_t)-1)
            memset(&edit->shift, 0, sizeof edit->shift);
        else if (used != (size_t)-2)
            return 1;
    }
}

static char *get_prompt(EditLine *line)
{
    struct edit *edit = NULL;
    host_libedit.el_get(line, EL_CLIENTDATA, &edit);
    return edit->prompt;
}

static void list_candidates(lua_State *L, int idx)
{
    lua_Integer count = (lua_Integer)lua_rawlen(L, idx);
    fputc('\n', stdout);
    for (lua_Integer i = 1; i <= count && i <= LIST_MAX; i++) {
        lua_rawgeti(L, idx, i);
        const char *text = lua_tostring(L, -1);
        printf("%s  ", text ? text : "");
        lua_pop(L, 1);
    }
    printf(count > LIST_MAX ? "...\n" : "\n");
    fflush(stdout);
}

/* Tab: complete(text before the cursor) gives what to insert, and a list to show if that is nothing. */
static unsigned char complete(EditLine *line, wint_t ch)
{
    (void)ch;
    struct edit *edit = NULL;
    host_libedit.el_get(line, EL_CLIENTDATA, &edit);
    lua_State *L = lestL_callback_push(&edit->complete);
    if (!L)
        return CC_ERROR;
    const LineInfo *info = host_libedit.el_line(line);
    lua_pushlstring(L, info->buffer, (size_t)(info->cursor - info->buffer));
    if (!lestL_call(L, 1, 2, "completion"))
        return CC_ERROR;
    unsigned char result = CC_ERROR;
    const char *addition = lua_tostring(L, -2);
    if (addition && *addition) {
        result = host_libedit.el_insertstr(line, addition) == 0 ? CC_REFRESH : CC_ERROR;
    } else if (lua_istable(L, -1) && lua_rawlen(L, -1) > 1) {
        list_candidates(L, lua_gettop(L));
        result = CC_REDISPLAY;
    }
    lua_pop(L, 2);
    return result;
}

static void close_edit(void *h)
{
    struct edit *edit = h;
    if (session.edit == edit) {
        sigaction(SIGINT, &edit->before, NULL);
        session.edit = NULL;
        close(session.wake[0]);
        close(session.wake[1]);
    }
    if (edit->line)
        host_libedit.el_end(edit->line);
    if (edit->history)
        host_libedit.history_end(edit->history);
    if (edit->typed)
        event_free(edit->typed);
    if (edit->woken)
        event_free(edit->woken);
    lestL_callback_clear(&edit->complete);
    free(edit);
}

/* edit:read(prompt): a line, or nil and "eof" or "interrupt" */
static int edit_read(lua_State *L);

/* edit:add(statement): to the history in memory; it may have several lines */
static int edit_add(lua_State *L);

/* edit:tell(text, prompt): lines for the terminal; one that is being typed is shown again below them, behind
 * what its prompt is by now */
static int edit_tell(lua_State *L);

static const luaL_Reg methods[] = {
    { "read", edit_read }, { "add", edit_add }, { "tell", edit_tell }, { NULL, NULL }
};

static const struct lestL_class class = { .name = "lest.edit", .methods = methods, .close = close_edit };

/* The prompt is shown again by libedit at any time: it is a copy. */
static void set_prompt(struct edit *edit, const char *text)
{
    snprintf(edit->prompt, sizeof edit->prompt, "%s", text);
}

static int edit_read(lua_State *L)
{
    struct edit *edit = lestL_check_object(L, 1, &class);
    int length = 0;
    set_prompt(edit, luaL_checkstring(L, 2));
    edit->eof = false;
    session.interrupted = 0;
    memset(&edit->shift, 0, sizeof edit->shift);
    edit->reading = true;
    const char *text = host_libedit.el_gets(edit->line, &length);
    edit->reading = false;
    if (session.interrupted) {
        session.interrupted = 0;
        fputs("^C\n", stdout);
        lua_pushnil(L);
        lua_pushliteral(L, "interrupt");
        return 2;
    }
    if (!text || length <= 0 || (edit->eof && text[length - 1] != '\n')) {
        lua_pushnil(L);
        lua_pushliteral(L, "eof");
        return 2;
    }
    if (text[length - 1] == '\n')
        length--;
    lua_pushlstring(L, text, (size_t)length);
    return 1;
}

static int edit_add(lua_State *L)
{
    struct edit *edit = lestL_check_object(L, 1, &class);
    HistEvent event;
    if (host_libedit.history(edit->history, &event, H_ENTER, luaL_checkstring(L, 2)) < 0)
        return lestL_no_memory(L);
    return 0;
}

static int edit_tell(lua_State *L)
{
    struct edit *edit = lestL_check_object(L, 1, &class);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    set_prompt(edit, luaL_checkstring(L, 3));
    if (edit->reading)
        fputs("\r\033[K", stdout);
    fwrite(text, 1, len, stdout);
    fflush(stdout);
    if (edit->reading)
        host_libedit.el_set(edit->line, EL_REFRESH);
    return 0;
}

static bool start_editing(struct edit *edit)
{
    HistEvent event;
    edit->line = host_libedit.el_init("lest", stdin, stdout, stderr);
    edit->history = host_libedit.history_init();
    if (!edit->line || !edit->history)
        return false;
    host_libedit.history(edit->history, &event, H_SETSIZE, HISTORY_MAX);
    host_libedit.history(edit->history, &event, H_SETUNIQUE, 1);
    host_libedit.el_set(edit->line, EL_CLIENTDATA, edit);
    host_libedit.el_set(edit->line, EL_EDITOR, "emacs");
    host_libedit.el_set(edit->line, EL_SIGNAL, 0);
    host_libedit.el_set(edit->line, EL_HIST, host_libedit.history, edit->history);
    host_libedit.el_set(edit->line, EL_PROMPT, get_prompt);
    host_libedit.el_set(edit->line, EL_GETCFN, get_character);
    /* el_set() leaks copies of the two texts */
    host_libedit.el_wset(edit->line, EL_ADDFN, L"lest-complete", L"Complete a name", complete);
    host_libedit.el_set(edit->line, EL_BIND, "^I", "lest-complete", NULL);
    host_libedit.el_set(edit->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    host_libedit.el_source(edit->line, NULL); /* ~/.editrc; that there is none is fine */
    return true;
}

static bool start_listening(struct edit *edit)
{
    struct event_base *base = net_loop_get0_base(edit->loop);
    if (pipe2(session.wake, O_CLOEXEC | O_NONBLOCK))
        return false;
    session.edit = edit;
    sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_signal }, &edit->before);
    edit->typed = event_new(base, STDIN_FILENO, EV_READ, on_typed, edit);
    edit->woken = event_new(base, session.wake[0], EV_READ | EV_PERSIST, on_woken, edit);
    return edit->typed && edit->woken && event_add(edit->woken, NULL) == 0;
}

/* edit.open{ complete = function(before) -> addition, list } */
static int edit_open(lua_State *L)
{
    static const char *const known[] = { "complete", NULL };
    struct lest_error err;
    lestL_check_options(L, 1, known);
    if (session.edit)
        return luaL_error(L, "the terminal has an editor already");
    if (host_libedit_load(&err))
        return luaL_error(L, "%s (%s)", err.message, err.detail);
    /* What is typed is taken for UTF-8, also where no locale was set. */
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    struct lestL_object *object = lestL_new_object(L, &class);
    struct edit *edit = object->h = calloc(1, sizeof *edit);
    if (!edit)
        return lestL_no_memory(L);
    edit->loop = lestL_loop(L);
    lua_getfield(L, 1, "complete");
    lestL_callback_set(L, -1, &edit->complete);
    lua_pop(L, 1);
    if (!start_editing(edit) || !start_listening(edit))
        return luaL_error(L, "the terminal cannot be edited on");
    return 1;
}

/* edit.guard(f, handler, ...): as xpcall, and Ctrl-C raises "interrupted" in f */
static int edit_guard(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_replace(L, 1);
    lua_replace(L, 2);
    int nargs = lua_gettop(L) - 2;
    session.interrupted = 0;
    session.guarded = lestL_main(L);
    int status = lua_pcall(L, nargs, LUA_MULTRET, 1);
    lua_State *main = session.guarded;
    session.guarded = NULL;
    lua_sethook(main, NULL, 0, 0);
    session.interrupted = 0;
    lua_pushboolean(L, status == LUA_OK);
    lua_replace(L, 1);
    return lua_gettop(L);
}

int host_edit_open(lua_State *L)
{
    static const luaL_Reg functions[] = { { "open", edit_open }, { "guard", edit_guard }, { NULL, NULL } };
    lestL_class_register(L, &class);
    luaL_newlib(L, functions);
    return 1;
}
