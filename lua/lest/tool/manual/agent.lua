--- lest-agent.lua(5): what an agent keeps alive, from its shape and the meaning of each key.
local keys = require "lest.tool.manual.keys"
local meaning = require "lest.agent.meaning"
local shape = require "lest.agent.shape"

local EXAMPLE <const> = [[
return {
  state = "/var/lib/lest-agent",
  identities = {
    dev9 = {
      url = "https://est.example.com", trust = "ca.pem",
      username = "dev9", password_file = "secret",
      subject = "CN=dev9",
    },
  },
}]]

local page <const> = {
  name = "lest-agent.lua", section = 5, manual = "File Formats",
  summary = "configuration of an agent",
  { title = "DESCRIPTION",
    "The configuration of `lest agent` is a Lua file that returns a table; `lest.agent` takes the "
      .. "same table in a script. `lest agent --check` says whether it is right.",
    "Paths are relative to the file's folder. A duration is a number of seconds or a text with "
      .. "units: `\"30s\"`, `\"10m\"`, `\"2h\"`, `\"90d\"`, `\"1y\"`. No other keys are taken: a "
      .. "mistake is an error that names its line, the key and the nearest right word.",
  },
}

local ORDER <const> = { "state", "identities", "textfile" }
for _, section in ipairs(keys.sections(shape.agent.fields, meaning, ORDER)) do
  table.insert(page, section)
end

table.insert(page, { title = "STATE FOLDER",
  { term = "`STATE/NAME/cert.pem`", "The certificate in use, then its intermediates." },
  { term = "`STATE/NAME/key.pem`", "Its key, of mode 0600." },
  { term = "`STATE/NAME/chain.pem`", "Its intermediates alone; may be empty." },
  { term = "`STATE/NAME/anchors.pem`", "The trust anchors that were learnt." },
  { term = "`STATE/NAME/next/`", "A key whose certificate is still to come: it is there before "
    .. "anything is sent." },
  { term = "`STATE/NAME/generations/`", "The identities before, each whole." },
  { term = "`STATE/try`", "Whoever makes this file has the agent try now what waits or has failed, "
    .. "as SIGUSR1 does." },
  "The first three are links through one link, which switches in one step: at every instant they "
    .. "are one whole identity.",
})
table.insert(page, { title = "EXAMPLE", { code = EXAMPLE } })
table.insert(page, { title = "SEE ALSO", "`lest-agent`(1), `lest-lua`(3)" })

return page
