--- What was found out of a text, kept by that text: most requests say the same as one before, and a look is quicker
-- than reading again. What a client can vary must not grow without bound: texts have a longest length, and where there
-- are too many, all are forgotten and kept anew as they come.

local M = {}

--- @tparam number max_count how many texts
-- @tparam number max_bytes of each
-- @treturn table `values`: text -> what was kept, to be read only, and at its place each time: it is another table once
--   all has been forgotten
function M.new(max_count, max_bytes)
  return { values = {}, count = 0, max_count = max_count, max_bytes = max_bytes }
end

--- Forgets everything.
-- @tparam table kept of `new`
function M.clear(kept)
  kept.values, kept.count = {}, 0
end

--- Keeps a value by a text by which none is kept yet. Of a text that is too long, nothing is kept.
-- @tparam table kept of `new`
-- @tparam string text
-- @param value
-- @return the value
function M.keep(kept, text, value)
  if #text > kept.max_bytes then
    return value
  end
  if kept.count >= kept.max_count then
    M.clear(kept)
  end
  kept.values[text], kept.count = value, kept.count + 1
  return value
end

return M
