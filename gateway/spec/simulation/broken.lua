--- Gateways in which one rule of the cache does not hold, to see that the simulation finds out.
--
-- Shapes: what is broken ->
--   { rules = what the judge may say of it, needs = of simulation.schedule, break_it = function(worker) or nil,
--     modules = { [module] = { [name] = function in place of the module's } } or nil }

local cache_entry = require 'causeway.core.cache_entry'
local cache_key = require 'causeway.core.cache_key'
local cache_request = require 'causeway.core.cache_request'
local sha256 = require 'causeway.io.sha256'

local M = {}

local function without(identity, name, instead)
  local copy = {}
  for member, value in pairs(identity) do
    copy[member] = value
  end
  copy[name] = instead or 'the same for all'
  return copy
end

local function key_without(name, instead)
  local canonical = cache_key.canonical
  return { [cache_key] = {
    canonical = function(identity)
      return canonical(without(identity, name, instead))
    end,
  } }
end

-- The key that some bytes say they are of: the second field.
local function own_key(bytes)
  local a, b, c, d = bytes:byte(9, 12)
  local at = d and 13 + ((a * 256 + b) * 256 + c) * 256 + d + 4
  return at and bytes:sub(at, at + 63)
end

local function tiers_with(methods)
  return function(worker)
    for name, method in pairs(methods) do
      local real = worker.cache.tiers[name]
      worker.cache.tiers[name] = function(self, ...)
        return method(real, self, ...)
      end
    end
  end
end

M['keys are the same for all consumers'] = {
  rules = { 'another tenant' },
  modules = key_without 'consumer',
}

M['keys forget the body'] = {
  rules = { 'another question' },
  modules = key_without 'body_sha256',
}

M['keys forget headers'] = {
  rules = { 'another question' },
  modules = key_without('headers', {}),
}

M['keys forget purges'] = {
  rules = { 'purge' },
  modules = key_without 'epoch',
}

do
  local decode = cache_entry.decode
  M['what a store gives is not looked at'] = {
    rules = { 'another question' },
    modules = { [cache_entry] = {
      decode = function(bytes)
        return decode(bytes, own_key(bytes))
      end,
    } },
  }
end

M['a request from before a purge ends with a copy from before it'] = {
  rules = { 'purge' },
  break_it = tiers_with {
    is_open = function(is_open, self, place)
      return is_open(self, without(place, 'epoch', self.epoch(place.consumer)))
    end,
  },
}

M['a silent registry is no matter'] = {
  rules = { 'purge' },
  break_it = function(worker)
    local function always() return true end
    worker.documents.purges_confirmed, worker.cache.tiers.confirmed = always, always
  end,
}

M['a silent registry is no matter to those who wait for an answer'] = {
  needs = { source = true, busy = true },
  rules = { 'purge' },
  break_it = function(worker)
    worker.cache.epoch = function(consumer)
      local all, own = worker.documents.epoch(consumer)
      return all and cache_key.epoch(all, own)
    end
    worker.cache.tiers.epoch = worker.cache.epoch
  end,
}

do
  -- Identities by their key.
  local identities, canonical, hex = {}, cache_key.canonical, sha256.hex
  M['an answer is kept under the purges of when it came'] = {
    rules = { 'purge' },
    modules = {
      [cache_key] = {
        canonical = function(identity)
          local text = canonical(identity)
          identities[hex(text)] = identity
          return text
        end,
      },
    },
    break_it = function(worker)
      local store = worker.cache.tiers.store
      worker.cache.tiers.store = function(self, place, entry)
        local identity = without(identities[place.key], 'epoch')
        identity.epoch = worker.cache.epoch(place.consumer)
        if not identity.epoch then
          return false
        end
        local key = hex(canonical(identity))
        return store(self, { key = key, consumer = place.consumer, epoch = identity.epoch }, entry)
      end
    end,
  }
end

M['ages begin anew in the node\'s tier'] = {
  rules = { 'told age', 'age', 'stale age' },
  break_it = tiers_with {
    keep = function(keep, self, place, entry, _, now)
      local young = without(entry, 'stored_at')
      young.stored_at = now
      return keep(self, place, young, cache_entry.encode(young, place.key), now)
    end,
  },
}

M['the shared tier is never asked again'] = {
  rules = { 'replaced' },
  break_it = tiers_with { is_recent = function() return true end },
}

M['the time that a request allows is no matter'] = {
  rules = { 'age' },
  break_it = tiers_with {
    lookup = function(lookup, self, place, want)
      return lookup(self, place, { mode = want.mode, max_age = 1e6 })
    end,
  },
}

do
  local wants = cache_request.wants
  M['the shared tier\'s time is no matter'] = {
    rules = { 'age' },
    modules = { [cache_request] = {
      wants = function(consumer, class, method, header, settings)
        local changed = without(settings, 'ttl', { shared_seconds = 1e6 })
        return wants(consumer, class, method, header, changed)
      end,
    } },
    break_it = function(worker)
      worker.cache.tiers.shared_ms = 1e9
    end,
  }
end

M['without a shared tier its time holds all the same'] = {
  rules = { 'age' },
  break_it = function(worker)
    local tiers = worker.cache.tiers
    if not tiers.l2 then
      tiers.proxy_ms = tiers.shared_ms
    end
  end,
}

M['an outage serves copies of any age'] = {
  rules = { 'stale age' },
  break_it = function(worker)
    worker.cache.tiers.outage_ms = 1e9
  end,
}

M['what is kept for outages serves always'] = {
  rules = { 'not asked for' },
  break_it = tiers_with {
    lookup = function(lookup, self, place, want)
      return lookup(self, place, { mode = 'fresh', max_age = want.max_age })
    end,
  },
}

do
  local wants = cache_request.wants
  M['no-store is not heard'] = {
    rules = { 'no-store' },
    modules = { [cache_request] = {
      wants = function(consumer, class, method, header, settings)
        return wants(consumer, class, method, header ~= 'no-store' and header or nil, settings)
      end,
    } },
  }
end

M['a request ends with a copy though its credential is not good any more'] = {
  needs = { passthrough = true, upstream = true },
  rules = { 'revoked' },
  break_it = function(worker)
    worker.cache.tiers.accepted = function() return true end
  end,
}

M['a credential is good for ever'] = {
  needs = { passthrough = true },
  rules = { 'revoked' },
  modules = { [require 'causeway.io.proven'] = { is_accepted = function() return true end } },
}

return M
