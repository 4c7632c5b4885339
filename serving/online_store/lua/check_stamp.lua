-- KEYS stamp -> why the state cannot be used, empty if it can.
return incompatible(KEYS[1]) or ''
