-- Why the state stamped at key cannot be used by this code, or nil. Needs the constants of scripts.py.
local REMEDY = ': deploy the code that wrote it, or replace it (docs/operations.md#scorerdegraded)'
local function incompatible(key)
    local m = redis.call('HMGET', key, 'state_format', 'features_version', 'label_delay_days',
        'customer_horizon_days', 'terminal_horizon_days', RECONCILED)
    if not m[1] then return 'the online state is empty: run write_online_state' end
    if m[1] ~= FORMAT then
        return 'the online state has format ' .. m[1] .. ', but this code reads ' .. FORMAT .. REMEDY
    end
    if m[2] ~= FEATURES_VERSION then
        return 'the online state is for features version ' .. tostring(m[2]) .. ', but this code computes '
            .. FEATURES_VERSION .. REMEDY
    end
    if m[3] ~= LABEL_DELAY_DAYS then
        return 'the online state is for a label delay of ' .. tostring(m[3]) .. ' days, but this code uses '
            .. LABEL_DELAY_DAYS .. REMEDY
    end
    if (tonumber(m[4] or '') or 0) < tonumber(CUSTOMER_HORIZON_DAYS)
        or (tonumber(m[5] or '') or 0) < tonumber(TERMINAL_HORIZON_DAYS) then
        return 'the online state reaches back ' .. tostring(m[4]) .. ' and ' .. tostring(m[5]) .. ' days, but '
            .. CUSTOMER_HORIZON_DAYS .. ' and ' .. TERMINAL_HORIZON_DAYS .. ' are needed' .. REMEDY
    end
    if not m[6] then return NOT_RECONCILED end
end
