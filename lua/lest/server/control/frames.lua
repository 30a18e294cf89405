--- The frames of the control socket: a packet is one JSON object.
---
---   asked    { "v": 1, "id": 7, "op": "status" }
---   answered { "v": 1, "id": 7, "end": true, "result": ... }
---        or  { "v": 1, "id": 7, "end": true, "error": { "code": "refused", "message": "..." } }
---
--- An operation may answer in many parts: all but the last have no "end". What nobody asked for has
--- no id, and says in "event" what it is.
local console = require "lest.server.wire.console"
local json = require "lest.json"

local M = {}

M.VERSION = 1

local ID_MAX <const> = 1 << 53

local function problem_of(frame)
  if type(frame) ~= "table" then return "a frame is a JSON object" end
  if frame.v ~= M.VERSION then
    return ("this server speaks version %d of the control socket"):format(M.VERSION)
  end
  if math.type(frame.id) ~= "integer" or frame.id < 1 or frame.id > ID_MAX then
    return "a frame has an id from 1 on"
  end
  if type(frame.op) ~= "string" then return "a frame has an op" end
end

--- Read a frame.
---@param text string
---@return table? frame
---@return string? problem
function M.read(text)
  if #text > console.FRAME_MAX then return nil, "the frame is too long" end
  local frame = json.decode(text)
  local problem = problem_of(frame)
  if problem then return nil, problem end
  return frame
end

--- The last frame of what was asked with an id.
---@param id integer? absent where the frame had none
---@param result any
---@return string
function M.result(id, result)
  return json.line { v = M.VERSION, id = id, ["end"] = true, result = result }
end

--- A frame of an answer that goes on.
---@param id integer
---@param fields table
---@return string
function M.part(id, fields)
  fields.v, fields.id = M.VERSION, id
  return json.line(fields)
end

---@param id integer?
---@param code string
---@param message string
---@return string
function M.failure(id, code, message)
  return json.line { v = M.VERSION, id = id, ["end"] = true,
    error = { code = code, message = message } }
end

--- What nobody asked for.
---@param name string
---@param fields table
---@return string
function M.event(name, fields)
  fields.v, fields.event = M.VERSION, name
  return json.line(fields)
end

return M
