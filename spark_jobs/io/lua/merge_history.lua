-- KEYS history; ARGV floor, entries in order of position, and seconds to keep.
merge(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]))
