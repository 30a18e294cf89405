--- `lest policy new`: a policy with its spec and what an editor wants to know, from one of those
--- that are installed.
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local support = require "lest.tool.command.support"

local M = {}

local DEFAULT <const> = "own-name"
local EDITOR <const> = ".luarc.json"

-- share/lua/5.4/lest/policy.lua of the same installation.
local function share_folder()
  local path = assert(package.searchpath("lest.policy", package.path))
  return core.file.absolute(path):match "^(.*)/lua/5%.4/lest/policy%.lua$"
end

local function template_path(name, suffix)
  local share = share_folder()
  return share and ("%s/lest/policies/%s%s.lua"):format(share, name, suffix or "")
end

---@param parser table of the family
function M.add(parser)
  local command = support.subcommand(parser, {
    name = "new",
    summary = "Write a policy, its spec and .luarc.json, with which an editor completes `request.` "
      .. "and `policy.`. The three pass `lest policy test` and `lest policy check` at once. A file "
      .. "that is there is never replaced.",
    example = "lest policy new pumps --from factory && lest policy test pumps_spec.lua",
  })
  command:argument "name"
    :description "Of the policy: pumps, or /etc/lest/pumps, which makes pumps.lua."
  command:option "--from":argname "TEMPLATE":default(DEFAULT)
    :description "One of share/lest/policies that has a spec, as factory or two-operators."
end

local function quoted(text)
  return json.encode(text)
end

-- As editors read it; policies/.luarc.json is the same for the project's own tree.
local function editor_text(share)
  return ('{\n  "runtime.version": "Lua 5.4",\n  "workspace.library": [%s],\n'
    .. '  "workspace.checkThirdParty": false,\n  "diagnostics.globals": ["describe", "it", '
    .. '"setup", "teardown", "before_each", "after_each"]\n}\n'):format(quoted(share .. "/lua/5.4"))
end

local function read_template(name)
  local texts = {}
  for _, suffix in ipairs { "", "_spec" } do
    local path = name:find "^%w[%w_-]*$" and template_path(name, suffix)
    local text, err = nil, nil
    if path then text, err = core.file.read(path) end
    if not text then
      return fail("usage", ("there is no template '%s' with a spec in %s/lest/policies"):format(
        name, share_folder() or "share"), { cause = err })
    end
    texts[suffix] = text
  end
  return texts
end

-- A template speaks of itself by its file's name.
local function renamed(text, from, to)
  return (text:gsub("%f[%w_-]" .. from:gsub("%p", "%%%0") .. "(_?%l*)%.lua", function(suffix)
    return (suffix == "" or suffix == "_spec") and to .. suffix .. ".lua" or nil
  end))
end

local function plan_of(folder, name, template, texts)
  local share = share_folder()
  local files = {
    { folder .. name .. ".lua", renamed(texts[""], template, name) },
    { folder .. name .. "_spec.lua", renamed(texts._spec, template, name) },
  }
  for _, file in ipairs(files) do
    if core.system.exists(file[1]) then
      return fail("exists", file[1] .. " is there already; nothing was written")
    end
  end
  if not core.system.exists(folder .. EDITOR) then
    table.insert(files, { folder .. EDITOR, editor_text(share) })
  end
  return files
end

local function write_all(files)
  for i, file in ipairs(files) do
    local ok, err = core.file.write(file[1], file[2], { new = true })
    if not ok then
      for made = 1, i - 1 do os.remove(files[made][1]) end
      return fail(err.code, "nothing was written", { cause = err })
    end
  end
  return true
end

---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(options)
  local folder, name = options.name:match "^(.-)([^/]*)$"
  name = name:gsub("%.lua$", "")
  if not name:find "^%w[%w_-]*$" or name:find "_spec$" then
    support.usage(("'%s' is no name for a policy: letters, digits, '-' and '_', not _spec"):format(
      name))
  end
  local texts, err = read_template(options.from)
  if not texts then return nil, err end
  local files
  files, err = plan_of(folder, name, options.from, texts)
  if not files then return nil, err end
  local ok
  ok, err = write_all(files)
  if not ok then return nil, err end
  for _, file in ipairs(files) do io.write("wrote ", support.clean(file[1]), "\n") end
  io.write("\nNext:\n  lest policy test ", support.quote(files[2][1]), "\n  lest policy check ",
    support.quote(files[1][1]), "\nand name it in a label of the configuration; the comment at its "
    .. "head says what it needs there.\n")
  return 0
end

return M
