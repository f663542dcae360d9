--- What ngx.shared gives, on a clock of the test's own, for specs whose workers share one.

--- @tparam table clock `{ ms = … }`
-- @treturn table a dictionary with `get`, `set`, `add`, `incr`, `delete`; `size()` counts what has not expired
return function(clock)
  local entries, store = {}, {}

  local function live(key)
    local entry = entries[key]
    if entry and entry.expires and clock.ms >= entry.expires then
      entries[key] = nil
      return nil
    end
    return entry
  end

  local function expiry(ttl)
    return ttl and ttl > 0 and clock.ms + ttl * 1000 or nil
  end

  function store.get(_, key)
    local entry = live(key)
    return entry and entry.value
  end

  function store.set(_, key, value, ttl)
    entries[key] = { value = value, expires = expiry(ttl) }
    return true
  end

  function store.add(_, key, value, ttl)
    if live(key) then
      return false, 'exists'
    end
    return store.set(nil, key, value, ttl)
  end

  function store.incr(_, key, value, init, init_ttl)
    local entry = live(key)
    if not entry then
      if not init then
        return nil, 'not found'
      end
      entry = { value = init, expires = expiry(init_ttl) }
      entries[key] = entry
    end
    entry.value = entry.value + value
    return entry.value
  end

  function store.delete(_, key)
    entries[key] = nil
  end

  function store.size()
    local count = 0
    for key in pairs(entries) do
      count = count + (live(key) and 1 or 0)
    end
    return count
  end

  return store
end
