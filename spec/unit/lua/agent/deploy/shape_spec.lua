-- What `files` and `hooks` may say, and what is told of a slip.
local schema = require "lest.base.schema"
local shape = require "lest.agent.deploy.shape"

local function problem_of(which, value)
  local accepted, problems = schema.check(shape[which], value)
  assert.is_nil(accepted)
  return ("%s: %s"):format(problems[1].path, problems[1].problem)
end

describe("files", function()
  it("have a mode by what they hold", function()
    local files = assert(schema.check(shape.files, {
      { path = "/a", content = "fullchain" }, { path = "/b", content = { "cert", "key" } },
      { folder = "/c" }, { path = "/d", content = "combined", mode = "0640" },
    }))
    assert.same({ "644", "600", "600", "640" }, { ("%o"):format(files[1].mode),
      ("%o"):format(files[2].mode), ("%o"):format(files[3].mode), ("%o"):format(files[4].mode) })
    assert.same({ "fullchain" }, files[1].content)
  end)

  local wrong = {
    { "1%]: .*one of the two", { content = "cert" } },
    { "1%]: .*one of the two", { path = "/a", folder = "/b" } },
    { "1%]: is missing `content`", { path = "/a" } },
    { "1.*content.*did you mean 'fullchain'", { path = "/a", content = "fullchian" } },
    { "1%]: combined stands alone", { path = "/a", content = { "combined", "cert" } } },
    { "1%]: pkcs12 needs a `password_file`", { path = "/a", content = "pkcs12" } },
    { "1%]: `alias` is for pkcs12", { path = "/a", content = "cert", alias = "x" } },
    { "1%]: `content` is for a `path`", { folder = "/a", content = "cert" } },
    { "1%]: the key is in it, and mode 0644", { path = "/a", content = "key", mode = "0644" } },
    { "1%]: the key is in it, and mode 0604", { folder = "/a", mode = "0604" } },
    { "1.*mode.*is no mode", { path = "/a", content = "cert", mode = "rw" } },
    { "1.*mode.*must be a mode", { path = "/a", content = "cert", mode = 420 } },
    { "1.*path.*is not a path", { path = "/a/", content = "cert" } },
    { "1.*owner.*is not a name", { path = "/a", content = "cert", owner = "a b" } },
    { "1.*grop: unknown, did you mean 'group'", { path = "/a", content = "cert", grop = "x" } },
  }
  for _, each in ipairs(wrong) do
    it("are refused: " .. each[1], function()
      assert.matches(each[1], problem_of("files", { each[2] }))
    end)
  end
end)

describe("hooks", function()
  it("are commands and functions, with a deadline", function()
    local fn = function() end
    local hooks = assert(schema.check(shape.hooks, { { command = { "true" } }, fn,
      { run = fn, timeout = "2m" } }))
    assert.same({ { command = { "true" }, timeout = 30 }, { run = fn, timeout = 30 },
      { run = fn, timeout = 120 } }, hooks)
  end)

  for pattern, value in pairs {
    ["1%]: must be a function, or a table"] = "systemctl reload nginx",
    ["1.*command.*must be a list"] = { command = "systemctl reload nginx" },
    ["1.*command.*too few"] = { command = {} },
    ["1%]: needs a `command` or a function"] = {},
    ["1%]: needs a `command` or a function `run`"] = { command = { "x" }, run = print },
    ["1.*timeout.*out of range"] = { command = { "x" }, timeout = "1h" },
    ["1.*command%[1%].*NUL"] = { command = { "a\0b" } },
  } do
    it("are refused: " .. pattern, function()
      assert.matches(pattern, problem_of("hooks", { value }))
    end)
  end
end)
