-- A generation's files and hooks: each step once, again after a failure, and back where that is
-- wanted.
local deploy = require "lest.agent.deploy"
local pki = require "support.pki"
local process = require "support.process"
local schema = require "lest.base.schema"

describe("deploy.run", function()
  local ca, leaves, folder, calls, kept, current, context

  setup(function()
    ca = pki.new()
    local root = ca:root "root"
    leaves = { ca:issue("one", { by = root }), ca:issue("two", { by = root }) }
  end)
  teardown(function() pki.sh("rm -rf " .. process.quote(ca.folder)) end)

  local function generation(number)
    return { number = number, folder = ("%s/%d"):format(folder, number) }
  end

  before_each(function()
    folder, calls, kept, current = process.folder(), {}, nil, 2
    for number, leaf in ipairs(leaves) do
      local place = generation(number).folder
      process.must { "mkdir", place }
      process.must { "cp", leaf.path, place .. "/cert.pem" }
      process.must { "cp", leaf.key, place .. "/key.pem" }
    end
    context = {
      now = 1000, random = function() return 1 end, log = function() end,
      former = generation(1),
      save = function(record)
        kept = require "lest.json".decode(require "lest.json".line(record))
        return true
      end,
      switch = function(number)
        current = number
        return true
      end,
    }
  end)
  after_each(function() pki.sh("rm -rf " .. process.quote(folder)) end)

  local function identity(options)
    options.name = "dev9"
    options.files = assert(schema.check(deploy.files, options.files or {
      { path = folder .. "/out.pem", content = "cert" } }))
    options.hooks = assert(schema.check(deploy.hooks, options.hooks or {}))
    return options
  end

  local function note(name, fails)
    return function(event)
      calls[#calls + 1] = ("%s %d %s"):format(name, event.generation, event.event)
      if fails and fails(event) then return nil, "not now" end
    end
  end

  local function written() return process.read(folder .. "/out.pem") end

  it("does each step once, files before hooks", function()
    local it_is = identity { hooks = { note "a", note "b" } }
    local record, problem = deploy.run(it_is, generation(2), nil, context)
    assert.is_nil(problem)
    assert.equal(leaves[2].cert:pem(), written())
    assert.same({ "a 2 installed", "b 2 installed" }, calls)
    assert.same(record, kept)
    assert.is_nil(deploy.due(record))
    os.remove(folder .. "/out.pem")
    record = deploy.run(it_is, generation(2), kept, context)
    assert.equal(2, #calls)
    assert.is_false(process.exists(folder .. "/out.pem"))
    deploy.look(it_is, record)
    deploy.run(it_is, generation(2), record, context)
    assert.equal(leaves[2].cert:pem(), written())
    assert.equal(2, #calls)
  end)

  it("goes on after the last step that was recorded", function()
    local it_is = identity { hooks = { note "a", note "b" } }
    local save, died = context.save, nil
    context.save = function(record)
      if #calls == 2 then
        died = kept
        error "power cut"
      end
      return save(record)
    end
    assert.has_error(function() deploy.run(it_is, generation(2), nil, context) end)
    context.save = save
    deploy.run(it_is, generation(2), died, context)
    assert.same({ "a 2 installed", "b 2 installed", "b 2 installed" }, calls)
  end)

  it("tries again what failed, later each time, and nothing that was done", function()
    local fails = true
    local it_is = identity { hooks = { note "a", note("b", function() return fails end) } }
    local record, problem = deploy.run(it_is, generation(2), nil, context)
    assert.equal("hook: the function: not now", problem)
    assert.equal(1030, deploy.due(record))
    context.now = 1029
    record, problem = deploy.run(it_is, generation(2), record, context)
    assert.equal("hook: the function: not now", problem)
    assert.equal(2, #calls)
    context.now = 1030
    record = deploy.run(it_is, generation(2), record, context)
    assert.equal(1090, deploy.due(record))
    for _ = 1, 30 do
      context.now = deploy.due(record)
      record = deploy.run(it_is, generation(2), record, context)
    end
    assert.equal(context.now + 3600, deploy.due(record))
    fails, context.now = false, deploy.due(record)
    record, problem = deploy.run(it_is, generation(2), record, context)
    assert.is_nil(problem)
    assert.is_nil(deploy.due(record))
    assert.equal("a 2 installed", calls[1])
    assert.equal(0, #table.concat(calls, "\n", 2):gsub("b 2 installed\n?", ""))
  end)

  it("does not wait for a time that a wrong clock has left", function()
    local it_is = identity { hooks = { note("a", function() return #calls == 1 end) } }
    context.now = 4000000000
    local record = deploy.run(it_is, generation(2), nil, context)
    context.now = 1000
    record = deploy.run(it_is, generation(2), record, context)
    assert.is_nil(deploy.due(record))
    assert.equal(2, #calls)
  end)

  it("rolls back to the former generation, files and hooks too, and tries again", function()
    local fails = function(event) return event.generation == 2 and #calls < 4 end
    local it_is = identity { rollback = true, hooks = { note("a", fails) } }
    local record, problem = deploy.run(it_is, generation(2), nil, context)
    assert.equal("hook: the function: not now", problem)
    assert.equal(1, current)
    assert.equal(leaves[1].cert:pem(), written())
    assert.same({ "a 2 installed", "a 1 rolled back" }, calls)
    assert.same({ 2, 1 }, { record.newest, record.applied })
    assert.same(record, kept)
    context.now = deploy.due(record) - 1
    deploy.run(it_is, generation(2), record, context)
    assert.equal(2, #calls)
    context.now = deploy.due(record)
    record = deploy.run(it_is, generation(2), record, context)
    assert.same({ "a 2 installed", "a 1 rolled back" }, { calls[3], calls[4] })
    context.now = deploy.due(record)
    record, problem = deploy.run(it_is, generation(2), record, context)
    assert.is_nil(problem)
    assert.same({ 2, 2, 2 }, { current, record.newest, record.applied })
    assert.equal(leaves[2].cert:pem(), written())
  end)

  it("ends a rollback in whose middle it was killed", function()
    local it_is = identity { rollback = true, hooks = { note("a", function(event)
      return event.generation == 2
    end) } }
    context.switch = function() error "power cut" end
    assert.has_error(function() deploy.run(it_is, generation(2), nil, context) end)
    assert.equal(2, current)
    context.switch = function(number)
      current = number
      return true
    end
    deploy.run(it_is, generation(2), kept, context)
    assert.equal(1, current)
    assert.equal(leaves[1].cert:pem(), written())
    assert.equal("a 1 rolled back", calls[#calls])
  end)

  it("rolls back for a hook alone, where there is somewhere to go", function()
    local it_is = identity { rollback = true, hooks = { note("a", function() return true end) },
      files = { { path = folder .. "/none/out.pem", content = "cert" } } }
    local _, problem = deploy.run(it_is, generation(2), nil, context)
    assert.matches("^file: ", problem)
    assert.equal(2, current)
    context.former = nil
    it_is.files = {}
    local record = deploy.run(it_is, generation(2), nil, context)
    assert.same({ 2, 2, 2 }, { current, record.newest, record.applied })
  end)

  it("begins anew with a newer generation", function()
    local it_is = identity { hooks = { note("a", function(event)
      return event.generation == 1
    end) } }
    local record = deploy.run(it_is, generation(1), nil, context)
    assert.is_not_nil(deploy.due(record))
    local problem
    record, problem = deploy.run(it_is, generation(2), record, context)
    assert.is_nil(problem)
    assert.same({ newest = 2, applied = 2, former = 1, failures = 0, done = record.done }, record)
  end)

  it("does what is new in the configuration, and that alone", function()
    local record = deploy.run(identity { hooks = { note "a" } }, generation(2), nil, context)
    local other = identity { hooks = { note "a" }, files = {
      { path = folder .. "/out.pem", content = "cert" },
      { path = folder .. "/more.pem", content = "cert" } } }
    os.remove(folder .. "/out.pem")
    deploy.run(other, generation(2), record, context)
    assert.is_true(process.exists(folder .. "/more.pem"))
    assert.is_false(process.exists(folder .. "/out.pem"))
    assert.equal(1, #calls)
  end)

  it("does nothing that cannot be recorded", function()
    context.save = function() return nil, "the disk is full" end
    local record, problem = deploy.run(identity { hooks = { note "a" } }, generation(2), nil,
      context)
    assert.matches("the disk is full", problem)
    assert.is_not_nil(deploy.due(record))
    assert.same({}, calls)
  end)
end)

describe("deploy.conflict", function()
  it("names the place that two identities would write", function()
    assert.is_nil(deploy.conflict { a = { files = { { path = "/x" } } },
      b = { files = { { path = "/y" }, { folder = "/z" } } }, c = {} })
    assert.same({ "identities.b.files", "/x is written by identities.a already" },
      { deploy.conflict { a = { files = { { path = "/x" } } },
        b = { files = { { path = "/x" } } } } })
    assert.equal("identities.a.files",
      (deploy.conflict { a = { files = { { path = "/x" }, { folder = "/x" } } } }))
  end)
end)
