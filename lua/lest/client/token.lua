--- The Bearer token of a client (RFC 6750): a text, or the first line of a file. The file is read
--- for each request: who makes its tokens may have made a new one since, as Kubernetes does.
---
---   local token, err = tokens.of { bearer_file = "token" }   -- nil and no error: there is none
---   local text = assert(token())
local core = require "lest.core"
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"

local M = {}

local FILE_MAX <const> = 16384

-- RFC 6750 2.1: b64token.
local function checked(text)
  if text:find "^[%w._~+/-]+=*$" then return text end
  return fail("usage", "a Bearer token is of letters, digits and -._~+/, and may end with =")
end

local function read(path)
  local text, err = core.file.read(path, FILE_MAX)
  if not text then return nil, err end
  text, err = checked(mark.strip(text):match "^([^\r\n]*)")
  if not text then err.message = ("%s: %s"):format(path, err.message) end
  return text, err
end

--- What gives the token of some options, each time that it is called; one that cannot be had now is
--- an error at once.
---@param options { bearer: string?, bearer_file: string? }
---@return (fun(): string?, lest.error?)|nil token
---@return lest.error|nil err
function M.of(options)
  local text, path = options.bearer, options.bearer_file
  if not text and not path then return nil end
  if text and path then return fail("usage", "a token and a file with it exclude each other") end
  local function token()
    if path then return read(path) end
    return checked(text)
  end
  local ok, err = token()
  if not ok then return nil, err end
  return token
end

return M
