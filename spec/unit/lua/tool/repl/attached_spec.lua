-- What a worker in an attacker's hands gets of an operator's terminal: what was typed names it.
local attached_module = require "lest.tool.repl.attached"
local control = require "lest.tool.control"
local core = require "lest.core"
local portable = require "lest.base.portable"
local remote = require "lest.tool.repl.remote"
local temporary = require "support.temporary"

describe("an attached terminal", function()
  local enter <const> = control.enter
  local sent, script, attached, shown

  -- A session whose worker does what the spec's script says.
  local function session()
    local self = { is_open = true, last = 0 }
    function self.send(_, frame) sent[#sent + 1] = frame return true end
    function self.close() self.is_open = false end
    function self.ask(_, frame, options)
      self.last = self.last + 1
      frame.id = self.last
      sent[#sent + 1] = frame
      if frame.op == "status" then return { workers = { 1 } } end
      if frame.act == "open" then return { worker = 1, pid = 1 } end
      if frame.act ~= "eval" then return script.answer and script.answer(frame) or {} end
      return script.eval(frame, options.part)
    end
    return self
  end

  before_each(function()
    sent, script, shown = {}, {}, {}
    control.enter = session
    attached = assert(attached_module.enter("x", {}))
  end)
  after_each(function() control.enter = enter end)

  local function prompt()
    local function add(text) shown[#shown + 1] = text end
    return remote.new(attached, { write = add, complain = add })
  end

  --- What the terminal replied to questions of the worker while this was typed.
  local function replies_to(code, questions)
    script.eval = function(frame, part)
      for i, question in ipairs(questions) do
        question.id, question.ask = frame.id, i
        part(question)
      end
      return { values = {} }
    end
    attached.is_parked = function() return false end
    assert(attached:evaluate(1, code, nil, print))
    local replies = {}
    for _, frame in ipairs(sent) do
      if frame.act == "reply" then replies[frame.ask] = frame end
    end
    return replies
  end

  local function asks(what, arguments)
    return { what = what, arguments = portable.pack(arguments) }
  end

  it("answers a worker what the statement names, and nothing else", function()
    local replies = replies_to("requests()", { asks "requests", asks "stats",
      asks("ledger", { what = "cert", query = {} }), asks "open", asks "session", { what = {} },
      {} })
    assert.is_nil(replies[1].problem)
    for i = 2, 7 do assert.equal("that was not typed", replies[i].problem, i) end
    for _, frame in ipairs(sent) do assert.not_equal("ledger", frame.op) end
    assert.equal("that was not typed", replies_to("myledger()", { asks "ledger" })[1].problem)
    assert.equal("that was not typed", replies_to("ledgers = 1", { asks "ledger" })[1].problem)
  end)

  it("sends no file but those that the statement gives to policy.reload as a text", function()
    local path = temporary.file(temporary.folder(), "x.lua", "return 1")
    local got
    script.eval = function(frame)
      got = frame.files
      return { values = {} }
    end
    for _, code in ipairs { "x = '" .. path .. "'", "policy.reload(x)", "1",
      "reload '" .. path .. "'", "mypolicy.reload '" .. path .. "'" } do
      assert(attached:evaluate(1, code, nil, print))
      assert.is_nil(got, code)
    end
    for _, code in ipairs { 'policy.reload "%s"', "policy.reload('%s')",
      'x() policy.reload ("%s")' } do
      assert(attached:evaluate(1, code:format(path), nil, print))
      assert.same({ [path] = { path = path, text = "return 1" } }, got)
    end
    local _, err = attached:evaluate(1, 'policy.reload "/nowhere/x.lua"', nil, print)
    assert.matches("/nowhere/x.lua", tostring(err))
    temporary.clean()
  end)

  it("shows what a hostile worker says without a control sequence", function()
    local evil = "\27[2J\7\155x\u{202e}"
    local remote_prompt = prompt()
    script.eval = function(_, part)
      part { print = portable.pack(evil .. "\n" .. evil) }
      part { print = evil }
      return { values = { portable.pack(evil), { t = "word", v = evil }, evil,
        { t = "table", class = evil, k = { portable.pack(evil) },
          v = { { t = "word", v = evil } } } },
        problem = { t = "error", code = "trust", v = evil }, trace = { evil, {} }, note = evil }
    end
    remote_prompt:feed "1"
    remote_prompt:feed ":trace"
    for _, name in ipairs { "parked", "released", "decided", "decision", "full", "worker_gone",
      "worker_here", evil } do
      for _, value in ipairs { evil, { evil }, 5, { id = evil } } do
        remote_prompt:on_event { event = name, id = value, worker = value, request = value,
          steps = value, reason = value, verdict = value, rule = value, us = value, lost = value,
          principal = value, passed_by = value }
      end
    end
    script.answer = function()
      return { candidates = { evil, {}, "1" .. evil, "fine" }, word = evil }
    end
    for _, text in ipairs { remote_prompt:complete "x" } do
      if type(text) == "string" then shown[#shown + 1] = text end
    end
    assert.is_true(#shown > 20)
    local all = table.concat(shown)
    assert.is_nil(all:find("[\27\7\155]"), all)
    assert.is_nil(all:find("\u{202e}", 1, true))
  end)

  it("says so where no server runs, as the other commands do", function()
    function control.enter()
      return nil, core.error.new { code = "not_found", message = "cannot connect" }
    end
    local none, err = attached_module.enter("x.sock", {})
    assert.is_nil(none)
    assert.equal("x.sock: no server runs there", err.message)
  end)

  it("says so where the server is gone, and takes the one that came in its place", function()
    local remote_prompt = prompt()
    script.eval = function() return nil, core.error.new { code = "closed", message = "gone" } end
    remote_prompt:feed "1"
    assert.matches("gone", table.concat(shown))
    assert.equal(6, remote_prompt:finish())
    attached.session.is_open = false
    script.eval = function() return { values = { portable.pack "again" } } end
    remote_prompt:feed "1"
    assert.matches("attached anew.*again", table.concat(shown))
  end)
end)
