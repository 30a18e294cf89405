-- Files as their readers want them, each whole and by its mode.
local core = require "lest.core"
local files = require "lest.agent.deploy.files"
local materials = require "lest.agent.deploy.material"
local pki = require "support.pki"
local process = require "support.process"
local schema = require "lest.base.schema"
local shape = require "lest.agent.deploy.shape"
local shell = require "support.shell"

describe("files of an identity", function()
  local ca, root, leaf, folder, material

  setup(function()
    ca = pki.new()
    root = ca:root "root"
    leaf = ca:issue("leaf", { by = root })
  end)
  teardown(function() pki.sh("rm -rf " .. process.quote(ca.folder)) end)

  local function generation(number)
    local place = ("%s/generations/%d"):format(folder, number)
    process.must { "mkdir", "-p", place }
    process.must { "cp", leaf.path, place .. "/cert.pem" }
    process.must { "cp", leaf.key, place .. "/key.pem" }
    process.must { "cp", root.path, place .. "/chain.pem" }
    return assert(materials.read { number = number, folder = place, anchors = root.path })
  end

  before_each(function()
    folder = process.folder()
    material = generation(1)
  end)
  after_each(function() pki.sh("rm -rf " .. process.quote(folder)) end)

  local function write(file, of)
    local checked = assert(schema.check(shape.files, { file }))[1]
    return files.write(checked, of or material)
  end

  local function pem(...)
    local pieces = {}
    for i, path in ipairs { ... } do pieces[i] = process.read(path) end
    return table.concat(pieces)
  end

  it("are PEM, apart or together", function()
    local cert, chain = leaf.cert:pem(), pem(root.path)
    for content, bytes in pairs {
      cert = cert, chain = chain, fullchain = cert .. chain, key = pem(leaf.key),
      anchors = pem(root.path), combined = cert .. chain .. pem(leaf.key),
    } do
      local path = ("%s/%s"):format(folder, content)
      assert(write { path = path, content = content })
      assert.equal(bytes, process.read(path), content)
    end
    assert(write { path = folder .. "/both", content = { "key", "cert" }, mode = "0640" })
    assert.equal(pem(leaf.key) .. cert, process.read(folder .. "/both"))
    assert.equal("640", shell.capture(("stat -c %%a %s/both"):format(folder)))
  end)

  it("are PKCS#12, under the password of a file", function()
    process.write(folder .. "/password", "s3cret\n")
    assert(write { path = folder .. "/a.p12", content = "pkcs12", alias = "dev9",
      password_file = folder .. "/password" })
    local text = process.must { "openssl", "pkcs12", "-in", folder .. "/a.p12", "-nodes",
      "-passin", "pass:s3cret" }
    assert.equal(assert(core.key.load(leaf.key)), core.key.parse(text))
    assert.equal("600", shell.capture(("stat -c %%a %s/a.p12"):format(folder)))
    process.write(folder .. "/password", "\n")
    local none, err = write { path = folder .. "/b.p12", content = "pkcs12",
      password_file = folder .. "/password" }
    assert.is_nil(none)
    assert.matches("first line", err.message)
  end)

  it("are a folder as Kubernetes mounts a secret, which changes at once", function()
    local place = folder .. "/tls"
    assert(write { folder = place, mode = "0640" })
    assert.equal("..lest-1", shell.capture("readlink " .. place .. "/..data"))
    assert.equal("..data/tls.crt", shell.capture("readlink " .. place .. "/tls.crt"))
    assert.equal(leaf.cert:pem() .. pem(root.path), process.read(place .. "/tls.crt"))
    assert.equal(pem(leaf.key), process.read(place .. "/tls.key"))
    assert.equal(pem(root.path), process.read(place .. "/ca.crt"))
    assert.equal("640", shell.capture(("stat -Lc %%a %s/tls.key"):format(place)))
    local second = generation(2)
    assert(write({ folder = place }, second))
    assert(write({ folder = place }, second)) -- as after a crash before it was recorded
    assert.equal("..lest-2", shell.capture("readlink " .. place .. "/..data"))
    local names = core.system.entries(place)
    table.sort(names)
    assert.same({ "..data/", "..lest-2/", "ca.crt", "tls.crt", "tls.key" }, names)
  end)

  it("do not replace what has nothing to do with certificates", function()
    process.write(folder .. "/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    local none, err = write { path = folder .. "/passwd", content = "cert" }
    assert.is_nil(none)
    assert.matches("holds neither PEM nor DER", err.message)
    assert.matches("^root:", process.read(folder .. "/passwd"))
    process.must { "ln", "-s", leaf.path, folder .. "/link" }
    none, err = write { path = folder .. "/link", content = "cert" }
    assert.is_nil(none)
    assert.matches("is a link, which is not replaced", err.message)
    process.write(folder .. "/empty", "")
    assert(write { path = folder .. "/empty", content = "cert" })
  end)

  it("in a folder are removed with their generation, and what a link leads to is not", function()
    local place, victim = folder .. "/shared", folder .. "/victim"
    assert(write { folder = place })
    process.must { "mkdir", victim }
    process.write(victim .. "/passwd", "untouched")
    process.must { "ln", "-s", victim, place .. "/..lest-0" }
    process.must { "ln", "-s", "../victim/passwd", place .. "/..lest-1/link" }
    assert(write({ folder = place }, generation(2)))
    assert.is_false(process.exists(place .. "/..lest-1"))
    assert.equal("untouched", process.read(victim .. "/passwd"))
  end)

  it("that would hold a key are an error where that is in hardware", function()
    os.remove(folder .. "/generations/1/key.pem")
    material = assert(materials.read { number = 1, folder = folder .. "/generations/1" })
    for _, content in ipairs { "key", "combined" } do
      local none, err = write { path = folder .. "/" .. content, content = content }
      assert.is_nil(none)
      assert.matches("in hardware", err.message)
    end
    assert(write { path = folder .. "/cert", content = "cert" })
    assert.same({ "cert", "generations/" }, (function()
      local names = core.system.entries(folder)
      table.sort(names)
      return names
    end)())
  end)
end)
