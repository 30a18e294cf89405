--- The words from which requests are made that come near to what a policy asks for: names of
--- anchors, of operators and devices, networks, endings of host names, keys of its inventories.
--- They come from its text and its spec's, from what its files and the spec's answers have.
---
---   local words = words_of.policy(policy, spec_text)   -- of testing.policy
---   words.all, words.likely, words.names
local core = require "lest.core"

local M = {}

local TEXT_MAX <const>, WORDS_MAX <const>, LIKELY_MAX <const> = 65536, 300, 100
local WORD_MAX <const>, NAMES_MAX <const> = 64, 8
-- Of a table that a policy asks: bytes, and rows whose values are words.
local TABLE_MAX <const>, ROWS_MAX <const> = 1024 * 1024, 20
local DEPTH_MAX <const> = 6

--- What is odd in a name, whatever the policy.
M.ODD = { "admin", "a.b", "a/b", "-a", "a b", "*.example.com", "a,CN=b", "\xc3\xa9", "\xd0\xb0dmin",
  "\xe2\x80\xaea", "${principal.name}", "%s", "a\0b", ("x"):rep(64), ("long"):rep(70), "A", " a",
  "xn--a", "1", "a:b", "a@b", "<x>" }

local ATTRIBUTES <const> = { "CN", "CN", "CN", "O", "OU", "serialNumber", "UID", "DC" }

---@class lest.testing.words
---@field all string[]
---@field likely string[] of these, those of the data that the policy asks: one of them may be all
--- that it lets in
---@field has table<string, boolean>
---@field names string[] what the facts of a device may be called
---@field attributes string[] of a subject, those that the policy names more often

local function new()
  return { all = {}, likely = {}, has = {}, names = {},
    attributes = table.move(ATTRIBUTES, 1, #ATTRIBUTES, 1, {}) }
end

local function add(words, text, is_likely)
  if text == "" or #text > WORD_MAX then return end
  if not words.has[text] and #words.all < WORDS_MAX then
    words.has[text] = true
    words.all[#words.all + 1] = text
  end
  if is_likely and not words.likely[text] and #words.likely < LIKELY_MAX then
    words.likely[text] = true
    words.likely[#words.likely + 1] = text
  end
end

-- What a class of Lua's patterns takes.
local CLASSES <const> = { d = "7", a = "a", l = "a", u = "A", w = "a", x = "7", s = " ", p = "-",
  c = "", g = "a" }

--- A text that a pattern of Lua takes, as nearly as that is easily told.
local function fitting(pattern)
  local text, at = pattern:gsub("^%^", ""):gsub("%$$", ""), 1
  local parts = {}
  while at <= #text do
    local escaped, set = text:match("^%%(.)", at), text:match("^%[%^?(.-.)%]", at)
    local char
    if escaped then char, at = CLASSES[escaped] or escaped, at + 2
    elseif set then
      char, at = CLASSES[set:match "^%%(.)"] or set:sub(1, 1), text:find("]", at + 2, true) + 1
    else
      char, at = text:sub(at, at), at + 1
      if char == "." then char = "a" elseif char:find "[()]" then char = "" end
    end
    if text:find("^[+*?-]", at) then at = at + 1 end
    parts[#parts + 1] = char
  end
  return table.concat(parts)
end

-- A text between quotes: itself, and what fits it where it is a pattern.
local function add_quoted(words, text)
  text = text:gsub("^%u%a*[:=]", "") -- DNS:*.example.com
  if text:find "%%" or text:find "^%^" then
    local ok, made = pcall(fitting, text)
    if ok then add(words, made) end
  elseif text:find "[*?]" then
    add(words, (text:gsub("%*", "a"):gsub("%?", "b")))
    add(words, (text:gsub("%*", "evil.")))
  elseif not text:find "%s" then
    add(words, (text:gsub("%${[^}]*}", "a")))
    if text:find "%W$" then add(words, text .. "1") end -- the beginning of a name
    if text:find "^%W" then add(words, "a" .. text) end
  end
end

-- What every policy names.
local KNOWN <const> = {}
for name in ([[id time operation label csr principal device auth tls address headers previous
  approvals history rate kind name anchors is_own certificate claims credential version cipher
  channel_bound facts operator note subject san key_type verdict status body lua]]):gmatch "%S+" do
  KNOWN[name] = true
end

local function add_names(words, text)
  local seen = {}
  for _, attribute in ipairs(ATTRIBUTES) do seen[attribute] = true end
  for name, after in text:gmatch "%.([%a_][%w_]*)%s*(.?)" do
    if not seen[name] and not KNOWN[name] and #words.names < NAMES_MAX
      and not after:find "[%({\"'%[]" then
      seen[name] = true
      words.names[#words.names + 1] = name
    end
  end
  for _, attribute in ipairs { "O", "OU", "serialNumber", "UID", "DC" } do
    if text:find("%f[%w_]" .. attribute .. "%f[^%w_]") then
      for _ = 1, 3 do table.insert(words.attributes, attribute) end
    end
  end
end

local function add_text(words, text)
  text = text:sub(1, TEXT_MAX)
  for _, quote in ipairs { '"', "'" } do
    for word in text:gmatch(quote .. "([^" .. quote .. "\n\\]*)" .. quote) do
      add_quoted(words, word)
    end
  end
  for long in text:gmatch "%[%[(.-)%]%]" do
    for word in long:gmatch "%S+" do add_quoted(words, word) end
  end
  for number in text:gmatch "%f[%w_.]%d+%f[^%w_.]" do
    local value = math.tointeger(tonumber(number))
    for near = -1, value and 1 or -2 do add(words, tostring(value + near)) end
  end
end

-- What a spec has answered: keys, as of "devices.csv: 4711" or a URL, and values.
local function add_answers(words, value, depth)
  if type(value) == "number" then value = tostring(value) end
  if type(value) == "string" then
    add(words, value, true)
  elseif type(value) == "table" and depth < DEPTH_MAX then
    -- In one order, for the same search again.
    local keys = {}
    for key in next, value do keys[#keys + 1] = key end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, key in ipairs(keys) do
      if type(key) == "string" then add(words, key:match ": (.*)$" or key:match "[^/]*$", true) end
      add_answers(words, value[key], depth + 1)
    end
  end
end

-- The values of the first rows of a table of comma-separated values.
local function add_table(words, text)
  local rows = 0
  for line in text:gmatch "[^\r\n]+" do
    for cell in (line .. ","):gmatch '"?([^,"]*)"?,' do add(words, cell, rows > 0) end
    rows = rows + 1
    if rows > ROWS_MAX then break end
  end
end

-- The files beside a policy that its text or its options name: tables, and what it requires.
local function add_files(words, folder, names)
  for _, name in ipairs(names) do
    local is_table = name:find "%.csv$" ~= nil
    local file = is_table and name or name:gsub("%.", "/") .. ".lua"
    if file:sub(1, 1) ~= "/" then file = folder .. file end
    local text = core.file.read_plain(file, TABLE_MAX)
    if text and is_table then add_table(words, text)
    elseif text then
      add_names(words, text)
      add_text(words, text)
    end
  end
end

local function add_usual(words)
  for _, word in ipairs { "device001", "alice", "host.example.com" } do add(words, word) end
  for _, name in ipairs { "site", "role" } do
    if #words.names < NAMES_MAX then table.insert(words.names, name) end
  end
  return words
end

--- The words of a text: what it has between quotes, what fits that where it is a pattern, and
--- numbers.
---@param text string
---@return lest.testing.words
function M.of(text)
  local words = new()
  add_names(words, text)
  add_text(words, text)
  return add_usual(words)
end

--- The words of a policy, of its options, of what it asks and of its spec.
---@param policy lest.testing.policy
---@param spec_text? string
---@return lest.testing.words
function M.policy(policy, spec_text)
  local words, files, texts = new(), {}, {}
  for path in (policy.file .. ", "):gmatch "(.-), " do
    local text = core.file.read(path)
    if text then table.insert(texts, { text = text, folder = path:match "^(.*/)" or "" }) end
  end
  add_answers(words, policy.given, 0)
  add_answers(words, policy.options.options, 0)
  for _, each in ipairs(texts) do
    add_names(words, each.text)
    for name in each.text:gmatch "[\"']([%w_./-]+)[\"']" do files[#files + 1] = name end
    for _, name in ipairs(words.all) do
      if name:find "%.csv$" then files[#files + 1] = name end
    end
    add_files(words, each.folder, files)
    add_text(words, each.text)
  end
  if spec_text then add_text(words, spec_text) end
  return add_usual(words)
end

--- A row of facts, as an inventory may have one.
---@param words lest.testing.words
---@param number integer the same for the same number
---@return table<string, string>
function M.row(words, number)
  local from, row = words.likely[1] and words.likely or words.all, {}
  for i, name in ipairs(words.names) do row[name] = from[(number * 31 + i * 7) % #from + 1] end
  return row
end

--- The addresses that a text has, or the first and the last of its networks.
---@param words lest.testing.words
---@return string[]
function M.addresses(words)
  local found = { "192.0.2.1", "127.0.0.1", "10.1.2.3", "2001:db8::1" }
  for _, word in ipairs(words.all) do
    local address = word:match "^([%x.:]+)/%d+$" or word:match "^(%d+%.%d+%.%d+%.%d+)$"
    if address then
      found[#found + 1] = (address:gsub("%.0$", ".7"):gsub("::$", "::7"))
    end
  end
  return found
end

return M
