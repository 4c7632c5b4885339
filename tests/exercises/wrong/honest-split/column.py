# says: `np.argwhere` gives a column
end = trained_at + test_days * DAY
training = np.argwhere(occurred < trained_at - LABEL_DELAY)
test = np.argwhere((occurred >= trained_at) & (occurred < end))
return HonestSplit(
    training,
    known_at(occurred[training], reported[training], trained_at),
    test,
    known_at(occurred[test], reported[test], end + LABEL_DELAY),
)
