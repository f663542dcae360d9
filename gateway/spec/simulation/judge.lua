--- What a client may see at worst, as docs/caching.md promises it, held against every answer of the simulation.
--
-- Each rule here is a line there. Units: milliseconds of the world's own clock, which no node sees.

local read = require('simulation.client').read

local M = {}
local Judge = {}
Judge.__index = Judge

--- A judge of one world.
-- @param world
-- @param bounds
--   { shared_ms, proxy_ms, outage_ms, revocation_ms, shared_tier = boolean,
--     skew_ms = by which the clocks of two nodes may differ, stream_ms = how long an answer may take to come,
--     calm = whether nothing keeps nodes from reading the registry, known_ms = within which they then know of a purge,
--     orderly = whether the shared tier loses nothing, reply_ms = how long its replies take }
function M.new(world, bounds)
  return setmetatable({ world = world, bounds = bounds, seen = {}, found = nil }, Judge)
end

function Judge:count(what)
  self.seen[what] = (self.seen[what] or 0) + 1
end

function Judge:violation(rule, ask, answer, facts)
  self.found = self.found or ('%s: %s, asked at %d and answered at %d with what was said at %d (%s)'):format(
    rule, answer.label, ask.sent, self.world.now, facts.made, facts.serial)
  self.rule = self.rule or rule
end

-- When at last a node may still show what was said before a purge.
function Judge:purge_bound(node, purge)
  local bounds, source = self.bounds, node.source
  return purge.at + source:lag_of(node) + (bounds.calm and bounds.known_ms or bounds.revocation_ms)
end

function Judge:check_purges(worker, ask, answer, facts)
  -- Who waits for an answer that is being fetched gets that one: what counts is when it was asked for.
  local stored = answer.label == 'HIT' or answer.label == 'STALE'
  local moment = stored and self.world.now or ask.sent
  for _, purge in ipairs(worker.node.source.purges) do
    local concerns = not purge.consumer or purge.consumer == ask.consumer
    if concerns and facts.made < purge.at and moment > self:purge_bound(worker.node, purge) then
      return self:violation('purge', ask, answer, facts)
    elseif concerns and facts.made < purge.at then
      self:count 'before a purge'
    end
  end
end

-- In passthrough, a credential that the upstream refuses has no copies any more.
function Judge:check_revocation(ask, answer, facts)
  local revoked_at = self.world.revoked[ask.consumer]
  if revoked_at and (answer.label == 'HIT' or answer.label == 'STALE')
    and self.world.now > revoked_at + self.bounds.revocation_ms then
    return self:violation('revoked', ask, answer, facts)
  end
end

function Judge:check_hit(ask, answer, facts)
  local bounds, want = self.bounds, ask.want
  local age = self.world.now - facts.made
  if not want or want.mode ~= 'fresh' then
    return self:violation('not asked for', ask, answer, facts)
  end
  local bound = math.min(want.max_age * 1000, bounds.shared_tier and bounds.shared_ms or bounds.proxy_ms)
  if age >= bound + bounds.skew_ms then
    return self:violation('age', ask, answer, facts)
  end
  -- What another node has stored since, and the shared tier still has.
  local now_there = bounds.orderly and self.world.valkey:live('cw:test:cache:' .. answer.key)
  if now_there then
    local newest = read(now_there.value:match '%S+|%d+|%d+|%d+|')
    if newest.made > facts.made and self.world.now - now_there.at > bounds.proxy_ms + bounds.reply_ms then
      return self:violation('replaced', ask, answer, facts)
    end
  end
end

function Judge:check_label(ask, answer, facts)
  local age = self.world.now - facts.made
  if answer.label == 'HIT' then
    return self:check_hit(ask, answer, facts)
  elseif answer.label == 'STALE' then
    if not ask.want then
      return self:violation('not asked for', ask, answer, facts)
    elseif age >= self.bounds.outage_ms + self.bounds.skew_ms then
      return self:violation('stale age', ask, answer, facts)
    end
  elseif facts.made < ask.sent - (answer.joined and self.bounds.stream_ms or 0) then
    return self:violation('old answer', ask, answer, facts)
  end
  -- The age that the client is told is right, as far as clocks are.
  if answer.age and math.abs(answer.age * 1000 - age) > self.bounds.skew_ms + 1 then
    return self:violation('told age', ask, answer, facts)
  end
end

--- An answer, as its client gets it.
-- @param worker
-- @param ask     of simulation.client
-- @param answer  { label, body, tier, age, joined }
function Judge:see(worker, ask, answer)
  self:count(answer.tier and answer.label .. ' ' .. answer.tier or answer.joined and 'joined' or answer.label)
  if not answer.body then
    return
  end
  local facts = read(answer.body)
  if facts.consumer ~= ask.consumer then
    return self:violation('another tenant', ask, answer, facts)
  elseif facts.question ~= ask.question.number then
    return self:violation('another question', ask, answer, facts)
  end
  if ask.header == 'no-store' then
    self.secret = self.secret or {}
    self.secret[facts.serial] = true
    if answer.label ~= 'BYPASS' then
      return self:violation('no-store', ask, answer, facts)
    end
  elseif self.secret and self.secret[facts.serial] then
    return self:violation('no-store', ask, answer, facts)
  end
  self:check_label(ask, answer, facts)
  self:check_purges(worker, ask, answer, facts)
  self:check_revocation(ask, answer, facts)
end

return M
