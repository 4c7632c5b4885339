-- Note that the answers to ids up to one may have expired. KEYS known ids; ARGV the id, 8 bytes, big-endian.
raise(KEYS[1], EXPIRED, ARGV[1])
return 1
