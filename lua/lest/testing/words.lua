--- The words of a policy's text, from which requests are made that come near to what it asks for:
--- names of anchors, of operators and devices, networks, endings of host names.
local M = {}

local TEXT_MAX <const>, WORDS_MAX <const> = 65536, 200

--- What is odd in a name, whatever the policy.
M.ODD = { "admin", "a.b", "a/b", "-a", "a b", "*.example.com", "a,CN=b", "\xc3\xa9", "\xd0\xb0dmin",
  "\xe2\x80\xaea", "${principal.name}", "%s", "a\0b", ("x"):rep(64), ("long"):rep(70), "A", " a",
  "xn--a", "1", "a:b", "a@b", "<x>" }

local function add(words, text)
  if text ~= "" and #text <= 64 and #words < WORDS_MAX and not words[text] then
    words[text] = true
    words[#words + 1] = text
  end
end

--- The texts that a file has between quotes, and what fits them where they are patterns.
---@param text string
---@return string[]
function M.of(text)
  local words = {}
  for _, quote in ipairs { '"', "'" } do
    for word in text:sub(1, TEXT_MAX):gmatch(quote .. "([^" .. quote .. "\n\\]*)" .. quote) do
      word = word:gsub("^%u%a*[:=]", "") -- DNS:*.example.com
      if word:find "[*?]" then
        add(words, (word:gsub("%*", "a"):gsub("%?", "b")))
        add(words, (word:gsub("%*", "evil.")))
      elseif not word:find "%s" then
        add(words, (word:gsub("%${[^}]*}", "a")))
      end
    end
  end
  for _, word in ipairs { "device001", "alice", "host.example.com" } do add(words, word) end
  return words
end

--- The addresses that a text has, or the first and the last of its networks.
---@param words string[]
---@return string[]
function M.addresses(words)
  local found = { "192.0.2.1", "127.0.0.1", "10.1.2.3", "2001:db8::1" }
  for _, word in ipairs(words) do
    local address = word:match "^([%x.:]+)/%d+$" or word:match "^(%d+%.%d+%.%d+%.%d+)$"
    if address then
      found[#found + 1] = (address:gsub("%.0$", ".7"):gsub("::$", "::7"))
    end
  end
  return found
end

return M
