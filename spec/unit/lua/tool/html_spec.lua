-- The manual as HTML: every page and module is there, every link leads somewhere, and there are no
-- scripts.
local html = require "lest.tool.manual.html"
local manual = require "lest.tool.manual"

--- What is wrong with the links and ids of files: a list of sentences.
local function problems_of(files)
  local problems, ids = {}, {}
  for name, text in pairs(files) do
    ids[name] = {}
    for id in text:gmatch ' id="([^"]*)"' do
      if ids[name][id] then table.insert(problems, ("%s: two of #%s"):format(name, id)) end
      ids[name][id] = true
    end
  end
  for name, text in pairs(files) do
    for target in text:gmatch ' href="([^"]*)"' do
      local file, id = target:match "^([^#]*)#?(.*)$"
      local found = ids[file == "" and name or file]
      if not found or id ~= "" and not found[id] then
        table.insert(problems, ("%s: dead link %s"):format(name, target))
      end
    end
  end
  table.sort(problems)
  return problems
end

-- Tags that are opened and not closed, or the reverse, in their order.
local VOID <const> = { meta = true, link = true }
local function unbalanced(text)
  local open = {}
  for slash, tag in text:gsub("<!DOCTYPE html>", ""):gmatch "<(/?)(%w+)[^>]*>" do
    if slash == "/" then
      if table.remove(open) ~= tag then return tag end
    elseif not VOID[tag] then
      open[#open + 1] = tag
    end
  end
  return open[1]
end

describe("the manual as HTML", function()
  local pages = manual.pages()
  local files = html.files(pages)

  it("has a page for each of man and for each module, all in the index", function()
    for _, page in ipairs(pages) do
      local name = ("%s.%d.html"):format(page.name, page.section)
      assert.is_truthy(files[name], name)
      assert.is_truthy(files["index.html"]:find('href="' .. name .. '"', 1, true), name)
    end
    for _, name in ipairs { "lest.key", "lest.client", "lest.http", "lest.cert" } do
      assert.is_truthy(files[name .. ".html"], name)
      assert.is_truthy(files["lest-lua.3.html"]:find('href="' .. name .. '.html"', 1, true), name)
    end
    assert.is_nil(files["lest-lua.3.html"]:find("lest.key.generate", 1, true) and
      files["lest-lua.3.html"]:find('id="lest.key.generate"', 1, true))
  end)

  it("has no dead link, and no name twice in a page", function()
    assert.same({}, problems_of(files))
    assert.same({ "a: dead link #z", "a: dead link b#y", "a: dead link c", "b: two of #x" },
      problems_of { a = '<a href="b#y"></a><a href="c"></a><a href="#z"></a><a href="b#x"></a>',
        b = '<p id="x"><p id="x">' })
  end)

  it("links pages, functions and classes where a text names them", function()
    local policy = files["lest-policy.5.html"]
    for _, link in ipairs { '<a href="lest-server.lua.5.html"><code>lest-server.lua</code>(5)</a>',
      '<a href="lest.http.html#http.get"><code>lest.http.get</code></a>',
      '<a href="lest-policy.1.html"><code>lest policy new</code></a>' } do
      assert.is_truthy(policy:find(link, 1, true), link)
    end
    assert.is_truthy(files["lest.store.html"]:find('<a href="lest.cert.html">', 1, true))
  end)

  it("has neither scripts nor anything from elsewhere", function()
    for name, text in pairs(files) do
      assert.is_nil(text:find "<script", name)
      assert.is_nil(text:find("[%w]=\"https?:", 1), name)
      assert.is_nil(text:find " on%l+=", name)
    end
  end)

  it("closes every tag", function()
    for name, text in pairs(files) do
      if name:find "html$" then assert.is_nil(unbalanced(text), name) end
    end
    assert.equal("p", unbalanced "<p><code></code>")
    assert.equal("p", unbalanced "<code></p>")
  end)

  it("shows every character of a text as it is", function()
    local page = { name = "page", section = 5, manual = "", summary = "<b>&",
      { title = "A & <B>", "1 < 2 `<i>\"'` & `lest-page`(5)", { term = "`<x>`", "a `page`(5) b" },
        { code = "<pre>&amp;" }, { heading = "<h>" } } }
    local text = html.files({ page })["page.5.html"]
    assert.is_nil(text:find "<[bix]>")
    for _, shown in ipairs { "<p>&lt;b&gt;&amp;</p>", "A &amp; &lt;B&gt;</h2>",
      "<p>1 &lt; 2 <code>&lt;i&gt;&quot;&#39;</code> &amp; <code>lest-page</code>(5)</p>",
      "<code>&lt;x&gt;</code>", "<p>a <code>page</code>(5) b</p>",
      "<pre>&lt;pre&gt;&amp;amp;</pre>", "&lt;h&gt;</h3>" } do
      assert.is_truthy(text:find(shown, 1, true), shown .. " is not in\n" .. text)
    end
    assert.is_nil(unbalanced(text))
  end)
end)
