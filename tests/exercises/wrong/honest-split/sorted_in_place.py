# says: The positions are those of sorted payments
order = np.argsort(occurred)
occurred, reported = occurred[order], reported[order]
end = trained_at + test_days * DAY
training = np.flatnonzero(occurred < trained_at - LABEL_DELAY)
test = np.flatnonzero((occurred >= trained_at) & (occurred < end))
return HonestSplit(
    training,
    known_at(occurred[training], reported[training], trained_at),
    test,
    known_at(occurred[test], reported[test], end + LABEL_DELAY),
)
