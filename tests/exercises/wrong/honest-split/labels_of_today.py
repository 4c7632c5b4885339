# says: label that became known only after training
end = trained_at + test_days * DAY
training = np.flatnonzero(occurred < trained_at - LABEL_DELAY)
test = np.flatnonzero((occurred >= trained_at) & (occurred < end))
frauds = known_at(occurred, reported, end + LABEL_DELAY)
return HonestSplit(training, frauds[training], test, frauds[test])
