-- The options of a policy: declared by its file, given by the configuration, closed and checked.
local hooks = require "lest.server.worker.hooks"
local policy = require "lest.policy"
local temporary = require "support.temporary"

describe("policy.options", function()
  local folder

  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  --- Load a policy whose hook gives its options.
  local function load_policy(declared, given, where)
    local file = temporary.file(folder, "x.lua", "local policy = require 'lest.policy'\n"
      .. "local options = policy.options " .. declared .. "\nreturn function() return options end")
    local loaded, err = hooks.load(file, nil, given, where)
    if not loaded then return nil, err end
    return loaded.hooks.enroll()
  end

  local function wrong(declared, given)
    local options, err = load_policy(declared, given)
    assert.is_nil(options)
    return err.message, err.option
  end

  local ALL <const> = [[{
    prefix = { type = "string", default = "device-" },
    most = { type = "integer", default = 5, min = 1, max = 9 },
    strict = { type = "boolean", default = false },
    window = { type = "duration", default = "30d", max = "90d" },
    sites = { type = "strings", optional = true },
    mode = { one_of = { "soft", "hard" }, default = "soft" } }]]

  it("has the defaults of what is not given, and of all for a file that is required", function()
    for _, given in ipairs { {}, { prefix = "device-" } } do
      local options = assert(load_policy(ALL, given))
      assert.same({ "device-", 5, false, 30 * 86400, "soft" }, { options.prefix, options.most,
        options.strict, options.window, options.mode })
      assert.is_nil(options.sites)
    end
    local module = temporary.file(folder, "y.lua", "return require 'lest.policy'.options "
      .. "{ prefix = { type = 'string', default = 'x' } }.prefix")
    local outer = temporary.file(folder, "z.lua", "local policy = require 'lest.policy'\n"
      .. "local options = policy.options { prefix = { type = 'string' } }\nlocal inner = dofile '"
      .. module .. "'\nreturn function() return options.prefix .. inner end")
    assert.equal("ax", assert(hooks.load(outer, nil, { prefix = "a" })).hooks.enroll())
  end)

  it("has what is given", function()
    local options = assert(load_policy(ALL, { prefix = "p", most = 9, strict = true,
      window = "1h", sites = { "a", "b" }, mode = "hard" }))
    assert.same({ "p", 9, true, 3600, "hard" }, { options.prefix, options.most, options.strict,
      options.window, options.mode })
    assert.same({ "a", "b" }, options.sites)
  end)

  it("takes files by their path in the configuration's folder, and secrets by file alone",
    function()
      local declared = '{ list = { type = "file" }, token = { type = "secret" } }'
      local place = temporary.folder()
      temporary.file(place, "list.csv", "")
      temporary.file(place, "token", "s3cret\nand more\n")
      for given, expected in pairs { ["list.csv"] = place .. "/list.csv",
        ["https://host/x"] = "https://host/x" } do
        assert.equal(expected,
          assert(load_policy('{ of = { type = "source" } }', { of = given }, place)).of)
      end
      local options = assert(load_policy(declared, { list = "list.csv", token = "token" }, place))
      assert.same({ place .. "/list.csv", "s3cret" }, { options.list, options.token })
      local _, err = load_policy(declared, { list = "lost.csv", token = "token" }, place)
      assert.equal("list", err.option)
      assert.matches("lost.csv: No such file", err.message)
      temporary.file(place, "token", "\n")
      _, err = load_policy(declared, { list = "list.csv", token = "token" }, place)
      assert.equal("token", err.option)
      assert.matches("first line of .*/token is no secret", err.message)
    end)

  it("names what is wrong, and where the policy declares it", function()
    for expected, given in pairs {
      ["prefx: unknown, did you mean 'prefix'?"] = { prefx = "a" },
      ["most: 10 is out of range (1 to 9)"] = { most = 10 },
      ["strict: must be true or false, not a string"] = { strict = "yes" },
      ["window: 91d is out of range (0s to 90d)"] = { window = "91d" },
      ["sites[2]: must be a string, not a number"] = { sites = { "a", 2 } },
      ["mode: 'hrd' is not one of soft, hard, did you mean 'hard'?"] = { mode = "hrd" },
    } do
      local message, option = wrong(ALL, given)
      local path, text = expected:match "^(%S+): (.*)$"
      assert.equal(path, option)
      assert.truthy(message:find(text .. " (", 1, true), message)
      assert.matches("x.lua:2%)$", message)
    end
    assert.matches("^0 is out of range %(at least 1%)",
      (wrong('{ least = { type = "integer", min = 1 } }', { least = 0 })))
    assert.matches("^is missing ", (wrong('{ ca = { type = "string" } }', {})))
  end)

  it("is no choice of the policy's: what is given and not declared is an error", function()
    local file = temporary.file(folder, "x.lua", "return function() end")
    local _, err = hooks.load(file, nil, { prefix = "a" })
    assert.equal("prefix", err.option)
    assert.matches("takes no options", err.message)
    file = temporary.file(folder, "x.lua", "local policy = require 'lest.policy'\n"
      .. "pcall(policy.options, { a = { type = 'string' } })\nreturn function() end")
    _, err = hooks.load(file, nil, { b = "a" })
    assert.truthy(err)
  end)

  it("is closed and read-only", function()
    local options = assert(load_policy(ALL, {}))
    assert.error_matches(function() return options.prefx end,
      "the policy's options has no field 'prefx', did you mean 'prefix'?")
    assert.error_matches(function() options.prefix = "x" end, "read%-only")
  end)

  it("tells a mistake in the declaration with its line", function()
    for declared, expected in pairs {
      ["{ a = { typ = 'string' } }"] = "a: typ: unknown, did you mean 'type'?",
      ["{ a = {} }"] = "a: state its type",
      ["{ a = { type = 'string', one_of = { 'a' } } }"] = "a: state its type",
      ["{ a = { type = 'text' } }"] = "a: type: 'text' is not one of",
      ["{ a = { type = 'string', min = 1 } }"] = "a: min: is for an integer or a duration",
      ["{ a = { type = 'duration', min = 'x' } }"] = "a: min: is no duration",
      ["{ a = { type = 'integer', default = 'x' } }"] = "a: default: must be a whole number",
      ["{ a = { type = 'file', default = 'x' } }"] = "a: default: a file has none",
      ["{ ['a-b'] = { type = 'string' } }"] = "'a-b' is no name of an option",
      ["'a'"] = "takes a table, as { prefix = { type = \"string\" } }, not a string",
    } do
      local message = wrong(declared, {})
      assert.truthy(message:find(expected, 1, true), message)
      assert.matches("x.lua:2:", message)
    end
    assert.error_matches(function() policy.options {} end, "at the top of the file")
  end)

  it("may be declared once", function()
    local file = temporary.file(folder, "x.lua", "local policy = require 'lest.policy'\n"
      .. "policy.options {}\npolicy.options {}\nreturn function() end")
    local _, err = hooks.load(file)
    assert.matches("x.lua:3: policy.options: they were declared at .*x.lua:2 already", err.message)
  end)
end)
