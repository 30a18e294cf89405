-- spec/lint/layers finds what it is for: each violation is planted in a copy of the sources.
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local LAYERS <const> = { "base", "pki", "jose", "http", "est", "wire", "net", "ledger", "lua",
  "host" }
local ROOMS <const> = { "pki/asn1", "pki/key", "pki/x509", "pki/cms" }

describe("the lint of layers", function()
  local folder

  setup(function()
    folder = temporary.folder()
    process.write(folder .. "/empty.c", "extern int nothing;\n")
    assert(os.execute(("cd '%s' && mkdir -p spec/lint && cc -c empty.c"):format(folder)))
    for _, layer in ipairs(LAYERS) do
      assert(os.execute(("cd '%s' && mkdir -p csrc/%s build/csrc/%s && cp empty.o build/csrc/%s")
        :format(folder, layer, layer, layer)))
      process.write(("%s/csrc/%s/a.c"):format(folder, layer), "extern int nothing;\n")
      process.write(("%s/csrc/%s/a.h"):format(folder, layer), "extern int nothing;\n")
    end
    for _, room in ipairs { "pki/asn1", "pki/key", "pki/x509", "pki/cms", "host/role",
      "host/supervisor", "host/console" } do
      assert(os.execute(("mkdir -p '%s/csrc/%s'"):format(folder, room)))
      process.write(("%s/csrc/%s/a.c"):format(folder, room), "extern int nothing;\n")
    end
    assert(os.execute(("cp spec/lint/layers '%s/spec/lint'"):format(folder)))
  end)
  teardown(temporary.clean)

  local function run(build)
    return shell.run(("'%s/spec/lint/layers' '%s'"):format(folder, build or "build"))
  end

  local function path_of(layer, suffix)
    return ("%s/csrc/%s/planted.%s"):format(folder, layer, suffix or "c")
  end

  -- With a file of these lines in every one of the layers.
  local function planted(layers, lines, suffix)
    for _, layer in ipairs(layers) do
      process.write(path_of(layer, suffix), table.concat(lines, "\n") .. "\n")
    end
    local result = run()
    for _, layer in ipairs(layers) do os.remove(path_of(layer, suffix)) end
    return result
  end

  -- With sources of these texts in csrc/, and objects of them if compiled.
  local function with_files(files, compiled)
    local written = {}
    for name, text in pairs(files) do
      local source = ("%s/csrc/%s"):format(folder, name)
      process.write(source, text)
      table.insert(written, source)
      if compiled then
        local object = ("%s/build/csrc/%s.o"):format(folder, name)
        assert(os.execute(("cc -w -c -o '%s' '%s'"):format(object, source)))
        table.insert(written, object)
      end
    end
    local result = run()
    for _, path in ipairs(written) do os.remove(path) end
    return result
  end

  local function all_in(result, expected)
    assert.equal(1, result.code)
    for _, line in ipairs(expected) do assert(result.err:find(line, 1, true), line) end
  end

  -- With an object that refers to these symbols.
  local function linked(layer, symbols)
    local source = path_of(layer)
    local object = ("%s/build/csrc/%s/planted.o"):format(folder, layer)
    local lines = {}
    for i, symbol in ipairs(symbols) do
      lines[i] = ("extern char %s[]; void *f%d = %s;\n"):format(symbol, i, symbol)
    end
    process.write(source, table.concat(lines))
    assert(os.execute(("cc -w -fno-builtin -c -o '%s' '%s'"):format(object, source)))
    os.remove(source)
    local result = run()
    os.remove(object)
    return result
  end

  it("passes what only looks forbidden", function()
    local result = planted({ "net" }, { "void f(void) { at->handler.abort(x); at->exit(1); }" })
    assert.equal(0, result.code, result.err)
    assert.equal("layers: ok\n", result.out)
  end)

  it("finds who asks for the time beside the one clock", function()
    for _, line in ipairs { "x = time(NULL);", "gettimeofday(&x, NULL);",
      "X509_cmp_current_time(x);", "clock_gettime(id, &now);" } do
      local result = planted({ "pki" }, { "void f(void) {", line, "}" })
      assert.equal(1, result.code, line)
      assert.matches("the time is asked for beside base/clock.h", result.err, 1, true)
    end
  end)

  it("finds the headers of other layers and of libraries", function()
    local files, expected = {}, {}
    for layer, includes in pairs {
      base = { "#include <poll.h>", "#include <openssl/evp.h>", '#include "pki/der.h"' },
      pki = { "# include <lua.h>", "#include  <lua.h>", "#include\t<lua.h>",
        " #include <lauxlib.h>", "#include <netdb.h>", "#include <sys/un.h>",
        "#include <sqlite3.h>", "#include <openssl/ssl.h>", '# include "net/loop.h"',
        '#include "lua.h"' },
      jose = { "#include <lua.h>", "#include <openssl/ssl.h>", '#include "http/value.h"' },
      http = { "#include <event.h>", "#include <evhttp.h>", '#include  "est/path.h"' },
      net = { "#include <sqlite3.h>", "#include <lua.h>" },
      ledger = { "#include <event2/event.h>", "#include <curl/curl.h>" },
    } do
      for _, suffix in ipairs { "c", "h" } do
        local file = ("%s/planted.%s"):format(layer, suffix)
        files[file] = table.concat(includes, "\n") .. "\n"
        for i, include in ipairs(includes) do
          local name = include:match '"(.*)"'
          table.insert(expected, ("csrc/%s%s"):format(file, name and " includes " .. name
            or (":%d:"):format(i)))
        end
      end
    end
    all_in(with_files(files), expected)
  end)

  it("lets a room use itself, the rooms before it and what stands in no room", function()
    local earlier, files = '#include "base/buf.h"\n#include "pki/error.h"\n', {}
    for _, room in ipairs(ROOMS) do
      earlier = earlier .. ('#include "%s/other.h"\n'):format(room)
      files[room .. "/planted.c"], files[room .. "/planted.h"] = earlier, earlier
    end
    local result = with_files(files)
    assert.equal(0, result.code, result.err)
  end)

  it("finds what a room takes from a later one, and what is in no room from any", function()
    local places, files, expected = { "pki", table.unpack(ROOMS) }, {}, {}
    for i, place in ipairs(places) do
      for _, suffix in ipairs { "c", "h" } do
        local file, lines = ("%s/planted.%s"):format(place, suffix), ""
        for j = i + 1, #places do
          local include = places[j] .. "/a.h"
          lines = lines .. ('# include  "%s"\n'):format(include)
          table.insert(expected, ("csrc/%s includes %s: of the rooms of pki"):format(file, include))
        end
        files[file] = lines
      end
    end
    all_in(with_files(files), expected)
  end)

  it("finds a folder that is no room, and in a room what no file of the layer may have", function()
    assert(os.execute(("mkdir '%s/csrc/pki/attic'"):format(folder)))
    local result = run()
    assert(os.execute(("rmdir '%s/csrc/pki/attic'"):format(folder)))
    assert.equal(1, result.code)
    assert.matches("csrc/pki/attic is no room of pki", result.err, 1, true)
    result = planted({ "pki/cms" }, { '#include "net/loop.h"', "#include <lua.h>",
      "void f(void) { strcpy(a, b); }" })
    assert.equal(1, result.code)
    for _, expected in ipairs { "planted.c includes net/loop.h", "planted.c:2:", "planted.c:3:" } do
      assert(result.err:find("csrc/pki/cms/" .. expected, 1, true), result.err)
    end
  end)

  it("finds who loads other libraries", function()
    local result = planted({ "lua", "base" }, { '#include "base/library.h"' })
    assert.equal(1, result.code)
    for _, layer in ipairs { "lua", "base" } do
      local expected = ("csrc/%s/planted.c includes base/library.h"):format(layer)
      assert(result.err:find(expected, 1, true), result.err)
    end
  end)

  it("finds the symbols of libraries in the objects", function()
    for layer, symbols in pairs {
      base = { "BN_new", "poll", "__poll_chk" },
      pki = { "SSL_new", "TLS_server_method", "recvfrom", "lua_gettop" },
      jose = { "SSL_new", "cjose_jws_verify", "recvfrom" },
      http = { "d2i_X509", "i2d_X509", "OBJ_nid2sn", "CRYPTO_memcmp", "getaddrinfo",
        "sqlite3_open" },
      est = { "EVP_sha256", "bufferevent_free" },
      net = { "luaL_openlibs", "sqlite3_exec", "curl_easy_init", "dlopen" },
      ledger = { "event_new" },
      lua = { "sqlite3_open", "dlsym" },
      host = { "el_init", "history" },
    } do
      local result = linked(layer, symbols)
      assert.equal(1, result.code)
      for _, symbol in ipairs(symbols) do
        assert(("\n" .. result.err):find("\n" .. symbol .. "\n", 1, true), layer .. ": " .. symbol)
      end
    end
  end)

  local function calls(list)
    local lines = {}
    for i, call in ipairs(list) do lines[i] = ("void f%d(void) { %s; }"):format(i, call) end
    return lines
  end

  local function all_found(result, layers, list, suffix)
    for _, layer in ipairs(layers) do
      for i, call in ipairs(list) do
        local expected = ("csrc/%s/planted.%s:%d:"):format(layer, suffix, i)
        assert(result.err:find(expected, 1, true), layer .. ": " .. call)
      end
    end
  end

  it("finds calls of banned functions whatever their first argument begins with", function()
    local banned <const> = { 'strcpy(a, "x")', "sprintf(b, c)", "atoi(s)", "x = atoi (s)",
      "system(c)", "(void)system(c)", "!strtok(s, t)", "alloca(4)" }
    all_found(planted({ "host" }, calls(banned)), { "host" }, banned, "c")
    local of_host <const> = { "exit(1)", "_exit(2)", "abort()", 'fprintf(stderr, "x")', "printf(f)",
      "vprintf(f, args)", "putchar(c)", "puts(s)", "fputs(s, stderr)", "quick_exit(0)" }
    local others <const> = { "base", "pki", "http", "est", "wire", "net", "ledger", "lua" }
    for _, suffix in ipairs { "c", "h" } do
      all_found(planted(others, calls(of_host), suffix), others, of_host, suffix)
    end
    assert.equal(0, planted({ "host" }, calls(of_host)).code)
  end)

  it("finds banned functions that are not called by their name", function()
    assert.equal(1, linked("host", { "strcpy" }).code)
    assert.equal(1, linked("net", { "exit" }).code)
    assert.equal(0, linked("host", { "exit" }).code)
  end)

  it("finds what is not in the folder of its layer itself, and rooms that know too much", function()
    local function includes(room, text)
      local path = ("%s/csrc/host/%s/planted.c"):format(folder, room)
      process.write(path, text .. "\n")
      local result = run()
      os.remove(path)
      return result
    end
    local result = includes("role", '#include "host/supervisor/child.h"')
    assert.equal(1, result.code)
    local found = "role/planted.c includes host/supervisor/child.h: of the rooms of host, role may"
    assert(result.err:find(found, 1, true), result.err)
    assert.equal(0, includes("supervisor", '#include "host/role/watchdog.h"').code)
    result = includes("supervisor", "#include <sqlite3.h>")
    assert.equal(1, result.code)
    assert.matches("supervisor/planted%.c:1:", result.err)
    assert.equal(1, includes("role", "void f(void) { system(c); }").code)
  end)

  it("finds files that include each other in a circle, a header standing for its source", function()
    local result = with_files {
      ["net/left.h"] = '#include "net/middle.h"\n', ["net/middle.c"] = '#include "net/right.h"\n',
      ["net/right.h"] = '# include "net/left.h"\n', ["net/above.h"] = '#include "net/left.h"\n',
    }
    assert.equal(1, result.code)
    local circle = assert(result.err:match "use each other in a circle: ([^\n]*)")
    for _, name in ipairs { "left", "middle", "right" } do
      assert(circle:find("net/" .. name, 1, true), circle)
    end
    assert.falsy(circle:find("above", 1, true))
  end)

  it("finds files that call each other in a circle without an include", function()
    local files = {
      ["net/left.c"] = "int right(void); int left(void) { return right(); }\n",
      ["net/right.c"] = "int left(void); int right(void) { return left(); }\n",
    }
    local result = with_files(files, true)
    assert.equal(1, result.code)
    assert.matches("circle: net/%a+ net/%a+", result.err)
    files["net/left.c"] = "int left(void) { return 0; }\n"
    result = with_files(files, true)
    assert.equal(0, result.code, result.err)
  end)

  it("fails where there are no objects to look at", function()
    local result = run(folder .. "/nowhere")
    assert.equal(1, result.code)
    assert.matches("no objects of base", result.err)
  end)
end)
