--- What anybody may fetch of a server, and how certificates name it: `public_url`, and the paths
--- below it.
---
---   public.base(config, public.names(config))  --> "http://est.example:8080"
---   public.urls(profile, base, issuer)         --> { crl_urls = { ".../crl/6B29.crl" }, ... }
local core = require "lest.core"
local hosts = require "lest.base.host"

local M = {}

-- RFC 3986 unreserved: what is in a certificate for years is read alike by everybody.
local SEGMENT <const> = "^[%w._~-]+$"

-- "HOST" or "HOST:PORT"
local function split(authority)
  local host, rest = authority:match "^(%[[^%]]*%])(.*)$"
  if not host then host, rest = authority:match "^([^:]*)(.*)$" end
  local port = rest == "" and 80 or tonumber(rest:match "^:(%d+)$")
  if port then return host, port end
end

local function is_path(path)
  if path:find "//" then return false end
  for segment in path:gmatch "[^/]+" do
    if not segment:find(SEGMENT) or segment:find "^%.+$" then return false end
  end
  return true
end

--- The base of public URLs: of plain HTTP, with a host, perhaps a port, perhaps a path that a proxy
--- has for this server.
---@param value any
---@return string|nil url without a slash at its end
---@return string|nil problem
function M.accept(value)
  if type(value) ~= "string" then return nil end
  if value:find "^[hH][tT][tT][pP][sS]:" then
    return nil, "is for who verifies certificates, and would need to verify one for https "
      .. "(RFC 5280 8): write http://"
  end
  local authority, path = value:match "^http://([^/]*)(.*)$"
  local host, port = split(authority or "")
  if not host or not hosts.is_in_url(host) or port < 1 or port > 65535 or #value > 500
    or not is_path(path) then
    return nil, "'" .. value .. "' is no base of URLs: write one as \"http://pki.example.com\" or "
      .. "\"http://pki.example.com:8080/est\""
  end
  return (value:gsub("/$", ""))
end

--- The host that alternative names are of: the first DNS name that is one host's, else an IP
--- address.
---@param san string[] "DNS:host", "IP:192.0.2.1"
---@return string|nil host as it stands in a URL
function M.host_of(san)
  local address
  for _, name in ipairs(san) do
    local kind, value = name:match "^(%u+):(.*)$"
    if kind == "DNS" and hosts.is_in_url(value) then return value end
    if kind == "IP" and not address then
      address = value:find(":", 1, true) and "[" .. value .. "]" or value
    end
  end
  return address
end

--- The base of what this server names in certificates: `public_url`, else the host of the server's
--- certificate and the first port of `listen_http`. nil: it names nothing of its own, since it
--- offers nothing without TLS, or knows no host or port.
---@param config table
---@param san string[] the alternative names of the server's own certificate
---@return string|nil base
function M.base(config, san)
  if config.public_url then return config.public_url end
  local plain = config.listen_http[1]
  local port = plain and plain.address:match ":(%d+)$"
  local host = M.host_of(san)
  if not port or tonumber(port) == 0 or not host then return nil end
  return M.accept("http://" .. host .. (port == "80" and "" or ":" .. port))
end

--- The segment that stands for a CA in a path: `ca` of the configuration is "ca", one of `cas` has
--- its own name.
---@param ca string "" for the former
---@return string
function M.name_of(ca)
  return ca == "" and "ca" or ca
end

-- Of what is published at /FOLDER/NAME.SUFFIX.
local SUFFIXES <const> = { ca = "cer", crl = "crl" }

--- Where something of a CA is published for people: what its name stands for now.
---@param folder "ca"|"crl"
---@param ca string as for name_of
---@return string path
function M.path_of(folder, ca)
  return ("/%s/%s.%s"):format(folder, M.name_of(ca), SUFFIXES[folder])
end

--- Where it is published for certificates, by the CA's key. The name of a CA stands for another key
--- once that has changed, and then the CRL and the certificate at the path of the name are not
--- those of the key that signed.
---@param folder "ca"|"crl"
---@param id string the SHA-256 of the key, in hex
---@return string path
function M.path_of_key(folder, id)
  return ("/%s/%s.%s"):format(folder, id:sub(1, 16), SUFFIXES[folder])
end

-- What a profile names unless it says otherwise, below the base; nil: there is none of that CA.
local DEFAULTS <const> = {
  crl_urls = function(issuer) return issuer.has_crl and M.path_of_key("crl", issuer.id) end,
  ocsp_urls = function() return "/ocsp" end,
  ca_issuer_urls = function(issuer) return M.path_of_key("ca", issuer.id) end,
}

--- What a certificate names: of each kind what the profile says, else what this server offers.
---@param profile table
---@param base string|nil of base()
---@param issuer { id: string, has_crl: boolean? } the authority's
---@return table<string, string[]> urls by the profile's keys
function M.urls(profile, base, issuer)
  local urls = {}
  for _, key in ipairs { "crl_urls", "ocsp_urls", "ca_issuer_urls" } do
    local default = base and DEFAULTS[key]
    local path = default and default(issuer)
    urls[key] = profile[key] or path and { base .. path } or {}
  end
  return urls
end

--- The alternative names of the server's own certificate, for base(). None where it has none, or
--- cannot be read, which a worker says.
---@param config table
---@return string[]
function M.names(config)
  local tls, names = config.tls or {}, {}
  for i, name in ipairs(tls.auto and tls.auto.names or {}) do names[i] = assert(hosts.san(name)) end
  if names[1] then return names end
  local cert = tls.cert and core.cert.load(tls.cert)
  return cert and cert.san or {}
end

return M
