--- What goes between the control role and a worker: a frame of somebody at the control socket, as
--- it came, with who that is. The control role does not look into it.
---
---   channel:send(console.pack(7, 1000, '{"v":1,"id":1,"op":"console","worker":1,...}'))
---
--- An answer has the number of the connection, too, and no uid. A text that is empty says that the
--- connection has ended: nobody reads what is answered to it.
local M = {}

local FORMAT <const> = ">I4I4"
local HEAD <const> = string.packsize(FORMAT)

--- The most bytes of a frame, on its way and at the control socket.
M.FRAME_MAX = 190000

---@param connection integer from 1, never the same again while the control role lives
---@param uid integer who it is; 0 in an answer
---@param text string the frame
---@return string packet
function M.pack(connection, uid, text)
  return FORMAT:pack(connection, uid) .. text
end

---@param packet string
---@return integer? connection nil for what is no such packet
---@return integer uid
---@return string text
function M.unpack(packet)
  if #packet < HEAD then return nil, 0, "" end
  local connection, uid = FORMAT:unpack(packet)
  return connection, uid, packet:sub(HEAD + 1)
end

return M
