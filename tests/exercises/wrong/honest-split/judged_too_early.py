# says: You read its labels too early
training = np.flatnonzero(occurred < trained_at - LABEL_DELAY)
test = np.flatnonzero((occurred >= trained_at) & (occurred < trained_at + test_days * DAY))
frauds = known_at(occurred, reported, trained_at)
return HonestSplit(training, frauds[training], test, frauds[test])
